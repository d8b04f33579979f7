/* SPDX-License-Identifier: ISC */
#include "tests/unit/job_text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct text {
	char *at;
	size_t left;
};

static void add(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text->at, text->left, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= text->left)
		n = (int)text->left - 1;
	text->at += n;
	text->left -= (size_t)n;
}

static void add_bytes(struct text *text, struct bytes bytes)
{
	size_t i;

	for (i = 0; i < bytes.size; i++) {
		unsigned char c = (unsigned char)bytes.data[i];

		add(text, c < 0x20 || c > 0x7e ? "\\x%02x" : "%c", c);
	}
}

static void add_words(struct text *text, const char *name, const struct words *words)
{
	size_t i;

	if (!words->count)
		return;
	add(text, " %s=[", name);
	for (i = 0; i < words->count; i++) {
		add(text, "%s", i ? "|" : "");
		add_bytes(text, words->item[i]);
	}
	add(text, "]");
}

static void add_limits(struct text *text, const char *name, const struct limits *limits)
{
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++)
		if (limit_get(limits, &limit_fields[i]))
			add(text, " %s.%s=%" PRIu64, name, limit_fields[i].name,
			    limit_get(limits, &limit_fields[i]));
}

static void add_test(struct text *text, const struct job_test *test)
{
	add(text, " test(");
	add_bytes(text, test->name);
	add(text, ";");
	add_bytes(text, test->input);
	if (test->has_arguments)
		add(text, ";args %zu", test->arguments.count);
	if (test->has_expected) {
		add(text, ";=");
		add_bytes(text, test->expected);
	}
	add(text, ")");
}

void job_text(const struct job *job, char *room, size_t size)
{
	static const char *const compares[] = { "exact", "trailing-space", "tokens", "float" };
	struct text text = { room, size };
	size_t i;

	add(&text, "%s", job->language);
	for (i = 0; i < job->files_count; i++) {
		if (job->files[i].name.size || i) {
			add(&text, " file ");
			add_bytes(&text, job->files[i].name);
			add(&text, "=");
		} else {
			add(&text, " ");
		}
		add_bytes(&text, job->files[i].content);
	}
	if (job->input.size) {
		add(&text, " input=");
		add_bytes(&text, job->input);
	}
	add_words(&text, "arguments", &job->arguments);
	add_words(&text, "options", &job->options);
	add_limits(&text, "run", &job->run);
	add_limits(&text, "build", &job->build);
	if (job->total_ms)
		add(&text, " total_ms=%" PRIu64, job->total_ms);
	if (job->compare != COMPARE_TRAILING_SPACE)
		add(&text, " compare=%s:%g", compares[job->compare], job->compare_float);
	for (i = 0; i < job->tests_count; i++)
		add_test(&text, &job->tests[i]);
	add_words(&text, "collect", &job->collect);
}

void decode_text(enum codec_shape shape, const char *content_type, struct bytes body,
		 char *text, size_t size)
{
	struct codec_request request = {
		.shape = shape,
		.content_type = content_type,
		.body = body,
		.body_max_bytes = 1 << 20,
		.multipart_max_bytes = 8 << 20,
	};
	struct failure failure = { 0 };
	struct codec_echo echo;
	struct arena arena;
	struct job job;

	arena_init(&arena, CODEC_ARENA_BYTES(body.size));
	if (codec_decode(&request, &arena, &job, &echo, &failure) == 0)
		job_text(&job, text, size);
	else
		snprintf(text, size, "%d %s%s%s", failure.http_status, failure.code,
			 failure.field[0] ? " " : "", failure.field);
	arena_reset(&arena);
}
