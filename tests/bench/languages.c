/* SPDX-License-Identifier: ISC */
/* tests/bench/run languages: each language's example in a box, beside the same
 * commands with the same files in the same image without one. Nothing is cached and
 * nothing is started ahead, so that both do the same work. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "tests/bench/bare.h"
#include "tests/bench/bench.h"

#define SLOW_US   1500000 /* such a language is measured less often */
#define LITTLE_US 5000    /* below this, the box itself is most of it */

static const char *home, *images; /* images NULL: the host's alone */
static unsigned runs = 300;
static struct daemon warm, cold;

/* ---- the images, to stand in without a box ---- */

static struct root {
	char name[WIRE_IMAGE_NAME], path[200], environment[300];
} roots[WIRE_IMAGES_MAX];
static size_t roots_count;

static void run_tool(const char *const *argv)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		die("%s %s failed", argv[0], argv[1]);
}

static bool is_squashfs(const char *path)
{
	size_t size = strlen(path);

	return size > 9 && !strcmp(path + size - 9, ".squashfs");
}

/* Adds a layer to the overlay's list; a squashfs is mounted first. */
static void add_layer(char *lower, size_t size, const struct root *root, const char *source)
{
	size_t used = strlen(lower);
	char place[300];

	if (!is_squashfs(source)) {
		snprintf(lower + used, size - used, "%s%s", used ? ":" : "", source);
		return;
	}
	snprintf(place, sizeof place, "%s-layer%zu", root->path, used);
	if (mkdir(place, 0755) < 0)
		die("%s", place);
	run_tool((const char *const[]){"mount", "-oro,loop", source, place, NULL});
	snprintf(lower + used, size - used, "%s%s", used ? ":" : "", place);
}

static void list_layers(char *lower, size_t size, const struct root *root)
{
	char source[400], list[420], line[256];
	FILE *file;

	snprintf(source, sizeof source, "%s/%s.squashfs", images, root->name);
	if (access(source, F_OK) == 0) {
		add_layer(lower, size, root, source);
		return;
	}
	snprintf(list, sizeof list, "%s/%s/layers", images, root->name);
	file = fopen(list, "re");
	if (!file) {
		snprintf(source, sizeof source, "%s/%s", images, root->name);
		add_layer(lower, size, root, source);
		return;
	}
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		snprintf(source, sizeof source, "%s/%s", images, line);
		add_layer(lower, size, root, source);
	}
	fclose(file);
}

/* Seen by us and by what we start alone; gone with us. */
static const struct root *root_of(const char *name)
{
	static const char *const places[] = {"box", "tmp", "dev", "proc"};
	struct root *root;
	char lower[4000] = "", options[4600], path[300];
	size_t i;

	for (i = 0; i < roots_count; i++)
		if (!strcmp(roots[i].name, name))
			return &roots[i];
	root = &roots[roots_count++];
	snprintf(root->name, sizeof root->name, "%s", name);
	snprintf(root->path, sizeof root->path, "%s/roots/%s", home, name);
	snprintf(root->environment, sizeof root->environment, "%s/%s/environment", images,
	         name);
	list_layers(lower, sizeof lower, root);
	snprintf(path, sizeof path, "%s-upper", root->path);
	if (mkdir(root->path, 0755) < 0 || mkdir(path, 0755) < 0)
		die("%s", path);
	snprintf(path, sizeof path, "%s-work", root->path);
	if (mkdir(path, 0755) < 0)
		die("%s", path);
	snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s-upper,workdir=%s-work",
	         lower, root->path, root->path);
	if (mount("overlay", root->path, "overlay", 0, options) < 0)
		die("mount of image %s: %s", name, strerror(errno));
	for (i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(path, sizeof path, "%s/%s", root->path, places[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			die("%s", path);
	}
	return root;
}

/* Mounts of our own, and a file system that an overlay can write to. */
static void prepare_mounts(void)
{
	char path[300];

	snprintf(path, sizeof path, "%s/roots", home);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mkdir(path, 0755) < 0 || mount("tmpfs", path, "tmpfs", 0, "mode=0755") < 0)
		die("%s: %s", path, strerror(errno));
}

/* ---- one example in a box ---- */

static void limits_of(const struct language *language, enum stage stage,
                      struct limits *ret_limits)
{
	static const struct limits none;
	struct error err = ERROR_INIT;

	if (job_resolve_limits(&limits_policy_default, stage,
	                       stage == STAGE_BUILD ? &language->build : &language->run, &none,
	                       ret_limits, NULL, &err) < 0)
		die("%s", err.text);
}

