/* SPDX-License-Identifier: Apache-2.0
 *
 * What a delta declares is a bound at every moment: deltas of several groups whose guides, opened
 * files and matches together would take more than any one of them.
 */
#include "tests/unit/test.h"

#include <sys/mman.h>

#include "delta/gzip.h"
#include "delta/predict.h"
#include "tests/unit/delta_rig.h"

#define GUIDES 4U
#define GZIP 4U /* old file that can be opened */
#define GUIDE_SIZE (32U << 20)
#define RODATA 4096U    /* where it begins in a guide */
#define SECTIONS 0x800U /* the same of the section headers, and of their names */
#define NAMES 0x900U
#define OPENED (5U << 20) /* content of the file that can be opened */
#define NEW_SIZE 64U
#define MATCHES_MAX 60000U
#define GROUPS 2U
#define FILES 2U /* of a group */

/* From the table of docs/wire/delta.md. */
#define PREDICTOR 16384U
#define MATCH 16U
#define GUIDE (8192U + (GUIDE_SIZE - RODATA) / 32U + 1U)
#define OPENED_COST (64U + 10U + OPENED)

static uint8_t guide_head[RODATA];
static uint8_t *packed;
static size_t packed_n;

static void put_le(uint8_t *p, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void section(unsigned i, uint32_t name, uint64_t flags, uint64_t off, uint64_t size)
{
    uint8_t *p = guide_head + SECTIONS + 64U * i;

    put_le(p, name, 4);
    put_le(p + 4, 1, 4);
    put_le(p + 8, flags, 8);
    put_le(p + 16, off, 8); /* loaded at its offset */
    put_le(p + 24, off, 8);
    put_le(p + 32, size, 8);
}

/* An executable for x86-64 that is nothing but read-only data: looking at it costs memory, and no
 * time. */
static void make_guide(void)
{
    static const char names[] = "\0.rodata";
    uint8_t *h = guide_head;

    memcpy(h, "\177ELF\2\1\1", 7);
    put_le(h + 16, 3, 2);
    put_le(h + 18, 62, 2);
    put_le(h + 20, 1, 4);
    put_le(h + 32, 64, 8);
    put_le(h + 40, SECTIONS, 8);
    put_le(h + 52, 64, 2);
    put_le(h + 54, 56, 2);
    put_le(h + 56, 1, 2);
    put_le(h + 58, 64, 2);
    put_le(h + 60, 3, 2);
    put_le(h + 62, 2, 2);
    put_le(h + 64, 1, 4);
    put_le(h + 68, 4, 4);
    put_le(h + 64 + 32, GUIDE_SIZE, 8);
    put_le(h + 64 + 40, GUIDE_SIZE, 8);
    section(1, 1, 2, RODATA, GUIDE_SIZE - RODATA);
    section(2, 0, 0, NAMES, sizeof names);
    memcpy(h + NAMES, names, sizeof names);
}

static enum rc add_packed(void *arg, struct bytes piece, struct err *err)
{
    (void)arg;
    (void)err;
    packed = realloc(packed, packed_n + piece.n);
    assert_non_null(packed);
    memcpy(packed + packed_n, piece.p, piece.n);
    packed_n += piece.n;
    return RC_OK;
}

static void make_packed(void)
{
    static const uint8_t head[10] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3 };
    static const uint8_t content[65536];
    struct deflate_work work = DEFLATE_WORK_NEW;
    const struct gzip_how how = { DEFLATE_GZIP, 6, sizeof head };
    const struct block_sink sink = { .data = add_packed };
    scoped(gzip_free) struct gzip *g = NULL;
    struct err err;

    assert_rc(gzip_new(&how, &work, &sink, &g, &err), RC_OK);
    assert_rc(gzip_add(g, (struct bytes){ head, sizeof head }, &err), RC_OK);
    for (size_t i = 0; i < OPENED / sizeof content; i++)
        assert_rc(gzip_add(g, (struct bytes){ content, sizeof content }, &err), RC_OK);
    assert_rc(gzip_end(g, &err), RC_OK);
}

