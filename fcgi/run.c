/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/run.h"

#include <errno.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/arena.h"
#include "common/io.h"
#include "common/log.h"
#include "fcgi/codec.h"
#include "fcgi/launch.h"
#include "fcgi/main_class.h"
#include "fcgi/stream.h"

#define TICK_US		500000	 /* how soon a server that stops is noticed */
#define NEXT_STAGE_US	10000000 /* how long the box of a later stage may take */
#define AGAIN_MS	20	 /* between two tries to get a box */
#define LEAST_WAIT_US	20000	 /* enough for a slot that is free */
#define STALE_US	1000000	 /* what sandboxd said of its images may have changed */

/* Everything about one request while it is driven through its stages. */
struct drive {
	struct visit *visit;
	struct pool *pool;
	struct arena arena;
	struct job job;
	struct codec_echo echo;
	struct failure failure; /* http_status 0 while there is none */

	char language_id[JOB_LANGUAGE_MAX + 1];
	char version[VERSIONS_TEXT];
	const struct language *language;
	const char *image;
	struct limits_policy policy;
	struct limits run_limits, build_limits;
	uint64_t total_ms, deadline_us;
	struct job_file main_only; /* names the main file where it lies in the tree already */

	struct launch launch;
	struct launch_result build, run, *tests; /* tests: one for each */
	struct answer answer;
	struct answer_room room;
	uint64_t drive_start_us, wait_start_us; /* the second with the time at our door */
	bool taken;	/* a box was ours: from now on something may have run */
	bool cancelled; /* the server stops */

	bool streaming, head_sent;
	struct stream stream;
	enum stage stage;
	int test;		/* -1: none */
	struct buffer *gathered; /* where a streamed test's stdout is kept as well */
	uint64_t said_us;	/* when the stream last said something */
};

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

/* How a launch that brought no verdict is answered. */
static const struct {
	int http_status;
	const char *code, *message;
	unsigned retry_after_s;
} launch_failures[] = {
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

/* Finds language and image. What we know of both may be old, so a "no" is asked for
 * again before it is passed on. */
static int find_language(struct drive *d)
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
	if (find_language(d) < 0)
		return -1;
	if (codec_limits(&d->policy, d->language, &d->job, &d->echo, &d->run_limits,
			 &d->build_limits, &d->total_ms, &d->failure) < 0)
		return -1;
	if (name_files(d) < 0 || check_deny(d) < 0 || enter_key(d) < 0)
		return -1;
	d->deadline_us = d->visit->request->start_us + d->total_ms * 1000;
	return 0;
}

/* ---- while it runs ---- */

static void state(struct drive *d, enum worker_state state)
{
	if (d->pool->metrics)
		metrics_state(d->pool->metrics, d->pool->row, state);
}

static int say(struct drive *d, int rc)
{
	d->said_us = clock_us();
	return rc < 0 || request_flush(d->visit->request) < 0 ? -1 : 0;
}

static void print_head(struct drive *d, const struct answer *answer)
{
	struct request *request = d->visit->request;
	struct answer_head head;
	size_t i;

	answer_head_set(&head, d->visit->shape, d->visit->format, answer);
	request_head(request, head.http_status, head.content_type);
	for (i = 0; i < head.lines_count; i++)
		request_head_line(request, head.line[i].name, head.line[i].value);
	request_head_end(request);
	d->head_sent = true;
}

static const char *version_known(const struct drive *d)
{
	return d->version[0] ? d->version : NULL;
}

/* A box is ours. Only now does a stream begin: until now it could still be 503. */
static void on_taken(void *data)
{
	struct drive *d = data;
	int rc = 0;

	state(d, WORKER_RUNNING);
	if (!d->taken) {
		d->taken = true;
		d->answer.queue_us = clock_us() - d->wait_start_us;
		if (d->streaming) {
			print_head(d, NULL);
			rc = stream_start(&d->stream, d->visit->request->id, d->language_id,
					  version_known(d));
		}
	}
	if (d->streaming)
		say(d, rc < 0 ? rc : stream_stage(&d->stream, d->stage, d->test));
}

