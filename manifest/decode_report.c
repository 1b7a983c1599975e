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

/* [rekey, master [epoch, id] or [], kem [id, public or empty] or [], [ * [peer, tenant, epoch] ]]
 */
static void read_keys(struct cbor_in *r, struct report_keys *k)
{
    (void)cbor_array(r, "report.keys", 4, 4);
    k->rekey = wire_u64(r, "report.keys.rekey");
    if (cbor_array(r, "report.keys.master", 0, 2) > 0) {
        k->master_epoch = wire_u32(r, "report.keys.master");
        cbor_fixed(r, "report.keys.master", k->master_id, sizeof k->master_id);
        if (k->master_epoch == 0)
            cbor_fail(r, RC_VALUE, "report.keys.master");
    }
    cbor_end(r);
    if (cbor_array(r, "report.keys.kem", 0, 2) > 0) {
        k->has_kem = true;
        cbor_fixed(r, "report.keys.kem", k->kem_id, sizeof k->kem_id);
        struct bytes b = cbor_bstr(r, "report.keys.kem", 0, sizeof k->kem_public);
        k->has_kem_public = b.n > 0;
        if (b.n == sizeof k->kem_public)
            memcpy(k->kem_public, b.p, b.n);
        else if (b.n > 0)
            cbor_fail(r, RC_VALUE, "report.keys.kem");
    }
    cbor_end(r);
    k->n_links = (uint32_t)cbor_array(r, "report.keys.links", 0, REPORT_LINKS_MAX);
    for (uint32_t i = 0; i < k->n_links && r->rc == RC_OK; i++) {
        (void)cbor_array(r, "report.keys.link", 3, 3);
        k->link[i].peer = wire_u32(r, "report.keys.link");
        cbor_text(r, "report.keys.link", k->link[i].tenant, sizeof k->link[i].tenant);
        k->link[i].epoch = wire_u32(r, "report.keys.link");
        cbor_end(r);
    }
    cbor_end(r);
    cbor_end(r);
}

/* [version, running, trial, failed, code] */
static void read_agent(struct cbor_in *r, struct report_agent *a)
{
    (void)cbor_array(r, "report.agent", 5, 5);
    cbor_text(r, "report.agent.version", a->version, sizeof a->version);
    wire_digest_or_none(r, "report.agent.running", &a->running);
    a->trial = cbor_bool(r, "report.agent.trial");
    wire_digest_or_none(r, "report.agent.failed", &a->failed);
    a->code = wire_u32(r, "report.agent.code");
    cbor_end(r);
    if (a->version[0] == '\0')
        cbor_fail(r, RC_VALUE, "report.agent");
}

static void read_scrub(struct cbor_in *r, struct report_scrub *s)
{
    (void)cbor_array(r, "report.scrub", 8, 8);
    s->rounds = wire_u32(r, "report.scrub.rounds");
    s->age_s = wire_u32(r, "report.scrub.age");
    s->files = wire_u32(r, "report.scrub.files");
    s->kib = wire_u32(r, "report.scrub.kib");
    s->damaged = wire_u32(r, "report.scrub.damaged");
    s->repaired = wire_u32(r, "report.scrub.repaired");
    s->asked = wire_u32(r, "report.scrub.asked");
    s->n_wanted = (uint32_t)cbor_array(r, "report.scrub.wanted", 0, REPORT_WANTED_MAX);
    for (uint32_t i = 0; i < s->n_wanted; i++)
        wire_digest(r, "report.scrub.wanted", &s->wanted[i]);
    cbor_end(r);
    cbor_end(r);
    if (report_scrub_default(s))
        cbor_fail(r, RC_VALUE, "report.scrub");
}

static void read_bytes_of(struct cbor_in *r, struct report_bytes *b)
{
    (void)cbor_array(r, "report.traffic.bytes", 4, 4);
    b->in = wire_u64(r, "report.traffic.in");
    b->useful = wire_u64(r, "report.traffic.useful");
    b->repeated = wire_u64(r, "report.traffic.repeated");
    b->out = wire_u64(r, "report.traffic.out");
    cbor_end(r);
}

