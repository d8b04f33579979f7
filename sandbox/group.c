/* SPDX-License-Identifier: ISC */
/* Runs as: root, through directories of the control group file system alone. */
#define _GNU_SOURCE
#include "sandbox/group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/io.h"
#include "common/wire.h"

#define PERIOD_US     20000 /* short: a throttled program must not be long in dying */
#define LONG_PERIOD_US 100000
#define QUOTA_LEAST_US 1000 /* the kernel's own minimum */

static int dir_of(const struct run_group *group, enum hierarchy hierarchy)
{
	int index = group->slot->of[hierarchy];

	return index < 0 ? -1 : group->dir_fd[index];
}

/* ---- limits ---- */

/* Writes, reads back, and compares: a limit that did not take is no limit. All on
 * one descriptor, because this is done several times for every box. */
static int set_text(int dir_fd, const char *file, const char *text, struct error *err)
{
	cleanup_close int fd = openat(dir_fd, file, O_RDWR | O_CLOEXEC);
	size_t size = strlen(text);
	char found[64];
	ssize_t n;

	if (fd < 0 || write(fd, text, size) != (ssize_t)size ||
	    (n = pread(fd, found, sizeof found - 1, 0)) < 0)
		return error_errno(err, "%s = %s", file, text);
	found[n] = '\0';
	found[strcspn(found, "\n")] = '\0';
	if (strcmp(found, text) != 0)
		return error_set(err, EIO, "%s: wrote %s, reads %s", file, text, found);
	return 0;
}

static int set_number(int dir_fd, const char *file, uint64_t value, struct error *err)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, value);
	return set_text(dir_fd, file, text, err);
}

static uint64_t whole_pages(uint64_t bytes)
{
	return bytes & ~(uint64_t)4095; /* as the kernel rounds it */
}

/* v1 demands memory <= memory + swap at every moment, so a higher limit is set
 * from the outside in, a lower one from the inside out. */
static int limit_memory_v1(struct run_group *group, uint64_t bytes, struct error *err)
{
	static const char limit[] = "memory.limit_in_bytes";
	static const char both[] = "memory.memsw.limit_in_bytes";
	bool swap = group->slot->enforced & ENFORCED_SWAP;
	bool rises = bytes > group->limits.memory_bytes && group->limits.memory_bytes != 0;
	int dir_fd = dir_of(group, HIER_MEMORY);

	if (rises && swap && set_number(dir_fd, both, bytes, err) < 0)
		return -1;
	if (set_number(dir_fd, limit, bytes, err) < 0)
		return -1;
	return !rises && swap ? set_number(dir_fd, both, bytes, err) : 0;
}

static int limit_memory(struct run_group *group, uint64_t bytes, struct error *err)
{
	bytes = whole_pages(bytes);
	return group->slot->v2 ? set_number(dir_of(group, HIER_MEMORY), "memory.max", bytes, err)
			       : limit_memory_v1(group, bytes, err);
}

static int limit_processes(struct run_group *group, uint64_t processes, struct error *err)
{
	return set_number(dir_of(group, HIER_PIDS), "pids.max", processes + 1, err);
}

static int limit_cpu(struct run_group *group, uint64_t percent, struct error *err)
{
	uint64_t period_us = PERIOD_US, quota_us = percent * PERIOD_US / 100;
	char text[48];
	int dir_fd = dir_of(group, HIER_CPU);

	if (quota_us < QUOTA_LEAST_US) {
		period_us = LONG_PERIOD_US;
		quota_us = percent * LONG_PERIOD_US / 100;
	}
	if (!group->slot->v2 && group->cpu_period_us != period_us) {
		if (set_number(dir_fd, "cpu.cfs_period_us", period_us, err) < 0)
			return -1;
		group->cpu_period_us = period_us;
	}
	if (!group->slot->v2)
		return set_number(dir_fd, "cpu.cfs_quota_us", quota_us, err);
	snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64, quota_us, period_us);
	return set_text(dir_fd, "cpu.max", text, err);
}

