/* SPDX-License-Identifier: ISC */
/* The driver of the numbered hostile cases: one sandboxd, one case after the
 * other, TAP.
 *
 *	boxtest [--full | --guest] [--list] [PATTERN...]
 *
 * A PATTERN is the beginning of a number, or a part of a name.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/cases.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"

static const struct case_group groups[] = {
	{ "Kernel attack surface", cases_kernel },
	{ "Filesystem", cases_fs },
	{ "Processes", cases_proc },
	{ "Memory", cases_memory },
	{ "CPU and time", cases_cpu },
	{ "Output and input", cases_io },
	{ "Network", cases_network },
	{ "Supervisor and lifecycle", cases_lifecycle },
	{ "Shared host", cases_host },
	{ "Information leaks", cases_leaks },
};

/* ---- what a case may say ---- */

bool check(struct trial *t, bool holds, const char *fmt, ...)
{
	va_list ap;

	if (holds)
		return true;
	va_start(ap, fmt);
	if (t->problems < TRIAL_PROBLEMS)
		vsnprintf(t->problem[t->problems], sizeof t->problem[0], fmt, ap);
	va_end(ap);
	t->problems++;
	return false;
}

void skip(struct trial *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->skipped, sizeof t->skipped, fmt, ap);
	va_end(ap);
}

/* It is the last thing that the main program says; a daemon of its own may go on. */
static bool promised(const char *out)
{
	return strstr(out, "as promised\n") != NULL;
}

/* Its last lines, in one. */
static const char *end_of(const char *out)
{
	static char text[81];
	size_t size = strlen(out);
	char *at;

	snprintf(text, sizeof text, "%s", size >= sizeof text ? out + size - sizeof text + 1 : out);
	for (at = text; *at; at++)
		if (*at == '\n')
			*at = '|';
	return text;
}

/* The lines in which the hostile program says what differed. */
static void quote(struct trial *t, const struct outcome *outcome)
{
	const char *at = outcome->out;
	unsigned lines = 0;

	while ((at = strstr(at, "differs: ")) != NULL && lines++ < 6) {
		check(t, false, "  in the box: %.*s", (int)strcspn(at, "\n"), at);
		at += 9;
	}
	if (outcome->errs[0])
		check(t, false, "  stderr: %.200s", outcome->errs);
}

bool run_expecting(struct trial *t, const struct service *service,
		   const struct request *request, enum status status, unsigned flags,
		   struct outcome *ret_outcome)
{
	const struct verdict *verdict = &ret_outcome->result.verdict;
	bool good;

	box_run(service, request, ret_outcome);
	if (!check(t, ret_outcome->end == LAUNCH_DONE, "%s: %s", end_name(ret_outcome->end),
		   ret_outcome->err.text))
		return false;
	if (flags & CASE_ANY_STATUS)
		return true;
	good = check(t, ret_outcome->status == status,
		     "%s, expected %s (cause %s, exit code %d, signal %d, exec %d)",
		     job_status_name(ret_outcome->status), job_status_name(status),
		     cause_name(verdict->cause), verdict->exited ? verdict->exit_code : -1,
		     verdict->exited ? 0 : verdict->signal, verdict->exec_errno);
	if (good && status == STATUS_SUCCESS && !(flags & CASE_NO_PROMISE))
		good = check(t, promised(ret_outcome->out),
			     "it ended without its promise: \"...%s\"", end_of(ret_outcome->out));
	if (!good)
		quote(t, ret_outcome);
	return good;
}

static bool keeps_promise(struct trial *t, const struct service *service,
			  const struct request *request)
{
	struct outcome outcome;
	bool good = run_expecting(t, service, request, STATUS_SUCCESS, 0, &outcome);

	if (!good)
		check(t, false, "  in: hostile %s%s", request->arguments,
		      request->language ? ", in the host image" : "");
	outcome_done(&outcome);
	return good;
}

bool run_promising(struct trial *t, const struct service *service, const char *arguments)
{
	return keeps_promise(t, service, &(struct request){ .arguments = arguments });
}

struct request in_host_image(const char *arguments)
{
	static const char start[] = "chmod +x hostile\nexec ./hostile \"$@\"\n";
	static struct job_file files[] = { { { "main.sh", 7 }, { start, sizeof start - 1 } },
					   { { "hostile", 7 }, { NULL, 0 } } };
	struct bytes *program = &files[1].content;

	if (!program->data) {
		int fd = open(ground.hostile, O_RDONLY | O_CLOEXEC);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0)
			give_up("%s", ground.hostile);
		program->size = (size_t)st.st_size;
		program->data = mmap(NULL, program->size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (program->data == MAP_FAILED)
			give_up("%s", ground.hostile);
		close(fd);
	}
	return (struct request){ .language = "sh",
				 .arguments = arguments,
				 .files = files,
				 .files_count = ARRAY_LEN(files) };
}

bool run_promising_in_host_image(struct trial *t, const struct service *service,
				 const char *arguments)
{
	const struct request request = in_host_image(arguments);

	return keeps_promise(t, service, &request);
}

bool own_service(struct trial *t, const struct service_options *options,
		 struct service *ret_service)
{
	char text[400];

	return check(t, service_start(options, ret_service, text, sizeof text),
		     "a service of its own did not start: %s", text);
}

void own_service_done(struct trial *t, struct service *service)
{
	int status = service_stop(service);

	check(t, status == 0, "after SIGTERM its status is %x", status);
	check(t, nothing_lives(service), "processes of it live on");
	service_kill_all(service);
	service_forget(service);
}

/* ---- one case ---- */

