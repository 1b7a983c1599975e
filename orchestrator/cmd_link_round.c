/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_link_round: what berth-ground does all the time, once and for one satellite, by
 * hand: for carriers that are a script, or a person with a disk.
 */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd_link.h"
#include "orchestrator/ground.h"

#define ROUNDS_MAX 100000U /* of one command: a downlink that fills as fast as it is read ends */
#define LOCK_WAIT_MS 5000U /* for another command of this kind */
#define LOCK_TRY_MS 50U

static int fail(struct cli *cli, const struct err *err)
{
    if (err->rc == RC_NO_SATELLITE)
        return cli_fail(cli, err, "berth link status lists them");
    if (err->rc == RC_NOT_FOUND &&
        (strcmp(err->what, cli->home) == 0 || strncmp(err->what, "no fleet", 8) == 0))
        return cli_fail(cli, err, "berth fleet init NAME, or --home DIR");
    return cli_fail(cli, err, "berth link status %.64s", cli_arg(cli, 0));
}

/* Two of these commands may meet, as where each satellite has a script of its own. */
static enum rc open_ground(const struct ground_options *options, struct ground **ret,
                           struct err *err)
{
    const struct timespec pause = { .tv_nsec = LOCK_TRY_MS * 1000000L };
    const uint64_t until_ms = clock_mono_ms() + LOCK_WAIT_MS;
    enum rc rc = ground_open(options, ret, err);

    while (rc == RC_BUSY && clock_mono_ms() < until_ms) {
        (void)nanosleep(&pause, NULL);
        rc = ground_open(options, ret, err);
    }
    return rc;
}

/* Everything that lies in the downlink; *ret is the caller's to close, on failure too. */
static enum rc take_in(struct cli *cli, struct ground_options *options, struct ground **ret,
                       struct err *err)
{
    log_open("berth", LOG_LEVEL_WARN);
    options->home = cli->home;
    options->satellite = cli_arg(cli, 0);
    enum rc rc = open_ground(options, ret, err);
    bool more = true;

    for (uint32_t i = 0; rc == RC_OK && more && i < ROUNDS_MAX; i++) {
        rc = ground_receive(*ret, clock_mono_ms(), clock_unix_ms(), err);
        more = ground_counts(*ret)->more;
    }
    return rc;
}

static json_t *counts_json(struct cli *cli, const struct ground_counts *c)
{
    return json_pack("{s:s, s:{s:i, s:i, s:i, s:i, s:s}, s:{s:i, s:o}}", "satellite",
                     cli_arg(cli, 0), "in", "files", (int)c->in, "reports", (int)c->reports,
                     "duplicates", (int)c->duplicates, "refused", (int)c->refused, "last_refusal",
                     c->refused > 0 ? rc_name(c->last.rc) : "", "out", "files", (int)c->out,
                     "bytes", json_uint(c->out_bytes));
}

static void say_in(struct cli *cli, const struct ground_counts *c)
{
    cli_say(cli, "%s: %u files taken in: %u new reports, %u here before, %u refused%s%s",
            cli_arg(cli, 0), c->in, c->reports, c->duplicates, c->refused,
            c->refused > 0 ? ", the last for " : "", c->refused > 0 ? rc_name(c->last.rc) : "");
}

int cmd_link_recv(struct cli *cli)
{
    scoped(ground_close) struct ground *g = NULL;
    struct ground_options options = { 0 };
    struct err err = { 0 };

    if (take_in(cli, &options, &g, &err) != RC_OK)
        return fail(cli, &err);
    say_in(cli, ground_counts(g));
    return cli_json(cli, counts_json(cli, ground_counts(g)));
}

/* Who sent, before anything goes: what a round sends is in many small changes. */
static enum rc note_send(struct cli *cli, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    enum rc rc = home_open(cli->home, false, &home, err);

    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &home, NULL, err);
    return rc == RC_OK ? store_audit(home.store, NULL, "link-send", clock_unix_ms(), err, "%s",
                                     cli_arg(cli, 0))
                       : rc;
}

int cmd_link_send(struct cli *cli)
{
    scoped(ground_close) struct ground *g = NULL;
    struct ground_options options = { 0 };
    struct err err = { 0 };
    char size[CLI_SIZE_CAP];

    if (cli_number(cli, "bytes", UINT32_MAX, 1024, UINT32_MAX, &options.up_budget, &err) != RC_OK ||
        cli_number(cli, "files", 100000, 1, 1000000, &options.up_files, &err) != RC_OK)
        return cli_fail(cli, &err, NULL);
    /* What came tells what need not be sent. */
    enum rc rc = take_in(cli, &options, &g, &err);

    if (rc == RC_OK)
        rc = note_send(cli, &err);
    if (rc == RC_OK)
        rc = ground_send(g, clock_mono_ms(), clock_unix_ms(), &err);
    if (rc != RC_OK)
        return fail(cli, &err);
    const struct ground_counts *c = ground_counts(g);

    if (c->in > 0)
        say_in(cli, c);
    cli_say(cli, "%s: %u more files, %s, wait in the uplink for the carrier", cli_arg(cli, 0),
            c->out, cli_size(c->out_bytes, size));
    return cli_json(cli, counts_json(cli, c));
}
