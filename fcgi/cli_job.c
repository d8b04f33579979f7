/* SPDX-License-Identifier: ISC */
/* Runs as: whoever types. */
#define _GNU_SOURCE
#include "fcgi/cli_job.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/io.h"
#include "common/job.h"

/* Far more than any server takes; an endless pipe ends here. */
#define FILE_MAX ((size_t)64 << 20)

/* ---- files ---- */

static int read_all(int fd, char **ret_data, size_t *ret_size)
{
	size_t size = 0, room = 65536;
	char *data = malloc(room);

	while (data) {
		ssize_t n;

		if (size == room) {
			char *grown = realloc(data, room *= 2);

			if (!grown)
				break;
			data = grown;
		}
		n = read(fd, data + size, room - size);
		if (n < 0 && errno != EINTR)
			break;
		if (n == 0) {
			*ret_data = data;
			*ret_size = size;
			return 0;
		}
		size += n > 0 ? (size_t)n : 0;
		errno = EFBIG;
		if (size > FILE_MAX)
			break;
	}
	free(data);
	return -1;
}

json_t *cli_read_file(const char *path, struct error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	cleanup_close int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
					: open(path, O_RDONLY | O_CLOEXEC);
	cleanup_free char *data = NULL;
	json_t *text;
	size_t size;

	if (fd < 0 || read_all(fd, &data, &size) < 0) {
		error_errno(err, "%s", is_stdin ? "standard input" : path);
		return NULL;
	}
	text = json_stringn_nocheck(data, size);
	if (!text)
		error_set(err, ENOMEM, "out of memory");
	return text;
}

/* What a program finds as its standard input. A terminal is not read unless asked to:
 * nothing could be typed at a program that starts when everything has been typed. */
static json_t *read_input(const struct cli_options *options, bool stdin_taken, struct error *err)
{
	struct stat stat_;

	if (options->input && !(stdin_taken && strcmp(options->input, "-") == 0))
		return cli_read_file(options->input, err);
	if (options->no_input || stdin_taken || isatty(STDIN_FILENO) ||
	    fstat(STDIN_FILENO, &stat_) < 0)
		return json_string("");
	return cli_read_file("-", err);
}

/* ---- the language ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static char *find_extension(const char *path)
{
	const char *name = base_name(path), *dot = strrchr(name, '.');

	return dot && dot != name && dot[1] ? strdup(dot + 1) : NULL;
}

/* "#!/usr/bin/env -S python3 -u" is python3. */
static char *find_interpreter(const char *code, size_t size)
{
	const char *end = memchr(code, '\n', size);
	cleanup_free char *line = NULL;
	char *word, *rest;

	if (size < 2 || code[0] != '#' || code[1] != '!')
		return NULL;
	line = strndup(code + 2, (size_t)((end ? end : code + size) - code - 2));
	word = line ? strtok_r(line, " \t\r", &rest) : NULL;
	if (!word)
		return NULL;
	if (strcmp(base_name(word), "env") == 0)
		do
			word = strtok_r(NULL, " \t\r", &rest);
		while (word && (word[0] == '-' || strchr(word, '=')));
	return word && *base_name(word) ? strdup(base_name(word)) : NULL;
}

static bool is_named(const json_t *language, const char *name)
{
	const json_t *aliases = json_object_get(language, "aliases"), *alias;
	const char *id = json_string_value(json_object_get(language, "id"));
	size_t i;

	if (id && strcmp(id, name) == 0)
		return true;
	json_array_foreach(aliases, i, alias)
		if (json_is_string(alias) && strcmp(json_string_value(alias), name) == 0)
			return true;
	return false;
}

static const char *find_named(const json_t *languages, const char *name)
{
	const json_t *language;
	size_t i;

	json_array_foreach(languages, i, language)
		if (is_named(language, name))
			return json_string_value(json_object_get(language, "id"));
	return NULL;
}

/* "perl5.36" and "ruby3" are the names of versions. */
static const char *find_interpreted(const json_t *languages, const char *interpreter)
{
	cleanup_free char *name = strdup(interpreter);
	const char *id = name ? find_named(languages, name) : NULL;
	size_t size = name ? strlen(name) : 0;

	while (!id && size > 1 && strchr("0123456789.", name[size - 1])) {
		name[--size] = '\0';
		id = find_named(languages, name);
	}
	return id;
}

/* The only language with that extension; else err says which there are. */
static const char *find_by_extension(const json_t *languages, const char *extension,
				     struct error *err)
{
	const char *found = NULL;
	char which[128] = "";
	const json_t *language;
	size_t i, count = 0;

	json_array_foreach(languages, i, language) {
		const char *its = json_string_value(json_object_get(language, "extension"));
		const char *id = json_string_value(json_object_get(language, "id"));
		size_t used = strlen(which);

		if (!its || !id || strcasecmp(its, extension) != 0)
			continue;
		found = id;
		snprintf(which + used, sizeof which - used, "%s%s", count++ ? ", " : "", id);
	}
	if (count > 1)
		error_set(err, EINVAL, ".%s can be %s: say which with -l", extension, which);
	return count == 1 ? found : NULL;
}

