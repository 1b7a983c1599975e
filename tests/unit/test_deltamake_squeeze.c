/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"
#include "deltamake/squeeze.h"

#define DICT (1U << 20)

static uint64_t seed = 1;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % sides;
}

enum sort { ZEROS, SPARSE, NOISE, WORDS };

static void fill(enum sort sort, uint8_t *p, size_t n)
{
    static const char *const words[] = { "delta ", "satellite ", "old ", "new ", "pass\n" };

    for (size_t i = 0; i < n;) {
        const char *word = words[dice(5)];

        if (sort == WORDS) {
            for (; *word && i < n; word++)
                p[i++] = (uint8_t)*word;
            continue;
        }
        p[i++] = sort == NOISE || (sort == SPARSE && dice(300) == 0) ? (uint8_t)dice(256) : 0;
    }
}

/* What is squeezed comes out of delta/stream again, in a window that is not larger than allowed. */
static void test_round_trip(void **state)
{
    static const struct {
        const char *why;
        enum sort sort;
        size_t n;
        size_t most;
    } rows[] = {
        { "nothing", ZEROS, 0, 0 },
        { "one byte", NOISE, 1, 1 },
        { "noise is stored", NOISE, 100000, 100000 },
        { "zeros", ZEROS, 3000000, 60 },
        { "few other bytes", SPARSE, 3000000, 30000 },
        { "words", WORDS, 1000, 400 },
        { "many words", WORDS, 3000000, 600000 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(free_ptr) uint8_t *p = malloc(rows[i].n + 1);
        scoped(free_ptr) uint8_t *back = malloc(rows[i].n + 1);
        scoped(close_fd) int fd = memfd_create("stream", MFD_CLOEXEC);
        scoped(stream_free) struct stream *stream = NULL;
        struct squeezed s = { .p = NULL };
        struct err err;

        assert_true(p && back && fd >= 0);
        fill(rows[i].sort, p, rows[i].n);
        assert_rc(squeeze((struct bytes){ p, rows[i].n }, DICT, &s, &err), RC_OK);
        assert_int_equal(s.spec.raw, rows[i].n);
        assert_in_range(s.spec.dict, 0, DICT);
        if (s.spec.size > rows[i].most)
            fail_msg("%s: %llu bytes", rows[i].why, (unsigned long long)s.spec.size);
        assert_rc(fs_write_all(fd, (struct bytes){ s.p, s.spec.size }, &err), RC_OK);
        assert_rc(stream_new(fd, 0, &s.spec, &stream, &err), RC_OK);
        for (size_t at = 0, some; at < rows[i].n; at += some) {
            some = 1 + dice(100000);
            some = some < rows[i].n - at ? some : rows[i].n - at;
            assert_rc(stream_read(stream, back + at, some, &err), RC_OK);
        }
        assert_rc(stream_end(stream, &err), RC_OK);
        assert_memory_equal(p, back, rows[i].n);
        squeezed_done(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
