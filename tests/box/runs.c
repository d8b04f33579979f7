/* SPDX-License-Identifier: ISC */
/* Runs, as a worker asks for them: one, one in a thread, and a canary's.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

const struct limits test_limits = {
	.wall_ms = 10000,
	.cpu_ms = 10000,
	.memory_bytes = 64 * MIB,
	.output_bytes = 1 * MIB,
	.disk_bytes = 16 * MIB,
	.processes = 64,
	.cpu_percent = 100,
};

/* ---- runs ---- */

const char *end_name(enum launch_end end)
{
	static const char *const names[] = {
		[LAUNCH_DONE] = "done",	    [LAUNCH_BUSY] = "busy",
		[LAUNCH_RELOAD] = "reload", [LAUNCH_REFUSED] = "refused",
		[LAUNCH_DOWN] = "down",	    [LAUNCH_GONE] = "gone",
		[LAUNCH_LOST] = "lost",
	};

	return names[end];
}

const char *cause_name(enum cause cause)
{
	static const char *const names[CAUSE_COUNT] = {
		[CAUSE_NONE] = "none",	   [CAUSE_WALL] = "wall",     [CAUSE_CPU] = "cpu",
		[CAUSE_MEMORY] = "memory", [CAUSE_OUTPUT] = "output", [CAUSE_CANCEL] = "cancel",
	};

	return cause < CAUSE_COUNT ? names[cause] : "odd";
}

/* The contract's precedence: the first cause for which we killed; output beyond
 * the cap; then signal or exit code. */
static enum status status_of(const struct outcome *outcome, const struct limits *limits)
{
	static const enum status by_cause[CAUSE_COUNT] = {
		[CAUSE_WALL] = STATUS_TIMEOUT,	      [CAUSE_CPU] = STATUS_TIMEOUT,
		[CAUSE_MEMORY] = STATUS_MEMORY_LIMIT, [CAUSE_OUTPUT] = STATUS_OUTPUT_LIMIT,
		[CAUSE_CANCEL] = STATUS_CANCELLED,
	};
	const struct verdict *verdict = &outcome->result.verdict;

	if (outcome->end != LAUNCH_DONE)
		return STATUS_INTERNAL_ERROR;
	if (verdict->cause != CAUSE_NONE)
		return by_cause[verdict->cause];
	if (outcome->result.seen_bytes[0] > limits->output_bytes ||
	    outcome->result.seen_bytes[1] > limits->output_bytes)
		return STATUS_OUTPUT_LIMIT;
	if (verdict->exec_errno || !verdict->exited || verdict->exit_code != 0)
		return STATUS_RUNTIME_ERROR;
	return STATUS_SUCCESS;
}

/* Cuts a text at its blanks; the words point into room. */
static void cut_words(const char *text, char *room, size_t size, struct bytes *items,
		      size_t most, struct words *ret_words)
{
	char *save = NULL, *word;

	ret_words->item = items;
	ret_words->count = 0;
	if (!text)
		return;
	snprintf(room, size, "%s", text);
	for (word = strtok_r(room, " ", &save); word && ret_words->count < most;
	     word = strtok_r(NULL, " ", &save))
		items[ret_words->count++] = (struct bytes){ word, strlen(word) };
}

static const char *text_of(struct buffer *buffer)
{
	if (buffer_reserve(buffer, 1) < 0)
		return "";
	buffer->data[buffer->size] = '\0';
	return buffer->data;
}

static const char *image_of(const char *language)
{
	static const char *const hosted[] = { "sh", "python3", "c", "cpp" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(hosted); i++)
		if (!strcmp(language, hosted[i]))
			return "host";
	return "test";
}

