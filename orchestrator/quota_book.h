/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/quota_book: what tenants use of their quotas: which objects went up today or wait
 * to, and what each version takes of a satellite, read from its manifest once.
 *
 * What goes up is counted by whole objects: one that a satellite has reported complete counts on
 * that day, one that waits may go today.  Sizes are those of the objects; what bundles add, and
 * what is lost and sent again, comes on top.
 */
#ifndef BERTH_ORCHESTRATOR_QUOTA_BOOK_H
#define BERTH_ORCHESTRATOR_QUOTA_BOOK_H

#include "orchestrator/admit.h"
#include "orchestrator/sight.h"
#include "orchestrator/view.h"

#define QUOTA_DAY_MS (24ULL * 3600 * 1000)

/* An object of a tenant that went up today, or waits. */
struct quota_up {
    const struct store_package *package; /* view's */
    bool waits;
    uint64_t bytes;
};

struct quota_book {
    uint64_t now_ms;
    size_t n_up;
    struct quota_up *up;
    struct admit_known versions;
};

/* Read the queues.  The view must outlive *ret; free with quota_book_free. */
must_check enum rc quota_book_load(struct store *store, const struct view *view, uint64_t now_ms,
                                   struct quota_book **ret, struct err *err);
void quota_book_free(struct quota_book **book); /* scope cleaner */

/* Bytes of a tenant that went up on this UTC day. */
uint64_t quota_book_sent(const struct quota_book *book, const char *tenant);

/* What all lines of an order that are of a team or its teams ("" = of the tenant) take:
 * all of ret but FLEET_UPLINK is set. */
must_check enum rc quota_book_order(struct quota_book *book, const struct home *home,
                                    const struct want *order, const struct fleet_quota *who,
                                    uint64_t ret[FLEET_BOUNDS], struct err *err);

/* What of a team's went up today, and what waits. */
must_check enum rc quota_book_up(struct quota_book *book, const struct home *home,
                                 const struct fleet_quota *who, uint64_t *ret_sent,
                                 uint64_t *ret_waits, struct err *err);

/* Whether a version is of this team, or one of its teams. */
bool quota_book_is_of(const struct admit_version *version, const struct fleet_quota *who);

#endif
