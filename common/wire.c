/* SPDX-License-Identifier: ISC */
/* Runs as: any user, root included. Pure: looks at bytes, allocates nothing. */
#include "common/wire.h"

#include <errno.h>
#include <string.h>

#include "common/io.h"

void wire_head_set(struct wire_head *head, enum wire_type type, size_t size)
{
	head->magic = WIRE_MAGIC;
	head->version = WIRE_VERSION;
	head->type = (uint16_t)type;
	head->size = (uint32_t)size;
	head->zero = 0;
}

static bool text_ended(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static bool is_hex(const char *text)
{
	return text[strspn(text, "0123456789abcdef")] == '\0';
}

static int check_run(const void *data, struct error *err)
{
	const struct wire_run *run = data;
	static const uint8_t zero[sizeof run->zero];
	const uint32_t known = WIRE_KEEP_TREE | WIRE_ON_TREE | WIRE_MORE | WIRE_QUIET;

	if (!text_ended(run->id, sizeof run->id) || !is_hex(run->id))
		return error_set(err, EPROTO, "id");
	if (!text_ended(run->language, sizeof run->language) ||
	    !job_language_valid(run->language, strlen(run->language)))
		return error_set(err, EPROTO, "language");
	if (memcmp(run->zero, zero, sizeof zero) != 0)
		return error_set(err, EPROTO, "padding");
	if (run->stage >= STAGE_COUNT)
		return error_set(err, EPROTO, "stage %u", run->stage);
	if (run->flags & ~known)
		return error_set(err, EPROTO, "flags %x", run->flags);
	if ((run->flags & WIRE_KEEP_TREE) && run->stage != STAGE_BUILD)
		return error_set(err, EPROTO, "only a build keeps its tree");
	if ((run->flags & WIRE_ON_TREE) && run->stage != STAGE_RUN)
		return error_set(err, EPROTO, "only a run stands on a tree");
	if ((run->flags & WIRE_QUIET) && !(run->flags & WIRE_ON_TREE))
		return error_set(err, EPROTO, "only a tree can be quiet");
	if (run->files_count > JOB_FILES_MAX || run->collect_count > JOB_FILES_MAX ||
	    run->options_count > JOB_WORDS_MAX || run->arguments_count > JOB_WORDS_MAX)
		return error_set(err, EPROTO, "counts");
	if (run->payload_bytes > WIRE_PAYLOAD_MAX)
		return error_set(err, EPROTO, "payload of %llu bytes",
				 (unsigned long long)run->payload_bytes);
	return 0;
}

static int check_verdict(const void *data, struct error *err)
{
	const struct wire_verdict *verdict = data;

	if (verdict->cause >= CAUSE_COUNT || (verdict->exited & ~1) || verdict->cached > 1 ||
	    verdict->ahead > 1 || verdict->zero)
		return error_set(err, EPROTO, "verdict");
	return 0;
}

static int check_stop(const void *data, struct error *err)
{
	const struct wire_stop *stop = data;

	if ((stop->cause != CAUSE_OUTPUT && stop->cause != CAUSE_WALL) || stop->zero)
		return error_set(err, EPROTO, "stop");
	return 0;
}

static int check_refused(const void *data, struct error *err)
{
	const struct wire_refused *refused = data;

	if (refused->reason < REFUSED_PROTOCOL || refused->reason > REFUSED_INTERNAL ||
	    refused->zero)
		return error_set(err, EPROTO, "reason %u", refused->reason);
	return 0;
}

static int check_info(const void *data, struct error *err)
{
	const struct wire_info *info = data;
	uint32_t i;

	if (!text_ended(info->version, sizeof info->version) ||
	    info->cgroup_mode < LAYOUT_V2 || info->cgroup_mode > LAYOUT_V1 ||
	    info->images_count > WIRE_IMAGES_MAX || info->languages_count > WIRE_LANGUAGES_MAX)
		return error_set(err, EPROTO, "info");
	for (i = 0; i < info->images_count; i++)
		if (!text_ended(info->images[i].name, sizeof info->images[i].name) ||
		    !text_ended(info->images[i].manifest, sizeof info->images[i].manifest))
			return error_set(err, EPROTO, "image %u", i);
	for (i = 0; i < info->languages_count; i++)
		if (info->language_image[i] != WIRE_IMAGE_NONE &&
		    info->language_image[i] >= info->images_count)
			return error_set(err, EPROTO, "language %u", i);
	return 0;
}

static const struct {
	enum wire_type type;
	size_t size;
	int (*check)(const void *data, struct error *err); /* may be NULL */
} forms[] = {
	{ WIRE_RUN, sizeof(struct wire_run), check_run },
	{ WIRE_TAKEN, sizeof(struct wire_taken), NULL },
	{ WIRE_VERDICT, sizeof(struct wire_verdict), check_verdict },
	{ WIRE_REFUSED, sizeof(struct wire_refused), check_refused },
	{ WIRE_STOP, sizeof(struct wire_stop), check_stop },
	{ WIRE_QUERY, sizeof(struct wire_head), NULL },
	{ WIRE_INFO, sizeof(struct wire_info), check_info },
};

int wire_check(const void *data, size_t size, enum wire_type type, struct error *err)
{
	struct wire_head head;
	size_t i;

	if (size < sizeof head)
		return error_set(err, EPROTO, "message of %zu bytes", size);
	memcpy(&head, data, sizeof head);
	if (head.magic != WIRE_MAGIC || head.version != WIRE_VERSION || head.zero)
		return error_set(err, EPROTO, "magic or version");
	if (head.type != type)
		return error_set(err, EPROTO, "message %u, expected %u", head.type, type);
	for (i = 0; i < ARRAY_LEN(forms); i++) {
		if (forms[i].type != type)
			continue;
		if (size != forms[i].size || head.size != size)
			return error_set(err, EPROTO, "message %u of %zu bytes", type, size);
		return forms[i].check ? forms[i].check(data, err) : 0;
	}
	return error_set(err, EPROTO, "unknown message %u", type);
}

int wire_payload_next(const char *payload, size_t size, size_t *offset,
		      struct bytes *ret_record)
{
	uint32_t length;

	if (*offset > size || size - *offset < sizeof length)
		return -1;
	memcpy(&length, payload + *offset, sizeof length);
	if (size - *offset - sizeof length < length)
		return -1;
	ret_record->data = payload + *offset + sizeof length;
	ret_record->size = length;
	*offset += sizeof length + length;
	return 0;
}
