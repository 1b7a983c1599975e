/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_quota: what tenants and teams may have, by fleet file and grant, what of it the
 * newest orders use on each satellite, and what went up today.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/name.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/quota_book.h"

#define ROWS_MAX (2U * TENANTS_MAX + FLEET_QUOTAS_MAX)

struct row {
    struct fleet_quota who; /* the limits in force: the lower of fleet file and grant */
    bool from_grant[FLEET_BOUNDS];
};

struct quota_list {
    struct cli *cli;
    struct home home;
    struct fleet *fleet; /* NULL: none was applied yet */
    struct trust *trust;
    struct view *view;
    struct quota_book *book;
    size_t n;
    struct row row[ROWS_MAX]; /* by tenant, then team */
};

static void done(struct quota_list *q)
{
    quota_book_free(&q->book);
    view_free(&q->view);
    trust_free(&q->trust);
    free(q->fleet);
    home_close(&q->home);
}

/* ---- who there is --------------------------------------------------------------------------- */

static struct row *row_of(struct quota_list *q, const char *tenant, const char *team)
{
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->row[i].who.tenant, tenant) == 0 && strcmp(q->row[i].who.team, team) == 0)
            return &q->row[i];
    if (q->n == ROWS_MAX)
        return NULL;
    struct row *row = &q->row[q->n++];

    (void)snprintf(row->who.tenant, sizeof row->who.tenant, "%s", tenant);
    (void)snprintf(row->who.team, sizeof row->who.team, "%s", team);
    return row;
}

static void lower(struct row *row, enum fleet_bound bound, uint64_t granted)
{
    if (granted == 0 || (row->who.most[bound] != 0 && row->who.most[bound] <= granted))
        return;
    row->who.most[bound] = granted;
    row->from_grant[bound] = true;
}

static void add_grant(struct quota_list *q, const char *tenant)
{
    const struct grant *grant = trust_grant(q->trust, tenant);
    struct row *row = row_of(q, tenant, "");

    if (!grant || !row)
        return;
    lower(row, FLEET_MEMORY, grant->total.memory_bytes);
    lower(row, FLEET_CPU, grant->total.cpu_permille);
    lower(row, FLEET_STORE, grant->store_bytes);
}

static int by_name(const void *a, const void *b)
{
    const struct fleet_quota *x = &((const struct row *)a)->who, *y = &((const struct row *)b)->who;
    int c = strcmp(x->tenant, y->tenant);

    return c != 0 ? c : strcmp(x->team, y->team);
}

static enum rc find_rows(struct quota_list *q, struct err *err)
{
    scoped(free_ptr) struct store_name *grants = NULL;
    size_t n = 0;
    enum rc rc = store_documents(q->home.store, DOC_GRANT, &grants, &n, err);

    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; q->fleet && i < q->fleet->n_tenants; i++)
        (void)row_of(q, q->fleet->tenant[i].id, "");
    for (uint32_t i = 0; q->fleet && i < q->fleet->n_quotas; i++) {
        const struct fleet_quota *from = &q->fleet->quota[i];
        struct row *row = row_of(q, from->tenant, from->team);

        if (row)
            row->who = *from;
    }
    for (uint32_t i = 0; q->fleet && i < q->fleet->n_tenants; i++) {
        struct row *row = row_of(q, q->fleet->tenant[i].id, "");

        if (row && row->who.most[FLEET_UPLINK] == 0)
            row->who.most[FLEET_UPLINK] = q->fleet->tenant[i].uplink_bytes;
    }
    for (size_t i = 0; i < n; i++)
        add_grant(q, grants[i].name);
    qsort(q->row, q->n, sizeof q->row[0], by_name);
    return RC_OK;
}

static enum rc load_fleet(struct quota_list *q, struct err *err)
{
    char path[STORE_PATH_CAP] = "";
    const char *given = cli_value(q->cli, "fleet");
    enum rc rc = given ? RC_OK : store_get(q->home.store, HOME_FLEET_FILE, path, sizeof path, err);

    if (rc == RC_NOT_FOUND && !given)
        return RC_OK;
    return rc == RC_OK ? fleet_load(given ? given : path, &q->fleet, err) : rc;
}

/* ---- what they use -------------------------------------------------------------------------- */

static json_t *amounts_json(const uint64_t amount[FLEET_BOUNDS])
{
    return json_pack("{s:o, s:o, s:o, s:o}", "memory", json_uint(amount[FLEET_MEMORY]), "cpu",
                     json_uint(amount[FLEET_CPU]), "store", json_uint(amount[FLEET_STORE]), "logs",
                     json_uint(amount[FLEET_LOGS]));
}

