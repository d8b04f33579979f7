/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "tests/wire/harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "fcgi/keys.h"
#include "tests/tap.h"

char folder[64], run_sock[128], api_sock[128];
pid_t pool_pid;
static pid_t fake_pid;

/* What went before a check, for who has to find out why it failed. */
static struct {
	int status;
	char answer[400]; /* how the last one begins */
	char trouble[1000];
} seen;

/* ---- files ---- */

void make_path(char *path, size_t room, const char *name)
{
	snprintf(path, room, "%s/%s", folder, name);
}

void write_text(const char *name, const char *fmt, ...)
{
	char path[256], temporary[300];
	va_list ap;
	FILE *file;

	make_path(path, sizeof path, name);
	snprintf(temporary, sizeof temporary, "%s.new", path);
	file = fopen(temporary, "we");
	if (!file)
		abort();
	va_start(ap, fmt);
	vfprintf(file, fmt, ap);
	va_end(ap);
	if (fchmod(fileno(file), 0644) < 0 || fclose(file) != 0 || rename(temporary, path) < 0)
		abort();
}

/* The whole of a file, to be freed. */
static char *read_text(const char *name)
{
	char path[256];
	int fd;
	char *text = calloc(1, 1 << 20);

	make_path(path, sizeof path, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!text || (fd >= 0 && io_read_full(fd, text, (1 << 20) - 1) < 0))
		abort();
	close_fd(&fd);
	return text;
}

void trouble(const char *fmt, ...)
{
	size_t size = strlen(seen.trouble);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(seen.trouble + size, sizeof seen.trouble - size, fmt, ap);
	va_end(ap);
}

