/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "tests/bench/http_client.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/bench/bench.h"

static struct sockaddr_in address(unsigned port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
	                            .sin_port = htons((uint16_t)port),
	                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

unsigned http_free_port(void)
{
	struct sockaddr_in addr = address(0);
	socklen_t size = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, size) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &size) < 0)
		die("no free port");
	close(fd);
	return ntohs(addr.sin_port);
}

static int dial(struct http *http)
{
	struct sockaddr_in addr = address(http->port);
	struct timeval patience = {150, 0};
	int one = 1;

	close_fd(&http->fd);
	http->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (http->fd < 0 || connect(http->fd, (struct sockaddr *)&addr, sizeof addr) < 0) {
		close_fd(&http->fd);
		return -1;
	}
	setsockopt(http->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(http->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return 0;
}

void http_open(struct http *http, unsigned port)
{
	*http = (struct http){.fd = -1, .port = port};
	dial(http);
}

void http_close(struct http *http)
{
	close_fd(&http->fd);
	free(http->data);
	http->data = NULL;
	http->size = http->room = 0;
}

struct http_request http_post(const char *path, const char *accept, const char *body)
{
	struct http_request request;
	int size = asprintf(
	        &request.text,
	        "POST %s HTTP/1.1\r\nHost: localhost\r\n"
	        "Content-Type: application/json\r\nContent-Length: %zu\r\n%s%s%s\r\n%s",
	        path, strlen(body), accept ? "Accept: " : "", accept ? accept : "",
	        accept ? "\r\n" : "", body);

	if (size < 0)
		die("out of memory");
	request.size = (size_t)size;
	return request;
}

int http_write(struct http *http, const struct http_request *request)
{
	size_t done = 0;

	if (http->fd < 0 && dial(http) < 0)
		return -1;
	http->size = 0;
	while (done < request->size) {
		ssize_t n = send(http->fd, request->text + done, request->size - done,
		                 MSG_NOSIGNAL);

		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

/* What a header says, within the head; NULL when it is not there. */
static const char *header(const char *head, const char *end, const char *name)
{
	const char *line = head;

	while (line < end && (line = strstr(line, "\r\n")) != NULL && line < end) {
		line += 2;
		if (!strncasecmp(line, name, strlen(name)))
			return line + strlen(name) + strspn(line + strlen(name), " ");
	}
	return NULL;
}

static bool chunks_whole(const char *at, const char *end)
{
	while (at < end) {
		char *behind;
		size_t size = strtoul(at, &behind, 16);

		if (behind == at || end - behind < 2)
			return false;
		at = strstr(behind, "\r\n");
		if (!at || (size_t)(end - at) < size + 4)
			return false;
		at += 2 + size + 2;
		if (size == 0)
			return true;
	}
	return false;
}

static bool whole(const struct http *http)
{
	const char *end = http->size ? strstr(http->data, "\r\n\r\n") : NULL;
	const char *length;

	if (!end)
		return false;
	if (header(http->data, end, "Transfer-Encoding: chunked"))
		return chunks_whole(end + 4, http->data + http->size);
	length = header(http->data, end, "Content-Length:");
	return length &&
	       (size_t)(http->data + http->size - end - 4) >= strtoul(length, NULL, 10);
}

int http_read(struct http *http)
{
	ssize_t n;

	if (http->room - http->size < 65536) {
		http->room = http->room ? 2 * http->room : 1 << 17;
		http->data = realloc(http->data, http->room);
		if (!http->data)
			die("out of memory");
	}
	do
		n = recv(http->fd, http->data + http->size, http->room - http->size - 1, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		close_fd(&http->fd);
		return -1;
	}
	http->size += (size_t)n;
	http->data[http->size] = '\0';
	if (!whole(http))
		return 0;
	if (header(http->data, strstr(http->data, "\r\n\r\n"), "Connection: close"))
		close_fd(&http->fd);
	return 1;
}

int http_status(const struct http *http)
{
	int status;

	return http->size && sscanf(http->data, "HTTP/1.1 %d", &status) == 1 ? status : -1;
}

int http_exchange(struct http *http, const struct http_request *request, double *ret_us)
{
	int tries, got = -1;

	for (tries = 0; tries < 2; tries++) {
		uint64_t start = clock_us();

		if (http_write(http, request) < 0) {
			close_fd(&http->fd);
			continue;
		}
		while ((got = http_read(http)) == 0)
			;
		if (ret_us)
			*ret_us = (double)(clock_us() - start);
		if (got == 1)
			return http_status(http);
		if (http->size)
			break;
	}
	return -1;
}
