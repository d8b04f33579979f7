/* SPDX-License-Identifier: ISC */
/* The configuration file. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/io.h"
#include "common/settings.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct settings settings;
	cleanup_close int fd = -1;
	char path[64];

	/* an include would make the outcome depend on this machine's files */
	if (size && memmem(data, size, "@include", 8))
		return 0;
	fd = memfd_create("conf", MFD_CLOEXEC);
	if (fd < 0 || io_write_full(fd, data, size) < 0)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	memset(&settings, 0, sizeof settings);
	if (settings_load(path, false, &settings, &err) == 0)
		settings_free(&settings);
	else if (!err.text[0])
		abort();
	return 0;
}
