/* SPDX-License-Identifier: ISC */
/* Cases 58 to 77: memory, processor and time.
 * Runs as: the box's program. */
#define _GNU_SOURCE
#include "tests/box/hostile.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void touch(char *at, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i += 4096)
		at[i] = (char)(i / 4096 + 1);
}

static char *take_memory(size_t bytes)
{
	char *at =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED) {
		differs("mmap of %zu bytes: %s", bytes, strerrorname_np(errno));
		exit(1);
	}
	touch(at, bytes);
	return at;
}

static ENDLESS int case_58(char **words)
{
	(void)words;
	for (;;)
		take_memory(MIB);
}

/* Memory that hides in files: which kind is the word. */
static int case_59(char **words)
{
	static char block[65536];
	const char *kind = words[0];
	int fd, i;

	memset(block, 'x', sizeof block);
	signal(SIGXFSZ, SIG_IGN);
	if (!strcmp(kind, "sysv")) {
		for (i = 0; i < 4096; i++) {
			int id = shmget(IPC_PRIVATE, MIB, IPC_CREAT | 0600);
			void *at = id < 0 ? NULL : shmat(id, NULL, 0);

			if (!at || at == (void *)-1)
				return differs("shm segment %d: %s", i, strerrorname_np(errno));
			touch(at, MIB);
			shmdt(at);
		}
		return differs("4 GiB of shared memory");
	}
	if (!strcmp(kind, "memfd"))
		fd = memfd_create("x", 0);
	else if (!strcmp(kind, "shm"))
		fd = open("/dev/shm/x", O_RDWR | O_CREAT, 0600);
	else
		fd = open("/box/unlinked", O_RDWR | O_CREAT, 0600);
	unlink("/box/unlinked");
	want(kind, fd, OK);
	for (i = 0; i < 65536; i++)
		if (write(fd, block, sizeof block) < 0) {
			want(kind, -1, ENOSPC, EFBIG);
			return 0;
		}
	return differs("4 GiB of %s", kind);
}

/* Each pair holds as much as the kernel lets it. Ends by EMFILE or the limit. */
static int case_60(char **words)
{
	static char block[65536];
	int pair[2], i;

	(void)words;
	for (i = 0; i < 2000; i++) {
		bool sockets = i % 2;
		int rc = sockets ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)
				 : pipe2(pair, O_NONBLOCK);
		int size = 4 << 20;

		if (rc < 0) {
			want("pair", -1, EMFILE, ENFILE, ENOMEM);
			return 0;
		}
		if (sockets)
			setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
		else
			fcntl(pair[1], F_SETPIPE_SZ, 1 << 20);
		while (write(pair[1], block, sizeof block) > 0)
			;
	}
	return differs("4000 descriptors");
}

