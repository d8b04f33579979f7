/* SPDX-License-Identifier: ISC */
/* Good and bad requests, and what their answers, their heads and the log say. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "tests/wire/cases.h"
#include "tests/wire/harness.h"

/* ---- tables of cases ---- */

static const struct row rows[] = {
	{ "health", true, { .method = "GET", .path = "/health" }, 200, "\"status\":\"ok\"" },
	{ "health has the slots", true, { .method = "GET", .path = "/health" }, 200, "\"slots\":2" },
	{ "ready runs a canary", true, { .method = "GET", .path = "/ready" }, 200, "ready" },
	{ "languages", true, { .method = "GET", .path = "/api/languages" }, 200, "\"id\":\"t\"" },
	{ "languages have limits", true, { .method = "GET", .path = "/api/languages" }, 200,
	  "\"compile\":{\"wall_ms\":30000" },
	{ "system", true, { .method = "GET", .path = "/api/system" }, 200, "\"cgroup\":\"v2\"" },
	{ "metrics", true, { .method = "GET", .path = "/metrics" }, 200, "sandpool_build_info{version=" },
	{ "a run", false, { .body = "{\"language\":\"t\",\"code\":\"echo hi\\nerr oh\"}" }, 200,
	  "\"stdout\":\"hi\\n\",\"stderr\":\"oh\\n\"" },
	{ "an alias", false, { .body = "{\"language\":\"tee\",\"code\":\"echo hi\"}" }, 200,
	  "\"language\":\"t\"" },
	{ "below a prefix", false, { .path = "/a/b/run", .body = "{\"language\":\"t\",\"code\":\"\"}" },
	  200, "success" },
	{ "input", false, { .body = "{\"language\":\"t\",\"code\":\"cat\",\"input\":\"in\"}" }, 200,
	  "\"stdout\":\"in\"" },
	{ "arguments", false,
	  { .body = "{\"language\":\"t\",\"code\":\"words\",\"arguments\":[\"a b\",\"$c\"]}" }, 200,
	  "\"stdout\":\"a b\\n$c\\n\"" },
	{ "exit code", false, { .body = "{\"language\":\"t\",\"code\":\"exit 7\"}" }, 200,
	  "\"exit_code\":7" },
	{ "signal", false, { .body = "{\"language\":\"t\",\"code\":\"signal 11\"}" }, 200,
	  "\"SIGSEGV\"" },
	{ "wall", false, { .body = "{\"language\":\"t\",\"code\":\"cause 1\"}" }, 200,
	  "\"status\":\"timeout\"" },
	{ "memory", false, { .body = "{\"language\":\"t\",\"code\":\"cause 3\"}" }, 200,
	  "\"status\":\"memory_limit\"" },
	{ "a class names its file", false,
	  { .body = "{\"language\":\"k\",\"code\":\"names\\npublic class Foo {}\"}" }, 200,
	  "\"stdout\":\"Foo.k\\n\"" },
	{ "no class, the usual name", false, { .body = "{\"language\":\"k\",\"code\":\"names\"}" },
	  200, "\"stdout\":\"Main.k\\n\"" },
	{ "files keep their names", false,
	  { .body = "{\"language\":\"t\",\"files\":[{\"name\":\"x.t\",\"content\":\"names\"},"
		    "{\"name\":\"d/y\",\"content\":\"\"}]}" },
	  200, "\"stdout\":\"x.t\\nd/y\\n\"" },
	{ "collected files", false,
	  { .body = "{\"language\":\"t\",\"code\":\"file a one\",\"collect\":[\"a\",\"b\"]}" }, 200,
	  "\"content\":\"one\"" },
	{ "collect and tests", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\",\"collect\":[\"a\"],\"tests\":[{\"input\":\"\"}]}" },
	  400, "collect" },
	{ "built, then run in its tree", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build echo made\\necho ran\\nnames\"}" }, 200,
	  "\"stdout\":\"ran\\nmain.b\\n\"" },
	{ "compile error", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build err bad\\nbuild exit 1\\necho ran\"}" }, 200,
	  "\"status\":\"compile_error\"" },
	{ "tests", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build echo made\\ncat\",\"tests\":["
		    "{\"input\":\"1\",\"expected\":\"1\"},{\"input\":\"2\",\"expected\":\"3\"}]}" },
	  200, "\"status\":\"wrong_answer\"" },
	{ "execute", false,
	  { .path = "/api/execute",
	    .body = "{\"language\":\"t\",\"code\":\"echo hi\"}",
	    .more = { { "HTTP_X_API_KEY", "all-of-it" } } },
	  200, "\"output\":\"hi\\n\"" },
	{ "execute, unknown language", false,
	  { .path = "/api/execute",
	    .body = "{\"language\":\"nope\",\"code\":\"\"}",
	    .more = { { "HTTP_X_API_KEY", "all-of-it" } } },
	  400, "\"error\":\"" },
	{ "execute without a key", false,
	  { .path = "/api/execute", .body = "{\"language\":\"t\",\"code\":\"\"}" }, 401,
	  "\"error\":\"" },
	{ "a wrong key", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}",
	    .more = { { "HTTP_X_API_KEY", "all-of-i" } } },
	  401, "\"unauthorized\"" },
	{ "a key for another path", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}",
	    .more = { { "HTTP_X_API_KEY", "only-languages" } } },
	  403, "\"forbidden\"" },
	{ "a key's own limits", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\",\"limits\":{\"memory_bytes\":134217728}}",
	    .more = { { "HTTP_X_API_KEY", "small" } } },
	  400, "67108864" },
	{ "a key's own limits lower the defaults", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}",
	    .more = { { "HTTP_X_API_KEY", "small" } } },
	  200, "\"wall_ms\":2000" },
	{ "another site's form", false,
	  { .type = "application/x-www-form-urlencoded",
	    .body = "language=t&code=",
	    .more = { { "HTTP_ORIGIN", "https://evil.example" }, { "HTTP_HOST", "here.example" } } },
	  403, "origin" },
	{ "a friend's form", false,
	  { .type = "application/x-www-form-urlencoded",
	    .body = "language=t&code=echo+f",
	    .more = { { "HTTP_ORIGIN", "https://friend.example" }, { "HTTP_HOST", "here.example" } } },
	  200, "\"stdout\":\"f\\n\"" },
	{ "no such path", false, { .path = "/nothing" }, 404, "not_found" },
	{ "a path that hides another", false, { .path = "/run/..;" }, 404, "not_found" },
	{ "a doubled slash in front", false, { .path = "/a//run" }, 404, "not_found" },
	{ "dots in front", false, { .path = "/../run" }, 404, "not_found" },
	{ "GET of a run", false, { .method = "GET", .path = "/run" }, 405, "POST" },
	{ "POST of health", true, { .method = "POST", .path = "/health" }, 405, "GET" },
	{ "an encoding of the body", false,
	  { .body = "{}", .more = { { "HTTP_CONTENT_ENCODING", "gzip" } } }, 415, "unsupported" },
	{ "nothing acceptable", false,
	  { .accept = "image/png", .body = "{\"language\":\"t\",\"code\":\"\"}" }, 406, "acceptable" },
	{ "unknown language", false, { .body = "{\"language\":\"nope\",\"code\":\"\"}" }, 422,
	  "unknown_language" },
	{ "a language that is not installed", false, { .body = "{\"language\":\"gone\",\"code\":\"\"}" },
	  422, "not installed" },
	{ "no JSON", false, { .body = "{" }, 400, "\"code\":" },
	{ "no body", false, { .body = "" }, 400, "\"code\":" },
	{ "a shorter body than declared", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}", .more = { { "CONTENT_LENGTH", "100" } } },
	  400, "length" },
	{ "a longer body than declared", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}", .more = { { "CONTENT_LENGTH", "10" } } }, 400,
	  "length" },
	{ "a length that is none", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}", .more = { { "CONTENT_LENGTH", "-1" } } }, 400,
	  "Content-Length" },
	{ "no length", false,
	  { .body = "{\"language\":\"t\",\"code\":\"echo hi\"}", .more = { { "CONTENT_LENGTH", "" } } },
	  200, "hi" },
	{ "a length beyond the limit", false,
	  { .body = "{}", .more = { { "CONTENT_LENGTH", "2000000" } } }, 413, "1048576" },
	{ "denied code", false, { .body = "{\"language\":\"d\",\"code\":\"x = FORBIDDEN (1)\"}" }, 400,
	  "potentially dangerous" },
	{ "code that is not denied", false, { .body = "{\"language\":\"d\",\"code\":\"forbidden\"}" },
	  200, "success" },
	{ "refused: protocol", false, { .body = "{\"language\":\"t\",\"code\":\"refuse 1\"}" }, 500,
	  "internal_error" },
	{ "refused: ours", false, { .body = "{\"language\":\"t\",\"code\":\"refuse 6\"}" }, 500,
	  "internal_error" },
	{ "dies midway", false, { .body = "{\"language\":\"t\",\"code\":\"die\"}" }, 500, "\"lost\"" },
	{ "talks nonsense", false, { .body = "{\"language\":\"t\",\"code\":\"nonsense\\nhang\"}" }, 500,
	  "\"lost\"" },
	{ "dies after the build", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build echo x\\ndie\"}" }, 500, "\"lost\"" },
	{ "refused after the build", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build echo x\\nrefuse 3\"}" }, 500, "\"lost\"" },
	{ "dies in the first test", false,
	  { .body = "{\"language\":\"t\",\"code\":\"when a die\",\"tests\":[{\"input\":\"a\"},"
		    "{\"input\":\"b\"}]}" },
	  500, "\"lost\"" },
	{ "dies in the second test", false,
	  { .body = "{\"language\":\"t\",\"code\":\"when b die\",\"tests\":[{\"input\":\"a\"},"
		    "{\"input\":\"b\"},{\"input\":\"c\"}]}" },
	  200, "\"status\":\"internal_error\"" },
	{ "and the third is skipped", false,
	  { .body = "{\"language\":\"t\",\"code\":\"when b die\",\"tests\":[{\"input\":\"a\"},"
		    "{\"input\":\"b\"},{\"input\":\"c\"}]}" },
	  200, "\"status\":\"skipped\"" },
	{ "the time is over at the second test", false,
	  { .body = "{\"language\":\"t\",\"code\":\"when b hang\",\"tests\":[{\"input\":\"a\"},"
		    "{\"input\":\"b\"},{\"input\":\"c\"}],\"limits\":{\"total_ms\":300}}" },
	  200, "\"status\":\"skipped\"" },
	{ "the whole request's time", false,
	  { .body = "{\"language\":\"t\",\"code\":\"hang\",\"limits\":{\"total_ms\":300}}" }, 200,
	  "\"status\":\"timeout\"" },
	{ "the output's limit", false,
	  { .body = "{\"language\":\"t\",\"code\":\"bytes 3000000\",\"limits\":{\"output_bytes\":1000}}" },
	  200, "\"status\":\"output_limit\"" },
	{ "raw output", false,
	  { .accept = "text/plain", .body = "{\"language\":\"t\",\"code\":\"echo raw\"}" }, 200, "raw\n" },
	{ "a page", false, { .accept = "text/html", .body = "{\"language\":\"t\",\"code\":\"\"}" }, 200,
	  "<!doctype html>" },
	{ "msgpack", false,
	  { .accept = "application/msgpack", .body = "{\"language\":\"t\",\"code\":\"echo m\"}" }, 200,
	  "m\n" },
	{ "an error in msgpack", false,
	  { .accept = "application/msgpack", .body = "{\"language\":\"nope\",\"code\":\"\"}" }, 422,
	  "\xa5"
	  "error" },
	{ "events by line", false,
	  { .accept = "application/x-ndjson", .body = "{\"language\":\"t\",\"code\":\"echo e\"}" }, 200,
	  "\n{\"stdout\":\"e\\n\"}\n" },
	{ "events from the server", false,
	  { .accept = "text/event-stream", .body = "{\"language\":\"t\",\"code\":\"echo e\"}" }, 200,
	  "data: {\"stdout\":\"e\\n\"}" },
	{ "a stream that breaks", false,
	  { .accept = "application/x-ndjson", .body = "{\"language\":\"t\",\"code\":\"echo e\\ndie\"}" },
	  200, "{\"error\":{\"code\":\"lost\"" },
	{ "a stream of tests", false,
	  { .accept = "application/x-ndjson",
	    .body = "{\"language\":\"t\",\"code\":\"cat\",\"tests\":[{\"input\":\"1\",\"expected\":\"1\"},"
		    "{\"input\":\"2\",\"expected\":\"3\"}]}" },
	  200, "\"status\":\"wrong_answer\"" },
};

