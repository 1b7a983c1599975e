/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

static void put_payload(struct cbor_out *w, const struct report_payload *p)
{
    cbor_put_array(w, 11);
    cbor_put_text(w, p->tenant);
    cbor_put_text(w, p->name);
    cbor_put_uint(w, p->state);
    cbor_put_uint(w, p->code);
    cbor_put_bool(w, p->is_running);
    wire_put_digest_or_none(w, &p->wanted);
    wire_put_digest_or_none(w, &p->running);
    cbor_put_text(w, p->version);
    cbor_put_uint(w, p->restarts);
    cbor_put_uint(w, p->memory_kib);
    cbor_put_uint(w, p->cpu_ms);
}

static void put_event(struct cbor_out *w, const struct report_event *e)
{
    cbor_put_array(w, 4);
    cbor_put_uint(w, e->seq);
    cbor_put_uint(w, e->code);
    cbor_put_uint(w, e->count);
    cbor_put_text(w, e->what);
}

static void put_transfer(struct cbor_out *w, const struct report_transfer *t)
{
    cbor_put_array(w, 4);
    wire_put_digest(w, &t->object);
    cbor_put_uint(w, t->chunks);
    cbor_put_bool(w, t->more);
    cbor_put_array(w, (size_t)2 * t->n_missing);
    for (uint32_t i = 0; i < t->n_missing; i++) {
        cbor_put_uint(w, t->missing[i].first);
        cbor_put_uint(w, t->missing[i].count);
    }
}

static void put_lists(struct cbor_out *w, const struct report *doc)
{
    cbor_put_uint(w, 7);
    cbor_put_array(w, doc->n_payloads);
    for (uint32_t i = 0; i < doc->n_payloads; i++)
        put_payload(w, &doc->payload[i]);
    cbor_put_uint(w, 8);
    cbor_put_array(w, doc->n_events);
    for (uint32_t i = 0; i < doc->n_events; i++)
        put_event(w, &doc->event[i]);
    cbor_put_uint(w, 9);
    cbor_put_array(w, doc->n_transfers);
    for (uint32_t i = 0; i < doc->n_transfers; i++)
        put_transfer(w, &doc->transfer[i]);
    cbor_put_uint(w, 10);
    cbor_put_array(w, doc->n_objects);
    for (uint32_t i = 0; i < doc->n_objects; i++)
        wire_put_digest(w, &doc->object[i]);
}

enum rc report_encode(const struct report *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                      struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = report_check(doc, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_REPORT, 11);
    wire_put_text_at(&w, 1, doc->satellite);
    wire_put_uint_at(&w, 2, doc->epoch);
    wire_put_uint_at(&w, 3, doc->seq);
    wire_put_uint_at(&w, 4, doc->time_ms);
    wire_put_uint_at(&w, 5, doc->root_version);
    wire_put_uint_at(&w, 6, doc->generation);
    put_lists(&w, doc);
    return cbor_written(&w, ret, err);
}
