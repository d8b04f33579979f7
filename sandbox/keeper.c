/* SPDX-License-Identifier: ISC */
/* Runs as: root. Small on purpose: everything that a request needs was opened,
 * mounted and made ahead, so that a request costs a message, the files, one exec
 * and the counters. */
#define _GNU_SOURCE
#include "sandbox/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "sandbox/attend.h"
#include "sandbox/cache.h"
#include "sandbox/memory.h"
#include "sandbox/mount.h"

#define READY_MS	5000   /* set-up of a box */
#define SILENCE_MS	10000  /* a peer that connected and says nothing */
#define REAP_MS		2000   /* before a slot goes into quarantine */
#define RETRY_MS	250    /* in quarantine */
#define AHEAD_IDLE_MS	10     /* a box that idles so long gets its interpreter */
#define AHEAD_WAIT_MS	100    /* for one that is still on its way */
#define AHEAD_LOOK_MS	200    /* whether a language is of use by now, or there is time */
#define PACK_MS		2000   /* to pack a tree for the cache */
#define NAMES_BOXES	32     /* before their names are forgotten; or one that left */
#define NAMES_BYTES	((uint64_t)1 << 20) /* more than this behind */
#define NAMES_IDLE_US	1000000 /* of the host's files, which change under way */

struct keeper {
	const struct keeper_config *config;
	struct slot slot;
	struct slot_row *row;
	struct box warm; /* a plain box, made ahead; warm.slot NULL: none */
	const struct language *warm_ahead; /* whose interpreter was started in it */
	bool ahead_put_off; /* the machine had other things to do */
	int outside_fd, world_fd, epoll_fd;
	int sockets_fd; /* how many sockets the network namespace has */
	unsigned boxes_since_forget; /* that ended since names were forgotten */
	bool left_sockets; /* a box did, in a network namespace of its own */
	unsigned image;
	int tree_fd; /* the frozen tmpfs of this connection's build; -1: none */
	int packed_fd; /* the same from the cache: files to write into a plain box */
	struct cache_key cache_key; /* of this connection's build */
	bool built_well;            /* it ended with 0 */
	bool cacheable;             /* that, and the worker says that it was quiet */
	uint64_t network_runs;
	bool quitting;
};

/* ---- boxes: start, replace, clean up ---- */

static void complain(const struct keeper *k, const char *id, const struct error *err)
{
	/* before any box has worked this is the one line that the start ends with */
	if (!atomic_load(&k->config->shared->proven))
		log_event(LOG_ERROR, "no box can be made on this host: %s; see sandpool check",
			  err->text);
	else
		log_event(LOG_ERROR, "slot %u%s%s: %s", k->config->slot, id[0] ? " id " : "", id,
			  err->text);
}

static int renew_network(struct keeper *k, struct error *err)
{
	k->network_runs = 0;
	if (k->slot.fresh_network)
		return 0;
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, "network namespace");
	close_fd(&k->sockets_fd);
	k->sockets_fd = openat(k->slot.proc_fd, "self/net/sockstat", O_RDONLY | O_CLOEXEC);
	if (k->sockets_fd < 0)
		return error_errno(err, "network namespace: its sockets");
	return 0;
}

static bool sockets_at_most(int sockets_fd, unsigned most)
{
	char text[1024];
	ssize_t n = pread(sockets_fd, text, sizeof text - 1, 0);
	unsigned sockets;

	if (n <= 0)
		return false;
	text[n] = '\0';
	return sscanf(text, "sockets: used %u", &sockets) == 1 && sockets <= most;
}

static int start_box(struct keeper *k, struct box *box, enum box_kind kind,
		     const struct limits *limits, struct error *err)
{
	char path[40];

	if (box_start(box, &k->slot, kind, limits, err) < 0)
		return -1;
	if (k->slot.fresh_network) {
		snprintf(path, sizeof path, "%d/net/sockstat", box->init_pid);
		box->sockets_fd = openat(k->slot.proc_fd, path, O_RDONLY | O_CLOEXEC);
	}
	return 0;
}

