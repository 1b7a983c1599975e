/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/stream: one compressed stream of a delta as a run of plain bytes.  The one door to
 * liblzma on board.  The bytes are hostile: exactly the
 * declared number comes out, exactly the declared number goes in, and memory is what stream_cost
 * says at most.
 */
#ifndef BERTH_DELTA_STREAM_H
#define BERTH_DELTA_STREAM_H

#include "base/bytes.h"
#include "base/err.h"

enum stream_codec {
    STREAM_STORED = 0,
    STREAM_ZSTD = 1,  /* one frame (RFC 8878) */
    STREAM_LZMA2 = 2, /* raw chunks with their end mark, without the .xz container */
    STREAM_RUNS = 3,  /* the same, of the records of delta/runs */
};

#define STREAM_CODECS 4U
#define STREAM_DICT_MIN 4096U
#define STREAM_DICT_MAX (64U * 1024U * 1024U)

struct stream_spec {
    enum stream_codec codec;
    uint32_t dict; /* zstd: largest window, LZMA2: dictionary; in bytes, 0 when stored */
    uint64_t size; /* in the delta, in bytes */
    uint64_t raw;  /* what comes out, in bytes */
};

struct stream;

/* Memory of a stream while it is open, in bytes. */
uint64_t stream_cost(const struct stream_spec *spec);

/* Read the stream at offset at of fd (pread only; fd stays the caller's). */
must_check enum rc stream_new(int fd, uint64_t at, const struct stream_spec *spec,
                              struct stream **ret, struct err *err);
void stream_free(struct stream **s); /* takes the address, a scope cleaner */

/* The next n bytes.  RC_DELTA_STREAM when it is damaged or ends early, RC_DELTA_BOMB when more is
 * asked for than it declares. */
must_check enum rc stream_read(struct stream *s, uint8_t *buf, size_t n, struct err *err);

/* One unsigned LEB128 number in its shortest form, at most max (RC_DELTA_RANGE; RC_DELTA_STREAM
 * when it is no number). */
must_check enum rc stream_number(struct stream *s, uint64_t max, uint64_t *ret, struct err *err);

/* Bytes that are still to come. */
uint64_t stream_left(const struct stream *s);

/* Everything has been read: the stream is whole and nothing is left on either side.
 * RC_DELTA_TRAILING. */
must_check enum rc stream_end(struct stream *s, struct err *err);

#endif
