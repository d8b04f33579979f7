/* SPDX-License-Identifier: ISC */
/* Cases 78 to 87 and 159 to 165: output, input, network, what can be learnt.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/cases.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ATTACK(n, what, result, words, ...)                                                    \
	{                                                                                      \
		.number = n, .name = what, .promise = result, .request.arguments = words,      \
		__VA_ARGS__                                                                    \
	}
#define CAP    65536u
#define CAPPED .request.limits = { .output_bytes = CAP, .wall_ms = 20000, .cpu_ms = 20000 }

/* ---- output and input ---- */

static void exactly_the_cap(struct trial *t, const struct outcome *outcome)
{
	const struct launch_result *result = &outcome->result;
	const bool first = result->seen_bytes[0] > CAP;

	check(t, result->output[first ? 0 : 1].size == CAP, "%zu and %zu bytes came back",
	      result->output[0].size, result->output[1].size);
	check(t, result->output[0].size <= CAP && result->output[1].size <= CAP,
	      "beyond the cap");
}

static bool right_bytes(const struct buffer *buffer, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (buffer->data[i] != (char)(i * 31 >> 3))
			return false;
	return buffer->size == count;
}

static int slow_reader(void *data, enum launch_stream stream, const char *bytes, size_t size)
{
	uint64_t *counted = data;

	(void)bytes;
	counted[stream] += size;
	pause_ms(5);
	return 0;
}

static void busy_reader(struct trial *t)
{
	uint64_t counted[2] = { 0, 0 };
	struct request request = { .arguments = "79 1048576",
				   .limits = { .output_bytes = 2 * MIB } };
	struct outcome outcome;

	run_expecting(t, t->service, &request, STATUS_SUCCESS, CASE_NO_PROMISE, &outcome);
	check(t, right_bytes(&outcome.result.output[0], MIB), "%zu bytes, or wrong ones",
	      outcome.result.output[0].size);
	outcome_done(&outcome);
	request.on_output = slow_reader;
	request.data = counted;
	run_expecting(t, t->service, &request, STATUS_SUCCESS, CASE_NO_PROMISE, &outcome);
	check(t, counted[0] == MIB, "a slow reader got %llu bytes",
	      (unsigned long long)counted[0]);
	outcome_done(&outcome);
}

static void all_bytes(struct trial *t, const struct outcome *outcome)
{
	unsigned char all[256 + 8];
	size_t i;

	for (i = 0; i < 256; i++)
		all[i] = (unsigned char)i;
	memcpy(all + 256, "\xed\xa0\x80\xef\xbb\xbf\xc3\x28", 8);
	for (i = 0; i < LAUNCH_STREAMS; i++)
		check(t,
		      outcome->result.output[i].size == sizeof all &&
			      !memcmp(outcome->result.output[i].data, all, sizeof all),
		      "stream %zu: %zu bytes, or other ones", i,
		      outcome->result.output[i].size);
}

static void exactly_at_the_cap(struct trial *t)
{
	struct request request = { .arguments = "79 65536", .limits = { .output_bytes = CAP } };
	struct outcome outcome;

	run_expecting(t, t->service, &request, STATUS_SUCCESS, CASE_NO_PROMISE, &outcome);
	outcome_done(&outcome);
	request.arguments = "79 65537";
	run_expecting(t, t->service, &request, STATUS_OUTPUT_LIMIT, 0, &outcome);
	check(t, outcome.result.output[0].size == CAP, "%zu bytes",
	      outcome.result.output[0].size);
	outcome_done(&outcome);
}

static void large_input(struct trial *t)
{
	static const char *const ways[] = { "83 never", "83 half", "83 close", "83 whole" };
	const size_t size = 10 * MIB;
	char *input = malloc(size);
	size_t i;

	if (!check(t, input != NULL, "memory"))
		return;
	memset(input, 'i', size);
	for (i = 0; i < ARRAY_LEN(ways); i++) {
		const struct request request = { .arguments = ways[i],
						 .input = input,
						 .input_size = size };
		struct outcome outcome;

		if (run_expecting(t, t->service, &request, STATUS_SUCCESS, 0, &outcome) &&
		    i == 3)
			check(t, strstr(outcome.out, "10485760 bytes") != NULL, "stdin: %.60s",
			      outcome.out);
		outcome_done(&outcome);
	}
	free(input);
}

