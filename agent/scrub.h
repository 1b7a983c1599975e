/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/scrub: everything that must still be right in a year is read again, round after round, and
 * mended while it can be: state files and trust from memory or from their other copy, slots from
 * their kept package, that from the ground (agent/repair); what berth-link keeps it reads itself.
 *
 * agent/rounds says when what is read.  Small files are read here; objects and slots in a process
 * of their own, which has the processor and the medium only when nobody else wants them, so neither
 * payloads nor the loop wait for it.  Nothing is read while a package is being installed.  What was
 * found is counted in every report (report_scrub).
 */
#ifndef BERTH_AGENT_SCRUB_H
#define BERTH_AGENT_SCRUB_H

#include "agent/agent.h"

/* Once the loop is there: SIGUSR1 asks for a whole round at once. */
must_check enum rc scrub_open(struct agent *a, struct err *err);

/* Read what is due; called every second. */
void scrub_tick(struct agent *a, uint64_t now_ms);

/* berth-link's answer. */
void scrub_link(struct agent *a, const struct port_scrubbed *found);

/* What the report says. */
void scrub_report(const struct agent *a, uint64_t now_ms, struct report_scrub *ret);

/* End a job that is under way. */
void scrub_close(struct agent *a);

/* List the state files below: of the state directory, or of trust/.  The rest is for the walk. */
void scrub_files_list(struct agent *a, void (*add)(struct agent *a, const struct scrub_item *item));

/* Read one of them, and mend it. */
void scrub_file(struct agent *a, const struct scrub_item *item);

#endif
