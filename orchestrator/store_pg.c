/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/store_pg: the store in a PostgreSQL database.
 *
 * libpq is loaded when the first such store is opened: a ground on SQLite needs none.  Whoever
 * writes holds an advisory lock until the end of the transaction, so that writers come one after
 * the other and see what those before them did, as behind SQLite's BEGIN IMMEDIATE.  A fleet is a
 * schema of the database: the first of the connection's search_path.  A connection that was lost is
 * made anew before the next transaction, and never inside of one.  Savepoints, which answer
 * nothing, go out with the statement behind them as one pipeline.
 */
#include <dlfcn.h>
#include <endian.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "orchestrator/store_driver.h"
#include "orchestrator/store_pg_sql.h"

#define PARAMETERS_MAX 64
#define AHEAD_MAX 8
#define LIBRARY "libpq.so.5"
#define OLDEST 14 /* of PostgreSQL */

/* ---- the library ---- */

#define FUNCTIONS(F)                                                                               \
    F(PQbackendPID)                                                                                \
    F(PQclear)                                                                                     \
    F(PQcmdStatus)                                                                                 \
    F(PQcmdTuples)                                                                                 \
    F(PQconnectdbParams)                                                                           \
    F(PQconninfoFree)                                                                              \
    F(PQconninfoParse)                                                                             \
    F(PQconsumeInput)                                                                              \
    F(PQenterPipelineMode)                                                                         \
    F(PQerrorMessage)                                                                              \
    F(PQescapeIdentifier)                                                                          \
    F(PQexec)                                                                                      \
    F(PQexecPrepared)                                                                              \
    F(PQexitPipelineMode)                                                                          \
    F(PQfinish)                                                                                    \
    F(PQfreemem)                                                                                   \
    F(PQftype)                                                                                     \
    F(PQgetisnull)                                                                                 \
    F(PQgetlength)                                                                                 \
    F(PQgetResult)                                                                                 \
    F(PQgetvalue)                                                                                  \
    F(PQnotifies)                                                                                  \
    F(PQntuples)                                                                                   \
    F(PQparameterStatus)                                                                           \
    F(PQpipelineSync)                                                                              \
    F(PQprepare)                                                                                   \
    F(PQresultErrorField)                                                                          \
    F(PQresultStatus)                                                                              \
    F(PQsendQueryParams)                                                                           \
    F(PQsendQueryPrepared)                                                                         \
    F(PQserverVersion)                                                                             \
    F(PQsetNoticeProcessor)                                                                        \
    F(PQsocket)                                                                                    \
    F(PQstatus)

/* NOLINTNEXTLINE(bugprone-macro-parentheses): a member's name has none */
#define MEMBER(name) __typeof__(&(name)) name;
static struct functions {
    FUNCTIONS(MEMBER)
} pq;

static bool loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* On Debian 12 libpq brings the system's libcrypto along.  Berth's own has another name and other
 * symbol versions (tools/deps), so that each is called by those who were linked with it. */
static void load(void)
{
#define ROW(name) { #name, offsetof(struct functions, name) },
    static const struct {
        const char *name;
        size_t at;
    } rows[] = { FUNCTIONS(ROW) };
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    loaded = library != NULL;
    for (size_t i = 0; loaded && i < sizeof rows / sizeof rows[0]; i++) {
        void *at = dlsym(library, rows[i].name);

        loaded = at != NULL;
        memcpy((char *)&pq + rows[i].at, &at, sizeof at);
    }
}

/* ---- a connection ---- */

struct prepared {
    char name[32];
    char *sql;  /* as the program has it */
    char *text; /* as PostgreSQL has it */
    bool known; /* to the server, with these types */
    int n;
    Oid types[PARAMETERS_MAX];
};

struct pg {
    char *where;
    char *schema; /* as its identifier is written; NULL = not known yet */
    PGconn *conn;
    enum { OUTSIDE, READING, WRITING } in;
    bool changed; /* in this transaction */
    bool marked;  /* ... nothing since the savepoint */
    bool broken;  /* ... a savepoint failed: nothing of it may stay */
    size_t n_ahead;
    const char *ahead[AHEAD_MAX]; /* what the server is still to do before the next statement */
    bool listens;
    uint64_t heard; /* how often others changed something, as far as is known */
    uint64_t changes;
    uint64_t key; /* of the schema: names the lock and the channel */
    size_t n_prepared;
    struct prepared **prepared;
};

