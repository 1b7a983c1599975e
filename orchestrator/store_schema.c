/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/store_schema.h"

/* clang-format off */
static const char schema_3[] =
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
    "  action TEXT NOT NULL, detail TEXT NOT NULL, hash BLOB NOT NULL) STRICT;";

/* What schema 4 adds: a new store gets it behind the text above, one of schema 3 when it is opened. */
static const char schema_4[] =
    "CREATE TABLE delta (base BLOB NOT NULL, manifest BLOB NOT NULL,"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3), object BLOB NOT NULL,"
    "  size INTEGER NOT NULL, memory INTEGER NOT NULL, made_ms INTEGER NOT NULL,"
    "  used_ms INTEGER NOT NULL, PRIMARY KEY (base, manifest)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX outgoing_object ON outgoing (object);"
    "CREATE TABLE full_only (satellite TEXT NOT NULL REFERENCES satellite,"
    "  manifest BLOB NOT NULL, code INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (satellite, manifest)) STRICT, WITHOUT ROWID;";

/* What schema 5 adds, likewise. */
static const char schema_5[] =
    "CREATE TABLE delta_failed (base BLOB NOT NULL, manifest BLOB NOT NULL,"
    "  code INTEGER NOT NULL, engine INTEGER NOT NULL, at_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (base, manifest)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE base_changed (satellite TEXT NOT NULL REFERENCES satellite,"
    "  manifest BLOB NOT NULL, at_ms INTEGER NOT NULL,"
    "  PRIMARY KEY (satellite, manifest)) STRICT, WITHOUT ROWID;";

/* What schema 6 adds: the audit log as records.  What was written before stays as it is; the first
 * record says what it came to. */
static const char schema_6[] =
    "ALTER TABLE audit RENAME TO audit_before;"
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL,"
    "  lost_first INTEGER NOT NULL, lost_last INTEGER NOT NULL, record BLOB NOT NULL) STRICT;"
    "CREATE INDEX audit_lost ON audit (lost_last, lost_first) WHERE lost_last != 0;"
    "CREATE TABLE audit_head (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL,"
    "  hash BLOB NOT NULL) STRICT;";

/* What schema 7 adds: what came over the links. */
static const char schema_7[] =
    "CREATE TABLE heard (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "  satellite TEXT NOT NULL REFERENCES satellite, epoch INTEGER NOT NULL,"
    "  contact INTEGER NOT NULL, received_ms INTEGER NOT NULL, arrived INTEGER NOT NULL,"
    "  waiting INTEGER NOT NULL) STRICT;"
    "CREATE INDEX heard_satellite ON heard (satellite, id);";

/* What schema 8 adds: reservations. */
static const char schema_8[] =
    "CREATE TABLE reserved (station TEXT NOT NULL, satellite TEXT NOT NULL,"
    "  aos_ms INTEGER NOT NULL, los_ms INTEGER NOT NULL, antenna INTEGER NOT NULL,"
    "  PRIMARY KEY (station, satellite, aos_ms)) STRICT, WITHOUT ROWID;";

/* What schema 9 adds: what passes were to carry, and did. */
static const char schema_9[] =
    "CREATE TABLE pass (station TEXT NOT NULL, satellite TEXT NOT NULL,"
    "  aos_ms INTEGER NOT NULL, los_ms INTEGER NOT NULL, antenna INTEGER NOT NULL,"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4), capacity INTEGER NOT NULL,"
    "  planned INTEGER NOT NULL, sent INTEGER NOT NULL, arrived INTEGER NOT NULL,"
    "  PRIMARY KEY (station, satellite, aos_ms)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX pass_ends ON pass (los_ms);"
    "CREATE INDEX pass_open ON pass (state) WHERE state < 3;";

/* What schema 10 adds: which of several reconcilers works on the fleet. */
static const char schema_10[] =
    "CREATE TABLE lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, fence INTEGER NOT NULL,"
    "  expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/* What schema 11 changes: rollouts wait for approvals, and know budgets of success and silence. */
