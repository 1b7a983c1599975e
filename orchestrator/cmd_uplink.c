/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_uplink: send any file as any kind of object, unchecked.
 */
#include "base/clock.h"
#include "link/port.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/path.h"

static enum rc parse_kind(const char *name, uint32_t *ret, struct err *err)
{
    for (uint32_t kind = OBJECT_ROOT; name && kind <= OBJECT_KIND_MAX; kind++) {
        if (kind != OBJECT_REPORT && strcmp(object_kind_name(kind), name) == 0) {
            *ret = kind;
            return RC_OK;
        }
    }
    return err_set(err, RC_USAGE,
                   "--kind must be root, grant, order, package, revocation, token, rekey or "
                   "delegation");
}

static enum rc queue(const struct home *home, struct store_outgoing *row, const char *file,
                     struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(close_fd) int fd = -1;
    struct store_satellite sat;
    enum rc rc = store_satellite(home->store, row->satellite, &sat, err);

    if (rc == RC_OK)
        rc = path_open_file(file, OBJECT_MAX, &fd, &row->size, err);
    if (rc == RC_OK)
        rc = home_add_file(home, fd, row->size, &row->object, row->path, err);
    if (rc == RC_OK)
        rc = store_begin(home->store, &open, err);
    if (rc == RC_OK)
        rc = store_queue(home->store, row, true, err);
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL, "uplink", row->queued_ms, err, "%s kind %u to %s",
                         row->path, row->kind, row->satellite);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static int run(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    struct store_outgoing row = { .class = CLASS_RAW, .queued_ms = clock_unix_ms() };
    const char *sat = cli_arg(cli, 0);
    struct err err;
    enum rc rc = parse_kind(cli_value(cli, "kind"), &row.kind, &err);

    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth uplink %s %s --kind package", sat, cli_arg(cli, 1));
    if (strlen(sat) >= sizeof row.satellite)
        rc = err_set(&err, RC_NO_SATELLITE, "%s", sat);
    if (rc == RC_OK)
        rc = home_open(cli->home, false, &home, &err);
    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &home, NULL, &err);
    if (rc == RC_OK) {
        memcpy(row.satellite, sat, strlen(sat) + 1);
        rc = queue(&home, &row, cli_arg(cli, 1), &err);
    }
    if (rc == RC_NO_SATELLITE)
        return cli_fail(cli, &err, "berth provision %.32s --node N --out STATEDIR", sat);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth uplink --help");
    cli_say(cli, "queued %s for %s, unchecked", cli_arg(cli, 1), row.satellite);
    return cli_json(cli, json_pack("{s:s, s:o, s:o}", "satellite", row.satellite, "object",
                                   json_digest(&row.object), "size", json_uint(row.size)));
}

static const struct cli_option options[] = {
    { "kind", CLI_TEXT, "KIND",
      "what the file claims to be: root, grant, order, package, revocation, token, rekey or "
      "delegation" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_uplink[] = {
    { .name = "uplink",
      .group = "Fleet",
      .args = "SAT FILE",
      .names = CLI_SATELLITES,
      .summary = "Queue any file for a satellite, without any check",
      .about = "For repairs and for tests. Nothing is verified here, on purpose: satellites do not "
               "trust the ground,\nthey check every signature themselves and report what they "
               "refused.",
      .args_min = 2,
      .args_max = 2,
      .options = options,
      .run = run },
    { 0 },
};
