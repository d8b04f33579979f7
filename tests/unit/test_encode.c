/* SPDX-License-Identifier: ISC */
/* Answers in every format: JSON and msgpack say the same, HTML shows text as text,
 * text/plain is the output itself; and the same for errors. */
#include <jansson.h>
#include <msgpack/unpack.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/answer.h"
#include "tests/tap.h"
#include "tests/unit/collect_sink.h"
#include "tests/unit/same_value.h"

#define HOSTILE "</pre></textarea><script>alert(\"1\")</script>&amp;'"

static char all_bytes[256];

static const struct usage known = { 12345, 6789, 6000, 789, 1048576, 3 };
static const struct usage unknown = { 1000, 0, 0, 0, USAGE_UNKNOWN, USAGE_UNKNOWN };

static struct stage_result stage_of(enum status status, int exit_code, int sig,
				    const char *out, size_t out_size, const char *err)
{
	struct stage_result result = { .stage = STAGE_RUN, .status = status, .usage = known };

	result.exited = !sig;
	result.exit_code = exit_code;
	result.signal = sig;
	result.output[LAUNCH_STDOUT] = (struct bytes){ out, out_size };
	result.output[LAUNCH_STDERR] = (struct bytes){ err, strlen(err) };
	snprintf(result.message, sizeof result.message, "Words, \"quoted\".");
	return result;
}

static struct answer plain(void)
{
	struct answer answer = {
		.id = "0123456789abcdef0123456789abcdef",
		.language = "c",
		.version = "12.2.0",
		.queue_us = 1,
		.setup_us = 999,
		.compile_us = 1000,
		.run_us = 123456,
		.total_us = 10000001,
		.total_ms = 60000,
		.cgroup_mode = LAYOUT_V2,
		.enforced = ENFORCED_MEMORY | ENFORCED_PROCESSES | ENFORCED_CPU,
	};

	answer.run_limits = limits_policy_default.run;
	answer.compile_limits = limits_policy_default.build;
	answer.has_run = true;
	answer.run = stage_of(STATUS_SUCCESS, 0, 0, "Hello\n", 6, "");
	return answer;
}

/* ---- the answers ---- */

static struct answer make_plain(void)
{
	struct answer answer = plain();

	answer_conclude(&answer);
	return answer;
}

static struct answer make_bytes(void)
{
	struct answer answer = plain();

	answer.run = stage_of(STATUS_RUNTIME_ERROR, 0, SIGSEGV, all_bytes, sizeof all_bytes,
			      "\xe2\x82\xac\x7f\xc2\x85\xe2\x80\xa8\\\"/\b\f\n\r\t");
	answer.run.dropped_bytes[LAUNCH_STDERR] = 17;
	answer.run.usage = unknown;
	answer.cgroup_mode = LAYOUT_V1;
	answer.enforced = 0;
	answer_conclude(&answer);
	return answer;
}

static struct answer make_compile_error(void)
{
	struct answer answer = plain();

	answer.has_run = false;
	answer.has_compile = answer.has_compile_limits = true;
	answer.compile = stage_of(STATUS_COMPILE_ERROR, 1, 0, "", 0, "main.c:1: " HOSTILE);
	answer.compile.stage = STAGE_BUILD;
	answer_conclude(&answer);
	return answer;
}

static struct answer make_tests(void)
{
	static struct test_result tests[3];
	struct answer answer = plain();

	memset(tests, 0, sizeof tests);
	answer.has_run = false;
	answer.has_compile = answer.has_compile_limits = true;
	answer.compile = stage_of(STATUS_SUCCESS, 0, 0, "", 0, "warning");
	tests[0].result = stage_of(STATUS_SUCCESS, 0, 0, "1", 1, "");
	tests[0].ran = tests[0].has_expected = tests[0].passed = true;
	tests[1].index = 1;
	tests[1].name = (struct bytes){ "caf\xc3\xa9 <b>", 9 };
	tests[1].result = stage_of(STATUS_RUNTIME_ERROR, 3, 0, "\xff", 1, "no");
	tests[1].ran = true;
	tests[2].index = 2;
	tests[2].has_expected = true;
	tests[2].result.status = STATUS_SKIPPED;
	answer.tests = tests;
	answer.tests_count = 3;
	answer_conclude(&answer);
	return answer;
}

