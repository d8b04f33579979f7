/* SPDX-License-Identifier: ISC */
/* Runs as: root, once at start and once at the end. */
#define _GNU_SOURCE
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libcgroup.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/io.h"

#define PATH_SIZE	   512
#define CGROUP2_MAGIC	   0x63677270
#define WHOLE_PERIOD_US	   100000

/* One hierarchy, or the whole tree on v2. */
struct tier {
	enum hierarchy hierarchy;
	const char *controller;
	unsigned need; /* the limit that is lost without it, enum enforced */
	char mount[PATH_SIZE];
	char own[PATH_SIZE]; /* our own group below the mount, "" for the root */
	bool present;
};

struct cgroup_tree {
	enum cgroup_mode mode;
	unsigned enforced;
	struct cgroup_request request; /* parent points at our copy; lists only while opening */
	char parent[64];
	struct tier tiers[HIER_COUNT];
	bool in_root; /* v2: our parent lies in the root of the tree, not below us */
	unsigned slots;
	int lock_fd; /* the parent, so that no other daemon takes it */
};

static const struct {
	enum hierarchy hierarchy;
	const char *controller;
	unsigned need;
	bool v1_only;
} wanted[HIER_COUNT] = {
	{ HIER_MEMORY, "memory", ENFORCED_MEMORY, false },
	{ HIER_PIDS, "pids", ENFORCED_PROCESSES, false },
	{ HIER_CPU, "cpu", ENFORCED_CPU, false },
	{ HIER_CPUACCT, "cpuacct", 0, true },
};

/* libcgroup hides errno behind a call of its own; here is the one place that
 * knows it. */
static int error_cgroup(struct error *err, int rc, const char *what)
{
	int code = rc == ECGOTHER ? cgroup_get_last_errno() : EIO;

	return error_set(err, code, "%s: %s", what,
			 rc == ECGOTHER ? strerror(code) : cgroup_strerror(rc));
}

/* ---- finding ---- */

/* Our own group in the hierarchy of a controller; NULL asks for v2's. */
static int read_own(const char *controller, char *own, size_t size, struct error *err)
{
	cleanup_free char *line = NULL;
	FILE *file = fopen("/proc/self/cgroup", "re");
	size_t room = 0;
	bool found = false;

	if (!file)
		return error_errno(err, "/proc/self/cgroup");
	while (!found && getline(&line, &room, file) > 0) {
		char *names = strchr(line, ':'), *path, *name, *rest = NULL;

		path = names ? strchr(names + 1, ':') : NULL;
		if (!path)
			continue;
		*names++ = *path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		if (!controller) {
			found = !strcmp(line, "0") && !*names;
		} else {
			for (name = strtok_r(names, ",", &rest); name && !found;
			     name = strtok_r(NULL, ",", &rest))
				found = !strcmp(name, controller);
		}
		if (found)
			snprintf(own, size, "%s", strcmp(path, "/") ? path : "");
	}
	fclose(file);
	return found ? 0 : error_set(err, ENOENT, "no control group of ours for %s",
				     controller ? controller : "cgroup v2");
}

static bool is_v2(const char *mount)
{
	struct statfs fs;

	return statfs(mount, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
}

/* Where cgroup2 is mounted, with or without controllers. */
static bool find_v2(char *mount, size_t size)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	size_t i;

	for (i = 0; i < ARRAY_LEN(places); i++)
		if (is_v2(places[i])) {
			snprintf(mount, size, "%s", places[i]);
			return true;
		}
	return false;
}

