/* SPDX-License-Identifier: ISC */
/* What a worker knows while it answers: the settings, the languages, what sandboxd
 * said of itself, the API keys, and the maps that all workers share. The master
 * makes it; after the fork each worker has its own.
 * Runs as: worker user. */
#ifndef SANDPOOL_POOL_H
#define SANDPOOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/language.h"
#include "common/settings.h"
#include "common/wire.h"
#include "fcgi/access_log.h"
#include "fcgi/keys.h"
#include "fcgi/keys_shared.h"
#include "fcgi/metrics.h"
#include "fcgi/request.h"
#include "fcgi/versions.h"

struct pool {
	struct settings settings;
	struct language_table *table;
	struct wire_info *info; /* NULL: sandboxd has not answered yet */
	uint64_t info_us;	/* when it did */
	struct keys keys; /* the master's; a CGI process's own */
	struct keys_shared keys_shared;
	struct metrics *metrics;
	struct versions *versions;
	size_t row; /* ours in the metrics */
	bool cgi;   /* one request, and nothing is shared */
};

/* One request on its way through the handlers. */
struct visit {
	struct pool *pool;
	struct request *request;
	const struct key *key; /* NULL: none was shown; else found */
	struct key found;
	struct access_line line;
	enum codec_shape shape;	   /* in which errors are said */
	enum answer_format format; /* likewise */
	const struct codec_echo *echo; /* for a page that shows the form again; may be NULL */
};

/* Reads settings and languages. The maps are left alone. */
int pool_load(struct pool *pool, const char *conf_path, bool trusted_only, struct error *err);
void pool_unload(struct pool *pool);

/* Asks sandboxd of itself; with reload, reads the languages again first. */
int pool_ask(struct pool *pool, bool reload, struct error *err);
/* Asks when nobody did in the last max_age_us. */
int pool_ask_if_older(struct pool *pool, uint64_t max_age_us, struct error *err);

/* Did sandboxd read the same languages as we? */
bool pool_agrees(const struct pool *pool);
/* The image that a language runs in, NULL when it is not available here. */
const char *pool_image(const struct pool *pool, const struct language *language);

/* Answers with a failure, in the visit's shape and format. */
void visit_fail(struct visit *visit, const struct failure *failure);
/* An answer of our own, whole. */
void visit_answer(struct visit *visit, const char *content_type, const char *text, size_t size);

#endif
