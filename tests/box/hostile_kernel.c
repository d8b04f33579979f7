/* SPDX-License-Identifier: ISC */
/* Cases 1 to 20: the kernel's attack surface.
 * Runs as: the box's program. */
#define _GNU_SOURCE
#include "tests/box/hostile.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#define JUNK ((long)0xdeadbeef00000000ul)

extern char **environ;

/* ---- calls that get one answer, whatever the arguments ---- */

struct refusal {
	const char *name;
	long nr;
	int code;
};

static void refused(const struct refusal *list, size_t count)
{
	static char room[4096];
	size_t i;

	for (i = 0; i < count; i++) {
		if (list[i].nr < 0)
			continue;
		want(list[i].name, CALL(list[i].nr, 0), list[i].code);
		want(list[i].name,
		     CALL(list[i].nr, (long)room, (long)room, 16, 1, (long)room, 0),
		     list[i].code);
		want(list[i].name, CALL(list[i].nr, -1, JUNK | 1, -1, JUNK, -1, -1),
		     list[i].code);
	}
}

#define REFUSED(list) refused(list, ARRAY_LEN(list))
#define ROW(call, code)                                                                        \
	{                                                                                      \
#call, SYS_##call, code                                                        \
	}
#define ROW_NR(call, code)                                                                     \
	{                                                                                      \
#call, NR_##call, code                                                         \
	}

static int case_1(char **words)
{
	static const struct refusal list[] = {
		ROW(io_uring_setup, ENOSYS),
		ROW(io_uring_enter, ENOSYS),
		ROW(io_uring_register, ENOSYS),
	};

	(void)words;
	REFUSED(list);
	return 0;
}

static int case_2(char **words)
{
	static const struct refusal list[] = {
		ROW(bpf, EPERM),
		ROW(perf_event_open, EPERM),
		ROW(userfaultfd, EPERM),
	};

	(void)words;
	REFUSED(list);
	return 0;
}

static void *thread_nothing(void *data)
{
	return data;
}

static void threads_and_spawn_work(void)
{
	char *argv[] = { (char *)"hostile", (char *)"nothing", NULL };
	pthread_t thread;
	void *came = NULL;
	pid_t pid;
	int status, rc;

	rc = pthread_create(&thread, NULL, thread_nothing, &came);
	if (rc != 0 || pthread_join(thread, &came) != 0 || came != &came)
		differs("pthread_create: %s", strerror(rc));
	rc = posix_spawn(&pid, "/t/hostile", NULL, NULL, argv, environ);
	if (rc != 0)
		differs("posix_spawn: %s", strerror(rc));
	else if (waitpid(pid, &status, 0) != pid || status != 0)
		differs("the spawned program's status is %x", status);
}

static int case_3(char **words)
{
	static const struct {
		const char *name;
		long bit;
	} spaces[] = {
		{ "NEWNS", CLONE_NEWNS },     { "NEWCGROUP", CLONE_NEWCGROUP },
		{ "NEWUTS", CLONE_NEWUTS },   { "NEWIPC", CLONE_NEWIPC },
		{ "NEWUSER", CLONE_NEWUSER }, { "NEWPID", CLONE_NEWPID },
		{ "NEWNET", CLONE_NEWNET },
	};
	int fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	char what[40];
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(spaces); i++) {
		snprintf(what, sizeof what, "unshare %s", spaces[i].name);
		want(what, CALL(SYS_unshare, spaces[i].bit), EPERM);
		want(what, CALL(SYS_unshare, JUNK | spaces[i].bit), EPERM);
		snprintf(what, sizeof what, "clone %s", spaces[i].name);
		want(what, CALL(SYS_clone, spaces[i].bit | SIGCHLD), EPERM);
		want(what, CALL(SYS_clone, JUNK | spaces[i].bit | SIGCHLD), EPERM);
		want(what, CALL(SYS_clone, spaces[i].bit | CLONE_NEWUSER | SIGCHLD), EPERM);
	}
	want("unshare NEWTIME", CALL(SYS_unshare, 0x80), EPERM);
	want("setns", CALL(SYS_setns, fd, 0), EPERM);
	want("setns", CALL(SYS_setns, fd, CLONE_NEWUSER), EPERM);
	want("clone3", CALL(SYS_clone3, 0, 0), ENOSYS);
	want("clone3", CALL(SYS_clone3, (long)what, 88), ENOSYS);
	threads_and_spawn_work();
	return 0;
}

