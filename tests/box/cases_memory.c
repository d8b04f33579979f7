/* SPDX-License-Identifier: ISC */
/* Cases 58 to 77: memory, processor and time.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/cases.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <time.h>
#include <unistd.h>

#define ATTACK(n, what, result, words, ...)                                                    \
	{                                                                                      \
		.number = n, .name = what, .promise = result, .request.arguments = words,      \
		__VA_ARGS__                                                                    \
	}
#define MEMORY(mib) .request.limits = { .memory_bytes = (mib)*MIB, .disk_bytes = 512 * MIB }

/* ---- memory ---- */

/* Both ends of the limit, and what is reported: base is what we took ourselves. */
static void allocate(struct trial *t, const struct service *service, uint64_t limit_bytes,
		     uint64_t bytes, enum status status, uint64_t least, uint64_t most)
{
	struct request request = { .limits = { .memory_bytes = limit_bytes } };
	struct outcome outcome;
	char arguments[64];
	uint64_t peak;

	snprintf(arguments, sizeof arguments, "64 %llu", (unsigned long long)bytes);
	request.arguments = arguments;
	if (!run_expecting(t, service, &request, status, 0, &outcome))
		check(t, false, "  %llu bytes of %llu", (unsigned long long)bytes,
		      (unsigned long long)limit_bytes);
	peak = outcome.result.verdict.usage.memory_peak_bytes;
	if (peak != USAGE_UNKNOWN)
		check(t, peak >= least && peak <= most,
		      "%llu bytes reported for %llu taken, limit %llu",
		      (unsigned long long)peak, (unsigned long long)bytes,
		      (unsigned long long)limit_bytes);
	outcome_done(&outcome);
}

static void both_sides_of_the_limit(struct trial *t)
{
	const uint64_t limit = 128 * MIB, under = limit - 8 * MIB;

	allocate(t, t->service, limit, under, STATUS_SUCCESS, under, under / 20 * 21);
	allocate(t, t->service, limit, limit + 8 * MIB, STATUS_MEMORY_LIMIT, limit / 20 * 19,
		 limit);
	/* no whole number of pages */
	allocate(t, t->service, limit + 1, under, STATUS_SUCCESS, under, under / 20 * 21);
}

static void one_after_the_other(struct trial *t)
{
	const struct service_options options = { .slots = 1 };
	static struct service service;

	if (!own_service(t, &options, &service))
		return;
	allocate(t, &service, 512 * MIB, 200 * MIB, STATUS_SUCCESS, 200 * MIB, 210 * MIB);
	allocate(t, &service, 64 * MIB, 100 * MIB, STATUS_MEMORY_LIMIT, 60 * MIB, 64 * MIB);
	allocate(t, &service, 64 * MIB, 8 * MIB, STATUS_SUCCESS, 8 * MIB, 16 * MIB);
	allocate(t, &service, 512 * MIB, 200 * MIB, STATUS_SUCCESS, 200 * MIB, 210 * MIB);
	allocate(t, &service, 16 * MIB, 8 * MIB, STATUS_SUCCESS, 8 * MIB, 16 * MIB);
	own_service_done(t, &service);
}

/* A path below a hierarchy's mount point to the group of a live run. */
static bool group_file_of(pid_t pid, const char *controller, const char *mount,
			  const char *file, char *path, size_t size)
{
	char name[64], text[4096], *line, *save = NULL;

	snprintf(name, sizeof name, "/proc/%d/cgroup", pid);
	if (io_read_text_at(AT_FDCWD, name, text, sizeof text) <= 0)
		return false;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strstr(line, controller)) {
			snprintf(path, size, "%s%s/%s", mount, strchr(line, '/'), file);
			return access(path, R_OK) == 0;
		}
	return false;
}

