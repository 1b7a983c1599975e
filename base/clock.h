/* SPDX-License-Identifier: Apache-2.0
 *
 * base/clock: the two clocks.  Pure cores take time as an argument; only main loops call these.
 */
#ifndef BERTH_BASE_CLOCK_H
#define BERTH_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds since boot, suspended time included (CLOCK_BOOTTIME): for durations. */
uint64_t clock_mono_ms(void);

/* Milliseconds since 1970-01-01T00:00:00Z as the machine believes it: for documents and display,
 * never trusted. */
uint64_t clock_unix_ms(void);

#endif
