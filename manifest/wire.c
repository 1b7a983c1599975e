/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "manifest/suite.h"

/* More than any document has, so that one key too many is named as such. */
#define KEYS_MAX 64U

#define KEY_RECORD_MAX (PUBLIC_KEY_MAX + 16U)

bool digest_is_none(const struct digest *digest)
{
    static const struct digest none;

    return memcmp(digest->b, none.b, sizeof none.b) == 0;
}

bool digest384_is_none(const struct digest384 *digest)
{
    static const struct digest384 none;

    return memcmp(digest->b, none.b, sizeof none.b) == 0;
}

void wire_open(struct cbor_in *r, enum doc_type type)
{
    (void)cbor_map(r, "document", KEYS_MAX);
    wire_key(r, 0, "document.type");
    (void)cbor_array(r, "document.type", 2, 2);
    if (cbor_uint(r, "document.type", UINT32_MAX) != type)
        cbor_fail(r, RC_DOC_TYPE, "document.type");
    if (cbor_uint(r, "document.format", UINT32_MAX) != DOC_FORMAT)
        cbor_fail(r, RC_DOC_VERSION, "document.format");
    cbor_end(r);
}

void wire_key(struct cbor_in *r, uint64_t key, const char *field)
{
    uint64_t got = 0;

    if (!cbor_key(r, &got) || got != key)
        cbor_fail(r, RC_CBOR_MISSING, field);
}

bool wire_optional(struct cbor_in *r, uint64_t key)
{
    const struct cbor_in before = *r;
    uint64_t got = 0;

    if (cbor_key(r, &got) && got == key)
        return true;
    *r = before; /* whatever is wrong with it, wire_close finds it again */
    return false;
}

void wire_close(struct cbor_in *r)
{
    uint64_t key = 0;

    if (cbor_key(r, &key))
        cbor_fail(r, RC_CBOR_UNKNOWN_KEY, "document");
    cbor_end(r);
}

uint32_t wire_u32(struct cbor_in *r, const char *field)
{
    return (uint32_t)cbor_uint(r, field, UINT32_MAX);
}

uint64_t wire_u64(struct cbor_in *r, const char *field)
{
    return cbor_uint(r, field, WIRE_UINT_MAX);
}

void wire_digest(struct cbor_in *r, const char *field, struct digest *ret)
{
    cbor_fixed(r, field, ret->b, sizeof ret->b);
}

void wire_digest_or_none(struct cbor_in *r, const char *field, struct digest *ret)
{
    struct bytes b = cbor_bstr(r, field, 0, DIGEST_SIZE);
    struct digest d = { 0 };

    if (b.n != 0 && b.n != DIGEST_SIZE) {
        cbor_fail(r, RC_VALUE, field);
        return;
    }
    if (b.n == DIGEST_SIZE) {
        memcpy(d.b, b.p, sizeof d.b);
        /* "None" has one encoding, and this is not it. */
        if (digest_is_none(&d))
            cbor_fail(r, RC_VALUE, field);
    }
    *ret = d;
}

void wire_digest384(struct cbor_in *r, const char *field, struct digest384 *ret)
{
    cbor_fixed(r, field, ret->b, sizeof ret->b);
    /* "None" is a field that is not there, and has no other encoding. */
    if (digest384_is_none(ret))
        cbor_fail(r, RC_VALUE, field);
}

/* The halves of the suite, each of its size. */
static void read_halves(struct cbor_in *r, const struct suite_row *row, struct public_key *key)
{
    size_t at = 0;

    for (uint32_t h = 0; h < row->n; h++) {
        cbor_fixed(r, row->half[h].name, key->halves + at, row->half[h].public_size);
        at += row->half[h].public_size;
    }
}

