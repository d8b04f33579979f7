/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "config.h"

#include "fcgi/api.h"

#include <errno.h>
#include <jansson.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "common/io.h"
#include "common/log.h"
#include "fcgi/canary.h"
#include "fcgi/route.h"

#define JSON_TYPE     "application/json"
#define ASK_AGAIN_US  1000000
#define READY_FOR_MS  30000
#define ETAG_SIZE     35 /* quotes, 32 hex digits, NUL */

/* ---- JSON out ---- */

static char *dump(json_t *value)
{
	char *text = value ? json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;

	json_decref(value);
	return text;
}

static void fail_plain(struct visit *visit, int status, const char *code, unsigned retry_after_s,
		       const char *message)
{
	struct failure failure = { 0 };

	failure_set(&failure, status, code, NULL, "%s", message);
	failure.retry_after_s = retry_after_s;
	visit_fail(visit, &failure);
}

/* Takes the value. */
static void answer_json(struct visit *visit, json_t *value)
{
	cleanup_free char *text = dump(value);

	if (!text)
		fail_plain(visit, 500, NULL, 0, "out of memory");
	else
		visit_answer(visit, JSON_TYPE, text, strlen(text));
}

static json_t *limits_json(const struct limits *limits)
{
	json_t *object = json_object();
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++)
		json_object_set_new(object, limit_fields[i].name,
				    json_integer((json_int_t)limit_get(limits, &limit_fields[i])));
	return object;
}

/* ---- /api/languages ---- */

static json_t *texts_json(const struct argv_list *list)
{
	json_t *array = json_array();
	size_t i;

	for (i = 0; i < list->count; i++)
		json_array_append_new(array, json_string(list->word[i]));
	return array;
}

static json_t *language_limits(const struct limits_policy *policy, const struct language *language)
{
	static const struct limits none;
	struct limits limits;
	json_t *object;

	if (job_resolve_limits(policy, STAGE_RUN, &language->run, &none, &limits, NULL, NULL) < 0)
		return json_null();
	object = limits_json(&limits);
	if (language->argv[STAGE_BUILD].count > 0 &&
	    job_resolve_limits(policy, STAGE_BUILD, &language->build, &none, &limits, NULL,
			       NULL) == 0)
		json_object_set_new(object, "compile", limits_json(&limits));
	return object;
}

static json_t *language_json(const struct pool *pool, const struct language *language)
{
	const char *dot = strrchr(language->file, '.');
	char version[VERSIONS_TEXT] = "";

	if (pool->versions)
		versions_get(pool->versions, language->id, version);
	return json_pack("{s:s, s:s, s:o, s:o, s:s, s:{s:s, s:s, s:s}, s:o, s:s}", "id",
			 language->id, "name", language->name, "aliases",
			 texts_json(&language->aliases), "version",
			 version[0] ? json_string(version) : json_null(), "extension",
			 dot ? dot + 1 : "", "example", "code",
			 language->example.code ? language->example.code : "", "input",
			 language->example.input ? language->example.input : "", "output",
			 language->example.output ? language->example.output : "", "limits",
			 language_limits(&pool->settings.policy, language), "editor",
			 language->editor);
}

/* Only what can really run here is in the list. */
static json_t *languages_json(const struct pool *pool)
{
	json_t *list = json_array();
	size_t i;

	for (i = 0; i < pool->table->count; i++)
		if (pool_image(pool, &pool->table->language[i]))
			json_array_append_new(list,
					      language_json(pool, &pool->table->language[i]));
	return list;
}

static void make_etag(const char *text, char etag[ETAG_SIZE])
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	SHA2_CTX context;
	size_t i;

	SHA256Init(&context);
	SHA256Update(&context, (const uint8_t *)text, strlen(text));
	SHA256Final(hash, &context);
	etag[0] = '"';
	for (i = 0; i < 16; i++)
		snprintf(etag + 1 + 2 * i, 3, "%02x", hash[i]);
	etag[33] = '"';
	etag[34] = '\0';
}

