/* SPDX-License-Identifier: ISC */
/* Cases 21 to 38: the file system.
 * Runs as: the box's program. */
#define _GNU_SOURCE
#include "tests/box/hostile.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- 21: the tree is not ours to change ---- */

static void tree_refuses(const char *path)
{
	char other[300];
	int fd;

	want(path, open(path, O_WRONLY), EACCES, EROFS, EISDIR, EPERM, ETXTBSY);
	want(path, truncate(path, 0), EACCES, EROFS, EISDIR, EPERM, ETXTBSY);
	want(path, unlink(path), EACCES, EROFS, EISDIR, EPERM, EBUSY);
	want(path, rmdir(path), EACCES, EROFS, ENOTDIR, EBUSY, ENOTEMPTY, EPERM);
	want(path, chmod(path, 0777), EPERM, EROFS);
	want(path, chown(path, 1000, 1000), EPERM, EROFS);
	want(path, utimensat(AT_FDCWD, path, (struct timespec[2]){ { 0, 0 }, { 0, 0 } }, 0),
	     EPERM, EACCES, EROFS);
	snprintf(other, sizeof other, "%s.other", path);
	want(other, rename(path, other), EACCES, EROFS, EPERM, EBUSY, EXDEV);
	want(other, symlink("x", other), EACCES, EROFS, EPERM);
	want(other, mkdir(other, 0700), EACCES, EROFS, EPERM);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		want(path, map == MAP_FAILED ? -1 : 0, EACCES, ENODEV, EROFS, EPERM);
		close(fd);
	}
}

static int case_21(char **words)
{
	static const char *const tree[] = {
		"/t/hostile", "/etc/passwd", "/etc", "/usr", "/t", "/",
	};
	static const char *const ours[] = { "/box/new", "/tmp/new", "/var/tmp/new",
					    "/dev/shm/new" };
	size_t i;
	int fd;

	(void)words;
	for (i = 0; i < ARRAY_LEN(tree); i++)
		tree_refuses(tree[i]);
	/* what the image lets everybody write goes no further than this box */
	fd = open("/t/open/file", O_WRONLY | O_TRUNC);
	if (fd >= 0)
		want("write", write(fd, "mine\n", 5), OK);
	want("/t/open/file", unlink("/t/open/file"), OK, EACCES, EROFS, EPERM);
	want("/t/open/new", open("/t/open/new", O_WRONLY | O_CREAT, 0666), OK, EACCES, EROFS);
	for (i = 0; i < ARRAY_LEN(ours); i++) {
		want(ours[i], open(ours[i], O_WRONLY | O_CREAT, 0600), OK);
		want(ours[i], unlink(ours[i]), OK);
	}
	return 0;
}

static int case_21_after(char **words)
{
	char text[64];

	(void)words;
	if (read_text("/t/open/file", text, sizeof text) < 0 || strcmp(text, "original\n") != 0)
		differs("/t/open/file is not the original");
	want("/t/open/new", access("/t/open/new", F_OK), ENOENT);
	return 0;
}

/* ---- 22, 23: the quota ---- */

/* Writes files below dir until one fails; bytes written, and the errno. */
static uint64_t fill(const char *dir, size_t file_bytes, int *ret_errno)
{
	static char block[65536];
	uint64_t total = 0;
	unsigned n;

	*ret_errno = 0;
	memset(block, 'x', sizeof block);
	for (n = 0; !*ret_errno; n++) {
		char path[64];
		size_t left = file_bytes;
		int fd;

		snprintf(path, sizeof path, "%s/fill-%u", dir, n);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
		if (fd < 0) {
			*ret_errno = errno;
			break;
		}
		while (left > 0) {
			ssize_t wrote =
				write(fd, block, left < sizeof block ? left : sizeof block);

			if (wrote < 0) {
				*ret_errno = errno;
				break;
			}
			total += (uint64_t)wrote;
			left -= (size_t)wrote;
		}
		close(fd);
	}
	return total;
}

