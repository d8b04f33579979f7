/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "common/io.h"
#include "fcgi/compare.h"
#include "tests/tap.h"

static const struct {
	const char *how, *got, *expected;
	bool equal;
} rows[] = {
	{ "exact", "a\n", "a\n", true },
	{ "exact", "a", "a\n", false },
	{ "exact", "", "", true },
	{ "exact", "a", "b", false },

	{ "trailing-space", "a\n", "a", true },
	{ "trailing-space", "a", "a\n\n\n", true },
	{ "trailing-space", "a  \nb\t\n", "a\nb", true },
	{ "trailing-space", "a\r\nb\r\n", "a\nb\n", true },
	{ "trailing-space", "", "\n \n", true },
	{ "trailing-space", "a\n\nb", "a\n\nb\n", true },
	{ "trailing-space", "a\nb", "a\n\nb", false },
	{ "trailing-space", " a", "a", false },
	{ "trailing-space", "a b", "a  b", false },
	{ "trailing-space", "a", "a\nb", false },
	{ "trailing-space", "", "a", false },
	{ "trailing-space", "a\n", "", false },

	{ "tokens", " a \n\tb", "a b\n", true },
	{ "tokens", "", " \n", true },
	{ "tokens", "a b", "ab", false },
	{ "tokens", "a b", "a b c", false },
	{ "tokens", "a b c", "a b", false },
	{ "tokens", "1.0", "1.00", false },

	{ "float:1e-6", "1.0000001 x", "1 x", true },
	{ "float:1e-6", "1.00001", "1", false },
	{ "float:1e-6", "1000000.5", "1000000", true },
	{ "float:1e-6", "1e3", "1000.0", true },
	{ "float:1e-6", "-0", "0", true },
	{ "float:1e-6", "nan", "nan", true },
	{ "float:1e-6", "nan", "1", false },
	{ "float:1e-6", "0x1", "1", false },
	{ "float:1e-6", "1 2", "1", false },
	{ "float:0", "0.10", "0.1", true },
	{ "float:0.5", "1.4", "1", true },
	{ "float:1e-6", "1e999", "1e999", true },
	{ "float:1e-6", "1e999", "2e999", false },
};

static const struct {
	const char *text;
	bool good;
} ways[] = {
	{ "exact", true },	{ "trailing-space", true }, { "tokens", true },
	{ "float:1e-6", true }, { "float:0", true },	    { "float:.5", true },
	{ "", false },		{ "Exact", false },	    { "exact ", false },
	{ "float", false },	{ "float:", false },	    { "float:x", false },
	{ "float:-1", false },	{ "float:nan", false },	    { "float:inf", false },
	{ "float:1e999", false }, { "float:1 ", false },    { "float:0x1", false },
};

static struct bytes bytes_of(const char *text)
{
	return (struct bytes){ *text ? text : NULL, strlen(text) };
}

int main(void)
{
	enum compare compare;
	double tolerance;
	size_t i;

	tap_plan(ARRAY_LEN(rows) + ARRAY_LEN(ways) + 1);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		if (compare_parse(rows[i].how, strlen(rows[i].how), &compare, &tolerance) < 0)
			abort();
		tap_ok(compare_output(compare, tolerance, bytes_of(rows[i].got),
				      bytes_of(rows[i].expected)) == rows[i].equal,
		       "row %zu: %s: %s", i, rows[i].how, rows[i].equal ? "equal" : "not equal");
	}
	for (i = 0; i < ARRAY_LEN(ways); i++)
		tap_ok((compare_parse(ways[i].text, strlen(ways[i].text), &compare,
				      &tolerance) == 0) == ways[i].good,
		       "\"%s\" is %s", ways[i].text, ways[i].good ? "a way" : "none");
	tap_ok(!compare_output(COMPARE_EXACT, 0, (struct bytes){ "a\0b", 3 },
			       (struct bytes){ "a\0c", 3 }),
	       "bytes behind a NUL count");
	return tap_done();
}
