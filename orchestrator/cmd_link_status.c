/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_link_status: the link of each satellite as the ground sees it now: what waits
 * for the carrier, what is on its way, which keys there are, and what the satellite says that the
 * last contact cost and brought.  Looks only; whoever works the links is not disturbed.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "link/port.h"
#include "link/state.h"
#include "orchestrator/cmd_link.h"
#include "orchestrator/describe.h"
#include "orchestrator/home.h"
#include "orchestrator/screen.h"
#include "orchestrator/view.h"

#define FILES_MAX 100000U /* of one directory; more are not counted */
#define EVENTS_MAX 256U
#define LINK_CODE_FIRST 140U /* base/rc.def: the link's own codes */
#define LINK_CODE_LAST 199U

/* What lies in a directory of the carrier. */
struct waiting {
    enum rc rc; /* why it cannot be looked at */
    uint32_t files;
    uint64_t bytes;
    uint64_t oldest_ms; /* age by the file's own time, 0 = none */
    bool more;          /* files beyond FILES_MAX */
};

struct counting {
    int dirfd;
    uint64_t now_ms;
    struct waiting *ret;
};

/* What begins with '.' is somebody's temporary file. */
static bool count_file(void *arg, const char *name)
{
    const struct counting *c = arg;
    struct stat st;

    if (name[0] == '.' || fstatat(c->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode))
        return true;
    const uint64_t made_ms = st.st_mtim.tv_sec < 0 ? 0 : (uint64_t)st.st_mtim.tv_sec * 1000U;
    const uint64_t age_ms = made_ms < c->now_ms ? c->now_ms - made_ms : 0;

    c->ret->files++;
    c->ret->bytes += (uint64_t)st.st_size;
    if (age_ms > c->ret->oldest_ms)
        c->ret->oldest_ms = age_ms;
    return true;
}

static struct waiting look_into(const struct home *home, const char *path, uint64_t now_ms)
{
    scoped(close_fd) int fd = -1;
    struct waiting ret = { 0 };
    struct counting c = { .now_ms = now_ms, .ret = &ret };
    struct err err;

    ret.rc = home_open_dir(home, path, &fd, &err);
    c.dirfd = fd;
    if (ret.rc == RC_OK)
        ret.rc = fs_list(fd, ".", FILES_MAX, count_file, &c, &ret.more, &err);
    return ret;
}

static json_t *waiting_json(const struct waiting *w, const char *path)
{
    return json_pack("{s:o, s:s, s:i, s:o, s:o}", "dir", json_safe(path), "code", rc_name(w->rc),
                     "files", (int)w->files, "bytes", json_uint(w->bytes), "oldest_s",
                     json_uint(w->oldest_ms / 1000));
}

/* ---- one satellite ----------------------------------------------------------------------------
 */

struct look {
    const struct home *home;
    const struct view_satellite *sat;
    struct report *report; /* NULL: it has not reported */
    uint64_t now_ms;
    struct waiting up, down;
    enum rc keys_rc;
    uint32_t n_held;
    struct link_held held[2 * LINK_KEYRING_MAX];
    size_t n_rows;
    struct store_outgoing *rows;
    size_t n_events;
    struct store_event *events;
};

static void look_done(struct look **look)
{
    if (*look) {
        free((*look)->report);
        free((*look)->rows);
        free((*look)->events);
    }
    free(*look);
}

static enum rc look_at(struct look *l, struct err *err)
{
    scoped(close_fd) int keys = -1;
    const struct view_row *row = &l->sat->row;
    struct err why;
    enum rc rc = view_report(l->home->store, l->sat, &l->report, err);

    if (rc != RC_OK)
        return rc;

    l->up = look_into(l->home, row->up, l->now_ms);
    l->down = look_into(l->home, row->down, l->now_ms);
    l->keys_rc = home_open_dir(l->home, row->link_keys, &keys, &why);
    if (l->keys_rc == RC_OK)
        l->keys_rc = link_state_look(keys, l->held, &l->n_held, &why);
    rc = store_outgoing(l->home->store, row->id, OUTGOING_QUEUED, &l->rows, &l->n_rows, err);
    if (rc == RC_OK)
        rc = store_events(l->home->store, row->id, EVENTS_MAX, &l->events, &l->n_events, err);
    return rc;
}