static bool v2_has(const char *mount, const char *own, const char *controller)
{
	char path[2 * PATH_SIZE], text[256], *word, *rest = NULL;
	cleanup_close int fd = -1;

	snprintf(path, sizeof path, "%s%s", mount, own);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || io_read_text_at(fd, "cgroup.controllers", text, sizeof text) < 0)
		return false;
	for (word = strtok_r(text, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
		if (!strcmp(word, controller))
			return true;
	return false;
}

static bool may_miss(const struct cgroup_request *request, const char *controller)
{
	char *const *name;

	for (name = request->allow_missing; name && *name; name++)
		if (!strcmp(*name, controller))
			return true;
	return false;
}

static int find_tiers(struct cgroup_tree *tree, struct error *err)
{
	char v2_mount[PATH_SIZE] = "", v2_own[PATH_SIZE] = "";
	bool has_v2 = find_v2(v2_mount, sizeof v2_mount) &&
		      read_own(NULL, v2_own, sizeof v2_own, NULL) == 0;
	bool memory_v2 = has_v2 && v2_has(v2_mount, v2_own, "memory");
	bool v2 = !strcmp(tree->request.mode, "v2") ||
		  (strcmp(tree->request.mode, "v1") != 0 && memory_v2);
	size_t i;

	if (v2 && !has_v2)
		return error_set(err, ENOENT, "cgroup v2 is not mounted");
	tree->mode = v2 ? LAYOUT_V2 : has_v2 ? LAYOUT_HYBRID : LAYOUT_V1;
	for (i = 0; i < HIER_COUNT; i++) {
		struct tier *tier = &tree->tiers[i];
		char *mount = NULL;

		tier->hierarchy = wanted[i].hierarchy;
		tier->controller = wanted[i].controller;
		tier->need = wanted[i].need;
		if (v2) {
			tier->present = !wanted[i].v1_only && v2_has(v2_mount, v2_own, tier->controller);
			snprintf(tier->mount, sizeof tier->mount, "%s", v2_mount);
			snprintf(tier->own, sizeof tier->own, "%s", v2_own);
		} else if (cgroup_get_subsys_mount_point(tier->controller, &mount) == 0) {
			tier->present = !is_v2(mount) &&
					read_own(tier->controller, tier->own, sizeof tier->own, NULL) == 0;
			snprintf(tier->mount, sizeof tier->mount, "%s", mount);
		}
		free(mount);
		if (tier->present)
			tree->enforced |= tier->need;
		else if (tier->need && !may_miss(&tree->request, tier->controller))
			return error_set(err, ENOENT,
					 "the %s controller is missing (%s); mount or delegate it, or "
					 "accept to run without that limit by allow-missing = [ \"%s\" ]",
					 tier->controller, v2 ? "cgroup v2" : "cgroup v1",
					 tier->controller);
	}
	return 0;
}

/* ---- v2: a group with processes may not have children with controllers ---- */

static int enable_v2(const char *dir_path, const struct cgroup_tree *tree, struct error *err)
{
	cleanup_close int fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[64] = "";
	size_t i;

	if (fd < 0)
		return error_errno(err, "%s", dir_path);
	for (i = 0; i < HIER_COUNT; i++)
		if (tree->tiers[i].present)
			snprintf(text + strlen(text), sizeof text - strlen(text), "%s+%s",
				 text[0] ? " " : "", tree->tiers[i].controller);
	if (text[0] && io_write_text_at(fd, "cgroup.subtree_control", text) < 0)
		return error_errno(err, "%s: enable %s", dir_path, text);
	return 0;
}

static int move_self(const char *dir_path, struct error *err)
{
	cleanup_close int fd = -1;

	if (mkdir(dir_path, 0755) < 0 && errno != EEXIST)
		return error_errno(err, "make %s", dir_path);
	fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || io_write_text_at(fd, "cgroup.procs", "0") < 0)
		return error_errno(err, "move into %s", dir_path);
	return 0;
}

static void set_own(struct cgroup_tree *tree, const char *own)
{
	size_t i;

	for (i = 0; i < HIER_COUNT; i++)
		snprintf(tree->tiers[i].own, sizeof tree->tiers[i].own, "%s", own);
}

/* Started as a service we are alone in our group: into <own>/supervisor, and our
 * parent group beside it. Started from somebody's shell we are not: then the
 * root of the tree is the only place that may have both. */
