/* SPDX-License-Identifier: ISC */
/* What an answer says, key by key, for JSON and msgpack alike; and which encoder
 * and which header lines go with a format.
 * Runs as: worker user. Pure. */
#include "fcgi/encode.h"

#include <stdio.h>
#include <string.h>

#include "common/io.h"

static const char *const streams[LAUNCH_STREAMS] = {
	[LAUNCH_STDOUT] = "stdout",
	[LAUNCH_STDERR] = "stderr",
};

/* ---- one stage ---- */

static void put_figure(struct writer *writer, const char *key, uint64_t value)
{
	if (value == USAGE_UNKNOWN)
		put_null(writer, key);
	else
		put_int(writer, key, (int64_t)value);
}

static void put_time(struct writer *writer, const char *key, uint64_t us)
{
	if (us == USAGE_UNKNOWN)
		put_null(writer, key);
	else
		put_ms(writer, key, us);
}

static void put_usage(struct writer *writer, const void *data)
{
	const struct usage *usage = data;

	put_time(writer, "wall_ms", usage->wall_us);
	put_time(writer, "cpu_ms", usage->cpu_us);
	put_time(writer, "user_ms", usage->user_us);
	put_time(writer, "system_ms", usage->system_us);
	put_figure(writer, "memory_peak_bytes", usage->memory_peak_bytes);
	put_figure(writer, "processes_peak", usage->processes_peak);
}

static void put_dropped(struct writer *writer, const void *data)
{
	const struct stage_result *result = data;
	size_t i;

	for (i = 0; i < LAUNCH_STREAMS; i++)
		put_int(writer, streams[i], (int64_t)result->dropped_bytes[i]);
}

static void put_outputs(struct writer *writer, const struct stage_result *result)
{
	size_t i;

	for (i = 0; i < LAUNCH_STREAMS && !writer->no_output; i++)
		put_output(writer, streams[i], result->output[i]);
}

static void put_truncated(struct writer *writer, const struct stage_result *result)
{
	if (result->dropped_bytes[LAUNCH_STDOUT] || result->dropped_bytes[LAUNCH_STDERR])
		put_map(writer, "truncated", put_dropped, result);
}

static void put_exit(struct writer *writer, const struct stage_result *result)
{
	if (result->exited)
		put_int(writer, "exit_code", result->exit_code);
	else
		put_null(writer, "exit_code");
	put_text(writer, "signal", result->signal ? job_signal_name(result->signal) : NULL);
}

static void put_compile(struct writer *writer, const void *data)
{
	const struct stage_result *result = data;

	put_text(writer, "status", job_status_name(result->status));
	put_text(writer, "message", result->message);
	put_bool(writer, "cached", result->cached);
	put_exit(writer, result);
	put_outputs(writer, result);
	put_truncated(writer, result);
	put_map(writer, "usage", put_usage, &result->usage);
}

/* ---- tests ---- */

void test_label_set(struct test_label *ret_label, const struct test_result *test)
{
	snprintf(ret_label->text, sizeof ret_label->text, "test %zu", test->index + 1);
	ret_label->name = test->name;
	if (!test->name.size)
		ret_label->name = (struct bytes){ ret_label->text, strlen(ret_label->text) };
}

void put_test(struct writer *writer, const void *data)
{
	const struct test_result *test = data;
	const struct stage_result *result = &test->result;
	struct test_label label;

	test_label_set(&label, test);
	put_int(writer, "index", (int64_t)test->index);
	put_text_bytes(writer, "name", label.name);
	put_text(writer, "status", job_status_name(result->status));
	put_text(writer, "message", result->message);
	if (test->has_expected)
		put_bool(writer, "passed", test->passed);
	else
		put_null(writer, "passed");
	put_outputs(writer, result);
	put_exit(writer, result);
	put_truncated(writer, result);
	if (test->ran)
		put_map(writer, "usage", put_usage, &result->usage);
	else
		put_null(writer, "usage");
}

/* ---- files, times, limits ---- */