static struct answer make_files(void)
{
	static struct answer_file files[] = {
		{ { "a.txt", 5 }, { "text", 4 }, NULL },
		{ { "b.bin", 5 }, { "\0\xff\xfe", 3 }, NULL },
		{ { "c", 1 }, { NULL, 0 }, "no such file" },
		{ { "empty", 5 }, { NULL, 0 }, NULL },
	};
	struct answer answer = plain();

	answer.files = files;
	answer.files_count = ARRAY_LEN(files);
	answer.has_files = true;
	answer.version = NULL;
	answer_conclude(&answer);
	return answer;
}

static struct answer make_hostile(void)
{
	struct answer answer = plain();

	answer.run = stage_of(STATUS_SUCCESS, 0, 0, HOSTILE "\0\x1b[31m\xff", 55, HOSTILE);
	answer.run.output[LAUNCH_STDOUT].size = sizeof(HOSTILE "\0\x1b[31m\xff") - 1;
	answer_conclude(&answer);
	return answer;
}

static const struct {
	const char *name;
	struct answer (*make)(void);
	const char *status;
	const char *keys; /* that must be there, and with "!" that must not */
} cases[] = {
	{ "a plain run", make_plain, "success",
	  "id language version status message stdout stderr exit_code signal time usage limits "
	  "!truncated !compile !tests !files" },
	{ "all bytes", make_bytes, "runtime_error", "stdout stdout_base64 truncated "
						     "!stderr_base64" },
	{ "a compile error", make_compile_error, "compile_error",
	  "stdout stderr exit_code compile usage !tests" },
	{ "tests", make_tests, "runtime_error",
	  "tests compile !stdout !stderr !exit_code !signal !usage" },
	{ "files", make_files, "success", "files stdout" },
	{ "a hostile program", make_hostile, "success", "stdout stdout_base64" },
};

/* ---- JSON and msgpack ---- */

static json_t *write_json(enum codec_shape shape, const struct answer *answer,
			  struct collected *c)
{
	struct sink sink = collect_sink(c);
	json_error_t error;
	json_t *json;

	if (answer_write(shape, ANSWER_JSON, answer, NULL, &sink) < 0)
		abort();
	json = json_loadb(c->buffer.data, c->buffer.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
			  &error);
	if (!json)
		tap_note("%s in: %.300s", error.text, c->buffer.data);
	return json;
}

static bool check_keys(json_t *json, const char *keys)
{
	char copy[512], *key, *state;
	bool good = true;

	snprintf(copy, sizeof copy, "%s", keys);
	for (key = strtok_r(copy, " ", &state); key; key = strtok_r(NULL, " ", &state)) {
		bool wanted = key[0] != '!';

		if ((json_object_get(json, key + !wanted) != NULL) == wanted)
			continue;
		tap_note("%s", key);
		good = false;
	}
	return good;
}

static void check_both(size_t i)
{
	struct answer answer = cases[i].make();
	struct collected text = { 0 }, packed = { 0 };
	struct sink sink = collect_sink(&packed);
	msgpack_unpacked object;
	char where[64] = "";
	size_t offset = 0;
	json_t *json = write_json(SHAPE_RUN, &answer, &text);
	size_t k;
	bool plain_ascii = true;

	tap_ok(json && strcmp(json_string_value(json_object_get(json, "status")),
			      cases[i].status) == 0,
	       "%s: JSON with status %s", cases[i].name, cases[i].status);
	tap_ok(check_keys(json, cases[i].keys), "%s: its keys", cases[i].name);
	for (k = 0; k + 1 < text.buffer.size; k++) {
		unsigned char c = (unsigned char)text.buffer.data[k];

		plain_ascii = plain_ascii && c >= 0x20 && c != 0x7f;
	}
	tap_ok(plain_ascii && text.buffer.data[text.buffer.size - 1] == '\n' &&
		       !strstr(text.buffer.data, "\xe2\x80\xa8") &&
		       !strstr(text.buffer.data, "\xc2\x85"),
	       "%s: one line, without control characters", cases[i].name);
	msgpack_unpacked_init(&object);
	if (answer_write(SHAPE_RUN, ANSWER_MSGPACK, &answer, NULL, &sink) < 0)
		abort();
	tap_ok(msgpack_unpack_next(&object, packed.buffer.data, packed.buffer.size, &offset) ==
			       MSGPACK_UNPACK_SUCCESS &&
		       offset == packed.buffer.size,
	       "%s: msgpack", cases[i].name);
	if (!tap_ok(same_value(json, &object.data, where, sizeof where),
		    "%s: msgpack says the same as JSON", cases[i].name))
		tap_note("not in %s", where);
	msgpack_unpacked_destroy(&object);
	json_decref(json);
	collect_reset(&text);
	collect_reset(&packed);
}

