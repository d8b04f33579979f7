/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_decode("application/x-www-form-urlencoded", data, size);
	return 0;
}
