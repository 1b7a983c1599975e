/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/child_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/caps.h"
#include "sandbox/guest.h"
#include "sandbox/landlock.h"
#include "sandbox/slice.h"

#define FD_PROGRAM 4 /* what is to be exec'd, in the payload's process */
#define PAYLOAD_STACK 65536U
#define FD_STATUS 0 /* where the reaper keeps the status pipe: it has nothing else */

static_assert(CHILD_FD_SYNC < CHILD_FD_MIN, "no descriptor of the child is overwritten");

/* ---- steps of process 1 --------------------------------------------------------------------- */

/* Without our copy of the launcher's end, end of file means that the launcher is gone. */
int child_take_channel(const struct child *c)
{
    if ((c->shared != NULL && munmap(c->shared, sizeof(pid_t)) != 0) ||
        dup3(c->sync, CHILD_FD_SYNC, O_CLOEXEC) < 0 || close(c->sync) != 0)
        return -1;
    return c->sync_launcher < 0 ? 0 : close(c->sync_launcher);
}

static int tell(uint32_t kind)
{
    const struct child_message m = { .kind = kind };

    return write(CHILD_FD_SYNC, &m, sizeof m) == (ssize_t)sizeof m ? 0 : -1;
}

static int tell_born(const struct child *c)
{
    (void)c;
    return tell(CHILD_BORN);
}

int child_read_go(void)
{
    uint8_t go;
    ssize_t n = read(CHILD_FD_SYNC, &go, sizeof go);

    if (n == 0)
        errno = EPIPE;
    return n == sizeof go ? 0 : -1;
}

/* They were compiled when the launcher started, which may be years ago, and copied for the stem.
 * Here it costs nothing: the launcher maps the ids meanwhile. */
static int hold_filters(const struct child *c)
{
    if (seccomp_whole(c->payload_filter) && seccomp_whole(c->reaper_filter))
        return 0;
    errno = EBADMSG;
    return -1;
}

/* The launcher lets go when id map and cgroup are in place. */
int child_wait(const struct child *c)
{
    (void)c;
    return child_read_go();
}

int child_inner_root(const struct child *c)
{
    if (c->one_id) /* whose rights in its namespaces are the same */
        return 0;
    if (syscall(SYS_setresgid, 0, 0, 0) != 0)
        return -1;
    return (int)syscall(SYS_setresuid, 0, 0, 0);
}

/* After the attach: done at clone, v1 would show the path from the root. */
int child_cgroup_namespace(const struct child *c)
{
    (void)c;
    return unshare(CLONE_NEWCGROUP);
}

/* Before the user changes: the host's file asks for the host's user as well as for our rights. */
int child_forbid_memfd_exec(const struct child *c)
{
    (void)c;
    return counts_forbid_memfd_exec();
}

int child_share_counts(const struct child *c)
{
    return counts_apply(c->counts);
}

/* The count belongs to our user namespace: no payload makes another one below it. */
int child_forbid_namespaces(const struct child *c)
{
    (void)c;
    return counts_forbid_namespaces();
}

int child_attach_root(const struct child *c)
{
    return mounts_attach_root(&c->mounts);
}

static int attach_tree(const struct child *c)
{
    return mounts_attach_tree(&c->mounts, c->plan);
}

int child_pivot(const struct child *c)
{
    return mounts_pivot(&c->mounts);
}

static int bind_notify(const struct child *c)
{
    const struct sockaddr_un where = { .sun_family = AF_UNIX, .sun_path = PLAN_NOTIFY_PATH };

    if (bind(c->notify, (const struct sockaddr *)&where, sizeof where) != 0)
        return -1;
    return chmod(PLAN_NOTIFY_PATH, 0666);
}

/* It listens from here on, so that a payload's first call finds it; its peers are told that they
 * talk to process 1. */