static void check_details(void)
{
	struct answer answer = make_plain();
	struct collected c = { 0 };
	json_t *json = write_json(SHAPE_RUN, &answer, &c), *part;

	part = json_object_get(json, "time");
	tap_ok(json_real_value(json_object_get(part, "queue_ms")) == 0.001 &&
		       json_real_value(json_object_get(part, "run_ms")) == 123.456 &&
		       json_real_value(json_object_get(part, "total_ms")) == 10000.001,
	       "times have fractions to the microsecond");
	part = json_object_get(json_object_get(json, "limits"), "enforced");
	tap_ok(strcmp(json_string_value(json_object_get(part, "memory_bytes")),
		      "cgroup v2 memory.max") == 0,
	       "what holds a limit is named");
	json_decref(json);
	collect_reset(&c);

	answer = make_bytes();
	json = write_json(SHAPE_RUN, &answer, &c);
	part = json_object_get(json, "usage");
	tap_ok(json_is_null(json_object_get(part, "processes_peak")) &&
		       json_is_null(json_object_get(part, "memory_peak_bytes")) &&
		       json_is_real(json_object_get(part, "wall_ms")),
	       "figures that the kernel does not give are null");
	part = json_object_get(json_object_get(json, "limits"), "enforced");
	tap_ok(json_is_null(json_object_get(part, "memory_bytes")) &&
		       json_is_string(json_object_get(part, "wall_ms")),
	       "what nothing holds is null");
	tap_ok(json_is_null(json_object_get(json, "exit_code")) &&
		       strcmp(json_string_value(json_object_get(json, "signal")), "SIGSEGV") == 0,
	       "a signal has a name and no exit code");
	part = json_object_get(json, "truncated");
	tap_ok(json_integer_value(json_object_get(part, "stderr")) == 17 &&
		       json_integer_value(json_object_get(part, "stdout")) == 0,
	       "dropped bytes are counted");
	json_decref(json);
	collect_reset(&c);

	answer = make_compile_error();
	json = write_json(SHAPE_RUN, &answer, &c);
	part = json_object_get(json_object_get(json, "compile"), "stderr");
	tap_ok(json_equal(part, json_object_get(json, "stderr")) &&
		       json_string_length(json_object_get(json, "stdout")) == 0 &&
		       json_is_null(json_object_get(json, "exit_code")),
	       "a compile error repeats the compiler's text on top");
	json_decref(json);
	collect_reset(&c);

	answer = make_tests();
	json = write_json(SHAPE_RUN, &answer, &c);
	part = json_object_get(json, "tests");
	tap_ok(strcmp(json_string_value(json_object_get(json_array_get(part, 0), "name")),
		      "test 1") == 0 &&
		       json_is_true(json_object_get(json_array_get(part, 0), "passed")) &&
		       json_is_null(json_object_get(json_array_get(part, 1), "passed")) &&
		       json_is_false(json_object_get(json_array_get(part, 2), "passed")) &&
		       json_is_null(json_object_get(json_array_get(part, 2), "usage")),
	       "tests: passed is true, false, or null without expected");
	json_decref(json);
	collect_reset(&c);
}

