/* SPDX-License-Identifier: Apache-2.0
 *
 * Gzip files made again bit by bit, and hostile ones.
 */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "base/crypto.h"
#include "delta/gzip.h"
#include "delta/inflate.h"

#define TEXT_SIZE 300000U

static uint64_t seed;

static uint32_t dice(uint32_t sides)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(seed >> 33) % sides;
}

/* Lines of words from a small language, with a stretch of noise and one of a single byte. */
static void write_text(uint8_t *out, size_t n)
{
    seed = 11;
    for (size_t at = 0; at < n;) {
        uint32_t word = dice(40) * dice(40) + 1;

        for (uint32_t k = word; k > 0 && at < n; k /= 5)
            out[at++] = (uint8_t)("etaoi"[k % 5] + (k > 700 ? 1 : 0));
        if (at < n)
            out[at++] = dice(9) ? ' ' : '\n';
    }
    for (size_t i = 0; n == TEXT_SIZE && i < 40000; i++)
        out[100000 + i] = (uint8_t)dice(256);
    if (n == TEXT_SIZE)
        memset(out + 200000, 'x', 3000);
}

/* Bytes that grow. */
struct heap {
    uint8_t *p;
    size_t n;
    size_t most; /* fail beyond */
};

static enum rc gather(void *arg, struct bytes piece, struct err *err)
{
    struct heap *h = arg;

    if (piece.n > h->most - h->n)
        return err_set(err, RC_NO_ROOM, "enough");
    memcpy(h->p + h->n, piece.p, piece.n);
    h->n += piece.n;
    return RC_OK;
}

/* Pack an opened form that comes in pieces of some size. */
static enum rc pack_within(struct deflate_work *work, const struct gzip_how *how,
                           struct bytes opened, size_t step, struct heap *out)
{
    const struct block_sink sink = { .arg = out, .data = gather };
    scoped(gzip_free) struct gzip *g = NULL;
    struct err err;
    enum rc rc = gzip_new(how, work, &sink, &g, &err);

    for (size_t at = 0; rc == RC_OK && at < opened.n; at += step)
        rc = gzip_add(
            g, (struct bytes){ opened.p + at, opened.n - at < step ? opened.n - at : step }, &err);
    return rc == RC_OK ? gzip_end(g, &err) : rc;
}

static enum rc pack(const struct gzip_how *how, struct bytes opened, size_t step, struct heap *out)
{
    struct deflate_work work = DEFLATE_WORK_NEW;

    return pack_within(&work, how, opened, step, out);
}

static const uint8_t head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3 };

/* What gzip 1.12 and zlib 1.2.13 make of the text: the beginnings of SHA-256 of the whole files,
 * with the header above. */
