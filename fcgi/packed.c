/* SPDX-License-Identifier: ISC */
/* Runs as: whoever types. Pure. */
#include "fcgi/packed.h"

#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#include "fcgi/utf8.h"

#define DEPTH_MAX 32

static json_t *to_tree(const msgpack_object *o, int depth);

static json_t *list_to_tree(const msgpack_object_array *list, int depth)
{
	json_t *tree = json_array();
	uint32_t i;

	for (i = 0; tree && i < list->size; i++)
		if (json_array_append_new(tree, to_tree(&list->ptr[i], depth + 1)) < 0) {
			json_decref(tree);
			return NULL;
		}
	return tree;
}

/* Our maps have names as keys; a key of another kind is left out. */
static int add_member(json_t *tree, const msgpack_object_kv *member, int depth)
{
	char name[64];
	json_t *value = to_tree(&member->val, depth + 1);

	if (!value)
		return -1;
	if (member->key.type != MSGPACK_OBJECT_STR || member->key.via.str.size >= sizeof name) {
		json_decref(value);
		return 0;
	}
	memcpy(name, member->key.via.str.ptr, member->key.via.str.size);
	name[member->key.via.str.size] = '\0';
	return json_object_set_new_nocheck(tree, name, value);
}

static json_t *map_to_tree(const msgpack_object_map *map, int depth)
{
	json_t *tree = json_object();
	uint32_t i;

	for (i = 0; tree && i < map->size; i++)
		if (add_member(tree, &map->ptr[i], depth) < 0) {
			json_decref(tree);
			return NULL;
		}
	return tree;
}

static json_t *to_tree(const msgpack_object *o, int depth)
{
	if (depth > DEPTH_MAX)
		return NULL;
	switch (o->type) {
	case MSGPACK_OBJECT_BOOLEAN:
		return json_boolean(o->via.boolean);
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		return json_integer((json_int_t)o->via.u64);
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		return json_integer((json_int_t)o->via.i64);
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		return json_real(o->via.f64);
	case MSGPACK_OBJECT_STR:
		return json_stringn_nocheck(o->via.str.size ? o->via.str.ptr : "",
					    o->via.str.size);
	case MSGPACK_OBJECT_BIN:
		return json_stringn_nocheck(o->via.bin.size ? o->via.bin.ptr : "",
					    o->via.bin.size);
	case MSGPACK_OBJECT_ARRAY:
		return list_to_tree(&o->via.array, depth);
	case MSGPACK_OBJECT_MAP:
		return map_to_tree(&o->via.map, depth);
	default:
		return json_null();
	}
}

json_t *packed_decode(const char *bytes, size_t size)
{
	msgpack_unpacked unpacked;
	json_t *tree = NULL;
	size_t at = 0;

	msgpack_unpacked_init(&unpacked);
	if (msgpack_unpack_next(&unpacked, bytes, size, &at) == MSGPACK_UNPACK_SUCCESS && at == size)
		tree = to_tree(&unpacked.data, 0);
	msgpack_unpacked_destroy(&unpacked);
	return tree;
}

/* ---- out ---- */

static void pack_bytes(msgpack_packer *pk, const char *bytes, size_t size)
{
	if (utf8_valid(bytes, size)) {
		msgpack_pack_str(pk, size);
		msgpack_pack_str_body(pk, bytes, size);
	} else {
		msgpack_pack_bin(pk, size);
		msgpack_pack_bin_body(pk, bytes, size);
	}
}

static void pack(msgpack_packer *pk, const json_t *tree)
{
	const char *name;
	json_t *value;
	size_t i;

	switch (json_typeof(tree)) {
	case JSON_OBJECT:
		msgpack_pack_map(pk, json_object_size(tree));
		json_object_foreach((json_t *)tree, name, value) {
			pack_bytes(pk, name, strlen(name));
			pack(pk, value);
		}
		return;
	case JSON_ARRAY:
		msgpack_pack_array(pk, json_array_size(tree));
		json_array_foreach(tree, i, value)
			pack(pk, value);
		return;
	case JSON_STRING:
		pack_bytes(pk, json_string_value(tree), json_string_length(tree));
		return;
	case JSON_INTEGER:
		msgpack_pack_int64(pk, json_integer_value(tree));
		return;
	case JSON_REAL:
		msgpack_pack_double(pk, json_real_value(tree));
		return;
	case JSON_TRUE:
		msgpack_pack_true(pk);
		return;
	case JSON_FALSE:
		msgpack_pack_false(pk);
		return;
	case JSON_NULL:
		msgpack_pack_nil(pk);
		return;
	}
}

/* msgpack-c's own buffer, with its failures remembered. */
struct room {
	msgpack_sbuffer buffer;
	int failed;
};

static int append(void *data, const char *bytes, size_t size)
{
	struct room *room = data;

	room->failed |= msgpack_sbuffer_write(&room->buffer, bytes, size);
	return 0;
}

char *packed_encode(const json_t *tree, size_t *ret_size)
{
	struct room room = { 0 };
	msgpack_packer pk;

	msgpack_sbuffer_init(&room.buffer);
	msgpack_packer_init(&pk, &room, append);
	pack(&pk, tree);
	if (room.failed) {
		msgpack_sbuffer_destroy(&room.buffer);
		return NULL;
	}
	*ret_size = room.buffer.size;
	return msgpack_sbuffer_release(&room.buffer);
}

/* ---- one after another ---- */

struct packed_reader {
	msgpack_unpacker unpacker;
	size_t max_bytes;
};

struct packed_reader *packed_reader_new(size_t max_bytes)
{
	struct packed_reader *reader = calloc(1, sizeof *reader);

	if (!reader)
		return NULL;
	reader->max_bytes = max_bytes;
	if (!msgpack_unpacker_init(&reader->unpacker, MSGPACK_UNPACKER_INIT_BUFFER_SIZE)) {
		free(reader);
		return NULL;
	}
	return reader;
}

void packed_reader_free(struct packed_reader *reader)
{
	if (!reader)
		return;
	msgpack_unpacker_destroy(&reader->unpacker);
	free(reader);
}

int packed_reader_feed(struct packed_reader *reader, const char *bytes, size_t size)
{
	if (msgpack_unpacker_message_size(&reader->unpacker) + size > reader->max_bytes ||
	    !msgpack_unpacker_reserve_buffer(&reader->unpacker, size))
		return -1;
	memcpy(msgpack_unpacker_buffer(&reader->unpacker), bytes, size);
	msgpack_unpacker_buffer_consumed(&reader->unpacker, size);
	return 0;
}

int packed_reader_next(struct packed_reader *reader, json_t **ret_value)
{
	msgpack_unpacked unpacked;
	int rc;

	msgpack_unpacked_init(&unpacked);
	switch (msgpack_unpacker_next(&reader->unpacker, &unpacked)) {
	case MSGPACK_UNPACK_SUCCESS:
		*ret_value = to_tree(&unpacked.data, 0);
		rc = *ret_value ? 1 : -1;
		break;
	case MSGPACK_UNPACK_CONTINUE:
		rc = 0;
		break;
	default:
		rc = -1;
	}
	msgpack_unpacked_destroy(&unpacked);
	return rc;
}
