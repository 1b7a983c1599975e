/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/envelope.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cbor.h"

/* Header labels (RFC 9052 section 3.1); the profile is one of ours, from the private range, and
 * therefore named in crit. */
#define LABEL_ALG 1
#define LABEL_CRIT 2
#define LABEL_KID 4
#define LABEL_PROFILE (-65537)

#define BODY_HEADER_MAX 32U
#define ENTRY_HEADER_MAX 16U

/* ---- form */

/* {1: alg}, wrapped in a byte string. */
static int64_t read_entry_header(struct cbor_in *r, struct bytes header)
{
    struct cbor_in h = cbor_read(header);
    uint64_t label = 0;

    (void)cbor_map(&h, "signature.protected", 1);
    if (!cbor_key(&h, &label) || label != LABEL_ALG)
        cbor_fail(&h, RC_ENVELOPE, "signature.label");
    int64_t alg = cbor_int(&h, "signature.algorithm", INT32_MIN, INT32_MAX);
    cbor_end(&h);

    enum rc rc = cbor_done(&h, NULL);
    if (rc != RC_OK)
        cbor_fail(r, rc, "signature.protected");
    return alg;
}

static void read_entry(struct cbor_in *r, struct envelope_signature *ret)
{
    uint64_t label = 0;

    (void)cbor_array(r, "signature", 3, 3);
    ret->protected_header = cbor_bstr(r, "signature.protected", 1, ENTRY_HEADER_MAX);
    if (r->rc == RC_OK)
        ret->algorithm = read_entry_header(r, ret->protected_header);
    if (cbor_map(r, "signature.unprotected", 1) != 1)
        cbor_fail(r, RC_ENVELOPE, "signature.unprotected");
    if (!cbor_key(r, &label) || label != LABEL_KID)
        cbor_fail(r, RC_ENVELOPE, "signature.kid");
    ret->key_id = cbor_bstr(r, "signature.kid", KEY_ID_SIZE, KEY_ID_SIZE);
    cbor_end(r);
    ret->signature = cbor_bstr(r, "signature.signature", 1, SUITE_SIGNATURE_MAX);
    cbor_end(r);
}

