/* SPDX-License-Identifier: ISC */
/* What a submitted program may ask of the kernel, and why. Data, used by root.
 * Runs as: root.
 *
 * The list is an allow-list: the kernel grows calls that no library can name yet,
 * and a list of bad ones is out of date on the day it ships. The price of that,
 * breakage, is kept low by ENOSYS for everything unnamed. EPERM is for what
 * exists and is refused; other errnos are those that make a known caller fall
 * back. Nothing ordinary is answered by a kill, because a program deserves an
 * error that it can print.
 *
 * libseccomp compares under a mask for "equal" but not for "unequal". So "not
 * zero in these bits" is written as one row for each bit. */
#define _GNU_SOURCE
#include "sandbox/filter_table.h"

#include <errno.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sandbox/filter.h"

/* Older kernel and C library headers lack these. */
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif
#ifndef SO_RCVTIMEO_NEW
#define SO_RCVTIMEO_NEW 66
#define SO_SNDTIMEO_NEW 67
#endif
#ifndef SO_DETACH_REUSEPORT_BPF
#define SO_DETACH_REUSEPORT_BPF 68
#endif
#ifndef SOL_ALG
#define SOL_ALG 279
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
/* <asm/termbits.h> and <termios.h> cannot be included together. */
#define TTY_GETS2 0x802c542au

/* The legacy call takes the exit signal in the low byte, so bit 0x80 is not
 * CLONE_NEWTIME there; only clone3 and unshare could ask for that. */
#define CLONE_NAMESPACES                                                                      \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |        \
	 CLONE_NEWPID | CLONE_NEWNET)

#define FUTEX_COMMAND (~(uint32_t)(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME))
#define SET_ID_BITS   (S_ISUID | S_ISGID)
#define SOCKET_TYPE   0xfu /* the rest of the argument is SOCK_CLOEXEC, SOCK_NONBLOCK */

/* How a row says what must hold; the argument's number comes first. */
#define BITS(n, m, v) { .arg = (n), .mask = (uint32_t)(m), .value = (uint32_t)(v) }
#define IS(n, v)      BITS(n, 0xffffffffu, v)
#define BIT(n, b)     BITS(n, b, b)
#define NO_BIT(n, b)  BITS(n, b, 0)

#define ALLOW_ALL(names, why) { .calls = names, .answer = FILTER_ALLOW, .reason = why }
#define DENY_ALL(names, code, why) { .calls = names, .answer = code, .reason = why }
#define ALLOW_IF(names, why, ...)                                                             \
	{ .calls = names, .answer = FILTER_ALLOW, .test = { __VA_ARGS__ }, .reason = why }
#define DENY_IF(names, code, why, ...)                                                        \
	{ .calls = names, .answer = code, .test = { __VA_ARGS__ }, .reason = why }
#define IN_TIER(t, names, code, why, ...)                                                     \
	{ .calls = names, .answer = code, .tier = t, .test = { __VA_ARGS__ }, .reason = why }

#define PERSONALITY_BIT(b, why)                                                               \
	DENY_IF("personality", EPERM, why, BITS(0, 0x80000000u | (b), b))
#define INET_ALLOW(family, type, protocol, why)                                               \
	IN_TIER(FILTER_ONLY_LOOPBACK, "socket", FILTER_ALLOW, why, IS(0, family),             \
		BITS(1, SOCKET_TYPE, type), IS(2, protocol))
#define INET_DENY_TYPE(family, mask, type)                                                    \
	IN_TIER(FILTER_ONLY_LOOPBACK, "socket", EAFNOSUPPORT,                                 \
		"raw and odd socket types reach code that streams and datagrams do not",      \
		IS(0, family), BITS(1, mask, type))
#define IP_OPTION(level, option, why)                                                         \
	IN_TIER(FILTER_ONLY_LOOPBACK, "setsockopt", FILTER_ALLOW, why, IS(1, level),          \
		IS(2, option))
#define SOCKET_OPTION(option, why)                                                            \
	ALLOW_IF("setsockopt", why, IS(1, SOL_SOCKET), IS(2, option))
#define SOCKET_OPTION_DENY(option, why)                                                       \
	DENY_IF("setsockopt", EPERM, why, IS(1, SOL_SOCKET), IS(2, option))

