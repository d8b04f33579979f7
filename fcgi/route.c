/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. */
#define _GNU_SOURCE
#include "fcgi/route.h"

#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "common/log.h"
#include "fcgi/api.h"
#include "fcgi/execute.h"
#include "fcgi/origin.h"
#include "fcgi/run.h"

#define GET_BODY_MAX 65536

enum method { METHOD_GET = 1, METHOD_POST = 2 }; /* HEAD goes with GET */

/* When a key must be shown; one that is shown is always looked at. */
enum key_rule {
	KEY_NEVER,	 /* for monitors */
	KEY_IF_REQUIRED, /* where keys-required is set */
	KEY_ALWAYS	 /* where keys are configured at all */
};

static const struct route {
	const char *path;
	enum method method;
	enum key_rule key;
	enum codec_shape shape; /* of its errors */
	bool runs;		/* programs: origins count */
	bool shared;		/* lives from what all workers share: not there in CGI */
	void (*handle)(struct visit *visit);
} routes[] = {
	{ "/run", METHOD_POST, KEY_IF_REQUIRED, SHAPE_RUN, true, false, run_handle },
	{ "/api/execute", METHOD_POST, KEY_ALWAYS, SHAPE_EXECUTE, true, false, execute_handle },
	{ "/api/languages", METHOD_GET, KEY_IF_REQUIRED, SHAPE_RUN, false, false, api_languages },
	{ "/api/system", METHOD_GET, KEY_IF_REQUIRED, SHAPE_RUN, false, false, api_system },
	{ "/health", METHOD_GET, KEY_NEVER, SHAPE_RUN, false, false, api_health },
	{ "/ready", METHOD_GET, KEY_NEVER, SHAPE_RUN, false, false, api_ready },
	{ "/metrics", METHOD_GET, KEY_NEVER, SHAPE_RUN, false, true, api_metrics },
};

const char *const *route_paths(void)
{
	static const char *paths[ARRAY_LEN(routes) + 2];
	size_t i;

	for (i = 0; i < ARRAY_LEN(routes); i++)
		paths[i] = routes[i].path;
	paths[i] = "other";
	return paths;
}

/* What stands before the route's own path must itself be a plain path: nothing that
 * could have meant something else to somebody on the way. */
static bool prefix_plain(const char *path, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		char c = path[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			      (c >= '0' && c <= '9');

		if (!letter && !strchr("/_-~.", c))
			return false;
		if (c == '/' && i + 1 < size && (path[i + 1] == '/' || path[i + 1] == '.'))
			return false;
	}
	return size == 0 || (path[0] == '/' && path[size - 1] != '/');
}

static const struct route *route_find(const char *path)
{
	size_t size = strlen(path), i;

	for (i = 0; i < ARRAY_LEN(routes); i++) {
		size_t own = strlen(routes[i].path);

		if (size >= own && !strcmp(path + size - own, routes[i].path) &&
		    prefix_plain(path, size - own))
			return &routes[i];
	}
	return NULL;
}

static bool method_fits(const struct route *route, const char *method)
{
	if (route->method == METHOD_POST)
		return !strcmp(method, "POST");
	return !strcmp(method, "GET") || !strcmp(method, "HEAD");
}

static int check_method(const struct route *route, const struct request *request,
			struct failure *ret_failure)
{
	if (method_fits(route, request->method))
		return 0;
	failure_set(ret_failure, 405, NULL, NULL, "this path takes %s",
		    route->method == METHOD_POST ? "POST" : "GET");
	ret_failure->allow = route->method == METHOD_POST ? "POST" : "GET, HEAD";
	return -1;
}

static int check_origin(const struct route *route, const struct visit *visit,
			struct failure *ret_failure)
{
	const struct request *r = visit->request;
	struct origin from = { request_param(r, "HTTP_SEC_FETCH_SITE"),
			       request_param(r, "HTTP_ORIGIN"), request_param(r, "HTTP_HOST"),
			       request_param(r, "SERVER_PORT") };

	if (!route->runs || origin_allowed(&from, visit->pool->settings.allowed_origins))
		return 0;
	return failure_set(ret_failure, 403, "origin", NULL,
			   "pages of that site may not run programs here");
}

