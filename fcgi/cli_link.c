/* SPDX-License-Identifier: ISC */
/* Runs as: whoever types. Pure. The page's side of this is www/src/link.js. */
#define _GNU_SOURCE
#include "fcgi/cli_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/base64.h"
#include "fcgi/utf8.h"

#define PLAIN "0" /* the kind of link that is not deflated */

/* Latin 1 as UTF-8: one character for each byte. */
static json_t *as_latin1(const char *bytes, size_t size)
{
	cleanup_free char *text = malloc(2 * size + 1);
	size_t used = 0, i;

	for (i = 0; text && i < size; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c >= 0x80)
			text[used++] = (char)(0xc0 | c >> 6);
		text[used++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3f) : c);
	}
	return text ? json_pack("[s, o]", "latin1", json_stringn(text, used)) : NULL;
}

static void put_bytes(json_t *packed, const char *name, const json_t *text)
{
	const char *bytes = json_string_value(text);
	size_t size = json_string_length(text);

	if (size > 0)
		json_object_set_new(packed, name, utf8_valid(bytes, size)
							  ? json_stringn(bytes, size)
							  : as_latin1(bytes, size));
}

static void put_text(json_t *packed, const char *name, const char *text)
{
	if (text && utf8_valid(text, strlen(text)))
		json_object_set_new(packed, name, json_string(text));
}

/* The page shows one word a line. */
static void put_words(json_t *packed, const char *name, const json_t *words)
{
	cleanup_free char *lines = NULL;
	const json_t *word;
	size_t used = 0, i;

	json_array_foreach(words, i, word) {
		size_t size = json_string_length(word);
		char *grown = realloc(lines, used + size + 2);

		if (!grown)
			return;
		lines = grown;
		if (i > 0)
			lines[used++] = '\n';
		memcpy(lines + used, json_string_value(word), size);
		used += size;
		lines[used] = '\0';
	}
	put_text(packed, name, lines);
}

static char *to_url(const char *text)
{
	char *url = malloc(base64_size(strlen(text)) + 1), *at;

	if (!url)
		return NULL;
	url[base64_encode(text, strlen(text), url)] = '\0';
	for (at = url; *at; at++)
		*at = *at == '+' ? '-' : *at == '/' ? '_' : *at;
	while (at > url && at[-1] == '=')
		*--at = '\0';
	return url;
}

static json_t *pack(const struct cli_options *options, const struct cli_job *job)
{
	const json_t *request = job->request, *code = json_object_get(request, "code");
	json_t *packed = json_object();

	if (!code)
		code = json_object_get(json_array_get(json_object_get(request, "files"), 0),
				       "content");
	put_text(packed, "l", json_string_value(json_object_get(request, "language")));
	put_words(packed, "a", json_object_get(request, "arguments"));
	put_words(packed, "o", json_object_get(request, "options"));
	put_words(packed, "k", json_object_get(request, "collect"));
	put_text(packed, "p", options->compare);
	put_bytes(packed, "c", code);
	put_bytes(packed, "i", json_object_get(request, "input"));
	return packed;
}

char *cli_link(const struct cli_options *options, const struct cli_job *job,
	       const struct remote *remote, struct error *err)
{
	cleanup_free char *text = NULL, *packed = NULL;
	json_t *tree;
	char *link;

	if (options->files.count > 0 || options->limits.count > 0 || options->timeout ||
	    options->tests || options->expect) {
		error_set(err, EINVAL, "a link cannot hold further files, limits or tests");
		return NULL;
	}
	tree = pack(options, job);
	text = json_dumps(tree, JSON_COMPACT);
	json_decref(tree);
	packed = text ? to_url(text) : NULL;
	if (!packed || asprintf(&link, "%s#" PLAIN "%s", remote->url, packed) < 0) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	return link;
}
