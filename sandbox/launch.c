/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sandbox/cgroup_limits.h"
#include "sandbox/child.h"
#include "sandbox/disk.h"
#include "sandbox/kernfile.h"
#include "sandbox/landlock.h"
#include "sandbox/netlink.h"
#include "sandbox/receipt.h"
#include "sandbox/stem.h"
#include "sandbox/tender.h"

#define CHILD_WAIT_MS 10000U /* set-up may not take longer, all of it; a stuck child is killed */
#define SIGHT_MS 1           /* until it is looked again */
#define UNDO_WAIT_MS 4000U   /* for what a start that failed leaves behind, all together */
#define OOM_SCORE "500"
#define AUDITS_UNREAD 3U /* in a row: then what cannot be looked at is not trusted */

/* All that one start needs; freed as a whole. */
struct start {
    const struct launcher *launcher;
    const struct wire_launch *request;
    const struct wire_fds *fds;
    struct instance instance;
    struct child child; /* its descriptors are closed when the child has them */
    int sync;           /* our end of child.sync */
    int proc;           /* /proc/PID of process 1 */
    const char *step;   /* of the child, when it failed */
    uint64_t until_ms;  /* of clock_mono_ms: the child has exec'd by then, or is killed */
    struct launch_result result;
    struct stem stem; /* of process 1, until that runs */
    bool spoilt;      /* the child has a filter that is not what was compiled */
};

struct launch_step {
    const char *name;
    enum rc (*run)(struct start *s, struct err *err);
};

/* What is made at clone; that of time is the stem's already, the one of control groups comes later.
 */
static const struct {
    enum wall wall;
    uint64_t flag;
} namespaces[] = {
    { WALL_USER_NAMESPACE, CLONE_NEWUSER }, { WALL_PID_NAMESPACE, CLONE_NEWPID },
    { WALL_MOUNT_NAMESPACE, CLONE_NEWNS },  { WALL_IPC_NAMESPACE, CLONE_NEWIPC },
    { WALL_UTS_NAMESPACE, CLONE_NEWUTS },   { WALL_NET_NAMESPACE, CLONE_NEWNET },
};

/* ---- before clone --------------------------------------------------------------------------- */

static enum rc check_request(struct start *s, struct err *err)
{
    const struct plan *plan = &s->request->plan;
    enum rc rc = plan_check(plan, err);

    return rc == RC_OK && plan->limits.core_bytes != 0 ? walls_check_core(err) : rc;
}

/* Those of the plan's devices that are nodes, for /dev and for the filter; the others are mounted.
 */
static enum rc open_listed(struct start *s, struct mounts_node *nodes, struct err *err)
{
    const struct plan *plan = &s->request->plan;
    struct cgroup_limits *asked = &s->instance.asked;
    struct mounts *m = &s->child.mounts;
    enum rc rc = RC_OK;

    for (uint32_t i = 0; rc == RC_OK && i < plan->n_devices; i++) {
        const struct listed *entry = devices_find(&s->launcher->listed, plan->device[i]);
        struct cgroup_device *device = &asked->device[asked->n_devices];

        if (entry == NULL || entry->kind == LISTED_INTERFACE || entry->kind == LISTED_TENDER)
            return err_set(err, RC_NOT_BUILT, "%s", plan->device[i]);
        if (entry->kind == LISTED_SYSFS) {
            rc = devices_sysfs(entry, &m->listed[m->n_listed], err);
            if (rc == RC_OK)
                m->listed_name[m->n_listed++] = plan->device[i];
            continue;
        }
        rc = devices_node(entry, device, err);
        nodes[asked->n_devices++] =
            (struct mounts_node){ .name = plan->device[i],
                                  .major = device->major,
                                  .minor = device->minor,
                                  .mode = ((entry->access & CGROUP_READ) != 0 ? 0444U : 0U) |
                                          ((entry->access & CGROUP_WRITE) != 0 ? 0222U : 0U) };
    }
    return rc;
}

/* The tree of the tender that the plan asks for is "/", and the slot lies in it. */
static enum rc open_tender(struct start *s, struct err *err)
{
    const char *name = tender_name(s->request->plan.vm);
    const struct listed *entry = devices_find(&s->launcher->listed, name);
    scoped(close_fd) int fd = -1;

    if (s->request->plan.vm == PLAN_VM_NONE)
        return RC_OK;
    if (entry == NULL || entry->kind != LISTED_TENDER)
        return err_set(err, RC_NOT_BUILT, "isolation: vm: no tender %s is listed here", name);
    enum rc rc = devices_tender(entry, &fd, err);
    return rc == RC_OK ? mounts_put_tender(&fd, &s->child.mounts, err) : rc;
}