static void start_warm(struct keeper *k)
{
	struct error err = ERROR_INIT;

	if (k->warm.slot || !k->config->settings->warm)
		return;
	if (start_box(k, &k->warm, BOX_PLAIN, &k->config->settings->policy.run, &err) < 0) {
		atomic_fetch_add(&k->row->failures, 1);
		complain(k, "", &err);
	}
	k->warm_ahead = NULL;
	k->ahead_put_off = false;
}

static void forget_names(struct keeper *k)
{
	struct error err = ERROR_INIT;

	k->boxes_since_forget = 0;
	if (world_forget_names(&err) < 0)
		complain(k, "", &err);
}

/* Ends a box for good. While something in it does not die, the slot is in
 * quarantine: it takes no work, and we look again until it is gone. */
static void end_box(struct keeper *k, struct box *box)
{
	bool said = false;

	if (!box->slot)
		return;
	if (!box->killed)
		box_kill(box);
	while (box_finish(box, said ? RETRY_MS : REAP_MS) < 0) {
		if (!said) {
			said = true;
			atomic_fetch_add(&k->row->quarantines, 1);
			atomic_store(&k->row->state, SLOT_QUARANTINED);
			log_event(LOG_ERROR, "slot %u: a process or group of %s does not go; quarantine",
				  k->config->slot, box->group.name);
		}
		poll(NULL, 0, RETRY_MS);
		box_kill(box);
	}
	if (said)
		log_event(LOG_NOTICE, "slot %u: clean again", k->config->slot);
	if (k->slot.fresh_network && !sockets_at_most(box->sockets_fd, 0))
		k->left_sockets = true;
	close_fd(&box->sockets_fd);
	/* a tree that was never frozen goes with its box */
	if (box->kind == BOX_KEEPS_TREE && box->scratch_fd >= 0) {
		tree_drop();
		close_fd(&box->scratch_fd);
	}
	if (++k->boxes_since_forget >= NAMES_BOXES || box->left_bytes > NAMES_BYTES)
		forget_names(k);
}

static void drop_tree(struct keeper *k)
{
	close_fd(&k->packed_fd);
	k->cacheable = false;
	if (k->tree_fd < 0)
		return;
	tree_drop();
	close_fd(&k->tree_fd);
}

/* ---- interpreters ahead ---- */

static bool memory_free(const struct keeper *k)
{
	char text[4096];
	const char *available;
	unsigned long long total_kib, available_kib;

	/* what the page cache holds can be had: it is not in use */
	return io_read_text_at(k->slot.proc_fd, "meminfo", text, sizeof text) > 0 &&
	       sscanf(text, "MemTotal: %llu", &total_kib) == 1 &&
	       (available = strstr(text, "\nMemAvailable:")) != NULL &&
	       sscanf(available, "\nMemAvailable: %llu", &available_kib) == 1 &&
	       available_kib > total_kib / 8;
}

static bool machine_idle(const struct keeper *k)
{
	const struct shared *shared = k->config->shared;
	unsigned running = 0;
	char text[64];
	uint32_t i;

#ifdef SANDPOOL_FAULTS
	if (getenv("SANDPOOL_TEST_AHEAD"))
		return true;
#endif
	for (i = 0; i < shared->slots; i++)
		if (atomic_load(&shared->row[i].state) == SLOT_BUSY)
			return false;
	/* "0.20 0.18 0.12 1/80 11206": of those that want to run now, one is us */
	return io_read_text_at(k->slot.proc_fd, "loadavg", text, sizeof text) > 0 &&
	       sscanf(text, "%*s %*s %*s %u/", &running) == 1 &&
	       running <= (unsigned)sysconf(_SC_NPROCESSORS_ONLN) && memory_free(k);
}

/* One that helps the language that was last asked for here; the next request may
 * want another, and then it was in vain: so only while nothing else is to do. */
