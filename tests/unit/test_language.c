/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "common/language.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/wire.h"
#include "tests/tap.h"
#include "tests/unit/scratch.h"

#define GOOD "id = \"x\"; name = \"X\"; file = \"x.txt\"; run = [ \"/bin/x\" ];\n"
#define L40  "a123456789b123456789c123456789d123456789"

/* An empty folder below the scratch one. */
static const char *folder(void)
{
	const char *path = scratch_path("languages");

	scratch_empty(path);
	if (mkdir(path, 0755) < 0)
		exit(1);
	return path;
}

static void put(const char *id, const char *text)
{
	char name[100];

	snprintf(name, sizeof name, "languages/%s.lang", id);
	scratch_write(name, text);
}

static struct language_table *load(struct error *err)
{
	return language_table_load(scratch_path("languages"), false, err);
}

/* ---- one file ---- */

/* Lines behind the good one, which is the first; line 0: the whole file is meant. */
static const struct {
	const char *name, *text;
	unsigned line;
	const char *why;
} wrong[] = {
        {"an unknown key", "\nalias = [ ];", 3,
         "unknown key \"alias\"; did you mean \"aliases\"?"},
        {"a key like no other", "qqqqqqqq = 1;", 2, "unknown key \"qqqqqqqq\""},
        {"a key twice", "name = \"Y\";", 2, "duplicate"},
        {"no syntax", "image = = 1;", 2, "syntax error"},
        {"a number as image", "image = 1;", 2, "image must be a text"},
        {"a number as editor", "editor = 1;", 2, "editor must be a text"},
        {"a text as aliases", "aliases = \"a\";", 2, "aliases must be a list of texts"},
        {"numbers as aliases", "aliases = [ 1 ];", 2, "aliases must be a list of texts"},
        {"a text as packages", "packages = \"a\";", 2, "packages must be a list of texts"},
        {"a text as version", "version = \"x -v\";", 2, "version must be a list of texts"},
        {"a text as build", "build = \"cc x\";", 2, "build must be a list of texts"},
        {"a text as environment", "environment = \"A=b\";", 2,
         "environment must be a list of texts"},
        {"a text as deny", "deny = \"a\";", 2, "deny must be a list of texts"},
        {"a text as needs", "needs = \"a\";", 2, "needs must be a list of texts"},
        {"a text as cannot", "cannot = \"a\";", 2, "cannot must be a list"},
        {"a text as limits", "limits = \"a\";", 2, "in limits: "},
        {"an unknown limit", "limits = { time = 1; };", 2, "in limits: "},
        {"a bad limit", "compile = { memory = \"lots\"; };", 2, "in compile: "},
        {"a main file from nowhere", "main_from = \"module\";", 2,
         "main_from can only be \"class\""},
        {"a text as example", "example = \"a\";", 2, "example must be a group"},
        {"a number as code", "example = {\n code = 1; };", 3, "code must be a text"},
        {"a number as input", "example = { input = 1; };", 2, "input must be a text"},
        {"a number as output", "example = { output = 1; };", 2, "output must be a text"},
        {"a text as arguments", "example = { arguments = \"a\"; };", 2,
         "arguments must be a list of texts"},
        {"an unknown key of the example", "example = { outptu = \"\"; };", 2,
         "unknown key \"outptu\"; did you mean \"output\"?"},
        {"an image's path", "image = \"a/b\";", 0, "image is not valid"},
        {"too long an image", "image = \"" L40 "\";", 0, "image is not valid"},
        {"an alias that is none", "aliases = [ \"a b\" ];", 0, "an alias is not valid"},
        {"an environment without a value", "environment = [ \"A\" ];", 0,
         "environment must be NAME=value"},
};

