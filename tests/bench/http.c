/* SPDX-License-Identifier: ISC */
/* tests/bench/run http: what a run costs through nginx and the pool, beside the
 * same program without a sandbox behind the same nginx. HOME, made by run, holds
 * the programs, languages, images, and nginx's snippets; nobody can read it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/bench/bare.h"
#include "tests/bench/bench.h"
#include "tests/bench/http_client.h"

#define ROUNDS  3
#define WARM_UP 10
#define RATE_S  3.0
#define CLIENTS 8

static const char *home;
static unsigned runs = 300, port;

/* ---- what runs behind nginx ---- */

struct pool {
	struct daemon daemon;
	pid_t fcgi_pid;
};

static struct pool pool, plain; /* as it is installed; nothing ahead, nothing cached */
static pid_t nginx_pid, others[4];

static const char *in_home(const char *name)
{
	static char paths[8][300];
	static unsigned turn;
	char *path = paths[turn++ % 8];

	snprintf(path, sizeof paths[0], "%s/%s", home, name);
	return path;
}

static pid_t start_program(uid_t user, const char *log, const char *const *argv)
{
	return process_start((char *const *)(uintptr_t)argv, user, in_home(log));
}

static void await_socket(const char *path)
{
	struct stat st;
	int tries;

	for (tries = 0; tries < 300; tries++) {
		if (stat(path, &st) == 0 && S_ISSOCK(st.st_mode))
			return;
		pause_us(50000);
	}
	die("%s did not come; see %s", path, home);
}

/* HOME/run-NAME leads to its sockets. */
static void pool_start(struct pool *p, const char *name, const char *more)
{
	static unsigned number;
	char settings[600], conf[200], path[200];

	snprintf(settings, sizeof settings, "images = [ \"image0=%s/material/image0\" ];\n%s",
	         home, more);
	daemon_start(&p->daemon, name, in_home("sandpool-sandboxd"), in_home("languages"),
	             ++number, settings);
	snprintf(conf, sizeof conf, "%s/conf", p->daemon.directory);
	p->fcgi_pid = start_program(
	        NOBODY, "fcgi.log",
	        (const char *const[]){in_home("sandpool-fcgi"), "-c", conf, NULL});
	snprintf(path, sizeof path, "%s/run/run.sock", p->daemon.directory);
	await_socket(path);
	snprintf(path, sizeof path, "%s/run", p->daemon.directory);
	snprintf(conf, sizeof conf, "%s/run-%s", home, name);
	unlink(conf);
	if (symlink(path, conf) < 0)
		die("%s", conf);
}

static void pool_stop(struct pool *p)
{
	process_stop(p->fcgi_pid);
	daemon_stop(&p->daemon);
}

static void write_nginx_conf(void)
{
	static const struct {
		const char *path, *socket;
	} locations[] = {
	        {"/plain", "run-plain/run.sock"}, {"/small", "run-small/run.sock"},
	        {"/reply", "reply.sock"},         {"/spawn-true", "true.sock"},
	        {"/spawn-python", "python.sock"}, {"/wrap", "wrap.sock"},
	};
	FILE *file = fopen(in_home("nginx/nginx.conf"), "w");
	size_t i;

	if (!file)
		die("%s", in_home("nginx/nginx.conf"));
	fprintf(file,
	        "user nobody nogroup;\ndaemon off;\nworker_processes auto;\npid "
	        "%1$s/nginx/pid;\n"
	        "error_log %1$s/nginx/error.log warn;\nevents { worker_connections 4096; "
	        "}\nhttp {\n"
	        "client_body_temp_path %1$s/nginx/body;\nproxy_temp_path %1$s/nginx/proxy;\n"
	        "fastcgi_temp_path %1$s/nginx/fastcgi;\nuwsgi_temp_path %1$s/nginx/uwsgi;\n"
	        "scgi_temp_path %1$s/nginx/scgi;\naccess_log off;\nkeepalive_requests "
	        "10000000;\n"
	        "include snippets/sandpool-http.conf;\nserver {\nlisten 127.0.0.1:%2$u;\n"
	        "include snippets/sandpool.conf;\n",
	        home, port);
	for (i = 0; i < ARRAY_LEN(locations); i++)
		fprintf(file,
		        "location = %s {\nfastcgi_param PATH_INFO /run;\n"
		        "fastcgi_param SCRIPT_FILENAME %s/wrap.sh;\n"
		        "include snippets/sandpool-params.conf;\nfastcgi_pass unix:%s/%s;\n}\n",
		        locations[i].path, home, home, locations[i].socket);
	fputs("}\n}\n", file);
	fclose(file);
}

