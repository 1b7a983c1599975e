/* SPDX-License-Identifier: Apache-2.0
 *
 * berth-ground sends by the schedule: two tenants, three satellites and one antenna.  The ground
 * runs in this process over real queues and links; its clock is moved by hand from pass to pass,
 * and the satellite that answers does so over sealed bundles.
 */
#include "tests/unit/test.h"

#include <jansson.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "link/dircl.h"
#include "link/endpoint.h"
#include "link/port.h"
#include "manifest/doc.h"
#include "orchestrator/contact.h"
#include "orchestrator/ground.h"
#include "orchestrator/home.h"
/* last: it has a global err */
#include "tests/unit/berth_run.h"

#define SATS 3U
#define SECOND 1000
#define MINUTE (60 * SECOND)
#define LEAD (10 * MINUTE)
/* Passes, in seconds after the beginning; 400 byte/s. */
#define FIRST 3600 /* of sat-1; that of sat-2 overlaps it */
#define LASTS 300
#define CAPACITY (400 * LASTS)
#define SLACK 70000 /* a message more, and its frame */

static const char quota[] = "memory: 64M\ncpu: 50%\npids: 32\ndata: 16M\ntmp: 16M\nfiles: 64\n"
                            "store: 64M\npayloads: 2\nexpires: 30d\n";
static const char fleet[] =
    "fleet: aurora\n"
    "stations: [{id: kiruna, lat: 67.86, lon: 20.96, node: 50}]\n"
    "links: {uhf: {rate: 9600, overhead: 0, goodput: 100%}}\n"
    "tenants: {acme: {share: 1}, zeta: {share: 1, uplink: 60K}}\n"
    "satellites:\n"
    "  - {id: sat-1, orbit: {contacts: plan.ionrc}, node: 101}\n"
    "  - {id: sat-2, orbit: {contacts: plan.ionrc}, node: 102}\n"
    "  - {id: sat-3, orbit: {contacts: plan.ionrc}, node: 103}\n"
    "  - {id: sat-4}\n"
    "rollout: {default: {first: [100%]}}\n"
    "desired:\n  - {select: all, payloads: {acme/cam: 1.0, zeta/cam: 1.0}}\n";
static const char plan[] = "a contact +3600 +3900 50 101 400\n"
                           "a contact +3660 +3960 50 102 400\n"
                           "a contact +7200 +7500 50 102 400\n"
                           "a contact +9000 +9300 50 103 400\n"
                           "a contact +12000 +12300 50 101 400\n";

static struct ground *ground;
static uint64_t began; /* Unix ms */
static int up[SATS + 1];

static void put_payload(const char *tenant, uint64_t z)
{
    static uint8_t noise[300000];
    char text[512], path[64];

    for (size_t i = 0; i < sizeof noise; i++) {
        z = z * 6364136223846793005U + 1442695040888963407U;
        noise[i] = (uint8_t)(z >> 56);
    }
    print_to(path, sizeof path, "%s/rootfs/bin", tenant);
    assert_rc(fs_make_dirs(dirfd, path, 0755, &err), RC_OK);
    print_to(path, sizeof path, "%s/rootfs/bin/cam", tenant);
    assert_rc(fs_write_file(dirfd, path, (struct bytes){ noise, sizeof noise }, 0755, &err), RC_OK);
    print_to(path, sizeof path, "%s/payload.yaml", tenant);
    print_to(text, sizeof text,
             "name: cam\ntenant: %s\nversion: 1.0\nrelease: 1\nexec: [/bin/cam]\nroot: rootfs\n"
             "arch: any\nresources: {memory: 16M, cpu: 0.25, pids: 4, tmp: 1M, files: 16}\n"
             "health: {type: alive, ready: 2s}\n",
             tenant);
    put(path, text, 0644);
}

static void add_tenant(const char *tenant, uint64_t noise)
{
    char line[256];

    print_to(line, sizeof line, "key new %s --role tenant --out keys", tenant);
    assert_berth(line, 0);
    print_to(line, sizeof line, "grant %s --keys keys/%s.pub --quota quota.yaml", tenant, tenant);
    assert_berth(line, 0);
    put_payload(tenant, noise);
    print_to(line, sizeof line, "build %s --level 1 --key keys/%s.key --out %s.berth", tenant,
             tenant, tenant);
    assert_berth(line, 0);
    print_to(line, sizeof line, "push %s.berth", tenant);
    assert_berth(line, 0);
}

