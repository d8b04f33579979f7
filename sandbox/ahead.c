/* SPDX-License-Identifier: ISC */
/* Runs as: the box user, inside an interpreter that was started ahead; preloaded
 * there and nowhere else. It lets the interpreter start as it always does, with
 * placeholders of the right kind as standard streams, and stops it at the moment
 * when it first opens the main file. From then on it is out of the way. It holds
 * no privilege and guards nothing: a program that meddles with it meddles with
 * itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/ahead.h"
#include "sandbox/ahead_rooms.h"

#define WORK_DIR "/box/"

extern char **environ;

static char main_file[256], **command;
static bool waiting; /* there is still somebody to wait for */

/* Takes a variable out of the environment, and its text out of the memory that
 * /proc shows. */
static void forget_variable(const char *name)
{
	size_t size = strlen(name);
	char **entry;

	for (entry = environ; *entry; entry++)
		if (!strncmp(*entry, name, size) && (*entry)[size] == '=') {
			char *text = *entry;

			unsetenv(name);
			explicit_bzero(text, strlen(text));
			return;
		}
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
	const char *name = getenv(AHEAD_VARIABLE);

	(void)argc;
	if (!name || strlen(name) >= sizeof main_file)
		return;
	strcpy(main_file, name);
	command = argv;
	waiting = true;
	forget_variable(AHEAD_VARIABLE);
	forget_variable("LD_PRELOAD");
	close(AHEAD_LIBRARY_FD);
}

static int receive(struct ahead_go *go, int *fds)
{
	char control[CMSG_SPACE(AHEAD_FD_COUNT * sizeof(int))];
	struct iovec iov = { go, sizeof *go };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof control };
	struct cmsghdr *head;
	ssize_t n;

	do
		n = recvmsg(AHEAD_SOCKET_FD, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	head = n == sizeof *go ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!head || head->cmsg_len != CMSG_LEN(AHEAD_FD_COUNT * sizeof(int)))
		return -1;
	memcpy(fds, CMSG_DATA(head), AHEAD_FD_COUNT * sizeof(int));
	return 0;
}

static void set_limit(int resource, uint64_t soft, uint64_t hard)
{
	const struct rlimit value = { soft, hard };

	if (setrlimit((__rlimit_resource_t)resource, &value) < 0)
		_exit(126);
}

static int copy(int from_fd, off_t offset, size_t size, int to_fd)
{
	static char room[16384];

	while (size > 0) {
		size_t want = size < sizeof room ? size : sizeof room;
		ssize_t n = pread(from_fd, room, want, offset), done = 0, m;

		if (n <= 0)
			return n < 0 ? errno : EPROTO;
		for (; done < n; done += m) {
			m = write(to_fd, room + done, (size_t)(n - done));
			if (m < 0)
				return errno;
		}
		offset += n;
		size -= (size_t)n;
	}
	return 0;
}

/* The program, the second record of the payload, goes where the interpreter looks for
 * it: into a file that is there, and empty. The first record is its name, which the
 * keeper knows. An errno. */
