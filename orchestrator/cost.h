/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cost: what bytes cost on a link: passes at a stated rate.  Counts the objects' own
 * bytes; what bundles add, and what is lost and sent again, comes on top.
 */
#ifndef BERTH_ORCHESTRATOR_COST_H
#define BERTH_ORCHESTRATOR_COST_H

#include "orchestrator/cli.h"

#define COST_RATE 9600U /* bit/s */
#define COST_PASS 480U  /* seconds */

struct cost {
    uint64_t rate;   /* bit/s */
    uint64_t pass_s; /* how long a pass lasts */
};

#define COST_OPTIONS                                                                               \
    { "rate", CLI_TEXT, "BITS", "bit/s of the uplink, to count passes by (9600)" },                \
    {                                                                                              \
        "pass", CLI_TEXT, "SECONDS", "length of a pass, to count them by (480)"                    \
    }

/* From --rate and --pass.  RC_USAGE. */
must_check enum rc cost_options(const struct cli *cli, struct cost *ret, struct err *err);

/* Tenths of a pass that so many bytes take, rounded up. */
uint64_t cost_tenths(const struct cost *cost, uint64_t bytes);

/* "0.1 passes", "1.0 pass" into out; returns out. */
#define COST_TEXT_CAP 40U
char *cost_text(const struct cost *cost, uint64_t bytes, char out[COST_TEXT_CAP]);

/* "1,184,792" into out; returns out. */
char *cost_bytes(uint64_t bytes, char out[COST_TEXT_CAP]);

/* Passes as a number with one decimal; a new reference. */
json_t *cost_passes_json(const struct cost *cost, uint64_t bytes);

#endif
