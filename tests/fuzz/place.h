/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/place: a directory in memory for decoders that read files; removed at the end.
 */
#ifndef BERTH_TESTS_FUZZ_PLACE_H
#define BERTH_TESTS_FUZZ_PLACE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"

static char place_path[64];

static void place_remove(void)
{
    struct err err;

    (void)!fs_remove_tree(AT_FDCWD, place_path, &err);
}

static int place(void)
{
    static int fd = -1;
    struct err err;

    if (fd >= 0)
        return fd;
    (void)snprintf(place_path, sizeof place_path, "%s/berth-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(place_path) || fs_open_dir(AT_FDCWD, place_path, 0700, &fd, &err) != RC_OK)
        abort();
    (void)atexit(place_remove);
    return fd;
}

#endif
