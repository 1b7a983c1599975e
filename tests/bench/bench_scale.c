/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_scale: what the ground's store costs with many satellites of four payloads
 * each: durable reports, one transaction each and in groups; loading the fleet; a question about
 * it; a plan of it; bytes on disk and in memory.  Beside SQL on the same rows by SQLite alone, and
 * an etcd that keeps the same reports, where there is one.
 *
 * Usage: bench_scale OUT.jsonl [N...]      (10000)
 * With BERTH_STORE=postgresql:... (tools/with-postgresql) the same on PostgreSQL, one N in a
 * cluster, whose bytes on disk are those of its tables and indexes.  Times are the least of
 * REPEATS: other work on the machine only ever adds.
 */
#include <ftw.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/ingest.h"
#include "orchestrator/view.h"
#include "tests/bench/bench.h"
#include "tests/bench/etcd.h"
#include "tests/bench/scale_fleet.h"

#define REPEATS 3U
#define REPORTS 4096U
#define GROUP 256U
#define ALONE 256U
#define VIEW_MAX 1000000U

static FILE *out;
static char where[512]; /* of the store */
static char raw[512];   /* of SQLite's own file */
static bool is_file;

static void row_beside(const char *figure, uint32_t n, double value, const char *unit,
                       const char *who, double peer, double aim)
{
    (void)printf("%-40s %8u %14.3f %-8s", figure, n, value, unit);
    if (peer > 0)
        (void)printf(" %s %14.3f", who, peer);
    if (aim > 0)
        (void)printf(" aim %g", aim);
    (void)putchar('\n');
    (void)fflush(stdout);
    (void)fprintf(out, "{\"figure\":\"%s%s, %u satellites\",\"value\":%.3f,\"unit\":\"%s\",",
                  is_file ? "" : "PostgreSQL: ", figure, n, value, unit);
    if (peer > 0)
        (void)fprintf(out, "\"peer\":\"%s\",\"peer_value\":%.3f,\"ratio\":%.3f,", who, peer,
                      value / peer);
    else
        (void)fprintf(out, "\"peer\":null,\"peer_value\":null,\"ratio\":null,");
    if (aim > 0)
        (void)fprintf(out, "\"aim\":%g}\n", aim);
    else
        (void)fprintf(out, "\"aim\":null}\n");
}

static void row(const char *figure, uint32_t n, double value, const char *unit, double peer,
                double aim)
{
    row_beside(figure, n, value, unit, "sqlite3", peer, aim);
}

/* ---- filling the store ------------------------------------------------------------------------
 */

static void put_satellite(struct store *store, uint32_t i)
{
    static struct report whole;
    static uint8_t buf[REPORT_MAX > 16384 ? REPORT_MAX : 16384];
    struct store_satellite sat = { .node = i + 2, .added_ms = NOW_MS };
    struct store_order order = { .generation = GENERATION,
                                 .state = ORDER_ACKED,
                                 .created_ms = NOW_MS };
    struct store_observed seen = { .epoch = 1, .seq = 1, .received_ms = NOW_MS };
    struct store_outgoing sent = { .kind = 3, .class = CLASS_ORDER, .size = 4096 };
    struct err err = { 0 };

    name_of(i, sat.id);
    (void)snprintf(sat.up, sizeof sat.up, "sats/%s/up", sat.id);
    (void)snprintf(sat.down, sizeof sat.down, "sats/%s/down", sat.id);
    (void)snprintf(sat.link_keys, sizeof sat.link_keys, "sats/%s/link", sat.id);
    (void)snprintf(sat.labels, sizeof sat.labels, "lot=%u,plane=p%u", i % 20, i % 100);
    must_rc(store_put_satellite(store, &sat, &err), &err);
    memcpy(order.satellite, sat.id, sizeof order.satellite);
    memcpy(order.object.b, &i, sizeof i);
    must_rc(store_add_order(store, &order, order_of(i, buf, sizeof buf), &err), &err);
    memcpy(seen.satellite, sat.id, sizeof seen.satellite);
    must_rc(report_decode(report_of(i, 1, buf), &whole, &err), &err);
    must_rc(ingest_keep(store, &seen, report_of(i, 1, buf), &whole, &err), &err);
    memcpy(sent.satellite, sat.id, sizeof sent.satellite);
    sent.object = order.object;
    must_rc(store_queue(store, &sent, false, &err), &err);
    sent.state = OUTGOING_COMPLETE;
    must_rc(store_update_outgoing(store, &sent, &err), &err);
}

