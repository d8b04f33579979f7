/* SPDX-License-Identifier: ISC */
/* Cases 78 to 87 and 159 to 164: output, input, network, what can be learnt.
 * Runs as: the box's program. */
#define _GNU_SOURCE
#include "tests/box/hostile.h"

#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>

/* ---- output ---- */

static ENDLESS int case_78(char **words)
{
	static char block[65536];
	const char *kind = words[0];
	bool odd = false;

	signal(SIGPIPE, SIG_IGN);
	memset(block, !strcmp(kind, "lines") ? '\n' : 'x', sizeof block);
	for (;;) {
		int fd = !strcmp(kind, "stderr") || (!strcmp(kind, "both") && odd) ? 2 : 1;

		odd = !odd;
		if (write(fd, block, sizeof block) < 0)
			sleep_ms(1);
	}
}

/* So many bytes in a known order, in writes of an odd size. */
static int case_79(char **words)
{
	static char block[7919];
	size_t left = strtoull(words[0], NULL, 10), at = 0, i;

	while (left > 0) {
		size_t part = left < sizeof block ? left : sizeof block, done = 0;

		for (i = 0; i < part; i++)
			block[i] = (char)((at + i) * 31 >> 3);
		while (done < part) {
			ssize_t n = write(1, block + done, part - done);

			if (n < 0)
				_exit(1);
			done += (size_t)n;
		}
		at += part;
		left -= part;
	}
	_exit(0);
}

static int case_80(char **words)
{
	unsigned char all[256 + 8];
	int i;

	(void)words;
	for (i = 0; i < 256; i++)
		all[i] = (unsigned char)i;
	memcpy(all + 256, "\xed\xa0\x80\xef\xbb\xbf\xc3\x28",
	       8); /* surrogate, BOM, broken pair */
	if (write(1, all, sizeof all) != sizeof all || write(2, all, sizeof all) != sizeof all)
		_exit(1);
	_exit(0);
}

static int case_82(char **words)
{
	(void)words;
	close(0);
	close(1);
	close(2);
	for (;;)
		getppid();
	return 0;
}

/* Stdin of 10 MiB: not read, half read, closed; or echoed to its end. */
static int case_83(char **words)
{
	static char block[65536];
	size_t total = 0;
	ssize_t n;

	if (!strcmp(words[0], "close"))
		close(0);
	else if (!strcmp(words[0], "half"))
		want("read", read(0, block, sizeof block), OK);
	else if (!strcmp(words[0], "whole")) {
		while ((n = read(0, block, sizeof block)) > 0)
			total += (size_t)n;
		say("%zu bytes\n", total);
	}
	return 0;
}

static int case_84(char **words)
{
	say("before the end\n");
	if (!strcmp(words[0], "sleep"))
		sleep_ms(60000);
	for (;;)
		if (!strcmp(words[0], "memory"))
			memset(malloc(MIB), 1, MIB);
	return 0;
}

/* ---- network ---- */

static int connect_to(const char *name, bool abstract, int type)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t size = strlen(name);
	int fd = socket(AF_UNIX, type, 0), rc, saved;

	if (size > sizeof at.sun_path - 2)
		return -1;
	memcpy(at.sun_path + abstract, name, size);
	rc = connect(fd, (struct sockaddr *)&at,
		     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + size));
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

static int listen_on(const char *name, bool abstract)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t size = strlen(name);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memcpy(at.sun_path + abstract, name, size);
	if (bind(fd, (struct sockaddr *)&at,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + abstract + size)) < 0)
		return -1;
	return listen(fd, 4);
}