/* How much of an object has come, by the newest report; NULL = nothing is said of it. */
static const struct report_transfer *transfer_of(const struct look *l, const struct digest *object)
{
    const struct report *seen = l->report;

    for (uint32_t i = 0; seen && i < seen->n_transfers; i++)
        if (digest_same(&seen->transfer[i].object, object))
            return &seen->transfer[i];
    return NULL;
}

/* Chunks that are not there yet; those behind the last range that was told are not known. */
static uint64_t missing_of(const struct report_transfer *t)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < t->n_missing; i++)
        n += t->missing[i].count;
    return n;
}

static json_t *queue_json(const struct look *l)
{
    json_t *list = json_array();

    for (size_t i = 0; i < l->n_rows; i++) {
        const struct store_outgoing *row = &l->rows[i];
        const struct report_transfer *t = transfer_of(l, &row->object);
        const uint64_t age = l->now_ms > row->queued_ms ? l->now_ms - row->queued_ms : 0;

        (void)json_array_append_new(
            list, json_pack("{s:o, s:s, s:o, s:o, s:o, s:o, s:b}", "object",
                            json_digest(&row->object), "kind", object_kind_name(row->kind), "bytes",
                            json_uint(row->size), "queued_s", json_uint(age / 1000), "chunks",
                            t ? json_uint(t->chunks) : json_null(), "missing",
                            t ? json_uint(missing_of(t)) : json_null(), "more", t && t->more));
    }
    return list;
}

static json_t *keys_json(const struct look *l)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < l->n_held; i++) {
        const struct link_held *k = &l->held[i];

        (void)json_array_append_new(
            list, json_pack("{s:o, s:o, s:b, s:b}", "tenant", json_safe(k->tenant), "epoch",
                            json_uint(k->epoch), "sending", k->sending, "offered", k->offered));
    }
    return list;
}

static bool is_of_link(const struct store_event *event)
{
    return event->code >= LINK_CODE_FIRST && event->code <= LINK_CODE_LAST;
}

/* How often which refusal was told of, over the events that are kept. */
static json_t *refused_json(const struct look *l)
{
    json_t *all = json_object();

    for (size_t i = 0; i < l->n_events; i++) {
        const char *name = rc_name(rc_from_number(l->events[i].code));
        const json_t *before = json_object_get(all, name);

        if (is_of_link(&l->events[i]))
            (void)json_object_set_new(
                all, name,
                json_integer(json_integer_value(before) + (json_int_t)l->events[i].count));
    }
    return all;
}

static json_t *satellite_json(const struct look *l)
{
    const struct view_satellite *sat = l->sat;

    return json_pack(
        "{s:s, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "id", sat->row.id, "report_age_ms",
        sat->seen ? json_uint(view_age_ms(sat, l->now_ms)) : json_null(), "uplink",
        waiting_json(&l->up, sat->row.up), "downlink", waiting_json(&l->down, sat->row.down),
        "keys_code", rc_name(l->keys_rc), "keys", keys_json(l), "queue", queue_json(l), "refused",
        refused_json(l), "traffic", l->report ? describe_traffic(&l->report->traffic) : json_null(),
        "spool", l->report ? describe_spool(l->report) : json_null());
}

/* ---- for people -------------------------------------------------------------------------------
 */

#define CELL_CAP 48U

/* "12 files, 1.4 MiB", or why that cannot be told. */
static const char *waiting_text(const struct waiting *w, char out[CELL_CAP])
{
    char size[CLI_SIZE_CAP];

    if (w->rc != RC_OK)
        (void)snprintf(out, CELL_CAP, "%s", rc_name(w->rc));
    else if (w->files == 0)
        (void)snprintf(out, CELL_CAP, "-");
    else
        (void)snprintf(out, CELL_CAP, "%u%s, %s", w->files, w->more ? "+" : "",
                       cli_size(w->bytes, size));
    return out;
}

