/* SPDX-License-Identifier: ISC */
/* Events in the three formats: whole characters, exact bytes, nothing held back. */
#include <jansson.h>
#include <msgpack/unpack.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/base64.h"
#include "fcgi/stream.h"
#include "tests/tap.h"
#include "tests/unit/collect_sink.h"

#define ROOM ((uint64_t)16 << 20)

/* What a client puts together from the events of one stream. */
struct heard {
	struct buffer out;
	unsigned events, twins;
	bool broken;
};

static void hear_bytes(struct heard *heard, const char *bytes, size_t size)
{
	if (buffer_reserve(&heard->out, size) < 0)
		abort();
	if (size)
		memcpy(heard->out.data + heard->out.size, bytes, size);
	heard->out.size += size;
}

static void hear_json(struct heard *heard, const char *line, size_t size)
{
	json_t *json = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	json_t *text = json_object_get(json, "stdout");
	json_t *twin = json_object_get(json, "stdout_base64");
	char data[4096];
	size_t n;

	heard->events++;
	heard->broken = heard->broken || !json_is_object(json);
	if (twin) {
		heard->twins++;
		if (base64_decode(json_string_value(twin), json_string_length(twin), data, &n) < 0)
			heard->broken = true;
		else
			hear_bytes(heard, data, n);
	} else if (text) {
		hear_bytes(heard, json_string_value(text), json_string_length(text));
	}
	json_decref(json);
}

/* A line, or with server-sent events a "data:" line and an empty one. */
static void hear_lines(struct heard *heard, const struct buffer *sent, bool sse)
{
	const char *at = sent->data, *end = at + sent->size;

	while (at && at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		if (!stop) {
			heard->broken = true;
			return;
		}
		if (sse) {
			if (stop + 1 >= end || stop[1] != '\n' || strncmp(at, "data: ", 6) != 0)
				heard->broken = true;
			else
				hear_json(heard, at + 6, (size_t)(stop - at) - 6);
			at = stop + 2;
		} else {
			hear_json(heard, at, (size_t)(stop - at));
			at = stop + 1;
		}
	}
}

static void hear_msgpack(struct heard *heard, const struct buffer *sent)
{
	msgpack_unpacked object;
	size_t offset = 0;

	msgpack_unpacked_init(&object);
	while (offset < sent->size) {
		const msgpack_object_kv *kv;

		if (msgpack_unpack_next(&object, sent->data, sent->size, &offset) !=
			    MSGPACK_UNPACK_SUCCESS ||
		    object.data.type != MSGPACK_OBJECT_MAP || object.data.via.map.size < 1) {
			heard->broken = true;
			break;
		}
		heard->events++;
		kv = &object.data.via.map.ptr[0];
		if (kv->val.type == MSGPACK_OBJECT_BIN)
			hear_bytes(heard, kv->val.via.bin.ptr, kv->val.via.bin.size);
	}
	msgpack_unpacked_destroy(&object);
}

static void hear(struct heard *heard, enum answer_format format, const struct buffer *sent)
{
	if (format == ANSWER_MSGPACK_STREAM)
		hear_msgpack(heard, sent);
	else
		hear_lines(heard, sent, format == ANSWER_SSE);
}

/* ---- chunks, cut at every place ---- */

static const struct {
	const char *name, *text;
	size_t size;
	bool is_text;
} outputs[] = {
	{ "ASCII", "Hello, world\n", 13, true },
	{ "two bytes each", "\xc3\xa9\xc3\xa8\xc3\xaa\n", 7, true },
	{ "three bytes each", "\xe2\x82\xac\xe2\x82\xac\xe2\x80\xa8", 9, true },
	{ "four bytes each", "\xf0\x9f\x98\x80\xf0\x9f\x98\x81", 8, true },
	{ "line ends and quotes", "a\r\nb\n\n\"c\"\\\0\x1b", 12, true },
	{ "bad bytes", "a\xff" "b\xc3\xfe", 5, false },
	{ "a character that never ends", "ab\xe2\x82", 4, false },
	{ "a character broken by a letter", "\xf0\x9f\x98" "abc", 6, false },
	{ "continuations alone", "\x80\x80\x80\x80\x80", 5, false },
};

