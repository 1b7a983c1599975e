/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/walls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/caps.h"
#include "sandbox/kernfile.h"
#include "sandbox/landlock.h"
#include "sandbox/mounts.h"
#include "sandbox/seccomp.h"

#define SCOPE_ABI 6
#define FD_NONE 1000000U      /* no descriptor of ours is that high */
#define CORE_PATTERN_CAP 160U /* the kernel's own is 128 */
#define NOT_HELD EPROTO       /* it was built, and did not hold */

static int try_apart(int (*try)(void));

/* Run in a process of its own.  0, or an errno. */
struct attempt {
    enum wall wall;
    int (*try)(void);
};

static int result(bool good)
{
    return good ? 0 : errno != 0 ? errno : NOT_HELD;
}

/* ---- namespaces ----------------------------------------------------------------------------- */

static int leave(int namespace)
{
    return result(unshare(namespace) == 0);
}

static int try_user(void)
{
    return leave(CLONE_NEWUSER);
}

static int try_mount(void)
{
    return leave(CLONE_NEWNS);
}

static int try_net(void)
{
    return leave(CLONE_NEWNET);
}

static int try_ipc(void)
{
    return leave(CLONE_NEWIPC);
}

static int try_uts(void)
{
    return leave(CLONE_NEWUTS);
}

static int try_cgroup_namespace(void)
{
    return leave(CLONE_NEWCGROUP);
}

static int try_time(void)
{
    return leave(CLONE_NEWTIME);
}

/* The next child has number 1 there. */
static int try_pid(void)
{
    int status;

    if (unshare(CLONE_NEWPID) != 0)
        return errno;
    pid_t pid = fork();
    if (pid == 0)
        _exit(getpid() == 1 ? 0 : 1);
    return result(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

/* An ordinary user's launcher has no other id than its own. */
static int try_no_nested(void)
{
    char map[32];

    (void)snprintf(map, sizeof map, "0 %u 1", geteuid());
    if (unshare(CLONE_NEWUSER) != 0 || kernfile_put(AT_FDCWD, "/proc/self/uid_map", map) != 0 ||
        kernfile_put(AT_FDCWD, "/proc/sys/user/max_user_namespaces", "0") != 0)
        return errno;
    return unshare(CLONE_NEWUSER) == 0 ? NOT_HELD : 0;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int try_detached_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return errno;
    scoped(close_fd) int fs = mounts_new_tmpfs();
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

    if (fs < 0 || move_mount(fs, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return errno;
    /* Of what is attached: before Linux 6.15 nothing else can be cloned; and nothing below which
     * the host has mounts, by a launcher that an ordinary user runs. */
    scoped(close_fd) int copy = open_tree(AT_FDCWD, "/proc", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (copy < 0 || mount_setattr(copy, "", AT_EMPTY_PATH, &attr, sizeof attr) != 0 ||
        move_mount(copy, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return errno;
    return mkdir("/proc/x", 0700) == 0 || errno != EROFS ? NOT_HELD : 0;
}

static int look(const char *path)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                       RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };
    scoped(close_fd) int root = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static int try_beneath(void)
{
    if (look("fd") < 0)
        return errno;
    return look("..") >= 0 || errno != EXDEV || look("exe") >= 0 ? NOT_HELD : 0;
}

/* The kernel looks at the descriptor only when it knows the attribute. */
static int try_idmapped(void)
{
    scoped(close_fd) int fs = mounts_new_tmpfs();
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = FD_NONE };

    if (fs < 0)
        return errno;
    if (mount_setattr(fs, "", AT_EMPTY_PATH, &attr, sizeof attr) == 0)
        return NOT_HELD;
    return errno == EBADF ? 0 : errno;
}

static int look_at_subset(void)
{
    scoped(close_fd) int fs = mounts_new_proc(true);

    if (fs < 0)
        return errno;
    return faccessat(fs, "version", F_OK, 0) == 0 || faccessat(fs, "1", F_OK, 0) != 0 ? NOT_HELD
                                                                                      : 0;
}

/* In processes of its own, as a payload's will be: those of the host are not everybody's to mount.
 */
static int try_proc_subset(void)
{
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
        return errno;
    return try_apart(look_at_subset);
}

static int try_close_range(void)
{
    scoped(close_fd) int fd = fcntl(0, F_DUPFD_CLOEXEC, 100);

    if (fd < 0 || syscall(SYS_close_range, 100U, ~0U, 0U) != 0)
        return errno;
    bool open_still = fcntl(fd, F_GETFD) >= 0;
    (void)take_fd(&fd);
    return open_still ? NOT_HELD : 0;
}

static int try_exec_by_descriptor(void)
{
    char *none[] = { NULL };

    (void)syscall(SYS_execveat, FD_NONE, "", none, none, AT_EMPTY_PATH);
    return errno == EBADF ? 0 : errno;
}

/* ---- processes ------------------------------------------------------------------------------ */

static int try_pidfd(void)
{
    int fd = -1;
    struct clone_args args = { .flags = CLONE_PIDFD,
                               .pidfd = (uint64_t)(uintptr_t)&fd,
                               .exit_signal = SIGCHLD };
    siginfo_t info = { .si_status = 0 };
    long pid = syscall(SYS_clone3, &args, sizeof args);

    if (pid == 0) {
        for (;;)
            (void)pause();
    }
    if (pid < 0)
        return errno;
    if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0U) != 0) {
        int error = errno;

        (void)kill((pid_t)pid, SIGKILL);
        return error;
    }
    return result(waitid(P_PIDFD, (id_t)fd, &info, WEXITED) == 0 && info.si_status == SIGKILL);
}

static int try_no_new_privs(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0)
        return errno;
    return prctl(PR_GET_NO_NEW_PRIVS, 0UL, 0UL, 0UL, 0UL) == 1 ? 0 : NOT_HELD;
}

static int try_seccomp(void)
{
    const struct seccomp_program program = {
        .n = 4,
        .code = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
                  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EDOM),
                  BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) },
    };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 || seccomp_apply(&program) != 0)
        return errno;
    return syscall(SYS_getppid) == -1 && errno == EDOM ? 0 : NOT_HELD;
}

