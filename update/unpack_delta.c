/* SPDX-License-Identifier: Apache-2.0 */
#include "update/unpack_delta.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "delta/apply.h"
#include "update/delta_plan.h"

#define TMP "tmp"
#define NUMBER_CAP 12U

static_assert(IMAGE_FILES_MAX == FORMAT_NEW_MAX, "every package fits in, with its index");

/* A new file that has come. */
struct came {
    uint64_t size;
    uint8_t sha256[DIGEST_SIZE];
};

/* One delta being applied. */
struct renewal {
    int delta;
    const struct unpack_spec *spec;
    const struct unpack_base *base;
    const struct staging *out; /* NULL: what comes is only hashed */
    struct delta_plan plan;
    uint8_t *old_index;
    uint8_t *new_index; /* came[0].size bytes */
    uint32_t n_came;
    struct came *came; /* by number */
    int tmp;           /* directory of the files that have come */
    uint32_t number;   /* of the one that is coming; 0 = the index, else fd takes it */
    uint64_t at;       /* bytes of the index so far */
    int fd;
    struct err *err;
};

static void renewal_done(struct renewal *r)
{
    close_fd(&r->tmp);
    close_fd(&r->fd);
    delta_plan_done(&r->plan);
    free(r->old_index);
    free(r->new_index);
    free(r->came);
}

static void name_of(uint32_t number, char out[NUMBER_CAP])
{
    (void)snprintf(out, NUMBER_CAP, "%u", number);
}

/* ---- the old image ----------------------------------------------------------------------------
 */

/* The index of the base, if it is the one whose digest was asked for. */
static enum rc read_base(struct renewal *r)
{
    struct digest found;
    struct stat st;

    if (fstat(r->base->index, &st) != 0 || st.st_size <= 0 || st.st_size > INDEX_MAX)
        return err_set(r->err, RC_SLOT_DAMAGED, "index of the base");

    struct bytes index = { .n = (size_t)st.st_size };

    r->old_index = malloc(index.n);
    if (!r->old_index)
        return err_set(r->err, RC_NO_MEMORY, "index of the base");
    index.p = r->old_index;
    if (fs_pread_exact(r->base->index, r->old_index, index.n, 0, r->err) != RC_OK)
        return err_set(r->err, RC_SLOT_DAMAGED, "index of the base");

    enum rc rc = sha256_of(index, found.b, r->err);

    if (rc == RC_OK && !digest_same(&found, &r->spec->base))
        rc = err_set(r->err, RC_SLOT_DAMAGED, "index of the base");
    return rc == RC_OK ? delta_plan_old(&r->plan, index, r->err) : rc;
}

/* Open a regular file of the base for reading. */
static enum rc open_old(const struct renewal *r, const struct tree_file *f, int *ret_fd)
{
    char path[PACKAGE_PATH_MAX + 1];
    uint64_t size = 0;
    struct err why;

    if (!bytes_to_text(f->path, path, sizeof path))
        return err_set(r->err, RC_INTERNAL, "path in the base");
    if (fs_open_plain(r->base->root, path, UNPACKED_MAX, ret_fd, &size, &why) != RC_OK)
        return err_set(r->err, RC_SLOT_DAMAGED, "not in the base: %.64s", path);
    return RC_OK;
}

/* For delta/image; it holds type and size against the list itself. */
static enum rc open_image(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    const struct renewal *r = arg;
    uint32_t file = r->plan.old.file[i];

    if (file != DELTA_PLAN_INDEX)
        return open_old(r, &r->plan.old.tree.files[file], ret_fd);
    *ret_fd = fcntl(r->base->index, F_DUPFD_CLOEXEC, 3);
    return *ret_fd >= 0 ? RC_OK : err_sys(err, RC_IO, "index of the base");
}

/* ---- new files as they come -------------------------------------------------------------------
 */

