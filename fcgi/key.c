/* SPDX-License-Identifier: ISC */
/* The program sandpool-key: adds, lists and removes API keys.
 * Runs as: the administrator. Every change leaves a line in the system's log of
 * authentications; the running pool sees the new file by itself. */
#define _GNU_SOURCE
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "common/io.h"
#include "common/settings.h"
#include "fcgi/keys.h"

#define KEY_BYTES 32

static const char usage_text[] =
	"Usage: sandpool key [-c FILE] [-k FILE] COMMAND\n"
	"\n"
	"  add NAME [--paths LIST] [--limits LIST] [--concurrency N]\n"
	"                 makes a key and prints it, this once\n"
	"  list           the names, and what each may do\n"
	"  remove NAME    from now on that key is refused\n"
	"\n"
	"  -c FILE        the configuration, for its keys-file\n"
	"  -k FILE        the keys file itself\n"
	"  --paths        /run,/api/execute (all)\n"
	"  --limits       memory=128MiB,wall=5s: the most it may ask for (the server's)\n"
	"  --concurrency  requests at the same time (any number)\n";

struct command {
	const char *path; /* of the keys file */
	const char *name;
	const char *paths, *limits, *concurrency;
};

static int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static int fail(const char *fmt, ...)
{
	va_list ap;

	fputs("sandpool key: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return -1;
}

/* Who changed what, by the user that the terminal's session belongs to. */
static void audit(const char *what, const char *name)
{
	const char *by = getenv("SUDO_USER");

	openlog("sandpool-key", LOG_PID, LOG_AUTHPRIV);
	syslog(LOG_NOTICE, "key %s: %s, by %s (uid %u)", name, what,
	       by && key_name_valid(by) ? by : "this user", (unsigned)getuid());
	closelog();
	fprintf(stderr, "sandpool key: %s: %s\n", name, what);
}

/* ---- the file, whole ---- */

static char *read_file(const char *path, size_t *ret_size)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t size;
	char *text;

	*ret_size = 0;
	if (fd < 0)
		return errno == ENOENT ? strdup("") : NULL;
	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size > KEYS_FILE_MAX)
		return NULL;
	text = malloc((size_t)st.st_size + 2); /* and a line end, and NUL */
	if (!text)
		return NULL;
	size = io_read_full(fd, text, (size_t)st.st_size);
	if (size < 0) {
		free(text);
		return NULL;
	}
	if (size > 0 && text[size - 1] != '\n')
		text[size++] = '\n';
	text[size] = '\0';
	*ret_size = (size_t)size;
	return text;
}

/* The new file takes the old one's place at once, with its owner, group and mode:
 * no reader ever sees half of it. */
static int replace_file(const char *path, const char *text, size_t size)
{
	cleanup_free char *temporary = NULL;
	cleanup_close int fd = -1;
	struct stat st;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
		temporary = NULL;
		return fail("out of memory");
	}
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return fail("%s: %s", temporary, strerror(errno));
	if (stat(path, &st) < 0) {
		if (fchmod(fd, 0640) < 0)
			goto failed;
	} else if (fchown(fd, st.st_uid, st.st_gid) < 0 || fchmod(fd, st.st_mode & 0777) < 0) {
		goto failed;
	}
	if (io_write_full(fd, text, size) == 0 && fsync(fd) == 0 && rename(temporary, path) == 0)
		return 0;
failed:
	fail("%s: %s", path, strerror(errno));
	unlink(temporary);
	return -1;
}

/* One who changes the file at a time: the folder is locked, for the file is replaced. */
static int lock_folder(const char *path)
{
	cleanup_free char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	int fd;

	if (!folder)
		return fail("out of memory");
	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return fail("%s: %s", slash ? folder : ".", strerror(errno));
	return fd;
}

static int check(const char *text, size_t size, struct keys *ret_keys)
{
	struct error err = ERROR_INIT;

	return keys_parse(text, size, ret_keys, &err) < 0 ? fail("%s", err.text) : 0;
}

/* ---- commands ---- */

