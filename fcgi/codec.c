/* SPDX-License-Identifier: ISC */
/* Runs as: worker user. Pure. */
#include "fcgi/codec.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/number.h"
#include "fcgi/value.h"

void codec_init(void)
{
	json_object_seed(0);
}

/* ---- bytes and headers ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool bytes_are_nocase(struct bytes bytes, const char *text)
{
	size_t i;

	for (i = 0; i < bytes.size && text[i]; i++)
		if (lower(bytes.data[i]) != lower(text[i]))
			return false;
	return i == bytes.size && !text[i];
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct bytes trim(struct bytes text)
{
	while (text.size && is_blank(text.data[0])) {
		text.data++;
		text.size--;
	}
	while (text.size && is_blank(text.data[text.size - 1]))
		text.size--;
	return text;
}

/* Takes what lies before the next `end` off the front, and `end` with it. */
static struct bytes take_until(struct bytes *rest, char end)
{
	const char *found = rest->size ? memchr(rest->data, end, rest->size) : NULL;
	struct bytes piece = { rest->data, found ? (size_t)(found - rest->data) : rest->size };
	size_t taken = found ? piece.size + 1 : piece.size;

	rest->data += taken;
	rest->size -= taken;
	return trim(piece);
}

struct bytes header_value(const char *header, struct bytes *ret_rest)
{
	struct bytes rest = { header ? header : "", header ? strlen(header) : 0 }, value;

	value = take_until(&rest, ';');
	*ret_rest = rest;
	return value;
}

/* A quoted string, from behind its first quote; \" and \\ are unescaped, any other
 * backslash stands for itself (old browsers sent whole paths). */
static int take_quoted(struct bytes *rest, struct arena *arena, struct bytes *ret_value)
{
	char *copy = arena_alloc(arena, rest->size + 1, 1);
	size_t i, n = 0;

	if (!copy)
		return -1;
	for (i = 0; i < rest->size && rest->data[i] != '"'; i++) {
		if (rest->data[i] == '\\' && i + 1 < rest->size &&
		    (rest->data[i + 1] == '"' || rest->data[i + 1] == '\\'))
			i++;
		copy[n++] = rest->data[i];
	}
	if (i == rest->size)
		return -1;
	*ret_value = (struct bytes){ copy, n };
	rest->data += i + 1;
	rest->size -= i + 1;
	return take_until(rest, ';').size ? -1 : 0;
}

int header_parameter(struct bytes *rest, struct arena *arena, struct bytes *ret_name,
		     struct bytes *ret_value)
{
	size_t i;

	for (;;) {
		*rest = trim(*rest);
		if (!rest->size)
			return 0;
		if (rest->data[0] != ';')
			break;
		rest->data++;
		rest->size--;
	}
	for (i = 0; i < rest->size && rest->data[i] != '=' && rest->data[i] != ';';)
		i++;
	if (i == rest->size || rest->data[i] == ';') {
		*ret_name = take_until(rest, ';');
		*ret_value = (struct bytes){ "", 0 };
		return 1;
	}
	*ret_name = trim((struct bytes){ rest->data, i });
	rest->data += i + 1;
	rest->size -= i + 1;
	while (rest->size && is_blank(rest->data[0])) {
		rest->data++;
		rest->size--;
	}
	if (rest->size && rest->data[0] == '"') {
		rest->data++;
		rest->size--;
		return take_quoted(rest, arena, ret_value) < 0 ? -1 : 1;
	}
	*ret_value = take_until(rest, ';');
	return 1;
}

/* ---- requests ---- */

static const struct decoder {
	const char *media_type;
	int (*decode)(struct decoding *decoding, struct value *ret_value);
	bool is_multipart;
} decoders[] = {
	{ "application/json", decode_json, false },
	{ "application/msgpack", decode_msgpack, false },
	{ "application/x-msgpack", decode_msgpack, false },
	{ "application/vnd.msgpack", decode_msgpack, false },
	{ "application/x-www-form-urlencoded", decode_urlencoded, false },
	{ "multipart/form-data", decode_multipart, true },
};

