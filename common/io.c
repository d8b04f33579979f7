/* SPDX-License-Identifier: ISC */
/* Runs as: any user. */
#define _GNU_SOURCE
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

uint64_t clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t clock_ms(void)
{
	return clock_us() / 1000;
}

int io_write_full(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

ssize_t io_read_full(int fd, void *data, size_t size)
{
	char *p = data;
	size_t done = 0;

	while (done < size) {
		ssize_t n = read(fd, p + done, size - done);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -1;
		}
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

ssize_t io_read_text_at(int dir_fd, const char *name, char *text, size_t size)
{
	cleanup_close int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = io_read_full(fd, text, size);
	if (n < 0)
		return -1;
	if ((size_t)n == size) {
		errno = EFBIG;
		return -1;
	}
	text[n] = '\0';
	return n;
}

int io_write_text_at(int dir_fd, const char *name, const char *text)
{
	cleanup_close int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
	size_t size = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -1;
	do
		n = write(fd, text, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	if ((size_t)n != size) {
		errno = EIO;
		return -1;
	}
	return 0;
}

int io_send(int sock_fd, const void *data, size_t size, const int *fds, size_t fds_count)
{
	char control[CMSG_SPACE(sizeof(int) * IO_FDS_MAX)] = { 0 };
	struct iovec iov = { (void *)data, size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (fds_count > IO_FDS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (fds_count > 0) {
		struct cmsghdr *head;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fds_count);
		head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * fds_count);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * fds_count);
	}
	do
		n = sendmsg(sock_fd, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

/* Takes the descriptors out of the control data; those beyond the room that
 * the caller has are closed and counted as an overrun. */
static bool take_fds(struct msghdr *msg, int *fds, size_t room, size_t *ret_count)
{
	struct cmsghdr *head;
	bool fits = true;
	size_t count = 0;

	for (head = CMSG_FIRSTHDR(msg); head; head = CMSG_NXTHDR(msg, head)) {
		size_t n, i;
		int fd;

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof fd);
			if (count < room) {
				fds[count++] = fd;
			} else {
				close(fd);
				fits = false;
			}
		}
	}
	*ret_count = count;
	return fits;
}

ssize_t io_recv(int sock_fd, void *data, size_t size, int *fds, size_t *ret_fds_count, int flags)
{
	char control[CMSG_SPACE(sizeof(int) * IO_FDS_MAX) + CMSG_SPACE(64)];
	struct iovec iov = { data, size };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof control };
	size_t room = fds ? IO_FDS_MAX : 0, count = 0, i;
	bool fits;
	ssize_t n;

	if (ret_fds_count)
		*ret_fds_count = 0;
	do
		n = recvmsg(sock_fd, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	fits = take_fds(&msg, fds, room, &count);
	/* an empty message looks like the end, and nobody expects descriptors there */
	if (!fits || n == 0 || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		for (i = 0; i < count; i++)
			close(fds[i]);
		if (fits && n == 0)
			return 0;
		errno = EMSGSIZE;
		return -1;
	}
	if (ret_fds_count)
		*ret_fds_count = count;
	return n;
}

#define SEAL_TRIES 50
#define SEAL_MS	   10

/* Busy is a page that the kernel itself holds for a moment, to move it for example. */
int io_seal(int memfd)
{
	int tries, rc;

	for (tries = 0; (rc = fcntl(memfd, F_ADD_SEALS, ALL_SEALS)) < 0; tries++) {
		if (errno != EBUSY || tries == SEAL_TRIES)
			break;
		poll(NULL, 0, SEAL_MS);
	}
	return rc;
}

int io_memfd(const char *name)
{
	return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

int io_memfd_seal_with(int memfd, const void *data, size_t size)
{
	const char *at = data;
	off_t offset = 0;

	while (size > 0) {
		ssize_t n = pwrite(memfd, at, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += n;
		offset += n;
		size -= (size_t)n;
	}
	return io_seal(memfd);
}

int io_memfd_sealed(const char *name, const void *data, size_t size)
{
	cleanup_close int fd = io_memfd(name);

	if (fd < 0 || io_memfd_seal_with(fd, data, size) < 0)
		return -1;
	return steal_fd(&fd);
}

bool io_is_sealed(int fd, uint64_t *ret_size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
		return false;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0)
		return false;
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	return true;
}

static int unix_address(const char *path, struct sockaddr_un *ret_addr, struct error *err)
{
	size_t size = strlen(path);

	memset(ret_addr, 0, sizeof *ret_addr);
	ret_addr->sun_family = AF_UNIX;
	if (size == 0 || size >= sizeof ret_addr->sun_path)
		return error_set(err, ENAMETOOLONG,
				 "socket path %s: must be shorter than %zu bytes", path,
				 sizeof ret_addr->sun_path);
	memcpy(ret_addr->sun_path, path, size);
	return 0;
}

int io_connect_unix(const char *path, int type, bool nonblocking, struct error *err)
{
	cleanup_close int fd = -1;
	struct sockaddr_un addr;

	if (unix_address(path, &addr, err) < 0)
		return -1;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0);
	if (fd < 0)
		return error_errno(err, "socket");
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		return error_errno(err, "connect %s", path);
	return steal_fd(&fd);
}

/* Bound, with group and mode, and listening: closed to everybody until all that is right. */
static int bind_listen(int fd, const char *path, mode_t mode, gid_t group, int backlog,
		       struct error *err)
{
	struct sockaddr_un addr;
	mode_t mask;
	int rc;

	if (unix_address(path, &addr, err) < 0)
		return -1;
	if (unlink(path) < 0 && errno != ENOENT)
		return error_errno(err, "unlink %s", path);
	mask = umask(0777);
	rc = bind(fd, (struct sockaddr *)&addr, sizeof addr);
	umask(mask);
	if (rc < 0)
		return error_errno(err, "bind %s", path);
	if (group != (gid_t)-1 && chown(path, (uid_t)-1, group) < 0)
		return error_errno(err, "chown %s", path);
	if (chmod(path, mode) < 0)
		return error_errno(err, "chmod %s", path);
	return listen(fd, backlog) < 0 ? error_errno(err, "listen %s", path) : 0;
}

int io_listen_unix(const char *path, int type, mode_t mode, gid_t group, int backlog,
		   struct error *err)
{
	cleanup_close int fd = -1;
	struct sockaddr_un addr;
	char next[sizeof addr.sun_path + 1];
	int live;

	/* under another name until somebody listens: whoever sees it can connect */
	snprintf(next, sizeof next, "%s~", path);
	if (unix_address(path, &addr, err) < 0 || unix_address(next, &addr, err) < 0)
		return -1;
	live = io_connect_unix(path, type, true, NULL);
	if (live >= 0 || errno == EAGAIN) {
		close_fd(&live);
		return error_set(err, EADDRINUSE, "%s: somebody already listens there", path);
	}
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_errno(err, "socket");
	if (bind_listen(fd, next, mode, group, backlog, err) < 0)
		return -1;
	if (rename(next, path) < 0) {
		unlink(next);
		return error_errno(err, "rename %s", next);
	}
	return steal_fd(&fd);
}