const struct filter_rule filter_rules[] = {
	/* ---- allowed as they are ---- */
	ALLOW_ALL("read write readv writev pread64 pwrite64 preadv pwritev lseek close "
		  "close_range dup dup2 dup3 fcntl flock",
		  "work on descriptors that the program already has"),
	ALLOW_ALL("open openat openat2 creat",
		  "the box has its own root, so every name leads into the box"),
	ALLOW_ALL("truncate ftruncate fallocate fadvise64 readahead fsync fdatasync "
		  "sync_file_range syncfs copy_file_range",
		  "contents of files; the box's tmpfs bounds their size"),
	ALLOW_ALL("stat fstat lstat newfstatat statx access faccessat faccessat2 statfs "
		  "fstatfs readlink readlinkat getdents getdents64 getcwd",
		  "looking at files"),
	ALLOW_ALL("mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat "
		  "symlink symlinkat chdir fchdir umask utime utimes utimensat futimesat",
		  "names in the box's own tree, gone with the box"),
	ALLOW_ALL("chown fchown lchown fchownat",
		  "the kernel refuses it to a user without capabilities"),
	ALLOW_ALL("getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr",
		  "ls and cp read extended attributes; setting them is refused"),
	ALLOW_ALL("mmap munmap mprotect mremap madvise brk msync mincore pkey_mprotect "
		  "pkey_alloc pkey_free mseal memfd_create",
		  "memory, bounded by the cgroup"),
	ALLOW_ALL("mlock mlock2 munlock mlockall munlockall",
		  "bounded by RLIMIT_MEMLOCK; runtimes lock small secrets"),
	ALLOW_ALL("execve execveat fork vfork exit exit_group wait4 waitid",
		  "processes, bounded by the cgroup and in the box's pid namespace"),
	ALLOW_ALL("getpid gettid getppid getpgid getpgrp setpgid getsid setsid",
		  "process groups and sessions inside the pid namespace"),
	ALLOW_ALL("getuid geteuid getgid getegid getresuid getresgid getgroups capget",
		  "looking at one's own credentials"),
	ALLOW_ALL("setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid "
		  "setgroups capset",
		  "init changes to the program's id after the load; the program has no "
		  "capability to gain by them"),
	ALLOW_ALL("arch_prctl set_tid_address set_robust_list get_robust_list rseq membarrier "
		  "restart_syscall",
		  "start of a thread and of libc itself"),
	ALLOW_ALL("futex_waitv", "waits only, and has no PI form"),
	ALLOW_ALL("kill tkill tgkill pidfd_open pidfd_send_signal rt_sigqueueinfo "
		  "rt_tgsigqueueinfo",
		  "reach only processes of the pid namespace with the same user id"),
	ALLOW_ALL("rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait "
		  "rt_sigreturn sigaltstack pause signalfd signalfd4",
		  "receiving signals"),
	ALLOW_ALL("nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time "
		  "times alarm getitimer setitimer timer_create timer_settime timer_gettime "
		  "timer_getoverrun timer_delete timerfd_create timerfd_settime "
		  "timerfd_gettime",
		  "reading clocks and setting one's own timers"),
	ALLOW_ALL("poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait "
		  "epoll_pwait epoll_pwait2 pipe pipe2 eventfd eventfd2",
		  "event loops and pipes"),
	ALLOW_ALL("inotify_init inotify_init1 inotify_add_watch inotify_rm_watch",
		  "file watches, bounded by the user namespace's limits"),
	ALLOW_ALL("bind connect listen accept accept4 getsockname getpeername shutdown "
		  "getsockopt",
		  "work on sockets, whose families the rows for socket decide"),
	ALLOW_ALL("shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd "
		  "msgrcv msgctl mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify "
		  "mq_getsetattr",
		  "the box has its own ipc namespace"),
	ALLOW_ALL("getrlimit setrlimit prlimit64 getrusage getpriority setpriority",
		  "limits can only be lowered"),
	ALLOW_ALL("sched_yield sched_getaffinity sched_setaffinity sched_getparam "
		  "sched_setparam sched_getscheduler sched_setscheduler sched_getattr "
		  "sched_setattr sched_get_priority_max sched_get_priority_min "
		  "sched_rr_get_interval ioprio_get ioprio_set",
		  "runtimes size thread pools by them; the kernel itself refuses "
		  "real-time classes"),
	ALLOW_ALL("uname sysinfo getcpu getrandom", "facts that every runtime asks for"),
	ALLOW_ALL("landlock_create_ruleset landlock_add_rule landlock_restrict_self",
		  "a program may fence itself in further"),

	/* ---- refused ---- */
	DENY_ALL("bpf perf_event_open userfaultfd", EPERM,
		 "large kernel interfaces with a long record of escapes"),
	DENY_ALL("ptrace process_vm_readv process_vm_writev process_madvise process_mrelease "
		 "kcmp pidfd_getfd",
		 EPERM, "reach into other processes, such as the box's init"),
	DENY_ALL("mount umount2 pivot_root chroot fsopen fsconfig fsmount fspick open_tree "
		 "open_tree_attr move_mount mount_setattr",
		 EPERM, "the box's tree is fixed before the program starts"),
	DENY_ALL("unshare setns", EPERM, "new namespaces open kernel code meant for root"),
	DENY_ALL("name_to_handle_at open_by_handle_at", EPERM,
		 "file handles lead past the box's root"),
	DENY_ALL("init_module finit_module delete_module kexec_load kexec_file_load reboot "
		 "swapon swapoff acct quotactl quotactl_fd syslog settimeofday clock_settime "
		 "clock_adjtime adjtimex sethostname setdomainname vhangup lookup_dcookie "
		 "uselib",
		 EPERM, "administration of the host"),
	DENY_ALL("iopl ioperm", EPERM, "input and output ports of the machine"),
	DENY_ALL("fanotify_init fanotify_mark", EPERM, "watches whole file systems"),
	DENY_ALL("add_key request_key keyctl", EPERM,
		 "kernel keyrings outlive the box and are shared by user id"),
	DENY_ALL("mbind set_mempolicy set_mempolicy_home_node get_mempolicy migrate_pages "
		 "move_pages",
		 EPERM, "placement of memory on the host's nodes"),
	DENY_ALL("seccomp", EPERM,
		 "a second filter could hand our answers to a listener of the program"),
	DENY_ALL("splice tee vmsplice sendfile", EINVAL,
		 "passing page-cache pages by reference has leaked and changed files; EINVAL "
		 "makes every copier fall back"),
	DENY_ALL("setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr "
		 "fremovexattr removexattrat",
		 EOPNOTSUPP,
		 "attributes can carry capabilities; cp and tar accept this answer"),

	/* ---- ENOSYS would be the answer anyway; the rows say why ---- */
	DENY_ALL("io_uring_setup io_uring_enter io_uring_register", ENOSYS,
		 "does socket and file work that this filter never sees"),
	DENY_ALL("clone3", ENOSYS,
		 "its flags lie in memory, where no filter looks; libc falls back to clone"),
	DENY_ALL("memfd_secret", ENOSYS, "memory that the host cannot look at"),
	DENY_ALL("modify_ldt remap_file_pages", ENOSYS, "old, intricate and unused"),
	DENY_ALL("cachestat", ENOSYS, "tells what others have in the page cache"),
	DENY_ALL("statmount listmount", ENOSYS, "mounts are none of the program's business"),
	DENY_ALL("lsm_get_self_attr lsm_set_self_attr lsm_list_modules", ENOSYS,
		 "tell and change the host's security modules"),
	DENY_ALL("io_setup io_submit io_getevents io_pgetevents io_cancel io_destroy", ENOSYS,
		 "kernel AIO has its own queues and bugs, and callers have a fallback"),
	DENY_ALL("sync", ENOSYS,
		 "writes out every file system of the host; it cannot report an error, so "
		 "no caller minds"),

	/* ---- decided by arguments ---- */
	ALLOW_IF("clone", "threads and processes without new namespaces",
		 NO_BIT(0, CLONE_NAMESPACES)),
	DENY_IF("clone", EPERM, "new mount namespace", BIT(0, CLONE_NEWNS)),
	DENY_IF("clone", EPERM, "new cgroup namespace", BIT(0, CLONE_NEWCGROUP)),
	DENY_IF("clone", EPERM, "new host name namespace", BIT(0, CLONE_NEWUTS)),
	DENY_IF("clone", EPERM, "new ipc namespace", BIT(0, CLONE_NEWIPC)),
	DENY_IF("clone", EPERM, "new user namespace", BIT(0, CLONE_NEWUSER)),
	DENY_IF("clone", EPERM, "new pid namespace", BIT(0, CLONE_NEWPID)),
	DENY_IF("clone", EPERM, "new network namespace", BIT(0, CLONE_NEWNET)),

	/* A family of 64 or more exists nowhere: ENOSYS does for it. */
	ALLOW_IF("socket socketpair", "local sockets between the box's own processes",
		 IS(0, AF_UNIX)),
#define FAMILY_WHY "families other than AF_UNIX are where most kernel bugs were found"
	DENY_IF("socketpair", EAFNOSUPPORT, FAMILY_WHY, NO_BIT(0, 1)),
	DENY_IF("socketpair", EAFNOSUPPORT, FAMILY_WHY, BIT(0, 2)),
	DENY_IF("socketpair", EAFNOSUPPORT, FAMILY_WHY, BIT(0, 8)),
	DENY_IF("socket socketpair", EAFNOSUPPORT, FAMILY_WHY, BIT(0, 4)),
	DENY_IF("socket socketpair", EAFNOSUPPORT, FAMILY_WHY, BIT(0, 16)),
	DENY_IF("socket socketpair", EAFNOSUPPORT, FAMILY_WHY, BIT(0, 32)),
	IN_TIER(FILTER_NOT_LOOPBACK, "socket", EAFNOSUPPORT, FAMILY_WHY, NO_BIT(0, 1)),
	IN_TIER(FILTER_NOT_LOOPBACK, "socket", EAFNOSUPPORT, FAMILY_WHY, BIT(0, 2)),
	IN_TIER(FILTER_NOT_LOOPBACK, "socket", EAFNOSUPPORT, FAMILY_WHY, BIT(0, 8)),
	/* With AF_INET (2) and AF_INET6 (10) open, the others below 16 are those
	 * that end in 00 or 11, and 9. */
	IN_TIER(FILTER_ONLY_LOOPBACK, "socket", EAFNOSUPPORT, FAMILY_WHY, BITS(0, 3, 0)),
	IN_TIER(FILTER_ONLY_LOOPBACK, "socket", EAFNOSUPPORT, FAMILY_WHY, BITS(0, 3, 3)),
	IN_TIER(FILTER_ONLY_LOOPBACK, "socket", EAFNOSUPPORT, FAMILY_WHY, BITS(0, 9, 9)),
	INET_ALLOW(AF_INET, SOCK_STREAM, 0, "TCP"),
	INET_ALLOW(AF_INET, SOCK_STREAM, IPPROTO_TCP, "TCP"),
	INET_ALLOW(AF_INET, SOCK_DGRAM, 0, "UDP"),
	INET_ALLOW(AF_INET, SOCK_DGRAM, IPPROTO_UDP, "UDP"),
	INET_ALLOW(AF_INET6, SOCK_STREAM, 0, "TCP"),
	INET_ALLOW(AF_INET6, SOCK_STREAM, IPPROTO_TCP, "TCP"),
	INET_ALLOW(AF_INET6, SOCK_DGRAM, 0, "UDP"),
	INET_ALLOW(AF_INET6, SOCK_DGRAM, IPPROTO_UDP, "UDP"),
#define MPTCP_WHY "Go asks for multipath TCP first, and takes this answer for no"
	IN_TIER(FILTER_ONLY_LOOPBACK, "socket", EPROTONOSUPPORT, MPTCP_WHY, IS(0, AF_INET),
		BITS(1, SOCKET_TYPE, SOCK_STREAM), IS(2, IPPROTO_MPTCP)),
	IN_TIER(FILTER_ONLY_LOOPBACK, "socket", EPROTONOSUPPORT, MPTCP_WHY, IS(0, AF_INET6),
		BITS(1, SOCKET_TYPE, SOCK_STREAM), IS(2, IPPROTO_MPTCP)),
	INET_DENY_TYPE(AF_INET, SOCKET_TYPE, 0),
	INET_DENY_TYPE(AF_INET, SOCKET_TYPE, SOCK_RAW),
	INET_DENY_TYPE(AF_INET, 4, 4),
	INET_DENY_TYPE(AF_INET, 8, 8),
	INET_DENY_TYPE(AF_INET6, SOCKET_TYPE, 0),
	INET_DENY_TYPE(AF_INET6, SOCKET_TYPE, SOCK_RAW),
	INET_DENY_TYPE(AF_INET6, 4, 4),
	INET_DENY_TYPE(AF_INET6, 8, 8),

	ALLOW_IF("sendto recvfrom sendmmsg recvmmsg", "plain messages", NO_BIT(3, MSG_OOB)),
	ALLOW_IF("sendmsg recvmsg", "plain messages", NO_BIT(2, MSG_OOB)),
#define OOB_WHY "out-of-band bytes on local sockets: a young feature with several bugs"
	DENY_IF("sendto recvfrom sendmmsg recvmmsg", EOPNOTSUPP, OOB_WHY, BIT(3, MSG_OOB)),
	DENY_IF("sendmsg recvmsg", EOPNOTSUPP, OOB_WHY, BIT(2, MSG_OOB)),

	SOCKET_OPTION(SO_REUSEADDR, "servers set it before bind"),
	SOCKET_OPTION(SO_REUSEPORT, "servers set it before bind"),
	SOCKET_OPTION(SO_BROADCAST, "Go sets it on every datagram socket"),
	SOCKET_OPTION(SO_SNDBUF, "buffer size; the kernel caps it"),
	SOCKET_OPTION(SO_RCVBUF, "buffer size; the kernel caps it"),
	SOCKET_OPTION(SO_KEEPALIVE, "client libraries set it"),
	SOCKET_OPTION(SO_LINGER, "client libraries set it"),
	SOCKET_OPTION(SO_PRIORITY, "ordering of one's own packets"),
	SOCKET_OPTION(SO_PASSCRED, "tells the peer's ids, as the pid namespace sees them"),
	SOCKET_OPTION(SO_RCVLOWAT, "wake-up threshold"),
	SOCKET_OPTION(SO_RCVTIMEO, "time limit for receiving"),
	SOCKET_OPTION(SO_SNDTIMEO, "time limit for sending"),
	SOCKET_OPTION(SO_RCVTIMEO_NEW, "the same with 64-bit seconds"),
	SOCKET_OPTION(SO_SNDTIMEO_NEW, "the same with 64-bit seconds"),
	SOCKET_OPTION(SO_TIMESTAMP, "arrival times"),
#define BPF_WHY "loads a program into the kernel"
	SOCKET_OPTION_DENY(SO_ATTACH_FILTER, BPF_WHY),
	SOCKET_OPTION_DENY(SO_DETACH_FILTER, BPF_WHY),
	SOCKET_OPTION_DENY(SO_LOCK_FILTER, BPF_WHY),
	SOCKET_OPTION_DENY(SO_ATTACH_BPF, BPF_WHY),
	SOCKET_OPTION_DENY(SO_ATTACH_REUSEPORT_CBPF, BPF_WHY),
	SOCKET_OPTION_DENY(SO_ATTACH_REUSEPORT_EBPF, BPF_WHY),
	SOCKET_OPTION_DENY(SO_DETACH_REUSEPORT_BPF, BPF_WHY),
	DENY_IF("setsockopt", EPERM, "the kernel's crypto interface", IS(1, SOL_ALG)),
	DENY_IF("setsockopt", EPERM, "kernel TLS and its like", IS(1, IPPROTO_TCP),
		IS(2, TCP_ULP)),
	DENY_IF("setsockopt", EPERM, "netfilter tables: options 64 to 127", IS(1, IPPROTO_IP),
		BITS(2, 0xffffffc0u, 64)),
	DENY_IF("setsockopt", EPERM, "netfilter tables: bridge options from 128",
		IS(1, IPPROTO_IP), BITS(2, 0xffffffc0u, 128)),
	DENY_IF("setsockopt", EPERM, "netfilter tables", IS(1, IPPROTO_IPV6),
		BITS(2, 0xfffffffeu, 64)),
	IP_OPTION(IPPROTO_TCP, TCP_NODELAY, "every HTTP library sets it"),
	IP_OPTION(IPPROTO_TCP, TCP_CORK, "sends headers and file together"),
	IP_OPTION(IPPROTO_TCP, TCP_KEEPIDLE, "Go and others set it"),
	IP_OPTION(IPPROTO_TCP, TCP_KEEPINTVL, "Go and others set it"),
	IP_OPTION(IPPROTO_TCP, TCP_KEEPCNT, "Go and others set it"),
	IP_OPTION(IPPROTO_TCP, TCP_QUICKACK, "a timing hint"),
	IP_OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, "time limit for a dead peer"),
	IP_OPTION(IPPROTO_TCP, TCP_DEFER_ACCEPT, "servers set it"),
	IP_OPTION(IPPROTO_IP, IP_TOS, "a routing hint"),
	IP_OPTION(IPPROTO_IP, IP_TTL, "hops of one's own packets"),
	IP_OPTION(IPPROTO_IP, IP_RECVERR, "resolvers set it"),
	IP_OPTION(IPPROTO_IPV6, IPV6_V6ONLY, "servers that listen on both families set it"),
	IP_OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS, "hops of one's own packets"),
	IP_OPTION(IPPROTO_IPV6, IPV6_TCLASS, "a routing hint; 67, beside the tables"),
	IP_OPTION(IPPROTO_IPV6, IPV6_RECVERR, "resolvers set it"),

