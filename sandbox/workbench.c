/* SPDX-License-Identifier: ISC */
/* Runs as: root, by hand. */
#define _GNU_SOURCE
#include "sandbox/workbench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "sandbox/ids.h"
#include "sandbox/keeper.h"
#include "sandbox/mount.h"

#define READY_MS 10000

static int outside_fd = -1, world_fd = -1;

static void warn(const char *text)
{
	log_event(LOG_WARNING, "%s", text);
}

/* ---- a control group of our own ---- */

#define IN_SCOPE "SANDPOOL_IN_SCOPE"

static char *const scope_argv[] = {
	(char *)(uintptr_t)"systemd-run",   (char *)(uintptr_t)"--quiet",
	(char *)(uintptr_t)"--scope",	    (char *)(uintptr_t)"--collect",
	(char *)(uintptr_t)"-pDelegate=yes", (char *)(uintptr_t)"-pTasksMax=infinity",
};

/* Would it work? Said by doing it with a program that does nothing. */
static bool scope_works(void)
{
	char *argv[ARRAY_LEN(scope_argv) + 2] = { NULL };
	pid_t pid;
	int status;

	memcpy(argv, scope_argv, sizeof scope_argv);
	argv[ARRAY_LEN(scope_argv)] = (char *)(uintptr_t)"true";
	pid = fork();
	if (pid == 0) {
		int null_fd = open("/dev/null", O_RDWR);

		dup2(null_fd, STDIN_FILENO);
		dup2(null_fd, STDOUT_FILENO);
		dup2(null_fd, STDERR_FILENO);
		execvp(argv[0], argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void workbench_own_group(char **argv)
{
	size_t count = 0, i;
	char **again, path[256];
	ssize_t size;

	if (geteuid() != 0 || getenv(IN_SCOPE) || access("/run/systemd/system", F_OK) < 0 ||
	    access("/sys/fs/cgroup/cgroup.controllers", F_OK) < 0)
		return;
	while (argv[count])
		count++;
	again = calloc(ARRAY_LEN(scope_argv) + count + 1, sizeof *again);
	size = readlink("/proc/self/exe", path, sizeof path - 1);
	if (!again || size <= 0 || !scope_works() || setenv(IN_SCOPE, "1", 1) < 0) {
		free(again);
		return;
	}
	path[size] = '\0';
	memcpy(again, scope_argv, sizeof scope_argv);
	again[ARRAY_LEN(scope_argv)] = path;
	for (i = 1; i < count; i++)
		again[ARRAY_LEN(scope_argv) + i] = argv[i];
	execvp(again[0], again);
	free(again);
}

static int make_group(struct workbench *bench, const char *name, struct error *err)
{
	const struct settings *s = &bench->settings;
	char parent[64];
	struct cgroup_request request = {
		.parent = parent,
		.mode = s->cgroup_mode,
		.allow_missing = s->allow_missing,
		.memory_bytes = s->memory_budget_bytes,
		.processes = ids_process_budget(),
	};

	snprintf(parent, sizeof parent, "%.30s-%s-%d", s->cgroup_parent, name, (int)getpid());
	bench->cgroups = cgroup_tree_open(&request, err);
	if (!bench->cgroups)
		return -1;
	return cgroup_tree_slot(bench->cgroups, 0, &bench->groups, err);
}

static int mount_images(struct workbench *bench, struct error *err)
{
	snprintf(bench->root, sizeof bench->root, "/tmp/sandpool.XXXXXX");
	if (!mkdtemp(bench->root)) {
		bench->root[0] = '\0';
		return error_errno(err, "/tmp");
	}
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return error_errno(err, "a mount namespace");
	return image_set_mount(&bench->images, bench->root, &bench->settings, warn, err);
}

int workbench_open(struct workbench *bench, const char *name, struct error *err)
{
	/* a pair of ids behind those of the daemon's slots, far enough for several
	 * tools at once */
	bench->slot.index = (unsigned)bench->settings.slots + 1 + (unsigned)getpid() % 512;
	if (ids_check_free((uid_t)(bench->settings.box_ids_first + 2 * bench->slot.index), 2, err) < 0 ||
	    filter_build(&bench->filter, FILTER_DEFAULT, err) < 0 ||
	    make_group(bench, name, err) < 0)
		return -1;
	return mount_images(bench, err);
}

/* From here on the host's files are out of sight. */
static int enter_slot(struct workbench *bench, struct error *err)
{
	const struct keeper_config config = { .settings = &bench->settings,
					      .images = &bench->images,
					      .filter = bench->filter,
					      .groups = bench->groups,
					      .slot = bench->slot.index };

	if (keeper_open_slot(&config, &bench->slot, &outside_fd, &world_fd, err) < 0)
		return -1;
	if (unshare(CLONE_NEWNET) < 0)
		return error_errno(err, "a network namespace");
	return 0;
}

void workbench_close(struct workbench *bench)
{
	/* libcgroup works by path: back to where those are */
	if (outside_fd >= 0 && setns(outside_fd, CLONE_NEWNS) < 0)
		warn("cannot return from the box's world");
	cgroup_tree_close(bench->cgroups);
	if (bench->images.root[0])
		umount2(bench->images.root, MNT_DETACH);
	if (bench->root[0])
		rmdir(bench->root);
	image_set_free(&bench->images);
	filter_free(&bench->filter);
	close_fd(&outside_fd);
	close_fd(&world_fd);
}

int workbench_take(struct workbench *bench, unsigned image, struct error *err)
{
	const struct image *wanted = &bench->images.image[image];

	if (outside_fd < 0 && enter_slot(bench, err) < 0)
		return -1;
	if (world_take_image(outside_fd, world_fd, &bench->images, wanted, err) < 0)
		return -1;
	bench->taken = wanted;
	return 0;
}

static int await_end(struct box *box, uint64_t wall_ms, int *ret_status, struct error *err)
{
	struct pollfd p = { box->sock_fd, POLLIN, 0 };
	struct init_report report;
	int n;

	do
		n = poll(&p, 1, wall_ms ? (int)wall_ms : -1);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return error_set(err, ETIMEDOUT, "it did not end in time");
	if (io_recv(box->sock_fd, &report, sizeof report, NULL, NULL, 0) != sizeof report ||
	    report.event != INIT_ENDED)
		return error_set(err, ECHILD, "the box died");
	if (report.exec_errno)
		return error_set(err, report.exec_errno, "cannot start it: %s",
				 strerror(report.exec_errno));
	*ret_status = report.wait_status;
	return 0;
}

int workbench_run(struct workbench *bench, char **argv, const int *stdio_fd, uint64_t wall_ms,
		  int *ret_status, struct error *err)
{
	static struct language language;
	struct init_job job = { .language = &language,
				.environment = bench->taken->environment,
				.stage = STAGE_RUN,
				.limits = bench->settings.policy.run };
	cleanup_close int payload = io_memfd_sealed("payload", "", 0);
	int fds[4] = { payload, stdio_fd[0], stdio_fd[1], stdio_fd[2] };
	struct box box;
	int rc;

	language.argv[STAGE_RUN].word = argv;
	for (language.argv[STAGE_RUN].count = 0; argv[language.argv[STAGE_RUN].count];)
		language.argv[STAGE_RUN].count++;
	if (payload < 0)
		return error_errno(err, "memfd");
	if (box_start(&box, &bench->slot, BOX_PLAIN, &job.limits, err) < 0)
		return -1;
	rc = box_await(&box, READY_MS, err);
	if (rc == 0)
		rc = box_give(&box, &job, fds, 4, err);
	if (rc == 0)
		rc = await_end(&box, wall_ms, ret_status, err);
	box_kill(&box);
	while (box_finish(&box, 1000) < 0)
		box_kill(&box);
	return rc;
}
