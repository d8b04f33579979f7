/* SPDX-License-Identifier: ISC */
/* An error that carries its own story. A failing function fills the caller's
 * struct and returns -1 (or NULL); each level adds what it was doing. Nothing
 * here allocates, so it works when memory is gone, and the struct can cross a
 * process boundary as it is.
 *
 * What a submitted program does is never an error: it is a result. */
#ifndef SANDPOOL_ERROR_H
#define SANDPOOL_ERROR_H

struct error {
	int code;       /* an errno value; 0 while nothing failed */
	char text[256]; /* one line, outermost context first, always ended by NUL */
};

#define ERROR_INIT { 0 }

/* Both return -1, so that a caller can write "return error_set(...)".
 * err may be NULL. error_set() keeps errno unchanged. */
int error_set(struct error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int error_wrap(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* error_set() with errno as code and ": <strerror>" behind the text. */
int error_errno(struct error *err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