static void put_file(struct writer *writer, const void *data)
{
	const struct answer_file *file = data;

	put_text_bytes(writer, "name", file->name);
	if (file->error) {
		put_text(writer, "error", file->error);
		return;
	}
	put_output(writer, "content", file->content);
	put_int(writer, "size", (int64_t)file->content.size);
}

static void put_times(struct writer *writer, const void *data)
{
	const struct answer *answer = data;

	put_ms(writer, "queue_ms", answer->queue_us);
	put_ms(writer, "setup_ms", answer->setup_us);
	put_ms(writer, "compile_ms", answer->compile_us);
	put_ms(writer, "run_ms", answer->run_us);
	put_ms(writer, "total_ms", answer->total_us);
}

static void put_limit_fields(struct writer *writer, const void *data)
{
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++)
		put_int(writer, limit_fields[i].name,
			(int64_t)limit_get(data, &limit_fields[i]));
}

/* By limit and kind of host. bit 0: held by ourselves, everywhere. */
static const struct {
	size_t offset;
	uint32_t bit;
	const char *v2, *v1; /* on a hybrid host the controllers are v1 */
} mechanisms[] = {
	{ offsetof(struct limits, wall_ms), 0, "timer of sandboxd", "timer of sandboxd" },
	{ offsetof(struct limits, cpu_ms), ENFORCED_CPU, "cgroup v2 cpu.stat",
	  "cgroup v1 cpuacct.usage" },
	{ offsetof(struct limits, memory_bytes), ENFORCED_MEMORY, "cgroup v2 memory.max",
	  "cgroup v1 memory.limit_in_bytes" },
	{ offsetof(struct limits, output_bytes), 0, "pipe reader of the worker",
	  "pipe reader of the worker" },
	{ offsetof(struct limits, disk_bytes), 0, "size of the tmpfs", "size of the tmpfs" },
	{ offsetof(struct limits, processes), ENFORCED_PROCESSES, "cgroup v2 pids.max",
	  "cgroup v1 pids.max" },
	{ offsetof(struct limits, cpu_percent), ENFORCED_CPU, "cgroup v2 cpu.max",
	  "cgroup v1 cpu.cfs_quota_us" },
};

const char *enforced_by(const struct answer *answer, size_t field)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (mechanisms[i].offset != limit_fields[field].offset)
			continue;
		if (mechanisms[i].bit && !(answer->enforced & mechanisms[i].bit))
			return NULL;
		return answer->cgroup_mode == LAYOUT_V2 ? mechanisms[i].v2 : mechanisms[i].v1;
	}
	return NULL;
}

static void put_enforced(struct writer *writer, const void *data)
{
	size_t i;

	for (i = 0; i < LIMIT_FIELDS; i++)
		put_text(writer, limit_fields[i].name, enforced_by(data, i));
	put_text(writer, "total_ms", "deadline of the worker");
}

static void put_limits(struct writer *writer, const void *data)
{
	const struct answer *answer = data;

	put_limit_fields(writer, &answer->run_limits);
	if (answer->has_compile_limits)
		put_map(writer, "compile", put_limit_fields, &answer->compile_limits);
	put_int(writer, "total_ms", (int64_t)answer->total_ms);
	put_map(writer, "enforced", put_enforced, answer);
}

/* ---- the whole ---- */

const struct stage_result *answer_top(const struct answer *answer)
{
	if (answer->has_run)
		return &answer->run;
	return answer->has_compile && answer->compile.status != STATUS_SUCCESS ?
		       &answer->compile :
		       NULL;
}

struct bytes compiler_text(const struct answer *answer)
{
	const struct bytes *output = answer->compile.output;

	return output[LAUNCH_STDERR].size ? output[LAUNCH_STDERR] : output[LAUNCH_STDOUT];
}

/* Nothing ran: the compiler's text takes the place of what the program would say. */
static void put_uncompiled(struct writer *writer, const struct answer *answer)
{
	if (!writer->no_output) {
		put_output(writer, "stdout", (struct bytes){ "", 0 });
		put_output(writer, "stderr", compiler_text(answer));
	}
	put_null(writer, "exit_code");
	put_null(writer, "signal");
}

