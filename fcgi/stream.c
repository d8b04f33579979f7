/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/stream.h"

#include <string.h>

#include "fcgi/encode.h"
#include "fcgi/utf8.h"

void stream_init(struct stream *stream, enum answer_format format, const struct sink *sink,
		 uint64_t answer_max_bytes)
{
	memset(stream, 0, sizeof *stream);
	stream->format = format;
	stream->sink = *sink;
	answer_room_init(&stream->room, format, answer_max_bytes);
}

/* ---- one event ---- */

static int write_event(struct stream *stream, put_fn put, const void *data)
{
	bool packed = stream->format == ANSWER_MSGPACK_STREAM;
	struct writer writer;

	writer_init(&writer, packed ? &msgpack_ops : &json_ops, &stream->sink);
	writer.no_output = true;
	if (stream->format == ANSWER_SSE)
		writer_string(&writer, "data: ");
	put_map(&writer, NULL, put, data);
	if (!packed)
		writer_string(&writer, stream->format == ANSWER_SSE ? "\n\n" : "\n");
	return writer_finish(&writer);
}

struct start {
	const char *id, *language, *version;
};

static void put_start_inner(struct writer *writer, const void *data)
{
	const struct start *start = data;

	put_text(writer, "id", start->id);
	put_text(writer, "language", start->language);
	put_text(writer, "version", start->version);
}

static void put_start(struct writer *writer, const void *data)
{
	put_map(writer, "start", put_start_inner, data);
}

int stream_start(struct stream *stream, const char *id, const char *language,
		 const char *version)
{
	struct start start = { id, language, version };

	return write_event(stream, put_start, &start);
}

struct stage_event {
	enum stage stage;
	int test;
};

static void put_stage_event(struct writer *writer, const void *data)
{
	const struct stage_event *event = data;

	put_text(writer, "stage", event->stage == STAGE_BUILD ? "compile" : "run");
	if (event->test >= 0)
		put_int(writer, "test", event->test);
}

int stream_stage(struct stream *stream, enum stage stage, int test)
{
	struct stage_event event = { stage, test };

	memset(stream->output, 0, sizeof stream->output);
	return write_event(stream, put_stage_event, &event);
}

/* ---- chunks ---- */

struct chunk {
	enum launch_stream which;
	struct bytes bytes;
};

static void put_chunk(struct writer *writer, const void *data)
{
	const struct chunk *chunk = data;

	put_output(writer, chunk->which == LAUNCH_STDOUT ? "stdout" : "stderr", chunk->bytes);
}

#define CHUNK_REST 32 /* what an event needs around its bytes */

/* Sends what still has room, and counts the rest. */
static int send_chunk(struct stream *stream, enum launch_stream which, const char *bytes,
		      size_t size)
{
	struct chunk chunk = { which, { bytes, size } };

	if (stream->room.left_bytes < CHUNK_REST)
		stream->room.left_bytes = CHUNK_REST;
	stream->room.left_bytes -= CHUNK_REST;
	chunk.bytes.size = answer_room_take(&stream->room, chunk.bytes);
	stream->output[which].dropped_bytes += size - chunk.bytes.size;
	return chunk.bytes.size ? write_event(stream, put_chunk, &chunk) : 0;
}

static int flush_held(struct stream *stream, enum launch_stream which)
{
	size_t size = stream->output[which].held_size;

	stream->output[which].held_size = 0;
	return size ? send_chunk(stream, which, stream->output[which].held, size) : 0;
}

/* Adds bytes to a character that was cut off until it is whole or turns out to be
 * none; returns how many of the bytes it took. */
static size_t complete_held(char *held, size_t *held_size, const char *bytes, size_t size)
{
	size_t taken = 0;

	while (taken < size) {
		held[*held_size] = bytes[taken];
		if (utf8_next(held, *held_size + 1, NULL)) {
			(*held_size)++;
			return taken + 1;
		}
		if (utf8_cut(held, *held_size + 1) != *held_size + 1)
			return taken;
		(*held_size)++;
		taken++;
	}
	return taken;
}

int stream_output(struct stream *stream, enum launch_stream which, const char *bytes,
		  size_t size)
{
	char *held = stream->output[which].held;
	size_t *held_size = &stream->output[which].held_size, cut;

	if (stream->format == ANSWER_MSGPACK_STREAM)
		return size ? send_chunk(stream, which, bytes, size) : 0;
	if (*held_size) {
		size_t taken = complete_held(held, held_size, bytes, size);

		bytes += taken;
		size -= taken;
		if (size == 0 && utf8_cut(held, *held_size) == *held_size)
			return 0;
		if (flush_held(stream, which) < 0)
			return -1;
	}
	cut = utf8_cut(bytes, size);
	if (cut)
		memcpy(held, bytes + size - cut, cut);
	*held_size = cut;
	return size > cut ? send_chunk(stream, which, bytes, size - cut) : 0;
}

int stream_stage_end(struct stream *stream, struct stage_result *result)
{
	size_t i;

	for (i = 0; i < LAUNCH_STREAMS; i++) {
		if (flush_held(stream, (enum launch_stream)i) < 0)
			return -1;
		result->dropped_bytes[i] += stream->output[i].dropped_bytes;
		stream->output[i].dropped_bytes = 0;
	}
	return 0;
}

/* ---- the rest ---- */

static void put_test_event(struct writer *writer, const void *data)
{
	put_map(writer, "test", put_test, data);
}

int stream_test(struct stream *stream, size_t index, const struct test_result *test)
{
	struct test_result numbered = *test;

	numbered.index = index;
	return write_event(stream, put_test_event, &numbered);
}

static void put_done(struct writer *writer, const void *data)
{
	put_map(writer, "done", put_answer, data);
}

int stream_done(struct stream *stream, const struct answer *answer)
{
	struct answer last = *answer;

	answer_keep_files(&stream->room, &last);
	return write_event(stream, put_done, &last);
}

int stream_error(struct stream *stream, const struct failure *failure, const char *request_id)
{
	struct refusal refusal = { failure, request_id };

	return write_event(stream, put_refusal, &refusal);
}

int stream_heartbeat(struct stream *stream)
{
	static const char *const beats[ANSWER_FORMATS] = {
		[ANSWER_NDJSON] = "\n",
		[ANSWER_SSE] = ": still running\n\n",
	};
	const char *beat = beats[stream->format];

	return beat ? stream->sink.write(stream->sink.data, beat, strlen(beat)) : 0;
}
