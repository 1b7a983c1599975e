/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan_hash.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/crypto.h"

#define PLAN_RECORD_MAX 8192U   /* lines of one satellite: at most PAYLOADS_MAX */
#define PLAN_RECORDS_MAX 65536U /* several satellites */
#define PLAN_KNOWN 256U         /* a power of two */

static enum rc add_record(struct sha256 *hash, const struct cbor_out *w, struct err *err)
{
    struct bytes record;
    enum rc rc = cbor_written(w, &record, err);

    return rc == RC_OK ? sha256_add(hash, record, err) : rc;
}

/* Lines that were written before are the number under which they are known, so that each is hashed
 * once: what falls under which number, and when another takes its place, follows from what was
 * written alone, so records that differ in full differ here. */
struct plan_hasher {
    const struct plan_input *in;
    struct sha256 *hash;
    struct cbor_out w;             /* records on their way into it, many at a time */
    struct want known[PLAN_KNOWN]; /* by want_mark */
    uint32_t last;                 /* of them: most are as the one before */
    uint8_t buf[PLAN_RECORDS_MAX];
};

void plan_hasher_free(struct plan_hasher **hasher)
{
    if (!*hasher)
        return;
    sha256_free(&(*hasher)->hash);
    free(*hasher);
    *hasher = NULL;
}

static bool shares_lines(const struct want *a, const struct want *b)
{
    return a->line == b->line && a->n_lines == b->n_lines;
}

static void put_lines(struct plan_hasher *r, const struct want *order)
{
    struct cbor_out *w = &r->w;

    if (order->n_lines == 0) {
        cbor_put_array(w, 0);
        return;
    }
    if (!shares_lines(&r->known[r->last], order))
        r->last = want_mark(order) % PLAN_KNOWN;
    struct want *known = &r->known[r->last];

    if (shares_lines(known, order) || want_same_lines(known, order)) {
        cbor_put_uint(w, r->last);
        return;
    }
    cbor_put_array(w, order->n_lines);
    for (uint32_t i = 0; i < order->n_lines; i++) {
        cbor_put_array(w, 3);
        cbor_put_text(w, order->line[i].tenant);
        cbor_put_text(w, order->line[i].name);
        cbor_put_bstr(w, (struct bytes){ order->line[i].manifest.b, DIGEST_SIZE });
    }
    *known = *order;
}

static enum rc flush(struct plan_hasher *r, struct err *err)
{
    enum rc rc = add_record(r->hash, &r->w, err);

    r->w.n = 0;
    return rc;
}

/* Room for one more record, whatever its lines are. */
static enum rc flush_if_full(struct plan_hasher *r, struct err *err)
{
    static_assert(PAYLOADS_MAX * (2U * (NAME_CAP + 1U) + DIGEST_SIZE + 4U) + 256U < PLAN_RECORD_MAX,
                  "all lines of one satellite fit into a record");

    return r->w.cap - r->w.n < PLAN_RECORD_MAX ? flush(r, err) : RC_OK;
}

enum rc plan_hasher_new(const struct plan_input *in, struct plan_hasher **ret, struct err *err)
{
    scoped(plan_hasher_free) struct plan_hasher *r = malloc(sizeof *r);

    if (!r)
        return err_set(err, RC_NO_MEMORY, "plan");
    r->in = in;
    r->hash = NULL;
    r->w = (struct cbor_out){ .p = r->buf, .cap = sizeof r->buf };
    r->last = 0;
    memset(r->known, 0, sizeof r->known);
    enum rc rc = sha256_new(&r->hash, err);

    if (rc != RC_OK)
        return rc;
    cbor_put_text(&r->w, "berth plan 6");
    cbor_put_text(&r->w, in->fleet->name);
    cbor_put_uint(&r->w, in->rollouts);
    cbor_put_uint(&r->w, in->fleet->n_satellites);
    *ret = r;
    r = NULL;
    return RC_OK;
}

enum rc plan_hasher_satellite(struct plan_hasher *r, uint32_t satellite, bool withdraws,
                              struct err *err)
{
    const struct plan_base *base = &r->in->base[satellite];

    cbor_put_array(&r->w, 5);
    cbor_put_text(&r->w, r->in->fleet->satellite[satellite].id);
    cbor_put_bool(&r->w, withdraws);
    cbor_put_uint(&r->w, base->newest);
    cbor_put_uint(&r->w, base->order.generation);
    put_lines(r, &base->order);
    return flush_if_full(r, err);
}

