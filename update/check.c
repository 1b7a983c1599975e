/* SPDX-License-Identifier: Apache-2.0 */
#include "update/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "update/index.h"
#include "update/package.h"

#define READ_SIZE (128U * 1024U)

/* One checking. */
struct checking {
    int root;
    struct sha256 *sha;
    uint8_t *buf; /* of READ_SIZE */
    struct err *err;
};

static void checking_done(struct checking *c)
{
    if (c->sha)
        sha256_free(&c->sha);
    free(c->buf);
}

static enum rc differs(const struct checking *c, const struct index_entry *e, const char *why)
{
    return err_set(c->err, RC_SLOT_DAMAGED, "%s: %.64s", why, e->item.path);
}

/* The file's bytes as they lie on the medium, as far as the kernel lets us ask for that. */
static enum rc check_bytes(struct checking *c, const struct index_entry *e, int fd)
{
    struct digest found;
    uint64_t done = 0;
    ssize_t n = 1;
    enum rc rc = RC_OK;

    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (rc == RC_OK && (n = read(fd, c->buf, READ_SIZE)) > 0) {
        done += (uint64_t)n;
        rc = sha256_add(c->sha, (struct bytes){ .p = c->buf, .n = (size_t)n }, c->err);
    }
    if (rc == RC_OK)
        rc = sha256_end(c->sha, found.b, c->err);
    if (rc != RC_OK)
        return rc;
    if (n < 0)
        return differs(c, e, "unreadable");
    if (done != e->size || memcmp(&found, &e->content, sizeof found) != 0)
        return differs(c, e, "content");
    return RC_OK;
}

static enum rc check_link(const struct checking *c, const struct index_entry *e, int fd)
{
    char target[PACKAGE_PATH_MAX + 1];
    ssize_t n = readlinkat(fd, "", target, sizeof target);

    if (n < 0 || (size_t)n != strlen(e->item.target) ||
        memcmp(target, e->item.target, (size_t)n) != 0)
        return differs(c, e, "link");
    return RC_OK;
}

static enum rc check_entry(struct checking *c, const struct index_entry *e)
{
    scoped(close_fd) int fd = -1;
    struct err why = { 0 };
    struct stat st;
    bool file = e->item.type == S_IFREG;
    int flags = file ? O_RDONLY | O_NONBLOCK | O_NOCTTY : O_PATH;

    enum rc rc = fs_open(c->root, e->item.path, flags | O_NOFOLLOW, 0, &fd, &why);

    if (rc != RC_OK && (why.sys == ENOMEM || why.sys == ENFILE || why.sys == EMFILE))
        return err_set(c->err, RC_NO_MEMORY, "open %.64s", e->item.path); /* not the slot's fault */
    if (rc != RC_OK || fstat(fd, &st) != 0)
        return differs(c, e, "missing");
    if (st.st_mode != (e->item.type | e->item.mode))
        return differs(c, e, "type or mode");
    if (file)
        return check_bytes(c, e, fd);
    return e->item.type == S_IFLNK ? check_link(c, e, fd) : RC_OK;
}

/* The index, if it is still the one that the manifest names. */
static enum rc read_index(int fd, const struct unpack_spec *spec, uint8_t **ret, size_t *ret_n,
                          struct err *err)
{
    struct digest found;
    struct digest384 found384;
    struct stat st;

    if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > INDEX_MAX)
        return err_set(err, RC_SLOT_DAMAGED, "index");
    *ret_n = (size_t)st.st_size;
    *ret = malloc(*ret_n);
    if (!*ret)
        return err_set(err, RC_NO_MEMORY, "index");
    if (fs_pread_exact(fd, *ret, *ret_n, 0, err) != RC_OK)
        return err_set(err, RC_SLOT_DAMAGED, "index");

    struct bytes bytes = { .p = *ret, .n = *ret_n };
    enum rc rc = sha256_of(bytes, found.b, err);
    if (rc == RC_OK)
        rc = sha384_of(bytes, found384.b, err);
    if (rc == RC_OK && (memcmp(&found, &spec->index, sizeof found) != 0 ||
                        (!digest384_is_none(&spec->index384) &&
                         memcmp(&found384, &spec->index384, sizeof found384) != 0)))
        rc = err_set(err, RC_SLOT_DAMAGED, "index");
    return rc;
}

enum rc check_tree(int index_fd, const struct unpack_spec *spec, int root_fd, struct err *err)
{
    scoped(checking_done) struct checking c = { .root = root_fd, .err = err };
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct index_entry entry;
    uint64_t listed = 0, there = 0;
    size_t n = 0;
    enum rc rc = read_index(index_fd, spec, &bytes, &n, err);

    if (rc == RC_OK)
        rc = sha256_new(&c.sha, err);
    c.buf = malloc(READ_SIZE);
    if (rc == RC_OK && !c.buf)
        rc = err_set(err, RC_NO_MEMORY, "buffer");
    if (rc != RC_OK)
        return rc;

    struct index_in in = index_read((struct bytes){ .p = bytes, .n = n });
    while (rc == RC_OK && index_next(&in, &entry)) {
        listed += entry.item.type != S_IFDIR;
        rc = check_entry(&c, &entry);
    }
    if (rc == RC_OK && index_done(&in, err) != RC_OK)
        rc = err_set(err, RC_SLOT_DAMAGED, "index");
    if (rc == RC_OK)
        rc = fs_tree_usage(root_fd, ".", NULL, &there, err);
    if (rc == RC_OK && there != listed)
        rc = err_set(err, RC_SLOT_DAMAGED, "%llu files, %llu in the index",
                     (unsigned long long)there, (unsigned long long)listed);
    return rc;
}

enum rc check_object(int fd, const struct unpack_spec *spec, struct err *err)
{
    struct digest found;

    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    enum rc rc = package_digest(fd, 0, spec->content_bytes, found.b, err);
    if (rc == RC_IO || rc == RC_SHORT ||
        (rc == RC_OK && memcmp(&found, &spec->content, sizeof found) != 0))
        rc = err_set(err, RC_OBJECT_DIGEST, "%s", rc == RC_OK ? "content" : "unreadable");
    return rc;
}
