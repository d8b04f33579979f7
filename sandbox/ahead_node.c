/* SPDX-License-Identifier: ISC */
/* Runs as: the box user, inside an interpreter that was started ahead.
 * Node's own modules, of which the first console.log() loads dozens, lie in it compiled; but
 * what V8 compiled under one set of flags it does not take under another, and a heap size in
 * NODE_OPTIONS is such a flag: then all of them are compiled from their source. V8 knows the
 * set by a hash, which it makes when it is first asked for after a flag was changed. So the
 * flag gets its default, the hash is asked for, and the value is put back into its variable:
 * from then on all is as it was, also for the heaps of workers, but for the hash. (That shows
 * as v8.cachedDataVersionTag(), and in nothing else.) When the program changes a flag V8 makes
 * the hash anew, of the true values. */
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/ahead_rooms.h"

#define OPTION	   "--max-old-space-size="
#define FLAGS_ROOM 4096 /* words */

/* Where V8 has its flags: one variable each, or a struct of them all. */
struct place {
	size_t *word, count;
};

static struct {
	void (*set)(const char *text, size_t size);
	uint32_t (*hash)(void); /* with the version of V8 and the like */
} v8;

static bool find_functions(void)
{
	bool (*frozen)(void);

	*(void **)&v8.set = dlsym(RTLD_DEFAULT, "_ZN2v82V818SetFlagsFromStringEPKcm");
	*(void **)&v8.hash =
		dlsym(RTLD_DEFAULT, "_ZN2v814ScriptCompiler20CachedDataVersionTagEv");
	*(void **)&frozen = dlsym(RTLD_DEFAULT, "_ZN2v88internal8FlagList8IsFrozenEv");
	return v8.set && v8.hash && (!frozen || !frozen());
}

static bool find_place(struct place *ret_place)
{
	void *flag = dlsym(RTLD_DEFAULT, "_ZN2v88internal23FLAG_max_old_space_sizeE");
	void *flags = dlsym(RTLD_DEFAULT, "_ZN2v88internal8v8_flagsE");
	const ElfW(Sym) * symbol;
	Dl_info info;

	ret_place->word = flag ? flag : flags;
	ret_place->count = 1;
	if (flag || !flags)
		return flag != NULL;
	if (!dladdr1(flags, &info, (void **)&symbol, RTLD_DL_SYMENT) ||
	    info.dli_saddr != flags || !symbol)
		return false;
	ret_place->count = symbol->st_size / sizeof(size_t);
	return ret_place->count > 0 && ret_place->count <= FLAGS_ROOM;
}

/* Behind the option's name, in which a minus and an underscore are the same; NULL: another. */
static const char *behind_option(const char *at)
{
	size_t i;

	for (i = 0; OPTION[i]; i++)
		if (at[i] != OPTION[i] && (at[i] != '_' || OPTION[i] != '-'))
			return NULL;
	return at + i;
}

/* The last one holds. */
static size_t wanted_size(void)
{
	const char *at = getenv("NODE_OPTIONS"), *text;
	size_t size = 0;

	for (; at && *at; at++)
		if ((text = behind_option(at)))
			size = strtoull(text, NULL, 10);
	return size;
}

static void set_size(size_t mib)
{
	char text[64];

	v8.set(text, (size_t)snprintf(text, sizeof text, OPTION "%zu", mib));
}

/* The one that has changed with the flag, from its value to none. */
static size_t *changed_word(const struct place *place, const size_t *before, size_t value)
{
	size_t *found = NULL, i;

	for (i = 0; i < place->count; i++) {
		if (place->word[i] == before[i])
			continue;
		if (found || before[i] != value || place->word[i] != 0)
			return NULL;
		found = &place->word[i];
	}
	return found;
}

void ahead_node_prepare(void)
{
	static size_t before[FLAGS_ROOM];
	size_t value = wanted_size(), *word;
	struct place place;

	if (!value || !find_functions() || !find_place(&place))
		return;
	memcpy(before, place.word, place.count * sizeof *before);
	set_size(0);
	word = changed_word(&place, before, value);
	if (word) {
		v8.hash();
		*word = value;
	} else {
		set_size(value);
	}
}
