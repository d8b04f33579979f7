/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/base64.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const char *data, size_t size, char *text)
{
	const unsigned char *in = (const unsigned char *)data;
	char *out = text;
	size_t i;

	for (i = 0; i < size; i += 3) {
		size_t left = size - i;
		uint32_t three = (uint32_t)in[i] << 16 |
				 (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
				 (left > 2 ? in[i + 2] : 0);

		*out++ = alphabet[three >> 18];
		*out++ = alphabet[three >> 12 & 63];
		*out++ = left > 1 ? alphabet[three >> 6 & 63] : '=';
		*out++ = left > 2 ? alphabet[three & 63] : '=';
	}
	return (size_t)(out - text);
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int base64_decode(const char *text, size_t size, char *data, size_t *ret_size)
{
	uint32_t bits = 0;
	size_t i, out = 0, kept = size;

	if (size % 4 == 0)
		while (kept > 0 && size - kept < 2 && text[kept - 1] == '=')
			kept--;
	if (kept % 4 == 1)
		return -1;
	for (i = 0; i < kept; i++) {
		int value = digit(text[i]);

		if (value < 0)
			return -1;
		bits = bits << 6 | (uint32_t)value;
		if (i % 4 == 0)
			continue;
		data[out++] = (char)(bits >> (2 * (3 - i % 4)));
	}
	/* bits that no byte takes must be zero */
	if ((kept % 4 == 2 && (bits & 15)) || (kept % 4 == 3 && (bits & 3)))
		return -1;
	*ret_size = out;
	return 0;
}
