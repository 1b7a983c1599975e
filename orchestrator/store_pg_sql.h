/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_pg_sql: the store's SQL in PostgreSQL's words, and PostgreSQL's answers in the
 * store's: pure functions beside store_pg.c.
 */
#ifndef BERTH_ORCHESTRATOR_STORE_PG_SQL_H
#define BERTH_ORCHESTRATOR_STORE_PG_SQL_H

#include "base/bytes.h"
#include "base/err.h"

/* A statement: ? and ?N become $N.  Texts in '...' stay.  The caller frees it; NULL = no memory. */
char *store_pg_statement(const char *sql);

/* Statements that make tables: types, AUTOINCREMENT, and no STRICT or WITHOUT ROWID; texts are
 * sorted by their bytes.  The caller frees it; NULL = no memory. */
char *store_pg_tables(const char *sql);

/* The code for a failure with this SQLSTATE (PostgreSQL, appendix A); NULL = the connection. */
enum rc store_pg_code(const char *sqlstate);

/* Big-endian two's complement of 1, 2, 4 or 8 bytes. */
int64_t store_pg_integer(struct bytes in);
/* numeric as the server sends it (digits to the base 10000); false if it is no whole number of at
 * most INT64_MAX, or negative. */
bool store_pg_numeric(struct bytes in, int64_t *ret);

#endif
