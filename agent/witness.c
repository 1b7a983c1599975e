/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/witness.h"

#include "base/log.h"
#include "base/statefile.h"
#include "manifest/wire.h"

#define WITNESS_FILE "witness"
#define WITNESS_MAX 64U

enum rc witness_decode(struct bytes in, struct witness *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);
    struct witness w = { 0 };

    wire_witness(&r, "witness", &w);
    enum rc rc = cbor_done(&r, err);

    if (rc == RC_OK && w.seq == 0)
        rc = err_set(err, RC_VALUE, "witness");
    if (rc == RC_OK)
        rc = witness_check(&w, "witness", err);
    if (rc == RC_OK)
        *ret = w;
    return rc;
}

void witness_load(struct agent *a)
{
    uint8_t buf[WITNESS_MAX];
    struct err err = { 0 };
    size_t n = 0;
    enum rc rc = statefile_load(a->state_dir, WITNESS_FILE, buf, sizeof buf, &n, NULL, &err);

    if (rc == RC_OK)
        rc = witness_decode((struct bytes){ buf, n }, &a->witness, &err);
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        log_err(LOG_LEVEL_WARN, &err, WITNESS_FILE);
}

void witness_take(struct agent *a, const struct order *order)
{
    uint8_t buf[WITNESS_MAX];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };
    struct bytes out = { 0 };
    struct err err = { 0 };

    if (order->witness.seq <= a->witness.seq)
        return;
    a->witness = order->witness;
    wire_put_witness(&w, &a->witness);
    enum rc rc = cbor_written(&w, &out, &err);

    if (rc == RC_OK)
        rc = statefile_renew(a->state_dir, WITNESS_FILE, out, &err);
    if (rc != RC_OK)
        log_err(LOG_LEVEL_WARN, &err, WITNESS_FILE);
}
