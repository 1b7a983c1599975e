/* SPDX-License-Identifier: Apache-2.0
 *
 * deltamake/squeeze: make one stream of a delta as small as it gets.  The door to the encoders of
 * liblzma and libzstd; delta/stream is the other half.
 *
 * Ground only.
 */
#ifndef BERTH_DELTAMAKE_SQUEEZE_H
#define BERTH_DELTAMAKE_SQUEEZE_H

#include "delta/stream.h"

/* A compressed stream.  Owns p, spec.size bytes. */
struct squeezed {
    uint8_t *p;
    struct stream_spec spec;
};

/* Compress in with whatever makes it smallest; a decoder needs no window above dict_max.  Several
 * settings are tried on all of a small stream and on pieces of a large one.  The same input gives
 * the same output.  RC_NO_MEMORY. */
must_check enum rc squeeze(struct bytes in, uint32_t dict_max, struct squeezed *ret,
                           struct err *err);
void squeezed_done(struct squeezed *s);

#endif
