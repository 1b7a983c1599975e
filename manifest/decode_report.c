/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

static void read_payload(struct cbor_in *r, struct report_payload *p)
{
    (void)cbor_array(r, "report.payload", 11, 11);
    cbor_text(r, "report.payload.tenant", p->tenant, sizeof p->tenant);
    cbor_text(r, "report.payload.name", p->name, sizeof p->name);
    p->state = (enum slot_state)cbor_uint(r, "report.payload.state", SLOT_STATES - 1);
    p->code = wire_u32(r, "report.payload.code");
    p->is_running = cbor_bool(r, "report.payload.is_running");
    wire_digest_or_none(r, "report.payload.wanted", &p->wanted);
    wire_digest_or_none(r, "report.payload.running", &p->running);
    cbor_text(r, "report.payload.version", p->version, sizeof p->version);
    p->restarts = wire_u32(r, "report.payload.restarts");
    p->memory_kib = wire_u32(r, "report.payload.memory");
    p->cpu_ms = wire_u32(r, "report.payload.cpu");
    cbor_end(r);
}

static void read_event(struct cbor_in *r, struct report_event *e)
{
    (void)cbor_array(r, "report.event", 4, 4);
    e->seq = wire_u64(r, "report.event.seq");
    e->code = wire_u32(r, "report.event.code");
    e->count = wire_u32(r, "report.event.count");
    cbor_text(r, "report.event.what", e->what, sizeof e->what);
    cbor_end(r);
}

/* [object, chunks, more, [ first, count, first, count ... ]] */
static void read_transfer(struct cbor_in *r, struct report_transfer *t)
{
    (void)cbor_array(r, "report.transfer", 4, 4);
    wire_digest(r, "report.transfer.object", &t->object);
    t->chunks = wire_u32(r, "report.transfer.chunks");
    t->more = cbor_bool(r, "report.transfer.more");

    size_t n = cbor_array(r, "report.transfer.missing", 0, (size_t)2 * REPORT_RANGES_MAX);
    if (n % 2 != 0) {
        cbor_fail(r, RC_CBOR_COUNT, "report.transfer.missing");
        n = 0;
    }
    t->n_missing = (uint32_t)(n / 2);
    for (uint32_t i = 0; i < t->n_missing; i++) {
        t->missing[i].first = wire_u32(r, "report.transfer.missing");
        t->missing[i].count = wire_u32(r, "report.transfer.missing");
    }
    cbor_end(r);
    cbor_end(r);
}

static void read_state(struct cbor_in *r, struct report *d)
{
    wire_key(r, 1, "report.satellite");
    cbor_text(r, "report.satellite", d->satellite, sizeof d->satellite);
    wire_key(r, 2, "report.epoch");
    d->epoch = wire_u64(r, "report.epoch");
    wire_key(r, 3, "report.seq");
    d->seq = wire_u64(r, "report.seq");
    wire_key(r, 4, "report.time");
    d->time_ms = wire_u64(r, "report.time");
    wire_key(r, 5, "report.root");
    d->root_version = wire_u64(r, "report.root");
    wire_key(r, 6, "report.generation");
    d->generation = wire_u64(r, "report.generation");
}

static void read_lists(struct cbor_in *r, struct report *d)
{
    wire_key(r, 7, "report.payloads");
    d->n_payloads = (uint32_t)cbor_array(r, "report.payloads", 0, PAYLOADS_MAX);
    for (uint32_t i = 0; i < d->n_payloads; i++)
        read_payload(r, &d->payload[i]);
    cbor_end(r);
    wire_key(r, 8, "report.events");
    d->n_events = (uint32_t)cbor_array(r, "report.events", 0, REPORT_EVENTS_MAX);
    for (uint32_t i = 0; i < d->n_events; i++)
        read_event(r, &d->event[i]);
    cbor_end(r);
    wire_key(r, 9, "report.transfers");
    d->n_transfers = (uint32_t)cbor_array(r, "report.transfers", 0, REPORT_TRANSFERS_MAX);
    for (uint32_t i = 0; i < d->n_transfers; i++)
        read_transfer(r, &d->transfer[i]);
    cbor_end(r);
    wire_key(r, 10, "report.objects");
    d->n_objects = (uint32_t)cbor_array(r, "report.objects", 0, PAYLOADS_MAX);
    for (uint32_t i = 0; i < d->n_objects; i++)
        wire_digest(r, "report.objects", &d->object[i]);
    cbor_end(r);
}

enum rc report_decode(struct bytes in, struct report *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct report d = { 0 };

    wire_open(&r, DOC_REPORT);
    read_state(&r, &d);
    read_lists(&r, &d);
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = report_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}
