/* SPDX-License-Identifier: ISC */
/* A program cannot tell whether its interpreter was started for it or before it:
 * each one of tests/box/programs/LANGUAGE.txt runs both ways, and everything that
 * comes of it is the same. And a hostile one, tests/box/programs/hostile.*, gains
 * nothing by it: from its first line on nobody is beside it but init. Needs root; TAP. */
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
#include "tests/box/harness.h"
#include "tests/tap.h"

#define INPUT	    "Ada Lovelace\nGrace\n\xc3\xa4\n"
#define TRIES	    20      /* an interpreter may still be on its way, */
#define PAUSE_US    150000  /* so each time this much longer */
#define PROGRAM_MAX (64 << 10)

struct side {
	const char *name;
	bool ahead;
	unsigned ids;
	pid_t pid;
	char directory[128];
};

static struct side cold = { .name = "cold" }, warm = { .name = "ahead", .ahead = true };
static struct language_table *table;
static const char *languages;
static char source[400], binary[PATH_MAX];

static void start_daemon(struct side *side)
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
		side->ids, side->ahead ? "true" : "false");
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

/* What is told to a program, and what it leaves. */
struct told {
	struct bytes input;
	struct limits limits;  /* 0: as the language has it */
	struct words *collect; /* NULL: nothing */
};
static const struct told usual = { .input = { INPUT, sizeof INPUT - 1 } };

static enum launch_end run_once(const struct side *side, const struct language *language,
				struct bytes code, const struct told *told,
				struct launch_result *result)
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
		.input = told->input,
		.collect = told->collect,
		.limits = told->limits,
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
		const struct told *told, struct launch_result *result)
{
	int tries;

	for (tries = 0; tries < TRIES; tries++) {
		if (side->ahead)
			usleep(PAUSE_US * (useconds_t)(tries + 1));
		if (run_once(side, language, code, told, result) != LAUNCH_DONE)
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
	tap_note("%s: exited %d code %d signal %d cause %d errno %d", what, r->verdict.exited,
		 r->verdict.exit_code, r->verdict.signal, r->verdict.cause, r->verdict.exec_errno);
	tap_note("%s: %lld processes", what, (long long)r->verdict.usage.processes_peak);
	tap_note("%s: stdout: %.*s", what, (int)(r->output[0].size < 600 ? r->output[0].size : 600),
		 r->output[0].size ? r->output[0].data : "");
	tap_note("%s: stderr: %.*s", what, (int)(r->output[1].size < 600 ? r->output[1].size : 600),
		 r->output[1].size ? r->output[1].data : "");
}

#define ANY 0 /* of how many processes it is may depend on who is faster */

/* The figure is the program's own: of those that are alone, and of those that say how many
 * they are. */
static bool same_processes(uint64_t a, uint64_t b, uint64_t wanted)
{
	if (a == USAGE_UNKNOWN || b == USAGE_UNKNOWN)
		return a == b;
	return wanted == ANY ? (a == 1) == (b == 1) : a == wanted && b == wanted;
}

static void compare(const struct language *language, const char *name, struct bytes code,
		    const struct told *told, uint64_t processes)
{
	struct launch_result a, b;
	bool good = false;

	memset(&a, 0, sizeof a);
	memset(&b, 0, sizeof b);
	if (run(&cold, language, code, told, &a) && run(&warm, language, code, told, &b)) {
		good = a.verdict.exited == b.verdict.exited &&
		       a.verdict.exit_code == b.verdict.exit_code &&
		       a.verdict.signal == b.verdict.signal && a.verdict.cause == b.verdict.cause &&
		       a.verdict.exec_errno == b.verdict.exec_errno &&
		       same_bytes(&a.output[0], &b.output[0]) &&
		       same_bytes(&a.output[1], &b.output[1]) &&
		       same_processes(a.verdict.usage.processes_peak,
				      b.verdict.usage.processes_peak, processes);
		if (!good) {
			show("cold", &a);
			show("ahead", &b);
		}
	}
	tap_ok(good, "ahead: %s: %s", language->id, name);
	launch_result_free(&a);
	launch_result_free(&b);
}

static const struct language *here(const struct wire_info *info, const char *id)
{
	const struct language *language = language_find(table, id);

	return language && info->language_image[language_index(table, language)] != WIRE_IMAGE_NONE
		       ? language
		       : NULL;
}

/* ---- how many it is, and may be ---- */

#define FORK_ALL                                                                                \
	"import os, signal\nchildren = []\n"                                                    \
	"try:\n\twhile True:\n\t\tpid = os.fork()\n\t\tif pid == 0:\n\t\t\tsignal.pause()\n"      \
	"\t\tchildren.append(pid)\nexcept BlockingIOError:\n\tprint(len(children))\n"            \
	"for pid in children:\n\tos.kill(pid, 9)\n\tos.waitpid(pid, 0)\n"

/* Nobody ends before all are there. */
static const struct {
	const char *id, *name, *code;
	uint64_t processes, asked; /* asked: 0, as the language has it */
} crowds[] = {
	{ "python3", "alone", "pass\n", 1, 0 },
	{ "python3", "with three children",
	  "import os, signal\nchildren = []\n"
	  "for i in range(3):\n\tpid = os.fork()\n\tif pid == 0:\n\t\tsignal.pause()\n"
	  "\tchildren.append(pid)\n"
	  "for pid in children:\n\tos.kill(pid, 9)\n\tos.waitpid(pid, 0)\n",
	  4, 0 },
	{ "python3", "with three threads",
	  "import threading\nover = threading.Event()\n"
	  "threads = [threading.Thread(target=over.wait) for i in range(3)]\n"
	  "for t in threads:\n\tt.start()\nover.set()\n",
	  4, 0 },
	{ "python3", "with as many children as it may have", FORK_ALL, 64, 0 },
	{ "python3", "with as many children as it asked for", FORK_ALL, 4, 4 },
	{ "perl", "alone", "1;\n", 1, 0 },
	{ "perl", "with three children",
	  "for (1..3) { my $pid = fork; if (!$pid) { sleep 3600 while 1; } push @pids, $pid; }\n"
	  "kill 9, @pids; waitpid $_, 0 for @pids;\n",
	  4, 0 },
	{ "nodejs", "as it is", "0\n", ANY, 0 },
	{ "php", "alone", "<?php 1;\n", 1, 0 },
	{ "ruby", "alone", "1\n", 1, 0 },
	{ "ruby", "started anew, alone", "#!/usr/bin/ruby\n1\n", 1, 0 },
	{ "ruby", "with three children",
	  "pids = 3.times.map { fork { sleep } }\n"
	  "pids.each { |pid| Process.kill(:KILL, pid); Process.wait(pid) }\n",
	  4, 0 },
	{ "ruby", "started anew, with three children",
	  "#!/usr/bin/env ruby\npids = 3.times.map { fork { sleep } }\n"
	  "pids.each { |pid| Process.kill(:KILL, pid); Process.wait(pid) }\n",
	  4, 0 },
};

static void each_crowd(const struct wire_info *info)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(crowds); i++) {
		const struct language *language = here(info, crowds[i].id);
		const struct bytes code = { crowds[i].code, strlen(crowds[i].code) };
		struct told told = usual;

		told.limits.processes = crowds[i].asked;
		if (language)
			compare(language, crowds[i].name, code, &told, crowds[i].processes);
	}
}

