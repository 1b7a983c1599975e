/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_query: how the store's own files (store_*.c) talk to the database without
 * seeing it.
 *
 * SQL has to be what SQLite and PostgreSQL both take.  Tables (store_schema.c): write them as for
 * SQLite, with the words TEXT, INTEGER, BLOB, PRIMARY KEY AUTOINCREMENT, STRICT, WITHOUT ROWID; no
 * trigger, no PRAGMA.  Statements: ON CONFLICT (...) DO UPDATE or DO NOTHING, never INSERT OR ...;
 * there, and wherever two tables are, name columns with their table; an alias behind every (SELECT)
 * in FROM; a condition is no number (CASE WHEN x THEN 1 ELSE 0 END), and a number no condition (?1
 * = 1); coalesce, never ifnull; CASE, never max of two values; ? or ?1, ?2, never both.
 *
 * A row type is a table of fields that maps columns to members, in order; binding, reading and
 * listing are then the same code for every kind of row.  A query's failure is sticky: bind, step
 * and read in a straight line and ask once at the end.
 */
#ifndef BERTH_ORCHESTRATOR_STORE_QUERY_H
#define BERTH_ORCHESTRATOR_STORE_QUERY_H

#include "orchestrator/store.h"

enum field_kind {
    FIELD_TEXT,   /* char[size] */
    FIELD_U64,    /* uint64_t, at most INT64_MAX */
    FIELD_U32,    /* uint32_t or an enum */
    FIELD_BOOL,   /* bool */
    FIELD_DIGEST, /* struct digest */
};

struct field {
    enum field_kind kind;
    size_t at; /* offset of the member */
    size_t size;
};

#define FIELD(kind_, type, member)                                                                 \
    {                                                                                              \
        .kind = (kind_), .at = offsetof(type, member), .size = sizeof(((type *)NULL)->member)      \
    }

struct row_type {
    size_t size; /* of the struct */
    size_t n;
    const struct field *fields;
};

#define ROW_TYPE(type, fields_)                                                                    \
    {                                                                                              \
        .size = sizeof(type), .n = sizeof(fields_) / sizeof((fields_)[0]), .fields = (fields_)     \
    }

struct query {
    struct store *store;
    void *statement;
    struct store *own; /* the transaction that it needs of its own */
    int next_bind;     /* from 1 */
    int next_column;   /* from 0 */
    bool row;          /* on a row */
    enum rc rc;        /* first failure, sticky */
    struct err err;
};

/* Prepare a statement; sql is a constant of the program, values are bound.  query_end frees it. */
struct query query_start(struct store *store, const char *sql);

void query_text(struct query *q, const char *value); /* NULL = SQL NULL; must outlive the query */
void query_u64(struct query *q, uint64_t value);
void query_blob(struct query *q, struct bytes value); /* must outlive the query */
void query_row(struct query *q, const struct row_type *type, const void *row);

/* Step to the next row; false at the end and after a failure. */
bool query_next(struct query *q);

/* Read the columns of the row in order. */
uint64_t query_get_u64(struct query *q);
void query_get_text(struct query *q, char *out, size_t cap);
void query_get_digest(struct query *q, struct digest *out);
void query_get_row(struct query *q, const struct row_type *type, void *row);
/* A copy of a blob, at most max bytes; the caller frees it.  NULL after a failure. */
uint8_t *query_get_blob(struct query *q, size_t max, size_t *ret_n);
/* The same as a view that lives until the next step. */
struct bytes query_get_view(struct query *q);

/* Finish: free the statement and give the first failure.  query_run steps once before, for
 * statements without rows. */
must_check enum rc query_end(struct query *q, struct err *err);
must_check enum rc query_run(struct query *q, struct err *err);
/* Finish a walk over rows that the caller ended with an rc, or RC_OK: that one, else the query's.
 */
must_check enum rc query_end_walk(struct query *q, enum rc rc, struct err *err);

/* Finish a query for one blob, at most max bytes: the next column of the row that it is on, after
 * query_next.  The caller frees *ret.  RC_NOT_FOUND, without words, if it is on none. */
must_check enum rc query_end_blob(struct query *q, size_t max, uint8_t **ret, size_t *ret_n,
                                  struct err *err);

/* What store_audit_by set; NULL = nothing. */
const struct store_audit_by *query_by(const struct store *store);

/* The lease (store_lease.c): under which number this store writes, 0 = under none, and which is in
 * force; now_ms by the database's clock where it has one. */
void query_set_fence(struct store *store, uint64_t fence);
uint64_t query_fence(const struct store *store);
must_check enum rc query_lease_fence(struct store *store, uint64_t *ret, struct err *err);
must_check enum rc query_now(struct store *store, uint64_t now_ms, uint64_t *ret, struct err *err);

/* The next column of one query's row is the next value of another's. */
void query_pass(struct query *from, struct query *to);

/* Statements about the store as a whole, which each database has its own of. */
struct store_texts {
    const char *tables; /* names of the tables, in the order in which they were made */
    const char
        *columns;      /* ?: of a table, in order, and what numbers its rows where that is hidden */
    const char *check; /* "ok", or what is wrong; NULL = the database looks after itself */
    const char *copied; /* what there is to do after rows came with their ids; NULL = nothing */
};
const struct store_texts *query_texts(const struct store *store);

/* An empty store in memory. */
must_check enum rc store_open_scratch(struct store **ret, struct err *err);

/* Rows changed by the last statement that was run on the store. */
uint64_t query_changes(const struct store *store);

/* Read all rows into one array (NULL for none) and finish. */
must_check enum rc query_list(struct query *q, const struct row_type *type, void **ret,
                              size_t *ret_n, struct err *err);

/* Read exactly one row and finish; none is the given rc, naming what. */
must_check enum rc query_one(struct query *q, const struct row_type *type, void *ret,
                             enum rc missing, const char *what, struct err *err);

#endif