static json_t *limits_json(const struct row *row)
{
    json_t *to = json_object();

    for (unsigned b = 0; b < FLEET_BOUNDS; b++)
        (void)json_object_set_new(to, fleet_bound_name((enum fleet_bound)b),
                                  row->who.most[b] ? json_uint(row->who.most[b]) : json_null());
    return to;
}

static json_t *from_json(const struct row *row)
{
    json_t *to = json_object();

    for (unsigned b = 0; b < FLEET_BOUNDS; b++)
        if (row->who.most[b] != 0)
            (void)json_object_set_new(to, fleet_bound_name((enum fleet_bound)b),
                                      json_string(row->from_grant[b] ? "grant" : "fleet file"));
    return to;
}

/* What a tenant's order has it run on a satellite. */
static json_t *payloads_json(const struct quota_list *q, const struct fleet_quota *who,
                             const struct want *order)
{
    json_t *list = json_array();

    for (uint32_t i = 0; who->team[0] == '\0' && i < order->n_lines; i++) {
        const struct store_package *p = view_package(q->view, &order->line[i].manifest);

        if (strcmp(order->line[i].tenant, who->tenant) == 0)
            (void)json_array_append_new(list, json_pack("{s:s, s:s}", "name", order->line[i].name,
                                                        "version", p ? p->version : "?"));
    }
    return list;
}

static void add_cell(struct cli_table *table, const struct row *row, enum fleet_bound bound,
                     uint64_t used, const char *where)
{
    const uint64_t most = row->who.most[bound];
    char who[SIGNER_CAP], use[FLEET_BOUND_CAP], of[FLEET_BOUND_CAP], left[FLEET_BOUND_CAP];

    (void)snprintf(who, sizeof who, "%s%s%s", row->who.tenant, row->who.team[0] ? "/" : "",
                   row->who.team);
    (void)fleet_bound_text(bound, most > used ? most - used : 0, left);
    const char *const cells[] = { who,
                                  fleet_bound_name(bound),
                                  fleet_bound_text(bound, used, use),
                                  most ? fleet_bound_text(bound, most, of) : "no limit",
                                  most == 0     ? "-"
                                  : used > most ? "OVER"
                                                : left,
                                  where };

    cli_table_row(table, cells);
}

/* Each satellite's when one tenant is asked for, else the fullest of each. */
static void add_cells(struct quota_list *q, struct cli_table *table, const struct row *row,
                      const uint64_t (*used)[FLEET_BOUNDS])
{
    for (unsigned b = 0; b < FLEET_BOUNDS; b++) {
        size_t fullest = 0;

        if (b == FLEET_UPLINK || (b == FLEET_LOGS && row->who.most[b] == 0))
            continue;
        for (size_t i = 1; i < q->view->n; i++)
            fullest = used[i][b] > used[fullest][b] ? i : fullest;
        for (size_t i = 0; i < q->view->n; i++)
            if (cli_arg(q->cli, 0) ? used[i][b] > 0 : i == fullest)
                add_cell(table, row, (enum fleet_bound)b, used[i][b], q->view->satellite[i].row.id);
    }
}

static uint32_t share_of(const struct quota_list *q, const char *tenant)
{
    for (uint32_t i = 0; q->fleet && i < q->fleet->n_tenants; i++)
        if (strcmp(q->fleet->tenant[i].id, tenant) == 0)
            return q->fleet->tenant[i].share;
    return 1;
}

static json_t *uplink_json(const struct quota_list *q, const struct row *row, uint64_t sent,
                           uint64_t waits)
{
    const uint64_t most = row->who.most[FLEET_UPLINK];
    char day[CLI_TIME_CAP];

    (void)cli_time((int64_t)q->book->now_ms, day);
    day[10] = '\0';
    return json_pack("{s:s, s:o, s:o, s:o}", "day", day, "sent", json_uint(sent), "waiting",
                     json_uint(waits), "left",
                     most ? json_uint(most > sent ? most - sent : 0) : json_null());
}