/* "*", or a list with our tag in it; a weak one is as good here. */
static bool etag_matches(const char *header, const char *etag)
{
	return header && (!strcmp(header, "*") || strstr(header, etag));
}

static int know_languages(struct pool *pool, struct error *err)
{
	if (pool_ask_if_older(pool, ASK_AGAIN_US, err) < 0)
		return -1;
	if (pool_agrees(pool) || pool_ask(pool, true, err) < 0)
		return pool_agrees(pool) ? 0 : -1;
	return pool_agrees(pool) ? 0
				 : error_set(err, EAGAIN,
					     "sandboxd has other languages than we read");
}

void api_languages(struct visit *visit)
{
	cleanup_free char *text = NULL;
	struct error err = ERROR_INIT;
	char etag[ETAG_SIZE];
	bool same;

	if (know_languages(visit->pool, &err) < 0) {
		log_event(LOG_ERROR, "%s: %s", visit->request->id, err.text);
		fail_plain(visit, 503, "unavailable", 2, "the sandbox is not there; try again");
		return;
	}
	text = dump(languages_json(visit->pool));
	if (!text) {
		fail_plain(visit, 500, NULL, 0, "out of memory");
		return;
	}
	make_etag(text, etag);
	same = etag_matches(request_param(visit->request, "HTTP_IF_NONE_MATCH"), etag);
	request_head(visit->request, same ? 304 : 200, same ? NULL : JSON_TYPE);
	request_head_line(visit->request, "ETag", etag);
	request_head_line(visit->request, "Cache-Control", "no-cache");
	request_head_line(visit->request, "X-Content-Type-Options", "nosniff");
	request_head_end(visit->request);
	if (!same)
		request_write(visit->request, text, strlen(text));
}

/* ---- /api/system ---- */

static json_t *enforced_json(const struct wire_info *info)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} bits[] = { { ENFORCED_MEMORY, "memory" },
		     { ENFORCED_PROCESSES, "processes" },
		     { ENFORCED_CPU, "cpu" },
		     { ENFORCED_SWAP, "swap" } };
	json_t *object = json_object();
	size_t i;

	for (i = 0; i < ARRAY_LEN(bits); i++)
		json_object_set_new(object, bits[i].name, json_boolean(info->enforced & bits[i].bit));
	return object;
}

static json_t *images_json(const struct wire_info *info)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < info->images_count; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "name", info->images[i].name,
						      "manifest", info->images[i].manifest));
	return list;
}

static const char *cgroup_name(uint32_t mode)
{
	static const char *const names[] = {
		[LAYOUT_V2] = "v2", [LAYOUT_HYBRID] = "hybrid", [LAYOUT_V1] = "v1"
	};

	return mode < ARRAY_LEN(names) && names[mode] ? names[mode] : "unknown";
}

static json_t *all_limits_json(const struct settings *s)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:{s:I, s:I}, s:I, s:I, s:I, s:i, s:i}", "run",
			 limits_json(&s->policy.run), "compile", limits_json(&s->policy.build),
			 "minimum", limits_json(&s->policy.min), "maximum",
			 limits_json(&s->policy.max), "total_ms", "default",
			 (json_int_t)s->policy.total_ms, "maximum",
			 (json_int_t)s->policy.total_max_ms, "body_bytes",
			 (json_int_t)s->body_max_bytes, "multipart_bytes",
			 (json_int_t)s->multipart_max_bytes, "answer_bytes",
			 (json_int_t)s->answer_max_bytes, "files", JOB_FILES_MAX, "tests",
			 JOB_TESTS_MAX);
}

