/* SPDX-License-Identifier: ISC */
/* Runs as: the box user, without any capability. The payload was written by a
 * worker: every record is checked against the file's end. The runner shares init's
 * memory, so nothing may be allocated: everything here is static room that nobody else
 * uses. */
#define _GNU_SOURCE
#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/io.h"
#include "sandbox/ahead.h"

#define WORK_DIR	"/box"
#define ARGV_MAX	(2 * JOB_WORDS_MAX + 256)
#define TEXT_ROOM	(2 * JOB_WORD_BYTES + (64 << 10))
#define ENV_MAX		128
#define PAYLOAD_ROOM	16384
#define COLLECT_BYTES	((uint64_t)8 << 20) /* of all collected files together */
#define NICE_LEVEL	5

static struct {
	const char *map;
	size_t size, offset;
} payload;

static struct {
	char payload[PAYLOAD_ROOM]; /* of small ones: read sooner than mapped */
	char text[TEXT_ROOM];
	char *argv[ARGV_MAX + 1];
	size_t argc;
	const char *env[ENV_MAX + 1];
	struct bytes options[JOB_WORDS_MAX], arguments[JOB_WORDS_MAX], files[JOB_FILES_MAX];
} room;

int stage_become_user(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof none);
	/* raw calls: the C library's would try to tell threads that are not there */
	if (syscall(SYS_setresgid, BOX_UID, BOX_UID, BOX_UID) < 0 ||
	    syscall(SYS_setresuid, BOX_UID, BOX_UID, BOX_UID) < 0 ||
	    syscall(SYS_capset, &head, none) < 0)
		return errno;
	return 0;
}

/* ---- files ---- */

static int map_payload(const struct init_job *job, int fd)
{
	payload.size = job->payload_bytes;
	payload.offset = 0;
	payload.map = room.payload;
	if (payload.size <= sizeof room.payload)
		return pread(fd, room.payload, payload.size, 0) == (ssize_t)payload.size ? 0
											 : EPROTO;
	payload.map = mmap(NULL, payload.size, PROT_READ, MAP_PRIVATE, fd, 0);
	return payload.map == MAP_FAILED ? errno : 0;
}

static int next(struct bytes *ret_record)
{
	return wire_payload_next(payload.map, payload.size, &payload.offset, ret_record) < 0
		       ? EPROTO
		       : 0;
}

static int make_folders(char *name)
{
	char *slash;

	for (slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(name, 0755) < 0 && errno != EEXIST)
			return errno;
		*slash = '/';
	}
	return 0;
}