static int case_4(char **words)
{
	static const int types[] = { SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET };
	char what[60];
	int pair[2];
	long family;
	size_t i;

	(void)words;
	for (family = 0; family < 64; family++)
		for (i = 0; i < ARRAY_LEN(types); i++) {
			int answer = family == AF_UNIX ? OK : EAFNOSUPPORT;
			long fd;

			snprintf(what, sizeof what, "socket family %ld type %d", family,
				 types[i]);
			fd = CALL(SYS_socket, family, types[i], 0);
			want(what, fd, answer);
			if (fd >= 0)
				close((int)fd);
			fd = CALL(SYS_socket, JUNK | family, types[i] | SOCK_CLOEXEC, 0);
			want(what, fd, answer);
			if (fd >= 0)
				close((int)fd);
			snprintf(what, sizeof what, "socketpair family %ld type %d", family,
				 types[i]);
			fd = CALL(SYS_socketpair, family, types[i], 0, (long)pair);
			want(what, fd, answer);
			if (fd == 0) {
				close(pair[0]);
				close(pair[1]);
			}
		}
	return 0;
}

static int case_5(char **words)
{
	static const struct refusal list[] = {
		ROW(splice, EINVAL),
		ROW(tee, EINVAL),
		ROW(vmsplice, EINVAL),
		ROW(sendfile, EINVAL),
	};
	int from = open("/t/hostile", O_RDONLY), to = open("/box/copy", O_RDWR | O_CREAT, 0600);

	(void)words;
	REFUSED(list);
	want("sendfile between files", sendfile(to, from, NULL, 4096), EINVAL);
	want("copy_file_range", CALL(SYS_copy_file_range, from, 0, to, 0, 4096, 0), OK, EXDEV,
	     EINVAL, EOPNOTSUPP);
	return 0;
}

static int case_6(char **words)
{
	static const struct refusal list[] = {
		ROW(keyctl, EPERM),
		ROW(add_key, EPERM),
		ROW(request_key, EPERM),
	};

	(void)words;
	REFUSED(list);
	want("add_key", CALL(SYS_add_key, (long)"user", (long)"n", (long)"v", 1, -2), EPERM);
	return 0;
}

static int case_7(char **words)
{
	static const struct refusal list[] = {
		ROW(ptrace, EPERM),
		ROW(process_vm_readv, EPERM),
		ROW(process_vm_writev, EPERM),
		ROW(kcmp, EPERM),
		ROW(pidfd_getfd, EPERM),
		ROW_NR(process_madvise, EPERM),
		ROW_NR(process_mrelease, EPERM),
	};

	(void)words;
	REFUSED(list);
	return 0;
}

/* The filter kills: the driver expects SIGSYS, and that nothing was printed. */
static int case_8_int80(char **words)
{
	(void)words;
#ifdef __x86_64__
	long got;

	/* getpid by the 32-bit table */
	__asm__ volatile("int $0x80"
			 : "=a"(got)
			 : "a"(20L)
			 : "memory", "r8", "r9", "r10", "r11");
	return differs("int 0x80 answered %ld", got);
#else
	return differs("no such entry on this machine");
#endif
}

static int case_8_x32(char **words)
{
	long got = CALL(0x40000000L | SYS_getpid, 0);

	(void)words;
	return differs("an x32 call answered %ld", got);
}

