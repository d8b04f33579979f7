/* SPDX-License-Identifier: ISC */
/* Runs as: root.
 *
 * The master: reads the configuration and the languages once, before any socket
 * is open; mounts the images in a mount namespace of its own; makes the control
 * groups; opens the sockets; and keeps one keeper alive for each slot. It takes
 * no run itself: the keepers accept from the shared sockets. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/notify.h"
#include "common/settings.h"
#include "config.h"
#include "sandbox/ahead.h"
#include "sandbox/cache.h"
#include "sandbox/cgroup.h"
#include "sandbox/ids.h"
#include "sandbox/keeper.h"

#define BACKLOG_LEAST	16
#define BALANCE_MS	20	/* between two looks, while some class is busy and another idles */
#define IDLE_LOOK_MS	100	/* while none is */
#define RESTART_MS	250	/* before a dead keeper is replaced, doubled each time ... */
#define RESTART_MAX_MS	15000	/* ... up to this ... */
#define GOOD_LIFE_MS	10000	/* ... unless it had lived so long */
#define PEERS_MAX	16
#define SLOTS_MAX	1024 /* as the settings allow */
#define CONTROL_BACKLOG 64

/* What a reload replaces as a whole. */
struct generation {
	struct settings settings;
	struct language_table *table;
	uint8_t language_image[WIRE_LANGUAGES_MAX];
	struct image_set images;
	int listen_fds[WIRE_IMAGES_MAX];
	uid_t peers[PEERS_MAX];
	size_t peers_count;
	unsigned number;
};

struct keeper_process {
	pid_t pid; /* 0: none */
	int command_fd;
	int cache_fd; /* our end; -1: no cache */
	unsigned wanted; /* the image that it was told to serve */
	unsigned generation;
	uint64_t started_ms, due_ms, delay_ms;
};

struct master {
	const char *conf_path;
	struct generation *now;
	struct cgroup_tree *cgroups;
	struct filter filter;
	struct shared *shared;
	struct cache *cache;       /* NULL: none */
	int ahead_fd;              /* the library; -1: no interpreters ahead */
	struct group_slot *groups; /* by slot */
	struct keeper_process *keepers;
	unsigned slots;
	int signal_fd, control_fd, lock_fd;
	bool announced; /* some box has worked, and the manager knows */
	bool hopeless;  /* none ever did */
	bool stopping, killing;
	uint64_t stop_ms;
};

/* ---- a generation: settings, languages, images, sockets ---- */

static void warn(const char *text)
{
	log_event(LOG_WARNING, "%s", text);
}

static int find_peers(struct generation *g, struct error *err)
{
	const struct settings *s = &g->settings;
	char **name;

	/* root may ask too: the tools that an administrator runs */
	g->peers[g->peers_count++] = 0;
	if (ids_user(s->worker_user, &g->peers[g->peers_count], err) < 0)
		return -1;
	g->peers_count++;
	for (name = s->peers; *name; name++) {
		if (g->peers_count == PEERS_MAX)
			return error_set(err, E2BIG, "peers: more than %d", PEERS_MAX - 2);
		if (ids_user(*name, &g->peers[g->peers_count], err) < 0)
			return -1;
		g->peers_count++;
	}
	return 0;
}

static int listen_at(const struct generation *g, const char *name, int backlog, struct error *err)
{
	char path[256];
	gid_t group = (gid_t)-1;
	int fd;

	snprintf(path, sizeof path, "%s/%s", g->settings.run_directory, name);
	if (g->settings.peers[0] && ids_group(g->settings.socket_group, &group, err) < 0)
		return -1;
	fd = io_listen_unix(path, SOCK_SEQPACKET, 0600, group, backlog, err);
	if (fd < 0)
		return -1;
	/* the worker user owns it; a group only where further peers are configured */
	if (chown(path, g->peers[1], (gid_t)-1) < 0 ||
	    chmod(path, g->settings.peers[0] ? 0660 : 0600) < 0) {
		close(fd);
		return error_errno(err, "%s", path);
	}
	return fd;
}

/* The sockets of images that stay are handed on: whoever waits in their lines is
 * served by the next generation's keepers. */
