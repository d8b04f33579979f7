/* SPDX-License-Identifier: ISC */
/* What exists because of a service: its processes and what they hold, the
 * programs, the control groups. "Clean" means that two of these agree.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* what stays charged: pages of the image that a box was the first to read, a
 * compiler's among them, until somebody needs the room */
#define GROUP_SLACK (128 * MIB)

/* ---- processes ---- */

static unsigned count_entries(int proc_fd, const char *name)
{
	int fd = openat(proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	unsigned count = 0;
	DIR *dir;

	if (fd < 0)
		return 0;
	dir = fdopendir(fd);
	while (dir && (entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return count;
}

/* A keeper's mounts are all ours; of the master's those that name our folder: the
 * host's come and go in its view of them as they do on the host. */
static unsigned count_mounts(pid_t pid, const char *word)
{
	char path[48], line[4096];
	unsigned count = 0;
	FILE *file;

	snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof line, file))
		count += strstr(line, word) != NULL;
	if (file)
		fclose(file);
	return count;
}

static bool read_process(pid_t pid, struct process *ret)
{
	struct process p = { .pid = pid };
	char name[32], text[4096], exe[PATH_MAX];
	cleanup_close int fd = -1;
	const char *at;
	ssize_t n;

	snprintf(name, sizeof name, "/proc/%d", pid);
	fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || io_read_text_at(fd, "status", text, sizeof text) < 0)
		return false;
	at = strstr(text, "\nState:\t");
	p.state = at ? at[8] : '?';
	at = strstr(text, "\nPPid:\t");
	p.parent = at ? atoi(at + 7) : 0;
	at = strstr(text, "\nUid:\t");
	p.uid = at ? (uid_t)strtoul(at + 6, NULL, 10) : 0;
	at = strstr(text, "\nThreads:\t");
	p.threads = at ? (unsigned)atoi(at + 10) : 0;
	at = strstr(text, "\nRssAnon:\t");
	p.rss_kib = at ? strtoull(at + 10, NULL, 10) : 0;
	n = readlinkat(fd, "exe", exe, sizeof exe - 1);
	if (n > 0) {
		exe[n] = '\0';
		p.ours = !strcmp(exe, ground.program) || !strcmp(exe, ground.faults);
	}
	*ret = p;
	return true;
}

static void read_holdings(struct process *p)
{
	char name[32];
	cleanup_close int fd = -1;

	snprintf(name, sizeof name, "/proc/%d", p->pid);
	fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	p->fds = count_entries(fd, "fd");
	p->mounts = count_mounts(p->pid, "");
}

#define PROCESSES_MAX 8192

struct snapshot {
	struct process item[PROCESSES_MAX];
	size_t count;
};

static void snapshot_take(struct snapshot *s)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;

	s->count = 0;
	while (dir && (entry = readdir(dir)) != NULL && s->count < PROCESSES_MAX)
		if (atoi(entry->d_name) > 0 &&
		    read_process(atoi(entry->d_name), &s->item[s->count]))
			s->count++;
	if (dir)
		closedir(dir);
}

static bool in_slots(const struct service *service, uid_t uid)
{
	return uid >= service->ids_first && uid < service->ids_first + 2 * service->slots;
}

/* pid is root or a descendant of it, in this snapshot. */
static bool descends(const struct snapshot *s, pid_t pid, pid_t root)
{
	size_t i, depth;

	for (depth = 0; depth < 16 && pid > 1; depth++) {
		if (pid == root)
			return true;
		for (i = 0; i < s->count; i++)
			if (s->item[i].pid == pid)
				break;
		if (i == s->count)
			return false;
		pid = s->item[i].parent;
	}
	return false;
}

pid_t service_master(const struct service *service)
{
	static struct snapshot s;
	struct process p;
	size_t i;

	if (service->pid <= 0)
		return 0;
	if (read_process(service->pid, &p) && p.ours)
		return service->pid;
	/* started under another program: its child is the master */
	snapshot_take(&s);
	for (i = 0; i < s.count; i++)
		if (s.item[i].ours && s.item[i].parent == service->pid)
			return s.item[i].pid;
	return service->pid;
}