static void start_ahead(struct keeper *k)
{
	const struct language_table *table = k->config->policy.table;
	uint32_t wanted = atomic_load(&k->config->shared->ahead[k->image]);
	struct init_job job = { .ahead = 1,
				.environment = k->config->images->image[k->image].environment,
				.stage = STAGE_RUN,
				.files_count = 1 };
	struct error err = ERROR_INIT;

	k->ahead_put_off = true;
	if (!wanted || wanted > table->count || !machine_idle(k))
		return;
	job.language = k->warm_ahead = &table->language[wanted - 1];
	if (box_start_ahead(&k->warm, &job, k->config->ahead_fd, &err) < 0)
		complain(k, "", &err);
}

/* One simple rule: what was used last will be next; also when that has no interpreter. */
static void remember_ahead(struct keeper *k, const struct peer_stage *stage)
{
	size_t index = language_index(k->config->policy.table, stage->language);

	if (k->config->ahead_fd >= 0 && stage->run.stage == STAGE_RUN)
		atomic_store(&k->config->shared->ahead[k->image],
			     stage->language->ahead ? (uint32_t)index + 1 : 0);
}

/* The interpreter waits for one file, of the usual name: the first record of the payload. */
static bool usual_name(const struct peer_stage *stage)
{
	const char *file = stage->language->file;
	uint32_t size = (uint32_t)strlen(file);
	char wanted[sizeof size + JOB_NAME_MAX], found[sizeof wanted];
	ssize_t all = (ssize_t)(sizeof size + size);

	if (size > JOB_NAME_MAX)
		return false;
	memcpy(wanted, &size, sizeof size);
	memcpy(wanted + sizeof size, file, size);
	return pread(stage->fds[WIRE_FD_PAYLOAD], found, (size_t)all, 0) == all &&
	       memcmp(wanted, found, (size_t)all) == 0;
}

/* Is the interpreter there, and what one started for this program would be? One that is of
 * no use would have to die first, and its memory and processes would count as the program's. */
static bool ahead_suits(struct keeper *k, const struct peer_stage *stage)
{
	const struct wire_run *wish = &stage->run;

	return stage->language == k->warm_ahead && wish->stage == STAGE_RUN &&
	       !(wish->flags & WIRE_ON_TREE) && wish->files_count == 1 &&
	       wish->options_count == 0 && wish->arguments_count == 0 && usual_name(stage) &&
	       wish->limits.memory_bytes >= k->warm.limits.memory_bytes &&
	       box_ahead_ready(&k->warm, AHEAD_WAIT_MS) &&
	       (wish->limits.processes >= k->warm.limits.processes ||
		group_processes(&k->warm.group) <= wish->limits.processes);
}

/* It looks whether an interpreter can be started as long as there is none in its box. */
static int ahead_timeout_ms(const struct keeper *k)
{
	if (k->config->ahead_fd < 0 || !k->warm.slot || k->warm_ahead)
		return -1;
	return atomic_load(&k->config->shared->ahead[k->image]) && !k->ahead_put_off
		       ? AHEAD_IDLE_MS
		       : AHEAD_LOOK_MS;
}

/* ---- one stage ---- */

static enum box_kind kind_for(const struct keeper *k, const struct wire_run *wish)
{
	if (wish->flags & WIRE_KEEP_TREE)
		return BOX_KEEPS_TREE;
	return (wish->flags & WIRE_ON_TREE) && k->tree_fd >= 0 ? BOX_ON_TREE : BOX_PLAIN;
}

/* The warm box when one fits, else one made now. */
static int take_box(struct keeper *k, struct box *ahead, enum box_kind kind,
		    const struct limits *limits, struct box *ret_box, struct error *err)
{
	struct box *from = kind == BOX_PLAIN ? &k->warm : ahead->kind == kind ? ahead : NULL;

	if (from && from->slot) {
		/* the group points at itself nowhere: a box can be moved */
		*ret_box = *from;
		from->slot = NULL;
	} else if (start_box(k, ret_box, kind, limits, err) < 0) {
		ret_box->slot = NULL;
		return -1;
	}
	if (box_await(ret_box, READY_MS, err) < 0) {
		end_box(k, ret_box);
		return -1;
	}
	return 0;
}

