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

static void put_keys(struct cbor_out *w, const struct report_keys *k)
{
    cbor_put_uint(w, REPORT_KEY_KEYS);
    cbor_put_array(w, 4);
    cbor_put_uint(w, k->rekey);
    cbor_put_array(w, k->master_epoch > 0 ? 2 : 0);
    if (k->master_epoch > 0) {
        cbor_put_uint(w, k->master_epoch);
        cbor_put_bstr(w, (struct bytes){ k->master_id, sizeof k->master_id });
    }
    cbor_put_array(w, k->has_kem ? 2 : 0);
    if (k->has_kem) {
        cbor_put_bstr(w, (struct bytes){ k->kem_id, sizeof k->kem_id });
        cbor_put_bstr(
            w, (struct bytes){ k->kem_public, k->has_kem_public ? sizeof k->kem_public : 0 });
    }
    cbor_put_array(w, k->n_links);
    for (uint32_t i = 0; i < k->n_links; i++) {
        cbor_put_array(w, 3);
        cbor_put_uint(w, k->link[i].peer);
        cbor_put_text(w, k->link[i].tenant);
        cbor_put_uint(w, k->link[i].epoch);
    }
}

static void put_agent(struct cbor_out *w, const struct report_agent *a)
{
    cbor_put_uint(w, REPORT_KEY_AGENT);
    cbor_put_array(w, 5);
    cbor_put_text(w, a->version);
    wire_put_digest_or_none(w, &a->running);
    cbor_put_bool(w, a->trial);
    wire_put_digest_or_none(w, &a->failed);
    cbor_put_uint(w, a->code);
}

static void put_scrub(struct cbor_out *w, const struct report_scrub *s)
{
    cbor_put_uint(w, REPORT_KEY_SCRUB);
    cbor_put_array(w, 8);
    cbor_put_uint(w, s->rounds);
    cbor_put_uint(w, s->age_s);
    cbor_put_uint(w, s->files);
    cbor_put_uint(w, s->kib);
    cbor_put_uint(w, s->damaged);
    cbor_put_uint(w, s->repaired);
    cbor_put_uint(w, s->asked);
    cbor_put_array(w, s->n_wanted);
    for (uint32_t i = 0; i < s->n_wanted; i++)
        wire_put_digest(w, &s->wanted[i]);
}

static void put_bytes_of(struct cbor_out *w, const struct report_bytes *b)
{
    cbor_put_array(w, 4);
    cbor_put_uint(w, b->in);
    cbor_put_uint(w, b->useful);
    cbor_put_uint(w, b->repeated);
    cbor_put_uint(w, b->out);
}

static void put_traffic(struct cbor_out *w, const struct report_traffic *t)
{
    cbor_put_uint(w, REPORT_KEY_TRAFFIC);
    cbor_put_array(w, 4);
    cbor_put_uint(w, t->contacts);
    put_bytes_of(w, &t->contact);
    put_bytes_of(w, &t->all);
    cbor_put_array(w, t->key_epoch > 0 ? 3 : 0);
    if (t->key_epoch > 0) {
        cbor_put_uint(w, t->key_epoch);
        cbor_put_uint(w, t->highest);
        cbor_put_uint(w, t->accepted);
    }
}

static void put_usage(struct cbor_out *w, const struct report *doc)
{
    cbor_put_uint(w, REPORT_KEY_USAGE);
    cbor_put_array(w, doc->n_usage);
    for (uint32_t i = 0; i < doc->n_usage; i++) {
        const struct report_usage *u = &doc->usage[i];

        cbor_put_array(w, 2U + 2U * USE_KINDS);
        cbor_put_text(w, u->tenant);
        cbor_put_uint(w, u->store_kib);
        for (size_t k = 0; k < USE_KINDS; k++) {
            cbor_put_uint(w, u->use[k].kib);
            cbor_put_uint(w, u->use[k].files);
        }
    }
}

static void put_denied(struct cbor_out *w, const struct report *doc)
{
    cbor_put_uint(w, REPORT_KEY_DENIED);
    cbor_put_array(w, 2);
    cbor_put_uint(w, doc->denied_missed);
    cbor_put_array(w, doc->n_denied);
    for (uint32_t i = 0; i < doc->n_denied; i++) {
        const struct report_denied *d = &doc->denied[i];

        cbor_put_array(w, 4);
        cbor_put_text(w, d->tenant);
        cbor_put_text(w, d->name);
        cbor_put_uint(w, d->total);
        cbor_put_array(w, (size_t)2 * d->n);
        for (uint32_t k = 0; k < d->n; k++) {
            cbor_put_text(w, d->call[k].name);
            cbor_put_uint(w, d->call[k].count);
        }
    }
}

