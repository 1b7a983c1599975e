/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_sqlite: the store in one SQLite file.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/store_driver.h"

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

static enum rc run_text(sqlite3 *db, const char *sql, struct err *err)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? RC_OK : fail(db, code, err);
}

/* ---- open and close ---- */

/* Statements of the program are few and are asked again and again; parsing one takes longer than
 * most of them take to run.  The last one of each slot stays prepared. */
#define SLOTS 128U
struct statement {
    sqlite3_stmt *of;
    bool is_used;
    bool is_kept; /* in a slot; else it was allocated for one use */
};

struct connection {
    sqlite3 *db;
    struct statement slot[SLOTS];
};

static sqlite3 *handle(const void *connection)
{
    return ((const struct connection *)connection)->db;
}

static void close_db(void *connection)
{
    struct connection *c = connection;

    if (!c)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        (void)sqlite3_finalize(c->slot[i].of);
    (void)sqlite3_close_v2(c->db);
    free(c);
}

static void close_handle(struct connection **c)
{
    close_db(*c);
}

static enum rc open_file(const char *path, bool create, void **ret_db, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (create ? SQLITE_OPEN_CREATE : 0);
    scoped(close_handle) struct connection *c = calloc(1, sizeof *c);

    if (!c)
        return err_set(err, RC_NO_MEMORY, "store");
    int code = sqlite3_open_v2(path, &c->db, flags, NULL);
    sqlite3 *db = c->db;

    if (code != SQLITE_OK)
        return fail(db, code, err);
    (void)sqlite3_busy_timeout(db, STORE_BUSY_MS);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* FULL: a lost commit could make the ground sign one generation twice, with two contents. */
    enum rc rc =
        run_text(db,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                 "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;"
                 /* 16 MiB: reports come from all over a large fleet, and the inner pages stay */
                 "PRAGMA cache_size = -16384;",
                 err);

    if (rc != RC_OK)
        return rc;
    *ret_db = c;
    c = NULL;
    return RC_OK;
}

/* ---- the schema ---- */

static enum rc pragma(sqlite3 *db, const char *sql, uint64_t *ret, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code != SQLITE_ROW) {
        (void)sqlite3_finalize(statement);
        return fail(db, code, err);
    }
    *ret = (uint64_t)sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return RC_OK;
}

static enum rc schema_number(void *db, uint64_t *ret, struct err *err)
{
    return pragma(handle(db), "PRAGMA user_version", ret, err);
}

static enum rc schema_step(void *db, const struct schema_step *step, struct err *err)
{
    char number[48];
    enum rc rc = run_text(handle(db), step->both, err);

    if (rc == RC_OK && step->sqlite)
        rc = run_text(handle(db), step->sqlite, err);
    (void)snprintf(number, sizeof number, "PRAGMA user_version = %llu",
                   (unsigned long long)step->number);
    return rc == RC_OK ? run_text(handle(db), number, err) : rc;
}

/* ---- transactions ---- */

static enum rc begin(void *db, bool writes, struct err *err)
{
    return run_text(handle(db), writes ? "BEGIN IMMEDIATE" : "BEGIN", err);
}

static enum rc commit(void *db, struct err *err)
{
    return run_text(handle(db), "COMMIT", err);
}

static bool in_transaction(const void *db)
{
    return !sqlite3_get_autocommit(handle(db));
}

static void rollback(void *db)
{
    struct err ignored;

    /* SQLite may have rolled back by itself; there is nothing left to do then. */
    if (in_transaction(db))
        (void)!run_text(handle(db), "ROLLBACK", &ignored);
}

static enum rc part(void *db, enum driver_part what, struct err *err)
{
    static const char *const sql[] = {
        [PART_BEGIN] = "SAVEPOINT part",
        [PART_PASS] = "RELEASE part",
        [PART_UNDO] = "ROLLBACK TO part; RELEASE part",
    };

    return run_text(handle(db), sql[what], err);
}

/* ---- statements ---- */

static struct statement *slot_of(struct connection *c, const char *sql)
{
    uint32_t hash = 2166136261U; /* FNV-1a */

    for (const char *at = sql; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 16777619U;
    return &c->slot[hash % SLOTS];
}

/* The slot with this statement in it; NULL = it is not free, or holds another. */
static struct statement *find_kept(struct statement *slot, const char *sql)
{
    return !slot->is_used && slot->of && strcmp(sqlite3_sql(slot->of), sql) == 0 ? slot : NULL;
}

static enum rc prepare(void *db, const char *sql, void **ret_statement, struct err *err)
{
    struct statement *slot = slot_of(db, sql);
    struct statement *s = find_kept(slot, sql);
    sqlite3_stmt *of = NULL;

