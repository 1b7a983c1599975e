/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_trust_rekey: new keys for a satellite, over the air.
 *
 * The secrets are made here and saved before anything leaves: first what the ground needs to use
 * them, then the signed document into the queue.  A cut in between leaves a key that nobody else
 * has, which the next rekey passes over.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "base/name.h"
#include "link/port.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/fix.h"
#include "orchestrator/home.h"
#include "orchestrator/offline.h"
#include "orchestrator/rekeys.h"

#define LOCK_WAIT_MS 30000U
#define LOCK_TRY_MS 20L

struct job {
    struct cli *cli;
    struct home home;
    struct trust *trust;
    struct store_satellite sat;
    int dirfd; /* of the satellite's link keys */
    int lock;
    struct report *seen; /* NULL: it has not reported */
    struct rekeys rekeys;
    struct rekeys_plan plan;
    struct rekey doc;
};

static void job_done(struct job *job)
{
    rekeys_wipe(&job->rekeys);
    rekeys_plan_wipe(&job->plan);
    free(job->seen);
    close_fd(&job->lock);
    close_fd(&job->dirfd);
    trust_free(&job->trust);
    home_close(&job->home);
}

static const struct report_keys *seen_keys(const struct job *job)
{
    return job->seen ? &job->seen->keys : NULL;
}

