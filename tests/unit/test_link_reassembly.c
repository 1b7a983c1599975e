/* SPDX-License-Identifier: Apache-2.0
 *
 * link/reassembly: fragments that this test makes, since Berth never does, in any order, doubled,
 * overlapping, lying and without end.
 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "link/reassembly.h"
#include "tests/unit/link_fixture.h"
#include "tests/unit/vectors.h"

#define WHOLE_MAX 20000U
#define CELLS 128U

static const struct reassembly_limits limits = { .total_max = WHOLE_MAX, .wait_ms_max = 60000 };
static struct reassembly_cell cells[CELLS];
static struct reassembly r;
static uint8_t content[WHOLE_MAX];

/* A bundle whose payload is cut. */
static struct bundle whole_of(size_t n)
{
    for (size_t i = 0; i < n; i++)
        content[i] = (uint8_t)(i * 31 + i / 256);
    return (struct bundle){
        .crc_type = CRC_32C,
        .dst = eid_ipn(42, 1),
        .src = { .scheme = EID_DTN, .name = bytes_of("//camera/x") },
        .time_ms = 800000000000,
        .sequence = 9,
        .lifetime_ms = 100000,
        .hop_limit = 30,
        .n_blocks = 3,
        .blocks = { { .type = BLOCK_HOP_COUNT, .number = 4, .crc_type = CRC_16 },
                    { .type = 200, .number = 7, .data = bytes_of("extension") },
                    { .type = BLOCK_PAYLOAD,
                      .number = 1,
                      .crc_type = CRC_32C,
                      .data = { .p = content, .n = n } } },
    };
}

/* What a node on the way makes of bytes [offset, offset + n) (RFC 9171 section 5.8). */
static struct bundle cut(const struct bundle *whole, uint64_t offset, size_t n)
{
    struct bundle f = *whole;
    struct bytes payload = bundle_payload(whole);

    f.flags |= BUNDLE_FRAGMENT;
    f.fragment_offset = offset;
    f.fragment_total = payload.n;
    if (offset > 0) {
        f.blocks[0] = f.blocks[2];
        f.n_blocks = 1;
    }
    f.blocks[f.n_blocks - 1].data = (struct bytes){ .p = payload.p + offset, .n = n };
    return f;
}

/* Through the wire and in, from memory that holds nothing else. */
static enum rc add(const struct bundle *fragment, uint64_t now_ms, struct reassembly_set **ret)
{
    static struct bundle decoded;
    struct bytes bytes = { 0 };
    uint8_t *buf = malloc(WHOLE_MAX + 1024);
    struct err err = { 0 };
    enum rc rc;

    assert_non_null(buf);
    *ret = NULL;
    assert_rc(bundle_encode(fragment, buf, WHOLE_MAX + 1024, &bytes, NULL), RC_OK);
    assert_rc(bundle_decode(bytes, BUNDLE_STRICT, &decoded, NULL), RC_OK);
    rc = reassembly_add(&r, &decoded, now_ms, ret, &err);
    free(buf);
    return rc;
}

static void begin(uint32_t n_cells)
{
    reassembly_init(&r, &limits, cells, n_cells);
}

static void assert_empty(uint32_t n_cells)
{
    assert_int_equal(r.n_free, n_cells);
    for (size_t i = 0; i < REASSEMBLY_SETS; i++)
        assert_false(r.sets[i].used);
}

/* The set gives the bundle that was cut, byte for byte. */
static void assert_whole(struct reassembly_set *set, const struct bundle *whole)
{
    static uint8_t want[WHOLE_MAX + 1024], got[WHOLE_MAX + 1024];
    struct bytes a = { 0 }, b = { 0 };

    assert_non_null(set);
    assert_rc(bundle_encode(whole, want, sizeof want, &a, NULL), RC_OK);
    assert_rc(reassembly_take(&r, set, got, a.n - 1, &b, NULL), RC_NO_ROOM);
    assert_rc(reassembly_take(&r, set, got, sizeof got, &b, NULL), RC_OK);
    assert_true(bytes_equal(a, b));
}