static const char schema_11[] =
    "CREATE TABLE approval (rollout INTEGER NOT NULL REFERENCES rollout,"
    "  role INTEGER NOT NULL CHECK (role BETWEEN 1 AND 3), envelope BLOB NOT NULL,"
    "  PRIMARY KEY (rollout, role)) STRICT, WITHOUT ROWID;";
/* A CHECK cannot be changed in SQLite, so the tables are made anew; numbers go on where they were.
 */
static const char schema_11_sqlite[] =
    "CREATE TABLE rollout_11 (id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL,"
    "  name TEXT NOT NULL, from_version TEXT NOT NULL, to_version TEXT NOT NULL,"
    "  to_manifest BLOB NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5),"
    "  reason TEXT NOT NULL, wave INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    "  changed_ms INTEGER NOT NULL, fail_max INTEGER NOT NULL, soak_ms INTEGER NOT NULL,"
    "  plan BLOB NOT NULL, approve INTEGER NOT NULL, fail_pct INTEGER NOT NULL,"
    "  fail_min INTEGER NOT NULL, success_pct INTEGER NOT NULL, silent_passes INTEGER NOT NULL,"
    "  silent_ms INTEGER NOT NULL, silent_skip INTEGER NOT NULL, deadline_ms INTEGER NOT NULL)"
    "  STRICT;"
    "INSERT INTO rollout_11 SELECT id, tenant, name, from_version, to_version, to_manifest, state,"
    "  reason, wave, created_ms, changed_ms, fail_max, soak_ms, zeroblob(32), 0, 0, 0, 0, 0, 0, 0, 0"
    "  FROM rollout;"
    "CREATE TABLE wave_11 (rollout INTEGER NOT NULL REFERENCES rollout_11, wave INTEGER NOT NULL,"
    "  satellite TEXT NOT NULL REFERENCES satellite,"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 4), generation INTEGER NOT NULL,"
    "  healthy_ms INTEGER NOT NULL, excused INTEGER NOT NULL,"
    "  PRIMARY KEY (rollout, wave, satellite)) STRICT, WITHOUT ROWID;"
    "INSERT INTO wave_11 SELECT rollout, wave, satellite, state, generation, healthy_ms, 0"
    "  FROM wave;"
    "DROP TABLE wave;"
    "DROP TABLE rollout;"
    "ALTER TABLE rollout_11 RENAME TO rollout;"
    "ALTER TABLE wave_11 RENAME TO wave;"
    "CREATE INDEX wave_order ON wave (satellite, generation);";
#define NUMBER_PG(column) " ADD COLUMN " column " BIGINT NOT NULL DEFAULT 0"
static const char schema_11_pg[] =
    "ALTER TABLE rollout DROP CONSTRAINT rollout_state_check,"
    "  ADD CONSTRAINT rollout_state_check CHECK (state BETWEEN 1 AND 5),"
    "  ADD COLUMN plan BYTEA NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),"
    NUMBER_PG("approve") "," NUMBER_PG("fail_pct") "," NUMBER_PG("fail_min") ","
    NUMBER_PG("success_pct") "," NUMBER_PG("silent_passes") "," NUMBER_PG("silent_ms") ","
    NUMBER_PG("silent_skip") "," NUMBER_PG("deadline_ms") ";"
    "ALTER TABLE wave" NUMBER_PG("excused") ";";

/* What schema 12 changes: people say that a rollout goes on without a satellite, each by an
 * approval of it (satellite '' is the rollout as a whole), or that it is looked at afresh. */
static const char schema_12[] =
    "CREATE TABLE approval_12 (rollout INTEGER NOT NULL REFERENCES rollout,"
    "  satellite TEXT NOT NULL, role INTEGER NOT NULL CHECK (role BETWEEN 1 AND 3),"
    "  envelope BLOB NOT NULL, PRIMARY KEY (rollout, satellite, role)) STRICT, WITHOUT ROWID;"
    "INSERT INTO approval_12 SELECT rollout, '', role, envelope FROM approval;"
    "DROP TABLE approval;"
    "ALTER TABLE approval_12 RENAME TO approval;"
    "ALTER TABLE wave ADD COLUMN retried_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE wave ADD COLUMN retried_epoch INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE wave ADD COLUMN retried_seq INTEGER NOT NULL DEFAULT 0;";