static enum rc read_report(struct job *job, struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct store_observed row;
    size_t n = 0;
    enum rc rc = store_report(job->home.store, job->sat.id, &row, &bytes, &n, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    job->seen = calloc(1, sizeof *job->seen);
    if (!job->seen)
        return err_set(err, RC_NO_MEMORY, "report");
    return report_decode((struct bytes){ bytes, n }, job->seen, err);
}

/* Numbers go on where the store ends too: a satellite that was provisioned again has a new file. */
static enum rc read_number(struct job *job, struct err *err)
{
    scoped(free_ptr) struct store_name *names = NULL;
    size_t n = 0;
    enum rc rc = store_documents(job->home.store, DOC_REKEY, &names, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (strcmp(names[i].name, job->sat.id) == 0 && names[i].version > job->rekeys.number)
            job->rekeys.number = names[i].version;
    return rc;
}

/* berth-ground holds it for a moment with every report that it takes in. */
static enum rc wait_for_lock(struct job *job, struct err *err)
{
    const struct timespec pause = { .tv_nsec = LOCK_TRY_MS * 1000000L };
    const uint64_t until_ms = clock_mono_ms() + LOCK_WAIT_MS;
    enum rc rc = rekeys_lock(job->dirfd, &job->lock, err);

    while (rc == RC_BUSY && clock_mono_ms() < until_ms) {
        (void)nanosleep(&pause, NULL);
        rc = rekeys_lock(job->dirfd, &job->lock, err);
    }
    return rc;
}

static enum rc open_job(struct job *job, struct err *err)
{
    const char *id = cli_arg(job->cli, 0);
    enum rc rc = home_open(job->cli->home, false, &job->home, err);

    if (rc == RC_OK)
        rc = home_trust(&job->home, clock_unix_ms(), &job->trust, err);
    if (rc == RC_OK)
        rc = store_satellite(job->home.store, id, &job->sat, err);
    if (rc == RC_OK)
        rc = home_open_dir(&job->home, job->sat.link_keys, &job->dirfd, err);
    if (rc == RC_OK)
        rc = wait_for_lock(job, err);
    if (rc == RC_OK)
        rc = rekeys_load(job->dirfd, &job->rekeys, err);
    if (rc == RC_OK)
        rc = read_number(job, err);
    return rc == RC_OK ? read_report(job, err) : rc;
}

/* ---- what to bring ---- */

static enum rc add_link(struct job *job, const char *tenant, struct err *err)
{
    struct rekey_entry e = { .what = tenant[0] ? REKEY_TENANT_LINK : REKEY_LINK,
                             .peer = GROUND_NODE };

    if (tenant[0] && !name_valid(tenant))
        return err_set(err, RC_NAME, "%.32s", tenant);
    if (tenant[0] && !trust_grant(job->trust, tenant))
        return err_set(err, RC_GRANT_MISSING, "%s", tenant);
    memcpy(e.tenant, tenant, strlen(tenant) + 1);
    enum rc rc = rekeys_next_epoch(job->dirfd, tenant, seen_keys(job), &e.epoch, err);
    return rc == RC_OK ? rekeys_plan_add(&job->plan, &e, err) : rc;
}

static enum rc fill_plan(struct job *job, struct err *err)
{
    const struct cli *cli = job->cli;
    bool master = cli_flag(cli, "master"), kem = cli_flag(cli, "kem");
    const char *tenant;
    enum rc rc = RC_OK;

    if (cli_flag(cli, "link") || (!master && !kem && !cli_value(cli, "tenant")))
        rc = add_link(job, "", err);
    for (size_t i = 0; rc == RC_OK && (tenant = cli_value_at(cli, "tenant", i)) != NULL; i++)
        rc = add_link(job, tenant, err);
    if (rc == RC_OK && master) {
        struct rekey_entry e = { .what = REKEY_NEW_MASTER };

        e.epoch = rekeys_next_master(&job->rekeys, seen_keys(job));
        rc = rekeys_plan_add(&job->plan, &e, err);
    }
    if (rc == RC_OK && kem)
        rc = rekeys_plan_add(&job->plan, &(struct rekey_entry){ .what = REKEY_NEW_KEM }, err);
    return rc;
}

static enum rc read_under(const struct job *job, enum rekey_recipient *ret, struct err *err)
{
    const char *under = cli_value(job->cli, "under");

    *ret = REKEY_NOBODY;
    if (under && strcmp(under, "kem") == 0)
        *ret = REKEY_KEM;
    else if (under && strcmp(under, "master") == 0)
        *ret = REKEY_MASTER;
    else if (under)
        return err_set(err, RC_USAGE, "--under must be kem or master");
    return RC_OK;
}

/* First what the ground needs, durably. */
static enum rc make(struct job *job, struct err *err)
{
    const struct root *root = trust_root(job->trust);
    enum rekey_recipient under = REKEY_NOBODY;
    enum rc rc = read_under(job, &under, err);

    job->doc.issued_ms = clock_unix_ms();
    if (job->doc.issued_ms < root->operator_since_ms) /* this clock is behind */
        job->doc.issued_ms = root->operator_since_ms;
    memcpy(job->doc.satellite, job->sat.id, sizeof job->doc.satellite);
    if (rc == RC_OK)
        rc = fill_plan(job, err);
    if (rc == RC_OK)
        rc = rekeys_make(&job->rekeys, seen_keys(job), &job->plan, under, &root->mission, &job->doc,
                         err);
    if (rc == RC_OK)
        rc = rekeys_save(job->dirfd, &job->rekeys, err);
    return rc == RC_OK ? rekeys_offer(job->dirfd, &job->plan, err) : rc;
}

/* ---- signing ---- */

/* "rekey-sat-1" */
static void request_name(const struct job *job, char out[NAME_CAP + 8])
{
    (void)snprintf(out, NAME_CAP + 8, "rekey-%s", job->sat.id);
}

static int run_ask(struct job *job, struct bytes payload)
{
    const struct key_set *keys = &trust_root(job->trust)->operator_keys;
    struct request request = { .type = DOC_REKEY,
                               .mission = trust_root(job->trust)->mission,
                               .payload = payload };
    const char *dir = cli_value(job->cli, "request");
    char path[PATH_MAX], name[NAME_CAP + 8];
    struct err err;

    request_name(job, name);
    if (offline_write(dir, name, &request, path, &err) != RC_OK)
        return cli_fail(job->cli, &err, "%s", fix_trust(err.rc, "berth trust rekey --help"));
    cli_say(job->cli, "%s: rekey %" PRIu64 " for %s; %u of %u operator keys must sign it", path,
            job->doc.number, job->sat.id, keys->threshold, keys->n);
    cli_note(job->cli,
             "carry it to each signer: berth sign %s --key KEY; then berth trust rekey %s "
             "--attach %s",
             path, job->sat.id, dir);
    return cli_json(job->cli, json_pack("{s:o}", "file", json_safe(path)));
}

static enum rc collect(struct job *job, uint8_t **ret, size_t *ret_n, struct err *err)
{
    scoped(offline_done) struct offline offline = { 0 };
    char name[NAME_CAP + 8];

    request_name(job, name);
    enum rc rc =
        offline_collect(cli_value(job->cli, "attach"), name, DOC_REKEY, &offline, ret, ret_n, err);
    if (rc == RC_OK)
        rc = rekey_decode(offline.request.payload, &job->doc, err);
    if (rc == RC_OK && job->doc.number != job->rekeys.number)
        rc = err_set(err, RC_PLAN_STALE, "rekey %" PRIu64 " was made since", job->rekeys.number);
    return rc;
}

static enum rc sign(struct job *job, struct bytes payload, uint8_t **ret, size_t *ret_n,
                    struct err *err)
{
    scoped(keyring_done) struct keyring ring = { 0 };
    bool given = cli_value(job->cli, "key") != NULL || cli_value(job->cli, "signer-key") != NULL;
    char path[HOME_PATH_CAP];
    enum rc rc = RC_OK;

    if (!given)
        rc = home_operator_key(&job->home, path, sizeof path, err);
    if (rc == RC_OK)
        rc = keyring_load(job->cli, "key", given ? NULL : path, &ring, err);
    if (rc == RC_OK)
        rc = keyring_sign(&ring, DOC_REKEY, &trust_root(job->trust)->mission, payload, ret, ret_n,
                          err);
    return rc;
}

/* What the satellite would refuse must not go into the queue. */
static enum rc verify(struct job *job, struct bytes envelope, struct err *err)
{
    scoped(verified_rekey_free) struct verified_rekey *verified = NULL;
    const struct rekey_position position = { .satellite = job->sat.id };

    return trust_verify_rekey(job->trust, envelope, &position, clock_unix_ms(), &verified, err);
}

static enum rc queue(struct job *job, struct bytes envelope, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store *store = job->home.store;
    uint64_t now_ms = clock_unix_ms();
    enum rc rc = store_begin(store, &open, err);

    if (rc == RC_OK)
        rc = store_put_document(store, DOC_REKEY, job->sat.id, job->doc.number, envelope, now_ms,
                                err);
    if (rc == RC_OK)
        rc = home_queue_bytes(&job->home, job->sat.id, OBJECT_REKEY, envelope, false, now_ms, err);
    if (rc == RC_OK)
        rc = store_audit(store, NULL, "rekey", now_ms, err, "%s number %" PRIu64 ", %u keys",
                         job->sat.id, job->doc.number, job->doc.n);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

/* ---- the command ---- */

static json_t *keys_json(struct job *job)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < job->doc.n; i++) {
        const struct rekey_entry *e = &job->doc.entry[i];

        if (e->what == REKEY_NEW_KEM)
            cli_say(job->cli, "  kem: a new pair, made on board");
        else
            cli_say(job->cli, "  %s%s%s, epoch %" PRIu32, rekey_what_name(e->what),
                    e->tenant[0] ? " " : "", e->tenant, e->epoch);
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:s, s:o}", "what", rekey_what_name(e->what),
                                              "tenant", e->tenant, "epoch", json_uint(e->epoch)));
    }
    return list;
}

