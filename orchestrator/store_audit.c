/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_audit: the hash chain over everything that people asked for.
 */
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "base/crypto.h"
#include "orchestrator/store_query.h"

#define AUDIT(kind, member) FIELD(kind, struct store_audit, member)
static const struct field audit_fields[] = {
    AUDIT(FIELD_U64, seq),     AUDIT(FIELD_U64, at_ms),   AUDIT(FIELD_TEXT, who),
    AUDIT(FIELD_TEXT, action), AUDIT(FIELD_TEXT, detail), AUDIT(FIELD_DIGEST, hash),
};
static const struct row_type audit_row = ROW_TYPE(struct store_audit, audit_fields);
#define AUDIT_COLUMNS "seq, at_ms, who, action, detail, hash"

/* Each text is preceded by its length, so that no two entries give the same bytes. */
static enum rc add_text(struct sha256 *ctx, const char *text, struct err *err)
{
    uint8_t size[8];
    enum rc rc;

    bytes_put_be(size, 8, strlen(text));
    rc = sha256_add(ctx, (struct bytes){ .p = size, .n = sizeof size }, err);
    return rc == RC_OK ? sha256_add(ctx, bytes_of(text), err) : rc;
}

static enum rc entry_hash(const struct digest *previous, const struct store_audit *entry,
                          struct digest *ret, struct err *err)
{
    scoped(sha256_free) struct sha256 *ctx = NULL;
    uint8_t head[DIGEST_SIZE + 16];
    enum rc rc = sha256_new(&ctx, err);

    memcpy(head, previous->b, DIGEST_SIZE);
    bytes_put_be(head + DIGEST_SIZE, 8, entry->seq);
    bytes_put_be(head + DIGEST_SIZE + 8, 8, entry->at_ms);
    if (rc == RC_OK)
        rc = sha256_add(ctx, (struct bytes){ .p = head, .n = sizeof head }, err);
    if (rc == RC_OK)
        rc = add_text(ctx, entry->who, err);
    if (rc == RC_OK)
        rc = add_text(ctx, entry->action, err);
    if (rc == RC_OK)
        rc = add_text(ctx, entry->detail, err);
    return rc == RC_OK ? sha256_end(ctx, ret->b, err) : rc;
}

static void login_name(char *out, size_t cap)
{
    struct passwd record, *found = NULL;
    char buf[1024];

    if (getpwuid_r(getuid(), &record, buf, sizeof buf, &found) == 0 && found)
        (void)snprintf(out, cap, "%s", found->pw_name);
    else
        (void)snprintf(out, cap, "uid %u", (unsigned)getuid());
}

static enum rc append(struct store *store, struct store_audit *entry, struct err *err)
{
    struct query q = query_start(store, "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1");
    struct digest previous = { 0 };
    enum rc rc;

    if (query_next(&q)) {
        entry->seq = query_get_u64(&q);
        query_get_digest(&q, &previous);
    }
    rc = query_end(&q, err);
    entry->seq++;
    if (rc == RC_OK)
        rc = entry_hash(&previous, entry, &entry->hash, err);
    if (rc != RC_OK)
        return rc;
    q = query_start(store, "INSERT INTO audit (" AUDIT_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?)");
    query_row(&q, &audit_row, entry);
    return query_run(&q, err);
}

enum rc store_audit(struct store *store, const char *who, const char *action, uint64_t now_ms,
                    struct err *err, const char *detail, ...)
{
    scoped(store_rollback) struct store *open = NULL;
    struct store_audit entry = { .at_ms = now_ms };
    va_list args;
    enum rc rc;

    if (who)
        (void)snprintf(entry.who, sizeof entry.who, "%s", who);
    else
        login_name(entry.who, sizeof entry.who);
    (void)snprintf(entry.action, sizeof entry.action, "%s", action);
    va_start(args, detail);
    (void)vsnprintf(entry.detail, sizeof entry.detail, detail, args);
    va_end(args);
    rc = store_join(store, &open, err);
    if (rc == RC_OK)
        rc = append(store, &entry, err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

enum rc store_audit_check(struct store *store, uint64_t *ret_entries, struct digest *ret_head,
                          struct err *err)
{
    struct query q = query_start(store, "SELECT " AUDIT_COLUMNS " FROM audit ORDER BY seq");
    struct digest head = { 0 }, want;
    uint64_t n = 0;
    enum rc rc = RC_OK, ended;

    while (rc == RC_OK && query_next(&q)) {
        struct store_audit entry = { 0 };

        query_get_row(&q, &audit_row, &entry);
        rc = entry_hash(&head, &entry, &want, err);
        n++;
        if (rc == RC_OK && (entry.seq != n || memcmp(&want, &entry.hash, sizeof want) != 0))
            rc = err_set(err, RC_STORE, "audit chain is broken at entry %llu",
                         (unsigned long long)n);
        head = entry.hash;
    }
    ended = query_end(&q, rc == RC_OK ? err : NULL);
    if (rc == RC_OK)
        rc = ended;
    if (rc == RC_OK) {
        *ret_entries = n;
        *ret_head = head;
    }
    return rc;
}

enum rc store_audit_list(struct store *store, size_t last, struct store_audit **ret, size_t *ret_n,
                         struct err *err)
{
    struct query q = query_start(store, "SELECT * FROM (SELECT " AUDIT_COLUMNS
                                        " FROM audit ORDER BY seq DESC LIMIT ?) ORDER BY seq");

    query_u64(&q, last);
    return query_list(&q, &audit_row, (void **)ret, ret_n, err);
}
