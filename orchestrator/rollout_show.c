/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/rollout_show.h"

#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/advance.h"
#include "orchestrator/approvals.h"
#include "orchestrator/screen.h"

/* One rollout as read from the store. */
struct entry {
    struct advance_rollout of;
    struct approvals approvals; /* those that count */
    struct forced *forced;      /* of each task */
};

/* Whether the rollout is to go on without a task, and the roles that have yet to say so. */
struct forced {
    bool is;
    unsigned missing;
};

struct entries {
    size_t n;
    struct entry *at;
};

static void entries_done(struct entries *e)
{
    for (size_t i = 0; i < e->n; i++) {
        advance_done(&e->at[i].of);
        free(e->at[i].forced);
    }
    free(e->at);
    *e = (struct entries){ 0 };
}

static void payload_name(const struct store_rollout *row, char out[2U * NAME_CAP + 1U])
{
    (void)snprintf(out, 2U * NAME_CAP + 1U, "%s/%s", row->tenant, row->name);
}

/* ---- JSON -------------------------------------------------------------------------------------
 */

/* When the wave's soak ends if it stays healthy; 0 = it does not soak. */
static uint64_t soaks_until(const struct rollout *r, uint32_t wave)
{
    const struct rollout_wave *w = &r->wave[wave];

    if (r->state != ROLLOUT_RUNNING || w->state != WAVE_ACTIVE || w->healthy_ms == 0)
        return 0;
    return w->healthy_ms + rollout_soak_ms(r, wave);
}

static json_t *wave_json(const struct rollout *r, uint32_t wave)
{
    const uint64_t until_ms = soaks_until(r, wave);
    json_t *members = json_array();

    for (uint32_t i = 0; i < r->n_tasks; i++)
        if (r->task[i].wave == wave)
            (void)json_array_append_new(members, json_string(r->task[i].satellite));
    return json_pack("{s:i, s:s, s:o, s:o, s:o}", "index", (int)wave + 1, "state",
                     wave_state_name(r->wave[wave].state), "satellites", members, "soak_ms",
                     json_uint(rollout_soak_ms(r, wave)), "soaks_until_ms",
                     until_ms > 0 ? json_uint(until_ms) : json_null());
}

static json_t *roles_json(unsigned bits)
{
    json_t *ret = json_array();

    for (unsigned i = APPROVAL_OPERATOR; i < APPROVAL_ROLES; i++)
        if ((bits & APPROVAL_BIT(i)) != 0)
            (void)json_array_append_new(ret,
                                        json_string(approval_role_name((enum approval_role)i)));
    return ret;
}

static json_t *approvals_json(const struct approvals *a)
{
    json_t *given = json_array();

    for (uint32_t i = 0; i < a->n; i++) {
        const struct approval *says = &a->by[i].says;
        char at[CLI_TIME_CAP], key[2U * KEY_ID_SIZE + 1U];

        (void)json_array_append_new(
            given,
            json_pack("{s:s, s:s, s:s, s:o, s:s, s:s}", "role", approval_role_name(says->role),
                      "who", says->who, "at", cli_time((int64_t)says->at_ms, at), "at_ms",
                      json_uint(says->at_ms), "why", says->why, "key",
                      bytes_hex((struct bytes){ a->by[i].key, KEY_ID_SIZE }, key)));
    }
    return json_pack("{s:o, s:o}", "needed", roles_json(a->needed), "given", given);
}

static json_t *forced_json(const struct entry *e)
{
    json_t *ret = json_array();

    for (uint32_t i = 0; i < e->of.is.n_tasks; i++)
        if (e->forced[i].is)
            (void)json_array_append_new(ret, json_pack("{s:s, s:o}", "satellite",
                                                       e->of.is.task[i].satellite, "missing",
                                                       roles_json(e->forced[i].missing)));
    return ret;
}

