/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_command: commands to payloads, and what became of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/name.h"
#include "link/port.h"
#include "orchestrator/auditing.h"
#include "orchestrator/cmd.h"
#include "orchestrator/cmd_mail.h"
#include "orchestrator/command.h"
#include "orchestrator/mail.h"
#include "orchestrator/path.h"

/* ---- list -------------------------------------------------------------------------------------
 */

#define RESULT_CAP (MAIL_TEXT_CAP + 32U)

struct fate {
    const char *state;
    char result[RESULT_CAP]; /* "" = none */
    bool answered;
    struct mail_answer answer;
};

/* What its satellite says of it, or else what is known without that. */
static enum rc find_fate(const struct home *home, const struct store_outgoing *row,
                         const struct mail *m, struct fate *ret, struct err *err)
{
    static const char *const states[] = { [MAIL_READ] = "delivered",
                                          [MAIL_DONE] = "done",
                                          [MAIL_LATE] = "expired",
                                          [MAIL_REFUSED] = "refused" };
    const struct mail_answer *a = &ret->answer;
    const bool late = m->expires_ms != 0 && m->expires_ms <= clock_unix_ms();
    enum rc rc = command_answer(home, row->satellite, &row->object, &ret->answer, err);

    *ret->result = '\0';
    ret->answered = rc == RC_OK;
    if (rc == RC_OK) {
        ret->state = states[a->outcome];
        if (a->outcome == MAIL_DONE)
            (void)snprintf(ret->result, sizeof ret->result, "%u%s%s", a->code,
                           a->text[0] != '\0' ? " " : "", a->text);
        if (a->outcome == MAIL_REFUSED)
            (void)snprintf(ret->result, sizeof ret->result, "%s %u",
                           rc_name(rc_from_number(a->code)), a->code);
    } else if (row->state == OUTGOING_COMPLETE) {
        ret->state = late ? "no answer" : "waiting";
    } else {
        ret->state =
            row->state == OUTGOING_QUEUED ? (late ? "expired" : "on its way") : "withdrawn";
    }
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

/* What is listed, and whom it is asked for; NULL = all. */
struct listing {
    struct cli_table *table;
    json_t *rows;
    const char *tenant, *state;
};

static enum rc list_one(const struct listing *l, const struct home *home,
                        const struct store_outgoing *row, const struct mail *m, struct err *err)
{
    char id[3 * NAME_CAP + MAIL_NAME_CAP + 4], age[CLI_SIZE_CAP];
    const uint64_t now = clock_unix_ms();
    struct fate fate;
    enum rc rc = find_fate(home, row, m, &fate, err);

    if (rc != RC_OK || (l->state && strcmp(l->state, fate.state) != 0))
        return rc;
    (void)snprintf(id, sizeof id, "%s/%s@%s/%s", m->tenant, m->payload, row->satellite, m->name);
    const char *cells[] = { id, cli_age(now > m->time_ms ? now - m->time_ms : 0, age), fate.state,
                            fate.result[0] != '\0' ? fate.result : NULL };
    const bool done = fate.answered && fate.answer.outcome == MAIL_DONE;

    cli_table_row(l->table, cells);
    (void)json_array_append_new(
        l->rows, json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o}", "to", json_safe(id), "sent_ms",
                           json_uint(m->time_ms), "expires_ms", json_uint(m->expires_ms), "state",
                           fate.state, "code",
                           fate.result[0] != '\0' ? json_uint(fate.answer.code) : json_null(),
                           "text", done ? json_safe(fate.answer.text) : json_null(), "object",
                           json_digest(&row->object)));
    return RC_OK;
}

static enum rc list_all(const struct listing *l, const struct home *home, struct err *err)
{
    scoped(free_ptr) struct store_outgoing *row = NULL;
    size_t n = 0;
    enum rc rc = store_outgoing(home->store, NULL, 0, &row, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        scoped(close_fd) int fd = -1;
        uint64_t size = 0;
        struct mail m;
        struct err ignored;

        if (row[i].kind == OBJECT_MAIL &&
            home_open_object(home, &row[i].object, &fd, &size, &ignored) == RC_OK &&
            mail_head_read(fd, size, &m, &ignored) == RC_OK && m.direction == MAIL_COMMAND &&
            (!l->tenant || strcmp(m.tenant, l->tenant) == 0))
            rc = list_one(l, home, &row[i], &m, err);
    }
    return rc;
}

