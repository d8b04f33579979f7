/* SPDX-License-Identifier: ISC */
/* Cases 21 to 38: the file system.
 * Runs as: root. */
#define _GNU_SOURCE
#include "tests/box/cases.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ATTACK(n, what, result, words, ...)                                                    \
	{                                                                                      \
		.number = n, .name = what, .promise = result, .request.arguments = words,      \
		__VA_ARGS__                                                                    \
	}

/* 21: and the next runs, in whichever slot, see the original. */
static void tree_writes(struct trial *t)
{
	unsigned i;

	run_promising(t, t->service, "21");
	for (i = 0; i < t->service->slots; i++)
		run_promising(t, t->service, "21-after");
}

/* ---- collected files ---- */

struct expectation {
	const char *name, *content; /* content NULL: must be an error */
};

static bool same_bytes(struct bytes a, const char *text)
{
	return a.size == strlen(text) && memcmp(a.data, text, a.size) == 0;
}

static void expect_files(struct trial *t, const struct outcome *outcome,
			 const struct expectation *expected)
{
	struct launch_file file;

	for (; expected->name; expected++) {
		bool found = false;
		size_t offset = 0;

		while (!found &&
		       launch_collected_next(&outcome->result.collected, &offset, &file))
			found = same_bytes(file.name, expected->name);
		if (!found)
			check(t, !expected->content, "\"%s\" is missing", expected->name);
		else if (expected->content)
			check(t, file.error == 0 && same_bytes(file.content, expected->content),
			      "\"%s\": error %d, %zu bytes", expected->name, file.error,
			      file.content.size);
		else
			check(t, file.error != 0 && file.content.size == 0,
			      "\"%s\" came back with %zu bytes", expected->name,
			      file.content.size);
	}
}

static void collected_links(struct trial *t, const struct outcome *outcome)
{
	static const struct expectation expected[] = {
		{ "absolute", NULL },  { "relative", NULL },
		{ "magic", NULL },     { "root", NULL },
		{ "init-root", NULL }, { "folder/passwd", NULL },
		{ "to-good", NULL },   { "good", "content of good\n" },
		{ "absent", NULL },    { "hard", NULL },
		{ NULL, NULL },
	};

	check(t, outcome->result.collected.size > 0, "nothing was collected");
	check(t,
	      !memmem(outcome->result.collected.data, outcome->result.collected.size,
		      "FORBIDDEN-CONTENT", 17),
	      "a file from outside the work folder came back");
	expect_files(t, outcome, expected);
}

static void collected_kinds(struct trial *t, const struct outcome *outcome)
{
	static const struct expectation expected[] = {
		{ "fifo", NULL }, { "sock", NULL }, { "dir", NULL },
		{ "zero", NULL }, { "shut", NULL }, { "good", "content of good\n" },
		{ NULL, NULL },
	};

	expect_files(t, outcome, expected);
}

/* Names that no well-meaning worker sends: checked again behind the wire, and
 * whatever came of it there, no content. */
static void forbidden_names(struct trial *t)
{
	static const char *const names[] = {
		"../etc/passwd",      "/etc/passwd", "real/../../etc/passwd",
		"/proc/self/environ", "..",	     ".",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		struct request request = { .arguments = "24", .collect = names[i] };
		struct outcome outcome;
		struct launch_file file;
		size_t offset = 0;

		box_run(t->service, &request, &outcome);
		while (launch_collected_next(&outcome.result.collected, &offset, &file))
			check(t, file.error != 0 && file.content.size == 0, "%s came back",
			      names[i]);
		check(t, outcome.end == LAUNCH_DONE || outcome.end == LAUNCH_REFUSED,
		      "%s: %s: %s", names[i], end_name(outcome.end), outcome.err.text);
		outcome_done(&outcome);
	}
}

