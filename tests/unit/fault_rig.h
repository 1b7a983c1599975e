/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/fault_rig: run a function, or follow a process, and make its n-th system call that
 * changes files go wrong: killed before it, killed behind it, failed with an errno, cut short, or
 * every such call from the n-th on failed (a disk that has filled up, a file system that has become
 * read-only).  Nothing in the code under test knows: the calls are seen from outside (ptrace), so
 * no place can be forgotten.  docs/testing.md tells how to use it.
 *
 * A call that is to fail is not made: it becomes a getpid, which every filter of ours allows, and
 * the process is given the error in its place.
 */
#ifndef BERTH_TESTS_UNIT_FAULT_RIG_H
#define BERTH_TESTS_UNIT_FAULT_RIG_H

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define rig_unused __attribute__((unused))

/* ---- what to do to whom -----------------------------------------------------------------------
 */

/* Sets of calls. */
enum {
    CALLS_ALLOCATE = 1, /* need room: what a full disk fails */
    CALLS_SYNC = 2,
    CALLS_WRITE = 4, /* take a count, and may do less than it */
    CALLS_REMOVE = 8,
    CALLS_OTHER = 16, /* modes, owners, cutting off */
    CALLS_LISTED = 31,
    CALLS_READ = 32, /* of a file; only where it is asked for, and never listed */
};

enum fault_kind { FAULT_NONE, FAULT_KILL_BEFORE, FAULT_KILL_AFTER, FAULT_FAIL, FAULT_SHORT };

struct fault {
    enum fault_kind kind;
    int sys;           /* FAULT_FAIL: the errno */
    bool lasting;      /* FAULT_FAIL: the n-th and all behind it, until fault_disarm */
    unsigned calls;    /* which ones count and fail, 0 = CALLS_LISTED */
    bool no_places;    /* pass over pwrite: a database makes hundreds of them */
    const char *under; /* pass over what is not in this directory; NULL = it may be anywhere */
    const char *name;  /* pass over what is not a file, or becomes one, of this name; NULL = any */
    size_t n;          /* from 1 */
};

/* One call that changed files, or would have. */
struct fault_call {
    long nr;
    unsigned set;
    bool named;     /* it changes a name, and not what is in a file */
    bool failed;    /* by itself or by us */
    char path[256]; /* of what it changed; behind a directory's descriptor where it was given one */
    char to[256];   /* of a rename or link */
};

#define FAULT_CALLS_MAX 4096U

struct fault_seen {
    size_t calls; /* of the set, while armed */
    size_t fired;
    bool killed;             /* by us */
    int exit_code;           /* else */
    struct fault_call at;    /* where it fired first */
    struct fault_call *list; /* FAULT_CALLS_MAX, or NULL; from the first time that it was armed */
    size_t n_list;
};

/* In a function that runs under fault_run: faults happen between the two.  Outside of it they do
 * nothing. */
#define FAULT_MARK (-4242)
static rig_unused void fault_arm(void)
{
    (void)syscall(SYS_fcntl, FAULT_MARK, 1, 0);
}
static rig_unused void fault_disarm(void)
{
    (void)syscall(SYS_fcntl, FAULT_MARK, 0, 0);
}

/* ---- the calls --------------------------------------------------------------------------------
 */

/* Where the arguments are; -1 = there is none. */
struct fault_spec {
    long nr;
    const char *name;
    unsigned set;
    int dirfd, path;       /* of what is changed; without a path dirfd is the file itself */
    int to_dirfd, to_path; /* of the other end */
};