static int on_output(void *data, enum launch_stream which, const char *bytes, size_t size)
{
	struct drive *d = data;

	if (d->gathered && which == LAUNCH_STDOUT) {
		if (buffer_reserve(d->gathered, size) < 0)
			return -1;
		memcpy(d->gathered->data + d->gathered->size, bytes, size);
		d->gathered->size += size;
	}
	return say(d, stream_output(&d->stream, which, bytes, size));
}

static int on_tick(void *data)
{
	struct drive *d = data;
	sigset_t pending;

	/* the master's last word to a worker that takes too long to end; blocked while
	 * there is a request, so that it waits here */
	if (sigpending(&pending) == 0 && sigismember(&pending, SIGTERM)) {
		d->cancelled = true;
		return -1;
	}
	if (d->head_sent && d->streaming &&
	    clock_us() - d->said_us >= d->pool->settings.heartbeat_ms * 1000)
		return say(d, stream_heartbeat(&d->stream));
	return d->visit->request->gone ? -1 : 0;
}

struct step {
	enum stage stage;
	uint32_t flags;
	struct bytes input;
	const struct words *arguments, *collect;
	int test;
};

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Until when a box is waited for: the first one as long as a request may wait, the time
 * at our door included, but long enough for an idle slot to take it; a later one as
 * long as a healthy sandboxd could take. */
static uint64_t wait_end_us(const struct drive *d)
{
	uint64_t end = d->taken ? clock_us() + NEXT_STAGE_US
				: larger(d->wait_start_us + d->pool->settings.queue_max_ms * 1000,
					 d->drive_start_us + LEAST_WAIT_US);

	return end < d->deadline_us ? end : d->deadline_us;
}

static enum launch_end launch_once(struct drive *d, const struct step *step,
				   struct launch_result *result, struct error *err)
{
	bool on_tree = step->flags & WIRE_ON_TREE;
	bool built = d->language->argv[STAGE_BUILD].count > 0;
	uint64_t run_memory = d->run_limits.memory_bytes, now = clock_us(), end = wait_end_us(d);
	struct launch_stage stage = {
		.id = d->visit->request->id,
		.language = d->language_id,
		.table_hash = d->pool->table->hash,
		.stage = step->stage,
		.flags = step->flags,
		.limits = step->stage == STAGE_BUILD ? d->build_limits : d->run_limits,
		.reserve_bytes = built ? larger(run_memory, d->build_limits.memory_bytes)
				       : run_memory,
		.cache_domain = d->visit->key ? d->visit->key->id : 0,
		.files = on_tree ? &d->main_only : d->job.files,
		.files_count = on_tree ? 1 : d->job.files_count,
		.options = &d->job.options,
		.arguments = step->arguments,
		.collect = step->collect,
		.input = step->input,
		.wait_us = end > now ? end - now : 0,
		.deadline_us = d->deadline_us,
		.client_fd = d->visit->request->client_fd,
		.on_taken = on_taken,
		.on_output = d->streaming ? on_output : NULL,
		.on_tick = on_tick,
		.tick_us = TICK_US,
		.data = d,
	};

	return launch_run(&d->launch, d->pool->settings.run_directory, d->image, &stage, result,
			  err);
}

/* A moment's rest before asking again; false when the client left meanwhile. */
static bool pause_a_moment(const struct drive *d)
{
	struct pollfd client = { d->visit->request->client_fd, POLLRDHUP, 0 };

	return poll(&client, 1, AGAIN_MS) == 0;
}

/* What nothing came of, because sandboxd is being started again, has other languages
 * or images than we knew of, or has no memory left just now, may be asked for again. */
static enum launch_end launch_again(struct drive *d, const struct step *step,
				    struct launch_result *result, enum launch_end end,
				    struct error *err)
{
	launch_result_free(result);
	memset(result, 0, sizeof *result);
	if (end != LAUNCH_BUSY) {
		if (pool_ask(d->pool, end == LAUNCH_RELOAD, err) < 0)
			return LAUNCH_DOWN;
		if (find_language(d) < 0)
			return LAUNCH_RELOAD;
	}
	return launch_once(d, step, result, err);
}

static enum launch_end launch_step(struct drive *d, const struct step *step,
				   struct launch_result *result)
{
	struct error err = ERROR_INIT;
	enum launch_end end;
	bool first = true;

