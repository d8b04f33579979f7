/* SPDX-License-Identifier: ISC */
/* Forms: flat fields, by name, become the same tree that JSON would give. Also
 * the urlencoded kind itself.
 * Runs as: worker user. Pure. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/number.h"
#include "fcgi/value.h"

/* ---- fields by name ---- */

enum form_kind { FORM_TEXT, FORM_CHOICE, FORM_NUMBER, FORM_WORDS };

/* What a form may hold. A choice that is empty was not made. */
static const struct form_rule {
	const char *name;
	enum form_kind kind;
} rules[] = {
	{ "language", FORM_TEXT },   { "code", FORM_TEXT },	{ "input", FORM_TEXT },
	{ "stdin", FORM_TEXT },	     { "arguments", FORM_WORDS }, { "args", FORM_WORDS },
	{ "options", FORM_WORDS },   { "timeout", FORM_NUMBER }, { "compare", FORM_CHOICE },
	{ "collect", FORM_WORDS },
};

static bool is_words(struct bytes name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].kind == FORM_WORDS && bytes_are(name, rules[i].name))
			return true;
	return false;
}

/* A file input without a file, as browsers send it. */
static bool is_no_file(const struct form_field *field)
{
	return field->is_file && !field->file_name.size && !field->value.size;
}

static bool is_program_file(const struct form_field *field)
{
	return field->is_file &&
	       (bytes_are(field->name, "code") || bytes_are(field->name, "files"));
}

/* CR LF becomes LF, in a copy: the body stays as it came. */
static int unix_lines(struct decoding *decoding, struct bytes *text)
{
	size_t from, to = 0;
	char *copy;

	if (!text->size || !memmem(text->data, text->size, "\r\n", 2))
		return 0;
	copy = arena_alloc(decoding->arena, text->size, 1);
	if (!copy)
		return decode_no_room(decoding);
	for (from = 0; from < text->size; from++) {
		if (text->data[from] == '\r' && from + 1 < text->size &&
		    text->data[from + 1] == '\n')
			continue;
		copy[to++] = text->data[from];
	}
	*text = (struct bytes){ copy, to };
	return 0;
}

static int grow(struct decoding *decoding, struct form *form)
{
	size_t room = form->room ? 2 * form->room : 64;
	struct form_field *field = arena_alloc(decoding->arena, room, sizeof *field);

	if (!field)
		return decode_no_room(decoding);
	if (form->count)
		memcpy(field, form->field, form->count * sizeof *field);
	form->field = field;
	form->room = room;
	return 0;
}

int form_add(struct decoding *decoding, struct form *form, const struct form_field *field)
{
	struct form_field *added;

	if (is_no_file(field))
		return 0;
	if (is_program_file(field))
		form->files_count++;
	else if (!is_words(field->name))
		form->singles_count++;
	if (form->files_count > JOB_FILES_MAX)
		return failure_set(decoding->failure, 400, "out_of_range", "files",
				   "There may be at most %d files.", JOB_FILES_MAX);
	if (form->singles_count > FORM_FIELDS_MAX)
		return failure_set(
			decoding->failure, 400, "out_of_range", NULL,
			"A form may have at most %d fields beside its files and words.",
			FORM_FIELDS_MAX);
	if (form->count > 4 * JOB_WORDS_MAX)
		return failure_set(decoding->failure, 400, "out_of_range", NULL,
				   "The form has too many words.");
	if (form->count == form->room && grow(decoding, form) < 0)
		return -1;
	added = &form->field[form->count++];
	*added = *field;
	return field->is_file ? 0 : unix_lines(decoding, &added->value);
}

/* ---- the tree ---- */

/* A map under construction: room for all that a form can say. */
struct form_map {
	struct decoding *decoding;
	const struct form *form;
	struct value *value;
	size_t room;
};

static int map_open(struct form_map *map, struct value *value, size_t room)
{
	value->type = VALUE_MAP;
	value->map.count = 0;
	value->map.item = arena_alloc(map->decoding->arena, room, sizeof *value->map.item);
	map->value = value;
	map->room = room;
	return value->map.item ? 0 : decode_no_room(map->decoding);
}

static struct value *map_add(struct form_map *map, const char *name)
{
	struct member *member = &map->value->map.item[map->value->map.count++];

	member->name = (struct bytes){ name, strlen(name) };
	return &member->value;
}

