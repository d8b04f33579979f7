/* SPDX-License-Identifier: ISC */
/* JSON, written as it goes. Runs as: worker user. Pure. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/base64.h"
#include "fcgi/utf8.h"
#include "fcgi/writer.h"

#define REPLACEMENT	 "\xef\xbf\xbd" /* U+FFFD */
#define REPLACEMENT_SIZE 3

/* ---- strings ---- */

/* Bytes that may need something: control characters, quote, backslash, DEL, and the
 * first bytes of U+0080..U+009F and of U+2028, U+2029, which end lines for some
 * readers of NDJSON and for old JavaScript. */
static const bool special[256] = {
	[0x00 ... 0x1f] = true, ['"'] = true,  ['\\'] = true,
	[0x7f] = true,		[0xc2] = true, [0xe2] = true,
};

static uint32_t code_point(const unsigned char *at, size_t size)
{
	if (size == 1)
		return at[0];
	if (size == 2)
		return (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu);
	return (at[0] & 0x0fu) << 12 | (at[1] & 0x3fu) << 6 | (at[2] & 0x3fu);
}

/* One character at text, of size bytes, as JSON has it: the bytes in ret_escape, or
 * 0 when it stands for itself. */
static size_t escape(const char *text, size_t size, char ret_escape[8])
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	uint32_t c;
	size_t i;

	if (size > 3 || !special[(unsigned char)text[0]])
		return 0;
	c = code_point((const unsigned char *)text, size);
	for (i = 0; size == 1 && i + 1 < sizeof shorts; i += 2) {
		if ((char)c == shorts[i]) {
			ret_escape[0] = '\\';
			ret_escape[1] = shorts[i + 1];
			return 2;
		}
	}
	if (c >= 0x20 && (c < 0x7f || c > 0x9f) && c != 0x2028 && c != 0x2029)
		return 0;
	memcpy(ret_escape, "\\u", 2);
	for (i = 0; i < 4; i++)
		ret_escape[2 + i] = "0123456789abcdef"[c >> (12 - 4 * i) & 15];
	return 6;
}

/* Where the next byte lies that needs a look. */
static size_t plain_run(struct bytes text, size_t at, bool valid)
{
	size_t i;

	for (i = at; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (special[c] || (c >= 0x80 && !valid))
			break;
	}
	return i - at;
}

static void write_string(struct writer *writer, struct bytes text, bool valid)
{
	size_t i = 0;

	writer_raw(writer, "\"", 1);
	while (i < text.size) {
		size_t plain = plain_run(text, i, valid), size, bad = 1, n;
		char escaped[8];

		writer_raw(writer, text.data + i, plain);
		i += plain;
		if (i == text.size)
			break;
		size = utf8_next(text.data + i, text.size - i, &bad);
		if (!size) {
			writer_raw(writer, REPLACEMENT, REPLACEMENT_SIZE);
			i += bad;
			continue;
		}
		n = escape(text.data + i, size, escaped);
		writer_raw(writer, n ? escaped : text.data + i, n ? n : size);
		i += size;
	}
	writer_raw(writer, "\"", 1);
}

/* What one character takes; *ret_bytes: how many bytes of the text it is. */
static uint64_t character_cost(struct bytes text, size_t at, bool valid, size_t *ret_bytes)
{
	size_t bad = 1, size = utf8_next(text.data + at, text.size - at, &bad);
	char escaped[8];
	size_t n = size ? escape(text.data + at, size, escaped) : REPLACEMENT_SIZE;

	*ret_bytes = size ? size : bad;
	/* base 64 beside it takes four bytes for three */
	return (n ? n : size) + (valid ? 0 : (4 * *ret_bytes + 2) / 3);
}

/* Never too little, quickly: each byte at its worst. */
static uint64_t most_cost(struct bytes text, bool valid)
{
	uint64_t sum = valid ? 0 : 64 + (uint64_t)text.size * 4 / 3 + 4;
	size_t i;

	for (i = 0; i < text.size; i++) {
		unsigned char c = (unsigned char)text.data[i];

		sum += special[c] ? 6 : c >= 0x80 && !valid ? REPLACEMENT_SIZE : 1;
	}
	return sum;
}

