/* SPDX-License-Identifier: Apache-2.0
 *
 * Deltas that lie, each refused with its code, and nothing given beyond what was declared.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <lzma.h>
#include <zstd.h>

#include "delta/refs.h"
#include "delta/view.h"
#include "tests/unit/delta_rig.h"

#define OLD_SIZE 5000U
#define NEW_SIZE 6000U

static uint8_t old_file[2][OLD_SIZE];
static uint8_t new_file[NEW_SIZE];

/* A delta for one new file with a match in each old one; what the rows below start from. */
static void make_honest(struct rig *rig)
{
    static const struct predict_match m[] = { { .from = 0, .at = 100, .size = 2000 },
                                              { .from = OLD_SIZE, .at = 2100, .size = 3000 } };
    struct control_file file = {
        .plan = { .size = NEW_SIZE, .n_matches = 2, .matches = m, .n_guides = 1, .guides = { 0 } }
    };

    for (size_t i = 0; i < OLD_SIZE; i++) {
        old_file[0][i] = (uint8_t)(i * 7);
        old_file[1][i] = (uint8_t)(i * 13);
    }
    for (size_t i = 0; i < NEW_SIZE; i++)
        new_file[i] = (uint8_t)(i * 5);
    rig_old(rig, old_file[0], OLD_SIZE);
    rig_old(rig, old_file[1], OLD_SIZE);
    rig_new(rig, (struct bytes){ .p = new_file, .n = NEW_SIZE }, &file);
    rig_head(rig);
}

/* What a row changes: the rig before its streams are described, its head after, the caller's spec,
 * the finished delta. */
struct lie {
    const char *why;
    enum rc rc;
    void (*streams)(struct rig *rig);
    void (*head)(struct format_head *head);
    void (*spec)(struct apply_spec *spec);
    void (*file)(int fd, uint64_t *size);
};

static void put(struct rig_buf *b, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        rig_add(b, &(uint8_t){ (uint8_t)(v | 0x80) }, 1);
    rig_add(b, &(uint8_t){ (uint8_t)v }, 1);
}

