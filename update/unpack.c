/* SPDX-License-Identifier: Apache-2.0 */
#include "update/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "update/index.h"
#include "update/inflate.h"

/* What a tar may hold besides the files: for each entry a head, its pax record and padding. */
#define OVERHEAD_PER_ENTRY 8192U
#define OVERHEAD_FIXED (64U * 1024U)

/* One unpacking. */
struct unpack {
    const struct unpack_spec *spec;
    const struct staging *out;
    struct inflate *in;
    struct archive *archive;
    uint64_t given;     /* bytes handed to libarchive */
    struct bytes piece; /* the last of them */
    struct sha256 *sha; /* of the file at hand */
    struct index *index;
    uint64_t bytes;    /* of files written */
    uint32_t files;    /* entries made */
    enum rc source_rc; /* why the source failed, since libarchive only knows that it did */
    struct err *err;
};

static la_ssize_t give(struct archive *archive, void *arg, const void **ret)
{
    struct unpack *u = arg;

    u->source_rc = inflate_next(u->in, &u->piece, u->err);
    if (u->source_rc != RC_OK) {
        archive_set_error(archive, EIO, "source");
        return ARCHIVE_FATAL;
    }
    u->given += u->piece.n;
    *ret = u->piece.p;
    return (la_ssize_t)u->piece.n;
}

/* libarchive stumbled, over its input or over ours. */
static enum rc archive_failed(struct unpack *u)
{
    const char *text = archive_error_string(u->archive);

    if (u->source_rc != RC_OK)
        return u->source_rc;
    return err_at(u->err, RC_ARCHIVE_FORMAT, u->given, "%s", text ? text : "archive");
}

static struct bytes bytes_or_none(const char *text)
{
    return text ? bytes_of(text) : (struct bytes){ 0 };
}

/* What no entry may carry, whatever its name. */
static enum rc check_extras(struct archive_entry *entry, struct err *err)
{
    unsigned long set = 0;
    unsigned long clear = 0;
    size_t mac = 0;

    archive_entry_fflags(entry, &set, &clear);
    (void)archive_entry_mac_metadata(entry, &mac);
    if (archive_entry_hardlink(entry))
        return err_set(err, RC_ARCHIVE_TYPE, "hard link");
    if (archive_entry_sparse_count(entry) > 0)
        return err_set(err, RC_ARCHIVE_TYPE, "sparse file");
    if (archive_entry_xattr_count(entry) > 0 || archive_entry_acl_types(entry) != 0 ||
        archive_entry_fflags_text(entry) || set || clear || mac > 0)
        return err_set(err, RC_ARCHIVE_XATTR, "attributes, ACL or flags");
    return RC_OK;
}

/* Copy an entry's data: every byte in its place, no holes, no more than declared. */
static enum rc write_data(struct unpack *u, const struct policy_item *item, int fd)
{
    uint64_t written = 0;

    for (;;) {
        const void *data = NULL;
        size_t n = 0;
        la_int64_t at = 0;
        int r = archive_read_data_block(u->archive, &data, &n, &at);

        if (r == ARCHIVE_EOF && (uint64_t)at <= written)
            return RC_OK;
        if (r != ARCHIVE_OK && r != ARCHIVE_EOF)
            return archive_failed(u);
        if (r == ARCHIVE_EOF || at < 0 || (uint64_t)at != written)
            return err_set(u->err, RC_ARCHIVE_TYPE, "sparse file: %s", item->path);
        if (n > u->spec->unpacked_bytes - u->bytes)
            return err_set(u->err, RC_ARCHIVE_BOMB, "more bytes than declared: %s", item->path);

        struct bytes piece = { .p = data, .n = n };
        enum rc rc = sha256_add(u->sha, piece, u->err);

        if (rc == RC_OK)
            rc = fs_write_all(fd, piece, u->err);
        if (rc != RC_OK)
            return rc;
        written += n;
        u->bytes += n;
    }
}

