/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest/rekey.h"

#include "base/name.h"
#include "manifest/wire.h"

static const char *const what_names[] = {
    [REKEY_LINK] = "link",
    [REKEY_TENANT_LINK] = "tenant-link",
    [REKEY_NEW_MASTER] = "master",
    [REKEY_NEW_KEM] = "kem",
};

const char *rekey_what_name(enum rekey_what what)
{
    return what >= REKEY_LINK && what <= REKEY_NEW_KEM ? what_names[what] : "?";
}

int rekey_order(const struct rekey_entry *a, const struct rekey_entry *b)
{
    if (a->what != b->what)
        return a->what < b->what ? -1 : 1;
    if (a->peer != b->peer)
        return a->peer < b->peer ? -1 : 1;
    return strcmp(a->tenant, b->tenant);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return any == 0;
}

/* ---- whether the values make sense ---- */

static enum rc entry_check(const struct rekey_entry *e, struct err *err)
{
    bool link = e->what == REKEY_LINK || e->what == REKEY_TENANT_LINK;

    if (e->what < REKEY_LINK || e->what > REKEY_NEW_KEM)
        return err_set(err, RC_VALUE, "rekey.what");
    if (link != (e->peer != 0))
        return err_set(err, RC_VALUE, "rekey.peer");
    if (e->what == REKEY_TENANT_LINK ? !name_valid(e->tenant) : e->tenant[0] != '\0')
        return err_set(err, RC_NAME, "rekey.tenant");
    if ((e->what == REKEY_NEW_KEM) != (e->epoch == 0))
        return err_set(err, RC_VALUE, "rekey.epoch");
    if (e->what == REKEY_NEW_KEM && !all_zero(e->wrapped, sizeof e->wrapped))
        return err_set(err, RC_VALUE, "rekey.wrapped");
    return RC_OK;
}

static enum rc entries_check(const struct rekey *doc, struct err *err)
{
    if (doc->n == 0 || doc->n > REKEY_ENTRIES_MAX)
        return err_set(err, RC_VALUE, "rekey.entries");
    for (uint32_t i = 0; i < doc->n; i++) {
        enum rc rc = entry_check(&doc->entry[i], err);

        if (rc != RC_OK)
            return rc;
        if (i > 0 && rekey_order(&doc->entry[i - 1], &doc->entry[i]) >= 0)
            return err_set(err, RC_CBOR_ORDER, "rekey.entries");
    }
    return RC_OK;
}

/* Whether something is wrapped for somebody, and nothing for nobody.  Entries are sorted, so that
 * one without a secret can only be the last. */
static enum rc recipient_check(const struct rekey *doc, struct err *err)
{
    bool wraps = doc->entry[0].what != REKEY_NEW_KEM;

    if ((unsigned)doc->recipient > REKEY_MASTER)
        return err_set(err, RC_VALUE, "rekey.recipient");
    if (wraps != (doc->recipient != REKEY_NOBODY) ||
        wraps == all_zero(doc->key_id, sizeof doc->key_id))
        return err_set(err, RC_VALUE, "rekey.recipient");
    if (doc->recipient != REKEY_KEM && !all_zero(doc->sealed, sizeof doc->sealed))
        return err_set(err, RC_VALUE, "rekey.sealed");
    return RC_OK;
}

enum rc rekey_check(const struct rekey *doc, struct err *err)
{
    if (!name_valid(doc->satellite))
        return err_set(err, RC_NAME, "rekey.satellite");
    if (doc->number == 0 || doc->number > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "rekey.number");
    if (doc->issued_ms == 0 || doc->issued_ms > WIRE_UINT_MAX)
        return err_set(err, RC_VALUE, "rekey.issued");
    enum rc rc = entries_check(doc, err);
    return rc == RC_OK ? recipient_check(doc, err) : rc;
}

/* ---- the wire form ---- */

/* [0] / [1, key id, sealed] / [2, key id] */
static void read_recipient(struct cbor_in *r, struct rekey *d)
{
    static const size_t items[] = { [REKEY_NOBODY] = 1, [REKEY_KEM] = 3, [REKEY_MASTER] = 2 };
    size_t n = cbor_array(r, "rekey.recipient", 1, 3);

    d->recipient = (enum rekey_recipient)cbor_uint(r, "rekey.recipient", REKEY_MASTER);
    if (n != items[d->recipient])
        cbor_fail(r, RC_CBOR_COUNT, "rekey.recipient");
    if (d->recipient != REKEY_NOBODY)
        cbor_fixed(r, "rekey.key", d->key_id, sizeof d->key_id);
    if (d->recipient == REKEY_KEM)
        cbor_fixed(r, "rekey.sealed", d->sealed, sizeof d->sealed);
    cbor_end(r);
}

