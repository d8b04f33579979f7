/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. The only file that knows libfcgi. */
#define _GNU_SOURCE
#include "fcgi/request.h"

#include <errno.h>
#include <fcgiapp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"

#define WAITED_MIN_S 0.010
#define WAITED_MAX_S 60

/* A process handles one request at a time: what the library holds is here. */
static FCGX_Request fcgx;
static struct timeval stall;
static volatile sig_atomic_t watched_fd = -1;
static struct {
	char data[4096];
	size_t used;
} cgi_out;

/* ---- the watchdog ---- */

/* libfcgi reads block for ever. While a peer owes us bytes an alarm is set; when it
 * rings, the connection is shut down under the library, which then sees the end. */
static void on_alarm(int signo)
{
	(void)signo;
	if (watched_fd >= 0)
		shutdown(watched_fd, SHUT_RDWR);
}

static void watch(int fd)
{
	watched_fd = fd;
	alarm(fd >= 0 ? REQUEST_READ_S : 0);
}

static void ignore_signal(int signo)
{
	(void)signo;
}

int request_setup(uint64_t stall_ms, struct error *err)
{
	struct sigaction ring = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	/* a handler, not SIG_IGN: the library replaces SIG_IGN by its own */
	struct sigaction quiet = { .sa_handler = ignore_signal, .sa_flags = SA_RESTART };

	stall.tv_sec = (time_t)(stall_ms / 1000);
	stall.tv_usec = (suseconds_t)(stall_ms % 1000 * 1000);
	/* how long a close waits for the peer's, in milliseconds */
	setenv("LIBFCGI_OS_CLOSE_POLL_TIMEOUT", "250", 1);
	setenv("LIBFCGI_IS_AF_UNIX_KEEPER_POLL_TIMEOUT", "250", 1);
	unsetenv("FCGI_WEB_SERVER_ADDRS");
	if (sigaction(SIGALRM, &ring, NULL) < 0 || sigaction(SIGPIPE, &quiet, NULL) < 0 ||
	    sigaction(SIGUSR1, &quiet, NULL) < 0)
		return error_errno(err, "signals");
	if (FCGX_Init() != 0)
		return error_set(err, ENOMEM, "libfcgi");
	return 0;
}

/* ---- parameters ---- */

const char *request_param(const struct request *request, const char *name)
{
	return request->cgi ? getenv(name) : FCGX_GetParam(name, fcgx.envp);
}

static bool id_valid(const char *id)
{
	return strlen(id) == JOB_ID_SIZE - 1 && strspn(id, "0123456789abcdef") == JOB_ID_SIZE - 1;
}

/* nginx's own id ($request_id), so that both logs join; a client's is never read. */
static void take_id(struct request *request)
{
	const char *given = request_param(request, "REQUEST_ID");
	unsigned char random[(JOB_ID_SIZE - 1) / 2];
	size_t i;

	if (given && id_valid(given)) {
		memcpy(request->id, given, JOB_ID_SIZE);
		return;
	}
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		abort();
	for (i = 0; i < sizeof random; i++)
		snprintf(request->id + 2 * i, 3, "%02x", random[i]);
}

/* SCRIPT_NAME and PATH_INFO together, as CGI has it; servers that know only one
 * path give it as DOCUMENT_URI. */
static void take_path(struct request *request)
{
	const char *script = request_param(request, "SCRIPT_NAME");
	const char *info = request_param(request, "PATH_INFO");
	const char *whole = request_param(request, "DOCUMENT_URI");
	int size;

	if (!script)
		script = "";
	if (!info)
		info = "";
	if (!*script && !*info && whole)
		script = whole;
	size = snprintf(request->path, sizeof request->path, "%s%s", script, info);
	if (size < 0 || (size_t)size >= sizeof request->path)
		request->path[0] = '\0';
}

/* The web server tells when it passed the request on ($msec: seconds with a fraction);
 * since then it has stood in the socket's queue. That clock is coarse, and another host's
 * may be another: what is little, or cannot be, is nothing. */
static void take_waited(struct request *request)
{
	const char *text = request_param(request, "REQUEST_START");
	struct timespec now;
	double waited_s;
	char *end;

	if (!text || *text < '0' || *text > '9')
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	waited_s = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - strtod(text, &end);
	if (!*end && waited_s > WAITED_MIN_S && waited_s < WAITED_MAX_S)
		request->waited_us = (uint64_t)(waited_s * 1e6);
}

static void take_basics(struct request *request)
{
	request->method = request_param(request, "REQUEST_METHOD");
	if (!request->method)
		request->method = "GET";
	request->head_only = !strcmp(request->method, "HEAD");
	take_id(request);
	take_path(request);
	take_waited(request);
}

/* The start of the body, while the head is open: what fits in here has its length told,
 * and then the web server need not send it in chunks. */