static int bind_bus(const struct child *c)
{
    const struct sockaddr_un where = { .sun_family = AF_UNIX, .sun_path = PLAN_BUS_PATH };

    if (mkdir(PLAN_BUS_DIR, 0755) != 0 || chmod(PLAN_BUS_DIR, 0755) != 0 ||
        bind(c->bus, (const struct sockaddr *)&where, sizeof where) != 0 ||
        chmod(PLAN_BUS_PATH, 0666) != 0)
        return -1;
    return listen(c->bus, CHILD_BUS_BACKLOG);
}

/* On board the launcher does it from outside (sandbox/network). */
static int raise_loopback(const struct child *c)
{
    struct ifreq lo = { .ifr_name = "lo" };

    if (!c->one_id || c->plan->network == PLAN_NETWORK_NONE)
        return 0;
    scoped(close_fd) int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    lo.ifr_flags = IFF_UP;
    return sock < 0 ? -1 : ioctl(sock, SIOCSIFFLAGS, &lo);
}

static int set_hostname(const struct child *c)
{
    return sethostname(c->plan->hostname, strlen(c->plan->hostname));
}

int child_session(const struct child *c)
{
    (void)c;
    (void)umask(022);
    return setsid() < 0 ? -1 : 0;
}

/* A kernel without keyrings has none to protect. */
int child_keyring(const struct child *c)
{
    (void)c;
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS ? -1 : 0;
}

/* An ordinary user raises none: a limit that is lower already stays so. */
static int set_limit(const struct child *c, __rlimit_resource_t what, rlim_t value)
{
    struct rlimit had;
    struct rlimit limit = { .rlim_cur = value, .rlim_max = value };

    if (c->one_id && getrlimit(what, &had) == 0 && had.rlim_max < value)
        limit.rlim_cur = limit.rlim_max = had.rlim_max;
    return setrlimit(what, &limit);
}

/* CORE is 1, not 0, where there are no dumps: with 0 the kernel still starts a core handler that is
 * a pipe.  Process 1 leaves none whatever the limit is: it is not dumpable.  The limit on
 * descriptors waits for close_others: landlock still needs one above what is open by now. */
static int set_limits(const struct child *c)
{
    const struct plan_limits *l = &c->plan->limits;

    if (set_limit(c, RLIMIT_CORE, l->core_bytes != 0 ? l->core_bytes : 1) != 0 ||
        (l->file_bytes != 0 && set_limit(c, RLIMIT_FSIZE, l->file_bytes) != 0) ||
        set_limit(c, RLIMIT_MEMLOCK, 65536) != 0 || set_limit(c, RLIMIT_MSGQUEUE, 0) != 0 ||
        set_limit(c, RLIMIT_SIGPENDING, 256) != 0 || set_limit(c, RLIMIT_NICE, 0) != 0)
        return -1;
    return set_limit(c, RLIMIT_RTPRIO, 0);
}

/* No wall: where the host allows no slices, its payloads wait for the tick.  Without a quota there
 * is none either: who says that it needs little would not be held to it. */
static int set_slice(const struct child *c)
{
    if (slice_take(slice_for(c->plan->limits.cpu_permille)) == 0)
        return 0;
    return errno == EPERM || errno == ENOSYS ? 0 : -1;
}

/* What no control group counts for an ordinary user, the kernel's limits of processes come near to:
 * memory each for itself, and the number of all of them, which is that of its user namespace. */
static int set_stand_ins(const struct child *c)
{
    if (!c->one_id)
        return 0;
    if (!walls_stand(c->walls, WALL_MEMORY_CONTROLLER) &&
        set_limit(c, RLIMIT_DATA, c->plan->limits.memory_bytes) != 0)
        return -1;
    return walls_stand(c->walls, WALL_PIDS_CONTROLLER)
               ? 0
               : set_limit(c, RLIMIT_NPROC, c->plan->limits.pids);
}

static int drop_bounding(const struct child *c)
{
    (void)c;
    return caps_drop_bounding();
}

