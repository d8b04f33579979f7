/* SPDX-License-Identifier: ISC */
/* A real pool with a fake sandboxd behind it and a FastCGI client in front: what the
 * pool does with good and bad requests, and with the deaths of its neighbours. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "fcgi/keys.h"
#include "tests/tap.h"
#include "tests/wire/fcgi_client.h"

#define PATIENCE_MS 60000 /* for what comes at once, unless the machine is busy */
#define JSON	    "application/json"

static char folder[64], run_sock[128], api_sock[128];
static pid_t fake_pid, pool_pid;

/* What went before a check, for who has to find out why it failed. */
static struct {
	int status;
	char answer[400]; /* how the last one begins */
	char trouble[1000];
} seen;

/* ---- files ---- */

static void make_path(char *path, size_t room, const char *name)
{
	snprintf(path, room, "%s/%s", folder, name);
}

static void write_text(const char *name, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void write_text(const char *name, const char *fmt, ...)
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

static void trouble(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void trouble(const char *fmt, ...)
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
static bool check(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool check(bool good, const char *fmt, ...)
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

static unsigned count_in(const char *name, const char *what)
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
static bool wait_for(const char *name, const char *what, unsigned times)
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

static unsigned taken(void)
{
	return count_in("run/events", "taken\n");
}

/* ---- processes ---- */

static pid_t start(char *const argv[])
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

static const char *built(const char *name)
{
	static char path[2][512];
	static int turn;
	const char *top = getenv("top_builddir");

	turn = !turn;
	snprintf(path[turn], sizeof path[turn], "%s/%s", top ? top : ".", name);
	return path[turn];
}

/* The exit code; 1000 and the signal when it was killed; -1 when it did not end. */
static int wait_end(pid_t pid, int timeout_ms)
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
static bool goes(pid_t pid)
{
	int tries;

	for (tries = 0; tries < PATIENCE_MS / 20 && kill(pid, 0) == 0; tries++)
		usleep(20000);
	return kill(pid, 0) < 0;
}

static void start_fake(const char *slots)
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

static void stop_fake(void)
{
	kill(fake_pid, SIGKILL);
	wait_end(fake_pid, PATIENCE_MS);
}

static pid_t begin_pool(void)
{
	char program[512], conf[128];
	char option[] = "-c";
	char *argv[] = { program, option, conf, NULL };

	snprintf(program, sizeof program, "%s", built("sandpool-fcgi"));
	make_path(conf, sizeof conf, "sandpool.conf");
	return start(argv);
}

static bool start_pool(void)
{
	unsigned before = count_in("log", "notice: ready");

	pool_pid = begin_pool();
	return wait_for("log", "notice: ready", before + 1);
}

static int stop_pool(int signo)
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
static size_t find_workers(const char *name, pid_t *pids, size_t room)
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
static pid_t await_worker(const char *name)
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

struct conf {
	int queue;	       /* 0: 2 */
	const char *queue_max; /* NULL: longer than anybody waits for a box here */
	const char *drain;     /* NULL: longer than anything takes */
	int worker_requests;   /* 0: 10000 */
};

static void write_conf(const struct conf *conf)
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

static void hex_of(const char *key, char *text)
{
	uint8_t hash[KEYS_HASH_BYTES];
	size_t i;

	key_hash(key, hash);
	for (i = 0; i < sizeof hash; i++)
		sprintf(text + 2 * i, "%02x", hash[i]);
}

static void write_keys(const char *more)
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

static void set_up(void)
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

static void restart_pool(const struct conf *conf)
{
	stop_pool(SIGTERM);
	write_conf(conf);
	start_pool();
}

/* ---- requests ---- */

struct ask {
	const char *method, *path, *type, *accept, *body;
	struct fcgi_param more[4]; /* end at the first without a name */
};

static int send_ask(const char *socket_path, const struct ask *ask)
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
static void read_answer(int fd, struct fcgi_answer *answer, const char *until, int timeout_ms)
{
	fcgi_read(fd, answer, until, timeout_ms);
	seen.status = answer->status;
	snprintf(seen.answer, sizeof seen.answer, "%s", answer->text ? answer->text : "(nothing)");
}

static struct fcgi_answer ask_at(const char *socket_path, const struct ask *ask)
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

static bool holds(const struct fcgi_answer *answer, const char *text)
{
	return answer->body && memmem(answer->body, answer->body_size, text, strlen(text));
}

/* A few at a time. */
static const char *code_of(const char *code)
{
	static char texts[4][1024];
	static unsigned turn;
	char *text = texts[turn++ % ARRAY_LEN(texts)];

	snprintf(text, sizeof texts[0], "{\"language\":\"t\",\"code\":\"%s\"}", code);
	return text;
}

/* A run of language t, answered in JSON. */
static struct fcgi_answer run_code(const char *code)
{
	struct ask ask = { .body = code_of(code) };

	return ask_at(run_sock, &ask);
}

static bool runs_well(void)
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
static void let_go(const char *name)
{
	char path[64];

	snprintf(path, sizeof path, "run/%s", name);
	write_text(path, "go\n");
}

static void no_answer_left(struct fcgi_answer *answer, int *fd)
{
	fcgi_answer_free(answer);
	close_fd(fd);
}

/* Waits until so many run workers are in that state. */
static bool await_state(const char *state, unsigned count)
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

/* ---- tables of cases ---- */

struct row {
	const char *name;
	bool api; /* asked at the api socket */
	struct ask ask;
	int status;
	const char *has; /* in the body */
};

static const struct row rows[] = {
	{ "health", true, { .method = "GET", .path = "/health" }, 200, "\"status\":\"ok\"" },
	{ "health has the slots", true, { .method = "GET", .path = "/health" }, 200, "\"slots\":2" },
	{ "ready runs a canary", true, { .method = "GET", .path = "/ready" }, 200, "ready" },
	{ "languages", true, { .method = "GET", .path = "/api/languages" }, 200, "\"id\":\"t\"" },
	{ "languages have limits", true, { .method = "GET", .path = "/api/languages" }, 200,
	  "\"compile\":{\"wall_ms\":30000" },
	{ "system", true, { .method = "GET", .path = "/api/system" }, 200, "\"cgroup\":\"v2\"" },
	{ "metrics", true, { .method = "GET", .path = "/metrics" }, 200, "sandpool_build_info{version=" },
	{ "a run", false, { .body = "{\"language\":\"t\",\"code\":\"echo hi\\nerr oh\"}" }, 200,
	  "\"stdout\":\"hi\\n\",\"stderr\":\"oh\\n\"" },
	{ "an alias", false, { .body = "{\"language\":\"tee\",\"code\":\"echo hi\"}" }, 200,
	  "\"language\":\"t\"" },
	{ "below a prefix", false, { .path = "/a/b/run", .body = "{\"language\":\"t\",\"code\":\"\"}" },
	  200, "success" },
	{ "input", false, { .body = "{\"language\":\"t\",\"code\":\"cat\",\"input\":\"in\"}" }, 200,
	  "\"stdout\":\"in\"" },
	{ "arguments", false,
	  { .body = "{\"language\":\"t\",\"code\":\"words\",\"arguments\":[\"a b\",\"$c\"]}" }, 200,
	  "\"stdout\":\"a b\\n$c\\n\"" },
	{ "exit code", false, { .body = "{\"language\":\"t\",\"code\":\"exit 7\"}" }, 200,
	  "\"exit_code\":7" },
	{ "signal", false, { .body = "{\"language\":\"t\",\"code\":\"signal 11\"}" }, 200,
	  "\"SIGSEGV\"" },
	{ "wall", false, { .body = "{\"language\":\"t\",\"code\":\"cause 1\"}" }, 200,
	  "\"status\":\"timeout\"" },
	{ "memory", false, { .body = "{\"language\":\"t\",\"code\":\"cause 3\"}" }, 200,
	  "\"status\":\"memory_limit\"" },
	{ "a class names its file", false,
	  { .body = "{\"language\":\"k\",\"code\":\"names\\npublic class Foo {}\"}" }, 200,
	  "\"stdout\":\"Foo.k\\n\"" },
	{ "no class, the usual name", false, { .body = "{\"language\":\"k\",\"code\":\"names\"}" },
	  200, "\"stdout\":\"Main.k\\n\"" },
	{ "files keep their names", false,
	  { .body = "{\"language\":\"t\",\"files\":[{\"name\":\"x.t\",\"content\":\"names\"},"
		    "{\"name\":\"d/y\",\"content\":\"\"}]}" },
	  200, "\"stdout\":\"x.t\\nd/y\\n\"" },
	{ "collected files", false,
	  { .body = "{\"language\":\"t\",\"code\":\"file a one\",\"collect\":[\"a\",\"b\"]}" }, 200,
	  "\"content\":\"one\"" },
	{ "collect and tests", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\",\"collect\":[\"a\"],\"tests\":[{\"input\":\"\"}]}" },
	  400, "collect" },
	{ "built, then run in its tree", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build echo made\\necho ran\\nnames\"}" }, 200,
	  "\"stdout\":\"ran\\nmain.b\\n\"" },
	{ "compile error", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build err bad\\nbuild exit 1\\necho ran\"}" }, 200,
	  "\"status\":\"compile_error\"" },
	{ "tests", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build echo made\\ncat\",\"tests\":["
		    "{\"input\":\"1\",\"expected\":\"1\"},{\"input\":\"2\",\"expected\":\"3\"}]}" },
	  200, "\"status\":\"wrong_answer\"" },
	{ "execute", false,
	  { .path = "/api/execute",
	    .body = "{\"language\":\"t\",\"code\":\"echo hi\"}",
	    .more = { { "HTTP_X_API_KEY", "all-of-it" } } },
	  200, "\"output\":\"hi\\n\"" },
	{ "execute, unknown language", false,
	  { .path = "/api/execute",
	    .body = "{\"language\":\"nope\",\"code\":\"\"}",
	    .more = { { "HTTP_X_API_KEY", "all-of-it" } } },
	  400, "\"error\":\"" },
	{ "execute without a key", false,
	  { .path = "/api/execute", .body = "{\"language\":\"t\",\"code\":\"\"}" }, 401,
	  "\"error\":\"" },
	{ "a wrong key", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}",
	    .more = { { "HTTP_X_API_KEY", "all-of-i" } } },
	  401, "\"unauthorized\"" },
	{ "a key for another path", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}",
	    .more = { { "HTTP_X_API_KEY", "only-languages" } } },
	  403, "\"forbidden\"" },
	{ "a key's own limits", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\",\"limits\":{\"memory_bytes\":134217728}}",
	    .more = { { "HTTP_X_API_KEY", "small" } } },
	  400, "67108864" },
	{ "a key's own limits lower the defaults", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}",
	    .more = { { "HTTP_X_API_KEY", "small" } } },
	  200, "\"wall_ms\":2000" },
	{ "another site's form", false,
	  { .type = "application/x-www-form-urlencoded",
	    .body = "language=t&code=",
	    .more = { { "HTTP_ORIGIN", "https://evil.example" }, { "HTTP_HOST", "here.example" } } },
	  403, "origin" },
	{ "a friend's form", false,
	  { .type = "application/x-www-form-urlencoded",
	    .body = "language=t&code=echo+f",
	    .more = { { "HTTP_ORIGIN", "https://friend.example" }, { "HTTP_HOST", "here.example" } } },
	  200, "\"stdout\":\"f\\n\"" },
	{ "no such path", false, { .path = "/nothing" }, 404, "not_found" },
	{ "a path that hides another", false, { .path = "/run/..;" }, 404, "not_found" },
	{ "a doubled slash in front", false, { .path = "/a//run" }, 404, "not_found" },
	{ "dots in front", false, { .path = "/../run" }, 404, "not_found" },
	{ "GET of a run", false, { .method = "GET", .path = "/run" }, 405, "POST" },
	{ "POST of health", true, { .method = "POST", .path = "/health" }, 405, "GET" },
	{ "an encoding of the body", false,
	  { .body = "{}", .more = { { "HTTP_CONTENT_ENCODING", "gzip" } } }, 415, "unsupported" },
	{ "nothing acceptable", false,
	  { .accept = "image/png", .body = "{\"language\":\"t\",\"code\":\"\"}" }, 406, "acceptable" },
	{ "unknown language", false, { .body = "{\"language\":\"nope\",\"code\":\"\"}" }, 422,
	  "unknown_language" },
	{ "a language that is not installed", false, { .body = "{\"language\":\"gone\",\"code\":\"\"}" },
	  422, "not installed" },
	{ "no JSON", false, { .body = "{" }, 400, "\"code\":" },
	{ "no body", false, { .body = "" }, 400, "\"code\":" },
	{ "a shorter body than declared", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}", .more = { { "CONTENT_LENGTH", "100" } } },
	  400, "length" },
	{ "a longer body than declared", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}", .more = { { "CONTENT_LENGTH", "10" } } }, 400,
	  "length" },
	{ "a length that is none", false,
	  { .body = "{\"language\":\"t\",\"code\":\"\"}", .more = { { "CONTENT_LENGTH", "-1" } } }, 400,
	  "Content-Length" },
	{ "no length", false,
	  { .body = "{\"language\":\"t\",\"code\":\"echo hi\"}", .more = { { "CONTENT_LENGTH", "" } } },
	  200, "hi" },
	{ "a length beyond the limit", false,
	  { .body = "{}", .more = { { "CONTENT_LENGTH", "2000000" } } }, 413, "1048576" },
	{ "denied code", false, { .body = "{\"language\":\"d\",\"code\":\"x = FORBIDDEN (1)\"}" }, 400,
	  "potentially dangerous" },
	{ "code that is not denied", false, { .body = "{\"language\":\"d\",\"code\":\"forbidden\"}" },
	  200, "success" },
	{ "refused: protocol", false, { .body = "{\"language\":\"t\",\"code\":\"refuse 1\"}" }, 500,
	  "internal_error" },
	{ "refused: ours", false, { .body = "{\"language\":\"t\",\"code\":\"refuse 6\"}" }, 500,
	  "internal_error" },
	{ "dies midway", false, { .body = "{\"language\":\"t\",\"code\":\"die\"}" }, 500, "\"lost\"" },
	{ "talks nonsense", false, { .body = "{\"language\":\"t\",\"code\":\"nonsense\\nhang\"}" }, 500,
	  "\"lost\"" },
	{ "dies after the build", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build echo x\\ndie\"}" }, 500, "\"lost\"" },
	{ "refused after the build", false,
	  { .body = "{\"language\":\"b\",\"code\":\"build echo x\\nrefuse 3\"}" }, 500, "\"lost\"" },
	{ "dies in the first test", false,
	  { .body = "{\"language\":\"t\",\"code\":\"when a die\",\"tests\":[{\"input\":\"a\"},"
		    "{\"input\":\"b\"}]}" },
	  500, "\"lost\"" },
	{ "dies in the second test", false,
	  { .body = "{\"language\":\"t\",\"code\":\"when b die\",\"tests\":[{\"input\":\"a\"},"
		    "{\"input\":\"b\"},{\"input\":\"c\"}]}" },
	  200, "\"status\":\"internal_error\"" },
	{ "and the third is skipped", false,
	  { .body = "{\"language\":\"t\",\"code\":\"when b die\",\"tests\":[{\"input\":\"a\"},"
		    "{\"input\":\"b\"},{\"input\":\"c\"}]}" },
	  200, "\"status\":\"skipped\"" },
	{ "the time is over at the second test", false,
	  { .body = "{\"language\":\"t\",\"code\":\"when b hang\",\"tests\":[{\"input\":\"a\"},"
		    "{\"input\":\"b\"},{\"input\":\"c\"}],\"limits\":{\"total_ms\":300}}" },
	  200, "\"status\":\"skipped\"" },
	{ "the whole request's time", false,
	  { .body = "{\"language\":\"t\",\"code\":\"hang\",\"limits\":{\"total_ms\":300}}" }, 200,
	  "\"status\":\"timeout\"" },
	{ "the output's limit", false,
	  { .body = "{\"language\":\"t\",\"code\":\"bytes 3000000\",\"limits\":{\"output_bytes\":1000}}" },
	  200, "\"status\":\"output_limit\"" },
	{ "raw output", false,
	  { .accept = "text/plain", .body = "{\"language\":\"t\",\"code\":\"echo raw\"}" }, 200, "raw\n" },
	{ "a page", false, { .accept = "text/html", .body = "{\"language\":\"t\",\"code\":\"\"}" }, 200,
	  "<!doctype html>" },
	{ "msgpack", false,
	  { .accept = "application/msgpack", .body = "{\"language\":\"t\",\"code\":\"echo m\"}" }, 200,
	  "m\n" },
	{ "an error in msgpack", false,
	  { .accept = "application/msgpack", .body = "{\"language\":\"nope\",\"code\":\"\"}" }, 422,
	  "\xa5"
	  "error" },
	{ "events by line", false,
	  { .accept = "application/x-ndjson", .body = "{\"language\":\"t\",\"code\":\"echo e\"}" }, 200,
	  "\n{\"stdout\":\"e\\n\"}\n" },
	{ "events from the server", false,
	  { .accept = "text/event-stream", .body = "{\"language\":\"t\",\"code\":\"echo e\"}" }, 200,
	  "data: {\"stdout\":\"e\\n\"}" },
	{ "a stream that breaks", false,
	  { .accept = "application/x-ndjson", .body = "{\"language\":\"t\",\"code\":\"echo e\\ndie\"}" },
	  200, "{\"error\":{\"code\":\"lost\"" },
	{ "a stream of tests", false,
	  { .accept = "application/x-ndjson",
	    .body = "{\"language\":\"t\",\"code\":\"cat\",\"tests\":[{\"input\":\"1\",\"expected\":\"1\"},"
		    "{\"input\":\"2\",\"expected\":\"3\"}]}" },
	  200, "\"status\":\"wrong_answer\"" },
};