static enum rc open_tree_mounts(struct start *s, struct err *err)
{
    struct mounts_node nodes[PLAN_DEVICES_MAX] = { 0 };
    enum rc rc =
        mounts_open_root(s->launcher->slots, s->fds->fd[WIRE_FD_ROOT], &s->child.mounts, err);

    if (rc == RC_OK)
        rc = open_tender(s, err);
    s->child.mounts.shm = s->request->plan.limits.shm_bytes != 0;
    /* Who has no right to make nodes has none to the integrator's either. */
    if (rc == RC_OK && s->launcher->ordinary != NULL)
        return mounts_open_dev_bound(&s->child.mounts, err);
    if (rc == RC_OK)
        rc = open_listed(s, nodes, err);
    return rc != RC_OK ? rc
                       : mounts_open_dev(nodes, s->instance.asked.n_devices, &s->child.mounts, err);
}

static enum rc open_data(struct start *s, struct err *err)
{
    const struct launch_ordinary *o = s->launcher->ordinary;

    if (o != NULL)
        return mounts_open_dirs(o->data, o->mail, &s->request->plan, &s->child.mounts, err);
    if (s->request->plan.has_data == 0)
        return RC_OK;
    return mounts_open_data(s->fds->fd[WIRE_FD_ROOT + 1], &s->request->plan, &s->child.mounts,
                            &s->instance.loop, err);
}

static enum rc open_mail(struct start *s, struct err *err)
{
    const struct plan *plan = &s->request->plan;
    const struct mounts_mail mail = { .plan = plan,
                                      .userns = s->launcher->mail_userns[plan->inner_root],
                                      .uid = s->launcher->mail_uid };

    if (plan->has_mail == 0 || s->launcher->ordinary != NULL)
        return RC_OK;
    if (mail.userns < 0)
        return err_set(err, RC_LAUNCH_REQUEST, "nobody carries mail");
    return mounts_open_mail(s->fds->fd[WIRE_FD_ROOT + 1 + plan->has_data], &mail, &s->child.mounts,
                            &s->instance.mail_loop, &s->result.fds.fd[WIRE_FD_MAIL], err);
}

static enum rc make_cgroup(struct start *s, struct err *err)
{
    struct cgroup_limits *asked = &s->instance.asked;

    asked->tenant = s->request->plan.tenant;
    asked->limits = s->request->plan.limits;
    asked->share = s->request->plan.share;
    if (s->launcher->ordinary != NULL) { /* disks are not an ordinary user's to divide */
        asked->limits.io_read_bps = asked->limits.io_write_bps = 0;
        asked->share.io_read_bps = asked->share.io_write_bps = 0;
        asked->limits.io_weight = PLAN_WEIGHT;
    }
    enum rc rc =
        disk_fill(s->launcher->slots, &s->instance.loop, &s->instance.mail_loop, asked, err);
    if (rc == RC_OK)
        rc = cgroup_make(&s->launcher->tree, s->request->head.instance, asked, &s->instance.cgroup,
                         err);

    return rc != RC_OK
               ? rc
               : cgroup_oom_watch(&s->launcher->tree, &s->instance.cgroup, &s->instance.oom, err);
}

/* Move a descriptor up, out of the way of the numbers that the child uses. */
static bool lift(int *fd)
{
    int high = *fd < 0 ? -1 : fcntl(*fd, F_DUPFD_CLOEXEC, CHILD_FD_MIN);

    close_fd(fd);
    *fd = high;
    return high >= 0;
}

/* One that is to be bound inside: for whoever asked, and for the child. */
static bool make_socket(int type, int *ret, int *ret_child)
{
    *ret = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *ret_child = *ret < 0 ? -1 : fcntl(*ret, F_DUPFD_CLOEXEC, CHILD_FD_MIN);
    return *ret_child >= 0;
}

static bool pass_credentials(int sock)
{
    const int on = 1;

    return setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0;
}

/* A new one, in place of any before it: what is left on that is nobody's. */
static enum rc make_sync(struct start *s, struct err *err)
{
    int pair[2];

    close_fd(&s->sync);
    close_fd(&s->child.sync);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "channel");
    s->sync = pair[0];
    s->child.sync = pair[1];
    if (!lift(&s->sync) || !lift(&s->child.sync) || !pass_credentials(s->sync))
        return err_sys(err, RC_LAUNCH_STEP, "channel");
    return RC_OK;
}

static enum rc make_channels(struct start *s, struct err *err)
{
    int status[2];
    int output[2];
    enum rc rc = make_sync(s, err);

