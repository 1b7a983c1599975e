/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_audit: between the store's own files: the log from before there were records.
 */
#ifndef BERTH_ORCHESTRATOR_STORE_AUDIT_H
#define BERTH_ORCHESTRATOR_STORE_AUDIT_H

#include "orchestrator/store.h"

#define AUDIT_BEGUN "chain-begun" /* action of the first record where there was a log before */

/* Whether that log is whole.  RC_AUDIT_BROKEN names the first bad entry. */
must_check enum rc audit_before_check(struct store *store, struct err *err);

/* What the first record says of it, over all that its entries say; "" if there is nothing to say.
 * One that is not whole is no reason to write no log ever again: then it says that. */
must_check enum rc audit_before_text(struct store *store, char ret[AUDIT_WHAT_CAP],
                                     struct err *err);

#endif