static int try_landlock(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 || landlock_shut_files() != 0)
        return errno;
    scoped(close_fd) int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    return fd < 0 && errno == EACCES ? 0 : NOT_HELD;
}

static int try_landlock_scope(void)
{
    if (landlock_abi() < SCOPE_ABI)
        return ENOSYS;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) != 0 || landlock_shut_scope() != 0)
        return errno;
    return kill(getppid(), 0) != 0 && errno == EPERM ? 0 : NOT_HELD;
}

static int try_bounding_set(void)
{
    if (caps_drop_bounding() != 0)
        return errno;
    return prctl(PR_CAPBSET_READ, (unsigned long)CAP_CHOWN, 0UL, 0UL, 0UL) == 0 ? 0 : NOT_HELD;
}

static int try_securebits(void)
{
    if (caps_lock_securebits() != 0)
        return errno;
    int bits = prctl(PR_GET_SECUREBITS, 0UL, 0UL, 0UL, 0UL);
    return bits >= 0 && (bits & SECBIT_NOROOT_LOCKED) != 0 ? 0 : NOT_HELD;
}

/* A kernel without keyrings has none to protect. */
static int try_keyring(void)
{
    return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS ? errno
                                                                                         : 0;
}

/* A handler, started ("|") or called on a socket ("@", Linux 6.16), is the host's root, with the
 * payload's memory as its input. */
static int read_core_pattern(char out[CORE_PATTERN_CAP])
{
    scoped(close_fd) int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, CORE_PATTERN_CAP - 1);

    out[n < 0 ? 0 : n] = '\0';
    return n < 0 ? -1 : 0;
}

static bool has_handler(const char *pattern)
{
    return pattern[0] == '|' || pattern[0] == '@';
}

static int try_core_pattern(void)
{
    char pattern[CORE_PATTERN_CAP];

    if (read_core_pattern(pattern) != 0)
        return errno == ENOENT ? 0 : errno;
    return has_handler(pattern) ? NOT_HELD : 0;
}

enum rc walls_check_core(struct err *err)
{
    char pattern[CORE_PATTERN_CAP];

    if (read_core_pattern(pattern) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "core_pattern");
    if (has_handler(pattern) || strchr(pattern, '/') != NULL || pattern[0] == '\n')
        return err_set(err, RC_NOT_BUILT, "core: core_pattern of the host is no plain name");
    return RC_OK;
}

/* ---- trying --------------------------------------------------------------------------------- */

