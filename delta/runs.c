/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/runs.h"

bool runs_idle(const struct runs *r)
{
    return (r->part == RUNS_ZEROS && r->shift == 0) || (r->part == RUNS_OVER && r->zeros == 0);
}

/* One more byte of a number; true when it was the last. */
static enum rc take_number(struct runs *r, uint8_t byte, bool *ret_whole, struct err *err)
{
    if ((r->shift == 63 && byte > 1) || (r->shift > 0 && byte == 0))
        return err_set(err, RC_DELTA_STREAM, "run is not in its shortest form");
    r->number |= (uint64_t)(byte & 0x7f) << r->shift;
    r->shift += 7;
    *ret_whole = byte < 0x80;
    return RC_OK;
}

/* A number is whole. */
static enum rc end_number(struct runs *r, struct err *err)
{
    uint64_t number = r->number;

    r->number = 0;
    r->shift = 0;
    if (r->part == RUNS_ZEROS) {
        if (number == 0 && r->begun)
            return err_set(err, RC_DELTA_STREAM, "record without zeros");
        r->zeros = number;
        r->part = RUNS_LENGTH;
        return RC_OK;
    }
    if (number == 0 && r->zeros == 0)
        return err_set(err, RC_DELTA_STREAM, "empty record");
    r->begun = true;
    r->length = number;
    r->part = number > 0 ? RUNS_BYTES : RUNS_OVER;
    return RC_OK;
}

/* Give zeros and then bytes of a record. */
static void give(struct runs *r, struct bytes *in, uint8_t *out, size_t cap, size_t *n)
{
    size_t zeros = r->zeros < cap - *n ? (size_t)r->zeros : cap - *n;

    if (zeros > 0)
        memset(out + *n, 0, zeros);
    *n += zeros;
    r->zeros -= zeros;

    size_t some = r->length < cap - *n ? (size_t)r->length : cap - *n;

    some = some < in->n ? some : in->n;
    if (r->zeros > 0 || some == 0)
        return;
    memcpy(out + *n, in->p, some);
    *in = (struct bytes){ in->p + some, in->n - some };
    *n += some;
    r->length -= some;
    if (r->length == 0)
        r->part = RUNS_ZEROS;
}

enum rc runs_read(struct runs *r, struct bytes *in, uint8_t *out, size_t cap, size_t *ret_n,
                  struct err *err)
{
    size_t n = 0;
    enum rc rc = RC_OK;

    while (rc == RC_OK && n < cap && (in->n > 0 || r->part == RUNS_OVER || r->zeros > 0)) {
        if (r->part == RUNS_BYTES || (r->part == RUNS_OVER && r->zeros > 0)) {
            give(r, in, out, cap, &n);
            if (in->n == 0 && r->zeros == 0)
                break;
            continue;
        }
        if (in->n == 0)
            break;
        if (r->part == RUNS_OVER)
            return err_set(err, RC_DELTA_STREAM, "record behind the last one");

        bool whole = false;

        rc = take_number(r, in->p[0], &whole, err);
        *in = (struct bytes){ in->p + 1, in->n - 1 };
        if (rc == RC_OK && whole)
            rc = end_number(r, err);
    }
    if (rc == RC_OK)
        *ret_n = n;
    return rc;
}

size_t runs_bound(size_t n)
{
    return n * 2 + 32; /* one zero and one byte make three */
}

static size_t put_number(uint8_t *out, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

size_t runs_write(struct bytes in, uint8_t *out)
{
    size_t n = 0;

    for (size_t at = 0; at < in.n;) {
        size_t bytes = at;

        while (bytes < in.n && in.p[bytes] == 0)
            bytes++;

        size_t end = bytes;

        while (end < in.n && in.p[end] != 0)
            end++;
        n += put_number(out + n, bytes - at);
        n += put_number(out + n, end - bytes);
        memcpy(out + n, in.p + bytes, end - bytes);
        n += end - bytes;
        at = end;
    }
    return n;
}
