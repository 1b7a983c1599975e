/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/request.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "base/name.h"
#include "manifest/wire.h"

/* Both files are CBOR arrays that begin with a word that says which, and the format:
 *     ["berth-sign-request", 1, type, mission, note, payload]
 *     ["berth-signature", 1, type, mission, payload digest, key, [ + [algorithm, signature] ]] */
#define REQUEST_WORD "berth-sign-request"
#define REQUEST_ITEMS 6U
#define SIGNATURE_WORD "berth-signature"
#define SIGNATURE_ITEMS 7U
#define FILE_FORMAT 1U
#define HEADER_MAX 32U

/* ---- reading ---- */

static bool begins(struct bytes in, size_t items, const char *word)
{
    uint8_t head[64];
    struct cbor_out w = { .p = head, .cap = sizeof head };

    cbor_put_array(&w, items);
    cbor_put_text(&w, word);
    return in.n > w.n && memcmp(in.p, head, w.n) == 0;
}

bool request_is(struct bytes in)
{
    return begins(in, REQUEST_ITEMS, REQUEST_WORD);
}

bool request_signature_is(struct bytes in)
{
    return begins(in, SIGNATURE_ITEMS, SIGNATURE_WORD);
}

static void read_head(struct cbor_in *r, size_t items, const char *word, enum doc_type *ret_type,
                      struct mission *ret_mission)
{
    char got[32];

    (void)cbor_array(r, "file", items, items);
    cbor_text(r, "file", got, sizeof got);
    if (strcmp(got, word) != 0)
        cbor_fail(r, RC_DOC_TYPE, "file");
    if (cbor_uint(r, "format", UINT32_MAX) != FILE_FORMAT)
        cbor_fail(r, RC_DOC_VERSION, "format");
    *ret_type = (enum doc_type)cbor_uint(r, "type", UINT8_MAX);
    cbor_fixed(r, "mission", ret_mission->b, sizeof ret_mission->b);
}

static enum rc check_root_mission(const struct request *request, struct err *err)
{
    scoped(free_ptr) struct root *root = calloc(1, sizeof *root);

    if (!root)
        return err_set(err, RC_NO_MEMORY, "root");
    enum rc rc = root_decode(request->payload, root, err);
    if (rc == RC_OK && memcmp(&root->mission, &request->mission, sizeof root->mission) != 0)
        rc = err_set(err, RC_MISSION, "the root says another mission than the request");
    return rc;
}

enum rc request_check(const struct request *request, struct err *err)
{
    enum doc_type type = DOC_REPORT;

    if (request->payload.n == 0 || request->payload.n > DOCUMENT_MAX)
        return err_set(err, RC_TOO_LARGE, "payload");
    if (!text_printable(request->note))
        return err_set(err, RC_VALUE, "note");
    enum rc rc = doc_peek_type(request->payload, &type, err);

    if (rc == RC_OK && type != request->type)
        rc = err_set(err, RC_DOC_TYPE, "asked to sign a %s, but it holds a %s",
                     doc_type_name(request->type), doc_type_name(type));
    if (rc == RC_OK && (type == DOC_REPORT || type == DOC_AUDIT || type == DOC_BRIEF ||
                        type == DOC_APPROVAL || type == DOC_APPROVER))
        rc = err_set(err, RC_DOC_TYPE, "a %s is not signed by request", doc_type_name(type));
    if (rc == RC_OK && type == DOC_ROOT)
        rc = check_root_mission(request, err);
    return rc;
}

