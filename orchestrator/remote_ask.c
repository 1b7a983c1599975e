/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/remote_ask: what is asked of a ground elsewhere for its orders, and how often.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#include "manifest/trust.h"
#include "orchestrator/activation.h"
#include "orchestrator/cost.h"
#include "orchestrator/fetch.h"
#include "orchestrator/outlook.h"
#include "orchestrator/path.h"
#include "orchestrator/plan_body.h"
#include "orchestrator/remote_orders.h"
#include "orchestrator/screen.h"

#define TRIES 5U
#define TRY_MS 1000 /* before the second; doubles */
#define DAY_MS (24ULL * 3600 * 1000)

enum rc remote_mission(const struct context *context, struct mission *ret, struct err *err)
{
    scoped(free_ptr) uint8_t *envelope = NULL;
    scoped(trust_free) struct trust *trust = NULL;
    size_t n = 0;

    if (context->root[0] == '\0')
        return err_set(err, RC_CONTEXT, "%s names no mission: it has no root", context->name);
    enum rc rc = path_read(context->root, DOCUMENT_MAX, &envelope, &n, err);

    if (rc == RC_OK)
        rc = trust_new((struct bytes){ envelope, n }, &trust, err);
    if (rc == RC_OK)
        *ret = trust_root(trust)->mission;
    return rc;
}

/* ---- files ------------------------------------------------------------------------------------
 */

static enum rc add_file(json_t *files, const char *name, struct bytes file, struct err *err)
{
    return json_array_append_new(files, plan_file_json(name, file)) == 0
               ? RC_OK
               : err_set(err, RC_NO_MEMORY, "files");
}

static bool has_file(const json_t *files, const char *name)
{
    size_t i;
    const json_t *one;

    json_array_foreach(files, i, one) if (strcmp(json_string_value(json_object_get(one, "name")),
                                                 name) == 0) return true;
    return false;
}

/* Each file that says where satellites are, once. */
static enum rc add_named(json_t *files, const struct fleet *fleet, const char *path,
                         struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < fleet->n_satellites; i++) {
        const struct fleet_satellite *sat = &fleet->satellite[i];
        scoped(free_ptr) uint8_t *file = NULL;
        size_t n = 0;

        if (sat->orbit != FLEET_TLE_FILE && sat->orbit != FLEET_OEM && sat->orbit != FLEET_CONTACTS)
            continue;
        if (!plan_name_valid(sat->file))
            return err_set(err, RC_API_REQUEST, "%.20s:%u: %.40s is no plain name", fleet->source,
                           sat->line, sat->file);
        if (has_file(files, sat->file))
            continue;
        rc = outlook_read(fleet, i, path, &file, &n, err);
        if (rc == RC_OK)
            rc = add_file(files, sat->file, (struct bytes){ file, n }, err);
    }
    return rc;
}

/* The file is read once: what is sent is what requests are held against. */
static enum rc add_fleet(json_t *body, const char *path, struct fleet **ret, struct err *err)
{
    scoped(free_ptr) uint8_t *text = NULL;
    scoped(yaml_close) struct yaml *doc = NULL;
    scoped(free_ptr) struct fleet *fleet = NULL;
    json_t *files = json_object_get(body, "files");
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = 0;
    enum rc rc = path_read(path, YAML_BYTES_MAX, &text, &n, err);

    if (!plan_name_valid(name))
        name = "fleet.yaml";
    if (rc == RC_OK)
        rc = yaml_parse((struct bytes){ text, n }, path, &doc, err);
    if (rc == RC_OK)
        rc = fleet_read(doc, path, &fleet, err);
    if (rc == RC_OK)
        rc = add_file(files, name, (struct bytes){ text, n }, err);
    if (rc == RC_OK)
        rc = add_named(files, fleet, path, err);
    if (rc != RC_OK)
        return rc;
    (void)json_object_set_new(body, "fleet", json_string(name));
    *ret = fleet;
    fleet = NULL;
    return RC_OK;
}

/* ---- options ----------------------------------------------------------------------------------
 */

static enum rc add_options(const struct cli *cli, bool undo, json_t *body, struct err *err)
{
    static const char *const local[] = { "request", "attach", "retry", "as" };
    const bool plans = strcmp(cli->command->name, "plan") == 0;
    const size_t columns = cli->json ? 0 : screen_width(cli);
    struct cost cost = { 0 };
    uint64_t life_ms = 0;
    enum rc rc = cost_options(cli, &cost, err);

