/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_init_fleet: a fleet file to begin with, every section of it explained.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/name.h"
#include "orchestrator/cmd.h"
#include "orchestrator/embed.h"
#include "orchestrator/fleet.h"
#include "orchestrator/home.h"
#include "orchestrator/path.h"

EMBED(fleet_template, "orchestrator/template/fleet.yaml");

/* What the template is filled with. */
struct filling {
    char fleet[NAME_CAP];
    char first[NAME_CAP]; /* satellite */
    char *satellites;     /* lines */
};

/* One line of the list for each satellite of the home; two to be renamed without any. */
static enum rc list_satellites(struct store *store, struct filling *f, struct err *err)
{
    static const struct store_satellite none[] = { { .id = "sat-1" }, { .id = "sat-2" } };
    scoped(free_ptr) struct store_satellite *rows = NULL;
    const struct store_satellite *row = none;
    char *text = NULL;
    size_t n = 0, size = 0;
    enum rc rc = store ? store_satellites(store, &rows, &n, err) : RC_OK;

    if (rc != RC_OK)
        return rc;
    row = n > 0 ? rows : none;
    n = n > 0 ? n : sizeof none / sizeof none[0];
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return err_set(err, RC_NO_MEMORY, "satellites");
    for (size_t i = 0; i < n; i++)
        (void)fprintf(out, "  - {id: %s}\n", row[i].id);
    if (fclose(out) != 0) {
        free(text);
        return err_set(err, RC_NO_MEMORY, "satellites");
    }
    memcpy(f->first, row[0].id, sizeof f->first);
    f->satellites = text;
    return RC_OK;
}

/* Names from the home, if there is one yet. */
static enum rc fill(struct cli *cli, struct filling *f, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    const bool there = home_open(cli->home, false, &home, NULL) == RC_OK;

    if (!there || store_get(home.store, "fleet", f->fleet, sizeof f->fleet, NULL) != RC_OK ||
        !name_valid(f->fleet))
        (void)snprintf(f->fleet, sizeof f->fleet, "my-fleet");
    return list_satellites(there ? home.store : NULL, f, err);
}

static void put(FILE *out, struct bytes template, const struct filling *f)
{
    const struct {
        const char *mark, *text;
    } marks[] = { { "@FLEET@", f->fleet },
                  { "@FIRST@", f->first },
                  { "@SATELLITES@\n", f->satellites } };

    for (size_t at = 0; at < template.n;) {
        size_t skip = 0;

        for (size_t i = 0; skip == 0 && i < sizeof marks / sizeof marks[0]; i++) {
            const size_t n = strlen(marks[i].mark);

            if (n <= template.n - at && memcmp(template.p + at, marks[i].mark, n) == 0) {
                (void)fputs(marks[i].text, out);
                skip = n;
            }
        }
        if (skip == 0)
            (void)fputc(template.p[at], out);
        at += skip ? skip : 1;
    }
}

/* A file that is there is nobody's to overwrite. */
static enum rc write_new(const char *path, struct bytes text, struct err *err)
{
    scoped(close_fd) int dirfd = -1;
    char name[PATH_NAME_CAP];
    enum rc rc = path_open_parent(path, &dirfd, name, err);

    if (rc == RC_OK && faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        rc = err_set(err, RC_EXISTS, "%s", path);
    return rc == RC_OK ? path_write(path, text, 0644, err) : rc;
}

static int run(struct cli *cli)
{
    const char *path = cli_arg(cli, 0) ? cli_arg(cli, 0) : "fleet.yaml";
    struct filling f = { 0 };
    scoped(free_ptr) char *text = NULL;
    size_t n = 0;
    struct err err = { 0 };
    enum rc rc = fill(cli, &f, &err);
    FILE *out = rc == RC_OK ? open_memstream(&text, &n) : NULL;

    if (rc == RC_OK && !out)
        rc = err_set(&err, RC_NO_MEMORY, "fleet");
    if (out) {
        put(out, EMBEDDED(fleet_template), &f);
        if (fclose(out) != 0)
            rc = err_set(&err, RC_NO_MEMORY, "fleet");
    }
    free(f.satellites);
    if (rc == RC_OK)
        rc = write_new(path, (struct bytes){ .p = (const uint8_t *)text, .n = n }, &err);
    if (rc == RC_EXISTS)
        return cli_fail(cli, &err, "berth init fleet OTHER.yaml");
    if (rc != RC_OK)
        return cli_fail(cli, &err, CLI_FIX_PATH);
    cli_say(cli, "%s is ready: fill it in, then berth plan %s", path, path);
    return cli_json(cli, json_pack("{s:s, s:s}", "file", path, "fleet", f.fleet));
}

const struct cli_command cmd_init_fleet[] = {
    { .name = "init fleet",
      .group = "Operate",
      .args = "[FILE.yaml]",
      .summary = "Begin a fleet file: every section of it, explained",
      .about =
          "Writes fleet.yaml, or FILE, with the satellites of the home.  It plans as it is; every\n"
          "example in it is good once its sign is taken off.",
      .args_max = 1,
      .run = run },
    { 0 },
};
