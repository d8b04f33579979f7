/* SPDX-License-Identifier: ISC */
/* Runs as: whoever types. */
#define _GNU_SOURCE
#include "fcgi/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "config.h"
#include "fcgi/packed.h"

#define URL_DEFAULT  "http://127.0.0.1:8080/"
#define ANSWER_LIMIT ((size_t)64 << 20)

/* ---- options ---- */

enum option_kind { TEXT, FLAG, LIST };

#define RUN	  CLI_RUN
#define LANGUAGES CLI_LANGUAGES
#define SYSTEM	  CLI_SYSTEM
#define HEALTH	  CLI_HEALTH
static const struct option_row {
	unsigned programs; /* enum cli_program, bits */
	int letter;
	const char *name, *argument;
	enum option_kind kind;
	size_t offset;
	const char *help;
} rows[] = {
#define OPTION(programs, letter, name, argument, kind, field, completion, help) \
	{ programs, letter, name, argument, kind, offsetof(struct cli_options, field), help },
#include "fcgi/cli_options.def"
#undef OPTION
};
#undef RUN
#undef LANGUAGES
#undef SYSTEM
#undef HEALTH

#define LONG_BASE 256 /* getopt's values: LONG_BASE and the row's number */

static const struct {
	enum cli_program program;
	const char *name, *operands;
} programs[] = {
	{ CLI_RUN, "run", "FILE [ARGUMENT]..." },
	{ CLI_LANGUAGES, "languages", "[LANGUAGE]..." },
	{ CLI_SYSTEM, "system", "" },
	{ CLI_HEALTH, "health", "" },
};

static size_t program_row(enum cli_program program)
{
	size_t i = 0;

	while (programs[i].program != program)
		i++;
	return i;
}

static void usage(FILE *out, enum cli_program program)
{
	size_t i;

	fprintf(out, "Usage: sandpool %s [OPTION]... %s\n\n", programs[program_row(program)].name,
		programs[program_row(program)].operands);
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		char names[64];

		if (!(rows[i].programs & program))
			continue;
		snprintf(names, sizeof names, "%s%.1s%s--%s%s%s", rows[i].letter ? "-" : " ",
			 rows[i].letter ? (const char[]){ (char)rows[i].letter, '\0' } : " ",
			 rows[i].letter ? ", " : "  ", rows[i].name,
			 rows[i].argument ? " " : "", rows[i].argument ? rows[i].argument : "");
		fprintf(out, "  %-26s %s\n", names, rows[i].help);
	}
}

static int list_add(struct cli_list *list, char *item)
{
	char **grown = realloc(list->item, (list->count + 2) * sizeof *grown);

	if (!grown)
		return -1;
	grown[list->count++] = item;
	grown[list->count] = NULL;
	list->item = grown;
	return 0;
}

static int take_option(const struct option_row *row, char *argument, struct cli_options *options)
{
	void *field = (char *)options + row->offset;

	switch (row->kind) {
	case TEXT:
		*(char **)field = argument;
		return 0;
	case FLAG:
		*(bool *)field = true;
		return 0;
	case LIST:
		return list_add(field, argument);
	}
	return -1;
}

/* The same table in getopt's form; "+" and ":" come first in letters. */
static void for_getopt(enum cli_program program, struct option *longs, char *letters)
{
	size_t i;

	*letters++ = '+';
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		if (!(rows[i].programs & program))
			continue;
		longs->name = rows[i].name;
		longs->has_arg = rows[i].argument ? required_argument : no_argument;
		longs->flag = NULL;
		longs++->val = LONG_BASE + (int)i;
		if (!rows[i].letter)
			continue;
		*letters++ = (char)rows[i].letter;
		if (rows[i].argument)
			*letters++ = ':';
	}
	memset(longs, 0, sizeof *longs);
	*letters = '\0';
}

static const struct option_row *row_of(enum cli_program program, int value)
{
	size_t i;

	if (value >= LONG_BASE)
		return &rows[value - LONG_BASE];
	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].programs & program && rows[i].letter == value)
			return &rows[i];
	return NULL;
}

static const char *color_when = "auto";

bool cli_options_read(enum cli_program program, int argc, char **argv,
		      struct cli_options *ret_options, int *ret_status)
{
	struct option longs[ARRAY_LEN(rows) + 1];
	char letters[2 * ARRAY_LEN(rows) + 2], name[64];
	int value;

