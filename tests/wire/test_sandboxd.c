/* SPDX-License-Identifier: ISC */
/* A worker that breaks the protocol in every way: it is cut off or refused, that
 * is logged, and nobody else notices.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/tap.h"

static struct service service;
static struct census before;

/* What is sent: a good message, spoiled in one way. */
struct parcel {
	union {
		struct wire_run run;
		char raw[200 << 10];
	} u;
	size_t size;
	int fds[32];
	size_t fds_count;
	int ends[2]; /* our ends of stdout and stderr */
};

/* ---- a good one ---- */

static void payload_put(char *payload, size_t *size, const char *data)
{
	uint32_t length = (uint32_t)strlen(data);

	memcpy(payload + *size, &length, sizeof length);
	memcpy(payload + *size + sizeof length, data, length);
	*size += sizeof length + length;
}

static void parcel_make(struct parcel *p)
{
	char payload[256];
	struct wire_run *run = &p->u.run;
	size_t size = 0, i;

	memset(p, 0, sizeof *p);
	payload_put(payload, &size, "main");
	payload_put(payload, &size, "x");
	payload_put(payload, &size, "print");
	wire_head_set(&run->head, WIRE_RUN, sizeof *run);
	strcpy(run->id, "0123456789abcdef");
	strcpy(run->language, "native");
	memcpy(run->table_hash, ground.table_hash, sizeof run->table_hash);
	run->stage = STAGE_RUN;
	run->limits = test_limits;
	run->limits.memory_bytes = 16 * MIB;
	run->reserve_bytes = 16 * MIB;
	run->payload_bytes = size;
	run->files_count = 1;
	run->arguments_count = 1;
	p->size = sizeof *run;
	p->fds[WIRE_FD_PAYLOAD] = io_memfd_sealed("payload", payload, size);
	p->fds[WIRE_FD_STDIN] = io_memfd_sealed("stdin", "", 0);
	for (i = 0; i < 2; i++) {
		int pair[2];

		if (pipe2(pair, O_CLOEXEC) < 0)
			abort();
		p->ends[i] = pair[0];
		p->fds[WIRE_FD_STDOUT + i] = pair[1];
	}
	p->fds_count = 4;
}

static void parcel_done(struct parcel *p)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(p->fds); i++)
		if (p->fds[i] > 0)
			close(p->fds[i]);
	close(p->ends[0]);
	close(p->ends[1]);
}

/* ---- spoilers: the message ---- */

static void empty(struct parcel *p)
{
	p->size = 0;
}

static void cut_short(struct parcel *p)
{
	p->size = 10;
}

static void one_less(struct parcel *p)
{
	p->size--;
}

static void one_more(struct parcel *p)
{
	p->size++;
}

static void huge(struct parcel *p)
{
	p->size = 150 << 10;
}

static void head_alone(struct parcel *p)
{
	p->size = sizeof(struct wire_head);
}

static void bad_magic(struct parcel *p)
{
	p->u.run.head.magic++;
}

static void bad_version(struct parcel *p)
{
	p->u.run.head.version++;
}

static void type_verdict(struct parcel *p)
{
	p->u.run.head.type = WIRE_VERDICT;
}

static void type_unknown(struct parcel *p)
{
	p->u.run.head.type = 99;
}

static void bad_head_size(struct parcel *p)
{
	p->u.run.head.size++;
}

static void bad_head_zero(struct parcel *p)
{
	p->u.run.head.zero = 1;
}

static void bad_id(struct parcel *p)
{
	strcpy(p->u.run.id, "../../x");
}

static void control_in_id(struct parcel *p)
{
	strcpy(p->u.run.id, "a\nb\033[");
}

static void endless_id(struct parcel *p)
{
	memset(p->u.run.id, 'a', sizeof p->u.run.id);
}

static void bad_language(struct parcel *p)
{
	strcpy(p->u.run.language, "../native");
}

static void no_language(struct parcel *p)
{
	p->u.run.language[0] = '\0';
}

static void unknown_language(struct parcel *p)
{
	strcpy(p->u.run.language, "klingon");
}

static void other_image(struct parcel *p)
{
	strcpy(p->u.run.language, "sh");
}

static void no_such_stage(struct parcel *p)
{
	p->u.run.stage = STAGE_BUILD;
}

static void bad_stage(struct parcel *p)
{
	p->u.run.stage = 77;
}

