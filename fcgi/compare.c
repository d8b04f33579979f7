/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/compare.h"

#include <math.h>
#include <string.h>

#include "fcgi/number.h"

int compare_parse(const char *text, size_t size, enum compare *ret_compare,
		  double *ret_tolerance)
{
	static const struct {
		const char *name;
		enum compare compare;
	} names[] = {
		{ "exact", COMPARE_EXACT },
		{ "trailing-space", COMPARE_TRAILING_SPACE },
		{ "tokens", COMPARE_TOKENS },
	};
	static const char prefix[] = "float:";
	const size_t prefix_size = sizeof prefix - 1;
	double tolerance;
	size_t i;

	for (i = 0; i < sizeof names / sizeof names[0]; i++) {
		if (size != strlen(names[i].name) || memcmp(text, names[i].name, size) != 0)
			continue;
		*ret_compare = names[i].compare;
		*ret_tolerance = 0;
		return 0;
	}
	if (size <= prefix_size || memcmp(text, prefix, prefix_size) != 0 ||
	    !number_parse((struct bytes){ text + prefix_size, size - prefix_size },
			  &tolerance) ||
	    tolerance < 0)
		return -1;
	*ret_compare = COMPARE_FLOAT;
	*ret_tolerance = tolerance;
	return 0;
}

static bool equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool is_space(char c)
{
	return is_blank(c) || c == '\n' || c == '\v' || c == '\f';
}

/* Takes one line off the front, without its end and the blanks before it. */
static struct bytes next_line(struct bytes *text)
{
	const char *end = text->size ? memchr(text->data, '\n', text->size) : NULL;
	struct bytes line = { text->data, end ? (size_t)(end - text->data) : text->size };
	size_t taken = end ? line.size + 1 : line.size;

	text->data += taken;
	text->size -= taken;
	while (line.size && is_blank(line.data[line.size - 1]))
		line.size--;
	return line;
}

static bool all_space(struct bytes text)
{
	while (text.size)
		if (next_line(&text).size)
			return false;
	return true;
}

static bool equal_lines(struct bytes a, struct bytes b)
{
	while (a.size && b.size) {
		if (!equal(next_line(&a), next_line(&b)))
			return false;
	}
	return all_space(a) && all_space(b);
}

/* Takes one word off the front; an empty one at the end. */
static struct bytes next_word(struct bytes *text)
{
	struct bytes word;
	size_t i = 0;

	while (i < text->size && is_space(text->data[i]))
		i++;
	word.data = text->data + i;
	while (i < text->size && !is_space(text->data[i]))
		i++;
	word.size = (size_t)(text->data + i - word.data);
	text->data += i;
	text->size -= i;
	return word;
}

static bool close_enough(struct bytes a, struct bytes b, double tolerance)
{
	double x, y, difference;

	if (equal(a, b))
		return true;
	if (!number_parse(a, &x) || !number_parse(b, &y))
		return false;
	difference = fabs(x - y);
	return difference <= tolerance || difference <= tolerance * fmax(fabs(x), fabs(y));
}

static bool equal_words(struct bytes a, struct bytes b, bool numbers, double tolerance)
{
	for (;;) {
		struct bytes x = next_word(&a), y = next_word(&b);

		if (!x.size || !y.size)
			return x.size == y.size;
		if (numbers ? !close_enough(x, y, tolerance) : !equal(x, y))
			return false;
	}
}

bool compare_output(enum compare compare, double tolerance, struct bytes got,
		    struct bytes expected)
{
	/* arithmetic on a null pointer is undefined, even adding zero */
	if (!got.size)
		got.data = "";
	if (!expected.size)
		expected.data = "";
	switch (compare) {
	case COMPARE_EXACT:
		return equal(got, expected);
	case COMPARE_TRAILING_SPACE:
		return equal_lines(got, expected);
	case COMPARE_TOKENS:
		return equal_words(got, expected, false, 0);
	case COMPARE_FLOAT:
		return equal_words(got, expected, true, tolerance);
	}
	return false;
}
