/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "common/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/tap.h"
#include "tests/unit/scratch.h"

static size_t open_count(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	if (!dir)
		exit(1);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* ---- memfds ---- */

static void check_seals(void)
{
	static const struct {
		const char *name;
		unsigned flags;
		int seals;
		bool good;
	} rows[] = {
	        {"all four", MFD_ALLOW_SEALING,
	         F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, true},
	        {"none", MFD_ALLOW_SEALING, 0, false},
	        {"writable", MFD_ALLOW_SEALING, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW,
	         false},
	        {"can grow", MFD_ALLOW_SEALING, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_WRITE,
	         false},
	        {"can shrink", MFD_ALLOW_SEALING, F_SEAL_SEAL | F_SEAL_GROW | F_SEAL_WRITE,
	         false},
	        {"can get more", MFD_ALLOW_SEALING, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE,
	         false},
	        {"cannot be sealed", 0, 0, false},
	};
	uint64_t size = 77;
	char data[8];
	size_t i;
	int fd, ends[2];

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		fd = memfd_create("test", MFD_CLOEXEC | rows[i].flags);
		if (rows[i].seals)
			fcntl(fd, F_ADD_SEALS, rows[i].seals);
		tap_ok(io_is_sealed(fd, NULL) == rows[i].good, "seals: %s: %s", rows[i].name,
		       rows[i].good ? "yes" : "no");
		close(fd);
	}
	fd = io_memfd_sealed("test", "hello", 5);
	tap_ok(fd >= 0 && io_is_sealed(fd, &size) && size == 5, "a sealed memfd of 5 bytes");
	tap_ok(io_read_full(fd, data, sizeof data) == 5 && !memcmp(data, "hello", 5),
	       "is read from its start");
	tap_ok(pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 0) < 0 && ftruncate(fd, 9) < 0,
	       "cannot be changed");
	tap_ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "does not pass an exec");
	close(fd);
	fd = io_memfd_sealed("test", "", 0);
	tap_ok(fd >= 0 && io_is_sealed(fd, &size) && size == 0, "an empty one");
	close(fd);
	fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	tap_ok(io_write_full(fd, "ab", 2) == 0 && io_seal(fd) == 0 && io_is_sealed(fd, &size) &&
	               size == 2,
	       "one written piece by piece");
	close(fd);
	size = 77;
	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	tap_ok(!io_is_sealed(ends[0], &size) && size == 77, "a pipe is not sealed");
	close(ends[0]);
	close(ends[1]);
	tap_ok(!io_is_sealed(-1, NULL), "nor is nothing");
}

/* ---- messages ---- */

/* Sends count descriptors and size bytes; the receiver has room for 8 bytes. */
static void check_message(const char *name, size_t size, size_t count, bool wants_fds,
                          int wanted_errno)
{
	char out[64] = "message!", in[8];
	int pair[2], fds[IO_FDS_MAX], got[IO_FDS_MAX];
	size_t i, got_count = 99, before;
	bool cloexec = true;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		exit(1);
	for (i = 0; i < count; i++)
		fds[i] = memfd_create("test", MFD_CLOEXEC);
	if (io_send(pair[0], out, size, fds, count) < 0)
		exit(1);
	before = open_count();
	errno = 0;
	n = io_recv(pair[1], in, sizeof in, wants_fds ? got : NULL, &got_count, 0);
	if (wanted_errno) {
		tap_ok(n == -1 && errno == wanted_errno && got_count == 0 &&
		               open_count() == before,
		       "%s: refused, nothing kept open", name);
	} else {
		for (i = 0; i < got_count; i++)
			cloexec = cloexec && (fcntl(got[i], F_GETFD) & FD_CLOEXEC);
		tap_ok(n == (ssize_t)size && !memcmp(in, out, size) && got_count == count &&
		               open_count() == before + count,
		       "%s: all there", name);
		tap_ok(cloexec, "%s: close-on-exec", name);
		for (i = 0; i < got_count; i++)
			close(got[i]);
	}
	for (i = 0; i < count; i++)
		close(fds[i]);
	close(pair[0]);
	close(pair[1]);
}

/* As long as somebody can write to it, a file cannot be sealed. */
static void check_busy_seal(void)
{
	int fd = io_memfd("busy"), pair[2];
	char c = 'x';
	pid_t pid;

	if (ftruncate(fd, 4096) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (write(pair[1], &c, 1) == 1 && read(pair[1], &c, 1) == 1)
			usleep(30000);
		_exit(0);
	}
	tap_ok(read(pair[0], &c, 1) == 1 && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) < 0 &&
		       errno == EBUSY && write(pair[0], &c, 1) == 1,
	       "a file that somebody can write to is busy");
	tap_ok(io_seal(fd) == 0 && io_is_sealed(fd, NULL), "its seal waits for that one's end");
	waitpid(pid, NULL, 0);
	close(fd);
	close(pair[0]);
	close(pair[1]);
}

