/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"

/* A call that is allowed when one argument, cut by a mask, has one value. */
struct arg_rule {
    const char *name;
    unsigned int arg;
    uint64_t mask;
    uint64_t value;
};

struct profile {
    const char *label;
    uint32_t otherwise;               /* action for what no table names */
    const char *const *const *allow;  /* NULL-terminated list of NULL-terminated lists */
    const struct arg_rule *allow_arg; /* ends with a NULL name */
    bool inside;                      /* in a sandbox: denied_inside applies too */
};

#define INT_MASK 0xffffffffULL
#define NAMESPACES                                                                                 \
    ((uint64_t)CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |       \
     CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME_FLAG)
#define CLONE_NEWTIME_FLAG 0x80U

/* clang-format off */
static const char *const files[] = {
    "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "preadv2",
    "pwritev2", "open", "openat", "openat2", "creat", "close", "close_range", "stat", "fstat",
    "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat", "faccessat2",
    "lseek", "flock", "fsync", "fdatasync", "sync_file_range", "truncate", "ftruncate", "fallocate",
    "fadvise64", "readahead", "getdents", "getdents64", "getcwd", "chdir", "fchdir", "rename",
    "renameat", "renameat2", "mkdir", "mkdirat", "rmdir", "link", "linkat", "unlink", "unlinkat",
    "symlink", "symlinkat", "readlink", "readlinkat", "chmod", "fchmod", "fchmodat", "chown",
    "fchown", "lchown", "fchownat", "umask", "utime", "utimes", "utimensat", "futimesat",
    "copy_file_range", "sendfile", "dup", "dup2", "dup3", "pipe", "pipe2", "getxattr", "lgetxattr",
    "fgetxattr", "listxattr", "llistxattr", "flistxattr", NULL,
};
static const char *const memory[] = {
    "brk", "mmap", "mprotect", "munmap", "mremap", "madvise", "msync", "mincore", "mlock", "mlock2",
    "munlock", "membarrier", "arch_prctl", "rseq", NULL,
};
static const char *const events[] = {
    "poll", "ppoll", "select", "pselect6", "epoll_create", "epoll_create1", "epoll_ctl",
    "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2", "signalfd", "signalfd4",
    "timerfd_create", "timerfd_settime", "timerfd_gettime", "inotify_init", "inotify_init1",
    "inotify_add_watch", "inotify_rm_watch", NULL,
};
static const char *const processes[] = {
    "fork", "vfork", "execve", "execveat", "exit", "exit_group", "wait4", "waitid", "kill", "tkill",
    "tgkill", "getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "getresuid",
    "getresgid", "getgroups", "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid",
    "getpgid", "setpgid", "getpgrp", "getsid", "setsid", "getrlimit", "getrusage", "times", "getpriority", "setpriority", "sched_yield", "sched_getaffinity",
    "sched_setaffinity", "sched_getparam", "sched_getscheduler", "sched_getattr",
    "sched_get_priority_max", "sched_get_priority_min", "sched_rr_get_interval", "getcpu", "capget",
    "pidfd_open", "pidfd_send_signal", "futex", "futex_waitv", "set_robust_list", "get_robust_list",
    "set_tid_address", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending",
    "rt_sigtimedwait", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "rt_sigsuspend", "sigaltstack",
    "restart_syscall", "pause", "landlock_create_ruleset", "landlock_add_rule",
    "landlock_restrict_self", NULL,
};
static const char *const times_and_system[] = {
    "gettimeofday", "time", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "alarm",
    "getitimer", "setitimer", "timer_create", "timer_settime", "timer_gettime", "timer_getoverrun",
    "timer_delete", "uname", "sysinfo", "getrandom", NULL,
};
/* AF_UNIX only: what makes a socket is in allow_posix_arg. */
static const char *const sockets[] = {
    "bind", "connect", "listen", "accept", "accept4", "getsockname", "getpeername", "sendto",
    "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown", "setsockopt", "getsockopt",
    NULL,
};
static const char *const reaping[] = {
    "wait4", "kill", "write", "close", "exit", "exit_group", "rt_sigtimedwait", "rt_sigreturn",
    "restart_syscall", NULL,
};