    if (rc != RC_OK)
        return rc;
    if (pipe2(status, O_CLOEXEC) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "status pipe");
    s->instance.status = status[0];
    s->child.status = status[1];
    if (pipe2(output, O_CLOEXEC) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "output pipe");
    s->result.fds.fd[WIRE_FD_OUTPUT] = output[0];
    s->child.output = output[1];
    if (!make_socket(SOCK_DGRAM, &s->result.fds.fd[WIRE_FD_NOTIFY], &s->child.notify) ||
        !make_socket(SOCK_STREAM, &s->result.fds.fd[WIRE_FD_BUS], &s->child.bus))
        return err_sys(err, RC_LAUNCH_STEP, "sockets");

    /* Its own, so that it can open /dev/stdout and /dev/stderr. */
    uid_t user = s->request->plan.uid_base + plan_uid(&s->request->plan);
    if (s->launcher->ordinary == NULL && fchown(s->child.output, user, user) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "owner of the output pipe");
    if (!lift(&s->child.status) || !lift(&s->child.output) || !pass_credentials(s->child.notify) ||
        fcntl(output[0], F_SETFL, O_NONBLOCK) != 0 ||
        fcntl(s->instance.status, F_SETFL, O_NONBLOCK) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "channels");
    return RC_OK;
}

static void fill_child(struct start *s)
{
    const struct plan *plan = &s->request->plan;
    struct child *c = &s->child;

    c->plan = plan;
    c->payload_filter = filters_get(&s->launcher->filters, SECCOMP_PAYLOAD, plan->calls);
    c->reaper_filter = filters_get(&s->launcher->filters, SECCOMP_REAPER, 0);
    c->walls = &s->launcher->walls;
    c->mounts.whole_proc = !walls_stand(c->walls, WALL_PROC_SUBSET);
    c->one_id = s->launcher->ordinary != NULL;
    c->mounts.no_proc = c->one_id && s->launcher->ordinary->no_proc;
    c->counts = &s->launcher->counts;
}

/* ---- listening to the child ----------------------------------------------------------------- */

union credentials {
    struct cmsghdr align;
    char buf[CMSG_SPACE(sizeof(struct ucred))];
};

/* One message or the end of the channel (*ret_end), within the time allowed.  The kernel names the
 * sender's process in our numbering. */
static enum rc hear(const struct start *s, struct child_message *ret, pid_t *ret_pid, bool *ret_end,
                    struct err *err)
{
    struct child_message m = { 0 };
    union credentials control = { 0 };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof m };
    struct msghdr hdr = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof control.buf };
    struct pollfd p = { .fd = s->sync, .events = POLLIN };
    uint64_t now = clock_mono_ms();

    int ready = poll(&p, 1, now < s->until_ms ? (int)(s->until_ms - now) : 0);
    if (ready < 0)
        return err_sys(err, RC_LAUNCH_STEP, "wait for the child");
    if (ready == 0)
        return err_set(err, RC_TIMEOUT, "sandbox set-up");
    ssize_t n = recvmsg(s->sync, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    /* A reset is an end that left something of ours unread. */
    *ret_end = n == 0 || (n < 0 && errno == ECONNRESET);
    if (*ret_end)
        return RC_OK;
    if (n < 0)
        return err_sys(err, RC_LAUNCH_STEP, "hear the child");
    if (n != sizeof m)
        return err_set(err, RC_PROTOCOL, "message of %zd bytes from the child", n);

    const struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
        struct ucred cred;

        memcpy(&cred, CMSG_DATA(c), sizeof cred);
        *ret_pid = cred.pid;
    }
    *ret = m;
    return RC_OK;
}

/* What was to be exec'd. */
static const char *program(const struct plan *plan)
{
    return plan->vm != PLAN_VM_NONE ? tender_name(plan->vm) : plan->args[0];
}

static enum rc child_failed(struct start *s, const struct child_message *m, struct err *err)
{
    bool unborn = m->kind == CHILD_UNBORN;
    bool exec = !unborn && child_step_is_exec(m->step);

    s->step = unborn ? stem_step_name(m->step) : child_step_name(m->step);
    s->spoilt = !unborn && child_step_is_hold(m->step);
    errno = m->error;
    return err_sys(err, exec ? RC_LAUNCH_EXEC : RC_LAUNCH_STEP, "%s",
                   exec ? program(&s->request->plan) : s->step);
}

/* The kernel has ended something of it that wanted more memory than it may have.  Counted before
 * that is sent its signal, so whoever sees an end sees its reason, too. */