static void check_messages(void)
{
	int pair[2], fds[IO_FDS_MAX + 1] = {0};
	size_t count = 99;
	char in[8];

	check_message("8 bytes", 8, 0, true, 0);
	check_message("one descriptor", 8, 1, true, 0);
	check_message("the most descriptors", 4, IO_FDS_MAX, true, 0);
	check_message("no room for descriptors asked for", 4, 0, false, 0);
	check_message("a longer message", 9, 0, true, EMSGSIZE);
	check_message("a longer message with descriptors", 9, 5, true, EMSGSIZE);
	check_message("descriptors for one who wants none", 8, 2, false, EMSGSIZE);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		exit(1);
	tap_ok(io_send(pair[0], "x", 1, fds, IO_FDS_MAX + 1) < 0 && errno == EINVAL,
	       "too many descriptors are not sent");
	tap_ok(io_recv(pair[1], in, sizeof in, NULL, &count, MSG_DONTWAIT) < 0 &&
	               errno == EAGAIN && count == 0,
	       "and nothing has come");
	close(pair[0]);
	tap_ok(io_recv(pair[1], in, sizeof in, NULL, NULL, 0) == 0, "the end is 0");
	tap_ok(io_send(pair[1], "x", 1, NULL, 0) < 0 && errno == EPIPE,
	       "to a closed one: EPIPE and no signal");
	close(pair[1]);
}

/* More than io_recv() has control room for: sent past io_send(). */
static void check_too_many(void)
{
	enum { MANY = 3 * IO_FDS_MAX };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int) * MANY)];
	} control = {0};
	struct iovec iov = {(char[]){"x"}, 1};
	struct msghdr msg = {.msg_iov = &iov,
	                     .msg_iovlen = 1,
	                     .msg_control = &control,
	                     .msg_controllen = sizeof control};
	int pair[2], fds[MANY], got[IO_FDS_MAX], i;
	size_t before, count = 99;
	char in[8];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		exit(1);
	for (i = 0; i < MANY; i++)
		fds[i] = pair[0];
	control.head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fds),
	                                .cmsg_level = SOL_SOCKET,
	                                .cmsg_type = SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.head), fds, sizeof fds);
	if (sendmsg(pair[0], &msg, 0) < 0)
		exit(1);
	before = open_count();
	tap_ok(io_recv(pair[1], in, sizeof in, got, &count, 0) < 0 && errno == EMSGSIZE &&
	               count == 0 && open_count() == before,
	       "%d descriptors: refused, nothing kept open", MANY);
	close(pair[0]);
	close(pair[1]);
}

/* ---- files ---- */

static void check_files(void)
{
	char text[8];
	int dir_fd;

	dir_fd = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scratch_write("seven", "1234567");
	scratch_write("eight", "12345678");
	scratch_write("none", "");
	tap_ok(io_read_text_at(dir_fd, "seven", text, sizeof text) == 7 &&
	               !strcmp(text, "1234567"),
	       "a text that just fits");
	errno = 0;
	tap_ok(io_read_text_at(dir_fd, "eight", text, sizeof text) < 0 && errno == EFBIG,
	       "a text that just does not");
	tap_ok(io_read_text_at(dir_fd, "none", text, sizeof text) == 0 && !*text,
	       "an empty text");
	tap_ok(io_read_text_at(dir_fd, "nobody", text, sizeof text) < 0 && errno == ENOENT,
	       "a text that is not there");
	tap_ok(io_write_text_at(dir_fd, "none", "new") == 0 &&
	               io_read_text_at(dir_fd, "none", text, sizeof text) == 3 &&
	               !strcmp(text, "new"),
	       "a text written");
	tap_ok(io_write_text_at(dir_fd, "nobody", "new") < 0 && errno == ENOENT,
	       "none is made by writing");
	close(dir_fd);
}

static void check_streams(void)
{
	char big[70000], back[70000];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) < 0)
		exit(1);
	memset(big, 'b', sizeof big);
	tap_ok(io_write_full(ends[1], big, sizeof big) == 0 &&
	               io_read_full(ends[0], back, sizeof back) == sizeof back &&
	               !memcmp(big, back, sizeof big),
	       "more than a pipe's page, whole");
	tap_ok(io_write_full(ends[1], "tail", 4) == 0, "a tail");
	close(ends[1]);
	tap_ok(io_read_full(ends[0], back, sizeof back) == 4, "fewer bytes only at the end");
	tap_ok(io_read_full(ends[0], back, sizeof back) == 0, "then none");
	close(ends[0]);
	errno = 0;
	tap_ok(io_write_full(-1, "x", 1) < 0 && errno == EBADF, "no descriptor: EBADF");
}

