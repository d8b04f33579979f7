/* SPDX-License-Identifier: ISC */
/* A sandboxd that runs nothing: it speaks the wire, and does what the "program" says
 * it should do. Usage: fake_sandboxd RUN_DIRECTORY LANGUAGE_DIRECTORY SLOTS
 *
 * The code of a job is a list of commands, one a line:
 *
 *	echo TEXT	write TEXT and a line end to stdout; err TEXT: to stderr
 *	bytes N		write N bytes to stdout
 *	cat		copy stdin to stdout
 *	words		write the arguments to stdout, one a line
 *	names		the same with the names of the files
 *	sleep MS
 *	until NAME	until RUN_DIRECTORY/NAME is there
 *	exit N		signal N	noexec N	how it ends; exit 0 without any
 *	cause N		why it was ended from outside
 *	usage WALL_US PEAK_BYTES
 *	refuse N	answer WIRE_REFUSED with that reason
 *	die		close the connection without a verdict
 *	hang		never give a verdict
 *	deaf		do not even take it
 *	nonsense	send a message that is none
 *	build COMMAND	that command in the build stage only, the others in the run
 *	when TEXT COMMAND
 *			that command only where TEXT is the input
 *	file NAME TEXT	what collect finds
 *
 * Each thing that happens is a line in RUN_DIRECTORY/events: ready (it listens), taken,
 * verdict, closed (the worker went away), stop N. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/language.h"
#include "common/wire.h"

#define CODE_MAX 65536

static const char *run_directory;
static struct language_table *table;

struct session {
	int sock_fd;
	char code[CODE_MAX]; /* of the first stage: later ones find it in the tree */
	struct wire_run run;
	int fds[IO_FDS_MAX];
	size_t fds_count;
	char *payload;
	struct bytes files[2 * JOB_FILES_MAX], arguments[JOB_WORDS_MAX], collect[JOB_FILES_MAX];
	struct wire_verdict verdict;
	uint32_t stop;
	bool ended; /* the connection is of no more use */
};

static void event(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void event(const char *fmt, ...)
{
	char path[256], line[256];
	cleanup_close int fd = -1;
	va_list ap;

	snprintf(path, sizeof path, "%s/events", run_directory);
	va_start(ap, fmt);
	vsnprintf(line, sizeof line - 1, fmt, ap);
	va_end(ap);
	strcat(line, "\n");
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, strlen(line)) < 0)
		abort();
}

static void close_fds(struct session *s)
{
	size_t i;

	for (i = 0; i < s->fds_count; i++)
		close_fd(&s->fds[i]);
	s->fds_count = 0;
}

static int send_type(struct session *s, enum wire_type type)
{
	struct wire_head head;

	wire_head_set(&head, type, sizeof head);
	return io_send(s->sock_fd, &head, sizeof head, NULL, 0);
}

/* ---- the message ---- */

static void take_list(struct session *s, size_t *offset, struct bytes *list, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (wire_payload_next(s->payload, s->run.payload_bytes, offset, &list[i]) < 0)
			abort();
}

static void take_payload(struct session *s)
{
	static struct bytes options[JOB_WORDS_MAX];
	size_t offset = 0;
	uint64_t size;

	if (!io_is_sealed(s->fds[WIRE_FD_PAYLOAD], &size) || size != s->run.payload_bytes)
		abort();
	free(s->payload);
	s->payload = malloc(size + 1);
	if (!s->payload ||
	    pread(s->fds[WIRE_FD_PAYLOAD], s->payload, size, 0) != (ssize_t)size)
		abort();
	take_list(s, &offset, s->files, 2 * (size_t)s->run.files_count);
	take_list(s, &offset, options, s->run.options_count);
	take_list(s, &offset, s->arguments, s->run.arguments_count);
	take_list(s, &offset, s->collect, s->run.collect_count);
	if (!(s->run.flags & WIRE_ON_TREE) && s->run.files_count > 0)
		snprintf(s->code, sizeof s->code, "%.*s", (int)s->files[1].size, s->files[1].data);
}

/* A stop that was sent before the verdict was read comes when there is nothing to stop. */
static ssize_t recv_run(struct session *s)
{
	ssize_t n;

	do
		n = io_recv(s->sock_fd, &s->run, sizeof s->run, s->fds, &s->fds_count, 0);
	while (n > 0 && wire_check(&s->run, (size_t)n, WIRE_STOP, NULL) == 0);
	return n;
}

