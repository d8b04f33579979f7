/* SPDX-License-Identifier: ISC */
/* A real pool with a fake sandboxd behind it and a FastCGI client in front: what the
 * pool does with good and bad requests, and with the deaths of its neighbours. */
#include <signal.h>

#include "tests/wire/cases.h"
#include "tests/wire/harness.h"

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	set_up();
	start_fake("2");
	start_pool();
	test_rows();
	test_heads();
	test_versions();
	test_broken();
	test_leaving();
	test_heartbeat();
	test_first_chunk();
	restart_pool(&(struct conf){ .queue_max = "2s" });
	test_busy();
	test_queue();
	test_sandboxd_down();
	restart_pool(&(struct conf){ 0 });
	/* before sandboxd has other languages than the prober, who then asks no more */
	await_versions(2);
	test_key_concurrency();
	test_key_reload();
	test_log();
	test_worker_death();
	test_other_languages();
	test_version_again();
	test_reload();
	begin_stalls();
	check(runs_well(), "a good request beside peers that stall");
	test_cgi();
	end_stalls();
	test_drain();
	test_drain_limit();
	test_kill();
	test_recycling();
	test_master_death();
	test_handed_over();
	test_root();
	return finish();
}
