/* SPDX-License-Identifier: ISC */
/* msgpack by msgpack-c, which allocates whatever a header of five bytes asks
 * for: so an own scan, without recursion or memory, first makes sure that every
 * length and count fits in the bytes that are there.
 * Runs as: worker user. Pure. */
#include <msgpack/object.h>
#include <msgpack/unpack.h>
#include <msgpack/zone.h>
#include <string.h>

#include "fcgi/value.h"

static int malformed(struct decoding *decoding, const char *why)
{
	return failure_set(decoding->failure, 400, "malformed", "body",
			   "Not valid msgpack: %s.", why);
}

/* ---- the scan ---- */

enum kind { KIND_FIXED, KIND_STRING, KIND_BIN, KIND_LIST, KIND_MAP, KIND_EXT, KIND_BAD };

/* Every first byte, by ranges: what it is, how many bytes of length (or of value)
 * follow, and for the short forms the bits that hold the length. */
static const struct lead {
	unsigned char first, last;
	enum kind kind;
	unsigned char bytes;     /* of the value, or of the length */
	unsigned char size_mask; /* the length is in the first byte */
} leads[] = {
	{ 0x00, 0x7f, KIND_FIXED, 0, 0 },     { 0x80, 0x8f, KIND_MAP, 0, 0x0f },
	{ 0x90, 0x9f, KIND_LIST, 0, 0x0f },   { 0xa0, 0xbf, KIND_STRING, 0, 0x1f },
	{ 0xc0, 0xc0, KIND_FIXED, 0, 0 },     { 0xc1, 0xc1, KIND_BAD, 0, 0 },
	{ 0xc2, 0xc3, KIND_FIXED, 0, 0 },     { 0xc4, 0xc4, KIND_BIN, 1, 0 },
	{ 0xc5, 0xc5, KIND_BIN, 2, 0 },	      { 0xc6, 0xc6, KIND_BIN, 4, 0 },
	{ 0xc7, 0xc9, KIND_EXT, 0, 0 },	      { 0xca, 0xca, KIND_FIXED, 4, 0 },
	{ 0xcb, 0xcb, KIND_FIXED, 8, 0 },     { 0xcc, 0xcc, KIND_FIXED, 1, 0 },
	{ 0xcd, 0xcd, KIND_FIXED, 2, 0 },     { 0xce, 0xce, KIND_FIXED, 4, 0 },
	{ 0xcf, 0xcf, KIND_FIXED, 8, 0 },     { 0xd0, 0xd0, KIND_FIXED, 1, 0 },
	{ 0xd1, 0xd1, KIND_FIXED, 2, 0 },     { 0xd2, 0xd2, KIND_FIXED, 4, 0 },
	{ 0xd3, 0xd3, KIND_FIXED, 8, 0 },     { 0xd4, 0xd8, KIND_EXT, 0, 0 },
	{ 0xd9, 0xd9, KIND_STRING, 1, 0 },    { 0xda, 0xda, KIND_STRING, 2, 0 },
	{ 0xdb, 0xdb, KIND_STRING, 4, 0 },    { 0xdc, 0xdc, KIND_LIST, 2, 0 },
	{ 0xdd, 0xdd, KIND_LIST, 4, 0 },      { 0xde, 0xde, KIND_MAP, 2, 0 },
	{ 0xdf, 0xdf, KIND_MAP, 4, 0 },	      { 0xe0, 0xff, KIND_FIXED, 0, 0 },
};

struct scan {
	struct bytes body;
	size_t at, values;
	struct bytes field; /* the last key of the outermost map */
	struct level {
		uint64_t left; /* values that are still to come here */
		bool is_map;   /* then every second one is a key */
	} level[CODEC_DEPTH_MAX];
	size_t depth;
};

static const struct lead *find_lead(unsigned char byte)
{
	const struct lead *lead = leads;

	/* the ranges are in order and leave no gap */
	while (byte > lead->last)
		lead++;
	return lead;
}

/* NULL, or what is wrong. */
static const char *open_level(struct scan *scan, enum kind kind, uint64_t count)
{
	uint64_t values = kind == KIND_MAP ? 2 * count : count;

	if (values > scan->body.size - scan->at)
		return "a count that is larger than the body";
	if (scan->depth == CODEC_DEPTH_MAX)
		return "nested deeper than 32 levels";
	if (kind == KIND_MAP && count > CODEC_KEYS_MAX)
		return "a map with more than 256 keys";
	scan->level[scan->depth].left = values;
	scan->level[scan->depth].is_map = kind == KIND_MAP;
	scan->depth++;
	return NULL;
}

/* Reads one value's head, and its bytes when it has no values inside. */
static const char *scan_value(struct scan *scan)
{
	const unsigned char *body = (const unsigned char *)scan->body.data;
	struct level *level = scan->depth ? &scan->level[scan->depth - 1] : NULL;
	bool is_key = level && level->is_map && level->left % 2 == 0;
	const struct lead *lead;
	uint64_t size;
	size_t i;

	if (scan->at == scan->body.size)
		return "it is cut short";
	if (++scan->values > CODEC_VALUES_MAX)
		return "more than 100000 values";
	lead = find_lead(body[scan->at]);
	size = body[scan->at] & lead->size_mask;
	scan->at++;
	if (lead->kind == KIND_BAD)
		return "it holds the byte 0xc1";
	if (lead->kind == KIND_EXT)
		return "extension types mean nothing here";
	if (is_key && lead->kind != KIND_STRING)
		return "a key that is no string";
	if (level)
		level->left--;
	if (lead->bytes > scan->body.size - scan->at)
		return "it is cut short";
	for (i = 0; i < lead->bytes && lead->kind != KIND_FIXED; i++)
		size = size << 8 | body[scan->at + i];
	scan->at += lead->bytes;
	if (lead->kind == KIND_LIST || lead->kind == KIND_MAP)
		return open_level(scan, lead->kind, size);
	if (lead->kind == KIND_FIXED)
		return NULL;
	if (size > scan->body.size - scan->at)
		return "a length that is larger than the body";
	if (is_key && scan->depth == 1)
		scan->field = (struct bytes){ scan->body.data + scan->at, (size_t)size };
	scan->at += size;
	return NULL;
}