/* Its command line has the word, as one of its own. */
static bool called_with(pid_t pid, const char *word)
{
	char path[32], text[4096];
	cleanup_close int fd = -1;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof text);
	return n > 0 && memmem(text, (size_t)n, word, strlen(word) + 1);
}

static pid_t find_program(const struct service *service, const char *word)
{
	static struct snapshot s;
	size_t i;

	snapshot_take(&s);
	for (i = 0; i < s.count; i++)
		if (in_slots(service, s.item[i].uid) && !s.item[i].ours &&
		    s.item[i].state != 'Z' && called_with(s.item[i].pid, word))
			return s.item[i].pid;
	return 0;
}

pid_t program_pid(const struct service *service, const char *word)
{
	uint64_t end = clock_ms() + PATIENCE_MS;
	pid_t pid;

	while ((pid = find_program(service, word)) == 0 && clock_ms() < end)
		pause_ms(10);
	return pid;
}

static bool nobody_there(void *data)
{
	static struct snapshot s;
	const struct service *service = data;
	size_t i;

	snapshot_take(&s);
	for (i = 0; i < s.count; i++)
		if (in_slots(service, s.item[i].uid))
			return false;
	return true;
}

bool nothing_lives(const struct service *service)
{
	return until(nobody_there, (void *)(uintptr_t)service, PATIENCE_MS);
}

void service_kill_all(struct service *service)
{
	static struct snapshot s;
	pid_t master = service_master(service);
	size_t i;

	if (master > 0) {
		kill(master, SIGSTOP); /* so that it starts nobody while we look */
		snapshot_take(&s);
		for (i = 0; i < s.count; i++)
			if (descends(&s, s.item[i].pid, master))
				kill(s.item[i].pid, SIGKILL);
		kill(master, SIGKILL);
		service_wait(service);
	}
	snapshot_take(&s);
	for (i = 0; i < s.count; i++)
		if (in_slots(service, s.item[i].uid))
			kill(s.item[i].pid, SIGKILL);
}

/* ---- control groups ---- */

struct search {
	const char *name;
	struct service *service;
};

static void search_groups(int dir_fd, const char *path, const struct search *search, int depth)
{
	DIR *dir = fdopendir(dir_fd);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL) {
		char below[PATH_MAX];
		int fd;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		if (snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >=
		    (int)sizeof below)
			continue;
		if (!strcmp(entry->d_name, search->name)) {
			struct service *s = search->service;

			if (s->groups_count < ARRAY_LEN(s->groups))
				memcpy(s->groups[s->groups_count++], below, strlen(below) + 1);
			continue;
		}
		fd = depth > 0 ? openat(dirfd(dir), entry->d_name,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)
			       : -1;
		if (fd >= 0)
			search_groups(fd, below, search, depth - 1);
	}
	if (dir)
		closedir(dir);
	else
		close(dir_fd);
}

static void find_groups(struct service *service)
{
	const struct search search = { service->parent, service };
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[1024], path[512], type[64];

	while (mounts && fgets(line, sizeof line, mounts)) {
		int fd;

		if (sscanf(line, "%*s %511s %63s", path, type) != 2 ||
		    strncmp(type, "cgroup", 6) != 0)
			continue;
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			search_groups(fd, path, &search, 6);
	}
	if (mounts)
		fclose(mounts);
}

static size_t groups_seen;

static int count_group(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	groups_seen += type == FTW_D && ftw->level > 0;
	return 0;
}

static uint64_t group_memory(const struct service *service)
{
	static const char *const names[] = { "memory.usage_in_bytes", "memory.current" };
	size_t i, k;

	for (i = 0; i < service->groups_count; i++)
		for (k = 0; k < ARRAY_LEN(names); k++) {
			char path[PATH_MAX + 32], text[32];

			snprintf(path, sizeof path, "%s/%s", service->groups[i], names[k]);
			if (io_read_text_at(AT_FDCWD, path, text, sizeof text) > 0)
				return strtoull(text, NULL, 10);
		}
	return 0;
}

