/* SPDX-License-Identifier: ISC */
/* Interpreters ahead: what init and the library that waits inside an interpreter
 * say to each other. In an idle box the interpreter is started before there is a
 * program; it runs until it opens the main file, and there the library holds it
 * until init sends the real standard streams and limits. (An interpreter that
 * opens the main file before it loads its own libraries, as Ruby does, gains
 * nothing by that.) */
#ifndef SANDPOOL_AHEAD_H
#define SANDPOOL_AHEAD_H

#include <stdint.h>

#define AHEAD_LIBRARY	 "ahead.so"
#define AHEAD_VARIABLE	 "SANDPOOL_AHEAD" /* the main file's name */
#define AHEAD_SOCKET_FD	 1000
#define AHEAD_LIBRARY_FD 1001

/* library -> init: one byte, once the main file is asked for.
 * init -> library: this, with stdin, stdout and stderr. */
#define AHEAD_READY 'r'

struct ahead_go {
	uint64_t cpu_soft_s, cpu_hard_s, file_bytes, processes;
};

#endif