static uint64_t fold(int64_t v)
{
    return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

/* Replace the control by a group that opens nothing and these numbers, folded ones already. */
static void control(struct rig *rig, const uint64_t *v, size_t n)
{
    rig->streams[FORMAT_CONTROL].n = 0;
    put(&rig->streams[FORMAT_CONTROL], 0);
    for (size_t i = 0; i < n; i++)
        put(&rig->streams[FORMAT_CONTROL], v[i]);
}
#define CONTROL(rig, ...)                                                                          \
    control(rig, (const uint64_t[]){ __VA_ARGS__ },                                                \
            sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* Columns: number, size, guides and flag, matches; gaps; sizes - 1; origins. */
static void control_behind_old(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, 1, 0, 4999, fold(9999));
}
static void control_before_old(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, 1, 0, 4999, fold(-1));
}
static void control_crosses(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, 1, 0, 4999, fold(1));
}
static void control_shift_crosses(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 1, 1, 0, 4999, fold(3));
}
static void control_origin_wraps(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, 1, 0, 4999, UINT64_MAX);
}
static void control_bits_wrap(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 1, 1, 0, 4999, UINT64_MAX - 1);
}
static void control_behind_new(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, 1, 1001, 4999, fold(0));
}
static void control_gap_large(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, 1, NEW_SIZE + 1, 0, fold(0));
}
static void control_gaps_sum(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, 2, 3000, 3000, 2999, 0, fold(0), fold(0));
}
static void control_size_wraps(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, 1, 10, UINT64_MAX, fold(0));
}
static void control_file_large(struct rig *rig)
{
    CONTROL(rig, 0, 1ULL << 29, 0, 0);
}
static void control_file_larger_than_all(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE + 1, 0, 0);
}
static void control_file_smaller(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE - 1, 0, 0);
    rig->streams[FORMAT_DIFF].n = 0;
    rig_add(&rig->streams[FORMAT_EXTRA], new_file, NEW_SIZE - rig->streams[FORMAT_EXTRA].n);
}
static void control_matches_many(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, NEW_SIZE + 1);
}
static void control_memory(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 0, 2000);
    rig->used = 1000;
}
static void control_number(struct rig *rig)
{
    CONTROL(rig, fold(1), NEW_SIZE, 0, 0);
}
static void control_number_negative(struct rig *rig)
{
    CONTROL(rig, fold(-1), NEW_SIZE, 0, 0);
}
static void control_guide(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 4, 2, 0);
}
static void control_guide_twice(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 8, 1, 1, 0);
}
static void control_guides_many(struct rig *rig)
{
    CONTROL(rig, 0, NEW_SIZE, 20, 0, 1, 2, 3, 4, 0);
}
static void control_guide_memory(struct rig *rig)
{
    rig->used = 10;
}
static void control_not_shortest(struct rig *rig)
{
    rig->streams[FORMAT_CONTROL].n = 0;
    rig_add(&rig->streams[FORMAT_CONTROL], "\x80\x00", 2);
}
static void control_endless_number(struct rig *rig)
{
    rig->streams[FORMAT_CONTROL].n = 0;
    rig_add(&rig->streams[FORMAT_CONTROL], "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11);
}
static void control_short(struct rig *rig)
{
    rig->streams[FORMAT_CONTROL].n--;
}
static void control_more(struct rig *rig)
{
    rig_add(&rig->streams[FORMAT_CONTROL], "", 1);
}
static void streams_moved(struct rig *rig)
{
    rig->streams[FORMAT_DIFF].n--;
    rig_add(&rig->streams[FORMAT_EXTRA], "x", 1);
}

static void head_base(struct format_head *h)
{
    h->base[31] ^= 1;
}
static void head_n_old(struct format_head *h)
{
    h->n_old = 1;
}
static void head_old_bytes(struct format_head *h)
{
    h->old_bytes++;
}
static void head_memory_less(struct format_head *h)
{
    h->memory = 1000;
}
static void head_memory_more(struct format_head *h)
{
    h->memory = RIG_MEMORY + 1;
}
static void head_new_bytes(struct format_head *h)
{
    h->new_bytes++;
}
static void head_n_new(struct format_head *h)
{
    h->n_new = 2;
}
static void head_group_empty(struct format_head *h)
{
    h->groups[0].files = 0;
}
static void head_two_files(struct format_head *h)
{
    h->n_new = 2;
    h->groups[0].files = 2;
}
static void head_stored_grows(struct format_head *h)
{
    h->groups[0].streams[FORMAT_EXTRA].raw++;
    h->new_bytes++;
}
static void head_codec(struct format_head *h)
{
    h->groups[0].streams[FORMAT_DIFF].codec = (enum stream_codec)STREAM_CODECS;
}
static void head_dict_small(struct format_head *h)
{
    h->groups[0].streams[FORMAT_DIFF].codec = STREAM_LZMA2;
    h->groups[0].streams[FORMAT_DIFF].dict = 1;
}
static void head_dict_large(struct format_head *h)
{
    h->groups[0].streams[FORMAT_DIFF].codec = STREAM_LZMA2;
    h->groups[0].streams[FORMAT_DIFF].dict = STREAM_DICT_MAX;
    h->memory = format_cost(h);
}
static void head_not_lzma(struct format_head *h)
{
    h->groups[0].streams[FORMAT_DIFF].codec = STREAM_LZMA2;
    h->groups[0].streams[FORMAT_DIFF].dict = 4096;
    h->memory += format_cost(h);
}
static void head_not_zstd(struct format_head *h)
{
    h->groups[0].streams[FORMAT_DIFF].codec = STREAM_ZSTD;
    h->groups[0].streams[FORMAT_DIFF].dict = 4096;
    h->memory += format_cost(h);
}
static void head_size_wraps(struct format_head *h)
{
    h->groups[0].streams[FORMAT_CONTROL].size = UINT64_MAX;
    h->groups[0].streams[FORMAT_CONTROL].raw = UINT64_MAX;
}

static void spec_output(struct apply_spec *s)
{
    s->output_max = NEW_SIZE - 1;
}

static void file_cut(int fd, uint64_t *size)
{
    assert_int_equal(ftruncate(fd, (off_t)-- * size), 0);
}
static void file_cut_below(int fd, uint64_t *size)
{
    assert_int_equal(ftruncate(fd, (off_t)*size - 1), 0);
}
static void file_more(int fd, uint64_t *size)
{
    assert_int_equal(pwrite(fd, "x", 1, (off_t)(*size)++), 1);
}
static void file_magic(int fd, uint64_t *size)
{
    (void)size;
    assert_int_equal(pwrite(fd, "BERTHDL2", 8, 0), 8);
}
static void file_empty(int fd, uint64_t *size)
{
    assert_int_equal(ftruncate(fd, 0), 0);
    *size = 0;
}
static void file_head_long(int fd, uint64_t *size)
{
    (void)size;
    assert_int_equal(pwrite(fd, "\xff\xff", 2, 8), 2);
}
static void file_key(int fd, uint64_t *size)
{
    (void)size;
    assert_int_equal(pwrite(fd, "\x09", 1, 11), 1);
}

static const struct lie lies[] = {
    { "another base", RC_DELTA_BASE, .head = head_base },
    { "fewer old files", RC_DELTA_BASE, .head = head_n_old },
    { "larger old files", RC_DELTA_BASE, .head = head_old_bytes },
    { "reads behind the old files", RC_DELTA_RANGE, control_behind_old },
    { "reads before the old files", RC_DELTA_RANGE, control_before_old },
    { "match crosses files", RC_DELTA_RANGE, control_crosses },
    { "shifted match reads on into the next file", RC_DELTA_RANGE, control_shift_crosses },
    { "origin wraps", RC_DELTA_RANGE, control_origin_wraps },
    { "origin in bits wraps", RC_DELTA_RANGE, control_bits_wrap },
    { "writes behind the new file", RC_DELTA_RANGE, control_behind_new },
    { "gap larger than the file", RC_DELTA_RANGE, control_gap_large },
    { "gaps and sizes add up to more", RC_DELTA_RANGE, control_gaps_sum },
    { "size of a match wraps", RC_DELTA_RANGE, control_size_wraps },
    { "new file too large", RC_DELTA_RANGE, control_file_large },
    { "more output than declared", RC_DELTA_BOMB, control_file_larger_than_all },
    { "less output than declared", RC_DELTA_TRAILING, control_file_smaller },
    { "more matches than bytes", RC_DELTA_RANGE, control_matches_many },
    { "more matches than memory", RC_DELTA_MEMORY, control_memory },
    { "new file's number too high", RC_DELTA_COUNT, control_number },
    { "new file's number negative", RC_DELTA_COUNT, control_number_negative },
    { "guide is no file", RC_DELTA_RANGE, control_guide },
    { "guide twice", RC_DELTA_RANGE, control_guide_twice },
    { "too many guides", RC_DELTA_RANGE, control_guides_many },
    { "analysis needs more memory than declared", RC_DELTA_MEMORY, control_guide_memory },
    { "number not in shortest form", RC_DELTA_STREAM, control_not_shortest },
    { "number without end", RC_DELTA_STREAM, control_endless_number },
    { "control ends early", RC_DELTA_BOMB, control_short },
    { "control goes on", RC_DELTA_TRAILING, control_more },
    { "diff ends early", RC_DELTA_BOMB, streams_moved },
    { "declares too little memory", RC_DELTA_MEMORY, .head = head_memory_less },
    { "declares too much memory", RC_DELTA_LIMIT, .head = head_memory_more },
    { "new bytes differ from the streams'", RC_DELTA_FORMAT, .head = head_new_bytes },
    { "groups lack a file", RC_DELTA_COUNT, .head = head_n_new },
    { "empty group", RC_DELTA_FORMAT, .head = head_group_empty },
    { "a file more than there is control", RC_DELTA_BOMB, .head = head_two_files },
    { "stored stream grows", RC_DELTA_FORMAT, .head = head_stored_grows },
    { "unknown codec", RC_VALUE, .head = head_codec },
    { "dictionary too small", RC_DELTA_FORMAT, .head = head_dict_small },
    { "dictionary larger than the satellite's limit", RC_DELTA_LIMIT, .head = head_dict_large },
    { "no lzma", RC_DELTA_STREAM, .head = head_not_lzma },
    { "no zstd", RC_DELTA_STREAM, .head = head_not_zstd },
    { "sizes wrap", RC_VALUE, .head = head_size_wraps },
    { "more output than allowed", RC_DELTA_LIMIT, .spec = spec_output },
    { "delta is cut", RC_DELTA_STREAM, .file = file_cut },
    { "descriptor ends before the delta", RC_DELTA_STREAM, .file = file_cut_below },
    { "bytes behind the delta", RC_DELTA_TRAILING, .file = file_more },
    { "another magic", RC_DELTA_FORMAT, .file = file_magic },
    { "empty", RC_DELTA_FORMAT, .file = file_empty },
    { "head longer than the delta", RC_DELTA_FORMAT, .file = file_head_long },
    { "unknown key", RC_DELTA_FORMAT, .file = file_key },
};

static void test_lies(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        const struct lie *lie = &lies[i];
        struct rig rig = { .n_old = 0 };
        uint64_t size = 0;
        struct err err = { .rc = RC_OK };

        make_honest(&rig);
        if (lie->streams) {
            lie->streams(&rig);
            rig_head(&rig);
        }
        if (lie->head)
            lie->head(&rig.head);

        scoped(close_fd) int fd = rig_delta(&rig, &size);

        if (lie->file)
            lie->file(fd, &size);

        struct apply_spec spec = rig_spec(&rig, size);

        if (lie->spec)
            lie->spec(&spec);

        enum rc rc = rig_apply(&rig, fd, &spec, &err);

        if (rc != lie->rc)
            fail_msg("%s: got %s (%s), want %s", lie->why, rc_name(rc), err.what, rc_name(lie->rc));
        assert_true(rig.given <= rig.head.new_bytes);
        rig_done(&rig);
    }
}