static bool out_of_memory(const struct start *s)
{
    struct wire_usage usage;
    uint64_t times;

    cgroup_usage(&s->launcher->tree, &s->instance.cgroup, &usage);
    return usage.oom_kills > 0 ||
           (s->instance.oom >= 0 && read(s->instance.oom, &times, sizeof times) == sizeof times);
}

/* A child that has failed or was ended makes what is done for it fail, too: its own reason came
 * first, and before that the one for which the kernel refused it something. */
static enum rc first_reason(struct start *s, const char *step, enum rc rc, struct err *err)
{
    struct child_message m = { 0 };
    struct err unheard = { 0 };
    bool end = false;
    pid_t pid = 0;

    if (s->step == NULL && s->instance.pid > 0) {
        s->until_ms = 0; /* what is there already */
        if (hear(s, &m, &pid, &end, &unheard) == RC_OK && !end && m.kind == CHILD_FAILED)
            rc = child_failed(s, &m, err);
    }
    return out_of_memory(s) ? err_set(err, RC_OOM, "at %s", s->step != NULL ? s->step : step) : rc;
}

/* ---- clone, and what only the parent can do for the child ----------------------------------- */

/* One that is ready.  An ordinary user's must be the child's own, which sets it up. */
static int take_network(const struct launcher *l)
{
    return l->ordinary != NULL || !walls_stand(&l->walls, WALL_NET_NAMESPACE)
               ? -1
               : network_take(l->networks);
}

static void fill_order(const struct start *s, struct stem_order *o)
{
    const struct launcher *l = s->launcher;
    bool can = walls_stand(&l->walls, WALL_CLONE_INTO_CGROUP);

    *o = (struct stem_order){ .network = -1, .plan = s->request->plan, .child = s->child };
    o->clone_into = can ? cgroup_clone_fd(&s->instance.cgroup) : -1;
    for (size_t kind = 0; kind < CGROUP_KINDS; kind++)
        o->group[kind] =
            kind == CGROUP_UNIFIED && o->clone_into >= 0 ? -1 : s->instance.cgroup.dir[kind];
    for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++) {
        if (walls_stand(&l->walls, namespaces[i].wall))
            o->namespaces |= namespaces[i].flag;
    }
}

/* Whatever it has made is the launcher's child, and known from now on. */
static int end_stem(struct start *s, uint64_t until_ms)
{
    pid_t born = 0;

    if (stem_end(&s->stem, until_ms, &born) != 0)
        return -1;
    if (s->instance.pid == 0 && born > 0) {
        s->instance.pid = born;
        s->instance.pidfd = (int)syscall(SYS_pidfd_open, born, 0U);
    }
    return 0;
}

/* Process 1 tells that it is there: the kernel says who tells it, and has told the stem.
 * *ret_silent: whoever had the channel ended without a word. */
static enum rc hear_birth(struct start *s, bool *ret_silent, struct err *err)
{
    struct child_message m = { 0 };
    bool end = false;
    pid_t pid = 0;
    enum rc rc = hear(s, &m, &pid, &end, err);

    if (rc != RC_OK)
        return rc;
    *ret_silent = end;
    if (end)
        return err_set(err, RC_LAUNCH_STEP, "the stem died before process 1 was there");
    if (m.kind == CHILD_FAILED || m.kind == CHILD_UNBORN)
        return child_failed(s, &m, err);
    if (m.kind != CHILD_BORN || pid <= 0 || pid != *s->stem.born)
        return err_set(err, RC_PROTOCOL, "message %u from the child", m.kind);
    /* A child of ours that nobody has waited for: the number is its own. */
    s->instance.pidfd = (int)syscall(SYS_pidfd_open, pid, 0U);
    if (s->instance.pidfd < 0)
        return err_sys(err, RC_LAUNCH_STEP, "pidfd");
    s->instance.pid = pid;
    return RC_OK;
}

/* One stem, of those that wait (NULL: a new one), and what comes of it.  *ret_silent: it is dead,
 * and has said nothing. */
static enum rc try_stem(struct start *s, struct stems *ready, struct stem_order *o,
                        bool *ret_silent, struct err *err)
{
    const bool own_time = walls_stand(&s->launcher->walls, WALL_TIME_NAMESPACE);

    *ret_silent = false;
    o->child.sync = s->child.sync;
    enum rc rc = stem_give(ready, own_time, o, &s->stem, err);
    close_fd(&s->child.sync); /* what comes on it, comes from there */
    if (rc == RC_OK)
        return hear_birth(s, ret_silent, err);
    *ret_silent = err->sys == EPIPE;
    return rc;
}

/* A stem that was killed, by the host or for want of memory, says nothing of this start: once more,
 * with one that is made for it.  Not so when process 1 was there: whatever ended that, ended a
 * start that had begun; nor when the stem cannot be waited for, which might still be in the groups.
 */