struct statement {
    struct pg *pg;
    struct prepared *prepared;
    PGresult *result; /* NULL = not run yet */
    int row;          /* -1 = before the first */
    int n;            /* bound */
    Oid types[PARAMETERS_MAX];
    const char *values[PARAMETERS_MAX];
    int sizes[PARAMETERS_MAX];
    int binary[PARAMETERS_MAX];
    uint64_t numbers[PARAMETERS_MAX]; /* in network order */
};

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_NUMERIC = 1700
};

static void clear(PGresult **result)
{
    pq.PQclear(*result);
    *result = NULL;
}

static bool is_lost(const struct pg *pg)
{
    return !pg->conn || pq.PQstatus(pg->conn) != CONNECTION_OK;
}

/* The database's words, one line of them.  libpq puts no password into these. */
static enum rc fail_as(enum rc rc, const char *words, struct err *err)
{
    static const char severity[] = "ERROR:  ";
    bool skip = strncmp(words, severity, strlen(severity)) == 0;

    words += skip ? strlen(severity) : 0;
    return err_set(err, rc, STORE_REMOTE "%.*s", (int)strcspn(words, "\n"), words);
}

static enum rc fail(const struct pg *pg, const PGresult *result, struct err *err)
{
    const char *state = result ? pq.PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *words = result ? pq.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    if (!words || words[0] == '\0')
        words = pg->conn ? pq.PQerrorMessage(pg->conn) : "no connection";
    if (words[0] == '\0')
        words = "the connection was lost";
    return fail_as(store_pg_code(state), words, err);
}