/* A CGI process has nobody who reads the keys for it. */
static int find_key_by_cgi(struct pool *pool, const char *shown, struct key *ret_key)
{
	struct error err = ERROR_INIT;
	const struct key *found;

	if (keys_load(pool->settings.keys_file, &pool->keys, &err) < 0) {
		log_event(LOG_ERROR, "keys: %s", err.text);
		return -1;
	}
	found = keys_find(&pool->keys, shown);
	if (!found)
		return 0;
	*ret_key = *found;
	return 1;
}

static int find_key_in_pool(const struct pool *pool, const char *shown, struct key *ret_key)
{
	keys_shared_await(&pool->keys_shared, pool->settings.keys_file);
	return keys_shared_find(&pool->keys_shared, shown, ret_key);
}

static int find_key(struct visit *visit, const char *shown, struct failure *ret_failure)
{
	struct pool *pool = visit->pool;
	int rc = pool->cgi ? find_key_by_cgi(pool, shown, &visit->found)
			   : find_key_in_pool(pool, shown, &visit->found);

	if (rc < 0)
		return failure_set(ret_failure, 500, NULL, NULL, "the keys cannot be read");
	if (rc == 0)
		return failure_set(ret_failure, 401, NULL, NULL, "the API key is not known");
	visit->key = &visit->found;
	return 0;
}

static int check_key(const struct route *route, struct visit *visit, struct failure *ret_failure)
{
	struct pool *pool = visit->pool;
	const char *shown = request_param(visit->request, "HTTP_X_API_KEY");
	bool needed = route->key == KEY_ALWAYS ||
		      (route->key == KEY_IF_REQUIRED && pool->settings.keys_required);

	if (!pool->settings.keys_file[0] || route->key == KEY_NEVER)
		return 0;
	if (!shown || !*shown)
		return needed ? failure_set(ret_failure, 401, NULL, NULL,
					    "this needs an API key in X-API-Key")
			      : 0;
	if (find_key(visit, shown, ret_failure) < 0)
		return -1;
	visit->line.key_name = visit->key->name;
	if (!key_allows(visit->key, route->path))
		return failure_set(ret_failure, 403, NULL, NULL,
				   "this API key is not for this path");
	return 0;
}

static int check_all(const struct route *route, struct visit *visit, struct failure *ret_failure)
{
	if (!route || (route->shared && visit->pool->cgi))
		return failure_set(ret_failure, 404, NULL, NULL, "there is nothing at this path");
	if (check_method(route, visit->request, ret_failure) < 0 ||
	    check_origin(route, visit, ret_failure) < 0 ||
	    check_key(route, visit, ret_failure) < 0)
		return -1;
	return 0;
}

/* Who answers a GET has no use for its body, but it must have arrived. */
static int skip_body(const struct route *route, struct request *request,
		     struct failure *ret_failure)
{
	return route->method == METHOD_GET ? request_read_body(request, GET_BODY_MAX, ret_failure)
					   : 0;
}

static void count(struct visit *visit, const struct route *route)
{
	const struct request *r = visit->request;
	struct metrics *m = visit->pool->metrics;
	static uint64_t dropped;

	if (!m)
		return;
	metrics_answer(m, route ? (size_t)(route - routes) : ARRAY_LEN(routes), r->http_status);
	metrics_add(m, COUNT_BYTES_IN, r->bytes_in);
	metrics_add(m, COUNT_BYTES_OUT, r->bytes_out);
	metrics_add(m, COUNT_LOG_DROPPED, log_dropped() - dropped);
	dropped = log_dropped();
}

void route_request(struct pool *pool, struct request *request)
{
	const struct route *route = route_find(request->path);
	struct visit visit = { .pool = pool, .request = request };
	struct failure failure = { 0 };

	if (route) {
		visit.shape = route->shape;
		/* an error that comes before the body is read has the form, too */
		codec_accept(request_param(request, "HTTP_ACCEPT"), &visit.format);
	}
	if (check_all(route, &visit, &failure) < 0 || skip_body(route, request, &failure) < 0)
		visit_fail(&visit, &failure);
	else
		route->handle(&visit);
	request_end(request);
	access_log(request, &visit.line);
	count(&visit, route);
}
