/* SPDX-License-Identifier: ISC */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/utf8.h"
#include "tests/fuzz/fuzz.h"

static void promise(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "broken promise: %s\n", what);
	abort();
}

/* Reads every byte, for the sanitizer to see. */
static void touch(struct bytes bytes)
{
	volatile char sum = 0;
	size_t i;

	for (i = 0; i < bytes.size; i++)
		sum = (char)(sum ^ bytes.data[i]);
}

static void check_words(const struct words *words)
{
	size_t i;

	promise(words->count <= JOB_WORDS_MAX, "not too many words");
	for (i = 0; i < words->count; i++) {
		touch(words->item[i]);
		promise(!words->item[i].size ||
				!memchr(words->item[i].data, '\0', words->item[i].size),
			"no NUL in a word");
	}
}

static void check_job(const struct job *job)
{
	size_t i;

	promise(job_language_valid(job->language, strlen(job->language)), "a language");
	promise(job->files_count >= 1 && job->files_count <= JOB_FILES_MAX, "a program");
	for (i = 0; i < job->files_count; i++) {
		const struct bytes *name = &job->files[i].name;

		promise((i == 0 && !name->size) || job_name_valid(name->data, name->size),
			"valid file names");
		touch(job->files[i].content);
	}
	touch(job->input);
	check_words(&job->arguments);
	check_words(&job->options);
	check_words(&job->collect);
	promise(job->tests_count <= JOB_TESTS_MAX, "not too many tests");
	for (i = 0; i < job->tests_count; i++) {
		touch(job->tests[i].name);
		touch(job->tests[i].input);
		touch(job->tests[i].expected);
		check_words(&job->tests[i].arguments);
	}
}

static void decode(enum codec_shape shape, const char *content_type, struct bytes body)
{
	struct codec_request request = { shape, content_type, NULL, body, 1 << 20, 8 << 20 };
	struct failure failure = { 0 };
	struct codec_echo echo;
	struct arena arena;
	struct job job;

	arena_init(&arena, CODEC_ARENA_BYTES(body.size));
	if (codec_decode(&request, &arena, &job, &echo, &failure) == 0) {
		check_job(&job);
	} else {
		promise(failure.http_status == 400 || failure.http_status == 413 ||
				failure.http_status == 415,
			"a refusal is 400, 413 or 415");
		promise(failure.message[0] &&
				utf8_valid(failure.message, strlen(failure.message)),
			"a refusal has a message");
	}
	touch(echo.language);
	touch(echo.code);
	touch(echo.input);
	touch(echo.arguments);
	touch(echo.options);
	touch(echo.timeout);
	arena_reset(&arena);
}

void fuzz_decode(const char *content_type, const uint8_t *data, size_t size)
{
	struct bytes body = { (const char *)data, size };

	decode(SHAPE_RUN, content_type, body);
	decode(SHAPE_EXECUTE, content_type, body);
}
