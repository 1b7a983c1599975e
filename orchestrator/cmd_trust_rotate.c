/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_trust_rotate: the next trust root, and with new operator keys all that the old
 * ones had signed; where the keys are, or across an air gap.
 */
#include <limits.h>
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/fix.h"
#include "orchestrator/path.h"
#include "orchestrator/rotation.h"

#define REQUEST_NAME "root"

struct job {
    struct cli *cli;
    struct home home;
    struct rotation r;
    struct keyring ring;   /* of the operator */
    struct keyring safety; /* of the safety role */
    struct root *next;
    struct root_change change;
    struct auditing audit;
};

static void job_done(struct job *job)
{
    auditing_done(&job->audit);
    keyring_done(&job->ring);
    keyring_done(&job->safety);
    trust_free(&job->r.trust);
    free(job->next);
    home_close(&job->home);
}

/* ---- keys ---- */

static bool is_private(const char *path)
{
    size_t n = strlen(path), cut = strlen(KEY_SUFFIX);

    return n > cut && strcmp(path + n - cut, KEY_SUFFIX) == 0;
}

static bool has_key(const struct key_set *set, const struct sign_key *key)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (memcmp(set->key[i].id, sign_key_public(key)->id, KEY_ID_SIZE) == 0)
            return true;
    return false;
}

/* Put the last key of the ring away unless it is of one of the sets and not there already. */
static void drop_last_unless(struct keyring *ring, const struct key_set *a, const struct key_set *b)
{
    const struct sign_key *last = ring->key[ring->n - 1];
    bool keep = has_key(a, last) || has_key(b, last);

    for (size_t k = 0; k + 1 < ring->n; k++)
        keep = keep && memcmp(sign_key_public(ring->key[k])->id, sign_key_public(last)->id,
                              KEY_ID_SIZE) != 0;
    if (!keep)
        sign_key_free(&ring->key[--ring->n]);
}

/* Add the private keys of an option, as far as they are of these sets. */
static enum rc add_private(struct cli *cli, const char *option, const struct key_set *a,
                           const struct key_set *b, struct keyring *ring, struct err *err)
{
    const char *path;
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && (path = cli_value_at(cli, option, i)) != NULL; i++) {
        if (!is_private(path))
            continue;
        rc = keyring_add(cli, ring, path, err);
        if (rc == RC_OK && !has_key(a, ring->key[ring->n - 1]) &&
            !has_key(b, ring->key[ring->n - 1]))
            rc = err_set(err, RC_KEY_UNKNOWN, "--%s %s", option, path);
        if (rc == RC_OK)
            drop_last_unless(ring, a, b);
    }
    return rc;
}

/* --signer-key names keys of any role: each signs where it belongs. */
static enum rc add_signers(struct cli *cli, const struct key_set *a, const struct key_set *b,
                           struct keyring *ring, struct err *err)
{
    scoped(keyring_done) struct keyring all = { 0 };
    enum rc rc = keyring_add_signers(cli, &all, err);

