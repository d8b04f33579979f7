/* SPDX-License-Identifier: ISC */
#include "common/wire.h"

#include <string.h>

#include "common/io.h"
#include "tests/tap.h"

union message {
	struct wire_head head;
	struct wire_run run;
	struct wire_taken taken;
	struct wire_stop stop;
	struct wire_verdict verdict;
	struct wire_refused refused;
	struct wire_info info;
	char bytes[sizeof(struct wire_info) + 64];
};

static const struct {
	enum wire_type type;
	size_t size;
	const char *name;
} messages[] = {
        {WIRE_RUN, sizeof(struct wire_run), "run"},
        {WIRE_TAKEN, sizeof(struct wire_taken), "taken"},
        {WIRE_VERDICT, sizeof(struct wire_verdict), "verdict"},
        {WIRE_REFUSED, sizeof(struct wire_refused), "refused"},
        {WIRE_STOP, sizeof(struct wire_stop), "stop"},
        {WIRE_QUERY, sizeof(struct wire_head), "query"},
        {WIRE_INFO, sizeof(struct wire_info), "info"},
};

/* A message of which every field is good. */
static size_t fill(union message *m, enum wire_type type)
{
	size_t size = 0, i;

	memset(m, 0, sizeof *m);
	for (i = 0; i < ARRAY_LEN(messages); i++)
		if (messages[i].type == type)
			size = messages[i].size;
	wire_head_set(&m->head, type, size);
	if (type == WIRE_RUN) {
		strcpy(m->run.id, "0123456789abcdef0123456789abcdef");
		strcpy(m->run.language, "python3");
		m->run.stage = STAGE_RUN;
		m->run.limits = limits_policy_default.run;
		m->run.files_count = 1;
	} else if (type == WIRE_REFUSED) {
		m->refused.reason = REFUSED_BUSY;
	} else if (type == WIRE_STOP) {
		m->stop.cause = CAUSE_WALL;
	} else if (type == WIRE_INFO) {
		strcpy(m->info.version, "1.0");
		m->info.cgroup_mode = LAYOUT_HYBRID;
		m->info.images_count = 1;
		strcpy(m->info.images[0].name, "host");
		m->info.languages_count = 2;
		m->info.language_image[1] = WIRE_IMAGE_NONE;
	}
	return size;
}