static void await_nginx(void)
{
	struct http http;
	int tries;

	for (tries = 0; tries < 200; tries++) {
		http_open(&http, port);
		if (http.fd >= 0) {
			http_close(&http);
			return;
		}
		pause_us(50000);
	}
	die("nginx did not start; see %s/nginx/error.log", home);
}

static void start_all(void)
{
	char socket[300];
	const char *nginx = "/usr/sbin/nginx";

	pool_start(&pool, "pool", "");
	pool_start(&plain, "plain", "interpreters-ahead = false; compile-cache = 0;\n");
	others[0] = start_program(NOBODY, "reply.log",
	                          (const char *const[]){in_home("bench_reply"),
	                                                in_home("reply.sock"), "8", NULL});
	others[1] = start_program(
	        NOBODY, "reply.log",
	        (const char *const[]){in_home("bench_reply"), in_home("true.sock"), "8",
	                              in_home("material/image0/t/true"), NULL});
	others[2] = start_program(
	        NOBODY, "reply.log",
	        (const char *const[]){in_home("bench_reply"), in_home("python.sock"), "8",
	                              "/usr/bin/python3", "-c", "print(1)", NULL});
	snprintf(socket, sizeof socket, "unix:%s", in_home("wrap.sock"));
	/* its children do not notice that it is gone: the shell, which is told, takes all along */
	others[3] = start_program(NOBODY, "wrap.log",
	                          (const char *const[]){"/bin/sh", "-c",
	                                                "trap 'kill -KILL 0' TERM\n"
	                                                "/usr/sbin/fcgiwrap -c 8 -s \"$0\" & wait",
	                                                socket, NULL});
	await_socket(in_home("reply.sock"));
	await_socket(in_home("true.sock"));
	await_socket(in_home("python.sock"));
	await_socket(in_home("wrap.sock"));
	port = http_free_port();
	write_nginx_conf();
	nginx_pid = start_program(0, "nginx/error.log",
	                          (const char *const[]){nginx, "-p", in_home("nginx"), "-c",
	                                                in_home("nginx/nginx.conf"), "-e",
	                                                in_home("nginx/error.log"), NULL});
	await_nginx();
}

static void stop_all(void)
{
	size_t i;

	process_stop(nginx_pid);
	for (i = 0; i < ARRAY_LEN(others); i++)
		process_stop(others[i]);
	pool_stop(&plain);
	pool_stop(&pool);
}

/* ---- requests ---- */

#define JOB(language, code) "{\"language\":\"" language "\",\"code\":\"" code "\"}"
#define TRUE_JOB            JOB("true0", "a job of 20 bytes..\\n")
#define PYTHON_JOB          JOB("python3", "print(1)\\n")

static struct http client;

static void fail_request(const struct http_request *request, int status)
{
	const char *body = client.size ? strstr(client.data, "\r\n\r\n") : NULL;

	die("answer %d to %.*s: %s", status, (int)strcspn(request->text, "\r"), request->text,
	    body ? body + 4 : "none");
}

