/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_rollout: look at rollouts, and pause, resume, promote or abort them.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/advance.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/screen.h"

/* One rollout as read from the store. */
struct entry {
    struct store_rollout row;
    struct rollout rollout;
};

static void payload_name(const struct store_rollout *row, char out[2U * NAME_CAP + 1U])
{
    (void)snprintf(out, 2U * NAME_CAP + 1U, "%s/%s", row->tenant, row->name);
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

static json_t *wave_json(const struct rollout *r, uint32_t wave)
{
    json_t *members = json_array();

    for (uint32_t i = 0; i < r->n_tasks; i++)
        if (r->task[i].wave == wave)
            (void)json_array_append_new(members, json_string(r->task[i].satellite));
    return json_pack("{s:i, s:s, s:o}", "index", (int)wave + 1, "state",
                     wave_state_name(r->wave[wave].state), "satellites", members);
}

static json_t *entry_json(const struct entry *e)
{
    char payload[2U * NAME_CAP + 1U];
    json_t *waves = json_array();

    payload_name(&e->row, payload);
    for (uint32_t w = 0; w < e->rollout.n_waves; w++)
        (void)json_array_append_new(waves, wave_json(&e->rollout, w));
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:o, s:i, s:o}", "id", json_uint(e->row.id),
                     "payload", payload, "from", e->row.from, "to", e->row.to, "state",
                     rollout_state_name(e->rollout.state), "reason", json_safe(e->rollout.reason),
                     "wave", (int)rollout_wave_now(&e->rollout), "waves", waves);
}

/* ---- for people -------------------------------------------------------------------------------
 */

static enum screen_mark state_mark(enum rollout_state state)
{
    static const enum screen_mark marks[ROLLOUT_STATES] = {
        [ROLLOUT_RUNNING] = MARK_BUSY,
        [ROLLOUT_PAUSED] = MARK_BAD,
        [ROLLOUT_COMPLETED] = MARK_GOOD,
        [ROLLOUT_ABORTED] = MARK_UNKNOWN,
    };

    return marks[state];
}

static enum screen_mark wave_mark(enum wave_state state)
{
    static const enum screen_mark marks[WAVE_STATES] = {
        [WAVE_WAITING] = MARK_UNKNOWN,
        [WAVE_ACTIVE] = MARK_BUSY,
        [WAVE_DONE] = MARK_GOOD,
        [WAVE_FAILED] = MARK_BAD,
    };

    return marks[state];
}

static void print_line(struct cli *cli, struct cli_table *table, const struct entry *e)
{
    char id[24];
    char payload[2U * NAME_CAP + 1U];
    char change[2U * VERSION_CAP + 16U];
    char state[24];
    char wave[32];
    char age[CLI_SIZE_CAP];
    const char *const cells[] = { id, payload, change, state, wave, age, e->rollout.reason };
    uint64_t now = clock_unix_ms();

    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)e->row.id);
    payload_name(&e->row, payload);
    (void)snprintf(change, sizeof change, "%s -> %s", e->row.from[0] ? e->row.from : "(new)",
                   e->row.to[0] ? e->row.to : "(stop)");
    (void)screen_word(cli, state_mark(e->rollout.state), rollout_state_name(e->rollout.state),
                      state, sizeof state);
    (void)snprintf(wave, sizeof wave, "%u/%u", rollout_wave_now(&e->rollout), e->rollout.n_waves);
    (void)cli_age(now > e->row.changed_ms ? now - e->row.changed_ms : 0, age);
    cli_table_row(table, cells);
}

/* Whose order is released and whose waits. */
static void add_waves(struct cli *cli, struct cli_table *table, const struct entry *e)
{
    for (uint32_t i = 0; i < e->rollout.n_tasks; i++) {
        const struct rollout_task *task = &e->rollout.task[i];
        enum wave_state state = e->rollout.wave[task->wave].state;
        char word[24];
        char id[24];
        char wave[12];
        const char *const cells[] = { id, wave, word, task->satellite };

        (void)snprintf(id, sizeof id, "%llu", (unsigned long long)e->row.id);
        (void)snprintf(wave, sizeof wave, "%u", task->wave + 1);
        (void)screen_word(cli, wave_mark(state), wave_state_name(state), word, sizeof word);
        cli_table_row(table, cells);
    }
}

