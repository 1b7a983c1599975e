/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_audit: the chain of records over everything that people asked for.
 */
#include "orchestrator/store_audit.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "manifest/envelope.h"
#include "orchestrator/store_query.h"

/* ---- append -----------------------------------------------------------------------------------
 */

static void login_name(char *out, size_t cap)
{
    struct passwd record, *found = NULL;
    char buf[1024];

    if (getpwuid_r(getuid(), &record, buf, sizeof buf, &found) == 0 && found)
        (void)snprintf(out, cap, "%s", found->pw_name);
    else
        (void)snprintf(out, cap, "uid %u", (unsigned)getuid());
}

static _Thread_local char acting[AUDIT_WHO_CAP];

void store_act_as(const char *who)
{
    (void)snprintf(acting, sizeof acting, "%s", who);
}

void store_who(char out[AUDIT_WHO_CAP])
{
    if (acting[0] != '\0')
        (void)snprintf(out, AUDIT_WHO_CAP, "%s", acting);
    else
        login_name(out, AUDIT_WHO_CAP);
}

static void keep_printable(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

enum rc store_audit_head(struct store *store, uint64_t *ret_seq, struct digest *ret,
                         struct err *err)
{
    struct query q = query_start(store, "SELECT seq, hash FROM audit_head");
    struct digest hash = { 0 };
    uint64_t seq = 0;

    if (query_next(&q)) {
        seq = query_get_u64(&q);
        query_get_digest(&q, &hash);
    }
    enum rc rc = query_end(&q, err);

    if (rc == RC_OK) {
        *ret_seq = seq;
        *ret = hash;
    }
    return rc;
}

static enum rc root_version(struct store *store, uint64_t *ret, struct err *err)
{
    struct query q = query_start(store, "SELECT coalesce(max(version), 0) FROM document "
                                        "WHERE type = ? AND name = 'root'");

    query_u64(&q, DOC_ROOT);
    if (query_next(&q))
        *ret = query_get_u64(&q);
    return query_end(&q, err);
}

static void take_by(struct audit_entry *entry, const struct store_audit_by *by)
{
    if (by->why)
        (void)snprintf(entry->why, sizeof entry->why, "%s", by->why);
    if (by->plan)
        entry->plan = *by->plan;
    entry->n_approvals = by->n_approvals;
    memcpy(entry->approval, by->approval, sizeof entry->approval);
    entry->lost = by->lost;
}

static enum rc put_record(struct store *store, const struct audit_entry *entry, struct bytes record,
                          struct err *err)
{
    struct digest hash;
    enum rc rc = sha256_of(record, hash.b, err);

    if (rc != RC_OK)
        return rc;
    struct query q = query_start(store, "INSERT INTO audit (seq, hash, lost_first, lost_last, "
                                        "record) VALUES (?, ?, ?, ?, ?)");

    query_u64(&q, entry->seq);
    query_blob(&q, (struct bytes){ hash.b, sizeof hash.b });
    query_u64(&q, entry->lost.first);
    query_u64(&q, entry->lost.last);
    query_blob(&q, record);
    rc = query_run(&q, err);
    if (rc != RC_OK)
        return rc;
    q = query_start(store, "INSERT INTO audit_head (one, seq, hash) VALUES (1, ?, ?) ON CONFLICT "
                           "(one) DO UPDATE SET seq = excluded.seq, hash = excluded.hash");
    query_u64(&q, entry->seq);
    query_blob(&q, (struct bytes){ hash.b, sizeof hash.b });
    return query_run(&q, err);
}

/* Signed if somebody can, and kept. */
static enum rc write_entry(struct store *store, struct audit_entry *entry, struct err *err)
{
    const struct store_audit_by *by = query_by(store);
    scoped(free_ptr) uint8_t *envelope = NULL;
    uint8_t buf[AUDIT_ENTRY_MAX];
    struct bytes record;
    size_t n = 0;
    enum rc rc = root_version(store, &entry->root_version, err);

    if (rc == RC_OK)
        rc = audit_entry_encode(entry, buf, sizeof buf, &record, err);
    if (rc != RC_OK)
        return rc;
    if (by && by->sign && entry->root_version > 0)
        rc = by->sign(by->arg, record, &envelope, &n, err);
    if (rc == RC_OK && envelope)
        record = (struct bytes){ envelope, n };
    if (rc != RC_OK && rc != RC_NOT_FOUND)
        return rc;
    return put_record(store, entry, record, err);
}

/* The first record of a store that had a log before: nothing of that can be changed unseen. */
static enum rc begin_chain(struct store *store, uint64_t now_ms, struct err *err)
{
    struct audit_entry entry = { .seq = 1, .at_ms = now_ms, .who = "berth", .action = AUDIT_BEGUN };
    enum rc rc = audit_before_text(store, entry.what, err);

    return rc == RC_OK && entry.what[0] != '\0' ? write_entry(store, &entry, err) : rc;
}

static enum rc append(struct store *store, struct audit_entry *entry, struct err *err)
{
    const struct store_audit_by *by = query_by(store);
    uint64_t seq = 0;
    enum rc rc = store_audit_head(store, &seq, &entry->previous, err);

    if (rc == RC_OK && seq == 0) {
        rc = begin_chain(store, entry->at_ms, err);
        if (rc == RC_OK)
            rc = store_audit_head(store, &seq, &entry->previous, err);
    }
    if (rc != RC_OK)
        return rc;
    if (by)
        take_by(entry, by);
    entry->seq = (entry->lost.last > seq ? entry->lost.last : seq) + 1;
    return write_entry(store, entry, err);
}

enum rc store_audit(struct store *store, const char *who, const char *action, uint64_t now_ms,
                    struct err *err, const char *detail, ...)
{
    scoped(store_rollback) struct store *open = NULL;
    struct audit_entry entry = { .at_ms = now_ms };
    va_list args;
    enum rc rc;

    if (who)
        (void)snprintf(entry.who, sizeof entry.who, "%s", who);
    else
        store_who(entry.who);
    (void)snprintf(entry.action, sizeof entry.action, "%s", action);
    va_start(args, detail);
    (void)vsnprintf(entry.what, sizeof entry.what, detail, args);
    va_end(args);
    keep_printable(entry.who);
    keep_printable(entry.what);
    rc = store_join(store, &open, err);
    if (rc == RC_OK)
        rc = append(store, &entry, err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

/* ---- read -------------------------------------------------------------------------------------
 */

enum rc store_audit_hash(struct store *store, uint64_t seq, struct digest *ret, bool *ret_lost,
                         struct err *err)
{
    struct query q = query_start(store, "SELECT hash FROM audit WHERE seq = ?");
    bool found, lost = false;
    struct digest hash;

    query_u64(&q, seq);
    found = query_next(&q);
    if (found)
        query_get_digest(&q, &hash);
    enum rc rc = query_end(&q, err);

    if (rc != RC_OK)
        return rc;
    q = query_start(store, "SELECT 1 FROM audit WHERE lost_last != 0 AND lost_last >= ? AND "
                           "lost_first <= ? LIMIT 1");
    query_u64(&q, seq);
    query_u64(&q, seq);
    lost = query_next(&q);
    rc = query_end(&q, err);
    if (rc != RC_OK)
        return rc;
    *ret_lost = lost;
    if (!found)
        return RC_NOT_FOUND;
    *ret = hash;
    return RC_OK;
}

enum rc store_audit_records(struct store *store,
                            enum rc (*fn)(void *arg, const struct store_record *record,
                                          struct err *err),
                            void *arg, struct err *err)
{
    struct query q = query_start(store, "SELECT seq, hash, record FROM audit ORDER BY seq");
    enum rc rc = RC_OK, ended;

    while (rc == RC_OK && query_next(&q)) {
        struct store_record row = { .seq = query_get_u64(&q) };

        query_get_digest(&q, &row.hash);
        row.record = query_get_view(&q);
        if (q.rc == RC_OK)
            rc = fn(arg, &row, err);
    }
    ended = query_end(&q, rc == RC_OK ? err : NULL);
    return rc == RC_OK ? ended : rc;
}

static enum rc decode_row(struct query *q, struct store_audit *ret, struct err *err)
{
    struct bytes record, entry = { 0 };
    struct envelope envelope;
    enum rc rc;

    query_get_digest(q, &ret->hash);
    record = query_get_view(q);
    if (q->rc != RC_OK)
        return RC_OK; /* query_end tells */
    rc = audit_record_open(record, &entry, &ret->is_signed, err);
    if (rc == RC_OK)
        rc = audit_entry_decode(entry, &ret->entry, err);
    if (rc == RC_OK && ret->is_signed)
        rc = envelope_open(record, &envelope, err);
    if (rc == RC_OK && ret->is_signed && envelope.signature[0].key_id.n == KEY_ID_SIZE)
        memcpy(ret->signer, envelope.signature[0].key_id.p, KEY_ID_SIZE);
    return rc == RC_OK ? rc
                       : err_set(err, RC_AUDIT_BROKEN, "an entry cannot be read (%s)", rc_name(rc));
}

enum rc store_audit_after(struct store *store, uint64_t seq, struct store_audit *ret,
                          struct err *err)
{
    struct query q =
        query_start(store, "SELECT hash, record FROM audit WHERE seq > ? ORDER BY seq LIMIT 1");
    enum rc rc = RC_NOT_FOUND, ended;

    query_u64(&q, seq);
    *ret = (struct store_audit){ 0 };
    if (query_next(&q))
        rc = decode_row(&q, ret, err);
    ended = query_end(&q, rc == RC_OK || rc == RC_NOT_FOUND ? err : NULL);
    return ended == RC_OK || (rc != RC_OK && rc != RC_NOT_FOUND) ? rc : ended;
}

#define LIST_MAX (1U << 20)

enum rc store_audit_list(struct store *store, size_t last, struct store_audit **ret, size_t *ret_n,
                         struct err *err)
{
    struct query q =
        query_start(store, "SELECT hash, record FROM (SELECT seq, hash, record "
                           "FROM audit ORDER BY seq DESC LIMIT ?) AS newest ORDER BY seq");
    scoped(free_ptr) struct store_audit *rows = NULL;
    size_t n = 0, cap = 0;
    enum rc rc = RC_OK, ended;

    query_u64(&q, last < LIST_MAX ? last : LIST_MAX);
    while (rc == RC_OK && query_next(&q)) {
        if (n == cap) {
            struct store_audit *grown = realloc(rows, (cap * 2 + 16) * sizeof *rows);

            if (!grown) {
                rc = err_set(err, RC_NO_MEMORY, "audit log");
                break;
            }
            rows = grown;
            cap = cap * 2 + 16;
        }
        memset(&rows[n], 0, sizeof rows[n]);
        rc = decode_row(&q, &rows[n++], err);
    }
    ended = query_end(&q, rc == RC_OK ? err : NULL);
    if (rc == RC_OK)
        rc = ended;
    if (rc != RC_OK)
        return rc;
    *ret = rows;
    *ret_n = n;
    rows = NULL;
    return RC_OK;
}

/* ---- check ------------------------------------------------------------------------------------
 */

/* Every root of the store, one after the other. */
static enum rc walk_roots(struct store *store, struct audit_walk *walk, struct err *err)
{
    enum rc rc = RC_OK;

    for (uint64_t version = 1; rc == RC_OK; version++) {
        scoped(free_ptr) uint8_t *envelope = NULL;
        size_t n = 0;

        rc = store_document_version(store, DOC_ROOT, "root", version, &envelope, &n, err);
        if (rc == RC_OK)
            rc = audit_walk_root(walk, (struct bytes){ envelope, n }, err);
    }
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

struct checking {
    struct store *store;
    struct audit_walk *walk;
};

/* The first record has to say what the log before came to. */
static enum rc check_begun(struct store *store, const struct audit_entry *first, struct err *err)
{
    char want[AUDIT_WHAT_CAP];
    enum rc rc = audit_before_text(store, want, err);
    const char *said = strcmp(first->action, AUDIT_BEGUN) == 0 ? first->what : "";

    if (rc == RC_OK && strcmp(want, said) != 0)
        rc = err_set(err, RC_AUDIT_BROKEN, "the log before the records is not as entry 1 says");
    return rc;
}

static enum rc check_record(void *arg, const struct store_record *row, struct err *err)
{
    const struct checking *c = arg;
    struct audit_entry entry;
    struct digest hash;
    uint64_t before = c->walk->seq;
    enum rc rc = audit_walk_record(c->walk, row->record, &entry, &hash, err);

    if (rc == RC_OK && entry.seq != row->seq)
        rc = err_set(err, RC_AUDIT_BROKEN, "entry %llu stands where entry %llu should",
                     (unsigned long long)entry.seq, (unsigned long long)row->seq);
    if (rc == RC_OK && !digest_same(&hash, &row->hash))
        rc = err_set(err, RC_AUDIT_BROKEN, "entry %llu was changed", (unsigned long long)entry.seq);
    return rc == RC_OK && before == 0 ? check_begun(c->store, &entry, err) : rc;
}

enum rc store_audit_check(struct store *store, struct audit_walk *ret, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    struct checking checking = { .store = store, .walk = &walk };
    struct digest head = { 0 };
    uint64_t seq = 0;
    enum rc rc = store_begin_read(store, &open, err);

    if (rc == RC_OK)
        rc = walk_roots(store, &walk, err);
    if (rc == RC_OK)
        rc = store_audit_records(store, check_record, &checking, err);
    if (rc == RC_OK && walk.seq == 0) /* no record says yet what it came to */
        rc = audit_before_check(store, err);
    if (rc == RC_OK)
        rc = store_audit_head(store, &seq, &head, err);
    if (rc == RC_OK)
        rc = audit_walk_end(&walk, seq, &head, err);
    if (rc == RC_OK) {
        *ret = walk;
        walk = (struct audit_walk){ 0 };
    }
    return rc;
}
