/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "delta/apply.h"
#include "delta/gzip.h"
#include "deltamake/make.h"
#include "deltamake/open.h"

#define FILES 64U
#define MEMORY (24ULL * 1024U * 1024U)

/* Files in memory.  Owns their bytes. */
struct set {
    struct bytes f[FILES];
    uint64_t sizes[FILES];
    uint32_t n;
};

static uint64_t seed = 1;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % sides;
}

static void set_add(struct set *s, const uint8_t *p, size_t n)
{
    uint8_t *copy = malloc(n + 1);

    assert_non_null(copy);
    assert_true(s->n < FILES);
    if (n > 0)
        memcpy(copy, p, n);
    s->f[s->n] = (struct bytes){ copy, n };
    s->sizes[s->n++] = n;
}

static void set_add_file(struct set *s, const char *path)
{
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    assert_true(fd >= 0 && fstat(fd, &st) == 0);

    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    set_add(s, p, (size_t)st.st_size);
    (void)munmap(p, (size_t)st.st_size);
}

static void set_done(struct set *s)
{
    for (uint32_t i = 0; i < s->n; i++)
        free((void *)(uintptr_t)s->f[i].p);
}

static enum rc set_open(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    const struct set *s = arg;
    scoped(close_fd) int fd = memfd_create("file", MFD_CLOEXEC);
    enum rc rc = fd < 0 ? err_sys(err, RC_IO, "memfd") : fs_write_all(fd, s->f[i], err);

    if (rc == RC_OK)
        *ret_fd = take_fd(&fd);
    return rc;
}

static struct image_source source_of(struct set *s)
{
    return (struct image_source){ .arg = s, .n = s->n, .sizes = s->sizes, .open = set_open };
}

/* ---- applying, apart from what the maker does itself ------------------------------------------
 */

struct taken {
    struct set *want;
    uint32_t number;
    uint32_t files;
    uint64_t at;
};

static enum rc take_begin(void *arg, uint32_t number, uint64_t size, struct err *err)
{
    struct taken *t = arg;

    (void)err;
    assert_true(number < t->want->n);
    assert_int_equal(size, t->want->sizes[number]);
    t->number = number;
    t->at = 0;
    return RC_OK;
}

static enum rc take_data(void *arg, struct bytes piece, struct err *err)
{
    struct taken *t = arg;

    (void)err;
    assert_true(piece.n <= t->want->sizes[t->number] - t->at);
    assert_memory_equal(piece.p, t->want->f[t->number].p + t->at, piece.n);
    t->at += piece.n;
    return RC_OK;
}

static enum rc take_end(void *arg, const uint8_t sha256[32], struct err *err)
{
    struct taken *t = arg;

    (void)sha256;
    (void)err;
    assert_int_equal(t->at, t->want->sizes[t->number]);
    t->files++;
    return RC_OK;
}

static void apply_and_compare(const struct make_spec *spec, struct set *new, struct bytes delta)
{
    scoped(close_fd) int fd = memfd_create("delta", MFD_CLOEXEC);
    struct taken taken = { .want = new };
    struct apply_sink sink = {
        .arg = &taken, .begin = take_begin, .data = take_data, .end = take_end
    };
    struct apply_spec how = {
        .size = delta.n, .old = spec->old, .memory_max = MEMORY, .output_max = UNPACKED_MAX
    };
    struct err err;

    memcpy(how.base, spec->base, DIGEST_SIZE);
    assert_true(fd >= 0);
    assert_rc(fs_write_all(fd, delta, &err), RC_OK);
    assert_rc(apply_delta(fd, &how, &sink, &err), RC_OK);
    assert_int_equal(taken.files, new->n);
}

