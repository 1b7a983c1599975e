/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_trust_revoke: the root role takes back a key, a grant or a version.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/name.h"
#include "link/port.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/keys.h"
#include "orchestrator/path.h"

#define DOCUMENT_NAME "revocation"

static enum rc add_key(struct cli *cli, struct revocation *doc, struct revoked entry,
                       struct err *err)
{
    const char *hex = cli_value(cli, "key");

    if (!hex)
        return RC_OK;
    entry.kind = REVOKED_KEY;
    if (!bytes_unhex(hex, entry.key, sizeof entry.key))
        return err_set(err, RC_USAGE, "--key wants a key id, 32 hex digits");
    return revoked_put(doc->entry, &doc->n, REVOCATION_ENTRIES_MAX, &entry, err);
}

/* The tenant's grants up to the one of now. */
static enum rc add_grant(struct cli *cli, const struct trust *trust, struct revocation *doc,
                         struct revoked entry, struct err *err)
{
    const char *tenant = cli_value(cli, "grant");

    if (!tenant)
        return RC_OK;
    if (!name_valid(tenant) || !trust_grant(trust, tenant))
        return err_set(err, RC_GRANT_MISSING, "%.32s", tenant);
    entry.kind = REVOKED_GRANT;
    entry.epoch = trust_grant(trust, tenant)->epoch;
    memcpy(entry.tenant, tenant, strlen(tenant) + 1);
    return revoked_put(doc->entry, &doc->n, REVOCATION_ENTRIES_MAX, &entry, err);
}

static enum rc add_manifest(struct cli *cli, struct revocation *doc, struct revoked entry,
                            struct err *err)
{
    const char *hex = cli_value(cli, "manifest");

    if (!hex)
        return RC_OK;
    entry.kind = REVOKED_MANIFEST;
    if (!bytes_unhex(hex, entry.manifest.b, sizeof entry.manifest.b))
        return err_set(err, RC_USAGE, "--manifest wants a digest, 64 hex digits");
    return revoked_put(doc->entry, &doc->n, REVOCATION_ENTRIES_MAX, &entry, err);
}

static enum rc next_number(const struct home *home, uint64_t *ret, struct err *err)
{
    scoped(free_ptr) struct store_name *names = NULL;
    size_t n = 0;
    enum rc rc = store_documents(home->store, DOC_REVOCATION, &names, &n, err);

    if (rc == RC_OK)
        *ret = n > 0 ? names[0].version + 1 : 1;
    return rc;
}

static enum rc fill(struct cli *cli, const struct home *home, const struct trust *trust,
                    struct revocation *doc, struct err *err)
{
    const char *policy = cli_value(cli, "policy");
    struct revoked entry = { 0 };
    uint64_t next = 1;

    doc->issued_ms = clock_unix_ms();
    if (!policy || !revoke_policy_find(policy, &entry.policy))
        return err_set(err, RC_USAGE, "--policy must be keep, rollback or stop");
    enum rc rc = next_number(home, &next, err);
    if (rc == RC_OK)
        rc = cli_number(cli, "number", next, 1, INT64_MAX, &doc->number, err);
    if (rc == RC_OK)
        rc = add_key(cli, doc, entry, err);
    if (rc == RC_OK)
        rc = add_grant(cli, trust, doc, entry, err);
    if (rc == RC_OK)
        rc = add_manifest(cli, doc, entry, err);
    if (rc == RC_OK && doc->n == 0)
        rc = err_set(err, RC_USAGE, "what? give --key, --grant or --manifest");
    return rc;
}

