/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/probe: who goes on looking at directories that a start could not use.
 *
 * A process of its own, because link/ is closed to berthd's user and a look at a failing medium may
 * take long.  It is the user whose directories they are, without any right beyond that, holds no
 * descriptor but the state directory's and those to berthd, reads only, and ends with berthd.  It
 * takes nothing from anybody.  A second one waits for it, reads nothing at all, and starts it again
 * if it dies, which berthd could not.
 */
#ifndef BERTH_AGENT_PROBE_H
#define BERTH_AGENT_PROBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define PROBE_EVERY_MS 60000U
#define PROBE_PLACES_MAX 8U

struct probe_place {
    const char *path; /* beneath the state directory */
    bool outside;     /* ... or anywhere, as a program's caller gives it */
};

/* What to look at, and as whom (never root). */
struct probe_plan {
    int state_dir;
    uint32_t n;
    struct probe_place place[PROBE_PLACES_MAX];
    uid_t uid;
    gid_t gid;
    uint32_t every_ms;
};

/* Start it, as root.  *ret_fd is the caller's, does not block, and is readable whenever one of the
 * directories could be used, read to its end twice in a row, and when it has ended. */
must_check enum rc probe_start(const struct probe_plan *plan, int *ret_fd, struct err *err);

/* RC_OK: one can be used, as it was seen last.  RC_NOT_FOUND: nothing was said.  RC_IO: it has
 * ended. */
must_check enum rc probe_read(int fd, struct err *err);

#endif
