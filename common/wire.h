/* SPDX-License-Identifier: ISC */
/* The messages between a worker and sandboxd, over SOCK_SEQPACKET: fixed
 * structs, host byte order, one machine. Bulk travels as sealed memfds and pipe
 * ends beside them. No path, uid, environment or argv[0] ever crosses.
 *
 * A worker connects to the socket of the language's image class and sends
 * WIRE_RUN at once. The keeper that accepts answers WIRE_TAKEN before anything
 * starts (a worker that gave up first has shut its receiving side, so the send
 * fails and nothing runs), then WIRE_VERDICT; or WIRE_REFUSED. Each further
 * stage of the request is another WIRE_RUN on the same connection. WIRE_STOP
 * ends the stage that runs and still gets its verdict; one that crosses the verdict
 * means nothing. Closing the connection is the cancel, kills what runs, and drops the
 * frozen tree.
 *
 *	worker                           keeper
 *	WIRE_RUN build + descriptors ->
 *	                              <- WIRE_TAKEN
 *	                              <- WIRE_VERDICT
 *	WIRE_RUN run on the tree     ->
 *	                              <- WIRE_TAKEN, WIRE_VERDICT
 *	close
 *
 * The control socket answers WIRE_QUERY with WIRE_INFO. */
#ifndef SANDPOOL_WIRE_H
#define SANDPOOL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/job.h"

#define WIRE_MAGIC   0x53504f4fu
#define WIRE_VERSION 1

#define WIRE_HASH_BYTES    32
#define WIRE_IMAGES_MAX    128
#define WIRE_IMAGE_NAME    40
#define WIRE_LANGUAGES_MAX 1024
#define WIRE_IMAGE_NONE    0xff /* this language cannot run here */
#define WIRE_PAYLOAD_MAX   ((uint64_t)24 << 20)
#define WIRE_INPUT_MAX     ((uint64_t)16 << 20)

enum wire_type {
	WIRE_RUN = 1,
	WIRE_TAKEN,
	WIRE_VERDICT,
	WIRE_REFUSED,
	WIRE_STOP,
	WIRE_QUERY,
	WIRE_INFO,
};

struct wire_head {
	uint32_t magic;
	uint16_t version;
	uint16_t type; /* enum wire_type */
	uint32_t size; /* of the whole message */
	uint32_t zero;
};

/* The descriptors of WIRE_RUN, always all of them, in this order. */
enum wire_fd {
	WIRE_FD_PAYLOAD, /* sealed memfd: see wire_payload_next() */
	WIRE_FD_STDIN,   /* sealed memfd, or the read end of a pipe */
	WIRE_FD_STDOUT,  /* write ends of pipes */
	WIRE_FD_STDERR,
	WIRE_FD_COLLECT, /* last, and only when collect_count > 0 */
	WIRE_FD_COUNT
};

enum wire_run_flag {
	WIRE_KEEP_TREE = 1, /* a build: freeze its work tree for the stages to come */
	WIRE_ON_TREE = 2,   /* a run: on top of the frozen tree */
	WIRE_MORE = 4,      /* another stage will follow on this connection */
	WIRE_QUIET = 8,     /* on a tree: its build printed nothing, so it may be cached */
};

struct wire_run {
	struct wire_head head;
	char id[JOB_ID_SIZE];                /* of the request, for the logs */
	char language[JOB_LANGUAGE_MAX + 1]; /* an id, not an alias */
	uint8_t table_hash[WIRE_HASH_BYTES]; /* of the language table that was used */
	uint8_t zero[6];
	uint32_t stage; /* enum stage */
	uint32_t flags; /* enum wire_run_flag */
	struct limits limits;
	uint64_t reserve_bytes; /* the largest memory limit of the request's stages */
	uint64_t payload_bytes; /* size of the payload memfd */
	uint64_t cache_domain;  /* builds of different domains share no cache */
	/* records in the payload, in this order; a file is two: name, content */
	uint32_t files_count, options_count, arguments_count, collect_count;
};

struct wire_taken {
	struct wire_head head;
};

struct wire_stop {
	struct wire_head head;
	uint32_t cause; /* CAUSE_OUTPUT or CAUSE_WALL, as the worker saw it */
	uint32_t zero;
};

struct wire_verdict {
	struct wire_head head;
	uint32_t cause; /* enum cause */
	int32_t exited, exit_code, signal, exec_errno;
	uint32_t cached; /* a build that was not done, because its tree was at hand */
	uint32_t ahead;  /* the interpreter had been started before */
	uint32_t zero;
	uint64_t setup_us;
	struct usage usage;
};

enum wire_refusal {
	REFUSED_PROTOCOL = 1, /* the message was not well formed */
	REFUSED_RELOAD,       /* another language table: read it again and retry */
	REFUSED_BUSY,         /* no memory left under the parent group's limit */
	REFUSED_LANGUAGE,     /* not available in any image here */
	REFUSED_LIMITS,       /* outside what this host grants */
	REFUSED_INTERNAL,     /* ours; the log has the reason under the request's id */
};

struct wire_refused {
	struct wire_head head;
	uint32_t reason; /* enum wire_refusal */
	uint32_t zero;
};

/* Which tree of control groups the host has. */
enum cgroup_mode { LAYOUT_V2 = 1, LAYOUT_HYBRID, LAYOUT_V1 };

/* What holds a limit here, for the "enforced" part of an answer; bit by bit. */
enum enforced {
	ENFORCED_MEMORY = 1,
	ENFORCED_PROCESSES = 2,
	ENFORCED_CPU = 4,      /* the share of cores, and the group's CPU clock */
	ENFORCED_SWAP = 8,     /* no swap for the run */
};

struct wire_info {
	struct wire_head head;
	char version[32];
	uint32_t cgroup_mode; /* enum cgroup_mode */
	uint32_t enforced;    /* enum enforced */
	uint32_t slots;
	uint32_t images_count;
	uint64_t memory_budget_bytes;
	struct {
		char name[WIRE_IMAGE_NAME]; /* also names the class socket */
		char manifest[24];          /* changes when the image does; printable */
	} images[WIRE_IMAGES_MAX];
	uint8_t table_hash[WIRE_HASH_BYTES];
	uint32_t languages_count;
	uint32_t zero;
	uint8_t language_image[WIRE_LANGUAGES_MAX]; /* index into images, by table order */
};

/* Names of the sockets below the run directory. */
#define WIRE_SOCKET_CONTROL "control.sock"
#define WIRE_SOCKET_CLASS   "box-%s.sock" /* %s: the image's name */

/* Fills a head. */
void wire_head_set(struct wire_head *head, enum wire_type type, size_t size);

/* -1 when data is not exactly one message of that type (magic, version, size,
 * zeroes, NUL-ended strings, enums and counts within bounds). This is the whole
 * check of form; limits and language are checked by who knows them. */
int wire_check(const void *data, size_t size, enum wire_type type, struct error *err);

/* The payload: records of a uint32_t length and that many bytes. Reads one at
 * *offset and moves on; -1 when it does not fit. Used by the stage's child as
 * the program's user, never by a privileged process. */
int wire_payload_next(const char *payload, size_t size, size_t *offset,
		      struct bytes *ret_record);

#endif
