/* SPDX-License-Identifier: ISC */
/* The stages of a request: a box for each, one after another.
 * Runs as: worker user. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "fcgi/drive.h"

#define TICK_US		500000	 /* how soon a server that stops is noticed */
#define NEXT_STAGE_US	10000000 /* how long the box of a later stage may take */
#define AGAIN_MS	20	 /* between two tries to get a box */
#define LEAST_WAIT_US	20000	 /* enough for a slot that is free */

/* ---- one stage ---- */

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
		.on_taken = drive_on_taken,
		.on_output = d->streaming ? drive_on_output : NULL,
		.on_tick = drive_on_tick,
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
		if (drive_find_language(d) < 0)
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

/* ---- what came of it ---- */

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
		return drive_say(d, stream_stage_end(&d->stream, result));
	answer_keep(&d->room, result);
	give_back(result, from);
	return 0;
}

/* ---- build and run ---- */

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

/* ---- tests ---- */

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
		rc = drive_say(d, stream_test(&d->stream, i, test));
	if (d->streaming)
		launch_result_free(from);
	return rc;
}

static int skip_test(struct drive *d, size_t i)
{
	test_result_skip(&d->answer.tests[i], &d->job, i);
	return d->streaming ? drive_say(d, stream_test(&d->stream, i, &d->answer.tests[i])) : 0;
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
	return d->streaming ? drive_say(d, stream_test(&d->stream, i, test)) : 0;
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

/* ---- all of them ---- */

int drive_stages(struct drive *d)
{
	uint32_t flags = 0;

	d->drive_start_us = clock_us();
	d->wait_start_us = d->drive_start_us - d->visit->request->waited_us;
	drive_state(d, WORKER_WAITING);
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