static void take_class_sockets(struct generation *g, struct generation *old)
{
	size_t i;

	for (i = 0; i < g->images.count; i++) {
		int from = image_find(&old->images, g->images.image[i].name);

		if (from >= 0)
			g->listen_fds[i] = steal_fd(&old->listen_fds[from]);
	}
}

static int open_class_sockets(struct generation *g, struct error *err)
{
	uint64_t line = g->settings.slots + g->settings.queue;
	int backlog = line > BACKLOG_LEAST ? (int)line : BACKLOG_LEAST;
	size_t i;

	for (i = 0; i < g->images.count; i++) {
		char name[WIRE_IMAGE_NAME + 16];

		if (g->listen_fds[i] >= 0)
			continue;
		snprintf(name, sizeof name, WIRE_SOCKET_CLASS, g->images.image[i].name);
		g->listen_fds[i] = listen_at(g, name, backlog, err);
		if (g->listen_fds[i] < 0)
			return -1;
		if (fcntl(g->listen_fds[i], F_SETFL, O_NONBLOCK) < 0)
			return error_errno(err, "%s", name);
	}
	return 0;
}

static void generation_free(struct generation *g)
{
	size_t i;

	if (!g)
		return;
	for (i = 0; i < ARRAY_LEN(g->listen_fds); i++)
		close_fd(&g->listen_fds[i]);
	language_table_free(g->table);
	settings_free(&g->settings);
	free(g);
}

static struct generation *generation_read(const char *conf_path, unsigned number,
					  struct error *err)
{
	struct generation *g = calloc(1, sizeof *g);
	size_t i;

	if (!g) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	g->number = number;
	for (i = 0; i < ARRAY_LEN(g->listen_fds); i++)
		g->listen_fds[i] = -1;
	if (settings_load(conf_path, true, &g->settings, err) < 0) {
		free(g);
		return NULL;
	}
	g->table = language_table_load(g->settings.language_directory, true, err);
	if (!g->table || find_peers(g, err) < 0) {
		generation_free(g);
		return NULL;
	}
	return g;
}

static int generation_mount(struct generation *g, struct error *err)
{
	char root[280];

	snprintf(root, sizeof root, "%s/mounts.%u", g->settings.state_directory, g->number);
	if (image_set_mount(&g->images, root, &g->settings, warn, err) < 0)
		return -1;
	image_match_languages(&g->images, g->table, g->language_image);
	return 0;
}

static void generation_unmount(struct generation *g)
{
	if (!g->images.root[0])
		return;
	umount2(g->images.root, MNT_DETACH);
	rmdir(g->images.root);
}

/* ---- keepers ---- */

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
		.filter = m->filter,
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
	keeper->delay_ms = wanted || clock_ms() >= keeper->started_ms + GOOD_LIFE_MS ? 0
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

static void reap(struct master *m)
{
	int status;
	pid_t pid;
	unsigned i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (i = 0; i < m->slots; i++)
			if (m->keepers[i].pid == pid)
				bury_keeper(m, i, status);
}

/* Starts what is missing; the time until the next attempt, -1: nothing to do. */
static int keep_alive(struct master *m)
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

/* ---- classes: who serves which image ---- */

static bool is_idle(const struct master *m, unsigned slot)
{
	return m->keepers[slot].pid &&
	       atomic_load(&m->shared->row[slot].state) == SLOT_IDLE &&
	       atomic_load(&m->shared->row[slot].image) == m->keepers[slot].wanted;
}

static unsigned serving(const struct master *m, unsigned image)
{
	unsigned count = 0, i;

	for (i = 0; i < m->slots; i++)
		count += m->keepers[i].pid && m->keepers[i].wanted == image;
	return count;
}

static bool has_idle(const struct master *m, unsigned image)
{
	unsigned i;

	for (i = 0; i < m->slots; i++)
		if (m->keepers[i].wanted == image && is_idle(m, i))
			return true;
	return false;
}

/* Whom to take: an idle keeper of the class that has most of them, and among
 * those the one whose last request is the longest ago. */
