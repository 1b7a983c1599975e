/* SPDX-License-Identifier: Apache-2.0 */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What every process of ours needs to run a loop, use memory and end. */
static const char *const common[] = {
    "read",
    "write",
    "readv",
    "writev",
    "pread64",
    "pwrite64",
    "close",
    "fstat",
    "newfstatat",
    "statx",
    "lseek",
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "brk",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "exit",
    "exit_group",
    "futex",
    "getpid",
    "gettid",
    "getrandom",
    "clock_gettime",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "ppoll",
    "poll",
    "signalfd4",
    "timerfd_create",
    "timerfd_settime",
    "timerfd_gettime",
    "eventfd2",
    "dup",
    "dup3",
    "fsync",
    "fdatasync",
    "ftruncate",
    "openat2",
    "openat",
    "getdents64",
    "unlinkat",
    "renameat",
    "renameat2",
    "mkdirat",
    "fchmod",
    "faccessat2",
    "restart_syscall",
    "rseq",
    "set_robust_list",
    "sched_getaffinity",
    "sched_yield",
    "sysinfo",
    "uname",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "memfd_create",
    "ioctl",
    "rt_sigtimedwait",
    "recvmsg",
    "sendmsg",
    "sendto",
    "recvfrom",
    "flock",
    "membarrier",
#if defined(__x86_64__)
    "open",
    "access",
    "stat",
    "lstat",
    "unlink",
    "rename",
    "mkdir",
    "time",
    "arch_prctl",
#endif
#if defined(BERTH_SANITIZED)
    "clone",
    "clone3",
    "wait4",
    "ptrace",
    "prctl",
    "getppid",
    "readlink",
    "readlinkat",
    "pipe2",
    "setrlimit",
    "getrlimit",
    "process_vm_readv",
    "personality",
    "kill",
    "set_tid_address",
#endif
};

#define LANDLOCK_READ                                                                              \
    ((uint64_t)LANDLOCK_ACCESS_FS_READ_FILE | (uint64_t)LANDLOCK_ACCESS_FS_READ_DIR)
/* Reading, writing, making and removing plain files. */
#define LANDLOCK_PLAIN                                                                             \
    (LANDLOCK_READ | (uint64_t)LANDLOCK_ACCESS_FS_WRITE_FILE |                                     \
     (uint64_t)LANDLOCK_ACCESS_FS_MAKE_REG | (uint64_t)LANDLOCK_ACCESS_FS_REMOVE_FILE |            \
     (uint64_t)LANDLOCK_ACCESS_FS_REMOVE_DIR)
#define LANDLOCK_ABI1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

#if defined(BERTH_SANITIZED)
static int confined;

/* The leak checker needs /proc and ptrace at exit, which a confined process has given up; without
 * this it hangs or fails there. */
__attribute__((visibility("default"))) int __lsan_is_turned_off(void); /* NOLINT */
int __lsan_is_turned_off(void) /* NOLINT(bugprone-reserved-identifier) */
{
    return confined;
}
#endif

/* One that is lower already, and that we may not raise, stays: it confines no less. */
static bool is_lower(int what, uint64_t value)
{
    struct rlimit had;

    if (errno != EPERM || getrlimit((__rlimit_resource_t)what, &had) != 0 || had.rlim_max >= value)
        return false;
    had.rlim_cur = had.rlim_max;
    return setrlimit((__rlimit_resource_t)what, &had) == 0;
}

static enum rc limit(int what, const char *name, uint64_t value, struct err *err)
{
    struct rlimit r = { .rlim_cur = value, .rlim_max = value };

    if (value > 0 && setrlimit((__rlimit_resource_t)what, &r) < 0 && !is_lower(what, value))
        return err_sys(err, RC_CONFINE, "rlimit %s", name);
    return RC_OK;
}

static enum rc limits(const struct confine *rules, struct err *err)
{
    uint64_t memory = rules->memory_max;
    enum rc rc;

#if defined(BERTH_SANITIZED)
    memory = 0; /* shadow memory is address space */
#endif
    rc = limit(RLIMIT_FSIZE, "fsize", rules->file_size_max, err);
    if (rc == RC_OK)
        rc = limit(RLIMIT_NOFILE, "nofile", rules->files_max, err);
    if (rc == RC_OK)
        rc = limit(RLIMIT_AS, "as", memory, err);
    if (rc == RC_OK)
        rc = limit(RLIMIT_CORE, "core", 1, err); /* 0 would still start a piped core handler */
    return rc;
}

