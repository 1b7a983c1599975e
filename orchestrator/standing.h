/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/standing: one satellite as it stands, desired beside observed, payload by payload:
 * what `berth status` and `berth ps` say of it in words and as JSON.  What a report says is what a
 * satellite said: authentic, and made printable here.
 */
#ifndef BERTH_ORCHESTRATOR_STANDING_H
#define BERTH_ORCHESTRATOR_STANDING_H

#include "orchestrator/confinement.h"
#include "orchestrator/json.h"
#include "orchestrator/view.h"

#define STANDING_REASON_CAP 128U /* of a code and an event */
#define STANDING_ALARM_CAP CONFINEMENT_ALARM_CAP

/* One payload of one satellite, ordered or seen or both. */
struct standing_line {
    const char *tenant;
    const char *name;
    const struct order_line *want;     /* NULL = not ordered */
    const struct report_payload *seen; /* NULL = not reported */
};

/* All lines of a satellite and how many they are; the caller frees *ret.  None without memory. */
size_t standing_lines(const struct view_satellite *sat, struct standing_line **ret);

/* The version that is wanted: "" = none; "?" = a manifest that the store does not know. */
const char *standing_version(const struct view *view, const struct standing_line *line);

/* The code with which a delta to the wanted version did not work there; 0 = none did. */
uint32_t standing_refused(const struct view *view, const struct view_satellite *sat,
                          const struct standing_line *line);

/* What came down of a satellite's events; oldest first. */
struct standing_told {
    struct store_event *events;
    size_t n;
};

/* The newest of a satellite's events that are kept; none if they cannot be read. */
struct standing_told standing_told_by(struct store *store, const char *id);
void standing_told_free(struct standing_told *told); /* scope cleaner */

/* Why a payload is not as it should be: "GRANT_EXCEEDED: inner-root", or the code alone, or "";
 * returns out. */
const char *standing_reason(const struct standing_told *told, const struct standing_line *line,
                            char *out, size_t cap);

/* What people must know of a satellite first; "" if all is well. */
void standing_alarm(const struct sight *seen, char out[STANDING_ALARM_CAP]);

/* All of it; a new reference.  What cannot be read of the store is left empty. */
json_t *standing_json(struct store *store, const struct view *view,
                      const struct view_satellite *sat, uint64_t now_ms, uint64_t silent_ms);

#endif