/* The only field of that name: 1; 0 when there is none; -1 when there are more. */
static int find_single(const struct form_map *map, const char *name, struct bytes *ret_value)
{
	size_t found = 0, i;

	for (i = 0; i < map->form->count; i++) {
		const struct form_field *field = &map->form->field[i];

		if (is_program_file(field) || !bytes_are(field->name, name))
			continue;
		if (found++)
			return failure_set(map->decoding->failure, 400, NULL, name,
					   "%s stands twice in the form.", name);
		*ret_value = field->value;
	}
	return found > 0;
}

/* label: how the form calls it; name: the key in the map. */
static int add_number(struct form_map *map, const char *label, const char *name)
{
	struct bytes text;
	struct value *value;
	double number;
	int rc = find_single(map, label, &text);

	if (rc <= 0 || !text.size)
		return rc < 0 ? -1 : 0;
	if (!number_parse(text, &number))
		return failure_set(map->decoding->failure, 400, NULL, label,
				   "%s must be a number.", label);
	value = map_add(map, name);
	value->type = VALUE_NUMBER;
	value->number = number;
	return 0;
}

static int add_text(struct form_map *map, const struct form_rule *rule)
{
	struct value *value;
	struct bytes text;
	int rc = find_single(map, rule->name, &text);

	if (rc <= 0)
		return rc;
	/* an empty text box beside a file says nothing */
	if (!text.size && (rule->kind == FORM_CHOICE ||
			   (map->form->files_count > 0 && strcmp(rule->name, "code") == 0)))
		return 0;
	value = map_add(map, rule->name);
	value->type = VALUE_BYTES;
	value->bytes = text;
	return 0;
}

/* One field: a word for each line, without the empty lines at its end. */
static int split_lines(struct form_map *map, struct bytes text, struct value *value)
{
	size_t count = 1, i, start = 0, n = 0;

	while (text.size && text.data[text.size - 1] == '\n')
		text.size--;
	value->type = VALUE_LIST;
	if (!text.size)
		return 0;
	for (i = 0; i < text.size; i++)
		count += text.data[i] == '\n';
	value->list.item = arena_alloc(map->decoding->arena, count, sizeof *value->list.item);
	if (!value->list.item)
		return decode_no_room(map->decoding);
	value->list.count = count;
	for (i = 0; i <= text.size; i++) {
		if (i < text.size && text.data[i] != '\n')
			continue;
		value->list.item[n].type = VALUE_BYTES;
		value->list.item[n++].bytes = (struct bytes){ text.data + start, i - start };
		start = i + 1;
	}
	return 0;
}

/* Several fields of one name: each is a word as it stands. */
static int add_words(struct form_map *map, const char *name)
{
	const struct form *form = map->form;
	const struct form_field *only = NULL;
	struct value *value, *item;
	size_t count = 0, i;

	for (i = 0; i < form->count; i++) {
		if (bytes_are(form->field[i].name, name)) {
			only = &form->field[i];
			count++;
		}
	}
	if (!count)
		return 0;
	value = map_add(map, name);
	if (count == 1)
		return split_lines(map, only->value, value);
	item = arena_alloc(map->decoding->arena, count, sizeof *item);
	if (!item)
		return decode_no_room(map->decoding);
	value->type = VALUE_LIST;
	value->list.item = item;
	value->list.count = count;
	for (i = 0; i < form->count; i++) {
		if (!bytes_are(form->field[i].name, name))
			continue;
		item->type = VALUE_BYTES;
		item++->bytes = form->field[i].value;
	}
	return 0;
}

/* "limits.wall_ms" and the like; prefix ends with the dot. */
static int add_limits(struct form_map *map, const char *prefix)
{
	char label[64];
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++) {
		snprintf(label, sizeof label, "%s%s", prefix, limit_fields[i].name);
		if (add_number(map, label, limit_fields[i].name) < 0)
			return -1;
	}
	return 0;
}

static int add_all_limits(const struct form_map *map, struct value *value)
{
	struct form_map limits = *map, compile = *map;

	if (map_open(&limits, value, LIMIT_FIELDS + 2) < 0 ||
	    add_limits(&limits, "limits.") < 0 ||
	    add_number(&limits, "limits.total_ms", "total_ms") < 0 ||
	    map_open(&compile, map_add(&limits, "compile"), LIMIT_FIELDS) < 0)
		return -1;
	return add_limits(&compile, "limits.compile.");
}

static void file_value(struct member *member, const struct form_field *field)
{
	member[0].name = (struct bytes){ "name", 4 };
	member[0].value.type = VALUE_BYTES;
	member[0].value.bytes = field->file_name;
	member[1].name = (struct bytes){ "content", 7 };
	member[1].value.type = VALUE_BYTES;
	member[1].value.bytes = field->value;
}

