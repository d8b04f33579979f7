/* SPDX-License-Identifier: ISC */
/* sandpool health: the counts of the moment, and whether programs run. Status 1 when
 * the pool answers but runs none.
 * Runs as: whoever types. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "common/io.h"
#include "fcgi/cli.h"
#include "fcgi/cli_table.h"

static int print_health(const json_t *health, const char *ready)
{
	static const char *const counts[] = { "slots", "running", "queued", "busy", "workers", "runs" };
	const char *status = json_string_value(json_object_get(health, "status"));
	struct table table = TABLE_INIT;
	char number[32];
	size_t i;

	table_row(&table, 2, "status", status ? status : "-");
	table_row(&table, 2, "ready", ready);
	for (i = 0; i < ARRAY_LEN(counts); i++)
		table_row(&table, 2, counts[i], table_number(health, counts[i], number));
	table_row(&table, 2, "uptime", table_seconds(health, "uptime_s", 1, number));
	return table_print(&table, false);
}

int main(int argc, char **argv)
{
	struct cli_options options;
	struct error err = ERROR_INIT, not_ready = ERROR_INIT;
	struct remote remote = { 0 };
	json_t *health, *ready;
	int status, rc;

	if (!cli_options_read(CLI_HEALTH, argc, argv, &options, &status))
		return status;
	if (cli_remote(&options, &remote, &err) < 0 ||
	    !(health = cli_get(&remote, "health", NULL, &err))) {
		cli_remote_free(&remote);
		return cli_fail(&err);
	}
	ready = cli_get(&remote, "ready", NULL, &not_ready);
	cli_remote_free(&remote);
	if (options.json) {
		json_object_set_new(health, "ready", json_boolean(ready));
		rc = json_dumpf(health, stdout, JSON_COMPACT) < 0 || putchar('\n') < 0;
	} else {
		rc = print_health(health, ready ? "yes" : not_ready.text) < 0;
	}
	status = ready ? 0 : 1;
	json_decref(health);
	json_decref(ready);
	if (rc || fflush(stdout) != 0) {
		error_errno(&err, "standard output");
		return cli_fail(&err);
	}
	return status;
}
