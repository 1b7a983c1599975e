/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/refused: what a report says of system calls that were refused to payloads, for
 * people and for programs.  Texts in a report are printable names: its decoder takes no others.
 */
#ifndef BERTH_ORCHESTRATOR_REFUSED_H
#define BERTH_ORCHESTRATOR_REFUSED_H

#include "manifest/doc.h"
#include "orchestrator/cli.h"
#include "orchestrator/json.h"

/* {missed, payloads: [{tenant, name, total, calls: [{call, count}]}]} */
json_t *refused_json(const struct report *doc);

/* One line for each payload; none when there was nothing. */
void refused_print(struct cli *cli, const struct report *doc);

#endif
