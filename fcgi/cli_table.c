/* SPDX-License-Identifier: ISC */
/* Runs as: whoever types. */
#define _GNU_SOURCE
#include "fcgi/cli_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "fcgi/cli.h"

static char *clean_copy(const char *text)
{
	char *copy = strdup(text), *at;

	for (at = copy; at && *at; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7f)
			*at = '?';
	return copy;
}

void table_row(struct table *table, size_t columns, ...)
{
	void *grown = reallocarray(table->row, table->count + 1, sizeof *table->row);
	va_list ap;
	size_t i;

	if (!grown) {
		table->failed = true;
		return;
	}
	table->row = grown;
	memset(table->row[table->count], 0, sizeof *table->row);
	va_start(ap, columns);
	for (i = 0; i < columns; i++) {
		table->row[table->count][i] = clean_copy(va_arg(ap, const char *));
		table->failed |= !table->row[table->count][i];
	}
	va_end(ap);
	table->count++;
	table->columns = columns > table->columns ? columns : table->columns;
}

/* In characters: the bytes that do not continue one. */
static size_t width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void print_row(const struct table *table, size_t row, const size_t *widths)
{
	size_t i, k;

	for (i = 0; i < table->columns; i++) {
		const char *text = table->row[row][i] ? table->row[row][i] : "";

		fputs(text, stdout);
		/* nothing trails the last text of a row */
		for (k = i + 1; k < table->columns && (!table->row[row][k] || !*table->row[row][k]); k++)
			;
		if (k == table->columns)
			break;
		for (k = width(text); k < widths[i] + 2; k++)
			putchar(' ');
	}
	putchar('\n');
}

int table_print(struct table *table, bool heading)
{
	size_t widths[TABLE_COLUMNS] = { 0 }, i, k;
	bool bold = heading && cli_color(STDOUT_FILENO), failed = table->failed;

	for (i = 0; i < table->count && !failed; i++)
		for (k = 0; k < table->columns; k++)
			if (table->row[i][k] && width(table->row[i][k]) > widths[k])
				widths[k] = width(table->row[i][k]);
	for (i = 0; i < table->count; i++) {
		if (bold && i == 0)
			fputs("\033[1m", stdout);
		if (!failed)
			print_row(table, i, widths);
		if (bold && i == 0)
			fputs("\033[0m", stdout);
		for (k = 0; k < TABLE_COLUMNS; k++)
			free(table->row[i][k]);
	}
	free(table->row);
	*table = (struct table)TABLE_INIT;
	return failed ? -1 : 0;
}

char *table_number(const json_t *map, const char *name, char text[32])
{
	const json_t *number = json_object_get(map, name);

	snprintf(text, 32, "-");
	if (json_is_number(number))
		snprintf(text, 32, "%.15g", json_number_value(number));
	return text;
}

char *table_bytes(const json_t *map, const char *name, char text[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	const json_t *number = json_object_get(map, name);
	double value = json_number_value(number);
	size_t i = 0;

	snprintf(text, 32, "-");
	if (!json_is_number(number))
		return text;
	for (; value >= 1024 && i + 1 < ARRAY_LEN(units); i++)
		value /= 1024;
	snprintf(text, 32, "%.4g %s", value, units[i]);
	return text;
}

char *table_seconds(const json_t *map, const char *name, double unit_s, char text[32])
{
	const json_t *number = json_object_get(map, name);
	double value = json_number_value(number) * unit_s;

	snprintf(text, 32, "-");
	if (!json_is_number(number))
		return text;
	if (value >= 86400)
		snprintf(text, 32, "%.1f days", value / 86400);
	else if (value >= 3600)
		snprintf(text, 32, "%.1f h", value / 3600);
	else
		snprintf(text, 32, "%.4g s", value);
	return text;
}