const struct box_case cases_io[] = {
	ATTACK("078", "stdout without end", "output_limit, exactly the cap", "78 stdout",
	       CAPPED, .status = STATUS_OUTPUT_LIMIT, .check = exactly_the_cap),
	ATTACK("078b", "newlines without end", "output_limit, exactly the cap", "78 lines",
	       CAPPED, .status = STATUS_OUTPUT_LIMIT, .check = exactly_the_cap),
	ATTACK("078c", "stderr without end", "output_limit, exactly the cap", "78 stderr",
	       CAPPED, .status = STATUS_OUTPUT_LIMIT, .check = exactly_the_cap),
	ATTACK("078d", "both by turns without end", "output_limit, exactly the cap", "78 both",
	       CAPPED, .status = STATUS_OUTPUT_LIMIT, .check = exactly_the_cap),
	{ .number = "079",
	  .name = "1 MiB of output and a slow reader",
	  .promise = "all of it, no dead-lock",
	  .run = busy_reader },
	ATTACK("080", "all bytes, broken UTF-8", "the same bytes", "80",
	       .flags = CASE_NO_PROMISE, .check = all_bytes),
	{ .number = "081",
	  .name = "one byte beyond the cap, then exit 0",
	  .promise = "output_limit; at the cap success",
	  .run = exactly_at_the_cap },
	ATTACK("082", "stdio closed, then busy", "timeout", "82",
	       .request.limits = { .wall_ms = 500 }, .status = STATUS_TIMEOUT),
	{ .number = "083",
	  .name = "10 MiB of input, unread, half read, closed",
	  .promise = "success",
	  .run = large_input },
	ATTACK("084", "output before a time-out", "timeout, and the output", "84 sleep",
	       .request.limits = { .wall_ms = 300 }, .status = STATUS_TIMEOUT,
	       .has = "before the end\n"),
	ATTACK("084b", "output before the memory ends", "memory_limit, and the output",
	       "84 memory", .request.limits = { .memory_bytes = 32 * MIB },
	       .status = STATUS_MEMORY_LIMIT, .has = "before the end\n"),
	ATTACK("084c", "output before the processor time ends", "timeout, and the output",
	       "84 spin", .request.limits = { .cpu_ms = 200 }, .status = STATUS_TIMEOUT,
	       .has = "before the end\n"),
	{ 0 },
};

/* ---- network ---- */

