/* SPDX-License-Identifier: ISC */
/* What sandboxd reads from a worker, and the payload that the stage's child reads. */
#include <stdlib.h>
#include <string.h>

#include "common/wire.h"
#include "tests/fuzz/fuzz.h"

static void check_run(const struct wire_run *run)
{
	if (strnlen(run->language, sizeof run->language) == sizeof run->language ||
	    run->files_count > JOB_FILES_MAX || run->stage >= STAGE_COUNT)
		abort();
}

static void read_payload(const char *payload, size_t size)
{
	struct bytes record;
	size_t offset = 0;

	while (wire_payload_next(payload, size, &offset, &record) == 0)
		if (offset > size || record.data < payload ||
		    record.size > size - (size_t)(record.data - payload))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* aligned, and of its exact size */
	void *copy = malloc(size ? size : 1);
	struct error err = ERROR_INIT;
	int type;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	for (type = 0; type <= WIRE_INFO + 1; type++)
		if (wire_check(copy, size, (enum wire_type)type, &err) == 0 && type == WIRE_RUN)
			check_run(copy);
	read_payload(copy, size);
	free(copy);
	return 0;
}
