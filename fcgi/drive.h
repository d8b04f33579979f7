/* SPDX-License-Identifier: ISC */
/* One request on its way through run.c (what is asked for), run_stages.c (what runs),
 * and run_answer.c (what is said of it).
 * Runs as: worker user. */
#ifndef SANDPOOL_DRIVE_H
#define SANDPOOL_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "fcgi/codec.h"
#include "fcgi/launch.h"
#include "fcgi/pool.h"
#include "fcgi/stream.h"

/* Everything about one request while it is driven through its stages. */
struct drive {
	struct visit *visit;
	struct pool *pool;
	struct arena arena;
	struct job job;
	struct codec_echo echo;
	struct failure failure; /* http_status 0 while there is none */

	char language_id[JOB_LANGUAGE_MAX + 1];
	char version[VERSIONS_TEXT];
	const struct language *language;
	const char *image;
	struct limits_policy policy;
	struct limits run_limits, build_limits;
	uint64_t total_ms, deadline_us;
	struct job_file main_only; /* names the main file where it lies in the tree already */

	struct launch launch;
	struct launch_result build, run, *tests; /* tests: one for each */
	struct answer answer;
	struct answer_room room;
	uint64_t drive_start_us, wait_start_us; /* the second with the time at our door */
	bool taken;	/* a box was ours: from now on something may have run */
	bool cancelled; /* the server stops */

	bool streaming, head_sent;
	struct stream stream;
	enum stage stage;
	int test;		/* -1: none */
	struct buffer *gathered; /* where a streamed test's stdout is kept as well */
	uint64_t said_us;	/* when the stream last said something */
};

/* ---- run.c ---- */

/* How a launch that brought no verdict is answered. */
struct launch_failure {
	int http_status;
	const char *code, *message;
	unsigned retry_after_s;
};
extern const struct launch_failure launch_failures[]; /* by enum launch_end */

/* Finds language and image. What we know of both may be old, so a "no" is asked for
 * again before it is passed on. */
int drive_find_language(struct drive *d);

/* ---- run_stages.c ---- */

/* Builds, and runs the program or its tests. -1: the failure is set, or the client left. */
int drive_stages(struct drive *d);

/* ---- run_answer.c ---- */

void drive_state(struct drive *d, enum worker_state state);

/* After something was written to a stream, with what came of that. */
int drive_say(struct drive *d, int rc);

/* For a launch: the drive is its data. */
void drive_on_taken(void *data);
int drive_on_output(void *data, enum launch_stream which, const char *bytes, size_t size);
int drive_on_tick(void *data);

/* At the end, one of both. */
void drive_fill_answer(struct drive *d);
void drive_conclude(struct drive *d);
void drive_fail(struct drive *d);

#endif
