/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/settle: what passes have come to: done if the satellite was heard in time, with what
 * it has counted; failed if nothing was heard until GOODPUT_GRACE_MS after the end.
 */
#ifndef BERTH_ORCHESTRATOR_SETTLE_H
#define BERTH_ORCHESTRATOR_SETTLE_H

#include "orchestrator/goodput.h"
#include "orchestrator/store.h"

/* Pure: move the passes of one satellite, sorted by beginning, by what was heard of it.  *ret[i]:
 * that one has changed.  What was heard belongs to the last pass that had begun by then. */
void settle_move(struct store_pass *pass, size_t n, const struct store_heard *heard, size_t n_heard,
                 int64_t now_ms, bool *ret);

/* The same with all that the store has, and what changed is kept.  *ret_changed is set when
 * something did, and else left alone. */
must_check enum rc settle_passes(struct store *store, int64_t now_ms, bool *ret_changed,
                                 struct err *err);

#endif
