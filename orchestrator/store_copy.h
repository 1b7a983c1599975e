/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_copy: whole stores: whether one is whole, and a copy of one into another, of
 * whichever databases they are.
 */
#ifndef BERTH_ORCHESTRATOR_STORE_COPY_H
#define BERTH_ORCHESTRATOR_STORE_COPY_H

#include "orchestrator/store.h"

/* Whether the database finds itself whole, and has the tables and columns that this program makes.
 * RC_STORE names the first thing that is not so.  The audit log is store_audit_check's. */
must_check enum rc store_check(struct store *store, struct err *err);

/* Copy all of one moment of a store into an empty one, while others work on it: everything or
 * nothing.  RC_EXISTS if the other is not empty. */
must_check enum rc store_copy(struct store *from, struct store *to, uint64_t *ret_rows,
                              struct err *err);

#endif
