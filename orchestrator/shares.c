/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/shares.h"

#include <stdio.h>
#include <string.h>

uint32_t shares_of(struct shares *s, const struct fleet *fleet, const char *id)
{
    struct schedule_tenant tenant = { .weight = 1 };

    for (uint32_t i = 0; i < s->n; i++)
        if (strcmp(s->id[i], id) == 0)
            return i;
    if (s->n == SHARES_MAX || id[0] == '\0')
        return SCHEDULE_OPERATOR;
    for (uint32_t i = 0; i < fleet->n_tenants; i++)
        if (strcmp(fleet->tenant[i].id, id) == 0)
            tenant = (struct schedule_tenant){ .weight = fleet->tenant[i].share,
                                               .daily_bytes = fleet->tenant[i].uplink_bytes };
    (void)snprintf(s->id[s->n], NAME_CAP, "%s", id);
    s->tenant[s->n] = tenant;
    return s->n++;
}
