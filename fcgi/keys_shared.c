/* SPDX-License-Identifier: ISC */
/* Runs as: worker user; the master, and its children for looking up. */
#define _GNU_SOURCE
#include "fcgi/keys_shared.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/io.h"

#define AGAIN_US 1000
#define TRIES	 1000 /* a change is under way for less than a millisecond */
#define LOOK_US	 5000
#define LOOKS	 400 /* two seconds: the master looks four times in one */

struct keys_map {
	uint32_t sequence; /* odd while the master writes, and moved on by every change */
	uint32_t loaded;
	struct stat stat; /* of the file that the master has looked at last */
	uint64_t count;
	struct key key[KEYS_MAX];
};

/* Who shares our memory after a fork must not share the right to write here. The seal
 * keeps a child from making itself a mapping of that kind, or its own one writable. */
static int map_both(struct keys_shared *shared, int fd)
{
	size_t size = sizeof *shared->map;
	void *writable, *map;

	writable = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (writable == MAP_FAILED)
		return -1;
	shared->writable = writable;
	if (madvise(writable, size, MADV_DONTFORK) < 0 ||
	    fcntl(fd, F_ADD_SEALS,
		  F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -1;
	shared->map = map;
	return 0;
}

int keys_shared_make(struct keys_shared *shared, struct error *err)
{
	cleanup_close int fd = io_memfd("keys");

	*shared = (struct keys_shared){ 0 };
	if (fd < 0 || ftruncate(fd, sizeof *shared->map) < 0 || map_both(shared, fd) < 0) {
		error_errno(err, "map the keys");
		keys_shared_free(shared);
		return -1;
	}
	return 0;
}

void keys_shared_free(struct keys_shared *shared)
{
	if (shared->writable)
		munmap(shared->writable, sizeof *shared->writable);
	if (shared->map)
		munmap((void *)(uintptr_t)shared->map, sizeof *shared->map);
	*shared = (struct keys_shared){ 0 };
}

void keys_shared_put(struct keys_shared *shared, const struct keys *keys)
{
	struct keys_map *map = shared->writable;

	__atomic_add_fetch(&map->sequence, 1, __ATOMIC_ACQ_REL);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	if (keys->count)
		memcpy(map->key, keys->key, keys->count * sizeof *keys->key);
	__atomic_store_n(&map->count, keys->count, __ATOMIC_RELAXED);
	map->loaded = keys->loaded;
	map->stat = keys->stat;
	__atomic_add_fetch(&map->sequence, 1, __ATOMIC_RELEASE);
}

static bool was_looked_at(const struct keys_map *map, const struct stat *now)
{
	uint32_t before = __atomic_load_n(&map->sequence, __ATOMIC_ACQUIRE);
	struct stat seen = map->stat;

	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(before & 1) && __atomic_load_n(&map->sequence, __ATOMIC_RELAXED) == before &&
	       keys_same_file(&seen, now);
}

void keys_shared_await(const struct keys_shared *shared, const char *path)
{
	struct stat now;
	int looks;

	for (looks = 0; shared->map && looks < LOOKS; looks++) {
		if (stat(path, &now) < 0 || was_looked_at(shared->map, &now))
			return;
		usleep(LOOK_US);
	}
}

/* What is read while the master writes may be anything: it is looked at within bounds,
 * and thrown away. */
static int look_up(const struct keys_map *map, const char *presented, struct key *ret_key)
{
	struct keys keys = {
		.key = (struct key *)(uintptr_t)map->key,
		.count = __atomic_load_n(&map->count, __ATOMIC_RELAXED),
	};
	const struct key *found;

	if (!map->loaded || keys.count > KEYS_MAX)
		return -1;
	found = keys_find(&keys, presented);
	if (!found)
		return 0;
	*ret_key = *found;
	return 1;
}

int keys_shared_find(const struct keys_shared *shared, const char *presented,
		     struct key *ret_key)
{
	const struct keys_map *map = shared->map;
	int tries;

	for (tries = 0; map && tries < TRIES; tries++) {
		uint32_t before = __atomic_load_n(&map->sequence, __ATOMIC_ACQUIRE);
		int rc = before & 1 ? -1 : look_up(map, presented, ret_key);

		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(before & 1) && __atomic_load_n(&map->sequence, __ATOMIC_RELAXED) == before)
			return rc;
		usleep(AGAIN_US);
	}
	return -1;
}
