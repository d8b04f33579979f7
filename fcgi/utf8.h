/* SPDX-License-Identifier: ISC */
/* UTF-8 as RFC 3629 has it: no surrogates, nothing overlong, up to U+10FFFF. */
#ifndef SANDPOOL_UTF8_H
#define SANDPOOL_UTF8_H

#include <stdbool.h>
#include <stddef.h>

bool utf8_valid(const char *text, size_t size);

/* How many bytes the character at text has: 1 to 4. 0 when it is not one; then
 * *ret_bad is how many bytes one U+FFFD stands for: the longest beginning of a
 * character that is there, at least 1. */
size_t utf8_next(const char *text, size_t size, size_t *ret_bad);

/* How many bytes at the end (0 to 3) begin a character that is cut off. */
size_t utf8_cut(const char *text, size_t size);

#endif
