/* SPDX-License-Identifier: ISC */
/* Master and keepers killed with -9 at random moments under load; this program
 * plays the service manager and starts the master again. After each kill:
 * everything that ran is dead, the service is ready again, nothing is left.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "tests/tap.h"

static const struct {
	const char *number, *name, *promise;
} rows[] = {
	{ "141b", "the master killed at random moments under load",
	  "programs dead, ready again, nothing left" },
	{ "141c", "a keeper killed at random moments under load",
	  "its own run alone is lost, ready again, nothing left" },
};

#define LOADERS 3
#define WRITTEN 1000

struct load {
	const struct service *service;
	atomic_bool stop, pause;
	atomic_uint runs, strange;
	char text[300];
};

static unsigned dice(unsigned sides)
{
	unsigned bits;

	if (getrandom(&bits, sizeof bits, 0) != sizeof bits)
		abort();
	return bits % sides;
}

/* A run may be lost when somebody is killed; but what is said to be a success
 * must have been one. */
static void *loader(void *data)
{
	static const struct {
		struct request request;
		unsigned ends;
	} mix[] = {
		{ { .arguments = "print", .wait_ms = 500 }, ENDS(SUCCESS) },
		{ { .arguments = "stay", .limits = { .wall_ms = 150 }, .wait_ms = 500 },
		  ENDS(TIMEOUT) },
		{ { .arguments = "39-bomb", .limits = { .wall_ms = 100 }, .wait_ms = 500 },
		  ENDS_BY_LIMIT },
		{ { .arguments = "77", .limits = { .disk_bytes = 1 << 20 }, .wait_ms = 500 },
		  ENDS(SUCCESS) },
		{ { .arguments = "79 200000", .wait_ms = 500 }, ENDS(SUCCESS) },
	};
	struct load *load = data;

	while (!load->stop) {
		unsigned i = dice(ARRAY_LEN(mix));
		struct outcome outcome;

		box_run(load->service, &mix[i].request, &outcome);
		load->runs++;
		if (outcome.end == LAUNCH_DONE && !ends_in(&outcome, mix[i].ends)) {
			load->strange++;
			snprintf(load->text, sizeof load->text, "hostile %s: %s (signal %d)",
				 mix[i].request.arguments, job_status_name(outcome.status),
				 outcome.result.verdict.signal);
		}
		if (outcome.end != LAUNCH_DONE)
			pause_ms(10);
		outcome_done(&outcome);
	}
	return NULL;
}

static void start_load(struct load *load, pthread_t *threads)
{
	size_t i;

	for (i = 0; i < LOADERS; i++)
		if (pthread_create(&threads[i], NULL, loader, load) != 0)
			abort();
}

static void stop_load(struct load *load, pthread_t *threads)
{
	size_t i;

	load->stop = true;
	for (i = 0; i < LOADERS; i++)
		pthread_join(threads[i], NULL);
	load->stop = false;
}

static pid_t some_keeper(const struct service *service)
{
	static struct census census;
	const pid_t master = service_master(service);
	size_t i, start;

	census_take(service, &census);
	start = dice((unsigned)census.service_count + 1);
	for (i = 0; i < census.service_count; i++) {
		const struct process *p = &census.service[(start + i) % census.service_count];

		if (p->pid != master && p->parent == master)
			return p->pid;
	}
	return 0;
}

static bool kill_master(struct service *service, char *text, size_t size)
{
	const struct service_options again = { .slots = LOADERS, .same_place = true };

	service_kill(service);
	if (!nothing_lives(service)) {
		snprintf(text, size, "programs outlive the master");
		return false;
	}
	return service_start(&again, service, text, size);
}

static bool kill_keeper(struct service *service, char *text, size_t size)
{
	pid_t keeper = some_keeper(service);

	if (keeper <= 0) {
		snprintf(text, size, "no keeper was found");
		return false;
	}
	kill(keeper, SIGKILL);
	return service_ready(service, text, size);
}

static void sweep(struct service *service, size_t row,
		  bool (*strike)(struct service *, char *, size_t))
{
	const unsigned count = times(WRITTEN);
	struct load load = { .service = service };
	static struct census before;
	pthread_t threads[LOADERS];
	char text[400] = "";
	bool good = census_settled(service, &before);
	unsigned i;

	for (i = 0; i < count && good; i++) {
		start_load(&load, threads);
		pause_ms(dice(400));
		good = strike(service, text, sizeof text);
		stop_load(&load, threads);
		good = good && census_returns(service, &before, text, sizeof text) &&
		       slots_work(service, text, sizeof text);
	}
	if (!good)
		tap_note("in turn %u: %s", i, text);
	if (load.strange) {
		tap_note("%u strange verdicts: %s", load.strange, load.text);
		good = false;
	}
	tap_note("%u runs beside %u kills", load.runs, i);
	if (!tap_ok(good && load.runs > 0, "%s %s", rows[row].number, rows[row].name))
		service_log_tail(service);
}

int main(int argc, char **argv)
{
	const struct service_options options = { .slots = LOADERS };
	static struct service service;
	char text[400];
	size_t i;
	int at;

	for (at = 1; at < argc; at++) {
		if (!strcmp(argv[at], "--list")) {
			for (i = 0; i < ARRAY_LEN(rows); i++)
				printf("%-5s %s: %s\n", rows[i].number, rows[i].name,
				       rows[i].promise);
			return 0;
		}
		if (!strcmp(argv[at], "--full"))
			extent = EXTENT_FULL;
		if (!strcmp(argv[at], "--guest"))
			extent = EXTENT_GUEST;
	}
	ground_make();
	if (tap_ok(service_start(&options, &service, text, sizeof text), "141b it starts")) {
		sweep(&service, 0, kill_master);
		sweep(&service, 1, kill_keeper);
		tap_ok(service_stop(&service) == 0, "141c it ends well");
		tap_ok(nothing_lives(&service), "141c nothing lives on");
	} else {
		tap_note("%s", text);
	}
	return tap_done();
}
