/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "common/io.h"

#define ROWS_MAX	4096
#define ROUTES_MAX	16
#define BUCKETS_MAX	16
#define CANARY_FRESH_MS 1000
#define CANARY_LOST_MS	30000 /* whoever ran it is dead */

static const int http_statuses[] = { 200, 204, 304, 400, 401, 403, 404, 405,
				     406, 413, 415, 422, 429, 500, 503 };
#define STATUSES (ARRAY_LEN(http_statuses) + 1) /* the last: any other */

static const char *const reject_codes[] = { "busy",	     "unavailable",	 "lost",
					    "internal_error", "unknown_language", "key_busy",
					    "denied",	     "limit",		 "other" };
#define REJECTS ARRAY_LEN(reject_codes)

/* Upper bounds; times in microseconds. */
static const struct histogram_form {
	const char *name, *help;
	double unit; /* of the text, in ours */
	uint64_t bound[BUCKETS_MAX]; /* ends with 0 */
} histogram_forms[METRICS_HISTOGRAMS] = {
	[HISTOGRAM_QUEUE] = { "sandpool_queue_wait_seconds", "How long a request waited for a box.",
			      1e6,
			      { 100, 250, 500, 1000, 2500, 5000, 10000, 50000, 100000, 250000,
				500000, 1000000, 2000000, 0 } },
	[HISTOGRAM_SETUP] = { "sandpool_setup_seconds",
			      "From the taken request to the program's exec.",
			      1e6,
			      { 100, 250, 500, 750, 1000, 1500, 2500, 5000, 10000, 25000, 100000,
				1000000, 0 } },
	[HISTOGRAM_COMPILE] = { "sandpool_compile_seconds", "Wall time of the compile stages.",
				1e6,
				{ 10000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000,
				  10000000, 30000000, 60000000, 0 } },
	[HISTOGRAM_RUN] = { "sandpool_run_seconds", "Wall time of the run stages.",
			    1e6,
			    { 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
			      1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 0 } },
	[HISTOGRAM_MEMORY] = { "sandpool_memory_peak_bytes", "Largest use of memory of a run.",
			       1,
			       { 1 << 20, 4 << 20, 8 << 20, 16 << 20, 32 << 20, 64 << 20,
				 128 << 20, 256 << 20, 512 << 20, 1 << 30, (uint64_t)2 << 30,
				 0 } },
};

static const struct {
	const char *name, *help;
} counter_forms[METRICS_COUNTERS] = {
	[COUNT_WORKER_STARTS] = { "sandpool_worker_starts_total", "Workers started." },
	[COUNT_WORKER_DEATHS] = { "sandpool_worker_deaths_total",
				  "Workers that died without being asked to." },
	[COUNT_BYTES_IN] = { "sandpool_request_bytes_total", "Bytes of request bodies." },
	[COUNT_BYTES_OUT] = { "sandpool_answer_bytes_total", "Bytes of answers." },
	[COUNT_TRUNCATED] = { "sandpool_output_truncated_total", "Outputs that were cut." },
	[COUNT_CACHED] = { "sandpool_compile_cached_total",
			   "Compile stages whose outcome was at hand." },
	[COUNT_BAD_CONNECTIONS] = { "sandpool_bad_connections_total",
				    "Connections that brought no FastCGI request." },
	[COUNT_LOG_DROPPED] = { "sandpool_log_dropped_total",
				"Log lines that nobody took in time." },
	[COUNT_RUNS] = { "sandpool_run_requests_total", "Requests that got a result." },
};

struct histogram {
	uint64_t bucket[BUCKETS_MAX + 1]; /* not added up; the last: beyond all bounds */
	uint64_t sum;
};

struct row {
	uint32_t state; /* enum worker_state */
	uint32_t kind;  /* enum worker_kind */
	uint64_t key;	/* 0: none */
	uint64_t ticket; /* who came first */
};

