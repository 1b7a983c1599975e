/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/store_rig: the same tests on both databases.  Where BERTH_STORE says how to connect
 * (tools/with-postgresql), every store_open of a path in a test program opens a schema of that
 * database instead, one for each path; beside a store.sqlite it leaves the file "store", so that
 * programs which the test starts go there, too.
 */
#ifndef BERTH_TESTS_UNIT_STORE_RIG_H
#define BERTH_TESTS_UNIT_STORE_RIG_H

#include <stdbool.h>

/* Whether the tests run on PostgreSQL. */
bool store_rig_is_pg(void);

/* Run statements on the store at that path behind the program's back; false if it refuses.  They
 * are SQL that both take, besides zeroblob(N) and x'HEX', which the rig translates. */
bool store_rig_sql(const char *path, const char *sql);

/* From now on entries of its audit log can be changed, as by whoever owns the database. */
bool store_rig_unguard(const char *path);

/* Set the schema number of a store. */
bool store_rig_number(const char *path, unsigned long long number);

#endif
