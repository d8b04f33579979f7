/* SPDX-License-Identifier: ISC */
/* Tables for people: columns as wide as what is in them.
 * Runs as: whoever types. */
#ifndef SANDPOOL_CLI_TABLE_H
#define SANDPOOL_CLI_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS 6

struct table {
	char *(*row)[TABLE_COLUMNS];
	size_t count;
	size_t columns;
	bool failed; /* no memory */
};
#define TABLE_INIT { 0 }

/* The columns' texts, copied, without control characters. */
void table_row(struct table *table, size_t columns, ...);

/* Prints and frees it: 0, or -1 without memory. heading: the first row is one. */
int table_print(struct table *table, bool heading);

/* A number of a map as text: "12", "1.5 GiB", "2 s"; "-" when it is none. */
char *table_number(const json_t *map, const char *name, char text[32]);
char *table_bytes(const json_t *map, const char *name, char text[32]);
char *table_seconds(const json_t *map, const char *name, double unit_s, char text[32]);

#endif
