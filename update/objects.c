/* SPDX-License-Identifier: Apache-2.0 */
#include "update/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
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

/* One that cannot be removed is no reason to leave the others. */
static bool remove_partial(void *arg, const char *name)
{
    const int *dir = arg;

    (void)unlinkat(*dir, name, 0);
    return true;
}

static bool any_name(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return true;
}

static enum rc clean_partial(int dir, struct err *err)
{
    scoped(close_fd) int partial = -1;
    enum rc rc = fs_open_dir(dir, PARTIAL, 0700, &partial, err);

    return rc == RC_OK
               ? fs_list(partial, ".", PACKAGE_FILES_MAX, remove_partial, &partial, NULL, err)
               : rc;
}

static enum rc open_store(int dirfd, bool only_read, struct objects *ret, struct err *err)
{
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int top = -1;

    if (ret->bytes_max == 0 || ret->count_max == 0)
        return err_set(err, RC_VALUE, "store limit");

    enum rc rc = fs_open(dirfd, ".", O_RDONLY | O_DIRECTORY, 0, &dir, err);

    if (rc == RC_OK)
        rc = fs_open_dir(dir, TOP, 0700, &top, err);
    if (rc != RC_OK)
        return rc;
    rc = clean_partial(dir, err);
    if (rc == RC_OK) /* without that nothing could be put, or found */
        rc = fs_list(top, ".", FAN_DIRS, any_name, NULL, NULL, err);
    if (rc == RC_OK)
        rc = fs_sync(dir, "objects", err);
    if (rc != RC_OK && !only_read)
        return rc;
    ret->dir = take_fd(&dir);
    ret->only_read = rc != RC_OK;
    return RC_OK;
}

enum rc objects_open(int dirfd, uint64_t bytes_max, uint32_t count_max, struct objects *ret,
                     struct err *err)
{
    struct objects store = { .dir = -1, .bytes_max = bytes_max, .count_max = count_max };
    enum rc rc = open_store(dirfd, false, &store, err);

    if (rc == RC_OK)
        *ret = store;
    return rc;
}

enum rc objects_open_read(int dirfd, uint64_t bytes_max, uint32_t count_max, struct objects *ret,
                          struct err *err)
{
    struct objects store = { .dir = -1, .bytes_max = bytes_max, .count_max = count_max };
    enum rc rc = open_store(dirfd, true, &store, err);

    if (rc == RC_OK)
        *ret = store;
    return rc;
}

void objects_done(struct objects *store)
{
    close_fd(&store->dir);
}

/* ---- in ---------------------------------------------------------------------------------------
 */

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

/* The one that is there may have got its name from a put that could not sync the name. */
static enum rc sync_fan_dir(const struct objects *store, const char *path, struct err *err)
{
    char part[sizeof TOP + 3];
    scoped(close_fd) int fan = -1;

    (void)snprintf(part, sizeof part, "%.*s", (int)sizeof part - 1, path);

    enum rc rc = fs_open(store->dir, part, O_RDONLY | O_DIRECTORY, 0, &fan, err);

    return rc == RC_OK ? fs_sync(fan, part, err) : rc;
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

/* "partial/cdef...", of an object at "sha256/ab/cdef...". */
#define TMP_CAP (sizeof PARTIAL + HEX_SIZE + 2)

static void tmp_of(const struct digest *digest, char out[TMP_CAP])
{
    char path[PATH_CAP];

    path_of(digest, path);
    (void)snprintf(out, TMP_CAP, PARTIAL "/%s", path + sizeof TOP + 3);
}

static void intake_done(struct objects_intake *t)
{
    close_fd(&t->there);
    close_fd(&t->out);
    if (t->sha)
        sha256_free(&t->sha);
}

void objects_put_abandon(struct objects *store, struct objects_intake *t)
{
    char tmp[TMP_CAP];

    if (t->out >= 0) {
        tmp_of(&t->digest, tmp);
        (void)unlinkat(store->dir, tmp, 0);
    }
    intake_done(t);
}

/* Begin with the copy, in a file of our own. */
static enum rc begin_copy(const struct objects *store, struct objects_intake *t, struct err *err)
{
    char tmp[TMP_CAP];
    enum rc rc = check_room(store, t->size, err);