/* Which limit is held by what: one row each. */
static const struct {
	unsigned enforced;
	size_t offset;
	int (*set)(struct run_group *group, uint64_t value, struct error *err);
} knobs[] = {
	{ ENFORCED_MEMORY, offsetof(struct limits, memory_bytes), limit_memory },
	{ ENFORCED_PROCESSES, offsetof(struct limits, processes), limit_processes },
	{ ENFORCED_CPU, offsetof(struct limits, cpu_percent), limit_cpu },
};

int group_limit(struct run_group *group, const struct limits *limits, struct error *err)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(knobs); i++) {
		uint64_t *now = (uint64_t *)(void *)((char *)&group->limits + knobs[i].offset);
		uint64_t wanted =
			*(const uint64_t *)(const void *)((const char *)limits + knobs[i].offset);

		if (!(group->slot->enforced & knobs[i].enforced) || *now == wanted)
			continue;
		if (knobs[i].set(group, wanted, err) < 0)
			return -1;
		*now = wanted;
	}
	return 0;
}

/* What is the same for every run. */
static int set_constants(struct run_group *group, struct error *err)
{
	int dir_fd = dir_of(group, HIER_MEMORY);

	if (dir_fd < 0)
		return 0;
	if (!group->slot->v2)
		return set_number(dir_fd, "memory.swappiness", 0, err);
	if (set_number(dir_fd, "memory.oom.group", 1, err) < 0)
		return -1;
	if (group->slot->enforced & ENFORCED_SWAP)
		return set_number(dir_fd, "memory.swap.max", 0, err);
	return 0;
}

/* ---- making ---- */

struct counter_file {
	enum hierarchy hierarchy;
	const char *v1, *v2;
};

static const struct counter_file counter_files[COUNTERS] = {
	[COUNTER_PEAK] = { HIER_MEMORY, "memory.max_usage_in_bytes", "memory.peak" },
	[COUNTER_OOM] = { HIER_MEMORY, "memory.oom_control", "memory.events.local" },
	[COUNTER_CPU] = { HIER_CPUACCT, "cpuacct.usage", "cpu.stat" },
	[COUNTER_PIDS] = { HIER_PIDS, NULL, "pids.peak" },
	[COUNTER_ALIVE] = { HIER_PIDS, "pids.current", "pids.current" },
	[COUNTER_EVENTS] = { HIER_COUNT, NULL, "cgroup.events" },
	[COUNTER_CHARGED] = { HIER_MEMORY, "memory.usage_in_bytes", "memory.current" },
};

static bool read_counter(const struct run_group *group, enum counter counter, char *text, size_t size)
{
	ssize_t n;

	if (group->counter_fd[counter] < 0)
		return false;
	n = pread(group->counter_fd[counter], text, size - 1, 0);
	if (n < 0)
		return false;
	text[n] = '\0';
	return true;
}

