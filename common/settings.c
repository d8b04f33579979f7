/* SPDX-License-Identifier: ISC */
/* Runs as: any user; as root only before any socket is open. */
#define _GNU_SOURCE
#include "common/settings.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"

#define AT(field) offsetof(struct settings, field)

const struct conf_key settings_keys[] = {
	{ "run-directory", CONF_PATH, AT(run_directory), SANDPOOL_RUN_DIR,
	  "Where the sockets are." },
	{ "state-directory", CONF_PATH, AT(state_directory), SANDPOOL_STATE_DIR,
	  "What must outlive a restart; one daemon at a time." },
	{ "language-directory", CONF_PATH, AT(language_directory), SANDPOOL_LANGUAGE_DIR,
	  "The language files." },
	{ "image-directory", CONF_PATH, AT(image_directory), SANDPOOL_IMAGE_DIR,
	  "The images, each a folder or a squashfs file." },
	{ "images", CONF_LIST, AT(images), "",
	  "More images, as name=/path/to/folder or name=/path/to/file.squashfs." },
	{ "worker-user", CONF_TEXT, AT(worker_user), "sandpool",
	  "The user of the FastCGI processes; the only one who may ask for boxes." },
	{ "peers", CONF_LIST, AT(peers), "",
	  "Further users who may ask for boxes, as www-data for CGI." },
	{ "socket-group", CONF_TEXT, AT(socket_group), "www-data",
	  "The group, nginx's, that may open the FastCGI sockets." },
	{ "box-ids", CONF_COUNT, AT(box_ids_first), "0x70000000",
	  "The first of two host user ids for each slot." },
	{ "slots", CONF_COUNT, AT(slots), "0",
	  "Programs at the same time; 0: two for each core, as memory allows." },
	{ "queue", CONF_COUNT, AT(queue), "0",
	  "Requests that may wait for a slot; 0: two for each slot." },
	{ "queue-max", CONF_MS, AT(queue_max_ms), "2s",
	  "How long a request waits for a slot before it is refused." },
	{ "api-workers", CONF_COUNT, AT(api_workers), "2",
	  "Processes that answer everything but runs." },
	{ "memory-budget", CONF_BYTES, AT(memory_budget_bytes), "0",
	  "Memory for all boxes together; 0: four fifths of the machine's." },
	{ "run", CONF_LIMITS, AT(policy.run), "", "Default limits of a run." },
	{ "compile", CONF_LIMITS, AT(policy.build), "", "Default limits of a compile stage." },
	{ "minimum", CONF_LIMITS, AT(policy.min), "", "The least that a request may ask for." },
	{ "maximum", CONF_LIMITS, AT(policy.max), "", "The most that a request may ask for." },
	{ "total", CONF_MS, AT(policy.total_ms), "60s", "Time of a whole request." },
	{ "total-max", CONF_MS, AT(policy.total_max_ms), "120s",
	  "The most that a request may ask for as total_ms." },
	{ "warm", CONF_BOOL, AT(warm), "true", "Keep a box ready in each slot." },
	{ "interpreters-ahead", CONF_BOOL, AT(interpreters_ahead), "true",
	  "In an idle box, start the interpreter of the language that was last used." },
	{ "compile-cache", CONF_BYTES, AT(compile_cache_bytes), "64MiB",
	  "Memory for the results of compile stages, shared by all slots; 0: none." },
	{ "strict-speculation", CONF_BOOL, AT(strict_speculation), "true",
	  "Force the speculation mitigations on in the boxes." },
	{ "network-namespace", CONF_TEXT, AT(network_namespace), "slot",
	  "\"slot\": one empty network namespace for each slot; \"fresh\": one for each run." },
	{ "network-namespace-runs", CONF_COUNT, AT(network_namespace_runs), "1000",
	  "Runs after which a slot's network namespace is made anew." },
	{ "cgroup-parent", CONF_TEXT, AT(cgroup_parent), "sandpool",
	  "Name of our control group, below the one that we were started in." },
	{ "cgroup-mode", CONF_TEXT, AT(cgroup_mode), "auto",
	  "\"auto\", or \"v1\" or \"v2\" where the host has both." },
	{ "allow-missing", CONF_LIST, AT(allow_missing), "",
	  "Controllers without which to start all the same: memory pids cpu." },
	{ "body-max", CONF_BYTES, AT(body_max_bytes), "1MiB",
	  "Largest request, other than multipart." },
	{ "multipart-max", CONF_BYTES, AT(multipart_max_bytes), "8MiB",
	  "Largest multipart request." },
	{ "answer-max", CONF_BYTES, AT(answer_max_bytes), "16MiB", "Largest answer." },
	{ "stall", CONF_MS, AT(stall_ms), "5s",
	  "A reader of a stream that takes nothing for so long is cut off." },
	{ "heartbeat", CONF_MS, AT(heartbeat_ms), "15s",
	  "A stream says something at least so often." },
	{ "drain", CONF_MS, AT(drain_ms), "130s",
	  "How long running requests may take to end at a reload or stop." },
	{ "worker-requests", CONF_COUNT, AT(worker_requests), "10000",
	  "Requests after which a worker process is replaced." },
	{ "keys-file", CONF_TEXT, AT(keys_file), "", "API keys, see sandpool-keys(5); empty: none." },
	{ "keys-required", CONF_BOOL, AT(keys_required), "false",
	  "Refuse requests without a key on every path, not only on /api/execute." },
	{ "allowed-origins", CONF_LIST, AT(allowed_origins), "",
	  "Other sites whose pages may post here, as https://example.org." },
	{ "page-url", CONF_TEXT, AT(page_url), "./",
	  "Where the result page of a plain form points back to." },
	{ NULL, 0, 0, NULL, NULL },
};

