/* SPDX-License-Identifier: ISC */
/* Runs as: the box user, inside an interpreter that was started ahead.
 * Ruby opens its main file and takes a byte of it before it loads its own libraries, which
 * are nearly all of its start: a "#!" in the first line may hold options. So it is not held
 * at the opening. Its first read gets one byte, which stands in for the program's first one;
 * Ruby sees that it is no "#", and puts it back into its buffer. When all is loaded the
 * parser looks there for the end of the first line; that is where it waits for the program,
 * whose first byte then takes the place of the other. Had Ruby done something else at a
 * program's first byte it is started anew. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "sandbox/ahead_rooms.h"

#define STAND_IN ' '

void *memchr(const void *from, int byte, size_t size);
ssize_t read(int fd, void *room, size_t size);

static int main_fd = -1;
static char *buffer; /* Ruby's, with the stand-in */

/* From 3.4 on there is another parser, which does not read but map. */
bool ahead_ruby_waits_later(void)
{
	const int *version = dlsym(RTLD_DEFAULT, "ruby_api_version");

	return version && version[0] == 3 && version[1] >= 1 && version[1] <= 3;
}

void ahead_ruby_opened(int fd)
{
	main_fd = fd;
}

static bool give_first_byte(void)
{
	char head[2] = "";
	ssize_t size = pread(main_fd, head, sizeof head, 0);

	if (size < 1 || !memcmp(head, "#!", sizeof head) || lseek(main_fd, 1, SEEK_SET) != 1)
		return false;
	*buffer = head[0];
	return true;
}

static void wait_in_buffer(void)
{
	ahead_wait();
	if (!give_first_byte())
		ahead_start_anew();
	main_fd = -1;
	buffer = NULL;
}

void *memchr(const void *from, int byte, size_t size)
{
	static void *(*next)(const void *, int, size_t);

	if (buffer && from == buffer)
		wait_in_buffer();
	NEXT(memchr);
	return next(from, byte, size);
}

ssize_t read(int fd, void *room, size_t size)
{
	static ssize_t (*next)(int, void *, size_t);

	if (main_fd >= 0 && fd == main_fd && size > 0) {
		if (!buffer) {
			buffer = room;
			*buffer = STAND_IN;
			return 1;
		}
		/* the stand-in was taken unseen */
		ahead_wait();
		ahead_start_anew();
	}
	NEXT(read);
	return next(fd, room, size);
}
