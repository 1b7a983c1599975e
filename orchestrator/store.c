/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/store.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "orchestrator/store_query.h"

#define SCHEMA_NUMBER 8
#define SCHEMA_OLDEST 3 /* what can be brought up to date */
#define BUSY_TIMEOUT_MS 30000
#define ROWS_MAX (4U * 1024U * 1024U)

struct store {
    sqlite3 *db;
    const struct store_audit_by *by;
};

/* clang-format off */
static const char schema[] =
    "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE satellite (id TEXT PRIMARY KEY, node INTEGER NOT NULL UNIQUE CHECK (node > 0),"
    "  up TEXT NOT NULL, down TEXT NOT NULL, link_keys TEXT NOT NULL, labels TEXT NOT NULL,"
    "  added_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE document (type INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,"
    "  envelope BLOB NOT NULL, added_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (type, name, version)) STRICT;"
    "CREATE TABLE package (tenant TEXT NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,"
    "  release INTEGER NOT NULL, manifest BLOB NOT NULL UNIQUE, object BLOB NOT NULL,"
    "  size INTEGER NOT NULL, path TEXT NOT NULL, pushed_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (tenant, name, version)) STRICT;"
    "CREATE TABLE sat_order (satellite TEXT NOT NULL REFERENCES satellite,"
    "  generation INTEGER NOT NULL CHECK (generation > 0),"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5), payload BLOB NOT NULL,"
    "  object BLOB NOT NULL, rollout INTEGER NOT NULL, wave INTEGER NOT NULL,"
    "  created_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, envelope BLOB NOT NULL,"
    "  PRIMARY KEY (satellite, generation)) STRICT;"
    "CREATE TABLE token (satellite TEXT NOT NULL, generation INTEGER NOT NULL,"
    "  object BLOB NOT NULL, size INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (satellite, generation),"
    "  FOREIGN KEY (satellite, generation) REFERENCES sat_order (satellite, generation))"
    "  STRICT, WITHOUT ROWID;"
    "CREATE INDEX sat_order_rollout ON sat_order (rollout) WHERE rollout != 0;"
    "CREATE TABLE outgoing (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  satellite TEXT NOT NULL REFERENCES satellite, object BLOB NOT NULL, kind INTEGER NOT NULL,"
    "  class INTEGER NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3),"
    "  size INTEGER NOT NULL, path TEXT NOT NULL,"
    "  sent_bytes INTEGER NOT NULL, sent_ms INTEGER NOT NULL, queued_ms INTEGER NOT NULL,"
    "  UNIQUE (satellite, object)) STRICT;"
    "CREATE INDEX outgoing_state ON outgoing (state, satellite, class, id);"
    "CREATE TABLE observed (satellite TEXT PRIMARY KEY REFERENCES satellite,"
    "  epoch INTEGER NOT NULL, seq INTEGER NOT NULL, received_ms INTEGER NOT NULL,"
    "  report BLOB NOT NULL) STRICT;"
    "CREATE TABLE event (satellite TEXT NOT NULL REFERENCES satellite, seq INTEGER NOT NULL,"
    "  code INTEGER NOT NULL, count INTEGER NOT NULL, what TEXT NOT NULL,"
    "  received_ms INTEGER NOT NULL, PRIMARY KEY (satellite, seq)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE rollout (id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL,"
    "  name TEXT NOT NULL, from_version TEXT NOT NULL, to_version TEXT NOT NULL,"
    "  to_manifest BLOB NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4),"
    "  reason TEXT NOT NULL, wave INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    "  changed_ms INTEGER NOT NULL, fail_max INTEGER NOT NULL, soak_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE wave (rollout INTEGER NOT NULL REFERENCES rollout, wave INTEGER NOT NULL,"
    "  satellite TEXT NOT NULL REFERENCES satellite,"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4), generation INTEGER NOT NULL,"
    "  healthy_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (rollout, wave, satellite)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX wave_order ON wave (satellite, generation);"
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, who TEXT NOT NULL,"
    "  action TEXT NOT NULL, detail TEXT NOT NULL, hash BLOB NOT NULL) STRICT;"
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit"
    "  BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;"
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit"
    "  BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;"
    "PRAGMA user_version = 3;";

