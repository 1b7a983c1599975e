/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/record_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "sandbox/plan.h"

#define FD_SYNC 500 /* where messages go: a number that no program has open by chance */
#define NAMESPACES                                                                                 \
    (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

static void tell(const struct record_message *m, int fd)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof fd)];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (fd >= 0) {
        hdr.msg_control = control.buf;
        hdr.msg_controllen = sizeof control.buf;
        struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    /* This very call passes the filter: it goes to FD_SYNC. */
    if (sendmsg(FD_SYNC, &hdr, MSG_NOSIGNAL) != sizeof *m)
        _exit(126);
}

static _Noreturn void fail(const char *step)
{
    struct record_message m = { .kind = RECORD_FAILED, .error = errno };

    (void)snprintf(m.step, sizeof m.step, "%s", step);
    tell(&m, -1);
    _exit(126);
}

static void must(bool good, const char *step)
{
    if (!good)
        fail(step);
}

static void put(const char *path, const char *text)
{
    scoped(close_fd) int fd = open(path, O_WRONLY | O_CLOEXEC);

    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
}

/* ---- namespaces and files ------------------------------------------------------------------- */

static void enter_namespaces(void)
{
    const uid_t uid = geteuid();
    const gid_t gid = getegid();
    char map[64];

    must(unshare(NAMESPACES) == 0, "user namespace");
    put("/proc/self/setgroups", "deny");
    (void)snprintf(map, sizeof map, "%u %u 1", PLAN_UID, uid);
    put("/proc/self/uid_map", map);
    (void)snprintf(map, sizeof map, "%u %u 1", PLAN_UID, gid);
    put("/proc/self/gid_map", map);
}

static void tmpfs(const char *at, const char *options)
{
    must(mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0, at);
}

/* The machine's own harmless devices, each over an empty file. */
static void devices(void)
{
    static const char *const names[] = { "null", "zero", "full", "random", "urandom" };
    char from[32];
    char to[32];

    tmpfs("dev", "size=64k,mode=755");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        (void)snprintf(from, sizeof from, "/dev/%s", names[i]);
        (void)snprintf(to, sizeof to, "dev/%s", names[i]);
        scoped(close_fd) int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        must(fd >= 0 && mount(from, to, NULL, MS_BIND, NULL) == 0, to);
    }
}

/* In a namespace that is ours, so nothing of it is left when we end. */
static bool build_root(const struct record_job *job, int notify)
{
    static const char *const points[] = { "proc", "dev", "tmp", "run", "data" };
    const struct sockaddr_un where = { .sun_family = AF_UNIX, .sun_path = "run/notify" };

    must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
    must(mount(job->root, job->root, NULL, MS_BIND | MS_REC, NULL) == 0 && chdir(job->root) == 0,
         "root");
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
        must(mkdir(points[i], 0755) == 0 || errno == EEXIST, points[i]);
    devices();
    tmpfs("tmp", "size=50%,mode=1777");
    tmpfs("run", "size=1m,mode=1777");
    tmpfs("data", "size=50%,mode=755");
    must(bind(notify, (const struct sockaddr *)&where, sizeof where) == 0 &&
             chmod("run/notify", 0666) == 0,
         "notify");
    /* Where this machine hides a part of its own /proc, a user may not mount another one. */
    bool has_proc = mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0;
    must(mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL) == 0,
         "read-only root");
    must(syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0,
         "pivot");
    return has_proc;
}

/* ---- the filter ----------------------------------------------------------------------------- */

/* Every call is held but the one that hands over the listener: sendmsg to FD_SYNC, which closes on
 * exec.  Another entry kills, as on board. */
static int hold_every_call(void)
{
    static struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                 CALLS_NATIVE == CALLS_X86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, CALLS_X32_BIT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sendmsg, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FD_SYNC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
    };
    const struct sock_fprog prog = { .len = sizeof code / sizeof code[0], .filter = code };
    long fd =
        syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &prog);

    if (fd < 0 && errno == EINVAL) /* before Linux 5.19: signals may interrupt what is held */
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
    return (int)fd;
}

static _Noreturn void run_program(const struct record_job *job, bool has_proc)
{
    struct record_message m = { .kind = RECORD_LISTENER, .has_proc = has_proc };
    const struct rlimit core = { .rlim_cur = 1, .rlim_max = 1 };
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    must(setsid() >= 0 && null >= 0 && dup2(null, 0) == 0 && dup2(2, 1) == 1, "descriptors");
    must(setrlimit(RLIMIT_CORE, &core) == 0, "limits");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0, "no_new_privs");
    int listener = hold_every_call();
    must(listener >= 0, "filter");
    tell(&m, listener);
    /* From here on each call waits for whoever watches. */
    (void)syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
    (void)execve(job->argv[0], job->argv, job->envp);
    fail("exec");
}

/* Process 1: reap everything, and say how the program ended.  When it ends, all ends. */
static _Noreturn void run_init(const struct record_job *job, int notify)
{
    bool has_proc = build_root(job, notify);
    pid_t program = fork();

    must(program >= 0, "fork");
    if (program == 0)
        run_program(job, has_proc);
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, 0);

        if (pid == program) {
            const struct record_message m = { .kind = RECORD_STATUS, .value = status };

            tell(&m, -1);
            _exit(0);
        }
        if (pid < 0 && errno != EINTR)
            _exit(126);
    }
}

_Noreturn void record_child(const struct record_job *job, int sync, int notify)
{
    int status = 0;

    if (dup3(sync, FD_SYNC, O_CLOEXEC) < 0)
        _exit(126);
    enter_namespaces();
    /* Behind the change of credentials, which would forget it. */
    must(prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL) == 0, "death signal");
    pid_t init = fork();

    must(init >= 0, "fork");
    if (init == 0) {
        must(prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL) == 0, "death signal");
        run_init(job, notify);
    }
    while (waitpid(init, &status, 0) < 0 && errno == EINTR)
        continue;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 126);
}