	/* getopt's messages begin with it */
	snprintf(name, sizeof name, "sandpool %s", programs[program_row(program)].name);
	argv[0] = name;
	*ret_status = CLI_FAILED;
	memset(ret_options, 0, sizeof *ret_options);
	for_getopt(program, longs, letters);
	while ((value = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
		const struct option_row *row = row_of(program, value);

		if (!row || take_option(row, optarg, ret_options) < 0) {
			fprintf(stderr, "%s --help lists the options.\n", name);
			return false;
		}
	}
	if (ret_options->color)
		color_when = ret_options->color;
	ret_options->operands = argv + optind;
	ret_options->operands_count = argc - optind;
	if (!ret_options->help && !ret_options->version)
		return true;
	if (ret_options->help)
		usage(stdout, program);
	else
		printf("sandpool %s\n", PACKAGE_VERSION);
	*ret_status = fflush(stdout) == 0 ? 0 : CLI_FAILED;
	return false;
}

void cli_options_free(struct cli_options *options)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].kind == LIST) {
			struct cli_list *list = (void *)((char *)options + rows[i].offset);

			free(list->item);
			*list = (struct cli_list){ 0 };
		}
}

/* ---- where to ---- */

static int set_socket(char *to, size_t room, const char *folder, size_t folder_size,
		      const char *name, struct error *err)
{
	int size = snprintf(to, room, "%.*s/%s", (int)folder_size, folder, name);

	return size < 0 || (size_t)size >= room ? error_set(err, ENAMETOOLONG, "%s: too long", folder)
						: 0;
}

/* A socket is named by itself or by its folder; the other one lies beside it. */
static int find_sockets(const char *path, struct remote *remote, struct error *err)
{
	const char *slash = strrchr(path, '/');
	struct stat stat_;
	size_t folder_size = strlen(path);

	if (stat(path, &stat_) < 0)
		return error_errno(err, "the pool does not run on this host: %s", path);
	if (!S_ISDIR(stat_.st_mode)) {
		if (!slash)
			path = ".", folder_size = 1;
		else
			folder_size = (size_t)(slash - path);
	}
	if (set_socket(remote->run_socket, sizeof remote->run_socket, path, folder_size,
		       "run.sock", err) < 0)
		return -1;
	return set_socket(remote->api_socket, sizeof remote->api_socket, path, folder_size,
			  "api.sock", err);
}

static const char *or_environment(const char *option, const char *variable)
{
	const char *value = option ? option : getenv(variable);

	return value && *value ? value : NULL;
}

/* Without a scheme it is plain HTTP; the paths are put behind the last "/". */
static int set_url(const char *given, struct remote *remote, struct error *err)
{
	size_t size = strlen(given);
	char *url;

	if (strpbrk(given, "?# \t\n"))
		return error_set(err, EINVAL, "%s: an address without \"?\" or \"#\" is wanted",
				 given);
	if (asprintf(&url, "%s%s%s", strstr(given, "://") ? "" : "http://", given,
		     size > 0 && given[size - 1] == '/' ? "" : "/") < 0)
		return error_set(err, ENOMEM, "out of memory");
	remote->url = url;
	return 0;
}

int cli_remote(const struct cli_options *options, struct remote *ret_remote, struct error *err)
{
	const char *url = or_environment(options->url, "SANDPOOL_URL");
	const char *socket_path = or_environment(options->socket, "SANDPOOL_SOCKET");

	memset(ret_remote, 0, sizeof *ret_remote);
	ret_remote->key = or_environment(options->key, "SANDPOOL_KEY");
	if (ret_remote->key && strpbrk(ret_remote->key, "\r\n"))
		return error_set(err, EINVAL, "the key has more than one line");
	if (options->url && (options->local || options->socket))
		return error_set(err, EINVAL, "--url and --local: one of them");
	if (options->local || options->socket)
		return find_sockets(socket_path ? socket_path : SANDPOOL_RUN_DIR, ret_remote, err);
	return set_url(url ? url : URL_DEFAULT, ret_remote, err);
}

void cli_remote_free(struct remote *remote)
{
	free(remote->url);
	remote->url = NULL;
}

/* ---- what is said ---- */

bool cli_color(int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (strcmp(color_when, "always") == 0)
		return true;
	if (strcmp(color_when, "never") == 0 || (no_color && *no_color))
		return false;
	return isatty(fd) && term && strcmp(term, "dumb") != 0;
}

