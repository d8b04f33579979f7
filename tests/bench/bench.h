/* SPDX-License-Identifier: ISC */
/* What the measurements share: samples and their percentiles, the bare yardstick
 * in a small process of its own, a daemon to measure, and the report. */
#ifndef SANDPOOL_BENCH_H
#define SANDPOOL_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>
#include <sys/types.h>

#include "common/language.h"
#include "common/wire.h"
#include "fcgi/launch.h"

#define NOBODY 65534
#define GAP_US 20000 /* between two runs that are spaced */

noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- samples, in microseconds ---- */

struct samples {
	double *value;
	size_t count, room;
};
void samples_add(struct samples *samples, double value);
double samples_at(struct samples *samples, double quantile); /* sorts */
void samples_clear(struct samples *samples);
double median(double *values, size_t count);

/* ---- the yardstick: fork + execve + waitid, stdout to a pipe that is read, from
 * a parent of less than 2 MiB; forked before anything big exists ---- */

struct spawner {
	int sock_fd;
	pid_t pid;
};
struct spawner spawner_start(char *const *argv, bool hide_cgroup2);
double spawner_time(struct spawner *spawner);                       /* one, in us */
double spawner_rate(char *const *argv, unsigned processes, double seconds); /* per s */
void spawner_stop(struct spawner *spawner);

/* ---- a daemon with its own places ---- */

struct daemon {
	pid_t pid;
	char directory[128];
	uint32_t box_ids; /* the first of the boxes' users */
	struct language_table *table;
	struct wire_info info;
};
extern const char *daemon_images; /* its image-directory; NULL: an empty one of its own */
void daemon_start(struct daemon *daemon, const char *name, const char *binary,
		  const char *languages, unsigned number, const char *more_settings);
void daemon_stop(struct daemon *daemon);

/* ---- any other process: ends with us; SIGTERM, and SIGKILL when that does not help,
 * and for what it left behind ---- */

pid_t process_start(char *const *argv, uid_t user, const char *log);
void process_stop(pid_t pid);
void remove_tree(const char *path);

/* ---- one run through the daemon's socket ---- */

#define ASK_CODE "a job of 20 bytes..\n"

struct ask {
	const struct daemon *daemon;
	const char *language;
	const char *argument; /* NULL: none */
	struct limits limits;
	int (*on_output)(void *data, enum launch_stream stream, const char *bytes, size_t size);
	void *data;
};
struct limits ask_limits(bool other); /* the defaults, or others than these */
enum launch_end ask(const struct ask *a, struct launch_result *result, struct error *err);
/* A run of a program that ends at once with 0; in microseconds. */
double ask_true(const struct daemon *daemon, const char *language, bool other);

/* ---- the command line ---- */

/* -LETTER VALUE; goes to the text or the number. */
struct option_row {
	char letter;
	const char *value; /* its name in the usage */
	const char **text;
	unsigned *number;
	bool needed; /* a text that is there, a number that is not 0 */
};
/* Dies with the usage when they are not as the rows have it. */
void options_read(int argc, char **argv, const struct option_row *rows, size_t count);

struct part {
	const char *name;
	void (*run)(void);
};
bool part_is_wanted(const char *wanted, const char *name); /* "all" wants every one */
void parts_check(const char *wanted, const struct part *parts, size_t count); /* or dies */
void parts_run(const char *wanted, const struct part *parts, size_t count);

/* ---- report ---- */

void report_open(const char *json_path);
void report(const char *key, double value, const char *bound); /* bound NULL: a raw figure */
/* A row of two times in milliseconds, without a box and in one, and their ratio. */
void report_pair(const char *key, double bare_ms, double box_ms);
void report_text(const char *key, const char *value);
void report_close(void);
/* To be called first by each main: a signal is an end with all that belongs to it. */
void catch_signals(void);

void pause_us(uint64_t us);
double busy_ms(void); /* the machine's CPU time so far, all cores */
double mem_available_kib(void);

#endif
