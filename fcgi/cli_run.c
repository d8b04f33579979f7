/* SPDX-License-Identifier: ISC */
/* sandpool run: a program goes out to a pool, and what it does comes back as if it
 * had run here.
 * Runs as: whoever types. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "fcgi/base64.h"
#include "fcgi/cli.h"
#include "fcgi/cli_exchange.h"
#include "fcgi/cli_job.h"
#include "fcgi/cli_link.h"
#include "fcgi/cli_tests.h"

#define STREAM "application/vnd.sandpool.stream+msgpack"

/* ---- what is said afterwards ---- */

static void print_ms(const char *name, const json_t *ms)
{
	if (json_is_number(ms))
		fprintf(stderr, "%-8s %.3f ms\n", name, json_number_value(ms));
}

static void print_time(const json_t *answer)
{
	const json_t *time = json_object_get(answer, "time"), *peak, *usage;

	usage = json_object_get(cli_answer_part(answer), "usage");
	print_ms("wall", json_object_get(usage, "wall_ms"));
	print_ms("user", json_object_get(usage, "user_ms"));
	print_ms("system", json_object_get(usage, "system_ms"));
	peak = json_object_get(usage, "memory_peak_bytes");
	if (json_is_number(peak))
		fprintf(stderr, "%-8s %.1f MiB\n", "memory", json_number_value(peak) / (1 << 20));
	print_ms("queue", json_object_get(time, "queue_ms"));
	print_ms("setup", json_object_get(time, "setup_ms"));
	if (json_object_get(answer, "compile"))
		print_ms("compile", json_object_get(time, "compile_ms"));
	print_ms("total", json_object_get(time, "total_ms"));
}

/* What an interpreter would leave to the shell to say, and what only we know. A plain
 * exit code speaks for itself. */
static void print_end(const json_t *answer)
{
	const char *status = json_string_value(json_object_get(answer, "status"));
	const char *message = json_string_value(json_object_get(answer, "message"));
	const char *signal_name = json_string_value(
		json_object_get(cli_answer_part(answer), "signal"));

	if (!status || strcmp(status, "success") == 0 || strcmp(status, "wrong_answer") == 0)
		return;
	if (strcmp(status, "runtime_error") == 0 && !signal_name)
		return;
	cli_say("%s", message && *message ? message : status);
}

/* ---- collected files ---- */

static json_t *file_content(const json_t *content)
{
	const json_t *packed = json_object_get(content, "base64");
	cleanup_free char *bytes = NULL;
	size_t size;

	if (json_is_string(content))
		return json_incref((json_t *)content);
	bytes = malloc(json_string_length(packed) / 4 * 3 + 3);
	if (!packed || !bytes ||
	    base64_decode(json_string_value(packed), json_string_length(packed), bytes, &size) < 0)
		return NULL;
	return json_stringn_nocheck(bytes, size);
}

static int save_file(const char *name, const json_t *content, struct error *err)
{
	cleanup_close int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 ||
	    io_write_full(fd, json_string_value(content), json_string_length(content)) < 0)
		return error_errno(err, "%s", name);
	return 0;
}

/* Only names that were asked for are written, whatever the answer holds. */
static int save_files(const struct cli_options *options, const json_t *answer, struct error *err)
{
	const json_t *file;
	size_t i, k;

	json_array_foreach(json_object_get(answer, "files"), i, file) {
		const char *name = json_string_value(json_object_get(file, "name"));
		const char *why = json_string_value(json_object_get(file, "error"));
		json_t *content;
		int rc;

		for (k = 0; name && k < options->collect.count; k++)
			if (strcmp(name, options->collect.item[k]) == 0)
				break;
		if (!name || k == options->collect.count)
			continue;
		if (why) {
			cli_say("%s: %s", name, why);
			continue;
		}
		content = file_content(json_object_get(file, "content"));
		rc = content ? save_file(name, content, err)
			     : error_set(err, EPROTO, "%s: its content is malformed", name);
		json_decref(content);
		if (rc < 0)
			return -1;
	}
	return 0;
}

/* ---- one run ---- */

static int add_expected(const struct cli_options *options, json_t *request, struct error *err)
{
	json_t *expected = cli_read_file(options->expect, err), *test;

	if (!expected)
		return -1;
	test = json_pack("{s:O, s:o}", "input", json_object_get(request, "input"), "expected",
			 expected);
	json_object_del(request, "input");
	return json_object_set_new(request, "tests", json_pack("[o]", test));
}

