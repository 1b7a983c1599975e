/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_audit: the audit log: read it, check it, take it along.
 */
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "orchestrator/audit_file.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/path.h"
#include "orchestrator/view.h"
#include "orchestrator/witness.h"

/* ---- log --------------------------------------------------------------------------------------
 */

static json_t *approvals_json(const struct audit_entry *e)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < e->n_approvals; i++)
        (void)json_array_append_new(list, json_hex((struct bytes){ e->approval[i], KEY_ID_SIZE }));
    return list;
}

static json_t *entry_json(const struct store_audit *row)
{
    const struct audit_entry *e = &row->entry;
    json_t *signer =
        row->is_signed ? json_hex((struct bytes){ row->signer, KEY_ID_SIZE }) : json_null();

    return json_pack("{s:o, s:o, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:[o, o], s:o}", "seq",
                     json_uint(e->seq), "at_ms", json_uint(e->at_ms), "who", e->who, "action",
                     e->action, "what", e->what, "why", e->why, "root_version",
                     json_uint(e->root_version), "plan", json_digest(&e->plan), "approvals",
                     approvals_json(e), "signer", signer, "lost", json_uint(e->lost.first),
                     json_uint(e->lost.last), "hash", json_digest(&row->hash));
}

static void say_entry(struct cli *cli, const struct store_audit *row)
{
    const struct audit_entry *e = &row->entry;
    const time_t s = (time_t)(e->at_ms / 1000U);
    char when[32] = "?", hex[2 * KEY_ID_SIZE + 1] = "-";
    struct tm tm;

    if (gmtime_r(&s, &tm))
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
    if (row->is_signed)
        (void)bytes_hex((struct bytes){ row->signer, KEY_ID_SIZE }, hex);
    cli_say(cli, "%6llu  %s  %-8.8s  %-16s  %s", (unsigned long long)e->seq, when, hex, e->action,
            e->who);
    if (e->what[0] != '\0')
        cli_say(cli, "        %s", e->what);
    if (e->why[0] != '\0')
        cli_say(cli, "        why: %s", e->why);
    if (e->lost.first != 0)
        cli_say(cli, "        gives up what was known elsewhere of entries %llu to %llu",
                (unsigned long long)e->lost.first, (unsigned long long)e->lost.last);
}

static int run_log(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_audit *rows = NULL;
    json_t *list = json_array();
    struct err err = { 0 };
    uint64_t last = 0;
    size_t n = 0;
    enum rc rc = cli_number(cli, "last", 50, 1, 1U << 20, &last, &err);

    if (rc == RC_OK)
        rc = home_open(cli->home, false, &home, &err);
    if (rc == RC_OK)
        rc = store_audit_list(home.store, last, &rows, &n, &err);
    if (rc != RC_OK) {
        json_decref(list);
        return cli_fail(cli, &err, rc == RC_AUDIT_BROKEN ? "berth audit verify" : NULL);
    }
    cli_say(cli, "%6s  %-19s  %-8s  %-16s  %s", "ENTRY", "AT (UTC)", "SIGNED", "ACTION", "WHO");
    for (size_t i = 0; i < n; i++) {
        say_entry(cli, &rows[i]);
        (void)json_array_append_new(list, entry_json(&rows[i]));
    }
    return cli_json(cli, list);
}

/* ---- verify -----------------------------------------------------------------------------------
 */

/* What satellites have seen of the log. */
static enum rc look_up(struct store *store, struct witness_alarm *ret, struct err *err)
{
    scoped(view_free) struct view *view = NULL;
    enum rc rc = view_load(store, &view, err);

    return rc == RC_OK ? witness_fleet(store, view, ret, err) : rc;
}

static enum rc verify_store(struct cli *cli, struct audit_walk *ret, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    struct witness_alarm alarm = { 0 };
    struct err accused = { 0 };
    enum rc rc = home_open(cli->home, false, &home, err);

    if (rc == RC_OK)
        rc = store_audit_check(home.store, ret, err);
    if (rc == RC_OK) /* whole by itself; but all of it is for others to say */
        rc = look_up(home.store, &alarm, err);
    if (rc == RC_OK)
        rc = witness_refuse(&alarm, err);
    if (rc == RC_OK && witness_accuse(&alarm, &accused) != RC_OK)
        cli_note(cli, "%s: no order to it until berth audit accept-loss --satellite %s",
                 accused.what, alarm.accuses);
    return rc;
}

