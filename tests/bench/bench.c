/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "tests/bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
noreturn void die(const char *fmt, ...)
{
	va_list ap;

	fputs("bench: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* ---- samples ---- */

void samples_add(struct samples *samples, double value)
{
	if (samples->count == samples->room) {
		samples->room = samples->room ? 2 * samples->room : 1024;
		samples->value =
		        realloc(samples->value, samples->room * sizeof *samples->value);
		if (!samples->value)
			die("out of memory");
	}
	samples->value[samples->count++] = value;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double samples_at(struct samples *samples, double quantile)
{
	size_t at;

	if (!samples->count)
		die("no samples");
	qsort(samples->value, samples->count, sizeof *samples->value, by_value);
	at = (size_t)(quantile * (double)samples->count);
	return samples->value[at < samples->count ? at : samples->count - 1];
}

void samples_clear(struct samples *samples)
{
	samples->count = 0;
}

double median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, by_value);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

void pause_us(uint64_t us)
{
	usleep((useconds_t)us);
}

/* ---- the yardstick ---- */

static void spawn_once(char *const *argv)
{
	char data[4096];
	int ends[2];
	siginfo_t info;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		_exit(1);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	while (read(ends[0], data, sizeof data) > 0)
		;
	close(ends[0]);
	if (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 || info.si_status != 0)
		_exit(1);
}

static double small_enough(void)
{
	char text[256];
	long pages = 0;

	if (io_read_text_at(AT_FDCWD, "/proc/self/statm", text, sizeof text) < 0 ||
	    sscanf(text, "%*d %ld", &pages) != 1)
		return 1e9;
	return (double)pages * 4;
}

struct spawner spawner_start(char *const *argv, bool hide_cgroup2)
{
	struct spawner spawner;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
	spawner.pid = fork();
	if (spawner.pid == 0) {
		char go;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		if (hide_cgroup2 && (unshare(CLONE_NEWNS) < 0 ||
		                     mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
			_exit(1);
		/* a tool that refuses a hybrid host sees a v1 one */
		if (hide_cgroup2)
			umount2("/sys/fs/cgroup/unified", MNT_DETACH);
		while (recv(pair[1], &go, 1, 0) == 1) {
			uint64_t start = clock_us();
			double took;

			spawn_once(argv);
			took = (double)(clock_us() - start);
			if (send(pair[1], &took, sizeof took, 0) != sizeof took)
				break;
		}
		_exit(0);
	}
	if (small_enough() > 2048)
		die("the yardstick's parent has %.0f KiB", small_enough());
	close(pair[1]);
	spawner.sock_fd = pair[0];
	return spawner;
}

double spawner_time(struct spawner *spawner)
{
	double took;

	if (send(spawner->sock_fd, "g", 1, MSG_NOSIGNAL) != 1 ||
	    recv(spawner->sock_fd, &took, sizeof took, 0) != sizeof took)
		die("a spawner died: its program is missing or fails");
	return took;
}

void spawner_stop(struct spawner *spawner)
{
	/* later spawners have inherited our end: its close would tell nothing */
	kill(spawner->pid, SIGKILL);
	close(spawner->sock_fd);
	waitpid(spawner->pid, NULL, 0);
}

double spawner_rate(char *const *argv, unsigned processes, double seconds)
{
	volatile uint64_t *count =
	        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t end = clock_us() + (uint64_t)(seconds * 1e6), total = 0;
	unsigned i;

	for (i = 0; i < processes; i++)
		if (fork() == 0) {
			while (clock_us() < end) {
				spawn_once(argv);
				count[i]++;
			}
			_exit(0);
		}
	for (i = 0; i < processes; i++)
		wait(NULL);
	for (i = 0; i < processes; i++)
		total += count[i];
	munmap((void *)(uintptr_t)count, 4096);
	return (double)total / seconds;
}

/* ---- a daemon ---- */

const char *daemon_images;

static void write_settings(const struct daemon *daemon, const char *languages, unsigned number,
                           const char *more)
{
	char path[200];
	FILE *file;

	snprintf(path, sizeof path, "%s/conf", daemon->directory);
	file = fopen(path, "w");
	if (!file)
		die("%s", path);
	/* the pool's sockets come here too */
	snprintf(path, sizeof path, "%s/run", daemon->directory);
	if (mkdir(path, 0755) < 0 || chown(path, 0, NOBODY) < 0 || chmod(path, 01775) < 0)
		die("%s", path);
	fprintf(file,
	        "run-directory = \"%s/run\";\nstate-directory = \"%s/state\";\n"
	        "language-directory = \"%s\";\nimage-directory = \"%s%s\";\n"
	        "worker-user = \"65534\";\nsocket-group = \"65534\";\ncgroup-parent = "
	        "\"sandpool-bench-%d-%u\";\n"
	        "box-ids = %u;\n%s\n",
	        daemon->directory, daemon->directory, languages,
	        daemon_images ? daemon_images : daemon->directory,
	        daemon_images ? "" : "/images", (int)getpid(), number, daemon->box_ids, more);
	fclose(file);
}

/* Ready is when every keeper holds its box: a run's answer says so only of one. */
static void await_ready(struct daemon *daemon)
{
	char run[160];
	struct error err = ERROR_INIT;
	int tries;

	snprintf(run, sizeof run, "%s/run", daemon->directory);
	for (tries = 0; tries < 400; tries++) {
		if (launch_query(run, &daemon->info, &err) == 0) {
			pause_us(300000 + 10000 * (uint64_t)daemon->info.slots);
			return;
		}
		pause_us(50000);
	}
	die("%s: %s", daemon->directory, err.text);
}

/* Each leads a group of its own: some leave children behind. */
#define PROCESSES_MAX 64
static pid_t processes[PROCESSES_MAX], processes_owner;

static void processes_end(void)
{
	size_t i;

	for (i = 0; processes_owner == getpid() && i < PROCESSES_MAX; i++)
		if (processes[i])
			process_stop(processes[i]);
}

static void processes_replace(pid_t old, pid_t with)
{
	size_t i;

	for (i = 0; i < PROCESSES_MAX; i++)
		if (processes[i] == old) {
			processes[i] = with;
			return;
		}
	die("more than %d processes", PROCESSES_MAX);
}

pid_t process_start(char *const *argv, uid_t user, const char *log)
{
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

		if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0 || chdir("/") < 0 ||
		    setpgid(0, 0) < 0)
			_exit(126);
		if (user && (setgroups(0, NULL) < 0 || setgid(user) < 0 || setuid(user) < 0))
			_exit(126);
		/* behind the change of user, which clears it */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execv(argv[0], argv);
		_exit(127);
	}
	if (pid < 0)
		die("fork: %s", strerror(errno));
	setpgid(pid, pid);
	if (!processes_owner) {
		processes_owner = getpid();
		atexit(processes_end);
	}
	processes_replace(0, pid);
	return pid;
}

void process_stop(pid_t pid)
{
	uint64_t end = clock_ms() + 15000;

	if (pid <= 0)
		return;
	kill(pid, SIGTERM);
	while (waitpid(pid, NULL, WNOHANG) == 0) {
		if (clock_ms() > end)
			kill(pid, SIGKILL);
		pause_us(10000);
	}
	kill(-pid, SIGKILL);
	processes_replace(pid, 0);
}

void daemon_start(struct daemon *daemon, const char *name, const char *binary,
                  const char *languages, unsigned number, const char *more_settings)
{
	struct error err = ERROR_INIT;
	char path[200], log[200];

	snprintf(daemon->directory, sizeof daemon->directory, "/var/tmp/sandpool-bench-%d-%s",
	         (int)getpid(), name);
	if (mkdir(daemon->directory, 0755) < 0)
		die("%s", daemon->directory);
	daemon->box_ids = 0x71000000u + number * 0x1000u;
	write_settings(daemon, languages, number, more_settings);
	daemon->table = language_table_load(languages, true, &err);
	if (!daemon->table)
		die("%s", err.text);
	snprintf(path, sizeof path, "%s/conf", daemon->directory);
	snprintf(log, sizeof log, "%s/log", daemon->directory);
	daemon->pid = process_start(
	        (char *const[]){(char *)(uintptr_t)binary, (char[]){"-c"}, path, NULL}, 0, log);
	await_ready(daemon);
}

void remove_tree(const char *path)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--one-file-system", path, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

void daemon_stop(struct daemon *daemon)
{
	process_stop(daemon->pid);
	language_table_free(daemon->table);
	remove_tree(daemon->directory);
}

/* ---- one run through the socket ---- */

struct limits ask_limits(bool other)
{
	struct limits limits = limits_policy_default.run;

	if (other) {
		limits.memory_bytes = 128 << 20;
		limits.processes = 32;
		limits.cpu_percent = 50;
		limits.disk_bytes = 32 << 20;
	}
	return limits;
}

enum launch_end ask(const struct ask *a, struct launch_result *result, struct error *err)
{
	const struct language *language = language_find(a->daemon->table, a->language);
	size_t index = language_index(a->daemon->table, language);
	uint8_t image = a->daemon->info.language_image[index];
	struct job_file file = {{language->file, strlen(language->file)},
	                        {ASK_CODE, sizeof ASK_CODE - 1}};
	struct bytes word = {a->argument, a->argument ? strlen(a->argument) : 0};
	struct words words = {&word, a->argument ? 1 : 0};
	struct launch launch = LAUNCH_INIT;
	struct launch_stage stage = {
	        .id = "bbbbbbbbbbbbbbbb",
	        .language = language->id,
	        .table_hash = a->daemon->table->hash,
	        .stage = STAGE_RUN,
	        .limits = a->limits,
	        .reserve_bytes = a->limits.memory_bytes,
	        .files = &file,
	        .files_count = 1,
	        .arguments = &words,
	        .wait_us = 20000000,
	        .client_fd = -1,
	        .on_output = a->on_output,
	        .data = a->data,
	};
	char run[160];
	enum launch_end end;

	if (image == WIRE_IMAGE_NONE)
		die("language %s has no image", a->language);
	snprintf(run, sizeof run, "%s/run", a->daemon->directory);
	end = launch_run(&launch, run, a->daemon->info.images[image].name, &stage, result, err);
	launch_close(&launch);
	return end;
}

double ask_true(const struct daemon *daemon, const char *language, bool other)
{
	struct ask a = {.daemon = daemon, .language = language, .limits = ask_limits(other)};
	struct error err = ERROR_INIT;
	struct launch_result result;
	uint64_t start = clock_us();
	enum launch_end end = ask(&a, &result, &err);
	double took = (double)(clock_us() - start);

	if (end != LAUNCH_DONE || !result.verdict.exited || result.verdict.exit_code != 0)
		die("a run of true failed: end %d %s cause %d exec %d", end, err.text,
		    result.verdict.cause, result.verdict.exec_errno);
	launch_result_free(&result);
	launch_prepare(); /* as a worker does between two requests */
	return took;
}

/* ---- the machine ---- */

double busy_ms(void)
{
	char text[16384];
	unsigned long long user, nice, system, irq, softirq;
	int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, "cpu %llu %llu %llu %*u %*u %llu %llu", &user, &nice, &system, &irq,
	           &softirq) != 5)
		die("/proc/stat");
	return (double)(user + nice + system + irq + softirq) * 1000.0 /
	       (double)sysconf(_SC_CLK_TCK);
}

