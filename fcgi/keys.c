/* SPDX-License-Identifier: ISC */
/* Runs as: worker user; in sandpool-key as the administrator. */
#define _GNU_SOURCE
#include "fcgi/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/io.h"

enum { FIELD_NAME, FIELD_HASH, FIELD_PATHS, FIELD_LIMITS, FIELD_CONCURRENCY, FIELDS };

bool key_name_valid(const char *name)
{
	size_t size = strlen(name);

	return size >= 1 && size <= KEYS_NAME_MAX &&
	       strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
			    "_.@-") == size;
}

void key_hash(const char *presented, uint8_t ret_hash[KEYS_HASH_BYTES])
{
	SHA2_CTX context;

	SHA256Init(&context);
	SHA256Update(&context, (const uint8_t *)presented, strlen(presented));
	SHA256Final(ret_hash, &context);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static int parse_hash(const char *text, uint8_t *hash)
{
	size_t i;

	if (strlen(text) != 2 * KEYS_HASH_BYTES)
		return -1;
	for (i = 0; i < KEYS_HASH_BYTES; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		hash[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static int parse_paths(const char *text, char *paths, size_t room)
{
	const char *p = text;
	size_t count = 0;

	if (strlen(text) >= room)
		return -1;
	while (*p) {
		if (*p != '/' || ++count > KEYS_PATHS_MAX)
			return -1;
		p += strcspn(p, ",");
		if (*p == ',' && !*++p)
			return -1;
	}
	strcpy(paths, text);
	return 0;
}

static int parse_limit(const char *word, struct limits *max)
{
	const char *value = strchr(word, '=');
	size_t i, size = value ? (size_t)(value - word) : 0;
	uint64_t number = 0;
	char *end = NULL;
	int rc = -1;

	for (i = 0; value && i < LIMIT_FIELDS; i++)
		if (strlen(limit_fields[i].key) == size &&
		    !strncmp(limit_fields[i].key, word, size))
			break;
	if (!value || i == LIMIT_FIELDS)
		return -1;
	value++;
	switch (limit_fields[i].unit) {
	case LIMIT_MS:
		rc = conf_parse_ms(value, &number);
		break;
	case LIMIT_BYTES:
		rc = conf_parse_bytes(value, &number);
		break;
	case LIMIT_COUNT:
		number = strtoull(value, &end, 10);
		rc = *value >= '0' && *value <= '9' && !*end ? 0 : -1;
		break;
	}
	if (rc < 0 || number == 0)
		return -1;
	*limit_at(max, &limit_fields[i]) = number;
	return 0;
}

static int parse_limits(char *text, struct limits *max)
{
	char *word, *rest = NULL;

	for (word = strtok_r(text, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
		if (parse_limit(word, max) < 0)
			return -1;
	return 0;
}

static int parse_concurrency(const char *text, uint64_t *ret_cap)
{
	char *end;

	if (!*text)
		return 0;
	if (*text < '0' || *text > '9')
		return -1;
	*ret_cap = strtoull(text, &end, 10);
	return *end || *ret_cap == 0 || *ret_cap > 100000 ? -1 : 0;
}

static int parse_line(char *line, struct key *ret_key, struct error *err)
{
	char *field[FIELDS], *p = line;
	struct key key = { .id = 0 };
	size_t i;

	for (i = 0; i < FIELDS; i++) {
		field[i] = p;
		p += strcspn(p, ":");
		if ((*p == ':') != (i < FIELDS - 1))
			return error_set(err, EINVAL, "must be five fields, separated by \":\"");
		if (*p)
			*p++ = '\0';
	}
	if (!key_name_valid(field[FIELD_NAME]))
		return error_set(err, EINVAL, "the name is not valid");
	if (parse_hash(field[FIELD_HASH], key.hash) < 0)
		return error_set(err, EINVAL, "the hash must be 64 hex digits");
	if (parse_paths(field[FIELD_PATHS], key.paths, sizeof key.paths) < 0)
		return error_set(err, EINVAL, "paths must be like /run,/api/execute");
	if (parse_limits(field[FIELD_LIMITS], &key.max) < 0)
		return error_set(err, EINVAL, "limits must be like memory=128MiB,wall=5s");
	if (parse_concurrency(field[FIELD_CONCURRENCY], &key.concurrency) < 0)
		return error_set(err, EINVAL, "concurrency must be a number above 0");
	strcpy(key.name, field[FIELD_NAME]);
	memcpy(&key.id, key.hash, sizeof key.id);
	key.id |= 1;
	*ret_key = key;
	return 0;
}

static int add_line(struct keys *keys, char *line, struct error *err)
{
	struct key key, *grown;
	size_t i;

	if (parse_line(line, &key, err) < 0)
		return -1;
	for (i = 0; i < keys->count; i++)
		if (!strcmp(keys->key[i].name, key.name))
			return error_set(err, EEXIST, "\"%s\" is there twice", key.name);
	if (keys->count >= KEYS_MAX)
		return error_set(err, E2BIG, "more than %d keys", KEYS_MAX);
	if (keys->count % 16 == 0) {
		grown = realloc(keys->key, (keys->count + 16) * sizeof *grown);
		if (!grown)
			return error_set(err, ENOMEM, "out of memory");
		keys->key = grown;
	}
	keys->key[keys->count++] = key;
	return 0;
}

int keys_parse(const char *text, size_t size, struct keys *ret_keys, struct error *err)
{
	cleanup_free char *copy = strndup(text, size);
	struct keys keys = { 0 };
	unsigned number = 1;
	char *line, *next;

	if (!copy)
		return error_set(err, ENOMEM, "out of memory");
	if (strlen(copy) != size)
		return error_set(err, EINVAL, "holds a NUL byte");
	for (line = copy; *line; line = next, number++) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (!*line || *line == '#')
			continue;
		if (add_line(&keys, line, err) < 0) {
			keys_free(&keys);
			return error_wrap(err, "line %u", number);
		}
	}
	*ret_keys = keys;
	return 0;
}

int keys_load(const char *path, struct keys *ret_keys, struct error *err)
{
	cleanup_close int fd = conf_open(path, false, err);
	cleanup_free char *text = NULL;
	struct keys keys = { 0 };
	struct stat st;
	ssize_t size;

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return error_errno(err, "%s", path);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return error_set(err, EPERM, "%s: others can write it", path);
	if ((uint64_t)st.st_size > KEYS_FILE_MAX)
		return error_set(err, EFBIG, "%s: too large", path);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return error_set(err, ENOMEM, "out of memory");
	size = io_read_full(fd, text, (size_t)st.st_size);
	if (size < 0)
		return error_errno(err, "%s", path);
	if (keys_parse(text, (size_t)size, &keys, err) < 0)
		return error_wrap(err, "%s", path);
	keys.stat = st;
	keys.loaded = true;
	*ret_keys = keys;
	return 0;
}

void keys_free(struct keys *keys)
{
	free(keys->key);
	memset(keys, 0, sizeof *keys);
}

bool keys_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

int keys_refresh(const char *path, struct keys *keys, struct error *err)
{
	struct keys fresh;
	struct stat st;

	if (stat(path, &st) < 0) {
		memset(&keys->stat, 0, sizeof keys->stat);
		if (keys->missing)
			return 0;
		keys->missing = true;
		return error_errno(err, "%s", path);
	}
	keys->missing = false;
	if (keys_same_file(&st, &keys->stat))
		return 0;
	if (keys_load(path, &fresh, err) < 0) {
		keys->stat = st;
		return -1;
	}
	keys_free(keys);
	*keys = fresh;
	return 1;
}

const struct key *keys_find(const struct keys *keys, const char *presented)
{
	const struct key *found = NULL;
	uint8_t hash[KEYS_HASH_BYTES];
	size_t i, k;

	key_hash(presented, hash);
	for (i = 0; i < keys->count; i++) {
		volatile uint8_t differs = 0;

		for (k = 0; k < KEYS_HASH_BYTES; k++)
			differs |= hash[k] ^ keys->key[i].hash[k];
		if (!differs)
			found = &keys->key[i];
	}
	return found;
}

bool key_allows(const struct key *key, const char *path)
{
	const char *p = key->paths;
	size_t size;

	if (!*p)
		return true;
	for (; *p; p += size + (p[size] == ',')) {
		size = strcspn(p, ",");
		if (strlen(path) == size && !strncmp(p, path, size))
			return true;
	}
	return false;
}

void key_lower(const struct key *key, struct limits_policy *policy)
{
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++) {
		uint64_t most = limit_get(&key->max, &limit_fields[i]);
		uint64_t least = limit_get(&policy->min, &limit_fields[i]);

		if (most && most < least)
			most = least;
		if (most && most < limit_get(&policy->max, &limit_fields[i]))
			*limit_at(&policy->max, &limit_fields[i]) = most;
	}
}