/* A file says by itself which roots it goes by: with --root they are those of a mission that the
 * one who checks knows. */
static enum rc check_root(struct cli *cli, struct bytes file, struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    scoped(trust_free) struct trust *trust = NULL;
    bool has = false;
    size_t n = 0;
    enum rc rc = path_read(cli_value(cli, "root"), DOCUMENT_MAX, &bytes, &n, err);

    if (rc == RC_OK)
        rc = trust_new((struct bytes){ bytes, n }, &trust, err);
    if (rc == RC_OK)
        rc = audit_file_has_root(file, trust_root_digest(trust), &has, err);
    if (rc == RC_OK && !has)
        rc = err_set(err, RC_AUDIT_BROKEN, "the file does not go by the root of --root");
    return rc;
}

static enum rc verify_file(struct cli *cli, const char *path, struct audit_walk *ret,
                           struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    size_t n = 0;
    enum rc rc = path_read(path, AUDIT_FILE_MAX, &bytes, &n, err);

    if (rc == RC_OK && cli_value(cli, "root"))
        rc = check_root(cli, (struct bytes){ bytes, n }, err);
    return rc == RC_OK ? audit_file_check((struct bytes){ bytes, n }, ret, err) : rc;
}

static int say_walk(struct cli *cli, const struct audit_walk *w)
{
    char head[2 * DIGEST_SIZE + 1], mission[2 * MISSION_SIZE + 1];

    (void)bytes_hex((struct bytes){ w->head.b, DIGEST_SIZE }, head);
    (void)bytes_hex((struct bytes){ w->mission.b, MISSION_SIZE }, mission);
    cli_say(cli, "whole: %llu entries of mission %s, %llu of them signed by operators",
            (unsigned long long)w->entries, mission, (unsigned long long)w->n_signed);
    if (w->n_lost > 0)
        cli_say(cli, "%llu numbers were given up", (unsigned long long)w->n_lost);
    cli_say(cli, "head: entry %llu, %s", (unsigned long long)w->seq, head);
    if (w->signed_seq < w->seq)
        cli_note(cli, "no signature vouches for what is behind entry %llu: berth audit sign",
                 (unsigned long long)w->signed_seq);
    return cli_json(cli,
                    json_pack("{s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "whole", 1,
                              "entries", json_uint(w->entries), "signed", json_uint(w->n_signed),
                              "signed_seq", json_uint(w->signed_seq), "lost", json_uint(w->n_lost),
                              "seq", json_uint(w->seq), "head", json_digest(&w->head), "first_root",
                              json_digest(&w->first_root), "mission",
                              json_hex((struct bytes){ w->mission.b, MISSION_SIZE })));
}

static int run_verify(struct cli *cli)
{
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    const char *file = cli_arg(cli, 0);
    struct err err = { 0 };
    enum rc rc = file ? verify_file(cli, file, &walk, &err) : verify_store(cli, &walk, &err);

    if (rc == RC_AUDIT_BROKEN)
        return cli_fail(cli, &err,
                        "somebody or something has changed it: docs/guide/operator.md says what "
                        "to do");
    if (rc == RC_AUDIT_LOST)
        return cli_fail(cli, &err,
                        "put back the store that has it; if there is none: berth audit "
                        "accept-loss --why TEXT");
    return rc == RC_OK ? say_walk(cli, &walk)
                       : cli_fail(cli, &err, file ? CLI_FIX_PATH : "berth audit verify --help");
}

/* ---- export -----------------------------------------------------------------------------------
 */

struct export
{
    uint8_t *bytes;
    size_t n, cap;
};

static void export_done(struct export *e)
{
    free(e->bytes);
}