/* The number behind a key at the start of a line; 0 when it is not there. */
static uint64_t keyed(const char *text, const char *key)
{
	size_t size = strlen(key);
	const char *line = text;

	while (line) {
		if (!strncmp(line, key, size) && line[size] == ' ')
			return strtoull(line + size, NULL, 10);
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return 0;
}

/* Writing to the peak starts it anew: on v1 always, on v2 since Linux 6.12. */
static bool peak_starts_anew;

/* Is a group that has served one run as good as new for the next? Only the kernel's own
 * count of its processes proves that it is empty, short of its removal. */
static bool can_keep(const struct group_slot *slot)
{
	return (slot->v2 || slot->of[HIER_PIDS] >= 0) &&
	       (slot->of[HIER_MEMORY] < 0 || peak_starts_anew);
}

static bool has_counter(const struct group_slot *slot, enum counter counter)
{
	const struct counter_file *c = &counter_files[counter];

	if (!slot->v2)
		return c->v1 && slot->of[c->hierarchy] >= 0;
	/* these are in every v2 group, with or without controllers */
	return c->v2 && (counter == COUNTER_CPU || counter == COUNTER_EVENTS ||
			 slot->of[c->hierarchy] >= 0);
}

static int open_counters(struct run_group *group, struct error *err)
{
	const struct group_slot *slot = group->slot;
	size_t i;

	for (i = 0; i < COUNTERS; i++) {
		const struct counter_file *c = &counter_files[i];
		const char *file = slot->v2 ? c->v2 : c->v1;
		int *fd = &group->counter_fd[i], dir_fd;

		if (!has_counter(slot, i))
			continue;
		dir_fd = slot->v2 ? group->dir_fd[0] : dir_of(group, c->hierarchy);
		if (i == COUNTER_PEAK)
			*fd = openat(dir_fd, file, O_RDWR | O_CLOEXEC);
		if (*fd < 0)
			*fd = openat(dir_fd, file, O_RDONLY | O_CLOEXEC);
		if (*fd < 0 && errno != ENOENT)
			return error_errno(err, "%s", file);
	}
	if (group->counter_fd[COUNTER_PEAK] >= 0)
		peak_starts_anew = pwrite(group->counter_fd[COUNTER_PEAK], "0", 1, 0) == 1;
	return 0;
}

static void close_all(struct run_group *group)
{
	size_t i;

	for (i = 0; i < HIER_COUNT; i++) {
		close_fd(&group->dir_fd[i]);
		close_fd(&group->tasks_fd[i]);
	}
	for (i = 0; i < COUNTERS; i++)
		close_fd(&group->counter_fd[i]);
	group->slot = NULL;
}

static int remove_dirs(const struct run_group *group)
{
	unsigned i;
	int rc = 0;

	for (i = 0; i < group->slot->count; i++)
		if (unlinkat(group->slot->dir_fd[i], group->name, AT_REMOVEDIR) < 0 &&
		    errno != ENOENT)
			rc = -1;
	return rc;
}

/* ---- groups that serve one run after another ---- */

#define CHARGE_BATCH ((uint64_t)1 << 20) /* what the kernel charges ahead, generously */
#define FEWEST_PROCESSES 2 /* that a group has at a time: init, and the runner */

static struct run_group store[GROUPS_AT_ONCE]; /* slot NULL: empty */

static struct run_group *find_stored(const struct group_slot *slot)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(store); i++)
		if (store[i].slot == slot)
			return &store[i];
	return NULL;
}

static bool reads_at_most(const struct run_group *group, enum counter counter, uint64_t most)
{
	char text[32];

	return read_counter(group, counter, text, sizeof text) &&
	       strtoull(text, NULL, 10) <= most;
}

static bool empty(const struct run_group *group)
{
	char text[128];

	if (group->slot->v2 && (!read_counter(group, COUNTER_EVENTS, text, sizeof text) ||
				!strstr(text, "populated 0\n")))
		return false;
	return group->slot->of[HIER_PIDS] < 0 || reads_at_most(group, COUNTER_ALIVE, 0);
}

/* v2 counts some things for the whole life of a group. So one serves again only if its
 * run has left them as every box does. */
static bool left_no_mark(const struct run_group *group)
{
	char text[512];

	if (!group->slot->v2)
		return true;
	if (group->killed)
		return false;
	if (group->counter_fd[COUNTER_OOM] >= 0 &&
	    (!read_counter(group, COUNTER_OOM, text, sizeof text) || keyed(text, "oom") > 0 ||
	     keyed(text, "oom_kill") > 0))
		return false;
	return group->counter_fd[COUNTER_PIDS] < 0 ||
	       reads_at_most(group, COUNTER_PIDS, FEWEST_PROCESSES);
}

/* What one run left charged shall not be the next one's, but for what the kernel itself
 * holds back for a while. The peak starts anew; what cannot, is counted from here. */
static bool start_anew(struct run_group *group)
{
	char text[512] = "0";

	if (group->slot->of[HIER_MEMORY] < 0)
		return true;
	if (!reads_at_most(group, COUNTER_CHARGED, CHARGE_BATCH) ||
	    pwrite(group->counter_fd[COUNTER_PEAK], text, 1, 0) != 1 ||
	    !read_counter(group, COUNTER_OOM, text, sizeof text))
		return false;
	group->oom_base = keyed(text, "oom_kill");
	return true;
}

