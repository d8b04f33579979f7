/* SPDX-License-Identifier: ISC */
/* A program cannot tell whether its interpreter was started for it or before it:
 * each one of tests/box/programs/LANGUAGE.txt runs both ways, and everything that
 * comes of it is the same. And a hostile one, tests/box/programs/hostile.*, gains
 * nothing by it: beside the interpreter and init there was another runner, which has
 * handed it over and ends while the program begins. Needs root; TAP. */
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
#define TRIES	    20      /* an interpreter may still be on its way */
#define PAUSE_US    150000
#define PROGRAM_MAX (64 << 10)

struct side {
	const char *name;
	bool ahead, lingers; /* lingers: the other runner is slow to end */
	unsigned ids;
	pid_t pid;
	char directory[128];
};

static struct side cold = { .name = "cold", .ids = 0x72000000 },
		   warm = { .name = "ahead", .ids = 0x72001000, .ahead = true },
		   slow = { .name = "slow", .ids = 0x72002000, .ahead = true, .lingers = true };
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
		if (side->lingers)
			setenv("SANDPOOL_TEST_LINGER", "1", 1);
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
	uint64_t cpu_ms;       /* 0: as the language has it */
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
		.wait_us = 30000000,
		.client_fd = -1,
	};
	struct error err = ERROR_INIT;
	char run[160];
	enum launch_end end;

	if (job_resolve_limits(&limits_policy_default, STAGE_RUN, &language->run, &stage.limits,
			       &stage.limits, NULL, &err) < 0)
		return LAUNCH_REFUSED;
	if (told->cpu_ms)
		stage.limits.cpu_ms = told->cpu_ms;
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
			usleep(PAUSE_US);
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
	if (run(&cold, language, code, &usual, &a) && run(&warm, language, code, &usual, &b)) {
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
			(struct bytes){ body, next ? (size_t)(next - body) : strlen(body) });
	}
	if (count == 0)
		tap_ok(false, "ahead: %s has programs", language->id);
}

/* ---- 046b, 046c: a hostile program ---- */

#define HOSTILE_TURNS 1000 /* as written */

static const struct {
	const char *number, *name, *promise;
	struct side *side;
	int least; /* so many of those that it stopped when it began: the other runner is one */
} hostile[] = {
	{ "046b", "attacks on who started the interpreter ahead", "denied; the verdict is right",
	  &warm, 0 },
	{ "046c", "the same, and the other runner is slow to end", "denied; the verdict is right",
	  &slow, 1 },
};

static const struct {
	const char *id, *file;
} hostile_programs[] = { { "python3", "hostile.py" }, { "perl", "hostile.pl" } };

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
	/* killed in it at once, init could not tell which interpreter ran: the last one */
	{ "spin 0\n", false, SIGKILL, CAUSE_CPU, 1000 },
};

static bool ended_so(const struct verdict *verdict, const struct hostile_end *end)
{
	if (verdict->cause != end->cause || verdict->cause != CAUSE_NONE)
		return verdict->cause == end->cause;
	return verdict->exited == end->exited &&
	       (end->exited ? verdict->exit_code : verdict->signal) == end->number;
}

/* How many it had stopped when it began: of its own user there is one beside it at most. */
static int collected_count(const struct launch_result *result)
{
	struct launch_file file;
	size_t offset = 0;

	if (!launch_collected_next(&result->collected, &offset, &file) || file.content.size != 1)
		return -1;
	return file.content.data[0] - '0';
}