static void put_package(struct store *store, uint32_t payload, uint32_t version)
{
    struct store_package package = { .size = 1 << 20 };
    struct err err = { 0 };

    (void)snprintf(package.tenant, sizeof package.tenant, "tenant-%u", payload);
    (void)snprintf(package.name, sizeof package.name, "payload");
    (void)snprintf(package.version, sizeof package.version, "%u", version);
    digest_of(payload, version, &package.manifest);
    package.object = package.manifest;
    must_rc(store_put_package(store, &package, &err), &err);
}

static struct store *open_store(bool create)
{
    struct store *store = NULL;
    struct err err = { 0 };

    must_rc(store_open(where, create, &store, &err), &err);
    return store;
}

static void populate(uint32_t n)
{
    scoped(store_close) struct store *store = open_store(true);
    struct store *open = NULL;
    struct err err = { 0 };
    const double began = bench_s(CLOCK_MONOTONIC);

    must_rc(store_begin(store, &open, &err), &err);
    for (uint32_t k = 0; k <= PAYLOADS; k++)
        put_package(store, k % PAYLOADS, k / PAYLOADS);
    for (uint32_t i = 0; i < n; i++)
        put_satellite(store, i);
    must_rc(store_commit(&open, &err), &err);
    row("putting all of it in", n, bench_s(CLOCK_MONOTONIC) - began, "s", 0, 0);
}

/* ---- reports --------------------------------------------------------------------------------- */

/* Reports of satellites all over the fleet, `group` of them in a transaction (0 = each its own),
 * per second. */
static double ingest(uint32_t n, uint32_t count, uint32_t group, uint64_t seq)
{
    static uint8_t buf[REPORT_MAX];
    static struct report report;
    scoped(store_close) struct store *store = open_store(false);
    struct store *open = NULL;
    struct err err = { 0 };
    const double began = bench_s(CLOCK_MONOTONIC);

    for (uint32_t i = 0; i < count; i++) {
        const uint32_t sat = (uint32_t)((uint64_t)i * 7919U % n);
        char id[NAME_CAP];

        name_of(sat, id);
        if (group > 0 && i % group == 0)
            must_rc(store_begin(store, &open, &err), &err);
        must_rc(ingest_report(store, id, report_of(sat, seq * REPORTS + i, buf), NOW_MS + seq,
                              &report, &err),
                &err);
        if (group > 0 && (i % group == group - 1 || i + 1 == count))
            must_rc(store_commit(&open, &err), &err);
    }
    return count / (bench_s(CLOCK_MONOTONIC) - began);
}

/* ---- SQLite by itself ------------------------------------------------------------------------ */

static void must_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK)
        return;
    (void)fprintf(stderr, "bench_scale: %s: %s\n", sql, sqlite3_errmsg(db));
    exit(1);
}

static sqlite3 *raw_open(void)
{
    sqlite3 *db = NULL;

    must(sqlite3_open(raw, &db) == SQLITE_OK, "sqlite3_open");
    must_sql(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                 "CREATE TABLE IF NOT EXISTS observed (satellite TEXT PRIMARY KEY, epoch INTEGER,"
                 " seq INTEGER, received_ms INTEGER, report BLOB) STRICT;"
                 "CREATE TABLE IF NOT EXISTS sat_order (satellite TEXT, generation INTEGER, "
                 "envelope BLOB, PRIMARY KEY (satellite, generation)) STRICT");
    return db;
}

static void raw_put(sqlite3_stmt *put, uint32_t i, uint64_t seq, bool order)
{
    static uint8_t buf[REPORT_MAX > 16384 ? REPORT_MAX : 16384];
    const struct bytes bytes = order ? order_of(i, buf, sizeof buf) : report_of(i, seq, buf);
    char id[NAME_CAP];

    name_of(i, id);
    must(sqlite3_bind_text(put, 1, id, -1, SQLITE_STATIC) == SQLITE_OK &&
             sqlite3_bind_int64(put, 2, (sqlite3_int64)seq) == SQLITE_OK &&
             sqlite3_bind_blob64(put, 3, bytes.p, bytes.n, SQLITE_STATIC) == SQLITE_OK &&
             sqlite3_step(put) == SQLITE_DONE && sqlite3_reset(put) == SQLITE_OK,
         "raw insert");
}

