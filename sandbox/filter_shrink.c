/* SPDX-License-Identifier: ISC */
/* Runs as: root.
 *
 * A filter first finds the call's number by compares, then looks at arguments, if
 * at all. So: run the first part once for every number where its course can change
 * (the numbers it compares with), which gives ranges of numbers with the same
 * continuation; copy the continuations, with single-bit tests as one instruction;
 * write a search tree over the ranges in front. Programs are kept as nodes that
 * name their successors, equal nodes once only, and laid out last. To take a filter
 * apart is to lead some of the numbers elsewhere. */
#include "sandbox/filter_shrink.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOAD = BPF_LD | BPF_W | BPF_ABS,
	AND = BPF_ALU | BPF_AND | BPF_K,
	JUMP = BPF_JMP | BPF_JA,
	EQ = BPF_JMP | BPF_JEQ | BPF_K,
	GT = BPF_JMP | BPF_JGT | BPF_K,
	GE = BPF_JMP | BPF_JGE | BPF_K,
	SET = BPF_JMP | BPF_JSET | BPF_K,
	RET = BPF_RET | BPF_K,
	NUMBER = offsetof(struct seccomp_data, nr),
	ARCH = offsetof(struct seccomp_data, arch),

	PROLOGUE = 2,   /* load and compare the architecture */
	NODES_MAX = BPF_MAXINSNS,
	RANGES_MAX = 4 * BPF_MAXINSNS,
	/* What the accumulator holds: a word of the call's data, or something else. */
	WORDS = sizeof(struct seccomp_data) / 4,
	OTHER = WORDS,
	NOTHING = -1,   /* no node, no place */
	REACH = 250,    /* of a conditional jump, less what may come between */
};

struct node {
	uint16_t code;
	uint32_t k;
	int yes, no;    /* next nodes; other than conditions have only yes */
	int place;      /* in out, where the program lies back to front */
};

struct range {
	uint32_t first; /* up to the next one's */
	int node;
};

/* Numbers that a program lets pass: those in the list, or all others. */
struct passing {
	const int *calls;
	size_t count;
	bool listed;
};

struct shrink {
	const struct sock_filter *in;
	int in_count;
	struct passing passing;
	int start;      /* in in, once the architecture is right */
	bool failed;
	int nodes_count, out_count, ranges_count;
	struct node nodes[NODES_MAX];
	struct sock_filter out[BPF_MAXINSNS];
	struct range ranges[RANGES_MAX];
	int memo[BPF_MAXINSNS][WORDS + 1]; /* node + 1 for a place and an accumulator */
};

static int fail(struct shrink *s)
{
	s->failed = true;
	return 0;
}

static bool is_condition(uint16_t code)
{
	return code == EQ || code == GT || code == GE || code == SET;
}

/* The node for this; an equal one, if there is one. */
static int node(struct shrink *s, uint16_t code, uint32_t k, int yes, int no)
{
	if (is_condition(code) && yes == no)
		return yes;
	for (int i = 0; i < s->nodes_count; i++)
		if (s->nodes[i].code == code && s->nodes[i].k == k && s->nodes[i].yes == yes &&
		    s->nodes[i].no == no)
			return i;
	if (s->nodes_count == NODES_MAX)
		return fail(s);
	s->nodes[s->nodes_count] = (struct node){ code, k, yes, no, NOTHING };
	return s->nodes_count++;
}

/* ---- the part that looks at arguments ---- */

static bool reads_accumulator(const struct shrink *s, int pc)
{
	return pc >= s->in_count || (s->in[pc].code != LOAD && s->in[pc].code != RET);
}

/* "load, and, compare" whose masked value nobody uses afterwards. */
static bool is_mask_test(const struct shrink *s, int pc)
{
	const struct sock_filter *in = &s->in[pc];

	return pc + 3 < s->in_count && in[1].code == AND && in[2].code == EQ &&
	       !reads_accumulator(s, pc + 3 + in[2].jt) &&
	       !reads_accumulator(s, pc + 3 + in[2].jf);
}

static int continuation(struct shrink *s, int pc, unsigned holds);

static int load_continuation(struct shrink *s, int pc, unsigned holds)
{
	const struct sock_filter *in = &s->in[pc];
	unsigned word = in->k / 4;
	int next;

	if (in->k % 4 || word >= WORDS)
		return fail(s);
	if (is_mask_test(s, pc)) {
		uint32_t mask = in[1].k, value = in[2].k;
		int yes = pc + 3 + in[2].jt, no = pc + 3 + in[2].jf;

		if (mask == 0 && value == 0) /* "upper half, all of it ignored" */
			return continuation(s, yes, holds);
		if (value == 0 || (value == mask && !(mask & (mask - 1)))) {
			yes = continuation(s, yes, word);
			no = continuation(s, no, word);
			next = value ? node(s, SET, mask, yes, no)
				     : node(s, SET, mask, no, yes);
			return holds == word ? next : node(s, LOAD, in->k, next, NOTHING);
		}
	}
	next = continuation(s, pc + 1, word);
	return holds == word ? next : node(s, LOAD, in->k, next, NOTHING);
}

