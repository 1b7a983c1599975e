/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

static uint64_t now_ms(clockid_t id)
{
    struct timespec ts;
    int got = clock_gettime(id, &ts);

    assert(got == 0);
    if (ts.tv_sec < 0)
        return 0; /* a clock before 1970 counts as not set */
    return (uint64_t)ts.tv_sec * 1000U + (uint64_t)ts.tv_nsec / 1000000U;
}

uint64_t clock_mono_ms(void)
{
    return now_ms(CLOCK_BOOTTIME);
}

uint64_t clock_unix_ms(void)
{
    return now_ms(CLOCK_REALTIME);
}
