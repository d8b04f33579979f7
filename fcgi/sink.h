/* SPDX-License-Identifier: ISC */
/* Where encoded bytes go. */
#ifndef SANDPOOL_SINK_H
#define SANDPOOL_SINK_H

#include <stddef.h>

struct sink {
	/* All of the bytes, or -1: the reader has gone. Not called again after -1. */
	int (*write)(void *data, const char *bytes, size_t size);
	void *data;
};

#endif
