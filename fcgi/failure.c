/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fcgi/utf8.h"

static const struct {
	int http_status;
	const char *code;
} codes[] = {
	{ 400, "invalid" },
	{ 401, "unauthorized" },
	{ 403, "forbidden" },
	{ 404, "not_found" },
	{ 405, "method_not_allowed" },
	{ 406, "not_acceptable" },
	{ 411, "length_required" },
	{ 413, "too_large" },
	{ 415, "unsupported_media_type" },
	{ 422, "unknown_language" },
	{ 429, "too_many_requests" },
	{ 500, "internal_error" },
	{ 503, "busy" },
};

const char *failure_code(int http_status)
{
	size_t i;

	for (i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (codes[i].http_status == http_status)
			return codes[i].code;
	return http_status < 500 ? "invalid" : "internal_error";
}

/* Pieces of the request may be in it, as a parser quotes them: bytes that are no
 * text, or a character that was cut off. */
static void make_text(char *message)
{
	size_t size = strlen(message), i, n;

	for (i = 0; i < size; i += n) {
		unsigned char c = (unsigned char)message[i];

		n = utf8_next(message + i, size - i, NULL);
		if (n && c >= 0x20 && c != 0x7f)
			continue;
		message[i] = '?';
		n = 1;
	}
}

int failure_set(struct failure *failure, int http_status, const char *code, const char *field,
		const char *fmt, ...)
{
	va_list ap;

	memset(failure, 0, sizeof *failure);
	failure->http_status = http_status;
	snprintf(failure->code, sizeof failure->code, "%s",
		 code ? code : failure_code(http_status));
	snprintf(failure->field, sizeof failure->field, "%s", field ? field : "");
	va_start(ap, fmt);
	vsnprintf(failure->message, sizeof failure->message, fmt, ap);
	va_end(ap);
	make_text(failure->message);
	return -1;
}