static void bad_padding(struct parcel *p)
{
	p->u.run.zero[3] = 1;
}

static void bad_flags(struct parcel *p)
{
	p->u.run.flags = 0x80000000u;
}

static void keep_on_run(struct parcel *p)
{
	p->u.run.flags = WIRE_KEEP_TREE;
}

static void no_tree(struct parcel *p)
{
	p->u.run.flags = WIRE_ON_TREE;
}

static void other_table(struct parcel *p)
{
	p->u.run.table_hash[0] ^= 1;
}

static void no_memory(struct parcel *p)
{
	p->u.run.limits.memory_bytes = 0;
}

static void no_bounds(struct parcel *p)
{
	p->u.run.limits.wall_ms = UINT64_MAX;
}

static void small_reserve(struct parcel *p)
{
	p->u.run.reserve_bytes = 1;
}

static void huge_reserve(struct parcel *p)
{
	p->u.run.reserve_bytes = UINT64_MAX;
}

static void other_payload_size(struct parcel *p)
{
	p->u.run.payload_bytes++;
}

static void huge_payload(struct parcel *p)
{
	p->u.run.payload_bytes = UINT64_MAX;
}

static void many_files(struct parcel *p)
{
	p->u.run.files_count = UINT32_MAX;
}

static void many_words(struct parcel *p)
{
	p->u.run.arguments_count = 100000;
}

static void many_collects(struct parcel *p)
{
	p->u.run.collect_count = UINT32_MAX;
}

static void endless_language(struct parcel *p)
{
	memset(p->u.run.language, 'a', sizeof p->u.run.language);
}

static void junk(struct parcel *p)
{
	size_t i;

	for (i = 0; i < sizeof p->u.run; i++)
		p->u.raw[i] = (char)(i * 7919 >> 3);
}

/* ---- spoilers: the descriptors ---- */

static void swap_fd(struct parcel *p, size_t at, int fd)
{
	close(p->fds[at]);
	p->fds[at] = fd;
}

static void no_fds(struct parcel *p)
{
	p->fds_count = 0;
}

static void three_fds(struct parcel *p)
{
	p->fds_count = 3;
}

static void more_fds(struct parcel *p, size_t count)
{
	while (p->fds_count < count)
		p->fds[p->fds_count++] = open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void five_fds(struct parcel *p)
{
	more_fds(p, 5);
}

static void eight_fds(struct parcel *p)
{
	more_fds(p, 8);
}

static void thirty_fds(struct parcel *p)
{
	more_fds(p, 30);
}

static int unsealed(const char *data, size_t size, int seals)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && write(fd, data, size) != (ssize_t)size)
		abort();
	if (seals)
		fcntl(fd, F_ADD_SEALS, seals);
	return fd;
}

static void payload_like(struct parcel *p, int seals)
{
	char text[256] = "";
	ssize_t n = pread(p->fds[WIRE_FD_PAYLOAD], text, sizeof text, 0);

	swap_fd(p, WIRE_FD_PAYLOAD, unsealed(text, (size_t)n, seals));
}

static void unsealed_payload(struct parcel *p)
{
	payload_like(p, 0);
}

static void growing_payload(struct parcel *p)
{
	payload_like(p, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_SEAL);
}

