/* SPDX-License-Identifier: ISC */
/* Thousands of mixed runs, good and hostile: afterwards descriptors, threads,
 * mounts, control groups (dying ones too), memory and processes are back at the
 * start's count, and no service process grew.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/tap.h"

static const struct {
	const char *number, *name, *promise;
} rows[] = {
	{ "150", "mixed runs again and again", "everything back at the start's count" },
	{ "150b", "growth of the service's processes", "under 1 MiB" },
	{ "150c", "dying control groups", "gone" },
	{ "150d", "the kernel's own memory", "back at the start's amount" },
};

#define WRITTEN	   10000
#define GROWTH_KIB 1024
#define PARALLEL   4

static const struct {
	struct request request;
	unsigned ends;
} mix[] = {
	{ { .arguments = "print" }, ENDS(SUCCESS) },
	{ { .arguments = "1" }, ENDS(SUCCESS) },
	{ { .arguments = "39 64" }, ENDS(SUCCESS) },
	{ { .arguments = "41" }, ENDS(SUCCESS) },
	{ { .arguments = "58", .limits = { .memory_bytes = 16 * MIB } }, ENDS(MEMORY_LIMIT) },
	{ { .arguments = "70", .limits = { .cpu_ms = 30 } }, ENDS(TIMEOUT) },
	{ { .arguments = "stay", .limits = { .wall_ms = 30 } }, ENDS(TIMEOUT) },
	{ { .arguments = "78 stdout", .limits = { .output_bytes = 65536 } },
	  ENDS(OUTPUT_LIMIT) },
	{ { .arguments = "79 1048576" }, ENDS(SUCCESS) },
	{ { .arguments = "24", .collect = "good absolute relative" }, ENDS(SUCCESS) },
	{ { .arguments = "60" }, ENDS_ANYHOW },
	{ { .arguments = "164-inside" }, ENDS(SUCCESS) },
	{ { .arguments = "39-bomb", .limits = { .wall_ms = 60 } }, ENDS_BY_LIMIT },
	{ { .arguments = "45-group" }, ENDS(RUNTIME_ERROR) },
	{ { .arguments = "nothing", .options = "x", .language = "two", .is_build = true },
	  ENDS(SUCCESS) },
};

static unsigned wrong;

/* A handful at the same time; what may end in more than one way is only run. */
static void one_round(const struct service *service, unsigned turn)
{
	struct live live[PARALLEL] = { 0 };
	unsigned i;

	for (i = 0; i < PARALLEL; i++)
		live_start(&live[i], service,
			   &mix[(turn * PARALLEL + i) % ARRAY_LEN(mix)].request);
	for (i = 0; i < PARALLEL; i++) {
		const size_t row = (turn * PARALLEL + i) % ARRAY_LEN(mix);
		const struct outcome *outcome = &live[i].outcome;

		live_join(&live[i]);
		if (!ends_in(outcome, mix[row].ends) && wrong++ < 5)
			tap_note("hostile %s: %s, %s (signal %d): %s", mix[row].request.arguments,
				 end_name(outcome->end), job_status_name(outcome->status),
				 outcome->result.verdict.signal, outcome->err.text);
		outcome_done(&live[i].outcome);
	}
}

static void many_rounds(const struct service *service, unsigned runs)
{
	unsigned turn;

	for (turn = 0; turn * PARALLEL < runs; turn++)
		one_round(service, turn);
}

/* The most that one process grew; a keeper that was replaced starts anew. */
static uint64_t growth_kib(const struct census *before, const struct census *now)
{
	uint64_t most = 0;
	size_t i, k;

	for (i = 0; i < now->service_count; i++)
		for (k = 0; k < before->service_count; k++)
			if (now->service[i].pid == before->service[k].pid &&
			    now->service[i].rss_kib > before->service[k].rss_kib + most)
				most = now->service[i].rss_kib - before->service[k].rss_kib;
	return most;
}

