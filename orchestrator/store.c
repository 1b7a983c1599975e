/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store: what is the same for every database: queries over a driver, the schema
 * number, transactions.
 */
#include "orchestrator/store.h"

#include <stdlib.h>

#include "orchestrator/store_driver.h"
#include "orchestrator/store_query.h"

#define ROWS_MAX (4U * 1024U * 1024U)

struct store {
    const struct store_driver *driver;
    void *db;
    const struct store_audit_by *by;
    uint64_t fence; /* of the lease under which this one writes; 0 = of none */
    bool spoiled;   /* a transaction is gone before its end: until then nothing is done */
};

/* ---- queries ---- */

static void sticky(struct query *q, enum rc rc)
{
    if (q->rc == RC_OK)
        q->rc = rc;
}

static enum rc gone(struct err *err)
{
    return err_set(err, RC_STORE, "the transaction had failed and was rolled back");
}

/* Statements read if they begin so, and may write if they begin otherwise. */
static bool may_write(const char *sql)
{
    return strncmp(sql, "SELECT", strlen("SELECT")) != 0;
}

struct query query_start(struct store *store, const char *sql)
{
    struct query q = { .store = store, .next_bind = 1 };

    if (store->spoiled)
        q.rc = gone(&q.err);
    else if ((store->driver->alone || store->fence != 0) && may_write(sql))
        sticky(&q, store_join(store, &q.own, &q.err));
    if (q.rc == RC_OK)
        q.rc = store->driver->prepare(store->db, sql, &q.statement, &q.err);
    return q;
}

static void bind(struct query *q, const struct driver_value *value)
{
    if (q->rc == RC_OK)
        q->rc = q->store->driver->bind(q->statement, q->next_bind++, value, &q->err);
}

void query_text(struct query *q, const char *value)
{
    bind(q, &(struct driver_value){ .kind = value ? VALUE_TEXT : VALUE_NULL,
                                    .bytes = value ? bytes_of(value) : (struct bytes){ 0 } });
}

void query_u64(struct query *q, uint64_t value)
{
    if (value > INT64_MAX)
        sticky(q, err_set(&q->err, RC_VALUE, "store: number above 2^63 - 1"));
    bind(q, &(struct driver_value){ .kind = VALUE_NUMBER, .number = (int64_t)value });
}

void query_blob(struct query *q, struct bytes value)
{
    bind(q, &(struct driver_value){ .kind = VALUE_BLOB, .bytes = value });
}

void query_pass(struct query *from, struct query *to)
{
    struct driver_value value = { .kind = VALUE_NULL };

    if (from->rc == RC_OK && from->row)
        from->rc =
            from->store->driver->column(from->statement, from->next_column++, &value, &from->err);
    if (from->rc != RC_OK && to->rc == RC_OK) {
        to->rc = from->rc;
        to->err = from->err;
    }
    bind(to, &value);
}

const struct store_texts *query_texts(const struct store *store)
{
    return &store->driver->texts;
}

static void bind_field(struct query *q, const struct field *field, const uint8_t *row)
{
    const uint8_t *p = row + field->at;
    uint64_t u64 = 0;
    uint32_t u32 = 0;

    switch (field->kind) {
    case FIELD_TEXT:
        query_text(q, (const char *)p);
        break;
    case FIELD_U64:
        memcpy(&u64, p, sizeof u64);
        query_u64(q, u64);
        break;
    case FIELD_U32:
        memcpy(&u32, p, sizeof u32);
        query_u64(q, u32);
        break;
    case FIELD_BOOL:
        query_u64(q, *p != 0);
        break;
    case FIELD_DIGEST:
        query_blob(q, (struct bytes){ .p = p, .n = DIGEST_SIZE });
        break;
    }
}

void query_row(struct query *q, const struct row_type *type, const void *row)
{
    for (size_t i = 0; i < type->n; i++)
        bind_field(q, &type->fields[i], row);
}

bool query_next(struct query *q)
{
    q->row = false;
    q->next_column = 0;
    if (q->rc == RC_OK)
        q->rc = q->store->driver->step(q->statement, &q->row, &q->err);
    return q->rc == RC_OK && q->row;
}

/* The next column, of this kind; one that is NULL is VALUE_NULL. */
static struct driver_value get(struct query *q, enum driver_kind kind)
{
    struct driver_value value = { .kind = VALUE_NULL };

