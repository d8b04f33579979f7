/* SPDX-License-Identifier: ISC */
/* The scratch folder and the daemon on it. The runs are in runs.c, the census is in
 * census.c.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "common/language.h"
#include "tests/tap.h"

enum extent extent;
struct ground ground;

#define SERVICES_MAX 64
static struct service *services[SERVICES_MAX]; /* those that live */
static unsigned services_made;
static pid_t owner;

unsigned times(unsigned written)
{
	unsigned part = written / 100 > 20 ? written / 100 : 20;

	switch (extent) {
	case EXTENT_FULL:
		return written;
	case EXTENT_GUEST:
		return 1;
	default:
		return part < written ? part : written;
	}
}

void pause_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

bool until(bool (*holds)(void *data), void *data, uint64_t patience_ms)
{
	uint64_t end = clock_ms() + patience_ms;

	for (;;) {
		if (holds(data))
			return true;
		if (clock_ms() >= end)
			return false;
		pause_ms(20);
	}
}

/* ---- the ground ---- */

void give_up(const char *fmt, ...)
{
	va_list ap;

	printf("Bail out! ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	exit(1);
}

void write_file(const char *path, const char *text, mode_t mode)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || io_write_full(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0)
		give_up("%s: %s", path, strerror(errno));
}

static void copy_file(const char *from, const char *to, mode_t mode)
{
	cleanup_close int in = open(from, O_RDONLY | O_CLOEXEC);
	cleanup_close int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char block[65536];
	ssize_t n;

	if (in < 0 || out < 0)
		give_up("copy %s to %s: %s", from, to, strerror(errno));
	while ((n = read(in, block, sizeof block)) > 0)
		if (io_write_full(out, block, (size_t)n) < 0)
			give_up("%s: %s", to, strerror(errno));
	if (n < 0 || fchmod(out, mode) < 0)
		give_up("%s: %s", to, strerror(errno));
}

static void folder(const char *at, const char *name, mode_t mode)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", at, name);
	if (mkdir(path, 0755) < 0 || chmod(path, mode) < 0)
		give_up("%s: %s", path, strerror(errno));
}

/* A file that would run with every capability, were it not for the box. */
static void give_capabilities(const char *path)
{
	const uint32_t data[5] = { 0x02000001, 0xffffffff, 0, 0x1ff, 0 };

	if (setxattr(path, "security.capability", data, sizeof data, 0) < 0)
		tap_note("%s gets no capabilities here: %s", path, strerror(errno));
}

static void make_image(void)
{
	static const char *const folders[] = { "t",   "etc", "usr", "usr/bin",
					       "bin", "dev", "proc" };
	char path[PATH_MAX];
	size_t i;

	if (mkdir(ground.image, 0755) < 0)
		give_up("%s: %s", ground.image, strerror(errno));
	for (i = 0; i < ARRAY_LEN(folders); i++)
		folder(ground.image, folders[i], 0755);
	folder(ground.image, "tmp", 01777);
	folder(ground.image, "t/open", 0777);
	snprintf(path, sizeof path, "%s/t/open/file", ground.image);
	write_file(path, "original\n", 0666);
	snprintf(path, sizeof path, "%s/etc/passwd", ground.image);
	write_file(path, "root:x:0:0:FORBIDDEN-CONTENT:/root:/bin/sh\n", 0644);
	snprintf(path, sizeof path, "%s/t/hostile", ground.image);
	copy_file(ground.hostile, path, 0755);
	snprintf(path, sizeof path, "%s/t/suid", ground.image);
	copy_file(ground.hostile, path, 04755);
	snprintf(path, sizeof path, "%s/t/sgid", ground.image);
	copy_file(ground.hostile, path, 02755);
	snprintf(path, sizeof path, "%s/t/capable", ground.image);
	copy_file(ground.hostile, path, 0755);
	give_capabilities(path);
	snprintf(path, sizeof path, "%s/t/big", ground.image);
	write_file(path, "", 0644);
	if (truncate(path, 320 << 20) < 0)
		give_up("%s: %s", path, strerror(errno));
}