double mem_available_kib(void)
{
	char text[4096], *line;
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "MemAvailable:");
	return line ? strtod(line + 13, NULL) : 0;
}

/* ---- the command line ---- */

static noreturn void usage(const char *program, const struct option_row *rows, size_t count)
{
	char text[600] = "";
	size_t used = 0, i;

	for (i = 0; i < count && used < sizeof text; i++)
		/* a number that is needed has a preset */
		used += (size_t)snprintf(text + used, sizeof text - used,
		                         rows[i].needed && rows[i].text ? " -%c %s" : " [-%c %s]",
		                         rows[i].letter, rows[i].value);
	die("usage: %s%s", program, text);
}

static const struct option_row *option_find(const struct option_row *rows, size_t count, int letter)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (rows[i].letter == letter)
			return &rows[i];
	return NULL;
}

void options_read(int argc, char **argv, const struct option_row *rows, size_t count)
{
	char letters[64] = "";
	size_t i;
	int option;

	for (i = 0; i < count; i++)
		snprintf(letters + 2 * i, sizeof letters - 2 * i, "%c:", rows[i].letter);
	while ((option = getopt(argc, argv, letters)) != -1) {
		const struct option_row *row = option_find(rows, count, option);

		if (!row)
			usage(program_invocation_short_name, rows, count);
		else if (row->number)
			*row->number = (unsigned)atoi(optarg);
		else
			*row->text = optarg;
	}
	for (i = 0; i < count; i++)
		if (rows[i].needed && (rows[i].number ? !*rows[i].number : !*rows[i].text))
			usage(program_invocation_short_name, rows, count);
}

