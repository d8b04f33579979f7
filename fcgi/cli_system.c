/* SPDX-License-Identifier: ISC */
/* sandpool system: what the pool is, what holds its boxes, and the limits.
 * Runs as: whoever types. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "common/job.h"
#include "fcgi/cli.h"
#include "fcgi/cli_table.h"

static const char *text_of(const json_t *map, const char *name)
{
	const char *text = json_string_value(json_object_get(map, name));

	return text ? text : "-";
}

/* "memory, processes, cpu; not: swap" */
static void list_enforced(const json_t *system, char *text, size_t room)
{
	const json_t *enforced = json_object_get(system, "enforced"), *value;
	const char *name;
	int pass;

	text[0] = '\0';
	for (pass = 1; pass >= 0; pass--) {
		size_t count = 0;

		json_object_foreach((json_t *)enforced, name, value) {
			size_t used = strlen(text);

			if (json_is_true(value) != pass)
				continue;
			snprintf(text + used, room - used, "%s%s",
				 count++ ? ", " : pass ? "" : "; not: ", name);
		}
	}
}

static int print_facts(const json_t *system)
{
	struct table table = TABLE_INIT;
	char number[32], enforced[128];
	const json_t *image;
	size_t i;

	list_enforced(system, enforced, sizeof enforced);
	table_row(&table, 2, "version", text_of(system, "version"));
	table_row(&table, 2, "sandboxd", text_of(system, "sandboxd"));
	table_row(&table, 2, "slots", table_number(system, "slots", number));
	table_row(&table, 2, "queue", table_number(system, "queue", number));
	table_row(&table, 2, "memory", table_bytes(system, "memory_bytes", number));
	table_row(&table, 2, "cgroup", text_of(system, "cgroup"));
	table_row(&table, 2, "enforced", enforced);
	table_row(&table, 2, "kernel", text_of(system, "kernel"));
	table_row(&table, 2, "machine", text_of(system, "machine"));
	json_array_foreach(json_object_get(system, "images"), i, image)
		table_row(&table, 2, i ? "" : "images", text_of(image, "name"));
	return table_print(&table, false);
}

static char *limit_text(const json_t *limits, const struct limit_field *field, char text[32])
{
	switch (field->unit) {
	case LIMIT_MS:
		return table_seconds(limits, field->name, 0.001, text);
	case LIMIT_BYTES:
		return table_bytes(limits, field->name, text);
	case LIMIT_COUNT:
		return table_number(limits, field->name, text);
	}
	return text;
}

static int print_limits(const json_t *limits)
{
	static const char *const names[] = { "run", "compile", "minimum", "maximum" };
	struct table table = TABLE_INIT;
	size_t i, k;

	table_row(&table, 5, "LIMIT", names[0], names[1], names[2], names[3]);
	for (i = 0; i < LIMIT_FIELDS; i++) {
		char text[ARRAY_LEN(names)][32];

		for (k = 0; k < ARRAY_LEN(names); k++)
			limit_text(json_object_get(limits, names[k]), &limit_fields[i], text[k]);
		table_row(&table, 5, limit_fields[i].key, text[0], text[1], text[2], text[3]);
	}
	putchar('\n');
	return table_print(&table, true);
}

int main(int argc, char **argv)
{
	cleanup_free char *text = NULL;
	struct cli_options options;
	struct error err = ERROR_INIT;
	struct remote remote = { 0 };
	json_t *system_;
	int status;

	if (!cli_options_read(CLI_SYSTEM, argc, argv, &options, &status))
		return status;
	if (cli_remote(&options, &remote, &err) < 0 ||
	    !(system_ = cli_get(&remote, "api/system", &text, &err))) {
		cli_remote_free(&remote);
		return cli_fail(&err);
	}
	cli_remote_free(&remote);
	if (options.json)
		status = puts(text) < 0;
	else
		status = print_facts(system_) < 0 ||
			 print_limits(json_object_get(system_, "limits")) < 0;
	json_decref(system_);
	if (status || fflush(stdout) != 0) {
		error_errno(&err, "standard output");
		return cli_fail(&err);
	}
	return 0;
}
