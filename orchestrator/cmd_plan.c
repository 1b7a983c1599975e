/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_plan: what must change so that the fleet runs what the file says.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/period.h"
#include "orchestrator/planning.h"
#include "orchestrator/planning_sky.h"
#include "orchestrator/prepare.h"
#include "orchestrator/quota_check.h"

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

/* The plan, and what the sky makes of it. */
static json_t *plan_json(const struct planning *p, const struct planning_sky *sky,
                         const struct quota_verdicts *quotas, const struct cost *cost)
{
    json_t *doc = planning_json(p, cost);

    (void)json_object_set_new(doc, "quotas", quota_verdicts_json(quotas));
    (void)json_object_set_new(doc, "sky", planning_sky_json(sky));
    return doc;
}

static int run_plan(struct cli *cli)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(planning_done) struct planning p = { 0 };
    scoped(planning_sky_done) struct planning_sky sky = { 0 };
    scoped(quota_verdicts_done) struct quota_verdicts quotas = { 0 };
    struct cost cost = { 0 };
    struct err err = { 0 };

    if (cost_options(cli, &cost, &err) != RC_OK)
        return cli_fail(cli, &err, "berth plan --help");
    if (fleet_load(cli_arg(cli, 0), &fleet, &err) != RC_OK ||
        period_find(fleet, cli_arg(cli, 0), &err) != RC_OK)
        return planning_fail(cli, &err);
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (home_trust(&home, clock_unix_ms(), &trust, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME");
    if (cli_flag(cli, "deltas") &&
        prepare_deltas(cli, &home, fleet, cli_arg(cli, 0), &err) != RC_OK)
        return planning_fail(cli, &err);
    if (planning_make(home.store, fleet, cli_arg(cli, 0), &p, &err) != RC_OK ||
        planning_check(&p, &home, trust, clock_unix_ms(), &err) != RC_OK ||
        planning_sky_look(&p, home.store, (int64_t)clock_unix_ms(), &sky, &err) != RC_OK ||
        planning_sky_make(&p, home.store, &sky, &err) != RC_OK ||
        quota_verdicts_make(&p, &sky, &home, clock_unix_ms(), &quotas, &err) != RC_OK)
        return planning_fail(cli, &err);
    planning_print(cli, &p, &cost);
    planning_sky_print(cli, &sky);
    quota_verdicts_print(cli, &quotas);
    if (quota_verdicts_refuse(&quotas, &err) != RC_OK)
        return planning_fail(cli, &err);
    planning_print_hash(cli, &p);
    if (planning_acts(&p))
        print_command(cli, &p);
    int code = cli_json(cli, plan_json(&p, &sky, &quotas, &cost));

    return code == CLI_OK && planning_acts(&p) ? CLI_CHANGES : code;
}

static const struct cli_option options[] = {
    { "deltas", CLI_FLAG, NULL, "make the missing deltas first, as apply does" },
    { "retry", CLI_FLAG, NULL, "with --deltas: make those again that could not be made before" },
    COST_OPTIONS,
    { 0 },
};

const struct cli_command cmd_plan[] = {
    { .name = "plan",
      .group = "Operate",
      .args = "FLEET.yaml",
      .summary = "Show what would change, and the command that does exactly that",
      .about =
          "Compares the fleet file with the newest orders, and the packages with what the\n"
          "satellites last reported to have on board.  Changes nothing, but for the deltas that\n"
          "--deltas makes.  Ends with 3 when there is something to do, 0 when there is not.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run_plan },
    { 0 },
};
