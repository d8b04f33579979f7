/* SPDX-License-Identifier: ISC */
/* Runs as: root (the keeper). */
#define _GNU_SOURCE
#include "sandbox/box.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "sandbox/ahead.h"
#include "sandbox/setup.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define NAMESPACES                                                                              \
	(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWTIME)

static pid_t clone_init(struct box *box)
{
	struct clone_args args = {
		.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND | NAMESPACES,
		.pidfd = (uint64_t)(uintptr_t)&box->pid_fd,
		.exit_signal = SIGCHLD,
	};
	int group_fd = group_clone_fd(&box->group);

	if (box->slot->fresh_network)
		args.flags |= CLONE_NEWNET;
	if (group_fd >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)group_fd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static int make_parts(struct box *box, const struct limits *limits, struct error *err)
{
	uid_t box_uid = box->slot->first_uid + 1;

	if (group_make(&box->group, &box->slot->groups, box->slot->sequence++, limits, err) < 0 ||
	    scratch_make(limits->disk_bytes, box->kind, box_uid, &box->scratch_fd, err) < 0)
		return -1;
	if (box->kind == BOX_KEEPS_TREE && tree_attach(box->scratch_fd, err) < 0)
		return -1;
	box->limits = *limits;
	return 0;
}

static void undo_parts(struct box *box)
{
	if (box->kind == BOX_KEEPS_TREE)
		tree_drop();
	close_fd(&box->scratch_fd);
	group_remove(&box->group);
	box->slot = NULL;
}

int box_start(struct box *box, struct slot *slot, enum box_kind kind,
	      const struct limits *limits, struct error *err)
{
	struct setup setup;
	int pair[2];

	memset(box, 0, sizeof *box);
	box->slot = slot;
	box->kind = kind;
	box->init_pid = -1;
	box->pid_fd = box->sock_fd = box->scratch_fd = box->ahead_fd = box->sockets_fd = -1;
	if (make_parts(box, limits, err) < 0) {
		undo_parts(box);
		return error_wrap(err, "make a box");
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		error_errno(err, "make a box: socketpair");
		undo_parts(box);
		return -1;
	}
	setup = (struct setup){
		.group = &box->group,
		.filter = &slot->filter,
		.sock_fd = pair[1],
		.proc_fd = slot->proc_fd,
		.user_ns_fd = slot->user_ns_fd,
		.scratch_fd = kind == BOX_KEEPS_TREE ? -1 : box->scratch_fd,
		.kind = kind,
		.strict_speculation = slot->strict_speculation,
	};
	box->init_pid = clone_init(box);
	if (box->init_pid == 0)
		setup_run(&setup);
	close(pair[1]);
	if (box->init_pid < 0) {
		error_errno(err, "make a box: clone");
		close(pair[0]);
		undo_parts(box);
		return -1;
	}
	box->sock_fd = pair[0];
	return 0;
}

int box_await(struct box *box, int timeout_ms, struct error *err)
{
	struct pollfd p = { box->sock_fd, POLLIN, 0 };
	struct init_report report;
	int n;

	if (box->ready)
		return 0;
	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return error_set(err, ETIMEDOUT, "the box does not get ready");
	if (io_recv(box->sock_fd, &report, sizeof report, NULL, NULL, MSG_DONTWAIT) !=
	    sizeof report)
		return error_set(err, ECHILD, "the box died in set-up");
	report.err.text[sizeof report.err.text - 1] = '\0';
	if (report.event != INIT_READY) {
		if (err)
			*err = report.err;
		return error_wrap(err, "set-up");
	}
	box->ready = true;
	return 0;
}

int box_set_limits(struct box *box, const struct limits *limits, struct error *err)
{
	if (group_limit(&box->group, limits, err) < 0)
		return error_wrap(err, "change the limits");
	if (limits->disk_bytes != box->limits.disk_bytes &&
	    scratch_resize(box->scratch_fd, limits->disk_bytes, err) < 0)
		return error_wrap(err, "change the limits");
	box->limits = *limits;
	return 0;
}

int box_give(struct box *box, const struct init_job *job, const int *fds, size_t fds_count,
	     struct error *err)
{
	if (io_send(box->sock_fd, job, sizeof *job, fds, fds_count) < 0)
		return error_errno(err, "hand over the job");
	return 0;
}

int box_give_collect(struct box *box, const struct init_job *job, const int *wire_fds,
		     struct error *err)
{
	const int fds[] = { wire_fds[WIRE_FD_PAYLOAD], wire_fds[WIRE_FD_COLLECT] };

	return box_give(box, job, fds, ARRAY_LEN(fds), err);
}

/* ---- an interpreter ahead ---- */

int box_start_ahead(struct box *box, const struct init_job *job, int library_fd,
		    struct error *err)
{
	int pair[2], fds[2], rc;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "start an interpreter: socketpair");
	fds[0] = library_fd;
	fds[1] = pair[1];
	rc = box_give(box, job, fds, ARRAY_LEN(fds), err);
	close(pair[1]);
	box->ahead_fd = pair[0];
	return rc;
}