static int freeze(struct keeper *k, struct box *box, struct error *err)
{
	int fd = steal_fd(&box->scratch_fd);

	end_box(k, box);
	if (tree_freeze(fd, err) < 0) {
		tree_drop();
		close(fd);
		return -1;
	}
	k->tree_fd = fd;
	return 0;
}

/* After the answer, off the client's path: the next box first, then the old one's
 * end, because the clone can set itself up while we wait for the death. */
static int clean_up(struct keeper *k, struct box *box, const struct wire_run *wish,
		    struct box *ahead, struct error *err)
{
	bool more = (wish->flags & WIRE_MORE) != 0;
	int rc = 0;

	box_kill(box);
	if (box->kind == BOX_KEEPS_TREE) {
		rc = freeze(k, box, err);
	} else if (box->kind == BOX_ON_TREE && more) {
		if (start_box(k, ahead, BOX_ON_TREE, &wish->limits, err) < 0)
			ahead->slot = NULL;
	} else if (box->kind == BOX_PLAIN) {
		start_warm(k);
	}
	end_box(k, box);
	return rc;
}

static int serve_stage(struct keeper *k, int conn_fd, struct peer_stage *stage,
		       uint64_t accepted_us, struct box *ahead, struct error *err)
{
	const struct wire_run wish = stage->run;
	struct box box = { .slot = NULL }, vain = { .slot = NULL };
	struct attendance run = {
		.stage = stage,
		.box = &box,
		.conn_fd = conn_fd,
		.environment = k->config->images->image[k->image].environment,
		.packed_fd = k->packed_fd,
		.accepted_us = accepted_us,
	};
	struct verdict verdict;
	int rc;

	if (k->warm.slot && k->warm_ahead && !ahead_suits(k, stage)) {
		vain = k->warm;
		k->warm.slot = NULL;
		k->warm_ahead = NULL;
		box_kill(&vain);
	}
	if (take_box(k, ahead, kind_for(k, &wish), &wish.limits, &box, err) < 0) {
		peer_send_refused(conn_fd, REFUSED_INTERNAL);
		end_box(k, &vain);
		return -1;
	}
	/* a peer that gave up cannot be sent this, and then nothing starts */
	if (peer_send_taken(conn_fd) < 0) {
		if (box.kind == BOX_PLAIN && !k->warm.slot)
			k->warm = box; /* untouched: keep it */
		else
			end_box(k, &box);
		end_box(k, &vain);
		return 1;
	}
	remember_ahead(k, stage);
	rc = attend_run(&run, &verdict, err);
	atomic_fetch_add(&k->row->runs, 1);
	if (rc == 0 && !run.hung_up) {
		/* a tree must be frozen before the next stage, which may come at once */
		if (box.kind == BOX_KEEPS_TREE) {
			rc = clean_up(k, &box, &wish, ahead, err);
			k->built_well = k->config->cache_fd >= 0 && verdict.cause == CAUSE_NONE &&
					verdict.exited && verdict.exit_code == 0;
			if (rc == 0 && peer_send_verdict(conn_fd, &verdict) < 0)
				run.hung_up = true;
		} else {
			if (peer_send_verdict(conn_fd, &verdict) < 0)
				run.hung_up = true;
			rc = clean_up(k, &box, &wish, ahead, err);
		}
	} else {
		end_box(k, &box);
	}
	end_box(k, &vain);
	if (rc < 0)
		peer_send_refused(conn_fd, REFUSED_INTERNAL);
	return rc < 0 ? -1 : run.hung_up;
}

/* ---- what a run may leave ---- */

/* Sockets that outlived a run would be a channel into the next; and so would the files
 * on their way in them, because what is locked stays locked. Ours are the two ends of
 * each living box's pair; an interpreter has one, too. */