void wire_public_key(struct cbor_in *r, struct public_key *ret)
{
    scoped(free_ptr) struct public_key *key = calloc(1, sizeof *key);

    if (!key) {
        cbor_fail(r, RC_NO_MEMORY, "key");
        return;
    }
    size_t n = cbor_array(r, "key", 2, 1 + SUITE_HALVES_MAX);
    key->suite = (enum suite)cbor_uint(r, "key.suite", UINT32_MAX);
    const struct suite_row *row = suite_find(key->suite);
    if (!row)
        cbor_fail(r, RC_SUITE_UNKNOWN, "key.suite");
    else if (n != row->n + 1U)
        cbor_fail(r, RC_CBOR_COUNT, "key");
    else
        read_halves(r, row, key);
    cbor_end(r);
    if (r->rc != RC_OK)
        return;
    /* The id is never on the wire, so that no key can go under two. */
    if (public_key_id(key, key->id, NULL) != RC_OK) {
        cbor_fail(r, RC_CRYPTO, "key.id");
        return;
    }
    *ret = *key;
}

void wire_key_set(struct cbor_in *r, const char *field, struct key_set *ret)
{
    (void)cbor_array(r, field, 2, 2);
    ret->threshold = wire_u32(r, field);
    ret->n = (uint32_t)cbor_array(r, field, 1, ROLE_KEYS_MAX);
    for (uint32_t i = 0; i < ret->n && r->rc == RC_OK; i++)
        wire_public_key(r, &ret->key[i]);
    cbor_end(r);
    cbor_end(r);
}

void wire_signer(struct cbor_in *r, const char *field, char tenant[NAME_CAP], char team[TEAM_CAP])
{
    char text[SIGNER_CAP] = "";

    memset(tenant, 0, NAME_CAP);
    memset(team, 0, TEAM_CAP);
    cbor_text(r, field, text, sizeof text);

    size_t n = strcspn(text, "/");
    const char *rest = text[n] == '/' ? text + n + 1 : "";

    if (n >= NAME_CAP || strlen(rest) >= TEAM_CAP) {
        cbor_fail(r, RC_TOO_LARGE, field);
        return;
    }
    if (text[n] == '/' && *rest == '\0') /* "tenant/" would be a second way to write "tenant" */
        cbor_fail(r, RC_NAME, field);
    memcpy(tenant, text, n);
    (void)snprintf(team, TEAM_CAP, "%s", rest);
}

void wire_put_open(struct cbor_out *w, enum doc_type type, size_t keys)
{
    cbor_put_map(w, keys);
    cbor_put_uint(w, 0);
    cbor_put_array(w, 2);
    cbor_put_uint(w, type);
    cbor_put_uint(w, DOC_FORMAT);
}

void wire_put_digest(struct cbor_out *w, const struct digest *digest)
{
    cbor_put_bstr(w, (struct bytes){ digest->b, sizeof digest->b });
}

void wire_put_digest384(struct cbor_out *w, const struct digest384 *digest)
{
    cbor_put_bstr(w, (struct bytes){ digest->b, sizeof digest->b });
}

void wire_put_digest_or_none(struct cbor_out *w, const struct digest *digest)
{
    if (digest_is_none(digest))
        cbor_put_bstr(w, (struct bytes){ 0 });
    else
        wire_put_digest(w, digest);
}

void wire_put_public_key(struct cbor_out *w, const struct public_key *key)
{
    const struct suite_row *row = suite_find(key->suite);

    assert(row); /* every document is checked before it is encoded, and so is every key */
    cbor_put_array(w, 1 + row->n);
    cbor_put_uint(w, key->suite);
    for (uint32_t h = 0; h < row->n; h++)
        cbor_put_bstr(w, public_half(key, h));
}

void wire_put_key_set(struct cbor_out *w, const struct key_set *keys)
{
    cbor_put_array(w, 2);
    cbor_put_uint(w, keys->threshold);
    cbor_put_array(w, keys->n);
    for (uint32_t i = 0; i < keys->n; i++)
        wire_put_public_key(w, &keys->key[i]);
}