/* The honest delta of the table applies. */
static void test_honest(void **unused)
{
    struct rig rig = { .n_old = 0 };
    uint64_t size = 0;
    struct err err;

    (void)unused;
    make_honest(&rig);

    scoped(close_fd) int fd = rig_delta(&rig, &size);
    struct apply_spec spec = rig_spec(&rig, size);

    assert_rc(rig_apply(&rig, fd, &spec, &err), RC_OK);
    assert_memory_equal(rig.out[0].p, new_file, NEW_SIZE);
    rig_done(&rig);
}

/* Compress a stream of the rig; the head says so. */
static void squeeze(struct rig *rig, unsigned k, enum stream_codec codec, uint32_t dict)
{
    struct rig_buf *raw = &rig->streams[k];
    struct rig_buf packed = { .n = 0 };
    size_t cap = ZSTD_compressBound(raw->n) + 4096;
    size_t n = 0;
    uint8_t *buf = malloc(cap);

    assert_non_null(buf);
    if (codec == STREAM_ZSTD) {
        n = ZSTD_compress(buf, cap, raw->p, raw->n, 3);
        assert_false(ZSTD_isError(n));
    } else {
        lzma_options_lzma options;
        lzma_filter f[] = { { .id = LZMA_FILTER_LZMA2, .options = &options },
                            { .id = LZMA_VLI_UNKNOWN } };

        assert_false(lzma_lzma_preset(&options, 6));
        options.dict_size = dict;
        assert_int_equal(lzma_raw_buffer_encode(f, NULL, raw->p, raw->n, buf, &n, cap), LZMA_OK);
    }
    rig_add(&packed, buf, n);
    free(buf);
    rig->head.groups[0].streams[k] =
        (struct stream_spec){ .codec = codec, .dict = dict, .size = n, .raw = raw->n };
    free(raw->p);
    *raw = packed;
    rig->head.memory = format_cost(&rig->head) + rig->used;
}

