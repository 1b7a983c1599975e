/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/probe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/fs.h"
#include "base/log.h"

#define STATE_FD 3
#define FILES_MAX 16U

static bool any_name(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return true;
}

/* It is made by nobody here: a start does that, as root. */
static bool can_be_opened(const struct probe_place *p)
{
    scoped(close_fd) int fd = -1;
    struct err ignored;

    return fs_open(p->outside ? AT_FDCWD : STATE_FD, p->path, O_RDONLY | O_DIRECTORY, 0, &fd,
                   &ignored) == RC_OK &&
           fs_list(fd, ".", SIZE_MAX, any_name, NULL, NULL, &ignored) == RC_OK;
}

/* Twice: one that comes and goes would have berthd started anew for nothing. */
static bool can_be_used(const struct probe_place *p)
{
    bool once = can_be_opened(p);

    return once && can_be_opened(p);
}

/* Everything goes but the one descriptor, and so does this process when berthd does. */
static enum rc become(const struct probe_plan *p, pid_t parent, struct err *err)
{
    struct confine_dir dirs[2] = { { .fd = STATE_FD } };
    size_t n_dirs = 1;
    bool outside = false;

    if (dup2(p->state_dir, STATE_FD) < 0 || close_range(STATE_FD + 1, ~0U, 0) != 0)
        return err_sys(err, RC_IO, "descriptors");
    for (uint32_t i = 0; i < p->n; i++)
        outside |= p->place[i].outside;
    if (outside) {
        dirs[n_dirs].fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirs[n_dirs++].fd < 0)
            return err_sys(err, RC_IO, "/");
    }
    const struct confine rules = {
        .name = "probe", .dirs = dirs, .n_dirs = n_dirs, .files_max = FILES_MAX
    };
    enum rc rc = confine_user(p->uid, p->gid, err);

    /* Behind the change of user, which forgets it. */
    if (rc == RC_OK && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        rc = err_sys(err, RC_IO, "parent");
    if (rc == RC_OK && getppid() != parent)
        rc = err_set(err, RC_IO, "parent");
    return rc == RC_OK ? confine_self(&rules, err) : rc;
}

_Noreturn static void look(const struct probe_plan *p, pid_t parent)
{
    const struct timespec pause = { .tv_sec = p->every_ms / 1000U,
                                    .tv_nsec = 1000000L * (long)(p->every_ms % 1000U) };
    struct err err = { 0 };

    if (become(p, parent, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "nobody looks at what could not be used");
        _exit(1);
    }
    for (;;) {
        (void)nanosleep(&pause, NULL);
        for (uint32_t i = 0; i < p->n; i++)
            if (can_be_used(&p->place[i])) {
                log_event(LOG_LEVEL_WARN, "%s can be used again", p->place[i].path);
                _exit(0);
            }
    }
}

enum rc probe_start(const struct probe_plan *plan, int *ret_pidfd, struct err *err)
{
    const pid_t parent = getpid();

    assert(plan->n > 0 && plan->n <= PROBE_PLACES_MAX);
    pid_t pid = fork();
    if (pid == 0)
        look(plan, parent);
    if (pid < 0)
        return err_sys(err, RC_IO, "fork");
    int pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        enum rc rc = err_sys(err, RC_IO, "pidfd");

        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return rc;
    }
    *ret_pidfd = pidfd;
    return RC_OK;
}

enum rc probe_end(int pidfd, struct err *err)
{
    siginfo_t how = { 0 };

    if (waitid(P_PIDFD, (id_t)pidfd, &how, WEXITED) != 0)
        return err_sys(err, RC_IO, "probe");
    if (how.si_code != CLD_EXITED || how.si_status != 0)
        return err_set(err, RC_IO, "probe ended: %d", how.si_status);
    return RC_OK;
}