static void test_rows(const struct row *row, size_t count)
{
	for (; count > 0; row++, count--) {
		struct fcgi_answer answer = ask_at(row->api ? api_sock : run_sock, &row->ask);

		check(answer.status == row->status && holds(&answer, row->has), "%s: %d", row->name,
		      row->status);
		fcgi_answer_free(&answer);
	}
}

/* ---- heads ---- */

static void test_heads(void)
{
	struct ask with_id = { .body = code_of(""),
			       .more = { { "REQUEST_ID", "0123456789abcdef0123456789abcdef" } } };
	struct ask with_bad_id = { .body = code_of(""), .more = { { "REQUEST_ID", "me\r\nX: y" } } };
	struct ask head = { .method = "HEAD", .path = "/health" };
	struct ask list = { .method = "GET", .path = "/api/languages" };
	struct fcgi_answer answer = ask_at(run_sock, &with_id);
	char tag[64];

	check(!strcmp(fcgi_header(&answer, "X-Request-ID"), "0123456789abcdef0123456789abcdef"),
	      "the web server's id is the request's");
	check(holds(&answer, "\"id\":\"0123456789abcdef0123456789abcdef\""), "and in the answer");
	check(!strcmp(fcgi_header(&answer, "Cache-Control"), "no-store") &&
		      !strcmp(fcgi_header(&answer, "X-Content-Type-Options"), "nosniff"),
	      "a run's answer is not to be kept nor guessed at");
	fcgi_answer_free(&answer);
	answer = ask_at(run_sock, &with_bad_id);
	check(strlen(fcgi_header(&answer, "X-Request-ID")) == 32 && !strstr(answer.text, "X: y"),
	      "an id that is none is replaced");
	fcgi_answer_free(&answer);
	answer = ask_at(api_sock, &head);
	check(answer.status == 200 && answer.body_size == 0, "HEAD has no body");
	fcgi_answer_free(&answer);
	answer = ask_at(api_sock, &list);
	snprintf(tag, sizeof tag, "%s", fcgi_header(&answer, "ETag"));
	fcgi_answer_free(&answer);
	list.more[0] = (struct fcgi_param){ "HTTP_IF_NONE_MATCH", tag };
	answer = ask_at(api_sock, &list);
	check(strlen(tag) == 34 && answer.status == 304 && answer.body_size == 0,
	      "the list of languages that is known already is not sent again");
	fcgi_answer_free(&answer);
	head = (struct ask){ .method = "GET", .path = "/run" };
	answer = ask_at(run_sock, &head);
	check(!strcmp(fcgi_header(&answer, "Allow"), "POST"), "405 says what is allowed");
	fcgi_answer_free(&answer);
}

