/* SPDX-License-Identifier: ISC */
/* Goes through the corpus of a fuzz target without a fuzzer: each file as it is, cut
 * at each place, and with single bits turned. The target aborts when it finds fault.
 *
 *	fuzz_json [FOLDER | FILE]...
 *
 * Without arguments: $top_srcdir/tests/fuzz/corpus/json. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "tests/fuzz/fuzz.h"
#include "tests/tap.h"

#define FILE_MAX      ((size_t)1 << 20)
#define MUTATIONS_MAX 600 /* of each kind, for each file */

/* In memory of its exact size, so that a sanitizer sees one byte too many. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void run_mutations(uint8_t *data, size_t size)
{
	size_t step = size / MUTATIONS_MAX + 1, i;

	for (i = 0; i < size; i += step) {
		uint8_t kept = data[i];

		run(data, i);
		data[i] ^= (uint8_t)(1u << (i * 5 % 8));
		run(data, size);
		data[i] = 0xff;
		run(data, size);
		data[i] = kept;
	}
}

static void replay_file(const char *path, const char *name)
{
	uint8_t *data = malloc(FILE_MAX);
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 || !data ? -1 : io_read_full(fd, data, FILE_MAX);

	if (size >= 0) {
		run(data, (size_t)size);
		run_mutations(data, (size_t)size);
	}
	tap_ok(size >= 0, "%s: %zd bytes", name, size);
	free(data);
}

static int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void replay(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, no_dots, alphasort), i;

	if (count < 0) {
		replay_file(path, path);
		return;
	}
	tap_ok(count > 0, "%s has files", path);
	for (i = 0; i < count; i++) {
		char file[4096];

		snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
		replay_file(file, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

int main(int argc, char **argv)
{
	const char *top = getenv("top_srcdir");
	char path[4096];
	int i;

	for (i = 1; i < argc; i++)
		replay(argv[i]);
	if (argc < 2) {
		snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", top ? top : ".",
			 program_invocation_short_name + strlen("fuzz_"));
		replay(path);
	}
	return tap_done();
}
