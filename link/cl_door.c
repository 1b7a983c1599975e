/* SPDX-License-Identifier: Apache-2.0 */
#include "link/cl_door.h"

/* Places that hosts other than the expected one have: without the session and one to spare. */
#define STRANGERS (CL_DOOR_PLACES - 2U)

/* What there is, seen by a newcomer; CL_DOOR_PLACES = none. */
struct crowd {
    size_t vacant;    /* free, or over */
    size_t n_own;     /* handshakes of its own host */
    size_t n_strange; /* of hosts that are not expected */
    size_t oldest_own;
    size_t oldest_strange;
};

static void grow_old(const struct cl_door_place *places, size_t i, size_t *oldest)
{
    if (*oldest == CL_DOOR_PLACES || places[i].since_ms < places[*oldest].since_ms)
        *oldest = i;
}

/* Whether a handshake counts as the newcomer's.  The expected host is by itself: neither do others
 * of its network, who may be anybody, take up what is its, nor does it take up theirs. */
static bool is_own(const struct cl_address *one, const struct cl_address *from,
                   const struct cl_address *expected)
{
    const bool one_expected = expected && cl_net_same_host(one, expected);
    const bool from_expected = expected && cl_net_same_host(from, expected);

    return one_expected == from_expected && cl_net_same_source(one, from);
}

static struct crowd look(const struct cl_door_place *places, const struct cl_address *from,
                         const struct cl_address *expected)
{
    struct crowd c = { .vacant = CL_DOOR_PLACES,
                       .oldest_own = CL_DOOR_PLACES,
                       .oldest_strange = CL_DOOR_PLACES };

    for (size_t i = 0; i < CL_DOOR_PLACES; i++) {
        const struct cl_door_place *p = &places[i];

        if (p->is == CL_DOOR_FREE || (p->is == CL_DOOR_OVER && c.vacant == CL_DOOR_PLACES))
            c.vacant = i;
        if (p->is != CL_DOOR_HANDSHAKE)
            continue;
        if (is_own(&p->from, from, expected)) {
            c.n_own++;
            grow_old(places, i, &c.oldest_own);
        }
        if (!expected || !cl_net_same_host(&p->from, expected)) {
            c.n_strange++;
            grow_old(places, i, &c.oldest_strange);
        }
    }
    return c;
}

size_t cl_door(const struct cl_door_place places[CL_DOOR_PLACES], const struct cl_address *from,
               const struct cl_address *expected, uint64_t now_ms)
{
    const struct crowd c = look(places, from, expected);
    const bool wanted = expected && cl_net_same_host(from, expected);
    size_t victim = c.oldest_strange;

    if (c.n_own >= CL_DOOR_HOST)
        victim = c.oldest_own;
    else if (c.vacant < CL_DOOR_PLACES && (wanted || !expected || c.n_strange < STRANGERS))
        return c.vacant;
    else if (wanted && victim < CL_DOOR_PLACES)
        return victim;
    return victim < CL_DOOR_PLACES && now_ms - places[victim].since_ms >= CL_DOOR_GRACE_MS
               ? victim
               : CL_DOOR_PLACES;
}