static void writable_payload(struct parcel *p)
{
	payload_like(p, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
}

static void unsealed_stdin(struct parcel *p)
{
	swap_fd(p, WIRE_FD_STDIN, unsealed("x", 1, 0));
}

#define OPENED(name, at, path, flags)                                                          \
	static void name(struct parcel *p)                                                     \
	{                                                                                      \
		swap_fd(p, at, open(path, (flags) | O_CLOEXEC));                               \
	}
OPENED(payload_folder, WIRE_FD_PAYLOAD, "/", O_RDONLY)
OPENED(payload_file, WIRE_FD_PAYLOAD, "/etc/passwd", O_RDONLY)
OPENED(payload_path, WIRE_FD_PAYLOAD, "/", O_PATH)
OPENED(stdin_folder, WIRE_FD_STDIN, "/", O_RDONLY)
OPENED(stdin_shadow, WIRE_FD_STDIN, "/etc/shadow", O_RDONLY)
OPENED(stdin_device, WIRE_FD_STDIN, "/dev/zero", O_RDONLY)
OPENED(stdin_path, WIRE_FD_STDIN, "/etc/passwd", O_PATH)
OPENED(stdout_device, WIRE_FD_STDOUT, "/dev/null", O_WRONLY)
OPENED(stdout_folder, WIRE_FD_STDOUT, "/", O_RDONLY)
OPENED(stderr_folder, WIRE_FD_STDERR, "/", O_RDONLY)

static void stdout_read_end(struct parcel *p)
{
	swap_fd(p, WIRE_FD_STDOUT, dup(p->ends[0]));
}

static void stderr_read_end(struct parcel *p)
{
	swap_fd(p, WIRE_FD_STDERR, dup(p->ends[1]));
}

static void stdin_write_end(struct parcel *p)
{
	swap_fd(p, WIRE_FD_STDIN, dup(p->fds[WIRE_FD_STDOUT]));
}

static void stdout_socket(struct parcel *p)
{
	swap_fd(p, WIRE_FD_STDOUT, socket(AF_UNIX, SOCK_STREAM, 0));
}

static void stdout_file(struct parcel *p)
{
	swap_fd(p, WIRE_FD_STDOUT, unsealed("x", 1, 0));
}

/* What the counts promise, the payload does not hold: seen by the stage's child,
 * which is the program's user. */
static void lying_counts(struct parcel *p)
{
	p->u.run.files_count = 40;
}

static void lying_lengths(struct parcel *p)
{
	static const char bytes[32] = { 4,   0,	  0,	  0,	  'm',	  'a',
					'i', 'n', '\xff', '\xff', '\xff', '\xff' };

	swap_fd(p, WIRE_FD_PAYLOAD, io_memfd_sealed("payload", bytes, sizeof bytes));
	p->u.run.payload_bytes = sizeof bytes;
}

enum fate {
	CUT = 0,       /* hung up on, or told REFUSED_PROTOCOL */
	NOT_RUN = 100, /* anything but an output of the program */
};

static const struct {
	const char *name;
	void (*spoil)(struct parcel *p);
	unsigned fate; /* enum fate, or enum wire_refusal */
} rows[] = {
	{ "an empty message", empty, CUT },
	{ "ten bytes", cut_short, CUT },
	{ "a byte too few", one_less, CUT },
	{ "a byte too many", one_more, CUT },
	{ "150 KiB", huge, CUT },
	{ "a head alone", head_alone, CUT },
	{ "junk", junk, CUT },
	{ "another magic", bad_magic, CUT },
	{ "another version", bad_version, CUT },
	{ "a verdict", type_verdict, CUT },
	{ "an unknown type", type_unknown, CUT },
	{ "a wrong size in the head", bad_head_size, CUT },
	{ "a head that is not zero where it must be", bad_head_zero, CUT },
	{ "an id that is a path", bad_id, CUT },
	{ "an id with control characters", control_in_id, CUT },
	{ "an id without an end", endless_id, CUT },
	{ "a language that is a path", bad_language, CUT },
	{ "a language without an end", endless_language, CUT },
	{ "no language", no_language, CUT },
	{ "an unknown language", unknown_language, REFUSED_LANGUAGE },
	{ "a language of another image", other_image, REFUSED_LANGUAGE },
	{ "a stage that the language has not", no_such_stage, REFUSED_LANGUAGE },
	{ "an unknown stage", bad_stage, CUT },
	{ "padding", bad_padding, CUT },
	{ "unknown flags", bad_flags, CUT },
	{ "a run that keeps its tree", keep_on_run, CUT },
	{ "a run on no tree", no_tree, CUT },
	{ "another language table", other_table, REFUSED_RELOAD },
	{ "a limit of zero", no_memory, REFUSED_LIMITS },
	{ "a limit without bounds", no_bounds, REFUSED_LIMITS },
	{ "less reserved than asked for", small_reserve, REFUSED_LIMITS },
	{ "everything reserved", huge_reserve, REFUSED_LIMITS },
	{ "a payload of another size", other_payload_size, CUT },
	{ "a payload beyond all bounds", huge_payload, CUT },
	{ "4,294,967,295 files", many_files, CUT },
	{ "100,000 arguments", many_words, CUT },
	{ "4,294,967,295 results", many_collects, CUT },
	{ "no descriptors", no_fds, CUT },
	{ "three descriptors", three_fds, CUT },
	{ "five descriptors", five_fds, CUT },
	{ "eight descriptors", eight_fds, CUT },
	{ "thirty descriptors", thirty_fds, CUT },
	{ "an unsealed payload", unsealed_payload, CUT },
	{ "a payload that can grow", growing_payload, CUT },
	{ "a payload that can be written", writable_payload, CUT },
	{ "a folder as payload", payload_folder, CUT },
	{ "a file as payload", payload_file, CUT },
	{ "a path as payload", payload_path, CUT },
	{ "an unsealed stdin", unsealed_stdin, CUT },
	{ "a folder as stdin", stdin_folder, CUT },
	{ "a secret file as stdin", stdin_shadow, CUT },
	{ "a device as stdin", stdin_device, CUT },
	{ "a path as stdin", stdin_path, CUT },
	{ "a write end as stdin", stdin_write_end, CUT },
	{ "a read end as stdout", stdout_read_end, CUT },
	{ "a device as stdout", stdout_device, CUT },
	{ "a socket as stdout", stdout_socket, CUT },
	{ "a file as stdout", stdout_file, CUT },
	{ "a folder as stdout", stdout_folder, CUT },
	{ "a read end as stderr", stderr_read_end, CUT },
	{ "a folder as stderr", stderr_folder, CUT },
	{ "counts that lie", lying_counts, NOT_RUN },
	{ "lengths that lie", lying_lengths, NOT_RUN },
};

/* ---- sending it, and what comes back ---- */

static int box_socket(void)
{
	char path[PATH_MAX];
	struct error err = ERROR_INIT;

	snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CLASS, service.run, "test");
	return io_connect_unix(path, SOCK_SEQPACKET, false, &err);
}