    if (q->rc != RC_OK || !q->row)
        return value;
    q->rc = q->store->driver->column(q->statement, q->next_column++, &value, &q->err);
    if (q->rc == RC_OK && value.kind != kind && value.kind != VALUE_NULL) {
        sticky(q,
               err_set(&q->err, RC_STORE, "store: column %d is of another kind", q->next_column));
        value = (struct driver_value){ .kind = VALUE_NULL };
    }
    return value;
}

uint64_t query_get_u64(struct query *q)
{
    struct driver_value value = get(q, VALUE_NUMBER);

    if (value.kind == VALUE_NUMBER && value.number < 0)
        sticky(q, err_set(&q->err, RC_STORE, "store: negative number"));
    return value.number > 0 ? (uint64_t)value.number : 0;
}

void query_get_text(struct query *q, char *out, size_t cap)
{
    struct driver_value value = get(q, VALUE_TEXT);

    out[0] = '\0';
    if (q->rc == RC_OK && q->row &&
        (value.kind != VALUE_TEXT || !bytes_to_text(value.bytes, out, cap)))
        sticky(q, err_set(&q->err, RC_STORE, "store: text does not fit"));
}

struct bytes query_get_view(struct query *q)
{
    return get(q, VALUE_BLOB).bytes;
}

void query_get_digest(struct query *q, struct digest *out)
{
    struct bytes view = query_get_view(q);

    if (view.n == DIGEST_SIZE)
        memcpy(out->b, view.p, DIGEST_SIZE);
    else
        sticky(q, err_set(&q->err, RC_STORE, "store: digest has the wrong size"));
}

static void get_field(struct query *q, const struct field *field, uint8_t *row)
{
    uint8_t *p = row + field->at;
    uint64_t value;
    uint32_t u32;

    switch (field->kind) {
    case FIELD_TEXT:
        query_get_text(q, (char *)p, field->size);
        break;
    case FIELD_U64:
        value = query_get_u64(q);
        memcpy(p, &value, sizeof value);
        break;
    case FIELD_U32:
        value = query_get_u64(q);
        u32 = (uint32_t)value;
        if (value > UINT32_MAX)
            sticky(q, err_set(&q->err, RC_STORE, "store: number too large"));
        memcpy(p, &u32, sizeof u32);
        break;
    case FIELD_BOOL:
        *p = query_get_u64(q) != 0;
        break;
    case FIELD_DIGEST:
        query_get_digest(q, (struct digest *)(void *)p);
        break;
    }
}

void query_get_row(struct query *q, const struct row_type *type, void *row)
{
    for (size_t i = 0; i < type->n; i++)
        get_field(q, &type->fields[i], row);
}

uint8_t *query_get_blob(struct query *q, size_t max, size_t *ret_n)
{
    struct bytes view = query_get_view(q);
    uint8_t *copy;

    if (q->rc != RC_OK)
        return NULL;
    if (view.n > max) {
        sticky(q, err_set(&q->err, RC_STORE, "store: blob is too large"));
        return NULL;
    }
    copy = malloc(view.n + 1);
    if (!copy) {
        sticky(q, err_set(&q->err, RC_NO_MEMORY, "store"));
        return NULL;
    }
    if (view.n > 0)
        memcpy(copy, view.p, view.n);
    copy[view.n] = 0;
    *ret_n = view.n;
    return copy;
}

enum rc query_end(struct query *q, struct err *err)
{
    q->store->driver->finish(q->statement);
    q->statement = NULL;
    if (q->rc == RC_OK)
        sticky(q, store_commit(&q->own, &q->err));
    store_rollback(&q->own);
    if (q->rc != RC_OK && err)
        *err = q->err;
    return q->rc;
}

enum rc query_end_blob(struct query *q, size_t max, uint8_t **ret, size_t *ret_n, struct err *err)
{
    size_t n = 0;
    scoped(free_ptr) uint8_t *blob = q->row ? query_get_blob(q, max, &n) : NULL;
    enum rc rc = query_end(q, err);

    if (rc == RC_OK && !blob)
        return RC_NOT_FOUND;
    if (rc != RC_OK)
        return rc;
    *ret = blob;
    *ret_n = n;
    blob = NULL;
    return RC_OK;
}

enum rc query_run(struct query *q, struct err *err)
{
    (void)query_next(q);
    return query_end(q, err);
}