/* The knobs of a run that lives. A host without swap shows them all the same. */
static void no_swap(struct trial *t)
{
	const struct request request = { .arguments = "stay" };
	char path[PATH_MAX], text[64];
	struct live live = { 0 };
	bool told = false;
	pid_t pid;

	live_start(&live, t->service, &request);
	live_started(&live);
	pid = program_pid(t->service, "stay");
	if (group_file_of(pid, "0::", "/sys/fs/cgroup", "memory.swap.max", path, sizeof path) &&
	    io_read_text_at(AT_FDCWD, path, text, sizeof text) > 0)
		told = check(t, atoi(text) == 0 && text[0] == '0', "memory.swap.max is %s",
			     text);
	if (group_file_of(pid, ":memory:", "/sys/fs/cgroup/memory",
			  "memory.memsw.limit_in_bytes", path, sizeof path) &&
	    io_read_text_at(AT_FDCWD, path, text, sizeof text) > 0)
		told = check(t, strtoull(text, NULL, 10) == test_limits.memory_bytes,
			     "memory.memsw.limit_in_bytes is %s", text);
	if (group_file_of(pid, ":memory:", "/sys/fs/cgroup/memory", "memory.swappiness", path,
			  sizeof path) &&
	    io_read_text_at(AT_FDCWD, path, text, sizeof text) > 0)
		told = check(t, atoi(text) == 0, "memory.swappiness is %s", text);
	live_cancel(&live);
	live_join(&live);
	outcome_done(&live.outcome);
	if (!told && t->problems == 0)
		skip(t, "this kernel counts no swap");
}

/* With real swap on, in a machine that is ours alone. */
static void no_real_swap(struct trial *t)
{
	char path[128], command[600];

	if (extent == EXTENT_PART) {
		skip(t, "switches swap on: only with --full or --guest");
		return;
	}
	snprintf(path, sizeof path, "%s/swap", ground.root);
	snprintf(command, sizeof command,
		 "dd if=/dev/zero of=%s bs=1M count=64 status=none && chmod 600 %s && mkswap "
		 "-q %s",
		 path, path, path);
	if (system(command) != 0 || swapon(path, 0) < 0) {
		skip(t, "no swap can be switched on here");
		return;
	}
	allocate(t, t->service, 64 * MIB, 72 * MIB, STATUS_MEMORY_LIMIT, 60 * MIB, 64 * MIB);
	check(t, swapoff(path) == 0, "swapoff: %s", strerror(errno));
}

static uint64_t growth_kib(const struct census *before, const struct census *now)
{
	uint64_t most = 0;
	size_t i, k;

	for (i = 0; i < now->service_count; i++)
		for (k = 0; k < before->service_count; k++)
			if (now->service[i].pid == before->service[k].pid &&
			    now->service[i].rss_kib > before->service[k].rss_kib + most)
				most = now->service[i].rss_kib - before->service[k].rss_kib;
	return most;
}

static void maximal_output(struct trial *t)
{
	const struct request request = { .arguments = "79 1048576" };
	static struct census before, now;
	unsigned count = times(10000), i;

	for (i = 0; i < count && t->problems == 0; i++) {
		struct outcome outcome;

		if (i == count / 10)
			census_take(t->service, &before);
		run_expecting(t, t->service, &request, STATUS_SUCCESS, CASE_NO_PROMISE,
			      &outcome);
		check(t, outcome.result.output[0].size == MIB, "%zu bytes",
		      outcome.result.output[0].size);
		outcome_done(&outcome);
	}
	census_take(t->service, &now);
	check(t, growth_kib(&before, &now) < 1024, "a service process grew by %llu KiB",
	      (unsigned long long)growth_kib(&before, &now));
}

#define NAMES_SLACK 50000 /* of others on this machine, meanwhile */

/* Names that do not exist and are remembered, on the whole machine. */
static long names_remembered(void)
{
	char text[128];
	long negative;

	if (io_read_text_at(AT_FDCWD, "/proc/sys/fs/dentry-state", text, sizeof text) <= 0 ||
	    sscanf(text, "%*s %*s %*s %*s %ld", &negative) != 1)
		return -1;
	return negative;
}

static bool names_forgotten(void *data)
{
	return names_remembered() < *(const long *)data + NAMES_SLACK;
}

/* In the host image's /etc, which is in memory: no other file system has them. */
static void names_that_stay(struct trial *t)
{
	struct request request = in_host_image("61-names /etc");
	long before = names_remembered();
	struct outcome outcome;

	request.limits.memory_bytes = 256 * MIB;
	run_expecting(t, t->service, &request, STATUS_SUCCESS, 0, &outcome);
	outcome_done(&outcome);
	check(t, before >= 0 && until(names_forgotten, &before, PATIENCE_MS),
	      "%ld names were remembered before, %ld are now", before, names_remembered());
}

