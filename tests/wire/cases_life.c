/* SPDX-License-Identifier: ISC */
/* Deaths, reloads and ends. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/wire/cases.h"
#include "tests/wire/harness.h"

/* ---- deaths ---- */

void test_worker_death(void)
{
	struct ask hang = { .body = code_of("hang") };
	struct fcgi_answer answer = { 0 };
	unsigned begun = taken(), closed = count_in("run/events", "closed\n");
	int fd = send_ask(run_sock, &hang);
	struct ask metrics = { .method = "GET", .path = "/metrics" };
	pid_t pids[16];
	size_t count;

	wait_for("run/events", "taken\n", begun + 1);
	/* one of them has it */
	count = find_workers("sandpool-run", pids, ARRAY_LEN(pids));
	while (count > 0)
		kill(pids[--count], SIGKILL);
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check(answer.closed && answer.status == 0, "a killed worker's request breaks off");
	no_answer_left(&answer, &fd);
	check(wait_for("run/events", "closed\n", closed + 1), "its run is ended");
	check(taken() == begun + 1, "and not run again");
	check(runs_well(), "others take its place");
	answer = ask_at(api_sock, &metrics);
	check(holds(&answer, "sandpool_runs_total{language=\"t\",verdict=\"success\"}"),
	      "the counters outlive it");
	fcgi_answer_free(&answer);
	/* who answered last is done a moment after its answer came */
	check(await_state("running", 0), "what it was doing does not");
}

void test_sandboxd_down(void)
{
	struct fcgi_answer answer;
	bool good = false;
	int tries;

	stop_fake();
	answer = run_code("echo x");
	check(answer.status == 503 && holds(&answer, "nothing ran"), "without a sandboxd: 503");
	fcgi_answer_free(&answer);
	start_fake("2");
	for (tries = 0; tries < PATIENCE_MS / 2000 && !good; tries++)
		good = runs_well();
	check(good, "and with one again it runs");
}

void test_other_languages(void)
{
	struct ask ask = { .body = "{\"language\":\"new\",\"code\":\"echo x\"}" };
	struct fcgi_answer answer = ask_at(run_sock, &ask);
	bool known_now = false;
	int tries;

	check(answer.status == 422, "a language that is not there");
	fcgi_answer_free(&answer);
	stop_fake();
	write_text("languages/new.lang",
		   "id = \"new\"; name = \"New\"; file = \"main.n\"; run = [ \"n\" ];\n");
	start_fake("2");
	check(runs_well(), "sandboxd has other languages: the worker reads them again");
	/* each worker finds out for itself, and asks no more than once a second */
	for (tries = 0; tries < PATIENCE_MS / 50 && !known_now; tries++) {
		answer = ask_at(run_sock, &ask);
		known_now = answer.status == 200;
		fcgi_answer_free(&answer);
		if (!known_now)
			usleep(50000);
	}
	check(known_now, "and the new one runs");
}

/* ---- the master ---- */

/* They are asked in the order of their names, so that "b" had its turn before "t". A
 * fake that is started anew has written no event yet. */
void test_version_again(void)
{
	stop_fake();
	write_text("languages/t.lang",
		   "id = \"t\"; name = \"Test\"; file = \"main.t\"; aliases = [ \"tee\" ];\n"
		   "version = [ \"t\", \"--version\" ]; run = [ \"t\" ];\n"
		   "example = { code = \"echo good\\n\"; output = \"good\\n\"; };\n");
	write_text("run/slow", "%s", "");
	start_fake("2");
	kill(pool_pid, SIGHUP);
	check(wait_for("run/events", "version t\n", 1),
	      "a language whose file changed is asked again for its version");
	check(wait_for("run/events", "version t\n", 2), "and once more when it was too slow");
	check(count_in("run/events", "version b\n") == 0, "and no other");
}