/* The same for the names of files that come in. */
static void forbidden_files(struct trial *t)
{
	static const char *const names[] = {
		"../etc/passwd", "/t/open/file", "a/../../t/open/file", "..", ".", "",
		"a//b",		 "/tmp/x",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		const struct job_file files[] = {
			{ { "main", 4 }, { "x", 1 } },
			{ { names[i], strlen(names[i]) }, { "evil\n", 5 } },
		};
		struct request request = { .arguments = "21-after",
					   .files = files,
					   .files_count = ARRAY_LEN(files) };
		struct outcome outcome;

		box_run(t->service, &request, &outcome);
		check(t,
		      outcome.end != LAUNCH_DONE || outcome.status != STATUS_SUCCESS ||
			      strstr(outcome.out, "as promised"),
		      "\"%s\" reached the tree: %.100s", names[i], outcome.out);
		check(t, !strstr(outcome.out, "differs"), "\"%s\" reached the tree: %.100s",
		      names[i], outcome.out);
		outcome_done(&outcome);
	}
}

static void planted_links(struct trial *t)
{
	char arguments[128];

	snprintf(arguments, sizeof arguments, "25 %s", ground.outside);
	run_promising(t, t->service, arguments);
}

static void swapped_result(struct trial *t)
{
	const struct request request = { .arguments = "27", .collect = "out" };
	unsigned count = times(10000), i;

	for (i = 0; i < count && t->problems == 0; i++) {
		struct outcome outcome;
		struct launch_file file;
		size_t offset = 0;

		if (run_expecting(t, t->service, &request, STATUS_SUCCESS, 0, &outcome))
			while (launch_collected_next(&outcome.result.collected, &offset, &file))
				check(t,
				      file.error ? file.content.size == 0
						 : file.content.size == 0 ||
							   (file.content.size == 5 &&
							    !memcmp(file.content.data, "mine\n",
								    5)),
				      "try %u: %.*s", i, (int)file.content.size,
				      file.content.data);
		outcome_done(&outcome);
	}
}

static void overwrite_init(struct trial *t)
{
	struct stat before, after;

	stat(ground.program, &before);
	run_promising(t, t->service, "28");
	check(t,
	      stat(ground.program, &after) == 0 && before.st_ino == after.st_ino &&
		      before.st_size == after.st_size &&
		      before.st_mtim.tv_nsec == after.st_mtim.tv_nsec,
	      "the daemon's file changed");
}

/* Host paths must be unreachable from the box, whatever the way up. */
static void with_host_paths(struct trial *t, const char *number)
{
	char arguments[600];

	snprintf(arguments, sizeof arguments, "%s %s %s %s %s", number, ground.root,
		 t->service->run, t->service->state, t->service->conf);
	run_promising(t, t->service, arguments);
}

static void break_out(struct trial *t)
{
	with_host_paths(t, "30");
}

static void no_host_path_in_mounts(struct trial *t)
{
	char arguments[400];

	snprintf(arguments, sizeof arguments, "34 %s /var/tmp /home /run/", ground.root);
	run_promising(t, t->service, arguments);
}

static void mount_flags(struct trial *t)
{
	struct launch launch = LAUNCH_INIT;
	const struct request build = { .language = "two",
				       .is_build = true,
				       .launch = &launch,
				       .flags = WIRE_KEEP_TREE | WIRE_MORE };
	const struct request run = { .language = "two",
				     .arguments = "34-flags",
				     .launch = &launch,
				     .flags = WIRE_ON_TREE };
	struct outcome outcome;

	run_promising(t, t->service, "34-flags");
	run_promising_in_host_image(t, t->service, "34-flags usr");
	if (run_expecting(t, t->service, &build, STATUS_SUCCESS, 0, &outcome)) {
		outcome_done(&outcome);
		if (!run_expecting(t, t->service, &run, STATUS_SUCCESS, 0, &outcome))
			check(t, false, "  on a build's tree");
	}
	outcome_done(&outcome);
	launch_close(&launch);
}

