/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/make.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "delta/format.h"
#include "deltamake/open.h"
#include "deltamake/prove.h"
#include "deltamake/search.h"
#include "deltamake/squeeze.h"
#include "deltamake/streams.h"

#define SMALL (512ULL * 1024U) /* of new bytes: every candidate is made */
#define KINDS 3U

/* Largest windows of the decoders, which the applier has at the same time. */
static const uint32_t dict_max[FORMAT_STREAMS] = {
    [FORMAT_CONTROL] = 1U << 20, [FORMAT_DIFF] = 1U << 21, [FORMAT_EXTRA] = 1U << 22
};

/* One way to make the delta. */
struct candidate {
    bool plain; /* blind to executables */
    bool split; /* by kind of file */
};

struct work {
    const struct make_spec *spec;
    const struct opened *files;
    struct candidate how;
    unsigned dict_shift;   /* windows are this much smaller than dict_max */
    uint64_t analyses_max; /* what the predictor and opened files may take, in bytes, */
    uint64_t memory;       /* and what they do take */
    const struct match_list *lists;
    struct streams groups[KINDS];
    uint32_t n_files[KINDS]; /* in each group */
    struct squeezed small[KINDS * FORMAT_STREAMS];
    atomic_uint next; /* stream that nobody compresses yet */
    atomic_uint failed;
};

static void work_done(struct work *w)
{
    for (unsigned i = 0; i < KINDS; i++)
        streams_done(&w->groups[i]);
    for (unsigned i = 0; i < KINDS * FORMAT_STREAMS; i++)
        squeezed_done(&w->small[i]);
}

/* Files that are best compressed apart. */
static unsigned kind_of(struct bytes file)
{
    if (text_is_bits(file))
        return 1;
    return file.n > 4 && memcmp(file.p, "\177ELF", 4) == 0 ? 0 : 2;
}

static uint32_t dict_of(const struct work *w, unsigned stream)
{
    uint32_t dict = dict_max[stream] >> w->dict_shift;

    return dict > STREAM_DICT_MIN ? dict : STREAM_DICT_MIN;
}

static void head_begin(const struct work *w, struct format_head *head)
{
    *head = (struct format_head){ .n_old = w->spec->old.n, .n_new = w->spec->new.n };
    for (uint32_t i = 0; i < head->n_old; i++)
        head->old_bytes += w->spec->old.sizes[i];
    for (uint32_t i = 0; i < head->n_new; i++)
        head->new_bytes += w->spec->new.sizes[i];
    memcpy(head->base, w->spec->base, DIGEST_SIZE);
    memcpy(head->result, w->spec->result, DIGEST_SIZE);
}

/* What the decoders and buffers take with the largest windows. */
static uint64_t decoders_cost(const struct work *w)
{
    struct format_head head;

    head_begin(w, &head);
    head.n_groups = 1;
    for (unsigned s = 0; s < FORMAT_STREAMS; s++)
        head.groups[0].streams[s] =
            (struct stream_spec){ .codec = STREAM_LZMA2, .dict = dict_of(w, s), .raw = UINT32_MAX };
    return format_cost(&head);
}

/* ---- streams --------------------------------------------------------------------------------- */

/* Whether new file i is in a group. */
static bool is_in(const struct work *w, uint32_t i, unsigned kind)
{
    return (w->how.split ? kind_of(w->files->new.f[i]) : 0) == kind;
}

/* Write one group, if it has files: opened ones are all in one. */
static enum rc write_group(struct work *w, struct writer *writer, unsigned kind, struct err *err)
{
    struct streams *out = &w->groups[kind];
    bool opens = false;

    for (uint32_t i = 0; i < w->files->new.n; i++)
        if (is_in(w, i, kind)) {
            w->n_files[kind]++;
            opens |= w->files->packed_size[i] > 0;
        }
    if (w->n_files[kind] == 0)
        return RC_OK;