/* ---- a program that its disk cannot hold ---- */

static void too_large(const struct wire_info *info)
{
	static char code[200 << 10];
	const struct language *language = here(info, "python3");
	struct told told = usual;

	if (!language)
		return;
	memset(code, '#', sizeof code);
	told.limits.disk_bytes = 64 << 10;
	compare(language, "larger than its disk", (struct bytes){ code, sizeof code }, &told, ANY);
}

/* ---- a program that wants something else than what was started for it ---- */

static const struct {
	const char *id, *code;
} printers[] = {
	{ "python3", "import sys; print(sys.argv)\n" },
	{ "nodejs", "console.log(process.argv)\n" },
	{ "php", "<?php print_r($argv);\n" },
	{ "perl", "print \"$0 @ARGV\\n\";\n" },
	{ "ruby", "p $0, ARGV\n" },
	{ "sh", "echo \"$0\" \"$@\"\n" },
};

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

	if (run_once(&cold, language, code, &usual, &wanted) != LAUNCH_DONE)
		return "it did not run";
	for (i = 0; i < ARRAY_LEN(pauses_us) && !differs; i++) {
		if (run_once(&warm, before, empty, &usual, &other) != LAUNCH_DONE)
			return "the one before did not run";
		launch_result_free(&other);
		usleep(pauses_us[i]);
		if (run_once(&warm, language, code, &usual, &got) != LAUNCH_DONE)
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

static void each_switch(const struct wire_info *info)
{
	size_t a, b;

	for (a = 0; a < ARRAY_LEN(printers); a++)
		for (b = 0; b < ARRAY_LEN(printers); b++) {
			const struct language *before = here(info, printers[a].id);
			const struct language *language = here(info, printers[b].id);
			const char *differs;

			if (a == b || !before || !before->ahead || !language)
				continue;
			differs = after_another(before, language, printers[b].code);
			tap_ok(!differs, "ahead: %s where %s waits%s%s", language->id, before->id,
			       differs ? ": " : "", differs ? differs : "");
		}
}

/* A text of tests/box/programs, until the next one is read. */
static char *read_source(const char *name)
{
	static char text[PROGRAM_MAX];
	char path[500];

	snprintf(path, sizeof path, "%s/tests/box/programs/%s", source, name);
	if (io_read_text_at(AT_FDCWD, path, text, sizeof text) <= 0)
		snprintf(text, sizeof text, "no %s", path);
	return text;
}

/* Programs are divided by lines that begin with "### " and hold a name. */
static void each_program(const struct language *language)
{
	char file[64], *at, *name, *body, *next;
	unsigned count = 0;

	snprintf(file, sizeof file, "%s.txt", language->id);
	for (at = read_source(file); at && !strncmp(at, "### ", 4); at = next) {
		name = at + 4;
		body = strchr(name, '\n');
		if (!body)
			break;
		*body++ = '\0';
		next = !strncmp(body, "### ", 4) ? body : strstr(body, "\n### ");
		if (next && next != body)
			next++;
		count++;
		compare(language, name,
			(struct bytes){ body, next ? (size_t)(next - body) : strlen(body) }, &usual,
			ANY);
	}
	if (count == 0)
		tap_ok(false, "ahead: %s has programs", language->id);
}

/* ---- 046b: a hostile program ---- */

#define HOSTILE_TURNS 1000 /* as written */

static const struct {
	const char *number, *name, *promise;
} hostile = { "046b", "attacks by a program whose interpreter was started ahead",
	      "nobody is there but init; denied; the verdict is right" };

static const struct {
	const char *id, *file;
} hostile_programs[] = { { "python3", "hostile.py" },
		      { "perl", "hostile.pl" },
		      { "ruby", "hostile.rb" },
		      { "nodejs", "hostile.js" },
		      { "php", "hostile.php" } };

/* How the program is told to end, and what must come of it. */
static const struct hostile_end {
	const char *input;
	bool exited;
	int number; /* exit code or signal */
	enum cause cause;
	uint64_t cpu_ms;
} hostile_ends[] = {
	{ "exit 0\n", true, 0, CAUSE_NONE, 0 },
	{ "exit 7\n", true, 7, CAUSE_NONE, 0 },
	{ "signal 15\n", false, SIGTERM, CAUSE_NONE, 0 },
	{ "spin 0\n", false, SIGKILL, CAUSE_CPU, 1000 },
};

static bool ended_so(const struct verdict *verdict, const struct hostile_end *end)
{
	if (verdict->cause != end->cause || verdict->cause != CAUSE_NONE)
		return verdict->cause == end->cause;
	return verdict->exited == end->exited &&
	       (end->exited ? verdict->exit_code : verdict->signal) == end->number;
}

/* How many it had stopped when it began. */
static int collected_count(const struct launch_result *result)
{
	struct launch_file file;
	size_t offset = 0;

	if (!launch_collected_next(&result->collected, &offset, &file) || file.content.size != 1)
		return -1;
	return file.content.data[0] - '0';
}

static bool hostile_turn(const struct language *language, struct bytes code, unsigned turn)
{
	/* with files to collect init lives on; without, all of the box dies at once */
	const bool collects = turn % (2 * ARRAY_LEN(hostile_ends)) < ARRAY_LEN(hostile_ends);
	const struct hostile_end *end = &hostile_ends[turn % ARRAY_LEN(hostile_ends)];
	struct bytes name = { "left", 4 };
	struct words collect = { &name, 1 };
	const struct told told = { .input = { end->input, strlen(end->input) },
				   .limits.cpu_ms = end->cpu_ms,
				   .collect = collects ? &collect : NULL };
	static const char promise[] = "as promised\n";
	struct launch_result r;
	int count;
	bool good;

	memset(&r, 0, sizeof r);
	if (!run(&warm, language, code, &told, &r))
		return false;
	count = collects ? collected_count(&r) : 0;
	good = ended_so(&r.verdict, end) && count == 0 &&
	       r.output[0].size == strlen(promise) &&
	       !memcmp(r.output[0].data, promise, strlen(promise)) && r.output[1].size == 0;
	if (!good) {
		tap_note("turn %u, told \"%.*s\"; it had stopped %d", turn,
			 (int)strcspn(end->input, "\n"), end->input, count);
		show("hostile", &r);
	}
	launch_result_free(&r);
	return good;
}

/* For the census, which knows the daemons of the harness. */
static struct service as_service(const struct side *side)
{
	struct service service = { .ids_first = side->ids, .slots = 1, .pid = side->pid };

	snprintf(service.parent, sizeof service.parent, "sandpool-test-ahead-%d-%s", (int)getpid(),
		 side->name);
	snprintf(ground.faults, sizeof ground.faults, "%s", binary);
	snprintf(ground.root, sizeof ground.root, "%.60s", side->directory);
	return service;
}

/* After a language without one nobody waits in the box but init and the runner. */
static bool at_rest(const struct side *side, const struct service *service, struct census *ret_census)
{
	const struct language *sh = language_find(table, "sh");
	const uint64_t end = clock_ms() + PATIENCE_MS;
	struct launch_result result;
	size_t i;

	if (run_once(side, sh, (struct bytes){ "", 0 }, &usual, &result) != LAUNCH_DONE) {
		tap_note("sh did not run");
		return false;
	}
	launch_result_free(&result);
	do {
		pause_ms(50);
		census_take(service, ret_census);
	} while ((ret_census->inits != 2 || ret_census->strangers != 0) && clock_ms() < end);
	for (i = 0; i < ret_census->service_count; i++)
		if (ret_census->service[i].mounts > ret_census->mounts_most)
			ret_census->mounts_most = ret_census->service[i].mounts;
	if (ret_census->inits == 2 && ret_census->strangers == 0)
		return true;
	tap_note("in the box there are %zu inits and runners, and %zu others", ret_census->inits,
		 ret_census->strangers);
	return false;
}

static void hostile_case(const char *id, const char *file)
{
	static struct census before, after;
	const struct language *language = language_find(table, id);
	struct service service = as_service(&warm);
	const char *text = read_source(file);
	const struct bytes code = { text, strlen(text) };
	unsigned turns = times(HOSTILE_TURNS), turn;
	char why[400] = "it does not come to rest";
	bool good = at_rest(&warm, &service, &before);

	kernel_log_mark();
	for (turn = 0; turn < turns && good; turn++)
		good = hostile_turn(language, code, turn);
	if (!at_rest(&warm, &service, &after) ||
	    !census_returns(&service, &before, why, sizeof why) ||
	    !kernel_log_clean(why, sizeof why)) {
		tap_note("%s", why);
		good = false;
	}
	tap_ok(good, "%s %s: %s, %u turns", hostile.number, id, hostile.name, turn);
}

static void each_hostile(const struct wire_info *info)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(hostile_programs); i++)
		if (here(info, hostile_programs[i].id))
			hostile_case(hostile_programs[i].id, hostile_programs[i].file);
		else
			tap_skip("the host has no %s", hostile_programs[i].id);
}

