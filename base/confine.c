/* SPDX-License-Identifier: Apache-2.0 */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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
    "tgkill",
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
    "fcntl",
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
    "prlimit64",
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

static enum rc limit(int what, const char *name, uint64_t value, struct err *err)
{
    struct rlimit r = { .rlim_cur = value, .rlim_max = value };

    if (value > 0 && setrlimit((__rlimit_resource_t)what, &r) < 0)
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
