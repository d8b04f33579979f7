/* SPDX-License-Identifier: ISC */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_decode("multipart/form-data; boundary=XX", data, size);
	return 0;
}