int cli_job_find_language(struct cli_job *job, const struct remote *remote, struct error *err)
{
	json_t *languages = cli_get(remote, "api/languages", NULL, err);
	struct error many = ERROR_INIT;
	const char *id = NULL;

	if (!languages)
		return -1;
	if (job->extension)
		id = find_named(languages, job->extension);
	if (!id && job->extension)
		id = find_by_extension(languages, job->extension, &many);
	if (!id && job->interpreter)
		id = find_interpreted(languages, job->interpreter);
	if (id)
		json_object_set_new(job->request, "language", json_string(id));
	json_decref(languages);
	if (id)
		return 0;
	if (many.code)
		return error_set(err, many.code, "%s: %s", job->file_name, many.text);
	return error_set(err, EINVAL, "%s: its language is not clear: say it with -l "
			 "(\"sandpool languages\" lists them)", job->file_name);
}

/* ---- the program's files ---- */

static json_t *file_entry(const char *name, json_t *content)
{
	return json_pack("{s:s, s:o}", "name", name, "content", content);
}

/* A further file keeps its place beside the program. */
static const char *name_beside(const char *path, const char *main_path)
{
	size_t folder = main_path ? (size_t)(base_name(main_path) - main_path) : 0;
	const char *name = strncmp(path, main_path ? main_path : "", folder) == 0 ? path + folder
										 : path;

	while (name[0] == '.' && name[1] == '/')
		name += 2;
	return job_name_valid(name, strlen(name)) ? name : base_name(path);
}

static int add_file(json_t *files, const char *given, const char *main_path, struct error *err)
{
	const char *equals = strchr(given, '='), *path = equals ? equals + 1 : given;
	cleanup_free char *name = equals ? strndup(given, (size_t)(equals - given))
					 : strdup(name_beside(given, main_path));
	json_t *content;

	if (!name)
		return error_set(err, ENOMEM, "out of memory");
	if (!job_name_valid(name, strlen(name)))
		return error_set(err, EINVAL, "-f %s: \"%s\" cannot be a file's name in the box",
				 given, name);
	content = cli_read_file(path, err);
	return content ? json_array_append_new(files, file_entry(name, content)) : -1;
}

/* The program goes under its own name where that name can be right: its extension told
 * the language, or other files may ask for it by name. */
static int put_files(const struct cli_options *options, struct cli_job *job, const char *path,
		     json_t *code, struct error *err)
{
	bool own_name = path && strcmp(path, "-") != 0 && job->extension &&
			(!options->language || options->files.count > 0) &&
			job_name_valid(base_name(path), strlen(base_name(path)));
	const char *name = path ? base_name(path) : "";
	json_t *files;
	size_t i;

	if (!own_name && options->files.count == 0)
		return json_object_set_new(job->request, "code", code);
	files = json_array();
	json_object_set_new(job->request, "files", files);
	json_array_append_new(files, own_name ? file_entry(name, code)
					      : json_pack("{s:o}", "content", code));
	for (i = 0; i < options->files.count; i++)
		if (add_file(files, options->files.item[i], path, err) < 0)
			return -1;
	return 0;
}

/* ---- limits ---- */

int cli_parse_seconds(const char *text, double *ret_seconds, struct error *err)
{
	static const struct {
		const char *unit;
		double seconds;
	} units[] = { { "", 1 }, { "s", 1 }, { "ms", 0.001 }, { "min", 60 } };
	char *end;
	double value = strtod(text, &end);
	size_t i;

	for (i = 0; i < ARRAY_LEN(units); i++)
		if (end != text && strcmp(end, units[i].unit) == 0 && isfinite(value) &&
		    value > 0 && !strpbrk(text, "xXpP")) {
			*ret_seconds = value * units[i].seconds;
			return 0;
		}
	return error_set(err, EINVAL, "\"%s\" is no time, as 2s, 1.5 or 500ms", text);
}

static int parse_count(const char *text, uint64_t *ret_count)
{
	char *end;

	errno = 0;
	*ret_count = strtoull(text, &end, 10);
	return errno || end == text || *end || *text == '-' ? -1 : 0;
}

static int limit_value(const struct limit_field *field, const char *text, json_t **ret_value,
		       struct error *err)
{
	uint64_t number = 0;
	double seconds;

	if (field->unit == LIMIT_MS) {
		if (cli_parse_seconds(text, &seconds, err) < 0)
			return -1;
		number = (uint64_t)ceil(seconds * 1000);
	} else if ((field->unit == LIMIT_BYTES ? conf_parse_bytes(text, &number)
					       : parse_count(text, &number)) < 0) {
		return error_set(err, EINVAL, "\"%s\" is no %s", text,
				 field->unit == LIMIT_BYTES ? "size, as 64MiB" : "number");
	}
	*ret_value = json_integer((json_int_t)number);
	return 0;
}