/* Random cuts of random sizes, some of them doubled or overlapping, in random order. */
static void test_any_order(void **state)
{
    static struct bundle pieces[300];
    uint64_t seed = 20261129;
    unsigned fragments = 0;

    (void)state;
    for (unsigned round = 0; round < 300; round++) {
        size_t n = 1 + link_random(&seed) % (WHOLE_MAX - 1);
        size_t step = 1 + n / (1 + link_random(&seed) % 90);
        struct bundle whole = whole_of(n);
        struct reassembly_set *set = NULL;
        size_t n_pieces = 0;

        begin(CELLS);
        for (size_t at = 0; at < n; at += step) {
            size_t more = link_random(&seed) % 3 == 0 ? link_random(&seed) % step : 0;
            size_t size = n - at < step + more ? n - at : step + more;

            pieces[n_pieces++] = cut(&whole, at, size);
            if (link_random(&seed) % 8 == 0)
                pieces[n_pieces++] = cut(&whole, at, 1 + link_random(&seed) % size);
            assert_true(n_pieces < 299);
        }
        for (size_t left = n_pieces; left > 0; left--) {
            size_t pick = link_random(&seed) % left;

            assert_null(set);
            assert_rc(add(&pieces[pick], round, &set), RC_OK);
            fragments++;
            if (set)
                break; /* what is left brings nothing new */
            pieces[pick] = pieces[left - 1];
        }
        assert_whole(set, &whole);
        assert_empty(CELLS);
    }
    print_message("%u fragments\n", fragments);
}

static void test_overlap_differs(void **state)
{
    struct bundle whole = whole_of(1000), lie;
    struct reassembly_set *set = NULL;
    struct bundle f;

    (void)state;
    begin(CELLS);
    f = cut(&whole, 0, 600);
    assert_rc(add(&f, 1, &set), RC_OK);
    lie = cut(&whole, 500, 500);
    content[599] ^= 1;
    assert_rc(add(&lie, 1, &set), RC_BUNDLE_FRAGMENT);
    content[599] ^= 1;
    assert_null(set);
    assert_int_equal(r.conflict, 1);
    assert_empty(CELLS);
    /* Who sends it again is not held up by it. */
    assert_rc(add(&f, 2, &set), RC_OK);
    assert_rc(add(&f, 2, &set), RC_OK);
    assert_int_equal(r.repeated, 1);
    f = cut(&whole, 500, 500);
    assert_rc(add(&f, 3, &set), RC_OK);
    assert_whole(set, &whole);
}

/* Fragments that disagree about the whole are of different wholes. */
static void test_other_whole(void **state)
{
    struct bundle whole = whole_of(1000), other = whole;
    struct reassembly_set *set = NULL, *none = NULL;
    struct bundle f = cut(&whole, 0, 600), g;

    (void)state;
    begin(CELLS);
    assert_rc(add(&f, 1, &set), RC_OK);
    other.lifetime_ms++;
    g = cut(&other, 600, 400);
    assert_rc(add(&g, 1, &none), RC_OK);
    assert_null(none);
    g = cut(&whole, 600, 400);
    g.fragment_total = 1001;
    assert_rc(add(&g, 1, &none), RC_OK);
    assert_null(none);
    g = cut(&whole, 600, 400);
    assert_rc(add(&g, 1, &set), RC_OK);
    assert_whole(set, &whole);
}

/* What is claimed takes nothing; what comes takes what it is; nothing grows beyond the memory. */
static void test_bounds(void **state)
{
    struct bundle whole = whole_of(WHOLE_MAX);
    struct reassembly_set *set = NULL;
    struct bundle f;

    (void)state;
    begin(4);
    f = cut(&whole, 0, 1);
    assert_rc(add(&f, 1, &set), RC_OK);
    assert_int_equal(r.n_free, 3);
    f = cut(&whole, 256, 4 * 256);
    assert_rc(add(&f, 1, &set), RC_SPOOL_FULL);
    assert_int_equal(r.n_free, 3);
    f = cut(&whole, 256, 3 * 256);
    assert_rc(add(&f, 1, &set), RC_OK);
    assert_int_equal(r.n_free, 0);
    f = cut(&whole, 5000, 1);
    assert_rc(add(&f, 1, &set), RC_SPOOL_FULL);
    assert_int_equal(r.refused, 2);
    f = cut(&whole, 0, 1);
    f.fragment_total = WHOLE_MAX + 1;
    assert_rc(add(&f, 1, &set), RC_TOO_LARGE);

    begin(CELLS);
    for (unsigned i = 0; i < REASSEMBLY_SETS; i++) {
        whole.sequence = i;
        f = cut(&whole, 300, 10);
        assert_rc(add(&f, 1, &set), RC_OK);
    }
    whole.sequence = REASSEMBLY_SETS;
    f = cut(&whole, 300, 10);
    assert_rc(add(&f, 1, &set), RC_SPOOL_FULL);
    assert_rc(add(&f, 1 + limits.wait_ms_max, &set), RC_OK); /* the others have expired */
    assert_int_equal(r.expired, REASSEMBLY_SETS);
    assert_int_equal(r.n_free, CELLS - 1);
}

