/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/witness_print: the alarm of the audit log's witnesses, as commands show it.
 */
#ifndef BERTH_ORCHESTRATOR_WITNESS_PRINT_H
#define BERTH_ORCHESTRATOR_WITNESS_PRINT_H

#include "orchestrator/cli.h"
#include "orchestrator/witness.h"

/* The line of an alarm, for people; nothing if there is none. */
void witness_print(struct cli *cli, const struct witness_alarm *alarm);
/* The same, whole: null if there is none. */
json_t *witness_json(const struct witness_alarm *alarm);
json_t *witness_accused_json(const struct witness_alarm *alarm);

#endif
