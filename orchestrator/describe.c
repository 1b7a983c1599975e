/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/describe.h"

#include <stdlib.h>

static json_t *key_set_json(const struct key_set *set)
{
    json_t *ids = json_array();

    for (uint32_t i = 0; i < set->n; i++)
        (void)json_array_append_new(
            ids, json_hex((struct bytes){ .p = set->key[i].id, .n = KEY_ID_SIZE }));
    return json_pack("{s:i, s:o}", "threshold", (int)set->threshold, "keys", ids);
}

static json_t *resources_json(const struct resources *r)
{
    return json_pack("{s:o, s:o, s:o, s:i, s:i, s:i}", "memory_bytes", json_uint(r->memory_bytes),
                     "data_bytes", json_uint(r->data_bytes), "tmp_bytes", json_uint(r->tmp_bytes),
                     "cpu_permille", (int)r->cpu_permille, "pids", (int)r->pids, "open_files",
                     (int)r->open_files);
}

json_t *describe_root(const struct root *doc)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "kind", "root", "version",
                     json_uint(doc->version), "mission",
                     json_hex((struct bytes){ .p = doc->mission.b, .n = MISSION_SIZE }),
                     "issued_ms", json_uint(doc->issued_ms), "expires_ms",
                     json_uint(doc->expires_ms), "operator_since_ms",
                     json_uint(doc->operator_since_ms), "root_keys", key_set_json(&doc->root_keys),
                     "operator_keys", key_set_json(&doc->operator_keys), "next_keys",
                     json_digest(&doc->next_keys));
}

json_t *describe_grant(const struct grant *doc)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:i}", "kind", "grant",
                     "tenant", doc->tenant, "epoch", json_uint(doc->epoch), "issued_ms",
                     json_uint(doc->issued_ms), "expires_ms", json_uint(doc->expires_ms), "keys",
                     key_set_json(&doc->keys), "prefix", doc->prefix, "total",
                     resources_json(&doc->total), "store_bytes", json_uint(doc->store_bytes),
                     "payloads_max", (int)doc->payloads_max);
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
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i}",
                     "kind", "manifest", "tenant", doc->tenant, "name", doc->name, "version",
                     doc->version, "release", json_uint(doc->release), "floor",
                     json_uint(doc->floor), "arch", doc->arch, "exec", args, "env", env, "content",
                     json_digest(&doc->content), "content_bytes", json_uint(doc->content_bytes),
                     "unpacked_bytes", json_uint(doc->unpacked_bytes), "resources",
                     resources_json(&doc->limits), "health", health_json(&doc->health), "files",
                     (int)doc->files);
}

json_t *describe_order(const struct order *doc)
{
    json_t *lines = json_array();

    for (uint32_t i = 0; i < doc->n_lines; i++)
        (void)json_array_append_new(
            lines, json_pack("{s:s, s:s, s:o}", "tenant", doc->line[i].tenant, "name",
                             doc->line[i].name, "manifest", json_digest(&doc->line[i].manifest)));
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "kind", "order", "satellite", doc->satellite,
                     "generation", json_uint(doc->generation), "issued_ms",
                     json_uint(doc->issued_ms), "expires_ms", json_uint(doc->expires_ms), "lines",
                     lines);
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
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i, s:i}", "kind", "report",
                     "satellite", doc->satellite, "epoch", json_uint(doc->epoch), "seq",
                     json_uint(doc->seq), "time_ms", json_uint(doc->time_ms), "root_version",
                     json_uint(doc->root_version), "generation", json_uint(doc->generation),
                     "payloads", payloads, "events", events, "transfers", (int)doc->n_transfers,
                     "objects", (int)doc->n_objects);
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
        return json_pack("{s:o, s:s}", "manifest", json_digest(&r->manifest), "then", policy);
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
    else
        (void)!err_set(err, RC_DOC_TYPE, "none of the documents that there are");
    free(doc);
    return value;
}