static int case_22(char **words)
{
	static const char *const dirs[] = { "/box", "/tmp", "/dev/shm" };
	uint64_t quota = strtoull(words[0], NULL, 10), total = 0;
	size_t file_bytes = strtoull(words[1], NULL, 10), i;
	int code;

	signal(SIGXFSZ, SIG_IGN);
	for (i = 0; i < ARRAY_LEN(dirs); i++) {
		uint64_t bytes = fill(dirs[i], file_bytes, &code);

		total += bytes;
		if (code != ENOSPC && code != EFBIG)
			differs("%s: the end came by %s", dirs[i], strerrorname_np(code));
		say("%s took %llu\n", dirs[i], (unsigned long long)bytes);
	}
	if (total > quota + MIB / 4)
		differs("%llu bytes fit into a quota of %llu", (unsigned long long)total,
			(unsigned long long)quota);
	if (total < quota / 4)
		differs("only %llu bytes fit into a quota of %llu", (unsigned long long)total,
			(unsigned long long)quota);
	return 0;
}

static int case_22_huge(char **words)
{
	static const char *const names[] = { "/box/huge", "/tmp/huge", "/dev/shm/huge" };
	size_t i;

	(void)words;
	signal(SIGXFSZ, SIG_IGN);
	for (i = 0; i < ARRAY_LEN(names); i++) {
		int fd = open(names[i], O_RDWR | O_CREAT, 0600);

		want(names[i], fd, OK);
		want("fallocate 1 TiB", fallocate(fd, 0, 0, 1L << 40), ENOSPC, EFBIG);
		want("ftruncate 1 TiB", ftruncate(fd, 1L << 40), EFBIG, ENOSPC);
		want("write at 1 TiB", pwrite(fd, "x", 1, 1L << 40), EFBIG, ENOSPC);
		close(fd);
	}
	return 0;
}

static int case_23(char **words)
{
	static const char *const dirs[] = { "/box", "/tmp", "/dev/shm" };
	unsigned total = 0, most = (unsigned)atoi(words[0]);
	size_t i;

	for (i = 0; i < ARRAY_LEN(dirs); i++) {
		unsigned n;

		for (n = 0; n <= most; n++) {
			char path[64];
			int fd;

			snprintf(path, sizeof path, "%s/inode-%u", dirs[i], n);
			fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
			if (fd < 0)
				break;
			close(fd);
		}
		want(dirs[i], n > most ? 0 : -1, ENOSPC);
		total += n;
	}
	say("%u files\n", total);
	if (total > most || total < most / 8)
		differs("%u files fit, where %u inodes are granted", total, most);
	return 0;
}

/* ---- 24 to 27: result files ---- */

static int case_24(char **words)
{
	(void)words;
	want("symlink", symlink("/etc/passwd", "absolute"), OK);
	want("symlink", symlink("../etc/passwd", "relative"), OK);
	want("symlink", symlink("/proc/self/environ", "magic"), OK);
	want("symlink", symlink("/proc/self/root/etc/passwd", "root"), OK);
	want("symlink", symlink("/proc/1/root/etc/passwd", "init-root"), OK);
	want("symlink", symlink("/etc", "folder"), OK);
	want("symlink", symlink("good", "to-good"), OK);
	want("mkdir", mkdir("real", 0700), OK);
	want("file", open("good", O_WRONLY | O_CREAT, 0600), OK);
	want("file", write_text("good", "content of good\n"), OK);
	want("hard link", link("/etc/passwd", "hard"), EPERM, EXDEV, EACCES, EROFS);
	return 0;
}

static int case_25(char **words)
{
	const char *outside = words[0];
	char path[400];
	int depth;

	want("symlink", symlink(outside, "/box/tree"), OK);
	want("symlink", symlink(outside, "/tmp/tree"), OK);
	want("symlink", symlink(outside, "/dev/shm/tree"), OK);
	for (depth = 1; depth < 12; depth++) {
		char up[64] = "";
		int i;

		for (i = 0; i < depth; i++)
			strcat(up, "../");
		snprintf(path, sizeof path, "%s%s", up, outside + 1);
		snprintf(up, sizeof up, "/box/up-%d", depth);
		want("symlink", symlink(path, up), OK);
	}
	want("mkdir", mkdir("/box/shut", 0700), OK);
	want("symlink", symlink(outside, "/box/shut/tree"), OK);
	want("chmod", chmod("/box/shut", 0), OK);
	want("the box itself", rename("/box", "/box2"), EACCES, EPERM, EBUSY, EROFS, EXDEV);
	return 0;
}