    for (size_t i = 0; rc == RC_OK && i < sizeof local / sizeof local[0]; i++)
        if (cli_flag(cli, local[i]) || cli_value(cli, local[i]))
            rc = err_set(err, RC_CONTEXT_LOCAL, "--%s", local[i]);
    if (rc == RC_OK && !plans)
        rc = activation_life(cli, &life_ms, err);
    if (rc != RC_OK)
        return rc;
    /* What --plan means was made without them. */
    const bool deltas =
        plans ? cli_flag(cli, "deltas") : !cli_flag(cli, "no-deltas") && !cli_value(cli, "plan");

    if (!undo)
        (void)json_object_set_new(body, "deltas", json_boolean(deltas));
    (void)json_object_set_new(body, "rate", json_uint(cost.rate));
    (void)json_object_set_new(body, "pass", json_uint(cost.pass_s));
    (void)json_object_set_new(
        body, "columns",
        json_integer(columns < PLAN_COLUMNS_MAX ? (json_int_t)columns : PLAN_COLUMNS_MAX));
    (void)json_object_set_new(body, "staged", json_boolean(cli_flag(cli, "staged")));
    if (!plans && cli_flag(cli, "staged"))
        (void)json_object_set_new(body, "token_life", json_uint(life_ms / DAY_MS));
    return RC_OK;
}

enum rc remote_plan_body(const struct cli *cli, const char *path, char **ret_body,
                         struct fleet **ret_fleet, struct err *err)
{
    scoped(free_ptr) struct fleet *fleet = NULL;
    json_t *body = path ? json_pack("{s:[]}", "files") : json_object();
    enum rc rc = add_options(cli, !path, body, err);

    if (rc == RC_OK && path)
        rc = add_fleet(body, path, &fleet, err);
    char *text = rc == RC_OK ? json_dumps(body, JSON_COMPACT) : NULL;

    json_decref(body);
    if (rc == RC_OK && !text)
        rc = err_set(err, RC_NO_MEMORY, "files");
    if (rc == RC_OK && strlen(text) > PLAN_ASK_MAX) {
        free(text);
        return err_set(err, RC_TOO_LARGE, "files");
    }
    if (rc != RC_OK)
        return rc;
    *ret_body = text;
    *ret_fleet = fleet;
    fleet = NULL;
    return RC_OK;
}

enum rc remote_plan_is(const struct cli *cli, const struct asked *asked, struct err *err)
{
    const char *want = cli_value(cli, "plan");
    const size_t n = want ? strlen(want) : 0;

    if (!want || (n >= 8 && strncmp(asked->hash, want, n) == 0))
        return RC_OK;
    return err_set(err, RC_PLAN_STALE, "plan %.32s is now %.16s", want, asked->hash);
}

/* ---- asking -----------------------------------------------------------------------------------
 */

/* No answer came, or one that says that there will be one. */
static bool may_come(enum rc rc, const struct fetched *got)
{
    struct err named = { 0 };
    char fix[REMOTE_FIX_CAP];

    if (rc != RC_OK)
        return rc == RC_API_SERVER || rc == RC_TIMEOUT;
    if (got->status != 409 && got->status != 429 && got->status != 503)
        return false;
    json_t *root = NULL;

    if (remote_json(got->body, &root, &named) != RC_OK)
        return false;
    rc = remote_error(got->status, root, fix, &named);
    json_decref(root);
    return rc == RC_API_KEY_OPEN || rc == RC_API_LIMIT || rc == RC_BUSY;
}

enum rc remote_insist(struct cli *cli, const struct fetch *fetch, struct fetched *ret,
                      struct err *err)
{
    int wait_ms = TRY_MS;

    for (unsigned try = 1;; try++) {
        scoped(fetched_done) struct fetched got = { 0 };
        enum rc rc = fetch_run(cli->context, fetch, &got, err);

        if (try == TRIES || !may_come(rc, &got)) {
            *ret = got;
            got = (struct fetched){ 0 };
            return rc;
        }
        cli_note(cli, "no answer yet: asking again, for the same change");
        (void)poll(NULL, 0, wait_ms);
        wait_ms *= 2;
    }
}
