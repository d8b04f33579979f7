/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "common/job.h"

#include <signal.h>
#include <string.h>

#include "common/io.h"
#include "tests/tap.h"

/* ---- limits ---- */

static const struct limits nothing;

static bool resolve(enum stage stage, const struct limits *language,
                    const struct limits *wanted, struct limits *ret_limits,
                    const struct limit_field **ret_bad, struct error *err)
{
	return job_resolve_limits(&limits_policy_default, stage, language, wanted, ret_limits,
	                          ret_bad, err) == 0;
}

/* Each limit by itself: what the client may ask for, and what it is told when not. */
static void check_wanted(const struct limit_field *field)
{
	const uint64_t least = limit_get(&limits_policy_default.min, field);
	const uint64_t most = limit_get(&limits_policy_default.max, field);
	const struct {
		const char *name;
		uint64_t value;
		const char *why; /* NULL: granted */
	} rows[] = {
	        {"the least", least, NULL},
	        {"the most", most, NULL},
	        {"between", least + (most - least) / 2, NULL},
	        {"less than the least", least - 1, "at least"},
	        {"more than the most", most + 1, "at most"},
	        {"far too much", UINT64_MAX, "at most"},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct limits wanted = nothing, limits = nothing;
		const struct limit_field *bad = NULL;
		struct error err = ERROR_INIT;
		bool granted;

		if (!rows[i].value)
			continue; /* zero is "not asked for", and has rows of its own */
		*limit_at(&wanted, field) = rows[i].value;
		granted = resolve(STAGE_RUN, &nothing, &wanted, &limits, &bad, &err);
		if (!rows[i].why)
			tap_ok(granted && limit_get(&limits, field) == rows[i].value, "%s: %s",
			       field->name, rows[i].name);
		else
			tap_ok(!granted && bad == field && strstr(err.text, rows[i].why) &&
			               !strncmp(err.text, field->name, strlen(field->name)) &&
			               !limit_get(&limits, field),
			       "%s: %s: %s", field->name, rows[i].name, err.text);
	}
}

/* Not asked for: the language's, else the default of the stage, never above the most. */
static void check_filled(const struct limit_field *field)
{
	static const struct limits *const presets[STAGE_COUNT] = {
	        [STAGE_BUILD] = &limits_policy_default.build,
	        [STAGE_RUN] = &limits_policy_default.run,
	        [STAGE_VERSION] = &limits_policy_default.run,
	};
	const uint64_t most = limit_get(&limits_policy_default.max, field);
	struct limits language = nothing, limits = nothing, wanted = nothing;
	struct error err = ERROR_INIT;
	int stage;

	for (stage = 0; stage < STAGE_COUNT; stage++)
		tap_ok(resolve((enum stage)stage, &nothing, &nothing, &limits, NULL, &err) &&
		               limit_get(&limits, field) == limit_get(presets[stage], field),
		       "%s: the default of stage %d", field->name, stage);
	*limit_at(&language, field) = most - 1;
	tap_ok(resolve(STAGE_RUN, &language, &nothing, &limits, NULL, &err) &&
	               limit_get(&limits, field) == most - 1,
	       "%s: the language's own", field->name);
	*limit_at(&wanted, field) = most;
	tap_ok(resolve(STAGE_RUN, &language, &wanted, &limits, NULL, &err) &&
	               limit_get(&limits, field) == most,
	       "%s: the client's goes before the language's", field->name);
	*limit_at(&language, field) = most + 1;
	tap_ok(resolve(STAGE_RUN, &language, &nothing, &limits, NULL, &err) &&
	               limit_get(&limits, field) == most,
	       "%s: a language cannot have more than the most", field->name);
}

/* The privileged side's look at limits that came over the wire. */
static void check_second_look(const struct limit_field *field)
{
	const uint64_t least = limit_get(&limits_policy_default.min, field);
	const uint64_t most = limit_get(&limits_policy_default.max, field);
	const struct {
		uint64_t value;
		bool good;
	} rows[] = {
	        {least, true},      {most, true},      {0, false},
	        {least - 1, false}, {most + 1, false}, {UINT64_MAX, false},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct limits limits = limits_policy_default.run;
		struct error err = ERROR_INIT;
		int rc;

		*limit_at(&limits, field) = rows[i].value;
		rc = job_check_limits(&limits_policy_default, &limits, &err);
		tap_ok((rc == 0) == rows[i].good && (rc == 0 || !strncmp(err.text, field->name,
		                                                         strlen(field->name))),
		       "checked again: %s of %llu: %s", field->name,
		       (unsigned long long)rows[i].value, rows[i].good ? "good" : err.text);
	}
}

/* ---- names ---- */

#define L16  "0123456789abcdef"
#define L64  L16 L16 L16 L16
#define L200 L64 L64 L64 "01234567"

