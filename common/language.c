/* SPDX-License-Identifier: ISC */
/* Runs as: any user; as root only before any socket is open (and, for
 * language_expand(), as the program's user inside the box). */
#define _GNU_SOURCE
#include "common/language.h"

#include <dirent.h>
#include <errno.h>
#include <libconfig.h>
#include <sha2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/conf.h"
#include "common/io.h"
#include "common/wire.h"

#define SUFFIX	      ".lang"
#define FILE_MAX_SIZE (256 << 10)

const char *const language_environment[] = {
	"PATH=/usr/local/bin:/usr/bin:/bin:/usr/games",
	"HOME=/box",
	"TMPDIR=/tmp",
	"LANG=C.UTF-8",
	"TERM=dumb",
	NULL,
};

/* ---- one file ---- */

struct reader {
	config_t tree;
	const char *path;
	struct language *language;
	struct error *err;
};

static int fail(struct reader *r, const config_setting_t *at, const char *what)
{
	return error_set(r->err, EINVAL, "%s:%u: %s %s", r->path, config_setting_source_line(at),
			 config_setting_name(at) ? config_setting_name(at) : "entry", what);
}

static int take_text(struct reader *r, const config_setting_t *at, void *field)
{
	const char *text = config_setting_get_string(at);

	if (!text)
		return fail(r, at, "must be a text");
	free(*(char **)field);
	*(char **)field = strdup(text);
	return *(char **)field ? 0 : error_set(r->err, ENOMEM, "out of memory");
}

static int take_list(struct reader *r, const config_setting_t *at, void *field)
{
	struct argv_list *list = field;
	char **words;

	if (conf_read_list(at, &words, NULL) < 0)
		return fail(r, at, "must be a list of texts");
	conf_free_list(list->word);
	list->word = words;
	for (list->count = 0; words[list->count]; list->count++)
		;
	return 0;
}

static int take_limits(struct reader *r, const config_setting_t *at, void *field)
{
	struct error inner = ERROR_INIT;

	if (conf_read_limits(at, field, &inner) < 0)
		return error_set(r->err, EINVAL, "%s:%u: in %s: %s", r->path,
				 config_setting_source_line(at), config_setting_name(at),
				 inner.text);
	return 0;
}

static int take_main_from(struct reader *r, const config_setting_t *at, void *field)
{
	const char *text = config_setting_get_string(at);

	if (!text || strcmp(text, "class") != 0)
		return fail(r, at, "can only be \"class\"");
	*(bool *)field = true;
	return 0;
}

static int take_bool(struct reader *r, const config_setting_t *at, void *field)
{
	if (config_setting_type(at) != CONFIG_TYPE_BOOL)
		return fail(r, at, "must be true or false");
	*(bool *)field = config_setting_get_bool(at);
	return 0;
}

static int take_nothing(struct reader *r, const config_setting_t *at, void *field)
{
	(void)field; /* said for the tests, not for us */
	return config_setting_is_array(at) || config_setting_is_list(at)
		       ? 0
		       : fail(r, at, "must be a list");
}

struct key {
	const char *name;
	int (*take)(struct reader *r, const config_setting_t *at, void *field);
	size_t offset;
};

#define AT(field) offsetof(struct language, field)

static const struct key example_keys[] = {
	{ "code", take_text, AT(example.code) },
	{ "input", take_text, AT(example.input) },
	{ "output", take_text, AT(example.output) },
	{ "arguments", take_list, AT(example.arguments) },
	{ NULL, NULL, 0 },
};

static int take_group(struct reader *r, const config_setting_t *group, const struct key *keys);

static int take_example(struct reader *r, const config_setting_t *at, void *field)
{
	(void)field;
	return config_setting_is_group(at) ? take_group(r, at, example_keys)
					   : fail(r, at, "must be a group");
}

