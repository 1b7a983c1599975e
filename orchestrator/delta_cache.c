/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/delta_cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/delta_make.h"
#include "orchestrator/ride.h"
#include "update/package.h"

#define FOLDER "deltas"
#define LOCK "lock"
#define MAKING "making" /* which pair, as two digests one behind the other */
#define OLD_TREE "old"
#define NEW_TREE "new"
#define DRAFT "draft"
#define KEPT "kept" /* the object that the draft becomes, until the store knows of it */

void delta_cache_close(struct delta_cache *cache)
{
    close_fd(&cache->lock_fd);
    close_fd(&cache->dirfd);
    cache->program = -1;
}

static void object_path(const struct digest *object, char ret[HOME_OBJECT_CAP])
{
    char hex[2 * DIGEST_SIZE + 1];

    (void)snprintf(ret, HOME_OBJECT_CAP, "objects/%s",
                   bytes_hex((struct bytes){ object->b, DIGEST_SIZE }, hex));
}

/* Two pairs may share one object. */
static bool is_shared(const struct store_delta *rows, size_t n, const struct digest *object)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].state == DELTA_READY && digest_same(&rows[i].object, object))
            return true;
    return false;
}

/* An object that a maker kept which was killed before it told the store. */
static enum rc sweep_kept(const struct delta_cache *cache, struct err *err)
{
    scoped(free_ptr) struct store_delta *rows = NULL;
    struct digest object;
    char path[HOME_OBJECT_CAP];
    size_t n = 0, n_rows = 0;
    bool queued = false;
    enum rc rc = fs_read_file(cache->dirfd, KEPT, object.b, sizeof object.b, &n, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK && n == sizeof object.b) {
        rc = store_deltas(cache->home->store, &rows, &n_rows, err);
        if (rc == RC_OK)
            rc = store_is_queued(cache->home->store, &object, &queued, err);
        object_path(&object, path);
        if (rc == RC_OK && !queued && !is_shared(rows, n_rows, &object))
            rc = fs_unlink(cache->home->dirfd, path, err);
    }
    return rc == RC_OK ? fs_unlink(cache->dirfd, KEPT, err) : rc;
}

/* What a maker leaves, also one that was killed.  The marker goes first: nobody is to wait. */
static enum rc sweep(const struct delta_cache *cache, struct err *err)
{
    enum rc rc = fs_sweep(cache->dirfd, ".", err);

    if (rc == RC_OK)
        rc = fs_unlink(cache->dirfd, MAKING, err);
    if (rc == RC_OK)
        rc = sweep_kept(cache, err);
    if (rc == RC_OK)
        rc = fs_unlink(cache->dirfd, DRAFT, err);
    if (rc == RC_OK)
        rc = fs_remove_tree(cache->dirfd, OLD_TREE, err);
    return rc == RC_OK ? fs_remove_tree(cache->dirfd, NEW_TREE, err) : rc;
}

enum rc delta_cache_open(const struct home *home, int program_fd, struct delta_cache *ret,
                         struct err *err)
{
    scoped(delta_cache_close) struct delta_cache cache = DELTA_CACHE_NONE;
    enum rc rc = fs_open_dir(home->dirfd, FOLDER, 0700, &cache.dirfd, err);

    cache.home = home;
    cache.program = program_fd;
    if (rc == RC_OK)
        rc = fs_lock(cache.dirfd, LOCK, &cache.lock_fd, err);
    if (rc == RC_OK)
        rc = sweep(&cache, err);
    if (rc != RC_OK)
        return rc;
    *ret = cache;
    cache = (struct delta_cache)DELTA_CACHE_NONE;
    return RC_OK;
}

/* ---- making -----------------------------------------------------------------------------------
 */

static enum rc mark(const struct delta_cache *cache, const struct delta_pair *pair, struct err *err)
{
    uint8_t both[2 * DIGEST_SIZE];

    memcpy(both, pair->base->manifest.b, DIGEST_SIZE);
    memcpy(both + DIGEST_SIZE, pair->to->manifest.b, DIGEST_SIZE);
    return fs_write_file(cache->dirfd, MAKING, (struct bytes){ both, sizeof both }, 0600, err);
}

static enum rc open_tree(const struct delta_cache *cache, const struct store_package *package,
                         const char *name, struct unpacked *ret, struct err *err)
{
    const struct unpacked_place place = { .dirfd = cache->dirfd, .program = cache->program };
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    enum rc rc = home_open_object(cache->home, &package->object, &fd, &size, err);

    if (rc == RC_OK)
        rc = unpacked_open(fd, &place, name, ret, err);
    if (rc == RC_OK && !digest_same(&ret->digest, &package->manifest))
        rc = err_set(err, RC_DIGEST_MISMATCH, "%s/%s %s", package->tenant, package->name,
                     package->version);
    return rc;
}

