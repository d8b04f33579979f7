/* SPDX-License-Identifier: ISC */
/* The groups of tests of the pool; test_worker.c says in which order. */
#ifndef SANDPOOL_TESTS_WIRE_CASES_H
#define SANDPOOL_TESTS_WIRE_CASES_H

/* cases_answers.c */
void test_rows(void);
void test_heads(void);
void test_versions(void);
void test_log(void);

/* cases_peers.c */
void test_broken(void);
void begin_stalls(void);
void end_stalls(void);
void test_leaving(void);
void test_heartbeat(void);
void test_first_chunk(void);

/* cases_room.c */
void test_busy(void);
void test_queue(void);
void test_key_concurrency(void);
void test_key_reload(void);

/* cases_life.c */
void test_worker_death(void);
void test_sandboxd_down(void);
void test_other_languages(void);
void test_version_again(void);
void test_reload(void);
void test_drain(void);
void test_drain_limit(void);
void test_kill(void);
void test_recycling(void);
void test_master_death(void);

/* cases_start.c */
void test_handed_over(void);
void test_root(void);
void test_cgi(void);

#endif
