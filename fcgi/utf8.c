/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/utf8.h"

#include <stdint.h>
#include <string.h>

/* What may follow a first byte: how many bytes, and the bounds of the second
 * one, which keep out overlong forms, surrogates and what lies past U+10FFFF. */
static const struct {
	unsigned char first, last, length, low, high;
} leads[] = {
	{ 0xc2, 0xdf, 2, 0x80, 0xbf }, { 0xe0, 0xe0, 3, 0xa0, 0xbf },
	{ 0xe1, 0xec, 3, 0x80, 0xbf }, { 0xed, 0xed, 3, 0x80, 0x9f },
	{ 0xee, 0xef, 3, 0x80, 0xbf }, { 0xf0, 0xf0, 4, 0x90, 0xbf },
	{ 0xf1, 0xf3, 4, 0x80, 0xbf }, { 0xf4, 0xf4, 4, 0x80, 0x8f },
};

/* How many bytes at text are the beginning of one character, and in *ret_length
 * how many the whole character has (0: text does not begin one). */
static size_t match(const unsigned char *text, size_t size, size_t *ret_length)
{
	size_t i, n;

	*ret_length = 0;
	if (text[0] < 0x80) {
		*ret_length = 1;
		return 1;
	}
	for (i = 0; i < sizeof leads / sizeof leads[0]; i++) {
		if (text[0] < leads[i].first || text[0] > leads[i].last)
			continue;
		*ret_length = leads[i].length;
		if (size < 2 || text[1] < leads[i].low || text[1] > leads[i].high)
			return 1;
		for (n = 2; n < size && n < leads[i].length && (text[n] & 0xc0) == 0x80;)
			n++;
		return n;
	}
	return 0;
}

size_t utf8_next(const char *text, size_t size, size_t *ret_bad)
{
	size_t length, n = match((const unsigned char *)text, size, &length);

	if (length && n == length)
		return length;
	if (ret_bad)
		*ret_bad = n ? n : 1;
	return 0;
}

bool utf8_valid(const char *text, size_t size)
{
	size_t i = 0;

	while (i < size) {
		uint64_t eight;
		size_t n;

		/* programs mostly print ASCII: eight bytes at a time */
		if (size - i >= sizeof eight) {
			memcpy(&eight, text + i, sizeof eight);
			if (!(eight & UINT64_C(0x8080808080808080))) {
				i += sizeof eight;
				continue;
			}
		}
		n = utf8_next(text + i, size - i, NULL);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

size_t utf8_cut(const char *text, size_t size)
{
	size_t back;

	for (back = 1; back <= 3 && back <= size; back++) {
		const unsigned char *start = (const unsigned char *)text + size - back;
		size_t length, n;

		if ((*start & 0xc0) == 0x80)
			continue;
		n = match(start, back, &length);
		return n == back && length > back ? back : 0;
	}
	return 0;
}
