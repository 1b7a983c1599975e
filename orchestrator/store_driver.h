/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_driver: what a database has to do for the store, and which ones there are.
 * Only store.c, which holds what is common, and the drivers themselves include this.
 *
 * A driver sees statements of the program (constants), values that are bound, and where the
 * database is.  It owns its connection and statements; it keeps no rule of the store.  Every
 * failure is one of the store's codes with the database's words, and never with a password.
 */
#ifndef BERTH_ORCHESTRATOR_STORE_DRIVER_H
#define BERTH_ORCHESTRATOR_STORE_DRIVER_H

#include "orchestrator/store_query.h"
#include "orchestrator/store_schema.h"

#define STORE_BUSY_MS 30000 /* how long one waits for others that write */
#define STORE_STILL_MS                                                                             \
    120000 /* how long one may do nothing in a transaction that others wait for */

struct driver_value {
    enum driver_kind { VALUE_NULL, VALUE_NUMBER, VALUE_TEXT, VALUE_BLOB } kind;
    int64_t number;
    struct bytes bytes; /* text without NUL, or blob; borrowed */
};

enum driver_part { PART_BEGIN, PART_PASS, PART_UNDO };

/* db is what open gave; statement is what prepare gave. */
struct store_driver {
    const char *name;
    struct store_texts texts;
    bool alone; /* a statement that writes outside of a transaction is not serialised with others by
                   itself: the store puts begin and commit around it */
    enum rc (*open)(const char *where, bool create, void **ret_db, struct err *err);
    void (*close)(void *db);

    /* 0 = there are no tables yet. */
    enum rc (*schema_number)(void *db, uint64_t *ret, struct err *err);
    /* Do one step of the schema and note its number; within a transaction. */
    enum rc (*schema_step)(void *db, const struct schema_step *step, struct err *err);

    /* Writing: nobody else writes until the end; RC_BUSY after STORE_BUSY_MS.  Reading: of one
     * moment. */
    enum rc (*begin)(void *db, bool writes, struct err *err);
    enum rc (*commit)(void *db, struct err *err);
    void (*rollback)(void *db); /* fine if there is nothing to roll back any more */
    bool (*in_transaction)(const void *db);
    /* A part of a writing transaction, as store_mark; one at a time. */
    enum rc (*part)(void *db, enum driver_part what, struct err *err);

    enum rc (*prepare)(void *db, const char *sql, void **ret_statement, struct err *err);
    /* at from 1; the bytes must outlive the statement. */
    enum rc (*bind)(void *statement, int at, const struct driver_value *value, struct err *err);
    enum rc (*step)(void *statement, bool *ret_row, struct err *err);
    /* at from 0, of the row that step came to; lives until the next step. */
    enum rc (*column)(void *statement, int at, struct driver_value *ret, struct err *err);
    void (*finish)(void *statement); /* NULL allowed */

    uint64_t (*changes)(const void *db); /* rows, by the last statement that wrote */
    enum rc (*watch)(void *db, uint64_t *ret, struct err *err); /* as store_watch */
    /* The database's own clock, Unix milliseconds; NULL = it has none besides its callers'. */
    enum rc (*now)(void *db, uint64_t *ret, struct err *err);
};

extern const struct store_driver store_sqlite;
extern const struct store_driver store_pg;

#endif
