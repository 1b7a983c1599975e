/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/scratch.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/path.h"

#define PREFIX "berth-scratch-"
#define PREFIX_SIZE (sizeof PREFIX - 1)
#define RANDOM_SIZE 6U /* characters that mkdtemp makes up */
#define LOCK "lock"
#define TRIES 8U
#define LIST_MAX 65536U /* names of $TMPDIR that are looked at */

/* ---- what others left ------------------------------------------------------------------------ */

/* Whether the directory was made here, for this user. */
static bool is_ours(int parent, const char *name)
{
    struct stat st;

    return strncmp(name, PREFIX, PREFIX_SIZE) == 0 && strlen(name) == PREFIX_SIZE + RANDOM_SIZE &&
           fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
           st.st_uid == geteuid() && (st.st_mode & 07777) == 0700;
}

/* Remove one that nobody holds.  The lock is kept until it has gone, so that whoever is just making
 * it finds out (is_held). */
static bool sweep_one(void *arg, const char *name)
{
    const int *parent = arg;
    scoped(close_fd) int dir = -1, lock = -1;
    struct err ignored;

    if (is_ours(*parent, name) &&
        fs_open(*parent, name, O_RDONLY | O_DIRECTORY, 0, &dir, &ignored) == RC_OK &&
        fs_lock(dir, LOCK, &lock, &ignored) == RC_OK)
        (void)!fs_remove_tree(*parent, name, &ignored);
    return true;
}

static void sweep(const char *path)
{
    scoped(close_fd) int parent = -1;
    struct err ignored;

    if (path_open_dir(path, false, &parent, &ignored) == RC_OK)
        (void)!fs_list(parent, ".", LIST_MAX, sweep_one, &parent, NULL, &ignored);
}

/* ---- one's own ------------------------------------------------------------------------------- */

/* Whether the lock is that of a directory which is still there. */
static bool is_held(int dirfd, int lock_fd)
{
    struct stat held, there;

    return fstat(lock_fd, &held) == 0 && fstatat(dirfd, LOCK, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

/* Make it and take its lock; RC_BUSY when somebody swept it in between. */
static enum rc make(const char *parent, struct scratch_dir *dir, struct err *err)
{
    scoped(close_fd) int whole = -1;

    (void)snprintf(dir->path, sizeof dir->path, "%s/" PREFIX "XXXXXX", parent);
    if (!mkdtemp(dir->path)) {
        enum rc rc = err_sys(err, RC_IO, "%s", dir->path);

        dir->path[0] = '\0';
        return rc;
    }

    enum rc rc = path_open_dir(dir->path, false, &whole, err);

    if (rc == RC_OK)
        rc = fs_lock(whole, LOCK, &dir->lock_fd, err);
    if (rc == RC_NOT_FOUND || (rc == RC_OK && !is_held(whole, dir->lock_fd)))
        rc = err_set(err, RC_BUSY, "%s", dir->path);
    return rc == RC_OK ? fs_open_dir(whole, SCRATCH_FILES, 0700, &dir->fd, err) : rc;
}

enum rc scratch_open(struct scratch_dir *ret, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    struct scratch_dir dir = SCRATCH_NONE;
    enum rc rc = RC_BUSY;

    tmp = tmp && tmp[0] == '/' ? tmp : "/tmp";
    sweep(tmp);
    for (unsigned i = 0; i < TRIES && rc == RC_BUSY; i++) {
        scratch_close(&dir);
        rc = make(tmp, &dir, err);
    }
    *ret = dir; /* also then: it is to go away */
    return rc;
}

void scratch_close(struct scratch_dir *dir)
{
    scoped(close_fd) int parent = -1;
    char *slash = strrchr(dir->path, '/');
    struct err ignored;

    close_fd(&dir->fd);
    if (slash) {
        *slash = '\0';
        if (path_open_dir(dir->path, false, &parent, &ignored) == RC_OK)
            (void)!fs_remove_tree(parent, slash + 1, &ignored);
    }
    close_fd(&dir->lock_fd);
    dir->path[0] = '\0';
}