void test_reload(void)
{
	struct ask slow = { .body = code_of("until reloaded\\necho slow") };
	struct fcgi_answer answer = { 0 };
	unsigned begun = taken(), reloads = count_in("log", "reloaded:"), bad = 0, i;
	int fd = send_ask(run_sock, &slow);
	pid_t old;

	wait_for("run/events", "taken\n", begun + 1);
	old = await_worker("sandpool-api");
	write_conf(&(struct conf){ .queue = 4 });
	kill(pool_pid, SIGHUP);
	for (i = 0; i < 50; i++)
		bad += !runs_well();
	check(bad == 0, "a reload loses no request");
	check(wait_for("log", "reloaded:", reloads + 1), "it is reloaded");
	let_go("reloaded");
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check(answer.status == 200 && holds(&answer, "slow"), "what was under way ends well");
	no_answer_left(&answer, &fd);
	check(old && goes(old), "the old workers are gone");
	write_text("sandpool.conf", "nonsense = 1;\n");
	kill(pool_pid, SIGHUP);
	check(wait_for("log", "going on as before", 1) && runs_well(),
	      "a broken configuration changes nothing");
	write_conf(&(struct conf){ 0 });
}

/* It has heard that it shall stop: nobody can connect any more. */
static bool closes(void)
{
	int tries, fd;

	for (tries = 0; tries < PATIENCE_MS / 20; tries++) {
		fd = fcgi_connect(run_sock);
		if (fd < 0)
			return true;
		close_fd(&fd);
		usleep(20000);
	}
	return false;
}

void test_drain(void)
{
	struct ask slow = { .body = code_of("until drained\\necho slow") };
	struct fcgi_answer answer = { 0 };
	unsigned begun = taken();
	int fd = send_ask(run_sock, &slow);

	wait_for("run/events", "taken\n", begun + 1);
	kill(pool_pid, SIGQUIT);
	check(closes(), "a pool that stops takes nothing new");
	let_go("drained");
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check(answer.status == 200 && holds(&answer, "slow"), "what was under way ends well");
	no_answer_left(&answer, &fd);
	check(wait_end(pool_pid, PATIENCE_MS) == 0, "then it leaves");
}

/* A new pool, in which this is under way. */
static int under_way(const struct conf *conf, const struct ask *ask)
{
	unsigned begun = taken();
	int fd;

	write_conf(conf);
	start_pool();
	fd = send_ask(run_sock, ask);
	wait_for("run/events", "taken\n", begun + 1);
	return fd;
}

void test_drain_limit(void)
{
	struct ask hang = { .accept = "application/x-ndjson", .body = code_of("echo x\\nhang") };
	struct fcgi_answer answer = { 0 };
	int fd = under_way(&(struct conf){ .drain = "500ms" }, &hang);

	kill(pool_pid, SIGTERM);
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check(answer.ended && holds(&answer, "\"status\":\"cancelled\""),
	      "a stream that takes too long to end is ended, and told so");
	no_answer_left(&answer, &fd);
	check(wait_end(pool_pid, PATIENCE_MS) == 0, "then the pool leaves");
}

void test_kill(void)
{
	struct ask hang = { .body = code_of("hang") };
	struct fcgi_answer answer = { 0 };
	int fd = under_way(&(struct conf){ 0 }, &hang);

	kill(pool_pid, SIGTERM);
	check(closes() && wait_end(pool_pid, 300) == -1,
	      "the first SIGTERM waits for what is under way");
	kill(pool_pid, SIGTERM);
	check(wait_end(pool_pid, PATIENCE_MS) == 1, "the second does not");
	no_answer_left(&answer, &fd);
}

void test_master_death(void)
{
	struct ask hang = { .body = code_of("hang") };
	struct fcgi_answer answer = { 0 };
	int fd = under_way(&(struct conf){ 0 }, &hang);

	check(wait_end(begin_pool(), PATIENCE_MS) == 1,
	      "a second pool beside the first does not start");
	kill(pool_pid, SIGKILL);
	wait_end(pool_pid, PATIENCE_MS);
	check(start_pool() && runs_well(),
	      "after a killed master the next one takes over, whoever is still at work");
	check(kill(pool_pid, 0) == 0, "and lives");
	no_answer_left(&answer, &fd);
	check(stop_pool(SIGTERM) == 0, "until it is stopped");
}

void test_recycling(void)
{
	unsigned bad = 0, i;
	pid_t before;

	write_conf(&(struct conf){ .worker_requests = 5 });
	start_pool();
	before = await_worker("sandpool-run");
	for (i = 0; i < 60; i++)
		bad += !runs_well();
	check(bad == 0, "workers that are replaced lose no request");
	check(before && goes(before) && await_worker("sandpool-run"), "they are replaced");
	check(count_in("log", "died") == count_in("log", "died of signal 9") +
						  count_in("log", "died of signal 6"),
	      "nobody died but those who were killed");
	check(stop_pool(SIGTERM) == 0, "an idle pool leaves at once");
}
