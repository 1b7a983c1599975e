/* SPDX-License-Identifier: Apache-2.0
 *
 * link/counter: no number twice, whatever is cut off or damaged.
 */
#include "tests/unit/link_fixture.h"

#include "base/cbor.h"
#include "base/statefile.h"
#include "link/counter.h"
#include "link/replay.h"

static void counts_up(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct counter c = { 0 };
    struct err err;
    uint64_t got = 0;

    (void)state;
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_COUNTER);
    assert_rc(counter_next(&c, t.fd, &got, &err), RC_COUNTER);
    assert_rc(counter_make(t.fd, 1, &err), RC_OK);
    assert_rc(counter_load(t.fd, 2, &c, &err), RC_COUNTER);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    for (uint64_t want = 1; want <= 2 * COUNTER_LEASE + 3; want++) {
        assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
        assert_int_equal(got, want);
    }
    link_tmp_free(&t);
}

/* Restart after every few numbers, with one copy of the file damaged now and then: always higher.
 */
static void never_repeats(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct err err;
    uint64_t last = 0, seed = 7;

    (void)state;
    assert_rc(counter_make(t.fd, 1, &err), RC_OK);
    for (int round = 0; round < 200; round++) {
        struct counter c = { 0 };
        uint64_t n = link_random(&seed) % 600;

        assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
        for (uint64_t i = 0; i < n; i++) {
            uint64_t got = 0;

            assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
            assert_true(got > last);
            last = got;
        }
        bool both = faccessat(t.fd, "counter-0000000000000001.b", F_OK, 0) == 0;

        if (both && link_random(&seed) % 3 == 0)
            link_flip(t.fd,
                      link_random(&seed) % 2 == 0 ? "counter-0000000000000001.a"
                                                  : "counter-0000000000000001.b",
                      (off_t)(link_random(&seed) % 24));
    }
    link_tmp_free(&t);
}

/* The newer copy is gone altogether, as after a repair of the file system: the older one is a lease
 * behind, and its numbers are in use. */
static void a_copy_is_lost(void **state)
{
    static const char *const names[] = { "counter-0000000000000001.a",
                                         "counter-0000000000000001.b" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t n = 1; n <= 3 * COUNTER_LEASE; n += COUNTER_LEASE) {
            struct link_tmp t = link_tmp_new();
            struct counter c = { 0 };
            struct err err;
            uint64_t last = 0, got = 0;

            assert_rc(counter_make(t.fd, 1, &err), RC_OK);
            assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
            for (uint64_t k = 0; k < n; k++)
                assert_rc(counter_next(&c, t.fd, &last, &err), RC_OK);
            assert_int_equal(unlinkat(t.fd, names[i], 0), 0);
            assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
            assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
            assert_true(got > last);
            link_tmp_free(&t);
        }
    }
}

static void refuses_damage(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct counter c = { 0 };
    struct err err;
    uint64_t got = 0;

    (void)state;
    assert_rc(counter_make(t.fd, 1, &err), RC_OK);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
    link_flip(t.fd, "counter-0000000000000001.a", 20);
    link_flip(t.fd, "counter-0000000000000001.b", 20);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_COUNTER);
    /* The one that runs goes on with what it has leased, and then stops. */
    for (uint64_t i = 2; i <= COUNTER_LEASE; i++)
        assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
    assert_rc(counter_next(&c, t.fd, &got, &err), RC_COUNTER);
    assert_rc(counter_next(&c, t.fd, &got, &err), RC_COUNTER);
    assert_int_equal(got, COUNTER_LEASE);
    link_tmp_free(&t);
}

static void ends_before_it_wraps(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct counter c = { 0 };
    struct err err;
    uint64_t got = 0;
    uint8_t buf[32];
    struct cbor_out w = { .p = buf, .cap = sizeof buf };

    (void)state;
    cbor_put_array(&w, 2);
    cbor_put_uint(&w, 1);
    cbor_put_uint(&w, COUNTER_MAX - COUNTER_LEASE + 1);
    assert_rc(statefile_save(t.fd, "counter-0000000000000001", (struct bytes){ buf, w.n }, &err),
              RC_OK);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    assert_rc(counter_next(&c, t.fd, &got, &err), RC_COUNTER);
    assert_int_equal(got, 0);
    link_tmp_free(&t);
}

/* Both copies damaged while it counts: a scrub writes them anew from memory, and no number comes
 * twice, before the next start or behind it. */
