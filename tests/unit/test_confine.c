/* SPDX-License-Identifier: ISC */
/* A confined worker can do its work, and nothing else. Each row runs in a process
 * of its own, which prepares, confines itself, and tries. */
#define _GNU_SOURCE
#include "fcgi/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/tap.h"

/* What a child inherits from the time before it is confined. */
struct world {
	int listen_fd;
	struct sockaddr_un address; /* of listen_fd */
	socklen_t address_size;
	pid_t sibling; /* an idle process of the same user, confined too */
};

/* ---- what must work: true when it did ---- */

static bool can_serve(const struct world *w)
{
	struct timeval patience = { .tv_sec = 5 };
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), server;
	char got[3] = "";

	if (connect(client, (const struct sockaddr *)&w->address, w->address_size) < 0)
		return false;
	server = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	return server >= 0 &&
	       setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
	       setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
	       send(client, "hi", 2, MSG_NOSIGNAL) == 2 && recv(server, got, 2, 0) == 2 &&
	       !strcmp(got, "hi") && shutdown(server, SHUT_WR) == 0 &&
	       read(client, got, 1) == 0;
}

static bool can_pass_memfds(const struct world *w)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (char[]){ 'x' }, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof control.space };
	int memfd = memfd_create("payload", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof memfd),
					   .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(&control.header), &memfd, sizeof memfd);
	return write(memfd, "code", 4) == 4 && ftruncate(memfd, 4) == 0 &&
	       fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) == 0 &&
	       fcntl(memfd, F_GET_SEALS) & F_SEAL_WRITE &&
	       connect(fd, (const struct sockaddr *)&w->address, w->address_size) == 0 &&
	       sendmsg(fd, &msg, MSG_NOSIGNAL) == 1;
}

static bool can_wait(const struct world *w)
{
	struct itimerspec soon = { .it_value = { .tv_nsec = 1000000 } };
	struct timespec nap = { .tv_nsec = 1000 };
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), ends[2];
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	struct pollfd p = { .fd = timer, .events = POLLIN };

	(void)w;
	return pipe2(ends, O_CLOEXEC) == 0 && fchmod(ends[1], 0666) == 0 &&
	       fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 &&
	       read(ends[0], &p, 1) < 0 && errno == EAGAIN &&
	       timerfd_settime(timer, 0, &soon, NULL) == 0 && poll(&p, 1, 5000) == 1 &&
	       epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) == 0 &&
	       epoll_wait(epoll, &event, 1, 5000) == 1 && nanosleep(&nap, NULL) == 0;
}

static bool can_read_files(const struct world *w)
{
	FILE *file = fopen("/etc/passwd", "re");
	DIR *dir = opendir("/etc");
	struct stat st;
	char line[8];

	(void)w;
	return file && dir && fgets(line, sizeof line, file) && readdir(dir) &&
	       fclose(file) == 0 && closedir(dir) == 0 && stat("/etc", &st) == 0;
}

static bool can_use_memory(const struct world *w)
{
	enum { SIZE = 8 << 20 };
	char *big = malloc(SIZE), *map;

	(void)w;
	if (!big)
		return false;
	memset(big, 1, SIZE);
	free(big);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return map != MAP_FAILED && mprotect(map, 4096, PROT_READ) == 0 &&
	       munmap(map, 4096) == 0;
}

static volatile sig_atomic_t signals_seen;

static void count_signal(int number)
{
	(void)number;
	signals_seen++;
}

static bool can_take_signals(const struct world *w)
{
	struct sigaction action = { .sa_handler = count_signal };

	(void)w;
	return sigaction(SIGTERM, &action, NULL) == 0 && raise(SIGTERM) == 0 &&
	       signals_seen == 1;
}

static bool can_ask_limits(const struct world *w)
{
	struct rlimit limit;

	(void)w;
	return getrlimit(RLIMIT_NOFILE, &limit) == 0 && sysconf(_SC_NPROCESSORS_ONLN) > 0;
}

/* ---- what must not: true when it was refused with EPERM ---- */

static bool refused(long result)
{
	return result < 0 && errno == EPERM;
}

