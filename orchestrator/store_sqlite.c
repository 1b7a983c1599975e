/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_sqlite: the store in one SQLite file.
 */
#include <sqlite3.h>
#include <stdio.h>

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

static void close_db(void *db)
{
    (void)sqlite3_close_v2(db);
}

static void close_handle(sqlite3 **db)
{
    close_db(*db);
}

static enum rc open_file(const char *path, bool create, void **ret_db, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (create ? SQLITE_OPEN_CREATE : 0);
    scoped(close_handle) sqlite3 *db = NULL;
    int code = sqlite3_open_v2(path, &db, flags, NULL);

    if (code != SQLITE_OK)
        return fail(db, code, err);
    (void)sqlite3_busy_timeout(db, STORE_BUSY_MS);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    /* FULL: a lost commit could make the ground sign one generation twice, with two contents. */
    enum rc rc = run_text(db,
                          "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                          "PRAGMA foreign_keys = ON; PRAGMA cell_size_check = ON;",
                          err);

    if (rc != RC_OK)
        return rc;
    *ret_db = db;
    db = NULL;
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
    return pragma(db, "PRAGMA user_version", ret, err);
}

static enum rc schema_step(void *db, const struct schema_step *step, struct err *err)
{
    char number[48];
    enum rc rc = run_text(db, step->both, err);

    if (rc == RC_OK && step->sqlite)
        rc = run_text(db, step->sqlite, err);
    (void)snprintf(number, sizeof number, "PRAGMA user_version = %llu",
                   (unsigned long long)step->number);
    return rc == RC_OK ? run_text(db, number, err) : rc;
}

/* ---- transactions ---- */

static enum rc begin(void *db, bool writes, struct err *err)
{
    return run_text(db, writes ? "BEGIN IMMEDIATE" : "BEGIN", err);
}

static enum rc commit(void *db, struct err *err)
{
    return run_text(db, "COMMIT", err);
}

static bool in_transaction(const void *db)
{
    return !sqlite3_get_autocommit((sqlite3 *)(uintptr_t)db); /* only reads it */
}

static void rollback(void *db)
{
    struct err ignored;

    /* SQLite may have rolled back by itself; there is nothing left to do then. */
    if (in_transaction(db))
        (void)!run_text(db, "ROLLBACK", &ignored);
}

/* ---- statements ---- */

static enum rc prepare(void *db, const char *sql, void **ret_statement, struct err *err)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (code != SQLITE_OK)
        return fail(db, code, err);
    *ret_statement = statement;
    return RC_OK;
}

static enum rc bind(void *statement, int at, const struct driver_value *value, struct err *err)
{
    /* A NULL pointer would bind SQL NULL. */
    const void *p = value->bytes.n > 0 ? value->bytes.p : (const uint8_t *)"";
    int code = SQLITE_OK;

    switch (value->kind) {
    case VALUE_NULL:
        code = sqlite3_bind_null(statement, at);
        break;
    case VALUE_NUMBER:
        code = sqlite3_bind_int64(statement, at, value->number);
        break;
    case VALUE_TEXT:
        code = sqlite3_bind_text64(statement, at, p, value->bytes.n, SQLITE_STATIC, SQLITE_UTF8);
        break;
    case VALUE_BLOB:
        code = sqlite3_bind_blob64(statement, at, p, value->bytes.n, SQLITE_STATIC);
        break;
    }
    return code == SQLITE_OK ? RC_OK : fail(sqlite3_db_handle(statement), code, err);
}

static enum rc step(void *statement, bool *ret_row, struct err *err)
{
    int code = sqlite3_step(statement);

    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return fail(sqlite3_db_handle(statement), code, err);
    *ret_row = code == SQLITE_ROW;
    return RC_OK;
}

static enum rc column(void *statement, int at, struct driver_value *ret, struct err *err)
{
    struct driver_value value = { .kind = VALUE_NULL };

    switch (sqlite3_column_type(statement, at)) {
    case SQLITE_NULL:
        break;
    case SQLITE_INTEGER:
        value.kind = VALUE_NUMBER;
        value.number = sqlite3_column_int64(statement, at);
        break;
    case SQLITE_TEXT:
        value.kind = VALUE_TEXT;
        value.bytes.p = sqlite3_column_text(statement, at);
        value.bytes.n = (size_t)sqlite3_column_bytes(statement, at);
        break;
    case SQLITE_BLOB:
        value.kind = VALUE_BLOB;
        value.bytes.p = sqlite3_column_blob(statement, at); /* NULL if it is empty */
        value.bytes.n = value.bytes.p ? (size_t)sqlite3_column_bytes(statement, at) : 0;
        break;
    default:
        return err_set(err, RC_STORE, "store: a column of a kind that no table has");
    }
    if (value.kind == VALUE_TEXT && !value.bytes.p)
        return fail(sqlite3_db_handle(statement), SQLITE_NOMEM, err);
    *ret = value;
    return RC_OK;
}

static void finish(void *statement)
{
    (void)sqlite3_finalize(statement); /* repeats the code of the last step, known already */
}

static uint64_t changes(const void *db)
{
    return (uint64_t)sqlite3_changes64((sqlite3 *)(uintptr_t)db);
}

static uint64_t last_id(void *db)
{
    return (uint64_t)sqlite3_last_insert_rowid(db);
}

static enum rc watch(void *db, uint64_t *ret, struct err *err)
{
    return pragma(db, "PRAGMA data_version", ret, err);
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
    .prepare = prepare,
    .bind = bind,
    .step = step,
    .column = column,
    .finish = finish,
    .changes = changes,
    .last_id = last_id,
    .watch = watch,
};
