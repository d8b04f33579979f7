/* SPDX-License-Identifier: ISC */
/* Runs as: root, before any socket is open. */
#define _GNU_SOURCE
#include "sandbox/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

static int parse_id(const char *name, uint32_t *ret_id)
{
	char *end;
	unsigned long long value;

	if (*name < '0' || *name > '9')
		return -1;
	value = strtoull(name, &end, 0);
	if (*end || value >= UINT32_MAX)
		return -1;
	*ret_id = (uint32_t)value;
	return 0;
}

int ids_user(const char *name, uid_t *ret_uid, struct error *err)
{
	const struct passwd *user;

	if (parse_id(name, ret_uid) == 0)
		return 0;
	user = getpwnam(name);
	if (!user)
		return error_set(err, ENOENT, "there is no user \"%s\"", name);
	*ret_uid = user->pw_uid;
	return 0;
}

int ids_group(const char *name, gid_t *ret_gid, struct error *err)
{
	const struct group *group;

	if (parse_id(name, ret_gid) == 0)
		return 0;
	group = getgrnam(name);
	if (!group)
		return error_set(err, ENOENT, "there is no group \"%s\"", name);
	*ret_gid = group->gr_gid;
	return 0;
}

/* /etc/subuid and /etc/subgid: "name:first:count". Our own entry is welcome. */
static int check_subordinate(const char *path, uint64_t first, uint64_t count, struct error *err)
{
	FILE *file = fopen(path, "re");
	char line[256];
	int rc = 0;

	while (file && rc == 0 && fgets(line, sizeof line, file)) {
		char *start = strchr(line, ':'), *size;
		uint64_t from, many;

		if (!start)
			continue;
		*start++ = '\0';
		size = strchr(start, ':');
		if (!size)
			continue;
		from = strtoull(start, NULL, 10);
		many = strtoull(size + 1, NULL, 10);
		if (from < first + count && first < from + many && strcmp(line, "sandpool") != 0)
			rc = error_set(err, EEXIST, "%s gives ids of the boxes to \"%s\"", path, line);
	}
	if (file)
		fclose(file);
	return rc;
}

int ids_check_free(uid_t first, unsigned count, struct error *err)
{
	const struct passwd *user;
	const struct group *group;
	int rc = 0;

	setpwent();
	while (rc == 0 && (user = getpwent()) != NULL)
		if (user->pw_uid >= first && user->pw_uid - first < count)
			rc = error_set(err, EEXIST, "id %u belongs to user \"%s\"",
				       (unsigned)user->pw_uid, user->pw_name);
	endpwent();
	setgrent();
	while (rc == 0 && (group = getgrent()) != NULL)
		if (group->gr_gid >= first && group->gr_gid - first < count)
			rc = error_set(err, EEXIST, "id %u belongs to group \"%s\"",
				       (unsigned)group->gr_gid, group->gr_name);
	endgrent();
	if (rc == 0)
		rc = check_subordinate("/etc/subuid", first, count, err);
	if (rc == 0)
		rc = check_subordinate("/etc/subgid", first, count, err);
	return rc < 0 ? error_wrap(err, "choose other box-ids") : 0;
}

uint64_t ids_process_budget(void)
{
	static const char *const files[] = { "sys/kernel/pid_max", "sys/kernel/threads-max" };
	cleanup_close int proc_fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	uint64_t least = 32768;
	char text[32];
	size_t i;

	for (i = 0; i < ARRAY_LEN(files); i++) {
		uint64_t value;

		if (proc_fd < 0 || io_read_text_at(proc_fd, files[i], text, sizeof text) < 0)
			continue;
		value = strtoull(text, NULL, 10);
		if (value && value < least)
			least = value;
	}
	return least / 2;
}