const struct box_case cases_memory[] = {
	ATTACK("058", "memory without end", "memory_limit", "58", MEMORY(32),
	       .status = STATUS_MEMORY_LIMIT),
	ATTACK("059", "memory in an unlinked file", "memory_limit", "59 unlinked", MEMORY(32),
	       .status = STATUS_MEMORY_LIMIT),
	ATTACK("059b", "memory in POSIX shared memory", "memory_limit", "59 shm", MEMORY(32),
	       .status = STATUS_MEMORY_LIMIT),
	ATTACK("059c", "memory in System V shared memory", "memory_limit", "59 sysv",
	       MEMORY(32), .status = STATUS_MEMORY_LIMIT),
	ATTACK("059d", "memory in a memfd", "memory_limit", "59 memfd", MEMORY(32),
	       .status = STATUS_MEMORY_LIMIT),
	ATTACK("059e", "files beyond the quota", "ENOSPC or EFBIG", "59 unlinked"),
	ATTACK("060", "full pipes and sockets", "charged or refused", "60", MEMORY(32),
	       .flags = CASE_ANY_STATUS),
	ATTACK("061", "page tables", "memory_limit", "61-tables", MEMORY(32),
	       .status = STATUS_MEMORY_LIMIT),
	ATTACK("061b", "100,000 mappings", "ENOMEM or memory_limit", "61-mappings", MEMORY(32),
	       .flags = CASE_ANY_STATUS),
	ATTACK("061c", "names that do not exist", "reclaimed", "61-names", MEMORY(32),
	       .flags = CASE_ANY_STATUS),
	{ .number = "061e",
	  .name = "names that do not exist, in the image",
	  .promise = "forgotten after the run",
	  .run = names_that_stay },
	ATTACK("061d", "epoll, eventfd and inotify objects", "EMFILE or ENOSPC", "61-objects"),
	ATTACK("062", "ten times the limit through the page cache", "success", "62",
	       MEMORY(32)),
	ATTACK("063", "a child out of memory, the parent exits 0", "memory_limit", "63",
	       MEMORY(32), .status = STATUS_MEMORY_LIMIT),
	{ .number = "064",
	  .name = "just below and just above the limit",
	  .promise = "success; memory_limit; the peak is right",
	  .run = both_sides_of_the_limit },
	ATTACK("065", "infinite recursion", "runtime_error, SIGSEGV, 100 of 100", "65",
	       MEMORY(256), .status = STATUS_RUNTIME_ERROR, .signal = SIGSEGV, .written = 100),
	{ .number = "066", .name = "swap", .promise = "none for the run", .run = no_swap },
	{ .number = "066b",
	  .name = "swap that is really there",
	  .promise = "memory_limit",
	  .run = no_real_swap },
	ATTACK("067", "locked and huge pages", "EPERM, ENOMEM or EAGAIN", "67"),
	{ .number = "068",
	  .name = "small after large in one slot, and the reverse",
	  .promise = "each has its own limit and a fresh peak",
	  .run = one_after_the_other },
	{ .number = "069",
	  .name = "maximal output again and again",
	  .promise = "no service process grows by 1 MiB",
	  .run = maximal_output },
	{ 0 },
};

/* ---- processor and time ---- */

static void cpu_counted(struct trial *t, const struct outcome *outcome)
{
	const uint64_t limit_us = t->row->request.limits.cpu_ms * 1000;
	const uint64_t used_us = outcome->result.verdict.usage.cpu_us;

	check(t, used_us >= limit_us / 20 * 19 && used_us < limit_us + 2000000,
	      "%llu us of processor time for a limit of %llu", (unsigned long long)used_us,
	      (unsigned long long)limit_us);
}

static void all_but_one_spin(struct trial *t)
{
	const struct request request = { .arguments = "70", .limits = { .wall_ms = 3000 } };
	struct live live[TEST_SLOTS - 1] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(live); i++)
		live_start(&live[i], t->service, &request);
	for (i = 0; i < ARRAY_LEN(live); i++) {
		live_join(&live[i]);
		check(t, live[i].outcome.status == STATUS_TIMEOUT, "%s",
		      job_status_name(live[i].outcome.status));
		outcome_done(&live[i].outcome);
	}
}

