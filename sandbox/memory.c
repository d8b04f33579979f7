/* SPDX-License-Identifier: ISC */
/* Runs as: root (the keeper). */
#define _GNU_SOURCE
#include "sandbox/memory.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/io.h"

/* Whatever is not named here may be called by anybody: a library that was preloaded stands
 * before the C library. */
static const char *const own_libraries[] = { "libcap.so",   "libcgroup.so",	 "libconfig.so",
					     "libmd.so",    "libseccomp.so", "libsystemd.so",
					     "libpthread.so", "libm.so",	 "libnss_" };

static bool is_own(const char *path)
{
	const char *name = strrchr(path, '/');
	size_t i;

	name = name ? name + 1 : path;
	for (i = 0; i < ARRAY_LEN(own_libraries); i++)
		if (!strncmp(name, own_libraries[i], strlen(own_libraries[i])))
			return true;
	return false;
}

static void keep_part(const struct dl_phdr_info *object, const ElfW(Phdr) *part)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (object->dlpi_addr + part->p_vaddr) & ~(page - 1);
	uintptr_t end = (object->dlpi_addr + part->p_vaddr + part->p_memsz + page - 1) & ~(page - 1);

	/* if it cannot be, nothing is lost but time */
	madvise((void *)start, end - start, MADV_DONTFORK);
}

static int keep_object(struct dl_phdr_info *object, size_t size, void *data)
{
	size_t i;

	(void)size;
	(void)data;
	if (!is_own(object->dlpi_name))
		return 0;
	for (i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_LOAD)
			keep_part(object, &object->dlpi_phdr[i]);
	return 0;
}

void memory_keep_from_children(void)
{
	malloc_trim(0);
	dl_iterate_phdr(keep_object, NULL);
}
