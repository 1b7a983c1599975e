/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/runs: bytes of which most are zero, as (zeros, length, bytes) records: two LEB128 numbers
 * in their shortest form and length other bytes.  Only the first record may have no zeros and only
 * the last one no bytes, so every record but the last gives more than it is long in numbers.  The
 * input is hostile; the caller bounds the output.
 */
#ifndef BERTH_DELTA_RUNS_H
#define BERTH_DELTA_RUNS_H

#include "base/bytes.h"
#include "base/err.h"

/* Where a reader is.  All zero at the beginning. */
struct runs {
    enum { RUNS_ZEROS, RUNS_LENGTH, RUNS_BYTES, RUNS_OVER } part;
    bool begun;     /* a record has been read */
    unsigned shift; /* bits of the number that have been read */
    uint64_t number;
    uint64_t zeros;  /* still to be given */
    uint64_t length; /* the same, behind the zeros */
};

/* Between two records, with nothing more to give. */
bool runs_idle(const struct runs *r);

/* Read from *in, which is moved on, and give at most cap bytes at out; *ret_n is how many.  Stops
 * when either is used up.  RC_DELTA_STREAM for a record that is not as above. */
must_check enum rc runs_read(struct runs *r, struct bytes *in, uint8_t *out, size_t cap,
                             size_t *ret_n, struct err *err);

/* The maker's half: the records of in, at out, which has room for runs_bound(in.n); returns their
 * size in bytes. */
size_t runs_bound(size_t n);
size_t runs_write(struct bytes in, uint8_t *out);

#endif
