/* SPDX-License-Identifier: Apache-2.0 */
#include "update/index.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fs.h"

#define FIRST_ROOM 65536U
#define HEAD_MAX 9U     /* of the array of entries */
#define ENTRY_HEADS 64U /* an entry without path and target, and some more */

static_assert(INDEX_MAX > FIRST_ROOM && INDEX_MAX <= UINT32_MAX, "offsets are 32 bits");

/* Where an entry's bytes lie, and in them its path. */
struct place {
    uint32_t at, n;
    uint32_t path_at, path_n;
};

struct index {
    uint8_t *bytes; /* encoded entries, in the order in which they came */
    size_t n, cap;
    struct place *place; /* of each, in the order of their paths */
    size_t places, places_cap;
};

enum rc index_new(struct index **ret, struct err *err)
{
    struct index *ix = calloc(1, sizeof *ix);

    if (!ix)
        return err_set(err, RC_NO_MEMORY, "index");
    *ret = ix;
    return RC_OK;
}

void index_free(struct index **ix)
{
    if (!*ix)
        return;
    free((*ix)->bytes);
    free((*ix)->place);
    free(*ix);
    *ix = NULL;
}

static int compare_paths(struct bytes a, struct bytes b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

/* Room for one more place and `more` bytes. */
static enum rc make_room(struct index *ix, size_t more, struct err *err)
{
    if (ix->places == PACKAGE_FILES_MAX)
        return err_set(err, RC_ARCHIVE_COUNT, "more than %u entries", PACKAGE_FILES_MAX);
    while (ix->cap - ix->n < more) {
        size_t cap = ix->cap > 0 ? 2 * ix->cap : FIRST_ROOM;
        uint8_t *bytes = realloc(ix->bytes, cap);

        if (!bytes)
            return err_set(err, RC_NO_MEMORY, "index");
        ix->bytes = bytes;
        ix->cap = cap;
    }
    if (ix->places == ix->places_cap) {
        size_t cap = ix->places_cap > 0 ? 2 * ix->places_cap : 256;
        struct place *place = realloc(ix->place, cap * sizeof *place);

        if (!place)
            return err_set(err, RC_NO_MEMORY, "index");
        ix->place = place;
        ix->places_cap = cap;
    }
    return RC_OK;
}

static enum index_kind kind_of(const struct policy_item *item)
{
    if (item->type == S_IFDIR)
        return INDEX_DIR;
    if (item->type == S_IFLNK)
        return INDEX_LINK;
    return item->mode & 0111 ? INDEX_PROGRAM : INDEX_FILE;
}

/* [ path, kind, size, digest ] of a file, [ path, kind ], [ path, kind, target ]. */
static struct place put_entry(struct cbor_out *w, const struct policy_item *item, uint64_t size,
                              const struct digest *content)
{
    static const size_t parts[] = {
        [INDEX_FILE] = 4, [INDEX_PROGRAM] = 4, [INDEX_DIR] = 2, [INDEX_LINK] = 3
    };
    enum index_kind kind = kind_of(item);
    struct place place = { .path_n = (uint32_t)strlen(item->path) };

    cbor_put_array(w, parts[kind]);
    cbor_put_text(w, item->path);
    place.path_at = (uint32_t)w->n - place.path_n;
    cbor_put_uint(w, kind);
    if (kind == INDEX_LINK)
        cbor_put_text(w, item->target);
    if (kind == INDEX_FILE || kind == INDEX_PROGRAM) {
        cbor_put_uint(w, size);
        cbor_put_bstr(w, (struct bytes){ .p = content->b, .n = sizeof content->b });
    }
    place.n = (uint32_t)w->n;
    return place;
}

/* Where a path belongs among those that are there; *ret_same if it is one of them.  Not qsort at
 * the end: that one asks the kernel for things a confined process may not ask. */
static size_t find_path(const struct index *ix, struct bytes path, bool *ret_same)
{
    size_t low = 0;
    size_t high = ix->places;

    *ret_same = false;
    while (low < high && !*ret_same) {
        size_t mid = low + (high - low) / 2;
        const struct place *p = &ix->place[mid];
        int order = compare_paths(path, (struct bytes){ ix->bytes + p->path_at, p->path_n });

        *ret_same = order == 0;
        if (order < 0)
            high = mid;
        else
            low = mid + (order > 0);
    }
    return low;
}

enum rc index_add(struct index *ix, const struct policy_item *item, uint64_t size,
                  const struct digest *content, struct err *err)
{
    size_t most = strlen(item->path) + strlen(item->target) + ENTRY_HEADS;
    enum rc rc = make_room(ix, most, err);

    if (rc != RC_OK)
        return rc;

    struct cbor_out w = { .p = ix->bytes + ix->n, .cap = most };
    struct place place = put_entry(&w, item, size, content);
    bool same = false;

    assert(!w.full);
    if (w.n > INDEX_MAX - HEAD_MAX - ix->n)
        return err_set(err, RC_TOO_LARGE, "index at %.64s", item->path);
    place.at = (uint32_t)ix->n;
    place.path_at += place.at;

    size_t at = find_path(ix, (struct bytes){ ix->bytes + place.path_at, place.path_n }, &same);

    if (same)
        return err_set(err, RC_ARCHIVE_DUPLICATE, "%.64s", item->path);
    memmove(&ix->place[at + 1], &ix->place[at], (ix->places - at) * sizeof place);
    ix->place[at] = place;
    ix->places++;
    ix->n += w.n;
    return RC_OK;
}

enum rc index_end(const struct index *ix, int fd, struct digest *ret, struct digest384 *ret384,
                  struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(ix->n + HEAD_MAX);
    struct cbor_out w = { .p = buf, .cap = ix->n + HEAD_MAX };
    struct bytes whole;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "index");
    cbor_put_array(&w, ix->places);
    for (size_t i = 0; i < ix->places; i++)
        cbor_put_raw(&w, (struct bytes){ ix->bytes + ix->place[i].at, ix->place[i].n });

    enum rc rc = cbor_written(&w, &whole, err);
    if (rc == RC_OK)
        rc = sha256_of(whole, ret->b, err);
    if (rc == RC_OK)
        rc = sha384_of(whole, ret384->b, err);
    if (rc == RC_OK && fd >= 0)
        rc = fs_write_all(fd, whole, err);
    return rc;
}