static const struct key keys[] = {
	{ "id", take_text, AT(id) },
	{ "name", take_text, AT(name) },
	{ "aliases", take_list, AT(aliases) },
	{ "file", take_text, AT(file) },
	{ "image", take_text, AT(image) },
	{ "packages", take_list, AT(packages) },
	{ "editor", take_text, AT(editor) },
	{ "version", take_list, AT(argv[STAGE_VERSION]) },
	{ "build", take_list, AT(argv[STAGE_BUILD]) },
	{ "run", take_list, AT(argv[STAGE_RUN]) },
	{ "environment", take_list, AT(environment) },
	{ "limits", take_limits, AT(run) },
	{ "compile", take_limits, AT(build) },
	{ "main_from", take_main_from, AT(main_from_class) },
	{ "ahead", take_bool, AT(ahead) },
	{ "deny", take_list, AT(deny) },
	{ "needs", take_list, AT(needs) },
	{ "cannot", take_nothing, 0 },
	{ "example", take_example, 0 },
	{ NULL, NULL, 0 },
};

static const char *key_at(const void *data, size_t i)
{
	return ((const struct key *)data)[i].name;
}

static int take_group(struct reader *r, const config_setting_t *group, const struct key *known)
{
	int count = config_setting_length(group), i;
	const struct key *key;

	for (i = 0; i < count; i++) {
		const config_setting_t *at = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(at), *near;

		for (key = known; key->name; key++)
			if (!strcmp(key->name, name))
				break;
		if (!key->name) {
			near = conf_nearest(name, key_at, known);
			return error_set(r->err, EINVAL, "%s:%u: unknown key \"%s\"%s%s%s", r->path,
					 config_setting_source_line(at), name,
					 near ? "; did you mean \"" : "", near ? near : "",
					 near ? "\"?" : "");
		}
		if (key->take(r, at, (char *)r->language + key->offset) < 0)
			return -1;
	}
	return 0;
}

static int need(struct reader *r, bool good, const char *what)
{
	return good ? 0 : error_set(r->err, EINVAL, "%s: %s", r->path, what);
}

static int check_language(struct reader *r, const char *stem, size_t stem_size)
{
	struct language *l = r->language;
	size_t i;

	if (need(r, l->id && job_language_valid(l->id, strlen(l->id)), "id is missing or not valid") < 0 ||
	    need(r, strlen(l->id) == stem_size && !memcmp(l->id, stem, stem_size),
		 "the file must be named after its id") < 0 ||
	    need(r, l->name && l->name[0], "name is missing") < 0 ||
	    need(r, l->file && job_name_valid(l->file, strlen(l->file)),
		 "file is missing or not valid") < 0 ||
	    need(r, l->argv[STAGE_RUN].count > 0, "run is missing") < 0)
		return -1;
	if (!l->image)
		l->image = strdup("host");
	if (!l->editor)
		l->editor = strdup("text");
	if (!l->image || !l->editor)
		return error_set(r->err, ENOMEM, "out of memory");
	if (need(r, strlen(l->image) < WIRE_IMAGE_NAME && job_language_valid(l->image, strlen(l->image)),
		 "image is not valid") < 0)
		return -1;
	for (i = 0; i < l->aliases.count; i++)
		if (need(r, job_language_valid(l->aliases.word[i], strlen(l->aliases.word[i])),
			 "an alias is not valid") < 0)
			return -1;
	for (i = 0; i < l->environment.count; i++)
		if (need(r, strchr(l->environment.word[i], '=') != NULL,
			 "environment must be NAME=value") < 0)
			return -1;
	return 0;
}

static void language_done(struct language *l)
{
	struct argv_list *lists[] = { &l->aliases,	       &l->packages,
				      &l->environment,	       &l->deny,
				      &l->argv[STAGE_BUILD],   &l->argv[STAGE_RUN],
				      &l->argv[STAGE_VERSION], &l->example.arguments,
				      &l->needs };
	size_t i;

	for (i = 0; i < ARRAY_LEN(lists); i++)
		conf_free_list(lists[i]->word);
	free(l->id);
	free(l->name);
	free(l->file);
	free(l->image);
	free(l->editor);
	free(l->example.code);
	free(l->example.input);
	free(l->example.output);
	memset(l, 0, sizeof *l);
}