static enum rc make_file(struct unpack *u, const struct policy_item *item, int parent,
                         const char *name, int64_t size)
{
    struct digest content;

    if (size < 0 || (uint64_t)size > u->spec->unpacked_bytes - u->bytes)
        return err_set(u->err, RC_ARCHIVE_BOMB, "more bytes than declared: %s", item->path);

    scoped(close_fd) int fd = -1;
    uint64_t before = u->bytes;
    enum rc rc = staging_create(parent, name, item, &fd, u->err);

    if (rc == RC_OK)
        rc = write_data(u, item, fd);

    if (rc == RC_OK && u->bytes - before != (uint64_t)size)
        rc = err_set(u->err, RC_ARCHIVE_FORMAT, "size of %s", item->path);
    if (rc == RC_OK)
        rc = sha256_end(u->sha, content.b, u->err);
    close_fd(&fd);
    if (rc == RC_OK)
        rc = verity_seal(u->out->verity, parent, name, u->err);
    if (rc == RC_OK)
        rc = index_add(u->index, item, (uint64_t)size, &content, u->err);
    return rc;
}

static enum rc make_item(struct unpack *u, const struct policy_item *item, int64_t size)
{
    scoped(close_fd) int parent = -1;
    const char *name = NULL;
    enum rc rc = staging_parent(u->out->root, item, &parent, &name, u->err);

    if (rc != RC_OK)
        return rc;
    if (item->type == S_IFREG)
        return make_file(u, item, parent, name, size);
    if (size > 0)
        return err_set(u->err, RC_ARCHIVE_FORMAT, "data in %s", item->path);
    rc = staging_make(parent, name, item, u->err);
    return rc == RC_OK ? index_add(u->index, item, 0, NULL, u->err) : rc;
}

static enum rc unpack_entry(struct unpack *u, struct archive_entry *entry)
{
    struct policy_entry claim = {
        .path = bytes_or_none(archive_entry_pathname(entry)),
        .target = bytes_or_none(archive_entry_symlink(entry)),
        .mode = archive_entry_mode(entry),
    };
    struct policy_item item;

    if (u->files == u->spec->files)
        return err_set(u->err, RC_ARCHIVE_COUNT, "more than %u entries", u->spec->files);

    enum rc rc = check_extras(entry, u->err);

    if (rc == RC_OK)
        rc = policy_check(&claim, &item, u->err);
    if (rc == RC_OK)
        rc = make_item(u, &item, archive_entry_size(entry));
    u->files++;
    return rc;
}

/* Every entry, in the archive's order; libarchive's warnings are failures too. */
static enum rc unpack_entries(struct unpack *u)
{
    struct archive_entry *entry = NULL;
    enum rc rc = RC_OK;

    while (rc == RC_OK) {
        int r = archive_read_next_header(u->archive, &entry);

        if (r == ARCHIVE_EOF)
            break;
        rc = r == ARCHIVE_OK ? unpack_entry(u, entry) : archive_failed(u);
    }
    return rc;
}

/* Behind the end of the archive there is padding and nothing else: first in what libarchive has
 * taken but not read, then in the rest of the content. */
static enum rc check_end(struct unpack *u)
{
    uint64_t used = (uint64_t)archive_filter_bytes(u->archive, 0);
    uint64_t unread = used < u->given ? u->given - used : 0;
    size_t n = unread < u->piece.n ? (size_t)unread : u->piece.n;

    for (size_t i = u->piece.n - n; i < u->piece.n; i++) {
        if (u->piece.p[i] != 0)
            return err_at(u->err, RC_ARCHIVE_FORMAT, used, "bytes behind the archive");
    }
    if (u->files != u->spec->files)
        return err_set(u->err, RC_ARCHIVE_COUNT, "%u of %u entries", u->files, u->spec->files);
    if (u->bytes != u->spec->unpacked_bytes)
        return err_set(u->err, RC_PACKAGE_SIZE, "%llu bytes in files",
                       (unsigned long long)u->bytes);
    return inflate_end(u->in, &u->spec->content, &u->spec->content384, u->err);
}