static int fill(int payload_fd)
{
	char path[sizeof WORK_DIR + sizeof main_file];
	uint32_t name_size = (uint32_t)strlen(main_file), size;
	off_t at = (off_t)(sizeof name_size + name_size);
	int fd, code;

	if (pread(payload_fd, &size, sizeof size, at) != sizeof size)
		return EPROTO;
	snprintf(path, sizeof path, WORK_DIR "%s", main_file);
	fd = open(path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno;
	code = copy(payload_fd, at + (off_t)sizeof size, size, fd);
	close(fd);
	ahead_python_begins(payload_fd, at + (off_t)sizeof size, size);
	return code;
}

void ahead_wait(void)
{
	const char ready = AHEAD_READY;
	int saved = errno, fds[AHEAD_FD_COUNT], i;
	struct ahead_go go;
	int32_t code;

	waiting = false;
	ahead_node_prepare();
	ahead_python_prepare();
	if (send(AHEAD_SOCKET_FD, &ready, 1, MSG_NOSIGNAL) != 1 || receive(&go, fds) < 0)
		_exit(126);
	code = fill(fds[AHEAD_FD_PAYLOAD]);
	if (code) {
		send(AHEAD_SOCKET_FD, &code, sizeof code, MSG_NOSIGNAL);
		_exit(127);
	}
	close(fds[AHEAD_FD_PAYLOAD]);
	for (i = 0; i < 3; i++) {
		if (dup2(fds[AHEAD_FD_STDIN + i], i) < 0)
			_exit(126);
		close(fds[AHEAD_FD_STDIN + i]);
	}
	close(AHEAD_SOCKET_FD);
	set_limit(RLIMIT_CPU, go.cpu_soft_s, go.cpu_hard_s);
	set_limit(RLIMIT_FSIZE, go.file_bytes, go.file_bytes);
	set_limit(RLIMIT_NPROC, go.processes, go.processes);
	errno = saved;
}

/* By the name that it was first executed with, which others see as its own. */
noreturn void ahead_start_anew(void)
{
	execve((const char *)(uintptr_t)getauxval(AT_EXECFN), command, environ);
	_exit(126);
}

static bool is_main(const char *path)
{
	return path && (!strcmp(path, main_file) ||
			(!strncmp(path, WORK_DIR, strlen(WORK_DIR)) &&
			 !strcmp(path + strlen(WORK_DIR), main_file)));
}

/* Whether it will wait later than at the opening. */
static bool before_open(const char *path)
{
	if (!waiting || !is_main(path))
		return false;
	if (ahead_ruby_waits_later())
		return true;
	ahead_wait();
	return false;
}

/* ---- the ways to open a file ---- */

static mode_t mode_of(int flags, va_list ap)
{
	return flags & (O_CREAT | __O_TMPFILE) ? va_arg(ap, mode_t) : 0;
}

#define OPEN(name)                                                                              \
	int name(const char *path, int flags, ...);                                             \
	int name(const char *path, int flags, ...)                                              \
	{                                                                                       \
		static int (*next)(const char *, int, ...);                                     \
		bool later = before_open(path);                                                 \
		mode_t mode;                                                                    \
		va_list ap;                                                                     \
		int fd;                                                                         \
                                                                                                \
		va_start(ap, flags);                                                            \
		mode = mode_of(flags, ap);                                                      \
		va_end(ap);                                                                     \
		NEXT(name);                                                                     \
		fd = next(path, flags, mode);                                                   \
		if (later)                                                                      \
			ahead_ruby_opened(fd);                                                  \
		return fd;                                                                      \
	}

#define OPENAT(name)                                                                            \
	int name(int dir_fd, const char *path, int flags, ...);                                 \
	int name(int dir_fd, const char *path, int flags, ...)                                  \
	{                                                                                       \
		static int (*next)(int, const char *, int, ...);                                \
		mode_t mode;                                                                    \
		va_list ap;                                                                     \
                                                                                                \
		va_start(ap, flags);                                                            \
		mode = mode_of(flags, ap);                                                      \
		va_end(ap);                                                                     \
		before_open(path);                                                              \
		NEXT(name);                                                                     \
		return next(dir_fd, path, flags, mode);                                         \
	}

/* what programs built with _FORTIFY_SOURCE call */
#define OPEN_CHECKED(name)                                                                      \
	int name(const char *path, int flags);                                                  \
	int name(const char *path, int flags)                                                   \
	{                                                                                       \
		static int (*next)(const char *, int);                                          \
                                                                                                \
		before_open(path);                                                              \
		NEXT(name);                                                                     \
		return next(path, flags);                                                       \
	}

#define FOPEN(name)                                                                             \
	FILE *name(const char *path, const char *mode);                                         \
	FILE *name(const char *path, const char *mode)                                          \
	{                                                                                       \
		static FILE *(*next)(const char *, const char *);                               \
                                                                                                \
		before_open(path);                                                              \
		NEXT(name);                                                                     \
		return next(path, mode);                                                        \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
OPEN_CHECKED(__open_2)
OPEN_CHECKED(__open64_2)
FOPEN(fopen)
FOPEN(fopen64)
