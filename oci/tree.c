/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fs.h"

#define NOTHING_SPECIAL (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)
#define NO_LINKS (RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS)

/* ---- paths ---------------------------------------------------------------------------------- */

/* A path below a directory, or the directory itself; through mounts, never through a link. */
static int open_below(int dir, const char *path, int flags)
{
    struct open_how how = { .flags = (unsigned int)(flags | O_PATH | O_CLOEXEC),
                            .resolve = RESOLVE_BENEATH | NO_LINKS };

    return (int)syscall(SYS_openat2, dir, path[0] == '\0' ? "." : path, &how, sizeof how);
}

/* The next part of a path, cut at cap; false at its end. */
static bool next_part(const char **at, char *part, size_t cap)
{
    size_t n = 0;

    while (**at == '/')
        (*at)++;
    while ((*at)[n] != '\0' && (*at)[n] != '/')
        n++;
    if (n == 0 || n >= cap)
        return false;
    (void)memcpy(part, *at, n);
    part[n] = '\0';
    *at += n;
    return true;
}

/* The place of a mount, made if it is missing: a directory, or with `file` an empty file. */
static int open_point(int root, const char *path, bool file)
{
    char part[NAME_MAX + 1];
    int at = open_below(root, "", O_DIRECTORY);

    while (at >= 0 && next_part(&path, part, sizeof part)) {
        bool last = path[strspn(path, "/")] == '\0';
        int next = open_below(at, part, last ? 0 : O_DIRECTORY);

        if (next < 0 && errno == ENOENT) {
            if (last && file)
                (void)mknodat(at, part, S_IFREG | 0644, 0);
            else
                (void)mkdirat(at, part, 0755);
            next = open_below(at, part, last ? 0 : O_DIRECTORY);
        }
        close_fd(&at);
        at = next;
    }
    return at;
}

/* ---- creator -------------------------------------------------------------------------------- */

static bool is_allowed(const struct oci_sources *sources, const char *path)
{
    bool allowed = oci_path_within(sources->bundle, path);

    for (size_t i = 0; i < sources->n; i++)
        allowed = allowed || oci_path_within(sources->allowed[i], path);
    return allowed;
}

enum rc oci_tree_root(int bundle, const char *path, const struct oci_sources *sources, int *ret,
                      struct err *err)
{
    struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
                            .resolve = NO_LINKS | (path[0] == '/' ? 0 : RESOLVE_BENEATH) };

    if (path[0] == '/' && !oci_path_valid(path))
        return err_set(err, RC_OCI_FORMAT, "root.path %.60s", path);
    if (path[0] == '/' && !is_allowed(sources, path))
        return err_set(err, RC_OCI_WANTS, "root.path %.60s of the host", path);
    int fd = (int)syscall(SYS_openat2, bundle, path, &how, sizeof how);

    if (fd < 0)
        return err_sys(err, RC_OCI_FORMAT, "root.path %.60s", path);
    *ret = fd;
    return RC_OK;
}

static enum rc open_root(int root, struct oci_tree *tree, struct err *err)
{
    scoped(close_fd) int fd =
        open_tree(root, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    uint64_t attributes = NOTHING_SPECIAL | (tree->config->root_readonly ? MOUNT_ATTR_RDONLY : 0);

    if (fd < 0 || mounts_set_attributes(fd, attributes, -1) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "root mount");
    tree->mounts->root = take_fd(&fd);
    return RC_OK;
}

static enum rc open_bind(const struct oci_mount *m, const struct oci_sources *sources, int *ret,
                         struct err *err)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = NO_LINKS };
    unsigned int whole = m->recursive ? AT_RECURSIVE : 0;

    if (!is_allowed(sources, m->source))
        return err_set(err, RC_OCI_WANTS, "mounts: %.60s of the host", m->source);
    scoped(close_fd) int from = (int)syscall(SYS_openat2, AT_FDCWD, m->source, &how, sizeof how);
    scoped(close_fd) int fd =
        from < 0 ? -1
                 : open_tree(from, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | whole);
    struct mount_attr attr = { .attr_set = NOTHING_SPECIAL | (m->readonly ? MOUNT_ATTR_RDONLY : 0) |
                                           (m->noexec ? MOUNT_ATTR_NOEXEC : 0),
                               .propagation = MS_PRIVATE };
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "bind %.60s", m->source);
    *ret = take_fd(&fd);
    return RC_OK;
}