/* One row, for people into the table and as JSON into *ret. */
static enum rc add_row(struct quota_list *q, const struct row *row, struct cli_table *table,
                       json_t **ret, struct err *err)
{
    scoped(free_ptr) uint64_t(*used)[FLEET_BOUNDS] = calloc(q->view->n + 1, sizeof *used);
    uint64_t sent = 0, waits = 0;
    json_t *satellites = json_array();
    enum rc rc = used ? quota_book_up(q->book, &q->home, &row->who, &sent, &waits, err)
                      : err_set(err, RC_NO_MEMORY, "quota");

    for (size_t i = 0; rc == RC_OK && i < q->view->n; i++) {
        const struct view_satellite *sat = &q->view->satellite[i];

        rc = quota_book_order(q->book, &q->home, &sat->order, &row->who, used[i], err);
        if (rc != RC_OK || (used[i][FLEET_MEMORY] == 0 && used[i][FLEET_STORE] == 0))
            continue;
        (void)json_array_append_new(satellites,
                                    json_pack("{s:s, s:o, s:o}", "id", sat->row.id, "used",
                                              amounts_json(used[i]), "payloads",
                                              payloads_json(q, &row->who, &sat->order)));
    }
    if (rc != RC_OK) {
        json_decref(satellites);
        return rc;
    }
    add_cells(q, table, row, (const uint64_t(*)[FLEET_BOUNDS])used);
    add_cell(table, row, FLEET_UPLINK, sent, "today");
    *ret = json_pack("{s:s, s:o, s:o, s:o, s:o}", row->who.team[0] ? "team" : "id",
                     row->who.team[0] ? row->who.team : row->who.tenant, "quota", limits_json(row),
                     "from", from_json(row), "satellites", satellites, "uplink",
                     uplink_json(q, row, sent, waits));
    return RC_OK;
}

static int print(struct quota_list *q, struct err *err)
{
    static const char *const headings[] = { "TENANT", "WHAT", "USED", "OF", "LEFT", "WHERE" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 6);
    const char *only = cli_arg(q->cli, 0);
    json_t *tenants = json_array(), *last = NULL;
    enum rc rc = RC_OK;
    bool found = false;

    for (size_t i = 0; rc == RC_OK && i < q->n; i++) {
        const struct row *row = &q->row[i];
        json_t *one = NULL;

        if (only && strcmp(row->who.tenant, only) != 0)
            continue;
        found = true;
        rc = add_row(q, row, table, &one, err);
        if (rc == RC_OK && row->who.team[0] == '\0') {
            (void)json_object_set_new(one, "share", json_uint(share_of(q, row->who.tenant)));
            (void)json_object_set_new(one, "teams", json_array());
            (void)json_array_append_new(tenants, one);
            last = one;
        } else if (rc == RC_OK) {
            (void)json_array_append_new(json_object_get(last, "teams"), one);
        }
    }
    if (rc == RC_OK && only && !found)
        rc = err_set(err, RC_NOT_FOUND, "tenant %s", only);
    if (rc != RC_OK) {
        json_decref(tenants);
        return cli_fail(q->cli, err, "berth quota lists the tenants");
    }
    cli_table_print(q->cli, table);
    return cli_json(q->cli, json_pack("{s:o, s:o}", "fleet_file", json_boolean(q->fleet != NULL),
                                      "tenants", tenants));
}

static int run(struct cli *cli)
{
    scoped(done) struct quota_list q = { .cli = cli, .home = HOME_NONE };
    const uint64_t now_ms = clock_unix_ms();
    struct err err = { 0 };

    if (cli_arg(cli, 0) && !name_valid(cli_arg(cli, 0))) {
        (void)err_set(&err, RC_NAME, "%s", cli_arg(cli, 0));
        return cli_fail(cli, &err, "berth quota lists the tenants");
    }
    if (home_open(cli->home, false, &q.home, &err) != RC_OK ||
        home_trust(&q.home, now_ms, &q.trust, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (load_fleet(&q, &err) != RC_OK)
        return cli_fail(cli, &err, "berth quota --fleet FILE; it was moved or changed since apply");
    if (view_load(q.home.store, &q.view, &err) != RC_OK ||
        quota_book_load(q.home.store, q.view, now_ms, &q.book, &err) != RC_OK ||
        find_rows(&q, &err) != RC_OK)
        return cli_fail(cli, &err, NULL);
    return print(&q, &err);
}

static const struct cli_option options[] = {
    { "fleet", CLI_PATH, "FILE", "the fleet file (else the one that was applied last)" },
    { 0 },
};

const struct cli_command cmd_quota[] = {
    { .name = "quota",
      .group = "Operate",
      .args = "[TENANT]",
      .summary = "Show what tenants may have, what they use and what is left",
      .about =
          "Memory, cpu and store are sums over what the newest order has a tenant run on one\n"
          "satellite: the fullest satellite is shown, or each of them for one TENANT.  Limits are\n"
          "the lower of the fleet file's quota and the grant.  Uplink counts the objects that\n"
          "satellites have reported complete on this UTC day.",
      .args_max = 1,
      .names = CLI_TENANTS,
      .listing = "tenants.id",
      .options = options,
      .run = run },
    { 0 },
};
