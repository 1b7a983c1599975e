/* SPDX-License-Identifier: Apache-2.0
 *
 * link/sealkey: key files and rings come back as they were and in no other form; keys of different
 * purposes differ; and the rules of changing them.
 */
#include "tests/unit/test.h"

#include "tests/unit/seal_ends.h"

static void keyfiles_come_back(void **state)
{
    const struct keys in = seal_keys("acme", "cam", 42, 3);
    uint8_t buf[SEAL_KEYFILE_MAX];
    struct bytes file = { 0 };
    struct keys out = { 0 };
    enum seal_end to = SEAL_GROUND;
    struct err err;

    (void)state;
    assert_rc(seal_keyfile_encode(&in, SEAL_PAYLOAD, buf, &file, &err), RC_OK);
    assert_rc(seal_keyfile_decode(file, &to, &out, &err), RC_OK);
    assert_int_equal(to, SEAL_PAYLOAD);
    assert_memory_equal(&in, &out, sizeof in);
    for (size_t n = 0; n < file.n; n++)
        assert_rc(seal_keyfile_decode((struct bytes){ buf, n }, &to, &out, &err), RC_KEY_FILE);
    /* Every bit counts, but for which end it is for: an id is the key's, and both ends have one. */
    for (size_t at = 0; at < file.n; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            buf[at] ^= (uint8_t)(1U << bit);
            if (seal_keyfile_decode(file, &to, &out, &err) == RC_OK)
                assert_int_equal(to, SEAL_GROUND);
            buf[at] ^= (uint8_t)(1U << bit);
        }
    }
}

static void rings_come_back(void **state)
{
    struct seal_ring in = { .end = SEAL_PAYLOAD, .grace_ms = 99 }, out = { 0 };
    const struct keys one = seal_keys("acme", "cam", 42, 1), two = seal_keys("acme", "cam", 42, 2);
    uint8_t buf[SEAL_RING_MAX];
    struct seal_epoch *at = NULL;
    struct bytes file = { 0 };
    uint64_t dropped = 0;
    struct err err;

    (void)state;
    assert_rc(seal_ring_add(&in, &one, true, &at, &dropped, &err), RC_OK);
    assert_rc(seal_ring_add(&in, &two, true, &at, &dropped, &err), RC_OK);
    in.epoch[0].until_ms = 5;
    assert_rc(seal_ring_encode(&in, buf, sizeof buf, &file, &err), RC_OK);
    assert_rc(seal_ring_decode(file, &out, &err), RC_OK);
    assert_memory_equal(&in, &out, sizeof in);
    out.grace_ms = 7;
    for (size_t n = 0; n < file.n; n++)
        assert_rc(seal_ring_decode((struct bytes){ buf, n }, &out, &err), RC_KEY_FILE);
    assert_int_equal(out.grace_ms, 7);
    in.epoch[1].confirmed = false; /* what is not used has superseded nothing */
    assert_rc(seal_ring_encode(&in, buf, sizeof buf, &file, &err), RC_OK);
    assert_rc(seal_ring_decode(file, &out, &err), RC_KEY_FILE);
    in.epoch[1].confirmed = true;
    in.epoch[1].until_ms = 5; /* the one in use cannot be superseded */
    assert_rc(seal_ring_encode(&in, buf, sizeof buf, &file, &err), RC_OK);
    assert_rc(seal_ring_decode(file, &out, &err), RC_KEY_FILE);
    in.epoch[1] = in.epoch[0];
    assert_rc(seal_ring_encode(&in, buf, sizeof buf, &file, &err), RC_OK);
    assert_rc(seal_ring_decode(file, &out, &err), RC_KEY_FILE); /* an epoch twice */
}

/* One secret, another purpose: other keys, another number where there is one, another id. */
static void keys_are_bound_to_their_purpose(void **state)
{
    struct keys k[6] = { [0] = seal_keys("acme", "cam", 42, 1) };
    uint8_t id[6][SEAL_ID_SIZE];
    struct err err;

    (void)state;
    for (unsigned i = 1; i < 6; i++)
        k[i] = k[0];
    k[1].epoch = 2;
    k[2].satellite = 43;
    k[3].ground = 2;
    memcpy(k[4].tenant, "zeta", 5);
    memcpy(k[5].payload, "dog", 4);
    for (unsigned i = 0; i < 6; i++) {
        assert_rc(keys_derive(&k[i], &err), RC_OK);
        assert_rc(seal_key_id(&k[i], id[i], &err), RC_OK);
        assert_memory_not_equal(&k[i].up, &k[i].down, sizeof k[i].up);
        for (unsigned j = 0; j < i; j++) {
            assert_memory_not_equal(k[i].up.mac, k[j].up.mac, sizeof k[i].up.mac);
            assert_memory_not_equal(k[i].up.aead, k[j].up.aead, sizeof k[i].up.aead);
            assert_memory_not_equal(k[i].down.aead, k[j].down.aead, sizeof k[i].down.aead);
            assert_memory_not_equal(id[i], id[j], sizeof id[i]);
        }
    }
    assert_int_not_equal(keys_number(&k[0]), keys_number(&k[1]));
    assert_int_not_equal(keys_number(&k[0]), keys_number(&k[4]));
    assert_int_not_equal(keys_number(&k[0]), keys_number(&k[5]));
    /* A tenant's key of the link is another one than those of its payloads. */
    k[1] = k[0];
    k[1].payload[0] = '\0';
    assert_rc(keys_derive(&k[1], &err), RC_OK);
    assert_memory_not_equal(k[0].up.aead, k[1].up.aead, sizeof k[0].up.aead);
    k[1].tenant[0] = '\0';
    memcpy(k[1].payload, "cam", 4);
    assert_rc(keys_derive(&k[1], &err), RC_NAME);
    memcpy(k[1].tenant, "a/b", 4);
    assert_rc(keys_derive(&k[1], &err), RC_NAME);
}