/* Groups that are removed but still hold memory: v2 counts them below a parent,
 * v1 only for the whole machine. */
static uint64_t dying_groups(const struct service *service)
{
	char path[PATH_MAX + 32], text[8192];
	const char *at;
	uint64_t total = 0;
	size_t i;

	for (i = 0; i < service->groups_count; i++) {
		snprintf(path, sizeof path, "%s/cgroup.stat", service->groups[i]);
		if (io_read_text_at(AT_FDCWD, path, text, sizeof text) > 0 &&
		    (at = strstr(text, "nr_dying_descendants ")) != NULL)
			total += strtoull(at + 21, NULL, 10);
	}
	if (io_read_text_at(AT_FDCWD, "/proc/cgroups", text, sizeof text) > 0 &&
	    (at = strstr(text, "\nmemory\t")) != NULL && strtoul(at + 8, NULL, 10) != 0) {
		unsigned long hierarchy, count;

		if (sscanf(at + 8, "%lu %lu", &hierarchy, &count) == 2)
			total += count;
	}
	return total;
}

static uint64_t slab_kib(void)
{
	char text[8192];
	const char *at;

	if (io_read_text_at(AT_FDCWD, "/proc/meminfo", text, sizeof text) <= 0)
		return 0;
	at = strstr(text, "SUnreclaim:");
	return at ? strtoull(at + 11, NULL, 10) : 0;
}

struct bound {
	const struct service *service;
	uint64_t most;
};

static bool groups_gone(void *data)
{
	const struct bound *bound = data;

	return dying_groups(bound->service) <= bound->most;
}

static bool slab_back(void *data)
{
	return slab_kib() <= ((const struct bound *)data)->most;
}

static void soak(struct service *service)
{
	const unsigned runs = times(WRITTEN);
	static struct census before, after;
	struct bound groups, slab;
	char text[400] = "";
	bool good;

	/* first each kind once or more, so that what is made only once is made */
	many_rounds(service, runs / 10 > 4 * ARRAY_LEN(mix) ? runs / 10 : 4 * ARRAY_LEN(mix));
	good = census_settled(service, &before);
	/* others on this machine make groups and use memory too: hence the slack,
	 * far below what a leak in each run would come to */
	groups = (struct bound){ service, dying_groups(service) + 30 + runs / 20 };
	slab = (struct bound){ service, slab_kib() + 65536 + runs * 2 };
	many_rounds(service, runs);
	good = good && slots_work(service, text, sizeof text) &&
	       census_returns(service, &before, text, sizeof text);
	if (!tap_ok(good && wrong == 0, "%s %s", rows[0].number, rows[0].name))
		tap_note("%s; %u runs went wrong", text, wrong);
	census_take(service, &after);
	if (!tap_ok(growth_kib(&before, &after) < GROWTH_KIB, "%s %s", rows[1].number,
		    rows[1].name))
		tap_note("%llu KiB", (unsigned long long)growth_kib(&before, &after));
	if (!tap_ok(until(groups_gone, &groups, PATIENCE_MS), "%s %s", rows[2].number,
		    rows[2].name))
		tap_note("%llu groups, at most %llu expected",
			 (unsigned long long)dying_groups(service),
			 (unsigned long long)groups.most);
	if (!tap_ok(until(slab_back, &slab, PATIENCE_MS), "%s %s", rows[3].number,
		    rows[3].name))
		tap_note("%llu KiB, at most %llu expected", (unsigned long long)slab_kib(),
			 (unsigned long long)slab.most);
}

int main(int argc, char **argv)
{
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
	if (tap_ok(service_start(&(struct service_options){ 0 }, &service, text, sizeof text),
		   "150 it starts")) {
		soak(&service);
		tap_ok(service_stop(&service) == 0, "150 it ends well");
	} else {
		tap_note("%s", text);
	}
	return tap_done();
}
