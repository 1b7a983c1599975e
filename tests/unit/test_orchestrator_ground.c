/* SPDX-License-Identifier: Apache-2.0
 *
 * The ground as processes: the real berth command and the real berth-ground, and three satellites
 * played by this test over the link's own code, so that every bundle and report is a real one.
 * Version 1 reaches all; version 2 goes to the canary, then to the others; version 3 fails on the
 * canary, and no other satellite ever gets the order.  berth-ground is killed on the way.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"
#include "delta/apply.h"
#include "link/endpoint.h"
#include "link/port.h"
#include "manifest/doc.h"
#include "manifest/envelope.h"
#include "tests/unit/store_rig.h"
#include "update/package.h"

#define SATS 3U
#define PACKAGES 8U
#define WAIT_MS 300000U
#define BAD_VERSION "3.0.0"

static char build[1100]; /* where the programs are */
static char work[64];
static pid_t ground = -1;

/* A package that a satellite has. */
struct held {
    struct digest manifest;
    struct digest object;
    struct digest index;
    char version[VERSION_CAP];
};

struct fake {
    char id[NAME_CAP];
    int up, down, spool, keys, port, link_port;
    struct endpoint *endpoint;
    struct order order;
    bool got_bad; /* an order for the bad version came in */
    uint32_t orders;
    uint32_t n_held;
    struct held held[PACKAGES];
    bool refuses_deltas;
    struct digest refused; /* the version that a delta would have brought */
    bool silent;           /* makes no reports, so that no rollout ends */
    uint32_t n_full, n_deltas;
    struct port_transfers transfers;
    struct held running; /* zero = nothing runs */
    uint64_t seq;
};

static struct fake fakes[SATS];

/* ---- processes --------------------------------------------------------------------------------
 */

