/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/space: what may be removed to make room, and in which order.  Pure.
 *
 * A version can be reached, and is never removed, if it runs, committed last, committed before
 * that, is wanted, waits behind a trial's snapshot, or is named by the order in force or by the
 * order that waits for its token (which is how an operator pins a version); an agent that the boot
 * record names, and what a delta is being applied to, are pinned by the caller.  All else can be
 * had again from the ground.  Whatever the history, these hold (tests/unit/test_agent_space.c):
 *   nothing that can be reached is chosen, unless its payload is ordered by nobody and does not
 * run; what failed or was overtaken is chosen always, the rest only as far as it is needed, and
 * only if all of it together is enough: nobody loses anything for work that is refused all the
 * same; what was chosen once and removed leaves nothing more to choose.
 *
 * In the object store lie packages that wait and packages that are kept for repairs.  Who sends
 * more than fits pays first, with what is kept of its own; another tenant gives up only what it has
 * above its share of the store; and what something that runs would be repaired from stays.
 */
#ifndef BERTH_AGENT_SPACE_H
#define BERTH_AGENT_SPACE_H

#include "agent/reconcile.h"
#include "update/slots.h"

/* Why something may go; the lower goes first. */
enum space_rank {
    SPACE_FAILED = 0, /* a version that failed here and is not tried again */
    SPACE_OVERTAKEN,  /* no newer than the version that committed */
    SPACE_KEPT,       /* the package of an installed version, kept for repairs */
    SPACE_AHEAD,  /* a version that came ahead of any order for it, or whose payload is unknown */
    SPACE_IDLE,   /* the last versions of a payload that no order names and that does not run */
    SPACE_SOURCE, /* the package of a version that runs or committed last: it is repaired from that
                   */
    SPACE_REACHABLE, /* it may not */
};
#define SPACE_THINGS_MAX 512U
#define SPACE_GARBAGE SPACE_OVERTAKEN /* goes always: nobody will need it again */

/* A slot, or the package kept for it. */
struct space_thing {
    bool package;
    bool pinned;         /* it is needed for another reason: it can be reached */
    struct slot_id id;   /* whose it is */
    char team[TEAM_CAP]; /* that signed it, "" = the tenant */
    uint64_t release;    /* 0 = not known */
    uint64_t bytes, files;
};

/* Everything that the choice rests on. */
struct space_view {
    const struct table *table;
    const struct order *order;  /* in force; NULL = none */
    const struct order *staged; /* waits for its token; NULL = none */
    const struct space_thing *thing;
    uint32_t n;
};

/* How much is needed, and from whom. */
struct space_need {
    const char *tenant; /* NULL = anybody */
    const char *team;   /* and its teams; "" = all of the tenant */
    enum space_rank up_to;
    bool others;                  /* what others have may go too, after all of theirs, and ... */
    enum space_rank others_up_to; /* ... no further than this */
    bool partial; /* the view does not hold everything: what goes is worth it, even if too little */
    uint64_t bytes, files;
};

enum space_rank space_rank_of(const struct space_view *view, uint32_t i);

/* Whether a version runs, or is the one to return to: its kept package is what it is repaired
 * from. */
bool space_is_source(const struct table *table, const struct slot_id *id);

/* What goes, in the order in which it should: indices of view->thing into ret, which has room for
 * all; their number into *ret_n.  First all garbage, then by rank, the oldest release of a payload
 * first, until bytes and files are freed.  False: that would not be enough, and only garbage was
 * chosen. */
bool space_choose(const struct space_view *view, const struct space_need *need, uint32_t *ret,
                  uint32_t *ret_n);

/* Something in the object store. */
struct store_thing {
    char tenant[NAME_CAP]; /* whose it is, or says it is; "" = nobody's that is known */
    bool kept;             /* for repairs; else it waits */
    bool held;             /* it stays: in use, or what something that runs is repaired from */
    uint64_t bytes;
    uint64_t age; /* the lower came earlier */
};

struct store_view {
    const struct store_thing *thing;
    uint32_t n;
    uint64_t bytes_max;
    uint32_t count_max;
    uint32_t tenants; /* that the store is shared out to, at least 1 */
};

#define STORE_THINGS_MAX 160U

/* What leaves the store so that a package of this tenant ("" = nobody's) fits, in order: indices of
 * view->thing into ret, which has room for all; their number into *ret_n.  What is nobody's, the
 * newest first; what is kept of the tenant's own, the oldest first; then, of the tenant that has
 * most above its share, and would still have that without it, what is kept and then what waits.
 * False: it does not fit, and nothing goes. */
bool store_choose(const struct store_view *view, const char *tenant, uint64_t size, uint32_t *ret,
                  uint32_t *ret_n);

#endif