struct add_row {
    const char *why;
    const char *tenant, *payload;
    uint32_t satellite, epoch;
    enum rc rc;
};

static void only_a_next_epoch_is_added(void **state)
{
    static const struct add_row rows[] = {
        { "another tenant's", "zeta", "cam", 42, 6, RC_SEAL_KEY },
        { "another payload's", "acme", "dog", 42, 6, RC_SEAL_KEY },
        { "another satellite's", "acme", "cam", 43, 6, RC_SEAL_KEY },
        { "an older epoch", "acme", "cam", 42, 4, RC_REKEY_OLD },
        { "the epoch with another secret", "acme", "cam", 42, 5, RC_EQUIVOCATION },
        { "one too far ahead", "acme", "cam", 42, 6 + SEAL_EPOCH_STEP_MAX, RC_VALUE },
        { "the last that is not", "acme", "cam", 42, 5 + SEAL_EPOCH_STEP_MAX, RC_OK },
    };
    const struct keys held = seal_keys("acme", "cam", 42, 5);
    struct seal_epoch *at = NULL;
    uint64_t dropped = 0;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct seal_ring ring = { .end = SEAL_GROUND }, before;
        const struct add_row *r = &rows[i];
        const struct keys next = seal_keys(r->tenant, r->payload, r->satellite, r->epoch);

        assert_rc(seal_ring_add(&ring, &held, false, &at, &dropped, &err), RC_OK);
        before = ring;
        if (seal_ring_add(&ring, &next, false, &at, &dropped, &err) != r->rc)
            fail_msg("%s", r->why);
        if (r->rc != RC_OK)
            assert_memory_equal(&before, &ring, sizeof ring);
    }
}

/* What waits unused gives way to a next one; else the oldest goes. */
static void two_epochs_are_held(void **state)
{
    struct seal_ring ring = { .end = SEAL_GROUND, .grace_ms = 10 };
    struct seal_epoch *at = NULL;
    struct keys k[5];
    uint64_t dropped = 0;
    struct err err;

    (void)state;
    for (uint32_t i = 0; i < 5; i++)
        k[i] = seal_keys("acme", "cam", 42, i + 1);
    assert_rc(seal_ring_add(&ring, &k[0], false, &at, &dropped, &err), RC_OK);
    assert_ptr_equal(seal_ring_sender(&ring), &ring.epoch[0]);
    assert_rc(seal_ring_add(&ring, &k[1], false, &at, &dropped, &err), RC_OK);
    assert_int_equal(dropped, 0);
    assert_ptr_equal(seal_ring_sender(&ring), &ring.epoch[0]);
    assert_rc(seal_ring_add(&ring, &k[2], false, &at, &dropped, &err), RC_OK);
    assert_int_equal(dropped, keys_number(&k[1]));
    assert_null(seal_ring_receiver(&ring, keys_number(&k[1]), 0));
    assert_non_null(seal_ring_receiver(&ring, keys_number(&k[0]), 0));

    /* One under the old one changes nothing but that it is known to be held. */
    assert_true(seal_ring_saw(&ring, &ring.epoch[0], 100));
    assert_false(seal_ring_saw(&ring, &ring.epoch[0], 100));
    assert_ptr_equal(seal_ring_sender(&ring), &ring.epoch[0]);
    assert_true(seal_ring_saw(&ring, &ring.epoch[1], 100));
    assert_false(seal_ring_saw(&ring, &ring.epoch[1], 105)); /* and the grace is not made longer */
    assert_ptr_equal(seal_ring_sender(&ring), &ring.epoch[1]);
    assert_non_null(seal_ring_receiver(&ring, keys_number(&k[0]), 109));
    assert_null(seal_ring_receiver(&ring, keys_number(&k[0]), 110));
    assert_int_equal(seal_ring_settle(&ring, 109), 0);
    assert_int_equal(seal_ring_settle(&ring, 110), keys_number(&k[0]));
    assert_int_equal(ring.n, 1);
    assert_int_equal(seal_ring_settle(&ring, 999), 0);

    assert_rc(seal_ring_add(&ring, &k[3], true, &at, &dropped, &err), RC_OK);
    assert_rc(seal_ring_add(&ring, &k[3], true, &at, &dropped, &err), RC_OK);
    assert_null(at);
    assert_rc(seal_ring_add(&ring, &k[4], false, &at, &dropped, &err), RC_OK);
    assert_int_equal(dropped, keys_number(&k[2]));
    assert_int_equal(ring.n, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyfiles_come_back),
        cmocka_unit_test(rings_come_back),
        cmocka_unit_test(keys_are_bound_to_their_purpose),
        cmocka_unit_test(only_a_next_epoch_is_added),
        cmocka_unit_test(two_epochs_are_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
