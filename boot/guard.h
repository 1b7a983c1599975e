/* SPDX-License-Identifier: Apache-2.0
 *
 * boot/guard: a copy of berth-boot that stays beside an agent which came with an update until that
 * is known to be well, and kills it if it never is: an agent that hangs is found without anybody
 * else who watches it.
 */
#ifndef BERTH_BOOT_GUARD_H
#define BERTH_BOOT_GUARD_H

#include "boot/start.h"

/* Whom, and how. */
struct guard {
    int state; /* directory */
    struct boot_id who;
    bool trial;
    bool tallied; /* the record cannot be written: who is well cannot say so, and is not killed */
    uint32_t starts;  /* of the current agent, this one too */
    uint32_t after_s; /* the end of its time */
};

/* Guard this process, which is about to become that agent.  Returns in it; RC_IO: no process, no
 * descriptor. */
must_check enum rc guard_start(const struct guard *g, struct err *err);

/* Whether the record says that its agent has not shown yet that it is well: a candidate that is
 * still one, or the current agent with starts that count. */
bool guard_unproven(const struct boot_record *record, const struct boot_id *who);

#endif
