/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/control: the control stream: which old files a group opens, and for each of its new files,
 * which it is, how large, and its matches (docs/wire/delta.md).  What control_read returns has been
 * checked against the old image: matches lie in order within the new file and each within one old
 * file.
 */
#ifndef BERTH_DELTA_CONTROL_H
#define BERTH_DELTA_CONTROL_H

#include "delta/gzip.h"
#include "delta/predict.h"
#include "delta/stream.h"

/* What one file's control is told relative to; all zero at the start of a delta. */
struct control_state {
    uint32_t number; /* the one expected next */
    uint64_t from;   /* where the last match ended in the image, in bytes */
};

struct control_file {
    uint32_t number; /* of the new file */
    struct predict_plan plan;
    uint32_t packed_size;   /* in bytes; 0 = the file is what the plan makes */
    struct gzip_how packed; /* else, how it is made of that */
};

/* What a group begins with. */
struct control_group {
    uint32_t n_opened;
    bool packs; /* some of its new files are packed */
};

/* Most bytes that control_put_group writes. */
size_t control_group_bound(uint32_t n_opened);

/* Append a group's beginning at out: the old files that it opens, in their order; returns how many
 * bytes.  The maker's half. */
size_t control_put_group(const struct control_group *group, const uint32_t *opened, uint8_t *out);

/* Read it, and then each of the n_opened old files; *last is 0 before the first. */
must_check enum rc control_read_group(struct stream *in, struct control_group *ret,
                                      struct err *err);
must_check enum rc control_read_opened(struct stream *in, uint32_t n_old, uint32_t *last,
                                       struct err *err);

/* Most bytes that control_put writes for a file of n matches. */
size_t control_bound(uint32_t n);

/* Append one file's control at out; returns how many bytes.  The maker's half. */
size_t control_put(struct control_state *state, const struct control_file *file, uint8_t *out);

/* Read the next file's control.  memory: what its matches may take, in bytes (RC_DELTA_MEMORY). The
 * caller frees ret->plan.matches with free_ptr.  RC_DELTA_RANGE for any number that leads outside.
 */
must_check enum rc control_read(struct stream *in, struct control_state *state,
                                const struct image *image, uint64_t memory,
                                struct control_file *ret, struct err *err);

#endif