/* Make a delta, apply it, make it again.  Returns its size in bytes. */
static size_t round_trip(struct set *old, struct set *new)
{
    uint32_t home[FILES];
    struct make_spec spec = { .old = source_of(old),
                              .new = source_of(new),
                              .home = home,
                              .base = { 1 },
                              .result = { 2 },
                              .memory_max = MEMORY };
    struct made made = { .p = NULL };
    struct made again = { .p = NULL };
    struct err err;
    size_t n;

    for (uint32_t i = 0; i < new->n; i++)
        home[i] = i < old->n ? i : MAKE_NO_HOME;
    if (make_delta(&spec, &made, &err) != RC_OK) {
        char words[256];

        fail_msg("%s", err_text(&err, words, sizeof words));
    }
    assert_true(made.memory <= MEMORY);
    apply_and_compare(&spec, new, (struct bytes){ made.p, made.n });
    assert_rc(make_delta(&spec, &again, &err), RC_OK);
    assert_true(bytes_equal((struct bytes){ made.p, made.n }, (struct bytes){ again.p, again.n }));
    n = made.n;
    made_done(&made);
    made_done(&again);
    return n;
}

/* ---- small and odd ----------------------------------------------------------------------------
 */

static void test_odd_trees(void **state)
{
    static uint8_t zeros[3U * 1024U * 1024U];
    static const char text[] = "what was written in one file may be found in another one later";
    const uint8_t *t = (const uint8_t *)text;
    static const struct {
        const char *why;
        size_t old[3]; /* sizes; each file is the beginning of the text, or zeros */
        size_t new[3];
        uint32_t n_old;
        uint32_t n_new;
        size_t most; /* bytes of the delta */
    } rows[] = {
        { "nothing to nothing", { 0 }, { 0 }, 0, 0, 200 },
        { "nothing changed", { 60 }, { 0 }, 1, 0, 200 },
        { "from nothing", { 0 }, { 60 }, 0, 1, 300 },
        { "from an empty file", { 0 }, { 60 }, 1, 1, 300 },
        { "to an empty file", { 60 }, { 0 }, 1, 1, 240 },
        { "one byte to one byte", { 1 }, { 1 }, 1, 1, 240 },
        { "one byte from a file of two", { 2 }, { 1 }, 1, 1, 240 },
        { "shorter and longer", { 40, 60 }, { 60, 40, 1 }, 2, 3, 300 },
        { "zeros", { sizeof zeros }, { sizeof zeros - 1 }, 1, 1, 300 },
        { "zeros from nothing", { 0 }, { sizeof zeros }, 0, 1, 1000 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct set old = { .n = 0 };
        struct set new = { .n = 0 };

        for (uint32_t k = 0; k < rows[i].n_old; k++)
            set_add(&old, rows[i].old[k] < sizeof text ? t : zeros, rows[i].old[k]);
        for (uint32_t k = 0; k < rows[i].n_new; k++)
            set_add(&new, rows[i].new[k] < sizeof text ? t : zeros, rows[i].new[k]);

        size_t n = round_trip(&old, &new);

        if (n > rows[i].most)
            fail_msg("%s: %zu bytes, want at most %zu", rows[i].why, n, rows[i].most);
        set_done(&old);
        set_done(&new);
    }
}

/* ---- random edits of real programs ------------------------------------------------------------
 */

/* Move, repeat, drop or change a block, or put noise in. */
static size_t edit(uint8_t *p, size_t n, size_t cap)
{
    size_t len = 1 + dice(3000);
    size_t from = dice((uint32_t)(n - len));
    size_t to = dice((uint32_t)(n - len));
    uint8_t block[3000];

    memcpy(block, p + from, len);
    switch (dice(5)) {
    case 0: /* move */
        memmove(p + from, p + from + len, n - from - len);
        memmove(p + to + len, p + to, n - to - len);
        memcpy(p + to, block, len);
        return n;
    case 1: /* repeat */
        if (n + len > cap)
            return n;
        memmove(p + to + len, p + to, n - to);
        memcpy(p + to, block, len);
        return n + len;
    case 2: /* drop */
        memmove(p + from, p + from + len, n - from - len);
        return n - len;
    case 3: /* change a few bytes */
        for (unsigned i = 0; i < 8; i++)
            p[dice((uint32_t)n)] = (uint8_t)dice(256);
        return n;
    default: /* noise */
        for (size_t i = 0; i < len; i++)
            p[from + i] = (uint8_t)dice(256);
        return n;
    }
}

static void test_random_edits(void **state)
{
    static const char *const programs[] = { "/usr/bin/ls", "/usr/bin/tar", "/usr/bin/grep",
                                            "/usr/bin/make" };
    const uint32_t n = sizeof programs / sizeof programs[0];

    (void)state;
    for (unsigned round = 0; round < 6; round++) {
        struct set old = { .n = 0 };
        struct set new = { .n = 0 };
        size_t whole = 0;

        seed = 1000 + round;
        for (uint32_t i = 0; i < n; i++)
            set_add_file(&old, programs[i]);
        for (uint32_t i = 0; i < n; i++) {
            struct bytes from = old.f[(i + round) % n]; /* files change places, too */
            size_t cap = from.n + 65536;
            scoped(free_ptr) uint8_t *p = malloc(cap);
            size_t size = from.n;

            assert_non_null(p);
            memcpy(p, from.p, from.n);
            for (unsigned k = dice(30); k > 0; k--)
                size = edit(p, size, cap);
            set_add(&new, p, size);
            whole += size;
        }
        assert_in_range(round_trip(&old, &new), 1, whole / 5);
        set_done(&old);
        set_done(&new);
    }
}

/* Insert bits near the beginning of a bit stream: all that follows is shifted. */
static void test_bits(void **state)
{
    static uint8_t old_bits[60000];
    static uint8_t new_bits[60000];
    struct set old = { .n = 0 };
    struct set new = { .n = 0 };

    (void)state;
    seed = 5;
    for (size_t i = 0; i < sizeof old_bits; i++)
        old_bits[i] = (uint8_t)dice(256);
    memcpy(old_bits, "BC\xc0\xde", 4);
    memcpy(new_bits, old_bits, 1000);
    for (size_t i = 1000; i + 1 < sizeof new_bits; i++)
        new_bits[i] = (uint8_t)(old_bits[i] >> 3 | old_bits[i + 1] << 5);
    set_add(&old, old_bits, sizeof old_bits);
    set_add(&new, new_bits, sizeof new_bits);
    assert_in_range(round_trip(&old, &new), 1, 400);
    set_done(&old);
    set_done(&new);
}

/* ---- gzip files ------------------------------------------------------------------------------
 */

static enum rc grow(void *arg, struct bytes piece, struct err *err)
{
    struct bytes *b = arg;
    uint8_t *p = realloc((void *)(uintptr_t)b->p, b->n + piece.n);

    (void)err;
    assert_non_null(p);
    memcpy(p + b->n, piece.p, piece.n);
    *b = (struct bytes){ p, b->n + piece.n };
    return RC_OK;
}

/* Add the text as gzip or zlib pack it. */
static void add_gzip(struct set *s, struct bytes text, enum deflate_style style, unsigned level)
{
    static const uint8_t head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3 };
    const struct gzip_how how = { style, level, sizeof head };
    struct deflate_work work = DEFLATE_WORK_NEW;
    struct bytes file = { .n = 0 };
    const struct block_sink sink = { .arg = &file, .data = grow };
    scoped(gzip_free) struct gzip *g = NULL;
    struct err err;

    assert_rc(gzip_new(&how, &work, &sink, &g, &err), RC_OK);
    assert_rc(gzip_add(g, (struct bytes){ head, sizeof head }, &err), RC_OK);
    assert_rc(gzip_add(g, text, &err), RC_OK);
    assert_rc(gzip_end(g, &err), RC_OK);
    set_add(s, file.p, file.n);
    free((void *)(uintptr_t)file.p);
}

