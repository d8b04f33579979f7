/* SPDX-License-Identifier: ISC */
/* The box's first process, pid 1 in there: a clone of the keeper, never an exec.
 * Its child, the runner, waits for one job and becomes the program, or the interpreter
 * that the program will be given to (ahead.h); init reaps, says
 * how it ended, and collects files when asked. It holds no descriptor but its socket.
 * Runs as: user 0 of the box's user namespace, with SETUID, SETGID and KILL of
 * that namespace alone, behind the program's own syscall filter. */
#ifndef SANDPOOL_INIT_H
#define SANDPOOL_INIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/job.h"
#include "common/language.h"
#include "common/wire.h"

#define BOX_UID 1000 /* the program's user and group inside */

/* keeper -> runner, with the descriptors of enum wire_fd but the last. The same again
 * follows, for init, when there are files to collect: with the payload and that last one. */
struct init_job {
	const struct language *language; /* in memory that both have */
	const char *environment;	 /* the image's, likewise; see struct image */
	enum stage stage;
	uint32_t on_tree; /* the first file only names the main file */
	uint32_t ahead;   /* no program yet: start the interpreter, with the library and its socket */
	uint32_t pack;    /* no program: the work folder's files go into the one descriptor */
	uint32_t unpack;  /* the last descriptor holds files to write, from such a pack */
	struct limits limits;
	uint64_t payload_bytes;
	uint32_t files_count, options_count, arguments_count, collect_count;
};

/* init -> keeper */
enum init_event { INIT_READY = 1, INIT_FAILED, INIT_ENDED, INIT_COLLECTED };

struct init_report {
	enum init_event event;
	int wait_status;         /* INIT_ENDED */
	int exec_errno;          /* likewise: the program could not be started */
	uint64_t exec_us, end_us; /* clock_us() */
	uint64_t user_us, system_us;
	struct error err; /* INIT_FAILED */
};

/* Never returns. report_fd: the socket to the keeper. */
noreturn void init_main(int sock_fd);

/* Says what went wrong in set-up and ends the box. */
noreturn void init_fail(int sock_fd, const struct error *err);

/* ---- what the runner does, in stage.c and pack.c ---- */

struct stage_files {
	int payload_fd, stdio_fd[3];
	int packed_fd; /* -1: none */
};

/* What became of the start, in memory that the runner shares with init. */
struct stage_start {
	uint64_t exec_us; /* the moment before exec */
	int code;         /* why there was none: an errno */
	bool ours;        /* ... and it is no doing of the program or its files */
};

/* Becomes the box user, and does whatever needs no job; an errno. */
int stage_begin(void);

/* Files that do not fit into the disk that was asked for, and words that no exec
 * takes, are the client's; whatever else goes wrong before exec is ours. */
bool stage_clients_doing(int code);

/* Writes the files, and executes the program. Returns only when that failed. */
void stage_exec(const struct init_job *job, const struct stage_files *files,
		volatile struct stage_start *ret_start);

/* In a fork child of init: streams the files that the job collects to collect_fd. */
void stage_collect(const struct init_job *job, int payload_fd, int collect_fd);

/* All regular files below the work folder into memfd;
 * false when there is something else or too much. And back again; an errno. */
#define PACK_BYTES_MAX ((uint64_t)16 << 20)
bool stage_pack(int memfd);
int stage_unpack(int memfd);

/* Executes the interpreter with the library, placeholders for its streams, and an empty
 * main file. An errno. */
int stage_exec_ahead(const struct init_job *job, int library_fd, int sock_fd);

/* The limits of each process, in the library's terms. */
struct ahead_go;
void stage_ahead_limits(const struct limits *limits, struct ahead_go *ret_go);

/* Writes a file below the current folder, its folders too; an errno. */
int stage_write_file(struct bytes name, struct bytes content, mode_t mode);

/* Gives up everything that init still had. */
int stage_become_user(void);

#endif
