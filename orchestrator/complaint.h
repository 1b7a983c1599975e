/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/complaint: when a failure that comes again and again is worth a line of the log: the
 * first time, when it is another one, and again after long.
 *
 * Pure.
 */
#ifndef BERTH_ORCHESTRATOR_COMPLAINT_H
#define BERTH_ORCHESTRATOR_COMPLAINT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define COMPLAINT_AGAIN_MS (10U * 60U * 1000U)

/* Zero = nothing has failed. */
struct complaint {
    struct err said; /* RC_OK = all is well */
    uint64_t said_ms;
    uint64_t times; /* since it began */
};

/* It failed once more, for this reason (its code, errno and text).  True: say so. */
bool complaint_due(struct complaint *complaint, const struct err *why, uint64_t mono_ms);

/* It did not fail.  True if it had: say that it is over, of what began before. */
bool complaint_over(struct complaint *complaint);

#endif
