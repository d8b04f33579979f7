/* SPDX-License-Identifier: ISC */
/* Runs as: root. Moves descriptors about; looks into none. */
#define _GNU_SOURCE
#include "sandbox/cache.h"

#include <errno.h>
#include <poll.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/io.h"

#define ENTRIES_MAX 1024
#define REPLY_MS    200 /* a master that is slower is no gain */

enum cache_message_type { CACHE_GET = 1, CACHE_PUT, CACHE_HIT, CACHE_MISS };

struct cache_message {
	uint32_t type;
	uint32_t zero;
	struct cache_key key;
};

int cache_key_make(const struct wire_run *run, int payload_fd, const char *image_manifest,
		   struct cache_key *ret_key, struct error *err)
{
	const void *map = NULL;
	SHA2_CTX hash;

	if (run->payload_bytes > 0) {
		map = mmap(NULL, run->payload_bytes, PROT_READ, MAP_PRIVATE, payload_fd, 0);
		if (map == MAP_FAILED)
			return error_errno(err, "map the payload");
	}
	SHA256Init(&hash);
	SHA256Update(&hash, (const uint8_t *)image_manifest, strlen(image_manifest) + 1);
	SHA256Update(&hash, run->table_hash, sizeof run->table_hash);
	SHA256Update(&hash, (const uint8_t *)run->language, strlen(run->language) + 1);
	SHA256Update(&hash, (const uint8_t *)&run->cache_domain, sizeof run->cache_domain);
	SHA256Update(&hash, (const uint8_t *)&run->files_count, sizeof run->files_count);
	SHA256Update(&hash, (const uint8_t *)&run->options_count, sizeof run->options_count);
	if (map) {
		SHA256Update(&hash, map, run->payload_bytes);
		munmap((void *)(uintptr_t)map, run->payload_bytes);
	}
	SHA256Final(ret_key->bytes, &hash);
	return 0;
}

/* ---- the keeper's side ---- */

int cache_get(int sock_fd, const struct cache_key *key)
{
	struct cache_message message = { .type = CACHE_GET, .key = *key };
	struct pollfd p = { sock_fd, POLLIN, 0 };
	int fds[IO_FDS_MAX];
	size_t count, i;

	if (sock_fd < 0)
		return -1;
	/* an answer that came too late for an earlier question */
	while (io_recv(sock_fd, &message, sizeof message, fds, &count, MSG_DONTWAIT) > 0)
		for (i = 0; i < count; i++)
			close(fds[i]);
	message = (struct cache_message){ .type = CACHE_GET, .key = *key };
	if (io_send(sock_fd, &message, sizeof message, NULL, 0) < 0 || poll(&p, 1, REPLY_MS) != 1 ||
	    io_recv(sock_fd, &message, sizeof message, fds, &count, MSG_DONTWAIT) != sizeof message)
		return -1;
	if (count == 1 && message.type == CACHE_HIT && !memcmp(&message.key, key, sizeof *key) &&
	    io_is_sealed(fds[0], NULL))
		return fds[0];
	for (i = 0; i < count; i++)
		close(fds[i]);
	return -1;
}

void cache_put(int sock_fd, const struct cache_key *key, int memfd)
{
	struct cache_message message = { .type = CACHE_PUT, .key = *key };

	/* lost is lost: the next build makes it again */
	if (sock_fd >= 0)
		io_send(sock_fd, &message, sizeof message, &memfd, 1);
}

/* ---- the master's side ---- */

struct entry {
	struct cache_key key;
	int memfd;
	uint64_t bytes, used_us;
};

struct cache {
	uint64_t max_bytes, bytes;
	size_t count;
	struct entry entry[ENTRIES_MAX];
};

struct cache *cache_new(uint64_t max_bytes)
{
	struct cache *cache = max_bytes ? calloc(1, sizeof *cache) : NULL;

	if (cache)
		cache->max_bytes = max_bytes;
	return cache;
}

static void drop(struct cache *cache, size_t i)
{
	cache->bytes -= cache->entry[i].bytes;
	close(cache->entry[i].memfd);
	cache->entry[i] = cache->entry[--cache->count];
}

void cache_free(struct cache *cache)
{
	while (cache && cache->count > 0)
		drop(cache, cache->count - 1);
	free(cache);
}

static struct entry *find(struct cache *cache, const struct cache_key *key)
{
	size_t i;

	for (i = 0; i < cache->count; i++)
		if (!memcmp(&cache->entry[i].key, key, sizeof *key))
			return &cache->entry[i];
	return NULL;
}

static void drop_oldest(struct cache *cache)
{
	size_t oldest = 0, i;

	for (i = 1; i < cache->count; i++)
		if (cache->entry[i].used_us < cache->entry[oldest].used_us)
			oldest = i;
	drop(cache, oldest);
}

/* Takes the descriptor when it keeps it. */
static void keep(struct cache *cache, const struct cache_key *key, int *memfd)
{
	uint64_t bytes;

	if (!io_is_sealed(*memfd, &bytes) || bytes > cache->max_bytes / 4 || find(cache, key))
		return;
	while (cache->count == ENTRIES_MAX || cache->bytes + bytes > cache->max_bytes)
		drop_oldest(cache);
	cache->entry[cache->count++] = (struct entry){ .key = *key,
						       .memfd = steal_fd(memfd),
						       .bytes = bytes,
						       .used_us = clock_us() };
	cache->bytes += bytes;
}

int cache_answer(struct cache *cache, int sock_fd)
{
	struct cache_message message;
	int fds[IO_FDS_MAX];
	struct entry *entry;
	size_t count, i;
	ssize_t n = io_recv(sock_fd, &message, sizeof message, fds, &count, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == sizeof message && cache && message.type == CACHE_PUT && count == 1)
		keep(cache, &message.key, &fds[0]);
	for (i = 0; i < count; i++)
		close_fd(&fds[i]);
	if (n != sizeof message)
		return -1;
	if (message.type != CACHE_GET)
		return 0;
	entry = cache ? find(cache, &message.key) : NULL;
	message.type = entry ? CACHE_HIT : CACHE_MISS;
	if (entry)
		entry->used_us = clock_us();
	return io_send(sock_fd, &message, sizeof message, entry ? &entry->memfd : NULL,
		       entry ? 1 : 0);
}