static bool no_sockets(const struct keeper *k, const struct box *ahead)
{
	unsigned pairs = (k->warm.slot ? 1 + (k->warm.ahead_fd >= 0) : 0) + (ahead->slot ? 1 : 0);

	return k->slot.fresh_network ? !k->left_sockets
				     : sockets_at_most(k->sockets_fd, 2 * pairs);
}

static bool ready_if_any(struct box *box)
{
	return !box->slot || box_await(box, READY_MS, NULL) == 0;
}

/* Another network, another user namespace, and other mounts of the same image: what still
 * holds the old ones meets nobody there. */
static void renew(struct keeper *k, struct box *ahead)
{
	const struct image *image = &k->config->images->image[k->image];
	struct error err = ERROR_INIT;

	/* the boxes made ahead have inherited the old ones */
	end_box(k, &k->warm);
	end_box(k, ahead);
	close_fd(&k->slot.user_ns_fd);
	if (renew_network(k, &err) < 0 || slot_make_user_namespace(&k->slot, &err) < 0 ||
	    world_take_image(k->outside_fd, k->world_fd, k->config->images, image, &err) < 0) {
		complain(k, "", &err);
		_exit(1); /* the master makes a new keeper */
	}
	k->left_sockets = false;
}

static void check_sockets(struct keeper *k, struct box *ahead)
{
	if (no_sockets(k, ahead))
		return;
	/* the next box's init has our ends of the last one's sockets until it is ready */
	if (!ready_if_any(&k->warm) || !ready_if_any(ahead) || !no_sockets(k, ahead))
		renew(k, ahead);
}

/* ---- the compile cache ---- */

/* A build whose tree is at hand is not done again: its verdict is known. */
static bool serve_from_cache(struct keeper *k, int conn_fd, const struct peer_stage *stage,
			     uint64_t accepted_us, int *ret_rc)
{
	const char *manifest = k->config->images->image[k->image].manifest;
	struct verdict verdict = { .exited = true, .cached = true };
	struct error err = ERROR_INIT;

	if (!(stage->run.flags & WIRE_KEEP_TREE) || k->config->cache_fd < 0 ||
	    cache_key_make(&stage->run, stage->fds[WIRE_FD_PAYLOAD], manifest, &k->cache_key, &err) < 0)
		return false;
	k->packed_fd = cache_get(k->config->cache_fd, &k->cache_key);
	if (k->packed_fd < 0)
		return false;
	verdict.setup_us = clock_us() - accepted_us;
	*ret_rc = peer_send_taken(conn_fd) < 0 || peer_send_verdict(conn_fd, &verdict) < 0;
	return true;
}

/* Packs the frozen tree, by the box user in a box of its own, and hands it to the
 * master. Whatever goes wrong here only costs the next one a build. */
static void pack_tree(struct keeper *k)
{
	const struct init_job job = { .pack = 1 };
	const struct limits *limits = &k->config->settings->policy.run;
	cleanup_close int memfd = io_memfd("packed");
	struct init_report report = { .event = INIT_FAILED };
	struct error err = ERROR_INIT;
	struct box box;
	struct pollfd p;

	if (memfd < 0 || start_box(k, &box, BOX_ON_TREE, limits, &err) < 0)
		return;
	if (box_await(&box, READY_MS, &err) == 0 && box_give(&box, &job, &memfd, 1, &err) == 0) {
		p = (struct pollfd){ box.sock_fd, POLLIN, 0 };
		if (poll(&p, 1, PACK_MS) == 1)
			io_recv(box.sock_fd, &report, sizeof report, NULL, NULL, MSG_DONTWAIT);
	}
	end_box(k, &box);
	if (report.event == INIT_ENDED && report.wait_status == 0 && io_seal(memfd) == 0)
		cache_put(k->config->cache_fd, &k->cache_key, memfd);
}

/* ---- one connection ---- */

