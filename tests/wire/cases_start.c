/* SPDX-License-Identifier: ISC */
/* The ways in which it is started: with sockets handed over, as root, as CGI. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/wire/cases.h"
#include "tests/wire/harness.h"

/* ---- sockets that are handed over ---- */

static int listen_at(const char *path)
{
	struct error err = ERROR_INIT;
	int fd = io_listen_unix(path, SOCK_STREAM, 0666, (gid_t)-1, 16, &err);

	if (fd < 0)
		trouble("%s\n", err.text);
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

void test_handed_over(void)
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

void test_root(void)
{
	char path[64], text[4096], conf[128], program[512], option[] = "-t";
	char option_c[] = "-c";
	char *argv[] = { program, option_c, conf, option, NULL };
	cleanup_close int fd = -1;
	ssize_t size;

	if (geteuid() != 0) {
		skip("not root: there is nothing to give away");
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
		trouble("the CGI program does not read\n");
	n = io_read_full(out[0], text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	close(in[1]);
	close(out[0]);
	wait_end(pid, PATIENCE_MS);
	return text;
}

void test_cgi(void)
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
