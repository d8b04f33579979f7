/* SPDX-License-Identifier: ISC */
/* What a FastCGI program costs without a sandbox, to compare with:
 *	bench_reply SOCKET WORKERS                 answers at once
 *	bench_reply SOCKET WORKERS PROGRAM WORD... spawns it and answers what it printed
 * The body is read in both cases. */
#define _GNU_SOURCE
#include <fcgiapp.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t run(char *const *argv, char *out, size_t room)
{
	size_t size = 0;
	int ends[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		dup2(ends[1], 1);
		execv(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	while (size < room && (n = read(ends[0], out + size, room - size)) > 0)
		size += (size_t)n;
	close(ends[0]);
	waitpid(pid, NULL, 0);
	return size;
}

static void serve(int socket, char *const *argv)
{
	static char out[65536];
	FCGX_Request request;

	FCGX_Init();
	FCGX_InitRequest(&request, socket, 0);
	while (FCGX_Accept_r(&request) == 0) {
		size_t size = 0;

		while (FCGX_GetStr(out, sizeof out, request.in) == (int)sizeof out)
			;
		if (argv[0])
			size = run(argv, out, sizeof out);
		FCGX_FPrintF(request.out,
		             "Content-Type: text/plain\r\nContent-Length: %u\r\n\r\n",
		             (unsigned)size);
		FCGX_PutStr(out, (int)size, request.out);
		FCGX_Finish_r(&request);
	}
}

int main(int argc, char **argv)
{
	int socket, workers, i;

	if (argc < 3)
		return 2;
	workers = atoi(argv[2]);
	FCGX_Init();
	socket = FCGX_OpenSocket(argv[1], 128);
	if (socket < 0 || chmod(argv[1], 0666) < 0)
		return 1;
	for (i = 0; i < workers; i++)
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(socket, argv + 3);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	return 0;
}
