/* SPDX-License-Identifier: Apache-2.0 */
#include "update/staging.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "update/unpack.h"

static bool clear_one(void *arg, const char *name)
{
    const int *dirfd = arg;
    struct err ignored;

    if (unlinkat(*dirfd, name, 0) == 0)
        return true;
    return fs_remove_tree(*dirfd, name, &ignored) == RC_OK;
}

void staging_clear(int root)
{
    struct err ignored;

    (void)!fs_list(root, ".", PACKAGE_FILES_MAX, clear_one, &root, NULL, &ignored);
}

static bool count_one(void *arg, const char *name)
{
    bool *found = arg;

    (void)name;
    *found = true;
    return false;
}

enum rc staging_check_empty(int root, struct err *err)
{
    bool found = false;
    enum rc rc = fs_list(root, ".", 1, count_one, &found, NULL, err);

    if (rc == RC_OK && found)
        rc = err_set(err, RC_EXISTS, "staging directory is not empty");
    return rc;
}

/* A failed creation, in the package's terms: the path is there already, or its directory is not. */
static enum rc make_failed(const struct policy_item *item, struct err *err)
{
    if (errno == EEXIST)
        return err_set(err, RC_ARCHIVE_DUPLICATE, "%s", item->path);
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV)
        return err_set(err, RC_ARCHIVE_PATH, "no directory for %s", item->path);
    return err_sys(err, RC_IO, "make %s", item->path);
}

enum rc staging_parent(int root, const struct policy_item *item, int *ret_fd, const char **ret_name,
                       struct err *err)
{
    const char *slash = strrchr(item->path, '/');
    char parent[sizeof item->path] = ".";

    if (slash) {
        memcpy(parent, item->path, (size_t)(slash - item->path));
        parent[slash - item->path] = 0;
    }
    if (fs_open(root, parent, O_PATH | O_DIRECTORY, 0, ret_fd, err) != RC_OK)
        return make_failed(item, err);
    *ret_name = slash ? slash + 1 : item->path;
    return RC_OK;
}

enum rc staging_make(int parent, const char *name, const struct policy_item *item, struct err *err)
{
    if (item->type == S_IFDIR && mkdirat(parent, name, item->mode) != 0)
        return make_failed(item, err);
    if (item->type == S_IFLNK && symlinkat(item->target, parent, name) != 0)
        return make_failed(item, err);
    return RC_OK;
}

enum rc staging_create(int parent, const char *name, const struct policy_item *item, int *ret_fd,
                       struct err *err)
{
    int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, item->mode);

    if (fd < 0)
        return make_failed(item, err);
    *ret_fd = fd;
    return RC_OK;
}

/* What the sandbox mounts over must be there; a package that brought one brought it empty. */
static enum rc make_mount_points(int root, struct err *err)
{
    for (size_t i = 0; i < POLICY_MOUNT_POINTS; i++) {
        if (mkdirat(root, policy_mount_points[i], 0755) != 0 && errno != EEXIST)
            return err_sys(err, RC_IO, "make %s", policy_mount_points[i]);
    }
    return RC_OK;
}

enum rc staging_end(int root, const struct unpack_spec *spec, struct err *err)
{
    enum rc rc = make_mount_points(root, err);

    if (rc == RC_OK)
        rc = policy_check_entry_point(root, spec->entry, err);
    if (rc == RC_OK && syncfs(root) != 0)
        rc = err_sys(err, RC_IO, "sync");
    return rc;
}

enum rc staging_check_index(const struct unpack_spec *spec, const struct digest *found,
                            const struct digest384 *found384, struct err *err)
{
    if ((!digest_is_none(&spec->index) && memcmp(found, &spec->index, sizeof *found) != 0) ||
        (!digest384_is_none(&spec->index384) &&
         memcmp(found384, &spec->index384, sizeof *found384) != 0))
        return err_set(err, RC_INDEX_MISMATCH, "index");
    return RC_OK;
}
