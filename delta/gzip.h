/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/gzip: gzip files (RFC 1952) of one member, opened and made again.  Opened, a file is its
 * header followed by its content: that changes little from one version to the next where the
 * compressed bytes change from the first difference on.
 */
#ifndef BERTH_DELTA_GZIP_H
#define BERTH_DELTA_GZIP_H

#include "delta/deflate.h"

#define GZIP_HEAD_MAX 4096U

/* Size of the opened form as the file tells it, in bytes; *ret_head of them are the header.  False
 * when it is no gzip file. */
bool gzip_size(struct bytes file, uint64_t *ret, uint32_t *ret_head);

/* Open it into out, which has room for gzip_size bytes.  False when the file is damaged. */
bool gzip_open(struct bytes file, uint8_t *out);

/* How a file is made of its opened form. */
struct gzip_how {
    enum deflate_style style;
    unsigned level;
    uint32_t head; /* size of the header, at most GZIP_HEAD_MAX */
};

struct gzip;

/* Memory of one that is being made, in bytes: part of the format. */
#define GZIP_COST (DEFLATE_COST + 4096U)

/* Begin to make a file; its bytes go to sink, and what it costs is taken from work.  RC_NO_MEMORY.
 */
must_check enum rc gzip_new(const struct gzip_how *how, struct deflate_work *work,
                            const struct block_sink *sink, struct gzip **ret, struct err *err);
void gzip_free(struct gzip **g); /* takes the address, a scope cleaner */

/* More of the opened form; then, that was all.  Codes as those of deflate_add. */
must_check enum rc gzip_add(struct gzip *g, struct bytes piece, struct err *err);
must_check enum rc gzip_end(struct gzip *g, struct err *err);

#endif