static bool await_message(int conn_fd)
{
	struct pollfd p = { conn_fd, POLLIN, 0 };
	int n;

	do
		n = poll(&p, 1, SILENCE_MS);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static void serve(struct keeper *k, int conn_fd)
{
	uint64_t accepted_us = clock_us();
	struct box ahead = { .slot = NULL };
	struct error err = ERROR_INIT;
	bool reserved = false, built = false, ended = false;

	if (!peer_allowed(conn_fd, &k->config->policy, &err)) {
		complain(k, "", &err);
		close(conn_fd);
		return;
	}
	for (;;) {
		struct peer_stage stage;
		enum wire_refusal reason;
		enum peer_answer answer;
		int rc;

		answer = peer_receive(conn_fd, &k->config->policy, k->image,
				      k->tree_fd >= 0 || k->packed_fd >= 0, &stage, &reason, &err);
		if (answer == PEER_SILENT && await_message(conn_fd))
			continue;
		if (answer == PEER_SILENT || answer == PEER_CLOSED)
			break;
		/* it crossed the verdict of the stage that it was for */
		if (answer == PEER_STOP && ended) {
			ended = false;
			continue;
		}
		if (answer == PEER_STOP)
			error_set(&err, EPROTO, "a stop, and nothing runs");
		if (answer != PEER_STAGE) {
			log_event(LOG_WARNING, "slot %u: refused: %s", k->config->slot, err.text);
			if (answer == PEER_REFUSED && peer_send_refused(conn_fd, reason) == 0)
				continue;
			peer_send_refused(conn_fd, REFUSED_PROTOCOL);
			break;
		}
		if ((stage.run.flags & WIRE_KEEP_TREE) && built) {
			peer_stage_done(&stage);
			peer_send_refused(conn_fd, REFUSED_PROTOCOL);
			break;
		}
		built = built || (stage.run.flags & WIRE_KEEP_TREE);
		if (!reserved &&
		    !shared_reserve(k->config->shared, k->config->slot, stage.run.reserve_bytes)) {
			peer_stage_done(&stage);
			peer_send_refused(conn_fd, REFUSED_BUSY);
			break;
		}
		if (reserved && stage.run.limits.memory_bytes > atomic_load(&k->row->reserved)) {
			peer_stage_done(&stage);
			peer_send_refused(conn_fd, REFUSED_LIMITS);
			break;
		}
		reserved = true;
		k->network_runs++;
		k->cacheable = k->tree_fd >= 0 && (stage.run.flags & WIRE_QUIET) && k->built_well;
		if (!serve_from_cache(k, conn_fd, &stage, accepted_us, &rc))
			rc = serve_stage(k, conn_fd, &stage, accepted_us, &ahead, &err);
		peer_stage_done(&stage);
		check_sockets(k, &ahead);
		if (rc < 0) {
			atomic_fetch_add(&k->row->failures, 1);
			complain(k, stage.run.id, &err);
		}
		if (rc != 0)
			break;
		ended = true;
		accepted_us = clock_us();
	}
	close(conn_fd);
	end_box(k, &ahead);
	if (k->cacheable)
		pack_tree(k);
	drop_tree(k);
	if (reserved)
		shared_release(k->config->shared, k->config->slot);
}

/* ---- between connections ---- */

/* Behind the others who wait for connections. The kernel wakes the first in line: so it
 * is the one whose box, and interpreter, had the most time to get ready. */
static int line_up(struct keeper *k)
{
	int listen_fd = k->config->listen_fds[k->image];
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE, .data.fd = listen_fd };

	if (epoll_ctl(k->epoll_fd, EPOLL_CTL_DEL, listen_fd, NULL) < 0 && errno != ENOENT)
		return -1;
	return epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, listen_fd, &event);
}

