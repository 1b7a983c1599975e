/* SPDX-License-Identifier: Apache-2.0 */
#include "update/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "update/index.h"
#include "update/package.h"
#include "update/policy.h"

#define READ_SIZE (256U * 1024U)

/* Paths found below the root, each its own allocation. */
struct paths {
    char **path;
    size_t n;
    size_t cap;
    const char *dir; /* directory being listed, "" = root */
    struct err *err;
    enum rc rc;
};

/* One packing. */
struct pack {
    int dirfd;
    int out_fd;
    struct archive *archive;
    struct sha256 *sha;
    struct sha384 *sha384;
    struct sha256 *file_sha; /* of the file at hand */
    struct index *index;
    struct packed packed;
    enum rc sink_rc; /* why the sink failed, since libarchive only knows that it did */
    struct err *err;
    uint8_t buf[READ_SIZE];
};

/* ---- finding the files ------------------------------------------------------------------------
 */

static void paths_done(struct paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->path[i]);
    free(paths->path);
}

static bool grow(struct paths *paths)
{
    size_t cap = paths->cap ? 2 * paths->cap : 64;
    char **path = realloc(paths->path, cap * sizeof *path);

    if (!path)
        return false;
    paths->path = path;
    paths->cap = cap;
    return true;
}

static bool add_path(void *arg, const char *name)
{
    struct paths *paths = arg;
    char *path = NULL;

    if (paths->n == PACKAGE_FILES_MAX) {
        paths->rc = err_set(paths->err, RC_ARCHIVE_COUNT, "more than %u files", PACKAGE_FILES_MAX);
        return false;
    }
    if ((paths->n == paths->cap && !grow(paths)) ||
        asprintf(&path, "%s%s%s", paths->dir, *paths->dir ? "/" : "", name) < 0) {
        paths->rc = err_set(paths->err, RC_NO_MEMORY, "paths");
        return false;
    }
    paths->path[paths->n++] = path;
    return true;
}

/* Add what is in one directory. */
static enum rc add_dir(struct paths *paths, int dirfd, const char *dir)
{
    bool more = false;

    paths->dir = dir;

    enum rc rc = fs_list(dirfd, *dir ? dir : ".", PACKAGE_FILES_MAX + 1U, add_path, paths, &more,
                         paths->err);

    return rc == RC_OK ? paths->rc : rc;
}

static int by_bytes(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;

    return strcmp(*x, *y);
}

/* Every path below the root, sorted by its bytes; a directory comes before what is in it. */
static enum rc find_paths(int dirfd, struct paths *paths)
{
    struct stat st;
    enum rc rc = add_dir(paths, dirfd, "");

    for (size_t i = 0; rc == RC_OK && i < paths->n; i++) {
        if (strlen(paths->path[i]) > PACKAGE_PATH_MAX)
            return err_set(paths->err, RC_ARCHIVE_PATH, "length: %.64s", paths->path[i]);
        if (fstatat(dirfd, paths->path[i], &st, AT_SYMLINK_NOFOLLOW) != 0)
            return err_sys(paths->err, RC_IO, "%s", paths->path[i]);
        if (S_ISDIR(st.st_mode))
            rc = add_dir(paths, dirfd, paths->path[i]);
    }
    if (rc == RC_OK && paths->n > 0)
        qsort(paths->path, paths->n, sizeof *paths->path, by_bytes);
    return rc;
}

/* ---- writing the archive ----------------------------------------------------------------------
 */

/* libarchive's output: hash it, count it, write it. */
static la_ssize_t take(struct archive *archive, void *arg, const void *data, size_t n)
{
    struct pack *p = arg;
    struct bytes piece = { .p = data, .n = n };
    enum rc rc = sha256_add(p->sha, piece, p->err);
    if (rc == RC_OK)
        rc = sha384_add(p->sha384, piece, p->err);

    if (rc == RC_OK && n > PACKAGE_MAX - p->packed.content_bytes)
        rc = err_set(p->err, RC_TOO_LARGE, "package content");
    if (rc == RC_OK)
        rc = fs_write_all(p->out_fd, piece, p->err);
    if (rc != RC_OK) {
        p->sink_rc = rc;
        archive_set_error(archive, EIO, "sink");
        return ARCHIVE_FATAL;
    }
    p->packed.content_bytes += n;
    return (la_ssize_t)n;
}

static enum rc archive_failed(struct pack *p, const char *path)
{
    const char *text = archive_error_string(p->archive);

    if (p->sink_rc != RC_OK)
        return p->sink_rc;
    return err_set(p->err, RC_ARCHIVE_FORMAT, "%s: %s", path, text ? text : "archive");
}

