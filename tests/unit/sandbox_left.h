/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/sandbox_left: what a launcher has left on the host: directories of control groups,
 * loop devices over files of the rig, and processes of its id ranges.
 */
#ifndef BERTH_TESTS_UNIT_SANDBOX_LEFT_H
#define BERTH_TESTS_UNIT_SANDBOX_LEFT_H

#include "tests/unit/sandbox_rig.h"

static inline bool left_mention(const char *path, const char *text)
{
    FILE *f = fopen(path, "re");
    char line[1024];
    bool found = false;

    if (f == NULL)
        return false; /* gone in between */
    while (!found && fgets(line, sizeof line, f) != NULL)
        found = strstr(line, text) != NULL;
    assert_int_equal(fclose(f), 0);
    return found;
}

/* Loop devices over files of ours. */
static inline size_t left_loops(const struct rig *rig)
{
    size_t n = 0;

    for (int i = 0; i < 64; i++) {
        char path[64];

        (void)snprintf(path, sizeof path, "/sys/block/loop%d/loop/backing_file", i);
        if (access(path, F_OK) == 0 && left_mention(path, rig->dir))
            n++;
    }
    return n;
}

static inline size_t left_cgroups(const struct rig *rig)
{
    static const char *const roots[] = { "",         "/unified", "/memory",
                                         "/pids",    "/cpu",     "/cpu,cpuacct",
                                         "/cpuacct", "/devices", "/freezer" };
    size_t n = 0;

    for (size_t i = 0; i < sizeof roots / sizeof roots[0]; i++) {
        char path[128];

        (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", roots[i], rig->cgroup);
        if (access(path, F_OK) == 0)
            n++;
    }
    return n;
}

/* Whether a /proc/PID/status tells of a live process of a user in [low, high). */
static inline bool left_lives_as(const char *path, uint32_t low, uint32_t high)
{
    FILE *f = fopen(path, "re");
    char line[256];
    bool found = false;
    bool dead = false;

    if (f == NULL)
        return false; /* gone in between */
    while (fgets(line, sizeof line, f) != NULL) {
        unsigned int uid = 0;

        if (sscanf(line, "Uid:\t%u", &uid) == 1)
            found = uid >= low && uid < high;
        if (strncmp(line, "State:\tZ", 8) == 0)
            dead = true; /* waits for the host's process 1 */
    }
    (void)fclose(f);
    return found && !dead;
}

/* Processes of the host whose user lies in one of our ranges. */
static inline size_t left_processes(const struct rig *rig)
{
    const uint32_t low = PLAN_UID_BASE + rig->slot * PLAN_UID_COUNT;
    DIR *dir = opendir("/proc");
    const struct dirent *e;
    size_t n = 0;

    assert_non_null(dir);
    while ((e = readdir(dir)) != NULL) {
        char path[300];

        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        (void)snprintf(path, sizeof path, "/proc/%s/status", e->d_name);
        if (left_lives_as(path, low, low + RIG_SLOTS * PLAN_UID_COUNT))
            n++;
    }
    assert_int_equal(closedir(dir), 0);
    return n;
}

#endif
