/* SPDX-License-Identifier: Apache-2.0 */
#include "link/telemetry.h"

#include "base/cbor.h"
#include "base/name.h"

#define FORMAT 1U
#define ITEMS 4U

enum rc telemetry_encode(const struct telemetry_batch *batch, uint8_t *buf, struct bytes *ret,
                         struct err *err)
{
    struct cbor_out w = { .p = buf, .cap = TELEMETRY_BYTES_MAX };

    cbor_put_array(&w, ITEMS);
    cbor_put_uint(&w, FORMAT);
    cbor_put_uint(&w, batch->instance);
    cbor_put_uint(&w, batch->first);
    cbor_put_array(&w, batch->n);
    for (uint32_t i = 0; i < batch->n; i++) {
        const struct telemetry_sample *s = &batch->sample[i];

        cbor_put_array(&w, 3);
        cbor_put_uint(&w, s->time_ms);
        cbor_put_text(&w, s->key);
        cbor_put_bstr(&w, (struct bytes){ s->value, s->n });
    }
    return cbor_written(&w, ret, err);
}

static void read_sample(struct cbor_in *r, struct telemetry_sample *ret)
{
    struct telemetry_sample s = { .n = 0 };

    (void)cbor_array(r, "sample", 3, 3);
    s.time_ms = cbor_uint(r, "time", UINT64_MAX);
    cbor_text(r, "key", s.key, sizeof s.key);
    const struct bytes value = cbor_bstr(r, "value", 1, TELEMETRY_VALUE_MAX);

    cbor_end(r);
    if (r->rc == RC_OK && !name_valid(s.key))
        cbor_fail(r, RC_MAIL_FORMAT, "key");
    if (r->rc != RC_OK)
        return;
    s.n = (uint8_t)value.n;
    memcpy(s.value, value.p, value.n);
    *ret = s;
}

enum rc telemetry_decode(struct bytes in, struct telemetry_batch *ret, struct err *err)
{
    struct cbor_in r = cbor_read(in);

    (void)cbor_array(&r, "telemetry", ITEMS, ITEMS);
    if (cbor_uint(&r, "format", UINT32_MAX) != FORMAT)
        cbor_fail(&r, RC_MAIL_FORMAT, "format");
    const uint64_t instance = cbor_uint(&r, "instance", UINT64_MAX);
    const uint64_t first = cbor_uint(&r, "first", UINT64_MAX - TELEMETRY_BATCH_MAX);
    const size_t n = cbor_array(&r, "samples", 1, TELEMETRY_BATCH_MAX);

    for (size_t i = 0; r.rc == RC_OK && i < n; i++)
        read_sample(&r, &ret->sample[i]);
    cbor_end(&r);
    cbor_end(&r);
    if (r.rc == RC_OK && (instance == 0 || first == 0))
        cbor_fail(&r, RC_MAIL_FORMAT, "instance or first");
    enum rc rc = cbor_done(&r, err);

    if (rc == RC_OK) {
        ret->instance = instance;
        ret->first = first;
        ret->n = (uint32_t)n;
    }
    return rc;
}