static int case_9(char **words)
{
	static const struct {
		const char *name;
		long request;
	} list[] = {
		{ "TIOCSTI", TIOCSTI },
		{ "TIOCLINUX", TIOCLINUX },
		{ "TIOCSETD", TIOCSETD },
		{ "TIOCCONS", TIOCCONS },
	};
	char byte = 'x';
	size_t i;
	int fd;

	(void)words;
	for (i = 0; i < ARRAY_LEN(list); i++)
		for (fd = 0; fd < 3; fd++) {
			want(list[i].name, CALL(SYS_ioctl, fd, list[i].request, (long)&byte),
			     EPERM);
			want(list[i].name,
			     CALL(SYS_ioctl, fd, JUNK | list[i].request, (long)&byte), EPERM);
		}
	return 0;
}

/* ---- every number there is ---- */

#define CALLS_MAX 1024

/* What these would do to the caller has nothing to do with the filter. */
static bool call_ends_us(long nr)
{
	static const long list[] = {
		SYS_exit,   SYS_exit_group, SYS_rt_sigreturn, SYS_rt_sigsuspend,   SYS_clone,
		SYS_execve, SYS_execveat,   SYS_munmap,	      SYS_restart_syscall, SYS_kill,
#ifdef SYS_pause
		SYS_pause,  SYS_fork,	    SYS_vfork,
#endif
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(list); i++)
		if (list[i] == nr)
			return true;
	return false;
}

static const struct refusal always[] = {
	ROW(bpf, EPERM),
	ROW(perf_event_open, EPERM),
	ROW(userfaultfd, EPERM),
	ROW(ptrace, EPERM),
	ROW(process_vm_readv, EPERM),
	ROW(process_vm_writev, EPERM),
	ROW(kcmp, EPERM),
	ROW(pidfd_getfd, EPERM),
	ROW(mount, EPERM),
	ROW(umount2, EPERM),
	ROW(pivot_root, EPERM),
	ROW(chroot, EPERM),
	ROW(fsopen, EPERM),
	ROW(fsconfig, EPERM),
	ROW(fsmount, EPERM),
	ROW(fspick, EPERM),
	ROW(open_tree, EPERM),
	ROW(move_mount, EPERM),
	ROW(unshare, EPERM),
	ROW(setns, EPERM),
	ROW(name_to_handle_at, EPERM),
	ROW(open_by_handle_at, EPERM),
	ROW(init_module, EPERM),
	ROW(finit_module, EPERM),
	ROW(delete_module, EPERM),
	ROW(kexec_load, EPERM),
	ROW(reboot, EPERM),
	ROW(swapon, EPERM),
	ROW(swapoff, EPERM),
	ROW(acct, EPERM),
	ROW(quotactl, EPERM),
	ROW(syslog, EPERM),
	ROW(settimeofday, EPERM),
	ROW(clock_settime, EPERM),
	ROW(clock_adjtime, EPERM),
	ROW(adjtimex, EPERM),
	ROW(sethostname, EPERM),
	ROW(setdomainname, EPERM),
	ROW(vhangup, EPERM),
	ROW(fanotify_init, EPERM),
	ROW(fanotify_mark, EPERM),
	ROW(add_key, EPERM),
	ROW(request_key, EPERM),
	ROW(keyctl, EPERM),
	ROW(mbind, EPERM),
	ROW(set_mempolicy, EPERM),
	ROW(get_mempolicy, EPERM),
	ROW(migrate_pages, EPERM),
	ROW(move_pages, EPERM),
	ROW(seccomp, EPERM),
	ROW(splice, EINVAL),
	ROW(tee, EINVAL),
	ROW(vmsplice, EINVAL),
	ROW(sendfile, EINVAL),
	ROW(setxattr, EOPNOTSUPP),
	ROW(lsetxattr, EOPNOTSUPP),
	ROW(fsetxattr, EOPNOTSUPP),
	ROW(removexattr, EOPNOTSUPP),
	ROW(lremovexattr, EOPNOTSUPP),
	ROW(fremovexattr, EOPNOTSUPP),
	ROW(io_uring_setup, ENOSYS),
	ROW(io_uring_enter, ENOSYS),
	ROW(io_uring_register, ENOSYS),
	ROW(clone3, ENOSYS),
	ROW(remap_file_pages, ENOSYS),
	ROW_NR(process_madvise, EPERM),
	ROW_NR(mount_setattr, EPERM),
	ROW_NR(quotactl_fd, EPERM),
	ROW_NR(memfd_secret, ENOSYS),
	ROW_NR(process_mrelease, EPERM),
	ROW_NR(set_mempolicy_home_node, EPERM),
	ROW_NR(cachestat, ENOSYS),
	ROW_NR(statmount, ENOSYS),
	ROW_NR(listmount, ENOSYS),
	ROW_NR(lsm_get_self_attr, ENOSYS),
#ifdef __x86_64__
	ROW(iopl, EPERM),
	ROW(ioperm, EPERM),
	ROW(modify_ldt, ENOSYS),
	ROW(uselib, EPERM),
	ROW(kexec_file_load, EPERM),
	ROW(lookup_dcookie, EPERM),
	/* gone from the kernel, or never there */
	{ "_sysctl", 156, ENOSYS },
	{ "create_module", 174, ENOSYS },
	{ "afs_syscall", 183, ENOSYS },
	{ "tuxcall", 184, ENOSYS },
	{ "security", 185, ENOSYS },
	{ "vserver", 236, ENOSYS },
#endif
};