/* True: the group is one that served before. */
static bool take_stored(struct run_group *group)
{
	const struct group_slot *slot = group->slot;
	struct run_group *from;

	while ((from = find_stored(slot)) != NULL) {
		*group = *from;
		from->slot = NULL;
		/* written again, it forgets what was used of it */
		group->limits.cpu_percent = 0;
		if (start_anew(group))
			return true;
		remove_dirs(group);
		close_all(group);
	}
	return false;
}

static bool put_stored(const struct run_group *group)
{
	struct run_group *to = find_stored(NULL);

	if (!to || !group->whole || !can_keep(group->slot) || !empty(group) ||
	    !left_no_mark(group))
		return false;
	*to = *group;
	return true;
}

static int make_dir(struct run_group *group, unsigned i, struct error *err)
{
	int parent_fd = group->slot->dir_fd[i];

	if (mkdirat(parent_fd, group->name, 0755) < 0)
		return error_errno(err, "make %s", group->name);
	group->dir_fd[i] = openat(parent_fd, group->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group->dir_fd[i] < 0)
		return error_errno(err, "open %s", group->name);
	if (group->slot->v2)
		return 0;
	group->tasks_fd[i] = openat(group->dir_fd[i], "tasks", O_WRONLY | O_CLOEXEC);
	if (group->tasks_fd[i] < 0)
		return error_errno(err, "open tasks");
	return 0;
}

static int make_dirs(struct run_group *group, struct error *err)
{
	unsigned i;

	for (i = 0; i < group->slot->count; i++)
		if (make_dir(group, i, err) < 0)
			return -1;
	return 0;
}

static void name_new(struct run_group *group, uint64_t sequence)
{
	size_t i;

	for (i = 0; i < HIER_COUNT; i++)
		group->dir_fd[i] = group->tasks_fd[i] = -1;
	for (i = 0; i < COUNTERS; i++)
		group->counter_fd[i] = -1;
	snprintf(group->name, sizeof group->name, "r%" PRIu64, sequence);
}

static int make_new(struct run_group *group, const struct group_slot *slot, uint64_t sequence,
		    struct error *err)
{
	memset(group, 0, sizeof *group);
	group->slot = slot;
	name_new(group, sequence);
	if (make_dirs(group, err) < 0 || set_constants(group, err) < 0)
		return -1;
	return open_counters(group, err);
}

int group_make(struct run_group *group, const struct group_slot *slot, uint64_t sequence,
	       const struct limits *limits, struct error *err)
{
	memset(group, 0, sizeof *group);
	group->slot = slot;
	if ((!take_stored(group) && make_new(group, slot, sequence, err) < 0) ||
	    group_limit(group, limits, err) < 0) {
		group->whole = false;
		group_remove(group);
		return error_wrap(err, "control group");
	}
	group->whole = true;
	return 0;
}

void group_fill_store(const struct group_slot *slot, unsigned wanted, uint64_t *sequence,
		      const struct limits *limits)
{
	struct run_group groups[GROUPS_AT_ONCE];
	unsigned there = 0, made = 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(store); i++)
		there += store[i].slot == slot;
	/* what is stored is taken first */
	while (can_keep(slot) && there < wanted && made < wanted &&
	       group_make(&groups[made], slot, (*sequence)++, limits, NULL) == 0)
		made++;
	while (made > 0)
		group_remove(&groups[--made]);
}

int group_clone_fd(const struct run_group *group)
{
	return group->slot->v2 ? group->dir_fd[0] : -1;
}

int group_join(struct run_group *group, struct error *err)
{
	unsigned i;

	/* "0" through tasks: a single thread that moves itself is exempt from the
	 * lock that makes every other way wait for an RCU grace period */
	for (i = 0; i < group->slot->count && !group->slot->v2; i++)
		if (write(group->tasks_fd[i], "0", 1) != 1)
			return error_errno(err, "hierarchy %u", i);
	return 0;
}

/* ---- reading ---- */