static int set_up(void **state)
{
    char name[64];

    (void)!begin(state);
    (void)setenv("BERTH_HOME", "home", 1);
    put("quota.yaml", quota, 0644);
    put("fleet.yaml", fleet, 0644);
    put("plan.ionrc", plan, 0644);
    assert_berth("key new root --role root --out keys", 0);
    assert_berth("key new op --role operator --out keys", 0);
    assert_berth("fleet init aurora --root keys/root.key --operator keys/op.key", 0);
    add_tenant("acme", 1);
    add_tenant("zeta", 2);
    for (unsigned i = 1; i <= SATS + 1; i++) {
        print_to(name, sizeof name, "up-%u", i);
        assert_int_equal(mkdirat(dirfd, name, 0755), 0);
        assert_rc(fs_open_dir(dirfd, name, 0755, &up[i - 1], &err), RC_OK);
        print_to(name, sizeof name, "down-%u", i);
        assert_int_equal(mkdirat(dirfd, name, 0755), 0);
        char line[256];

        print_to(line, sizeof line,
                 "provision sat-%u --node 10%u --up up-%u --down down-%u --out state-%u", i, i, i,
                 i, i);
        assert_berth(line, 0);
    }
    began = clock_unix_ms();
    assert_berth("apply fleet.yaml --key keys/op.key", 0);
    return 0;
}

/* Its only link is whose pass it is. */
static void open_ground(void)
{
    char home[96];
    const struct ground_options options = {
        .home = home, .links = 1, .up_budget = UINT64_C(1) << 20, .up_files = 1000
    };

    print_to(home, sizeof home, "%s/home", dir);
    assert_rc(ground_open(&options, &ground, &err), RC_OK);
}

/* One round so many seconds after the beginning. */
static void round_at(int64_t second)
{
    assert_rc(ground_tick(ground, (uint64_t)(1000000 + second * SECOND),
                          began + (uint64_t)(second * SECOND), &err),
              RC_OK);
}

/* Bytes of the bundle files in an uplink; with take, they go. */
static uint64_t in_uplink(unsigned sat, bool take)
{
    static struct dircl_scan scan;
    uint64_t sum = 0;

    assert_rc(dircl_scan(up[sat - 1], clock_unix_ms(), &scan, &err), RC_OK);
    for (size_t i = 0; i < scan.n; i++) {
        struct stat st;

        assert_int_equal(fstatat(up[sat - 1], scan.name[i], &st, 0), 0);
        sum += (uint64_t)st.st_size;
        if (take)
            assert_int_equal(unlinkat(up[sat - 1], scan.name[i], 0), 0);
    }
    return sum;
}

/* The pass of a satellite that begins so many seconds after the beginning, as kept. */
static struct store_pass pass_of(const char *satellite, int64_t second)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_pass *rows = NULL;
    char path[96];
    size_t n = 0;

    print_to(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_passes(home.store, 0, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i].satellite, satellite) == 0 &&
            llabs((int64_t)rows[i].aos_ms - (int64_t)began - second * SECOND) < MINUTE)
            return rows[i];
    return (struct store_pass){ .state = UINT32_MAX };
}