/* The runs of one moment: neither cut short nor let go on for too long. */
static void clocks_hold(struct trial *t, const struct service *service)
{
	const struct request sleeps = { .arguments = "sleep 400",
					.limits = { .wall_ms = 8000 } };
	const struct request stays = { .arguments = "stay", .limits = { .wall_ms = 300 } };
	struct outcome outcome;

	if (run_expecting(t, service, &sleeps, STATUS_SUCCESS, 0, &outcome))
		check(t,
		      outcome.result.verdict.usage.wall_us >= 390000 &&
			      outcome.result.verdict.usage.wall_us < 8000000,
		      "400 ms of sleep took %llu us",
		      (unsigned long long)outcome.result.verdict.usage.wall_us);
	outcome_done(&outcome);
	run_expecting(t, service, &stays, STATUS_TIMEOUT, 0, &outcome);
	check(t, outcome.result.total_us < PATIENCE_MS * 1000, "300 ms took %llu us",
	      (unsigned long long)outcome.result.total_us);
	outcome_done(&outcome);
}

/* The daemon with a clock that jumps by an hour each time that it is read. */
static void stepped_clock(struct trial *t)
{
	const char *top = getenv("top_builddir");
	char variable[PATH_MAX];
	const char *environment[] = { variable, NULL };
	struct service_options options = { .slots = 2, .environment = environment };
	static struct service service;

	snprintf(variable, sizeof variable, "LD_PRELOAD=%s/tests/box/clockstep.so",
		 top ? top : ".");
	if (!check(t, access(variable + 11, R_OK) == 0, "build first: %s", variable + 11) ||
	    !own_service(t, &options, &service))
		return;
	clocks_hold(t, &service);
	own_service_done(t, &service);
}

/* The host's own clock, in a machine that is ours alone. */
static void stepped_host(struct trial *t)
{
	static const time_t steps[] = { 3600, -7200, 3600 };
	struct timespec now;
	size_t i;

	if (extent != EXTENT_GUEST) {
		skip(t, "steps the host's clock: only with --guest");
		return;
	}
	for (i = 0; i < ARRAY_LEN(steps); i++) {
		clock_gettime(CLOCK_REALTIME, &now);
		now.tv_sec += steps[i];
		check(t, clock_settime(CLOCK_REALTIME, &now) == 0, "clock_settime: %s",
		      strerror(errno));
		clocks_hold(t, t->service);
	}
}

static void limits_out_of_range(struct trial *t)
{
	static const uint64_t values[] = { 0, UINT64_MAX, (uint64_t)1 << 63,
					   1000000000000000000u };
	size_t i, k;

	for (i = 0; i < LIMIT_FIELDS; i++)
		for (k = 0; k < ARRAY_LEN(values); k++) {
			struct launch launch = LAUNCH_INIT;
			struct launch_result result;
			struct error err = ERROR_INIT;
			struct job_file file = { { "main", 4 }, { "x", 1 } };
			struct launch_stage stage = {
				.id = "0",
				.language = "native",
				.table_hash = ground.table_hash,
				.stage = STAGE_RUN,
				.limits = test_limits,
				.reserve_bytes = test_limits.memory_bytes,
				.files = &file,
				.files_count = 1,
				.wait_us = PATIENCE_MS * 1000,
				.client_fd = -1,
			};
			enum launch_end end;

			*limit_at(&stage.limits, &limit_fields[i]) = values[k];
			end = launch_run(&launch, t->service->run, "test", &stage, &result,
					 &err);
			check(t, end == LAUNCH_REFUSED, "%s = %llu: %s", limit_fields[i].name,
			      (unsigned long long)values[k], end_name(end));
			launch_result_free(&result);
			launch_close(&launch);
		}
}