	d->stage = step->stage;
	d->test = step->test;
	end = launch_once(d, step, result, &err);
	while (!d->taken && !d->failure.http_status && clock_us() < wait_end_us(d) &&
	       (end == LAUNCH_RELOAD || end == LAUNCH_DOWN || end == LAUNCH_BUSY)) {
		/* most often it is but the language table or an image's name */
		if ((!first || end == LAUNCH_BUSY) && !pause_a_moment(d))
			return LAUNCH_GONE;
		first = false;
		end = launch_again(d, step, result, end, &err);
	}
	if (end != LAUNCH_DONE && end != LAUNCH_BUSY && end != LAUNCH_GONE)
		log_event(LOG_ERROR, "%s: %s", d->visit->request->id, err.text);
	return end;
}

/* Always -1. Once something ran, no answer may say that nothing did. */
static int fail_launch(struct drive *d, enum launch_end end)
{
	if (end == LAUNCH_GONE && !d->cancelled) {
		d->visit->request->gone = true;
		return -1;
	}
	if (d->failure.http_status)
		return -1;
	if (d->taken && end != LAUNCH_GONE)
		end = LAUNCH_LOST;
	failure_set(&d->failure, launch_failures[end].http_status, launch_failures[end].code, NULL,
		    "%s", launch_failures[end].message);
	d->failure.retry_after_s = launch_failures[end].retry_after_s;
	return -1;
}

/* An output that was cut to what the answer can hold must not keep the memory. */
static void give_back(struct stage_result *result, struct launch_result *from)
{
	size_t i;

	for (i = 0; i < LAUNCH_STREAMS; i++) {
		struct buffer *buffer = &from->output[i];
		size_t size = result->output[i].size;
		char *smaller;

		if (size == 0) {
			buffer_free(buffer);
			result->output[i].data = NULL;
		} else if (buffer->room > 2 * size && buffer->room > 65536) {
			smaller = realloc(buffer->data, size);
			if (!smaller)
				continue;
			buffer->data = smaller;
			buffer->room = buffer->size = size;
			result->output[i].data = smaller;
		}
	}
}

static uint64_t known(uint64_t value)
{
	return value == USAGE_UNKNOWN ? 0 : value;
}

/* What every stage has in common once its verdict is there. */
static void stage_ended(struct drive *d, const struct stage_result *result,
			const struct launch_result *from)
{
	struct access_line *line = &d->visit->line;
	size_t i;

	d->answer.setup_us += from->verdict.setup_us;
	for (i = 0; i < LAUNCH_STREAMS; i++) {
		line->output_bytes += from->seen_bytes[i];
		if (result->dropped_bytes[i] && d->pool->metrics)
			metrics_add(d->pool->metrics, COUNT_TRUNCATED, 1);
	}
	line->cpu_us += known(result->usage.cpu_us);
	line->memory_peak_bytes =
		larger(line->memory_peak_bytes, known(result->usage.memory_peak_bytes));
	if (d->pool->metrics) {
		metrics_observe(d->pool->metrics, HISTOGRAM_SETUP, from->verdict.setup_us);
		metrics_observe(d->pool->metrics,
				d->stage == STAGE_BUILD ? HISTOGRAM_COMPILE : HISTOGRAM_RUN,
				known(result->usage.wall_us));
		if (result->usage.memory_peak_bytes != USAGE_UNKNOWN)
			metrics_observe(d->pool->metrics, HISTOGRAM_MEMORY,
					result->usage.memory_peak_bytes);
		if (from->verdict.exited && !from->verdict.exec_errno &&
		    from->verdict.cause == CAUSE_NONE)
			metrics_ran_well(d->pool->metrics);
	}
}

/* After the result is set: out with it in a stream, room for it in an answer. */
static int keep(struct drive *d, struct stage_result *result, struct launch_result *from)
{
	if (d->streaming)
		return say(d, stream_stage_end(&d->stream, result));
	answer_keep(&d->room, result);
	give_back(result, from);
	return 0;
}