/* Where a message is broken, as far as that can be told: in which field. */
static int refuse_scan(struct decoding *decoding, const struct scan *scan, const char *why)
{
	char field[sizeof decoding->failure->field] = "body";

	if (job_language_valid(scan->field.data, scan->field.size) &&
	    scan->field.size < sizeof field) {
		memcpy(field, scan->field.data, scan->field.size);
		field[scan->field.size] = '\0';
	}
	return failure_set(decoding->failure, 400, "malformed", field,
			   "Not valid msgpack: %s.", why);
}

static int scan_body(struct decoding *decoding)
{
	struct scan scan = { .body = decoding->request->body };

	do {
		const char *why = scan_value(&scan);

		if (why)
			return refuse_scan(decoding, &scan, why);
		while (scan.depth && scan.level[scan.depth - 1].left == 0)
			scan.depth--;
	} while (scan.depth);
	if (scan.at == scan.body.size)
		return 0;
	scan.field.size = 0;
	return refuse_scan(decoding, &scan, "bytes behind the end");
}

/* ---- the tree ---- */

static int convert(struct decoding *decoding, const msgpack_object *from,
		   struct value *ret_value);

static int convert_list(struct decoding *decoding, const msgpack_object_array *from,
			struct value *value)
{
	struct value *item = arena_alloc(decoding->arena, from->size, sizeof *item);
	size_t i;

	if (!item)
		return decode_no_room(decoding);
	for (i = 0; i < from->size; i++)
		if (convert(decoding, &from->ptr[i], &item[i]) < 0)
			return -1;
	value->type = VALUE_LIST;
	value->list.item = item;
	value->list.count = from->size;
	return 0;
}

/* Refused like in JSON: which of the two was meant is anybody's guess. */
static int check_unique(struct decoding *decoding, const struct member *member, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (bytes_equal(member[i].name, member[count].name))
			return malformed(decoding, "a key that stands twice in one map");
	return 0;
}

static int convert_map(struct decoding *decoding, const msgpack_object_map *from,
		       struct value *value)
{
	struct member *member = arena_alloc(decoding->arena, from->size, sizeof *member);
	size_t i;

	if (!member)
		return decode_no_room(decoding);
	for (i = 0; i < from->size; i++) {
		const msgpack_object_str *key = &from->ptr[i].key.via.str;

		member[i].name = (struct bytes){ key->ptr, key->size };
		if (check_unique(decoding, member, i) < 0 ||
		    convert(decoding, &from->ptr[i].val, &member[i].value) < 0)
			return -1;
	}
	value->type = VALUE_MAP;
	value->map.item = member;
	value->map.count = from->size;
	return 0;
}

/* As deep as the scan let it be. Strings stay where they are, in the body. */
static int convert(struct decoding *decoding, const msgpack_object *from,
		   struct value *ret_value)
{
	switch (from->type) {
	case MSGPACK_OBJECT_NIL:
		ret_value->type = VALUE_NULL;
		return 0;
	case MSGPACK_OBJECT_BOOLEAN:
		ret_value->type = VALUE_BOOL;
		return 0;
	case MSGPACK_OBJECT_POSITIVE_INTEGER:
		ret_value->type = VALUE_NUMBER;
		ret_value->number = (double)from->via.u64;
		return 0;
	case MSGPACK_OBJECT_NEGATIVE_INTEGER:
		ret_value->type = VALUE_NUMBER;
		ret_value->number = (double)from->via.i64;
		return 0;
	case MSGPACK_OBJECT_FLOAT32:
	case MSGPACK_OBJECT_FLOAT64:
		ret_value->type = VALUE_NUMBER;
		ret_value->number = from->via.f64;
		return 0;
	case MSGPACK_OBJECT_STR:
		ret_value->type = VALUE_BYTES;
		ret_value->bytes = (struct bytes){ from->via.str.ptr, from->via.str.size };
		return 0;
	case MSGPACK_OBJECT_BIN:
		ret_value->type = VALUE_BYTES;
		ret_value->bytes = (struct bytes){ from->via.bin.ptr, from->via.bin.size };
		return 0;
	case MSGPACK_OBJECT_ARRAY:
		return convert_list(decoding, &from->via.array, ret_value);
	case MSGPACK_OBJECT_MAP:
		return convert_map(decoding, &from->via.map, ret_value);
	case MSGPACK_OBJECT_EXT:
		break;
	}
	return malformed(decoding, "a value of no known type");
}

int decode_msgpack(struct decoding *decoding, struct value *ret_value)
{
	struct bytes body = decoding->request->body;
	msgpack_zone zone;
	msgpack_object object;
	size_t offset = 0;
	int rc;

	if (scan_body(decoding) < 0)
		return -1;
	if (!msgpack_zone_init(&zone, MSGPACK_ZONE_CHUNK_SIZE))
		return decode_no_room(decoding);
	if (msgpack_unpack(body.data, body.size, &offset, &zone, &object) ==
	    MSGPACK_UNPACK_SUCCESS)
		rc = convert(decoding, &object, ret_value);
	else
		rc = malformed(decoding, "it cannot be read");
	msgpack_zone_destroy(&zone);
	return rc;
}