static int settle_v2(struct cgroup_tree *tree, struct error *err)
{
	struct tier *tier = &tree->tiers[0];
	char own[2 * PATH_SIZE], leaf[2 * PATH_SIZE + 16];
	struct error first = ERROR_INIT;

	if (!tier->own[0])
		return enable_v2(tier->mount, tree, err);
	/* a daemon that was restarted inside its supervisor group is home already */
	if (strlen(tier->own) > 11 && !strcmp(tier->own + strlen(tier->own) - 11, "/supervisor")) {
		snprintf(own, sizeof own, "%.*s", (int)(strlen(tier->own) - 11), tier->own);
		set_own(tree, own);
	}
	snprintf(own, sizeof own, "%s%s", tier->mount, tier->own);
	snprintf(leaf, sizeof leaf, "%s/supervisor", own);
	if (move_self(leaf, &first) == 0 && enable_v2(own, tree, &first) == 0)
		return 0;
	tree->in_root = true;
	set_own(tree, "");
	snprintf(leaf, sizeof leaf, "%s/%s-supervisor", tier->mount, tree->request.parent);
	if (enable_v2(tier->mount, tree, err) < 0 || move_self(leaf, err) < 0)
		return error_wrap(err, "%s; and in the root of the tree", first.text);
	return 0;
}

/* ---- making, by libcgroup ---- */

static void group_path(const struct tier *tier, const struct cgroup_tree *tree, int slot,
		       char *path, size_t size)
{
	if (slot < 0)
		snprintf(path, size, "%s/%s", tier->own, tree->request.parent);
	else
		snprintf(path, size, "%s/%s/slot%d", tier->own, tree->request.parent, slot);
}

static void group_dir(const struct tier *tier, const struct cgroup_tree *tree, int slot,
		      char *path, size_t size)
{
	char name[2 * PATH_SIZE];

	group_path(tier, tree, slot, name, sizeof name);
	snprintf(path, size, "%s%s", tier->mount, name);
}

/* The bounds of all boxes together; slots have none of their own. */
static int add_parent_values(struct cgroup_controller *controller, const struct tier *tier,
			     const struct cgroup_tree *tree)
{
	bool v2 = tree->mode == LAYOUT_V2;

	switch (tier->hierarchy) {
	case HIER_MEMORY:
		return cgroup_add_value_uint64(controller, v2 ? "memory.max" : "memory.limit_in_bytes",
					       tree->request.memory_bytes & ~(uint64_t)4095);
	case HIER_PIDS:
		return cgroup_add_value_uint64(controller, "pids.max", tree->request.processes);
	case HIER_CPU:
		return cgroup_add_value_uint64(controller, v2 ? "cpu.weight" : "cpu.shares",
					       v2 ? 50 : 512);
	default:
		return 0;
	}
}

static int create_group(const struct cgroup_tree *tree, size_t first, size_t count, int slot,
			struct error *err)
{
	char name[2 * PATH_SIZE];
	struct cgroup *group;
	size_t i;
	int rc = 0;

	group_path(&tree->tiers[first], tree, slot, name, sizeof name);
	group = cgroup_new_cgroup(name);
	if (!group)
		return error_set(err, ENOMEM, "control group %s", name);
	for (i = first; i < first + count && rc == 0; i++) {
		struct cgroup_controller *controller;

		if (!tree->tiers[i].present)
			continue;
		controller = cgroup_add_controller(group, tree->tiers[i].controller);
		if (!controller)
			rc = ECGFAIL;
		else if (slot < 0)
			rc = add_parent_values(controller, &tree->tiers[i], tree);
	}
	if (rc == 0)
		rc = cgroup_create_cgroup(group, 1);
	cgroup_free(&group);
	return rc ? error_cgroup(err, rc, name) : 0;
}

/* One struct cgroup has one name for all its controllers, but on v1 our own
 * group may have another name in each hierarchy: there, one at a time. */