static const char raw_report[] =
    "INSERT INTO observed (satellite, epoch, seq, received_ms, report) VALUES (?1, 1, ?2, ?2, ?3) "
    "ON CONFLICT (satellite) DO UPDATE SET seq = excluded.seq, received_ms = excluded.received_ms, "
    "report = excluded.report";

/* The same reports with nothing but the row itself, in the same groups; per second. */
static double raw_ingest(uint32_t n, uint64_t seq)
{
    sqlite3 *db = raw_open();
    sqlite3_stmt *put = NULL;
    const double began = bench_s(CLOCK_MONOTONIC);

    must(sqlite3_prepare_v2(db, raw_report, -1, &put, NULL) == SQLITE_OK, "raw prepare");
    for (uint32_t i = 0; i < REPORTS; i++) {
        if (i % GROUP == 0)
            must_sql(db, "BEGIN IMMEDIATE");
        raw_put(put, (uint32_t)((uint64_t)i * 7919U % n), seq, false);
        if (i % GROUP == GROUP - 1)
            must_sql(db, "COMMIT");
    }
    const double rate = REPORTS / (bench_s(CLOCK_MONOTONIC) - began);

    (void)sqlite3_finalize(put);
    (void)sqlite3_close(db);
    return rate;
}

static void raw_populate(uint32_t n)
{
    sqlite3 *db = raw_open();
    sqlite3_stmt *put = NULL, *order = NULL;

    must(sqlite3_prepare_v2(db, raw_report, -1, &put, NULL) == SQLITE_OK &&
             sqlite3_prepare_v2(db, "INSERT INTO sat_order VALUES (?1, ?2, ?3)", -1, &order,
                                NULL) == SQLITE_OK,
         "raw prepare");
    must_sql(db, "BEGIN IMMEDIATE");
    for (uint32_t i = 0; i < n; i++) {
        raw_put(put, i, 1, false);
        raw_put(order, i, GENERATION, true);
    }
    must_sql(db, "COMMIT");
    (void)sqlite3_finalize(put);
    (void)sqlite3_finalize(order);
    (void)sqlite3_close(db);
}

/* Read every report and order, and do nothing with them; seconds. */
static double raw_load(void)
{
    static const char *const all[] = { "SELECT * FROM observed ORDER BY satellite",
                                       "SELECT * FROM sat_order ORDER BY satellite" };
    sqlite3 *db = raw_open();
    const double began = bench_s(CLOCK_MONOTONIC);
    uint64_t sum = 0;

    for (size_t i = 0; i < 2; i++) {
        sqlite3_stmt *get = NULL;

        must(sqlite3_prepare_v2(db, all[i], -1, &get, NULL) == SQLITE_OK, "raw prepare");
        while (sqlite3_step(get) == SQLITE_ROW) {
            const int column = i == 0 ? 4 : 2;
            const uint8_t *blob = sqlite3_column_blob(get, column);

            sum += blob[sqlite3_column_bytes(get, column) - 1];
        }
        (void)sqlite3_finalize(get);
    }
    const double seconds = bench_s(CLOCK_MONOTONIC) - began;

    must(sum > 0, "nothing was read");
    (void)sqlite3_close(db);
    return seconds;
}

/* ---- the fleet ------------------------------------------------------------------------------- */

struct loaded {
    double load_s, load_cpu_s, status_s, plan_s;
    uint64_t kib;
    uint32_t synced, changes;
};

/* What the fleet file says: all as it is, and the newest version of one payload on the last. */
static struct fleet *wanted(uint32_t n)
{
    struct fleet *fleet = fleet_new(n, PAYLOADS + 1);

    must(fleet != NULL, "fleet_new");
    (void)snprintf(fleet->name, sizeof fleet->name, "scale");
    fleet->n_satellites = n;
    for (uint32_t i = 0; i < n; i++) {
        struct fleet_satellite *sat = &fleet->satellite[i];

        name_of(i, sat->id);
        sat->n_labels = 1;
        (void)snprintf(sat->label[0].key, NAME_CAP, "ring");
        (void)snprintf(sat->label[0].value, NAME_CAP, i + 1 == n ? "new" : "old");
    }
    for (uint32_t k = 0; k <= PAYLOADS; k++) {
        struct fleet_want *want = &fleet->want[fleet->n_wants++];

        (void)snprintf(want->tenant, NAME_CAP, "tenant-%u", k % PAYLOADS);
        (void)snprintf(want->name, NAME_CAP, "payload");
        (void)snprintf(want->version, VERSION_CAP, "%u", k / PAYLOADS);
        if (k % PAYLOADS == 0) {
            (void)snprintf(want->select.key, NAME_CAP, "ring");
            (void)snprintf(want->select.value, NAME_CAP, k == 0 ? "old" : "new");
        }
    }
    return fleet;
}