static json_t *entry_json(const struct entry *e)
{
    char payload[2U * NAME_CAP + 1U];
    json_t *waves = json_array();

    payload_name(&e->of.row, payload);
    for (uint32_t w = 0; w < e->of.is.n_waves; w++)
        (void)json_array_append_new(waves, wave_json(&e->of.is, w));
    return json_pack("{s:o, s:s, s:s, s:s, s:s, s:o, s:i, s:o, s:o, s:o, s:i}", "id",
                     json_uint(e->of.row.id), "payload", payload, "from", e->of.row.from, "to",
                     e->of.row.to, "state", rollout_state_name(e->of.is.state), "reason",
                     json_safe(e->of.is.reason), "wave", (int)rollout_wave_now(&e->of.is), "waves",
                     waves, "approvals", approvals_json(&e->approvals), "forced", forced_json(e),
                     "soak_orbits", (int)e->of.row.soak_orbits);
}

/* ---- for people -------------------------------------------------------------------------------
 */

static enum screen_mark state_mark(enum rollout_state state)
{
    static const enum screen_mark marks[ROLLOUT_STATES] = {
        [ROLLOUT_RUNNING] = MARK_BUSY,   [ROLLOUT_PAUSED] = MARK_BAD,
        [ROLLOUT_COMPLETED] = MARK_GOOD, [ROLLOUT_ABORTED] = MARK_UNKNOWN,
        [ROLLOUT_AWAITING] = MARK_BUSY,
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
    const char *const cells[] = { id, payload, change, state, wave, age, e->of.is.reason };
    uint64_t now = clock_unix_ms();

    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)e->of.row.id);
    payload_name(&e->of.row, payload);
    (void)snprintf(change, sizeof change, "%s -> %s", e->of.row.from[0] ? e->of.row.from : "(new)",
                   e->of.row.to[0] ? e->of.row.to : "(stop)");
    (void)screen_word(cli, state_mark(e->of.is.state), rollout_state_name(e->of.is.state), state,
                      sizeof state);
    (void)snprintf(wave, sizeof wave, "%u/%u", rollout_wave_now(&e->of.is), e->of.is.n_waves);
    (void)cli_age(now > e->of.row.changed_ms ? now - e->of.row.changed_ms : 0, age);
    cli_table_row(table, cells);
}

/* Whose order is released and whose waits. */
static void add_waves(struct cli *cli, struct cli_table *table, const struct entry *e)
{
    for (uint32_t i = 0; i < e->of.is.n_tasks; i++) {
        const struct rollout_task *task = &e->of.is.task[i];
        enum wave_state state = e->of.is.wave[task->wave].state;
        char word[24];
        char id[24];
        char wave[12];
        const char *const cells[] = { id, wave, word, task->satellite };

        (void)snprintf(id, sizeof id, "%llu", (unsigned long long)e->of.row.id);
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
        enum rollout_state state = entries[i].of.is.state;

        if (n > 1 && state != ROLLOUT_RUNNING && state != ROLLOUT_PAUSED &&
            state != ROLLOUT_AWAITING)
            continue;
        any = true;
        add_waves(cli, table, &entries[i]);
    }
    if (!any)
        return;
    cli_say(cli, "%s", "");
    cli_table_print(cli, table);
}

/* "3 approved: safety by api/anna, 2026-..., "seen"; missing: operator" */
static void print_approvals(struct cli *cli, const struct entry *e)
{
    const struct approvals *a = &e->approvals;
    enum rollout_state state = e->of.is.state;

    if (a->needed == 0 || state == ROLLOUT_ABORTED)
        return;
    cli_say(cli, "%s", "");
    for (uint32_t i = 0; i < a->n; i++) {
        const struct approval *says = &a->by[i].says;
        char at[CLI_TIME_CAP];

        cli_say(cli, "%llu: approved as %s by %s, %s%s%s", (unsigned long long)e->of.row.id,
                approval_role_name(says->role), says->who, cli_time((int64_t)says->at_ms, at),
                says->why[0] ? ": " : "", says->why);
    }
    if (!approvals_complete(a))
        cli_say(cli, "%llu: waits for approval by %s", (unsigned long long)e->of.row.id,
                approvals_text(a->needed & ~a->given));
}

/* "3: wave 1 soaks 3 orbits, until 2026-..." */
static void print_soak(struct cli *cli, const struct entry *e)
{
    for (uint32_t w = 0; w < e->of.is.n_waves; w++) {
        const uint64_t until_ms = soaks_until(&e->of.is, w);
        char at[CLI_TIME_CAP], orbits[24] = "";

        if (until_ms == 0)
            continue;
        if (e->of.row.soak_orbits > 0)
            (void)snprintf(orbits, sizeof orbits, " %u orbit%s,", e->of.row.soak_orbits,
                           e->of.row.soak_orbits == 1 ? "" : "s");
        cli_say(cli, "%llu: wave %u soaks%s until %s", (unsigned long long)e->of.row.id, w + 1,
                orbits, cli_time((int64_t)until_ms, at));
    }
}

