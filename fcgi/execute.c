/* SPDX-License-Identifier: ISC */
/* Runs as: worker user.
 *
 * The older shape of the same thing, for clients that were written for it: four
 * fields in (the time-out in milliseconds), output, error, exitCode and
 * executionTime out, errors as one text, and an unknown language is 400. The codec
 * knows both shapes; the job and the boxes are the same. */
#include "fcgi/execute.h"

#include "fcgi/run.h"

void execute_handle(struct visit *visit)
{
	visit->shape = SHAPE_EXECUTE;
	visit->format = ANSWER_JSON;
	run_visit(visit);
}
