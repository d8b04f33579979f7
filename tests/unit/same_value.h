/* SPDX-License-Identifier: ISC */
/* Whether a JSON text and a msgpack object say the same. */
#ifndef SANDPOOL_TESTS_SAME_VALUE_H
#define SANDPOOL_TESTS_SAME_VALUE_H

#include <jansson.h>
#include <msgpack/object.h>
#include <stdbool.h>

/* bin is a string in JSON, or its exact bytes lie in the twin <key>_base64. On a
 * difference ret_where (of size bytes) gets the key. */
bool same_value(json_t *json, const msgpack_object *object, char *ret_where, size_t size);

#endif
