/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/stem.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/passed.h"
#include "sandbox/kernfile.h"

#define SOCK 0 /* of a stem; also all others below CHILD_FD_MIN, so that none is given out */
#define FDS_MAX (13U + CGROUP_KINDS + PLAN_DEVICES_MAX + MOUNTS_NODES)

enum step { STEP_NETWORK, STEP_GROUPS, STEP_CLONE, STEPS };

static const char *const step_names[STEPS] = {
    [STEP_NETWORK] = "clone",
    [STEP_GROUPS] = "cgroup-attach",
    [STEP_CLONE] = "clone",
};

union control {
    struct cmsghdr align;
    char buf[PASSED_SPACE(FDS_MAX)];
};

const char *stem_step_name(uint32_t step)
{
    return step < STEPS ? step_names[step] : "?";
}

/* ---- orders --------------------------------------------------------------------------------- */

/* Where an order has its descriptors, always in the same order.  How many there are. */
static size_t descriptors(struct stem_order *o, int *at[FDS_MAX])
{
    struct child *c = &o->child;
    struct mounts *m = &c->mounts;
    int *const fixed[] = { &o->network, &o->clone_into, &m->root,   &m->slot, &m->dev,
                           &m->data,    &m->inbox,      &m->outbox, &c->sync, &c->status,
                           &c->output,  &c->notify,     &c->bus };
    static_assert(sizeof fixed / sizeof fixed[0] + CGROUP_KINDS + PLAN_DEVICES_MAX + MOUNTS_NODES <=
                      FDS_MAX,
                  "there is room for every one");
    size_t n = 0;

    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (*fixed[i] >= 0)
            at[n++] = fixed[i];
    }
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        if (o->group[kind] >= 0)
            at[n++] = &o->group[kind];
    }
    for (uint32_t i = 0; i < m->n_listed; i++)
        at[n++] = &m->listed[i];
    for (uint32_t i = 0; i < m->n_nodes; i++)
        at[n++] = &m->node[i];
    return n;
}

/* True: it has it.  False with errno. */
static bool send_order(int sock, const struct stem_order *order)
{
    static struct stem_order o;
    union control control = { 0 };
    struct iovec iov = { .iov_base = &o, .iov_len = sizeof o };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
    int *at[FDS_MAX];
    int fds[FDS_MAX];

    o = *order;
    size_t n = descriptors(&o, at);
    for (size_t i = 0; i < n; i++)
        fds[i] = *at[i];
    passed_put(&hdr, control.buf, fds, n);
    return sendmsg(sock, &hdr, MSG_NOSIGNAL) == (ssize_t)sizeof o;
}

/* Of the launcher's plan to that of the order. */
static const char *moved(const char *text, const struct plan *from, const struct plan *to)
{
    return (const char *)to + ((uintptr_t)text - (uintptr_t)from);
}

/* False: there is none, or no whole one; then nobody waits for what comes of it. */
static bool take_order(struct stem_order *ret)
{
    union control control = { 0 };
    struct iovec iov = { .iov_base = ret, .iov_len = sizeof *ret };
    struct msghdr hdr = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof control.buf };
    int *at[FDS_MAX];
    int fds[FDS_MAX];

    if (recvmsg(SOCK, &hdr, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof *ret)
        return false;
    size_t came = passed_take(&hdr, fds, FDS_MAX, NULL);
    size_t n = descriptors(ret, at);
    if (came != n)
        return false;
    for (size_t i = 0; i < n; i++)
        *at[i] = fds[i];

    struct mounts *m = &ret->child.mounts;
    for (uint32_t i = 0; i < m->n_listed; i++)
        m->listed_name[i] = moved(m->listed_name[i], ret->child.plan, &ret->plan);
    ret->child.plan = &ret->plan;
    return true;
}

/* ---- a stem ---------------------------------------------------------------------------------- */

/* A process that moves itself, and has one thread, holds nobody up: v1's "tasks" asks for no more.
 * In the v2 tree only whole processes move. */
static int join_groups(const struct stem_order *o)
{
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++) {
        const char *file = kind == CGROUP_UNIFIED ? "cgroup.procs" : "tasks";

        if (o->group[kind] >= 0 && kernfile_put(o->group[kind], file, "0") != 0)
            return -1;
    }
    return 0;
}

/* Process 1 runs on in this memory and on this stack.  The stem, which waits in the call until
 * process 1 has ended, is ended before and never uses them again. */
static int clone_init(struct stem_order *o, pid_t *born)
{
    struct clone_args args = { .flags = o->namespaces | CLONE_VM | CLONE_VFORK | CLONE_PARENT |
                                        CLONE_PARENT_SETTID,
                               .parent_tid = (uint64_t)(uintptr_t)born };

    if (o->network >= 0)
        args.flags &= ~(uint64_t)CLONE_NEWNET;
    if (o->clone_into >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (unsigned int)o->clone_into;
    }
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) {
        o->child.shared = born;
        child_run(&o->child);
    }
    return (int)pid;
}

