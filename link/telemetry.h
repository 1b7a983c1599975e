/* SPDX-License-Identifier: Apache-2.0
 *
 * link/telemetry: what a payload has put on its bus, in batches, as the content of mail of the
 * direction MAIL_TELEMETRY (docs/wire/transfer.cddl).  What comes out of decoding is well-formed;
 * keys and values are a payload's, and hostile.
 */
#ifndef BERTH_LINK_TELEMETRY_H
#define BERTH_LINK_TELEMETRY_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

#define TELEMETRY_VALUE_MAX 128U
#define TELEMETRY_BATCH_MAX 64U /* samples */
#define TELEMETRY_BYTES_MAX (64U + TELEMETRY_BATCH_MAX * (16U + NAME_CAP + TELEMETRY_VALUE_MAX))

struct telemetry_sample {
    uint64_t time_ms; /* Unix time at which it was put, by the satellite's clock */
    char key[NAME_CAP];
    uint8_t n; /* 1..TELEMETRY_VALUE_MAX */
    uint8_t value[TELEMETRY_VALUE_MAX];
};

/* Samples of one start of a payload, one after the other; large. */
struct telemetry_batch {
    uint64_t instance; /* rises with every start on a satellite; never 0 */
    uint64_t first; /* number of the first sample, from 1; what is missing before it was dropped */
    uint32_t n;     /* 1..TELEMETRY_BATCH_MAX */
    struct telemetry_sample sample[TELEMETRY_BATCH_MAX];
};

/* buf has TELEMETRY_BYTES_MAX bytes. */
must_check enum rc telemetry_encode(const struct telemetry_batch *batch, uint8_t *buf,
                                    struct bytes *ret, struct err *err);

/* Decode all of it.  RC_MAIL_FORMAT or a CBOR code; *ret is then untouched, but for the samples. */
must_check enum rc telemetry_decode(struct bytes in, struct telemetry_batch *ret, struct err *err);

#endif
