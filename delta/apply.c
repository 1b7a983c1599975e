/* SPDX-License-Identifier: Apache-2.0 */
#include "delta/apply.h"

#include <assert.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "delta/control.h"
#include "delta/predict.h"

#define PIECE (64U * 1024U)

struct apply {
    int fd;
    const struct apply_spec *spec;
    const struct apply_sink *sink;
    struct format_head head;
    uint64_t at; /* in the descriptor: the next group's streams */
    struct image *image;
    struct predict *predict;
    struct control_state control;
    uint64_t made_left; /* bytes that streams may still make */
    uint64_t out_left;  /* bytes of new files that may still come */
    uint64_t file_left; /* the same of this one */
    uint64_t memory;    /* what the predictor, the matches and opened files may take */
    bool packs;         /* the group may have packed files */
    struct gzip *gzip;  /* makes this one; NULL = it is not packed */
    struct deflate_work packing;
    struct sha256 *sha;
    uint8_t *seen; /* one bit per new file */
    struct stream *streams[FORMAT_STREAMS];
    size_t n; /* bytes in out */
    uint8_t out[PIECE];
    uint8_t diff[PREDICT_PIECE];
};

enum rc apply_head(int fd, const struct apply_spec *spec, struct format_head *ret, struct err *err)
{
    uint64_t at = 0;
    uint8_t buf[FORMAT_HEAD_MAX];
    size_t n = spec->size < sizeof buf ? (size_t)spec->size : sizeof buf;
    enum rc rc = fs_pread_exact(fd, buf, n, spec->at, err);

    if (rc != RC_OK)
        return rc;
    return format_decode((struct bytes){ .p = buf, .n = n }, spec->size, ret, &at, err);
}

/* The head, and that it may be applied here. */
static enum rc check_head(struct apply *a, struct err *err)
{
    const struct apply_spec *spec = a->spec;
    const struct format_head *h = &a->head;
    uint64_t streams = 0;
    uint64_t old = 0;
    enum rc rc = apply_head(a->fd, spec, &a->head, err);

    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < spec->old.n; i++)
        old += spec->old.sizes[i]; /* image_new refuses a sum that wraps */
    if (memcmp(h->base, spec->base, DIGEST_SIZE) != 0 || h->n_old != spec->old.n ||
        h->old_bytes != old)
        return err_set(err, RC_DELTA_BASE, "base");
    if (h->memory > spec->memory_max)
        return err_set(err, RC_DELTA_LIMIT, "memory");
    if (h->new_bytes > spec->output_max)
        return err_set(err, RC_DELTA_LIMIT, "output");
    if (format_opened(h) > h->new_bytes + APPLY_OPENED_MAX)
        return err_set(err, RC_DELTA_LIMIT, "opened files");
    for (uint32_t i = 0; i < h->n_groups; i++)
        for (unsigned k = 0; k < FORMAT_STREAMS; k++)
            streams += h->groups[i].streams[k].size;
    a->at = spec->at + spec->size - streams;
    a->made_left = format_opened(h);
    a->out_left = h->new_bytes;
    a->memory = h->memory - format_cost(h);
    return RC_OK;
}

/* Bytes of the file itself. */
static enum rc emit(void *arg, struct bytes piece, struct err *err)
{
    struct apply *a = arg;

    if (piece.n > a->file_left)
        return err_set(err, RC_DELTA_BOMB, "packed file is larger than declared");
    a->file_left -= piece.n;

    enum rc rc = sha256_add(a->sha, piece, err);

    return rc == RC_OK ? a->sink->data(a->sink->arg, piece, err) : rc;
}

/* Hand on what has gathered. */
static enum rc flush(struct apply *a, struct err *err)
{
    struct bytes piece = { .p = a->out, .n = a->n };

    if (a->n == 0)
        return RC_OK;
    a->n = 0;
    return a->gzip ? gzip_add(a->gzip, piece, err) : emit(a, piece, err);
}

