/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_trust_revoke: the root role takes back keys, grants and versions; at once,
 * across an air gap, or in advance, for the safe.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/name.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/fix.h"
#include "orchestrator/home.h"
#include "orchestrator/keys.h"
#include "orchestrator/offline.h"
#include "orchestrator/path.h"
#include "orchestrator/strong.h"

#define REQUEST_NAME "revocation"
#define WHAT_CAP 512U

/* ---- what is taken back ---- */

/* What names are looked up in. */
struct context {
    const struct home *home;
    const struct trust *trust;
};

/* By its id, or by the file of its public half. */
static enum rc fill_key(const struct context *c, const char *what, struct revoked *entry,
                        struct err *err)
{
    scoped(free_ptr) struct public_key *key = calloc(1, sizeof *key);
    size_t n = strlen(what), cut = strlen(KEY_PUBLIC_SUFFIX);

    (void)c;
    entry->kind = REVOKED_KEY;
    if (!key)
        return err_set(err, RC_NO_MEMORY, "key");
    if (n > cut && strcmp(what + n - cut, KEY_PUBLIC_SUFFIX) == 0) {
        enum rc rc = keys_public(what, key, err);

        memcpy(entry->key, key->id, sizeof entry->key);
        return rc;
    }
    return bytes_unhex(what, entry->key, sizeof entry->key)
               ? RC_OK
               : err_set(err, RC_USAGE, "--key wants a key id, 32 hex digits: %.40s", what);
}

/* The tenant's grants up to the one of now. */
static enum rc fill_grant(const struct context *c, const char *what, struct revoked *entry,
                          struct err *err)
{
    if (!name_valid(what) || !trust_grant(c->trust, what))
        return err_set(err, RC_GRANT_MISSING, "%.32s", what);
    entry->kind = REVOKED_GRANT;
    entry->epoch = trust_grant(c->trust, what)->epoch;
    memcpy(entry->tenant, what, strlen(what) + 1);
    return RC_OK;
}

/* By its digest, or as acme/cam@1.0 where it was pushed. */
static enum rc fill_manifest(const struct context *c, const char *what, struct revoked *entry,
                             struct err *err)
{
    struct store_package row = { 0 };
    char copy[WHAT_CAP], *name, *version;

    entry->kind = REVOKED_MANIFEST;
    if (bytes_unhex(what, entry->manifest.b, sizeof entry->manifest.b))
        return RC_OK;
    (void)snprintf(copy, sizeof copy, "%s", what);
    name = strchr(copy, '/');
    version = strchr(copy, '@');
    if (!name || !version || version < name)
        return err_set(err, RC_USAGE, "--manifest wants 64 hex digits, or TENANT/NAME@VERSION");
    *name++ = *version++ = '\0';
    enum rc rc = store_package(c->home->store, copy, name, version, &row, err);

    entry->manifest = row.manifest;
    return rc;
}

static const struct {
    const char *option;
    enum rc (*fill)(const struct context *c, const char *what, struct revoked *entry,
                    struct err *err);
} kinds[] = {
    { "key", fill_key },
    { "grant", fill_grant },
    { "manifest", fill_manifest },
};

/* "WHAT" or "WHAT:POLICY", else the policy of all. */
static enum rc split(struct cli *cli, const char *value, char what[WHAT_CAP],
                     enum revoke_policy *ret, struct err *err)
{
    const char *colon = strrchr(value, ':');
    const char *policy = colon ? colon + 1 : cli_value(cli, "policy");
    size_t n = colon ? (size_t)(colon - value) : strlen(value);

    if (n >= WHAT_CAP)
        return err_set(err, RC_USAGE, "%.40s...", value);
    memcpy(what, value, n);
    what[n] = '\0';
    if (!policy || !revoke_policy_find(policy, ret))
        return err_set(err, RC_USAGE, "%s: its policy must be keep, rollback or stop", what);
    return RC_OK;
}

