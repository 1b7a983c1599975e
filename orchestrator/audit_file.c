/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/audit_file.h"

#include <stdlib.h>

#include "base/cbor.h"
#include "base/crypto.h"
#include "manifest/envelope.h"

#define WORD "berth-audit"
#define FORMAT 1U
#define HEAD_EXTRA 256U

enum rc audit_file_head_encode(const struct audit_file_head *head, uint8_t **ret, size_t *ret_n,
                               struct err *err)
{
    size_t cap = HEAD_EXTRA;

    for (size_t i = 0; i < head->n_roots; i++)
        cap += head->root[i].envelope.n + 16;
    uint8_t *buf = malloc(cap);
    struct cbor_out w = { .p = buf, .cap = cap };
    struct bytes out;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "head");
    cbor_put_array(&w, 6);
    cbor_put_text(&w, WORD);
    cbor_put_uint(&w, FORMAT);
    cbor_put_bstr(&w, (struct bytes){ head->mission.b, sizeof head->mission.b });
    cbor_put_uint(&w, head->seq);
    cbor_put_bstr(&w, (struct bytes){ head->head.b, sizeof head->head.b });
    cbor_put_array(&w, head->n_roots);
    for (size_t i = 0; i < head->n_roots; i++)
        cbor_put_bstr(&w, head->root[i].envelope);
    enum rc rc = cbor_written(&w, &out, err);

    if (rc != RC_OK) {
        free(buf);
        return rc;
    }
    *ret = buf;
    *ret_n = out.n;
    return RC_OK;
}

/* The bytes of the next item of the sequence, cut off its front. */
static struct bytes next_item(struct bytes *rest, enum rc *ret)
{
    struct cbor_in r = cbor_read(*rest);
    struct bytes item = cbor_skip(&r, "item");

    *ret = r.rc;
    if (r.rc != RC_OK)
        return (struct bytes){ 0 };
    *rest = (struct bytes){ rest->p + item.n, rest->n - item.n };
    return item;
}

/* The head; each is done with every root in it, in order. */
static enum rc read_head(struct bytes item, struct audit_file_head *ret,
                         enum rc (*each)(void *arg, struct bytes envelope, struct err *err),
                         void *arg, struct err *err)
{
    struct cbor_in r = cbor_read(item);
    struct audit_file_head h = { 0 };
    enum rc rc = RC_OK;

    (void)cbor_array(&r, "head", 6, 6);
    if (!bytes_equal(cbor_tstr(&r, "word", 1, 32), bytes_of(WORD)))
        cbor_fail(&r, RC_DOC_TYPE, "word");
    if (cbor_uint(&r, "format", UINT32_MAX) != FORMAT)
        cbor_fail(&r, RC_DOC_VERSION, "format");
    cbor_fixed(&r, "mission", h.mission.b, sizeof h.mission.b);
    h.seq = cbor_uint(&r, "seq", INT64_MAX);
    cbor_fixed(&r, "head", h.head.b, sizeof h.head.b);
    h.n_roots = cbor_array(&r, "roots", 0, AUDIT_ROOTS_MAX);
    for (size_t i = 0; rc == RC_OK && r.rc == RC_OK && i < h.n_roots; i++) {
        struct bytes envelope = cbor_bstr(&r, "root", 1, DOCUMENT_MAX);

        if (r.rc == RC_OK)
            rc = each(arg, envelope, err);
    }
    if (rc != RC_OK)
        return rc;
    cbor_end(&r);
    cbor_end(&r);
    rc = cbor_done(&r, err);
    if (rc == RC_OK)
        *ret = h;
    return rc;
}

static enum rc take_root(void *arg, struct bytes envelope, struct err *err)
{
    return audit_walk_root(arg, envelope, err);
}

static enum rc no_file(struct err *err, enum rc rc)
{
    return rc == RC_NO_MEMORY
               ? rc
               : err_set(err, RC_AUDIT_BROKEN, "not an audit file, or its head is damaged (%s)",
                         rc_name(rc));
}

enum rc audit_file_check(struct bytes file, struct audit_walk *ret, struct err *err)
{
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    struct audit_file_head head = { 0 };
    struct bytes rest = file, item;
    struct err inner = { 0 };
    enum rc rc;

    item = next_item(&rest, &rc);
    if (rc == RC_OK)
        rc = read_head(item, &head, take_root, &walk, &inner);
    if (rc != RC_OK)
        return no_file(err, rc);
    if (walk.n_roots > 0 && memcmp(&head.mission, &walk.mission, sizeof head.mission) != 0)
        return err_set(err, RC_AUDIT_BROKEN, "the roots are of another mission");
    while (rest.n > 0) {
        item = next_item(&rest, &rc);
        if (rc != RC_OK)
            return err_set(err, RC_AUDIT_BROKEN, "what is behind entry %llu is cut off or damaged",
                           (unsigned long long)walk.seq);
        rc = audit_walk_record(&walk, item, NULL, NULL, err);
        if (rc != RC_OK)
            return rc;
    }
    rc = audit_walk_end(&walk, head.seq, &head.head, err);
    if (rc == RC_OK) {
        *ret = walk;
        walk = (struct audit_walk){ 0 };
    }
    return rc;
}

struct root_search {
    const struct digest *want;
    bool found;
};

static enum rc look_at_root(void *arg, struct bytes bytes, struct err *err)
{
    struct root_search *s = arg;
    struct envelope envelope;
    struct digest digest;
    enum rc rc = envelope_open(bytes, &envelope, err);

    if (rc == RC_OK)
        rc = sha256_of(envelope.payload, digest.b, err);
    s->found = s->found || (rc == RC_OK && digest_same(&digest, s->want));
    return rc;
}

enum rc audit_file_has_root(struct bytes file, const struct digest *root, bool *ret,
                            struct err *err)
{
    struct root_search search = { .want = root };
    struct audit_file_head head;
    struct err inner = { 0 };
    enum rc rc;
    struct bytes item = next_item(&file, &rc);

    if (rc == RC_OK)
        rc = read_head(item, &head, look_at_root, &search, &inner);
    if (rc != RC_OK)
        return no_file(err, rc);
    *ret = search.found;
    return RC_OK;
}
