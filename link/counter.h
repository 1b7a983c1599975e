/* SPDX-License-Identifier: Apache-2.0
 *
 * link/counter: the 64-bit number that makes every sealed bundle's nonce unique and is its place in
 * the replay window.  The state file holds the end of a lease of COUNTER_LEASE numbers that is
 * written before the first of them is used: a power cut can skip numbers, never repeat one.
 * Whatever is wrong with the file, nothing is sent (RC_COUNTER).
 */
#ifndef BERTH_LINK_COUNTER_H
#define BERTH_LINK_COUNTER_H

#include "base/bytes.h"
#include "base/err.h"

#define COUNTER_LEASE 256U

struct counter {
    uint64_t next;  /* to be used next */
    uint64_t end;   /* first number that is not leased; next == end: lease first */
    uint64_t saved; /* end as the state file has it */
    uint32_t epoch;
    bool broken; /* a lease could not be written: nothing is sent until a restart */
};

/* Write a counter that starts at 1 for this key epoch.  Only for provisioning. */
must_check enum rc counter_make(int dirfd, uint32_t epoch, struct err *err);

/* Load: continues behind the last lease.  RC_COUNTER when missing, damaged or of another epoch. */
must_check enum rc counter_load(int dirfd, uint32_t epoch, struct counter *ret, struct err *err);

/* The next number, leasing more durably when needed.  RC_COUNTER, and no number, if that fails. */
must_check enum rc counter_next(struct counter *counter, int dirfd, uint64_t *ret, struct err *err);

#endif
