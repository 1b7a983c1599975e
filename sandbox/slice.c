/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/slice.h"

#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NS_PER_PERMILLE 4000U

uint32_t slice_for(uint32_t cpu_permille)
{
    if (cpu_permille >= SLICE_NS_MAX / NS_PER_PERMILLE)
        return SLICE_NS_MAX;
    if (cpu_permille <= SLICE_NS_MIN / NS_PER_PERMILLE)
        return SLICE_NS_MIN;
    return cpu_permille * NS_PER_PERMILLE;
}

int slice_take(uint32_t ns)
{
    struct sched_attr attr = { 0 };

    if (syscall(SYS_sched_getattr, 0, &attr, (unsigned int)sizeof attr, 0U) != 0)
        return -1;
    attr.size = sizeof attr;
    attr.sched_runtime = ns;
    return (int)syscall(SYS_sched_setattr, 0, &attr, 0U);
}