/* Waits until that many languages have said their version. */
static bool await_versions(unsigned count)
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
	return false;
}

static void test_versions(void)
{
	check(await_versions(2), "the version is the one that the language says");
	check(wait_for("run/events", "version b\n", 1) && wait_for("run/events", "version t\n", 1),
	      "each language is asked");
}

/* ---- bad peers ---- */

static const struct {
	const char *name;
	const char *bytes;
	size_t size;
} broken[] = {
#define RAW(text) text, sizeof text - 1
	{ "an HTTP request", RAW("GET / HTTP/1.0\r\n\r\n") },
	{ "zeroes", RAW("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0") },
	{ "another version", RAW("\2\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0") },
	{ "GET_VALUES", RAW("\1\11\0\0\0\21\0\0\16\0FCGI_MAX_CONNS\0") },
	{ "an unknown type", RAW("\1\143\0\0\0\0\0\0") },
	{ "an abort first", RAW("\1\2\0\1\0\0\0\0") },
	{ "an unknown role", RAW("\1\1\0\1\0\10\0\0\0\11\0\0\0\0\0\0\1\4\0\1\0\0\0\0\1\5\0\1\0\0\0\0") },
	{ "an authorizer", RAW("\1\1\0\1\0\10\0\0\0\2\0\0\0\0\0\0\1\4\0\1\0\0\0\0\1\5\0\1\0\0\0\0") },
	{ "a begin of the wrong size", RAW("\1\1\0\1\0\3\0\0\0\1\0") },
	{ "a name longer than memory",
	  RAW("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\10\0\0\377\377\377\376\1AAA") },
	{ "two lengths that overflow together",
	  RAW("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\12\0\0\377\377\377\376\377\377\377\376AA") },
	{ "parameters that end early",
	  RAW("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\2\0\0\16\0\1\4\0\1\0\0\0\0") },
	{ "no parameters", RAW("\1\1\0\1\0\10\0\0\0\1\0\0\0\0\0\0\1\4\0\1\0\0\0\0\1\5\0\1\0\0\0\0") },
};