static void compile_bomb(struct trial *t, const char *language, const char *what,
			 const char *code)
{
	const struct job_file file = {
		{ !strcmp(language, "c") ? "main.c" : "main.cc",
		  strlen(language) == 1 ? 6 : 7 },
		{ code, strlen(code) },
	};
	const struct request request = {
		.language = language,
		.files = &file,
		.files_count = 1,
		.is_build = true,
		.limits = { .wall_ms = 5000,
			    .cpu_ms = 5000,
			    .memory_bytes = 256 * MIB,
			    .output_bytes = 64 << 10,
			    .disk_bytes = 64 * MIB },
	};
	struct outcome outcome;

	box_run(t->service, &request, &outcome);
	check(t,
	      outcome.end == LAUNCH_DONE && outcome.status != STATUS_SUCCESS &&
		      !outcome.result.verdict.exec_errno,
	      "%s: %s, %s, exec %d: %s", what, end_name(outcome.end),
	      job_status_name(outcome.status), outcome.result.verdict.exec_errno,
	      outcome.err.text);
	check(t, outcome.result.output[1].size <= (64 << 10), "%s: too much text", what);
	check(t, !strstr(outcome.errs, "SANDPOOL") && !strstr(outcome.errs, ground.root),
	      "%s: the text tells of the host", what);
	outcome_done(&outcome);
}

static void compile_bombs(struct trial *t)
{
	static char macros[8192];
	size_t used = 0;
	int i;

	used += (size_t)snprintf(macros, sizeof macros, "#define A0 x+x+x+x+x+x+x+x+x+x\n");
	for (i = 1; i < 12; i++)
		used += (size_t)snprintf(macros + used, sizeof macros - used,
					 "#define A%d A%d+A%d+A%d+A%d+A%d+A%d+A%d+A%d\n", i,
					 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
					 i - 1);
	snprintf(macros + used, sizeof macros - used,
		 "int x; int main(void) { return A11; }\n");
	compile_bomb(t, "c", "macros", macros);
	compile_bomb(t, "c", "/dev/zero", "#include \"/dev/zero\"\n");
	compile_bomb(t, "c", "/dev/random", "#include \"/dev/random\"\n");
	compile_bomb(t, "c", "/proc/self/environ", "#include \"/proc/self/environ\"\n");
	compile_bomb(t, "c", "itself", "#include \"main.c\"\n#include \"main.c\"\n");
	compile_bomb(t, "c", "huge object",
		     "char a[1UL << 40] = { 1 };\nint main(void) { return 0; }\n");
	compile_bomb(t, "cpp", "templates",
		     "template<int N> struct F { static const int v = F<N + 1>::v + F<N + "
		     "2>::v; };\n"
		     "int main() { return F<0>::v; }\n");
	compile_bomb(t, "cpp", "constexpr",
		     "constexpr long f() { long n = 0; for (;;) n++; return n; }\n"
		     "constexpr long v = f();\nint main() { return v; }\n");
	compile_bomb(
		t, "cpp", "diagnostics",
		"#define E1 $;$;$;$;$;$;$;$;$;$;\n#define E2 E1 E1 E1 E1 E1 E1 E1 E1 E1 E1\n"
		"#define E3 E2 E2 E2 E2 E2 E2 E2 E2 E2 E2\n#define E4 E3 E3 E3 E3 E3 E3 E3 E3\n"
		"E4 E4 E4 E4\nint main() { return 0; }\n");
}

/* Build, then several runs on the frozen tree over the same connection. */
static void runs_on_tree(struct trial *t, const char *options)
{
	struct launch launch = LAUNCH_INIT;
	const struct request build = { .language = "two",
				       .is_build = true,
				       .options = options,
				       .launch = &launch,
				       .flags = WIRE_KEEP_TREE | WIRE_MORE,
				       .limits = { .memory_bytes = 128 * MIB } };
	const struct request run = { .language = "two",
				     .arguments = "on-tree",
				     .launch = &launch,
				     .flags = WIRE_ON_TREE | WIRE_MORE };
	struct outcome outcome;
	unsigned i;

	run_expecting(t, t->service, &build, STATUS_SUCCESS, 0, &outcome);
	outcome_done(&outcome);
	for (i = 0; i < 5 && t->problems == 0; i++) {
		run_expecting(t, t->service, &run, STATUS_SUCCESS, 0, &outcome);
		outcome_done(&outcome);
	}
	launch_close(&launch);
}

static void frozen_tree(struct trial *t)
{
	runs_on_tree(t, NULL);
}

/* Somebody could still write to it, were there anybody. */
static void stranded_writer(struct trial *t)
{
	unsigned count = times(1000), i;

	for (i = 0; i < count && t->problems == 0; i++)
		runs_on_tree(t, "sent");
}

