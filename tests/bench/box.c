/* SPDX-License-Identifier: ISC */
/* tests/bench/run box: what a box costs, beside a bare spawn of the same program
 * and beside the other tools that make boxes. See design: spaced and closed-loop,
 * interleaved, three rounds, the median of the rounds' medians. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "fcgi/launch.h"
#include "tests/bench/bench.h"

#define ROUNDS	   3
#define RUNS	   300
#define RATE_S	   3.0
#define IMAGES_MANY 100

static const char *binary, *material; /* the daemon; programs, images, languages */
static unsigned runs = RUNS;

/* A daemon with the first images of the material. */
static void start(struct daemon *daemon, const char *name, unsigned images, const char *more)
{
	static unsigned number;
	char *settings = NULL, *list = NULL;
	size_t size;
	FILE *text = open_memstream(&list, &size);
	unsigned i;

	for (i = 0; i < images; i++)
		fprintf(text, "%s\"image%u=%s/image%u\"", i ? ", " : "", i, material, i);
	fclose(text);
	if (asprintf(&settings, "images = [ %s ];\n%s", list, more) < 0)
		die("out of memory");
	daemon_start(daemon, name, binary, material, ++number, settings);
	free(settings);
	free(list);
}

/* ---- latency, spaced and interleaved ---- */

enum source { BARE, WARM, COLD, MIXED, BWRAP, CRUN, SOURCES };

static struct daemon warm, cold, mixed;
static struct spawner bare, bwrap, crun;
static bool has_bwrap, has_crun;

static double sample(enum source source, unsigned n)
{
	static const char *const in_turn[] = { "true0", "true1", "true2" };

	switch (source) {
	case BARE:
		return spawner_time(&bare);
	case WARM:
		return ask_true(&warm, "true0", n % 2);
	case COLD:
		return ask_true(&cold, "true0", n % 2);
	case MIXED:
		return ask_true(&mixed, in_turn[n % 3], n % 2);
	case BWRAP:
		return spawner_time(&bwrap);
	default:
		return spawner_time(&crun);
	}
}

static void latency(void)
{
	static struct samples s[SOURCES];
	double p50[SOURCES][ROUNDS], p99[SOURCES][ROUNDS], m50[SOURCES], m99[SOURCES];
	static const char *const names[] = { "bare", "warm", "cold", "mixed", "bwrap", "crun" };
	unsigned round, n;
	int i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < SOURCES; i++)
			samples_clear(&s[i]);
		for (n = 0; n < runs + 10; n++)
			for (i = 0; i < SOURCES; i++) {
				double us;

				/* the slow peers need fewer samples for a median */
				if ((i == BWRAP && (!has_bwrap || n % 2)) ||
				    (i == CRUN && (!has_crun || n % 6)))
					continue;
				pause_us(GAP_US);
				us = sample((enum source)i, n);
				if (n >= 10)
					samples_add(&s[i], us);
			}
		for (i = 0; i < SOURCES; i++) {
			p50[i][round] = s[i].count ? samples_at(&s[i], 0.5) : 0;
			p99[i][round] = s[i].count ? samples_at(&s[i], 0.99) : 0;
		}
	}
	for (i = 0; i < SOURCES; i++) {
		char key[40];

		m50[i] = median(p50[i], ROUNDS);
		m99[i] = median(p99[i], ROUNDS);
		snprintf(key, sizeof key, "%s_p50_us", names[i]);
		report(key, m50[i], NULL);
		snprintf(key, sizeof key, "%s_p99_us", names[i]);
		report(key, m99[i], NULL);
	}
	report("warm_p50_ratio", m50[WARM] / m50[BARE], "<= 1.2");
	report("warm_p99_ratio", m99[WARM] / m99[BARE], "<= 1.5");
	report("cold_p50_ratio", m50[COLD] / m50[BARE], "<= 3.0");
	report("cold_p99_ratio", m99[COLD] / m50[BARE], "<= 4.5");
	report("mixed_p50_ratio", m50[MIXED] / m50[BARE], "<= 2");
	if (has_bwrap)
		report("vs_bubblewrap", m50[BWRAP] / m50[WARM], ">= 5.5");
	if (has_crun)
		report("vs_crun_limits", m50[CRUN] / m50[WARM], ">= 22");
}

/* ---- rate, closed loop ---- */