static enum rc begin_new(void *arg, uint32_t number, uint64_t size, struct err *err)
{
    struct renewal *r = arg;
    char name[NUMBER_CAP];

    assert(number < r->n_came && r->fd < 0);
    r->number = number;
    r->came[number].size = size;
    if (number > 0 && !r->out)
        return RC_OK;
    if (number > 0) {
        name_of(number, name);
        return fs_open(r->tmp, name, O_WRONLY | O_CREAT | O_EXCL, 0600, &r->fd, err);
    }
    if (size > INDEX_MAX)
        return err_set(err, RC_TOO_LARGE, "index of %llu bytes", (unsigned long long)size);
    r->new_index = malloc((size_t)size + 1);
    return r->new_index ? RC_OK : err_set(err, RC_NO_MEMORY, "index");
}

static enum rc data_new(void *arg, struct bytes piece, struct err *err)
{
    struct renewal *r = arg;

    if (r->number > 0)
        return r->out ? fs_write_all(r->fd, piece, err) : RC_OK;
    assert(piece.n <= r->came[0].size - r->at);
    memcpy(r->new_index + r->at, piece.p, piece.n);
    r->at += piece.n;
    return RC_OK;
}

static enum rc end_new(void *arg, const uint8_t sha256[32], struct err *err)
{
    struct renewal *r = arg;

    (void)err;
    close_fd(&r->fd);
    memcpy(r->came[r->number].sha256, sha256, DIGEST_SIZE);
    return RC_OK;
}

static enum rc make_tmp(struct renewal *r)
{
    if (mkdirat(r->out->root, TMP, 0755) != 0)
        return err_sys(r->err, RC_IO, "make " TMP);
    return fs_open(r->out->root, TMP, O_RDONLY | O_DIRECTORY, 0, &r->tmp, r->err);
}

/* All that the delta gives. */
static enum rc apply(struct renewal *r)
{
    const struct apply_sink sink = {
        .arg = r, .begin = begin_new, .data = data_new, .end = end_new
    };
    struct apply_spec spec = {
        .at = r->spec->content_at,
        .size = r->spec->content_bytes,
        .old = { .arg = r, .n = r->plan.old.n, .sizes = r->plan.old.sizes, .open = open_image },
        .memory_max = APPLY_MEMORY_MAX,
        .output_max = r->spec->unpacked_bytes + INDEX_MAX,
    };
    struct format_head head;

    memcpy(spec.base, r->spec->base.b, DIGEST_SIZE);

    enum rc rc = apply_head(r->delta, &spec, &head, r->err);

    if (rc != RC_OK)
        return rc;
    if (head.n_new == 0)
        return err_set(r->err, RC_DELTA_COUNT, "no index");
    if (memcmp(head.result, r->spec->index.b, DIGEST_SIZE) != 0)
        return err_set(r->err, RC_INDEX_MISMATCH, "delta is for another result");
    r->n_came = head.n_new;
    r->came = calloc(r->n_came, sizeof *r->came);
    if (!r->came)
        return err_set(r->err, RC_NO_MEMORY, "list of %u files", r->n_came);
    rc = r->out ? make_tmp(r) : RC_OK;
    return rc == RC_OK ? apply_delta(r->delta, &spec, &sink, r->err) : rc;
}

/* ---- whether they are what the manifest names -------------------------------------------------
 */

/* From here on the index is the manifest's, and is believed as the manifest is. */
static enum rc check_index(struct renewal *r)
{
    struct bytes index = { .p = r->new_index, .n = (size_t)r->came[0].size };
    struct digest found;
    struct digest384 found384;
    enum rc rc = sha384_of(index, found384.b, r->err);

    memcpy(found.b, r->came[0].sha256, sizeof found.b);
    if (rc == RC_OK)
        rc = staging_check_index(r->spec, &found, &found384, r->err);
    if (rc == RC_OK && r->out && r->out->index >= 0)
        rc = fs_write_all(r->out->index, index, r->err);
    if (rc == RC_OK)
        rc = delta_plan_new(&r->plan, index, r->err);
    return rc;
}