static struct {
	char data[16384];
	size_t used;
	bool open;
} start;

static void request_clear(struct request *request)
{
	memset(request, 0, sizeof *request);
	start.open = false;
	request->client_fd = -1;
	request->start_us = clock_us();
}

/* The library would accept by itself, but then nobody could set an alarm or the
 * time-outs before it reads. A request object whose descriptor is set and whose
 * connection is to be kept goes straight to reading; without a listening socket it
 * says so instead of accepting when that fails. */
int request_begin_fastcgi(struct request *request, int conn_fd, struct error *err)
{
	int rc;

	request_clear(request);
	setsockopt(conn_fd, SOL_SOCKET, SO_SNDTIMEO, &stall, sizeof stall);
	FCGX_InitRequest(&fcgx, -1, FCGI_FAIL_ACCEPT_ON_INTR);
	fcgx.ipcFd = conn_fd;
	fcgx.keepConnection = 1;
	watch(conn_fd);
	rc = FCGX_Accept_r(&fcgx);
	if (rc < 0) {
		watch(-1);
		return error_set(err, EPROTO, "not a FastCGI request (%d)", rc);
	}
	/* one connection, one request, whatever the peer would like */
	fcgx.keepConnection = 0;
	if (fcgx.role != 1) {
		request_finish(request);
		return error_set(err, EPROTO, "FastCGI role %d", fcgx.role);
	}
	request->client_fd = conn_fd;
	take_basics(request);
	return 0;
}

int request_begin_cgi(struct request *request, struct error *err)
{
	request_clear(request);
	request->cgi = true;
	request->client_fd = STDOUT_FILENO;
	if (!getenv("REQUEST_METHOD"))
		return error_set(err, EINVAL, "REQUEST_METHOD is not set");
	take_basics(request);
	return 0;
}

/* ---- body ---- */

/* -1: absent; -2: not a number. */
static int64_t declared_length(const struct request *request)
{
	const char *text = request_param(request, "CONTENT_LENGTH");
	size_t digits;

	if (!text || !*text)
		return -1;
	digits = strspn(text, "0123456789");
	if (text[digits] || digits > 15)
		return -2;
	return strtoll(text, NULL, 10);
}

/* At most size bytes; fewer only at the end; -1 when the peer broke off. */
static ssize_t read_some(const struct request *request, char *into, size_t size)
{
	int n;

	if (request->cgi)
		return io_read_full(STDIN_FILENO, into, size);
	n = FCGX_GetStr(into, (int)size, fcgx.in);
	return (size_t)n < size && FCGX_GetError(fcgx.in) ? -1 : n;
}

/* Up to most bytes: room is made for what came, never for what was declared. */
static int read_up_to(struct request *request, uint64_t most)
{
	struct buffer *body = &request->body;

	while (body->size < most) {
		uint64_t left = most - body->size;
		size_t want = left < 65536 ? (size_t)left : 65536;
		ssize_t n;

		if (buffer_reserve(body, want) < 0)
			return -1;
		n = read_some(request, body->data + body->size, want);
		if (n < 0)
			return -1;
		body->size += (size_t)n;
		if ((size_t)n < want)
			break;
	}
	return 0;
}

static int read_checked(struct request *request, uint64_t max_bytes, struct failure *ret_failure)
{
	int64_t declared = declared_length(request);
	uint64_t most = max_bytes + 1;

	if (declared == -2)
		return failure_set(ret_failure, 400, NULL, NULL, "Content-Length is not a number");
	if (declared > 0 && (uint64_t)declared > max_bytes)
		return failure_set(ret_failure, 413, NULL, NULL,
				   "the request is larger than %llu bytes",
				   (unsigned long long)max_bytes);
	/* CGI: nothing tells the end but the length. FastCGI: one byte more would be
	 * one too many. */
	if (request->cgi)
		most = declared < 0 ? 0 : (uint64_t)declared;
	else if (declared >= 0)
		most = (uint64_t)declared + 1;
	if (read_up_to(request, most) < 0) {
		request->gone = true;
		return failure_set(ret_failure, 400, NULL, NULL, "the request broke off");
	}
	request->bytes_in = request->body.size;
	if (declared < 0 && request->body.size > max_bytes)
		return failure_set(ret_failure, 413, NULL, NULL,
				   "the request is larger than %llu bytes",
				   (unsigned long long)max_bytes);
	if (declared >= 0 && request->body.size != (uint64_t)declared)
		return failure_set(ret_failure, 400, NULL, NULL,
				   "the body does not have the length that was declared");
	return 0;
}

int request_read_body(struct request *request, uint64_t max_bytes, struct failure *ret_failure)
{
	int rc = read_checked(request, max_bytes, ret_failure);

	if (!request->cgi)
		watch(-1);
	return rc;
}

/* ---- answer ---- */