static void check_execute(void)
{
	static const struct {
		struct answer (*make)(void);
		const char *output, *error;
		int exit_code;
	} rows[] = {
		{ make_plain, "Hello\n", "", 0 },
		{ make_compile_error, "", "main.c:1: " HOSTILE, 1 },
		{ make_bytes, NULL, NULL, 128 + SIGSEGV },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct answer answer = rows[i].make();
		struct collected c = { 0 };
		json_t *json = write_json(SHAPE_EXECUTE, &answer, &c);

		tap_ok(json_integer_value(json_object_get(json, "exitCode")) ==
				       rows[i].exit_code &&
			       json_integer_value(json_object_get(json, "executionTime")) == 124 &&
			       json_is_string(json_object_get(json, "request_id")) &&
			       (!rows[i].output ||
				(strcmp(json_string_value(json_object_get(json, "output")),
					rows[i].output) == 0 &&
				 strcmp(json_string_value(json_object_get(json, "error")),
					rows[i].error) == 0)),
		       "execute: exit code %d", rows[i].exit_code);
		json_decref(json);
		collect_reset(&c);
	}
}

/* ---- HTML and text ---- */

/* Every tag that opens closes, in order; none that could run anything. */
static bool balanced(const char *html, char *where, size_t size)
{
	static const char *const alone[] = { "!doctype", "meta", "link", "input", "br" };
	char stack[32][16], name[16];
	size_t depth = 0, i;
	const char *at;

	for (at = strchr(html, '<'); at; at = strchr(at + 1, '<')) {
		bool closes = at[1] == '/', single = false;
		size_t n = strcspn(at + 1 + closes, " >\n");

		snprintf(name, sizeof name, "%.*s", (int)n, at + 1 + closes);
		snprintf(where, size, "%.40s", at);
		for (i = 0; i < ARRAY_LEN(alone); i++)
			single = single || strcmp(name, alone[i]) == 0;
		if (single)
			continue;
		if (!closes) {
			if (depth == ARRAY_LEN(stack) || strcmp(name, "script") == 0)
				return false;
			snprintf(stack[depth++], sizeof stack[0], "%s", name);
		} else if (!depth || strcmp(stack[--depth], name) != 0) {
			return false;
		}
	}
	return depth == 0;
}

static void check_page(const char *name, const char *html)
{
	char where[64] = "";

	if (!tap_ok(balanced(html, where, sizeof where) && !strstr(html, "<script") &&
			    !strstr(html, " style=\""),
		    "HTML: %s: tags are balanced, and no script", name))
		tap_note("at %s", where);
}

static const struct codec_echo hostile_echo = {
	.language = { "\"><script>", 10 },
	.code = { "\n\x01" HOSTILE "\r\n", sizeof("\n\x01" HOSTILE "\r\n") - 1 },
	.input = { "in", 2 },
	.arguments = { "a\nb", 3 },
	.timeout = { "1.5", 3 },
};

static void check_html(void)
{
	struct page page = { .page_url = "/run/page/\"?x=1", .echo = &hostile_echo };
	struct failure failure;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		struct answer answer = cases[i].make();
		struct collected c = { 0 };
		struct sink sink = collect_sink(&c);

		if (answer_write(SHAPE_RUN, ANSWER_HTML, &answer, &page, &sink) < 0)
			abort();
		check_page(cases[i].name, c.buffer.data);
		tap_ok(strlen(c.buffer.data) == c.buffer.size &&
			       strstr(c.buffer.data, "name=\"code\" rows=\"16\" cols=\"80\" "
						     "spellcheck=\"false\">\n\n&#1;&lt;/pre&gt;") &&
			       strstr(c.buffer.data, "value=\"&#34;&gt;&lt;script&gt;\"") &&
			       strstr(c.buffer.data, "href=\"/run/page/style.css\"") &&
			       strstr(c.buffer.data, "href=\"/run/page/&#34;?x=1\""),
		       "HTML: %s: the filled form again, and the way back", cases[i].name);
		collect_reset(&c);
	}
	{
		struct answer answer = make_hostile();
		struct collected c = { 0 };
		struct sink sink = collect_sink(&c);

		if (answer_write(SHAPE_RUN, ANSWER_HTML, &answer, NULL, &sink) < 0)
			abort();
		tap_ok(strstr(c.buffer.data, "<pre>\n&lt;/pre&gt;&lt;/textarea&gt;&lt;script&gt;"
					     "alert(&#34;1&#34;)&lt;/script&gt;&amp;amp;&#39;"
					     "\xe2\x90\x80\xe2\x90\x9b[31m\xef\xbf\xbd</pre>") !=
			       NULL,
		       "HTML: output is text");
		collect_reset(&c);
	}
	{
		struct collected c = { 0 };
		struct sink sink = collect_sink(&c);

		failure_set(&failure, 400, NULL, "tests[0].name", "%s", HOSTILE);
		if (failure_write(SHAPE_RUN, ANSWER_HTML, &failure, "abc", &page, &sink) < 0)
			abort();
		check_page("an error", c.buffer.data);
		tap_ok(strstr(c.buffer.data, "Error 400") && strstr(c.buffer.data, "tests[0].name") &&
			       strstr(c.buffer.data, "&lt;script&gt;"),
		       "HTML: an error says what and where");
		collect_reset(&c);
	}
}