/* A few words changed in packed text: they are all that is sent, for every level that is known. */
static void test_gzip(void **state)
{
    static uint8_t text[50000];
    struct set old = { .n = 0 };
    struct set new = { .n = 0 };

    (void)state;
    seed = 17;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t)(dice(4) ? 'a' + dice(26) : ' ');
    for (unsigned level = 4; level <= 9; level++)
        add_gzip(&old, (struct bytes){ text, sizeof text }, level % 2, level);
    memcpy(text + 100, "something else", 14);
    memcpy(text + 30000, "and again", 9);
    for (unsigned level = 4; level <= 9; level++)
        add_gzip(&new, (struct bytes){ text, sizeof text - level }, level % 2, level);
    assert_in_range(round_trip(&old, &new), 1, 700);
    set_done(&old);
    set_done(&new);
}

/* Packed in a way that is not known, or damaged: it is sent as it is. */
static void test_gzip_unknown(void **state)
{
    static const uint8_t stored[] = { 0x1f, 0x8b, 8,   0,   0, 0, 0, 0, 2, 3, 1, 2, 0,
                                      0xfd, 0xff, 'a', 'b', 0, 0, 0, 0, 2, 0, 0, 0 };
    static const uint8_t text[1000] = { 1, 2, 3 };
    struct set old = { .n = 0 };
    struct set new = { .n = 0 };

    (void)state;
    set_add(&old, stored, sizeof stored);
    add_gzip(&old, (struct bytes){ text, sizeof text }, DEFLATE_GZIP, 9);
    set_add(&new, stored, sizeof stored - 9);
    set_add(&new, stored, sizeof stored);
    add_gzip(&new, (struct bytes){ text, sizeof text - 1 }, DEFLATE_GZIP, 9);
    ((uint8_t *)(uintptr_t) new.f[2].p)[new.f[2].n - 6] ^= 1; /* its checksum */
    assert_in_range(round_trip(&old, &new), 1, 400);
    set_done(&old);
    set_done(&new);
}

