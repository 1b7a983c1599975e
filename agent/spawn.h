/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/spawn: starting Berth's other programs, which lie beside berthd.  Called while berthd is
 * still root; fixed arguments, next to no environment, exactly the descriptors that are named.
 */
#ifndef BERTH_AGENT_SPAWN_H
#define BERTH_AGENT_SPAWN_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

#define SPAWN_FDS_MAX 6U
#define SPAWN_FIRST_FD 3

/* Start program `name` of that directory.  argv ends in NULL, argv[0] is the name.  fds[i] becomes
 * descriptor SPAWN_FIRST_FD + i; stdin is /dev/null, stdout and stderr are shared, the rest is
 * closed. */
must_check enum rc spawn_program(int own_dir, char *const argv[], const int *fds, size_t n_fds,
                                 pid_t *ret_pid, struct err *err);

#endif
