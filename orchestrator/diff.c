/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/diff.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/crypto.h"

/* An entry of one tree. */
struct row {
    struct bytes path;
    enum index_kind kind;
    uint64_t size;
    struct digest content; /* of a link: of its target */
};

struct rows {
    struct row *row;
    uint32_t n;
};

static void rows_done(struct rows *r)
{
    free(r->row);
    *r = (struct rows){ .n = 0 };
}

static enum index_kind kind_of(const struct policy_item *item)
{
    if (item->type == S_IFDIR)
        return INDEX_DIR;
    if (item->type == S_IFLNK)
        return INDEX_LINK;
    return item->mode == 0755 ? INDEX_PROGRAM : INDEX_FILE;
}

static bool is_file(enum index_kind kind)
{
    return kind == INDEX_FILE || kind == INDEX_PROGRAM;
}

static enum rc take_entry(const struct index_in *in, const struct index_entry *entry,
                          struct row *row, struct err *err)
{
    *row = (struct row){ .path = in->last,
                         .kind = kind_of(&entry->item),
                         .size = entry->size,
                         .content = entry->content };
    return row->kind == INDEX_LINK ? sha256_of(bytes_of(entry->item.target), row->content.b, err)
                                   : RC_OK;
}

static enum rc read_rows(struct bytes index, struct rows *ret, struct err *err)
{
    scoped(rows_done) struct rows rows = { .row = calloc(PACKAGE_FILES_MAX, sizeof *rows.row) };
    struct index_in in = index_read(index);
    struct index_entry entry;
    enum rc rc = RC_OK;

    if (!rows.row)
        return err_set(err, RC_NO_MEMORY, "index");
    while (rc == RC_OK && index_next(&in, &entry)) {
        if (rows.n == PACKAGE_FILES_MAX)
            return err_set(err, RC_INDEX_FORMAT, "too many entries");
        rc = take_entry(&in, &entry, &rows.row[rows.n++], err);
    }
    if (rc == RC_OK)
        rc = index_done(&in, err);
    if (rc == RC_OK) {
        *ret = rows;
        rows.row = NULL; /* handed on */
    }
    return rc;
}

static int compare_paths(struct bytes a, struct bytes b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return c ? c : (a.n > b.n) - (a.n < b.n);
}

static enum diff_what compare(const struct row *old, const struct row *new)
{
    bool same = digest_same(&old->content, &new->content) &&
                old->size == new->size &&is_file(old->kind) == is_file(new->kind) &&
                (is_file(old->kind) || old->kind == new->kind);

    if (!same)
        return DIFF_CHANGED;
    return old->kind == new->kind ? DIFF_SAME : DIFF_MODE;
}

/* At least one of the two is there. */
static void add(struct diff *d, enum diff_what what, const struct row *old, const struct row *new)
{
    static const struct row none;
    const struct row *o = old ? old : &none;
    const struct row *n = new ? new : &none;

    d->count[what]++;
    if (what != DIFF_SAME)
        d->entries[d->n++] = (struct diff_entry){ .what = what,
                                                  .path = new ? n->path : o->path,
                                                  .old_kind = o->kind,
                                                  .new_kind = n->kind,
                                                  .old_size = o->size,
                                                  .new_size = n->size };
}

/* ---- moves ------------------------------------------------------------------------------------
 */

/* A file whose path is in one tree only. */
struct lone {
    const struct row *row;
    uint32_t entry; /* in the difference */
    bool taken;
};

static int by_content(const void *a, const void *b)
{
    const struct lone *x = a;
    const struct lone *y = b;
    int c = memcmp(x->row->content.b, y->row->content.b, DIGEST_SIZE);

    return c ? c : compare_paths(x->row->path, y->row->path);
}

/* Files that are in one tree only, by content; nothing is an empty file's move. */
static uint32_t collect(const struct diff *d, enum diff_what what, const struct rows *rows,
                        struct lone *ret)
{
    uint32_t n = 0, at = 0;

