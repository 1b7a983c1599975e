/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>

#include "tests/unit/delta_rig.h"

static uint64_t state;

static uint8_t noise(void)
{
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint8_t)(state >> 56);
}

static void fill(uint8_t *p, size_t n, uint64_t seed)
{
    state = seed;
    for (size_t i = 0; i < n; i++)
        p[i] = noise();
}

static uint8_t old_a[20000], old_b[5000], new_a[30000], new_b[7000];

/* Two old files, two new ones: moved, changed, bits shifted, between files. */
static void make(struct rig *rig)
{
    static const struct predict_match a[] = { { .from = 100, .at = 50, .size = 15000 },
                                              { .from = 20000, .at = 15050, .size = 5000 },
                                              { .from = 0, .at = 29000, .size = 1000 } };
    static const struct predict_match b[] = {
        { .from = 7, .at = 0, .size = 3000, .shift = 3 },
        { .from = 20000, .at = 3000, .size = 4000 },
    };
    struct control_file file = { .plan = { .size = sizeof new_a,
                                           .n_matches = 3,
                                           .matches = a,
                                           .n_guides = 1,
                                           .guides = { 1 } } };

    fill(old_a, sizeof old_a, 1);
    fill(old_b, sizeof old_b, 2);
    fill(new_a, sizeof new_a, 3);
    fill(new_b, sizeof new_b, 4);
    memcpy(new_a + 50, old_a + 100, 15000);
    memcpy(new_a + 15050, old_b, 5000);
    new_a[777] ^= 0x55;
    for (size_t i = 0; i < 3000; i++)
        new_b[i] = (uint8_t)(old_a[7 + i] >> 3 | old_a[8 + i] << 5);
    rig_old(rig, old_a, sizeof old_a);
    rig_old(rig, old_b, sizeof old_b);
    rig_new(rig, (struct bytes){ .p = new_a, .n = sizeof new_a }, &file);
    file = (struct control_file){ .number = 1,
                                  .plan = { .size = sizeof new_b, .n_matches = 2, .matches = b } };
    rig_new(rig, (struct bytes){ .p = new_b, .n = sizeof new_b }, &file);
    rig_head(rig);
}

static void test_round_trip(void **unused)
{
    struct rig rig = { .n_old = 0 };
    uint64_t size = 0;
    uint8_t want[32];
    struct err err;

    (void)unused;
    make(&rig);

    scoped(close_fd) int fd = rig_delta(&rig, &size);
    struct apply_spec spec = rig_spec(&rig, size);

    assert_rc(rig_apply(&rig, fd, &spec, &err), RC_OK);
    assert_int_equal(rig.ended, 2);
    assert_int_equal(rig.out[0].n, sizeof new_a);
    assert_memory_equal(rig.out[0].p, new_a, sizeof new_a);
    assert_int_equal(rig.out[1].n, sizeof new_b);
    assert_memory_equal(rig.out[1].p, new_b, sizeof new_b);
    assert_rc(sha256_of((struct bytes){ .p = new_b, .n = sizeof new_b }, want, &err), RC_OK);
    assert_memory_equal(rig.digest[1], want, 32);
    rig_done(&rig);
}

/* The most memory in use while files come out, beside what was before. */
struct meter {
    size_t before;
    size_t most;
};

static size_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

static enum rc meter_begin(void *arg, uint32_t number, uint64_t size, struct err *err)
{
    (void)arg;
    (void)number;
    (void)size;
    (void)err;
    return RC_OK;
}

static enum rc meter_data(void *arg, struct bytes piece, struct err *err)
{
    struct meter *m = arg;
    size_t now = in_use() - m->before;

    (void)piece;
    (void)err;
    m->most = now > m->most ? now : m->most;
    return RC_OK;
}

static enum rc meter_end(void *arg, const uint8_t sha256[32], struct err *err)
{
    (void)arg;
    (void)sha256;
    (void)err;
    return RC_OK;
}

/* An old file's descriptor without memory of ours. */
static enum rc open_self(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    (void)arg;
    (void)i;
    *ret_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    return *ret_fd >= 0 ? RC_OK : err_sys(err, RC_IO, "self");
}

/* This program from itself: it takes no more memory than it declares, and not much less. */
static void test_memory(void **unused)
{
    struct rig rig = { .n_old = 0 };
    struct meter meter = { .most = 0 };
    struct apply_sink sink = {
        .arg = &meter, .begin = meter_begin, .data = meter_data, .end = meter_end
    };
    uint64_t size = 0;
    uint8_t *exe = NULL;
    size_t n = 0;
    struct err err;

    (void)unused;
    assert_rc(fs_read_alloc(AT_FDCWD, "/proc/self/exe", 64U << 20, &exe, &n, &err), RC_OK);

    struct predict_match m = { .size = (uint32_t)n & PREDICT_SIZE_MAX };
    struct control_file file = {
        .plan = { .size = (uint32_t)n, .n_matches = 1, .matches = &m, .n_guides = 1 }
    };

    rig_old(&rig, exe, n);
    rig_new(&rig, (struct bytes){ .p = exe, .n = n }, &file);
    rig_head(&rig);

    scoped(close_fd) int fd = rig_delta(&rig, &size);
    struct apply_spec spec = rig_spec(&rig, size);

    free(exe);
    spec.old.open = open_self;
    meter.before = in_use();
    assert_rc(apply_delta(fd, &spec, &sink, &err), RC_OK);
#if !defined(BERTH_SANITIZED)
    assert_true(meter.most <= rig.head.memory);
    assert_true(meter.most > rig.head.memory / 2);
#endif
    assert_true(in_use() <= meter.before + 4096);
    rig.head.memory--; /* exactly what it needs, and one byte less */

    scoped(close_fd) int less = rig_delta(&rig, &size);

    spec.size = size;
    assert_rc(apply_delta(less, &spec, &sink, &err), RC_DELTA_MEMORY);
    rig_done(&rig);
}

/* An old file that is not as the index says. */
static void test_other_base(void **unused)
{
    struct rig rig = { .n_old = 0 };
    uint64_t size = 0;
    struct err err;

    (void)unused;
    make(&rig);

    scoped(close_fd) int fd = rig_delta(&rig, &size);
    struct apply_spec spec = rig_spec(&rig, size);

    spec.old.open = open_self;
    assert_rc(rig_apply(&rig, fd, &spec, &err), RC_DELTA_BASE);
    rig_done(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_other_base),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