struct expected {
	const struct cli_options *options;
	const json_t *request;
};

static void on_test(void *data, const json_t *test, const struct kept *output)
{
	const struct expected *e = data;
	const char *status = json_string_value(json_object_get(test, "status"));
	const json_t *first = json_array_get(json_object_get(e->request, "tests"), 0);

	if (!status || strcmp(status, "wrong_answer") != 0 || e->options->quiet)
		return;
	cli_say("the output is not as expected");
	cli_print_diff(STDERR_FILENO, "", json_object_get(first, "expected"), output->data,
		       output->size);
}

static int run_once(const struct cli_options *options, struct cli_exchange *x, struct error *err)
{
	struct expected expected = { options, x->job->request };

	if (options->expect) {
		if (add_expected(options, x->job->request, err) < 0)
			return -1;
		x->on_test = on_test;
		x->data = &expected;
	}
	if (cli_exchange(x, err) < 0)
		return -1;
	if (!x->whole && save_files(options, x->answer, err) < 0)
		return -1;
	if (!options->quiet && !x->whole)
		print_end(x->answer);
	if (options->time)
		print_time(x->answer);
	return cli_answer_status(x->answer);
}

static int run(const struct cli_options *options, const struct remote *remote,
	       struct cli_job *job, struct error *err)
{
	struct cli_exchange x = {
		.remote = remote,
		.job = job,
		.whole = options->json || options->msgpack,
		.accept = options->json	     ? "application/json"
			  : options->msgpack ? "application/msgpack"
					     : STREAM,
		.show = true,
	};
	int status = -1;

	output_init(&x.output);
	x.signal_fd = cli_signals_open(err);
	if (x.signal_fd >= 0)
		status = (options->tests && !x.whole ? cli_tests_run : run_once)(options, &x, err);
	if (status < 0 && x.output.broken)
		cli_die_by(SIGPIPE);
	if (status < 0 && cli_signal())
		cli_die_by(cli_signal());
	cli_exchange_free(&x);
	return status;
}

static int print_link(const struct cli_options *options, const struct remote *remote,
		      struct cli_job *job, struct error *err)
{
	cleanup_free char *link = NULL;

	/* an alias would do as well, but a guess may be no language at all */
	if (job->guessed && cli_job_find_language(job, remote, err) < 0)
		return -1;
	link = cli_link(options, job, remote, err);
	if (!link)
		return -1;
	return puts(link) < 0 || fflush(stdout) != 0 ? error_errno(err, "standard output") : 0;
}

/* What cannot be asked for together, so that nothing is left out in silence. */
static int check(const struct cli_options *options, struct error *err)
{
	const struct {
		bool both;
		const char *text;
	} wrong[] = {
		{ options->json && options->msgpack, "--json and --msgpack: one of them" },
		{ options->tests && options->expect, "--tests and --expect: one of them" },
		{ options->tests && options->input, "--tests and --input: one of them" },
		{ options->no_input && options->input, "--no-input and --input: one of them" },
		{ options->link && (options->local || options->socket),
		  "--link is for the page: it needs --url" },
		{ (options->tests || options->expect) && options->collect.count > 0,
		  "--collect is not for tests" },
		{ options->tests && (options->json || options->msgpack),
		  "--tests prints TAP; --json and --msgpack are for one run" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(wrong); i++)
		if (wrong[i].both)
			return error_set(err, EINVAL, "%s", wrong[i].text);
	return 0;
}

int main(int argc, char **argv)
{
	struct cli_options options;
	struct cli_job job = { 0 };
	struct error err = ERROR_INIT;
	struct remote remote = { 0 };
	int status;

	if (!cli_options_read(CLI_RUN, argc, argv, &options, &status))
		return status;
	/* who reads our output and leaves is noticed by EPIPE, see run() */
	signal(SIGPIPE, SIG_IGN);
	if (check(&options, &err) < 0 || cli_remote(&options, &remote, &err) < 0 ||
	    cli_job_make(&options, &job, &err) < 0)
		status = -1;
	else
		status = (options.link ? print_link : run)(&options, &remote, &job, &err);
	cli_job_free(&job);
	cli_remote_free(&remote);
	cli_options_free(&options);
	return status < 0 ? cli_fail(&err) : status;
}