static const struct {
	const char *id, *text;
} languages[] = {
	{ "native", "file = \"main\"; image = \"test\";\n"
		    "run = [ \"/t/hostile\", \"%arguments\" ];\n" },
	{ "upload", "file = \"main\"; image = \"test\";\n"
		    "run = [ \"./%file\", \"%arguments\" ];\n" },
	{ "two", "file = \"main\"; image = \"test\";\n"
		 "build = [ \"/t/hostile\", \"build\", \"%options\" ];\n"
		 "run = [ \"./made\", \"%arguments\" ];\n" },
	{ "missing", "file = \"main\"; image = \"test\"; run = [ \"no-such-program\" ];\n" },
	{ "folder", "file = \"main\"; image = \"test\"; run = [ \"/etc\" ];\n" },
	{ "plain", "file = \"main\"; image = \"test\"; run = [ \"/etc/passwd\" ];\n" },
	{ "sh", "file = \"main.sh\"; image = \"host\"; run = [ \"sh\", \"%file\", "
		"\"%arguments\" ];\n" },
	{ "python3",
	  "file = \"main.py\"; image = \"host\"; run = [ \"python3\", \"%file\" ];\n" },
	{ "c", "file = \"main.c\"; image = \"host\";\n"
	       "build = [ \"gcc\", \"-O1\", \"-o\", \"main\", \"%options\", \"%file\" ];\n"
	       "run = [ \"./main\", \"%arguments\" ];\n" },
	{ "cpp", "file = \"main.cc\"; image = \"host\";\n"
		 "build = [ \"g++\", \"-O1\", \"-o\", \"main\", \"%options\", \"%file\" ];\n"
		 "run = [ \"./main\", \"%arguments\" ];\n" },
};

static void make_languages(void)
{
	struct error err = ERROR_INIT;
	struct language_table *table;
	size_t i;

	if (mkdir(ground.languages, 0755) < 0)
		give_up("%s: %s", ground.languages, strerror(errno));
	for (i = 0; i < ARRAY_LEN(languages); i++) {
		char path[PATH_MAX], text[1024];

		snprintf(path, sizeof path, "%s/%s.lang", ground.languages, languages[i].id);
		snprintf(text, sizeof text, "id = \"%s\"; name = \"%s\";\n%s", languages[i].id,
			 languages[i].id, languages[i].text);
		write_file(path, text, 0644);
	}
	table = language_table_load(ground.languages, true, &err);
	if (!table)
		give_up("languages: %s", err.text);
	memcpy(ground.table_hash, table->hash, sizeof ground.table_hash);
	language_table_free(table);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path); /* what stays shows in the folder that is left */
	return 0;
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void (*restore_host)(void);

static void clean_up(void)
{
	size_t i;

	if (getpid() != owner)
		return;
	if (restore_host)
		restore_host();
	for (i = 0; i < SERVICES_MAX; i++)
		if (services[i]) {
			service_kill_all(services[i]);
			service_forget(services[i]);
		}
	remove_tree(ground.root);
}

/* A thread that waits for the signal to stop: a handler might come in the middle
 * of what cleaning up needs. */
static void *stop_thread(void *data)
{
	int number;

	if (sigwait(data, &number) == 0) {
		clean_up();
		_exit(1);
	}
	return NULL;
}

static sigset_t stop_signals;

static void watch_for_stop(void)
{
	pthread_t thread;

	sigemptyset(&stop_signals);
	sigaddset(&stop_signals, SIGINT);
	sigaddset(&stop_signals, SIGTERM);
	sigaddset(&stop_signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &stop_signals, NULL);
	if (pthread_create(&thread, NULL, stop_thread, &stop_signals) != 0)
		give_up("pthread_create");
	pthread_detach(thread);
}

void signals_as_usual(void)
{
	signal(SIGPIPE, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &stop_signals, NULL);
}

static void find_program(char *path, size_t size, const char *variable, const char *name)
{
	const char *chosen = getenv(variable), *top = getenv("top_builddir");

	if (chosen)
		snprintf(path, size, "%s", chosen);
	else
		snprintf(path, size, "%s/%s", top ? top : ".", name);
}

/* Follows as the kernel does, so that /proc/PID/exe compares equal. */
static void make_absolute(char *path)
{
	char real[PATH_MAX];

	if (realpath(path, real))
		memcpy(path, real, strlen(real) + 1);
}

static void prepare_groups(void);