/* Complete runs per second; ret_cpu_ms: the machine's CPU time for each. */
static double run_rate(const struct daemon *daemon, unsigned clients, double *ret_cpu_ms)
{
	volatile uint64_t *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
					MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	double idle_ms, start_ms, seconds = RATE_S;
	uint64_t total = 0, end;
	unsigned i;

	idle_ms = busy_ms();
	pause_us(1000000);
	idle_ms = busy_ms() - idle_ms;
	end = clock_us() + (uint64_t)(seconds * 1e6);
	start_ms = busy_ms();
	for (i = 0; i < clients; i++)
		if (fork() == 0) {
			while (clock_us() < end) {
				ask_true(daemon, "true0", count[i] % 2);
				count[i]++;
			}
			_exit(0);
		}
	for (i = 0; i < clients; i++)
		wait(NULL);
	for (i = 0; i < clients; i++)
		total += count[i];
	pause_us(50000); /* the last refills belong to it */
	*ret_cpu_ms = (busy_ms() - start_ms - idle_ms * seconds) / (double)total;
	munmap((void *)(uintptr_t)count, 4096);
	return (double)total / seconds;
}

static void rates(void)
{
	char path[200];
	char *argv[] = { path, NULL };
	double bare_rate[ROUNDS], v1[ROUNDS], v2[ROUNDS], cpu1[ROUNDS], cpu2[ROUNDS];
	struct daemon v2like;
	unsigned clients = warm.info.slots + 2, round;

	snprintf(path, sizeof path, "%s/image0/t/true", material);
	start(&v2like, "v2like", 1,
	      "cgroup-mode = \"v2\";\n"
	      "allow-missing = [ \"memory\", \"pids\", \"cpu\", \"swap\" ];\n");
	for (round = 0; round < ROUNDS; round++) {
		bare_rate[round] = spawner_rate(argv, 2, RATE_S);
		v1[round] = run_rate(&warm, clients, &cpu1[round]);
		v2[round] = run_rate(&v2like, clients, &cpu2[round]);
	}
	daemon_stop(&v2like);
	report("bare_rate", median(bare_rate, ROUNDS), NULL);
	report("rate_v1", median(v1, ROUNDS), NULL);
	report("rate_v2like", median(v2, ROUNDS), NULL);
	report("cpu_ms_per_run_v2like", median(cpu2, ROUNDS), NULL);
	report("rate_ratio", median(v1, ROUNDS) / median(bare_rate, ROUNDS), ">= 0.22");
	report("rate_ratio_v2like", median(v2, ROUNDS) / median(bare_rate, ROUNDS), ">= 0.33");
	report("cpu_ms_per_run", median(cpu1, ROUNDS), "<= 1.6");
}

/* ---- the end of a busy bomb ---- */

/* Is there a group of a run that holds as many processes as a bomb does? */
static bool find_bomb(char *path, size_t size, const char *parent)
{
	char command[400];
	FILE *out;
	bool found = false;

	snprintf(command, sizeof command,
		 "for f in $(find /sys/fs/cgroup -path '*/%s/slot*/r*/pids.current' 2>/dev/null); do "
		 "read n < $f && [ $n -ge 60 ] && dirname $f; done",
		 parent);
	out = popen(command, "re");
	if (out && fgets(path, (int)size, out)) {
		path[strcspn(path, "\n")] = '\0';
		found = true;
	}
	if (out)
		pclose(out);
	return found;
}

static unsigned processes_in(const char *group)
{
	char path[400];
	unsigned count = 0;
	FILE *file;

	snprintf(path, sizeof path, "%s/pids.current", group);
	file = fopen(path, "re");
	if (file && fscanf(file, "%u", &count) != 1)
		count = 0;
	if (file)
		fclose(file);
	return count;
}

struct bomb {
	char parent[64], group[300];
	uint64_t stopped_us;
};

/* Called while the bomb runs: once it is found, our leaving is the kill. */
static int on_bomb(void *data, enum launch_stream stream, const char *bytes, size_t size)
{
	struct bomb *bomb = data;

	(void)stream;
	(void)bytes;
	(void)size;
	pause_us(100000);
	if (!find_bomb(bomb->group, sizeof bomb->group, bomb->parent))
		return 0;
	bomb->stopped_us = clock_us();
	return -1;
}

static void bombs(void)
{
	struct samples times = { 0 };
	unsigned n;

	for (n = 0; n < 30; n++) {
		struct bomb bomb = { .group = "" };
		struct ask a = { .daemon = &warm,
				 .language = "load0",
				 .argument = "bomb",
				 .limits = ask_limits(false),
				 .on_output = on_bomb,
				 .data = &bomb };
		struct error err = ERROR_INIT;
		struct launch_result result;

		snprintf(bomb.parent, sizeof bomb.parent, "sandpool-bench-%d-1", (int)getpid());
		a.limits.wall_ms = 5000;
		ask(&a, &result, &err);
		launch_result_free(&result);
		if (!bomb.stopped_us)
			continue;
		/* the group may be the next box's by then: its init and runner */
		while (processes_in(bomb.group) > 2 && clock_us() < bomb.stopped_us + 10000000)
			pause_us(100);
		samples_add(&times, (double)(clock_us() - bomb.stopped_us) / 1000);
		pause_us(50000);
	}
	report("bomb_kill_p99_ms", samples_at(&times, 0.99), NULL);
	report("bomb_kill_ms", samples_at(&times, 0.5), "<= 5");
}

