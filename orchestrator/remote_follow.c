/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/remote_follow.h"

#include <poll.h>
#include <stdlib.h>

#include "base/clock.h"
#include "orchestrator/event_rows.h"
#include "orchestrator/fetch.h"
#include "orchestrator/remote.h"
#include "orchestrator/sse.h"

#define AGAIN_FIRST_MS 1000
#define AGAIN_LAST_MS 30000

struct following {
    struct cli *cli;
    char last[SSE_WORD_CAP]; /* id of the last message that was printed, "" = none */
    bool came;               /* a message, of this connection */
    bool over;               /* nobody reads, or what came makes no sense */
};

enum rc remote_follow_parse(struct bytes data, struct store_event **ret, size_t *ret_n,
                            struct err *err)
{
    json_t *root = json_loadb((const char *)data.p, data.n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(root, "events");
    const size_t n = json_array_size(list);
    scoped(free_ptr) struct store_event *events = calloc(n + 1, sizeof *events);
    enum rc rc = events ? RC_OK : err_set(err, RC_NO_MEMORY, "events");

    if (rc == RC_OK && (!json_is_array(list) || n > EVENT_ROWS_MAX))
        rc = err_set(err, RC_API_SERVER, "not what satellites tell");
    for (size_t i = 0; rc == RC_OK && i < n; i++)
        if (event_row_read(json_array_get(list, i), &events[i], err) != RC_OK)
            rc = err_set(err, RC_API_SERVER, "not what a satellite tells");
    json_decref(root);
    if (rc != RC_OK)
        return rc;
    *ret = events;
    *ret_n = n;
    events = NULL;
    return RC_OK;
}

static bool is_id(const char *text)
{
    const size_t n = strspn(text, "0123456789");

    return n > 0 && n <= 18 && text[n] == '\0';
}

static enum rc on_message(void *arg, const struct sse_message *m, struct err *err)
{
    scoped(free_ptr) struct store_event *events = NULL;
    struct following *f = arg;
    size_t n = 0;

    if (strcmp(m->event, "told") != 0)
        return RC_OK;
    enum rc rc = is_id(m->id) ? remote_follow_parse(m->data, &events, &n, err)
                              : err_set(err, RC_API_SERVER, "an event without its number");

    if (rc == RC_OK) {
        event_rows_print(f->cli, events, n, NULL);
        memcpy(f->last, m->id, strlen(m->id) + 1);
        f->came = true;
    }
    if (rc == RC_OK && fflush(f->cli->out) != 0)
        rc = err_sys(err, RC_IO, "output");
    f->over = rc != RC_OK;
    return rc;
}

static int fail(struct cli *cli, const struct err *err, const char *fix)
{
    return fix[0] != '\0' ? cli_fail(cli, err, "%s", fix)
                          : cli_fail(cli, err,
                                     "berth context show %s: is berth-api there, with this "
                                     "certificate and token?",
                                     cli->context->name);
}

/* One connection, to its end.  RC_OK: it was one; RC_API_AUTH and what the server refuses are worth
 * no other try, but for what it cannot do just now. */
static enum rc connect_once(struct following *f, const char *path, char fix[REMOTE_FIX_CAP],
                            struct err *err)
{
    const struct fetch fetch = { .path = path };
    scoped(fetched_done) struct fetched got = { 0 };
    scoped(remote_answer_done) struct remote_answer none = { 0 };
    bool opened = false;
    enum rc rc = fetch_stream(f->cli->context, &fetch, f->last[0] != '\0' ? f->last : NULL,
                              on_message, f, &opened, &got, err);

    fix[0] = '\0';
    if (opened && !f->over)
        return RC_OK;
    return rc == RC_OK ? remote_answer_parse(got.status, got.body, &none, fix, err) : rc;
}

static bool may_pass(enum rc rc)
{
    return rc == RC_OK || rc == RC_API_SERVER || rc == RC_TIMEOUT || rc == RC_API_LIMIT;
}

int remote_follow(struct cli *cli)
{
    struct following f = { .cli = cli };
    struct remote_request request;
    char fix[REMOTE_FIX_CAP] = "";
    struct err err = { 0 };
    uint64_t last = 0;
    int wait_ms = AGAIN_FIRST_MS;
    bool ever = false, said = false;

    if (cli_number(cli, "last", EVENT_ROWS_DEFAULT, 1, EVENT_ROWS_MAX, &last, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (remote_make(cli, 0, &request, &err) != RC_OK)
        return cli_fail(cli, &err, "berth %s --help, on the ground itself", cli->command->name);
    for (;;) {
        const uint64_t began = clock_mono_ms();

        f.came = false;
        enum rc rc = connect_once(&f, request.path, fix, &err);

        if (f.over)
            return rc == RC_IO ? CLI_OK : fail(cli, &err, fix); /* nobody reads: as berth itself */
        ever = ever || rc == RC_OK;
        if (!ever || !may_pass(rc))
            return fail(cli, &err, fix);
        /* A quiet connection that held for long was a good one, too. */
        if (f.came || (rc == RC_OK && clock_mono_ms() - began >= AGAIN_LAST_MS)) {
            wait_ms = AGAIN_FIRST_MS;
            said = false;
        }
        if (!said)
            cli_note(cli, "note: the ground no longer answers; asked again until it does");
        said = true;
        (void)poll(NULL, 0, wait_ms);
        wait_ms = 2 * wait_ms < AGAIN_LAST_MS ? 2 * wait_ms : AGAIN_LAST_MS;
    }
}
