/* SPDX-License-Identifier: Apache-2.0
 *
 * delta/inflate: what a deflate stream (RFC 1951) says.  Pure; the stream is hostile and read
 * strictly: codes that are not complete are refused, but for the one code that RFC 1951 allows to
 * be.
 */
#ifndef BERTH_DELTA_INFLATE_H
#define BERTH_DELTA_INFLATE_H

#include "base/bytes.h"

/* Decode all of in into out.  True if exactly n bytes come out and the stream ends with in's last
 * byte. */
bool inflate_whole(struct bytes in, uint8_t *out, size_t n);

#endif
