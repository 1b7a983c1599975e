/* SPDX-License-Identifier: Apache-2.0 */
#include "deltamake/text.h"

#include <stdlib.h>

#include "delta/insn.h"
#include "delta/refs.h"
#include "deltamake/same.h"

#define SIGN_BYTES 16U /* of what a reference points at */

/* A masked field. */
struct field {
    uint32_t pos;
    uint32_t sign; /* first the offset of its target, then the hash of what is there */
    uint8_t kind;
    uint8_t width;
};

struct fields {
    struct field *f;
    size_t n;
    size_t cap;
};

#define NOWHERE UINT32_MAX

static enum rc fields_add(struct fields *list, struct field f, struct err *err)
{
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 4096;
        struct field *grown = realloc(list->f, cap * sizeof *grown);

        if (!grown)
            return err_set(err, RC_NO_MEMORY, "references to mask");
        list->f = grown;
        list->cap = cap;
    }
    list->f[list->n++] = f;
    return RC_OK;
}

/* Put value into a field of the copy.  An AArch64 instruction keeps its other bits. */
static void put_field(uint8_t *out, const struct field *f, uint32_t value)
{
    uint8_t *p = out + f->pos;
    uint32_t word = value;

    if (f->kind == REF_ARM64) {
        struct insn_arm64 like = insn_arm64(view_le32(p));

        word = insn_arm64_put(view_le32(p), like, (int64_t)(int32_t)value * (1 << like.scale));
    } else if (f->width == 8) {
        memset(p + 4, 0, 4);
    }
    for (unsigned i = 0; i < 4; i++)
        p[i] = (uint8_t)(word >> (8 * i));
}

/* Whether an offset of the file lies in code, where a NUL ends nothing. */
static bool in_code(const struct view *v, uint64_t off)
{
    for (uint32_t i = 0; i < v->n_parts; i++)
        if (off >= v->parts[i].off && off - v->parts[i].off < v->parts[i].size)
            return v->parts[i].kind == VIEW_CODE_X86 || v->parts[i].kind == VIEW_CODE_ARM64;
    return false;
}

/* A hash of what lies at off of the copy, in which all fields are zero; never 0. */
static uint32_t sign_of(struct bytes copy, const struct view *v, uint32_t off)
{
    size_t n = copy.n - off < SIGN_BYTES ? copy.n - off : SIGN_BYTES;
    uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a */
    bool code = in_code(v, off);

    for (size_t i = 0; i < n && (code || copy.p[off + i]); i++)
        h = (h ^ copy.p[off + i]) * 0x100000001b3ULL;
    return (uint32_t)(h ^ h >> 32) | 1;
}

/* Every reference of the file as a field whose sign is its target's offset. */
static enum rc find_fields(const struct refs *refs, uint64_t size, struct fields *list,
                           struct err *err)
{
    struct refs_walk walk;
    struct ref ref;

    refs_seek(&walk, refs, 0);
    while (refs_next(&walk, size, &ref)) {
        uint64_t off = 0;
        bool there = view_offset(refs_view(refs), ref.target, &off) && off < size;
        struct field f = { .pos = (uint32_t)ref.pos,
                           .sign = there ? (uint32_t)off : NOWHERE,
                           .kind = (uint8_t)ref.kind,
                           .width = ref.width };
        enum rc rc = fields_add(list, f, err);

        if (rc != RC_OK)
            return rc;
    }
    return RC_OK;
}

static void fields_done(struct fields *list)
{
    free(list->f);
}

enum rc text_mask(struct bytes in, bool plain, uint8_t *out, struct err *err)
{
    scoped(refs_free) struct refs *refs = NULL;
    scoped(fields_done) struct fields list = { .f = NULL };
    struct view view;

    if (in.n > 0)
        memcpy(out, in.p, in.n);
    if (plain || in.n >= NOWHERE)
        return RC_OK;
    view_of(in, &view);
    if (view.n_parts == 0)
        return RC_OK;

    enum rc rc = refs_new(in, &view, &refs, err);

