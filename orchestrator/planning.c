/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/planning.h"

#include <stdio.h>
#include <stdlib.h>

void planning_done(struct planning *p)
{
    plan_free(&p->plan);
    free_ptr(&p->bases);
    view_free(&p->view);
}

static enum rc find_block(struct store *store, struct planning *p, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && p->blocked_by == 0 && i < p->plan->n_satellites; i++) {
        if (!p->plan->satellite[i].changes)
            continue;
        rc = store_rollout_on(store, p->fleet->satellite[i].id, &p->blocked_by, err);
        (void)snprintf(p->blocked_on, sizeof p->blocked_on, "%s", p->fleet->satellite[i].id);
    }
    return rc;
}

/* Whether a satellite, of this file or not, says that it wants this version and failed with it. */
static bool has_failed(const struct view_satellite *sat, const struct plan_change *change)
{
    const struct report_payload *p = verdict_payload(sat->seen, change->tenant, change->name);

    return p && memcmp(p->wanted.b, change->to_manifest.b, DIGEST_SIZE) == 0 &&
           (p->state == SLOT_REFUSED || p->state == SLOT_FAILED || p->state == SLOT_ROLLED_BACK);
}

/* The canary has its order already and so is no part of a second try: the version would begin on
 * another satellite as if nothing had happened. */
static void find_failed(struct planning *p)
{
    for (uint32_t i = 0; i < p->plan->n_changes && !p->failed; i++) {
        const struct plan_change *change = &p->plan->change[i];

        for (size_t k = 0; change->verb != PLAN_REMOVE && k < p->view->n && !p->failed; k++) {
            if (!has_failed(&p->view->satellite[k], change))
                continue;
            p->failed = change;
            (void)snprintf(p->failed_on, sizeof p->failed_on, "%s", p->view->satellite[k].row.id);
        }
    }
}

static enum rc count_rollouts(struct store *store, uint64_t *ret, struct err *err)
{
    scoped(free_ptr) struct store_rollout *rows = NULL;
    size_t n = 0;
    enum rc rc = store_rollouts(store, 0, &rows, &n, err);

    if (rc == RC_OK)
        *ret = n;
    return rc;
}

enum rc planning_make(struct store *store, const struct fleet *fleet, const char *path,
                      struct planning *ret, struct err *err)
{
    scoped(planning_done) struct planning p = { .path = path, .fleet = fleet };
    struct plan_input in = { .fleet = fleet };
    enum rc rc = view_load(store, &p.view, err);

    if (rc == RC_OK)
        rc = view_bases(p.view, fleet, &p.bases, err);
    if (rc == RC_OK)
        rc = count_rollouts(store, &in.rollouts, err);
    if (rc != RC_OK)
        return rc;
    in.packages = p.view->packages;
    in.n_packages = p.view->n_packages;
    in.base = p.bases;
    rc = plan_compute(&in, &p.plan, err);
    if (rc == RC_OK)
        rc = find_block(store, &p, err);
    if (rc != RC_OK)
        return rc;
    find_failed(&p);
    *ret = p;
    p = (struct planning){ 0 };
    return RC_OK;
}

int planning_fail(struct cli *cli, const struct err *err)
{
    switch ((int)err->rc) {
    case RC_NO_SATELLITE:
        return cli_fail(cli, err,
                        "berth provision SATELLITE --node N --out DIR, or correct the file");
    case RC_NO_PACKAGE:
        return cli_fail(cli, err, "berth push FILE.berth, or correct the version in the file");
    case RC_DIGEST_MISMATCH:
        return cli_fail(cli, err, "berth inspect FILE.berth shows the digest of a package");
    case RC_NOT_FOUND:
        return cli_fail(cli, err, CLI_FIX_PATH);
    case RC_YAML:
        return cli_fail(cli, err, "correct the line; docs/guide/operator.md lists every key");
    case RC_NOT_REGULAR:
    case RC_TOO_LARGE:
        return cli_fail(cli, err, "give a fleet file as docs/guide/operator.md shows it");
    default:
        return cli_fail(cli, err, NULL);
    }
}

/* ---- for people -------------------------------------------------------------------------------
 */

static void print_changes(struct cli *cli, const struct planning *p)
{
    static const char *const headings[] = { "SATELLITE", "PAYLOAD", "FROM", "TO", "SEND", "WAVE" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 6);

    for (uint32_t i = 0; i < p->plan->n_changes; i++) {
        const struct plan_change *c = &p->plan->change[i];
        char payload[2U * NAME_CAP + 1U];
        char send[CLI_SIZE_CAP];
        char wave[12];
        const char *const cells[] = { p->fleet->satellite[c->satellite].id,
                                      payload,
                                      c->verb == PLAN_ADD ? "(new)" : c->from,
                                      c->verb == PLAN_REMOVE ? "(stop)" : c->to,
                                      send,
                                      wave };

        (void)snprintf(payload, sizeof payload, "%s/%s", c->tenant, c->name);
        (void)snprintf(wave, sizeof wave, "%u", p->plan->satellite[c->satellite].wave + 1);
        (void)snprintf(send, sizeof send, "%s", c->verb == PLAN_REMOVE ? "" : "on board");
        if (c->bytes > 0)
            (void)cli_size(c->bytes, send);
        cli_table_row(table, cells);
    }
    cli_table_print(cli, table);
}