static enum rc apply_now(struct rig *rig)
{
    uint64_t size = 0;
    struct err err;
    scoped(close_fd) int fd = rig_delta(rig, &size);
    struct apply_spec spec = rig_spec(rig, size);

    return rig_apply(rig, fd, &spec, &err);
}

/* Compressed streams: honest; cut; longer than declared; with bytes behind their end; expanding to
 * more than they declare. */
static void test_codecs(void **unused)
{
    static const enum stream_codec codecs[] = { STREAM_ZSTD, STREAM_LZMA2 };

    (void)unused;
    for (size_t c = 0; c < 2; c++)
        for (unsigned k = 0; k < FORMAT_STREAMS; k++) {
            struct rig rig = { .n_old = 0 };

            make_honest(&rig);
            squeeze(&rig, k, codecs[c], 8192);
            assert_rc(apply_now(&rig), RC_OK);
            assert_memory_equal(rig.out[0].p, new_file, NEW_SIZE);
            rig_add(&rig.streams[k], "x", 1);
            rig.head.groups[0].streams[k].size++;
            assert_rc(apply_now(&rig), RC_DELTA_TRAILING);
            rig.streams[k].n -= 2;
            rig.head.groups[0].streams[k].size -= 2;
            assert_rc(apply_now(&rig), RC_DELTA_STREAM);
            rig_done(&rig);
        }
}

