/* SPDX-License-Identifier: ISC */
/* multipart/form-data, after RFC 7578 and what browsers and curl send. The body
 * is whole in memory; parts are views of it.
 * Runs as: worker user. Pure. */
#define _GNU_SOURCE
#include <string.h>

#include "common/io.h"
#include "fcgi/value.h"

#define BOUNDARY_MAX 70
#define HEADERS_MAX  ((size_t)8 << 10) /* bytes of one part's header */

struct multipart {
	struct decoding *decoding;
	char delimiter[BOUNDARY_MAX + 5]; /* CR LF - - boundary */
	size_t delimiter_size;
	struct bytes rest;
};

static int malformed(const struct multipart *m, const char *why)
{
	return failure_set(m->decoding->failure, 400, "malformed", "body",
			   "Not a valid multipart form: %s.", why);
}

static bool boundary_valid(struct bytes boundary)
{
	size_t i;

	if (!boundary.size || boundary.size > BOUNDARY_MAX ||
	    boundary.data[boundary.size - 1] == ' ')
		return false;
	for (i = 0; i < boundary.size; i++)
		if (boundary.data[i] < 0x20 || boundary.data[i] > 0x7e)
			return false;
	return true;
}

static int read_boundary(struct multipart *m)
{
	struct bytes rest, name, value, boundary = { 0 };
	int rc;

	header_value(m->decoding->request->content_type, &rest);
	while ((rc = header_parameter(&rest, m->decoding->arena, &name, &value)) > 0)
		if (bytes_are_nocase(name, "boundary"))
			boundary = value;
	if (rc < 0 || !boundary_valid(boundary))
		return failure_set(
			m->decoding->failure, 400, "malformed", "Content-Type",
			"multipart/form-data needs a boundary of 1 to %d characters.",
			BOUNDARY_MAX);
	memcpy(m->delimiter, "\r\n--", 4);
	memcpy(m->delimiter + 4, boundary.data, boundary.size);
	m->delimiter_size = 4 + boundary.size;
	return 0;
}

static void skip(struct bytes *rest, size_t size)
{
	rest->data += size;
	rest->size -= size;
}

static bool starts_with(struct bytes text, const char *with, size_t size)
{
	return text.size >= size && memcmp(text.data, with, size) == 0;
}

/* Behind a delimiter: 1 when another part follows, 0 after the last one. */
static int after_delimiter(struct multipart *m)
{
	if (starts_with(m->rest, "--", 2))
		return 0;
	while (m->rest.size && (m->rest.data[0] == ' ' || m->rest.data[0] == '\t'))
		skip(&m->rest, 1);
	if (!starts_with(m->rest, "\r\n", 2))
		return malformed(m, "a boundary without its line end");
	skip(&m->rest, 2);
	return 1;
}

/* The first delimiter has no CR LF before it when it opens the body. */
static int skip_preamble(struct multipart *m)
{
	const char *found;

	if (starts_with(m->rest, m->delimiter + 2, m->delimiter_size - 2)) {
		skip(&m->rest, m->delimiter_size - 2);
		return after_delimiter(m);
	}
	found = memmem(m->rest.data, m->rest.size, m->delimiter, m->delimiter_size);
	if (!found)
		return malformed(m, "its boundary is not in the body");
	skip(&m->rest, (size_t)(found - m->rest.data) + m->delimiter_size);
	return after_delimiter(m);
}

/* The value of Content-Disposition: form-data; name="x"; filename="y" */
static int read_disposition(struct multipart *m, struct bytes header, struct form_field *field)
{
	char *text = arena_copy(m->decoding->arena, header.data, header.size);
	struct bytes rest, name, value;
	bool has_name = false;
	int rc;

	if (!text)
		return decode_no_room(m->decoding);
	if (memchr(text, '\0', header.size))
		return malformed(m, "a NUL in a part's header");
	if (!bytes_are_nocase(header_value(text, &rest), "form-data"))
		return malformed(m, "a part that is no form-data");
	while ((rc = header_parameter(&rest, m->decoding->arena, &name, &value)) > 0) {
		if (bytes_are_nocase(name, "name")) {
			if (has_name)
				return malformed(m, "a part with two names");
			has_name = true;
			field->name = value;
		} else if (bytes_are_nocase(name, "filename")) {
			if (field->is_file)
				return malformed(m, "a part with two file names");
			field->is_file = true;
			field->file_name = value;
		}
	}
	if (rc < 0 || !has_name)
		return malformed(m, "a part without a name");
	return 0;
}