bool box_ahead_ready(struct box *box, int timeout_ms)
{
	struct pollfd p = { box->ahead_fd, POLLIN, 0 };
	char ready = 0;

	if (box->ahead_ready)
		timeout_ms = 0;
	/* at its end there is something to read as well */
	if (poll(&p, 1, timeout_ms) == 1 && p.revents == POLLIN && !box->ahead_ready)
		box->ahead_ready = io_recv(box->ahead_fd, &ready, 1, NULL, NULL,
					   MSG_DONTWAIT) == 1 && ready == AHEAD_READY;
	return box->ahead_ready && !(p.revents & POLLHUP);
}

int box_give_ahead(struct box *box, const struct init_job *job, const int *fds, struct error *err)
{
	struct ahead_go go;

	stage_ahead_limits(&job->limits, &go);
	if (io_send(box->ahead_fd, &go, sizeof go, fds, AHEAD_FD_COUNT) < 0)
		return error_errno(err, "hand over the job");
	return 0;
}

int box_ahead_failure(const struct box *box)
{
	int32_t code;

	if (io_recv(box->ahead_fd, &code, sizeof code, NULL, NULL, MSG_DONTWAIT) != sizeof code)
		return 0;
	return code ? code : EINVAL;
}

/* ---- the end ---- */

void box_kill_program(struct box *box)
{
	group_kill(&box->group, KILL_OTHERS, box->init_pid);
}

void box_kill(struct box *box)
{
	if (!box->slot)
		return;
	box->killed = true;
	/* init takes its pid namespace along; the others are signalled as well,
	 * because under a CPU quota init may wait long for its turn to die */
	if (box->pid_fd >= 0)
		syscall(SYS_pidfd_send_signal, box->pid_fd, SIGKILL, NULL, 0);
	group_kill(&box->group, KILL_ALL, box->init_pid);
}

static bool reaped(struct box *box, int timeout_ms)
{
	struct pollfd p = { box->pid_fd, POLLIN, 0 };
	siginfo_t info;
	int n;

	if (box->init_pid < 0)
		return true;
	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n != 1 || waitid((idtype_t)P_PIDFD, (id_t)box->pid_fd, &info, WEXITED) < 0)
		return false;
	box->init_pid = -1;
	close_fd(&box->pid_fd);
	return true;
}

int box_finish(struct box *box, int timeout_ms)
{
	int tries;

	if (!box->slot)
		return 0;
	close_fd(&box->sock_fd);
	close_fd(&box->ahead_fd);
	if (box->kind != BOX_KEEPS_TREE)
		close_fd(&box->scratch_fd);
	if (!reaped(box, timeout_ms))
		return -1;
	box->left_bytes = group_charged(&box->group);
	for (tries = 0; group_remove(&box->group) < 0; tries++) {
		if (tries >= 40)
			return -1;
		/* what was cloned into the group in the last moment is still dying */
		group_kill(&box->group, KILL_ALL, 0);
		poll(NULL, 0, tries < 10 ? 1 : 10);
	}
	box->slot = NULL;
	return 0;
}

/* ---- what a slot's boxes inherit ---- */

#define HOST_NAME "box"

/* The second fence; what a job asks for lowers some of them further. They hold for
 * the keeper as well, which needs no more. */
