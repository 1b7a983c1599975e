/* SPDX-License-Identifier: Apache-2.0 */
#include "link/cl_pace.h"

bool cl_pace_take(struct cl_pace *pace, uint32_t n, uint64_t now_ms, uint64_t *ret_wait_ms)
{
    uint64_t need = (uint64_t)n * 1000U;
    uint64_t most = pace->rate * CL_PACE_BURST_MS;
    uint64_t passed = now_ms > pace->filled_ms ? now_ms - pace->filled_ms : 0;

    *ret_wait_ms = 0;
    if (pace->rate == 0)
        return true;
    if (most < need)
        most = need; /* one that is larger than a burst goes when it has been saved up for */
    pace->filled_ms = now_ms;
    /* Compared before it is multiplied: after a long rest the product might not fit. */
    if (passed > most / pace->rate || pace->credit + passed * pace->rate > most)
        pace->credit = most;
    else
        pace->credit += passed * pace->rate;
    if (pace->credit < need) {
        *ret_wait_ms = (need - pace->credit + pace->rate - 1) / pace->rate;
        return false;
    }
    pace->credit -= need;
    return true;
}
