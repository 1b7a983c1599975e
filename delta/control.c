/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/control.h"

#include <assert.h>
#include <stdlib.h>

#include "delta/format.h"

#define NUMBER_SIZE 10U /* LEB128 of 64 bits */
#define FLAG_BITS 1U    /* positions count bits: some matches are shifted */
#define FLAG_PACKED 2U
#define FLAG_SHIFT 2U
#define PACKED_NUMBERS 3U

/* Small for small numbers of either sign. */
static uint64_t fold(uint64_t v)
{
    return v << 1 ^ (uint64_t) - (v >> 63);
}

static uint64_t unfold(uint64_t v)
{
    return v >> 1 ^ (uint64_t) - (v & 1);
}

static size_t put(uint8_t *out, uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

size_t control_bound(uint32_t n)
{
    return NUMBER_SIZE * (4 + PACKED_NUMBERS + MAP_GUIDES_MAX + 3 * (size_t)n);
}

size_t control_group_bound(uint32_t n_opened)
{
    return NUMBER_SIZE * ((size_t)n_opened + 1);
}

size_t control_put_group(const struct control_group *group, const uint32_t *opened, uint8_t *out)
{
    size_t n = put(out, (uint64_t)group->n_opened << 1 | group->packs);
    uint32_t last = 0;

    for (uint32_t i = 0; i < group->n_opened; i++) {
        n += put(out + n, opened[i] - last);
        last = opened[i];
    }
    return n;
}

enum rc control_read_group(struct stream *in, struct control_group *ret, struct err *err)
{
    uint64_t v = 0;
    enum rc rc = stream_number(in, (uint64_t)IMAGE_FILES_MAX << 1 | 1, &v, err);

    if (rc == RC_OK)
        *ret = (struct control_group){ .n_opened = (uint32_t)(v >> 1), .packs = v & 1 };
    return rc;
}

enum rc control_read_opened(struct stream *in, uint32_t n_old, uint32_t *last, struct err *err)
{
    uint64_t v = 0;
    enum rc rc = stream_number(in, IMAGE_FILES_MAX, &v, err);

    if (rc == RC_OK && v + *last >= n_old)
        rc = err_set(err, RC_DELTA_RANGE, "no old file to open");
    if (rc == RC_OK)
        *last += (uint32_t)v;
    return rc;
}

static bool has_shift(const struct predict_plan *plan)
{
    for (uint32_t i = 0; i < plan->n_matches; i++)
        if (plan->matches[i].shift > 0)
            return true;
    return false;
}

size_t control_put(struct control_state *state, const struct control_file *file, uint8_t *out)
{
    const struct predict_plan *plan = &file->plan;
    bool bits = has_shift(plan);
    size_t n = put(out, fold((uint64_t)file->number - state->number));
    uint64_t at = 0;

    n += put(out + n, plan->size);
    n += put(out + n, plan->n_guides << FLAG_SHIFT | (file->packed_size > 0 ? FLAG_PACKED : 0) |
                          (bits ? FLAG_BITS : 0));
    if (file->packed_size > 0) {
        n += put(out + n, file->packed.level * DEFLATE_STYLES + file->packed.style);
        n += put(out + n, file->packed.head);
        n += put(out + n, file->packed_size);
    }
    for (uint32_t i = 0; i < plan->n_guides; i++)
        n += put(out + n, plan->guides[i]);
    n += put(out + n, plan->n_matches);
    for (uint32_t i = 0; i < plan->n_matches; i++) {
        n += put(out + n, plan->matches[i].at - at);
        at = (uint64_t)plan->matches[i].at + plan->matches[i].size;
    }
    for (uint32_t i = 0; i < plan->n_matches; i++)
        n += put(out + n, plan->matches[i].size - 1U);
    for (uint32_t i = 0; i < plan->n_matches; i++) {
        const struct predict_match *m = &plan->matches[i];
        uint64_t step = m->from - state->from;

        n += put(out + n, fold(bits ? step * 8 + m->shift : step));
        state->from = m->from + m->size;
    }
    state->number = file->number + 1;
    return n;
}

/* How a packed file is made of its opened form. */
static enum rc get_packed(struct stream *in, struct control_file *file, struct err *err)
{
    uint64_t how = 0;
    uint64_t head = 0;
    uint64_t size = 0;
    enum rc rc = stream_number(in, (DEFLATE_LEVEL_MAX + 1) * DEFLATE_STYLES - 1, &how, err);

    if (rc == RC_OK && how / DEFLATE_STYLES < DEFLATE_LEVEL_MIN)
        rc = err_set(err, RC_DELTA_RANGE, "no such level");
    if (rc == RC_OK)
        rc = stream_number(in, GZIP_HEAD_MAX, &head, err);
    if (rc == RC_OK)
        rc = stream_number(in, PREDICT_SIZE_MAX, &size, err);
    if (rc == RC_OK && size == 0)
        rc = err_set(err, RC_DELTA_RANGE, "packed file is empty");
    if (rc != RC_OK)
        return rc;
    file->packed = (struct gzip_how){ .style = (enum deflate_style)(how % DEFLATE_STYLES),
                                      .level = (unsigned)(how / DEFLATE_STYLES),
                                      .head = (uint32_t)head };
    file->packed_size = (uint32_t)size;
    return RC_OK;
}

static enum rc get_guides(struct stream *in, uint32_t n_old, struct predict_plan *plan,
                          struct err *err)
{
    enum rc rc = RC_OK;
    uint64_t v = 0;

    for (uint32_t i = 0; i < plan->n_guides; i++) {
        rc = stream_number(in, UINT32_MAX, &v, err);
        if (rc == RC_OK && v >= n_old)
            rc = err_set(err, RC_DELTA_RANGE, "guide is no old file");
        if (rc != RC_OK)
            return rc;
        for (uint32_t k = 0; k < i; k++)
            if (plan->guides[k] == v)
                return err_set(err, RC_DELTA_RANGE, "guide named twice");
        plan->guides[i] = (uint32_t)v;
    }
    return RC_OK;
}

static enum rc get_flags(struct stream *in, struct control_file *file, bool *ret_bits,
                         struct err *err)
{
    uint64_t v = 0;
    enum rc rc = stream_number(in, MAP_GUIDES_MAX << FLAG_SHIFT | FLAG_PACKED | FLAG_BITS, &v, err);

    if (rc != RC_OK)
        return rc;
    *ret_bits = v & FLAG_BITS;
    file->plan.n_guides = (uint32_t)(v >> FLAG_SHIFT);
    return v & FLAG_PACKED ? get_packed(in, file, err) : RC_OK;
}

/* Where the matches lie in the new file: the gaps before them, then their sizes. */
static enum rc get_places(struct stream *in, uint32_t file_size, uint32_t n,
                          struct predict_match *m, struct err *err)
{
    uint64_t at = 0;
    uint64_t v = 0;

    for (uint32_t i = 0; i < n; i++) {
        enum rc rc = stream_number(in, file_size, &v, err);

        if (rc != RC_OK)
            return rc;
        m[i].at = (uint32_t)v;
    }
    for (uint32_t i = 0; i < n; i++) {
        enum rc rc = stream_number(in, file_size, &v, err);

        if (rc != RC_OK)
            return rc;
        at += m[i].at;
        if (at >= file_size || v >= file_size - at)
            return err_set(err, RC_DELTA_RANGE, "match %u leaves the new file", i);
        m[i].at = (uint32_t)at;
        m[i].size = (uint32_t)(v + 1) & PREDICT_SIZE_MAX;
        at += v + 1;
    }
    return RC_OK;
}

/* A match lies within one old file. */
static enum rc check_match(const struct image *image, const struct predict_match *m, uint32_t i,
                           struct err *err)
{
    uint32_t file = 0;
    uint64_t size = (uint64_t)m->size + (m->shift > 0 ? 1 : 0);

    if (!image_find(image, m->from, &file))
        return err_set(err, RC_DELTA_RANGE, "match %u leaves the old files", i);
    if (size > image_file_size(image, file) - (m->from - image_start(image, file)))
        return err_set(err, RC_DELTA_RANGE, "match %u crosses the end of an old file", i);
    return RC_OK;
}

static enum rc get_origins(struct stream *in, struct control_state *state,
                           const struct image *image, bool bits, uint32_t n,
                           struct predict_match *m, struct err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t v = 0;
        enum rc rc = stream_number(in, UINT64_MAX, &v, err);

        if (rc != RC_OK)
            return rc;
        v = unfold(v);
        if (bits) {
            v += state->from * 8;
            m[i].shift = v & 7;
            m[i].from = v >> 3;
        } else {
            m[i].from = state->from + v;
        }
        rc = check_match(image, &m[i], i, err);
        if (rc != RC_OK)
            return rc;
        state->from = m[i].from + m[i].size;
    }
    return RC_OK;
}