static void run_row(struct trial *t)
{
	const struct box_case *row = t->row;
	unsigned count = row->written ? times(row->written) : 1, i;

	for (i = 0; i < count && t->problems < 4; i++) {
		struct outcome outcome;
		const struct verdict *verdict = &outcome.result.verdict;

		if (run_expecting(t, t->service, &row->request, row->status, row->flags,
				  &outcome)) {
			if (row->signal)
				check(t, !verdict->exited && verdict->signal == row->signal,
				      "signal %d, expected %d", verdict->signal, row->signal);
			if (row->cause)
				check(t, verdict->cause == row->cause,
				      "the cause is %s, expected %s",
				      cause_name(verdict->cause), cause_name(row->cause));
			if (row->has)
				check(t, strstr(outcome.out, row->has) != NULL,
				      "stdout lacks \"%s\": \"%.80s\"", row->has, outcome.out);
			if (row->check)
				row->check(t, &outcome);
		}
		if (t->problems && count > 1)
			check(t, false, "  in turn %u of %u", i + 1, count);
		outcome_done(&outcome);
	}
}

static bool missing_tool(struct trial *t)
{
	if ((t->row->flags & CASE_NO_GCC) && access("/usr/bin/g++", X_OK) < 0)
		skip(t, "no compiler on this host");
	if ((t->row->flags & CASE_NO_PYTHON) && access("/usr/bin/python3", X_OK) < 0)
		skip(t, "no python3 on this host");
	return t->skipped[0];
}

static void run_case(struct trial *t, const struct census *before, uint64_t image_hash)
{
	uint64_t available = mem_available_bytes(), outside = tree_hash(ground.outside);
	bool alone = t->row->flags & CASE_TAKES_ALL;
	struct canary canary;
	char text[400];

	if (missing_tool(t))
		return;
	if (!alone)
		canary_start(&canary, t->service);
	if (t->row->run)
		t->row->run(t);
	else
		run_row(t);
	if (!alone) {
		canary_stop(&canary);
		check(t, canary.failed == 0, "host: %u of %u canaries failed: %s",
		      canary.failed, canary.sung, canary.text);
		check(t, canary.sung > 0, "host: no canary sang");
	}
	check(t, census_returns(t->service, before, text, sizeof text), "not clean: %s", text);
	check(t, slots_work(t->service, text, sizeof text), "a slot does not work: %s", text);
	check(t, tree_hash(ground.image) == image_hash, "the image changed");
	check(t, tree_hash(ground.outside) == outside, "a tree outside changed");
	check(t, kernel_log_clean(text, sizeof text), "kernel: %s", text);
	/* others work on this machine: only a loss that nobody could miss counts */
	check(t, mem_available_bytes() + available / 4 > available, "host: memory is gone");
}

static bool wanted(const struct box_case *row, char **patterns)
{
	if (!*patterns)
		return true;
	for (; *patterns; patterns++)
		if (!strncmp(row->number, *patterns, strlen(*patterns)) ||
		    strstr(row->name, *patterns))
			return true;
	return false;
}

static void report(const struct trial *t)
{
	unsigned i;

	if (t->skipped[0]) {
		tap_skip("%s %s: %s", t->row->number, t->row->name, t->skipped);
		return;
	}
	tap_ok(t->problems == 0, "%s %s", t->row->number, t->row->name);
	for (i = 0; i < t->problems && i < TRIAL_PROBLEMS; i++)
		tap_note("%s", t->problem[i]);
}

static void list_all(void)
{
	const struct box_case *row;
	size_t i;

	for (i = 0; i < ARRAY_LEN(groups); i++)
		for (row = groups[i].rows; row->number; row++)
			printf("%-5s %s: %s\n", row->number, row->name, row->promise);
}

static void run_all(char **patterns)
{
	static struct service service;
	static struct census before;
	const struct box_case *row;
	char text[400];
	uint64_t hash;
	size_t i;

	ground_make();
	kernel_log_mark();
	/* without the compile cache, which would hold what a build left; 076d has its own */
	if (!service_start(&(struct service_options){ .conf = "compile-cache = \"0\";\n" },
			   &service, text, sizeof text)) {
		tap_ok(false, "sandboxd starts: %s", text);
		return;
	}
	if (!tap_ok(census_settled(&service, &before), "an idle sandboxd stays as it is"))
		return;
	hash = tree_hash(ground.image);
	for (i = 0; i < ARRAY_LEN(groups); i++) {
		tap_note("%s", groups[i].name);
		for (row = groups[i].rows; row->number; row++) {
			struct trial trial = { .row = row, .service = &service };

			if (!wanted(row, patterns))
				continue;
			run_case(&trial, &before, hash);
			report(&trial);
			if (trial.problems) {
				service_log_tail(&service);
				census_settled(&service, &before);
			}
		}
	}
	i = (size_t)service_stop(&service);
	tap_ok(i == 0, "sandboxd ends well");
	tap_ok(nothing_lives(&service), "nothing lives on after it");
}

int main(int argc, char **argv)
{
	int at;

	for (at = 1; at < argc && argv[at][0] == '-'; at++) {
		if (!strcmp(argv[at], "--full")) {
			extent = EXTENT_FULL;
		} else if (!strcmp(argv[at], "--guest")) {
			extent = EXTENT_GUEST;
		} else if (!strcmp(argv[at], "--list")) {
			list_all();
			return 0;
		} else {
			fprintf(stderr,
				"usage: boxtest [--full | --guest] [--list] [PATTERN...]\n");
			return 2;
		}
	}
	(void)argc;
	run_all(argv + at);
	return tap_done();
}