static int pick_keeper(const struct master *m, unsigned for_image, bool idle_only)
{
	unsigned best_count = 0, i;
	uint64_t best_used = UINT64_MAX;
	int best = -1;

	for (i = 0; i < m->slots; i++) {
		unsigned count;
		uint64_t used;

		if (!m->keepers[i].pid || m->keepers[i].wanted == for_image ||
		    (idle_only && !is_idle(m, i)))
			continue;
		count = serving(m, m->keepers[i].wanted);
		used = atomic_load(&m->shared->row[i].used_us);
		if (best < 0 || count > best_count || (count == best_count && used < best_used)) {
			best = (int)i;
			best_count = count;
			best_used = used;
		}
	}
	return best;
}

static void assign(struct master *m, unsigned image)
{
	bool nobody = serving(m, image) == 0;
	int slot = pick_keeper(m, image, true);

	/* all are busy: the next one to be free comes over, if nobody serves it yet */
	if (slot < 0 && nobody)
		slot = pick_keeper(m, image, false);
	if (slot < 0)
		return;
	m->keepers[slot].wanted = image;
	command(m, (unsigned)slot, KEEPER_SERVE, image);
}

/* ---- the control socket ---- */

static void fill_info(const struct master *m, struct wire_info *info)
{
	const struct generation *g = m->now;
	size_t i;

	memset(info, 0, sizeof *info);
	wire_head_set(&info->head, WIRE_INFO, sizeof *info);
	snprintf(info->version, sizeof info->version, "%s", PACKAGE_VERSION);
	info->cgroup_mode = cgroup_tree_mode(m->cgroups);
	info->enforced = cgroup_tree_enforced(m->cgroups);
	info->slots = m->slots;
	info->memory_budget_bytes = m->shared->budget;
	info->images_count = (uint32_t)g->images.count;
	for (i = 0; i < g->images.count; i++) {
		snprintf(info->images[i].name, sizeof info->images[i].name, "%s",
			 g->images.image[i].name);
		snprintf(info->images[i].manifest, sizeof info->images[i].manifest, "%s",
			 g->images.image[i].manifest);
	}
	memcpy(info->table_hash, g->table->hash, sizeof info->table_hash);
	info->languages_count = (uint32_t)g->table->count;
	memcpy(info->language_image, g->language_image, sizeof info->language_image);
}

static void answer_control(struct master *m)
{
	static struct wire_info info;
	const struct timeval patience = { 0, 200000 };
	const struct peer_policy policy = { .uids = m->now->peers,
					    .uids_count = m->now->peers_count };
	cleanup_close int fd = accept4(m->control_fd, NULL, NULL, SOCK_CLOEXEC);
	struct wire_head query;
	struct error err = ERROR_INIT;
	ssize_t n;

	if (fd < 0)
		return;
	if (!peer_allowed(fd, &policy, &err)) {
		log_event(LOG_WARNING, "control: %s", err.text);
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	n = io_recv(fd, &query, sizeof query, NULL, NULL, 0);
	if (n < 0 || wire_check(&query, (size_t)n, WIRE_QUERY, &err) < 0) {
		log_event(LOG_WARNING, "control: %s", n < 0 ? "nothing came" : err.text);
		return;
	}
	fill_info(m, &info);
	if (io_send(fd, &info, sizeof info, NULL, 0) < 0)
		log_event(LOG_WARNING, "control: %s", strerror(errno));
}

/* ---- signals ---- */

static void quit_keepers(struct master *m, unsigned generation)
{
	unsigned i;

	for (i = 0; i < m->slots; i++)
		if (m->keepers[i].pid && m->keepers[i].generation == generation)
			command(m, i, KEEPER_QUIT, 0);
}

/* The new generation stands beside the old one until it works; then the old
 * keepers end after their present request and are replaced one by one. */
static void reload(struct master *m)
{
	struct error err = ERROR_INIT;
	struct generation *old = m->now, *next;
	unsigned i;

	notify_send("RELOADING=1");
	next = generation_read(m->conf_path, old->number + 1, &err);
	if (next && (generation_mount(next, &err) < 0)) {
		generation_unmount(next);
		generation_free(next);
		next = NULL;
	}
	if (next && strcmp(next->settings.run_directory, old->settings.run_directory) != 0) {
		error_set(&err, EINVAL, "run-directory changes only with a restart");
		generation_unmount(next);
		generation_free(next);
		next = NULL;
	}
	if (!next) {
		log_event(LOG_ERROR, "reload: %s; the old configuration stays", err.text);
		notify_send("READY=1");
		return;
	}
	if (next->settings.slots != old->settings.slots)
		log_event(LOG_WARNING, "reload: slots changes only with a restart");
	take_class_sockets(next, old);
	for (i = 0; i < old->images.count; i++) {
		char path[300];

		if (old->listen_fds[i] < 0)
			continue;
		snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CLASS, old->settings.run_directory,
			 old->images.image[i].name);
		unlink(path);
	}
	m->now = next;
	if (open_class_sockets(next, &err) < 0) {
		/* nobody could reach us: better to be started again */
		log_event(LOG_ERROR, "reload: %s", err.text);
		exit(EXIT_FAILURE);
	}
	quit_keepers(m, old->number);
	generation_unmount(old);
	generation_free(old);
	log_event(LOG_NOTICE, "reloaded: %zu languages, %zu images", next->table->count,
		  next->images.count);
	notify_send("READY=1");
}

