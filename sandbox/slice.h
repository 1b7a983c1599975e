/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/slice: how long a payload keeps a processor once it has it, while another waits for one.
 *
 * The scheduler (EEVDF, Linux 6.12 and later) lets a task that wakes take the processor at once
 * from one with a longer slice, as long as it has had no more than its share; of equal ones the
 * running one stays until the next tick, 4 ms at 250 Hz.  So the slice follows the processor time
 * that a payload may use: who is content with little is served promptly, beside whoever burns a
 * whole core.  Nobody gains by saying less than it needs, since the group's quota holds it to that;
 * where no group has one, all keep the slice that they have.
 */
#ifndef BERTH_SANDBOX_SLICE_H
#define BERTH_SANDBOX_SLICE_H

#include <stdint.h>

#define SLICE_NS_MIN 100000U  /* what the kernel takes at least */
#define SLICE_NS_MAX 8000000U /* of two cores and more */

/* The slice of a payload with this much processor time (1000 = one core; at least 1), ns: 4 us for
 * each thousandth of a core. */
uint32_t slice_for(uint32_t cpu_permille);

/* Give it to the calling thread; what it forks inherits it, and no profile lets a payload choose
 * one (docs/threat-model.md).  Nice value and policy stay.  System calls only.  Returns 0, or -1
 * with errno; a kernel before 6.12 returns 0 and knows no slices. */
int slice_take(uint32_t ns);

#endif
