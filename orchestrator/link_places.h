/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/link_places: which satellites have their link open, where there are more of them
 * than links may be open at once.
 *
 * A pure core.  Who has something to do gets a place; the others keep theirs until it is asked for,
 * and the one whose work lies back longest gives it up first.  Who has something to do all the time
 * keeps it for LINK_HOLD_MS, then the next one has its turn.  Turns go round in the order of the
 * list, so that each one that wants a place gets it.
 */
#ifndef BERTH_ORCHESTRATOR_LINK_PLACES_H
#define BERTH_ORCHESTRATOR_LINK_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_HOLD_MS 30000U

/* What is asked for of one satellite, and whether it has a place: when asked and, changed, when
 * answered. */
struct link_place {
    bool open;
    bool wants;        /* there is something to do */
    bool urgent;       /* that too, and now: these go first */
    uint64_t since_ms; /* when it got its place */
    uint64_t used_ms;  /* when there was something to do last */
    bool gave;         /* answered: it had to give its place up */
};

/* Whose turn is next.  Zero = the first. */
struct link_places {
    size_t next, next_urgent;
};

/* Give out at most max places, at least 1.  Of these the urgent ones have all but a quarter, if
 * others want them, and all if there is only one. */
void link_places_share(struct link_places *places, struct link_place *place, size_t n, size_t max,
                       uint64_t now_ms);

#endif