#define FIRST_UNKNOWN 480 /* no kernel has numbers from here on, no filter may know them */

struct sweep {
	long nr;
	bool zero;
};

static int answer_of(void *data)
{
	const struct sweep *s = data;
	struct itimerval patience = { .it_value = { 0, 300000 } };
	long rc;

	setitimer(ITIMER_REAL, &patience, NULL);
	rc = s->zero ? CALL(s->nr, 0) : CALL(s->nr, -1, JUNK | 3, 0x7fffffff, JUNK, -1, 7);
	return rc < 0 && errno > 0 && errno < 200 ? errno : 0;
}

static int case_10(char **words)
{
	struct sweep s;
	size_t i;

	(void)words;
	for (s.nr = 0; s.nr < CALLS_MAX; s.nr++) {
		int promised = s.nr >= FIRST_UNKNOWN ? ENOSYS : 0, turn;
		const char *name = "unnamed";

		if (call_ends_us(s.nr))
			continue;
		for (i = 0; i < ARRAY_LEN(always); i++)
			if (always[i].nr == s.nr) {
				promised = always[i].code;
				name = always[i].name;
			}
		for (turn = 0; turn < 2; turn++) {
			int got;

			s.zero = turn == 0;
			got = in_child(answer_of, &s);
			if (got == 256 + SIGSYS)
				differs("call %ld (%s) was answered by a kill", s.nr, name);
			else if (promised && got != promised)
				differs("call %ld (%s): %d, promised %d", s.nr, name, got,
					promised);
		}
	}
	return 0;
}