void put_answer(struct writer *writer, const void *data)
{
	const struct answer *answer = data;
	const struct stage_result *top = answer_top(answer);

	put_text(writer, "id", answer->id);
	put_text(writer, "language", answer->language);
	put_text(writer, "version", answer->version);
	put_text(writer, "status", job_status_name(answer->status));
	put_text(writer, "message", answer->message);
	if (top && top == &answer->run) {
		put_outputs(writer, top);
		put_exit(writer, top);
	} else if (top) {
		put_uncompiled(writer, answer);
	}
	if (top)
		put_truncated(writer, top);
	put_map(writer, "time", put_times, answer);
	if (top)
		put_map(writer, "usage", put_usage, &top->usage);
	if (answer->has_compile)
		put_map(writer, "compile", put_compile, &answer->compile);
	if (answer->tests)
		put_list(writer, "tests", put_test, answer->tests, answer->tests_count,
			 sizeof *answer->tests);
	if (answer->has_files)
		put_list(writer, "files", put_file, answer->files, answer->files_count,
			 sizeof *answer->files);
	put_map(writer, "limits", put_limits, answer);
}

static void put_failure(struct writer *writer, const void *data)
{
	const struct refusal *refusal = data;
	const struct failure *failure = refusal->failure;

	put_text(writer, "code", failure->code);
	put_text(writer, "message", failure->message);
	if (failure->field[0])
		put_text(writer, "field", failure->field);
	put_text(writer, "request_id", refusal->request_id);
}

void put_refusal(struct writer *writer, const void *data)
{
	put_map(writer, "error", put_failure, data);
}

/* ---- POST /api/execute ---- */

/* As a shell would say it: 128 and the signal's number. */
static int64_t shell_exit_code(const struct stage_result *result)
{
	if (result->signal)
		return 128 + result->signal;
	return result->exited ? result->exit_code : 127;
}

void put_execute_answer(struct writer *writer, const void *data)
{
	const struct answer *answer = data;
	const struct stage_result *top = answer_top(answer);

	if (answer->has_run) {
		put_output(writer, "output", answer->run.output[LAUNCH_STDOUT]);
		put_output(writer, "error", answer->run.output[LAUNCH_STDERR]);
	} else {
		put_output(writer, "output", (struct bytes){ "", 0 });
		put_output(writer, "error", compiler_text(answer));
	}
	if (top)
		put_int(writer, "exitCode", shell_exit_code(top));
	else
		put_null(writer, "exitCode");
	put_int(writer, "executionTime",
		(int64_t)((answer->compile_us + answer->run_us + 500) / 1000));
	put_text(writer, "status", job_status_name(answer->status));
	put_text(writer, "message", answer->message);
	if (top)
		put_truncated(writer, top);
	put_text(writer, "language", answer->language);
	put_text(writer, "version", answer->version);
	put_text(writer, "request_id", answer->id);
}

void put_execute_refusal(struct writer *writer, const void *data)
{
	const struct refusal *refusal = data;

	put_text(writer, "error", refusal->failure->message);
	put_text(writer, "code", refusal->failure->code);
	if (refusal->failure->field[0])
		put_text(writer, "field", refusal->failure->field);
	put_text(writer, "request_id", refusal->request_id);
}

/* ---- formats ---- */

static const char *const content_types[ANSWER_FORMATS] = {
	[ANSWER_JSON] = "application/json",
	[ANSWER_MSGPACK] = "application/msgpack",
	[ANSWER_HTML] = "text/html; charset=utf-8",
	[ANSWER_TEXT] = "text/plain; charset=utf-8",
	[ANSWER_NDJSON] = "application/x-ndjson",
	[ANSWER_SSE] = "text/event-stream",
	[ANSWER_MSGPACK_STREAM] = "application/vnd.sandpool.stream+msgpack",
};

static void head_line(struct answer_head *head, const char *name, const char *value)
{
	head->line[head->lines_count].name = name;
	snprintf(head->line[head->lines_count].value, sizeof head->line[0].value, "%s", value);
	head->lines_count++;
}

