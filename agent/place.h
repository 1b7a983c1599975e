/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/place: directories of the state that a start should find, and can do without; and the two
 * of the link, which lie elsewhere and may be mounted late.
 *
 * A bad block in one directory must not stop what has nothing to do with it.  What cannot be used
 * is told in every start (RC_STATE_DIR), and where its content can be had again (packages under way
 * or kept, what is being unpacked) another one, NAME.spare, stands in for it.  The directory itself
 * is left as it is: the fault may pass, and a later start finds all that it held, and removes the
 * stand-in.  Where payloads or the ground are cut off meanwhile, somebody looks whether it has
 * passed (agent/probe), and then the agent ends in order, for that later start.
 */
#ifndef BERTH_AGENT_PLACE_H
#define BERTH_AGENT_PLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

enum place {
    PLACE_STATE = 0, /* the state directory itself: cannot be handed over or written to */
    PLACE_TRUST,
    PLACE_OBJECTS,
    PLACE_SLOTS,
    PLACE_DATA,
    PLACE_STAGING,
    PLACE_LOG,
    PLACE_LINK,
    PLACE_SPOOL,
    PLACE_UPLINK, /* these two are not in the state directory, but wherever the operator says */
    PLACE_DOWNLINK,
    PLACES
};

#define PLACE_SPARE ".spare"

/* Its name in the state directory, or what it is called. */
const char *place_name(enum place place);

/* Open it, made with that mode if it is missing, and see that it can be read to its end.  With
 * may_spare its stand-in, if that fails.  *ret_bad tells that it failed; the descriptor is one that
 * can be used, or an RC_* says why there is none. */
must_check enum rc place_open(int state_dir, enum place place, mode_t mode, bool may_spare,
                              int *ret_fd, bool *ret_bad, struct err *err);

/* The same for one that lies elsewhere, which is not made; a failure is tried again at once.  Of
 * its names, which are others' and may be any number, only the first is read. */
must_check enum rc place_open_outside(int state_dir, enum place place, const char *path,
                                      int *ret_fd, bool *ret_bad, struct err *err);

/* Its stand-in, made if it is missing: for whoever finds out by himself that it cannot be used. */
must_check enum rc place_spare(int state_dir, enum place place, mode_t mode, int *ret_fd,
                               struct err *err);

/* It can be used: the stand-in goes, if there is one, with all that is in it. */
void place_forget_spare(int state_dir, enum place place);

#endif
