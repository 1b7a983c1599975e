/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/learnt: goodput of every station and satellite of a fleet file, from what the store
 * has heard in the last days.  Computed anew each time: what was heard is what is kept.
 */
#ifndef BERTH_ORCHESTRATOR_LEARNT_H
#define BERTH_ORCHESTRATOR_LEARNT_H

#include "orchestrator/contact.h"
#include "orchestrator/fleet.h"
#include "orchestrator/goodput.h"
#include "orchestrator/store.h"

#define LEARNT_DAYS_MS (7LL * 24 * 3600 * 1000) /* what is older says nothing any more */

struct learnt {
    const struct fleet *fleet;   /* the caller's */
    struct contact_goodput *at;  /* [station][satellite]; NULL = the links' priors */
    struct goodput_heard *heard; /* what it was learnt from; owned, as at is */
    size_t n_heard;
};

/* path: of the fleet file, whose contacts of these days are computed.  The codes of outlook_make,
 * and those of the store.  End with learnt_done (scope cleaner; fine on a zeroed one). */
must_check enum rc learnt_load(const struct fleet *fleet, const char *path, struct store *store,
                               int64_t now_ms, struct learnt *ret, struct err *err);
void learnt_done(struct learnt *learnt);

/* For contact_find and forecast_make: arg is a struct learnt. */
struct contact_goodput learnt_goodput(void *arg, uint32_t station, uint32_t satellite);

#endif