static void stop(struct master *m)
{
	unsigned i;

	notify_send("STOPPING=1");
	if (m->stopping) {
		m->killing = true;
		for (i = 0; i < m->slots; i++)
			if (m->keepers[i].pid)
				kill(m->keepers[i].pid, SIGKILL);
		return;
	}
	m->stopping = true;
	m->stop_ms = clock_ms();
	for (i = 0; i < m->now->images.count; i++) {
		char path[300];

		snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CLASS, m->now->settings.run_directory,
			 m->now->images.image[i].name);
		unlink(path);
	}
	quit_keepers(m, m->now->number);
}

static void on_signal(struct master *m)
{
	struct signalfd_siginfo info;

	if (read(m->signal_fd, &info, sizeof info) != sizeof info)
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap(m);
		break;
	case SIGHUP:
		if (!m->stopping)
			reload(m);
		break;
	default:
		stop(m);
	}
}

static bool all_gone(const struct master *m)
{
	unsigned i;

	for (i = 0; i < m->slots; i++)
		if (m->keepers[i].pid)
			return false;
	return true;
}

/* ---- the loop ---- */

static int sooner(int a_ms, int b_ms)
{
	return a_ms < 0 ? b_ms : b_ms < 0 ? a_ms : a_ms < b_ms ? a_ms : b_ms;
}

/* Classes that nobody serves are ours to watch: the first request brings a keeper
 * over. Fills p, says which image each is; returns how many. */
static unsigned watch_orphans(const struct master *m, struct pollfd *p, unsigned *ret_of)
{
	unsigned count = 0, i;

	for (i = 0; i < m->now->images.count && !m->stopping; i++)
		if (serving(m, i) == 0) {
			ret_of[count] = i;
			p[count++] = (struct pollfd){ m->now->listen_fds[i], POLLIN, 0 };
		}
	return count;
}

/* A class whose keepers are all at work while others are idle gets one of those,
 * once somebody has waited from one look to the next: a keeper that is about to
 * accept must not be mistaken for one that is missing. True: look again soon. */
static bool balance(struct master *m)
{
	static bool waited[WIRE_IMAGES_MAX];
	bool again = false;
	unsigned i;

	for (i = 0; i < m->now->images.count && !m->stopping; i++) {
		struct pollfd p = { m->now->listen_fds[i], POLLIN, 0 };
		bool waits = serving(m, i) > 0 && !has_idle(m, i) &&
			     pick_keeper(m, i, true) >= 0;

		if (!waits) {
			waited[i] = false;
			continue;
		}
		again = true;
		if (poll(&p, 1, 0) != 1) {
			waited[i] = false;
		} else if (!waited[i]) {
			waited[i] = true;
		} else {
			waited[i] = false;
			assign(m, i);
		}
	}
	return again;
}

