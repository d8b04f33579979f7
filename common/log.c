/* SPDX-License-Identifier: ISC */
/* Runs as: any user. */
#include "common/log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *program_name = "sandpool";
static enum log_level level_max = LOG_NOTICE;
static uint64_t dropped;

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_NOTICE] = "notice",
	[LOG_DEBUG] = "debug",
};

void log_open(const char *program, enum log_level max)
{
	program_name = program;
	level_max = max;
}

uint64_t log_dropped(void)
{
	return dropped;
}

void log_line(int fd, const char *line, size_t size)
{
	struct iovec iov[2] = { { (void *)line, size }, { (void *)(uintptr_t)"\n", 1 } };
	struct pollfd p = { fd, POLLOUT, 0 };
	int saved = errno;

	/* a pipe that says POLLOUT takes PIPE_BUF bytes without blocking, and a
	 * line of ours is shorter; files and terminals are always writable */
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT) || writev(fd, iov, 2) < 0)
		dropped++;
	errno = saved;
}

static size_t escape(char *out, size_t room, const char *text)
{
	size_t used = 0;

	for (; *text && used + 5 < room; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < 0x20 || c == 0x7f)
			used += (size_t)snprintf(out + used, room - used, "\\x%02x", c);
		else
			out[used++] = (char)c;
	}
	out[used] = '\0';
	return used;
}

void log_event(enum log_level level, const char *fmt, ...)
{
	char text[1024], line[2048];
	size_t used;
	va_list ap;

	if (level > level_max)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	used = (size_t)snprintf(line, sizeof line, "%s: %s: ", program_name, level_names[level]);
	used += escape(line + used, sizeof line - used, text);
	log_line(STDERR_FILENO, line, used);
}