static void failed_builds(struct trial *t)
{
	static const struct {
		const char *options;
		enum status status;
	} rows[] = { { "fail", STATUS_RUNTIME_ERROR }, { "spin", STATUS_TIMEOUT } };
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		const struct request build = {
			.language = "two",
			.is_build = true,
			.options = rows[i].options,
			.flags = WIRE_KEEP_TREE | WIRE_MORE,
			.limits = { .wall_ms = 500 },
		};
		struct outcome outcome;

		run_expecting(t, t->service, &build, rows[i].status, 0, &outcome);
		outcome_done(&outcome);
	}
}

/* ---- the compile cache ---- */

/* One request: a build, and a run on its tree. Was the build taken from the cache? */
static bool build_and_run(struct trial *t, const struct service *service, const char *options,
			  uint64_t domain, bool quiet, const char *arguments)
{
	struct launch launch = LAUNCH_INIT;
	const struct request build = { .language = "two",
				       .is_build = true,
				       .launch = &launch,
				       .options = options,
				       .domain = domain,
				       .flags = WIRE_KEEP_TREE | WIRE_MORE };
	const struct request run = { .language = "two",
				     .arguments = arguments,
				     .launch = &launch,
				     .flags = WIRE_ON_TREE | (quiet ? WIRE_QUIET : 0),
				     .domain = domain };
	struct outcome outcome;
	bool cached, good;

	box_run(service, &build, &outcome);
	cached = outcome.result.verdict.cached;
	good = check(t, outcome.status == STATUS_SUCCESS, "build: %s, %s: %.200s",
		     end_name(outcome.end), job_status_name(outcome.status), outcome.out);
	outcome_done(&outcome);
	if (good) {
		run_expecting(t, service, &run, STATUS_SUCCESS, 0, &outcome);
		outcome_done(&outcome);
	}
	launch_close(&launch);
	return cached;
}

/* It is put there after the answer, so it may take a moment. */
static bool comes_from_cache(struct trial *t, const struct service *service,
			     const char *options, uint64_t domain, bool quiet,
			     const char *arguments)
{
	uint64_t end = clock_ms() + (quiet ? PATIENCE_MS : 1000);

	while (clock_ms() < end && t->problems == 0) {
		if (build_and_run(t, service, options, domain, quiet, arguments))
			return true;
		pause_ms(50);
	}
	return false;
}

static void cached_builds(struct trial *t, const struct service *service)
{
	const uint64_t domain = clock_us();
	int i;

	check(t, comes_from_cache(t, service, NULL, domain, true, "on-tree"),
	      "an identical quiet build is done again");
	/* whatever the runs did to their tree, the cached one is as built */
	for (i = 0; i < 3; i++)
		check(t, build_and_run(t, service, NULL, domain, true, "on-tree"),
		      "the cached tree is gone");
	check(t, !build_and_run(t, service, NULL, domain + 1, true, "on-tree"),
	      "another domain has the same cache");
	check(t, !build_and_run(t, service, "other", domain, true, "on-tree"),
	      "other options have the same tree");
	check(t, !comes_from_cache(t, service, "noisy", domain + 2, false, "on-tree"),
	      "a build that printed something comes from the cache");
}

static void odd_trees(struct trial *t, const struct service *service)
{
	const uint64_t domain = clock_us();

	build_and_run(t, service, "odd", domain, true, "on-odd-tree");
	comes_from_cache(t, service, "odd", domain, true, "on-odd-tree");
}

static void failed_not_cached(struct trial *t, const struct service *service)
{
	const struct request build = { .language = "two",
				       .is_build = true,
				       .options = "fail",
				       .domain = clock_us(),
				       .flags = WIRE_KEEP_TREE | WIRE_MORE };
	int i;

	for (i = 0; i < 5; i++) {
		struct outcome outcome;

		run_expecting(t, service, &build, STATUS_RUNTIME_ERROR, 0, &outcome);
		check(t, !outcome.result.verdict.cached, "a failed build comes from the cache");
		outcome_done(&outcome);
		pause_ms(100);
	}
}

/* The main service has no cache: what it kept would look like a leak. */
static void with_cache(struct trial *t,
		       void (*run)(struct trial *t, const struct service *service))
{
	const struct service_options options = { .slots = 2 };
	static struct service service;

	if (!own_service(t, &options, &service))
		return;
	run(t, &service);
	own_service_done(t, &service);
}

