/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/delegation.h"

#include "base/name.h"
#include "manifest/wire.h"

/* ---- the wire form ---- */

static void read_terms(struct cbor_in *r, struct delegation *d)
{
    wire_key(r, 5, "delegation.expires");
    d->expires_ms = wire_u64(r, "delegation.expires");
    wire_key(r, 6, "delegation.keys");
    wire_key_set(r, "delegation.keys", &d->keys);
    wire_key(r, 7, "delegation.prefix");
    cbor_text(r, "delegation.prefix", d->prefix, sizeof d->prefix);
    wire_key(r, 8, "delegation.total");
    wire_resources(r, "delegation.total", &d->total);
    wire_key(r, 9, "delegation.store");
    d->store_bytes = wire_u64(r, "delegation.store");
    wire_key(r, 10, "delegation.payloads");
    d->payloads_max = wire_u32(r, "delegation.payloads");
    wire_key(r, 11, "delegation.teams_since");
    d->teams_since_ms = wire_u64(r, "delegation.teams_since");
    if (wire_optional(r, 12))
        wire_allowance(r, "delegation.may", &d->may);
}

enum rc delegation_decode(struct bytes in, struct delegation *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct delegation d = { 0 };

    wire_open(&r, DOC_DELEGATION);
    wire_key(&r, 1, "delegation.team");
    wire_signer(&r, "delegation.team", d.tenant, d.team);
    wire_key(&r, 2, "delegation.epoch");
    d.epoch = wire_u64(&r, "delegation.epoch");
    wire_key(&r, 3, "delegation.issued");
    d.issued_ms = wire_u64(&r, "delegation.issued");
    wire_key(&r, 4, "delegation.withdrawn");
    d.withdrawn = (enum revoke_policy)cbor_uint(&r, "delegation.withdrawn", REVOKE_STOP);
    if (d.withdrawn == REVOKE_NONE)
        read_terms(&r, &d);
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = delegation_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}

static void put_terms(struct cbor_out *w, const struct delegation *doc)
{
    wire_put_uint_at(w, 5, doc->expires_ms);
    cbor_put_uint(w, 6);
    wire_put_key_set(w, &doc->keys);
    wire_put_text_at(w, 7, doc->prefix);
    cbor_put_uint(w, 8);
    wire_put_resources(w, &doc->total);
    wire_put_uint_at(w, 9, doc->store_bytes);
    wire_put_uint_at(w, 10, doc->payloads_max);
    wire_put_uint_at(w, 11, doc->teams_since_ms);
    if (!allowance_none(&doc->may)) {
        cbor_put_uint(w, 12);
        wire_put_allowance(w, &doc->may);
    }
}

enum rc delegation_encode(const struct delegation *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                          struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = delegation_check(doc, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_DELEGATION,
                  doc->withdrawn == REVOKE_NONE ? 12U + !allowance_none(&doc->may) : 5U);
    wire_put_signer_at(&w, 1, doc->tenant, doc->team);
    wire_put_uint_at(&w, 2, doc->epoch);
    wire_put_uint_at(&w, 3, doc->issued_ms);
    wire_put_uint_at(&w, 4, doc->withdrawn);
    if (doc->withdrawn == REVOKE_NONE)
        put_terms(&w, doc);
    return cbor_written(&w, ret, err);
}

enum rc delegation_peek(struct bytes payload, char tenant[NAME_CAP], char team[TEAM_CAP],
                        struct err *err)
{
    struct cbor_in r = cbor_read(payload);

    wire_open(&r, DOC_DELEGATION);
    wire_key(&r, 1, "delegation.team");
    wire_signer(&r, "delegation.team", tenant, team);
    if (r.rc != RC_OK)
        return err_at(err, r.rc, r.fail_at, "%s", r.field);
    if (!name_valid(tenant) || !team_valid(team))
        return err_set(err, RC_NAME, "delegation.team");
    return RC_OK;
}

/* The one look into a manifest that nobody has vouched for, to know whose keys to ask: the map's
 * head, the type, and the names of tenant and team, which must be the first things in it.  At most
 * some 200 bytes are read, the names are only compared with those of grants and delegations held,
 * and the decoder reads them again once the signatures hold. */
enum rc manifest_peek(struct bytes payload, char tenant[NAME_CAP], char team[TEAM_CAP],
                      struct err *err)
{
    struct cbor_in r = cbor_read(payload);

