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
    assert_rc(seal_ring_add(&in, &one, SEAL_INSTALLED, &at, &dropped, &err), RC_OK);
    assert_rc(seal_ring_add(&in, &two, SEAL_INSTALLED, &at, &dropped, &err), RC_OK);
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

        assert_rc(seal_ring_add(&ring, &held, SEAL_MADE, &at, &dropped, &err), RC_OK);
        before = ring;
        if (seal_ring_add(&ring, &next, SEAL_MADE, &at, &dropped, &err) != r->rc)
            fail_msg("%s", r->why);
        if (r->rc != RC_OK)
            assert_memory_equal(&before, &ring, sizeof ring);
    }
}

/* No next one is made before the last step is over, unless what waits is given up for it. */
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
    assert_rc(seal_ring_add(&ring, &k[0], SEAL_MADE, &at, &dropped, &err), RC_OK);
    assert_ptr_equal(seal_ring_sender(&ring), &ring.epoch[0]);
    assert_rc(seal_ring_add(&ring, &k[1], SEAL_MADE, &at, &dropped, &err), RC_OK);
    assert_int_equal(dropped, 0);
    assert_ptr_equal(seal_ring_sender(&ring), &ring.epoch[0]);
    assert_int_equal(seal_ring_next(&ring), 4);
    assert_rc(seal_ring_add(&ring, &k[2], SEAL_MADE, &at, &dropped, &err), RC_BUSY);
    assert_non_null(seal_ring_receiver(&ring, keys_number(&k[1]), 0));
    assert_rc(seal_ring_add(&ring, &k[2], SEAL_MADE_ANEW, &at, &dropped, &err), RC_OK);
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

    assert_rc(seal_ring_add(&ring, &k[3], SEAL_INSTALLED, &at, &dropped, &err), RC_OK);
    assert_rc(seal_ring_add(&ring, &k[3], SEAL_INSTALLED, &at, &dropped, &err), RC_OK);
    assert_null(at);
    assert_int_equal(seal_ring_next(&ring), 5);
    assert_rc(seal_ring_add(&ring, &k[4], SEAL_MADE, &at, &dropped, &err), RC_BUSY);
    assert_true(seal_ring_saw(&ring, &ring.epoch[1], 200));
    assert_rc(seal_ring_add(&ring, &k[4], SEAL_MADE, &at, &dropped, &err), RC_OK);
    assert_int_equal(dropped, keys_number(&k[2]));
    assert_int_equal(ring.n, 2);
}

/* Who made the next one holds the one before, also if nothing under that has come; who left out a
 * number does not. */
static void a_next_one_tells_of_the_one_before(void **state)
{
    struct seal_ring start = { .end = SEAL_GROUND, .grace_ms = 10 }, ring;
    struct seal_epoch *at = NULL;
    struct keys k[4];
    uint64_t dropped = 0;
    struct err err;

    (void)state;
    for (uint32_t i = 0; i < 4; i++)
        k[i] = seal_keys("acme", "cam", 42, i + 1);
    assert_rc(seal_ring_add(&start, &k[0], SEAL_MADE, &at, &dropped, &err), RC_OK);
    assert_rc(seal_ring_add(&start, &k[1], SEAL_MADE, &at, &dropped, &err), RC_OK);

    ring = start;
    assert_rc(seal_ring_add(&ring, &k[2], SEAL_INSTALLED, &at, &dropped, &err), RC_OK);
    assert_int_equal(dropped, keys_number(&k[0]));
    assert_non_null(seal_ring_receiver(&ring, keys_number(&k[1]), 0));
    assert_true(ring.epoch[0].confirmed);

    for (unsigned used = 0; used < 2; used++) {
        ring = start;
        ring.epoch[1].confirmed = used != 0;
        assert_rc(seal_ring_add(&ring, &k[3], SEAL_INSTALLED, &at, &dropped, &err), RC_OK);
        assert_int_equal(dropped, keys_number(&k[1]));
        assert_non_null(seal_ring_receiver(&ring, keys_number(&k[0]), 0));
    }
    ring = start; /* the older is superseded: it is the one that goes */
    assert_true(seal_ring_saw(&ring, &ring.epoch[1], 0));
    assert_rc(seal_ring_add(&ring, &k[3], SEAL_INSTALLED, &at, &dropped, &err), RC_OK);
    assert_int_equal(dropped, keys_number(&k[0]));
}

/* ---- both ends --------------------------------------------------------------------------------
 */

enum { WAY_MAX = 64, STEPS = 4000, SEEDS = 24 };

/* What is under way to an end, in order: messages, of which only the key matters, and key files. */
struct way {
    struct {
        uint64_t number; /* a message's; 0 = a key file */
        struct keys keys;
    } item[WAY_MAX];
    unsigned n;
};