/* The epoch that is sent under, and the one that comes: "1", "1, 2 offered". */
static const char *keys_text(const struct look *l, char out[CELL_CAP])
{
    size_t n = 0;

    if (l->keys_rc != RC_OK) {
        (void)snprintf(out, CELL_CAP, "%s", rc_name(l->keys_rc));
        return out;
    }
    out[0] = '\0';
    for (uint32_t i = 0; i < l->n_held && n < CELL_CAP / 2; i++)
        if (l->held[i].tenant[0] == '\0')
            n += (size_t)snprintf(out + n, CELL_CAP - n, "%s%u%s", n > 0 ? ", " : "",
                                  l->held[i].epoch,
                                  l->held[i].offered   ? " offered"
                                  : l->held[i].sending ? ""
                                                       : " next");
    return out;
}

static void table_row(struct cli_table *table, const struct look *l)
{
    const struct report *seen = l->report;
    char up[CELL_CAP], down[CELL_CAP], keys[CELL_CAP], queue[CELL_CAP], size[CLI_SIZE_CAP];
    char age[CLI_SIZE_CAP] = "never", useful[CELL_CAP] = "-", contacts[CELL_CAP] = "-";
    uint64_t bytes = 0;

    for (size_t i = 0; i < l->n_rows; i++)
        bytes += l->rows[i].size;
    (void)snprintf(queue, sizeof queue, "%zu, %s", l->n_rows, cli_size(bytes, size));
    if (seen)
        (void)cli_age(view_age_ms(l->sat, l->now_ms), age);
    if (seen && seen->traffic.contact.in > 0)
        (void)snprintf(
            useful, sizeof useful, "%llu %%",
            (unsigned long long)(seen->traffic.contact.useful * 100U / seen->traffic.contact.in));
    if (seen)
        (void)snprintf(contacts, sizeof contacts, "%llu",
                       (unsigned long long)seen->traffic.contacts);
    cli_table_row(table,
                  (const char *const[]){ l->sat->row.id, waiting_text(&l->up, up),
                                         waiting_text(&l->down, down), l->n_rows > 0 ? queue : NULL,
                                         age, contacts, useful, keys_text(l, keys) });
}

static void print_bytes(struct cli *cli, const char *of, const struct report_bytes *b)
{
    char in[CLI_SIZE_CAP], useful[CLI_SIZE_CAP], repeated[CLI_SIZE_CAP], out[CLI_SIZE_CAP];
    char refused[CLI_SIZE_CAP];
    const uint64_t known = b->useful + b->repeated;

    if (b->in > 0 || b->out > 0)
        cli_say(cli, "  %s: %s up (%s useful, %s repeated, %s refused), %s down", of,
                cli_size(b->in, in), cli_size(b->useful, useful), cli_size(b->repeated, repeated),
                cli_size(b->in > known ? b->in - known : 0, refused), cli_size(b->out, out));
}

static void print_queue(struct cli *cli, const struct look *l)
{
    for (size_t i = 0; i < l->n_rows; i++) {
        const struct store_outgoing *row = &l->rows[i];
        const struct report_transfer *t = transfer_of(l, &row->object);
        char size[CLI_SIZE_CAP], age[CLI_SIZE_CAP], hex[2 * DIGEST_SIZE + 1], how[64] = "";

        if (t && t->chunks > 0)
            (void)snprintf(how, sizeof how, ", %llu of %u chunks missing%s",
                           (unsigned long long)missing_of(t), t->chunks, t->more ? " or more" : "");
        (void)bytes_hex((struct bytes){ row->object.b, DIGEST_SIZE }, hex);
        cli_say(cli, "  queued: %s %.12s, %s, for %s%s", object_kind_name(row->kind), hex,
                cli_size(row->size, size),
                cli_age(l->now_ms > row->queued_ms ? l->now_ms - row->queued_ms : 0, age), how);
    }
}

