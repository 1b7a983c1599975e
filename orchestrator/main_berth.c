/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/main_berth: the berth command.  Each line of the table is one cmd_*.c file.
 */
#include "orchestrator/cmd.h"

static const struct cli_command *const tables[] = {
    NULL,
};

int main(int argc, char **argv)
{
    return cli_main(tables, argc, argv, stdout, stderr);
}