static void test_endless(void **unused)
{
    static const enum stream_codec codecs[] = { STREAM_ZSTD, STREAM_LZMA2 };
    static const uint8_t zeros[4U << 20];

    (void)unused;
    for (size_t c = 0; c < 2; c++) {
        struct rig rig = { .n_old = 0 };
        uint64_t raw = 0;

        make_honest(&rig);
        raw = rig.streams[FORMAT_EXTRA].n;
        rig_add(&rig.streams[FORMAT_EXTRA], zeros, sizeof zeros);
        squeeze(&rig, FORMAT_EXTRA, codecs[c], 8U << 20);
        rig.head.groups[0].streams[FORMAT_EXTRA].raw = raw;
        assert_rc(apply_now(&rig), RC_DELTA_BOMB);
        assert_true(rig.given <= NEW_SIZE);
        if (codecs[c] == STREAM_ZSTD) { /* its frame wants a larger window than it declares */
            rig.head.groups[0].streams[FORMAT_EXTRA].dict = 4096;
            assert_rc(apply_now(&rig), RC_DELTA_STREAM);
        }
        rig_done(&rig);
    }
}

/* Every byte of a delta changed: refused or applied, never more than declared. */
static void test_every_byte(void **unused)
{
    struct rig rig = { .n_old = 0 };
    uint64_t size = 0;
    struct err err;
    uint8_t byte = 0;

    (void)unused;
    make_honest(&rig);
    squeeze(&rig, FORMAT_DIFF, STREAM_LZMA2, 4096);
    squeeze(&rig, FORMAT_EXTRA, STREAM_ZSTD, 4096);

    scoped(close_fd) int fd = rig_delta(&rig, &size);
    struct apply_spec spec = rig_spec(&rig, size);

    for (uint64_t at = 0; at < size && at < 400; at++)
        for (unsigned flip = 1; flip < 256; flip *= 4) {
            assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
            byte ^= (uint8_t)flip;
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
            (void)!rig_apply(&rig, fd, &spec, &err);
            assert_true(rig.given <= NEW_SIZE);
            byte ^= (uint8_t)flip;
            assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
        }
    assert_rc(rig_apply(&rig, fd, &spec, &err), RC_OK);
    rig_done(&rig);
}

