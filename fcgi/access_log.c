/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/access_log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"

/* A line longer than PIPE_BUF could be torn by another worker's. */
struct line {
	char text[3072];
	size_t used;
};

__attribute__((format(printf, 2, 3)))
static void add(struct line *line, const char *fmt, ...)
{
	size_t room = sizeof line->text - line->used;
	va_list ap;
	int size;

	va_start(ap, fmt);
	size = vsnprintf(line->text + line->used, room, fmt, ap);
	va_end(ap);
	if (size > 0 && (size_t)size < room)
		line->used += (size_t)size;
	else
		line->text[line->used] = '\0';
}

/* Whatever is not plain ASCII is escaped: no client writes into our log. */
static void add_text(struct line *line, const char *name, const char *text)
{
	char value[6 * 200 + 1];
	size_t used = 0, i;

	if (!text)
		return;
	for (i = 0; text[i] && i < 200; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\')
			used += (size_t)snprintf(value + used, sizeof value - used, "\\u%04x", c);
		else
			value[used++] = (char)c;
	}
	value[used] = '\0';
	add(line, ",\"%s\":\"%s\"", name, value);
}

static void add_number(struct line *line, const char *name, uint64_t value)
{
	if (value == USAGE_UNKNOWN)
		add(line, ",\"%s\":null", name);
	else
		add(line, ",\"%s\":%" PRIu64, name, value);
}

static void add_ms(struct line *line, const char *name, uint64_t us)
{
	add(line, ",\"%s\":%.3f", name, (double)us / 1e3);
}

static void add_time(struct line *line)
{
	struct timespec now;
	struct tm tm;
	char text[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	add(line, "{\"timestamp\":\"%s.%03ldZ\"", text, now.tv_nsec / 1000000);
}

static void add_verdict(struct line *line, const struct access_line *from)
{
	add_text(line, "verdict", job_status_name(from->verdict));
	if (from->exited)
		add(line, ",\"exitCode\":%d", from->exit_code);
	else
		add(line, ",\"exitCode\":null");
	if (from->signal)
		add_text(line, "signal", job_signal_name(from->signal));
	add_number(line, "containerMemory", from->memory_limit_bytes);
	add_number(line, "memoryPeak", from->memory_peak_bytes);
	add_number(line, "outputLength", from->output_bytes);
	if (from->tests_count)
		add_number(line, "tests", from->tests_count);
	add_ms(line, "queueTime", from->queue_us);
	add_ms(line, "setupTime", from->setup_us);
	add_ms(line, "compileTime", from->compile_us);
	if (from->compile_cached)
		add(line, ",\"compileCached\":true");
	add_ms(line, "runTime", from->run_us);
	if (from->cpu_us == USAGE_UNKNOWN)
		add(line, ",\"cpuTime\":null");
	else
		add_ms(line, "cpuTime", from->cpu_us);
}

void access_log(const struct request *request, const struct access_line *from)
{
	bool bad = request->http_status >= 500 || request->http_status == 0;
	struct line line;

	line.used = 0;
	add_time(&line);
	add_text(&line, "level", bad && !request->gone ? "error" : "info");
	add_text(&line, "message",
		 from->language ? "Code execution request" : "Request");
	add_text(&line, "requestId", request->id);
	add_text(&line, "method", request->method);
	add_text(&line, "path", request->path);
	add(&line, ",\"status\":%d", request->http_status);
	add_text(&line, "language", from->language);
	add_number(&line, "codeLength", from->code_bytes);
	add_ms(&line, "executionTime", clock_us() - request->start_us);
	if (from->has_verdict)
		add_verdict(&line, from);
	if (from->failure[0])
		add_text(&line, "failure", from->failure);
	add_number(&line, "bytesIn", request->bytes_in);
	add_number(&line, "bytesOut", request->bytes_out);
	add_text(&line, "key", from->key_name);
	add_text(&line, "userIP", request_param(request, "REMOTE_ADDR"));
	if (request->gone)
		add(&line, ",\"clientGone\":true");
	add(&line, ",\"pid\":%d}", (int)getpid());
	log_line(STDERR_FILENO, line.text, line.used);
}
