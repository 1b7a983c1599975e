/* SPDX-License-Identifier: Apache-2.0
 *
 * base/base64: RFC 4648 section 4 with padding, in one form only: no line ends, no other alphabet,
 * the bits that are left over zero, so that bytes and text stand for each other.  Input is hostile.
 */
#ifndef BERTH_BASE_BASE64_H
#define BERTH_BASE_BASE64_H

#include "base/bytes.h"
#include "base/err.h"

/* Characters of n bytes, without a terminator. */
#define BASE64_LEN(n) (((size_t)(n) + 2U) / 3U * 4U)
/* Room that is enough for what n characters stand for. */
#define BASE64_ROOM(n) ((size_t)(n) / 4U * 3U)

/* Write the text and a NUL to out, which has BASE64_LEN(in.n) + 1 bytes. */
void base64_encode(struct bytes in, char *out);

/* The bytes of a text into out, which has cap bytes; *ret_n of them.  RC_VALUE: not base64;
 * RC_TOO_LARGE: more than cap. */
must_check enum rc base64_decode(struct bytes text, uint8_t *out, size_t cap, size_t *ret_n,
                                 struct err *err);

#endif
