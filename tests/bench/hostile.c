/* SPDX-License-Identifier: ISC */
/* tests/bench/run hostile: how soon programs that do harm are dead, how soon nothing
 * is left of them, and what a neighbour notices meanwhile. The numbers are those of
 * the cases in tests/box/list. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/bench/bench.h"

#define WALL_MS     800
#define CPU_MS      200
#define MEMORY_MIB  64
#define OUTPUT_CAP  (1 << 20)
#define CANARY_US   50000
#define CANARY_ROOM 20000
#define CLEAN_US    10000000
#define GROUPS_MAX  16

static const char *binary, *material;
static unsigned runs = 300;
static struct daemon daemon_here;

/* From when on is a program late? */
enum since {
	SINCE_WALL,   /* its wall limit, by its own clock */
	SINCE_CPU,    /* its CPU limit: what it used beyond */
	SINCE_TOLD,   /* the moment it told */
	SINCE_OUTPUT, /* when the client had as much output as is allowed */
};

static const struct row {
	const char *key, *argument;
	enum cause cause; /* CAUSE_NONE: it ends by itself */
	enum since since;
	const char *bound, *cpu_bound;
} rows[] = {
        {"39_fork_bomb", "forks", CAUSE_WALL, SINCE_WALL, "<= 1000", NULL},
        {"41_daemon", "daemon", CAUSE_NONE, SINCE_TOLD, "<= 200", NULL},
        {"43_deaf", "deaf", CAUSE_WALL, SINCE_WALL, "<= 100", NULL},
        {"44_stopped", "stopped", CAUSE_WALL, SINCE_WALL, "<= 100", NULL},
        {"49_threads", "threads", CAUSE_CPU, SINCE_CPU, "<= 100", NULL},
        {"58_memory_hog", "hog", CAUSE_MEMORY, SINCE_TOLD, "<= 1000", NULL},
        {"70_busy_loop", "spin", CAUSE_CPU, SINCE_CPU, "<= 100", NULL},
        {"71_children", "children", CAUSE_CPU, SINCE_CPU, "<= 100", NULL},
        {"72_sleeper", "sleeper", CAUSE_WALL, SINCE_WALL, "<= 100", NULL},
        {"77_many_files", "files", CAUSE_NONE, SINCE_TOLD, "<= 200", "<= 100"},
        {"78_endless_output", "endless", CAUSE_OUTPUT, SINCE_OUTPUT, "<= 100", NULL},
};

/* ---- the canary: a small run every 50 ms, in a process of its own ---- */

struct canary {
	pid_t pid;
	struct {
		unsigned count;
		double us[CANARY_ROOM];
	} * shared;
};

static struct canary canary_start(void)
{
	struct canary canary;

	canary.shared = mmap(NULL, sizeof *canary.shared, PROT_READ | PROT_WRITE,
	                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (canary.shared == MAP_FAILED)
		die("out of memory");
	canary.pid = fork();
	if (canary.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (canary.shared->count < CANARY_ROOM) {
			pause_us(CANARY_US);
			canary.shared->us[canary.shared->count] =
			        ask_true(&daemon_here, "true0", false);
			canary.shared->count++;
		}
		_exit(0);
	}
	return canary;
}

/* The samples' p99; a canary that died is an end of it all. */
static double canary_stop(struct canary *canary)
{
	struct samples samples = {0};
	double p99;
	unsigned i;
	int status;

	if (waitpid(canary->pid, &status, WNOHANG) != 0)
		die("the canary died");
	kill(canary->pid, SIGKILL);
	waitpid(canary->pid, NULL, 0);
	for (i = 0; i < canary->shared->count; i++)
		samples_add(&samples, canary->shared->us[i]);
	p99 = samples_at(&samples, 0.99);
	free(samples.value);
	munmap(canary->shared, sizeof *canary->shared);
	return p99;
}

/* ---- what is left ---- */

struct watch {
	uint64_t told_us, full_us; /* as in enum since; 0: not yet */
	size_t seen_bytes;
	char line[64];
	char groups[GROUPS_MAX][400]; /* of the run, in every hierarchy */
	size_t groups_count;
	const struct clock_row *clock;
	char clock_path[500];
};
static struct watch *watch_now;
static char group_tail[200];

/* Its uid, when it is a program of ours; the canary's name is another. */
static bool is_program(const char *pid, const char *name)
{
	char path[300], text[2048], wanted[40];
	const char *at;
	unsigned long uid;

	snprintf(path, sizeof path, "/proc/%s/status", pid);
	if (io_read_text_at(-1, path, text, sizeof text) < 0)
		return false;
	snprintf(wanted, sizeof wanted, "Name:\t%s\n", name);
	at = strstr(text, "\nUid:\t");
	uid = at ? strtoul(at + 6, NULL, 10) : 0;
	return !strncmp(text, wanted, strlen(wanted)) && uid >= daemon_here.box_ids &&
	       uid < daemon_here.box_ids + 0x1000;
}

static bool find_program(char *pid, size_t size)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	while (proc && !found && (entry = readdir(proc)) != NULL)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    is_program(entry->d_name, "load")) {
			snprintf(pid, size, "%s", entry->d_name);
			found = true;
		}
	if (proc)
		closedir(proc);
	return found;
}

