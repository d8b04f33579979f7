/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/versions.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "common/io.h"
#include "common/log.h"
#include "fcgi/launch.h"

#define WAIT_FOR_BOX_US 2000000
#define LOOK_US		10000 /* how soon others get a box that we have */
#define CUT_MAX		5     /* so often what was stopped in the middle is asked again */

struct versions {
	uint32_t count;
	struct {
		char id[JOB_LANGUAGE_MAX + 1];
		/* odd while the prober writes, and moved on by every write */
		uint32_t sequence;
		char text[VERSIONS_TEXT];
		/* What it was asked with: another image or another language file may say
		 * another version. "" and zeroes: never asked. */
		char manifest[24];
		uint8_t file[LANGUAGE_HASH_BYTES];
		uint8_t cut; /* how often it was stopped before it said anything */
	} slot[VERSIONS_MAX];
};

struct versions *versions_new(struct error *err)
{
	struct versions *versions = mmap(NULL, sizeof *versions, PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (versions == MAP_FAILED) {
		error_errno(err, "map the versions");
		return NULL;
	}
	return versions;
}

size_t versions_slot(const struct versions *versions, const char *language_id)
{
	uint32_t count = __atomic_load_n(&versions->count, __ATOMIC_ACQUIRE), i;

	for (i = 0; i < count; i++)
		if (!strcmp(versions->slot[i].id, language_id))
			return i;
	return VERSIONS_UNKNOWN;
}

const char *versions_id(const struct versions *versions, size_t slot)
{
	uint32_t count = __atomic_load_n(&versions->count, __ATOMIC_ACQUIRE);

	return slot < count ? versions->slot[slot].id : NULL;
}

void versions_name(struct versions *versions, const struct language_table *table)
{
	size_t i;

	for (i = 0; i < table->count; i++) {
		uint32_t count = versions->count;

		if (count >= VERSIONS_MAX ||
		    versions_slot(versions, table->language[i].id) != VERSIONS_UNKNOWN)
			continue;
		snprintf(versions->slot[count].id, sizeof versions->slot[count].id, "%s",
			 table->language[i].id);
		__atomic_store_n(&versions->count, count + 1, __ATOMIC_RELEASE);
	}
}

void versions_get(const struct versions *versions, const char *language_id,
		  char ret_text[VERSIONS_TEXT])
{
	size_t slot = versions_slot(versions, language_id);
	uint32_t before, after;
	int tries = 3;

	ret_text[0] = '\0';
	if (slot == VERSIONS_UNKNOWN)
		return;
	do {
		before = __atomic_load_n(&versions->slot[slot].sequence, __ATOMIC_ACQUIRE);
		memcpy(ret_text, versions->slot[slot].text, VERSIONS_TEXT);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		after = __atomic_load_n(&versions->slot[slot].sequence, __ATOMIC_RELAXED);
	} while ((before != after || (before & 1)) && --tries > 0);
	if (tries == 0)
		ret_text[0] = '\0';
	ret_text[VERSIONS_TEXT - 1] = '\0';
}

static bool known(const struct versions *versions, size_t slot, const struct language *language,
		  const char *manifest)
{
	return !strcmp(versions->slot[slot].manifest, manifest) &&
	       !memcmp(versions->slot[slot].file, language->hash, sizeof language->hash);
}

static void put(struct versions *versions, size_t slot, const char *text,
		const struct language *language, const char *manifest)
{
	__atomic_add_fetch(&versions->slot[slot].sequence, 1, __ATOMIC_ACQ_REL);
	snprintf(versions->slot[slot].text, VERSIONS_TEXT, "%s", text);
	__atomic_add_fetch(&versions->slot[slot].sequence, 1, __ATOMIC_RELEASE);
	snprintf(versions->slot[slot].manifest, sizeof versions->slot[slot].manifest, "%s",
		 manifest);
	memcpy(versions->slot[slot].file, language->hash, sizeof language->hash);
	versions->slot[slot].cut = 0;
}

/* ---- out of what a program says ---- */

static bool in_version(char c)
{
	return isalnum((unsigned char)c) || (c && strchr(".+~-_:", c));
}

/* Where a version begins in a word: at a digit, also behind letters ("v20.1", "jq-1.6")
 * when what follows has the look of one. */
static struct bytes version_in(struct bytes word)
{
	size_t i = 0, digits;

