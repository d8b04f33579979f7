/* SPDX-License-Identifier: ISC */
/* text/plain: what the program printed, and nothing else. With tests, where there
 * is no one output, a line for each. Runs as: worker user. Pure. */
#include <stdio.h>

#include "fcgi/encode.h"

static int put_bytes(const struct sink *sink, const char *bytes, size_t size)
{
	return size ? sink->write(sink->data, bytes, size) : 0;
}

static int put_test_line(const struct sink *sink, const struct test_result *test)
{
	char line[96];
	int size = snprintf(line, sizeof line, "%zu: %s\n", test->index + 1,
			    job_status_name(test->result.status));

	return put_bytes(sink, line, (size_t)size);
}

int write_text(const struct answer *answer, const struct sink *sink)
{
	const struct bytes *output = &answer->run.output[LAUNCH_STDOUT];
	size_t i;

	if (answer->has_run)
		return put_bytes(sink, output->data, output->size);
	for (i = 0; i < answer->tests_count; i++)
		if (put_test_line(sink, &answer->tests[i]) < 0)
			return -1;
	return 0;
}