static enum rc sign(struct cli *cli, struct trust *trust, const struct revocation *doc,
                    uint8_t **ret, size_t *ret_n, struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(free_ptr) uint8_t *envelope = NULL;
    uint8_t buf[2048];
    struct bytes payload = { 0 };
    bool taken = false;
    size_t n = 0;
    enum rc rc = revocation_encode(doc, buf, sizeof buf, &payload, err);

    if (rc == RC_OK)
        rc = keyring_load(cli, "root", NULL, &ring, err);
    if (rc == RC_OK)
        rc = keyring_sign(&ring, DOC_REVOCATION, &trust_root(trust)->mission, payload, &envelope,
                          &n, err);
    if (rc == RC_OK) /* as every satellite will see it */
        rc = trust_add_revocation(trust, (struct bytes){ .p = envelope, .n = n }, &taken, err);
    if (rc != RC_OK)
        return rc;
    *ret = envelope;
    *ret_n = n;
    envelope = NULL;
    return RC_OK;
}

static enum rc queue(const struct home *home, const struct revocation *doc, struct bytes envelope,
                     size_t *ret_queued, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) struct store_satellite *sats = NULL;
    size_t n = 0;
    enum rc rc = store_begin(home->store, &open, err);

    if (rc == RC_OK)
        rc = store_put_document(home->store, DOC_REVOCATION, DOCUMENT_NAME, doc->number, envelope,
                                doc->issued_ms, err);
    if (rc == RC_OK)
        rc = store_satellites(home->store, &sats, &n, err);
    for (size_t i = 0; i < n && rc == RC_OK; i++)
        rc = home_queue_bytes(home, sats[i].id, OBJECT_REVOCATION, envelope, false, doc->issued_ms,
                              err);
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL, "revoke", doc->issued_ms, err,
                         "number %llu, %u entries, to %zu satellites",
                         (unsigned long long)doc->number, doc->n, n);
    *ret_queued = n;
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static int run(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(free_ptr) uint8_t *envelope = NULL;
    const char *out = cli_value(cli, "out");
    struct revocation doc = { 0 };
    size_t n = 0, queued = 0;
    struct err err;
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = home_trust(&home, clock_unix_ms(), &trust, &err);
    if (rc == RC_OK)
        rc = fill(cli, &home, trust, &doc, &err);
    if (rc == RC_OK)
        rc = sign(cli, trust, &doc, &envelope, &n, &err);
    if (rc == RC_OK && out)
        rc = path_write(out, (struct bytes){ .p = envelope, .n = n }, 0600, &err);
    if (rc == RC_OK && !out)
        rc = queue(&home, &doc, (struct bytes){ .p = envelope, .n = n }, &queued, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth trust revoke --help");
    if (out)
        cli_say(cli, "revocation %llu, %zu bytes, in %s and nowhere else",
                (unsigned long long)doc.number, n, out);
    else
        cli_say(cli, "revocation %llu, %zu bytes, queued for %zu satellites",
                (unsigned long long)doc.number, n, queued);
    return cli_json(cli, json_pack("{s:o, s:o, s:i}", "number", json_uint(doc.number), "bytes",
                                   json_uint(n), "satellites", (int)queued));
}

static const struct cli_option options[] = {
    { "key", CLI_TEXT, "ID", "revoke a key: 32 hex digits, as berth inspect shows them" },
    { "grant", CLI_TEXT, "TENANT", "revoke the tenant's grant of now, and all before it" },
    { "manifest", CLI_TEXT, "DIGEST", "revoke one version" },
    { "policy", CLI_TEXT, "POLICY", "what becomes of what runs: keep, rollback or stop" },
    { "root", CLI_LIST, "KEY", "root keys that sign" },
    { "number", CLI_TEXT, "N", "its number (else one higher than the one queued last)" },
    { "out", CLI_PATH, "FILE", "write it to FILE, for the safe, and send nothing" },
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_trust_revoke[] = {
    { .name = "trust revoke",
      .group = "Keys and trust",
      .args = "",
      .summary = "Take back a key, a grant or a version, signed by the root role",
      .about = "For good: nothing undoes a revocation. One made in advance with --out takes a high "
               "--number and is sent\nwith berth uplink SAT FILE --kind revocation.",
      .options = options,
      .run = run },
    { 0 },
};
