/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/logs_state: what must be known of a payload's log after a power cut, so that lines go down
 * once: the state file data/TENANT/PAYLOAD/logs.{a,b}.
 */
#ifndef BERTH_AGENT_LOGS_STATE_H
#define BERTH_AGENT_LOGS_STATE_H

#include "agent/logs_scan.h"

/* All zero is a fresh one. */
struct logs_state {
    struct logs_place next; /* what goes down unasked continues here */
    uint64_t follow; /* bytes a day of that, as the version that ran last has them; 0 = none */
    uint64_t day, day_bytes; /* since the epoch, and what has gone down on it */
    bool sealed;             /* ... wants its mail sealed: nothing of its log goes down */
    bool short_of;           /* the day's bytes were used up when something was waiting */
    bool asked;              /* the ground has asked for more, of which is left: */
    struct logs_place asked_next;
    uint64_t asked_bytes;
};

/* Load; one that is not there is a fresh one.  RC_STATE_DAMAGED: *ret is a fresh one, too, with all
 * bytes of the day now_ms is in used up; save it.  Any other error: *ret is not to be used. */
must_check enum rc logs_state_load(int data_dir, const char *tenant, const char *payload,
                                   uint64_t now_ms, struct logs_state *ret, struct err *err);

must_check enum rc logs_state_save(int data_dir, const char *tenant, const char *payload,
                                   const struct logs_state *state, struct err *err);

#endif
