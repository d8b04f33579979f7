/* SPDX-License-Identifier: ISC */
/* Runs as: whoever asks. */
#define _GNU_SOURCE
#include "fcgi/client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/io.h"

#define VERSION	    1
#define REQUEST_ID  1
#define ROLE	    1 /* responder */
#define CONTENT_MAX 65535
#define STDIN_CHUNK 32768 /* content of one record of the body; a multiple of 8 */

enum { END_COMPLETE, END_CANT_MULTIPLEX, END_OVERLOADED, END_UNKNOWN_ROLE };

void client_put_head(uint8_t *head, enum client_record type, size_t size)
{
	head[0] = VERSION;
	head[1] = (uint8_t)type;
	head[2] = REQUEST_ID >> 8;
	head[3] = REQUEST_ID & 0xff;
	head[4] = (uint8_t)(size >> 8);
	head[5] = (uint8_t)(size & 0xff);
	head[6] = 0;
	head[7] = 0;
}

size_t client_put_length(uint8_t *at, size_t length)
{
	if (length < 128) {
		at[0] = (uint8_t)length;
		return 1;
	}
	at[0] = (uint8_t)(0x80 | (length >> 24));
	at[1] = (uint8_t)(length >> 16);
	at[2] = (uint8_t)(length >> 8);
	at[3] = (uint8_t)length;
	return 4;
}

/* ---- what goes out, made whole: requests are small ---- */

struct bytes_out {
	uint8_t *data;
	size_t size, room;
	bool failed; /* no memory */
};

static void put(struct bytes_out *out, const void *data, size_t size)
{
	if (out->failed || size == 0)
		return;
	if (out->room - out->size < size) {
		size_t room = 2 * (out->size + size);
		uint8_t *grown = realloc(out->data, room);

		if (!grown) {
			out->failed = true;
			return;
		}
		out->data = grown;
		out->room = room;
	}
	memcpy(out->data + out->size, data, size);
	out->size += size;
}

/* A stream of one kind: records of at most chunk bytes, then an empty one. */
static void put_stream(struct bytes_out *out, enum client_record type, const void *data,
		       size_t size, size_t chunk)
{
	uint8_t head[CLIENT_HEAD_BYTES];
	const uint8_t *at = data;

	while (size > 0) {
		size_t n = size < chunk ? size : chunk;

		client_put_head(head, type, n);
		put(out, head, sizeof head);
		put(out, at, n);
		at += n;
		size -= n;
	}
	client_put_head(head, type, 0);
	put(out, head, sizeof head);
}

static void put_params(struct bytes_out *out, const struct client_request *request)
{
	struct bytes_out params = { 0 };
	size_t i;

	for (i = 0; i < request->params_count; i++) {
		const struct client_param *p = &request->params[i];
		size_t name_size = strlen(p->name), value_size = strlen(p->value);
		uint8_t lengths[8];
		size_t n = client_put_length(lengths, name_size);

		n += client_put_length(lengths + n, value_size);
		put(&params, lengths, n);
		put(&params, p->name, name_size);
		put(&params, p->value, value_size);
	}
	out->failed |= params.failed;
	put_stream(out, CLIENT_PARAMS, params.data, params.size, CONTENT_MAX);
	free(params.data);
}

static int make_request(const struct client_request *request, struct bytes_out *out,
			struct error *err)
{
	uint8_t begin[CLIENT_HEAD_BYTES + 8] = { 0 };

	client_put_head(begin, CLIENT_BEGIN, 8);
	begin[CLIENT_HEAD_BYTES + 1] = ROLE;
	put(out, begin, sizeof begin);
	put_params(out, request);
	put_stream(out, CLIENT_STDIN, request->body, request->body_size, STDIN_CHUNK);
	return out->failed ? error_set(err, ENOMEM, "out of memory") : 0;
}

/* ---- what comes back ---- */

struct client {
	int sock_fd;
	struct bytes_out out;
	size_t sent;
	uint8_t in[CLIENT_HEAD_BYTES + CONTENT_MAX + 255];
	size_t in_size;
	bool ended;
	const struct client_reader *reader;
};

