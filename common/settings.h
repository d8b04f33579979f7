/* SPDX-License-Identifier: ISC */
/* The one configuration file, sandpool.conf(5), for all programs: each reads
 * the keys that concern it. settings_keys is the one table of them. */
#ifndef SANDPOOL_SETTINGS_H
#define SANDPOOL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/conf.h"
#include "common/error.h"
#include "common/job.h"

struct settings {
	/* places */
	char *run_directory, *state_directory, *language_directory, *image_directory;
	/* who */
	char *worker_user, *socket_group;
	char **peers;
	uint64_t box_ids_first;
	/* how much */
	uint64_t slots, queue, queue_max_ms, api_workers;
	uint64_t memory_budget_bytes;
	struct limits_policy policy;
	/* the box */
	bool warm, interpreters_ahead, strict_speculation;
	uint64_t compile_cache_bytes;
	char *network_namespace;
	uint64_t network_namespace_runs;
	char *cgroup_parent, *cgroup_mode;
	char **allow_missing, **images;
	/* the front */
	uint64_t body_max_bytes, multipart_max_bytes, answer_max_bytes;
	uint64_t stall_ms, heartbeat_ms, drain_ms, worker_requests;
	char *keys_file;
	bool keys_required;
	char **allowed_origins;
	char *page_url;
};

extern const struct conf_key settings_keys[];

/* SANDPOOL_CONF_PATH when path is NULL and that file exists, else the presets.
 * Resolves slots = 0 (2 x cores, at least 2, at most RAM / 256 MiB) and
 * memory_budget = 0 (80 % of RAM), and checks that the bounds make sense. */
int settings_load(const char *path, bool trusted_only, struct settings *ret_settings,
		  struct error *err);
void settings_free(struct settings *settings);

#endif