static const struct fault_spec fault_specs[] = {
    /* clang-format off */
    { SYS_read,            "read",            CALLS_READ, 0, -1, -1, -1 },
    { SYS_pread64,         "pread",           CALLS_READ, 0, -1, -1, -1 },
    { SYS_write,           "write",           CALLS_ALLOCATE | CALLS_WRITE, 0, -1, -1, -1 },
    { SYS_writev,          "writev",          CALLS_ALLOCATE, 0, -1, -1, -1 },
    { SYS_pwrite64,        "pwrite",          CALLS_ALLOCATE | CALLS_WRITE, 0, -1, -1, -1 },
    { SYS_copy_file_range, "copy_file_range", CALLS_ALLOCATE, 2, -1, -1, -1 },
    { SYS_sendfile,        "sendfile",        CALLS_ALLOCATE, 0, -1, -1, -1 },
    { SYS_fallocate,       "fallocate",       CALLS_ALLOCATE, 0, -1, -1, -1 },
    { SYS_ioctl,           "ioctl",           CALLS_ALLOCATE, 0, -1, -1, -1 },
    { SYS_fsync,           "fsync",           CALLS_SYNC, 0, -1, -1, -1 },
    { SYS_fdatasync,       "fdatasync",       CALLS_SYNC, 0, -1, -1, -1 },
    { SYS_syncfs,          "syncfs",          CALLS_SYNC, 0, -1, -1, -1 },
    { SYS_openat2,         "openat2",         CALLS_ALLOCATE, 0, 1, -1, -1 },
    { SYS_openat,          "openat",          CALLS_ALLOCATE, 0, 1, -1, -1 },
    { SYS_mkdirat,         "mkdirat",         CALLS_ALLOCATE, 0, 1, -1, -1 },
    { SYS_symlinkat,       "symlinkat",       CALLS_ALLOCATE, 1, 2, -1, -1 },
    { SYS_linkat,          "linkat",          CALLS_ALLOCATE, 0, 1, 2, 3 },
#if defined(SYS_renameat)
    { SYS_renameat,        "renameat",        CALLS_ALLOCATE, 0, 1, 2, 3 },
#endif
    { SYS_renameat2,       "renameat2",       CALLS_ALLOCATE, 0, 1, 2, 3 },
    { SYS_unlinkat,        "unlinkat",        CALLS_REMOVE, 0, 1, -1, -1 },
    { SYS_ftruncate,       "ftruncate",       CALLS_OTHER, 0, -1, -1, -1 },
    { SYS_fchmod,          "fchmod",          CALLS_OTHER, 0, -1, -1, -1 },
    { SYS_fchmodat,        "fchmodat",        CALLS_OTHER, 0, 1, -1, -1 },
    { SYS_fchown,          "fchown",          CALLS_OTHER, 0, -1, -1, -1 },
    { SYS_fchownat,        "fchownat",        CALLS_OTHER, 0, 1, -1, -1 },
#if defined(__x86_64__)
    { SYS_open,            "open",            CALLS_ALLOCATE, -1, 0, -1, -1 },
    { SYS_creat,           "creat",           CALLS_ALLOCATE, -1, 0, -1, -1 },
    { SYS_mkdir,           "mkdir",           CALLS_ALLOCATE, -1, 0, -1, -1 },
    { SYS_symlink,         "symlink",         CALLS_ALLOCATE, -1, 1, -1, -1 },
    { SYS_link,            "link",            CALLS_ALLOCATE, -1, 0, -1, 1 },
    { SYS_rename,          "rename",          CALLS_ALLOCATE, -1, 0, -1, 1 },
    { SYS_unlink,          "unlink",          CALLS_REMOVE, -1, 0, -1, -1 },
    { SYS_rmdir,           "rmdir",           CALLS_REMOVE, -1, 0, -1, -1 },
    { SYS_chmod,           "chmod",           CALLS_OTHER, -1, 0, -1, -1 },
    { SYS_truncate,        "truncate",        CALLS_OTHER, -1, 0, -1, -1 },
#endif
    /* clang-format on */
};

static const struct fault_spec *fault_spec_of(long nr)
{
    for (size_t i = 0; i < sizeof fault_specs / sizeof fault_specs[0]; i++)
        if (fault_specs[i].nr == nr)
            return &fault_specs[i];
    return NULL;
}

static rig_unused const char *fault_call_name(long nr)
{
    const struct fault_spec *spec = fault_spec_of(nr);

    return spec ? spec->name : "?";
}

/* ---- looking into the traced process ----------------------------------------------------------
 */

typedef struct __ptrace_syscall_info fault_info;

