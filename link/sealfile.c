/* SPDX-License-Identifier: Apache-2.0 */
#include "link/sealfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"

#define PART_CAP 64U

void sealfile_buf_done(struct sealfile_buf *buf)
{
    if (buf->p)
        crypto_wipe(buf->p, buf->cap);
    free(buf->p);
    *buf = (struct sealfile_buf){ 0 };
}

enum rc sealfile_read(int fd, size_t max, struct sealfile_buf *ret, struct err *err)
{
    ssize_t got = 1;

    *ret = (struct sealfile_buf){ .p = malloc(max + 1), .cap = max + 1 };
    if (ret->p == NULL)
        return err_set(err, RC_NO_MEMORY, "message");
    while (ret->n < ret->cap && got != 0) {
        got = read(fd, ret->p + ret->n, ret->cap - ret->n);
        if (got < 0 && errno != EINTR)
            return err_sys(err, RC_IO, "message");
        ret->n += got > 0 ? (size_t)got : 0;
    }
    return ret->n > max ? err_set(err, RC_TOO_LARGE, "more than %zu bytes", max) : RC_OK;
}

static enum rc write_part(int dir, const char *part, struct bytes content, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_unlink(dir, part, err);

    if (rc == RC_OK)
        rc = fs_open(dir, part, O_WRONLY | O_CREAT | O_EXCL, 0600, &fd, err);
    if (rc == RC_OK)
        rc = fs_write_all(fd, content, err);
    return rc == RC_OK ? fs_sync(fd, part, err) : rc;
}

/* Give a part its name, durably.  If that fails behind the rename it is taken back: a name that
 * nobody was told of would be in the way of the next try. */
static enum rc name_part(int dir, const char *part, const char *name, struct err *err)
{
    struct stat st;
    enum rc rc = fs_rename(dir, part, dir, name, true, err);

    if (rc != RC_OK && rc != RC_EXISTS && fstatat(dir, part, &st, AT_SYMLINK_NOFOLLOW) != 0)
        (void)renameat2(dir, name, dir, part, RENAME_NOREPLACE);
    return rc;
}

enum rc sealfile_put(int dir, const char *name, uint64_t number, struct bytes content,
                     struct err *err)
{
    char part[PART_CAP];

    (void)snprintf(part, sizeof part, ".seal-%016" PRIx64 ".part", number);
    enum rc rc = write_part(dir, part, content, err);
    if (rc == RC_OK)
        rc = name_part(dir, part, name, err);
    if (rc != RC_OK)
        (void)unlinkat(dir, part, 0);
    return rc;
}

/* Whether a file is there and has exactly this content. */
static bool holds(int dir, const char *name, struct bytes content)
{
    scoped(sealfile_buf_done) struct sealfile_buf buf = { 0 };
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    struct err ignored;

    return fs_open_plain(dir, name, SEALBOX_PLAIN_MAX, &fd, &size, &ignored) == RC_OK &&
           sealfile_read(fd, SEALBOX_PLAIN_MAX, &buf, &ignored) == RC_OK &&
           crypto_equal((struct bytes){ buf.p, buf.n }, content);
}

/* A part appears whole, in the place of one that is there: a sync may have failed on that. */
static enum rc place_part(int dir, const char *part, struct bytes content, struct err *err)
{
    char draft[PART_CAP + 4];

    (void)snprintf(draft, sizeof draft, "%s.new", part);
    enum rc rc = write_part(dir, draft, content, err);
    if (rc == RC_OK)
        rc = fs_rename(dir, draft, dir, part, false, err);
    if (rc != RC_OK)
        (void)unlinkat(dir, draft, 0);
    return rc;
}

/* Write it down, then note that it came.  Behind an error the part stays: whether it was noted is
 * not known, and the next try finds out. */
static enum rc take(struct sealbox *box, int dir, const char *part, uint64_t now_ms,
                    const struct sealbox_message *m, struct err *err)
{
    const bool written = holds(dir, part, m->plain);
    enum rc rc = place_part(dir, part, m->plain, err);

    if (rc != RC_OK)
        return rc;
    rc = sealbox_accept(box, m, now_ms, err);
    if (rc == RC_REPLAY && written)
        rc = sealbox_note_again(box, m, err);
    if (rc_class(rc) == RC_CLASS_REFUSED)
        (void)unlinkat(dir, part, 0);
    return rc;
}

enum rc sealfile_open(struct sealbox *box, struct sealfile_buf *sealed, int dir, const char *name,
                      uint64_t now_ms, struct sealbox_message *ret, struct err *err)
{
    char part[PART_CAP];
    struct stat st;
    enum rc rc = sealbox_open_message(box, sealed->p, sealed->n, now_ms, ret, err);

    if (rc != RC_OK)
        return rc;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(err, RC_EXISTS, "%.60s", name);
    (void)snprintf(part, sizeof part, "seal-%016" PRIx64 "-%010" PRIx64 ".part", ret->number,
                   ret->counter);
    rc = take(box, dir, part, now_ms, ret, err);
    return rc == RC_OK ? name_part(dir, part, name, err) : rc;
}