static enum rc landlock_dir(int ruleset, const struct confine_dir *dir, uint64_t all,
                            struct err *err)
{
    struct landlock_path_beneath_attr rule = {
        .allowed_access = dir->write ? all & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE : LANDLOCK_READ,
        .parent_fd = dir->fd,
    };

    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
        return err_sys(err, RC_CONFINE, "landlock rule");
    return RC_OK;
}

static enum rc landlock(const struct confine *rules, struct err *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    uint64_t all = LANDLOCK_ABI1;

    if (abi < 1)
        return err_sys(err, RC_CONFINE, "landlock is not in this kernel");
#if defined(LANDLOCK_ACCESS_FS_REFER)
    if (abi >= 2)
        all |= LANDLOCK_ACCESS_FS_REFER; /* else every rename between directories is refused */
#endif
    if (rules->may_exec)
        all &= ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE; /* by descriptor, which landlock checks too */

    if (rules->handed_dirs)
        all &= ~LANDLOCK_PLAIN;

    struct landlock_ruleset_attr attr = { .handled_access_fs = all };
    scoped(close_fd) int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);

    if (ruleset < 0)
        return err_sys(err, RC_CONFINE, "landlock ruleset");
    for (size_t i = 0; i < rules->n_dirs; i++) {
        enum rc rc = landlock_dir(ruleset, &rules->dirs[i], all, err);

        if (rc != RC_OK)
            return rc;
    }
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return err_sys(err, RC_CONFINE, "landlock");
    return RC_OK;
}

static void filter_free(scmp_filter_ctx *ctx)
{
    if (*ctx)
        seccomp_release(*ctx);
}

/* Names that this libseccomp or this machine does not have are not a loss: they stay forbidden. */
static enum rc allow(scmp_filter_ctx ctx, const char *name, struct err *err)
{
    int nr = seccomp_syscall_resolve_name(name);

    if (nr == __NR_SCMP_ERROR || nr < 0)
        return RC_OK;

    int got = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);

    if (got < 0 && got != -EEXIST)
        return err_set(err, RC_CONFINE, "seccomp rule %s", name);
    return RC_OK;
}

static enum rc allow_where(scmp_filter_ctx ctx, const char *name, struct scmp_arg_cmp where,
                           struct err *err)
{
    if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name(name), 1, where) < 0)
        return err_set(err, RC_CONFINE, "seccomp rule %s", name);
    return RC_OK;
}

/* An argument whose lower half, all that the kernel looks at, is this. */
static struct scmp_arg_cmp is(unsigned arg, uint64_t value)
{
    return SCMP_CMP(arg, SCMP_CMP_MASKED_EQ, UINT32_MAX, value);
}

/* Calls with which a process can reach others of its user: only as far as they are about itself. */
static enum rc allow_own(scmp_filter_ctx ctx, struct err *err)
{
    static const unsigned fcntls[] = {
        F_DUPFD,      F_GETFD,      F_SETFD,         F_GETFL,     F_SETFL,     F_GETLK,
        F_SETLK,      F_SETLKW,     F_DUPFD_CLOEXEC, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW,
        F_GETPIPE_SZ, F_SETPIPE_SZ, F_ADD_SEALS,     F_GET_SEALS,
    };
    enum rc rc = allow_where(ctx, "tgkill", is(0, (uint64_t)getpid()), err);

    if (rc == RC_OK)
        rc = allow_where(ctx, "prlimit64", is(0, 0), err);
    for (size_t i = 0; rc == RC_OK && i < sizeof fcntls / sizeof *fcntls; i++)
        rc = allow_where(ctx, "fcntl", is(1, fcntls[i]), err);
    return rc;
}

/* Threads are made by clone, whose flags a filter can see; those of clone3 it cannot, and libc
 * goes back to clone where that is missing. */
static enum rc allow_threads(scmp_filter_ctx ctx, struct err *err)
{
    if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0)
        return err_set(err, RC_CONFINE, "seccomp rule clone3");
    return allow_where(ctx, "clone", SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD),
                       err);
}

/* Sockets of the internet, over which nothing of this machine can be reached that others could not
 * reach as well. */