static int new_continuation(struct shrink *s, int pc, unsigned holds)
{
	const struct sock_filter *in = &s->in[pc];
	int yes, no;

	switch (in->code) {
	case RET:
		return node(s, RET, in->k, NOTHING, NOTHING);
	case LOAD:
		return load_continuation(s, pc, holds);
	case AND:
		return node(s, AND, in->k, continuation(s, pc + 1, OTHER), NOTHING);
	case JUMP:
		return continuation(s, pc + 1 + (int)in->k, holds);
	case EQ:
	case GT:
	case GE:
	case SET:
		yes = continuation(s, pc + 1 + in->jt, holds);
		no = continuation(s, pc + 1 + in->jf, holds);
		return node(s, in->code, in->k, yes, no);
	default:
		return fail(s);
	}
}

/* The node that does what the program does from pc on. The kernel has not checked
 * the program yet, but jumps lead forward only, so this ends. */
static int continuation(struct shrink *s, int pc, unsigned holds)
{
	int made;

	if (s->failed || pc < 0 || pc >= s->in_count)
		return fail(s);
	if (!s->memo[pc][holds]) {
		made = new_continuation(s, pc, holds);
		s->memo[pc][holds] = made + 1;
	}
	return s->memo[pc][holds] - 1;
}

/* ---- the part that finds the number ---- */

static bool taken(const struct sock_filter *in, uint32_t value)
{
	switch (in->code) {
	case EQ:
		return value == in->k;
	case GT:
		return value > in->k;
	case GE:
		return value >= in->k;
	default:
		return value & in->k;
	}
}

static bool passes(const struct passing *passing, uint32_t number)
{
	for (size_t i = 0; i < passing->count; i++)
		if ((uint32_t)passing->calls[i] == number)
			return passing->listed;
	return passing->count > 0 && !passing->listed;
}

/* Where the program leads this number, of the right architecture. */
static int node_for_number(struct shrink *s, uint32_t number)
{
	int pc = s->start;
	bool loaded = false;

	if (passes(&s->passing, number))
		return node(s, RET, SECCOMP_RET_ALLOW, NOTHING, NOTHING);
	while (pc < s->in_count) {
		const struct sock_filter *in = &s->in[pc];

		if (in->code == LOAD && in->k == NUMBER)
			loaded = true;
		else if (in->code == JUMP && in->k < BPF_MAXINSNS)
			pc += (int)in->k;
		else if (loaded && in->code != SET && is_condition(in->code))
			pc += taken(in, number) ? in->jt : in->jf;
		else if (!reads_accumulator(s, pc))
			return continuation(s, pc, NUMBER / 4);
		else
			break;
		pc++;
	}
	return fail(s);
}

static int by_first(const void *a, const void *b)
{
	uint32_t x = ((const struct range *)a)->first, y = ((const struct range *)b)->first;

	return (x > y) - (x < y);
}

static void list_number(struct shrink *s, uint32_t number)
{
	if (s->ranges_count + 2 > (int)RANGES_MAX) {
		fail(s);
		return;
	}
	s->ranges[s->ranges_count++].first = number;
	if (number != UINT32_MAX)
		s->ranges[s->ranges_count++].first = number + 1;
}

/* The course of the program can change only at the numbers it compares with. */
static void list_numbers(struct shrink *s)
{
	s->ranges[s->ranges_count++].first = 0;
	for (int pc = PROLOGUE; pc < s->in_count; pc++)
		if (is_condition(s->in[pc].code))
			list_number(s, s->in[pc].k);
	for (size_t i = 0; i < s->passing.count; i++)
		list_number(s, (uint32_t)s->passing.calls[i]);
	qsort(s->ranges, (size_t)s->ranges_count, sizeof *s->ranges, by_first);
}

static void find_ranges(struct shrink *s)
{
	int kept = 0;

	list_numbers(s);
	for (int i = 0; i < s->ranges_count && !s->failed; i++) {
		struct range next = { s->ranges[i].first, NOTHING };

		next.node = node_for_number(s, next.first);
		if (kept == 0 || s->ranges[kept - 1].node != next.node)
			s->ranges[kept++] = next;
	}
	s->ranges_count = kept;
}

static int search_tree(struct shrink *s, const struct range *range, int count)
{
	int below, above, half = count / 2;

	if (count == 1)
		return range[0].node;
	if (count == 3 && range[0].node == range[2].node &&
	    range[1].first + 1 == range[2].first)
		return node(s, EQ, range[1].first, range[1].node, range[0].node);
	below = search_tree(s, range, half);
	above = search_tree(s, range + half, count - half);
	return node(s, GE, range[half].first, above, below);
}

