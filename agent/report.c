/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/report.h"

#include <assert.h>
#include <string.h>

static_assert(PORT_TRANSFERS_MAX <= REPORT_TRANSFERS_MAX, "every transfer has a place");
static_assert(PORT_RANGES_MAX <= REPORT_RANGES_MAX, "every range has a place");
static_assert(PORT_COMPLETE_MAX <= PAYLOADS_MAX, "every complete object has a place");

/* The agent itself: it runs if it says so. */
static void add_agent(const struct report_parts *parts, struct report_payload *p)
{
    p->is_running = !digest_is_none(&parts->agent.running);
    p->running = parts->agent.running;
    if (p->is_running)
        memcpy(p->version, parts->agent.version, sizeof p->version);
}

static void add_payload(const struct unit *u, const struct usage *usage, struct report *ret)
{
    struct report_payload *p = &ret->payload[ret->n_payloads++];
    bool running = u->run.phase == RUN_UP || u->run.phase == RUN_READY;

    memcpy(p->tenant, u->kept.tenant, sizeof p->tenant);
    memcpy(p->name, u->kept.name, sizeof p->name);
    p->state = u->kept.state;
    p->code = u->kept.code;
    if (!running && u->kept.code == RC_OK)
        p->code = (uint32_t)u->rests;
    p->is_running = running;
    p->wanted = u->kept.wanted;
    p->restarts = u->restarts;
    if (running) {
        p->running = u->run.manifest;
        memcpy(p->version, usage->version, sizeof p->version);
        p->memory_kib = usage->memory_kib;
        p->cpu_ms = usage->cpu_ms;
        memcpy(p->receipt, usage->receipt, sizeof p->receipt);
    }
}

/* Ordered ones first: they always fit, an order has at most PAYLOADS_MAX lines.  The table is
 * sorted, and the report keeps its order within both parts. */
static void add_payloads(const struct report_parts *parts, struct report *ret)
{
    const struct table *t = parts->table;
    bool take[UNITS_MAX] = { 0 };
    uint32_t n = 0;

    for (uint32_t i = 0; i < t->n_units; i++)
        if (!digest_is_none(&t->unit[i].kept.wanted)) {
            take[i] = true;
            n++;
        }
    for (uint32_t i = 0; i < t->n_units && n < PAYLOADS_MAX; i++)
        if (!take[i] && t->unit[i].run.phase != RUN_NONE) {
            take[i] = true;
            n++;
        }
    assert(n <= PAYLOADS_MAX);
    for (uint32_t i = 0; i < t->n_units; i++)
        if (take[i])
            add_payload(&t->unit[i], &parts->usage[i], ret);
    for (uint32_t i = 0; i < ret->n_payloads; i++)
        if (is_agent_name(ret->payload[i].tenant, ret->payload[i].name))
            add_agent(parts, &ret->payload[i]);
}

static struct report_bytes bytes_from(const struct port_bytes *b)
{
    return (struct report_bytes){
        .in = b->in, .useful = b->useful, .repeated = b->repeated, .out = b->out
    };
}

static void add_traffic(const struct port_traffic *t, struct report_traffic *ret)
{
    *ret = (struct report_traffic){ .contacts = t->contacts,
                                    .contact = bytes_from(&t->contact),
                                    .all = bytes_from(&t->all),
                                    .key_epoch = t->key_epoch,
                                    .highest = t->highest,
                                    .accepted = t->accepted };
}

static_assert(SPOOL_COUNTS == PORT_SPOOL_COUNTS, "the same counts");

/* Tenants of which nothing was refused or dropped say nothing. */
static void add_spool(const struct port_spool *from, struct report *ret)
{
    for (uint32_t i = 0; i < from->n && ret->n_spool < REPORT_SPOOL_MAX; i++) {
        const struct port_spool_tenant *t = &from->tenant[i];
        struct report_spool *s = &ret->spool[ret->n_spool];
        uint32_t any = 0;

        for (size_t k = 0; k < SPOOL_COUNTS; k++)
            any |= t->count[k];
        if (any == 0)
            continue;
        *s = (struct report_spool){ .objects = t->objects, .kib = t->kib };
        memcpy(s->tenant, t->name, strnlen(t->name, NAME_MAX_LEN));
        memcpy(s->count, t->count, sizeof s->count);
        ret->n_spool++;
    }
}

static void add_transfer(const struct transfer_status *from, struct report_transfer *to)
{
    memcpy(to->object.b, from->object, DIGEST_SIZE);
    to->chunks = from->chunks;
    to->n_missing = from->n_missing;
    to->more = from->more != 0;
    for (uint32_t i = 0; i < from->n_missing; i++) {
        to->missing[i].first = from->missing[i].first;
        to->missing[i].count = from->missing[i].count;
    }
}