static const struct {
	const char *text;
	size_t size; /* 0: to the NUL */
	bool good;
} languages[] = {
        {"c", 0, true},           {"c++20", 0, true}, {"c#", 0, true},
        {"objective-c", 0, true}, {"a_b.c", 0, true}, {L64, 0, true},
        {"0", 0, true},           {"..", 0, true},    {"", 0, false},
        {L64 "x", 0, false},      {"a b", 0, false},  {"a/b", 0, false},
        {"a\0b", 3, false},       {"a\n", 0, false},  {"\xc3\xa9", 0, false},
        {"a%", 0, false},         {"\0", 1, false},   {"a*", 0, false},
};

static const struct {
	const char *text;
	size_t size;
	bool good;
} names[] = {
        {"main.c", 0, true},  {"a/b/c.txt", 0, true}, {"a b", 0, true},
        {".hidden", 0, true}, {"...", 0, true},       {"a/...", 0, true},
        {"a-b", 0, true},     {"a/-b", 0, true},      {"\xc3\xa9.py", 0, true},
        {L200, 0, true},      {L200 "x", 0, false},   {"", 0, false},
        {".", 0, false},      {"..", 0, false},       {"a/..", 0, false},
        {"../a", 0, false},   {"a/../b", 0, false},   {"a/./b", 0, false},
        {"/a", 0, false},     {"a/", 0, false},       {"a//b", 0, false},
        {"/", 0, false},      {"-a", 0, false},       {"a\\b", 0, false},
        {"a\nb", 0, false},   {"a\x7f", 0, false},    {"a\0b", 3, false},
        {"a\x1f", 0, false},  {"\t", 0, false},
};

static void check_names(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(languages); i++) {
		size_t size = languages[i].size ? languages[i].size : strlen(languages[i].text);

		tap_ok(job_language_valid(languages[i].text, size) == languages[i].good,
		       "language %zu is %s", i, languages[i].good ? "valid" : "not valid");
	}
	for (i = 0; i < ARRAY_LEN(names); i++) {
		size_t size = names[i].size ? names[i].size : strlen(names[i].text);

		tap_ok(job_name_valid(names[i].text, size) == names[i].good, "name %zu is %s",
		       i, names[i].good ? "valid" : "not valid");
	}
}

/* ---- words ---- */

static const struct {
	enum status status;
	const char *word;
} statuses[] = {
        {STATUS_SUCCESS, "success"},
        {STATUS_RUNTIME_ERROR, "runtime_error"},
        {STATUS_TIMEOUT, "timeout"},
        {STATUS_MEMORY_LIMIT, "memory_limit"},
        {STATUS_OUTPUT_LIMIT, "output_limit"},
        {STATUS_COMPILE_ERROR, "compile_error"},
        {STATUS_WRONG_ANSWER, "wrong_answer"},
        {STATUS_CANCELLED, "cancelled"},
        {STATUS_INTERNAL_ERROR, "internal_error"},
        {STATUS_SKIPPED, "skipped"},
        {STATUS_COUNT, "internal_error"},
};

static void check_words(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(statuses); i++)
		tap_ok(!strcmp(job_status_name(statuses[i].status), statuses[i].word),
		       "status %s", statuses[i].word);
}

static void check_signals(void)
{
	const struct {
		int signal;
		const char *name;
	} rows[] = {
	        {SIGSEGV, "SIGSEGV"},     {SIGKILL, "SIGKILL"},
	        {SIGSYS, "SIGSYS"},       {SIGXFSZ, "SIGXFSZ"},
	        {SIGRTMIN, "SIGRTMIN+0"}, {SIGRTMIN + 3, "SIGRTMIN+3"},
	        {0, "signal 0"},          {32, "signal 32"},
	        {-1, "signal -1"},        {SIGRTMAX + 1, "signal 65"},
	};
	bool named = true;
	size_t i;
	int n;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		tap_ok(!strcmp(job_signal_name(rows[i].signal), rows[i].name),
		       "signal %d is %s", rows[i].signal, rows[i].name);
	for (n = 1; n < 32; n++) {
		const char *own = sigabbrev_np(n);

		/* the library says POLL where everybody else says IO */
		if (n != SIGIO && (!own || strcmp(job_signal_name(n) + 3, own) != 0)) {
			tap_note("%d is %s, the library says %s", n, job_signal_name(n), own);
			named = false;
		}
	}
	tap_ok(named, "all classic signals have the library's names");
}

int main(void)
{
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++) {
		check_wanted(&limit_fields[i]);
		check_filled(&limit_fields[i]);
		check_second_look(&limit_fields[i]);
	}
	check_names();
	check_words();
	check_signals();
	return tap_done();
}
