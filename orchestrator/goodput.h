/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/goodput: what reports say of past contacts, as goodput of each station and
 * satellite.  Pure.
 *
 * A contact teaches only when something was still waiting for the satellite at its end: then the
 * link was what limited it, and what arrived, over the contact's room, is one sample for
 * contact_learn.  A contact that had less to carry than it could says nothing of the link.
 */
#ifndef BERTH_ORCHESTRATOR_GOODPUT_H
#define BERTH_ORCHESTRATOR_GOODPUT_H

#include "orchestrator/contact.h"

#define GOODPUT_GRACE_MS 600000 /* a report may be this late and still be of the contact before */

/* What a satellite counted in one contact of its own, which may be a part of a pass. */
struct goodput_heard {
    uint32_t satellite;  /* index */
    int64_t received_ms; /* when it was told first, Unix time */
    uint64_t arrived;    /* bytes of whole bundles, useful or repeated */
    bool waiting;        /* something was still to be sent then */
    bool uncounted;      /* only that it was heard: says nothing of what arrived */
};

/* Learn from all of them, by the time of the contacts.  past: sorted, and what was reserved or more
 * is what took place.  table[station * n_satellites + satellite] holds what was known before.
 * RC_NO_MEMORY. */
must_check enum rc goodput_learn(const struct contacts *past, const struct goodput_heard *heard,
                                 size_t n, struct contact_goodput *table, uint32_t n_satellites,
                                 struct err *err);

/* What has become of reserved contacts: those in which something was told are done, others that are
 * over for GOODPUT_GRACE_MS have failed, those under way execute.  What was over before the
 * satellite's first entry stays as it is: what was heard then is not known any more.  All indices
 * are below n_satellites.  RC_NO_MEMORY. */
must_check enum rc goodput_settle(struct contacts *contacts, const struct goodput_heard *heard,
                                  size_t n, uint32_t n_satellites, int64_t now_ms, struct err *err);

#endif
