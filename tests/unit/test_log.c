/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/tap.h"

static int read_fd;

/* stderr becomes a pipe; what was written is read back. */
static void open_pipe(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0 || dup2(ends[1], STDERR_FILENO) < 0)
		exit(1);
	close(ends[1]);
	read_fd = ends[0];
	fcntl(read_fd, F_SETFL, O_NONBLOCK);
}

static const char *written(void)
{
	static char text[8192];
	ssize_t n = read(read_fd, text, sizeof text - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void check_lines(void)
{
	static const struct {
		const char *name;
		enum log_level level;
		const char *text, *line;
	} rows[] = {
	        {"an error", LOG_ERROR, "broken", "test: error: broken\n"},
	        {"a warning", LOG_WARNING, "beware", "test: warning: beware\n"},
	        {"a notice", LOG_NOTICE, "so it is", "test: notice: so it is\n"},
	        {"above the level", LOG_DEBUG, "chatter", ""},
	        {"an empty one", LOG_ERROR, "", "test: error: \n"},
	        {"a forged line", LOG_ERROR, "a\nb\rc", "test: error: a\\x0ab\\x0dc\n"},
	        {"a terminal's escape", LOG_ERROR, "\x1b[2J\x7f",
	         "test: error: \\x1b[2J\\x7f\n"},
	        {"a tab and a bell", LOG_ERROR, "\t\a", "test: error: \\x09\\x07\n"},
	        {"other scripts", LOG_ERROR, "gr\xc3\xbc\xc3\x9f",
	         "test: error: gr\xc3\xbc\xc3\x9f\n"},
	        {"a percent sign", LOG_ERROR, "100%s", "test: error: 100%s\n"},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		log_event(rows[i].level, "%s", rows[i].text);
		tap_ok(!strcmp(written(), rows[i].line), "%s", rows[i].name);
	}
	log_open("other", LOG_DEBUG);
	log_event(LOG_DEBUG, "%d of %s", 3, "x");
	tap_ok(!strcmp(written(), "other: debug: 3 of x\n"), "another name and level");
}

/* However long, it is one line, and it fits into a pipe's one write. */
static void check_long(void)
{
	char text[5000];
	const char *line;
	size_t i;

	for (i = 0; i < 2; i++) {
		memset(text, i ? '\n' : 'x', sizeof text);
		text[sizeof text - 1] = '\0';
		log_event(LOG_ERROR, "%s", text);
		line = written();
		tap_ok(strlen(line) > 1000 && strlen(line) < PIPE_BUF &&
		               strchr(line, '\n') == line + strlen(line) - 1,
		       "a long text %sis cut to one line", i ? "of line breaks " : "");
	}
	log_line(STDERR_FILENO, "{\"a\":1}", 7);
	tap_ok(!strcmp(written(), "{\"a\":1}\n"), "a line as it is");
}

/* A reader that does not read: nothing blocks, everything is counted. */
static void check_stuck(void)
{
	uint64_t before = log_dropped();
	char junk[4096] = {0};
	int flags = fcntl(STDERR_FILENO, F_GETFL), i;

	tap_ok(before == 0, "nothing dropped so far");
	fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
	while (write(STDERR_FILENO, junk, sizeof junk) > 0)
		;
	fcntl(STDERR_FILENO, F_SETFL, flags);
	alarm(20); /* a log that blocks must not hold up the tests */
	errno = ENOTTY;
	for (i = 0; i < 5; i++)
		log_event(LOG_ERROR, "lost");
	alarm(0);
	tap_ok(log_dropped() == before + 5, "a full pipe: five lines dropped and counted");
	tap_ok(errno == ENOTTY, "and errno is as it was");
	while (*written() || read(read_fd, junk, sizeof junk) > 0)
		;
	log_event(LOG_ERROR, "again");
	tap_ok(!strcmp(written(), "other: error: again\n"),
	       "once it is read, lines come again");
}

static void check_gone(void)
{
	uint64_t before = log_dropped();

	signal(SIGPIPE, SIG_IGN); /* as every service of ours does */
	close(read_fd);
	log_event(LOG_ERROR, "to nobody");
	tap_ok(log_dropped() == before + 1, "a reader that is gone: dropped and counted");
	close(STDERR_FILENO);
	log_event(LOG_ERROR, "to nothing");
	tap_ok(log_dropped() == before + 2, "no stderr at all: the same");
}

int main(void)
{
	open_pipe();
	log_open("test", LOG_NOTICE);
	check_lines();
	check_long();
	check_stuck();
	check_gone();
	return tap_done();
}
