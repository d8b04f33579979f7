/* SPDX-License-Identifier: ISC */
/* Runs as: the box user, without any capability, inside a box: the work folder of
 * a build as one memfd, and back. Records as in the wire's payload: name, mode,
 * content. What is read here was written by a child like this one. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/io.h"
#include "sandbox/init.h"

#define DEPTH_MAX 16
#define WORK_DIR  "/box"

static bool put(int memfd, const void *data, size_t size)
{
	uint32_t length = (uint32_t)size;

	return io_write_full(memfd, &length, sizeof length) == 0 &&
	       io_write_full(memfd, data, size) == 0;
}

static bool put_file(int memfd, int dir_fd, const char *entry, const char *name)
{
	cleanup_close int fd = openat(dir_fd, entry, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	static char data[65536];
	uint32_t length, mode;
	struct stat st;
	off_t left;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size > PACK_BYTES_MAX)
		return false;
	mode = st.st_mode & 0777;
	length = (uint32_t)st.st_size;
	if (!put(memfd, name, strlen(name)) || !put(memfd, &mode, sizeof mode) ||
	    io_write_full(memfd, &length, sizeof length) < 0)
		return false;
	for (left = st.st_size; left > 0;) {
		size_t want = left < (off_t)sizeof data ? (size_t)left : sizeof data;

		if (io_read_full(fd, data, want) != (ssize_t)want ||
		    io_write_full(memfd, data, want) < 0)
			return false;
		left -= (off_t)want;
	}
	return true;
}

static bool put_folder(int memfd, int dir_fd, const char *prefix, unsigned depth)
{
	DIR *dir = fdopendir(dir_fd); /* takes the descriptor */
	struct dirent *entry;
	bool good = dir != NULL && depth < DEPTH_MAX;

	while (good && (entry = readdir(dir)) != NULL) {
		char name[JOB_NAME_MAX + 1];
		struct stat st;
		int used;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		used = snprintf(name, sizeof name, "%s%s", prefix, entry->d_name);
		if (used < 0 || (size_t)used >= sizeof name || !job_name_valid(name, (size_t)used) ||
		    fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			good = false;
		} else if (S_ISDIR(st.st_mode)) {
			int fd = openat(dirfd(dir), entry->d_name,
					O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			snprintf(name + used, sizeof name - (size_t)used, "/");
			good = fd >= 0 && (size_t)used + 1 < sizeof name &&
			       put_folder(memfd, fd, name, depth + 1);
		} else {
			good = put_file(memfd, dirfd(dir), entry->d_name, name);
		}
	}
	if (dir)
		closedir(dir);
	return good;
}

bool stage_pack(int memfd)
{
	const struct rlimit size = { PACK_BYTES_MAX, PACK_BYTES_MAX };
	int fd;

	if (setrlimit(RLIMIT_FSIZE, &size) < 0)
		return false;
	fd = open(WORK_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && put_folder(memfd, fd, "", 0);
}

int stage_unpack(int memfd)
{
	struct bytes name, mode_bytes, content;
	struct stat st;
	const char *map;
	size_t offset = 0, size;
	int code = 0;

	if (fstat(memfd, &st) < 0)
		return errno;
	size = (size_t)st.st_size;
	if (size == 0)
		return 0;
	map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, memfd, 0);
	if (map == MAP_FAILED)
		return errno;
	while (offset < size && code == 0) {
		uint32_t mode;

		if (wire_payload_next(map, size, &offset, &name) < 0 ||
		    wire_payload_next(map, size, &offset, &mode_bytes) < 0 ||
		    wire_payload_next(map, size, &offset, &content) < 0 ||
		    mode_bytes.size != sizeof mode) {
			code = EPROTO;
			break;
		}
		memcpy(&mode, mode_bytes.data, sizeof mode);
		code = stage_write_file(name, content, (mode_t)(mode & 0777));
	}
	munmap((void *)(uintptr_t)map, size);
	return code;
}