#define TTY_WHY "asked of stdin and stdout by every runtime; there is no terminal to harm"
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TCGETS)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TTY_GETS2)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TCSETS)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TCSETSW)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TCSETSF)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TCSBRK)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TCXONC)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TCFLSH)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TIOCSCTTY)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TIOCNOTTY)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TIOCGPGRP)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TIOCSPGRP)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TIOCGSID)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TIOCGWINSZ)),
	ALLOW_IF("ioctl", TTY_WHY, IS(1, TIOCSWINSZ)),
	ALLOW_IF("ioctl", "bytes not yet sent", IS(1, TIOCOUTQ)),
	ALLOW_IF("ioctl", "bytes to read", IS(1, FIONREAD)),
	ALLOW_IF("ioctl", "non-blocking mode, as fcntl", IS(1, FIONBIO)),
	ALLOW_IF("ioctl", "signals for input, as fcntl", IS(1, FIOASYNC)),
	ALLOW_IF("ioctl", "close on exec, as fcntl", IS(1, FIOCLEX)),
	ALLOW_IF("ioctl", "close on exec, as fcntl", IS(1, FIONCLEX)),
	ALLOW_IF("ioctl", "size of a file or directory", IS(1, FIOQSIZE)),
	ALLOW_IF("ioctl", "lsattr and find read a file's flags", IS(1, FS_IOC_GETFLAGS)),
	DENY_IF("ioctl", EPERM, "types into a terminal as if its user did", IS(1, TIOCSTI)),
	DENY_IF("ioctl", EPERM, "pastes into the console", IS(1, TIOCLINUX)),
	DENY_IF("ioctl", EPERM, "loads line disciplines", IS(1, TIOCSETD)),
	DENY_IF("ioctl", EPERM, "redirects the console", IS(1, TIOCCONS)),
	DENY_IF("ioctl", EOPNOTSUPP, "copiers try to share blocks, then copy", IS(1, FICLONE)),
	DENY_IF("ioctl", EOPNOTSUPP, "copiers try to share blocks, then copy",
		IS(1, FICLONERANGE)),

