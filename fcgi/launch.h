/* SPDX-License-Identifier: ISC */
/* The worker's side of the wire: one connection to sandboxd for the stages of
 * one request. Makes the memfds and pipes, reads the output with its caps as it
 * comes, watches the client, and brings back the verdict.
 * Runs as: worker user. Never blocks longer than it says. */
#ifndef SANDPOOL_LAUNCH_H
#define SANDPOOL_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/job.h"
#include "common/wire.h"

/* What sandboxd says of itself; asked over the control socket. */
int launch_query(const char *run_directory, struct wire_info *ret_info, struct error *err);

/* Bytes that grow; data is NULL while room is 0. */
struct buffer {
	char *data;
	size_t size, room;
};
int buffer_reserve(struct buffer *buffer, size_t extra); /* -1: out of memory */
void buffer_free(struct buffer *buffer);

enum launch_stream { LAUNCH_STDOUT, LAUNCH_STDERR, LAUNCH_STREAMS };

/* One stage, as asked for. Everything is borrowed for the call. */
struct launch_stage {
	const char *id;       /* of the request: hex digits */
	const char *language; /* an id of the table */
	const uint8_t *table_hash;
	enum stage stage;
	uint32_t flags; /* enum wire_run_flag */
	struct limits limits;
	uint64_t reserve_bytes;       /* see struct wire_run */
	uint64_t cache_domain;        /* likewise */
	const struct job_file *files; /* every name filled in; the first is the main file */
	size_t files_count;
	const struct words *options, *arguments, *collect; /* NULL: none */
	struct bytes input;

	uint64_t wait_us;     /* how long to wait for a box */
	uint64_t deadline_us; /* clock_us() at which the stage is stopped as a time-out; 0: none */
	int client_fd;        /* hang-up here cancels; -1: none */

	/* Each may be NULL. Output is gathered unless there is on_output. -1 from
	 * on_output or on_tick means that nobody listens any more: cancel. */
	void (*on_taken)(void *data); /* a box is ours, the stage starts */
	int (*on_output)(void *data, enum launch_stream stream, const char *bytes, size_t size);
	int (*on_tick)(void *data); /* at least every tick_us while waiting and running */
	uint64_t tick_us;           /* 0: no ticks */
	void *data;
};

enum launch_end {
	LAUNCH_DONE,    /* there is a verdict */
	LAUNCH_BUSY,    /* no box in time, or no memory: nothing ran */
	LAUNCH_RELOAD,  /* sandboxd has another language table: nothing ran */
	LAUNCH_REFUSED, /* it cannot run here: nothing ran */
	LAUNCH_DOWN,    /* nobody listens: nothing ran */
	LAUNCH_GONE,    /* our client left, or on_output or on_tick said so */
	LAUNCH_LOST,    /* the connection broke midway: it may have run */
};

struct launch_result {
	struct verdict verdict;
	struct buffer output[LAUNCH_STREAMS]; /* at most limits.output_bytes each */
	uint64_t seen_bytes[LAUNCH_STREAMS];  /* kept and dropped ones together */
	struct buffer collected;              /* see launch_collected_next() */
	uint64_t queue_us;                    /* from the call to WIRE_TAKEN */
	uint64_t total_us;                    /* of the call */
};
void launch_result_free(struct launch_result *result);

struct launch {
	int sock_fd; /* -1: not connected */
};
#define LAUNCH_INIT { -1 }

/* Makes ahead what the next stage of this thread will need; to be called while there is
 * nothing else to do. */
void launch_prepare(void);

/* Runs one stage; connects first if there is no connection yet (image: which
 * class socket). After anything but LAUNCH_DONE the connection is closed.
 * ret_result is always valid to free. */
enum launch_end launch_run(struct launch *launch, const char *run_directory, const char *image,
			   const struct launch_stage *stage, struct launch_result *ret_result,
			   struct error *err);

/* Closes the connection: whatever runs is killed, the frozen tree goes. */
void launch_close(struct launch *launch);

/* Collected files come as records: name length (u32), name, status (u32: 0 or
 * the errno that says why it could not be had), content length (u64), content.
 * The program's own user wrote them: nothing in them is to be trusted. False at
 * the end. */
struct launch_file {
	struct bytes name, content;
	int error; /* errno, 0 when there is content */
};
bool launch_collected_next(const struct buffer *collected, size_t *offset,
			   struct launch_file *ret_file);

#endif
