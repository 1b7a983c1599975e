/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_plan: what must change so that the fleet runs what the file says.
 */
#include <stdlib.h>

#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/planning.h"

/* The command that does exactly this, as it can be pasted here. */
static void print_command(struct cli *cli, const struct planning *p)
{
    const char *given = getenv("BERTH_HOME");
    const char *home = given && given[0] ? given : ".berth";
    bool other = strcmp(cli->home, home) != 0;
    char hash[PLAN_HASH_CAP];

    cli_say(cli, "berth%s%s apply %s --plan %s%s%s", other ? " --home " : "",
            other ? cli->home : "", p->path, plan_hash_text(p->plan, hash),
            p->blocked_by != 0 ? " --supersede" : "", p->failed ? " --despite-failure" : "");
}

static int run_plan(struct cli *cli)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    scoped(home_close) struct home home = HOME_NONE;
    scoped(planning_done) struct planning p = { 0 };
    struct err err = { 0 };

    if (fleet_load(cli_arg(cli, 0), &fleet, &err) != RC_OK)
        return planning_fail(cli, &err);
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (planning_make(home.store, fleet, cli_arg(cli, 0), &p, &err) != RC_OK)
        return planning_fail(cli, &err);
    planning_print(cli, &p);
    if (p.plan->n_changed > 0)
        print_command(cli, &p);
    int code = cli_json(cli, planning_json(&p));

    return code == CLI_OK && p.plan->n_changed > 0 ? CLI_CHANGES : code;
}

const struct cli_command cmd_plan[] = {
    { .name = "plan",
      .group = "Operate",
      .args = "FLEET.yaml",
      .summary = "Show what would change, and the command that does exactly that",
      .about = "Compares the fleet file with the newest orders, and the packages with what the\n"
               "satellites last reported to have on board.  Changes nothing.  Ends with 3 when\n"
               "there is something to do, 0 when there is not.",
      .args_min = 1,
      .args_max = 1,
      .run = run_plan },
    { 0 },
};