static int case_85(char **words)
{
	char text[4096], *line;
	int lines = 0;

	(void)words;
	want("AF_INET", socket(AF_INET, SOCK_STREAM, 0), EAFNOSUPPORT);
	want("AF_INET6", socket(AF_INET6, SOCK_DGRAM, 0), EAFNOSUPPORT);
	want("AF_NETLINK", socket(AF_NETLINK, SOCK_RAW, 0), EAFNOSUPPORT);
	if (read_text("/proc/self/net/dev", text, sizeof text) > 0)
		for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
			if (!strchr(line, ':'))
				continue;
			lines++;
			if (!strstr(line, " lo:"))
				differs("an interface: %s", line);
		}
	if (lines > 1)
		differs("%d interfaces", lines);
	if (read_text("/proc/self/net/route", text, sizeof text) > 0 && strstr(text, "\n") &&
	    strlen(strstr(text, "\n")) > 1)
		differs("a route: %s", text);
	if (read_text("/proc/self/net/if_inet6", text, sizeof text) > 0)
		differs("an address: %s", text);
	if (read_text("/proc/self/net/unix", text, sizeof text) > 0 && strchr(text, '@'))
		differs("another's abstract socket: %s", text);
	return 0;
}

/* Words: abstract names with a leading "@", or paths. None may answer. */
static int case_86(char **words)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };
	size_t i;

	for (; *words; words++)
		for (i = 0; i < ARRAY_LEN(types); i++) {
			bool abstract = **words == '@';

			want(*words, connect_to(*words + abstract, abstract, types[i]),
			     ECONNREFUSED, ENOENT);
		}
	return 0;
}

static int case_87(char **words)
{
	for (; *words; words++)
		want(*words, listen_on(*words + (**words == '@'), **words == '@'), OK);
	say("listening\n");
	sleep_ms(60000);
	return 0;
}

/* ---- what can be learnt ---- */

static int case_159(char **words)
{
	static const char *const absent[] = {
		"/proc/kcore",
		"/proc/kallsyms",
		"/proc/keys",
		"/proc/key-users",
		"/proc/modules",
		"/proc/cmdline",
		"/proc/config.gz",
		"/proc/interrupts",
		"/proc/timer_list",
		"/proc/sched_debug",
		"/proc/kmsg",
		"/proc/kpagecount",
		"/proc/kpageflags",
		"/proc/iomem",
		"/proc/ioports",
		"/proc/latency_stats",
		"/proc/partitions",
		"/proc/mounts-host",
		"/proc/sys/kernel/random/boot_id",
		"/proc/sys",
		"/sys/class",
		"/sys/kernel",
		"/etc/machine-id",
		"/var/lib/dbus/machine-id",
		"/proc/net",
		"/proc/diskstats",
		"/proc/swaps",
		"/proc/vmallocinfo",
		"/proc/slabinfo",
		"/proc/sysvipc",
		"/proc/locks",
	};
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(absent); i++)
		want(absent[i], open(absent[i], O_RDONLY | O_NONBLOCK), ENOENT, EACCES);
	if (!dir)
		return differs("/proc cannot be listed");
	while ((entry = readdir(dir)) != NULL) {
		int pid = atoi(entry->d_name);

		if (pid > 0 && pid != getpid())
			differs("/proc/%d is there", pid);
		else if (pid == 0 && entry->d_name[0] != '.' && strcmp(entry->d_name, "self") &&
			 strcmp(entry->d_name, "thread-self"))
			differs("/proc/%s is there", entry->d_name);
	}
	closedir(dir);
	return 0;
}

static void ids_of_slot(const char *path, unsigned long first)
{
	char text[512];
	unsigned long inside, outside, count;
	int lines = 0, used;
	const char *at = text;

	if (read_text(path, text, sizeof text) <= 0) {
		differs("%s cannot be read", path);
		return;
	}
	while (sscanf(at, "%lu %lu %lu%n", &inside, &outside, &count, &used) == 3) {
		at += used;
		lines++;
		if (count != 1 || (inside != 0 && inside != 1000) || outside < first ||
		    outside > first + 2048)
			differs("%s: %lu %lu %lu", path, inside, outside, count);
	}
	if (lines != 2)
		differs("%s has %d lines", path, lines);
}