enum rc envelope_open(struct bytes in, struct envelope *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct envelope e = { 0 };

    if (in.n > DOCUMENT_MAX)
        return err_set(err, RC_TOO_LARGE, "envelope");
    (void)cbor_array(&r, "envelope", 4, 4);
    e.protected_header = cbor_bstr(&r, "envelope.protected", 1, BODY_HEADER_MAX);
    if (cbor_map(&r, "envelope.unprotected", 0) != 0)
        cbor_fail(&r, RC_ENVELOPE, "envelope.unprotected");
    cbor_end(&r);
    e.payload = cbor_bstr(&r, "envelope.payload", 1, DOCUMENT_MAX);
    e.n = (uint32_t)cbor_array(&r, "envelope.signatures", 1, ENVELOPE_SIGNATURES_MAX);
    for (uint32_t i = 0; i < e.n; i++)
        read_entry(&r, &e.signature[i]);
    cbor_end(&r);
    cbor_end(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        *ret = e;
    return rc;
}

/* ---- what is signed */

enum rc envelope_body_header(uint32_t profile, uint8_t *buf, size_t cap, struct bytes *ret,
                             struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_map(&w, 2);
    cbor_put_int(&w, LABEL_CRIT);
    cbor_put_array(&w, 1);
    cbor_put_int(&w, LABEL_PROFILE);
    cbor_put_int(&w, LABEL_PROFILE);
    cbor_put_uint(&w, profile);
    return cbor_written(&w, ret, err);
}

enum rc envelope_entry_header(int64_t algorithm, uint8_t *buf, size_t cap, struct bytes *ret,
                              struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_map(&w, 1);
    cbor_put_int(&w, LABEL_ALG);
    cbor_put_int(&w, algorithm);
    return cbor_written(&w, ret, err);
}

static enum rc external_data(enum doc_type type, const struct mission *mission, uint8_t *buf,
                             size_t cap, struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_array(&w, 4);
    cbor_put_text(&w, "berth");
    cbor_put_uint(&w, type);
    cbor_put_uint(&w, DOC_FORMAT);
    cbor_put_bstr(&w, (struct bytes){ mission->b, sizeof mission->b });
    return cbor_written(&w, ret, err);
}

enum rc envelope_to_sign(enum doc_type type, const struct mission *mission,
                         const struct envelope *envelope, struct bytes sign_protected, uint8_t *buf,
                         size_t cap, struct bytes *ret, struct err *err)
{
    uint8_t external[64];
    struct bytes aad;
    struct cbor_out w = { .p = buf, .cap = cap };

    enum rc rc = external_data(type, mission, external, sizeof external, &aad, err);
    if (rc != RC_OK)
        return rc;
    cbor_put_array(&w, 5);
    cbor_put_text(&w, "Signature");
    cbor_put_bstr(&w, envelope->protected_header);
    cbor_put_bstr(&w, sign_protected);
    cbor_put_bstr(&w, aad);
    cbor_put_bstr(&w, envelope->payload);
    return cbor_written(&w, ret, err);
}

enum rc envelope_encode(const struct envelope *parts, uint8_t *buf, size_t cap, struct bytes *ret,
                        struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    assert(parts->n >= 1 && parts->n <= ENVELOPE_SIGNATURES_MAX);
    cbor_put_array(&w, 4);
    cbor_put_bstr(&w, parts->protected_header);
    cbor_put_map(&w, 0);
    cbor_put_bstr(&w, parts->payload);
    cbor_put_array(&w, parts->n);
    for (uint32_t i = 0; i < parts->n; i++) {
        const struct envelope_signature *s = &parts->signature[i];

        cbor_put_array(&w, 3);
        cbor_put_bstr(&w, s->protected_header);
        cbor_put_map(&w, 1);
        cbor_put_uint(&w, LABEL_KID);
        cbor_put_bstr(&w, s->key_id);
        cbor_put_bstr(&w, s->signature);
    }
    return cbor_written(&w, ret, err);
}

/* ---- verification */

/* One verification under way. */
struct check {
    const struct envelope *envelope;
    enum doc_type type;
    const struct mission *mission;
    uint8_t *buf; /* for what is signed */
    size_t cap;
};

/* The entries of one key, one place per half of its suite. */
struct entries {
    const struct suite_row *row;
    uint32_t found;
    const struct envelope_signature *half[SUITE_HALVES_MAX];
};

/* Which half of the suite an algorithm is, or row->n. */
static uint32_t half_of(const struct suite_row *row, int64_t algorithm)
{
    uint32_t h = 0;

    while (h < row->n && row->half[h].algorithm != algorithm)
        h++;
    return h;
}

/* Sort the entries that name this key to the halves of the key's suite.  The suite comes from the
 * key record; what an entry claims is only compared with it. */
static enum rc collect(const struct envelope *e, const struct public_key *key, struct entries *ret,
                       struct err *err)
{
    struct entries got = { .row = suite_find(key->suite) };

    if (!got.row)
        return err_set(err, RC_SUITE_UNKNOWN, "key");
    for (uint32_t i = 0; i < e->n; i++) {
        const struct envelope_signature *s = &e->signature[i];

        if (!bytes_equal(s->key_id, (struct bytes){ key->id, sizeof key->id }))
            continue;
        uint32_t h = half_of(got.row, s->algorithm);
        if (h == got.row->n)
            return err_set(err, RC_ALGORITHM, "signature[%u]", i);
        if (got.half[h])
            return err_set(err, RC_KEY_DUPLICATE, "signature[%u]", i);
        if (s->signature.n != got.row->half[h].signature_size)
            return err_set(err, RC_SIG_BAD, "signature[%u]: length", i);
        got.half[h] = s;
        got.found++;
    }
    if (got.found != 0 && got.found != got.row->n)
        return err_set(err, RC_SIG_MISSING_HALF, "signature");
    *ret = got;
    return RC_OK;
}

/* Both protected headers must be exactly what a signer with this half writes: every byte that is
 * signed is known before crypto is asked. */
static enum rc verify_half(const struct check *c, const struct public_key *key, uint32_t h,
                           const struct envelope_signature *s, struct err *err)
{
    const struct suite_half *half = &suite_find(key->suite)->half[h];
    uint8_t header[BODY_HEADER_MAX];
    struct bytes want, message;

    enum rc rc = envelope_body_header(ENVELOPE_PROFILE, header, sizeof header, &want, err);
    if (rc == RC_OK && !bytes_equal(want, c->envelope->protected_header))
        rc = err_set(err, RC_SUITE_UNKNOWN, "envelope.protected");
    if (rc == RC_OK)
        rc = envelope_entry_header(half->algorithm, header, sizeof header, &want, err);
    if (rc == RC_OK && !bytes_equal(want, s->protected_header))
        rc = err_set(err, RC_ALGORITHM, "signature.protected");
    if (rc == RC_OK)
        rc = envelope_to_sign(c->type, c->mission, c->envelope, s->protected_header, c->buf, c->cap,
                              &message, err);
    if (rc == RC_OK)
        rc = half->verify(public_half(key, h).p, message, s->signature, err);
    return rc;
}

/* Whether this key signed: *ret_signed counts one more if every half verifies, none if no entry
 * names the key; anything between is a failure. */
static enum rc verify_key(const struct check *c, const struct public_key *key, uint32_t *ret_signed,
                          struct err *err)
{
    struct entries entries = { 0 };

    enum rc rc = collect(c->envelope, key, &entries, err);
    if (rc != RC_OK || entries.found == 0)
        return rc;
    for (uint32_t h = 0; rc == RC_OK && h < entries.row->n; h++)
        rc = verify_half(c, key, h, entries.half[h], err);
    if (rc == RC_OK)
        (*ret_signed)++;
    return rc;
}

enum rc envelope_verify(const struct envelope *envelope, enum doc_type type,
                        const struct mission *mission, const struct key_set *keys, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    struct check c = { .envelope = envelope, .type = type, .mission = mission };
    uint32_t n_signed = 0;

    enum rc rc = key_set_check(keys, err);
    if (rc != RC_OK)
        return rc;
    c.cap = envelope->payload.n + ENVELOPE_TO_SIGN_EXTRA;
    c.buf = buf = malloc(c.cap);
    if (!buf)
        return err_set(err, RC_NO_MEMORY, "envelope");
    for (uint32_t i = 0; rc == RC_OK && i < keys->n; i++)
        rc = verify_key(&c, &keys->key[i], &n_signed, err);
    if (rc != RC_OK)
        return rc;
    if (n_signed == 0)
        return err_set(err, RC_KEY_UNKNOWN, "envelope");
    if (n_signed < keys->threshold)
        return err_set(err, RC_THRESHOLD, "%u of %u", n_signed, keys->threshold);
    return RC_OK;
}