static int say(struct job *job, size_t n)
{
    const char *under = job->doc.recipient == REKEY_KEM      ? "kem"
                        : job->doc.recipient == REKEY_MASTER ? "master"
                                                             : "nobody";

    cli_say(job->cli, "rekey %" PRIu64 " for %s, %zu bytes, wrapped for %s, queued",
            job->doc.number, job->sat.id, n,
            job->doc.recipient == REKEY_KEM      ? "its KEM key"
            : job->doc.recipient == REKEY_MASTER ? "its master key"
                                                 : "nobody");
    json_t *keys = keys_json(job);
    cli_note(job->cli,
             "the old keys stay in use until a report shows the new ones: berth trust status %s",
             job->sat.id);
    return cli_json(job->cli, json_pack("{s:s, s:o, s:o, s:s, s:o}", "satellite", job->sat.id,
                                        "number", json_uint(job->doc.number), "bytes", json_uint(n),
                                        "under", under, "keys", keys));
}

static int failed(struct job *job, const struct err *err)
{
    if (err->rc == RC_REKEY_RECIPIENT)
        return cli_fail(job->cli, err, "wait for a report of %s that brings its KEM key",
                        cli_arg(job->cli, 0));
    if (err->rc == RC_KEY_FILE)
        return cli_fail(job->cli, err, CLI_FIX_KEY);
    if (err->rc == RC_PLAN_STALE)
        return cli_fail(job->cli, err, "berth trust rekey %s makes another", cli_arg(job->cli, 0));
    if (err->rc == RC_BUSY)
        return cli_fail(job->cli, err, "another rekey of %s is being made: wait, and try again",
                        cli_arg(job->cli, 0));
    return cli_fail(job->cli, err, "%s", fix_trust(err->rc, "berth trust rekey --help"));
}