/* What is left of the time until a watchdog message is due; sends it when it is. */
static int feed_watchdog(uint64_t every_ms)
{
	static uint64_t last_ms;
	uint64_t now = clock_ms();

	if (!every_ms)
		return -1;
	if (now >= last_ms + every_ms) {
		last_ms = now;
		notify_send("WATCHDOG=1");
	}
	return (int)(last_ms + every_ms - now);
}

/* Up means that a box has worked. */
static void announce(struct master *m)
{
	if (!atomic_load(&m->shared->proven))
		return;
	m->announced = true;
	log_event(LOG_NOTICE, "%s: %u slots, %zu languages, %zu images", PACKAGE_VERSION, m->slots,
		  m->now->table->count, m->now->images.count);
	notify_send("READY=1");
}

static void loop(struct master *m)
{
	uint64_t watchdog_ms = notify_watchdog_ms();

	while ((!m->stopping || !all_gone(m)) && !m->hopeless) {
		struct pollfd p[2 + WIRE_IMAGES_MAX + SLOTS_MAX] = {
			{ m->signal_fd, POLLIN, 0 },
			{ m->control_fd, POLLIN, 0 },
		};
		unsigned of[WIRE_IMAGES_MAX], orphans, i;
		struct pollfd *caches;
		int timeout_ms = sooner(keep_alive(m), feed_watchdog(watchdog_ms));

		if (!m->announced) {
			announce(m);
			timeout_ms = sooner(timeout_ms, BALANCE_MS);
		}
		orphans = watch_orphans(m, p + 2, of);
		caches = p + 2 + orphans;
		for (i = 0; i < m->slots; i++)
			caches[i] = (struct pollfd){ m->keepers[i].cache_fd, POLLIN, 0 };
		/* with one class there is nobody to bring over from elsewhere */
		if (m->now->images.count > 1 && orphans + 1 < m->now->images.count)
			timeout_ms = sooner(timeout_ms, balance(m) ? BALANCE_MS : IDLE_LOOK_MS);
		if (m->stopping)
			timeout_ms = sooner(timeout_ms, 1000);
		if (poll(p, 2 + orphans + m->slots, timeout_ms) < 0 && errno != EINTR)
			break;
		for (i = 0; i < m->slots; i++)
			if (caches[i].revents && cache_answer(m->cache, m->keepers[i].cache_fd) < 0)
				close_fd(&m->keepers[i].cache_fd);
		for (i = 0; i < orphans; i++)
			if (p[2 + i].revents)
				assign(m, of[i]);
		if (p[1].revents)
			answer_control(m);
		if (p[0].revents)
			on_signal(m);
		if (m->stopping && !m->killing &&
		    clock_ms() >= m->stop_ms + m->now->settings.drain_ms)
			stop(m);
	}
}

/* ---- start ---- */

/* Whoever started us may have left anything behind. */
static int sanitise(struct error *err)
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
	return filter_build(&m->filter, FILTER_DEFAULT, err);
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

	(void)err;
	path[n > 0 ? n : 0] = '\0';
	slash = strrchr(path, '/');
	if (slash) {
		snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), AHEAD_LIBRARY);
		m->ahead_fd = conf_open(path, true, NULL);
	}
	if (m->ahead_fd < 0)
		m->ahead_fd = conf_open(SANDPOOL_LIBEXEC_DIR "/" AHEAD_LIBRARY, true, NULL);
	return 0;
}

static int step_sockets(struct master *m, struct error *err)
{
	m->control_fd = listen_at(m->now, WIRE_SOCKET_CONTROL, CONTROL_BACKLOG, err);
	return m->control_fd < 0 ? -1 : open_class_sockets(m->now, err);
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

static int start(struct master *m, struct error *err)
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

static void finish(struct master *m)
{
	char path[300];

	snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CONTROL, m->now->settings.run_directory);
	unlink(path);
	generation_unmount(m->now);
	cgroup_tree_close(m->cgroups);
	filter_free(&m->filter);
	cache_free(m->cache);
	generation_free(m->now);
}

/* ---- the command line ---- */