/* What schema 4 adds: a new file gets it behind the text above, one of schema 3 when it is opened. */
static const char schema_4[] =
    "CREATE TABLE delta (base BLOB NOT NULL, manifest BLOB NOT NULL,"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3), object BLOB NOT NULL,"
    "  size INTEGER NOT NULL, memory INTEGER NOT NULL, made_ms INTEGER NOT NULL,"
    "  used_ms INTEGER NOT NULL, PRIMARY KEY (base, manifest)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX outgoing_object ON outgoing (object);"
    "CREATE TABLE full_only (satellite TEXT NOT NULL REFERENCES satellite,"
    "  manifest BLOB NOT NULL, code INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (satellite, manifest)) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 4;";

/* What schema 5 adds, likewise. */
static const char schema_5[] =
    "CREATE TABLE delta_failed (base BLOB NOT NULL, manifest BLOB NOT NULL,"
    "  code INTEGER NOT NULL, engine INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (base, manifest)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE base_changed (satellite TEXT NOT NULL REFERENCES satellite,"
    "  manifest BLOB NOT NULL, at_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (satellite, manifest)) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 5;";

/* What schema 6 adds: the audit log as records.  What was written before stays as it is; the first
 * record says what it came to. */
static const char schema_6[] =
    "ALTER TABLE audit RENAME TO audit_before;"
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL,"
    "  lost_first INTEGER NOT NULL, lost_last INTEGER NOT NULL, record BLOB NOT NULL) STRICT;"
    "CREATE INDEX audit_lost ON audit (lost_last, lost_first) WHERE lost_last != 0;"
    "CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL,"
    "  hash BLOB NOT NULL) STRICT;"
    "CREATE TRIGGER audit_record_no_update BEFORE UPDATE ON audit"
    "  BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;"
    "CREATE TRIGGER audit_record_no_delete BEFORE DELETE ON audit"
    "  BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;"
    "PRAGMA user_version = 6;";

/* What schema 7 adds: what came over the links. */
static const char schema_7[] =
    "CREATE TABLE heard (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  satellite TEXT NOT NULL REFERENCES satellite, epoch INTEGER NOT NULL,"
    "  contact INTEGER NOT NULL, received_ms INTEGER NOT NULL, arrived INTEGER NOT NULL,"
    "  waiting INTEGER NOT NULL) STRICT;"
    "CREATE INDEX heard_satellite ON heard (satellite, id);"
    "PRAGMA user_version = 7;";

/* What schema 8 adds: reservations. */
static const char schema_8[] =
    "CREATE TABLE reserved (station TEXT NOT NULL, satellite TEXT NOT NULL,"
    "  aos_ms INTEGER NOT NULL, los_ms INTEGER NOT NULL, antenna INTEGER NOT NULL,"
    "  PRIMARY KEY (station, satellite, aos_ms)) STRICT, WITHOUT ROWID;"
    "PRAGMA user_version = 8;";
/* clang-format on */
static_assert(SCHEMA_NUMBER == 8 && SCHEMA_OLDEST == 3, "the schema texts set these user_versions");

static enum rc fail(sqlite3 *db, int code, struct err *err)
{
    const char *words = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);

    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(err, RC_BUSY, "store: %s", words);
    case SQLITE_CONSTRAINT:
        return err_set(err, RC_EXISTS, "store: %s", words);
    case SQLITE_FULL:
        return err_set(err, RC_NO_SPACE, "store: %s", words);
    case SQLITE_NOMEM:
        return err_set(err, RC_NO_MEMORY, "store: %s", words);
    default:
        return err_set(err, RC_STORE, "store: %s", words);
    }
}

static enum rc run_text(struct store *store, const char *sql, struct err *err)
{
    int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? RC_OK : fail(store->db, code, err);
}

/* ---- queries ---- */

static void sticky(struct query *q, enum rc rc)
{
    if (q->rc == RC_OK)
        q->rc = rc;
}