/* Reads one file from its open descriptor, adds it to the hash. */
static int read_file(struct language *ret_language, const char *path, const char *name, int fd,
		     SHA2_CTX *hash, struct error *err)
{
	struct reader r = { .path = path, .language = ret_language, .err = err };
	SHA2_CTX own;
	cleanup_free char *text = malloc(FILE_MAX_SIZE + 1);
	ssize_t size;
	int rc;

	if (!text)
		return error_set(err, ENOMEM, "out of memory");
	size = io_read_full(fd, text, FILE_MAX_SIZE + 1);
	if (size < 0)
		return error_errno(err, "%s", path);
	if (size > FILE_MAX_SIZE)
		return error_set(err, EFBIG, "%s: longer than %d bytes", path, FILE_MAX_SIZE);
	text[size] = '\0';
	if (strlen(text) != (size_t)size)
		return error_set(err, EINVAL, "%s: holds a NUL byte", path);
	SHA256Update(hash, (const uint8_t *)name, strlen(name) + 1);
	SHA256Update(hash, (const uint8_t *)text, (size_t)size + 1);
	SHA256Init(&own);
	SHA256Update(&own, (const uint8_t *)text, (size_t)size);
	SHA256Final(ret_language->hash, &own);
	config_init(&r.tree);
	if (config_read_string(&r.tree, text) != CONFIG_TRUE)
		rc = error_set(err, EINVAL, "%s:%d: %s", path, config_error_line(&r.tree),
			       config_error_text(&r.tree));
	else
		rc = take_group(&r, config_root_setting(&r.tree), keys);
	config_destroy(&r.tree);
	if (rc == 0)
		rc = check_language(&r, name, strlen(name) - strlen(SUFFIX));
	return rc;
}

/* ---- the table ---- */

static int is_language_file(const struct dirent *entry)
{
	size_t size = strlen(entry->d_name);

	return entry->d_name[0] != '.' && size > strlen(SUFFIX) &&
	       !strcmp(entry->d_name + size - strlen(SUFFIX), SUFFIX);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct language *)a)->id, ((const struct language *)b)->id);
}

static int read_entries(struct language_table *table, const char *dir_path,
			struct dirent **entries, int count, bool trusted_only,
			struct error *err)
{
	SHA2_CTX hash;
	int i;

	SHA256Init(&hash);
	for (i = 0; i < count; i++) {
		cleanup_free char *path = NULL;
		cleanup_close int fd = -1;

		if (asprintf(&path, "%s/%s", dir_path, entries[i]->d_name) < 0) {
			path = NULL;
			return error_set(err, ENOMEM, "out of memory");
		}
		fd = conf_open(path, trusted_only, err);
		if (fd < 0)
			return -1;
		table->count = (size_t)i + 1;
		if (read_file(&table->language[i], path, entries[i]->d_name, fd, &hash, err) < 0)
			return -1;
	}
	SHA256Final(table->hash, &hash);
	return 0;
}

/* An alias must not name two languages, nor hide an id. */
static int check_names(const struct language_table *table, struct error *err)
{
	size_t i, k;

	for (i = 0; i < table->count; i++)
		for (k = 0; k < table->language[i].aliases.count; k++) {
			const char *alias = table->language[i].aliases.word[k];
			const struct language *found = language_find(table, alias);

			if (found != &table->language[i])
				return error_set(err, EINVAL, "\"%s\" names both %s and %s", alias,
						 table->language[i].id, found->id);
		}
	return 0;
}

struct language_table *language_table_load(const char *dir_path, bool trusted_only,
					   struct error *err)
{
	struct dirent **entries = NULL;
	struct language_table *table;
	int dir_fd = conf_open(dir_path, trusted_only, err), count, i, rc;

