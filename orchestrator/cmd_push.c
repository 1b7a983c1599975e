/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_push: take a package into the home, after checking it.
 */
#include "base/clock.h"
#include "orchestrator/auditing.h"
#include "orchestrator/checking.h"
#include "orchestrator/cmd.h"
#include "orchestrator/fix.h"
#include "orchestrator/home.h"

static enum rc keep(const struct home *home, const struct checked *checked, uint64_t now_ms,
                    struct store_package *row, struct err *err)
{
    const struct manifest *m = payload_manifest(checked->payload);

    (void)snprintf(row->tenant, sizeof row->tenant, "%s", m->tenant);
    (void)snprintf(row->name, sizeof row->name, "%s", m->name);
    (void)snprintf(row->version, sizeof row->version, "%s", m->version);
    row->release = m->release;
    row->manifest = *payload_digest(checked->payload);
    row->size = checked->size;
    row->pushed_ms = now_ms;
    return home_add_package(home, checked->fd, row, now_ms, err);
}

static int run(struct cli *cli)
{
    scoped(checked_done) struct checked checked = CHECKED_NONE;
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(auditing_done) struct auditing audit = { 0 };
    struct store_package row = { 0 };
    uint64_t now_ms = clock_unix_ms();
    char size[CLI_SIZE_CAP];
    struct err err;
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, "berth fleet init NAME --root KEY --operator KEY");
    if (rc == RC_OK)
        rc = home_trust(&home, now_ms, &trust, &err);
    if (rc == RC_OK)
        rc = checking_package(trust, cli_arg(cli, 0), now_ms, &checked, &err);
    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &home, NULL, &err);
    if (rc == RC_OK)
        rc = keep(&home, &checked, now_ms, &row, &err);
    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    if (rc == RC_PACKAGE_FORMAT)
        return cli_fail(cli, &err, "berth build, then berth sign, make the NAME.berth to give");
    if (rc == RC_GRANT_MISSING)
        return cli_fail(cli, &err, "berth grant TENANT --keys PUB --quota FILE");
    if (rc == RC_EQUIVOCATION)
        return cli_fail(cli, &err, "give the payload a new version: one version is one content");
    if (rc != RC_OK)
        return cli_fail(cli, &err, "%s", fix_trust(rc, "berth inspect FILE"));
    cli_say(cli, "%s/%s %s, %s, is in the home; name it in a fleet file and run berth plan",
            row.tenant, row.name, row.version, cli_size(row.size, size));
    return cli_json(cli, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "tenant", row.tenant, "name",
                                   row.name, "version", row.version, "manifest",
                                   json_digest(&row.manifest), "object", json_digest(&row.object),
                                   "size", json_uint(row.size)));
}

static const struct cli_option options[] = {
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_push[] = {
    { .name = "push",
      .group = "Payloads",
      .args = "FILE",
      .summary = "Check a package and keep it in the home, ready to be rolled out",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
