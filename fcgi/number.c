/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 64 /* no honest number is longer */

bool number_parse(struct bytes text, double *ret_number)
{
	char copy[NUMBER_MAX + 1], *end;
	double number;
	size_t i;

	if (text.size == 0 || text.size > NUMBER_MAX)
		return false;
	/* strtod() knows too much: only what reads as decimal goes there */
	for (i = 0; i < text.size; i++)
		if (!text.data[i] || !strchr("0123456789+-.eE", text.data[i]))
			return false;
	memcpy(copy, text.data, text.size);
	copy[text.size] = '\0';
	number = strtod(copy, &end);
	if (end == copy || *end || !isfinite(number))
		return false;
	*ret_number = number;
	return true;
}