static bool take_run(struct session *s)
{
	ssize_t n = recv_run(s);
	struct error err = ERROR_INIT;
	size_t want;

	if (n <= 0)
		return false;
	if (wire_check(&s->run, (size_t)n, WIRE_RUN, &err) < 0) {
		event("bad message: %s", err.text);
		abort();
	}
	want = s->run.collect_count ? WIRE_FD_COUNT : WIRE_FD_COUNT - 1;
	if (s->fds_count != want) {
		event("%zu descriptors", s->fds_count);
		abort();
	}
	take_payload(s);
	return true;
}

/* ---- what the program does ---- */

/* A worker that goes away, or a stop, ends a wait or a write that does not go on. */
static bool watch(struct session *s, int timeout_ms)
{
	struct pollfd p = { s->sock_fd, POLLIN, 0 };
	struct wire_stop stop;
	ssize_t n;

	if (poll(&p, 1, timeout_ms) <= 0)
		return true;
	n = io_recv(s->sock_fd, &stop, sizeof stop, NULL, NULL, 0);
	if (n <= 0) {
		event("closed");
		s->ended = true;
	} else if (wire_check(&stop, (size_t)n, WIRE_STOP, NULL) == 0) {
		event("stop %u", stop.cause);
		s->stop = stop.cause;
	}
	return false;
}

static void put(struct session *s, enum wire_fd to, const char *data, size_t size)
{
	struct pollfd p = { s->fds[to], POLLOUT, 0 };

	fcntl(s->fds[to], F_SETFL, O_NONBLOCK);
	while (size > 0 && !s->ended && !s->stop) {
		ssize_t n = write(s->fds[to], data, size);

		if (n > 0) {
			data += n;
			size -= (size_t)n;
		} else if (errno != EAGAIN) {
			return; /* as SIGPIPE would */
		} else {
			poll(&p, 1, 20);
			watch(s, 0);
		}
	}
}

static void put_line(struct session *s, enum wire_fd to, const char *text, size_t size)
{
	char line[CODE_MAX + 1];

	memcpy(line, text, size);
	line[size] = '\n';
	put(s, to, line, size + 1);
}

static void do_echo(struct session *s, const char *text)
{
	put_line(s, WIRE_FD_STDOUT, text, strlen(text));
}

static void do_err(struct session *s, const char *text)
{
	put_line(s, WIRE_FD_STDERR, text, strlen(text));
}

static void do_bytes(struct session *s, const char *text)
{
	static char block[4096];
	size_t left = strtoul(text, NULL, 10);

	memset(block, 'x', sizeof block);
	while (left > 0 && !s->ended && !s->stop) {
		size_t part = left < sizeof block ? left : sizeof block;

		put(s, WIRE_FD_STDOUT, block, part);
		left -= part;
	}
}

static void do_cat(struct session *s, const char *text)
{
	char block[4096];
	ssize_t n;
	off_t at = 0;

	(void)text;
	while ((n = pread(s->fds[WIRE_FD_STDIN], block, sizeof block, at)) > 0) {
		put(s, WIRE_FD_STDOUT, block, (size_t)n);
		at += n;
	}
}

static void do_words(struct session *s, const char *text)
{
	size_t i;

	(void)text;
	for (i = 0; i < s->run.arguments_count; i++)
		put_line(s, WIRE_FD_STDOUT, s->arguments[i].data, s->arguments[i].size);
}

static void do_names(struct session *s, const char *text)
{
	size_t i;

	(void)text;
	for (i = 0; i < s->run.files_count; i++)
		put_line(s, WIRE_FD_STDOUT, s->files[2 * i].data, s->files[2 * i].size);
}

static void do_sleep(struct session *s, const char *text)
{
	watch(s, atoi(text));
}

static void do_until(struct session *s, const char *text)
{
	char path[256];

	snprintf(path, sizeof path, "%s/%s", run_directory, text);
	while (!s->ended && !s->stop && access(path, F_OK) < 0)
		watch(s, 20);
}

static void do_hang(struct session *s, const char *text)
{
	(void)text;
	while (!s->ended && !s->stop)
		watch(s, 1000);
}

static void do_exit(struct session *s, const char *text)
{
	s->verdict.exited = 1;
	s->verdict.exit_code = atoi(text);
}

static void do_signal(struct session *s, const char *text)
{
	s->verdict.exited = 0;
	s->verdict.signal = atoi(text);
}

