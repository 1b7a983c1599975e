/* SPDX-License-Identifier: Apache-2.0
 *
 * link/counter: no number twice, whatever is cut off or damaged.
 */
#include "tests/unit/link_fixture.h"

#include "base/cbor.h"
#include "base/statefile.h"
#include "link/counter.h"

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
        bool both = faccessat(t.fd, "counter.b", F_OK, 0) == 0;

        if (both && link_random(&seed) % 3 == 0)
            link_flip(t.fd, link_random(&seed) % 2 == 0 ? "counter.a" : "counter.b",
                      (off_t)(link_random(&seed) % 24));
    }
    link_tmp_free(&t);
}

/* The newer copy is gone altogether, as after a repair of the file system: the older one is a lease
 * behind, and its numbers are in use. */
static void a_copy_is_lost(void **state)
{
    static const char *const names[] = { "counter.a", "counter.b" };

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
    link_flip(t.fd, "counter.a", 20);
    link_flip(t.fd, "counter.b", 20);
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
    cbor_put_uint(&w, UINT64_MAX - COUNTER_LEASE);
    assert_rc(statefile_save(t.fd, "counter", (struct bytes){ buf, w.n }, &err), RC_OK);
    assert_rc(counter_load(t.fd, 1, &c, &err), RC_OK);
    assert_rc(counter_next(&c, t.fd, &got, &err), RC_COUNTER);
    assert_int_equal(got, 0);
    link_tmp_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_up),
        cmocka_unit_test(never_repeats),
        cmocka_unit_test(a_copy_is_lost),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(ends_before_it_wraps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