static void count_groups(struct service *service, struct census *census)
{
	size_t i;

	if (service->groups_count == 0 || access(service->groups[0], F_OK) < 0) {
		service->groups_count = 0;
		find_groups(service);
	}
	groups_seen = 0;
	for (i = 0; i < service->groups_count; i++)
		nftw(service->groups[i], count_group, 16, FTW_PHYS);
	census->groups = groups_seen;
	census->memory_bytes = group_memory(service);
}

/* ---- the census ---- */

static int by_holdings(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	if (x->fds != y->fds)
		return x->fds < y->fds ? -1 : 1;
	if (x->threads != y->threads)
		return x->threads < y->threads ? -1 : 1;
	return 0;
}

static pthread_mutex_t census_lock = PTHREAD_MUTEX_INITIALIZER;

void census_take(const struct service *service, struct census *ret_census)
{
	static struct snapshot s;
	pid_t master = service_master(service);
	size_t i;

	pthread_mutex_lock(&census_lock);
	memset(ret_census, 0, sizeof *ret_census);
	snapshot_take(&s);
	for (i = 0; i < s.count; i++) {
		struct process *p = &s.item[i];

		if (in_slots(service, p->uid)) {
			if (p->ours && p->state != 'Z')
				ret_census->inits++;
			else
				ret_census->strangers++;
		} else if (master > 0 && descends(&s, p->pid, master) &&
			   ret_census->service_count < CENSUS_MAX) {
			read_holdings(p);
			if (p->pid == master) {
				ret_census->master_mounts = count_mounts(p->pid, ground.root);
				p->mounts = 0;
			}
			ret_census->service[ret_census->service_count++] = *p;
		}
	}
	qsort(ret_census->service, ret_census->service_count, sizeof ret_census->service[0],
	      by_holdings);
	count_groups((struct service *)(uintptr_t)service, ret_census);
	pthread_mutex_unlock(&census_lock);
}

static bool differ(const struct census *before, const struct census *now, char *text,
		   size_t size)
{
	size_t i;

	if (now->strangers) {
		snprintf(text, size, "%zu processes of the programs' users live",
			 now->strangers);
		return true;
	}
	if (now->inits != before->inits) {
		snprintf(text, size, "%zu inits and runners wait, %zu before", now->inits, before->inits);
		return true;
	}
	if (now->groups != before->groups) {
		snprintf(text, size, "%zu control groups, %zu before", now->groups,
			 before->groups);
		return true;
	}
	if (now->service_count != before->service_count) {
		snprintf(text, size, "%zu service processes, %zu before", now->service_count,
			 before->service_count);
		return true;
	}
	for (i = 0; i < now->service_count; i++) {
		const struct process *a = &before->service[i], *b = &now->service[i];

		if (a->fds != b->fds || a->threads != b->threads ||
		    b->mounts > before->mounts_most) {
			snprintf(text, size,
				 "process %d holds %u descriptors, %u threads, %u mounts; "
				 "before %u, "
				 "%u, at most %u",
				 b->pid, b->fds, b->threads, b->mounts, a->fds, a->threads,
				 before->mounts_most);
			return true;
		}
	}
	if (now->master_mounts != before->master_mounts) {
		snprintf(text, size, "the master has %u mounts, %u before", now->master_mounts,
			 before->master_mounts);
		return true;
	}
	if (now->memory_bytes > before->memory_bytes + GROUP_SLACK) {
		snprintf(text, size, "%llu bytes stay charged, %llu before",
			 (unsigned long long)now->memory_bytes,
			 (unsigned long long)before->memory_bytes);
		return true;
	}
	return false;
}

bool census_returns(const struct service *service, const struct census *before, char *text,
		    size_t size)
{
	static struct census now;
	uint64_t end = clock_ms() + PATIENCE_MS;

	for (;;) {
		census_take(service, &now);
		if (!differ(before, &now, text, size))
			return true;
		if (clock_ms() >= end)
			return false;
		pause_ms(20);
	}
}