/* What zeta has used of its day, as kept; the day may have ended meanwhile. */
static uint64_t used_by_zeta(void)
{
    scoped(home_close) struct home home = HOME_NONE;
    char path[96], value[64], *end = NULL;

    print_to(path, sizeof path, "%s/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_get(home.store, "uplink-day/zeta", value, sizeof value, &err), RC_OK);
    assert_true(strtoll(value, &end, 10) >= (long long)(began / 86400000));
    assert_int_equal(*end, ' ');
    return strtoull(end + 1, NULL, 10);
}

/* Something comes down from a satellite: a real report over its real link. */
static void report_from(unsigned sat)
{
    scoped(free_ptr) struct report *report = calloc(1, sizeof *report);
    scoped(free_ptr) struct port_message *m = calloc(1, sizeof *m);
    scoped(close_fd) int spool = -1;
    scoped(close_fd) int keys = -1;
    scoped(close_fd) int down = -1;
    struct endpoint *endpoint = NULL;
    struct bytes bytes;
    char name[64];
    int pair[2];

    assert_non_null(report);
    assert_non_null(m);
    (void)mkdirat(dirfd, "spool", 0755);
    assert_rc(fs_open_dir(dirfd, "spool", 0755, &spool, &err), RC_OK);
    print_to(name, sizeof name, "state-%u/link", sat);
    assert_rc(fs_open_dir(dirfd, name, 0755, &keys, &err), RC_OK);
    print_to(name, sizeof name, "down-%u", sat);
    assert_rc(fs_open_dir(dirfd, name, 0755, &down, &err), RC_OK);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
                     0);
    const struct endpoint_fds fds = {
        .port = pair[1], .spool = spool, .up = spool, .down = down, .keys = keys
    };

    assert_rc(endpoint_new(&fds, clock_mono_ms(), &endpoint, &err), RC_OK);
    print_to(report->satellite, sizeof report->satellite, "sat-%u", sat);
    report->epoch = 1;
    report->seq = 1;
    report->time_ms = began;
    report->root_version = 1;
    report->traffic.contacts = 1;
    report->traffic.contact = (struct report_bytes){ .in = 60000, .useful = 55555 };
    report->traffic.all = report->traffic.contact;
    m->type = PORT_REPORT;
    assert_rc(report_encode(report, m->report.bytes, REPORT_MAX, &bytes, &err), RC_OK);
    m->report.n = (uint32_t)bytes.n;
    assert_rc(port_send(pair[0], m, -1, &err), RC_OK);
    assert_rc(endpoint_port(endpoint, &err), RC_OK);
    endpoint_free(&endpoint);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void it_sends_by_the_schedule(void **state)
{
    (void)state;
    open_ground();
    round_at(0);
    /* of sat-4 nothing is known: its queue goes at once, as it always did */
    assert_true(in_uplink(4, true) > 2U * 300000U);
    for (unsigned sat = 1; sat <= SATS; sat++)
        assert_int_equal(in_uplink(sat, false), 0);
    round_at(FIRST - LEAD / SECOND - 1);
    assert_int_equal(in_uplink(1, false), 0);

    /* The lead: as much as is expected to fit, and of the two that overlap only one. */
    round_at(FIRST - LEAD / SECOND + 1);
    for (int i = 2; i < 200; i += 30)
        round_at(FIRST - LEAD / SECOND + i);
    const uint64_t early = in_uplink(1, false);

    assert_true(early > CAPACITY / 2 && early <= CAPACITY + SLACK);
    assert_int_equal(in_uplink(2, false), 0);
    assert_int_equal(in_uplink(3, false), 0);
    struct store_pass pass = pass_of("sat-1", FIRST);

    assert_int_equal(pass.state, CONTACT_RESERVED);
    assert_int_equal(pass.capacity, CAPACITY);
    assert_true(pass.planned > CAPACITY / 2 && pass.planned <= CAPACITY);
    assert_true(pass.sent > CAPACITY / 2);

    /* Killed and started again it goes on with the same pass: no bytes for it twice. */
    ground_close(&ground);
    open_ground();
    round_at(FIRST - 60);
    assert_true(in_uplink(1, false) <= CAPACITY + SLACK);

    /* The pass: while files wait nothing is added; when they are taken sooner than expected, more
     * comes, again and again. */
    round_at(FIRST + 1);
    assert_int_equal(pass_of("sat-1", FIRST).state, CONTACT_EXECUTING);
    const uint64_t waiting = in_uplink(1, false);

    round_at(FIRST + 2);
    assert_int_equal(in_uplink(1, false), waiting);
    (void)in_uplink(1, true);
    round_at(FIRST + 3);
    const uint64_t more = in_uplink(1, true);

    assert_true(more > 0);
    round_at(FIRST + 4);
    assert_true(in_uplink(1, true) > 0);
    assert_int_equal(in_uplink(2, false), 0); /* it has no antenna, however long it is in view */
    report_from(1);
    round_at(FIRST + 290);

    /* Over: nothing more goes, and the satellite has told. */
    (void)in_uplink(1, true);
    round_at(FIRST + LASTS + 20);
    assert_int_equal(in_uplink(1, false), 0);
    pass = pass_of("sat-1", FIRST);
    assert_int_equal(pass.state, CONTACT_DONE);
    assert_int_equal(pass.arrived, 55555);
    assert_true(pass.sent > CAPACITY);

    /* sat-2 gets its next one; nothing is heard. */
    round_at(7200 - 300);
    assert_true(in_uplink(2, true) > CAPACITY / 2);
    round_at(7200 + 5);
    round_at(7200 + LASTS + 601);
    assert_int_equal(pass_of("sat-2", 7200).state, CONTACT_FAILED);
    assert_int_equal(in_uplink(3, false), 0);
    round_at(9000 - 300);
    assert_true(in_uplink(3, true) > CAPACITY / 2);
    assert_true(used_by_zeta() < 60 * 1024 + SLACK);
    ground_close(&ground);
}

static void passes_tell_what_was_planned_and_sent(void **state)
{
    json_error_t why;

    (void)state;
    assert_berth("passes", 0);
    assert_said("FILL");
    assert_berth("--json passes --until 5h", 0);
    json_t *doc = json_loads(strchr(said, '{'), JSON_DISABLE_EOF_CHECK, &why);

    assert_non_null(doc);
    const json_t *list = json_object_get(doc, "passes"), *pass;
    size_t i, told = 0;

    json_array_foreach(list, i, pass) told += json_is_integer(json_object_get(pass, "sent"));
    assert_int_equal(json_array_size(list), 5);
    assert_int_equal(told, 3);
    json_decref(doc);
}

static int tear_down(void **state)
{
    for (size_t i = 0; i < SATS + 1; i++)
        close_fd(&up[i]);
    return end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_sends_by_the_schedule),
        cmocka_unit_test(passes_tell_what_was_planned_and_sent),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
