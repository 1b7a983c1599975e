/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/slot: the states of the wanted version of one payload, as one [state][event] table (design,
 * section 5).  The table is the only way from one state to another; docs/states.dot is printed from
 * it.  No input from outside: events are what the agent itself found out.
 */
#ifndef BERTH_AGENT_SLOT_H
#define BERTH_AGENT_SLOT_H

#include <stdio.h>

#include "manifest/doc.h"

enum slot_event {
    SLOT_EV_ORDER = 0,  /* an order names this version */
    SLOT_EV_SUPERSEDE,  /* an order names another version, or none */
    SLOT_EV_STAGE,      /* its package is whole and in the object store */
    SLOT_EV_VERIFY,     /* signature, digest, size hold */
    SLOT_EV_INSTALL,    /* unpacked and moved into its slot */
    SLOT_EV_FIND,       /* it was in its slot already */
    SLOT_EV_KNOWN,      /* it is the version that committed last */
    SLOT_EV_START,      /* launched, not yet proven */
    SLOT_EV_COMMIT,     /* ready, and stayed so */
    SLOT_EV_REFUSE,     /* not allowed, with a code */
    SLOT_EV_FAIL,       /* did not prove itself, and there is nothing to return to */
    SLOT_EV_ROLLBACK,   /* did not prove itself: the version before runs again */
    SLOT_EV_LOSE,       /* its slot, or the package that was to fill it, is gone or no good */
    SLOT_EV_RECONSIDER, /* what a refusal was based on has changed */
    SLOT_EV_REVOKE,     /* the root role has taken it back */
    SLOT_EVENTS
};

/* The state that follows.  RC_TRANSITION, and *ret untouched, for an empty cell. */
must_check enum rc slot_next(enum slot_state from, enum slot_event event, enum slot_state *ret);

/* "order", "supersede", ...; never NULL. */
const char *slot_event_name(enum slot_event event);

/* Print the table as a Graphviz digraph. */
void slot_print_dot(FILE *out);

#endif
