/* SPDX-License-Identifier: ISC */
/* From verdicts to statuses and words; and what happens when there is too much. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/answer.h"
#include "tests/tap.h"

static const struct {
	const char *name;
	enum stage stage;
	struct verdict verdict;
	uint64_t seen_stdout, seen_stderr;
	const char *status, *words; /* words: part of the message */
	int exit_code, signal;	    /* -1, 0: null */
} rows[] = {
	{ "exit 0", STAGE_RUN, { .exited = true }, 5, 0, "success", "exit code 0", 0, 0 },
	{ "exit 3", STAGE_RUN, { .exited = true, .exit_code = 3 }, 0, 0, "runtime_error",
	  "exit code 3", 3, 0 },
	{ "a signal", STAGE_RUN, { .signal = SIGSEGV }, 0, 0, "runtime_error",
	  "SIGSEGV: it used memory", -1, SIGSEGV },
	{ "a signal without a story", STAGE_RUN, { .signal = SIGUSR1 }, 0, 0, "runtime_error",
	  "the signal SIGUSR1.", -1, SIGUSR1 },
	{ "wall time", STAGE_RUN,
	  { .cause = CAUSE_WALL, .signal = SIGKILL, .usage.wall_us = 2000100 }, 0, 0, "timeout",
	  "more than 2 seconds (limits.wall_ms)", -1, SIGKILL },
	{ "the time of the whole request", STAGE_RUN,
	  { .cause = CAUSE_WALL, .signal = SIGKILL, .usage.wall_us = 500000 }, 0, 0, "timeout",
	  "(limits.total_ms)", -1, SIGKILL },
	{ "processor time", STAGE_RUN, { .cause = CAUSE_CPU, .signal = SIGKILL }, 0, 0, "timeout",
	  "more than 1 second of processor time (limits.cpu_ms)", -1, SIGKILL },
	{ "memory", STAGE_RUN, { .cause = CAUSE_MEMORY, .signal = SIGKILL }, 0, 0, "memory_limit",
	  "more than 64 MiB of memory", -1, SIGKILL },
	{ "output", STAGE_RUN, { .cause = CAUSE_OUTPUT, .signal = SIGKILL }, 200, 0,
	  "output_limit", "more than 100 bytes to stdout", -1, SIGKILL },
	{ "error output", STAGE_RUN, { .cause = CAUSE_OUTPUT, .signal = SIGKILL }, 0, 101,
	  "output_limit", "to stderr", -1, SIGKILL },
	{ "output and exit 0", STAGE_RUN, { .exited = true }, 101, 0, "output_limit",
	  "more than 100 bytes", 0, 0 },
	{ "output just up to the cap", STAGE_RUN, { .exited = true }, 100, 100, "success",
	  "exit code 0", 0, 0 },
	{ "wall time before output", STAGE_RUN,
	  { .cause = CAUSE_WALL, .signal = SIGKILL, .usage.wall_us = 2000100 }, 200, 0, "timeout",
	  "wall_ms", -1, SIGKILL },
	{ "memory, though it exited by itself", STAGE_RUN,
	  { .cause = CAUSE_MEMORY, .exited = true, .exit_code = 1 }, 0, 0, "memory_limit",
	  "memory", 1, 0 },
	{ "cancelled", STAGE_RUN, { .cause = CAUSE_CANCEL, .signal = SIGKILL }, 0, 0, "cancelled",
	  "client", -1, SIGKILL },
	{ "no such program", STAGE_RUN, { .exec_errno = ENOENT }, 0, 0, "runtime_error",
	  "could not be started: there is no such file", -1, 0 },
	{ "a build that fails", STAGE_BUILD, { .exited = true, .exit_code = 1 }, 0, 9,
	  "compile_error", "The compiler ended with exit code 1", 1, 0 },
	{ "a build that crashes", STAGE_BUILD, { .signal = SIGABRT }, 0, 0, "compile_error",
	  "The compiler was ended", -1, SIGABRT },
	{ "a build that takes too long", STAGE_BUILD,
	  { .cause = CAUSE_CPU, .signal = SIGKILL }, 0, 0, "timeout", "The compiler used", -1,
	  SIGKILL },
	{ "a build that is well", STAGE_BUILD, { .exited = true }, 0, 0, "success",
	  "The compiler", 0, 0 },
};