static void check(struct query *q, int code)
{
    if (q->rc == RC_OK && code != SQLITE_OK)
        q->rc = fail(q->store->db, code, &q->err);
}

struct query query_start(struct store *store, const char *sql)
{
    struct query q = { .store = store, .next_bind = 1 };
    sqlite3_stmt *statement = NULL;

    check(&q, sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL));
    q.statement = statement;
    return q;
}

void query_text(struct query *q, const char *value)
{
    if (q->rc == RC_OK)
        check(q, sqlite3_bind_text(q->statement, q->next_bind++, value, -1, SQLITE_STATIC));
}

void query_u64(struct query *q, uint64_t value)
{
    if (value > INT64_MAX)
        sticky(q, err_set(&q->err, RC_VALUE, "store: number above 2^63 - 1"));
    if (q->rc == RC_OK)
        check(q, sqlite3_bind_int64(q->statement, q->next_bind++, (sqlite3_int64)value));
}

void query_blob(struct query *q, struct bytes value)
{
    /* A NULL pointer would bind SQL NULL. */
    const void *p = value.n > 0 ? value.p : (const uint8_t *)"";

    if (q->rc == RC_OK)
        check(q, sqlite3_bind_blob64(q->statement, q->next_bind++, p, value.n, SQLITE_STATIC));
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
    int code;

    q->row = false;
    q->next_column = 0;
    if (q->rc != RC_OK)
        return false;
    code = sqlite3_step(q->statement);
    q->row = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        q->rc = fail(q->store->db, code, &q->err);
    return q->row;
}

uint64_t query_get_u64(struct query *q)
{
    sqlite3_int64 v;

    if (q->rc != RC_OK || !q->row)
        return 0;
    v = sqlite3_column_int64(q->statement, q->next_column++);
    if (v < 0) {
        sticky(q, err_set(&q->err, RC_STORE, "store: negative number"));
        return 0;
    }
    return (uint64_t)v;
}

void query_get_text(struct query *q, char *out, size_t cap)
{
    const unsigned char *text;
    size_t n;

    out[0] = '\0';
    if (q->rc != RC_OK || !q->row)
        return;
    text = sqlite3_column_text(q->statement, q->next_column);
    n = (size_t)sqlite3_column_bytes(q->statement, q->next_column++);
    if (!text || !bytes_to_text((struct bytes){ .p = text, .n = n }, out, cap))
        sticky(q, err_set(&q->err, RC_STORE, "store: text does not fit"));
}

struct bytes query_get_view(struct query *q)
{
    struct bytes view = { 0 };

