/* SPDX-License-Identifier: ISC */
/* A page for browsers without JavaScript: the result, and the filled form again.
 * Whatever comes from the request or the program is text here, never markup; no
 * script, no inline style.
 * Runs as: worker user. Pure. */
#include "fcgi/encode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/io.h"
#include "fcgi/utf8.h"

#define ECHO_MAX ((size_t)1 << 20) /* of the request, on the page */

static const struct page empty_page = { .page_url = "./" };

/* ---- text ---- */

/* How a control character is shown: in output as its picture (U+2400 and on), in
 * the form as itself, so that sending it again sends the same. */
enum controls { AS_PICTURE, AS_REFERENCE };

static void put_control(struct writer *w, unsigned char c, enum controls how)
{
	unsigned picture = c == 0x7f ? 0x21 : c;
	char text[8];

	if (how == AS_PICTURE || c == 0)
		snprintf(text, sizeof text, "\xe2\x90%c", (char)(0x80 + picture));
	else
		snprintf(text, sizeof text, "&#%u;", c);
	writer_string(w, text);
}

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&#34;";
	case '\'':
		return "&#39;";
	}
	return NULL;
}

static bool is_control(unsigned char c)
{
	return (c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f;
}

static void put_escaped(struct writer *w, struct bytes text, enum controls how)
{
	size_t start = 0, i = 0;

	while (i < text.size) {
		unsigned char c = (unsigned char)text.data[i];
		const char *instead = entity(text.data[i]);
		size_t bad = 1, size = utf8_next(text.data + i, text.size - i, &bad);

		if (size && !instead && !is_control(c)) {
			i += size;
			continue;
		}
		writer_raw(w, text.data + start, i - start);
		if (!size)
			writer_string(w, "\xef\xbf\xbd");
		else if (instead)
			writer_string(w, instead);
		else
			put_control(w, c, how);
		i += size ? size : bad;
		start = i;
	}
	if (text.size)
		writer_raw(w, text.data + start, text.size - start);
}

static void put_words_of(struct writer *w, const char *text)
{
	put_escaped(w, (struct bytes){ text, strlen(text) }, AS_PICTURE);
}

static void put_number_of(struct writer *w, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, number);
	writer_string(w, text);
}

/* ---- the frame ---- */

/* The folder of the page: up to its last slash. */
static struct bytes page_folder(const struct page *page)
{
	const char *slash = strrchr(page->page_url, '/');

	return (struct bytes){ page->page_url,
			       slash ? (size_t)(slash - page->page_url) + 1 : 0 };
}

