/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/timetable: the schedule that berth-ground keeps up: the fleet file that was applied
 * last, held against the sky for the two days to come, reserved and filled anew as the queues
 * change.  Reservations are in the store, where berth apply makes them too; what begins soon is
 * left alone, whoever made it.
 *
 * Files are read again when the fleet file changes, and once an hour for newer elements.  A file
 * that cannot be read leaves the timetable as it was, and is told once.
 */
#ifndef BERTH_ORCHESTRATOR_TIMETABLE_H
#define BERTH_ORCHESTRATOR_TIMETABLE_H

#include "orchestrator/fleet.h"
#include "orchestrator/home.h"
#include "orchestrator/shares.h"
#include "orchestrator/store.h"

#define TIMETABLE_SPAN_MS (48LL * 3600 * 1000)
#define TIMETABLE_LOOK_MS (3600LL * 1000)
#define TIMETABLE_NONE UINT32_MAX

struct timetable;

must_check enum rc timetable_new(struct timetable **ret, struct err *err);
void timetable_free(struct timetable **timetable); /* scope cleaner */

/* Read what is due to be read.  *ret_changed: satellites may have other numbers now, and
 * timetable_make is due.  Fails without memory, and where the store does; files that are wrong
 * are logged. */
must_check enum rc timetable_look(struct timetable *timetable, const struct home *home,
                                  int64_t now_ms, bool *ret_changed, struct err *err);

/* The fleet file's number of a satellite that has contacts ahead; TIMETABLE_NONE if nothing is
 * known of when it can be spoken to. */
uint32_t timetable_number(const struct timetable *timetable, const char *satellite);

/* Borrowed, until timetable_look changes it; NULL = no fleet file with stations. */
const struct fleet *timetable_fleet(const struct timetable *timetable);

/* Reserve and fill for these jobs, and keep what changed in the store, as one transaction.
 * Satellites of jobs are timetable_number's. */
must_check enum rc timetable_make(struct timetable *timetable, struct store *store,
                                  const struct shares *shares, const struct schedule_job *job,
                                  uint32_t n_jobs, int64_t now_ms, struct err *err);

/* The reserved pass of a satellite that is handed to at this time; the earlier of two.  state,
 * sent and arrived are zero.  False if there is none. */
bool timetable_pass(const struct timetable *timetable, uint32_t number, int64_t now_ms,
                    struct store_pass *ret);

#endif