/* Executables whose headers lie: the engine sees less in them, and the result is still exact. */
static void test_elf_lies(void **unused)
{
    uint64_t seed = 7;
    uint8_t *exe = NULL;
    size_t n = 0;
    struct err err;

    (void)unused;
    assert_rc(fs_read_alloc(AT_FDCWD, "/proc/self/exe", 64U << 20, &exe, &n, &err), RC_OK);

    uint64_t sections = view_le64(exe + 40);
    uint8_t *new = malloc(n + 64);

    assert_non_null(new);
    for (unsigned round = 0; round < 60; round++) {
        struct rig rig = { .n_old = 0 };
        struct predict_match m[] = {
            { .from = 0, .at = 0, .size = (uint32_t)(n / 3) & PREDICT_SIZE_MAX },
            { .from = n / 3,
              .at = (uint32_t)(n / 3) + 64,
              .size = (uint32_t)(n - n / 3) & PREDICT_SIZE_MAX }
        };
        struct control_file file = {
            .plan = { .size = (uint32_t)n + 64, .n_matches = 2, .matches = m, .n_guides = 1 }
        };

        for (unsigned k = 0; k < round; k++) { /* lies add up */
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;

            uint64_t at =
                k % 2 ? 24 + (seed >> 33) % 700 : sections + (seed >> 33) % (n - sections);

            exe[at] = (uint8_t)(seed >> 56);
        }
        memcpy(new, exe, n / 3);
        memset(new + n / 3, 0x5a, 64);
        memcpy(new + n / 3 + 64, exe + n / 3, n - n / 3);
        rig_old(&rig, exe, n);
        rig_new(&rig, (struct bytes){ .p = new, .n = n + 64 }, &file);
        rig_head(&rig);
        assert_rc(apply_now(&rig), RC_OK);
        assert_int_equal(rig.out[0].n, n + 64);
        assert_memory_equal(rig.out[0].p, new, n + 64);
        rig_done(&rig);
    }
    free(new);
    free(exe);
}

/* ---- opened files ---------------------------------------------------------------------------- */

#define CONTENT 3000U

static const uint8_t gzip_head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3 };

/* An old and a new gzip file, in their opened forms, and packed. */
struct packed_pair {
    uint8_t form[2][sizeof gzip_head + CONTENT];
    struct rig_buf file[2];
};

static enum rc add_packed(void *arg, struct bytes piece, struct err *err)
{
    (void)err;
    rig_add(arg, piece.p, piece.n);
    return RC_OK;
}

static void make_pair(struct packed_pair *pair)
{
    const struct gzip_how how = { DEFLATE_GZIP, 9, sizeof gzip_head };
    struct deflate_work work = DEFLATE_WORK_NEW;

    for (unsigned k = 0; k < 2; k++) {
        const struct block_sink sink = { .arg = &pair->file[k], .data = add_packed };
        scoped(gzip_free) struct gzip *g = NULL;
        struct err err;

        memcpy(pair->form[k], gzip_head, sizeof gzip_head);
        for (size_t i = 0; i < CONTENT; i++)
            pair->form[k][sizeof gzip_head + i] = (uint8_t)(i * i / 7 + k * (i > 2000));
        assert_rc(gzip_new(&how, &work, &sink, &g, &err), RC_OK);
        assert_rc(gzip_add(g, (struct bytes){ pair->form[k], sizeof pair->form[k] }, &err), RC_OK);
        assert_rc(gzip_end(g, &err), RC_OK);
    }
}

/* What one row changes of an honest delta. */
struct packed_lie {
    const char *why;
    enum rc rc;
    uint32_t opens;   /* which old file is opened */
    int32_t size;     /* so much more is declared for the packed file */
    uint32_t trailer; /* what the old file says of its size */
    bool packs_not;   /* the group says that it packs nothing */
    uint64_t how[3];  /* numbers of the packed file, if not all 0 */
    uint32_t memory;  /* so much less is declared */
};

static const struct packed_lie packed_lies[] = {
    { "honest", RC_OK, .trailer = CONTENT },
    { "opens what is no gzip file", RC_DELTA_BASE, .trailer = CONTENT, .opens = 1 },
    { "opens what is no file", RC_DELTA_RANGE, .trailer = CONTENT, .opens = 2 },
    { "packed file is larger", RC_DELTA_BOMB, .trailer = CONTENT, .size = -1 },
    { "packed file is smaller", RC_DELTA_TRAILING, .trailer = CONTENT, .size = 1 },
    { "packs without saying so", RC_DELTA_MEMORY, .trailer = CONTENT, .packs_not = true },
    { "old file says it is huge", RC_DELTA_MEMORY, .trailer = UINT32_MAX },
    { "old file says it is larger", RC_DELTA_BASE, .trailer = CONTENT + 1 },
    { "old file says it is smaller", RC_DELTA_BASE, .trailer = CONTENT - 1 },
    { "level too low", RC_DELTA_RANGE, .trailer = CONTENT, .how = { 3 * DEFLATE_STYLES, 10, 9 } },
    { "level too high", RC_DELTA_RANGE, .trailer = CONTENT, .how = { 10 * DEFLATE_STYLES, 10, 9 } },
    { "header too long", RC_DELTA_RANGE, .trailer = CONTENT, .how = { 18, GZIP_HEAD_MAX + 1, 9 } },
    { "no size", RC_DELTA_RANGE, .trailer = CONTENT, .how = { 18, 10, 0 } },
    { "no memory to spare", RC_DELTA_MEMORY, .trailer = CONTENT, .memory = 1 },
};