/* What came of trying. */
struct attempt {
    struct delta_made made;
    bool began; /* the maker had both trees: it was up to it */
};

static enum rc make_draft(const struct delta_cache *cache, const struct delta_pair *pair,
                          const struct make_progress *progress, struct attempt *ret,
                          struct err *err)
{
    scoped(unpacked_done) struct unpacked old = UNPACKED_NONE;
    scoped(unpacked_done) struct unpacked new = UNPACKED_NONE;
    scoped(close_fd) int out = -1;
    enum rc rc = open_tree(cache, pair->base, OLD_TREE, &old, err);

    if (rc == RC_OK)
        rc = open_tree(cache, pair->to, NEW_TREE, &new, err);
    if (rc == RC_OK && !delta_make_can(&old, &new))
        rc = err_set(err, RC_DELTA_BASE, "a manifest names no index");
    if (rc == RC_OK)
        rc = fs_open(cache->dirfd, DRAFT, O_RDWR | O_CREAT | O_EXCL, 0600, &out, err);
    if (rc == RC_OK)
        rc = delta_make(&old, &new, out, progress, &ret->made, err);
    ret->began = out >= 0;
    return rc == RC_OK ? fs_sync(out, DRAFT, err) : rc;
}

/* From the draft to an object: by its content, so again the same file if it is made again. */
static enum rc keep(const struct delta_cache *cache, uint64_t size, struct store_delta *row,
                    struct err *err)
{
    scoped(close_fd) int fd = -1;
    char path[HOME_OBJECT_CAP];
    enum rc rc = fs_open(cache->dirfd, DRAFT, O_RDONLY, 0, &fd, err);

    if (rc == RC_OK)
        rc = package_digest(fd, 0, size, row->object.b, err);
    if (rc == RC_OK)
        rc = fs_write_file(cache->dirfd, KEPT, (struct bytes){ row->object.b, DIGEST_SIZE }, 0600,
                           err);
    if (rc != RC_OK)
        return rc;
    object_path(&row->object, path);
    row->size = size;
    row->state = DELTA_READY;
    return fs_rename(cache->dirfd, DRAFT, cache->home->dirfd, path, false, err);
}

/* What says that no delta of this pair is to be had, today and tomorrow. */
static bool is_final(enum rc rc)
{
    return rc == RC_TOO_LARGE || rc == RC_DELTA_LIMIT || rc == RC_DELTA_BASE;
}

/* What says so of the maker, and nothing of this machine's disk. */
static bool is_makers(enum rc rc)
{
    return rc != RC_OK && rc != RC_IO && rc != RC_NO_SPACE && rc != RC_CONFINE;
}

/* A failure costs as much as the longest make, and would each time. */
static enum rc remember(const struct delta_cache *cache, const struct store_delta *row, enum rc rc)
{
    const struct store_delta_failed failed = { .base = row->base,
                                               .manifest = row->manifest,
                                               .code = (uint32_t)rc,
                                               .engine = MAKE_ENGINE,
                                               .at_ms = row->made_ms };
    struct err unused;

    (void)!store_put_delta_failed(cache->home->store, &failed,
                                  &unused); /* else it is tried again */
    return rc;
}

/* What the maker said of the pair before, if this one would say the same. */
static enum rc failed_before(const struct delta_cache *cache, const struct delta_pair *pair,
                             struct err *err)
{
    struct store_delta_failed failed;
    enum rc rc = store_delta_failed(cache->home->store, &pair->base->manifest, &pair->to->manifest,
                                    &failed, err);

    if (rc == RC_NOT_FOUND || (rc == RC_OK && (cache->retry || failed.engine != MAKE_ENGINE)))
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    rc = rc_from_number(failed.code);
    return err_set(err, is_makers(rc) ? rc : RC_UNPACK_FAILED,
                   "failed before (--retry makes it again)");
}

static enum rc make_new(const struct delta_cache *cache, const struct delta_pair *pair,
                        const struct make_progress *progress, struct store_delta *row,
                        struct err *err)
{
    struct attempt attempt = { .began = false };
    enum rc rc = mark(cache, pair, err);

    if (rc == RC_OK)
        rc = make_draft(cache, pair, progress, &attempt, err);
    if (is_final(rc) || (rc == RC_OK && !ride_gains(attempt.made.size, pair->to->size))) {
        row->state = DELTA_NO_GAIN;
        return RC_OK;
    }
    if (attempt.began && is_makers(rc))
        return remember(cache, row, rc);
    row->memory = attempt.made.memory;
    return rc == RC_OK ? keep(cache, attempt.made.size, row, err) : rc;
}

