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

/* Called for each head that is read: a test that counts them defines it before it includes the code
 * under test. */
#ifndef CURSOR_STEP
#define CURSOR_STEP() ((void)0)
#endif

struct cursor {
    const uint8_t *p;
    size_t n;  /* end of what may be read, from p */
    size_t at; /* next byte */
    enum rc rc;
    size_t fail_at;
    const char *field; /* what could not be read */
};

/* The annotations are contracts that `make prove` proves (tests/prove/README.md, part 1c). */
/*@ predicate cursor_valid(struct cursor *c) =
        \valid(c) && c->at <= c->n && (c->n == 0 || \valid_read(c->p + (0 .. c->n - 1))) &&
        (c->rc != RC_OK ==> c->at == c->n);

    // From A to B it read on in the same input or stayed, and stays at the end after a failure.
    predicate cursor_on{A, B}(struct cursor *c) =
        \at(c->p, A) == \at(c->p, B) && \at(c->n, A) == \at(c->n, B) &&
        \at(c->at, A) <= \at(c->at, B) &&
        (\at(c->rc, A) != RC_OK ==> \at(c->rc, B) == \at(c->rc, A));

    // m bytes at v lie inside of the n bytes at p; none somewhere in them, or at their end.
    predicate view_in(uint8_t *v, integer m, uint8_t *p, integer n) =
        \base_addr(v) == \base_addr(p) && p <= v && v + m <= p + n;
    predicate view_of(struct bytes v, uint8_t *p, integer n) = view_in(v.p, v.n, p, n);
*/

/*@ assigns \nothing;
    ensures \result.p == in.p && \result.n == in.n && \result.at == 0 && \result.rc == RC_OK; */
static inline struct cursor cursor_of(struct bytes in)
{
    return (struct cursor){ .p = in.p, .n = in.n };
}

/* A cursor over a part of what c reads, so that offsets stay those of the whole. */
/*@ requires view_of(part, whole.p, whole.n);
    assigns \nothing;
    ensures \result.p == whole.p && \result.p + \result.at == part.p && \result.rc == RC_OK;
    ensures \result.at <= \result.n <= whole.n && \result.n == \result.at + part.n; */
static inline struct cursor cursor_within(struct bytes whole, struct bytes part)
{
    size_t at = (size_t)(part.p - whole.p);

    return (struct cursor){ .p = whole.p, .n = at + part.n, .at = at };
}

/* Record the first failure; everything after it reads as zero. */
/*@ requires cursor_valid(c) && rc != RC_OK;
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c) && c->rc != RC_OK;
    ensures \old(c->rc) == RC_OK ==> c->rc == rc && c->fail_at == at; */
static inline void cursor_fail_at(struct cursor *c, enum rc rc, size_t at, const char *field)
{
    if (c->rc != RC_OK)
        return;
    c->rc = rc;
    c->fail_at = at;
    c->field = field;
    c->at = c->n;
}

/*@ requires cursor_valid(c) && rc != RC_OK;
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c) && c->rc != RC_OK; */
static inline void cursor_fail(struct cursor *c, enum rc rc, const char *field)
{
    cursor_fail_at(c, rc, c->at, field);
}

/*@ requires \valid_read(c) && c->at <= c->n;
    assigns \nothing;
    ensures \result == c->n - c->at; */
static inline size_t cursor_left(const struct cursor *c)
{
    return c->n - c->at;
}

/* Argument of a head whose low five bits are info: 1, 2, 4 or 8 bytes, in shortest form. */
/*@ requires cursor_valid(c) && c->at < c->n && 24 <= info <= 31;
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> \old(c->at) < c->at <= \old(c->at) + 9;
    ensures c->rc == RC_OK ==> \result >= 24;
    ensures c->rc != RC_OK ==> \result == 0; */
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
    //@ assert info == 24 || info == 25 || info == 26 || info == 27;
    n = (size_t)1 << (info - 24U);
    //@ assert one: info == 24 ==> n == 1;
    //@ assert two: info == 25 ==> n == 2;
    //@ assert four: info == 26 ==> n == 4;
    //@ assert eight: info == 27 ==> n == 8;
    //@ assert n == 1 || n == 2 || n == 4 || n == 8;
    if (cursor_left(c) < 1 + n) {
        cursor_fail(c, RC_SHORT, field);
        return 0;
    }
    /*@ loop invariant 1 <= i <= n + 1;
        loop assigns i, value;
        loop variant n + 1 - i; */
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
/*@ requires cursor_valid(c) && \valid(ret_major) && \separated(c, ret_major);
    requires \separated(ret_major, c->p + (0 .. c->n - 1));
    assigns c->rc, c->fail_at, c->field, c->at, *ret_major;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> \old(c->at) < c->at <= \old(c->at) + 9;
    ensures c->rc != RC_OK ==> \result == 0; */
static inline uint64_t cursor_any(struct cursor *c, enum cbor_major *ret_major, const char *field)
{
    uint8_t first;

    CURSOR_STEP();
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
/*@ requires cursor_valid(c);
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> \old(c->at) < c->at <= \old(c->at) + 9;
    ensures c->rc != RC_OK ==> \result == 0; */
static inline uint64_t cursor_head(struct cursor *c, enum cbor_major want, const char *field)
{
    uint8_t first;

    CURSOR_STEP();
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

/*@ requires cursor_valid(c);
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> \old(c->at) < c->at <= \old(c->at) + 9;
    ensures c->rc != RC_OK ==> \result == 0; */
static inline uint64_t cursor_uint(struct cursor *c, const char *field)
{
    return cursor_head(c, CBOR_UINT, field);
}

/* An array of exactly n items. */
/*@ requires cursor_valid(c);
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> \old(c->at) < c->at <= \old(c->at) + 9; */
static inline void cursor_array(struct cursor *c, uint64_t n, const char *field)
{
    size_t start = c->at;

    if (cursor_head(c, CBOR_ARRAY, field) != n)
        cursor_fail_at(c, RC_CBOR_COUNT, start, field);
}

/* A byte or text string: a view. */
/*@ requires cursor_valid(c);
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> \result.p + \result.n == c->p + c->at;
    ensures c->rc != RC_OK ==> \result.n == 0;
    ensures c->rc == RC_OK ==> \old(c->at) < c->at && \result.n <= c->at - \old(c->at) - 1; */
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

/*@ requires cursor_valid(c);
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> \result.p + \result.n == c->p + c->at;
    ensures c->rc != RC_OK ==> \result.n == 0;
    ensures c->rc == RC_OK ==> \old(c->at) < c->at && \result.n <= c->at - \old(c->at) - 1; */
static inline struct bytes cursor_bstr(struct cursor *c, const char *field)
{
    return cursor_string(c, CBOR_BSTR, field);
}

/* Nothing may follow. */
/*@ requires cursor_valid(c);
    assigns c->rc, c->fail_at, c->field, c->at;
    ensures cursor_valid(c) && cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> c->at == c->n; */
static inline void cursor_end(struct cursor *c, const char *field)
{
    if (c->rc == RC_OK && c->at != c->n)
        cursor_fail(c, RC_TRAILING, field);
}

/* The outcome, with field and offset in err. */
/*@ requires \valid_read(c) && (err == \null || \valid(err)) && \separated(c, err);
    assigns *err;
    ensures \result == c->rc; */
must_check static inline enum rc cursor_done(const struct cursor *c, struct err *err)
{
    if (c->rc == RC_OK)
        return RC_OK;
    return err_at(err, c->rc, c->fail_at, "%s", c->field);
}

#endif
