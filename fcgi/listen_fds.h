/* SPDX-License-Identifier: ISC */
/* The sockets that the service manager hands over: sd_listen_fds(3)'s protocol. */
#ifndef SANDPOOL_LISTEN_FDS_H
#define SANDPOOL_LISTEN_FDS_H

/* Found by their names ("run", "api") or, where they have none, by their order; -1
 * for what is not there. Returns how many were taken; the environment is cleaned. */
int listen_fds_take(int *ret_run_fd, int *ret_api_fd);

#endif
