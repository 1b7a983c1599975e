/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/contact_find: contacts of one satellite: from its path over the stations, or from a
 * contact plan of somebody else.  Pure.
 */
#ifndef BERTH_ORCHESTRATOR_CONTACT_FIND_H
#define BERTH_ORCHESTRATOR_CONTACT_FIND_H

#include "orchestrator/contact.h"
#include "orchestrator/contact_ion.h"

struct contact_search {
    const struct contact_station *station;
    uint32_t n_stations;
    uint32_t satellite; /* index that the contacts get */
    uint64_t node;      /* of the satellite, for contact plans of others */
    const struct contact_link *link;
    /* What has been learnt of a station and this satellite; NULL = nothing of any. */
    struct contact_goodput (*goodput)(void *arg, uint32_t station, uint32_t satellite);
    void *arg;
};

/* The stations' places, as a sky.  The codes of sky_new. */
must_check enum rc contact_sky(const struct contact_station *station, uint32_t n, int64_t from_ms,
                               int64_t to_ms, struct sky **ret, struct err *err);

/* Append the contacts that a path gives; the sky is one of contact_sky over the same stations.
 * RC_ORBIT: the path does not cover the whole span; what was found before is kept. */
must_check enum rc contact_find(const struct contact_search *s, const struct sky *sky,
                                const struct sky_path *path, struct contacts *list,
                                struct err *err);

/* Append the contacts of a plan from a station's node to the satellite's that lie in the span, cut
 * to it, at the plan's rate; the link gives set-up time, overhead and prior, a confidence below 1
 * lowers what is expected.  Other nodes are not ours. */
must_check enum rc contact_import(const struct contact_search *s, const struct contact_ion *plan,
                                  int64_t from_ms, int64_t to_ms, struct contacts *list,
                                  struct err *err);

#endif
