/* SPDX-License-Identifier: Apache-2.0 */
#include "update/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "update/package.h"

#define TOP "sha256"
#define PARTIAL "partial"
#define HEX_SIZE (2U * DIGEST_SIZE)
#define PATH_CAP (sizeof TOP + 1U + HEX_SIZE + 1U)
#define FAN_DIRS 256U
#define OBJECT_MAX (PACKAGE_MAX + 2ULL * DOCUMENT_MAX) /* a package is the largest there is */

/* "sha256/ab/cdef...". */
static void path_of(const struct digest *digest, char out[PATH_CAP])
{
    char hex[HEX_SIZE + 1];

    (void)bytes_hex((struct bytes){ .p = digest->b, .n = sizeof digest->b }, hex);
    (void)snprintf(out, PATH_CAP, TOP "/%.2s/%s", hex, hex + 2);
}

static bool remove_partial(void *arg, const char *name)
{
    const int *dir = arg;

    return unlinkat(*dir, name, 0) == 0;
}

static enum rc clean_partial(int dir, struct err *err)
{
    scoped(close_fd) int partial = -1;
    enum rc rc = fs_open_dir(dir, PARTIAL, 0700, &partial, err);

    return rc == RC_OK
               ? fs_list(partial, ".", PACKAGE_FILES_MAX, remove_partial, &partial, NULL, err)
               : rc;
}

enum rc objects_open(int dirfd, uint64_t bytes_max, uint32_t count_max, struct objects *ret,
                     struct err *err)
{
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int top = -1;

    if (bytes_max == 0 || count_max == 0)
        return err_set(err, RC_VALUE, "store limit");

    enum rc rc = fs_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, &dir, err);

    if (rc == RC_OK)
        rc = fs_open_dir(dir, TOP, 0700, &top, err);
    if (rc == RC_OK)
        rc = clean_partial(dir, err);
    if (rc == RC_OK)
        rc = fs_sync(dir, "objects", err);
    if (rc != RC_OK)
        return rc;
    *ret = (struct objects){ .dir = take_fd(&dir), .bytes_max = bytes_max, .count_max = count_max };
    return RC_OK;
}

void objects_done(struct objects *store)
{
    close_fd(&store->dir);
}

/* ---- in ---------------------------------------------------------------------------------------
 */

static bool is_zero(const struct digest *digest)
{
    static const struct digest zero;

    return memcmp(digest, &zero, sizeof zero) == 0;
}

static enum rc check_room(const struct objects *store, uint64_t size, struct err *err)
{
    uint64_t bytes = 0;
    uint32_t count = 0;
    enum rc rc = objects_usage(store, &bytes, &count, err);

    if (rc != RC_OK)
        return rc;
    if (size > OBJECT_MAX)
        return err_set(err, RC_TOO_LARGE, "object");
    if (count >= store->count_max || bytes > store->bytes_max || size > store->bytes_max - bytes)
        return err_set(err, RC_STORE_QUOTA, "%u objects, %llu bytes", count,
                       (unsigned long long)bytes);
    return RC_OK;
}

/* Copy to a file of our own, check what was copied, and only then give it its name. */
static enum rc copy_in(const struct objects *store, const struct digest *digest, int fd,
                       uint64_t size, const char *tmp, struct err *err)
{
    scoped(close_fd) int out = -1;
    struct digest found;
    enum rc rc = fs_open(store->dir, tmp, O_RDWR | O_CREAT | O_EXCL, 0600, &out, err);

    if (rc == RC_OK)
        rc = fs_copy_digest(fd, out, size, found.b, err);
    if (rc == RC_OK && memcmp(&found, digest, sizeof found) != 0)
        rc = err_set(err, RC_OBJECT_DIGEST, "object");
    if (rc == RC_OK && fchmod(out, 0400) != 0)
        rc = err_sys(err, RC_IO, "object");
    return rc == RC_OK ? fs_sync(out, "object", err) : rc;
}

static enum rc make_fan_dir(const struct objects *store, const char *path, struct err *err)
{
    char part[sizeof TOP + 3];
    scoped(close_fd) int fan = -1;
    scoped(close_fd) int top = -1;

    (void)snprintf(part, sizeof part, "%.*s", (int)sizeof part - 1, path);

    enum rc rc = fs_open_dir(store->dir, part, 0700, &fan, err);

    if (rc == RC_OK)
        rc = fs_open(store->dir, TOP, O_RDONLY | O_DIRECTORY, 0, &top, err);
    return rc == RC_OK ? fs_sync(top, TOP, err) : rc;
}

enum rc objects_put(struct objects *store, const struct digest *digest, int fd, uint64_t size,
                    struct err *err)
{
    char path[PATH_CAP];
    char tmp[sizeof PARTIAL + HEX_SIZE + 2];
    scoped(close_fd) int there = -1;
    uint64_t there_size = 0;

    if (is_zero(digest))
        return err_set(err, RC_DIGEST_MISSING, "object");
    /* a damaged one is removed by this and then written anew */
    if (objects_get(store, digest, &there, &there_size, err) == RC_OK)
        return RC_OK;