void report_build(const struct report_parts *parts, struct report *ret)
{
    const struct port_transfers *transfers = parts->transfers;

    *ret = (struct report){
        .epoch = parts->epoch,
        .seq = parts->seq,
        .time_ms = parts->time_ms,
        .root_version = parts->root_version,
        .generation = parts->generation,
        .lost = parts->lost,
        .passes_order = parts->passes_order,
        .passes_document = parts->passes_document,
        .staged = parts->staged,
        .agent = parts->agent,
        .keeps_witness = true,
        .witness = parts->witness,
        .walls = parts->walls,
        .n_transfers = transfers->n_transfers,
        .n_objects = transfers->n_complete,
    };
    size_t n = strnlen(parts->satellite, NAME_MAX_LEN);
    memcpy(ret->satellite, parts->satellite, n);
    add_payloads(parts, ret);
    add_traffic(&transfers->traffic, &ret->traffic);
    add_spool(&transfers->spool, ret);
    ret->n_events = events_copy(parts->events, ret->event, REPORT_EVENTS_MAX);
    for (uint32_t i = 0; i < ret->n_transfers; i++)
        add_transfer(&transfers->transfer[i], &ret->transfer[i]);
    for (uint32_t i = 0; i < ret->n_objects; i++)
        memcpy(ret->object[i].b, transfers->complete[i], DIGEST_SIZE);
}

#define RANGES_KEPT 32U /* of a transfer, when room is short */

/* Cut the longest list of missing ranges to half: the ground sends those first, and the next report
 * goes on behind them. */
static bool shrink_ranges(struct report *r)
{
    struct report_transfer *longest = NULL;

    for (uint32_t i = 0; i < r->n_transfers; i++)
        if (!longest || r->transfer[i].n_missing > longest->n_missing)
            longest = &r->transfer[i];
    if (!longest || longest->n_missing <= RANGES_KEPT)
        return false;
    longest->n_missing = longest->n_missing / 2;
    longest->more = true;
    return true;
}

/* With the receipts, which are told together with them. */
static void drop_walls(struct report *r)
{
    r->walls = (struct report_walls){ 0 };
    for (uint32_t i = 0; i < r->n_payloads; i++)
        memset(r->payload[i].receipt, 0, sizeof r->payload[i].receipt);
}

/* Leave out one part of what is least missed.  False: only the payloads are left. */
static bool shrink(struct report *r)
{
    if (r->keys.has_kem_public) { /* told again later */
        r->keys.has_kem_public = false;
        memset(r->keys.kem_public, 0, sizeof r->keys.kem_public);
        return true;
    }
    if (shrink_ranges(r))
        return true;
    if (r->n_events > 16 || (r->n_events > 0 && r->n_transfers <= 4 && r->n_objects <= 8)) {
        uint32_t drop = (r->n_events + 3) / 4;

        r->n_events -= drop;
        memmove(&r->event[0], &r->event[drop], r->n_events * sizeof r->event[0]);
        return true;
    }
    if (r->n_transfers > 0 && (r->n_transfers > 4 || r->n_objects <= 8)) {
        r->n_transfers--;
        return true;
    }
    if (r->n_denied > 0) {
        r->n_denied--;
        return true;
    }
    if (r->n_spool > 0 && r->n_objects <= 8) {
        r->n_spool = 0;
        return true;
    }
    if (r->n_usage > 0 && r->n_objects <= 8) {
        r->n_usage = 0; /* half of it would look like all of it */
        return true;
    }
    if ((r->walls.standing | r->walls.missing) != 0 && r->n_objects <= 8) {
        drop_walls(r);
        return true;
    }
    if (r->n_objects > 0) {
        uint32_t drop = (r->n_objects + 1) / 2;

        r->n_objects -= drop;
        memmove(&r->object[0], &r->object[drop], r->n_objects * sizeof r->object[0]);
        return true;
    }
    return false;
}

enum rc report_fit(struct report *report, uint8_t *buf, struct bytes *ret, struct err *err)
{
    enum rc rc = report_encode(report, buf, REPORT_MAX, ret, err);

    /* Transfers and keys of links come from berth-link, which may say anything. */
    if (rc != RC_OK && rc != RC_NO_ROOM) {
        report->keys.n_links = 0;
        memset(report->keys.link, 0, sizeof report->keys.link);
        report->n_transfers = 0;
        report->n_objects = 0;
        report->traffic = (struct report_traffic){ 0 };
        report->n_spool = 0;
        report->n_usage = 0; /* put together over a minute, in which tenants may come and go */
        rc = report_encode(report, buf, REPORT_MAX, ret, err);
    }
    while (rc == RC_NO_ROOM && shrink(report))
        rc = report_encode(report, buf, REPORT_MAX, ret, err);
    return rc;
}

bool report_brief_enough(struct report_told *told, const struct report_root *root, bool may)
{
    if (!may || told->full == 0 || memcmp(&told->root, root, sizeof *root) != 0) {
        *told = (struct report_told){ .root = *root, .full = 1 };
        return false;
    }
    if (told->full < REPORT_FULL_TIMES) {
        told->full++;
        return false;
    }
    if (told->brief < REPORT_BRIEF_TIMES) {
        told->brief++;
        return true;
    }
    told->brief = 0;
    return false;
}
