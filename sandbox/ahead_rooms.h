/* SPDX-License-Identifier: ISC */
/* Inside the library that waits in an interpreter: ahead.c waits and opens; what is
 * special for one interpreter has a room of its own. A room that does not find its
 * interpreter as it expects it leaves it alone: that one goes without the shortcut. */
#ifndef SANDPOOL_AHEAD_ROOMS_H
#define SANDPOOL_AHEAD_ROOMS_H

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdnoreturn.h>
#include <sys/types.h>

/* What a function that stands before one of the C library goes on with. */
#define NEXT(name)                                                                              \
	do {                                                                                    \
		if (!next)                                                                      \
			*(void **)&next = dlsym(RTLD_NEXT, #name);                              \
	} while (0)

#pragma GCC visibility push(hidden)

/* Says that we are here, and sleeps until there is a program. Then it is in its file, and
 * streams and limits are those of its run. */
void ahead_wait(void);

/* The same interpreter from its start, as if it had never been ahead. */
noreturn void ahead_start_anew(void);

/* Node: before it says that it is ready. */
void ahead_node_prepare(void);

/* Python: the same; and once its program is there. Whether nothing of a program's end can
 * be seen. */
void ahead_python_prepare(void);
void ahead_python_begins(int fd, off_t offset, size_t size);
bool ahead_python_harmless(const char *text, size_t size);

/* Ruby: whether it waits later than at the opening; if so, what was opened. */
bool ahead_ruby_waits_later(void);
void ahead_ruby_opened(int fd);

#pragma GCC visibility pop

#endif