static bool no_internet(const struct world *w)
{
	(void)w;
	return refused(socket(AF_INET, SOCK_STREAM, 0)) &&
	       refused(socket(AF_INET6, SOCK_DGRAM, 0)) &&
	       refused(socket(AF_NETLINK, SOCK_RAW, 0)) &&
	       refused(syscall(SYS_socket, 0xffffffff00000000u | AF_INET, SOCK_STREAM, 0));
}

static bool no_new_listener(const struct world *w)
{
	struct sockaddr_un any = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)w;
	return fd >= 0 && refused(bind(fd, (struct sockaddr *)&any, sizeof(sa_family_t))) &&
	       refused(listen(fd, 1));
}

static bool no_writing(const struct world *w)
{
	(void)w;
	return refused(open("/dev/null", O_WRONLY)) && refused(open("/dev/null", O_RDWR)) &&
	       refused(open("/tmp", O_TMPFILE | O_RDWR, 0600)) &&
	       refused(open("/dev/null", O_RDONLY | O_CREAT, 0600)) &&
	       refused(open("/dev/null", O_RDONLY | O_TRUNC)) &&
	       refused(syscall(SYS_openat2, AT_FDCWD, "/dev/null", NULL, 0)) &&
	       refused(unlink("/nonexistent")) && refused(mkdir("/nonexistent", 0700)) &&
	       refused(rename("/nonexistent", "/nowhere")) &&
	       refused(chmod("/nonexistent", 0)) && refused(fchmod(0, 0644));
}

static bool no_processes(const struct world *w)
{
	(void)w;
	return refused(fork()) && refused(vfork()) && refused(syscall(SYS_clone3, NULL, 0));
}

static void *nothing(void *arg)
{
	return arg;
}

static bool no_threads(const struct world *w)
{
	pthread_t thread;

	(void)w;
	return pthread_create(&thread, NULL, nothing, NULL) == EPERM;
}

static bool no_signals_to_others(const struct world *w)
{
	return refused(kill(w->sibling, SIGTERM)) && refused(kill(w->sibling, 0)) &&
	       refused(syscall(SYS_tgkill, w->sibling, w->sibling, SIGTERM)) &&
	       refused(syscall(SYS_pidfd_open, w->sibling, 0)) &&
	       refused(fcntl(0, F_SETOWN, w->sibling));
}

static bool no_look_at_siblings(const struct world *w)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/mem", (int)w->sibling);
	/* Root may still open it: workers are never root. */
	return refused(ptrace(PTRACE_ATTACH, w->sibling, NULL, NULL)) &&
	       refused(syscall(SYS_process_vm_readv, w->sibling, NULL, 0, NULL, 0, 0)) &&
	       (geteuid() == 0 || (open(path, O_RDONLY) < 0 && errno == EACCES));
}

