/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_rollout: look at rollouts, and pause, resume, promote, retry or abort them.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/advance.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/rollout_show.h"

/* ---- commands ---------------------------------------------------------------------------------
 */

static int run_list(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct err err = { 0 };

    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    int code = rollout_show(cli, home.store, 0, false);

    return code == CLI_PAUSED ? CLI_OK : code;
}

static int run_rollout_status(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct err err = { 0 };
    uint64_t only = 0;

    if (cli_arg(cli, 0) && cli_rollout(cli, 0, &only, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list");
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    return rollout_show(cli, home.store, only, true);
}

/* What is asked of a rollout. */
struct change {
    enum rollout_event event; /* unless promote or again */
    const char *reason;       /* NULL = none */
    bool promote, again;
    uint32_t wave;  /* promote: from 1, 0 = the newest */
    const char *on; /* again: a satellite; NULL = each that needs it */
    const char *fix;
};

static enum rc make_change(struct store *store, uint64_t id, const struct change *change,
                           struct err *err)
{
    uint64_t now = clock_unix_ms();

    if (change->promote)
        return advance_promote(store, id, change->wave, now, err);
    if (change->again)
        return advance_again(store, id, change->on, now, err);
    return advance_enter(store, id, change->event, change->reason, now, err);
}

static int enter(struct cli *cli, const struct change *change)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    scoped(store_rollback) struct store *open = NULL;
    struct err err = { 0 };
    uint64_t id = 0;

    if (cli_rollout(cli, 0, &id, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list");
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (auditing_begin(&audit, cli, &home, NULL, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout pause --help");
    if (store_begin(home.store, &open, &err) != RC_OK ||
        make_change(home.store, id, change, &err) != RC_OK || store_commit(&open, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout status %llu%s", (unsigned long long)id,
                        change->fix ? change->fix : "");
    int code = rollout_show(cli, home.store, id, true);

    return code == CLI_PAUSED ? CLI_OK : code;
}

static int run_pause(struct cli *cli)
{
    const char *reason = cli_value(cli, "reason");

    return enter(cli, &(struct change){ .event = ROLLOUT_EV_PAUSE,
                                        .reason = reason ? reason : "paused by the operator" });
}

static int run_resume(struct cli *cli)
{
    return enter(cli, &(struct change){ .event = ROLLOUT_EV_RESUME });
}

static int run_promote(struct cli *cli)
{
    struct change change = { .promote = true,
                             .fix = "; a wave is promoted once all of it is healthy" };
    struct err err = { 0 };
    uint64_t wave = 0;

    if (cli_number(cli, "wave", 0, 1, ROLLOUT_WAVES_MAX, &wave, &err) != RC_OK)
        return cli_fail(cli, &err, "--wave N, from 1 to %u", ROLLOUT_WAVES_MAX);
    change.wave = (uint32_t)wave;
    int code = enter(cli, &change);

    if (code == CLI_OK)
        cli_note(cli, "berth-ground opens the next wave, if there is one and all are healthy then");
    return code;
}

static int run_retry(struct cli *cli)
{
    const struct change change = { .again = true,
                                   .on = cli_value(cli, "on"),
                                   .fix = "; --on SATELLITE takes one whose wave is open" };
    int code = enter(cli, &change);

    if (code == CLI_OK)
        cli_note(cli,
                 "what it reported and missed until now is nothing; if it is paused: berth "
                 "rollout resume %s",
                 cli_arg(cli, 0));
    return code;
}

static int run_abort(struct cli *cli)
{
    const char *reason = cli_value(cli, "reason");
    int code =
        enter(cli, &(struct change){ .event = ROLLOUT_EV_ABORT,
                                     .reason = reason ? reason : "aborted by the operator" });

    if (code == CLI_OK)
        cli_note(cli, "satellites that got their order keep it: to go back, berth rollout undo %s",
                 cli_arg(cli, 0));
    return code;
}

static const struct cli_option watch_options[] = {
    CLI_OPTION_WATCH,
    { 0 },
};

static const struct cli_option reason_options[] = {
    { "reason", CLI_TEXT, "TEXT", "what the rollout shows as its reason" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

static const struct cli_option resume_options[] = {
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

static const struct cli_option promote_options[] = {
    { "wave", CLI_TEXT, "N", "only if this is the newest open wave" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

static const struct cli_option retry_options[] = {
    { "on", CLI_TEXT, "SATELLITE",
      "this one (else each that failed, is silent or is gone without)" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_rollout[] = {
    { .name = "rollout list",
      .group = "Operate",
      .args = "",
      .summary = "List every rollout",
      .listing = "rollouts.id",
      .run = run_list },
    { .name = "rollout status",
      .group = "Operate",
      .args = "[ID]",
      .names = CLI_ROLLOUTS,
      .summary = "Show rollouts and their waves; ends with 7 while one is paused",
      .args_max = 1,
      .watch = CLI_WATCH_UNTIL,
      .listing = "rollouts.id",
      .options = watch_options,
      .run = run_rollout_status },
    { .name = "rollout pause",
      .group = "Operate",
      .args = "ID",
      .names = CLI_ROLLOUTS,
      .summary = "Release no further order of a rollout",
      .args_min = 1,
      .args_max = 1,
      .options = reason_options,
      .run = run_pause },
    { .name = "rollout resume",
      .group = "Operate",
      .args = "ID",
      .names = CLI_ROLLOUTS,
      .summary = "Go on; pauses again at once while a satellite still reports the failure",
      .args_min = 1,
      .args_max = 1,
      .options = resume_options,
      .run = run_resume },
    { .name = "rollout promote",
      .group = "Operate",
      .args = "ID",
      .summary = "End the soak of the newest wave now; refused unless all is healthy",
      .about =
          "Ends with 4 when the rollout does not run, no wave is soaking, or a satellite that\n"
          "got its order has failed or has not yet reported that it runs it.  It skips time\n"
          "and nothing else: berth-ground opens the next wave by the rules of every other.\n"
          "Two people at once cannot skip two waves: --wave says which one is meant.",
      .args_min = 1,
      .args_max = 1,
      .options = promote_options,
      .run = run_promote },
    { .name = "rollout retry",
      .group = "Operate",
      .args = "ID",
      .names = CLI_ROLLOUTS,
      .summary = "Look at satellites afresh: what they reported and missed until now is nothing",
      .about =
          "For satellites of open waves that have failed, are silent, or were forced: a failure\n"
          "counts again once a newer report tells it, missed passes count from now on, and an\n"
          "order or token that has not arrived goes up from the beginning.  A version that has\n"
          "failed on board is not started there again; one that was refused is, once what it\n"
          "was refused for has changed.  It opens no wave and resumes nothing.",
      .args_min = 1,
      .args_max = 1,
      .options = retry_options,
      .run = run_retry },
    { .name = "rollout abort",
      .group = "Operate",
      .args = "ID",
      .names = CLI_ROLLOUTS,
      .summary = "End a rollout: what was not released never will be",
      .args_min = 1,
      .args_max = 1,
      .options = reason_options,
      .run = run_abort },
    { 0 },
};