enum rc query_end_walk(struct query *q, enum rc rc, struct err *err)
{
    struct err ignored;
    const enum rc ended = query_end(q, rc == RC_OK ? err : &ignored);

    return rc == RC_OK ? ended : rc;
}

uint64_t query_changes(const struct store *store)
{
    return store->driver->changes(store->db);
}

enum rc query_list(struct query *q, const struct row_type *type, void **ret, size_t *ret_n,
                   struct err *err)
{
    uint8_t *rows = NULL;
    size_t n = 0, cap = 0;
    enum rc rc;

    while (query_next(q)) {
        if (n == cap) {
            size_t more = cap == 0 ? 16 : cap * 2;
            uint8_t *grown = more > ROWS_MAX ? NULL : realloc(rows, more * type->size);

            if (!grown) {
                sticky(q, err_set(&q->err, RC_NO_MEMORY, "store: too many rows"));
                break;
            }
            rows = grown;
            cap = more;
        }
        memset(rows + n * type->size, 0, type->size);
        query_get_row(q, type, rows + n * type->size);
        n++;
    }
    rc = query_end(q, err);
    if (rc != RC_OK) {
        free(rows);
        return rc;
    }
    *ret = rows;
    *ret_n = n;
    return RC_OK;
}

enum rc query_one(struct query *q, const struct row_type *type, void *ret, enum rc missing,
                  const char *what, struct err *err)
{
    void *rows = NULL;
    size_t n = 0;
    enum rc rc = query_list(q, type, &rows, &n, err);

    if (rc == RC_OK && n == 1 && rows)
        memcpy(ret, rows, type->size);
    else if (rc == RC_OK)
        rc = err_set(err, missing, "%s", what);
    free(rows);
    return rc;
}

/* ---- open, close, transactions ---- */

/* Do the steps that are missing.  Two programs may both find it so: look again inside the
 * transaction. */