static bool is_fine(const PGresult *result)
{
    ExecStatusType status = pq.PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static enum rc run_only(struct pg *pg, const char *sql, struct err *err)
{
    scoped(clear) PGresult *result = pq.PQexec(pg->conn, sql);

    return is_fine(result) ? RC_OK : fail(pg, result, err);
}

/* Do what waits, where no statement takes it along.  Where that fails the transaction has failed
 * and stays so: to go back to a savepoint might be to one further back, behind which others think
 * their part is safe. */
static enum rc settle(struct pg *pg, struct err *err)
{
    char sql[AHEAD_MAX * 32] = "";
    size_t n = 0;

    if (pg->n_ahead == 0)
        return RC_OK;
    for (size_t i = 0; i < pg->n_ahead; i++)
        n += (size_t)snprintf(sql + n, sizeof sql - n, "%s;", pg->ahead[i]);
    pg->n_ahead = 0;
    enum rc rc = run_only(pg, sql, err);

    pg->broken |= rc != RC_OK;
    return rc;
}

/* Constants of at most 30 bytes; then NULL allowed. */
static enum rc put_ahead(struct pg *pg, const char *sql, const char *then, struct err *err)
{
    enum rc rc = pg->n_ahead + 2 > AHEAD_MAX ? settle(pg, err) : RC_OK;

    if (rc != RC_OK)
        return rc;
    pg->ahead[pg->n_ahead++] = sql;
    if (then)
        pg->ahead[pg->n_ahead++] = then;
    return RC_OK;
}

static enum rc run_text(struct pg *pg, const char *sql, struct err *err)
{
    enum rc rc = settle(pg, err);

    return rc == RC_OK ? run_only(pg, sql, err) : rc;
}

/* A statement that fails takes the whole transaction along, and in SQLite only itself.  Callers
 * know the latter: there is always a savepoint between what was written and the next statement.
 * None of those is a trip to the server of its own: run_begin sets the first, and the others go
 * ahead of the statement that needs them. */
static enum rc mark(struct pg *pg, struct err *err)
{
    if (pg->in == OUTSIDE || pg->marked)
        return RC_OK;
    enum rc rc = put_ahead(pg, "RELEASE SAVEPOINT berth", "SAVEPOINT berth", err);

    pg->marked = rc == RC_OK;
    return rc;
}

/* Undo the statement that failed, and nothing else.  Where that fails, commit will. */
static enum rc fail_alone(struct pg *pg, const PGresult *result, struct err *err)
{
    enum rc rc = fail(pg, result, err);
    struct err ignored;

    if (pg->in != OUTSIDE && !is_lost(pg))
        (void)!run_text(pg, "ROLLBACK TO SAVEPOINT berth", &ignored);
    return rc;
}

/* One number, as text; *ret stays where there is no row or NULL. */
static enum rc run_number(struct pg *pg, const char *sql, uint64_t *ret, struct err *err)
{
    enum rc rc = mark(pg, err);

    if (rc == RC_OK)
        rc = settle(pg, err);
    if (rc != RC_OK)
        return rc;
    scoped(clear) PGresult *result = pq.PQexec(pg->conn, sql);

    if (pq.PQresultStatus(result) != PGRES_TUPLES_OK)
        return fail_alone(pg, result, err);
    if (pq.PQntuples(result) == 1 && !pq.PQgetisnull(result, 0, 0))
        *ret = strtoull(pq.PQgetvalue(result, 0, 0), NULL, 10);
    return RC_OK;
}

static void ignore_notice(void *arg, const char *words)
{
    (void)arg;
    (void)words;
}

/* What a session must be like, whatever the server's defaults are.  A commit that was reported is
 * on disk; who stands still in a transaction does not hold up all others for ever.  No statement is
 * compiled: to compile the largest takes longer than to run it on 100,000 satellites. */
#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)
static const char session[] =
    "SET search_path = pg_catalog, pg_temp;"
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') = 'off';"
    "SET lock_timeout = " TEXT_OF(
        STORE_BUSY_MS) ";"
                       "SET idle_in_transaction_session_timeout = " TEXT_OF(
                           STORE_STILL_MS) ";"
                                           "SET default_transaction_isolation = 'read committed';"
                                           "SET default_transaction_read_only = off;"
                                           "SET client_encoding = 'UTF8';"
                                           "SET standard_conforming_strings = on;"
                                           "SET jit = off;"
                                           "SET plan_cache_mode = auto";

static void forget_prepared(struct pg *pg)
{
    for (size_t i = 0; i < pg->n_prepared; i++)
        pg->prepared[i]->known = false;
}

static void disconnect(struct pg *pg)
{
    if (pg->conn)
        pq.PQfinish(pg->conn);
    pg->conn = NULL;
    pg->in = OUTSIDE;
    pg->n_ahead = 0;
    forget_prepared(pg);
}

static enum rc listen_here(struct pg *pg, struct err *err)
{
    char sql[48];

    (void)snprintf(sql, sizeof sql, "LISTEN berth_%016llx", (unsigned long long)pg->key);
    return run_text(pg, sql, err);
}

/* One value, copied; *ret stays NULL where there is none. */
static enum rc run_value(struct pg *pg, const char *sql, char **ret, struct err *err)
{
    scoped(clear) PGresult *result = pq.PQexec(pg->conn, sql);

    if (pq.PQresultStatus(result) != PGRES_TUPLES_OK)
        return fail(pg, result, err);
    if (pq.PQntuples(result) == 1 && !pq.PQgetisnull(result, 0, 0)) {
        *ret = strdup(pq.PQgetvalue(result, 0, 0));
        if (!*ret)
            return err_set(err, RC_NO_MEMORY, "store");
    }
    return RC_OK;
}

/* What the program's SQL is written for. */
static enum rc check_server(const struct pg *pg, struct err *err)
{
    const char *encoding = pq.PQparameterStatus(pg->conn, "server_encoding");
    int version = pq.PQserverVersion(pg->conn);

    if (version < OLDEST * 10000)
        return err_set(err, RC_STORE, STORE_REMOTE "version %d, and it has to be %d or newer",
                       version / 10000, OLDEST);
    if (!encoding || strcmp(encoding, "UTF8") != 0)
        return err_set(err, RC_STORE,
                       STORE_REMOTE "a database in %s: createdb -T template0 -E UTF8 NAME",
                       encoding ? encoding : "no encoding");
    return RC_OK;
}

static const char make_namespace[] =
    "BEGIN; SELECT pg_catalog.pg_advisory_xact_lock(0);"
    "DO $$ BEGIN IF pg_catalog.current_schema() IS NULL THEN"
    " EXECUTE pg_catalog.format('CREATE SCHEMA %I', pg_catalog.btrim(pg_catalog.split_part("
    "pg_catalog.current_setting('search_path'), ',', 1), '\" ')); END IF; END $$;"
    "COMMIT";

/* The fleet's schema is the first that there is of the search_path that the session began with.
 * From now on it is all of the path: nobody's objects elsewhere stand before the store's or, as an
 * overload, before the database's own functions. */
static enum rc find_schema(struct pg *pg, bool create, struct err *err)
{
    scoped(free_ptr) char *name = NULL;
    scoped(free_ptr) char *open = NULL;
    enum rc rc = create ? run_text(pg, make_namespace, err) : RC_OK;

    if (rc == RC_OK)
        rc = run_value(pg, "SELECT pg_catalog.current_schema()", &name, err);
    if (rc == RC_OK && !name)
        rc = err_set(err, RC_STORE, STORE_REMOTE "the database has no schema of its search_path");
    if (rc != RC_OK)
        return rc;
    char *quoted = name ? pq.PQescapeIdentifier(pg->conn, name, strlen(name)) : NULL;

    if (quoted)
        pg->schema = strdup(quoted);
    pq.PQfreemem(quoted);
    if (!pg->schema)
        return err_set(err, RC_NO_MEMORY, "store");
    rc = run_value(
        pg,
        "SELECT n.nspname FROM pg_catalog.pg_namespace n,"
        " LATERAL pg_catalog.aclexplode(n.nspacl) a WHERE n.nspname OPERATOR(pg_catalog.=)"
        " pg_catalog.current_schema() AND a.grantee OPERATOR(pg_catalog.=) 0"
        " AND a.privilege_type OPERATOR(pg_catalog.=) 'CREATE'",
        &open, err);
    if (rc == RC_OK && open)
        rc = err_set(err, RC_STORE,
                     STORE_REMOTE
                     "REVOKE CREATE ON SCHEMA %.32s FROM PUBLIC: others shadow its tables",
                     pg->schema);
    return rc;
}

static enum rc set_path(struct pg *pg, struct err *err)
{
    char sql[256]; /* an identifier has 63 bytes */

    (void)snprintf(sql, sizeof sql, "SET search_path = %s, pg_temp", pg->schema);
    return run_text(pg, sql, err);
}

static enum rc connect_to(struct pg *pg, bool create, struct err *err)
{
    /* What the string says itself comes later and counts. */
    const char *const keys[] = { "connect_timeout",           "tcp_user_timeout", "keepalives_idle",
                                 "fallback_application_name", "dbname",           NULL };
    const char *const values[] = { "10", "30000", "10", "berth", pg->where, NULL };

    disconnect(pg);
    pg->conn = pq.PQconnectdbParams(keys, values, 1);
    if (!pg->conn)
        return err_set(err, RC_NO_MEMORY, "store");
    if (is_lost(pg)) {
        const char *words = pq.PQerrorMessage(pg->conn);

        return fail_as(strstr(words, "starting up") ? RC_BUSY : RC_STORE, words, err);
    }
    (void)pq.PQsetNoticeProcessor(pg->conn, ignore_notice, NULL);
    enum rc rc = check_server(pg, err);

    if (rc == RC_OK && !pg->schema)
        rc = find_schema(pg, create, err);
    if (rc == RC_OK)
        rc = run_text(pg, session, err);
    if (rc == RC_OK)
        rc = set_path(pg, err);
    pg->heard++; /* whatever was missed meanwhile */
    return rc == RC_OK && pg->listens ? listen_here(pg, err) : rc;
}

static void close_db(void *db)
{
    struct pg *pg = db;

    disconnect(pg);
    for (size_t i = 0; i < pg->n_prepared; i++) {
        free(pg->prepared[i]->sql);
        free(pg->prepared[i]->text);
        free(pg->prepared[i]);
    }
    free(pg->prepared);
    if (pg->where)
        explicit_bzero(pg->where, strlen(pg->where));
    free(pg->where);
    free(pg->schema);
    free(pg);
}

static void close_handle(struct pg **pg)
{
    if (*pg)
        close_db(*pg);
}

/* The words of the parser are not shown: they repeat the string, and with it its password. */
static enum rc check_string(const char *where, struct err *err)
{
    char *words = NULL;
    PQconninfoOption *options = pq.PQconninfoParse(where, &words);
    bool fine = options != NULL;

    pq.PQconninfoFree(options);
    pq.PQfreemem(words);
    return fine
               ? RC_OK
               : err_set(err, RC_VALUE, STORE_REMOTE "not a connection string that libpq can read");
}

static enum rc open_database(const char *where, bool create, void **ret_db, struct err *err)
{
    scoped(close_handle) struct pg *pg = NULL;

    (void)pthread_once(&once, load);
    if (!loaded)
        return err_set(err, RC_STORE,
                       STORE_REMOTE
                       "%s of PostgreSQL 14 or newer is not installed: apt install libpq5",
                       LIBRARY);
    pg = calloc(1, sizeof *pg);
    if (pg)
        pg->where = strdup(where);
    if (!pg || !pg->where)
        return err_set(err, RC_NO_MEMORY, "store");
    enum rc rc = check_string(where, err);

    if (rc == RC_OK)
        rc = connect_to(pg, create, err);
    if (rc == RC_OK)
        rc = run_number(
            pg, "SELECT hashtextextended(current_schema(), 0)::numeric + 9223372036854775808",
            &pg->key, err);
    if (rc != RC_OK)
        return rc;
    *ret_db = pg;
    pg = NULL;
    return RC_OK;
}

/* ---- transactions ---- */

static bool in_transaction(const void *db)
{
    return ((const struct pg *)db)->in != OUTSIDE;
}

static enum rc run_begin(struct pg *pg, bool writes, struct err *err)
{
    char sql[96];

    if (!writes)
        return run_text(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SAVEPOINT berth",
                        err);
    (void)snprintf(sql, sizeof sql, "BEGIN; SELECT pg_advisory_xact_lock(%lld); SAVEPOINT berth",
                   (long long)(pg->key ^ (1ULL << 63)));
    enum rc rc = run_text(pg, sql, err);

    if (rc != RC_OK && !is_lost(pg))
        (void)!run_text(pg, "ROLLBACK", NULL);
    return rc;
}

static enum rc begin(void *db, bool writes, struct err *err)
{
    struct pg *pg = db;
    enum rc rc = RC_OK;

    if (pg->in != OUTSIDE)
        return err_set(err, RC_STORE, STORE_REMOTE "a transaction within a transaction");
    if (!is_lost(pg))
        rc = run_begin(pg, writes, err);
    if (is_lost(pg)) { /* perhaps long ago: nothing has been done yet */
        rc = connect_to(pg, false, err);
        if (rc == RC_OK)
            rc = run_begin(pg, writes, err);
    }
    if (rc != RC_OK)
        return rc;
    pg->in = writes ? WRITING : READING;
    pg->changed = false;
    pg->marked = true;
    pg->broken = false;
    return RC_OK;
}

/* The connection was lost while it committed.  The one that committed has the lock until its end is
 * there for all to see; who has the lock then sees whether its mark is there. */
static enum rc find_out(struct pg *pg, int64_t mark, struct err *err)
{
    struct err ignored;
    uint64_t done = 0;
    char sql[96];
    enum rc rc = connect_to(pg, false, &ignored);

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM berth_commit WHERE mark = %lld",
                   (long long)mark);
    if (rc == RC_OK)
        rc = run_begin(pg, true, &ignored);
    if (rc == RC_OK) {
        rc = run_number(pg, sql, &done, &ignored);
        (void)!run_text(pg, "ROLLBACK", &ignored);
    }
    if (rc != RC_OK)
        return err_set(err, RC_STORE,
                       STORE_REMOTE "lost while it committed: look whether that was done");
    return done > 0
               ? RC_OK
               : err_set(err, RC_STORE, STORE_REMOTE "lost while it committed: nothing was done");
}

