/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sdls: Space Data Link Security (CCSDS 355.0-B) on transfer frames, receiving side:
 * AES-256-GCM as authentication with encryption, or without.
 *
 * There is no service that only encrypts: a frame that is not authenticated is not opened.  Sizes
 * of the security header's fields are managed, never taken from the frame.  Plaintext never stays
 * in a buffer that did not verify.
 */
#ifndef BERTH_LINK_SDLS_H
#define BERTH_LINK_SDLS_H

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/err.h"

#define SDLS_KEY_SIZE 32U
#define SDLS_SEQUENCE_MAX 8U
#define SDLS_HEAD_MAX (2U + GCM_IV_SIZE + SDLS_SEQUENCE_MAX + 2U) /* bytes of a security header */
#define SDLS_MASKED_MAX (96U + SDLS_HEAD_MAX) /* frame headers and security header */

enum sdls_service { SDLS_AUTHENTICATE = 1, SDLS_ENCRYPT = 2 /* and authenticate */ };

/* A security association, as both sides have agreed on it.  key is secret. */
struct sdls_association {
    uint16_t spi; /* its number, 1 to 65534 */
    enum sdls_service service;
    uint8_t sequence_size; /* bytes of the sequence number field, 0 to SDLS_SEQUENCE_MAX; with 0 the
                              IV's last 8 bytes count */
    uint8_t pad_size;      /* bytes of the pad length field, 0 to 2 */
    struct bytes mask;     /* authentication bit mask over frame headers and security header; empty
                              = all of it is authenticated */
    uint8_t key[SDLS_KEY_SIZE];
};

/* An authentic frame's data; made by sdls_open only. */
struct sdls_opened {
    struct bytes data; /* a view of buf, padding cut off */
    uint64_t counter;  /* what replay protection counts (link/replay) */
};

/* Bytes of the security header of an association. */
size_t sdls_head_size(const struct sdls_association *association);

/* Open the data of a frame in place.  head and data are views of buf as tc_decode or tm_decode gave
 * them.  RC_SHORT: no room for security header and MAC; RC_FRAME_KEY: another association's number;
 * RC_VALUE: the association itself is not possible, or its mask has another length than what it
 * covers; RC_FRAME_AUTH: the data is wiped then, or was not touched; RC_FRAME: padding longer than
 * the data. */
must_check enum rc sdls_open(uint8_t *buf, struct bytes head, struct bytes data,
                             const struct sdls_association *association, struct sdls_opened *ret,
                             struct err *err);

#endif
