/* SPDX-License-Identifier: ISC */
#include "tests/unit/same_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/base64.h"

static bool same_text(json_t *json, const char *text, size_t size)
{
	return json_is_string(json) && json_string_length(json) == size &&
	       memcmp(json_string_value(json), text, size) == 0;
}

static bool same_base64(json_t *twin, const msgpack_object_bin *bin)
{
	size_t size = json_string_length(twin), got = 0;
	char *data = malloc(size / 4 * 3 + 3);
	bool same = data && json_is_string(twin) &&
		    base64_decode(json_string_value(twin), size, data, &got) == 0 &&
		    got == bin->size && memcmp(data, bin->ptr, got) == 0;

	free(data);
	return same;
}

static bool same_map(json_t *json, const msgpack_object_map *map, char *where, size_t size)
{
	size_t twins = 0, i;

	for (i = 0; i < map->size; i++) {
		const msgpack_object_kv *kv = &map->ptr[i];
		const msgpack_object *value = &kv->val;
		char key[64], twin[80];
		json_t *json_value, *json_twin;

		snprintf(key, sizeof key, "%.*s", (int)kv->key.via.str.size, kv->key.via.str.ptr);
		snprintf(twin, sizeof twin, "%s_base64", key);
		json_value = json_object_get(json, key);
		json_twin = json_object_get(json, twin);
		if (json_twin && value->type == MSGPACK_OBJECT_BIN) {
			twins++;
			if (json_is_string(json_value) && same_base64(json_twin, &value->via.bin))
				continue;
		} else if (same_value(json_value, value, where, size)) {
			continue;
		}
		if (!where[0])
			snprintf(where, size, "%s", key);
		return false;
	}
	return json_object_size(json) == map->size + twins;
}

static bool same_list(json_t *json, const msgpack_object_array *list, char *where, size_t size)
{
	size_t i;

	if (!json_is_array(json) || json_array_size(json) != list->size)
		return false;
	for (i = 0; i < list->size; i++)
		if (!same_value(json_array_get(json, i), &list->ptr[i], where, size))
			return false;
	return true;
}

bool same_value(json_t *json, const msgpack_object *object, char *where, size_t size)
{
	switch (object->type) {
	case MSGPACK_OBJECT_NIL:
		return json_is_null(json);
	case MSGPACK_OBJECT_BOOLEAN:
		return json_is_boolean(json) && json_is_true(json) == object->via.boolean;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return json_is_integer(json) &&
		       (uint64_t)json_integer_value(json) == object->via.u64;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return json_is_integer(json) && json_integer_value(json) == object->via.i64;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return json_is_real(json) && json_real_value(json) == object->via.f64;
	case MSGPACK_OBJECT_STR:
		return same_text(json, object->via.str.ptr, object->via.str.size);
	case MSGPACK_OBJECT_BIN:
		return same_text(json, object->via.bin.ptr, object->via.bin.size);
	case MSGPACK_OBJECT_ARRAY:
		return same_list(json, &object->via.array, where, size);
	case MSGPACK_OBJECT_MAP:
		return json_is_object(json) && same_map(json, &object->via.map, where, size);
	case MSGPACK_OBJECT_EXT:
		break;
	}
	return false;
}
