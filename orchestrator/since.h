/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/since: "since when", as people say it: since a pass, for so long, from a time on.
 */
#ifndef BERTH_ORCHESTRATOR_SINCE_H
#define BERTH_ORCHESTRATOR_SINCE_H

#include "orchestrator/store.h"

#define SINCE_PASS_GAP_MS (10U * 60U * 1000U) /* silence that ends a pass */

/* Parse "pass-2" (what came in the last two passes of the satellite, as the store heard them),
 * "2h", "90m", or a UTC time as 2026-11-30T12:00:00Z or 2026-11-30.  A pass sets *ret_came_ms, the
 * others *ret_at_ms, both Unix ms; the other one is left alone.  ret_came_ms NULL: a pass says
 * nothing here, and store is not looked at.  RC_USAGE, or what the store says. */
must_check enum rc since_parse(struct store *store, const char *satellite, const char *text,
                               uint64_t now_ms, uint64_t *ret_came_ms, uint64_t *ret_at_ms,
                               struct err *err);

/* The time that the option of this name says: "2026-11-30T12:00:00Z", or "6h", so long from now,
 * at most SINCE_FAR_MS, back (sign -1) or ahead (1); Unix ms.  RC_USAGE. */
#define SINCE_FAR_MS (31LL * 24 * 3600 * 1000)
must_check enum rc since_option(const char *name, const char *text, int64_t now_ms, int sign,
                                int64_t *ret_ms, struct err *err);

#endif