/* What becomes of one that changes. */
static enum rc hash_changed(struct plan_hasher *r, const struct plan *plan, uint32_t satellite,
                            struct err *err)
{
    const struct plan_satellite *sat = &plan->satellite[satellite];

    cbor_put_array(&r->w, 5);
    cbor_put_uint(&r->w, satellite);
    cbor_put_uint(&r->w, r->in->fleet->satellite[satellite].period_ms);
    cbor_put_uint(&r->w, sat->wave);
    cbor_put_uint(&r->w, sat->order.generation);
    put_lines(r, &sat->order);
    return flush_if_full(r, err);
}

/* What is sent for a change, and how. */
static enum rc hash_change(const struct plan_change *c, struct sha256 *hash, struct err *err)
{
    uint8_t buf[4U * (DIGEST_SIZE + NAME_CAP)];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };

    cbor_put_array(&w, 7);
    cbor_put_uint(&w, c->satellite);
    cbor_put_text(&w, c->tenant);
    cbor_put_text(&w, c->name);
    cbor_put_uint(&w, c->bytes);
    cbor_put_uint(&w, c->full_bytes);
    cbor_put_uint(&w, c->bytes > 0 ? c->ride.kind : 0);
    cbor_put_bstr(&w, (struct bytes){ c->ride.base.b, c->bytes > 0 ? DIGEST_SIZE : 0 });
    return add_record(hash, &w, err);
}

static enum rc hash_sent(struct plan *plan, struct err *err)
{
    scoped(sha256_free) struct sha256 *hash = NULL;
    enum rc rc = sha256_new(&hash, err);

    for (uint32_t i = 0; rc == RC_OK && i < plan->n_changes; i++)
        rc = hash_change(&plan->change[i], hash, err);
    return rc == RC_OK ? sha256_end(hash, plan->part.sent.b, err) : rc;
}

static void put_station(struct cbor_out *w, const struct fleet_station *s)
{
    cbor_put_array(w, 8);
    cbor_put_text(w, s->station.id);
    cbor_put_int(w, s->latitude);
    cbor_put_int(w, s->longitude);
    cbor_put_int(w, s->mask);
    cbor_put_int(w, s->height_m);
    cbor_put_uint(w, s->station.node);
    cbor_put_uint(w, s->station.antennas);
    cbor_put_uint(w, s->station.turn_ms);
}

static void put_link(struct cbor_out *w, const struct fleet_link *l)
{
    cbor_put_array(w, 4U + 2U * l->link.n_steps);
    cbor_put_uint(w, l->link.rate);
    cbor_put_uint(w, l->link.setup_ms);
    cbor_put_uint(w, l->link.overhead_ppm);
    cbor_put_uint(w, l->link.goodput_ppm);
    for (uint32_t i = 0; i < l->link.n_steps; i++) {
        cbor_put_int(w, l->from[i]);
        cbor_put_uint(w, l->link.step[i].rate);
    }
}

static void put_orbit(struct cbor_out *w, const struct fleet_satellite *s)
{
    cbor_put_array(w, 6);
    cbor_put_uint(w, s->orbit);
    cbor_put_text(w, s->line1);
    cbor_put_text(w, s->line2);
    cbor_put_text(w, s->file);
    cbor_put_uint(w, s->node);
    cbor_put_uint(w, s->link);
}

static void put_tenant(struct cbor_out *w, const struct fleet_tenant *t)
{
    cbor_put_array(w, 3);
    cbor_put_text(w, t->id);
    cbor_put_uint(w, t->share);
    cbor_put_uint(w, t->uplink_bytes);
}

/* Whether a soak of the file counts orbits: else nobody looked for periods. */
static bool counts_orbits(const struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->n_policies; i++)
        if (fleet->policy[i].soak_orbits > 0)
            return true;
    return false;
}

/* Where a soak counts orbits and no files are covered, since no passes are looked for. */
static enum rc hash_periods(const struct fleet *fleet, struct sha256 *hash, struct err *err)
{
    const bool is = fleet->n_stations == 0 && counts_orbits(fleet);
    uint8_t buf[64];
    enum rc rc = RC_OK;

    for (uint32_t i = 0; is && rc == RC_OK && i < fleet->n_satellites; i++) {
        struct cbor_out w = { .p = buf, .cap = sizeof buf };

        if (fleet->satellite[i].period_ms == 0)
            continue;
        cbor_put_uint(&w, i);
        cbor_put_uint(&w, fleet->satellite[i].period_ms);
        rc = add_record(hash, &w, err);
    }
    return rc;
}

