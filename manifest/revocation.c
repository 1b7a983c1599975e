/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/revocation.h"

#include <stdlib.h>

#include "base/name.h"
#include "manifest/wire.h"

#define SET_FORMAT 1U

/* An entry's largest form: array head, kind, policy, two digests with heads. */
static_assert(REVOKED_MAX * (3U + 2U + DIGEST_SIZE + 2U + DIGEST384_SIZE) + 128U <=
                  REVOKED_FILE_MAX,
              "the largest set fits");

static const char *const policy_names[] = {
    [REVOKE_NONE] = "none",
    [REVOKE_KEEP] = "keep",
    [REVOKE_ROLLBACK] = "rollback",
    [REVOKE_STOP] = "stop",
};

const char *revoke_policy_name(enum revoke_policy policy)
{
    return (unsigned)policy <= REVOKE_STOP ? policy_names[policy] : "none";
}

bool revoke_policy_find(const char *name, enum revoke_policy *ret)
{
    for (enum revoke_policy p = REVOKE_KEEP; p <= REVOKE_STOP; p++) {
        if (strcmp(name, policy_names[p]) == 0) {
            *ret = p;
            return true;
        }
    }
    return false;
}

int revoked_order(const struct revoked *a, const struct revoked *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->kind == REVOKED_KEY)
        return memcmp(a->key, b->key, sizeof a->key);
    if (a->kind == REVOKED_GRANT)
        return strcmp(a->tenant, b->tenant);
    return memcmp(&a->manifest, &b->manifest, sizeof a->manifest);
}

/* ---- the wire form of entries ---- */

static enum rc entry_check(const struct revoked *e, struct err *err)
{
    if (e->policy < REVOKE_KEEP || e->policy > REVOKE_STOP)
        return err_set(err, RC_VALUE, "revocation.policy");
    switch (e->kind) {
    case REVOKED_KEY:
        return RC_OK;
    case REVOKED_GRANT:
        if (!name_valid(e->tenant))
            return err_set(err, RC_NAME, "revocation.tenant");
        if (e->epoch == 0 || e->epoch > WIRE_UINT_MAX)
            return err_set(err, RC_VALUE, "revocation.epoch");
        return RC_OK;
    case REVOKED_MANIFEST:
        if (digest_is_none(&e->manifest))
            return err_set(err, RC_DIGEST_MISSING, "revocation.manifest");
        return RC_OK;
    }
    return err_set(err, RC_VALUE, "revocation.kind");
}

static enum rc entries_check(const struct revoked *list, uint32_t n, struct err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        enum rc rc = entry_check(&list[i], err);

        if (rc != RC_OK)
            return rc;
        if (i > 0 && revoked_order(&list[i - 1], &list[i]) >= 0)
            return err_set(err, RC_CBOR_ORDER, "revocation.entries");
    }
    return RC_OK;
}

/* [1, policy, key id] / [2, policy, tenant, epoch] / [3, policy, digest, ? digest384] */
static void read_entry(struct cbor_in *r, struct revoked *e)
{
    size_t n = cbor_array(r, "revocation.entry", 3, 4);

    e->kind = (enum revoked_kind)cbor_uint(r, "revocation.kind", REVOKED_MANIFEST);
    e->policy = (enum revoke_policy)cbor_uint(r, "revocation.policy", REVOKE_STOP);
    if (n != (e->kind == REVOKED_GRANT ? 4U : 3U) && e->kind != REVOKED_MANIFEST)
        cbor_fail(r, RC_CBOR_COUNT, "revocation.entry");
    if (e->kind == REVOKED_KEY) {
        cbor_fixed(r, "revocation.key", e->key, sizeof e->key);
    } else if (e->kind == REVOKED_GRANT) {
        cbor_text(r, "revocation.tenant", e->tenant, sizeof e->tenant);
        e->epoch = wire_u64(r, "revocation.epoch");
    } else if (e->kind == REVOKED_MANIFEST) {
        wire_digest(r, "revocation.manifest", &e->manifest);
        if (n == 4)
            wire_digest384(r, "revocation.manifest384", &e->manifest384);
    } else {
        cbor_fail(r, RC_VALUE, "revocation.kind");
    }
    cbor_end(r);
}

static uint32_t read_entries(struct cbor_in *r, struct revoked *list, uint32_t max)
{
    uint32_t n = (uint32_t)cbor_array(r, "revocation.entries", 0, max);

    for (uint32_t i = 0; i < n && r->rc == RC_OK; i++)
        read_entry(r, &list[i]);
    cbor_end(r);
    return n;
}

