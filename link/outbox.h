/* SPDX-License-Identifier: Apache-2.0
 *
 * link/outbox: from a message to a sealed bundle file.  Works the same on both ends of a link.
 */
#ifndef BERTH_LINK_OUTBOX_H
#define BERTH_LINK_OUTBOX_H

#include "link/state.h"

/* Seal one message under the key that a tenant ("" = the link) sends under now and its next
 * counter, and write it to dirfd as EPOCH-COUNTER.bundle, or EPOCH-COUNTER-TAG.bundle, so that
 * names sort by age.  Durable after dircl_sync.  RC_COUNTER: nothing can be sent; RC_BPSEC_KEY: no
 * such key. */
must_check enum rc outbox_put(struct link_state *state, const char *tenant, int dirfd,
                              struct bytes message, struct err *err);

/* The same for a message of mail, as EPOCH-COUNTER-mail.bundle: outbox_trim leaves those alone. */
must_check enum rc outbox_put_mail(struct link_state *state, int dirfd, struct bytes message,
                                   struct err *err);

/* The same for a report that says nothing without an earlier one, as EPOCH-COUNTER-brief.bundle:
 * outbox_trim never keeps those alone. */
must_check enum rc outbox_put_brief(struct link_state *state, int dirfd, struct bytes message,
                                    struct err *err);

/* Remove all but the newest keep bundles that outbox_put or outbox_put_brief wrote, and every other
 * file that claims to be a bundle: what somebody put there must not pass for the newest.  The
 * newest that outbox_put wrote stays until the carrier has taken it, beside keep newer briefs. */
must_check enum rc outbox_trim(const struct link_state *state, int dirfd, size_t keep,
                               struct err *err);

/* How many bundles wait in the directory, counted up to DIRCL_LIST_MAX; *ret_mail (NULL allowed) of
 * them that outbox_put_mail wrote. */
must_check enum rc outbox_count(int dirfd, size_t *ret, size_t *ret_mail, struct err *err);

#endif
