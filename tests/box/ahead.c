/* SPDX-License-Identifier: ISC */
/* A program cannot tell whether its interpreter was started for it or before it:
 * each one of tests/box/programs/LANGUAGE.txt runs both ways, and everything that
 * comes of it is the same. Needs root; TAP. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/language.h"
#include "fcgi/launch.h"
#include "tests/tap.h"

#define INPUT	    "Ada Lovelace\nGrace\n\xc3\xa4\n"
#define TRIES	    20      /* an interpreter may still be on its way */
#define PAUSE_US    150000
#define PROGRAM_MAX (64 << 10)

struct side {
	const char *name;
	bool ahead;
	pid_t pid;
	char directory[128];
};

static struct side cold = { .name = "cold" }, warm = { .name = "ahead", .ahead = true };
static struct language_table *table;
static const char *languages;

static void start_daemon(struct side *side, const char *binary, unsigned ids)
{
	char path[200], run[160];
	struct wire_info info;
	struct error err = ERROR_INIT;
	FILE *file;
	int tries;

	snprintf(side->directory, sizeof side->directory, "/var/tmp/sandpool-ahead-%d-%s", (int)getpid(),
		 side->name);
	if (mkdir(side->directory, 0755) < 0)
		exit(1);
	snprintf(path, sizeof path, "%s/conf", side->directory);
	file = fopen(path, "w");
	if (!file)
		exit(1);
	fprintf(file,
		"run-directory = \"%s/run\"; state-directory = \"%s/state\"; slots = 1;\n"
		"image-directory = \"%s/images\"; language-directory = \"%s\"; worker-user = \"65534\";\n"
		"cgroup-parent = \"sandpool-test-ahead-%d-%s\"; box-ids = %u; interpreters-ahead = %s;\n",
		side->directory, side->directory, side->directory, languages, (int)getpid(), side->name,
		ids, side->ahead ? "true" : "false");
	fclose(file);
	side->pid = fork();
	if (side->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		setenv("SANDPOOL_TEST_AHEAD", "1", 1);
		execl(binary, binary, "-c", path, (char *)NULL);
		_exit(127);
	}
	snprintf(run, sizeof run, "%s/run", side->directory);
	for (tries = 0; tries < 200 && launch_query(run, &info, &err) < 0; tries++)
		usleep(100000);
}

