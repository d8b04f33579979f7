/* SPDX-License-Identifier: ISC */
/* Runs as: root (the master). */
#define _GNU_SOURCE
#include "sandbox/generation.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "sandbox/ids.h"

#define BACKLOG_LEAST  16
#define DYING_PAUSE_MS 50
#define DYING_TRIES    60

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

int generation_listen(const struct generation *g, const char *name, int backlog, struct error *err)
{
	char path[256];
	gid_t group = (gid_t)-1;
	unsigned tries = 0;
	int fd;

	snprintf(path, sizeof path, "%s/%s", g->settings.run_directory, name);
	if (g->settings.peers[0] && ids_group(g->settings.socket_group, &group, err) < 0)
		return -1;
	/* The state directory is locked, so whoever listens there is a keeper that has
	 * not noticed yet that its master was killed: it is about to die. */
	for (;;) {
		struct error why = ERROR_INIT;

		fd = io_listen_unix(path, SOCK_SEQPACKET, 0600, group, backlog, &why);
		if (fd >= 0)
			break;
		if (why.code != EADDRINUSE || tries++ == DYING_TRIES) {
			*err = why;
			return -1;
		}
		poll(NULL, 0, DYING_PAUSE_MS);
	}
	/* the worker user owns it; a group only where further peers are configured */
	if (chown(path, g->peers[1], (gid_t)-1) < 0 ||
	    chmod(path, g->settings.peers[0] ? 0660 : 0600) < 0) {
		close(fd);
		return error_errno(err, "%s", path);
	}
	return fd;
}

void generation_take_sockets(struct generation *g, struct generation *old)
{
	size_t i;

	for (i = 0; i < g->images.count; i++) {
		int from = image_find(&old->images, g->images.image[i].name);

		if (from >= 0)
			g->listen_fds[i] = steal_fd(&old->listen_fds[from]);
	}
}

int generation_open_sockets(struct generation *g, struct error *err)
{
	uint64_t line = g->settings.slots + g->settings.queue;
	int backlog = line > BACKLOG_LEAST ? (int)line : BACKLOG_LEAST;
	size_t i;

	for (i = 0; i < g->images.count; i++) {
		char name[WIRE_IMAGE_NAME + 16];

		if (g->listen_fds[i] >= 0)
			continue;
		snprintf(name, sizeof name, WIRE_SOCKET_CLASS, g->images.image[i].name);
		g->listen_fds[i] = generation_listen(g, name, backlog, err);
		if (g->listen_fds[i] < 0)
			return -1;
		if (fcntl(g->listen_fds[i], F_SETFL, O_NONBLOCK) < 0)
			return error_errno(err, "%s", name);
	}
	return 0;
}

void generation_free(struct generation *g)
{
	size_t i;

	if (!g)
		return;
	for (i = 0; i < ARRAY_LEN(g->listen_fds); i++)
		close_fd(&g->listen_fds[i]);
	image_set_free(&g->images);
	language_table_free(g->table);
	settings_free(&g->settings);
	free(g);
}

struct generation *generation_read(const char *conf_path, unsigned number,
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

int generation_mount(struct generation *g, struct error *err)
{
	char root[280];

	snprintf(root, sizeof root, "%s/mounts.%u", g->settings.state_directory, g->number);
	if (image_set_mount(&g->images, root, &g->settings, warn, err) < 0)
		return -1;
	image_match_languages(&g->images, g->table, g->language_image);
	return 0;
}

void generation_unmount(struct generation *g)
{
	if (!g->images.root[0])
		return;
	umount2(g->images.root, MNT_DETACH);
	rmdir(g->images.root);
}

void generation_unlink_sockets(const struct generation *g)
{
	size_t i;

	for (i = 0; i < g->images.count; i++) {
		char path[300];

		if (g->listen_fds[i] < 0)
			continue;
		snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CLASS, g->settings.run_directory,
			 g->images.image[i].name);
		unlink(path);
	}
}