static void test_vectors(void **state)
{
    static const struct {
        enum deflate_style style;
        unsigned level;
        size_t n; /* bytes of the text */
        const char *digest;
    } rows[] = {
        { DEFLATE_GZIP, 4, 300000, "6ad4ac91ef1c4705" },
        { DEFLATE_GZIP, 5, 300000, "8d61ae2785e60689" },
        { DEFLATE_GZIP, 6, 300000, "9ad1c66bdf505799" },
        { DEFLATE_GZIP, 7, 300000, "f412d929fdc3e968" },
        { DEFLATE_GZIP, 8, 300000, "1e0465150b9dd27e" },
        { DEFLATE_GZIP, 9, 300000, "1e0465150b9dd27e" },
        { DEFLATE_GZIP, 9, 0, "f61f27bd17de5462" },
        { DEFLATE_GZIP, 9, 1, "394e0a2720b246cf" },
        { DEFLATE_GZIP, 9, 2, "656ee50164c66121" },
        { DEFLATE_GZIP, 9, 3, "71c91d84eb4bd102" },
        { DEFLATE_GZIP, 9, 260, "987de83f4b00ed2e" },
        { DEFLATE_GZIP, 9, 65535, "db7452872c3f432f" },
        { DEFLATE_GZIP, 9, 65536, "baeb0a919df07336" },
        { DEFLATE_GZIP, 9, 99000, "63ceefa7936be3e4" },
        { DEFLATE_ZLIB, 4, 300000, "5378cdc5b1592f96" },
        { DEFLATE_ZLIB, 5, 300000, "674d9ccfeb98632f" },
        { DEFLATE_ZLIB, 6, 300000, "0e58ff815e53efe6" },
        { DEFLATE_ZLIB, 7, 300000, "56b41f2cec54a5ef" },
        { DEFLATE_ZLIB, 8, 300000, "5c022f67c960df58" },
        { DEFLATE_ZLIB, 9, 300000, "5c022f67c960df58" },
        { DEFLATE_ZLIB, 6, 0, "f61f27bd17de5462" },
        { DEFLATE_ZLIB, 6, 1, "394e0a2720b246cf" },
        { DEFLATE_ZLIB, 6, 2, "656ee50164c66121" },
        { DEFLATE_ZLIB, 6, 3, "71c91d84eb4bd102" },
        { DEFLATE_ZLIB, 6, 260, "987de83f4b00ed2e" },
        { DEFLATE_ZLIB, 6, 65535, "2eaee52b8b7eeef6" },
        { DEFLATE_ZLIB, 6, 65536, "34e90ce6d3ca33a1" },
        { DEFLATE_ZLIB, 6, 99000, "8b6f628ed98c9875" },
    };
    static uint8_t opened[sizeof head + TEXT_SIZE];
    static uint8_t again[sizeof opened];
    static uint8_t buf[2 * TEXT_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct gzip_how how = { rows[i].style, rows[i].level, sizeof head };
        struct bytes form = { opened, sizeof head + rows[i].n };
        struct heap out = { .p = buf, .most = sizeof buf };
        uint8_t digest[32];
        char hex[65];
        uint64_t size = 0;
        uint32_t header = 0;
        struct err err;

        memcpy(opened, head, sizeof head);
        write_text(opened + sizeof head, rows[i].n);
        assert_rc(pack(&how, form, 1 + 977 * (i % 7), &out), RC_OK);
        assert_rc(sha256_of((struct bytes){ out.p, out.n }, digest, &err), RC_OK);
        bytes_hex((struct bytes){ digest, 8 }, hex);
        if (strcmp(hex, rows[i].digest) != 0)
            fail_msg("style %d level %u of %zu: %s, want %s", (int)rows[i].style, rows[i].level,
                     rows[i].n, hex, rows[i].digest);
        assert_true(gzip_size((struct bytes){ out.p, out.n }, &size, &header));
        assert_int_equal(size, form.n);
        assert_int_equal(header, sizeof head);
        assert_true(gzip_open((struct bytes){ out.p, out.n }, again));
        assert_memory_equal(again, opened, form.n);
    }
}