static bool no_code(const struct world *w)
{
	enum { RW = PROT_READ | PROT_WRITE, RWX = RW | PROT_EXEC };
	void *map = mmap(NULL, 4096, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)w;
	return map != MAP_FAILED && refused(mprotect(map, 4096, PROT_READ | PROT_EXEC)) &&
	       mmap(NULL, 4096, RWX, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	       errno == EPERM;
}

static bool no_administration(const struct world *w)
{
	struct rlimit limit = { 1, 1 };

	(void)w;
	return refused(mount("none", "/", "tmpfs", 0, NULL)) && refused(umount2("/", 0)) &&
	       refused(chroot("/")) && refused(syscall(SYS_unshare, 0)) &&
	       refused(setuid(getuid())) && refused(syscall(SYS_bpf, 0, NULL, 0)) &&
	       refused(syscall(SYS_io_uring_setup, 1, NULL)) &&
	       refused(syscall(SYS_keyctl, 0, 0, 0, 0, 0)) &&
	       refused(syscall(SYS_seccomp, 0, 0, NULL)) &&
	       refused(setrlimit(RLIMIT_NOFILE, &limit)) &&
	       refused(setsockopt(0, SOL_SOCKET, SO_ATTACH_FILTER, NULL, 0)) &&
	       refused(syscall(SYS_ioctl, 0, 0x5412, "x"));
}

static bool tries_execve(const struct world *w)
{
	(void)w;
	execl("/bin/true", "true", (char *)NULL);
	return true;
}

static bool tries_execveat(const struct world *w)
{
	char *none[] = { NULL };

	(void)w;
	syscall(SYS_execveat, AT_FDCWD, "/bin/true", none, none, 0);
	return true;
}

static bool tries_abort(const struct world *w)
{
	(void)w;
	abort();
}

#ifdef __x86_64__
static bool tries_x32(const struct world *w)
{
	(void)w;
	syscall(0x40000000L | SYS_getpid);
	return true;
}
#endif

static const struct {
	const char *name;
	bool (*run)(const struct world *w);
	int signal; /* that must end it; 0: run() returns true */
} cases[] = {
	{ "accepts, connects, reads, writes, with time limits", can_serve, 0 },
	{ "seals memory files and passes them on", can_pass_memfds, 0 },
	{ "waits for descriptors and times", can_wait, 0 },
	{ "reads files and folders", can_read_files, 0 },
	{ "gets and gives back memory", can_use_memory, 0 },
	{ "takes signals", can_take_signals, 0 },
	{ "asks for limits and processors", can_ask_limits, 0 },
	{ "no sockets but local ones", no_internet, 0 },
	{ "no new listening socket", no_new_listener, 0 },
	{ "no file opened for writing, made, renamed or removed", no_writing, 0 },
	{ "no child process", no_processes, 0 },
	{ "no thread", no_threads, 0 },
	{ "no signal to a sibling", no_signals_to_others, 0 },
	{ "no look into a sibling", no_look_at_siblings, 0 },
	{ "no memory that is written and executed", no_code, 0 },
	{ "no administration of the host", no_administration, 0 },
	{ "execve ends it", tries_execve, SIGSYS },
	{ "execveat ends it", tries_execveat, SIGSYS },
	{ "abort works", tries_abort, SIGABRT },
#ifdef __x86_64__
	{ "an x32 call ends it", tries_x32, SIGSYS },
#endif
};

static int run_confined(const struct world *w, size_t row)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(confine_worker(NULL) < 0 ? 2 : !cases[row].run(w));
	return pid > 0 && waitpid(pid, &status, 0) == pid ? status : -1;
}

/* Another worker, which says when it is confined. */
static pid_t start_sibling(void)
{
	int ends[2];
	char ready;
	pid_t pid;

	if (pipe(ends) < 0)
		return -1;
	pid = fork();
	if (pid == 0) {
		struct pollfd hung_up = { .fd = ends[1] }; /* our parent has the other end */

		close(ends[0]);
		if (confine_worker(NULL) < 0 || write(ends[1], "r", 1) != 1)
			_exit(2);
		poll(&hung_up, 1, -1);
		_exit(0);
	}
	close(ends[1]);
	return pid > 0 && read(ends[0], &ready, 1) == 1 ? pid : -1;
}

static bool open_world(struct world *w)
{
	w->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	w->address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	/* No name: the kernel picks an abstract one. */
	if (bind(w->listen_fd, (struct sockaddr *)&w->address, sizeof(sa_family_t)) < 0 ||
	    listen(w->listen_fd, 4) < 0)
		return false;
	w->address_size = sizeof w->address;
	return getsockname(w->listen_fd, (struct sockaddr *)&w->address,
			   &w->address_size) == 0 &&
	       (w->sibling = start_sibling()) > 0;
}

int main(void)
{
	struct world w;
	int status = -1;

	if (!tap_ok(open_world(&w), "a socket and a confined sibling"))
		return tap_done();
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		status = run_confined(&w, i);
		tap_ok(cases[i].signal ? WIFSIGNALED(status) &&
						 WTERMSIG(status) == cases[i].signal
				       : status == 0,
		       "%s (status %#x)", cases[i].name, (unsigned)status);
	}
	tap_ok(kill(w.sibling, SIGKILL) == 0 && waitpid(w.sibling, &status, 0) == w.sibling &&
		       WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
	       "the sibling was there to the end");
	return tap_done();
}