    wire_open(&r, DOC_MANIFEST);
    wire_key(&r, 1, "manifest.tenant");
    wire_signer(&r, "manifest.tenant", tenant, team);
    if (r.rc != RC_OK)
        return err_at(err, r.rc, r.fail_at, "%s", r.field);
    if (!name_valid(tenant))
        return err_set(err, RC_NAME, "manifest.tenant");
    if (team[0] != '\0' && !team_valid(team))
        return err_set(err, RC_NAME, "manifest.team");
    return RC_OK;
}

/* ---- limits inside limits ---- */

struct authority grant_authority(const struct grant *grant)
{
    return (struct authority){
        .tenant = grant->tenant,
        .team = "",
        .prefix = grant->prefix,
        .total = &grant->total,
        .store_bytes = grant->store_bytes,
        .payloads_max = grant->payloads_max,
        .expires_ms = grant->expires_ms,
        .teams_since_ms = grant->teams_since_ms,
        .keys = &grant->keys,
        .may = &grant->may,
    };
}

struct authority delegation_authority(const struct delegation *doc)
{
    return (struct authority){
        .tenant = doc->tenant,
        .team = doc->team,
        .prefix = doc->prefix,
        .total = &doc->total,
        .store_bytes = doc->store_bytes,
        .payloads_max = doc->payloads_max,
        .expires_ms = doc->expires_ms,
        .teams_since_ms = doc->teams_since_ms,
        .keys = &doc->keys,
        .may = &doc->may,
    };
}

static bool is_shared(const struct key_set *a, const struct key_set *b)
{
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t j = 0; j < b->n; j++)
            if (memcmp(a->key[i].id, b->key[j].id, KEY_ID_SIZE) == 0)
                return true;
    return false;
}

enum rc delegation_fits(const struct authority *parent, const struct delegation *doc,
                        struct err *err)
{
    const char *limit = resources_beyond(&doc->total, parent->total);

    if (!prefix_allows(parent->prefix, doc->prefix))
        return err_set(err, RC_NAME_NOT_GRANTED, "%.40s: prefix %s", doc->team, doc->prefix);
    if (!limit && doc->store_bytes > parent->store_bytes)
        limit = "store";
    if (!limit && doc->payloads_max > parent->payloads_max)
        limit = "payloads";
    if (!limit && parent->may)
        limit = allowance_beyond_other(&doc->may, parent->may);
    if (!limit && parent->expires_ms != 0 &&
        (doc->expires_ms == 0 || doc->expires_ms > parent->expires_ms))
        limit = "expires";
    if (limit)
        return err_set(err, RC_DELEGATION_EXCEEDED, "%.40s: %s", doc->team, limit);
    if (is_shared(&doc->keys, parent->keys))
        return err_set(err, RC_KEY_DUPLICATE, "%.40s: a key of its parent", doc->team);
    return RC_OK;
}

enum rc authority_allows(const struct authority *may, const struct manifest *manifest,
                         struct err *err)
{
    const char *limit = resources_beyond(&manifest->limits, may->total);

    if (strcmp(may->tenant, manifest->tenant) != 0)
        return err_set(err, RC_NAME_NOT_GRANTED, "tenant %s", manifest->tenant);
    if (!prefix_allows(may->prefix, manifest->name))
        return err_set(err, RC_NAME_NOT_GRANTED, "%s/%s", manifest->tenant, manifest->name);
    if (!limit && (manifest->content_bytes > may->store_bytes ||
                   manifest->unpacked_bytes > may->store_bytes - manifest->content_bytes))
        limit = "store";
    if (!limit && may->may)
        limit = allowance_beyond(manifest, may->may);
    if (limit)
        return err_set(err, may->team[0] ? RC_DELEGATION_EXCEEDED : RC_GRANT_EXCEEDED, "%s", limit);
    return RC_OK;
}

enum rc grant_allows(const struct grant *grant, const struct manifest *manifest, struct err *err)
{
    const struct authority may = grant_authority(grant);
    enum rc rc = authority_allows(&may, manifest, err);

    /* Not for teams: who changes the agent has everything in his hands. */
    if (rc == RC_OK && is_agent_name(manifest->tenant, manifest->name) &&
        (!grant->agent || manifest->team[0] != '\0'))
        rc = err_set(err, RC_GRANT_EXCEEDED, "agent");
    return rc;
}