#define PRCTL_WHY "concerns only the caller"
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_SET_NAME)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_GET_NAME)),
	ALLOW_IF("prctl", "core files are off by rlimit", IS(0, PR_SET_DUMPABLE)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_GET_DUMPABLE)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_SET_PDEATHSIG)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_GET_PDEATHSIG)),
	ALLOW_IF("prctl", "is set already", IS(0, PR_SET_NO_NEW_PRIVS)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_GET_NO_NEW_PRIVS)),
	ALLOW_IF("prctl", "the box's init collects what is left",
		 IS(0, PR_SET_CHILD_SUBREAPER)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_GET_CHILD_SUBREAPER)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_SET_TIMERSLACK)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_GET_TIMERSLACK)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_SET_THP_DISABLE)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_GET_THP_DISABLE)),
	ALLOW_IF("prctl", "names a mapping; allocators do", IS(0, PR_SET_VMA)),
	ALLOW_IF("prctl", "libcap asks at start", IS(0, PR_CAPBSET_READ)),
#ifdef __aarch64__
	ALLOW_IF("prctl", "Java asks for the vector length", IS(0, PR_SVE_GET_VL)),
	ALLOW_IF("prctl", PRCTL_WHY, IS(0, PR_SVE_SET_VL)),
#endif
	DENY_IF("prctl", EPERM, "the old way to a second filter", IS(0, PR_SET_SECCOMP)),