static enum rc give_order(struct start *s, struct stem_order *o, struct err *err)
{
    bool silent = false;
    enum rc rc = try_stem(s, s->launcher->stems, o, &silent, err);

    if (!silent)
        return rc;
    if (end_stem(s, s->until_ms) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "end of the stem that died");
    if (s->instance.pid > 0)
        return err_set(err, RC_LAUNCH_STEP, "child died during set-up");
    log_err(LOG_LEVEL_WARN, err, "a start is given to another stem");
    rc = make_sync(s, err);
    return rc == RC_OK ? try_stem(s, NULL, o, &silent, err) : rc;
}

static enum rc clone_child(struct start *s, struct err *err)
{
    static struct stem_order order; /* large, and there is one thread */
    scoped(close_fd) int network = take_network(s->launcher);

    s->until_ms = clock_mono_ms() + CHILD_WAIT_MS;
    fill_child(s);
    fill_order(s, &order);
    order.network = network;
    enum rc rc = give_order(s, &order, err);
    explicit_bzero(&order, sizeof order); /* nothing of it for the stems to come */
    if (rc != RC_OK)
        return rc;
    if (stem_stop(&s->stem) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "stop the stem");

    char path[32];
    (void)snprintf(path, sizeof path, "/proc/%d", s->instance.pid);
    s->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return s->proc < 0 ? err_sys(err, RC_LAUNCH_STEP, "%s", path) : RC_OK;
}

/* On board the payload's whole range; of an ordinary user, who has no other, its own id. */
static struct receipt_ids ids_of(const struct launcher *launcher, const struct plan *plan)
{
    const struct launch_ordinary *o = launcher->ordinary;

    if (o != NULL)
        return (struct receipt_ids){
            .inside = plan_uid(plan), .uid = o->uid, .gid = o->gid, .count = 1
        };
    return (struct receipt_ids){ .uid = plan->uid_base,
                                 .gid = plan->uid_base,
                                 .count = PLAN_UID_COUNT };
}

/* The child is not reaped, so its number is its own: the map cannot reach a stranger. */
static enum rc map_ids(struct start *s, struct err *err)
{
    const struct receipt_ids ids = ids_of(s->launcher, &s->request->plan);
    char map[64];

    s->instance.ids = ids;

    (void)snprintf(map, sizeof map, "%u %u %u", ids.inside, ids.uid, ids.count);
    if (kernfile_put(s->proc, "uid_map", map) != 0 ||
        kernfile_put(s->proc, "setgroups", "deny") != 0)
        return err_sys(err, RC_LAUNCH_STEP, "id map %s", map);
    (void)snprintf(map, sizeof map, "%u %u %u", ids.inside, ids.gid, ids.count);
    if (kernfile_put(s->proc, "gid_map", map) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "id map %s", map);
    return RC_OK;
}

/* berthd and we are spared by the host when memory runs out; a payload goes before anything of the
 * host's. */
static enum rc set_oom_score(struct start *s, struct err *err)
{
    if (kernfile_put(s->proc, "oom_score_adj", OOM_SCORE) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "oom_score_adj");
    return RC_OK;
}

static enum rc shift_data(struct start *s, struct err *err)
{
    const struct mounts *m = &s->child.mounts;

    /* With one id there is nothing to shift. */
    if (s->launcher->ordinary != NULL || (m->data < 0 && m->inbox < 0 && m->outbox < 0))
        return RC_OK;

    scoped(close_fd) int userns = openat(s->proc, "ns/user", O_RDONLY | O_CLOEXEC);

    if (userns < 0)
        return err_sys(err, RC_LAUNCH_STEP, "user namespace");
    return mounts_shift_data(m, userns, err);
}

static enum rc set_up_network(struct start *s, struct err *err)
{
    const struct launcher *l = s->launcher;

    if (s->request->plan.network == PLAN_NETWORK_NONE || l->ordinary != NULL)
        return RC_OK;
    /* Where that wall is waived the child's network is the host's: nothing is set up in that. */
    if (!walls_stand(&l->walls, WALL_NET_NAMESPACE))
        return err_set(err, RC_NOT_BUILT, "a network, without net-namespace");
    scoped(close_fd) int namespace = openat(s->proc, "ns/net", O_RDONLY | O_CLOEXEC);

    if (namespace < 0)
        return err_sys(err, RC_LAUNCH_STEP, "network namespace");
    return network_open(l->networks, &l->listed, &s->request->plan, namespace, &s->instance.network,
                        err);
}

