/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cursor: the CBOR reading that bundles need, inline, private to this folder.
 *
 * base/cbor keeps account of open containers and refuses everything that is not deterministic.  A
 * bundle bends its rules (an indefinite outer array, CBOR sequences inside byte strings) and is the
 * link's hot path, so it gets this smaller reader of the same manner: definite lengths and shortest
 * forms only, a sticky first failure, views instead of copies, sizes compared and never pointers.
 */
#ifndef BERTH_LINK_CURSOR_H
#define BERTH_LINK_CURSOR_H

#include "base/bytes.h"
#include "base/cbor.h"
#include "base/err.h"

struct cursor {
    const uint8_t *p;
    size_t n;  /* end of what may be read, from p */
    size_t at; /* next byte */
    enum rc rc;
    size_t fail_at;
    const char *field; /* what could not be read */
};

static inline struct cursor cursor_of(struct bytes in)
{
    return (struct cursor){ .p = in.p, .n = in.n };
}

/* A cursor over a part of what c reads, so that offsets stay those of the whole. */
static inline struct cursor cursor_within(struct bytes whole, struct bytes part)
{
    size_t at = (size_t)(part.p - whole.p);

    return (struct cursor){ .p = whole.p, .n = at + part.n, .at = at };
}

/* Record the first failure; everything after it reads as zero. */
static inline void cursor_fail_at(struct cursor *c, enum rc rc, size_t at, const char *field)
{
    if (c->rc != RC_OK)
        return;
    c->rc = rc;
    c->fail_at = at;
    c->field = field;
    c->at = c->n;
}

static inline void cursor_fail(struct cursor *c, enum rc rc, const char *field)
{
    cursor_fail_at(c, rc, c->at, field);
}

static inline size_t cursor_left(const struct cursor *c)
{
    return c->n - c->at;
}

/* Argument of a head whose low five bits are info: 1, 2, 4 or 8 bytes, in shortest form. */
static inline uint64_t cursor_long_argument(struct cursor *c, uint8_t info, const char *field)
{
    static const uint64_t least[4] = { 24, 1ULL << 8, 1ULL << 16, 1ULL << 32 };
    size_t start = c->at;
    uint64_t value = 0;
    size_t n;

    if (info > 27) {
        cursor_fail(c, info == 31 ? RC_CBOR_INDEFINITE : RC_CBOR_RESERVED, field);
        return 0;
    }
    n = (size_t)1 << (info - 24U);
    if (cursor_left(c) < 1 + n) {
        cursor_fail(c, RC_SHORT, field);
        return 0;
    }
    for (size_t i = 1; i <= n; i++)
        value = value << 8 | c->p[start + i];
    if (value < least[info - 24U]) {
        cursor_fail(c, RC_CBOR_NOT_MINIMAL, field);
        return 0;
    }
    c->at = start + 1 + n;
    return value;
}

/* Any head: its argument, and the major type in *ret_major. */
static inline uint64_t cursor_any(struct cursor *c, enum cbor_major *ret_major, const char *field)
{
    uint8_t first;

    *ret_major = CBOR_UINT;
    if (c->at >= c->n) {
        cursor_fail(c, RC_SHORT, field);
        return 0;
    }
    first = c->p[c->at];
    *ret_major = (enum cbor_major)(first >> 5);
    if ((first & 0x1f) >= 24)
        return cursor_long_argument(c, first & 0x1f, field);
    c->at++;
    return first & 0x1f;
}

/* A head that must be of one major type. */
static inline uint64_t cursor_head(struct cursor *c, enum cbor_major want, const char *field)
{
    uint8_t first;

    if (c->at >= c->n) {
        cursor_fail(c, RC_SHORT, field);
        return 0;
    }
    first = c->p[c->at];
    if ((enum cbor_major)(first >> 5) != want) {
        cursor_fail(c, (first >> 5) >= CBOR_TAG ? RC_CBOR_TAG : RC_CBOR_TYPE, field);
        return 0;
    }
    if ((first & 0x1f) >= 24)
        return cursor_long_argument(c, first & 0x1f, field);
    c->at++;
    return first & 0x1f;
}

static inline uint64_t cursor_uint(struct cursor *c, const char *field)
{
    return cursor_head(c, CBOR_UINT, field);
}

/* An array of exactly n items. */
static inline void cursor_array(struct cursor *c, uint64_t n, const char *field)
{
    size_t start = c->at;

    if (cursor_head(c, CBOR_ARRAY, field) != n)
        cursor_fail_at(c, RC_CBOR_COUNT, start, field);
}

/* A byte or text string: a view. */
static inline struct bytes cursor_string(struct cursor *c, enum cbor_major want, const char *field)
{
    size_t start = c->at;
    uint64_t n = cursor_head(c, want, field);
    struct bytes view;

    if (n > cursor_left(c)) {
        cursor_fail_at(c, RC_SHORT, start, field);
        return (struct bytes){ 0 };
    }
    view = (struct bytes){ .p = c->p + c->at, .n = (size_t)n };
    c->at += (size_t)n;
    return view;
}

static inline struct bytes cursor_bstr(struct cursor *c, const char *field)
{
    return cursor_string(c, CBOR_BSTR, field);
}

/* Nothing may follow. */
static inline void cursor_end(struct cursor *c, const char *field)
{
    if (c->rc == RC_OK && c->at != c->n)
        cursor_fail(c, RC_TRAILING, field);
}

/* The outcome, with field and offset in err. */
must_check static inline enum rc cursor_done(const struct cursor *c, struct err *err)
{
    if (c->rc == RC_OK)
        return RC_OK;
    return err_at(err, c->rc, c->fail_at, "%s", c->field);
}

#endif