static void check_owners(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC), taken;
	size_t before = open_count();

	taken = steal_fd(&fd);
	tap_ok(fd == -1 && open_count() == before, "a stolen descriptor stays open");
	{
		cleanup_close int own = taken;

		tap_ok(own >= 0, "its new owner");
	}
	tap_ok(open_count() == before - 1, "closes it at the end of its block");
	close_fd(&fd);
	tap_ok(fd == -1, "closing nothing is harmless");
}

/* ---- sockets with a name ---- */

static void check_listen(void)
{
	char long_path[200];
	const char *path;
	struct error err = ERROR_INIT;
	struct stat st;
	int first, second, client;
	mode_t mask = umask(027);

	path = scratch_path("socket");
	first = io_listen_unix(path, SOCK_SEQPACKET, 0660, (gid_t)-1, 4, &err);
	tap_ok(first >= 0, "listens %s", err.text);
	tap_ok(stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0660,
	       "with its mode, whatever the umask");
	tap_ok(umask(mask) == 027, "and the umask as it was");
	second = io_listen_unix(path, SOCK_SEQPACKET, 0660, (gid_t)-1, 4, &err);
	tap_ok(second < 0 && err.code == EADDRINUSE, "a live socket is not replaced: %s",
	       err.text);
	client = io_connect_unix(path, SOCK_SEQPACKET, false, &err);
	tap_ok(client >= 0 && (fcntl(client, F_GETFD) & FD_CLOEXEC) &&
	               !(fcntl(client, F_GETFL) & O_NONBLOCK),
	       "is connected to");
	close(client);
	client = io_connect_unix(path, SOCK_SEQPACKET, true, &err);
	tap_ok(client >= 0 && (fcntl(client, F_GETFL) & O_NONBLOCK), "without blocking too");
	close(client);
	close(first);
	client = io_connect_unix(path, SOCK_SEQPACKET, false, &err);
	tap_ok(client < 0 && err.code == ECONNREFUSED && strstr(err.text, path),
	       "a dead one: %s", err.text);
	second = io_listen_unix(path, SOCK_STREAM, 0600, getgid(), 4, &err);
	tap_ok(second >= 0, "a dead socket is replaced");
	close(second);
	memset(long_path, 'x', sizeof long_path);
	long_path[0] = '/';
	long_path[sizeof long_path - 1] = '\0';
	tap_ok(io_listen_unix(long_path, SOCK_STREAM, 0600, (gid_t)-1, 4, &err) < 0 &&
	               err.code == ENAMETOOLONG,
	       "too long a path is refused");
	tap_ok(io_connect_unix("", SOCK_STREAM, false, &err) < 0 && err.code == ENAMETOOLONG,
	       "so is none");
	tap_ok(io_listen_unix(scratch_path("no/socket"), SOCK_STREAM, 0600, (gid_t)-1, 4,
	                      &err) < 0 &&
	               err.code == ENOENT,
	       "a folder that is not there: %s", err.text);
}

/* A live socket whose queue is full is live all the same. */
static void check_full_queue(void)
{
	const char *path = scratch_path("full");
	struct error err = ERROR_INIT;
	int waiting[8], fd, again, i;

	fd = io_listen_unix(path, SOCK_STREAM, 0600, (gid_t)-1, 0, &err);
	for (i = 0; i < 8; i++)
		waiting[i] = io_connect_unix(path, SOCK_STREAM, true, NULL);
	tap_ok(waiting[0] >= 0 && waiting[7] < 0, "a queue that is full");
	again = io_listen_unix(path, SOCK_STREAM, 0600, (gid_t)-1, 4, &err);
	tap_ok(again < 0 && err.code == EADDRINUSE, "is not taken for a dead socket");
	for (i = 0; i < 8; i++)
		close_fd(&waiting[i]);
	close(fd);
}

static void check_clock(void)
{
	uint64_t before = clock_us(), after;

	usleep(2000);
	after = clock_us();
	tap_ok(after >= before + 2000, "the clock goes on");
	tap_ok(clock_ms() >= after / 1000, "in milliseconds too");
}

int main(void)
{
	scratch_open();
	check_seals();
	check_busy_seal();
	check_messages();
	check_too_many();
	check_files();
	check_streams();
	check_owners();
	check_listen();
	check_full_queue();
	check_clock();
	return tap_done();
}
