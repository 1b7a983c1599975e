/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/cgroup_device.h"

#define NAME "walls" /* no instance has that name */

static bool put(int dir, const char *file, const char *text)
{
    scoped(close_fd) int fd = openat(dir, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);

    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool there(int dir, const char *file)
{
    return faccessat(dir, file, W_OK, 0) == 0;
}

/* A process that waits in the directory to be killed; -1 with errno. */
static pid_t clone_into(int dir)
{
    struct clone_args args = { .flags = CLONE_INTO_CGROUP,
                               .exit_signal = SIGCHLD,
                               .cgroup = (unsigned int)dir };
    long pid = syscall(SYS_clone3, &args, sizeof args);

    if (pid == 0) {
        for (;;)
            (void)pause();
    }
    return (pid_t)pid;
}

/* The end of a process that cgroup.kill killed, or that we kill now. */
static bool end(pid_t pid, int dir)
{
    int status = 0;
    bool killed = put(dir, "cgroup.kill", "1");

    if (!killed)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return false;
    }
    return killed && WIFSIGNALED(status);
}

static uint32_t try_unified(int dir)
{
    uint32_t has = 0;
    pid_t pid = clone_into(dir);

    if (put(dir, "cgroup.freeze", "1") && put(dir, "cgroup.freeze", "0"))
        has |= CGROUP_HAS_FREEZE;
    has |= cgroup_device_try(dir) ? CGROUP_HAS_DEVICES : 0;
    if (pid < 0)
        return has;
    has |= CGROUP_HAS_CLONE;
    return end(pid, dir) ? has | CGROUP_HAS_KILL : has;
}

static uint32_t try_controllers_v2(int dir)
{
    uint32_t has = 0;

    has |= there(dir, "memory.max") ? CGROUP_HAS_MEMORY : 0;
    has |= there(dir, "pids.max") ? CGROUP_HAS_PIDS : 0;
    has |= there(dir, "cpu.max") ? CGROUP_HAS_CPU : 0;
    return has | (there(dir, "io.max") ? CGROUP_HAS_IO : 0);
}

static uint32_t try_controllers_v1(const struct cgroup_tree *tree)
{
    const int *base = tree->base;
    uint32_t has = 0;

    has |= there(base[CGROUP_MEMORY], "memory.limit_in_bytes") ? CGROUP_HAS_MEMORY : 0;
    has |= there(base[CGROUP_PIDS], "pids.max") ? CGROUP_HAS_PIDS : 0;
    has |= there(base[CGROUP_CPU], "cpu.cfs_quota_us") ? CGROUP_HAS_CPU : 0;
    has |= there(base[CGROUP_BLKIO], "blkio.throttle.read_bps_device") ? CGROUP_HAS_IO : 0;
    has |= there(base[CGROUP_FREEZER], "cgroup.procs") ? CGROUP_HAS_FREEZE : 0;
    return has | (there(base[CGROUP_DEVICES], "devices.deny") ? CGROUP_HAS_DEVICES : 0);
}

uint32_t cgroup_try(const struct cgroup_tree *tree)
{
    int base = tree->base[CGROUP_UNIFIED];
    uint32_t has = tree->version == 1 ? try_controllers_v1(tree) : 0;

    if (base < 0 || mkdirat(base, NAME, 0755) != 0)
        return has;

    scoped(close_fd) int dir = openat(base, NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    has |= dir < 0 ? 0 : try_unified(dir);
    has |= dir < 0 || tree->version == 1 ? 0 : try_controllers_v2(dir);
    close_fd(&dir);
    (void)unlinkat(base, NAME, AT_REMOVEDIR);
    return has;
}
