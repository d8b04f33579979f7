/* SPDX-License-Identifier: ISC */
/* A job is what a client asks for; a result is what came of one stage of it.
 * Both sides of the wire know these types, and both call job_check_limits().
 * Plain data: every pointer points into the request's arena or its body. */
#ifndef SANDPOOL_JOB_H
#define SANDPOOL_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

#define JOB_LANGUAGE_MAX 64  /* bytes in a language id */
#define JOB_NAME_MAX     200 /* bytes in a file name, folders included */
#define JOB_FILES_MAX    64
#define JOB_TESTS_MAX    64
#define JOB_WORDS_MAX    1024        /* words in a list of arguments or options */
#define JOB_WORD_BYTES   (128 << 10) /* of all the words of a stage together */
#define JOB_ID_SIZE      33          /* a request's id: 32 hex digits and NUL */

/* What happens in a box, one box for each. */
enum stage {
	STAGE_BUILD,
	STAGE_RUN,
	STAGE_VERSION, /* the language's own "which version are you" */
	STAGE_COUNT
};

/* The limits of one stage. Zero means "not asked for" in a job, and never
 * appears in limits that were resolved. */
struct limits {
	uint64_t wall_ms;
	uint64_t cpu_ms;
	uint64_t memory_bytes;
	uint64_t output_bytes; /* each of stdout and stderr */
	uint64_t disk_bytes;
	uint64_t processes;   /* threads count; our init does not */
	uint64_t cpu_percent; /* 100 = one core */
};

/* The one list of limits, by the names that clients and files use. */
struct limit_field {
	const char *name; /* as in a request: "memory_bytes" */
	const char *key;  /* as in a configuration or language file: "memory" */
	size_t offset;    /* in struct limits; every field is a uint64_t */
	enum limit_unit { LIMIT_MS, LIMIT_BYTES, LIMIT_COUNT } unit;
};
#define LIMIT_FIELDS 7
extern const struct limit_field limit_fields[LIMIT_FIELDS];

static inline uint64_t *limit_at(struct limits *limits, const struct limit_field *field)
{
	return (uint64_t *)(void *)((char *)limits + field->offset);
}

static inline uint64_t limit_get(const struct limits *limits, const struct limit_field *field)
{
	return *(const uint64_t *)(const void *)((const char *)limits + field->offset);
}

/* What the server grants: defaults by stage, and the bounds of every request. */
struct limits_policy {
	struct limits run, build; /* defaults; STAGE_VERSION uses run's */
	struct limits min, max;
	uint64_t total_ms, total_max_ms; /* of a whole request */
};
extern const struct limits_policy limits_policy_default;

/* Fills what is zero in wanted from language and then from the defaults.
 * -1 with the field's name in err->text when something lies outside min..max
 * (for what the client asked for: "memory_bytes: at most 2147483648"). */
int job_resolve_limits(const struct limits_policy *policy, enum stage stage,
		       const struct limits *language, const struct limits *wanted,
		       struct limits *ret_limits, const struct limit_field **ret_bad,
		       struct error *err);

/* The second look, on the privileged side: every limit set and within bounds. */
int job_check_limits(const struct limits_policy *policy, const struct limits *limits,
		     struct error *err);

/* [A-Za-z0-9_+.#-]{1,64} */
bool job_language_valid(const char *id, size_t size);

/* A relative name without "", ".", "..", control characters, backslash or a
 * leading "-", of at most JOB_NAME_MAX bytes; folders by "/". */
bool job_name_valid(const char *name, size_t size);

struct bytes {
	const char *data; /* not NUL-terminated; may hold any byte */
	size_t size;
};

struct words {
	struct bytes *item;
	size_t count;
};

struct job_file {
	struct bytes name; /* empty: the language's own name (the first file only) */
	struct bytes content;
};

struct job_test {
	struct bytes name, input, expected;
	bool has_expected, has_arguments;
	struct words arguments;
};

enum compare { COMPARE_EXACT, COMPARE_TRAILING_SPACE, COMPARE_TOKENS, COMPARE_FLOAT };

/* One request, decoded. Whatever protocol it came by, it ends up here. */
struct job {
	char language[JOB_LANGUAGE_MAX + 1]; /* as given: an id or an alias */
	struct job_file *files;              /* the first is the main file */
	size_t files_count;
	struct bytes input;
	struct words arguments, options, collect;
	struct limits run, build; /* as asked for: zero = not */
	uint64_t total_ms;        /* likewise */
	struct job_test *tests;
	size_t tests_count;
	enum compare compare;
	double compare_float;
};

/* In one word what became of a stage, a test or a request; job_status_name()
 * gives the word of the HTTP contract. */
enum status {
	STATUS_SUCCESS,
	STATUS_RUNTIME_ERROR,
	STATUS_TIMEOUT,
	STATUS_MEMORY_LIMIT,
	STATUS_OUTPUT_LIMIT,
	STATUS_COMPILE_ERROR,
	STATUS_WRONG_ANSWER,
	STATUS_CANCELLED,
	STATUS_INTERNAL_ERROR,
	STATUS_SKIPPED,
	STATUS_COUNT
};
const char *job_status_name(enum status status);

/* The first reason for which a stage was ended from outside. */
enum cause {
	CAUSE_NONE, /* it ended by itself */
	CAUSE_WALL,
	CAUSE_CPU,
	CAUSE_MEMORY,
	CAUSE_OUTPUT, /* seen by the worker, which counts the bytes */
	CAUSE_CANCEL, /* the connection closed */
	CAUSE_COUNT
};

#define USAGE_UNKNOWN UINT64_MAX /* this kernel does not tell */

struct usage {
	uint64_t wall_us, cpu_us, user_us, system_us;
	uint64_t memory_peak_bytes;
	uint64_t processes_peak;
};

/* What sandboxd says of one stage. */
struct verdict {
	enum cause cause;
	bool exited;        /* else a signal ended it */
	int exit_code;      /* when exited */
	int signal;         /* when not */
	int exec_errno;     /* the program could not be started at all: why */
	bool cached;        /* a build whose tree came from the cache */
	bool ahead;         /* a run whose interpreter had been started before */
	uint64_t setup_us;  /* from the accepted connection to exec */
	struct usage usage;
};

/* "SIGSEGV"; "SIGRTMIN+3"; never NULL. */
const char *job_signal_name(int signal);

#endif