static pid_t spawn(const char *program, const char *const *args, const char *out)
{
    char path[1200];
    char *argv[32] = { path };
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;

    (void)snprintf(path, sizeof path, "%s/%s", build, program);
    for (size_t i = 0; args[i]; i++)
        argv[i + 1] = (char *)(uintptr_t)args[i];
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_addchdir_np(&actions, work), 0);
    assert_int_equal(
        posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
    assert_int_equal(posix_spawn(&pid, path, &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

/* Run berth with the words of a line; its exit code. */
static int berth(const char *line)
{
    char words[1024];
    const char *args[24] = { NULL };
    char *save = NULL;
    int status = 0;
    size_t n = 0;

    (void)snprintf(words, sizeof words, "%s", line);
    for (char *w = strtok_r(words, " ", &save); w && n < 23; w = strtok_r(NULL, " ", &save))
        args[n++] = w;
    pid_t pid = spawn("berth", args, "out");

    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void must(const char *line)
{
    int code = berth(line);

    if (code != 0)
        fail_msg("berth %s: exit %d", line, code);
}

static bool out_says(const char *text)
{
    scoped(free_ptr) uint8_t *out = NULL;
    char path[128];
    size_t n = 0;
    struct err err;

    (void)snprintf(path, sizeof path, "%s/out", work);
    assert_rc(fs_read_alloc(AT_FDCWD, path, 1U << 20, &out, &n, &err), RC_OK);
    return strstr((const char *)out, text) != NULL;
}

static void start_ground(void)
{
    static const char *const args[] = { "--home", "home", "--tick-ms", "20", NULL };

    ground = spawn("berth-ground", args, "ground.out");
}

static void stop_ground(int sig)
{
    int status = 0;

    assert_int_equal(kill(ground, sig), 0);
    assert_int_equal(waitpid(ground, &status, 0), ground);
    ground = -1;
    if (sig == SIGTERM)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- one satellite ----------------------------------------------------------------------------
 */

static int open_dir(const char *id, const char *suffix)
{
    char path[256];
    int fd = -1;
    struct err err;

    (void)snprintf(path, sizeof path, "%s/%s%s", work, id, suffix);
    (void)mkdir(path, 0700);
    assert_rc(fs_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0, &fd, &err), RC_OK);
    return fd;
}

static void fake_start(struct fake *f, unsigned number)
{
    int pair[2];
    struct err err;

    (void)snprintf(f->id, sizeof f->id, "sat-%u", number);
    f->up = open_dir(f->id, ".up");
    f->down = open_dir(f->id, ".down");
    f->spool = open_dir(f->id, ".spool");
    f->keys = open_dir(f->id, ".state/link");
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    f->port = pair[0];
    f->link_port = pair[1];
    struct endpoint_fds fds = {
        .port = pair[1], .spool = f->spool, .up = f->up, .down = f->down, .keys = f->keys
    };

    assert_rc(endpoint_new(&fds, clock_mono_ms(), &f->endpoint, &err), RC_OK);
}

static void fake_stop(struct fake *f)
{
    endpoint_free(&f->endpoint);
    close_fd(&f->port);
    close_fd(&f->link_port);
    close_fd(&f->up);
    close_fd(&f->down);
    close_fd(&f->spool);
    close_fd(&f->keys);
}

static const struct held *fake_held(const struct fake *f, const struct digest *manifest)
{
    for (uint32_t i = 0; i < f->n_held; i++)
        if (memcmp(f->held[i].manifest.b, manifest->b, DIGEST_SIZE) == 0)
            return &f->held[i];
    return NULL;
}

/* A delta starts from what runs: these versions have the same files, and so the same index. */
static void fake_delta(const struct fake *f, const struct package *package, int fd,
                       const struct manifest *manifest)
{
    const struct apply_spec spec = { .at = package->content_at, .size = package->content_bytes };
    struct format_head head;
    struct err err;

    assert_true(f->running.version[0] != '\0');
    assert_rc(apply_head(fd, &spec, &head, &err), RC_OK);
    assert_memory_equal(head.base, f->running.index.b, DIGEST_SIZE);
    assert_memory_equal(head.result, manifest->index.b, DIGEST_SIZE);
}

static void fake_package(struct fake *f, const struct port_object *object, int fd)
{
    scoped(package_done) struct package package = { 0 };
    scoped(free_ptr) struct manifest *manifest = calloc(1, sizeof *manifest);
    struct envelope envelope;
    struct held *held = &f->held[f->n_held];
    enum package_kind kind = PACKAGE_FULL;
    struct err err;

    assert_non_null(manifest);
    assert_true(f->n_held < PACKAGES);
    assert_rc(package_kind(fd, &kind, &err), RC_OK);
    assert_rc(kind == PACKAGE_DELTA ? package_open_delta(fd, &package, &err)
                                    : package_open(fd, &package, &err),
              RC_OK);
    assert_rc(envelope_open(package_envelope(&package), &envelope, &err), RC_OK);
    assert_rc(manifest_decode(envelope.payload, manifest, &err), RC_OK);
    assert_rc(sha256_of(envelope.payload, held->manifest.b, &err), RC_OK);
    memcpy(held->object.b, object->digest, DIGEST_SIZE);
    memcpy(held->version, manifest->version, sizeof held->version);
    held->index = manifest->index;
    f->n_deltas += kind == PACKAGE_DELTA;
    f->n_full += kind == PACKAGE_FULL;
    if (kind == PACKAGE_DELTA)
        fake_delta(f, &package, fd, manifest);
    if (kind == PACKAGE_DELTA && f->refuses_deltas)
        f->refused = held->manifest;
    else
        f->n_held++;
}

static void fake_order(struct fake *f, uint64_t size, int fd)
{
    scoped(free_ptr) uint8_t *bytes = malloc(size);
    struct envelope envelope;
    struct order order;
    struct err err;

    assert_non_null(bytes);
    assert_rc(fs_pread_exact(fd, bytes, size, 0, &err), RC_OK);
    assert_rc(envelope_open((struct bytes){ bytes, size }, &envelope, &err), RC_OK);
    assert_rc(order_decode(envelope.payload, &order, &err), RC_OK);
    assert_string_equal(order.satellite, f->id);
    assert_true(order.generation > f->order.generation);
    f->order = order;
    f->orders++;
}

static void fake_object(struct fake *f, const struct port_object *object, int fd)
{
    struct port_message reply = { .type = PORT_OBJECT_DONE };
    struct err err;

    if (object->kind == OBJECT_PACKAGE)
        fake_package(f, object, fd);
    if (object->kind == OBJECT_ORDER)
        fake_order(f, object->size, fd);
    memcpy(reply.done.digest, object->digest, DIGEST_SIZE);
    assert_rc(port_send(f->port, &reply, -1, &err), RC_OK);
}

/* What runs of the order's only line, and how it went. */
static void fake_payload(struct fake *f, struct report_payload *p)
{
    const struct order_line *line = &f->order.line[0];
    const struct held *held = fake_held(f, &line->manifest);
    bool bad = held && strcmp(held->version, BAD_VERSION) == 0;

    memcpy(p->tenant, line->tenant, sizeof p->tenant);
    memcpy(p->name, line->name, sizeof p->name);
    p->wanted = line->manifest;
    f->got_bad = f->got_bad || bad;
    if (held && !bad)
        f->running = *held;
    p->state = !held ? SLOT_ABSENT : bad ? SLOT_ROLLED_BACK : SLOT_COMMITTED;
    p->code = bad ? RC_HEALTH_TIMEOUT : 0;
    if (!held && memcmp(&f->refused, &line->manifest, sizeof f->refused) == 0) {
        p->state = SLOT_RECEIVING;
        p->code = RC_DELTA_BASE;
    }
    p->is_running = f->running.version[0] != '\0';
    p->running = f->running.manifest;
    memcpy(p->version, f->running.version, sizeof p->version);
}

static void fake_report(struct fake *f)
{
    scoped(free_ptr) struct report *report = calloc(1, sizeof *report);
    scoped(free_ptr) struct port_message *message = calloc(1, sizeof *message);
    struct bytes bytes;
    struct err err;

    assert_non_null(report);
    assert_non_null(message);
    memcpy(report->satellite, f->id, sizeof f->id);
    report->epoch = 1;
    report->seq = ++f->seq;
    report->time_ms = clock_unix_ms();
    report->root_version = 1;
    report->generation = f->order.generation;
    if (f->order.n_lines > 0) {
        report->n_payloads = 1;
        fake_payload(f, &report->payload[0]);
    }
    if (report->payload[0].code == RC_HEALTH_TIMEOUT) {
        report->n_events = 1;
        report->event[0] = (struct report_event){ .seq = 1,
                                                  .code = RC_HEALTH_TIMEOUT,
                                                  .count = 1,
                                                  .what = "acme/beacon: nothing was heard" };
    }
    report->n_transfers = f->transfers.n_transfers;
    for (uint32_t i = 0; i < report->n_transfers; i++) {
        struct report_transfer *to = &report->transfer[i];
        const struct transfer_status *from = &f->transfers.transfer[i];

        memcpy(to->object.b, from->object, DIGEST_SIZE);
        to->chunks = from->chunks;
        to->n_missing = from->n_missing;
        to->more = from->more != 0;
        for (uint32_t k = 0; k < from->n_missing; k++) {
            to->missing[k].first = from->missing[k].first;
            to->missing[k].count = from->missing[k].count;
        }
    }
    report->n_objects = f->transfers.n_complete;
    for (uint32_t i = 0; i < report->n_objects; i++)
        memcpy(report->object[i].b, f->transfers.complete[i], DIGEST_SIZE);
    message->type = PORT_REPORT;
    assert_rc(report_encode(report, message->report.bytes, REPORT_MAX, &bytes, &err), RC_OK);
    message->report.n = (uint32_t)bytes.n;
    assert_rc(port_send(f->port, message, -1, &err), RC_OK);
}

static void fake_tick(struct fake *f, bool report)
{
    scoped(free_ptr) struct port_message *message = malloc(sizeof *message);
    struct pollfd from_agent = { .fd = f->link_port, .events = POLLIN };
    uint64_t wait_ms = 0;
    struct err err;

    assert_non_null(message);
    assert_rc(endpoint_tick(f->endpoint, clock_mono_ms(), &wait_ms, &err), RC_OK);
    for (;;) {
        scoped(close_fd) int fd = -1;

        if (port_recv(f->port, PORT_FROM_LINK, message, &fd, &err) != RC_OK)
            break;
        if (message->type == PORT_OBJECT)
            fake_object(f, &message->object, fd);
        if (message->type == PORT_TRANSFERS)
            f->transfers = message->transfers;
    }
    if (report && !f->silent)
        fake_report(f);
    if (poll(&from_agent, 1, 0) > 0)
        assert_rc(endpoint_port(f->endpoint, &err), RC_OK);
}

/* Let everything run until a command gives this exit code and output. */
static void until(const char *line, int code, const char *says)
{
    uint64_t end = clock_mono_ms() + WAIT_MS;
    uint64_t report_ms = 0;
    uint64_t ask_ms = 0;

    for (;;) {
        uint64_t now = clock_mono_ms();
        bool report = now >= report_ms;

        for (size_t i = 0; i < SATS; i++)
            fake_tick(&fakes[i], report);
        if (report)
            report_ms = now + 200;
        if (now >= ask_ms) {
            if (berth(line) == code && out_says(says))
                return;
            ask_ms = clock_mono_ms() + 200;
        }
        if (now > end)
            fail_msg("berth %s: never exit %d with \"%s\"", line, code, says);
        (void)poll(NULL, 0, 5);
    }
}

/* ---- set-up -----------------------------------------------------------------------------------
 */

static void put_file(const char *name, const char *text)
{
    struct err err;
    char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", work, name);
    assert_rc(fs_write_file(AT_FDCWD, path, bytes_of(text), 0600, &err), RC_OK);
}

static void release(const char *version, unsigned number)
{
    char text[512];
    char line[256];

    (void)snprintf(text, sizeof text,
                   "tenant: acme\nname: beacon\nversion: %s\nrelease: %u\nexec: [/app]\n"
                   "arch: any\ncopy:\n  - {from: app, to: /app}\n"
                   "resources: {memory: 8M, cpu: 10%%, pids: 4, files: 16}\n"
                   "health: {type: alive, ready: 1s, soak: 1s}\n",
                   version, number);
    put_file("beacon/payload.yaml", text);
    (void)snprintf(line, sizeof line,
                   "build beacon --key acme.key --root sat-1.state/trust/root.cose --out b%u.berth",
                   number);
    must(line);
    (void)snprintf(line, sizeof line, "--home home push b%u.berth", number);
    must(line);
    (void)snprintf(text, sizeof text,
                   "fleet: test\nsatellites:\n  - {id: sat-1}\n  - {id: sat-2, labels: {canary: "
                   "yes}}\n  - {id: sat-3}\ndesired:\n  - select: all\n    payloads:\n"
                   "      acme/beacon: %s\n",
                   version);
    put_file("fleet.yaml", text);
}

static void make_run_file(void)
{
    char path[128];
    struct err err;

    (void)snprintf(path, sizeof path, "%s/beacon", work);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/beacon/app", work);
    /* Large enough to go as several chunks, and hard to compress. */
    scoped(free_ptr) uint8_t *bytes = malloc(200000);

    assert_non_null(bytes);
    crypto_random(bytes, 200000);
    memcpy(bytes, "#!/bin/sh\n", 10);
    assert_rc(fs_write_file(AT_FDCWD, path, (struct bytes){ bytes, 200000 }, 0700, &err), RC_OK);
}

static int set_up(void **state)
{
    const char *env = getenv("BERTH_BUILD");
    char top[512];

    (void)state;
    assert_non_null(getcwd(top, sizeof top));
    (void)snprintf(build, sizeof build, "%s/%.512s", top, env ? env : "build/release");
    if (env && env[0] == '/')
        (void)snprintf(build, sizeof build, "%.512s", env);
    (void)snprintf(work, sizeof work, "/tmp/berth-ground-test-XXXXXX");
    assert_non_null(mkdtemp(work));
    put_file("passphrase", "not a secret\n");
    assert_int_equal(setenv("BERTH_PASSPHRASE_FILE", "passphrase", 1), 0);
    must("key new root --role root");
    must("key new operator --role operator");
    must("key new acme --role tenant");
    must("--home home fleet init test --root root.key --operator operator.key");
    put_file("quota.yaml", "memory: 64M\ncpu: 50%\npids: 64\nfiles: 128\ndata: 8M\ntmp: 8M\n"
                           "store: 8M\npayloads: 2\n");
    must("--home home grant acme --keys acme.pub --quota quota.yaml --key operator.key");
    for (unsigned i = 1; i <= SATS; i++) {
        char line[256];

        (void)snprintf(line, sizeof line,
                       "--home home provision sat-%u --node 10%u --up sat-%u.up --down sat-%u.down "
                       "--out sat-%u.state",
                       i, i, i, i, i);
        must(line);
        fake_start(&fakes[i - 1], i);
    }
    make_run_file();
    return 0;
}

static int tear_down(void **state)
{
    struct err err;

    (void)state;
    if (ground > 0)
        stop_ground(SIGKILL);
    for (size_t i = 0; i < SATS; i++)
        fake_stop(&fakes[i]);
    return fs_remove_tree(AT_FDCWD, work, &err) == RC_OK ? 0 : -1;
}

/* ---- the test ---------------------------------------------------------------------------------
 */

static const char *in_work(const char *name)
{
    static char path[128];

    (void)snprintf(path, sizeof path, "%s/%s", work, name);
    return path;
}

static void all_run(const char *version, const char *rollout)
{
    until(rollout, 0, "completed");
    for (size_t i = 0; i < SATS; i++)
        assert_string_equal(fakes[i].running.version, version);
}

/* Back to what ran before version 2, and from there back again, each as a new generation. */
static void undone_goes_back(void)
{
    uint32_t orders = fakes[0].orders;

    assert_int_equal(berth("--home home rollout undo 99"), 1);
    assert_int_equal(berth("--home home rollout undo 0"), 2);
    /* The canary runs version 2, as before; version 3, which it had between, failed there. */
    assert_int_equal(berth("--home home rollout undo 3"), 4);
    assert_int_equal(berth("--home home rollout undo 4"), 4);
    assert_int_equal(berth("--home home rollout undo 2"), 3); /* shows, and does nothing */
    assert_true(out_says("1.0.0"));
    assert_true(out_says("berth rollout undo 2 --plan "));
    assert_int_equal(berth("--home home plan fleet.yaml"), 0);
    assert_int_equal(berth("--home home rollout undo 2 --plan 00000000 --key operator.key"), 4);
    assert_int_equal(berth("--home home rollout undo 2 --key acme.key"), 5);
    must("--home home rollout undo 2 --key operator.key --why badger");
    assert_true(out_says("rollout 5: acme/beacon 2.0.0 -> 1.0.0"));
    all_run("1.0.0", "--home home rollout status 5");
    assert_int_equal(fakes[0].orders, orders + 1);
    must("--home home audit log");
    assert_true(out_says("rollout-undo"));
    assert_int_equal(berth("--home home rollout undo 2 --key operator.key"), 4); /* is undone */
    must("--home home rollout undo 5 --key operator.key");
    all_run("2.0.0", "--home home rollout status 6");
    assert_int_equal(berth("--home home plan fleet.yaml"), 0);
}

/* A satellite whose computer was changed: new keys while berth-ground runs, nothing on board, and a
 * first report that counts from the beginning.  It gets its order and its package again. */
static void satellite_begins_again(void)
{
    struct fake *f = &fakes[2];

    struct err err;

    start_ground();
    until("--home home status", 0, "synced");
    fake_stop(f);
    assert_rc(fs_remove_tree(AT_FDCWD, in_work("sat-3.state"), &err), RC_OK);
    assert_rc(fs_remove_tree(AT_FDCWD, in_work("sat-3.spool"), &err), RC_OK);
    must("--home home provision sat-3 --node 103 --out sat-3.state --replace");
    assert_int_equal(berth("--home home ps sat-3"), 0);
    assert_true(out_says("last report never"));
    *f = (struct fake){ 0 };
    fake_start(f, 3);
    /* That it forgot its order is seen for as long as the new one takes to come, so it is not
     * waited for.  An older order may still be on its way before the newest. */
    until("--home home ps sat-3", 0, "2.0.0    committed");
    assert_string_equal(f->running.version, "2.0.0");
    stop_ground(SIGTERM);
}

/* A plan is shown while a delta is missing; apply makes it, and it is still the plan that was
 * meant, with less to send. */
static void apply_as_planned(void)
{
    scoped(free_ptr) uint8_t *out = NULL;
    char path[128], words[128], hash[17] = "";
    struct err err;
    size_t n = 0;

    assert_int_equal(berth("--home home plan fleet.yaml"), 3);
    assert_true(out_says("no delta was made from 2.0.0"));
    (void)snprintf(path, sizeof path, "%s/out", work);
    assert_rc(fs_read_alloc(AT_FDCWD, path, 1U << 20, &out, &n, &err), RC_OK);
    const uint8_t *at = memmem(out, n, "PLAN ", 5);

    assert_true(at && (size_t)(at - out) + 5 + 16 <= n);
    memcpy(hash, at + 5, 16);
    (void)snprintf(words, sizeof words, "--home home apply fleet.yaml --key operator.key --plan %s",
                   hash);
    must(words);
    assert_true(out_says(" delta  "));
}

/* One order is broken in the store: the others go and arrive all the same, and the rollout goes on
 * when it is there again. */
static void one_that_is_broken_keeps_nobody(void)
{
    char path[128];

    (void)snprintf(path, sizeof path, "%s/home/store.sqlite", work);
    assert_true(store_rig_sql(path, "CREATE TABLE kept AS SELECT envelope FROM sat_order "
                                    "WHERE satellite = 'sat-1';"
                                    "UPDATE sat_order SET envelope = zeroblob(4000000) "
                                    "WHERE satellite = 'sat-1'"));
    start_ground();
    until("--home home ps sat-3", 0, "1.0.0    committed");
    assert_string_equal(fakes[0].running.version, "");
    stop_ground(SIGTERM);
    assert_true(store_rig_sql(path, "UPDATE sat_order SET envelope = (SELECT envelope FROM kept) "
                                    "WHERE satellite = 'sat-1'; DROP TABLE kept"));
    start_ground();
}

static void releases_go_by_wave_and_a_bad_one_stops(void **state)
{
    (void)state;
    release("1.0.0", 1);
    assert_int_equal(berth("--home home plan fleet.yaml"), 3);
    assert_true(out_says("PLAN "));
    assert_int_equal(berth("--home home apply fleet.yaml --key operator.key --plan 00000000"), 4);
    assert_int_equal(berth("--home home apply fleet.yaml --key acme.key"), 5);
    must("--home home apply fleet.yaml --key operator.key");
    assert_int_equal(berth("--home home plan fleet.yaml"), 3); /* held, not released */
    assert_int_equal(berth("--home home apply fleet.yaml --key operator.key"), 4);
    one_that_is_broken_keeps_nobody();
    until("--home home rollout status 1", 0, "completed");
    assert_int_equal(berth("--home home plan fleet.yaml"), 0);
    for (size_t i = 0; i < SATS; i++)
        assert_string_equal(fakes[i].running.version, "1.0.0");

    /* Version 2, with berth-ground killed at the worst moment and started again.  It goes as a
     * delta; where that does not work, the full package follows by itself. */
    fakes[2].refuses_deltas = true;
    release("2.0.0", 2);
    assert_int_equal(berth("--home home plan fleet.yaml"), 3);
    assert_true(out_says("no delta was made from 1.0.0: 3 satellites"));
    assert_int_equal(berth("--home home plan fleet.yaml --deltas --rate 1200 --pass 60"), 3);
    assert_true(out_says("acme/beacon 2.0.0: delta from 1.0.0, "));
    assert_true(out_says("at 1200 bit/s and 60 s a pass: "));
    assert_int_equal(berth("--home home plan fleet.yaml --rate 0"), 2);
    assert_int_equal(berth("--home home plan fleet.yaml --json"), 3);
    assert_true(out_says("\"sends\": \"delta\""));
    assert_true(out_says("\"delta_from\": \"1.0.0\""));
    assert_true(out_says("\"sat-1\": 0.1,"));
    must("--home home apply fleet.yaml --key operator.key");
    assert_true(out_says(" delta  "));
    fakes[2].silent = true;
    until("--home home rollout status 2", 0, "active");
    stop_ground(SIGKILL);
    fakes[2].silent = false;
    start_ground();
    until("--home home rollout status 2", 0, "completed");
    for (size_t i = 0; i < SATS; i++)
        assert_string_equal(fakes[i].running.version, "2.0.0");
    until("--home home status --json", 0, "\"verdict\": \"synced\"");
    for (size_t i = 0; i < SATS; i++) {
        assert_in_range(fakes[i].n_deltas, 1, 2); /* one may come twice after the kill */
        assert_int_equal(fakes[i].n_full, i == 2 ? 2 : 1);
    }
    must("--home home ps sat-3");
    assert_true(out_says("acme/beacon 2.0.0: a delta did not work there (DELTA_BASE)"));
    must("--home home ps sat-2");
    assert_false(out_says("did not work"));

    /* Version 3 fails on the canary. */
    release(BAD_VERSION, 3);
    apply_as_planned();
    until("--home home rollout status 3", 7, "sat-2: acme/beacon HEALTH_TIMEOUT");
    must("--home home ps sat-2");
    assert_true(out_says("rolled-back HEALTH_TIMEOUT: nothing was heard"));
    must("--home home ps sat-2 --json");
    assert_true(out_says("\"reason\": \"HEALTH_TIMEOUT: nothing was heard\""));
    assert_true(fakes[1].got_bad);
    assert_string_equal(fakes[1].running.version, "2.0.0");

    /* Nobody can wave that through. */
    assert_int_equal(berth("--home home rollout promote 3"), 4);
    assert_int_equal(berth("--home home rollout promote 3 --wave 17"), 2);

    /* Resumed, it pauses again at once; the others still never get the order. */
    must("--home home rollout resume 3");
    until("--home home rollout status 3", 7, "HEALTH_TIMEOUT");
    for (size_t i = 0; i < SATS; i++) {
        assert_string_equal(fakes[i].running.version, "2.0.0");
        assert_int_equal(fakes[i].orders, i == 1 ? 3 : 2);
        assert_int_equal(fakes[i].got_bad, i == 1);
    }

    /* Applied once more, it would begin on another satellite: the canary has its order. */
    assert_int_equal(berth("--home home plan fleet.yaml"), 3);
    assert_true(out_says("--despite-failure"));
    assert_int_equal(berth("--home home apply fleet.yaml --key operator.key --supersede"), 4);
    assert_int_equal(berth("--home home rollout status 3"), 7);

    /* Back to version 2: only the canary changes, and the paused rollout ends. */
    put_file("fleet.yaml", "fleet: test\nsatellites: [{id: sat-1}, {id: sat-2}, {id: sat-3}]\n"
                           "desired: [{select: all, payloads: {acme/beacon: 2.0.0}}]\n");
    assert_int_equal(berth("--home home apply fleet.yaml --key operator.key"), 4);
    must("--home home apply fleet.yaml --key operator.key --supersede");
    until("--home home rollout status 4", 0, "completed");
    assert_int_equal(berth("--home home rollout status 3"), 0);
    assert_true(out_says("aborted"));
    for (size_t i = 0; i < SATS; i++)
        assert_int_equal(fakes[i].orders, i == 1 ? 4 : 2);
    undone_goes_back();
    stop_ground(SIGTERM);
    satellite_begins_again();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(releases_go_by_wave_and_a_bad_one_stops, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