static const char *const *const allow_posix[] = {
    files, memory, events, processes, times_and_system, sockets, NULL,
};
static const char *const *const allow_reaper[] = { reaping, NULL };
static const char *const *const allow_nothing[] = { NULL };

/* Known and dangerous: refused so that the caller notices. */
static const char *const denied[] = {
    "bpf", "perf_event_open", "userfaultfd", "process_vm_readv", "process_vm_writev",
    "kcmp", "pidfd_getfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key",
    "request_key", "name_to_handle_at", "open_by_handle_at", "vmsplice", "lookup_dcookie",
    "fanotify_init", "modify_ldt", "move_pages", "migrate_pages", "memfd_secret", NULL,
};
/* As above, but berth-launch needs them to set a sandbox up (ptrace: its leak checker). */
static const char *const denied_inside[] = {
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount",
    "fspick", "open_tree", "move_mount", "mount_setattr", "ptrace", "keyctl", "splice", "tee", "memfd_create",
    "capset", "setgroups", "sethostname", "setdomainname", "seccomp", "sched_setattr",
    "sched_setscheduler", "sched_setparam", "sync", "syncfs", "vhangup", "ioprio_set", "mbind",
    "set_mempolicy", "process_madvise", NULL,
};
/* Only an attacker asks for these. */
static const char *const tampering[] = {
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot",
    "swapon", "swapoff", "settimeofday", "clock_settime", "adjtimex", "clock_adjtime", "iopl",
    "ioperm", "quotactl", "quotactl_fd", "syslog", "acct", NULL,
};
/* clang-format on */

static const struct arg_rule allow_nothing_arg[] = { { 0 } };