/* ---- overshoot of a wall limit, by the client's clock ---- */

static int on_first_line(void *data, enum launch_stream stream, const char *bytes, size_t size)
{
	uint64_t *first = data;

	(void)stream;
	(void)bytes;
	(void)size;
	if (!*first)
		*first = clock_us();
	return 0;
}

static void overshoot(void)
{
	struct samples times = { 0 };
	unsigned n;

	for (n = 0; n < 100; n++) {
		uint64_t first = 0, end;
		struct ask a = { .daemon = &warm,
				 .language = "load0",
				 .argument = "sleep",
				 .limits = ask_limits(false),
				 .on_output = on_first_line,
				 .data = &first };
		struct error err = ERROR_INIT;
		struct launch_result result;

		a.limits.wall_ms = 200;
		if (ask(&a, &result, &err) != LAUNCH_DONE || result.verdict.cause != CAUSE_WALL)
			die("a sleeper was not stopped: %s", err.text);
		end = clock_us();
		launch_result_free(&result);
		samples_add(&times, (double)(end - first) / 1000 - 200);
	}
	report("overshoot_p50_ms", samples_at(&times, 0.5), NULL);
	report("overshoot_p99_ms", samples_at(&times, 0.99), "<= 10");
}

/* ---- capture ---- */

static double bare_capture(void)
{
	char path[200], *into = NULL;
	size_t room = 0, size = 0;
	uint64_t start = clock_us();
	int ends[2];
	ssize_t n;
	pid_t pid;

	snprintf(path, sizeof path, "%s/image0/t/load", material);
	if (pipe2(ends, O_CLOEXEC) < 0)
		die("pipe");
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		execl(path, path, "print", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	do {
		if (room - size < 65536) {
			room = room ? 2 * room : 4096 * 16;
			into = realloc(into, room);
			if (!into)
				die("out of memory");
		}
		n = read(ends[0], into + size, 65536);
		size += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(ends[0]);
	waitpid(pid, NULL, 0);
	if (size != (size_t)64 << 20)
		die("bare capture of %zu bytes", size);
	start = clock_us() - start;
	free(into);
	return 67.108864 / (double)start * 1000;
}

static double box_capture(void)
{
	struct ask a = { .daemon = &warm, .language = "load0", .argument = "print",
			 .limits = ask_limits(false) };
	struct error err = ERROR_INIT;
	struct launch_result result;
	uint64_t start = clock_us();

	a.limits.output_bytes = (uint64_t)65 << 20;
	if (ask(&a, &result, &err) != LAUNCH_DONE || result.output[0].size != (size_t)64 << 20)
		die("capture of %zu bytes: %s", result.output[0].size, err.text);
	start = clock_us() - start;
	launch_result_free(&result);
	return 67.108864 / (double)start * 1000;
}

static void capture(void)
{
	struct samples plain = { 0 }, boxed = { 0 };
	unsigned n;

	for (n = 0; n < 20; n++) {
		samples_add(&plain, bare_capture());
		samples_add(&boxed, box_capture());
	}
	report("capture_bare_gb_s", samples_at(&plain, 0.5), NULL);
	report("capture_box_gb_s", samples_at(&boxed, 0.5), NULL);
	report("capture_ratio", samples_at(&boxed, 0.5) / samples_at(&plain, 0.5), ">= 0.8");
}

/* ---- memory of idle boxes, and growth ---- */

static double settled_memory(void)
{
	double values[5];
	unsigned i;

	for (i = 0; i < 5; i++) {
		pause_us(200000);
		values[i] = mem_available_kib();
	}
	return median(values, 5);
}

static void idle_memory(void)
{
	double per_box[5];
	unsigned i;

	for (i = 0; i < 5; i++) {
		struct daemon one, many;
		double with_one, with_many;

		start(&one, "one", 1, "slots = \"1\"; memory-budget = \"8GiB\";\n");
		with_one = settled_memory();
		daemon_stop(&one);
		start(&many, "many", 1, "slots = \"65\"; memory-budget = \"8GiB\";\n");
		with_many = settled_memory();
		daemon_stop(&many);
		per_box[i] = (with_one - with_many) / 64;
		pause_us(500000);
	}
	report("idle_box_kib", median(per_box, 5), "<= 600");
}

static void growth(void)
{
	struct daemon small, large;
	struct samples a = { 0 }, b = { 0 };
	unsigned n;

	start(&small, "small", 1, "slots = \"1\";\n");
	start(&large, "large", IMAGES_MANY, "slots = \"64\"; memory-budget = \"8GiB\";\n");
	for (n = 0; n < runs + 10; n++) {
		double us;

		pause_us(GAP_US);
		us = ask_true(&small, "true0", n % 2);
		if (n >= 10)
			samples_add(&a, us);
		pause_us(GAP_US);
		us = ask_true(&large, "true0", n % 2);
		if (n >= 10)
			samples_add(&b, us);
	}
	report("growth_ratio", samples_at(&b, 0.5) / samples_at(&a, 0.5), "<= 1.1");
	daemon_stop(&large);
	daemon_stop(&small);
}

/* ---- a hundred thousand runs: the last tenth beside the first ---- */

static void tail(void)
{
	struct samples first = { 0 }, last = { 0 };
	unsigned number = runs < RUNS ? 10 * runs : 100000, n;

	for (n = 0; n < number; n++) {
		double us = ask_true(&warm, "true0", n % 2);

		if (n < number / 10)
			samples_add(&first, us);
		else if (n >= number - number / 10)
			samples_add(&last, us);
	}
	report("tail_runs", number, NULL);
	report("tail_growth", samples_at(&last, 0.5) / samples_at(&first, 0.5), "<= 1.05");
	free(first.value);
	free(last.value);
}

/* ---- main ---- */

/* Before any memory is used: the yardsticks must stay small. */
static void start_spawners(const char *crun_bundle)
{
	static char path[200], root[200];
	static char *true_argv[] = { path, NULL };
	static const char *bwrap_argv[] = { "/usr/bin/bwrap", "--unshare-all", "--ro-bind", root, "/",
					    "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp",
					    "--new-session", "--die-with-parent", "--cap-drop", "ALL",
					    "/t/true", NULL };
	static char bundle[200], id[40];
	static const char *crun_argv[] = { "/usr/bin/crun", "--cgroup-manager=cgroupfs", "run",
					   "--bundle", bundle, id, NULL };

	snprintf(path, sizeof path, "%s/image0/t/true", material);
	snprintf(root, sizeof root, "%s/image0", material);
	snprintf(bundle, sizeof bundle, "%s", crun_bundle ? crun_bundle : "");
	snprintf(id, sizeof id, "sandpool-bench-%d", (int)getpid());
	bare = spawner_start(true_argv, false);
	has_bwrap = access(bwrap_argv[0], X_OK) == 0;
	if (has_bwrap)
		bwrap = spawner_start((char *const *)(uintptr_t)bwrap_argv, false);
	has_crun = crun_bundle && access(crun_argv[0], X_OK) == 0;
	if (has_crun)
		crun = spawner_start((char *const *)(uintptr_t)crun_argv, true);
}

int main(int argc, char **argv)
{
	const char *json_path = NULL, *bundle = NULL, *part = "all";
	const struct option_row options[] = {
		{ 'd', "DAEMON", &binary, NULL, true },
		{ 'm', "MATERIAL", &material, NULL, true },
		{ 'b', "CRUN_BUNDLE", &bundle, NULL, false },
		{ 'n', "RUNS", NULL, &runs, false },
		{ 'j', "FILE", &json_path, NULL, false },
		{ 'p', "PART", &part, NULL, false },
	};
	static const struct part parts[] = {
		{ "latency", latency },	  { "rates", rates },	  { "bombs", bombs },
		{ "overshoot", overshoot }, { "capture", capture }, { "growth", growth },
		{ "idle", idle_memory }, { "tail", tail },
	};

	options_read(argc, argv, options, ARRAY_LEN(options));
	catch_signals();
	start_spawners(bundle);
	report_open(json_path);
	start(&warm, "warm", 1, "maximum = { output = \"128MiB\"; };\n");
	start(&cold, "cold", 1, "warm = false;\n");
	start(&mixed, "mixed", 3, "");
	report("cgroup_mode", (double)warm.info.cgroup_mode, "1 v2, 2 hybrid, 3 v1");
	parts_run(part, parts, ARRAY_LEN(parts));
	daemon_stop(&mixed);
	daemon_stop(&cold);
	daemon_stop(&warm);
	spawner_stop(&bare);
	if (has_bwrap)
		spawner_stop(&bwrap);
	if (has_crun)
		spawner_stop(&crun);
	report_close();
	return 0;
}