    for (size_t i = 0; rc == RC_OK && i < all.n; i++) {
        if (ring->n == SIGNERS_MAX)
            return err_set(err, RC_USAGE, "more than %u signing keys", SIGNERS_MAX);
        ring->key[ring->n++] = all.key[i];
        all.key[i] = NULL;
        drop_last_unless(ring, a, b);
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

/* ---- the root ---- */

static enum rc fill_next(struct cli *cli, const struct root *now, struct root *ret, struct err *err)
{
    scoped(free_ptr) struct key_set *next = calloc(1, sizeof *next);
    enum rc rc = next ? RC_OK : err_set(err, RC_NO_MEMORY, "root");

    if (rc != RC_OK)
        return rc;
    if (!cli_value(cli, "root") && !cli_value(cli, "signer-key") && !cli_value(cli, "request") &&
        !cli_flag(cli, "recover"))
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
        rc = root_commit(ret, next, err);
    if (rc == RC_OK && cli_value(cli, "operator")) {
        rc = read_keys(cli, "operator", "operator-threshold", &ret->operator_keys, err);
        ret->operator_since_ms = ret->issued_ms;
    }
    if (rc == RC_OK && cli_value(cli, "safety"))
        rc = read_keys(cli, "safety", "safety-threshold", &ret->safety_keys, err);
    return rc;
}

/* With every private key of --root and --new-root, and those behind --signer. */
static enum rc sign_root(struct job *job, struct bytes payload, uint8_t **ret, size_t *ret_n,
                         struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    const struct key_set *now = &trust_root(job->r.trust)->root_keys;
    const struct key_set *next = &job->next->root_keys;
    enum rc rc = add_private(job->cli, "new-root", next, now, &ring, err);

    if (rc == RC_OK)
        rc = add_private(job->cli, "root", now, next, &ring, err);
    if (rc == RC_OK)
        rc = add_signers(job->cli, now, next, &ring, err);
    if (rc == RC_OK && ring.n == 0)
        rc = err_set(err, RC_THRESHOLD, "no private key among --root and --new-root");
    return rc == RC_OK
               ? keyring_sign(&ring, DOC_ROOT, &job->next->mission, payload, ret, ret_n, err)
               : rc;
}

/* Take it as every satellite will. */
static enum rc take_root(struct job *job, struct bytes envelope, struct err *err)
{
    enum rc rc = trust_next_root(job->r.trust, envelope, &job->change, err);

    if (rc == RC_OK && !job->change.taken)
        rc = err_set(err, RC_VERSION_OLD, "root %llu is in force",
                     (unsigned long long)job->next->version);
    if (rc == RC_OK && job->change.recovered && !cli_flag(job->cli, "recover"))
        rc = err_set(err, RC_THRESHOLD, "the old root's keys: too few of them sign");
    return rc == RC_OK ? rotation_put_root(&job->r, err) : rc;
}

/* What was asked for, with the signatures that came back. */
static enum rc collect_root(struct job *job, uint8_t **ret, size_t *ret_n, struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    enum rc rc = offline_collect(job->r.dir, REQUEST_NAME, DOC_ROOT, &offline, ret, ret_n, err);

    return rc == RC_OK ? root_decode(offline.request.payload, job->next, err) : rc;
}

static enum rc make_root(struct job *job, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(free_ptr) uint8_t *envelope = NULL;
    struct request request = { .type = DOC_ROOT };
    char path[PATH_MAX];
    size_t n = 0;
    enum rc rc = buf ? RC_OK : err_set(err, RC_NO_MEMORY, "root");

    if (rc == RC_OK && cli_value(job->cli, "attach")) {
        rc = collect_root(job, &envelope, &n, err);
        return rc == RC_OK ? take_root(job, (struct bytes){ envelope, n }, err) : rc;
    }
    if (rc == RC_OK)
        rc = fill_next(job->cli, trust_root(job->r.trust), job->next, err);
    if (rc == RC_OK)
        rc = root_encode(job->next, buf, DOCUMENT_MAX, &request.payload, err);
    if (rc != RC_OK)
        return rc;
    request.mission = job->next->mission;
    if (job->r.how == ROTATION_ASK) {
        rc = offline_write(job->r.dir, REQUEST_NAME, &request, path, err);
        job->change.operator_reset =
            job->next->operator_since_ms != trust_root(job->r.trust)->operator_since_ms;
        return rc;
    }
    rc = sign_root(job, request.payload, &envelope, &n, err);
    return rc == RC_OK ? take_root(job, (struct bytes){ envelope, n }, err) : rc;
}

/* ---- what the operator had signed ---- */

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

/* The operator's keys may be here although the root's are not. */
static enum rc resign(struct job *job, struct err *err)
{
    const struct key_set *keys = &job->next->operator_keys;
    const struct key_set *safety = &job->next->safety_keys;
    enum rc rc = RC_OK;

    if (job->r.how != ROTATION_ASK) {
        rc = add_private(job->cli, "operator", keys, keys, &job->ring, err);
        if (rc == RC_OK)
            rc = add_signers(job->cli, keys, keys, &job->ring, err);
        if (rc == RC_OK)
            rc = add_private(job->cli, "safety-key", safety, safety, &job->safety, err);
        if (rc == RC_OK)
            rc = add_signers(job->cli, safety, safety, &job->safety, err);
        if (job->ring.n > 0)
            job->r.how = ROTATION_SIGN;
    }
    if (rc == RC_OK && job->r.how == ROTATION_SIGN && job->ring.n < keys->threshold)
        rc = err_set(err, RC_THRESHOLD, "%zu private operator keys given, %u are needed",
                     job->ring.n, keys->threshold);
    if (rc == RC_OK)
        rc = rotation_resign(&job->r, err);
    return rc == RC_OK && job->r.how != ROTATION_ASK ? keep_operator_key(job->cli, &job->home, err)
                                                     : rc;
}

/* Everything in one transaction: what is signed is what is kept. */
static enum rc rotate(struct job *job, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store *store = job->home.store;
    const struct rotation *r = &job->r;
    enum rc rc = store_begin(store, &open, err);

    if (rc == RC_OK)
        rc = home_trust(&job->home, r->now_ms, &job->r.trust, err);
    if (rc == RC_OK)
        rc = make_root(job, err);
    if (rc == RC_OK && job->change.operator_reset)
        rc = resign(job, err);
    if (rc != RC_OK || r->how == ROTATION_ASK)
        return rc;
    /* Only now it is known who the operators are: the entry is the first one under the new root. */
    rc = auditing_begin(&job->audit, job->cli, &job->home, &job->ring, err);
    if (rc != RC_OK)
        return rc;
    rc = store_audit(store, NULL, "rotate", r->now_ms, err,
                     "root %llu%s to %zu satellites, %u grants and %u orders signed again",
                     (unsigned long long)job->next->version,
                     job->change.recovered ? " (recovery)" : "", r->satellites, r->grants,
                     r->orders);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

/* ---- the command ---- */

static int say_asked(const struct job *job)
{
    const struct root *now = trust_root(job->r.trust);

    cli_say(job->cli, "%s: root %llu, and %u grants and %u orders under it", job->r.dir,
            (unsigned long long)job->next->version, job->r.grants, job->r.orders);
    cli_say(job->cli,
            "root.request: %u of the %u keys of root %llu must sign it, and %u of %u new ones",
            now->root_keys.threshold, now->root_keys.n, (unsigned long long)now->version,
            job->next->root_keys.threshold, job->next->root_keys.n);
    cli_note(job->cli,
             "carry them to each signer: berth sign FILE --key KEY; then berth trust rotate "
             "--attach %s",
             job->r.dir);
    return cli_json(job->cli, json_pack("{s:o, s:o, s:i, s:i}", "dir", json_safe(job->r.dir),
                                        "root_version", json_uint(job->next->version), "grants",
                                        (int)job->r.grants, "orders", (int)job->r.orders));
}

static int say_done(const struct job *job)
{
    unsigned long long version = job->next->version;
    bool recovered = job->change.recovered;

    cli_say(job->cli, "root %llu%s queued for %zu satellites; %u grants and %u orders signed again",
            version, recovered ? " (a recovery)" : "", job->r.satellites, job->r.grants,
            job->r.orders);
    cli_note(job->cli, "follow it with: berth trust status");
    return cli_json(job->cli,
                    json_pack("{s:o, s:b, s:i, s:i, s:i}", "root_version", json_uint(version),
                              "recovered", (int)recovered, "satellites", (int)job->r.satellites,
                              "grants", (int)job->r.grants, "orders", (int)job->r.orders));
}

static int failed(struct cli *cli, const struct err *err)
{
    if (err->rc == RC_ROOT_COMMITMENT)
        return cli_fail(cli, err,
                        "--new-root must be the keys that --next-root named last time, in the same "
                        "order and with the same threshold");
    if (err->rc == RC_THRESHOLD)
        return cli_fail(cli, err,
                        "give more private keys (NAME.key) or signatures, or --recover if the old "
                        "root's are lost");
    if (err->rc == RC_SAFETY_MISSING)
        return cli_fail(cli, err, "--safety-key KEY, or have the safety role sign --request");
    if (err->rc == RC_PLAN_STALE)
        return cli_fail(cli, err, "ask again: berth trust rotate ... --request EMPTY-DIR");
    return cli_fail(cli, err, "%s", fix_trust(err->rc, "berth trust rotate --help"));
}

static int run(struct cli *cli)
{
    scoped(job_done) struct job job = { .cli = cli, .home = HOME_NONE };
    const char *ask = cli_value(cli, "request"), *attach = cli_value(cli, "attach");
    struct err err = { 0 };
    enum rc rc = home_open(cli->home, false, &job.home, &err);

    job.next = calloc(1, sizeof *job.next);
    job.r = (struct rotation){ .home = &job.home,
                               .how = ask      ? ROTATION_ASK
                                      : attach ? ROTATION_ATTACH
                                               : ROTATION_SIGN,
                               .dir = ask ? ask : attach,
                               .root = job.next,
                               .ring = &job.ring,
                               .safety = &job.safety,
                               .now_ms = clock_unix_ms() };
    if (rc == RC_OK && !job.next)
        rc = err_set(&err, RC_NO_MEMORY, "root");
    if (rc == RC_OK)
        rc = rotate(&job, &err);
    if (rc != RC_OK)
        return failed(cli, &err);
    return ask ? say_asked(&job) : say_done(&job);
}

static const struct cli_option options[] = {
    { "root", CLI_LIST, "KEY", "keys of the root in force, as many as must sign" },
    { "new-root", CLI_LIST, "KEY",
      "the keys committed to, all of them: NAME.key signs, NAME.pub is listed only" },
    { "next-root", CLI_LIST, "PUB", "keys of the root after that: committed to now" },
    { "operator", CLI_LIST, "KEY", "new operator keys, else they stay; enough NAME.key to sign" },
    { "root-threshold", CLI_TEXT, "M", "of --new-root, as committed (else the majority)" },
    { "next-threshold", CLI_TEXT, "M", "of --next-root (else the majority)" },
    { "operator-threshold", CLI_TEXT, "M", "of --operator (else the majority)" },
    { "safety", CLI_LIST, "PUB", "new safety keys, else they stay" },
    { "safety-threshold", CLI_TEXT, "M", "of --safety (else the majority)" },
    { "safety-key", CLI_LIST, "KEY",
      "safety keys: with --operator, co-sign orders for tenants of berth grant --safety" },
    { "recover", CLI_FLAG, NULL, "the keys of the root in force are lost: go on without them" },
    OFFLINE_OPTIONS,
    AUDITING_OPTIONS,
    SIGNER_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_trust_rotate[] = {
    { .name = "trust rotate",
      .group = "Keys and trust",
      .args = "",
      .summary = "Make the next trust root and send it to every satellite",
      .about =
          "The keys of --new-root are those that --next-root (or fleet init) named before.\n"
          "With --operator the operator's counters begin anew on board: grants and orders are\n"
          "signed again with the new keys and follow the root.  --recover leaves out the keys\n"
          "of the root in force; satellites tell it as ROOT_RECOVERED.  With --request DIR the\n"
          "root, and with --operator every grant and order, go to the signers; --attach DIR\n"
          "takes what came back.",
      .options = options,
      .run = run },
    { 0 },
};
