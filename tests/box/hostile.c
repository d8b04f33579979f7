/* SPDX-License-Identifier: ISC */
/* Runs as: the box's program, and nowhere else: it refuses to attack a machine
 * where it is root. */
#define _GNU_SOURCE
#include "tests/box/hostile.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>

static bool differed;

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	fflush(stdout);
}

int differs(const char *fmt, ...)
{
	va_list ap;

	differed = true;
	printf("differs: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	return -1;
}

static void print_allowed(char *text, size_t size, const int *allowed)
{
	size_t used = 0;

	text[0] = '\0';
	for (; *allowed && used < size; allowed++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? " or " : "",
					 *allowed == OK ? "success"
							: strerrorname_np(*allowed));
}

bool want_one_of(const char *what, long rc, const int *allowed)
{
	int got = rc < 0 ? errno : OK;
	const char *name = got == OK ? "success" : strerrorname_np(got);
	char text[200];
	size_t i;

	for (i = 0; allowed[i]; i++)
		if (allowed[i] == got)
			return true;
	print_allowed(text, sizeof text, allowed);
	differs("%s: %s, promised %s", what, name ? name : "an odd errno", text);
	return false;
}

long call_padded(long nr, const long args[6])
{
	return syscall(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

int in_child(int (*run)(void *data), void *data)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0)
		_exit(run(data));
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

long read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), saved;
	size_t used = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (used + 1 < size && (n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	saved = errno;
	close(fd);
	errno = saved;
	text[used] = '\0';
	return n < 0 ? -1 : (long)used;
}

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK), saved;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	saved = errno;
	close(fd);
	errno = saved;
	return n < 0 ? -1 : 0;
}

void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

uint64_t random_bits(void)
{
	uint64_t bits;

	if (getrandom(&bits, sizeof bits, 0) != sizeof bits)
		abort();
	return bits;
}

int main(int argc, char **argv)
{
	static const struct attack *const groups[] = {
		attacks_kernel, attacks_fs, attacks_proc, attacks_memory, attacks_io,
	};
	const struct attack *attack;
	size_t i;

	if (argc < 2) {
		fprintf(stderr, "usage: hostile CASE [WORD...]\n");
		return 2;
	}
	if (getuid() == 0) {
		fprintf(stderr, "hostile: not as root\n");
		return 2;
	}
	for (i = 0; i < ARRAY_LEN(groups); i++)
		for (attack = groups[i]; attack->name; attack++) {
			if (strcmp(attack->name, argv[1]) != 0)
				continue;
			if (attack->run(argv + 2) < 0 || differed)
				return 1;
			say("as promised\n");
			return 0;
		}
	fprintf(stderr, "hostile: no case %s\n", argv[1]);
	return 2;
}
