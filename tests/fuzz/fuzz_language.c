/* SPDX-License-Identifier: ISC */
/* A language file, and the argv that comes of it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/language.h"
#include "tests/fuzz/fuzz.h"

static char folder[64];

static void remove_folder(void)
{
	char path[sizeof folder + 16];

	snprintf(path, sizeof path, "%s/c.lang", folder);
	unlink(path);
	rmdir(folder);
}

static void make_folder(void)
{
	const char *where = getenv("TMPDIR");

	snprintf(folder, sizeof folder, "%s/sandpool-fuzz.XXXXXX",
		 where && strlen(where) < 32 ? where : "/tmp");
	if (!mkdtemp(folder))
		abort();
	atexit(remove_folder);
}

static int ignore_word(void *data, const char *word, size_t size)
{
	*(size_t *)data += size + (word ? 1 : 0);
	return 0;
}

static void expand(const struct language *language)
{
	static const struct bytes words[] = { { "-O2", 3 }, { "", 0 } };
	struct language_words with = {
		.main_file = { "main.c", 6 },
		.options = words,
		.arguments = words,
		.files = words,
		.options_count = 2,
		.arguments_count = 2,
		.files_count = 1,
	};
	char room[256];
	size_t sum = 0;
	int stage;

	for (stage = 0; stage < STAGE_COUNT; stage++)
		language_expand(&language->argv[stage], &with, room, sizeof room, ignore_word,
				&sum);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct language_table *table;
	struct error err = ERROR_INIT;
	cleanup_close int fd = -1;
	char path[sizeof folder + 16];

	if (size && memmem(data, size, "@include", 8))
		return 0;
	if (!folder[0])
		make_folder();
	snprintf(path, sizeof path, "%s/c.lang", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || io_write_full(fd, data, size) < 0)
		abort();
	table = language_table_load(folder, false, &err);
	if (!table && !err.text[0])
		abort();
	if (table && table->count)
		expand(&table->language[0]);
	language_table_free(table);
	return 0;
}