static uint64_t memory_bytes(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t default_slots(void)
{
	uint64_t cores = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t slots = 2 * cores, most = memory_bytes() >> 28;

	if (slots > most)
		slots = most;
	return slots < 2 ? 2 : slots;
}

static int check(struct settings *s, struct error *err)
{
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++) {
		const struct limit_field *f = &limit_fields[i];

		if (limit_get(&s->policy.min, f) < 1 ||
		    limit_get(&s->policy.min, f) > limit_get(&s->policy.max, f))
			return error_set(err, ERANGE, "minimum.%s must lie between 1 and the maximum",
					 f->key);
	}
	if (s->slots > 1024)
		return error_set(err, ERANGE, "slots: at most 1024");
	if (s->box_ids_first < 1000 || s->box_ids_first > UINT32_MAX - 4096)
		return error_set(err, ERANGE, "box-ids: out of range");
	if (strcmp(s->network_namespace, "slot") != 0 && strcmp(s->network_namespace, "fresh") != 0)
		return error_set(err, EINVAL, "network-namespace: \"slot\" or \"fresh\"");
	if (!s->cgroup_parent[0] || strchr(s->cgroup_parent, '/') || s->cgroup_parent[0] == '.')
		return error_set(err, EINVAL, "cgroup-parent: a name without \"/\"");
	if (strcmp(s->cgroup_mode, "auto") != 0 && strcmp(s->cgroup_mode, "v1") != 0 &&
	    strcmp(s->cgroup_mode, "v2") != 0)
		return error_set(err, EINVAL, "cgroup-mode: \"auto\", \"v1\" or \"v2\"");
	if (s->policy.total_ms > s->policy.total_max_ms)
		return error_set(err, ERANGE, "total: more than total-max");
	return 0;
}

int settings_load(const char *path, bool trusted_only, struct settings *ret_settings,
		  struct error *err)
{
	struct settings s = { .policy = limits_policy_default };

	if (!path && access(SANDPOOL_CONF_PATH, F_OK) == 0)
		path = SANDPOOL_CONF_PATH;
	if (conf_load(path, settings_keys, trusted_only, &s, err) < 0 || check(&s, err) < 0) {
		settings_free(&s);
		return -1;
	}
	if (s.slots == 0)
		s.slots = default_slots();
	if (s.queue == 0)
		s.queue = 2 * s.slots;
	if (s.memory_budget_bytes == 0)
		s.memory_budget_bytes = memory_bytes() / 5 * 4;
	*ret_settings = s;
	return 0;
}

void settings_free(struct settings *settings)
{
	conf_free(settings_keys, settings);
}