static enum rc add_entries(struct cli *cli, const struct context *c, size_t kind,
                           struct revocation *doc, struct err *err)
{
    const char *value;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && (value = cli_value_at(cli, kinds[kind].option, i)); i++) {
        struct revoked entry = { 0 };
        char what[WHAT_CAP];

        rc = split(cli, value, what, &entry.policy, err);
        if (rc == RC_OK)
            rc = kinds[kind].fill(c, what, &entry, err);
        if (rc == RC_OK)
            rc = revoked_put(doc->entry, &doc->n, REVOCATION_ENTRIES_MAX, &entry, err);
        if (rc == RC_NO_ROOM)
            rc = err_set(err, RC_NO_ROOM, "more than %u entries in one revocation",
                         REVOCATION_ENTRIES_MAX);
    }
    return rc;
}

/* Numbers are counted under each root by itself. */
static void name_of(const struct trust *trust, char out[NAME_CAP])
{
    (void)snprintf(out, NAME_CAP, "root-%llu", (unsigned long long)trust_root(trust)->version);
}

static enum rc next_number(const struct home *home, const struct trust *trust, uint64_t *ret,
                           struct err *err)
{
    scoped(free_ptr) struct store_name *names = NULL;
    char name[NAME_CAP];
    size_t n = 0;
    enum rc rc = store_documents(home->store, DOC_REVOCATION, &names, &n, err);

    name_of(trust, name);
    *ret = 1;
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (strcmp(names[i].name, name) == 0)
            *ret = names[i].version + 1;
    return rc;
}

static enum rc fill(struct cli *cli, const struct home *home, const struct trust *trust,
                    struct revocation *doc, struct err *err)
{
    const struct context c = { .home = home, .trust = trust };
    uint64_t next = 1;
    enum rc rc = next_number(home, trust, &next, err);

    doc->issued_ms = clock_unix_ms();
    if (rc == RC_OK)
        rc = cli_number(cli, "number", next, 1, INT64_MAX, &doc->number, err);
    for (size_t i = 0; rc == RC_OK && i < sizeof kinds / sizeof kinds[0]; i++)
        rc = add_entries(cli, &c, i, doc, err);
    if (rc == RC_OK && doc->n == 0 && !cli_flag(cli, "nothing"))
        rc = err_set(err, RC_USAGE, "what? give --key, --grant or --manifest");
    return rc == RC_OK ? strong_revocation(home, trust, doc, err) : rc;
}

/* ---- signatures ---- */

static enum rc sign(struct cli *cli, const struct trust *trust, struct bytes payload, uint8_t **ret,
                    size_t *ret_n, struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    enum rc rc = keyring_load(cli, "root", NULL, &ring, err);

    return rc == RC_OK ? keyring_sign(&ring, DOC_REVOCATION, &trust_root(trust)->mission, payload,
                                      ret, ret_n, err)
                       : rc;
}

/* More than fits is told before it is sent.  What a role's signatures need by themselves cannot be
 * helped. */
static enum rc check_size(size_t payload, size_t whole, struct err *err)
{
    if (whole <= REVOCATION_BYTES_MAX || whole - payload + 64 > REVOCATION_BYTES_MAX)
        return RC_OK;
    return err_set(err, RC_TOO_LARGE, "%zu bytes, %u fit one bundle of 8 KB", whole,
                   REVOCATION_BYTES_MAX);
}

static enum rc make(struct cli *cli, const struct trust *trust, const struct revocation *doc,
                    uint8_t **ret, size_t *ret_n, struct err *err)
{
    uint8_t buf[REVOCATION_BYTES_MAX];
    struct bytes payload = { 0 };
    enum rc rc = revocation_encode(doc, buf, sizeof buf, &payload, err);

    if (rc == RC_OK)
        rc = sign(cli, trust, payload, ret, ret_n, err);
    return rc == RC_OK ? check_size(payload.n, *ret_n, err) : rc;
}

