/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/own: the agent's own programs: which ones run, whether they are on trial, and the way to
 * others.  The core decides (agent/reconcile) as it does for payloads; here its decision is written
 * into the boot record, and berthd ends so that berth-boot starts what is due.
 *
 * The boot record is the truth and the table follows it: a cut between the two is mended by the
 * next step.  What berth-boot says of who we are is believed only if our own directory is the one
 * that it names.
 */
#ifndef BERTH_AGENT_OWN_H
#define BERTH_AGENT_OWN_H

#include "agent/agent.h"

/* Before the state is touched: what berth-boot said (NULL: it did not start us), held against the
 * directory that our program lies in. */
void own_claim(struct agent *a, int own_dir, const char *name);

/* Load the record and find out whether we are on trial.  RC_AGENT_FORMAT: we are, and cannot write
 * the state as the agent before us reads it; the trial is over, and nothing may be changed.  RC_IO,
 * RC_NO_MEMORY: nobody can say just now, and which agents are needed is not known. */
must_check enum rc own_load(struct agent *a, struct err *err);

/* Another agent is wanted: keep the state as it is, write the record, end.  No manifest: leave the
 * one that runs, for the programs of the launch. */
void own_switch(struct agent *a, const struct action *action);

/* Prove ourselves, or give up; called every second. */
void own_tick(struct agent *a, uint64_t now_ms);

/* Called at the end of an agent that was asked to end: this start does not count.  Nothing happens
 * if that has been written down before. */
void own_stopped(struct agent *a);

/* A directory that this start could not use can be used: end in order, for the next start to find
 * what is in it; asked for as by whoever stops us, so the start does not count.  Not while a trial
 * would lose by it, and not before so long after the start: a minute, and twice that for each time
 * in a row that it has been done, up to OWN_ANEW_MAX_MS.  Then nothing happens, and whoever looks
 * says it again. */
#define OWN_ANEW_MAX_MS (6U * 3600U * 1000U)
#define OWN_ANEW_UNKNOWN 6U /* times, where they cannot be counted: an hour */
void own_start_anew(struct agent *a, uint64_t now_ms);

/* Whether the slot holds an agent that the record names: never to be removed. */
bool own_needs(const struct agent *a, const struct slot_id *id);

/* The files of a slot are not those that were signed, or were not: if it is that of the agent which
 * never got well last, that was no fault of its, and it may be tried again once it is whole.  What
 * cannot be written down now is found again in the next round. */
void own_excuse(struct agent *a, const struct slot_id *id);

/* For the report. */
struct report_agent own_report(const struct agent *a);

#endif