static enum rc failed(struct err *err)
{
    return err_set(err, RC_STORE, STORE_REMOTE "the transaction had failed and was rolled back");
}

static enum rc commit(void *db, struct err *err)
{
    struct pg *pg = db;
    char sql[256] = "COMMIT";
    int64_t mark = 0;

    /* Rolled back since, where others may have come and gone in its place, or no longer whole. */
    if (pg->in == OUTSIDE || pg->broken)
        return failed(err);
    enum rc rc = settle(pg, err);

    if (rc != RC_OK && !is_lost(pg))
        return rc;
    if (pg->changed) {
        crypto_random((uint8_t *)&mark, sizeof mark);
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO berth_commit (mark) VALUES (%lld); DELETE FROM berth_commit "
                       "WHERE at < now() - interval '10 minutes'; NOTIFY berth_%016llx; COMMIT",
                       (long long)mark, (unsigned long long)pg->key);
    }
    scoped(clear) PGresult *result = pq.PQexec(pg->conn, sql);

    if (pq.PQresultStatus(result) != PGRES_COMMAND_OK && is_lost(pg) && pg->changed)
        return find_out(pg, mark, err);
    if (pq.PQresultStatus(result) != PGRES_COMMAND_OK)
        return fail(pg, result, err);
    /* One that has failed ends here without an error, and without any effect. */
    if (strcmp(pq.PQcmdStatus(result), "COMMIT") != 0) {
        pg->in = OUTSIDE;
        return failed(err);
    }
    pg->in = OUTSIDE;
    return RC_OK;
}

