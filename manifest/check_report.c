/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a report makes sense.  It comes from a satellite that may be broken or taken over: the
 * ground shows these values to people and writes them into its store.
 */
#include "base/name.h"
#include "manifest/wire.h"

static enum rc payload_check(const struct report_payload *p, struct err *err)
{
    if (!name_valid(p->tenant) || !name_valid(p->name))
        return err_set(err, RC_NAME, "report.payload");
    if ((unsigned)p->state >= SLOT_STATES)
        return err_set(err, RC_VALUE, "report.payload.state");
    if (p->version[0] != '\0' && !version_valid(p->version))
        return err_set(err, RC_NAME, "report.payload.version");
    return RC_OK;
}

static enum rc transfer_check(const struct report_transfer *t, struct err *err)
{
    uint64_t chunks = t->chunks ? t->chunks : CHUNKS_MAX;
    uint64_t free_from = 0;

    if (digest_is_none(&t->object))
        return err_set(err, RC_DIGEST_MISSING, "report.transfer.object");
    if (t->chunks > CHUNKS_MAX || t->n_missing > REPORT_RANGES_MAX)
        return err_set(err, RC_VALUE, "report.transfer");
    for (uint32_t i = 0; i < t->n_missing; i++) {
        uint64_t first = t->missing[i].first;
        uint64_t end = first + t->missing[i].count;

        if (first < free_from || t->missing[i].count == 0 || end > chunks)
            return err_set(err, RC_VALUE, "report.transfer.missing[%u]", i);
        free_from = end + 1; /* touching ranges would be one */
    }
    return RC_OK;
}

static enum rc events_check(const struct report *doc, struct err *err)
{
    for (uint32_t i = 0; i < doc->n_events; i++) {
        const struct report_event *e = &doc->event[i];

        if (e->seq > WIRE_UINT_MAX || (i > 0 && e->seq <= doc->event[i - 1].seq))
            return err_set(err, RC_VALUE, "report.event.seq");
        if (!text_printable(e->what))
            return err_set(err, RC_VALUE, "report.event.what");
    }
    return RC_OK;
}

bool report_keys_default(const struct report_keys *k)
{
    return k->rekey == 0 && k->master_epoch == 0 && !k->has_kem && k->n_links == 0;
}

static enum rc links_check(const struct report_keys *k, struct err *err)
{
    for (uint32_t i = 0; i < k->n_links; i++) {
        const struct report_link *l = &k->link[i];
        const struct report_link *before = i > 0 ? l - 1 : NULL;

        if (l->tenant[0] != '\0' && !name_valid(l->tenant))
            return err_set(err, RC_NAME, "report.keys.link");
        /* The platform's first key is what every satellite starts with: not worth a word. */
        if (l->peer == 0 || l->epoch < (l->tenant[0] == '\0' ? 2U : 1U))
            return err_set(err, RC_VALUE, "report.keys.link");
        if (before && (before->peer > l->peer ||
                       (before->peer == l->peer && strcmp(before->tenant, l->tenant) >= 0)))
            return err_set(err, RC_CBOR_ORDER, "report.keys.links");
    }
    return RC_OK;
}

static enum rc keys_check(const struct report_keys *k, struct err *err)
{
    if (k->rekey > WIRE_UINT_MAX || k->n_links > REPORT_LINKS_MAX ||
        (k->has_kem_public && !k->has_kem))
        return err_set(err, RC_VALUE, "report.keys");
    return links_check(k, err);
}

/* An agent that does not say who it is says nothing else of itself either. */
static enum rc agent_check(const struct report_agent *a, struct err *err)
{
    bool said =
        a->trial || a->code != 0 || !digest_is_none(&a->running) || !digest_is_none(&a->failed);

    if (a->version[0] == '\0' && !said)
        return RC_OK;
    if (!version_valid(a->version))
        return err_set(err, RC_NAME, "report.agent.version");
    if ((a->code != 0) != !digest_is_none(&a->failed))
        return err_set(err, RC_VALUE, "report.agent.failed");
    return RC_OK;
}

bool report_scrub_default(const struct report_scrub *s)
{
    return s->rounds == 0 && s->age_s == 0 && s->files == 0 && s->kib == 0 && s->damaged == 0 &&
           s->repaired == 0 && s->asked == 0 && s->n_wanted == 0;
}