int stage_write_file(struct bytes name, struct bytes content, mode_t mode)
{
	struct open_how how = { .flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
				.mode = mode,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	char path[JOB_NAME_MAX + 1];
	int fd, code;

	if (!job_name_valid(name.data, name.size))
		return EPROTO;
	memcpy(path, name.data, name.size);
	path[name.size] = '\0';
	code = make_folders(path);
	if (code)
		return code;
	fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
	if (fd < 0)
		return errno;
	code = io_write_full(fd, content.data, content.size) < 0 ? errno : 0;
	close(fd);
	return code;
}

static int write_files(const struct init_job *job)
{
	struct bytes name, content;
	uint32_t i;
	int code;

	for (i = 0; i < job->files_count; i++) {
		if ((code = next(&name)) || (code = next(&content)))
			return code;
		if (!job_name_valid(name.data, name.size))
			return EPROTO;
		room.files[i] = name;
		if (job->on_tree && i == 0)
			continue;
		/* the main file may be started as it is, by its "#!" or as a binary */
		code = stage_write_file(name, content, i == 0 ? 0755 : 0644);
		if (code)
			return code;
	}
	return 0;
}

/* ---- argv and environment ---- */

static int take_words(struct bytes *into, uint32_t count)
{
	size_t total = 0;
	uint32_t i;
	int code;

	for (i = 0; i < count; i++) {
		if ((code = next(&into[i])))
			return code;
		total += into[i].size + 1;
		if (memchr(into[i].data, '\0', into[i].size) || total > JOB_WORD_BYTES)
			return EPROTO;
	}
	return 0;
}

static int emit(void *data, const char *word, size_t size)
{
	(void)data;
	(void)size;
	if (room.argc == ARGV_MAX)
		return E2BIG;
	room.argv[room.argc++] = (char *)(uintptr_t)word;
	return 0;
}

static int make_argv(const struct init_job *job)
{
	struct language_words words = { .options = room.options,
					.options_count = job->options_count,
					.arguments = room.arguments,
					.arguments_count = job->arguments_count,
					.files = room.files,
					.files_count = job->files_count };

	if (job->files_count > 0)
		words.main_file = room.files[0];
	if (language_expand(&job->language->argv[job->stage], &words, room.text,
			    sizeof room.text, emit, NULL) != 0)
		return E2BIG;
	room.argv[room.argc] = NULL;
	return 0;
}

/* In the place of one of the same name, else behind the others. */
static size_t put_variable(size_t count, const char *word)
{
	size_t name = strcspn(word, "="), i;

	for (i = 0; i < count; i++)
		if (!strncmp(room.env[i], word, name) && room.env[i][name] == '=')
			break;
	if (i == ENV_MAX)
		return count;
	room.env[i] = word;
	return i < count ? count : count + 1;
}

/* Ours, the image's, the language's: the later one holds. */
static void make_environment(const struct init_job *job)
{
	const struct argv_list *own = &job->language->environment;
	const char *word;
	size_t count = 0, i;

	for (i = 0; language_environment[i]; i++)
		count = put_variable(count, language_environment[i]);
	for (word = job->environment; word && *word; word += strlen(word) + 1)
		count = put_variable(count, word);
	for (i = 0; i < own->count; i++)
		count = put_variable(count, own->word[i]);
	room.env[count] = NULL;
}

/* ---- limits of each process; the control group holds those of all ---- */

void stage_ahead_limits(const struct limits *limits, struct ahead_go *ret_go)
{
	uint64_t cpu_s = (limits->cpu_ms + 999) / 1000;

	*ret_go = (struct ahead_go){ .cpu_soft_s = cpu_s + 1,
				     .cpu_hard_s = cpu_s + 2,
				     .file_bytes = limits->disk_bytes,
				     .processes = limits->processes };
}

static int set_rlimits(const struct limits *limits)
{
	struct ahead_go value;

	stage_ahead_limits(limits, &value);
	const struct {
		int resource;
		uint64_t soft, hard;
	} rows[] = {
		{ RLIMIT_CPU, value.cpu_soft_s, value.cpu_hard_s },
		{ RLIMIT_FSIZE, value.file_bytes, value.file_bytes },
		{ RLIMIT_NPROC, value.processes, value.processes },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct rlimit limit = { rows[i].soft, rows[i].hard };

		if (setrlimit((__rlimit_resource_t)rows[i].resource, &limit) < 0)
			return errno;
	}
	return 0;
}

/* ---- start ---- */

static int place_stdio(const int *stdio_fd)
{
	int i;

	for (i = 0; i < 3; i++)
		if (dup2(stdio_fd[i], i) < 0)
			return errno;
	return close_range(3, ~0U, 0) < 0 ? errno : 0;
}

/* By memcpy(): whatever else of the C library a fresh process touches is a page fault. */
static bool join(char *path, size_t size, const char *folder, const char *name)
{
	size_t head = strlen(folder), tail = strlen(name) + 1;

	if (head + tail > size)
		return false;
	memcpy(path, folder, head);
	memcpy(path + head, name, tail);
	return true;
}

static int execute(void)
{
	static const char *const places[] = { "/usr/local/bin/", "/usr/bin/", "/bin/", "/usr/games/" };
	char path[512];
	size_t i;
	int code = ENOENT;

	if (strchr(room.argv[0], '/')) {
		execve(room.argv[0], room.argv, (char *const *)(uintptr_t)room.env);
		return errno;
	}
	for (i = 0; i < ARRAY_LEN(places); i++) {
		if (!join(path, sizeof path, places[i], room.argv[0]))
			return ENAMETOOLONG;
		execve(path, room.argv, (char *const *)(uintptr_t)room.env);
		if (errno != ENOENT && errno != ENOTDIR)
			code = errno;
	}
	return code;
}

/* A page costs its fault when it is first written to: better now than with a job. */
static void touch_room(void)
{
	char *const parts[] = { (char *)&payload, room.payload, room.text, (char *)room.argv,
				(char *)room.env, (char *)room.files };
	size_t i;

	for (i = 0; i < ARRAY_LEN(parts); i++)
		*(volatile char *)parts[i] = 0;
}

/* So does the first call of a function, and the first look at the clock. */
static void rehearse(void)
{
	static char word[] = "%";
	static char *words[] = { word };
	const struct argv_list list = { .word = words, .count = ARRAY_LEN(words) };
	const struct language_words none = { .options = NULL };

	language_expand(&list, &none, room.text, sizeof room.text, emit, NULL);
	room.argc = 0;
	put_variable(0, language_environment[0]);
	clock_us();
}

int stage_begin(void)
{
	int code;

	/* first: what is sent to the keeper's group is not for us */
	if (setsid() < 0)
		return errno;
	setpriority(PRIO_PROCESS, 0, NICE_LEVEL);
	code = stage_become_user();
	if (code)
		return code;
	/* the change of user may have undone it, and init's memory is ours until the exec */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return errno;
	touch_room();
	rehearse();
	return chdir(WORK_DIR) < 0 ? errno : 0;
}

static int prepare(const struct init_job *job, const struct stage_files *files)
{
	int code = 0;

	if ((files->packed_fd >= 0 && (code = stage_unpack(files->packed_fd))) ||
	    (code = map_payload(job, files->payload_fd)) || (code = write_files(job)) ||
	    (code = take_words(room.options, job->options_count)) ||
	    (code = take_words(room.arguments, job->arguments_count)) || (code = make_argv(job)))
		return code;
	make_environment(job);
	if ((code = set_rlimits(&job->limits)))
		return code;
	return place_stdio(files->stdio_fd);
}

bool stage_clients_doing(int code)
{
	return code == ENOSPC || code == EDQUOT || code == EFBIG || code == E2BIG;
}

void stage_exec(const struct init_job *job, const struct stage_files *files,
		volatile struct stage_start *ret_start)
{
	int code = prepare(job, files);

	if (code) {
		ret_start->ours = !stage_clients_doing(code);
		ret_start->code = code;
		return;
	}
	ret_start->exec_us = clock_us();
	code = execute();
	ret_start->code = code ? code : EINVAL;
}

/* ---- interpreters ahead ---- */

/* Streams of the kinds that the real ones will have; nobody reads what is said. */
static int place_stand_ins(void)
{
	int ends[2], in = io_memfd_sealed("stdin", "", 0);

	if (in < 0 || pipe(ends) < 0 || dup2(in, 0) < 0 || dup2(ends[1], 1) < 0 ||
	    dup2(ends[1], 2) < 0)
		return errno;
	return 0;
}

static void add_variable(const char *text)
{
	size_t i = 0;

	while (room.env[i])
		i++;
	if (i < ENV_MAX) {
		room.env[i] = text;
		room.env[i + 1] = NULL;
	}
}

int stage_exec_ahead(const struct init_job *job, int library_fd, int sock_fd)
{
	static char preload[64], name[JOB_NAME_MAX + 32];
	const char *file = job->language->file;
	int code = 0, high[2], main_fd;

	main_fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	room.files[0] = (struct bytes){ file, strlen(file) };
	if (main_fd < 0 || (code = make_argv(job)))
		return code ? code : errno;
	make_environment(job);
	snprintf(preload, sizeof preload, "LD_PRELOAD=/proc/self/fd/%d", AHEAD_LIBRARY_FD);
	snprintf(name, sizeof name, AHEAD_VARIABLE "=%s", file);
	add_variable(name); /* the last two: they leave no hole when they are wiped */
	add_variable(preload);
	high[0] = fcntl(sock_fd, F_DUPFD, 100);
	high[1] = fcntl(library_fd, F_DUPFD, 100);
	if (high[0] < 0 || high[1] < 0)
		return errno;
	if ((code = place_stand_ins()))
		return code;
	if (dup2(high[0], AHEAD_SOCKET_FD) < 0 || dup2(high[1], AHEAD_LIBRARY_FD) < 0)
		return errno;
	if (close_range(3, AHEAD_SOCKET_FD - 1, 0) < 0)
		return errno;
	return execute();
}

/* ---- collect ---- */

static void put_head(int fd, struct bytes name, uint32_t status, uint64_t size)
{
	uint32_t name_size = (uint32_t)name.size;

	if (io_write_full(fd, &name_size, sizeof name_size) < 0 ||
	    io_write_full(fd, name.data, name.size) < 0 ||
	    io_write_full(fd, &status, sizeof status) < 0 ||
	    io_write_full(fd, &size, sizeof size) < 0)
		_exit(1);
}

static void put_content(int from_fd, int to_fd, uint64_t size)
{
	static char data[65536];

	while (size > 0) {
		size_t want = size < sizeof data ? (size_t)size : sizeof data;
		ssize_t n = io_read_full(from_fd, data, want);

		/* nobody is left who could have cut it: but the length was said */
		if (n < (ssize_t)want)
			memset(data + (n < 0 ? 0 : n), 0, want - (size_t)(n < 0 ? 0 : n));
		if (io_write_full(to_fd, data, want) < 0)
			_exit(1);
		size -= want;
	}
}

static uint64_t collect_one(struct bytes name, int to_fd, uint64_t budget)
{
	struct open_how how = { .flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
					   RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
	char path[JOB_NAME_MAX + 1];
	cleanup_close int fd = -1;
	struct stat st;

	if (!job_name_valid(name.data, name.size)) {
		put_head(to_fd, (struct bytes){ "", 0 }, EINVAL, 0);
		return 0;
	}
	memcpy(path, name.data, name.size);
	path[name.size] = '\0';
	fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
	if (fd < 0 || fstat(fd, &st) < 0) {
		put_head(to_fd, name, (uint32_t)errno, 0);
		return 0;
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > budget) {
		put_head(to_fd, name, S_ISREG(st.st_mode) ? EFBIG : EINVAL, 0);
		return 0;
	}
	put_head(to_fd, name, 0, (uint64_t)st.st_size);
	put_content(fd, to_fd, (uint64_t)st.st_size);
	return (uint64_t)st.st_size;
}

void stage_collect(const struct init_job *job, int payload_fd, int collect_fd)
{
	uint32_t skip = 2 * job->files_count + job->options_count + job->arguments_count, i;
	uint64_t budget = COLLECT_BYTES;
	struct bytes name;

	signal(SIGPIPE, SIG_DFL);
	if (chdir(WORK_DIR) < 0 || map_payload(job, payload_fd) != 0)
		return;
	for (i = 0; i < skip; i++)
		if (next(&name))
			return;
	for (i = 0; i < job->collect_count; i++) {
		if (next(&name))
			return;
		budget -= collect_one(name, collect_fd, budget);
	}
}