static bool has_receipt(const struct report_payload *p)
{
    static const uint8_t none[REPORT_RECEIPT_SIZE];

    return memcmp(p->receipt, none, sizeof none) != 0;
}

/* The receipts in the order of the payloads. */
static void put_walls(struct cbor_out *w, const struct report *doc)
{
    const struct report_walls *walls = &doc->walls;

    cbor_put_uint(w, REPORT_KEY_WALLS);
    cbor_put_array(w, 6);
    cbor_put_uint(w, walls->standing);
    cbor_put_uint(w, walls->missing);
    cbor_put_uint(w, walls->waived);
    cbor_put_uint(w, walls->landlock);
    cbor_put_uint(w, walls->cgroup);
    cbor_put_array(w, doc->n_payloads);
    for (uint32_t i = 0; i < doc->n_payloads; i++) {
        const struct report_payload *p = &doc->payload[i];

        cbor_put_bstr(w, (struct bytes){ p->receipt, has_receipt(p) ? sizeof p->receipt : 0 });
    }
}

static void put_spool(struct cbor_out *w, const struct report *doc)
{
    cbor_put_uint(w, REPORT_KEY_SPOOL);
    cbor_put_array(w, doc->n_spool);
    for (uint32_t i = 0; i < doc->n_spool; i++) {
        const struct report_spool *s = &doc->spool[i];

        cbor_put_array(w, 3U + SPOOL_COUNTS);
        cbor_put_text(w, s->tenant);
        cbor_put_uint(w, s->objects);
        cbor_put_uint(w, s->kib);
        for (size_t k = 0; k < SPOOL_COUNTS; k++)
            cbor_put_uint(w, s->count[k]);
    }
}

enum rc report_encode(const struct report *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                      struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = report_check(doc, err);

    if (rc != RC_OK)
        return rc;
    bool keys = !report_keys_default(&doc->keys);
    bool agent = doc->agent.version[0] != '\0';
    bool scrub = !report_scrub_default(&doc->scrub);
    bool traffic = !report_traffic_default(&doc->traffic);
    bool denied = doc->n_denied > 0 || doc->denied_missed > 0;
    bool walls = !report_walls_default(&doc->walls);
    wire_put_open(&w, DOC_REPORT,
                  11U + keys + (doc->staged > 0) + (doc->lost > 0) + (doc->passes_order > 0) +
                      agent + scrub + traffic + (doc->n_usage > 0) + denied + walls +
                      (doc->n_spool > 0) + doc->keeps_witness);
    wire_put_text_at(&w, 1, doc->satellite);
    wire_put_uint_at(&w, 2, doc->epoch);
    wire_put_uint_at(&w, 3, doc->seq);
    wire_put_uint_at(&w, 4, doc->time_ms);
    wire_put_uint_at(&w, 5, doc->root_version);
    wire_put_uint_at(&w, 6, doc->generation);
    put_lists(&w, doc);
    if (keys)
        put_keys(&w, &doc->keys);
    if (doc->staged > 0)
        wire_put_uint_at(&w, REPORT_KEY_STAGED, doc->staged);
    if (doc->lost > 0)
        wire_put_uint_at(&w, REPORT_KEY_LOST, doc->lost);
    if (doc->passes_order > 0) {
        cbor_put_uint(&w, REPORT_KEY_PASSES);
        cbor_put_array(&w, 2);
        cbor_put_uint(&w, doc->passes_order);
        cbor_put_uint(&w, doc->passes_document);
    }
    if (agent)
        put_agent(&w, &doc->agent);
    if (scrub)
        put_scrub(&w, &doc->scrub);
    if (traffic)
        put_traffic(&w, &doc->traffic);
    if (doc->n_usage > 0)
        put_usage(&w, doc);
    if (denied)
        put_denied(&w, doc);
    if (walls)
        put_walls(&w, doc);
    if (doc->n_spool > 0)
        put_spool(&w, doc);
    if (doc->keeps_witness) {
        cbor_put_uint(&w, REPORT_KEY_WITNESS);
        wire_put_witness(&w, &doc->witness);
    }
    return cbor_written(&w, ret, err);
}