static int case_26(char **words)
{
	struct sockaddr_un at = { AF_UNIX, "sock" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), good;

	(void)words;
	want("fifo", mkfifo("fifo", 0666), OK);
	want("socket", bind(fd, (struct sockaddr *)&at, sizeof at), OK);
	want("directory", mkdir("dir", 0777), OK);
	want("device", symlink("/dev/zero", "zero"), OK);
	good = open("good", O_WRONLY | O_CREAT, 0600);
	want("write", write(good, "content of good\n", 16), OK);
	good = open("shut", O_WRONLY | O_CREAT, 0);
	want("write", write(good, "x", 1), OK);
	good = open("sparse", O_WRONLY | O_CREAT, 0600);
	want("sparse", ftruncate(good, 15 << 20), OK);
	return 0;
}

/* Swaps the name between a plain file and a link for as long as it lives. */
static int swap_forever(void *data)
{
	unsigned me = *(unsigned *)data;
	char file[32], name[32];
	int fd;

	snprintf(file, sizeof file, "file-%u", me);
	snprintf(name, sizeof name, "link-%u", me);
	for (;;) {
		fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		if (fd >= 0) {
			if (write(fd, "mine\n", 5) != 5)
				return 1;
			close(fd);
		}
		rename(file, "out");
		if (symlink(me % 2 ? "/etc/passwd" : "/proc/self/environ", name) == 0)
			rename(name, "out");
	}
}

static int case_27(char **words)
{
	unsigned i;

	(void)words;
	for (i = 0; i < 6; i++)
		if (fork() == 0)
			_exit(swap_forever(&i));
	sleep_ms(5);
	return 0;
}

/* ---- 28 to 36: ways out ---- */

static int case_28(char **words)
{
	static const char *const paths[] = { "/proc/self/exe", "/proc/1/exe", "/proc/2/exe" };
	char link[256];
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(paths); i++) {
		want(paths[i], open(paths[i], O_WRONLY), EACCES, EROFS, ENOENT, ETXTBSY);
		want(paths[i], open(paths[i], O_RDWR | O_TRUNC), EACCES, EROFS, ENOENT,
		     ETXTBSY);
	}
	want("/proc/1/exe", open("/proc/1/exe", O_RDONLY), EACCES, ENOENT);
	want("/proc/1/exe", readlink("/proc/1/exe", link, sizeof link), EACCES, ENOENT);
	return 0;
}

static void no_host_file(int fd, const char *name)
{
	char path[32], link[256] = "";
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof link - 1);
	if (n < 0 || fstat(fd, &st) < 0) {
		differs("%s is not open", name);
		return;
	}
	link[n] = '\0';
	if (strncmp(link, "pipe:", 5) != 0 && strncmp(link, "/memfd:", 7) != 0)
		differs("%s is %s", name, link);
	if (isatty(fd))
		differs("%s is a terminal", name);
}

static int case_29(char **words)
{
	static const char *const names[] = { "stdin", "stdout", "stderr" };
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	char cwd[256];
	int fd;

	(void)words;
	if (!dir)
		return differs("/proc/self/fd cannot be listed");
	while ((entry = readdir(dir)) != NULL) {
		fd = atoi(entry->d_name);
		if (entry->d_name[0] != '.' && fd > 2 && fd != dirfd(dir))
			differs("descriptor %d is open", fd);
	}
	closedir(dir);
	for (fd = 3; fd < 1100; fd++)
		want("fcntl", fcntl(fd, F_GETFD), EBADF);
	for (fd = 0; fd < 3; fd++)
		no_host_file(fd, names[fd]);
	if (!getcwd(cwd, sizeof cwd) || strcmp(cwd, "/box") != 0)
		differs("the working directory is %s", cwd);
	return 0;
}

static bool same_place(const char *a, const char *b)
{
	struct stat one, other;

	return stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_ino == other.st_ino &&
	       one.st_dev == other.st_dev;
}