void cli_print_clean(FILE *out, const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text >= ' ' && *text != 0x7f)
			putc(*text, out);
		else if (*text == '\n' || *text == '\t')
			putc(*text, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*text);
}

void cli_say(const char *fmt, ...)
{
	bool color = cli_color(STDERR_FILENO);
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	fputs(color ? "\033[1;31msandpool:\033[0m " : "sandpool: ", stderr);
	cli_print_clean(stderr, text ? text : "out of memory");
	putc('\n', stderr);
	free(text);
}

int cli_fail(const struct error *err)
{
	cli_say("%s", err->text);
	return CLI_FAILED;
}

/* ---- answers ---- */

struct gathered {
	char *data;
	size_t size;
};

static int gather(void *data, const struct remote_answer *answer, const char *bytes, size_t size)
{
	struct gathered *g = data;
	char *grown;

	(void)answer;
	if (size > ANSWER_LIMIT - g->size)
		return -1;
	grown = realloc(g->data, g->size + size + 1);
	if (!grown)
		return -1;
	memcpy(grown + g->size, bytes, size);
	g->data = grown;
	g->size += size;
	g->data[g->size] = '\0';
	return 0;
}

static json_t *decode_answer(const struct remote_answer *answer, const char *body, size_t size)
{
	if (strstr(answer->content_type, "msgpack"))
		return packed_decode(body, size);
	return json_loadb(body, size, JSON_ALLOW_NUL, NULL);
}

int cli_answer_error(const struct remote_answer *answer, const char *body, size_t size,
		     struct error *err)
{
	json_t *tree = decode_answer(answer, body, size), *error = json_object_get(tree, "error");
	const char *code = json_string_value(json_object_get(error, "code"));
	const char *message = json_string_value(json_object_get(error, "message"));
	const char *id = json_string_value(json_object_get(error, "request_id"));
	/* 502 stands for "an answer, but none of ours" */
	int errno_ = answer->http_status == 422 ? ENOKEY : EREMOTEIO;

	if (message)
		error_set(err, errno_, "%s (%s%s%s%s%s)", message, code ? code : "no code",
			  answer->retry_after[0] ? ", try again in " : "", answer->retry_after,
			  answer->retry_after[0] ? " s" : "",
			  answer->http_status >= 500 && id ? ", see the server's log" : "");
	else
		error_set(err, EREMOTEIO, "the answer (HTTP %d, %s) is not one of Sandpool",
			  answer->http_status,
			  answer->content_type[0] ? answer->content_type : "of no type");
	json_decref(tree);
	return -1;
}

json_t *cli_get(const struct remote *remote, const char *path, char **ret_text,
		struct error *err)
{
	const struct remote_request request = { .path = path, .accept = "application/json" };
	struct gathered body = { 0 };
	const struct remote_reader reader = { .on_body = gather, .data = &body };
	struct remote_answer answer;
	json_t *tree = NULL;

	if (remote_exchange(remote, &request, &reader, &answer, err) == 0) {
		if (answer.http_status == 200)
			tree = json_loadb(body.data ? body.data : "", body.size, JSON_ALLOW_NUL, NULL);
		if (!tree)
			cli_answer_error(&answer, body.data ? body.data : "", body.size, err);
	}
	if (tree && ret_text)
		*ret_text = body.data;
	else
		free(body.data);
	return tree;
}

/* ---- signals ---- */

static int signal_pipe[2] = { -1, -1 };
static volatile sig_atomic_t signal_seen;

static void on_signal(int number)
{
	int saved = errno;

	signal_seen = number;
	/* a full pipe has woken its reader already */
	if (write(signal_pipe[1], "", 1) < 0)
		errno = saved;
	errno = saved;
}

int cli_signals_open(struct error *err)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_signal }, old;
	size_t i;

	if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return error_errno(err, "pipe");
	for (i = 0; i < ARRAY_LEN(numbers); i++) {
		/* what is ignored, as by nohup, stays so */
		sigaction(numbers[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
	return signal_pipe[0];
}

int cli_signal(void)
{
	return signal_seen;
}

void cli_die_by(int number)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t set;

	sigaction(number, &action, NULL);
	sigemptyset(&set);
	sigaddset(&set, number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(number);
	_exit(128 + number);
}