/* Of rollouts that may still move; of all of them when there is one. */
static void print_waves(struct cli *cli, const struct entry *entries, size_t n)
{
    static const char *const headings[] = { "ROLLOUT", "WAVE", "STATE", "SATELLITE" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 4);
    bool any = false;

    for (size_t i = 0; i < n; i++) {
        enum rollout_state state = entries[i].rollout.state;

        if (n > 1 && state != ROLLOUT_RUNNING && state != ROLLOUT_PAUSED)
            continue;
        any = true;
        add_waves(cli, table, &entries[i]);
    }
    if (!any)
        return;
    cli_say(cli, "%s", "");
    cli_table_print(cli, table);
}

static void print_entries(struct cli *cli, const struct entry *entries, size_t n, bool waves)
{
    static const char *const headings[] = { "ID",   "PAYLOAD", "CHANGE", "STATE",
                                            "WAVE", "SINCE",   "REASON" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 7);

    for (size_t i = 0; i < n; i++)
        print_line(cli, table, &entries[i]);
    if (n == 0)
        cli_say(cli, "no rollouts");
    else
        cli_table_print(cli, table);
    if (waves)
        print_waves(cli, entries, n);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Rollout `only`, or all of them when it is 0; the caller frees *ret. */
static enum rc read_entries(struct store *store, uint64_t only, struct entry **ret, size_t *ret_n,
                            struct err *err)
{
    scoped(free_ptr) struct store_rollout *rows = NULL;
    scoped(free_ptr) struct entry *entries = NULL;
    size_t n = 0;
    size_t used = 0;
    enum rc rc = store_rollouts(store, 0, &rows, &n, err);

    if (rc != RC_OK)
        return rc;
    entries = calloc(n + 1, sizeof *entries);
    if (!entries)
        return err_set(err, RC_NO_MEMORY, "rollouts");
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (only != 0 && rows[i].id != only)
            continue;
        rc = advance_read(store, rows[i].id, &entries[used].row, &entries[used].rollout, NULL, err);
        used += rc == RC_OK;
    }
    if (rc == RC_OK && only != 0 && used == 0)
        rc = err_set(err, RC_NOT_FOUND, "rollout %llu", (unsigned long long)only);
    if (rc != RC_OK)
        return rc;
    *ret_n = used;
    *ret = entries;
    entries = NULL;
    return RC_OK;
}

static bool any_paused(const struct entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entries[i].rollout.state == ROLLOUT_PAUSED)
            return true;
    return false;
}

static bool any_running(const struct entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entries[i].rollout.state == ROLLOUT_RUNNING)
            return true;
    return false;
}

static int show(struct cli *cli, struct store *store, uint64_t only, bool waves)
{
    scoped(free_ptr) struct entry *entries = NULL;
    struct err err = { 0 };
    size_t n = 0;

    if (read_entries(store, only, &entries, &n, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list");
    cli->again = any_running(entries, n);
    int paused = any_paused(entries, n) ? CLI_PAUSED : CLI_OK;

    if (!cli->json) {
        print_entries(cli, entries, n, waves);
        return paused;
    }
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, entry_json(&entries[i]));
    int code = cli_json(cli, json_pack("{s:o}", "rollouts", list));

    return code == CLI_OK ? paused : code;
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static int run_list(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct err err = { 0 };

    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    int code = show(cli, home.store, 0, false);

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
    return show(cli, home.store, only, true);
}

/* What is asked of a rollout. */
struct change {
    enum rollout_event event; /* unless promote */
    const char *reason;       /* NULL = none */
    bool promote;
    uint32_t wave; /* promote: from 1, 0 = the newest */
};

static enum rc make_change(struct store *store, uint64_t id, const struct change *change,
                           struct err *err)
{
    uint64_t now = clock_unix_ms();

    return change->promote ? advance_promote(store, id, change->wave, now, err)
                           : advance_enter(store, id, change->event, change->reason, now, err);
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
                        change->promote ? "; a wave is promoted once all of it is healthy" : "");
    int code = show(cli, home.store, id, true);

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
    struct change change = { .promote = true };
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
