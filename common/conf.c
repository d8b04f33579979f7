/* SPDX-License-Identifier: ISC */
/* Runs as: any user; as root only before any socket is open. */
#define _GNU_SOURCE
#include "common/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/job.h"

struct unit {
	const char *name;
	double factor;
};

static const struct unit byte_units[] = {
	{ "", 1 },		 { "B", 1 },
	{ "k", 1024 },		 { "K", 1024 },
	{ "KiB", 1024 },	 { "m", 1048576 },
	{ "M", 1048576 },	 { "MiB", 1048576 },
	{ "g", 1073741824 },	 { "G", 1073741824 },
	{ "GiB", 1073741824 },	 { NULL, 0 },
};

static const struct unit ms_units[] = {
	{ "ms", 1 }, { "s", 1000 }, { "min", 60000 }, { "h", 3600000 }, { NULL, 0 },
};

static int parse_quantity(const char *text, const struct unit *units, uint64_t *ret_value)
{
	char *end;
	double number;

	if (*text < '0' || *text > '9')
		return -1;
	number = strtod(text, &end);
	while (*end == ' ')
		end++;
	for (; units->name; units++) {
		double value = number * units->factor;

		if (strcmp(end, units->name) != 0)
			continue;
		if (!(value >= 0) || value > 9e15)
			return -1;
		*ret_value = (uint64_t)(value + 0.5);
		return 0;
	}
	return -1;
}

int conf_parse_bytes(const char *text, uint64_t *ret_bytes)
{
	return parse_quantity(text, byte_units, ret_bytes);
}

int conf_parse_ms(const char *text, uint64_t *ret_ms)
{
	return parse_quantity(text, ms_units, ret_ms);
}

static int parse_count(const char *text, uint64_t *ret_count)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	*ret_count = strtoull(text, &end, 0);
	return *end || errno ? -1 : 0;
}

/* ---- nearest word ---- */

static size_t distance(const char *a, const char *b)
{
	size_t row[64], a_size = strlen(a), b_size = strlen(b), i, j;

	if (b_size >= ARRAY_LEN(row) || a_size > 200)
		return SIZE_MAX;
	for (j = 0; j <= b_size; j++)
		row[j] = j;
	for (i = 1; i <= a_size; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (j = 1; j <= b_size; j++) {
			size_t above = row[j];
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			if (above + 1 < best)
				best = above + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
			diagonal = above;
		}
	}
	return row[b_size];
}

const char *conf_nearest(const char *word, const char *(*name_at)(const void *, size_t),
			 const void *data)
{
	const char *best = NULL, *name;
	size_t best_distance = strlen(word) / 3 + 2, i;

	for (i = 0; (name = name_at(data, i)) != NULL; i++) {
		size_t d = distance(word, name);

		if (d < best_distance) {
			best_distance = d;
			best = name;
		}
	}
	return best;
}

static const char *key_name_at(const void *data, size_t i)
{
	return ((const struct conf_key *)data)[i].name;
}

static const char *limit_key_at(const void *data, size_t i)
{
	(void)data;
	return i < LIMIT_FIELDS ? limit_fields[i].key : NULL;
}

/* ---- values ---- */

static int bad_value(const config_setting_t *at, const char *wanted, struct error *err)
{
	const char *file = config_setting_source_file(at);
	const char *name = config_setting_name(at);

	return error_set(err, EINVAL, "%s:%u: %s must be %s", file ? file : "(file)",
			 config_setting_source_line(at), name ? name : "an entry", wanted);
}

static int unknown_key(const config_setting_t *at, const char *nearest, struct error *err)
{
	const char *file = config_setting_source_file(at);

	return error_set(err, EINVAL, "%s:%u: unknown key \"%s\"%s%s%s", file ? file : "(file)",
			 config_setting_source_line(at), config_setting_name(at),
			 nearest ? "; did you mean \"" : "", nearest ? nearest : "",
			 nearest ? "\"?" : "");
}

static int read_number(const config_setting_t *at, enum conf_type type, uint64_t *ret_value,
		       struct error *err)
{
	static const char *const wanted[] = {
		[CONF_COUNT] = "a whole number",
		[CONF_BYTES] = "bytes, as \"64MiB\"",
		[CONF_MS] = "a time, as \"10s\" or \"250ms\"",
	};
	int kind = config_setting_type(at);
	const char *text;
	int rc = -1;

	if ((kind == CONFIG_TYPE_INT || kind == CONFIG_TYPE_INT64) && type != CONF_MS) {
		long long value = kind == CONFIG_TYPE_INT ? config_setting_get_int(at)
							  : config_setting_get_int64(at);

		if (value >= 0) {
			*ret_value = (uint64_t)value;
			rc = 0;
		}
	} else if (kind == CONFIG_TYPE_STRING) {
		text = config_setting_get_string(at);
		rc = type == CONF_BYTES ? conf_parse_bytes(text, ret_value)
		     : type == CONF_MS	? conf_parse_ms(text, ret_value)
					: parse_count(text, ret_value);
	}
	return rc < 0 ? bad_value(at, wanted[type], err) : 0;
}

