/* SPDX-License-Identifier: ISC */
/* What every decoder yields: a tree of values in the request's arena. Private to
 * the codec. */
#ifndef SANDPOOL_VALUE_H
#define SANDPOOL_VALUE_H

#include "fcgi/codec.h"

enum value_type { VALUE_NULL, VALUE_BOOL, VALUE_NUMBER, VALUE_BYTES, VALUE_LIST, VALUE_MAP };

struct value {
	enum value_type type;
	union {
		double number;
		struct bytes bytes;
		struct {
			struct value *item;
			size_t count;
		} list;
		struct {
			struct member *item;
			size_t count;
		} map;
	};
};

struct member {
	struct bytes name;
	struct value value;
};

/* One request on its way through a decoder. */
struct decoding {
	const struct codec_request *request;
	struct arena *arena;
	struct failure *failure;
};

/* The decoders: 0, or -1 with the failure set. */
int decode_json(struct decoding *decoding, struct value *ret_value);
int decode_msgpack(struct decoding *decoding, struct value *ret_value);
int decode_urlencoded(struct decoding *decoding, struct value *ret_value);
int decode_multipart(struct decoding *decoding, struct value *ret_value);

/* The tree as a job. */
int job_from_value(struct decoding *decoding, const struct value *value, struct job *ret_job,
		   struct codec_echo *ret_echo);

/* The arena is full: 413. Returns -1. */
int decode_no_room(struct decoding *decoding);

static inline bool bytes_are(struct bytes bytes, const char *text)
{
	size_t i;

	for (i = 0; i < bytes.size && text[i]; i++)
		if (bytes.data[i] != text[i])
			return false;
	return i == bytes.size && !text[i];
}

/* ASCII letters of either case are the same here. */
bool bytes_are_nocase(struct bytes bytes, const char *text);
bool bytes_equal(struct bytes a, struct bytes b);

/* Header values with parameters: the first call takes the value itself (up to
 * the ";"), each further one a parameter. Quoted strings lose their quotes (the
 * copy is in the arena). 1: taken, 0: at the end, -1: malformed or no room. */
struct bytes header_value(const char *header, struct bytes *ret_rest);
int header_parameter(struct bytes *rest, struct arena *arena, struct bytes *ret_name,
		     struct bytes *ret_value);

/* ---- forms: flat fields that become a tree by a table of names ---- */

#define FORM_FIELDS_MAX 32 /* that are not words or files */

struct form_field {
	struct bytes name, value;
	bool is_file;
	struct bytes file_name;
};

struct form {
	struct form_field *field;
	size_t count, room;
	size_t files_count, singles_count;
};

/* Adds one field; CR LF in a value that is no file becomes LF. */
int form_add(struct decoding *decoding, struct form *form, const struct form_field *field);
int form_value(struct decoding *decoding, const struct form *form, struct value *ret_value);

#endif