static void rollback(void *db)
{
    struct pg *pg = db;
    struct err ignored;

    pg->n_ahead = 0;
    if (pg->in != OUTSIDE && !is_lost(pg))
        (void)!run_text(pg, "ROLLBACK", &ignored);
    pg->in = OUTSIDE;
}

/* The savepoint that stands before each statement is set anew within the part, over the one that
 * there is, which is in force again when the part has ended. */
static enum rc part(void *db, enum driver_part what, struct err *err)
{
    struct pg *pg = db;
    enum rc rc = RC_OK;

    if (pg->broken)
        return failed(err);
    switch (what) {
    case PART_BEGIN:
        rc = put_ahead(pg, "SAVEPOINT part", "SAVEPOINT berth", err);
        break;
    case PART_PASS:
        rc = put_ahead(pg, "RELEASE SAVEPOINT part", NULL, err);
        break;
    case PART_UNDO:
        rc = run_text(pg, "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part", err);
        break;
    }
    pg->marked = rc == RC_OK && what == PART_BEGIN;
    return rc;
}

/* ---- the schema ---- */

static enum rc schema_number(void *db, uint64_t *ret, struct err *err)
{
    uint64_t there = 0, number = 0;
    enum rc rc = run_number(db,
                            "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() "
                            "AND tablename = 'berth_schema'",
                            &there, err);

