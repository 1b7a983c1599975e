/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sandbox/cgroup_file.h"

#define LOOP_MAJOR 7U
#define DEV_TEXT_CAP 32U

/* "254:0\n" */
static bool parse(const char *text, struct cgroup_disk *ret)
{
    char *end = NULL;
    unsigned long major = strtoul(text, &end, 10);

    if (end == text || *end != ':')
        return false;
    const char *rest = end + 1;
    unsigned long minor = strtoul(rest, &end, 10);
    if (end == rest || *end != '\n' || major > UINT32_MAX || minor > UINT32_MAX)
        return false;
    *ret = (struct cgroup_disk){ (unsigned int)major, (unsigned int)minor };
    return true;
}

/* The kernel limits whole disks only: of a partition the one that it is a part of.  False with
 * errno, which is 0 when the kernel says something else than two numbers. */
static bool whole_disk(dev_t dev, struct cgroup_disk *ret)
{
    char path[64];
    char text[DEV_TEXT_CAP];
    struct stat st;

    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
    bool is_part = stat(path, &st) == 0;
    if (!is_part && errno != ENOENT)
        return false;
    (void)snprintf(path, sizeof path, "/sys/dev/block/%u:%u%s/dev", major(dev), minor(dev),
                   is_part ? "/.." : "");
    if (cgroup_get(AT_FDCWD, path, text, sizeof text) != 0)
        return false;
    errno = 0;
    return parse(text, ret);
}

static bool has_rate(const struct cgroup_limits *l)
{
    return l->limits.io_read_bps != 0 || l->limits.io_write_bps != 0 || l->share.io_read_bps != 0 ||
           l->share.io_write_bps != 0;
}

static void add_loop(struct cgroup_limits *limits, const struct mounts_loop *loop)
{
    if (loop->fd >= 0)
        limits->disk[limits->n_disks++] =
            (struct cgroup_disk){ LOOP_MAJOR, (unsigned int)loop->number };
}

enum rc disk_fill(int slots_dirfd, const struct mounts_loop *data, const struct mounts_loop *mail,
                  struct cgroup_limits *limits, struct err *err)
{
    struct statfs fs;
    struct stat st;

    limits->n_disks = 0;
    if (!has_rate(limits))
        return RC_OK;
    add_loop(limits, data);
    add_loop(limits, mail);
    if (fstatfs(slots_dirfd, &fs) != 0 || fstat(slots_dirfd, &st) != 0)
        return err_sys(err, RC_CGROUP, "disk of the slots");
    if ((long)fs.f_type == TMPFS_MAGIC || (long)fs.f_type == RAMFS_MAGIC)
        return RC_OK;
    if (!whole_disk(st.st_dev, &limits->disk[limits->n_disks]))
        return err_sys(err, RC_CGROUP, "no disk of numbers %u:%u below the slots", major(st.st_dev),
                       minor(st.st_dev));
    limits->n_disks++;
    return RC_OK;
}
