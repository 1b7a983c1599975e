/* SPDX-License-Identifier: Apache-2.0 */
#include "update/verity.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fsverity.h>
#include <sys/ioctl.h>

#include "base/fs.h"

#define BLOCK 4096U /* what every kernel with pages of that size can do */

int verity_ioctl(int fd)
{
    struct fsverity_enable_arg arg = { .version = 1,
                                       .hash_algorithm = FS_VERITY_HASH_ALG_SHA256,
                                       .block_size = BLOCK };
    int r;

    do
        r = ioctl(fd, FS_IOC_ENABLE_VERITY, &arg);
    while (r != 0 && errno == EINTR);
    return r == 0 ? 0 : errno;
}

static bool is_absent(int sys)
{
    return sys == EOPNOTSUPP || sys == ENOTTY || sys == ENOSYS || sys == ENOPKG || sys == EINVAL;
}

enum rc verity_seal(struct verity *v, int dirfd, const char *name, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = RC_OK;

    if (v->state == VERITY_ABSENT)
        return RC_OK;
    rc = fs_open(dirfd, name, O_RDONLY | O_NOFOLLOW, 0, &fd, err);
    if (rc != RC_OK)
        return rc;

    int sys = v->enable(fd);

    if (is_absent(sys)) {
        v->state = VERITY_ABSENT;
        return RC_OK;
    }
    if (sys != 0 && sys != EEXIST) {
        errno = sys;
        return err_sys(err, RC_IO, "fs-verity of %s", name);
    }
    v->state = VERITY_ON;
    return RC_OK;
}
