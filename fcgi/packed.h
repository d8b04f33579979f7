/* SPDX-License-Identifier: ISC */
/* msgpack as jansson's trees: one kind of tree for both encodings. A string of such
 * a tree may hold any bytes; it is not to be written as JSON.
 * The command line's only file that knows msgpack. Pure. */
#ifndef SANDPOOL_PACKED_H
#define SANDPOOL_PACKED_H

#include <jansson.h>
#include <stddef.h>

/* One whole value; NULL when it is none, or is too deep, or something follows it. */
json_t *packed_decode(const char *bytes, size_t size);

/* Strings that are UTF-8 as str, others as bin. To be freed; NULL without memory. */
char *packed_encode(const json_t *tree, size_t *ret_size);

/* Values one after another, in pieces of any size. */
struct packed_reader;
struct packed_reader *packed_reader_new(size_t max_bytes); /* of one value */
void packed_reader_free(struct packed_reader *reader);
/* -1: no memory, or one value is larger than max_bytes. */
int packed_reader_feed(struct packed_reader *reader, const char *bytes, size_t size);
/* 1 and a value, 0 when more bytes are needed, -1 when they are no msgpack. */
int packed_reader_next(struct packed_reader *reader, json_t **ret_value);

#endif
