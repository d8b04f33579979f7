/* SPDX-License-Identifier: ISC */
/* Interpreters ahead: what the keeper and the library that waits inside an
 * interpreter say to each other. In an idle box the interpreter is started before
 * there is a program; it runs until it opens the main file, and there the library
 * holds it until the keeper sends the program, the real standard streams and limits.
 * It stands where the program will be, and nobody beside it, so that the figures of
 * the run are those of one that was started for its program. (Ruby, which opens the main
 * file before it loads its own libraries, is held when it parses it: ahead_ruby.c.) */
#ifndef SANDPOOL_AHEAD_H
#define SANDPOOL_AHEAD_H

#include <stdint.h>

#define AHEAD_LIBRARY	 "ahead.so"
#define AHEAD_VARIABLE	 "SANDPOOL_AHEAD" /* the main file's name */
#define AHEAD_SOCKET_FD	 1000
#define AHEAD_LIBRARY_FD 1001

/* library -> keeper: one byte, once the main file is asked for.
 * keeper -> library: this, with the payload, stdin, stdout and stderr.
 * library -> keeper: an int32_t, an errno, if the program could not be put in place;
 * else nothing: it closes the socket. */
#define AHEAD_READY 'r'
enum { AHEAD_FD_PAYLOAD, AHEAD_FD_STDIN, AHEAD_FD_COUNT = AHEAD_FD_STDIN + 3 };

struct ahead_go {
	uint64_t cpu_soft_s, cpu_hard_s, file_bytes, processes;
};

#endif
