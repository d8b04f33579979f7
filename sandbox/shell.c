/* SPDX-License-Identifier: ISC */
/* Runs as: root, by hand: sandpool shell [IMAGE|LANGUAGE [COMMAND...]]. A look
 * inside a box, with the limits of a run but for the clock. */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/language.h"
#include "common/log.h"
#include "config.h"
#include "sandbox/workbench.h"

static void usage(FILE *out)
{
	fputs("usage: sandpool shell [-c FILE] [IMAGE | LANGUAGE] [COMMAND [ARGUMENT...]]\n"
	      "  opens a shell, or runs a command, in a box: same root, same limits, same\n"
	      "  filter as a submitted program, without the wall clock\n",
	      out);
}

/* An image by its own name, or the one that a language would run in. */
static int find_image(const struct workbench *bench, const struct language_table *table,
		      const char *name, struct error *err)
{
	uint8_t image_of[WIRE_LANGUAGES_MAX];
	const struct language *language = language_find(table, name);
	int image = image_find(&bench->images, name);

	if (image >= 0)
		return image;
	if (!language)
		return error_set(err, ENOENT, "there is no image or language \"%s\"", name);
	image_match_languages(&bench->images, table, image_of);
	image = image_of[language_index(table, language)];
	if (image == WIRE_IMAGE_NONE)
		return error_set(err, ENOENT, "%s is not installed in any image", name);
	return image;
}

static int open_shell(struct workbench *bench, const char *name, char **command, struct error *err)
{
	static char *interactive[] = { (char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-i", NULL };
	static const int stdio_fd[] = { 0, 1, 2 };
	/* read while the host's files are still in sight */
	struct language_table *table =
		language_table_load(bench->settings.language_directory, true, err);
	int image = -1, status;

	if (table && workbench_open(bench, "shell", err) == 0)
		image = find_image(bench, table, name, err);
	language_table_free(table);
	if (image < 0 || workbench_take(bench, (unsigned)image, err) < 0 ||
	    workbench_run(bench, command[0] ? command : interactive, stdio_fd, 0, &status, err) < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	static struct workbench bench;
	struct error err = ERROR_INIT;
	const char *conf_path = NULL, *name = IMAGE_HOST;
	int option, rc;

	while ((option = getopt(argc, argv, "+c:hv")) != -1) {
		switch (option) {
		case 'c':
			conf_path = optarg;
			break;
		case 'v':
			puts("sandpool-shell " PACKAGE_VERSION);
			return 0;
		case 'h':
			usage(stdout);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind < argc)
		name = argv[optind++];
	workbench_own_group(argv);
	log_open("sandpool shell", LOG_NOTICE);
	if (geteuid() != 0) {
		fputs("sandpool shell: must be started by root\n", stderr);
		return 1;
	}
	/* the terminal's signals are for the program, which is in another session;
	 * we only wait for it */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	if (settings_load(conf_path, true, &bench.settings, &err) < 0)
		rc = -1;
	else
		rc = open_shell(&bench, name, argv + optind, &err);
	if (rc < 0)
		fprintf(stderr, "sandpool shell: %s\n", err.text);
	workbench_close(&bench);
	return rc < 0 ? 1 : rc;
}
