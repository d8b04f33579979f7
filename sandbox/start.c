/* SPDX-License-Identifier: ISC */
/* Runs as: root (the master), from its first instruction to its open sockets. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/io.h"
#include "common/log.h"
#include "sandbox/ahead.h"
#include "sandbox/ids.h"
#include "sandbox/master.h"

#define CONTROL_BACKLOG 64

int start_sanitise(struct error *err)
{
	/* the boxes set their own; what the starter had must not seep through */
	static const int unbound[] = { RLIMIT_AS,   RLIMIT_CPU,	     RLIMIT_DATA,
				       RLIMIT_FSIZE, RLIMIT_NPROC,    RLIMIT_RSS,
				       RLIMIT_STACK, RLIMIT_SIGPENDING };
	struct rlimit limit;
	size_t r;
	int fd, number;

	/* what the starter ignored would be ignored in every program */
	for (number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return error_errno(err, "/dev/null");
	} while (fd <= 2);
	close(fd);
	if (close_range(3, ~0U, 0) < 0)
		return error_errno(err, "close_range");
	for (r = 0; r <= ARRAY_LEN(unbound); r++) {
		int which = r < ARRAY_LEN(unbound) ? unbound[r] : RLIMIT_NOFILE;

		if (getrlimit((__rlimit_resource_t)which, &limit) < 0)
			return error_errno(err, "limit %d", which);
		/* without CAP_SYS_RESOURCE the hard limit is as far as we can go */
		limit.rlim_cur = limit.rlim_max;
		if (r < ARRAY_LEN(unbound)) {
			const struct rlimit most = { RLIM_INFINITY, RLIM_INFINITY };

			if (setrlimit((__rlimit_resource_t)which, &most) == 0)
				continue;
		}
		if (setrlimit((__rlimit_resource_t)which, &limit) < 0)
			return error_errno(err, "limit %d", which);
	}
	umask(022);
	/* what the service manager said stays; nothing else is read */
	{
		const char *keep[] = { "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
#ifdef SANDPOOL_FAULTS
				       "SANDPOOL_TEST_FAIL_STEP", "SANDPOOL_TEST_NO_FILTER",
				       "SANDPOOL_TEST_AHEAD",
#endif
		};
		char *values[ARRAY_LEN(keep)];
		size_t i;

		for (i = 0; i < ARRAY_LEN(keep); i++) {
			const char *value = getenv(keep[i]);

			values[i] = value ? strdup(value) : NULL;
		}
		clearenv();
		for (i = 0; i < ARRAY_LEN(keep); i++) {
			if (values[i])
				setenv(keep[i], values[i], 1);
			free(values[i]);
		}
	}
	setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
	if (chdir("/") < 0)
		return error_errno(err, "chdir /");
	return 0;
}

static int make_directory(const char *path, mode_t mode, bool shared, struct error *err)
{
	struct stat st;
	mode_t others;

	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return error_errno(err, "make %s", path);
	if (lstat(path, &st) < 0)
		return error_errno(err, "%s", path);
	/* where others may add entries, as the pool its sockets, the sticky bit keeps
	 * their hands off ours */
	others = shared && (st.st_mode & S_ISVTX) ? S_IWOTH : S_IWGRP | S_IWOTH;
	if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & others))
		return error_set(err, EPERM, "%s: must be a folder that only root can write", path);
	return 0;
}