/* One run in every slot at the same time. */
static bool all_slots(const struct service *service, const struct request *request, char *text,
		      size_t size)
{
	struct live *live = calloc(service->slots, sizeof *live);
	bool good = live != NULL;
	unsigned i;

	for (i = 0; live && i < service->slots; i++)
		live_start(&live[i], service, request);
	for (i = 0; live && i < service->slots; i++) {
		live_join(&live[i]);
		if (live[i].outcome.status != STATUS_SUCCESS ||
		    strcmp(live[i].outcome.out, "1\n")) {
			snprintf(text, size, "%s, %s: %s", end_name(live[i].outcome.end),
				 job_status_name(live[i].outcome.status),
				 live[i].outcome.err.text);
			good = false;
		}
		outcome_done(&live[i].outcome);
	}
	free(live);
	return good;
}

bool slots_work(const struct service *service, char *text, size_t size)
{
	const struct request request = { .arguments = "print",
					 .limits = { .memory_bytes = 16 * MIB } };

	return all_slots(service, &request, text, size);
}

/* Each image was once ready in every slot. A keeper has more mounts with one than
 * with the other, and which one it has ready changes by itself. */
static void learn_mounts(const struct service *service, unsigned *ret_most)
{
	static const struct job_file file = { { "main.sh", 7 }, { "echo 1\n", 7 } };
	const struct request hosted = { .language = "sh",
					.files = &file,
					.files_count = 1,
					.limits = { .memory_bytes = 16 * MIB } };
	static struct census census;
	char text[400];
	int turn;
	size_t i;

	*ret_most = 0;
	for (turn = 0; turn < 2; turn++) {
		if (turn == 0)
			all_slots(service, &hosted, text, sizeof text);
		else
			slots_work(service, text, sizeof text);
		census_take(service, &census);
		for (i = 0; i < census.service_count; i++)
			if (census.service[i].mounts > *ret_most)
				*ret_most = census.service[i].mounts;
	}
}

bool census_settled(const struct service *service, struct census *ret_census)
{
	static struct census first;
	uint64_t end = clock_ms() + PATIENCE_MS;
	unsigned mounts_most;
	char text[400];
	int turn;

	learn_mounts(service, &mounts_most);
	for (turn = 0; turn < 3; turn++)
		if (!slots_work(service, text, sizeof text))
			return false;
	census_take(service, &first);
	first.mounts_most = mounts_most;
	while (clock_ms() < end) {
		pause_ms(200);
		census_take(service, ret_census);
		ret_census->mounts_most = mounts_most;
		/* also when nothing changes for long, because a box is slow to come */
		if (ret_census->inits == 2 * service->slots &&
		    !differ(&first, ret_census, text, sizeof text))
			return true;
		first = *ret_census;
	}
	return false;
}

uint64_t mem_available_bytes(void)
{
	char text[8192];
	const char *at;

	if (io_read_text_at(AT_FDCWD, "/proc/meminfo", text, sizeof text) < 0)
		return 0;
	at = strstr(text, "MemAvailable:");
	return at ? strtoull(at + 13, NULL, 10) * 1024 : 0;
}

/* ---- the kernel log ---- */

#define KERNEL_WARNING 4 /* its level */

static int log_fd = -1;

void kernel_log_mark(void)
{
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log_fd >= 0)
		lseek(log_fd, 0, SEEK_END);
}

bool kernel_log_clean(char *text, size_t size)
{
	static const char *const words[] = {
		"WARNING:",
		"BUG:",
		"Oops",
		"general protection",
		"blocked for more than",
		"kernel panic",
		"soft lockup",
		"rcu_sched",
		"KASAN",
		"UBSAN",
		"refcount_t",
	};
	char line[8192];
	bool clean = true;
	ssize_t n;
	size_t i;

	while (log_fd >= 0) {
		n = read(log_fd, line, sizeof line - 1);
		if (n < 0 && errno == EPIPE)
			continue; /* overwritten: the next read goes on behind the gap */
		if (n <= 0)
			break;
		line[n] = '\0';
		/* "<facility * 8 + level>,…"; what a program does to itself is only told */
		if ((strtoul(line, NULL, 10) & 7) > KERNEL_WARNING)
			continue;
		for (i = 0; i < ARRAY_LEN(words); i++)
			if (strstr(line, words[i]) && clean) {
				snprintf(text, size, "%.*s", (int)strcspn(line, "\n"), line);
				clean = false;
			}
	}
	return clean;
}