static void to_hex(const uint8_t *bytes, size_t size, char *text)
{
	size_t i;

	for (i = 0; i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static int command_add(const struct command *c)
{
	cleanup_free char *old = NULL, *text = NULL;
	cleanup_close int lock_fd = lock_folder(c->path);
	uint8_t random[KEY_BYTES], hash[KEYS_HASH_BYTES];
	char key[2 * KEY_BYTES + 1], hash_text[2 * KEYS_HASH_BYTES + 1];
	struct keys keys = { 0 };
	size_t old_size;
	int size;

	if (lock_fd < 0)
		return -1;
	if (!key_name_valid(c->name))
		return fail("a name has 1 to %d letters, digits and _.@-", KEYS_NAME_MAX);
	old = read_file(c->path, &old_size);
	if (!old)
		return fail("%s: %s", c->path, strerror(errno));
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return fail("no random bytes: %s", strerror(errno));
	to_hex(random, sizeof random, key);
	key_hash(key, hash);
	to_hex(hash, sizeof hash, hash_text);
	size = asprintf(&text, "%s%s:%s:%s:%s:%s\n", old, c->name, hash_text, c->paths, c->limits,
			c->concurrency);
	if (size < 0) {
		text = NULL;
		return fail("out of memory");
	}
	if (check(text, (size_t)size, &keys) < 0)
		return -1;
	keys_free(&keys);
	if (replace_file(c->path, text, (size_t)size) < 0)
		return -1;
	audit("added", c->name);
	printf("%s\n", key);
	return 0;
}

static int command_remove(const struct command *c)
{
	cleanup_close int lock_fd = lock_folder(c->path);
	cleanup_free char *text = NULL;
	size_t size, name_size = strlen(c->name);
	char *line, *next;

	if (lock_fd < 0)
		return -1;
	text = read_file(c->path, &size);
	if (!text)
		return fail("%s: %s", c->path, strerror(errno));
	for (line = text; *line; line = next) {
		next = strchr(line, '\n') + 1;
		if (!strncmp(line, c->name, name_size) && line[name_size] == ':') {
			memmove(line, next, strlen(next) + 1);
			if (replace_file(c->path, text, strlen(text)) < 0)
				return -1;
			audit("removed", c->name);
			return 0;
		}
	}
	return fail("there is no key \"%s\"", c->name);
}

static int command_list(const struct command *c)
{
	cleanup_free char *text = NULL;
	struct keys keys = { 0 };
	size_t size, i, k;

	text = read_file(c->path, &size);
	if (!text)
		return fail("%s: %s", c->path, strerror(errno));
	if (check(text, size, &keys) < 0)
		return -1;
	for (i = 0; i < keys.count; i++) {
		const struct key *key = &keys.key[i];

		printf("%s\tpaths=%s", key->name, key->paths[0] ? key->paths : "all");
		for (k = 0; k < LIMIT_FIELDS; k++)
			if (limit_get(&key->max, &limit_fields[k]))
				printf("\t%s=%llu", limit_fields[k].name,
				       (unsigned long long)limit_get(&key->max, &limit_fields[k]));
		if (key->concurrency)
			printf("\tconcurrency=%llu", (unsigned long long)key->concurrency);
		putchar('\n');
	}
	keys_free(&keys);
	return 0;
}

static const struct {
	const char *word;
	bool named;
	int (*run)(const struct command *c);
} commands[] = {
	{ "add", true, command_add },
	{ "list", false, command_list },
	{ "remove", true, command_remove },
};

static int run_command(int argc, char **argv, struct command *c)
{
	size_t i;

	for (i = 0; argc > 0 && i < ARRAY_LEN(commands); i++)
		if (!strcmp(argv[0], commands[i].word) && argc == 1 + commands[i].named) {
			c->name = commands[i].named ? argv[1] : NULL;
			return commands[i].run(c) < 0 ? 1 : 0;
		}
	fputs(usage_text, stderr);
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "paths", required_argument, NULL, 'p' },
		{ "limits", required_argument, NULL, 'l' },
		{ "concurrency", required_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 },
	};
	struct command c = { .path = NULL, .paths = "", .limits = "", .concurrency = "" };
	struct settings settings = { 0 };
	struct error err = ERROR_INIT;
	const char *conf = NULL;
	int option, rc;

	while ((option = getopt_long(argc, argv, "c:k:hv", options, NULL)) != -1)
		switch (option) {
		case 'c': conf = optarg; break;
		case 'k': c.path = optarg; break;
		case 'p': c.paths = optarg; break;
		case 'l': c.limits = optarg; break;
		case 'n': c.concurrency = optarg; break;
		case 'v': puts("sandpool-key " PACKAGE_VERSION); return 0;
		case 'h': fputs(usage_text, stdout); return 0;
		default: fputs(usage_text, stderr); return 2;
		}
	if (!c.path) {
		if (settings_load(conf, false, &settings, &err) < 0)
			return fail("%s", err.text), 1;
		c.path = settings.keys_file;
	}
	if (!*c.path)
		return fail("no keys file: set keys-file in the configuration, or give -k"), 1;
	rc = run_command(argc - optind, argv + optind, &c);
	settings_free(&settings);
	return rc;
}