    enum rc rc = check_room(store, size, err);

    if (rc != RC_OK)
        return rc;
    path_of(digest, path);
    (void)snprintf(tmp, sizeof tmp, PARTIAL "/%s", path + sizeof TOP + 3);
    (void)unlinkat(store->dir, tmp, 0);
    rc = copy_in(store, digest, fd, size, tmp, err);
    if (rc == RC_OK)
        rc = make_fan_dir(store, path, err);
    if (rc == RC_OK)
        rc = fs_rename(store->dir, tmp, store->dir, path, false, err);
    if (rc != RC_OK)
        (void)unlinkat(store->dir, tmp, 0);
    return rc;
}

/* ---- out --------------------------------------------------------------------------------------
 */

/* Read it all and compare with its name.  RC_TOO_LARGE and the like mean that it is not ours. */
static enum rc check_object(int fd, uint64_t size, const struct digest *digest, struct err *err)
{
    struct digest found;
    enum rc rc = package_digest(fd, 0, size, found.b, err);

    if (rc == RC_OK && memcmp(&found, digest, sizeof found) != 0)
        rc = err_set(err, RC_OBJECT_DIGEST, "stored object is damaged");
    return rc;
}

enum rc objects_get(struct objects *store, const struct digest *digest, int *ret_fd,
                    uint64_t *ret_size, struct err *err)
{
    scoped(close_fd) int fd = -1;
    char path[PATH_CAP];
    uint64_t size = 0;

    path_of(digest, path);

    enum rc rc = fs_open_plain(store->dir, path, OBJECT_MAX, &fd, &size, err);

    if (rc == RC_OK)
        rc = check_object(fd, size, digest, err);
    if (rc == RC_OBJECT_DIGEST || rc == RC_NOT_REGULAR || rc == RC_TOO_LARGE) {
        struct err ignored;

        (void)!objects_remove(store, digest, &ignored);
        return rc;
    }
    if (rc != RC_OK)
        return rc;
    *ret_fd = take_fd(&fd);
    *ret_size = size;
    return RC_OK;
}

bool objects_has(const struct objects *store, const struct digest *digest)
{
    char path[PATH_CAP];
    struct stat st;

    path_of(digest, path);
    return fstatat(store->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

enum rc objects_remove(struct objects *store, const struct digest *digest, struct err *err)
{
    char path[PATH_CAP];

    path_of(digest, path);
    return fs_unlink(store->dir, path, err);
}

/* ---- all of them ------------------------------------------------------------------------------
 */

/* A walk over the fan directories. */
struct listing {
    const struct objects *store;
    bool (*fn)(void *arg, const struct digest *digest, uint64_t size);
    void *arg;
    char fan[3];
    struct err *err;
    enum rc rc;
    bool stop;
};

static bool list_object(void *arg, const char *name)
{
    struct listing *l = arg;
    char hex[HEX_SIZE + 1];
    char path[PATH_CAP];
    struct digest digest;
    struct stat st;

    if (strlen(name) != HEX_SIZE - 2)
        return true;
    (void)snprintf(hex, sizeof hex, "%s%s", l->fan, name);
    if (!bytes_unhex(hex, digest.b, sizeof digest.b))
        return true;
    path_of(&digest, path);
    if (fstatat(l->store->dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
        l->stop = !l->fn(l->arg, &digest, (uint64_t)st.st_size);
    return !l->stop;
}

static bool list_fan(void *arg, const char *name)
{
    struct listing *l = arg;
    char path[sizeof TOP + 3];

    if (strlen(name) != 2)
        return true;
    memcpy(l->fan, name, sizeof l->fan);
    (void)snprintf(path, sizeof path, TOP "/%s", l->fan);

    enum rc rc = fs_list(l->store->dir, path, l->store->count_max, list_object, l, NULL, l->err);

    if (rc != RC_OK && rc != RC_NOT_FOUND)
        l->rc = rc;
    return l->rc == RC_OK && !l->stop;
}

enum rc objects_list(const struct objects *store,
                     bool (*fn)(void *arg, const struct digest *digest, uint64_t size), void *arg,
                     struct err *err)
{
    struct listing l = { .store = store, .fn = fn, .arg = arg, .err = err };
    enum rc rc = fs_list(store->dir, TOP, FAN_DIRS, list_fan, &l, NULL, err);

    return rc != RC_OK ? rc : l.rc;
}

/* Sums. */
struct usage {
    uint64_t bytes;
    uint32_t count;
};

static bool add_up(void *arg, const struct digest *digest, uint64_t size)
{
    struct usage *usage = arg;

    (void)digest;
    usage->bytes += size;
    usage->count++;
    return true;
}

enum rc objects_usage(const struct objects *store, uint64_t *ret_bytes, uint32_t *ret_count,
                      struct err *err)
{
    struct usage usage = { 0 };
    enum rc rc = objects_list(store, add_up, &usage, err);

    if (rc != RC_OK)
        return rc;
    *ret_bytes = usage.bytes;
    *ret_count = usage.count;
    return RC_OK;
}
