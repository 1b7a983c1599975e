/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/report.h"

#include <assert.h>
#include <string.h>

static_assert(PORT_TRANSFERS_MAX <= REPORT_TRANSFERS_MAX, "every transfer has a place");
static_assert(PORT_RANGES_MAX <= REPORT_RANGES_MAX, "every range has a place");
static_assert(PORT_COMPLETE_MAX <= PAYLOADS_MAX, "every complete object has a place");

static void add_payload(const struct unit *u, const struct usage *usage, struct report *ret)
{
    struct report_payload *p = &ret->payload[ret->n_payloads++];
    bool running = u->run.phase == RUN_UP || u->run.phase == RUN_READY;

    memcpy(p->tenant, u->kept.tenant, sizeof p->tenant);
    memcpy(p->name, u->kept.name, sizeof p->name);
    p->state = u->kept.state;
    p->code = u->kept.code;
    p->is_running = running;
    p->wanted = u->kept.wanted;
    p->restarts = u->restarts;
    if (running) {
        p->running = u->run.manifest;
        memcpy(p->version, usage->version, sizeof p->version);
        p->memory_kib = usage->memory_kib;
        p->cpu_ms = usage->cpu_ms;
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
        if (!digest_none(&t->unit[i].kept.wanted)) {
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
        .n_transfers = transfers->n_transfers,
        .n_objects = transfers->n_complete,
    };
    size_t n = strnlen(parts->satellite, NAME_MAX_LEN);
    memcpy(ret->satellite, parts->satellite, n);
    add_payloads(parts, ret);
    ret->n_events = events_copy(parts->events, ret->event, REPORT_EVENTS_MAX);
    for (uint32_t i = 0; i < ret->n_transfers; i++)
        add_transfer(&transfers->transfer[i], &ret->transfer[i]);
    for (uint32_t i = 0; i < ret->n_objects; i++)
        memcpy(ret->object[i].b, transfers->complete[i], DIGEST_SIZE);
}

/* Leave out one part of what is least missed.  False: only the payloads are left. */
static bool shrink(struct report *r)
{
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

    /* Transfers come from berth-link, which may say anything; the rest is ours. */
    if (rc != RC_OK && rc != RC_NO_ROOM) {
        report->n_transfers = 0;
        report->n_objects = 0;
        rc = report_encode(report, buf, REPORT_MAX, ret, err);
    }
    while (rc == RC_NO_ROOM && shrink(report))
        rc = report_encode(report, buf, REPORT_MAX, ret, err);
    return rc;
}
