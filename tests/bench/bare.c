/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "tests/bench/bare.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/bench/bench.h"

#define WORDS_MAX  200
#define OUTPUT_MAX 65536
#define PATIENCE_S 60

struct command {
	char *word[WORDS_MAX + 1];
	size_t count;
	char room[16384];
};

static int take_word(void *data, const char *word, size_t size)
{
	struct command *command = data;

	(void)size;
	if (command->count == WORDS_MAX)
		return -1;
	command->word[command->count++] = (char *)(uintptr_t)word;
	command->word[command->count] = NULL;
	return 0;
}

static void expand(const struct bare_job *job, enum stage stage, struct command *ret_command)
{
	struct bytes file = {job->language->file, strlen(job->language->file)};
	struct bytes arguments[WORDS_MAX];
	struct language_words words = {
	        .main_file = file, .files = &file, .files_count = 1, .arguments = arguments};
	size_t i;

	for (i = 0; job->arguments && i < job->arguments->count && i < WORDS_MAX; i++)
		arguments[words.arguments_count++] = (struct bytes){
		        job->arguments->word[i], strlen(job->arguments->word[i])};
	ret_command->count = 0;
	if (language_expand(&job->language->argv[stage], &words, ret_command->room,
	                    sizeof ret_command->room, take_word, ret_command) < 0)
		die("%s: too many words", job->language->id);
}

/* The image's own, as it stands in its file. */
static void set_image_environment(const char *path)
{
	char line[4096];
	FILE *file = path ? fopen(path, "re") : NULL;

	while (file && fgets(line, sizeof line, file)) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' && strchr(line, '='))
			putenv(strdup(line));
	}
	if (file)
		fclose(file);
}

static void set_environment(const struct bare_job *job, const char *directory)
{
	size_t i;

	clearenv();
	for (i = 0; language_environment[i]; i++)
		putenv((char *)(uintptr_t)language_environment[i]);
	set_image_environment(job->environment);
	for (i = 0; i < job->language->environment.count; i++)
		putenv(job->language->environment.word[i]);
	setenv("HOME", directory, 1);
}

static void mount_to(const char *from, const char *root, const char *at)
{
	char path[400];

	snprintf(path, sizeof path, "%s%s", root, at);
	if (mount(from, path, NULL, MS_BIND | MS_REC, NULL) < 0)
		_exit(125);
}

/* Into the image, where the work folder has the place that it has in a box. */
static void enter_root(const char *root, const char *directory)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(125);
	mount_to(directory, root, "/box");
	mount_to("/tmp", root, "/tmp");
	mount_to("/dev", root, "/dev");
	mount_to("/proc", root, "/proc");
	if (chroot(root) < 0 || chdir("/box") < 0)
		_exit(125);
}

/* One command, its output read to the end. */
static bool spawn(char *const *argv, char *out, size_t *ret_size)
{
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return false;
	pid = fork();
	if (pid == 0) {
		int input = open(".input", O_RDONLY | O_CLOEXEC);

		dup2(input, 0);
		dup2(ends[1], 1);
		alarm(PATIENCE_S);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	*ret_size = 0;
	while ((n = read(ends[0], out + *ret_size, OUTPUT_MAX - *ret_size)) > 0)
		*ret_size += (size_t)n;
	close(ends[0]);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

/* What a program says of its folder, in the words that it would use in a box. */
static void rename_folder(char *text, size_t *size, const char *directory)
{
	size_t length = strlen(directory);
	char *at, *from = text;

	while ((at = memmem(from, *size - (size_t)(from - text), directory, length)) != NULL) {
		char *behind = at + length;

		memcpy(at, "/box", 4);
		memmove(at + 4, behind, *size - (size_t)(behind - text));
		*size -= length - 4;
		from = at + 4;
	}
}

/* In a process of its own: only the commands are timed, not the way to there. */
static double work(const struct bare_job *job, const char *directory)
{
	static struct command build, run;
	static char out[OUTPUT_MAX];
	bool has_build = job->language->argv[STAGE_BUILD].count > 0;
	uint64_t start;
	size_t size;
	double took;
	int quiet;

	/* the image's file is out of sight later */
	set_environment(job, job->root ? "/box" : directory);
	if (job->root)
		enter_root(job->root, directory);
	else if (chdir(directory) < 0)
		return -1;
	if (setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		return -1;
	quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(quiet, 2);
	expand(job, STAGE_RUN, &run);
	if (has_build)
		expand(job, STAGE_BUILD, &build);
	start = clock_us();
	if ((has_build && !spawn(build.word, out, &size)) || !spawn(run.word, out, &size))
		return -1;
	took = (double)(clock_us() - start);
	rename_folder(out, &size, directory);
	if (job->output && (size != strlen(job->output) || memcmp(out, job->output, size) != 0))
		return -1;
	return took;
}

static void put(const char *directory, const char *name, const char *text)
{
	char path[600], *slash;
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	for (slash = path + strlen(directory) + 1; (slash = strchr(slash, '/')) != NULL;
	     slash++) {
		*slash = '\0';
		mkdir(path, 0777);
		*slash = '/';
	}
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file) != 0)
		die("%s", path);
}

double bare_try(const struct bare_job *job)
{
	char directory[300];
	double took = -1;
	int ends[2];
	pid_t pid;

	snprintf(directory, sizeof directory, "%s/bare-XXXXXX", job->home);
	if (!mkdtemp(directory) || chmod(directory, 0777) < 0 || pipe2(ends, O_CLOEXEC) < 0)
		die("%s", directory);
	put(directory, job->language->file, job->code);
	put(directory, ".input", job->input);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		took = work(job, directory);
		_exit(write(ends[1], &took, sizeof took) == sizeof took ? 0 : 1);
	}
	close(ends[1]);
	if (read(ends[0], &took, sizeof took) != sizeof took)
		took = -1;
	close(ends[0]);
	waitpid(pid, NULL, 0);
	remove_tree(directory);
	return took;
}

double bare_time(const struct bare_job *job)
{
	double took = bare_try(job);

	if (took < 0)
		die("%s does not work without a box", job->language->id);
	return took;
}
