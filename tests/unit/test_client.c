/* SPDX-License-Identifier: ISC */
/* The client's side of FastCGI against a responder that answers in every awkward
 * way; and msgpack as trees. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "fcgi/client.h"
#include "fcgi/packed.h"
#include "tests/tap.h"

static char folder[] = "/tmp/test_client.XXXXXX";
static char socket_path[64];

/* ---- lengths ---- */

static void test_lengths(void)
{
	static const struct {
		size_t length, bytes;
		uint8_t at[4];
	} rows[] = {
		{ 0, 1, { 0 } },
		{ 127, 1, { 127 } },
		{ 128, 4, { 0x80, 0, 0, 128 } },
		{ 300, 4, { 0x80, 0, 1, 44 } },
		{ 0x12345678, 4, { 0x92, 0x34, 0x56, 0x78 } },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t at[4];

		tap_ok(client_put_length(at, rows[i].length) == rows[i].bytes &&
			       memcmp(at, rows[i].at, rows[i].bytes) == 0,
		       "a length of %zu takes %zu bytes, highest first", rows[i].length,
		       rows[i].bytes);
	}
}

/* ---- the responder ---- */

struct heard {
	uint8_t data[200000];
	size_t size; /* up to and with the empty record of the body */
};

/* Reads records until the body has ended. */
static void hear(int fd, struct heard *heard)
{
	uint8_t *head;

	for (;;) {
		size_t at = heard->size, size;

		if (io_read_full(fd, heard->data + at, CLIENT_HEAD_BYTES) != CLIENT_HEAD_BYTES)
			_exit(1);
		head = heard->data + at;
		size = (size_t)head[4] << 8 | head[5];
		if (io_read_full(fd, head + CLIENT_HEAD_BYTES, size) != (ssize_t)size)
			_exit(1);
		heard->size += CLIENT_HEAD_BYTES + size;
		if (head[1] == CLIENT_STDIN && size == 0)
			return;
	}
}

static void say(int fd, enum client_record type, const void *content, size_t size, uint8_t padding)
{
	uint8_t head[CLIENT_HEAD_BYTES];
	static const uint8_t zeros[255];

	client_put_head(head, type, size);
	head[6] = padding;
	io_write_full(fd, head, sizeof head);
	io_write_full(fd, content, size);
	io_write_full(fd, zeros, padding);
}

static void say_end(int fd, uint8_t how)
{
	const uint8_t end[8] = { 0, 0, 0, 0, how };

	say(fd, CLIENT_END, end, sizeof end, 0);
}

/* Params and body, as one hears them, without the records around them. */
static size_t gather(const struct heard *heard, unsigned type, char *ret_data)
{
	size_t at = 0, used = 0;

	while (at < heard->size) {
		const uint8_t *head = heard->data + at;
		size_t size = (size_t)head[4] << 8 | head[5];

		if (head[1] == type) {
			memcpy(ret_data + used, head + CLIENT_HEAD_BYTES, size);
			used += size;
		}
		at += CLIENT_HEAD_BYTES + size;
	}
	return used;
}

static void answer_echo(int fd, const struct heard *heard)
{
	static char data[200000];
	size_t size = gather(heard, CLIENT_PARAMS, data);

	say(fd, CLIENT_STDOUT, data, size, 0);
	size = gather(heard, CLIENT_STDIN, data);
	say(fd, CLIENT_STDERR, data, size < 60000 ? size : 60000, 0);
	say_end(fd, 0);
}

/* Every byte alone, padding of all lengths, an empty record in between. */
static void answer_in_pieces(int fd, const struct heard *heard)
{
	int pipe_fds[2];
	uint8_t byte;

	(void)heard;
	if (pipe(pipe_fds) < 0)
		_exit(1);
	say(pipe_fds[1], CLIENT_STDOUT, "one ", 4, 255);
	say(pipe_fds[1], CLIENT_STDOUT, "", 0, 7);
	say(pipe_fds[1], 99, "unknown", 7, 1);
	say(pipe_fds[1], CLIENT_STDOUT, "two", 3, 0);
	say_end(pipe_fds[1], 0);
	close(pipe_fds[1]);
	while (read(pipe_fds[0], &byte, 1) == 1)
		io_write_full(fd, &byte, 1);
}

static void answer_early_end(int fd, const struct heard *heard)
{
	(void)heard;
	say(fd, CLIENT_STDOUT, "half", 4, 0);
}

static void answer_overloaded(int fd, const struct heard *heard)
{
	(void)heard;
	say_end(fd, 2);
}