    if (s) {
        s->is_used = true;
        *ret_statement = s;
        return RC_OK;
    }
    int code = sqlite3_prepare_v3(handle(db), sql, -1, SQLITE_PREPARE_PERSISTENT, &of, NULL);

    if (code != SQLITE_OK)
        return fail(handle(db), code, err);
    s = slot->is_used ? calloc(1, sizeof *s) : slot;
    if (!s) {
        (void)sqlite3_finalize(of);
        return err_set(err, RC_NO_MEMORY, "store");
    }
    if (s == slot)
        (void)sqlite3_finalize(slot->of);
    *s = (struct statement){ .of = of, .is_used = true, .is_kept = s == slot };
    *ret_statement = s;
    return RC_OK;
}

static sqlite3_stmt *of(const void *statement)
{
    return ((const struct statement *)statement)->of;
}

static enum rc bind(void *statement, int at, const struct driver_value *value, struct err *err)
{
    /* A NULL pointer would bind SQL NULL. */
    const void *p = value->bytes.n > 0 ? value->bytes.p : (const uint8_t *)"";
    int code = SQLITE_OK;

    switch (value->kind) {
    case VALUE_NULL:
        code = sqlite3_bind_null(of(statement), at);
        break;
    case VALUE_NUMBER:
        code = sqlite3_bind_int64(of(statement), at, value->number);
        break;
    case VALUE_TEXT:
        code =
            sqlite3_bind_text64(of(statement), at, p, value->bytes.n, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case VALUE_BLOB:
        code = sqlite3_bind_blob64(of(statement), at, p, value->bytes.n, SQLITE_STATIC);
        break;
    }
    return code == SQLITE_OK ? RC_OK : fail(sqlite3_db_handle(of(statement)), code, err);
}

static enum rc step(void *statement, bool *ret_row, struct err *err)
{
    int code = sqlite3_step(of(statement));

    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return fail(sqlite3_db_handle(of(statement)), code, err);
    *ret_row = code == SQLITE_ROW;
    return RC_OK;
}

static enum rc column(void *statement, int at, struct driver_value *ret, struct err *err)
{
    struct driver_value value = { .kind = VALUE_NULL };

    switch (sqlite3_column_type(of(statement), at)) {
    case SQLITE_NULL:
        break;
    case SQLITE_INTEGER:
        value.kind = VALUE_NUMBER;
        value.number = sqlite3_column_int64(of(statement), at);
        break;
    case SQLITE_TEXT:
        value.kind = VALUE_TEXT;
        value.bytes.p = sqlite3_column_text(of(statement), at);
        value.bytes.n = (size_t)sqlite3_column_bytes(of(statement), at);
        break;
    case SQLITE_BLOB:
        value.kind = VALUE_BLOB;
        value.bytes.p = sqlite3_column_blob(of(statement), at); /* NULL if it is empty */
        value.bytes.n = value.bytes.p ? (size_t)sqlite3_column_bytes(of(statement), at) : 0;
        break;
    default:
        return err_set(err, RC_STORE, "store: a column of a kind that no table has");
    }
    if (value.kind == VALUE_TEXT && !value.bytes.p)
        return fail(sqlite3_db_handle(of(statement)), SQLITE_NOMEM, err);
    *ret = value;
    return RC_OK;
}

/* What reset and finalize say repeats the code of the last step, which is known already. */
static void finish(void *statement)
{
    struct statement *s = statement;

    if (!s)
        return;
    if (s->is_kept) { /* what was bound is the caller's, and goes */
        (void)sqlite3_reset(s->of);
        (void)sqlite3_clear_bindings(s->of);
        s->is_used = false;
        return;
    }
    (void)sqlite3_finalize(s->of);
    free(s);
}

static uint64_t changes(const void *db)
{
    return (uint64_t)sqlite3_changes64(handle(db));
}

static enum rc watch(void *db, uint64_t *ret, struct err *err)
{
    return pragma(handle(db), "PRAGMA data_version", ret, err);
}

const struct store_driver store_sqlite = {
    .name = "SQLite",
    .texts = {
        .tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND "
                  "name NOT LIKE 'sqlite%' ORDER BY rowid",
        .columns = "SELECT name FROM pragma_table_info(?1) UNION ALL "
                   "SELECT 'rowid' WHERE ?1 = 'document'",
        .check = "PRAGMA quick_check(1)",
    },
    .open = open_file,
    .close = close_db,
    .schema_number = schema_number,
    .schema_step = schema_step,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .in_transaction = in_transaction,
    .part = part,
    .prepare = prepare,
    .bind = bind,
    .step = step,
    .column = column,
    .finish = finish,
    .changes = changes,
    .watch = watch,
};