    if (rc == RC_OK && there > 0)
        rc = run_number(db, "SELECT number FROM berth_schema", &number, err);
    if (rc == RC_OK)
        *ret = number;
    return rc;
}

static enum rc schema_step(void *db, const struct schema_step *step, struct err *err)
{
    struct pg *pg = db;
    scoped(free_ptr) char *text = store_pg_tables(step->both);
    char number[160];

    pg->marked = false;
    enum rc rc = text ? run_text(pg, text, err) : err_set(err, RC_NO_MEMORY, "store");

    if (rc == RC_OK && step->postgresql)
        rc = run_text(pg, step->postgresql, err);
    if (rc == RC_OK)
        rc = run_text(pg,
                      "CREATE TABLE IF NOT EXISTS berth_schema (one integer PRIMARY KEY CHECK "
                      "(one = 1), number bigint NOT NULL);"
                      "CREATE TABLE IF NOT EXISTS berth_commit (mark bigint PRIMARY KEY, "
                      "at timestamptz NOT NULL DEFAULT now())",
                      err);
    (void)snprintf(number, sizeof number,
                   "INSERT INTO berth_schema (one, number) VALUES (1, %llu) ON CONFLICT (one) "
                   "DO UPDATE SET number = excluded.number",
                   (unsigned long long)step->number);
    return rc == RC_OK ? run_text(pg, number, err) : rc;
}

/* ---- statements ---- */

static struct prepared *remember(struct pg *pg, const char *sql)
{
    struct prepared *p = NULL;
    struct prepared **grown = NULL;

    for (size_t i = 0; i < pg->n_prepared; i++)
        if (strcmp(pg->prepared[i]->sql, sql) == 0)
            return pg->prepared[i];
    p = calloc(1, sizeof *p);
    grown = p ? reallocarray(pg->prepared, pg->n_prepared + 1, sizeof(struct prepared *)) : NULL;
    if (grown) {
        pg->prepared = grown;
        p->sql = strdup(sql);
        p->text = store_pg_statement(sql);
    }
    if (!grown || !p->sql || !p->text) {
        if (grown) {
            free(p->sql);
            free(p->text);
        }
        free(p);
        return NULL;
    }
    (void)snprintf(p->name, sizeof p->name, "berth_%zu", pg->n_prepared);
    pg->prepared[pg->n_prepared++] = p;
    return p;
}

static enum rc prepare(void *db, const char *sql, void **ret_statement, struct err *err)
{
    struct statement *s = calloc(1, sizeof *s);
    struct prepared *prepared = s ? remember(db, sql) : NULL;

    if (!prepared) {
        free(s);
        return err_set(err, RC_NO_MEMORY, "store");
    }
    s->pg = db;
    s->prepared = prepared;
    s->row = -1;
    *ret_statement = s;
    return RC_OK;
}

static enum rc bind(void *statement, int at, const struct driver_value *value, struct err *err)
{
    struct statement *s = statement;
    const int i = at - 1;

    if (i < 0 || i >= PARAMETERS_MAX || value->bytes.n > INT32_MAX)
        return err_set(err, RC_STORE, STORE_REMOTE "too many values, or too large");
    if (at > s->n)
        s->n = at;
    s->binary[i] = 1;
    switch (value->kind) {
    case VALUE_NULL:
        s->types[i] = OID_TEXT;
        s->values[i] = NULL;
        break;
    case VALUE_NUMBER:
        s->numbers[i] = htobe64((uint64_t)value->number);
        s->types[i] = OID_INT8;
        s->values[i] = (const char *)&s->numbers[i];
        s->sizes[i] = sizeof s->numbers[i];
        break;
    case VALUE_TEXT:
    case VALUE_BLOB:
        s->types[i] = value->kind == VALUE_TEXT ? OID_TEXT : OID_BYTEA;
        s->values[i] = value->bytes.n > 0 ? (const char *)value->bytes.p : "";
        s->sizes[i] = (int)value->bytes.n;
        break;
    }
    return RC_OK;
}

