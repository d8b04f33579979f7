/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/run.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "fcgi/drive.h"
#include "fcgi/main_class.h"

#define STALE_US	1000000	 /* what sandboxd said of its images may have changed */

/* ---- before anything runs ---- */

static int decode(struct drive *d)
{
	struct request *request = d->visit->request;
	const struct settings *settings = &d->pool->settings;
	const char *type = request_param(request, "CONTENT_TYPE");
	struct codec_request from = {
		.shape = d->visit->shape,
		.content_type = type && *type ? type : NULL,
		.content_encoding = request_param(request, "HTTP_CONTENT_ENCODING"),
		.body_max_bytes = settings->body_max_bytes,
		.multipart_max_bytes = settings->multipart_max_bytes,
	};
	uint64_t most = codec_body_max(from.content_type, from.body_max_bytes,
				       from.multipart_max_bytes);

	if (from.content_encoding && !*from.content_encoding)
		from.content_encoding = NULL;
	if (request_read_body(request, most, &d->failure) < 0)
		return -1;
	from.body = (struct bytes){ request->body.data, request->body.size };
	arena_init(&d->arena, CODEC_ARENA_BYTES(from.body.size));
	if (codec_decode(&from, &d->arena, &d->job, &d->echo, &d->failure) < 0)
		return -1;
	if (d->job.tests_count > 0 && d->job.collect.count > 0)
		return failure_set(&d->failure, 400, NULL, "collect",
				   "files cannot be collected from tests");
	return 0;
}

const struct launch_failure launch_failures[] = {
	[LAUNCH_BUSY] = { 503, "busy", "every slot is busy; nothing ran, try again", 1 },
	[LAUNCH_RELOAD] = { 503, "unavailable",
			    "the languages are being changed; nothing ran, try again", 2 },
	[LAUNCH_REFUSED] = { 500, "internal_error", "the sandbox could not be made; nothing ran",
			     0 },
	[LAUNCH_DOWN] = { 503, "unavailable", "the sandbox is not there; nothing ran, try again",
			  2 },
	[LAUNCH_GONE] = { 500, "lost", "the server stops; the program was ended", 0 },
	[LAUNCH_LOST] = { 500, "lost", "the sandbox broke off; the program may have run", 0 },
};

static int unknown_language(struct drive *d, const char *what)
{
	return failure_set(&d->failure, d->visit->shape == SHAPE_EXECUTE ? 400 : 422,
			   "unknown_language", "language", "the language \"%s\" is not %s",
			   d->job.language, what);
}

static int unavailable(struct drive *d, const struct error *err, const char *message)
{
	log_event(LOG_ERROR, "%s: %s", d->visit->request->id, err->text);
	failure_set(&d->failure, 503, "unavailable", NULL, "%s", message);
	d->failure.retry_after_s = 2;
	return -1;
}

static void look_up(struct drive *d)
{
	d->language = language_find(d->pool->table, d->job.language);
	d->image = d->language ? pool_image(d->pool, d->language) : NULL;
}

int drive_find_language(struct drive *d)
{
	struct error err = ERROR_INIT;
	struct pool *pool = d->pool;

	look_up(d);
	if (!d->image) {
		if (pool_ask_if_older(pool, STALE_US, &err) < 0)
			return unavailable(d, &err, launch_failures[LAUNCH_DOWN].message);
		look_up(d);
	}
	if (!d->image && !pool_agrees(pool)) {
		if (pool_ask(pool, true, &err) == 0 && !pool_agrees(pool))
			error_set(&err, EAGAIN, "sandboxd has other languages than we read");
		if (!pool_agrees(pool))
			return unavailable(d, &err, launch_failures[LAUNCH_RELOAD].message);
		look_up(d);
	}
	if (!d->language)
		return unknown_language(d, "known here");
	if (!d->image)
		return unknown_language(d, "installed here");
	snprintf(d->language_id, sizeof d->language_id, "%s", d->language->id);
	if (pool->versions)
		versions_get(pool->versions, d->language_id, d->version);
	return 0;
}

/* Code rules of a site. They keep nothing out that means to come in: a program can
 * spell a name in too many ways. The box is what holds. */
static int check_deny(struct drive *d)
{
	const struct argv_list *deny = &d->language->deny;
	size_t i, k;

	for (i = 0; i < deny->count; i++) {
		bool found = false;
		regex_t pattern;

		if (regcomp(&pattern, deny->word[i], REG_EXTENDED | REG_ICASE | REG_NOSUB) != 0) {
			log_event(LOG_ERROR, "%s: deny: not a regular expression: %s",
				  d->language_id, deny->word[i]);
			return failure_set(&d->failure, 500, NULL, NULL,
					   "a code rule of this server is broken");
		}
		for (k = 0; k < d->job.files_count && !found; k++) {
			struct bytes code = d->job.files[k].content;
			regmatch_t range = { 0, (regoff_t)code.size };

			found = code.size > 0 &&
				regexec(&pattern, code.data, 1, &range, REG_STARTEND) == 0;
		}
		regfree(&pattern);
		if (found)
			return failure_set(&d->failure, 400, "denied", "code",
					   "Code contains potentially dangerous patterns");
	}
	return 0;
}