struct pair {
    struct seal_ring ring[2];
    struct way to[2];
    uint64_t now_ms, random;
    unsigned messages, busy, both;
};

static uint32_t draw(struct pair *p, uint32_t below)
{
    p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(p->random >> 33) % below;
}

static void make_next(struct pair *p, unsigned end, enum seal_add how)
{
    struct seal_ring *ring = &p->ring[end];
    struct way *way = &p->to[!end];
    struct seal_epoch *at = NULL;
    uint64_t dropped = 0;
    struct err err;

    if (way->n == WAY_MAX)
        return;
    struct keys keys = ring->epoch[ring->n - 1].keys;
    assert_rc(seal_key_make(&keys, seal_ring_next(ring), &err), RC_OK);
    const enum rc rc = seal_ring_add(ring, &keys, how, &at, &dropped, &err);
    p->busy += rc == RC_BUSY;
    if (rc == RC_BUSY)
        return;
    assert_rc(rc, RC_OK);
    way->item[way->n].number = 0;
    way->item[way->n++].keys = keys;
}

static void send_one(struct pair *p, unsigned end)
{
    struct way *way = &p->to[!end];

    if (way->n < WAY_MAX)
        way->item[way->n++].number = seal_ring_sender(&p->ring[end])->number;
}

/* Every message opens.  A key is refused only where both ends made one at a time, or where this one
 * has made another since. */
static void take_one(struct pair *p, unsigned end)
{
    struct way *way = &p->to[end];
    struct seal_ring *ring = &p->ring[end];
    struct seal_epoch *at = NULL;
    uint64_t dropped = 0;
    struct err err;

    if (way->n == 0)
        return;
    const uint64_t number = way->item[0].number;
    const struct keys keys = way->item[0].keys;
    memmove(&way->item[0], &way->item[1], --way->n * sizeof way->item[0]);
    if (number != 0) {
        at = seal_ring_receiver(ring, number, p->now_ms);
        if (at == NULL)
            fail_msg("a message under epoch %u is lost", (unsigned)(number & UINT32_MAX));
        (void)seal_ring_saw(ring, at, p->now_ms);
        p->messages++;
        return;
    }
    const enum rc rc = seal_ring_add(ring, &keys, SEAL_INSTALLED, &at, &dropped, &err);
    if (rc == RC_EQUIVOCATION && end == 0) { /* one end gives up its own */
        p->both++;
        make_next(p, 0, SEAL_MADE_ANEW);
    } else if (rc != RC_EQUIVOCATION && rc != RC_REKEY_OLD) {
        assert_rc(rc, RC_OK);
    }
}

/* Whatever the two ends do, and in whatever order: what is sealed opens at the other end when it
 * comes, also now. */
static void no_interleaving_loses_anything(void **state)
{
    struct err err;
    uint64_t dropped = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static struct pair p;
        struct seal_epoch *at = NULL;
        const struct keys first = seal_keys("acme", "cam", 42, 1);

        p = (struct pair){ .random = seed, .now_ms = SEAL_NOW };
        for (unsigned end = 0; end < 2; end++) {
            p.ring[end].grace_ms = 100;
            assert_rc(seal_ring_add(&p.ring[end], &first, end == 0 ? SEAL_MADE : SEAL_INSTALLED,
                                    &at, &dropped, &err),
                      RC_OK);
        }
        for (unsigned i = 0; i < STEPS; i++) {
            const unsigned end = draw(&p, 2), what = draw(&p, 16);

            if (what == 0)
                make_next(&p, end, SEAL_MADE);
            else if (what < 7)
                send_one(&p, end);
            else if (what < 15)
                take_one(&p, end);
            else
                (void)seal_ring_settle(&p.ring[end], p.now_ms += draw(&p, 70));
            for (unsigned from = 0; from < 2; from++)
                assert_non_null(seal_ring_receiver(
                    &p.ring[!from], seal_ring_sender(&p.ring[from])->number, p.now_ms));
        }
        assert_true(p.messages > 500 && p.busy > 10 && p.both > 0);
        assert_true(p.ring[0].epoch[0].keys.epoch > 10);
        seal_ring_wipe(&p.ring[0]);
        seal_ring_wipe(&p.ring[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyfiles_come_back),
        cmocka_unit_test(rings_come_back),
        cmocka_unit_test(keys_are_bound_to_their_purpose),
        cmocka_unit_test(only_a_next_epoch_is_added),
        cmocka_unit_test(two_epochs_are_held),
        cmocka_unit_test(a_next_one_tells_of_the_one_before),
        cmocka_unit_test(no_interleaving_loses_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