static struct ride ride_of(void *arg, uint32_t satellite, const struct store_package *package)
{
    const struct view *view = arg;

    return view_ride(view, &view->satellite[satellite], package);
}

static bool brings(void *arg, const struct store_package *package, const struct digest *object)
{
    return view_brings(arg, package, object);
}

/* Seconds from a fleet file that was read, and the fleet in memory, to the plan. */
static double plan_once(struct view *view, uint32_t *ret_changes)
{
    scoped(free_ptr) struct fleet *fleet = wanted((uint32_t)view->n);
    scoped(free_ptr) struct plan_base *bases = NULL;
    struct plan *plan = NULL;
    struct plan_input in = { .fleet = fleet,
                             .packages = view->packages,
                             .n_packages = view->n_packages,
                             .ride = ride_of,
                             .brings = brings,
                             .arg = view };
    struct err err = { 0 };
    const double began = bench_s(CLOCK_MONOTONIC);

    must_rc(view_bases(view, fleet, &bases, &err), &err);
    in.base = bases;
    must_rc(plan_compute(&in, &plan, &err), &err);
    const double seconds = bench_s(CLOCK_MONOTONIC) - began;

    *ret_changes = plan->n_changes;
    plan_free(&plan);
    return seconds;
}

/* In a process of its own, for its memory. */
static struct loaded load_once(void)
{
    struct loaded ret = { 0 };
    int ends[2];

    must(pipe(ends) == 0, "pipe");
    const pid_t pid = fork();

    must(pid >= 0, "fork");
    if (pid == 0) {
        struct store *store = open_store(false);
        struct view *view = NULL;
        struct rusage use;
        struct err err = { 0 };
        double began = bench_s(CLOCK_MONOTONIC);
        const double busy = bench_s(CLOCK_PROCESS_CPUTIME_ID);

        must_rc(view_load(store, &view, &err), &err);
        ret.load_s = bench_s(CLOCK_MONOTONIC) - began;
        ret.load_cpu_s = bench_s(CLOCK_PROCESS_CPUTIME_ID) - busy;
        began = bench_s(CLOCK_MONOTONIC);
        for (size_t i = 0; i < view->n; i++) {
            const struct view_satellite *sat = &view->satellite[i];

            ret.synced += verdict_of(view_want(sat), sat->seen, view_age_ms(sat, NOW_MS),
                                     VIEW_SILENT_MS) == VERDICT_SYNCED;
        }
        ret.status_s = bench_s(CLOCK_MONOTONIC) - began;
        must(getrusage(RUSAGE_SELF, &use) == 0, "getrusage");
        ret.kib = (uint64_t)use.ru_maxrss;
        ret.plan_s = plan_once(view, &ret.changes);
        for (uint32_t i = 1; i < REPEATS; i++) {
            const double again = plan_once(view, &ret.changes);

            ret.plan_s = again < ret.plan_s ? again : ret.plan_s;
        }
        must(write(ends[1], &ret, sizeof ret) == (ssize_t)sizeof ret, "write");
        _exit(0);
    }
    int status = 0;

    must(read(ends[0], &ret, sizeof ret) == (ssize_t)sizeof ret, "loading");
    must(waitpid(pid, &status, 0) == pid && status == 0, "loading");
    (void)close(ends[0]);
    (void)close(ends[1]);
    return ret;
}

