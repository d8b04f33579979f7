/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "common/io.h"
#include "fcgi/utf8.h"
#include "tests/tap.h"

/* valid: the whole text; first: bytes of the first character, or minus the bytes that
 * one U+FFFD stands for; cut: bytes at the end that begin a character. */
static const struct {
	const char *name, *text;
	size_t size;
	bool valid;
	int first;
	size_t cut;
} rows[] = {
	{ "nothing", "", 0, true, 0, 0 },
	{ "ASCII", "a", 1, true, 1, 0 },
	{ "NUL", "\0", 1, true, 1, 0 },
	{ "ASCII of many bytes", "0123456789abcdefghijk", 21, true, 1, 0 },
	{ "DEL", "\x7f", 1, true, 1, 0 },
	{ "two bytes", "\xc3\xa9", 2, true, 2, 0 },
	{ "the least of two bytes", "\xc2\x80", 2, true, 2, 0 },
	{ "three bytes", "\xe2\x82\xac", 3, true, 3, 0 },
	{ "the least of three bytes", "\xe0\xa0\x80", 3, true, 3, 0 },
	{ "before the surrogates", "\xed\x9f\xbf", 3, true, 3, 0 },
	{ "behind the surrogates", "\xee\x80\x80", 3, true, 3, 0 },
	{ "U+FFFF", "\xef\xbf\xbf", 3, true, 3, 0 },
	{ "four bytes", "\xf0\x9f\x98\x80", 4, true, 4, 0 },
	{ "the least of four bytes", "\xf0\x90\x80\x80", 4, true, 4, 0 },
	{ "U+10FFFF", "\xf4\x8f\xbf\xbf", 4, true, 4, 0 },
	{ "a continuation alone", "\x80", 1, false, -1, 0 },
	{ "four continuations", "\x80\x80\x80\x80", 4, false, -1, 0 },
	{ "overlong NUL", "\xc0\x80", 2, false, -1, 0 },
	{ "overlong slash", "\xc1\xaf", 2, false, -1, 0 },
	{ "overlong of three", "\xe0\x80\xaf", 3, false, -1, 0 },
	{ "overlong of four", "\xf0\x80\x80\xaf", 4, false, -1, 0 },
	{ "a surrogate", "\xed\xa0\x80", 3, false, -1, 0 },
	{ "beyond U+10FFFF", "\xf4\x90\x80\x80", 4, false, -1, 0 },
	{ "five bytes", "\xf8\x88\x80\x80\x80", 5, false, -1, 0 },
	{ "0xff", "\xff", 1, false, -1, 0 },
	{ "cut after one of two", "a\xc3", 2, false, 1, 1 },
	{ "cut after one of three", "\xe2", 1, false, -1, 1 },
	{ "cut after two of three", "\xe2\x82", 2, false, -2, 2 },
	{ "cut after three of four", "\xf0\x9f\x98", 3, false, -3, 3 },
	{ "cut, and wrong already", "\xe0\x80", 2, false, -1, 0 },
	{ "broken by a letter", "\xe2\x82" "a", 3, false, -2, 0 },
	{ "broken by another beginning", "\xe2\x82\xc3", 3, false, -2, 1 },
	{ "good, then cut", "\xc3\xa9\xf0\x9f", 4, false, 2, 2 },
	{ "bad byte behind eight good ones", "01234567\xff", 9, false, 1, 0 },
};

int main(void)
{
	size_t i;

	tap_plan(3 * ARRAY_LEN(rows));
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		size_t bad = 0, next;

		tap_ok(utf8_valid(rows[i].text, rows[i].size) == rows[i].valid, "%s: %s",
		       rows[i].name, rows[i].valid ? "valid" : "not valid");
		tap_ok(utf8_cut(rows[i].text, rows[i].size) == rows[i].cut, "%s: %zu cut",
		       rows[i].name, rows[i].cut);
		if (!rows[i].size) {
			tap_ok(utf8_cut("", 0) == 0, "%s: no character", rows[i].name);
			continue;
		}
		next = utf8_next(rows[i].text, rows[i].size, &bad);
		tap_ok((next ? (int)next : -(int)bad) == rows[i].first, "%s: first is %d",
		       rows[i].name, rows[i].first);
	}
	return tap_done();
}
