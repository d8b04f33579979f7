/* SPDX-License-Identifier: ISC */
/* sandpool languages: the table of languages; with --check, each one's example is run
 * and compared; with --missing, what could be installed to have more of them.
 * Runs as: whoever types. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/language.h"
#include "common/settings.h"
#include "fcgi/cli.h"
#include "fcgi/cli_exchange.h"
#include "fcgi/cli_table.h"
#include "fcgi/cli_tests.h"

#define STREAM "application/vnd.sandpool.stream+msgpack"

static const char *text_of(const json_t *map, const char *name)
{
	const char *text = json_string_value(json_object_get(map, name));

	return text ? text : "";
}

static bool has_name(const json_t *language, const char *name)
{
	const json_t *alias;
	size_t i;

	if (strcmp(text_of(language, "id"), name) == 0)
		return true;
	json_array_foreach(json_object_get(language, "aliases"), i, alias)
		if (json_is_string(alias) && strcmp(json_string_value(alias), name) == 0)
			return true;
	return false;
}

/* Those that were named, or all; NULL with err when one is not there. */
static json_t *choose(const json_t *languages, const struct cli_options *options,
		      struct error *err)
{
	json_t *chosen = json_array(), *language;
	size_t i;
	int k;

	if (options->operands_count == 0)
		json_array_extend(chosen, (json_t *)languages);
	for (k = 0; k < options->operands_count; k++) {
		size_t before = json_array_size(chosen);

		json_array_foreach(languages, i, language)
			if (has_name(language, options->operands[k]))
				json_array_append(chosen, language);
		if (json_array_size(chosen) == before) {
			error_set(err, ENOKEY, "there is no language \"%s\" there",
				  options->operands[k]);
			json_decref(chosen);
			return NULL;
		}
	}
	return chosen;
}

static int print_table(const json_t *languages)
{
	struct table table = TABLE_INIT;
	const json_t *language;
	size_t i, k;

	table_row(&table, 4, "ID", "VERSION", "NAME", "ALIASES");
	json_array_foreach(languages, i, language) {
		const json_t *alias;
		char aliases[256] = "";

		json_array_foreach(json_object_get(language, "aliases"), k, alias) {
			size_t used = strlen(aliases);

			snprintf(aliases + used, sizeof aliases - used, "%s%s", k ? " " : "",
				 json_is_string(alias) ? json_string_value(alias) : "");
		}
		table_row(&table, 4, text_of(language, "id"), text_of(language, "version"),
			  text_of(language, "name"), aliases);
	}
	return table_print(&table, true);
}

/* ---- --check ---- */

struct check {
	const json_t *language;
	size_t number;
	bool passed;
};

static void print_failure(const struct check *check, const json_t *result, const char *output,
			  size_t size)
{
	const char *status = text_of(result, "status"), *message = text_of(result, "message");
	const json_t *example = json_object_get(check->language, "example");

	printf("# %s%s", status, *message ? ": " : "");
	cli_print_clean(stdout, message);
	putchar('\n');
	fflush(stdout);
	if (strcmp(status, "wrong_answer") == 0)
		cli_print_diff(STDOUT_FILENO, "# ", json_object_get(example, "output"), output, size);
}

/* "ok 3 - python3 (3.11.2, 35.2 ms, 9.1 MiB)" */
static void print_verdict(const struct check *check, bool passed, const json_t *usage)
{
	const char *version = text_of(check->language, "version");
	const json_t *wall = json_object_get(usage, "wall_ms");
	char memory[32];

	printf("%s %zu - %s (%s", passed ? "ok" : "not ok", check->number,
	       text_of(check->language, "id"), *version ? version : "no version");
	if (json_is_number(wall))
		printf(", %.1f ms, %s", json_number_value(wall),
		       table_bytes(usage, "memory_peak_bytes", memory));
	puts(")");
}

static void on_test(void *data, const json_t *test, const struct kept *output)
{
	struct check *check = data;

	check->passed = strcmp(text_of(test, "status"), "success") == 0;
	print_verdict(check, check->passed, json_object_get(test, "usage"));
	if (!check->passed)
		print_failure(check, test, output->data, output->size);
}

static json_t *example_request(const json_t *language)
{
	const json_t *example = json_object_get(language, "example");

	return json_pack("{s:O, s:O, s:[{s:O, s:O}]}", "language", json_object_get(language, "id"),
			 "code", json_object_get(example, "code"), "tests", "input",
			 json_object_get(example, "input"), "expected",
			 json_object_get(example, "output"));
}

