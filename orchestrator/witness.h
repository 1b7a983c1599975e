/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/witness: whether the audit log of the ground goes on from what satellites have seen
 * of it.
 *
 * Orders carry the head of the log up, to satellites that keep it, and reports bring the furthest
 * one back.  A store that was rolled back, or whose log was written anew, does not have it: that is
 * an alarm, and until an operator has said that what is missing is lost (berth audit accept-loss),
 * no new order is made or released.  What a report says is a claim of an authenticated satellite;
 * one that is absurd accuses the satellite and stops nothing.
 */
#ifndef BERTH_ORCHESTRATOR_WITNESS_H
#define BERTH_ORCHESTRATOR_WITNESS_H

#include "orchestrator/view.h"

enum witness_state {
    WITNESS_NONE,     /* nothing was seen, or nobody keeps it */
    WITNESS_GOOD,     /* the log has that record */
    WITNESS_GIVEN_UP, /* it does not, and an operator has said that it is lost */
    WITNESS_AHEAD,    /* the log ends before it */
    WITNESS_OTHER,    /* the log has another record of that number */
    WITNESS_ABSURD,   /* further ahead than any log can have come */
};
#define WITNESS_AHEAD_MAX (1U << 20) /* entries that a lost piece of a log may have had */

/* Pure.  held: SHA-256 of the log's own record of that number, NULL = it has none; lost: the number
 * was given up; head: number of its newest record. */
enum witness_state witness_judge(const struct witness *seen, uint64_t head,
                                 const struct digest *held, bool lost);

/* Whether it shows that the log is not what it was. */
bool witness_alarms(enum witness_state state);

/* What one satellite has seen. */
must_check enum rc witness_look(struct store *store, const struct report *seen,
                                enum witness_state *ret, struct err *err);

/* What the fleet has seen that the log does not have. */
struct witness_alarm {
    uint32_t satellites;      /* 0 = all is well */
    uint64_t first, last;     /* least and greatest number among them */
    uint64_t head;            /* where the log ends */
    char satellite[NAME_CAP]; /* the one with the greatest */
    enum witness_state state; /* of that one */
};
must_check enum rc witness_fleet(struct store *store, const struct view *view,
                                 struct witness_alarm *ret, struct err *err);

/* RC_AUDIT_LOST, in words, if there is an alarm. */
must_check enum rc witness_refuse(const struct witness_alarm *alarm, struct err *err);

/* The head for an order to this satellite; none unless its newest report says that it keeps one. */
must_check enum rc witness_for(struct store *store, const struct report *seen, struct witness *ret,
                               struct err *err);

#endif