/* One entry in each table that the kernel must then keep for it. */
static int case_61_tables(char **words)
{
	size_t step = 2 * MIB, count = 200000, i, made = 0;

	(void)words;
	for (i = 0; i < count; i++) {
		/* two pages apart by a table's reach: no huge page can serve them */
		char *at = mmap((char *)(0x100000000000ul + i * step), 4096, PROT_READ,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (at == MAP_FAILED) {
			want("mapping", -1, ENOMEM);
			break;
		}
		made += *(volatile char *)at == 0;
	}
	say("%zu tables\n", made);
	return 0;
}

static int case_61_mappings(char **words)
{
	int i;

	(void)words;
	for (i = 0; i < 100000; i++)
		if (mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) {
			want("mapping", -1, ENOMEM);
			return 0;
		}
	return 0;
}

static int case_61_names(char **words)
{
	const char *folder = words[0] ? words[0] : "/box";
	char path[64];
	int i;

	for (i = 0; i < 300000; i++) {
		snprintf(path, sizeof path, "%s/no-%d", folder, i);
		if (access(path, F_OK) == 0)
			return differs("%s exists", path);
	}
	return 0;
}

static int make_object(int kind)
{
	switch (kind) {
	case 0:
		return epoll_create1(0);
	case 1:
		return eventfd(0, 0);
	default:
		return inotify_init1(0);
	}
}

static int case_61_objects(char **words)
{
	int kind, i, fd = -1, watches = 0;

	(void)words;
	for (i = 0; i < 5000; i++) {
		fd = make_object(2);
		if (fd < 0)
			break;
	}
	want("inotify_init", fd, EMFILE);
	if (i > 16)
		differs("%d inotify instances", i);
	for (; watches < 5000; watches++) {
		char path[64];

		snprintf(path, sizeof path, "/box/watched-%d", watches);
		mkdir(path, 0700);
		if (inotify_add_watch(4, path, IN_ALL_EVENTS) < 0)
			break;
	}
	want("inotify_add_watch", watches < 5000 ? -1 : 0, ENOSPC, ENOENT, EBADF);
	if (watches > 1024)
		differs("%d inotify watches", watches);
	for (kind = 0; kind < 2; kind++) {
		for (i = 0; i < 5000; i++) {
			fd = make_object(kind);
			if (fd < 0)
				break;
		}
		want("object", fd, EMFILE);
	}
	return 0;
}

static int case_62(char **words)
{
	static char block[MIB];
	uint64_t total = 0;
	ssize_t n;
	int turn, fd = open("/t/big", O_RDONLY);

	(void)words;
	want("/t/big", fd, OK);
	while ((n = read(fd, block, sizeof block)) > 0)
		total += (uint64_t)n;
	close(fd);
	for (turn = 0; turn < 40; turn++) {
		size_t i;

		fd = open("/box/again", O_WRONLY | O_CREAT | O_TRUNC, 0600);
		want("write", fd, OK);
		for (i = 0; i < 8; i++)
			want("write", write(fd, block, sizeof block), OK);
		close(fd);
	}
	say("%llu bytes\n", (unsigned long long)total);
	return total < 300 * MIB ? differs("only %llu bytes", (unsigned long long)total) : 0;
}

static int eat_all(void *data)
{
	(void)data;
	case_58(NULL);
	return 0;
}

static int case_63(char **words)
{
	(void)words;
	in_child(eat_all, NULL);
	return 0;
}

static int case_64(char **words)
{
	take_memory(strtoull(words[0], NULL, 10));
	return 0;
}

/* By way of a pointer, or the compiler refuses what it sees through. */
static int (*volatile again)(int depth);

static int recurse(int depth)
{
	volatile char frame[4096];

	frame[0] = (char)depth;
	return again(depth + 1) + frame[0];
}

static int case_65(char **words)
{
	(void)words;
	again = recurse;
	return again(0);
}

static int case_67(char **words)
{
	size_t bytes = 4 * MIB;
	char *at =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *map;

	(void)words;
	want("mlock 4 MiB", mlock(at, bytes), ENOMEM, EPERM, EAGAIN);
	want("mlock 16 KiB", mlock(at, 16384), OK);
	want("munlock", munlock(at, 16384), OK);
	want("mlockall", mlockall(MCL_CURRENT | MCL_FUTURE), ENOMEM, EPERM, EAGAIN);
	map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	want("MAP_LOCKED", map == MAP_FAILED ? -1 : 0, EAGAIN, EPERM, ENOMEM);
	map = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	want("MAP_HUGETLB", map == MAP_FAILED ? -1 : 0, ENOMEM, EPERM, EINVAL);
	want("SHM_HUGETLB", shmget(IPC_PRIVATE, bytes, IPC_CREAT | SHM_HUGETLB | 0600), ENOMEM,
	     EPERM, ENOSYS);
	want("memfd huge", ftruncate(memfd_create("x", MFD_HUGETLB), 0), EBADF, OK);
	return 0;
}

/* ---- processor and time ---- */

static void spin(void)
{
	volatile unsigned long turns = 0;

	for (;;)
		turns++;
}

static int case_70(char **words)
{
	(void)words;
	say("spinning\n");
	spin();
	return 0;
}

static void *thread_spin(void *data)
{
	spin();
	return data;
}

static int case_71(char **words)
{
	int count = atoi(words[0]);
	pthread_t thread;

	while (--count > 0)
		if (pthread_create(&thread, NULL, thread_spin, NULL) != 0)
			return differs("pthread_create");
	spin();
	return 0;
}

static int spin_a_little(void *data)
{
	volatile unsigned long turns = 0;

	while (turns < 200000)
		turns++;
	(void)data;
	return 0;
}

static ENDLESS int case_71_children(char **words)
{
	(void)words;
	for (;;)
		in_child(spin_a_little, NULL);
}

static int case_72(char **words)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	int pair[2];
	char byte;

	say("waiting\n");
	if (!strcmp(words[0], "lock")) {
		pthread_mutex_lock(&mutex);
		pthread_mutex_lock(&mutex);
	} else if (!strcmp(words[0], "input")) {
		want("pipe", pipe(pair), OK);
		want("read", read(pair[0], &byte, 1), OK);
	}
	sleep_ms(60000);
	return 0;
}

