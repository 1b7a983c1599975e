/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/carrier: what lies between the ground's directories and a satellite's: passes and gaps, a
 * data rate, and files that are lost, doubled, held back or damaged on the way.
 *
 * The decisions are pure functions of time, the link's parameters and a seeded generator; the
 * process around them only moves files.  It runs beside the agents, as an operator's file service
 * would, and knows nothing of what the files hold.
 */
#ifndef BERTH_SIM_CARRIER_H
#define BERTH_SIM_CARRIER_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "sim/rng.h"

#define CARRIER_SATELLITES_MAX 64U
#define CARRIER_CAPTURE_MAX 64U /* files of each satellite kept for replays */

struct carrier_link {
    uint64_t pass_ms;       /* length of a pass */
    uint64_t gap_ms;        /* between two passes; 0 = always in contact */
    uint64_t rate;          /* bytes a second, each direction */
    uint64_t delay_ms;      /* longest time by which a file is held back to come out of order */
    uint32_t loss_ppm;      /* of all files */
    uint32_t duplicate_ppm; /* of those that arrive */
    uint32_t reorder_ppm;
    uint32_t corrupt_ppm;
};

/* What happens to one file. */
struct carrier_fate {
    bool lost;
    bool doubled;
    bool damaged;
    uint64_t delay_ms; /* 0 = at once */
};

/* Whether satellite number `index` of `n` is in contact at t_ms after the start: passes are spread
 * evenly, so that not all satellites are in view at once. */
bool carrier_contact(const struct carrier_link *link, uint64_t t_ms, size_t index, size_t n);

/* Throw the dice for one file.  Always takes the same number of throws. */
struct carrier_fate carrier_fate(const struct carrier_link *link, struct rng *rng);

/* Flip one bit of data (n at least 1). */
void carrier_damage(uint8_t *data, size_t n, struct rng *rng);

struct carrier_satellite {
    char id[NAME_CAP];
    int from_ground; /* directories, borrowed */
    int to_satellite;
    int from_satellite;
    int to_ground;
    int capture; /* uplink files as they were sent, for replays */
};

/* Shared with the parent, which reads the counts while the carrier runs. */
struct carrier_counts {
    uint64_t sent;
    uint64_t delivered;
    uint64_t lost;
    uint64_t doubled;
    uint64_t damaged;
    uint64_t held_back;
    uint64_t passes;
    uint64_t bytes_up;
    uint64_t bytes_down;
    bool away[CARRIER_SATELLITES_MAX]; /* set by the parent: no pass of this satellite is used */
};

struct carrier {
    pid_t pid;
    volatile struct carrier_counts *counts; /* shared memory */
};

/* Start the carrier as a child process that ends with its parent. */
must_check enum rc carrier_start(const struct carrier_link *link, uint64_t seed,
                                 const struct carrier_satellite *satellites, size_t n,
                                 struct carrier *ret, struct err *err);

/* End it.  The counts stay readable. */
void carrier_stop(struct carrier *carrier);

#endif