static const struct arg_rule allow_posix_arg[] = {
    { "clone", 0, NAMESPACES, 0 },
    { "socket", 0, INT_MASK, AF_UNIX },
    { "socketpair", 0, INT_MASK, AF_UNIX },
    { "mknod", 1, S_IFMT, S_IFIFO },
    { "mknod", 1, S_IFMT, S_IFREG },
    { "mknodat", 2, S_IFMT, S_IFIFO },
    { "mknodat", 2, S_IFMT, S_IFREG },
    { "personality", 0, INT_MASK, 0xffffffffULL }, /* asks only */
    { "personality", 0, INT_MASK, 0 },
    { "ioctl", 1, INT_MASK, FIONREAD },
    { "ioctl", 1, INT_MASK, FIONBIO },
    { "ioctl", 1, INT_MASK, FIOASYNC },
    { "ioctl", 1, INT_MASK, FIOCLEX },
    { "ioctl", 1, INT_MASK, FIONCLEX },
    { "ioctl", 1, INT_MASK, TCGETS },
    { "ioctl", 1, INT_MASK, TIOCGWINSZ },
    { "ioctl", 1, INT_MASK, TIOCGPGRP },
    { "prctl", 0, INT_MASK, PR_SET_NAME },
    { "prctl", 0, INT_MASK, PR_GET_NAME },
    { "prctl", 0, INT_MASK, PR_SET_PDEATHSIG },
    { "prctl", 0, INT_MASK, PR_GET_PDEATHSIG },
    { "prctl", 0, INT_MASK, PR_SET_DUMPABLE },
    { "prctl", 0, INT_MASK, PR_GET_DUMPABLE },
    { "prctl", 0, INT_MASK, PR_SET_NO_NEW_PRIVS },
    { "prctl", 0, INT_MASK, PR_GET_NO_NEW_PRIVS },
    { "prctl", 0, INT_MASK, PR_SET_CHILD_SUBREAPER },
    { "prctl", 0, INT_MASK, PR_SET_TIMERSLACK },
    { "prctl", 0, INT_MASK, PR_GET_TIMERSLACK },
    { "prctl", 0, INT_MASK, PR_CAPBSET_READ },
    { "prctl", 0, INT_MASK, PR_GET_SECUREBITS },
    { "prctl", 0, INT_MASK, PR_GET_SECCOMP },
    { "prctl", 0, INT_MASK, 0x53564d41U }, /* PR_SET_VMA: names for memory areas */
    /* Every limit but CORE: one that was lowered to 0 has the kernel start the host's core handler,
     * as root and with the payload's memory as its input. */
    { "setrlimit", 0, INT_MASK, RLIMIT_CPU },
    { "setrlimit", 0, INT_MASK, RLIMIT_FSIZE },
    { "setrlimit", 0, INT_MASK, RLIMIT_DATA },
    { "setrlimit", 0, INT_MASK, RLIMIT_STACK },
    { "setrlimit", 0, INT_MASK, RLIMIT_RSS },
    { "setrlimit", 0, INT_MASK, RLIMIT_NPROC },
    { "setrlimit", 0, INT_MASK, RLIMIT_NOFILE },
    { "setrlimit", 0, INT_MASK, RLIMIT_MEMLOCK },
    { "setrlimit", 0, INT_MASK, RLIMIT_AS },
    { "setrlimit", 0, INT_MASK, RLIMIT_LOCKS },
    { "setrlimit", 0, INT_MASK, RLIMIT_SIGPENDING },
    { "setrlimit", 0, INT_MASK, RLIMIT_MSGQUEUE },
    { "setrlimit", 0, INT_MASK, RLIMIT_NICE },
    { "setrlimit", 0, INT_MASK, RLIMIT_RTPRIO },
    { "setrlimit", 0, INT_MASK, RLIMIT_RTTIME },
    { "prlimit64", 1, INT_MASK, RLIMIT_CPU },
    { "prlimit64", 1, INT_MASK, RLIMIT_FSIZE },
    { "prlimit64", 1, INT_MASK, RLIMIT_DATA },
    { "prlimit64", 1, INT_MASK, RLIMIT_STACK },
    { "prlimit64", 1, INT_MASK, RLIMIT_RSS },
    { "prlimit64", 1, INT_MASK, RLIMIT_NPROC },
    { "prlimit64", 1, INT_MASK, RLIMIT_NOFILE },
    { "prlimit64", 1, INT_MASK, RLIMIT_MEMLOCK },
    { "prlimit64", 1, INT_MASK, RLIMIT_AS },
    { "prlimit64", 1, INT_MASK, RLIMIT_LOCKS },
    { "prlimit64", 1, INT_MASK, RLIMIT_SIGPENDING },
    { "prlimit64", 1, INT_MASK, RLIMIT_MSGQUEUE },
    { "prlimit64", 1, INT_MASK, RLIMIT_NICE },
    { "prlimit64", 1, INT_MASK, RLIMIT_RTPRIO },
    { "prlimit64", 1, INT_MASK, RLIMIT_RTTIME },
    { "prlimit64", 2, UINT64_MAX, 0 }, /* asks only */
    { "fcntl", 1, INT_MASK, F_DUPFD },
    { "fcntl", 1, INT_MASK, F_DUPFD_CLOEXEC },
    { "fcntl", 1, INT_MASK, F_GETFD },
    { "fcntl", 1, INT_MASK, F_SETFD },
    { "fcntl", 1, INT_MASK, F_GETFL },
    { "fcntl", 1, INT_MASK, F_SETFL },
    { "fcntl", 1, INT_MASK, F_GETLK },
    { "fcntl", 1, INT_MASK, F_SETLK },
    { "fcntl", 1, INT_MASK, F_SETLKW },
    { "fcntl", 1, INT_MASK, F_OFD_GETLK },
    { "fcntl", 1, INT_MASK, F_OFD_SETLK },
    { "fcntl", 1, INT_MASK, F_OFD_SETLKW },
    { "fcntl", 1, INT_MASK, F_GETOWN },
    { "fcntl", 1, INT_MASK, F_SETOWN },
    { "fcntl", 1, INT_MASK, F_GETPIPE_SZ },
    { "fcntl", 1, INT_MASK, F_SETPIPE_SZ },
    { 0 },
};