static enum rc find(const struct delta_cache *cache, const struct delta_pair *pair,
                    struct store_delta *ret, bool *ret_found, struct err *err)
{
    enum rc rc =
        store_delta(cache->home->store, &pair->base->manifest, &pair->to->manifest, ret, err);

    *ret_found = rc == RC_OK && ret->state != DELTA_DROPPED;
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}

enum rc delta_cache_make(struct delta_cache *cache, const struct delta_pair *pair,
                         const struct make_progress *progress, uint64_t now_ms,
                         struct store_delta *ret, struct err *err)
{
    struct store_delta row = { .base = pair->base->manifest,
                               .manifest = pair->to->manifest,
                               .made_ms = now_ms,
                               .used_ms = now_ms };
    struct store_delta found;
    struct err unused = { 0 };
    bool there = false;
    enum rc rc = find(cache, pair, &found, &there, err);

    if (rc != RC_OK)
        return rc;
    if (there) {
        *ret = found;
        return RC_OK;
    }
    rc = failed_before(cache, pair, err);
    if (rc != RC_OK)
        return rc;
    rc = make_new(cache, pair, progress, &row, err);
    if (rc == RC_OK)
        rc = store_put_delta(cache->home->store, &row, err);
    if (rc == RC_OK)
        rc = store_forget_delta_failed(cache->home->store, &row.base, &row.manifest, err);

    enum rc swept = sweep(cache, rc == RC_OK ? err : &unused);

    if (rc == RC_OK && swept == RC_OK)
        *ret = row;
    return rc == RC_OK ? swept : rc;
}

/* ---- trimming ---------------------------------------------------------------------------------
 */

/* The store says first that it has gone: nobody queues it after that.  A file that a kill in
 * between leaves is removed when the cache is trimmed next. */
static enum rc drop(const struct delta_cache *cache, struct store_delta *row, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    bool queued = false;
    enum rc rc = store_begin(cache->home->store, &open, err);

    if (rc == RC_OK)
        rc = store_is_queued(cache->home->store, &row->object, &queued, err);
    if (rc != RC_OK || queued)
        return rc;
    row->state = DELTA_DROPPED;
    rc = store_put_delta(cache->home->store, row, err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

static enum rc remove_dropped(const struct delta_cache *cache, const struct store_delta *rows,
                              size_t n, struct err *err)
{
    enum rc rc = RC_OK;

    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        char path[HOME_OBJECT_CAP];
        bool queued = false;

        if (rows[i].state != DELTA_DROPPED || is_shared(rows, n, &rows[i].object))
            continue;
        rc = store_is_queued(cache->home->store, &rows[i].object, &queued, err);
        if (rc != RC_OK || queued)
            continue;
        object_path(&rows[i].object, path);
        rc = fs_unlink(cache->home->dirfd, path, err);
    }
    return rc;
}

enum rc delta_cache_trim(struct delta_cache *cache, uint64_t max, struct err *err)
{
    scoped(free_ptr) struct store_delta *rows = NULL;
    uint64_t sum = 0;
    size_t n = 0;
    enum rc rc = store_deltas(cache->home->store, &rows, &n, err);

    for (size_t i = 0; rc == RC_OK && i < n; i++)
        sum += rows[i].state == DELTA_READY ? rows[i].size : 0;
    for (size_t i = 0; rc == RC_OK && i < n && sum > max; i++) {
        if (rows[i].state != DELTA_READY)
            continue;
        rc = drop(cache, &rows[i], err);
        if (rc == RC_OK && rows[i].state == DELTA_DROPPED)
            sum -= rows[i].size;
    }
    return rc == RC_OK ? remove_dropped(cache, rows, n, err) : rc;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

void delta_cache_making(const struct home *home, struct view_making *ret)
{
    scoped(close_fd) int dirfd = -1, lock = -1;
    uint8_t both[2 * DIGEST_SIZE];
    struct err ignored;
    size_t n = 0;

    *ret = (struct view_making){ .is = false };
    if (fs_open(home->dirfd, FOLDER, O_RDONLY | O_DIRECTORY, 0, &dirfd, &ignored) != RC_OK ||
        fs_lock(dirfd, LOCK, &lock, &ignored) != RC_BUSY ||
        fs_read_file(dirfd, MAKING, both, sizeof both, &n, &ignored) != RC_OK || n != sizeof both)
        return;
    ret->is = true;
    memcpy(ret->base.b, both, DIGEST_SIZE);
    memcpy(ret->manifest.b, both + DIGEST_SIZE, DIGEST_SIZE);
}