static int control_socket(void)
{
	char path[PATH_MAX];
	struct error err = ERROR_INIT;

	snprintf(path, sizeof path, "%s/" WIRE_SOCKET_CONTROL, service.run);
	return io_connect_unix(path, SOCK_SEQPACKET, false, &err);
}

/* io_send() takes only a decent number of descriptors. */
static bool send_parcel(int fd, const struct parcel *p)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(32 * sizeof(int))];
	} control;
	struct iovec part = { (void *)(uintptr_t)p->u.raw, p->size };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	if (p->fds_count) {
		struct cmsghdr *c;

		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(p->fds_count * sizeof(int));
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(p->fds_count * sizeof(int));
		memcpy(CMSG_DATA(c), p->fds, p->fds_count * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL) >= 0;
}

/* All that is answered until it hangs up or says nothing for a while. */
struct answer {
	bool taken, verdict, hung_up;
	unsigned refused;
};

static void listen_to(int fd, int patience_ms, struct answer *ret)
{
	union {
		struct wire_head head;
		struct wire_refused refused;
		struct wire_verdict verdict;
	} m;

	memset(ret, 0, sizeof *ret);
	for (;;) {
		struct pollfd p = { fd, POLLIN, 0 };
		ssize_t n;

		if (poll(&p, 1, patience_ms) <= 0)
			return;
		n = io_recv(fd, &m, sizeof m, NULL, NULL, 0);
		if (n <= 0) {
			ret->hung_up = true;
			return;
		}
		if (m.head.type == WIRE_TAKEN)
			ret->taken = true;
		if (m.head.type == WIRE_VERDICT)
			ret->verdict = true;
		if (m.head.type == WIRE_REFUSED)
			ret->refused = m.refused.reason;
		/* these leave the connection open, so nothing more need come */
		if (ret->verdict || (ret->refused && ret->refused != REFUSED_PROTOCOL))
			return;
	}
}

static bool fits(const struct answer *a, unsigned fate)
{
	if (fate == NOT_RUN)
		return a->hung_up || a->refused || a->verdict;
	if (a->taken || a->verdict)
		return false;
	if (fate == CUT)
		return a->hung_up && (!a->refused || a->refused == REFUSED_PROTOCOL);
	return a->refused == fate;
}

