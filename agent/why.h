/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/why: what exactly a payload asked for that it does not get.  Codes travel in tables and in
 * reports; the words behind them are kept here, for the event that tells the ground and the tenant.
 * Pure.
 */
#ifndef BERTH_AGENT_WHY_H
#define BERTH_AGENT_WHY_H

#include "agent/state.h"
#include "base/err.h"

#define WHY_CAP 64U /* as much as an event has */

/* The last reason of one payload.  All zero = none. */
struct why {
    char name[2U * NAME_CAP]; /* TENANT/PAYLOAD */
    enum rc code;
    char what[WHY_CAP];
};

/* Of as many payloads as there are places; the one that was told longest ago makes room. */
struct whys {
    struct why of[UNITS_MAX];
    uint32_t next;
};

/* Keep it, if its code is one whose text names something that the manifest asks for.  Other texts
 * are for the log: whoever can make them differ each time must not fill the events with them. */
void why_keep(struct whys *whys, const char *name, const struct err *err);

/* "NAME: WHAT" if that was kept with this code, else "NAME"; cut to what an event holds. */
const char *why_text(const struct whys *whys, const char *name, enum rc code, char out[WHY_CAP]);

/* The same at once, of an error that is at hand. */
const char *why_of(const char *name, const struct err *err, char out[WHY_CAP]);

#endif