static bool fault_read(pid_t pid, uint64_t at, void *buf, size_t n)
{
    struct iovec here = { buf, n }, there = { (void *)(uintptr_t)at, n };

    return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

/* A page at a time: what lies behind the end of a string may not be there. */
static void fault_read_text(pid_t pid, uint64_t at, char *out, size_t cap)
{
    size_t n = 0;

    while (n + 1 < cap) {
        size_t page = 4096 - (at + n) % 4096;
        size_t piece = page < cap - 1 - n ? page : cap - 1 - n;

        if (!fault_read(pid, at + n, out + n, piece) || memchr(out + n, 0, piece))
            break;
        n += piece;
    }
    out[cap - 1] = 0;
}

static void fault_fd_path(pid_t pid, int fd, char *out, size_t cap)
{
    char link[64];

    (void)snprintf(link, sizeof link, fd == AT_FDCWD ? "/proc/%d/cwd" : "/proc/%d/fd/%d", (int)pid,
                   fd);
    ssize_t n = readlink(link, out, cap - 1);
    out[n < 0 ? 0 : n] = 0;
}

/* On a file system, and not only in memory or to somebody. */
static bool fault_is_file(const char *path)
{
    if (path[0] != '/' || strncmp(path, "/memfd:", 7) == 0 || strncmp(path, "/proc/", 6) == 0 ||
        strncmp(path, "/sys/", 5) == 0)
        return false;
    return strncmp(path, "/dev/", 5) != 0 || strncmp(path, "/dev/shm/", 9) == 0;
}

static bool fault_creates(pid_t pid, const fault_info *info)
{
    const uint64_t *arg = info->entry.args;
    struct open_how how = { 0 };

    if (info->entry.nr == SYS_openat)
        return (arg[2] & (O_CREAT | O_TRUNC)) != 0;
#if defined(__x86_64__)
    if (info->entry.nr == SYS_open)
        return (arg[1] & (O_CREAT | O_TRUNC)) != 0;
#endif
    return info->entry.nr != SYS_openat2 ||
           (fault_read(pid, arg[2], &how, sizeof how) && (how.flags & (O_CREAT | O_TRUNC)) != 0);
}

/* "DIR/NAME", or DIR for "." and for no name. */
static void fault_path(pid_t pid, const fault_info *info, int dirfd, int path, char out[256])
{
    char dir[192] = "";
    char name[192] = "";

    if (dirfd >= 0)
        fault_fd_path(pid, (int)info->entry.args[dirfd], dir, sizeof dir);
    else
        fault_fd_path(pid, AT_FDCWD, dir, sizeof dir);
    if (path >= 0)
        fault_read_text(pid, info->entry.args[path], name, sizeof name);
    if (name[0] == 0 || strcmp(name, ".") == 0)
        (void)snprintf(out, 256, "%s", dir);
    else if (name[0] == '/')
        (void)snprintf(out, 256, "%s", name);
    else
        (void)snprintf(out, 256, "%.120s/%.120s", dir, name);
}

/* Whether the call that a process has begun changes files; fills *ret if so. */
static bool fault_counts(pid_t pid, const fault_info *info, struct fault_call *ret)
{
    const struct fault_spec *spec = fault_spec_of((long)info->entry.nr);

    if (!spec || (info->entry.nr == SYS_ioctl && info->entry.args[1] != FICLONE) ||
        !fault_creates(pid, info))
        return false;
    *ret = (struct fault_call){ .nr = spec->nr, .set = spec->set, .named = spec->path >= 0 };
    fault_path(pid, info, spec->dirfd, spec->path, ret->path);
    if (spec->to_path >= 0)
        fault_path(pid, info, spec->to_dirfd, spec->to_path, ret->to);
    return fault_is_file(ret->path);
}

/* ---- changing what it does --------------------------------------------------------------------
 */

#if defined(__x86_64__)

static void fault_set_call(pid_t pid, long nr)
{
    if (ptrace(PTRACE_POKEUSER, pid, (void *)offsetof(struct user_regs_struct, orig_rax),
               (void *)nr) != 0)
        abort();
}

static void fault_set_result(pid_t pid, long value)
{
    if (ptrace(PTRACE_POKEUSER, pid, (void *)offsetof(struct user_regs_struct, rax),
               (void *)value) != 0)
        abort();
}

static void fault_set_count(pid_t pid, uint64_t count)
{
    if (ptrace(PTRACE_POKEUSER, pid, (void *)offsetof(struct user_regs_struct, rdx),
               (void *)count) != 0)
        abort();
}

#elif defined(__aarch64__)

static void fault_set_call(pid_t pid, long nr)
{
    int number = (int)nr;
    struct iovec v = { &number, sizeof number };

    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_ARM_SYSTEM_CALL, &v) != 0)
        abort();
}

static void fault_set_register(pid_t pid, unsigned which, uint64_t value)
{
    struct user_regs_struct regs;
    struct iovec v = { &regs, sizeof regs };

    if (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &v) != 0)
        abort();
    regs.regs[which] = value;
    if (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &v) != 0)
        abort();
}

static void fault_set_result(pid_t pid, long value)
{
    fault_set_register(pid, 0, (uint64_t)value);
}

static void fault_set_count(pid_t pid, uint64_t count)
{
    fault_set_register(pid, 2, count);
}

#else
#error "the fault rig knows x86-64 and AArch64"
#endif

/* ---- following --------------------------------------------------------------------------------
 */

#define FAULT_TASKS_MAX 64U

struct fault_task {
    pid_t pid;      /* 0 = free */
    bool counted;   /* in a call whose end is of interest */
    int error;      /* ... and is to be given this errno, 0 = none */
    bool kill_then; /* ... or to be killed at its end */
    size_t listed;  /* 1 + where it is in the list */
};