/* [1, peer, epoch, wrapped] / [2, peer, tenant, epoch, wrapped] / [3, epoch, wrapped] / [4] */
static void read_entry(struct cbor_in *r, struct rekey_entry *e)
{
    static const size_t items[] = {
        [REKEY_LINK] = 4,
        [REKEY_TENANT_LINK] = 5,
        [REKEY_NEW_MASTER] = 3,
        [REKEY_NEW_KEM] = 1,
    };
    size_t n = cbor_array(r, "rekey.entry", 1, 5);

    e->what = (enum rekey_what)cbor_uint(r, "rekey.what", REKEY_NEW_KEM);
    if (e->what < REKEY_LINK || n != items[e->what])
        cbor_fail(r, e->what < REKEY_LINK ? RC_VALUE : RC_CBOR_COUNT, "rekey.entry");
    if (e->what == REKEY_LINK || e->what == REKEY_TENANT_LINK)
        e->peer = wire_u32(r, "rekey.peer");
    if (e->what == REKEY_TENANT_LINK)
        cbor_text(r, "rekey.tenant", e->tenant, sizeof e->tenant);
    if (e->what != REKEY_NEW_KEM) {
        e->epoch = wire_u32(r, "rekey.epoch");
        cbor_fixed(r, "rekey.wrapped", e->wrapped, sizeof e->wrapped);
    }
    cbor_end(r);
}

static void read_document(struct cbor_in *r, struct rekey *d)
{
    wire_open(r, DOC_REKEY);
    wire_key(r, 1, "rekey.satellite");
    cbor_text(r, "rekey.satellite", d->satellite, sizeof d->satellite);
    wire_key(r, 2, "rekey.number");
    d->number = wire_u64(r, "rekey.number");
    wire_key(r, 3, "rekey.issued");
    d->issued_ms = wire_u64(r, "rekey.issued");
    wire_key(r, 4, "rekey.recipient");
    read_recipient(r, d);
    wire_key(r, 5, "rekey.entries");
    d->n = (uint32_t)cbor_array(r, "rekey.entries", 1, REKEY_ENTRIES_MAX);
    for (uint32_t i = 0; i < d->n && r->rc == RC_OK; i++)
        read_entry(r, &d->entry[i]);
    cbor_end(r);
    wire_close(r);
}

enum rc rekey_decode(struct bytes in, struct rekey *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct rekey d = { 0 };

    read_document(&r, &d);

    enum rc rc = cbor_done(&r, err);
    if (rc == RC_OK)
        rc = rekey_check(&d, err);
    if (rc == RC_OK)
        *ret = d;
    return rc;
}

static void put_recipient(struct cbor_out *w, const struct rekey *doc)
{
    cbor_put_uint(w, 4);
    cbor_put_array(w, doc->recipient == REKEY_NOBODY ? 1 : doc->recipient == REKEY_KEM ? 3 : 2);
    cbor_put_uint(w, doc->recipient);
    if (doc->recipient != REKEY_NOBODY)
        cbor_put_bstr(w, (struct bytes){ doc->key_id, sizeof doc->key_id });
    if (doc->recipient == REKEY_KEM)
        cbor_put_bstr(w, (struct bytes){ doc->sealed, sizeof doc->sealed });
}

static void put_entry(struct cbor_out *w, const struct rekey_entry *e)
{
    bool link = e->what == REKEY_LINK || e->what == REKEY_TENANT_LINK;
    bool named = e->what == REKEY_TENANT_LINK;
    size_t items = named ? 5 : link ? 4 : 3;

    cbor_put_array(w, e->what == REKEY_NEW_KEM ? 1 : items);
    cbor_put_uint(w, e->what);
    if (link)
        cbor_put_uint(w, e->peer);
    if (named)
        cbor_put_text(w, e->tenant);
    if (e->what == REKEY_NEW_KEM)
        return;
    cbor_put_uint(w, e->epoch);
    cbor_put_bstr(w, (struct bytes){ e->wrapped, sizeof e->wrapped });
}

enum rc rekey_encode(const struct rekey *doc, uint8_t *buf, size_t cap, struct bytes *ret,
                     struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };
    enum rc rc = rekey_check(doc, err);

    if (rc != RC_OK)
        return rc;
    wire_put_open(&w, DOC_REKEY, 6);
    wire_put_text_at(&w, 1, doc->satellite);
    wire_put_uint_at(&w, 2, doc->number);
    wire_put_uint_at(&w, 3, doc->issued_ms);
    put_recipient(&w, doc);
    cbor_put_uint(&w, 5);
    cbor_put_array(&w, doc->n);
    for (uint32_t i = 0; i < doc->n; i++)
        put_entry(&w, &doc->entry[i]);
    return cbor_written(&w, ret, err);
}
