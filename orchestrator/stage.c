/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/elf.h"
#include "orchestrator/path.h"

/* Where a dynamic loader looks without being told (ld.so(8)), Debian's multiarch places first. */
static const char *const library_dirs[] = {
    "/lib/x86_64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
};

struct stage {
    int dirfd;
    uint32_t n;                             /* libraries wanted so far */
    uint32_t done;                          /* of them copied */
    char lib[STAGE_LIBS_MAX][ELF_NAME_CAP]; /* soname, or absolute path of a loader */
    uint16_t machine[STAGE_LIBS_MAX];
};

/* ---- one file ---- */

static enum rc make_parent(int dirfd, const char *path, struct err *err)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;

    if (n == 0)
        return RC_OK;
    if (n >= sizeof parent)
        return err_set(err, RC_TOO_LARGE, "%s", path);
    memcpy(parent, path, n);
    parent[n] = '\0';
    return fs_make_dirs(dirfd, parent, 0755, err);
}

/* `to` is relative to the stage.  Copying the same file there twice is fine, another one is not. */
static enum rc copy_open_file(const struct stage *s, int in, uint64_t size, const char *to,
                              struct err *err)
{
    scoped(close_fd) int out = -1;
    uint8_t digest[DIGEST_SIZE]; /* not needed here */
    struct stat st;
    enum rc rc = make_parent(s->dirfd, to, err);

    if (rc == RC_OK && fstat(in, &st) != 0)
        rc = err_sys(err, RC_IO, "%s", to);
    if (rc == RC_OK)
        rc = fs_open(s->dirfd, to, O_WRONLY | O_CREAT | O_EXCL,
                     (st.st_mode & 0111U) != 0 ? 0755 : 0644, &out, err);
    return rc == RC_OK ? fs_copy_digest(in, out, size, digest, err) : rc;
}

static const char *inside(const char *path)
{
    while (*path == '/')
        path++;
    return path;
}

static bool staged(const struct stage *s, const char *to)
{
    return faccessat(s->dirfd, inside(to), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- the root directory ---- */

static enum rc copy_entry(const struct stage *s, const FTSENT *entry, const char *to,
                          struct err *err)
{
    scoped(close_fd) int in = -1;
    char link[PATH_MAX];
    uint64_t size = 0;
    ssize_t n;
    enum rc rc;

    switch (entry->fts_info) {
    case FTS_D:
        return fs_make_dirs(s->dirfd, to, 0755, err);
    case FTS_DP:
        return RC_OK;
    case FTS_F:
        rc = path_open_file(entry->fts_accpath, UNPACKED_MAX, &in, &size, err);
        return rc == RC_OK ? copy_open_file(s, in, size, to, err) : rc;
    case FTS_SL:
    case FTS_SLNONE:
        n = readlink(entry->fts_accpath, link, sizeof link - 1);
        if (n < 0)
            return err_sys(err, RC_IO, "%s", to);
        link[n] = '\0';
        return symlinkat(link, s->dirfd, to) == 0 ? RC_OK : err_sys(err, RC_IO, "%s", to);
    case FTS_DEFAULT:
        return err_set(err, RC_ARCHIVE_TYPE, "%s", to);
    default:
        errno = entry->fts_errno;
        return err_sys(err, RC_IO, "%s", to);
    }
}

static enum rc copy_tree(const struct stage *s, const char *from, struct err *err)
{
    char path[PATH_MAX];
    char *const roots[] = { path, NULL };
    enum rc rc = RC_OK;
    FTSENT *entry;
    FTS *walk;

    (void)snprintf(path, sizeof path, "%s", from);
    walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    if (!walk)
        return err_sys(err, RC_IO, "%s", from);
    while (rc == RC_OK && (entry = fts_read(walk)) != NULL) {
        if (entry->fts_level > 0)
            rc = copy_entry(s, entry, inside(entry->fts_path + strlen(path)), err);
        else if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP)
            rc = err_set(err, RC_NOT_FOUND, "root: %s is not a directory", from);
    }
    (void)fts_close(walk);
    return rc;
}

/* ---- shared libraries ---- */

static enum rc want_library(struct stage *s, const char *name, uint16_t machine, struct err *err)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (strcmp(s->lib[i], name) == 0 && s->machine[i] == machine)
            return RC_OK;
    }
    if (s->n == STAGE_LIBS_MAX)
        return err_set(err, RC_TOO_LARGE, "more than %u shared libraries", STAGE_LIBS_MAX);
    (void)snprintf(s->lib[s->n], ELF_NAME_CAP, "%s", name);
    s->machine[s->n++] = machine;
    return RC_OK;
}

