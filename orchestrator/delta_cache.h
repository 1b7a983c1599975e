/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/delta_cache: deltas between packages of the home: made once for each pair of
 * versions, shared by all satellites, lying in objects/ beside the packages.
 *
 * One program makes deltas at a time, under a lock that ends with it.  Killed at any point, the
 * next one finds either the delta whole and in the store, or nothing of it that anybody looks at.
 * The cache is bounded: those that were used longest ago give way, unless a satellite waits for
 * them.  What a delta is made from are packages that `berth push` let in: a tenant's, and hostile.
 */
#ifndef BERTH_ORCHESTRATOR_DELTA_CACHE_H
#define BERTH_ORCHESTRATOR_DELTA_CACHE_H

#include "deltamake/make.h"
#include "orchestrator/home.h"
#include "orchestrator/view.h"

#define DELTA_CACHE_MAX (1024ULL * 1024U * 1024U) /* bytes of all deltas together */

/* The right to make deltas.  delta_cache_close gives it up. */
struct delta_cache {
    const struct home *home;
    int dirfd;   /* deltas/ of the home */
    int lock_fd; /* held for as long as it is open */
    int program; /* berth-unpack */
    bool retry;  /* make again what has failed; the caller sets it */
};
#define DELTA_CACHE_NONE                                                                           \
    {                                                                                              \
        .dirfd = -1, .lock_fd = -1, .program = -1                                                  \
    }

/* RC_BUSY: another program is making deltas.  program_fd, berth-unpack, stays the caller's. */
must_check enum rc delta_cache_open(const struct home *home, int program_fd,
                                    struct delta_cache *ret, struct err *err);
void delta_cache_close(struct delta_cache *cache); /* scope cleaner */

/* A pair of versions of one payload, both with a package in the home. */
struct delta_pair {
    const struct store_package *base;
    const struct store_package *to;
};

/* Make the delta, or find that the full package is the better choice, and put that into the store.
 * What is there already is RC_OK without any work.  *ret may be DELTA_READY or DELTA_NO_GAIN.  Any
 * failure leaves the deltas as they were: then the full package goes.  One of the maker itself is
 * remembered: the next call ends with its code at once, until cache->retry is set or the engine is
 * a later one.  Not inside a transaction. */
must_check enum rc delta_cache_make(struct delta_cache *cache, const struct delta_pair *pair,
                                    const struct make_progress *progress, uint64_t now_ms,
                                    struct store_delta *ret, struct err *err);

/* Let the oldest go until no more than max bytes are left, or only such that are queued. */
must_check enum rc delta_cache_trim(struct delta_cache *cache, uint64_t max, struct err *err);

/* Which delta is being made now, by any program.  Nothing, if that cannot be told. */
void delta_cache_making(const struct home *home, struct view_making *ret);

#endif