static const struct attempt attempts[] = {
    { WALL_USER_NAMESPACE, try_user },
    { WALL_MOUNT_NAMESPACE, try_mount },
    { WALL_PID_NAMESPACE, try_pid },
    { WALL_NET_NAMESPACE, try_net },
    { WALL_IPC_NAMESPACE, try_ipc },
    { WALL_UTS_NAMESPACE, try_uts },
    { WALL_CGROUP_NAMESPACE, try_cgroup_namespace },
    { WALL_TIME_NAMESPACE, try_time },
    { WALL_DETACHED_MOUNTS, try_detached_mounts },
    { WALL_BENEATH_LOOKUP, try_beneath },
    { WALL_IDMAPPED_MOUNTS, try_idmapped },
    { WALL_PROC_SUBSET, try_proc_subset },
    { WALL_PIDFD, try_pidfd },
    { WALL_CLOSE_RANGE, try_close_range },
    { WALL_EXEC_BY_DESCRIPTOR, try_exec_by_descriptor },
    { WALL_NO_NEW_PRIVS, try_no_new_privs },
    { WALL_SECCOMP, try_seccomp },
    { WALL_LANDLOCK, try_landlock },
    { WALL_LANDLOCK_SCOPE, try_landlock_scope },
    { WALL_BOUNDING_SET, try_bounding_set },
    { WALL_SECUREBITS, try_securebits },
    { WALL_NO_NESTED_NAMESPACES, try_no_nested },
    { WALL_SESSION_KEYRING, try_keyring },
    { WALL_CORE_PATTERN, try_core_pattern },
};

/* 0, or an errno: it ends with the process that tried. */
static int try_apart(int (*try)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        errno = 0;
        int error = try();

        _exit(error >= 0 && error < 255 ? error : 254);
    }
    if (pid < 0)
        return errno;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : NOT_HELD;
}

static bool required(const struct walls *walls, enum wall wall)
{
    return wall_kind(wall) != WALL_KIND_OPTIONAL || (walls->policy.require & wall_bit(wall)) != 0;
}

void walls_lose(struct walls *walls, enum wall wall, int error)
{
    uint64_t bit = wall_bit(wall);

    walls->standing &= ~bit;
    walls->missing |= bit;
    walls->error[wall] = error;
    if (required(walls, wall))
        walls->waived |= walls->policy.waive & bit;
}

static void found(struct walls *walls, enum wall wall, int error)
{
    if (error != 0)
        walls_lose(walls, wall, error);
    else
        walls->standing |= wall_bit(wall);
}

void walls_try(const struct wall_policy *policy, struct walls *ret)
{
    *ret = (struct walls){ .policy = *policy };
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++)
        found(ret, attempts[i].wall, try_apart(attempts[i].try));
    ret->landlock_abi = walls_stand(ret, WALL_LANDLOCK) ? landlock_abi() : 0;
    if (ret->landlock_abi >= SCOPE_ABI && !walls_stand(ret, WALL_LANDLOCK_SCOPE))
        ret->landlock_abi = SCOPE_ABI - 1;
}

void walls_try_cgroups(const struct cgroup_tree *tree, struct walls *walls)
{
    const struct {
        enum wall wall;
        uint32_t has;
    } rows[] = {
        { WALL_MEMORY_CONTROLLER, CGROUP_HAS_MEMORY },
        { WALL_PIDS_CONTROLLER, CGROUP_HAS_PIDS },
        { WALL_CPU_CONTROLLER, CGROUP_HAS_CPU },
        { WALL_DEVICE_CONTROLLER, CGROUP_HAS_DEVICES },
        { WALL_IO_CONTROLLER, CGROUP_HAS_IO },
        { WALL_CLONE_INTO_CGROUP, CGROUP_HAS_CLONE },
        { WALL_CGROUP_KILL, CGROUP_HAS_KILL },
        { WALL_CGROUP_FREEZE, CGROUP_HAS_FREEZE },
    };
    uint32_t has = tree != NULL ? tree->has : 0;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        found(walls, rows[i].wall, (has & rows[i].has) != 0 ? 0 : ENOENT);
}

enum rc walls_check(const struct walls *walls, struct err *err)
{
    if (walls->policy.unknown[0] != '\0')
        return err_set(err, RC_LAYER_MISSING, "%s: required here, and no wall that is known",
                       walls->policy.unknown);
    for (unsigned int i = 0; i < WALLS_MAX; i++) {
        uint64_t bit = 1ULL << i;

        if ((walls->missing & bit) == 0 || (walls->waived & bit) != 0 ||
            !required(walls, (enum wall)i))
            continue;
        errno = walls->error[i];
        return err_sys(err, RC_LAYER_MISSING, "%s", wall_name(i));
    }
    return RC_OK;
}