enum rc request_decode(struct bytes in, struct request *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct request request = { 0 };

    read_head(&r, REQUEST_ITEMS, REQUEST_WORD, &request.type, &request.mission);
    cbor_text(&r, "note", request.note, sizeof request.note);
    request.payload = cbor_bstr(&r, "payload", 1, DOCUMENT_MAX);
    cbor_end(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = request_check(&request, err);
    if (rc == RC_OK)
        *ret = request;
    return rc;
}

enum rc request_encode(const struct request *request, uint8_t *buf, size_t cap, struct bytes *ret,
                       struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    enum rc rc = request_check(request, err);
    if (rc != RC_OK)
        return rc;
    cbor_put_array(&w, REQUEST_ITEMS);
    cbor_put_text(&w, REQUEST_WORD);
    cbor_put_uint(&w, FILE_FORMAT);
    cbor_put_uint(&w, request->type);
    cbor_put_bstr(&w, (struct bytes){ request->mission.b, sizeof request->mission.b });
    cbor_put_text(&w, request->note);
    cbor_put_bstr(&w, request->payload);
    return cbor_written(&w, ret, err);
}

enum rc request_signature_decode(struct bytes in, struct request_signature *ret, struct err *err)
{
    scoped(free_ptr) struct request_signature *s = calloc(1, sizeof *s);
    struct cbor_in r = cbor_read(in);

    if (!s)
        return err_set(err, RC_NO_MEMORY, "signature");
    read_head(&r, SIGNATURE_ITEMS, SIGNATURE_WORD, &s->type, &s->mission);
    cbor_fixed(&r, "payload", s->payload.b, sizeof s->payload.b);
    wire_public_key(&r, &s->key);
    s->n = (uint32_t)cbor_array(&r, "halves", 1, ENVELOPE_SIGNATURES_MAX);
    for (uint32_t i = 0; i < s->n; i++) {
        (void)cbor_array(&r, "half", 2, 2);
        s->half[i].algorithm = cbor_int(&r, "half.algorithm", INT32_MIN, INT32_MAX);
        s->half[i].bytes = cbor_bstr(&r, "half.signature", 1, SUITE_SIGNATURE_MAX);
        cbor_end(&r);
    }
    cbor_end(&r);
    cbor_end(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        *ret = *s;
    return rc;
}

/* ---- writing a signature ---- */

static enum rc put_signature(const struct request *request, const struct public_key *key,
                             const struct envelope *e, uint8_t *buf, size_t cap, struct bytes *ret,
                             struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    struct digest digest;

    enum rc rc = sha256_of(request->payload, digest.b, err);
    if (rc != RC_OK)
        return rc;
    cbor_put_array(&w, SIGNATURE_ITEMS);
    cbor_put_text(&w, SIGNATURE_WORD);
    cbor_put_uint(&w, FILE_FORMAT);
    cbor_put_uint(&w, request->type);
    cbor_put_bstr(&w, (struct bytes){ request->mission.b, sizeof request->mission.b });
    wire_put_digest(&w, &digest);
    wire_put_public_key(&w, key);
    cbor_put_array(&w, e->n);
    for (uint32_t i = 0; i < e->n; i++) {
        cbor_put_array(&w, 2);
        cbor_put_int(&w, e->signature[i].algorithm);
        cbor_put_bstr(&w, e->signature[i].signature);
    }
    return cbor_written(&w, ret, err);
}

enum rc request_signature_encode( // NOLINT(readability-function-size): what, by whom, to where
    const struct request *request, const struct public_key *key, struct bytes envelope,
    uint8_t *buf, size_t cap, struct bytes *ret, struct err *err)
{
    struct bytes id = { key->id, sizeof key->id };
    struct envelope e;

    enum rc rc = envelope_open(envelope, &e, err);
    if (rc != RC_OK)
        return rc;
    assert(bytes_equal(e.payload, request->payload));
    for (uint32_t i = 0; i < e.n; i++)
        assert(bytes_equal(e.signature[i].key_id, id));
    return put_signature(request, key, &e, buf, cap, ret, err);
}

/* ---- attaching ---- */

static enum rc check_about(const struct request *request, const struct request_signature *signature,
                           struct err *err)
{
    struct digest digest;

    if (signature->type != request->type)
        return err_set(err, RC_DOC_TYPE, "signature over a %s, not over this %s",
                       doc_type_name(signature->type), doc_type_name(request->type));
    if (memcmp(&signature->mission, &request->mission, sizeof request->mission) != 0)
        return err_set(err, RC_MISSION, "signature for another mission");
    enum rc rc = sha256_of(request->payload, digest.b, err);

    if (rc == RC_OK && memcmp(&digest, &signature->payload, sizeof digest) != 0)
        rc = err_set(err, RC_DIGEST_MISMATCH, "signature over another %s",
                     doc_type_name(request->type));
    return rc;
}

/* What a merge needs besides the two envelopes. */
struct merge {
    struct envelope all; /* what was there, then the new entries */
    struct envelope one; /* the new entries alone */
    struct key_set keys; /* the one key */
    uint8_t body[HEADER_MAX];
    uint8_t header[ENVELOPE_SIGNATURES_MAX][HEADER_MAX];
};

static enum rc fill_one(const struct request *request, const struct request_signature *signature,
                        struct merge *m, struct err *err)
{
    enum rc rc = envelope_body_header(ENVELOPE_PROFILE, m->body, sizeof m->body,
                                      &m->one.protected_header, err);

    m->one.payload = request->payload;
    m->one.n = signature->n;
    for (uint32_t i = 0; rc == RC_OK && i < signature->n; i++) {
        struct envelope_signature *s = &m->one.signature[i];

        s->algorithm = signature->half[i].algorithm;
        s->key_id = (struct bytes){ signature->key.id, sizeof signature->key.id };
        s->signature = signature->half[i].bytes;
        rc = envelope_entry_header(s->algorithm, m->header[i], HEADER_MAX, &s->protected_header,
                                   err);
    }
    m->keys.threshold = 1;
    m->keys.n = 1;
    m->keys.key[0] = signature->key;
    return rc;
}

static enum rc merge(struct merge *m, struct err *err)
{
    struct envelope *all = &m->all;

    if (all->n > 0 && !bytes_equal(all->protected_header, m->one.protected_header))
        return err_set(err, RC_SUITE_UNKNOWN, "envelope.protected");
    for (uint32_t i = 0; i < all->n; i++) {
        if (bytes_equal(all->signature[i].key_id, m->one.signature[0].key_id))
            return err_set(err, RC_KEY_DUPLICATE, "this key has signed already");
    }
    if (all->n + m->one.n > ENVELOPE_SIGNATURES_MAX)
        return err_set(err, RC_TOO_LARGE, "signers");
    all->protected_header = m->one.protected_header;
    all->payload = m->one.payload;
    for (uint32_t i = 0; i < m->one.n; i++)
        all->signature[all->n++] = m->one.signature[i];
    return RC_OK;
}

enum rc request_attach( // NOLINT(readability-function-size): what, with what, and to where
    const struct request *request, struct bytes envelope, const struct request_signature *signature,
    uint8_t *buf, size_t cap, struct bytes *ret, struct err *err)
{
    scoped(free_ptr) struct merge *m = calloc(1, sizeof *m);
    struct bytes written = { 0 };

    if (!m)
        return err_set(err, RC_NO_MEMORY, "signature");
    enum rc rc = check_about(request, signature, err);

    if (rc == RC_OK && envelope.n > 0)
        rc = envelope_open(envelope, &m->all, err);
    if (rc == RC_OK && envelope.n > 0 && !bytes_equal(m->all.payload, request->payload))
        rc = err_set(err, RC_DIGEST_MISMATCH, "envelope around another document");
    if (rc == RC_OK)
        rc = fill_one(request, signature, m, err);
    if (rc == RC_OK)
        rc = envelope_verify(&m->one, request->type, &request->mission, &m->keys, err);
    if (rc == RC_OK)
        rc = merge(m, err);
    if (rc == RC_OK)
        rc = envelope_encode(&m->all, buf, cap, &written, err);
    if (rc == RC_OK && written.n > DOCUMENT_MAX)
        rc = err_set(err, RC_TOO_LARGE, "envelope");
    if (rc == RC_OK)
        *ret = written;
    return rc;
}

uint32_t request_signed(struct bytes envelope, const struct key_set *keys)
{
    struct envelope e;
    uint32_t n = 0;

    if (envelope_open(envelope, &e, NULL) != RC_OK)
        return 0;
    for (uint32_t k = 0; k < keys->n; k++) {
        bool found = false;

        for (uint32_t i = 0; i < e.n; i++)
            found = found || bytes_equal(e.signature[i].key_id,
                                         (struct bytes){ keys->key[k].id, KEY_ID_SIZE });
        n += found;
    }
    return n;
}
