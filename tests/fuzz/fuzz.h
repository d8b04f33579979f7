/* SPDX-License-Identifier: ISC */
/* One target: takes any bytes, aborts when a promise is broken. Built by clang for
 * libFuzzer (--enable-fuzzers), else with replay.c, which goes through the corpus. */
#ifndef SANDPOOL_TESTS_FUZZ_H
#define SANDPOOL_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "fcgi/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Decodes a request in both shapes and looks at what came out of it. */
void fuzz_decode(const char *content_type, const uint8_t *data, size_t size);

#endif