void ground_make(void)
{
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX];

	if (geteuid() != 0)
		tap_skip_all("needs root");
	find_program(ground.program, sizeof ground.program, "SANDBOXD", "sandpool-sandboxd");
	find_program(ground.faults, sizeof ground.faults, "SANDBOXD_FAULTS",
		     "sandpool-sandboxd-faults");
	find_program(ground.hostile, sizeof ground.hostile, "HOSTILE", "tests/box/hostile");
	if (access(ground.program, X_OK) < 0 || access(ground.hostile, X_OK) < 0)
		give_up("build first: %s and %s", ground.program, ground.hostile);
	make_absolute(ground.program);
	make_absolute(ground.faults);
	snprintf(ground.root, sizeof ground.root, "%.40s/sandpool-test-XXXXXX",
		 tmp ? tmp : "/var/tmp");
	umask(022);
	if (!mkdtemp(ground.root) || chmod(ground.root, 0755) < 0)
		give_up("%s: %s", ground.root, strerror(errno));
	owner = getpid();
	atexit(clean_up);
	watch_for_stop();
	signal(SIGPIPE, SIG_IGN);
	snprintf(ground.image, sizeof ground.image, "%s/image", ground.root);
	snprintf(ground.languages, sizeof ground.languages, "%s/languages", ground.root);
	snprintf(ground.empty, sizeof ground.empty, "%s/images", ground.root);
	snprintf(ground.outside, sizeof ground.outside, "%s/outside", ground.root);
	prepare_groups();
	make_image();
	make_languages();
	if (mkdir(ground.empty, 0755) < 0 || mkdir(ground.outside, 0755) < 0)
		give_up("%s: %s", ground.empty, strerror(errno));
	folder(ground.outside, "inner", 0755);
	snprintf(path, sizeof path, "%s/file", ground.outside);
	write_file(path, "canary\n", 0644);
}

/* ---- a hash over a tree ---- */

static uint64_t hash_value;

static void hash_more(const void *data, size_t size)
{
	const unsigned char *at = data;

	while (size--)
		hash_value = (hash_value ^ *at++) * 0x100000001b3u;
}

static int hash_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const uint64_t facts[] = { st->st_mode,
				   st->st_uid,
				   st->st_gid,
				   (uint64_t)st->st_size,
				   (uint64_t)st->st_mtim.tv_sec,
				   (uint64_t)st->st_mtim.tv_nsec,
				   st->st_nlink,
				   (uint64_t)st->st_ino };
	static char block[65536];

	(void)ftw;
	hash_more(path, strlen(path));
	hash_more(facts, sizeof facts);
	if (type == FTW_F && S_ISREG(st->st_mode) && st->st_size < (64 << 20)) {
		cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOATIME);
		ssize_t n;

		while (fd >= 0 && (n = read(fd, block, sizeof block)) > 0)
			hash_more(block, (size_t)n);
	}
	return 0;
}

uint64_t tree_hash(const char *path)
{
	hash_value = 0xcbf29ce484222325u;
	if (nftw(path, hash_one, 32, FTW_PHYS) < 0)
		return 0;
	return hash_value;
}

/* ---- the service ---- */

/* Does a line of the case's own configuration set this key? */
static bool sets_key(const char *conf, const char *key)
{
	const char *at = conf;
	size_t size = strlen(key);

	while (at && (at = strstr(at, key)) != NULL) {
		if ((at == conf || at[-1] == '\n') && at[size] == ' ')
			return true;
		at += size;
	}
	return false;
}

static void write_conf(const struct service *service, const char *more)
{
	const struct {
		const char *key, *fmt, *text;
		unsigned long long number;
	} lines[] = {
		{ "run-directory", "\"%s\"", service->run, 0 },
		{ "state-directory", "\"%s\"", service->state, 0 },
		{ "language-directory", "\"%s\"", ground.languages, 0 },
		{ "image-directory", "\"%s\"", ground.empty, 0 },
		{ "images", "[ \"test=%s\" ]", ground.image, 0 },
		{ "worker-user", "\"%s\"", "nobody", 0 },
		{ "peers", "[ \"%s\" ]", "root", 0 },
		{ "cgroup-parent", "\"%s\"", service->parent, 0 },
		{ "slots", NULL, NULL, service->slots },
		{ "box-ids", NULL, NULL, service->ids_first },
	};
	char text[4096], value[256];
	size_t used = 0, i;

	for (i = 0; i < ARRAY_LEN(lines); i++) {
		const char *quote = lines[i].fmt;

		if (sets_key(more, lines[i].key))
			continue;
		if (!quote)
			snprintf(value, sizeof value, "%llu", lines[i].number);
		else /* the text stands where the form has its %s */
			snprintf(value, sizeof value, "%.*s%s%s",
				 (int)(strstr(quote, "%s") - quote), quote, lines[i].text,
				 strstr(quote, "%s") + 2);
		used += (size_t)snprintf(text + used, sizeof text - used, "%s = %s;\n",
					 lines[i].key, value);
	}
	snprintf(text + used, sizeof text - used, "%s", more ? more : "");
	write_file(service->conf, text, 0644);
}

