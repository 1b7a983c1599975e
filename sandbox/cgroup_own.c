/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_own.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sandbox/cgroup_file.h"

#define ROOT "/sys/fs/cgroup"
#define OWN_CAP 8192U

/* How /proc/self/cgroup calls a hierarchy of v1, and where it is mounted. */
static const struct {
    enum cgroup_kind kind;
    const char *controllers;
    const char *path;
} rows[] = {
    { CGROUP_MEMORY, "memory", ROOT "/memory" },
    { CGROUP_PIDS, "pids", ROOT "/pids" },
    { CGROUP_CPU, "cpu", ROOT "/cpu" },
    { CGROUP_CPU, "cpu,cpuacct", ROOT "/cpu,cpuacct" },
    { CGROUP_CPUACCT, "cpuacct", ROOT "/cpuacct" },
    { CGROUP_FREEZER, "freezer", ROOT "/freezer" },
    { CGROUP_UNIFIED, "", ROOT "/unified" },
};

static bool is_magic(int fd, long magic)
{
    struct statfs st;

    return fd >= 0 && fstatfs(fd, &st) == 0 && (long)st.f_type == magic;
}

/* The path behind "NUMBER:CONTROLLERS:", "" if there is no such line. */
static void path_of(const char *text, const char *controllers, char ret[PATH_MAX])
{
    ret[0] = '\0';
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        const char *list = strchr(line, ':');
        size_t n = strlen(controllers);

        if (list != NULL && strncmp(list + 1, controllers, n) == 0 && list[n + 1] == ':') {
            const char *path = list + n + 2;
            const size_t size = strcspn(path, "\n");

            if (size < PATH_MAX) {
                memcpy(ret, path, size);
                ret[size] = '\0';
            }
            return;
        }
        if (line[strcspn(line, "\n")] == '\0')
            return;
    }
}

/* The own group below a mount, if it is ours to change; -1. */
static int open_own(const char *mount, const char *path, long magic)
{
    char whole[PATH_MAX];
    int n = snprintf(whole, sizeof whole, "%s%s", mount, path);

    if (path[0] != '/' || n < 0 || (size_t)n >= sizeof whole)
        return -1;
    scoped(close_fd) int fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!is_magic(fd, magic) || faccessat(fd, ".", W_OK, AT_EACCESS) != 0 ||
        faccessat(fd, "cgroup.procs", W_OK, AT_EACCESS) != 0)
        return -1;
    return take_fd(&fd);
}

uint32_t cgroup_own_open(int parent[CGROUP_KINDS])
{
    scoped(close_fd) int root = open(ROOT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    static char text[OWN_CAP];
    char path[PATH_MAX];

    cgroup_get(AT_FDCWD, "/proc/self/cgroup", text, sizeof text);
    if (is_magic(root, CGROUP2_SUPER_MAGIC)) {
        path_of(text, "", path);
        parent[CGROUP_UNIFIED] = open_own(ROOT, path, CGROUP2_SUPER_MAGIC);
        return 2;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        long magic = rows[i].kind == CGROUP_UNIFIED ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC;

        path_of(text, rows[i].controllers, path);
        if (parent[rows[i].kind] < 0)
            parent[rows[i].kind] = open_own(rows[i].path, path, magic);
    }
    return 1;
}