	while (i < word.size && !isdigit((unsigned char)word.data[i]))
		i++;
	for (digits = i; digits < word.size && isdigit((unsigned char)word.data[digits]); digits++)
		;
	if (i > 0 && (digits + 1 >= word.size || word.data[digits] != '.' ||
		      !isdigit((unsigned char)word.data[digits + 1])))
		i = word.size;
	while (word.size > i && !isalnum((unsigned char)word.data[word.size - 1]))
		word.size--;
	return (struct bytes){ word.data + i, word.size - i };
}

/* The first that has a dot in it; else the first. */
void versions_extract(const char *output, size_t size, char ret_text[VERSIONS_TEXT])
{
	struct bytes best = { 0 };
	size_t i = 0;

	while (i < size) {
		struct bytes word = { output + i, 0 }, version;

		while (i < size && in_version(output[i]))
			i++;
		word.size = (size_t)(output + i - word.data);
		i += word.size == 0;
		version = version_in(word);
		if (version.size == 0)
			continue;
		if (best.size == 0)
			best = version;
		if (memchr(version.data, '.', version.size)) {
			best = version;
			break;
		}
	}
	if (best.size >= VERSIONS_TEXT)
		best.size = VERSIONS_TEXT - 1;
	snprintf(ret_text, VERSIONS_TEXT, "%.*s", (int)best.size, best.data ? best.data : "");
}

/* ---- the prober ---- */

struct prober {
	struct versions *versions;
	const struct settings *settings;
	const struct language_table *table;
	bool (*wanted)(void *data); /* do others want the boxes? */
	void *data;
};

/* A request is worth more than a version: we ask only where a slot has nothing to do. */
static int make_way(void *data)
{
	const struct prober *p = data;

	return p->wanted(p->data) ? -1 : 0;
}

static enum launch_end ask(struct prober *p, const struct language *language, const char *image,
			   struct launch_result *result)
{
	static const struct limits none;
	struct launch launch = LAUNCH_INIT;
	struct job_file file = { .name = { language->file, strlen(language->file) } };
	struct launch_stage stage = {
		.id = "",
		.language = language->id,
		.table_hash = p->table->hash,
		.stage = STAGE_VERSION,
		.files = &file,
		.files_count = 1,
		.wait_us = WAIT_FOR_BOX_US,
		.client_fd = -1,
		.on_tick = make_way,
		.tick_us = LOOK_US,
		.data = p,
	};
	struct error err = ERROR_INIT;
	enum launch_end end;

	memset(result, 0, sizeof *result);
	if (make_way(p) < 0)
		return LAUNCH_GONE;
	if (job_resolve_limits(&p->settings->policy, STAGE_VERSION, &language->run, &none,
			       &stage.limits, NULL, &err) < 0)
		return LAUNCH_REFUSED;
	stage.reserve_bytes = stage.limits.memory_bytes;
	end = launch_run(&launch, p->settings->run_directory, image, &stage, result, &err);
	launch_close(&launch);
	if (end != LAUNCH_DONE)
		log_event(LOG_DEBUG, "version of %s: %s", language->id, err.text);
	return end;
}

/* What it said; false when it must be asked again later. */
static bool probe_one(struct prober *p, size_t slot, const struct language *language,
		      const char *image, const char *manifest)
{
	struct launch_result result;
	char text[VERSIONS_TEXT];
	enum launch_end end = ask(p, language, image, &result);
	bool good = end == LAUNCH_DONE && result.verdict.exec_errno == 0;
	bool cut = good && result.verdict.cause != CAUSE_NONE;
	int stream;

	text[0] = '\0';
	for (stream = LAUNCH_STDOUT; good && !text[0] && stream < LAUNCH_STREAMS; stream++)
		versions_extract(result.output[stream].data, result.output[stream].size, text);
	launch_result_free(&result);
	if (end != LAUNCH_DONE && end != LAUNCH_REFUSED && end != LAUNCH_LOST)
		return false;
	/* a busy machine, on which a large one needs longer than it may */
	if (!text[0] && cut && ++p->versions->slot[slot].cut < CUT_MAX)
		return false;
	if (!text[0])
		log_event(LOG_WARNING, "%s does not say its version", language->id);
	put(p->versions, slot, text, language, manifest);
	return true;
}

bool versions_probe(struct versions *versions, const struct settings *settings,
		    const struct language_table *table, bool (*wanted)(void *data), void *data)
{
	struct prober prober = { versions, settings, table, wanted, data };
	struct wire_info info;
	struct error err = ERROR_INIT;
	bool all = true;
	size_t i;

	if (launch_query(settings->run_directory, &info, &err) < 0 ||
	    info.languages_count != table->count ||
	    memcmp(info.table_hash, table->hash, sizeof table->hash) != 0)
		return false;
	for (i = 0; i < table->count; i++) {
		const struct language *language = &table->language[i];
		size_t slot = versions_slot(versions, language->id);
		uint8_t image = info.language_image[i];

		if (image == WIRE_IMAGE_NONE || slot == VERSIONS_UNKNOWN ||
		    language->argv[STAGE_VERSION].count == 0 ||
		    known(versions, slot, language, info.images[image].manifest))
			continue;
		all &= probe_one(&prober, slot, language, info.images[image].name,
				 info.images[image].manifest);
	}
	return all;
}