/* ---- the start ---- */

static bool prepare(struct wire_info *ret_info)
{
	const char *top = getenv("top_srcdir"), *build = getenv("top_builddir");
	static char language_path[PATH_MAX];
	char built[400], run_path[160];
	struct error err = ERROR_INIT;

	snprintf(source, sizeof source, "%s", top ? top : ".");
	snprintf(language_path, sizeof language_path, "%s/languages", source);
	languages = language_path;
	/* as /proc/PID/exe has it */
	snprintf(built, sizeof built, "%s/sandpool-sandboxd-faults", build ? build : ".");
	if (!realpath(built, binary)) {
		perror(built);
		return false;
	}
	table = language_table_load(languages, false, &err);
	if (table) {
		/* apart from those of the harness, and of the same test beside us */
		cold.ids = 0x72000000u + ((unsigned)(getpid() % 4096) << 12);
		warm.ids = cold.ids + 128;
		start_daemon(&cold);
		start_daemon(&warm);
		snprintf(run_path, sizeof run_path, "%s/run", warm.directory);
	}
	if (!table || launch_query(run_path, ret_info, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return false;
	}
	return true;
}

static bool only_hostile; /* their number was asked for */

static bool read_words(int argc, char **argv)
{
	int at;

	for (at = 1; at < argc; at++) {
		if (!strcmp(argv[at], "--list")) {
			printf("%-5s %s: %s\n", hostile.number, hostile.name, hostile.promise);
			return false;
		}
		if (!strcmp(argv[at], "--full"))
			extent = EXTENT_FULL;
		if (!strcmp(argv[at], "--guest"))
			extent = EXTENT_GUEST;
		if (!strncmp(hostile.number, argv[at], strlen(argv[at])))
			only_hostile = true;
	}
	return true;
}

static void same_programs(const struct wire_info *info)
{
	static const char *const ids[] = { "python3", "nodejs", "php", "perl", "ruby" };
	size_t i;

	each_crowd(info);
	too_large(info);
	each_switch(info);
	for (i = 0; i < ARRAY_LEN(ids); i++) {
		const struct language *language = here(info, ids[i]);

		if (language)
			each_program(language);
		else
			tap_skip("the host has no %s", ids[i]);
	}
}

int main(int argc, char **argv)
{
	struct wire_info info;

	if (!read_words(argc, argv))
		return 0;
	if (geteuid() != 0) {
		tap_skip_all("needs root");
		return 0;
	}
	if (!prepare(&info))
		return 1;
	if (!only_hostile)
		same_programs(&info);
	each_hostile(&info);
	stop_daemon(&warm);
	stop_daemon(&cold);
	language_table_free(table);
	return tap_done();
}