static int serve_image(struct keeper *k, unsigned image, struct error *err)
{
	const struct image *wanted = &k->config->images->image[image];
	struct epoll_event event = { .events = EPOLLIN };

	end_box(k, &k->warm);
	if (world_take_image(k->outside_fd, k->world_fd, k->config->images, wanted, err) < 0)
		return error_wrap(err, "image %s", wanted->name);
	close_fd(&k->epoll_fd);
	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (k->epoll_fd < 0)
		return error_errno(err, "epoll");
	event.data.fd = k->config->command_fd;
	k->image = image;
	if (epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, event.data.fd, &event) < 0 || line_up(k) < 0)
		return error_errno(err, "epoll");
	atomic_store(&k->row->accepted, 0);
	atomic_store(&k->row->image, image);
	return 0;
}

static void obey(struct keeper *k)
{
	struct keeper_command command;
	struct error err = ERROR_INIT;
	ssize_t n = read(k->config->command_fd, &command, sizeof command);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof command || command.what == KEEPER_QUIT) {
		k->quitting = true; /* or the master is gone */
		return;
	}
	if (command.image < k->config->images->count && command.image != k->image &&
	    serve_image(k, command.image, &err) < 0) {
		complain(k, "", &err);
		_exit(1);
	}
}

static void take_connection(struct keeper *k)
{
	struct box none = { .slot = NULL };
	int conn_fd = accept4(k->config->listen_fds[k->image], NULL, NULL, SOCK_CLOEXEC);

	if (conn_fd < 0)
		return; /* another keeper was faster */
	atomic_store(&k->row->state, SLOT_BUSY);
	atomic_store(&k->row->used_us, clock_us());
	atomic_fetch_add(&k->row->accepted, 1);
	serve(k, conn_fd);
	if (k->network_runs >= k->config->settings->network_namespace_runs)
		renew(k, &none);
	if (line_up(k) < 0)
		_exit(1);
}

/* Ready means: a warm box that works, where warm boxes are wanted. */
static bool get_ready(struct keeper *k)
{
	struct error err = ERROR_INIT;

	start_warm(k);
	if (!k->config->settings->warm)
		return true;
	if (!k->warm.slot)
		return false;
	if (box_await(&k->warm, READY_MS, &err) < 0) {
		atomic_fetch_add(&k->row->failures, 1);
		complain(k, "", &err);
		end_box(k, &k->warm);
		return false;
	}
	atomic_store(&k->row->worked, 1);
	atomic_store(&k->config->shared->proven, 1);
	return true;
}

/* The first box of the first keeper proves that boxes can be made here at all.
 * Without that there is no service: the master gives up when we do. */
static void prove(struct keeper *k)
{
	struct error err = ERROR_INIT;
	struct box box;

	if (k->config->settings->warm) {
		if (!get_ready(k) && !atomic_load(&k->config->shared->proven))
			_exit(1);
		return;
	}
	if (start_box(k, &box, BOX_PLAIN, &k->config->settings->policy.run, &err) < 0 ||
	    box_await(&box, READY_MS, &err) < 0) {
		complain(k, "", &err);
		_exit(1);
	}
	end_box(k, &box);
	atomic_store(&k->row->worked, 1);
	atomic_store(&k->config->shared->proven, 1);
}

static void on_ignored(int signal)
{
	(void)signal;
}

/* Signals to the whole group are for the master, who ends us in order. A handler
 * rather than SIG_IGN: it does not pass on to the boxes. */
