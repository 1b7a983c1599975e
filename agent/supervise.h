/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/supervise: starting and stopping payloads through berth-launch, and listening to them.
 *
 * A slot's envelope is verified again before every start, against the trust of that moment.  What
 * comes from berth-launch is checked by sandbox/wire; what comes from payloads is hostile.
 */
#ifndef BERTH_AGENT_SUPERVISE_H
#define BERTH_AGENT_SUPERVISE_H

#include "agent/agent.h"

/* Listen to berth-launch. */
must_check enum rc supervise_open(struct agent *a, struct err *err);

/* For reconcile: whether this version may start (installed, signed, granted, not below the floor,
 * for this machine, and within what the tenant may have in all). */
enum rc supervise_admit(void *arg, const struct unit_record *unit, const struct digest *manifest,
                        struct admission *ret);

/* Whether the version of a unit that committed last may run, as far as it and its grant go; and
 * SHA-256 of its envelope, for agent/recorded. */
must_check enum rc supervise_vouch(const struct agent *a, const struct unit_record *unit,
                                   struct digest *ret);

/* For reconcile: whether the other version differs from the one that runs in nothing but what can
 * be changed as it runs (and in what it is called). */
bool supervise_live(void *arg, const struct unit_record *unit, const struct digest *running,
                    const struct digest *wanted);

/* Ask berth-launch for the limits of a version; the answer goes to reconcile. */
void supervise_relimit(struct agent *a, const struct action *action);

/* Carry out a start; a failure goes to reconcile as a failed launch. */
void supervise_start(struct agent *a, const struct action *action);

/* Carry out a stop. */
void supervise_stop(struct agent *a, uint64_t instance);

/* Let nothing of an instance run, or let it run again; the answer of berth-launch is logged, and a
 * freeze that is not complete is asked for again at the next tick.  Its watchdog and its other
 * clocks stand still meanwhile (reconcile_freeze).  What is frozen can be stopped as any other. */
void supervise_freeze(struct agent *a, uint64_t instance);
void supervise_thaw(struct agent *a, uint64_t instance);

/* Take the notify messages that are waiting, so that nobody is late because we were. */
void supervise_poll(struct agent *a);

/* Every second: ask for usage, let output flow again, stop what the trust does not cover any more.
 * What that leads to is for the next agent_step. */
void supervise_tick(struct agent *a);

/* The trust has changed: stop what it does not cover any more.  What is just starting is looked at
 * again at the next tick. */
void supervise_recheck(struct agent *a);

/* Usage of the instance that unit i runs; all zero if it runs none. */
struct usage supervise_usage(const struct agent *a, const struct unit *unit);

#endif