/* One field of a good message changed; why NULL: still good. */
#define FIELD(type, member)                                                                    \
	offsetof(struct wire_##type, member), sizeof(((struct wire_##type *)NULL)->member)
static const struct {
	enum wire_type type;
	const char *name;
	size_t offset, size;
	uint64_t value;
	const char *why;
} rows[] = {
        {WIRE_TAKEN, "another magic", FIELD(head, magic), WIRE_MAGIC + 1, "magic"},
        {WIRE_TAKEN, "an older version", FIELD(head, version), WIRE_VERSION - 1, "version"},
        {WIRE_TAKEN, "a newer version", FIELD(head, version), WIRE_VERSION + 1, "version"},
        {WIRE_TAKEN, "another type", FIELD(head, type), WIRE_RUN, "expected"},
        {WIRE_TAKEN, "no type", FIELD(head, type), 0, "expected"},
        {WIRE_TAKEN, "a size that is too small", FIELD(head, size), 8, "bytes"},
        {WIRE_TAKEN, "a size that is too large", FIELD(head, size), 0xffffffffu, "bytes"},
        {WIRE_TAKEN, "a head that is not zero at its end", FIELD(head, zero), 1, "version"},

        {WIRE_RUN, "a stage: build", FIELD(run, stage), STAGE_BUILD, NULL},
        {WIRE_RUN, "a stage: version", FIELD(run, stage), STAGE_VERSION, NULL},
        {WIRE_RUN, "no such stage", FIELD(run, stage), STAGE_COUNT, "stage"},
        {WIRE_RUN, "a stage far beyond", FIELD(run, stage), 0xffffffffu, "stage"},
        {WIRE_RUN, "more to come", FIELD(run, flags), WIRE_MORE, NULL},
        {WIRE_RUN, "on a tree", FIELD(run, flags), WIRE_ON_TREE | WIRE_MORE, NULL},
        {WIRE_RUN, "on a quiet tree", FIELD(run, flags), WIRE_ON_TREE | WIRE_QUIET, NULL},
        {WIRE_RUN, "quiet without a tree", FIELD(run, flags), WIRE_QUIET, "quiet"},
        {WIRE_RUN, "a run that keeps a tree", FIELD(run, flags), WIRE_KEEP_TREE, "build"},
        {WIRE_RUN, "a flag that nobody knows", FIELD(run, flags), 0x80000000u, "flags"},
        {WIRE_RUN, "the most files", FIELD(run, files_count), JOB_FILES_MAX, NULL},
        {WIRE_RUN, "too many files", FIELD(run, files_count), JOB_FILES_MAX + 1, "counts"},
        {WIRE_RUN, "files beyond count", FIELD(run, files_count), 0xffffffffu, "counts"},
        {WIRE_RUN, "too many to collect", FIELD(run, collect_count), JOB_FILES_MAX + 1,
         "counts"},
        {WIRE_RUN, "the most options", FIELD(run, options_count), JOB_WORDS_MAX, NULL},
        {WIRE_RUN, "too many options", FIELD(run, options_count), JOB_WORDS_MAX + 1, "counts"},
        {WIRE_RUN, "too many arguments", FIELD(run, arguments_count), JOB_WORDS_MAX + 1,
         "counts"},
        {WIRE_RUN, "the largest payload", FIELD(run, payload_bytes), WIRE_PAYLOAD_MAX, NULL},
        {WIRE_RUN, "too large a payload", FIELD(run, payload_bytes), WIRE_PAYLOAD_MAX + 1,
         "payload"},
        {WIRE_RUN, "padding that says something", offsetof(struct wire_run, zero) + 5, 1, 1,
         "padding"},
        {WIRE_RUN, "no language", FIELD(run, language[0]), 0, "language"},
        {WIRE_RUN, "a language with a slash", FIELD(run, language[0]), '/', "language"},
        {WIRE_RUN, "an id of capitals", FIELD(run, id[0]), 'A', "id"},
        {WIRE_RUN, "an id with a line break", FIELD(run, id[3]), '\n', "id"},
        {WIRE_RUN, "an id without an end", FIELD(run, id[32]), 'a', "id"},
        {WIRE_RUN, "an empty id", FIELD(run, id[0]), 0, NULL},

        {WIRE_VERDICT, "the last cause", FIELD(verdict, cause), CAUSE_COUNT - 1, NULL},
        {WIRE_VERDICT, "no such cause", FIELD(verdict, cause), CAUSE_COUNT, "verdict"},
        {WIRE_VERDICT, "exited: yes", FIELD(verdict, exited), 1, NULL},
        {WIRE_VERDICT, "exited: 2", FIELD(verdict, exited), 2, "verdict"},
        {WIRE_VERDICT, "exited: -1", FIELD(verdict, exited), 0xffffffffu, "verdict"},
        {WIRE_VERDICT, "cached: yes", FIELD(verdict, cached), 1, NULL},
        {WIRE_VERDICT, "cached: 2", FIELD(verdict, cached), 2, "verdict"},

        {WIRE_STOP, "for its output", FIELD(stop, cause), CAUSE_OUTPUT, NULL},
        {WIRE_STOP, "for nothing", FIELD(stop, cause), CAUSE_NONE, "stop"},
        {WIRE_STOP, "for its memory", FIELD(stop, cause), CAUSE_MEMORY, "stop"},
        {WIRE_STOP, "for no such cause", FIELD(stop, cause), CAUSE_COUNT, "stop"},
        {WIRE_STOP, "not zero at its end", FIELD(stop, zero), 1, "stop"},

        {WIRE_REFUSED, "the first reason", FIELD(refused, reason), REFUSED_PROTOCOL, NULL},
        {WIRE_REFUSED, "the last reason", FIELD(refused, reason), REFUSED_INTERNAL, NULL},
        {WIRE_REFUSED, "no reason", FIELD(refused, reason), 0, "reason"},
        {WIRE_REFUSED, "no such reason", FIELD(refused, reason), REFUSED_INTERNAL + 1,
         "reason"},
        {WIRE_REFUSED, "not zero at its end", FIELD(refused, zero), 1, "reason"},

        {WIRE_INFO, "no layout", FIELD(info, cgroup_mode), 0, "info"},
        {WIRE_INFO, "no such layout", FIELD(info, cgroup_mode), LAYOUT_V1 + 1, "info"},
        {WIRE_INFO, "the most images", FIELD(info, images_count), WIRE_IMAGES_MAX, NULL},
        {WIRE_INFO, "too many images", FIELD(info, images_count), WIRE_IMAGES_MAX + 1, "info"},
        {WIRE_INFO, "the most languages", FIELD(info, languages_count), WIRE_LANGUAGES_MAX,
         NULL},
        {WIRE_INFO, "too many languages", FIELD(info, languages_count), WIRE_LANGUAGES_MAX + 1,
         "info"},
        {WIRE_INFO, "a language in an image beyond", FIELD(info, language_image[0]), 1,
         "language 0"},
        {WIRE_INFO, "a language beyond the count", FIELD(info, language_image[2]), 7, NULL},
};

static void check_fields(void)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		struct error err = ERROR_INIT;
		union message m;
		size_t size = fill(&m, rows[i].type);
		int rc;

		memcpy(m.bytes + rows[i].offset, &rows[i].value, rows[i].size);
		rc = wire_check(&m, size, rows[i].type, &err);
		tap_ok(rows[i].why ? rc < 0 && strstr(err.text, rows[i].why) : rc == 0,
		       "message %d, %s: %s", rows[i].type, rows[i].name,
		       rc < 0 ? err.text : "good");
	}
}