static const char *limit_name_at(const void *data, size_t i)
{
	(void)data;
	return i < LIMIT_FIELDS ? limit_fields[i].key : i == LIMIT_FIELDS ? "total" : NULL;
}

static const struct limit_field *find_limit(const char *name, size_t size)
{
	static const struct limit_field total = { "total_ms", "total", 0, LIMIT_MS };
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++)
		if (strlen(limit_fields[i].key) == size &&
		    strncmp(limit_fields[i].key, name, size) == 0)
			return &limit_fields[i];
	return size == 5 && strncmp(name, "total", 5) == 0 ? &total : NULL;
}

static int put_limit(json_t *limits, json_t *compile, const char *given, struct error *err)
{
	const char *equals = strchr(given, '='), *name = given;
	const struct limit_field *field;
	json_t *into = limits, *value = NULL;

	if (strncmp(given, "compile.", 8) == 0) {
		name = given + 8;
		into = compile;
	}
	field = equals && equals > name ? find_limit(name, (size_t)(equals - name)) : NULL;
	if (!field || (into == compile && strcmp(field->key, "total") == 0)) {
		cleanup_free char *word = strndup(name, strcspn(name, "="));
		const char *near = word ? conf_nearest(word, limit_name_at, NULL) : NULL;

		return error_set(err, EINVAL, "--limit %s: no such limit%s%s%s", given,
				 near ? "; did you mean " : "", near ? near : "", near ? "=?" : "");
	}
	if (limit_value(field, equals + 1, &value, err) < 0)
		return error_wrap(err, "--limit %s", given);
	return json_object_set_new(into, field->name, value);
}

static int put_limits(const struct cli_options *options, json_t *request, struct error *err)
{
	json_t *limits = json_object(), *compile = json_object();
	double seconds;
	size_t i;
	int rc = 0;

	for (i = 0; i < options->limits.count && rc == 0; i++)
		rc = put_limit(limits, compile, options->limits.item[i], err);
	if (json_object_size(compile) > 0)
		json_object_set(limits, "compile", compile);
	if (json_object_size(limits) > 0)
		json_object_set(request, "limits", limits);
	json_decref(limits);
	json_decref(compile);
	if (rc < 0 || !options->timeout)
		return rc;
	if (cli_parse_seconds(options->timeout, &seconds, err) < 0)
		return error_wrap(err, "--timeout");
	return json_object_set_new(request, "timeout", json_real(seconds));
}

/* ---- all of it ---- */

static void put_words(json_t *request, const char *name, char **words, size_t count)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < count; i++)
		json_array_append_new(list, json_stringn_nocheck(words[i], strlen(words[i])));
	if (count > 0)
		json_object_set(request, name, list);
	json_decref(list);
}

/* Mostly right, and then the list of languages need not be asked for. */
static const char *first_guess(const struct cli_job *job)
{
	const char *guess = job->extension ? job->extension : job->interpreter;

	return guess && job_language_valid(guess, strlen(guess)) ? guess : "unknown";
}

static int put_program(const struct cli_options *options, struct cli_job *job,
		       bool *ret_stdin_taken, struct error *err)
{
	const char *path = options->code ? NULL : options->operands[0];
	json_t *code = path ? cli_read_file(path, err)
			    : json_stringn_nocheck(options->code, strlen(options->code));

	if (!code)
		return -1;
	*ret_stdin_taken = path && strcmp(path, "-") == 0;
	job->file_name = *ret_stdin_taken ? "standard input" : path ? path : "-c";
	job->extension = path && !*ret_stdin_taken ? find_extension(path) : NULL;
	job->interpreter = find_interpreter(json_string_value(code), json_string_length(code));
	job->guessed = !options->language;
	json_object_set_new(job->request, "language",
			    json_string(options->language ? options->language : first_guess(job)));
	return put_files(options, job, path, code, err);
}

int cli_job_make(const struct cli_options *options, struct cli_job *ret_job, struct error *err)
{
	int skip = options->code ? 0 : 1;
	bool stdin_taken = false;
	json_t *input;

	*ret_job = (struct cli_job){ .request = json_object() };
	if (options->operands_count < skip)
		return error_set(err, EINVAL, "which program? A file, - or -c CODE is wanted");
	if (put_program(options, ret_job, &stdin_taken, err) < 0 ||
	    put_limits(options, ret_job->request, err) < 0)
		return -1;
	put_words(ret_job->request, "arguments", options->operands + skip,
		  (size_t)(options->operands_count - skip));
	put_words(ret_job->request, "options", options->words.item, options->words.count);
	put_words(ret_job->request, "collect", options->collect.item, options->collect.count);
	if (options->compare)
		json_object_set_new(ret_job->request, "compare", json_string(options->compare));
	if (options->tests)
		return 0;
	input = read_input(options, stdin_taken, err);
	return input ? json_object_set_new(ret_job->request, "input", input) : -1;
}

void cli_job_free(struct cli_job *job)
{
	json_decref(job->request);
	free(job->extension);
	free(job->interpreter);
}
