/* SPDX-License-Identifier: ISC */
/* The parts of the pool that need no process: origins, keys, class names, versions,
 * and what the workers share. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "fcgi/keys.h"
#include "fcgi/keys_shared.h"
#include "fcgi/main_class.h"
#include "fcgi/metrics.h"
#include "fcgi/origin.h"
#include "fcgi/versions.h"
#include "tests/tap.h"

/* ---- origins ---- */

static const struct {
	const char *name;
	struct origin from;
	bool allowed;
} origins[] = {
	{ "no browser", { NULL, NULL, "here", "80" }, true },
	{ "our own page", { "same-origin", "http://here", "here", "80" }, true },
	{ "typed by hand", { "none", NULL, "here", "80" }, true },
	{ "an older browser, our own page", { NULL, "http://here:8080", "here:8080", "8080" }, true },
	{ "behind TLS", { NULL, "https://here", "here", "80" }, true },
	{ "another case", { NULL, "HTTPS://HERE", "here", "80" }, true },
	{ "the usual port, written out", { NULL, "https://here", "here:443", "443" }, true },
	{ "a host without port", { NULL, "http://here:8080", "here", "8080" }, true },
	{ "an address in brackets", { NULL, "http://[::1]:8080", "[::1]:8080", "8080" }, true },
	{ "an address in brackets, no port", { NULL, "http://[::1]", "[::1]", "80" }, true },
	{ "a listed one", { "cross-site", "https://friend.example", "here", "80" }, true },
	{ "another site", { "cross-site", "https://evil.example", "here", "80" }, false },
	{ "another site, older browser", { NULL, "https://evil.example", "here", "80" }, false },
	{ "another site, no origin", { "cross-site", NULL, "here", "80" }, false },
	{ "a sister", { "same-site", "https://there.example", "here.example", "80" }, false },
	{ "another port", { NULL, "http://here:8081", "here:8080", "8080" }, false },
	{ "another port of a host without", { NULL, "http://here:8081", "here", "8080" }, false },
	{ "a longer name", { NULL, "http://here.evil", "here", "80" }, false },
	{ "a shorter name", { NULL, "http://her", "here", "80" }, false },
	{ "no origin at all", { NULL, "null", "here", "80" }, false },
	{ "another scheme", { NULL, "file://here", "here", "80" }, false },
	{ "an empty origin", { NULL, "", "here", "80" }, false },
	{ "no host", { NULL, "http://here", NULL, "80" }, false },
	{ "an empty host", { NULL, "http://", "", "80" }, false },
};

static void test_origins(void)
{
	char friend[] = "https://friend.example";
	char *const listed[] = { friend, NULL };
	size_t i;

	for (i = 0; i < ARRAY_LEN(origins); i++)
		tap_ok(origin_allowed(&origins[i].from, listed) == origins[i].allowed, "origin: %s",
		       origins[i].name);
}

/* ---- keys ---- */

#define HASH "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b" /* secret */

static const struct {
	const char *name, *text;
	int count; /* -1: refused */
} keys_texts[] = {
	{ "an empty file", "", 0 },
	{ "remarks", "# one\n\n# two", 0 },
	{ "a key", "a:" HASH ":::\n", 1 },
	{ "no line end", "a:" HASH ":::", 1 },
	{ "all of it", "a.b_c@d-1:" HASH ":/run,/api/execute:memory=64MiB,wall=500ms,processes=3:2\n", 1 },
	{ "two", "a:" HASH ":::\nb:" HASH ":::\n", 2 },
	{ "the same name twice", "a:" HASH ":::\na:" HASH ":::\n", -1 },
	{ "too few fields", "a:" HASH "::\n", -1 },
	{ "too many fields", "a:" HASH "::::\n", -1 },
	{ "no name", ":" HASH ":::\n", -1 },
	{ "a name with a blank", "a b:" HASH ":::\n", -1 },
	{ "a short hash", "a:2bb8:::\n", -1 },
	{ "a hash in capitals",
	  "a:2BB80D537B1DA3E38BD30361AA855686BDE0EACD7162FEF6A25FE97BF527A25B:::\n", -1 },
	{ "a path without a slash", "a:" HASH ":run::\n", -1 },
	{ "a comma too many", "a:" HASH ":/run,::\n", -1 },
	{ "an unknown limit", "a:" HASH "::speed=1:\n", -1 },
	{ "a limit without value", "a:" HASH "::memory:\n", -1 },
	{ "a limit of nothing", "a:" HASH "::memory=0:\n", -1 },
	{ "a cap of nothing", "a:" HASH ":::0\n", -1 },
	{ "a cap that is none", "a:" HASH ":::x\n", -1 },
	{ "a carriage return", "a:" HASH ":::\r\n", -1 },
};