static bool hostile_turn(size_t row, const struct language *language, struct bytes code,
			 unsigned turn, unsigned *met)
{
	/* with files to collect init lives on; without, all of the box dies at once */
	const unsigned kinds = 2 * ARRAY_LEN(hostile_ends) - 1;
	const bool collects = turn % kinds < ARRAY_LEN(hostile_ends);
	const struct hostile_end *end = &hostile_ends[turn % kinds % ARRAY_LEN(hostile_ends)];
	struct bytes name = { "left", 4 };
	struct words collect = { &name, 1 };
	const struct told told = { .input = { end->input, strlen(end->input) },
				   .cpu_ms = end->cpu_ms,
				   .collect = collects ? &collect : NULL };
	static const char promise[] = "as promised\n";
	struct launch_result r;
	int count;
	bool good;

	memset(&r, 0, sizeof r);
	if (!run(hostile[row].side, language, code, &told, &r))
		return false;
	count = collects ? collected_count(&r) : hostile[row].least;
	good = ended_so(&r.verdict, end) && count >= hostile[row].least && count <= 1 &&
	       r.output[0].size == strlen(promise) &&
	       !memcmp(r.output[0].data, promise, strlen(promise)) && r.output[1].size == 0;
	if (!good) {
		tap_note("turn %u, told \"%.*s\"; it had stopped %d", turn,
			 (int)strcspn(end->input, "\n"), end->input, count);
		show("hostile", &r);
	}
	*met += collects && count == 1;
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

	if (run_once(side, sh, (struct bytes){ "", 0 }, &usual, &result) != LAUNCH_DONE)
		return false;
	launch_result_free(&result);
	do {
		pause_ms(50);
		census_take(service, ret_census);
	} while ((ret_census->inits != 2 || ret_census->strangers != 0) && clock_ms() < end);
	for (i = 0; i < ret_census->service_count; i++)
		if (ret_census->service[i].mounts > ret_census->mounts_most)
			ret_census->mounts_most = ret_census->service[i].mounts;
	return ret_census->inits == 2 && ret_census->strangers == 0;
}

static void hostile_case(size_t row, const char *id, const char *file)
{
	static struct census before, after;
	const struct side *side = hostile[row].side;
	const struct language *language = language_find(table, id);
	struct service service = as_service(side);
	const char *text = read_source(file);
	const struct bytes code = { text, strlen(text) };
	unsigned turns = times(HOSTILE_TURNS), turn, met = 0;
	char why[400] = "it does not come to rest";
	bool good = at_rest(side, &service, &before);

	kernel_log_mark();
	for (turn = 0; turn < turns && good; turn++)
		good = hostile_turn(row, language, code, turn, &met);
	if (!at_rest(side, &service, &after) ||
	    !census_returns(&service, &before, why, sizeof why) ||
	    !kernel_log_clean(why, sizeof why)) {
		tap_note("%s", why);
		good = false;
	}
	tap_ok(good, "%s %s: %s", hostile[row].number, id, hostile[row].name);
	tap_note("%u turns; the other runner was met in %u of those that tell", turn, met);
}

static void each_hostile(const struct wire_info *info)
{
	size_t row, i;

	for (row = 0; row < ARRAY_LEN(hostile); row++)
		for (i = 0; i < ARRAY_LEN(hostile_programs); i++) {
			if (here(info, hostile_programs[i].id))
				hostile_case(row, hostile_programs[i].id, hostile_programs[i].file);
			else
				tap_skip("the host has no %s",
					 hostile_programs[i].id);
		}
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
		start_daemon(&cold);
		start_daemon(&warm);
		start_daemon(&slow);
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
	size_t i;
	int at;

	for (at = 1; at < argc; at++) {
		if (!strcmp(argv[at], "--list")) {
			for (i = 0; i < ARRAY_LEN(hostile); i++)
				printf("%-5s %s: %s\n", hostile[i].number, hostile[i].name,
				       hostile[i].promise);
			return false;
		}
		if (!strcmp(argv[at], "--full"))
			extent = EXTENT_FULL;
		for (i = 0; i < ARRAY_LEN(hostile); i++)
			if (!strncmp(hostile[i].number, argv[at], strlen(argv[at])))
				only_hostile = true;
	}
	return true;
}

static void same_programs(const struct wire_info *info)
{
	static const char *const ids[] = { "python3", "nodejs", "php", "perl" };
	size_t i;

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
	stop_daemon(&slow);
	stop_daemon(&warm);
	stop_daemon(&cold);
	language_table_free(table);
	return tap_done();
}