static int create(const struct cgroup_tree *tree, int slot, struct error *err)
{
	char path[2 * PATH_SIZE];
	size_t i;

	if (tree->mode == LAYOUT_V2) {
		group_dir(&tree->tiers[0], tree, slot, path, sizeof path);
		/* libcgroup makes no group without controllers */
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return error_errno(err, "make %s", path);
		if (tree->enforced && create_group(tree, 0, HIER_COUNT, slot, err) < 0)
			return -1;
		return enable_v2(path, tree, err);
	}
	for (i = 0; i < HIER_COUNT; i++)
		if (tree->tiers[i].present && create_group(tree, i, 1, slot, err) < 0)
			return -1;
	return 0;
}

/* libcgroup says 0 also when a group is busy: the directory is the proof. */
static void remove_group(const struct cgroup_tree *tree, int slot)
{
	size_t i;

	for (i = 0; i < HIER_COUNT; i++) {
		const struct tier *tier = &tree->tiers[i];
		char name[2 * PATH_SIZE], path[3 * PATH_SIZE];
		struct cgroup *group;

		if (!tier->present && tree->mode != LAYOUT_V2)
			continue;
		group_path(tier, tree, slot, name, sizeof name);
		group_dir(tier, tree, slot, path, sizeof path);
		group = tier->present ? cgroup_new_cgroup(name) : NULL;
		if (group && cgroup_add_controller(group, tier->controller))
			cgroup_delete_cgroup_ext(group, CGFLAG_DELETE_EMPTY_ONLY);
		if (group)
			cgroup_free(&group);
		if (access(path, F_OK) == 0)
			rmdir(path);
		if (tree->mode == LAYOUT_V2)
			break;
	}
}

static int sweep_dir(const struct cgroup_tree *tree, int slot)
{
	size_t i;
	int rc = 0;

	for (i = 0; i < HIER_COUNT; i++) {
		char path[3 * PATH_SIZE];
		cleanup_close int fd = -1;

		if (!tree->tiers[i].present && tree->mode != LAYOUT_V2)
			continue;
		group_dir(&tree->tiers[i], tree, slot, path, sizeof path);
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0 && group_sweep(fd) < 0)
			rc = -1;
		if (tree->mode == LAYOUT_V2)
			break;
	}
	return rc;
}

static int check_swap(struct cgroup_tree *tree, struct error *err)
{
	const char *file = tree->mode == LAYOUT_V2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes";
	char path[3 * PATH_SIZE], swaps[4096];
	cleanup_close int fd = -1;
	cleanup_close int proc_fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!(tree->enforced & ENFORCED_MEMORY))
		return 0;
	group_dir(&tree->tiers[HIER_MEMORY], tree, -1, path, sizeof path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && faccessat(fd, file, F_OK, 0) == 0) {
		tree->enforced |= ENFORCED_SWAP;
		return 0;
	}
	/* without swap there is nothing to bound; with it, a run could use it */
	if (proc_fd >= 0 && io_read_text_at(proc_fd, "swaps", swaps, sizeof swaps) >= 0 &&
	    strchr(swaps, '\n') && strchr(swaps, '\n')[1] && !may_miss(&tree->request, "swap"))
		return error_set(err, ENOENT,
				 "this kernel does not account swap, and swap is on; boot with "
				 "swapaccount=1, switch swap off, or allow-missing = [ \"swap\" ]");
	return 0;
}

/* Whoever sweeps a parent kills what is in it: it must be nobody else's. */
static int lock_parent(struct cgroup_tree *tree, struct error *err)
{
	char path[3 * PATH_SIZE];
	size_t i;

	for (i = 0; i < HIER_COUNT && !tree->tiers[i].present && tree->mode != LAYOUT_V2;)
		i++;
	if (i == HIER_COUNT || tree->lock_fd >= 0)
		return 0;
	group_dir(&tree->tiers[i], tree, -1, path, sizeof path);
	tree->lock_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree->lock_fd >= 0 && flock(tree->lock_fd, LOCK_EX | LOCK_NB) < 0 &&
	    errno == EWOULDBLOCK)
		return error_set(err, EBUSY, "control group %s: another sandboxd has its boxes there",
				 tree->parent);
	return 0;
}

static void forget(struct cgroup_tree *tree)
{
	close_fd(&tree->lock_fd);
	free(tree);
}

