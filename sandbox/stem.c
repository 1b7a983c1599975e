/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/stem.h"

#include <errno.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/passed.h"
#include "sandbox/kernfile.h"
#include "sandbox/wire.h"

#define SOCK 0 /* of a stem; also all others below CHILD_FD_MIN, so that none is given out */
#define READY_WAIT_MS 10000U /* for one that is new; longer is not waited for any */
#define END_WAIT_MS 4000U    /* for one that takes no order */
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
static bool send_order(int sock, struct stem_order *order)
{
    union control control = { 0 };
    struct iovec iov = { .iov_base = order, .iov_len = sizeof *order };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
    int *at[FDS_MAX];
    int fds[FDS_MAX];

    size_t n = descriptors(order, at);
    for (size_t i = 0; i < n; i++)
        fds[i] = *at[i];
    passed_put(&hdr, control.buf, fds, n);
    return sendmsg(sock, &hdr, MSG_NOSIGNAL) == (ssize_t)sizeof *order;
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

/* clone3, in the frame that it is written in.  A function of the C library would be come back from
 * twice: by process 1, and, when that has ended before the stem, by the stem, to an address that
 * process 1 has long overwritten. */
static inline __attribute__((always_inline)) long clone_here(const struct clone_args *args)
{
#if defined(__x86_64__)
    long ret = SYS_clone3;

    __asm__ volatile("syscall" : "+a"(ret) : "D"(args), "S"(sizeof *args) : "rcx", "r11", "memory");
    return ret;
#elif defined(__aarch64__)
    register long nr __asm__("x8") = SYS_clone3;
    register long ret __asm__("x0") = (long)(uintptr_t)args;
    register long size __asm__("x1") = sizeof *args;

    __asm__ volatile("svc #0" : "+r"(ret) : "r"(nr), "r"(size) : "memory");
    return ret;
#else
#error "no clone3 for this architecture"
#endif
}

/* The end, likewise: a call would be of memory that process 1 has used since, and a sanitizer would
 * first look at the stack. */
static inline __attribute__((always_inline)) void exit_here(void)
{
#if defined(__x86_64__)
    long ret = SYS_exit_group;

    __asm__ volatile("syscall" : "+a"(ret) : "D"(0L) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long nr __asm__("x8") = SYS_exit_group;
    register long ret __asm__("x0") = 0;

    __asm__ volatile("svc #0" : "+r"(ret) : "r"(nr) : "memory");
#endif
}

/* Process 1 runs on in this memory and on this stack.  The stem waits in the call until process 1
 * has ended, and is ended before; where process 1 was faster it ends by itself, with nothing that
 * was on the stack.  -1 with errno: there is no process 1, and never was. */
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
    long pid = clone_here(&args);
    if (pid == 0) {
        o->child.shared = born;
        child_run(&o->child);
    }
    if (pid > 0)
        exit_here();
    errno = (int)-pid;
    return -1;
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

void stem_leave(struct stem *stem)
{
    close_fd(&stem->pidfd);
    close_fd(&stem->sock);
    if (stem->born != NULL)
        (void)munmap(stem->born, sizeof *stem->born);
    *stem = STEM_INIT;
}

int stem_stop(const struct stem *stem)
{
    return kill(stem->pid, SIGKILL);
}

/* 0, or -1 with errno. */
static int await(int fd, uint64_t until_ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    uint64_t now = clock_mono_ms();
    int ready = poll(&p, 1, now < until_ms ? (int)(until_ms - now) : 0);

    if (ready == 0)
        errno = ETIMEDOUT;
    return ready > 0 ? 0 : -1;
}

int stem_end(struct stem *stem, uint64_t until_ms, pid_t *ret_born)
{
    *ret_born = 0;
    if (stem->pid == 0)
        return 0;
    if (stem_stop(stem) != 0 || await(stem->pidfd, until_ms) != 0 ||
        waitpid(stem->pid, NULL, 0) != stem->pid)
        return -1;
    *ret_born = *stem->born;
    stem_leave(stem);
    return 0;
}

static void give_up(struct stem *stem)
{
    pid_t none = 0;

    (void)!stem_end(stem, clock_mono_ms() + END_WAIT_MS, &none);
    stem_leave(stem);
}

/* Until it has let go of what the launcher has open: a loop device, say, that is to be given back.
 */
static bool await_ready(int sock)
{
    char ready;

    if (await(sock, clock_mono_ms() + READY_WAIT_MS) != 0)
        return false;
    ssize_t n = recv(sock, &ready, sizeof ready, MSG_DONTWAIT);
    if (n == 0)
        errno = EPIPE;
    return n == sizeof ready;
}

static enum rc make(bool own_time, struct stem *ret, struct err *err)
{
    scoped(stem_leave) struct stem stem = STEM_INIT;
    struct clone_args args = { .flags = CLONE_PIDFD | (own_time ? CLONE_NEWTIME : 0U),
                               .pidfd = (uint64_t)(uintptr_t)&stem.pidfd,
                               .exit_signal = SIGCHLD };
    const pid_t launcher = getpid();
    int pair[2];

    stem.born = share_number();
    if (stem.born == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "stem");
    stem.sock = pair[0];
    if (wire_make_room(stem.sock, err) !=
        RC_OK) { /* the host's default may be less than an order */
        (void)close(pair[1]);
        return RC_LAUNCH_STEP;
    }
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0)
        run(pair[1], launcher, stem.born);
    int error = errno;
    (void)close(pair[1]);
    errno = error;
    if (pid < 0)
        return err_sys(err, RC_LAUNCH_STEP, "stem");
    stem.pid = (pid_t)pid;
    /* The next stems are no part of it: what a process 1 keeps of another's would be a way to name
     * it a process that is to be killed. */
    if (madvise(stem.born, sizeof *stem.born, MADV_DONTFORK) != 0 || !await_ready(stem.sock)) {
        (void)err_sys(err, RC_LAUNCH_STEP, "stem");
        give_up(&stem);
        return RC_LAUNCH_STEP;
    }
    *ret = stem;
    stem = STEM_INIT;
    return RC_OK;
}

bool stems_urgent(const struct stems *all)
{
    return (all->n == 0 || all->urgent) && !all->tired;
}

/* Several in a row: each copy makes the launcher take a copy of its own of every page that it
 * writes to behind it (31 a start), and that is needed once for all of them. */
bool stems_prepare(struct stems *all, bool own_time)
{
    struct err err = { 0 };

    all->filling = all->filling || all->n <= STEMS_LOW;
    if (!all->filling || all->n == STEMS_READY || all->tired)
        return false;
    if (make(own_time, &all->ready[all->n], &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "a stem is not made before it is needed");
        all->tired = true;
        return false;
    }
    all->filling = ++all->n < STEMS_READY;
    all->urgent = all->urgent && all->filling;
    return all->filling;
}

void stems_close(struct stems *all)
{
    while (all->n > 0)
        stem_leave(&all->ready[--all->n]);
}

void stems_drop(struct stems *all)
{
    while (all != NULL && all->n > 0)
        give_up(&all->ready[--all->n]);
}

/* The one that has waited longest. */
static struct stem take_first(struct stems *all)
{
    struct stem first = all->ready[0];

    all->n--;
    memmove(&all->ready[0], &all->ready[1], all->n * sizeof all->ready[0]);
    return first;
}

/* One that was made ahead of time may have been killed since: it is no reason not to start. */
static bool order_ready(struct stems *all, struct stem_order *order, struct stem *ret)
{
    while (all != NULL && all->n > 0) {
        struct stem stem = take_first(all);

        if (send_order(stem.sock, order)) {
            *ret = stem;
            return true;
        }
        give_up(&stem);
    }
    return false;
}

enum rc stem_give(struct stems *all, bool own_time, struct stem_order *order, struct stem *ret,
                  struct err *err)
{
    bool given = order_ready(all, order, ret);

    if (all != NULL) {
        all->tired = false;
        all->urgent = all->urgent || all->n == 0;
    }
    if (given)
        return RC_OK;
    enum rc rc = make(own_time, ret, err);
    if (rc == RC_OK && !send_order(ret->sock, order))
        rc = err_sys(err, RC_LAUNCH_STEP, "order to the stem"); /* ended by the caller */
    return rc;
}
