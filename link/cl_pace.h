/* SPDX-License-Identifier: Apache-2.0
 *
 * link/cl_pace: how much may be sent now, so that a rate is kept.  Pure: time is an argument.
 */
#ifndef BERTH_LINK_CL_PACE_H
#define BERTH_LINK_CL_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define CL_PACE_BURST_MS 20U /* what was not sent in time is made up for so long at most */

struct cl_pace {
    uint64_t rate;      /* bytes in a second, at most 10^9; 0 = no limit */
    uint64_t credit;    /* private: what may go now, in thousandths of a byte */
    uint64_t filled_ms; /* private: when credit was counted */
};

/* Whether n bytes may go now; then they count as gone.  Else *ret_wait_ms is when to ask again. */
bool cl_pace_take(struct cl_pace *pace, uint32_t n, uint64_t now_ms, uint64_t *ret_wait_ms);

#endif
