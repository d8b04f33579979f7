/* SPDX-License-Identifier: ISC */
/* Runs as: the box user, inside an interpreter that was started ahead.
 * More than half of a small program's time in Python goes into the end: thousands of objects
 * of the interpreter's own start are looked through three times, and taken apart. What a
 * program may see of that is the end of its own: a __del__ that is called, a file that is
 * flushed, the order of such things. But there are programs that can have nothing whose end
 * is seen: by its words such a one makes no class, no generator, no file, runs no other
 * text, and imports nothing of which it could get such things. (What it gets from text that
 * it puts together is its own affair.) When it has ended without an error, and what it
 * has printed is out, it is left as it stands. For any other program all is as it was. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "sandbox/ahead_rooms.h"

#define PROGRAM_ROOM 16384

/* ---- the words of a program ---- */

static const char *const telling[] = {
	"SystemExit", "addaudithook", "async", "await", "breakpoint", "class", "compile", "detach",
	"eval", "exec", "exit", "help", "monitoring", "quit", "setprofile", "settrace", "yield",
};

static const char *const harmless_modules[] = {
	"array", "bisect", "calendar", "cmath", "collections", "copy", "datetime", "decimal",
	"fractions", "functools", "heapq", "itertools", "json", "math", "numbers", "operator", "os",
	"random", "re", "statistics", "string", "struct", "sys", "textwrap", "time", "typing",
};

static const char *const harmless_names[] = { "__file__", "__main__", "__name__" };

struct word {
	const char *at;
	size_t size;
};

static bool is(struct word word, const char *text)
{
	return word.size == strlen(text) && !memcmp(word.at, text, word.size);
}

static bool one_of(struct word word, const char *const *list, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (is(word, list[i]))
			return true;
	return false;
}
#define ONE_OF(word, list) one_of(word, list, sizeof(list) / sizeof *(list))

static bool in_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || (unsigned char)c >= 0x80;
}

static bool holds(struct word word, const char *text)
{
	return memmem(word.at, word.size, text, strlen(text)) != NULL;
}

/* "open" is also in os.popen(); names with underscores lead to everything. */
static bool is_telling(struct word word)
{
	return ONE_OF(word, telling) || holds(word, "open") ||
	       (holds(word, "__") && !ONE_OF(word, harmless_names));
}

/* Behind "from" or "import", to the end of the line. */
enum statement { OTHER, FROM, FROM_KNOWN, IMPORT, IMPORT_AS };

/* False: it may import anything. */
static bool follow(enum statement *statement, struct word word, char before)
{
	bool known = before != '.' && ONE_OF(word, harmless_modules);

	switch (*statement) {
	case OTHER:
	case FROM_KNOWN:
		if (is(word, "from"))
			*statement = FROM;
		else if (is(word, "import"))
			*statement = *statement == OTHER ? IMPORT : OTHER;
		return true;
	case FROM: /* or "raise X from Y" */
		*statement = known ? FROM_KNOWN : FROM;
		return !is(word, "import");
	case IMPORT:
		if (is(word, "as"))
			*statement = IMPORT_AS;
		return known || before == '.' || is(word, "as");
	case IMPORT_AS:
		*statement = IMPORT;
		return true;
	}
	return false;
}

bool ahead_python_harmless(const char *text, size_t size)
{
	enum statement statement = OTHER;
	const char *end = text + size, *at = text;

	while (at < end) {
		struct word word = { at, 0 };

		if (*at == '\n' || *at == ';')
			statement = OTHER;
		if (*at == '\\' && statement != OTHER)
			return false;
		if (!in_word(*at)) {
			at++;
			continue;
		}
		while (at < end && in_word(*at))
			at++;
		word.size = (size_t)(at - word.at);
		if (is_telling(word) ||
		    !follow(&statement, word, word.at > text ? word.at[-1] : '\n'))
			return false;
	}
	return true;
}

/* ---- the interpreter ---- */

struct object;

static struct {
	int (*is_finalizing)(void);
	struct object *(*get)(const char *name); /* of sys */
	struct object *(*call)(struct object *object, const char *method, const char *format, ...);
	void (*clear_error)(void);
} python;
static pid_t unseen; /* the process with a program whose end is not seen; 0: none */

static const struct {
	const char *name;
	void *place;
} functions[] = {
	{ "PySys_GetObject", &python.get },
	{ "PyObject_CallMethod", &python.call },
	{ "PyErr_Clear", &python.clear_error },
};

/* Those of 3.11 to 3.13; before there is no Py_Version. */
static bool find_functions(void)
{
	const unsigned long *version = dlsym(RTLD_DEFAULT, "Py_Version");
	size_t i;

	if (!version || *version >> 16 > 0x30d)
		return false;
	*(void **)&python.is_finalizing = dlsym(
		RTLD_DEFAULT, *version >> 16 < 0x30d ? "_Py_IsFinalizing" : "Py_IsFinalizing");
	for (i = 0; i < sizeof functions / sizeof *functions; i++) {
		*(void **)functions[i].place = dlsym(RTLD_DEFAULT, functions[i].name);
		if (!*(void **)functions[i].place)
			return false;
	}
	return python.is_finalizing != NULL;
}

static bool is_python;

void ahead_python_prepare(void)
{
	is_python = find_functions();
}

/* It gives that up at its end, when it still is whole. */
static bool handles_interrupt(void)
{
	struct sigaction action;

	return sigaction(SIGINT, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
	       action.sa_handler != SIG_IGN;
}

void ahead_python_begins(int fd, off_t offset, size_t size)
{
	static char text[PROGRAM_ROOM];

	if (is_python && handles_interrupt() && size <= sizeof text &&
	    pread(fd, text, size, offset) == (ssize_t)size && ahead_python_harmless(text, size))
		unseen = getpid();
}

/* The stream that it began with, and nothing is left in it. */
static bool is_out(const char *name, const char *first_name)
{
	struct object *stream = python.get(name);

	if (!stream || stream != python.get(first_name))
		return false;
	if (python.call(stream, "flush", NULL))
		return true;
	python.clear_error();
	return false;
}

static bool ended_well(void)
{
	return !python.get("last_type") && is_out("stdout", "__stdout__") &&
	       is_out("stderr", "__stderr__");
}

/* The first thing that Python does behind the last one that such a program can see. */
int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
	static int (*next)(int, const struct sigaction *, struct sigaction *);

	if (unseen && python.is_finalizing()) {
		bool ours = unseen == getpid();

		unseen = 0;
		if (ours && ended_well())
			_exit(0);
	}
	NEXT(sigaction);
	return next(number, action, old);
}