/* clang-format on */

/* What schema 13 adds: requests that may come again, and what was answered. */
static const char schema_13[] =
    "CREATE TABLE once (token BLOB NOT NULL, once_key TEXT NOT NULL, request BLOB NOT NULL,"
    "  at_ms INTEGER NOT NULL, status INTEGER NOT NULL, type TEXT NOT NULL, answer BLOB NOT NULL,"
    "  PRIMARY KEY (token, once_key)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX once_at ON once (at_ms);";

/* clang-format off */
/* What schema 14 adds: what orders and reports say, small.  Of those that are there already it is read
 * from the documents. */
static const char schema_14[] =
    "CREATE TABLE order_body (satellite TEXT NOT NULL REFERENCES satellite,"
    "  generation INTEGER NOT NULL, body BLOB NOT NULL,"
    "  PRIMARY KEY (satellite, generation)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX order_state ON sat_order (satellite, generation, state);"
    "ALTER TABLE observed ADD COLUMN sight BLOB;";

/* What schema 15 changes: a sight says which agent speaks.  Those from before are made anew. */
static const char schema_15[] = "UPDATE observed SET sight = NULL;";

/* What schema 16 adds: soaks that count orbits. */
static const char schema_16[] =
    "ALTER TABLE rollout ADD COLUMN soak_orbits INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE wave ADD COLUMN period_ms INTEGER NOT NULL DEFAULT 0;";

/* What schema 17 adds: news of events have a number. */
static const char schema_17[] =
    "CREATE TABLE news (id INTEGER PRIMARY KEY CHECK (id = 1), told INTEGER NOT NULL) STRICT;"
    "ALTER TABLE event ADD COLUMN told INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX event_told ON event (told);";
/* clang-format on */

/* The audit log is appended to, and never changed: each database says so in its own way. */
#define APPEND_ONLY(table, trigger)                                                                \
    "CREATE TRIGGER " trigger "_no_update BEFORE UPDATE ON " table                                 \
    "  BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;"                          \
    "CREATE TRIGGER " trigger "_no_delete BEFORE DELETE ON " table                                 \
    "  BEGIN SELECT RAISE(ABORT, 'the audit table is append-only'); END;"
#define APPEND_ONLY_PG(table, trigger)                                                             \
    "CREATE TRIGGER " trigger "_no_change BEFORE UPDATE OR DELETE ON " table                       \
    " FOR EACH ROW EXECUTE FUNCTION append_only();"                                                \
    "CREATE TRIGGER " trigger "_no_truncate BEFORE TRUNCATE ON " table                             \
    " EXECUTE FUNCTION append_only();"

/* In SQLite every table without WITHOUT ROWID has a column rowid, in the order of inserting. */
static const char schema_3_pg[] =
    "ALTER TABLE document ADD COLUMN rowid BIGINT GENERATED BY DEFAULT AS IDENTITY;"
    "CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    "  RAISE EXCEPTION 'the audit table is append-only'; END $$;" APPEND_ONLY_PG("audit", "audit");

const struct schema_step store_schema[] = {
    { 3, schema_3, APPEND_ONLY("audit", "audit"), schema_3_pg },
    { 4, schema_4, NULL, NULL },
    { 5, schema_5, NULL, NULL },
    { 6, schema_6, APPEND_ONLY("audit", "audit_record"), APPEND_ONLY_PG("audit", "audit_record") },
    { 7, schema_7, NULL, NULL },
    { 8, schema_8, NULL, NULL },
    { 9, schema_9, NULL, NULL },
    { 10, schema_10, NULL, NULL },
    { 11, schema_11, schema_11_sqlite, schema_11_pg },
    { 12, schema_12, NULL, NULL },
    { 13, schema_13, NULL, NULL },
    { 14, schema_14, NULL, NULL },
    { 15, schema_15, NULL, NULL },
    { 16, schema_16, NULL, NULL },
    { 17, schema_17, NULL, NULL },
};
const size_t store_schema_n = sizeof store_schema / sizeof store_schema[0];

uint64_t store_schema_number(void)
{
    return store_schema[store_schema_n - 1].number;
}