static void put_entries(struct cbor_out *w, const struct revoked *list, uint32_t n)
{
    cbor_put_array(w, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct revoked *e = &list[i];
        bool has_384 = e->kind == REVOKED_MANIFEST && !digest384_is_none(&e->manifest384);

        cbor_put_array(w, e->kind == REVOKED_GRANT || has_384 ? 4 : 3);
        cbor_put_uint(w, e->kind);
        cbor_put_uint(w, e->policy);
        if (e->kind == REVOKED_KEY)
            cbor_put_bstr(w, (struct bytes){ e->key, sizeof e->key });
        if (e->kind == REVOKED_MANIFEST)
            wire_put_digest(w, &e->manifest);
        if (has_384)
            wire_put_digest384(w, &e->manifest384);
        if (e->kind != REVOKED_GRANT)
            continue;
        cbor_put_text(w, e->tenant);
        cbor_put_uint(w, e->epoch);
    }
}

/* ---- the document ---- */

enum rc revocation_check(const struct revocation *doc, struct err *err)
{
    if (doc->number == 0 || doc->number > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "revocation.number");
    if (doc->issued_ms == 0 || doc->issued_ms > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "revocation.issued");
    if (doc->n > REVOCATION_ENTRIES_MAX)
        return err_set(err, RC_VALUE, "revocation.entries");
    return entries_check(doc->entry, doc->n, err);
}

enum rc revocation_decode(struct bytes in, struct revocation *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct revocation d = { 0 };

    wire_open(&r, DOC_REVOCATION);
    wire_key(&r, 1, "revocation.number");
    d.number = wire_u64(&r, "revocation.number");
    wire_key(&r, 2, "revocation.issued");
    d.issued_ms = wire_u64(&r, "revocation.issued");
    wire_key(&r, 3, "revocation.entries");
    d.n = read_entries(&r, d.entry, REVOCATION_ENTRIES_MAX);
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = revocation_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}

enum rc revocation_encode(const struct revocation *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                          struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = revocation_check(doc, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_REVOCATION, 4);
    wire_put_uint_at(&w, 1, doc->number);
    wire_put_uint_at(&w, 2, doc->issued_ms);
    cbor_put_uint(&w, 3);
    put_entries(&w, doc->entry, doc->n);
    return cbor_written(&w, ret, err);
}

/* ---- the set ---- */

static enum rc set_check(const struct revoked_set *set, struct err *err)
{
    bool none = set->root_version == 0;

    if (set->root_version > WIRE_UINT_MAX || set->number > WIRE_UINT_MAX ||
        set->issued_ms > WIRE_UINT_MAX || set->n > REVOKED_MAX)
        return err_set(err, RC_VALUE, "revoked");
    if (none != (set->number == 0) || none != (set->issued_ms == 0) ||
        none != digest_is_none(&set->newest) || (none && set->n > 0))
        return err_set(err, RC_VALUE, "revoked.newest");
    return entries_check(set->entry, set->n, err);
}

enum rc revoked_set_decode(struct bytes in, struct revoked_set *ret, struct err *err)
{
    scoped(free_ptr) struct revoked_set *s = calloc(1, sizeof *s);
    struct cbor_in r = cbor_read(in);

    if (!s)
        return err_set(err, RC_NO_MEMORY, "revoked");
    (void)cbor_array(&r, "revoked", 6, 6);
    if (cbor_uint(&r, "revoked.format", UINT32_MAX) != SET_FORMAT)
        cbor_fail(&r, RC_DOC_VERSION, "revoked.format");
    s->root_version = wire_u64(&r, "revoked.root");
    s->number = wire_u64(&r, "revoked.number");
    s->issued_ms = wire_u64(&r, "revoked.issued");
    wire_digest_or_none(&r, "revoked.newest", &s->newest);
    s->n = read_entries(&r, s->entry, REVOKED_MAX);
    cbor_end(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = set_check(s, err);
    if (rc == RC_OK)
        *ret = *s;
    return rc;
}

enum rc revoked_set_encode(const struct revoked_set *set, uint8_t *buf, size_t cap,
                           struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = set_check(set, err);

    if (rc != RC_OK)
        return rc;
    cbor_put_array(&w, 6);
    cbor_put_uint(&w, SET_FORMAT);
    cbor_put_uint(&w, set->root_version);
    cbor_put_uint(&w, set->number);
    cbor_put_uint(&w, set->issued_ms);
    wire_put_digest_or_none(&w, &set->newest);
    put_entries(&w, set->entry, set->n);
    return cbor_written(&w, ret, err);
}

/* The first place whose entry does not come before this one. */
static uint32_t place(const struct revoked *list, uint32_t n, const struct revoked *entry)
{
    uint32_t i = 0;

    while (i < n && revoked_order(&list[i], entry) < 0)
        i++;
    return i;
}

enum rc revoked_put(struct revoked *list, uint32_t *n, uint32_t cap, const struct revoked *entry,
                    struct err *err)
{
    uint32_t i = place(list, *n, entry);