static int check_one(const struct remote *remote, int signal_fd, struct check *check,
		     struct error *err)
{
	struct cli_job job = { .request = example_request(check->language) };
	struct cli_exchange x = {
		.remote = remote,
		.job = &job,
		.signal_fd = signal_fd,
		.accept = STREAM,
		.on_test = on_test,
		.data = check,
	};
	int rc = -1;

	output_init(&x.output);
	check->passed = false;
	if (!job.request)
		error_set(err, EPROTO, "%s: its example is malformed", text_of(check->language, "id"));
	else
		rc = cli_exchange(&x, err);
	if (rc == 0 && strcmp(text_of(x.answer, "status"), "compile_error") == 0) {
		print_verdict(check, false, NULL);
		print_failure(check, x.answer, NULL, 0);
	}
	cli_exchange_free(&x);
	json_decref(job.request);
	return rc;
}

static int check_all(const struct remote *remote, const json_t *languages, struct error *err)
{
	int signal_fd = cli_signals_open(err);
	size_t i, failed = 0;
	json_t *language;

	if (signal_fd < 0)
		return -1;
	printf("1..%zu\n", json_array_size(languages));
	json_array_foreach(languages, i, language) {
		struct check check = { language, i + 1, false };

		if (check_one(remote, signal_fd, &check, err) < 0) {
			if (cli_signal())
				cli_die_by(cli_signal());
			print_verdict(&check, false, NULL);
			printf("# %s\n", err->text);
			*err = (struct error)ERROR_INIT;
		}
		failed += !check.passed;
		fflush(stdout);
	}
	return failed > 0;
}

/* ---- --missing ---- */

static void join(char *text, size_t room, const struct argv_list *words)
{
	size_t i, used = 0;

	text[0] = '\0';
	for (i = 0; i < words->count && used < room; i++)
		used += (size_t)snprintf(text + used, room - used, "%s%s", i ? " " : "",
					 words->word[i]);
}

/* What the language files of this host name and the pool does not offer. */
static int print_missing(const char *conf_path, const json_t *offered, struct error *err)
{
	struct settings settings = { 0 };
	struct language_table *languages = NULL;
	struct table table = TABLE_INIT;
	size_t i;
	int rc;

	if (settings_load(conf_path, false, &settings, err) == 0)
		languages = language_table_load(settings.language_directory, false, err);
	settings_free(&settings);
	if (!languages)
		return -1;
	table_row(&table, 4, "ID", "NAME", "IMAGE", "PACKAGES");
	for (i = 0; i < languages->count; i++) {
		const struct language *language = &languages->language[i];
		const json_t *one;
		bool there = false;
		char packages[256];
		size_t k;

		json_array_foreach(offered, k, one)
			there |= strcmp(text_of(one, "id"), language->id) == 0;
		if (there)
			continue;
		join(packages, sizeof packages, &language->packages);
		table_row(&table, 4, language->id, language->name, language->image, packages);
	}
	rc = table_print(&table, true);
	language_table_free(languages);
	return rc < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

static int show(const struct cli_options *options, const struct remote *remote,
		const json_t *all, const json_t *chosen, struct error *err)
{
	if (options->missing)
		return print_missing(options->conf, all, err);
	if (options->check)
		return check_all(remote, chosen, err);
	if (options->json)
		return json_dumpf(chosen, stdout, JSON_COMPACT) < 0 || puts("") < 0
			       ? error_errno(err, "standard output")
			       : 0;
	return print_table(chosen) < 0 ? error_set(err, ENOMEM, "out of memory") : 0;
}

int main(int argc, char **argv)
{
	cleanup_free char *text = NULL;
	struct cli_options options;
	struct error err = ERROR_INIT;
	struct remote remote = { 0 };
	json_t *all = NULL, *chosen = NULL;
	int status;

	if (!cli_options_read(CLI_LANGUAGES, argc, argv, &options, &status))
		return status;
	if (cli_remote(&options, &remote, &err) == 0)
		all = cli_get(&remote, "api/languages", &text, &err);
	if (all)
		chosen = choose(all, &options, &err);
	if (chosen)
		status = show(&options, &remote, all, chosen, &err);
	else
		status = -1;
	if (status >= 0 && fflush(stdout) != 0)
		status = error_errno(&err, "standard output");
	json_decref(chosen);
	json_decref(all);
	cli_remote_free(&remote);
	return status < 0 ? cli_fail(&err) : status;
}
