/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "common/conf.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/job.h"
#include "tests/tap.h"
#include "tests/unit/scratch.h"

struct sample {
	char *text, *path, **list;
	bool flag;
	uint64_t count, bytes, ms;
	struct limits limits;
};

#define AT(field) offsetof(struct sample, field)
static const struct conf_key keys[] = {
        {"text", CONF_TEXT, AT(text), "preset", "A text."},
        {"path", CONF_PATH, AT(path), "/preset", "A path."},
        {"list", CONF_LIST, AT(list), "one two", "A list."},
        {"flag", CONF_BOOL, AT(flag), "true", "A flag."},
        {"count", CONF_COUNT, AT(count), "0x10", "A count."},
        {"bytes", CONF_BYTES, AT(bytes), "2KiB", "Bytes."},
        {"time", CONF_MS, AT(ms), "2s", "A time."},
        {"limits", CONF_LIMITS, AT(limits), "", "Limits."},
        {NULL, 0, 0, NULL, NULL},
};

/* A file of one or more lines; why: in the error, file name and line before it;
 * shown: a line of the dump. */
static const struct {
	const char *name, *file;
	unsigned line; /* 0: good */
	const char *why, *shown;
} rows[] = {
        {"nothing", "", 0, NULL, "text = \"preset\";"},
        {"only a comment", "# text = 1;\n", 0, NULL, "path = \"/preset\";"},
        {"a preset list", "", 0, NULL, "list = [ \"one\", \"two\" ];"},
        {"a preset flag", "", 0, NULL, "flag = true;"},
        {"a preset count", "", 0, NULL, "count = \"16\";"},
        {"preset bytes", "", 0, NULL, "bytes = \"2048\";"},
        {"a preset time", "", 0, NULL, "time = \"2000ms\";"},

        {"a text", "text = \"new\";", 0, NULL, "text = \"new\";"},
        {"an empty text", "text = \"\";", 0, NULL, "text = \"\";"},
        {"a text with quotes", "text = \"a\\\"b\\\\c\";", 0, NULL, "text = \"a\\\"b\\\\c\";"},
        {"a number for a text", "\ntext = 1;", 2, "text must be a text", NULL},
        {"a path", "path = \"/a\";", 0, NULL, "path = \"/a\";"},
        {"a path that is not absolute", "path = \"a\";", 1, "path must be an absolute path",
         NULL},
        {"an empty path", "path = \"\";", 1, "path must be an absolute path", NULL},
        {"a list", "list = [ \"x\" ];", 0, NULL, "list = [ \"x\" ];"},
        {"an empty list", "list = [ ];", 0, NULL, "list = [ ];"},
        {"a list in parentheses", "list = ( \"x\", \"y z\" );", 0, NULL,
         "list = [ \"x\", \"y z\" ];"},
        {"a text for a list", "list = \"x\";", 1, "list must be a list", NULL},
        {"numbers in a list", "\n\nlist = [ 1, 2 ];", 3, "must be a list of texts", NULL},
        {"a flag", "flag = false;", 0, NULL, "flag = false;"},
        {"a text for a flag", "flag = \"yes\";", 1, "flag must be true or false", NULL},
        {"a number for a flag", "flag = 1;", 1, "flag must be true or false", NULL},
        {"a count", "count = 7;", 0, NULL, "count = \"7\";"},
        {"a count as a text", "count = \"0x7000\";", 0, NULL, "count = \"28672\";"},
        {"a large count", "count = 5000000000L;", 0, NULL, "count = \"5000000000\";"},
        {"a negative count", "count = -1;", 1, "count must be a whole number", NULL},
        {"a negative count as a text", "count = \"-1\";", 1, "count must be a whole number",
         NULL},
        {"half a count", "count = 1.5;", 1, "count must be a whole number", NULL},
        {"a word for a count", "count = \"many\";", 1, "count must be a whole number", NULL},
        {"a count with a tail", "count = \"1k\";", 1, "count must be a whole number", NULL},
        {"a count beyond 64 bits", "count = \"99999999999999999999\";", 1,
         "count must be a whole number", NULL},
        {"bytes", "bytes = \"3MiB\";", 0, NULL, "bytes = \"3145728\";"},
        {"bytes as a number", "bytes = 4096;", 0, NULL, "bytes = \"4096\";"},
        {"a time for bytes", "bytes = \"3s\";", 1, "bytes must be bytes", NULL},
        {"a time", "time = \"3min\";", 0, NULL, "time = \"180000ms\";"},
        {"a time without a unit", "time = \"3\";", 1, "time must be a time", NULL},
        {"a number for a time", "time = 3;", 1, "time must be a time", NULL},
        {"limits", "limits = { memory = \"1MiB\"; wall = \"2s\"; processes = 3; };", 0, NULL,
         "wall = \"2000ms\"; cpu = \"0ms\"; memory = \"1048576\"; output = \"0\"; "
         "disk = \"0\"; processes = \"3\"; cpu_percent = \"0\";"},
        {"a text for limits", "limits = \"all\";", 1, "limits must be a group", NULL},
        {"a bad limit", "limits = {\n memory = \"x\"; };", 2, "memory must be bytes", NULL},
        {"an unknown limit", "limits = {\n memroy = 1; };", 2,
         "unknown key \"memroy\"; did you mean \"memory\"?", NULL},

        {"a key that is nearly one", "\n\ncuont = 1;", 3,
         "unknown key \"cuont\"; did you mean \"count\"?", NULL},
        {"a key that is nothing like one", "zzzzzzzz = 1;", 1, "unknown key \"zzzzzzzz\"",
         NULL},
        {"no value", "text = ;", 1, "syntax error", NULL},
        {"no end", "text = \"a", 1, "syntax error", NULL},
        {"the same twice", "count = 1;\ncount = 2;", 2, "duplicate", NULL},
};

