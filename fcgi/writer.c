/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/writer.h"

#include <string.h>

void writer_init(struct writer *writer, const struct writer_ops *ops, const struct sink *sink)
{
	writer->ops = ops;
	writer->sink = sink;
	writer->failed = false;
	writer->no_output = false;
	writer->counting = false;
	writer->keys = 0;
	writer->comma = false;
	writer->used = 0;
}

static void send(struct writer *writer, const char *bytes, size_t size)
{
	if (size && !writer->failed && writer->sink->write(writer->sink->data, bytes, size) < 0)
		writer->failed = true;
}

void writer_raw(struct writer *writer, const char *bytes, size_t size)
{
	if (size > sizeof writer->room - writer->used) {
		send(writer, writer->room, writer->used);
		writer->used = 0;
		if (size >= sizeof writer->room) {
			send(writer, bytes, size);
			return;
		}
	}
	if (size)
		memcpy(writer->room + writer->used, bytes, size);
	writer->used += size;
}

void writer_string(struct writer *writer, const char *text)
{
	writer_raw(writer, text, strlen(text));
}

int writer_finish(struct writer *writer)
{
	send(writer, writer->room, writer->used);
	writer->used = 0;
	return writer->failed ? -1 : 0;
}

/* Writes the key, if there is one; true when the value is to be written too. */
static bool begin(struct writer *writer, const char *key)
{
	if (writer->counting) {
		writer->keys += key != NULL;
		return false;
	}
	if (key)
		writer->ops->key(writer, key);
	return true;
}

void put_map(struct writer *writer, const char *key, put_fn put, const void *data)
{
	uint32_t count = 0;

	if (!begin(writer, key))
		return;
	if (writer->ops->needs_counts) {
		writer->counting = true;
		writer->keys = 0;
		put(writer, data);
		writer->counting = false;
		count = writer->keys;
	}
	writer->ops->map_begin(writer, count);
	put(writer, data);
	writer->ops->map_end(writer);
}

void put_list(struct writer *writer, const char *key, put_fn put_item, const void *items,
	      size_t count, size_t item_size)
{
	size_t i;

	if (!begin(writer, key))
		return;
	writer->ops->list_begin(writer, (uint32_t)count);
	for (i = 0; i < count; i++)
		put_map(writer, NULL, put_item, (const char *)items + i * item_size);
	writer->ops->list_end(writer);
}

void put_null(struct writer *writer, const char *key)
{
	if (begin(writer, key))
		writer->ops->null(writer);
}

void put_bool(struct writer *writer, const char *key, bool value)
{
	if (begin(writer, key))
		writer->ops->boolean(writer, value);
}

void put_int(struct writer *writer, const char *key, int64_t value)
{
	if (begin(writer, key))
		writer->ops->integer(writer, value);
}

void put_ms(struct writer *writer, const char *key, uint64_t us)
{
	if (begin(writer, key))
		writer->ops->thousandths(writer, us);
}

void put_text(struct writer *writer, const char *key, const char *text)
{
	if (!text)
		put_null(writer, key);
	else if (begin(writer, key))
		writer->ops->text(writer, (struct bytes){ text, strlen(text) });
}

void put_text_bytes(struct writer *writer, const char *key, struct bytes text)
{
	if (begin(writer, key))
		writer->ops->text(writer, text);
}

void put_output(struct writer *writer, const char *key, struct bytes output)
{
	if (begin(writer, key))
		writer->ops->output(writer, key, output);
}