/* ---- laying it out, from the end to the start ---- */

static void put(struct shrink *s, uint16_t code, int jt, int jf, uint32_t k)
{
	if (s->out_count == BPF_MAXINSNS) {
		fail(s);
		return;
	}
	s->out[s->out_count++] = (struct sock_filter){ code, (uint8_t)jt, (uint8_t)jf, k };
}

static int distance(const struct shrink *s, int n)
{
	return s->out_count - 1 - s->nodes[n].place;
}

/* Conditional jumps reach 255 instructions: puts a stepping stone where needed. */
static void bring_near(struct shrink *s, int n)
{
	if (distance(s, n) <= REACH)
		return;
	if (s->nodes[n].code == RET)
		put(s, RET, 0, 0, s->nodes[n].k);
	else
		put(s, JUMP, 0, 0, (uint32_t)distance(s, n));
	s->nodes[n].place = s->out_count - 1;
}

static void lay_out(struct shrink *s, int n)
{
	struct node *here = &s->nodes[n];

	if (s->failed || here->place != NOTHING)
		return;
	if (is_condition(here->code)) {
		lay_out(s, here->no);
		lay_out(s, here->yes);
		bring_near(s, here->no);
		bring_near(s, here->yes);
		put(s, here->code, distance(s, here->yes), distance(s, here->no), here->k);
	} else {
		if (here->yes != NOTHING) {
			lay_out(s, here->yes);
			if (distance(s, here->yes))
				put(s, JUMP, 0, 0, (uint32_t)distance(s, here->yes));
		}
		put(s, here->code, 0, 0, here->k);
	}
	here->place = s->out_count - 1;
}

/* ---- all of it ---- */

/* "load architecture; compare; else return", as every such program begins. */
static bool find_start(struct shrink *s, uint32_t *ret_refusal)
{
	int refusal;

	if (s->in_count < PROLOGUE || s->in[0].code != LOAD || s->in[0].k != ARCH ||
	    s->in[1].code != EQ)
		return false;
	s->start = PROLOGUE + s->in[1].jt;
	refusal = PROLOGUE + s->in[1].jf;
	if (refusal >= s->in_count || s->in[refusal].code != RET)
		return false;
	*ret_refusal = s->in[refusal].k;
	return true;
}

static void write_program(struct shrink *s, uint32_t refusal)
{
	int root = search_tree(s, s->ranges, s->ranges_count);

	if (s->failed)
		return;
	lay_out(s, root);
	if (distance(s, root))
		put(s, JUMP, 0, 0, (uint32_t)distance(s, root));
	put(s, LOAD, 0, 0, NUMBER);
	put(s, RET, 0, 0, refusal);
	put(s, EQ, 1, 0, s->in[1].k);
	put(s, LOAD, 0, 0, ARCH);
}

static bool rewrite(struct shrink *s)
{
	uint32_t refusal;

	if (!find_start(s, &refusal))
		return false;
	find_ranges(s);
	if (!s->failed)
		write_program(s, refusal);
	return !s->failed;
}

static struct shrink *begin(const struct filter *filter)
{
	struct shrink *s;

	if (filter->count > BPF_MAXINSNS || !(s = calloc(1, sizeof *s)))
		return NULL;
	s->in = filter->code;
	s->in_count = filter->count;
	return s;
}

static void copy_out(const struct shrink *s, struct filter *filter)
{
	for (int i = 0; i < s->out_count; i++)
		filter->code[i] = s->out[s->out_count - 1 - i];
	filter->count = (unsigned short)s->out_count;
}

bool filter_shrink(struct filter *filter)
{
	struct shrink *s = begin(filter);
	bool shorter = s && rewrite(s) && s->out_count < s->in_count;

	if (shorter)
		copy_out(s, filter);
	free(s);
	return shorter;
}

static bool make_part(const struct filter *filter, const struct passing *passing,
		      struct filter *ret_part)
{
	struct shrink *s = begin(filter);
	struct filter part = { .load_flags = filter->load_flags };

	if (s) {
		s->passing = *passing;
		if (rewrite(s) && (part.code = calloc((size_t)s->out_count, sizeof *part.code)))
			copy_out(s, &part);
	}
	free(s);
	*ret_part = part;
	return part.code != NULL;
}

bool filter_split(const struct filter *filter, const int *calls, size_t count,
		  struct filter *ret_outer, struct filter *ret_inner)
{
	const struct passing listed = { calls, count, true }, others = { calls, count, false };
	struct filter outer;

	if (count == 0 || !make_part(filter, &listed, &outer))
		return false;
	if (!make_part(filter, &others, ret_inner)) {
		filter_free(&outer);
		return false;
	}
	*ret_outer = outer;
	return true;
}