#define FUTEX_WHY "locks and condition variables"
	ALLOW_IF("futex", FUTEX_WHY, BITS(1, FUTEX_COMMAND, FUTEX_WAIT)),
	ALLOW_IF("futex", FUTEX_WHY, BITS(1, FUTEX_COMMAND, FUTEX_WAKE)),
	ALLOW_IF("futex", FUTEX_WHY, BITS(1, FUTEX_COMMAND, FUTEX_REQUEUE)),
	ALLOW_IF("futex", FUTEX_WHY, BITS(1, FUTEX_COMMAND, FUTEX_CMP_REQUEUE)),
	ALLOW_IF("futex", FUTEX_WHY, BITS(1, FUTEX_COMMAND, FUTEX_WAKE_OP)),
	ALLOW_IF("futex", FUTEX_WHY, BITS(1, FUTEX_COMMAND, FUTEX_WAIT_BITSET)),
	ALLOW_IF("futex", FUTEX_WHY, BITS(1, FUTEX_COMMAND, FUTEX_WAKE_BITSET)),
#define PI_WHY "priority inheritance: intricate, often broken, and libc copes without"
	DENY_IF("futex", ENOSYS, PI_WHY, BITS(1, FUTEX_COMMAND, FUTEX_LOCK_PI)),
	DENY_IF("futex", ENOSYS, PI_WHY, BITS(1, FUTEX_COMMAND, FUTEX_LOCK_PI2)),
	DENY_IF("futex", ENOSYS, PI_WHY, BITS(1, FUTEX_COMMAND, FUTEX_UNLOCK_PI)),
	DENY_IF("futex", ENOSYS, PI_WHY, BITS(1, FUTEX_COMMAND, FUTEX_TRYLOCK_PI)),
	DENY_IF("futex", ENOSYS, PI_WHY, BITS(1, FUTEX_COMMAND, FUTEX_WAIT_REQUEUE_PI)),
	DENY_IF("futex", ENOSYS, PI_WHY, BITS(1, FUTEX_COMMAND, FUTEX_CMP_REQUEUE_PI)),

	ALLOW_IF("personality", "back to normal", IS(0, 0)),
	ALLOW_IF("personality", "only asks", IS(0, 0xffffffffu)),
	/* Every bit that means something; the topmost tells them from the query. */
