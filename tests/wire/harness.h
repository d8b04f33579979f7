/* SPDX-License-Identifier: ISC */
/* A real pool with a fake sandboxd behind it, in a folder of their own, and what asks it.
 * One of each: a test program has one harness. */
#ifndef SANDPOOL_TESTS_WIRE_HARNESS_H
#define SANDPOOL_TESTS_WIRE_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tests/wire/fcgi_client.h"

#define PATIENCE_MS 60000 /* for what comes at once, unless the machine is busy */
#define JSON	    "application/json"

extern char folder[64], run_sock[128], api_sock[128];
extern pid_t pool_pid;

/* A folder, and in it configuration, languages and keys. */
void set_up(void);
/* Removes it, prints the plan, and says how the program shall end. */
int finish(void);

/* ---- rows ---- */

/* One row; of one that fails all that is known. */
bool check(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* What a failing check shall tell, too. */
void trouble(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void skip(const char *why);

/* ---- files, by their name in the folder ---- */

void make_path(char *path, size_t room, const char *name);
void write_text(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
unsigned count_in(const char *name, const char *what);
/* Waits until it is there so many times; a test then says what it found. */
bool wait_for(const char *name, const char *what, unsigned times);
/* How many runs have begun. */
unsigned taken(void);
/* Lets go on what runs "until NAME". */
void let_go(const char *name);

/* ---- processes ---- */

pid_t start(char *const argv[]);
const char *built(const char *name);
/* The exit code; 1000 and the signal when it was killed; -1 when it did not end. */
int wait_end(pid_t pid, int timeout_ms);
/* Whether the process is gone, or goes. */
bool goes(pid_t pid);

void start_fake(const char *slots);
void stop_fake(void);

struct conf {
	int queue;	       /* 0: 2 */
	const char *queue_max; /* NULL: longer than anybody waits for a box here */
	const char *drain;     /* NULL: longer than anything takes */
	int worker_requests;   /* 0: 10000 */
};

void write_conf(const struct conf *conf);
/* The lines of the keys' file beside those that are always there. */
void write_keys(const char *more);
void hex_of(const char *key, char *text);

/* Starts it without waiting for it. */
pid_t begin_pool(void);
bool start_pool(void);
int stop_pool(int signo);
void restart_pool(const struct conf *conf);
/* The processes of the pool that have that name; how many. */
size_t find_workers(const char *name, pid_t *pids, size_t room);
/* It gives itself that name a moment after it was started. */
pid_t await_worker(const char *name);

/* ---- requests ---- */

struct ask {
	const char *method, *path, *type, *accept, *body;
	struct fcgi_param more[4]; /* end at the first without a name */
};

int send_ask(const char *socket_path, const struct ask *ask);
/* To the end, or until it has that text. */
void read_answer(int fd, struct fcgi_answer *answer, const char *until, int timeout_ms);
void no_answer_left(struct fcgi_answer *answer, int *fd);
struct fcgi_answer ask_at(const char *socket_path, const struct ask *ask);
bool holds(const struct fcgi_answer *answer, const char *text);
/* A few at a time. */
const char *code_of(const char *code);
/* A run of language t, answered in JSON. */
struct fcgi_answer run_code(const char *code);
bool runs_well(void);

struct row {
	const char *name;
	bool api; /* asked at the api socket */
	struct ask ask;
	int status;
	const char *has; /* in the body */
};

void check_rows(const struct row *row, size_t count);
/* Waits until so many run workers are in that state. */
bool await_state(const char *state, unsigned count);
/* Waits until that many languages have said their version. */
bool await_versions(unsigned count);

#endif