static enum rc open_archive(struct pack *p, unsigned level)
{
    char text[12];

    (void)snprintf(text, sizeof text, "%u", level);
    if (archive_write_set_format_pax_restricted(p->archive) != ARCHIVE_OK ||
        archive_write_set_format_option(p->archive, "pax", "hdrcharset", "BINARY") != ARCHIVE_OK ||
        archive_write_add_filter_zstd(p->archive) != ARCHIVE_OK ||
        archive_write_set_filter_option(p->archive, "zstd", "compression-level", text) !=
            ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(p->archive, 1) != ARCHIVE_OK ||
        archive_write_open(p->archive, p, NULL, take, NULL) != ARCHIVE_OK)
        return archive_failed(p, "archive");
    return RC_OK;
}

/* The file's bytes and their digest; one that changes while it is read is not packed. */
static enum rc pack_data(struct pack *p, const char *path, uint64_t size, struct digest *ret)
{
    scoped(close_fd) int fd = -1;
    uint64_t done = 0;
    enum rc rc = fs_open(p->dirfd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, &fd, p->err);

    while (rc == RC_OK) {
        ssize_t n = read(fd, p->buf, READ_SIZE);

        if (n < 0)
            return err_sys(p->err, RC_IO, "%s", path);
        if ((uint64_t)n > size - done || (n == 0 && done < size))
            return err_set(p->err, RC_IO, "%s changed while it was read", path);
        if (n == 0)
            break;
        if (archive_write_data(p->archive, p->buf, (size_t)n) != n)
            return archive_failed(p, path);
        rc = sha256_add(p->file_sha, (struct bytes){ .p = p->buf, .n = (size_t)n }, p->err);
        done += (uint64_t)n;
    }
    return rc == RC_OK ? sha256_end(p->file_sha, ret->b, p->err) : rc;
}

/* Describe a path as unpacking will see it. */
static enum rc describe(const struct pack *p, const char *path, char *target, size_t cap,
                        struct stat *ret)
{
    char raw[PACKAGE_PATH_MAX + 1];

    if (fstatat(p->dirfd, path, ret, AT_SYMLINK_NOFOLLOW) != 0)
        return err_sys(p->err, RC_IO, "%s", path);
    target[0] = 0;
    /* a shared directory's setgid and sticky bits mean nothing in a package; a file's might */
    if (S_ISDIR(ret->st_mode))
        ret->st_mode &= ~(mode_t)07000;
    if (!S_ISLNK(ret->st_mode))
        return RC_OK;

    ssize_t n = readlinkat(p->dirfd, path, raw, sizeof raw);

    if (n < 0)
        return err_sys(p->err, RC_IO, "%s", path);
    if ((size_t)n >= sizeof raw)
        return err_set(p->err, RC_ARCHIVE_LINK, "%s", path);
    raw[n] = 0;
    if (raw[0] != '/')
        (void)snprintf(target, cap, "%s", raw);
    else if (!policy_relative_target(path, raw, target, cap))
        return err_set(p->err, RC_ARCHIVE_LINK, "%s", path);
    return RC_OK;
}

static void entry_done(struct archive_entry **entry)
{
    archive_entry_free(*entry);
}

static enum rc write_header(struct pack *p, const struct policy_item *item, uint64_t size)
{
    scoped(entry_done) struct archive_entry *entry = archive_entry_new();

    if (!entry)
        return err_set(p->err, RC_NO_MEMORY, "entry");
    archive_entry_set_pathname(entry, item->path);
    archive_entry_set_mode(entry, item->type | item->mode);
    archive_entry_set_size(entry, (la_int64_t)size);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    if (item->type == S_IFLNK)
        archive_entry_set_symlink(entry, item->target);
    if (archive_write_header(p->archive, entry) != ARCHIVE_OK)
        return archive_failed(p, item->path);
    return RC_OK;
}

/* Check an entry and write its head; *ret_size is how many bytes must follow. */
static enum rc begin_entry(struct pack *p, const struct policy_entry *claim, uint64_t size,
                           struct policy_item *ret, uint64_t *ret_size)
{
    const char *path = (const char *)claim->path.p;
    enum rc rc = policy_check(claim, ret, p->err);

    if (rc != RC_OK)
        return err_set(p->err, rc, "%s", path);
    *ret_size = ret->type == S_IFREG ? size : 0;
    if (*ret_size > UNPACKED_MAX - p->packed.unpacked_bytes)
        return err_set(p->err, RC_TOO_LARGE, "%s", path);
    p->packed.unpacked_bytes += *ret_size;
    p->packed.files++;
    return write_header(p, ret, *ret_size);
}

