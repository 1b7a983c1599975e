/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_mail: how whatever goes to a payload leaves by a command, for cmd_mail and
 * cmd_command.
 */
#ifndef BERTH_ORCHESTRATOR_CMD_MAIL_H
#define BERTH_ORCHESTRATOR_CMD_MAIL_H

#include "link/mail.h"
#include "orchestrator/cli.h"

#define CMD_MAIL_HOURS_MAX (24U * 3660U)

/* Queue the m->size bytes of fd for the payload that m names, good for so many hours, with an entry
 * of the audit log, and say so.  fix: what helps against a failure.  Returns enum cli_exit. */
int cmd_mail_queue(struct cli *cli, struct mail *m, const char *satellite, int fd, uint64_t hours,
                   const char *(*fix)(enum rc rc));

#endif
