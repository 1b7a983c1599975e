/* SPDX-License-Identifier: Apache-2.0
 *
 * berth link status, send and recv: one satellite's link worked by hand, with what a satellite says
 * sealed under its real keys.
 */
#include "tests/unit/test.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "link/dircl.h"
#include "link/outbox.h"
#include "link/transfer.h"
#include "manifest/doc.h"
#include "orchestrator/home.h"
#include "tests/unit/berth_run.h"

#define RAW_BYTES 300000U

static struct link_state satellite;
static int keys = -1;

static int set_up(void **state)
{
    (void)begin(state);
    assert_berth("key new root --role root", 0);
    assert_berth("key new operator --role operator", 0);
    assert_berth("fleet init test --root root.key --operator operator.key", 0);
    assert_berth("provision sat-1 --node 101 --up up-1 --down down-1 --out st-1", 0);
    assert_berth("provision sat-2 --node 102 --up up-2 --down down-2 --out st-2", 0);
    assert_rc(fs_open(dirfd, "st-1/link", O_RDONLY | O_DIRECTORY, 0, &keys, &err), RC_OK);
    assert_rc(link_state_open(keys, LINK_SIDE_SATELLITE, &satellite, &err), RC_OK);
    return 0;
}

static int tear_down(void **state)
{
    link_state_done(&satellite);
    close_fd(&keys);
    return end(state);
}

static bool count(void *arg, const char *name)
{
    *(unsigned *)arg += name[0] != '.';
    return true;
}

static unsigned files_in(const char *path)
{
    unsigned n = 0;
    bool more = false;

    assert_rc(fs_list(dirfd, path, 10000, count, &n, &more, &err), RC_OK);
    return n;
}

/* A report, sealed on board, in the downlink. */
static void report_comes(uint64_t seq, const struct report_traffic *traffic)
{
    static struct report report;
    static uint8_t doc[REPORT_MAX], buf[TRANSFER_MESSAGE_MAX];
    scoped(close_fd) int down = -1;
    struct transfer_message m = { .type = TRANSFER_INLINE };
    struct bytes message = { 0 };

    report = (struct report){ .satellite = "sat-1", .epoch = 1, .seq = seq, .root_version = 1 };
    report.time_ms = clock_unix_ms();
    report.traffic = *traffic;
    report.n_events = 1;
    report.event[0] = (struct report_event){ .seq = 1, .code = RC_BUNDLE_CRC, .count = 3 };
    (void)snprintf(report.event[0].what, sizeof report.event[0].what, "bundle");
    report.n_spool = 1;
    report.spool[0] = (struct report_spool){ "acme", 3, 2048, { 4, 0, 1, 2 } };
    m.whole.kind = OBJECT_REPORT;
    m.whole.serial = seq;
    assert_rc(report_encode(&report, doc, sizeof doc, &m.whole.data, &err), RC_OK);
    assert_rc(transfer_encode(&m, buf, sizeof buf, &message, &err), RC_OK);
    assert_rc(fs_open(dirfd, "down-1", O_RDONLY | O_DIRECTORY, 0, &down, &err), RC_OK);
    assert_rc(outbox_put(&satellite, "", down, message, &err), RC_OK);
    assert_rc(dircl_sync(down, &err), RC_OK);
}

/* Both copies, so that nothing can be sent under the key. */
static void spoil_counters(const char *sat)
{
    char path[128];

    for (const char *copy = "ab"; *copy; copy++) {
        print_to(path, sizeof path, "ground/home/sats/%s/link/counter-0000000000000001.%c", sat,
                 *copy);
        put(path, "no counter", 0600);
    }
}

static void queue_a_file(void)
{
    uint8_t *raw = malloc(RAW_BYTES);

    assert_non_null(raw);
    crypto_random(raw, RAW_BYTES);
    assert_rc(fs_write_file(dirfd, "raw", (struct bytes){ raw, RAW_BYTES }, 0600, &err), RC_OK);
    free(raw);
    assert_berth("uplink sat-1 raw --kind package", 0);
}

static void sends_once_within_the_budget(void **state)
{
    (void)state;
    queue_a_file();
    assert_berth("link status", 0);
    assert_said("sat-1      -           -             1, 293.0 KiB  never");
    assert_said("sat-2      -           -             -             never");
    assert_berth("link send sat-1 --bytes 50000", 0);
    const unsigned some = files_in("up-1");

    assert_in_range(some, 2, 9);
    assert_berth("link status sat-1 --json", 0);
    assert_said("\"report_age_ms\": null");
    assert_said("\"kind\": \"package\"");
    assert_said("\"bytes\": 300000");
    assert_berth("link send sat-1 --json", 0);
    assert_said("\"satellite\": \"sat-1\"");
    assert_in_range(files_in("up-1"), some + 9, some + 40);
    assert_int_equal(files_in("up-2"), 0); /* nobody else's link was touched */
    assert_berth("link send sat-1 --bytes 1", 2);
    assert_berth("link send sat-1 --files 0", 2);
    assert_berth("link send", 2);
    assert_berth("link send sat-9", 4);
    assert_said("berth link status lists them");
}