int child_lock_securebits(const struct child *c)
{
    (void)c;
    return caps_lock_securebits();
}

static int become_payload_user(const struct child *c)
{
    const uint32_t id = plan_uid(c->plan);

    if (syscall(SYS_setresgid, id, id, id) != 0 || syscall(SYS_setresuid, id, id, id) != 0)
        return -1;
    return caps_drop_rest();
}

int child_no_new_privs(const struct child *c)
{
    (void)c;
    return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL);
}

/* A change of user clears the death signal, so this comes after it; then ask whether the launcher
 * died in between.  Not dumpable: the payload, same user, cannot look into process 1. */
static int die_with_launcher(const struct child *c)
{
    struct pollfd p = { .fd = CHILD_FD_SYNC, .events = 0 };

    (void)c;
    if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL) != 0 ||
        prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL) != 0)
        return -1;
    int ended = poll(&p, 1, 0);
    if (ended > 0)
        errno = EPIPE;
    return ended == 0 ? 0 : -1;
}

static int confine_files(const struct child *c)
{
    return landlock_apply(c->plan, c->walls->landlock_abi);
}

static const struct child_step init_steps[] = {
    { "channel", child_take_channel, CHILD_ALWAYS },
    { "channel", tell_born, CHILD_ALWAYS },
    { "seccomp", hold_filters, WALL_SECCOMP },
    { "wait", child_wait, CHILD_ALWAYS },
    { "memfd-exec", child_forbid_memfd_exec, CHILD_ALWAYS },
    { "inner-root", child_inner_root, CHILD_ALWAYS },
    { "user-counts", child_share_counts, CHILD_ALWAYS },
    { "cgroup-namespace", child_cgroup_namespace, WALL_CGROUP_NAMESPACE },
    { "forbid-namespaces", child_forbid_namespaces, WALL_NO_NESTED_NAMESPACES },
    { "root", child_attach_root, CHILD_ALWAYS },
    { "tree", attach_tree, CHILD_ALWAYS },
    { "pivot", child_pivot, CHILD_ALWAYS },
    { "notify", bind_notify, CHILD_ALWAYS },
    { "bus", bind_bus, CHILD_ALWAYS },
    { "hostname", set_hostname, WALL_UTS_NAMESPACE },
    { "loopback", raise_loopback, WALL_NET_NAMESPACE },
    { "session", child_session, CHILD_ALWAYS },
    { "keyring", child_keyring, WALL_SESSION_KEYRING },
    { "rlimits", set_limits, CHILD_ALWAYS },
    { "slice", set_slice, WALL_CPU_CONTROLLER },
    { "stand-ins", set_stand_ins, CHILD_ALWAYS },
    { "bounding-set", drop_bounding, WALL_BOUNDING_SET },
    { "securebits", child_lock_securebits, WALL_SECUREBITS },
    { "user", become_payload_user, CHILD_ALWAYS },
    { "no-new-privs", child_no_new_privs, CHILD_ALWAYS },
    { "die-with-launcher", die_with_launcher, CHILD_ALWAYS },
    { "landlock", confine_files, WALL_LANDLOCK },
};

/* ---- steps of the payload's process --------------------------------------------------------- */

static int set_stdio(const struct child *c)
{
    scoped(close_fd) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null < 0 || dup2(null, 0) < 0 || dup2(c->output, 1) < 0)
        return -1;
    return dup2(c->output, 2) < 0 ? -1 : 0;
}

/* The limit on descriptors comes last: until here there are the launcher's, too. */
static int close_others(const struct child *c)
{
    const bool guest = c->plan->vm == PLAN_VM_QEMU; /* whose ports are kept */

    if (guest && syscall(SYS_close_range, CHILD_FD_SYNC + 1U, GUEST_PORT_FD - 1U, 0U) != 0)
        return -1;
    if (syscall(SYS_close_range, guest ? GUEST_PORT_FD + GUEST_PORTS : CHILD_FD_SYNC + 1U, ~0U,
                0U) != 0)
        return -1;
    return set_limit(c, RLIMIT_NOFILE, c->plan->limits.open_files);
}

