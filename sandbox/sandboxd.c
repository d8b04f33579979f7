/* SPDX-License-Identifier: ISC */
/* Runs as: root.
 *
 * The master: reads the configuration and the languages once, before any socket
 * is open; mounts the images in a mount namespace of its own; makes the control
 * groups; opens the sockets; and keeps one keeper alive for each slot. It takes
 * no run itself: the keepers accept from the shared sockets. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "common/notify.h"
#include "config.h"
#include "sandbox/master.h"
#include "sandbox/peer.h"

#define CONTROL_MAX  16  /* connections to the control socket at a time */
#define BALANCE_MS   20  /* between two looks, while some class is busy and another idles */
#define IDLE_LOOK_MS 100 /* while none is */

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

/* Who has connected and not asked yet. One that never asks holds nobody up, and
 * makes room for the next when there are too many. */
static struct {
	int fd[CONTROL_MAX];
	size_t count; /* the oldest first */
} asking;

static void forget_asker(size_t i)
{
	close(asking.fd[i]);
	memmove(&asking.fd[i], &asking.fd[i + 1], (--asking.count - i) * sizeof asking.fd[0]);
}

static void accept_control(struct master *m)
{
	const struct peer_policy policy = { .uids = m->now->peers,
					    .uids_count = m->now->peers_count };
	int fd = accept4(m->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct error err = ERROR_INIT;

	if (fd < 0)
		return;
	if (!peer_allowed(fd, &policy, &err)) {
		log_event(LOG_WARNING, "control: %s", err.text);
		close(fd);
		return;
	}
	if (asking.count == CONTROL_MAX)
		forget_asker(0);
	asking.fd[asking.count++] = fd;
}

static void answer_control(const struct master *m, size_t i)
{
	static struct wire_info info;
	struct error err = ERROR_INIT;
	struct wire_head query;
	ssize_t n = io_recv(asking.fd[i], &query, sizeof query, NULL, NULL, 0);

	if (n > 0 && wire_check(&query, (size_t)n, WIRE_QUERY, &err) == 0) {
		fill_info(m, &info);
		if (io_send(asking.fd[i], &info, sizeof info, NULL, 0) < 0)
			log_event(LOG_WARNING, "control: %s", strerror(errno));
	} else if (n != 0) {
		log_event(LOG_WARNING, "control: %s", n < 0 ? strerror(errno) : err.text);
	}
	forget_asker(i);
}

/* ---- signals ---- */

/* The new generation stands beside the old one until it works; then the old
 * keepers end after their present request and are replaced one by one. */
static void reload(struct master *m)
{
	struct error err = ERROR_INIT;
	struct generation *old = m->now, *next;

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
	generation_take_sockets(next, old);
	generation_unlink_sockets(old);
	m->now = next;
	if (generation_open_sockets(next, &err) < 0) {
		/* nobody could reach us: better to be started again */
		log_event(LOG_ERROR, "reload: %s", err.text);
		exit(EXIT_FAILURE);
	}
	herd_quit(m, old->number);
	generation_unmount(old);
	generation_free(old);
	log_event(LOG_NOTICE, "reloaded: %zu languages, %zu images", next->table->count,
		  next->images.count);
	notify_send("READY=1");
}

static void stop(struct master *m)
{
	notify_send("STOPPING=1");
	if (m->stopping) {
		m->killing = true;
		herd_kill(m);
		return;
	}
	m->stopping = true;
	m->stop_ms = clock_ms();
	generation_unlink_sockets(m->now);
	herd_quit(m, m->now->number);
}

static void on_signal(struct master *m)
{
	struct signalfd_siginfo info;

	if (read(m->signal_fd, &info, sizeof info) != sizeof info)
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		herd_reap(m);
		break;
	case SIGHUP:
		if (!m->stopping)
			reload(m);
		break;
	default:
		stop(m);
	}
}

/* ---- the loop ---- */

static int sooner(int a_ms, int b_ms)
{
	return a_ms < 0 ? b_ms : b_ms < 0 ? a_ms : a_ms < b_ms ? a_ms : b_ms;
}

/* Classes that nobody serves are ours to watch: the first request brings a keeper
 * over. Fills p, says which image each is; returns how many. */
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

	while ((!m->stopping || !herd_all_gone(m)) && !m->hopeless) {
		struct pollfd p[2 + WIRE_IMAGES_MAX + SLOTS_MAX + CONTROL_MAX] = {
			{ m->signal_fd, POLLIN, 0 },
			{ m->control_fd, POLLIN, 0 },
		};
		unsigned of[WIRE_IMAGES_MAX], orphans, i;
		struct pollfd *caches, *askers;
		size_t waiting = asking.count, k;
		bool again;
		int timeout_ms = sooner(herd_keep_alive(m), feed_watchdog(watchdog_ms));

		if (!m->announced) {
			announce(m);
			timeout_ms = sooner(timeout_ms, BALANCE_MS);
		}
		orphans = classes_watch(m, p + 2, of, &again);
		if (again)
			timeout_ms = sooner(timeout_ms, BALANCE_MS);
		caches = p + 2 + orphans;
		for (i = 0; i < m->slots; i++)
			caches[i] = (struct pollfd){ m->keepers[i].cache_fd, POLLIN, 0 };
		askers = caches + m->slots;
		for (k = 0; k < waiting; k++)
			askers[k] = (struct pollfd){ asking.fd[k], POLLIN, 0 };
		/* with one class there is nobody to bring over from elsewhere */
		if (m->now->images.count > 1 && orphans + 1 < m->now->images.count)
			timeout_ms = sooner(timeout_ms, classes_balance(m) ? BALANCE_MS : IDLE_LOOK_MS);
		if (m->stopping)
			timeout_ms = sooner(timeout_ms, 1000);
		if (poll(p, 2 + orphans + m->slots + waiting, timeout_ms) < 0 && errno != EINTR)
			break;
		for (i = 0; i < m->slots; i++)
			if (caches[i].revents && cache_answer(m->cache, m->keepers[i].cache_fd) < 0)
				close_fd(&m->keepers[i].cache_fd);
		for (i = 0; i < orphans; i++)
			if (p[2 + i].revents)
				classes_assign(m, of[i]);
		/* from the last on: an answer takes its place out of the row */
		for (k = waiting; k-- > 0;)
			if (askers[k].revents)
				answer_control(m, k);
		if (p[1].revents)
			accept_control(m);
		if (p[0].revents)
			on_signal(m);
		if (m->stopping && !m->killing &&
		    clock_ms() >= m->stop_ms + m->now->settings.drain_ms)
			stop(m);
	}
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
	if (start_sanitise(&err) < 0 || start_all(&m, &err) < 0) {
		log_event(LOG_ERROR, "%s", err.text);
		cgroup_tree_close(m.cgroups);
		return EXIT_FAILURE;
	}
	loop(&m);
	if (m.hopeless) {
		/* its keeper has said why */
		stop(&m);
		stop(&m);
		while (!herd_all_gone(&m)) {
			poll(NULL, 0, 10);
			herd_reap(&m);
		}
	}
	start_undo(&m);
	return m.hopeless ? EXIT_FAILURE : EXIT_SUCCESS;
}