static const char *dump(const struct sample *sample)
{
	static char *text;
	size_t size;
	FILE *out;

	free(text);
	out = open_memstream(&text, &size);
	conf_dump(out, keys, sample);
	fclose(out);
	return text;
}

static void check_rows(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct sample sample = {0};
		struct error err = ERROR_INIT;
		char place[300];
		const char *path = scratch_write("conf", rows[i].file);
		int rc = conf_load(path, keys, false, &sample, &err);

		snprintf(place, sizeof place, "%s:%u: ", path, rows[i].line);
		if (rows[i].line)
			tap_ok(rc < 0 && !strncmp(err.text, place, strlen(place)) &&
			               strstr(err.text, rows[i].why),
			       "%s: %s", rows[i].name, err.text);
		else
			tap_ok(rc == 0 && strstr(dump(&sample), rows[i].shown), "%s%s%s",
			       rows[i].name, rc < 0 ? ": " : "", rc < 0 ? err.text : "");
		conf_free(keys, &sample);
	}
}

/* What is printed is what was meant. */
static void check_round_trip(void)
{
	static const char *const files[] = {
	        "",
	        "text = \"\\\"quoted\\\" \\\\ back\"; path = \"/a b/c\"; list = [ \"\", \"a "
	        "b\", \"\\\"\" ];"
	        "flag = false; count = 0; bytes = \"1.5GiB\"; time = \"90min\";"
	        "limits = { wall = \"1s\"; cpu = \"1ms\"; memory = \"3GiB\"; output = 1; disk "
	        "= \"64k\";"
	        "processes = 9; cpu_percent = 250; };",
	        "text = \"two\\nlines\\tand a tab\"; list = [ ];",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(files); i++) {
		struct sample first = {0}, second = {0};
		struct error err = ERROR_INIT;
		cleanup_free char *text = NULL;
		int rc = conf_load(scratch_write("conf", files[i]), keys, false, &first, &err);

		text = strdup(rc == 0 ? dump(&first) : "");
		rc = rc < 0 ? rc
		            : conf_load(scratch_write("conf", text), keys, false, &second,
		                        &err);
		tap_ok(rc == 0 && !strcmp(text, dump(&second)) &&
		               !strcmp(first.text, second.text) &&
		               !memcmp(&first.limits, &second.limits, sizeof first.limits),
		       "dumped and loaded again, file %zu %s", i, err.text);
		conf_free(keys, &first);
		conf_free(keys, &second);
	}
}

static void check_none(void)
{
	struct sample sample = {0};
	struct error err = ERROR_INIT;

	tap_ok(conf_load(NULL, keys, true, &sample, &err) == 0 &&
	               !strcmp(sample.text, "preset") && sample.bytes == 2048,
	       "no file: the presets");
	conf_free(keys, &sample);
	tap_ok(!sample.text && !sample.path && !sample.list, "freed values are forgotten");
	tap_ok(conf_load(scratch_path("nobody"), keys, false, &sample, &err) < 0 &&
	               err.code == ENOENT && strstr(err.text, "nobody"),
	       "a file that is not there: %s", err.text);
	conf_free(keys, &sample);
}

/* Who could have written it? As root, a file is good unless another could; without
 * root, a file of ours is not root's. */