/* In microseconds; wanted: what must stand in the answer, NULL: anything. */
static double time_request(const struct http_request *request, const char *wanted)
{
	double us = 0;
	int status = http_exchange(&client, request, &us);

	if (status != 200 || (wanted && !strstr(client.data, wanted)))
		fail_request(request, status);
	return us;
}

/* Up is a pool when a run went through it. */
static void await_run(const char *path)
{
	struct http_request request = http_post(path, NULL, TRUE_JOB);
	int tries, status = -1;

	for (tries = 0; tries < 200 && status != 200; tries++) {
		status = http_exchange(&client, &request, NULL);
		if (status != 200)
			pause_us(100000);
	}
	if (status != 200)
		fail_request(&request, status);
	free(request.text);
}

/* ---- latency, spaced and interleaved ---- */

/* One thing to measure; wanted as in time_request. */
struct source {
	const char *name;
	struct http_request request; /* text NULL: sample() instead */
	const char *wanted;
	double (*sample)(void);
	bool tells; /* its answers have times */
	struct samples samples;
	double rounds[ROUNDS], p50_us;
};

static double sample(struct source *source)
{
	return source->request.text ? time_request(&source->request, source->wanted)
	                            : source->sample();
}

/* Where the answers say that the time went. */
static struct told {
	const char *key;
	struct samples ms;
} told[] = {
        {.key = "queue_ms"},
        {.key = "setup_ms"},
        {.key = "run_ms"},
        {.key = "total_ms"},
};

static void take_told(void)
{
	const char *at;
	size_t i;

	for (i = 0; i < ARRAY_LEN(told); i++) {
		at = strstr(client.data, "\"time\":");
		at = at ? strstr(at, told[i].key) : NULL;
		if (at)
			samples_add(&told[i].ms, strtod(at + strlen(told[i].key) + 2, NULL));
	}
}

static void report_told(void)
{
	char key[60];
	size_t i;

	for (i = 0; i < ARRAY_LEN(told); i++) {
		snprintf(key, sizeof key, "http_true_%s", told[i].key);
		report(key, samples_at(&told[i].ms, 0.5), NULL);
	}
}

/* Fills p50_us of each: the median of the rounds' medians. */
static void measure(struct source *sources, size_t count, unsigned number)
{
	unsigned round, n;
	char key[60];
	size_t i;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < count; i++)
			samples_clear(&sources[i].samples);
		for (n = 0; n < number + WARM_UP; n++)
			for (i = 0; i < count; i++) {
				double us;

				pause_us(GAP_US);
				us = sample(&sources[i]);
				if (n >= WARM_UP)
					samples_add(&sources[i].samples, us);
				if (n >= WARM_UP && sources[i].tells)
					take_told();
			}
		for (i = 0; i < count; i++)
			sources[i].rounds[round] = samples_at(&sources[i].samples, 0.5);
	}
	for (i = 0; i < count; i++) {
		sources[i].p50_us = median(sources[i].rounds, ROUNDS);
		snprintf(key, sizeof key, "%s_p50_us", sources[i].name);
		report(key, sources[i].p50_us, NULL);
		free(sources[i].samples.value);
	}
}

static double sample_direct(void)
{
	return ask_true(&pool.daemon, "true0", false);
}

/* The program prints its clock; until its first line is here, of the same clock. */
static double sample_first_byte(void)
{
	static struct http_request request;
	static const char mark[] = "{\"stdout\":\"";
	double us = -1;
	int got;

	if (!request.text)
		request = http_post(
		        "/run", "application/x-ndjson",
		        "{\"language\":\"load0\",\"code\":\"x\",\"arguments\":[\"clock\"]}");
	if (http_write(&client, &request) < 0)
		http_write(&client, &request);
	do {
		const char *at;

		got = http_read(&client);
		if (got < 0)
			die("a stream broke");
		at = us < 0 ? strstr(client.data, mark) : NULL;
		if (at && strchr(at + strlen(mark), '"'))
			us = (double)(clock_us() - strtoull(at + strlen(mark), NULL, 10));
	} while (got == 0);
	if (us < 0 || http_status(&client) != 200)
		fail_request(&request, http_status(&client));
	return us;
}

