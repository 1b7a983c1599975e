/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/abuse.h"

void abuse_add(struct abuse *abuse, uint32_t count)
{
    abuse->untold = count > UINT32_MAX - abuse->untold ? UINT32_MAX : abuse->untold + count;
}

uint32_t abuse_due(struct abuse *abuse, uint64_t now_ms, bool ending)
{
    uint32_t due = abuse->untold;

    if (due == 0 || (abuse->told && !ending && now_ms - abuse->told_ms < ABUSE_TELL_MS))
        return 0;
    *abuse = (struct abuse){ .told = true, .told_ms = now_ms };
    return due;
}