static void test_broken(void)
{
	struct fcgi_param length[] = { { "REQUEST_METHOD", "POST" },
				       { "DOCUMENT_URI", "/run" },
				       { "CONTENT_LENGTH", "10" } };
	struct fcgi_answer answer = { 0 };
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_LEN(broken); i++) {
		fd = fcgi_connect(run_sock);
		if (send(fd, broken[i].bytes, broken[i].size, MSG_NOSIGNAL) > 0)
			read_answer(fd, &answer, NULL, 300);
		no_answer_left(&answer, &fd);
		check(runs_well(), "a good request after %s", broken[i].name);
	}
	fd = fcgi_connect(run_sock);
	fcgi_send_begin(fd);
	fcgi_send_params(fd, length, ARRAY_LEN(length));
	fcgi_send_record(fd, FCGI_STDIN, "abc", 3);
	fcgi_send_record(fd, FCGI_ABORT, "", 0);
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check((answer.ended || answer.closed) && answer.status != 200, "an abort ends the request");
	no_answer_left(&answer, &fd);
	check(runs_well(), "a good request after an abort");
}

/* Peers that owe us bytes: begun at once, looked at in the end. */
static int stalled[3];

static void begin_stalls(void)
{
	struct fcgi_param length[] = { { "REQUEST_METHOD", "POST" },
				       { "DOCUMENT_URI", "/run" },
				       { "CONTENT_LENGTH", "10" } };

	stalled[0] = fcgi_connect(run_sock);
	if (send(stalled[0], "\1\1\0", 3, MSG_NOSIGNAL) != 3)
		abort();
	stalled[1] = fcgi_connect(run_sock);
	fcgi_send_begin(stalled[1]);
	fcgi_send_params(stalled[1], length, ARRAY_LEN(length));
	fcgi_send_record(stalled[1], FCGI_STDIN, "abc", 3);
	stalled[2] = fcgi_connect(run_sock);
}

static void end_stalls(void)
{
	static const char *const names[] = { "inside a header", "inside the body", "at once" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(stalled); i++) {
		struct fcgi_answer answer = { 0 };
		read_answer(stalled[i], &answer, NULL, PATIENCE_MS);
		check(answer.closed || answer.ended, "a peer that stalls %s is cut off", names[i]);
		no_answer_left(&answer, &stalled[i]);
	}
}