void test_rows(void)
{
	check_rows(rows, ARRAY_LEN(rows));
}

/* ---- heads ---- */

void test_heads(void)
{
	struct ask with_id = { .body = code_of(""),
			       .more = { { "REQUEST_ID", "0123456789abcdef0123456789abcdef" } } };
	struct ask with_bad_id = { .body = code_of(""), .more = { { "REQUEST_ID", "me\r\nX: y" } } };
	struct ask head = { .method = "HEAD", .path = "/health" };
	struct ask list = { .method = "GET", .path = "/api/languages" };
	struct fcgi_answer answer = ask_at(run_sock, &with_id);
	char tag[64];

	check(!strcmp(fcgi_header(&answer, "X-Request-ID"), "0123456789abcdef0123456789abcdef"),
	      "the web server's id is the request's");
	check(holds(&answer, "\"id\":\"0123456789abcdef0123456789abcdef\""), "and in the answer");
	check(!strcmp(fcgi_header(&answer, "Cache-Control"), "no-store") &&
		      !strcmp(fcgi_header(&answer, "X-Content-Type-Options"), "nosniff"),
	      "a run's answer is not to be kept nor guessed at");
	fcgi_answer_free(&answer);
	answer = ask_at(run_sock, &with_bad_id);
	check(strlen(fcgi_header(&answer, "X-Request-ID")) == 32 && !strstr(answer.text, "X: y"),
	      "an id that is none is replaced");
	fcgi_answer_free(&answer);
	answer = ask_at(api_sock, &head);
	check(answer.status == 200 && answer.body_size == 0, "HEAD has no body");
	fcgi_answer_free(&answer);
	answer = ask_at(api_sock, &list);
	snprintf(tag, sizeof tag, "%s", fcgi_header(&answer, "ETag"));
	fcgi_answer_free(&answer);
	list.more[0] = (struct fcgi_param){ "HTTP_IF_NONE_MATCH", tag };
	answer = ask_at(api_sock, &list);
	check(strlen(tag) == 34 && answer.status == 304 && answer.body_size == 0,
	      "the list of languages that is known already is not sent again");
	fcgi_answer_free(&answer);
	head = (struct ask){ .method = "GET", .path = "/run" };
	answer = ask_at(run_sock, &head);
	check(!strcmp(fcgi_header(&answer, "Allow"), "POST"), "405 says what is allowed");
	fcgi_answer_free(&answer);
}

