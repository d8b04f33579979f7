/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "common/io.h"

#define READ_BYTES	((size_t)64 << 10)
#define COLLECT_MAX	((size_t)32 << 20)
#define SOCKET_PATH	108
#define LATE_VERDICT_US 10000000 /* a verdict that takes longer is not coming */

/* ---- buffers ---- */

void buffer_free(struct buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof *buffer);
}

int buffer_reserve(struct buffer *buffer, size_t extra)
{
	size_t room = buffer->room ? buffer->room : 4096;
	char *data;

	if (buffer->room - buffer->size >= extra)
		return 0;
	while (room - buffer->size < extra)
		room *= 2;
	data = realloc(buffer->data, room);
	if (!data)
		return -1;
	buffer->data = data;
	buffer->room = room;
	return 0;
}

void launch_result_free(struct launch_result *result)
{
	size_t i;

	for (i = 0; i < LAUNCH_STREAMS; i++)
		buffer_free(&result->output[i]);
	buffer_free(&result->collected);
}

/* ---- the control socket ---- */

int launch_query(const char *run_directory, struct wire_info *ret_info, struct error *err)
{
	char path[SOCKET_PATH];
	cleanup_close int fd = -1;
	struct wire_head head;
	struct timeval patience = { 5, 0 };
	ssize_t n;

	snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CONTROL, run_directory);
	fd = io_connect_unix(path, SOCK_SEQPACKET, false, err);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	wire_head_set(&head, WIRE_QUERY, sizeof head);
	if (io_send(fd, &head, sizeof head, NULL, 0) < 0)
		return error_errno(err, "ask sandboxd");
	n = io_recv(fd, ret_info, sizeof *ret_info, NULL, NULL, 0);
	if (n < 0)
		return error_errno(err, "answer of sandboxd");
	return wire_check(ret_info, (size_t)n, WIRE_INFO, err);
}

/* ---- what goes down ---- */

/* The descriptors of one stage: those to hand over, and our ends. */
struct ends {
	int pass[WIRE_FD_COUNT];
	int read[3]; /* stdout, stderr, collect */
};
#define ENDS_NONE { { -1, -1, -1, -1, -1 }, { -1, -1, -1 } }

/* Of what was handed over we keep the writing ends of stdout and stderr: the end of the
 * program then wakes nobody here before its verdict does. */
static void ends_close_passed(struct ends *ends)
{
	close_fd(&ends->pass[WIRE_FD_PAYLOAD]);
	close_fd(&ends->pass[WIRE_FD_STDIN]);
	close_fd(&ends->pass[WIRE_FD_COLLECT]);
}

static void ends_done(struct ends *ends)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(ends->pass); i++)
		close_fd(&ends->pass[i]);
	for (i = 0; i < ARRAY_LEN(ends->read); i++)
		close_fd(&ends->read[i]);
}

static int put_record(struct buffer *payload, const void *data, size_t size)
{
	uint32_t length = (uint32_t)size;

	if (size > WIRE_PAYLOAD_MAX || buffer_reserve(payload, sizeof length + size) < 0)
		return -1;
	memcpy(payload->data + payload->size, &length, sizeof length);
	if (size)
		memcpy(payload->data + payload->size + sizeof length, data, size);
	payload->size += sizeof length + size;
	return 0;
}

static int put_words(struct buffer *payload, const struct words *words)
{
	size_t i;

	for (i = 0; words && i < words->count; i++)
		if (put_record(payload, words->item[i].data, words->item[i].size) < 0)
			return -1;
	return 0;
}

static int fill_payload(const struct launch_stage *stage, int memfd, uint64_t *ret_size)
{
	struct buffer payload = { 0 };
	int rc = 0;
	size_t i;

	for (i = 0; i < stage->files_count && rc == 0; i++) {
		rc = put_record(&payload, stage->files[i].name.data, stage->files[i].name.size);
		if (rc == 0)
			rc = put_record(&payload, stage->files[i].content.data,
					stage->files[i].content.size);
	}
	if (rc < 0 || put_words(&payload, stage->options) < 0 ||
	    put_words(&payload, stage->arguments) < 0 || put_words(&payload, stage->collect) < 0 ||
	    io_memfd_seal_with(memfd, payload.data, payload.size) < 0)
		rc = -1;
	*ret_size = payload.size;
	buffer_free(&payload);
	return rc;
}

static size_t words_count(const struct words *words)
{
	return words ? words->count : 0;
}