struct metrics {
	uint64_t started_ms;
	uint64_t ran_well_ms;	/* of the monotonic clock; 0: never */
	uint64_t canary_begun_ms; /* 0: nobody runs one */
	uint64_t canary_ended_ms; /* 0: never */
	uint32_t canary_good;
	uint32_t rows_count; /* rows that were ever taken */
	uint64_t ticket;
	uint64_t counter[METRICS_COUNTERS];
	uint64_t answers[ROUTES_MAX][STATUSES];
	uint64_t rejected[REJECTS];
	struct histogram histogram[METRICS_HISTOGRAMS];
	uint64_t runs[VERSIONS_MAX + 1][STATUS_COUNT];
	struct row row[ROWS_MAX];
};

struct metrics *metrics_new(struct error *err)
{
	struct metrics *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED) {
		error_errno(err, "map the metrics");
		return NULL;
	}
	m->started_ms = clock_ms();
	return m;
}

static void add(uint64_t *counter, uint64_t amount)
{
	__atomic_add_fetch(counter, amount, __ATOMIC_RELAXED);
}

static uint64_t get(const uint64_t *value)
{
	return __atomic_load_n(value, __ATOMIC_RELAXED);
}

/* ---- rows ---- */

size_t metrics_row_take(struct metrics *m, enum worker_kind kind)
{
	size_t i;

	for (i = 0; i < ROWS_MAX; i++)
		if (m->row[i].state == WORKER_NONE)
			break;
	if (i == ROWS_MAX)
		return SIZE_MAX;
	m->row[i].kind = kind;
	__atomic_store_n(&m->row[i].state, WORKER_IDLE, __ATOMIC_RELEASE);
	if (i >= m->rows_count)
		__atomic_store_n(&m->rows_count, (uint32_t)i + 1, __ATOMIC_RELEASE);
	return i;
}

void metrics_row_clear(struct metrics *m, size_t row)
{
	__atomic_store_n(&m->row[row].key, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&m->row[row].state, WORKER_NONE, __ATOMIC_RELEASE);
}

void metrics_state(struct metrics *m, size_t row, enum worker_state state)
{
	__atomic_store_n(&m->row[row].state, state, __ATOMIC_RELAXED);
}

/* The ticket of another row with this key; 0 when it has left meanwhile. It draws
 * its ticket right now when it has none yet: that takes no time, unless it dies. */
static uint64_t ticket_of(const struct row *row, uint64_t key)
{
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		uint64_t ticket = __atomic_load_n(&row->ticket, __ATOMIC_SEQ_CST);

		if (__atomic_load_n(&row->key, __ATOMIC_SEQ_CST) != key)
			return 0;
		if (ticket)
			return ticket;
		sched_yield();
	}
	return 0;
}

/* Lamport's bakery: who shows the key first and only then draws a ticket is seen by
 * everybody who draws a later one. */
bool metrics_key_enter(struct metrics *m, size_t row, uint64_t key, uint64_t cap)
{
	uint64_t mine, theirs, before = 0;
	uint32_t count, i;

	__atomic_store_n(&m->row[row].ticket, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&m->row[row].key, key, __ATOMIC_SEQ_CST);
	mine = __atomic_add_fetch(&m->ticket, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&m->row[row].ticket, mine, __ATOMIC_SEQ_CST);
	count = __atomic_load_n(&m->rows_count, __ATOMIC_ACQUIRE);
	for (i = 0; i < count; i++) {
		if (i == row || __atomic_load_n(&m->row[i].key, __ATOMIC_SEQ_CST) != key)
			continue;
		theirs = ticket_of(&m->row[i], key);
		before += theirs && theirs < mine;
	}
	if (before < cap)
		return true;
	metrics_key_leave(m, row);
	return false;
}

void metrics_key_leave(struct metrics *m, size_t row)
{
	__atomic_store_n(&m->row[row].key, 0, __ATOMIC_SEQ_CST);
}

/* ---- counting ---- */

void metrics_add(struct metrics *m, enum metrics_counter counter, uint64_t amount)
{
	add(&m->counter[counter], amount);
}

void metrics_observe(struct metrics *m, enum metrics_histogram which, uint64_t value)
{
	const uint64_t *bound = histogram_forms[which].bound;
	struct histogram *h = &m->histogram[which];
	size_t i;

	for (i = 0; bound[i]; i++)
		if (value <= bound[i])
			break;
	add(&h->bucket[i], 1);
	add(&h->sum, value);
}

