/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/delegated: control groups that root gives to nobody for a test, as a login manager
 * gives them to users, on v1 and on v2.
 */
#ifndef BERTH_TESTS_UNIT_DELEGATED_H
#define BERTH_TESTS_UNIT_DELEGATED_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"

#define DELEGATED_USER 65534U
#define DELEGATED_WAIT_MS 60000U

/* Where a host has groups to give away: on v1 one in each hierarchy, on v2 one for all. */
static const char *const delegated_v1[] = { "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids",
                                            "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/freezer" };
static const char *const delegated_v2[] = { "/sys/fs/cgroup" };

static inline size_t delegated_places(const char *const **ret)
{
    bool v2 = access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;

    *ret = v2 ? delegated_v2 : delegated_v1;
    return v2 ? 1 : sizeof delegated_v1 / sizeof delegated_v1[0];
}

static inline void delegated_path(const char *place, const char *file, char out[200])
{
    (void)snprintf(out, 200, "%s/berth-delegated-%d/%s", place, getpid(), file);
}

static inline bool delegated_make(const char *place)
{
    static const char *const files[] = { ".", "cgroup.procs", "cgroup.threads",
                                         "cgroup.subtree_control" };
    char path[200];

    delegated_path(place, "", path);
    bool done = mkdir(path, 0755) == 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        delegated_path(place, files[i], path);
        done = (chown(path, DELEGATED_USER, DELEGATED_USER) == 0 || errno == ENOENT) && done;
    }
    return done;
}

/* Refused, as long as anything is left in it: a process that has just closed its output may still
 * be on its way out, a group will not go by itself. */
static inline bool delegated_remove(const char *place)
{
    const uint64_t until = clock_mono_ms() + DELEGATED_WAIT_MS;
    struct stat st;
    char path[200];

    delegated_path(place, "", path);
    while (rmdir(path) != 0) {
        if (errno != EBUSY || clock_mono_ms() >= until || stat(path, &st) != 0 || st.st_nlink > 2)
            return false;
        (void)poll(NULL, 0, 1);
    }
    return true;
}

/* Make them, or see them go. */
static inline bool delegated_give(bool make)
{
    const char *const *at;
    size_t n = delegated_places(&at);
    bool done = true;

    for (size_t i = 0; i < n; i++)
        done = (make ? delegated_make(at[i]) : delegated_remove(at[i])) && done;
    return done;
}

/* In a child of the test that is still root. */
static inline bool delegated_enter_of(pid_t test)
{
    const char *const *at;
    size_t n = delegated_places(&at);
    bool done = true;

    for (size_t i = 0; i < n; i++) {
        char path[200];

        (void)snprintf(path, sizeof path, "%s/berth-delegated-%d/cgroup.procs", at[i], test);
        scoped(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
        done = fd >= 0 && write(fd, "0", 1) == 1 && done;
    }
    return done;
}

#endif