static int take_group(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	size_t size = strlen(path), tail = strlen(group_tail);
	struct watch *w = watch_now;

	(void)st;
	(void)at;
	if (kind == FTW_D && size > tail && !strcmp(path + size - tail, group_tail) &&
	    w->groups_count < GROUPS_MAX)
		snprintf(w->groups[w->groups_count++], sizeof w->groups[0], "%s", path);
	return 0;
}

/* Where the kernel counts the slot's time: the run's own group goes with the run. */
static const struct clock_row {
	const char *line, *mount, *file, *key;
	double per_ms;
} clock_rows[] = {
        {"cpuacct", "/sys/fs/cgroup/cpuacct", "cpuacct.usage", "", 1000000},
        {"0::", "/sys/fs/cgroup", "cpu.stat", "usage_usec ", 1000},
};

static void find_clock(struct watch *w, const char *groups)
{
	const char *at = NULL, *end;
	size_t i;

	for (i = 0; i < ARRAY_LEN(clock_rows) && !at; i++) {
		w->clock = &clock_rows[i];
		at = strstr(groups, w->clock->line);
	}
	at = at ? strstr(at, ":/") + 1 : "";
	end = at + strcspn(at, "\n");
	while (end > at && *end != '/')
		end--;
	snprintf(w->clock_path, sizeof w->clock_path, "%s%.*s/%s", w->clock->mount,
	         (int)(end - at), at, w->clock->file);
}

static double slot_cpu_ms(const struct watch *w)
{
	char text[1024], *at;

	if (io_read_text_at(-1, w->clock_path, text, sizeof text) < 0 ||
	    !(at = strstr(text, w->clock->key)))
		die("no processor time in %s", w->clock_path);
	return strtod(at + strlen(w->clock->key), NULL) / w->clock->per_ms;
}

/* Every directory whose path ends like the program's group. On v1 that of the memory is
 * made for the run and goes with it; the others are kept for the next ones. */
static void find_groups(struct watch *w)
{
	char pid[20], path[60], text[4096], *at, *end;

	if (!find_program(pid, sizeof pid))
		return;
	snprintf(path, sizeof path, "/proc/%s/cgroup", pid);
	if (io_read_text_at(-1, path, text, sizeof text) < 0)
		return;
	find_clock(w, text);
	at = strstr(text, ":memory:");
	at = strstr(at ? at : text, "/sandpool-bench-");
	if (!at)
		return;
	end = at + strcspn(at, "\n");
	snprintf(group_tail, sizeof group_tail, "%.*s", (int)(end - at), at);
	watch_now = w;
	nftw("/sys/fs/cgroup", take_group, 32, FTW_PHYS);
}

static bool clean(const struct watch *w)
{
	char pid[20];
	size_t i;

	for (i = 0; i < w->groups_count; i++)
		if (access(w->groups[i], F_OK) == 0)
			return false;
	return !find_program(pid, sizeof pid);
}

/* ---- one run ---- */

static int on_output(void *data, enum launch_stream stream, const char *bytes, size_t size)
{
	struct watch *w = data;
	size_t used = strlen(w->line), room = sizeof w->line - 1 - used;

	(void)stream;
	memcpy(w->line + used, bytes, size < room ? size : room);
	if (!w->groups_count)
		find_groups(w);
	if (!w->told_us && !strncmp(w->line, "here\n", 5) && strchr(w->line + 5, '\n'))
		w->told_us = strtoull(w->line + 5, NULL, 10);
	w->seen_bytes += size;
	if (!w->full_us && w->seen_bytes >= OUTPUT_CAP)
		w->full_us = clock_us();
	return 0;
}

static double late_ms(const struct row *row, const struct watch *w,
                      const struct launch_result *result, uint64_t end_us, uint64_t start_us)
{
	double verdict = (double)end_us;

	switch (row->since) {
	case SINCE_WALL:
		/* from the start, of which the verdict knows the set-up */
		return (verdict - (double)start_us - (double)result->queue_us -
		        (double)result->verdict.setup_us) /
		               1000 -
		       WALL_MS;
	case SINCE_CPU:
		return (double)result->verdict.usage.cpu_us / 1000 - CPU_MS;
	case SINCE_TOLD:
		return (verdict - (double)w->told_us) / 1000;
	default:
		return w->full_us ? (verdict - (double)w->full_us) / 1000 : 0;
	}
}

struct figures {
	struct samples late, clean_ms, clean_cpu_ms;
};