void test_versions(void)
{
	check(await_versions(2), "the version is the one that the language says");
	check(wait_for("run/events", "version b\n", 1) && wait_for("run/events", "version t\n", 1),
	      "each language is asked");
}

/* ---- what is said elsewhere ---- */

void test_log(void)
{
	struct ask ask = { .body = "{\"language\":\"t\",\"code\":\"echo SECRETCODE\\ncat\","
				   "\"input\":\"SECRETINPUT\"}",
			   .more = { { "HTTP_X_API_KEY", "all-of-it" },
				     { "REQUEST_ID", "00000000000000000000000000000abc" } } };
	struct fcgi_answer answer = ask_at(run_sock, &ask);

	check(holds(&answer, "SECRETCODE"), "a run with secrets");
	check(wait_for("log", "00000000000000000000000000000abc", 1), "is in the log by its id");
	check(count_in("log", "SECRET") == 0, "without code, input and output");
	check(count_in("log", "all-of-it") == 0 && count_in("log", "\"key\":\"all\"") > 0,
	      "and with the name of the key only");
	check(count_in("log", "\"verdict\":\"success\"") > 0 &&
		      count_in("log", "\"userIP\":\"127.0.0.1\"") > 0,
	      "with verdict and address");
	fcgi_answer_free(&answer);
}
