/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/bus_start: starting a berth-bus, which berthd does when it has confined itself already.
 */
#ifndef BERTH_AGENT_BUS_START_H
#define BERTH_AGENT_BUS_START_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

struct bus_process {
    pid_t pid;
    int pidfd; /* readable when it has ended */
    int sock;  /* our end, not blocking */
};

/* Start the program (an open descriptor of it) on a listening socket; it dies with its parent.
 * RC_IO. */
must_check enum rc bus_start(int program_fd, int listen_fd, struct bus_process *ret,
                             struct err *err);

/* End it if it has not ended, and reap it: true if it had ended of itself, and well.  Harmless on
 * one that was never started. */
bool bus_end(struct bus_process *process);

#endif