    if (rc == RC_OK)
        rc = find_fields(refs, in.n, &list, err);
    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < list.n; i++)
        put_field(out, &list.f[i], 0);
    for (size_t i = 0; i < list.n; i++) {
        uint32_t off = list.f[i].sign;

        list.f[i].sign = off == NOWHERE ? 0 : sign_of((struct bytes){ out, in.n }, &view, off);
    }
    for (size_t i = 0; i < list.n; i++)
        put_field(out, &list.f[i], list.f[i].sign);
    return RC_OK;
}

/* ---- the text of many files ------------------------------------------------------------------ */

bool text_is_bits(struct bytes file)
{
    static const uint8_t magic[] = { 'B', 'C', 0xc0, 0xde };

    return file.n > sizeof magic && memcmp(file.p, magic, sizeof magic) == 0;
}

static void add_run(struct text *t, uint32_t file, uint64_t from, uint32_t shift, uint64_t n)
{
    t->runs[t->n_runs++] =
        (struct text_run){ .at = t->n, .n = n, .from = from, .file = file, .shift = shift };
    t->n += n;
}

/* Lay the runs out: what is the same as something earlier and what is empty has none. */
static enum rc lay_out(const struct bytes *files, uint32_t n, struct text *t, struct err *err)
{
    scoped(free_ptr) uint32_t *first = malloc(((size_t)n + 1) * sizeof *first);

    t->runs = malloc(((size_t)n + 1) * 8 * sizeof *t->runs);
    if (!first || !t->runs || !same_find(files, n, first))
        return err_set(err, RC_NO_MEMORY, "list of %u files", n);

    uint64_t from = 0;

    for (uint32_t i = 0; i < n; from += files[i++].n)
        if (files[i].n > 0 && first[i] == i)
            add_run(t, i, from, 0, files[i].n);
    t->n_plain = t->n_runs;
    t->plain = t->n;
    for (uint32_t r = 0; r < t->n_plain; r++) {
        struct text_run run = t->runs[r];

        for (uint32_t shift = 1; shift < 8 && text_is_bits(files[run.file]); shift++)
            add_run(t, run.file, run.from, shift, run.n - 1);
    }
    return RC_OK;
}

static void shift_bits(struct bytes in, uint32_t shift, uint8_t *out)
{
    for (size_t i = 0; i + 1 < in.n; i++)
        out[i] = (uint8_t)(in.p[i] >> shift | in.p[i + 1] << (8 - shift));
}

enum rc text_init(const struct bytes *files, uint32_t n, bool plain, uint64_t max, struct text *ret,
                  struct err *err)
{
    struct text t = { .bytes = NULL };
    enum rc rc = lay_out(files, n, &t, err);

    if (rc == RC_OK && t.plain > max)
        rc = err_set(err, RC_TOO_LARGE, "%zu bytes to compare, limit %llu", t.plain,
                     (unsigned long long)max);
    if (rc == RC_OK && !(t.bytes = malloc(t.n + 1)))
        rc = err_set(err, RC_NO_MEMORY, "%zu bytes to compare", t.n);
    for (uint32_t i = 0; rc == RC_OK && i < t.n_runs; i++) {
        const struct text_run *run = &t.runs[i];

        if (run->shift > 0)
            shift_bits(files[run->file], run->shift, t.bytes + run->at);
        else
            rc = text_mask(files[run->file], plain, t.bytes + run->at, err);
    }
    if (rc == RC_OK)
        *ret = t;
    else
        text_done(&t);
    return rc;
}

void text_done(struct text *t)
{
    free(t->bytes);
    free(t->runs);
    *t = (struct text){ .bytes = NULL };
}

const struct text_run *text_run_of(const struct text *t, uint64_t at)
{
    uint32_t low = 0;
    uint32_t high = t->n_runs;

    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;

        if (t->runs[mid].at <= at)
            low = mid;
        else
            high = mid;
    }
    return &t->runs[low];
}

const struct text_run *text_run_of_file(const struct text *t, uint32_t file)
{
    uint32_t low = 0;
    uint32_t high = t->n_plain;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;

        if (t->runs[mid].file < file)
            low = mid + 1;
        else
            high = mid;
    }
    return low < t->n_plain && t->runs[low].file == file ? &t->runs[low] : NULL;
}