    for (uint32_t i = 0; i < d->n; i++) {
        if (d->entries[i].what != what)
            continue;
        while (compare_paths(rows->row[at].path, d->entries[i].path) != 0)
            at++;
        if (is_file(rows->row[at].kind) && rows->row[at].size > 0)
            ret[n++] = (struct lone){ .row = &rows->row[at], .entry = i };
    }
    qsort(ret, n, sizeof *ret, by_content);
    return n;
}

/* Both lists are by content: walk them side by side. */
static void pair_moves(struct diff *d, struct lone *gone, uint32_t n_gone, struct lone *come,
                       uint32_t n_come)
{
    for (uint32_t i = 0, k = 0; i < n_gone && k < n_come;) {
        int c = memcmp(gone[i].row->content.b, come[k].row->content.b, DIGEST_SIZE);

        if (c == 0) {
            struct diff_entry *to = &d->entries[come[k].entry];

            to->what = DIFF_MOVED;
            to->from = gone[i].row->path;
            to->old_kind = gone[i].row->kind;
            to->old_size = gone[i].row->size;
            d->entries[gone[i].entry].what = DIFF_SAME; /* told at its new path */
            d->count[DIFF_MOVED]++;
            d->count[DIFF_ADDED]--;
            d->count[DIFF_REMOVED]--;
        }
        i += c <= 0;
        k += c >= 0;
    }
}

static enum rc find_moves(struct diff *d, const struct rows *old, const struct rows *new,
                          struct err *err)
{
    scoped(free_ptr) struct lone *gone = calloc((size_t)d->n + 1, sizeof *gone);
    scoped(free_ptr) struct lone *come = calloc((size_t)d->n + 1, sizeof *come);
    uint32_t left = 0;

    if (!gone || !come)
        return err_set(err, RC_NO_MEMORY, "difference");

    uint32_t n_gone = collect(d, DIFF_REMOVED, old, gone);
    uint32_t n_come = collect(d, DIFF_ADDED, new, come);

    pair_moves(d, gone, n_gone, come, n_come);
    for (uint32_t i = 0; i < d->n; i++)
        if (d->entries[i].what != DIFF_SAME)
            d->entries[left++] = d->entries[i];
    d->n = left;
    return RC_OK;
}

enum rc diff_indexes(struct bytes old_index, struct bytes new_index, struct diff *ret,
                     struct err *err)
{
    scoped(rows_done) struct rows old = { .n = 0 };
    scoped(rows_done) struct rows new = { .n = 0 };
    scoped(diff_done) struct diff d = { .n = 0 };
    enum rc rc = read_rows(old_index, &old, err);

    if (rc == RC_OK)
        rc = read_rows(new_index, &new, err);
    if (rc != RC_OK)
        return rc;
    d.entries = calloc((size_t)old.n + new.n + 1, sizeof *d.entries);
    if (!d.entries)
        return err_set(err, RC_NO_MEMORY, "difference");
    for (uint32_t i = 0, k = 0; i < old.n || k < new.n;) {
        const struct row *o = i < old.n ? &old.row[i] : NULL;
        const struct row *n = k < new.n ? &new.row[k] : NULL;
        int c = !o ? 1 : !n ? -1 : compare_paths(o->path, n->path);

        add(&d,
            c < 0   ? DIFF_REMOVED
            : c > 0 ? DIFF_ADDED
                    : compare(o, n),
            c <= 0 ? o : NULL, c >= 0 ? n : NULL);
        i += c <= 0;
        k += c >= 0;
    }
    rc = find_moves(&d, &old, &new, err);
    if (rc == RC_OK) {
        *ret = d;
        d = (struct diff){ .n = 0 };
    }
    return rc;
}

void diff_done(struct diff *d)
{
    free(d->entries);
    *d = (struct diff){ .n = 0 };
}

const char *diff_what_text(enum diff_what what)
{
    static const char *const texts[DIFF_WHATS] = {
        [DIFF_SAME] = "same",       [DIFF_ADDED] = "added", [DIFF_REMOVED] = "removed",
        [DIFF_CHANGED] = "changed", [DIFF_MODE] = "mode",   [DIFF_MOVED] = "moved",
    };

    return (unsigned)what < DIFF_WHATS ? texts[what] : "?";
}