static const struct limits limits = {
	.wall_ms = 2000,
	.cpu_ms = 1000,
	.memory_bytes = 64 << 20,
	.output_bytes = 100,
	.disk_bytes = 1 << 20,
	.processes = 10,
	.cpu_percent = 100,
};

static void check_verdicts(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct launch_result from = { .verdict = rows[i].verdict };
		struct stage_result result;

		from.seen_bytes[LAUNCH_STDOUT] = rows[i].seen_stdout;
		from.seen_bytes[LAUNCH_STDERR] = rows[i].seen_stderr;
		stage_result_set(&result, &from, rows[i].stage, &limits);
		if (!tap_ok(strcmp(job_status_name(result.status), rows[i].status) == 0 &&
				    strstr(result.message, rows[i].words) &&
				    (result.exited ? result.exit_code : -1) == rows[i].exit_code &&
				    result.signal == rows[i].signal,
			    "verdict: %s", rows[i].name))
			tap_note("%s, exit %d, signal %d: %s", job_status_name(result.status),
				 result.exited ? result.exit_code : -1, result.signal,
				 result.message);
		tap_ok(result.dropped_bytes[0] ==
				       (rows[i].seen_stdout > 100 ? rows[i].seen_stdout - 100 : 0) &&
			       result.dropped_bytes[1] ==
				       (rows[i].seen_stderr > 100 ? rows[i].seen_stderr - 100 : 0),
		       "verdict: %s: what was dropped is counted", rows[i].name);
	}
}

/* ---- tests of a request ---- */

static const struct {
	const char *name;
	const char *outputs[3]; /* "1" is expected; "!": exit 1; NULL: skipped */
	const char *status, *words;
} concludes[] = {
	{ "all well", { "1", "1\n", "1" }, "success", "All 3 tests" },
	{ "the second is wrong", { "1", "2", "!" }, "wrong_answer", "1 of 3 tests went well. Test 2" },
	{ "the first fails", { "!", "2", "1" }, "runtime_error", "Test 1" },
	{ "the last is skipped", { "1", "1", NULL }, "timeout", "2 of 3" },
};

static void check_tests(void)
{
	struct job_test tests[3] = { 0 };
	struct job job = { .tests = tests, .tests_count = 3, .compare = COMPARE_TRAILING_SPACE };
	struct test_result results[3];
	size_t i, k;

	for (k = 0; k < 3; k++) {
		tests[k].has_expected = true;
		tests[k].expected = (struct bytes){ "1", 1 };
	}
	for (i = 0; i < ARRAY_LEN(concludes); i++) {
		struct answer answer = { .tests = results, .tests_count = 3 };

		for (k = 0; k < 3; k++) {
			const char *output = concludes[i].outputs[k];
			struct launch_result from = { .verdict.exited = true };

			if (!output) {
				test_result_skip(&results[k], &job, k);
				continue;
			}
			from.verdict.exit_code = strcmp(output, "!") == 0;
			from.output[LAUNCH_STDOUT].data = (char *)(size_t)output;
			from.output[LAUNCH_STDOUT].size = strlen(output);
			test_result_set(&results[k], &job, k, &from, &limits);
			if (results[k].passed != (output[0] == '1'))
				tap_ok(false, "tests: passed of test %zu", k);
		}
		answer_conclude(&answer);
		tap_ok(strcmp(job_status_name(answer.status), concludes[i].status) == 0 &&
			       strstr(answer.message, concludes[i].words),
		       "tests: %s: %s", concludes[i].name, answer.message);
	}
	{
		struct answer answer = { .has_compile = true,
					 .compile = { .stage = STAGE_BUILD,
						      .status = STATUS_TIMEOUT,
						      .message = "why." } };

		answer_conclude(&answer);
		tap_ok(answer.status == STATUS_COMPILE_ERROR &&
			       strcmp(answer.message, "Compiling failed. why.") == 0,
		       "conclude: a build stopped at a limit is a compile error");
	}
}