static enum rc add_bytes(struct export *e, struct bytes more, struct err *err)
{
    if (more.n > AUDIT_FILE_MAX - e->n)
        return err_set(err, RC_TOO_LARGE, "the log is larger than a file of it may be");
    if (!e->bytes || more.n > e->cap - e->n) {
        size_t cap = (e->n + more.n) * 2 + 1;
        uint8_t *grown = realloc(e->bytes, cap);

        if (!grown)
            return err_set(err, RC_NO_MEMORY, "audit log");
        e->bytes = grown;
        e->cap = cap;
    }
    memcpy(e->bytes + e->n, more.p, more.n);
    e->n += more.n;
    return RC_OK;
}

static enum rc add_record(void *arg, const struct store_record *row, struct err *err)
{
    return add_bytes(arg, row->record, err);
}

struct roots {
    size_t n;
    struct audit_file_root root[AUDIT_ROOTS_MAX];
    uint8_t *bytes[AUDIT_ROOTS_MAX];
};

static void roots_free(struct roots **roots)
{
    for (size_t i = 0; *roots && i < (*roots)->n; i++)
        free((*roots)->bytes[i]);
    free(*roots);
}

static enum rc read_roots(const struct home *home, struct roots *roots, struct err *err)
{
    enum rc rc = RC_OK;

    while (rc == RC_OK && roots->n < AUDIT_ROOTS_MAX) {
        size_t i = roots->n;

        rc = store_document_version(home->store, DOC_ROOT, "root", i + 1, &roots->bytes[i],
                                    &roots->root[i].envelope.n, err);
        roots->root[i].envelope.p = roots->bytes[i];
        roots->n += rc == RC_OK;
    }
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

static enum rc export(const struct home *home, const struct mission *mission, struct export *e,
                      struct audit_file_head *head, struct err *err) {
    scoped(roots_free) struct roots *roots = calloc(1, sizeof *roots);
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) uint8_t *bytes = NULL;
    size_t n = 0;

    if (!roots) return err_set(err, RC_NO_MEMORY, "roots");
    head->mission = *mission;
    enum rc rc = store_begin_read(home->store, &open, err);

    if (rc == RC_OK) rc = read_roots(home, roots, err);
    if (rc == RC_OK) rc = store_audit_head(home->store, &head->seq, &head->head, err);
    head->root = roots->root;
    head->n_roots = roots->n;
    if (rc == RC_OK) rc = audit_file_head_encode(head, &bytes, &n, err);
    if (rc == RC_OK) rc = add_bytes(e, (struct bytes){ bytes, n }, err);
    if (rc == RC_OK) rc = store_audit_records(home->store, add_record, e, err);
    head->root = NULL;
    return rc;
}