/* In microseconds; negative when it fails, with why. */
static double box_try(const struct daemon *daemon, const struct bare_job *job,
                      const char *image, char *why, size_t why_size)
{
	const struct language *language = job->language;
	bool has_build = language->argv[STAGE_BUILD].count > 0;
	struct job_file file = {{language->file, strlen(language->file)},
	                        {job->code, strlen(job->code)}};
	struct bytes items[64];
	struct words arguments = {items, 0};
	struct launch launch = LAUNCH_INIT;
	struct limits limits[2];
	uint64_t start_us = clock_us();
	double took = -1;
	char run[160];
	int stage;

	while (job->arguments && arguments.count < job->arguments->count &&
	       arguments.count < ARRAY_LEN(items)) {
		const char *word = job->arguments->word[arguments.count];

		items[arguments.count++] = (struct bytes){word, strlen(word)};
	}
	limits_of(language, STAGE_BUILD, &limits[STAGE_BUILD]);
	limits_of(language, STAGE_RUN, &limits[STAGE_RUN]);
	snprintf(run, sizeof run, "%s/run", daemon->directory);
	for (stage = has_build ? STAGE_BUILD : STAGE_RUN; stage <= STAGE_RUN; stage++) {
		bool last = stage == STAGE_RUN;
		struct launch_stage s = {
		        .id = "bbbbbbbbbbbbbbbb",
		        .language = language->id,
		        .table_hash = daemon->table->hash,
		        .stage = (enum stage)stage,
		        .flags = !last       ? WIRE_KEEP_TREE | WIRE_MORE
		                 : has_build ? WIRE_ON_TREE
		                             : 0,
		        .limits = limits[stage],
		        .reserve_bytes = has_build && limits[STAGE_BUILD].memory_bytes >
		                                                 limits[STAGE_RUN].memory_bytes
		                                 ? limits[STAGE_BUILD].memory_bytes
		                                 : limits[STAGE_RUN].memory_bytes,
		        .files = &file,
		        .files_count = 1,
		        .arguments = last ? &arguments : NULL,
		        .input = {job->input, last ? strlen(job->input) : 0},
		        .wait_us = 20000000,
		        .client_fd = -1,
		};
		struct error err = ERROR_INIT;
		struct launch_result result;
		enum launch_end end = launch_run(&launch, run, image, &s, &result, &err);
		bool good = end == LAUNCH_DONE && result.verdict.exited &&
		            !result.verdict.exit_code;

		if (!good)
			snprintf(why, why_size, "%s: end %d, cause %d, exit %d, signal %d %s",
			         last ? "run" : "build", end, result.verdict.cause,
			         result.verdict.exit_code, result.verdict.signal, err.text);
		else if (last && job->output &&
		         (result.output[0].size != strlen(job->output) ||
		          memcmp(result.output[0].data, job->output, result.output[0].size) !=
		                  0))
			snprintf(why, why_size, "run: prints something else");
		else if (last)
			took = (double)(clock_us() - start_us);
		launch_result_free(&result);
		if (!good)
			break;
	}
	launch_close(&launch);
	return took;
}

/* ---- all languages ---- */

static bool job_of(const struct language *language, struct bare_job *ret_job,
                   const char **ret_image)
{
	uint8_t image = warm.info.language_image[language_index(warm.table, language)];
	const struct root *root;

	if (image == WIRE_IMAGE_NONE || !language->example.code)
		return false;
	*ret_image = warm.info.images[image].name;
	root = strcmp(*ret_image, "host") != 0 ? root_of(*ret_image) : NULL;
	*ret_job = (struct bare_job){
	        .language = language,
	        .code = language->example.code,
	        .input = language->example.input ? language->example.input : "",
	        .output = language->example.output,
	        .arguments = &language->example.arguments,
	        .home = home,
	        .root = root ? root->path : NULL,
	        .environment = root ? root->environment : NULL,
	};
	return true;
}

struct tally {
	struct samples ratios;
	unsigned over, failed;
};

static void measure(const struct language *language, struct tally *tally)
{
	struct samples box = {0}, bare = {0};
	unsigned number = runs < 60 ? 3 : runs / 30, n;
	char why[300] = "";
	struct bare_job job;
	const char *image;
	double us, ratio;

	if (!job_of(language, &job, &image))
		return;
	us = box_try(&warm, &job, image, why, sizeof why); /* both once, for the page cache */
	if (us < 0 || bare_try(&job) < 0) {
		printf("%-34s %s %s\n", language->id,
		       us < 0 ? "fails in a box:" : "fails without a box", why);
		tally->failed++;
		return;
	}
	if (us > SLOW_US)
		number = 3;
	for (n = 0; n < number; n++) {
		pause_us(GAP_US);
		us = bare_try(&job);
		if (us >= 0)
			samples_add(&bare, us);
		pause_us(GAP_US);
		us = box_try(&warm, &job, image, why, sizeof why);
		if (us >= 0)
			samples_add(&box, us);
	}
	if (box.count < number || bare.count < number) {
		printf("%-34s fails now and then: %s\n", language->id, why);
		tally->failed++;
		goto out;
	}
	us = samples_at(&bare, 0.5);
	ratio = samples_at(&box, 0.5) / us;
	report_pair(language->id, us / 1000, samples_at(&box, 0.5) / 1000);
	samples_add(&tally->ratios, ratio);
	tally->over += ratio > 1.4 && us >= LITTLE_US;
out:
	free(box.value);
	free(bare.value);
}

