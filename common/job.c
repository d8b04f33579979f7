/* SPDX-License-Identifier: ISC */
/* Runs as: any user. Pure. */
#include "common/job.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)

const struct limit_field limit_fields[LIMIT_FIELDS] = {
	{ "wall_ms", "wall", offsetof(struct limits, wall_ms), LIMIT_MS },
	{ "cpu_ms", "cpu", offsetof(struct limits, cpu_ms), LIMIT_MS },
	{ "memory_bytes", "memory", offsetof(struct limits, memory_bytes), LIMIT_BYTES },
	{ "output_bytes", "output", offsetof(struct limits, output_bytes), LIMIT_BYTES },
	{ "disk_bytes", "disk", offsetof(struct limits, disk_bytes), LIMIT_BYTES },
	{ "processes", "processes", offsetof(struct limits, processes), LIMIT_COUNT },
	{ "cpu_percent", "cpu_percent", offsetof(struct limits, cpu_percent), LIMIT_COUNT },
};

const struct limits_policy limits_policy_default = {
	.run = { .wall_ms = 10000,
		 .cpu_ms = 10000,
		 .memory_bytes = 256 * MIB,
		 .output_bytes = 1 * MIB,
		 .disk_bytes = 64 * MIB,
		 .processes = 64,
		 .cpu_percent = 100 },
	.build = { .wall_ms = 30000,
		   .cpu_ms = 30000,
		   .memory_bytes = 1024 * MIB,
		   .output_bytes = 1 * MIB,
		   .disk_bytes = 64 * MIB,
		   .processes = 64,
		   .cpu_percent = 100 },
	.min = { .wall_ms = 10,
		 .cpu_ms = 10,
		 .memory_bytes = 8 * MIB,
		 .output_bytes = 1,
		 .disk_bytes = 64 << 10,
		 .processes = 1,
		 .cpu_percent = 1 },
	.max = { .wall_ms = 60000,
		 .cpu_ms = 60000,
		 .memory_bytes = 2048 * MIB,
		 .output_bytes = 8 * MIB,
		 .disk_bytes = 512 * MIB,
		 .processes = 256,
		 .cpu_percent = 400 },
	.total_ms = 60000,
	.total_max_ms = 120000,
};

static int check_field(const struct limits_policy *policy, const struct limit_field *field,
		       uint64_t value, struct error *err)
{
	uint64_t least = limit_get(&policy->min, field), most = limit_get(&policy->max, field);

	if (value < least)
		return error_set(err, ERANGE, "%s: at least %" PRIu64, field->name, least);
	if (value > most)
		return error_set(err, ERANGE, "%s: at most %" PRIu64, field->name, most);
	return 0;
}

int job_resolve_limits(const struct limits_policy *policy, enum stage stage,
		       const struct limits *language, const struct limits *wanted,
		       struct limits *ret_limits, const struct limit_field **ret_bad,
		       struct error *err)
{
	const struct limits *preset = stage == STAGE_BUILD ? &policy->build : &policy->run;
	struct limits limits;
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++) {
		const struct limit_field *field = &limit_fields[i];
		uint64_t value = limit_get(wanted, field), most = limit_get(&policy->max, field);

		if (value) {
			if (check_field(policy, field, value, err) < 0) {
				if (ret_bad)
					*ret_bad = field;
				return -1;
			}
		} else {
			value = limit_get(language, field);
			if (!value)
				value = limit_get(preset, field);
			/* what the operator's maximum forbids, no file can grant */
			if (value > most)
				value = most;
		}
		*limit_at(&limits, field) = value;
	}
	*ret_limits = limits;
	return 0;
}

int job_check_limits(const struct limits_policy *policy, const struct limits *limits,
		     struct error *err)
{
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++)
		if (check_field(policy, &limit_fields[i], limit_get(limits, &limit_fields[i]),
				err) < 0)
			return -1;
	return 0;
}

bool job_language_valid(const char *id, size_t size)
{
	size_t i;

	if (size < 1 || size > JOB_LANGUAGE_MAX)
		return false;
	for (i = 0; i < size; i++) {
		char c = id[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      (c && strchr("_+.#-", c))))
			return false;
	}
	return true;
}

bool job_name_valid(const char *name, size_t size)
{
	size_t start = 0, i;

	if (size < 1 || size > JOB_NAME_MAX || name[0] == '-')
		return false;
	for (i = 0; i <= size; i++) {
		unsigned char c = i < size ? (unsigned char)name[i] : '/';

		if (c < 0x20 || c == 0x7f || c == '\\')
			return false;
		if (c != '/')
			continue;
		if (i == start || (i - start == 1 && name[start] == '.') ||
		    (i - start == 2 && name[start] == '.' && name[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

const char *job_status_name(enum status status)
{
	static const char *const names[STATUS_COUNT] = {
		[STATUS_SUCCESS] = "success",
		[STATUS_RUNTIME_ERROR] = "runtime_error",
		[STATUS_TIMEOUT] = "timeout",
		[STATUS_MEMORY_LIMIT] = "memory_limit",
		[STATUS_OUTPUT_LIMIT] = "output_limit",
		[STATUS_COMPILE_ERROR] = "compile_error",
		[STATUS_WRONG_ANSWER] = "wrong_answer",
		[STATUS_CANCELLED] = "cancelled",
		[STATUS_INTERNAL_ERROR] = "internal_error",
		[STATUS_SKIPPED] = "skipped",
	};

	return status < STATUS_COUNT ? names[status] : "internal_error";
}

static const struct {
	int signal;
	const char *name;
} signals[] = {
	{ SIGHUP, "SIGHUP" },	    { SIGINT, "SIGINT" },   { SIGQUIT, "SIGQUIT" },
	{ SIGILL, "SIGILL" },	    { SIGTRAP, "SIGTRAP" }, { SIGABRT, "SIGABRT" },
	{ SIGBUS, "SIGBUS" },	    { SIGFPE, "SIGFPE" },   { SIGKILL, "SIGKILL" },
	{ SIGUSR1, "SIGUSR1" },	    { SIGSEGV, "SIGSEGV" }, { SIGUSR2, "SIGUSR2" },
	{ SIGPIPE, "SIGPIPE" },	    { SIGALRM, "SIGALRM" }, { SIGTERM, "SIGTERM" },
	{ SIGSTKFLT, "SIGSTKFLT" }, { SIGCHLD, "SIGCHLD" }, { SIGCONT, "SIGCONT" },
	{ SIGSTOP, "SIGSTOP" },	    { SIGTSTP, "SIGTSTP" }, { SIGTTIN, "SIGTTIN" },
	{ SIGTTOU, "SIGTTOU" },	    { SIGURG, "SIGURG" },   { SIGXCPU, "SIGXCPU" },
	{ SIGXFSZ, "SIGXFSZ" },	    { SIGVTALRM, "SIGVTALRM" },
	{ SIGPROF, "SIGPROF" },	    { SIGWINCH, "SIGWINCH" },
	{ SIGIO, "SIGIO" },	    { SIGPWR, "SIGPWR" },   { SIGSYS, "SIGSYS" },
};

const char *job_signal_name(int signal)
{
	static char text[24];
	size_t i;

	for (i = 0; i < sizeof signals / sizeof signals[0]; i++)
		if (signals[i].signal == signal)
			return signals[i].name;
	if (signal >= SIGRTMIN && signal <= SIGRTMAX)
		snprintf(text, sizeof text, "SIGRTMIN+%d", signal - SIGRTMIN);
	else
		snprintf(text, sizeof text, "signal %d", signal);
	return text;
}