/* ---- clients that leave, or do not read ---- */

static void test_leaving(void)
{
	static const char *const accepts[] = { JSON, "application/x-ndjson" };
	struct fcgi_answer answer = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_LEN(accepts); i++) {
		struct ask ask = { .accept = accepts[i], .body = code_of("echo x\\nhang") };
		unsigned before = count_in("run/events", "closed\n"), begun = taken();
		int fd = send_ask(run_sock, &ask);

		wait_for("run/events", "taken\n", begun + 1);
		close_fd(&fd);
		check(wait_for("run/events", "closed\n", before + 1),
		      "a client that leaves ends its run (%s)", accepts[i]);
	}
	{
		struct ask ask = { .accept = "application/x-ndjson",
				   .body = "{\"language\":\"t\",\"code\":\"bytes 8000000\\nhang\","
					   "\"limits\":{\"output_bytes\":8000000}}" };
		unsigned before = count_in("run/events", "closed\n");
		int fd = send_ask(run_sock, &ask);

		check(wait_for("run/events", "closed\n", before + 1),
		      "a reader of a stream that takes nothing ends its run");
		no_answer_left(&answer, &fd);
	}
	check(runs_well(), "a good request after them");
}

static void test_heartbeat(void)
{
	struct ask ask = { .accept = "application/x-ndjson", .body = code_of("echo x\\nhang") };
	struct fcgi_answer answer = { 0 };
	int fd = send_ask(run_sock, &ask);

	read_answer(fd, &answer, "}\n\n", PATIENCE_MS);
	check(holds(&answer, "}\n\n") && !answer.ended, "a silent stream sends empty lines");
	check(!strcmp(fcgi_header(&answer, "X-Accel-Buffering"), "no"),
	      "and asks the web server not to hold it back");
	no_answer_left(&answer, &fd);
}

static void test_first_chunk(void)
{
	struct ask ask = { .accept = "application/x-ndjson", .body = code_of("echo early\\nhang") };
	struct fcgi_answer answer = { 0 };
	int fd = send_ask(run_sock, &ask);

	read_answer(fd, &answer, "early", PATIENCE_MS);
	check(holds(&answer, "early") && !answer.ended, "a chunk comes before the end");
	no_answer_left(&answer, &fd);
}

/* ---- more than there is room for ---- */

/* The pool asks again and again for a box, as long as somebody may have to wait. */
static const struct row busy_rows[] = {
	{ "refused: busy", false, { .body = "{\"language\":\"t\",\"code\":\"refuse 3\"}" }, 503, "busy" },
	{ "a stream that is refused", false,
	  { .accept = "application/x-ndjson", .body = "{\"language\":\"t\",\"code\":\"refuse 3\"}" }, 503,
	  "{\"error\":{\"code\":\"busy\"" },
};

static void test_busy(void)
{
	struct fcgi_answer answer;

	test_rows(busy_rows, ARRAY_LEN(busy_rows));
	answer = run_code("refuse 3");
	check(atoi(fcgi_header(&answer, "Retry-After")) > 0, "503 says when to try again");
	fcgi_answer_free(&answer);
}

static void test_queue(void)
{
	struct ask hang = { .body = code_of("hang") };
	struct fcgi_answer answer;
	unsigned begun = taken();
	uint64_t start_ms;
	int fds[2], tries;
	struct ask health = { .method = "GET", .path = "/health" };
	bool good = false;

	fds[0] = send_ask(run_sock, &hang);
	fds[1] = send_ask(run_sock, &hang);

	wait_for("run/events", "taken\n", begun + 2);
	start_ms = clock_ms();
	answer = run_code("echo no");
	check(answer.status == 503 && holds(&answer, "\"busy\""), "no slot: 503");
	check(clock_ms() - start_ms >= 1900, "only after it had waited");
	if (taken() != begun + 2)
		trouble("%u were taken instead of 2\n", taken() - begun);
	check(taken() == begun + 2, "and nothing ran");
	fcgi_answer_free(&answer);
	answer = ask_at(api_sock, &health);
	check(answer.status == 200 && holds(&answer, "\"running\":2"),
	      "health answers, and says that both run");
	fcgi_answer_free(&answer);
	health.path = "/ready";
	answer = ask_at(api_sock, &health);
	check(answer.status == 200, "a full pool is ready");
	fcgi_answer_free(&answer);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
	for (tries = 0; tries < PATIENCE_MS / 2000 && !good; tries++)
		good = runs_well();
	check(good, "when they left there is room again");
}

static void test_key_concurrency(void)
{
	struct ask hang = { .body = code_of("hang"), .more = { { "HTTP_X_API_KEY", "small" } } };
	struct ask more = { .body = code_of("echo x"), .more = { { "HTTP_X_API_KEY", "small" } } };
	struct fcgi_answer answer;
	unsigned begun = taken();
	int fd = send_ask(run_sock, &hang), tries;
	bool freed = false;

	wait_for("run/events", "taken\n", begun + 1);
	answer = ask_at(run_sock, &more);
	check(answer.status == 429 && atoi(fcgi_header(&answer, "Retry-After")) > 0,
	      "a key has no more requests under way than it may have");
	fcgi_answer_free(&answer);
	check(runs_well(), "others are not held up by it");
	close_fd(&fd);
	for (tries = 0; tries < PATIENCE_MS / 20 && !freed; tries++) {
		answer = ask_at(run_sock, &more);
		freed = answer.status == 200;
		fcgi_answer_free(&answer);
		usleep(20000);
	}
	check(freed, "and then it may again");
}