int child_reset_signals(const struct child *c)
{
    const struct sigaction fresh = { .sa_handler = SIG_DFL };
    sigset_t none;

    (void)c;
    for (int signal = 1; signal < NSIG; signal++) {
        /* KILL and STOP refuse, and need it not; so do those that the C library keeps. */
        if (sigaction(signal, &fresh, NULL) != 0 && errno != EINVAL)
            return -1;
    }
    (void)sigemptyset(&none);
    return sigprocmask(SIG_SETMASK, &none, NULL);
}

static int own_session(const struct child *c)
{
    (void)c;
    return setsid() < 0 ? -1 : 0;
}

/* The kernel puts a core dump where the process stands, with the process's own rights: elsewhere
 * than in its data a payload could leave none. */
static int stand_in_data(const struct child *c)
{
    return c->plan->limits.core_bytes != 0 ? chdir(PLAN_CORE_DIR) : 0;
}

/* The disk of a virtual machine is a file of its own, as it would have made it: sparse, and of the
 * size that the plan says whatever it was before. */
static int make_disk(const struct child *c)
{
    if (c->disk_bytes == 0)
        return 0;
    scoped(close_fd) int fd =
        open(PLAN_VM_DISK, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    return fd < 0 ? -1 : ftruncate(fd, (off_t)c->disk_bytes);
}

int child_filter_calls(const struct child *c)
{
    return seccomp_apply(c->payload_filter);
}

/* For the launcher, which may look at it then.  It is the memory of process 1 that can be looked
 * into, too: nothing of the tenant's runs until it is hidden again. */
static int be_seen(const struct child *c)
{
    (void)c;
    return prctl(PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL);
}

static int be_hidden(const struct child *c)
{
    (void)c;
    return prctl(PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL);
}

/* Show the launcher the finished process; it looks for itself before it says go. */
int child_confirm(const struct child *c)
{
    (void)c;
    return tell(CHILD_CONFINED) != 0 ? -1 : child_read_go();
}

/* The file that runs is the one that was looked up: in the slot's own mount, through no magic link.
 * Links inside the slot lead where they would from its root. */
static int open_program(const struct child *c)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                            .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
    scoped(close_fd) int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = root < 0 ? -1 : (int)syscall(SYS_openat2, root, c->argv[0], &how, sizeof how);

    if (fd < 0)
        return -1;
    close_fd(&root); /* it may have the number that is needed now; fd has a higher one */
    if (dup3(fd, FD_PROGRAM, O_CLOEXEC) < 0)
        return -1;
    return close(fd);
}

/* A script cannot be run by descriptor: its interpreter is given a path, which is looked up again
 * in the same read-only slot. */
static int execute(const struct child *c)
{
    if (!walls_stand(c->walls, WALL_EXEC_BY_DESCRIPTOR))
        return execve(c->argv[0], c->argv, c->envp);
    (void)syscall(SYS_execveat, FD_PROGRAM, "", c->argv, c->envp, AT_EMPTY_PATH);
    return errno == ENOENT ? execve(c->argv[0], c->argv, c->envp) : -1;
}

static const struct child_step payload_steps[] = {
    { "session", own_session, CHILD_ALWAYS },
    { "stdio", set_stdio, CHILD_ALWAYS },
    { "descriptors", close_others, CHILD_ALWAYS },
    { "signals", child_reset_signals, CHILD_ALWAYS },
    { "directory", stand_in_data, CHILD_ALWAYS },
    { "disk", make_disk, CHILD_ALWAYS },
    { "exec", open_program, WALL_EXEC_BY_DESCRIPTOR },
    { "seen", be_seen, CHILD_ALWAYS },
    { "seccomp", child_filter_calls, WALL_SECCOMP },
    { "confirm", child_confirm, CHILD_ALWAYS },
    { "hidden", be_hidden, CHILD_ALWAYS },
    { "exec", execute, CHILD_ALWAYS },
};