static void latency(void)
{
	enum { DIRECT, TRUE, REPLY, WRAP, SPAWN_TRUE, PYTHON, SPAWN_PYTHON, FIRST, COUNT };
	struct source s[COUNT] = {
	        [DIRECT] = {.name = "direct_true", .sample = sample_direct},
	        [TRUE] = {.name = "http_true",
	                  .tells = true,
	                  .request = http_post("/run", NULL, TRUE_JOB),
	                  .wanted = "\"success\""},
	        [REPLY] = {.name = "http_reply",
	                   .request = http_post("/reply", NULL, TRUE_JOB)},
	        [WRAP] = {.name = "fcgiwrap_true",
	                  .request = http_post("/wrap", NULL, TRUE_JOB)},
	        [SPAWN_TRUE] = {.name = "unsandboxed_true",
	                        .request = http_post("/spawn-true", NULL, TRUE_JOB)},
	        [PYTHON] = {.name = "http_python",
	                    .request = http_post("/plain", NULL, PYTHON_JOB),
	                    .wanted = "\"1\\n\""},
	        [SPAWN_PYTHON] = {.name = "unsandboxed_python",
	                          .request = http_post("/spawn-python", NULL, PYTHON_JOB),
	                          .wanted = "\r\n1\n"},
	        [FIRST] = {.name = "first_byte", .sample = sample_first_byte},
	};
	double overhead_us;

	measure(s, COUNT, runs);
	report_told();
	overhead_us = s[TRUE].p50_us - s[DIRECT].p50_us;
	report("http_overhead_ms", overhead_us / 1000, "<= 0.17");
	report("http_overhead_ratio", overhead_us / s[REPLY].p50_us, "<= 1.0");
	report("true_vs_fcgiwrap", s[TRUE].p50_us / s[WRAP].p50_us, "<= 0.65");
	report("true_vs_unsandboxed", s[TRUE].p50_us / s[SPAWN_TRUE].p50_us, "<= 1.4");
	report("python_vs_unsandboxed", s[PYTHON].p50_us / s[SPAWN_PYTHON].p50_us, "<= 1.15");
	report("first_byte_ms", s[FIRST].p50_us / 1000, "<= 1.5");
}

/* ---- rate, closed loop ---- */

/* Good answers per second to so many clients; refused: counted, where not NULL. */
static double request_rate(const struct http_request *request, const char *wanted,
                           unsigned clients, double seconds)
{
	volatile uint64_t *count =
	        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t end = clock_us() + (uint64_t)(seconds * 1e6), total = 0;
	unsigned i;
	int status;
	bool good = true;

	for (i = 0; i < clients; i++)
		if (fork() == 0) {
			http_open(&client, port);
			while (clock_us() < end) {
				time_request(request, wanted);
				count[i]++;
			}
			_exit(0);
		}
	for (i = 0; i < clients; i++)
		good = wait(&status) > 0 && status == 0 && good;
	if (!good)
		die("a client failed");
	for (i = 0; i < clients; i++)
		total += count[i];
	munmap((void *)(uintptr_t)count, 4096);
	return (double)total / seconds;
}