    if (rc != RC_OK)
        return rc;
    tmp_of(&t->digest, tmp);
    (void)unlinkat(store->dir, tmp, 0);
    t->at = 0;
    rc = sha256_new(&t->sha, err);
    return rc == RC_OK ? fs_open(store->dir, tmp, O_RDWR | O_CREAT | O_EXCL, 0600, &t->out, err)
                       : rc;
}

enum rc objects_put_begin(struct objects *store, const struct digest *digest, int fd, uint64_t size,
                          struct objects_intake *ret, struct err *err)
{
    struct objects_intake t = { .digest = *digest, .in = fd, .there = -1, .out = -1, .size = size };
    uint64_t there_size = 0;
    enum rc rc = RC_OK;

    if (digest_is_none(digest))
        return err_set(err, RC_DIGEST_MISSING, "object");
    if (store->dir < 0 || store->only_read)
        return err_set(err, RC_STATE_DIR, "objects");
    if (objects_has(store, digest) &&
        objects_open_unread(store, digest, &t.there, &there_size, err) == RC_OK &&
        there_size == size)
        rc = sha256_new(&t.sha, err);
    else
        close_fd(&t.there);
    if (rc == RC_OK && t.there < 0)
        rc = begin_copy(store, &t, err);
    if (rc != RC_OK) {
        objects_put_abandon(store, &t);
        return rc;
    }
    *ret = t;
    return RC_OK;
}

/* The next piece of a file, and into the copy if there is one. */
static enum rc take_piece(struct objects_intake *t, int from, struct err *err)
{
    static uint8_t buf[OBJECTS_STEP_BYTES]; /* one thread */
    const uint64_t left = t->size - t->at;
    struct bytes part = { .p = buf, .n = left < sizeof buf ? (size_t)left : sizeof buf };
    enum rc rc = fs_pread_exact(from, buf, part.n, t->at, err);

    if (rc == RC_OK)
        rc = sha256_add(t->sha, part, err);
    if (rc == RC_OK && t->out >= 0)
        rc = fs_write_all(t->out, part, err);
    t->at += part.n;
    /* Or all of it would have to reach a slow medium at the end, in one go. */
    if (rc == RC_OK && t->out >= 0 && t->at < t->size && fdatasync(t->out) != 0)
        rc = err_sys(err, RC_IO, "object");
    return rc;
}

/* All of it has been hashed. */
static bool is_right(struct objects_intake *t, struct err *err)
{
    struct digest found;

    return sha256_end(t->sha, found.b, err) == RC_OK && digest_same(&found, &t->digest);
}

/* The one that is there is damaged: it is written anew. */
static enum rc replace_it(struct objects *store, struct objects_intake *t, struct err *err)
{
    close_fd(&t->there);
    sha256_free(&t->sha);
    enum rc rc = objects_remove(store, &t->digest, err);
    if (rc == RC_OK)
        rc = begin_copy(store, t, err);
    return rc == RC_OK ? RC_BUSY : rc;
}

static enum rc step_there(struct objects *store, struct objects_intake *t, struct err *err)
{
    char path[PATH_CAP];
    struct err ignored;

    if (t->at < t->size && take_piece(t, t->there, &ignored) != RC_OK)
        return replace_it(store, t, err);
    if (t->at < t->size)
        return RC_BUSY;
    if (!is_right(t, &ignored))
        return replace_it(store, t, err);
    path_of(&t->digest, path);
    return sync_fan_dir(store, path, err);
}

/* The copy is whole: only now it gets its name. */
static enum rc end_copy(struct objects *store, struct objects_intake *t, struct err *err)
{
    char path[PATH_CAP], tmp[TMP_CAP];
    uint8_t extra;
    enum rc rc = RC_OK;
    ssize_t more = pread(t->in, &extra, 1, (off_t)t->size);

    if (more != 0)
        return more < 0 ? err_sys(err, RC_IO, "read") : err_at(err, RC_TRAILING, t->size, "file");
    if (!is_right(t, err))
        rc = err_set(err, RC_OBJECT_DIGEST, "object");
    if (rc == RC_OK && fchmod(t->out, 0400) != 0)
        rc = err_sys(err, RC_IO, "object");
    if (rc == RC_OK)
        rc = fs_sync(t->out, "object", err);
    path_of(&t->digest, path);
    tmp_of(&t->digest, tmp);
    if (rc == RC_OK)
        rc = make_fan_dir(store, path, err);
    return rc == RC_OK ? fs_rename(store->dir, tmp, store->dir, path, false, err) : rc;
}

static enum rc step_copy(struct objects *store, struct objects_intake *t, struct err *err)
{
    enum rc rc = t->at < t->size ? take_piece(t, t->in, err) : RC_OK;