static int run_build(struct drive *d)
{
	struct step step = { .stage = STAGE_BUILD,
			     .flags = WIRE_KEEP_TREE | WIRE_MORE,
			     .test = -1 };
	enum launch_end end = launch_step(d, &step, &d->build);

	if (end != LAUNCH_DONE)
		return fail_launch(d, end);
	d->answer.has_compile = true;
	stage_result_set(&d->answer.compile, &d->build, STAGE_BUILD, &d->build_limits);
	d->answer.compile.cached = d->build.verdict.cached;
	stage_ended(d, &d->answer.compile, &d->build);
	d->answer.compile_us = known(d->answer.compile.usage.wall_us);
	return keep(d, &d->answer.compile, &d->build);
}

static int run_program(struct drive *d, uint32_t flags)
{
	struct step step = { .stage = STAGE_RUN,
			     .flags = flags,
			     .input = d->job.input,
			     .arguments = &d->job.arguments,
			     .collect = &d->job.collect,
			     .test = -1 };
	enum launch_end end = launch_step(d, &step, &d->run);

	if (end != LAUNCH_DONE)
		return fail_launch(d, end);
	d->answer.has_run = true;
	stage_result_set(&d->answer.run, &d->run, STAGE_RUN, &d->run_limits);
	stage_ended(d, &d->answer.run, &d->run);
	d->answer.run_us = known(d->answer.run.usage.wall_us);
	if (keep(d, &d->answer.run, &d->run) < 0)
		return -1;
	if (d->job.collect.count == 0)
		return 0;
	d->answer.has_files = true;
	if (answer_collect(&d->answer, &d->job.collect, &d->run.collected, &d->arena) < 0)
		return failure_set(&d->failure, 500, NULL, NULL, "out of memory");
	return 0;
}

/* One test that has a verdict. */
static int end_test(struct drive *d, size_t i)
{
	struct test_result *test = &d->answer.tests[i];
	struct launch_result *from = &d->tests[i];
	int rc;

	test_result_set(test, &d->job, i, from, &d->run_limits);
	stage_ended(d, &test->result, from);
	d->answer.run_us += known(test->result.usage.wall_us);
	rc = keep(d, &test->result, from);
	if (d->streaming && rc == 0)
		rc = say(d, stream_test(&d->stream, i, test));
	if (d->streaming)
		launch_result_free(from);
	return rc;
}

static int skip_test(struct drive *d, size_t i)
{
	test_result_skip(&d->answer.tests[i], &d->job, i);
	return d->streaming ? say(d, stream_test(&d->stream, i, &d->answer.tests[i])) : 0;
}

/* The box broke under a test: this one is ours to answer for, and the connection with
 * its tree is gone for the others. */
static int break_test(struct drive *d, size_t i)
{
	struct test_result *test = &d->answer.tests[i];

	test_result_skip(test, &d->job, i);
	test->result.status = STATUS_INTERNAL_ERROR;
	snprintf(test->result.message, sizeof test->result.message, "%s",
		 launch_failures[LAUNCH_LOST].message);
	d->deadline_us = 0;
	return d->streaming ? say(d, stream_test(&d->stream, i, test)) : 0;
}

static enum launch_end launch_test(struct drive *d, size_t i, uint32_t flags)
{
	const struct job_test *test = &d->job.tests[i];
	struct step step = {
		.stage = STAGE_RUN,
		.flags = flags | (i + 1 < d->job.tests_count ? WIRE_MORE : 0),
		.input = test->input,
		.arguments = test->has_arguments ? &test->arguments : &d->job.arguments,
		.test = (int)i,
	};
	struct buffer gathered = { 0 };
	enum launch_end end;

	/* what is streamed must be kept as well when it is to be compared */
	d->gathered = d->streaming && test->has_expected ? &gathered : NULL;
	end = launch_step(d, &step, &d->tests[i]);
	if (d->gathered)
		d->tests[i].output[LAUNCH_STDOUT] = gathered;
	d->gathered = NULL;
	return end;
}

