/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/reserved: reservations outlive the plan that made them: apply keeps them, and later
 * plans find them again among contacts that newer elements give.
 */
#ifndef BERTH_ORCHESTRATOR_RESERVED_H
#define BERTH_ORCHESTRATOR_RESERVED_H

#include "orchestrator/contact.h"
#include "orchestrator/fleet.h"
#include "orchestrator/store.h"

#define RESERVED_DRIFT_MS 60000 /* newer elements may move a contact by so much */

/* Mark the contacts that are reserved already, with their antennas; those that have begun execute.
 * A reservation whose contact is not there any more, or whose antenna is not, is no more.  Pure. */
void reserved_recall(const struct fleet *fleet, const struct store_reserved *rows, size_t n,
                     int64_t now_ms, struct contacts *contacts);

/* The same with what the store has. */
must_check enum rc reserved_load(const struct fleet *fleet, struct store *store, int64_t now_ms,
                                 struct contacts *contacts, struct err *err);

/* Keep what is reserved from now on, in place of what was. */
must_check enum rc reserved_keep(const struct fleet *fleet, const struct contacts *contacts,
                                 struct store *store, int64_t now_ms, struct err *err);

#endif