static enum rc scrub_check(const struct report_scrub *s, struct err *err)
{
    if (s->n_wanted > REPORT_WANTED_MAX || s->damaged > s->files || s->repaired > s->damaged ||
        (s->rounds == 0 && s->age_s > 0))
        return err_set(err, RC_VALUE, "report.scrub");
    for (uint32_t i = 0; i < s->n_wanted; i++)
        if (digest_is_none(&s->wanted[i]))
            return err_set(err, RC_DIGEST_MISSING, "report.scrub.wanted[%u]", i);
    return RC_OK;
}

static bool bytes_possible(const struct report_bytes *b)
{
    return b->in <= WIRE_UINT_MAX && b->out <= WIRE_UINT_MAX && b->useful <= b->in &&
           b->repeated <= b->in - b->useful;
}

static bool no_bytes(const struct report_bytes *b)
{
    return b->in == 0 && b->useful == 0 && b->repeated == 0 && b->out == 0;
}

bool report_traffic_default(const struct report_traffic *t)
{
    return t->contacts == 0 && no_bytes(&t->contact) && no_bytes(&t->all) && t->key_epoch == 0 &&
           t->highest == 0 && t->accepted == 0;
}

static enum rc traffic_check(const struct report_traffic *t, struct err *err)
{
    if (!bytes_possible(&t->contact) || !bytes_possible(&t->all) || t->contacts > WIRE_UINT_MAX ||
        t->contact.in > t->all.in || t->contact.out > t->all.out)
        return err_set(err, RC_VALUE, "report.traffic");
    if (t->key_epoch > UINT32_MAX || t->highest > WIRE_UINT_MAX || t->accepted > WIRE_UINT_MAX ||
        (t->key_epoch == 0 && (t->highest > 0 || t->accepted > 0)))
        return err_set(err, RC_VALUE, "report.traffic.key");
    return RC_OK;
}

const char *report_use_name(enum report_use use)
{
    static const char *const names[USE_KINDS] = {
        [USE_SLOTS] = "slots",     [USE_STAGING] = "staging",     [USE_KEPT] = "kept",
        [USE_WAITING] = "waiting", [USE_SNAPSHOTS] = "snapshots", [USE_DATA] = "data",
    };

    return (unsigned)use < USE_KINDS ? names[use] : "?";
}

static enum rc usage_check(const struct report *doc, struct err *err)
{
    if (doc->n_usage > TENANTS_MAX)
        return err_set(err, RC_VALUE, "report.usage");
    for (uint32_t i = 0; i < doc->n_usage; i++) {
        if (!name_valid(doc->usage[i].tenant))
            return err_set(err, RC_NAME, "report.usage[%u]", i);
        if (i > 0 && strcmp(doc->usage[i - 1].tenant, doc->usage[i].tenant) >= 0)
            return err_set(err, RC_VALUE, "report.usage[%u]: order", i);
    }
    return RC_OK;
}

static enum rc spool_check(const struct report *doc, struct err *err)
{
    if (doc->n_spool > REPORT_SPOOL_MAX)
        return err_set(err, RC_VALUE, "report.spool");
    for (uint32_t i = 0; i < doc->n_spool; i++) {
        const struct report_spool *s = &doc->spool[i];
        uint32_t any = 0;

        for (size_t k = 0; k < SPOOL_COUNTS; k++)
            any |= s->count[k];
        if (s->tenant[0] != '\0' && !name_valid(s->tenant))
            return err_set(err, RC_NAME, "report.spool[%u]", i);
        if (any == 0)
            return err_set(err, RC_VALUE, "report.spool[%u]: counts", i);
        if (i > 0 && strcmp(s[-1].tenant, s->tenant) >= 0)
            return err_set(err, RC_VALUE, "report.spool[%u]: order", i);
    }
    return RC_OK;
}

/* A name of the kernel's, or one of ours that stands for a number: lower case, digits, '_', '-'. */
static bool call_valid(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-");

    return n > 0 && name[n] == '\0';
}

static enum rc denied_one_check(const struct report_denied *d, struct err *err)
{
    uint64_t sum = 0;

    if (!name_valid(d->tenant) || !name_valid(d->name))
        return err_set(err, RC_NAME, "report.denied");
    if (d->n == 0 || d->n > REPORT_DENIED_CALLS)
        return err_set(err, RC_VALUE, "report.denied: count");
    for (uint32_t i = 0; i < d->n; i++) {
        if (memchr(d->call[i].name, '\0', sizeof d->call[i].name) == NULL ||
            !call_valid(d->call[i].name) || d->call[i].count == 0 ||
            (i > 0 && d->call[i].count > d->call[i - 1].count))
            return err_set(err, RC_VALUE, "report.denied.call[%u]", i);
        sum += d->call[i].count;
    }
    if (sum > d->total && d->total != UINT32_MAX)
        return err_set(err, RC_VALUE, "report.denied.total");
    return RC_OK;
}

