/* SPDX-License-Identifier: Apache-2.0 */
#include "link/status.h"

#include <stdlib.h>

#include "base/cbor.h"

bool status_is(struct bytes message)
{
    return message.n > 1 && message.p[0] == 0x83 && message.p[1] == STATUS_TYPE;
}

static void decode_transfer(struct cbor_in *r, struct transfer_status *ret)
{
    (void)cbor_array(r, "transfer", 4, 4);
    cbor_fixed(r, "object", ret->object, sizeof ret->object);
    ret->chunks = (uint32_t)cbor_uint(r, "chunks", CHUNKS_MAX);
    ret->more = (uint32_t)cbor_uint(r, "more", 1);
    ret->n_missing = (uint32_t)cbor_array(r, "missing", 0, PORT_RANGES_MAX);
    for (uint32_t i = 0; r->rc == RC_OK && i < ret->n_missing; i++) {
        (void)cbor_array(r, "range", 2, 2);
        ret->missing[i].first = (uint32_t)cbor_uint(r, "first", CHUNKS_MAX);
        ret->missing[i].count = (uint32_t)cbor_uint(r, "count", CHUNKS_MAX);
        cbor_end(r);
    }
    cbor_end(r);
    cbor_end(r);
}

enum rc status_decode(struct bytes in, struct port_transfers *ret, struct err *err)
{
    scoped(free_ptr) struct port_transfers *t = calloc(1, sizeof *t);
    struct cbor_in r = cbor_read(in);

    if (t == NULL)
        return err_set(err, RC_NO_MEMORY, "status");
    (void)cbor_array(&r, "message", 3, 3);
    if (cbor_uint(&r, "type", STATUS_TYPE) != STATUS_TYPE)
        cbor_fail(&r, RC_TRANSFER_FORMAT, "type");
    t->n_complete = (uint32_t)cbor_array(&r, "complete", 0, PORT_COMPLETE_MAX);
    for (uint32_t i = 0; r.rc == RC_OK && i < t->n_complete; i++)
        cbor_fixed(&r, "object", t->complete[i], DIGEST_SIZE);
    cbor_end(&r);
    t->n_transfers = (uint32_t)cbor_array(&r, "transfers", 0, PORT_TRANSFERS_MAX);
    for (uint32_t i = 0; r.rc == RC_OK && i < t->n_transfers; i++)
        decode_transfer(&r, &t->transfer[i]);
    cbor_end(&r);
    cbor_end(&r);
    enum rc rc = cbor_done(&r, err);
    if (rc != RC_OK)
        return rc;
    if (!port_transfers_ok(t))
        return err_set(err, RC_TRANSFER_FORMAT, "status: ranges");
    *ret = *t;
    return RC_OK;
}

static void put_transfer(struct cbor_out *w, const struct transfer_status *t)
{
    cbor_put_array(w, 4);
    cbor_put_bstr(w, (struct bytes){ t->object, DIGEST_SIZE });
    cbor_put_uint(w, t->chunks);
    cbor_put_uint(w, t->more);
    cbor_put_array(w, t->n_missing);
    for (uint32_t i = 0; i < t->n_missing; i++) {
        cbor_put_array(w, 2);
        cbor_put_uint(w, t->missing[i].first);
        cbor_put_uint(w, t->missing[i].count);
    }
}

enum rc status_encode(const struct port_transfers *status, uint8_t *buf, size_t cap,
                      struct bytes *ret, struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = cap };

    cbor_put_array(&w, 3);
    cbor_put_uint(&w, STATUS_TYPE);
    cbor_put_array(&w, status->n_complete);
    for (uint32_t i = 0; i < status->n_complete; i++)
        cbor_put_bstr(&w, (struct bytes){ status->complete[i], DIGEST_SIZE });
    cbor_put_array(&w, status->n_transfers);
    for (uint32_t i = 0; i < status->n_transfers; i++)
        put_transfer(&w, &status->transfer[i]);
    return cbor_written(&w, ret, err);
}
