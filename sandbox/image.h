/* SPDX-License-Identifier: ISC */
/* Images: read-only trees that boxes stand on. Mounted once, in the master's
 * private mount namespace; a keeper takes a clone of the one it serves into its
 * own small namespace.
 * Runs as: root. */
#ifndef SANDPOOL_IMAGE_H
#define SANDPOOL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/error.h"
#include "common/language.h"
#include "common/settings.h"
#include "common/wire.h"

#define IMAGE_HOST	 "host"
#define IMAGE_LAYERS_MAX 8
#define IMAGE_ENVIRONMENT_BYTES 8192 /* with names */
#define IMAGE_VARIABLES_MAX	96

struct image {
	char name[WIRE_IMAGE_NAME];
	char manifest[24];   /* changes when the image does */
	unsigned layers;     /* mounted as IMAGE_ROOT/<name>/0, 1 ...; 0 is the top one */
	bool binds_usr;      /* the host's /usr comes on top, as a bind */
	char *environment;   /* "NAME=value" words, each ended by NUL, and one more; NULL: none */
};

struct image_set {
	struct image image[WIRE_IMAGES_MAX];
	size_t count;
	char root[256]; /* a tmpfs of ours that holds the mount points */
};

/* In a fresh private mount namespace: mounts a tmpfs at root_path and on it the
 * host image, every image of the image directory, and the configured ones. An
 * image that cannot be mounted is left out with a warning through warn. */
int image_set_mount(struct image_set *set, const char *root_path, const struct settings *settings,
		    void (*warn)(const char *text), struct error *err);

/* What it holds in memory; the mounts stay. */
void image_set_free(struct image_set *set);

/* The index of an image by name; -1. */
int image_find(const struct image_set *set, const char *name);

/* For each language (by table order) the image that has its programs: its own
 * group's, else the host's; WIRE_IMAGE_NONE when neither has. */
void image_match_languages(const struct image_set *set, const struct language_table *table,
			   uint8_t *ret_image);

/* Is word (argv[0]: a path or a name to look for in PATH) executable in it? */
bool image_has_program(const struct image_set *set, size_t image, const char *word);

#endif