static enum rc make_known(struct statement *s, struct err *err)
{
    struct prepared *p = s->prepared;

    if (p->known && (p->n != s->n || memcmp(p->types, s->types, sizeof p->types) != 0))
        return err_set(err, RC_STORE, STORE_REMOTE "values of other kinds than before");
    if (p->known)
        return RC_OK;
    memcpy(p->types, s->types, sizeof p->types);
    p->n = s->n;
    enum rc rc = settle(s->pg, err);

    if (rc != RC_OK)
        return rc;
    scoped(clear) PGresult *result = pq.PQprepare(s->pg->conn, p->name, p->text, p->n, p->types);

    if (pq.PQresultStatus(result) != PGRES_COMMAND_OK)
        return fail_alone(s->pg, result, err);
    p->known = true;
    return RC_OK;
}

/* Take n answers of a pipeline: the first that tells of a failure, or the last.  *ret_which is
 * whose it is, from 0.  After each comes a NULL, and after all the one that the pipeline ends. */
static PGresult *take_answers(struct pg *pg, size_t n, size_t *ret_which)
{
    PGresult *kept = NULL;
    size_t at = 0;

    *ret_which = 0;
    while (at <= n) {
        PGresult *result = pq.PQgetResult(pg->conn);
        bool end = pq.PQresultStatus(result) == PGRES_PIPELINE_SYNC;

        if (result && !end && (!kept || is_fine(kept))) {
            clear(&kept);
            *ret_which = at;
            kept = result;
        } else {
            pq.PQclear(result);
        }
        if (end)
            break;
        at += result == NULL;
    }
    return kept;
}

/* What waits, and the statement, in one go.  *ret_ahead: what it comes to is of the former. */
static PGresult *run_behind(struct statement *s, bool *ret_ahead)
{
    struct pg *pg = s->pg;
    size_t which = 0;
    bool sent = pq.PQenterPipelineMode(pg->conn) == 1;
    PGresult *result = NULL;

    for (size_t i = 0; sent && i < pg->n_ahead; i++)
        sent = pq.PQsendQueryParams(pg->conn, pg->ahead[i], 0, NULL, NULL, NULL, NULL, 0) == 1;
    sent = sent &&
           pq.PQsendQueryPrepared(pg->conn, s->prepared->name, s->n, s->values, s->sizes, s->binary,
                                  1) == 1 &&
           pq.PQpipelineSync(pg->conn) == 1;
    if (sent)
        result = take_answers(pg, pg->n_ahead + 1, &which);
    *ret_ahead = which < pg->n_ahead;
    pg->broken |= *ret_ahead;
    pg->n_ahead = 0;
    if (!sent || pq.PQexitPipelineMode(pg->conn) != 1) { /* nobody knows what it is at: lost */
        pq.PQfinish(pg->conn);
        pg->conn = NULL;
    }
    return result;
}

static enum rc run_once(struct statement *s, struct err *err)
{
    struct pg *pg = s->pg;
    enum rc rc = mark(pg, err);

    if (rc == RC_OK)
        rc = make_known(s, err);
    if (rc != RC_OK)
        return rc;
    bool ahead = false;
    scoped(clear) PGresult *result = pg->n_ahead > 0
                                         ? run_behind(s, &ahead)
                                         : pq.PQexecPrepared(pg->conn, s->prepared->name, s->n,
                                                             s->values, s->sizes, s->binary, 1);

    if (!is_fine(result)) /* a savepoint that was not set is none to go back to */
        return ahead ? fail(pg, result, err) : fail_alone(pg, result, err);
    const char *rows = pq.PQcmdTuples(result);

    if (strncmp(pq.PQcmdStatus(result), "SELECT", strlen("SELECT")) != 0) {
        pg->marked = false;
        pg->changes = strtoull(rows, NULL, 10);
        pg->changed |= pg->changes > 0;
    }
    s->result = result;
    result = NULL;
    return RC_OK;
}

/* Outside of a transaction it only reads (store.c sees to that), so it can be done again on a new
 * connection. */
static enum rc run(struct statement *s, struct err *err)
{
    struct pg *pg = s->pg;
    enum rc rc = RC_OK;

