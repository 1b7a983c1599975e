/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_fleet_init: begin a mission: its random id and the first trust root, signed.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/name.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/keys.h"
#include "orchestrator/offline.h"
#include "orchestrator/path.h"

static bool is_private(const char *path)
{
    size_t n = strlen(path), cut = strlen(KEY_SUFFIX);

    return n > cut && strcmp(path + n - cut, KEY_SUFFIX) == 0;
}

static enum rc fill_root(struct cli *cli, struct root *root, struct err *err)
{
    scoped(free_ptr) struct key_set *next = calloc(1, sizeof *next);
    const char *next_option = cli_value(cli, "next-root") ? "next-root" : "root";
    uint64_t root_threshold = 0, operator_threshold = 0, safety_threshold = 0;
    enum rc rc = next ? RC_OK : err_set(err, RC_NO_MEMORY, "root");

    if (rc == RC_OK)
        rc = cli_number(cli, "root-threshold", 0, 1, ROLE_KEYS_MAX, &root_threshold, err);
    if (rc == RC_OK)
        rc = cli_number(cli, "operator-threshold", 0, 1, ROLE_KEYS_MAX, &operator_threshold, err);
    if (rc == RC_OK)
        rc = keys_set(cli, "root", root_threshold, &root->root_keys, err);
    if (rc == RC_OK)
        rc = keys_set(cli, "operator", operator_threshold, &root->operator_keys, err);
    if (rc == RC_OK)
        rc = cli_number(cli, "safety-threshold", 0, 1, ROLE_KEYS_MAX, &safety_threshold, err);
    if (rc == RC_OK && cli_value(cli, "safety"))
        rc = keys_set(cli, "safety", safety_threshold, &root->safety_keys, err);
    if (rc == RC_OK)
        rc = keys_set(cli, next_option, strcmp(next_option, "root") == 0 ? root_threshold : 0, next,
                      err);
    if (rc == RC_OK)
        rc = root_commit(root, next, err);
    root->version = 1;
    root->issued_ms = clock_unix_ms();
    crypto_random(root->mission.b, sizeof root->mission.b);
    return rc;
}

/* Every private key among --root signs. */
static enum rc sign_root(struct cli *cli, const struct root *root, uint8_t **ret, size_t *ret_n,
                         struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(trust_free) struct trust *trust = NULL;
    scoped(free_ptr) uint8_t *envelope = NULL;
    struct bytes payload = { 0 };
    const char *path;
    size_t n = 0;
    enum rc rc = buf ? root_encode(root, buf, DOCUMENT_MAX, &payload, err)
                     : err_set(err, RC_NO_MEMORY, "root");

    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(cli, "root", i)) != NULL; i++) {
        if (is_private(path))
            rc = keyring_add(cli, &ring, path, err);
    }
    if (rc == RC_OK)
        rc = keyring_add_signers(cli, &ring, err);
    if (rc == RC_OK && ring.n < root->root_keys.threshold)
        rc = err_set(err, RC_THRESHOLD, "%zu private root keys given, %u are needed", ring.n,
                     root->root_keys.threshold);
    if (rc == RC_OK)
        rc = keyring_sign(&ring, DOC_ROOT, &root->mission, payload, &envelope, &n, err);
    if (rc == RC_OK) /* as every satellite will see it */
        rc = trust_new((struct bytes){ .p = envelope, .n = n }, &trust, err);
    if (rc == RC_OK) {
        *ret = envelope;
        *ret_n = n;
        envelope = NULL;
    }
    return rc;
}

/* Remember where the first private operator key lies, so that apply and grant find it. */
static enum rc keep_operator_key(const struct cli *cli, struct store *store, struct err *err)
{
    char full[PATH_MAX];
    const char *path;
    enum rc rc;

    for (size_t i = 0; (path = cli_value_at(cli, "operator", i)) != NULL; i++) {
        if (!is_private(path))
            continue;
        rc = path_absolute(path, full, sizeof full, err);
        return rc == RC_OK ? store_set(store, "operator-key", full, err) : rc;
    }
    return RC_OK;
}