static int case_11(char **words)
{
	static const struct {
		const char *name;
		long level, option;
		int answer;
	} list[] = {
		{ "TCP_ULP", IPPROTO_TCP, 31, EPERM },
		{ "ALG_SET_KEY", 279, 1, EPERM },
		{ "SO_ATTACH_FILTER", SOL_SOCKET, 26, EPERM },
		{ "SO_DETACH_FILTER", SOL_SOCKET, 27, EPERM },
		{ "SO_ATTACH_BPF", SOL_SOCKET, 50, EPERM },
		{ "SO_ATTACH_REUSEPORT_CBPF", SOL_SOCKET, 51, EPERM },
		{ "SO_ATTACH_REUSEPORT_EBPF", SOL_SOCKET, 52, EPERM },
		{ "IPT_SO_SET_REPLACE", IPPROTO_IP, 64, EPERM },
		{ "IPT_SO_SET_ADD_COUNTERS", IPPROTO_IP, 65, EPERM },
		{ "ARPT_SO_SET_REPLACE", IPPROTO_IP, 96, EPERM },
		{ "EBT_SO_SET_ENTRIES", IPPROTO_IP, 128, EPERM },
		{ "IP6T_SO_SET_REPLACE", IPPROTO_IPV6, 64, EPERM },
		{ "SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, OK },
	};
	struct {
		int number;
		char rest[256];
	} value = { 65536, "" };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t i;

	(void)words;
	want("socket", fd, OK);
	for (i = 0; i < ARRAY_LEN(list); i++) {
		want(list[i].name,
		     CALL(SYS_setsockopt, fd, list[i].level, list[i].option, (long)&value, 16),
		     list[i].answer);
		want(list[i].name,
		     CALL(SYS_setsockopt, fd, JUNK | list[i].level, JUNK | list[i].option,
			  (long)&value, 16),
		     list[i].answer);
	}
	return 0;
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static long counted;

static void *count_up(void *data)
{
	int i;

	for (i = 0; i < 10000; i++) {
		pthread_mutex_lock(&mutex);
		counted++;
		pthread_cond_signal(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return data;
}

static int case_12(char **words)
{
	static const struct {
		const char *name;
		long operation;
	} list[] = {
		{ "FUTEX_LOCK_PI", FUTEX_LOCK_PI },
		{ "FUTEX_UNLOCK_PI", FUTEX_UNLOCK_PI },
		{ "FUTEX_TRYLOCK_PI", FUTEX_TRYLOCK_PI },
		{ "FUTEX_WAIT_REQUEUE_PI", FUTEX_WAIT_REQUEUE_PI },
		{ "FUTEX_CMP_REQUEUE_PI", FUTEX_CMP_REQUEUE_PI },
		{ "FUTEX_LOCK_PI2", 13 },
	};
	static uint32_t word;
	pthread_t threads[4];
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(list); i++) {
		want(list[i].name, CALL(SYS_futex, (long)&word, list[i].operation), ENOSYS);
		want(list[i].name,
		     CALL(SYS_futex, (long)&word, list[i].operation | FUTEX_PRIVATE_FLAG),
		     ENOSYS);
		want(list[i].name, CALL(SYS_futex, (long)&word, JUNK | list[i].operation),
		     ENOSYS);
	}
	for (i = 0; i < ARRAY_LEN(threads); i++)
		if (pthread_create(&threads[i], NULL, count_up, NULL) != 0)
			return differs("pthread_create");
	for (i = 0; i < ARRAY_LEN(threads); i++)
		pthread_join(threads[i], NULL);
	if (counted != 40000)
		differs("a mutex let %ld through", counted);
	return 0;
}

static int case_13(char **words)
{
	struct msghdr message = { 0 };
	struct iovec part;
	char byte = 'x';
	int pair[2];

	(void)words;
	part.iov_base = &byte;
	part.iov_len = 1;
	message.msg_iov = &part;
	message.msg_iovlen = 1;
	want("socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair), OK);
	want("send MSG_OOB", send(pair[0], &byte, 1, MSG_OOB), EOPNOTSUPP);
	want("sendmsg MSG_OOB", sendmsg(pair[0], &message, MSG_OOB), EOPNOTSUPP);
	want("recv MSG_OOB", recv(pair[1], &byte, 1, MSG_OOB | MSG_DONTWAIT), EOPNOTSUPP);
	want("recvmsg MSG_OOB", recvmsg(pair[1], &message, MSG_OOB | MSG_DONTWAIT), EOPNOTSUPP);
	want("send", send(pair[0], &byte, 1, 0), OK);
	want("recv", recv(pair[1], &byte, 1, MSG_DONTWAIT), OK);
	return 0;
}

static int case_14(char **words)
{
	static const struct refusal list[] = {
		ROW(mount, EPERM),	ROW(umount2, EPERM),	      ROW(pivot_root, EPERM),
		ROW(chroot, EPERM),	ROW(fsopen, EPERM),	      ROW(fsconfig, EPERM),
		ROW(fsmount, EPERM),	ROW(fspick, EPERM),	      ROW(open_tree, EPERM),
		ROW(move_mount, EPERM), ROW_NR(mount_setattr, EPERM),
	};

	(void)words;
	REFUSED(list);
	want("mount tmpfs", CALL(SYS_mount, (long)"none", (long)"/tmp", (long)"tmpfs", 0, 0),
	     EPERM);
	want("mount proc", CALL(SYS_mount, (long)"proc", (long)"/tmp", (long)"proc", 0, 0),
	     EPERM);
	want("remount", CALL(SYS_mount, 0, (long)"/", 0, 0x20 | 0x1000, 0), EPERM);
	want("umount /proc", CALL(SYS_umount2, (long)"/proc", 2), EPERM);
	want("chroot", CALL(SYS_chroot, (long)"/tmp"), EPERM);
	want("pivot_root", CALL(SYS_pivot_root, (long)".", (long)"."), EPERM);
	want("fsopen", CALL(SYS_fsopen, (long)"tmpfs", 0), EPERM);
	want("open_tree", CALL(SYS_open_tree, AT_FDCWD, (long)"/", 1), EPERM);
	return 0;
}

static int case_15(char **words)
{
	static const struct refusal list[] = {
		ROW(name_to_handle_at, EPERM),
		ROW(open_by_handle_at, EPERM),
	};

	(void)words;
	REFUSED(list);
	return 0;
}

static int case_16(char **words)
{
#ifdef __x86_64__
	static const struct refusal list[] = {
		ROW(modify_ldt, ENOSYS),
		ROW(iopl, EPERM),
		ROW(ioperm, EPERM),
	};

	REFUSED(list);
#endif
	(void)words;
	want("personality query", CALL(SYS_personality, 0xffffffff), OK);
	want("personality 0", CALL(SYS_personality, 0), OK);
	want("ADDR_NO_RANDOMIZE", CALL(SYS_personality, ADDR_NO_RANDOMIZE), EPERM);
	want("READ_IMPLIES_EXEC", CALL(SYS_personality, READ_IMPLIES_EXEC), EPERM);
	want("PER_LINUX32", CALL(SYS_personality, PER_LINUX32), EPERM);
	want("UNAME26", CALL(SYS_personality, UNAME26), EPERM);
	want("junk in the upper half", CALL(SYS_personality, JUNK | ADDR_NO_RANDOMIZE), EPERM);
	if (personality(0xffffffff) != 0)
		differs("the personality changed");
	return 0;
}

static int case_17(char **words)
{
	static const struct refusal list[] = {
		ROW(init_module, EPERM),     ROW(finit_module, EPERM),
		ROW(delete_module, EPERM),   ROW(kexec_load, EPERM),
		ROW(swapon, EPERM),	     ROW(swapoff, EPERM),
		ROW(reboot, EPERM),	     ROW(acct, EPERM),
		ROW(quotactl, EPERM),	     ROW_NR(quotactl_fd, EPERM),
		ROW(syslog, EPERM),	     ROW(settimeofday, EPERM),
		ROW(clock_settime, EPERM),   ROW(clock_adjtime, EPERM),
		ROW(adjtimex, EPERM),	     ROW(sethostname, EPERM),
		ROW(setdomainname, EPERM),   ROW(vhangup, EPERM),
		ROW(fanotify_init, EPERM),   ROW(fanotify_mark, EPERM),
		ROW(mbind, EPERM),	     ROW(set_mempolicy, EPERM),
		ROW(get_mempolicy, EPERM),   ROW(migrate_pages, EPERM),
		ROW(move_pages, EPERM),	     ROW_NR(set_mempolicy_home_node, EPERM),
#ifdef SYS_kexec_file_load
		ROW(kexec_file_load, EPERM),
#endif
	};

	(void)words;
	REFUSED(list);
	want("sethostname", CALL(SYS_sethostname, (long)"mine", 4), EPERM);
	return 0;
}

static int case_18(char **words)
{
	struct {
		uint16_t code;
		uint8_t jt, jf;
		uint32_t k;
	} allow = { 0x06, 0, 0, 0x7fff0000 };
	struct {
		unsigned short count;
		void *code;
	} program = { 1, &allow };
	static const long operations[] = { SECCOMP_SET_MODE_STRICT, SECCOMP_SET_MODE_FILTER,
					   SECCOMP_GET_ACTION_AVAIL, SECCOMP_GET_NOTIF_SIZES };
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(operations); i++)
		want("seccomp", CALL(SYS_seccomp, operations[i], 0, (long)&program), EPERM);
	want("a listener", CALL(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 8, (long)&program),
	     EPERM);
	want("prctl strict", CALL(SYS_prctl, PR_SET_SECCOMP, 1), EPERM);
	want("prctl filter", CALL(SYS_prctl, PR_SET_SECCOMP, 2, (long)&program), EPERM);
	want("prctl with junk", CALL(SYS_prctl, JUNK | PR_SET_SECCOMP, 2, (long)&program),
	     EPERM);
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		differs("no_new_privs is off");
	return 0;
}

/* ---- the fuzzer ---- */

static long fuzz_argument(void)
{
	static char room[8][4096];
	static const long odd[] = {
		0, 1, -1, 2, 3, 4096, 0x7fffffff, -4096, 1L << 32, 1L << 62
	};
	uint64_t bits = random_bits();

	switch (bits % 8) {
	case 0:
	case 1:
		return odd[(bits >> 8) % ARRAY_LEN(odd)];
	case 2:
	case 3:
		return (long)room[(bits >> 8) % 8];
	case 4:
		return (long)((bits >> 8) % 16); /* likely a descriptor */
	case 5:
		return 1L << ((bits >> 8) % 64);
	case 6:
		return (long)"/proc/self/mem";
	default:
		return (long)(bits >> 4);
	}
}

static int fuzz_child(void *data)
{
	int i;

	(void)data;
	alarm(1);
	for (i = 0; i < 3000; i++) {
		long nr = (long)(random_bits() % 480);

		if (nr == SYS_exit || nr == SYS_exit_group || nr == SYS_rt_sigsuspend)
			continue;
		CALL(nr, fuzz_argument(), fuzz_argument(), fuzz_argument(), fuzz_argument(),
		     fuzz_argument(), fuzz_argument());
	}
	return 0;
}

static int case_19(char **words)
{
	time_t end = time(NULL) + (words[0] ? atoi(words[0]) : 1);

	signal(SIGHUP, SIG_IGN);
	while (time(NULL) < end)
		in_child(fuzz_child, NULL);
	return 0;
}

static int case_20(char **words)
{
	static const char *const paths[] = {
		"/sys/fs/cgroup",
		"/sys/kernel/debug",
		"/sys/kernel/tracing",
		"/sys/kernel/security",
		"/sys/kernel",
		"/sys/class",
		"/sys/fs/cgroup/release_agent",
		"/sys/fs/bpf",
		"/proc/sys/kernel/core_pattern",
		"/proc/sysrq-trigger",
	};
	static const char *const types[] = {
		"cgroup",   "cgroup2",	   "debugfs",  "tracefs",  "securityfs",
		"sysfs",    "bpf",	   "fusectl",  "configfs", "pstore",
		"efivarfs", "binfmt_misc", "devtmpfs", "devpts",   "mqueue",
	};
	char text[16384];
	size_t i;

	(void)words;
	for (i = 0; i < ARRAY_LEN(paths); i++)
		want(paths[i], open(paths[i], O_RDONLY), ENOENT);
	for (i = 0; i < ARRAY_LEN(types); i++)
		want(types[i], CALL(SYS_mount, (long)"x", (long)"/tmp", (long)types[i], 0, 0),
		     EPERM);
	if (read_text("/proc/self/mountinfo", text, sizeof text) <= 0)
		return differs("mountinfo cannot be read");
	for (i = 0; i < ARRAY_LEN(types); i++) {
		char word[40];

		/* " - TYPE " stands in each line behind the optional fields */
		snprintf(word, sizeof word, " - %s ", types[i]);
		if (strcmp(types[i], "devtmpfs") != 0 && strstr(text, word))
			differs("%s is mounted", types[i]);
	}
	return 0;
}

/* The same program where the filter is off: what then still must not work. */
static int case_order(char **words)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd;

	(void)words;
	want("mount", CALL(SYS_mount, (long)"none", (long)"/tmp", (long)"tmpfs", 0, 0), EPERM);
	want("bind mount", CALL(SYS_mount, (long)"/box", (long)"/tmp", 0, 4096, 0), EPERM);
	want("umount /proc", CALL(SYS_umount2, (long)"/proc", 2), EPERM);
	want("umount /", CALL(SYS_umount2, (long)"/", 2), EPERM);
	want("pivot_root", CALL(SYS_pivot_root, (long)"/box", (long)"/box"), EPERM);
	want("chroot", CALL(SYS_chroot, (long)"/box"), EPERM);
	want("sethostname", CALL(SYS_sethostname, (long)"mine", 4), EPERM);
	want("setdomainname", CALL(SYS_setdomainname, (long)"mine", 4), EPERM);
	want("fsopen", CALL(SYS_fsopen, (long)"tmpfs", 0), EPERM);
	want("open_tree", CALL(SYS_open_tree, AT_FDCWD, (long)"/", 1), EPERM);
	want("unshare NEWNS", CALL(SYS_unshare, CLONE_NEWNS), EPERM);
	want("unshare NEWNET", CALL(SYS_unshare, CLONE_NEWNET), EPERM);
	want("unshare NEWUSER", CALL(SYS_unshare, CLONE_NEWUSER), ENOSPC);
	want("unshare NEWUSER and NEWNS", CALL(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS),
	     ENOSPC);
	want("setuid", CALL(SYS_setuid, 0), EPERM);
	want("setgroups", CALL(SYS_setgroups, 0, 0), EPERM);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	want("socket", fd, OK);
	request.ifr_flags = IFF_UP;
	want("interface up", ioctl(fd, SIOCSIFFLAGS, &request), EPERM);
	want("interface address", ioctl(fd, SIOCSIFADDR, &request), EPERM);
	want("raw socket", socket(AF_INET, SOCK_RAW, 1), EPERM);
	want("packet socket", socket(AF_PACKET, SOCK_RAW, 0), EPERM);
	return 0;
}

static int case_nothing(char **words)
{
	(void)words;
	return 0;
}

const struct attack attacks_kernel[] = {
	{ "1", case_1 },
	{ "2", case_2 },
	{ "3", case_3 },
	{ "4", case_4 },
	{ "5", case_5 },
	{ "6", case_6 },
	{ "7", case_7 },
	{ "8-int80", case_8_int80 },
	{ "8-x32", case_8_x32 },
	{ "9", case_9 },
	{ "10", case_10 },
	{ "11", case_11 },
	{ "12", case_12 },
	{ "13", case_13 },
	{ "14", case_14 },
	{ "15", case_15 },
	{ "16", case_16 },
	{ "17", case_17 },
	{ "18", case_18 },
	{ "19", case_19 },
	{ "20", case_20 },
	{ "order", case_order },
	{ "nothing", case_nothing },
	{ NULL, NULL },
};
