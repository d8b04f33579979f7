/* SPDX-License-Identifier: ISC */
/* Nothing passes between two live slots, nor from a run to the next in one slot.
 * Single channels are cases 37, 86, 87, 161 and 164; here are pairs of boxes.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"

static const struct {
	const char *number, *name, *promise;
} rows[] = {
	{ "164c", "users and namespaces of two live slots", "all different" },
	{ "164d", "each of two live slots sends, each listens", "no bit passes" },
	{ "164e", "from a run to the next in one slot", "no bit passes" },
	{ "164f", "locks of a killed run in the same slot", "free" },
	{ "164g", "namespaces of two runs in one slot", "new ones, but for net, user and uts" },
	{ "164h", "counters of the runs after large ones", "start at nothing" },
};
#define NAME(i) rows[i].number, rows[i].name

static const char *const namespaces[] = { "mnt", "pid",	   "ipc",  "uts",
					  "net", "cgroup", "time", "user" };
#define NAMESPACES ARRAY_LEN(namespaces)

struct identity {
	uid_t uid;
	ino_t ns[NAMESPACES];
};

static bool identify(pid_t pid, struct identity *ret)
{
	char path[64];
	struct stat st;
	size_t i;

	memset(ret, 0, sizeof *ret);
	snprintf(path, sizeof path, "/proc/%d", pid);
	if (pid <= 0 || stat(path, &st) < 0)
		return false;
	ret->uid = st.st_uid;
	for (i = 0; i < NAMESPACES; i++) {
		snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, namespaces[i]);
		if (stat(path, &st) < 0)
			return false;
		ret->ns[i] = st.st_ino;
	}
	return true;
}

static bool promised_by(const struct service *service, const char *arguments)
{
	const struct request request = { .arguments = arguments };
	struct outcome outcome;
	bool good;

	box_run(service, &request, &outcome);
	good = outcome.status == STATUS_SUCCESS && strstr(outcome.out, "as promised");
	if (!good)
		tap_note("hostile %s: %s: %.400s", arguments, job_status_name(outcome.status),
			 outcome.out);
	outcome_done(&outcome);
	return good;
}

static void end(struct live *live)
{
	live_cancel(live);
	live_join(live);
	outcome_done(&live->outcome);
}

static void identities(const struct service *service)
{
	static const struct request requests[2] = { { .arguments = "stay one" },
						    { .arguments = "stay other" } };
	static const char *const words[2] = { "one", "other" };
	struct live live[2] = { 0 };
	struct identity who[2];
	bool good = true;
	size_t i;

	for (i = 0; i < 2; i++) {
		live_start(&live[i], service, &requests[i]);
		live_started(&live[i]);
		good = good && identify(program_pid(service, words[i]), &who[i]);
	}
	if (good && who[0].uid == who[1].uid) {
		tap_note("both are user %u", who[0].uid);
		good = false;
	}
	for (i = 0; good && i < NAMESPACES; i++)
		if (who[0].ns[i] == who[1].ns[i]) {
			tap_note("they share the %s namespace", namespaces[i]);
			good = false;
		}
	tap_ok(good, "%s %s", NAME(0));
	end(&live[0]);
	end(&live[1]);
}

static void both_ways(const struct service *service)
{
	static const struct request sender = { .arguments = "164 send" };
	struct live live = { 0 };
	bool good = true;
	unsigned i, count = times(100);

	/* which slot sends changes from turn to turn */
	for (i = 0; i < count / 10 + 2 && good; i++) {
		memset(&live, 0, sizeof live);
		live_start(&live, service, &sender);
		good = live_started(&live) && promised_by(service, "164 receive");
		end(&live);
	}
	tap_ok(good, "%s %s", NAME(1));
}

static void run_after_run(const struct service *service)
{
	const struct request sender = { .arguments = "164 send", .limits = { .wall_ms = 200 } };
	unsigned count = times(1000), i;
	struct outcome outcome;
	bool good = true;

	for (i = 0; i < count && good; i++) {
		box_run(service, &sender, &outcome);
		good = outcome.status == STATUS_TIMEOUT && strstr(outcome.out, "sending");
		outcome_done(&outcome);
		good = good && promised_by(service, "164 receive") &&
		       promised_by(service, "38");
	}
	tap_ok(good, "%s %s", NAME(2));
}

