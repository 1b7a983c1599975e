/* SPDX-License-Identifier: Apache-2.0
 *
 * link/crc: the two checksums of BPv7 (RFC 9171 section 4.2.1).  They find damage, never intent:
 * nothing is trusted because its CRC matches.
 */
#ifndef BERTH_LINK_CRC_H
#define BERTH_LINK_CRC_H

#include "base/bytes.h"

/* Both are streaming: start with 0, feed the result of one piece into the next. */

/* CRC-16/X-25 (CRC type 1): reflected 0x1021, init and final xor 0xffff; "123456789" is 0x906e. */
uint16_t crc16_x25(uint16_t crc, struct bytes data);

/* CRC-32C, Castagnoli (CRC type 2): "123456789" is 0xe3069283.  Uses the CPU's instruction where
 * there is one. */
uint32_t crc32c(uint32_t crc, struct bytes data);

/* Four zero bytes more: where a block's own CRC counts as zero. */
uint32_t crc32c_zero4(uint32_t crc);

/* The same by table alone: what crc32c falls back to, and what tests compare it with. */
uint32_t crc32c_table(uint32_t crc, struct bytes data);

/* Whether crc32c uses a CPU instruction on this machine. */
bool crc32c_in_hardware(void);

#endif