static int run_export(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    scoped(export_done) struct export e = { 0 };
    struct audit_file_head head = { 0 };
    char size[CLI_SIZE_CAP];
    struct err err = { 0 };
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = home_trust(&home, clock_unix_ms(), &trust, &err);
    if (rc == RC_OK)
        rc = export(&home, &trust_root(trust)->mission, &e, &head, &err);
    if (rc == RC_OK)
        rc = path_write(cli_arg(cli, 0), (struct bytes){ e.bytes, e.n }, 0644, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    cli_say(cli, "%s: entries up to %llu, %s; check it anywhere: berth audit verify %s",
            cli_arg(cli, 0), (unsigned long long)head.seq, cli_size(e.n, size), cli_arg(cli, 0));
    return cli_json(cli, json_pack("{s:o, s:o, s:o, s:o}", "file", json_safe(cli_arg(cli, 0)),
                                   "seq", json_uint(head.seq), "head", json_digest(&head.head),
                                   "bytes", json_uint(e.n)));
}

/* ---- sign -------------------------------------------------------------------------------------
 */

/* An entry that is nothing but a signature over all before it. */
static enum rc sign_all(const struct home *home, struct store_audit **ret, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    char hex[2 * DIGEST_SIZE + 1];
    struct digest head;
    uint64_t seq = 0;
    size_t n = 0;
    enum rc rc = store_begin(home->store, &open, err);

    if (rc == RC_OK)
        rc = store_audit_head(home->store, &seq, &head, err);
    if (rc == RC_OK)
        rc = store_audit(home->store, NULL, "audit-sign", clock_unix_ms(), err, "up to %llu, %s",
                         (unsigned long long)seq,
                         bytes_hex((struct bytes){ head.b, sizeof head.b }, hex));
    if (rc == RC_OK)
        rc = store_audit_list(home->store, 1, ret, &n, err);
    if (rc == RC_OK && (n != 1 || !(*ret)->is_signed))
        rc = err_set(err, RC_KEY_FILE, "no key of an operator");
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static int run_sign(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    scoped(free_ptr) struct store_audit *row = NULL;
    struct err err = { 0 };
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &home, NULL, &err);
    if (rc == RC_OK)
        rc = sign_all(&home, &row, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "--as OPERATOR.key, and --passphrase-file FILE");
    cli_say(cli, "entry %llu vouches for all before it", (unsigned long long)row->entry.seq);
    return cli_json(cli, entry_json(row));
}

/* ---- accept-loss ------------------------------------------------------------------------------
 */

/* What there is to give up, and what became of it. */
struct loss {
    const struct home *home;
    struct auditing *audit;
    struct view *view;
    enum witness_state *states; /* by satellite of the view */
    struct witness_alarm alarm;
    uint32_t entries; /* written */
};

static void loss_done(struct loss *l)
{
    free(l->states);
    view_free(&l->view);
}

static enum rc loss_load(struct loss *l, struct err *err)
{
    struct store *store = l->home->store;
    enum rc rc = view_load(store, &l->view, err);

    if (rc == RC_OK)
        rc = witness_states(store, l->view, &l->states, err);
    return rc == RC_OK ? witness_fleet(store, l->view, &l->alarm, err) : rc;
}

/* The greatest first, so that no entry takes the number of one. */
static enum rc give_up_claims(struct loss *l, struct err *err)
{
    struct audit_lost *lost = &l->audit->by.lost;
    const char *satellite = NULL;
    uint64_t below = UINT64_MAX;
    enum rc rc = RC_OK;

    while (rc == RC_OK &&
           witness_lost(l->view, l->states, l->alarm.head, below, lost, &satellite)) {
        below = lost->first;
        rc = store_audit(l->home->store, NULL, "accept-loss", clock_unix_ms(), err,
                         "%s has seen entry %llu; the log ended with %llu", satellite,
                         (unsigned long long)lost->last, (unsigned long long)l->alarm.head);
        l->entries += rc == RC_OK;
    }
    *lost = (struct audit_lost){ 0, 0 };
    if (rc == RC_OK && l->entries == 0)
        rc = err_set(err, RC_NOT_FOUND, "no satellite has seen what the log does not have");
    return rc;
}

/* The witness of one satellite counts no longer; no number is given up for it. */
static enum rc ignore_one(struct loss *l, const char *satellite, struct err *err)
{
    const struct view_satellite *sat = view_find(l->view, satellite);

    if (!sat)
        return err_set(err, RC_NO_SATELLITE, "%s", satellite);
    enum witness_state state = l->states[sat - l->view->satellite];

    if (!witness_alarms(state) && state != WITNESS_ACCUSED)
        return err_set(err, RC_NOT_FOUND, "%s has seen nothing that the log does not have",
                       satellite);
    enum rc rc = witness_ignore(l->home->store, satellite, err);

    if (rc == RC_OK)
        rc = store_audit(l->home->store, NULL, "ignore-witness", clock_unix_ms(), err,
                         "what %s has seen counts no longer: it says entry %llu, the log ends with "
                         "%llu",
                         satellite, (unsigned long long)sat->seen->witness.seq,
                         (unsigned long long)l->alarm.head);
    l->entries += rc == RC_OK;
    return rc;
}

static enum rc accept_loss(const struct home *home, struct auditing *audit, const char *satellite,
                           struct store_audit **ret, size_t *ret_n, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(loss_done) struct loss l = { .home = home, .audit = audit };
    enum rc rc = store_begin(home->store, &open, err);

    if (rc == RC_OK)
        rc = loss_load(&l, err);
    if (rc == RC_OK)
        rc = satellite ? ignore_one(&l, satellite, err) : give_up_claims(&l, err);
    if (rc == RC_OK)
        rc = store_audit_list(home->store, l.entries, ret, ret_n, err);
    for (size_t i = 0; rc == RC_OK && i < *ret_n; i++)
        if (!(*ret)[i].is_signed)
            rc = err_set(err, RC_KEY_FILE, "no key of an operator");
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static int run_accept_loss(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    scoped(free_ptr) struct store_audit *rows = NULL;
    const char *why = cli_value(cli, "why"), *satellite = cli_value(cli, "satellite");
    struct err err = { 0 };
    size_t n = 0;
    enum rc rc = why && why[0] != '\0' ? RC_OK : err_set(&err, RC_USAGE, "--why is missing");

    if (rc == RC_OK)
        rc = home_open(cli->home, false, &home, &err);
    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &home, NULL, &err);
    if (rc == RC_OK)
        rc = accept_loss(&home, &audit, satellite, &rows, &n, &err);
    if (rc == RC_NOT_FOUND)
        return cli_fail(cli, &err, "berth audit verify");
    if (rc == RC_NO_SATELLITE)
        return cli_fail(cli, &err, "berth status lists them");
    if (rc != RC_OK)
        return cli_fail(cli, &err, "--why TEXT, --as OPERATOR.key, --passphrase-file FILE");
    for (size_t i = 0; i < n; i++) {
        const struct audit_entry *e = &rows[i].entry;

        if (satellite)
            cli_say(cli, "entry %llu: what %s has seen counts no longer",
                    (unsigned long long)e->seq, satellite);
        else
            cli_say(cli, "entry %llu gives up entry %llu", (unsigned long long)e->seq,
                    (unsigned long long)e->lost.first);
    }
    return cli_json(cli, entry_json(&rows[n - 1]));
}

/* ---- the commands -----------------------------------------------------------------------------
 */

static const struct cli_option log_options[] = {
    { "last", CLI_TEXT, "N", "how many of the newest (50)" },
    CLI_OPTION_WATCH,
    { 0 },
};

static const struct cli_option verify_options[] = {
    { "root", CLI_PATH, "FILE", "a trust root of the mission that the file must go by" },
    { 0 },
};

static const struct cli_option sign_options[] = {
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

static const struct cli_option accept_options[] = {
    { "satellite", CLI_TEXT, "SAT", "only: what this one has seen counts no longer" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_audit[] = {
    { .name = "audit log",
      .group = "Audit",
      .args = "",
      .summary = "Who changed what, when and why, the newest last",
      .watch = CLI_WATCH,
      .listing = "seq",
      .about = "SIGNED is the id of the operator key that signed the entry, - where none was at\n"
               "hand.  It is read, not checked: berth audit verify does that.",
      .options = log_options,
      .run = run_log },
    { .name = "audit verify",
      .group = "Audit",
      .args = "[FILE]",
      .summary = "Check every hash and signature of the log, or of one that was exported",
      .about =
          "Finds entries that were removed, changed, moved, put in or cut off, and says which.\n"
          "An entry's signature counts if its key was an operator's under the root of then; a\n"
          "key that was rotated out vouches for what was written before, and for nothing\n"
          "else.  A file needs no home; with --root it must be of a mission that you know.",
      .args_max = 1,
      .options = verify_options,
      .run = run_verify },
    { .name = "audit export",
      .group = "Audit",
      .args = "FILE",
      .summary = "Write the log with the roots it goes by into one file",
      .args_min = 1,
      .args_max = 1,
      .run = run_export },
    { .name = "audit sign",
      .group = "Audit",
      .args = "",
      .summary = "Vouch for every entry so far, by one that is signed",
      .about = "Entries of berth-ground, and of commands that had no operator key at hand, are\n"
               "not signed themselves.",
      .options = sign_options,
      .run = run_sign },
    { .name = "audit accept-loss",
      .group = "Audit",
      .args = "",
      .summary = "Go on without the part of the log that only satellites have seen",
      .about = "A satellite has seen a head of the log that this store does not have: the store\n"
               "was rolled back, or written anew.  No new order is made or released until the\n"
               "store that has it is put back, or an operator says with this that it is gone.\n"
               "That is an entry itself, signed, with --why: one for each number that a satellite\n"
               "names.  With --satellite no number is given up: that satellite tells lies, or was\n"
               "taken over, and what it has seen of the log counts no longer, for good.",
      .options = accept_options,
      .run = run_accept_loss },
    { 0 },
};