#define INIT_STEPS ((uint32_t)(sizeof init_steps / sizeof init_steps[0]))
#define PAYLOAD_STEPS ((uint32_t)(sizeof payload_steps / sizeof payload_steps[0]))
#define STEP_FORK (INIT_STEPS + PAYLOAD_STEPS)
#define STEP_REAPER (STEP_FORK + 1)
#define STEP_RELAY (STEP_FORK + 2)

const char *child_step_name(uint32_t step)
{
    if (step < INIT_STEPS)
        return init_steps[step].name;
    if (step < STEP_FORK)
        return payload_steps[step - INIT_STEPS].name;
    if (step == STEP_FORK)
        return "fork";
    if (step == STEP_RELAY)
        return "relay";
    return step == STEP_REAPER ? "reaper" : "?";
}

bool child_step_is_exec(uint32_t step)
{
    return step == STEP_FORK - 1 || (step >= INIT_STEPS && step < STEP_FORK &&
                                     payload_steps[step - INIT_STEPS].run == open_program);
}

bool child_step_is_hold(uint32_t step)
{
    return step < INIT_STEPS && init_steps[step].run == hold_filters;
}

/* CHILD_FD_SYNC is the channel from the first step on; before that it is something of the
 * launcher's. */
_Noreturn void child_fail(const struct child *c, uint32_t step)
{
    const struct child_message m = { .kind = CHILD_FAILED, .step = step, .error = errno };

    /* If even this cannot be written, the launcher sees the end of the channel without exec. */
    ssize_t ignored = write(step == 0 ? c->sync : CHILD_FD_SYNC, &m, sizeof m);

    (void)ignored;
    _exit(127);
}

void child_run_steps(const struct child *c, const struct child_step *steps, uint32_t n,
                     uint32_t first)
{
    for (uint32_t i = 0; i < n; i++) {
        if (steps[i].wall != CHILD_ALWAYS && !walls_stand(c->walls, (enum wall)steps[i].wall))
            continue;
        if (steps[i].run(c) != 0)
            child_fail(c, first + i);
    }
}

/* ---- process 1 ------------------------------------------------------------------------------ */

/* Of a virtual machine: what carries its ports, with the payload's filter and without the channel,
 * and the ports where the tender looks for them.  0 = there is none. */
static pid_t start_relay(const struct child *c)
{
    struct guest_ports ports;

    if (c->plan->vm != PLAN_VM_QEMU)
        return 0;
    if (guest_ports_make(&ports) != 0)
        child_fail(c, STEP_FORK);
    pid_t pid = (pid_t)syscall(SYS_clone, (unsigned long)SIGCHLD, NULL, NULL, NULL, 0UL);

    if (pid < 0)
        child_fail(c, STEP_FORK);
    if (pid > 0) {
        if (guest_ports_give(&ports) != 0)
            child_fail(c, STEP_FORK);
        return pid;
    }
    for (int i = 0; i < GUEST_PORTS; i++) {
        if (dup2(ports.ours[i], i) < 0)
            child_fail(c, STEP_RELAY);
    }
    if (syscall(SYS_close_range, GUEST_PORTS, CHILD_FD_SYNC - 1U, 0U) != 0 ||
        syscall(SYS_close_range, CHILD_FD_SYNC + 1U, ~0U, 0U) != 0 ||
        (walls_stand(c->walls, WALL_SECCOMP) && seccomp_apply(c->payload_filter) != 0) ||
        close(CHILD_FD_SYNC) != 0)
        child_fail(c, STEP_RELAY);
    guest_relay(PLAN_NOTIFY_PATH, PLAN_BUS_PATH);
}

/* Keep the status pipe, lose everything else: last the channel, on which what goes wrong is told
 * until then. */