static int make_pipe(int *ret_write, int *ret_read)
{
	int pair[2];

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -1;
	*ret_read = pair[0];
	*ret_write = pair[1];
	/* a program opens /dev/stdout and /dev/stderr anew, and is not who made the pipe */
	if (fchmod(pair[1], 0666) < 0)
		return -1;
	/* our end only: each end of a pipe has flags of its own */
	return fcntl(pair[0], F_SETFL, O_NONBLOCK);
}

/* What every stage needs, whatever it is. */
static int make_common(struct ends *ends)
{
	ends->pass[WIRE_FD_PAYLOAD] = io_memfd("payload");
	ends->pass[WIRE_FD_STDIN] = io_memfd("stdin");
	if (ends->pass[WIRE_FD_PAYLOAD] < 0 || ends->pass[WIRE_FD_STDIN] < 0 ||
	    make_pipe(&ends->pass[WIRE_FD_STDOUT], &ends->read[0]) < 0 ||
	    make_pipe(&ends->pass[WIRE_FD_STDERR], &ends->read[1]) < 0)
		return -1;
	return 0;
}

/* Made while there was time for it, and used once; closed when there is time again. */
static _Thread_local struct {
	bool there, used;
	pid_t owner; /* a child that was forked later shares them with its parent */
	struct ends ends;
} spare;

static bool spare_is_ours(void)
{
	return spare.there && spare.owner == getpid();
}

void launch_prepare(void)
{
	if (spare_is_ours())
		return;
	if (spare.there || spare.used)
		ends_done(&spare.ends);
	spare.used = false;
	spare.owner = getpid();
	spare.ends = (struct ends)ENDS_NONE;
	spare.there = make_common(&spare.ends) == 0;
	if (!spare.there)
		ends_done(&spare.ends);
}

static int take_common(struct ends *ends)
{
	if (!spare_is_ours())
		return make_common(ends);
	*ends = spare.ends;
	spare.there = false;
	return 0;
}

static int make_ends(const struct launch_stage *stage, struct ends *ends, uint64_t *ret_payload)
{
	if (take_common(ends) < 0)
		return -1;
	if (words_count(stage->collect) &&
	    make_pipe(&ends->pass[WIRE_FD_COLLECT], &ends->read[2]) < 0)
		return -1;
	if (fill_payload(stage, ends->pass[WIRE_FD_PAYLOAD], ret_payload) < 0)
		return -1;
	return io_memfd_seal_with(ends->pass[WIRE_FD_STDIN], stage->input.data, stage->input.size);
}

static int send_run(int sock_fd, const struct launch_stage *stage, struct ends *ends,
		    uint64_t payload_bytes)
{
	struct wire_run run;
	size_t fds = words_count(stage->collect) ? WIRE_FD_COUNT : WIRE_FD_COUNT - 1;

	memset(&run, 0, sizeof run);
	wire_head_set(&run.head, WIRE_RUN, sizeof run);
	snprintf(run.id, sizeof run.id, "%s", stage->id);
	snprintf(run.language, sizeof run.language, "%s", stage->language);
	memcpy(run.table_hash, stage->table_hash, sizeof run.table_hash);
	run.stage = stage->stage;
	run.flags = stage->flags;
	run.limits = stage->limits;
	run.reserve_bytes = stage->reserve_bytes;
	run.cache_domain = stage->cache_domain;
	run.payload_bytes = payload_bytes;
	run.files_count = (uint32_t)stage->files_count;
	run.options_count = (uint32_t)words_count(stage->options);
	run.arguments_count = (uint32_t)words_count(stage->arguments);
	run.collect_count = (uint32_t)words_count(stage->collect);
	return io_send(sock_fd, &run, sizeof run, ends->pass, fds);
}

/* ---- what comes up ---- */

struct attempt {
	struct launch *launch;
	const struct launch_stage *stage;
	struct launch_result *result;
	struct ends ends;
	uint64_t start_us, tick_us;
	uint64_t stop_us; /* when WIRE_STOP was sent */
	bool taken, stopping, finished;
	bool from_spare;
	enum launch_end end;
};

static void finish(struct attempt *a, enum launch_end end)
{
	if (!a->finished) {
		a->finished = true;
		a->end = end;
	}
}

static void stop_run(struct attempt *a, enum cause cause)
{
	struct wire_stop stop = { .cause = (uint32_t)cause };

	if (a->stopping)
		return;
	a->stopping = true;
	a->stop_us = clock_us();
	wire_head_set(&stop.head, WIRE_STOP, sizeof stop);
	if (io_send(a->launch->sock_fd, &stop, sizeof stop, NULL, 0) < 0 && errno != EPIPE)
		finish(a, LAUNCH_LOST);
}