enum rc control_read(struct stream *in, struct control_state *state, const struct image *image,
                     uint64_t memory, struct control_file *ret, struct err *err)
{
    struct control_file f = { 0 };
    uint64_t v = 0;
    bool bits = false;
    enum rc rc = stream_number(in, UINT64_MAX, &v, err);

    if (rc != RC_OK)
        return rc;
    v = unfold(v) + state->number;
    if (v >= FORMAT_NEW_MAX)
        return err_set(err, RC_DELTA_COUNT, "new file's number");
    f.number = (uint32_t)v;
    rc = stream_number(in, PREDICT_SIZE_MAX, &v, err);
    f.plan.size = (uint32_t)v;
    if (rc == RC_OK)
        rc = get_flags(in, &f, &bits, err);
    if (rc == RC_OK)
        rc = get_guides(in, image_files(image), &f.plan, err);
    if (rc == RC_OK)
        rc = stream_number(in, f.plan.size, &v, err);
    if (rc != RC_OK)
        return rc;
    f.plan.n_matches = (uint32_t)v;
    if (v * sizeof(struct predict_match) > memory)
        return err_set(err, RC_DELTA_MEMORY, "matches");

    scoped(free_ptr) struct predict_match *m = calloc(v + 1, sizeof *m);

    if (!m)
        return err_set(err, RC_NO_MEMORY, "matches");
    rc = get_places(in, f.plan.size, f.plan.n_matches, m, err);
    if (rc == RC_OK)
        rc = get_origins(in, state, image, bits, f.plan.n_matches, m, err);
    if (rc != RC_OK)
        return rc;
    state->number = f.number + 1;
    f.plan.matches = m;
    m = NULL;
    *ret = f;
    return RC_OK;
}
