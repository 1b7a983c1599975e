/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_link: the parts of `berth link` that have a file of their own.  Each runs one
 * command and returns enum cli_exit.
 */
#ifndef BERTH_ORCHESTRATOR_CMD_LINK_H
#define BERTH_ORCHESTRATOR_CMD_LINK_H

#include "orchestrator/cli.h"

int cmd_link_status(struct cli *cli);
int cmd_link_send(struct cli *cli);
int cmd_link_recv(struct cli *cli);

#endif
