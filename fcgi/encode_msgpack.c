/* SPDX-License-Identifier: ISC */
/* msgpack by msgpack-c's packer, straight into the writer: program output is bin,
 * byte for byte; text is str. Runs as: worker user. Pure. */
#include <msgpack/pack.h>
#include <string.h>

#include "fcgi/utf8.h"
#include "fcgi/writer.h"

static int append(void *data, const char *bytes, size_t size)
{
	writer_raw(data, bytes, size);
	return 0;
}

static msgpack_packer packer(struct writer *writer)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, writer, append);
	return pk;
}

static void write_str(struct writer *writer, const char *text, size_t size)
{
	msgpack_packer pk = packer(writer);

	msgpack_pack_str(&pk, size);
	msgpack_pack_str_body(&pk, text, size);
}

static void msgpack_map_begin(struct writer *writer, uint32_t count)
{
	msgpack_packer pk = packer(writer);

	msgpack_pack_map(&pk, count);
}

static void msgpack_list_begin(struct writer *writer, uint32_t count)
{
	msgpack_packer pk = packer(writer);

	msgpack_pack_array(&pk, count);
}

static void msgpack_end(struct writer *writer)
{
	(void)writer; /* the count in front says where it ends */
}

static void msgpack_key(struct writer *writer, const char *name)
{
	write_str(writer, name, strlen(name));
}

static void msgpack_null(struct writer *writer)
{
	msgpack_packer pk = packer(writer);

	msgpack_pack_nil(&pk);
}

static void msgpack_boolean(struct writer *writer, bool value)
{
	msgpack_packer pk = packer(writer);

	if (value)
		msgpack_pack_true(&pk);
	else
		msgpack_pack_false(&pk);
}

static void msgpack_integer(struct writer *writer, int64_t value)
{
	msgpack_packer pk = packer(writer);

	msgpack_pack_int64(&pk, value);
}

static void msgpack_thousandths(struct writer *writer, uint64_t value)
{
	msgpack_packer pk = packer(writer);

	msgpack_pack_double(&pk, (double)value / 1000);
}

/* What is text in JSON is text here: the same U+FFFD in the same places. */
static void msgpack_text(struct writer *writer, struct bytes text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	msgpack_packer pk = packer(writer);
	size_t size = 0, i, n, bad;

	if (utf8_valid(text.data, text.size)) {
		write_str(writer, text.data, text.size);
		return;
	}
	for (i = 0; i < text.size; i += n ? n : bad) {
		n = utf8_next(text.data + i, text.size - i, &bad);
		size += n ? n : sizeof replacement - 1;
	}
	msgpack_pack_str(&pk, size);
	for (i = 0; i < text.size; i += n ? n : bad) {
		n = utf8_next(text.data + i, text.size - i, &bad);
		writer_raw(writer, n ? text.data + i : replacement,
			   n ? n : sizeof replacement - 1);
	}
}

static void msgpack_output(struct writer *writer, const char *name, struct bytes output)
{
	msgpack_packer pk = packer(writer);

	(void)name;
	msgpack_pack_bin(&pk, output.size);
	msgpack_pack_bin_body(&pk, output.size ? output.data : "", output.size);
}

const struct writer_ops msgpack_ops = {
	.needs_counts = true,
	.map_begin = msgpack_map_begin,
	.map_end = msgpack_end,
	.list_begin = msgpack_list_begin,
	.list_end = msgpack_end,
	.key = msgpack_key,
	.null = msgpack_null,
	.boolean = msgpack_boolean,
	.integer = msgpack_integer,
	.thousandths = msgpack_thousandths,
	.text = msgpack_text,
	.output = msgpack_output,
};