#define FOREIGN_WHY "other systems' habits"
	PERSONALITY_BIT(0x01, FOREIGN_WHY),
	PERSONALITY_BIT(0x02, FOREIGN_WHY),
	PERSONALITY_BIT(0x04, FOREIGN_WHY),
	PERSONALITY_BIT(0x08, "32-bit habits"),
	PERSONALITY_BIT(0x10, FOREIGN_WHY),
	PERSONALITY_BIT(0x0020000, "lies about the kernel version"),
	PERSONALITY_BIT(0x0040000, "addresses stop being random"),
	PERSONALITY_BIT(0x0080000, "function descriptors"),
	PERSONALITY_BIT(0x0100000, "maps page zero"),
	PERSONALITY_BIT(0x0200000, "old address layout"),
	PERSONALITY_BIT(0x0400000, "makes data executable"),
	PERSONALITY_BIT(0x0800000, "32-bit addresses"),
	PERSONALITY_BIT(0x1000000, FOREIGN_WHY),
	PERSONALITY_BIT(0x2000000, FOREIGN_WHY),
	PERSONALITY_BIT(0x4000000, FOREIGN_WHY),
	PERSONALITY_BIT(0x8000000, "3 GiB of addresses"),

	ALLOW_IF("preadv2 pwritev2", "the same as preadv and pwritev", IS(5, 0)),