static void load(uint32_t n)
{
    struct loaded best = load_once();
    double peer = raw_load();

    for (uint32_t i = 1; i < REPEATS; i++) {
        const struct loaded again = load_once();
        const double other = raw_load();

        best.load_s = again.load_s < best.load_s ? again.load_s : best.load_s;
        best.load_cpu_s = again.load_cpu_s < best.load_cpu_s ? again.load_cpu_s : best.load_cpu_s;
        best.status_s = again.status_s < best.status_s ? again.status_s : best.status_s;
        best.plan_s = again.plan_s < best.plan_s ? again.plan_s : best.plan_s;
        peer = other < peer ? other : peer;
    }
    must(best.synced == n, "not every satellite is synced");
    must(best.changes == 1, "the plan is of another change");
    row("loading the fleet", n, best.load_s, "s", peer, 1.5 * n / 100000);
    row("loading, of it processor time", n, best.load_cpu_s, "s", 0, 0);
    row("verdict of every satellite", n, best.status_s * 1000, "ms", 0, 100.0 * n / 100000);
    row("plan after one change", n, best.plan_s * 1000, "ms", 0, 25.0 * n / 100000);
    row("memory with the fleet loaded", n, (double)best.kib / 1024, "MiB", 0, 300.0 * n / 100000);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static double disk_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (double)st.st_size / 1048576 : 0;
}

static uint64_t blocks;

static int add_blocks(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)path;
    (void)at;
    blocks += kind == FTW_F ? (uint64_t)st->st_blocks : 0;
    return 0;
}

/* Tables and indexes of a cluster, without its log of what was written lately; 0 = not known. */
static double cluster_disk(void)
{
    const char *data = getenv("PG_DATA");
    char path[600];

    blocks = 0;
    if (!data || snprintf(path, sizeof path, "%s/base", data) >= (int)sizeof path ||
        nftw(path, add_blocks, 16, FTW_PHYS) != 0)
        return 0;
    return (double)blocks * 512 / 1048576;
}

static void remove_files(void)
{
    static const char *const ends[] = { "", "-wal", "-shm" };
    char path[600];

    for (size_t i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s%s", raw, ends[i]);
        (void)unlink(path);
        (void)snprintf(path, sizeof path, "%s%s", where, ends[i]);
        if (is_file)
            (void)unlink(path);
    }
}

static double best_of(double (*fn)(uint32_t n, uint64_t seq), uint32_t n, uint64_t *seq)
{
    double best = 0;

    for (uint32_t i = 0; i < REPEATS; i++) {
        const double rate = fn(n, ++*seq);

        best = rate > best ? rate : best;
    }
    return best;
}

static double in_groups(uint32_t n, uint64_t seq)
{
    return ingest(n, REPORTS, GROUP, seq);
}

static double alone(uint32_t n, uint64_t seq)
{
    return ingest(n, ALONE, 0, seq);
}

static void measure(uint32_t n)
{
    static uint8_t report_buf[REPORT_MAX];
    uint64_t seq = 1;

    remove_files();
    const double before = is_file ? 0 : cluster_disk();
    populate(n);
    raw_populate(n);
    const double after = is_file ? disk_of(where) : cluster_disk();
    if (after > 0)
        row("bytes on disk", n, after - before, "MiB", disk_of(raw), 0);
    row("durable reports, a transaction each", n, best_of(alone, n, &seq), "per s", 0, 0);
    const double grouped = best_of(in_groups, n, &seq);
    row("durable reports, 256 in a transaction", n, grouped, "per s", best_of(raw_ingest, n, &seq),
        10000);
    const struct bytes report = report_of(0, seq, report_buf);
    const double etcd = etcd_rate(raw, n, report.p, report.n);
    if (etcd > 0)
        row_beside("durable reports, of an etcd 256 at once", n, grouped, "per s", "etcd", etcd, 0);
    if (n <= VIEW_MAX)
        load(n);
    else
        row("reading every report and order", n, raw_load(), "s", 0, 0);
    remove_files();
}

int main(int argc, char **argv)
{
    static const uint32_t standard[] = { 10000 };
    const char *store = getenv("BERTH_STORE");
    char dir[] = "/var/tmp/berth-scale-XXXXXX"; /* /tmp may be memory, where nothing is durable */

    must(argc >= 2, "usage: bench_scale OUT.jsonl [N...]");
    out = fopen(argv[1], "we");
    must(out && mkdtemp(dir), argv[1]);
    is_file = !store || !store[0];
    (void)snprintf(raw, sizeof raw, "%s/raw.sqlite", dir);
    (void)snprintf(where, sizeof where, "%s%s", is_file ? dir : store,
                   is_file ? "/store.sqlite" : "");
    for (int i = 2; i < argc; i++)
        measure((uint32_t)strtoul(argv[i], NULL, 10));
    for (size_t i = 0; argc == 2 && i < sizeof standard / sizeof standard[0]; i++)
        measure(standard[i]);
    must(rmdir(dir) == 0 && fclose(out) == 0, "end");
    return 0;
}