/* Tenants that found no room in the spool on board. */
static void print_spool(struct cli *cli, const struct report *seen)
{
    for (uint32_t i = 0; i < seen->n_spool; i++) {
        const struct report_spool *s = &seen->spool[i];
        char size[CLI_SIZE_CAP];

        cli_say(cli,
                "  spool of %s: %u objects, %s; refused %u for want of room and %u for the disk, "
                "dropped %u that stood still and %u for another tenant",
                s->tenant[0] != '\0' ? s->tenant : "nobody", s->objects,
                cli_size((uint64_t)s->kib * 1024, size), s->count[SPOOL_REFUSED_ROOM],
                s->count[SPOOL_REFUSED_DISK], s->count[SPOOL_DROPPED_OLD],
                s->count[SPOOL_DROPPED_ROOM]);
    }
}

/* What one satellite's row leaves out. */
static void print_more(struct cli *cli, const struct look *l)
{
    char age[CLI_SIZE_CAP], what[sizeof l->events->what];

    if (l->up.files > 0)
        cli_say(cli, "  the oldest file in the uplink waits for %s: is the carrier at work?",
                cli_age(l->up.oldest_ms, age));
    if (l->report) {
        print_bytes(cli, "last contact", &l->report->traffic.contact);
        print_bytes(cli, "since its start", &l->report->traffic.all);
        print_spool(cli, l->report);
    }
    print_queue(cli, l);
    for (size_t i = 0; i < l->n_events; i++)
        if (is_of_link(&l->events[i]))
            cli_say(cli, "  refused on board: %s, %u times, %s",
                    rc_name(rc_from_number(l->events[i].code)), l->events[i].count,
                    screen_safe(l->events[i].what, what, sizeof what));
}

/* ---- the command ------------------------------------------------------------------------------
 */

struct status {
    struct cli *cli;
    struct home home;
    struct view *view;
    struct cli_table *table;
    json_t *rows;
    uint64_t now_ms;
};

static enum rc add(struct status *s, const struct view_satellite *sat, bool more, struct err *err)
{
    scoped(look_done) struct look *l = calloc(1, sizeof *l);

    if (!l)
        return err_set(err, RC_NO_MEMORY, "link of %s", sat->row.id);
    l->home = &s->home;
    l->sat = sat;
    l->now_ms = s->now_ms;
    enum rc rc = look_at(l, err);

    if (rc == RC_OK && more)
        print_more(s->cli, l);
    else if (rc == RC_OK) {
        table_row(s->table, l);
        (void)json_array_append_new(s->rows, satellite_json(l));
    }
    return rc;
}

/* Those that were named, or all. */
static enum rc add_all(struct status *s, bool more, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && !cli_arg(s->cli, 0) && i < s->view->n; i++)
        rc = add(s, &s->view->satellite[i], more, err);
    for (size_t i = 0; rc == RC_OK && cli_arg(s->cli, i); i++) {
        const struct view_satellite *sat = view_find(s->view, cli_arg(s->cli, i));

        rc = sat ? add(s, sat, more, err) : err_set(err, RC_NO_SATELLITE, "%s", cli_arg(s->cli, i));
    }
    return rc;
}

static void status_done(struct status *s)
{
    json_decref(s->rows);
    cli_table_free(&s->table);
    view_free(&s->view);
    home_close(&s->home);
}

int cmd_link_status(struct cli *cli)
{
    static const char *const headings[] = { "SATELLITE", "UP WAITING", "DOWN WAITING", "QUEUED",
                                            "REPORT",    "CONTACTS",   "USEFUL",       "KEYS" };
    scoped(status_done) struct status s = {
        .cli = cli,
        .home = HOME_NONE,
        .now_ms = clock_unix_ms(),
        .table = cli_table_new(headings, sizeof headings / sizeof headings[0]),
        .rows = json_array(),
    };
    struct err err;

    if (home_open(cli->home, false, &s.home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    enum rc rc = view_load(s.home.store, &s.view, &err);

    if (rc == RC_OK)
        rc = add_all(&s, false, &err);
    if (rc == RC_NO_SATELLITE)
        return cli_fail(cli, &err, "berth link status lists them");
    if (rc != RC_OK)
        return cli_fail(cli, &err, NULL);
    cli_table_print(cli, s.table);
    if (cli_arg(cli, 0) && !cli->json && add_all(&s, true, &err) != RC_OK)
        return cli_fail(cli, &err, NULL);
    return cli_json(cli, json_pack("{s:O}", "satellites", s.rows));
}