/* Eight layers, and above all others one in which nothing is what a box puts there. */
static void odd_image(struct trial *t)
{
	static const char *const links[][2] = { { "tmp", "/etc" },
						{ "box", "t" },
						{ "dev", "/nonexistent" },
						{ "proc", "/" } };
	static const char *const runs[] = { "34-flags", "37", "38", "31" };
	static struct service service;
	char path[200], conf[200], layers[160] = "odd-0\nimage\n";
	const struct service_options options = { .slots = 1, .conf = conf };
	size_t i;

	for (i = 0; i < 7; i++) {
		snprintf(path, sizeof path, "%s/odd-%zu", ground.root, i);
		check(t, mkdir(path, 0755) == 0, "%s", path);
		if (i > 0)
			snprintf(layers + strlen(layers), sizeof layers - strlen(layers),
				 "odd-%zu\n", i);
	}
	for (i = 0; i < ARRAY_LEN(links); i++) {
		snprintf(path, sizeof path, "%s/odd-0/%s", ground.root, links[i][0]);
		check(t, symlink(links[i][1], path) == 0, "%s", path);
	}
	snprintf(path, sizeof path, "%s/odd-0/var", ground.root);
	write_file(path, "not a folder\n", 0666);
	snprintf(path, sizeof path, "%s/odd", ground.root);
	check(t, mkdir(path, 0755) == 0, "%s", path);
	snprintf(conf, sizeof conf, "images = [ \"test=%s\" ];\n", path);
	strcat(path, "/layers");
	write_file(path, layers, 0644);
	if (!own_service(t, &options, &service))
		return;
	for (i = 0; i < ARRAY_LEN(runs); i++)
		run_promising(t, &service, runs[i]);
	own_service_done(t, &service);
}

static void no_secrets(struct trial *t)
{
	with_host_paths(t, "36");
}

static void no_secrets_in_host_image(struct trial *t)
{
	static const char code[] =
		"for f in /etc/shadow /etc/gshadow /etc/machine-id /etc/ssh /etc/sudoers /root "
		"/home /var/lib/dpkg /var/log /run/systemd /boot /srv /mnt /lost+found "
		"/sys/kernel "
		"/var/lib/dbus; do\n"
		"\tif [ -e $f ]; then echo differs: $f is there; fi\n"
		"done\n"
		"cat /etc/passwd > /dev/null || echo differs: no /etc/passwd\n"
		"[ \"$(id -u)\" = 1000 ] || echo differs: id $(id -u)\n"
		"echo as promised\n";
	const struct job_file file = { { "main.sh", 7 }, { code, sizeof code - 1 } };
	const struct request request = { .language = "sh", .files = &file, .files_count = 1 };
	struct outcome outcome;

	if (run_expecting(t, t->service, &request, STATUS_SUCCESS, 0, &outcome))
		check(t, !strstr(outcome.out, "differs"), "%.300s", outcome.out);
	outcome_done(&outcome);
}

static void locks_between_slots(struct trial *t)
{
	const struct request holder = { .arguments = "37 stay" };
	struct live live = { 0 };
	unsigned i;

	live_start(&live, t->service, &holder);
	if (check(t, live_started(&live), "the holder did not start"))
		for (i = 0; i + 1 < t->service->slots; i++)
			run_promising(t, t->service, "37");
	live_cancel(&live);
	live_join(&live);
	outcome_done(&live.outcome);
}

/* Its /usr is that of all slots, and of the host. */
static void nothing_by_the_hosts_usr(struct trial *t)
{
	static const char *const rows[][2] = { { "37 stay", "37" },
					       { "164 send", "164 receive" } };
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct live live = { 0 };
		const struct request request = in_host_image(rows[i][0]);

		live_start(&live, t->service, &request);
		if (check(t, live_started(&live), "\"%s\" did not start", rows[i][0]))
			run_promising_in_host_image(t, t->service, rows[i][1]);
		live_cancel(&live);
		live_join(&live);
		outcome_done(&live.outcome);
	}
}

/* In one slot: the next run comes a moment after. */
static void locks_on_their_way(struct trial *t)
{
	static const char *const conf[] = { "", "network-namespace = \"fresh\";\n" };
	static struct service service;
	size_t i;

	for (i = 0; i < ARRAY_LEN(conf) && t->problems == 0; i++) {
		const struct service_options options = { .slots = 1, .conf = conf[i] };
		unsigned count = times(1000), turn;

		if (!own_service(t, &options, &service))
			return;
		for (turn = 0; turn < count && t->problems == 0; turn++) {
			run_promising(t, &service, "37-sent");
			run_promising(t, &service, "37");
		}
		own_service_done(t, &service);
	}
}

