/* SPDX-License-Identifier: ISC */
/* From the bytes of a request to a job. One table by media type; each decoder
 * yields the same small tree of values, and one table of fields turns that tree
 * into the job, so that no encoding can mean more than another.
 * Runs as: worker user. Pure: no file, no clock, no global state. */
#ifndef SANDPOOL_CODEC_H
#define SANDPOOL_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/arena.h"
#include "common/job.h"
#include "common/language.h"
#include "fcgi/failure.h"

#define CODEC_DEPTH_MAX	 32
#define CODEC_VALUES_MAX 100000 /* in one request, over all lists and maps */
#define CODEC_KEYS_MAX	 256	/* in one map */

#define CODEC_ARENA_BYTES(body_bytes) (3 * (uint64_t)(body_bytes) + ((uint64_t)8 << 20))

/* Two shapes of a request: ours, and the one of POST /api/execute. */
enum codec_shape { SHAPE_RUN, SHAPE_EXECUTE };

struct codec_request {
	enum codec_shape shape;
	const char *content_type;     /* NULL: the header is missing */
	const char *content_encoding; /* likewise; anything but identity is 415 */
	struct bytes body;
	uint64_t body_max_bytes, multipart_max_bytes;
};

/* What was asked, as text: a result page shows the filled form again, and
 * messages can name the field that the client really used. Filled as far as
 * decoding came, also when it failed. */
struct codec_echo {
	struct bytes language, code, input;
	struct bytes arguments, options; /* one per line */
	struct bytes timeout;            /* a number, as text */
	unsigned timeout_unit_ms;        /* limits.wall_ms was given as timeout, counted in
					  * 1000 or 1 ms; 0: it was not */
};

/* Once in each process, before a system call filter is loaded: the JSON library
 * wants random bytes for its hash tables. */
void codec_init(void);

/* The largest body that this Content-Type may have: for refusing before the
 * body is read. */
uint64_t codec_body_max(const char *content_type, uint64_t body_max_bytes,
			uint64_t multipart_max_bytes);

/* Everything in ret_job and ret_echo lives in the arena or in the body. The arena
 * needs room for CODEC_ARENA_BYTES(body size); with less the answer may be 413.
 * 0, or -1 with ret_failure (400, 413, 415). Whether the language exists and
 * the limits lie within bounds is asked afterwards: codec_limits(). */
int codec_decode(const struct codec_request *request, struct arena *arena, struct job *ret_job,
		 struct codec_echo *ret_echo, struct failure *ret_failure);

/* job_resolve_limits() for both stages and total_ms, with the failure in the
 * client's own words (timeout in seconds when it was given so, compile limits
 * by their full name). ret_build is filled for every language. */
int codec_limits(const struct limits_policy *policy, const struct language *language,
		 const struct job *job, const struct codec_echo *echo, struct limits *ret_run,
		 struct limits *ret_build, uint64_t *ret_total_ms, struct failure *ret_failure);

/* The forms of an answer, in the server's order of preference. */
enum answer_format {
	ANSWER_JSON,
	ANSWER_MSGPACK,
	ANSWER_HTML,
	ANSWER_TEXT,
	ANSWER_NDJSON,
	ANSWER_SSE,
	ANSWER_MSGPACK_STREAM,
	ANSWER_FORMATS
};

static inline bool answer_is_stream(enum answer_format format)
{
	return format >= ANSWER_NDJSON;
}

/* Reads an Accept header (NULL or empty: anything): quality first, then how
 * exact the range is, then its place in the header. -1: nothing fits (406). */
int codec_accept(const char *accept, enum answer_format *ret_format);

#endif
