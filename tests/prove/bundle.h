/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/bundle.h: what the decoder of bundles takes from elsewhere, and what its endpoint IDs
 * promise, in ACSL.
 */
#ifndef BERTH_TESTS_PROVE_BUNDLE_H
#define BERTH_TESTS_PROVE_BUNDLE_H

#include <string.h>

#include "base/err.h"

/* Assumed, not proven: it fills *err, and hands rc back (base/err.c, around vsnprintf). */
/*@ requires err == \null || \valid(err);
    assigns *err \from rc, at;
    ensures \result == rc;
*/
enum rc err_at(struct err *err, enum rc rc, uint64_t at, const char *fmt, ...);

/* The C library's, with the types of the calls at hand: WP does not follow void pointers. */
/*@ requires n == 0 || (\valid_read(a + (0 .. n - 1)) && \valid_read(b + (0 .. n - 1)));
    assigns \nothing;
*/
int prove_memcmp(const uint8_t *a, const uint8_t *b, size_t n);
#define memcmp prove_memcmp

#include "link/cursor.h"
#include "link/eid.h"

/*@ // Only those of dtn have a name.
    predicate eid_of(struct eid *e, uint8_t *p, integer n) =
        e->scheme == EID_DTN ==> view_in(e->name.p, e->name.n, p, n);
*/

/*@ requires \valid_read(eid);
    assigns \nothing; */
bool eid_is_null(const struct eid *eid);

/*@ requires cursor_valid(c) && \valid(ret) && \separated(c, ret);
    assigns c->rc, c->fail_at, c->field, c->at, ret->scheme, ret->three,
            ret->node, ret->service, ret->name.p, ret->name.n;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> \old(c->at) < c->at && eid_of(ret, c->p, c->n); */
void eid_read(struct cursor *c, enum bundle_level level, struct eid *ret);

#endif
