/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_audit_before: the audit log as it was kept before there were records: rows,
 * and SHA-256 over (previous hash, seq, time, who, action, detail).  Only read any more.
 */
#include <stdio.h>

#include "base/crypto.h"
#include "orchestrator/store_audit.h"
#include "orchestrator/store_query.h"

struct before {
    uint64_t seq; /* from 1, no gaps */
    uint64_t at_ms;
    char who[64];
    char action[32];
    char detail[512];
    struct digest hash;
};

#define BEFORE(kind, member) FIELD(kind, struct before, member)
static const struct field before_fields[] = {
    BEFORE(FIELD_U64, seq),     BEFORE(FIELD_U64, at_ms),   BEFORE(FIELD_TEXT, who),
    BEFORE(FIELD_TEXT, action), BEFORE(FIELD_TEXT, detail), BEFORE(FIELD_DIGEST, hash),
};
static const struct row_type before_row = ROW_TYPE(struct before, before_fields);

/* Each text is preceded by its length, so that no two entries give the same bytes. */
static enum rc add_text(struct sha256 *ctx, const char *text, struct err *err)
{
    uint8_t size[8];
    enum rc rc;

    bytes_put_be(size, 8, strlen(text));
    rc = sha256_add(ctx, (struct bytes){ .p = size, .n = sizeof size }, err);
    return rc == RC_OK ? sha256_add(ctx, bytes_of(text), err) : rc;
}

static enum rc entry_hash(const struct digest *previous, const struct before *entry,
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

/* What the log comes to. */
struct sum {
    uint64_t n;
    uint64_t bad;       /* the first entry that does not verify; 0 = none */
    struct digest head; /* over what the entries say, whatever hashes stand beside them */
};

static enum rc sum_up(struct store *store, struct sum *ret, struct err *err)
{
    struct query q = query_start(store, "SELECT seq, at_ms, who, action, detail, hash "
                                        "FROM audit_before ORDER BY seq");
    struct sum sum = { 0 };
    enum rc rc = RC_OK, ended;

    while (rc == RC_OK && query_next(&q)) {
        struct before entry = { 0 };

        query_get_row(&q, &before_row, &entry);
        rc = entry_hash(&sum.head, &entry, &sum.head, err);
        sum.n++;
        if (sum.bad == 0 && (entry.seq != sum.n || !digest_same(&sum.head, &entry.hash)))
            sum.bad = sum.n;
    }
    ended = query_end(&q, rc == RC_OK ? err : NULL);
    if (rc == RC_OK)
        rc = ended;
    if (rc == RC_OK)
        *ret = sum;
    return rc;
}

enum rc audit_before_check(struct store *store, struct err *err)
{
    struct sum sum;
    enum rc rc = sum_up(store, &sum, err);

    return rc == RC_OK && sum.bad != 0
               ? err_set(err, RC_AUDIT_BROKEN, "of the log before the records, entry %llu",
                         (unsigned long long)sum.bad)
               : rc;
}

enum rc audit_before_text(struct store *store, char ret[AUDIT_WHAT_CAP], struct err *err)
{
    char hex[2 * DIGEST_SIZE + 1];
    struct sum sum;
    enum rc rc = sum_up(store, &sum, err);

    ret[0] = '\0';
    if (rc != RC_OK || sum.n == 0)
        return rc;
    (void)bytes_hex((struct bytes){ sum.head.b, sizeof sum.head.b }, hex);
    if (sum.bad == 0)
        (void)snprintf(ret, AUDIT_WHAT_CAP, "%llu entries before, head %s",
                       (unsigned long long)sum.n, hex);
    else
        (void)snprintf(
            ret, AUDIT_WHAT_CAP,
            "a log of %llu entries before, which does not verify from entry %llu on; its "
            "head is %s",
            (unsigned long long)sum.n, (unsigned long long)sum.bad, hex);
    return RC_OK;
}
