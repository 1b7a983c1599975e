/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/apply: make new files from old ones and a delta.  The delta is hostile: it is read with
 * pread, checked while it goes, and what it asks for is bounded before anything is allocated.  The
 * old files are the caller's and do not change meanwhile.  Files come out in pieces, one after the
 * other, each with its digest; they are to be used only after the caller has found that digest in
 * an index it trusts, and after RC_OK.
 */
#ifndef BERTH_DELTA_APPLY_H
#define BERTH_DELTA_APPLY_H

#include "delta/format.h"
#include "delta/image.h"

/* Where new files go.  Anything but RC_OK ends the work with that code. */
struct apply_sink {
    void *arg;
    /* New file `number` of size bytes begins; every number below n_new comes exactly once, in the
     * order of the delta. */
    enum rc (*begin)(void *arg, uint32_t number, uint64_t size, struct err *err);
    enum rc (*data)(void *arg, struct bytes piece, struct err *err);
    enum rc (*end)(void *arg, const uint8_t sha256[32], struct err *err);
};

struct apply_spec {
    uint64_t at;               /* the delta in its descriptor */
    uint64_t size;             /* in bytes */
    uint8_t base[DIGEST_SIZE]; /* digest of the index of the tree that is there */
    struct image_source old;
    uint64_t memory_max; /* what it may take beside the mapped old files, in bytes */
    uint64_t output_max; /* what it may give, in bytes */
};

#define APPLY_MEMORY_MAX (16U * 1024U * 1024U)

/* So much larger may new files be in their opened form, all together, in bytes. */
#define APPLY_OPENED_MAX (64U * 1024U * 1024U)

/* Read and check the head only: what the delta is for and what it needs. */
must_check enum rc apply_head(int fd, const struct apply_spec *spec, struct format_head *ret,
                              struct err *err);

/* Apply the delta in fd.  RC_DELTA_BASE before anything else when it is for another base,
 * RC_DELTA_LIMIT when it declares more than it may have; RC_DELTA_* for a damaged or hostile one.
 */
must_check enum rc apply_delta(int fd, const struct apply_spec *spec, const struct apply_sink *sink,
                               struct err *err);

#endif
