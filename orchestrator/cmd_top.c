/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cmd_top: what payloads take, on board and of the link, with the age of what is
 * known.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/cmd.h"
#include "orchestrator/home.h"
#include "orchestrator/logs.h"
#include "orchestrator/mail.h"

#define FILES_MAX 100000U     /* of a directory, that are looked at */
#define CPU_TENTHS_MS 100000U /* so long processor time is told in tenths of a second */

struct row {
    const struct view_satellite *sat;
    const struct report_payload *payload;
    uint64_t up, down, logs; /* bytes */
    uint64_t age_ms;
};

struct top {
    const struct home *home;
    const struct view *view;
    struct row *row; /* owned */
    size_t n, cap;
};

static void top_done(struct top *top)
{
    free_ptr(&top->row);
}

/* ---- what is known -------------------------------------------------------------------------- */

/* What was sent of the packages and deltas of a payload, as far as the queue still has them. */
static uint64_t sent_up(const struct view *view, const struct report_payload *p,
                        const struct store_outgoing *rows, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++) {
        const struct store_package *package = view_carried(view, &rows[i].object);

        if (package && strcmp(package->tenant, p->tenant) == 0 &&
            strcmp(package->name, p->name) == 0)
            bytes += rows[i].sent_bytes;
    }
    return bytes;
}

struct sum {
    int dirfd;
    uint64_t bytes;
};

