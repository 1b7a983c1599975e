/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/plan_hash.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/crypto.h"

#define PLAN_RECORD_MAX 8192U   /* lines of one satellite: at most PAYLOADS_MAX */
#define PLAN_RECORDS_MAX 65536U /* several satellites */

static enum rc add_record(struct sha256 *hash, const struct cbor_out *w, struct err *err)
{
    struct bytes record;
    enum rc rc = cbor_written(w, &record, err);

    return rc == RC_OK ? sha256_add(hash, record, err) : rc;
}

/* Records of satellites on their way into the hash, many at a time.  Most orders are as the one
 * before: what was written of that is taken again. */
struct records {
    struct sha256 *hash;
    struct cbor_out w;
    const struct want *last; /* whose lines are in w */
    size_t at, n;            /* and where */
};

static void put_lines(struct records *r, const struct want *order)
{
    struct cbor_out *w = &r->w;
    const size_t at = w->n;

    if (r->last && r->last->n_lines == order->n_lines &&
        (r->last->line == order->line || want_same_lines(r->last, order))) {
        cbor_put_raw(w, (struct bytes){ w->p + r->at, r->n });
        return;
    }
    cbor_put_array(w, order->n_lines);
    for (uint32_t i = 0; i < order->n_lines; i++) {
        cbor_put_array(w, 3);
        cbor_put_text(w, order->line[i].tenant);
        cbor_put_text(w, order->line[i].name);
        cbor_put_bstr(w, (struct bytes){ order->line[i].manifest.b, DIGEST_SIZE });
    }
    if (order->n_lines > 0) {
        r->last = order;
        r->at = at;
        r->n = w->n - at;
    }
}

static enum rc flush(struct records *r, struct err *err)
{
    enum rc rc = add_record(r->hash, &r->w, err);

    r->w.n = 0;
    r->last = NULL;
    return rc;
}

static enum rc hash_satellite(const struct plan_input *in, const struct plan *plan, uint32_t index,
                              struct records *r, struct err *err)
{
    static_assert(PAYLOADS_MAX * (2U * (NAME_CAP + 1U) + DIGEST_SIZE + 4U) < PLAN_RECORD_MAX,
                  "all lines of one satellite fit into a record");
    const struct plan_base *base = &in->base[index];
    const struct plan_satellite *sat = &plan->satellite[index];
    struct cbor_out *w = &r->w;

    cbor_put_array(w, 9);
    cbor_put_text(w, in->fleet->satellite[index].id);
    cbor_put_uint(w, sat->changes ? in->fleet->satellite[index].period_ms : 0);
    cbor_put_bool(w, sat->withdraws);
    cbor_put_uint(w, base->newest);
    cbor_put_uint(w, base->order.generation);
    put_lines(r, &base->order);
    cbor_put_uint(w, sat->changes ? sat->wave + 1 : 0);
    cbor_put_uint(w, sat->order.generation);
    put_lines(r, &sat->order);
    return w->cap - w->n < 2U * PLAN_RECORD_MAX ? flush(r, err) : RC_OK;
}

static enum rc hash_satellites(const struct plan_input *in, const struct plan *plan,
                               struct sha256 *hash, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(PLAN_RECORDS_MAX);
    struct records r = { .hash = hash, .w = { .p = buf, .cap = PLAN_RECORDS_MAX } };
    enum rc rc = buf ? RC_OK : err_set(err, RC_NO_MEMORY, "plan");

    for (uint32_t i = 0; rc == RC_OK && i < plan->n_satellites; i++)
        rc = hash_satellite(in, plan, i, &r, err);
    return rc == RC_OK ? flush(&r, err) : rc;
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
    return rc;
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

static enum rc hash_basis(const struct plan_input *in, struct plan *plan, struct err *err)
{
    scoped(sha256_free) struct sha256 *hash = NULL;
    uint8_t buf[256];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    enum rc rc = sha256_new(&hash, err);

    cbor_put_text(&w, "berth plan 5");
    cbor_put_text(&w, in->fleet->name);
    cbor_put_uint(&w, in->rollouts);
    cbor_put_uint(&w, plan->n_waves);
    cbor_put_uint(&w, plan->n_satellites);
    cbor_put_uint(&w, plan->n_rollouts);
    if (rc == RC_OK)
        rc = add_record(hash, &w, err);
    if (rc == RC_OK)
        rc = hash_satellites(in, plan, hash, err);
    for (uint32_t i = 0; rc == RC_OK && i < plan->n_rollouts; i++) {
        const struct plan_rollout *r = &plan->rollout[i];

        w.n = 0;
        put_policy(&w, r->policy);
        rc = add_record(hash, &w, err);
    }
    if (rc == RC_OK)
        rc = hash_sky(in->fleet, hash, err);
    return rc == RC_OK ? sha256_end(hash, plan->part.basis.b, err) : rc;
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

enum rc plan_hash(const struct plan_input *in, struct plan *plan, struct err *err)
{
    static const struct digest none;
    enum rc rc = hash_basis(in, plan, err);

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