/* The guides take no room of their own: they are holes. */
static enum rc open_old(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    const struct bytes content[] = { { guide_head, sizeof guide_head }, { packed, packed_n } };
    int fd = memfd_create("old", MFD_CLOEXEC);

    (void)arg;
    assert_true(fd >= 0);
    assert_rc(fs_write_all(fd, content[i == GZIP], err), RC_OK);
    if (i != GZIP)
        assert_int_equal(ftruncate(fd, GUIDE_SIZE), 0);
    *ret_fd = fd;
    return RC_OK;
}

/* A new file without anything of the old ones, but for n_matches bytes. */
struct new_file {
    uint32_t n_guides;
    uint32_t guides[GUIDES];
    uint32_t n_matches;
};

struct row {
    const char *why;
    enum rc rc;
    uint32_t guides, opened, matches; /* what the delta declares memory for, and */
    struct {
        bool opens;
        uint32_t n;
        struct new_file file[FILES];
    } group[GROUPS]; /* what it takes */
};

#define FOUR                                                                                       \
    4,                                                                                             \
    {                                                                                              \
        0, 1, 2, 3                                                                                 \
    }

static const struct row rows[] = {
    { "nothing", RC_OK, 0, 0, 0, { { .n = 1 }, { .n = 1 } } },
    { "guides, then an opened file", RC_OK, 0, 1, 0, { { false, 1, { { FOUR } } }, { true, 1 } } },
    { "an opened file, then guides", RC_OK, 0, 1, 0, { { true, 1 }, { false, 1, { { FOUR } } } } },
    { "guides in both groups",
      RC_OK,
      2,
      0,
      0,
      { { false, 1, { { 2, { 0, 1 } } } }, { false, 1, { { 2, { 2, 3 } } } } } },
    { "the same guides in both groups",
      RC_OK,
      2,
      0,
      0,
      { { false, 1, { { 2, { 0, 1 } } } }, { false, 1, { { 2, { 1, 0 } } } } } },
    { "guides and an opened file",
      RC_OK,
      4,
      1,
      0,
      { { true, 2, { { FOUR }, { FOUR } } }, { .n = 1 } } },
    { "a guide too many beside an opened file",
      RC_DELTA_MEMORY,
      3,
      1,
      0,
      { { true, 1, { { FOUR } } }, { .n = 1 } } },
    { "a guide is opened before one that was kept",
      RC_DELTA_MEMORY,
      1,
      0,
      0,
      { { false, 2, { { 1, { 0 } }, { 2, { 1, 0 } } } }, { .n = 1 } } },
    { "three are opened before one that was kept",
      RC_DELTA_MEMORY,
      3,
      0,
      0,
      { { false, 2, { { 3, { 1, 2, 3 } }, { 4, { 0, 1, 2, 3 } } } }, { .n = 1 } } },
    { "matches beside the guides of the file before",
      RC_DELTA_MEMORY,
      4,
      0,
      0,
      { { false, 2, { { FOUR }, { .n_matches = MATCHES_MAX } } }, { .n = 1 } } },
    { "matches beside the guides of the file before, declared",
      RC_OK,
      4,
      0,
      MATCHES_MAX,
      { { false, 2, { { FOUR }, { .n_matches = MATCHES_MAX } } }, { .n = 1 } } },
    { "matches beside the guides of the group before",
      RC_OK,
      4,
      0,
      0,
      { { false, 1, { { FOUR } } }, { false, 1, { { .n_matches = MATCHES_MAX } } } } },
    { "two opened files", RC_OK, 0, 1, 0, { { true, 1 }, { true, 1 } } },
};