static const char *head_value(const struct answer_head *head, const char *name)
{
	size_t i;

	for (i = 0; i < head->lines_count; i++)
		if (strcmp(head->line[i].name, name) == 0)
			return head->line[i].value;
	return "";
}

static void check_text(void)
{
	struct answer answer = make_bytes();
	struct collected c = { 0 };
	struct sink sink = collect_sink(&c);
	struct answer_head head;

	if (answer_write(SHAPE_RUN, ANSWER_TEXT, &answer, NULL, &sink) < 0)
		abort();
	tap_ok(c.buffer.size == sizeof all_bytes &&
		       memcmp(c.buffer.data, all_bytes, sizeof all_bytes) == 0,
	       "text: the output, byte for byte");
	collect_reset(&c);
	answer_head_set(&head, SHAPE_RUN, ANSWER_TEXT, &answer);
	tap_ok(strcmp(head_value(&head, "Sandpool-Status"), "runtime_error") == 0 &&
		       strcmp(head_value(&head, "Sandpool-Signal"), "SIGSEGV") == 0 &&
		       !head_value(&head, "Sandpool-Exit-Code")[0],
	       "text: the verdict in the header, a signal");
	answer = make_plain();
	answer_head_set(&head, SHAPE_RUN, ANSWER_TEXT, &answer);
	tap_ok(strcmp(head_value(&head, "Sandpool-Exit-Code"), "0") == 0 &&
		       !head_value(&head, "Sandpool-Signal")[0],
	       "text: the verdict in the header, an exit code");
	answer = make_tests();
	if (answer_write(SHAPE_RUN, ANSWER_TEXT, &answer, NULL, &sink) < 0)
		abort();
	tap_ok(strcmp(c.buffer.data, "1: success\n2: runtime_error\n3: skipped\n") == 0,
	       "text: a line for each test");
	collect_reset(&c);
}

static void check_heads(void)
{
	static const struct {
		enum answer_format format;
		const char *answer_type, *failure_type;
	} rows[] = {
		{ ANSWER_JSON, "application/json", "application/json" },
		{ ANSWER_MSGPACK, "application/msgpack", "application/msgpack" },
		{ ANSWER_HTML, "text/html; charset=utf-8", "text/html; charset=utf-8" },
		{ ANSWER_TEXT, "text/plain; charset=utf-8", "application/json" },
		{ ANSWER_NDJSON, "application/x-ndjson", "application/json" },
		{ ANSWER_SSE, "text/event-stream", "application/json" },
		{ ANSWER_MSGPACK_STREAM, "application/vnd.sandpool.stream+msgpack",
		  "application/json" },
	};
	struct answer answer = make_plain();
	struct failure failure;
	struct answer_head head;
	size_t i;

	failure_set(&failure, 503, NULL, NULL, "Busy.");
	failure.retry_after_s = 3;
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		answer_head_set(&head, SHAPE_RUN, rows[i].format, &answer);
		tap_ok(head.http_status == 200 &&
			       strcmp(head.content_type, rows[i].answer_type) == 0 &&
			       strcmp(head_value(&head, "Cache-Control"), "no-store") == 0 &&
			       strcmp(head_value(&head, "X-Content-Type-Options"), "nosniff") ==
				       0 &&
			       (head_value(&head, "X-Accel-Buffering")[0] != 0) ==
				       answer_is_stream(rows[i].format),
		       "head: %s", rows[i].answer_type);
		failure_head_set(&head, SHAPE_RUN, rows[i].format, &failure);
		tap_ok(head.http_status == 503 &&
			       strcmp(head.content_type, rows[i].failure_type) == 0 &&
			       strcmp(head_value(&head, "Retry-After"), "3") == 0,
		       "head: an error where %s was asked for", rows[i].answer_type);
	}
	failure.http_status = 405;
	failure.allow = "GET, HEAD";
	failure_head_set(&head, SHAPE_EXECUTE, ANSWER_HTML, &failure);
	tap_ok(strcmp(head.content_type, "application/json") == 0 &&
		       strcmp(head_value(&head, "Allow"), "GET, HEAD") == 0,
	       "head: execute is always JSON; Allow");
}