static int lock_state(struct master *m, struct error *err)
{
	char path[300];

	snprintf(path, sizeof path, "%s/sandboxd.lock", m->now->settings.state_directory);
	m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->lock_fd < 0)
		return error_errno(err, "%s", path);
	if (flock(m->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(err, errno, "%s: another sandboxd runs on this state directory",
				 path);
	/* whom the tools tell that images changed; the lock says whether it is true */
	if (ftruncate(m->lock_fd, 0) < 0 || dprintf(m->lock_fd, "%d\n", (int)getpid()) < 0)
		return error_errno(err, "%s", path);
	return 0;
}

static int block_signals(struct master *m, struct error *err)
{
	static const int wanted[] = { SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < ARRAY_LEN(wanted); i++) {
		signal(wanted[i], SIG_DFL); /* an ignored one would never be delivered */
		sigaddset(&set, wanted[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_SETMASK, &set, NULL) < 0)
		return error_errno(err, "signals");
	m->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signal_fd < 0 ? error_errno(err, "signalfd") : 0;
}

/* Leftovers of a daemon that was killed: empty folders, because its mounts went
 * with its mount namespace. */
static void sweep_state_directory(const char *state_directory)
{
	char path[300];
	unsigned i;

	for (i = 0; i < 64; i++) {
		snprintf(path, sizeof path, "%s/mounts.%u", state_directory, i);
		rmdir(path);
	}
}

static int own_mounts(struct error *err)
{
	if (unshare(CLONE_NEWNS) < 0)
		return error_errno(err, "unshare the mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return error_errno(err, "detach from the host's mounts");
	return 0;
}

static int make_groups(struct master *m, struct error *err)
{
	const struct settings *s = &m->now->settings;
	struct cgroup_request request = {
		.parent = s->cgroup_parent,
		.mode = s->cgroup_mode,
		.allow_missing = s->allow_missing,
		.memory_bytes = s->memory_budget_bytes,
		.processes = 0,
	};
	unsigned i;

	request.processes = ids_process_budget();
	m->cgroups = cgroup_tree_open(&request, err);
	if (!m->cgroups)
		return -1;
	m->groups = calloc(m->slots, sizeof *m->groups);
	if (!m->groups)
		return error_set(err, ENOMEM, "out of memory");
	for (i = 0; i < m->slots; i++)
		if (cgroup_tree_slot(m->cgroups, i, &m->groups[i], err) < 0)
			return -1;
	return 0;
}

struct start_step {
	const char *name;
	int (*run)(struct master *m, struct error *err);
};

static int step_directories(struct master *m, struct error *err)
{
	const struct settings *s = &m->now->settings;

	return make_directory(s->run_directory, 0755, true, err) < 0 ||
			       make_directory(s->state_directory, 0750, false, err) < 0
		       ? -1
		       : 0;
}

static int step_ids(struct master *m, struct error *err)
{
	return ids_check_free((uid_t)m->now->settings.box_ids_first, 2 * m->slots, err);
}

static int step_mounts(struct master *m, struct error *err)
{
	sweep_state_directory(m->now->settings.state_directory);
	return own_mounts(err) < 0 ? -1 : generation_mount(m->now, err);
}

static int step_filter(struct master *m, struct error *err)
{
	return filter_layers_build(&m->filter, FILTER_DEFAULT, err);
}

static int step_shared(struct master *m, struct error *err)
{
	m->shared = shared_make(m->slots, m->now->settings.memory_budget_bytes, err);
	m->keepers = calloc(m->slots, sizeof *m->keepers);
	if (!m->shared || !m->keepers)
		return m->shared ? error_set(err, ENOMEM, "out of memory") : -1;
	for (unsigned i = 0; i < m->slots; i++)
		m->keepers[i].command_fd = m->keepers[i].cache_fd = -1;
	m->cache = cache_new(m->now->settings.compile_cache_bytes);
	return 0;
}

/* Beside this program, as in a build folder, or where it is installed. Without it
 * every interpreter starts when it is asked for. */
static int step_ahead(struct master *m, struct error *err)
{
	char path[512];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
	char *slash;

	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), AHEAD_LIBRARY);
		m->ahead_fd = conf_open(path, true, NULL);
	}
	if (m->ahead_fd < 0)
		m->ahead_fd = conf_open(SANDPOOL_LIBEXEC_DIR "/" AHEAD_LIBRARY, true, err);
	if (m->ahead_fd < 0 && m->now->settings.interpreters_ahead)
		log_event(LOG_WARNING, "interpreters-ahead: %s; none will be", err->text);
	return 0;
}

static int step_sockets(struct master *m, struct error *err)
{
	m->control_fd = generation_listen(m->now, WIRE_SOCKET_CONTROL, CONTROL_BACKLOG, err);
	return m->control_fd < 0 ? -1 : generation_open_sockets(m->now, err);
}

static const struct start_step start_steps[] = {
	{ "directories", step_directories },
	{ "lock", lock_state },
	{ "signals", block_signals },
	{ "box ids", step_ids },
	{ "syscall filter", step_filter },
	{ "control groups", make_groups },
	{ "images", step_mounts },
	{ "shared memory", step_shared },
	{ "interpreters ahead", step_ahead },
	{ "sockets", step_sockets },
};

int start_all(struct master *m, struct error *err)
{
	size_t i;

	m->now = generation_read(m->conf_path, 0, err);
	if (!m->now)
		return -1;
	m->slots = (unsigned)m->now->settings.slots;
	for (i = 0; i < ARRAY_LEN(start_steps); i++)
		if (start_steps[i].run(m, err) < 0)
			return error_wrap(err, "%s", start_steps[i].name);
	return 0;
}

void start_undo(struct master *m)
{
	char path[300];

	snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CONTROL, m->now->settings.run_directory);
	unlink(path);
	generation_unmount(m->now);
	cgroup_tree_close(m->cgroups);
	filter_layers_free(&m->filter);
	cache_free(m->cache);
	generation_free(m->now);
}
