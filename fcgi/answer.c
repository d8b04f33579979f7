/* SPDX-License-Identifier: ISC */
/* From verdicts to an answer, and to words that a student understands.
 * Runs as: worker user. Pure. */
#include "fcgi/answer.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/compare.h"
#include "fcgi/utf8.h"
#include "fcgi/value.h"
#include "fcgi/writer.h"

/* ---- words ---- */

static void say(char *message, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(char *message, const char *fmt, ...)
{
	size_t size;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(message, ANSWER_MESSAGE_MAX, fmt, ap);
	va_end(ap);
	/* a test's name may have been cut inside a character */
	size = strlen(message);
	message[size - utf8_cut(message, size)] = '\0';
}

struct quantity {
	char text[32];
};

/* "256 MiB", "1.5 MiB", "100 bytes" */
static struct quantity in_bytes(uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB" };
	struct quantity q;
	size_t unit = 0;

	while (unit + 1 < ARRAY_LEN(units) && bytes >> (10 * (unit + 1)))
		unit++;
	snprintf(q.text, sizeof q.text, "%.4g %s", (double)bytes / (double)(1ull << 10 * unit),
		 units[unit]);
	return q;
}

/* "10 seconds", "0.25 seconds", "1 second" */
static struct quantity in_seconds(uint64_t ms)
{
	struct quantity q;

	snprintf(q.text, sizeof q.text, "%.10g second%s", (double)ms / 1000,
		 ms == 1000 ? "" : "s");
	return q;
}

static const char *who(enum stage stage)
{
	return stage == STAGE_BUILD ? "The compiler" : "The program";
}

static const struct {
	int signal;
	const char *meaning;
} meanings[] = {
	{ SIGSEGV, "it used memory that is not its own" },
	{ SIGBUS, "it used memory in a way that the processor does not allow" },
	{ SIGFPE, "it made an impossible calculation, such as a division by zero" },
	{ SIGABRT, "it gave up by itself: a failed check, or an error that nothing caught" },
	{ SIGILL, "it came upon an instruction that the processor does not know" },
	{ SIGTRAP, "it ran into a trap, as compilers set for what must not happen" },
	{ SIGSYS, "it made a system call that is not allowed here" },
	{ SIGXFSZ, "a file grew beyond what is allowed" },
	{ SIGXCPU, "it used up its processor time" },
	{ SIGPIPE, "it wrote to a pipe that nobody reads" },
	{ SIGKILL, "it was killed at once" },
};

static void say_signal(struct stage_result *result)
{
	const char *name = job_signal_name(result->signal);
	size_t i;

	for (i = 0; i < ARRAY_LEN(meanings); i++) {
		if (meanings[i].signal != result->signal)
			continue;
		say(result->message, "%s was ended by the signal %s: %s.", who(result->stage),
		    name, meanings[i].meaning);
		return;
	}
	say(result->message, "%s was ended by the signal %s.", who(result->stage), name);
}

static void say_unstarted(struct stage_result *result, int error)
{
	static const struct {
		int error;
		const char *why;
	} whys[] = {
		{ ENOENT, "there is no such file" },
		{ ENOEXEC, "it is not in a format that can be executed" },
		{ EACCES, "its file is not allowed to be executed" },
		{ E2BIG, "its arguments are too long" },
		{ ENOMEM, "there is not enough memory for it" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(whys); i++) {
		if (whys[i].error == error) {
			say(result->message, "%s could not be started: %s.", who(result->stage),
			    whys[i].why);
			return;
		}
	}
	say(result->message, "%s could not be started: %s.", who(result->stage),
	    strerror(error));
}

/* ---- one stage ---- */

/* The request's own deadline also ends a stage as CAUSE_WALL: then it ran for less
 * than its limit (a timer is late, never early; 5 % is for two clocks). */
static bool ended_by_total(const struct usage *usage, const struct limits *limits)
{
	return usage->wall_us != USAGE_UNKNOWN &&
	       usage->wall_us / 950 < limits->wall_ms; /* us / 1000 / 0.95 */
}

static void set_wall(struct stage_result *result, const struct limits *limits)
{
	result->status = STATUS_TIMEOUT;
	if (ended_by_total(&result->usage, limits))
		say(result->message,
		    "%s was stopped: the time for the whole request (limits.total_ms) is over.",
		    who(result->stage));
	else
		say(result->message,
		    "%s ran for more than %s (limits.wall_ms) and was stopped.",
		    who(result->stage), in_seconds(limits->wall_ms).text);
}

static void set_cpu(struct stage_result *result, const struct limits *limits)
{
	result->status = STATUS_TIMEOUT;
	say(result->message,
	    "%s used more than %s of processor time (limits.cpu_ms) and was stopped.",
	    who(result->stage), in_seconds(limits->cpu_ms).text);
}

static void set_memory(struct stage_result *result, const struct limits *limits)
{
	result->status = STATUS_MEMORY_LIMIT;
	say(result->message,
	    "%s needed more than %s of memory (limits.memory_bytes) and was killed.",
	    who(result->stage), in_bytes(limits->memory_bytes).text);
}

static void set_output(struct stage_result *result, const struct limits *limits)
{
	result->status = STATUS_OUTPUT_LIMIT;
	say(result->message,
	    "%s printed more than %s to %s (limits.output_bytes) and was stopped.",
	    who(result->stage), in_bytes(limits->output_bytes).text,
	    result->dropped_bytes[LAUNCH_STDOUT] || !result->dropped_bytes[LAUNCH_STDERR]
		    ? "stdout"
		    : "stderr");
}

static void set_cancel(struct stage_result *result, const struct limits *limits)
{
	(void)limits;
	result->status = STATUS_CANCELLED;
	say(result->message, "%s was stopped: the client has left.", who(result->stage));
}

static void set_ended(struct stage_result *result)
{
	result->status = STATUS_RUNTIME_ERROR;
	if (result->signal) {
		say_signal(result);
		return;
	}
	if (result->exit_code == 0)
		result->status = STATUS_SUCCESS;
	say(result->message, "%s ended with exit code %d.", who(result->stage),
	    result->exit_code);
}

void stage_result_set(struct stage_result *ret_result, const struct launch_result *from,
		      enum stage stage, const struct limits *limits)
{
	static void (*const causes[CAUSE_COUNT])(struct stage_result *,
						 const struct limits *) = {
		[CAUSE_WALL] = set_wall,     [CAUSE_CPU] = set_cpu,
		[CAUSE_MEMORY] = set_memory, [CAUSE_OUTPUT] = set_output,
		[CAUSE_CANCEL] = set_cancel,
	};
	const struct verdict *verdict = &from->verdict;
	struct stage_result result = { .stage = stage, .usage = verdict->usage };
	enum cause cause = verdict->cause;
	size_t i;

	for (i = 0; i < LAUNCH_STREAMS; i++) {
		result.output[i] = (struct bytes){ from->output[i].data, from->output[i].size };
		if (from->seen_bytes[i] <= limits->output_bytes)
			continue;
		result.dropped_bytes[i] = from->seen_bytes[i] - limits->output_bytes;
		if (cause == CAUSE_NONE)
			cause = CAUSE_OUTPUT;
	}
	if (verdict->exec_errno == 0) {
		result.exited = verdict->exited;
		result.exit_code = verdict->exited ? verdict->exit_code : 0;
		result.signal = verdict->exited ? 0 : verdict->signal;
	}
	if (cause < CAUSE_COUNT && causes[cause]) {
		causes[cause](&result, limits);
	} else if (verdict->exec_errno) {
		result.status = STATUS_RUNTIME_ERROR;
		say_unstarted(&result, verdict->exec_errno);
	} else {
		set_ended(&result);
	}
	if (stage == STAGE_BUILD && result.status == STATUS_RUNTIME_ERROR)
		result.status = STATUS_COMPILE_ERROR;
	*ret_result = result;
}

/* ---- tests ---- */

void test_result_set(struct test_result *ret_test, const struct job *job, size_t index,
		     const struct launch_result *from, const struct limits *limits)
{
	const struct job_test *test = &job->tests[index];
	struct test_result set = { .name = test->name,
				   .index = index,
				   .ran = true,
				   .has_expected = test->has_expected };
	struct stage_result *result = &set.result;

	stage_result_set(result, from, STAGE_RUN, limits);
	if (test->has_expected && result->status == STATUS_SUCCESS) {
		set.passed = compare_output(job->compare, job->compare_float,
					    result->output[LAUNCH_STDOUT], test->expected);
		if (!set.passed) {
			result->status = STATUS_WRONG_ANSWER;
			say(result->message,
			    "The program printed something else than expected.");
		}
	}
	*ret_test = set;
}

void test_result_skip(struct test_result *ret_test, const struct job *job, size_t index)
{
	const struct job_test *test = &job->tests[index];

	memset(ret_test, 0, sizeof *ret_test);
	ret_test->name = test->name;
	ret_test->index = index;
	ret_test->has_expected = test->has_expected;
	ret_test->result.stage = STAGE_RUN;
	ret_test->result.status = STATUS_SKIPPED;
	say(ret_test->result.message,
	    "Not run: the time for the whole request (limits.total_ms) was over.");
}

/* The status of the whole with tests: the first that is not success. */
static void conclude_tests(struct answer *answer)
{
	const struct test_result *bad = NULL;
	size_t good = 0, i;

	for (i = 0; i < answer->tests_count; i++) {
		const struct test_result *test = &answer->tests[i];

		if (test->result.status == STATUS_SUCCESS)
			good++;
		else if (!bad)
			bad = test;
	}
	if (!bad) {
		answer->status = STATUS_SUCCESS;
		say(answer->message, "All %zu tests went well.", answer->tests_count);
		return;
	}
	/* to skip is not a status of the whole: its time was over */
	answer->status = bad->result.status == STATUS_SKIPPED ? STATUS_TIMEOUT :
								bad->result.status;
	say(answer->message, "%zu of %zu tests went well. Test %zu: %s", good,
	    answer->tests_count, bad->index + 1, bad->result.message);
}

void answer_conclude(struct answer *answer)
{
	const struct stage_result *compile = &answer->compile;

	if (answer->has_compile && compile->status != STATUS_SUCCESS) {
		bool ours = compile->status == STATUS_CANCELLED ||
			    compile->status == STATUS_INTERNAL_ERROR;

		answer->status = ours ? compile->status : STATUS_COMPILE_ERROR;
		say(answer->message, "%s%s", ours ? "" : "Compiling failed. ",
		    compile->message);
	} else if (answer->has_run) {
		answer->status = answer->run.status;
		say(answer->message, "%s", answer->run.message);
	} else {
		conclude_tests(answer);
	}
}

/* ---- collected files ---- */

static const char *collect_error(int error)
{
	static const struct {
		int error;
		const char *text;
	} texts[] = {
		{ ENOENT, "no such file" },
		{ ENOTDIR, "no such file" },
		{ EISDIR, "not a regular file" },
		{ EINVAL, "not a regular file" },
		{ ENXIO, "not a regular file" },
		{ ELOOP, "a symbolic link" },
		{ EXDEV, "outside the working directory" },
		{ EACCES, "not readable" },
		{ EFBIG, "too large" },
		{ E2BIG, "too large" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].error == error)
			return texts[i].text;
	return "could not be read";
}

static void find_collected(struct answer_file *file, const struct buffer *collected)
{
	struct launch_file found;
	size_t offset = 0;

	file->error = "no such file";
	while (launch_collected_next(collected, &offset, &found)) {
		if (!bytes_equal(found.name, file->name))
			continue;
		file->error = found.error ? collect_error(found.error) : NULL;
		file->content = found.content;
		return;
	}
}

int answer_collect(struct answer *answer, const struct words *asked,
		   const struct buffer *collected, struct arena *arena)
{
	size_t i;

	answer->files = arena_alloc(arena, asked->count, sizeof *answer->files);
	if (!answer->files)
		return -1;
	answer->files_count = asked->count;
	answer->has_files = asked->count > 0;
	for (i = 0; i < asked->count; i++) {
		answer->files[i].name = asked->item[i];
		find_collected(&answer->files[i], collected);
	}
	return 0;
}

/* ---- the largest answer ---- */

/* Bytes kept free for all that is no output. A page shows the request again, at
 * most 1 MiB of it, and five bytes for each "&" in it. */
#define ROOM_REST ((uint64_t)384 << 10)
#define ROOM_PAGE ((uint64_t)6 << 20)

static size_t plain_fit(struct bytes output, uint64_t left, uint64_t *ret_taken)
{
	size_t size = output.size <= left ? output.size : (size_t)left;

	/* not inside a character, as long as it is text */
	if (size < output.size)
		size -= utf8_cut(output.data, size);
	*ret_taken = size;
	return size;
}

static size_t html_fit(struct bytes output, uint64_t left, uint64_t *ret_taken)
{
	uint64_t taken = 0;
	size_t i;

	for (i = 0; i < output.size; i++) {
		unsigned char c = (unsigned char)output.data[i];
		/* "&amp;" is the longest; a bad byte becomes a U+FFFD */
		unsigned cost = c && strchr("&<>\"'", c) ? 5 : c < 0x20 || c > 0x7e ? 3 : 1;

		if (cost > left - taken)
			break;
		taken += cost;
	}
	*ret_taken = taken;
	return i < output.size ? i - utf8_cut(output.data, i) : i;
}

static size_t (*const fits[ANSWER_FORMATS])(struct bytes, uint64_t, uint64_t *) = {
	[ANSWER_JSON] = json_fit,	  [ANSWER_MSGPACK] = plain_fit,
	[ANSWER_HTML] = html_fit,	  [ANSWER_TEXT] = plain_fit,
	[ANSWER_NDJSON] = json_fit,	  [ANSWER_SSE] = json_fit,
	[ANSWER_MSGPACK_STREAM] = plain_fit,
};

void answer_room_init(struct answer_room *room, enum answer_format format,
		      uint64_t answer_max_bytes)
{
	uint64_t rest = format == ANSWER_HTML ? ROOM_PAGE : ROOM_REST;

	room->format = format;
	room->left_bytes = answer_max_bytes > 2 * rest ? answer_max_bytes - rest :
							 answer_max_bytes / 2;
}

size_t answer_room_take(struct answer_room *room, struct bytes output)
{
	uint64_t taken = 0;
	size_t size = fits[room->format](output, room->left_bytes, &taken);

	room->left_bytes -= taken;
	return size;
}

void answer_keep(struct answer_room *room, struct stage_result *result)
{
	/* a compiler's text stands in the answer twice when it failed */
	bool twice = result->stage == STAGE_BUILD && result->status != STATUS_SUCCESS;
	struct answer_room half = { room->format, room->left_bytes / 2 };
	struct answer_room *from = twice ? &half : room;
	size_t i;

	for (i = 0; i < LAUNCH_STREAMS; i++) {
		size_t size = answer_room_take(from, result->output[i]);

		result->dropped_bytes[i] += result->output[i].size - size;
		result->output[i].size = size;
	}
	if (twice)
		room->left_bytes = 2 * half.left_bytes;
}

void answer_keep_files(struct answer_room *room, struct answer *answer)
{
	size_t i;

	for (i = 0; i < answer->files_count; i++) {
		struct answer_file *file = &answer->files[i];
		struct answer_room after = *room;

		if (file->error)
			continue;
		/* half a file is no file */
		if (answer_room_take(&after, file->content) == file->content.size)
			*room = after;
		else
			file->error = "too large for the answer";
	}
}