/* The next n bytes of the file come from the extra stream. */
static enum rc literal(struct apply *a, uint64_t n, struct err *err)
{
    while (n > 0) {
        size_t room = PIECE - a->n;
        size_t some = n < room ? (size_t)n : room;
        uint8_t *to = a->out + a->n;
        enum rc rc = stream_read(a->streams[FORMAT_EXTRA], to, some, err);

        if (rc != RC_OK)
            return rc;
        predict_literal(a->predict, (struct bytes){ .p = to, .n = some });
        a->n += some;
        n -= some;
        rc = a->n == PIECE ? flush(a, err) : RC_OK;
        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

/* The next bytes are predicted ones and the diff stream's, added. */
static enum rc match(struct apply *a, uint32_t i, struct err *err)
{
    enum rc rc = predict_match(a->predict, i, err);

    while (rc == RC_OK) {
        if (PIECE - a->n < PREDICT_PIECE)
            rc = flush(a, err);
        if (rc != RC_OK)
            break;

        struct bytes piece = predict_next(a->predict);
        uint8_t *to = a->out + a->n;

        if (piece.n == 0)
            break;
        rc = stream_read(a->streams[FORMAT_DIFF], a->diff, piece.n, err);
        if (rc != RC_OK)
            break;
        for (size_t k = 0; k < piece.n; k++)
            to[k] = (uint8_t)(piece.p[k] + a->diff[k]);
        predict_actual(a->predict, to);
        a->n += piece.n;
    }
    return rc;
}

static enum rc write_file(struct apply *a, const struct predict_plan *plan, struct err *err)
{
    uint64_t at = 0;
    enum rc rc = predict_begin(a->predict, plan, err);

    for (uint32_t i = 0; i < plan->n_matches && rc == RC_OK; i++) {
        rc = literal(a, plan->matches[i].at - at, err);
        at = (uint64_t)plan->matches[i].at + plan->matches[i].size;
        if (rc == RC_OK)
            rc = match(a, i, err);
    }
    if (rc == RC_OK)
        rc = literal(a, plan->size - at, err);
    return rc == RC_OK ? flush(a, err) : rc;
}

/* Every number below n_new once, and no more bytes than declared. */
static enum rc admit(struct apply *a, const struct control_file *f, struct err *err)
{
    if (f->number >= a->head.n_new || (a->seen[f->number / 8] >> f->number % 8 & 1))
        return err_set(err, RC_DELTA_COUNT, "new file %u", f->number);
    a->file_left = f->packed_size > 0 ? f->packed_size : f->plan.size;
    if (f->plan.size > a->made_left || a->file_left > a->out_left)
        return err_set(err, RC_DELTA_BOMB, "new file %u", f->number);
    if (f->packed_size > 0 && !a->packs)
        return err_set(err, RC_DELTA_MEMORY, "packed file %u", f->number);
    a->seen[f->number / 8] |= (uint8_t)(1U << f->number % 8);
    a->made_left -= f->plan.size;
    a->out_left -= a->file_left;
    return RC_OK;
}

static enum rc pack_begin(struct apply *a, const struct control_file *f, struct err *err)
{
    const struct block_sink out = { .arg = a, .data = emit };

    return f->packed_size > 0 ? gzip_new(&f->packed, &a->packing, &out, &a->gzip, err) : RC_OK;
}

static enum rc pack_end(struct apply *a, struct err *err)
{
    enum rc rc = a->gzip ? gzip_end(a->gzip, err) : RC_OK;

    gzip_free(&a->gzip);
    if (rc == RC_OK && a->file_left > 0)
        rc = err_set(err, RC_DELTA_TRAILING, "packed file is smaller than declared");
    return rc;
}

static void free_matches(struct control_file *f)
{
    free((void *)(uintptr_t)f->plan.matches);
}

static enum rc make_file(struct apply *a, struct err *err)
{
    scoped(free_matches) struct control_file f = { 0 };
    uint8_t digest[DIGEST_SIZE];
    uint64_t room = predict_room(a->predict);
    enum rc rc = control_read(a->streams[FORMAT_CONTROL], &a->control, a->image, room, &f, err);

    if (rc == RC_OK)
        rc = admit(a, &f, err);
    if (rc == RC_OK)
        rc = a->sink->begin(a->sink->arg, f.number, a->file_left, err);
    if (rc == RC_OK)
        rc = pack_begin(a, &f, err);
    if (rc == RC_OK)
        rc = write_file(a, &f.plan, err);
    if (rc == RC_OK)
        rc = pack_end(a, err);
    if (rc == RC_OK)
        rc = sha256_end(a->sha, digest, err);
    return rc == RC_OK ? a->sink->end(a->sink->arg, digest, err) : rc;
}

static void close_streams(struct apply *a)
{
    for (unsigned k = 0; k < FORMAT_STREAMS; k++)
        stream_free(&a->streams[k]);
}

/* Count memory before it is allocated. */
static enum rc reserve(uint64_t *left, uint64_t more, struct err *err)
{
    if (more > *left)
        return err_set(err, RC_DELTA_MEMORY, "opened files");
    *left -= more;
    return RC_OK;
}

/* Open the old files that the group wants to see into; the rest of the memory is the predictor's.
 */
static enum rc open_files(struct apply *a, struct err *err)
{
    struct stream *in = a->streams[FORMAT_CONTROL];
    struct control_group group = { .n_opened = 0 };
    uint64_t left = a->memory;
    uint32_t file = 0, before = UINT32_MAX;
    enum rc rc = control_read_group(in, &group, err);

    if (rc == RC_OK)
        rc = reserve(&left, group.packs ? GZIP_COST : 0, err);
    if (rc == RC_OK)
        rc = reserve(&left, (uint64_t)group.n_opened * IMAGE_ADDED_COST, err);
    if (rc == RC_OK)
        rc = image_room(a->image, group.n_opened, err);
    for (uint32_t i = 0; i < group.n_opened && rc == RC_OK; i++) {
        uint64_t size = 0;

        rc = control_read_opened(in, a->head.n_old, &file, err);
        if (rc == RC_OK &&
            file == before) /* each once: opening costs as much as the file is large */
            rc = err_set(err, RC_DELTA_RANGE, "opened twice: %u", file);
        before = file;
        if (rc == RC_OK)
            rc = image_opened(a->image, file, &size, err);
        if (rc == RC_OK)
            rc = reserve(&left, size, err);
        if (rc == RC_OK)
            rc = image_add(a->image, file, err);
    }
    a->packs = group.packs;
    predict_limit(a->predict, left);
    return rc;
}

static enum rc make_group(struct apply *a, const struct format_group *g, struct err *err)
{
    enum rc rc = RC_OK;

    for (unsigned k = 0; k < FORMAT_STREAMS && rc == RC_OK; k++) {
        rc = stream_new(a->fd, a->at, &g->streams[k], &a->streams[k], err);
        a->at += g->streams[k].size;
    }
    if (rc == RC_OK)
        rc = open_files(a, err);
    for (uint32_t i = 0; i < g->files && rc == RC_OK; i++)
        rc = make_file(a, err);
    for (unsigned k = 0; k < FORMAT_STREAMS && rc == RC_OK; k++)
        rc = stream_end(a->streams[k], err);
    close_streams(a);
    image_drop(a->image);
    predict_forget(a->predict); /* what the next group opens is counted without them */
    return rc;
}

static void apply_free(struct apply **a)
{
    if (!*a)
        return;
    close_streams(*a);
    gzip_free(&(*a)->gzip);
    predict_free(&(*a)->predict);
    image_free(&(*a)->image);
    if ((*a)->sha)
        sha256_free(&(*a)->sha);
    free((*a)->seen);
    free(*a);
    *a = NULL;
}

static enum rc apply_open(struct apply *a, struct err *err)
{
    enum rc rc = check_head(a, err);

    if (rc == RC_OK)
        rc = image_new(&a->spec->old, &a->image, err);
    if (rc == RC_OK)
        rc = predict_new(a->image, a->memory, &a->predict, err);
    if (rc == RC_OK)
        rc = sha256_new(&a->sha, err);
    if (rc != RC_OK)
        return rc;
    a->seen = calloc(1, a->head.n_new / 8 + 1);
    return a->seen ? RC_OK : err_set(err, RC_NO_MEMORY, "delta");
}

enum rc apply_delta(int fd, const struct apply_spec *spec, const struct apply_sink *sink,
                    struct err *err)
{
    scoped(apply_free) struct apply *a = calloc(1, sizeof *a);

    if (!a)
        return err_set(err, RC_NO_MEMORY, "delta");
    a->fd = fd;
    a->spec = spec;
    a->sink = sink;
    a->packing = (struct deflate_work)DEFLATE_WORK_NEW;

    enum rc rc = apply_open(a, err);

    for (uint32_t i = 0; i < a->head.n_groups && rc == RC_OK; i++)
        rc = make_group(a, &a->head.groups[i], err);
    assert(rc != RC_OK || a->made_left == 0); /* every stream was read to its end */
    if (rc == RC_OK && a->out_left > 0)
        rc = err_set(err, RC_DELTA_FORMAT, "streams do not give all new bytes");
    return rc;
}
