/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/audit.h"

#include "manifest/envelope.h"
#include "manifest/wire.h"

static_assert(AUDIT_RECORD_MAX <= DOCUMENT_MAX, "a record is a small document");

/* ---- check ---- */

static bool printable(const char *text, size_t cap)
{
    size_t n = strnlen(text, cap);

    for (size_t i = 0; i < n; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return n < cap;
}

/* Whether the reader of documents takes it as text: UTF-8 it must be. */
static bool is_text(const char *text, size_t n)
{
    uint8_t buf[AUDIT_WHY_MAX + 8];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    struct bytes item;
    struct err ignored;

    cbor_put_tstr(&w, (struct bytes){ (const uint8_t *)text, n });
    return cbor_written(&w, &item, &ignored) == RC_OK && cbor_check(item, &ignored) == RC_OK;
}

bool audit_why_ok(const char *text)
{
    size_t n = strnlen(text, AUDIT_WHY_CAP);

    if (n > AUDIT_WHY_MAX)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t)text[i], next = (uint8_t)text[i + 1];

        /* C0, DEL, and C1 in UTF-8 */
        if (c < ' ' || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0))
            return false;
    }
    return is_text(text, n);
}

static enum rc texts_check(const struct audit_entry *d, struct err *err)
{
    if (!printable(d->who, sizeof d->who) || d->who[0] == '\0')
        return err_set(err, RC_VALUE, "audit.who");
    if (!printable(d->action, sizeof d->action) || d->action[0] == '\0')
        return err_set(err, RC_VALUE, "audit.action");
    if (!printable(d->what, sizeof d->what))
        return err_set(err, RC_VALUE, "audit.what");
    return audit_why_ok(d->why) ? RC_OK : err_set(err, RC_VALUE, "audit.why");
}

static enum rc approvals_check(const struct audit_entry *d, struct err *err)
{
    if (d->n_approvals > AUDIT_APPROVALS_MAX)
        return err_set(err, RC_VALUE, "audit.approvals");
    for (uint32_t i = 1; i < d->n_approvals; i++)
        if (memcmp(d->approval[i - 1], d->approval[i], KEY_ID_SIZE) >= 0)
            return err_set(err, RC_VALUE, "audit.approvals: out of order or twice");
    return RC_OK;
}

enum rc audit_entry_check(const struct audit_entry *d, struct err *err)
{
    if (d->seq == 0 || d->seq > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "audit.seq");
    if (d->at_ms > WIRE_UINT_MAX || d->root_version > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "audit.at");
    if ((d->lost.first == 0) != (d->lost.last == 0) || d->lost.first > d->lost.last ||
        (d->lost.last != 0 && d->lost.last >= d->seq))
        return err_set(err, RC_VALUE, "audit.lost");
    /* The first has none before it, but numbers may be lost before the first that is left. */
    if (digest_is_none(&d->previous) && d->seq != 1 && d->lost.first == 0)
        return err_set(err, RC_DIGEST_MISSING, "audit.previous");
    if (!digest_is_none(&d->previous) && d->seq == 1)
        return err_set(err, RC_VALUE, "audit.previous");
    enum rc rc = texts_check(d, err);

    return rc == RC_OK ? approvals_check(d, err) : rc;
}

/* ---- decode ---- */

static void read_approvals(struct cbor_in *r, struct audit_entry *d)
{
    d->n_approvals = (uint32_t)cbor_array(r, "audit.approvals", 1, AUDIT_APPROVALS_MAX);
    for (uint32_t i = 0; i < d->n_approvals; i++)
        cbor_fixed(r, "audit.approval", d->approval[i], KEY_ID_SIZE);
    cbor_end(r);
}

