/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/lists: what is in the stores, as far as it can be read.
 *
 * One directory of one tenant that cannot be read is no reason to stop what has to do with the
 * others: what is in it is passed over, and told once (RC_STATE_DIR).  It is not lost: whoever must
 * know that something is not there asks strictly, and takes RC_STATE_DIR for "perhaps".
 */
#ifndef BERTH_AGENT_LISTS_H
#define BERTH_AGENT_LISTS_H

#include "agent/agent.h"

/* slot_list and objects_list; RC_OK where a part could not be read. */
must_check enum rc list_slots(struct agent *a, bool (*fn)(void *arg, const struct slot_id *id),
                              void *arg, struct err *err);
must_check enum rc list_objects(struct agent *a,
                                bool (*fn)(void *arg, const struct digest *digest, uint64_t size),
                                void *arg, struct err *err);

/* list_slots of one tenant, "" = of all, and RC_STATE_DIR where a part could not be read. */
must_check enum rc list_slots_strictly(struct agent *a, const char *tenant,
                                       bool (*fn)(void *arg, const struct slot_id *id), void *arg,
                                       struct err *err);

#endif