/* Every other byte is one of the old file, the others are literal. */
static void add_file(struct rig *rig, struct rig_buf *streams, const struct new_file *f)
{
    static struct predict_match m[MATCHES_MAX];
    static const uint8_t zeros[MATCHES_MAX + NEW_SIZE];
    struct control_file file = { .number = rig->head.n_new,
                                 .plan = { .size = NEW_SIZE + 2 * f->n_matches,
                                           .n_matches = f->n_matches,
                                           .matches = m,
                                           .n_guides = f->n_guides } };
    uint8_t *control = malloc(control_bound(f->n_matches));

    assert_non_null(control);
    for (uint32_t i = 0; i < f->n_matches; i++)
        m[i] = (struct predict_match){ .from = i, .at = 2 * i, .size = 1 };
    memcpy(file.plan.guides, f->guides, sizeof f->guides);
    rig_add(&streams[FORMAT_CONTROL], control, control_put(&rig->control, &file, control));
    rig_add(&streams[FORMAT_DIFF], zeros, f->n_matches);
    rig_add(&streams[FORMAT_EXTRA], zeros, NEW_SIZE + f->n_matches);
    rig->head.n_new++;
    rig->head.new_bytes += file.plan.size;
    free(control);
}

static void make(const struct row *row, struct rig *rig)
{
    uint64_t most = (uint64_t)row->guides * GUIDE + (uint64_t)row->opened * OPENED_COST;

    for (uint32_t i = 0; i < GUIDES; i++)
        rig_old(rig, NULL, GUIDE_SIZE);
    rig_old(rig, NULL, packed_n);
    rig->source.open = open_old;
    rig->head.n_groups = GROUPS;
    for (uint32_t g = 0; g < GROUPS; g++) {
        struct rig_buf streams[FORMAT_STREAMS] = { { .n = 0 } };
        struct control_group begin = { .n_opened = row->group[g].opens };
        const uint32_t opened = GZIP;
        uint8_t control[64];

        rig_add(&streams[FORMAT_CONTROL], control, control_put_group(&begin, &opened, control));
        for (uint32_t i = 0; i < row->group[g].n; i++)
            add_file(rig, streams, &row->group[g].file[i]);
        rig->head.groups[g].files = row->group[g].n;
        for (unsigned k = 0; k < FORMAT_STREAMS; k++) {
            rig->head.groups[g].streams[k] =
                (struct stream_spec){ .size = streams[k].n, .raw = streams[k].n };
            rig_add(&rig->streams[0], streams[k].p, streams[k].n); /* all of them, in order */
            free(streams[k].p);
        }
    }
    rig->head.memory = format_cost(&rig->head) + PREDICTOR + most + (uint64_t)row->matches * MATCH;
}

/* Each with exactly the memory that it declares, which rig_apply holds it to. */
static void test_groups(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rig rig = { .n_old = 0 };
        uint64_t size = 0;
        struct err err = { .rc = RC_OK };

        make(&rows[i], &rig);

        scoped(close_fd) int fd = rig_delta(&rig, &size);
        struct apply_spec spec = rig_spec(&rig, size);
        enum rc rc = rig_apply(&rig, fd, &spec, &err);

        if (rc != rows[i].rc)
            fail_msg("%s: got %s (%s), want %s", rows[i].why, rc_name(rc), err.what,
                     rc_name(rows[i].rc));
        rig_done(&rig);
    }
}

/* The rows' numbers are those that the predictor counts. */
static void test_guide_costs(void **state)
{
    struct rig rig = { .n_old = 0 };
    scoped(image_free) struct image *image = NULL;
    scoped(predict_free) struct predict *p = NULL;
    struct predict_plan plan = { .size = NEW_SIZE, .n_guides = 1 };
    struct err err;

    (void)state;
    rig_old(&rig, NULL, GUIDE_SIZE);
    rig.source.open = open_old;
    assert_rc(image_new(&rig.source, &image, &err), RC_OK);
    assert_rc(predict_new(image, RIG_MEMORY, &p, &err), RC_OK);
    assert_rc(predict_begin(p, &plan, &err), RC_OK);
    assert_int_equal(predict_used(p), PREDICTOR + GUIDE);
    rig_done(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guide_costs),
        cmocka_unit_test(test_groups),
    };

    make_guide();
    make_packed();

    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    free(packed);
    return failed;
}