static bool send_cut(enum answer_format format, const char *text, size_t size, size_t first,
		     size_t second, struct heard *heard)
{
	struct collected c = { 0 };
	struct sink sink = collect_sink(&c);
	struct stage_result result = { 0 };
	struct stream stream;
	bool good;

	stream_init(&stream, format, &sink, ROOM);
	good = stream_stage(&stream, STAGE_RUN, -1) == 0 &&
	       stream_output(&stream, LAUNCH_STDOUT, text, first) == 0 &&
	       stream_output(&stream, LAUNCH_STDOUT, text + first, second - first) == 0 &&
	       stream_output(&stream, LAUNCH_STDOUT, text + second, size - second) == 0 &&
	       stream_stage_end(&stream, &result) == 0;
	hear(heard, format, &c.buffer);
	collect_reset(&c);
	return good && result.dropped_bytes[LAUNCH_STDOUT] == 0;
}

static void check_cuts(enum answer_format format, const char *format_name)
{
	size_t i, first, second;

	for (i = 0; i < ARRAY_LEN(outputs); i++) {
		bool good = true;

		for (first = 0; first <= outputs[i].size; first++) {
			for (second = first; second <= outputs[i].size; second++) {
				struct heard heard = { 0 };

				good = good &&
				       send_cut(format, outputs[i].text, outputs[i].size, first,
						second, &heard) &&
				       !heard.broken && heard.out.size == outputs[i].size &&
				       memcmp(heard.out.data, outputs[i].text,
					      outputs[i].size) == 0 &&
				       (!outputs[i].is_text || heard.twins == 0);
				buffer_free(&heard.out);
			}
		}
		tap_ok(good, "%s: %s, cut at every two places", format_name, outputs[i].name);
	}
}

static void check_at_once(void)
{
	struct collected c = { 0 };
	struct sink sink = collect_sink(&c);
	struct stream stream;

	stream_init(&stream, ANSWER_NDJSON, &sink, ROOM);
	stream_output(&stream, LAUNCH_STDOUT, "no line end", 11);
	tap_ok(strcmp(c.buffer.data, "{\"stdout\":\"no line end\"}\n") == 0,
	       "a chunk without a line end goes out at once");
	stream_output(&stream, LAUNCH_STDERR, "a\xc3", 2);
	tap_ok(strstr(c.buffer.data, "{\"stderr\":\"a\"}\n") != NULL,
	       "only the beginning of a character is held back");
	collect_reset(&c);
}

/* ---- whole streams ---- */

static const char expected_ndjson[] =
	"{\"start\":{\"id\":\"abc\",\"language\":\"c\",\"version\":\"12\"}}\n"
	"{\"stage\":\"compile\"}\n"
	"{\"stage\":\"run\",\"test\":1}\n"
	"{\"stderr\":\"e\"}\n"
	"{\"test\":{\"index\":1,\"name\":\"n\",\"status\":\"success\",\"message\":\"m\","
	"\"passed\":true,\"exit_code\":0,\"signal\":null,\"usage\":{\"wall_ms\":1.000,"
	"\"cpu_ms\":0.000,\"user_ms\":0.000,\"system_ms\":0.000,\"memory_peak_bytes\":null,"
	"\"processes_peak\":1}}}\n"
	"\n"
	"{\"error\":{\"code\":\"internal_error\",\"message\":\"Lost.\",\"request_id\":\"abc\"}}\n";

static void send_all(struct stream *stream)
{
	struct test_result test = {
		.name = { "n", 1 },
		.ran = true,
		.has_expected = true,
		.passed = true,
		.result = { .stage = STAGE_RUN,
			    .message = "m",
			    .exited = true,
			    .output = { { "out", 3 }, { "err", 3 } },
			    .usage = { 1000, 0, 0, 0, USAGE_UNKNOWN, 1 } },
	};
	struct failure failure;

	failure_set(&failure, 500, NULL, NULL, "Lost.");
	if (stream_start(stream, "abc", "c", "12") < 0 ||
	    stream_stage(stream, STAGE_BUILD, -1) < 0 ||
	    stream_stage(stream, STAGE_RUN, 1) < 0 ||
	    stream_output(stream, LAUNCH_STDERR, "e", 1) < 0 ||
	    stream_stage_end(stream, &test.result) < 0 || stream_test(stream, 1, &test) < 0 ||
	    stream_heartbeat(stream) < 0 || stream_error(stream, &failure, "abc") < 0)
		abort();
}

