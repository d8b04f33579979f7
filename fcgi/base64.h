/* SPDX-License-Identifier: ISC */
/* Base 64 of RFC 4648, the plain alphabet. */
#ifndef SANDPOOL_BASE64_H
#define SANDPOOL_BASE64_H

#include <stddef.h>

static inline size_t base64_size(size_t bytes)
{
	return (bytes + 2) / 3 * 4;
}

/* Writes base64_size(size) characters, no NUL; returns how many. */
size_t base64_encode(const char *data, size_t size, char *text);

/* Padding may be left out; anything else that is not the one way to write those
 * bytes is refused with -1. Room for size / 4 * 3 + 2 bytes is enough. */
int base64_decode(const char *text, size_t size, char *data, size_t *ret_size);

#endif