/* Whole files. */
static const struct {
	const char *name, *text, *why;
} incomplete[] = {
        {"nothing", "", "id is missing"},
        {"a number as id", "id = 1;", "id must be a text"},
        {"an id that is none", "id = \"a b\";", "id is missing or not valid"},
        {"another's id", "id = \"y\"; name = \"Y\"; file = \"y\"; run = [ \"y\" ];",
         "named after its id"},
        {"no name", "id = \"x\"; file = \"x\"; run = [ \"x\" ];", "name is missing"},
        {"an empty name", "id = \"x\"; name = \"\"; file = \"x\"; run = [ \"x\" ];",
         "name is missing"},
        {"a number as name", "id = \"x\"; name = 1;", "name must be a text"},
        {"no file", "id = \"x\"; name = \"X\"; run = [ \"x\" ];", "file is missing"},
        {"a file above", "id = \"x\"; name = \"X\"; file = \"../x\"; run = [ \"x\" ];",
         "file is missing or not valid"},
        {"a number as file", "id = \"x\"; file = 1;", "file must be a text"},
        {"no run", "id = \"x\"; name = \"X\"; file = \"x\";", "run is missing"},
        {"an empty run", "id = \"x\"; name = \"X\"; file = \"x\"; run = [ ];",
         "run is missing"},
        {"a text as run", "id = \"x\"; run = \"x\";", "run must be a list of texts"},
};

static void check_refused(const char *name, const char *text, unsigned line, const char *why)
{
	struct language_table *table;
	struct error err = ERROR_INIT;
	char place[40];

	folder();
	put("x", text);
	table = load(&err);
	snprintf(place, sizeof place, line ? "/x.lang:%u: " : "/x.lang", line);
	tap_ok(!table && strstr(err.text, place) && strstr(err.text, why), "%s: %s", name,
	       table ? "was read" : err.text);
	language_table_free(table);
}

static void check_wrong(void)
{
	char text[1000];
	size_t i;

	for (i = 0; i < ARRAY_LEN(wrong); i++) {
		snprintf(text, sizeof text, GOOD "%s", wrong[i].text);
		check_refused(wrong[i].name, text, wrong[i].line, wrong[i].why);
	}
	for (i = 0; i < ARRAY_LEN(incomplete); i++)
		check_refused(incomplete[i].name, incomplete[i].text, 0, incomplete[i].why);
}

static void check_bytes(void)
{
	const size_t size = (256 << 10) + 1;
	cleanup_free char *big = malloc(size);
	struct language_table *table;
	struct error err = ERROR_INIT;

	folder();
	scratch_write_bytes("languages/x.lang", GOOD "\0", sizeof GOOD);
	tap_ok(!load(&err) && strstr(err.text, "/x.lang: holds a NUL byte"), "a NUL: %s",
	       err.text);
	memset(big, '\n', size);
	memcpy(big, GOOD, strlen(GOOD));
	scratch_write_bytes("languages/x.lang", big, size);
	tap_ok(!load(&err) && strstr(err.text, "/x.lang: longer than"), "too long: %s",
	       err.text);
	scratch_write_bytes("languages/x.lang", big, size - 1);
	table = load(&err);
	tap_ok(table && table->count == 1, "as long as may be");
	language_table_free(table);
}

static bool list_is(const struct argv_list *list, const char *first, const char *second)
{
	size_t count = (first != NULL) + (second != NULL);

	return list->count == count && (!first || !strcmp(list->word[0], first)) &&
	       (!second || !strcmp(list->word[1], second));
}

static const char everything[] =
        "id = \"x\"; name = \"The X\"; aliases = [ \"ex\", \"x-1.0\" ]; file = \"main.x\";\n"
        "image = \"layers\"; packages = [ \"x\", \"x-lib\" ]; editor = \"xmode\";\n"
        "version = [ \"/bin/x\", \"-v\" ]; build = [ \"/bin/xc\", \"%file\" ];\n"
        "run = [ \"/bin/x\", \"%stem\" ]; environment = [ \"A=b\", \"C=\" ];\n"
        "limits = { memory = \"1GiB\"; processes = 7; }; compile = { wall = \"9s\"; };\n"
        "main_from = \"class\"; deny = [ \"evil\" ]; needs = [ \"/etc/x\" ]; cannot = [ "
        "\"stdin\" ];\n"
        "example = { code = \"print\"; input = \"in\"; output = \"out\"; arguments = [ \"1\", "
        "\"2\" ]; };\n";

