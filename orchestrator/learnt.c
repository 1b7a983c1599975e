/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/learnt.h"

#include <stdlib.h>

#include "orchestrator/outlook.h"
#include "orchestrator/schedule.h"

void learnt_done(struct learnt *learnt)
{
    free_ptr(&learnt->at);
    free_ptr(&learnt->heard);
}

struct contact_goodput learnt_goodput(void *arg, uint32_t station, uint32_t satellite)
{
    const struct learnt *l = arg;

    if (l->at)
        return l->at[(size_t)station * l->fleet->n_satellites + satellite];
    return contact_prior(&l->fleet->link[l->fleet->satellite[satellite].link].link);
}

/* The rows of satellites of the file that are not too old. */
static enum rc load_heard(const struct fleet *fleet, struct store *store, int64_t since_ms,
                          struct goodput_heard **ret, size_t *ret_n, struct err *err)
{
    scoped(free_ptr) struct store_heard *rows = NULL;
    size_t n = 0, kept = 0;
    enum rc rc = store_heard(store, NULL, &rows, &n, err);
    struct goodput_heard *heard = rc == RC_OK ? calloc(n + 1, sizeof *heard) : NULL;

    if (rc == RC_OK && !heard)
        rc = err_set(err, RC_NO_MEMORY, "%zu contacts", n);
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        for (uint32_t s = 0; s < fleet->n_satellites; s++)
            if (strcmp(fleet->satellite[s].id, rows[i].satellite) == 0 &&
                (int64_t)rows[i].received_ms >= since_ms)
                heard[kept++] = (struct goodput_heard){ .satellite = s,
                                                        .received_ms = (int64_t)rows[i].received_ms,
                                                        .arrived = rows[i].arrived,
                                                        .waiting = rows[i].waiting != 0,
                                                        .uncounted = rows[i].contact == 0 };
    if (rc != RC_OK)
        return rc;
    *ret = heard;
    *ret_n = kept;
    return RC_OK;
}

/* The contacts of the time in which something was heard, reserved as they were then. */
static enum rc past_contacts(const struct learnt *l, const char *path, int64_t from_ms,
                             int64_t now_ms, struct outlook **ret, struct err *err)
{
    const struct outlook_input in = { .fleet = l->fleet,
                                      .path = path,
                                      .from_ms = from_ms,
                                      .to_ms = now_ms,
                                      .reference_ms = now_ms,
                                      .goodput = learnt_goodput,
                                      .arg = (void *)(uintptr_t)l };
    enum rc rc = outlook_make(&in, ret, err);

    if (rc != RC_OK)
        return rc;
    const struct schedule_input schedule = { .now_ms = from_ms - SCHEDULE_FROZEN_MS,
                                             .station = (*ret)->station,
                                             .n_stations = l->fleet->n_stations,
                                             .n_satellites = l->fleet->n_satellites };

    return schedule_antennas(&schedule, &(*ret)->contacts, err);
}

static enum rc fill_priors(struct learnt *l, struct err *err)
{
    const struct fleet *fleet = l->fleet;
    struct contact_goodput *at =
        calloc((size_t)fleet->n_stations * fleet->n_satellites + 1, sizeof *at);

    if (!at)
        return err_set(err, RC_NO_MEMORY, "goodput");
    for (uint32_t i = 0; i < fleet->n_stations; i++)
        for (uint32_t s = 0; s < fleet->n_satellites; s++)
            at[(size_t)i * fleet->n_satellites + s] =
                contact_prior(&fleet->link[fleet->satellite[s].link].link);
    l->at = at;
    return RC_OK;
}

enum rc learnt_load(const struct fleet *fleet, const char *path, struct store *store,
                    int64_t now_ms, struct learnt *ret, struct err *err)
{
    scoped(learnt_done) struct learnt l = { .fleet = fleet };
    scoped(outlook_free) struct outlook *past = NULL;
    int64_t oldest = now_ms;
    enum rc rc = load_heard(fleet, store, now_ms - LEARNT_DAYS_MS, &l.heard, &l.n_heard, err);

    for (size_t i = 0; rc == RC_OK && i < l.n_heard; i++)
        if (l.heard[i].received_ms < oldest)
            oldest = l.heard[i].received_ms;
    if (rc == RC_OK && oldest < now_ms)
        rc = past_contacts(&l, path, oldest - CONTACT_LONGEST_MS, now_ms, &past, err);
    if (rc == RC_OK && past)
        rc = fill_priors(&l, err);
    if (rc == RC_OK && past)
        rc = goodput_learn(&past->contacts, l.heard, l.n_heard, l.at, fleet->n_satellites, err);
    if (rc != RC_OK)
        return rc;
    *ret = l;
    l = (struct learnt){ 0 };
    return RC_OK;
}