static const struct {
	int resource;
	rlim_t value;
} fence[] = {
	/* 1, not 0: the kernel starts a handler behind a pipe whatever the limit,
	 * unless it is exactly 1; and no core file fits into one byte */
	{ RLIMIT_CORE, 1 },
	{ RLIMIT_NOFILE, 1024 },
	{ RLIMIT_STACK, 64 << 20 },
	{ RLIMIT_MEMLOCK, 64 << 10 },
	{ RLIMIT_MSGQUEUE, 64 << 10 },
	{ RLIMIT_SIGPENDING, 256 },
	{ RLIMIT_NICE, 0 },
	{ RLIMIT_RTPRIO, 0 },
	{ RLIMIT_RTTIME, 0 },
};

int slot_set_once(struct error *err)
{
	size_t i;

	if (unshare(CLONE_NEWUTS) < 0 || sethostname(HOST_NAME, strlen(HOST_NAME)) < 0 ||
	    setdomainname("", 0) < 0)
		return error_errno(err, "host name");
	for (i = 0; i < ARRAY_LEN(fence); i++) {
		const struct rlimit value = { fence[i].value, fence[i].value };

		if (setrlimit((__rlimit_resource_t)fence[i].resource, &value) < 0)
			return error_errno(err, "limit %d", fence[i].resource);
	}
	return 0;
}

/* ---- the slot's user namespace ---- */

/* Nothing inside may make further namespaces, and little else that the kernel
 * counts by user. Files that this kernel has not are no loss. */
static const struct {
	const char *file, *value;
} user_limits[] = {
	{ "sys/user/max_user_namespaces", "0" },     { "sys/user/max_mnt_namespaces", "0" },
	{ "sys/user/max_pid_namespaces", "0" },	     { "sys/user/max_net_namespaces", "0" },
	{ "sys/user/max_ipc_namespaces", "0" },	     { "sys/user/max_uts_namespaces", "0" },
	{ "sys/user/max_cgroup_namespaces", "0" },   { "sys/user/max_time_namespaces", "0" },
	{ "sys/user/max_fanotify_groups", "0" },     { "sys/user/max_fanotify_marks", "0" },
	{ "sys/user/max_inotify_instances", "16" },  { "sys/user/max_inotify_watches", "1024" },
};

/* In the namespace: waits for the maps, writes the limits, says so, waits for
 * the end. */
static void user_namespace_child(int sock_fd, int proc_fd)
{
	char c = 'x';
	size_t i;

	if (read(sock_fd, &c, 1) != 1)
		_exit(1);
	for (i = 0; i < ARRAY_LEN(user_limits); i++)
		if (io_write_text_at(proc_fd, user_limits[i].file, user_limits[i].value) < 0 &&
		    errno != ENOENT)
			_exit(1);
	if (write(sock_fd, "k", 1) == 1)
		while (read(sock_fd, &c, 1) > 0)
			;
	_exit(0);
}

static int open_user_namespace(struct slot *slot, int sock_fd, pid_t pid, struct error *err)
{
	char map[96], path[48], c;

	snprintf(map, sizeof map, "0 %u 1\n%u %u 1\n", slot->first_uid, BOX_UID,
		 slot->first_uid + 1);
	snprintf(path, sizeof path, "%d/uid_map", pid);
	if (io_write_text_at(slot->proc_fd, path, map) < 0)
		return error_errno(err, "uid_map");
	snprintf(path, sizeof path, "%d/gid_map", pid);
	if (io_write_text_at(slot->proc_fd, path, map) < 0)
		return error_errno(err, "gid_map");
	if (write(sock_fd, "g", 1) != 1 || read(sock_fd, &c, 1) != 1)
		return error_set(err, EIO, "its limits could not be written");
	snprintf(path, sizeof path, "%d/ns/user", pid);
	slot->user_ns_fd = openat(slot->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (slot->user_ns_fd < 0)
		return error_errno(err, "open");
	return 0;
}

int slot_make_user_namespace(struct slot *slot, struct error *err)
{
	struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
	int pair[2], rc;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_errno(err, "user namespace: socketpair");
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		close(pair[0]);
		user_namespace_child(pair[1], slot->proc_fd);
	}
	close(pair[1]);
	rc = pid < 0 ? error_errno(err, "clone") : open_user_namespace(slot, pair[0], pid, err);
	close(pair[0]);
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno != ECHILD)
			;
	return rc < 0 ? error_wrap(err, "user namespace") : 0;
}
