/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/filters: the filters of everything that a launcher starts, each compiled once.
 *
 * There is one for each set of grants and one for process 1 of sandboxes; all are compiled when the
 * launcher starts, before any payload, and a start compiles nothing.  A launcher runs for years,
 * and a filter with one wrong bit is a wall with a hole in it: process 1 holds those that it is
 * given against their digests before anything else is done (sandbox/child), and what differs is not
 * loaded.  Then they are compiled again here, and must come out as the first time.
 */
#ifndef BERTH_SANDBOX_FILTERS_H
#define BERTH_SANDBOX_FILTERS_H

#include "sandbox/seccomp.h"

#define FILTERS_N (PROFILE_MASKS + 1U)

struct filters {
    struct seccomp_program program[FILTERS_N];
    uint8_t digest[FILTERS_N][SUM_SIZE]; /* of each, once more: one wrong bit can be told */
    uint32_t compiled;                   /* how many times one was */
};

/* Compile all.  What seccomp_build says. */
must_check enum rc filters_make(struct filters *ret, struct err *err);

/* That of process 1 (SECCOMP_REAPER), or of payloads (SECCOMP_PAYLOAD) with such grants. */
const struct seccomp_program *filters_get(const struct filters *filters, enum seccomp_role role,
                                          uint32_t calls);

/* Compile those again that are not what they were.  RC_LAYER_MISSING: one comes out different, so
 * what it is made of is not what it was either; that one stays as it is, and is refused wherever it
 * is held against its digest. */
must_check enum rc filters_mend(struct filters *filters, struct err *err);

#endif
