/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_trust: the trust root of the fleet: how it stands, and the next one.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/cmd.h"
#include "orchestrator/path.h"
#include "orchestrator/rotation.h"
#include "orchestrator/view.h"

/* ---- status ---- */

static json_t *keys_json(const struct key_set *keys)
{
    json_t *ids = json_array();

    for (uint32_t i = 0; i < keys->n; i++)
        (void)json_array_append_new(
            ids, json_hex((struct bytes){ keys->key[i].id, sizeof keys->key[i].id }));
    return json_pack("{s:i, s:o}", "threshold", (int)keys->threshold, "keys", ids);
}

static json_t *grants_json(struct cli *cli, const struct trust *trust)
{
    const struct grant *grants[TENANTS_MAX];
    json_t *list = json_array();
    size_t n = trust_grants(trust, grants, TENANTS_MAX);

    for (size_t i = 0; i < n; i++) {
        cli_say(cli, "grant %-16s epoch %llu, %u of %u keys", grants[i]->tenant,
                (unsigned long long)grants[i]->epoch, grants[i]->keys.threshold, grants[i]->keys.n);
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:o, s:o}", "tenant", grants[i]->tenant,
                                              "epoch", json_uint(grants[i]->epoch), "expires_ms",
                                              json_uint(grants[i]->expires_ms)));
    }
    return list;
}

static json_t *satellites_json(struct cli *cli, const struct view *view, const char *only)
{
    json_t *list = json_array();

    for (size_t i = 0; i < view->n; i++) {
        const struct view_satellite *sat = &view->satellite[i];
        uint64_t version = sat->seen ? sat->seen->root_version : 0;
        bool behind = view_root_behind(view, sat);

        if (only && strcmp(only, sat->row.id) != 0)
            continue;
        cli_say(cli, "%-22s root %llu%s", sat->row.id, (unsigned long long)version,
                !sat->seen ? ", never heard of"
                : behind   ? ", the next one is on its way"
                           : "");
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:o, s:b}", "id", sat->row.id, "root_version",
                                              json_uint(version), "behind", (int)behind));
    }
    return list;
}

static int run_status(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(view_free) struct view *view = NULL;
    const char *only = cli_arg(cli, 0);
    char hex[2 * DIGEST_SIZE + 1];
    struct err err = { 0 };
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = home_trust(&home, clock_unix_ms(), &trust, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    rc = view_load(home.store, &view, &err);
    if (rc == RC_OK && only && !view_find(view, only))
        rc = err_set(&err, RC_NO_SATELLITE, "%s", only);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth status lists the satellites");
    const struct root *root = trust_root(trust);
    struct bytes next = { root->next_keys.b, sizeof root->next_keys.b };

    cli_say(cli, "root %llu: %u of %u root keys, %u of %u operator keys",
            (unsigned long long)root->version, root->root_keys.threshold, root->root_keys.n,
            root->operator_keys.threshold, root->operator_keys.n);
    cli_say(cli, "next root keys committed to: %s", bytes_hex(next, hex));
    json_t *grants = grants_json(cli, trust);
    json_t *sats = satellites_json(cli, view, only);

    return cli_json(cli,
                    json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "root_version",
                              json_uint(root->version), "issued_ms", json_uint(root->issued_ms),
                              "operator_since_ms", json_uint(root->operator_since_ms), "root_keys",
                              keys_json(&root->root_keys), "operator_keys",
                              keys_json(&root->operator_keys), "next_keys",
                              json_digest(&root->next_keys), "grants", grants, "satellites", sats));
}

/* ---- rotate ---- */

static bool is_private(const char *path)
{
    size_t n = strlen(path), cut = strlen(KEY_SUFFIX);

    return n > cut && strcmp(path + n - cut, KEY_SUFFIX) == 0;
}

/* Add the private keys of an option; one that is there already is not added twice. */
static enum rc add_private(struct cli *cli, const char *option, struct keyring *ring,
                           struct err *err)
{
    const char *path;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(cli, option, i)) != NULL; i++) {
        bool twice = false;

        if (!is_private(path))
            continue;
        rc = keyring_add(cli, ring, path, err);
        for (size_t k = 0; rc == RC_OK && k + 1 < ring->n; k++)
            twice |= memcmp(sign_key_public(ring->key[k])->id,
                            sign_key_public(ring->key[ring->n - 1])->id, KEY_ID_SIZE) == 0;
        if (twice)
            sign_key_free(&ring->key[--ring->n]);
    }
    return rc;
}

