/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/deflate: a deflate stream (RFC 1951) of some content, bit by bit the one that a usual
 * compressor makes of it: gzip, or zlib when it is given everything at once.  What it does is part
 * of the format of deltas and depends on nothing but its input.
 *
 * The search is the well-known one: chains of places with the same three bytes, and a match is put
 * off by one byte when the next place has a longer one.
 */
#ifndef BERTH_DELTA_DEFLATE_H
#define BERTH_DELTA_DEFLATE_H

#include "delta/block.h"

enum deflate_style {
    DEFLATE_GZIP, /* gzip 1.3 and later */
    DEFLATE_ZLIB, /* zlib with its usual memory (memLevel 8) */
    DEFLATE_STYLES,
};

#define DEFLATE_LEVEL_MIN 4U /* below, they search in another way */
#define DEFLATE_LEVEL_MAX 9U

/* Memory of one, in bytes: part of the format. */
#define DEFLATE_COST (384U * 1024U)

/* How much work the search may be.  All streams of one delta share one of these: so many places may
 * be looked at in all, and so many more for each byte of content so far, whatever number of streams
 * it is cut into. */
#define DEFLATE_STEPS 64
#define DEFLATE_STEPS_FREE (1 << 22)

struct deflate_work {
    int64_t left;  /* places that may still be looked at; 0 or below: none */
    int64_t least; /* the least that was left at any time */
};
#define DEFLATE_WORK_NEW                                                                           \
    {                                                                                              \
        .left = DEFLATE_STEPS_FREE, .least = DEFLATE_STEPS_FREE                                    \
    }

struct deflate_spec {
    enum deflate_style style;
    unsigned level;
    struct deflate_work *work; /* the caller's, outlives the stream */
    struct block_sink sink;
};

struct deflate;

/* RC_NO_MEMORY. */
must_check enum rc deflate_new(const struct deflate_spec *spec, struct deflate **ret,
                               struct err *err);
void deflate_free(struct deflate **d); /* takes the address, a scope cleaner */

/* More content.  RC_DELTA_WORK when the work is used up: it is made to be slow.  Or the sink's
 * code. */
must_check enum rc deflate_add(struct deflate *d, struct bytes content, struct err *err);

/* That was all. */
must_check enum rc deflate_end(struct deflate *d, struct err *err);

#endif
