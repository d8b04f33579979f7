/* SPDX-License-Identifier: ISC */
/* Runs as: whoever types. The only file that knows libcurl. */
#define _GNU_SOURCE
#include "fcgi/remote.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "config.h"

#define CONNECT_TIMEOUT_S 10L
#define WAIT_MS		  60000 /* libcurl's own clocks interrupt it */
#define HEAD_MAX	  16384 /* of a CGI answer */

static void set_text(char *to, size_t room, const char *from, size_t size)
{
	snprintf(to, room, "%.*s", (int)(size < room ? size : room - 1), from);
}

/* One header line, without its end. */
static void take_header(struct remote_answer *answer, const char *line, size_t size)
{
	const struct {
		const char *name;
		char *to;
		size_t room;
	} wanted[] = {
		{ "Content-Type:", answer->content_type, sizeof answer->content_type },
		{ "Retry-After:", answer->retry_after, sizeof answer->retry_after },
	};
	size_t i;

	while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
		size--;
	for (i = 0; i < ARRAY_LEN(wanted); i++) {
		size_t n = strlen(wanted[i].name);

		if (size < n || strncasecmp(line, wanted[i].name, n) != 0)
			continue;
		while (n < size && line[n] == ' ')
			n++;
		set_text(wanted[i].to, wanted[i].room, line + n, size - n);
	}
}

/* ---- by HTTP ---- */

struct http {
	CURLM *multi;
	CURL *easy;
	struct curl_slist *headers;
	char *url;
	char why[CURL_ERROR_SIZE];
	const struct remote_reader *reader;
	struct remote_answer *answer;
	bool cancelled;
};

static size_t on_http_header(char *line, size_t one, size_t size, void *data)
{
	struct http *h = data;

	(void)one;
	/* an interim answer (100) is followed by the real one */
	if (size > 5 && strncmp(line, "HTTP/", 5) == 0)
		memset(h->answer, 0, sizeof *h->answer);
	take_header(h->answer, line, size);
	return size;
}

static size_t on_http_body(char *bytes, size_t one, size_t size, void *data)
{
	struct http *h = data;
	long status = 0;

	(void)one;
	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	h->answer->http_status = (int)status;
	if (h->reader->on_body(h->reader->data, h->answer, bytes, size) == 0)
		return size;
	h->cancelled = true;
	return 0; /* less than size ends the transfer */
}

static int add_header(struct http *h, const char *name, const char *value)
{
	struct curl_slist *grown;
	char *line;

	if (asprintf(&line, "%s: %s", name, value) < 0)
		return -1;
	grown = curl_slist_append(h->headers, line);
	free(line);
	if (!grown)
		return -1;
	h->headers = grown;
	return 0;
}

static int add_headers(struct http *h, const struct remote *remote,
		       const struct remote_request *request)
{
	struct curl_slist *grown = curl_slist_append(h->headers, "Expect:");

	if (!grown)
		return -1;
	h->headers = grown;
	if (request->accept && add_header(h, "Accept", request->accept) < 0)
		return -1;
	if (request->body && add_header(h, "Content-Type", request->content_type) < 0)
		return -1;
	return remote->key ? add_header(h, "X-API-Key", remote->key) : 0;
}

/* A proxy of the environment is for other hosts than this one. */
static bool is_this_host(const char *url)
{
	CURLU *parts = curl_url();
	char *host = NULL;
	bool here = false;

	if (parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK)
		here = strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
		       strcmp(host, "[::1]") == 0;
	curl_free(host);
	curl_url_cleanup(parts);
	return here;
}

static int set_options(struct http *h, const struct remote_request *request)
{
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{ CURLOPT_NOSIGNAL, 1 },
		{ CURLOPT_TCP_KEEPALIVE, 1 },
		{ CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S },
		/* a key must not follow a redirect to somebody else */
		{ CURLOPT_FOLLOWLOCATION, 0 },
	};
	CURLcode rc = CURLE_OK;
	size_t i;

	for (i = 0; i < ARRAY_LEN(numbers); i++)
		rc |= curl_easy_setopt(h->easy, numbers[i].option, numbers[i].value);
	rc |= curl_easy_setopt(h->easy, CURLOPT_URL, h->url);
	rc |= curl_easy_setopt(h->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	rc |= curl_easy_setopt(h->easy, CURLOPT_USERAGENT, PACKAGE_NAME "/" PACKAGE_VERSION);
	rc |= curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, h->why);
	rc |= curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
	rc |= curl_easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, on_http_header);
	rc |= curl_easy_setopt(h->easy, CURLOPT_HEADERDATA, h);
	rc |= curl_easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_http_body);
	rc |= curl_easy_setopt(h->easy, CURLOPT_WRITEDATA, h);
	if (is_this_host(h->url))
		rc |= curl_easy_setopt(h->easy, CURLOPT_NOPROXY, "*");
	if (request->body) {
		rc |= curl_easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE,
				       (curl_off_t)request->body_size);
		rc |= curl_easy_setopt(h->easy, CURLOPT_POSTFIELDS, request->body);
	}
	return rc == CURLE_OK ? 0 : -1;
}