static int case_160(char **words)
{
	unsigned long first = strtoul(words[0], NULL, 0);
	char text[4096], *line;
	struct utsname name;

	if (read_text("/proc/self/cgroup", text, sizeof text) <= 0)
		return differs("/proc/self/cgroup cannot be read");
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (strcmp(strrchr(line, ':'), ":/") != 0)
			differs("group %s", line);
	if (uname(&name) < 0 || strcmp(name.nodename, "box") != 0)
		differs("the host name is %s", name.nodename);
	if (strcmp(name.domainname, "(none)") != 0 && name.domainname[0])
		differs("the domain name is %s", name.domainname);
	ids_of_slot("/proc/self/uid_map", first);
	ids_of_slot("/proc/self/gid_map", first);
	return 0;
}

/* ---- 161: secrets of earlier runs ---- */

#define MARK	  "SECRET-"
#define MARK_SIZE 7

/* Any secret but our own in this piece of memory or file? */
static void look(const char *where, const char *data, size_t size, const char *own)
{
	size_t own_size = strlen(own);
	const char *at = data, *end = data + size;

	while ((at = memmem(at, (size_t)(end - at), MARK, MARK_SIZE)) != NULL) {
		/* our own constants hold the mark too, with no digits behind it */
		if ((size_t)(end - at) >= own_size && at[MARK_SIZE] >= '0' &&
		    at[MARK_SIZE] <= 'f' && strspn(at + MARK_SIZE, "0123456789abcdef") >= 16 &&
		    memcmp(at, own, own_size) != 0)
			differs("%s holds %.*s", where, (int)own_size, at);
		at += MARK_SIZE;
	}
}

static void look_into_files(const char *path, const char *own)
{
	static char data[65536];
	DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)) != NULL) {
		char name[600];
		long n;

		look("a file name", entry->d_name, strlen(entry->d_name), own);
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
		n = read_text(name, data, sizeof data);
		if (n > 0 && strcmp(entry->d_name, "main") != 0)
			look(name, data, (size_t)n, own);
	}
	closedir(dir);
}

static void hide(const char *own)
{
	static const char *const files[] = { "/box/s", "/tmp/s", "/dev/shm/s" };
	size_t i;
	int id;

	for (i = 0; i < ARRAY_LEN(files); i++) {
		int fd = open(files[i], O_WRONLY | O_CREAT, 0600);

		want(files[i], fd, OK);
		want(files[i], write(fd, own, strlen(own)), OK);
	}
	id = shmget(0x5eed, 65536, IPC_CREAT | 0666);
	if (id >= 0) {
		char *at = shmat(id, NULL, 0);

		if (at != (void *)-1) {
			look("shared memory", at, 65536, own);
			strcpy(at, own);
		}
	}
	for (i = 0; i < 64; i++)
		strcpy(malloc(8192), own);
}

static int case_161(char **words)
{
	static char data[65536];
	const char *own = words[0];
	char *fresh;
	ssize_t n;

	fresh = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	look("fresh memory", fresh, 4 * MIB, own);
	fresh = malloc(MIB);
	look("the heap", fresh, MIB, own);
	look("the stack", data, sizeof data, own);
	look_into_files("/box", own);
	look_into_files("/tmp", own);
	look_into_files("/dev/shm", own);
	look_into_files("/proc/self", own);
	while ((n = read(0, data, sizeof data)) > 0)
		look("stdin", data, (size_t)n, own);
	hide(own);
	return 0;
}

/* ---- 164: from one live slot to another ---- */

static int case_164_probes(char **words)
{
	struct {
		uint64_t offset, length;
	} range = { 0, 4096 };
	char block[4096], result[64];
	struct iovec part = { block, sizeof block };
	int fd = open("/t/hostile", O_RDONLY);

	(void)words;
	want("cachestat", CALL(NR_cachestat, fd, (long)&range, (long)result, 0), ENOSYS);
	want("preadv2 NOWAIT", preadv2(fd, &part, 1, 0, RWF_NOWAIT), EOPNOTSUPP, ENOSYS);
	want("preadv2", preadv2(fd, &part, 1, 0, 0), OK);
	return 0;
}