/* ---- too much ---- */

static const struct {
	const char *name;
	enum answer_format format;
	const char *output;
	size_t size;
	uint64_t left;
	size_t kept;
} rooms[] = {
	{ "msgpack, all", ANSWER_MSGPACK, "abcdef", 6, 6, 6 },
	{ "msgpack, a part", ANSWER_MSGPACK, "abcdef", 6, 4, 4 },
	{ "msgpack, not inside a character", ANSWER_MSGPACK, "abc\xc3\xa9", 5, 4, 3 },
	{ "JSON, all", ANSWER_JSON, "abcdef", 6, 6, 6 },
	{ "JSON, a part", ANSWER_JSON, "abcdef", 6, 4, 4 },
	{ "JSON, nothing", ANSWER_JSON, "abcdef", 6, 0, 0 },
	{ "JSON, not inside a character", ANSWER_JSON, "abc\xc3\xa9", 5, 4, 3 },
	{ "JSON, escapes", ANSWER_JSON, "\x01\x01\x01", 3, 12, 2 },
	{ "JSON, short escapes", ANSWER_JSON, "\n\n\n", 3, 5, 2 },
	{ "JSON, no UTF-8", ANSWER_JSON, "\xff\xff\xff\xff", 4, 64 + 10, 2 },
	{ "HTML, references", ANSWER_HTML, "<<<", 3, 10, 2 },
	{ "text", ANSWER_TEXT, "abcdef", 6, 5, 5 },
};

static void check_rooms(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(rooms); i++) {
		struct answer_room room = { rooms[i].format, rooms[i].left };
		struct stage_result result = { .stage = STAGE_RUN };

		result.output[LAUNCH_STDOUT] = (struct bytes){ rooms[i].output, rooms[i].size };
		answer_keep(&room, &result);
		if (!tap_ok(result.output[LAUNCH_STDOUT].size == rooms[i].kept &&
				    result.dropped_bytes[LAUNCH_STDOUT] ==
					    rooms[i].size - rooms[i].kept,
			    "room: %s", rooms[i].name))
			tap_note("kept %zu", result.output[LAUNCH_STDOUT].size);
	}
	{
		struct answer_file files[] = { { { "a", 1 }, { "1234", 4 }, NULL },
					       { { "b", 1 }, { "1234", 4 }, NULL },
					       { { "c", 1 }, { "12", 2 }, NULL } };
		struct answer answer = { .files = files, .files_count = 3 };
		struct answer_room room = { ANSWER_MSGPACK, 7 };

		answer_keep_files(&room, &answer);
		tap_ok(!files[0].error && files[1].error && !files[2].error,
		       "room: a file that does not fit is an error, whole");
	}
	{
		struct answer_room room = { ANSWER_MSGPACK, 10 };
		struct stage_result result = { .stage = STAGE_BUILD,
					       .status = STATUS_COMPILE_ERROR };

		result.output[LAUNCH_STDERR] = (struct bytes){ "12345678", 8 };
		answer_keep(&room, &result);
		tap_ok(result.output[LAUNCH_STDERR].size == 5 && room.left_bytes == 0,
		       "room: a compiler's text counts twice");
	}
}

/* ---- collected files ---- */