static enum rc pack_path(struct pack *p, const char *path)
{
    char target[PACKAGE_PATH_MAX + 1];
    struct policy_item item;
    struct digest content = { 0 };
    struct stat st;
    uint64_t size = 0;
    enum rc rc = describe(p, path, target, sizeof target, &st);

    if (rc != RC_OK)
        return rc;

    struct policy_entry claim = { .path = bytes_of(path),
                                  .target = bytes_of(target),
                                  .mode = st.st_mode };

    rc = begin_entry(p, &claim, (uint64_t)st.st_size, &item, &size);
    if (rc == RC_OK && item.type == S_IFREG)
        rc = pack_data(p, path, size, &content);
    return rc == RC_OK ? index_add(p->index, &item, size, &content, p->err) : rc;
}

/* The bytes of an item of a list and their digest; p->dirfd is the file that they are in. */
static enum rc pack_range(struct pack *p, const struct pack_item *item, uint64_t size,
                          struct digest *ret)
{
    uint64_t at = item->at;
    enum rc rc = RC_OK;

    while (rc == RC_OK && size > 0) {
        size_t n = size < READ_SIZE ? (size_t)size : READ_SIZE;

        rc = fs_pread_exact(p->dirfd, p->buf, n, at, p->err);
        if (rc == RC_OK)
            rc = sha256_add(p->file_sha, (struct bytes){ .p = p->buf, .n = n }, p->err);
        if (rc == RC_OK && archive_write_data(p->archive, p->buf, n) != (la_ssize_t)n)
            rc = archive_failed(p, item->path);
        at += n;
        size -= n;
    }
    return rc == RC_OK ? sha256_end(p->file_sha, ret->b, p->err) : rc;
}

static enum rc pack_one(struct pack *p, const struct pack_item *from)
{
    struct policy_entry claim = { .path = bytes_of(from->path),
                                  .target = bytes_of(from->target),
                                  .mode = from->mode };
    struct policy_item item;
    struct digest content = { 0 };
    uint64_t size = 0;
    enum rc rc = begin_entry(p, &claim, from->size, &item, &size);

    if (rc == RC_OK && item.type == S_IFREG)
        rc = pack_range(p, from, size, &content);
    return rc == RC_OK ? index_add(p->index, &item, size, &content, p->err) : rc;
}

static void pack_done(struct pack **p)
{
    if (!*p)
        return;
    if ((*p)->archive)
        (void)archive_write_free((*p)->archive);
    if ((*p)->sha)
        sha256_free(&(*p)->sha);
    if ((*p)->sha384)
        sha384_free(&(*p)->sha384);
    if ((*p)->file_sha)
        sha256_free(&(*p)->file_sha);
    index_free(&(*p)->index);
    free(*p);
}

/* What is packed: paths below p->dirfd, or a list. */
struct source {
    const struct paths *paths;
    const struct pack_item *items;
    size_t n;
};

static enum rc pack_all(struct pack *p, const struct source *source, unsigned level)
{
    enum rc rc = open_archive(p, level);

    for (size_t i = 0; rc == RC_OK && i < source->n; i++)
        rc = source->paths ? pack_path(p, source->paths->path[i]) : pack_one(p, &source->items[i]);
    if (rc == RC_OK && archive_write_close(p->archive) != ARCHIVE_OK)
        rc = archive_failed(p, "archive");
    if (rc == RC_OK)
        rc = sha256_end(p->sha, p->packed.content.b, p->err);
    if (rc == RC_OK)
        rc = sha384_end(p->sha384, p->packed.content384.b, p->err);
    if (rc == RC_OK)
        rc = index_end(p->index, -1, &p->packed.index, &p->packed.index384, p->err);
    if (rc == RC_OK)
        rc = policy_check_sizes(p->packed.content_bytes, p->packed.unpacked_bytes, p->packed.files,
                                p->err);
    return rc;
}

static enum rc pack_source(int fd, const struct source *source, unsigned level, int out_fd,
                           struct packed *ret, struct err *err)
{
    scoped(pack_done) struct pack *p = calloc(1, sizeof *p);

    assert(level >= 1 && level <= PACK_LEVEL);
    if (!p)
        return err_set(err, RC_NO_MEMORY, "pack");
    p->dirfd = fd;
    p->out_fd = out_fd;
    p->err = err;
    p->archive = archive_write_new();

    enum rc rc = p->archive ? sha256_new(&p->sha, err) : err_set(err, RC_NO_MEMORY, "pack");

