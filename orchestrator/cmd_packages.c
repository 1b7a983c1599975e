/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_packages: the versions that were pushed, where they are, and what the way from
 * one to another costs.
 */
#include <stdio.h>
#include <stdlib.h>

#include "deltamake/make.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/view.h"

static bool same_payload(const struct store_package *a, const struct store_package *b)
{
    return strcmp(a->tenant, b->tenant) == 0 && strcmp(a->name, b->name) == 0;
}

static int by_release(const void *a, const void *b)
{
    const struct store_package *x = a, *y = b;
    int c = strcmp(x->tenant, y->tenant);

    c = c != 0 ? c : strcmp(x->name, y->name);
    return c != 0 ? c : (x->release > y->release) - (x->release < y->release);
}

static bool is_observed(const struct view_satellite *sat, const struct store_package *p)
{
    const struct report_payload *seen = verdict_payload(sat->seen, p->tenant, p->name);

    return seen && seen->is_running && digest_same(&seen->running, &p->manifest);
}

static bool is_wanted(const struct view_satellite *sat, const struct store_package *p)
{
    const struct order_line *line = verdict_order_line(&sat->order, p->tenant, p->name);

    return line && digest_same(&line->manifest, &p->manifest);
}

static json_t *where_json(const struct view *view, const struct store_package *p,
                          bool (*is)(const struct view_satellite *, const struct store_package *),
                          size_t *ret_n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < view->n; i++)
        if (is(&view->satellite[i], p))
            (void)json_array_append_new(list, json_string(view->satellite[i].row.id));
    *ret_n = json_array_size(list);
    return list;
}

/* What is known of the way from one version to another. */
static const char *delta_state(const struct view *view, const struct store_package *from,
                               const struct store_package *to, uint64_t *ret_bytes)
{
    const struct store_delta *delta = view_delta(view, &from->manifest, &to->manifest);

    *ret_bytes = delta && delta->state != DELTA_NO_GAIN ? delta->size : 0;
    if (delta)
        return delta->state == DELTA_READY     ? "ready"
               : delta->state == DELTA_DROPPED ? "dropped"
                                               : "no-gain";
    for (size_t i = 0; i < view->n_failed; i++)
        if (view->failed[i].engine == MAKE_ENGINE &&
            digest_same(&view->failed[i].base, &from->manifest) &&
            digest_same(&view->failed[i].manifest, &to->manifest))
            return "failed";
    return "not-made";
}

/* From every version of a payload to every other one. */
static json_t *deltas_json(const struct view *view, const struct store_package *first, size_t n)
{
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            uint64_t bytes = 0;
            const char *state = i == k ? NULL : delta_state(view, &first[i], &first[k], &bytes);

            if (state)
                (void)json_array_append_new(
                    list, json_pack("{s:s, s:s, s:s, s:o, s:o}", "from", first[i].version, "to",
                                    first[k].version, "state", state, "bytes",
                                    bytes ? json_uint(bytes) : json_null(), "full_bytes",
                                    json_uint(first[k].size)));
        }
    }
    return list;
}

static json_t *version_json(const struct view *view, const struct store_package *p,
                            struct cli_table *table)
{
    size_t runs = 0, wanted = 0;
    json_t *on = where_json(view, p, is_observed, &runs);
    json_t *ordered = where_json(view, p, is_wanted, &wanted);
    char payload[2U * NAME_CAP + 1U], size[CLI_SIZE_CAP], pushed[CLI_TIME_CAP], n_runs[24],
        n_wanted[24];
    const char *const cells[] = { payload, p->version, size, pushed, n_wanted, n_runs };

    (void)snprintf(payload, sizeof payload, "%s/%s", p->tenant, p->name);
    (void)cli_size(p->size, size);
    (void)cli_time((int64_t)p->pushed_ms, pushed);
    (void)snprintf(n_runs, sizeof n_runs, "%zu", runs);
    (void)snprintf(n_wanted, sizeof n_wanted, "%zu", wanted);
    cli_table_row(table, cells);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "version", p->version, "release",
                     json_uint(p->release), "digest", json_digest(&p->manifest), "bytes",
                     json_uint(p->size), "pushed_ms", json_uint(p->pushed_ms), "ordered_on",
                     ordered, "runs_on", on);
}

static json_t *payload_json(const struct view *view, const struct store_package *first, size_t n,
                            struct cli_table *table)
{
    char payload[2U * NAME_CAP + 1U];
    json_t *versions = json_array();

    (void)snprintf(payload, sizeof payload, "%s/%s", first->tenant, first->name);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(versions, version_json(view, &first[i], table));
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "payload", payload, "tenant", first->tenant,
                     "name", first->name, "versions", versions, "deltas",
                     deltas_json(view, first, n));
}

static int run(struct cli *cli)
{
    static const char *const headings[] = { "PAYLOAD", "VERSION", "SIZE",
                                            "PUSHED",  "ORDERED", "RUNS" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 6);
    scoped(home_close) struct home home = HOME_NONE;
    scoped(view_free) struct view *view = NULL;
    const char *tenant = cli_arg(cli, 0);
    struct err err = { 0 };
    json_t *list;

    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (view_load(home.store, &view, &err) != RC_OK)
        return cli_fail(cli, &err, NULL);
    if (view->n_packages > 0)
        qsort(view->packages, view->n_packages, sizeof view->packages[0], by_release);
    list = json_array();
    for (size_t i = 0, n = 0; i < view->n_packages; i += n) {
        for (n = 1;
             i + n < view->n_packages && same_payload(&view->packages[i], &view->packages[i + n]);)
            n++;
        if (!tenant || strcmp(tenant, view->packages[i].tenant) == 0)
            (void)json_array_append_new(list, payload_json(view, &view->packages[i], n, table));
    }
    cli_table_print(cli, table);
    return cli_json(cli, json_pack("{s:o}", "packages", list));
}

const struct cli_command cmd_packages[] = {
    { .name = "packages",
      .group = "Operate",
      .args = "[TENANT]",
      .summary = "List the versions that were pushed, and how many satellites have them",
      .about =
          "ORDERED counts the satellites whose newest order names the version, RUNS those that\n"
          "say that they run it.  With --json also what the way from each version to each\n"
          "other one of its payload costs: as a delta, where one was made, and in full.",
      .args_max = 1,
      .names = CLI_TENANTS,
      .listing = "packages.payload/version",
      .run = run },
    { 0 },
};