static void test_keys(void)
{
	const struct key *key;
	struct limits_policy policy = limits_policy_default;
	struct keys keys = { 0 };
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys_texts); i++) {
		int rc = keys_parse(keys_texts[i].text, strlen(keys_texts[i].text), &keys, &err);

		tap_ok(keys_texts[i].count < 0 ? rc < 0 && strstr(err.text, "line ")
					       : rc == 0 && keys.count == (size_t)keys_texts[i].count,
		       "keys: %s", keys_texts[i].name);
		keys_free(&keys);
	}
	tap_ok(keys_parse("a\0b", 3, &keys, &err) < 0, "keys: a NUL byte");
	if (keys_parse(keys_texts[4].text, strlen(keys_texts[4].text), &keys, &err) < 0)
		abort();
	key = keys_find(&keys, "secret");
	tap_ok(key && !strcmp(key->name, "a.b_c@d-1") && key->concurrency == 2, "the key is found");
	tap_ok(!keys_find(&keys, "Secret") && !keys_find(&keys, "") && !keys_find(&keys, HASH),
	       "others are not, nor is its hash one");
	tap_ok(key_allows(key, "/run") && key_allows(key, "/api/execute") &&
		       !key_allows(key, "/api") && !key_allows(key, "/api/languages") &&
		       !key_allows(key, ""),
	       "it is for its paths only");
	key_lower(key, &policy);
	tap_ok(policy.max.memory_bytes == 64 << 20 && policy.max.wall_ms == 500 &&
		       policy.max.processes == 3 &&
		       policy.max.cpu_ms == limits_policy_default.max.cpu_ms,
	       "it lowers the maxima it names");
	keys_free(&keys);
	if (keys_parse("a:" HASH "::memory=64GiB,wall=1ms:\n",
		       strlen("a:" HASH "::memory=64GiB,wall=1ms:\n"), &keys, &err) < 0)
		abort();
	policy = limits_policy_default;
	key_lower(&keys.key[0], &policy);
	tap_ok(policy.max.memory_bytes == limits_policy_default.max.memory_bytes &&
		       policy.max.wall_ms == policy.min.wall_ms,
	       "never above the server's, nor below the least");
	tap_ok(key_allows(&keys.key[0], "/anything"), "without paths it is for all");
	keys_free(&keys);
}

/* ---- keys that the workers share ---- */

static void must_parse(const char *text, struct keys *ret_keys)
{
	struct error err = ERROR_INIT;

	if (keys_parse(text, strlen(text), ret_keys, &err) < 0)
		abort();
	ret_keys->loaded = true;
}

static int in_child(int (*work)(const struct keys_shared *shared),
		    const struct keys_shared *shared)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(work(shared));
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status)
		       ? WEXITSTATUS(status)
		       : -1;
}

/* 0 when all that a worker could try to let a key in fails. */
static int write_anyway(const struct keys_shared *shared)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *map = (void *)(uintptr_t)shared->map;
	unsigned char resident;

	if (mprotect(map, page, PROT_READ | PROT_WRITE) == 0 || errno != EACCES)
		return 1;
	if (mincore(shared->writable, page, &resident) == 0 || errno != ENOMEM)
		return 2;
	return 0;
}

/* 0 when the key is always there while the others come and go. */
static int look_for_ever(const struct keys_shared *shared)
{
	struct key key;
	unsigned i;

	for (i = 0; i < 20000; i++)
		if (keys_shared_find(shared, "secret", &key) != 1 || strcmp(key.name, "own") != 0 ||
		    keys_shared_find(shared, "Secret", &key) != 0)
			return 1;
	return 0;
}