static void scrub_keeps_counting_up(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct err err;
    uint64_t last = 0, seed = 11;

    (void)state;
    assert_rc(counter_make(t.fd, 1, &err), RC_OK);
    for (int round = 0; round < 50; round++) {
        struct counter c = { 0 };
        struct scrubbed count = { 0 };
        uint64_t got = 0;

        assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
        for (uint64_t i = link_random(&seed) % 600; i > 0; i--) {
            assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
            assert_true(got > last);
            last = got;
        }
        link_flip(t.fd, "counter-0000000000000001.a", (off_t)(link_random(&seed) % 24));
        if (round % 2)
            link_flip(t.fd, "counter-0000000000000001.b", (off_t)(link_random(&seed) % 24));
        assert_rc(counter_scrub(&c, t.fd, &count, &err), RC_OK);
        assert_int_equal(count.damaged, 1 + round % 2);
        assert_int_equal(count.repaired, count.damaged);
    }
    struct counter broken = { .broken = true, .key = 1 };
    struct scrubbed count = { 0 };
    link_flip(t.fd, "counter-0000000000000001.a", 30);
    assert_rc(counter_scrub(&broken, t.fd, &count, &err), RC_OK); /* knows nothing better */
    assert_int_equal(count.files, 0);
    link_tmp_free(&t);
}

/* Copy the state files, as a backup does. */
static void copy_files(int from, int to)
{
    static const char *const names[] = { "counter-0000000000000001.a",
                                         "counter-0000000000000001.b" };

    for (size_t i = 0; i < 2; i++) {
        uint8_t buf[256];
        size_t n = 0;
        struct err err;

        assert_rc(fs_read_file(from, names[i], buf, sizeof buf, &n, &err), RC_OK);
        assert_rc(fs_write_file(to, names[i], (struct bytes){ buf, n }, 0600, &err), RC_OK);
    }
}

/* The directory is lost and comes back from an old backup, again and again from the same one: the
 * counter goes ahead of all that was used since, by no more than the other end allows, and if a
 * number should come twice, its salt does not. */
static void an_old_backup_comes_back(void **state)
{
    struct link_tmp backup = link_tmp_new();
    struct err err;
    uint64_t salts[40];
    uint64_t end = 0;

    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct link_tmp t = link_tmp_new();
        struct counter c = { 0 };
        uint64_t got = 0;

        if (round == 0)
            assert_rc(counter_make(t.fd, 1, &err), RC_OK);
        else
            copy_files(backup.fd, t.fd);
        assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
        assert_int_equal(c.restored, round > 0);
        salts[round] = c.salt;
        for (unsigned i = 0; i < 3; i++)
            assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
        if (round == 0) {
            end = c.end;
            copy_files(t.fd, backup.fd);
            for (unsigned i = 0; i < 10000; i++) /* used and lost */
                assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
        } else {
            assert_true(got - end >= COUNTER_RESTORED_MIN && got > end + 10000);
            assert_true(got - end < REPLAY_JUMP_MAX);
        }
        assert_true(c.salt != salts[round]); /* another one with the lease */
        salts[20 + round] = c.salt;
        uint64_t last = c.end;

        /* Started again in its place, it goes on where it was. */
        assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
        assert_false(c.restored);
        assert_int_equal(c.next, last);
        link_tmp_free(&t);
    }
    for (unsigned i = 0; i < 40; i++) {
        assert_true(salts[i] >> 56 == 0);
        for (unsigned k = 0; k < i; k++)
            assert_true(salts[i] != salts[k]);
    }
    link_tmp_free(&backup);
}

/* An older file is put over the newer one in the same directory: nothing shows it but what the
 * other end has seen. */
static void an_old_file_in_place(void **state)
{
    struct link_tmp backup = link_tmp_new(), t = link_tmp_new();
    struct counter c = { 0 };
    struct err err;
    uint64_t got = 0, seen = 0;

    (void)state;
    assert_rc(counter_make(t.fd, 1, &err), RC_OK);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    for (unsigned i = 0; i < 300; i++)
        assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
    assert_false(counter_pass(&c, got)); /* as it should be */
    assert_int_equal(c.next, got + 1);
    copy_files(t.fd, backup.fd);
    for (unsigned i = 0; i < 5000; i++)
        assert_rc(counter_next(&c, t.fd, &seen, &err), RC_OK);
    copy_files(backup.fd, t.fd);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    assert_false(c.restored);
    assert_true(c.next < seen);
    assert_true(counter_pass(&c, seen));
    for (unsigned i = 0; i < 2; i++) { /* and behind a restart */
        assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
        assert_in_range(got, seen + COUNTER_RESTORED_MIN, seen + COUNTER_RESTORED_MAX + 1000);
        assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    }
    link_tmp_free(&t);
    link_tmp_free(&backup);
}

