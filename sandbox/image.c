/* SPDX-License-Identifier: ISC */
/* Runs as: root, before any socket is open; in the master's mount namespace. */
#define _GNU_SOURCE
#include "sandbox/image.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/io.h"

#define PATH_SIZE  600
#define SQUASH_END ".squashfs"
#define COPY_MAX   ((off_t)4 << 20)
#define RACE_TRIES 1000

/* ---- mounts ---- */

static int bind_read_only(const char *source, const char *target, struct error *err)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
					       MOUNT_ATTR_NODEV };
	cleanup_close int tree = (int)syscall(SYS_open_tree, AT_FDCWD, source,
					      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (tree < 0)
		return error_errno(err, "open %s", source);
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr) < 0)
		return error_errno(err, "read-only %s", source);
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return error_errno(err, "bind %s", source);
	return 0;
}

static int mount_squashfs(const char *source, const char *target, struct error *err)
{
	struct loop_config config = { .info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR };
	cleanup_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	cleanup_close int file = open(source, O_RDONLY | O_CLOEXEC);
	int tries;

	if (control < 0)
		return error_errno(err, "/dev/loop-control");
	if (file < 0)
		return error_errno(err, "%s", source);
	config.fd = (uint32_t)file;
	for (tries = 0; tries < 16; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		cleanup_close int loop = -1;
		char path[32];

		if (number < 0)
			return error_errno(err, "find a free loop device");
		snprintf(path, sizeof path, "/dev/loop%d", number);
		loop = open(path, O_RDONLY | O_CLOEXEC);
		if (loop < 0 && errno == ENOENT) {
			/* no udev here: the node is ours to make */
			if (mknod(path, S_IFBLK | 0600, makedev(7, (unsigned)number)) == 0)
				loop = open(path, O_RDONLY | O_CLOEXEC);
		}
		if (loop < 0)
			return error_errno(err, "%s", path);
		if (ioctl(loop, LOOP_CONFIGURE, &config) < 0) {
			if (errno == EBUSY)
				continue; /* somebody was faster */
			return error_errno(err, "attach %s", source);
		}
		if (mount(path, target, "squashfs", MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0)
			return error_errno(err, "mount %s", source);
		return 0;
	}
	return error_set(err, EBUSY, "no free loop device");
}

/* ---- the manifest: a short text that changes when the image does ---- */

static void hash_stat(SHA2_CTX *hash, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	SHA256Update(hash, (const uint8_t *)path, strlen(path));
	SHA256Update(hash, (const uint8_t *)&st.st_ino, sizeof st.st_ino);
	SHA256Update(hash, (const uint8_t *)&st.st_size, sizeof st.st_size);
	SHA256Update(hash, (const uint8_t *)&st.st_mtim, sizeof st.st_mtim);
}

static void set_manifest(struct image *image, const char *const *paths, size_t count)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA2_CTX hash;
	size_t i;

	SHA256Init(&hash);
	for (i = 0; i < count; i++)
		hash_stat(&hash, paths[i]);
	SHA256Final(digest, &hash);
	for (i = 0; i < 8; i++)
		snprintf(image->manifest + 2 * i, 3, "%02x", digest[i]);
}

/* ---- the host image: the host's /usr and an /etc of our own ---- */

static int put_text(const char *path, const char *text, struct error *err)
{
	cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	if (fd < 0 || io_write_full(fd, text, strlen(text)) < 0)
		return error_errno(err, "%s", path);
	return 0;
}