static void test_key_reload(void)
{
	struct ask ask = { .body = code_of(""), .more = { { "HTTP_X_API_KEY", "brand-new" } } };
	struct ask wait = { .body = code_of("until known"), .more = { ask.more[0] } };
	char line[128], hash[65];
	struct fcgi_answer answer = ask_at(run_sock, &ask);
	unsigned known = 0, i;
	int fds[4];

	check(answer.status == 401, "a key that is not in the file");
	fcgi_answer_free(&answer);
	hex_of("brand-new", hash);
	snprintf(line, sizeof line, "new:%s:::\n", hash);
	write_keys(line);
	/* by each of the four workers, who are all at work in the same moment */
	for (i = 0; i < ARRAY_LEN(fds); i++)
		fds[i] = send_ask(run_sock, &wait);
	await_state("running", 2);
	await_state("waiting", 2);
	let_go("known");
	for (i = 0; i < ARRAY_LEN(fds); i++) {
		read_answer(fds[i], &answer, NULL, PATIENCE_MS);
		known += answer.status == 200;
		no_answer_left(&answer, &fds[i]);
	}
	check(known == ARRAY_LEN(fds), "is known as soon as it is");
	check(wait_for("log", "keys: new is new", 1), "which is in the log");
	write_keys("this is no line\n");
	answer = ask_at(run_sock, &ask);
	check(answer.status == 200, "a broken file changes nothing");
	fcgi_answer_free(&answer);
	write_keys("");
	answer = ask_at(run_sock, &ask);
	check(answer.status == 401, "and out of the file it is refused");
	fcgi_answer_free(&answer);
}

/* ---- deaths ---- */

static void test_worker_death(void)
{
	struct ask hang = { .body = code_of("hang") };
	struct fcgi_answer answer = { 0 };
	unsigned begun = taken(), closed = count_in("run/events", "closed\n");
	int fd = send_ask(run_sock, &hang);
	struct ask metrics = { .method = "GET", .path = "/metrics" };
	pid_t pids[16];
	size_t count;

	wait_for("run/events", "taken\n", begun + 1);
	/* one of them has it */
	count = find_workers("sandpool-run", pids, ARRAY_LEN(pids));
	while (count > 0)
		kill(pids[--count], SIGKILL);
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check(answer.closed && answer.status == 0, "a killed worker's request breaks off");
	no_answer_left(&answer, &fd);
	check(wait_for("run/events", "closed\n", closed + 1), "its run is ended");
	check(taken() == begun + 1, "and not run again");
	check(runs_well(), "others take its place");
	answer = ask_at(api_sock, &metrics);
	check(holds(&answer, "sandpool_runs_total{language=\"t\",verdict=\"success\"}"),
	      "the counters outlive it");
	fcgi_answer_free(&answer);
	/* who answered last is done a moment after its answer came */
	check(await_state("running", 0), "what it was doing does not");
}

static void test_sandboxd_down(void)
{
	struct fcgi_answer answer;
	bool good = false;
	int tries;

	stop_fake();
	answer = run_code("echo x");
	check(answer.status == 503 && holds(&answer, "nothing ran"), "without a sandboxd: 503");
	fcgi_answer_free(&answer);
	start_fake("2");
	for (tries = 0; tries < PATIENCE_MS / 2000 && !good; tries++)
		good = runs_well();
	check(good, "and with one again it runs");
}

static void test_other_languages(void)
{
	struct ask ask = { .body = "{\"language\":\"new\",\"code\":\"echo x\"}" };
	struct fcgi_answer answer = ask_at(run_sock, &ask);
	bool known_now = false;
	int tries;

	check(answer.status == 422, "a language that is not there");
	fcgi_answer_free(&answer);
	stop_fake();
	write_text("languages/new.lang",
		   "id = \"new\"; name = \"New\"; file = \"main.n\"; run = [ \"n\" ];\n");
	start_fake("2");
	check(runs_well(), "sandboxd has other languages: the worker reads them again");
	/* each worker finds out for itself, and asks no more than once a second */
	for (tries = 0; tries < PATIENCE_MS / 50 && !known_now; tries++) {
		answer = ask_at(run_sock, &ask);
		known_now = answer.status == 200;
		fcgi_answer_free(&answer);
		if (!known_now)
			usleep(50000);
	}
	check(known_now, "and the new one runs");
}

/* ---- the master ---- */

/* They are asked in the order of their names, so that "b" had its turn before "t". A
 * fake that is started anew has written no event yet. */
static void test_version_again(void)
{
	await_versions(2);
	stop_fake();
	write_text("languages/t.lang",
		   "id = \"t\"; name = \"Test\"; file = \"main.t\"; aliases = [ \"tee\" ];\n"
		   "version = [ \"t\", \"--version\" ]; run = [ \"t\" ];\n"
		   "example = { code = \"echo good\\n\"; output = \"good\\n\"; };\n");
	write_text("run/slow", "%s", "");
	start_fake("2");
	kill(pool_pid, SIGHUP);
	check(wait_for("run/events", "version t\n", 1),
	      "a language whose file changed is asked again for its version");
	check(wait_for("run/events", "version t\n", 2), "and once more when it was too slow");
	check(count_in("run/events", "version b\n") == 0, "and no other");
}

static void test_reload(void)
{
	struct ask slow = { .body = code_of("until reloaded\\necho slow") };
	struct fcgi_answer answer = { 0 };
	unsigned begun = taken(), reloads = count_in("log", "reloaded:"), bad = 0, i;
	int fd = send_ask(run_sock, &slow);
	pid_t old;

	wait_for("run/events", "taken\n", begun + 1);
	old = await_worker("sandpool-api");
	write_conf(&(struct conf){ .queue = 4 });
	kill(pool_pid, SIGHUP);
	for (i = 0; i < 50; i++)
		bad += !runs_well();
	check(bad == 0, "a reload loses no request");
	check(wait_for("log", "reloaded:", reloads + 1), "it is reloaded");
	let_go("reloaded");
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check(answer.status == 200 && holds(&answer, "slow"), "what was under way ends well");
	no_answer_left(&answer, &fd);
	check(old && goes(old), "the old workers are gone");
	write_text("sandpool.conf", "nonsense = 1;\n");
	kill(pool_pid, SIGHUP);
	check(wait_for("log", "going on as before", 1) && runs_well(),
	      "a broken configuration changes nothing");
	write_conf(&(struct conf){ 0 });
}

/* It has heard that it shall stop: nobody can connect any more. */
static bool closes(void)
{
	int tries, fd;

	for (tries = 0; tries < PATIENCE_MS / 20; tries++) {
		fd = fcgi_connect(run_sock);
		if (fd < 0)
			return true;
		close_fd(&fd);
		usleep(20000);
	}
	return false;
}

