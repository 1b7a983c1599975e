/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/idmap.h"
#include "sandbox/kernfile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static enum rc map(pid_t pid, uint32_t id, uint32_t uid, uint32_t gid, int *ret_fd, struct err *err)
{
    char path[32];
    char line[64];

    (void)snprintf(path, sizeof path, "/proc/%d", pid);
    scoped(close_fd) int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    (void)snprintf(line, sizeof line, "%u %u 1", id, uid);
    if (proc < 0 || kernfile_put(proc, "uid_map", line) != 0 ||
        kernfile_put(proc, "setgroups", "deny") != 0)
        return err_sys(err, RC_LAUNCH_STEP, "id map %s", line);
    (void)snprintf(line, sizeof line, "%u %u 1", id, gid);
    if (kernfile_put(proc, "gid_map", line) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "id map %s", line);
    *ret_fd = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? err_sys(err, RC_LAUNCH_STEP, "user namespace") : RC_OK;
}

enum rc idmap_one(uint32_t id, uint32_t uid, uint32_t gid, int *ret_fd, struct err *err)
{
    const struct clone_args args = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };
    long pid = syscall(SYS_clone3, &args, sizeof args);

    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            (void)poll(NULL, 0, -1);
    }
    if (pid < 0)
        return err_sys(err, RC_LAUNCH_STEP, "clone3");
    enum rc rc = map((pid_t)pid, id, uid, gid, ret_fd, err);
    (void)kill((pid_t)pid, SIGKILL);
    while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    return rc;
}