static void read_optional(struct cbor_in *r, struct audit_entry *d)
{
    if (wire_optional(r, 8)) {
        cbor_text(r, "audit.why", d->why, sizeof d->why);
        if (d->why[0] == '\0')
            cbor_fail(r, RC_VALUE, "audit.why");
    }
    if (wire_optional(r, 9))
        wire_digest(r, "audit.plan", &d->plan);
    if (wire_optional(r, 10))
        read_approvals(r, d);
    if (wire_optional(r, 11)) {
        (void)cbor_array(r, "audit.lost", 2, 2);
        d->lost.first = wire_u64(r, "audit.lost");
        d->lost.last = wire_u64(r, "audit.lost");
        cbor_end(r);
        if (d->lost.first == 0)
            cbor_fail(r, RC_VALUE, "audit.lost");
    }
}

enum rc audit_entry_decode(struct bytes in, struct audit_entry *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct audit_entry d = { 0 };

    wire_open(&r, DOC_AUDIT);
    wire_key(&r, 1, "audit.seq");
    d.seq = wire_u64(&r, "audit.seq");
    wire_key(&r, 2, "audit.previous");
    wire_digest_or_none(&r, "audit.previous", &d.previous);
    wire_key(&r, 3, "audit.at");
    d.at_ms = wire_u64(&r, "audit.at");
    wire_key(&r, 4, "audit.root");
    d.root_version = wire_u64(&r, "audit.root");
    wire_key(&r, 5, "audit.who");
    cbor_text(&r, "audit.who", d.who, sizeof d.who);
    wire_key(&r, 6, "audit.action");
    cbor_text(&r, "audit.action", d.action, sizeof d.action);
    wire_key(&r, 7, "audit.what");
    cbor_text(&r, "audit.what", d.what, sizeof d.what);
    read_optional(&r, &d);
    wire_close(&r);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = audit_entry_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}

enum rc audit_record_open(struct bytes record, struct bytes *ret_entry, bool *ret_signed,
                          struct err *err)
{
    struct envelope envelope;

    if (record.n > AUDIT_RECORD_MAX)
        return err_set(err, RC_TOO_LARGE, "audit record");
    if (record.n == 0 || record.p[0] >> 5 != CBOR_ARRAY) {
        *ret_entry = record; /* its decoder says what it is, if anything */
        *ret_signed = false;
        return RC_OK;
    }
    enum rc rc = envelope_open(record, &envelope, err);

    if (rc == RC_OK) {
        *ret_entry = envelope.payload;
        *ret_signed = true;
    }
    return rc;
}

/* ---- encode ---- */

static void put_optional(struct cbor_out *w, const struct audit_entry *d)
{
    if (d->why[0] != '\0')
        wire_put_text_at(w, 8, d->why);
    if (!digest_is_none(&d->plan)) {
        cbor_put_uint(w, 9);
        wire_put_digest(w, &d->plan);
    }
    if (d->n_approvals > 0) {
        cbor_put_uint(w, 10);
        cbor_put_array(w, d->n_approvals);
        for (uint32_t i = 0; i < d->n_approvals; i++)
            cbor_put_bstr(w, (struct bytes){ d->approval[i], KEY_ID_SIZE });
    }
    if (d->lost.first != 0) {
        cbor_put_uint(w, 11);
        cbor_put_array(w, 2);
        cbor_put_uint(w, d->lost.first);
        cbor_put_uint(w, d->lost.last);
    }
}

enum rc audit_entry_encode(const struct audit_entry *d, uint8_t *buf, size_t cap, struct bytes *ret,
                           struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = audit_entry_check(d, err);
    size_t optional = (size_t)(d->why[0] != '\0') + !digest_is_none(&d->plan) +
                      (d->n_approvals > 0) + (d->lost.first != 0);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_AUDIT, 8 + optional);
    wire_put_uint_at(&w, 1, d->seq);
    cbor_put_uint(&w, 2);
    wire_put_digest_or_none(&w, &d->previous);
    wire_put_uint_at(&w, 3, d->at_ms);
    wire_put_uint_at(&w, 4, d->root_version);
    wire_put_text_at(&w, 5, d->who);
    wire_put_text_at(&w, 6, d->action);
    wire_put_text_at(&w, 7, d->what);
    put_optional(&w, d);
    return cbor_written(&w, ret, err);
}
