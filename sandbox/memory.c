/* SPDX-License-Identifier: ISC */
/* Runs as: root (the keeper). */
#define _GNU_SOURCE
#include "sandbox/memory.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

static bool holds(const struct dl_phdr_info *object, uintptr_t address)
{
	size_t i;

	for (i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type == PT_LOAD &&
		    address - (object->dlpi_addr + part->p_vaddr) < part->p_memsz)
			return true;
	}
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
	const uintptr_t needed[] = { (uintptr_t)&memory_keep_from_children, (uintptr_t)&malloc,
				     (uintptr_t)getauxval(AT_BASE),
				     (uintptr_t)getauxval(AT_SYSINFO_EHDR) };
	size_t i;

	(void)size;
	(void)data;
	for (i = 0; i < sizeof needed / sizeof needed[0]; i++)
		if (holds(object, needed[i]))
			return 0;
	for (i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_LOAD)
			keep_part(object, &object->dlpi_phdr[i]);
	return 0;
}

void memory_keep_from_children(void)
{
	malloc_trim(0);
	/* a sanitizer's library is called everywhere */
#ifndef __SANITIZE_ADDRESS__
	dl_iterate_phdr(keep_object, NULL);
#endif
}