static enum rc collect(struct cli *cli, struct revocation *ret, uint8_t **ret_envelope,
                       size_t *ret_n, struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    enum rc rc = offline_collect(cli_value(cli, "attach"), REQUEST_NAME, DOC_REVOCATION, &offline,
                                 ret_envelope, ret_n, err);

    return rc == RC_OK ? revocation_decode(offline.request.payload, ret, err) : rc;
}

/* One that was signed before, from its file. */
static enum rc take_out(struct cli *cli, struct revocation *ret, uint8_t **ret_envelope,
                        size_t *ret_n, struct err *err)
{
    struct envelope envelope;
    const char *path = cli_value(cli, "add");
    enum doc_type type = DOC_REPORT;
    enum rc rc = path_read(path, DOCUMENT_MAX, ret_envelope, ret_n, err);

    if (rc != RC_OK)
        return rc;
    if (envelope_open((struct bytes){ *ret_envelope, *ret_n }, &envelope, err) != RC_OK ||
        doc_peek_type(envelope.payload, &type, err) != RC_OK || type != DOC_REVOCATION)
        return err_set(err, RC_DOC_TYPE, "%s is no revocation", path);
    return revocation_decode(envelope.payload, ret, err);
}

static int run_ask(struct cli *cli, const struct trust *trust, const struct revocation *doc)
{
    const struct key_set *keys = &trust_root(trust)->root_keys;
    struct request request = { .type = DOC_REVOCATION, .mission = trust_root(trust)->mission };
    const char *dir = cli_value(cli, "request");
    uint8_t buf[REVOCATION_BYTES_MAX];
    char path[PATH_MAX];
    struct err err;

    if (revocation_encode(doc, buf, sizeof buf, &request.payload, &err) != RC_OK ||
        offline_write(dir, REQUEST_NAME, &request, path, &err) != RC_OK)
        return cli_fail(cli, &err, "%s", fix_trust(err.rc, "berth trust revoke --help"));
    cli_say(cli, "%s: revocation %llu, %u entries; %u of %u root keys must sign it", path,
            (unsigned long long)doc->number, doc->n, keys->threshold, keys->n);
    cli_note(cli,
             "carry it to each signer: berth sign %s --key KEY; then berth trust revoke --attach "
             "%s",
             path, dir);
    return cli_json(cli, json_pack("{s:o}", "file", json_safe(path)));
}

/* ---- the command ---- */

static enum rc keep(const struct home *home, const struct trust *trust,
                    const struct revocation *doc, struct bytes envelope, size_t *ret_queued,
                    struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    char name[NAME_CAP];
    const struct home_document published = {
        .type = DOC_REVOCATION, .name = name, .version = doc->number, .envelope = envelope
    };
    uint64_t now_ms = clock_unix_ms();
    enum rc rc = store_begin(home->store, &open, err);

    name_of(trust, name);
    if (rc == RC_OK)
        rc = home_publish(home, &published, now_ms, ret_queued, err);
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL, "revoke", now_ms, err,
                         "number %llu, %u entries, to %zu satellites",
                         (unsigned long long)doc->number, doc->n, *ret_queued);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static int say(struct cli *cli, const struct revocation *doc, size_t n, size_t queued)
{
    const char *out = cli_value(cli, "out");

    if (out)
        cli_say(cli, "revocation %llu, %u entries, %zu bytes, in %s and nowhere else",
                (unsigned long long)doc->number, doc->n, n, out);
    else
        cli_say(cli, "revocation %llu, %u entries, %zu bytes, queued for %zu satellites",
                (unsigned long long)doc->number, doc->n, n, queued);
    if (n > REVOCATION_BYTES_MAX)
        cli_note(cli, "note: its signatures alone are more than one bundle of 8 KB holds");
    return cli_json(cli,
                    json_pack("{s:o, s:i, s:o, s:i}", "number", json_uint(doc->number), "entries",
                              (int)doc->n, "bytes", json_uint(n), "satellites", (int)queued));
}

