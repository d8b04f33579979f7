/* SPDX-License-Identifier: ISC */
/* The header values that we take apart: Content-Type and Accept. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char body[] = "--XX\r\nContent-Disposition: form-data; name=language\r\n\r\nc"
				   "\r\n--XX\r\nContent-Disposition: form-data; name=code\r\n\r\n"
				   "x\r\n--XX--\r\n";
	char *text = malloc(size + 1);
	enum answer_format format = ANSWER_FORMATS;

	if (!text)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	fuzz_decode(text, (const uint8_t *)body, sizeof body - 1);
	if (codec_accept(text, &format) == 0 && format >= ANSWER_FORMATS)
		abort();
	free(text);
	return 0;
}
