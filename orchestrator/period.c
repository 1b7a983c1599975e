/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/period.h"

#include <math.h>
#include <stdlib.h>

#include "orchestrator/outlook.h"

#define EARTH_MU 398600.8 /* km^3 / s^2 */
#define TWO_PI (2.0 * TLE_PI)

static uint64_t whole(double ms)
{
    return ms >= 1.0 && ms <= (double)ROLLOUT_PERIOD_MAX_MS ? (uint64_t)(ms + 0.5) : 0;
}

uint64_t period_of_tle(const struct tle *tle)
{
    return tle->mean_motion > 0 ? whole(TWO_PI / tle->mean_motion * 60000.0) : 0;
}

static double square(struct vec3 a)
{
    return a.x * a.x + a.y * a.y + a.z * a.z;
}

/* ms; INFINITY of what does not come back. */
static double of_state(const struct oem_state *s)
{
    double inverse = 2.0 / sqrt(square(s->r)) - square(s->v) / EARTH_MU; /* 1 / a */

    return inverse > 0 ? TWO_PI / (inverse * sqrt(inverse * EARTH_MU)) * 1000.0 : INFINITY;
}

uint64_t period_of_oem(const struct oem *oem)
{
    double longest = 0;

    for (size_t i = 0; i < oem->n; i++) {
        double ms = of_state(&oem->state[i]);

        longest = ms > longest ? ms : longest;
    }
    return whole(longest);
}

static enum rc by_lines(struct fleet_satellite *sat, struct err *err)
{
    struct tle tle;
    enum rc rc = tle_parse(bytes_of(sat->line1), bytes_of(sat->line2), &tle, err);

    if (rc == RC_OK)
        sat->period_ms = period_of_tle(&tle);
    return rc;
}

static enum rc by_text(struct fleet_satellite *sat, struct bytes text, struct err *err)
{
    scoped(oem_free) struct oem oem = { 0 };
    struct tle tle;
    enum rc rc;

    if (sat->orbit == FLEET_OEM) {
        rc = oem_read(text, sat->file, &oem, err);
        sat->period_ms = rc == RC_OK ? period_of_oem(&oem) : 0;
        return rc;
    }
    rc = outlook_tle(text, sat->file, &tle, err);
    sat->period_ms = rc == RC_OK ? period_of_tle(&tle) : 0;
    return rc;
}

/* In the order of their files, so that each is read once however many satellites name it. */
static int by_file(const void *a, const void *b, void *arg)
{
    const struct fleet_satellite *sat = arg;
    const struct fleet_satellite *one = &sat[*(const uint32_t *)a];
    const struct fleet_satellite *other = &sat[*(const uint32_t *)b];

    if (one->orbit != other->orbit)
        return one->orbit < other->orbit ? -1 : 1;
    const int names = strcmp(one->file, other->file);

    return names != 0 ? names : one < other ? -1 : one > other;
}

static bool same_file(const struct fleet_satellite *a, const struct fleet_satellite *b)
{
    return a->orbit == b->orbit && strcmp(a->file, b->file) == 0;
}

/* What one satellite's orbit says; before is the one whose file was read last, or itself. */
static enum rc find_one(struct fleet *fleet, uint32_t index, uint32_t before, const char *path,
                        struct err *err)
{
    struct fleet_satellite *sat = &fleet->satellite[index];
    scoped(free_ptr) uint8_t *text = NULL;
    size_t n = 0;

    if (sat->orbit == FLEET_TLE)
        return by_lines(sat, err);
    if (sat->orbit != FLEET_TLE_FILE && sat->orbit != FLEET_OEM)
        return RC_OK;
    if (before != index && same_file(sat, &fleet->satellite[before])) {
        sat->period_ms = fleet->satellite[before].period_ms;
        return RC_OK;
    }
    enum rc rc = outlook_read(fleet, index, path, &text, &n, err);

    return rc == RC_OK ? by_text(sat, (struct bytes){ text, n }, err) : rc;
}

enum rc period_find(struct fleet *fleet, const char *path, struct err *err)
{
    bool counts = false;
    enum rc rc = RC_OK;

    for (uint32_t i = 0; i < fleet->n_policies; i++)
        counts = counts || fleet->policy[i].soak_orbits > 0;
    if (!counts)
        return RC_OK;
    scoped(free_ptr) uint32_t *order = calloc(fleet->n_satellites + 1U, sizeof *order);

    if (!order)
        return err_set(err, RC_NO_MEMORY, "%u satellites", fleet->n_satellites);
    for (uint32_t i = 0; i < fleet->n_satellites; i++)
        order[i] = i;
    qsort_r(order, fleet->n_satellites, sizeof *order, by_file, fleet->satellite);
    for (uint32_t i = 0; rc == RC_OK && i < fleet->n_satellites; i++)
        rc = find_one(fleet, order[i], order[i > 0 ? i - 1 : 0], path, err);
    return rc;
}
