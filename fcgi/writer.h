/* SPDX-License-Identifier: ISC */
/* One description of an answer, two encodings: the same calls write JSON or
 * msgpack, straight into a sink. Private to the encoders. */
#ifndef SANDPOOL_WRITER_H
#define SANDPOOL_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/job.h"
#include "fcgi/sink.h"

struct writer_ops;

struct writer {
	const struct writer_ops *ops;
	const struct sink *sink;
	bool failed;    /* the sink said so; everything after is dropped */
	bool no_output; /* leave stdout and stderr out: a stream has sent them */
	bool counting;  /* msgpack says first how many keys a map has */
	uint32_t keys;
	bool comma; /* JSON: something stands before */
	size_t used;
	char room[4096];
};

/* What differs between the encodings. text is valid UTF-8 or is made so; output is
 * bytes: in JSON, when they are no UTF-8, a second key <name>_base64 follows. */
struct writer_ops {
	bool needs_counts;
	void (*map_begin)(struct writer *writer, uint32_t count);
	void (*map_end)(struct writer *writer);
	void (*list_begin)(struct writer *writer, uint32_t count);
	void (*list_end)(struct writer *writer);
	void (*key)(struct writer *writer, const char *name);
	void (*null)(struct writer *writer);
	void (*boolean)(struct writer *writer, bool value);
	void (*integer)(struct writer *writer, int64_t value);
	void (*thousandths)(struct writer *writer, uint64_t value); /* value / 1000 */
	void (*text)(struct writer *writer, struct bytes text);
	void (*output)(struct writer *writer, const char *name, struct bytes output);
};

extern const struct writer_ops json_ops, msgpack_ops;

void writer_init(struct writer *writer, const struct writer_ops *ops, const struct sink *sink);
void writer_raw(struct writer *writer, const char *bytes, size_t size);
void writer_string(struct writer *writer, const char *text);
int writer_finish(struct writer *writer); /* flushes; -1 when the sink failed */

/* A map's content; called twice where counts are needed, so without effects. */
typedef void (*put_fn)(struct writer *writer, const void *data);

/* key is NULL for the outermost map and for the items of a list. */
void put_map(struct writer *writer, const char *key, put_fn put, const void *data);
void put_list(struct writer *writer, const char *key, put_fn put_item, const void *items,
	      size_t count, size_t item_size);
void put_null(struct writer *writer, const char *key);
void put_bool(struct writer *writer, const char *key, bool value);
void put_int(struct writer *writer, const char *key, int64_t value);
void put_ms(struct writer *writer, const char *key, uint64_t us);
void put_text(struct writer *writer, const char *key, const char *text); /* NULL: null */
void put_text_bytes(struct writer *writer, const char *key, struct bytes text);
void put_output(struct writer *writer, const char *key, struct bytes output);

/* How many bytes the longest beginning of output has that takes at most left
 * bytes in JSON, and what it takes. Never ends inside a character. */
size_t json_fit(struct bytes output, uint64_t left, uint64_t *ret_taken);

#endif
