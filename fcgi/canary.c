/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/canary.h"

#include <errno.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/launch.h"

#define STALE_US	1000000	 /* what sandboxd said of its images may have changed */

static const struct language *canary_language(const struct pool *pool)
{
	static const char *const wanted[] = { "sh", "bash", "python3", "perl", "c" };
	const struct language *language;
	size_t i;

	for (i = 0; i < ARRAY_LEN(wanted); i++) {
		language = language_find(pool->table, wanted[i]);
		if (language && language->argv[STAGE_BUILD].count == 0 &&
		    pool_image(pool, language))
			return language;
	}
	for (i = 0; i < pool->table->count; i++)
		if (pool->table->language[i].argv[STAGE_BUILD].count == 0 &&
		    pool_image(pool, &pool->table->language[i]))
			return &pool->table->language[i];
	return NULL;
}

static enum launch_end launch_canary(struct pool *pool, const struct language *language,
				     struct launch_result *result, struct error *err)
{
	static const struct limits none;
	const char *code = language->example.code ? language->example.code : "";
	const char *input = language->example.input ? language->example.input : "";
	struct launch launch = LAUNCH_INIT;
	struct job_file file = { { language->file, strlen(language->file) },
				 { code, strlen(code) } };
	struct launch_stage stage = {
		.id = "",
		.language = language->id,
		.table_hash = pool->table->hash,
		.stage = STAGE_RUN,
		.files = &file,
		.files_count = 1,
		.input = { input, strlen(input) },
		.wait_us = pool->settings.queue_max_ms * 1000,
		.client_fd = -1,
	};
	enum launch_end end;

	if (job_resolve_limits(&pool->settings.policy, STAGE_RUN, &language->run, &none,
			       &stage.limits, NULL, err) < 0)
		return LAUNCH_REFUSED;
	stage.reserve_bytes = stage.limits.memory_bytes;
	end = launch_run(&launch, pool->settings.run_directory, pool_image(pool, language), &stage,
			 result, err);
	launch_close(&launch);
	return end;
}

enum canary run_canary(struct pool *pool, struct error *err)
{
	const struct language *language;
	struct launch_result result = { 0 };
	enum launch_end end = LAUNCH_RELOAD;
	bool good;
	int tries;

	if (pool_ask_if_older(pool, STALE_US, err) < 0)
		return CANARY_BAD;
	for (tries = 0; tries < 2 && end == LAUNCH_RELOAD; tries++) {
		if (tries > 0 && pool_ask(pool, true, err) < 0)
			return CANARY_BAD;
		language = canary_language(pool);
		if (!language) {
			error_set(err, ENOENT, "no language to try");
			return CANARY_BAD;
		}
		launch_result_free(&result);
		end = launch_canary(pool, language, &result, err);
	}
	good = end == LAUNCH_DONE && result.verdict.exited && result.verdict.exit_code == 0 &&
	       result.verdict.exec_errno == 0;
	if (end == LAUNCH_DONE && !good)
		error_set(err, EIO, "the canary program failed");
	launch_result_free(&result);
	return good ? CANARY_GOOD : end == LAUNCH_BUSY ? CANARY_FULL : CANARY_BAD;
}