static void test_shared_keys(void)
{
	char many[40 * 80] = "";
	struct keys few = { 0 }, more = { 0 }, none = { .loaded = true };
	struct keys_shared shared = { 0 };
	struct error err = ERROR_INIT;
	struct key key;
	size_t at = 0;
	unsigned i;
	int status;
	pid_t pid;

	for (i = 0; i < 40; i++)
		at += (size_t)snprintf(many + at, sizeof many - at, "n%u:%064x:::\n", i, i);
	snprintf(many + at, sizeof many - at, "own:" HASH ":/run::2\n");
	must_parse("own:" HASH ":::\n", &few);
	must_parse(many, &more);
	tap_ok(keys_shared_find(&shared, "secret", &key) < 0, "no keys where there is no map");
	if (keys_shared_make(&shared, &err) < 0)
		abort();
	tap_ok(keys_shared_find(&shared, "secret", &key) < 0, "no key is good before a file was read");
	keys_shared_put(&shared, &few);
	tap_ok(keys_shared_find(&shared, "secret", &key) == 1 && !strcmp(key.name, "own") &&
		       key.concurrency == 0 && keys_shared_find(&shared, "", &key) == 0,
	       "those that were put are found");
	keys_shared_await(&shared, "/no/such/file");
	tap_ok(in_child(write_anyway, &shared) == 0, "a child can only read them");
	pid = fork();
	if (pid == 0)
		_exit(look_for_ever(&shared));
	/* often enough to fall into many of the looks, and not so often that none is left alone */
	for (i = 0; waitpid(pid, &status, WNOHANG) == 0; i++) {
		keys_shared_put(&shared, i % 2 ? &few : &more);
		usleep(1);
	}
	tap_note("%u changes", i);
	tap_ok(status == 0 && i > 0, "a change is seen whole or not at all");
	keys_shared_put(&shared, &more);
	tap_ok(keys_shared_find(&shared, "secret", &key) == 1 && key.concurrency == 2,
	       "the last ones are in force");
	keys_shared_put(&shared, &none);
	tap_ok(keys_shared_find(&shared, "secret", &key) == 0, "an empty file lets nobody in");
	keys_shared_free(&shared);
	keys_free(&few);
	keys_free(&more);
}

/* ---- class names ---- */

static const struct {
	const char *source, *name;
} classes[] = {
	{ "", "" },
	{ "public class Foo {}", "Foo" },
	{ "class A {} public class B {}", "B" },
	{ "class A { void x(){} } class B { public static void main(String[] a) {} }", "B" },
	{ "class A {} class B {}", "A" },
	{ "package p;\nimport java.util.*;\n@Deprecated public final class Foo<T> extends X {", "Foo" },
	{ "// public class No {}\n/* public class No {} */ class Yes {}", "Yes" },
	{ "class A { String s = \"public class No {}\"; char c = '\"'; }", "A" },
	{ "class A { String s = \"\"\"\n public class No { \"quoted\" \"\"\"; } class B {}", "A" },
	{ "class A { public class Inner {} public static void main(String[] a) {} }", "A" },
	{ "public interface I {}", "I" },
	{ "public enum E { A }", "E" },
	{ "public record R(int a) {}", "R" },
	{ "class A { int main; } class B { static void main() {} }", "B" },
	{ "public class ../../x {}", "" },
	{ "public class", "" },
	{ "class \"", "" },
	{ "'", "" },
	{ "/*", "" },
};

static void test_classes(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(classes); i++) {
		struct bytes name =
			main_class((struct bytes){ classes[i].source, strlen(classes[i].source) });

		tap_ok(name.size == strlen(classes[i].name) &&
			       !memcmp(name.data ? name.data : "", classes[i].name, name.size),
		       "class of %zu: \"%s\"", i, classes[i].name);
	}
}

/* ---- versions ---- */

static const struct {
	const char *said, *version;
} versions[] = {
	{ "", "" },
	{ "Python 3.11.2\n", "3.11.2" },
	{ "12.2.0", "12.2.0" },
	{ "v20.19.2\n", "20.19.2" },
	{ "openjdk version \"17.0.11\" 2024-04-16\n", "17.0.11" },
	{ "Lua 5.4.4  Copyright (C) 1994-2022 Lua.org, PUC-Rio\n", "5.4.4" },
	{ "ruby 3.1.2p20 (2022-04-12 revision 4491bb740a) [x86_64-linux-gnu]", "3.1.2p20" },
	{ "GNU bash, version 5.2.15(1)-release (x86_64-pc-linux-gnu)", "5.2.15" },
	{ "0.5.12-2\n", "0.5.12-2" },
	{ "jq-1.6\n", "1.6" },
	{ "go version go1.19.8 linux/amd64\n", "1.19.8" },
	{ "This is perl 5, version 36, subversion 0 (v5.36.0) built for x86_64", "5.36.0" },
	{ "version 7\n", "7" },
	{ "no number here", "" },
	{ "x86_64 3.1.", "3.1" },
	{ "....", "" },
	{ "1.\377", "1" },
};

