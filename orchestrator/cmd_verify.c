/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_verify: would a satellite take this package?
 */
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/checking.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/path.h"

static enum rc add_grant_files(struct cli *cli, struct trust *trust, uint64_t now_ms,
                               struct err *err)
{
    const char *path;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(cli, "grant", i)) != NULL; i++) {
        scoped(free_ptr) uint8_t *envelope = NULL;
        size_t n = 0;

        rc = path_read(path, DOCUMENT_MAX, &envelope, &n, err);
        if (rc == RC_OK)
            rc = trust_add_grant(trust, (struct bytes){ .p = envelope, .n = n }, now_ms, err);
    }
    return rc;
}

/* From files, or from the home directory. */
static enum rc find_trust(struct cli *cli, uint64_t now_ms, struct trust **ret, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) uint8_t *envelope = NULL;
    const char *root = cli_value(cli, "root");
    size_t n = 0;
    enum rc rc;

    if (!root) {
        rc = home_open(cli->home, false, &home, err);
        if (rc == RC_NOT_FOUND)
            return err_set(err, RC_TRUST_MISSING, "no --root, and no fleet in %s", cli->home);
        return rc == RC_OK ? home_trust(&home, now_ms, ret, err) : rc;
    }
    rc = path_read(root, DOCUMENT_MAX, &envelope, &n, err);
    if (rc == RC_OK)
        rc = trust_new((struct bytes){ .p = envelope, .n = n }, ret, err);
    return rc == RC_OK ? add_grant_files(cli, *ret, now_ms, err) : rc;
}

static int run(struct cli *cli)
{
    scoped(checked_done) struct checked checked = CHECKED_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    uint64_t now_ms = clock_unix_ms();
    const struct manifest *m;
    const struct digest *digest;
    char hex[2 * DIGEST_SIZE + 1];
    struct err err;
    enum rc rc = find_trust(cli, now_ms, &trust, &err);

    if (rc == RC_OK)
        rc = checking_package(trust, cli_arg(cli, 0), now_ms, &checked, &err);
    if (rc == RC_TRUST_MISSING)
        return cli_fail(cli, &err, "berth verify %s --root FILE --grant FILE", cli_arg(cli, 0));
    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    if (rc == RC_PACKAGE_FORMAT)
        return cli_fail(cli, &err, "berth build, then berth sign, make the NAME.berth to give");
    if (rc == RC_GRANT_MISSING)
        return cli_fail(cli, &err, "berth grant TENANT --keys PUB --quota FILE");
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth inspect %s", cli_arg(cli, 0));
    m = payload_manifest(checked.payload);
    digest = payload_digest(checked.payload);
    cli_say(cli, "%s/%s %s is signed, whole and inside its grant", m->tenant, m->name, m->version);
    cli_say(cli, "manifest %s",
            bytes_hex((struct bytes){ .p = digest->b, .n = sizeof digest->b }, hex));
    if (!checked.unpacked)
        cli_note(cli, "note: built for %s, so unpacking it was not tried here", m->arch);
    return cli_json(cli, json_pack("{s:s, s:s, s:s, s:o, s:b, s:b}", "tenant", m->tenant, "name",
                                   m->name, "version", m->version, "manifest", json_digest(digest),
                                   "verified", 1, "unpacked", (int)checked.unpacked));
}

static const struct cli_option options[] = {
    { "root", CLI_PATH, "FILE", "trust root (else that of the home directory)" },
    { "grant", CLI_LIST, "FILE", "the tenant's grant, with --root" },
    { 0 },
};

const struct cli_command cmd_verify[] = {
    { .name = "verify",
      .group = "Payloads",
      .args = "FILE",
      .summary = "Check a package as a satellite will: signatures, grant, digests, unpacking",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