static int case_30(char **words)
{
	int fd, i;

	mkdir("/box/jail", 0700);
	want("chroot", chroot("/box/jail"), EPERM);
	fd = open("/", O_RDONLY | O_DIRECTORY);
	for (i = 0; i < 64; i++)
		want("chdir", chdir(".."), OK);
	if (!same_place(".", "/") || !same_place("/..", "/") || !same_place("/../../..", "/"))
		differs("the root has a parent");
	want("fchdir", fchdir(fd), OK);
	want("openat", openat(fd, "../../../../t/hostile", O_RDONLY), OK);
	for (; *words; words++)
		want(*words, access(*words, F_OK), ENOENT);
	want("/proc/1/root", open("/proc/1/root/", O_RDONLY), EACCES, ENOENT, EPERM);
	want("/proc/1/cwd", open("/proc/1/cwd/", O_RDONLY), EACCES, ENOENT, EPERM);
	return 0;
}

static const char *const dev_names[] = {
	".",	   "..", "null",  "zero",   "full",   "random",
	"urandom", "fd", "stdin", "stdout", "stderr", "shm",
};

static int case_31(char **words)
{
	static const char *const bad[] = {
		"/dev/kmsg",	"/dev/mem",	"/dev/port",	     "/dev/tty",
		"/dev/console", "/dev/ptmx",	"/dev/pts/ptmx",     "/dev/fuse",
		"/dev/kvm",	"/dev/net/tun", "/dev/sda",	     "/dev/vda",
		"/dev/nvme0n1", "/dev/loop0",	"/dev/loop-control", "/dev/vhost-net",
		"/dev/vsock",	"/dev/mqueue",	"/dev/hugepages",    "/dev/rtc0",
		"/dev/snd",	"/dev/dri",	"/dev/uinput",
	};
	DIR *dir = opendir("/dev");
	const struct dirent *entry;
	size_t i;

	(void)words;
	want("mknod block", mknod("/box/block", S_IFBLK | 0666, makedev(254, 0)), EPERM);
	want("mknod null", mknod("/box/null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
	want("mknod mem", mknod("/tmp/mem", S_IFCHR | 0666, makedev(1, 1)), EPERM);
	want("mknod fifo", mknod("/box/pipe", S_IFIFO | 0600, 0), OK);
	for (i = 0; i < ARRAY_LEN(bad); i++)
		want(bad[i], open(bad[i], O_RDONLY | O_NONBLOCK), EACCES, ENOENT);
	if (!dir)
		return differs("/dev cannot be listed");
	while ((entry = readdir(dir)) != NULL) {
		for (i = 0; i < ARRAY_LEN(dev_names); i++)
			if (!strcmp(dev_names[i], entry->d_name))
				break;
		if (i == ARRAY_LEN(dev_names))
			differs("/dev/%s is there", entry->d_name);
	}
	closedir(dir);
	want("/dev/null", open("/dev/null", O_RDWR), OK);
	want("/dev/urandom", open("/dev/urandom", O_RDONLY), OK);
	return 0;
}

/* What a set-id or capable copy of us would say of itself. */
static int case_ids(char **words)
{
	char text[4096], *line;
	uid_t r, e, s;
	gid_t rg, eg, sg;

	(void)words;
	if (getresuid(&r, &e, &s) < 0 || r != 1000 || e != 1000 || s != 1000)
		differs("user ids %u %u %u", r, e, s);
	if (getresgid(&rg, &eg, &sg) < 0 || rg != 1000 || eg != 1000 || sg != 1000)
		differs("group ids %u %u %u", rg, eg, sg);
	if (getgroups(0, NULL) != 0)
		differs("there are other groups");
	if (read_text("/proc/self/status", text, sizeof text) < 0)
		return differs("/proc/self/status");
	for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (!strncmp(line, "Cap", 3) && strspn(line + 8, "0") != strlen(line + 8))
			differs("%s", line);
	return 0;
}

static int exec_ids(void *data)
{
	const char *path = data;
	char *argv[] = { (char *)"hostile", (char *)"ids", NULL };
	char *envp[] = { NULL };

	execve(path, argv, envp);
	return 100;
}

static int case_32(char **words)
{
	static const char *const marked[] = { "/t/suid", "/t/sgid", "/t/capable" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(marked); i++) {
		int rc = in_child(exec_ids, (void *)(uintptr_t)marked[i]);

		if (rc != 0)
			differs("%s: exit code %d", marked[i], rc);
	}
	want("chmod u+s", chmod("/box/main", 04755), EPERM);
	want("chmod g+s", chmod("/box/main", 02755), EPERM);
	want("create u+s", open("/box/suid", O_WRONLY | O_CREAT, 04755), EPERM, OK);
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		differs("no_new_privs is off");
	return case_ids(words);
}

static int case_33(char **words)
{
	static const char *const paths[] = {
		"/proc/sys/kernel/core_pattern",
		"/proc/sys/kernel/hostname",
		"/proc/sys/vm/overcommit_memory",
		"/proc/sys/user/max_user_namespaces",
		"/proc/sys/net/ipv4/ip_forward",
		"/proc/sysrq-trigger",
		"/proc/self/uid_map",
		"/proc/self/gid_map",
		"/proc/self/setgroups",
		"/proc/self/attr/current",
		"/proc/self/attr/exec",
		"/proc/self/oom_score_adj",
		"/proc/self/oom_adj",
		"/proc/self/timens_offsets",
		"/proc/self/clear_refs",
		"/proc/self/loginuid",
		"/proc/1/oom_score_adj",
		"/proc/acpi",
		"/proc/bus",
		"/proc/irq",
		"/proc/scsi",
		"/proc/mtrr",
		"/proc/fs",
	};
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(paths); i++) {
		want(paths[i], open(paths[i], O_WRONLY), ENOENT, EROFS, EPERM, EACCES);
		want(paths[i], open(paths[i], O_RDWR), ENOENT, EROFS, EPERM, EACCES);
	}
	return 0;
}

static int case_34(char **words)
{
	char text[16384];

	if (read_text("/proc/self/mountinfo", text, sizeof text) <= 0)
		return differs("mountinfo cannot be read");
	say("%s", text);
	for (; *words; words++)
		if (strstr(text, *words))
			differs("mountinfo names %s", *words);
	if (strstr(text, "dir=/"))
		differs("mountinfo names a layer by its path");
	/* without an upper layer "off" would follow what a layer says */
	if (!strstr(text, "redirect_dir=nofollow"))
		differs("the root follows redirects");
	return 0;
}

/* Each mount that a program may see, and no other. */
static const struct {
	const char *point, *flags;
} mount_table[] = {
	{ "/", "ro,nosuid,nodev,relatime" },
	{ "/usr", "ro,nosuid,nodev,relatime" }, /* of the host image */
	{ "/dev", "ro,nosuid,noexec,relatime" },
	{ "/box", "rw,nosuid,nodev,relatime" },
	{ "/tmp", "rw,nosuid,nodev,relatime" },
	{ "/dev/shm", "rw,nosuid,nodev,noexec,relatime" },
	{ "/proc", "ro,nosuid,nodev,noexec,relatime" },
};

static int case_34_flags(char **words)
{
	char text[16384], *line, *save = NULL;
	unsigned seen[ARRAY_LEN(mount_table)] = { 0 };
	size_t i;

	if (read_text("/proc/self/mountinfo", text, sizeof text) <= 0)
		return differs("mountinfo cannot be read");
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char point[256], flags[256], next[64];

		if (sscanf(line, "%*s %*s %*s %*s %255s %255s %63s", point, flags, next) != 3)
			return differs("odd line: %s", line);
		for (i = 0; i < ARRAY_LEN(mount_table); i++)
			if (!strcmp(mount_table[i].point, point))
				break;
		if (i == ARRAY_LEN(mount_table)) {
			differs("a mount too many: %s", line);
			continue;
		}
		seen[i]++;
		if (strcmp(flags, mount_table[i].flags) != 0)
			differs("%s is %s, promised %s", point, flags, mount_table[i].flags);
		if (strcmp(next, "-") != 0)
			differs("%s has to do with other mounts: %s", point, next);
	}
	for (i = 0; i < ARRAY_LEN(mount_table); i++) {
		const char *point = mount_table[i].point;
		bool may_lack = !strcmp(point, "/usr") && !(words[0] && !strcmp(words[0], "usr"));

		if (seen[i] != 1 && !(may_lack && seen[i] == 0))
			differs("%s is there %u times", point, seen[i]);
		want(point, CALL(SYS_mount, 0, (long)point, 0, 32 /* MS_REMOUNT */, 0), EPERM);
		want(point, CALL(SYS_umount2, (long)point, 2 /* MNT_DETACH */), EPERM);
	}
	return 0;
}

