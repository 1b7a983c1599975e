/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/main_berth: the berth command.
 */
#include "orchestrator/cmd.h"

int main(int argc, char **argv)
{
    return cli_main(cmd_tables, argc, argv, stdout, stderr);
}