/* A key set of an option, with the threshold of another. */
static enum rc read_keys(struct cli *cli, const char *option, const char *threshold_option,
                         struct key_set *ret, struct err *err)
{
    uint64_t threshold = 0;
    enum rc rc = cli_number(cli, threshold_option, 0, 1, ROLE_KEYS_MAX, &threshold, err);

    return rc == RC_OK ? keys_set(cli, option, threshold, ret, err) : rc;
}

static enum rc fill_next(struct cli *cli, const struct root *now, struct root *ret, struct err *err)
{
    scoped(free_ptr) struct key_set *next = calloc(1, sizeof *next);
    enum rc rc = next ? RC_OK : err_set(err, RC_NO_MEMORY, "root");

    if (rc != RC_OK)
        return rc;
    if (!cli_value(cli, "root") && !cli_flag(cli, "recover"))
        return err_set(err, RC_USAGE, "--root is missing, and there is no --recover");
    *ret = *now;
    ret->version = now->version + 1;
    ret->issued_ms = clock_unix_ms();
    if (ret->issued_ms <= now->issued_ms) /* this machine's clock is behind */
        ret->issued_ms = now->issued_ms + 1;
    ret->expires_ms = 0;
    rc = read_keys(cli, "new-root", "root-threshold", &ret->root_keys, err);
    if (rc == RC_OK)
        rc = read_keys(cli, "next-root", "next-threshold", next, err);
    if (rc == RC_OK)
        rc = key_set_digest(next, &ret->next_keys, err);
    if (rc == RC_OK && cli_value(cli, "operator")) {
        rc = read_keys(cli, "operator", "operator-threshold", &ret->operator_keys, err);
        ret->operator_since_ms = ret->issued_ms;
    }
    return rc;
}

/* Sign with every private key of --root and --new-root, and take it as every satellite will. */
static enum rc sign_next(struct cli *cli, const struct root *root, struct trust *trust,
                         struct root_change *ret, struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(free_ptr) uint8_t *envelope = NULL;
    struct bytes payload = { 0 };
    size_t n = 0;
    enum rc rc = buf ? root_encode(root, buf, DOCUMENT_MAX, &payload, err)
                     : err_set(err, RC_NO_MEMORY, "root");

    if (rc == RC_OK)
        rc = add_private(cli, "new-root", &ring, err);
    if (rc == RC_OK)
        rc = add_private(cli, "root", &ring, err);
    if (rc == RC_OK && ring.n == 0)
        rc = err_set(err, RC_THRESHOLD, "no private key among --root and --new-root");
    if (rc == RC_OK)
        rc = keyring_sign(&ring, DOC_ROOT, &root->mission, payload, &envelope, &n, err);
    if (rc == RC_OK)
        rc = trust_next_root(trust, (struct bytes){ envelope, n }, ret, err);
    if (rc == RC_OK && ret->recovered && !cli_flag(cli, "recover"))
        rc = err_set(err, RC_THRESHOLD, "the old root's keys: too few of them sign");
    return rc;
}

static enum rc keep_operator_key(struct cli *cli, const struct home *home, struct err *err)
{
    char full[PATH_MAX];
    const char *path;
    enum rc rc = RC_OK;

    for (size_t i = 0; (path = cli_value_at(cli, "operator", i)) != NULL; i++) {
        if (!is_private(path))
            continue;
        rc = path_absolute(path, full, sizeof full, err);
        return rc == RC_OK ? store_set(home->store, "operator-key", full, err) : rc;
    }
    return rc;
}