static void test_drain(void)
{
	struct ask slow = { .body = code_of("until drained\\necho slow") };
	struct fcgi_answer answer = { 0 };
	unsigned begun = taken();
	int fd = send_ask(run_sock, &slow);

	wait_for("run/events", "taken\n", begun + 1);
	kill(pool_pid, SIGQUIT);
	check(closes(), "a pool that stops takes nothing new");
	let_go("drained");
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check(answer.status == 200 && holds(&answer, "slow"), "what was under way ends well");
	no_answer_left(&answer, &fd);
	check(wait_end(pool_pid, PATIENCE_MS) == 0, "then it leaves");
}

static void test_drain_limit(void)
{
	struct ask hang = { .accept = "application/x-ndjson", .body = code_of("echo x\\nhang") };
	struct fcgi_answer answer = { 0 };
	unsigned begun = taken();
	int fd;

	write_conf(&(struct conf){ .drain = "500ms" });
	start_pool();
	fd = send_ask(run_sock, &hang);
	wait_for("run/events", "taken\n", begun + 1);
	kill(pool_pid, SIGTERM);
	read_answer(fd, &answer, NULL, PATIENCE_MS);
	check(answer.ended && holds(&answer, "\"status\":\"cancelled\""),
	      "a stream that takes too long to end is ended, and told so");
	no_answer_left(&answer, &fd);
	check(wait_end(pool_pid, PATIENCE_MS) == 0, "then the pool leaves");
}

static void test_kill(void)
{
	struct ask hang = { .body = code_of("hang") };
	struct fcgi_answer answer = { 0 };
	unsigned begun = taken();
	int fd;

	write_conf(&(struct conf){ 0 });
	start_pool();
	fd = send_ask(run_sock, &hang);
	wait_for("run/events", "taken\n", begun + 1);
	kill(pool_pid, SIGTERM);
	check(closes() && wait_end(pool_pid, 300) == -1,
	      "the first SIGTERM waits for what is under way");
	kill(pool_pid, SIGTERM);
	check(wait_end(pool_pid, PATIENCE_MS) == 1, "the second does not");
	no_answer_left(&answer, &fd);
}

static void test_master_death(void)
{
	struct ask hang = { .body = code_of("hang") };
	struct fcgi_answer answer = { 0 };
	unsigned begun = taken();
	int fd;

	write_conf(&(struct conf){ 0 });
	start_pool();
	fd = send_ask(run_sock, &hang);
	wait_for("run/events", "taken\n", begun + 1);
	check(wait_end(begin_pool(), PATIENCE_MS) == 1,
	      "a second pool beside the first does not start");
	kill(pool_pid, SIGKILL);
	wait_end(pool_pid, PATIENCE_MS);
	check(start_pool() && runs_well(),
	      "after a killed master the next one takes over, whoever is still at work");
	check(kill(pool_pid, 0) == 0, "and lives");
	no_answer_left(&answer, &fd);
	check(stop_pool(SIGTERM) == 0, "until it is stopped");
}

/* ---- sockets that are handed over ---- */

static int listen_at(const char *path)
{
	struct error err = ERROR_INIT;
	int fd = io_listen_unix(path, SOCK_STREAM, 0666, (gid_t)-1, 16, &err);

	if (fd < 0)
		tap_note("%s", err.text);
	return fd;
}

