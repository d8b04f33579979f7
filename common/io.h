/* SPDX-License-Identifier: ISC */
/* Whole reads and writes, descriptors over sockets, clean-up by declaration. */
#ifndef SANDPOOL_IO_H
#define SANDPOOL_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

#include "common/error.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static inline void io_close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void io_free_p(void *p)
{
	free(*(void **)p);
}

#define cleanup_close __attribute__((cleanup(io_close_p)))
#define cleanup_free  __attribute__((cleanup(io_free_p)))

/* Hands a descriptor over: the caller's variable becomes -1. */
static inline int steal_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* Closes and forgets; harmless on -1. */
static inline void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Microseconds and milliseconds of the monotonic clock. */
uint64_t clock_us(void);
uint64_t clock_ms(void);

/* All of it or -1 with errno; io_read_full() gives the bytes read, fewer than
 * size only at the end of the file. EINTR is repeated. */
int io_write_full(int fd, const void *data, size_t size);
ssize_t io_read_full(int fd, void *data, size_t size);

/* A small text file below dir_fd, whole, NUL-terminated, at most size - 1 bytes
 * (longer is an error); -1 with errno. */
ssize_t io_read_text_at(int dir_fd, const char *name, char *text, size_t size);

/* Writes text to an existing file below dir_fd by one write(2). */
int io_write_text_at(int dir_fd, const char *name, const char *text);

/* One message over a SOCK_SEQPACKET socket with up to IO_FDS_MAX descriptors.
 * io_send: 0 or -1 with errno (never SIGPIPE). io_recv: bytes of the message,
 * 0 at the end, -1 with errno; EMSGSIZE when it or its descriptors were cut,
 * and then nothing is kept open. Descriptors come close-on-exec. */
#define IO_FDS_MAX 8
int io_send(int sock_fd, const void *data, size_t size, const int *fds, size_t fds_count);
ssize_t io_recv(int sock_fd, void *data, size_t size, int *fds, size_t *ret_fds_count,
		int flags);

/* A memfd with the content and all four seals, at offset 0; -1 with errno. The others are
 * its parts: an empty one, the content and the seals, the seals alone. */
int io_memfd_sealed(const char *name, const void *data, size_t size);
int io_memfd(const char *name);
int io_memfd_seal_with(int memfd, const void *data, size_t size);
int io_seal(int memfd);

/* Is fd a memfd with all four seals? ret_size (may be NULL) gets its size. */
bool io_is_sealed(int fd, uint64_t *ret_size);

/* A listening SOCK_SEQPACKET or SOCK_STREAM socket at an absolute path, made
 * with the mode and group from its first moment (group -1: unchanged). A dead
 * socket file is replaced, a live one is an error (EADDRINUSE). */
int io_listen_unix(const char *path, int type, mode_t mode, gid_t group, int backlog,
		   struct error *err);
int io_connect_unix(const char *path, int type, bool nonblocking, struct error *err);

#endif