static int on_end(struct client *c, const uint8_t *content, size_t size, struct error *err)
{
	if (size < 8)
		return error_set(err, EPROTO, "a FastCGI record is cut short");
	if (content[4] == END_OVERLOADED)
		return error_set(err, EAGAIN, "the pool is busy");
	if (content[4] != END_COMPLETE)
		return error_set(err, EPROTO, "FastCGI refused the request (%d)", content[4]);
	c->ended = true;
	return 0;
}

static int on_record(struct client *c, unsigned type, const uint8_t *content, size_t size,
		     struct error *err)
{
	const struct client_reader *r = c->reader;
	int rc = 0;

	if (type == CLIENT_END)
		return on_end(c, content, size, err);
	if (type == CLIENT_STDOUT && size > 0)
		rc = r->on_stdout(r->data, (const char *)content, size);
	else if (type == CLIENT_STDERR && size > 0 && r->on_stderr)
		rc = r->on_stderr(r->data, (const char *)content, size);
	return rc < 0 ? error_set(err, ECANCELED, "cancelled") : 0;
}

/* Every whole record; what is left of one moves to the front. */
static int take_records(struct client *c, struct error *err)
{
	size_t at = 0;

	while (!c->ended && c->in_size - at >= CLIENT_HEAD_BYTES) {
		const uint8_t *head = c->in + at;
		size_t size = (size_t)head[4] << 8 | head[5], whole;

		if (head[0] != VERSION)
			return error_set(err, EPROTO, "whoever listens there does not speak FastCGI");
		whole = CLIENT_HEAD_BYTES + size + head[6];
		if (c->in_size - at < whole)
			break;
		if (on_record(c, head[1], head + CLIENT_HEAD_BYTES, size, err) < 0)
			return -1;
		at += whole;
	}
	memmove(c->in, c->in + at, c->in_size - at);
	c->in_size -= at;
	return 0;
}

static int receive(struct client *c, struct error *err)
{
	ssize_t n = recv(c->sock_fd, c->in + c->in_size, sizeof c->in - c->in_size, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : error_errno(err, "read from the pool");
	if (n == 0)
		return error_set(err, ECONNRESET,
				 "the connection was lost midway; the program may have run");
	c->in_size += (size_t)n;
	return take_records(c, err);
}

/* A worker that answers early and hangs up is no failure: its answer is still to be read. */
static int transmit(struct client *c, struct error *err)
{
	ssize_t n = send(c->sock_fd, c->out.data + c->sent, c->out.size - c->sent, MSG_NOSIGNAL);

	if (n < 0 && errno == EPIPE)
		c->sent = c->out.size;
	else if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : error_errno(err, "write to the pool");
	else
		c->sent += (size_t)n;
	return 0;
}

static int step(struct client *c, struct error *err)
{
	const struct client_reader *r = c->reader;
	struct pollfd fds[1 + CLIENT_FDS_MAX] = { { .fd = c->sock_fd, .events = POLLIN } };
	size_t count = 1;

	if (c->sent < c->out.size)
		fds[0].events |= POLLOUT;
	if (r->wait_for)
		count += r->wait_for(r->data, fds + 1);
	if (poll(fds, count, -1) < 0 && errno != EINTR)
		return error_errno(err, "poll");
	if (r->on_wake && r->on_wake(r->data) < 0)
		return error_set(err, ECANCELED, "cancelled");
	if (fds[0].revents & POLLOUT && transmit(c, err) < 0)
		return -1;
	if (fds[0].revents & (POLLIN | POLLHUP | POLLERR))
		return receive(c, err);
	return 0;
}

static int connect_to(const char *path, struct error *err)
{
	int fd = io_connect_unix(path, SOCK_STREAM, true, err);

	if (fd < 0 && err->code == EAGAIN)
		return error_set(err, EAGAIN, "the pool is busy");
	return fd;
}

int client_exchange(const char *socket_path, const struct client_request *request,
		    const struct client_reader *reader, struct error *err)
{
	cleanup_close int sock_fd = connect_to(socket_path, err);
	struct client *c;
	int rc = -1;

	if (sock_fd < 0)
		return -1;
	c = calloc(1, sizeof *c);
	if (!c)
		return error_set(err, ENOMEM, "out of memory");
	c->sock_fd = sock_fd;
	c->reader = reader;
	if (make_request(request, &c->out, err) == 0) {
		do
			rc = step(c, err);
		while (rc == 0 && !c->ended);
	}
	free(c->out.data);
	free(c);
	return rc;
}
