/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/listen_fds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_FD 3

static void take(int fd, const char *name, size_t name_size, int *ret_run_fd, int *ret_api_fd)
{
	int *into = name_size == 3 && !strncmp(name, "api", 3)	? ret_api_fd
		    : name_size == 3 && !strncmp(name, "run", 3) ? ret_run_fd
		    : *ret_run_fd < 0				 ? ret_run_fd
								 : ret_api_fd;

	fcntl(fd, F_SETFD, FD_CLOEXEC);
	if (*into < 0)
		*into = fd;
}

int listen_fds_take(int *ret_run_fd, int *ret_api_fd)
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *name = getenv("LISTEN_FDNAMES");
	int n = 0, i;

	*ret_run_fd = *ret_api_fd = -1;
	if (pid && count && (pid_t)atol(pid) == getpid())
		n = atoi(count);
	for (i = 0; i < n && i < 2; i++) {
		size_t size = name ? strcspn(name, ":") : 0;

		take(FIRST_FD + i, name, size, ret_run_fd, ret_api_fd);
		if (name)
			name += name[size] ? size + 1 : size;
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return (*ret_run_fd >= 0) + (*ret_api_fd >= 0);
}