    if (rc == RC_OK)
        rc = sha384_new(&p->sha384, err);
    if (rc == RC_OK)
        rc = sha256_new(&p->file_sha, err);
    if (rc == RC_OK)
        rc = index_new(&p->index, err);
    if (rc != RC_OK)
        return rc;

    /* names are bytes to us: libarchive must not translate them from the caller's locale */
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);

    if (plain == (locale_t)0)
        return err_set(err, RC_NO_MEMORY, "locale");

    locale_t before = uselocale(plain);

    rc = pack_all(p, source, level);
    (void)uselocale(before);
    freelocale(plain);
    if (rc == RC_OK)
        *ret = p->packed;
    return rc;
}

enum rc pack_tree(int dirfd, const char *entry, unsigned level, int out_fd, struct packed *ret,
                  struct err *err)
{
    scoped(paths_done) struct paths paths = { .err = err };
    enum rc rc = policy_check_entry_point(dirfd, entry, err);

    if (rc == RC_OK)
        rc = find_paths(dirfd, &paths);
    if (rc != RC_OK)
        return rc;

    struct source source = { .paths = &paths, .n = paths.n };

    return pack_source(dirfd, &source, level, out_fd, ret, err);
}

enum rc pack_list(const struct pack_item *items, size_t n, int data_fd, unsigned level, int out_fd,
                  struct packed *ret, struct err *err)
{
    struct source source = { .items = items, .n = n };

    return pack_source(data_fd, &source, level, out_fd, ret, err);
}

void pack_fill(const struct packed *packed, struct manifest *manifest)
{
    manifest->content = packed->content;
    manifest->content384 = packed->content384; /* always: who will sign is not known yet */
    manifest->content_bytes = packed->content_bytes;
    manifest->unpacked_bytes = packed->unpacked_bytes;
    manifest->files = packed->files;
    manifest->index = packed->index;
    manifest->index384 = packed->index384;
}

/* ---- the package file -------------------------------------------------------------------------
 */

static enum rc copy_range(int from, uint64_t at, uint64_t n, int to, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(READ_SIZE);
    enum rc rc = buf ? RC_OK : err_set(err, RC_NO_MEMORY, "buffer");

    while (rc == RC_OK && n > 0) {
        size_t piece = n < READ_SIZE ? (size_t)n : READ_SIZE;

        rc = fs_pread_exact(from, buf, piece, at, err);
        if (rc == RC_OK)
            rc = fs_write_all(to, (struct bytes){ .p = buf, .n = piece }, err);
        at += piece;
        n -= piece;
    }
    return rc;
}

/* What a package file is made of: content_bytes of content_fd from content_at. */
struct parts {
    enum package_kind kind;
    struct bytes envelope;
    int content_fd;
    uint64_t content_at;
    uint64_t content_bytes;
};

static enum rc assemble(const struct parts *p, int out_fd, struct err *err)
{
    uint8_t head[PACKAGE_HEAD_SIZE];

    if (p->envelope.n == 0 || p->envelope.n > DOCUMENT_MAX)
        return err_set(err, RC_TOO_LARGE, "envelope of %zu bytes", p->envelope.n);
    if (p->content_bytes == 0 || p->content_bytes > PACKAGE_MAX)
        return err_set(err, RC_PACKAGE_SIZE, "content of %llu bytes",
                       (unsigned long long)p->content_bytes);
    package_head(p->kind, p->envelope.n, head);

    enum rc rc = fs_write_all(out_fd, (struct bytes){ .p = head, .n = sizeof head }, err);

    if (rc == RC_OK)
        rc = fs_write_all(out_fd, p->envelope, err);
    if (rc == RC_OK)
        rc = copy_range(p->content_fd, p->content_at, p->content_bytes, out_fd, err);
    return rc;
}

enum rc pack_assemble(struct bytes envelope, int content_fd, uint64_t content_at,
                      uint64_t content_bytes, int out_fd, struct err *err)
{
    const struct parts parts = { PACKAGE_FULL, envelope, content_fd, content_at, content_bytes };

    return assemble(&parts, out_fd, err);
}

enum rc pack_assemble_delta(struct bytes envelope, int delta_fd, uint64_t delta_bytes, int out_fd,
                            struct err *err)
{
    const struct parts parts = { PACKAGE_DELTA, envelope, delta_fd, 0, delta_bytes };

    return assemble(&parts, out_fd, err);
}

enum rc pack_attach(int package_fd, struct bytes envelope, int out_fd, struct err *err)
{
    scoped(package_done) struct package package = { 0 };
    enum rc rc = package_open(package_fd, &package, err);

    if (rc == RC_OK)
        rc = pack_assemble(envelope, package_fd, package.content_at, package.content_bytes, out_fd,
                           err);
    return rc;
}
