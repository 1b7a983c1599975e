/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_schema: the tables of the store, as steps that each make one schema number of
 * the one before.  To add something, append a text and a row in store_schema.c; the number of the
 * last row is the schema's.  A step that has landed is never changed.
 */
#ifndef BERTH_ORCHESTRATOR_STORE_SCHEMA_H
#define BERTH_ORCHESTRATOR_STORE_SCHEMA_H

#include "orchestrator/store.h"

struct schema_step {
    uint64_t number;        /* of the schema that it makes */
    const char *both;       /* statements for every database: see store_query.h on what they take */
    const char *sqlite;     /* behind it, for SQLite only; NULL = nothing */
    const char *postgresql; /* ... for PostgreSQL only */
};

#define SCHEMA_OLDEST 3U /* what can be brought up to date */

extern const struct schema_step store_schema[];
extern const size_t store_schema_n;

/* Number of the last step. */
uint64_t store_schema_number(void);

#endif