static uint64_t cpu_total_us(const struct run_group *group, char *text, size_t size)
{
	if (!read_counter(group, COUNTER_CPU, text, size))
		return 0;
	return group->slot->v2 ? keyed(text, "usage_usec") : strtoull(text, NULL, 10) / 1000;
}

uint64_t group_cpu_us(const struct run_group *group)
{
	char text[512];
	uint64_t total = cpu_total_us(group, text, sizeof text);

	return total > group->cpu_base_us ? total - group->cpu_base_us : 0;
}

void group_mark(struct run_group *group)
{
	char text[512];

	group->cpu_base_us = cpu_total_us(group, text, sizeof text);
}

bool group_oom(const struct run_group *group)
{
	char text[512];

	return read_counter(group, COUNTER_OOM, text, sizeof text) &&
	       keyed(text, "oom_kill") > group->oom_base;
}

uint64_t group_processes(const struct run_group *group)
{
	int dir_fd = dir_of(group, HIER_PIDS);
	char text[64];
	uint64_t count;

	if (!read_counter(group, COUNTER_PIDS, text, sizeof text) &&
	    !read_counter(group, COUNTER_ALIVE, text, sizeof text) &&
	    (dir_fd < 0 || io_read_text_at(dir_fd, "pids.current", text, sizeof text) <= 0))
		return 0;
	count = strtoull(text, NULL, 10);
	return count > 0 ? count - 1 : 0; /* our init */
}

uint64_t group_charged(const struct run_group *group)
{
	char text[32];

	return read_counter(group, COUNTER_CHARGED, text, sizeof text) ? strtoull(text, NULL, 10) : 0;
}

/* Was it our own limit? v2 says so. v1's fail counts stay 0 on newer kernels, but
 * who was killed for its own limit has been at it. */
static void read_oom(const struct run_group *group, struct group_state *state)
{
	char text[512];

	if (!read_counter(group, COUNTER_OOM, text, sizeof text))
		return;
	state->oom = keyed(text, "oom_kill") > group->oom_base;
	state->oom_ours = state->oom &&
			  (group->slot->v2 ? keyed(text, "oom") > 0
					   : state->memory_peak_bytes + CHARGE_BATCH >=
						     group->limits.memory_bytes);
}

void group_read(const struct run_group *group, struct group_state *ret_state)
{
	struct group_state state = { .user_us = USAGE_UNKNOWN,
				     .system_us = USAGE_UNKNOWN,
				     .memory_peak_bytes = USAGE_UNKNOWN,
				     .processes_peak = USAGE_UNKNOWN };
	char text[512];
	uint64_t total = cpu_total_us(group, text, sizeof text);

	state.cpu_us = total > group->cpu_base_us ? total - group->cpu_base_us : 0;
	if (read_counter(group, COUNTER_PEAK, text, sizeof text))
		state.memory_peak_bytes = strtoull(text, NULL, 10);
	if (read_counter(group, COUNTER_PIDS, text, sizeof text)) {
		state.processes_peak = strtoull(text, NULL, 10);
		if (state.processes_peak > 0)
			state.processes_peak--; /* our init */
	}
	read_oom(group, &state);
	*ret_state = state;
}

/* ---- the end ---- */

#define KILL_BATCH 320

/* The processes listed now, at most KILL_BATCH. */
static size_t list_pids(int dir_fd, pid_t *pids)
{
	cleanup_close int fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char text[4096];
	size_t kept = 0, count = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text + kept, sizeof text - 1 - kept)) > 0) {
		char *line = text, *end;

		kept += (size_t)n;
		text[kept] = '\0';
		while ((end = strchr(line, '\n')) != NULL) {
			if (count < KILL_BATCH)
				pids[count++] = (pid_t)strtol(line, NULL, 10);
			line = end + 1;
		}
		kept -= (size_t)(line - text);
		memmove(text, line, kept);
	}
	return count;
}