/* The files are those that the manifest names, each as it was written. */
static enum rc check_index(const struct unpack *u)
{
    struct digest found;
    struct digest384 found384;
    enum rc rc = index_end(u->index, u->out->index, &found, &found384, u->err);

    return rc == RC_OK ? staging_check_index(u->spec, &found, &found384, u->err) : rc;
}

static void unpack_done(struct unpack *u)
{
    if (u->sha)
        sha256_free(&u->sha);
    index_free(&u->index);
}

static void archive_done(struct archive **archive)
{
    if (*archive)
        (void)archive_read_free(*archive);
}

static enum rc open_archive(struct unpack *u)
{
    if (archive_read_support_format_tar(u->archive) != ARCHIVE_OK ||
        archive_read_open(u->archive, u, NULL, give, NULL) != ARCHIVE_OK)
        return archive_failed(u);
    return RC_OK;
}

static enum rc unpack_all(int content_fd, const struct unpack_spec *spec, const struct staging *out,
                          struct err *err)
{
    uint64_t out_max =
        spec->unpacked_bytes + (uint64_t)spec->files * OVERHEAD_PER_ENTRY + OVERHEAD_FIXED;
    scoped(inflate_free) struct inflate *in = NULL;
    enum rc rc = inflate_new(content_fd, spec->content_at, spec->content_bytes, out_max, &in, err);

    if (rc == RC_OK && !digest384_is_none(&spec->content384))
        rc = inflate_also_384(in, err);
    if (rc != RC_OK)
        return rc;

    scoped(archive_done) struct archive *archive = archive_read_new();
    scoped(unpack_done) struct unpack u = {
        .spec = spec, .out = out, .in = in, .archive = archive, .err = err
    };

    if (!archive)
        return err_set(err, RC_NO_MEMORY, "archive");
    rc = sha256_new(&u.sha, err);
    if (rc == RC_OK)
        rc = index_new(&u.index, err);
    if (rc == RC_OK)
        rc = open_archive(&u);
    if (rc == RC_OK)
        rc = unpack_entries(&u);
    if (rc == RC_OK)
        rc = check_end(&u);
    if (rc == RC_OK)
        rc = check_index(&u);
    return rc == RC_OK ? staging_end(out->root, spec, err) : rc;
}

static enum rc check_spec(const struct unpack_spec *spec, struct err *err)
{
    if (!memchr(spec->entry, 0, sizeof spec->entry))
        return err_set(err, RC_PROTOCOL, "entry point");
    return policy_check_sizes(spec->content_bytes, spec->unpacked_bytes, spec->files, err);
}

enum rc unpack_archive(int content_fd, const struct unpack_spec *spec, const struct staging *out,
                       struct err *err)
{
    enum rc rc = check_spec(spec, err);

    if (rc == RC_OK)
        rc = staging_check_empty(out->root, err);
    if (rc != RC_OK)
        return rc;

    /* names are bytes to us: libarchive must not translate them to the caller's locale */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);

    if (plain == (locale_t)0)
        return err_set(err, RC_NO_MEMORY, "locale");

    locale_t before = uselocale(plain);
    mode_t mask = umask(022);

    rc = unpack_all(content_fd, spec, out, err);
    (void)umask(mask);
    (void)uselocale(before);
    freelocale(plain);
    if (rc != RC_OK)
        staging_clear(out->root);
    return rc;
}

enum rc unpack_content(int content_fd, const struct unpack_spec *spec, int staging_dirfd,
                       int index_fd, struct err *err)
{
    struct verity verity = { .enable = verity_ioctl };
    const struct staging out = { .root = staging_dirfd, .index = index_fd, .verity = &verity };

    return unpack_archive(content_fd, spec, &out, err);
}
