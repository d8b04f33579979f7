/* SPDX-License-Identifier: ISC */
/* What is said of a request: by a stream while it runs, or at its end.
 * Runs as: worker user. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/drive.h"

/* ---- while it runs ---- */

void drive_state(struct drive *d, enum worker_state state)
{
	if (d->pool->metrics)
		metrics_state(d->pool->metrics, d->pool->row, state);
}

int drive_say(struct drive *d, int rc)
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
void drive_on_taken(void *data)
{
	struct drive *d = data;
	int rc = 0;

	drive_state(d, WORKER_RUNNING);
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
		drive_say(d, rc < 0 ? rc : stream_stage(&d->stream, d->stage, d->test));
}

int drive_on_output(void *data, enum launch_stream which, const char *bytes, size_t size)
{
	struct drive *d = data;

	if (d->gathered && which == LAUNCH_STDOUT) {
		if (buffer_reserve(d->gathered, size) < 0)
			return -1;
		memcpy(d->gathered->data + d->gathered->size, bytes, size);
		d->gathered->size += size;
	}
	return drive_say(d, stream_output(&d->stream, which, bytes, size));
}

int drive_on_tick(void *data)
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
		return drive_say(d, stream_heartbeat(&d->stream));
	return d->visit->request->gone ? -1 : 0;
}

/* ---- after it ran ---- */

void drive_fill_answer(struct drive *d)
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

void drive_conclude(struct drive *d)
{
	struct answer *answer = &d->answer;

	answer_conclude(answer);
	answer->total_us = clock_us() - d->visit->request->start_us;
	note(d, answer->status);
	if (d->streaming) {
		drive_say(d, stream_done(&d->stream, answer));
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
void drive_fail(struct drive *d)
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
		drive_say(d, stream_done(&d->stream, &d->answer));
	} else {
		snprintf(d->visit->line.failure, sizeof d->visit->line.failure, "%s",
			 d->failure.code);
		drive_say(d, stream_error(&d->stream, &d->failure, request->id));
	}
}