/* The numbers of the control are written anew: one match of everything in the opened file. */
static void control_packed(struct rig *rig, const struct packed_lie *lie, uint32_t packed_size)
{
    const uint64_t honest[] = { 9 * DEFLATE_STYLES, sizeof gzip_head, packed_size };
    struct rig_buf *out = &rig->streams[FORMAT_CONTROL];

    out->n = 0;
    put(out, 1 << 1 | !lie->packs_not);
    put(out, lie->opens);
    put(out, 0);                          /* number */
    put(out, sizeof gzip_head + CONTENT); /* size */
    put(out, 2);                          /* it is packed, and has no guides */
    for (size_t i = 0; i < 3; i++)
        put(out, lie->how[0] > 0 ? lie->how[i] : honest[i] + (i == 2 ? (uint64_t)lie->size : 0));
    put(out, 1); /* match */
    put(out, 0);
    put(out, sizeof gzip_head + CONTENT - 1);
    put(out, fold((int64_t)rig->head.old_bytes)); /* behind the old files */
}

static void try_packed_lie(const struct packed_lie *lie, const struct packed_pair *pair)
{
    struct rig rig = { .n_opens = 1, .packs = true };
    const struct bytes form = { pair->form[1], sizeof pair->form[1] };
    struct predict_match m = { .size = (uint32_t)form.n & PREDICT_SIZE_MAX };
    struct control_file file = {
        .plan = { .size = (uint32_t)form.n, .n_matches = 1, .matches = &m },
        .packed_size = (uint32_t)pair->file[1].n,
        .packed = { DEFLATE_GZIP, 9, sizeof gzip_head }
    };
    struct bytes old = { pair->file[0].p, pair->file[0].n };

    for (unsigned i = 0; i < 4; i++)
        pair->file[0].p[old.n - 4 + i] = (uint8_t)(CONTENT >> (8 * i));
    rig_old(&rig, old.p, old.n);
    rig_old(&rig, old_file[0], OLD_SIZE);
    m.from = rig.head.old_bytes;
    rig_new(&rig, form, &file);
    control_packed(&rig, lie, file.packed_size);
    rig.head.new_bytes += (uint64_t)lie->size;
    rig_head(&rig);
    rig.head.memory -= lie->memory;
    for (unsigned i = 0; i < 4; i++)
        pair->file[0].p[old.n - 4 + i] = (uint8_t)(lie->trailer >> (8 * i));

    enum rc rc = apply_now(&rig);

    if (rc != lie->rc)
        fail_msg("%s: got %s, want %s", lie->why, rc_name(rc), rc_name(lie->rc));
    assert_true(rig.given <= rig.head.new_bytes);
    if (rc == RC_OK) {
        assert_int_equal(rig.out[0].n, pair->file[1].n);
        assert_memory_equal(rig.out[0].p, pair->file[1].p, pair->file[1].n);
    }
    rig_done(&rig);
}

static void test_packed_lies(void **state)
{
    static struct packed_pair pair;

    (void)state;
    make_pair(&pair);
    for (size_t i = 0; i < sizeof packed_lies / sizeof packed_lies[0]; i++)
        try_packed_lie(&packed_lies[i], &pair);
    free(pair.file[0].p);
    free(pair.file[1].p);
}

