/* SPDX-License-Identifier: ISC */
/* Runs as: root (the master): its keepers, one for each slot. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "sandbox/keeper.h"
#include "sandbox/master.h"

#define RESTART_MS     250   /* before a dead keeper is replaced, doubled each time ... */
#define RESTART_MAX_MS 15000 /* ... up to this, unless it had a box that worked */

static void keeper_child(struct master *m, unsigned slot, int command_fd, int cache_fd)
{
	struct generation *g = m->now;
	struct keeper_config config = {
		.settings = &g->settings,
		.images = &g->images,
		.listen_fds = g->listen_fds,
		.policy = { .uids = g->peers,
			    .uids_count = g->peers_count,
			    .table = g->table,
			    .language_image = g->language_image,
			    .limits = &g->settings.policy },
		.outer_filter = m->filter.outer,
		.filter = m->filter.inner,
		.groups = m->groups[slot],
		.shared = m->shared,
		.slot = slot,
		.image = m->keepers[slot].wanted,
		.command_fd = command_fd,
		.cache_fd = cache_fd,
		.ahead_fd = g->settings.interpreters_ahead ? m->ahead_fd : -1,
	};
	sigset_t none;
	unsigned i;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	/* what belongs to the master or to other slots is not ours to hold */
	close_fd(&m->signal_fd);
	close_fd(&m->control_fd);
	close_fd(&m->lock_fd);
	for (i = 0; i < m->slots; i++) {
		unsigned k;

		if (i == slot)
			continue;
		close_fd(&m->keepers[i].command_fd);
		close_fd(&m->keepers[i].cache_fd);
		for (k = 0; k < m->groups[i].count; k++)
			close_fd(&m->groups[i].dir_fd[k]);
	}
	keeper_main(&config);
}

static void start_keeper(struct master *m, unsigned slot)
{
	struct keeper_process *keeper = &m->keepers[slot];
	int ends[2], cache[2] = { -1, -1 };
	pid_t pid;

	keeper->started_ms = clock_ms();
	if (pipe2(ends, O_CLOEXEC) < 0) {
		log_event(LOG_ERROR, "slot %u: pipe: %s", slot, strerror(errno));
		return;
	}
	if (m->cache && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, cache) < 0)
		cache[0] = cache[1] = -1; /* it does without */
	if (keeper->wanted >= m->now->images.count)
		keeper->wanted = 0;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	atomic_store(&m->shared->row[slot].state, SLOT_STARTING);
	atomic_store(&m->shared->row[slot].image, keeper->wanted);
	atomic_store(&m->shared->row[slot].accepted, 0);
	atomic_store(&m->shared->row[slot].worked, 0);
	pid = fork();
	if (pid == 0) {
		close(ends[1]);
		close_fd(&cache[0]);
		keeper_child(m, slot, ends[0], cache[1]);
	}
	close(ends[0]);
	close_fd(&cache[1]);
	if (pid < 0) {
		log_event(LOG_ERROR, "slot %u: fork: %s", slot, strerror(errno));
		close(ends[1]);
		close_fd(&cache[0]);
		return;
	}
	keeper->pid = pid;
	keeper->cache_fd = cache[0];
	keeper->command_fd = ends[1];
	keeper->generation = m->now->number;
}

static void command(struct master *m, unsigned slot, int what, unsigned image)
{
	struct keeper_command message = { .what = what, .image = image };

	if (m->keepers[slot].command_fd >= 0 &&
	    io_write_full(m->keepers[slot].command_fd, &message, sizeof message) < 0)
		log_event(LOG_WARNING, "slot %u does not listen: %s", slot, strerror(errno));
}

/* Its box died with it; what is left of the run is swept before the next one. */
static void bury_keeper(struct master *m, unsigned slot, int status)
{
	struct keeper_process *keeper = &m->keepers[slot];
	bool wanted = m->stopping || keeper->generation != m->now->number;

	keeper->pid = 0;
	close_fd(&keeper->command_fd);
	close_fd(&keeper->cache_fd);
	shared_release(m->shared, slot);
	atomic_store(&m->shared->row[slot].state, SLOT_STARTING);
	/* one that had a box was killed by somebody; one that never had may fail again */
	keeper->delay_ms = wanted || atomic_load(&m->shared->row[slot].worked) ? 0
			   : keeper->delay_ms					      ? 2 * keeper->delay_ms
										      : RESTART_MS;
	if (keeper->delay_ms > RESTART_MAX_MS)
		keeper->delay_ms = RESTART_MAX_MS;
	keeper->due_ms = clock_ms() + keeper->delay_ms;
	if (!wanted && status != 0 && !atomic_load(&m->shared->proven))
		m->hopeless = true;
	if (!m->hopeless && (!wanted || status != 0))
		log_event(LOG_ERROR, "slot %u: its keeper ended (%s %d)", slot,
			  WIFSIGNALED(status) ? "signal" : "status",
			  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (cgroup_tree_sweep_slot(m->cgroups, slot) < 0)
		log_event(LOG_ERROR, "slot %u: a group of its last run does not go", slot);
}

void herd_reap(struct master *m)
{
	int status;
	pid_t pid;
	unsigned i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < m->slots; i++)
			if (m->keepers[i].pid == pid)
				bury_keeper(m, i, status);
}

int herd_keep_alive(struct master *m)
{
	uint64_t now = clock_ms();
	int next_ms = -1;
	unsigned i;

	/* the first one shows whether boxes can be made here at all */
	for (i = 0; i < (m->announced ? m->slots : 1) && !m->stopping; i++) {
		uint64_t due = m->keepers[i].due_ms;

		if (m->keepers[i].pid)
			continue;
		if (now >= due)
			start_keeper(m, i);
		else if (next_ms < 0 || (int)(due - now) < next_ms)
			next_ms = (int)(due - now);
	}
	return next_ms;
}

void herd_serve(struct master *m, unsigned slot, unsigned image)
{
	m->keepers[slot].wanted = image;
	command(m, slot, KEEPER_SERVE, image);
}

void herd_quit(struct master *m, unsigned generation)
{
	unsigned i;

	for (i = 0; i < m->slots; i++)
		if (m->keepers[i].pid && m->keepers[i].generation == generation)
			command(m, i, KEEPER_QUIT, 0);
}

void herd_kill(struct master *m)
{
	unsigned i;

	for (i = 0; i < m->slots; i++)
		if (m->keepers[i].pid)
			kill(m->keepers[i].pid, SIGKILL);
}

bool herd_all_gone(const struct master *m)
{
	unsigned i;

	for (i = 0; i < m->slots; i++)
		if (m->keepers[i].pid)
			return false;
	return true;
}
