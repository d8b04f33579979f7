/* SPDX-License-Identifier: ISC */
/* A folder for the files of one test program, gone when the program ends. */
#ifndef SANDPOOL_TESTS_SCRATCH_H
#define SANDPOOL_TESTS_SCRATCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[200];
static pid_t scratch_owner;

static inline int scratch_remove_one(const char *path, const struct stat *st, int kind,
                                     struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void scratch_empty(const char *path)
{
	nftw(path, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void scratch_close(void)
{
	if (scratch_owner == getpid())
		scratch_empty(scratch);
}

static inline void scratch_open(void)
{
	const char *base = getenv("TMPDIR");

	snprintf(scratch, sizeof scratch, "%.150s/sandpool-test-XXXXXX",
	         base && *base ? base : "/tmp");
	if (!mkdtemp(scratch)) {
		perror(scratch);
		exit(1);
	}
	scratch_owner = getpid();
	atexit(scratch_close);
}

/* The path of a name in it; good until the fourth call after this one. */
static inline const char *scratch_path(const char *name)
{
	static char paths[4][400];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
	return path;
}

static inline const char *scratch_write_bytes(const char *name, const void *data, size_t size)
{
	const char *path = scratch_path(name);
	FILE *file = fopen(path, "we");

	if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0 ||
	    chmod(path, 0644) < 0) {
		perror(path);
		exit(1);
	}
	return path;
}

static inline const char *scratch_write(const char *name, const char *text)
{
	return scratch_write_bytes(name, text, strlen(text));
}

#endif
