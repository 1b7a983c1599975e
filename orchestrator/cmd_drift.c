/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_drift: what runs that nobody ordered.
 */
#include <stdio.h>

#include "base/clock.h"
#include "orchestrator/cmd.h"
#include "orchestrator/drift.h"
#include "orchestrator/home.h"

struct drifts {
    struct cli *cli;
    const struct view *view;
    struct cli_table *table; /* owned */
    json_t *list;            /* owned */
    uint64_t now_ms;
    size_t n;
};

static void drifts_done(struct drifts *d)
{
    cli_table_free(&d->table);
    json_decref(d->list);
}

/* What the newest order wants in its place; NULL = nothing. */
static const struct order_line *wanted(const struct view_satellite *sat,
                                       const struct report_payload *p)
{
    for (uint32_t i = 0; i < sat->order.n_lines; i++)
        if (strcmp(sat->order.line[i].tenant, p->tenant) == 0 &&
            strcmp(sat->order.line[i].name, p->name) == 0)
            return &sat->order.line[i];
    return NULL;
}

static void add(struct drifts *d, const struct view_satellite *sat, const struct report_payload *p)
{
    const struct order_line *want = wanted(sat, p);
    const struct store_package *package = want ? view_package(d->view, &want->manifest) : NULL;
    const uint64_t age_ms = view_age_ms(sat, d->now_ms);
    char payload[2 * NAME_CAP], name[3 * NAME_CAP], age[CLI_SIZE_CAP], hex[2 * DIGEST_SIZE + 1];
    const char *const cells[] = {
        sat->row.id, payload, !want ? NULL : package ? package->version : "?",
        p->version,  hex,     cli_age(age_ms, age)
    };

    (void)snprintf(payload, sizeof payload, "%s/%s", p->tenant, p->name);
    (void)snprintf(name, sizeof name, "%s@%s", payload, sat->row.id);
    bytes_hex((struct bytes){ p->running.b, DIGEST_SIZE }, hex)[16] = '\0';
    cli_table_row(d->table, cells);
    d->n++;
    (void)json_array_append_new(
        d->list, json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "name", json_safe(name),
                           "payload", json_safe(payload), "satellite", sat->row.id, "want_version",
                           package ? json_safe(package->version) : json_null(), "want_digest",
                           want ? json_digest(&want->manifest) : json_null(), "observed_version",
                           json_safe(p->version), "observed_digest", json_digest(&p->running),
                           "report_age_ms", json_uint(age_ms)));
}

static enum rc find(struct drifts *d, struct store *store, const char *id, struct view **view,
                    struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    enum rc rc = store_begin_read(store, &open, err);

    if (rc == RC_OK)
        rc = view_load_asked(store, id, view, err);
    d->view = *view;
    for (size_t i = 0; rc == RC_OK && i < (*view)->n; i++) {
        const struct view_satellite *sat = &(*view)->satellite[i];
        uint32_t at[DRIFT_MAX], n = 0;

        rc = drift_find(store, sat, at, &n, err);
        for (uint32_t k = 0; rc == RC_OK && k < n; k++)
            add(d, sat, &sat->seen->payload[at[k]]);
    }
    return rc;
}

static int run(struct cli *cli)
{
    static const char *const headings[] = { "SATELLITE", "PAYLOAD", "WANT",
                                            "RUNNING",   "DIGEST",  "AS OF" };
    scoped(home_close) struct home home = HOME_NONE;
    scoped(view_free) struct view *view = NULL;
    scoped(drifts_done) struct drifts d = { .cli = cli, .now_ms = clock_unix_ms() };
    struct err err = { 0 };

    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    d.table = cli_table_new(headings, 6);
    d.list = json_array();
    if (find(&d, home.store, cli_arg(cli, 0), &view, &err) != RC_OK)
        return cli_fail(cli, &err, "berth status lists the satellites");
    if (!cli->json && d.n > 0)
        cli_table_print(cli, d.table);
    else if (d.n == 0)
        cli_say(cli, "nothing runs that no order named");
    const int code = cli_json(cli, json_pack("{s:O}", "drifted", d.list));

    return code == CLI_OK && d.n > 0 ? CLI_CHANGES : code;
}

const struct cli_command cmd_drift[] = {
    { .name = "drift",
      .group = "Operate",
      .args = "[SATELLITE]",
      .names = CLI_SATELLITES,
      .summary = "What runs that no order ever named",
      .about =
          "Every payload whose version, by the satellite's last report, is in no order that it\n"
          "ever got; WANT is what the newest one names.  Ends with 3 if there is one.  An\n"
          "order that names the version wanted, signed anew by berth apply, replaces it.",
      .args_max = 1,
      .listing = "drifted.name",
      .run = run },
    { 0 },
};