#define KEY 0x5a4d

struct channel {
	const char *name;
	bool (*send)(void);
	bool (*receive)(void); /* true: something came through */
};

static bool shm_send(void)
{
	int id = shmget(KEY, 4096, IPC_CREAT | 0666);
	char *at = id < 0 ? (void *)-1 : shmat(id, NULL, 0);

	if (at != (void *)-1)
		*at = 1;
	return id >= 0;
}

static bool shm_receive(void)
{
	return shmget(KEY, 4096, 0) >= 0;
}

static bool sem_send(void)
{
	return semget(KEY, 1, IPC_CREAT | 0666) >= 0;
}

static bool sem_receive(void)
{
	return semget(KEY, 1, 0) >= 0;
}

static bool msg_send(void)
{
	struct {
		long type;
		char text[4];
	} message = { 1, "abc" };
	int id = msgget(KEY, IPC_CREAT | 0666);

	return id >= 0 && msgsnd(id, &message, 4, IPC_NOWAIT) == 0;
}

static bool msg_receive(void)
{
	return msgget(KEY, 0) >= 0;
}

static bool mq_send_one(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	mqd_t queue = mq_open("/covert", O_CREAT | O_RDWR, 0666, &attr);

	return queue >= 0 && mq_send(queue, "abc", 4, 0) == 0;
}

static bool mq_receive_one(void)
{
	return mq_open("/covert", O_RDONLY | O_NONBLOCK) >= 0;
}

static bool abstract_send(void)
{
	return listen_on("covert", true) == 0;
}

static bool abstract_receive(void)
{
	return connect_to("covert", true, SOCK_STREAM) == 0;
}

static bool files_send(void)
{
	return open("/tmp/covert", O_WRONLY | O_CREAT, 0666) >= 0 &&
	       open("/dev/shm/covert", O_WRONLY | O_CREAT, 0666) >= 0 &&
	       open("/box/covert", O_WRONLY | O_CREAT, 0666) >= 0;
}

static bool files_receive(void)
{
	return access("/tmp/covert", F_OK) == 0 || access("/dev/shm/covert", F_OK) == 0 ||
	       access("/box/covert", F_OK) == 0;
}

static const char *const watched[] = {
	"/dev/null",	"/dev/zero",   "/dev/full",  "/dev/random",
	"/dev/urandom", "/dev",	       "/t/hostile", "/t",
	"/t/open",	"/etc/passwd", "/",	    "/usr",
	"/usr/bin",	"/usr/bin/sh", /* the last: not in every image */
};

/* Opening a file is a message to whoever watches its inode. */
static bool watch_send(void)
{
	size_t i;
	int turn;

	for (turn = 0; turn < 5; turn++)
		for (i = 0; i < ARRAY_LEN(watched); i++) {
			int fd = open(watched[i], O_RDONLY);

			if (fd >= 0)
				close(fd);
		}
	return true;
}

static int watch_fd = -1;
static char watch_heard[400]; /* the first event of the last that were heard */

static void watch_begin(void)
{
	size_t i;

	watch_fd = inotify_init1(IN_NONBLOCK);
	for (i = 0; i < ARRAY_LEN(watched); i++)
		inotify_add_watch(watch_fd, watched[i],
				  IN_OPEN | IN_CLOSE | IN_ATTRIB | IN_MODIFY);
}

static bool watch_receive(void)
{
	_Alignas(struct inotify_event) char events[4096];
	const struct inotify_event *first = (const struct inotify_event *)(const void *)events;
	ssize_t n = read(watch_fd, events, sizeof events);

	if (n < (ssize_t)sizeof *first)
		return false;
	/* watches are numbered from 1 */
	snprintf(watch_heard, sizeof watch_heard, "events %x of %s %.200s", first->mask,
		 first->wd >= 1 && first->wd <= (int)ARRAY_LEN(watched) ? watched[first->wd - 1]
									: "all",
		 first->len ? first->name : "");
	return true;
}