static bool listed(const pid_t *pids, size_t count, pid_t pid)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* To die takes time on the CPU, which those who wait for their quota do not get. */
static void unleash(const struct run_group *group)
{
	if (group->slot->enforced & ENFORCED_CPU)
		io_write_text_at(dir_of(group, HIER_CPU),
				 group->slot->v2 ? "cpu.max" : "cpu.cfs_quota_us",
				 group->slot->v2 ? "max" : "-1");
}

/* A number read from the list may belong to somebody else by the time it is
 * used. So: open a pidfd first, look whether the number is still listed, and
 * signal through the pidfd: it is a process of the group, or one that is gone.
 * What appears meanwhile dies with the pid namespace; this only spares a busy
 * crowd the wait for init's turn on the CPU. */
static void kill_listed(int dir_fd, pid_t spare_pid)
{
	static pid_t first[KILL_BATCH], second[KILL_BATCH];
	static int fds[KILL_BATCH];
	size_t count = list_pids(dir_fd, first), still, held = 0, i;

	for (i = 0; i < count; i++) {
		fds[i] = first[i] > 1 && first[i] != spare_pid
				 ? (int)syscall(SYS_pidfd_open, first[i], 0)
				 : -1;
		held += fds[i] >= 0;
	}
	if (held == 0)
		return;
	still = list_pids(dir_fd, second);
	for (i = 0; i < count; i++) {
		if (fds[i] < 0)
			continue;
		if (listed(second, still, first[i]))
			syscall(SYS_pidfd_send_signal, fds[i], SIGKILL, NULL, 0);
		close(fds[i]);
	}
}

/* Nobody but init, if that lives; the usual case. On v1 to list processes is slow. */
static bool nobody_else(const struct run_group *group, pid_t init_pid)
{
	static pid_t pids[KILL_BATCH];
	unsigned most = init_pid > 0 ? 1 : 0;

	if (group->counter_fd[COUNTER_ALIVE] >= 0 || !group->slot->v2)
		return reads_at_most(group, COUNTER_ALIVE, most);
	return list_pids(group->dir_fd[0], pids) <= most;
}

#define WHOLE_CPU 100 /* percent */

void group_kill(struct run_group *group, enum group_kill what, pid_t init_pid)
{
	unsigned i;
	bool alone;

	if (!group->slot)
		return;
	alone = nobody_else(group, init_pid);
	/* init, when it is alone, too: its end frees what the program left in the tmpfs */
	if (!alone || group->limits.cpu_percent < WHOLE_CPU)
		unleash(group);
	if (alone)
		return;
	if (group->slot->v2 && what == KILL_ALL &&
	    io_write_text_at(group->dir_fd[0], "cgroup.kill", "1") == 0) {
		group->killed = true;
		return;
	}
	for (i = 0; i < group->slot->count; i++) {
		if (group->dir_fd[i] < 0)
			continue;
		kill_listed(group->dir_fd[i], init_pid);
		break; /* all hierarchies hold the same processes */
	}
}

int group_remove(struct run_group *group)
{
	if (!group->slot)
		return 0;
	if (put_stored(group)) {
		group->slot = NULL;
		return 0;
	}
	if (remove_dirs(group) < 0)
		return -1;
	close_all(group);
	return 0;
}

static int sweep_one(int parent_fd, const char *name)
{
	cleanup_close int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int tries;

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	group_sweep(fd);
	for (tries = 0; tries < 250; tries++) {
		/* a frozen group cannot die: thaw it; neither file need exist */
		if (io_write_text_at(fd, "cgroup.freeze", "0") < 0)
			io_write_text_at(fd, "freezer.state", "THAWED");
		if (io_write_text_at(fd, "cgroup.kill", "1") < 0)
			kill_listed(fd, 0);
		if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return 0;
		poll(NULL, 0, tries < 20 ? 1 : 20);
	}
	return -1;
}

int group_sweep(int dir_fd)
{
	int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!dir) {
		close_fd(&copy);
		return -1;
	}
	while ((entry = readdir(dir)) != NULL) {
		struct stat st;

		if (entry->d_name[0] == '.' ||
		    fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode))
			continue;
		if (sweep_one(dir_fd, entry->d_name) < 0)
			rc = -1;
	}
	closedir(dir);
	return rc;
}