	if (dir_fd < 0)
		return NULL;
	close(dir_fd);
	count = scandir(dir_path, &entries, is_language_file, by_name);
	if (count < 0) {
		error_errno(err, "%s", dir_path);
		return NULL;
	}
	table = calloc(1, sizeof *table);
	if (table)
		table->language = calloc((size_t)count + 1, sizeof *table->language);
	if (!table || !table->language)
		rc = error_set(err, ENOMEM, "out of memory");
	else if (count > WIRE_LANGUAGES_MAX)
		rc = error_set(err, E2BIG, "%s: more than %d languages", dir_path, WIRE_LANGUAGES_MAX);
	else
		rc = read_entries(table, dir_path, entries, count, trusted_only, err);
	for (i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	if (rc == 0) {
		qsort(table->language, table->count, sizeof *table->language, by_id);
		rc = check_names(table, err);
	}
	if (rc < 0) {
		language_table_free(table);
		return NULL;
	}
	return table;
}

void language_table_free(struct language_table *table)
{
	size_t i;

	if (!table)
		return;
	for (i = 0; table->language && i < table->count; i++)
		language_done(&table->language[i]);
	free(table->language);
	free(table);
}

const struct language *language_find(const struct language_table *table, const char *name)
{
	size_t low = 0, high = table->count, i, k;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(name, table->language[middle].id);

		if (order == 0)
			return &table->language[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	for (i = 0; i < table->count; i++)
		for (k = 0; k < table->language[i].aliases.count; k++)
			if (!strcmp(table->language[i].aliases.word[k], name))
				return &table->language[i];
	return NULL;
}

size_t language_index(const struct language_table *table, const struct language *language)
{
	return (size_t)(language - table->language);
}

/* ---- argv ---- */

struct expansion {
	char *room;
	size_t room_size;
	int (*emit)(void *data, const char *word, size_t size);
	void *data;
};

/* The word stands at the start of the room: end it, and move on behind it. */
static int emit_built(struct expansion *e, size_t size)
{
	char *word = e->room;

	word[size] = '\0';
	e->room += size + 1;
	e->room_size -= size + 1;
	return e->emit(e->data, word, size);
}

static int emit_bytes(struct expansion *e, const char *data, size_t size)
{
	if (size >= e->room_size)
		return -1;
	if (size)
		memcpy(e->room, data, size);
	return emit_built(e, size);
}

static int emit_list(struct expansion *e, const struct bytes *list, size_t count)
{
	size_t i;
	int rc;

	for (i = 0; i < count; i++) {
		rc = emit_bytes(e, list[i].data, list[i].size);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static struct bytes stem_of(struct bytes name)
{
	size_t i;

	for (i = name.size; i > 0 && name.data[i - 1] != '/'; i--)
		if (name.data[i - 1] == '.' && i > 1 && name.data[i - 2] != '/') {
			name.size = i - 1;
			break;
		}
	return name;
}

static int emit_word(struct expansion *e, const char *word, const struct language_words *words)
{
	const struct {
		const char *name;
		struct bytes value;
	} inner[] = {
		{ "%file", words->main_file },
		{ "%stem", stem_of(words->main_file) },
		{ "%%", { "%", 1 } },
	};
	size_t used = 0, i;

	while (*word) {
		struct bytes piece = { word, 1 };
		size_t skip = 1;

		for (i = 0; i < ARRAY_LEN(inner); i++)
			if (!strncmp(word, inner[i].name, strlen(inner[i].name))) {
				piece = inner[i].value;
				skip = strlen(inner[i].name);
				break;
			}
		if (piece.size >= e->room_size - used)
			return -1;
		if (piece.size)
			memcpy(e->room + used, piece.data, piece.size);
		used += piece.size;
		word += skip;
	}
	return used < e->room_size ? emit_built(e, used) : -1;
}

int language_expand(const struct argv_list *argv, const struct language_words *words, char *room,
		    size_t room_size, int (*emit)(void *data, const char *word, size_t size),
		    void *data)
{
	const struct {
		const char *name;
		const struct bytes *list;
		size_t count;
	} lists[] = {
		{ "%options", words->options, words->options_count },
		{ "%arguments", words->arguments, words->arguments_count },
		{ "%files", words->files, words->files_count },
	};
	struct expansion e = { room, room_size, emit, data };
	size_t i, k;
	int rc = 0;

	for (i = 0; i < argv->count && rc == 0; i++) {
		for (k = 0; k < ARRAY_LEN(lists); k++)
			if (!strcmp(argv->word[i], lists[k].name))
				break;
		rc = k < ARRAY_LEN(lists) ? emit_list(&e, lists[k].list, lists[k].count)
					  : emit_word(&e, argv->word[i], words);
	}
	return rc;
}