/* What a build may leave that a careless hand would trip over. */
static void leave_odd_files(void)
{
	char name[32];
	int fd, i;

	want("fifo", mkfifo("fifo", 0600), OK);
	want("link", symlink("/etc/passwd", "link"), OK);
	want("loop", symlink("loop", "loop"), OK);
	want("up", symlink("../../../../etc", "up"), OK);
	want("folder", mkdir("shut", 0700), OK);
	fd = open("shut/inner", O_WRONLY | O_CREAT, 0600);
	want("write", write(fd, "inner\n", 6), OK);
	want("chmod", chmod("shut", 0), OK);
	fd = open("unreadable", O_WRONLY | O_CREAT, 0);
	want("write", write(fd, "x", 1), OK);
	fd = open("sparse", O_WRONLY | O_CREAT, 0600);
	want("sparse", ftruncate(fd, 8 << 20), OK);
	want("odd name", mkdir("\n\033[31m\xff", 0700), OK);
	for (i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "file-%d", i);
		fd = open(name, O_WRONLY | O_CREAT, 0644);
		want(name, fd, OK);
		close(fd);
	}
}

/* On the tree that the above left, straight or by way of the cache: what is there
 * is of the same kind as it was, and a name that led out still only leads out. */
static int case_on_odd_tree(char **words)
{
	static const struct {
		const char *name;
		mode_t type;
	} kinds[] = { { "fifo", S_IFIFO },  { "link", S_IFLNK }, { "loop", S_IFLNK },
		      { "up", S_IFLNK },    { "shut", S_IFDIR }, { "unreadable", S_IFREG },
		      { "sparse", S_IFREG } };
	struct stat st;
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		if (lstat(kinds[i].name, &st) < 0)
			want(kinds[i].name, -1, ENOENT);
		else if ((st.st_mode & S_IFMT) != kinds[i].type || st.st_uid != 1000 ||
			 (st.st_mode & 06000))
			differs("%s has mode %o, owner %u", kinds[i].name, st.st_mode,
				st.st_uid);
	}
	want("made", access("made", X_OK), OK);
	return 0;
}

/* The compiler of language "two": makes the program that then runs. */
static int case_build(char **words)
{
	static char block[65536];
	int from, to;
	ssize_t n;

	if (words[0] && !strcmp(words[0], "fail")) {
		fprintf(stderr, "main:1: error: no\n");
		return -1;
	}
	if (words[0] && !strcmp(words[0], "spin"))
		spin();
	from = open("/t/hostile", O_RDONLY);
	to = open("made", O_WRONLY | O_CREAT | O_EXCL, 0755);
	want("made", to, OK);
	while ((n = read(from, block, sizeof block)) > 0)
		want("write", write(to, block, (size_t)n), OK);
	want("tree", mkdir("tree", 0755), OK);
	to = open("tree/file", O_WRONLY | O_CREAT, 0644);
	want("write", write(to, "built\n", 6), OK);
	if (words[0] && !strcmp(words[0], "odd"))
		leave_odd_files();
	if (words[0] && !strcmp(words[0], "sent"))
		strand(&to, 1);
	return 0;
}

/* Run on the frozen tree: reads it, writes over it, sees nothing of other runs. */
static int case_on_tree(char **words)
{
	char text[64];
	int fd;

	(void)words;
	if (read_text("tree/file", text, sizeof text) < 0 || strcmp(text, "built\n") != 0)
		differs("tree/file is not as the build left it");
	want("tree/new", access("tree/new", F_OK), ENOENT);
	fd = open("tree/file", O_WRONLY | O_TRUNC);
	want("tree/file", fd, OK);
	if (fd >= 0)
		want("write", write(fd, "run\n", 4), OK);
	want("tree/new", open("tree/new", O_WRONLY | O_CREAT | O_EXCL, 0600), OK);
	want("made", unlink("made"), OK);
	return 0;
}

const struct attack attacks_memory[] = {
	{ "58", case_58 },
	{ "59", case_59 },
	{ "60", case_60 },
	{ "61-tables", case_61_tables },
	{ "61-mappings", case_61_mappings },
	{ "61-names", case_61_names },
	{ "61-objects", case_61_objects },
	{ "62", case_62 },
	{ "63", case_63 },
	{ "64", case_64 },
	{ "65", case_65 },
	{ "67", case_67 },
	{ "70", case_70 },
	{ "71", case_71 },
	{ "71-children", case_71_children },
	{ "72", case_72 },
	{ "build", case_build },
	{ "on-tree", case_on_tree },
	{ "on-odd-tree", case_on_odd_tree },
	{ NULL, NULL },
};
