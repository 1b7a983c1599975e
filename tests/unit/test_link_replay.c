/* SPDX-License-Identifier: Apache-2.0
 *
 * link/replay: a counter is accepted once, in any order within the window, across restarts and with
 * one copy of the state file damaged.
 */
#include "tests/unit/link_fixture.h"

#include "link/replay.h"

static void window_rules(void **state)
{
    static const struct {
        uint64_t counter;
        enum rc rc;
    } rows[] = {
        { 0, RC_VALUE },
        { REPLAY_JUMP_MAX + 1, RC_REPLAY_JUMP },
        { UINT64_MAX, RC_REPLAY_JUMP },
        { 5, RC_OK },
        { 5, RC_REPLAY },
        { 3, RC_OK },
        { 4, RC_OK },
        { 3, RC_REPLAY },
        { 5 + REPLAY_JUMP_MAX + 1, RC_REPLAY_JUMP },
        { 1028, RC_OK }, /* window is 5..1028 */
        { 5, RC_REPLAY },
        { 4, RC_REPLAY_OLD },
        { 1, RC_REPLAY_OLD },
        { 6, RC_OK },
        { 1029, RC_OK }, /* takes the bit of 5 */
        { 5, RC_REPLAY_OLD },
        { 1028 + REPLAY_JUMP_MAX, RC_OK },
        { 1029, RC_REPLAY_OLD },
        { 1027 + REPLAY_JUMP_MAX, RC_OK },
        { 1027 + REPLAY_JUMP_MAX, RC_REPLAY },
    };
    struct link_tmp t = link_tmp_new();
    struct replay r = { 0 };
    struct err err;

    (void)state;
    assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_STATE_DAMAGED);
    assert_rc(replay_make(t.fd, 1, 1, &err), RC_OK);
    assert_rc(replay_load(t.fd, 2, 1, &r, &err), RC_STATE_DAMAGED);
    assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_rc(replay_accept(&r, rows[i].counter, &err), rows[i].rc);
    link_tmp_free(&t);
}

/* Random counters near the front, batches, restarts, damage: nothing that was saved comes twice. */
static void never_twice(void **state)
{
    enum { SPACE = 60000 };
    struct link_tmp t = link_tmp_new();
    struct replay r = { 0 };
    struct err err;
    uint64_t seed = 11;
    uint8_t *saved = calloc(1, SPACE);
    uint64_t front = 1, accepted = 0;

    (void)state;
    assert_rc(replay_make(t.fd, 1, 1, &err), RC_OK);
    assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_OK);
    for (int batch = 0; batch < 400; batch++) {
        uint64_t got[64];
        size_t n = 0;

        for (int i = 0; i < 60; i++) {
            front += link_random(&seed) % 3;
            uint64_t c = front > 900 ? front - link_random(&seed) % 900 : front;

            assert_true(c < SPACE);
            if (replay_accept(&r, c, &err) == RC_OK) {
                assert_int_equal(saved[c], 0);
                got[n++] = c;
            }
        }
        if (link_random(&seed) % 4 != 0) { /* else: power cut before the save */
            assert_rc(replay_save(&r, t.fd, &err), RC_OK);
            for (size_t i = 0; i < n; i++)
                saved[got[i]] = 1;
            accepted += n;
            if (link_random(&seed) % 3 != 0)
                continue;
            if (faccessat(t.fd, "replay-0000000000000001.b", F_OK, 0) == 0 &&
                link_random(&seed) % 3 == 0)
                link_flip(t.fd,
                          link_random(&seed) % 2 == 0 ? "replay-0000000000000001.a"
                                                      : "replay-0000000000000001.b",
                          (off_t)(link_random(&seed) % 100));
        }
        assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_OK);
        if (link_random(&seed) % 2 == 0)
            assert_rc(replay_save(&r, t.fd, &err), RC_OK); /* repairs a damaged copy */
        front = front < r.high ? r.high : front;           /* the sender goes on above */
    }
    assert_true(accepted > 5000);
    free(saved);
    link_tmp_free(&t);
}