static bool add_file(void *arg, const char *name)
{
    struct sum *sum = arg;
    struct stat st;

    if (fstatat(sum->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
        sum->bytes += (uint64_t)st.st_size;
    return true;
}

/* Bytes of the files in a directory of the home; none if there is no such directory. */
static enum rc files_in(const struct home *home, const char *path, uint64_t *ret, struct err *err)
{
    scoped(close_fd) int fd =
        openat(home->dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct sum sum = { .dirfd = fd };

    *ret = 0;
    if (fd < 0)
        return errno == ENOENT ? RC_OK : err_sys(err, RC_IO, "%.120s", path);
    enum rc rc = fs_list(fd, ".", FILES_MAX, add_file, &sum, NULL, err);

    *ret = sum.bytes;
    return rc;
}

static enum rc add_payload(struct top *top, const struct view_satellite *sat,
                           const struct report_payload *p, const struct store_outgoing *rows,
                           size_t n, uint64_t now_ms, struct err *err)
{
    struct row row = { .sat = sat, .payload = p, .age_ms = view_age_ms(sat, now_ms) };
    char path[STORE_PATH_CAP];

    if (top->n == top->cap) {
        const size_t cap = top->cap ? 2 * top->cap : 64;
        struct row *more = reallocarray(top->row, cap, sizeof *more);

        if (!more)
            return err_set(err, RC_NO_MEMORY, "payloads");
        top->row = more;
        top->cap = cap;
    }
    row.up = sent_up(top->view, p, rows, n);
    (void)snprintf(path, sizeof path, MAIL_DIR "/%s/%s/%s", p->tenant, sat->row.id, p->name);
    enum rc rc = files_in(top->home, path, &row.down, err);

    if (rc == RC_OK) {
        (void)snprintf(path, sizeof path, LOGS_DIR "/%s/%s/%s", p->tenant, sat->row.id, p->name);
        rc = files_in(top->home, path, &row.logs, err);
    }
    top->row[top->n++] = row;
    return rc;
}

static enum rc add_satellite(struct top *top, const struct view_satellite *sat, uint64_t now_ms,
                             struct err *err)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc =
        sat->seen ? store_outgoing(top->home->store, sat->row.id, 0, &rows, &n, err) : RC_OK;

    for (uint32_t i = 0; rc == RC_OK && sat->seen && i < sat->seen->n_payloads; i++)
        rc = add_payload(top, sat, &sat->seen->payload[i], rows, n, now_ms, err);
    return rc;
}

/* ---- order ---------------------------------------------------------------------------------- */

static uint64_t cpu_of(const struct row *r)
{
    return r->payload->cpu_ms;
}

static uint64_t memory_of(const struct row *r)
{
    return r->payload->memory_kib;
}

static uint64_t restarts_of(const struct row *r)
{
    return r->payload->restarts;
}

static uint64_t up_of(const struct row *r)
{
    return r->up;
}

static uint64_t down_of(const struct row *r)
{
    return r->down;
}

static uint64_t logs_of(const struct row *r)
{
    return r->logs;
}

static uint64_t age_of(const struct row *r)
{
    return r->age_ms;
}

typedef uint64_t (*key_fn)(const struct row *r);

static const struct {
    const char *name;
    key_fn of;
} keys[] = {
    { "cpu", cpu_of },   { "memory", memory_of }, { "restarts", restarts_of }, { "up", up_of },
    { "down", down_of }, { "logs", logs_of },     { "age", age_of },
};

/* The largest first; those that are the same in the order of their names. */
static int compare(const void *a, const void *b, void *arg)
{
    const struct row *x = a, *y = b;
    const key_fn *of = arg;
    const uint64_t first = (*of)(x), second = (*of)(y);
    int by = (first < second) - (first > second);

    if (by == 0)
        by = strcmp(x->sat->row.id, y->sat->row.id);
    if (by == 0)
        by = strcmp(x->payload->tenant, y->payload->tenant);
    return by != 0 ? by : strcmp(x->payload->name, y->payload->name);
}

/* ---- output --------------------------------------------------------------------------------- */

static void print_rows(struct cli *cli, const struct top *top)
{
    static const char *const headings[] = { "SATELLITE", "PAYLOAD", "CPU",  "MEMORY", "RESTARTS",
                                            "UP",        "DOWN",    "LOGS", "AS OF" };
    scoped(cli_table_free) struct cli_table *table = cli_table_new(headings, 9);

    for (size_t i = 0; i < top->n; i++) {
        const struct row *r = &top->row[i];
        char payload[2 * NAME_CAP], cpu[CLI_SIZE_CAP], memory[CLI_SIZE_CAP], restarts[16];
        char up[CLI_SIZE_CAP], down[CLI_SIZE_CAP], logs[CLI_SIZE_CAP], age[CLI_SIZE_CAP];
        const bool runs = r->payload->is_running;
        const char *const cells[] = { r->sat->row.id,
                                      payload,
                                      runs ? cpu : NULL,
                                      runs ? cli_size(r->payload->memory_kib * 1024ULL, memory)
                                           : NULL,
                                      restarts,
                                      cli_size(r->up, up),
                                      cli_size(r->down, down),
                                      cli_size(r->logs, logs),
                                      cli_age(r->age_ms, age) };

        (void)snprintf(payload, sizeof payload, "%s/%s", r->payload->tenant, r->payload->name);
        if (r->payload->cpu_ms < CPU_TENTHS_MS)
            (void)snprintf(cpu, sizeof cpu, "%u.%us", r->payload->cpu_ms / 1000U,
                           r->payload->cpu_ms % 1000U / 100U);
        else
            (void)cli_age(r->payload->cpu_ms, cpu);
        (void)snprintf(restarts, sizeof restarts, "%u", r->payload->restarts);
        cli_table_row(table, cells);
    }
    if (top->n > 0)
        cli_table_print(cli, table);
    else
        cli_say(cli, "no satellite has reported a payload");
}

static json_t *rows_json(const struct top *top)
{
    json_t *list = json_array();

    for (size_t i = 0; i < top->n; i++) {
        const struct row *r = &top->row[i];
        char payload[2 * NAME_CAP], name[3 * NAME_CAP];

        (void)snprintf(payload, sizeof payload, "%s/%s", r->payload->tenant, r->payload->name);
        (void)snprintf(name, sizeof name, "%s@%s", payload, r->sat->row.id);
        (void)json_array_append_new(
            list, json_pack("{s:o, s:o, s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                            json_safe(name), "payload", json_safe(payload), "satellite",
                            r->sat->row.id, "version", json_safe(r->payload->version), "running",
                            (int)r->payload->is_running, "cpu_ms", json_uint(r->payload->cpu_ms),
                            "memory_kib", json_uint(r->payload->memory_kib), "restarts",
                            json_uint(r->payload->restarts), "up_bytes", json_uint(r->up),
                            "down_bytes", json_uint(r->down), "log_bytes", json_uint(r->logs),
                            "report_age_ms", json_uint(r->age_ms)));
    }
    return json_pack("{s:o}", "payloads", list);
}

static enum rc load(struct top *top, struct view **view, const char *id, uint64_t now_ms,
                    struct err *err)
{
    struct store *store = top->home->store;
    scoped(store_rollback) struct store *open = NULL;
    enum rc rc = store_begin_read(store, &open, err);

    if (rc == RC_OK)
        rc = view_load_asked(store, id, view, err);
    top->view = *view;
    for (size_t i = 0; rc == RC_OK && i < (*view)->n; i++)
        rc = add_satellite(top, &(*view)->satellite[i], now_ms, err);
    return rc;
}

static int run(struct cli *cli)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(view_free) struct view *view = NULL;
    scoped(top_done) struct top top = { .home = &home };
    const char *by = cli_value(cli, "sort");
    key_fn of = NULL;
    struct err err = { 0 };

    for (size_t i = 0; by && i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(keys[i].name, by) == 0)
            of = keys[i].of;
    if (by && !of) {
        (void)err_set(&err, RC_USAGE, "--sort %.30s", by);
        return cli_fail(cli, &err, "one of cpu, memory, restarts, up, down, logs, age");
    }
    if (home_open(cli->home, false, &home, &err) != RC_OK)
        return cli_fail(cli, &err, "berth fleet init NAME, or --home DIR");
    if (load(&top, &view, cli_arg(cli, 0), clock_unix_ms(), &err) != RC_OK)
        return cli_fail(cli, &err, "berth status lists the satellites");
    if (of && top.n > 0)
        qsort_r(top.row, top.n, sizeof *top.row, compare, &of);
    if (!cli->json)
        print_rows(cli, &top);
    return cli_json(cli, rows_json(&top));
}

static const struct cli_option options[] = {
    { "sort", CLI_TEXT, "KEY", "the largest first: cpu, memory, restarts, up, down, logs or age" },
    CLI_OPTION_WATCH,
    { 0 },
};

const struct cli_command cmd_top[] = {
    { .name = "top",
      .group = "Operate",
      .args = "[SATELLITE]",
      .names = CLI_SATELLITES,
      .summary = "What payloads take on board and of the link, and as of when",
      .about = "CPU (the time used since the version was started), memory and restarts are those\n"
               "of each satellite's last report, which is as old as AS OF says.  UP is what was\n"
               "sent for a payload's packages and deltas, DOWN and LOGS what came from its outbox\n"
               "and of its log and is kept here.",
      .args_max = 1,
      .watch = CLI_WATCH,
      .listing = "payloads.name",
      .options = options,
      .run = run },
    { 0 },
};
