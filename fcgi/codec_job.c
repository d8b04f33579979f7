/* SPDX-License-Identifier: ISC */
/* From the tree of values to the job: one table of fields for each shape of
 * request. A field that is null counts as absent; unknown ones are ignored.
 * Runs as: worker user. Pure. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/base64.h"
#include "fcgi/compare.h"
#include "fcgi/utf8.h"
#include "fcgi/value.h"

#define PATH_MAX_BYTES	   64	/* "limits.compile.memory_bytes", "tests[12].arguments[3]" */
#define NUMBER_TOO_LARGE   1e15 /* beyond every maximum, and exact as an integer */
#define TEST_NAME_MAX	   200
#define MISSING_LANGUAGE   "Name a language: see GET /api/languages."

struct building {
	struct decoding *decoding;
	struct job *job;
	struct codec_echo *echo;
	const struct value *root;
};

/* ---- values ---- */

static int refuse(struct building *b, const char *code, const char *path, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int refuse(struct building *b, const char *code, const char *path, const char *fmt, ...)
{
	char text[sizeof b->decoding->failure->message];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return failure_set(b->decoding->failure, 400, code, path, "%s %s", path, text);
}

static int wrong_type(struct building *b, const char *path, const char *wanted,
		      const struct value *value)
{
	static const char *const names[] = {
		[VALUE_NULL] = "null",	     [VALUE_BOOL] = "a truth value",
		[VALUE_NUMBER] = "a number", [VALUE_BYTES] = "a string",
		[VALUE_LIST] = "a list",     [VALUE_MAP] = "a map",
	};

	return refuse(b, NULL, path, "must be %s, not %s.", wanted, names[value->type]);
}

/* A member that is there and not null. */
static const struct value *map_get(const struct value *map, const char *name)
{
	size_t i;

	for (i = 0; i < map->map.count; i++)
		if (bytes_are(map->map.item[i].name, name))
			return map->map.item[i].value.type == VALUE_NULL ?
				       NULL :
				       &map->map.item[i].value;
	return NULL;
}

/* The same under either of two names, but not under both. ret_path gets the prefix
 * and the name that was used. */
static int map_get_alias(struct building *b, const struct value *map, const char *prefix,
			 const char *name, const char *alias, const struct value **ret_value,
			 char ret_path[PATH_MAX_BYTES])
{
	const struct value *value = map_get(map, name);
	const struct value *other = alias ? map_get(map, alias) : NULL;

	snprintf(ret_path, PATH_MAX_BYTES, "%s%s", prefix, other ? alias : name);
	if (value && other)
		return refuse(b, NULL, ret_path, "is another name for %s: give one of them.",
			      name);
	*ret_value = value ? value : other;
	return 0;
}

static int take_base64(struct building *b, const char *path, struct bytes text,
		       struct bytes *ret_bytes)
{
	char *data = arena_alloc(b->decoding->arena, text.size / 4 * 3 + 3, 1);

	if (!data)
		return decode_no_room(b->decoding);
	ret_bytes->data = data;
	if (base64_decode(text.data, text.size, data, &ret_bytes->size) < 0)
		return refuse(b, NULL, path, "is not valid base 64.");
	return 0;
}

/* A string, or {"base64": "..."} */
static int take_bytes(struct building *b, const char *path, const struct value *value,
		      struct bytes *ret_bytes)
{
	const struct value *inner;

	if (value->type == VALUE_BYTES) {
		*ret_bytes = value->bytes;
		return 0;
	}
	if (value->type != VALUE_MAP)
		return wrong_type(b, path, "a string", value);
	inner = map_get(value, "base64");
	if (!inner || inner->type != VALUE_BYTES || value->map.count != 1)
		return refuse(b, NULL, path, "must be a string, or {\"base64\": \"...\"}.");
	return take_base64(b, path, inner->bytes, ret_bytes);
}

static int take_words(struct building *b, const char *path, const struct value *value,
		      struct words *ret_words)
{
	char item_path[PATH_MAX_BYTES];
	struct bytes *item;
	size_t i;

	if (value->type != VALUE_LIST)
		return wrong_type(b, path, "a list of strings", value);
	if (value->list.count > JOB_WORDS_MAX)
		return refuse(b, "out_of_range", path, "may have at most %d words.",
			      JOB_WORDS_MAX);
	item = arena_alloc(b->decoding->arena, value->list.count, sizeof *item);
	if (!item)
		return decode_no_room(b->decoding);
	for (i = 0; i < value->list.count; i++) {
		snprintf(item_path, sizeof item_path, "%s[%zu]", path, i);
		if (take_bytes(b, item_path, &value->list.item[i], &item[i]) < 0)
			return -1;
		if (item[i].size && memchr(item[i].data, '\0', item[i].size))
			return refuse(b, NULL, item_path, "must not contain a NUL byte.");
	}
	ret_words->item = item;
	ret_words->count = value->list.count;
	return 0;
}

static size_t words_bytes(const struct words *words)
{
	size_t sum = 0, i;

	for (i = 0; i < words->count; i++)
		sum += words->item[i].size + 1;
	return sum;
}

/* ---- language, program, input ---- */

static int take_language(struct building *b, const char *path, const struct value *value)
{
	struct bytes id;

	if (value->type != VALUE_BYTES)
		return wrong_type(b, path, "a string", value);
	id = value->bytes;
	if (!id.size)
		return refuse(b, NULL, path, "is empty. " MISSING_LANGUAGE);
	if (!job_language_valid(id.data, id.size))
		return refuse(b, NULL, path,
			      "must be 1 to %d letters, digits or _ + . # - characters.",
			      JOB_LANGUAGE_MAX);
	memcpy(b->job->language, id.data, id.size);
	b->job->language[id.size] = '\0';
	return 0;
}

static int take_code(struct building *b, const char *path, const struct value *value)
{
	struct job_file *file = arena_alloc(b->decoding->arena, 1, sizeof *file);

	if (!file)
		return decode_no_room(b->decoding);
	if (take_bytes(b, path, value, &file->content) < 0)
		return -1;
	file->name = (struct bytes){ "", 0 };
	b->job->files = file;
	b->job->files_count = 1;
	return 0;
}

static int take_name(struct building *b, const char *path, const struct value *value,
		     struct bytes *ret_name)
{
	if (value->type != VALUE_BYTES)
		return wrong_type(b, path, "a string", value);
	if (!job_name_valid(value->bytes.data, value->bytes.size) ||
	    !utf8_valid(value->bytes.data, value->bytes.size))
		return refuse(b, NULL, path,
			      "must be a relative file name of at most %d bytes, without "
			      "\"..\", backslash or control characters.",
			      JOB_NAME_MAX);
	*ret_name = value->bytes;
	return 0;
}

static int take_content(struct building *b, const char *path, const struct value *file,
			struct bytes *ret_content)
{
	const struct value *content = map_get(file, "content");
	const struct value *encoding = map_get(file, "encoding");

	if (!content)
		return refuse(b, "missing", path, "is missing.");
	if (!encoding)
		return take_bytes(b, path, content, ret_content);
	if (encoding->type != VALUE_BYTES || (!bytes_are(encoding->bytes, "utf8") &&
					      !bytes_are(encoding->bytes, "base64")))
		return refuse(b, NULL, path,
			      "has an encoding that is neither utf8 nor base64.");
	if (content->type != VALUE_BYTES)
		return refuse(b, NULL, path, "must be a string when there is an encoding.");
	if (bytes_are(encoding->bytes, "base64"))
		return take_base64(b, path, content->bytes, ret_content);
	*ret_content = content->bytes;
	return 0;
}

/* One is the other, or a folder that the other lies in. */
static bool names_clash(struct bytes a, struct bytes b)
{
	struct bytes *shorter = a.size < b.size ? &a : &b, *longer = a.size < b.size ? &b : &a;

	if (!shorter->size || memcmp(a.data, b.data, shorter->size) != 0)
		return false;
	return shorter->size == longer->size || longer->data[shorter->size] == '/';
}

static int take_file(struct building *b, const char *list_path, size_t index,
		     const struct value *value)
{
	char path[PATH_MAX_BYTES];
	struct job_file *file = &b->job->files[index];
	const struct value *name;
	size_t i;

	snprintf(path, sizeof path, "%s[%zu]", list_path, index);
	if (value->type != VALUE_MAP)
		return wrong_type(b, path, "a map of name and content", value);
	name = map_get(value, "name");
	snprintf(path, sizeof path, "%s[%zu].name", list_path, index);
	if (!name)
		return refuse(b, "missing", path, "is missing.");
	if (take_name(b, path, name, &file->name) < 0)
		return -1;
	for (i = 0; i < index; i++)
		if (names_clash(b->job->files[i].name, file->name))
			return refuse(b, NULL, path, "is in use by files[%zu].", i);
	snprintf(path, sizeof path, "%s[%zu].content", list_path, index);
	return take_content(b, path, value, &file->content);
}

static int take_files(struct building *b, const char *path, const struct value *value)
{
	size_t i;

	if (value->type != VALUE_LIST)
		return wrong_type(b, path, "a list", value);
	if (value->list.count > JOB_FILES_MAX)
		return refuse(b, "out_of_range", path, "may have at most %d files.",
			      JOB_FILES_MAX);
	if (!value->list.count)
		return 0;
	if (b->job->files_count)
		return refuse(b, NULL, path, "and code are two ways to give the program: "
					     "use one of them.");
	b->job->files = arena_alloc(b->decoding->arena, value->list.count,
				    sizeof *b->job->files);
	if (!b->job->files)
		return decode_no_room(b->decoding);
	for (i = 0; i < value->list.count; i++)
		if (take_file(b, path, i, &value->list.item[i]) < 0)
			return -1;
	b->job->files_count = value->list.count;
	return 0;
}

static int take_input(struct building *b, const char *path, const struct value *value)
{
	return take_bytes(b, path, value, &b->job->input);
}

static int take_arguments(struct building *b, const char *path, const struct value *value)
{
	return take_words(b, path, value, &b->job->arguments);
}

static int take_options(struct building *b, const char *path, const struct value *value)
{
	if (take_words(b, path, value, &b->job->options) < 0)
		return -1;
	if (words_bytes(&b->job->options) + words_bytes(&b->job->arguments) > JOB_WORD_BYTES)
		return refuse(b, "out_of_range", path,
			      "and the arguments may have at most %d bytes together.",
			      JOB_WORD_BYTES);
	return 0;
}

static int check_words(struct building *b, const char *path, const struct words *arguments)
{
	if (words_bytes(arguments) + words_bytes(&b->job->options) > JOB_WORD_BYTES)
		return refuse(b, "out_of_range", path,
			      "and the options may have at most %d bytes together.",
			      JOB_WORD_BYTES);
	return 0;
}

static int take_collect(struct building *b, const char *path, const struct value *value)
{
	char item_path[PATH_MAX_BYTES];
	struct words *collect = &b->job->collect;
	size_t i, k;

	if (value->type != VALUE_LIST)
		return wrong_type(b, path, "a list of file names", value);
	if (value->list.count > JOB_FILES_MAX)
		return refuse(b, "out_of_range", path, "may have at most %d names.",
			      JOB_FILES_MAX);
	collect->item = arena_alloc(b->decoding->arena, value->list.count,
				    sizeof *collect->item);
	if (!collect->item)
		return decode_no_room(b->decoding);
	for (i = 0; i < value->list.count; i++) {
		snprintf(item_path, sizeof item_path, "%s[%zu]", path, i);
		if (take_name(b, item_path, &value->list.item[i], &collect->item[i]) < 0)
			return -1;
		for (k = 0; k < i; k++)
			if (bytes_equal(collect->item[k], collect->item[i]))
				return refuse(b, NULL, item_path, "is in the list twice.");
	}
	collect->count = value->list.count;
	return 0;
}

/* ---- limits ---- */

/* 0 in ret_limit: the default. What lies beyond every maximum stays beyond it. */
static int take_limit(struct building *b, const char *path, const struct value *value,
		      uint64_t *ret_limit)
{
	double number;

	if (value->type != VALUE_NUMBER)
		return wrong_type(b, path, "a number", value);
	number = value->number;
	if (number == -1) {
		*ret_limit = 0;
		return 0;
	}
	if (!(number >= 1))
		return refuse(b, "out_of_range", path,
			      "must be at least 1 (null or -1 is the default).");
	if (number > NUMBER_TOO_LARGE)
		number = NUMBER_TOO_LARGE;
	if (number != floor(number))
		return refuse(b, NULL, path, "must be a whole number.");
	*ret_limit = (uint64_t)number;
	return 0;
}

static int take_limit_map(struct building *b, const char *path, const struct value *value,
			  struct limits *limits)
{
	char item_path[PATH_MAX_BYTES];
	size_t i;

	if (value->type != VALUE_MAP)
		return wrong_type(b, path, "a map", value);
	for (i = 0; i < LIMIT_FIELDS; i++) {
		const struct value *item = map_get(value, limit_fields[i].name);

		snprintf(item_path, sizeof item_path, "%s.%s", path, limit_fields[i].name);
		if (item &&
		    take_limit(b, item_path, item, limit_at(limits, &limit_fields[i])) < 0)
			return -1;
	}
	return 0;
}

static int take_limits(struct building *b, const char *path, const struct value *value)
{
	const struct value *compile, *total;

	if (take_limit_map(b, path, value, &b->job->run) < 0)
		return -1;
	compile = map_get(value, "compile");
	if (compile && take_limit_map(b, "limits.compile", compile, &b->job->build) < 0)
		return -1;
	total = map_get(value, "total_ms");
	return total ? take_limit(b, "limits.total_ms", total, &b->job->total_ms) : 0;
}

static int take_time(struct building *b, const char *path, const struct value *value,
		     unsigned unit_ms)
{
	double ms;

	if (value->type != VALUE_NUMBER)
		return wrong_type(b, path, "a number", value);
	if (value->number == -1)
		return 0;
	ms = value->number * unit_ms;
	if (!(ms >= 1)) /* not a number is refused here too */
		return refuse(b, "out_of_range", path,
			      "must be above 0, and at least a millisecond.");
	if (b->job->run.wall_ms)
		return refuse(b, NULL, path, "is another name for limits.wall_ms: "
					     "give one of them.");
	if (ms > NUMBER_TOO_LARGE)
		ms = NUMBER_TOO_LARGE;
	b->job->run.wall_ms = (uint64_t)(ms + 0.5);
	b->echo->timeout_unit_ms = unit_ms;
	return 0;
}

static int take_seconds(struct building *b, const char *path, const struct value *value)
{
	return take_time(b, path, value, 1000);
}

static int take_milliseconds(struct building *b, const char *path, const struct value *value)
{
	return take_time(b, path, value, 1);
}

/* ---- tests ---- */

static int take_compare(struct building *b, const char *path, const struct value *value)
{
	if (value->type != VALUE_BYTES)
		return wrong_type(b, path, "a string", value);
	if (compare_parse(value->bytes.data, value->bytes.size, &b->job->compare,
			  &b->job->compare_float) < 0)
		return refuse(b, NULL, path, "must be exact, trailing-space, tokens, or float: "
					     "and a tolerance, as in float:1e-6.");
	return 0;
}

static int take_test_name(struct building *b, const char *path, const struct value *value,
			  struct job_test *test)
{
	if (value->type != VALUE_BYTES)
		return wrong_type(b, path, "a string", value);
	if (value->bytes.size > TEST_NAME_MAX ||
	    !utf8_valid(value->bytes.data, value->bytes.size))
		return refuse(b, NULL, path, "must be text of at most %d bytes.",
			      TEST_NAME_MAX);
	test->name = value->bytes;
	return 0;
}

static int take_test_input(struct building *b, const char *path, const struct value *value,
			   struct job_test *test)
{
	return take_bytes(b, path, value, &test->input);
}

static int take_test_arguments(struct building *b, const char *path, const struct value *value,
			       struct job_test *test)
{
	test->has_arguments = true;
	if (take_words(b, path, value, &test->arguments) < 0)
		return -1;
	return check_words(b, path, &test->arguments);
}

static int take_test_expected(struct building *b, const char *path, const struct value *value,
			      struct job_test *test)
{
	test->has_expected = true;
	return take_bytes(b, path, value, &test->expected);
}

static const struct test_field {
	const char *name, *alias;
	int (*take)(struct building *b, const char *path, const struct value *value,
		    struct job_test *test);
} test_fields[] = {
	{ "name", NULL, take_test_name },
	{ "input", "stdin", take_test_input },
	{ "arguments", "args", take_test_arguments },
	{ "expected", NULL, take_test_expected },
};

static int take_test(struct building *b, size_t index, const struct value *map)
{
	struct job_test *test = &b->job->tests[index];
	char prefix[PATH_MAX_BYTES], path[PATH_MAX_BYTES];
	size_t i;

	snprintf(path, sizeof path, "tests[%zu]", index);
	snprintf(prefix, sizeof prefix, "tests[%zu].", index);
	if (map->type != VALUE_MAP)
		return wrong_type(b, path, "a map", map);
	test->input = b->job->input; /* what the test leaves out is the request's */
	for (i = 0; i < ARRAY_LEN(test_fields); i++) {
		const struct test_field *field = &test_fields[i];
		const struct value *value;

		if (map_get_alias(b, map, prefix, field->name, field->alias, &value,
				  path) < 0 ||
		    (value && field->take(b, path, value, test) < 0))
			return -1;
	}
	return 0;
}

static int take_tests(struct building *b, const char *path, const struct value *value)
{
	size_t i;

	if (value->type != VALUE_LIST)
		return wrong_type(b, path, "a list", value);
	if (value->list.count > JOB_TESTS_MAX)
		return refuse(b, "out_of_range", path, "may have at most %d tests.",
			      JOB_TESTS_MAX);
	b->job->tests = arena_alloc(b->decoding->arena, value->list.count,
				    sizeof *b->job->tests);
	if (!b->job->tests)
		return decode_no_room(b->decoding);
	for (i = 0; i < value->list.count; i++)
		if (take_test(b, i, &value->list.item[i]) < 0)
			return -1;
	b->job->tests_count = value->list.count;
	return 0;
}

/* ---- the tables ---- */

/* In an order in which each may rely on those before it: options add to the
 * arguments, timeout looks at limits, tests take over the request's input. */
struct field {
	const char *name, *alias;
	int (*take)(struct building *b, const char *path, const struct value *value);
};

static const struct field run_fields[] = {
	{ "language", NULL, take_language },
	{ "code", NULL, take_code },
	{ "files", NULL, take_files },
	{ "input", "stdin", take_input },
	{ "arguments", "args", take_arguments },
	{ "options", NULL, take_options },
	{ "limits", NULL, take_limits },
	{ "timeout", NULL, take_seconds },
	{ "compare", NULL, take_compare },
	{ "tests", NULL, take_tests },
	{ "collect", NULL, take_collect },
	{ NULL, NULL, NULL },
};

static const struct field execute_fields[] = {
	{ "language", NULL, take_language },
	{ "code", NULL, take_code },
	{ "input", NULL, take_input },
	{ "timeout", NULL, take_milliseconds },
	{ NULL, NULL, NULL },
};

static const struct field *const shapes[] = {
	[SHAPE_RUN] = run_fields,
	[SHAPE_EXECUTE] = execute_fields,
};

/* ---- what was asked, as text ---- */

static void echo_bytes(struct building *b, const char *name, const char *alias,
		       struct bytes *ret_text)
{
	const struct value *value = map_get(b->root, name);

	if (!value && alias)
		value = map_get(b->root, alias);
	if (value && value->type == VALUE_BYTES)
		*ret_text = value->bytes;
}

/* Best effort: a list that is no list of strings is left to its own error. */
static void echo_words(struct building *b, const char *name, const char *alias,
		       struct bytes *ret_text)
{
	const struct value *value = map_get(b->root, name);
	size_t size = 0, n = 0, i;
	char *text;

	if (!value && alias)
		value = map_get(b->root, alias);
	if (!value || value->type != VALUE_LIST)
		return;
	for (i = 0; i < value->list.count; i++) {
		if (value->list.item[i].type != VALUE_BYTES)
			return;
		size += value->list.item[i].bytes.size + 1;
	}
	text = size ? arena_alloc(b->decoding->arena, size, 1) : NULL;
	if (!text)
		return;
	for (i = 0; i < value->list.count; i++) {
		struct bytes word = value->list.item[i].bytes;

		if (word.size)
			memcpy(text + n, word.data, word.size);
		n += word.size;
		text[n++] = '\n';
	}
	*ret_text = (struct bytes){ text, size - 1 };
}

static void fill_echo(struct building *b)
{
	struct codec_echo *echo = b->echo;
	const struct value *timeout = map_get(b->root, "timeout");
	char text[32];
	int size;

	echo_bytes(b, "language", NULL, &echo->language);
	echo_bytes(b, "code", NULL, &echo->code);
	echo_bytes(b, "input", "stdin", &echo->input);
	echo_words(b, "arguments", "args", &echo->arguments);
	echo_words(b, "options", NULL, &echo->options);
	if (!timeout || timeout->type != VALUE_NUMBER)
		return;
	size = snprintf(text, sizeof text, "%.10g", timeout->number);
	echo->timeout.data = arena_copy(b->decoding->arena, text, (size_t)size);
	echo->timeout.size = echo->timeout.data ? (size_t)size : 0;
}

int job_from_value(struct decoding *decoding, const struct value *value, struct job *ret_job,
		   struct codec_echo *ret_echo)
{
	struct job job = { .compare = COMPARE_TRAILING_SPACE };
	struct building b = { decoding, &job, ret_echo, value };
	const struct field *field;

	if (value->type != VALUE_MAP)
		return failure_set(decoding->failure, 400, "malformed", "body",
				   "The body must be a map with language and code.");
	fill_echo(&b);
	for (field = shapes[decoding->request->shape]; field->name; field++) {
		const struct value *item;
		char path[PATH_MAX_BYTES];

		if (map_get_alias(&b, value, "", field->name, field->alias, &item, path) < 0 ||
		    (item && field->take(&b, path, item) < 0))
			return -1;
	}
	if (!job.language[0])
		return refuse(&b, "missing", "language", "is missing. " MISSING_LANGUAGE);
	if (!job.files_count)
		return refuse(&b, "missing", "code", "is missing.");
	if (check_words(&b, "arguments", &job.arguments) < 0)
		return -1;
	*ret_job = job;
	return 0;
}