static int copy_file(const char *from, const char *to, const struct stat *st)
{
	cleanup_close int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	cleanup_close int out = -1;
	char data[16384];
	ssize_t n;

	if (in < 0 || st->st_size > COPY_MAX || !(st->st_mode & S_IROTH))
		return 0; /* what strangers may not read is not for them */
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (out < 0)
		return -1;
	while ((n = read(in, data, sizeof data)) > 0)
		if (io_write_full(out, data, (size_t)n) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

/* Copies what the host's /etc has under a name: files that everybody may read,
 * links as they are, folders whole. All of it belongs to the host's root. */
static int copy_tree(const char *from, const char *to)
{
	char link[PATH_SIZE], inner_from[PATH_SIZE], inner_to[PATH_SIZE];
	struct dirent *entry;
	struct stat st;
	ssize_t n;
	DIR *dir;

	if (lstat(from, &st) < 0)
		return errno == ENOENT ? 0 : -1;
	if (S_ISLNK(st.st_mode)) {
		n = readlink(from, link, sizeof link - 1);
		if (n < 0)
			return -1;
		link[n] = '\0';
		return symlink(link, to);
	}
	if (S_ISREG(st.st_mode))
		return copy_file(from, to, &st);
	if (!S_ISDIR(st.st_mode) || !(st.st_mode & S_IXOTH))
		return 0;
	if (mkdir(to, 0755) < 0 && errno != EEXIST)
		return -1;
	dir = opendir(from);
	if (!dir)
		return -1;
	while ((entry = readdir(dir)) != NULL) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		snprintf(inner_from, sizeof inner_from, "%s/%s", from, entry->d_name);
		snprintf(inner_to, sizeof inner_to, "%s/%s", to, entry->d_name);
		if (copy_tree(inner_from, inner_to) < 0)
			break;
	}
	closedir(dir);
	return entry ? -1 : 0;
}

static const struct {
	const char *name, *text;
} etc_texts[] = {
	{ "passwd", "root:x:0:0:root:/:/usr/sbin/nologin\n"
		    "box:x:1000:1000:box:/box:/bin/sh\n"
		    "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n" },
	{ "group", "root:x:0:\nbox:x:1000:\nnogroup:x:65534:\n" },
	{ "hosts", "127.0.0.1 localhost box\n::1 localhost\n" },
	{ "hostname", "box\n" },
	{ "nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n" },
	{ "resolv.conf", "" },
};

/* Always there; a language that needs more names it in languages/ETC. */
static const char *const etc_copies[] = { "alternatives", "ld.so.cache", "ld.so.conf",
					  "ld.so.conf.d", "debian_version", "os-release" };

static int copy_etc(const char *name, const char *etc)
{
	char from[PATH_SIZE], to[PATH_SIZE], *slash;

	snprintf(from, sizeof from, "/etc/%s", name);
	snprintf(to, sizeof to, "%s/%s", etc, name);
	for (slash = strchr(to + strlen(etc) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(to, 0755) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return copy_tree(from, to) < 0 && errno != EEXIST ? -1 : 0;
}

/* languages/ETC: names below /etc, one a line, "#" begins a comment. */
static int copy_etc_listed(const char *language_directory, const char *etc, struct error *err)
{
	char path[PATH_SIZE], line[256];
	FILE *file;

	snprintf(path, sizeof path, "%s/ETC", language_directory);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? 0 : error_errno(err, "%s", path);
	while (fgets(line, sizeof line, file)) {
		line[strcspn(line, "# \t\r\n")] = '\0';
		if (!line[0] || !job_name_valid(line, strlen(line)))
			continue;
		if (copy_etc(line, etc) < 0)
			break;
	}
	fclose(file);
	return 0;
}

static int make_host_etc(const char *root, const char *language_directory, struct error *err)
{
	char etc[PATH_SIZE], path[PATH_SIZE];
	size_t i;

	snprintf(etc, sizeof etc, "%s/etc", root);
	if (mkdir(etc, 0755) < 0)
		return error_errno(err, "%s", etc);
	for (i = 0; i < ARRAY_LEN(etc_texts); i++) {
		snprintf(path, sizeof path, "%s/%s", etc, etc_texts[i].name);
		if (put_text(path, etc_texts[i].text, err) < 0)
			return -1;
	}
	for (i = 0; i < ARRAY_LEN(etc_copies); i++)
		if (copy_etc(etc_copies[i], etc) < 0)
			return error_errno(err, "copy /etc/%s", etc_copies[i]);
	return copy_etc_listed(language_directory, etc, err);
}

static int mount_host(struct image *image, const char *place, const struct settings *settings,
		      struct error *err)
{
	static const char *const links[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };
	static const char *const dirs[] = { "usr", "var", "tmp", "proc", "dev", "box" };
	static const char *const identity[] = { "/var/lib/dpkg/status", "/usr/bin", "/etc/os-release" };
	char path[PATH_SIZE], target[PATH_SIZE], top[PATH_SIZE];
	struct stat st;
	size_t i;

	snprintf(top, sizeof top, "%s/0", place);
	if (mkdir(top, 0755) < 0)
		return error_errno(err, "%s", top);
	for (i = 0; i < ARRAY_LEN(links); i++) {
		snprintf(path, sizeof path, "/%s", links[i]);
		if (lstat(path, &st) < 0)
			continue;
		if (!S_ISLNK(st.st_mode))
			return error_set(err, ENOTSUP,
					 "%s is not a link into /usr: the host image needs a merged /usr",
					 path);
		snprintf(path, sizeof path, "%s/%s", top, links[i]);
		snprintf(target, sizeof target, "usr/%s", links[i]);
		if (symlink(target, path) < 0)
			return error_errno(err, "%s", path);
	}
	for (i = 0; i < ARRAY_LEN(dirs); i++) {
		snprintf(path, sizeof path, "%s/%s", top, dirs[i]);
		if (mkdir(path, 0755) < 0)
			return error_errno(err, "%s", path);
	}
	if (make_host_etc(top, settings->language_directory, err) < 0)
		return -1;
	snprintf(path, sizeof path, "%s/usr", place);
	if (mkdir(path, 0755) < 0)
		return error_errno(err, "%s", path);
	if (bind_read_only("/usr", path, err) < 0)
		return -1;
	image->layers = 1;
	image->binds_usr = true;
	set_manifest(image, identity, ARRAY_LEN(identity));
	return 0;
}

/* ---- other images ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t size = strlen(text), end_size = strlen(end);

	return size > end_size && !strcmp(text + size - end_size, end);
}

static int mount_layer(struct image *image, const char *place, const char *source,
		       struct error *err)
{
	char target[PATH_SIZE];

	if (image->layers == IMAGE_LAYERS_MAX)
		return error_set(err, E2BIG, "more than %d layers", IMAGE_LAYERS_MAX);
	snprintf(target, sizeof target, "%s/%u", place, image->layers);
	if (mkdir(target, 0755) < 0)
		return error_errno(err, "%s", target);
	if ((ends_with(source, SQUASH_END) ? mount_squashfs(source, target, err)
					   : bind_read_only(source, target, err)) < 0)
		return -1;
	image->layers++;
	return 0;
}

static bool variable_valid(const char *word, size_t size)
{
	size_t name = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
	size_t i;

	if (name == 0 || word[name] != '=' || strchr("0123456789", word[0]))
		return false;
	for (i = name; i < size; i++)
		if ((unsigned char)word[i] < ' ' && word[i] != '\t')
			return false;
	return true;
}

/* The file "environment" beside "layers": what programs get before the language's
 * own. One NAME=value a line; "#" begins a comment line. */
static int read_environment(struct image *image, const char *source, struct error *err)
{
	char path[PATH_SIZE], *line, *end, *into;
	char text[IMAGE_ENVIRONMENT_BYTES];
	cleanup_close int fd = -1;
	unsigned count = 0;
	ssize_t n;

	snprintf(path, sizeof path, "%s/environment", source);
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	fd = conf_open(path, true, err);
	if (fd < 0)
		return -1;
	n = io_read_full(fd, text, sizeof text);
	if (n < 0)
		return error_errno(err, "%s", path);
	if (n == sizeof text || memchr(text, '\0', (size_t)n))
		return error_set(err, E2BIG, "%s: not a text of less than %d bytes", path,
				 IMAGE_ENVIRONMENT_BYTES);
	text[n] = '\0';
	/* the words are no longer than the text, but for the NULs behind the last */
	into = image->environment = malloc((size_t)n + 2);
	if (!into)
		return error_set(err, ENOMEM, "out of memory");
	for (line = text; *line; line = end) {
		size_t size = strcspn(line, "\n");

		end = line + size + (line[size] == '\n');
		line[size] = '\0';
		if (size == 0 || line[0] == '#')
			continue;
		if (!variable_valid(line, size) || count++ == IMAGE_VARIABLES_MAX)
			return error_set(err, EINVAL, "%s: not NAME=value, or more than %d", path,
					 IMAGE_VARIABLES_MAX);
		memcpy(into, line, size + 1);
		into += size + 1;
	}
	*into = '\0';
	return 0;
}

/* A folder with a file "layers" is a list of layers, the top one first, each a
 * name in the folder that holds this one; any other folder is the tree itself. */
static int mount_plain(struct image *image, const char *place, const char *source,
		       struct error *err)
{
	char list[PATH_SIZE], line[256], layer[PATH_SIZE];
	const char *paths[2] = { source, list };
	FILE *file;
	int rc = 0;

	snprintf(list, sizeof list, "%s/layers", source);
	set_manifest(image, paths, 2);
	file = ends_with(source, SQUASH_END) ? NULL : fopen(list, "re");
	if (!file)
		return mount_layer(image, place, source, err);
	while (rc == 0 && fgets(line, sizeof line, file)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!line[0] || line[0] == '#')
			continue;
		if (!job_name_valid(line, strlen(line))) {
			rc = error_set(err, EINVAL, "%s: \"%s\" is not a layer's name", list, line);
			break;
		}
		snprintf(layer, sizeof layer, "%s/../%s", source, line);
		rc = mount_layer(image, place, layer, err);
	}
	fclose(file);
	if (rc == 0 && image->layers == 0)
		rc = error_set(err, EINVAL, "%s: no layers", list);
	return rc == 0 ? read_environment(image, source, err) : rc;
}

static void unmount_place(const char *place, unsigned layers)
{
	char path[PATH_SIZE];
	unsigned i;

	for (i = 0; i <= layers; i++) {
		snprintf(path, sizeof path, "%s/%u", place, i);
		umount2(path, MNT_DETACH);
		rmdir(path);
	}
	rmdir(place);
}

static int add_image(struct image_set *set, const char *name, const char *source,
		     const struct settings *settings, struct error *err)
{
	struct image *image = &set->image[set->count];
	char place[PATH_SIZE];
	int rc;

	if (strlen(name) >= sizeof image->name || !job_language_valid(name, strlen(name)))
		return error_set(err, EINVAL, "\"%s\" is not an image's name", name);
	if (image_find(set, name) >= 0)
		return error_set(err, EEXIST, "there are two images of that name");
	if (set->count == WIRE_IMAGES_MAX)
		return error_set(err, E2BIG, "more than %d images", WIRE_IMAGES_MAX);
	memset(image, 0, sizeof *image);
	snprintf(image->name, sizeof image->name, "%s", name);
	snprintf(place, sizeof place, "%s/%s", set->root, name);
	if (mkdir(place, 0755) < 0)
		return error_errno(err, "%s", place);
	rc = source ? mount_plain(image, place, source, err)
		    : mount_host(image, place, settings, err);
	if (rc < 0) {
		unmount_place(place, image->layers);
		free(image->environment);
	} else {
		set->count++;
	}
	return rc;
}

static void add_or_warn(struct image_set *set, const char *name, const char *source,
			const struct settings *settings, void (*warn)(const char *text))
{
	struct error err = ERROR_INIT;

	if (add_image(set, name, source, settings, &err) < 0) {
		error_wrap(&err, "image %s is left out", name);
		warn(err.text);
	}
}

/* Every folder and squashfs file of the image directory whose name does not
 * begin with "." or "layer-": those are for others to stand on. */
static void add_directory(struct image_set *set, const struct settings *settings,
			  void (*warn)(const char *text))
{
	struct dirent **entries = NULL;
	int count = scandir(settings->image_directory, &entries, NULL, alphasort), i;

	for (i = 0; i < count; i++) {
		char source[PATH_SIZE], name[256];
		struct stat st;

		snprintf(name, sizeof name, "%s", entries[i]->d_name);
		snprintf(source, sizeof source, "%s/%s", settings->image_directory, name);
		if (name[0] != '.' && strncmp(name, "layer-", 6) != 0 && stat(source, &st) == 0 &&
		    (S_ISDIR(st.st_mode) || ends_with(name, SQUASH_END))) {
			if (ends_with(name, SQUASH_END))
				name[strlen(name) - strlen(SQUASH_END)] = '\0';
			add_or_warn(set, name, source, settings, warn);
		}
		free(entries[i]);
	}
	free(entries);
}

static void add_configured(struct image_set *set, const struct settings *settings,
			   void (*warn)(const char *text))
{
	char **entry;

	for (entry = settings->images; *entry; entry++) {
		char name[WIRE_IMAGE_NAME];
		const char *path = strchr(*entry, '=');

		if (!path || path[1] != '/' || (size_t)(path - *entry) >= sizeof name) {
			warn("images: an entry is not name=/path");
			continue;
		}
		snprintf(name, sizeof name, "%.*s", (int)(path - *entry), *entry);
		add_or_warn(set, name, path + 1, settings, warn);
	}
}

int image_set_mount(struct image_set *set, const char *root_path, const struct settings *settings,
		    void (*warn)(const char *text), struct error *err)
{
	memset(set, 0, sizeof *set);
	if (strlen(root_path) >= sizeof set->root)
		return error_set(err, ENAMETOOLONG, "%s", root_path);
	snprintf(set->root, sizeof set->root, "%s", root_path);
	if (mkdir(root_path, 0700) < 0 && errno != EEXIST)
		return error_errno(err, "%s", root_path);
	if (mount("sandpool", root_path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64m") < 0)
		return error_errno(err, "mount %s", root_path);
	add_or_warn(set, IMAGE_HOST, NULL, settings, warn);
	add_directory(set, settings, warn);
	add_configured(set, settings, warn);
	return set->count ? 0 : error_set(err, ENOENT, "no image at all could be mounted");
}

void image_set_free(struct image_set *set)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		free(set->image[i].environment);
	set->count = 0;
}

int image_find(const struct image_set *set, const char *name)
{
	size_t i;

	for (i = 0; i < set->count; i++)
		if (!strcmp(set->image[i].name, name))
			return (int)i;
	return -1;
}

/* ---- which languages can run ---- */

/* Follows links as they would go inside the box. The layers are looked at one
 * by one, which misses a link from one layer into another: those of Debian's
 * alternatives lie with their targets. */
static bool found_in(const char *root, const char *path, bool program)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	cleanup_close int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cleanup_close int fd = -1;
	struct stat st;
	int tries = 0;

	if (root_fd < 0)
		return false;
	/* EAGAIN: somebody renames or mounts, anywhere, while a ".." is resolved */
	do
		fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
	while (fd < 0 && errno == EAGAIN && ++tries < RACE_TRIES);
	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	return program ? S_ISREG(st.st_mode) && (st.st_mode & S_IXOTH) : st.st_mode & S_IROTH;
}

static bool image_has_path(const struct image_set *set, size_t index, const char *path,
			   bool program)
{
	const struct image *image = &set->image[index];
	char root[PATH_SIZE];
	unsigned i;

	if (image->binds_usr) /* the same links lead to the same places on the host */
		return (program || !strncmp(path, "/usr/", 5)) && found_in("/", path, program);
	for (i = 0; i < image->layers; i++) {
		snprintf(root, sizeof root, "%s/%s/%u", set->root, image->name, i);
		if (found_in(root, path, program))
			return true;
	}
	return false;
}

bool image_has_program(const struct image_set *set, size_t image, const char *word)
{
	static const char *const places[] = { "/usr/local/bin", "/usr/bin", "/bin", "/usr/games" };
	char path[PATH_SIZE];
	size_t i;

	if (word[0] == '/')
		return image_has_path(set, image, word, true);
	if (strchr(word, '/'))
		return true; /* made by the build stage, below the work folder */
	for (i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(path, sizeof path, "%s/%s", places[i], word);
		if (image_has_path(set, image, path, true))
			return true;
	}
	return false;
}

static bool image_suits(const struct image_set *set, size_t image, const struct language *language)
{
	size_t i;

	for (i = 0; i < STAGE_COUNT; i++)
		if (language->argv[i].count > 0 && i != STAGE_VERSION &&
		    !image_has_program(set, image, language->argv[i].word[0]))
			return false;
	/* What stands behind sh, java and the like. */
	for (i = 0; i < language->needs.count; i++) {
		const char *word = language->needs.word[i];

		if (word[0] == '/' ? !image_has_path(set, image, word, false)
				   : !image_has_program(set, image, word))
			return false;
	}
	return true;
}

void image_match_languages(const struct image_set *set, const struct language_table *table,
			   uint8_t *ret_image)
{
	int host = image_find(set, IMAGE_HOST);
	size_t i;

	for (i = 0; i < table->count; i++) {
		const struct language *language = &table->language[i];
		int own = image_find(set, language->image);

		ret_image[i] = WIRE_IMAGE_NONE;
		if (own >= 0 && image_suits(set, (size_t)own, language))
			ret_image[i] = (uint8_t)own;
		else if (host >= 0 && image_suits(set, (size_t)host, language))
			ret_image[i] = (uint8_t)host;
	}
}