/* Append " id"; what does not fit is left out. */
static void append(char *line, size_t cap, const char *id)
{
    size_t at = strlen(line);
    size_t n = strlen(id);

    if (at + n + 2 > cap)
        return;
    line[at] = ' ';
    memcpy(line + at + 1, id, n + 1);
}

static void print_waves(struct cli *cli, const struct planning *p)
{
    for (uint32_t w = 0; w < p->plan->n_waves; w++) {
        char line[6U * (NAME_CAP + 1U)] = "";
        char size[CLI_SIZE_CAP];
        uint64_t bytes = 0;
        uint32_t n = 0;

        for (uint32_t i = 0; i < p->plan->n_satellites; i++) {
            const struct plan_satellite *sat = &p->plan->satellite[i];

            if (!sat->changes || sat->wave != w)
                continue;
            bytes += sat->bytes;
            if (n++ < 6)
                append(line, sizeof line, p->fleet->satellite[i].id);
        }
        cli_say(cli, "wave %u of %u:%s%s (%u satellite%s, %s)", w + 1, p->plan->n_waves, line,
                n > 6 ? " ..." : "", n, n == 1 ? "" : "s", cli_size(bytes, size));
    }
}

void planning_print(struct cli *cli, const struct planning *p)
{
    char hash[PLAN_HASH_CAP];
    char size[CLI_SIZE_CAP];
    const struct plan *plan = p->plan;

    if (plan->n_changed == 0) {
        cli_say(cli, "fleet %s: all %u satellites are ordered to run what the file says",
                p->fleet->name, plan->n_satellites);
        return;
    }
    print_changes(cli, p);
    print_waves(cli, p);
    cli_say(cli, "fleet %s: %u of %u satellites change, %s to send", p->fleet->name,
            plan->n_changed, plan->n_satellites, cli_size(plan->bytes, size));
    if (p->blocked_by != 0)
        cli_note(cli, "note: rollout %llu is under way on %s: apply needs --supersede",
                 (unsigned long long)p->blocked_by, p->blocked_on);
    if (p->failed)
        cli_note(cli, "note: %s/%s %s has failed on %s: apply needs --despite-failure",
                 p->failed->tenant, p->failed->name, p->failed->to, p->failed_on);
    cli_say(cli, "PLAN %s", plan_hash_text(plan, hash));
}

/* ---- for programs -----------------------------------------------------------------------------
 */

static json_t *change_json(const struct planning *p, const struct plan_change *c)
{
    static const char *const verbs[] = {
        [PLAN_ADD] = "add", [PLAN_CHANGE] = "change", [PLAN_REMOVE] = "remove"
    };
    char payload[2U * NAME_CAP + 1U];

    (void)snprintf(payload, sizeof payload, "%s/%s", c->tenant, c->name);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:i}", "satellite",
                     p->fleet->satellite[c->satellite].id, "payload", payload, "change",
                     verbs[c->verb], "from", c->from, "to", c->to, "to_digest",
                     json_digest(&c->to_manifest), "bytes", json_uint(c->bytes), "wave",
                     (int)p->plan->satellite[c->satellite].wave + 1);
}

json_t *planning_json(const struct planning *p)
{
    json_t *changes = json_array();
    json_t *waves = json_array();
    char hash[PLAN_HASH_CAP];

    for (uint32_t i = 0; i < p->plan->n_changes; i++)
        (void)json_array_append_new(changes, change_json(p, &p->plan->change[i]));
    for (uint32_t w = 0; w < p->plan->n_waves; w++) {
        json_t *members = json_array();

        for (uint32_t i = 0; i < p->plan->n_satellites; i++)
            if (p->plan->satellite[i].changes && p->plan->satellite[i].wave == w)
                (void)json_array_append_new(members, json_string(p->fleet->satellite[i].id));
        (void)json_array_append_new(waves, members);
    }
    return json_pack(
        "{s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "fleet", p->fleet->name, "plan",
        plan_hash_text(p->plan, hash), "satellites", (int)p->plan->n_satellites, "changed",
        (int)p->plan->n_changed, "bytes", json_uint(p->plan->bytes), "blocked_by",
        p->blocked_by ? json_uint(p->blocked_by) : json_null(), "failed_on",
        p->failed ? json_string(p->failed_on) : json_null(), "changes", changes, "waves", waves);
}