static int become_reaper(const struct child *c)
{
    if (dup3(c->status, FD_STATUS, O_CLOEXEC) < 0 ||
        syscall(SYS_close_range, FD_STATUS + 1U, CHILD_FD_SYNC - 1U, 0U) != 0 ||
        syscall(SYS_close_range, CHILD_FD_SYNC + 1U, ~0U, 0U) != 0)
        return -1;
    if (walls_stand(c->walls, WALL_SECCOMP) && seccomp_apply(c->reaper_filter) != 0)
        return -1;
    return close(CHILD_FD_SYNC);
}

/* Who is waited for, and what is known of them. */
struct waited {
    pid_t payload, relay;
    int relay_status;
    bool asked; /* a signal was passed on */
};

/* A tender that ends well has not said that its guest did: that is what the relay has heard, which
 * ends behind it.  One that was asked to end is to blame for nothing. */
static int last_word(const struct waited *w, int status)
{
    int said = w->relay_status;

    if (w->relay == 0 || w->asked || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return status;
    if (said < 0 && syscall(SYS_wait4, w->relay, &said, 0, NULL) != w->relay)
        return status;
    return said;
}

/* Reap every orphan; pass SIGTERM on; when the payload ends, hand its wait status up and exit,
 * which makes the kernel end whatever is left in the namespace. */
static _Noreturn void reap(struct waited *w, const sigset_t *signals)
{
    for (;;) {
        siginfo_t info;
        int signal = sigwaitinfo(signals, &info);

        if (signal == SIGTERM || signal == SIGINT || signal == SIGHUP) {
            (void)kill(w->payload, signal);
            w->asked = true;
        }
        for (;;) {
            int status;
            pid_t pid = (pid_t)syscall(SYS_wait4, -1, &status, WNOHANG, NULL);

            if (pid <= 0)
                break;
            if (w->relay != 0 && pid == w->relay)
                w->relay_status = status;
            if (pid == w->payload) {
                status = last_word(w, status);
                ssize_t ignored = write(FD_STATUS, &status, sizeof status);

                (void)ignored;
                _exit(0);
            }
        }
    }
}

/* A tender is given nothing of the environment: what is in it is for a payload's own program. */
void child_fill_command(struct child *c, struct tender_args *tender)
{
    const struct plan *plan = c->plan;

    if (plan->vm != PLAN_VM_NONE) {
        tender_args(plan, tender);
        c->disk_bytes = tender_disk(plan);
        for (uint32_t i = 0; i < tender->n; i++)
            c->argv[i] = tender->text[i];
        return;
    }
    for (uint32_t i = 0; i < plan->n_args; i++)
        c->argv[i] = (char *)(uintptr_t)plan->args[i];
    for (uint32_t i = 0; i < plan->n_env; i++)
        c->envp[i] = (char *)(uintptr_t)plan->env[i];
}

static int run_payload(void *arg)
{
    child_run_steps(arg, payload_steps, PAYLOAD_STEPS, INIT_STEPS);
    return 127; /* not reached: exec does not return without failing */
}

_Noreturn void child_run(const struct child *c)
{
    static char stack[PAYLOAD_STACK] __attribute__((aligned(64)));
    sigset_t signals;

    child_run_steps(c, init_steps, INIT_STEPS, 0);

    /* Blocked before the fork, so that no SIGCHLD is lost; the payload unblocks its own. */
    (void)sigfillset(&signals);
    if (sigprocmask(SIG_SETMASK, &signals, NULL) != 0)
        child_fail(c, STEP_FORK);
    struct waited waited = { .relay = start_relay(c), .relay_status = -1 };

    /* In this memory, for the time until exec: it would be copied to be thrown away. */
    waited.payload = clone(run_payload, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD,
                           (void *)(uintptr_t)c);
    if (waited.payload < 0)
        child_fail(c, STEP_FORK);

    if (become_reaper(c) != 0)
        child_fail(c, STEP_REAPER);
    reap(&waited, &signals);
}