static int http_open(struct http *h, const struct remote *remote,
		     const struct remote_request *request, struct error *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
	    asprintf(&h->url, "%s%s", remote->url, request->path) < 0 ||
	    !(h->multi = curl_multi_init()) || !(h->easy = curl_easy_init()) ||
	    add_headers(h, remote, request) < 0 || set_options(h, request) < 0 ||
	    curl_multi_add_handle(h->multi, h->easy) != CURLM_OK)
		return error_set(err, ENOMEM, "libcurl cannot be set up");
	return 0;
}

static void http_close(struct http *h)
{
	if (h->multi && h->easy)
		curl_multi_remove_handle(h->multi, h->easy);
	curl_easy_cleanup(h->easy);
	curl_multi_cleanup(h->multi);
	curl_slist_free_all(h->headers);
	free(h->url);
	curl_global_cleanup();
}

static int http_wait(struct http *h, struct error *err)
{
	const struct remote_reader *r = h->reader;
	struct curl_waitfd waits[REMOTE_FDS_MAX];
	struct pollfd fds[REMOTE_FDS_MAX];
	size_t count = r->wait_for ? r->wait_for(r->data, fds) : 0, i;

	for (i = 0; i < count; i++)
		waits[i] = (struct curl_waitfd){
			.fd = fds[i].fd,
			.events = (short)((fds[i].events & POLLIN ? CURL_WAIT_POLLIN : 0) |
					  (fds[i].events & POLLOUT ? CURL_WAIT_POLLOUT : 0)),
		};
	if (curl_multi_poll(h->multi, waits, (unsigned)count, WAIT_MS, NULL) != CURLM_OK)
		return error_set(err, EIO, "libcurl cannot wait");
	if (r->on_wake && r->on_wake(r->data) < 0)
		return error_set(err, ECANCELED, "cancelled");
	return 0;
}

static int http_result(struct http *h, CURLcode code, struct error *err)
{
	long status = 0;

	if (h->cancelled)
		return error_set(err, ECANCELED, "cancelled");
	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	h->answer->http_status = (int)status;
	if (code == CURLE_OK)
		return 0;
	return error_set(err, EIO, "%s: %s", h->url, h->why[0] ? h->why : curl_easy_strerror(code));
}

static int http_drive(struct http *h, struct error *err)
{
	int running = 1, left;

	for (;;) {
		CURLMsg *message;

		if (curl_multi_perform(h->multi, &running) != CURLM_OK)
			return error_set(err, EIO, "libcurl failed");
		message = curl_multi_info_read(h->multi, &left);
		if (message && message->msg == CURLMSG_DONE)
			return http_result(h, message->data.result, err);
		if (!running)
			return error_set(err, EIO, "libcurl ended without a result");
		if (http_wait(h, err) < 0)
			return -1;
	}
}

static int by_http(const struct remote *remote, const struct remote_request *request,
		   const struct remote_reader *reader, struct remote_answer *answer,
		   struct error *err)
{
	struct http http = { .reader = reader, .answer = answer };
	int rc = http_open(&http, remote, request, err);

	if (rc == 0)
		rc = http_drive(&http, err);
	http_close(&http);
	return rc;
}

/* ---- by the socket ---- */

struct local {
	const struct remote_reader *reader;
	struct remote_answer *answer;
	char head[HEAD_MAX];
	size_t head_size;
	bool in_body, broken;
};

static void take_head(struct local *l, size_t head_size)
{
	const char *at = l->head, *end = l->head + head_size;

	l->answer->http_status = 200;
	while (at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));
		size_t size = (size_t)((line_end ? line_end : end) - at);

		if (size > 7 && strncasecmp(at, "Status:", 7) == 0)
			l->answer->http_status = atoi(at + 7);
		take_header(l->answer, at, size);
		at += size + 1;
	}
}

