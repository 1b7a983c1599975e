/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_mail: messages of payloads and to them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/name.h"
#include "link/port.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/cmd_mail.h"
#include "orchestrator/mail.h"
#include "orchestrator/path.h"

/* ---- list -------------------------------------------------------------------------------------
 */

struct listing {
    struct cli *cli;
    struct cli_table *table;
    json_t *rows;
    uint64_t now_ms;
};

static bool on_kept(void *arg, const struct mail_kept *kept)
{
    struct listing *l = arg;
    char size[CLI_SIZE_CAP], age[CLI_SIZE_CAP];
    const uint64_t ms = l->now_ms > kept->came_ms ? l->now_ms - kept->came_ms : 0;
    const char *cells[] = { kept->id, cli_size(kept->size, size), cli_age(ms, age) };

    cli_table_row(l->table, cells);
    (void)json_array_append_new(l->rows, json_pack("{s:o, s:o, s:o}", "id", json_safe(kept->id),
                                                   "size", json_uint(kept->size), "came_ms",
                                                   json_uint(kept->came_ms)));
    return true;
}

static const char *state_name(enum outgoing_state state)
{
    return state == OUTGOING_QUEUED     ? "on its way"
           : state == OUTGOING_COMPLETE ? "on board"
                                        : "withdrawn";
}

/* What was sent up, with what became of it. */
static enum rc list_sent(struct listing *l, const struct home *home, struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc = store_outgoing(home->store, NULL, 0, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        char id[2 * NAME_CAP + MAIL_NAME_CAP + NAME_CAP + 4] = "?";
        char size[CLI_SIZE_CAP];
        scoped(close_fd) int fd = -1;
        uint64_t bytes = 0;
        struct mail m;
        struct err ignored;

        if (rows[i].kind != OBJECT_MAIL)
            continue;
        const bool known =
            home_open_object(home, &rows[i].object, &fd, &bytes, &ignored) == RC_OK &&
            mail_head_read(fd, bytes, &m, &ignored) == RC_OK;
        if (known && m.direction == MAIL_COMMAND)
            continue; /* berth command list */
        if (known)
            (void)snprintf(id, sizeof id, "%s/%s@%s/%s", m.tenant, m.payload, rows[i].satellite,
                           m.name);
        const char *cells[] = { id, cli_size(rows[i].size, size), state_name(rows[i].state) };

        cli_table_row(l->table, cells);
        (void)json_array_append_new(l->rows, json_pack("{s:o, s:o, s:s, s:o}", "to", json_safe(id),
                                                       "size", json_uint(rows[i].size), "state",
                                                       state_name(rows[i].state), "object",
                                                       json_digest(&rows[i].object)));
    }
    return rc;
}

static int run_list(struct cli *cli)
{
    static const char *const came[] = { "MESSAGE", "SIZE", "CAME" };
    static const char *const went[] = { "TO", "SIZE", "STATE" };
    scoped(home_close) struct home home = HOME_NONE;
    scoped(cli_table_free) struct cli_table *table = NULL;
    struct listing l = { .cli = cli, .rows = json_array(), .now_ms = clock_unix_ms() };
    const char *tenant = cli_value(cli, "tenant");
    struct err err = { 0 };
    enum rc rc = tenant && !name_valid(tenant) ? err_set(&err, RC_NAME, "%.60s", tenant)
                                               : home_open(cli->home, false, &home, &err);

    l.table = table = cli_table_new(cli_flag(cli, "sent") ? went : came, 3);
    if (rc == RC_OK)
        rc = cli_flag(cli, "sent") ? list_sent(&l, &home, &err)
                                   : mail_list(&home, tenant, on_kept, &l, &err);
    if (rc != RC_OK) {
        json_decref(l.rows);
        return cli_fail(cli, &err, "berth mail list --help");
    }
    cli_table_print(cli, table);
    return cli_json(cli, l.rows);
}

/* ---- get --------------------------------------------------------------------------------------
 */

static int run_get(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(close_fd) int fd = -1;
    scoped(free_ptr) uint8_t *buf = NULL;
    const char *id = cli_arg(cli, 0), *out = cli_arg(cli, 1);
    uint64_t size = 0;
    struct err err = { 0 };
    enum rc rc = home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = mail_open_kept(&home, id, &fd, &size, &err);
    if (rc == RC_OK) {
        buf = malloc(size + 1);
        rc = buf ? fs_pread_exact(fd, buf, size, 0, &err) : err_set(&err, RC_NO_MEMORY, "message");
    }
    if (rc == RC_OK)
        rc = path_write(out, (struct bytes){ buf, size }, 0600, &err);
    if (rc == RC_OK && cli_flag(cli, "remove"))
        rc = mail_remove_kept(&home, id, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "berth mail list");
    cli_say(cli, "%s", out);
    return cli_json(cli, json_pack("{s:o, s:s, s:o}", "id", json_safe(id), "file", out, "size",
                                   json_uint(size)));
}

