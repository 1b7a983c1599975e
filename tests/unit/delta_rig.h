/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/delta_rig: a small maker of deltas from matches that the test names, its streams
 * stored; old files in memory; and what came out of applying one.  Whatever a test applies is held
 * against the memory that it declares.
 */
#ifndef BERTH_TESTS_UNIT_DELTA_RIG_H
#define BERTH_TESTS_UNIT_DELTA_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "delta/apply.h"
#include "delta/control.h"
#include "delta/format.h"
#include "tests/unit/alloc_count.h"

#define RIG_FILES 8U
#define RIG_MEMORY (16U * 1024U * 1024U)
#define RIG_LEFT 4096U             /* what libraries keep once they were used */
#define RIG_BUFFERS (512U * 1024U) /* before a delta's head has been read it may take so much */

/* Bytes that grow. */
struct rig_buf {
    uint8_t *p;
    size_t n;
    size_t cap;
};

static inline void rig_add(struct rig_buf *b, const void *p, size_t n)
{
    if (n > b->cap - b->n) {
        b->cap = 2 * (b->n + n);
        b->p = realloc(b->p, b->cap);
        if (!b->p)
            abort();
    }
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

struct rig {
    struct bytes old[RIG_FILES];
    uint64_t sizes[RIG_FILES];
    uint32_t n_old;
    struct image_source source;
    struct format_head head;
    struct rig_buf streams[FORMAT_STREAMS];
    struct control_state control;
    uint64_t used; /* by the predictor, and by what is opened */
    uint32_t opens[RIG_FILES];
    uint32_t n_opens; /* old files that the group opens */
    bool packs;
    struct rig_buf out[RIG_FILES];
    uint8_t digest[RIG_FILES][32];
    uint32_t current;
    uint32_t ended;
    uint64_t given;
};

static inline enum rc rig_open(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    const struct rig *rig = arg;
    int fd = memfd_create("old", MFD_CLOEXEC);

    if (fd < 0 || fs_write_all(fd, rig->old[i], err) != RC_OK)
        abort();
    *ret_fd = fd;
    return RC_OK;
}

static inline void rig_old(struct rig *rig, const void *p, size_t n)
{
    rig->old[rig->n_old] = (struct bytes){ .p = p, .n = n };
    rig->sizes[rig->n_old++] = n;
    rig->source =
        (struct image_source){ .arg = rig, .n = rig->n_old, .sizes = rig->sizes, .open = rig_open };
    rig->head.n_old = rig->n_old;
    rig->head.old_bytes += n;
}

static inline void rig_done(struct rig *rig)
{
    for (unsigned k = 0; k < FORMAT_STREAMS; k++)
        free(rig->streams[k].p);
    for (unsigned k = 0; k < RIG_FILES; k++)
        free(rig->out[k].p);
    memset(rig, 0, sizeof *rig);
}

/* The beginning of the group, once old files and what is opened are known. */
static inline void rig_group(struct rig *rig)
{
    struct control_group group = { .n_opened = rig->n_opens, .packs = rig->packs };
    uint8_t control[10 * (RIG_FILES + 1)];

    rig_add(&rig->streams[FORMAT_CONTROL], control, control_put_group(&group, rig->opens, control));
}

/* Memory of what is opened. */
static inline uint64_t rig_opened(struct rig *rig, struct image *image)
{
    uint64_t sum = (rig->packs ? GZIP_COST : 0) + (uint64_t)rig->n_opens * IMAGE_ADDED_COST;
    struct err err;

    if (image_room(image, rig->n_opens, &err) != RC_OK)
        abort();
    for (uint32_t i = 0; i < rig->n_opens; i++) {
        uint64_t size = 0;

        if (image_opened(image, rig->opens[i], &size, &err) != RC_OK ||
            image_add(image, rig->opens[i], &err) != RC_OK)
            abort();
        sum += size;
    }
    return sum;
}

/* Predict one new file and add it to the streams. */
static inline void rig_new(struct rig *rig, struct bytes new, const struct control_file *file)
{
    struct image *image = NULL;
    struct predict *p = NULL;
    struct err err;
    uint8_t *control = malloc(control_bound(file->plan.n_matches));
    uint64_t at = 0;

    if (!control || image_new(&rig->source, &image, &err) != RC_OK ||
        predict_new(image, RIG_MEMORY, &p, &err) != RC_OK)
        abort();

    uint64_t opened = rig_opened(rig, image);

    if (predict_begin(p, &file->plan, &err) != RC_OK)
        abort();
    if (rig->streams[FORMAT_CONTROL].n == 0)
        rig_group(rig);
    rig_add(&rig->streams[FORMAT_CONTROL], control, control_put(&rig->control, file, control));
    for (uint32_t i = 0; i < file->plan.n_matches; i++) {
        const struct predict_match *m = &file->plan.matches[i];

        rig_add(&rig->streams[FORMAT_EXTRA], new.p + at, m->at - at);
        predict_literal(p, (struct bytes){ .p = new.p + at, .n = m->at - at });
        at = m->at;
        if (predict_match(p, i, &err) != RC_OK)
            abort();
        for (struct bytes piece; (piece = predict_next(p)).n > 0; at += piece.n) {
            uint8_t diff[PREDICT_PIECE];

            for (size_t k = 0; k < piece.n; k++)
                diff[k] = (uint8_t)(new.p[at + k] - piece.p[k]);
            rig_add(&rig->streams[FORMAT_DIFF], diff, piece.n);
            predict_actual(p, new.p + at);
        }
    }
    rig_add(&rig->streams[FORMAT_EXTRA], new.p + at, new.n - at);
    if (predict_used(p) + opened > rig->used)
        rig->used = predict_used(p) + opened;
    rig->head.n_new++;
    rig->head.new_bytes += file->packed_size > 0 ? file->packed_size : new.n;
    predict_free(&p);
    image_free(&image);
    free(control);
}

/* The head of one group of stored streams. */
static inline void rig_head(struct rig *rig)
{
    rig->head.n_groups = 1;
    rig->head.groups[0].files = rig->head.n_new;
    for (unsigned k = 0; k < FORMAT_STREAMS; k++)
        rig->head.groups[0].streams[k] =
            (struct stream_spec){ .size = rig->streams[k].n, .raw = rig->streams[k].n };
    rig->head.memory = format_cost(&rig->head) + rig->used;
}

/* The delta as a descriptor. */
static inline int rig_delta(const struct rig *rig, uint64_t *ret_size)
{
    int fd = memfd_create("delta", MFD_CLOEXEC);
    uint8_t head[FORMAT_HEAD_MAX];
    size_t n = 0;
    struct err err;

    if (fd < 0 || format_encode(&rig->head, head, &n, &err) != RC_OK ||
        fs_write_all(fd, (struct bytes){ .p = head, .n = n }, &err) != RC_OK)
        abort();
    *ret_size = n;
    for (unsigned k = 0; k < FORMAT_STREAMS; k++) {
        struct bytes all = { .p = rig->streams[k].p, .n = rig->streams[k].n };

        if (all.n > 0 && fs_write_all(fd, all, &err) != RC_OK)
            abort();
        *ret_size += all.n;
    }
    return fd;
}

static inline enum rc rig_begin(void *arg, uint32_t number, uint64_t size, struct err *err)
{
    struct rig *rig = arg;

    (void)size;
    (void)err;
    if (number >= RIG_FILES)
        abort();
    rig->current = number;
    rig->out[number].n = 0;
    return RC_OK;
}

static inline enum rc rig_data(void *arg, struct bytes piece, struct err *err)
{
    struct rig *rig = arg;
    struct alloc_count paused = alloc_pause();

    (void)err;
    rig->given += piece.n;
    rig_add(&rig->out[rig->current], piece.p, piece.n);
    alloc_resume(paused);
    return RC_OK;
}

static inline enum rc rig_end(void *arg, const uint8_t sha256[32], struct err *err)
{
    struct rig *rig = arg;

    (void)err;
    memcpy(rig->digest[rig->current], sha256, 32);
    rig->ended++;
    return RC_OK;
}

static inline struct apply_spec rig_spec(struct rig *rig, uint64_t size)
{
    return (struct apply_spec){
        .size = size, .old = rig->source, .memory_max = RIG_MEMORY, .output_max = 64U << 20
    };
}

/* What a library allocates when it is used first, it keeps. */
static inline void rig_warm_up(void)
{
    uint8_t digest[32];
    struct err err;

    if (sha256_of((struct bytes){ .p = digest, .n = 0 }, digest, &err) != RC_OK)
        abort();
}

/* Apply what rig_delta gave.  Never takes more memory than the delta declares. */
static inline enum rc rig_apply(struct rig *rig, int fd, const struct apply_spec *spec,
                                struct err *err)
{
    struct apply_sink sink = { .arg = rig, .begin = rig_begin, .data = rig_data, .end = rig_end };

    uint64_t most = rig->head.memory > RIG_BUFFERS ? rig->head.memory : RIG_BUFFERS;

    rig->ended = 0;
    rig->given = 0;
    rig_warm_up();
    alloc_begin();

    enum rc rc = apply_delta(fd, spec, &sink, err);
    struct alloc_count count = alloc_count;

    if ((uint64_t)count.most <= most && count.now <= (int64_t)RIG_LEFT)
        return rc;
    (void)fprintf(stderr, "%lld bytes of %llu were allocated, %lld are left\n",
                  (long long)count.most, (unsigned long long)most, (long long)count.now);
    abort();
}

#endif
