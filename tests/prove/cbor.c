/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/cbor.c: contracts of what base/cbor.c keeps to itself, and base/cbor.c.
 */
#include "tests/prove/cbor.h"

#define ADDITIONAL_1 24U
#define ADDITIONAL_8 27U

/*@ requires reader(r);
    requires rc != RC_OK;
    assigns r->rc, r->fail_at, r->field;
    ensures reader(r);
    ensures r->rc == (\old(r->rc) == RC_OK ? rc : \old(r->rc));
*/
static void fail_here(struct cbor_in *r, enum rc rc, size_t at, const char *field);

/*@ requires reader(r);
    assigns r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures \result <==> r->rc == RC_OK;
*/
static bool begin_item(struct cbor_in *r, const char *field);

/*@ requires ADDITIONAL_1 <= info <= ADDITIONAL_8;
    assigns \nothing;
    behavior one: assumes info == 24; ensures \result == 1;
    behavior two: assumes info == 25; ensures \result == 2;
    behavior four: assumes info == 26; ensures \result == 4;
    behavior eight: assumes info == 27; ensures \result == 8;
    complete behaviors;
*/
static size_t argument_width(uint8_t info);

/*@ requires width == 1 || width == 2 || width == 4 || width == 8;
    assigns \nothing;
    ensures head_size(\result) == 1 + width && head_size(\result - 1) < 1 + width;
*/
static uint64_t least_for_width(size_t width);

/*@ requires reader(r);
    requires \valid(major) && \valid(value) && \separated(r, major, value);
    assigns r->at, r->rc, r->fail_at, r->field, *major, *value;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures \result <==> r->rc == RC_OK;
    ensures \result ==> \old(r->at) < r->at;
    ensures \result && *major != CBOR_SIMPLE ==> r->at - \old(r->at) <= head_size(*value);
    ensures !\result ==> r->at == \old(r->at);
*/
static bool head(struct cbor_in *r, const char *field, enum cbor_major *major, uint64_t *value);

/*@ requires reader(r);
    requires \valid(value) && \separated(r, value);
    assigns r->at, r->rc, r->fail_at, r->field, r->frame[0 .. CBOR_DEPTH_MAX - 1].left, *value;
    ensures reader(r);
    ensures forward{Pre, Here}(r);
    ensures \result <==> r->rc == RC_OK;
    ensures \result ==> \old(r->at) < r->at;
    ensures \result && want != CBOR_SIMPLE ==> r->at - \old(r->at) <= head_size(*value);
*/
static bool expect(struct cbor_in *r, const char *field, enum cbor_major want, uint64_t *value);

/*@ requires reader(r) && at <= r->at && 0 < r->in.n;
    assigns r->at, r->rc, r->fail_at, r->field;
    ensures reader(r) && \old(r->at) <= r->at;
    ensures \old(r->rc) != RC_OK ==> r->rc == \old(r->rc);
    ensures readable(\result) && inside(\result, r->in);
    ensures r->rc == RC_OK ==> \result.n == n && min <= n <= max && r->at == \old(r->at) + n;
    ensures \result.n == 0 || \result.n <= max;
*/
static struct bytes content(struct cbor_in *r, const char *field, size_t at, uint64_t n, size_t min,
                            size_t max);

/*@ requires \valid(low) && \valid(high) && \separated(low, high);
    assigns *low, *high;
    ensures \result <= 4;
*/
static size_t utf8_length(uint8_t first, uint8_t *low, uint8_t *high);

/*@ requires readable(in);
    assigns \nothing;
*/
static bool utf8_valid(struct bytes in);

/*@ requires reader(r) && at <= r->at && behind(r, at);
    assigns r->rc, r->fail_at, r->field, r->depth, r->frame[0 .. CBOR_DEPTH_MAX - 1];
    ensures reader(r);
    ensures behind(r, at);
    ensures kept{Pre, Here}(r);
    ensures \old(r->rc) != RC_OK ==> r->rc == \old(r->rc);
    ensures \result ==> r->depth == \old(r->depth) + 1 && r->frame[r->depth - 1].map == map &&
                r->rc == \old(r->rc);
    ensures !\result ==> r->rc != RC_OK && r->depth == \old(r->depth);
*/
static bool push(struct cbor_in *r, const char *field, size_t at, uint64_t n, bool map);

/*@ requires reader(r) && at <= r->at;
    requires 0 < r->depth && f == &r->frame[r->depth - 1];
    requires f->key_end <= at;
    assigns r->rc, r->fail_at, r->field, f->key_at, f->key_end;
    ensures reader(r);
    ensures \old(r->rc) != RC_OK ==> r->rc == \old(r->rc);
*/
static void check_order(struct cbor_in *r, struct cbor_frame *f, size_t at);

/*@ requires reader(r) && at < r->at && behind(r, at);
    assigns r->at, r->rc, r->fail_at, r->field, r->depth, r->frame[0 .. CBOR_DEPTH_MAX - 1];
    ensures reader(r);
    ensures \old(r->at) <= r->at;
    ensures kept{Pre, Here}(r);
    ensures \old(r->rc) != RC_OK ==> r->rc == \old(r->rc);
    ensures behind(r, at);
    ensures \old(r->depth) <= r->depth;
    ensures major != CBOR_ARRAY && major != CBOR_MAP ==> r->depth == \old(r->depth);
*/
static void skip_body(struct cbor_in *r, const char *field, size_t at, enum cbor_major major,
                      uint64_t value);

/*@ requires reader(r) && r->rc == RC_OK && r->depth > 0;
    assigns r->at, r->rc, r->fail_at, r->field, r->depth, r->frame[0 .. CBOR_DEPTH_MAX - 1];
    ensures reader(r);
    ensures \old(r->at) <= r->at;
    ensures kept{Pre, Here}(r);
    ensures r->depth == \old(r->depth);
*/
static void skip_key(struct cbor_in *r, const char *field);

/*@ requires reader(r) && r->rc == RC_OK && r->depth > 0 && r->frame[r->depth - 1].left > 0;
    assigns r->at, r->rc, r->fail_at, r->field, r->depth, r->frame[0 .. CBOR_DEPTH_MAX - 1];
    ensures reader(r);
    ensures \old(r->at) <= r->at;
    ensures kept{Pre, Here}(r);
    ensures \old(r->depth) <= r->depth;
    ensures r->rc == RC_OK ==> \old(r->at) < r->at;
*/
static void skip_step(struct cbor_in *r, const char *field);

#include "base/cbor.c"
