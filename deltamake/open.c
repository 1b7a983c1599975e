/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/open.h"

#include <stdlib.h>

#include "delta/apply.h"
#include "delta/predict.h"

#define SHARE 4U                        /* opened files take at most this part of the memory, */
#define MEMORY_MIN (8U * 1024U * 1024U) /* and nothing of less than this */
#define PIECE (64U * 1024U)             /* is packed at a time while it is tried */

/* What opening new files may still cost. */
struct purse {
    uint64_t growth; /* bytes that they may still get larger */
    int64_t work;  /* of the delta's struct deflate_work: left in whatever order they are packed */
    int64_t tries; /* of OPENED_TRIES_MAX */
};

/* A sink that compares and stops at the first difference. */
struct proof {
    struct bytes left;
};

static enum rc same(void *arg, struct bytes piece, struct err *err)
{
    struct proof *p = arg;

    (void)err;
    if (piece.n > p->left.n || memcmp(p->left.p, piece.p, piece.n) != 0)
        return RC_VALUE;
    p->left = (struct bytes){ p->left.p + piece.n, p->left.n - piece.n };
    return RC_OK;
}

/* Whether packing the opened form in this way gives the file.  The work that a file takes beyond
 * what its own bytes bring is set aside for it when it does: then its place in the delta does not
 * matter. */
static bool gives(const struct gzip_how *how, struct bytes opened, struct bytes file,
                  struct purse *purse)
{
    struct proof proof = { .left = file };
    struct deflate_work work = { .left = purse->work, .least = purse->work };
    const struct block_sink sink = { .arg = &proof, .data = same };
    scoped(gzip_free) struct gzip *g = NULL;
    enum rc rc = gzip_new(how, &work, &sink, &g, NULL);
    size_t at = 0;

    for (size_t n; at < opened.n && rc == RC_OK; at += n) {
        n = opened.n - at < PIECE ? opened.n - at : PIECE;
        rc = gzip_add(g, (struct bytes){ opened.p + at, n }, NULL);
    }
    if (rc == RC_OK)
        rc = gzip_end(g, NULL);
    /* places looked at: bytes brought DEFLATE_STEPS each */
    purse->tries -= (int64_t)at + (int64_t)at + (purse->work - work.left) / DEFLATE_STEPS;
    if (rc != RC_OK || proof.left.n > 0)
        return false;
    purse->work = work.least;
    return true;
}

/* How the file was packed: the usual levels first.  False when in no way that is known. */
static bool find_how(struct bytes opened, struct bytes file, struct gzip_how *how,
                     struct purse *purse)
{
    static const uint8_t levels[] = { 9, 6, 8, 7, 5, 4 };

    for (size_t i = 0; i < sizeof levels; i++)
        for (unsigned style = 0; style < DEFLATE_STYLES && purse->tries > 0; style++) {
            how->level = levels[i];
            how->style = (enum deflate_style)style;
            if (gives(how, opened, file, purse))
                return true;
        }
    *how = (struct gzip_how){ .level = 0 };
    return false;
}

/* The opened form of a file, at most max bytes; NULL when it has none.  The caller frees it. */
static uint8_t *open_file(struct bytes file, uint64_t max, uint64_t *ret_n, uint32_t *ret_head)
{
    uint8_t *p = NULL;

    if (!gzip_size(file, ret_n, ret_head) || *ret_n > max || *ret_n > PREDICT_SIZE_MAX)
        return NULL;
    p = malloc((size_t)*ret_n);
    if (p && !gzip_open(file, p)) {
        free(p);
        p = NULL;
    }
    return p;
}

/* Open new file i, if that can be undone. */
static void open_new(struct opened *o, uint32_t i, struct purse *purse)
{
    struct bytes file = o->new.f[i];
    uint64_t n = 0;
    uint32_t head = 0;
    uint8_t *p = open_file(file, purse->growth, &n, &head);

    o->how[i].head = head;
    if (!p || !find_how((struct bytes){ p, (size_t)n }, file, &o->how[i], purse)) {
        o->how[i] = (struct gzip_how){ .level = 0 };
        free(p);
        return;
    }
    purse->growth -= n;
    o->packed_size[i] = (uint32_t)file.n;
    o->new.f[i] = (struct bytes){ p, (size_t)n };
    o->new.bytes += n - file.n;
    o->packs = true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* The old files at the paths of opened ones, in order, each once. */
static void list_old(struct opened *o)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < o->new.n; i++)
        if (o->packed_size[i] > 0 && o->home[i] != MAKE_NO_HOME)
            o->list[n++] = o->home[i];
    qsort(o->list, n, sizeof *o->list, by_number);
    for (uint32_t i = 0; i < n; i++)
        if (o->n_list == 0 || o->list[o->n_list - 1] != o->list[i])
            o->list[o->n_list++] = o->list[i];
}