static const struct decoder *find_decoder(const char *content_type)
{
	struct bytes rest, type = header_value(content_type, &rest);
	size_t i;

	for (i = 0; i < ARRAY_LEN(decoders); i++)
		if (bytes_are_nocase(type, decoders[i].media_type))
			return &decoders[i];
	return NULL;
}

/* Clients that forget the type, and pages that may only send text/plain. */
static bool is_bare_json(const struct codec_request *request)
{
	struct bytes rest, type = header_value(request->content_type, &rest);

	return (!type.size || bytes_are_nocase(type, "text/plain")) && request->body.size > 0 &&
	       request->body.data[0] == '{';
}

uint64_t codec_body_max(const char *content_type, uint64_t body_max_bytes,
			uint64_t multipart_max_bytes)
{
	const struct decoder *decoder = find_decoder(content_type);

	return decoder && decoder->is_multipart ? multipart_max_bytes : body_max_bytes;
}

int decode_no_room(struct decoding *decoding)
{
	return failure_set(decoding->failure, 413, NULL, NULL,
			   "The request needs more memory than one request may have.");
}

static int check_encoding(const struct codec_request *request, struct failure *failure)
{
	struct bytes rest, encoding = header_value(request->content_encoding, &rest);

	if (!encoding.size || bytes_are_nocase(encoding, "identity"))
		return 0;
	return failure_set(failure, 415, NULL, "Content-Encoding",
			   "Compressed requests are not understood: send the body as it is.");
}

int codec_decode(const struct codec_request *request, struct arena *arena, struct job *ret_job,
		 struct codec_echo *ret_echo, struct failure *ret_failure)
{
	struct decoding decoding = { request, arena, ret_failure };
	const struct decoder *decoder = find_decoder(request->content_type);
	struct value value = { 0 };
	uint64_t max;

	memset(ret_echo, 0, sizeof *ret_echo);
	if (check_encoding(request, ret_failure) < 0)
		return -1;
	if (!decoder && is_bare_json(request))
		decoder = &decoders[0];
	if (!decoder)
		return failure_set(ret_failure, 415, NULL, "Content-Type",
				   "Send application/json, application/msgpack, "
				   "application/x-www-form-urlencoded or multipart/form-data.");
	max = decoder->is_multipart ? request->multipart_max_bytes : request->body_max_bytes;
	if (request->body.size > max)
		return failure_set(ret_failure, 413, NULL, NULL,
				   "The body may have at most %" PRIu64 " bytes.", max);
	if (request->body.size == 0)
		return failure_set(ret_failure, 400, "malformed", "body", "The body is empty.");
	if (decoder->decode(&decoding, &value) < 0)
		return -1;
	return job_from_value(&decoding, &value, ret_job, ret_echo);
}

/* ---- limits ---- */

static void explain_limit(const struct limits_policy *policy, enum stage stage,
			  const struct limit_field *field, const struct codec_echo *echo,
			  struct failure *failure)
{
	uint64_t least = limit_get(&policy->min, field), most = limit_get(&policy->max, field);
	char name[sizeof failure->field];

	if (stage == STAGE_RUN && field->offset == offsetof(struct limits, wall_ms) &&
	    echo->timeout_unit_ms) {
		double unit_ms = echo->timeout_unit_ms;

		failure_set(failure, 400, "out_of_range", "timeout",
			    "timeout must be at least %.10g and at most %.10g %s.",
			    (double)least / unit_ms, (double)most / unit_ms,
			    echo->timeout_unit_ms == 1 ? "milliseconds" : "seconds");
		return;
	}
	snprintf(name, sizeof name, "limits.%s%s", stage == STAGE_BUILD ? "compile." : "",
		 field->name);
	failure_set(failure, 400, "out_of_range", name,
		    "%s must be at least %" PRIu64 " and at most %" PRIu64 ".", name, least,
		    most);
}

int codec_limits(const struct limits_policy *policy, const struct language *language,
		 const struct job *job, const struct codec_echo *echo, struct limits *ret_run,
		 struct limits *ret_build, uint64_t *ret_total_ms, struct failure *ret_failure)
{
	const struct {
		enum stage stage;
		const struct limits *language, *wanted;
		struct limits *ret;
	} stages[] = {
		{ STAGE_RUN, &language->run, &job->run, ret_run },
		{ STAGE_BUILD, &language->build, &job->build, ret_build },
	};
	const struct limit_field *bad = NULL;
	struct error err = ERROR_INIT;
	size_t i;

