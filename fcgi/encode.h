/* SPDX-License-Identifier: ISC */
/* The pieces that answers and stream events share. Private to the encoders. */
#ifndef SANDPOOL_ENCODE_H
#define SANDPOOL_ENCODE_H

#include "fcgi/answer.h"
#include "fcgi/writer.h"

/* A failure with the request it belongs to. */
struct refusal {
	const struct failure *failure;
	const char *request_id;
};

/* Contents of maps, for put_map(): data is the struct that the name says. */
void put_answer(struct writer *writer, const void *answer);
void put_test(struct writer *writer, const void *test_result);
void put_refusal(struct writer *writer, const void *refusal);         /* {"error": {...}} */
void put_execute_answer(struct writer *writer, const void *answer);
void put_execute_refusal(struct writer *writer, const void *refusal); /* {"error": "..."} */

/* "test 3", where the request gave no name. */
struct test_label {
	char text[24];
	struct bytes name;
};
void test_label_set(struct test_label *ret_label, const struct test_result *test);

/* What stands at the top of an answer: the run, the failed compile stage, or
 * NULL with tests. */
const struct stage_result *answer_top(const struct answer *answer);
/* The compiler's text: its stderr, or its stdout when that is all it printed. */
struct bytes compiler_text(const struct answer *answer);

/* What holds one of limit_fields on this host; NULL: nothing does. */
const char *enforced_by(const struct answer *answer, size_t field);

int write_text(const struct answer *answer, const struct sink *sink);
int write_page(const struct answer *answer, const struct page *page, const struct sink *sink);
int write_error_page(const struct refusal *refusal, const struct page *page,
		     const struct sink *sink);

#endif