static void put_head(struct writer *w, const struct page *page, const char *title)
{
	writer_string(w,
		      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		      "<meta name=\"viewport\" content=\"width=device-width, "
		      "initial-scale=1\">\n"
		      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>");
	put_words_of(w, title);
	writer_string(w, " - Sandpool</title>\n<link rel=\"stylesheet\" href=\"");
	put_escaped(w, page_folder(page), AS_PICTURE);
	writer_string(w, "style.css\">\n<link rel=\"icon\" href=\"");
	put_escaped(w, page_folder(page), AS_PICTURE);
	writer_string(w, "icon.svg\">\n</head>\n<body class=\"page\">\n"
			 "<header class=\"bar\"><p class=\"brand\"><a href=\"");
	put_words_of(w, page->page_url);
	writer_string(w, "\">Sandpool</a></p></header>\n<main>\n");
}

static int put_foot(struct writer *w)
{
	writer_string(w, "</main>\n</body>\n</html>\n");
	return writer_finish(w);
}

/* ---- the form ---- */

/* The field as it was sent; nothing when the page would grow too large by it. */
static struct bytes echoed(struct bytes text, size_t *left)
{
	if (text.size > *left)
		return (struct bytes){ "", 0 };
	*left -= text.size;
	return text;
}

static void put_area(struct writer *w, const char *name, const char *label, int rows,
		     struct bytes text)
{
	char open[256];

	/* the parser drops a line end right behind the tag: ours, not the text's */
	snprintf(open, sizeof open,
		 "<p><label for=\"%s\">%s</label><br>\n<textarea id=\"%s\" name=\"%s\" "
		 "rows=\"%d\" cols=\"80\" spellcheck=\"false\">\n",
		 name, label, name, name, rows);
	writer_string(w, open);
	put_escaped(w, text, AS_REFERENCE);
	writer_string(w, "</textarea></p>\n");
}

static void put_languages(struct writer *w, const struct language_table *languages)
{
	size_t i;

	writer_string(w, "<datalist id=\"languages\">\n");
	for (i = 0; languages && i < languages->count; i++) {
		writer_string(w, "<option value=\"");
		put_words_of(w, languages->language[i].id);
		writer_string(w, "\">");
		put_words_of(w, languages->language[i].name);
		writer_string(w, "</option>\n");
	}
	writer_string(w, "</datalist>\n");
}

static void put_form(struct writer *w, const struct page *page)
{
	static const struct codec_echo nothing;
	const struct codec_echo *echo = page->echo ? page->echo : &nothing;
	size_t left = ECHO_MAX;

	writer_string(w, "<section class=\"card\">\n<h2>Your program</h2>\n"
			 "<form method=\"post\" action=\"run\" accept-charset=\"utf-8\">\n"
			 "<p><label for=\"language\">Language</label><br>\n"
			 "<input id=\"language\" name=\"language\" list=\"languages\" required "
			 "autocomplete=\"off\" spellcheck=\"false\" value=\"");
	put_escaped(w, echoed(echo->language, &left), AS_REFERENCE);
	writer_string(w, "\"></p>\n");
	put_languages(w, page->languages);
	put_area(w, "code", "Code", 16, echoed(echo->code, &left));
	put_area(w, "input", "Input", 5, echoed(echo->input, &left));
	put_area(w, "arguments", "Arguments, one per line", 3, echoed(echo->arguments, &left));
	put_area(w, "options", "Options, one per line", 2, echoed(echo->options, &left));
	writer_string(w,
		      "<p><label for=\"timeout\">Seconds, at most</label><br>\n"
		      "<input id=\"timeout\" name=\"timeout\" inputmode=\"decimal\" value=\"");
	put_escaped(w, echoed(echo->timeout, &left), AS_REFERENCE);
	writer_string(w,
		      "\"></p>\n<p><button type=\"submit\" class=\"primary\">Run</button></p>\n"
		      "</form>\n</section>\n");
}

/* ---- the result ---- */

static const char *const status_titles[STATUS_COUNT] = {
	[STATUS_SUCCESS] = "Success",
	[STATUS_RUNTIME_ERROR] = "Runtime error",
	[STATUS_TIMEOUT] = "Time is up",
	[STATUS_MEMORY_LIMIT] = "Out of memory",
	[STATUS_OUTPUT_LIMIT] = "Too much output",
	[STATUS_COMPILE_ERROR] = "Compile error",
	[STATUS_WRONG_ANSWER] = "Wrong answer",
	[STATUS_CANCELLED] = "Cancelled",
	[STATUS_INTERNAL_ERROR] = "Internal error",
	[STATUS_SKIPPED] = "Not run",
};

static void put_pre(struct writer *w, const char *title, struct bytes text, uint64_t dropped)
{
	if (!text.size && !dropped)
		return;
	writer_string(w, "<h3>");
	put_words_of(w, title);
	writer_string(w, "</h3>\n<pre>\n");
	put_escaped(w, text, AS_PICTURE);
	writer_string(w, "</pre>\n");
	if (!dropped)
		return;
	writer_string(w, "<p class=\"hint\">");
	put_number_of(w, dropped);
	writer_string(w, " more bytes were left out.</p>\n");
}

static void put_stage(struct writer *w, const struct stage_result *result, const char *out,
		      const char *err)
{
	put_pre(w, out, result->output[LAUNCH_STDOUT], result->dropped_bytes[LAUNCH_STDOUT]);
	put_pre(w, err, result->output[LAUNCH_STDERR], result->dropped_bytes[LAUNCH_STDERR]);
}

static void put_page_tests(struct writer *w, const struct answer *answer)
{
	size_t i;

	if (!answer->tests)
		return;
	writer_string(w, "<section class=\"card\">\n<h2>Tests</h2>\n");
	for (i = 0; i < answer->tests_count; i++) {
		const struct test_result *test = &answer->tests[i];
		struct test_label label;

		test_label_set(&label, test);
		writer_string(w, "<h3>");
		put_escaped(w, label.name, AS_PICTURE);
		writer_string(w, ": ");
		writer_string(w, status_titles[test->result.status]);
		writer_string(w, "</h3>\n<p>");
		put_words_of(w, test->result.message);
		writer_string(w, "</p>\n");
		put_stage(w, &test->result, "Output", "Error output");
	}
	writer_string(w, "</section>\n");
}

static void put_page_files(struct writer *w, const struct answer *answer)
{
	size_t i;

	if (!answer->has_files)
		return;
	writer_string(w, "<section class=\"card\">\n<h2>Files</h2>\n");
	for (i = 0; i < answer->files_count; i++) {
		const struct answer_file *file = &answer->files[i];

		writer_string(w, "<h3>");
		put_escaped(w, file->name, AS_PICTURE);
		writer_string(w, "</h3>\n");
		if (file->error) {
			writer_string(w, "<p>");
			put_words_of(w, file->error);
			writer_string(w, "</p>\n");
		} else {
			writer_string(w, "<pre>\n");
			put_escaped(w, file->content, AS_PICTURE);
			writer_string(w, "</pre>\n");
		}
	}
	writer_string(w, "</section>\n");
}

static void put_row(struct writer *w, const char *name, const char *value)
{
	writer_string(w, "<tr><th scope=\"row\">");
	put_words_of(w, name);
	writer_string(w, "</th><td>");
	put_words_of(w, value);
	writer_string(w, "</td></tr>\n");
}

static void put_row_ms(struct writer *w, const char *name, uint64_t us)
{
	char text[32];

	if (us == USAGE_UNKNOWN)
		return;
	snprintf(text, sizeof text, "%.3f ms", (double)us / 1000);
	put_row(w, name, text);
}

static void put_figures(struct writer *w, const struct answer *answer)
{
	const struct stage_result *top = answer_top(answer);
	char text[32];

	writer_string(w, "<section class=\"card\">\n<h2>Figures</h2>\n<table>\n");
	if (answer->version)
		put_row(w, answer->language ? answer->language : "language", answer->version);
	if (top && top->exited) {
		snprintf(text, sizeof text, "%d", top->exit_code);
		put_row(w, "exit code", text);
	}
	if (top && top->signal)
		put_row(w, "signal", job_signal_name(top->signal));
	if (top) {
		put_row_ms(w, "wall time", top->usage.wall_us);
		put_row_ms(w, "processor time", top->usage.cpu_us);
	}
	if (top && top->usage.memory_peak_bytes != USAGE_UNKNOWN) {
		snprintf(text, sizeof text, "%.1f MiB",
			 (double)top->usage.memory_peak_bytes / (1 << 20));
		put_row(w, "memory, at most", text);
	}
	put_row_ms(w, "whole request", answer->total_us);
	put_row(w, "request", answer->id);
	writer_string(w, "</table>\n</section>\n");
}

int write_page(const struct answer *answer, const struct page *page, const struct sink *sink)
{
	const char *title = status_titles[answer->status];
	struct writer w;

	if (!page)
		page = &empty_page;
	writer_init(&w, NULL, sink);
	put_head(&w, page, title);
	writer_string(&w, "<section class=\"card\">\n<h1>");
	writer_string(&w, title);
	writer_string(&w, "</h1>\n<p>");
	put_words_of(&w, answer->message);
	writer_string(&w, "</p>\n");
	if (answer->has_run)
		put_stage(&w, &answer->run, "Output", "Error output");
	if (answer->has_compile)
		put_stage(&w, &answer->compile, "Compiler output", "Compiler messages");
	writer_string(&w, "</section>\n");
	put_page_tests(&w, answer);
	put_page_files(&w, answer);
	put_figures(&w, answer);
	put_form(&w, page);
	return put_foot(&w);
}

int write_error_page(const struct refusal *refusal, const struct page *page,
		     const struct sink *sink)
{
	const struct failure *failure = refusal->failure;
	char title[32];
	struct writer w;

	if (!page)
		page = &empty_page;
	snprintf(title, sizeof title, "Error %d", failure->http_status);
	writer_init(&w, NULL, sink);
	put_head(&w, page, title);
	writer_string(&w, "<section class=\"card\">\n<h1>");
	writer_string(&w, title);
	writer_string(&w, "</h1>\n<p role=\"alert\">");
	put_words_of(&w, failure->message);
	writer_string(&w, "</p>\n<table>\n");
	put_row(&w, "code", failure->code);
	if (failure->field[0])
		put_row(&w, "field", failure->field);
	if (refusal->request_id)
		put_row(&w, "request", refusal->request_id);
	writer_string(&w, "</table>\n</section>\n");
	put_form(&w, page);
	return put_foot(&w);
}