static enum rc check_files(const struct renewal *r)
{
    const struct delta_side *new = &r->plan.new;

    if (new->entries != r->spec->files)
        return err_set(r->err, RC_ARCHIVE_COUNT, "%u of %u entries", new->entries, r->spec->files);
    if (new->bytes != r->spec->unpacked_bytes)
        return err_set(r->err, RC_PACKAGE_SIZE, "%llu bytes in files",
                       (unsigned long long)new->bytes);
    if (new->n != r->n_came)
        return err_set(r->err, RC_DELTA_COUNT, "%u new files of %u", r->n_came, new->n);
    for (uint32_t k = 1; k < new->n; k++) {
        const struct tree_file *f = &new->tree.files[new->file[k]];

        if (r->came[k].size != f->size || memcmp(r->came[k].sha256, f->sha256, DIGEST_SIZE) != 0)
            return err_set(r->err, RC_INDEX_MISMATCH, "%.*s", f->path.n < 64 ? (int)f->path.n : 64,
                           (const char *)f->path.p);
    }
    return RC_OK;
}

/* ---- into place -------------------------------------------------------------------------------
 */

/* A place in the tree, and what the index says of the file that goes there. */
struct target {
    const struct policy_item *item;
    const struct tree_file *file;
    int parent;
    const char *name;
};

static enum rc move_new(const struct renewal *r, const struct target *to, uint32_t number)
{
    scoped(close_fd) int fd = -1;
    char name[NUMBER_CAP];

    name_of(number, name);

    enum rc rc = fs_open(r->tmp, name, O_RDONLY | O_NOFOLLOW, 0, &fd, r->err);

    if (rc != RC_OK)
        return rc;
    if (fchmod(fd, to->item->mode) != 0)
        return err_sys(r->err, RC_IO, "mode of %s", to->item->path);
    /* Not RENAME_NOREPLACE: the paths of an index rise, so that none is there twice.  Without an
     * fsync: what is in staging is nothing yet. */
    if (renameat(r->tmp, name, to->parent, to->name) != 0)
        return err_sys(r->err, RC_IO, "move %s", to->item->path);
    return RC_OK;
}

/* Copy, and see on the way whether it is what it should be; `wrong` if it is not. */
static enum rc copy(const struct renewal *r, const struct target *to, int from, enum rc wrong)
{
    scoped(close_fd) int fd = -1;
    uint8_t found[DIGEST_SIZE];
    enum rc rc = staging_create(to->parent, to->name, to->item, &fd, r->err);

    if (rc == RC_OK)
        rc = fs_copy_digest(from, fd, to->file->size, found, r->err);
    if (rc == RC_SHORT || rc == RC_TRAILING ||
        (rc == RC_OK && memcmp(found, to->file->sha256, DIGEST_SIZE) != 0))
        rc = err_set(r->err, wrong, "content: %.64s", to->item->path);
    return rc;
}

/* What the base has, or what was moved to its first place already. */
static enum rc copy_from(const struct renewal *r, const struct target *to, uint32_t from)
{
    const struct delta_plan *p = &r->plan;
    scoped(close_fd) int fd = -1;
    char path[PACKAGE_PATH_MAX + 1];

    if (from < p->old.n) {
        enum rc rc = open_old(r, &p->old.tree.files[p->old.file[from]], &fd);

        return rc == RC_OK ? copy(r, to, fd, RC_SLOT_DAMAGED) : rc;
    }
    if (!bytes_to_text(p->new.tree.files[p->new.file[from - p->old.n]].path, path, sizeof path))
        return err_set(r->err, RC_INTERNAL, "path");

    enum rc rc = fs_open(r->out->root, path, O_RDONLY | O_NOFOLLOW, 0, &fd, r->err);

    return rc == RC_OK ? copy(r, to, fd, RC_INDEX_MISMATCH) : rc;
}