static void run_once(const struct row *row, struct figures *figures)
{
	static const char hog[] = "hog";
	struct watch w = {.line = ""};
	struct ask a = {.daemon = &daemon_here,
	                .language = !strcmp(row->argument, hog) ? "hog0" : "load0",
	                .argument = row->argument,
	                .limits = ask_limits(false),
	                .on_output = on_output,
	                .data = &w};
	struct error err = ERROR_INIT;
	struct launch_result result;
	uint64_t start_us, end_us;
	enum launch_end end;
	double cpu_ms;

	a.limits.wall_ms = row->cause == CAUSE_WALL ? WALL_MS : 10000;
	a.limits.cpu_ms = row->cause == CAUSE_CPU ? CPU_MS : 10000;
	a.limits.memory_bytes = (uint64_t)MEMORY_MIB << 20;
	a.limits.output_bytes = OUTPUT_CAP;
	start_us = clock_us();
	end = ask(&a, &result, &err);
	end_us = clock_us();
	if (end != LAUNCH_DONE || result.verdict.cause != row->cause)
		die("%s: end %d, cause %d and not %d: %s", row->key, end, result.verdict.cause,
		    row->cause, err.text);
	if (!w.groups_count || !w.told_us)
		die("%s: the program was not seen", row->key);
	cpu_ms = slot_cpu_ms(&w);
	while (!clean(&w)) {
		if (clock_us() > end_us + CLEAN_US)
			die("%s: something is left after 10 s: %s", row->key, w.groups[0]);
		pause_us(500);
	}
	samples_add(&figures->clean_ms, (double)(clock_us() - end_us) / 1000);
	samples_add(&figures->clean_cpu_ms, slot_cpu_ms(&w) - cpu_ms);
	samples_add(&figures->late, late_ms(row, &w, &result, end_us, start_us));
	launch_result_free(&result);
	pause_us(50000);
}

/* ---- main ---- */

static void put(const char *key, const char *what, double value, const char *bound)
{
	char text[80];

	snprintf(text, sizeof text, "%s_%s", key, what);
	report(text, value, bound);
}

static void measure(const struct row *row, double idle_p99_us)
{
	struct canary canary = canary_start();
	struct figures f = {.late = {0}};
	unsigned number = runs < 60 ? 3 : runs / 15, n;

	for (n = 0; n < number; n++)
		run_once(row, &f);
	put(row->key, "death_p50_ms", samples_at(&f.late, 0.5), NULL);
	put(row->key, "death_max_ms", samples_at(&f.late, 1), row->bound);
	put(row->key, "clean_p50_ms", samples_at(&f.clean_ms, 0.5), NULL);
	put(row->key, "clean_max_ms", samples_at(&f.clean_ms, 1), "<= 1000");
	/* of the slot's processes, the next box among them: on a machine that has other work
	 * the clock tells more about that */
	put(row->key, "clean_cpu_p50_ms", samples_at(&f.clean_cpu_ms, 0.5), NULL);
	put(row->key, "clean_cpu_max_ms", samples_at(&f.clean_cpu_ms, 1), row->cpu_bound);
	put(row->key, "canary_p99_ratio", canary_stop(&canary) / idle_p99_us, "<= 2");
	free(f.late.value);
	free(f.clean_ms.value);
	free(f.clean_cpu_ms.value);
}

int main(int argc, char **argv)
{
	const char *json_path = NULL, *part = "all";
	const struct option_row options[] = {
		{ 'd', "DAEMON", &binary, NULL, true },
		{ 'm', "MATERIAL", &material, NULL, true },
		{ 'n', "RUNS", NULL, &runs, true },
		{ 'j', "FILE", &json_path, NULL, false },
		{ 'p', "CASE", &part, NULL, false },
	};
	struct canary idle;
	char settings[400];
	double idle_p99_us;
	bool known = false;
	size_t i;

	options_read(argc, argv, options, ARRAY_LEN(options));
	for (i = 0; i < ARRAY_LEN(rows); i++)
		known = known || part_is_wanted(part, rows[i].key);
	if (!known)
		die("no case %s", part);
	catch_signals();
	report_open(json_path);
	snprintf(settings, sizeof settings,
	         "images = [ \"image0=%s/image0\", \"image1=%s/image1\", \"image2=%s/image2\" "
	         "];\n"
	         "interpreters-ahead = false;\n",
	         material, material, material);
	daemon_start(&daemon_here, "hostile", binary, material, 1, settings);
	report("cgroup_mode", (double)daemon_here.info.cgroup_mode, "1 v2, 2 hybrid, 3 v1");
	idle = canary_start();
	pause_us(runs < 60 ? 3000000 : 20000000);
	idle_p99_us = canary_stop(&idle);
	report("idle_canary_p99_ms", idle_p99_us / 1000, NULL);
	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (part_is_wanted(part, rows[i].key))
			measure(&rows[i], idle_p99_us);
	daemon_stop(&daemon_here);
	report_close();
	return 0;
}