static void usage(FILE *out)
{
	fputs("usage: sandpool-sandboxd [-c FILE] [-t | -T | -G | -P GROUP | -v | -E]\n"
	      "  -c FILE  configuration (" SANDPOOL_CONF_PATH ")\n"
	      "  -t       check the configuration and the languages, and exit\n"
	      "  -T       the same, and print the settings in force\n"
	      "  -G       print each image that languages name, and those languages, and exit\n"
	      "  -P NAME  print the Debian packages of the languages of one image, and exit\n"
	      "  -E       explain the system call filter, and exit\n"
	      "  -v       print the version, and exit\n",
	      out);
}

/* One line for each image: its name and its languages. */
static void print_groups(const struct language_table *table)
{
	size_t i, k;

	for (i = 0; i < table->count; i++) {
		const char *image = table->language[i].image;

		for (k = 0; k < i && strcmp(table->language[k].image, image) != 0; k++)
			;
		if (k < i)
			continue; /* printed */
		fputs(image, stdout);
		for (; k < table->count; k++)
			if (!strcmp(table->language[k].image, image))
				printf(" %s", table->language[k].id);
		putchar('\n');
	}
}

/* Those that several languages need come several times. */
static void print_packages(const struct language_table *table, const char *image)
{
	size_t i, k;

	for (i = 0; i < table->count; i++)
		for (k = 0; k < table->language[i].packages.count; k++)
			if (!strcmp(table->language[i].image, image))
				puts(table->language[i].packages.word[k]);
}

static int test_configuration(const char *conf_path, int what, const char *image)
{
	struct error err = ERROR_INIT;
	struct generation *g = generation_read(conf_path, 0, &err);

	if (!g) {
		fprintf(stderr, "sandpool-sandboxd: %s\n", err.text);
		return EXIT_FAILURE;
	}
	if (what == 'T')
		conf_dump(stdout, settings_keys, &g->settings);
	if (what == 'G')
		print_groups(g->table);
	else if (what == 'P')
		print_packages(g->table, image);
	else
		fprintf(stderr, "sandpool-sandboxd: the configuration is good: %zu languages\n",
			g->table->count);
	generation_free(g);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct master m = { .signal_fd = -1, .control_fd = -1, .lock_fd = -1,
				  .ahead_fd = -1 };
	static const struct option longs[] = { { "version", no_argument, NULL, 'v' },
					       { "help", no_argument, NULL, 'h' },
					       { NULL, 0, NULL, 0 } };
	struct error err = ERROR_INIT;
	const char *image = NULL;
	int option, test = 0;

	while ((option = getopt_long(argc, argv, "c:tTGP:Evh", longs, NULL)) != -1) {
		switch (option) {
		case 'c':
			m.conf_path = realpath(optarg, NULL);
			if (!m.conf_path) {
				fprintf(stderr, "sandpool-sandboxd: %s: %s\n", optarg,
					strerror(errno));
				return EXIT_FAILURE;
			}
			break;
		case 't':
		case 'T':
		case 'G':
		case 'P':
			test = option;
			image = optarg;
			break;
		case 'E':
			filter_explain(stdout);
			return EXIT_SUCCESS;
		case 'v':
			puts("sandpool-sandboxd " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return EXIT_FAILURE;
		}
	}
	log_open("sandboxd", LOG_NOTICE);
	if (test)
		return test_configuration(m.conf_path, test, image);
	if (geteuid() != 0) {
		fprintf(stderr, "sandpool-sandboxd: must be started by root\n");
		return EXIT_FAILURE;
	}
	if (sanitise(&err) < 0 || start(&m, &err) < 0) {
		log_event(LOG_ERROR, "%s", err.text);
		cgroup_tree_close(m.cgroups);
		return EXIT_FAILURE;
	}
	loop(&m);
	if (m.hopeless) {
		/* its keeper has said why */
		stop(&m);
		stop(&m);
		while (!all_gone(&m)) {
			poll(NULL, 0, 10);
			reap(&m);
		}
	}
	finish(&m);
	return m.hopeless ? EXIT_FAILURE : EXIT_SUCCESS;
}
