/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/cbor.h: what each function of the strict CBOR reader promises, in ACSL.  WP proves
 * every body against its contract, and every call against the contract of what it calls; the lines
 * that start with "requires" are therefore proven at each call inside the proof and assumed only of
 * the callers outside of it.  tests/prove/README.md says what the whole amounts to.
 */
#include <string.h>

#include "tests/prove/predicates.h"

/* The C library's, with the types of the calls at hand: WP does not follow void pointers. */
#define memcmp prove_memcmp
#define memcpy prove_memcpy

/*@ requires n == 0 || (\valid_read(a + (0 .. n - 1)) && \valid_read(b + (0 .. n - 1)));
    assigns \nothing;
*/
int prove_memcmp(const uint8_t *a, const uint8_t *b, size_t n);

/*@ requires n == 0 || (\valid(to + (0 .. n - 1)) && \valid_read(from + (0 .. n - 1)));
    requires n == 0 || \separated(to + (0 .. n - 1), from + (0 .. n - 1));
    assigns to[0 .. n - 1];
*/
uint8_t *prove_memcpy(uint8_t *to, const uint8_t *from, size_t n);

/* ---- what cbor.c takes from elsewhere ---- */

/*@ requires 1 <= n <= 8 && \valid_read(p + (0 .. n - 1));
    assigns \nothing;
*/
static inline uint64_t bytes_get_be(const uint8_t *p, size_t n);

/*@ requires in.n < cap ==> \valid(out + (0 .. in.n));
    requires readable(in) && 0 < cap;
    assigns out[0 .. in.n];
    ensures \result ==> in.n < cap;
*/
bool bytes_to_text(struct bytes in, char *out, size_t cap);

/* Assumed, not proven: it fills *err, and hands rc back (base/err.c, around vsnprintf).  Without
 * the format attribute, so that the variadic calls stay as they are. */
/*@ requires err == \null || \valid(err);
    assigns *err \from rc, at;
    ensures \result == rc;
*/
enum rc err_at(struct err *err, enum rc rc, uint64_t at, const char *fmt, ...);

/*@ requires err == \null || \valid(err);
    assigns *err \from rc;
    ensures \result == rc;
*/
enum rc err_set(struct err *err, enum rc rc, const char *fmt, ...);

/* ---- the reader ---- */

/*@ requires readable(in);
    assigns \nothing;
    ensures \result.in.p == in.p && \result.in.n == in.n && \result.at == 0 && \result.rc == RC_OK
   && \result.depth == 0;
*/
struct cbor_in cbor_read(struct bytes in);

/*@ requires reader(r) && rc != RC_OK;
    assigns r->rc, r->fail_at, r->field;
    ensures reader(r);
    ensures r->rc == (\old(r->rc) == RC_OK ? rc : \old(r->rc));
*/
void cbor_fail(struct cbor_in *r, enum rc rc, const char *field);

/*@ requires reader(r);
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures \result <= max;
    ensures r->rc == RC_OK ==> \old(r->at) < r->at && r->at - \old(r->at) <= head_size(\result);
    ensures r->rc != RC_OK ==> \result == 0;
*/
uint64_t cbor_uint(struct cbor_in *r, const char *field, uint64_t max);

/*@ requires reader(r) && min <= 0 <= max;
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures min <= \result <= max;
    ensures r->rc == RC_OK ==> \old(r->at) < r->at;
    ensures r->rc == RC_OK ==>
        r->at - \old(r->at) <= head_size(\result < 0 ? -1 - \result : \result);
    ensures r->rc != RC_OK ==> \result == 0;
*/
int64_t cbor_int(struct cbor_in *r, const char *field, int64_t min, int64_t max);

/*@ requires reader(r);
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures readable(\result) && inside(\result, r->in);
    ensures \result.n == 0 || \result.n <= max;
    ensures r->rc == RC_OK ==> \old(r->at) < r->at && min <= \result.n <= max;
    ensures r->rc == RC_OK ==>
        r->at - \old(r->at) <= head_size(\result.n) + \result.n;
*/
struct bytes cbor_bstr(struct cbor_in *r, const char *field, size_t min, size_t max);

/*@ requires reader(r) && \valid(out + (0 .. n - 1)) && \separated(r, out + (0 .. n - 1));
    requires \separated(out + (0 .. n - 1), r->in.p + (0 .. r->in.n - 1));
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left,
            out[0 .. n - 1];
    ensures reader(r);
    ensures forward{Pre, Here}(r);
*/
void cbor_fixed(struct cbor_in *r, const char *field, uint8_t *out, size_t n);

