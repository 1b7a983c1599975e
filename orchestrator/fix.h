/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/fix: what helps against a refusal about keys and trust, the same words for every
 * command.
 */
#ifndef BERTH_ORCHESTRATOR_FIX_H
#define BERTH_ORCHESTRATOR_FIX_H

#include "base/err.h"

/* The command or action that helps; other where the code alone does not say. */
const char *fix_trust(enum rc rc, const char *other);

#endif