static int run(struct cli *cli)
{
    scoped(job_done) struct job job = { .cli = cli, .home = HOME_NONE, .dirfd = -1, .lock = -1 };
    scoped(auditing_done) struct auditing audit = { 0 };
    scoped(free_ptr) uint8_t *envelope = NULL;
    bool attach = cli_value(cli, "attach") != NULL;
    uint8_t buf[4096];
    struct bytes payload = { 0 };
    size_t n = 0;
    struct err err = { 0 };
    enum rc rc = open_job(&job, &err);

    if (rc == RC_OK && !attach)
        rc = make(&job, &err);
    if (rc == RC_OK && !attach)
        rc = rekey_encode(&job.doc, buf, sizeof buf, &payload, &err);
    if (rc == RC_OK && cli_value(cli, "request"))
        return run_ask(&job, payload);
    if (rc == RC_OK)
        rc = attach ? collect(&job, &envelope, &n, &err) : sign(&job, payload, &envelope, &n, &err);
    if (rc == RC_OK)
        rc = verify(&job, (struct bytes){ envelope, n }, &err);
    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &job.home, NULL, &err);
    if (rc == RC_OK)
        rc = queue(&job, (struct bytes){ envelope, n }, &err);
    return rc == RC_OK ? say(&job, n) : failed(&job, &err);
}

static const struct cli_option options[] = {
    { "link", CLI_FLAG, NULL, "a new key for the link (also when nothing is named)" },
    { "tenant", CLI_LIST, "TENANT", "a new key for this tenant's own link; its first one too" },
    { "master", CLI_FLAG, NULL, "a new master wrapping key, under which later rekeys are small" },
    { "kem", CLI_FLAG, NULL, "have the satellite make a new KEM pair" },
    { "under", CLI_TEXT, "WHICH",
      "wrap for its kem or its master key (else master where it has one)" },
    { "key", CLI_LIST, "KEY", "operator keys that sign (else the one named at fleet init)" },
    OFFLINE_OPTIONS,
    AUDITING_OPTIONS,
    SIGNER_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_trust_rekey[] = {
    { .name = "trust rekey",
      .group = "Keys and trust",
      .args = "SAT",
      .names = CLI_SATELLITES,
      .summary = "Give a satellite new link, tenant or master keys, over the air",
      .about =
          "Old and new keys overlap until both ends are known to hold the new ones, so a rekey "
          "that is lost changes nothing:\nmake another. Secrets are wrapped for a key that only "
          "the satellite has, and stay in sats/ on the ground.",
      .args_min = 1,
      .args_max = 1,
      .options = options,
      .run = run },
    { 0 },
};