    if (!is_lost(pg))
        rc = run_once(s, err);
    if (!is_lost(pg))
        return rc;
    if (pg->in != OUTSIDE)
        return rc != RC_OK ? rc : err_set(err, RC_STORE, STORE_REMOTE "the connection was lost");
    rc = connect_to(pg, false, err);
    return rc == RC_OK ? run_once(s, err) : rc;
}

static enum rc step(void *statement, bool *ret_row, struct err *err)
{
    struct statement *s = statement;
    enum rc rc = s->result ? RC_OK : run(s, err);

    if (rc != RC_OK)
        return rc;
    *ret_row = ++s->row < pq.PQntuples(s->result);
    return RC_OK;
}

static enum rc column(void *statement, int at, struct driver_value *ret, struct err *err)
{
    const struct statement *s = statement;
    struct driver_value value = { .kind = VALUE_NULL };
    struct bytes bytes;

    if (pq.PQgetisnull(s->result, s->row, at)) {
        *ret = value;
        return RC_OK;
    }
    bytes.p = (const uint8_t *)pq.PQgetvalue(s->result, s->row, at);
    bytes.n = (size_t)pq.PQgetlength(s->result, s->row, at);
    switch (pq.PQftype(s->result, at)) {
    case OID_BOOL:
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        value = (struct driver_value){ .kind = VALUE_NUMBER, .number = store_pg_integer(bytes) };
        break;
    case OID_NUMERIC: /* a sum */
        value.kind = VALUE_NUMBER;
        if (!store_pg_numeric(bytes, &value.number))
            return err_set(err, RC_STORE, STORE_REMOTE "a sum that is no number");
        break;
    case OID_BYTEA:
        value = (struct driver_value){ .kind = VALUE_BLOB, .bytes = bytes };
        break;
    default: /* text, name, varchar */
        value = (struct driver_value){ .kind = VALUE_TEXT, .bytes = bytes };
        break;
    }
    *ret = value;
    return RC_OK;
}

static void finish(void *statement)
{
    struct statement *s = statement;

    if (s)
        pq.PQclear(s->result);
    free(s);
}

static uint64_t changes(const void *db)
{
    return ((const struct pg *)db)->changes;
}

static enum rc now(void *db, uint64_t *ret, struct err *err)
{
    return run_number(db, "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)", ret, err);
}

/* ---- what others do ---- */

static void take_notices(struct pg *pg)
{
    PGnotify *notice;

    while ((notice = pq.PQnotifies(pg->conn))) {
        pg->heard += notice->be_pid != pq.PQbackendPID(pg->conn);
        pq.PQfreemem(notice);
    }
}

/* What was committed before this was asked is among the notices: the server hands them out before
 * it answers. */
static enum rc watch(void *db, uint64_t *ret, struct err *err)
{
    struct pg *pg = db;
    enum rc rc = RC_OK;

    if (pg->in == OUTSIDE) {
        bool first = !pg->listens;

        pg->listens = true;
        if (!is_lost(pg))
            rc = first ? listen_here(pg, err) : run_text(pg, "SELECT 1", err);
        if (is_lost(pg))
            rc = connect_to(pg, false, err);
        if (rc == RC_OK && pq.PQconsumeInput(pg->conn) == 1)
            take_notices(pg);
    }
    if (rc == RC_OK)
        *ret = pg->heard;
    return rc;
}

const struct store_driver store_pg = {
    .name = "PostgreSQL",
    .texts = {
        .tables = "SELECT CAST(relname AS text) FROM pg_class WHERE relkind = 'r' AND relnamespace "
                  "= CAST(current_schema() AS regnamespace) AND relname NOT IN ('berth_schema', 'berth_commit') "
                  "ORDER BY oid",
        .columns = "SELECT CAST(attname AS text) FROM pg_attribute JOIN pg_class ON attrelid = "
                   "pg_class.oid WHERE relname = ? AND relnamespace = CAST(current_schema() AS "
                   "regnamespace) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        .copied = "DO $$ DECLARE r record; BEGIN FOR r IN SELECT table_name, column_name FROM "
                  "information_schema.columns WHERE table_schema = current_schema() AND "
                  "is_identity = 'YES' LOOP EXECUTE format('SELECT setval("
                  "pg_get_serial_sequence(%L, %L), coalesce((SELECT max(%I) FROM %I), 0) + 1, "
                  "false)', r.table_name, r.column_name, r.column_name, r.table_name); "
                  "END LOOP; END $$",
    },
    .alone = true,
    .open = open_database,
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
    .now = now,
};
