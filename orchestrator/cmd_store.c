/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_store: berth store: whether it is whole, a copy of it while others work, and the
 * way from one database to another.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/store_copy.h"

static int fail(struct cli *cli, const struct err *err)
{
    if (err->rc == RC_EXISTS)
        return cli_fail(cli, err, "name a file that is not there, or an empty database or schema");
    if (err->rc == RC_AUDIT_BROKEN)
        return cli_fail(cli, err, "berth audit verify");
    if (err->rc == RC_NOT_FOUND)
        return cli_fail(cli, err, "berth fleet init NAME, or --home DIR");
    return cli_fail(cli, err, "operator guide, Copies of the store");
}

/* What the database and the log say of themselves. */
static enum rc check(struct store *store, struct audit_walk *ret, struct err *err)
{
    enum rc rc = store_check(store, err);

    return rc == RC_OK ? store_audit_check(store, ret, err) : rc;
}

static int run_check(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    char hex[2 * DIGEST_SIZE + 1];
    struct err err = { 0 };
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = check(home.store, &walk, &err);
    if (rc != RC_OK)
        return fail(cli, &err);
    cli_say(cli, "the store is whole; its log has %llu entries, head %llu %s",
            (unsigned long long)walk.entries, (unsigned long long)walk.seq,
            bytes_hex((struct bytes){ walk.head.b, sizeof walk.head.b }, hex));
    return cli_json(cli, json_pack("{s:b, s:o, s:o, s:o}", "whole", 1, "entries",
                                   json_uint(walk.entries), "seq", json_uint(walk.seq), "head",
                                   json_digest(&walk.head)));
}

/* ---- copies ---- */

/* A copy is whole before it has its name, and nobody else may read it. */
struct target {
    char path[PATH_MAX];
    char part[PATH_MAX + 8];
    bool begun;
};

static enum rc begin_file(const char *name, struct target *t, struct err *err)
{
    if (!bytes_to_text(bytes_of(name), t->path, sizeof t->path))
        return err_set(err, RC_TOO_LARGE, "%s", name);
    (void)snprintf(t->part, sizeof t->part, "%s.part", t->path);
    if (access(t->path, F_OK) == 0)
        return err_set(err, RC_EXISTS, "%s", name);
    int fd = open(t->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_sys(err, RC_IO, "%s.part", name);
    (void)close(fd);
    t->begun = true;
    return RC_OK;
}

static enum rc end_file(struct target *t, struct err *err)
{
    if (renameat2(AT_FDCWD, t->part, AT_FDCWD, t->path, RENAME_NOREPLACE) != 0)
        return err_sys(err, RC_IO, "%.80s", t->path);
    t->begun = false;

    char *slash = strrchr(t->path, '/');
    scoped(close_fd) int dir = -1;

    if (slash)
        slash[1] = '\0';
    dir = open(slash ? t->path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir >= 0 && fsync(dir) == 0 ? RC_OK : err_sys(err, RC_IO, "%.80s", t->path);
}

static void drop_file(struct target *t)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char name[PATH_MAX + 24];

    for (size_t i = 0; t->begun && i < sizeof ends / sizeof ends[0]; i++) {
        int n = snprintf(name, sizeof name, "%s%s", t->part, ends[i]);

        if (n > 0 && (size_t)n < sizeof name)
            (void)unlink(name);
    }
}

/* The copy has to say of itself what the store said. */
static enum rc copy(struct store *from, const char *where, uint64_t *ret_rows,
                    struct audit_walk *ret, struct err *err)
{
    scoped(store_close) struct store *to = NULL;
    enum rc rc = store_open(where, true, &to, err);

    if (rc == RC_OK)
        rc = store_copy(from, to, ret_rows, err);
    return rc == RC_OK ? check(to, ret, err) : rc;
}

static int run_copy(struct cli *cli)
{
    const char *where = cli_arg(cli, 0);
    const bool remote = store_is_remote(where);
    scoped(home_close) struct home home = HOME_NONE;
    scoped(audit_walk_done) struct audit_walk walk = { 0 };
    scoped(drop_file) struct target target = { 0 };
    char hex[2 * DIGEST_SIZE + 1];
    struct err err = { 0 };
    uint64_t rows = 0;
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK && !remote)
        rc = begin_file(where, &target, &err);
    if (rc == RC_OK)
        rc = copy(home.store, remote ? where : target.part, &rows, &walk, &err);
    if (rc == RC_OK && !remote)
        rc = end_file(&target, &err);
    if (rc != RC_OK)
        return fail(cli, &err);
    cli_say(cli, "%llu rows copied; the copy is whole; its log has %llu entries, head %llu %s",
            (unsigned long long)rows, (unsigned long long)walk.entries,
            (unsigned long long)walk.seq,
            bytes_hex((struct bytes){ walk.head.b, sizeof walk.head.b }, hex));
    return cli_json(cli, json_pack("{s:o, s:o, s:o, s:o}", "rows", json_uint(rows), "entries",
                                   json_uint(walk.entries), "seq", json_uint(walk.seq), "head",
                                   json_digest(&walk.head)));
}

const struct cli_command cmd_store[] = {
    { .name = "store check",
      .group = "Fleet",
      .args = "",
      .summary = "Whether the store is whole: the database, its tables, and the audit log",
      .run = run_check },
    { .name = "store backup",
      .group = "Fleet",
      .args = "FILE",
      .summary = "Copy the store into a file, while others work on it",
      .about =
          "Of one moment, from SQLite or PostgreSQL, and checked.  objects/, keys/ and sats/ of "
          "the home are\nnot in it.",
      .args_min = 1,
      .args_max = 1,
      .run = run_copy },
    { .name = "store copy",
      .group = "Fleet",
      .args = "WHERE",
      .summary = "Copy the store into another database: postgresql:... or a file",
      .about = "It has to be empty.  To move a fleet there, stop berth-ground and berth-api, copy, "
               "and write WHERE into\nthe file \"store\" of the home.",
      .args_min = 1,
      .args_max = 1,
      .run = run_copy },
    { 0 },
};
