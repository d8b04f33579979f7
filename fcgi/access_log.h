/* SPDX-License-Identifier: ISC */
/* One line for each request, a JSON object, to stderr. Never code, input or output,
 * nor a key. */
#ifndef SANDPOOL_ACCESS_LOG_H
#define SANDPOOL_ACCESS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/job.h"
#include "fcgi/request.h"

/* What the handlers find out on the way. */
struct access_line {
	const char *language; /* NULL: it did not come so far */
	const char *key_name; /* likewise */
	char failure[32];     /* code of the failure; "": none */
	bool has_verdict;     /* the rest counts */
	enum status verdict;
	bool exited;
	int exit_code, signal;
	uint64_t code_bytes, output_bytes;
	uint64_t queue_us, setup_us, compile_us, run_us, cpu_us;
	uint64_t memory_peak_bytes, memory_limit_bytes;
	uint64_t tests_count;
	bool compile_cached; /* the build was at hand */
};

void access_log(const struct request *request, const struct access_line *line);

#endif