/* File number i of the new tree. */
static enum rc place_file(const struct renewal *r, const struct policy_item *item, uint32_t i)
{
    const struct delta_plan *p = &r->plan;
    scoped(close_fd) int parent = -1;
    struct target to = { .item = item, .file = &p->new.tree.files[i] };
    uint32_t from = p->from[i];
    enum rc rc = staging_parent(r->out->root, item, &parent, &to.name, r->err);

    if (rc != RC_OK)
        return rc;
    to.parent = parent;
    if (from >= p->old.n && p->new.file[from - p->old.n] == i)
        rc = move_new(r, &to, from - p->old.n);
    else
        rc = copy_from(r, &to, from);
    return rc == RC_OK ? verity_seal(r->out->verity, parent, to.name, r->err) : rc;
}

/* A directory or link; tmp is there. */
static enum rc place_other(const struct renewal *r, const struct policy_item *item)
{
    scoped(close_fd) int parent = -1;
    const char *name = NULL;

    if (strcmp(item->path, TMP) == 0)
        return RC_OK;

    enum rc rc = staging_parent(r->out->root, item, &parent, &name, r->err);

    return rc == RC_OK ? staging_make(parent, name, item, r->err) : rc;
}

/* The paths of an index rise: a directory comes before what is in it. */
static enum rc place_all(const struct renewal *r)
{
    struct index_in in = index_read(r->plan.new.index);
    struct index_entry entry;
    uint32_t i = 0;
    enum rc rc = RC_OK;

    while (rc == RC_OK && index_next(&in, &entry))
        rc = entry.item.type == S_IFREG ? place_file(r, &entry.item, i++)
                                        : place_other(r, &entry.item);
    return rc == RC_OK ? index_done(&in, r->err) : rc;
}

/* ---- all of it --------------------------------------------------------------------------------
 */

static enum rc check_spec(const struct unpack_spec *spec, struct err *err)
{
    if (!memchr(spec->entry, 0, sizeof spec->entry))
        return err_set(err, RC_PROTOCOL, "entry point");
    if (digest_is_none(&spec->index))
        return err_set(err, RC_DIGEST_MISSING, "index");
    /* That the sizes are in proportion was seen with the manifest, which knows the full package. */
    return policy_check_sizes(PACKAGE_MAX, spec->unpacked_bytes, spec->files, err);
}

static enum rc renew(struct renewal *r)
{
    enum rc rc = read_base(r);

    if (rc == RC_OK)
        rc = apply(r);
    if (rc == RC_OK)
        rc = check_index(r);
    if (rc == RC_OK)
        rc = check_files(r);
    if (rc == RC_OK && r->out)
        rc = place_all(r);
    return rc == RC_OK && r->out ? staging_end(r->out->root, r->spec, r->err) : rc;
}

enum rc unpack_check_delta(int delta_fd, const struct unpack_spec *spec,
                           const struct unpack_base *base, struct err *err)
{
    scoped(renewal_done) struct renewal r = {
        .delta = delta_fd, .spec = spec, .base = base, .tmp = -1, .fd = -1, .err = err
    };
    enum rc rc = check_spec(spec, err);

    return rc == RC_OK ? renew(&r) : rc;
}

enum rc unpack_delta(int delta_fd, const struct unpack_spec *spec, const struct unpack_base *base,
                     const struct staging *out, struct err *err)
{
    scoped(renewal_done) struct renewal r = {
        .delta = delta_fd, .spec = spec, .base = base, .out = out, .tmp = -1, .fd = -1, .err = err
    };
    enum rc rc = check_spec(spec, err);

    if (rc == RC_OK)
        rc = staging_check_empty(out->root, err);
    if (rc != RC_OK)
        return rc;

    mode_t mask = umask(022);

    rc = renew(&r);
    (void)umask(mask);
    if (rc != RC_OK)
        staging_clear(out->root);
    return rc;
}