static void check_everything(void)
{
	struct language_table *table;
	struct error err = ERROR_INIT;
	const struct language *x;

	folder();
	put("x", everything);
	table = load(&err);
	if (!tap_ok(table && table->count == 1, "every key is taken %s", err.text))
		return;
	x = &table->language[0];
	tap_ok(!strcmp(x->id, "x") && !strcmp(x->name, "The X") && !strcmp(x->file, "main.x") &&
	               !strcmp(x->image, "layers") && !strcmp(x->editor, "xmode"),
	       "texts");
	tap_ok(list_is(&x->aliases, "ex", "x-1.0") && list_is(&x->packages, "x", "x-lib") &&
	               list_is(&x->environment, "A=b", "C=") &&
	               list_is(&x->deny, "evil", NULL) && list_is(&x->needs, "/etc/x", NULL),
	       "lists");
	tap_ok(list_is(&x->argv[STAGE_VERSION], "/bin/x", "-v") &&
	               list_is(&x->argv[STAGE_BUILD], "/bin/xc", "%file") &&
	               list_is(&x->argv[STAGE_RUN], "/bin/x", "%stem"),
	       "a command for each stage");
	tap_ok(x->run.memory_bytes == (uint64_t)1 << 30 && x->run.processes == 7 &&
	               !x->run.wall_ms && x->build.wall_ms == 9000 && !x->build.memory_bytes,
	       "limits, and zero for those that are not named");
	tap_ok(x->main_from_class && !strcmp(x->example.code, "print") &&
	               !strcmp(x->example.input, "in") && !strcmp(x->example.output, "out") &&
	               list_is(&x->example.arguments, "1", "2"),
	       "the main class and the example");
	language_table_free(table);
	folder();
	put("x", GOOD);
	table = load(&err);
	tap_ok(table && !strcmp(table->language[0].image, "host") &&
	               !strcmp(table->language[0].editor, "text") &&
	               !table->language[0].argv[STAGE_BUILD].count &&
	               !table->language[0].main_from_class,
	       "what is not said: the host's image, a plain text, no build");
	language_table_free(table);
}

/* ---- the folder ---- */

static void put_simple(const char *id, const char *aliases)
{
	char text[300];

	snprintf(text, sizeof text,
	         "id = \"%s\"; name = \"N\"; file = \"f\"; run = [ \"r\" ]; aliases = [ %s ];",
	         id, aliases);
	put(id, text);
}

static void check_find(void)
{
	static const char *const ids[] = {"c", "c++", "python3", "a", "Z", "b.1"};
	static const struct {
		const char *name, *id; /* NULL: unknown */
	} rows[] = {
	        {"c", "c"},       {"c++", "c++"}, {"python3", "python3"}, {"a", "a"},
	        {"Z", "Z"},       {"b.1", "b.1"}, {"alias-c", "c"},       {"alias-Z", "Z"},
	        {"z", NULL},      {"", NULL},     {"python", NULL},       {"python33", NULL},
	        {"alias-", NULL},
	};
	struct language_table *table;
	struct error err = ERROR_INIT;
	bool sorted = true;
	char alias[80];
	size_t i;

	folder();
	for (i = 0; i < ARRAY_LEN(ids); i++) {
		snprintf(alias, sizeof alias, "\"alias-%s\"", ids[i]);
		put_simple(ids[i], alias);
	}
	put(".hidden", "not a language");
	scratch_write("languages/README", "not a language");
	table = load(&err);
	if (!tap_ok(table && table->count == ARRAY_LEN(ids), "only what ends in .lang %s",
	            err.text))
		return;
	for (i = 0; i < table->count; i++) {
		sorted = sorted && language_index(table, &table->language[i]) == i &&
		         (i == 0 ||
		          strcmp(table->language[i - 1].id, table->language[i].id) < 0);
	}
	tap_ok(sorted, "sorted by id");
	for (i = 0; i < ARRAY_LEN(rows); i++) {
		const struct language *found = language_find(table, rows[i].name);

		tap_ok(rows[i].id ? found && !strcmp(found->id, rows[i].id) : !found,
		       "\"%s\" is %s", rows[i].name, rows[i].id ? rows[i].id : "unknown");
	}
	language_table_free(table);
	language_table_free(NULL);
}

static void check_clashes(void)
{
	static const struct {
		const char *name, *a, *b, *why; /* the aliases of a and of b */
	} rows[] = {
	        {"different aliases", "\"one\"", "\"two\"", NULL},
	        {"one's own id", "\"a\"", "", NULL},
	        {"the same alias", "\"one\"", "\"one\"", "\"one\" names both"},
	        {"the other's id", "\"b\"", "", "\"b\" names both a and b"},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct language_table *table;
		struct error err = ERROR_INIT;

		folder();
		put_simple("a", rows[i].a);
		put_simple("b", rows[i].b);
		table = load(&err);
		tap_ok(rows[i].why ? !table && strstr(err.text, rows[i].why) : table != NULL,
		       "aliases: %s: %s", rows[i].name, table ? "good" : err.text);
		language_table_free(table);
	}
}