struct fault_trace {
    struct fault fault;
    pid_t main;
    pid_t group;    /* all of them are in it; 0 = only the main one is followed */
    bool by_filter; /* a filter stops it at the calls that matter, and at no others */
    bool armed, listing, ended;
    struct fault_task task[FAULT_TASKS_MAX];
    struct fault_seen seen;
};

static struct fault_task *fault_task_of(struct fault_trace *t, pid_t pid)
{
    struct fault_task *spare = NULL;

    for (size_t i = 0; i < FAULT_TASKS_MAX; i++) {
        if (t->task[i].pid == pid)
            return &t->task[i];
        if (!spare && t->task[i].pid == 0)
            spare = &t->task[i];
    }
    if (!spare)
        abort();
    *spare = (struct fault_task){ .pid = pid };
    return spare;
}

static void fault_kill(struct fault_trace *t)
{
    t->seen.killed = true;
    (void)kill(t->group > 0 ? -t->group : t->main, SIGKILL);
}

static int fault_errno(const struct fault_trace *t, const struct fault_call *call)
{
    /* what has become read-only may still be asked to sync, and cannot */
    return t->fault.sys == EROFS && (call->set & CALLS_SYNC) ? EIO : t->fault.sys;
}

static void fault_fire(struct fault_trace *t, struct fault_task *task, const fault_info *info,
                       const struct fault_call *call)
{
    if (t->seen.fired++ == 0)
        t->seen.at = *call;
    switch (t->fault.kind) {
    case FAULT_KILL_BEFORE:
        fault_kill(t);
        break;
    case FAULT_KILL_AFTER:
        task->kill_then = true;
        task->counted = true;
        break;
    case FAULT_FAIL:
        task->error = fault_errno(t, call);
        task->counted = true;
        t->seen.at.failed = true;
        fault_set_call(task->pid, SYS_getpid);
        break;
    case FAULT_SHORT:
        if (info->entry.args[2] > 1)
            fault_set_count(task->pid, info->entry.args[2] / 2);
        break;
    case FAULT_NONE:
        break;
    }
}

static bool fault_is_under(const struct fault *fault, const char *path)
{
    size_t n = fault->under ? strlen(fault->under) : 0;

    return n == 0 || (strncmp(path, fault->under, n) == 0 && (path[n] == 0 || path[n] == '/'));
}

static bool fault_ends_in(const char *path, const char *name)
{
    size_t n = strlen(path), tail = strlen(name);

    return n > tail && path[n - tail - 1] == '/' && strcmp(path + n - tail, name) == 0;
}

static bool fault_is_named(const struct fault *fault, const struct fault_call *call)
{
    return !fault->name || fault_ends_in(call->path, fault->name) ||
           fault_ends_in(call->to, fault->name);
}

static void fault_on_entry(struct fault_trace *t, struct fault_task *task, const fault_info *info)
{
    const unsigned set = t->fault.calls ? t->fault.calls : CALLS_LISTED;
    struct fault_call call;

    task->counted = false;
    if (info->entry.nr == SYS_fcntl && (int)info->entry.args[0] == FAULT_MARK) {
        t->armed = info->entry.args[1] == 1;
        t->listing = true;
    }
    if (!t->listing || !fault_counts(task->pid, info, &call) ||
        !fault_is_under(&t->fault, call.path) || !fault_is_named(&t->fault, &call) ||
        (call.set == CALLS_READ && set != CALLS_READ))
        return;
    task->listed = 0;
    if (t->seen.list && call.set != CALLS_READ && t->seen.n_list < FAULT_CALLS_MAX) {
        t->seen.list[t->seen.n_list++] = call;
        task->listed = t->seen.n_list;
        /* how it ends matters if it can end well and otherwise: a stop costs more than most calls
         */
        task->counted = call.named || (call.set & CALLS_SYNC) != 0;
    }
    if (!t->armed || (call.set & set) == 0 || (t->fault.no_places && call.nr == SYS_pwrite64))
        return;
    t->seen.calls++;
    if (t->seen.calls == t->fault.n || (t->fault.lasting && t->seen.calls > t->fault.n))
        fault_fire(t, task, info, &call);
}

static void fault_on_exit(struct fault_trace *t, struct fault_task *task, const fault_info *info)
{
    if (!task->counted)
        return;
    if (task->error)
        fault_set_result(task->pid, -task->error);
    if (task->listed)
        t->seen.list[task->listed - 1].failed = task->error || info->exit.is_error;
    if (task->kill_then)
        fault_kill(t);
    task->counted = task->kill_then = false;
    task->error = 0;
}