static int pass_body(struct local *l, const char *bytes, size_t size)
{
	if (size == 0)
		return 0;
	return l->reader->on_body(l->reader->data, l->answer, bytes, size);
}

/* The head ends at the first empty line, in either spelling; 0: not yet. */
static size_t find_head_end(const struct local *l)
{
	const char *unix_end = memmem(l->head, l->head_size, "\n\n", 2);
	const char *net_end = memmem(l->head, l->head_size, "\r\n\r\n", 4);

	if (net_end && (!unix_end || net_end < unix_end))
		return (size_t)(net_end - l->head) + 4;
	return unix_end ? (size_t)(unix_end - l->head) + 2 : 0;
}

static int on_local_bytes(void *data, const char *bytes, size_t size)
{
	struct local *l = data;
	size_t had = l->head_size, room = sizeof l->head - had, end;

	if (l->in_body)
		return pass_body(l, bytes, size);
	memcpy(l->head + had, bytes, size < room ? size : room);
	l->head_size += size < room ? size : room;
	end = find_head_end(l);
	if (end == 0) {
		l->broken = l->head_size == sizeof l->head;
		return l->broken ? -1 : 0;
	}
	take_head(l, end);
	l->in_body = true;
	return pass_body(l, bytes + (end - had), size - (end - had));
}

static size_t local_wait_for(void *data, struct pollfd fds[CLIENT_FDS_MAX])
{
	struct local *l = data;

	return l->reader->wait_for ? l->reader->wait_for(l->reader->data, fds) : 0;
}

static int local_on_wake(void *data)
{
	struct local *l = data;

	return l->reader->on_wake ? l->reader->on_wake(l->reader->data) : 0;
}

static int explain_socket(const char *path, struct error *err)
{
	if (err->code == ENOENT || err->code == ECONNREFUSED)
		return error_wrap(err, "the pool does not run on this host");
	if (err->code == EACCES)
		return error_wrap(err, "this user may not use %s (a group may, see ls -l)", path);
	return -1;
}

static int by_socket(const struct remote *remote, const struct remote_request *request,
		     const struct remote_reader *reader, struct remote_answer *answer,
		     struct error *err)
{
	/* runs have their own workers; everything else is answered while they are busy */
	const char *socket_path = request->body ? remote->run_socket : remote->api_socket;
	struct local local = { .reader = reader, .answer = answer };
	char length[24], path[128];
	const struct client_param params[] = {
		{ "REQUEST_METHOD", request->body ? "POST" : "GET" },
		{ "PATH_INFO", path },
		{ "SCRIPT_NAME", "" },
		{ "REQUEST_URI", path },
		{ "QUERY_STRING", "" },
		{ "CONTENT_TYPE", request->body ? request->content_type : "" },
		{ "CONTENT_LENGTH", request->body ? length : "" },
		{ "SERVER_PROTOCOL", "HTTP/1.1" },
		{ "GATEWAY_INTERFACE", "CGI/1.1" },
		{ "HTTP_ACCEPT", request->accept ? request->accept : "*/*" },
		{ "HTTP_X_API_KEY", remote->key },
	};
	const struct client_request message = {
		params, ARRAY_LEN(params) - (remote->key ? 0 : 1), request->body,
		request->body_size,
	};
	const struct client_reader client_reader = {
		.on_stdout = on_local_bytes,
		.wait_for = local_wait_for,
		.on_wake = local_on_wake,
		.data = &local,
	};
	int rc;

	snprintf(length, sizeof length, "%zu", request->body_size);
	snprintf(path, sizeof path, "/%s", request->path);
	rc = client_exchange(socket_path, &message, &client_reader, err);
	if (local.broken)
		return error_set(err, EPROTO, "the head of the answer is too long");
	if (rc < 0)
		return explain_socket(socket_path, err);
	return local.in_body ? 0 : error_set(err, EPROTO, "the answer has no end of its head");
}

int remote_exchange(const struct remote *remote, const struct remote_request *request,
		    const struct remote_reader *reader, struct remote_answer *ret_answer,
		    struct error *err)
{
	memset(ret_answer, 0, sizeof *ret_answer);
	return (remote->url ? by_http : by_socket)(remote, request, reader, ret_answer, err);
}