int conf_read_limits(const config_setting_t *group, void *limits, struct error *err)
{
	static const enum conf_type types[] = {
		[LIMIT_MS] = CONF_MS,
		[LIMIT_BYTES] = CONF_BYTES,
		[LIMIT_COUNT] = CONF_COUNT,
	};
	int count, i;
	size_t k;

	if (!config_setting_is_group(group))
		return bad_value(group, "a group, as { memory = \"256MiB\"; }", err);
	count = config_setting_length(group);
	for (i = 0; i < count; i++) {
		const config_setting_t *at = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(at);

		for (k = 0; k < LIMIT_FIELDS; k++)
			if (!strcmp(name, limit_fields[k].key))
				break;
		if (k == LIMIT_FIELDS)
			return unknown_key(at, conf_nearest(name, limit_key_at, NULL), err);
		if (read_number(at, types[limit_fields[k].unit],
				limit_at(limits, &limit_fields[k]), err) < 0)
			return -1;
	}
	return 0;
}

void conf_free_list(char **list)
{
	size_t i;

	if (!list)
		return;
	for (i = 0; list[i]; i++)
		free(list[i]);
	free(list);
}

int conf_read_list(const config_setting_t *at, char ***ret_list, struct error *err)
{
	char **list;
	int count, i;

	if (!config_setting_is_array(at) && !config_setting_is_list(at))
		return bad_value(at, "a list, as [ \"a\", \"b\" ]", err);
	count = config_setting_length(at);
	list = calloc((size_t)count + 1, sizeof *list);
	if (!list)
		return error_set(err, ENOMEM, "out of memory");
	for (i = 0; i < count; i++) {
		const config_setting_t *entry = config_setting_get_elem(at, (unsigned)i);
		const char *text = config_setting_get_string(entry);

		list[i] = text ? strdup(text) : NULL;
		if (!list[i]) {
			conf_free_list(list);
			return text ? error_set(err, ENOMEM, "out of memory")
				    : bad_value(at, "a list of texts", err);
		}
	}
	*ret_list = list;
	return 0;
}

static char **split_words(const char *text)
{
	size_t count = 1, i = 0;
	const char *p;
	char **list, *copy, *word, *rest = NULL;

	for (p = text; *p; p++)
		count += *p == ' ';
	list = calloc(count + 1, sizeof *list);
	copy = strdup(text);
	if (!list || !copy) {
		free(list);
		free(copy);
		return NULL;
	}
	for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
		list[i++] = strdup(word);
	free(copy);
	return list;
}

static void *field_at(void *settings, const struct conf_key *key)
{
	return (char *)settings + key->offset;
}

static int set_preset(const struct conf_key *key, void *settings, struct error *err)
{
	void *field = field_at(settings, key);
	int rc = 0;

	switch (key->type) {
	case CONF_TEXT:
	case CONF_PATH:
		rc = (*(char **)field = strdup(key->preset)) ? 0 : -1;
		break;
	case CONF_LIST:
		rc = (*(char ***)field = split_words(key->preset)) ? 0 : -1;
		break;
	case CONF_BOOL:
		*(bool *)field = !strcmp(key->preset, "true");
		break;
	case CONF_COUNT:
		rc = parse_count(key->preset, field);
		break;
	case CONF_BYTES:
		rc = conf_parse_bytes(key->preset, field);
		break;
	case CONF_MS:
		rc = conf_parse_ms(key->preset, field);
		break;
	case CONF_LIMITS:
		break; /* limits_policy_default, copied by the caller */
	}
	return rc < 0 ? error_set(err, EINVAL, "preset of %s", key->name) : 0;
}

static int set_value(const config_setting_t *at, const struct conf_key *key, void *settings,
		     struct error *err)
{
	void *field = field_at(settings, key);
	const char *text;
	char **list, *copy;

	switch (key->type) {
	case CONF_TEXT:
	case CONF_PATH:
		text = config_setting_get_string(at);
		if (!text || (key->type == CONF_PATH && text[0] != '/'))
			return bad_value(at, key->type == CONF_PATH ? "an absolute path" : "a text",
					 err);
		copy = strdup(text);
		if (!copy)
			return error_set(err, ENOMEM, "out of memory");
		free(*(char **)field);
		*(char **)field = copy;
		return 0;
	case CONF_LIST:
		if (conf_read_list(at, &list, err) < 0)
			return -1;
		conf_free_list(*(char ***)field);
		*(char ***)field = list;
		return 0;
	case CONF_BOOL:
		if (config_setting_type(at) != CONFIG_TYPE_BOOL)
			return bad_value(at, "true or false", err);
		*(bool *)field = config_setting_get_bool(at);
		return 0;
	case CONF_LIMITS:
		return conf_read_limits(at, field, err);
	default:
		return read_number(at, key->type, field, err);
	}
}

/* ---- the file ---- */