static void head_number(struct answer_head *head, const char *name, int number)
{
	char text[16];

	snprintf(text, sizeof text, "%d", number);
	head_line(head, name, text);
}

static void head_init(struct answer_head *head, enum answer_format format, int http_status)
{
	memset(head, 0, sizeof *head);
	head->http_status = http_status;
	head->content_type = content_types[format];
	head_line(head, "Cache-Control", "no-store");
	head_line(head, "X-Content-Type-Options", "nosniff");
	if (format == ANSWER_HTML)
		head_line(head, "Content-Security-Policy",
			  "default-src 'none'; style-src 'self'; img-src 'self'; "
			  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'");
}

/* The verdict of an answer whose body is nothing but the program's output. */
static void head_verdict(struct answer_head *head, const struct answer *answer)
{
	head_line(head, "Sandpool-Status", job_status_name(answer->status));
	if (answer->has_run && answer->run.exited)
		head_number(head, "Sandpool-Exit-Code", answer->run.exit_code);
	if (answer->has_run && answer->run.signal)
		head_line(head, "Sandpool-Signal", job_signal_name(answer->run.signal));
}

void answer_head_set(struct answer_head *ret_head, enum codec_shape shape,
		     enum answer_format format, const struct answer *answer)
{
	if (shape == SHAPE_EXECUTE)
		format = ANSWER_JSON;
	head_init(ret_head, format, 200);
	if (answer_is_stream(format))
		head_line(ret_head, "X-Accel-Buffering", "no");
	else if (format == ANSWER_TEXT)
		head_verdict(ret_head, answer);
}

/* An error that cannot be told in the format that was asked for is told in JSON. */
static enum answer_format failure_format(enum codec_shape shape, enum answer_format format)
{
	if (shape == SHAPE_EXECUTE || (format != ANSWER_MSGPACK && format != ANSWER_HTML))
		return ANSWER_JSON;
	return format;
}

void failure_head_set(struct answer_head *ret_head, enum codec_shape shape,
		      enum answer_format format, const struct failure *failure)
{
	head_init(ret_head, failure_format(shape, format), failure->http_status);
	if (failure->retry_after_s)
		head_number(ret_head, "Retry-After", (int)failure->retry_after_s);
	if (failure->allow)
		head_line(ret_head, "Allow", failure->allow);
}

static int write_map(const struct writer_ops *ops, const struct sink *sink, put_fn put,
		     const void *data)
{
	struct writer writer;

	writer_init(&writer, ops, sink);
	put_map(&writer, NULL, put, data);
	if (ops == &json_ops)
		writer_raw(&writer, "\n", 1);
	return writer_finish(&writer);
}

int answer_write(enum codec_shape shape, enum answer_format format,
		 const struct answer *answer, const struct page *page, const struct sink *sink)
{
	if (shape == SHAPE_EXECUTE)
		return write_map(&json_ops, sink, put_execute_answer, answer);
	switch (format) {
	case ANSWER_MSGPACK:
		return write_map(&msgpack_ops, sink, put_answer, answer);
	case ANSWER_HTML:
		return write_page(answer, page, sink);
	case ANSWER_TEXT:
		return write_text(answer, sink);
	default:
		return write_map(&json_ops, sink, put_answer, answer);
	}
}

int failure_write(enum codec_shape shape, enum answer_format format,
		  const struct failure *failure, const char *request_id,
		  const struct page *page, const struct sink *sink)
{
	struct refusal refusal = { failure, request_id };

	if (shape == SHAPE_EXECUTE)
		return write_map(&json_ops, sink, put_execute_refusal, &refusal);
	switch (failure_format(shape, format)) {
	case ANSWER_MSGPACK:
		return write_map(&msgpack_ops, sink, put_refusal, &refusal);
	case ANSWER_HTML:
		return write_error_page(&refusal, page, sink);
	default:
		return write_map(&json_ops, sink, put_refusal, &refusal);
	}
}