static void close_child(struct child *c)
{
    mounts_close(&c->mounts);
    close_fd(&c->sync);
    close_fd(&c->status);
    close_fd(&c->output);
    close_fd(&c->notify);
    close_fd(&c->bus);
}

static enum rc say_go(const struct start *s, struct err *err)
{
    const uint8_t go = 1;

    if (send(s->sync, &go, sizeof go, MSG_NOSIGNAL) != sizeof go)
        return err_sys(err, RC_LAUNCH_STEP, "release child");
    return RC_OK;
}

static enum rc release_child(struct start *s, struct err *err)
{
    close_child(&s->child);
    if (end_stem(s, s->until_ms) != 0) /* it would count among the payload's processes */
        return err_sys(err, RC_LAUNCH_STEP, "end of the stem");
    return say_go(s, err);
}

/* ---- looking at the finished process before it may exec ------------------------------------- */

static struct receipt_of whose(const struct launcher *launcher, const struct instance *instance)
{
    return (struct receipt_of){ .pid = instance->payload,
                                .pidfd = instance->payload_pidfd,
                                .filters = launcher->own_filters,
                                .ids = instance->ids,
                                .ordinary = launcher->ordinary != NULL,
                                .no_proc =
                                    launcher->ordinary != NULL && launcher->ordinary->no_proc,
                                .tree = &launcher->tree,
                                .cgroup = &instance->cgroup };
}

/* Believe the kernel, not the child: a layer that did not take hold stops the start. */
static enum rc confirm(struct start *s, struct err *err)
{
    struct child_message m = { 0 };
    bool end = false;
    pid_t payload = 0;
    enum rc rc = hear(s, &m, &payload, &end, err);

    if (rc != RC_OK)
        return rc;
    if (end)
        return err_set(err, RC_LAUNCH_STEP, "child died during set-up");
    if (m.kind == CHILD_FAILED)
        return child_failed(s, &m, err);
    if (m.kind != CHILD_CONFINED || payload <= 0)
        return err_set(err, RC_PROTOCOL, "message %u from the child", m.kind);

    s->instance.payload = payload;
    s->instance.payload_pidfd = (int)syscall(SYS_pidfd_open, payload, 0U);
    if (s->instance.payload_pidfd < 0)
        return err_sys(err, RC_LAUNCH_STEP, "pidfd of the payload");
    const struct receipt_of of = whose(s->launcher, &s->instance);
    struct wire_receipt *receipt = &s->instance.receipt;
    receipt->walls = launch_walls(s->launcher);
    rc = receipt_read(&of, receipt, err);
    if (rc == RC_OK)
        rc = receipt_check(&of, &s->request->plan, &s->launcher->walls, receipt, err);
    return rc == RC_OK ? say_go(s, err) : rc;
}

/* The channel is close-on-exec: its end without a message means that the program runs. */
static enum rc await_exec(struct start *s, struct err *err)
{
    struct child_message m = { 0 };
    bool end = false;
    pid_t pid = 0;
    enum rc rc = hear(s, &m, &pid, &end, err);

    if (rc == RC_OK && !end)
        return child_failed(s, &m, err);
    return rc;
}

/* Exec closes the channel before the process is seen again, which it has hidden for it; on a busy
 * machine, or at the end of a group's time, it may stop in between.  False: the start's time is
 * over.
 */
static bool wait_for_sight(const struct start *s)
{
    struct pollfd end = { .fd = s->instance.payload_pidfd, .events = POLLIN };

    (void)poll(&end, 1, SIGHT_MS);
    return clock_mono_ms() < s->until_ms;
}

/* Once more, of the program that runs now; one that has ended by now leaves the first look. */
static enum rc look_again(struct start *s, struct err *err)
{
    const struct receipt_of of = whose(s->launcher, &s->instance);
    struct wire_receipt *receipt = &s->instance.receipt;
    struct wire_receipt now = *receipt;
    enum rc rc = receipt_read(&of, &now, err);

    while (rc == RC_LAUNCH_STEP && err->sys == EACCES && wait_for_sight(s))
        rc = receipt_read(&of, &now, err);
    receipt->gone = rc == RC_NOT_FOUND;
    if (rc == RC_NOT_FOUND)
        return RC_OK;
    return rc == RC_OK ? receipt_compare(receipt, &now, err) : rc;
}

static enum rc copy_pidfd(struct start *s, struct err *err)
{
    int fd = fcntl(s->instance.pidfd, F_DUPFD_CLOEXEC, CHILD_FD_MIN);

    s->result.fds.fd[WIRE_FD_PIDFD] = fd;
    s->result.fds.n = WIRE_FD_MAIL + (s->result.fds.fd[WIRE_FD_MAIL] >= 0 ? 1 : 0);
    return fd < 0 ? err_sys(err, RC_LAUNCH_STEP, "pidfd") : RC_OK;
}