static uint64_t log_size(void)
{
	struct stat st;

	return stat(service.log, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

static bool printed(const struct parcel *p)
{
	char text[64];

	fcntl(p->ends[0], F_SETFL, O_NONBLOCK);
	return read(p->ends[0], text, sizeof text) > 0;
}

/* With what is left open by then; told once, where it was opened. */
static void tell(bool good, const char *name, char *text)
{
	char left[400];

	if (!census_returns(&service, &before, left, sizeof left)) {
		good = false;
		text = left;
		census_settled(&service, &before);
	}
	if (!tap_ok(good, "%s", name))
		tap_note("%s", text);
}

static void spoiled(size_t i)
{
	static struct parcel p;
	struct answer answer;
	uint64_t logged = log_size();
	int fd = box_socket();
	char text[400] = "";
	bool good;

	parcel_make(&p);
	rows[i].spoil(&p);
	good = fd >= 0;
	/* what the kernel itself does not carry need not be refused */
	if (good && send_parcel(fd, &p)) {
		listen_to(fd, PATIENCE_MS, &answer);
		good = fits(&answer, rows[i].fate);
		snprintf(text, sizeof text, "taken %d, verdict %d, refused %u, hung up %d",
			 answer.taken, answer.verdict, answer.refused, answer.hung_up);
		if (good && rows[i].fate == CUT && p.size > 0 && log_size() == logged) {
			snprintf(text, sizeof text, "nothing was logged");
			good = false;
		}
	}
	if (good && printed(&p)) {
		snprintf(text, sizeof text, "the program ran");
		good = false;
	}
	parcel_done(&p);
	close(fd);
	good = good && slots_work(&service, text, sizeof text);
	tell(good, rows[i].name, text);
}

/* ---- good messages at the wrong time ---- */

static void a_good_one(void)
{
	static struct parcel p;
	struct answer answer;
	int fd = box_socket();

	parcel_make(&p);
	tap_ok(send_parcel(fd, &p), "a good message is sent");
	listen_to(fd, PATIENCE_MS, &answer);
	tap_ok(answer.taken && answer.verdict && printed(&p), "and the program runs");
	parcel_done(&p);
	close(fd);
}

static char none[] = "";

static void twice(void)
{
	static struct parcel p;
	struct answer answer;
	int fd = box_socket();

	parcel_make(&p);
	send_parcel(fd, &p);
	send_parcel(fd, &p);
	listen_to(fd, PATIENCE_MS, &answer);
	/* the second may come after the first has ended: then it is the next stage */
	parcel_done(&p);
	close(fd);
	tell(answer.verdict || answer.hung_up, "a second run while the first runs", none);
}

static void odd_messages(void)
{
	static const struct {
		const char *name;
		enum wire_type type;
		uint32_t cause;
	} odd[] = {
		{ "a stop before anything runs", WIRE_STOP, CAUSE_OUTPUT },
		{ "a stop with an odd cause", WIRE_STOP, 77 },
		{ "a query at a box", WIRE_QUERY, 0 },
		{ "a taken from a worker", WIRE_TAKEN, 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(odd); i++) {
		struct wire_stop stop = { .cause = odd[i].cause };
		const size_t size = odd[i].type == WIRE_STOP ? sizeof stop : sizeof stop.head;
		struct answer answer;
		int fd = box_socket();

		wire_head_set(&stop.head, odd[i].type, size);
		io_send(fd, &stop, size, NULL, 0);
		listen_to(fd, PATIENCE_MS, &answer);
		close(fd);
		tell(answer.hung_up && !answer.taken, odd[i].name, none);
	}
}

/* A stop that crosses the verdict is for nothing, but one only. */
static void late_stop(void)
{
	static struct parcel p[3];
	struct wire_stop stop = { .cause = CAUSE_OUTPUT };
	struct answer answer;
	int fd = box_socket();
	size_t i;

	wire_head_set(&stop.head, WIRE_STOP, sizeof stop);
	for (i = 0; i < ARRAY_LEN(p); i++)
		parcel_make(&p[i]);
	for (i = 0; i < 2; i++) {
		if (i > 0)
			io_send(fd, &stop, sizeof stop, NULL, 0);
		send_parcel(fd, &p[i]);
		listen_to(fd, PATIENCE_MS, &answer);
		tap_ok(answer.verdict && printed(&p[i]), "a run %s a late stop",
		       i ? "after" : "before");
	}
	io_send(fd, &stop, sizeof stop, NULL, 0);
	io_send(fd, &stop, sizeof stop, NULL, 0);
	send_parcel(fd, &p[2]);
	listen_to(fd, PATIENCE_MS, &answer);
	close(fd);
	tell(answer.hung_up && !answer.taken && !printed(&p[2]), "two stops after a run", none);
	for (i = 0; i < ARRAY_LEN(p); i++)
		parcel_done(&p[i]);
}

/* During a run: junk instead of a stop ends it. */
static void junk_during_a_run(void)
{
	static struct parcel p;
	struct answer answer;
	char payload[64];
	size_t size = 0;
	int fd = box_socket();

	parcel_make(&p);
	payload_put(payload, &size, "main");
	payload_put(payload, &size, "x");
	payload_put(payload, &size, "stay");
	swap_fd(&p, WIRE_FD_PAYLOAD, io_memfd_sealed("payload", payload, size));
	p.u.run.payload_bytes = size;
	send_parcel(fd, &p);
	tap_ok(program_pid(&service, "stay") > 0, "a run for junk to come into");
	io_send(fd, "junk", 4, NULL, 0);
	listen_to(fd, PATIENCE_MS, &answer);
	tap_ok(answer.taken && !answer.verdict && answer.hung_up, "junk during a run ends it");
	parcel_done(&p);
	close(fd);
}

/* Gone at each point of the way; the run must go too, and the box come back. */
static void gone(void)
{
	static const char *const points[] = {
		"a worker gone after the connect",
		"a worker gone after the message",
		"a worker gone after the answer",
		"a worker gone deaf",
		"a worker gone dumb",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(points); i++) {
		static struct parcel p;
		char text[400] = "";
		int fd = box_socket();
		bool good = fd >= 0;

		parcel_make(&p);
		if (i == 3)
			shutdown(fd, SHUT_RD);
		if (i > 0)
			good = good && send_parcel(fd, &p);
		if (i == 4)
			shutdown(fd, SHUT_WR);
		if (i == 2) {
			struct pollfd first = { fd, POLLIN, 0 };

			good = good && poll(&first, 1, PATIENCE_MS) == 1;
		}
		if (i >= 3)
			pause_ms(200);
		close(fd);
		good = good && slots_work(&service, text, sizeof text);
		parcel_done(&p);
		tell(good, points[i], text);
	}
}

/* A peer that connects and says nothing is not waited for without end. */
static void silence(void)
{
	struct answer answer;
	int fd = box_socket();

	listen_to(fd, 3 * PATIENCE_MS, &answer);
	tap_ok(answer.hung_up && !answer.refused, "a silent worker is hung up on");
	close(fd);
}

/* ---- the control socket ---- */

static void control(void)
{
	static struct parcel p;
	struct wire_info info;
	struct error err = ERROR_INIT;
	int silent[64], fd;
	struct answer answer;
	size_t i;

	fd = control_socket();
	io_send(fd, "nonsense", 8, NULL, 0);
	listen_to(fd, PATIENCE_MS, &answer);
	tap_ok(answer.hung_up, "nonsense on the control socket");
	close(fd);
	fd = control_socket();
	parcel_make(&p);
	send_parcel(fd, &p);
	listen_to(fd, PATIENCE_MS, &answer);
	tap_ok(answer.hung_up && !answer.taken && !printed(&p), "a run on the control socket");
	parcel_done(&p);
	close(fd);
	for (i = 0; i < ARRAY_LEN(silent); i++)
		silent[i] = control_socket();
	tap_ok(launch_query(service.run, &info, &err) == 0,
	       "a question beside 64 silent connections: %s", err.text);
	for (i = 0; i < ARRAY_LEN(silent); i++)
		close_fd(&silent[i]);
}

int main(void)
{
	const struct service_options options = { .slots = 2 };
	char text[400];
	size_t i;

	ground_make();
	if (!tap_ok(service_start(&options, &service, text, sizeof text) &&
			    census_settled(&service, &before),
		    "sandboxd is ready")) {
		tap_note("%s", text);
		return tap_done();
	}
	a_good_one();
	for (i = 0; i < ARRAY_LEN(rows); i++)
		spoiled(i);
	twice();
	odd_messages();
	late_stop();
	junk_during_a_run();
	gone();
	silence();
	control();
	tap_ok(slots_work(&service, text, sizeof text), "and it goes on");
	if (!tap_ok(census_returns(&service, &before, text, sizeof text),
		    "nothing is left of it"))
		tap_note("%s", text);
	tap_ok(service_stop(&service) == 0, "it ends well");
	return tap_done();
}