static void all(void)
{
	struct tally tally = {0};
	size_t i;

	printf("%-34s %12s %12s %8s\n", "language", "bare ms", "box ms", "ratio");
	for (i = 0; i < warm.table->count; i++)
		if (strncmp(warm.table->language[i].image, "py", 2) != 0)
			measure(&warm.table->language[i], &tally);
	report("languages", (double)tally.ratios.count, NULL);
	report("languages_failed", tally.failed, "0");
	if (tally.ratios.count)
		report("ratio_median", samples_at(&tally.ratios, 0.5), "<= 1.08");
	report("languages_over", tally.over, "0: over 1.4 and not below 5 ms bare");
	free(tally.ratios.value);
}

/* ---- a squashfs beside the folder it was made of ---- */

static void sample_image(const char *name, struct samples *samples, unsigned n)
{
	char why[300] = "";
	struct bare_job job = {.language = language_find(warm.table, name),
	                       .code = "import json\n",
	                       .input = ""};
	double us;

	if (!job.language)
		die("no language %s", name);
	pause_us(GAP_US);
	us = box_try(&warm, &job, name, why, sizeof why);
	if (us < 0)
		die("%s: %s", name, why);
	if (n >= 5)
		samples_add(samples, us);
}

static void squashfs(void)
{
	struct samples folder = {0}, packed = {0};
	unsigned n;

	for (n = 0; n < runs + 5; n++) {
		sample_image("pydir", &folder, n);
		sample_image("pysquash", &packed, n);
	}
	report("squashfs_ms", samples_at(&packed, 0.5) / 1000, NULL);
	report("dir_ms", samples_at(&folder, 0.5) / 1000, NULL);
	report("squashfs_vs_dir", samples_at(&packed, 0.5) / samples_at(&folder, 0.5),
	       "<= 1.1");
	free(folder.value);
	free(packed.value);
}

/* ---- with no box ready ---- */

static void cold_starts(void)
{
	static const char *const ids[] = {"c", "go", "nodejs", "java"};
	unsigned number = runs < 60 ? 3 : 10, n;
	char key[60], why[300] = "";
	size_t i;

	for (i = 0; i < ARRAY_LEN(ids); i++) {
		const struct language *language = language_find(warm.table, ids[i]);
		struct samples samples = {0};
		struct bare_job job;
		const char *image;

		if (!language || !job_of(language, &job, &image)) {
			printf("cold_%-29s not measured, no image has it\n", ids[i]);
			continue;
		}
		for (n = 0; n < number; n++) {
			double us = box_try(&cold, &job, image, why, sizeof why);

			if (us < 0)
				break;
			samples_add(&samples, us);
			pause_us(GAP_US);
		}
		snprintf(key, sizeof key, "cold_%s_ms", ids[i]);
		if (samples.count)
			report(key, samples_at(&samples, 0.5) / 1000, NULL);
		else
			printf("%-34s fails in a box: %s\n", key, why);
		free(samples.value);
	}
}

/* ---- main ---- */

/* With the two images that were made to compare, beside those that lie there. */
static char *settings_text(const char *more)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out,
	        "interpreters-ahead = false; compile-cache = 0; memory-budget = \"8GiB\";\n");
	fprintf(out, "images = [ \"pydir=%1$s/pydir\", \"pysquash=%1$s/py.squashfs\" ];\n%2$s",
	        home, more);
	fclose(out);
	return text;
}

int main(int argc, char **argv)
{
	const char *json_path = NULL, *part = "all", *binary = NULL;
	const struct option_row options[] = {
		{ 'b', "DAEMON", &binary, NULL, true },
		{ 'd', "HOME", &home, NULL, true },
		{ 'i', "IMAGES", &images, NULL, false },
		{ 'n', "RUNS", NULL, &runs, true },
		{ 'j', "FILE", &json_path, NULL, false },
		{ 'p', "PART", &part, NULL, false },
	};
	static const struct part parts[] = {
	        {"examples", all}, {"squashfs", squashfs}, {"cold", cold_starts},
	};
	char languages[300];

	options_read(argc, argv, options, ARRAY_LEN(options));
	parts_check(part, parts, ARRAY_LEN(parts));
	catch_signals();
	report_open(json_path);
	prepare_mounts();
	snprintf(languages, sizeof languages, "%s/languages", home);
	daemon_images = images;
	daemon_start(&warm, "warm", binary, languages, 1, settings_text(""));
	daemon_start(&cold, "cold", binary, languages, 2, settings_text("warm = false;\n"));
	report("cgroup_mode", (double)warm.info.cgroup_mode, "1 v2, 2 hybrid, 3 v1");
	parts_run(part, parts, ARRAY_LEN(parts));
	daemon_stop(&cold);
	daemon_stop(&warm);
	report_close();
	return 0;
}