static void rates(void)
{
	static const struct {
		const char *name, *path, *bare_path, *body, *wanted, *bound;
	} rows[] = {
	        {"true", "/run", "/spawn-true", TRUE_JOB, "\"success\"",
	         ">= 0.30"},
	        {"python", "/run", "/spawn-python", PYTHON_JOB, "\"1\\n\"",
	         ">= 0.85"},
	};
	double seconds = runs < 100 ? 1 : RATE_S;
	unsigned round;
	char key[60];
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_request boxed = http_post(rows[i].path, NULL, rows[i].body);
		struct http_request bare = http_post(rows[i].bare_path, NULL, rows[i].body);
		double rate[ROUNDS], bare_rate[ROUNDS];

		for (round = 0; round < ROUNDS; round++) {
			bare_rate[round] = request_rate(&bare, NULL, CLIENTS, seconds);
			rate[round] = request_rate(&boxed, rows[i].wanted, CLIENTS, seconds);
		}
		snprintf(key, sizeof key, "%s_rate", rows[i].name);
		report(key, median(rate, ROUNDS), NULL);
		snprintf(key, sizeof key, "%s_rate_unsandboxed", rows[i].name);
		report(key, median(bare_rate, ROUNDS), NULL);
		snprintf(key, sizeof key, "%s_rate_ratio", rows[i].name);
		report(key, median(rate, ROUNDS) / median(bare_rate, ROUNDS), rows[i].bound);
	}
}

/* ---- interpreters ahead ---- */

static struct ahead {
	const char *name, *path, *body, *bound;
	char *argv[4];
	struct spawner spawner;
} aheads[] = {
        {"python",
         "/usr/bin/python3",
         PYTHON_JOB,
         "<= 0.25",
         {(char[]){"/usr/bin/python3"}, (char[]){"-c"}, (char[]){"print(1)"}, NULL},
         {-1, 0}},
        {"node",
         "/usr/bin/node",
         JOB("nodejs", "console.log(1)\\n"),
         "<= 0.2",
         {(char[]){"/usr/bin/node"}, (char[]){"-e"}, (char[]){"console.log(1)"}, NULL},
         {-1, 0}},
        {"ruby",
         "/usr/bin/ruby",
         JOB("ruby", "puts 1\\n"),
         "<= 0.3",
         {(char[]){"/usr/bin/ruby"}, (char[]){"-e"}, (char[]){"puts 1"}, NULL},
         {-1, 0}},
};
static const struct ahead *ahead_now;

/* Before any memory is used: the yardsticks must stay small. */
static void start_spawners(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(aheads); i++)
		if (access(aheads[i].path, X_OK) == 0)
			aheads[i].spawner = spawner_start(aheads[i].argv, false);
}

static void stop_spawners(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(aheads); i++)
		if (aheads[i].spawner.pid)
			spawner_stop(&aheads[i].spawner);
}

static double sample_bare(void)
{
	return spawner_time((struct spawner *)(uintptr_t)&ahead_now->spawner);
}

/* One language after another: a box holds only one interpreter ahead. Spaced wide
 * enough that it is there again, as it is for a person. */
static void ahead(void)
{
	char key[60], names[3][40];
	size_t i;

	for (i = 0; i < ARRAY_LEN(aheads); i++) {
		struct source s[2] = {
		        {.name = names[0],
		         .request = http_post("/run", NULL, aheads[i].body),
		         .wanted = "\"success\""},
		        {.name = names[1], .sample = sample_bare},
		};

		snprintf(key, sizeof key, "%s_ahead_vs_bare", aheads[i].name);
		if (!aheads[i].spawner.pid) {
			printf("%-34s not measured, %s is missing\n", key, aheads[i].path);
			continue;
		}
		ahead_now = &aheads[i];
		snprintf(names[0], sizeof names[0], "%s_ahead", aheads[i].name);
		snprintf(names[1], sizeof names[1], "%s_bare", aheads[i].name);
		measure(s, 2, runs);
		report(key, s[0].p50_us / s[1].p50_us, aheads[i].bound);
	}
}

/* ---- compiled languages ---- */

#define CPP_HELLO "#include <iostream>\\nint main() { std::cout << \\\"Hello\\\\n\\\"; }\\n"
#define JAVA_HELLO                                                                             \
	"public class Main { public static void main(String[] a) "                             \
	"{ System.out.println(\\\"Hello\\\"); } }\\n"

/* The same with a comment that nobody has sent before. */
static struct http_request new_request(const char *language, const char *code)
{
	static unsigned turn;
	char body[1000];

