/* SPDX-License-Identifier: ISC */
/* Tells the service manager how we are: sd_notify(3)'s protocol, one datagram. */
#ifndef SANDPOOL_NOTIFY_H
#define SANDPOOL_NOTIFY_H

#include <stdint.h>

/* "READY=1", "RELOADING=1", "STOPPING=1", "WATCHDOG=1"; no-op without a manager. */
void notify_send(const char *state);

/* How often the manager wants WATCHDOG=1, halved; 0: never. */
uint64_t notify_watchdog_ms(void);

#endif