static bool lease_send(void)
{
	int fd = open("/t/open/file", O_RDONLY);

	fcntl(fd, F_SETLEASE, F_RDLCK);
	return true;
}

static bool lease_receive(void)
{
	int fd = open("/t/open/file", O_WRONLY | O_NONBLOCK);
	bool blocked = fd < 0 && errno == EAGAIN;

	if (fd >= 0)
		close(fd);
	return blocked;
}

static bool key_send(void)
{
	return CALL(SYS_add_key, (long)"user", (long)"covert", (long)"v", 1, -4) >= 0;
}

static bool key_receive(void)
{
	return CALL(SYS_request_key, (long)"user", (long)"covert", 0, -4) >= 0;
}

/* The kernel counts these by user, so two slots must not be one user. */
static bool inotify_send(void)
{
	int i;

	for (i = 0; i < 200; i++)
		if (inotify_init1(0) < 0)
			break;
	return true;
}

static bool inotify_receive(void)
{
	int fd = inotify_init1(0);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static const struct channel channels[] = {
	{ "System V shared memory", shm_send, shm_receive },
	{ "System V semaphore", sem_send, sem_receive },
	{ "System V message queue", msg_send, msg_receive },
	{ "POSIX message queue", mq_send_one, mq_receive_one },
	{ "abstract socket", abstract_send, abstract_receive },
	{ "file", files_send, files_receive },
	{ "file watch", watch_send, watch_receive },
	{ "lease", lease_send, lease_receive },
	{ "key", key_send, key_receive },
	{ "inotify instances", inotify_send, inotify_receive },
};

/* "send": uses every channel, again and again. "receive": must notice nothing. */
static int case_164(char **words)
{
	size_t i;
	int turn;

	if (!strcmp(words[0], "send")) {
		for (i = 0; i < ARRAY_LEN(channels); i++)
			channels[i].send();
		say("sending\n");
		for (;;) {
			watch_send();
			sleep_ms(10);
		}
	}
	watch_begin();
	for (turn = 0; turn < 20; turn++) {
		for (i = 0; i < ARRAY_LEN(channels); i++)
			if (channels[i].receive())
				return differs("a bit came by way of: %s", channels[i].name);
		while (watch_receive()) /* our own opens just now */
			;
		sleep_ms(20);
		if (watch_receive())
			return differs("a bit came by way of a file watch: %s", watch_heard);
	}
	return 0;
}

/* That the channels do carry bits inside one box: else 164 would prove nothing. */
static int case_164_inside(char **words)
{
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(channels); i++) {
		bool open_inside =
			channels[i].send != key_send && channels[i].send != lease_send;

		if (channels[i].send == watch_send)
			watch_begin();
		channels[i].send();
		if (open_inside && !channels[i].receive())
			differs("%s does not even work in one box", channels[i].name);
	}
	return 0;
}

static int case_print(char **words)
{
	(void)words;
	say("1\n");
	_exit(0);
}

static int case_echo(char **words)
{
	for (; *words; words++)
		say("%s\n", *words);
	_exit(0);
}

const struct attack attacks_io[] = {
	{ "78", case_78 },
	{ "79", case_79 },
	{ "80", case_80 },
	{ "82", case_82 },
	{ "83", case_83 },
	{ "84", case_84 },
	{ "85", case_85 },
	{ "86", case_86 },
	{ "87", case_87 },
	{ "159", case_159 },
	{ "160", case_160 },
	{ "161", case_161 },
	{ "164", case_164 },
	{ "164-inside", case_164_inside },
	{ "164-probes", case_164_probes },
	{ "print", case_print },
	{ "echo", case_echo },
	{ NULL, NULL },
};
