/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_fleet_export: a fleet file as programs like it.
 */
#include "orchestrator/cmd.h"
#include "orchestrator/fleet.h"

static int run(struct cli *cli)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    struct err err = { 0 };

    if (fleet_load(cli_arg(cli, 0), &fleet, &err) != RC_OK)
        return cli_fail(cli, &err, "correct the file; docs/guide/operator.md lists every key");
    cli->json = true;
    return cli_json(cli, fleet_export(fleet));
}

const struct cli_command cmd_fleet_export[] = {
    { .name = "fleet export",
      .group = "Operate",
      .args = "FLEET.yaml",
      .summary = "Print a fleet file as JSON, with nothing left to defaults",
      .about =
          "Reads the file as plan does, and prints what was understood.  The output is a fleet\n"
          "file too: plan and apply read it as the same fleet.",
      .args_min = 1,
      .args_max = 1,
      .run = run },
    { 0 },
};
