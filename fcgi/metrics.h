/* SPDX-License-Identifier: ISC */
/* What the pool counts, in one anonymous map that all its processes share: made
 * before the first fork, counters that outlive every worker, and one row for each
 * worker, owned by the master, who clears it when the worker is dead.
 * Every counter is moved by one atomic addition: no lock that a dying worker could
 * take with it. */
#ifndef SANDPOOL_METRICS_H
#define SANDPOOL_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/job.h"
#include "fcgi/sink.h"
#include "fcgi/versions.h"

enum worker_kind { WORKER_RUN, WORKER_API, WORKER_KINDS };

enum worker_state {
	WORKER_NONE,    /* the row is free */
	WORKER_IDLE,    /* waits for a request */
	WORKER_BUSY,    /* reads one, or writes the answer */
	WORKER_WAITING, /* waits for a box */
	WORKER_RUNNING, /* has a box */
	WORKER_STATES
};

enum metrics_counter {
	COUNT_WORKER_STARTS,
	COUNT_WORKER_DEATHS, /* that nobody asked for */
	COUNT_BYTES_IN,
	COUNT_BYTES_OUT,
	COUNT_TRUNCATED, /* outputs that were cut */
	COUNT_CACHED,	 /* builds that were at hand */
	COUNT_BAD_CONNECTIONS,
	COUNT_LOG_DROPPED,
	COUNT_RUNS, /* requests for a run that got a result */
	METRICS_COUNTERS
};

enum metrics_histogram {
	HISTOGRAM_QUEUE,
	HISTOGRAM_SETUP,
	HISTOGRAM_COMPILE,
	HISTOGRAM_RUN,
	HISTOGRAM_MEMORY,
	METRICS_HISTOGRAMS
};

struct metrics; /* private to metrics.c */

struct metrics *metrics_new(struct error *err);

/* The master's: a row for a worker to be. SIZE_MAX when all are taken. */
size_t metrics_row_take(struct metrics *metrics, enum worker_kind kind);
void metrics_row_clear(struct metrics *metrics, size_t row);

/* The worker's own row. */
void metrics_state(struct metrics *metrics, size_t row, enum worker_state state);

/* At most cap requests of one key at the same time, over all workers: the first
 * cap to come. key is any number but 0 that stands for it. */
bool metrics_key_enter(struct metrics *metrics, size_t row, uint64_t key, uint64_t cap);
void metrics_key_leave(struct metrics *metrics, size_t row);

void metrics_add(struct metrics *metrics, enum metrics_counter counter, uint64_t amount);
/* Microseconds; for HISTOGRAM_MEMORY bytes. */
void metrics_observe(struct metrics *metrics, enum metrics_histogram histogram, uint64_t value);
/* One answer: by path (its number in the route table) and HTTP status. */
void metrics_answer(struct metrics *metrics, size_t route, int http_status);
/* A run was refused or failed: by the code of the failure. */
void metrics_rejected(struct metrics *metrics, const char *code);
/* One run, by the language's slot in the versions. */
void metrics_run(struct metrics *metrics, size_t language_slot, enum status status);

/* Some program ran well in a real box, just now; how long ago that was, UINT64_MAX
 * when never. */
void metrics_ran_well(struct metrics *metrics);
uint64_t metrics_ran_well_ago_ms(const struct metrics *metrics);

/* One canary at a time: true for the one who shall run it. The others get the
 * answer of the last, as long as it is fresh. */
bool metrics_canary_begin(struct metrics *metrics, bool *ret_last_good);
void metrics_canary_end(struct metrics *metrics, bool good);

struct metrics_glance {
	uint64_t uptime_ms, runs;
	uint64_t workers[WORKER_KINDS][WORKER_STATES];
};
void metrics_glance(const struct metrics *metrics, struct metrics_glance *ret_glance);

/* All of it as Prometheus text. */
struct metrics_names {
	const char *version;
	const char *const *routes; /* NULL-terminated */
	const struct versions *versions;
	uint64_t slots;
};
int metrics_write(const struct metrics *metrics, const struct metrics_names *names,
		  const struct sink *sink);

#endif