static enum rc make_schema(struct store *store, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    uint64_t number = 0;
    enum rc rc = store_begin(store, &open, err);

    if (rc == RC_OK)
        rc = store->driver->schema_number(store->db, &number, err);
    for (size_t i = 0; rc == RC_OK && i < store_schema_n; i++)
        if (store_schema[i].number > number)
            rc = store->driver->schema_step(store->db, &store_schema[i], err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static enum rc check_schema(struct store *store, bool create, struct err *err)
{
    const uint64_t ours = store_schema_number();
    uint64_t number = 0;
    enum rc rc = store->driver->schema_number(store->db, &number, err);

    if (rc == RC_OK && ((number == 0 && create) || (number >= SCHEMA_OLDEST && number < ours))) {
        rc = make_schema(store, err);
        if (rc == RC_OK)
            rc = store->driver->schema_number(store->db, &number, err);
    }
    if (rc == RC_OK && number == 0)
        return err_set(err, RC_STORE, "there is no fleet in it");
    if (rc == RC_OK && number != ours)
        rc = err_set(err, RC_STORE, "made by %s berth (schema %llu, not %llu): use %s",
                     number < ours ? "an older" : "a newer", (unsigned long long)number,
                     (unsigned long long)ours, number < ours ? "a new home" : "that one");
    return rc;
}

#define KEYWORDS "postgresql:"

/* "postgresql:host=... dbname=...", and no URI. */
static bool is_keywords(const char *where)
{
    return strncmp(where, KEYWORDS, strlen(KEYWORDS)) == 0 &&
           strncmp(where + strlen(KEYWORDS), "//", 2) != 0;
}

bool store_is_remote(const char *where)
{
    return strncmp(where, KEYWORDS, strlen(KEYWORDS)) == 0 ||
           strncmp(where, "postgres://", strlen("postgres://")) == 0;
}

static enum rc open_with(const struct store_driver *driver, const char *where, bool create,
                         struct store **ret, struct err *err)
{
    scoped(store_close) struct store *store = calloc(1, sizeof *store);

    if (!store)
        return err_set(err, RC_NO_MEMORY, "store");
    store->driver = driver;
    enum rc rc = driver->open(where, create, &store->db, err);

    if (rc == RC_OK)
        rc = check_schema(store, create, err);
    if (rc == RC_OK) {
        *ret = store;
        store = NULL;
    }
    return rc;
}

enum rc store_open(const char *where, bool create, struct store **ret, struct err *err)
{
    const struct store_driver *driver = store_is_remote(where) ? &store_pg : &store_sqlite;

    return open_with(driver, where + (is_keywords(where) ? strlen(KEYWORDS) : 0), create, ret, err);
}

enum rc store_open_scratch(struct store **ret, struct err *err)
{
    return open_with(&store_sqlite, ":memory:", true, ret, err);
}

void store_close(struct store **store)
{
    if (*store && (*store)->db)
        (*store)->driver->close((*store)->db);
    free(*store);
    *store = NULL;
}

void store_audit_by(struct store *store, const struct store_audit_by *by)
{
    store->by = by;
}

const struct store_audit_by *query_by(const struct store *store)
{
    return store->by;
}

static bool in_transaction(const struct store *store)
{
    return store->driver->in_transaction(store->db);
}

/* Nobody can take the lease between this and the commit: whoever does writes. */
static enum rc check_fence(struct store *store, struct err *err)
{
    uint64_t fence = 0;
    enum rc rc = query_lease_fence(store, &fence, err);

    if (rc == RC_OK && fence != store->fence)
        rc = err_set(err, RC_FENCED, "lease %llu, and this was number %llu",
                     (unsigned long long)fence, (unsigned long long)store->fence);
    return rc;
}

enum rc store_begin(struct store *store, struct store **ret_open, struct err *err)
{
    enum rc rc = store->driver->begin(store->db, true, err);

    store->spoiled = false;
    if (rc == RC_OK && store->fence != 0) {
        rc = check_fence(store, err);
        if (rc != RC_OK)
            store->driver->rollback(store->db);
    }
    if (rc == RC_OK)
        *ret_open = store;
    return rc;
}

void query_set_fence(struct store *store, uint64_t fence)
{
    store->fence = fence;
}

uint64_t query_fence(const struct store *store)
{
    return store->fence;
}

enum rc query_now(struct store *store, uint64_t now_ms, uint64_t *ret, struct err *err)
{
    *ret = now_ms;
    return store->driver->now ? store->driver->now(store->db, ret, err) : RC_OK;
}

enum rc store_begin_read(struct store *store, struct store **ret_open, struct err *err)
{
    if (in_transaction(store))
        return RC_OK;

    enum rc rc = store->driver->begin(store->db, false, err);

    if (rc == RC_OK)
        *ret_open = store;
    return rc;
}

enum rc store_commit(struct store **open, struct err *err)
{
    if (*open && (*open)->spoiled)
        return gone(err);

    enum rc rc = *open ? (*open)->driver->commit((*open)->db, err) : RC_OK;

    if (rc == RC_OK)
        *open = NULL;
    return rc;
}

void store_rollback(struct store **open)
{
    if (*open) {
        (*open)->driver->rollback((*open)->db);
        (*open)->spoiled = false;
    }
    *open = NULL;
}

enum rc store_join(struct store *store, struct store **ret_open, struct err *err)
{
    return in_transaction(store) ? RC_OK : store_begin(store, ret_open, err);
}

enum rc store_mark(struct store *store, struct store **ret_mark, struct err *err)
{
    enum rc rc =
        in_transaction(store) ? store->driver->part(store->db, PART_BEGIN, err) : gone(err);

    if (rc == RC_OK)
        *ret_mark = store;
    return rc;
}

enum rc store_pass_mark(struct store **mark, struct err *err)
{
    enum rc rc = *mark ? (*mark)->driver->part((*mark)->db, PART_PASS, err) : RC_OK;

    if (rc == RC_OK)
        *mark = NULL;
    return rc;
}

void store_undo(struct store **mark)
{
    struct err ignored;

    /* The transaction may have been rolled back by the database: then the part is gone, too.  Half
     * a part must not be committed with the rest: if it cannot be undone alone, nothing stays.  And
     * what comes behind it must not be done outside of any transaction. */
    if (*mark && (!in_transaction(*mark) ||
                  (*mark)->driver->part((*mark)->db, PART_UNDO, &ignored) != RC_OK)) {
        (*mark)->driver->rollback((*mark)->db);
        (*mark)->spoiled = true;
    }
    *mark = NULL;
}

enum rc store_watch(struct store *store, uint64_t *ret, struct err *err)
{
    return store->driver->watch(store->db, ret, err);
}
