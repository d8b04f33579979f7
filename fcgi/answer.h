/* SPDX-License-Identifier: ISC */
/* The answer to one run, whatever its encoding: built from verdicts, written
 * out piece by piece (never as a tree: output is large).
 * Runs as: worker user. Pure. */
#ifndef SANDPOOL_ANSWER_H
#define SANDPOOL_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/job.h"
#include "common/wire.h"
#include "fcgi/codec.h"
#include "fcgi/failure.h"
#include "fcgi/launch.h"
#include "fcgi/sink.h"

#define ANSWER_MESSAGE_MAX 256

/* What became of one stage. */
struct stage_result {
	enum stage stage;
	enum status status;
	char message[ANSWER_MESSAGE_MAX]; /* in words a student understands */
	bool exited;                      /* exit_code counts; else there was none */
	int exit_code;
	int signal;                             /* 0: none */
	bool cached;                            /* a build that need not be done again */
	struct bytes output[LAUNCH_STREAMS];    /* borrowed from the launch result */
	uint64_t dropped_bytes[LAUNCH_STREAMS]; /* beyond the cap, or for want of room */
	struct usage usage;
};

/* Precedence as in the HTTP contract: why we killed, then the output cap, then
 * signal or exit code. The outputs are borrowed from `from`, whoever filled them:
 * launch_run(), or the caller who took them by on_output. limits are those of the
 * stage. */
void stage_result_set(struct stage_result *ret_result, const struct launch_result *from,
		      enum stage stage, const struct limits *limits);

struct test_result {
	struct bytes name;   /* from the request; empty: made from its number */
	size_t index;
	struct stage_result result;
	bool ran;            /* else it was skipped: no exit code, usage null */
	bool has_expected;   /* else passed is null */
	bool passed;
};

/* Compares the output (with job->compare) and sets passed and, where the
 * program itself did well, wrong_answer. Call it before answer_keep(). */
void test_result_set(struct test_result *ret_test, const struct job *job, size_t index,
		     const struct launch_result *from, const struct limits *limits);
/* total_ms ran out first. */
void test_result_skip(struct test_result *ret_test, const struct job *job, size_t index);

/* A collected file: content, or why it could not be had. */
struct answer_file {
	struct bytes name, content;
	const char *error; /* NULL: there is content */
};

struct answer {
	const char *id, *language, *version;
	enum status status;
	char message[ANSWER_MESSAGE_MAX];
	bool has_compile, has_run;       /* has_run is false with tests */
	struct stage_result compile, run;
	struct test_result *tests;       /* NULL: none asked for */
	size_t tests_count;
	struct answer_file *files;
	size_t files_count;
	bool has_files;                  /* collect was asked for */
	uint64_t queue_us, setup_us, compile_us, run_us, total_us;
	struct limits run_limits, compile_limits;
	bool has_compile_limits;         /* the language has a compile stage */
	uint64_t total_ms;               /* limit of the whole request */
	enum cgroup_mode cgroup_mode;    /* of struct wire_info, as enforced */
	uint32_t enforced;               /* enum enforced, bits */
};

/* Sets status and message of the whole from its parts: compile, run or tests. */
void answer_conclude(struct answer *answer);

/* The collected files of a run (from->collected) as the answer's list: names and
 * contents are borrowed. A name that was not asked for is left out; one that was
 * asked for and did not come has an error. -1: the arena is full. */
int answer_collect(struct answer *answer, const struct words *asked,
		   const struct buffer *collected, struct arena *arena);

/* What is left of the largest answer. An output that no longer fits, encoded, is
 * cut (never inside a character) and what is cut is counted as dropped; a file
 * becomes an error. To be called for each stage as it ends, so that the worker
 * need not hold more than the answer can: it frees what output[] no longer shows. */
struct answer_room {
	enum answer_format format;
	uint64_t left_bytes;
};
void answer_room_init(struct answer_room *room, enum answer_format format,
		      uint64_t answer_max_bytes);
/* How many bytes of output may be sent; they are then taken from what is left. */
size_t answer_room_take(struct answer_room *room, struct bytes output);
void answer_keep(struct answer_room *room, struct stage_result *result);
void answer_keep_files(struct answer_room *room, struct answer *answer);

/* What a page in HTML needs beside the answer. */
struct page {
	const char *page_url;                /* the setting: "./" */
	const struct codec_echo *echo;       /* NULL: an empty form */
	const struct language_table *languages; /* NULL: language is a text field */
};

/* Header lines of an answer; the caller prints them, and its own beside them. */
#define ANSWER_HEADERS_MAX 8
struct answer_head {
	int http_status;
	const char *content_type;
	struct {
		const char *name;
		char value[160];
	} line[ANSWER_HEADERS_MAX];
	size_t lines_count;
};

/* For the formats that are no streams, and SHAPE_EXECUTE (always JSON). A stream's
 * head: answer may be NULL. */
void answer_head_set(struct answer_head *ret_head, enum codec_shape shape,
		     enum answer_format format, const struct answer *answer);
/* 0, or -1 when the sink said so. */
int answer_write(enum codec_shape shape, enum answer_format format,
		 const struct answer *answer, const struct page *page, const struct sink *sink);

/* The same for an error: text/plain and the streams get JSON. */
void failure_head_set(struct answer_head *ret_head, enum codec_shape shape,
		      enum answer_format format, const struct failure *failure);
int failure_write(enum codec_shape shape, enum answer_format format,
		  const struct failure *failure, const char *request_id,
		  const struct page *page, const struct sink *sink);

#endif