static void service_place(struct service *service)
{
	unsigned n = services_made++;

	/* socket paths are short: 108 bytes */
	snprintf(service->root, sizeof service->root, "%s/s%u", ground.root, n);
	snprintf(service->run, sizeof service->run, "%s/run", service->root);
	snprintf(service->state, sizeof service->state, "%s/state", service->root);
	snprintf(service->conf, sizeof service->conf, "%s/conf", service->root);
	snprintf(service->log, sizeof service->log, "%s/log", service->root);
	snprintf(service->parent, sizeof service->parent, "sandpool-test-%d-%u", getpid(), n);
	/* far from the preset, and apart from those of a test that runs beside us; the
	 * first service has its ids alone, because it lives as long as we do */
	service->ids_first =
		0x71000000u + ((uint64_t)(getpid() % 4096) << 12) + (n ? 1 + n % 31 : 0) * 128;
	if (mkdir(service->root, 0755) < 0)
		give_up("%s: %s", service->root, strerror(errno));
}

/* On pure v2 a group that holds processes cannot be divided. The service manager
 * gives each service a group of its own; so do we: below ours where that was
 * delegated to us, else at the top. */
static char groups_base[PATH_MAX]; /* empty: not pure v2 */

static void prepare_groups(void)
{
	static const char top[] = "/sys/fs/cgroup", wanted[] = "+memory +pids +cpu";
	char own[PATH_MAX / 2], path[PATH_MAX], text[PATH_MAX / 2];

	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0)
		return;
	snprintf(groups_base, sizeof groups_base, "%s", top);
	snprintf(path, sizeof path, "%s/cgroup.subtree_control", top);
	io_write_text_at(AT_FDCWD, path, wanted);
	if (io_read_text_at(AT_FDCWD, "/proc/self/cgroup", text, sizeof text) <= 0 ||
	    sscanf(text, "0::%2000s", own) != 1 || !strcmp(own, "/"))
		return;
	snprintf(path, sizeof path, "%s%s/driver", top, own);
	if (mkdir(path, 0755) < 0)
		return;
	strcat(path, "/cgroup.procs");
	io_write_text_at(AT_FDCWD, path, "0");
	snprintf(path, sizeof path, "%s%s/cgroup.subtree_control", top, own);
	if (io_write_text_at(AT_FDCWD, path, wanted) == 0)
		snprintf(groups_base, sizeof groups_base, "%s%s", top, own);
}

static void enter_own_group(const char *name)
{
	char path[PATH_MAX + 100];

	if (!groups_base[0])
		return;
	snprintf(path, sizeof path, "%s/%s-service", groups_base, name);
	mkdir(path, 0755);
	strcat(path, "/cgroup.procs");
	if (io_write_text_at(AT_FDCWD, path, "0") == 0)
		return;
	/* divided by a daemon that was killed: the next one starts where that one lived */
	snprintf(path, sizeof path, "%s/%s-service/supervisor/cgroup.procs", groups_base, name);
	io_write_text_at(AT_FDCWD, path, "0");
}

