/* SPDX-License-Identifier: Apache-2.0
 *
 * link/logs_pack: the door to zstd for chunks of logs.  What is unpacked is hostile: its size is
 * known before, and nothing beyond it is written.
 */
#ifndef BERTH_LINK_LOGS_PACK_H
#define BERTH_LINK_LOGS_PACK_H

#include "base/bytes.h"
#include "base/err.h"

/* Pack into buf; *ret is empty if it does not become smaller, or does not fit.  RC_NO_MEMORY. */
must_check enum rc logs_pack(struct bytes plain, uint8_t *buf, size_t cap, struct bytes *ret,
                             struct err *err);

/* Unpack one frame that becomes exactly n bytes.  RC_MAIL_FORMAT. */
must_check enum rc logs_unpack(struct bytes packed, uint8_t *buf, size_t n, struct err *err);

#endif