static int mount_id(int fd)
{
	char path[40], text[256];
	const char *at;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	if (read_text(path, text, sizeof text) <= 0)
		return -1;
	at = strstr(text, "mnt_id:");
	return at ? atoi(at + 7) : -1;
}

static int case_35(char **words)
{
	int box = open("/box", O_RDONLY), shm = open("/dev/shm", O_RDONLY);
	bool apart = mount_id(box) != mount_id(shm);

	(void)words;
	want("link /t/hostile", link("/t/hostile", "/box/l1"), EPERM, EXDEV, EACCES, EROFS);
	want("link /etc/passwd", link("/etc/passwd", "/tmp/l2"), EPERM, EXDEV, EACCES, EROFS);
	want("link /proc/self/exe",
	     linkat(AT_FDCWD, "/proc/self/exe", AT_FDCWD, "/box/l3", AT_SYMLINK_FOLLOW), EPERM,
	     EXDEV, EACCES, EROFS);
	want("own file", open("/box/own", O_WRONLY | O_CREAT, 0600), OK);
	want("link across mounts", link("/box/own", "/dev/shm/own"), EXDEV, apart ? EXDEV : OK);
	want("link of one's own", link("/box/own", "/box/own2"), OK);
	return 0;
}

static int case_36(char **words)
{
	static const char *const paths[] = {
		"/etc/shadow",
		"/etc/gshadow",
		"/etc/machine-id",
		"/etc/ssh",
		"/root",
		"/home",
		"/var/lib",
		"/var/log",
		"/run",
		"/var/run",
		"/boot",
		"/srv",
		"/opt/sandpool",
		"/mnt",
		"/etc/sandpool",
		"/run/sandpool",
		"/var/lib/sandpool",
		"/old",
		"/.old",
		"/oldroot",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(paths); i++)
		want(paths[i], access(paths[i], R_OK), ENOENT, EACCES);
	for (; *words; words++)
		want(*words, access(*words, F_OK), ENOENT);
	return 0;
}

