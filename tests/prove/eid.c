/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/eid.c: contracts of what link/eid.c keeps to itself, and link/eid.c.
 */
#include "tests/prove/bundle.h"

/*@ requires cursor_valid(c) && \valid(ret) && \separated(c, ret);
    assigns c->rc, c->fail_at, c->field, c->at, ret->node;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c); */
static void read_ipn_node(struct cursor *c, size_t start, struct eid *ret);

/*@ requires cursor_valid(c) && \valid(ret) && \separated(c, ret);
    assigns c->rc, c->fail_at, c->field, c->at, ret->scheme, ret->three,
            ret->node, ret->service, ret->name.p, ret->name.n;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures ret->scheme == EID_IPN;
    ensures c->rc == RC_OK ==> \old(c->at) < c->at; */
static void read_ipn(struct cursor *c, enum bundle_level level, struct eid *ret);

/*@ requires name.n == 0 || \valid_read(name.p + (0 .. name.n - 1));
    assigns \nothing;
    ensures \result ==> 0 < name.n <= EID_DTN_MAX; */
static bool dtn_name_valid(struct bytes name, enum bundle_level level);

/*@ requires cursor_valid(c) && \valid(ret) && \separated(c, ret);
    assigns c->rc, c->fail_at, c->field, c->at, ret->scheme, ret->three,
            ret->node, ret->service, ret->name.p, ret->name.n;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures c->rc == RC_OK ==> \old(c->at) < c->at && eid_of(ret, c->p, c->n); */
static void read_dtn(struct cursor *c, enum bundle_level level, struct eid *ret);

/*@ requires cursor_valid(c) && \valid(ret) && \separated(c, ret);
    assigns c->rc, c->fail_at, c->field, c->at, ret->scheme, ret->three,
            ret->node, ret->service, ret->name.p, ret->name.n;
    ensures cursor_valid(c);
    ensures cursor_on{Pre, Here}(c);
    ensures ret->scheme == EID_IPN;
    ensures c->rc == RC_OK ==> \old(c->at) < c->at; */
static void read_ipn_pair(struct cursor *c, enum bundle_level level, struct eid *ret);

#include "link/eid.c"