static void locks_after_a_kill(const struct service *service)
{
	const struct request holder = { .arguments = "37 stay", .limits = { .wall_ms = 300 } };
	struct outcome outcome;
	bool good;

	box_run(service, &holder, &outcome);
	good = outcome.status == STATUS_TIMEOUT && strstr(outcome.out, "held");
	outcome_done(&outcome);
	tap_ok(good && promised_by(service, "37"), "%s %s", NAME(3));
}

/* The first run's namespaces are held open meanwhile, so that a number which comes
 * again means the namespace itself. */
static void fresh_namespaces(const struct service *service)
{
	static const struct request request = { .arguments = "stay" };
	int held[NAMESPACES];
	struct identity who[2];
	bool good = true;
	size_t i, k;

	for (i = 0; i < 2; i++) {
		struct live live = { 0 };
		pid_t pid;

		live_start(&live, service, &request);
		live_started(&live);
		pid = program_pid(service, "stay");
		good = good && identify(pid, &who[i]);
		for (k = 0; i == 0 && k < NAMESPACES; k++) {
			char path[64];

			snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, namespaces[k]);
			held[k] = open(path, O_RDONLY | O_CLOEXEC);
		}
		end(&live);
	}
	for (k = 0; k < NAMESPACES; k++) {
		/* nothing in these can be changed by a program */
		if (!strcmp(namespaces[k], "net") || !strcmp(namespaces[k], "user") ||
		    !strcmp(namespaces[k], "uts")) {
			close_fd(&held[k]);
			continue;
		}
		if (good && who[0].ns[k] == who[1].ns[k]) {
			tap_note("the %s namespace is the same", namespaces[k]);
			good = false;
		}
		close_fd(&held[k]);
	}
	tap_ok(good, "%s %s", NAME(4));
}

/* What each of these leaves behind, the runs after it must not see: pages of a file that
 * stay in the cache, a kill for memory, time. More of them than a slot has groups. */
static void fresh_counters(const struct service *service)
{
	static const struct request before[] = {
		{ .arguments = "64 209715200", .limits = { .memory_bytes = 256 * MIB } },
		{ .arguments = "70", .limits = { .cpu_ms = 300 } },
		{ .arguments = "62", .limits = { .memory_bytes = 256 * MIB } },
		{ .arguments = "58", .limits = { .memory_bytes = 16 * MIB } },
		{ .arguments = "39 30", .limits = { .processes = 32, .wall_ms = 300 } },
	};
	const struct request small = { .arguments = "print" };
	bool good = true;
	size_t i;

	for (i = 0; i < 5 * ARRAY_LEN(before) && good; i++) {
		struct outcome outcome;
		const struct usage *usage = &outcome.result.verdict.usage;

		if (i % 5 == 0) {
			box_run(service, &before[i / 5], &outcome);
			outcome_done(&outcome);
		}
		box_run(service, &small, &outcome);
		good = ends_in(&outcome, ENDS(SUCCESS)) &&
		       (usage->memory_peak_bytes == USAGE_UNKNOWN ||
			usage->memory_peak_bytes < 8 * MIB) &&
		       usage->cpu_us < 200000 &&
		       (usage->processes_peak == USAGE_UNKNOWN || usage->processes_peak == 1);
		if (!good)
			tap_note("run %zu after hostile %s: %s, peak %llu bytes, %llu us, "
				 "%llu processes",
				 i % 5 + 1, before[i / 5].arguments,
				 job_status_name(outcome.status),
				 (unsigned long long)usage->memory_peak_bytes,
				 (unsigned long long)usage->cpu_us,
				 (unsigned long long)usage->processes_peak);
		outcome_done(&outcome);
	}
	tap_ok(good, "%s %s", NAME(5));
}

int main(int argc, char **argv)
{
	const struct service_options two = { .slots = 2 }, one = { .slots = 1 };
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
	if (tap_ok(service_start(&two, &service, text, sizeof text), "164c two slots: ready")) {
		identities(&service);
		both_ways(&service);
		tap_ok(service_stop(&service) == 0, "164d two slots: it ends well");
	}
	if (tap_ok(service_start(&one, &service, text, sizeof text), "164e one slot: ready")) {
		run_after_run(&service);
		locks_after_a_kill(&service);
		fresh_namespaces(&service);
		fresh_counters(&service);
		tap_ok(service_stop(&service) == 0, "164h one slot: it ends well");
	}
	return tap_done();
}
