/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/goodput.h"

#include <stdlib.h>

#define NONE SIZE_MAX

/* What was told of one contact. */
struct told {
    uint64_t arrived;
    int64_t last_ms;
    bool any, waiting;
};

/* The satellite's last contact that began by then and was not over for long; NONE without one. */
static size_t contact_at(const struct contacts *past, uint32_t satellite, int64_t at_ms)
{
    size_t low = 0, high = past->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (past->at[middle].aos_ms <= at_ms)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low > 0; low--) {
        const struct contact *c = &past->at[low - 1];

        if (c->aos_ms < at_ms - CONTACT_LONGEST_MS - GOODPUT_GRACE_MS)
            return NONE;
        if (c->satellite == satellite && c->state != CONTACT_PREDICTED)
            return at_ms < c->los_ms + GOODPUT_GRACE_MS ? low - 1 : NONE;
    }
    return NONE;
}

enum rc goodput_learn(const struct contacts *past, const struct goodput_heard *heard, size_t n,
                      struct contact_goodput *table, uint32_t n_satellites, struct err *err)
{
    scoped(free_ptr) struct told *told = calloc(past->n + 1, sizeof *told);

    if (!told)
        return err_set(err, RC_NO_MEMORY, "%zu contacts", past->n);
    for (size_t i = 0; i < n; i++) {
        size_t at = contact_at(past, heard[i].satellite, heard[i].received_ms);
        struct told *t = at == NONE ? NULL : &told[at];

        if (!t || heard[i].uncounted)
            continue;
        if (__builtin_add_overflow(t->arrived, heard[i].arrived, &t->arrived))
            t->arrived = UINT64_MAX;
        if (!t->any || heard[i].received_ms >= t->last_ms) {
            t->last_ms = heard[i].received_ms;
            t->waiting = heard[i].waiting;
        }
        t->any = true;
    }
    for (size_t i = 0; i < past->n; i++) {
        const struct contact *c = &past->at[i];

        if (told[i].any && told[i].waiting)
            contact_learn(&table[(size_t)c->station * n_satellites + c->satellite], c->room,
                          c->room, told[i].arrived);
    }
    return RC_OK;
}

/* When something was heard of each satellite first; INT64_MAX if never. */
static enum rc first_heard(const struct goodput_heard *heard, size_t n, uint32_t n_satellites,
                           int64_t **ret, struct err *err)
{
    int64_t *first = malloc((n_satellites + 1U) * sizeof *first);

    if (!first)
        return err_set(err, RC_NO_MEMORY, "%u satellites", n_satellites);
    for (uint32_t i = 0; i < n_satellites; i++)
        first[i] = INT64_MAX;
    for (size_t i = 0; i < n; i++)
        if (heard[i].received_ms < first[heard[i].satellite])
            first[heard[i].satellite] = heard[i].received_ms;
    *ret = first;
    return RC_OK;
}

enum rc goodput_settle(struct contacts *contacts, const struct goodput_heard *heard, size_t n,
                       uint32_t n_satellites, int64_t now_ms, struct err *err)
{
    scoped(free_ptr) int64_t *first = NULL;
    enum rc rc = first_heard(heard, n, n_satellites, &first, err);

    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < contacts->n; i++) {
        struct contact *c = &contacts->at[i];

        if (c->los_ms > now_ms || c->los_ms >= first[c->satellite])
            contact_clock(c, now_ms, INT64_MAX); /* begins, and has not failed yet */
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = contact_at(contacts, heard[i].satellite, heard[i].received_ms);

        if (at != NONE && contacts->at[at].state == CONTACT_EXECUTING)
            (void)!contact_move(&contacts->at[at], CONTACT_HEAR, NULL);
    }
    for (size_t i = 0; i < contacts->n; i++)
        if (contacts->at[i].state == CONTACT_EXECUTING)
            contact_clock(&contacts->at[i], now_ms, GOODPUT_GRACE_MS);
    return RC_OK;
}
