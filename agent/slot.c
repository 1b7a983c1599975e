/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/slot.h"

#include <assert.h>

struct cell {
    bool filled; /* an all-zero cell is refused */
    enum slot_state to;
};

#define TO(state)                                                                                  \
    {                                                                                              \
        .filled = true, .to = (state)                                                              \
    }

/* clang-format off */
static const struct cell moves[SLOT_STATES][SLOT_EVENTS] = {
    [SLOT_ABSENT] = {
        [SLOT_EV_ORDER]      = TO(SLOT_RECEIVING),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
    },
    [SLOT_RECEIVING] = {
        [SLOT_EV_REVOKE]     = TO(SLOT_FAILED),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
        [SLOT_EV_STAGE]      = TO(SLOT_STAGED),
        [SLOT_EV_FIND]       = TO(SLOT_INSTALLED),
        [SLOT_EV_REFUSE]     = TO(SLOT_REFUSED),
        [SLOT_EV_LOSE]       = TO(SLOT_RECEIVING),
    },
    [SLOT_STAGED] = {
        [SLOT_EV_REVOKE]     = TO(SLOT_FAILED),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
        [SLOT_EV_VERIFY]     = TO(SLOT_VERIFIED),
        [SLOT_EV_REFUSE]     = TO(SLOT_REFUSED),
        [SLOT_EV_LOSE]       = TO(SLOT_RECEIVING),
    },
    [SLOT_VERIFIED] = {
        [SLOT_EV_REVOKE]     = TO(SLOT_FAILED),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
        [SLOT_EV_INSTALL]    = TO(SLOT_INSTALLED),
        [SLOT_EV_REFUSE]     = TO(SLOT_REFUSED),
        [SLOT_EV_LOSE]       = TO(SLOT_RECEIVING),
    },
    [SLOT_INSTALLED] = {
        [SLOT_EV_REVOKE]     = TO(SLOT_FAILED),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
        [SLOT_EV_KNOWN]      = TO(SLOT_COMMITTED),
        [SLOT_EV_START]      = TO(SLOT_TRIAL),
        [SLOT_EV_REFUSE]     = TO(SLOT_REFUSED),
        [SLOT_EV_LOSE]       = TO(SLOT_RECEIVING),
    },
    [SLOT_TRIAL] = {
        [SLOT_EV_REVOKE]     = TO(SLOT_FAILED),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
        [SLOT_EV_START]      = TO(SLOT_TRIAL),
        [SLOT_EV_COMMIT]     = TO(SLOT_COMMITTED),
        [SLOT_EV_REFUSE]     = TO(SLOT_REFUSED),
        [SLOT_EV_FAIL]       = TO(SLOT_FAILED),
        [SLOT_EV_ROLLBACK]   = TO(SLOT_ROLLED_BACK),
        [SLOT_EV_LOSE]       = TO(SLOT_RECEIVING),
    },
    [SLOT_COMMITTED] = {
        [SLOT_EV_REVOKE]     = TO(SLOT_FAILED),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
        [SLOT_EV_ROLLBACK]   = TO(SLOT_ROLLED_BACK),
        [SLOT_EV_LOSE]       = TO(SLOT_RECEIVING),
    },
    [SLOT_REFUSED] = {
        [SLOT_EV_REVOKE]     = TO(SLOT_FAILED),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
        [SLOT_EV_RECONSIDER] = TO(SLOT_RECEIVING),
    },
    [SLOT_FAILED] = {
        [SLOT_EV_REVOKE]     = TO(SLOT_FAILED),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
    },
    [SLOT_ROLLED_BACK] = {
        [SLOT_EV_REVOKE]     = TO(SLOT_FAILED),
        [SLOT_EV_SUPERSEDE]  = TO(SLOT_ABSENT),
    },
};
/* clang-format on */

static_assert(SLOT_ABSENT == 0, "an all-zero slot is absent, never runnable");

enum rc slot_next(enum slot_state from, enum slot_event event, enum slot_state *ret)
{
    assert((unsigned)from < SLOT_STATES);
    assert((unsigned)event < SLOT_EVENTS);

    const struct cell *cell = &moves[from][event];

    if (!cell->filled)
        return RC_TRANSITION;
    *ret = cell->to;
    return RC_OK;
}

const char *slot_event_name(enum slot_event event)
{
    static const char *const names[SLOT_EVENTS] = {
        [SLOT_EV_ORDER] = "order",     [SLOT_EV_SUPERSEDE] = "supersede",
        [SLOT_EV_STAGE] = "stage",     [SLOT_EV_VERIFY] = "verify",
        [SLOT_EV_INSTALL] = "install", [SLOT_EV_FIND] = "find",
        [SLOT_EV_KNOWN] = "known",     [SLOT_EV_START] = "start",
        [SLOT_EV_COMMIT] = "commit",   [SLOT_EV_REFUSE] = "refuse",
        [SLOT_EV_FAIL] = "fail",       [SLOT_EV_ROLLBACK] = "rollback",
        [SLOT_EV_LOSE] = "lose",       [SLOT_EV_RECONSIDER] = "reconsider",
        [SLOT_EV_REVOKE] = "revoke",
    };

    return (unsigned)event < SLOT_EVENTS ? names[event] : "?";
}

void slot_print_dot(FILE *out)
{
    fputs("// Printed from the table in agent/slot.c; tests/unit/test_agent_slot.c compares it.\n"
          "digraph slot {\n",
          out);
    for (enum slot_state from = 0; from < SLOT_STATES; from++)
        for (enum slot_event event = 0; event < SLOT_EVENTS; event++)
            if (moves[from][event].filled)
                fprintf(out, "    \"%s\" -> \"%s\" [label=\"%s\"];\n", slot_state_name(from),
                        slot_state_name(moves[from][event].to), slot_event_name(event));
    fputs("}\n", out);
}