static void leave_signals_to_master(void)
{
	static const int signals[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	struct sigaction action = { .sa_handler = on_ignored, .sa_flags = SA_RESTART };
	size_t i;

	for (i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &action, NULL);
}

/* The host's own files change under way: once there is time, a run shall see those of now. */
static uint64_t names_due_us(const struct keeper *k)
{
	if (!k->config->images->image[k->image].binds_usr || k->boxes_since_forget == 0)
		return UINT64_MAX;
	return atomic_load(&k->row->used_us) + NAMES_IDLE_US;
}

/* How long the keeper may sleep. */
static int idle_timeout_ms(const struct keeper *k)
{
	uint64_t due_us = names_due_us(k), now = clock_us();
	int ahead_ms = ahead_timeout_ms(k), names_ms;

	if (due_us == UINT64_MAX)
		return ahead_ms;
	names_ms = due_us <= now ? 0 : (int)((due_us - now + 999) / 1000);
	return ahead_ms >= 0 && ahead_ms < names_ms ? ahead_ms : names_ms;
}

static void on_idle(struct keeper *k)
{
	if (clock_us() >= names_due_us(k))
		forget_names(k);
	else
		start_ahead(k);
}

static void loop(struct keeper *k)
{
	unsigned delay_ms = 50;

	while (!k->quitting) {
		struct epoll_event event;

		if (!get_ready(k)) {
			/* back off, but keep listening to the master */
			struct pollfd p = { k->config->command_fd, POLLIN, 0 };

			atomic_store(&k->row->state, SLOT_STARTING);
			if (poll(&p, 1, (int)delay_ms) == 1)
				obey(k);
			delay_ms = delay_ms < 2000 ? 2 * delay_ms : 2000;
			continue;
		}
		delay_ms = 50;
		group_fill_store(&k->slot.groups, GROUPS_AT_ONCE - (k->warm.slot ? 1 : 0),
				 &k->slot.sequence, &k->config->settings->policy.run);
		atomic_store(&k->row->state, SLOT_IDLE);
		switch (epoll_wait(k->epoll_fd, &event, 1, idle_timeout_ms(k))) {
		case 0:
			on_idle(k);
			continue;
		case 1:
			break;
		default:
			continue;
		}
		if (event.data.fd == k->config->command_fd)
			obey(k);
		else
			take_connection(k);
	}
	end_box(k, &k->warm);
}

int keeper_open_slot(const struct keeper_config *config, struct slot *ret_slot,
		     int *ret_outside_fd, int *ret_world_fd, struct error *err)
{
	struct slot slot = {
		.index = config->slot,
		.first_uid = (uid_t)(config->settings->box_ids_first + 2 * config->slot),
		.groups = config->groups,
		.filter = config->filter,
		.user_ns_fd = -1,
		.fresh_network = !strcmp(config->settings->network_namespace, "fresh"),
		.strict_speculation = config->settings->strict_speculation,
		.sequence = 1,
	};

	slot.proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (slot.proc_fd < 0)
		return error_errno(err, "/proc");
	if (setgroups(0, NULL) < 0)
		return error_errno(err, "setgroups");
	umask(022);
	if (slot_set_once(err) < 0)
		return -1;
	if (world_enter(config->images->root, ret_outside_fd, ret_world_fd, err) < 0 ||
	    slot_make_user_namespace(&slot, err) < 0)
		return -1;
	*ret_slot = slot;
	return 0;
}

/* The calls that make a box are still free. */
static int enter_outer_filter(const struct keeper_config *config, struct error *err)
{
#ifdef SANDPOOL_FAULTS
	if (getenv("SANDPOOL_TEST_NO_FILTER"))
		return 0;
#endif
	return config->outer_filter.count ? filter_load(&config->outer_filter, err) : 0;
}

noreturn void keeper_main(const struct keeper_config *config)
{
	static struct keeper k;
	struct error err = ERROR_INIT;

	k.config = config;
	k.tree_fd = k.packed_fd = k.epoll_fd = k.sockets_fd = -1;
	k.row = &config->shared->row[config->slot];
	prctl(PR_SET_NAME, "sandpool-keeper", 0, 0, 0);
	leave_signals_to_master();
	memory_forget_libraries();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(1);
	if (shared_keep_from_children(config->shared, &err) < 0 ||
	    keeper_open_slot(config, &k.slot, &k.outside_fd, &k.world_fd, &err) < 0 ||
	    enter_outer_filter(config, &err) < 0 ||
	    renew_network(&k, &err) < 0 || serve_image(&k, config->image, &err) < 0) {
		complain(&k, "", &err);
		_exit(1);
	}
	prove(&k);
	loop(&k);
	_exit(0);
}
