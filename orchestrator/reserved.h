/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/reserved: reservations outlive the plan that made them: apply keeps them, and later
 * plans find them again among contacts that newer elements give.
 */
#ifndef BERTH_ORCHESTRATOR_RESERVED_H
#define BERTH_ORCHESTRATOR_RESERVED_H

#include "orchestrator/contact.h"
#include "orchestrator/fleet.h"
#include "orchestrator/schedule.h"
#include "orchestrator/store.h"

#define RESERVED_DRIFT_MS 60000 /* newer elements may move a contact by so much */

/* Mark the contacts that are reserved already, with their antennas; those that have begun execute.
 * A reservation whose contact is not there any more, or whose antenna is not, is no more.  Pure. */
void reserved_recall(const struct fleet *fleet, const struct store_reserved *rows, size_t n,
                     int64_t now_ms, struct contacts *contacts);

/* What satellites of other files have reserved on this file's stations; ret has room for n.  Pure.
 */
size_t reserved_others(const struct fleet *fleet, const struct store_reserved *rows, size_t n,
                       struct schedule_taken *ret);

/* Both with what the store has; free the list. */
must_check enum rc reserved_load(const struct fleet *fleet, struct store *store, int64_t now_ms,
                                 struct contacts *contacts, struct schedule_taken **ret,
                                 size_t *ret_n, struct err *err);

/* Keep what is reserved from now on for this file's satellites, in place of what was.  What those
 * of other files have stays. */
must_check enum rc reserved_keep(const struct fleet *fleet, const struct contacts *contacts,
                                 struct store *store, int64_t now_ms, struct err *err);

#endif