/* One that was closed and is opened again in the same process uses its lease up, unless somebody
 * else has leased meanwhile: never the same number twice. */
static void the_rest_of_a_lease(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct counter c = { 0 }, left, other = { 0 };
    struct err err;
    uint64_t got = 0, last = 0;

    (void)state;
    assert_rc(counter_make(t.fd, 1, &err), RC_OK);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    assert_false(counter_go_on(&c, &(const struct counter){ 0 }));
    for (unsigned i = 0; i < 3 * COUNTER_LEASE; i++) {
        assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
        assert_int_equal(got, last + 1);
        last = got;
        left = c;
        assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
        assert_int_equal(counter_go_on(&c, &left), left.next < left.end);
    }
    assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
    left = c;

    assert_rc(counter_load(t.fd, 1, &other, &err), RC_OK); /* used nothing */
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    assert_true(counter_go_on(&c, &left));
    assert_false(counter_go_on(&c, &left)); /* once */
    assert_rc(counter_next(&other, t.fd, &last, &err), RC_OK);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    assert_false(counter_go_on(&c, &left));
    assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
    assert_true(got > last);

    for (unsigned i = 0; i < 6; i++) {
        assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
        assert_rc(counter_next(&c, t.fd, &got, &err), RC_OK);
        left = c;
        left.key += i == 0;
        left.place += i == 1;
        left.broken = i == 2;
        left.unsure = i == 3;
        left.end += i == 4;
        assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
        c.restored = i == 5;
        assert_false(counter_go_on(&c, &left));
        assert_int_equal(c.next, c.end);
    }
    assert_int_equal(unlinkat(t.fd, "counter-0000000000000001.a", 0), 0);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK); /* perhaps the newer one is gone */
    left.end = left.saved;
    assert_false(counter_go_on(&c, &left));
    link_tmp_free(&t);
}

/* What the other end says of it is bounded. */
static void what_is_seen_is_not_all_believed(void **state)
{
    static const struct {
        const char *why;
        uint64_t next, seen;
        bool broken, moved;
    } rows[] = {
        { "nothing seen", 100, 0, false, false },
        { "the last one", 100, 99, false, false },
        { "one more", 100, 100, false, true },
        { "as far as is believed", 100, 99 + COUNTER_BEHIND_MAX, false, true },
        { "too far", 100, 100 + COUNTER_BEHIND_MAX, false, false },
        { "all", 100, UINT64_MAX, false, false },
        { "near the end", COUNTER_MAX - COUNTER_LEASE - 10, COUNTER_MAX - COUNTER_LEASE, false,
          false },
        { "a counter that is not usable", 100, 200, true, false },
        { "nor this one", 0, 200, false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct counter c = { .next = rows[i].next, .end = 300, .broken = rows[i].broken };

        if (counter_pass(&c, rows[i].seen) != rows[i].moved ||
            (rows[i].moved ? c.next <= rows[i].seen || c.end != c.next
                           : c.next != rows[i].next || c.end != 300))
            fail_msg("%s", rows[i].why);
    }
}

/* What provisioning made elsewhere begins at 1 all the same. */
static void provisioned_elsewhere(void **state)
{
    struct link_tmp ground = link_tmp_new(), board = link_tmp_new();
    struct counter c = { 0 };
    struct err err;
    uint64_t got = 0;

    (void)state;
    assert_rc(counter_make(ground.fd, 1, &err), RC_OK);
    copy_files(ground.fd, board.fd);
    assert_rc(counter_load(board.fd, 1, &c, &err), RC_OK);
    assert_false(c.restored);
    assert_rc(counter_next(&c, board.fd, &got, &err), RC_OK);
    assert_int_equal(got, 1);
    link_tmp_free(&ground);
    link_tmp_free(&board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_up),
        cmocka_unit_test(never_repeats),
        cmocka_unit_test(scrub_keeps_counting_up),
        cmocka_unit_test(a_copy_is_lost),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(ends_before_it_wraps),
        cmocka_unit_test(an_old_backup_comes_back),
        cmocka_unit_test(an_old_file_in_place),
        cmocka_unit_test(the_rest_of_a_lease),
        cmocka_unit_test(what_is_seen_is_not_all_believed),
        cmocka_unit_test(provisioned_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
