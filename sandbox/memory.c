/* SPDX-License-Identifier: ISC */
/* Runs as: root (the keeper). */
#define _GNU_SOURCE
#include "sandbox/memory.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/io.h"

enum fate { STAYS, KEPT_FROM_CHILDREN, UNMAPPED, FATES };

static const struct {
	const char *name;
	enum fate fate;
} libraries[] = {
	{ "", STAYS }, /* the program itself */
	{ "ld-linux", STAYS },
	{ "libc.so", STAYS },
	{ "linux-vdso", STAYS },
	{ "libcap.so", UNMAPPED },
	{ "libcgroup.so", UNMAPPED },
	{ "libconfig.so", UNMAPPED },
	{ "libm.so", UNMAPPED },
	{ "libmd.so", KEPT_FROM_CHILDREN }, /* the keys of the compile cache */
	{ "libnss_", UNMAPPED },
	{ "libpthread.so", UNMAPPED },
	{ "libseccomp.so", UNMAPPED },
	{ "libsystemd.so", UNMAPPED },
};

struct part {
	void *start;
	size_t size;
};

/* Gathered first: where a library is stands in the library. */
struct parts {
	size_t count;
	struct part part[32];
};

/* From its first segment to its last one: the loader has reserved what lies between. */
static void gather(struct parts *parts, const struct dl_phdr_info *object)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = UINTPTR_MAX, end = 0;
	size_t i;

	for (i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];

		if (segment->p_type != PT_LOAD)
			continue;
		if (segment->p_vaddr < start)
			start = segment->p_vaddr;
		if (segment->p_vaddr + segment->p_memsz > end)
			end = segment->p_vaddr + segment->p_memsz;
	}
	if (end == 0 || parts->count == ARRAY_LEN(parts->part))
		return;
	start = (object->dlpi_addr + start) & ~(page - 1);
	end = (object->dlpi_addr + end + page - 1) & ~(page - 1);
	parts->part[parts->count++] = (struct part){ (void *)start, end - start };
}

static enum fate fate_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	size_t i;

	for (i = 0; i < ARRAY_LEN(libraries); i++)
		if (libraries[i].name[0] ? !strncmp(name, libraries[i].name, strlen(libraries[i].name))
					 : !name[0])
			return libraries[i].fate;
	return FATES;
}

/* Ends with 1 at one that is not in the table: it may have been preloaded, and may call
 * whichever it likes of the others. */
static int sort_object(struct dl_phdr_info *object, size_t size, void *data)
{
	struct parts *by_fate = data;
	enum fate fate = fate_of(object->dlpi_name);

	(void)size;
	if (fate != FATES)
		gather(&by_fate[fate], object);
	return fate == FATES;
}

void memory_forget_libraries(void)
{
	static struct parts by_fate[FATES];
	const struct parts *kept = &by_fate[KEPT_FROM_CHILDREN], *unmapped = &by_fate[UNMAPPED];
	size_t i;

	malloc_trim(0);
	if (dl_iterate_phdr(sort_object, by_fate) != 0)
		return;
	/* if one cannot be, nothing is lost but time */
	for (i = 0; i < kept->count; i++)
		madvise(kept->part[i].start, kept->part[i].size, MADV_DONTFORK);
	for (i = 0; i < unmapped->count; i++)
		munmap(unmapped->part[i].start, unmapped->part[i].size);
}