static void stop_daemon(struct side *side)
{
	char *const argv[] = { (char *)(uintptr_t) "rm", (char *)(uintptr_t) "-rf", side->directory, NULL };
	pid_t pid;

	kill(side->pid, SIGTERM);
	waitpid(side->pid, NULL, 0);
	pid = fork();
	if (pid == 0) {
		execvp("rm", argv);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static enum launch_end run_once(const struct side *side, const struct language *language,
				struct bytes code, struct launch_result *result)
{
	struct job_file file = { { language->file, strlen(language->file) }, code };
	struct launch launch = LAUNCH_INIT;
	struct launch_stage stage = {
		.id = "aaaaaaaaaaaaaaaa",
		.language = language->id,
		.table_hash = table->hash,
		.stage = STAGE_RUN,
		.files = &file,
		.files_count = 1,
		.input = { INPUT, sizeof INPUT - 1 },
		.wait_us = 30000000,
		.client_fd = -1,
	};
	struct error err = ERROR_INIT;
	char run[160];
	enum launch_end end;

	if (job_resolve_limits(&limits_policy_default, STAGE_RUN, &language->run, &stage.limits,
			       &stage.limits, NULL, &err) < 0)
		return LAUNCH_REFUSED;
	stage.reserve_bytes = stage.limits.memory_bytes;
	snprintf(run, sizeof run, "%s/run", side->directory);
	end = launch_run(&launch, run, "host", &stage, result, &err);
	launch_close(&launch);
	return end;
}

/* On the side with interpreters ahead: until one was really used. */
static bool run(const struct side *side, const struct language *language, struct bytes code,
		struct launch_result *result)
{
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		if (side->ahead)
			usleep(PAUSE_US);
		if (run_once(side, language, code, result) != LAUNCH_DONE)
			return false;
		if (result->verdict.ahead == side->ahead)
			return true;
		launch_result_free(result);
	}
	tap_note("%s was never used", side->name);
	return false;
}

static bool same_bytes(const struct buffer *a, const struct buffer *b)
{
	return a->size == b->size && (!a->size || !memcmp(a->data, b->data, a->size));
}

static void show(const char *what, const struct launch_result *r)
{
	tap_note("%s: exited %d code %d signal %d cause %d", what, r->verdict.exited,
		 r->verdict.exit_code, r->verdict.signal, r->verdict.cause);
	tap_note("%s: stdout: %.*s", what, (int)(r->output[0].size < 600 ? r->output[0].size : 600),
		 r->output[0].size ? r->output[0].data : "");
	tap_note("%s: stderr: %.*s", what, (int)(r->output[1].size < 600 ? r->output[1].size : 600),
		 r->output[1].size ? r->output[1].data : "");
}

static void compare(const struct language *language, const char *name, struct bytes code)
{
	struct launch_result a, b;
	bool good = false;

	memset(&a, 0, sizeof a);
	memset(&b, 0, sizeof b);
	if (run(&cold, language, code, &a) && run(&warm, language, code, &b)) {
		good = a.verdict.exited == b.verdict.exited &&
		       a.verdict.exit_code == b.verdict.exit_code &&
		       a.verdict.signal == b.verdict.signal && a.verdict.cause == b.verdict.cause &&
		       same_bytes(&a.output[0], &b.output[0]) &&
		       same_bytes(&a.output[1], &b.output[1]);
		if (!good) {
			show("cold", &a);
			show("ahead", &b);
		}
	}
	tap_ok(good, "ahead: %s: %s", language->id, name);
	launch_result_free(&a);
	launch_result_free(&b);
}

/* ---- a program that wants something else than what was started for it ---- */

static const struct {
	const char *id, *code;
} printers[] = {
	{ "python3", "import sys; print(sys.argv)\n" },
	{ "nodejs", "console.log(process.argv)\n" },
	{ "php", "<?php print_r($argv);\n" },
	{ "perl", "print \"$0 @ARGV\\n\";\n" },
	{ "sh", "echo \"$0\" \"$@\"\n" },
};

static const struct language *here(const struct wire_info *info, const char *id)
{
	const struct language *language = language_find(table, id);

	return language && info->language_image[language_index(table, language)] != WIRE_IMAGE_NONE
		       ? language
		       : NULL;
}

/* In the middle of the interpreter's start, too. */
static const char *after_another(const struct language *before, const struct language *language,
				 const char *text)
{
	static const unsigned pauses_us[] = { 0, 12000, 15000, 20000, 30000, PAUSE_US };
	const struct bytes code = { text, strlen(text) };
	const struct bytes empty = { "", 0 };
	struct launch_result wanted, other, got;
	const char *differs = NULL;
	size_t i;

	if (run_once(&cold, language, code, &wanted) != LAUNCH_DONE)
		return "it did not run";
	for (i = 0; i < ARRAY_LEN(pauses_us) && !differs; i++) {
		if (run_once(&warm, before, empty, &other) != LAUNCH_DONE)
			return "the one before did not run";
		launch_result_free(&other);
		usleep(pauses_us[i]);
		if (run_once(&warm, language, code, &got) != LAUNCH_DONE)
			return "it did not run after another";
		if (got.verdict.ahead)
			differs = "it ran in the other's interpreter";
		else if (!same_bytes(&wanted.output[0], &got.output[0]) ||
			 !same_bytes(&wanted.output[1], &got.output[1]))
			differs = "it printed something else";
		if (differs) {
			show("cold", &wanted);
			show("after another", &got);
		}
		launch_result_free(&got);
	}
	launch_result_free(&wanted);
	return differs;
}

static unsigned each_switch(const struct wire_info *info, bool count_only)
{
	unsigned count = 0;
	size_t a, b;

	for (a = 0; a < ARRAY_LEN(printers); a++)
		for (b = 0; b < ARRAY_LEN(printers); b++) {
			const struct language *before = here(info, printers[a].id);
			const struct language *language = here(info, printers[b].id);
			const char *differs;

			if (a == b || !before || !before->ahead || !language)
				continue;
			count++;
			if (count_only)
				continue;
			differs = after_another(before, language, printers[b].code);
			tap_ok(!differs, "ahead: %s where %s waits%s%s", language->id, before->id,
			       differs ? ": " : "", differs ? differs : "");
		}
	return count;
}

/* Programs are divided by lines that begin with "### " and hold a name. */
static unsigned each_program(const struct language *language, const char *path, bool count_only)
{
	static char text[PROGRAM_MAX];
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : io_read_full(fd, text, sizeof text - 1);
	char *at = text, *name, *body, *next;
	unsigned count = 0;

	if (size < 0)
		return 0;
	text[size] = '\0';
	while (at && !strncmp(at, "### ", 4)) {
		name = at + 4;
		body = strchr(name, '\n');
		if (!body)
			break;
		*body++ = '\0';
		next = !strncmp(body, "### ", 4) ? body : strstr(body, "\n### ");
		if (next && next != body)
			next++;
		count++;
		if (!count_only)
			compare(language, name,
				(struct bytes){ body, next ? (size_t)(next - body) : strlen(body) });
		at = next;
	}
	return count;
}

int main(void)
{
	static const char *const ids[] = { "python3", "nodejs", "php", "perl" };
	const char *source = getenv("top_srcdir"), *build = getenv("top_builddir");
	static char language_path[400];
	char binary[400], path[ARRAY_LEN(ids)][400];
	struct error err = ERROR_INIT;
	struct wire_info info;
	char run_path[160];
	unsigned total = 0;
	size_t i;

	if (geteuid() != 0) {
		tap_skip_all("needs root");
		return 0;
	}
	snprintf(language_path, sizeof language_path, "%s/languages", source ? source : ".");
	languages = language_path;
	snprintf(binary, sizeof binary, "%s/sandpool-sandboxd-faults", build ? build : ".");
	table = language_table_load(languages, false, &err);
	if (!table) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	start_daemon(&cold, binary, 0x72000000);
	start_daemon(&warm, binary, 0x72001000);
	snprintf(run_path, sizeof run_path, "%s/run", warm.directory);
	if (launch_query(run_path, &info, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	for (i = 0; i < ARRAY_LEN(ids); i++) {
		const struct language *language = language_find(table, ids[i]);

		snprintf(path[i], sizeof path[i], "%s/tests/box/programs/%s.txt", source ? source : ".", ids[i]);
		total += language && info.language_image[language_index(table, language)] != WIRE_IMAGE_NONE
				 ? each_program(language, path[i], true)
				 : 1;
	}
	tap_plan(total + each_switch(&info, true));
	each_switch(&info, false);
	for (i = 0; i < ARRAY_LEN(ids); i++) {
		const struct language *language = language_find(table, ids[i]);

		if (!language || info.language_image[language_index(table, language)] == WIRE_IMAGE_NONE)
			tap_skip("the host has no %s", ids[i]);
		else
			each_program(language, path[i], false);
	}
	stop_daemon(&warm);
	stop_daemon(&cold);
	language_table_free(table);
	return tap_done();
}