/* ---- 37: locks ---- */

static const char *const lockable[] = {
	"/t/hostile",
	"/t/open/file",
	"/etc/passwd",
	"/usr",
	"/usr/bin",
	"/usr/bin/sh",
	"/",
	"/var",
	"/box",
	"/tmp",
	"/dev",
	"/dev/shm",
	"/dev/null",
	"/dev/zero",
	"/dev/full",
	"/dev/random",
	"/dev/urandom",
	"/proc",
	"/proc/self/ns/mnt",
	"/proc/self/ns/pid",
	"/proc/self/ns/ipc",
	"/proc/self/ns/uts",
	"/proc/self/ns/net",
	"/proc/self/ns/user",
	"/proc/self/ns/cgroup",
	"/proc/self/ns/time",
};

/* -1: it cannot be opened. */
static int lock(const char *path)
{
	struct flock range = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDONLY | O_CLOEXEC), other;

	if (fd < 0)
		return -1;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		differs("%s is locked by another: %s", path, strerrorname_np(errno));
	other = open(path, O_RDWR | O_CLOEXEC);
	if (other >= 0 && fcntl(other, F_SETLK, &range) < 0 && errno != EINVAL)
		differs("%s: range lock: %s", path, strerrorname_np(errno));
	/* to lock by range means to write; to ask who has locked it does not */
	range.l_type = F_WRLCK;
	if (fcntl(fd, F_GETLK, &range) == 0 && range.l_type != F_UNLCK)
		differs("%s: another has locked a range", path);
	range = (struct flock){ .l_type = F_RDLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_SETLK, &range) < 0 && errno != EINVAL && errno != EBADF)
		differs("%s: range lock to read: %s", path, strerrorname_np(errno));
	return fd;
}