/* Open the listed old files, as far as memory allows. */
static void open_old(struct opened *o, uint64_t memory)
{
    uint32_t kept = 0;

    o->cost = o->packs ? GZIP_COST : 0;
    for (uint32_t i = 0; i < o->n_list; i++) {
        uint64_t left = memory - o->cost;
        uint64_t n = 0;
        uint32_t head = 0;
        uint8_t *p = left <= IMAGE_ADDED_COST
                         ? NULL
                         : open_file(o->old.f[o->list[i]], left - IMAGE_ADDED_COST, &n, &head);

        if (!p)
            continue;
        o->cost += n + IMAGE_ADDED_COST;
        o->list[kept++] = o->list[i];
        o->old.f[o->old.n++] = (struct bytes){ p, (size_t)n };
        o->old.bytes += n;
    }
    o->n_list = kept;
}

/* What was opened is looked at first. */
static void point_home(struct opened *o)
{
    uint32_t n_old = o->old.n - o->n_list;

    for (uint32_t i = 0; i < o->new.n; i++)
        for (uint32_t k = 0; o->packed_size[i] > 0 && k < o->n_list; k++)
            if (o->list[k] == o->home[i]) {
                o->home[i] = n_old + k;
                break;
            }
}

enum rc opened_none(const struct make_spec *spec, const struct files *old, const struct files *new,
                    struct opened *ret, struct err *err)
{
    struct opened o = {
        .old = { .f = calloc((size_t)old->n + new->n + 1, sizeof *o.old.f) },
        .new = { .f = calloc((size_t) new->n + 1, sizeof *o.new.f) },
        .home = calloc((size_t) new->n + 1, sizeof *o.home),
        .list = calloc((size_t) new->n + 1, sizeof *o.list),
        .how = calloc((size_t) new->n + 1, sizeof *o.how),
        .packed_size = calloc((size_t) new->n + 1, sizeof *o.packed_size),
    };

    if (!o.old.f || !o.new.f || !o.home || !o.list || !o.how || !o.packed_size) {
        opened_done(&o);
        return err_set(err, RC_NO_MEMORY, "list of %u files", old->n + new->n);
    }
    for (uint32_t i = 0; i < old->n; i++)
        o.old.f[i] = old->f[i];
    o.old.n = old->n;
    o.old.bytes = old->bytes;
    for (uint32_t i = 0; i < new->n; i++) {
        o.new.f[i] = new->f[i];
        o.home[i] = spec->home[i];
    }
    o.new.n = new->n;
    o.new.bytes = new->bytes;
    *ret = o;
    return RC_OK;
}

enum rc opened_init(const struct make_spec *spec, const struct files *old, const struct files *new,
                    struct opened *ret, struct err *err)
{
    uint64_t memory = spec->memory_max < MEMORY_MIN ? 0 : spec->memory_max / SHARE;
    struct purse purse = { .growth = APPLY_OPENED_MAX,
                           .work = DEFLATE_STEPS_FREE,
                           .tries = OPENED_TRIES_MAX };
    enum rc rc = opened_none(spec, old, new, ret, err);

    if (rc != RC_OK || memory < GZIP_COST)
        return rc;
    for (uint32_t i = 0; i < ret->new.n &&purse.tries > 0; i++)
        open_new(ret, i, &purse);
    list_old(ret);
    open_old(ret, memory);
    point_home(ret);
    return RC_OK;
}

void opened_done(struct opened *o)
{
    for (uint32_t i = 0; o->new.f &&i < o->new.n; i++)
        if (o->packed_size[i] > 0)
            free((void *)(uintptr_t)o->new.f[i].p);
    for (uint32_t i = 0; o->old.f && i < o->n_list; i++)
        free((void *)(uintptr_t)o->old.f[o->old.n - o->n_list + i].p);
    free(o->old.f);
    free(o->new.f);
    free(o->home);
    free(o->list);
    free(o->how);
    free(o->packed_size);
    *o = (struct opened){ .n_list = 0 };
}