static const char *file_of(const char *language)
{
	static const char *const names[][2] = {
		{ "sh", "main.sh" },
		{ "python3", "main.py" },
		{ "c", "main.c" },
		{ "cpp", "main.cc" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (!strcmp(language, names[i][0]))
			return names[i][1];
	return "main";
}

static struct limits merged(const struct limits *wanted)
{
	struct limits limits = test_limits, given = *wanted;
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++)
		if (*limit_at(&given, &limit_fields[i]))
			*limit_at(&limits, &limit_fields[i]) =
				*limit_at(&given, &limit_fields[i]);
	/* an emulated guest is many times slower: what is not about time gets more */
	if (extent == EXTENT_GUEST && !wanted->wall_ms)
		limits.wall_ms = 60000;
	if (extent == EXTENT_GUEST && !wanted->cpu_ms)
		limits.cpu_ms = 60000;
	return limits;
}

void box_run(const struct service *service, const struct request *request,
	     struct outcome *ret_outcome)
{
	const char *language = request->language ? request->language : "native";
	struct bytes arguments[64], options[64], collect[64];
	char rooms[3][4096];
	struct words words[3];
	const struct job_file small = {
		.name = { file_of(language), strlen(file_of(language)) },
		.content = { "x\n", 2 },
	};
	struct launch own = LAUNCH_INIT;
	struct launch_stage stage = {
		.id = "0123456789abcdef0123456789abcdef",
		.language = language,
		.table_hash = ground.table_hash,
		.stage = request->is_build ? STAGE_BUILD : STAGE_RUN,
		.flags = request->flags,
		.cache_domain = request->domain,
		.limits = merged(&request->limits),
		.files = request->files ? request->files : &small,
		.files_count = request->files ? request->files_count : 1,
		.arguments = &words[0],
		.options = &words[1],
		.collect = &words[2],
		.wait_us = (request->wait_ms ? request->wait_ms : PATIENCE_MS) * 1000,
		.client_fd = request->client_fd ? request->client_fd : -1,
		.on_output = request->on_output,
		.on_taken = request->on_taken,
		.data = request->data,
	};

	memset(ret_outcome, 0, sizeof *ret_outcome);
	if (request->input) {
		stage.input.data = request->input;
		stage.input.size =
			request->input_size ? request->input_size : strlen(request->input);
	}
	stage.reserve_bytes = stage.limits.memory_bytes;
	cut_words(request->arguments, rooms[0], sizeof rooms[0], arguments, 64, &words[0]);
	cut_words(request->options, rooms[1], sizeof rooms[1], options, 64, &words[1]);
	cut_words(request->collect, rooms[2], sizeof rooms[2], collect, 64, &words[2]);
	ret_outcome->end =
		launch_run(request->launch ? request->launch : &own, service->run,
			   image_of(language), &stage, &ret_outcome->result, &ret_outcome->err);
	launch_close(&own);
	ret_outcome->status = status_of(ret_outcome, &stage.limits);
	ret_outcome->out = text_of(&ret_outcome->result.output[LAUNCH_STDOUT]);
	ret_outcome->errs = text_of(&ret_outcome->result.output[LAUNCH_STDERR]);
}

bool ends_in(const struct outcome *outcome, unsigned set)
{
	return outcome->end == LAUNCH_DONE && (set >> outcome->status & 1);
}

void outcome_done(struct outcome *outcome)
{
	launch_result_free(&outcome->result);
}

/* ---- live runs ---- */

static int live_output(void *data, enum launch_stream stream, const char *bytes, size_t size)
{
	struct live *live = data;
	struct buffer *kept = &live->outcome.result.output[stream];

	if (buffer_reserve(kept, size) < 0)
		return -1;
	memcpy(kept->data + kept->size, bytes, size);
	kept->size += size;
	if (stream == LAUNCH_STDOUT) /* its end of file is the news */
		close_fd(&live->first[1]);
	return 0;
}

static void *live_thread(void *data)
{
	struct live *live = data;

	box_run(live->service, &live->request, &live->outcome);
	close_fd(&live->first[1]);
	return NULL;
}

void live_start(struct live *live, const struct service *service, const struct request *request)
{
	pthread_t thread;

	live->service = service;
	live->request = *request;
	if (pipe2(live->first, O_CLOEXEC) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, live->cancel) < 0)
		give_up("pipe: %s", strerror(errno));
	live->request.on_output = live_output;
	live->request.data = live;
	live->request.client_fd = live->cancel[0];
	if (pthread_create(&thread, NULL, live_thread, live) != 0)
		give_up("pthread_create");
	live->thread = thread;
}

bool live_started(struct live *live)
{
	struct pollfd first = { live->first[0], POLLIN, 0 };

	return poll(&first, 1, PATIENCE_MS) == 1;
}

void live_cancel(struct live *live)
{
	close_fd(&live->cancel[1]);
}

void live_join(struct live *live)
{
	pthread_join(live->thread, NULL);
	close_fd(&live->first[0]);
	close_fd(&live->cancel[0]);
	close_fd(&live->cancel[1]);
}

/* ---- the canary ---- */

static void *canary_thread(void *data)
{
	struct canary *canary = data;

	do { /* once at least, however short the case */
		struct request request = { .arguments = "print",
					   .limits = { .memory_bytes = 16 * MIB } };
		struct outcome outcome;
		unsigned i;

		box_run(canary->service, &request, &outcome);
		canary->sung++;
		if (outcome.status != STATUS_SUCCESS || strcmp(outcome.out, "1\n") != 0) {
			canary->failed++;
			snprintf(canary->text, sizeof canary->text, "%s, %s: %s",
				 end_name(outcome.end), job_status_name(outcome.status),
				 outcome.err.text);
		}
		outcome_done(&outcome);
		for (i = 0; i < 10 && !canary->stop; i++)
			pause_ms(20);
	} while (!canary->stop);
	return NULL;
}

void canary_start(struct canary *canary, const struct service *service)
{
	pthread_t thread;

	memset(canary, 0, sizeof *canary);
	canary->service = service;
	if (pthread_create(&thread, NULL, canary_thread, canary) != 0)
		give_up("pthread_create");
	canary->thread = thread;
}

void canary_stop(struct canary *canary)
{
	canary->stop = true;
	pthread_join(canary->thread, NULL);
}
