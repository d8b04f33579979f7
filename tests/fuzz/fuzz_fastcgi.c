/* SPDX-License-Identifier: ISC */
/* What a web server sends, record by record, as a worker reads it. The library ends the
 * process by an assertion where two lengths together pass two gigabytes, and writes too
 * far when a GET_VALUES names its variables again and again; a worker that dies so is
 * started again, and what it reads from is open to the web server alone. Here such
 * inputs are left out, so that everything else is seen. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "fcgi/request.h"
#include "tests/fuzz/fuzz.h"

/* The library also loses 48 bytes for each record that belongs to no request and is no
 * GET_VALUES, and finds such records behind whatever it could not read. */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libfcgi.so\n";
}

#define TYPE_GET_VALUES 9
#define LENGTHS_MAX	((uint64_t)1 << 29)
#define INPUT_MAX	((size_t)4 << 10) /* the look ahead is quadratic */

/* One length of a name or value; false at the end. */
static bool take_length(const uint8_t *data, size_t size, size_t *at, uint64_t *ret_length)
{
	if (*at >= size)
		return false;
	*ret_length = data[(*at)++];
	if (!(*ret_length & 0x80))
		return true;
	if (size - *at < 3)
		return false;
	*ret_length = (*ret_length & 0x7f) << 24 | (uint64_t)data[*at] << 16 |
		      (uint64_t)data[*at + 1] << 8 | data[*at + 2];
	*at += 3;
	return true;
}

static bool pairs_tame(const uint8_t *data, size_t size)
{
	uint64_t name, value;
	size_t at = 0;

	while (take_length(data, size, &at, &name) && take_length(data, size, &at, &value)) {
		if (name + value > LENGTHS_MAX)
			return false;
		if (name + value > size - at)
			break;
		at += name + value;
	}
	return true;
}

/* The records' contents in a row, as far as they are whole. */
static bool tame(const uint8_t *data, size_t size)
{
	uint8_t *params = malloc(size + 1);
	size_t used = 0, at = 0;
	bool good = params != NULL;

	while (good && size - at >= 8) {
		size_t content = (size_t)(data[at + 4] << 8 | data[at + 5]);
		size_t padding = data[at + 6];

		good = data[at + 1] != TYPE_GET_VALUES;
		at += 8;
		if (content > size - at)
			content = size - at;
		memcpy(params + used, data + at, content);
		used += content;
		at += content;
		at += padding < size - at ? padding : size - at;
		/* wherever the stream of parameters begins */
	}
	for (at = 0; good && at < used; at++)
		good = pairs_tame(params + at, used - at);
	/* after an error the library takes any bytes for a record */
	for (at = 0; good && at < size; at++)
		good = pairs_tame(data + at, size - at);
	free(params);
	return good;
}

static void read_request(int fd)
{
	struct failure failure = { 0 };
	struct error err = ERROR_INIT;
	struct request request;

	if (request_begin_fastcgi(&request, fd, &err) < 0)
		return;
	if (strlen(request.id) != JOB_ID_SIZE - 1 || !request.method)
		abort();
	if (request_read_body(&request, 4096, &failure) == 0 && request.body.size > 4096)
		abort();
	request_head(&request, 200, "text/plain");
	request_head_end(&request);
	request_write(&request, "x", 1);
	request_end(&request);
	request_finish(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool ready;
	struct error err = ERROR_INIT;
	int pair[2];

	if (!ready && request_setup(1000, &err) < 0)
		abort();
	ready = true;
	if (size > INPUT_MAX || !tame(data, size) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 0;
	if (size == 0 || send(pair[1], data, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size) {
		shutdown(pair[1], SHUT_WR);
		read_request(pair[0]);
	} else {
		close(pair[0]);
	}
	close(pair[1]);
	return 0;
}