static void print_forced(struct cli *cli, const struct entry *e)
{
    for (uint32_t i = 0; i < e->of.is.n_tasks; i++) {
        const char *satellite = e->of.is.task[i].satellite;

        if (e->forced[i].is && e->forced[i].missing == 0)
            cli_say(cli, "%llu: goes on without %s", (unsigned long long)e->of.row.id, satellite);
        else if (e->forced[i].is)
            cli_say(cli, "%llu: to go on without %s waits for approval by %s",
                    (unsigned long long)e->of.row.id, satellite,
                    approvals_text(e->forced[i].missing));
    }
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
    for (size_t i = 0; waves && i < n; i++)
        print_approvals(cli, &entries[i]);
    for (size_t i = 0; waves && i < n; i++)
        print_forced(cli, &entries[i]);
    for (size_t i = 0; waves && i < n; i++)
        print_soak(cli, &entries[i]);
    if (waves)
        print_waves(cli, entries, n);
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* trust: read once it is needed. */
static enum rc read_approvals(struct store *store, struct entry *e, struct trust **trust,
                              struct err *err)
{
    enum rc rc = RC_OK;

    e->forced = calloc(e->of.is.n_tasks + 1U, sizeof *e->forced);
    if (!e->forced)
        return err_set(err, RC_NO_MEMORY, "rollouts");
    if (e->of.row.approve != 0 && !*trust)
        rc = approvals_trust(store, clock_unix_ms(), trust, err);
    if (rc == RC_OK)
        rc = approvals_of(store, *trust, &(struct approvals_about){ .row = &e->of.row },
                          &e->approvals, err);
    for (uint32_t i = 0; rc == RC_OK && i < e->of.is.n_tasks; i++) {
        const struct approvals_about about = { .row = &e->of.row,
                                               .satellite = e->of.is.task[i].satellite };
        struct approvals a;

        e->forced[i].is = e->of.is.task[i].excused;
        if (!e->forced[i].is)
            continue;
        rc = approvals_of(store, *trust, &about, &a, err);
        e->forced[i].missing = rc == RC_OK ? a.needed & ~a.given : 0;
    }
    return rc;
}

/* Rollout `only`, or all of them when it is 0; end with entries_done. */
static enum rc read_entries(struct store *store, uint64_t only, struct entries *ret,
                            struct err *err)
{
    scoped(free_ptr) struct store_rollout *rows = NULL;
    scoped(trust_free) struct trust *trust = NULL;
    size_t n = 0;
    enum rc rc = store_rollouts(store, 0, &rows, &n, err);

    if (rc != RC_OK)
        return rc;
    ret->at = calloc(n + 1, sizeof *ret->at);
    if (!ret->at)
        return err_set(err, RC_NO_MEMORY, "rollouts");
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        if (only != 0 && rows[i].id != only)
            continue;
        struct entry *e = &ret->at[ret->n++];

        rc = advance_read(store, rows[i].id, &e->of, err);
        if (rc == RC_OK)
            rc = read_approvals(store, e, &trust, err);
    }
    return rc == RC_OK && only != 0 && ret->n == 0
               ? err_set(err, RC_NOT_FOUND, "rollout %llu", (unsigned long long)only)
               : rc;
}

static bool any_paused(const struct entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entries[i].of.is.state == ROLLOUT_PAUSED)
            return true;
    return false;
}

static bool any_running(const struct entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entries[i].of.is.state == ROLLOUT_RUNNING || entries[i].of.is.state == ROLLOUT_AWAITING)
            return true;
    return false;
}

int rollout_show(struct cli *cli, struct store *store, uint64_t only, bool waves)
{
    scoped(entries_done) struct entries all = { 0 };
    struct err err = { 0 };

    if (read_entries(store, only, &all, &err) != RC_OK)
        return cli_fail(cli, &err, "berth rollout list");
    const struct entry *entries = all.at;
    const size_t n = all.n;

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
