/* SPDX-License-Identifier: ISC */
/* The file of the API keys. */
#include <stdlib.h>
#include <string.h>

#include "fcgi/keys.h"
#include "tests/fuzz/fuzz.h"

static void check_key(const struct keys *keys, const struct key *key)
{
	struct limits_policy policy = limits_policy_default;

	key_lower(key, &policy);
	if (!key_name_valid(key->name) || key->id == 0 ||
	    strnlen(key->paths, sizeof key->paths) == sizeof key->paths ||
	    policy.max.memory_bytes > limits_policy_default.max.memory_bytes ||
	    policy.max.memory_bytes < policy.min.memory_bytes || keys_find(keys, key->name) == key)
		abort();
	key_allows(key, "/run");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	struct keys keys = { 0 };
	size_t i;

	if (keys_parse((const char *)data, size, &keys, &err) < 0) {
		if (!err.text[0] || keys.key)
			abort();
		return 0;
	}
	for (i = 0; i < keys.count; i++)
		check_key(&keys, &keys.key[i]);
	keys_free(&keys);
	return 0;
}
