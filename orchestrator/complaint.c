/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/complaint.h"

#include <string.h>

static bool is_same(const struct err *a, const struct err *b)
{
    return a->rc == b->rc && a->sys == b->sys && strcmp(a->what, b->what) == 0;
}

bool complaint_due(struct complaint *c, const struct err *why, uint64_t mono_ms)
{
    const bool known = c->said.rc != RC_OK && is_same(&c->said, why);

    c->times++;
    if (known && mono_ms - c->said_ms < COMPLAINT_AGAIN_MS)
        return false;
    c->said = *why;
    c->said_ms = mono_ms;
    return true;
}

bool complaint_over(struct complaint *c)
{
    const bool had = c->said.rc != RC_OK;

    *c = (struct complaint){ 0 };
    return had;
}