/* ---- send -------------------------------------------------------------------------------------
 */

static enum rc parse_name(const char *file, const char *name, struct mail *m, struct err *err)
{
    const char *slash = strrchr(file, '/');

    if (!name)
        name = slash ? slash + 1 : file;
    if (!mail_name_ok(name))
        return err_set(err, RC_NAME, "%.60s", name);
    (void)snprintf(m->name, sizeof m->name, "%s", name);
    return RC_OK;
}

static const char *send_fix(enum rc rc)
{
    return rc == RC_MAIL_SEALED
               ? "berth-seal seal DIR FILE FILE.sealed, with the tenant's keys, and "
                 "send FILE.sealed"
           : rc == RC_MAIL_ADDRESS
               ? "berth-seal show FILE: it is sealed for another payload or satellite"
               : "berth mail send TENANT/PAYLOAD@SAT FILE --name NAME";
}

int cmd_mail_queue(struct cli *cli, struct mail *m, const char *satellite, int fd, uint64_t hours,
                   const char *(*fix)(enum rc rc))
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(auditing_done) struct auditing audit = { 0 };
    struct digest object = { 0 };
    struct err err = { 0 };
    enum rc rc = home_open(cli->home, false, &home, &err);

    m->expires_ms = clock_unix_ms() + hours * 3600U * 1000U;
    if (rc == RC_OK)
        rc = auditing_begin(&audit, cli, &home, NULL, &err);
    if (rc == RC_OK)
        rc = mail_queue(&home, satellite, m, fd, &object, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "%s", fix(rc));
    cli_say(cli, "queued %s for %s/%s on %s", m->name, m->tenant, m->payload, satellite);
    return cli_json(cli, json_pack("{s:s, s:s, s:o, s:o}", "satellite", satellite, "name", m->name,
                                   "object", json_digest(&object), "size", json_uint(m->size)));
}

static int run_send(struct cli *cli)
{
    scoped(close_fd) int fd = -1;
    char satellite[NAME_CAP] = "";
    struct mail m = { .size = 0 };
    uint64_t size = 0, hours = 0;
    struct err err = { 0 };
    enum rc rc = mail_parse_to(cli_arg(cli, 0), &m, satellite, &err);

    if (rc == RC_OK)
        rc = parse_name(cli_arg(cli, 1), cli_value(cli, "name"), &m, &err);
    if (rc == RC_OK)
        rc = cli_number(cli, "expires-hours", 24U * 30U, 1, CMD_MAIL_HOURS_MAX, &hours, &err);
    if (rc == RC_OK)
        rc = path_open_file(cli_arg(cli, 1), MAIL_CONTENT_MAX, &fd, &size, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "%s", send_fix(rc));
    m.size = (uint32_t)size;
    return cmd_mail_queue(cli, &m, satellite, fd, hours, send_fix);
}

static const struct cli_option list_options[] = {
    { "tenant", CLI_TEXT, "TENANT", "only of this tenant" },
    { "sent", CLI_FLAG, NULL, "what was sent to payloads, and what became of it" },
    CLI_OPTION_WATCH,
    { 0 },
};
static const struct cli_option get_options[] = {
    { "remove", CLI_FLAG, NULL, "and forget it here" },
    { 0 },
};
static const struct cli_option send_options[] = {
    { "name", CLI_TEXT, "NAME", "name of the file in /inbox (else the file's own)" },
    { "expires-hours", CLI_TEXT, "N", "what is not delivered by then is dropped (default 720)" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_mail[] = {
    { .name = "mail list",
      .group = "Mail",
      .args = "",
      .summary = "Show the messages that payloads have sent",
      .about = "Messages come down by themselves while berth-ground runs.  Their content is the "
               "tenant's: nobody looks into it.",
      .args_max = 0,
      .watch = CLI_WATCH,
      .listing = "id",
      .options = list_options,
      .run = run_list },
    { .name = "mail get",
      .group = "Mail",
      .args = "MESSAGE FILE",
      .summary = "Write the content of a message into a file",
      .args_min = 2,
      .args_max = 2,
      .options = get_options,
      .run = run_get },
    { .name = "mail send",
      .group = "Mail",
      .args = "TENANT/PAYLOAD@SAT FILE",
      .summary = "Send a file to a payload's /inbox",
      .about = "It goes up behind documents and before packages.  It waits on board until the "
               "payload runs, and is never put in the place of another file.  Where the payload's "
               "manifest says that its mail is sealed, only what its tenant sealed with berth-seal "
               "is taken.",
      .args_min = 2,
      .args_max = 2,
      .options = send_options,
      .run = run_send },
    { 0 },
};