static int check_writers(const struct stat *st, const char *path, bool trusted_only,
			 struct error *err)
{
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return error_set(err, EPERM, "%s: others can write it (mode %04o)", path,
				 (unsigned)(st->st_mode & 07777));
	if (st->st_uid != 0 && (trusted_only || st->st_uid != geteuid()))
		return error_set(err, EPERM, "%s: belongs to user %u, must be root's", path,
				 (unsigned)st->st_uid);
	return 0;
}

int conf_open(const char *path, bool trusted_only, struct error *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return error_errno(err, "%s", path);
	if (fstat(fd, &st) < 0)
		return error_errno(err, "%s", path);
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return error_set(err, EINVAL, "%s: not a file", path);
	if (trusted_only && check_writers(&st, path, trusted_only, err) < 0)
		return -1;
	return steal_fd(&fd);
}

static int read_tree(const config_setting_t *root, const struct conf_key *keys, void *settings,
		     struct error *err)
{
	int count = config_setting_length(root), i;
	const struct conf_key *key;

	for (i = 0; i < count; i++) {
		const config_setting_t *at = config_setting_get_elem(root, (unsigned)i);
		const char *name = config_setting_name(at);

		for (key = keys; key->name; key++)
			if (!strcmp(key->name, name))
				break;
		if (!key->name)
			return unknown_key(at, conf_nearest(name, key_name_at, keys), err);
		if (set_value(at, key, settings, err) < 0)
			return -1;
	}
	return 0;
}

int conf_load(const char *path, const struct conf_key *keys, bool trusted_only, void *settings,
	      struct error *err)
{
	const struct conf_key *key;
	struct stat st;
	config_t tree;
	FILE *file;
	int fd, rc = 0;

	for (key = keys; key->name; key++)
		if (set_preset(key, settings, err) < 0)
			return -1;
	if (!path)
		return 0;
	fd = conf_open(path, trusted_only, err);
	if (fd < 0)
		return -1;
	/* libconfig's scanner ends the whole program when it cannot read */
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, EINVAL, "%s: not a file", path);
	}
	file = fdopen(fd, "r");
	if (!file) {
		close(fd);
		return error_errno(err, "%s", path);
	}
	config_init(&tree);
	if (config_read(&tree, file) != CONFIG_TRUE) {
		rc = error_set(err, EINVAL, "%s:%d: %s", path, config_error_line(&tree),
			       config_error_text(&tree));
	} else {
		rc = read_tree(config_root_setting(&tree), keys, settings, err);
		/* libconfig knows no file name for a stream: put ours in its place */
		if (rc < 0 && err && !strncmp(err->text, "(file)", 6)) {
			char tail[sizeof err->text];

			memcpy(tail, err->text + 6, sizeof tail - 6);
			snprintf(err->text, sizeof err->text, "%s%.*s", path,
				 (int)(sizeof tail - 7), tail);
		}
	}
	config_destroy(&tree);
	fclose(file);
	return rc;
}

void conf_free(const struct conf_key *keys, void *settings)
{
	for (; keys->name; keys++) {
		void *field = field_at(settings, keys);

		if (keys->type == CONF_TEXT || keys->type == CONF_PATH) {
			free(*(char **)field);
			*(char **)field = NULL;
		} else if (keys->type == CONF_LIST) {
			conf_free_list(*(char ***)field);
			*(char ***)field = NULL;
		}
	}
}

static void dump_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void dump_limits(FILE *out, const struct limits *limits)
{
	static const char *const suffix[] = { [LIMIT_MS] = "ms", [LIMIT_BYTES] = "", [LIMIT_COUNT] = "" };
	size_t i;

	fputs("{", out);
	for (i = 0; i < LIMIT_FIELDS; i++)
		fprintf(out, " %s = \"%llu%s\";", limit_fields[i].key,
			(unsigned long long)limit_get(limits, &limit_fields[i]),
			suffix[limit_fields[i].unit]);
	fputs(" }", out);
}

void conf_dump(FILE *out, const struct conf_key *keys, const void *settings)
{
	for (; keys->name; keys++) {
		const void *field = (const char *)settings + keys->offset;
		char *const *word;

		fprintf(out, "# %s\n%s = ", keys->help, keys->name);
		switch (keys->type) {
		case CONF_TEXT:
		case CONF_PATH:
			dump_quoted(out, *(char *const *)field);
			break;
		case CONF_BOOL:
			fputs(*(const bool *)field ? "true" : "false", out);
			break;
		case CONF_LIST:
			fputs("[", out);
			for (word = *(char *const *const *)field; *word; word++) {
				fputs(word == *(char *const *const *)field ? " " : ", ", out);
				dump_quoted(out, *word);
			}
			fputs(" ]", out);
			break;
		case CONF_LIMITS:
			dump_limits(out, field);
			break;
		case CONF_MS:
			fprintf(out, "\"%llums\"", (unsigned long long)*(const uint64_t *)field);
			break;
		default:
			fprintf(out, "\"%llu\"", (unsigned long long)*(const uint64_t *)field);
		}
		fputs(";\n", out);
	}
}