static enum rc keep(struct cli *cli, struct home *home, const struct root *root,
                    struct bytes envelope, struct err *err)
{
    scoped(auditing_done) struct auditing audit = { 0 };
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) uint8_t *held = NULL;
    char hex[2 * MISSION_SIZE + 1];
    size_t n = 0;
    enum rc rc = store_begin(home->store, &open, err);

    if (rc != RC_OK)
        return rc;
    rc = store_document(home->store, DOC_ROOT, "root", &held, &n, err);
    if (rc == RC_OK)
        return err_set(err, RC_EXISTS, "%s has a fleet already", home->path);
    rc = store_put_document(home->store, DOC_ROOT, "root", root->version, envelope, root->issued_ms,
                            err);
    if (rc == RC_OK)
        rc = store_set(home->store, "fleet", cli_arg(cli, 0), err);
    if (rc == RC_OK)
        rc = keep_operator_key(cli, home->store, err);
    if (rc == RC_OK) /* the key was recorded above; nobody else has this home yet */
        rc = auditing_begin(&audit, cli, home, NULL, err);
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL, "fleet-init", root->issued_ms, err,
                         "fleet %s mission %s", cli_arg(cli, 0),
                         bytes_hex((struct bytes){ .p = root->mission.b, .n = MISSION_SIZE }, hex));
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

/* ---- with the root keys offline ---- */

static enum rc write_request(const char *dir, const struct root *root, char path[PATH_MAX],
                             struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    struct request request = { .type = DOC_ROOT, .mission = root->mission };
    enum rc rc = buf ? root_encode(root, buf, DOCUMENT_MAX, &request.payload, err)
                     : err_set(err, RC_NO_MEMORY, "root");

    return rc == RC_OK ? offline_write(dir, "root", &request, path, err) : rc;
}