static enum rc allow_sockets(scmp_filter_ctx ctx, struct err *err)
{
    static const char *const any[] = { "connect", "accept4", "setsockopt", "getsockopt", NULL };
    enum rc rc = allow_where(ctx, "socket", is(0, AF_INET), err);

    if (rc == RC_OK)
        rc = allow_where(ctx, "socket", is(0, AF_INET6), err);
    for (const char *const *n = any; rc == RC_OK && *n; n++)
        rc = allow(ctx, *n, err);
    return rc;
}

/* What the common list leaves to the rules. */
static enum rc allow_by_rules(scmp_filter_ctx ctx, const struct confine *rules, struct err *err)
{
    static const char *const any[] = { "tgkill", "prlimit64", "fcntl" };
    bool all = rules->may_exec;
    bool threads = rules->threads;
    enum rc rc = RC_OK;

#if defined(BERTH_SANITIZED)
    all = true; /* sanitizers have processes and signals of their own */
    threads = false;
#endif
    if (!all)
        rc = allow_own(ctx, err);
    for (size_t i = 0; rc == RC_OK && all && i < sizeof any / sizeof *any; i++)
        rc = allow(ctx, any[i], err);
    if (rc == RC_OK && rules->sockets)
        rc = allow_sockets(ctx, err);
    return rc == RC_OK && threads ? allow_threads(ctx, err) : rc;
}

static enum rc filter(const struct confine *rules, struct err *err)
{
    static const char *const exec[] = { "execve", "execveat", NULL };
    scoped(filter_free) scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    enum rc rc = RC_OK;

    if (!ctx)
        return err_set(err, RC_CONFINE, "seccomp");
    for (size_t i = 0; rc == RC_OK && i < sizeof common / sizeof *common; i++)
        rc = allow(ctx, common[i], err);
    for (const char *const *n = rules->syscalls; rc == RC_OK && n && *n; n++)
        rc = allow(ctx, *n, err);
    for (const char *const *n = exec; rc == RC_OK && rules->may_exec && *n; n++)
        rc = allow(ctx, *n, err);
    if (rc == RC_OK)
        rc = allow_by_rules(ctx, rules, err);
    if (rc != RC_OK)
        return rc;
    if (seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2) < 0 || seccomp_load(ctx) < 0)
        return err_set(err, RC_CONFINE, "seccomp load");
    return RC_OK;
}

enum rc confine_self(const struct confine *rules, struct err *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_sys(err, RC_CONFINE, "%s: no_new_privs", rules->name);

    enum rc rc = limits(rules, err);

    if (rc == RC_OK)
        rc = landlock(rules, err);
    if (rc == RC_OK)
        rc = filter(rules, err);
#if defined(BERTH_SANITIZED)
    confined = 1;
#endif
    return rc;
}

enum rc confine_user(uid_t uid, gid_t gid, struct err *err)
{
    if (uid == 0 || gid == 0)
        return err_set(err, RC_CONFINE, "the user must not be root");
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
        setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return err_sys(err, RC_CONFINE, "become %u:%u", uid, gid);
    if (setresuid(0, 0, 0) == 0 || setresgid(0, 0, 0) == 0)
        return err_set(err, RC_CONFINE, "root can be had back");

    cap_t now = cap_get_proc();
    cap_t none = cap_init();
    bool clean = now && none && cap_compare(now, none) == 0;

    if (now)
        (void)cap_free(now);
    if (none)
        (void)cap_free(none);
    return clean ? RC_OK : err_set(err, RC_CONFINE, "capabilities are left");
}

bool confine_parse_user(const char *text, uid_t *ret_uid, gid_t *ret_gid)
{
    char *end = NULL;

    errno = 0;
    unsigned long uid = strtoul(text, &end, 10);
    unsigned long gid = uid;

    if (text[0] < '0' || text[0] > '9')
        return false;
    if (*end == ':' && end[1] >= '0' && end[1] <= '9')
        gid = strtoul(end + 1, &end, 10);
    if (errno != 0 || *end != '\0' || uid == 0 || gid == 0 || uid >= UINT32_MAX ||
        gid >= UINT32_MAX)
        return false;
    *ret_uid = (uid_t)uid;
    *ret_gid = (gid_t)gid;
    return true;
}
