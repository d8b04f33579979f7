/* SPDX-License-Identifier: ISC */
/* What the box tests share: a scratch folder with an image and languages of its
 * own, a sandboxd started on it, runs, and the census that tells whether a run
 * left anything behind.
 * Runs as: root. */
#ifndef SANDPOOL_TESTS_HARNESS_H
#define SANDPOOL_TESTS_HARNESS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/io.h"
#include "common/job.h"
#include "common/wire.h"
#include "fcgi/launch.h"

#define PATIENCE_MS 10000
#define MIB	    ((uint64_t)1 << 20)
#define TEST_SLOTS  5 /* four for the hostile, one for the canary */

/* How often a repeated case is repeated. */
enum extent { EXTENT_PART, EXTENT_FULL, EXTENT_GUEST };
extern enum extent extent;
unsigned times(unsigned written); /* 1 % and at least 20; all; once */

/* The scratch folder, one for a test program; gone when it exits. */
struct ground {
	char root[64];
	char image[96], languages[96], empty[96];
	char outside[96]; /* a tree that nobody may touch */
	char program[PATH_MAX], faults[PATH_MAX], hostile[PATH_MAX]; /* of the build tree */
	uint8_t table_hash[WIRE_HASH_BYTES];
};
extern struct ground ground;

/* Undoes what a case changed on the host itself, should we be stopped in it. */
extern void (*restore_host)(void);

/* Makes it, or ends the program: skipped without root, failed where our own
 * parts are missing. */