/* The file parts: one named code is the main file, wherever it stands. */
static int add_files(struct form_map *map)
{
	const struct form *form = map->form;
	size_t count = form->files_count, n = 0, round, i;
	struct arena *arena = map->decoding->arena;
	struct value *value, *item;
	struct member *member;

	if (!count)
		return 0;
	value = map_add(map, "files");
	item = arena_alloc(arena, count, sizeof *item);
	member = arena_alloc(arena, 2 * count, sizeof *member);
	if (!item || !member)
		return decode_no_room(map->decoding);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < form->count; i++) {
			const struct form_field *field = &form->field[i];

			if (!is_program_file(field) ||
			    bytes_are(field->name, "code") != (round == 0))
				continue;
			file_value(&member[2 * n], field);
			item[n].type = VALUE_MAP;
			item[n].map.item = &member[2 * n];
			item[n++].map.count = 2;
		}
	}
	value->type = VALUE_LIST;
	value->list.item = item;
	value->list.count = count;
	return 0;
}

/* A name of a file where its content should be: the form lacks its enctype. */
static int refuse_file_names(const struct form_map *map)
{
	struct bytes text;
	int rc = find_single(map, "files", &text);

	if (rc <= 0 || !text.size)
		return rc < 0 ? -1 : 0;
	return failure_set(map->decoding->failure, 400, NULL, "files",
			   "files must be uploaded, with enctype multipart/form-data.");
}

int form_value(struct decoding *decoding, const struct form *form, struct value *ret_value)
{
	struct form_map map = { .decoding = decoding, .form = form };
	size_t i;

	if (map_open(&map, ret_value, ARRAY_LEN(rules) + 2) < 0 || refuse_file_names(&map) < 0)
		return -1;
	for (i = 0; i < ARRAY_LEN(rules); i++) {
		const struct form_rule *rule = &rules[i];
		int rc;

		if (rule->kind == FORM_WORDS)
			rc = add_words(&map, rule->name);
		else if (rule->kind == FORM_NUMBER)
			rc = add_number(&map, rule->name, rule->name);
		else
			rc = add_text(&map, rule);
		if (rc < 0)
			return -1;
	}
	if (add_files(&map) < 0)
		return -1;
	return add_all_limits(&map, map_add(&map, "limits"));
}

/* ---- application/x-www-form-urlencoded ---- */

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes into a copy; -1 when a % is not followed by two hex digits. */
static int unescape(struct bytes from, char *copy, struct bytes *ret_text)
{
	size_t i, n = 0;

	for (i = 0; i < from.size; i++) {
		char c = from.data[i];

		if (c == '+') {
			c = ' ';
		} else if (c == '%') {
			if (from.size - i < 3 || hex(from.data[i + 1]) < 0 ||
			    hex(from.data[i + 2]) < 0)
				return -1;
			c = (char)(hex(from.data[i + 1]) << 4 | hex(from.data[i + 2]));
			i += 2;
		}
		copy[n++] = c;
	}
	*ret_text = (struct bytes){ copy, n };
	return 0;
}

static int take_pair(struct decoding *decoding, struct form *form, struct bytes pair)
{
	const char *equals = memchr(pair.data, '=', pair.size);
	size_t name_size = equals ? (size_t)(equals - pair.data) : pair.size;
	struct bytes name = { pair.data, name_size };
	struct bytes value = { pair.data + name_size, pair.size - name_size };
	struct form_field field = { 0 };
	char *copy = arena_alloc(decoding->arena, pair.size, 1);

	if (!copy)
		return decode_no_room(decoding);
	if (equals) {
		value.data++;
		value.size--;
	}
	if (unescape(name, copy, &field.name) < 0 ||
	    unescape(value, copy + name_size, &field.value) < 0)
		return failure_set(decoding->failure, 400, "malformed", "body",
				   "In the form, a %% is not followed by two hex digits.");
	return form_add(decoding, form, &field);
}

int decode_urlencoded(struct decoding *decoding, struct value *ret_value)
{
	struct bytes body = decoding->request->body;
	struct form form = { 0 };
	size_t start = 0, i;

	/* no field's name begins like that; curl -d says "form" of whatever it sends */
	if (body.data[0] == '{')
		return failure_set(decoding->failure, 415, NULL, "Content-Type",
				   "This is no form. If it is JSON, send "
				   "Content-Type: application/json.");
	for (i = 0; i <= body.size; i++) {
		if (i < body.size && body.data[i] != '&')
			continue;
		if (i > start && take_pair(decoding, &form,
					   (struct bytes){ body.data + start, i - start }) < 0)
			return -1;
		start = i + 1;
	}
	return form_value(decoding, &form, ret_value);
}