static void do_noexec(struct session *s, const char *text)
{
	s->verdict.exec_errno = atoi(text);
}

static void do_cause(struct session *s, const char *text)
{
	s->verdict.cause = (uint32_t)atoi(text);
	do_signal(s, "9");
}

static void do_usage(struct session *s, const char *text)
{
	char *end;

	s->verdict.usage.wall_us = strtoull(text, &end, 10);
	s->verdict.usage.memory_peak_bytes = strtoull(end, NULL, 10);
}

static void do_die(struct session *s, const char *text)
{
	(void)text;
	event("dies");
	s->ended = true;
}

static void do_nonsense(struct session *s, const char *text)
{
	(void)text;
	io_send(s->sock_fd, "nonsense", 8, NULL, 0);
}

static void do_file(struct session *s, const char *text)
{
	size_t name_size = strcspn(text, " "), i;
	const char *content = text[name_size] ? text + name_size + 1 : "";
	uint32_t size = (uint32_t)name_size, status = 0;
	uint64_t content_size = strlen(content);

	for (i = 0; i < s->run.collect_count; i++) {
		if (s->collect[i].size != name_size || memcmp(s->collect[i].data, text, name_size))
			continue;
		put(s, WIRE_FD_COLLECT, (char *)&size, sizeof size);
		put(s, WIRE_FD_COLLECT, text, name_size);
		put(s, WIRE_FD_COLLECT, (char *)&status, sizeof status);
		put(s, WIRE_FD_COLLECT, (char *)&content_size, sizeof content_size);
		put(s, WIRE_FD_COLLECT, content, content_size);
	}
}

static void do_when(struct session *s, const char *text);

static const struct {
	const char *word;
	void (*run)(struct session *s, const char *text);
} commands[] = {
	{ "echo", do_echo },   { "err", do_err },	{ "bytes", do_bytes },
	{ "cat", do_cat },     { "words", do_words },	{ "names", do_names },
	{ "sleep", do_sleep }, { "hang", do_hang },	{ "exit", do_exit },
	{ "signal", do_signal }, { "noexec", do_noexec }, { "cause", do_cause },
	{ "usage", do_usage }, { "die", do_die },	{ "nonsense", do_nonsense },
	{ "file", do_file },   { "when", do_when },	{ "until", do_until },
};

static void run_command(struct session *s, const char *line)
{
	size_t size = strcspn(line, " "), i;
	const char *text = line[size] ? line + size + 1 : "";

	for (i = 0; i < ARRAY_LEN(commands); i++)
		if (strlen(commands[i].word) == size && !strncmp(line, commands[i].word, size))
			commands[i].run(s, text);
}

static void do_when(struct session *s, const char *text)
{
	size_t size = strcspn(text, " ");
	char input[256];
	ssize_t n = pread(s->fds[WIRE_FD_STDIN], input, sizeof input, 0);

	if (n == (ssize_t)size && !memcmp(input, text, size))
		run_command(s, text + size + (text[size] == ' '));
}