void ground_make(void);
uint64_t tree_hash(const char *path); /* names, modes, owners, times, contents */
void write_file(const char *path, const char *text, mode_t mode);
/* Ends the program: there is nothing to test on. */
void give_up(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

struct service_options {
	unsigned slots;			 /* 0: TEST_SLOTS */
	const char *program;		 /* NULL: the sandboxd of the build tree */
	const char *conf;		 /* further lines of configuration */
	const char *const *environment;	 /* "NAME=value"; NULL-terminated; NULL: none */
	const char *const *under;	 /* a command to start it under, as strace; NULL */
	void (*before_exec)(void *data); /* in the child */
	void *data;
	int log_fd;	 /* 0: a log file */
	bool same_place; /* the folders and groups of the service before */
	const char *group_of; /* pure v2: start in the group of the service with this parent */
};

struct service {
	char root[96], run[112], state[112], conf[112], log[112];
	char parent[64]; /* name of its control group */
	uint64_t ids_first;
	unsigned slots;
	pid_t pid;		   /* of what was started; the master is it or its child */
	char groups[16][PATH_MAX]; /* directories of that name, in every hierarchy */
	size_t groups_count;
};

/* Starts it and waits until a box prints 1. False with the reason in text. */
bool service_start(const struct service_options *options, struct service *ret_service,
		   char *text, size_t size);
/* The same without waiting: for daemons that ought to refuse. */
bool service_spawn(const struct service_options *options, struct service *ret_service);
bool service_ready(struct service *service, char *text, size_t size);
/* Exit status as from waitpid, or -1 when it does not come in time. */
int service_wait(struct service *service);
int service_stop(struct service *service);  /* SIGTERM, then service_wait() */
void service_kill(struct service *service); /* SIGKILL to the master alone, reaped */
/* To every process of it at once, programs too, as a crash of the host would. */
void service_kill_all(struct service *service);
void service_forget(struct service *service); /* removes its groups and folders */
pid_t service_master(const struct service *service);
bool service_said(const struct service *service, const char *word);
void service_log_tail(const struct service *service);

/* ---- runs ---- */

struct request {
	const char *language;  /* NULL: native */
	const char *arguments; /* words with blanks between */
	const char *options, *collect;
	struct limits limits; /* zero: test_limits' value */
	const char *input;
	size_t input_size;	      /* 0: strlen */
	const struct job_file *files; /* NULL: one small main file */
	size_t files_count;
	enum stage stage; /* STAGE_BUILD is 0, so say it only for a build */
	bool is_build;
	uint32_t flags;
	uint64_t domain;       /* of the compile cache */
	struct launch *launch; /* NULL: a connection of its own */
	uint64_t wait_ms;      /* for a box; 0: PATIENCE_MS */
	int client_fd;	       /* 0: none */
	int (*on_output)(void *data, enum launch_stream stream, const char *bytes, size_t size);
	void (*on_taken)(void *data);
	void *data;
};
extern const struct limits test_limits;

struct outcome {
	enum launch_end end;
	struct launch_result result;
	struct error err;
	enum status status;
	const char *out, *errs; /* NUL-terminated */
};
void box_run(const struct service *service, const struct request *request,
	     struct outcome *ret_outcome);
void outcome_done(struct outcome *outcome);

/* Sets of verdicts. A fork bomb ends by its time or by its memory: what its failed forks
 * took is given back late, and counts until then (25 to 67 MiB were seen with 64 processes). */
#define ENDS(status)  (1u << STATUS_##status)
#define ENDS_BY_LIMIT (ENDS(TIMEOUT) | ENDS(MEMORY_LIMIT))
#define ENDS_ANYHOW   (~0u)
bool ends_in(const struct outcome *outcome, unsigned set);

const char *end_name(enum launch_end end);
const char *cause_name(enum cause cause);

/* A run in a thread of its own; started() waits for its first output. */
struct live {
	const struct service *service;
	struct request request;
	struct outcome outcome;
	unsigned long thread;
	int first[2], cancel[2];
};
void live_start(struct live *live, const struct service *service,
		const struct request *request);
bool live_started(struct live *live);
void live_cancel(struct live *live); /* hangs up, as a client would */
void live_join(struct live *live);   /* outcome is then the caller's to free */

/* ---- the census ---- */

#define CENSUS_MAX 512
struct process {
	pid_t pid, parent;
	uid_t uid;
	unsigned fds, threads, mounts;
	uint64_t rss_kib;
	bool ours; /* its executable is the daemon's */
	char state;
};
struct census {
	struct process service[CENSUS_MAX]; /* of root, sorted */
	size_t service_count;
	size_t inits;	       /* and runners: of the slots' users, still our own code */
	size_t strangers;      /* of the slots' users, anything else */
	size_t groups;	       /* directories below the parent groups */
	uint64_t memory_bytes; /* charged to the parent group; 0 where not told */
	unsigned mounts_most;  /* that one keeper may have; of a settled census */
	unsigned master_mounts;
};
void census_take(const struct service *service, struct census *ret_census);
/* A census that two looks agree on, after every slot was used. */
bool census_settled(const struct service *service, struct census *ret_census);
/* Waits until all is as it was; false with the difference in text. */
bool census_returns(const struct service *service, const struct census *before, char *text,
		    size_t size);
/* One run in every slot at the same time; false with the reason. */
bool slots_work(const struct service *service, char *text, size_t size);
/* Nothing lives with the users of the slots. */
bool nothing_lives(const struct service *service);
/* A live program with that word in its command line; 0 when there is none in time. */
pid_t program_pid(const struct service *service, const char *word);

uint64_t mem_available_bytes(void);
/* In a child that goes on to run something else. */
void signals_as_usual(void);
bool until(bool (*holds)(void *data), void *data, uint64_t patience_ms);
void pause_ms(unsigned ms);

/* Lines of the kernel log since kernel_log_mark() that tell of a kernel bug. */
void kernel_log_mark(void);
bool kernel_log_clean(char *text, size_t size);

/* ---- a canary beside the case ---- */

struct canary {
	const struct service *service;
	unsigned long thread;
	volatile bool stop;
	unsigned sung, failed;
	char text[400];
};
void canary_start(struct canary *canary, const struct service *service);
void canary_stop(struct canary *canary);

#endif