static void test_versions(void)
{
	char text[VERSIONS_TEXT];
	char longest[200];
	size_t i;

	for (i = 0; i < ARRAY_LEN(versions); i++) {
		versions_extract(versions[i].said, strlen(versions[i].said), text);
		if (!tap_ok(!strcmp(text, versions[i].version), "version \"%s\"",
			    versions[i].version))
			tap_note("got \"%s\"", text);
	}
	memset(longest, '1', sizeof longest);
	versions_extract(longest, sizeof longest, text);
	tap_ok(strlen(text) == VERSIONS_TEXT - 1, "a version is cut to its room");
}

/* ---- what is shared ---- */

static int write_nothing(void *data, const char *bytes, size_t size)
{
	(void)bytes;
	*(size_t *)data += size;
	return 0;
}

static void test_metrics(void)
{
	enum { WORKERS = 20, CAP = 3, ROUNDS = 200 };
	struct error err = ERROR_INIT;
	struct metrics *m = metrics_new(&err);
	struct versions *v = versions_new(&err);
	size_t rows[WORKERS], i, size = 0;
	unsigned inside = 0;
	struct sink sink = { write_nothing, &size };
	const char *const routes[] = { "/run", NULL };
	struct metrics_names names = { "1", routes, v, 2 };
	struct metrics_glance glance;
	bool last;
	int broken = 0, status;

	if (!m || !v)
		abort();
	for (i = 0; i < WORKERS; i++)
		rows[i] = metrics_row_take(m, WORKER_RUN);
	for (i = 0; i < WORKERS; i++)
		inside += metrics_key_enter(m, rows[i], 7, CAP);
	tap_ok(inside == CAP, "so many of one key, and no more");
	tap_ok(metrics_key_enter(m, rows[WORKERS - 1], 8, 1), "another key is another matter");
	metrics_row_clear(m, rows[0]);
	rows[0] = metrics_row_take(m, WORKER_RUN);
	tap_ok(metrics_key_enter(m, rows[0], 7, CAP), "the place of a dead one is free");
	for (i = 0; i < WORKERS; i++)
		metrics_key_leave(m, rows[i]);
	/* many at once: whoever is inside counts himself in a counter of his own */
	for (i = 0; i < 6; i++)
		if (fork() == 0) {
			unsigned round, refused = 0;

			for (round = 0; round < ROUNDS; round++) {
				if (!metrics_key_enter(m, rows[i], 9, 6)) {
					refused++;
					continue;
				}
				metrics_key_leave(m, rows[i]);
			}
			_exit(refused != 0);
		}
	while (wait(&status) > 0)
		broken += status != 0;
	tap_ok(broken == 0, "six at once, where six may be, are never refused");
	metrics_state(m, rows[1], WORKER_RUNNING);
	metrics_glance(m, &glance);
	tap_ok(glance.workers[WORKER_RUN][WORKER_RUNNING] == 1 &&
		       glance.workers[WORKER_RUN][WORKER_IDLE] == WORKERS - 1,
	       "a glance");
	tap_ok(metrics_ran_well_ago_ms(m) == UINT64_MAX, "nothing ran yet");
	metrics_ran_well(m);
	tap_ok(metrics_ran_well_ago_ms(m) < 1000, "something ran");
	tap_ok(metrics_canary_begin(m, &last) && !metrics_canary_begin(m, &last), "one canary at a time");
	metrics_canary_end(m, true);
	tap_ok(!metrics_canary_begin(m, &last) && last, "whose answer is good for a while");
	tap_ok(metrics_write(m, &names, &sink) == 0 && size > 1000, "all of it as text");
}

int main(void)
{
	test_origins();
	test_keys();
	test_shared_keys();
	test_classes();
	test_versions();
	test_metrics();
	return tap_done();
}