static const struct launch_step steps[] = {
    { "plan", check_request },     { "mounts", open_tree_mounts }, { "data", open_data },
    { "mail", open_mail },         { "cgroup", make_cgroup },      { "channels", make_channels },
    { "clone", clone_child },      { "oom-score", set_oom_score }, { "id-map", map_ids },
    { "network", set_up_network }, { "data-ids", shift_data },     { "release", release_child },
    { "confirm", confirm },        { "exec", await_exec },         { "receipt", look_again },
    { "pidfd", copy_pidfd },
};

/* ---- whole starts and ends ------------------------------------------------------------------ */

void launch_init(struct launcher *launcher, const struct wall_policy *policy)
{
    struct err err = { 0 };

    counts_share(&launcher->counts);
    walls_try(policy, &launcher->walls);
    /* Filters that cannot be made are a wall that does not stand. */
    if (filters_make(&launcher->filters, &err) != RC_OK)
        walls_lose(&launcher->walls, WALL_SECCOMP, err.sys);
}

struct wire_walls_seen launch_walls(const struct launcher *launcher)
{
    const struct walls *walls = &launcher->walls;

    return (struct wire_walls_seen){ .standing = walls->standing,
                                     .missing = walls->missing,
                                     .waived = walls->waived,
                                     .landlock_abi = (uint32_t)walls->landlock_abi,
                                     .cgroup_version = launcher->tree.version };
}

/* Until then only: a process that hangs in the kernel must not take the launcher with it.  It stays
 * in its group, which whoever opens the tree next removes. */
static void reap(struct instance *instance, uint64_t until_ms)
{
    struct pollfd p = { .fd = instance->pidfd, .events = POLLIN };
    uint64_t now = clock_mono_ms();
    siginfo_t info;

    if (instance->pidfd >= 0 && poll(&p, 1, now < until_ms ? (int)(until_ms - now) : 0) > 0)
        (void)waitid(P_PIDFD, (id_t)instance->pidfd, &info, WEXITED | WNOHANG);
    close_fd(&instance->pidfd);
    close_fd(&instance->payload_pidfd);
    instance->pid = 0;
}

static void clean(const struct launcher *launcher, struct instance *instance, uint64_t until_ms)
{
    close_fd(&instance->oom);
    close_fd(&instance->status);
    network_close(&instance->network);
    (void)cgroup_remove(&launcher->tree, &instance->cgroup, until_ms);
    (void)mounts_release(&instance->loop, until_ms);
    (void)mounts_release(&instance->mail_loop, until_ms);
    instance->id = 0;
}

static void undo(struct start *s)
{
    close_child(&s->child);
    close_fd(&s->sync);
    close_fd(&s->proc);
    wire_fds_close(&s->result.fds);
    uint64_t until_ms = clock_mono_ms() + UNDO_WAIT_MS;
    (void)end_stem(s, until_ms);
    stem_leave(&s->stem);
    if (s->instance.pidfd >= 0) {
        launch_kill(&s->instance);
        reap(&s->instance, until_ms);
    }
    clean(s->launcher, &s->instance, until_ms);
}

/* *ret_spoilt: a filter was not what was compiled. */
static enum rc start_once(const struct launcher *launcher, const struct wire_launch *request,
                          const struct wire_fds *fds, struct instance *ret,
                          struct launch_result *result, const char **ret_step, bool *ret_spoilt,
                          struct err *err)
{
    struct start s = { .launcher = launcher,
                       .request = request,
                       .fds = fds,
                       .instance = INSTANCE_INIT,
                       .child = { .mounts = MOUNTS_INIT,
                                  .sync = -1,
                                  .sync_launcher = -1,
                                  .status = -1,
                                  .output = -1,
                                  .notify = -1,
                                  .bus = -1 },
                       .sync = -1,
                       .proc = -1,
                       .stem = STEM_INIT,
                       .result.fds = WIRE_FDS_INIT };

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        enum rc rc = steps[i].run(&s, err);

        if (rc != RC_OK) {
            rc = first_reason(&s, steps[i].name, rc, err);
            *ret_spoilt = s.spoilt;
            *ret_step = s.step != NULL ? s.step : steps[i].name;
            undo(&s);
            return rc;
        }
    }
    close_fd(&s.sync);
    close_fd(&s.proc);
    s.instance.id = request->head.instance;
    s.instance.vm = request->plan.vm;
    s.instance.asked.tenant = NULL; /* the request's */
    *ret = s.instance;
    s.result.payload = s.instance.payload;
    s.result.receipt = s.instance.receipt;
    *result = s.result;
    return RC_OK;
}

