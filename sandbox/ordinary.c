/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/ordinary.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "sandbox/cgroup_file.h"
#include "sandbox/kernfile.h"
#include "sandbox/receipt.h"

#define INODE_BYTES 4096U /* one file for each so many */
#define INODES_MIN 64U
#define STILL_ROUNDS 1000 /* over all processes; those that fork meanwhile are fewer each time */

/* ---- namespaces ----------------------------------------------------------------------------- */

static bool setting_is(const char *path, char value)
{
    char text[16];

    cgroup_get(AT_FDCWD, path, text, sizeof text);
    return text[0] == value && (text[1] == '\n' || text[1] == '\0');
}

const char *ordinary_advice(void)
{
    static const struct {
        const char *path;
        char value;
        const char *advice;
    } rows[] = {
        { "/proc/sys/kernel/unprivileged_userns_clone", '0',
          "as root: sysctl -w kernel.unprivileged_userns_clone=1" },
        { "/proc/sys/user/max_user_namespaces", '0',
          "as root: sysctl -w user.max_user_namespaces=15000" },
        { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", '1',
          "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor "
          "profile for berth-try with \"userns,\"" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (setting_is(rows[i].path, rows[i].value))
            return rows[i].advice;
    }
    return "run it where user namespaces are allowed: outside of a container that filters them";
}

static int map_self(uid_t uid, gid_t gid)
{
    char map[48];

    (void)snprintf(map, sizeof map, "%u %u 1", uid, uid);
    if (kernfile_put(AT_FDCWD, "/proc/self/setgroups", "deny") != 0 ||
        kernfile_put(AT_FDCWD, "/proc/self/uid_map", map) != 0)
        return -1;
    (void)snprintf(map, sizeof map, "%u %u 1", gid, gid);
    return kernfile_put(AT_FDCWD, "/proc/self/gid_map", map);
}

enum rc ordinary_enter(struct err *err)
{
    const uid_t uid = geteuid();
    const gid_t gid = getegid();

    if (uid == 0)
        return err_set(err, RC_CONFINE, "trying a payload as root");
    if (unshare(CLONE_NEWUSER) != 0 || map_self(uid, gid) != 0)
        return err_sys(err, RC_LAYER_MISSING, "user-namespace");
    /* Where a security module takes the rights away, this is what fails. */
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return err_sys(err, RC_LAYER_MISSING, "mount-namespace");
    return RC_OK;
}

/* ---- walls ---------------------------------------------------------------------------------- */

/* Whole or cut: whether procfs can be mounted at all, in processes of its own. */
static bool can_mount_proc(void)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
            _exit(1);
        pid_t inner = fork();
        if (inner == 0)
            _exit(mounts_new_proc(false) >= 0 ? 0 : 1);
        _exit(inner > 0 && waitpid(inner, &status, 0) == inner && status == 0 ? 0 : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

void ordinary_init(struct launcher *launcher, const struct wall_policy *policy,
                   struct launch_ordinary *self)
{
    self->uid = geteuid();
    self->gid = getegid();
    launch_init(launcher, policy);
    /* With one id there is no other to shift it to. */
    walls_lose(&launcher->walls, WALL_IDMAPPED_MOUNTS, EPERM);
    walls_try_cgroups(&launcher->tree, &launcher->walls);
    self->no_proc = !walls_stand(&launcher->walls, WALL_PROC_SUBSET) && !can_mount_proc();
    launcher->own_filters = receipt_own_filters();
    launcher->mail_userns[0] = launcher->mail_userns[1] = -1;
    launcher->ordinary = self;
}

const char *ordinary_weaker(const struct walls *walls, enum wall wall)
{
    const struct {
        enum wall wall;
        bool stands;
        const char *text;
    } rows[] = {
        { WALL_USER_NAMESPACE, true,
          "one id, and it is yours here; on board a range that is nobody else's. Your groups stay "
          "with the payload" },
        { WALL_IDMAPPED_MOUNTS, false,
          "/data and mail lie in this machine's memory, at their size" },
        { WALL_MEMORY_CONTROLLER, false,
          "RLIMIT_DATA stands in: of each process for itself, without /tmp and page cache" },
        { WALL_PIDS_CONTROLLER, false, "RLIMIT_NPROC stands in: the same number, for all of it" },
        { WALL_CPU_CONTROLLER, false, "nothing stands in: it may have all of your processors" },
        { WALL_CGROUP_FREEZE, false, "SIGSTOP stands in: the payload's parents can see it" },
        { WALL_CGROUP_KILL, false, "its pid namespace ends with its process 1" },
        { WALL_CLONE_INTO_CGROUP, false, "it is moved into the groups that there are" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].wall == wall && rows[i].stands == walls_stand(walls, wall))
            return rows[i].text;
    }
    return NULL;
}

const char *ordinary_why(enum wall wall)
{
    switch ((int)wall) {
    case WALL_IDMAPPED_MOUNTS:
        return "one id only";
    case WALL_MEMORY_CONTROLLER:
    case WALL_PIDS_CONTROLLER:
    case WALL_CPU_CONTROLLER:
    case WALL_CLONE_INTO_CGROUP:
    case WALL_CGROUP_KILL:
    case WALL_CGROUP_FREEZE:
        return "no control group is delegated to you";
    case WALL_IO_CONTROLLER:
    case WALL_DEVICE_CONTROLLER:
        return "root's alone to set";
    default:
        return NULL;
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Directories that machines have and that nobody keeps files in: covered for us alone. */
static const char *const places[] = { "/sys/kernel", "/sys/block", "/mnt", "/media" };

enum rc ordinary_memory(int dirfd, const char *name, uint64_t bytes, int *ret_fd, struct err *err)
{
    const uint64_t inodes = bytes / INODE_BYTES < INODES_MIN ? INODES_MIN : bytes / INODE_BYTES;
    scoped(close_fd) int fd = mounts_new_memory(bytes, inodes, geteuid(), dirfd < 0);

    if (fd < 0)
        return err_sys(err, RC_LAUNCH_STEP, "memory for %s", name);
    if (dirfd >= 0) {
        if ((mkdirat(dirfd, name, 0700) != 0 && errno != EEXIST) ||
            move_mount(fd, "", dirfd, name, MOVE_MOUNT_F_EMPTY_PATH) != 0)
            return err_sys(err, RC_LAUNCH_STEP, "memory for %s", name);
        *ret_fd = take_fd(&fd);
        return RC_OK;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (move_mount(fd, "", AT_FDCWD, places[i], MOVE_MOUNT_F_EMPTY_PATH) != 0)
            continue;
        *ret_fd = take_fd(&fd);
        return RC_OK;
    }
    return err_sys(err, RC_LAUNCH_STEP, "memory for %s", name);
}

/* ---- standing still ------------------------------------------------------------------------- */

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static bool in_namespace(int proc, const char *pid, const char *own)
{
    char path[300];
    char text[64];

    (void)snprintf(path, sizeof path, "%s/ns/pid", pid);
    ssize_t n = readlinkat(proc, path, text, sizeof text - 1);

    text[n < 0 ? 0 : n] = '\0';
    return n > 0 && strcmp(text, own) == 0;
}

/* 'T' and 'Z' need no signal. */
static char state_of(int proc, const char *pid)
{
    char path[300];
    char text[512];

    (void)snprintf(path, sizeof path, "%s/stat", pid);
    cgroup_get(proc, path, text, sizeof text);
    const char *at = strrchr(text, ')');

    return at != NULL && at[1] == ' ' ? at[2] : 'Z';
}

/* One round over all of them; how many had to be told.  Process 1 only reaps. */
static int tell_all(int proc, pid_t first, const char *own, bool still)
{
    int fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    scoped(close_dir) DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *e;
    int told = 0;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        long pid = strtol(e->d_name, NULL, 10);

        if (pid <= 1 || pid == first || !in_namespace(proc, e->d_name, own))
            continue;
        char state = state_of(proc, e->d_name);
        if (state == 'Z' || state == 'X' || (state == 'T') == still)
            continue;
        (void)kill((pid_t)pid, still ? SIGSTOP : SIGCONT);
        told++;
    }
    return told;
}

enum rc ordinary_stand_still(const struct instance *instance, bool still, struct err *err)
{
    scoped(close_fd) int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char path[48];
    char own[64];

    /* Process 1 is no user's to look at, the payload is. */
    (void)snprintf(path, sizeof path, "%d/ns/pid", instance->payload);
    ssize_t n = proc < 0 ? -1 : readlinkat(proc, path, own, sizeof own - 1);
    if (n <= 0)
        return err_sys(err, RC_NOT_FOUND, "payload");
    own[n] = '\0';
    for (int i = 0; i < STILL_ROUNDS; i++) {
        if (tell_all(proc, instance->pid, own, still) == 0)
            return RC_OK;
        (void)sched_yield();
    }
    return err_set(err, RC_TIMEOUT, still ? "not all of it stands still" : "not all of it goes on");
}