/* A jump far ahead in one batch, then the newer copy is damaged or gone: still refused. */
static void jump_and_damage(void **state)
{
    (void)state;
    for (int row = 0; row < 4; row++) {
        const char *copy = row % 2 == 0 ? "replay-0000000000000001.a" : "replay-0000000000000001.b";
        struct link_tmp t = link_tmp_new();
        struct replay r = { 0 };
        struct err err;

        assert_rc(replay_make(t.fd, 1, 1, &err), RC_OK);
        assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_OK);
        assert_rc(replay_accept(&r, 100000, &err), RC_OK);
        assert_rc(replay_save(&r, t.fd, &err), RC_OK);
        if (row < 2)
            link_flip(t.fd, copy, 30);
        else
            assert_int_equal(unlinkat(t.fd, copy, 0), 0);
        assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_OK);
        assert_rc(replay_accept(&r, 100000, &err), RC_REPLAY);
        assert_rc(replay_accept(&r, 100000 + REPLAY_SKIP, &err), RC_REPLAY);
        assert_rc(replay_accept(&r, 100001 + REPLAY_SKIP, &err), RC_OK);
        link_tmp_free(&t);
    }
}

/* One bundle, saved; then the copy that knows of it is gone. */
static void a_copy_is_lost(void **state)
{
    static const char *const names[] = { "replay-0000000000000001.a", "replay-0000000000000001.b" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct link_tmp t = link_tmp_new();
        struct replay r = { 0 };
        struct err err;

        assert_rc(replay_make(t.fd, 1, 1, &err), RC_OK);
        assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_OK);
        assert_rc(replay_accept(&r, 7, &err), RC_OK);
        assert_rc(replay_save(&r, t.fd, &err), RC_OK);
        assert_int_equal(unlinkat(t.fd, names[i], 0), 0);
        assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_OK);
        assert_rc(replay_accept(&r, 7, &err), RC_REPLAY);
        link_tmp_free(&t);
    }
}

/* Each key has a window of its own, and no other's. */
static void keys(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct replay r = { 0 }, next = { 0 };
    struct err err;

    (void)state;
    assert_rc(replay_make(t.fd, 1, 1, &err), RC_OK);
    assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_OK);
    assert_rc(replay_accept(&r, 9, &err), RC_OK);
    assert_rc(replay_save(&r, t.fd, &err), RC_OK);
    assert_rc(replay_load(t.fd, 1, 2, &next, &err), RC_STATE_DAMAGED); /* not made */
    assert_rc(replay_make(t.fd, 1, 2, &err), RC_OK);
    assert_rc(replay_load(t.fd, 1, 2, &next, &err), RC_OK);
    assert_rc(replay_accept(&next, 9, &err), RC_OK);
    assert_rc(replay_save(&next, t.fd, &err), RC_OK);
    assert_rc(replay_load(t.fd, 1, 1, &r, &err), RC_OK);
    assert_rc(replay_accept(&r, 9, &err), RC_REPLAY);
    assert_rc(replay_accept(&r, 10, &err), RC_OK);
    assert_rc(replay_load(t.fd, 7, 1, &r, &err), RC_STATE_DAMAGED); /* of another peer */
    /* One under the name of the other. */
    assert_int_equal(renameat(t.fd, "replay-0000000000000001.a", t.fd, "replay-0000000000000002.a"),
                     0);
    assert_int_equal(renameat(t.fd, "replay-0000000000000001.b", t.fd, "replay-0000000000000002.b"),
                     0);
    assert_rc(replay_load(t.fd, 1, 2, &next, &err), RC_STATE_DAMAGED);
    link_tmp_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(window_rules),
        cmocka_unit_test(never_twice),
        cmocka_unit_test(jump_and_damage),
        cmocka_unit_test(a_copy_is_lost),
        cmocka_unit_test(keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
