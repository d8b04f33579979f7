/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/main_class.h"

#include <stdbool.h>
#include <string.h>

#define NAME_MAX_BYTES 100 /* longer ones are no file names of ours */

/* Just enough of the language's lexis: words and single characters, without
 * comments, texts and character constants. */
struct scan {
	const char *at, *end;
};

static bool in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '$';
}

static bool starts(const struct scan *s, const char *text)
{
	size_t size = strlen(text);

	return (size_t)(s->end - s->at) >= size && !memcmp(s->at, text, size);
}

static void skip_past(struct scan *s, const char *mark, bool escapes)
{
	while (s->at < s->end && !starts(s, mark))
		s->at += escapes && *s->at == '\\' && s->end - s->at > 1 ? 2 : 1;
	if (s->at < s->end)
		s->at += strlen(mark);
}

/* Steps over what is not code; true when there was something. */
static bool skip(struct scan *s)
{
	static const struct {
		const char *begin, *end;
		bool escapes;
	} forms[] = {
		{ "//", "\n", false },	     { "/*", "*/", false }, { "\"\"\"", "\"\"\"", true },
		{ "\"", "\"", true }, { "'", "'", true },
	};
	size_t i;

	for (i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (starts(s, forms[i].begin)) {
			s->at += strlen(forms[i].begin);
			skip_past(s, forms[i].end, forms[i].escapes);
			return true;
		}
	return false;
}

/* The next word or character; size 0 at the end. */
static struct bytes next(struct scan *s)
{
	struct bytes token = { s->at, 0 };

	while (s->at < s->end) {
		if (strchr(" \t\n\r\f", *s->at) && *s->at)
			s->at++;
		else if (!skip(s))
			break;
	}
	token.data = s->at;
	while (s->at < s->end && in_word(*s->at))
		s->at++;
	if (s->at == token.data && s->at < s->end)
		s->at++;
	token.size = (size_t)(s->at - token.data);
	return token;
}

static bool is(struct bytes token, const char *text)
{
	return token.size == strlen(text) && !memcmp(token.data, text, token.size);
}

static bool is_type(struct bytes token)
{
	return is(token, "class") || is(token, "interface") || is(token, "enum") ||
	       is(token, "record");
}

struct bytes main_class(struct bytes source)
{
	struct scan s = { source.data, source.data + source.size };
	struct bytes first = { 0 }, with_main = { 0 }, current = { 0 }, token;
	bool is_public = false;
	unsigned depth = 0;

	while ((token = next(&s)).size > 0) {
		if (is(token, "{")) {
			depth++;
		} else if (is(token, "}")) {
			depth -= depth > 0;
			is_public = false;
		} else if (depth == 0 && is(token, ";")) {
			is_public = false;
		} else if (depth == 0 && is(token, "public")) {
			is_public = true;
		} else if (depth == 0 && is_type(token)) {
			current = next(&s);
			if (current.size == 0 || current.size > NAME_MAX_BYTES ||
			    !in_word(current.data[0]))
				break;
			if (is_public)
				return current;
			if (!first.size)
				first = current;
		} else if (depth == 1 && is(token, "main") && !with_main.size &&
			   is(next(&s), "(")) {
			with_main = current;
		}
	}
	return with_main.size ? with_main : first;
}