static int run_tests(struct drive *d, uint32_t flags)
{
	size_t count = d->job.tests_count, i;
	int rc = 0;

	d->tests = arena_alloc(&d->arena, count, sizeof *d->tests);
	d->answer.tests = arena_alloc(&d->arena, count, sizeof *d->answer.tests);
	if (!d->tests || !d->answer.tests)
		return failure_set(&d->failure, 413, NULL, "tests", "too many tests");
	d->answer.tests_count = count;
	for (i = 0; i < count && rc == 0; i++) {
		enum launch_end end;

		if (d->taken && clock_us() >= d->deadline_us) {
			rc = skip_test(d, i);
			continue;
		}
		end = launch_test(d, i, flags);
		if (end == LAUNCH_DONE)
			rc = end_test(d, i);
		else if (end == LAUNCH_GONE || !d->taken || i == 0)
			rc = fail_launch(d, end);
		else
			rc = break_test(d, i);
	}
	return rc;
}

static int run_stages(struct drive *d)
{
	uint32_t flags = 0;

	d->drive_start_us = clock_us();
	d->wait_start_us = d->drive_start_us - d->visit->request->waited_us;
	state(d, WORKER_WAITING);
	d->answer.has_compile_limits = d->language->argv[STAGE_BUILD].count > 0;
	if (d->answer.has_compile_limits) {
		if (run_build(d) < 0)
			return -1;
		if (d->answer.compile.status != STATUS_SUCCESS)
			return 0;
		flags = WIRE_ON_TREE;
		d->visit->line.compile_cached = d->build.verdict.cached;
		if (d->build.verdict.cached && d->pool->metrics)
			metrics_add(d->pool->metrics, COUNT_CACHED, 1);
		/* what a compiler said would be lost with a cached build */
		if (!d->build.seen_bytes[LAUNCH_STDOUT] && !d->build.seen_bytes[LAUNCH_STDERR])
			flags |= WIRE_QUIET;
	}
	return d->job.tests_count ? run_tests(d, flags) : run_program(d, flags);
}

/* ---- after it ran ---- */

static void fill_answer(struct drive *d)
{
	struct answer *answer = &d->answer;

	answer->id = d->visit->request->id;
	answer->language = d->language_id;
	answer->version = version_known(d);
	answer->run_limits = d->run_limits;
	answer->compile_limits = d->build_limits;
	answer->total_ms = d->total_ms;
	answer->cgroup_mode = (enum cgroup_mode)d->pool->info->cgroup_mode;
	answer->enforced = d->pool->info->enforced;
}

static void note(struct drive *d, enum status status)
{
	struct access_line *line = &d->visit->line;
	struct metrics *m = d->pool->metrics;

	line->has_verdict = true;
	line->verdict = status;
	line->queue_us = d->answer.queue_us;
	line->setup_us = d->answer.setup_us;
	line->compile_us = d->answer.compile_us;
	line->run_us = d->answer.run_us;
	line->memory_limit_bytes = d->run_limits.memory_bytes;
	line->tests_count = d->job.tests_count;
	if (d->answer.has_run) {
		line->exited = d->answer.run.exited;
		line->exit_code = d->answer.run.exit_code;
		line->signal = d->answer.run.signal;
	}
	if (!m)
		return;
	metrics_run(m, versions_slot(d->pool->versions, d->language_id), status);
	metrics_add(m, COUNT_RUNS, 1);
	metrics_observe(m, HISTOGRAM_QUEUE, d->answer.queue_us);
}

static void answer_whole(struct drive *d)
{
	struct sink sink = request_sink(d->visit->request);
	struct page page = { .page_url = d->pool->settings.page_url,
			     .echo = &d->echo,
			     .languages = d->pool->table };

	print_head(d, &d->answer);
	answer_write(d->visit->shape, d->visit->format, &d->answer, &page, &sink);
}

static void conclude(struct drive *d)
{
	struct answer *answer = &d->answer;

	answer_conclude(answer);
	answer->total_us = clock_us() - d->visit->request->start_us;
	note(d, answer->status);
	if (d->streaming) {
		say(d, stream_done(&d->stream, answer));
	} else if (answer->status == STATUS_INTERNAL_ERROR && !answer->tests) {
		failure_set(&d->failure, 500, NULL, NULL, "%.180s", answer->message);
		visit_fail(d->visit, &d->failure);
	} else {
		answer_keep_files(&d->room, answer);
		answer_whole(d);
	}
}

/* A stream that is under way ends with an event of its own: the verdict "cancelled"
 * when it is the server that stops, else the error. */
