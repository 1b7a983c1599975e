/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "sim/carrier.h"

/* Passes repeat, last as long as they should, and are spread over the satellites. */
static void test_contact(void **state)
{
    const struct carrier_link link = { .pass_ms = 300, .gap_ms = 600 };
    const struct carrier_link always = { .pass_ms = 1 };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        unsigned in = 0;
        unsigned alone = 0;

        for (uint64_t t = 0; t < 9000; t++) {
            bool now = carrier_contact(&link, t, i, 3);

            in += now ? 1 : 0;
            alone += now && !carrier_contact(&link, t, (i + 1) % 3, 3) ? 1 : 0;
            assert_int_equal(now, carrier_contact(&link, t + 900, i, 3));
            assert_true(carrier_contact(&always, t, i, 3));
        }
        assert_int_equal(in, 3000);
        assert_int_equal(alone, 3000);
    }
}

/* The shares of lost, doubled and damaged files come out as asked for, and one seed gives one
 * story. */
static void test_fate(void **state)
{
    const struct carrier_link link = { .loss_ppm = 200000,
                                       .duplicate_ppm = 50000,
                                       .corrupt_ppm = 30000,
                                       .reorder_ppm = 100000,
                                       .delay_ms = 500 };
    struct rng one = rng_make(7, 1);
    struct rng same = rng_make(7, 1);
    struct rng other = rng_make(8, 1);
    unsigned lost = 0;
    unsigned doubled = 0;
    unsigned damaged = 0;
    unsigned late = 0;
    unsigned differ = 0;
    const unsigned n = 100000;

    (void)state;
    for (unsigned i = 0; i < n; i++) {
        struct carrier_fate a = carrier_fate(&link, &one);
        struct carrier_fate b = carrier_fate(&link, &same);
        struct carrier_fate c = carrier_fate(&link, &other);

        assert_int_equal(a.lost, b.lost);
        assert_int_equal(a.delay_ms, b.delay_ms);
        differ += a.lost != c.lost ? 1 : 0;
        lost += a.lost ? 1 : 0;
        doubled += a.doubled ? 1 : 0;
        damaged += a.damaged ? 1 : 0;
        late += a.delay_ms > 0 ? 1 : 0;
        assert_true(a.delay_ms <= link.delay_ms);
    }
    assert_in_range(lost, n * 19 / 100, n * 21 / 100);
    assert_in_range(doubled, n * 4 / 100, n * 6 / 100);
    assert_in_range(damaged, n * 2 / 100, n * 4 / 100);
    assert_in_range(late, n * 9 / 100, n * 11 / 100);
    assert_true(differ > n / 10);
}

static void test_damage(void **state)
{
    struct rng rng = rng_make(1, 1);

    (void)state;
    for (unsigned round = 0; round < 1000; round++) {
        uint8_t data[5] = { 0 };
        unsigned bits = 0;

        carrier_damage(data, sizeof data, &rng);
        for (size_t i = 0; i < sizeof data; i++)
            bits += (unsigned)__builtin_popcount(data[i]);
        assert_int_equal(bits, 1);
    }
}

struct lane {
    char top[64];
    int dir[5];
};

static bool count_one(void *arg, const char *name)
{
    unsigned *n = arg;

    (*n) += name[0] != '.' ? 1 : 0;
    return true;
}

static unsigned files_in(int dir)
{
    unsigned n = 0;
    struct err err;

    assert_rc(fs_list(dir, ".", 1000, count_one, &n, NULL, &err), RC_OK);
    return n;
}

/* The real process over real directories: without faults everything arrives, whole, both ways. */
static void test_process(void **state)
{
    static const char *const names[] = { "up", "uplink", "downlink", "down", "capture" };
    const struct carrier_link link = { .pass_ms = 50, .gap_ms = 50, .rate = 1U << 20 };
    const struct timespec pause = { .tv_nsec = 10000000 };
    struct lane lane = { .top = "/tmp/berth-test-XXXXXX" };
    struct carrier carrier;
    struct err err;
    uint8_t got[16];
    size_t n = 0;

    (void)state;
    assert_non_null(mkdtemp(lane.top));
    scoped(close_fd) int top = open(lane.top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; i < 5; i++)
        assert_rc(fs_open_dir(top, names[i], 0755, &lane.dir[i], &err), RC_OK);
    for (unsigned i = 0; i < 20; i++) {
        char name[32];

        (void)snprintf(name, sizeof name, "%02u.bundle", i);
        assert_rc(fs_write_file(lane.dir[0], name, bytes_of("up"), 0644, &err), RC_OK);
        assert_rc(fs_write_file(lane.dir[2], name, bytes_of("down"), 0644, &err), RC_OK);
    }

    const struct carrier_satellite sat = { .id = "one",
                                           .from_ground = lane.dir[0],
                                           .to_satellite = lane.dir[1],
                                           .from_satellite = lane.dir[2],
                                           .to_ground = lane.dir[3],
                                           .capture = lane.dir[4] };
    uint64_t began = clock_mono_ms();

    assert_rc(carrier_start(&link, 1, &sat, 1, &carrier, &err), RC_OK);
    while ((files_in(lane.dir[1]) < 20 || files_in(lane.dir[3]) < 20) &&
           clock_mono_ms() - began < 300000)
        (void)nanosleep(&pause, NULL); /* the deadline fails the test, not the pause */
    carrier_stop(&carrier);
    assert_int_equal(files_in(lane.dir[0]), 0);
    assert_int_equal(files_in(lane.dir[1]), 20);
    assert_int_equal(files_in(lane.dir[3]), 20);
    assert_int_equal(files_in(lane.dir[4]), 20);
    assert_int_equal(carrier.counts->delivered, 40);
    assert_int_equal(carrier.counts->lost, 0);
    assert_rc(fs_read_file(lane.dir[1], "0000000000000000.bundle", got, sizeof got, &n, &err),
              RC_OK);
    assert_memory_equal(got, "up", 2);
    for (size_t i = 0; i < 5; i++)
        close_fd(&lane.dir[i]);
    assert_rc(fs_remove_tree(AT_FDCWD, lane.top, &err), RC_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contact),
        cmocka_unit_test(test_fate),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
