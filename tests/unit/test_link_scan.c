/* SPDX-License-Identifier: Apache-2.0
 *
 * link/scan: every vector, and each with every byte changed, comes to the same end whether it is
 * decoded whole or scanned in pieces of any size.
 */
#include "tests/unit/test.h"

#include "link/scan.h"
#include "tests/unit/vectors.h"

#define LIMIT 65536U

/* What became of a bundle. */
struct outcome {
    enum rc rc;
    uint64_t at;
};

static struct outcome decoded(struct bytes in, enum bundle_level level)
{
    static struct bundle b;
    struct err err = { 0 };
    enum rc rc = bundle_decode(in, level, &b, &err);

    return (struct outcome){ .rc = rc, .at = err.at };
}

static struct bundle_scan scanned(struct bytes in, size_t step)
{
    struct bundle_scan scan;

    bundle_scan_init(&scan, LIMIT);
    for (size_t at = 0; at < in.n && scan.state == BUNDLE_SCAN_MORE;) {
        size_t n = in.n - at < step ? in.n - at : step;
        size_t used = 0;

        (void)bundle_scan(&scan, (struct bytes){ .p = in.p + at, .n = n }, &used);
        assert_true(used == n || scan.state != BUNDLE_SCAN_MORE);
        at += used;
        assert_int_equal(scan.at, at);
    }
    return scan;
}

static void assert_same(const char *why, struct outcome got, struct outcome want)
{
    if (got.rc != want.rc || got.at != want.at)
        fail_msg("%s: %s at %llu, whole %s at %llu", why, rc_name(got.rc),
                 (unsigned long long)got.at, rc_name(want.rc), (unsigned long long)want.at);
}

static void same_end(const char *why, struct bytes in, enum bundle_level level)
{
    static struct bundle b;
    struct outcome whole = decoded(in, level);
    struct bundle_scan scan = scanned(in, 1);
    struct err err = { 0 };
    struct outcome got = { .rc = bundle_scan_decode(&scan, in, level, &b, &err) };

    got.at = err.at;
    if (got.rc == RC_TOO_LARGE) { /* a string that no file of this size holds */
        assert_int_equal(whole.rc, RC_SHORT);
        return;
    }
    if (scan.state == BUNDLE_SCAN_WHOLE && scan.at < in.n) {
        assert_same(why, got, decoded((struct bytes){ .p = in.p, .n = (size_t)scan.at }, level));
        if (whole.rc == RC_TRAILING) {
            assert_int_equal(whole.at, scan.at);
            return;
        }
    }
    assert_same(why, got, whole);
    if (whole.rc == RC_OK)
        assert_int_equal(scan.state, BUNDLE_SCAN_WHOLE);
    if (scan.state == BUNDLE_SCAN_MORE)
        assert_int_not_equal(whole.rc, RC_OK);
}

/* The bundles among the vectors: file names into names; returns how many. */
static size_t bundles(char names[][128], size_t cap)
{
    char line[1024];
    size_t n = 0;
    FILE *f = fopen(VECTOR_DIR "OUTCOMES.tsv", "re");

    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        size_t name = strcspn(line, "\t");

        if (strncmp(line + name, "\tbundle\t", 8) != 0)
            continue;
        assert_true(n < cap && name < 128);
        line[name] = '\0';
        memcpy(names[n++], line, name + 1);
    }
    (void)fclose(f);
    return n;
}

static char names[200][128];

static void test_every_vector(void **state)
{
    static struct vector v;
    size_t n = bundles(names, sizeof names / sizeof names[0]);
    unsigned seen[3] = { 0 };

    (void)state;
    for (size_t i = 0; i < n; i++) {
        vector_load(names[i], &v);
        same_end(names[i], vector_bytes(&v), BUNDLE_STRICT);
        same_end(names[i], vector_bytes(&v), BUNDLE_LENIENT);
        seen[scanned(vector_bytes(&v), 1).state]++;
    }
    print_message("%zu bundles: %u whole, %u malformed, %u unfinished\n", n,
                  seen[BUNDLE_SCAN_WHOLE], seen[BUNDLE_SCAN_MALFORMED], seen[BUNDLE_SCAN_MORE]);
    assert_true(n > 120 && seen[BUNDLE_SCAN_WHOLE] > 90 && seen[BUNDLE_SCAN_MALFORMED] > 20);
}