static void fail(struct drive *d)
{
	struct request *request = d->visit->request;

	if (d->taken)
		note(d, d->cancelled || request->gone ? STATUS_CANCELLED
						      : STATUS_INTERNAL_ERROR);
	if (request->gone)
		return;
	if (d->pool->metrics)
		metrics_rejected(d->pool->metrics, d->failure.code);
	if (!d->head_sent) {
		visit_fail(d->visit, &d->failure);
	} else if (d->cancelled) {
		d->answer.status = STATUS_CANCELLED;
		d->answer.total_us = clock_us() - request->start_us;
		snprintf(d->answer.message, sizeof d->answer.message, "%s", d->failure.message);
		say(d, stream_done(&d->stream, &d->answer));
	} else {
		snprintf(d->visit->line.failure, sizeof d->visit->line.failure, "%s",
			 d->failure.code);
		say(d, stream_error(&d->stream, &d->failure, request->id));
	}
}

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
		fail(d);
	} else {
		int rc = run_stages(d);

		/* the slot is free before the answer is written */
		launch_close(&d->launch);
		state(d, WORKER_BUSY);
		fill_answer(d);
		if (rc == 0)
			conclude(d);
		else
			fail(d);
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

/* ---- the canary ---- */

static const struct language *canary_language(const struct pool *pool)
{
	static const char *const wanted[] = { "sh", "bash", "python3", "perl", "c" };
	const struct language *language;
	size_t i;

	for (i = 0; i < ARRAY_LEN(wanted); i++) {
		language = language_find(pool->table, wanted[i]);
		if (language && language->argv[STAGE_BUILD].count == 0 &&
		    pool_image(pool, language))
			return language;
	}
	for (i = 0; i < pool->table->count; i++)
		if (pool->table->language[i].argv[STAGE_BUILD].count == 0 &&
		    pool_image(pool, &pool->table->language[i]))
			return &pool->table->language[i];
	return NULL;
}

static enum launch_end launch_canary(struct pool *pool, const struct language *language,
				     struct launch_result *result, struct error *err)
{
	static const struct limits none;
	const char *code = language->example.code ? language->example.code : "";
	const char *input = language->example.input ? language->example.input : "";
	struct launch launch = LAUNCH_INIT;
	struct job_file file = { { language->file, strlen(language->file) },
				 { code, strlen(code) } };
	struct launch_stage stage = {
		.id = "",
		.language = language->id,
		.table_hash = pool->table->hash,
		.stage = STAGE_RUN,
		.files = &file,
		.files_count = 1,
		.input = { input, strlen(input) },
		.wait_us = pool->settings.queue_max_ms * 1000,
		.client_fd = -1,
	};
	enum launch_end end;

	if (job_resolve_limits(&pool->settings.policy, STAGE_RUN, &language->run, &none,
			       &stage.limits, NULL, err) < 0)
		return LAUNCH_REFUSED;
	stage.reserve_bytes = stage.limits.memory_bytes;
	end = launch_run(&launch, pool->settings.run_directory, pool_image(pool, language), &stage,
			 result, err);
	launch_close(&launch);
	return end;
}

enum canary run_canary(struct pool *pool, struct error *err)
{
	const struct language *language;
	struct launch_result result = { 0 };
	enum launch_end end = LAUNCH_RELOAD;
	bool good;
	int tries;

	if (pool_ask_if_older(pool, STALE_US, err) < 0)
		return CANARY_BAD;
	for (tries = 0; tries < 2 && end == LAUNCH_RELOAD; tries++) {
		if (tries > 0 && pool_ask(pool, true, err) < 0)
			return CANARY_BAD;
		language = canary_language(pool);
		if (!language) {
			error_set(err, ENOENT, "no language to try");
			return CANARY_BAD;
		}
		launch_result_free(&result);
		end = launch_canary(pool, language, &result, err);
	}
	good = end == LAUNCH_DONE && result.verdict.exited && result.verdict.exit_code == 0 &&
	       result.verdict.exec_errno == 0;
	if (end == LAUNCH_DONE && !good)
		error_set(err, EIO, "the canary program failed");
	launch_result_free(&result);
	return good ? CANARY_GOOD : end == LAUNCH_BUSY ? CANARY_FULL : CANARY_BAD;
}