#define RWF_WHY "RWF_NOWAIT tells what is in the page cache; libc emulates none of the flags"
	DENY_IF("preadv2 pwritev2", EOPNOTSUPP, RWF_WHY, BIT(5, 0x01)),
	DENY_IF("preadv2 pwritev2", EOPNOTSUPP, RWF_WHY, BIT(5, 0x02)),
	DENY_IF("preadv2 pwritev2", EOPNOTSUPP, RWF_WHY, BIT(5, 0x04)),
	DENY_IF("preadv2 pwritev2", EOPNOTSUPP, RWF_WHY, BIT(5, 0x08)),
	DENY_IF("preadv2 pwritev2", EOPNOTSUPP, RWF_WHY, BIT(5, 0x10)),
	DENY_IF("preadv2 pwritev2", EOPNOTSUPP, RWF_WHY, BIT(5, 0x20)),
	DENY_IF("preadv2 pwritev2", EOPNOTSUPP, RWF_WHY, BIT(5, 0x40)),
	DENY_IF("preadv2 pwritev2", EOPNOTSUPP, RWF_WHY, BIT(5, 0x80)),

	ALLOW_IF("mknod", "a regular file", BITS(1, S_IFMT, 0)),
	ALLOW_IF("mknod", "a regular file", BITS(1, S_IFMT, S_IFREG)),
	ALLOW_IF("mknod", "a named pipe", BITS(1, S_IFMT, S_IFIFO)),
	ALLOW_IF("mknod", "a socket's name", BITS(1, S_IFMT, S_IFSOCK)),
	ALLOW_IF("mknodat", "a regular file", BITS(2, S_IFMT, 0)),
	ALLOW_IF("mknodat", "a regular file", BITS(2, S_IFMT, S_IFREG)),
	ALLOW_IF("mknodat", "a named pipe", BITS(2, S_IFMT, S_IFIFO)),
	ALLOW_IF("mknodat", "a socket's name", BITS(2, S_IFMT, S_IFSOCK)),