	snprintf(body, sizeof body, "{\"language\":\"%s\",\"code\":\"%s// %d %u\\n\"}",
	         language, code, (int)getpid(), ++turn);
	return http_post("/run", NULL, body);
}

static double time_miss(const char *language, const char *code)
{
	struct http_request request = new_request(language, code);
	double us = time_request(&request, "\"Hello\\n\"");

	free(request.text);
	return us;
}

/* Does it work in a box of this host at all? If not, the figure is not there, and why. */
static bool works(const char *key, const char *language, const char *code)
{
	struct http_request request = new_request(language, code);
	char text[200] = "no answer";
	const char *at;
	int status = http_exchange(&client, &request, NULL);

	free(request.text);
	if (status == 200 && strstr(client.data, "\"Hello\\n\""))
		return true;
	at = status > 0 ? strstr(client.data, "\"message\":\"") : NULL;
	if (at) {
		at += strlen("\"message\":\"");
		snprintf(text, sizeof text, "%.*s", (int)strcspn(at, "\""), at);
	}
	printf("%-34s not measured, %s does not work here: %s\n", key, language, text);
	return false;
}

static void compiled(void)
{
	struct source hit = {.name = "compile_hit",
	                     .wanted = "\"cached\":true",
	                     .request = http_post("/run", NULL, JOB("cpp", CPP_HELLO))};
	struct samples miss = {0};
	unsigned number = runs < 50 ? 3 : 20, n;

	if (!works("compile_hit_ms", "cpp", CPP_HELLO))
		return;
	for (n = 0; n < number; n++)
		samples_add(&miss, time_miss("cpp", CPP_HELLO));
	/* who was the first is a miss, and what it made is kept once it has run */
	time_request(&hit.request, NULL);
	pause_us(500000);
	measure(&hit, 1, runs);
	report("compile_miss_ms", samples_at(&miss, 0.5) / 1000, NULL);
	report("compile_hit_ms", hit.p50_us / 1000, "<= 3");
	report("compile_hit_ratio", hit.p50_us / samples_at(&miss, 0.5), "<= 0.02");
	free(miss.value);
}

/* Without our options, and what they say of archives in the image. */
static struct language plain_java(const struct language *java)
{
	static char compiler[] = "javac", source[] = "Main.java", runner[] = "java", class[] = "Main";
	static char *build[] = {compiler, source, NULL}, *run[] = {runner, class, NULL};
	struct language without = *java;

	without.argv[STAGE_BUILD] = (struct argv_list){.word = build, .count = 2};
	without.argv[STAGE_RUN] = (struct argv_list){.word = run, .count = 2};
	without.environment.count = 0;
	return without;
}

static void java(void)
{
	const struct language language =
	        plain_java(language_find(pool.daemon.table, "java"));
	struct samples boxed = {0}, bare = {0};
	unsigned number = runs < 50 ? 2 : 10, n;
	char code[300];

	if (!works("java_hello_vs_bare", "java", JAVA_HELLO))
		return;
	snprintf(code, sizeof code,
	         "public class Main { public static void main(String[] a) "
	         "{ System.out.println(\"Hello\"); } }\n");
	for (n = 0; n < number; n++) {
		struct bare_job job = {.language = &language,
		                       .code = code,
		                       .input = "",
		                       .output = "Hello\n",
		                       .home = home};

		samples_add(&boxed, time_miss("java", JAVA_HELLO));
		samples_add(&bare, bare_time(&job));
	}
	report("java_bare_ms", samples_at(&bare, 0.5) / 1000, NULL);
	report("java_miss_ms", samples_at(&boxed, 0.5) / 1000, NULL);
	report("java_hello_vs_bare", samples_at(&boxed, 0.5) / samples_at(&bare, 0.5),
	       "<= 0.7");
	free(boxed.value);
	free(bare.value);
}