static void check_writers(void)
{
	static const struct {
		const char *name;
		mode_t mode;
		uid_t owner;
		bool trusted_only, good_of_root, good_of_others;
	} writers[] = {
	        {"ours", 0644, 0, true, true, false},
	        {"ours, read by nobody else", 0600, 0, true, true, false},
	        {"the group's too", 0664, 0, true, false, false},
	        {"everybody's", 0666, 0, true, false, false},
	        {"another's", 0644, 65534, true, false, false},
	        {"everybody's, and nobody minds", 0666, 0, false, true, true},
	};
	bool root = geteuid() == 0;
	size_t i;

	for (i = 0; i < ARRAY_LEN(writers); i++) {
		const char *path = scratch_write("writers", "count = 1;");
		struct sample sample = {0};
		struct error err = ERROR_INIT;
		int rc;

		if (chmod(path, writers[i].mode) < 0 ||
		    (root && writers[i].owner && chown(path, writers[i].owner, (gid_t)-1) < 0))
			exit(1);
		rc = conf_load(path, keys, writers[i].trusted_only, &sample, &err);
		tap_ok((rc == 0) == (root ? writers[i].good_of_root
		                          : writers[i].good_of_others) &&
		               (rc == 0 || err.code == EPERM),
		       "a file that is %s: %s", writers[i].name, rc < 0 ? err.text : "read");
		conf_free(keys, &sample);
		unlink(path);
	}
}

/* What is not a file must neither be read nor waited for. */
static void check_kinds(void)
{
	const char *path = scratch_path("fifo");
	struct sample sample = {0};
	struct error err = ERROR_INIT;

	if (mkfifo(path, 0644) < 0)
		exit(1);
	tap_ok(conf_load(path, keys, false, &sample, &err) < 0, "a pipe is no file: %s",
	       err.text);
	conf_free(keys, &sample);
	tap_ok(conf_load("/dev/null", keys, false, &sample, &err) < 0, "nor is a device: %s",
	       err.text);
	conf_free(keys, &sample);
	tap_ok(conf_load(scratch, keys, false, &sample, &err) < 0, "nor is a folder: %s",
	       err.text);
	conf_free(keys, &sample);
}

static const struct {
	const char *text;
	int64_t bytes, ms; /* -1: not one */
} quantities[] = {
        {"0", 0, -1},
        {"1", 1, -1},
        {"1B", 1, -1},
        {"64k", 65536, -1},
        {"64K", 65536, -1},
        {"64KiB", 65536, -1},
        {"256MiB", 268435456, -1},
        {"1m", 1048576, -1},
        {"1M", 1048576, -1},
        {"1.5GiB", 1610612736, -1},
        {"2g", 2147483648, -1},
        {"2G", 2147483648, -1},
        {"1 MiB", 1048576, -1},
        {"0.5k", 512, -1},
        {"250ms", -1, 250},
        {"10s", -1, 10000},
        {"2min", -1, 120000},
        {"1h", -1, 3600000},
        {"1.5s", -1, 1500},
        {"0ms", -1, 0},
        {"", -1, -1},
        {"-1", -1, -1},
        {"+1", -1, -1},
        {" 1", -1, -1},
        {"k", -1, -1},
        {"1kb", -1, -1},
        {"1kib", -1, -1},
        {"1x", -1, -1},
        {"1 ", 1, -1},
        {"1k k", -1, -1},
        {"1e30", -1, -1},
        {"99999999GiB", -1, -1},
        {"inf", -1, -1},
        {"nan", -1, -1},
        {"1S", -1, -1},
        {"1sec", -1, -1},
};

static bool as_wanted(int rc, uint64_t value, int64_t wanted)
{
	return wanted < 0 ? rc < 0 && value == 77 : rc == 0 && value == (uint64_t)wanted;
}

static void check_quantities(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(quantities); i++) {
		uint64_t bytes = 77, ms = 77;
		int bytes_rc = conf_parse_bytes(quantities[i].text, &bytes);
		int ms_rc = conf_parse_ms(quantities[i].text, &ms);

		tap_ok(as_wanted(bytes_rc, bytes, quantities[i].bytes) &&
		               as_wanted(ms_rc, ms, quantities[i].ms),
		       "\"%s\" as bytes and as a time", quantities[i].text);
	}
}

static const char *word_at(const void *data, size_t i)
{
	return ((const char *const *)data)[i];
}

static void check_nearest(void)
{
	static const char *const words[] = {"memory", "processes", "wall", "cpu", NULL};
	static const struct {
		const char *word, *near;
	} near[] = {
	        {"memory", "memory"},     {"memroy", "memory"}, {"mem", NULL},
	        {"process", "processes"}, {"wal", "wall"},      {"walls", "wall"},
	        {"gpu", "cpu"},           {"network", NULL},    {"", NULL},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(near); i++) {
		const char *found = conf_nearest(near[i].word, word_at, words);

		tap_ok(found == near[i].near ||
		               (found && near[i].near && !strcmp(found, near[i].near)),
		       "nearest to \"%s\": %s", near[i].word, found ? found : "none");
	}
}

int main(void)
{
	scratch_open();
	check_rows();
	check_round_trip();
	check_none();
	check_writers();
	check_kinds();
	check_quantities();
	check_nearest();
	return tap_done();
}
