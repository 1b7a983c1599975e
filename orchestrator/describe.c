/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/describe.h"
#include "orchestrator/confinement.h"
#include "orchestrator/refused.h"

#include <stdlib.h>

#include "manifest/suite.h"

static json_t *key_set_json(const struct key_set *set)
{
    json_t *ids = json_array(), *algorithms = json_array();

    for (uint32_t i = 0; i < set->n; i++) {
        (void)json_array_append_new(
            ids, json_hex((struct bytes){ .p = set->key[i].id, .n = KEY_ID_SIZE }));
        (void)json_array_append_new(algorithms, json_string(suite_title(set->key[i].suite)));
    }
    return json_pack("{s:i, s:o, s:o}", "threshold", (int)set->threshold, "keys", ids, "algorithms",
                     algorithms);
}

/* The value, with a companion in SHA-384 if there is one. */
static json_t *with_384(json_t *value, const char *name, const struct digest384 *digest)
{
    if (!digest384_is_none(digest))
        (void)json_object_set_new(value, name,
                                  json_hex((struct bytes){ digest->b, sizeof digest->b }));
    return value;
}

json_t *describe_root(const struct root *doc)
{
    json_t *value =
        json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", "root", "version",
                  json_uint(doc->version), "mission",
                  json_hex((struct bytes){ .p = doc->mission.b, .n = MISSION_SIZE }), "issued_ms",
                  json_uint(doc->issued_ms), "expires_ms", json_uint(doc->expires_ms),
                  "operator_since_ms", json_uint(doc->operator_since_ms), "root_keys",
                  key_set_json(&doc->root_keys), "operator_keys", key_set_json(&doc->operator_keys),
                  "next_keys", json_digest(&doc->next_keys));

    if (doc->safety_keys.n > 0)
        (void)json_object_set_new(value, "safety_keys", key_set_json(&doc->safety_keys));
    return with_384(value, "next_keys384", &doc->next_keys384);
}

json_t *describe_grant(const struct grant *doc)
{
    json_t *value = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:i}", "kind", "grant",
                              "tenant", doc->tenant, "epoch", json_uint(doc->epoch), "issued_ms",
                              json_uint(doc->issued_ms), "expires_ms", json_uint(doc->expires_ms),
                              "keys", key_set_json(&doc->keys), "prefix", doc->prefix, "total",
                              describe_resources(&doc->total), "store_bytes",
                              json_uint(doc->store_bytes), "payloads_max", (int)doc->payloads_max);

    if (doc->needs_safety)
        (void)json_object_set_new(value, "needs_safety", json_true());
    if (doc->agent)
        (void)json_object_set_new(value, "agent", json_true());
    if (doc->teams_since_ms != 0)
        (void)json_object_set_new(value, "teams_since_ms", json_uint(doc->teams_since_ms));
    describe_allowance(value, &doc->may);
    return value;
}

json_t *describe_delegation(const struct delegation *doc)
{
    json_t *value = json_pack("{s:s, s:s, s:s, s:o, s:o}", "kind", "delegation", "tenant",
                              doc->tenant, "team", doc->team, "epoch", json_uint(doc->epoch),
                              "issued_ms", json_uint(doc->issued_ms));

    if (doc->withdrawn != REVOKE_NONE) {
        (void)json_object_set_new(value, "withdrawn",
                                  json_string(revoke_policy_name(doc->withdrawn)));
        return value;
    }
    json_t *terms = json_pack(
        "{s:o, s:o, s:s, s:o, s:o, s:i, s:o}", "expires_ms", json_uint(doc->expires_ms), "keys",
        key_set_json(&doc->keys), "prefix", doc->prefix, "total", describe_resources(&doc->total),
        "store_bytes", json_uint(doc->store_bytes), "payloads_max", (int)doc->payloads_max,
        "teams_since_ms", json_uint(doc->teams_since_ms));

    (void)json_object_update(value, terms);
    describe_allowance(value, &doc->may);
    json_decref(terms);
    return value;
}

static json_t *health_json(const struct health *h)
{
    return json_pack("{s:s, s:i, s:i, s:i}", "type", h->type == HEALTH_NOTIFY ? "notify" : "alive",
                     "ready_ms", (int)h->ready_ms, "soak_ms", (int)h->soak_ms, "watchdog_ms",
                     (int)h->watchdog_ms);
}