/* Texts that never end would be read beyond the message. */
static void check_endless_texts(void)
{
	static const struct {
		enum wire_type type;
		const char *name;
		size_t offset, size;
	} texts[] = {
	        {WIRE_RUN, "id", FIELD(run, id)},
	        {WIRE_RUN, "language", FIELD(run, language)},
	        {WIRE_INFO, "version", FIELD(info, version)},
	        {WIRE_INFO, "an image's name", FIELD(info, images[0].name)},
	        {WIRE_INFO, "an image's manifest", FIELD(info, images[0].manifest)},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(texts); i++) {
		struct error err = ERROR_INIT;
		union message m;
		size_t size = fill(&m, texts[i].type);

		memset(m.bytes + texts[i].offset, 'a', texts[i].size);
		tap_ok(wire_check(&m, size, texts[i].type, &err) < 0, "%s without an end: %s",
		       texts[i].name, err.text);
	}
}

static void check_builds(void)
{
	struct error err = ERROR_INIT;
	union message m;
	size_t size = fill(&m, WIRE_RUN);

	m.run.stage = STAGE_BUILD;
	m.run.flags = WIRE_KEEP_TREE | WIRE_MORE;
	tap_ok(wire_check(&m, size, WIRE_RUN, &err) == 0, "a build keeps its tree");
	m.run.flags = WIRE_ON_TREE;
	tap_ok(wire_check(&m, size, WIRE_RUN, &err) < 0, "a build stands on no tree: %s",
	       err.text);
}

/* Good as it is; short, long, of another type, and with bytes of junk: refused. */
static void check_forms(void)
{
	size_t i, k, n;

	for (i = 0; i < ARRAY_LEN(messages); i++) {
		struct error err = ERROR_INIT;
		bool refused = true;
		union message m;
		size_t size = fill(&m, messages[i].type);

		tap_ok(wire_check(&m, size, messages[i].type, &err) == 0, "%s: good %s",
		       messages[i].name, err.text);
		for (n = 0; n < size; n++)
			refused = refused && wire_check(&m, n, messages[i].type, &err) < 0;
		tap_ok(refused, "%s: every shorter one is refused", messages[i].name);
		tap_ok(wire_check(&m, size + 1, messages[i].type, &err) < 0 &&
		               wire_check(&m, size + 64, messages[i].type, &err) < 0,
		       "%s: a longer one is refused", messages[i].name);
		for (k = 0, refused = true; k < ARRAY_LEN(messages); k++)
			if (k != i)
				refused = refused &&
				          wire_check(&m, size, messages[k].type, &err) < 0;
		tap_ok(refused, "%s: is no other message", messages[i].name);
		memset(&m, 0xa5, sizeof m);
		tap_ok(wire_check(&m, size, messages[i].type, &err) < 0, "%s: junk is refused",
		       messages[i].name);
	}
	{
		struct error err = ERROR_INIT;
		union message m;
		size_t size = fill(&m, WIRE_QUERY);

		m.head.type = 99;
		tap_ok(wire_check(&m, size, (enum wire_type)99, &err) < 0,
		       "no such message: %s", err.text);
	}
}

/* ---- payload ---- */

static const struct {
	const char *name, *payload;
	size_t size;
	unsigned records; /* before the end or the error */
	bool whole;       /* every byte belongs to a record */
} payloads[] = {
        {"nothing", "", 0, 0, true},
        {"an empty record", "\0\0\0\0", 4, 1, true},
        {"two records", "\1\0\0\0a\2\0\0\0bc", 11, 2, true},
        {"half a length", "\1\0\0", 3, 0, false},
        {"a record cut short", "\2\0\0\0a", 5, 0, false},
        {"the largest length",
         "\xff\xff\xff\xff"
         "abc",
         7, 0, false},
        {"a length cut behind a record", "\1\0\0\0a\1\0", 7, 1, false},
};

static void check_payloads(void)
{
	struct bytes record;
	size_t i, offset;

	for (i = 0; i < ARRAY_LEN(payloads); i++) {
		unsigned count = 0;

		offset = 0;
		while (count < 10 && wire_payload_next(payloads[i].payload, payloads[i].size,
		                                       &offset, &record) == 0)
			count++;
		tap_ok(count == payloads[i].records &&
		               (offset == payloads[i].size) == payloads[i].whole,
		       "payload: %s", payloads[i].name);
	}
	offset = 5;
	tap_ok(wire_payload_next("\1\0\0\0a\2\0\0\0bc", 11, &offset, &record) == 0 &&
	               record.size == 2 && !memcmp(record.data, "bc", 2) && offset == 11,
	       "payload: a record's bytes");
	offset = 12;
	tap_ok(wire_payload_next("\1\0\0\0a\2\0\0\0bc", 11, &offset, &record) < 0 &&
	               offset == 12,
	       "payload: an offset behind the end");
}

int main(void)
{
	check_forms();
	check_fields();
	check_endless_texts();
	check_builds();
	check_payloads();
	return tap_done();
}