static void exec_service(const struct service *service, const struct service_options *options,
			 const char *program)
{
	const char *argv[64];
	size_t count = 0, i;
	int fd = options->log_fd;

	for (i = 0; options->under && options->under[i] && count < 56; i++)
		argv[count++] = options->under[i];
	argv[count++] = program;
	argv[count++] = "-c";
	argv[count++] = service->conf;
	argv[count] = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signals_as_usual();
	if (fd <= 0)
		fd = open(service->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	dup2(fd, 1);
	dup2(fd, 2);
	close(0);
	open("/dev/null", O_RDONLY);
	close_range(3, ~0u, 0);
	enter_own_group(options->group_of ? options->group_of : service->parent);
	for (i = 0; options->environment && options->environment[i]; i++)
		putenv((char *)(uintptr_t)options->environment[i]);
	if (options->before_exec)
		options->before_exec(options->data);
	execvp(argv[0], (char **)(uintptr_t)argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

bool service_spawn(const struct service_options *options, struct service *ret_service)
{
	struct service service = { 0 };
	const char *program = options->program ? options->program : ground.program;
	size_t i;

	if (options->same_place)
		service = *ret_service;
	else
		service_place(&service);
	service.slots = options->slots ? options->slots : TEST_SLOTS;
	service.groups_count = 0;
	write_conf(&service, options->conf);
	fflush(stdout);
	service.pid = fork();
	if (service.pid == 0)
		exec_service(&service, options, program);
	*ret_service = service;
	for (i = 0; i < SERVICES_MAX && service.pid > 0; i++)
		if (!services[i] || services[i] == ret_service) {
			services[i] = ret_service;
			return true;
		}
	return false;
}

static bool service_ended(struct service *service)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)service->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == service->pid;
}

static bool prints_one(const struct service *service, char *text, size_t size)
{
	struct request request = { .arguments = "print",
				   .limits = { .memory_bytes = 16 * MIB },
				   .wait_ms = 1000 };
	struct outcome outcome;
	bool good;

	box_run(service, &request, &outcome);
	good = outcome.status == STATUS_SUCCESS && !strcmp(outcome.out, "1\n");
	if (!good)
		snprintf(text, size, "%s, %s, signal %d, exit code %d, exec %d, \"%.40s\": %s",
			 end_name(outcome.end), job_status_name(outcome.status),
			 outcome.result.verdict.signal, outcome.result.verdict.exit_code,
			 outcome.result.verdict.exec_errno, outcome.out, outcome.err.text);
	outcome_done(&outcome);
	return good;
}

bool service_ready(struct service *service, char *text, size_t size)
{
	uint64_t end = clock_ms() + 2 * PATIENCE_MS;

	snprintf(text, size, "never asked");
	while (clock_ms() < end) {
		if (service_ended(service)) {
			snprintf(text, size, "it ended");
			return false;
		}
		if (prints_one(service, text, size))
			return true;
		pause_ms(20);
	}
	return false;
}

bool service_start(const struct service_options *options, struct service *ret_service,
		   char *text, size_t size)
{
	if (!service_spawn(options, ret_service)) {
		snprintf(text, size, "fork: %s", strerror(errno));
		return false;
	}
	if (service_ready(ret_service, text, size))
		return true;
	service_log_tail(ret_service);
	return false;
}

static bool is_reaped(void *data)
{
	struct service *service = data;

	return service_ended(service);
}

static void unlist(const struct service *service)
{
	size_t i;

	for (i = 0; i < SERVICES_MAX; i++)
		if (services[i] == service)
			services[i] = NULL;
}

int service_wait(struct service *service)
{
	int status;

	if (service->pid <= 0 || !until(is_reaped, service, PATIENCE_MS))
		return -1;
	if (waitpid(service->pid, &status, 0) != service->pid)
		return -1;
	service->pid = 0;
	return status;
}

int service_stop(struct service *service)
{
	kill(service_master(service), SIGTERM);
	return service_wait(service);
}

void service_kill(struct service *service)
{
	kill(service_master(service), SIGKILL);
	service_wait(service);
}

static int remove_group(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (type == FTW_DP || type == FTW_D)
		rmdir(path);
	return 0;
}

void service_forget(struct service *service)
{
	char path[PATH_MAX + 100];
	static struct census census;
	unsigned tries;
	size_t i;

	service->groups_count = 0;
	census_take(service, &census); /* finds the groups */
	for (i = 0; i < service->groups_count; i++)
		for (tries = 0; tries < 100 && access(service->groups[i], F_OK) == 0; tries++) {
			if (tries)
				pause_ms(50); /* what was just killed is still leaving */
			nftw(service->groups[i], remove_group, 32, FTW_DEPTH | FTW_PHYS);
		}
	snprintf(path, sizeof path, "%s/%s-service", groups_base, service->parent);
	if (groups_base[0])
		nftw(path, remove_group, 32, FTW_DEPTH | FTW_PHYS);
	remove_tree(service->root);
	unlist(service);
}

bool service_said(const struct service *service, const char *word)
{
	cleanup_close int fd = open(service->log, O_RDONLY | O_CLOEXEC);
	static char text[1 << 20];
	ssize_t n = fd < 0 ? -1 : io_read_full(fd, text, sizeof text - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	return strcasestr(text, word) != NULL;
}

void service_log_tail(const struct service *service)
{
	FILE *file = fopen(service->log, "re");
	char lines[12][300];
	size_t count = 0, i;

	if (!file)
		return;
	while (fgets(lines[count % ARRAY_LEN(lines)], sizeof lines[0], file))
		count++;
	fclose(file);
	i = count > ARRAY_LEN(lines) ? count - ARRAY_LEN(lines) : 0;
	for (; i < count; i++) {
		char *line = lines[i % ARRAY_LEN(lines)];

		line[strcspn(line, "\n")] = '\0';
		tap_note("log: %s", line);
	}
}