/* [contacts, contact, all, [] or [key epoch, highest, accepted]] */
static void read_traffic(struct cbor_in *r, struct report_traffic *t)
{
    (void)cbor_array(r, "report.traffic", 4, 4);
    t->contacts = wire_u64(r, "report.traffic.contacts");
    read_bytes_of(r, &t->contact);
    read_bytes_of(r, &t->all);
    size_t n = cbor_array(r, "report.traffic.key", 0, 3);

    if (n == 3) {
        t->key_epoch = wire_u32(r, "report.traffic.key.epoch");
        t->highest = wire_u64(r, "report.traffic.key.highest");
        t->accepted = wire_u64(r, "report.traffic.key.accepted");
    }
    if (n == 1 || n == 2 || (n == 3 && t->key_epoch == 0))
        cbor_fail(r, RC_VALUE, "report.traffic.key");
    cbor_end(r);
    cbor_end(r);
    if (report_traffic_default(t))
        cbor_fail(r, RC_VALUE, "report.traffic");
}

static void read_usage(struct cbor_in *r, struct report *d)
{
    d->n_usage = (uint32_t)cbor_array(r, "report.usage", 1, TENANTS_MAX);
    for (uint32_t i = 0; i < d->n_usage && r->rc == RC_OK; i++) {
        struct report_usage *u = &d->usage[i];

        (void)cbor_array(r, "report.usage", 2U + 2U * USE_KINDS, 2U + 2U * USE_KINDS);
        cbor_text(r, "report.usage.tenant", u->tenant, sizeof u->tenant);
        u->store_kib = wire_u32(r, "report.usage.store");
        for (size_t k = 0; k < USE_KINDS; k++) {
            u->use[k].kib = wire_u32(r, "report.usage.kib");
            u->use[k].files = wire_u32(r, "report.usage.files");
        }
        cbor_end(r);
    }
    cbor_end(r);
}

/* [missed, [ * [tenant, payload, total, [ call, count ... ]] ]] */
static void read_denied(struct cbor_in *r, struct report *d)
{
    (void)cbor_array(r, "report.denied", 2, 2);
    d->denied_missed = wire_u32(r, "report.denied.missed");
    d->n_denied = (uint32_t)cbor_array(r, "report.denied", 0, REPORT_DENIED_MAX);
    for (uint32_t i = 0; i < d->n_denied && r->rc == RC_OK; i++) {
        struct report_denied *p = &d->denied[i];

        (void)cbor_array(r, "report.denied.payload", 4, 4);
        cbor_text(r, "report.denied.tenant", p->tenant, sizeof p->tenant);
        cbor_text(r, "report.denied.name", p->name, sizeof p->name);
        p->total = wire_u32(r, "report.denied.total");
        size_t n = cbor_array(r, "report.denied.calls", 2, (size_t)2 * REPORT_DENIED_CALLS);
        if (n % 2 != 0) {
            cbor_fail(r, RC_CBOR_COUNT, "report.denied.calls");
            n = 0;
        }
        p->n = (uint32_t)(n / 2);
        for (uint32_t k = 0; k < p->n; k++) {
            cbor_text(r, "report.denied.call", p->call[k].name, sizeof p->call[k].name);
            p->call[k].count = wire_u32(r, "report.denied.count");
        }
        cbor_end(r);
        cbor_end(r);
    }
    cbor_end(r);
    cbor_end(r);
    if (d->denied_missed == 0 && d->n_denied == 0)
        cbor_fail(r, RC_VALUE, "report.denied");
}

