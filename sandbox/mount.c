/* SPDX-License-Identifier: ISC */
/* Runs as: root, in the keeper's world and in the box's own mount namespace. */
#define _GNU_SOURCE
#include "sandbox/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "sandbox/setup.h"

#define SCRATCH_INODES "16384"
#define OVERLAY_OPTIONS ",metacopy=off,redirect_dir=nofollow,index=off,xino=off"

static const struct {
	const char *name;
	unsigned minor; /* of major 1 */
} devices[] = {
	{ "null", 3 }, { "zero", 5 }, { "full", 7 }, { "random", 8 }, { "urandom", 9 },
};

static const struct {
	const char *name, *target;
} device_links[] = {
	{ "fd", "/proc/self/fd" },
	{ "stdin", "/proc/self/fd/0" },
	{ "stdout", "/proc/self/fd/1" },
	{ "stderr", "/proc/self/fd/2" },
};

static int set_flags(const char *path, uint64_t flags)
{
	struct mount_attr attr = { .attr_set = flags };

	return (int)syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attr, sizeof attr);
}

/* ---- the keeper's world ---- */

static int make_devices(struct error *err)
{
	char path[32];
	size_t i;

	if (mount("none", WORLD_DEV, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k") < 0)
		return error_errno(err, "mount a tmpfs for /dev");
	for (i = 0; i < ARRAY_LEN(devices); i++) {
		snprintf(path, sizeof path, WORLD_DEV "/%s", devices[i].name);
		if (mknod(path, S_IFCHR | 0666, makedev(1, devices[i].minor)) < 0 ||
		    chmod(path, 0666) < 0)
			return error_errno(err, "make %s", path);
	}
	for (i = 0; i < ARRAY_LEN(device_links); i++) {
		snprintf(path, sizeof path, WORLD_DEV "/%s", device_links[i].name);
		if (symlink(device_links[i].target, path) < 0)
			return error_errno(err, "make %s", path);
	}
	if (mkdir(WORLD_DEV "/shm", 0755) < 0)
		return error_errno(err, "make /dev/shm");
	if (set_flags(WORLD_DEV, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC) < 0)
		return error_errno(err, "make /dev read-only");
	return 0;
}

/* What a box mounts something on, or what an image need not have. The overlay wants two
 * layers at least: this is one. */
static int make_base(struct error *err)
{
	static const struct {
		const char *name;
		mode_t mode;
	} names[] = {
		{ WORLD_BASE, 0755 },	     { WORLD_BASE "/box", 0755 },
		{ WORLD_BASE "/tmp", 01777 }, { WORLD_BASE "/proc", 0755 },
		{ WORLD_BASE "/dev", 0755 }, { WORLD_BASE "/var", 0755 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++)
		if (mkdir(names[i].name, names[i].mode) < 0 ||
		    chmod(names[i].name, names[i].mode) < 0)
			return error_errno(err, "make %s", names[i].name);
	if (symlink("/tmp", WORLD_BASE "/var/tmp") < 0)
		return error_errno(err, "make /var/tmp");
	return 0;
}

int world_enter(const char *mount_point, int *ret_outside_fd, int *ret_world_fd,
		struct error *err)
{
	static const char *const names[] = { WORLD_ROOT, WORLD_NONE,    WORLD_USR,   WORLD_DEV,
					     WORLD_TREE, WORLD_SCRATCH, WORLD_MERGED };
	cleanup_close int outside = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	cleanup_close int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[16];
	unsigned i;

	if (outside < 0 || proc < 0)
		return error_errno(err, "/proc");
	if (unshare(CLONE_NEWNS) < 0)
		return error_errno(err, "unshare the mount namespace");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return error_errno(err, "make mounts private");
	if (mount("none", mount_point, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") < 0 ||
	    chdir(mount_point) < 0)
		return error_errno(err, "mount at %s", mount_point);
	for (i = 0; i < ARRAY_LEN(names); i++)
		if (mkdir(names[i], 0755) < 0)
			return error_errno(err, "make %s", names[i]);
	for (i = 0; i < IMAGE_LAYERS_MAX; i++) {
		snprintf(name, sizeof name, WORLD_LAYER, i);
		if (mkdir(name, 0755) < 0)
			return error_errno(err, "make %s", name);
	}
	if (make_devices(err) < 0 || make_base(err) < 0)
		return -1;
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return error_errno(err, "leave the old root");
	*ret_world_fd = openat(proc, "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (*ret_world_fd < 0)
		return error_errno(err, "open the namespace");
	*ret_outside_fd = steal_fd(&outside);
	return 0;
}

static int clone_tree(const char *path, struct error *err)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd < 0 ? error_errno(err, "clone %s", path) : fd;
}

static int attach(int fd, const char *name, struct error *err)
{
	if (syscall(SYS_move_mount, fd, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(err, "attach %s", name);
	return 0;
}

/* Of nothing: EINVAL. */
static void detach(const char *name)
{
	unsigned tries;

	for (tries = 0; umount2(name, MNT_DETACH) < 0 && errno != EINVAL && tries < 10; tries++)
		;
}

static int bind_here(const char *source, const char *target, struct error *err)
{
	if (mount(source, target, NULL, MS_BIND, NULL) < 0)
		return error_errno(err, "bind %s", source);
	return 0;
}

/* ---- what the boxes of a keeper share ---- */

/* Each is an overlay of our own even where there is only one layer to show: so locks and
 * watches in it meet nobody but the slot's own processes, whoever else has the files. */
static const struct {
	const char *target;
	unsigned long flags;
} shared_mounts[] = {
	{ WORLD_ROOT, MS_RDONLY | MS_NOSUID | MS_NODEV },
	{ WORLD_ROOT "/dev", MS_RDONLY | MS_NOSUID | MS_NOEXEC },
	{ WORLD_ROOT "/usr", MS_RDONLY | MS_NOSUID | MS_NODEV },
};
enum { SHARED_ROOT, SHARED_DEV, SHARED_USR };

static bool is_shared[ARRAY_LEN(shared_mounts)]; /* those of the image that was taken */

/* Relative names, because overlay shows them in the box's mount table. */
static int mount_shared(unsigned which, const char *lowers, struct error *err)
{
	const char *target = shared_mounts[which].target;
	char options[256];

	snprintf(options, sizeof options, "lowerdir=%s" OVERLAY_OPTIONS, lowers);
	if (mount("overlay", target, "overlay", shared_mounts[which].flags, options) < 0)
		return error_errno(err, "overlay %s", target);
	is_shared[which] = true;
	return 0;
}

int world_forget_names(struct error *err)
{
	size_t i;

	/* before anything is changed, and here nothing is, the kernel drops all that it
	 * remembers and nobody uses */
	for (i = 0; i < ARRAY_LEN(shared_mounts); i++)
		if (is_shared[i] && mount(NULL, shared_mounts[i].target, NULL,
					  MS_REMOUNT | shared_mounts[i].flags, NULL) < 0)
			return error_errno(err, "forget the names below %s",
					   shared_mounts[i].target);
	return 0;
}

static int mount_root(unsigned layers, struct error *err)
{
	char lowers[64] = WORLD_BASE;
	size_t used = strlen(lowers);
	unsigned i;

	for (i = 0; i < layers; i++)
		used += (size_t)snprintf(lowers + used, sizeof lowers - used, ":" WORLD_LAYER, i);
	return mount_shared(SHARED_ROOT, lowers, err);
}

/* Its files are everybody's on this host. EINVAL: where it is an overlay of overlays
 * already, the kernel stacks no further. */
static int mount_usr(struct error *err)
{
	struct error why = ERROR_INIT;

	if (mount_shared(SHARED_USR, WORLD_NONE ":" WORLD_USR, &why) == 0)
		return 0;
	if (why.code != EINVAL) {
		*err = why;
		return -1;
	}
	log_event(LOG_WARNING, "programs can watch who opens what in the host's /usr: %s", why.text);
	return bind_here(WORLD_USR, WORLD_ROOT "/usr", err);
}

/* Of clones: the layers', and the last one of /usr, if the image binds it. */
static int attach_layers(const struct image *image, const int *fds, struct error *err)
{
	char name[16];
	unsigned i;

	for (i = 0; i < image->layers; i++) {
		snprintf(name, sizeof name, WORLD_LAYER, i);
		if (attach(fds[i], name, err) < 0)
			return -1;
	}
	return image->binds_usr ? attach(fds[image->layers], WORLD_USR, err) : 0;
}

static void detach_all(void)
{
	char name[16];
	unsigned i;

	detach(WORLD_ROOT);
	for (i = 0; i < IMAGE_LAYERS_MAX; i++) {
		snprintf(name, sizeof name, WORLD_LAYER, i);
		detach(name);
	}
}

/* The layers stay in the mount table, although the overlay holds them itself: this is how
 * "sandpool image" sees that they are in use. */
static int make_root(const struct image *image, const int *fds, struct error *err)
{
	size_t i;
	int rc;

	for (i = 0; i < ARRAY_LEN(is_shared); i++)
		is_shared[i] = false;
	detach_all(); /* of an earlier image */
	rc = attach_layers(image, fds, err);
	if (rc == 0)
		rc = mount_root(image->layers, err);
	if (rc == 0 && image->binds_usr)
		rc = mount_usr(err);
	detach(WORLD_USR);
	return rc == 0 ? mount_shared(SHARED_DEV, WORLD_NONE ":" WORLD_DEV, err) : rc;
}

int world_take_image(int outside_fd, int world_fd, const struct image_set *set,
		     const struct image *image, struct error *err)
{
	int fds[IMAGE_LAYERS_MAX + 1], rc = 0;
	char path[400];
	unsigned count = image->layers + (image->binds_usr ? 1 : 0), made = 0, i;

	/* setns() takes root and working directory along, and back again */
	if (setns(outside_fd, CLONE_NEWNS) < 0)
		return error_errno(err, "enter the outer namespace");
	for (; made < count && rc == 0; made++) {
		if (made < image->layers)
			snprintf(path, sizeof path, "%s/%s/%u", set->root, image->name, made);
		else
			snprintf(path, sizeof path, "%s/%s/usr", set->root, image->name);
		fds[made] = clone_tree(path, err);
		if (fds[made] < 0)
			rc = -1;
	}
	if (setns(world_fd, CLONE_NEWNS) < 0)
		rc = error_errno(err, "return to the keeper's world");
	if (rc == 0)
		rc = make_root(image, fds, err);
	for (i = 0; i < made; i++)
		close_fd(&fds[i]);
	return rc;
}

/* ---- the box's tmpfs ---- */

static int fs_set(int fs, const char *key, const char *value)
{
	return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

static const struct {
	const char *name;
	mode_t mode;
	bool box; /* owned by the box user */
	bool over_tree; /* only needed there */
} folders[] = {
	{ SCRATCH_OWN, 0755, false, false },
	{ SCRATCH_OWN "/box", 0755, true, false },
	{ SCRATCH_OWN "/tmp", 01777, false, false },
	{ SCRATCH_SHM, 01777, false, false },
	{ SCRATCH_WORK, 0700, false, true },
};

static int make_folders(int fd, enum box_kind kind, uid_t box_uid)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(folders); i++) {
		if (folders[i].over_tree && kind != BOX_ON_TREE)
			continue;
		if (mkdirat(fd, folders[i].name, folders[i].mode) < 0)
			return -1;
		if ((folders[i].mode & 07000) && fchmodat(fd, folders[i].name, folders[i].mode, 0) < 0)
			return -1;
		if (folders[i].box &&
		    fchownat(fd, folders[i].name, box_uid, box_uid, AT_SYMLINK_NOFOLLOW) < 0)
			return -1;
	}
	return 0;
}

int scratch_make(uint64_t bytes, enum box_kind kind, uid_t box_uid, int *ret_fd,
		 struct error *err)
{
	cleanup_close int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	cleanup_close int fd = -1;
	char size[24];

	if (fs < 0)
		return error_errno(err, "open tmpfs");
	snprintf(size, sizeof size, "%" PRIu64, bytes);
	if (fs_set(fs, "size", size) < 0 || fs_set(fs, "nr_inodes", SCRATCH_INODES) < 0 ||
	    fs_set(fs, "mode", "0755") < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return error_errno(err, "configure tmpfs");
	fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (fd < 0)
		return error_errno(err, "mount tmpfs");
	if (make_folders(fd, kind, box_uid) < 0)
		return error_errno(err, "folders of the tmpfs");
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int reconfigure(int mount_fd, int command, const char *key, const char *value,
		       struct error *err)
{
	cleanup_close int fs = (int)syscall(SYS_fspick, mount_fd, "",
					    FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);

	if (fs < 0)
		return error_errno(err, "pick the tmpfs");
	if (syscall(SYS_fsconfig, fs, command, key, value, 0) < 0 ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
		return error_errno(err, "tmpfs %s", key);
	return 0;
}

int scratch_resize(int scratch_fd, uint64_t bytes, struct error *err)
{
	char size[24];

	snprintf(size, sizeof size, "%" PRIu64, bytes);
	return reconfigure(scratch_fd, FSCONFIG_SET_STRING, "size", size, err);
}

int tree_attach(int scratch_fd, struct error *err)
{
	return attach(scratch_fd, WORLD_TREE, err);
}

/* A file that is open for writing keeps the whole from being made read-only. One can be,
 * with nobody left to write to it: on its way in a socket, until the kernel collects such
 * garbage. Then it is our mount alone; its files were opened through others. */
int tree_freeze(int scratch_fd, struct error *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
	struct error why = ERROR_INIT;

	if (reconfigure(scratch_fd, FSCONFIG_SET_FLAG, "ro", NULL, &why) == 0)
		return 0;
	if (why.code == EBUSY && syscall(SYS_mount_setattr, scratch_fd, "", AT_EMPTY_PATH, &attr,
					 sizeof attr) == 0)
		return 0;
	*err = why;
	return -1;
}

void tree_drop(void)
{
	detach(WORLD_TREE);
}

/* ---- steps ---- */

int mount_scratch(struct setup *s, struct error *err)
{
	return s->scratch_fd < 0 ? 0 : attach(s->scratch_fd, WORLD_SCRATCH, err);
}

/* The build's folders, and the box's own over them. */
int mount_over_tree(struct setup *s, struct error *err)
{
	static const char options[] = "lowerdir=" WORLD_TREE "/" SCRATCH_OWN
				      ",upperdir=" WORLD_SCRATCH "/" SCRATCH_OWN
				      ",workdir=" WORLD_SCRATCH "/" SCRATCH_WORK OVERLAY_OPTIONS;

	if (s->kind == BOX_ON_TREE && mount("overlay", WORLD_MERGED, "overlay",
					    MS_NOSUID | MS_NODEV, options) < 0)
		return error_errno(err, "overlay");
	return 0;
}

#define TMPFS_FOLDERS(tmpfs)                                                                    \
	{                                                                                       \
		tmpfs "/" SCRATCH_OWN "/box", tmpfs "/" SCRATCH_OWN "/tmp", tmpfs "/" SCRATCH_SHM \
	}

static const struct {
	const char *box, *tmp, *shm;
} sources[] = {
	[BOX_PLAIN] = TMPFS_FOLDERS(WORLD_SCRATCH),
	[BOX_KEEPS_TREE] = TMPFS_FOLDERS(WORLD_TREE),
	[BOX_ON_TREE] = { WORLD_MERGED "/box", WORLD_MERGED "/tmp", WORLD_SCRATCH "/" SCRATCH_SHM },
};

int mount_own_folders(struct setup *s, struct error *err)
{
	if (bind_here(sources[s->kind].box, WORLD_ROOT "/box", err) < 0 ||
	    bind_here(sources[s->kind].tmp, WORLD_ROOT "/tmp", err) < 0 ||
	    bind_here(sources[s->kind].shm, WORLD_ROOT "/dev/shm", err) < 0)
		return -1;
	if (set_flags(WORLD_ROOT "/dev/shm",
		      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC) < 0)
		return error_errno(err, "flags of /dev/shm");
	return 0;
}

int mount_proc(struct setup *s, struct error *err)
{
	(void)s;
	if (mount("proc", WORLD_ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		  "hidepid=invisible,subset=pid") < 0)
		return error_errno(err, "proc");
	return 0;
}

int enter_root(struct setup *s, struct error *err)
{
	(void)s;
	if (chdir(WORLD_ROOT) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return error_errno(err, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return error_errno(err, "detach the old root");
	if (chdir("/box") < 0)
		return error_errno(err, "/box");
	return 0;
}