json_t *describe_manifest(const struct manifest *doc)
{
    json_t *args = json_array(), *env = json_array();

    for (uint32_t i = 0; i < doc->n_args; i++)
        (void)json_array_append_new(args, json_safe(doc->args[i]));
    for (uint32_t i = 0; i < doc->n_env; i++)
        (void)json_array_append_new(env, json_safe(doc->env[i]));
    json_t *value = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i}", "kind",
        "manifest", "tenant", doc->tenant, "name", doc->name, "version", doc->version, "release",
        json_uint(doc->release), "floor", json_uint(doc->floor), "arch", doc->arch, "exec", args,
        "env", env, "content", json_digest(&doc->content), "content_bytes",
        json_uint(doc->content_bytes), "unpacked_bytes", json_uint(doc->unpacked_bytes),
        "resources", describe_resources(&doc->limits), "health", health_json(&doc->health), "files",
        (int)doc->files);

    if (doc->team[0] != '\0')
        (void)json_object_set_new(value, "team", json_string(doc->team));
    if (!digest_is_none(&doc->index))
        (void)json_object_set_new(value, "index", json_digest(&doc->index));
    if (!digest_is_none(&doc->sbom))
        (void)json_object_set_new(value, "sbom", json_digest(&doc->sbom));
    if (!digest_is_none(&doc->provenance))
        (void)json_object_set_new(value, "provenance", json_digest(&doc->provenance));
    value = with_384(value, "index384", &doc->index384);
    if (doc->snapshot)
        (void)json_object_set_new(value, "snapshot", json_true());
    if (doc->sealed)
        (void)json_object_set_new(value, "sealed", json_true());
    describe_wants(value, doc);
    return with_384(value, "content384", &doc->content384);
}

json_t *describe_order(const struct order *doc)
{
    json_t *lines = json_array();

    for (uint32_t i = 0; i < doc->n_lines; i++) {
        const struct order_line *line = &doc->line[i];

        (void)json_array_append_new(
            lines, with_384(json_pack("{s:s, s:s, s:o}", "tenant", line->tenant, "name", line->name,
                                      "manifest", json_digest(&line->manifest)),
                            "manifest384", &line->manifest384));
    }
    json_t *value = json_pack("{s:s, s:s, s:o, s:b, s:o, s:o, s:o}", "kind", "order", "satellite",
                              doc->satellite, "generation", json_uint(doc->generation), "staged",
                              doc->staged, "issued_ms", json_uint(doc->issued_ms), "expires_ms",
                              json_uint(doc->expires_ms), "lines", lines);
    if (doc->witness.seq > 0)
        (void)json_object_set_new(value, "audit_head",
                                  json_pack("{s:o, s:o}", "seq", json_uint(doc->witness.seq),
                                            "head", json_digest(&doc->witness.head)));
    return value;
}

static json_t *report_payload_json(const struct report_payload *p)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:i, s:i}", "tenant", p->tenant,
                     "name", p->name, "version", p->version, "state", slot_state_name(p->state),
                     "code_name", rc_name(rc_from_number(p->code)), "wanted",
                     json_digest(&p->wanted), "running_manifest", json_digest(&p->running),
                     "running", (int)p->is_running, "restarts", (int)p->restarts, "memory_kib",
                     (int)p->memory_kib);
}

json_t *describe_agent(const struct report_agent *agent)
{
    if (agent->version[0] == '\0')
        return json_null();
    return json_pack("{s:s, s:o, s:b, s:o, s:s}", "version", agent->version, "running_manifest",
                     json_digest(&agent->running), "trial", (int)agent->trial, "failed_manifest",
                     json_digest(&agent->failed), "code_name",
                     rc_name(rc_from_number(agent->code)));
}