/* Finding out how a file was packed is work, and each can be made to look right up to its last
 * bytes: once enough was tried, what is left stays closed. */
static void test_gzip_tries(void **state)
{
    static uint8_t zeros[20U << 20];
    static const uint8_t text[1000] = { 1, 2, 3 };
    const uint32_t home[] = { MAKE_NO_HOME, MAKE_NO_HOME, MAKE_NO_HOME };

    (void)state;
    for (uint32_t hostile = 1; hostile <= 2; hostile++) {
        const struct make_spec spec = { .home = home, .memory_max = MEMORY };
        const struct files none = { .n = 0 };
        struct set new = { .n = 0 };
        scoped(opened_done) struct opened opened = { .n_list = 0 };
        struct err err;

        for (uint32_t i = 0; i < hostile; i++) {
            add_gzip(&new, (struct bytes){ zeros, sizeof zeros }, DEFLATE_GZIP, 4);
            ((uint8_t *)(uintptr_t) new.f[i].p)[new.f[i].n - 6] ^= 1; /* its checksum */
        }
        add_gzip(&new, (struct bytes){ text, sizeof text }, DEFLATE_GZIP, 9);

        const struct files files = { .f = new.f, .n = new.n };

        static_assert(12 * sizeof zeros < OPENED_TRIES_MAX && 24 * sizeof zeros > OPENED_TRIES_MAX,
                      "six levels in two styles");
        assert_rc(opened_init(&spec, &none, &files, &opened, &err), RC_OK);
        for (uint32_t i = 0; i < hostile; i++)
            assert_int_equal(opened.packed_size[i], 0);
        assert_int_equal(opened.packed_size[hostile] > 0, hostile == 1);
        set_done(&new);
    }
}

/* The work that packing takes is the delta's, not each file's: slow files are opened as far as it
 * goes, and what was opened applies. */
