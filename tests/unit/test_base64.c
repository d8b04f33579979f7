/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "common/io.h"
#include "fcgi/base64.h"
#include "tests/tap.h"

static const struct {
	const char *data;
	size_t size;
	const char *text;
} pairs[] = {
	{ "", 0, "" },		     { "f", 1, "Zg==" },	 { "fo", 2, "Zm8=" },
	{ "foo", 3, "Zm9v" },	     { "foob", 4, "Zm9vYg==" },	 { "fooba", 5, "Zm9vYmE=" },
	{ "foobar", 6, "Zm9vYmFy" }, { "\0\0\0", 3, "AAAA" },	 { "\xff\xff\xff", 3, "////" },
	{ "\xfb\xef\xbe", 3, "++++" },
};

static const struct {
	const char *text;
	int size; /* of what it means; -1: refused */
} texts[] = {
	{ "Zg", 1 },	   { "Zm8", 2 },   { "Z", -1 },	      { "Zg=", -1 },	{ "Zg===", -1 },
	{ "=", -1 },	   { "====", -1 }, { "Zm9v=", -1 },   { "Zm 9v", -1 },	{ "Zm9v\n", -1 },
	{ "Zm-_", -1 },	   { "Zh==", -1 }, { "Zm9=", -1 },    { "Zg==Zg==", -1 },
	{ "Z===", -1 },	   { "\xc3\xa9\xc3\xa9", -1 },	      { "AA==", 1 },	{ "AB", -1 },
};

int main(void)
{
	char all[256], text[400], back[400];
	size_t i, size;

	for (i = 0; i < ARRAY_LEN(pairs); i++) {
		size = base64_encode(pairs[i].data, pairs[i].size, text);
		tap_ok(size == strlen(pairs[i].text) && size == base64_size(pairs[i].size) &&
			       memcmp(text, pairs[i].text, size) == 0,
		       "%s is written", pairs[i].text);
		tap_ok(base64_decode(pairs[i].text, strlen(pairs[i].text), back, &size) == 0 &&
			       size == pairs[i].size && memcmp(back, pairs[i].data, size) == 0,
		       "%s is read", pairs[i].text);
	}
	for (i = 0; i < ARRAY_LEN(texts); i++) {
		int rc = base64_decode(texts[i].text, strlen(texts[i].text), back, &size);

		tap_ok(texts[i].size < 0 ? rc < 0 : rc == 0 && size == (size_t)texts[i].size,
		       "text %zu is %s", i, texts[i].size < 0 ? "refused" : "read");
	}
	for (i = 0; i < sizeof all; i++)
		all[i] = (char)i;
	size = base64_encode(all, sizeof all, text);
	tap_ok(base64_decode(text, size, back, &size) == 0 && size == sizeof all &&
		       memcmp(back, all, size) == 0,
	       "all bytes there and back");
	return tap_done();
}