/* Headers with all that they may have, and each of them cut. */
static void test_headers(void **state)
{
    static const uint8_t full[] = { 0x1f, 0x8b, 8,   30,  1,   2,   3, 4,   0, 3, 2, 0,
                                    'e',  'x',  'n', 'a', 'm', 'e', 0, 'c', 0, 7, 8 };
    static const uint8_t tail[] = { 3, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
    uint8_t file[sizeof full + sizeof tail];
    uint8_t out[sizeof full];
    uint64_t size = 0;
    uint32_t header = 0;

    (void)state;
    memcpy(file, full, sizeof full);
    memcpy(file + sizeof full, tail, sizeof tail);
    assert_true(gzip_size((struct bytes){ file, sizeof file }, &size, &header));
    assert_int_equal(header, sizeof full);
    assert_int_equal(size, sizeof full);
    assert_true(gzip_open((struct bytes){ file, sizeof file }, out));
    assert_memory_equal(out, full, sizeof full);
    for (size_t n = 0; n < sizeof file; n++) /* exact: a read behind the end is seen */
    {
        scoped(free_ptr) uint8_t *cut = malloc(n + 1);

        assert_non_null(cut);
        memcpy(cut, file, n);
        assert_false(gzip_size((struct bytes){ cut, n }, &size, &header) && size < 1000 &&
                     gzip_open((struct bytes){ cut, n }, out));
    }
    file[3] = 0x20;
    assert_false(gzip_size((struct bytes){ file, sizeof file }, &size, &header));
    file[3] = 0;
    file[2] = 7;
    assert_false(gzip_size((struct bytes){ file, sizeof file }, &size, &header));
}

/* Streams that no compressor makes. */
static void test_bad_streams(void **state)
{
    static const struct {
        const char *why;
        uint8_t in[16];
        size_t n;
        size_t out;
        bool good;
    } rows[] = {
        { "nothing at all", { 0 }, 0, 0, false },
        { "an empty fixed block", { 3, 0 }, 2, 0, true },
        { "and a byte behind it", { 3, 0, 0 }, 3, 0, false },
        { "an empty block of no kind", { 7, 0 }, 2, 0, false },
        { "stored", { 1, 2, 0, 0xfd, 0xff, 'a', 'b' }, 7, 2, true },
        { "stored, more than wanted", { 1, 2, 0, 0xfd, 0xff, 'a', 'b' }, 7, 1, false },
        { "stored, less than wanted", { 1, 2, 0, 0xfd, 0xff, 'a', 'b' }, 7, 3, false },
        { "stored, lengths differ", { 1, 2, 0, 0xfc, 0xff, 'a', 'b' }, 7, 2, false },
        { "stored, cut", { 1, 2, 0, 0xfd, 0xff, 'a' }, 6, 2, false },
        { "stored, length cut", { 1, 2, 0, 0xfd }, 4, 2, false },
        { "not the last block", { 0, 0, 0, 0xff, 0xff }, 5, 0, false },
        { "a match before the beginning", { 3, 2, 0 }, 3, 3, false },
        { "dynamic: no code for lengths", { 5, 0, 0, 0 }, 4, 0, false },
        { "dynamic: too many lengths", { 5, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff }, 7, 0, false },
        { "dynamic: too many symbols", { 0xfd, 0, 0, 0, 0, 0 }, 6, 0, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(free_ptr) uint8_t *in = malloc(rows[i].n + 1);
        scoped(free_ptr) uint8_t *out = malloc(rows[i].out + 1);

        assert_true(in && out);
        memcpy(in, rows[i].in, rows[i].n);
        if (inflate_whole((struct bytes){ in, rows[i].n }, out, rows[i].out) != rows[i].good)
            fail_msg("%s", rows[i].why);
    }
}

/* Every byte of a file changed: it opens or does not, within its bounds. */
static void test_every_byte(void **state)
{
    static uint8_t opened[sizeof head + 3000];
    static uint8_t buf[6000];
    struct gzip_how how = { DEFLATE_GZIP, 9, sizeof head };
    struct heap out = { .p = buf, .most = sizeof buf };
    unsigned refused = 0;

    (void)state;
    memcpy(opened, head, sizeof head);
    write_text(opened + sizeof head, 3000);
    assert_rc(pack(&how, (struct bytes){ opened, sizeof opened }, 100, &out), RC_OK);
    for (size_t at = 0; at < out.n; at++)
        for (unsigned flip = 1; flip < 256; flip *= 2) {
            scoped(free_ptr) uint8_t *file = malloc(out.n);
            scoped(free_ptr) uint8_t *form = NULL;
            uint64_t size = 0;
            uint32_t header = 0;

            assert_non_null(file);
            memcpy(file, out.p, out.n);
            file[at] ^= (uint8_t)flip;
            if (!gzip_size((struct bytes){ file, out.n }, &size, &header) || size > 1U << 20) {
                refused++;
                continue;
            }
            form = malloc((size_t)size + 1);
            assert_non_null(form);
            refused += !gzip_open((struct bytes){ file, out.n }, form);
        }
    assert_true(refused > out.n);
}

/* Bytes made to make the search slow: all places begin alike and none goes on. */
static void test_slow(void **state)
{
    static uint8_t slow[4U << 20];
    static uint8_t buf[8U << 20];
    struct gzip_how how = { DEFLATE_GZIP, 9, 0 };
    struct heap out = { .p = buf, .most = sizeof buf };

    (void)state;
    seed = 3;
    for (size_t i = 0; i < sizeof slow; i++)
        slow[i] = (uint8_t)(i % 4 == 3 ? dice(256) : 'a');
    assert_rc(pack(&how, (struct bytes){ slow, sizeof slow }, 65536, &out), RC_DELTA_WORK);
}

/* One budget, however the content is cut into files: of many slow ones, each of which would pass
 * alone, a delta packs no more than the bytes pay for. */
static void test_slow_files(void **state)
{
    static uint8_t slow[12000];
    static uint8_t buf[2 * sizeof slow];
    struct gzip_how how = { DEFLATE_GZIP, 9, 0 };
    struct deflate_work work = DEFLATE_WORK_NEW;
    enum rc rc = RC_OK;
    unsigned files = 0;

    (void)state;
    seed = 3;
    for (size_t i = 0; i < sizeof slow; i++)
        slow[i] = (uint8_t)(i % 4 == 3 ? dice(256) : 'a');
    for (; rc == RC_OK && files < 100; files++) {
        struct heap out = { .p = buf, .most = sizeof buf };
        struct deflate_work alone = DEFLATE_WORK_NEW;

        assert_rc(pack_within(&alone, &how, (struct bytes){ slow, sizeof slow }, 1000, &out),
                  RC_OK);
        assert_true(alone.left < DEFLATE_STEPS_FREE); /* more than its bytes pay for */
        assert_true(alone.least > 0 && alone.least <= alone.left);
        out.n = 0;
        rc = pack_within(&work, &how, (struct bytes){ slow, sizeof slow }, 1000, &out);
    }
    assert_rc(rc, RC_DELTA_WORK);
    assert_in_range(files, 2, 50);

    /* The search in which the last one was taken went on to its end, and nothing behind it. */
    assert_true(work.least == work.left && work.left <= 0 && work.left > -4096);
}

/* What the sink says ends the work. */
static void test_sink(void **state)
{
    static uint8_t text[TEXT_SIZE];
    static uint8_t buf[TEXT_SIZE];

    (void)state;
    write_text(text, sizeof text);
    for (size_t most = 0; most < 60000; most += 5999) {
        struct gzip_how how = { DEFLATE_ZLIB, 6, 5 };
        struct heap out = { .p = buf, .most = most };

        assert_rc(pack(&how, (struct bytes){ text, sizeof text }, 10000, &out), RC_NO_ROOM);
        assert_true(out.n <= most);
    }
}

/* Codes are complete and keep their limit whatever the frequencies. */
static void test_codes(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        struct huffman h = { .used = 0 };
        unsigned n = round % 2 ? DEFLATE_LITERALS : DEFLATE_LENGTHS;
        unsigned limit = round % 2 ? 15 : 7;
        uint32_t a = 1;
        uint32_t b = 1;
        uint64_t sum = 0;

        seed = round;
        for (unsigned i = 0; i < n; i++) {
            uint32_t next = a + b; /* Fibonacci: the deepest tree that there is */

            h.count[i] = round < 2 ? a : round < 4 ? 0 : dice(6) * dice(1 + 100 * round);
            a = b;
            b = next < 1U << 20 ? next : 1;
        }
        huffman_make(&h, n, limit);
        for (unsigned i = 0; i < n; i++) {
            assert_true(h.length[i] <= limit && (h.count[i] == 0 || h.length[i] > 0));
            assert_true(h.length[i] == 0 || i < h.used);
            sum += h.length[i] ? 1ULL << (limit - h.length[i]) : 0;
        }
        assert_int_equal(sum, 1ULL << limit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),     cmocka_unit_test(test_headers),
        cmocka_unit_test(test_bad_streams), cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_slow),        cmocka_unit_test(test_slow_files),
        cmocka_unit_test(test_sink),        cmocka_unit_test(test_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