static int grow(struct stem_order *o, pid_t *born, uint32_t *ret_step)
{
    *ret_step = STEP_NETWORK;
    if (o->network >= 0 && setns(o->network, CLONE_NEWNET) != 0)
        return -1;
    *ret_step = STEP_GROUPS;
    if (join_groups(o) != 0)
        return -1;
    *ret_step = STEP_CLONE;
    return clone_init(o, born);
}

/* Everything else that the launcher has open is none of this one's business, and would be held
 * open by it. */
static bool keep_socket(int sock)
{
    for (int fd = 0; fd < CHILD_FD_MIN; fd++) {
        if (fd != sock && dup2(sock, fd) != fd)
            return false;
    }
    return syscall(SYS_close_range, (unsigned int)CHILD_FD_MIN, ~0U, 0U) == 0;
}

static _Noreturn void run(int sock, pid_t launcher, pid_t *born)
{
    static struct stem_order order;
    static struct tender_args tender;

    if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL) != 0 ||
        getppid() != launcher || !keep_socket(sock))
        _exit(0);
    *born = 0; /* the page is there when the kernel writes to it, whatever else happens then */
    if (send(SOCK, "", 1, MSG_NOSIGNAL) != 1 || !take_order(&order))
        _exit(0);
    child_fill_command(&order.child, &tender);

    struct child_message m = { .kind = CHILD_UNBORN };
    (void)grow(&order, born, &m.step);
    m.error = errno;
    /* If even this cannot be written, the launcher sees the end of the channel. */
    ssize_t ignored = write(order.child.sync, &m, sizeof m);

    (void)ignored;
    _exit(127);
}

/* ---- the launcher's side --------------------------------------------------------------------- */

static pid_t *share_number(void)
{
    void *at = mmap(NULL, sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

static void forget(struct stem *stem)
{
    close_fd(&stem->sock);
    if (stem->born != NULL)
        (void)munmap(stem->born, sizeof *stem->born);
    *stem = STEM_INIT;
}

int stem_stop(const struct stem *stem)
{
    return kill(stem->pid, SIGKILL);
}

int stem_end(struct stem *stem, pid_t *ret_born)
{
    *ret_born = 0;
    if (stem->pid == 0)
        return 0;
    if (stem_stop(stem) != 0 || waitpid(stem->pid, NULL, 0) != stem->pid)
        return -1;
    *ret_born = *stem->born;
    forget(stem);
    return 0;
}

/* Until it has let go of what the launcher has open: a loop device, say, that is to be given back.
 */
static bool await_ready(int sock)
{
    char ready;

    errno = 0;
    return recv(sock, &ready, sizeof ready, 0) == sizeof ready;
}

static enum rc make(bool own_time, struct stem *ret, struct err *err)
{
    struct clone_args args = { .flags = own_time ? CLONE_NEWTIME : 0, .exit_signal = SIGCHLD };
    const pid_t launcher = getpid();
    scoped(forget) struct stem stem = STEM_INIT;
    int pair[2];

    stem.born = share_number();
    if (stem.born == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "stem");
    stem.sock = pair[0];
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        run(pair[1], launcher, stem.born);
    int error = errno;
    (void)close(pair[1]);
    errno = error;
    if (pid < 0)
        return err_sys(err, RC_LAUNCH_STEP, "stem");
    stem.pid = (pid_t)pid;
    if (!await_ready(stem.sock)) {
        pid_t none = 0;

        (void)err_sys(err, RC_LAUNCH_STEP, "stem");
        (void)!stem_end(&stem, &none);
        return RC_LAUNCH_STEP;
    }
    *ret = stem;
    stem = STEM_INIT;
    return RC_OK;
}

bool stems_prepare(struct stems *all, bool own_time)
{
    struct err err = { 0 };

    if (all->n == STEMS_READY || all->tired)
        return false;
    if (make(own_time, &all->ready[all->n], &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "a stem is not made before it is needed");
        all->tired = true;
        return false;
    }
    return ++all->n < STEMS_READY;
}

void stems_close(struct stems *all)
{
    while (all->n > 0)
        forget(&all->ready[--all->n]);
}

/* One that was made ahead of time may have been killed since: it is no reason not to start. */
static bool order_ready(struct stems *all, const struct stem_order *order, struct stem *ret)
{
    while (all != NULL && all->n > 0) {
        struct stem stem = all->ready[--all->n];
        pid_t none = 0;

        if (send_order(stem.sock, order)) {
            *ret = stem;
            return true;
        }
        (void)!stem_end(&stem, &none);
    }
    return false;
}

enum rc stem_give(struct stems *all, bool own_time, const struct stem_order *order,
                  struct stem *ret, struct err *err)
{
    if (all != NULL)
        all->tired = false;
    if (order_ready(all, order, ret))
        return RC_OK;
    enum rc rc = make(own_time, ret, err);
    if (rc == RC_OK && !send_order(ret->sock, order))
        rc = err_sys(err, RC_LAUNCH_STEP, "order to the stem"); /* ended by the caller */
    return rc;
}