static void check_all(void)
{
	static const enum answer_format formats[] = { ANSWER_NDJSON, ANSWER_SSE,
						      ANSWER_MSGPACK_STREAM };
	size_t i;

	for (i = 0; i < ARRAY_LEN(formats); i++) {
		struct collected c = { 0 };
		struct sink sink = collect_sink(&c);
		struct heard heard = { 0 };
		struct stream stream;

		stream_init(&stream, formats[i], &sink, ROOM);
		send_all(&stream);
		if (formats[i] == ANSWER_NDJSON) {
			if (!tap_ok(strcmp(c.buffer.data, expected_ndjson) == 0,
				    "NDJSON: every event"))
				tap_note("%s", c.buffer.data);
		} else if (formats[i] == ANSWER_SSE) {
			tap_ok(strstr(c.buffer.data, "data: {\"stage\":\"compile\"}\n\ndata: ") &&
				       strstr(c.buffer.data, "\n\n: still running\n\ndata: "),
			       "server-sent events: data lines, and a comment in silence");
		} else {
			hear(&heard, formats[i], &c.buffer);
			tap_ok(heard.events == 6 && !heard.broken && heard.out.size == 1,
			       "msgpack: maps one after another");
		}
		buffer_free(&heard.out);
		collect_reset(&c);
	}
}

static void check_done(void)
{
	struct answer answer = { .id = "abc",
				 .language = "c",
				 .has_run = true,
				 .run = { .message = "m", .output = { { "out", 3 } } } };
	struct collected c = { 0 };
	struct sink sink = collect_sink(&c);
	struct stream stream;
	json_t *json, *done;

	answer.run.dropped_bytes[LAUNCH_STDOUT] = 5;
	answer_conclude(&answer);
	stream_init(&stream, ANSWER_NDJSON, &sink, ROOM);
	if (stream_done(&stream, &answer) < 0)
		abort();
	json = json_loads(c.buffer.data, 0, NULL);
	done = json_object_get(json, "done");
	tap_ok(strcmp(json_string_value(json_object_get(done, "status")), "success") == 0 &&
		       json_object_get(done, "truncated") && json_object_get(done, "time") &&
		       !json_object_get(done, "stdout") && !json_object_get(done, "stderr"),
	       "done is the answer without the output");
	json_decref(json);
	collect_reset(&c);
}

/* An answer has a largest size, in pieces too; what finds no room is counted. */
static void check_room(void)
{
	static const enum answer_format formats[] = { ANSWER_NDJSON, ANSWER_MSGPACK_STREAM };
	static char chunk[1000];
	size_t i, k;

	memset(chunk, 'x', sizeof chunk);
	for (i = 0; i < ARRAY_LEN(formats); i++) {
		struct collected c = { 0 };
		struct sink sink = collect_sink(&c);
		struct stage_result result = { 0 };
		struct heard heard = { 0 };
		struct stream stream;

		stream_init(&stream, formats[i], &sink, 20000);
		for (k = 0; k < 30; k++)
			stream_output(&stream, LAUNCH_STDOUT, chunk, sizeof chunk);
		stream_stage_end(&stream, &result);
		hear(&heard, formats[i], &c.buffer);
		tap_ok(c.buffer.size <= 20000 && heard.out.size > 5000 && !heard.broken &&
			       heard.out.size + result.dropped_bytes[LAUNCH_STDOUT] == 30000,
		       "format %d: %zu bytes sent, the rest counted", formats[i], heard.out.size);
		buffer_free(&heard.out);
		collect_reset(&c);
	}
}

static void check_gone(void)
{
	struct collected c = { .fail_after = 5 };
	struct sink sink = collect_sink(&c);
	struct stream stream;

	stream_init(&stream, ANSWER_NDJSON, &sink, ROOM);
	tap_ok(stream_output(&stream, LAUNCH_STDOUT, "abcdef", 6) < 0,
	       "a reader that has gone is told of");
	collect_reset(&c);
}

int main(void)
{
	check_cuts(ANSWER_NDJSON, "NDJSON");
	check_cuts(ANSWER_SSE, "server-sent events");
	check_cuts(ANSWER_MSGPACK_STREAM, "msgpack");
	check_at_once();
	check_all();
	check_done();
	check_room();
	check_gone();
	return tap_done();
}