/* What passes are found from and dealt by; without stations there are none. */
static enum rc hash_sky(const struct fleet *fleet, struct sha256 *hash, struct err *err)
{
    const uint32_t n[] = { fleet->n_stations, fleet->n_links, fleet->n_satellites,
                           fleet->n_tenants };
    uint8_t buf[1024];
    enum rc rc = RC_OK;

    for (uint32_t kind = 0; fleet->n_stations > 0 && kind < sizeof n / sizeof n[0]; kind++) {
        for (uint32_t i = 0; rc == RC_OK && i < n[kind]; i++) {
            struct cbor_out w = { .p = buf, .cap = sizeof buf };

            cbor_put_uint(&w, kind);
            if (kind == 0)
                put_station(&w, &fleet->station[i]);
            else if (kind == 1)
                put_link(&w, &fleet->link[i]);
            else if (kind == 2)
                put_orbit(&w, &fleet->satellite[i]);
            else
                put_tenant(&w, &fleet->tenant[i]);
            rc = add_record(hash, &w, err);
        }
    }
    return rc == RC_OK ? hash_periods(fleet, hash, err) : rc;
}

static void put_policy(struct cbor_out *w, const struct fleet_policy *p)
{
    cbor_put_array(w, 11);
    cbor_put_uint(w, p->fail_max);
    cbor_put_uint(w, p->soak_ms);
    cbor_put_uint(w, p->soak_orbits);
    cbor_put_uint(w, p->approve);
    cbor_put_uint(w, p->deadline_ms);
    cbor_put_uint(w, p->fail_pct);
    cbor_put_uint(w, p->fail_min);
    cbor_put_uint(w, p->success_pct);
    cbor_put_uint(w, p->silent_passes);
    cbor_put_uint(w, p->silent_ms);
    cbor_put_bool(w, p->silent_skip);
}

static enum rc hash_basis(struct plan_hasher *r, struct plan *plan, struct err *err)
{
    enum rc rc = RC_OK;

    cbor_put_uint(&r->w, plan->n_waves);
    cbor_put_uint(&r->w, plan->n_changed);
    for (uint32_t i = 0; rc == RC_OK && i < plan->n_changes;
         i += plan->satellite[plan->change[i].satellite].n)
        rc = hash_changed(r, plan, plan->change[i].satellite, err);
    cbor_put_uint(&r->w, plan->n_rollouts);
    for (uint32_t i = 0; rc == RC_OK && i < plan->n_rollouts; i++) {
        put_policy(&r->w, plan->rollout[i].policy);
        rc = flush_if_full(r, err);
    }
    if (rc == RC_OK)
        rc = flush(r, err);
    if (rc == RC_OK)
        rc = hash_sky(r->in->fleet, r->hash, err);
    return rc == RC_OK ? sha256_end(r->hash, plan->part.basis.b, err) : rc;
}

enum rc plan_cover(struct plan *plan, const struct digest *orbits, struct err *err)
{
    uint8_t two[2U * DIGEST_SIZE];
    enum rc rc;

    memcpy(two, plan->part.basis.b, DIGEST_SIZE);
    memcpy(two + DIGEST_SIZE, orbits->b, DIGEST_SIZE);
    rc = sha256_of((struct bytes){ two, sizeof two }, plan->basis.b, err);
    if (rc != RC_OK)
        return rc;
    memcpy(two, plan->basis.b, DIGEST_SIZE);
    memcpy(two + DIGEST_SIZE, plan->part.sent.b, DIGEST_SIZE);
    return sha256_of((struct bytes){ two, sizeof two }, plan->hash.b, err);
}

enum rc plan_hasher_end(struct plan_hasher *r, struct plan *plan, struct err *err)
{
    static const struct digest none;
    enum rc rc = hash_basis(r, plan, err);

    if (rc == RC_OK)
        rc = hash_sent(plan, err);
    return rc == RC_OK ? plan_cover(plan, &none, err) : rc;
}

const char *plan_hash_text(const struct plan *plan, char out[PLAN_HASH_CAP])
{
    (void)bytes_hex((struct bytes){ plan->hash.b, DIGEST_SIZE }, out);
    out[PLAN_HASH_SHOWN] = '\0';
    return out;
}

bool plan_hash_matches(const struct plan *plan, const char *text)
{
    char hex[PLAN_HASH_CAP];
    size_t n = strlen(text);

    (void)bytes_hex((struct bytes){ plan->hash.b, DIGEST_SIZE }, hex);
    return n >= 8 && n < sizeof hex && strncmp(hex, text, n) == 0;
}