size_t json_fit(struct bytes output, uint64_t left, uint64_t *ret_taken)
{
	bool valid = utf8_valid(output.data, output.size);
	uint64_t taken = valid ? 0 : 64; /* for the name of the twin */
	uint64_t most = most_cost(output, valid);
	size_t i = 0;

	if (most <= left) {
		*ret_taken = most;
		return output.size;
	}
	if (taken > left)
		taken = left;
	while (i < output.size) {
		size_t plain = valid ? plain_run(output, i, true) : 0, bytes = 1;
		uint64_t cost;

		if (plain > left - taken) {
			i += (size_t)(left - taken);
			i -= utf8_cut(output.data, i);
			taken = left;
			break;
		}
		i += plain;
		taken += plain;
		if (i == output.size)
			break;
		cost = character_cost(output, i, valid, &bytes);
		if (cost > left - taken)
			break;
		taken += cost;
		i += bytes;
	}
	*ret_taken = taken;
	return i;
}

static void write_base64(struct writer *writer, struct bytes data)
{
	char text[1024];
	size_t i;

	writer_raw(writer, "\"", 1);
	for (i = 0; i < data.size; i += sizeof text / 4 * 3) {
		size_t most = sizeof text / 4 * 3;
		size_t part = data.size - i < most ? data.size - i : most;

		writer_raw(writer, text, base64_encode(data.data + i, part, text));
	}
	writer_raw(writer, "\"", 1);
}

/* ---- values ---- */

static void before_value(struct writer *writer)
{
	if (writer->comma)
		writer_raw(writer, ",", 1);
	writer->comma = true;
}

static void json_open(struct writer *writer, const char *bracket)
{
	before_value(writer);
	writer_raw(writer, bracket, 1);
	writer->comma = false;
}

static void json_close(struct writer *writer, const char *bracket)
{
	writer_raw(writer, bracket, 1);
	writer->comma = true;
}

static void json_map_begin(struct writer *writer, uint32_t count)
{
	(void)count;
	json_open(writer, "{");
}

static void json_map_end(struct writer *writer)
{
	json_close(writer, "}");
}

static void json_list_begin(struct writer *writer, uint32_t count)
{
	(void)count;
	json_open(writer, "[");
}

static void json_list_end(struct writer *writer)
{
	json_close(writer, "]");
}

/* Keys are ours: nothing in them needs an escape. */
static void write_key(struct writer *writer, const char *name, const char *suffix)
{
	before_value(writer);
	writer_raw(writer, "\"", 1);
	writer_string(writer, name);
	writer_string(writer, suffix);
	writer_raw(writer, "\":", 2);
	writer->comma = false;
}

static void json_key(struct writer *writer, const char *name)
{
	write_key(writer, name, "");
}

static void write_value(struct writer *writer, const char *text)
{
	before_value(writer);
	writer_string(writer, text);
}

static void json_null(struct writer *writer)
{
	write_value(writer, "null");
}

static void json_boolean(struct writer *writer, bool value)
{
	write_value(writer, value ? "true" : "false");
}

static void json_integer(struct writer *writer, int64_t value)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRId64, value);
	write_value(writer, text);
}

static void json_thousandths(struct writer *writer, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof text, "%" PRIu64 ".%03u", value / 1000, (unsigned)(value % 1000));
	write_value(writer, text);
}

static void json_text(struct writer *writer, struct bytes text)
{
	before_value(writer);
	write_string(writer, text, utf8_valid(text.data, text.size));
}

static void json_output(struct writer *writer, const char *name, struct bytes output)
{
	bool valid = utf8_valid(output.data, output.size);

	before_value(writer);
	write_string(writer, output, valid);
	if (valid)
		return;
	write_key(writer, name, "_base64");
	before_value(writer);
	write_base64(writer, output);
}

const struct writer_ops json_ops = {
	.needs_counts = false,
	.map_begin = json_map_begin,
	.map_end = json_map_end,
	.list_begin = json_list_begin,
	.list_end = json_list_end,
	.key = json_key,
	.null = json_null,
	.boolean = json_boolean,
	.integer = json_integer,
	.thousandths = json_thousandths,
	.text = json_text,
	.output = json_output,
};
