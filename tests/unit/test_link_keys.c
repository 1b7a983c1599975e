/* SPDX-License-Identifier: Apache-2.0
 *
 * link/keys and link/state: both sides derive the same keys, every direction and satellite its own,
 * and whatever is wrong with the files refuses.
 */
#include "tests/unit/link_fixture.h"

#include <errno.h>

#include <sys/stat.h>

#include "base/statefile.h"
#include "link/state.h"

static void save_and_load(void **state)
{
    struct link_tmp t = link_tmp_new();
    struct keys made = { 0 }, loaded = { 0 }, other = { 0 };
    struct err err;

    (void)state;
    assert_rc(keys_make(1, 42, &made, &err), RC_OK);
    assert_rc(keys_make(1, 42, &other, &err), RC_OK);
    assert_memory_not_equal(made.secret, other.secret, sizeof made.secret);
    assert_memory_not_equal(made.up.mac, made.down.mac, sizeof made.up.mac);
    assert_memory_not_equal(made.up.aead, made.down.aead, sizeof made.up.aead);
    assert_memory_not_equal(made.up.mac, made.up.aead, sizeof made.up.aead);
    assert_rc(keys_save(t.fd, "key", &made, &err), RC_OK);
    assert_rc(keys_load(t.fd, "key", &loaded, &err), RC_OK);
    assert_memory_equal(&made, &loaded, sizeof made);

    struct stat st;

    assert_int_equal(fstatat(t.fd, "key.a", &st, 0), 0);
    assert_int_equal(st.st_mode & 077, 0);
    keys_wipe(&loaded);
    for (size_t i = 0; i < sizeof loaded; i++)
        assert_int_equal(((const uint8_t *)&loaded)[i], 0);
    link_tmp_free(&t);
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

/* Every shape that a key file must not have. */
static void refuses_files(void **state)
{
    static const struct {
        const char *why;
        size_t n;
        uint8_t content[64];
    } rows[] = {
        { "empty", 0, { 0 } },
        { "not CBOR", 3, { 0xff, 0xff, 0xff } },
        { "short secret", 7, { 0x85, 1, 1, 2, 1, 0x41, 0 } },
        { "another format", 40, { 0x85, 2, 1, 2, 1, 0x58, 32 } },
        { "node 0", 40, { 0x85, 1, 0, 2, 1, 0x58, 32 } },
        { "same node", 40, { 0x85, 1, 2, 2, 1, 0x58, 32 } },
        { "epoch 0", 40, { 0x85, 1, 1, 2, 0, 0x58, 32 } },
        { "a byte more", 40, { 0x85, 1, 1, 2, 1, 0x58, 32 } },
    };
    struct keys keys = { .epoch = 99 };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_tmp t = link_tmp_new();

        assert_rc(keys_load(t.fd, "key", &keys, &err), RC_KEY_FILE);
        assert_rc(statefile_save(t.fd, "key", (struct bytes){ rows[i].content, rows[i].n }, &err),
                  RC_OK);
        assert_rc(keys_load(t.fd, "key", &keys, &err), RC_KEY_FILE);
        assert_int_equal(keys.epoch, 99);
        link_tmp_free(&t);
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
    assert_memory_equal(link_state_send_keys(&ground), link_state_receive_keys(&satellite),
                        sizeof(struct link_keys));
    assert_memory_equal(link_state_send_keys(&satellite), link_state_receive_keys(&ground),
                        sizeof(struct link_keys));
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
        { "replay", RC_STATE_DAMAGED },
        { "counter", RC_OK },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct link_tmp t = link_tmp_new();
        struct keys keys = { 0 };
        struct link_state s = { 0 };
        struct err err;
        char name[32];
        uint64_t counter = 0;

        assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
        assert_rc(link_state_make(t.fd, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
        snprintf(name, sizeof name, "%s.a", rows[i].file);
        assert_int_equal(unlinkat(t.fd, name, 0), 0);
        snprintf(name, sizeof name, "%s.b", rows[i].file);
        assert_true(unlinkat(t.fd, name, 0) == 0 || errno == ENOENT);
        assert_rc(link_state_open(t.fd, LINK_SIDE_SATELLITE, &s, &err), rows[i].rc);
        assert_rc(counter_next(&s.counter, t.fd, &counter, &err), RC_COUNTER);
        assert_int_equal(counter, 0);
        link_tmp_free(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(save_and_load),
        cmocka_unit_test(refuses_nodes),
        cmocka_unit_test(refuses_files),
        cmocka_unit_test(state_is_made_once),
        cmocka_unit_test(state_refuses_what_is_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
