/* SPDX-License-Identifier: ISC */
/* The program sandpool: "sandpool NAME ..." is the program sandpool-NAME, which lies
 * with the others in one folder. Does nothing else.
 * Runs as: whoever calls it. */
#define _GNU_SOURCE
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "sandpool-"

/* What each command is for, in the order of the usage text; others that are found
 * stand behind them. */
static const struct {
	const char *name, *help;
} known[] = {
#define COMMAND(name, section, help) { #name, help },
#include "common/commands.def"
#undef COMMAND
};

/* In a build tree the programs lie elsewhere. A caller who is somebody else's
 * instrument (set-id, sudo's clean environment) has no say in it. */
static const char *folder(void)
{
	const char *given = secure_getenv("SANDPOOL_LIBEXEC");

	return given && *given ? given : SANDPOOL_LIBEXEC_DIR;
}

static int path_of(char *path, size_t room, const char *name)
{
	int size = snprintf(path, room, "%s/" PREFIX "%s", folder(), name);

	return size < 0 || (size_t)size >= room ? -1 : 0;
}

static int is_command(const struct dirent *entry)
{
	char path[PATH_MAX];

	return !strncmp(entry->d_name, PREFIX, strlen(PREFIX)) &&
	       path_of(path, sizeof path, entry->d_name + strlen(PREFIX)) == 0 &&
	       access(path, X_OK) == 0;
}

static void print_others(void)
{
	struct dirent **entries = NULL;
	int count = scandir(folder(), &entries, is_command, alphasort), i;
	size_t k;

	for (i = 0; i < count; i++) {
		const char *name = entries[i]->d_name + strlen(PREFIX);

		for (k = 0; k < sizeof known / sizeof known[0]; k++)
			if (!strcmp(known[k].name, name))
				break;
		if (k == sizeof known / sizeof known[0] && !strchr(name, '.'))
			printf("  %s\n", name);
		free(entries[i]);
	}
	free(entries);
}

static void print_usage(void)
{
	char path[PATH_MAX];
	size_t i;

	puts("Usage: sandpool COMMAND [arguments]\n");
	for (i = 0; i < sizeof known / sizeof known[0]; i++)
		if (path_of(path, sizeof path, known[i].name) == 0 && access(path, X_OK) == 0)
			printf("  %-10s %s\n", known[i].name, known[i].help);
	print_others();
	puts("\nsandpool COMMAND --help says more. sandpool --version");
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];

	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") ||
	    !strcmp(argv[1], "help")) {
		print_usage();
		return argc < 2 ? 2 : 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-v")) {
		puts("sandpool " PACKAGE_VERSION);
		return 0;
	}
	if (argv[1][0] == '-' || strchr(argv[1], '/') ||
	    path_of(path, sizeof path, argv[1]) < 0) {
		fprintf(stderr, "sandpool: \"%s\" is not a command\n", argv[1]);
		return 2;
	}
	execv(path, argv + 1);
	if (errno == ENOENT)
		fprintf(stderr, "sandpool: there is no command \"%s\"; see sandpool --help\n",
			argv[1]);
	else
		fprintf(stderr, "sandpool: %s: %s\n", path, strerror(errno));
	return errno == ENOENT ? 2 : 1;
}