/* ---- overload ---- */

struct caller {
	struct http http;
	uint64_t next_us, sent_us; /* sent_us 0: waits for its turn */
};

struct offered {
	unsigned accepted, refused, other;
	struct samples refusal_us;
};

static void take_answer(struct caller *caller, struct offered *offered)
{
	int got = http_read(&caller->http), status;

	if (got == 0)
		return;
	status = got < 0 ? -1 : http_status(&caller->http);
	if (status == 200) {
		offered->accepted++;
	} else if (status == 503) {
		offered->refused++;
		samples_add(&offered->refusal_us, (double)(clock_us() - caller->sent_us));
	} else {
		offered->other++;
	}
	caller->sent_us = 0;
}

/* So many a second from so many clients; who has no answer yet leaves out a turn. */
static void offer(const struct http_request *request, double rate, unsigned callers_count,
                  double seconds, struct offered *offered)
{
	struct caller *callers = calloc(callers_count, sizeof *callers);
	struct pollfd *polls = calloc(callers_count, sizeof *polls);
	uint64_t period_us = (uint64_t)(callers_count * 1e6 / rate), start = clock_us();
	uint64_t end = start + (uint64_t)(seconds * 1e6), now;
	unsigned i;

	for (i = 0; i < callers_count; i++) {
		http_open(&callers[i].http, port);
		callers[i].next_us = start + i * period_us / callers_count;
	}
	while ((now = clock_us()) < end) {
		uint64_t wake = end;

		for (i = 0; i < callers_count; i++) {
			struct caller *c = &callers[i];

			while (c->next_us + period_us < now)
				c->next_us += period_us;
			if (!c->sent_us && c->next_us <= now) {
				c->next_us += period_us;
				c->sent_us = clock_us();
				if (http_write(&c->http, request) < 0) {
					offered->other++;
					close_fd(&c->http.fd);
					c->sent_us = 0;
				}
			}
			if (!c->sent_us && c->next_us < wake)
				wake = c->next_us;
			polls[i] = (struct pollfd){c->sent_us ? c->http.fd : -1, POLLIN, 0};
		}
		now = clock_us();
		if (poll(polls, callers_count,
		         wake > now ? (int)((wake - now) / 1000 + 1) : 0) <= 0)
			continue;
		for (i = 0; i < callers_count; i++)
			if (callers[i].sent_us && polls[i].revents)
				take_answer(&callers[i], offered);
	}
	for (i = 0; i < callers_count; i++)
		http_close(&callers[i].http);
	free(callers);
	free(polls);
}

/* A program that naps, so that what is measured is the queue, and not this client's
 * and nginx's share of the cores. */
static void overload(void)
{
	struct http_request request =
	        http_post("/run", NULL,
	                  "{\"language\":\"load0\",\"code\":\"x\",\"arguments\":[\"nap\"]}");
	double seconds = runs < 300 ? 5 : 60, peak;
	struct offered offered = {0};
	unsigned slots = pool.daemon.info.slots;

	peak = request_rate(&request, "\"success\"", 2 * slots, seconds / 6);
	offer(&request, 10 * peak, 40 * slots, seconds, &offered);
	report("overload_peak_rate", peak, NULL);
	report("overload_accepted", offered.accepted, NULL);
	report("overload_refused", offered.refused, NULL);
	report("overload_other", offered.other, "0");
	report("overload_accept_ratio", offered.accepted / seconds / peak, ">= 0.9");
	if (offered.refused)
		report("refusal_p99_ms", samples_at(&offered.refusal_us, 0.99) / 1000,
		       "<= 2050");
	else
		die("nobody was refused: the pool was not overloaded");
	free(offered.refusal_us.value);
}

/* ---- memory of a worker ---- */