static void answer_other_protocol(int fd, const struct heard *heard)
{
	(void)heard;
	io_write_full(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

static void answer_large(int fd, const struct heard *heard)
{
	static char data[65535];
	int i;

	(void)heard;
	memset(data, 'x', sizeof data);
	for (i = 0; i < 16; i++)
		say(fd, CLIENT_STDOUT, data, sizeof data, (uint8_t)i);
	say_end(fd, 0);
}

struct served {
	int listen_fd;
	pid_t pid;
};

/* One connection, answered by a child. */
static struct served serve(void (*answer)(int fd, const struct heard *heard))
{
	static struct heard heard;
	struct error err = ERROR_INIT;
	struct served served;
	int fd;

	unlink(socket_path);
	served.listen_fd = io_listen_unix(socket_path, SOCK_STREAM, 0600, (gid_t)-1, 4, &err);
	if (served.listen_fd < 0) {
		tap_note("%s", err.text);
		exit(1);
	}
	served.pid = fork();
	if (served.pid != 0)
		return served;
	fd = accept(served.listen_fd, NULL, NULL);
	heard.size = 0;
	hear(fd, &heard);
	answer(fd, &heard);
	_exit(0);
}

static void serve_end(struct served *served)
{
	close(served->listen_fd);
	kill(served->pid, SIGKILL);
	waitpid(served->pid, NULL, 0);
}

struct taken {
	char out[1200000], err[70000];
	size_t out_size, err_size;
	bool refuse;
};

static int take_out(void *data, const char *bytes, size_t size)
{
	struct taken *t = data;

	if (t->refuse)
		return -1;
	memcpy(t->out + t->out_size, bytes, size);
	t->out_size += size;
	return 0;
}

static int take_err(void *data, const char *bytes, size_t size)
{
	struct taken *t = data;

	memcpy(t->err + t->err_size, bytes, size);
	t->err_size += size;
	return 0;
}

static int exchange(struct taken *taken, const struct client_request *request,
		    void (*answer)(int fd, const struct heard *heard), struct error *err)
{
	const struct client_reader reader = { .on_stdout = take_out, .on_stderr = take_err,
					      .data = taken };
	struct served served = serve(answer);
	int rc = client_exchange(socket_path, request, &reader, err);

	serve_end(&served);
	return rc;
}

static void test_exchanges(void)
{
	static struct taken t;
	static char body[100000], value[201];
	struct error err = ERROR_INIT;
	struct client_param params[] = { { "A", "" }, { "LONG", value } };
	const struct client_request request = { params, 2, body, sizeof body };
	size_t i;

	for (i = 0; i < sizeof body; i++)
		body[i] = (char)(i * 7);
	memset(value, 'v', 200);

	tap_ok(exchange(&t, &request, answer_echo, &err) == 0, "an exchange ends well: %s", err.text);
	tap_ok(t.out_size == 2 + 1 + 1 + 4 + 4 + 200 && memcmp(t.out, "\1\0A\4\x80\0\0\xc8LONGvvv", 15) == 0,
	       "parameters arrive, with one and with four bytes of length");
	tap_ok(t.err_size == 60000 && memcmp(t.err, body, 60000) == 0,
	       "a body of several records arrives whole");

	memset(&t, 0, sizeof t);
	tap_ok(exchange(&t, &request, answer_in_pieces, &err) == 0 && t.out_size == 7 &&
		       memcmp(t.out, "one two", 7) == 0,
	       "records in pieces, with padding, empty and unknown ones");

	memset(&t, 0, sizeof t);
	tap_ok(exchange(&t, &request, answer_large, &err) == 0 && t.out_size == 16 * 65535,
	       "records of the greatest size");

	tap_ok(exchange(&t, &request, answer_early_end, &err) < 0 && err.code == ECONNRESET,
	       "an end midway is no end: %s", err.text);
	tap_ok(exchange(&t, &request, answer_overloaded, &err) < 0 && err.code == EAGAIN,
	       "overloaded is busy: %s", err.text);
	tap_ok(exchange(&t, &request, answer_other_protocol, &err) < 0 && err.code == EPROTO,
	       "another protocol is told: %s", err.text);
	t.refuse = true;
	tap_ok(exchange(&t, &request, answer_echo, &err) < 0 && err.code == ECANCELED,
	       "a reader that refuses cancels");

	unlink(socket_path);
	tap_ok(client_exchange(socket_path, &request, &(struct client_reader){ 0 }, &err) < 0 &&
		       err.code == ENOENT,
	       "nobody there: %s", err.text);
}

/* ---- msgpack ---- */

static void test_packed(void)
{
	static const char deep[64] = "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
				     "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
				     "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
				     "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91";
	json_t *tree = json_pack("{s:[i, f, b, n], s:o}", "list", -5, 1.5, 1, "bytes",
				 json_stringn_nocheck("\xff\0x", 3));
	struct packed_reader *reader = packed_reader_new(1000);
	json_t *back, *value;
	size_t size, i;
	char *bytes = packed_encode(tree, &size);
	int rc = 0, count = 0;

	back = packed_decode(bytes, size);
	tap_ok(back && json_equal(tree, back), "a tree comes back as it went");
	json_decref(back);
	tap_ok(!packed_decode(bytes, size - 1), "one byte less is no value");
	tap_ok(!packed_decode(deep, sizeof deep), "too deep is no value");

	for (i = 0; i < 2 * size && rc >= 0; i++) {
		rc = packed_reader_feed(reader, &bytes[i % size], 1);
		while (rc >= 0 && (rc = packed_reader_next(reader, &value)) > 0) {
			count += json_equal(tree, value);
			json_decref(value);
		}
	}
	tap_ok(rc == 0 && count == 2, "two values in single bytes");
	rc = packed_reader_feed(reader, "\xc1", 1);
	tap_ok(rc == 0 && packed_reader_next(reader, &value) < 0, "a byte that msgpack has not");
	packed_reader_free(reader);

	reader = packed_reader_new(16);
	tap_ok(packed_reader_feed(reader, deep, sizeof deep) < 0, "a value beyond the cap");
	packed_reader_free(reader);
	json_decref(tree);
	free(bytes);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	snprintf(socket_path, sizeof socket_path, "%s/s", folder);
	test_lengths();
	test_exchanges();
	test_packed();
	unlink(socket_path);
	rmdir(folder);
	return tap_done();
}