    if (i < *n && revoked_order(&list[i], entry) == 0) {
        if (entry->policy > list[i].policy)
            list[i].policy = entry->policy;
        if (entry->epoch > list[i].epoch)
            list[i].epoch = entry->epoch;
        /* Two that share the SHA-256 only: both are revoked, by what they share. */
        if (memcmp(&entry->manifest384, &list[i].manifest384, sizeof entry->manifest384) != 0)
            list[i].manifest384 = (struct digest384){ 0 };
        return RC_OK;
    }
    if (*n >= cap)
        return err_set(err, RC_NO_ROOM, "revocations");
    memmove(&list[i + 1], &list[i], (*n - i) * sizeof *list);
    list[i] = *entry;
    (*n)++;
    return RC_OK;
}

enum rc revoked_set_add(struct revoked_set *set, const struct revocation *doc, struct err *err)
{
    scoped(free_ptr) struct revoked_set *next = malloc(sizeof *next);

    if (!next)
        return err_set(err, RC_NO_MEMORY, "revoked");
    *next = *set;
    for (uint32_t i = 0; i < doc->n; i++) {
        enum rc rc = revoked_put(next->entry, &next->n, REVOKED_MAX, &doc->entry[i], err);

        if (rc != RC_OK)
            return rc;
    }
    *set = *next;
    return RC_OK;
}

/* Field by field: there may be anything between the fields. */
static bool same_set(const struct revoked_set *a, const struct revoked_set *b)
{
    if (a->n != b->n || a->root_version != b->root_version || a->number != b->number ||
        a->issued_ms != b->issued_ms || memcmp(&a->newest, &b->newest, sizeof a->newest) != 0)
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (revoked_order(&a->entry[i], &b->entry[i]) != 0 ||
            a->entry[i].policy != b->entry[i].policy || a->entry[i].epoch != b->entry[i].epoch)
            return false;
    return true;
}

enum rc revoked_set_merge(struct revoked_set *set, const struct revoked_set *other,
                          bool *ret_changed, struct err *err)
{
    scoped(free_ptr) struct revoked_set *next = calloc(1, sizeof *next);

    if (!next)
        return err_set(err, RC_NO_MEMORY, "revoked");
    *next = *set;
    for (uint32_t i = 0; i < other->n; i++) {
        enum rc rc = revoked_put(next->entry, &next->n, REVOKED_MAX, &other->entry[i], err);

        if (rc != RC_OK)
            return rc;
    }
    if (other->root_version > set->root_version ||
        (other->root_version == set->root_version && other->number > set->number)) {
        next->root_version = other->root_version;
        next->number = other->number;
        next->newest = other->newest;
    }
    if (other->issued_ms > next->issued_ms)
        next->issued_ms = other->issued_ms;
    *ret_changed = !same_set(next, set);
    *set = *next;
    return RC_OK;
}

static const struct revoked *find(const struct revoked_set *set, const struct revoked *about)
{
    uint32_t i = place(set->entry, set->n, about);

    return i < set->n && revoked_order(&set->entry[i], about) == 0 ? &set->entry[i] : NULL;
}

enum revoke_policy revoked_key(const struct revoked_set *set, const uint8_t id[KEY_ID_SIZE])
{
    struct revoked about = { .kind = REVOKED_KEY };

    memcpy(about.key, id, sizeof about.key);
    const struct revoked *e = find(set, &about);
    return e ? e->policy : REVOKE_NONE;
}

enum revoke_policy revoked_grant(const struct revoked_set *set, const char *tenant, uint64_t epoch)
{
    struct revoked about = { .kind = REVOKED_GRANT };

    memcpy(about.tenant, tenant, strnlen(tenant, NAME_MAX_LEN));
    const struct revoked *e = find(set, &about);
    return e && epoch <= e->epoch ? e->policy : REVOKE_NONE;
}

bool revocation_has_384(const struct revocation *doc)
{
    for (uint32_t i = 0; i < doc->n; i++) {
        if (doc->entry[i].kind == REVOKED_MANIFEST && digest384_is_none(&doc->entry[i].manifest384))
            return false;
    }
    return true;
}

enum revoke_policy revoked_manifest(const struct revoked_set *set, const struct digest *manifest,
                                    const struct digest384 *manifest384)
{
    const struct revoked about = { .kind = REVOKED_MANIFEST, .manifest = *manifest };
    const struct revoked *e = find(set, &about);

    if (e && manifest384 && !digest384_is_none(&e->manifest384) &&
        memcmp(manifest384, &e->manifest384, sizeof *manifest384) != 0)
        e = NULL;
    return e ? e->policy : REVOKE_NONE;
}
