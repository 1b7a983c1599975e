/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/prove/predicates.h: the words in which the proofs speak.  The loop annotations in
 * base/cbor.c use them too; a compiler takes those for comments.
 */
#ifndef BERTH_TESTS_PROVE_PREDICATES_H
#define BERTH_TESTS_PROVE_PREDICATES_H

#include "base/cbor.h"

/*@ // n bytes at p may be read, and hold something.
    predicate readable(struct bytes v) =
        v.n == 0 || \valid_read(v.p + (0 .. v.n - 1));

    // v is nothing, or lies inside of w.
    predicate inside(struct bytes v, struct bytes w) =
        v.n == 0 || (\base_addr(v.p) == \base_addr(w.p) && w.p <= v.p && v.p + v.n <= w.p + w.n);

    // Every key that an open container remembers lies before at.
    predicate behind(struct cbor_in *r, integer at) =
        \forall integer i; 0 <= i < r->depth ==>
            r->frame[i].key_at <= r->frame[i].key_end <= at;

    // The invariant of a reader: it stands inside its input and its frames point behind it.
    predicate reader(struct cbor_in *r) =
        \valid(r) && readable(r->in) && r->at <= r->in.n && r->depth <= CBOR_DEPTH_MAX &&
        behind(r, r->at);

    // From A to B the reader went forward or stayed, and stays for good after a failure.
    predicate forward{A, B}(struct cbor_in *r) =
        \at(r->in, A) == \at(r->in, B) && \at(r->at, A) <= \at(r->at, B) &&
        (\at(r->rc, A) != RC_OK ==>
            \at(r->rc, B) == \at(r->rc, A) && \at(r->at, B) == \at(r->at, A) &&
            \at(r->depth, B) == \at(r->depth, A));

    // The containers that are open at A are open at B still, and are what they were.
    predicate kept{A, B}(struct cbor_in *r) =
        \forall integer i; 0 <= i < \at(r->depth, A) ==>
            \at(r->frame[i].map, A) == \at(r->frame[i].map, B);

    // How many bytes the shortest head for an argument takes (RFC 8949 section 4.2.1).
    logic integer head_size(integer v) =
        v < 24 ? 1 : v < 256 ? 2 : v < 65536 ? 3 : v < 4294967296 ? 5 : 9;
*/

#endif