/* The counters of the contact, for goodput; there is still something to send. */
static void what_came_is_kept(void)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_heard *rows = NULL;
    char path[PATH_MAX];
    size_t n = 0;

    print_to(path, sizeof path, "%s/ground/home", dir);
    assert_rc(home_open(path, false, &home, &err), RC_OK);
    assert_rc(store_heard(home.store, "sat-1", &rows, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].contact, 3);
    assert_int_equal(rows[0].arrived, 900);
    assert_int_equal(rows[0].waiting, 1);
}

static void takes_in_what_is_authentic(void **state)
{
    const struct report_traffic traffic = {
        .contacts = 3,
        .contact = { .in = 1000, .useful = 750, .repeated = 150, .out = 64 },
        .all = { .in = 9000, .useful = 6000, .repeated = 1000, .out = 200 },
        .key_epoch = 1,
        .highest = 20,
        .accepted = 18,
    };

    (void)state;
    assert_berth("link recv sat-1", 0);
    assert_said("0 files taken in");
    report_comes(1, &traffic);
    put("down-1/noise.bundle", "no bundle", 0600);
    assert_berth("link status", 0);
    assert_said("293.0 KiB  never");
    assert_berth("link recv sat-1", 0);
    assert_said("2 files taken in: 1 new reports, 0 here before, 1 refused, the last for "
                "BUNDLE_FORMAT");
    assert_int_equal(files_in("down-1"), 0);
    assert_berth("link status sat-1", 0);
    assert_said("75 %");
    assert_said("last contact: 1000 B up (750 B useful, 150 B repeated, 100 B refused), 64 B down");
    assert_said("refused on board: BUNDLE_CRC, 3 times, bundle");
    assert_said("spool of acme: 3 objects, 2.0 MiB; refused 4 for want of room and 0 for the disk, "
                "dropped 1 that stood still and 2 for another tenant");
    assert_berth("link status sat-1 --json", 0);
    assert_said("\"BUNDLE_CRC\": 3");
    assert_said("\"dropped_room\": 2");
    what_came_is_kept();
    /* what came before is no news */
    report_comes(1, &traffic);
    assert_berth("link recv sat-1", 0);
    assert_said("1 files taken in: 0 new reports, 1 here before, 0 refused");
    /* send takes in first, too */
    report_comes(2, &traffic);
    assert_berth("link send sat-1 --json", 0);
    assert_said("\"reports\": 1");
    /* a report under the keys of sat-1 is no news of sat-2 */
    report_comes(3, &traffic);
    assert_int_equal(renameat(dirfd, "down-1", dirfd, "kept"), 0);
    assert_int_equal(renameat(dirfd, "down-2", dirfd, "down-1"), 0);
    assert_int_equal(renameat(dirfd, "kept", dirfd, "down-2"), 0);
    assert_berth("link recv sat-2 --json", 0);
    assert_said("\"reports\": 0");
    assert_said("\"refused\": 1");
}

/* What cannot be worked says why, and what is broken is shown. */
static void says_why_it_cannot(void **state)
{
    scoped(close_fd) int home = -1;
    scoped(close_fd) int lock = -1;

    (void)state;
    assert_rc(fs_open(dirfd, "ground/home", O_RDONLY | O_DIRECTORY, 0, &home, &err), RC_OK);
    assert_rc(fs_lock(home, "ground.lock", &lock, &err), RC_OK); /* as berth-ground does */
    assert_berth("link send sat-1", 1);
    assert_said("or stop berth-ground");
    assert_berth("link recv sat-1", 1);
    assert_berth("link status", 0); /* looking is always possible */
    close_fd(&lock);
    spoil_counters("sat-2");
    assert_berth("uplink sat-2 raw --kind package", 0);
    assert_berth("link send sat-2", 1);
    assert_said("COUNTER");
    assert_int_equal(files_in("up-2"), 0);
    assert_berth("--home nowhere link send sat-1", 1);
    assert_said("berth fleet init");
    assert_int_equal(renameat(dirfd, "up-2", dirfd, "gone"), 0);
    assert_berth("link recv sat-2", 1);
    assert_said("NOT_FOUND");
    assert_said("berth link status sat-2");
    assert_berth("link status sat-2", 0);
    assert_said("sat-2      NOT_FOUND");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_once_within_the_budget),
        cmocka_unit_test(takes_in_what_is_authentic),
        cmocka_unit_test(says_why_it_cannot),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
