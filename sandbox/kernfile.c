/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/kernfile.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/bytes.h"

int kernfile_put(int dir, const char *file, const char *value)
{
    scoped(close_fd) int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -1;
    size_t n = strlen(value);
    return write(fd, value, n) == (ssize_t)n ? 0 : -1;
}

DIR *kernfile_dir(int dir, const char *name)
{
    scoped(close_fd) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *ret = fd < 0 ? NULL : fdopendir(fd);

    if (ret != NULL)
        (void)take_fd(&fd);
    return ret;
}

void kernfile_close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}