/* Every byte of every short vector, as other heads. */
static void test_every_byte_changed(void **state)
{
    static const uint8_t as[] = { 0x00, 0x18, 0x1f, 0x3b, 0x5f, 0x5b, 0x7a,
                                  0x80, 0x86, 0x9b, 0xa1, 0xc0, 0xf9, 0xff };
    static struct vector v;
    size_t n = bundles(names, sizeof names / sizeof names[0]);
    unsigned changed = 0;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        vector_load(names[i], &v);
        for (size_t at = 0; v.n <= 128 && at < v.n; at++) {
            uint8_t was = v.p[at];

            for (size_t k = 0; k < sizeof as; k++) {
                v.p[at] = as[k];
                same_end(names[i], vector_bytes(&v), BUNDLE_LENIENT);
                changed++;
            }
            v.p[at] = was;
        }
    }
    print_message("%u changed bundles\n", changed);
    assert_true(changed > 50000);
}

/* However it is cut, the scan is in the same state after the same bytes. */
static void test_every_piece_size(void **state)
{
    static struct vector v;
    struct bundle_scan want;

    (void)state;
    vector_load("bundles-valid/bplib-5-ext-blocks-crc16.hex", &v);
    want = scanned(vector_bytes(&v), 1);
    assert_int_equal(want.state, BUNDLE_SCAN_WHOLE);
    assert_int_equal(want.at, v.n);
    for (size_t step = 2; step <= v.n; step++) {
        struct bundle_scan got = scanned(vector_bytes(&v), step);

        assert_int_equal(got.state, want.state);
        assert_int_equal(got.at, want.at);
    }
}

/* Two bundles behind each other, as on a stream: the first ends where it ends. */
static void test_two(void **state)
{
    static struct vector v;
    struct bundle_scan scan;
    size_t used = 0, first;

    (void)state;
    vector_load("bundles-valid/bplib-primary-payload-crc32c.hex", &v);
    first = v.n;
    memcpy(v.p + first, v.p, first);
    v.n *= 2;
    bundle_scan_init(&scan, LIMIT);
    assert_int_equal(bundle_scan(&scan, vector_bytes(&v), &used), BUNDLE_SCAN_WHOLE);
    assert_int_equal(used, first);
    assert_int_equal(bundle_scan(&scan, vector_bytes(&v), &used), BUNDLE_SCAN_WHOLE);
    assert_int_equal(used, 0);
}

/* The limit is exact, and a length that leads beyond it is refused when it is announced: 1 GiB in a
 * few bytes never makes anybody wait for it. */
static void test_limit(void **state)
{
    static struct vector v;
    static struct bundle b;
    struct bundle_scan scan;
    struct err err = { 0 };
    size_t used = 0;

    (void)state;
    vector_load("bundles-valid/bplib-primary-payload-crc32c.hex", &v);
    for (uint64_t limit = 0; limit <= v.n; limit++) {
        bundle_scan_init(&scan, limit);
        (void)bundle_scan(&scan, vector_bytes(&v), &used);
        assert_int_equal(scan.state, limit < v.n ? BUNDLE_SCAN_MALFORMED : BUNDLE_SCAN_WHOLE);
        if (limit < v.n)
            assert_rc(bundle_scan_decode(&scan, vector_bytes(&v), BUNDLE_STRICT, &b, &err),
                      RC_TOO_LARGE);
    }
    v.n = 0;
    vector_hex("9f88070000820282020182028201018202820101820118641"
               "90e10"
               "85010100005a40000000",
               &v);
    bundle_scan_init(&scan, LIMIT);
    assert_int_equal(bundle_scan(&scan, vector_bytes(&v), &used), BUNDLE_SCAN_MALFORMED);
    assert_int_equal(used, v.n);
    assert_rc(bundle_scan_decode(&scan, vector_bytes(&v), BUNDLE_LENIENT, &b, &err), RC_TOO_LARGE);
    assert_int_equal(err.at, v.n - 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_vector),
        cmocka_unit_test(test_every_byte_changed),
        cmocka_unit_test(test_every_piece_size),
        cmocka_unit_test(test_two),
        cmocka_unit_test(test_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