static int keep_bytes(struct buffer *kept, const char *bytes, size_t size)
{
	if (buffer_reserve(kept, size) < 0)
		return -1;
	memcpy(kept->data + kept->size, bytes, size);
	kept->size += size;
	return 0;
}

/* Bytes within the cap: gathered, or passed on. */
static void pass_output(struct attempt *a, enum launch_stream stream, const char *bytes,
			size_t size)
{
	if (!a->stage->on_output) {
		if (keep_bytes(&a->result->output[stream], bytes, size) < 0)
			finish(a, LAUNCH_LOST);
	} else if (a->stage->on_output(a->stage->data, stream, bytes, size) < 0) {
		finish(a, LAUNCH_GONE);
	}
}

/* Takes what lies in one stream. Bytes beyond the cap are counted and thrown
 * away: the program is being killed for them and must not block until then. They are
 * read into one place and copied from there: most programs print little, and room for
 * the most that could come would cost more than to copy what came. */
static void take_output(struct attempt *a, enum launch_stream stream, size_t most)
{
	uint64_t cap = a->stage->limits.output_bytes, *seen = &a->result->seen_bytes[stream];
	static _Thread_local char bytes[READ_BYTES];

	while (most > 0 && !a->finished) {
		uint64_t left = *seen < cap ? cap - *seen : 0;
		size_t want = most < READ_BYTES ? most : READ_BYTES;
		ssize_t n;

		if (left > 0 && want > left)
			want = (size_t)left;
		n = read(a->ends.read[stream], bytes, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0 || (n < 0 && errno != EAGAIN))
			close_fd(&a->ends.read[stream]);
		if (n <= 0)
			return;
		*seen += (uint64_t)n;
		most -= (size_t)n;
		if (left > 0)
			pass_output(a, stream, bytes, (size_t)n);
		if (*seen > cap)
			stop_run(a, CAUSE_OUTPUT);
		if ((size_t)n < want)
			return; /* the pipe is empty; poll knows when that changes */
	}
}

static void take_collected(struct attempt *a)
{
	struct buffer *kept = &a->result->collected;
	ssize_t n;

	if (kept->size >= COLLECT_MAX || buffer_reserve(kept, READ_BYTES) < 0) {
		close_fd(&a->ends.read[2]);
		return;
	}
	n = read(a->ends.read[2], kept->data + kept->size, READ_BYTES);
	if (n > 0)
		kept->size += (size_t)n;
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_fd(&a->ends.read[2]);
}

static void take_verdict(struct attempt *a, const struct wire_verdict *from)
{
	struct verdict *to = &a->result->verdict;

	to->cause = (enum cause)from->cause;
	to->exited = from->exited;
	to->exit_code = from->exit_code;
	to->signal = from->signal;
	to->exec_errno = from->exec_errno;
	to->cached = from->cached;
	to->ahead = from->ahead;
	to->setup_us = from->setup_us;
	to->usage = from->usage;
	finish(a, LAUNCH_DONE);
}

static enum launch_end refusal_end(uint32_t reason, struct error *err)
{
	static const struct {
		enum launch_end end;
		const char *text;
	} ends[] = {
		[REFUSED_PROTOCOL] = { LAUNCH_REFUSED, "sandboxd did not understand the message" },
		[REFUSED_RELOAD] = { LAUNCH_RELOAD, "sandboxd has another language table" },
		[REFUSED_BUSY] = { LAUNCH_BUSY, "no memory left for another box" },
		[REFUSED_LANGUAGE] = { LAUNCH_REFUSED, "the language is not available here" },
		[REFUSED_LIMITS] = { LAUNCH_REFUSED, "sandboxd does not grant these limits" },
		[REFUSED_INTERNAL] = { LAUNCH_REFUSED, "sandboxd could not make the box" },
	};

	error_set(err, EAGAIN, "%s", ends[reason].text);
	return ends[reason].end;
}

static void take_message(struct attempt *a, struct error *err)
{
	union {
		struct wire_head head;
		struct wire_taken taken;
		struct wire_verdict verdict;
		struct wire_refused refused;
	} m;
	ssize_t n = io_recv(a->launch->sock_fd, &m, sizeof m, NULL, NULL, MSG_DONTWAIT);
	unsigned type = n >= (ssize_t)sizeof m.head ? m.head.type : 0;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		error_set(err, ECONNRESET, "sandboxd closed the connection");
		finish(a, a->taken ? LAUNCH_LOST : LAUNCH_DOWN);
	} else if (type == WIRE_TAKEN && !a->taken &&
		   wire_check(&m, (size_t)n, WIRE_TAKEN, err) == 0) {
		a->taken = true;
		a->result->queue_us = clock_us() - a->start_us;
		if (a->stage->on_taken)
			a->stage->on_taken(a->stage->data);
	} else if (type == WIRE_VERDICT && a->taken &&
		   wire_check(&m, (size_t)n, WIRE_VERDICT, err) == 0) {
		take_verdict(a, &m.verdict);
	} else if (type == WIRE_REFUSED && wire_check(&m, (size_t)n, WIRE_REFUSED, err) == 0) {
		enum launch_end end = refusal_end(m.refused.reason, err);

		finish(a, a->taken ? LAUNCH_LOST : end);
	} else {
		error_set(err, EPROTO, "sandboxd sent something else than was due");
		finish(a, LAUNCH_LOST);
	}
}