/* Everything in one transaction: what is signed is what is kept. */
static enum rc rotate(struct cli *cli, struct home *home, struct rotation *r,
                      struct root_change *change, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) struct root *next = calloc(1, sizeof *next);
    enum rc rc = next ? store_begin(home->store, &open, err) : err_set(err, RC_NO_MEMORY, "root");

    if (rc == RC_OK)
        rc = home_trust(home, r->now_ms, &r->trust, err);
    if (rc == RC_OK)
        rc = fill_next(cli, trust_root(r->trust), next, err);
    if (rc == RC_OK)
        rc = sign_next(cli, next, r->trust, change, err);
    if (rc == RC_OK)
        rc = rotation_put_root(r, err);
    if (rc == RC_OK && change->operator_reset) {
        rc = add_private(cli, "operator", r->ring, err);
        if (rc == RC_OK && r->ring->n < next->operator_keys.threshold)
            rc = err_set(err, RC_THRESHOLD, "%zu private operator keys given, %u are needed",
                         r->ring->n, next->operator_keys.threshold);
        if (rc == RC_OK)
            rc = rotation_resign(r, err);
        if (rc == RC_OK)
            rc = keep_operator_key(cli, home, err);
    }
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL, "rotate", r->now_ms, err,
                         "root %llu%s to %u satellites, %u grants and %u orders signed again",
                         (unsigned long long)next->version, change->recovered ? " (recovery)" : "",
                         r->satellites, r->grants, r->orders);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static int run_rotate(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(keyring_done) struct keyring ring = { 0 };
    struct rotation r = { .home = &home, .ring = &ring, .now_ms = clock_unix_ms() };
    struct root_change change = { 0 };
    struct err err = { 0 };
    uint64_t version = 0;
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = rotate(cli, &home, &r, &change, &err);
    if (rc == RC_OK)
        version = trust_root(r.trust)->version;
    trust_free(&r.trust);
    if (rc == RC_ROOT_COMMITMENT)
        return cli_fail(cli, &err,
                        "--new-root must be the keys that --next-root named last time, in the same "
                        "order and with the same threshold");
    if (rc == RC_THRESHOLD)
        return cli_fail(cli, &err,
                        "give more private keys (NAME.key), or --recover if the old "
                        "root's are lost");
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth trust rotate --help");
    cli_say(cli, "root %llu%s queued for %u satellites; %u grants and %u orders signed again",
            (unsigned long long)version, change.recovered ? " (a recovery)" : "", r.satellites,
            r.grants, r.orders);
    cli_note(cli, "follow it with: berth trust status");
    return cli_json(cli,
                    json_pack("{s:o, s:b, s:i, s:i, s:i}", "root_version", json_uint(version),
                              "recovered", (int)change.recovered, "satellites", (int)r.satellites,
                              "grants", (int)r.grants, "orders", (int)r.orders));
}

static const struct cli_option rotate_options[] = {
    { "root", CLI_LIST, "KEY", "keys of the root in force, as many as must sign" },
    { "new-root", CLI_LIST, "KEY",
      "the keys committed to, all of them: NAME.key signs, NAME.pub is listed only" },
    { "next-root", CLI_LIST, "PUB", "keys of the root after that: committed to now" },
    { "operator", CLI_LIST, "KEY", "new operator keys, else they stay; enough NAME.key to sign" },
    { "root-threshold", CLI_TEXT, "M", "of --new-root, as committed (else the majority)" },
    { "next-threshold", CLI_TEXT, "M", "of --next-root (else the majority)" },
    { "operator-threshold", CLI_TEXT, "M", "of --operator (else the majority)" },
    { "recover", CLI_FLAG, NULL, "the keys of the root in force are lost: go on without them" },
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_trust[] = {
    { .name = "trust status",
      .group = "Keys and trust",
      .args = "[SAT]",
      .summary = "The trust root, the grants, and which root each satellite has",
      .about = "A satellite that lags behind gets the roots that it lacks, one after the other,\n"
               "from berth-ground.",
      .args_max = 1,
      .run = run_status },
    { .name = "trust rotate",
      .group = "Keys and trust",
      .args = "",
      .summary = "Make the next trust root and send it to every satellite",
      .about =
          "The keys of --new-root are those that --next-root (or fleet init) named before.\n"
          "With --operator the operator's counters begin anew on board: grants and orders are\n"
          "signed again with the new keys and follow the root.  --recover leaves out the keys\n"
          "of the root in force; satellites tell it as ROOT_RECOVERED.",
      .options = rotate_options,
      .run = run_rotate },
    { 0 },
};