enum rc launch_start(struct launcher *launcher, const struct wire_launch *request,
                     const struct wire_fds *fds, struct instance *ret, struct launch_result *result,
                     const char **ret_step, struct err *err)
{
    bool spoilt = false;
    enum rc rc = start_once(launcher, request, fds, ret, result, ret_step, &spoilt, err);

    if (!spoilt)
        return rc;
    log_err(LOG_LEVEL_ERROR, err, "a filter was not what was compiled instance=%llu",
            (unsigned long long)request->head.instance);
    stems_drop(launcher->stems); /* which have copies of theirs */
    rc = filters_mend(&launcher->filters, err);
    return rc != RC_OK ? rc
                       : start_once(launcher, request, fds, ret, result, ret_step, &spoilt, err);
}

enum rc launch_relimit(const struct launcher *launcher, struct instance *instance,
                       const struct plan_limits *limits, const struct plan_share *share,
                       struct err *err)
{
    struct cgroup_limits asked = instance->asked;
    enum rc rc = plan_check_limits(limits, share, err);

    /* A machine has the memory that it began with. */
    if (rc == RC_OK && (!plan_limits_live(&instance->asked.limits, limits) ||
                        (instance->vm != PLAN_VM_NONE &&
                         limits->memory_bytes != instance->asked.limits.memory_bytes)))
        rc = err_set(err, RC_PLAN_LIMIT, "not without a new start");
    asked.limits = *limits;
    asked.share = *share;
    if (rc == RC_OK)
        rc = disk_fill(launcher->slots, &instance->loop, &instance->mail_loop, &asked, err);
    if (rc == RC_OK)
        rc = cgroup_limits_set(&launcher->tree, &instance->cgroup, &asked, err);
    if (rc == RC_OK)
        instance->asked = asked;
    return rc;
}

enum rc launch_audit(const struct launcher *launcher, struct instance *instance, struct err *err)
{
    const struct receipt_of of = whose(launcher, instance);
    struct wire_receipt now = instance->receipt;
    enum rc rc = receipt_read(&of, &now, err);

    if (rc == RC_NOT_FOUND)
        return RC_OK; /* its end is on its way */
    if (rc == RC_OK)
        rc = receipt_compare(&instance->receipt, &now, err);
    /* What could not be read says nothing of the payload, if it can be read again soon. */
    instance->unread = rc == RC_OK || rc == RC_DRIFT ? 0 : instance->unread + 1;
    if (instance->unread > 0 && instance->unread < AUDITS_UNREAD) {
        log_err(LOG_LEVEL_WARN, err, "audit instance=%llu", (unsigned long long)instance->id);
        return RC_OK;
    }
    if (rc != RC_OK) {
        instance->drifted = true;
        launch_kill(instance);
    }
    return rc;
}

void launch_terminate(const struct instance *instance)
{
    struct err err;

    /* What is frozen hears nothing.  If it cannot be thawed, the kill that follows still can. */
    (void)!cgroup_freeze(&instance->cgroup, false, &err);
    (void)syscall(SYS_pidfd_send_signal, instance->pidfd, SIGTERM, NULL, 0U);
}

void launch_kill(const struct instance *instance)
{
    /* Process 1 takes its whole namespace with it; the cgroup is the second rope. */
    (void)syscall(SYS_pidfd_send_signal, instance->pidfd, SIGKILL, NULL, 0U);
    cgroup_kill(&instance->cgroup);
}

/* The payload's own status as its reaper wrote it; if that was killed first, SIGKILL. */
static int payload_status(const struct instance *instance)
{
    int status;

    return read(instance->status, &status, sizeof status) == sizeof status ? status : SIGKILL;
}

struct wire_exited launch_finish(const struct launcher *launcher, struct instance *instance,
                                 uint64_t until_ms)
{
    struct wire_exited m = { .head = wire_head(WIRE_EXITED, instance->id) };
    int status = payload_status(instance);

    cgroup_usage(&launcher->tree, &instance->cgroup, &m.usage);
    reap(instance, until_ms);
    m.status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    if (WIFEXITED(status))
        m.rc = RC_EXITED;
    else if (m.status == SIGSYS)
        m.rc = RC_SECCOMP;
    else
        m.rc = RC_KILLED;
    if ((m.usage.oom_kills > 0 || instance->oom_hit) && m.rc == RC_KILLED)
        m.rc = RC_OOM;
    if (instance->drifted)
        m.rc = RC_DRIFT;
    clean(launcher, instance, until_ms);
    return m;
}
