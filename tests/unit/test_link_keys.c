/* SPDX-License-Identifier: Apache-2.0
 *
 * link/keys and link/state: both sides derive the same keys, every direction and satellite its own,
 * and whatever is wrong with the files refuses.
 */
#include "tests/unit/link_fixture.h"

#include <errno.h>

#include "link/state.h"

static bool same_keys(const struct link_keys *a, const struct link_keys *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Whatever a key is bound to gives it other keys, from one secret. */
static void every_key_is_its_own(void **state)
{
    static const struct {
        uint32_t ground, satellite, epoch;
        const char *tenant;
    } rows[] = {
        { 1, 42, 1, "" },     { 1, 42, 2, "" },       { 2, 42, 1, "" },
        { 1, 43, 1, "" },     { 42, 1, 1, "" },       { 1, 42, 1, "acme" },
        { 1, 42, 2, "acme" }, { 1, 42, 1, "acme-1" }, { 1, 42, 1, "zeta" },
    };
    enum { N = sizeof rows / sizeof rows[0] };
    struct keys keys[N] = { { 0 } };
    struct err err;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        keys[i] = (struct keys){ .ground = rows[i].ground,
                                 .satellite = rows[i].satellite,
                                 .epoch = rows[i].epoch,
                                 .secret = { 7 } };
        snprintf(keys[i].tenant, sizeof keys[i].tenant, "%s", rows[i].tenant);
        assert_rc(keys_derive(&keys[i], &err), RC_OK);
        assert_false(same_keys(&keys[i].up, &keys[i].down));
        assert_memory_not_equal(keys[i].up.mac, keys[i].up.aead, sizeof keys[i].up.aead);
        for (size_t k = 0; k < i; k++) {
            assert_false(same_keys(&keys[i].up, &keys[k].up));
            assert_false(same_keys(&keys[i].down, &keys[k].down));
            assert_false(same_keys(&keys[i].up, &keys[k].down));
        }
    }
    assert_int_equal(keys_number(&keys[0]), 1);
    assert_int_equal(keys_number(&keys[1]), 2);
    assert_int_equal((uint32_t)keys_number(&keys[6]), 2);
    assert_true(keys_number(&keys[6]) >> 32 != 0);
    assert_int_equal(keys_number(&keys[5]) >> 32, keys_number(&keys[6]) >> 32);
    assert_int_not_equal(keys_number(&keys[5]), keys_number(&keys[8]));

    struct keys made = { 0 }, other = { 0 };

    assert_rc(keys_make(1, 42, &made, &err), RC_OK);
    assert_rc(keys_make(1, 42, &other, &err), RC_OK);
    assert_memory_not_equal(made.secret, other.secret, sizeof made.secret);
    assert_int_equal(made.epoch, 1);
    keys_wipe(&made);
    for (size_t i = 0; i < sizeof made; i++)
        assert_int_equal(((const uint8_t *)&made)[i], 0);
}

static void refuses_what_cannot_be(void **state)
{
    struct keys keys = { .ground = 1, .satellite = 2, .epoch = 0 };
    struct err err;

    (void)state;
    assert_rc(keys_derive(&keys, &err), RC_VALUE);
    keys.epoch = 1;
    snprintf(keys.tenant, sizeof keys.tenant, "Acme");
    assert_rc(keys_derive(&keys, &err), RC_NAME);
}

static void refuses_nodes(void **state)
{
    static const struct {
        uint32_t ground, satellite;
    } rows[] = { { 0, 1 }, { 1, 0 }, { 7, 7 } };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct keys keys = { .epoch = 99 };
        struct err err;

        assert_rc(keys_make(rows[i].ground, rows[i].satellite, &keys, &err), RC_VALUE);
        assert_int_equal(keys.epoch, 99);
    }
}

static void state_is_made_once(void **state)
{
    struct link_tmp up = link_tmp_new(), down = link_tmp_new();
    struct keys keys = { 0 };
    struct link_state ground = { 0 }, satellite = { 0 };
    struct err err;

    (void)state;
    assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
    assert_rc(link_state_open(up.fd, LINK_SIDE_GROUND, &ground, &err), RC_KEY_FILE);
    assert_rc(link_state_make(up.fd, LINK_SIDE_GROUND, &keys, &err), RC_OK);
    assert_rc(link_state_make(up.fd, LINK_SIDE_GROUND, &keys, &err), RC_EXISTS);
    assert_rc(link_state_make(down.fd, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
    assert_rc(link_state_open(up.fd, LINK_SIDE_GROUND, &ground, &err), RC_OK);
    assert_rc(link_state_open(down.fd, LINK_SIDE_SATELLITE, &satellite, &err), RC_OK);
    assert_int_equal(link_state_self(&ground), 1);
    assert_int_equal(link_state_peer(&ground), 42);
    assert_int_equal(link_state_self(&satellite), 42);
    const struct link_key *g = &ground.ring->key[0], *s = &satellite.ring->key[0];

    assert_true(
        same_keys(link_state_send_keys(&ground, g), link_state_receive_keys(&satellite, s)));
    assert_true(
        same_keys(link_state_send_keys(&satellite, s), link_state_receive_keys(&ground, g)));
    link_state_done(&ground);
    link_state_done(&satellite);
    /* The wrong side's state does not open: its window is of another peer. */
    assert_rc(link_state_open(down.fd, LINK_SIDE_GROUND, &ground, &err), RC_STATE_DAMAGED);
    link_tmp_free(&up);
    link_tmp_free(&down);
}

static void state_refuses_what_is_lost(void **state)
{
    static const struct {
        const char *file;
        enum rc rc;
    } rows[] = {
        { "key", RC_KEY_FILE },
        { "replay-0000000000000001", RC_STATE_DAMAGED },
        { "counter-0000000000000001", RC_OK },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_tmp t = link_tmp_new();
        struct keys keys = { 0 };
        struct link_state s = { 0 };
        struct err err;
        char name[64];
        uint64_t counter = 0;

        assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
        assert_rc(link_state_make(t.fd, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
        snprintf(name, sizeof name, "%s.a", rows[i].file);
        assert_int_equal(unlinkat(t.fd, name, 0), 0);
        snprintf(name, sizeof name, "%s.b", rows[i].file);
        assert_true(unlinkat(t.fd, name, 0) == 0 || errno == ENOENT);
        assert_rc(link_state_open(t.fd, LINK_SIDE_SATELLITE, &s, &err), rows[i].rc);
        if (rows[i].rc == RC_OK)
            assert_rc(counter_next(&s.ring->key[0].counter, t.fd, &counter, &err), RC_COUNTER);
        assert_int_equal(counter, 0);
        link_state_done(&s);
        link_tmp_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_its_own),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(refuses_nodes),
        cmocka_unit_test(state_is_made_once),
        cmocka_unit_test(state_refuses_what_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
