/* SPDX-License-Identifier: ISC */
/* Peers that break the protocol, stall, leave, or do not read. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/io.h"
#include "tests/wire/cases.h"
#include "tests/wire/harness.h"

/* ---- bad peers ---- */

static const struct {
	const char *name;
	const char *bytes;
	size_t size;
} broken[] = {
#define RAW(text) text, sizeof text - 1
	{ "an HTTP request", RAW("GET / HTTP/1.0\r\n\r\n") },
	{ "zeroes", RAW("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
	{ "another version", RAW("\2\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0") },
	{ "GET_VALUES", RAW("\1\11\0\0\0\21\0\0\16\0FCGI_MAX_CONNS\0") },
	{ "an unknown type", RAW("\1\143\0\0\0\0\0\0") },
	{ "an abort first", RAW("\1\2\0\1\0\0\0\0") },
	{ "an unknown role", RAW("\1\1\0\1\0\10\0\0\0\11\0\0\0\0\0\0\1\4\0\1\0\0\0\0\1\5\0\1\0\0\0\0") },
	{ "an authorizer", RAW("\1\1\0\1\0\10\0\0\0\2\0\0\0\0\0\0\1\4\0\1\0\0\0\0\1\5\0\1\0\0\0\0") },
	{ "a begin of the wrong size", RAW("\1\1\0\1\0\3\0\0\0\1\0") },
	{ "a name longer than memory",
	  RAW("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\10\0\0\377\377\377\376\1AAA") },
	{ "two lengths that overflow together",
	  RAW("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\12\0\0\377\377\377\376\377\377\377\376AA") },
	{ "parameters that end early",
	  RAW("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\2\0\0\16\0\1\4\0\1\0\0\0\0") },
	{ "no parameters", RAW("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\0\0\0\1\5\0\1\0\0\0\0") },
};

void test_broken(void)
{
	struct fcgi_param length[] = { { "REQUEST_METHOD", "POST" },
				       { "DOCUMENT_URI", "/run" },
				       { "CONTENT_LENGTH", "10" } };
	struct fcgi_answer answer = { 0 };
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_LEN(broken); i++) {
		fd = fcgi_connect(run_sock);
		if (send(fd, broken[i].bytes, broken[i].size, MSG_NOSIGNAL) > 0)
			read_answer(fd, &answer, NULL, 300);
		no_answer_left(&answer, &fd);
		check(runs_well(), "a good request after %s", broken[i].name);
	}
	fd = fcgi_connect(run_sock);
	fcgi_send_begin(fd);
	fcgi_send_params(fd, length, ARRAY_LEN(length));
	fcgi_send_record(fd, FCGI_STDIN, "abc", 3);
	fcgi_send_record(fd, FCGI_ABORT, "", 0);
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check((answer.ended || answer.closed) && answer.status != 200, "an abort ends the request");
	no_answer_left(&answer, &fd);
	check(runs_well(), "a good request after an abort");
}

/* Peers that owe us bytes: begun at once, looked at in the end. */
static int stalled[3];

void begin_stalls(void)
{
	struct fcgi_param length[] = { { "REQUEST_METHOD", "POST" },
				       { "DOCUMENT_URI", "/run" },
				       { "CONTENT_LENGTH", "10" } };

	stalled[0] = fcgi_connect(run_sock);
	if (send(stalled[0], "\1\1\0", 3, MSG_NOSIGNAL) != 3)
		abort();
	stalled[1] = fcgi_connect(run_sock);
	fcgi_send_begin(stalled[1]);
	fcgi_send_params(stalled[1], length, ARRAY_LEN(length));
	fcgi_send_record(stalled[1], FCGI_STDIN, "abc", 3);
	stalled[2] = fcgi_connect(run_sock);
}

void end_stalls(void)
{
	static const char *const names[] = { "inside a header", "inside the body", "at once" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(stalled); i++) {
		struct fcgi_answer answer = { 0 };
		read_answer(stalled[i], &answer, NULL, PATIENCE_MS);
		check(answer.closed || answer.ended, "a peer that stalls %s is cut off", names[i]);
		no_answer_left(&answer, &stalled[i]);
	}
}

/* ---- clients that leave, or do not read ---- */

void test_leaving(void)
{
	static const char *const accepts[] = { JSON, "application/x-ndjson" };
	struct fcgi_answer answer = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(accepts); i++) {
		struct ask ask = { .accept = accepts[i], .body = code_of("echo x\\nhang") };
		unsigned before = count_in("run/events", "closed\n"), begun = taken();
		int fd = send_ask(run_sock, &ask);

		wait_for("run/events", "taken\n", begun + 1);
		close_fd(&fd);
		check(wait_for("run/events", "closed\n", before + 1),
		      "a client that leaves ends its run (%s)", accepts[i]);
	}
	{
		struct ask ask = { .accept = "application/x-ndjson",
				   .body = "{\"language\":\"t\",\"code\":\"bytes 8000000\\nhang\","
					   "\"limits\":{\"output_bytes\":8000000}}" };
		unsigned before = count_in("run/events", "closed\n");
		int fd = send_ask(run_sock, &ask);

		check(wait_for("run/events", "closed\n", before + 1),
		      "a reader of a stream that takes nothing ends its run");
		no_answer_left(&answer, &fd);
	}
	check(runs_well(), "a good request after them");
}

void test_heartbeat(void)
{
	struct ask ask = { .accept = "application/x-ndjson", .body = code_of("echo x\\nhang") };
	struct fcgi_answer answer = { 0 };
	int fd = send_ask(run_sock, &ask);

	read_answer(fd, &answer, "}\n\n", PATIENCE_MS);
	check(holds(&answer, "}\n\n") && !answer.ended, "a silent stream sends empty lines");
	check(!strcmp(fcgi_header(&answer, "X-Accel-Buffering"), "no"),
	      "and asks the web server not to hold it back");
	no_answer_left(&answer, &fd);
}

void test_first_chunk(void)
{
	struct ask ask = { .accept = "application/x-ndjson", .body = code_of("echo early\\nhang") };
	struct fcgi_answer answer = { 0 };
	int fd = send_ask(run_sock, &ask);

	read_answer(fd, &answer, "early", PATIENCE_MS);
	check(holds(&answer, "early") && !answer.ended, "a chunk comes before the end");
	no_answer_left(&answer, &fd);
}