static int run_list(struct cli *cli)
{
    static const char *const headings[] = { "COMMAND", "SENT", "STATE", "RESULT" };
    scoped(home_close) struct home home = HOME_NONE;
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 4);
    const struct listing l = { .table = table,
                               .rows = json_array(),
                               .tenant = cli_value(cli, "tenant"),
                               .state = cli_value(cli, "state") };
    struct err err = { 0 };
    enum rc rc = l.tenant && !name_valid(l.tenant) ? err_set(&err, RC_NAME, "%.60s", l.tenant)
                                                   : home_open(cli->home, false, &home, &err);

    if (rc == RC_OK)
        rc = list_all(&l, &home, &err);
    if (rc != RC_OK) {
        json_decref(l.rows);
        return cli_fail(cli, &err, "berth command list --help");
    }
    const bool none = json_array_size(l.rows) == 0;

    cli_table_print(cli, table);
    const int exit = cli_json(cli, l.rows);

    return exit == 0 && l.state && none ? 1 : exit;
}

/* ---- send -------------------------------------------------------------------------------------
 */

/* The bytes of a command: of a file, or a text. */
static enum rc open_content(const struct cli *cli, int *ret_fd, uint64_t *ret_size, struct err *err)
{
    const char *file = cli_value(cli, "file"), *text = cli_arg(cli, 1);

    if (file && text)
        return err_set(err, RC_USAGE, "a text or a file, not both");
    if (file)
        return path_open_file(file, MAIL_COMMAND_MAX, ret_fd, ret_size, err);
    if (!text && !cli_value(cli, "name"))
        return err_set(err, RC_USAGE, "a text, a file, or a name that says it all");
    *ret_size = text ? strlen(text) : 0;
    return fs_sealed("command", bytes_of(text ? text : ""), ret_fd, err);
}

static const char *send_fix(enum rc rc)
{
    return rc == RC_MAIL_SEALED ? "berth-seal seal DIR FILE FILE.sealed, with the tenant's keys, "
                                  "and send --file FILE.sealed"
           : rc == RC_MAIL_ADDRESS ? "berth-seal show FILE: it is sealed for another payload or "
                                     "satellite"
           : rc == RC_BUS_TOO_LARGE || rc == RC_TOO_LARGE
               ? "berth mail send: a file for /inbox may be larger"
               : "berth command send TENANT/PAYLOAD@SAT TEXT --name NAME";
}

static int run_send(struct cli *cli)
{
    scoped(close_fd) int fd = -1;
    char satellite[NAME_CAP] = "";
    const char *name = cli_value(cli, "name") ? cli_value(cli, "name") : "command";
    struct mail m = { .direction = MAIL_COMMAND };
    uint64_t size = 0, hours = 0;
    struct err err = { 0 };
    enum rc rc = mail_parse_to(cli_arg(cli, 0), &m, satellite, &err);

    if (rc == RC_OK && !name_valid(name))
        rc = err_set(&err, RC_NAME, "%.60s", name);
    if (rc == RC_OK)
        rc = cli_number(cli, "expires-hours", 24, 1, CMD_MAIL_HOURS_MAX, &hours, &err);
    if (rc == RC_OK)
        rc = open_content(cli, &fd, &size, &err);
    if (rc != RC_OK)
        return cli_fail(cli, &err, "%s", send_fix(rc));
    (void)snprintf(m.name, sizeof m.name, "%s", name);
    m.size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
    return cmd_mail_queue(cli, &m, satellite, fd, hours, send_fix);
}

static const struct cli_option list_options[] = {
    { "tenant", CLI_TEXT, "TENANT", "only of this tenant" },
    { "state", CLI_TEXT, "STATE", "only in this state; exit code 1 if there is none" },
    CLI_OPTION_WATCH,
    { 0 },
};
static const struct cli_option send_options[] = {
    { "file", CLI_TEXT, "FILE", "the bytes of this file, 2,048 at most, in place of a text" },
    { "name", CLI_TEXT, "NAME", "what the payload reads as Berth-Name (default command)" },
    { "expires-hours", CLI_TEXT, "N", "what is not dealt with by then is taken back (default 24)" },
    AUDITING_OPTIONS,
    CLI_OPTION_PASSPHRASE,
    { 0 },
};

const struct cli_command cmd_command[] = {
    { .name = "command list",
      .group = "Mail",
      .args = "",
      .summary = "Show the commands that were sent to payloads, and how they went",
      .about = "On its way: not on board yet.  Waiting: on board, and not read by its payload. "
               "Delivered: read.  Done: the payload has dealt with it; its code and words follow. "
               "Expired: it did not in time.  Refused: by the agent; its code follows.",
      .args_max = 0,
      .watch = CLI_WATCH,
      .listing = "object",
      .options = list_options,
      .run = run_list },
    { .name = "command send",
      .group = "Mail",
      .args = "TENANT/PAYLOAD@SAT [TEXT]",
      .summary = "Send a command to a payload's bus",
      .about =
          "The payload reads it with GET /v1/commands and answers it.  It counts as mail to "
          "its inbox, and waits on board until the payload runs.  After a power cut a payload "
          "may be given one again that it had not answered.  Where the payload's manifest says "
          "that its mail is sealed, only what its tenant sealed with berth-seal is taken.",
      .args_min = 1,
      .args_max = 2,
      .options = send_options,
      .run = run_send },
    { 0 },
};
