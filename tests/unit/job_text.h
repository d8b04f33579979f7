/* SPDX-License-Identifier: ISC */
/* A decoded request as one line of text, for rows that say what is expected:
 *
 *	c main(){} file a.h=... input=5 arguments=[a|b] run.wall_ms=1500
 *
 * Bytes outside printable ASCII are written as \xHH. */
#ifndef SANDPOOL_TESTS_JOB_TEXT_H
#define SANDPOOL_TESTS_JOB_TEXT_H

#include <stddef.h>

#include "fcgi/codec.h"

void job_text(const struct job *job, char *text, size_t size);

/* Decodes; text gets the job, or "400 code field" when it was refused. */
void decode_text(enum codec_shape shape, const char *content_type, struct bytes body,
		 char *text, size_t size);

#endif
