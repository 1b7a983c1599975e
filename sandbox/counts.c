/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/counts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"
#include "sandbox/kernfile.h"

#define USER "/proc/sys/user/"

static uint64_t share(const char *path, uint64_t min, uint64_t max)
{
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[24];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

    text[n < 0 ? 0 : n] = '\0';
    uint64_t one = strtoull(text, NULL, 10) / COUNTS_SANDBOXES;
    if (one < min)
        return min;
    return one < max ? one : max;
}

void counts_share(struct counts *ret)
{
    (void)snprintf(ret->inotify_instances, sizeof ret->inotify_instances, "%" PRIu64,
                   share(USER "max_inotify_instances", COUNTS_INSTANCES_MIN, COUNTS_INSTANCES_MAX));
    (void)snprintf(ret->inotify_watches, sizeof ret->inotify_watches, "%" PRIu64,
                   share(USER "max_inotify_watches", COUNTS_WATCHES_MIN, COUNTS_WATCHES_MAX));
}

/* A host that shows /proc/sys for reading only.  Whether that will do is for the wall against
 * nested namespaces, which is in the same place, to say: it is missing there. */
static bool cannot(void)
{
    return errno == EROFS || errno == EACCES;
}

int counts_forbid_memfd_exec(void)
{
    if (kernfile_put(AT_FDCWD, "/proc/sys/vm/memfd_noexec", "2") == 0 || errno == ENOENT ||
        cannot())
        return 0;
    return -1;
}

/* A kernel without inotify has none to share. */
int counts_apply(const struct counts *counts)
{
    if (kernfile_put(AT_FDCWD, USER "max_inotify_instances", counts->inotify_instances) != 0 &&
        errno != ENOENT && !cannot())
        return -1;
    return kernfile_put(AT_FDCWD, USER "max_inotify_watches", counts->inotify_watches) != 0 &&
                   errno != ENOENT && !cannot()
               ? -1
               : 0;
}

int counts_forbid_namespaces(void)
{
    return kernfile_put(AT_FDCWD, USER "max_user_namespaces", "0");
}
