/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "tests/wire/fcgi_client.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"

#define HEADER_SIZE 8
#define CONTENT_MAX 65535

struct bytes_out {
	unsigned char *data;
	size_t size;
};

int fcgi_connect(const char *path)
{
	return io_connect_unix(path, SOCK_STREAM, false, NULL);
}

static int send_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = send(fd, p, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int fcgi_send_record(int fd, enum fcgi_record type, const void *data, size_t size)
{
	static const unsigned char padding[8];
	unsigned char header[HEADER_SIZE] = { 1, (unsigned char)type, 0, 1, (unsigned char)(size >> 8),
					      (unsigned char)size, (unsigned char)(-size & 7), 0 };

	if (send_all(fd, header, sizeof header) < 0 || send_all(fd, data, size) < 0)
		return -1;
	return send_all(fd, padding, header[6]);
}

int fcgi_send_begin(int fd)
{
	static const unsigned char responder[8] = { 0, 1, 0 };

	return fcgi_send_record(fd, FCGI_BEGIN, responder, sizeof responder);
}

/* One length byte below 128, else four, the most significant first. */
static void put_length(struct bytes_out *out, size_t length)
{
	if (length < 128) {
		out->data[out->size++] = (unsigned char)length;
		return;
	}
	out->data[out->size++] = (unsigned char)(length >> 24 | 0x80);
	out->data[out->size++] = (unsigned char)(length >> 16);
	out->data[out->size++] = (unsigned char)(length >> 8);
	out->data[out->size++] = (unsigned char)length;
}

static int send_stream(int fd, enum fcgi_record type, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		size_t part = size < CONTENT_MAX ? size : CONTENT_MAX;

		if (fcgi_send_record(fd, type, p, part) < 0)
			return -1;
		p += part;
		size -= part;
	}
	return fcgi_send_record(fd, type, "", 0);
}

int fcgi_send_params(int fd, const struct fcgi_param *params, size_t count)
{
	struct bytes_out out = { NULL, 0 };
	size_t room = 0, i;
	int rc;

	for (i = 0; i < count; i++)
		room += 8 + strlen(params[i].name) + strlen(params[i].value);
	out.data = malloc(room + 1);
	if (!out.data)
		abort();
	for (i = 0; i < count; i++) {
		put_length(&out, strlen(params[i].name));
		put_length(&out, strlen(params[i].value));
		memcpy(out.data + out.size, params[i].name, strlen(params[i].name));
		out.size += strlen(params[i].name);
		memcpy(out.data + out.size, params[i].value, strlen(params[i].value));
		out.size += strlen(params[i].value);
	}
	rc = send_stream(fd, FCGI_PARAMS, out.data, out.size);
	free(out.data);
	return rc;
}

int fcgi_send_request(int fd, const struct fcgi_param *params, size_t count, const void *body,
		      size_t size)
{
	if (fcgi_send_begin(fd) < 0 || fcgi_send_params(fd, params, count) < 0)
		return -1;
	return send_stream(fd, FCGI_STDIN, body, size);
}

/* ---- the answer ---- */

static void append(struct fcgi_answer *answer, const void *data, size_t size)
{
	answer->text = realloc(answer->text, answer->size + size + 1);
	if (!answer->text)
		abort();
	memcpy(answer->text + answer->size, data, size);
	answer->size += size;
	answer->text[answer->size] = '\0';
}

static void find_body(struct fcgi_answer *answer)
{
	const char *end = answer->text ? memmem(answer->text, answer->size, "\r\n\r\n", 4) : NULL;

	if (!end)
		return;
	answer->body = end + 4;
	answer->body_size = answer->size - (size_t)(answer->body - answer->text);
	answer->status = strncmp(answer->text, "Status: ", 8) ? 200 : atoi(answer->text + 8);
}

static bool readable(int fd, uint64_t until_ms)
{
	struct pollfd p = { fd, POLLIN, 0 };
	uint64_t now = clock_ms();

	return poll(&p, 1, now < until_ms ? (int)(until_ms - now) : 0) == 1;
}

static bool read_part(int fd, void *data, size_t size, uint64_t until_ms)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n;

		if (!readable(fd, until_ms))
			return false;
		n = read(fd, (char *)data + done, size - done);
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

void fcgi_read(int fd, struct fcgi_answer *answer, const char *until, int timeout_ms)
{
	static unsigned char content[CONTENT_MAX + 256];
	uint64_t until_ms = clock_ms() + (uint64_t)timeout_ms;

	while (!answer->ended && !answer->closed) {
		unsigned char header[HEADER_SIZE];
		size_t size;

		if (until && answer->text && strstr(answer->text, until))
			break;
		if (!readable(fd, until_ms))
			break;
		if (!read_part(fd, header, sizeof header, until_ms)) {
			answer->closed = true;
			break;
		}
		size = (size_t)(header[4] << 8 | header[5]);
		if (!read_part(fd, content, size + header[6], until_ms)) {
			answer->closed = true;
			break;
		}
		if (header[1] == FCGI_STDOUT)
			append(answer, content, size);
		answer->ended = header[1] == FCGI_END;
	}
	find_body(answer);
}

void fcgi_answer_free(struct fcgi_answer *answer)
{
	free(answer->text);
	memset(answer, 0, sizeof *answer);
}

const char *fcgi_header(const struct fcgi_answer *answer, const char *name)
{
	static char value[256];
	const char *line = answer->text;
	size_t size = strlen(name), value_size;

	value[0] = '\0';
	for (; line && line < answer->body; line = strstr(line, "\r\n") + 2) {
		if (strncasecmp(line, name, size) != 0 || line[size] != ':')
			continue;
		line += size + 1 + strspn(line + size + 1, " ");
		value_size = strcspn(line, "\r");
		snprintf(value, sizeof value, "%.*s", (int)value_size, line);
		break;
	}
	return value;
}