static void check_folder(void)
{
	struct language_table *table;
	struct error err = ERROR_INIT;
	char id[20];
	int i;

	folder();
	table = load(&err);
	tap_ok(table && table->count == 0 && !language_find(table, "x"), "an empty folder");
	language_table_free(table);
	table = language_table_load(scratch_path("nowhere"), false, &err);
	tap_ok(!table && err.code == ENOENT, "no folder: %s", err.text);
	put("x", GOOD);
	if (chmod(scratch_path("languages"), 0777) < 0)
		exit(1);
	table = language_table_load(scratch_path("languages"), true, &err);
	tap_ok(!table && err.code == EPERM, "a folder that others can write: %s", err.text);
	if (chmod(scratch_path("languages"), 0755) < 0 ||
	    chmod(scratch_path("languages/x.lang"), 0666) < 0)
		exit(1);
	table = language_table_load(scratch_path("languages"), true, &err);
	tap_ok(!table && err.code == EPERM, "a file that others can write: %s", err.text);
	for (i = 0; i <= WIRE_LANGUAGES_MAX; i++) {
		snprintf(id, sizeof id, "n%d", i);
		put_simple(id, "");
	}
	table = load(&err);
	tap_ok(!table && err.code == E2BIG, "too many languages: %s", err.text);
}

static void hash_now(uint8_t *ret_hash)
{
	struct error err = ERROR_INIT;
	struct language_table *table = load(&err);

	if (!table) {
		tap_ok(false, "%s", err.text);
		exit(1);
	}
	memcpy(ret_hash, table->hash, LANGUAGE_HASH_BYTES);
	language_table_free(table);
}

static void check_hash(void)
{
	uint8_t first[LANGUAGE_HASH_BYTES], next[LANGUAGE_HASH_BYTES];

	folder();
	put("x", GOOD);
	hash_now(first);
	put("x", GOOD);
	hash_now(next);
	tap_ok(!memcmp(first, next, sizeof first), "the hash of the same files is the same");
	scratch_write("languages/README", "more");
	hash_now(next);
	tap_ok(!memcmp(first, next, sizeof first), "what is not a language does not count");
	put("x", GOOD "# a comment\n");
	hash_now(next);
	tap_ok(memcmp(first, next, sizeof first) != 0, "a changed file changes it");
	put("x", GOOD);
	put_simple("y", "");
	hash_now(next);
	tap_ok(memcmp(first, next, sizeof first) != 0, "a further file changes it");
}

/* ---- argv ---- */

struct gathered {
	char text[400];
	unsigned count, stop_at;
	bool ended;
};

static int gather(void *data, const char *word, size_t size)
{
	struct gathered *g = data;
	size_t used = strlen(g->text);

	g->ended = g->ended && word[size] == '\0' && strlen(word) == size;
	snprintf(g->text + used, sizeof g->text - used, "[%s]", word);
	return ++g->count == g->stop_at ? 42 : 0;
}

#define WORDS(...)                                                                             \
	{                                                                                      \
		(char **)(uintptr_t)(const char *[]){__VA_ARGS__, NULL},                       \
		        sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)                 \
	}

static const struct bytes options[] = {{"-O2", 3}, {"-g", 2}};
static const struct bytes arguments[] = {{"one", 3}, {"", 0}, {"%file", 5}};
static const struct bytes files[] = {{"a.c", 3}, {"b.c", 3}};

static void expand(const char *name, struct argv_list argv, const char *main_file,
                   const char *wanted)
{
	struct language_words words = {{main_file, strlen(main_file)},
	                               options,
	                               arguments,
	                               files,
	                               ARRAY_LEN(options),
	                               ARRAY_LEN(arguments),
	                               ARRAY_LEN(files)};
	struct gathered g = {.ended = true};
	char room[400];
	int rc = language_expand(&argv, &words, room, sizeof room, gather, &g);

	tap_ok(rc == 0 && g.ended && !strcmp(g.text, wanted), "%s: %s", name, g.text);
}