bool part_is_wanted(const char *wanted, const char *name)
{
	return !strcmp(wanted, "all") || !strcmp(wanted, name);
}

void parts_check(const char *wanted, const struct part *parts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (part_is_wanted(wanted, parts[i].name))
			return;
	die("no part %s", wanted);
}

void parts_run(const char *wanted, const struct part *parts, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (part_is_wanted(wanted, parts[i].name))
			parts[i].run();
}

/* ---- report ---- */

static FILE *json;
static pid_t json_owner;
static bool first = true;

static void next_key(const char *key)
{
	if (json)
		fprintf(json, "%s\n  \"%s\": ", first ? "" : ",", key);
	first = false;
}

void report(const char *key, double value, const char *bound)
{
	printf("%-34s %12.3f   %s\n", key, value, bound ? bound : "");
	fflush(stdout);
	next_key(key);
	if (json)
		fprintf(json, "%.4f", value);
	if (json)
		fflush(json); /* a child must not write it again */
}

void report_pair(const char *key, double bare_ms, double box_ms)
{
	printf("%-34s %12.3f %12.3f %8.3f\n", key, bare_ms, box_ms, box_ms / bare_ms);
	fflush(stdout);
	next_key(key);
	if (!json)
		return;
	fprintf(json, "{ \"bare_ms\": %.4f, \"box_ms\": %.4f, \"ratio\": %.4f }", bare_ms,
	        box_ms, box_ms / bare_ms);
	fflush(json);
}

