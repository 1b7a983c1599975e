/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/format: the head of a delta (docs/wire/delta.md).  "BERTHDL1", the length of the head as
 * two bytes, the head in CBOR, and behind it the streams of each group in order, to the end.  The
 * head is hostile: it is decoded strictly and its numbers agree with each other and with the
 * delta's size.
 */
#ifndef BERTH_DELTA_FORMAT_H
#define BERTH_DELTA_FORMAT_H

#include "base/limits.h"
#include "delta/stream.h"

#define FORMAT_MAGIC "BERTHDL1"
#define FORMAT_HEAD_MAX 4096U
#define FORMAT_GROUPS_MAX 16U
#define FORMAT_NEW_MAX (PACKAGE_FILES_MAX + 1U)

enum format_stream { FORMAT_CONTROL, FORMAT_DIFF, FORMAT_EXTRA, FORMAT_STREAMS };

/* New files that are like each other, compressed apart from the rest with what suits them best. */
struct format_group {
    uint32_t files; /* how many new files */
    struct stream_spec streams[FORMAT_STREAMS];
};

struct format_head {
    uint8_t base[DIGEST_SIZE];   /* digest of the old tree's index */
    uint8_t result[DIGEST_SIZE]; /* digest of the new tree's index */
    uint32_t n_old;
    uint64_t old_bytes; /* all old files together */
    uint32_t n_new;
    uint64_t new_bytes; /* all new files of this delta together */
    uint64_t memory;    /* what applying takes at most beside the mapped old files, in bytes */
    uint32_t n_groups;
    struct format_group groups[FORMAT_GROUPS_MAX];
};

/* Decode the head of a delta of size bytes, of which have is the beginning (FORMAT_HEAD_MAX bytes,
 * or all of a smaller one); *ret_at is where the streams begin.  RC_DELTA_FORMAT, or a code of
 * base/cbor. */
must_check enum rc format_decode(struct bytes have, uint64_t size, struct format_head *ret,
                                 uint64_t *ret_at, struct err *err);

/* Encode it: *ret_n bytes at buf, of FORMAT_HEAD_MAX. */
must_check enum rc format_encode(const struct format_head *head, uint8_t buf[FORMAT_HEAD_MAX],
                                 size_t *ret_n, struct err *err);

/* Bytes of all new files together, packed ones in their opened form. */
uint64_t format_opened(const struct format_head *head);

/* What applying takes beside predict_used and what groups open: decoders, image, buffers.  memory
 * is at least the sum. */
uint64_t format_cost(const struct format_head *head);

#endif
