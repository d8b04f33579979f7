/* SPDX-License-Identifier: ISC */
/* Runs as: the box user, inside an interpreter that was started ahead.
 * More than a third of a small program's time in Python goes into the end: the collector looks
 * three times for what nobody refers to any more, among thousands of objects of the
 * interpreter's own start, and takes them apart. Frozen, they are left alone. But then
 * what a program has hung on them, be it a function, with which go its globals, is never
 * finalized: its __del__ not called, its files not flushed. So they are frozen only for a
 * program that can have nothing whose end is seen: by its words it makes no class, no
 * generator, no file, runs no other text, and imports nothing of which it could get such
 * things. (What it gets from text that it puts together is its own affair.) For any other
 * program all is as it was. */
#define _GNU_SOURCE
#include <stddef.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "sandbox/ahead_rooms.h"

#define PROGRAM_ROOM 16384

/* ---- the words of a program ---- */

static const char *const telling[] = {
	"addaudithook", "async", "await", "breakpoint", "class", "compile", "detach", "eval", "exec",
	"help", "monitoring", "setprofile", "settrace", "yield",
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

/* "open" also as os.popen(); the names with underscores lead to everything. */
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

/* As they are since 3.0, and will be: they belong to the stable interface. */
struct object {
	ptrdiff_t references;
	const void *type;
};

struct method {
	const char *name;
	struct object *(*call)(struct object *self, struct object *arguments);
	int flags;
	const char *doc;
};

struct module_def {
	struct object object;
	void *init;
	ptrdiff_t index;
	void *copy;
	const char *name, *doc;
	ptrdiff_t size;
	const struct method *methods;
};

static struct {
	struct object *(*freeze)(struct object *self, struct object *arguments);
	struct object *(*module)(const char *name);
	struct object *(*dict)(struct object *module);
	int (*is_tracked)(struct object *object);
	void (*track)(struct object *object), (*untrack)(struct object *object);
	void (*release)(struct object *object);
	int (*lock)(void);
	void (*unlock)(int state);
} python;

static const struct {
	const char *name;
	void *place;
} functions[] = {
	{ "PyImport_AddModule", &python.module },
	{ "PyModule_GetDict", &python.dict },
	{ "PyObject_GC_IsTracked", &python.is_tracked },
	{ "PyObject_GC_Track", &python.track },
	{ "PyObject_GC_UnTrack", &python.untrack },
	{ "Py_DecRef", &python.release },
	{ "PyGILState_Ensure", &python.lock },
	{ "PyGILState_Release", &python.unlock },
};

static bool find_functions(void)
{
	size_t i;

	for (i = 0; i < sizeof functions / sizeof *functions; i++) {
		*(void **)functions[i].place = dlsym(RTLD_DEFAULT, functions[i].name);
		if (!*(void **)functions[i].place)
			return false;
	}
	return true;
}

static const struct method *find_method(const struct method *method, const char *name)
{
	while (method && method->name && strcmp(method->name, name) != 0)
		method++;
	return method && method->name ? method : NULL;
}

void ahead_python_prepare(void)
{
	const unsigned long *version = dlsym(RTLD_DEFAULT, "Py_Version"); /* from 3.11 on */
	const void *type = dlsym(RTLD_DEFAULT, "PyModuleDef_Type");
	const struct module_def *(*gc)(void);
	const struct module_def *def;
	const struct method *freeze;
	int state;

	*(void **)&gc = dlsym(RTLD_DEFAULT, "PyInit_gc");
	if (!version || *version >> 16 > 0x30d || !type || !gc || !find_functions())
		return;
	state = python.lock();
	def = gc(); /* makes no module of it yet */
	python.unlock(state);
	if (!def || def->object.type != type || !def->name || strcmp(def->name, "gc") != 0)
		return;
	freeze = find_method(def->methods, "freeze");
	if (freeze && freeze->flags == 4) /* METH_NOARGS */
		python.freeze = freeze->call;
}

/* All but the globals of the main module, which hold what is the program's own. */
static void freeze_all(void)
{
	struct object *main_module = python.module("__main__"); /* borrowed, as its dict */
	struct object *globals = main_module ? python.dict(main_module) : NULL;

	if (!globals || !python.is_tracked(globals))
		return;
	python.untrack(globals);
	python.release(python.freeze(NULL, NULL));
	python.track(globals);
}

void ahead_python_begins(int fd, off_t offset, size_t size)
{
	static char text[PROGRAM_ROOM];
	int state;

	if (!python.freeze || size > sizeof text ||
	    pread(fd, text, size, offset) != (ssize_t)size || !ahead_python_harmless(text, size))
		return;
	state = python.lock();
	freeze_all();
	python.unlock(state);
}