json_t *describe_scrub(const struct report_scrub *s)
{
    json_t *wanted = json_array();

    for (uint32_t i = 0; i < s->n_wanted; i++)
        (void)json_array_append_new(wanted, json_digest(&s->wanted[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "rounds", json_uint(s->rounds),
                     "age_s", json_uint(s->age_s), "files", json_uint(s->files), "kib",
                     json_uint(s->kib), "damaged", json_uint(s->damaged), "repaired",
                     json_uint(s->repaired), "asked", json_uint(s->asked), "wanted", wanted);
}

static json_t *traffic_bytes(const struct report_bytes *b)
{
    return json_pack("{s:o, s:o, s:o, s:o}", "in", json_uint(b->in), "useful", json_uint(b->useful),
                     "repeated", json_uint(b->repeated), "out", json_uint(b->out));
}

json_t *describe_traffic(const struct report_traffic *t)
{
    if (t->contacts == 0 && t->all.in == 0 && t->all.out == 0)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "contacts", json_uint(t->contacts),
                     "contact", traffic_bytes(&t->contact), "all", traffic_bytes(&t->all),
                     "key_epoch", json_uint(t->key_epoch), "highest", json_uint(t->highest),
                     "accepted", json_uint(t->accepted));
}

json_t *describe_usage(const struct report *doc)
{
    json_t *all = json_array();

    for (uint32_t i = 0; i < doc->n_usage; i++) {
        const struct report_usage *u = &doc->usage[i];
        json_t *one =
            json_pack("{s:s, s:o}", "tenant", u->tenant, "store_kib", json_uint(u->store_kib));

        for (int k = 0; k < USE_KINDS; k++)
            (void)json_object_set_new(one, report_use_name((enum report_use)k),
                                      json_pack("{s:o, s:o}", "kib", json_uint(u->use[k].kib),
                                                "files", json_uint(u->use[k].files)));
        (void)json_array_append_new(all, one);
    }
    return all;
}

json_t *describe_spool(const struct report *doc)
{
    json_t *all = json_array();

    for (uint32_t i = 0; i < doc->n_spool; i++) {
        const struct report_spool *s = &doc->spool[i];

        (void)json_array_append_new(
            all, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "tenant", s->tenant, "objects",
                           json_uint(s->objects), "kib", json_uint(s->kib), "refused_room",
                           json_uint(s->count[SPOOL_REFUSED_ROOM]), "refused_disk",
                           json_uint(s->count[SPOOL_REFUSED_DISK]), "dropped_old",
                           json_uint(s->count[SPOOL_DROPPED_OLD]), "dropped_room",
                           json_uint(s->count[SPOOL_DROPPED_ROOM])));
    }
    return all;
}

json_t *describe_report(const struct report *doc)
{
    json_t *payloads = json_array(), *events = json_array();

    for (uint32_t i = 0; i < doc->n_payloads; i++)
        (void)json_array_append_new(payloads, report_payload_json(&doc->payload[i]));
    for (uint32_t i = 0; i < doc->n_events; i++)
        (void)json_array_append_new(
            events, json_pack("{s:o, s:s, s:i, s:o}", "seq", json_uint(doc->event[i].seq), "name",
                              rc_name(rc_from_number(doc->event[i].code)), "count",
                              (int)doc->event[i].count, "what", json_safe(doc->event[i].what)));
    return json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:o, s:i, s:i, s:o, s:o, "
        "s:o, s:o, s:o}",
        "kind", "report", "satellite", doc->satellite, "epoch", json_uint(doc->epoch), "seq",
        json_uint(doc->seq), "time_ms", json_uint(doc->time_ms), "root_version",
        json_uint(doc->root_version), "generation", json_uint(doc->generation), "lost",
        (int)doc->lost, "passes_since_order", json_uint(doc->passes_order), "passes_since_document",
        json_uint(doc->passes_document), "agent", describe_agent(&doc->agent), "payloads", payloads,
        "events", events, "transfers", (int)doc->n_transfers, "objects", (int)doc->n_objects,
        "scrub", describe_scrub(&doc->scrub), "usage", describe_usage(doc), "refused_calls",
        refused_json(doc), "confinement", confinement_json(doc), "spool", describe_spool(doc));
}

static json_t *revoked_json(const struct revoked *r)
{
    const char *policy = revoke_policy_name(r->policy);

    switch (r->kind) {
    case REVOKED_KEY:
        return json_pack("{s:o, s:s}", "key",
                         json_hex((struct bytes){ .p = r->key, .n = KEY_ID_SIZE }), "then", policy);
    case REVOKED_GRANT:
        return json_pack("{s:s, s:o, s:s}", "grants_of", r->tenant, "up_to_epoch",
                         json_uint(r->epoch), "then", policy);
    case REVOKED_MANIFEST:
        return with_384(
            json_pack("{s:o, s:s}", "manifest", json_digest(&r->manifest), "then", policy),
            "manifest384", &r->manifest384);
    }
    return json_null();
}

json_t *describe_revocation(const struct revocation *doc)
{
    json_t *entries = json_array();

    for (uint32_t i = 0; i < doc->n; i++)
        (void)json_array_append_new(entries, revoked_json(&doc->entry[i]));
    return json_pack("{s:s, s:o, s:o, s:o}", "kind", "revocation", "number", json_uint(doc->number),
                     "issued_ms", json_uint(doc->issued_ms), "revoked", entries);
}

static json_t *rekey_entry_json(const struct rekey_entry *e)
{
    if (e->what == REKEY_NEW_KEM)
        return json_pack("{s:s}", "what", rekey_what_name(e->what));
    if (e->what == REKEY_NEW_MASTER)
        return json_pack("{s:s, s:o}", "what", rekey_what_name(e->what), "epoch",
                         json_uint(e->epoch));
    json_t *v = json_pack("{s:s, s:o, s:o}", "what", rekey_what_name(e->what), "peer",
                          json_uint(e->peer), "epoch", json_uint(e->epoch));

    if (e->what == REKEY_TENANT_LINK)
        (void)json_object_set_new(v, "tenant", json_safe(e->tenant));
    return v;
}