/* A set for which there are no cells is not kept. */
static void test_no_room_no_set(void **state)
{
    struct bundle whole = whole_of(WHOLE_MAX);
    struct reassembly_set *set = NULL;
    struct bundle f;

    (void)state;
    begin(1);
    for (unsigned i = 0; i < 2 * REASSEMBLY_SETS; i++) {
        whole.sequence = i;
        f = cut(&whole, 0, 257);
        assert_rc(add(&f, 1, &set), RC_SPOOL_FULL);
    }
    assert_empty(1);
}

static void test_expiry(void **state)
{
    struct bundle whole = whole_of(1000);
    struct reassembly_set *set = NULL;
    struct bundle f = cut(&whole, 0, 500);

    (void)state;
    begin(CELLS);
    assert_rc(add(&f, 1000, &set), RC_OK);
    reassembly_expire(&r, 1000 + limits.wait_ms_max - 1);
    assert_int_equal(r.expired, 0);
    reassembly_expire(&r, 1000 + limits.wait_ms_max);
    assert_int_equal(r.expired, 1);
    assert_empty(CELLS);
    /* A bundle's own lifetime may be shorter than the patience of the node. */
    whole.lifetime_ms = 10;
    f = cut(&whole, 0, 500);
    assert_rc(add(&f, 5, &set), RC_OK);
    reassembly_expire(&r, 15);
    assert_empty(CELLS);
    assert_rc(add(&f, UINT64_MAX - 1, &set), RC_OK); /* the end of time does not wrap */
    reassembly_expire(&r, UINT64_MAX - 1);
    assert_int_equal(r.expired, 2);
}

static void test_refused(void **state)
{
    static struct vector v;
    static struct bundle b;
    static uint8_t large[REASSEMBLY_BLOCKS_MAX];
    struct reassembly_set *set = NULL;
    struct bundle whole = whole_of(1000), f;

    (void)state;
    begin(CELLS);
    assert_rc(reassembly_add(&r, &whole, 1, &set, NULL), RC_BUNDLE_FRAGMENT);
    /* The length of the whole is not known (0): it would never be complete. */
    vector_load("bundles-valid/fragment-pics-56-1-cannot-add-bcb-to-fragment.hex", &v);
    assert_rc(bundle_decode(vector_bytes(&v), BUNDLE_LENIENT, &b, NULL), RC_OK);
    assert_rc(reassembly_add(&r, &b, 1, &set, NULL), RC_BUNDLE_FRAGMENT);
    whole.blocks[1].data = (struct bytes){ .p = large, .n = sizeof large };
    f = cut(&whole, 0, 10);
    assert_rc(add(&f, 1, &set), RC_TOO_LARGE);
    assert_empty(CELLS);
}

/* One byte at a time, from behind, every second one: work and memory stay in proportion to the
 * cells, whatever the order. */
static void test_work(void **state)
{
    struct bundle whole = whole_of(WHOLE_MAX);
    struct reassembly_set *set = NULL;
    uint64_t fragments = 0;

    (void)state;
    begin(CELLS);
    for (size_t i = WHOLE_MAX; i-- > 0 && !set;) {
        struct bundle f = cut(&whole, i * 7919 % WHOLE_MAX, 1);

        assert_rc(add(&f, 1, &set), RC_OK);
        fragments++;
    }
    print_message("%llu fragments, %llu cells looked at\n", (unsigned long long)fragments,
                  (unsigned long long)r.steps);
    assert_whole(set, &whole);
    assert_true(r.steps <= fragments * 2 * (CELLS + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_order),      cmocka_unit_test(test_overlap_differs),
        cmocka_unit_test(test_other_whole),    cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_no_room_no_set), cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_work),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