/* ---- reading -----------------------------------------------------------------------------------
 */

struct index_in index_read(struct bytes in)
{
    struct index_in ix = { .r = cbor_read(in) };

    if (in.n > INDEX_MAX)
        cbor_fail(&ix.r, RC_TOO_LARGE, "index");
    ix.left = (uint32_t)cbor_array(&ix.r, "index", 1, PACKAGE_FILES_MAX);
    return ix;
}

/* Paths rise, so that none is there twice and a tree has one index. */
static void read_path(struct index_in *in, struct bytes *ret)
{
    struct bytes path = cbor_tstr(&in->r, "index.path", 1, PACKAGE_PATH_MAX);

    if (in->r.rc == RC_OK && in->last.n > 0 && compare_paths(in->last, path) >= 0)
        cbor_fail(&in->r, RC_INDEX_FORMAT, "index.path");
    in->last = path;
    *ret = path;
}

static mode_t mode_of(uint64_t kind)
{
    switch (kind) {
    case INDEX_DIR:
        return S_IFDIR | 0755;
    case INDEX_LINK:
        return S_IFLNK | 0777;
    case INDEX_PROGRAM:
        return S_IFREG | 0755;
    default:
        return S_IFREG | 0644;
    }
}

static void read_entry(struct index_in *in, struct index_entry *ret)
{
    struct policy_entry claim = { 0 };
    struct err ignored;
    size_t parts = cbor_array(&in->r, "index.entry", 2, 4);
    size_t want = 4;

    read_path(in, &claim.path);
    uint64_t kind = cbor_uint(&in->r, "index.kind", INDEX_LINK);
    claim.mode = mode_of(kind);
    if (kind == INDEX_DIR || kind == INDEX_LINK)
        want = kind == INDEX_DIR ? 2 : 3;
    if (kind == 0 || parts != want)
        cbor_fail(&in->r, RC_INDEX_FORMAT, "index.kind");
    if (kind == INDEX_LINK)
        claim.target = cbor_tstr(&in->r, "index.target", 1, PACKAGE_PATH_MAX);
    if (S_ISREG(claim.mode)) {
        ret->size = cbor_uint(&in->r, "index.size", UNPACKED_MAX);
        cbor_fixed(&in->r, "index.content", ret->content.b, sizeof ret->content.b);
    }
    cbor_end(&in->r);
    /* a directory's path may end in '/' in an archive, and never here */
    if (in->r.rc == RC_OK && (claim.path.p[claim.path.n - 1] == '/' ||
                              policy_check(&claim, &ret->item, &ignored) != RC_OK))
        cbor_fail(&in->r, RC_INDEX_FORMAT, "index.path");
}

bool index_next(struct index_in *in, struct index_entry *ret)
{
    if (in->left == 0 || in->r.rc != RC_OK)
        return false;
    *ret = (struct index_entry){ 0 };
    in->left--;
    read_entry(in, ret);
    return in->r.rc == RC_OK;
}

enum rc index_done(struct index_in *in, struct err *err)
{
    struct err why = { 0 };

    cbor_end(&in->r);
    if (cbor_done(&in->r, &why) == RC_OK)
        return RC_OK;
    return err_at(err, RC_INDEX_FORMAT, why.at, "%s", why.what);
}