json_t *describe_rekey(const struct rekey *doc)
{
    static const char *const recipients[] = {
        [REKEY_NOBODY] = "nobody", [REKEY_KEM] = "kem", [REKEY_MASTER] = "master"
    };
    json_t *entries = json_array();

    for (uint32_t i = 0; i < doc->n; i++)
        (void)json_array_append_new(entries, rekey_entry_json(&doc->entry[i]));
    return json_pack("{s:s, s:o, s:o, s:o, s:s, s:o, s:o}", "kind", "rekey", "satellite",
                     json_safe(doc->satellite), "number", json_uint(doc->number), "issued_ms",
                     json_uint(doc->issued_ms), "wrapped_for", recipients[doc->recipient], "key",
                     json_hex((struct bytes){ doc->key_id, KEY_ID_SIZE }), "keys", entries);
}

json_t *describe_token(const struct token *doc)
{
    json_t *value =
        json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "kind", "token", "satellite", doc->satellite,
                  "generation", json_uint(doc->generation), "order", json_digest(&doc->order),
                  "issued_ms", json_uint(doc->issued_ms), "expires_ms", json_uint(doc->expires_ms));

    return with_384(value, "order384", &doc->order384);
}

json_t *describe_bundle(const struct bundle *bundle)
{
    json_t *blocks = json_array();
    char src[64], dst[64];

    for (size_t i = 0; i < bundle->n_blocks; i++)
        (void)json_array_append_new(blocks, json_pack("{s:o, s:o, s:o}", "number",
                                                      json_uint(bundle->blocks[i].number), "type",
                                                      json_uint(bundle->blocks[i].type), "bytes",
                                                      json_uint(bundle->blocks[i].data.n)));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "kind", "bundle", "source",
                     eid_text(&bundle->src, src, sizeof src), "destination",
                     eid_text(&bundle->dst, dst, sizeof dst), "time_ms", json_uint(bundle->time_ms),
                     "sequence", json_uint(bundle->sequence), "lifetime_ms",
                     json_uint(bundle->lifetime_ms), "blocks", blocks);
}

json_t *describe_signers(const struct envelope *envelope)
{
    json_t *ids = json_array();

    for (uint32_t i = 0; i < envelope->n; i++) {
        bool again = false;

        for (uint32_t j = 0; j < i; j++)
            again =
                again || bytes_equal(envelope->signature[i].key_id, envelope->signature[j].key_id);
        if (!again)
            (void)json_array_append_new(ids, json_hex(envelope->signature[i].key_id));
    }
    return ids;
}

/* Room for the largest of them. */
union any_document {
    struct root root;
    struct grant grant;
    struct manifest manifest;
    struct order order;
    struct report report;
    struct revocation revocation;
    struct rekey rekey;
    struct token token;
    struct delegation delegation;
};

json_t *describe_document(struct bytes payload, struct err *err)
{
    union any_document *doc = calloc(1, sizeof *doc);
    json_t *value = NULL;

    if (!doc) {
        (void)!err_set(err, RC_NO_MEMORY, "document");
        return NULL;
    }
    if (manifest_decode(payload, &doc->manifest, NULL) == RC_OK)
        value = describe_manifest(&doc->manifest);
    else if (order_decode(payload, &doc->order, NULL) == RC_OK)
        value = describe_order(&doc->order);
    else if (grant_decode(payload, &doc->grant, NULL) == RC_OK)
        value = describe_grant(&doc->grant);
    else if (root_decode(payload, &doc->root, NULL) == RC_OK)
        value = describe_root(&doc->root);
    else if (report_decode(payload, &doc->report, NULL) == RC_OK)
        value = describe_report(&doc->report);
    else if (revocation_decode(payload, &doc->revocation, NULL) == RC_OK)
        value = describe_revocation(&doc->revocation);
    else if (rekey_decode(payload, &doc->rekey, NULL) == RC_OK)
        value = describe_rekey(&doc->rekey);
    else if (token_decode(payload, &doc->token, NULL) == RC_OK)
        value = describe_token(&doc->token);
    else if (delegation_decode(payload, &doc->delegation, NULL) == RC_OK)
        value = describe_delegation(&doc->delegation);
    else
        (void)!err_set(err, RC_DOC_TYPE, "none of the documents that there are");
    free(doc);
    return value;
}