static bool is_run_worker(int pid, int parent)
{
	char path[60], text[400], name[20];
	const char *behind;
	int ppid;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (io_read_text_at(-1, path, text, sizeof text) < 0 ||
	    sscanf(text, "%*d (%19[^)]", name) != 1 || !(behind = strrchr(text, ')')) ||
	    sscanf(behind, ") %*c %d", &ppid) != 1)
		return false;
	return ppid == parent && !strcmp(name, "sandpool-run");
}

static double private_kib(int pid)
{
	static const char *const keys[] = {"Private_Clean:", "Private_Dirty:"};
	char path[60], text[4096];
	double sum = 0;
	size_t i;

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
	if (io_read_text_at(-1, path, text, sizeof text) < 0)
		return 0;
	for (i = 0; i < ARRAY_LEN(keys); i++) {
		const char *at = strstr(text, keys[i]);

		sum += at ? strtod(at + strlen(keys[i]), NULL) : 0;
	}
	return sum;
}

/* The largest of the pool's run workers. */
static double worker_memory(const struct pool *p)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	double most = 0;

	while (proc && (entry = readdir(proc)) != NULL) {
		int pid = atoi(entry->d_name);
		double kib = pid > 0 && is_run_worker(pid, p->fcgi_pid) ? private_kib(pid) : 0;

		if (kib > most)
			most = kib;
	}
	if (proc)
		closedir(proc);
	return most;
}

static void memory(void)
{
	struct http_request mixed[] = {
	        http_post("/small", NULL, TRUE_JOB),
	        http_post("/small", "application/msgpack", TRUE_JOB),
	        http_post("/small", "application/x-ndjson", TRUE_JOB),
	        http_post("/small", "text/plain", TRUE_JOB),
	        http_post("/small", NULL,
	                  "{\"language\":\"load0\",\"code\":\"x\",\"arguments\":[\"mib\"]}"),
	};
	unsigned number = runs < 300 ? 20 * runs : 20000, n;
	struct pool small;

	/* two workers, which share them: ten thousand each */
	pool_start(&small, "small",
	           "slots = \"1\"; queue = \"1\"; worker-requests = \"100000000\";\n");
	await_run("/small");
	for (n = 0; n < number; n++) {
		bool large = n % 50 == 49;
		int status = http_exchange(&client, &mixed[large ? 4 : n % 4], NULL);

		if (status != 200) {
			fprintf(stderr, "request %u: ", n);
			fail_request(&mixed[large ? 4 : n % 4], status);
		}
		if (n == 100)
			report("worker_rss_kib_at_start", worker_memory(&small), NULL);
	}
	report("worker_rss_requests", number / 2, NULL);
	report("worker_rss_kib", worker_memory(&small), "<= 3000");
	pool_stop(&small);
}

/* ---- main ---- */

int main(int argc, char **argv)
{
	const char *json_path = NULL, *part = "all";
	const struct option_row options[] = {
		{ 'd', "HOME", &home, NULL, true },
		{ 'i', "IMAGES", &daemon_images, NULL, false },
		{ 'n', "RUNS", NULL, &runs, true },
		{ 'j', "FILE", &json_path, NULL, false },
		{ 'p', "PART", &part, NULL, false },
	};
	static const struct part parts[] = {
	        {"latency", latency},   {"rates", rates}, {"ahead", ahead},
	        {"compiled", compiled}, {"java", java},   {"overload", overload},
	        {"memory", memory},
	};

	options_read(argc, argv, options, ARRAY_LEN(options));
	parts_check(part, parts, ARRAY_LEN(parts));
	catch_signals();
	start_spawners();
	report_open(json_path);
	start_all();
	http_open(&client, port);
	await_run("/run");
	await_run("/plain");
	report("cgroup_mode", (double)pool.daemon.info.cgroup_mode, "1 v2, 2 hybrid, 3 v1");
	report("slots", (double)pool.daemon.info.slots, NULL);
	parts_run(part, parts, ARRAY_LEN(parts));
	stop_all();
	stop_spawners();
	report_close();
	return 0;
}