    if (q->rc == RC_OK && q->row) {
        view.p = sqlite3_column_blob(q->statement, q->next_column);
        view.n = view.p ? (size_t)sqlite3_column_bytes(q->statement, q->next_column) : 0;
        q->next_column++;
    }
    return view;
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
    (void)sqlite3_finalize(q->statement); /* repeats the code of the last step, known already */
    q->statement = NULL;
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

uint64_t query_changes(const struct store *store)
{
    return (uint64_t)sqlite3_changes64(store->db);
}

uint64_t query_last_id(const struct store *store)
{
    return (uint64_t)sqlite3_last_insert_rowid(store->db);
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

static enum rc schema_number(struct store *store, uint64_t *ret, struct err *err)
{
    struct query q = query_start(store, "PRAGMA user_version");
    uint64_t number = 0;
    enum rc rc;

    if (query_next(&q))
        number = query_get_u64(&q);
    rc = query_end(&q, err);
    if (rc == RC_OK)
        *ret = number;
    return rc;
}

/* Of a schema that can be brought up to date. */
static bool is_older(uint64_t number)
{
    return number >= SCHEMA_OLDEST && number < SCHEMA_NUMBER;
}

/* Make the tables of a new file, or add those that an older one lacks.  Two programs may both find
 * it so: look again inside the transaction. */
static enum rc make_schema(struct store *store, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    uint64_t number = 0;
    enum rc rc = store_begin(store, &open, err);

    if (rc == RC_OK)
        rc = schema_number(store, &number, err);
    if (rc == RC_OK && number == 0)
        rc = run_text(store, schema, err);
    if (rc == RC_OK && number < 4)
        rc = run_text(store, schema_4, err);
    if (rc == RC_OK && number < 5)
        rc = run_text(store, schema_5, err);
    if (rc == RC_OK && number < 6)
        rc = run_text(store, schema_6, err);
    if (rc == RC_OK && number < 7)
        rc = run_text(store, schema_7, err);
    if (rc == RC_OK && number < 8)
        rc = run_text(store, schema_8, err);
    if (rc == RC_OK)
        rc = store_commit(&open, err);
    return rc;
}

static enum rc prepare_file(struct store *store, bool create, struct err *err)
{
    uint64_t number = 0;
    enum rc rc;

    (void)sqlite3_busy_timeout(store->db, BUSY_TIMEOUT_MS);
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* FULL: a lost commit could make the ground sign one generation twice, with two contents. */
    rc = run_text(store,
                  "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                  "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;",
                  err);
    if (rc == RC_OK)
        rc = schema_number(store, &number, err);
    if (rc == RC_OK && ((number == 0 && create) || is_older(number))) {
        rc = make_schema(store, err);
        if (rc == RC_OK)
            rc = schema_number(store, &number, err);
    }
    if (rc == RC_OK && number != SCHEMA_NUMBER)
        rc = err_set(err, RC_STORE, "made by %s berth (schema %llu, not %d): use %s",
                     number < SCHEMA_NUMBER ? "an older" : "a newer", (unsigned long long)number,
                     SCHEMA_NUMBER, number < SCHEMA_NUMBER ? "a new home" : "that one");
    return rc;
}

enum rc store_open(const char *path, bool create, struct store **ret, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (create ? SQLITE_OPEN_CREATE : 0);
    scoped(store_close) struct store *store = calloc(1, sizeof *store);
    int code;
    enum rc rc;

    if (!store)
        return err_set(err, RC_NO_MEMORY, "store");
    code = sqlite3_open_v2(path, &store->db, flags, NULL);
    if (code != SQLITE_OK)
        return fail(store->db, code, err);
    rc = prepare_file(store, create, err);
    if (rc == RC_OK) {
        *ret = store;
        store = NULL;
    }
    return rc;
}

void store_close(struct store **store)
{
    if (*store)
        (void)sqlite3_close_v2((*store)->db);
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

enum rc store_begin(struct store *store, struct store **ret_open, struct err *err)
{
    enum rc rc = run_text(store, "BEGIN IMMEDIATE", err);

    if (rc == RC_OK)
        *ret_open = store;
    return rc;
}

enum rc store_begin_read(struct store *store, struct store **ret_open, struct err *err)
{
    if (!sqlite3_get_autocommit(store->db))
        return RC_OK;

    enum rc rc = run_text(store, "BEGIN", err);

    if (rc == RC_OK)
        *ret_open = store;
    return rc;
}

enum rc store_commit(struct store **open, struct err *err)
{
    enum rc rc = *open ? run_text(*open, "COMMIT", err) : RC_OK;

    if (rc == RC_OK)
        *open = NULL;
    return rc;
}

void store_rollback(struct store **open)
{
    struct err ignored;

    /* SQLite may have rolled back by itself; there is nothing left to do then. */
    if (*open && !sqlite3_get_autocommit((*open)->db))
        (void)!run_text(*open, "ROLLBACK", &ignored);
    *open = NULL;
}

enum rc store_join(struct store *store, struct store **ret_open, struct err *err)
{
    return sqlite3_get_autocommit(store->db) ? store_begin(store, ret_open, err) : RC_OK;
}

enum rc store_watch(struct store *store, uint64_t *ret, struct err *err)
{
    struct query q = query_start(store, "PRAGMA data_version");
    uint64_t version = 0;
    enum rc rc;

    if (query_next(&q))
        version = query_get_u64(&q);
    rc = query_end(&q, err);
    if (rc == RC_OK)
        *ret = version;
    return rc;
}
