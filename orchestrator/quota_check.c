/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/quota_check.h"

#include <stdio.h>
#include <stdlib.h>

#define DAYS_MAX 40U /* of a horizon */

static_assert(DAYS_MAX * QUOTA_DAY_MS > FLEET_DEADLINE_MAX_MS + QUOTA_DAY_MS, "a horizon fits");

struct making {
    const struct planning *p;
    const struct planning_sky *sky;
    const struct home *home;
    struct quota_book *book;
    struct quota_verdicts *out;
};

void quota_verdicts_done(struct quota_verdicts *v)
{
    free(v->of);
    *v = (struct quota_verdicts){ 0 };
}

static void add(struct making *m, struct quota_verdict verdict)
{
    m->out->of[m->out->n++] = verdict;
}

/* ---- on satellites -------------------------------------------------------------------------- */

static enum rc on_satellite(struct making *m, const struct fleet_quota *quota, uint32_t satellite,
                            struct err *err)
{
    const struct plan_satellite *sat = &m->p->plan->satellite[satellite];
    const struct want *order = sat->changes ? &sat->order : &m->p->bases[satellite].order;
    uint64_t asked[FLEET_BOUNDS] = { 0 };
    enum rc rc = quota_book_order(m->book, m->home, order, quota, asked, err);

    for (unsigned b = 0; rc == RC_OK && b < FLEET_BOUNDS; b++)
        if (b != FLEET_UPLINK && quota->most[b] != 0)
            add(m, (struct quota_verdict){ .quota = quota,
                                           .bound = (enum fleet_bound)b,
                                           .satellite = satellite,
                                           .asked = asked[b],
                                           .changes = sat->changes });
    return rc;
}

/* ---- on the way up -------------------------------------------------------------------------- */

/* Add bytes of a version to a day if it is of whom the quota is. */
static enum rc count(struct making *m, const struct fleet_quota *quota,
                     const struct digest *version, uint64_t bytes, uint64_t *day, struct err *err)
{
    struct admit_version v = { 0 };
    enum rc rc = version ? admit_version(m->home, &m->book->versions, version, &v, err) : RC_OK;

    if (rc == RC_OK && quota_book_is_of(&v, quota))
        *day += bytes;
    return rc;
}

/* What is booked on the passes of each day. */
static enum rc count_booked(struct making *m, const struct fleet_quota *quota, uint64_t today,
                            uint64_t day[DAYS_MAX], struct err *err)
{
    const struct schedule_fill *fill = &m->sky->forecast.fill;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < fill->n; i++) {
        const struct contact *c = &m->sky->outlook->contacts.at[fill->booking[i].contact];
        uint64_t at = c->aos_ms > 0 ? (uint64_t)c->aos_ms / QUOTA_DAY_MS : 0;

        at = at > today ? at - today : 0;
        if (at < DAYS_MAX)
            rc = count(m, quota, m->sky->version[fill->booking[i].job], fill->booking[i].bytes,
                       &day[at], err);
    }
    return rc;
}

static enum rc going_up(struct making *m, const struct fleet_quota *quota, struct err *err)
{
    const struct plan *plan = m->p->plan;
    const uint64_t today = m->book->now_ms / QUOTA_DAY_MS;
    uint64_t day[DAYS_MAX] = { 0 }, waits = 0;
    enum rc rc = quota_book_up(m->book, m->home, quota, &day[0], &waits, err);

    if (rc == RC_OK && m->sky->outlook)
        rc = count_booked(m, quota, today, day, err);
    else
        day[0] += waits;
    for (uint32_t i = 0; rc == RC_OK && !m->sky->outlook && i < plan->n_changes; i++)
        if (plan->change[i].bytes > 0)
            rc = count(m, quota, &plan->change[i].to_manifest, plan->change[i].bytes, &day[0], err);
    for (uint64_t i = 0; rc == RC_OK && i < DAYS_MAX; i++)
        if (i == 0 || day[i] > 0)
            add(m, (struct quota_verdict){ .quota = quota,
                                           .bound = FLEET_UPLINK,
                                           .satellite = QUOTA_NOWHERE,
                                           .day = today + i,
                                           .asked = day[i],
                                           .changes = plan->bytes > 0 });
    return rc;
}

enum rc quota_verdicts_make(const struct planning *p, const struct planning_sky *sky,
                            const struct home *home, uint64_t now_ms, struct quota_verdicts *ret,
                            struct err *err)
{
    scoped(quota_book_free) struct quota_book *book = NULL;
    scoped(quota_verdicts_done) struct quota_verdicts out = { .p = p };
    const struct fleet *fleet = p->fleet;
    const size_t each = (size_t)FLEET_BOUNDS * fleet->n_satellites + DAYS_MAX;
    struct making m = { .p = p, .sky = sky, .home = home, .out = &out };
    enum rc rc = quota_book_load(home->store, p->view, now_ms, &book, err);