/* Put what this file needs on the list; a script needs nothing. */
static enum rc want_needs(struct stage *s, int fd, const char *what, struct err *err)
{
    scoped(free_ptr) struct elf_needs *needs = calloc(1, sizeof *needs);
    struct err inner;
    enum rc rc;

    if (!needs)
        return err_set(err, RC_NO_MEMORY, "%s", what);
    rc = elf_read(fd, needs, &inner);
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    if (rc != RC_OK)
        return err_set(err, rc, "%s: %s", what, inner.what);
    if (needs->interp[0] == '/')
        rc = want_library(s, needs->interp, needs->machine, err);
    for (uint32_t i = 0; i < needs->n && rc == RC_OK; i++)
        rc = want_library(s, needs->needed[i], needs->machine, err);
    return rc;
}

static bool fits_machine(int fd, uint16_t machine)
{
    scoped(free_ptr) struct elf_needs *needs = calloc(1, sizeof *needs);
    struct err ignored;

    return needs && elf_read(fd, needs, &ignored) == RC_OK && needs->machine == machine;
}

/* Find a library for the machine; ret_path is where it was found, and where it goes. */
static enum rc find_library(const char *name, uint16_t machine, char ret_path[PATH_MAX],
                            int *ret_fd, uint64_t *ret_size, struct err *err)
{
    size_t n = name[0] == '/' ? 1 : sizeof library_dirs / sizeof library_dirs[0];
    bool other = false;

    for (size_t i = 0; i < n; i++) {
        scoped(close_fd) int fd = -1;
        struct err ignored;

        if (name[0] == '/')
            (void)snprintf(ret_path, PATH_MAX, "%s", name);
        else
            (void)snprintf(ret_path, PATH_MAX, "%s/%s", library_dirs[i], name);
        if (path_open_file(ret_path, UNPACKED_MAX, &fd, ret_size, &ignored) != RC_OK)
            continue;
        if (fits_machine(fd, machine)) {
            *ret_fd = take_fd(&fd);
            return RC_OK;
        }
        other = true;
    }
    return err_set(err, other ? RC_ARCH : RC_NOT_FOUND, "shared library %s", name);
}

/* The list grows while it is worked through: libraries need libraries. */
static enum rc copy_libraries(struct stage *s, struct err *err)
{
    enum rc rc = RC_OK;

    for (; s->done < s->n && rc == RC_OK; s->done++) {
        scoped(close_fd) int fd = -1;
        char path[PATH_MAX];
        uint64_t size = 0;

        rc = find_library(s->lib[s->done], s->machine[s->done], path, &fd, &size, err);
        if (rc == RC_OK && !staged(s, path))
            rc = copy_open_file(s, fd, size, inside(path), err);
        if (rc == RC_OK)
            rc = want_needs(s, fd, s->lib[s->done], err);
    }
    return rc;
}

/* ---- all of it ---- */

static enum rc join(const char *base, const char *path, char out[PATH_MAX], struct err *err)
{
    int n = path[0] == '/' ? snprintf(out, PATH_MAX, "%s", path)
                           : snprintf(out, PATH_MAX, "%s/%s", base, path);

    return n >= 0 && n < PATH_MAX ? RC_OK : err_set(err, RC_TOO_LARGE, "%s", path);
}

static enum rc copy_one(struct stage *s, const char *base, const struct payload_copy *copy,
                        struct err *err)
{
    scoped(close_fd) int fd = -1;
    char from[PATH_MAX];
    uint64_t size = 0;
    enum rc rc = join(base, copy->from, from, err);

    if (rc == RC_OK)
        rc = path_open_file(from, UNPACKED_MAX, &fd, &size, err);
    if (rc == RC_OK)
        rc = copy_open_file(s, fd, size, inside(copy->to), err);
    return rc == RC_OK && copy->libs ? want_needs(s, fd, copy->from, err) : rc;
}

enum rc stage_fill(const char *base, const struct payload_spec *spec, int stage_dirfd,
                   struct err *err)
{
    scoped(free_ptr) struct stage *s = calloc(1, sizeof *s);
    char root[PATH_MAX];
    enum rc rc = RC_OK;

    if (!s)
        return err_set(err, RC_NO_MEMORY, "stage");
    s->dirfd = stage_dirfd;
    if (spec->root[0] != '\0') {
        rc = join(base, spec->root, root, err);
        if (rc == RC_OK)
            rc = copy_tree(s, root, err);
    }
    for (uint32_t i = 0; i < spec->n_copies && rc == RC_OK; i++)
        rc = copy_one(s, base, &spec->copy[i], err);
    return rc == RC_OK ? copy_libraries(s, err) : rc;
}
