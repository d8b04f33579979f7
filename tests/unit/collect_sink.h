/* SPDX-License-Identifier: ISC */
/* A sink that keeps what it is given, and can be told to fail. */
#ifndef SANDPOOL_TESTS_COLLECT_SINK_H
#define SANDPOOL_TESTS_COLLECT_SINK_H

#include <stdlib.h>
#include <string.h>

#include "fcgi/launch.h"
#include "fcgi/sink.h"

struct collected {
	struct buffer buffer; /* always ends with a NUL that does not count */
	size_t fail_after;    /* 0: never */
	unsigned calls_after_failure;
	int failed;
};

static inline int collect_write(void *data, const char *bytes, size_t size)
{
	struct collected *c = data;

	c->calls_after_failure += c->failed != 0;
	if (c->fail_after && c->buffer.size + size > c->fail_after) {
		c->failed = 1;
		return -1;
	}
	if (buffer_reserve(&c->buffer, size + 1) < 0)
		abort();
	memcpy(c->buffer.data + c->buffer.size, bytes, size);
	c->buffer.size += size;
	c->buffer.data[c->buffer.size] = '\0';
	return 0;
}

static inline struct sink collect_sink(struct collected *c)
{
	return (struct sink){ collect_write, c };
}

static inline void collect_reset(struct collected *c)
{
	buffer_free(&c->buffer);
	memset(c, 0, sizeof *c);
}

#endif