/* One slot, so that each run comes after the junk of the one before. */
static void junk(struct trial *t)
{
	const struct service_options options = { .slots = 1 };
	static struct service service;
	unsigned count = times(1000), i;

	if (!own_service(t, &options, &service))
		return;
	for (i = 0; i < count && t->problems == 0; i++)
		run_promising(t, &service, "38");
	own_service_done(t, &service);
}

const struct box_case cases_fs[] = {
	{ .number = "021",
	  .name = "writes anywhere in the tree",
	  .promise = "EACCES or EROFS outside of one's own folders; the next run sees the "
		     "original",
	  .run = tree_writes },
	ATTACK("022", "one file fills the disk", "ENOSPC or EFBIG at the quota",
	       "22 16777216 1073741824", .request.limits = { .memory_bytes = 128 * MIB }),
	ATTACK("022b", "many files fill the disk", "ENOSPC or EFBIG at the quota",
	       "22 16777216 20000", .request.limits = { .memory_bytes = 128 * MIB }),
	ATTACK("022c", "files of 1 TiB", "ENOSPC or EFBIG", "22-huge"),
	ATTACK("023", "files until the inodes run out", "ENOSPC at 16384", "23 16384",
	       .request.limits = { .memory_bytes = 256 * MIB, .disk_bytes = 64 * MIB }),
	ATTACK("024", "result files that are links elsewhere", "an error, never other content",
	       "24",
	       .request.collect =
		       "absolute relative magic root init-root folder/passwd to-good good "
		       "absent hard",
	       .check = collected_links),
	{ .number = "024b",
	  .name = "result names that lead elsewhere",
	  .promise = "refused or an error",
	  .run = forbidden_names },
	{ .number = "024c",
	  .name = "file names that lead elsewhere",
	  .promise = "refused; the tree is not reached",
	  .run = forbidden_files },
	{ .number = "025",
	  .name = "links planted for the supervisor",
	  .promise = "the tree outside keeps owner, mode and time",
	  .run = planted_links },
	ATTACK("026", "result files that are no files", "an error at once", "26",
	       .request.collect = "fifo sock dir zero shut good", .check = collected_kinds),
	{ .number = "027",
	  .name = "result swapped with a link while the run ends",
	  .promise = "one's own content or an error, in 10,000 tries",
	  .run = swapped_result },
	{ .number = "028",
	  .name = "overwriting our init",
	  .promise = "EACCES or EROFS",
	  .run = overwrite_init },
	ATTACK("029", "descriptors at the start", "0, 1 and 2, none of the host's", "29"),
	{ .number = "030",
	  .name = "chroot, .. and fchdir",
	  .promise = "stays inside",
	  .run = break_out },
	ATTACK("031", "device nodes", "mknod EPERM; only the five harmless ones", "31"),
	ATTACK("032", "set-id and capable programs", "ids and capabilities unchanged", "32"),
	ATTACK("033", "writing to /proc", "absent, EROFS or EPERM", "33"),
	{ .number = "034",
	  .name = "host paths in mountinfo",
	  .promise = "none",
	  .run = no_host_path_in_mounts },
	{ .number = "034b",
	  .name = "the flags of every mount",
	  .promise = "as the table says, and not to be undone",
	  .run = mount_flags },
	{ .number = "034c",
	  .name = "an image with links where mounts go",
	  .promise = "the same mounts, and nothing else in them",
	  .run = odd_image },
	ATTACK("035", "hard links to what is not ours", "EPERM or EXDEV", "35"),
	{ .number = "036",
	  .name = "secrets of the host",
	  .promise = "not in the root",
	  .run = no_secrets },
	{ .number = "036b",
	  .name = "secrets of the host, in the host image",
	  .promise = "not in the root",
	  .run = no_secrets_in_host_image },
	{ .number = "037",
	  .name = "locks held in another slot",
	  .promise = "free in this one",
	  .run = locks_between_slots },
	{ .number = "037b",
	  .name = "locks and watches in the host's /usr",
	  .promise = "no other slot meets them",
	  .run = nothing_by_the_hosts_usr },
	{ .number = "037c",
	  .name = "locked files in sockets that nobody has",
	  .promise = "free in the next run",
	  .run = locks_on_their_way },
	{ .number = "038",
	  .name = "junk left by run after run in one slot",
	  .promise = "each finds the pristine tree",
	  .run = junk },
	{ 0 },
};