static int run_ask(struct cli *cli, const struct root *root)
{
    char path[PATH_MAX], hex[2 * MISSION_SIZE + 1];
    struct err err;

    if (write_request(cli_value(cli, "request"), root, path, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init --help");
    cli_say(cli, "%s: trust root, version 1, of mission %s; %u of %u root keys must sign it", path,
            bytes_hex((struct bytes){ .p = root->mission.b, .n = MISSION_SIZE }, hex),
            root->root_keys.threshold, root->root_keys.n);
    cli_note(cli,
             "carry it to each signer: berth sign %s --key KEY; then berth fleet init %s "
             "--attach %s",
             path, cli_arg(cli, 0), cli_value(cli, "request"));
    return cli_json(cli, json_pack("{s:o}", "file", json_safe(path)));
}

/* The root is the one that was asked about, to the byte; whether enough keys signed is trust's to
 * say. */
static enum rc collect_root(const char *dir, struct root *ret, uint8_t **ret_envelope,
                            size_t *ret_n, struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    scoped(trust_free) struct trust *trust = NULL;
    enum rc rc = offline_collect(dir, "root", DOC_ROOT, &offline, ret_envelope, ret_n, err);

    if (rc == RC_OK)
        rc = root_decode(offline.request.payload, ret, err);
    return rc == RC_OK ? trust_new((struct bytes){ *ret_envelope, *ret_n }, &trust, err) : rc;
}

static int run(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct root *root = calloc(1, sizeof *root);
    const char *attach = cli_value(cli, "attach");
    const char *where = cli_value(cli, "store") ? cli_value(cli, "store") : getenv("BERTH_STORE");
    scoped(free_ptr) uint8_t *envelope = NULL;
    char hex[2 * MISSION_SIZE + 1];
    struct bytes mission;
    struct err err;
    size_t n = 0;
    enum rc rc = root ? RC_OK : err_set(&err, RC_NO_MEMORY, "root");

    if (rc == RC_OK && !name_valid(cli_arg(cli, 0)))
        rc = err_set(&err, RC_NAME, "%s", cli_arg(cli, 0));
    if (rc == RC_OK && !attach)
        rc = fill_root(cli, root, &err);
    if (rc == RC_OK && cli_value(cli, "request"))
        return run_ask(cli, root);
    if (rc == RC_OK)
        rc = attach ? collect_root(attach, root, &envelope, &n, &err)
                    : sign_root(cli, root, &envelope, &n, &err);
    if (rc == RC_OK && where && where[0])
        rc = home_place_store(cli->home, where, &err);
    if (rc == RC_OK)
        rc = home_open(cli->home, true, &home, &err);
    if (rc == RC_OK)
        rc = keep(cli, &home, root, (struct bytes){ .p = envelope, .n = n }, &err);
    if (rc == RC_OK && cli_value(cli, "out"))
        rc = path_write(cli_value(cli, "out"), (struct bytes){ .p = envelope, .n = n }, 0644, &err);
    if (rc == RC_EXISTS)
        return cli_fail(cli, &err, "berth fleet init %s --home OTHER_DIRECTORY", cli_arg(cli, 0));
    if (rc == RC_USAGE)
        return cli_fail(cli, &err, "berth fleet init NAME --root KEY --operator KEY");
    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    if (rc == RC_KEY_FILE)
        return cli_fail(cli, &err, CLI_FIX_KEY);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth fleet init --help");
    mission = (struct bytes){ .p = root->mission.b, .n = sizeof root->mission.b };
    if (!cli_value(cli, "next-root") && !attach)
        cli_note(cli,
                 "note: no --next-root: the same root keys are committed to, so one who steals "
                 "them can rotate them");
    cli_say(cli,
            "fleet %s begun in %s\nmission %s\ntrust root: version 1, %u of %u root keys, "
            "%u of %u operator keys",
            cli_arg(cli, 0), home.path, bytes_hex(mission, hex), root->root_keys.threshold,
            root->root_keys.n, root->operator_keys.threshold, root->operator_keys.n);
    return cli_json(cli, json_pack("{s:s, s:s, s:o, s:i}", "fleet", cli_arg(cli, 0), "home",
                                   home.path, "mission", json_hex(mission), "root_version", 1));
}

static const struct cli_option options[] = {
    { "root", CLI_LIST, "KEY", "root keys: NAME.key signs, NAME.pub is listed only" },
    { "operator", CLI_LIST, "KEY", "operator keys; the first NAME.key is used by apply and grant" },
    { "next-root", CLI_LIST, "KEY", "keys of the next root: kept in a safe, committed to now" },
    { "root-threshold", CLI_TEXT, "M", "how many root keys must sign (else the majority)" },
    { "operator-threshold", CLI_TEXT, "M", "how many operator keys must sign (else the majority)" },
    { "safety", CLI_LIST, "PUB",
      "safety keys: co-sign what activates orders, for tenants of grant --safety" },
    { "safety-threshold", CLI_TEXT, "M", "how many safety keys must sign (else the majority)" },
    { "store", CLI_TEXT, "WHERE",
      "postgresql:...: keep the store in that database (else $BERTH_STORE, else a file)" },
    { "out", CLI_PATH, "FILE", "write the signed root here too, for the tenants' berth sign" },
    OFFLINE_OPTIONS,
    AUDITING_OPTIONS,
    SIGNER_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_fleet_init[] = {
    { .name = "fleet init",
      .group = "Keys and trust",
      .args = "NAME",
      .summary = "Begin a fleet: mission id and trust root",
      .about = "Makes the home directory, a random mission id and version 1 of the trust root, "
               "signed by the root keys.\nWhere these are offline: --request DIR writes "
               "DIR/root.request "
               "and stops; once DIR holds the signers'\nDIR/*.sig, --attach DIR goes on from "
               "there.\nEvery later signature covers the mission id, so nothing "
               "that was signed for one fleet is valid in another.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
