/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

#define IMAGE "data.img"
#define SNAP "data.snap"
#define HALF "data.snap.new"
#define STEP_BYTES (8U << 20)

static enum rc open_dir(int data_dir, const char *tenant, const char *name, int *ret,
                        struct err *err)
{
    char path[2 * NAME_CAP];

    (void)snprintf(path, sizeof path, "%s/%s", tenant, name);
    return fs_open(data_dir, path, O_RDONLY | O_DIRECTORY, 0, ret, err);
}

/* The size of a file beside the data; 0 if it is not there. */
static bool size_of(int data_dir, const char *tenant, const char *name, const char *file,
                    uint64_t *ret)
{
    char path[2 * NAME_CAP + sizeof HALF];
    struct stat st;

    *ret = 0;
    (void)snprintf(path, sizeof path, "%s/%s/%s", tenant, name, file);
    if (fstatat(data_dir, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
        return false;
    *ret = (uint64_t)st.st_size;
    return true;
}

uint64_t snapshot_need(int data_dir, const char *tenant, const char *name)
{
    uint64_t bytes = 0;

    (void)size_of(data_dir, tenant, name, IMAGE, &bytes);
    return bytes;
}

uint64_t snapshot_bytes(int data_dir, const char *tenant, const char *name)
{
    uint64_t whole = 0, half = 0;

    (void)size_of(data_dir, tenant, name, SNAP, &whole);
    (void)size_of(data_dir, tenant, name, HALF, &half);
    return whole + half;
}

bool snapshot_exists(int data_dir, const char *tenant, const char *name)
{
    uint64_t unused = 0;

    return size_of(data_dir, tenant, name, SNAP, &unused);
}

/* ---- copying ------------------------------------------------------------------------------------
 */

/* Where the kernel cannot copy by itself. */
static enum rc copy_by_hand(int in, int out, off_t at, size_t n, struct err *err)
{
    static uint8_t buf[256 * 1024]; /* one copy per process */

    while (n > 0) {
        ssize_t got = pread(in, buf, n < sizeof buf ? n : sizeof buf, at);

        if (got <= 0)
            return got < 0 ? err_sys(err, RC_IO, IMAGE) : err_set(err, RC_SHORT, IMAGE);
        for (ssize_t put = 0; put < got;) {
            ssize_t wrote = pwrite(out, buf + put, (size_t)(got - put), at + put);

            if (wrote < 0)
                return err_sys(err, RC_IO, SNAP);
            put += wrote;
        }
        at += got;
        n -= (size_t)got;
    }
    return RC_OK;
}

static enum rc copy_range(int in, int out, off_t at, off_t end, struct err *err)
{
    while (at < end) {
        off_t from = at, to = at;
        size_t left = (size_t)(end - at);
        size_t n = left < STEP_BYTES ? left : STEP_BYTES;
        ssize_t done = copy_file_range(in, &from, out, &to, n, 0);

        if (done < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
            return err_sys(err, RC_IO, SNAP);
        if (done <= 0) {
            enum rc rc = copy_by_hand(in, out, at, n, err);

            if (rc != RC_OK)
                return rc;
            done = (ssize_t)n;
        }
        at += done;
    }
    return RC_OK;
}

/* All that is not a hole, in a file of `size` bytes. */
static enum rc copy_data(int in, int out, off_t size, struct err *err)
{
    for (off_t at = 0; at < size;) {
        off_t data = lseek(in, at, SEEK_DATA);

        if (data < 0 && errno == ENXIO)
            return RC_OK; /* only a hole is left */
        if (data < 0)
            data = at; /* it cannot tell: all of it */
        off_t hole = lseek(in, data, SEEK_HOLE);
        off_t end = hole > data && hole < size ? hole : size;
        enum rc rc = copy_range(in, out, data, end, err);

        if (rc != RC_OK)
            return rc;
        at = end;
    }
    return RC_OK;
}

static enum rc copy_image(int in, int out, struct err *err)
{
    struct stat st;

    if (fstat(in, &st) != 0)
        return err_sys(err, RC_IO, IMAGE);
    if (ioctl(out, FICLONE, in) == 0)
        return RC_OK;
    /* The space first: a payload that gets its data back can fill all of it, as before. */
    if (st.st_size > 0 && fallocate(out, 0, 0, st.st_size) != 0 &&
        (errno != EOPNOTSUPP || ftruncate(out, st.st_size) != 0))
        return err_sys(err, RC_IO, SNAP);
    return copy_data(in, out, st.st_size, err);
}

/* The lock is held by whoever has the image mounted (sandbox/mounts). */
static enum rc copy_locked(int dir, int out, struct err *err)
{
    scoped(close_fd) int in = -1;
    enum rc rc = fs_open(dir, IMAGE, O_RDONLY | O_NOFOLLOW, 0, &in, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK; /* and the snapshot is empty */
    if (rc != RC_OK)
        return rc;
    while (flock(in, LOCK_EX) != 0)
        if (errno != EINTR)
            return err_sys(err, RC_IO, "lock " IMAGE);
    return copy_image(in, out, err);
}

enum rc snapshot_take(int data_dir, const char *tenant, const char *name, struct err *err)
{
    scoped(close_fd) int dir = -1;
    scoped(close_fd) int out = -1;
    struct err unused = { 0 };
    char path[2 * NAME_CAP];

    (void)snprintf(path, sizeof path, "%s/%s", tenant, name);
    enum rc rc = fs_make_dirs(data_dir, path, 0700, err);
    if (rc == RC_OK)
        rc = open_dir(data_dir, tenant, name, &dir, err);
    if (rc == RC_OK)
        rc = fs_unlink(dir, HALF, err);
    if (rc == RC_OK)
        rc = fs_open(dir, HALF, O_RDWR | O_CREAT | O_EXCL, 0600, &out, err);
    if (rc != RC_OK)
        return rc;
    rc = copy_locked(dir, out, err);
    if (rc == RC_OK)
        rc = fs_sync(out, HALF, err);
    if (rc == RC_OK)
        rc = fs_rename(dir, HALF, dir, SNAP, false, err);
    if (rc != RC_OK && fs_unlink(dir, HALF, &unused) != RC_OK)
        return rc; /* it is removed at the next start */
    return rc;
}

/* ---- and back -----------------------------------------------------------------------------------
 */

enum rc snapshot_restore(int data_dir, const char *tenant, const char *name, struct err *err)
{
    scoped(close_fd) int dir = -1;
    uint64_t bytes = 0;
    enum rc rc = open_dir(data_dir, tenant, name, &dir, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc != RC_OK)
        return rc;
    if (!size_of(data_dir, tenant, name, SNAP, &bytes))
        return fs_unlink(dir, HALF, err);
    if (bytes > 0)
        return fs_rename(dir, SNAP, dir, IMAGE, false, err);
    rc = fs_unlink(dir, IMAGE, err); /* there was none; in this order, or it would be kept */
    return rc == RC_OK ? fs_unlink(dir, SNAP, err) : rc;
}

enum rc snapshot_drop(int data_dir, const char *tenant, const char *name, bool half,
                      struct err *err)
{
    scoped(close_fd) int dir = -1;
    enum rc rc = open_dir(data_dir, tenant, name, &dir, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc == RC_OK)
        rc = fs_unlink(dir, HALF, err);
    if (rc == RC_OK && !half)
        rc = fs_unlink(dir, SNAP, err);
    return rc;
}
