/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/stored: room in the object store, where packages wait to be installed and packages of
 * installed versions are kept for repairs.
 *
 * What waits is not verified: whose it is says its envelope, and what is behind that is read when
 * its turn comes.  So it counts for nobody's quota, and the store is shared out instead: who sends
 * more than fits pays first, and nobody falls below his share for another (agent/space).  What is
 * kept never takes more than half of the store, so that something new can always come.
 */
#ifndef BERTH_AGENT_STORED_H
#define BERTH_AGENT_STORED_H

#include "agent/agent.h"
#include "agent/space.h"

#define STORED_BYTES_MAX (1024ULL * 1024U * 1024U)
#define STORED_COUNT_MAX 128U
#define STORED_LINK_MAX 16U /* packages that berth-link holds at most, complete and not done */

static_assert(STORED_COUNT_MAX <= STORE_THINGS_MAX, "everything in the store can be looked at");
static_assert(STORED_COUNT_MAX + STORED_LINK_MAX <= QUEUE_PACKAGES_MAX,
              "what is full is the store, which refuses, and not the queue, where it would stay");
static_assert(STORED_BYTES_MAX / 2 >= PACKAGE_MAX, "the largest package can be kept");

/* Make room for a package of this tenant ("" = nobody's).  What waited and had to go is told, and
 * the ground may send it again.  RC_STORE_QUOTA: there is none, and nothing has gone. */
must_check enum rc stored_make_room(struct agent *a, const char *tenant, uint64_t size,
                                    struct err *err);

/* Whether the package that a slot has noted may be kept; makes room among what is kept.
 * RC_STORE_QUOTA. */
must_check enum rc stored_may_keep(struct agent *a, const struct slot_id *id,
                                   const struct digest *object, struct err *err);

/* Give up one kept package, whatever would be repaired from it, because the state cannot be saved
 * for want of room.  False: there is none. */
bool stored_give_up(struct agent *a);

#endif