static const struct profile profiles[SECCOMP_PROFILES] = {
    [SECCOMP_PROFILE_POSIX] = { "posix", SCMP_ACT_ERRNO(ENOSYS), allow_posix, allow_posix_arg,
                                true },
    [SECCOMP_PROFILE_REAPER] = { "reaper", SCMP_ACT_ERRNO(ENOSYS), allow_reaper, allow_nothing_arg,
                                 true },
    [SECCOMP_PROFILE_LAUNCHER] = { "launcher", SCMP_ACT_ALLOW, allow_nothing, allow_nothing_arg,
                                   false },
};

static void free_filter(scmp_filter_ctx *filter)
{
    if (*filter != NULL)
        seccomp_release(*filter);
}

/* A name that this architecture does not have (open on arm64) resolves negative and needs no rule:
 * there is no number to allow. */
static int add_names(scmp_filter_ctx filter, uint32_t action, const char *const *names)
{
    for (; *names != NULL; names++) {
        int nr = seccomp_syscall_resolve_name(*names);

        if (nr < 0)
            continue;
        int rc = seccomp_rule_add(filter, action, nr, 0);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int add_args(scmp_filter_ctx filter, const struct arg_rule *rules)
{
    for (; rules->name != NULL; rules++) {
        int nr = seccomp_syscall_resolve_name(rules->name);

        if (nr < 0)
            continue;
        int rc =
            seccomp_rule_add(filter, SCMP_ACT_ALLOW, nr, 1,
                             SCMP_CMP(rules->arg, SCMP_CMP_MASKED_EQ, rules->mask, rules->value));
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int add_profile(scmp_filter_ctx filter, const struct profile *p)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

    if (rc == 0)
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    for (const char *const *const *list = p->allow; rc == 0 && *list != NULL; list++)
        rc = add_names(filter, SCMP_ACT_ALLOW, *list);
    if (rc == 0)
        rc = add_args(filter, p->allow_arg);
    if (rc == 0)
        rc = add_names(filter, SCMP_ACT_ERRNO(EPERM), denied);
    if (rc == 0 && p->inside)
        rc = add_names(filter, SCMP_ACT_ERRNO(EPERM), denied_inside);
    if (rc == 0)
        rc = add_names(filter, SCMP_ACT_KILL_PROCESS, tampering);
    return rc;
}

enum rc seccomp_build(enum seccomp_profile profile, struct seccomp_program *ret, struct err *err)
{
    const struct profile *p = &profiles[profile];
    scoped(free_filter) scmp_filter_ctx filter = seccomp_init(p->otherwise);
    scoped(close_fd) int fd = memfd_create("filter", MFD_CLOEXEC);

    if (filter == NULL || fd < 0)
        return err_sys(err, RC_LAYER_MISSING, "seccomp profile %s", p->label);
    int rc = add_profile(filter, p);
    if (rc == 0)
        rc = seccomp_export_bpf(filter, fd);
    if (rc != 0)
        return err_set(err, RC_LAYER_MISSING, "seccomp profile %s: error %d", p->label, -rc);

    ssize_t n = pread(fd, ret->code, sizeof ret->code, 0);
    if (n <= 0 || (size_t)n == sizeof ret->code || (size_t)n % sizeof ret->code[0] != 0)
        return err_set(err, RC_LAYER_MISSING, "seccomp profile %s: %zd bytes", p->label, n);
    ret->n = (unsigned short)((size_t)n / sizeof ret->code[0]);
    return RC_OK;
}

int seccomp_apply(const struct seccomp_program *program)
{
    struct sock_fprog prog = { .len = program->n,
                               .filter = (struct sock_filter *)(uintptr_t)program->code };

    return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0U, &prog);
}