/* Calls back for each line that is for this stage. */
static void each_line(struct session *s, void (*call)(struct session *s, const char *line))
{
	char code[CODE_MAX], *line, *rest = NULL;

	strcpy(code, s->code);
	for (line = strtok_r(code, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		bool build = !strncmp(line, "build ", 6);

		if (build != (s->run.stage == STAGE_BUILD) || s->ended || s->stop)
			continue;
		call(s, build ? line + 6 : line);
	}
}

/* ---- a stage ---- */

static void before_taken(struct session *s, const char *line)
{
	struct wire_refused refused = { .zero = 0 };

	if (!strncmp(line, "refuse ", 7)) {
		refused.reason = (uint32_t)atoi(line + 7);
		wire_head_set(&refused.head, WIRE_REFUSED, sizeof refused);
		io_send(s->sock_fd, &refused, sizeof refused, NULL, 0);
		s->ended = true;
	} else if (!strcmp(line, "deaf")) {
		do_hang(s, "");
		s->ended = true;
	}
}

static void refuse_reload(struct session *s)
{
	struct wire_refused refused = { .reason = REFUSED_RELOAD };

	wire_head_set(&refused.head, WIRE_REFUSED, sizeof refused);
	io_send(s->sock_fd, &refused, sizeof refused, NULL, 0);
	s->ended = true;
}

static void say_version(struct session *s)
{
	char path[256];

	snprintf(path, sizeof path, "%s/slow", run_directory);
	if (unlink(path) == 0)
		s->stop = CAUSE_WALL;
	else
		do_echo(s, "fake version 1.2.3 of today");
}

static void serve_stage(struct session *s)
{
	memset(&s->verdict, 0, sizeof s->verdict);
	s->verdict.exited = 1;
	s->verdict.setup_us = 123;
	s->verdict.usage = (struct usage){ 5000, 4000, 3000, 1000, 1 << 20, 2 };
	s->stop = 0;
	if (memcmp(s->run.table_hash, table->hash, sizeof s->run.table_hash) != 0) {
		refuse_reload(s);
		return;
	}
	if (s->run.stage != STAGE_VERSION)
		each_line(s, before_taken);
	if (s->ended || send_type(s, WIRE_TAKEN) < 0) {
		s->ended = true;
		return;
	}
	if (s->run.stage == STAGE_VERSION) {
		event("version %s", s->run.language);
		say_version(s);
	} else {
		event("taken");
		each_line(s, run_command);
	}
	if (s->ended)
		return;
	if (s->stop)
		s->verdict.cause = s->stop;
	close_fds(s);
	wire_head_set(&s->verdict.head, WIRE_VERDICT, sizeof s->verdict);
	if (io_send(s->sock_fd, &s->verdict, sizeof s->verdict, NULL, 0) < 0)
		s->ended = true;
	else if (s->run.stage != STAGE_VERSION)
		event("verdict");
}

static void serve(int sock_fd)
{
	static struct session s;

	memset(&s, 0, sizeof s);
	s.sock_fd = sock_fd;
	while (!s.ended && take_run(&s)) {
		serve_stage(&s);
		close_fds(&s);
	}
	close_fds(&s);
	close(sock_fd);
}

/* ---- sockets ---- */

static void keeper(int listen_fd)
{
	for (;;) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			serve(fd);
	}
}

/* Languages whose image is "absent" are not installed. */
static void answer_query(int sock_fd, uint32_t slots)
{
	static struct wire_info info;
	struct wire_head head;
	size_t i;

	if (io_recv(sock_fd, &head, sizeof head, NULL, NULL, 0) <= 0)
		return;
	memset(&info, 0, sizeof info);
	wire_head_set(&info.head, WIRE_INFO, sizeof info);
	snprintf(info.version, sizeof info.version, "fake");
	info.cgroup_mode = LAYOUT_V2;
	info.enforced = ENFORCED_MEMORY | ENFORCED_PROCESSES;
	info.slots = slots;
	info.images_count = 1;
	strcpy(info.images[0].name, "host");
	strcpy(info.images[0].manifest, "one");
	memcpy(info.table_hash, table->hash, sizeof info.table_hash);
	info.languages_count = (uint32_t)table->count;
	for (i = 0; i < table->count; i++)
		info.language_image[i] = strcmp(table->language[i].image, "absent") ?
						 0 :
						 WIRE_IMAGE_NONE;
	io_send(sock_fd, &info, sizeof info, NULL, 0);
}

static int listen_at(const char *name)
{
	struct error err = ERROR_INIT;
	char path[256];
	int fd;

	snprintf(path, sizeof path, "%s/%s", run_directory, name);
	/* the keepers of one that was killed may live a moment longer than it */
	unlink(path);
	fd = io_listen_unix(path, SOCK_SEQPACKET, 0666, (gid_t)-1, 8, &err);
	if (fd < 0) {
		fprintf(stderr, "fake_sandboxd: %s\n", err.text);
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	struct error err = ERROR_INIT;
	int box_fd, control_fd, i;
	pid_t master = getpid();
	char path[256];

	if (argc != 4)
		return 2;
	run_directory = argv[1];
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	table = language_table_load(argv[2], false, &err);
	if (!table) {
		fprintf(stderr, "fake_sandboxd: %s\n", err.text);
		return 1;
	}
	snprintf(path, sizeof path, "%s/events", run_directory);
	close(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
	box_fd = listen_at("box-host.sock");
	for (i = 0; i < atoi(argv[3]); i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			/* it may have been killed before we got here */
			if (getppid() != master)
				_exit(0);
			keeper(box_fd);
		}
	control_fd = listen_at(WIRE_SOCKET_CONTROL);
	event("ready");
	for (;;) {
		cleanup_close int fd = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd >= 0)
			answer_query(fd, (uint32_t)atoi(argv[3]));
	}
}
