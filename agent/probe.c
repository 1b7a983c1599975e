/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/probe.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/fs.h"
#include "base/log.h"

#define STATE_FD 3
#define TELL_FD 4
#define PARENT_FD 5
#define FILES_MAX 16U

/* All names, or of a directory of others the first one, as a start does (agent/place). */
static bool next_name(void *arg, const char *name)
{
    (void)name;
    return *(const bool *)arg;
}

/* It is made by nobody here: a start does that, as root. */
static bool can_be_opened(const struct probe_place *p)
{
    scoped(close_fd) int fd = -1;
    bool all = !p->outside;
    struct err ignored;

    return fs_open(p->outside ? AT_FDCWD : STATE_FD, p->path, O_RDONLY | O_DIRECTORY, 0, &fd,
                   &ignored) == RC_OK &&
           fs_list(fd, ".", SIZE_MAX, next_name, &all, NULL, &ignored) == RC_OK;
}

/* Twice: one that comes and goes would have berthd started anew for nothing. */
static bool can_be_used(const struct probe_place *p)
{
    bool once = can_be_opened(p);

    return once && can_be_opened(p);
}

/* The descriptors to their places, from wherever they are, and no others. */
static enum rc keep_descriptors(const int fds[3], struct err *err)
{
    int moved[3];

    for (int i = 0; i < 3; i++) {
        moved[i] = fcntl(fds[i], F_DUPFD, PARENT_FD + 1);
        if (moved[i] < 0)
            return err_sys(err, RC_IO, "descriptors");
    }
    for (int i = 0; i < 3; i++)
        if (dup2(moved[i], STATE_FD + i) < 0)
            return err_sys(err, RC_IO, "descriptors");
    return close_range(PARENT_FD + 1, ~0U, 0) == 0 ? RC_OK : err_sys(err, RC_IO, "descriptors");
}

/* Everything goes but the descriptors and what the user may do.  The one of the parent is how its
 * end is seen: no signal comes of that from another user. */
static enum rc become(const struct probe_plan *p, int tell, pid_t parent, struct err *err)
{
    const int fds[3] = { p->state_dir, tell, pidfd_open(parent, 0) };

    if (fds[2] < 0 || getppid() != parent)
        return err_set(err, RC_IO, "parent");
    enum rc rc = keep_descriptors(fds, err);
    return rc == RC_OK ? confine_user(p->uid, p->gid, err) : rc;
}

/* Before anything is looked at. */
static enum rc confine(const struct probe_plan *p, struct err *err)
{
    struct confine_dir dirs[2] = { { .fd = STATE_FD } };
    size_t n_dirs = 1;
    bool outside = false;

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
    return confine_self(&rules, err);
}

static const struct probe_place *find_usable(const struct probe_plan *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (can_be_used(&p->place[i]))
            return &p->place[i];
    return NULL;
}

static bool parent_ends_within(uint32_t ms)
{
    struct pollfd p = { .fd = PARENT_FD, .events = POLLIN };

    return poll(&p, 1, (int)ms) > 0;
}

/* It is said each time, because whoever hears it may have a reason to wait, and what can be used
 * now may not be any more then.  A full pipe says the same. */
_Noreturn static void look(const struct probe_plan *p)
{
    struct err err = { 0 };

    if (confine(p, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "probe");
        _exit(1);
    }
    for (bool told = false; !parent_ends_within(p->every_ms);) {
        const struct probe_place *found = find_usable(p);

        if (found && !told)
            log_event(LOG_LEVEL_WARN, "%s can be used again", found->path);
        told = found != NULL;
        if (found)
            (void)!write(TELL_FD, "", 1);
    }
    _exit(0);
}

/* Berthd cannot start one of another user any more.  This one reads nothing that could end it, and
 * is there to start who looks again if that has died, which may be for want of memory.  Who looks
 * goes on without it, too. */
_Noreturn static void keep_looking(const struct probe_plan *p, int tell, pid_t parent)
{
    struct err err = { 0 };
    int status = 0;

    if (become(p, tell, parent, &err) != RC_OK) {
        log_err(LOG_LEVEL_ERROR, &err, "nobody looks at what could not be used");
        _exit(1);
    }
    do {
        pid_t pid = fork();

        if (pid == 0)
            look(p);
        while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
            _exit(0);
        log_event(LOG_LEVEL_ERROR, "who looked at what could not be used has died: again later");
    } while (!parent_ends_within(p->every_ms));
    _exit(0);
}

enum rc probe_start(const struct probe_plan *plan, int *ret_fd, struct err *err)
{
    const pid_t parent = getpid();
    int ends[2];

    assert(plan->n > 0 && plan->n <= PROBE_PLACES_MAX);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_sys(err, RC_IO, "pipe");
    scoped(close_fd) int ours = ends[0], theirs = ends[1];
    pid_t pid = fork();
    if (pid == 0)
        keep_looking(plan, theirs, parent);
    if (pid < 0)
        return err_sys(err, RC_IO, "fork");
    *ret_fd = take_fd(&ours);
    return RC_OK;
}

enum rc probe_read(int fd, struct err *err)
{
    uint8_t said[64];
    ssize_t n = read(fd, said, sizeof said);

    if (n > 0)
        return RC_OK;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return RC_NOT_FOUND;
    return n < 0 ? err_sys(err, RC_IO, "probe") : err_set(err, RC_IO, "probe");
}