static void test_gzip_work(void **state)
{
    static uint8_t slow[12000];
    const uint32_t home[FILES] = { 0 };
    const struct make_spec spec = { .home = home, .memory_max = MEMORY };
    const struct files none = { .n = 0 };
    struct set old = { .n = 0 };
    struct set new = { .n = 0 };
    scoped(opened_done) struct opened opened = { .n_list = 0 };
    uint32_t packed = 0;
    struct err err;

    (void)state;
    seed = 3;
    for (size_t i = 0; i < sizeof slow; i++)
        slow[i] = (uint8_t)(i % 4 == 3 ? dice(256) : 'a');
    for (uint32_t i = 0; i < 12; i++) {
        slow[1] = (uint8_t)i;
        add_gzip(&new, (struct bytes){ slow, sizeof slow }, DEFLATE_GZIP, 9);
    }

    const struct files files = { .f = new.f, .n = new.n };

    assert_rc(opened_init(&spec, &none, &files, &opened, &err), RC_OK);
    for (uint32_t i = 0; i < new.n; i++)
        packed += opened.packed_size[i] > 0;
    assert_in_range(packed, 1, new.n - 1);
    set_add(&old, slow, sizeof slow);
    (void)round_trip(&old, &new);
    set_done(&old);
    set_done(&new);
}

#define BLOCK 24U
#define BLOCKS 200000U

/* So many matches that what is opened takes memory that they need: then nothing is opened. */
static void test_gzip_gives_way(void **state)
{
    static uint8_t text[1650000];
    static uint8_t a[BLOCK * BLOCKS], b[sizeof a];
    uint32_t home[] = { 0, 1 };
    struct set old = { .n = 0 };
    struct set new = { .n = 0 };
    struct made made = { .p = NULL };
    struct err err;

    (void)state;
    seed = 29;
    for (size_t i = 0; i < sizeof a; i++)
        a[i] = (uint8_t)dice(256);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (uint8_t) "abcd"[i / 1000 % 4];
    for (uint32_t i = 0; i < BLOCKS; i++) /* another order; 7919 and the number have no divisor */
        memcpy(b + (size_t)i * BLOCK, a + (size_t)(i * 7919ULL % BLOCKS) * BLOCK, BLOCK);
    set_add(&old, a, sizeof a);
    add_gzip(&old, (struct bytes){ text, sizeof text }, DEFLATE_GZIP, 9);
    set_add(&new, b, sizeof b);
    text[9] = 'x';
    add_gzip(&new, (struct bytes){ text, sizeof text }, DEFLATE_GZIP, 9);

    const struct make_spec spec = {
        .old = source_of(&old), .new = source_of(&new), .home = home, .memory_max = MEMORY / 3
    };

    assert_rc(make_delta(&spec, &made, &err), RC_OK);
    assert_true(made.memory <= MEMORY / 3);
    apply_and_compare(&spec, &new, (struct bytes){ made.p, made.n });
    made_done(&made);
    set_done(&old);
    set_done(&new);
}

static void test_refusals(void **state)
{
    struct set old = { .sizes = { MAKE_OLD_MAX + 1 }, .n = 1 };
    struct set new = { .n = 0 };
    struct set empty = { .n = 0 };
    struct make_spec spec = {
        .old = source_of(&old), .new = source_of(&new), .home = NULL, .memory_max = MEMORY
    };
    struct made made = { .p = NULL };
    struct err err;

    (void)state;
    assert_rc(make_delta(&spec, &made, &err), RC_TOO_LARGE);
    spec.old = source_of(&empty);
    spec.memory_max = 1000;
    assert_rc(make_delta(&spec, &made, &err), RC_DELTA_LIMIT);
    assert_null(made.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_odd_trees),    cmocka_unit_test(test_random_edits),
        cmocka_unit_test(test_bits),         cmocka_unit_test(test_gzip),
        cmocka_unit_test(test_gzip_unknown), cmocka_unit_test(test_gzip_tries),
        cmocka_unit_test(test_gzip_work),    cmocka_unit_test(test_gzip_gives_way),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