void metrics_answer(struct metrics *m, size_t route, int http_status)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(http_statuses); i++)
		if (http_statuses[i] == http_status)
			break;
	add(&m->answers[route < ROUTES_MAX ? route : ROUTES_MAX - 1][i], 1);
}

void metrics_rejected(struct metrics *m, const char *code)
{
	size_t i;

	for (i = 0; i < REJECTS - 1; i++)
		if (!strcmp(reject_codes[i], code))
			break;
	add(&m->rejected[i], 1);
}

void metrics_run(struct metrics *m, size_t language_slot, enum status status)
{
	if (language_slot > VERSIONS_UNKNOWN || status >= STATUS_COUNT)
		return;
	add(&m->runs[language_slot][status], 1);
}

/* ---- readiness ---- */

void metrics_ran_well(struct metrics *m)
{
	__atomic_store_n(&m->ran_well_ms, clock_ms(), __ATOMIC_RELAXED);
}

uint64_t metrics_ran_well_ago_ms(const struct metrics *m)
{
	uint64_t then = get(&m->ran_well_ms), now = clock_ms();

	return !then ? UINT64_MAX : now > then ? now - then : 0;
}

bool metrics_canary_begin(struct metrics *m, bool *ret_last_good)
{
	uint64_t now = clock_ms(), begun = get(&m->canary_begun_ms);
	uint64_t ended = get(&m->canary_ended_ms);

	*ret_last_good = __atomic_load_n(&m->canary_good, __ATOMIC_RELAXED);
	if (ended && now - ended < CANARY_FRESH_MS)
		return false;
	if (begun && now - begun < CANARY_LOST_MS)
		return false;
	return __atomic_compare_exchange_n(&m->canary_begun_ms, &begun, now, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void metrics_canary_end(struct metrics *m, bool good)
{
	__atomic_store_n(&m->canary_good, good, __ATOMIC_RELAXED);
	__atomic_store_n(&m->canary_ended_ms, clock_ms(), __ATOMIC_RELAXED);
	__atomic_store_n(&m->canary_begun_ms, 0, __ATOMIC_RELEASE);
}

void metrics_glance(const struct metrics *m, struct metrics_glance *ret_glance)
{
	uint32_t count = __atomic_load_n(&m->rows_count, __ATOMIC_ACQUIRE), i;

	memset(ret_glance, 0, sizeof *ret_glance);
	ret_glance->uptime_ms = clock_ms() - m->started_ms;
	ret_glance->runs = get(&m->counter[COUNT_RUNS]);
	for (i = 0; i < count; i++) {
		uint32_t state = __atomic_load_n(&m->row[i].state, __ATOMIC_ACQUIRE);
		uint32_t kind = m->row[i].kind;

		if (state < WORKER_STATES && kind < WORKER_KINDS)
			ret_glance->workers[kind][state]++;
	}
}

/* ---- Prometheus text ---- */

struct out {
	const struct sink *sink;
	int rc;
};

__attribute__((format(printf, 2, 3)))
static void say(struct out *out, const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int size;

	if (out->rc < 0)
		return;
	va_start(ap, fmt);
	size = vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	if (size > 0 && (size_t)size < sizeof line)
		out->rc = out->sink->write(out->sink->data, line, (size_t)size);
}

static void say_head(struct out *out, const char *name, const char *type, const char *help)
{
	say(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void say_histogram(struct out *out, const struct histogram_form *form,
			  const struct histogram *h)
{
	uint64_t total = 0;
	size_t i;

	say_head(out, form->name, "histogram", form->help);
	for (i = 0; form->bound[i]; i++) {
		total += get(&h->bucket[i]);
		say(out, "%s_bucket{le=\"%.10g\"} %" PRIu64 "\n", form->name,
		    (double)form->bound[i] / form->unit, total);
	}
	total += get(&h->bucket[i]);
	say(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", form->name, total);
	say(out, "%s_sum %.10g\n", form->name, (double)get(&h->sum) / form->unit);
	say(out, "%s_count %" PRIu64 "\n", form->name, total);
}

static void say_runs(struct out *out, const struct metrics *m, const struct versions *versions)
{
	size_t slot;
	int status;

	say_head(out, "sandpool_runs_total", "counter", "Runs, by language and verdict.");
	for (slot = 0; slot <= VERSIONS_UNKNOWN; slot++) {
		const char *id = slot == VERSIONS_UNKNOWN ? "" : versions_id(versions, slot);

		if (!id) {
			slot = VERSIONS_UNKNOWN - 1;
			continue;
		}
		for (status = 0; status < STATUS_COUNT; status++) {
			uint64_t count = get(&m->runs[slot][status]);

			if (count)
				say(out,
				    "sandpool_runs_total{language=\"%s\",verdict=\"%s\"} %" PRIu64
				    "\n",
				    id, job_status_name((enum status)status), count);
		}
	}
}

static void say_answers(struct out *out, const struct metrics *m, const char *const *routes)
{
	size_t r, s;

	say_head(out, "sandpool_answers_total", "counter", "HTTP answers, by path and status.");
	for (r = 0; r < ROUTES_MAX && routes[r]; r++)
		for (s = 0; s < STATUSES; s++) {
			uint64_t count = get(&m->answers[r][s]);
			char text[16] = "other";

			if (!count)
				continue;
			if (s < ARRAY_LEN(http_statuses))
				snprintf(text, sizeof text, "%d", http_statuses[s]);
			say(out, "sandpool_answers_total{path=\"%s\",status=\"%s\"} %" PRIu64 "\n",
			    routes[r], text, count);
		}
	say_head(out, "sandpool_rejected_total", "counter", "Runs refused or failed, by reason.");
	for (r = 0; r < REJECTS; r++)
		say(out, "sandpool_rejected_total{reason=\"%s\"} %" PRIu64 "\n", reject_codes[r],
		    get(&m->rejected[r]));
}

static void say_workers(struct out *out, const struct metrics *m)
{
	static const char *const kinds[] = { "run", "api" };
	static const char *const states[] = { NULL, "idle", "busy", "waiting", "running" };
	struct metrics_glance glance;
	int kind, state;

	metrics_glance(m, &glance);
	say_head(out, "sandpool_workers", "gauge", "Worker processes, by kind and state.");
	for (kind = 0; kind < WORKER_KINDS; kind++)
		for (state = WORKER_IDLE; state < WORKER_STATES; state++)
			say(out, "sandpool_workers{kind=\"%s\",state=\"%s\"} %" PRIu64 "\n",
			    kinds[kind], states[state], glance.workers[kind][state]);
	say_head(out, "sandpool_workers_busy", "gauge", "Run workers that have a request.");
	say(out, "sandpool_workers_busy %" PRIu64 "\n",
	    glance.workers[WORKER_RUN][WORKER_BUSY] + glance.workers[WORKER_RUN][WORKER_WAITING] +
		    glance.workers[WORKER_RUN][WORKER_RUNNING]);
	say_head(out, "sandpool_uptime_seconds", "gauge", "Since the pool was started.");
	say(out, "sandpool_uptime_seconds %.3f\n", (double)glance.uptime_ms / 1e3);
}

int metrics_write(const struct metrics *m, const struct metrics_names *names,
		  const struct sink *sink)
{
	struct out out = { sink, 0 };
	size_t i;

	say_head(&out, "sandpool_build_info", "gauge", "The version that runs.");
	say(&out, "sandpool_build_info{version=\"%s\"} 1\n", names->version);
	say_head(&out, "sandpool_slots", "gauge", "Programs that can run at the same time.");
	say(&out, "sandpool_slots %" PRIu64 "\n", names->slots);
	say_workers(&out, m);
	say_runs(&out, m, names->versions);
	say_answers(&out, m, names->routes);
	for (i = 0; i < METRICS_COUNTERS; i++) {
		say_head(&out, counter_forms[i].name, "counter", counter_forms[i].help);
		say(&out, "%s %" PRIu64 "\n", counter_forms[i].name, get(&m->counter[i]));
	}
	for (i = 0; i < METRICS_HISTOGRAMS; i++)
		say_histogram(&out, &histogram_forms[i], &m->histogram[i]);
	return out.rc;
}