/* A lock held here must be free there: both sides run this, one stays. */
static int case_37(char **words)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(lockable); i++)
		lock(lockable[i]);
	say("held\n");
	if (words[0] && !strcmp(words[0], "stay"))
		sleep_ms(60000);
	return 0;
}

static void send_fds(int sock_fd, const int *fds, size_t count)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = { 0 };
	char byte = 'x';
	struct iovec part = { &byte, 1 };
	struct msghdr message = { .msg_iov = &part,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(head), fds, count * sizeof(int));
	want("send descriptors", sendmsg(sock_fd, &message, 0), OK, ETOOMANYREFS);
}

void strand(const int *fds, size_t count)
{
	int sent[60], pair[2], turn;
	size_t i;

	memcpy(sent, fds, count * sizeof(int));
	for (turn = 0; turn < 300 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0; turn++) {
		sent[count] = pair[0];
		sent[count + 1] = pair[1];
		for (i = 0; i < 2; i++)
			send_fds(pair[i], turn == 0 ? sent : sent + count,
				 turn == 0 ? count + 2 : 2);
		close(pair[0]);
		close(pair[1]);
	}
}

/* What is locked by a file that outlives us. */
static int case_37_sent(char **words)
{
	int fds[ARRAY_LEN(lockable)];
	size_t count = 0, i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(lockable); i++) {
		int fd = lock(lockable[i]);

		if (fd >= 0)
			fds[count++] = fd;
	}
	strand(fds, count);
	say("held\n");
	return 0;
}

/* ---- 38: junk for the next run ---- */

static void must_be_empty(const char *path, const char *except)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir) {
		differs("%s: %s", path, strerrorname_np(errno));
		return;
	}
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' && (!except || strcmp(entry->d_name, except) != 0))
			differs("%s/%s is here already", path, entry->d_name);
	closedir(dir);
}

static void leave_junk(const char *at)
{
	char path[300];
	int i, fd, flags = 0x10; /* FS_IMMUTABLE_FL */

	for (i = 0; i < 20; i++) {
		snprintf(path, sizeof path, "%s/dir-%d", at, i);
		mkdir(path, 0700);
		strcat(path, "/inner");
		mkdir(path, 0);
		snprintf(path, sizeof path, "%s/dir-%d", at, i);
		chmod(path, 0);
		snprintf(path, sizeof path, "%s/.file-%d", at, i);
		fd = open(path, O_RDWR | O_CREAT, 0);
		if (fd < 0)
			continue;
		if (write(fd, path, sizeof path) < 0)
			differs("%s: %s", path, strerrorname_np(errno));
		ioctl(fd, FS_IOC_SETFLAGS, &flags);
		if (i % 2)
			unlink(path); /* and stays open */
	}
	snprintf(path, sizeof path, "%s/\n\033[31m\xff\xfe", at);
	mkdir(path, 0700);
}

static int case_38(char **words)
{
	(void)words;
	must_be_empty("/box", "main");
	must_be_empty("/tmp", NULL);
	must_be_empty("/dev/shm", NULL);
	leave_junk("/box");
	leave_junk("/tmp");
	leave_junk("/dev/shm");
	return 0;
}

/* 77: as much as fits, left behind. */
static int case_77(char **words)
{
	int code;

	(void)words;
	signal(SIGXFSZ, SIG_IGN);
	fill("/box", 4096, &code);
	if (code != ENOSPC && code != EFBIG)
		differs("the end came by %s", strerrorname_np(code));
	return 0;
}

const struct attack attacks_fs[] = {
	{ "21", case_21 }, { "21-after", case_21_after },
	{ "22", case_22 }, { "22-huge", case_22_huge },
	{ "23", case_23 }, { "24", case_24 },
	{ "25", case_25 }, { "26", case_26 },
	{ "27", case_27 }, { "28", case_28 },
	{ "29", case_29 }, { "30", case_30 },
	{ "31", case_31 }, { "ids", case_ids },
	{ "32", case_32 }, { "33", case_33 },
	{ "34", case_34 }, { "34-flags", case_34_flags },
	{ "35", case_35 }, { "36", case_36 },
	{ "37", case_37 }, { "37-sent", case_37_sent },
	{ "38", case_38 }, { "77", case_77 },
	{ NULL, NULL },
};
