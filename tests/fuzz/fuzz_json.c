/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_decode("application/json", data, size);
	return 0;
}