static void start_with(int fd_run, int fd_api, bool by_systemd)
{
	char conf[128], pid[32];

	make_path(conf, sizeof conf, "sandpool.conf");
	pool_pid = fork();
	if (pool_pid != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	if (by_systemd) {
		/* out of the way first: one of them may be where the other shall be */
		fd_run = fcntl(fd_run, F_DUPFD, 10);
		fd_api = fcntl(fd_api, F_DUPFD, 10);
		dup2(fd_api, 3);
		dup2(fd_run, 4);
		snprintf(pid, sizeof pid, "%d", (int)getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "2", 1);
		setenv("LISTEN_FDNAMES", "api:run", 1);
	} else {
		dup2(fd_run, STDIN_FILENO);
	}
	execl(built("sandpool-fcgi"), "sandpool-fcgi", "-c", conf, NULL);
	_exit(127);
}

static void test_handed_over(void)
{
	struct ask health = { .method = "GET", .path = "/health" };
	struct fcgi_answer answer;
	char run[160], api[160];
	int fd_run, fd_api;

	snprintf(run, sizeof run, "%s.given", run_sock);
	snprintf(api, sizeof api, "%s.given", api_sock);
	fd_run = listen_at(run);
	fd_api = listen_at(api);
	start_with(fd_run, fd_api, true);
	answer = ask_at(run, &(struct ask){ .body = code_of("echo given") });
	check(answer.status == 200 && holds(&answer, "given"), "systemd's socket, by its name");
	fcgi_answer_free(&answer);
	answer = ask_at(api, &health);
	check(answer.status == 200, "and the other");
	fcgi_answer_free(&answer);
	stop_pool(SIGTERM);
	check(access(run, F_OK) == 0, "which are not ours to remove");
	start_with(fd_run, fd_api, false);
	answer = ask_at(run, &(struct ask){ .body = code_of("echo given") });
	check(answer.status == 200 && holds(&answer, "given"), "descriptor 0, as spawn-fcgi has it");
	fcgi_answer_free(&answer);
	answer = ask_at(run, &health);
	check(answer.status == 200, "where one socket must do for everything");
	fcgi_answer_free(&answer);
	stop_pool(SIGTERM);
	close_fd(&fd_run);
	close_fd(&fd_api);
	unlink(run);
	unlink(api);
}

/* ---- root ---- */

static void test_root(void)
{
	char path[64], text[4096], conf[128], program[512], option[] = "-t";
	char option_c[] = "-c";
	char *argv[] = { program, option_c, conf, option, NULL };
	cleanup_close int fd = -1;
	ssize_t size;

	if (geteuid() != 0) {
		tap_skip("not root: there is nothing to give away");
		return;
	}
	start_pool();
	runs_well();
	snprintf(path, sizeof path, "/proc/%d/status", (int)pool_pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : io_read_full(fd, text, sizeof text - 1);
	text[size > 0 ? size : 0] = '\0';
	check(strstr(text, "Uid:\t65534\t65534\t65534\t65534\n") &&
		      strstr(text, "CapEff:\t0000000000000000\n") &&
		      strstr(text, "NoNewPrivs:\t1\n"),
	      "started as root it gives root away");
	stop_pool(SIGTERM);
	write_text("root.conf", "worker-user = \"0\"; language-directory = \"%s/languages\";\n",
		   folder);
	make_path(conf, sizeof conf, "root.conf");
	snprintf(program, sizeof program, "%s", built("sandpool-fcgi"));
	check(wait_end(start(argv), PATIENCE_MS) == 1, "or does not start");
	write_text("root.conf", "worker-user = \"nobody-of-that-name\";\n");
	check(wait_end(start(argv), PATIENCE_MS) == 1, "nor as somebody who is not there");
}

static void test_recycling(void)
{
	unsigned bad = 0, i;
	pid_t before;

	write_conf(&(struct conf){ .worker_requests = 5 });
	start_pool();
	before = await_worker("sandpool-run");
	for (i = 0; i < 60; i++)
		bad += !runs_well();
	check(bad == 0, "workers that are replaced lose no request");
	check(before && goes(before) && await_worker("sandpool-run"), "they are replaced");
	check(count_in("log", "died") == count_in("log", "died of signal 9") +
						  count_in("log", "died of signal 6"),
	      "nobody died but those who were killed");
	check(stop_pool(SIGTERM) == 0, "an idle pool leaves at once");
}

/* ---- CGI ---- */

static char *run_cgi(const char *method, const char *path, const char *body, const char *more)
{
	static char text[65536];
	int in[2], out[2];
	char conf[160], length[64], request_method[64], path_info[64];
	pid_t pid;
	ssize_t n;

	make_path(conf, sizeof conf, "sandpool.conf");
	memmove(conf + 14, conf, strlen(conf) + 1);
	memcpy(conf, "SANDPOOL_CONF=", 14);
	snprintf(length, sizeof length, "CONTENT_LENGTH=%zu", strlen(body));
	snprintf(request_method, sizeof request_method, "REQUEST_METHOD=%s", method);
	snprintf(path_info, sizeof path_info, "PATH_INFO=%s", path);
	if (pipe(in) < 0 || pipe(out) < 0)
		abort();
	pid = fork();
	if (pid == 0) {
		const char *env[] = { "GATEWAY_INTERFACE=CGI/1.1", "SCRIPT_NAME=/cgi-bin/pool",
				      "CONTENT_TYPE=" JSON, conf, length, request_method, path_info,
				      more, NULL };
		char *argv[] = { strdup("pool"), NULL };

		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		close(2);
		execve(built("sandpool-fcgi"), argv, (char **)(uintptr_t)env);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	if (io_write_full(in[1], body, strlen(body)) < 0)
		tap_note("the CGI program does not read");
	n = io_read_full(out[0], text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	close(in[1]);
	close(out[0]);
	wait_end(pid, PATIENCE_MS);
	return text;
}

static void test_cgi(void)
{
	static const struct {
		const char *name, *method, *path, *body, *more, *has, *has_too;
	} cases[] = {
		{ "a run", "POST", "/run", "{\"language\":\"t\",\"code\":\"echo cgi\"}", NULL,
		  "Status: 200 OK\r\n", "\"stdout\":\"cgi\\n\"" },
		{ "a stream", "POST", "/run", "{\"language\":\"t\",\"code\":\"echo cgi\"}",
		  "HTTP_ACCEPT=application/x-ndjson", "application/x-ndjson", "{\"stdout\":\"cgi\\n\"}" },
		{ "a bad request", "POST", "/run", "{", NULL, "Status: 400", "\"error\"" },
		{ "languages", "GET", "/api/languages", "", NULL, "Status: 200", "\"id\":\"t\"" },
		{ "ready", "GET", "/ready", "", NULL, "Status: 200", "ready" },
		{ "health", "GET", "/health", "", NULL, "Status: 200", "\"ok\"" },
		{ "metrics, which cannot be", "GET", "/metrics", "", NULL, "Status: 404", "not_found" },
		{ "a key with a cap, which cannot be", "POST", "/run",
		  "{\"language\":\"t\",\"code\":\"\"}", "HTTP_X_API_KEY=small", "Status: 404",
		  "not_found" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		const char *text = run_cgi(cases[i].method, cases[i].path, cases[i].body,
					   cases[i].more);

		if (!strstr(text, cases[i].has) || !strstr(text, cases[i].has_too))
			trouble("%.400s\n", text);
		check(strstr(text, cases[i].has) && strstr(text, cases[i].has_too), "CGI: %s",
		      cases[i].name);
	}
}

/* ---- what is said elsewhere ---- */

static void test_log(void)
{
	struct ask ask = { .body = "{\"language\":\"t\",\"code\":\"echo SECRETCODE\\ncat\","
				   "\"input\":\"SECRETINPUT\"}",
			   .more = { { "HTTP_X_API_KEY", "all-of-it" },
				     { "REQUEST_ID", "00000000000000000000000000000abc" } } };
	struct fcgi_answer answer = ask_at(run_sock, &ask);

	check(holds(&answer, "SECRETCODE"), "a run with secrets");
	check(wait_for("log", "00000000000000000000000000000abc", 1), "is in the log by its id");
	check(count_in("log", "SECRET") == 0, "without code, input and output");
	check(count_in("log", "all-of-it") == 0 && count_in("log", "\"key\":\"all\"") > 0,
	      "and with the name of the key only");
	check(count_in("log", "\"verdict\":\"success\"") > 0 &&
		      count_in("log", "\"userIP\":\"127.0.0.1\"") > 0,
	      "with verdict and address");
	fcgi_answer_free(&answer);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	set_up();
	start_fake("2");
	start_pool();
	test_rows(rows, ARRAY_LEN(rows));
	test_heads();
	test_versions();
	test_broken();
	test_leaving();
	test_heartbeat();
	test_first_chunk();
	restart_pool(&(struct conf){ .queue_max = "2s" });
	test_busy();
	test_queue();
	test_sandboxd_down();
	restart_pool(&(struct conf){ 0 });
	test_key_concurrency();
	test_key_reload();
	test_log();
	test_worker_death();
	test_other_languages();
	test_version_again();
	test_reload();
	begin_stalls();
	check(runs_well(), "a good request beside peers that stall");
	test_cgi();
	end_stalls();
	test_drain();
	test_drain_limit();
	test_kill();
	test_recycling();
	test_master_death();
	test_handed_over();
	test_root();
	tear_down();
	return tap_done();
}