	for (i = 0; i < ARRAY_LEN(stages); i++) {
		if (job_resolve_limits(policy, stages[i].stage, stages[i].language,
				       stages[i].wanted, stages[i].ret, &bad, &err) == 0)
			continue;
		explain_limit(policy, stages[i].stage, bad ? bad : &limit_fields[0], echo,
			      ret_failure);
		return -1;
	}
	if (job->total_ms > policy->total_max_ms)
		return failure_set(ret_failure, 400, "out_of_range", "limits.total_ms",
				   "limits.total_ms must be at most %" PRIu64 ".",
				   policy->total_max_ms);
	*ret_total_ms = job->total_ms ? job->total_ms : policy->total_ms;
	return 0;
}

/* ---- Accept ---- */

static const struct {
	const char *media_type;
	enum answer_format format;
} answers[] = {
	{ "application/json", ANSWER_JSON },
	{ "application/msgpack", ANSWER_MSGPACK },
	{ "application/x-msgpack", ANSWER_MSGPACK },
	{ "application/vnd.msgpack", ANSWER_MSGPACK },
	{ "text/html", ANSWER_HTML },
	{ "text/plain", ANSWER_TEXT },
	{ "application/x-ndjson", ANSWER_NDJSON },
	{ "text/event-stream", ANSWER_SSE },
	{ "application/vnd.sandpool.stream+msgpack", ANSWER_MSGPACK_STREAM },
};

/* How well a range fits a media type: 0 not, 1 any type, 2 that kind, 3 exactly. */
static int range_fits(struct bytes range, const char *media_type)
{
	const char *slash = strchr(media_type, '/');
	size_t kind = (size_t)(slash - media_type) + 1;

	if (bytes_are(range, "*/*"))
		return 1;
	if (range.size == kind + 1 && range.data[kind] == '*' &&
	    strncasecmp(range.data, media_type, kind) == 0)
		return 2;
	return bytes_are_nocase(range, media_type) ? 3 : 0;
}

/* The q of one piece of an Accept header, in thousandths; 1000 when it is not
 * given, 0 when it is nonsense. */
static int range_quality(struct bytes parameters)
{
	while (parameters.size) {
		struct bytes one = take_until(&parameters, ';');
		double q;

		if (one.size < 2 || lower(one.data[0]) != 'q' || one.data[1] != '=')
			continue;
		one.data += 2;
		one.size -= 2;
		if (!number_parse(one, &q) || q < 0 || q > 1)
			return 0;
		return (int)(q * 1000 + 0.5);
	}
	return 1000;
}

struct preference {
	int fit, quality;
	size_t place;
};

static bool better(const struct preference *a, const struct preference *b)
{
	if (a->quality != b->quality)
		return a->quality > b->quality;
	if (a->fit != b->fit)
		return a->fit > b->fit;
	return a->place < b->place;
}

/* The range that speaks for one media type: the most exact one. */
static struct preference preference_of(const char *accept, const char *media_type)
{
	struct bytes rest = { accept, strlen(accept) };
	struct preference found = { 0, 0, 0 };
	size_t place;

	for (place = 0; rest.size; place++) {
		struct bytes parameters = take_until(&rest, ',');
		struct bytes range = take_until(&parameters, ';');
		int fit = range_fits(range, media_type);

		if (fit > found.fit)
			found = (struct preference){ fit, range_quality(parameters), place };
	}
	return found;
}

int codec_accept(const char *accept, enum answer_format *ret_format)
{
	struct preference best = { 0, 0, 0 };
	bool found = false;
	size_t i;

	if (!accept || !accept[strspn(accept, " \t")]) {
		*ret_format = ANSWER_JSON;
		return 0;
	}
	for (i = 0; i < ARRAY_LEN(answers); i++) {
		struct preference p = preference_of(accept, answers[i].media_type);

		if (!p.quality || (found && !better(&p, &best)))
			continue;
		best = p;
		found = true;
		*ret_format = answers[i].format;
	}
	return found ? 0 : -1;
}
