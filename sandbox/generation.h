/* SPDX-License-Identifier: ISC */
/* What a reload replaces as a whole: settings, languages, images, and the sockets
 * of the image classes.
 * Runs as: root (the master). */
#ifndef SANDPOOL_GENERATION_H
#define SANDPOOL_GENERATION_H

#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"
#include "common/language.h"
#include "common/settings.h"
#include "common/wire.h"
#include "sandbox/image.h"

#define PEERS_MAX 16

struct generation {
	struct settings settings;
	struct language_table *table;
	uint8_t language_image[WIRE_LANGUAGES_MAX];
	struct image_set images;
	int listen_fds[WIRE_IMAGES_MAX];
	uid_t peers[PEERS_MAX];
	size_t peers_count;
	unsigned number;
};

/* Reads the configuration and the languages; nothing is mounted or opened yet.
 * NULL with file and line. generation_free() closes and frees all of it. */
struct generation *generation_read(const char *conf_path, unsigned number, struct error *err);
void generation_free(struct generation *generation);

/* Mounts its images below the state directory, and finds which languages they
 * hold. */
int generation_mount(struct generation *generation, struct error *err);
void generation_unmount(struct generation *generation);

/* The sockets of images that stay are handed on: whoever waits in their lines is
 * served by the next generation's keepers. The others are opened. */
void generation_take_sockets(struct generation *generation, struct generation *old);
int generation_open_sockets(struct generation *generation, struct error *err);

/* A socket below the run directory for those who may ask for boxes. */
int generation_listen(const struct generation *generation, const char *name, int backlog,
		      struct error *err);

/* Takes the names of the class sockets that it still holds out of the folder. */
void generation_unlink_sockets(const struct generation *generation);

#endif