#define DEVICE_WHY "device nodes reach the host's drivers"
	DENY_IF("mknod", EPERM, DEVICE_WHY, BITS(1, S_IFMT, S_IFCHR)),
	DENY_IF("mknod", EPERM, DEVICE_WHY, BITS(1, S_IFMT, S_IFBLK)),
	DENY_IF("mknodat", EPERM, DEVICE_WHY, BITS(2, S_IFMT, S_IFCHR)),
	DENY_IF("mknodat", EPERM, DEVICE_WHY, BITS(2, S_IFMT, S_IFBLK)),

	ALLOW_IF("chmod fchmod", "ordinary permission bits", NO_BIT(1, SET_ID_BITS)),
	ALLOW_IF("fchmodat fchmodat2", "ordinary permission bits", NO_BIT(2, SET_ID_BITS)),
#define SETID_WHY "set-id files; the box's mounts ignore the bits as well"
	DENY_IF("chmod fchmod", EPERM, SETID_WHY, BIT(1, S_ISUID)),
	DENY_IF("chmod fchmod", EPERM, SETID_WHY, BIT(1, S_ISGID)),
	DENY_IF("fchmodat fchmodat2", EPERM, SETID_WHY, BIT(2, S_ISUID)),
	DENY_IF("fchmodat fchmodat2", EPERM, SETID_WHY, BIT(2, S_ISGID)),
};
const size_t filter_rules_count = sizeof filter_rules / sizeof *filter_rules;

const char filter_set_up_calls[] =
	"mount umount2 pivot_root fsopen fsconfig fsmount fspick open_tree move_mount "
	"mount_setattr unshare setns clone3 prctl seccomp";

const struct filter_number filter_numbers[] = {
	{ "quotactl_fd", 443 },
	{ "landlock_create_ruleset", 444 },
	{ "landlock_add_rule", 445 },
	{ "landlock_restrict_self", 446 },
	{ "memfd_secret", 447 },
	{ "process_mrelease", 448 },
	{ "futex_waitv", 449 },
	{ "set_mempolicy_home_node", 450 },
	{ "cachestat", 451 },
	{ "fchmodat2", 452 },
	{ "statmount", 457 },
	{ "listmount", 458 },
	{ "lsm_get_self_attr", 459 },
	{ "lsm_set_self_attr", 460 },
	{ "lsm_list_modules", 461 },
	{ "mseal", 462 },
	{ "setxattrat", 463 },
	{ "removexattrat", 466 },
	{ "open_tree_attr", 467 },
};
const size_t filter_numbers_count = sizeof filter_numbers / sizeof *filter_numbers;