void api_system(struct visit *visit)
{
	const struct settings *settings = &visit->pool->settings;
	const struct wire_info *info;
	struct error err = ERROR_INIT;
	struct utsname host;

	if (pool_ask_if_older(visit->pool, ASK_AGAIN_US, &err) < 0) {
		log_event(LOG_ERROR, "%s: %s", visit->request->id, err.text);
		fail_plain(visit, 503, "unavailable", 2, "the sandbox is not there; try again");
		return;
	}
	info = visit->pool->info;
	if (uname(&host) < 0)
		memset(&host, 0, sizeof host);
	answer_json(visit,
		    json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:s, s:I, s:o, s:o, s:o}", "version",
			      PACKAGE_VERSION, "sandboxd", info->version, "slots",
			      (int)info->slots, "queue", (json_int_t)settings->queue, "cgroup",
			      cgroup_name(info->cgroup_mode), "kernel", host.release, "machine",
			      host.machine, "memory_bytes", (json_int_t)info->memory_budget_bytes,
			      "enforced", enforced_json(info), "images", images_json(info),
			      "limits", all_limits_json(settings)));
}

/* ---- /health, /ready, /metrics ---- */

void api_health(struct visit *visit)
{
	struct metrics_glance glance = { 0 };
	struct pool *pool = visit->pool;
	const uint64_t *run;

	if (pool->metrics)
		metrics_glance(pool->metrics, &glance);
	run = glance.workers[WORKER_RUN];
	answer_json(visit,
		    json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "status", "ok",
			      "version", PACKAGE_VERSION, "slots",
			      (json_int_t)pool->settings.slots, "running",
			      (json_int_t)run[WORKER_RUNNING], "queued",
			      (json_int_t)run[WORKER_WAITING], "busy",
			      (json_int_t)(run[WORKER_BUSY] + run[WORKER_WAITING] +
					   run[WORKER_RUNNING]),
			      "workers",
			      (json_int_t)(run[WORKER_IDLE] + run[WORKER_BUSY] +
					   run[WORKER_WAITING] + run[WORKER_RUNNING]),
			      "runs", (json_int_t)glance.runs, "uptime_s",
			      (double)glance.uptime_ms / 1e3));
}

/* Every slot taken by somebody's program: busy is not broken. */
static bool pool_full(const struct pool *pool)
{
	struct metrics_glance glance;

	if (!pool->metrics)
		return false;
	metrics_glance(pool->metrics, &glance);
	return glance.workers[WORKER_RUN][WORKER_RUNNING] >=
	       (pool->info ? pool->info->slots : pool->settings.slots);
}

static bool run_now(struct pool *pool)
{
	struct error err = ERROR_INIT;
	enum canary canary = run_canary(pool, &err);

	if (canary == CANARY_BAD)
		log_event(LOG_ERROR, "canary: %s", err.text);
	if (canary == CANARY_GOOD && pool->metrics)
		metrics_ran_well(pool->metrics);
	return canary == CANARY_GOOD || (canary == CANARY_FULL && pool_full(pool));
}

static bool is_ready(struct pool *pool)
{
	bool good;

	if (!pool->metrics)
		return run_now(pool);
	if (metrics_ran_well_ago_ms(pool->metrics) <= READY_FOR_MS || pool_full(pool))
		return true;
	if (!metrics_canary_begin(pool->metrics, &good))
		return good;
	good = run_now(pool);
	metrics_canary_end(pool->metrics, good);
	return good;
}

void api_ready(struct visit *visit)
{
	if (is_ready(visit->pool))
		answer_json(visit, json_pack("{s:s}", "status", "ready"));
	else
		fail_plain(visit, 503, "unavailable", 1, "no program could be run");
}

void api_metrics(struct visit *visit)
{
	struct sink sink = request_sink(visit->request);
	struct metrics_names names = {
		.version = PACKAGE_VERSION,
		.routes = route_paths(),
		.versions = visit->pool->versions,
		.slots = visit->pool->settings.slots,
	};

	visit_answer(visit, "text/plain; version=0.0.4; charset=utf-8", "", 0);
	metrics_write(visit->pool->metrics, &names, &sink);
}