/* We waited long enough for a box. A WIRE_TAKEN that lies here unread, because we were
 * not awake to see it, is as good as any. After the shutdown none can arrive, and the
 * keeper starts nothing without it. One that came just before that is of no more use: the
 * run dies with the connection, and it may have begun, so that is not "busy". */
static void give_up(struct attempt *a, struct error *err)
{
	take_message(a, err);
	if (a->taken)
		return;
	shutdown(a->launch->sock_fd, SHUT_RD);
	if (!a->finished)
		take_message(a, err);
	if (a->taken) {
		error_set(err, ETIMEDOUT, "taken at the last moment");
		a->end = LAUNCH_LOST;
	} else if (!a->finished || a->end == LAUNCH_DOWN) {
		error_set(err, EAGAIN, "no box in time");
		a->end = LAUNCH_BUSY;
	}
	a->finished = true;
}

static uint64_t sooner(uint64_t a_us, uint64_t b_us)
{
	return a_us < b_us ? a_us : b_us;
}

/* Does what is due, and says how long poll may sleep, in milliseconds. */
static int due(struct attempt *a, struct error *err)
{
	const struct launch_stage *stage = a->stage;
	uint64_t now = clock_us(), next = UINT64_MAX;

	if (!a->taken) {
		next = a->start_us + stage->wait_us;
		if (now >= next)
			give_up(a, err);
	} else if (a->stopping) {
		next = a->stop_us + LATE_VERDICT_US;
		if (now >= next) {
			error_set(err, ETIMEDOUT, "no verdict from sandboxd");
			finish(a, LAUNCH_LOST);
		}
	} else if (stage->deadline_us) {
		next = stage->deadline_us;
		if (now >= next) {
			stop_run(a, CAUSE_WALL);
			next = now + LATE_VERDICT_US;
		}
	}
	if (stage->tick_us && !a->finished) {
		if (now >= a->tick_us) {
			a->tick_us = now + stage->tick_us;
			if (stage->on_tick && stage->on_tick(stage->data) < 0)
				finish(a, LAUNCH_GONE);
		}
		next = sooner(next, a->tick_us);
	}
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

static void wait_for_verdict(struct attempt *a, struct error *err)
{
	enum { SOCK, OUT, ERRS, COLLECT, CLIENT, COUNT };

	while (!a->finished) {
		/* output may be there as soon as WIRE_TAKEN is; who hears of it must
		 * have heard first that it began */
		struct pollfd p[COUNT] = {
			[SOCK] = { a->launch->sock_fd, POLLIN, 0 },
			[OUT] = { a->taken ? a->ends.read[0] : -1, POLLIN, 0 },
			[ERRS] = { a->taken ? a->ends.read[1] : -1, POLLIN, 0 },
			[COLLECT] = { a->ends.read[2], POLLIN, 0 },
			[CLIENT] = { a->stage->client_fd, POLLRDHUP, 0 },
		};
		int timeout_ms = due(a, err);

		if (a->finished)
			return;
		if (poll(p, COUNT, timeout_ms) < 0) {
			if (errno == EINTR)
				continue;
			error_errno(err, "poll");
			finish(a, LAUNCH_LOST);
			return;
		}
		if (p[CLIENT].revents) {
			error_set(err, ECONNRESET, "the client left");
			finish(a, LAUNCH_GONE);
			return;
		}
		if (p[OUT].revents)
			take_output(a, LAUNCH_STDOUT, 16 * READ_BYTES);
		if (p[ERRS].revents)
			take_output(a, LAUNCH_STDERR, 16 * READ_BYTES);
		if (p[COLLECT].revents)
			take_collected(a);
		if (p[SOCK].revents)
			take_message(a, err);
	}
}

/* The verdict came: what the program wrote before its end lies in the pipes. A
 * left-over process may still hold them and write: one pipe's worth is enough. */
static void drain(struct attempt *a)
{
	size_t i;

	a->finished = false;
	a->stopping = true; /* nothing runs that a stop could be for */
	for (i = 0; i < LAUNCH_STREAMS; i++) {
		int size;

		if (a->ends.read[i] < 0)
			continue;
		size = fcntl(a->ends.read[i], F_GETPIPE_SZ);
		take_output(a, (enum launch_stream)i, size > 0 ? (size_t)size : READ_BYTES);
	}
	while (a->ends.read[2] >= 0) {
		size_t before = a->result->collected.size;

		take_collected(a);
		if (a->result->collected.size == before)
			break;
	}
	for (i = 0; i < LAUNCH_STREAMS; i++)
		if (a->result->seen_bytes[i] > a->stage->limits.output_bytes &&
		    a->result->verdict.cause == CAUSE_NONE)
			a->result->verdict.cause = CAUSE_OUTPUT;
	finish(a, LAUNCH_DONE);
}

/* A full backlog makes a non-blocking connect say EAGAIN: then we wait in line
 * outside, and look again every few milliseconds. */
static enum launch_end connect_class(struct attempt *a, const char *run_directory,
				     const char *image, struct error *err)
{
	char path[SOCKET_PATH];

	snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CLASS, run_directory, image);
	for (;;) {
		struct pollfd client = { a->stage->client_fd, POLLRDHUP, 0 };

		a->launch->sock_fd = io_connect_unix(path, SOCK_SEQPACKET, true, err);
		if (a->launch->sock_fd >= 0)
			return LAUNCH_DONE;
		if (errno != EAGAIN)
			return LAUNCH_DOWN;
		if (clock_us() >= a->start_us + a->stage->wait_us)
			return LAUNCH_BUSY;
		if (poll(&client, 1, 5) > 0)
			return LAUNCH_GONE;
	}
}