/* The last lines of a file, as notes. */
static void note_tail(const char *name, size_t lines)
{
	cleanup_free char *text = read_text(name);
	char *line = text + strlen(text), *rest = NULL;

	while (line > text && lines > 0)
		if (*--line == '\n' && line[1])
			lines--;
	for (line = strtok_r(line, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		tap_note("%s: %.300s", name, line);
}

static void tell_seen(void)
{
	char *line, *rest = NULL;

	for (line = strtok_r(seen.trouble, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		tap_note("%s", line);
	for (line = seen.answer; *line; line++)
		if (*line == '\r' || *line == '\n')
			*line = ' ';
	tap_note("the last answer: %d: %s", seen.status, seen.answer);
	note_tail("run/events", 8);
	note_tail("log", 12);
}

/* One row; of one that fails all that is known. */
bool check(bool good, const char *fmt, ...)
{
	char title[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(title, sizeof title, fmt, ap);
	va_end(ap);
	if (!tap_ok(good, "%s", title))
		tell_seen();
	seen.trouble[0] = '\0';
	return good;
}

unsigned count_in(const char *name, const char *what)
{
	cleanup_free char *text = read_text(name);
	const char *p = text;
	unsigned count = 0;

	while ((p = strstr(p, what)) != NULL) {
		count++;
		p += strlen(what);
	}
	return count;
}

/* Waits until it is there so many times; a test then says what it found. */
bool wait_for(const char *name, const char *what, unsigned times)
{
	int tries;

	for (tries = 0; tries < PATIENCE_MS / 20; tries++) {
		if (count_in(name, what) >= times)
			return true;
		usleep(20000);
	}
	trouble("%s has no %u times: %s\n", name, times, what);
	return false;
}

unsigned taken(void)
{
	return count_in("run/events", "taken\n");
}

/* ---- processes ---- */

pid_t start(char *const argv[])
{
	pid_t pid = fork();
	char path[256];
	int fd;

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	make_path(path, sizeof path, "log");
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
	dup2(fd, STDERR_FILENO);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	execv(argv[0], argv);
	_exit(127);
}

const char *built(const char *name)
{
	static char path[2][512];
	static int turn;
	const char *top = getenv("top_builddir");

	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s", top ? top : ".", name);
	return path[turn];
}

/* The exit code; 1000 and the signal when it was killed; -1 when it did not end. */
int wait_end(pid_t pid, int timeout_ms)
{
	int status, waited;

	for (waited = 0; waited <= timeout_ms; waited += 20) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
		usleep(20000);
	}
	return -1;
}

/* Whether the process is gone, or goes. */
bool goes(pid_t pid)
{
	int tries;

	for (tries = 0; tries < PATIENCE_MS / 20 && kill(pid, 0) == 0; tries++)
		usleep(20000);
	return kill(pid, 0) < 0;
}

void start_fake(const char *slots)
{
	char program[512], run[128], languages[128], count[8], events[160];
	char *argv[] = { program, run, languages, count, NULL };

	snprintf(program, sizeof program, "%s", built("tests/wire/fake_sandboxd"));
	make_path(run, sizeof run, "run");
	make_path(languages, sizeof languages, "languages");
	snprintf(count, sizeof count, "%s", slots);
	/* of the one before: a socket that is there says nothing, for nobody may listen yet */
	snprintf(events, sizeof events, "%s/events", run);
	unlink(events);
	fake_pid = start(argv);
	wait_for("run/events", "ready\n", 1);
}

void stop_fake(void)
{
	kill(fake_pid, SIGKILL);
	wait_end(fake_pid, PATIENCE_MS);
}

pid_t begin_pool(void)
{
	char program[512], conf[128];
	char option[] = "-c";
	char *argv[] = { program, option, conf, NULL };

	snprintf(program, sizeof program, "%s", built("sandpool-fcgi"));
	make_path(conf, sizeof conf, "sandpool.conf");
	return start(argv);
}

bool start_pool(void)
{
	unsigned before = count_in("log", "notice: ready");

	pool_pid = begin_pool();
	return wait_for("log", "notice: ready", before + 1);
}

int stop_pool(int signo)
{
	int code;

	kill(pool_pid, signo);
	code = wait_end(pool_pid, PATIENCE_MS);
	if (code < 0) {
		kill(pool_pid, SIGKILL);
		wait_end(pool_pid, PATIENCE_MS);
	}
	return code;
}

/* The processes of the pool that have that name; how many. */
size_t find_workers(const char *name, pid_t *pids, size_t room)
{
	char path[512], comm[32];
	struct dirent *entry;
	DIR *dir = opendir("/proc");
	size_t count = 0;

	while (dir && count < room && (entry = readdir(dir)) != NULL) {
		pid_t parent = 0;
		FILE *file;

		snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
		file = atoi(entry->d_name) > 0 ? fopen(path, "re") : NULL;
		if (!file)
			continue;
		if (fscanf(file, "%*d (%31[^)]) %*c %d", comm, &parent) == 2 &&
		    parent == pool_pid && !strcmp(comm, name))
			pids[count++] = (pid_t)atoi(entry->d_name);
		fclose(file);
	}
	if (dir)
		closedir(dir);
	return count;
}

static pid_t find_worker(const char *name)
{
	pid_t pid;

	return find_workers(name, &pid, 1) ? pid : 0;
}

/* It gives itself that name a moment after it was started. */
pid_t await_worker(const char *name)
{
	pid_t pid = 0;
	int tries;

	for (tries = 0; tries < PATIENCE_MS / 20 && !pid; tries++) {
		pid = find_worker(name);
		if (!pid)
			usleep(20000);
	}
	return pid;
}

static const char conf_text[] = "run-directory = \"%s/run\";\n"
				"state-directory = \"%s\";\n"
				"language-directory = \"%s/languages\";\n"
				"image-directory = \"%s\";\n"
				"worker-user = \"65534\";\n"
				"socket-group = \"%u\";\n"
				"slots = 2;\n"
				"queue = %d;\n"
				"queue-max = \"%s\";\n"
				"api-workers = 2;\n"
				"stall = \"1s\";\n"
				"heartbeat = \"300ms\";\n"
				"drain = \"%s\";\n"
				"worker-requests = %d;\n"
				"keys-file = \"%s/keys\";\n"
				"allowed-origins = [ \"https://friend.example\" ];\n";

void write_conf(const struct conf *conf)
{
	unsigned group = geteuid() == 0 ? 65534 : getegid();

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	write_text("sandpool.conf", conf_text, folder, folder, folder, folder, group,
		   conf->queue ? conf->queue : 2, conf->queue_max ? conf->queue_max : "60s",
		   conf->drain ? conf->drain : "300s",
		   conf->worker_requests ? conf->worker_requests : 10000, folder);
#pragma GCC diagnostic pop
}

static void write_languages(void)
{
	write_text("languages/t.lang",
		   "id = \"t\"; name = \"Test\"; file = \"main.t\"; aliases = [ \"tee\" ];\n"
		   "version = [ \"t\" ]; run = [ \"t\" ];\n"
		   "example = { code = \"echo good\\n\"; output = \"good\\n\"; };\n");
	write_text("languages/b.lang", "id = \"b\"; name = \"Built\"; file = \"main.b\";\n"
				       "version = [ \"b\" ]; build = [ \"b\" ]; run = [ \"b\" ];\n");
	write_text("languages/k.lang", "id = \"k\"; name = \"Class\"; file = \"Main.k\";\n"
				       "main_from = \"class\"; run = [ \"k\" ];\n");
	write_text("languages/d.lang", "id = \"d\"; name = \"Denied\"; file = \"main.d\";\n"
				       "run = [ \"d\" ]; deny = [ \"\\\\bforbidden\\\\s*\\\\(\" ];\n");
	write_text("languages/gone.lang", "id = \"gone\"; name = \"Gone\"; file = \"main.g\";\n"
					  "image = \"absent\"; run = [ \"g\" ];\n");
}

void hex_of(const char *key, char *text)
{
	uint8_t hash[KEYS_HASH_BYTES];
	size_t i;

	key_hash(key, hash);
	for (i = 0; i < sizeof hash; i++)
		sprintf(text + 2 * i, "%02x", hash[i]);
}

void write_keys(const char *more)
{
	char one[65], two[65], three[65];

	hex_of("all-of-it", one);
	hex_of("only-languages", two);
	hex_of("small", three);
	write_text("keys", "# name:hash:paths:limits:concurrency\nall:%s:::\n"
			   "some:%s:/api/languages::\n"
			   "small:%s::memory=64MiB,wall=2s:1\n%s",
		   one, two, three, more);
}

void set_up(void)
{
	strcpy(folder, "/tmp/sandpool-test-XXXXXX");
	if (!mkdtemp(folder) || chmod(folder, 0755) < 0)
		abort();
	snprintf(run_sock, sizeof run_sock, "%s/run/run.sock", folder);
	snprintf(api_sock, sizeof api_sock, "%s/run/api.sock", folder);
	{
		char path[128];

		make_path(path, sizeof path, "run");
		if (mkdir(path, 0777) < 0 || chmod(path, 0777) < 0)
			abort();
		make_path(path, sizeof path, "languages");
		if (mkdir(path, 0755) < 0)
			abort();
	}
	write_languages();
	write_keys("");
	write_conf(&(struct conf){ 0 });
}

static void tear_down(void)
{
	char command[128];

	stop_fake();
	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	if (getenv("SANDPOOL_KEEP"))
		tap_note("kept: %s", folder);
	else if (system(command) != 0)
		tap_note("%s is left", folder);
}

void restart_pool(const struct conf *conf)
{
	stop_pool(SIGTERM);
	write_conf(conf);
	start_pool();
}

/* ---- requests ---- */

int send_ask(const char *socket_path, const struct ask *ask)
{
	char length[32];
	struct fcgi_param params[16] = {
		{ "REQUEST_METHOD", ask->method ? ask->method : "POST" },
		{ "DOCUMENT_URI", ask->path ? ask->path : "/run" },
		{ "SCRIPT_NAME", "" },
		{ "CONTENT_TYPE", ask->type ? ask->type : JSON },
		{ "CONTENT_LENGTH", length },
		{ "HTTP_ACCEPT", ask->accept ? ask->accept : "" },
		{ "REMOTE_ADDR", "127.0.0.1" },
	};
	size_t count = 7, i;
	const char *body = ask->body ? ask->body : "";
	int fd = fcgi_connect(socket_path);

	snprintf(length, sizeof length, "%zu", strlen(body));
	for (i = 0; i < ARRAY_LEN(ask->more) && ask->more[i].name; i++)
		params[count++] = ask->more[i];
	/* of two of a name libfcgi finds the first */
	for (i = 7; i < count; i++)
		if (!strcmp(params[i].name, "CONTENT_LENGTH"))
			snprintf(length, sizeof length, "%s", params[i].value);
	if (fd >= 0)
		fcgi_send_request(fd, params, count, body, strlen(body));
	return fd;
}

/* To the end, or until it has that text. */
void read_answer(int fd, struct fcgi_answer *answer, const char *until, int timeout_ms)
{
	fcgi_read(fd, answer, until, timeout_ms);
	seen.status = answer->status;
	snprintf(seen.answer, sizeof seen.answer, "%s", answer->text ? answer->text : "(nothing)");
}

struct fcgi_answer ask_at(const char *socket_path, const struct ask *ask)
{
	struct fcgi_answer answer = { 0 };
	int fd = send_ask(socket_path, ask);

	if (fd >= 0)
		read_answer(fd, &answer, NULL, PATIENCE_MS);
	else
		trouble("%s: %s\n", socket_path, strerror(errno));
	close_fd(&fd);
	return answer;
}

bool holds(const struct fcgi_answer *answer, const char *text)
{
	return answer->body && memmem(answer->body, answer->body_size, text, strlen(text));
}

/* A few at a time. */
const char *code_of(const char *code)
{
	static char texts[4][1024];
	static unsigned turn;
	char *text = texts[turn++ % ARRAY_LEN(texts)];

	snprintf(text, sizeof texts[0], "{\"language\":\"t\",\"code\":\"%s\"}", code);
	return text;
}

/* A run of language t, answered in JSON. */
struct fcgi_answer run_code(const char *code)
{
	struct ask ask = { .body = code_of(code) };

	return ask_at(run_sock, &ask);
}

bool runs_well(void)
{
	struct fcgi_answer answer = run_code("echo well");
	bool good = answer.status == 200 && holds(&answer, "\"stdout\":\"well\\n\"");

	if (!good)
		trouble("a good request: %d %.300s\n", answer.status,
			answer.body ? answer.body : "(nothing)");
	fcgi_answer_free(&answer);
	return good;
}

/* Lets go on what runs "until NAME". */
void let_go(const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "run/%s", name);
	write_text(path, "go\n");
}

void no_answer_left(struct fcgi_answer *answer, int *fd)
{
	fcgi_answer_free(answer);
	close_fd(fd);
}

/* Waits until so many run workers are in that state. */
bool await_state(const char *state, unsigned count)
{
	struct ask metrics = { .method = "GET", .path = "/metrics" };
	char line[128];
	int tries;

	snprintf(line, sizeof line, "sandpool_workers{kind=\"run\",state=\"%s\"} %u\n", state, count);
	for (tries = 0; tries < PATIENCE_MS / 20; tries++) {
		struct fcgi_answer answer = ask_at(api_sock, &metrics);
		bool good = holds(&answer, line);

		fcgi_answer_free(&answer);
		if (good)
			return true;
		usleep(20000);
	}
	trouble("never: %s", line);
	return false;
}

void check_rows(const struct row *row, size_t count)
{
	for (; count > 0; row++, count--) {
		struct fcgi_answer answer = ask_at(row->api ? api_sock : run_sock, &row->ask);

		check(answer.status == row->status && holds(&answer, row->has), "%s: %d", row->name,
		      row->status);
		fcgi_answer_free(&answer);
	}
}

/* Waits until that many languages have said their version. */
bool await_versions(unsigned count)
{
	struct ask list = { .method = "GET", .path = "/api/languages" };
	static const char version[] = "\"version\":\"1.2.3\"";
	int tries;

	for (tries = 0; tries < PATIENCE_MS / 50; tries++) {
		struct fcgi_answer answer = ask_at(api_sock, &list);
		const char *at = answer.body;
		unsigned found = 0;

		while (at && (at = strstr(at, version)) != NULL) {
			found++;
			at++;
		}
		fcgi_answer_free(&answer);
		if (found == count)
			return true;
		usleep(50000);
	}
	trouble("not %u languages say their version\n", count);
	return false;
}

void skip(const char *why)
{
	tap_skip("%s", why);
}

int finish(void)
{
	tear_down();
	return tap_done();
}
