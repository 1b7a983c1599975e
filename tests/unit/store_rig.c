/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store_rig.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/home.h"

enum rc __real_store_open(const char *where, bool create, struct store **ret, struct err *err);
enum rc __wrap_store_open(const char *where, bool create, struct store **ret, struct err *err);

static const char *template(void)
{
    const char *text = getenv("BERTH_STORE");

    return text && text[0] ? text : NULL;
}

bool store_rig_is_pg(void)
{
    return template() != NULL;
}

/* Where the store of that path is on the database. */
static enum rc map(const char *path, bool create, char ret[HOME_STORE_CAP], struct err *err)
{
    const char *name = strrchr(path, '/');
    scoped(close_fd) int fd = -1;
    char dir[HOME_PATH_CAP];

    if (!name || strcmp(name, "/store.sqlite") != 0)
        return home_store_name(template(), path, ret, err);
    if (!bytes_to_text((struct bytes){ (const uint8_t *)path, (size_t)(name - path) }, dir,
                       sizeof dir))
        return err_set(err, RC_TOO_LARGE, "%s", path);
    enum rc rc = create ? home_place_store(dir, template(), err) : RC_OK;

    if (rc == RC_OK)
        rc = fs_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    return rc == RC_OK ? home_store_where(fd, dir, ret, err) : rc;
}

enum rc __wrap_store_open(const char *where, bool create, struct store **ret, struct err *err)
{
    char there[HOME_STORE_CAP];

    if (!template() || store_is_remote(where))
        return __real_store_open(where, create, ret, err);
    enum rc rc = map(where, create, there, err);

    return rc == RC_OK ? __real_store_open(there, create, ret, err) : rc;
}

static bool sql_sqlite(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    bool fine = sqlite3_open(path, &db) == SQLITE_OK &&
                sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;

    if (!fine)
        (void)fprintf(stderr, "SQL: %s\n", sqlite3_errmsg(db));
    sqlite3_close(db);
    return fine;
}

/* zeroblob(N) and x'HEX'. */
static void translate(const char *sql, char *out, size_t cap)
{
    FILE *to = fmemopen(out, cap, "w");

    if (!to)
        abort();
    while (*sql) {
        if (strncmp(sql, "zeroblob(", 9) == 0) {
            (void)fprintf(to, "decode(repeat('00', %ld), 'hex')", strtol(sql + 9, NULL, 10));
            sql += strcspn(sql, ")") + 1;
        } else if (strncmp(sql, "x'", 2) == 0) {
            size_t n = strcspn(sql + 2, "'");

            (void)fprintf(to, "decode('%.*s', 'hex')", (int)n, sql + 2);
            sql += n + 3;
        } else {
            (void)fputc(*sql++, to);
        }
    }
    if (fclose(to) != 0)
        abort();
}

static bool sql_pg(const char *path, const char *sql)
{
    char there[HOME_STORE_CAP], text[4096] = "";
    struct err err;
    int status = 0;

    if (map(path, false, there, &err) != RC_OK)
        return false;
    translate(sql, text, sizeof text);
    pid_t pid = fork();

    if (pid == 0) {
        (void)execlp("psql", "psql", "-qtAX", "-v", "ON_ERROR_STOP=1", "-c", text,
                     there + strlen("postgresql:"), (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

bool store_rig_unguard(const char *path)
{
    return store_rig_sql(path, store_rig_is_pg() ? "ALTER TABLE audit DISABLE TRIGGER USER;"
                                                   "ALTER TABLE audit_before DISABLE TRIGGER USER"
                                                 : "DROP TRIGGER IF EXISTS audit_record_no_update;"
                                                   "DROP TRIGGER IF EXISTS audit_record_no_delete;"
                                                   "DROP TRIGGER IF EXISTS audit_no_update;"
                                                   "DROP TRIGGER IF EXISTS audit_no_delete");
}

bool store_rig_sql(const char *path, const char *sql)
{
    return store_rig_is_pg() ? sql_pg(path, sql) : sql_sqlite(path, sql);
}

bool store_rig_number(const char *path, unsigned long long number)
{
    char sql[64];

    (void)snprintf(sql, sizeof sql,
                   store_rig_is_pg() ? "UPDATE berth_schema SET number = %llu"
                                     : "PRAGMA user_version = %llu",
                   number);
    return store_rig_sql(path, sql);
}