    uint64_t cost = opens ? w->files->cost : 0;
    enum rc rc = streams_begin(writer, opens, out, err);

    predict_limit(writer->predict, w->analyses_max - cost);
    for (uint32_t i = 0; rc == RC_OK && i < w->files->new.n; i++)
        if (is_in(w, i, kind))
            rc = streams_add(writer, i, &w->lists[i], out, err);
    image_drop(writer->image);
    predict_forget(writer->predict);
    if (predict_used(writer->predict) + cost > w->memory)
        w->memory = predict_used(writer->predict) + cost;
    return rc;
}

/* All streams, and what the predictor and opened files use. */
static enum rc write_streams(struct work *w, struct err *err)
{
    scoped(image_free) struct image *image = NULL;
    scoped(predict_free) struct predict *predict = NULL;
    uint64_t decoders;
    enum rc rc = image_new(&w->spec->old, &image, err);

    while ((decoders = decoders_cost(w)) > w->spec->memory_max / 2 && w->dict_shift < 10)
        w->dict_shift++;
    if (rc == RC_OK && decoders > w->spec->memory_max - w->files->cost)
        rc = err_set(err, RC_DELTA_LIMIT, "no delta fits into so little memory");
    w->analyses_max = w->spec->memory_max - decoders;
    if (rc == RC_OK)
        rc = predict_new(image, w->analyses_max, &predict, err);
    if (rc != RC_OK)
        return rc;

    struct writer writer = {
        .image = image, .files = w->files, .predict = predict, .plain = w->how.plain
    };

    for (unsigned kind = 0; rc == RC_OK && kind < KINDS; kind++)
        rc = write_group(w, &writer, kind, err);
    return rc;
}

static void *squeeze_thread(void *arg)
{
    struct work *w = arg;
    unsigned i;

    /* diffs first: they are large and slow */
    while ((i = atomic_fetch_add(&w->next, 1)) < KINDS * FORMAT_STREAMS) {
        static const unsigned order[FORMAT_STREAMS] = { FORMAT_DIFF, FORMAT_EXTRA, FORMAT_CONTROL };
        unsigned stream = order[i / KINDS];
        unsigned kind = i % KINDS;
        const struct heap *h = &w->groups[kind].s[stream];
        enum rc rc = squeeze((struct bytes){ h->p, h->n }, dict_of(w, stream),
                             &w->small[kind * FORMAT_STREAMS + stream], NULL);

        if (rc != RC_OK)
            atomic_store(&w->failed, rc);
    }
    return NULL;
}

static enum rc squeeze_all(struct work *w, struct err *err)
{
    pthread_t other;
    bool two = pthread_create(&other, NULL, squeeze_thread, w) == 0;

    (void)squeeze_thread(w);
    if (two)
        (void)pthread_join(other, NULL);

    enum rc rc = (enum rc)atomic_load(&w->failed);

    return rc == RC_OK ? RC_OK : err_set(err, rc, "compressing the delta");
}

/* ---- the delta ------------------------------------------------------------------------------- */

/* Head and streams behind each other. */
static enum rc put_together(const struct work *w, struct made *ret, struct err *err)
{
    struct format_head head;
    uint8_t buf[FORMAT_HEAD_MAX];
    size_t n = 0;
    size_t body = 0;

    head_begin(w, &head);
    for (unsigned kind = 0; kind < KINDS; kind++) {
        struct format_group *group = &head.groups[head.n_groups];

        if (w->n_files[kind] == 0)
            continue;
        group->files = w->n_files[kind];
        for (unsigned s = 0; s < FORMAT_STREAMS; s++) {
            group->streams[s] = w->small[kind * FORMAT_STREAMS + s].spec;
            body += group->streams[s].size;
        }
        head.n_groups++;
    }
    head.memory = w->memory + format_cost(&head);

    enum rc rc = format_encode(&head, buf, &n, err);
    uint8_t *out = rc == RC_OK ? malloc(n + body) : NULL;