static void record(struct buffer *buffer, const char *name, uint32_t error, const char *content)
{
	uint32_t name_size = (uint32_t)strlen(name);
	uint64_t size = strlen(content);

	if (buffer_reserve(buffer, 100) < 0)
		abort();
	memcpy(buffer->data + buffer->size, &name_size, 4);
	memcpy(buffer->data + buffer->size + 4, name, name_size);
	buffer->size += 4 + name_size;
	memcpy(buffer->data + buffer->size, &error, 4);
	memcpy(buffer->data + buffer->size + 4, &size, 8);
	memcpy(buffer->data + buffer->size + 12, content, size);
	buffer->size += 12 + size;
}

static void check_collect(void)
{
	struct bytes names[] = { { "a", 1 }, { "b", 1 }, { "c", 1 }, { "d", 1 } };
	struct words asked = { names, 4 };
	struct buffer collected = { 0 };
	struct answer answer = { 0 };
	struct arena arena;

	arena_init(&arena, 1 << 16);
	record(&collected, "b", 0, "content");
	record(&collected, "evil", 0, "not asked for");
	record(&collected, "a", ELOOP, "");
	record(&collected, "d", 12345, "");
	tap_ok(answer_collect(&answer, &asked, &collected, &arena) == 0 &&
		       answer.files_count == 4 && answer.has_files,
	       "collect: as many as were asked for");
	tap_ok(strcmp(answer.files[0].error, "a symbolic link") == 0 &&
		       !answer.files[1].error && answer.files[1].content.size == 7 &&
		       strcmp(answer.files[2].error, "no such file") == 0 &&
		       strcmp(answer.files[3].error, "could not be read") == 0,
	       "collect: each with its content or its error");
	arena_reset(&arena);
	buffer_free(&collected);
}

/* ---- what the client takes ---- */

static const struct {
	const char *accept;
	int format; /* -1: 406 */
} accepts[] = {
	{ NULL, ANSWER_JSON },
	{ "", ANSWER_JSON },
	{ "*/*", ANSWER_JSON },
	{ "application/json", ANSWER_JSON },
	{ "Application/JSON;charset=utf-8", ANSWER_JSON },
	{ "application/*", ANSWER_JSON },
	{ "application/msgpack", ANSWER_MSGPACK },
	{ "application/x-msgpack", ANSWER_MSGPACK },
	{ "application/vnd.msgpack", ANSWER_MSGPACK },
	{ "text/html", ANSWER_HTML },
	{ "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
	  ANSWER_HTML },
	{ "text/plain", ANSWER_TEXT },
	{ "application/json, text/plain, */*", ANSWER_JSON },
	{ "text/plain, application/json", ANSWER_TEXT },
	{ "text/plain;q=0.5, application/json;q=0.4", ANSWER_TEXT },
	{ "text/plain;q=0.4, application/json;q=0.5", ANSWER_JSON },
	{ "*/*, application/msgpack", ANSWER_MSGPACK },
	{ "*/*;q=0.1, text/plain;q=0.2", ANSWER_TEXT },
	{ "application/json;q=0, */*", ANSWER_MSGPACK },
	{ "application/x-ndjson", ANSWER_NDJSON },
	{ "text/event-stream", ANSWER_SSE },
	{ "application/vnd.sandpool.stream+msgpack", ANSWER_MSGPACK_STREAM },
	{ " , text/event-stream ;q=1", ANSWER_SSE },
	{ "image/png, */*;q=0.01", ANSWER_JSON },
	{ "image/png", -1 },
	{ "application/json;q=0", -1 },
	{ "application/json;q=nonsense", -1 },
	{ "json", -1 },
	{ "*", -1 },
};

static void check_accepts(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(accepts); i++) {
		enum answer_format format = ANSWER_FORMATS;
		int rc = codec_accept(accepts[i].accept, &format);

		if (!tap_ok((rc < 0 ? -1 : (int)format) == accepts[i].format, "accept: %s",
			    accepts[i].accept ? accepts[i].accept : "no header"))
			tap_note("rc %d, format %d", rc, format);
	}
}

int main(void)
{
	check_verdicts();
	check_tests();
	check_rooms();
	check_collect();
	check_accepts();
	return tap_done();
}
