/* SPDX-License-Identifier: ISC */
#define _GNU_SOURCE
#include "common/settings.h"

#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/tap.h"
#include "tests/unit/scratch.h"

static int load(const char *text, struct settings *ret_settings, struct error *err)
{
	return settings_load(scratch_write("conf", text), false, ret_settings, err);
}

static const struct {
	const char *name, *text, *why; /* why NULL: good */
} rows[] = {
        {"nothing", "", NULL},
        {"the most slots", "slots = 1024;", NULL},
        {"too many slots", "slots = 1025;", "slots"},
        {"the least box id", "box-ids = 1000;", NULL},
        {"ids of the system's users", "box-ids = 999;", "box-ids"},
        {"ids up to the end", "box-ids = \"0xffffefff\";", NULL},
        {"ids beyond the end", "box-ids = \"0xfffff000\";", "box-ids"},
        {"a fresh network", "network-namespace = \"fresh\";", NULL},
        {"another network", "network-namespace = \"host\";", "network-namespace"},
        {"a group's name", "cgroup-parent = \"a.b\";", NULL},
        {"a group's path", "cgroup-parent = \"a/b\";", "cgroup-parent"},
        {"the group above", "cgroup-parent = \"..\";", "cgroup-parent"},
        {"no group", "cgroup-parent = \"\";", "cgroup-parent"},
        {"groups of one kind", "cgroup-mode = \"v2\";", NULL},
        {"groups of no kind", "cgroup-mode = \"v3\";", "cgroup-mode"},
        {"a time as long as the longest", "total = \"120s\";", NULL},
        {"a time longer than the longest", "total = \"121s\";", "total"},
        {"a minimum of its own", "minimum = { memory = \"16MiB\"; };", NULL},
        {"a minimum of nothing", "minimum = { memory = 0; };", "minimum.memory"},
        {"a minimum above the maximum", "minimum = { wall = \"2min\"; };", "minimum.wall"},
        {"a maximum below the minimum", "maximum = { processes = 0; };", "minimum.processes"},
        {"a place that is not absolute", "run-directory = \"run\";", "absolute"},
        {"a mistyped key", "slot = 1;", "did you mean \"slots\""},
};

static void check_rows(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct settings settings = {.slots = 77};
		struct error err = ERROR_INIT;
		int rc = load(rows[i].text, &settings, &err);

		tap_ok(rows[i].why
		               ? rc < 0 && strstr(err.text, rows[i].why) && settings.slots == 77
		               : rc == 0,
		       "%s: %s", rows[i].name, rc < 0 ? err.text : "good");
		if (rc == 0)
			settings_free(&settings);
	}
}

static void check_presets(void)
{
	uint64_t cores = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t slots = 2 * cores < memory >> 28 ? 2 * cores : memory >> 28;
	struct settings settings;
	struct error err = ERROR_INIT;

	if (!tap_ok(load("", &settings, &err) == 0, "the presets are good %s", err.text))
		return;
	tap_ok(settings.slots == (slots < 2 ? 2 : slots),
	       "slots: two for each core, as memory allows");
	tap_ok(settings.queue == 2 * settings.slots, "queue: two for each slot");
	tap_ok(settings.memory_budget_bytes <= memory / 5 * 4 &&
	               settings.memory_budget_bytes > memory / 5 * 4 - 4096,
	       "memory: four fifths");
	tap_ok(!memcmp(&settings.policy, &limits_policy_default, sizeof settings.policy),
	       "the default limits");
	tap_ok(settings.warm && settings.queue_max_ms == 2000 &&
	               !strcmp(settings.cgroup_mode, "auto"),
	       "boxes are kept warm");
	settings_free(&settings);
	tap_ok(!settings.run_directory && !settings.images, "freed settings are forgotten");
}

static void check_own(void)
{
	struct settings settings;
	struct error err = ERROR_INIT;

	if (!tap_ok(load("slots = 3; queue = 5; memory-budget = \"1GiB\"; warm = false;\n"
	                 "images = [ \"a=/b\", \"c=/d\" ]; run = { memory = \"32MiB\"; };\n"
	                 "compile = { wall = \"5s\"; };",
	                 &settings, &err) == 0,
	            "settings of one's own %s", err.text))
		return;
	tap_ok(settings.slots == 3 && settings.queue == 5 &&
	               settings.memory_budget_bytes == (uint64_t)1 << 30 && !settings.warm,
	       "are taken as they are");
	tap_ok(settings.policy.run.memory_bytes == (uint64_t)32 << 20 &&
	               settings.policy.run.wall_ms == limits_policy_default.run.wall_ms &&
	               settings.policy.build.wall_ms == 5000 &&
	               settings.policy.build.memory_bytes ==
	                       limits_policy_default.build.memory_bytes,
	       "a limit that is not named keeps its default");
	tap_ok(settings.images[0] && !strcmp(settings.images[0], "a=/b") &&
	               settings.images[1] && !settings.images[2],
	       "two images");
	settings_free(&settings);
}

/* Every key: a preset that its own type takes, and one sentence of help. */
static void check_keys(void)
{
	const struct conf_key *key, *other;

	for (key = settings_keys; key->name; key++) {
		size_t size = key->help ? strlen(key->help) : 0;
		bool once = true;

		for (other = settings_keys; other < key; other++)
			once = once && strcmp(other->name, key->name) != 0 &&
			       other->offset != key->offset;
		tap_ok(key->preset && size > 1 && key->help[size - 1] == '.' && once,
		       "%s: preset, help, and no other with its name or place", key->name);
	}
}

static void check_dump(void)
{
	struct settings first, second;
	struct error err = ERROR_INIT;
	char *text = NULL, *again = NULL;
	size_t size;
	FILE *out;

	if (load("slots = 3; images = [ \"a=/b\" ]; page-url = \"/x\";", &first, &err) < 0) {
		tap_ok(false, "%s", err.text);
		return;
	}
	out = open_memstream(&text, &size);
	conf_dump(out, settings_keys, &first);
	fclose(out);
	if (tap_ok(load(text, &second, &err) == 0, "what -T prints is a configuration %s",
	           err.text)) {
		out = open_memstream(&again, &size);
		conf_dump(out, settings_keys, &second);
		fclose(out);
		tap_ok(!strcmp(text, again), "and the same one");
		settings_free(&second);
	}
	settings_free(&first);
	free(text);
	free(again);
}

int main(void)
{
	scratch_open();
	check_rows();
	check_presets();
	check_own();
	check_keys();
	check_dump();
	return tap_done();
}
