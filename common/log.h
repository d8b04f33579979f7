/* SPDX-License-Identifier: ISC */
/* One line an event, to stderr. A reader that is stuck or gone never holds the
 * service up: a line that cannot be written at once is dropped and counted. */
#ifndef SANDPOOL_LOG_H
#define SANDPOOL_LOG_H

#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARNING, LOG_NOTICE, LOG_DEBUG };

/* The name goes in front of each line; lines above max are left out. */
void log_open(const char *program, enum log_level max);

/* "program: error: text"; control characters come out as \xNN. */
void log_event(enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* One whole line as it is (the newline is added): for access lines in JSON. */
void log_line(int fd, const char *line, size_t size);

/* Lines dropped by this process so far. */
uint64_t log_dropped(void);

#endif