/*@ requires reader(r);
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures readable(\result) && inside(\result, r->in);
    ensures \result.n == 0 || \result.n <= max;
    ensures r->rc == RC_OK ==> \old(r->at) < r->at && min <= \result.n <= max;
*/
struct bytes cbor_tstr(struct cbor_in *r, const char *field, size_t min, size_t max);

/*@ requires reader(r) && 0 < cap && \valid(out + (0 .. cap - 1));
    requires \separated(r, out + (0 .. cap - 1));
    requires \separated(out + (0 .. cap - 1), (char *)r->in.p + (0 .. r->in.n - 1));
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left,
            out[0 .. cap - 1];
    ensures reader(r);
    ensures forward{Pre, Here}(r);
*/
void cbor_text(struct cbor_in *r, const char *field, char *out, size_t cap);

/*@ requires reader(r);
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures r->rc == RC_OK ==> r->at == \old(r->at) + 1;
*/
bool cbor_bool(struct cbor_in *r, const char *field);

/*@ requires reader(r);
    assigns *r;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures kept{Pre, Here}(r);
    ensures r->rc == RC_OK ==> min <= \result <= max && \old(r->at) < r->at &&
                r->depth == \old(r->depth) + 1 && !r->frame[r->depth - 1].map;
    ensures r->rc != RC_OK ==> \result == 0 && r->depth == \old(r->depth);
*/
size_t cbor_array(struct cbor_in *r, const char *field, size_t min, size_t max);

/*@ requires reader(r);
    assigns *r;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures kept{Pre, Here}(r);
    ensures r->rc == RC_OK ==> \result <= max && \old(r->at) < r->at &&
                r->depth == \old(r->depth) + 1 && r->frame[r->depth - 1].map;
    ensures r->rc != RC_OK ==> \result == 0 && r->depth == \old(r->depth);
*/
size_t cbor_map(struct cbor_in *r, const char *field, size_t max);

/*@ requires reader(r) && \valid(ret_key) && \separated(r, ret_key);
    requires r->rc == RC_OK ==> r->depth > 0 && r->frame[r->depth - 1].map;
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left,
            r->frame[0 .. CBOR_DEPTH_MAX - 1].key_at, r->frame[0 .. CBOR_DEPTH_MAX - 1].key_end,
            *ret_key;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures kept{Pre, Here}(r);
    ensures \result ==> r->rc == RC_OK && \old(r->at) < r->at;
*/
bool cbor_key(struct cbor_in *r, uint64_t *ret_key);

/*@ requires reader(r) && (r->rc == RC_OK ==> r->depth > 0);
    assigns r->rc, r->fail_at, r->field, r->depth;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures r->rc == RC_OK ==> r->depth == \old(r->depth) - 1;
    ensures r->rc != RC_OK ==> r->depth == \old(r->depth);
*/
void cbor_end(struct cbor_in *r);

/*@ requires reader(r);
    assigns r->at, r->rc, r->fail_at, r->field, r->depth, r->frame[0 .. CBOR_DEPTH_MAX - 1];
    ensures reader(r);
    ensures \old(r->at) <= r->at;
    ensures kept{Pre, Here}(r);
    ensures readable(\result) && inside(\result, r->in);
    ensures r->rc == RC_OK ==> \old(r->at) < r->at && r->depth == \old(r->depth) &&
                \result.n == r->at - \old(r->at);
    ensures r->rc != RC_OK ==> \result.n == 0;
*/
struct bytes cbor_skip(struct cbor_in *r, const char *field);

/*@ requires reader(r);
    requires \valid(ret_major) && \valid(ret_value) && \separated(r, ret_major, ret_value);
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left, *ret_major,
            *ret_value;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures r->rc == RC_OK ==> \old(r->at) < r->at;
    ensures r->rc == RC_OK && *ret_major != CBOR_SIMPLE ==>
        r->at - \old(r->at) <= head_size(*ret_value);
*/
void cbor_head(struct cbor_in *r, const char *field, enum cbor_major *ret_major,
               uint64_t *ret_value);

/* RC_OK means that the whole input was read, and every container closed. */
/*@ requires reader(r) && (err == \null || (\valid(err) && \separated(r, err)));
    assigns r->rc, r->fail_at, r->field, *err;
    ensures \result == r->rc;
    ensures \result == RC_OK ==> r->at == r->in.n && r->depth == 0;
*/
enum rc cbor_done(struct cbor_in *r, struct err *err);

/*@ requires readable(in) && (err == \null || \valid(err));
    assigns *err;
*/
enum rc cbor_check(struct bytes in, struct err *err);