/* Every file gets a name; the first one's is the language's own, or its class's. */
static int name_files(struct drive *d)
{
	struct job_file *main_file = &d->job.files[0];
	const char *suffix = strrchr(d->language->file, '.');
	struct bytes class = { 0 };
	char name[JOB_NAME_MAX + 1];
	int size;

	if (d->job.files_count == 0)
		return failure_set(&d->failure, 400, NULL, "code", "code is missing");
	if (main_file->name.size == 0) {
		if (d->language->main_from_class)
			class = main_class(main_file->content);
		if (class.size > 0)
			size = snprintf(name, sizeof name, "%.*s%s", (int)class.size, class.data,
					suffix ? suffix : "");
		else
			size = snprintf(name, sizeof name, "%s", d->language->file);
		main_file->name.data = arena_copy(&d->arena, name, (size_t)size);
		main_file->name.size = (size_t)size;
		if (!main_file->name.data)
			return failure_set(&d->failure, 413, NULL, NULL, "the request is too large");
	}
	d->main_only = (struct job_file){ .name = main_file->name };
	return 0;
}

static int enter_key(struct drive *d)
{
	const struct key *key = d->visit->key;

	if (!key || !key->concurrency)
		return 0;
	if (!d->pool->metrics)
		return failure_set(&d->failure, 404, NULL, NULL,
				   "a key with a cap on its requests cannot be used by CGI");
	if (metrics_key_enter(d->pool->metrics, d->pool->row, key->id, key->concurrency))
		return 0;
	failure_set(&d->failure, 429, "key_busy", NULL,
		    "this API key has as many requests under way as it may have");
	d->failure.retry_after_s = 1;
	return -1;
}

static int prepare(struct drive *d)
{
	d->policy = d->pool->settings.policy;
	if (d->visit->key)
		key_lower(d->visit->key, &d->policy);
	if (decode(d) < 0)
		return -1;
	d->visit->line.language = d->job.language;
	d->visit->line.code_bytes = d->job.files_count ? d->job.files[0].content.size : 0;
	if (drive_find_language(d) < 0)
		return -1;
	if (codec_limits(&d->policy, d->language, &d->job, &d->echo, &d->run_limits,
			 &d->build_limits, &d->total_ms, &d->failure) < 0)
		return -1;
	if (name_files(d) < 0 || check_deny(d) < 0 || enter_key(d) < 0)
		return -1;
	d->deadline_us = d->visit->request->start_us + d->total_ms * 1000;
	return 0;
}

/* ---- from its first stage to its answer ---- */

static void drive_done(struct drive *d)
{
	size_t i;

	launch_close(&d->launch);
	launch_result_free(&d->build);
	launch_result_free(&d->run);
	for (i = 0; d->tests && i < d->job.tests_count; i++)
		launch_result_free(&d->tests[i]);
	if (d->pool->metrics)
		metrics_key_leave(d->pool->metrics, d->pool->row);
	arena_reset(&d->arena);
}

void run_visit(struct visit *visit)
{
	static struct drive drive; /* large, and one at a time */
	struct drive *d = &drive;
	struct sink sink = request_sink(visit->request);
	uint64_t most = visit->pool->settings.answer_max_bytes;

	memset(d, 0, sizeof *d);
	d->visit = visit;
	d->pool = visit->pool;
	visit->echo = &d->echo;
	d->launch = (struct launch)LAUNCH_INIT;
	d->test = -1;
	d->streaming = answer_is_stream(visit->format);
	if (d->streaming)
		stream_init(&d->stream, visit->format, &sink, most);
	else
		answer_room_init(&d->room, visit->format, most);
	if (prepare(d) < 0) {
		drive_fail(d);
	} else {
		int rc = drive_stages(d);

		/* the slot is free before the answer is written */
		launch_close(&d->launch);
		drive_state(d, WORKER_BUSY);
		drive_fill_answer(d);
		if (rc == 0)
			drive_conclude(d);
		else
			drive_fail(d);
	}
	visit->line.language = NULL;
	if (d->job.language[0]) {
		static char name[JOB_LANGUAGE_MAX + 1];

		snprintf(name, sizeof name, "%s",
			 d->language_id[0] ? d->language_id : d->job.language);
		visit->line.language = name;
	}
	drive_done(d);
}

void run_handle(struct visit *visit)
{
	struct failure failure = { 0 };

	visit->shape = SHAPE_RUN;
	if (codec_accept(request_param(visit->request, "HTTP_ACCEPT"), &visit->format) < 0) {
		visit->format = ANSWER_JSON;
		failure_set(&failure, 406, NULL, NULL,
			    "none of the accepted media types can be given");
		visit_fail(visit, &failure);
		return;
	}
	run_visit(visit);
}
