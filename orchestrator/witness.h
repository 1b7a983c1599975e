/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/witness: whether the audit log of the ground goes on from what satellites have seen
 * of it.
 *
 * Orders carry the head of the log up, to satellites that keep it, and reports bring the furthest
 * one back.  A store that was rolled back, or whose log was written anew, does not have it: that is
 * an alarm, and until an operator has said that what is missing is lost (berth audit accept-loss),
 * no new order is made or released.  What a report says is a claim of an authenticated satellite;
 * one that is absurd accuses the satellite and stops nothing.  Every record of the log commits to
 * all before it: where one satellite has seen the log's own record, another's of the same number or
 * an earlier one that the log does not have accuses that satellite, which gets no order.  A number
 * beyond the end cannot be refuted so; an operator may say whose witness counts no longer (berth
 * audit accept-loss --satellite).
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
    WITNESS_ACCUSED,  /* as OTHER, and another satellite has seen what the log has there or later */
    WITNESS_IGNORED,  /* an operator has said that this satellite's does not count */
};
#define WITNESS_AHEAD_MAX (1U << 20) /* entries that a lost piece of a log may have had */

/* Pure.  held: SHA-256 of the log's own record of that number, NULL = it has none; lost: the number
 * was given up; head: number of its newest record. */
enum witness_state witness_judge(const struct witness *seen, uint64_t head,
                                 const struct digest *held, bool lost);

/* Whether it shows that the log is not what it was. */
bool witness_alarms(enum witness_state state);

/* The same in the sight of the fleet, pure: good is the greatest number at which any satellite has
 * seen the log's own record. */
enum witness_state witness_weigh(enum witness_state state, uint64_t seq, uint64_t good);

/* What every satellite of the view has seen, in its order; *ret is the caller's to free. */
must_check enum rc witness_states(struct store *store, const struct view *view,
                                  enum witness_state **ret, struct err *err);

/* What has to be given up before orders go on: numbers that satellites have seen and the log lost,
 * which are never used again and prove nothing any more.  Numbers that the log has go each by
 * itself: what lies between two claims is nobody's.  What lies behind its end goes at once, up to
 * the greatest claim: a store put back from a copy lost all of that, and other satellites have yet
 * to say which of it they saw.  From the greatest down: begin with below = UINT64_MAX, go on with
 * ret->first; false when there is no more. */
bool witness_lost(const struct view *view, const enum witness_state *states, uint64_t head,
                  uint64_t below, struct audit_lost *ret, const char **ret_satellite);

/* What the fleet has seen that the log does not have. */
struct witness_alarm {
    uint32_t satellites;      /* 0 = all is well */
    uint64_t first, last;     /* least and greatest number among them */
    uint64_t head;            /* where the log ends */
    char satellite[NAME_CAP]; /* the one with the greatest */
    enum witness_state state; /* of that one */
    uint32_t accused;         /* beside them: satellites that the others contradict */
    uint64_t accused_seq;     /* what the first of these says that it has seen */
    char accuses[NAME_CAP];   /* that satellite */
};
must_check enum rc witness_fleet(struct store *store, const struct view *view,
                                 struct witness_alarm *ret, struct err *err);

/* RC_AUDIT_LOST, in words, if there is an alarm. */
must_check enum rc witness_refuse(const struct witness_alarm *alarm, struct err *err);

/* The same about the satellites that are accused. */
must_check enum rc witness_accuse(const struct witness_alarm *alarm, struct err *err);

/* Let the witness of this satellite count no longer, inside the caller's transaction, which holds
 * the entry that says so. */
must_check enum rc witness_ignore(struct store *store, const char *satellite, struct err *err);

/* The head for an order to this satellite; none unless its newest report says that it keeps one. */
must_check enum rc witness_for(struct store *store, const struct sight *seen, struct witness *ret,
                               struct err *err);

#endif