static int failed(struct cli *cli, const struct err *err)
{
    switch ((int)err->rc) {
    case RC_USAGE:
        return cli_fail(cli, err, "berth trust revoke --key ID --policy stop --root KEY");
    case RC_NO_ROOM:
    case RC_TOO_LARGE:
        return cli_fail(cli, err, "give fewer entries, and the rest in a second revocation");
    case RC_VERSION_OLD:
    case RC_EQUIVOCATION:
        return cli_fail(cli, err,
                        "one with this number or a higher one is in force: sign it again, "
                        "with a higher --number");
    default:
        return cli_fail(cli, err, "%s", fix_trust(err->rc, "berth trust revoke --help"));
    }
}

static int run(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(auditing_done) struct auditing audit = { 0 };
    scoped(free_ptr) uint8_t *envelope = NULL;
    const char *out = cli_value(cli, "out");
    bool attach = cli_value(cli, "attach") != NULL, add = cli_value(cli, "add") != NULL;
    struct revocation doc = { 0 };
    size_t n = 0, queued = 0;
    bool taken = false;
    struct err err = { 0 };
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, "berth fleet init NAME --root KEY --operator KEY");
    if (rc == RC_OK)
        rc = home_trust(&home, clock_unix_ms(), &trust, &err);
    if (rc == RC_OK && !attach && !add)
        rc = fill(cli, &home, trust, &doc, &err);
    if (rc == RC_OK && cli_value(cli, "request"))
        return run_ask(cli, trust, &doc);
    if (rc == RC_OK)
        rc = add      ? take_out(cli, &doc, &envelope, &n, &err)
             : attach ? collect(cli, &doc, &envelope, &n, &err)
                      : make(cli, trust, &doc, &envelope, &n, &err);
    if (rc == RC_OK) /* as every satellite will see it */
        rc = trust_add_revocation(trust, (struct bytes){ envelope, n }, &taken, &err);
    if (rc == RC_OK && !out)
        rc = auditing_begin(&audit, cli, &home, NULL, &err);
    if (rc == RC_OK && out)
        rc = path_write(out, (struct bytes){ envelope, n }, 0600, &err);
    else if (rc == RC_OK)
        rc = keep(&home, trust, &doc, (struct bytes){ envelope, n }, &queued, &err);
    return rc == RC_OK ? say(cli, &doc, n, queued) : failed(cli, &err);
}

static const struct cli_option options[] = {
    { "key", CLI_LIST, "KEY",
      "revoke keys: ids of 32 hex digits, as berth key show has, or NAME.pub" },
    { "grant", CLI_LIST, "TENANT", "revoke the tenants' grants of now, and all before them" },
    { "manifest", CLI_LIST, "WHICH", "revoke versions: digests, or TENANT/NAME@VERSION" },
    { "policy", CLI_TEXT, "POLICY", "what becomes of what runs: keep, rollback or stop" },
    { "nothing", CLI_FLAG, NULL, "revoke nothing: the root role only says what time it is" },
    { "root", CLI_LIST, "KEY", "root keys that sign" },
    { "number", CLI_TEXT, "N", "its number (else one higher than the one queued last)" },
    { "out", CLI_PATH, "FILE", "write it to FILE, for the safe, and send nothing" },
    { "add", CLI_PATH, "FILE", "send what --out wrote before" },
    OFFLINE_OPTIONS,
    AUDITING_OPTIONS,
    SIGNER_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_trust_revoke[] = {
    { .name = "trust revoke",
      .group = "Keys and trust",
      .args = "",
      .summary = "Take back keys, grants or versions, signed by the root role",
      .about =
          "For good: nothing undoes a revocation.  Several things may go into one, each with its\n"
          "own policy behind a colon (--key ID:stop) or with --policy.  One made in advance with\n"
          "--out takes a high --number, and goes up with --add FILE; it is good as long as the\n"
          "root in force has the keys that signed it, and until one with a higher number is sent.",
      .options = options,
      .run = run },
    { 0 },
};