static int refuse_transfer_encoding(struct multipart *m, struct bytes value)
{
	static const char *const plain[] = { "7bit", "8bit", "binary" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(plain); i++)
		if (bytes_are_nocase(value, plain[i]))
			return 0;
	return malformed(m, "a part with a Content-Transfer-Encoding; send bytes as they are");
}

static int read_header_line(struct multipart *m, struct bytes line, struct form_field *field,
			    bool *has_disposition)
{
	const char *colon = memchr(line.data, ':', line.size);
	struct bytes name, value;

	if (!colon || line.data[0] == ' ' || line.data[0] == '\t')
		return malformed(m, "a part with a broken header line");
	name = (struct bytes){ line.data, (size_t)(colon - line.data) };
	value = (struct bytes){ colon + 1, line.size - name.size - 1 };
	while (value.size && (value.data[0] == ' ' || value.data[0] == '\t'))
		skip(&value, 1);
	while (value.size && (value.data[value.size - 1] == ' ' ||
			      value.data[value.size - 1] == '\t'))
		value.size--;
	if (bytes_are_nocase(name, "Content-Transfer-Encoding"))
		return refuse_transfer_encoding(m, value);
	if (!bytes_are_nocase(name, "Content-Disposition"))
		return 0;
	if (*has_disposition)
		return malformed(m, "a part with two Content-Disposition lines");
	*has_disposition = true;
	return read_disposition(m, value, field);
}

static int read_headers(struct multipart *m, struct form_field *field)
{
	size_t left = HEADERS_MAX;
	bool has_disposition = false;

	for (;;) {
		size_t most = m->rest.size < left ? m->rest.size : left;
		const char *end = memmem(m->rest.data, most, "\r\n", 2);
		struct bytes line = { m->rest.data, end ? (size_t)(end - m->rest.data) : 0 };

		if (!end)
			return malformed(m, most == left
						    ? "a part's header is longer than 8 KiB"
						    : "it is cut short in a part's header");
		skip(&m->rest, line.size + 2);
		left -= line.size + 2;
		if (!line.size)
			break;
		if (read_header_line(m, line, field, &has_disposition) < 0)
			return -1;
	}
	return has_disposition ? 0 : malformed(m, "a part without Content-Disposition");
}

/* The content goes to the next delimiter. An empty part may have its delimiter
 * right behind the header: the empty line's CR LF is then the delimiter's. */
static int read_content(struct multipart *m, struct bytes *ret_content)
{
	const char *found;

	m->rest.data -= 2;
	m->rest.size += 2;
	found = memmem(m->rest.data, m->rest.size, m->delimiter, m->delimiter_size);
	if (!found)
		return malformed(m, "its last boundary is missing");
	if (found == m->rest.data)
		*ret_content = (struct bytes){ found, 0 };
	else
		*ret_content = (struct bytes){ m->rest.data + 2,
					       (size_t)(found - m->rest.data) - 2 };
	skip(&m->rest, (size_t)(found - m->rest.data) + m->delimiter_size);
	return 0;
}

int decode_multipart(struct decoding *decoding, struct value *ret_value)
{
	struct multipart m = { .decoding = decoding, .rest = decoding->request->body };
	struct form form = { 0 };
	int more;

	if (read_boundary(&m) < 0)
		return -1;
	for (more = skip_preamble(&m); more > 0; more = after_delimiter(&m)) {
		struct form_field field = { 0 };

		if (read_headers(&m, &field) < 0 || read_content(&m, &field.value) < 0 ||
		    form_add(decoding, &form, &field) < 0)
			return -1;
	}
	return more < 0 ? -1 : form_value(decoding, &form, ret_value);
}
