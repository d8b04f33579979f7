/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/worker.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "fcgi/codec.h"
#include "fcgi/confine.h"
#include "fcgi/launch.h"
#include "fcgi/route.h"

#define LARGE_PIECE	   (128 << 10) /* freed at once when freed, see set_up() */
#define LOOK_AGAIN_MS	   1000
#define LEAVING_MS	   500 /* how long a leaving worker still takes what waits */
#define PROBE_AGAIN_S	   1
#define PROBE_CHANGES_S	   10

static volatile sig_atomic_t leaving;

static void on_leave(int signo)
{
	(void)signo;
	leaving = 1;
}

/* Outputs of megabytes come and go: each is a mapping of its own, and goes back to
 * the system when it is freed. A fixed threshold, for the one that glibc moves
 * upwards by itself would keep them. */
static void set_up_memory(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, LARGE_PIECE);
	mallopt(M_TRIM_THRESHOLD, LARGE_PIECE);
}

static int set_up(struct pool *pool, struct error *err)
{
	set_up_memory();
	codec_init();
	if (request_setup(pool->settings.stall_ms, err) < 0)
		return -1;
	return confine_worker(err);
}

static void die(const char *what, const struct error *err)
{
	log_event(LOG_ERROR, "%s: %s", what, err->text);
	_exit(1);
}

/* ---- accepting ---- */

struct door {
	int listen_fd, epoll_fd;
	sigset_t open_mask; /* while waiting the master's signals get through */
};

static int door_open(struct door *door, int listen_fd, struct error *err)
{
	struct sigaction leave = { .sa_handler = on_leave };
	/* one worker is woken for each connection, not all of them */
	struct epoll_event event = { .events = EPOLLIN | EPOLLEXCLUSIVE };

	door->listen_fd = listen_fd;
	door->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (door->epoll_fd < 0 ||
	    epoll_ctl(door->epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) < 0)
		return error_errno(err, "epoll");
	if (sigaction(WORKER_LEAVE, &leave, NULL) < 0 ||
	    sigaction(WORKER_CANCEL, &leave, NULL) < 0 ||
	    sigprocmask(SIG_BLOCK, NULL, &door->open_mask) < 0)
		return error_errno(err, "signals");
	sigdelset(&door->open_mask, WORKER_LEAVE);
	sigdelset(&door->open_mask, WORKER_CANCEL);
	return 0;
}

/* A connection, or -1 when there is none now. Whoever was woken must look before he
 * leaves, since nobody else was; and everybody looks now and then, since who was woken
 * may have been killed. */
static int door_accept(struct door *door, bool wait)
{
	struct epoll_event event;
	int fd;

	if (wait)
		epoll_pwait(door->epoll_fd, &event, 1, LOOK_AGAIN_MS, &door->open_mask);
	fd = accept4(door->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
		log_event(LOG_ERROR, "accept: %s", strerror(errno));
		usleep(100000);
	}
	return fd;
}

/* While connections keep coming, epoll_pwait() has always something better to return
 * than a signal: one that waits must be asked for. */
static bool told_to_leave(void)
{
	sigset_t pending;

	if (!leaving && sigpending(&pending) == 0 &&
	    (sigismember(&pending, WORKER_LEAVE) || sigismember(&pending, WORKER_CANCEL)))
		leaving = 1;
	return leaving;
}

static void serve(struct pool *pool, int conn_fd)
{
	struct error err = ERROR_INIT;
	struct request request;

	metrics_state(pool->metrics, pool->row, WORKER_BUSY);
	if (request_begin_fastcgi(&request, conn_fd, &err) < 0) {
		metrics_add(pool->metrics, COUNT_BAD_CONNECTIONS, 1);
		log_event(LOG_DEBUG, "%s", err.text);
	} else {
		route_request(pool, &request);
		request_finish(&request);
	}
	metrics_state(pool->metrics, pool->row, WORKER_IDLE);
}

void worker_run(struct pool *pool, enum worker_kind kind, int listen_fd)
{
	struct error err = ERROR_INIT;
	uint64_t served = 0, most = pool->settings.worker_requests, leave_by_ms = 0;
	struct door door;

	prctl(PR_SET_NAME, kind == WORKER_RUN ? "sandpool-run" : "sandpool-api");
	if (door_open(&door, listen_fd, &err) < 0 || set_up(pool, &err) < 0)
		die("start a worker", &err);
	if (kind == WORKER_RUN)
		launch_prepare();
	/* not all of them in the same moment */
	most += most / 8 * (pool->row % 16) / 16;
	/* What waits when we are told to leave may have nobody else; what comes later has:
	 * a long run that began late would be cut off at the end of the master's patience. */
	while (served < most && (!leave_by_ms || clock_ms() < leave_by_ms)) {
		int conn_fd = door_accept(&door, !told_to_leave());

		if (leaving && !leave_by_ms)
			leave_by_ms = clock_ms() + LEAVING_MS;
		if (conn_fd >= 0) {
			serve(pool, conn_fd);
			served++;
			if (kind == WORKER_RUN)
				launch_prepare();
		} else if (leaving && errno != EINTR) {
			break;
		}
	}
	_exit(0);
}

/* ---- the others ---- */

int worker_cgi(struct pool *pool)
{
	struct error err = ERROR_INIT;
	struct request request;

	pool->cgi = true;
	if (set_up(pool, &err) < 0 || request_begin_cgi(&request, &err) < 0) {
		log_event(LOG_ERROR, "CGI: %s", err.text);
		return 1;
	}
	route_request(pool, &request);
	request_finish(&request);
	return 0;
}

/* Do requests have all slots, or wait for one? */
static bool box_wanted(void *data)
{
	const struct pool *pool = data;
	struct metrics_glance glance;

	metrics_glance(pool->metrics, &glance);
	return glance.workers[WORKER_RUN][WORKER_WAITING] > 0 ||
	       glance.workers[WORKER_RUN][WORKER_RUNNING] >= pool->settings.slots;
}

void worker_probe(struct pool *pool)
{
	struct error err = ERROR_INIT;

	prctl(PR_SET_NAME, "sandpool-ask");
	set_up_memory();
	if (confine_worker(&err) < 0)
		die("start the prober", &err);
	for (;;) {
		bool all = versions_probe(pool->versions, &pool->settings, pool->table,
					  box_wanted, pool);

		sleep(all ? PROBE_CHANGES_S : PROBE_AGAIN_S);
	}
}