    if (rc != RC_OK)
        return rc;
    m.book = book;
    out.of = calloc(each * fleet->n_quotas + 1U, sizeof *out.of);
    if (!out.of)
        return err_set(err, RC_NO_MEMORY, "quota");
    for (uint32_t i = 0; rc == RC_OK && i < fleet->n_quotas; i++) {
        for (uint32_t k = 0; rc == RC_OK && k < fleet->n_satellites; k++)
            rc = on_satellite(&m, &fleet->quota[i], k, err);
        if (rc == RC_OK && fleet->quota[i].most[FLEET_UPLINK] != 0)
            rc = going_up(&m, &fleet->quota[i], err);
    }
    if (rc != RC_OK)
        return rc;
    *ret = out;
    out = (struct quota_verdicts){ 0 };
    return RC_OK;
}

/* ---- what they say -------------------------------------------------------------------------- */

static uint64_t has(const struct quota_verdict *v)
{
    return v->quota->most[v->bound];
}

static uint64_t left_of(const struct quota_verdict *v)
{
    return has(v) > v->asked ? has(v) - v->asked : 0;
}

/* "on aurora-1", or "on 2026-11-30". */
#define WHERE_CAP (NAME_CAP + 16U)
static char *where(const struct quota_verdicts *all, const struct quota_verdict *v,
                   char out[WHERE_CAP])
{
    char time[CLI_TIME_CAP];

    if (v->satellite == QUOTA_NOWHERE)
        (void)snprintf(out, WHERE_CAP, "%.10s", cli_time((int64_t)(v->day * QUOTA_DAY_MS), time));
    else
        (void)snprintf(out, WHERE_CAP, "%s", all->p->fleet->satellite[v->satellite].id);
    return out;
}

static char *whose(const struct quota_verdict *v, char out[SIGNER_CAP])
{
    (void)snprintf(out, SIGNER_CAP, "%s%s%s", v->quota->tenant, v->quota->team[0] ? "/" : "",
                   v->quota->team);
    return out;
}

enum rc quota_verdicts_refuse(const struct quota_verdicts *all, struct err *err)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct quota_verdict *v = &all->of[i];
        char asked[FLEET_BOUND_CAP], most[FLEET_BOUND_CAP], at[WHERE_CAP], who[SIGNER_CAP];

        if (v->changes && v->asked > has(v))
            return err_set(err, RC_QUOTA, "%.32s:%u: %s: %s: %s on %s, of %s",
                           all->p->fleet->source, v->quota->line[v->bound],
                           fleet_bound_name(v->bound), whose(v, who),
                           fleet_bound_text(v->bound, v->asked, asked), where(all, v, at),
                           fleet_bound_text(v->bound, has(v), most));
    }
    return RC_OK;
}

/* Whether a leaves less of the same than b. */
static bool is_tighter(const struct quota_verdict *a, const struct quota_verdict *b)
{
    return a->asked > b->asked;
}

/* The tightest of a quota's bound. */
static const struct quota_verdict *tightest(const struct quota_verdicts *all,
                                            const struct fleet_quota *quota, enum fleet_bound bound)
{
    const struct quota_verdict *found = NULL;

    for (size_t i = 0; i < all->n; i++) {
        const struct quota_verdict *v = &all->of[i];

        if (v->quota == quota && v->bound == bound && (!found || is_tighter(v, found)))
            found = v;
    }
    return found;
}

void quota_verdicts_print(struct cli *cli, const struct quota_verdicts *all)
{
    static const char *const headings[] = {
        "QUOTA OF", "WHAT", "ASKED", "OF", "LEFT", "TIGHTEST ON"
    };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 6);

    if (all->n == 0)
        return;
    for (uint32_t i = 0; i < all->p->fleet->n_quotas; i++) {
        for (unsigned b = 0; b < FLEET_BOUNDS; b++) {
            const struct quota_verdict *v =
                tightest(all, &all->p->fleet->quota[i], (enum fleet_bound)b);
            char who[SIGNER_CAP], at[WHERE_CAP], asked[FLEET_BOUND_CAP], most[FLEET_BOUND_CAP],
                left[FLEET_BOUND_CAP];

            if (!v)
                continue;
            const char *const cells[] = {
                whose(v, who),
                fleet_bound_name(v->bound),
                fleet_bound_text(v->bound, v->asked, asked),
                fleet_bound_text(v->bound, has(v), most),
                v->asked > has(v) ? "OVER" : fleet_bound_text(v->bound, left_of(v), left),
                where(all, v, at),
            };
            cli_table_row(table, cells);
        }
    }
    cli_table_print(cli, table);
}

json_t *quota_verdicts_json(const struct quota_verdicts *all)
{
    json_t *list = json_array();

    for (size_t i = 0; i < all->n; i++) {
        const struct quota_verdict *v = &all->of[i];
        const bool up = v->satellite == QUOTA_NOWHERE;
        const struct plan_satellite *sat = up ? NULL : &all->p->plan->satellite[v->satellite];
        char at[WHERE_CAP];

        (void)where(all, v, at);
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:i}", "tenant",
                      v->quota->tenant, "team", v->quota->team, "what", fleet_bound_name(v->bound),
                      "satellite", up ? json_null() : json_string(at), "wave",
                      sat && sat->changes ? json_uint(sat->wave + 1U) : json_null(), "day",
                      up ? json_string(at) : json_null(), "asked", json_uint(v->asked), "of",
                      json_uint(has(v)), "left", json_uint(left_of(v)), "over", v->asked > has(v),
                      "line", (int)v->quota->line[v->bound]));
    }
    return list;
}