/* [standing, missing, waived, landlock, cgroup, [ a receipt or nothing for each payload ]] */
static void read_walls(struct cbor_in *r, struct report *d)
{
    (void)cbor_array(r, "report.walls", 6, 6);
    d->walls.standing = wire_u64(r, "report.walls.standing");
    d->walls.missing = wire_u64(r, "report.walls.missing");
    d->walls.waived = wire_u64(r, "report.walls.waived");
    d->walls.landlock = wire_u32(r, "report.walls.landlock");
    d->walls.cgroup = wire_u32(r, "report.walls.cgroup");
    (void)cbor_array(r, "report.walls.receipts", d->n_payloads, d->n_payloads);
    for (uint32_t i = 0; i < d->n_payloads && r->rc == RC_OK; i++) {
        static const uint8_t none[REPORT_RECEIPT_SIZE];
        struct report_payload *p = &d->payload[i];
        struct bytes b = cbor_bstr(r, "report.walls.receipt", 0, sizeof p->receipt);

        if (b.n == sizeof p->receipt)
            memcpy(p->receipt, b.p, b.n);
        if (b.n != 0 && memcmp(p->receipt, none, sizeof none) == 0)
            cbor_fail(r, RC_VALUE, "report.walls.receipt");
    }
    cbor_end(r);
    cbor_end(r);
    if (report_walls_default(&d->walls))
        cbor_fail(r, RC_VALUE, "report.walls");
}

static void read_spool(struct cbor_in *r, struct report *d)
{
    d->n_spool = (uint32_t)cbor_array(r, "report.spool", 1, REPORT_SPOOL_MAX);
    for (uint32_t i = 0; i < d->n_spool && r->rc == RC_OK; i++) {
        struct report_spool *s = &d->spool[i];

        (void)cbor_array(r, "report.spool", 3U + SPOOL_COUNTS, 3U + SPOOL_COUNTS);
        cbor_text(r, "report.spool.tenant", s->tenant, sizeof s->tenant);
        s->objects = wire_u32(r, "report.spool.objects");
        s->kib = wire_u32(r, "report.spool.kib");
        for (size_t k = 0; k < SPOOL_COUNTS; k++)
            s->count[k] = wire_u32(r, "report.spool.count");
        cbor_end(r);
    }
    cbor_end(r);
}

/* Keys that are there only when they say something. */
static void read_optional(struct cbor_in *r, struct report *d)
{
    if (wire_optional(r, REPORT_KEY_KEYS)) {
        read_keys(r, &d->keys);
        if (report_keys_default(&d->keys))
            cbor_fail(r, RC_VALUE, "report.keys");
    }
    if (wire_optional(r, REPORT_KEY_STAGED)) {
        d->staged = wire_u64(r, "report.staged");
        if (d->staged == 0)
            cbor_fail(r, RC_VALUE, "report.staged");
    }
    if (wire_optional(r, REPORT_KEY_LOST)) {
        d->lost = wire_u32(r, "report.lost");
        if (d->lost == 0)
            cbor_fail(r, RC_VALUE, "report.lost");
    }
    if (wire_optional(r, REPORT_KEY_PASSES)) {
        (void)cbor_array(r, "report.passes", 2, 2);
        d->passes_order = wire_u32(r, "report.passes.order");
        d->passes_document = wire_u32(r, "report.passes.document");
        cbor_end(r);
        if (d->passes_order == 0)
            cbor_fail(r, RC_VALUE, "report.passes");
    }
    if (wire_optional(r, REPORT_KEY_AGENT))
        read_agent(r, &d->agent);
    if (wire_optional(r, REPORT_KEY_SCRUB))
        read_scrub(r, &d->scrub);
    if (wire_optional(r, REPORT_KEY_TRAFFIC))
        read_traffic(r, &d->traffic);
    if (wire_optional(r, REPORT_KEY_USAGE))
        read_usage(r, d);
    if (wire_optional(r, REPORT_KEY_DENIED))
        read_denied(r, d);
    if (wire_optional(r, REPORT_KEY_WALLS))
        read_walls(r, d);
    if (wire_optional(r, REPORT_KEY_SPOOL))
        read_spool(r, d);
    d->keeps_witness = wire_optional(r, REPORT_KEY_WITNESS);
    if (d->keeps_witness)
        wire_witness(r, "report.witness", &d->witness);
}

enum rc report_decode(struct bytes in, struct report *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct report d = { 0 };

    wire_open(&r, DOC_REPORT);
    read_state(&r, &d);
    read_lists(&r, &d);
    read_optional(&r, &d);
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = report_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}