static int cgi_flush(void)
{
	size_t used = cgi_out.used;

	cgi_out.used = 0;
	return used ? io_write_full(STDOUT_FILENO, cgi_out.data, used) : 0;
}

static int cgi_write(const char *data, size_t size)
{
	if (size > sizeof cgi_out.data - cgi_out.used && cgi_flush() < 0)
		return -1;
	if (size > sizeof cgi_out.data)
		return io_write_full(STDOUT_FILENO, data, size);
	memcpy(cgi_out.data + cgi_out.used, data, size);
	cgi_out.used += size;
	return 0;
}

static int fastcgi_write(const char *data, size_t size)
{
	while (size > 0) {
		int part = size > (1 << 20) ? 1 << 20 : (int)size;

		if (FCGX_PutStr(data, part, fcgx.out) != part)
			return -1;
		data += part;
		size -= (size_t)part;
	}
	return 0;
}

static int put(struct request *request, const char *data, size_t size)
{
	if (request->gone)
		return -1;
	if ((request->cgi ? cgi_write(data, size) : fastcgi_write(data, size)) < 0)
		request->gone = true;
	return request->gone ? -1 : 0;
}

static int close_head(struct request *request, bool whole)
{
	char line[48];
	int size = 0;

	if (!start.open)
		return 0;
	start.open = false;
	if (whole && start.used > 0)
		size = snprintf(line, sizeof line, "Content-Length: %zu\r\n", start.used);
	put(request, line, (size_t)size);
	put(request, "\r\n", 2);
	return put(request, start.data, start.used);
}

int request_write(struct request *request, const char *data, size_t size)
{
	if (request->head_only)
		return 0;
	request->bytes_out += size;
	if (start.open && size <= sizeof start.data - start.used) {
		memcpy(start.data + start.used, data, size);
		start.used += size;
		return request->gone ? -1 : 0;
	}
	return close_head(request, false) < 0 ? -1 : put(request, data, size);
}

int request_flush(struct request *request)
{
	close_head(request, false);
	if (request->gone)
		return -1;
	if ((request->cgi ? cgi_flush() : FCGX_FFlush(fcgx.out)) < 0)
		request->gone = true;
	return request->gone ? -1 : 0;
}

static int sink_write(void *data, const char *bytes, size_t size)
{
	return request_write(data, bytes, size);
}

struct sink request_sink(struct request *request)
{
	return (struct sink){ sink_write, request };
}

static const struct {
	int status;
	const char *text;
} reasons[] = {
	{ 200, "OK" },
	{ 204, "No Content" },
	{ 304, "Not Modified" },
	{ 400, "Bad Request" },
	{ 401, "Unauthorized" },
	{ 403, "Forbidden" },
	{ 404, "Not Found" },
	{ 405, "Method Not Allowed" },
	{ 406, "Not Acceptable" },
	{ 413, "Content Too Large" },
	{ 415, "Unsupported Media Type" },
	{ 422, "Unprocessable Content" },
	{ 429, "Too Many Requests" },
	{ 500, "Internal Server Error" },
	{ 503, "Service Unavailable" },
};

static const char *reason_of(int status)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i].status == status)
			return reasons[i].text;
	return "Status";
}

void request_head(struct request *request, int http_status, const char *content_type)
{
	char text[32];

	request->http_status = http_status;
	snprintf(text, sizeof text, "%d", http_status);
	put(request, "Status: ", 8);
	put(request, text, strlen(text));
	put(request, " ", 1);
	put(request, reason_of(http_status), strlen(reason_of(http_status)));
	put(request, "\r\n", 2);
	if (content_type)
		request_head_line(request, "Content-Type", content_type);
	request_head_line(request, "X-Request-ID", request->id);
}

void request_head_line(struct request *request, const char *name, const char *value)
{
	/* no value of ours holds a line end; one that did would end here */
	size_t size = strcspn(value, "\r\n");

	put(request, name, strlen(name));
	put(request, ": ", 2);
	put(request, value, size);
	put(request, "\r\n", 2);
}

void request_head_end(struct request *request)
{
	(void)request;
	start.open = true;
	start.used = 0;
}

void request_end(struct request *request)
{
	close_head(request, true);
	if (request->cgi) {
		if (cgi_flush() < 0)
			request->gone = true;
		return;
	}
	/* the last of the two to be closed says the end, in one piece with what it
	 * still held */
	FCGX_FClose(fcgx.err);
	if (FCGX_FClose(fcgx.out) < 0)
		request->gone = true;
}

void request_finish(struct request *request)
{
	close_head(request, true);
	if (request->cgi) {
		cgi_flush();
	} else if (fcgx.ipcFd >= 0) {
		watch(fcgx.ipcFd);
		FCGX_Finish_r(&fcgx);
		watch(-1);
	}
	buffer_free(&request->body);
}