static void check_expand(void)
{
	expand("no placeholder", (struct argv_list)WORDS("/bin/x", "-a"), "m.c",
	       "[/bin/x][-a]");
	expand("%file", (struct argv_list)WORDS("x", "%file"), "m.c", "[x][m.c]");
	expand("%stem", (struct argv_list)WORDS("x", "%stem"), "m.c", "[x][m]");
	expand("%file inside", (struct argv_list)WORDS("-o%file.o"), "m.c", "[-om.c.o]");
	expand("%stem twice", (struct argv_list)WORDS("%stem=%stem"), "m.c", "[m=m]");
	expand("%%", (struct argv_list)WORDS("100%%", "%%file"), "m.c", "[100%][%file]");
	expand("%options", (struct argv_list)WORDS("x", "%options", "y"), "m.c",
	       "[x][-O2][-g][y]");
	expand("%arguments, which hold no placeholder", (struct argv_list)WORDS("%arguments"),
	       "m.c", "[one][][%file]");
	expand("%files", (struct argv_list)WORDS("%files"), "m.c", "[a.c][b.c]");
	expand("a list that is no whole word", (struct argv_list)WORDS("x%options", "%filesx"),
	       "m.c", "[x%options][m.csx]");
	expand("a percent sign by itself", (struct argv_list)WORDS("50%", "%x"), "m.c",
	       "[50%][%x]");
	expand("an empty word", (struct argv_list)WORDS(""), "m.c", "[]");
	expand("the stem of a folder's file", (struct argv_list)WORDS("%stem"), "a.b/m.c",
	       "[a.b/m]");
	expand("the stem of two endings", (struct argv_list)WORDS("%stem"), "m.tar.gz",
	       "[m.tar]");
	expand("the stem of none", (struct argv_list)WORDS("%stem"), "a.b/main", "[a.b/main]");
	expand("the stem of a hidden file", (struct argv_list)WORDS("%stem"), ".rc", "[.rc]");
	expand("the stem of a hidden file below", (struct argv_list)WORDS("%stem"), "a/.rc",
	       "[a/.rc]");
}

/* Room is counted to the byte: with one less, nothing is written behind its end. */
static void check_room(void)
{
	const struct {
		const char *name;
		struct argv_list argv;
		size_t need;
	} rows[] = {
	        {"two words", WORDS("ab", "c"), 5},   {"an empty word", WORDS(""), 1},
	        {"a file's name", WORDS("%file"), 4}, {"a name inside", WORDS("a%file"), 5},
	        {"options", WORDS("%options"), 7},    {"arguments", WORDS("%arguments"), 11},
	};
	const struct language_words words = {
	        {"m.c", 3},           options,         arguments, files, ARRAY_LEN(options),
	        ARRAY_LEN(arguments), ARRAY_LEN(files)};
	size_t i, n;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		bool held = true, intact = true;

		for (n = 0; n <= rows[i].need; n++) {
			struct gathered g = {.ended = true};
			char room[32];
			int rc;

			memset(room, '#', sizeof room);
			rc = language_expand(&rows[i].argv, &words, room, n, gather, &g);
			held = held && (rc == 0) == (n == rows[i].need);
			intact = intact && room[n] == '#';
		}
		tap_ok(held && intact, "room: %s needs %zu bytes", rows[i].name, rows[i].need);
	}
}

static void check_stop(void)
{
	struct argv_list argv = WORDS("a", "b", "c");
	struct language_words words = {{"m", 1}, NULL, NULL, NULL, 0, 0, 0};
	struct gathered g = {.stop_at = 2, .ended = true};
	char room[40];

	tap_ok(language_expand(&argv, &words, room, sizeof room, gather, &g) == 42 &&
	               g.count == 2,
	       "who takes the words can say enough");
	argv = (struct argv_list)WORDS("%options", "%arguments", "%files");
	g = (struct gathered){.ended = true};
	tap_ok(language_expand(&argv, &words, room, sizeof room, gather, &g) == 0 &&
	               g.count == 0,
	       "empty lists are no words");
}

int main(void)
{
	scratch_open();
	check_wrong();
	check_bytes();
	check_everything();
	check_find();
	check_clashes();
	check_folder();
	check_hash();
	check_expand();
	check_room();
	check_stop();
	return tap_done();
}