static int unix_socket(const char *name, bool abstract, bool listens)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t size =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + strlen(name));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc;

	memcpy(at.sun_path + abstract, name, strlen(name));
	if (listens)
		rc = bind(fd, (struct sockaddr *)&at, size) < 0 ? -1 : listen(fd, 4);
	else
		rc = connect(fd, (struct sockaddr *)&at, size);
	if (rc < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void sockets_of_the_host(struct trial *t)
{
	char abstract[64], path[100], arguments[600];
	cleanup_close int one = -1, other = -1;

	snprintf(abstract, sizeof abstract, "sandpool-test-%d", getpid());
	snprintf(path, sizeof path, "%s/host.sock", ground.root);
	one = unix_socket(abstract, true, true);
	other = unix_socket(path, false, true);
	if (!check(t, one >= 0 && other >= 0, "sockets: %s", strerror(errno)))
		return;
	snprintf(arguments, sizeof arguments,
		 "86 @%s %s %s/control.sock %s/box-test.sock /run/dbus/system_bus_socket",
		 abstract, path, t->service->run, t->service->run);
	run_promising(t, t->service, arguments);
	unlink(path);
}

static void server_in_a_slot(struct trial *t)
{
	static const char *const paths[] = { "/tmp/server", "/dev/shm/server", "/box/server" };
	const struct request server = {
		.arguments = "87 @box-server /tmp/server /dev/shm/server /box/server",
	};
	struct live live = { 0 };
	size_t i;
	int fd;

	live_start(&live, t->service, &server);
	if (check(t, live_started(&live), "the server did not start")) {
		fd = unix_socket("box-server", true, false);
		check(t, fd < 0, "the host reaches it");
		for (i = 0; i < ARRAY_LEN(paths); i++)
			check(t, unix_socket(paths[i], false, false) < 0, "the host reaches %s",
			      paths[i]);
		for (i = 0; i + 1 < t->service->slots; i++)
			run_promising(t, t->service,
				      "86 @box-server /tmp/server /dev/shm/server /box/server");
	}
	live_cancel(&live);
	live_join(&live);
	check(t, strstr(live.outcome.out, "listening") != NULL, "it did not listen: %.200s",
	      live.outcome.out);
	outcome_done(&live.outcome);
}

/* The keeper's own is the one that its boxes get. */
static bool network_of(const struct service *service, char *name, size_t size)
{
	static struct census census;
	char path[48];
	ssize_t n = -1;
	size_t i;

	census_take(service, &census);
	for (i = 0; i < census.service_count && n < 0; i++)
		if (census.service[i].pid != service_master(service)) {
			snprintf(path, sizeof path, "/proc/%d/ns/net", census.service[i].pid);
			n = readlink(path, name, size - 1);
		}
	name[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* A socket that outlives its run is a reason for a new one; that the last box is not quite
 * gone yet is none, and a new one costs as much as two runs. */
static void network_stays(struct trial *t)
{
	const struct service_options options = { .slots = 1 };
	char before[64], after[64];
	struct service service;
	int i;

	if (!own_service(t, &options, &service))
		return;
	run_promising(t, &service, "85");
	check(t, network_of(&service, before, sizeof before), "the keeper's cannot be seen");
	for (i = 0; i < 60; i++)
		run_promising(t, &service, "85");
	check(t, network_of(&service, after, sizeof after) && !strcmp(before, after),
	      "it was %s and is %s", before, after);
	own_service_done(t, &service);
}

const struct box_case cases_network[] = {
	ATTACK("085", "ways to a network", "a down loopback alone; EAFNOSUPPORT", "85"),
	{ .number = "086",
	  .name = "local sockets of the host and the service",
	  .promise = "ECONNREFUSED or ENOENT",
	  .run = sockets_of_the_host },
	{ .number = "087",
	  .name = "a server in another slot",
	  .promise = "unreachable",
	  .run = server_in_a_slot },
	{ .number = "087b",
	  .name = "one network namespace for many runs of a slot",
	  .promise = "it stays the same",
	  .run = network_stays },
	{ 0 },
};

/* ---- what can be learnt ---- */

static void own_names(struct trial *t)
{
	char arguments[64];

	snprintf(arguments, sizeof arguments, "160 %llu",
		 (unsigned long long)t->service->ids_first);
	run_promising(t, t->service, arguments);
}

static void earlier_secrets(struct trial *t)
{
	unsigned count = times(10000), i;

	for (i = 0; i < count && t->problems == 0; i++) {
		char secret[32], arguments[64];
		uint64_t bits;
		struct job_file files[2] = { { { "main", 4 }, { secret, 23 } },
					     { { "secret", 6 }, { secret, 23 } } };
		const struct request request = { .arguments = arguments,
						 .input = secret,
						 .files = files,
						 .files_count = 2 };
		struct outcome outcome;

		check(t, getrandom(&bits, sizeof bits, 0) == sizeof bits, "getrandom");
		snprintf(secret, sizeof secret, "SECRET-%016llx", (unsigned long long)bits);
		snprintf(arguments, sizeof arguments, "161 %s", secret);
		run_expecting(t, t->service, &request, STATUS_SUCCESS, 0, &outcome);
		outcome_done(&outcome);
	}
}

/* Where we fail, the program and its reader learn nothing of the host. */
static void errors_tell_nothing(struct trial *t)
{
	static const char *const languages[] = { "missing", "folder", "plain" };
	char first[24];
	size_t i;

	snprintf(first, sizeof first, "%llu", (unsigned long long)t->service->ids_first);
	for (i = 0; i < ARRAY_LEN(languages); i++) {
		const struct request request = { .language = languages[i] };
		struct outcome outcome;
		const char *texts[2];
		size_t k;

		box_run(t->service, &request, &outcome);
		texts[0] = outcome.out;
		texts[1] = outcome.errs;
		for (k = 0; k < 2; k++)
			check(t,
			      !strstr(texts[k], ground.root) && !strstr(texts[k], first) &&
				      !strstr(texts[k], "sandboxd"),
			      "%s: %.200s", languages[i], texts[k]);
		outcome_done(&outcome);
	}
}

static void covert_channels(struct trial *t)
{
	const struct request sender = { .arguments = "164 send" };
	struct live live = { 0 };
	unsigned i;

	run_promising(t, t->service, "164-inside");
	live_start(&live, t->service, &sender);
	if (check(t, live_started(&live), "the sender did not start"))
		for (i = 0; i + 1 < t->service->slots; i++)
			run_promising(t, t->service, "164 receive");
	live_cancel(&live);
	live_join(&live);
	check(t, strstr(live.outcome.out, "sending") != NULL, "it did not send: %.200s",
	      live.outcome.out);
	outcome_done(&live.outcome);
}

/* The whole log so far, and a run whose every part would be easy to find in it. */
static void log_is_discreet(struct trial *t)
{
	static const char secret[] = "LOGGED-SECRET";
	const struct job_file files[] = { { { "main", 4 }, { secret, 13 } },
					  { { "LOGGED-NAME", 11 }, { secret, 13 } } };
	const struct request request = { .arguments = "echo LOGGED-WORD \033[31mLOGGED-RED",
					 .input = secret,
					 .files = files,
					 .files_count = 2,
					 .collect = "LOGGED-FILE" };
	static const char *const words[] = {
		"LOGGED-SECRET", "LOGGED-NAME", "LOGGED-WORD",	     "LOGGED-RED",
		"LOGGED-FILE",	 "SECRET-",	"FORBIDDEN-CONTENT",
	};
	cleanup_close int fd = -1;
	struct outcome outcome;
	char text[65536];
	ssize_t n, i;

	run_expecting(t, t->service, &request, STATUS_SUCCESS, CASE_NO_PROMISE, &outcome);
	check(t, strstr(outcome.out, "LOGGED-WORD") != NULL, "it did not run: %.100s",
	      outcome.out);
	outcome_done(&outcome);
	for (i = 0; i < (ssize_t)ARRAY_LEN(words); i++)
		check(t, !service_said(t->service, words[i]), "the log has %s", words[i]);
	fd = open(t->service->log, O_RDONLY | O_CLOEXEC);
	while ((n = read(fd, text, sizeof text)) > 0)
		for (i = 0; i < n; i++)
			if (!isprint((unsigned char)text[i]) && text[i] != '\n' &&
			    text[i] != '\t' && !((unsigned char)text[i] & 0x80)) {
				check(t, false, "the log has byte %02x",
				      (unsigned char)text[i]);
				return;
			}
}

const struct box_case cases_leaks[] = {
	ATTACK("159", "/proc, /sys, machine-id", "own processes alone; the rest absent", "159"),
	{ .number = "160",
	  .name = "groups, host name, id maps",
	  .promise = "\"/\", \"box\", the slot's ids alone",
	  .run = own_names },
	{ .number = "161",
	  .name = "secrets of earlier runs",
	  .promise = "none in 10,000 runs",
	  .run = earlier_secrets },
	{ .number = "162",
	  .name = "errors of ours",
	  .promise = "no host path, no uid",
	  .run = errors_tell_nothing },
	ATTACK("164", "page-cache probes", "ENOSYS or EOPNOTSUPP", "164-probes"),
	{ .number = "164b",
	  .name = "covert channels between two live slots",
	  .promise = "no bit passes",
	  .run = covert_channels },
	{ .number = "165",
	  .name = "logs",
	  .promise = "no code, input, output; no control characters",
	  .run = log_is_discreet },
	{ 0 },
};