struct cgroup_tree *cgroup_tree_open(const struct cgroup_request *request, struct error *err)
{
	struct cgroup_tree *tree = calloc(1, sizeof *tree);
	int rc;

	if (!tree) {
		error_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	tree->lock_fd = -1;
	tree->request = *request;
	snprintf(tree->parent, sizeof tree->parent, "%s", request->parent);
	tree->request.parent = tree->parent;
	rc = cgroup_init();
	if (rc) {
		error_cgroup(err, rc, "control groups");
		free(tree);
		return NULL;
	}
	if (find_tiers(tree, err) < 0 || (tree->mode == LAYOUT_V2 && settle_v2(tree, err) < 0) ||
	    lock_parent(tree, err) < 0) {
		forget(tree);
		return NULL;
	}
	if (sweep_dir(tree, -1) < 0) {
		error_set(err, EBUSY, "control group %s: processes of an earlier daemon do not die",
			  request->parent);
		forget(tree);
		return NULL;
	}
	if (create(tree, -1, err) < 0 || lock_parent(tree, err) < 0 || check_swap(tree, err) < 0) {
		remove_group(tree, -1);
		forget(tree);
		return NULL;
	}
	tree->request.allow_missing = NULL;
	tree->request.mode = NULL;
	return tree;
}

int cgroup_tree_slot(struct cgroup_tree *tree, unsigned slot, struct group_slot *ret_slot,
		     struct error *err)
{
	struct group_slot s = { .v2 = tree->mode == LAYOUT_V2, .enforced = tree->enforced };
	char mounts[HIER_COUNT][PATH_SIZE];
	size_t i, k;

	if (create(tree, (int)slot, err) < 0)
		return -1;
	if (slot >= tree->slots)
		tree->slots = slot + 1;
	for (i = 0; i < HIER_COUNT; i++) {
		char path[3 * PATH_SIZE];

		s.dir_fd[i] = s.of[i] = -1;
		if (!tree->tiers[i].present && !(s.v2 && i == 0))
			continue;
		for (k = 0; k < s.count; k++)
			if (!strcmp(mounts[k], tree->tiers[i].mount))
				break;
		if (k == s.count) {
			group_dir(&tree->tiers[i], tree, (int)slot, path, sizeof path);
			s.dir_fd[k] = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			if (s.dir_fd[k] < 0) {
				error_errno(err, "open %s", path);
				while (s.count > 0)
					close(s.dir_fd[--s.count]);
				return -1;
			}
			snprintf(mounts[k], sizeof mounts[k], "%s", tree->tiers[i].mount);
			s.count++;
		}
		if (tree->tiers[i].present)
			s.of[i] = (int)k;
	}
	*ret_slot = s;
	return 0;
}

enum cgroup_mode cgroup_tree_mode(const struct cgroup_tree *tree)
{
	return tree->mode;
}

unsigned cgroup_tree_enforced(const struct cgroup_tree *tree)
{
	return tree->enforced;
}

int cgroup_tree_sweep_slot(struct cgroup_tree *tree, unsigned slot)
{
	return sweep_dir(tree, (int)slot);
}

void cgroup_tree_close(struct cgroup_tree *tree)
{
	unsigned i;

	if (!tree)
		return;
	sweep_dir(tree, -1);
	for (i = 0; i < tree->slots; i++)
		remove_group(tree, (int)i);
	remove_group(tree, -1);
	forget(tree);
}

int cgroup_describe(char *text, size_t size, struct error *err)
{
	struct cgroup_tree tree = { .request = { .mode = "auto", .parent = "sandpool" } };
	static const char *const modes[] = { [LAYOUT_V2] = "v2", [LAYOUT_HYBRID] = "hybrid (v1)",
					     [LAYOUT_V1] = "v1" };
	int rc = cgroup_init();

	if (rc)
		return error_cgroup(err, rc, "control groups");
	if (find_tiers(&tree, err) < 0)
		return -1;
	snprintf(text, size, "%s with memory, pids, cpu", modes[tree.mode]);
	return 0;
}
