/* SPDX-License-Identifier: ISC */
/* Runs as: whoever types. */
#define _GNU_SOURCE
#include "fcgi/cli_exchange.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/job.h"
#include "fcgi/packed.h"

#define EVENT_MAX ((size_t)64 << 20)
#define BODY_MAX  ((size_t)64 << 20)
/* 503 always means that nothing ran, so it may be asked for again. */
#define BUSY_TRIES  3
#define BUSY_WAIT_S 10 /* when told to wait longer, we say so instead */

int kept_add(struct kept *kept, const char *bytes, size_t size)
{
	if (kept->room - kept->size < size + 1) {
		size_t room = 2 * (kept->size + size) + 64;
		char *grown = room < BODY_MAX ? realloc(kept->data, room) : NULL;

		if (!grown)
			return -1;
		kept->data = grown;
		kept->room = room;
	}
	memcpy(kept->data + kept->size, bytes, size);
	kept->size += size;
	kept->data[kept->size] = '\0';
	return 0;
}

void kept_free(struct kept *kept)
{
	free(kept->data);
	memset(kept, 0, sizeof *kept);
}

/* ---- events ---- */

static int on_output(struct cli_exchange *x, int fd, const json_t *chunk)
{
	const char *bytes = json_string_value(chunk);
	size_t size = json_string_length(chunk);

	if (!bytes)
		return 0;
	if (fd == STDOUT_FILENO && !x->compiling && kept_add(&x->test_output, bytes, size) < 0)
		return error_set(&x->failure, ENOMEM, "out of memory");
	/* what a compiler prints is no output of the program */
	if (x->compiling)
		return output_put(&x->output, STDERR_FILENO, bytes, size);
	return x->show ? output_put(&x->output, fd, bytes, size) : 0;
}

static int on_event(struct cli_exchange *x, json_t *event)
{
	const json_t *stage = json_object_get(event, "stage"), *part;

	if (stage) {
		x->compiling = json_is_string(stage) &&
			       strcmp(json_string_value(stage), "compile") == 0;
		x->test_output.size = 0;
	}
	if ((part = json_object_get(event, "stdout")) && on_output(x, STDOUT_FILENO, part) < 0)
		return -1;
	if ((part = json_object_get(event, "stderr")) && on_output(x, STDERR_FILENO, part) < 0)
		return -1;
	if ((part = json_object_get(event, "test")) && json_is_object(part) && x->on_test)
		x->on_test(x->data, part, &x->test_output);
	if (json_object_get(event, "error")) {
		const struct remote_answer as_json = { 500, "", "" };
		cleanup_free char *text = json_dumps(event, JSON_ENSURE_ASCII);

		return cli_answer_error(&as_json, text ? text : "", text ? strlen(text) : 0,
					&x->failure);
	}
	part = json_object_get(event, "done");
	if (part && !x->answer)
		x->answer = json_incref((json_t *)part);
	return 0;
}

static int on_stream(struct cli_exchange *x, const char *bytes, size_t size)
{
	json_t *event;
	int rc;

	if (packed_reader_feed(x->reader, bytes, size) < 0)
		return error_set(&x->failure, EPROTO, "an event of the answer is too long");
	while ((rc = packed_reader_next(x->reader, &event)) > 0) {
		rc = on_event(x, event);
		json_decref(event);
		if (rc < 0)
			return -1;
	}
	return rc < 0 ? error_set(&x->failure, EPROTO, "the answer is no msgpack") : 0;
}

/* ---- the exchange ---- */

static int on_body(void *data, const struct remote_answer *answer, const char *bytes, size_t size)
{
	struct cli_exchange *x = data;

	if (answer->http_status == 200 && !x->whole)
		return on_stream(x, bytes, size);
	if (kept_add(&x->body, bytes, size) < 0)
		return error_set(&x->failure, ENOMEM, "the answer is too long");
	if (answer->http_status == 200)
		return output_put(&x->output, STDOUT_FILENO, bytes, size);
	return 0;
}

static size_t wait_for(void *data, struct pollfd fds[REMOTE_FDS_MAX])
{
	struct cli_exchange *x = data;

	fds[0] = (struct pollfd){ .fd = x->signal_fd, .events = POLLIN };
	return 1 + output_wait_for(&x->output, fds + 1);
}

static int on_wake(void *data)
{
	struct cli_exchange *x = data;

	return cli_signal() || output_flush(&x->output) < 0 ? -1 : 0;
}

static int cancelled(const struct cli_exchange *x, struct error *err)
{
	if (x->failure.code)
		*err = x->failure;
	else if (x->output.errno_)
		error_set(err, EIO, "standard output: %s", strerror(x->output.errno_));
	else
		error_set(err, ECANCELED, "cancelled");
	return -1;
}

static json_t *read_whole(const struct cli_exchange *x, const struct remote_answer *answer)
{
	if (strstr(answer->content_type, "msgpack"))
		return packed_decode(x->body.data ? x->body.data : "", x->body.size);
	return json_loadb(x->body.data ? x->body.data : "", x->body.size, JSON_ALLOW_NUL, NULL);
}

