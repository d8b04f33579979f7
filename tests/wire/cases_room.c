/* SPDX-License-Identifier: ISC */
/* More requests than there is room for, and who may ask how much. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/wire/cases.h"
#include "tests/wire/harness.h"

/* ---- more than there is room for ---- */

/* The pool asks again and again for a box, as long as somebody may have to wait. */
static const struct row busy_rows[] = {
	{ "refused: busy", false, { .body = "{\"language\":\"t\",\"code\":\"refuse 3\"}" }, 503, "busy" },
	{ "a stream that is refused", false,
	  { .accept = "application/x-ndjson", .body = "{\"language\":\"t\",\"code\":\"refuse 3\"}" }, 503,
	  "{\"error\":{\"code\":\"busy\"" },
};

void test_busy(void)
{
	struct fcgi_answer answer;

	check_rows(busy_rows, ARRAY_LEN(busy_rows));
	answer = run_code("refuse 3");
	check(atoi(fcgi_header(&answer, "Retry-After")) > 0, "503 says when to try again");
	fcgi_answer_free(&answer);
}

void test_queue(void)
{
	struct ask hang = { .body = code_of("hang") };
	struct fcgi_answer answer;
	unsigned begun = taken();
	uint64_t start_ms;
	int fds[2], tries;
	struct ask health = { .method = "GET", .path = "/health" };
	bool good = false;

	fds[0] = send_ask(run_sock, &hang);
	fds[1] = send_ask(run_sock, &hang);

	wait_for("run/events", "taken\n", begun + 2);
	start_ms = clock_ms();
	answer = run_code("echo no");
	check(answer.status == 503 && holds(&answer, "\"busy\""), "no slot: 503");
	check(clock_ms() - start_ms >= 1900, "only after it had waited");
	if (taken() != begun + 2)
		trouble("%u were taken instead of 2\n", taken() - begun);
	check(taken() == begun + 2, "and nothing ran");
	fcgi_answer_free(&answer);
	answer = ask_at(api_sock, &health);
	check(answer.status == 200 && holds(&answer, "\"running\":2"),
	      "health answers, and says that both run");
	fcgi_answer_free(&answer);
	health.path = "/ready";
	answer = ask_at(api_sock, &health);
	check(answer.status == 200, "a full pool is ready");
	fcgi_answer_free(&answer);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
	for (tries = 0; tries < PATIENCE_MS / 2000 && !good; tries++)
		good = runs_well();
	check(good, "when they left there is room again");
}

void test_key_concurrency(void)
{
	struct ask hang = { .body = code_of("hang"), .more = { { "HTTP_X_API_KEY", "small" } } };
	struct ask more = { .body = code_of("echo x"), .more = { { "HTTP_X_API_KEY", "small" } } };
	struct fcgi_answer answer;
	unsigned begun = taken();
	int fd = send_ask(run_sock, &hang), tries;
	bool freed = false;

	wait_for("run/events", "taken\n", begun + 1);
	answer = ask_at(run_sock, &more);
	check(answer.status == 429 && atoi(fcgi_header(&answer, "Retry-After")) > 0,
	      "a key has no more requests under way than it may have");
	fcgi_answer_free(&answer);
	check(runs_well(), "others are not held up by it");
	close_fd(&fd);
	for (tries = 0; tries < PATIENCE_MS / 20 && !freed; tries++) {
		answer = ask_at(run_sock, &more);
		freed = answer.status == 200;
		fcgi_answer_free(&answer);
		usleep(20000);
	}
	check(freed, "and then it may again");
}

void test_key_reload(void)
{
	struct ask ask = { .body = code_of(""), .more = { { "HTTP_X_API_KEY", "brand-new" } } };
	struct ask wait = { .body = code_of("until known"), .more = { ask.more[0] } };
	char line[128], hash[65];
	struct fcgi_answer answer = ask_at(run_sock, &ask);
	unsigned known = 0, i;
	int fds[4];

	check(answer.status == 401, "a key that is not in the file");
	fcgi_answer_free(&answer);
	hex_of("brand-new", hash);
	snprintf(line, sizeof line, "new:%s:::\n", hash);
	write_keys(line);
	/* by each of the four workers, who are all at work in the same moment */
	for (i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = send_ask(run_sock, &wait);
	await_state("running", 2);
	await_state("waiting", 2);
	let_go("known");
	for (i = 0; i < ARRAY_LEN(fds); i++) {
		read_answer(fds[i], &answer, NULL, PATIENCE_MS);
		known += answer.status == 200;
		no_answer_left(&answer, &fds[i]);
	}
	check(known == ARRAY_LEN(fds), "is known as soon as it is");
	check(wait_for("log", "keys: new is new", 1), "which is in the log");
	write_keys("this is no line\n");
	answer = ask_at(run_sock, &ask);
	check(answer.status == 200, "a broken file changes nothing");
	fcgi_answer_free(&answer);
	write_keys("");
	answer = ask_at(run_sock, &ask);
	check(answer.status == 401, "and out of the file it is refused");
	fcgi_answer_free(&answer);
}