void report_text(const char *key, const char *value)
{
	printf("%-34s %s\n", key, value);
	next_key(key);
	if (json)
		fprintf(json, "\"%s\"", value);
	if (json)
		fflush(json);
}

void report_open(const char *json_path)
{
	struct utsname name;
	char load[64] = "";

	if (json_path) {
		json = fopen(json_path, "we");
		if (!json)
			die("%s", json_path);
		fputs("{", json);
		fflush(json);
		/* what was measured is kept, whatever comes */
		json_owner = getpid();
		atexit(report_close);
	}
	uname(&name);
	report_text("kernel", name.release);
	if (io_read_text_at(AT_FDCWD, "/proc/loadavg", load, sizeof load) > 0)
		load[strcspn(load, "\n")] = '\0';
	report_text("load_at_start", load);
	/* others' programs make all of it slower, and what is in groups most */
	if (strtod(load, NULL) > 0.5)
		fputs("bench: this machine is not idle: these figures are not to be trusted\n",
		      stderr);
}

void report_close(void)
{
	if (!json || json_owner != getpid())
		return;
	fputs("\n}\n", json);
	fclose(json);
	json = NULL;
}

/* What was measured is kept, what was started ends; nothing here may wait. */
static void on_signal(int signo)
{
	size_t i;

	if (json && json_owner == getpid() && write(fileno(json), "\n}\n", 3) < 0)
		_exit(127);
	for (i = 0; processes_owner == getpid() && i < PROCESSES_MAX; i++)
		if (processes[i])
			kill(processes[i], SIGTERM);
	_exit(128 + signo);
}

void catch_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigfillset(&action.sa_mask); /* once is enough */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}