static enum rc denied_check(const struct report *doc, struct err *err)
{
    if (doc->n_denied > REPORT_DENIED_MAX)
        return err_set(err, RC_VALUE, "report.denied");
    for (uint32_t i = 0; i < doc->n_denied; i++) {
        const struct report_denied *d = &doc->denied[i];
        enum rc rc = denied_one_check(d, err);

        if (rc != RC_OK)
            return rc;
        if (i == 0)
            continue;
        int by_tenant = strcmp(d[-1].tenant, d->tenant);
        if (by_tenant > 0 || (by_tenant == 0 && strcmp(d[-1].name, d->name) >= 0))
            return err_set(err, RC_VALUE, "report.denied[%u]: order", i);
    }
    return RC_OK;
}

bool report_walls_default(const struct report_walls *w)
{
    return w->standing == 0 && w->missing == 0 && w->waived == 0 && w->landlock == 0 &&
           w->cgroup == 0;
}

/* Receipts are told with the walls that they are of. */
static enum rc walls_check(const struct report *doc, struct err *err)
{
    static const uint8_t none[REPORT_RECEIPT_SIZE];
    const struct report_walls *w = &doc->walls;

    if (((w->standing | w->missing) > WIRE_UINT_MAX) || (w->standing & w->missing) != 0 ||
        (w->waived & ~w->missing) != 0 || w->cgroup > 2)
        return err_set(err, RC_VALUE, "report.walls");
    for (uint32_t i = 0; i < doc->n_payloads && report_walls_default(w); i++) {
        if (memcmp(doc->payload[i].receipt, none, sizeof none) != 0)
            return err_set(err, RC_VALUE, "report.walls.receipt");
    }
    return RC_OK;
}

static enum rc counters_check(const struct report *doc, struct err *err)
{
    if (!name_valid(doc->satellite))
        return err_set(err, RC_NAME, "report.satellite");
    if (doc->epoch > WIRE_UINT_MAX || doc->seq > WIRE_UINT_MAX || doc->time_ms > WIRE_UINT_MAX ||
        doc->root_version > WIRE_UINT_MAX || doc->generation > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "report: counter");
    if (doc->n_payloads > PAYLOADS_MAX || doc->n_events > REPORT_EVENTS_MAX ||
        doc->n_transfers > REPORT_TRANSFERS_MAX || doc->n_objects > PAYLOADS_MAX)
        return err_set(err, RC_VALUE, "report: count");
    if (doc->lost > LOST_ALL)
        return err_set(err, RC_VALUE, "report.lost");
    if (doc->passes_document > doc->passes_order)
        return err_set(err, RC_VALUE, "report.passes");
    return RC_OK;
}

enum rc report_check(const struct report *doc, struct err *err)
{
    enum rc rc = counters_check(doc, err);

    /* The counts are bounded before anything is walked. */
    if (rc != RC_OK)
        return rc;
    rc = events_check(doc, err);
    for (uint32_t i = 0; rc == RC_OK && i < doc->n_payloads; i++)
        rc = payload_check(&doc->payload[i], err);
    for (uint32_t i = 0; rc == RC_OK && i < doc->n_transfers; i++)
        rc = transfer_check(&doc->transfer[i], err);
    for (uint32_t i = 0; rc == RC_OK && i < doc->n_objects; i++) {
        if (digest_is_none(&doc->object[i]))
            rc = err_set(err, RC_DIGEST_MISSING, "report.object[%u]", i);
    }
    if (rc == RC_OK)
        rc = keys_check(&doc->keys, err);
    if (rc == RC_OK)
        rc = agent_check(&doc->agent, err);
    if (rc == RC_OK)
        rc = scrub_check(&doc->scrub, err);
    if (rc == RC_OK)
        rc = traffic_check(&doc->traffic, err);
    if (rc == RC_OK)
        rc = usage_check(doc, err);
    if (rc == RC_OK)
        rc = denied_check(doc, err);
    if (rc == RC_OK)
        rc = walls_check(doc, err);
    if (rc == RC_OK)
        rc = spool_check(doc, err);
    if (rc == RC_OK && !doc->keeps_witness && doc->witness.seq != 0)
        rc = err_set(err, RC_VALUE, "report.witness");
    if (rc == RC_OK)
        rc = witness_check(&doc->witness, "report.witness", err);
    return rc;
}
