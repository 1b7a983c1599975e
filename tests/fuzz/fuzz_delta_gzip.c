/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "delta/gzip.h"

#define OPENED_MAX (1U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heap {
    uint8_t *p;
    size_t n;
    size_t cap;
};

static enum rc gather(void *arg, struct bytes piece, struct err *err)
{
    struct heap *h = arg;

    (void)err;
    if (piece.n > h->cap - h->n)
        abort();
    memcpy(h->p + h->n, piece.p, piece.n);
    h->n += piece.n;
    return RC_OK;
}

/* The opened form of a file; its size or 0.  The caller frees *ret. */
static size_t open_file(struct bytes file, uint8_t **ret)
{
    uint64_t size = 0;
    uint32_t head = 0;

    *ret = NULL;
    if (!gzip_size(file, &size, &head) || size > OPENED_MAX)
        return 0;
    *ret = malloc((size_t)size + 1);
    if (!*ret)
        abort();
    return gzip_open(file, *ret) ? (size_t)size : 0;
}

/* Pack a form whose first bytes are a header, open the file: the form comes out again. */
static void there_and_back(const struct gzip_how *how, struct bytes form)
{
    struct heap out = { .cap = form.n + form.n / 8 + 4096 };
    const struct block_sink sink = { .arg = &out, .data = gather };
    struct deflate_work work = DEFLATE_WORK_NEW;
    struct gzip *g = NULL;
    uint8_t *again = NULL;
    struct err err;
    enum rc rc = RC_OK;

    out.p = malloc(out.cap);
    if (!out.p || gzip_new(how, &work, &sink, &g, &err) != RC_OK)
        abort();
    for (size_t at = 0; rc == RC_OK && at < form.n; at += 5000)
        rc = gzip_add(g, (struct bytes){ form.p + at, form.n - at < 5000 ? form.n - at : 5000 },
                      &err);
    if (rc == RC_OK)
        rc = gzip_end(g, &err);
    if (rc == RC_OK && (open_file((struct bytes){ out.p, out.n }, &again) != form.n ||
                        memcmp(again, form.p, form.n) != 0))
        abort();
    if (rc != RC_OK && rc != RC_DELTA_WORK)
        abort();
    gzip_free(&g);
    free(again);
    free(out.p);
}

/* The first byte says how to pack; the rest is a hostile file, and then content of one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3 };
    uint8_t *form = NULL;

    if (size == 0)
        return 0;
    (void)open_file((struct bytes){ data + 1, size - 1 }, &form);
    free(form);
    form = malloc(sizeof head + size);
    if (!form)
        abort();
    memcpy(form, head, sizeof head);
    memcpy(form + sizeof head, data + 1, size - 1);

    struct gzip_how how = { (enum deflate_style)(data[0] % DEFLATE_STYLES),
                            DEFLATE_LEVEL_MIN + data[0] / 2U % 6, sizeof head };

    there_and_back(&how, (struct bytes){ form, sizeof head + size - 1 });
    free(form);
    return 0;
}
