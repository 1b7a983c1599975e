/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/origin: the slot that a delta starts from: one of the same payload whose verified manifest
 * names the index that the delta is for.  Which one that is, the delta says, and nobody signed it:
 * it chooses among what is installed and verified, and berth-unpack checks what comes of it.
 */
#ifndef BERTH_AGENT_ORIGIN_H
#define BERTH_AGENT_ORIGIN_H

#include "agent/agent.h"

/* An opened slot with its index, and the manifest that was verified now. */
struct origin {
    struct slot_id id;
    struct slot slot;
    int index;
    struct verified_manifest *manifest;
};

/* Find it: first the version that committed last, then the one before, then any other.
 * RC_DELTA_BASE: there is none.  RC_SLOT_DAMAGED: there is, but its index is missing.
 * RC_DELTA_FORMAT, RC_INDEX_MISMATCH as delta_base. */
must_check enum rc origin_find(struct agent *a, const struct verified_delta *delta,
                               struct origin *ret, struct err *err);

void origin_done(struct origin *origin); /* a scope cleaner; harmless on ORIGIN_NONE */

#define ORIGIN_NONE ((struct origin){ .slot = { .root = -1 }, .index = -1 })

#endif