/* New files that are slow to pack, each of which would pass alone. */
static void test_packed_slow(void **state)
{
    static uint8_t slow[sizeof gzip_head + 12000];
    uint64_t seed = 3;

    (void)state;
    for (size_t i = 0; i < sizeof slow; i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        slow[i] = (uint8_t)(i % 4 == 3 ? seed >> 56 : 'a');
    }
    memcpy(slow, gzip_head, sizeof gzip_head);
    for (uint32_t n = 1; n <= RIG_FILES; n += RIG_FILES - 1) {
        const struct gzip_how how = { DEFLATE_GZIP, 9, sizeof gzip_head };
        struct deflate_work work = DEFLATE_WORK_NEW;
        struct rig_buf packed = { .n = 0 };
        const struct block_sink sink = { .arg = &packed, .data = add_packed };
        scoped(gzip_free) struct gzip *g = NULL;
        struct rig rig = { .packs = true };
        struct err err;

        assert_rc(gzip_new(&how, &work, &sink, &g, &err), RC_OK);
        assert_rc(gzip_add(g, (struct bytes){ slow, sizeof slow }, &err), RC_OK);
        assert_rc(gzip_end(g, &err), RC_OK);
        rig_old(&rig, old_file[0], OLD_SIZE);
        for (uint32_t i = 0; i < n; i++) {
            const struct control_file file = { .number = i,
                                               .plan = { .size = sizeof slow },
                                               .packed_size = (uint32_t)packed.n,
                                               .packed = how };

            rig_new(&rig, (struct bytes){ slow, sizeof slow }, &file);
        }
        rig_head(&rig);
        assert_rc(apply_now(&rig), n == 1 ? RC_OK : RC_DELTA_WORK);
        rig_done(&rig);
        free(packed.p);
    }
}

/* Streams that make far more than the new files are. */
static void test_opened_limit(void **state)
{
    struct rig rig = { .n_old = 0 };

    (void)state;
    make_honest(&rig);
    rig.head.groups[0].streams[FORMAT_EXTRA].raw = NEW_SIZE + APPLY_OPENED_MAX + 1;
    rig.head.groups[0].streams[FORMAT_EXTRA].codec = STREAM_LZMA2;
    rig.head.groups[0].streams[FORMAT_EXTRA].dict = STREAM_DICT_MIN;
    rig.head.memory = format_cost(&rig.head);
    assert_rc(apply_now(&rig), RC_DELTA_LIMIT);
    rig_done(&rig);
}

/* A delta that an older maker made must not need more than it says: the costs never change. */
static void test_costs(void **state)
{
    static const struct {
        struct stream_spec spec;
        uint64_t cost;
    } rows[] = {
        { { .codec = STREAM_STORED }, 114688 },
        { { .codec = STREAM_ZSTD, .dict = 4096 }, 114688 + 4096 + 655360 },
        { { .codec = STREAM_LZMA2, .dict = 8192 }, 114688 + 8192 + 262144 },
        { { .codec = STREAM_RUNS, .dict = 4096 }, 114688 + 4096 + 262144 },
    };
    struct view plain = { .format = VIEW_PLAIN };
    struct view code = { .n_parts = 1, .parts = { { .size = 1024, .kind = VIEW_CODE_X86 } } };
    struct format_head head = { .n_old = 2, .n_new = 16 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(stream_cost(&rows[i].spec), rows[i].cost);
    assert_int_equal(GZIP_COST, 397312);
    assert_int_equal(IMAGE_ADDED_COST, 64);
    assert_int_equal(image_cost(2), 1024 + 3 * 16);
    assert_int_equal(map_cost(10), 1179648 + 400);
    assert_int_equal(refs_cost(&plain), 8192);
    assert_int_equal(refs_cost(&code), 8192 + 5);
    assert_int_equal(format_cost(&head), 1024 + 3 * 16 + 524288 + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_honest),       cmocka_unit_test(test_lies),
        cmocka_unit_test(test_codecs),       cmocka_unit_test(test_endless),
        cmocka_unit_test(test_every_byte),   cmocka_unit_test(test_elf_lies),
        cmocka_unit_test(test_costs),        cmocka_unit_test(test_packed_lies),
        cmocka_unit_test(test_opened_limit), cmocka_unit_test(test_packed_slow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
