/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"

#define TREE_DEPTH_MAX 64U
#define ENTRY_BYTES 4096U /* what any file, link or directory costs, however little is in it */

/* A walk below one directory, in which each level holds its own open stream.  Never follows a link,
 * never enters another file system. */
struct walk {
    DIR *level[TREE_DEPTH_MAX];
    char name[TREE_DEPTH_MAX][256]; /* of the directory at that level, in its parent */
    size_t depth;
    dev_t dev;
};

static void walk_done(struct walk *w)
{
    while (w->depth > 0)
        (void)closedir(w->level[--w->depth]);
}

static enum rc walk_enter(struct walk *w, int dirfd, const char *name, struct err *err)
{
    scoped(close_fd) int fd = -1;
    struct stat st;
    enum rc rc;

    if (w->depth == TREE_DEPTH_MAX)
        return err_set(err, RC_TOO_LARGE, "tree depth");
    rc = fs_open(dirfd, name, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (rc != RC_OK)
        return rc;
    if (fstat(fd, &st) < 0)
        return err_sys(err, RC_IO, "stat %s", name);
    if (w->depth == 0)
        w->dev = st.st_dev;
    if (st.st_dev != w->dev)
        return err_set(err, RC_NOT_REGULAR, "another file system at %s", name);
    w->level[w->depth] = fdopendir(fd);
    if (!w->level[w->depth])
        return err_sys(err, RC_IO, "read %s", name);
    (void)take_fd(&fd);
    (void)snprintf(w->name[w->depth], sizeof w->name[0], "%s", name);
    w->depth++;
    return RC_OK;
}

static bool dot(const char *name)
{
    return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
}

/* The next entry of the innermost level, or NULL at its end. */
static const char *walk_next(struct walk *w, struct stat *st)
{
    DIR *d = w->level[w->depth - 1];

    for (;;) {
        const struct dirent *e = readdir(d);

        if (!e)
            return NULL;
        if (!dot(e->d_name) && fstatat(dirfd(d), e->d_name, st, AT_SYMLINK_NOFOLLOW) == 0)
            return e->d_name;
    }
}

enum rc fs_remove_tree(int dir, const char *path, struct err *err)
{
    scoped(walk_done) struct walk w = { .depth = 0 };
    enum rc rc = walk_enter(&w, dir, path, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK;
    while (rc == RC_OK && w.depth > 0) {
        struct stat st;
        DIR *d = w.level[w.depth - 1];
        const char *name = walk_next(&w, &st);

        if (name && S_ISDIR(st.st_mode)) {
            /* Without write permission even the owner cannot unlink inside; another's directory
             * that is open to all needs no change, and would not take one. */
            if ((st.st_mode & S_IRWXU) != S_IRWXU && fchmodat(dirfd(d), name, 0700, 0) < 0)
                rc = err_sys(err, RC_IO, "chmod %s", name);
            else
                rc = walk_enter(&w, dirfd(d), name, err);
        } else if (name) {
            if (unlinkat(dirfd(d), name, 0) < 0)
                rc = err_sys(err, RC_IO, "unlink %s", name);
        } else {
            w.depth--;
            int parent = w.depth > 0 ? dirfd(w.level[w.depth - 1]) : dir;

            if (unlinkat(parent, w.name[w.depth], AT_REMOVEDIR) < 0)
                rc = err_sys(err, RC_IO, "rmdir %s", w.name[w.depth]);
            (void)closedir(d);
        }
    }
    return rc;
}

enum rc fs_tree_usage(int dir, const char *path, uint64_t *ret_bytes, uint64_t *ret_files,
                      struct err *err)
{
    scoped(walk_done) struct walk w = { .depth = 0 };
    uint64_t bytes = 0;
    uint64_t files = 0;
    enum rc rc = walk_enter(&w, dir, path, err);

    while (rc == RC_OK && w.depth > 0) {
        struct stat st;
        DIR *d = w.level[w.depth - 1];
        const char *name = walk_next(&w, &st);

        if (!name) {
            w.depth--;
            (void)closedir(d);
            continue;
        }

        uint64_t held = (uint64_t)st.st_blocks * 512U;

        bytes += held > ENTRY_BYTES ? held : ENTRY_BYTES;
        if (S_ISDIR(st.st_mode))
            rc = walk_enter(&w, dirfd(d), name, err);
        else
            files++;
    }
    if (rc != RC_OK)
        return rc;
    if (ret_bytes)
        *ret_bytes = bytes;
    if (ret_files)
        *ret_files = files;
    return RC_OK;
}

enum rc fs_list(int dir, const char *path, size_t max, bool (*fn)(void *arg, const char *name),
                void *arg, bool *ret_more, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_open(dir, path, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    size_t n = 0;
    bool more = false;

    if (rc != RC_OK)
        return rc;

    DIR *d = fdopendir(fd);

    if (!d)
        return err_sys(err, RC_IO, "read %s", path);
    (void)take_fd(&fd);
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);

        /* What could be read has been shown; what could not is not "nothing". */
        if (!e && errno != 0)
            rc = err_sys(err, RC_IO, "read %s", path);
        if (!e)
            break;
        if (dot(e->d_name))
            continue;
        if (n == max) {
            more = true;
            break;
        }
        n++;
        if (!fn(arg, e->d_name))
            break;
    }
    (void)closedir(d);
    if (rc == RC_OK && ret_more)
        *ret_more = more;
    return rc;
}

#define TMP_TAG 16U /* hex digits that end a temporary name, see fs_write_file */

struct sweeping {
    int dir;
    struct err *err;
    enum rc rc;
};

static bool temporary(const char *name)
{
    size_t n = strlen(name);

    return n > TMP_TAG + 2 && name[0] == '.' && name[n - TMP_TAG - 1] == '.' &&
           strspn(name + n - TMP_TAG, "0123456789abcdef") == TMP_TAG;
}

static bool sweep_entry(void *arg, const char *name)
{
    struct sweeping *s = arg;

    if (temporary(name) && unlinkat(s->dir, name, 0) < 0)
        s->rc = err_sys(s->err, RC_IO, "unlink %s", name);
    return s->rc == RC_OK;
}

enum rc fs_sweep(int dirfd, const char *path, struct err *err)
{
    scoped(close_fd) int dir = -1;
    enum rc rc = fs_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);

    if (rc != RC_OK)
        return rc;

    struct sweeping s = { .dir = dir, .err = err };

    rc = fs_list(dir, ".", SIZE_MAX, sweep_entry, &s, NULL, err);
    return rc != RC_OK ? rc : s.rc;
}