static void check_failures(void)
{
	static const struct {
		enum codec_shape shape;
		enum answer_format format;
		const char *text;
	} rows[] = {
		{ SHAPE_RUN, ANSWER_JSON,
		  "{\"error\":{\"code\":\"unknown_language\",\"message\":\"No \\\"x\\\".\","
		  "\"field\":\"language\",\"request_id\":\"abc\"}}\n" },
		{ SHAPE_RUN, ANSWER_SSE,
		  "{\"error\":{\"code\":\"unknown_language\",\"message\":\"No \\\"x\\\".\","
		  "\"field\":\"language\",\"request_id\":\"abc\"}}\n" },
		{ SHAPE_RUN, ANSWER_MSGPACK,
		  "\x81\xa5" "error\x84\xa4" "code\xb0unknown_language\xa7message\xa7No \"x\"."
		  "\xa5" "field\xa8language\xaarequest_id\xa3" "abc" },
		{ SHAPE_EXECUTE, ANSWER_JSON,
		  "{\"error\":\"No \\\"x\\\".\",\"code\":\"unknown_language\","
		  "\"field\":\"language\",\"request_id\":\"abc\"}\n" },
	};
	struct failure failure;
	size_t i;

	failure_set(&failure, 422, NULL, "language", "No \"%s\".", "x");
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct collected c = { 0 };
		struct sink sink = collect_sink(&c);

		if (failure_write(rows[i].shape, rows[i].format, &failure, "abc", NULL, &sink) < 0)
			abort();
		if (!tap_ok(strcmp(c.buffer.data, rows[i].text) == 0, "error: shape %d, format %d",
			    rows[i].shape, rows[i].format))
			tap_note("%s", c.buffer.data);
		collect_reset(&c);
	}
	failure_set(&failure, 400, NULL, NULL, "a\xff\n\xe2\x82");
	tap_ok(strcmp(failure.message, "a????") == 0 && strcmp(failure.code, "invalid") == 0,
	       "error: what is no text in a message");
}

/* A reader that goes away: the writer says so and does not call again. */
static void check_gone(void)
{
	static const enum answer_format formats[] = { ANSWER_JSON, ANSWER_MSGPACK, ANSWER_HTML };
	static char large[100000];
	size_t i;

	memset(large, 'x', sizeof large);
	for (i = 0; i < ARRAY_LEN(formats); i++) {
		struct answer answer = make_plain();
		struct collected c = { .fail_after = 10 };
		struct sink sink = collect_sink(&c);

		answer.run.output[LAUNCH_STDOUT] = (struct bytes){ large, sizeof large };
		tap_ok(answer_write(SHAPE_RUN, formats[i], &answer, NULL, &sink) < 0 &&
			       c.calls_after_failure == 0,
		       "a reader that has gone, format %d", formats[i]);
		collect_reset(&c);
	}
}

int main(void)
{
	size_t i;

	for (i = 0; i < sizeof all_bytes; i++)
		all_bytes[i] = (char)i;
	for (i = 0; i < ARRAY_LEN(cases); i++)
		check_both(i);
	check_details();
	check_execute();
	check_html();
	check_text();
	check_heads();
	check_failures();
	check_gone();
	return tap_done();
}
