/* SPDX-License-Identifier: Apache-2.0
 *
 * base/sum: SHA-256 (FIPS 180-4) without any library, for what must be read before one can be
 * relied on: state files, and so the record from which the start-up program chooses the agent.
 * Portable and slow; whoever hashes packages uses base/crypto.
 */
#ifndef BERTH_BASE_SUM_H
#define BERTH_BASE_SUM_H

#include "base/bytes.h"

#define SUM_SIZE 32U

/* SHA-256 of one buffer.  Cannot fail. */
void sum_of(struct bytes data, uint8_t ret[SUM_SIZE]);

#endif
