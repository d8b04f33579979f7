/* SPDX-License-Identifier: ISC */
/* sandpool languages: the table of languages; with --check, each one's example is run
 * and compared.
 * Runs as: whoever types. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
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

static void print_verdict(const struct check *check, bool passed)
{
	printf("%s %zu - %s\n", passed ? "ok" : "not ok", check->number,
	       text_of(check->language, "id"));
}

static void on_test(void *data, const json_t *test, const struct kept *output)
{
	struct check *check = data;

	check->passed = strcmp(text_of(test, "status"), "success") == 0;
	print_verdict(check, check->passed);
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
		print_verdict(check, false);
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
			print_verdict(&check, false);
			printf("# %s\n", err->text);
			*err = (struct error)ERROR_INIT;
		}
		failed += !check.passed;
		fflush(stdout);
	}
	return failed > 0;
}

int main(int argc, char **argv)
{
	cleanup_free char *text = NULL;
	struct cli_options options;
	struct error err = ERROR_INIT;
	struct remote remote;
	json_t *all, *chosen = NULL;
	int status;

	if (!cli_options_read(CLI_LANGUAGES, argc, argv, &options, &status))
		return status;
	if (cli_remote(&options, &remote, &err) < 0)
		return cli_fail(&err);
	all = cli_get(&remote, "api/languages", &text, &err);
	if (all)
		chosen = choose(all, &options, &err);
	if (!chosen)
		return cli_fail(&err);
	if (options.check)
		status = check_all(&remote, chosen, &err);
	else if (options.json)
		status = json_dumpf(chosen, stdout, JSON_COMPACT) < 0 || puts("") < 0 ? -1 : 0;
	else
		status = print_table(chosen);
	if (status >= 0 && fflush(stdout) != 0)
		status = error_errno(&err, "standard output");
	json_decref(chosen);
	json_decref(all);
	return status < 0 ? cli_fail(&err) : status;
}
