/* SPDX-License-Identifier: ISC */
/* Runs as: whoever types. */
#define _GNU_SOURCE
#include "fcgi/cli_tests.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/job.h"

/* A request may have 64 tests and, unless the server says otherwise, 1 MiB. */
#define BATCH_BYTES  ((size_t)800 << 10)
#define DIFF_LINES   40
#define COLOR_OK     "\033[32m"
#define COLOR_NOT_OK "\033[1;31m"
#define COLOR_OFF    "\033[0m"

extern char **environ;

/* ---- differences ---- */

static int spawn_diff(int expected_fd, int output_fd, int pipe_fd, pid_t *ret_pid)
{
	char expected[32], output[32];
	char *argv[] = { (char[]){ "diff" }, (char[]){ "-u" }, (char[]){ "-a" },
			 (char[]){ "--label=expected" }, (char[]){ "--label=output" }, expected,
			 output, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	int rc;

	/* diff opens them by name, each with an offset of its own */
	snprintf(expected, sizeof expected, "/proc/%d/fd/%d", (int)getpid(), expected_fd);
	snprintf(output, sizeof output, "/proc/%d/fd/%d", (int)getpid(), output_fd);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_fd, STDOUT_FILENO);
	rc = posix_spawnp(ret_pid, "diff", &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return rc;
}

static void copy_lines(FILE *from, int fd, const char *prefix)
{
	cleanup_free char *line = NULL;
	size_t room = 0;
	ssize_t size;
	int lines = 0;

	while ((size = getline(&line, &room, from)) >= 0) {
		if (lines++ == DIFF_LINES)
			dprintf(fd, "%s...\n", prefix);
		if (lines > DIFF_LINES)
			continue;
		dprintf(fd, "%s", prefix);
		io_write_full(fd, line, (size_t)size);
		if (size == 0 || line[size - 1] != '\n')
			dprintf(fd, "\n");
	}
}

void cli_print_diff(int fd, const char *prefix, const json_t *expected, const char *output,
		    size_t output_size)
{
	cleanup_close int expected_fd = io_memfd_sealed("expected", json_string_value(expected),
							json_string_length(expected));
	cleanup_close int output_fd = io_memfd_sealed("output", output ? output : "", output_size);
	int pipe_fds[2];
	pid_t pid;
	FILE *from;

	if (expected_fd < 0 || output_fd < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return;
	if (spawn_diff(expected_fd, output_fd, pipe_fds[1], &pid) != 0) {
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		dprintf(fd, "%sthe output differs; diff(1) would show how\n", prefix);
		return;
	}
	close(pipe_fds[1]);
	from = fdopen(pipe_fds[0], "r");
	if (from) {
		copy_lines(from, fd, prefix);
		fclose(from);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* ---- a folder of tests ---- */

struct test_run {
	const struct cli_options *options;
	json_t *tests;	/* all of them, as a request has them */
	size_t first;	/* of this request */
	size_t again;	/* the first that total_ms left no time for; SIZE_MAX: none */
	json_t *held;	/* the result of test held_index, not yet said; NULL: none */
	size_t held_index;
	size_t passed, failed;
};

static int is_input(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && dot != entry->d_name && strcmp(dot, ".in") == 0;
}

/* DIR/NAME.suffix, where it exists. */
static int read_beside(const char *dir, const char *name, const char *suffix, json_t **ret_text,
		       struct error *err)
{
	cleanup_free char *path = NULL;

	*ret_text = NULL;
	if (asprintf(&path, "%s/%s%s", dir, name, suffix) < 0)
		return error_set(err, ENOMEM, "out of memory");
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	*ret_text = cli_read_file(path, err);
	return *ret_text ? 1 : -1;
}

/* One argument a line. */
static json_t *split_lines(const json_t *text)
{
	const char *at = json_string_value(text), *end = at + json_string_length(text);
	json_t *list = json_array();

	while (at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));

		if (!line_end)
			line_end = end;
		json_array_append_new(list, json_stringn_nocheck(at, (size_t)(line_end - at)));
		at = line_end + 1;
	}
	return list;
}

static json_t *read_test(const char *dir, const char *file, struct error *err)
{
	cleanup_free char *name = strndup(file, strlen(file) - strlen(".in"));
	json_t *test = json_pack("{s:o}", "name", json_stringn_nocheck(name, strlen(name)));
	json_t *text;

	if (read_beside(dir, name, ".in", &text, err) < 0)
		goto failed;
	json_object_set_new(test, "input", text);
	if (read_beside(dir, name, ".out", &text, err) < 0)
		goto failed;
	if (text)
		json_object_set_new(test, "expected", text);
	if (read_beside(dir, name, ".args", &text, err) < 0)
		goto failed;
	if (text)
		json_object_set_new(test, "arguments", split_lines(text));
	json_decref(text);
	return test;
failed:
	json_decref(test);
	return NULL;
}

static json_t *read_tests(const char *dir, struct error *err)
{
	struct dirent **entries;
	int count = scandir(dir, &entries, is_input, versionsort), i;
	json_t *tests = json_array();

	if (count < 0) {
		error_errno(err, "%s", dir);
		json_decref(tests);
		return NULL;
	}
	if (count == 0)
		error_set(err, ENOENT, "%s: no test there; each is a file NAME.in", dir);
	for (i = 0; i < count; i++) {
		json_t *test = err->code ? NULL : read_test(dir, entries[i]->d_name, err);

		if (test)
			json_array_append_new(tests, test);
		free(entries[i]);
	}
	free(entries);
	if (!err->code)
		return tests;
	json_decref(tests);
	return NULL;
}

static size_t text_size(const json_t *test, const char *name)
{
	return json_string_length(json_object_get(test, name));
}

/* As many as fit into one request, at least one. */
static json_t *take_batch(const struct test_run *run)
{
	json_t *batch = json_array();
	size_t bytes = 0, i;

	for (i = run->first; i < json_array_size(run->tests); i++) {
		json_t *test = json_array_get(run->tests, i);

		bytes += text_size(test, "input") + text_size(test, "expected") + 256;
		if (i > run->first && (bytes > BATCH_BYTES || i - run->first == JOB_TESTS_MAX))
			break;
		json_array_append(batch, test);
	}
	return batch;
}

static void print_line(bool passed, size_t number, const json_t *test)
{
	bool color = cli_color(STDOUT_FILENO);
	const char *name = json_string_value(json_object_get(test, "name"));

	if (color)
		fputs(passed ? COLOR_OK : COLOR_NOT_OK, stdout);
	fputs(passed ? "ok" : "not ok", stdout);
	if (color)
		fputs(COLOR_OFF, stdout);
	printf(" %zu - ", number);
	cli_print_clean(stdout, name ? name : "");
	putchar('\n');
}

static void print_why(const struct test_run *run, const json_t *result, const json_t *expected,
		      const struct kept *output)
{
	const char *status = json_string_value(json_object_get(result, "status"));
	const char *message = json_string_value(json_object_get(result, "message"));
	const json_t *code = json_object_get(result, "exit_code");

	printf("# %s", status ? status : "no status");
	if (message && *message) {
		fputs(": ", stdout);
		cli_print_clean(stdout, message);
	} else if (json_integer_value(code)) {
		printf(": exit code %d", (int)json_integer_value(code));
	}
	putchar('\n');
	fflush(stdout);
	if (expected && status && strcmp(status, "wrong_answer") == 0 && !run->options->quiet)
		cli_print_diff(STDOUT_FILENO, "# ", expected, output->data, output->size);
}

static void say_result(struct test_run *run, size_t i, const json_t *result,
		       const struct kept *output)
{
	const json_t *test = json_array_get(run->tests, i);
	const char *status = json_string_value(json_object_get(result, "status"));
	bool passed = status && strcmp(status, "success") == 0;

	run->passed += passed;
	run->failed += !passed;
	print_line(passed, i + 1, test);
	if (!passed)
		print_why(run, result, json_object_get(test, "expected"), output);
	fflush(stdout);
}

/* A time-out may be the end of the whole request's time and no fault of the test.
 * What comes next tells, so it is kept for so long. */
static void hold(struct test_run *run, size_t i, const json_t *result)
{
	run->held = json_incref((json_t *)result);
	run->held_index = i;
}

static void say_held(struct test_run *run)
{
	if (run->held)
		say_result(run, run->held_index, run->held, &(struct kept){ 0 });
	json_decref(run->held);
	run->held = NULL;
}

/* Those from index on are asked for again, in a request of their own. */
static void go_back(struct test_run *run, size_t index)
{
	run->again = index;
	json_decref(run->held);
	run->held = NULL;
}

static void on_test(void *data, const json_t *result, const struct kept *output)
{
	struct test_run *run = data;
	const char *status = json_string_value(json_object_get(result, "status"));
	size_t i = run->first + (size_t)json_integer_value(json_object_get(result, "index"));

	if (i >= json_array_size(run->tests) || run->again != SIZE_MAX)
		return;
	/* the first of a request had all of the time: going back would not help it */
	if (status && strcmp(status, "skipped") == 0 && i > run->first) {
		go_back(run, run->held ? run->held_index : i);
		return;
	}
	say_held(run);
	if (status && strcmp(status, "timeout") == 0 && i > run->first)
		hold(run, i, result);
	else
		say_result(run, i, result, output);
}

/* Was the whole request's time over at its end? */
static bool total_is_over(const json_t *answer)
{
	const json_t *time = json_object_get(json_object_get(answer, "time"), "total_ms");
	const json_t *limit = json_object_get(json_object_get(answer, "limits"), "total_ms");

	return json_is_number(time) && json_is_number(limit) &&
	       json_number_value(time) >= json_number_value(limit);
}

/* Nothing was compiled, so nothing was tested. */
static void fail_rest(struct test_run *run, const json_t *answer)
{
	size_t i;

	for (i = run->first; i < json_array_size(run->tests); i++) {
		print_line(false, i + 1, json_array_get(run->tests, i));
		print_why(run, answer, NULL, NULL);
		run->failed++;
	}
}

static int run_batch(struct test_run *run, struct cli_exchange *exchange, struct error *err)
{
	json_t *batch = take_batch(run);
	size_t size = json_array_size(batch), next;
	const char *status;

	json_object_set_new(exchange->job->request, "tests", batch);
	run->again = SIZE_MAX;
	json_decref(exchange->answer);
	exchange->answer = NULL;
	if (cli_exchange(exchange, err) < 0)
		return -1;
	status = json_string_value(json_object_get(exchange->answer, "status"));
	if (status && strcmp(status, "compile_error") == 0) {
		fail_rest(run, exchange->answer);
		run->first = json_array_size(run->tests);
		return 0;
	}
	if (run->held && total_is_over(exchange->answer))
		go_back(run, run->held_index);
	say_held(run);
	next = run->again == SIZE_MAX ? run->first + size : run->again;
	if (run->passed + run->failed != next)
		return error_set(err, EPROTO, "the answer does not have every test");
	run->first = next;
	return 0;
}

int cli_tests_run(const struct cli_options *options, struct cli_exchange *exchange,
		  struct error *err)
{
	struct test_run run = { .options = options };
	int rc = 0;

	run.tests = read_tests(options->tests, err);
	if (!run.tests)
		return -1;
	exchange->on_test = on_test;
	exchange->data = &run;
	exchange->show = false;
	printf("1..%zu\n", json_array_size(run.tests));
	fflush(stdout);
	while (rc == 0 && run.first < json_array_size(run.tests))
		rc = run_batch(&run, exchange, err);
	if (rc == 0 && run.failed && !options->quiet)
		printf("# %zu of %zu failed\n", run.failed, json_array_size(run.tests));
	if (rc == 0 && fflush(stdout) != 0)
		rc = error_errno(err, "standard output");
	json_decref(run.held);
	json_decref(run.tests);
	return rc < 0 ? -1 : run.failed > 0;
}