static int finish(struct cli_exchange *x, const struct remote_answer *answer, struct error *err)
{
	if (answer->http_status != 200)
		return cli_answer_error(answer, x->body.data ? x->body.data : "", x->body.size, err);
	if (x->whole)
		x->answer = read_whole(x, answer);
	if (!x->answer && x->whole)
		return error_set(err, EPROTO, "the answer is not one of Sandpool");
	if (!x->answer)
		return error_set(err, EPROTO, "the answer broke off; the program may have run");
	return output_finish(&x->output, x->signal_fd) < 0 ? cancelled(x, err) : 0;
}

static int ask_once(struct cli_exchange *x, struct remote_answer *answer, struct error *err)
{
	cleanup_free char *body = NULL;
	struct remote_request request = {
		.path = "run",
		.accept = x->accept,
		.content_type = "application/msgpack",
	};
	const struct remote_reader reader = { on_body, wait_for, on_wake, x };
	int rc;

	packed_reader_free(x->reader);
	x->reader = packed_reader_new(EVENT_MAX);
	body = packed_encode(x->job->request, &request.body_size);
	if (!x->reader || !body)
		return error_set(err, ENOMEM, "out of memory");
	request.body = body;
	x->body.size = 0;
	rc = remote_exchange(x->remote, &request, &reader, answer, err);
	if (rc < 0)
		return err->code == ECANCELED ? cancelled(x, err) : -1;
	return finish(x, answer, err);
}

/* Waits as long as the server asked for; -1 when it is too long or a signal came. */
static int wait_busy(const struct cli_exchange *x, const struct remote_answer *answer, int tries)
{
	struct pollfd fd = { .fd = x->signal_fd, .events = POLLIN };
	int seconds = atoi(answer->retry_after);

	if (answer->http_status != 503 || tries >= BUSY_TRIES || seconds > BUSY_WAIT_S)
		return -1;
	return poll(&fd, 1, 1000 * (seconds > 0 ? seconds : 1)) == 0 ? 0 : -1;
}

int cli_exchange(struct cli_exchange *x, struct error *err)
{
	struct remote_answer answer;
	int tries = 1;

	while (ask_once(x, &answer, err) < 0) {
		if (cli_signal())
			return error_set(err, ECANCELED, "cancelled");
		if (answer.http_status == 422 && x->job->guessed) {
			x->job->guessed = false;
			if (cli_job_find_language(x->job, x->remote, err) < 0)
				return -1;
			continue;
		}
		if (wait_busy(x, &answer, tries++) < 0)
			return -1;
	}
	x->job->guessed = false;
	return 0;
}

void cli_exchange_free(struct cli_exchange *x)
{
	packed_reader_free(x->reader);
	output_free(&x->output);
	kept_free(&x->body);
	kept_free(&x->test_output);
	json_decref(x->answer);
}

/* ---- what it means ---- */

const json_t *cli_answer_part(const json_t *answer)
{
	const json_t *test = json_array_get(json_object_get(answer, "tests"), 0);

	return test ? test : answer;
}

static int signal_number(const char *name)
{
	int i;

	for (i = 1; i <= SIGRTMAX; i++)
		if (strcmp(job_signal_name(i), name) == 0)
			return i;
	return SIGKILL;
}

/* Of one stage: its exit code, or 128 and the signal. */
static int ended_with(const json_t *part, int otherwise)
{
	const json_t *code = json_object_get(part, "exit_code");
	const char *signal_name = json_string_value(json_object_get(part, "signal"));

	if (signal_name)
		return 128 + signal_number(signal_name);
	return json_is_integer(code) ? (int)(json_integer_value(code) & 0xff) : otherwise;
}

static int nonzero(int status, int otherwise)
{
	return status ? status : otherwise;
}

int cli_answer_status(const json_t *answer)
{
	const char *status = json_string_value(json_object_get(answer, "status"));
	const json_t *part = cli_answer_part(answer);

	if (!status)
		return CLI_FAILED;
	if (strcmp(status, "compile_error") == 0) {
		part = json_object_get(answer, "compile");
		status = json_string_value(json_object_get(part, "status"));
		if (status && strcmp(status, "timeout") == 0)
			return CLI_TIMEOUT;
		return nonzero(ended_with(part, 1), 1);
	}
	if (strcmp(status, "success") == 0)
		return 0;
	if (strcmp(status, "runtime_error") == 0)
		return nonzero(ended_with(part, 1), 1);
	if (strcmp(status, "timeout") == 0)
		return CLI_TIMEOUT;
	if (strcmp(status, "memory_limit") == 0)
		return 128 + SIGKILL;
	if (strcmp(status, "output_limit") == 0)
		return 128 + SIGXFSZ;
	return strcmp(status, "wrong_answer") == 0 ? 1 : CLI_FAILED;
}
