/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/forecast: when what a plan sends is on board, and when each wave is done.  Pure: a
 * schedule and what is known of each contact's goodput in, times with their odds out.
 *
 * FORECAST_DRAWS times every contact is given a goodput drawn from what was learnt (mean and
 * deviation, taken for a normal distribution and cut to 0..1), the contacts are filled with it, and
 * the waves are walked through: the order of a satellite goes up in the first contact after its
 * wave opened, what it changes to runs when the last byte is there too, and is known to be healthy
 * at the end of the next contact; a wave opens when the one before it is healthy and has soaked.
 * P50 and P90 are the 100th and 180th of 200 sorted times.
 *
 * The draws come from a generator that is seeded by the caller, from the plan's hash: the same plan
 * at the same time gives the same figures, everywhere.  All arithmetic is of integers.
 */
#ifndef BERTH_ORCHESTRATOR_FORECAST_H
#define BERTH_ORCHESTRATOR_FORECAST_H

#include "orchestrator/schedule.h"

#define FORECAST_DRAWS 200U
#define FORECAST_P50 100U /* the so many-th of the sorted draws */
#define FORECAST_P90 180U
#define FORECAST_NOT INT64_MAX /* not within the contacts that are known */
#define FORECAST_NO_WAVE UINT32_MAX

struct forecast_input {
    const struct schedule_input *schedule; /* jobs: what the plan sends, and what waits already */
    const struct contacts *contacts;       /* reserved by schedule_antennas */
    struct contact_goodput (*goodput)(void *arg, uint32_t station, uint32_t satellite);
    void *arg;
    const uint32_t *wave; /* of each satellite, or FORECAST_NO_WAVE */
    const bool *ours;     /* of each job: it belongs to the plan */
    uint32_t n_waves;
    const uint64_t *soak_ms; /* of each wave */
    uint64_t seed;
};

struct forecast_odds {
    int64_t p50_ms, p90_ms; /* Unix time, or FORECAST_NOT */
};

/* Why something cannot be said or done; the first that holds. */
enum forecast_why {
    FORECAST_FITS,
    FORECAST_NO_CONTACT, /* none of the satellite's contacts is reserved */
    FORECAST_QUOTA,      /* a tenant's quota of the day holds it back */
    FORECAST_NO_ROOM,    /* the contacts that are known do not suffice */
    FORECAST_NOT_HEARD,  /* the bytes arrive, but no contact is left to tell */
    FORECAST_DEADLINE,   /* it ends after its deadline, more likely than not */
    FORECAST_WHYS
};

struct forecast_satellite {
    uint64_t bytes;                /* of the plan, to send */
    uint64_t left;                 /* of them, without a contact if all goes as expected */
    uint32_t n_contacts;           /* that carry any of them, if all goes as expected */
    uint32_t first, last;          /* of those, or SCHEDULE_NEVER */
    struct forecast_odds on_board; /* the last byte */
    struct forecast_odds healthy;  /* known to be */
    enum forecast_why why;
};

struct forecast {
    struct forecast_satellite *satellite; /* of schedule->n_satellites; unused without a wave */
    struct forecast_odds *wave;           /* when all of it is healthy */
    struct schedule_fill fill;            /* as expected */
};

/* RC_VALUE and RC_NO_MEMORY as schedule_fill.  Free with forecast_free. */
must_check enum rc forecast_make(const struct forecast_input *in, struct forecast *ret,
                                 struct err *err);
void forecast_free(struct forecast *forecast); /* scope cleaner */

/* One goodput drawn, parts per million; moves the generator on. */
uint32_t forecast_draw(const struct contact_goodput *g, uint64_t *seed);

/* "fits", "no pass is left for it", ... */
const char *forecast_why_text(enum forecast_why why);

#endif
