/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/staged: the order that lies on board and waits for its token, and the files of both orders.
 *
 * The state file STAGED_FILE holds the envelope of the order that waits.  ORDER_FILE holds the
 * envelope of the order in force and, if that one was staged, behind it the envelope of the token
 * that put it into force: one save is the step from the old order to the new, and at every start
 * both documents are verified again.  Both files are written in both copies, over
 * damaged ones too: the state knows which order it must be.  At most one order waits; what it names
 * is installed ahead and is not collected.
 */
#ifndef BERTH_AGENT_STAGED_H
#define BERTH_AGENT_STAGED_H

#include "agent/agent.h"

#define ORDER_FILE_MAX (2U * DOCUMENT_MAX)

/* What ORDER_FILE holds; token is empty if the order took effect by itself. */
struct order_file {
    uint8_t *buf;
    struct bytes order, token;
};

void order_file_done(struct order_file *file); /* a scope cleaner */
must_check enum rc order_file_load(int state_dir, struct order_file *ret, struct err *err);
must_check enum rc order_file_save(int state_dir, struct bytes order, struct bytes token,
                                   struct err *err);

/* Verify both documents of the file, as what is in force or was about to be. */
must_check enum rc order_file_verify(struct trust *trust, const struct order_file *file,
                                     const struct order_position *position, uint64_t now_ms,
                                     struct verified_order **ret, struct err *err);

/* The trust has changed: whether the safety role of now signed for the order in force. */
void order_review(struct agent *a);

/* Find the order that waits, at start, when the one in force is known.  One that no longer verifies
 * is told and let go. */
void staged_load(struct agent *a);

/* Keep a verified order that waits, durably, in place of the one before. */
must_check enum rc staged_keep(struct agent *a, const struct verified_order *order,
                               struct bytes envelope, struct err *err);

/* Verify the order that waits once more, to let it take effect. */
must_check enum rc staged_verify(struct agent *a, struct order_file *ret_file,
                                 struct verified_order **ret, struct err *err);

/* No order waits any more. */
void staged_drop(struct agent *a);

/* The trust has changed: let go of an order that no longer verifies. */
void staged_review(struct agent *a);

/* Whether the order that waits names this version. */
bool staged_names(const struct agent *a, const char *tenant, const char *name,
                  const struct digest *manifest);

#endif
