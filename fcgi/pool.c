/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/launch.h"

int pool_load(struct pool *pool, const char *conf_path, bool trusted_only, struct error *err)
{
	if (settings_load(conf_path, trusted_only, &pool->settings, err) < 0)
		return -1;
	pool->table = language_table_load(pool->settings.language_directory, false, err);
	if (!pool->table) {
		settings_free(&pool->settings);
		return -1;
	}
	return 0;
}

void pool_unload(struct pool *pool)
{
	language_table_free(pool->table);
	free(pool->info);
	keys_free(&pool->keys);
	keys_shared_free(&pool->keys_shared);
	settings_free(&pool->settings);
	pool->table = NULL;
	pool->info = NULL;
}

static int read_languages(struct pool *pool, struct error *err)
{
	struct language_table *fresh =
		language_table_load(pool->settings.language_directory, false, err);

	if (!fresh)
		return -1;
	language_table_free(pool->table);
	pool->table = fresh;
	return 0;
}

int pool_ask(struct pool *pool, bool reload, struct error *err)
{
	struct wire_info *info;

	if (reload && read_languages(pool, err) < 0)
		return -1;
	info = malloc(sizeof *info);
	if (!info)
		return error_set(err, ENOMEM, "out of memory");
	if (launch_query(pool->settings.run_directory, info, err) < 0) {
		free(info);
		return -1;
	}
	free(pool->info);
	pool->info = info;
	pool->info_us = clock_us();
	return 0;
}

int pool_ask_if_older(struct pool *pool, uint64_t max_age_us, struct error *err)
{
	if (pool->info && clock_us() - pool->info_us <= max_age_us)
		return 0;
	return pool_ask(pool, false, err);
}

bool pool_agrees(const struct pool *pool)
{
	return pool->info && !memcmp(pool->info->table_hash, pool->table->hash,
				     sizeof pool->table->hash);
}

/* The places in sandboxd's list are those of its own table: they mean nothing when
 * ours is another one. */
const char *pool_image(const struct pool *pool, const struct language *language)
{
	size_t index = language_index(pool->table, language);
	uint8_t image;

	if (!pool_agrees(pool) || index >= pool->info->languages_count)
		return NULL;
	image = pool->info->language_image[index];
	return image == WIRE_IMAGE_NONE ? NULL : pool->info->images[image].name;
}

/* ---- answers ---- */

static void print_head(struct visit *visit, const struct answer_head *head)
{
	size_t i;

	request_head(visit->request, head->http_status, head->content_type);
	for (i = 0; i < head->lines_count; i++)
		request_head_line(visit->request, head->line[i].name, head->line[i].value);
	request_head_end(visit->request);
}

void visit_fail(struct visit *visit, const struct failure *failure)
{
	struct request *request = visit->request;
	struct page page = { .page_url = visit->pool->settings.page_url,
			     .echo = visit->echo,
			     .languages = visit->pool->table };
	struct sink sink = request_sink(request);
	struct answer_head head;

	snprintf(visit->line.failure, sizeof visit->line.failure, "%s", failure->code);
	failure_head_set(&head, visit->shape, visit->format, failure);
	print_head(visit, &head);
	failure_write(visit->shape, visit->format, failure, request->id, &page, &sink);
}

void visit_answer(struct visit *visit, const char *content_type, const char *text, size_t size)
{
	struct answer_head head = {
		.http_status = 200,
		.content_type = content_type,
		.line = { { "X-Content-Type-Options", "nosniff" }, { "Cache-Control", "no-cache" } },
		.lines_count = 2,
	};

	print_head(visit, &head);
	request_write(visit->request, text, size);
}
