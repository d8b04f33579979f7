/* SPDX-License-Identifier: ISC */
/* JSON by jansson, which is strict but allows 2,048 levels and any number of
 * values: a scan that costs nothing looks first.
 * Runs as: worker user. Pure. */
#include <jansson.h>
#include <string.h>

#include "fcgi/utf8.h"
#include "fcgi/value.h"

static int malformed(struct decoding *decoding, const char *why)
{
	return failure_set(decoding->failure, 400, "malformed", "body", "Not valid JSON: %s.",
			   why);
}

/* Where the string that begins at i ends; body.size when it does not. */
static size_t skip_string(struct bytes body, size_t i)
{
	for (i++; i < body.size && body.data[i] != '"'; i++)
		if (body.data[i] == '\\')
			i++;
	return i;
}

/* Counts nesting and values; whether it is JSON at all is jansson's to say. */
static int scan(struct decoding *decoding)
{
	struct bytes body = decoding->request->body;
	size_t depth = 0, values = 1, i;

	for (i = 0; i < body.size; i++) {
		switch (body.data[i]) {
		case '"':
			i = skip_string(body, i);
			break;
		case '[':
		case '{':
			values++;
			if (++depth > CODEC_DEPTH_MAX)
				return malformed(decoding, "nested deeper than 32 levels");
			break;
		case ']':
		case '}':
			depth -= depth > 0;
			break;
		case ',':
			values++;
			break;
		}
	}
	if (values > CODEC_VALUES_MAX)
		return malformed(decoding, "more than 100000 values");
	return 0;
}

static int convert(struct decoding *decoding, const json_t *json, struct value *ret_value);

static int convert_text(struct decoding *decoding, const char *text, size_t size,
			struct bytes *ret_bytes)
{
	char *copy = arena_copy(decoding->arena, text, size);

	if (!copy)
		return decode_no_room(decoding);
	*ret_bytes = (struct bytes){ copy, size };
	return 0;
}

static int convert_list(struct decoding *decoding, const json_t *json, struct value *value)
{
	size_t count = json_array_size(json), i;
	struct value *item = arena_alloc(decoding->arena, count, sizeof *item);

	if (!item)
		return decode_no_room(decoding);
	for (i = 0; i < count; i++)
		if (convert(decoding, json_array_get(json, i), &item[i]) < 0)
			return -1;
	value->type = VALUE_LIST;
	value->list.item = item;
	value->list.count = count;
	return 0;
}

static int convert_map(struct decoding *decoding, json_t *json, struct value *value)
{
	size_t count = json_object_size(json);
	struct member *member;
	const char *key;
	json_t *each;

	if (count > CODEC_KEYS_MAX)
		return malformed(decoding, "an object with more than 256 keys");
	member = arena_alloc(decoding->arena, count, sizeof *member);
	if (!member)
		return decode_no_room(decoding);
	value->type = VALUE_MAP;
	value->map.item = member;
	value->map.count = count;
	json_object_foreach(json, key, each) {
		/* a key has no NUL: jansson refuses one */
		if (convert_text(decoding, key, strlen(key), &member->name) < 0 ||
		    convert(decoding, each, &member->value) < 0)
			return -1;
		member++;
	}
	return 0;
}

/* As deep as scan() let it be. */
static int convert(struct decoding *decoding, const json_t *json, struct value *ret_value)
{
	switch (json_typeof(json)) {
	case JSON_NULL:
		ret_value->type = VALUE_NULL;
		return 0;
	case JSON_TRUE:
	case JSON_FALSE:
		ret_value->type = VALUE_BOOL;
		return 0;
	case JSON_INTEGER:
	case JSON_REAL:
		ret_value->type = VALUE_NUMBER;
		ret_value->number = json_number_value(json);
		return 0;
	case JSON_STRING:
		ret_value->type = VALUE_BYTES;
		return convert_text(decoding, json_string_value(json), json_string_length(json),
				    &ret_value->bytes);
	case JSON_ARRAY:
		return convert_list(decoding, json, ret_value);
	case JSON_OBJECT:
		return convert_map(decoding, (json_t *)json, ret_value);
	}
	return malformed(decoding, "a value of no known type");
}

static void drop(json_t **json)
{
	json_decref(*json);
}

int decode_json(struct decoding *decoding, struct value *ret_value)
{
	/* integers as real numbers: one that is too large is then a value out of
	 * range, with its field's name, and not a broken body */
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY |
			     JSON_DECODE_INT_AS_REAL;
	struct bytes body = decoding->request->body;
	__attribute__((cleanup(drop))) json_t *json = NULL;
	json_error_t error;

	if (scan(decoding) < 0)
		return -1;
	json = json_loadb(body.data, body.size, flags, &error);
	if (!json)
		return failure_set(decoding->failure, 400, "malformed", "body",
				   "Not valid JSON, line %d column %d: %s.", error.line,
				   error.column, error.text);
	return convert(decoding, json, ret_value);
}