void wire_put_text_at(struct cbor_out *w, uint64_t key, const char *text)
{
    cbor_put_uint(w, key);
    cbor_put_text(w, text);
}

void wire_put_signer_at(struct cbor_out *w, uint64_t key, const char *tenant, const char *team)
{
    char text[SIGNER_CAP];

    (void)snprintf(text, sizeof text, "%.*s%s%.*s", (int)NAME_MAX_LEN, tenant, *team ? "/" : "",
                   (int)TEAM_CAP - 1, team);
    wire_put_text_at(w, key, text);
}

void wire_put_uint_at(struct cbor_out *w, uint64_t key, uint64_t value)
{
    cbor_put_uint(w, key);
    cbor_put_uint(w, value);
}

enum rc public_key_id(const struct public_key *key, uint8_t ret[KEY_ID_SIZE], struct err *err)
{
    if (!suite_find(key->suite))
        return err_set(err, RC_SUITE_UNKNOWN, "key");

    uint8_t record[KEY_RECORD_MAX];
    uint8_t digest[DIGEST_SIZE];
    struct cbor_out w = { .p = record, .cap = sizeof record };
    struct bytes view;

    wire_put_public_key(&w, key);

    enum rc rc = cbor_written(&w, &view, err);
    if (rc == RC_OK)
        rc = sha256_of(view, digest, err);
    if (rc == RC_OK)
        memcpy(ret, digest, KEY_ID_SIZE);
    return rc;
}

enum rc key_set_digest(const struct key_set *keys, struct digest *ret, struct digest384 *ret384,
                       struct err *err)
{
    uint8_t record[ROLE_KEYS_MAX * KEY_RECORD_MAX];
    struct cbor_out w = { .p = record, .cap = sizeof record };
    struct bytes view;
    struct digest d = { 0 };
    struct digest384 d384 = { 0 };

    enum rc rc = key_set_check(keys, err);
    if (rc != RC_OK)
        return rc;
    wire_put_key_set(&w, keys);
    rc = cbor_written(&w, &view, err);
    if (rc == RC_OK)
        rc = sha256_of(view, d.b, err);
    if (rc == RC_OK)
        rc = sha384_of(view, d384.b, err);
    if (rc != RC_OK)
        return rc;
    *ret = d;
    if (ret384)
        *ret384 = d384;
    return RC_OK;
}

enum rc root_commit(struct root *root, const struct key_set *next, struct err *err)
{
    struct digest digest = { 0 };
    struct digest384 digest384 = { 0 };
    enum rc rc = key_set_digest(next, &digest, &digest384, err);

    if (rc != RC_OK)
        return rc;
    if (!key_set_wants_384(&root->root_keys) && !key_set_wants_384(next))
        digest384 = (struct digest384){ 0 };
    root->next_keys = digest;
    root->next_keys384 = digest384;
    return RC_OK;
}

/* ---- witness ---- */

void wire_witness(struct cbor_in *r, const char *field, struct witness *ret)
{
    size_t n = cbor_array(r, field, 0, 2);

    if (n == 1)
        cbor_fail(r, RC_CBOR_COUNT, field);
    if (n == 2) {
        ret->seq = wire_u64(r, field);
        wire_digest(r, field, &ret->head);
        if (ret->seq == 0)
            cbor_fail(r, RC_VALUE, field);
    }
    cbor_end(r);
}

void wire_put_witness(struct cbor_out *w, const struct witness *witness)
{
    cbor_put_array(w, witness->seq > 0 ? 2 : 0);
    if (witness->seq > 0) {
        cbor_put_uint(w, witness->seq);
        wire_put_digest(w, &witness->head);
    }
}

enum rc witness_check(const struct witness *witness, const char *field, struct err *err)
{
    bool none = digest_is_none(&witness->head);

    return witness->seq <= WIRE_UINT_MAX && (witness->seq == 0) == none
               ? RC_OK
               : err_set(err, RC_VALUE, "%s", field);
}