    if (rc != RC_OK || t->at < t->size)
        return rc == RC_OK ? RC_BUSY : rc;
    return end_copy(store, t, err);
}

enum rc objects_put_step(struct objects *store, struct objects_intake *t, struct err *err)
{
    enum rc rc = t->there >= 0 ? step_there(store, t, err) : step_copy(store, t, err);

    if (rc == RC_OK)
        intake_done(t);
    else if (rc != RC_BUSY)
        objects_put_abandon(store, t);
    return rc;
}

enum rc objects_put(struct objects *store, const struct digest *digest, int fd, uint64_t size,
                    struct err *err)
{
    struct objects_intake t = { .there = -1, .out = -1 };
    enum rc rc = objects_put_begin(store, digest, fd, size, &t, err);

    if (rc == RC_OK)
        do
            rc = objects_put_step(store, &t, err);
        while (rc == RC_BUSY);
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

enum rc objects_peek(const struct objects *store, const struct digest *digest, int *ret_fd,
                     struct err *err)
{
    char path[PATH_CAP];
    uint64_t size = 0;

    path_of(digest, path);
    return fs_open_plain(store->dir, path, OBJECT_MAX, ret_fd, &size, err);
}

enum rc objects_open_unread(const struct objects *store, const struct digest *digest, int *ret_fd,
                            uint64_t *ret_size, struct err *err)
{
    char path[PATH_CAP];

    path_of(digest, path);
    return fs_open_plain(store->dir, path, OBJECT_MAX, ret_fd, ret_size, err);
}

static enum rc look_at(const struct objects *store, const struct digest *digest, struct stat *ret,
                       struct err *err)
{
    char path[PATH_CAP];

    path_of(digest, path);
    if (fstatat(store->dir, path, ret, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(ret->st_mode))
        return err_set(err, RC_NOT_FOUND, "object");
    return RC_OK;
}

enum rc objects_size(const struct objects *store, const struct digest *digest, uint64_t *ret,
                     struct err *err)
{
    struct stat st;
    enum rc rc = look_at(store, digest, &st, err);

    if (rc == RC_OK)
        *ret = (uint64_t)st.st_size;
    return rc;
}

bool objects_is(const struct objects *store, const struct digest *digest, int fd)
{
    struct stat is, was;
    struct err ignored;

    return look_at(store, digest, &is, &ignored) == RC_OK && fstat(fd, &was) == 0 &&
           is.st_dev == was.st_dev && is.st_ino == was.st_ino;
}

enum rc objects_since(const struct objects *store, const struct digest *digest, uint64_t *ret_ms,
                      struct err *err)
{
    struct stat st;
    enum rc rc = look_at(store, digest, &st, err);

    if (rc == RC_OK)
        *ret_ms = st.st_mtim.tv_sec < 0 ? 0
                                        : (uint64_t)st.st_mtim.tv_sec * 1000U +
                                              (uint64_t)st.st_mtim.tv_nsec / 1000000U;
    return rc;
}

bool objects_has(const struct objects *store, const struct digest *digest)
{
    struct err ignored;
    uint64_t size = 0;

    return objects_size(store, digest, &size, &ignored) == RC_OK;
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
    enum rc rc; /* of the first that could not be read */
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
    struct err why = { 0 };

    if (strlen(name) != 2)
        return true;
    memcpy(l->fan, name, sizeof l->fan);
    (void)snprintf(path, sizeof path, TOP "/%s", l->fan);

    enum rc rc = fs_list(l->store->dir, path, l->store->count_max, list_object, l, NULL, &why);

    if (rc == RC_OK || rc == RC_NOT_FOUND)
        return !l->stop;
    if (!err_passes(&why)) /* that there was no descriptor says nothing of it */
        rc = why.rc = RC_STATE_DIR;
    if (l->rc == RC_OK || (l->rc == RC_STATE_DIR && rc != RC_STATE_DIR)) {
        l->rc = rc;
        if (l->err)
            *l->err = why;
    }
    return !l->stop;
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
    struct err why = { 0 };
    enum rc rc = objects_list(store, add_up, &usage, &why);

    if (rc != RC_OK && rc != RC_STATE_DIR) {
        *err = why;
        return rc;
    }
    *ret_bytes = usage.bytes;
    *ret_count = usage.count;
    return RC_OK;
}
