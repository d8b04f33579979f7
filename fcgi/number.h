/* SPDX-License-Identifier: ISC */
/* Decimal numbers in text that strangers wrote. */
#ifndef SANDPOOL_NUMBER_H
#define SANDPOOL_NUMBER_H

#include <stdbool.h>

#include "common/job.h"

/* The whole text as a finite decimal number: "12", "-0.5", "1e-6". No spaces, no
 * hexadecimal, no "inf". */
bool number_parse(struct bytes text, double *ret_number);

#endif