static enum launch_end attempt_run(struct attempt *a, const char *run_directory,
				   const char *image, struct error *err)
{
	uint64_t payload_bytes;
	enum launch_end end;

	a->from_spare = spare_is_ours();
	if (make_ends(a->stage, &a->ends, &payload_bytes) < 0) {
		error_errno(err, "make the stage's files and pipes");
		return LAUNCH_REFUSED;
	}
	if (a->launch->sock_fd < 0) {
		end = connect_class(a, run_directory, image, err);
		if (end != LAUNCH_DONE)
			return end;
	}
	if (send_run(a->launch->sock_fd, a->stage, &a->ends, payload_bytes) < 0) {
		error_errno(err, "send to sandboxd");
		return LAUNCH_DOWN;
	}
	ends_close_passed(&a->ends);
	wait_for_verdict(a, err);
	if (a->end == LAUNCH_DONE)
		drain(a);
	return a->end;
}

enum launch_end launch_run(struct launch *launch, const char *run_directory, const char *image,
			   const struct launch_stage *stage, struct launch_result *ret_result,
			   struct error *err)
{
	struct attempt a = {
		.launch = launch,
		.stage = stage,
		.result = ret_result,
		.ends = ENDS_NONE,
		.start_us = clock_us(),
	};
	enum launch_end end;

	memset(ret_result, 0, sizeof *ret_result);
	a.tick_us = a.start_us + stage->tick_us;
	end = attempt_run(&a, run_directory, image, err);
	/* whoever prepares has time for this later */
	if (a.from_spare && !spare.there && !spare.used) {
		spare.ends = a.ends;
		spare.used = true;
	} else {
		ends_done(&a.ends);
	}
	if (end != LAUNCH_DONE)
		launch_close(launch);
	ret_result->total_us = clock_us() - a.start_us;
	return end;
}

void launch_close(struct launch *launch)
{
	close_fd(&launch->sock_fd);
}

/* ---- collected files ---- */

static bool take(const struct buffer *from, size_t *offset, void *into, size_t size)
{
	if (from->size - *offset < size)
		return false;
	memcpy(into, from->data + *offset, size);
	*offset += size;
	return true;
}

bool launch_collected_next(const struct buffer *collected, size_t *offset,
			   struct launch_file *ret_file)
{
	struct launch_file file;
	uint32_t name_size, status;
	uint64_t size;

	if (*offset > collected->size || !take(collected, offset, &name_size, sizeof name_size) ||
	    name_size > collected->size - *offset)
		return false;
	file.name = (struct bytes){ collected->data + *offset, name_size };
	*offset += name_size;
	if (!take(collected, offset, &status, sizeof status) ||
	    !take(collected, offset, &size, sizeof size) || size > collected->size - *offset)
		return false;
	file.error = (int)status;
	file.content = (struct bytes){ collected->data + *offset, (size_t)size };
	*offset += (size_t)size;
	*ret_file = file;
	return true;
}