    if (!out)
        return rc != RC_OK ? rc : err_set(err, RC_NO_MEMORY, "delta of %zu bytes", n + body);
    memcpy(out, buf, n);
    for (unsigned i = 0; i < KINDS * FORMAT_STREAMS; i++)
        if (w->n_files[i / FORMAT_STREAMS] > 0) {
            memcpy(out + n, w->small[i].p, w->small[i].spec.size);
            n += w->small[i].spec.size;
        }
    *ret = (struct made){ .p = out, .n = n, .memory = head.memory };
    return RC_OK;
}

/* Make one candidate; keep it in *best if it is the first or smaller. */
static enum rc try_candidate(struct work *w, struct made *best, struct err *err)
{
    struct made made = { .p = NULL };
    enum rc rc = write_streams(w, err);

    if (rc == RC_OK)
        rc = squeeze_all(w, err);
    if (rc == RC_OK)
        rc = put_together(w, &made, err);
    if (rc == RC_OK && (!best->p || made.n < best->n)) {
        struct made worse = *best;

        *best = made;
        made = worse;
    }
    made_done(&made);
    return rc;
}

static void lists_done(struct match_list *lists, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        match_list_done(&lists[i]);
}

/* Candidates that share their matches. */
static enum rc try_matches(const struct make_spec *spec, const struct opened *files, bool plain,
                           struct made *best, struct err *err)
{
    uint32_t n = files->new.n;
    scoped(free_ptr) struct match_list *lists = calloc((size_t)n + 1, sizeof *lists);
    enum rc rc = lists ? search_all(spec, files, plain, lists, err)
                       : err_set(err, RC_NO_MEMORY, "list of %u files", n);

    for (unsigned split = 0; rc == RC_OK && split < 2; split++) {
        scoped(work_done) struct work w = {
            .spec = spec, .files = files, .lists = lists, .how = { .plain = plain, .split = split }
        };

        if (files->new.bytes <= SMALL || split)
            rc = try_candidate(&w, best, err);
    }
    if (lists)
        lists_done(lists, n);
    return rc;
}

/* The smallest delta between files some of which may be opened, applied once. */
static enum rc make_best(const struct make_spec *spec, const struct opened *files,
                         const struct files *new, struct made *ret, struct err *err)
{
    scoped(made_done) struct made best = { .p = NULL };
    enum rc rc = try_matches(spec, files, false, &best, err);

    if (rc == RC_OK && files->new.bytes <= SMALL)
        rc = try_matches(spec, files, true, &best, err);
    if (rc == RC_OK)
        rc = prove_delta(spec, new, (struct bytes){ best.p, best.n }, err);
    if (rc == RC_OK) {
        *ret = best;
        best = (struct made){ .p = NULL };
    }
    return rc;
}

enum rc make_delta(const struct make_spec *spec, struct made *ret, struct err *err)
{
    scoped(files_done) struct files old = { .f = NULL };
    scoped(files_done) struct files new = { .f = NULL };
    scoped(opened_done) struct opened files = { .n_list = 0 };
    enum rc rc = files_init(&spec->old, MAKE_OLD_MAX, &old, err);

    if (rc == RC_OK)
        rc = files_init(&spec->new, UNPACKED_MAX, &new, err);
    if (rc == RC_OK)
        rc = opened_init(spec, &old, &new, &files, err);
    if (rc == RC_OK)
        rc = make_best(spec, &files, &new, ret, err);
    if (rc != RC_DELTA_MEMORY && rc != RC_DELTA_WORK)
        return rc;
    /* What is opened takes memory that matches need, and work: without it there may be enough. */
    opened_done(&files);
    rc = opened_none(spec, &old, &new, &files, err);
    return rc == RC_OK ? make_best(spec, &files, &new, ret, err) : rc;
}

void made_done(struct made *m)
{
    free(m->p);
    *m = (struct made){ .p = NULL };
}