static void cache_serves(struct trial *t)
{
	with_cache(t, cached_builds);
}

static void cache_and_odd_files(struct trial *t)
{
	with_cache(t, odd_trees);
}

static void cache_and_failures(struct trial *t)
{
	with_cache(t, failed_not_cached);
}

static void cache_switched_off(struct trial *t)
{
	const struct service_options options = { .slots = 1,
						 .conf = "compile-cache = \"0\";\n" };
	static struct service service;
	int i;

	if (!own_service(t, &options, &service))
		return;
	for (i = 0; i < 5; i++) {
		check(t, !build_and_run(t, &service, NULL, 1, true, "on-tree"), "it is on");
		pause_ms(100);
	}
	own_service_done(t, &service);
}

const struct box_case cases_cpu[] = {
	ATTACK("070", "busy loop", "timeout by processor time", "70",
	       .request.limits = { .cpu_ms = 200, .wall_ms = 20000 }, .status = STATUS_TIMEOUT,
	       .cause = CAUSE_CPU, .check = cpu_counted),
	ATTACK("071", "busy threads", "timeout by processor time", "71 6",
	       .request.limits = { .cpu_ms = 300, .wall_ms = 20000, .cpu_percent = 400 },
	       .status = STATUS_TIMEOUT, .cause = CAUSE_CPU, .check = cpu_counted),
	ATTACK("071b", "thousands of short children", "timeout by processor time",
	       "71-children", .request.limits = { .cpu_ms = 300, .wall_ms = 20000 },
	       .status = STATUS_TIMEOUT, .cause = CAUSE_CPU, .check = cpu_counted),
	ATTACK("072", "sleep", "timeout by the clock", "72 sleep",
	       .request.limits = { .wall_ms = 300 }, .status = STATUS_TIMEOUT,
	       .cause = CAUSE_WALL),
	ATTACK("072b", "deadlock", "timeout by the clock", "72 lock",
	       .request.limits = { .wall_ms = 300 }, .status = STATUS_TIMEOUT,
	       .cause = CAUSE_WALL),
	ATTACK("072c", "waiting for input that does not come", "timeout by the clock",
	       "72 input", .request.limits = { .wall_ms = 300 }, .status = STATUS_TIMEOUT,
	       .cause = CAUSE_WALL),
	{ .number = "073",
	  .name = "all slots but one spin",
	  .promise = "the canary sings on",
	  .run = all_but_one_spin },
	{ .number = "074",
	  .name = "the daemon's wall clock jumps",
	  .promise = "no verdict changes",
	  .run = stepped_clock },
	{ .number = "074b",
	  .name = "the host's clock is stepped",
	  .promise = "no verdict changes",
	  .run = stepped_host },
	{ .number = "075",
	  .name = "limits of zero, and beyond all bounds",
	  .promise = "refused, never clamped",
	  .run = limits_out_of_range },
	{ .number = "076",
	  .name = "compile-time bombs",
	  .promise = "an unsuccessful build",
	  .flags = CASE_NO_GCC,
	  .run = compile_bombs },
	{ .number = "076b",
	  .name = "a build that fails or spins",
	  .promise = "runtime_error; timeout",
	  .run = failed_builds },
	{ .number = "076c",
	  .name = "runs on a frozen tree",
	  .promise = "each sees the build's tree",
	  .run = frozen_tree },
	{ .number = "076i",
	  .name = "a build that leaves a file open for writing in a socket",
	  .promise = "its tree is frozen all the same",
	  .run = stranded_writer },
	{ .number = "076d",
	  .name = "the compile cache",
	  .promise = "the same quiet build of the same domain alone, as it was built",
	  .run = cache_serves },
	{ .number = "076e",
	  .name = "odd files in a cached tree",
	  .promise = "of the same kind, or not there",
	  .run = cache_and_odd_files },
	{ .number = "076f",
	  .name = "a failed build",
	  .promise = "is not cached",
	  .run = cache_and_failures },
	{ .number = "076g",
	  .name = "the compile cache switched off",
	  .promise = "nothing is cached",
	  .run = cache_switched_off },
	ATTACK("077", "as many files as fit, left behind", "gone after the verdict", "77",
	       .request.limits = { .memory_bytes = 256 * MIB, .disk_bytes = 64 * MIB }),
	{ 0 },
};
