/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/rollout_show: rollouts as `berth rollout` prints them, for people and as JSON.
 */
#ifndef BERTH_ORCHESTRATOR_ROLLOUT_SHOW_H
#define BERTH_ORCHESTRATOR_ROLLOUT_SHOW_H

#include "orchestrator/cli.h"
#include "orchestrator/store.h"

/* Print rollout `only` (0 = all), and what becomes of its satellites with waves.  Prints again
 * with --watch while something may still happen by itself.  Returns CLI_PAUSED while one is paused.
 */
int rollout_show(struct cli *cli, struct store *store, uint64_t only, bool waves);

#endif