/* What a stop was about; the signal to go on with. */
static int fault_on_stop(struct fault_trace *t, pid_t pid, int status)
{
    struct fault_task *task = fault_task_of(t, pid);
    fault_info info;

    if (WSTOPSIG(status) == (SIGTRAP | 0x80) || status >> 16 == PTRACE_EVENT_SECCOMP) {
        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) <= 0)
            return 0;
        /* an entry and a filter's stop begin with the same fields */
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY || info.op == PTRACE_SYSCALL_INFO_SECCOMP)
            fault_on_entry(t, task, &info);
        else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
            fault_on_exit(t, task, &info);
        return 0;
    }
    return status >> 16 != 0 ? 0 : WSTOPSIG(status);
}

/* Take in one change of one process and let it go on.  False: there is none that is ours. */
static bool fault_pump(struct fault_trace *t, int options)
{
    int status = 0;
    pid_t pid = waitpid(t->group > 0 ? -t->group : t->main, &status, options | __WALL);

    if (pid <= 0)
        return pid < 0 && errno == EINTR;
    if (WIFSTOPPED(status)) {
        int sig = fault_on_stop(t, pid, status);
        bool to_exit = !t->by_filter || fault_task_of(t, pid)->counted;

        (void)ptrace(to_exit ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL,
                     (void *)(intptr_t)sig); /* it may be dead by now */
        return true;
    }
    fault_task_of(t, pid)->pid = 0;
    if (pid != t->main)
        return true;
    t->ended = true;
    t->seen.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (t->group > 0) /* what it left behind goes with it */
        (void)kill(-t->group, SIGKILL);
    return true;
}

/* Begin to trace a child of ours that waits for a byte on a pipe, or does not mind. */
static void fault_seize(struct fault_trace *t, pid_t pid, bool follow)
{
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP;
    int status = 0;

    t->main = pid;
    t->group = follow ? pid : 0;
    if (follow)
        options |= PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) != 0 ||
        ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0 || waitpid(pid, &status, __WALL) != pid ||
        !WIFSTOPPED(status) || ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0)
        abort();
}

/* Stop at the calls of the table, at reads only if they are asked for, and at the marks.  It goes
 * on to what the process starts, so all of that must be followed: a call that nobody stops for
 * would be refused. */
static void fault_filter(bool reads)
{
    enum { N = sizeof fault_specs / sizeof fault_specs[0] };
    struct sock_filter code[2 * N + 6];
    unsigned n = 0;

    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i <= N; i++) {
        unsigned nr = (unsigned)(i < N ? fault_specs[i].nr : SYS_fcntl);

        if (i < N && fault_specs[i].set == CALLS_READ && !reads)
            continue;
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1);
        code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
    }
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

    const struct sock_fprog prog = { .len = (unsigned short)n, .filter = code };

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
        _exit(98);
}

/* The child: a group of its own, that waits until it may begin; with the filter for a fault if
 * there is one. */
static pid_t fault_fork(int (*fn)(void *arg), void *arg, int *ret_go, const struct fault *filter)
{
    int go[2];

    if (pipe2(go, O_CLOEXEC) != 0)
        abort();
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        abort();
    if (pid == 0) {
        char byte = 0;

        (void)setpgid(0, 0);
        (void)alarm(1800); /* a child that hangs is a failure, not a test that never ends */
        (void)close(go[1]);
        if (read(go[0], &byte, 1) != 1)
            _exit(99);
        (void)close(go[0]);
        if (filter)
            fault_filter(filter->calls == CALLS_READ);
        _exit(fn(arg));
    }
    (void)setpgid(pid, pid);
    (void)close(go[0]);
    *ret_go = go[1];
    return pid;
}

/* Run fn(arg) in a child, with what it starts, under the fault; fn arms it.  list may be NULL.
 * Without a fault and a list nobody looks, which is much faster. */
static rig_unused struct fault_seen fault_run(int (*fn)(void *arg), void *arg,
                                              const struct fault *fault, struct fault_call *list)
{
    struct fault_trace *t = calloc(1, sizeof *t);
    bool traced = fault->kind != FAULT_NONE || list;
    int go = -1;

    if (!t)
        abort();
    t->fault = *fault;
    t->seen.list = list;
    t->by_filter = true;
    pid_t pid = fault_fork(fn, arg, &go, traced ? fault : NULL);
    if (traced)
        fault_seize(t, pid, true);
    t->main = t->group = pid;
    if (write(go, "x", 1) != 1)
        abort();
    while (fault_pump(t, 0))
        ;
    (void)close(go);
    struct fault_seen seen = t->seen;
    free(t);
    return seen;
}

#endif