/* What lies in /dev beside the five: they can be looked at. */
static enum rc fill_dev(int fd, const struct oci_config *c, uint32_t uid0, uint32_t gid0,
                        struct err *err)
{
    static const struct oci_device tty = {
        .name = "tty", .type = S_IFCHR, .major = 5, .minor = 0, .mode = 0666
    };

    if (symlinkat("pts/ptmx", fd, "ptmx") != 0)
        return err_sys(err, RC_LAUNCH_STEP, "dev/ptmx");
    for (size_t i = 0; i < c->n_devices + 1; i++) {
        const struct oci_device *d = i < c->n_devices ? &c->devices[i] : &tty;

        if (i == c->n_devices && faccessat(fd, tty.name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            break;
        (void)unlinkat(fd, d->name, 0);
        if (mknodat(fd, d->name, d->type | d->mode, makedev(d->major, d->minor)) != 0 ||
            fchownat(fd, d->name, uid0 + d->uid, gid0 + d->gid, AT_SYMLINK_NOFOLLOW) != 0 ||
            fchmodat(fd, d->name, d->mode, 0) != 0)
            return err_sys(err, RC_LAUNCH_STEP, "dev/%.40s", d->name);
    }
    return RC_OK;
}

static enum rc open_dev(const struct oci_mount *m, uint32_t uid0, uint32_t gid0,
                        struct oci_tree *tree, struct err *err)
{
    const struct mounts_option options[] = { { "source",
                                               m->source[0] == '\0' ? "tmpfs" : m->source },
                                             { "mode", "0755" },
                                             { "size", "65536" },
                                             { "nr_inodes", "128" },
                                             { NULL, NULL } };
    const struct oci_config *c = tree->config;
    scoped(close_fd) int fd =
        mounts_new_fs("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);

    if (fd < 0)
        return err_sys(err, RC_LAUNCH_STEP, "dev mount");
    enum rc rc = mounts_fill_dev(fd, err);
    if (rc == RC_OK && fchownat(fd, "", uid0, gid0, AT_EMPTY_PATH) != 0)
        rc = err_sys(err, RC_LAUNCH_STEP, "owner of dev");
    if (rc == RC_OK)
        rc = fill_dev(fd, c, uid0, gid0, err);
    for (size_t i = 0; rc == RC_OK && i < c->n_mounts; i++) {
        if (strncmp(c->mounts[i].path, "/dev/", 5) != 0)
            continue;
        scoped(close_fd) int point = open_point(fd, c->mounts[i].path + 5, false);
        if (point < 0)
            rc = err_sys(err, RC_LAUNCH_STEP, "%.60s", c->mounts[i].path);
    }
    if (rc == RC_OK && mounts_set_attributes(fd, MOUNT_ATTR_RDONLY, -1) != 0)
        rc = err_sys(err, RC_LAUNCH_STEP, "dev read-only");
    if (rc == RC_OK)
        tree->mounts->dev = take_fd(&fd);
    return rc;
}

/* Whether a mount lies in another one that comes before it: then its place is there. */
static bool lies_in_mount(const struct oci_config *c, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (oci_path_within(c->mounts[k].path, c->mounts[i].path))
            return true;
    }
    return false;
}

static bool is_file(int fd)
{
    struct stat st;

    return fd >= 0 && fstat(fd, &st) == 0 && !S_ISDIR(st.st_mode);
}

enum rc oci_tree_open(int root, const struct oci_sources *sources, uint32_t uid0, uint32_t gid0,
                      struct oci_tree *tree, struct err *err)
{
    const struct oci_config *c = tree->config;
    enum rc rc = open_root(root, tree, err);

    for (size_t i = 0; rc == RC_OK && i < c->n_mounts; i++) {
        const struct oci_mount *m = &c->mounts[i];

        if (m->kind == OCI_MOUNT_BIND)
            rc = open_bind(m, sources, &tree->bind[i], err);
        else if (m->kind == OCI_MOUNT_DEV && tree->mounts->dev < 0)
            rc = open_dev(m, uid0, gid0, tree, err);
        if (rc != RC_OK || lies_in_mount(c, i))
            continue;
        scoped(close_fd) int point = open_point(root, m->path, is_file(tree->bind[i]));
        if (point < 0)
            rc = err_sys(err, RC_LAUNCH_STEP, "mount at %.60s", m->path);
    }
    return rc;
}

void oci_tree_close(struct oci_tree *tree)
{
    for (size_t i = 0; i < OCI_MOUNTS_MAX; i++)
        close_fd(&tree->bind[i]);
}

/* ---- child ---------------------------------------------------------------------------------- */

static int move_to(int fd, int point)
{
    return move_mount(fd, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int attach(int root, int fd, const char *path)
{
    scoped(close_fd) int point = fd < 0 ? -1 : open_point(root, path + 1, is_file(fd));

    return point < 0 ? -1 : move_to(fd, point);
}

/* A mount that the creator made is older than those made here; the kernel lists by age.  A clone is
 * as young as the others, and only what is attached can be cloned (before Linux 6.15). */
static int attach_clone(int root, int fd, const char *path)
{
    scoped(close_fd) int point = fd < 0 ? -1 : open_point(root, path + 1, is_file(fd));

    if (point < 0 || move_to(fd, point) != 0)
        return -1;
    scoped(close_fd) int clone =
        open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (clone < 0 || fchdir(root) != 0 || umount2(path + 1, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
        return -1;
    return move_to(clone, point);
}

static const char *source_of(const struct oci_mount *m, const char *else_name)
{
    return m->source[0] == '\0' ? else_name : m->source;
}

static unsigned int attributes_of(const struct oci_mount *m)
{
    return NOTHING_SPECIAL | (m->readonly ? (unsigned int)MOUNT_ATTR_RDONLY : 0U) |
           (m->noexec ? (unsigned int)MOUNT_ATTR_NOEXEC : 0U);
}

/* As for a payload: no settings and no figures of the host. */
static int new_proc(const struct oci_mount *m)
{
    const struct mounts_option options[] = { { "source", source_of(m, "proc") },
                                             { "subset", "pid" },
                                             { "hidepid", "invisible" },
                                             { NULL, NULL } };

    return mounts_new_fs("proc", options, attributes_of(m) | MOUNT_ATTR_NOEXEC);
}

static int new_tmpfs(const struct oci_mount *m)
{
    char size[21];
    char inodes[21];
    char mode[8] = { 0 };
    const struct mounts_option options[] = {
        { "source", source_of(m, "tmpfs") },
        { "size", mounts_decimal(m->bytes == 0 ? OCI_TMPFS_BYTES : m->bytes, size) },
        { "nr_inodes", mounts_decimal(OCI_TMPFS_INODES, inodes) },
        { "mode", mode },
        { NULL, NULL }
    };

    for (int i = 0; i < 4; i++)
        mode[i] = (char)('0' + (m->mode >> (3 * (3 - i)) & 7U));
    return mounts_new_fs("tmpfs", options, attributes_of(m));
}

static int new_devpts(const struct oci_mount *m)
{
    char gid[21];
    const struct mounts_option options[] = { { "source", source_of(m, "devpts") },
                                             { "ptmxmode", "0666" },
                                             { "mode", "0620" },
                                             { "gid", mounts_decimal(m->gid, gid) },
                                             { NULL, NULL } };

    return mounts_new_fs("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
}

static int new_mqueue(const struct oci_mount *m)
{
    const struct mounts_option options[] = { { "source", source_of(m, "mqueue") }, { NULL, NULL } };

    return mounts_new_fs("mqueue", options, attributes_of(m) | MOUNT_ATTR_NOEXEC);
}

static int new_sysfs(const struct oci_mount *m)
{
    const struct mounts_option options[] = { { "source", source_of(m, "sysfs") }, { NULL, NULL } };

    return mounts_new_fs("sysfs", options,
                         attributes_of(m) | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY);
}

static int cover(int dir, const char *name)
{
    scoped(close_fd) int empty = mounts_new_tmpfs();
    scoped(close_fd) int point = empty < 0 ? -1 : open_below(dir, name, O_DIRECTORY);

    if (point < 0 || mounts_set_attributes(empty, MOUNT_ATTR_RDONLY, -1) != 0)
        return -1;
    return move_to(empty, point);
}

/* What is in it is the host's: there is a sysfs, and nothing to be seen in it. */
static int cover_all(int root, const char *path)
{
    scoped(close_fd) int top = open_below(root, path + 1, O_DIRECTORY);
    scoped(close_fd) int list = top < 0 ? -1 : openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char buf[4096] __attribute__((aligned(8)));
    long n;

    if (list < 0)
        return -1;
    while ((n = syscall(SYS_getdents64, list, buf, sizeof buf)) > 0) {
        for (long at = 0; at < n;) {
            const struct dirent64 *entry = (const void *)(buf + at);

            if (entry->d_type == DT_DIR && entry->d_name[0] != '.' &&
                cover(top, entry->d_name) != 0)
                return -1;
            at += entry->d_reclen;
        }
    }
    return n < 0 ? -1 : 0;
}

static int attach_new(int root, const struct oci_mount *m, int made)
{
    scoped(close_fd) int fd = made;

    return attach(root, fd, m->path);
}

static int attach_one(const struct oci_tree *tree, size_t i)
{
    const struct oci_mount *m = &tree->config->mounts[i];
    int root = tree->mounts->root;

    switch (m->kind) {
    case OCI_MOUNT_PROC:
        return attach_new(root, m, new_proc(m));
    case OCI_MOUNT_SYSFS:
        return attach_new(root, m, new_sysfs(m)) == 0 ? cover_all(root, m->path) : -1;
    case OCI_MOUNT_DEV:
        return attach_clone(root, tree->mounts->dev, m->path);
    case OCI_MOUNT_TMPFS:
        return attach_new(root, m, new_tmpfs(m));
    case OCI_MOUNT_DEVPTS:
        return attach_new(root, m, new_devpts(m));
    case OCI_MOUNT_MQUEUE:
        return attach_new(root, m, new_mqueue(m));
    case OCI_MOUNT_BIND:
        return attach_clone(root, tree->bind[i], m->path);
    }
    errno = EINVAL;
    return -1;
}

int oci_tree_attach(const struct oci_tree *tree)
{
    for (size_t i = 0; i < tree->config->n_mounts; i++) {
        if (attach_one(tree, i) != 0)
            return -1;
    }
    return 0;
}

/* A directory becomes an empty one, anything else /dev/null. */
static int mask(const struct oci_tree *tree, const char *path)
{
    int root = tree->mounts->root;
    scoped(close_fd) int point = open_below(root, path + 1, 0);

    if (point < 0)
        return errno == ENOENT ? 0 : -1;
    if (!is_file(point)) {
        scoped(close_fd) int empty = mounts_new_tmpfs();

        if (empty < 0 || mounts_set_attributes(empty, MOUNT_ATTR_RDONLY, -1) != 0)
            return -1;
        return move_to(empty, point);
    }
    scoped(close_fd) int null =
        open_tree(root, "dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
    return null < 0 ? -1 : move_to(null, point);
}

static int make_readonly(const struct oci_tree *tree, const char *path)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };
    scoped(close_fd) int point = open_below(tree->mounts->root, path + 1, 0);

    if (point < 0)
        return errno == ENOENT ? 0 : -1;
    scoped(close_fd) int fd =
        open_tree(point, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
        return -1;
    return move_to(fd, point);
}

int oci_tree_mask(const struct oci_tree *tree)
{
    const struct oci_config *c = tree->config;

    for (size_t i = 0; i < c->n_readonly; i++) {
        if (make_readonly(tree, c->readonly[i]) != 0)
            return -1;
    }
    for (size_t i = 0; i < c->n_masked; i++) {
        if (mask(tree, c->masked[i]) != 0)
            return -1;
    }
    return 0;
}
