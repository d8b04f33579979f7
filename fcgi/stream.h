/* SPDX-License-Identifier: ISC */
/* An answer as events, written as they happen: NDJSON, server-sent events, or
 * msgpack maps one after another. Every function writes whole events and returns
 * 0, or -1 when the reader has gone; the caller flushes.
 * Runs as: worker user. Pure. */
#ifndef SANDPOOL_STREAM_H
#define SANDPOOL_STREAM_H

#include "fcgi/answer.h"

struct stream {
	enum answer_format format;
	struct sink sink;
	struct {
		char held[4]; /* the first bytes of a character whose rest is to come */
		size_t held_size;
		uint64_t dropped_bytes; /* of this stage, for want of room */
	} output[LAUNCH_STREAMS];
	struct answer_room room;
};

void stream_init(struct stream *stream, enum answer_format format, const struct sink *sink,
		 uint64_t answer_max_bytes);

int stream_start(struct stream *stream, const char *id, const char *language,
		 const char *version);
/* A stage begins; test: its index, or -1. */
int stream_stage(struct stream *stream, enum stage stage, int test);
int stream_output(struct stream *stream, enum launch_stream which, const char *bytes,
		  size_t size);
/* A stage ended: flushes what was held back, and adds what found no room to
 * result->dropped_bytes. To be called after stage_result_set(). */
int stream_stage_end(struct stream *stream, struct stage_result *result);
/* After stream_stage_end() of a test, or for one that was skipped. */
int stream_test(struct stream *stream, size_t index, const struct test_result *test);
/* The last event: one of the two. A collected file for which the stream has no room
 * left gets an error instead, in answer->files. */
int stream_done(struct stream *stream, const struct answer *answer);
int stream_error(struct stream *stream, const struct failure *failure, const char *request_id);
/* After a long silence; nothing in msgpack, which has no empty line. */
int stream_heartbeat(struct stream *stream);

#endif
