/* SPDX-License-Identifier: Apache-2.0
 *
 * link/counter: the 64-bit number that makes every sealed bundle's nonce unique and is its place in
 * the replay window.  The state file holds the end of a lease of COUNTER_LEASE numbers that is
 * written before the first of them is used: a power cut can skip numbers, never repeat one.  Each
 * link key has a counter of its own (state file counter-KEY, the key's number in hex).
 * Whatever is wrong with the file, nothing is sent (RC_COUNTER).
 *
 * Files can come back older than they were: from a backup, or as a copy of a disk.  No file can
 * tell that by itself, so nothing hangs on it: beside each counter goes a salt of 56 random bits,
 * drawn anew at every start and with every lease and never written down, and a nonce is both
 * (link/seal).  A counter that comes for the second time makes no nonce that came before, but for a
 * chance of 2^-56 each time.  And a file that was not written in the directory in which it is found
 * was brought back: then the counter goes ahead by COUNTER_RESTORED_MIN or more, because the other
 * end refuses numbers that it has seen, and accepts a jump (link/replay).  One that was put over
 * the newer one in the same directory looks like any other; only the other end can tell
 * (counter_pass).
 */
#ifndef BERTH_LINK_COUNTER_H
#define BERTH_LINK_COUNTER_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/statefile.h"

#define COUNTER_LEASE 256U
#define COUNTER_PREFIX "counter-"
#define COUNTER_MAX ((UINT64_C(1) << 40) - 1) /* then the key is used up */
#define COUNTER_RESTORED_MIN (UINT64_C(1) << 18)
#define COUNTER_RESTORED_MAX (UINT64_C(3) << 18)
#define COUNTER_BEHIND_MAX (UINT64_C(1) << 24) /* what is believed of the other end */

struct counter {
    uint64_t next;  /* to be used next */
    uint64_t end;   /* first number that is not leased; next == end: lease first */
    uint64_t saved; /* end as the state file has it */
    uint64_t key;   /* number of the key it is for */
    uint64_t salt;  /* 56 random bits for the nonce of the number that was given last */
    uint64_t place; /* which directory this is */
    uint64_t lease; /* numbers at once; 0 = COUNTER_LEASE, more is not allowed.  1 for who starts
                       for each: a start gives up what is left of a lease */
    bool restored;  /* the file was brought here from elsewhere */
    bool unsure;    /* a lease failed, and one copy of the file may have it and the other not */
    bool broken;    /* the file cannot be used: nothing is sent until a restart */
};

/* Write a counter that starts at 1 for this key.  Only for a key under which nothing was sent. */
must_check enum rc counter_make(int dirfd, uint64_t key, struct err *err);

/* Load: continues behind the last lease, or further on if the file was brought here.  RC_COUNTER
 * when missing, damaged or of another key. */
must_check enum rc counter_load(int dirfd, uint64_t key, struct counter *ret, struct err *err);

/* The next number, leasing more durably when needed.  RC_COUNTER, and no number, if that fails; a
 * full disk or a failed write is tried again by the next call. */
must_check enum rc counter_next(struct counter *counter, int dirfd, uint64_t *ret, struct err *err);

/* Use what was left of the lease of a counter that was closed in this process, instead of a new
 * one. Only if nobody has leased from the same file since; false: it stays as it was. */
bool counter_go_on(struct counter *counter, const struct counter *left);

/* The other end says that it has seen this number: if the counter is not beyond it, an older file
 * was put in the place of the newer one, and the counter goes ahead as behind a file that was
 * brought here. Durable with the next lease.  False: nothing to do, or it would be
 * COUNTER_BEHIND_MAX or more, which is not believed: numbers are finite, and the other end may be
 * in wrong hands.  Call it for one such claim in the life of a counter. */
bool counter_pass(struct counter *counter, uint64_t seen);

/* The sequence number of a bundle, which with the source makes its id (RFC 9171 section 4.3.1):
 * counters begin anew with each key, ids must not.  Above 40 bits of counter the epoch, or bits of
 * tenant and epoch. */
uint64_t counter_sequence(uint64_t key, uint64_t counter);

/* Read the file again, and write it anew from memory if a copy is damaged (base/statefile).  One
 * that could not be loaded stays as it is. */
must_check enum rc counter_scrub(const struct counter *counter, int dirfd, struct scrubbed *count,
                                 struct err *err);

#endif
