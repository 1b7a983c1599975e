/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/launch_trace: follow a berth-launch and what it starts, and make one system call of
 * one launch go wrong: the n-th of the launcher itself, of the stem that it gave its order to, of
 * the sandbox's process 1, or of the payload's process before its exec.  Or let the launcher stand
 * still at one until the payload has ended.  Seen from outside, by ptrace, like fault_rig; but
 * there every call that changes files counts, and here every call.
 *
 * A call that is to fail is not made.  Calls to close and to exit do not count: they do what they
 * are for, whatever they return.
 */
#ifndef BERTH_TESTS_UNIT_LAUNCH_TRACE_H
#define BERTH_TESTS_UNIT_LAUNCH_TRACE_H

#include "tests/unit/fault_rig.h"
#include "tests/unit/sandbox_rig.h"

#define TRACE_TASKS 32U
#define TRACE_SOCKET 3 /* on which the launcher hears and answers */

enum trace_role {
    TRACE_LAUNCHER,
    TRACE_STEM,    /* out of which process 1 is cloned, from its order on */
    TRACE_INIT,    /* process 1 of the sandbox */
    TRACE_PAYLOAD, /* its child, until exec */
    TRACE_ROLES,
    TRACE_OTHER = TRACE_ROLES
};

struct trace_task {
    pid_t pid; /* 0 = free */
    enum trace_role role;
    int error;         /* to give to the call that it is in, 0 = none */
    bool hears, tells; /* it is in a call on the socket */
    bool clones, done; /* a stem: it is in clone3; it has come back from there, and has to end */
};

struct trace {
    pid_t launcher;
    enum trace_role role; /* whose call goes wrong */
    size_t n;             /* which one, from 1; 0 = none */
    size_t again;         /* and once more, so many calls behind that; 0 = not */
    int sys;              /* with which errno; 0 = it is killed instead */
    long only;            /* calls of this number are all that count; 0 = every one */
    /* If this is another role than the launcher's, neither: calls count from the payload's exec on,
     * and the launcher stands still in front of the n-th until who has this role has ended. */
    enum trace_role until;
    void (*meanwhile)(pid_t pid); /* or this is done while it is in the n-th; NULL = not */
    bool armed;                   /* a request has been heard, and not been answered */
    bool ended;                   /* the launcher has */
    size_t calls;                 /* of the role, while armed */
    size_t fired;
    size_t strayed;   /* calls of stems that had to end */
    long nr;          /* of the call */
    uint64_t arg[6];  /* of the same */
    unsigned answers; /* that were sent */
    bool idle;        /* and it waits for what comes next */
    pid_t init;       /* process 1, until it has ended */
    pid_t program;    /* the payload, from its exec on until it has ended */
    bool execs;       /* it has come to that */
    pid_t held;       /* the launcher, while it stands still */
    pid_t waits;      /* process 1, which may not see yet that its child has ended */
    struct trace_task task[TRACE_TASKS];
};

/* A stem has one number, in our namespace; a process of the sandbox has one more, of its own: the
 * payload's process is the second there. */
static inline enum trace_role trace_role_of(const struct trace *t, pid_t pid)
{
    char path[48];
    char line[256];
    int numbers[2] = { 0 };
    int n = 0;

    if (pid == t->launcher)
        return TRACE_LAUNCHER;
    (void)snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && n <= 0 && fgets(line, sizeof line, f) != NULL)
        n = sscanf(line, "NSpid: %d %d", &numbers[0], &numbers[1]);
    if (f != NULL)
        (void)fclose(f);
    if (n == 1)
        return TRACE_STEM;
    if (n == 2 && numbers[1] <= 2)
        return numbers[1] == 1 ? TRACE_INIT : TRACE_PAYLOAD;
    return TRACE_OTHER;
}

static inline struct trace_task *trace_task_of(struct trace *t, pid_t pid)
{
    struct trace_task *spare = NULL;

    for (size_t i = 0; i < TRACE_TASKS; i++) {
        if (t->task[i].pid == pid)
            return &t->task[i];
        if (spare == NULL && t->task[i].pid == 0)
            spare = &t->task[i];
    }
    if (spare == NULL)
        rig_die("too many processes to follow");
    *spare = (struct trace_task){ .pid = pid, .role = trace_role_of(t, pid) };
    return spare;
}

static inline bool trace_counts(const fault_info *info)
{
    const uint64_t nr = info->entry.nr;

#if defined(BERTH_SANITIZED)
    /* The sanitizers' own memory and stack, without which they end the process. */
    if (nr == SYS_mmap || nr == SYS_munmap || nr == SYS_mprotect || nr == SYS_madvise ||
        nr == SYS_sigaltstack)
        return false;
#endif
    return nr != SYS_close && nr != SYS_close_range && nr != SYS_exit && nr != SYS_exit_group;
}

static inline void trace_fire(struct trace *t, struct trace_task *task, const fault_info *info)
{
    t->fired++;
    t->n = t->again == 0 ? t->n : t->calls + t->again;
    t->again = 0;
    t->nr = (long)info->entry.nr;
    memcpy(t->arg, info->entry.args, sizeof t->arg);
    if (t->meanwhile != NULL) {
        t->meanwhile(task->pid);
        return;
    }
    if (t->until != TRACE_LAUNCHER) {
        t->held = task->pid;
        return;
    }
    if (t->sys == 0) {
        (void)kill(task->pid, SIGKILL);
        return;
    }
    task->error = t->sys;
    fault_set_call(task->pid, SYS_getpid);
}

static inline void trace_on_entry(struct trace *t, struct trace_task *task, const fault_info *info)
{
    bool on_socket = task->role == TRACE_LAUNCHER && info->entry.args[0] == TRACE_SOCKET;

    task->error = 0;
    if (task->done && info->entry.nr != SYS_exit_group)
        t->strayed++;
    task->clones = task->role == TRACE_STEM && info->entry.nr == SYS_clone3;
    task->hears = on_socket && info->entry.nr == SYS_recvmsg;
    task->tells = on_socket && info->entry.nr == SYS_sendmsg;
    if (task->tells)
        t->armed = false;
    if (task->role == TRACE_LAUNCHER)
        /* an interrupted poll goes on as restart_syscall, with the same arguments */
        t->idle = (info->entry.nr == SYS_poll || info->entry.nr == SYS_restart_syscall) &&
                  (int)info->entry.args[2] < 0;
    /* Before it is made: what it does to others is seen before its end is told. */
    if (task->role == TRACE_PAYLOAD &&
        (info->entry.nr == SYS_execveat || info->entry.nr == SYS_execve)) {
        t->program = task->pid;
        t->execs = true;
    }
    if (t->until == TRACE_PAYLOAD && t->armed && task->role == TRACE_INIT &&
        info->entry.nr == SYS_rt_sigtimedwait)
        t->waits = task->pid;
    if (t->armed && task->role == t->role && (t->until == TRACE_LAUNCHER || t->execs) &&
        trace_counts(info) && (t->only == 0 || (long)info->entry.nr == t->only) &&
        ++t->calls == t->n)
        trace_fire(t, task, info);
}

static inline void trace_on_exit(struct trace *t, struct trace_task *task, const fault_info *info)
{
    task->done = task->done || (task->clones && task->error == 0 && !info->exit.is_error);
    if (task->error != 0)
        fault_set_result(task->pid, -task->error);
    if (task->hears && !info->exit.is_error)
        t->armed = true;
    if (task->tells)
        t->answers++;
    task->error = 0;
    task->hears = task->tells = false;
}

/* The signal to go on with. */
static inline int trace_on_stop(struct trace *t, struct trace_task *task, int status)
{
    fault_info info;

    const int event = status >> 16;
    unsigned long child = 0;

    if (task->role == TRACE_INIT)
        t->init = task->pid;
    if (event == PTRACE_EVENT_EXEC)
        task->role = TRACE_OTHER;
    siginfo_t alive;

    /* Known from now on: whoever waits for all of them to end waits for this one, too, unless its
     * end was heard of before its beginning. */
    if ((event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK ||
         event == PTRACE_EVENT_CLONE) &&
        ptrace(PTRACE_GETEVENTMSG, task->pid, NULL, &child) == 0 &&
        waitid(P_PID, (id_t)child, &alive, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) == 0)
        (void)trace_task_of(t, (pid_t)child);
    if (event == 0 && WSTOPSIG(status) == SIGSEGV && task->role == TRACE_INIT)
        rig_die("process 1 has a fault, which it survives for ever while it is followed");
    if (WSTOPSIG(status) != (SIGTRAP | 0x80))
        return event != 0 ? 0 : WSTOPSIG(status);
    if (ptrace(PTRACE_GET_SYSCALL_INFO, task->pid, (void *)sizeof info, &info) <= 0)
        return 0;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
        trace_on_entry(t, task, &info);
    else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        trace_on_exit(t, task, &info);
    return 0;
}

static inline void trace_let_go(pid_t *pid)
{
    (void)ptrace(PTRACE_SYSCALL, *pid, NULL, NULL); /* it may be dead by now */
    *pid = 0;
}

/* Those that stand still and need not any more. */
static inline void trace_release(struct trace *t)
{
    if (t->held != 0 && (t->until == TRACE_PAYLOAD ? t->program : t->init) == 0)
        trace_let_go(&t->held);
    if (t->waits != 0 && t->answers > 0)
        trace_let_go(&t->waits);
}

/* Let all go on until one process has come to its next stop, or has ended. */
static inline void trace_pump(struct trace *t)
{
    int status = 0;
    pid_t pid = waitpid(-1, &status, __WALL);

    if (pid < 0 && errno == EINTR)
        return;
    if (pid < 0)
        rig_die("waitpid");
    struct trace_task *task = trace_task_of(t, pid);
    if (WIFSTOPPED(status)) {
        int sig = trace_on_stop(t, task, status);

        if (pid != t->held && pid != t->waits)
            (void)ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)sig); /* or it is dead */
        trace_release(t);
        return;
    }
    task->pid = 0;
    t->ended = t->ended || pid == t->launcher;
    if (pid == t->init)
        t->init = t->waits = 0;
    if (pid == t->program)
        t->program = 0;
    trace_release(t);
}

/* Until the launcher has sent so many answers more and has put all away, or has ended. */
static inline void trace_until(struct trace *t, unsigned int answers)
{
    for (t->answers = 0, t->idle = false; (t->answers < answers || !t->idle) && !t->ended;)
        trace_pump(t);
    for (size_t i = 0; t->ended && i < TRACE_TASKS; i++) {
        while (t->task[i].pid != 0) /* those that it takes with it */
            trace_pump(t);
    }
}

/* Follow it from now on. */
static inline void trace_begin(struct trace *t, pid_t launcher)
{
    const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                         PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;
    int status = 0;

    *t = (struct trace){ .launcher = launcher };
    if (ptrace(PTRACE_SEIZE, launcher, NULL, (void *)options) != 0 ||
        ptrace(PTRACE_INTERRUPT, launcher, NULL, NULL) != 0 ||
        waitpid(launcher, &status, __WALL) != launcher || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SYSCALL, launcher, NULL, NULL) != 0)
        rig_die("follow the launcher");
}

/* Until the launcher has nothing to do. */
static inline void trace_settle(struct trace *t)
{
    while (!t->idle && !t->ended)
        trace_pump(t);
}

/* Ask for a start, and follow until the answer is there.  False: the launcher has ended instead. */
static inline bool trace_launch(struct trace *t, struct rig *rig, const struct plan *plan,
                                const int *fds, size_t n_fds, struct rig_run *run)
{
    const struct wire_launch m = { .head = wire_head(WIRE_LAUNCH, rig->next_id), .plan = *plan };

    t->calls = t->fired = 0;
    run->id = rig->next_id++;
    run->fds = WIRE_FDS_INIT;
    if (wire_send(rig->sock, &m.head, fds, n_fds, NULL) != RC_OK)
        rig_die("wire_send");
    trace_until(t, 1);
    if (t->ended)
        return false;
    rig_recv(rig, &run->first, &run->fds);
    run->started = run->first.head.type == WIRE_LAUNCHED;
    return true;
}

/* Stop what was started, unless it has ended by itself. */
static inline struct wire_exited trace_stop(struct trace *t, const struct rig *rig,
                                            struct rig_run *run)
{
    union wire_message m;
    struct wire_fds none;

    wire_fds_close(&run->fds); /* with the view of the mail image */
    if (t->answers == 1) {
        rig_stop(rig, run, 0);
        trace_until(t, 1);
    }
    rig_recv(rig, &m, &none);
    if (m.head.type != WIRE_EXITED)
        rig_die("something else than the end of a payload");
    return m.exited;
}

/* What the launcher has open between launches, but for the stems that wait: a pidfd and a socket of
 * each, and nobody else has a pidfd then. */
static inline size_t trace_descriptors(const struct rig *rig)
{
    char path[64];
    char link[64];
    size_t n = 0;
    size_t stems = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", rig->launch);
    DIR *dir = opendir(path);
    if (dir == NULL)
        rig_die(path);
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
        ssize_t len = readlinkat(dirfd(dir), e->d_name, link, sizeof link - 1);

        link[len < 0 ? 0 : len] = '\0';
        stems += strcmp(link, "anon_inode:[pidfd]") == 0 ? 1 : 0;
        n++;
    }
    (void)closedir(dir);
    return n - 2 * stems;
}

/* Let the launcher go, which runs or sleeps. */
static inline void trace_end(struct trace *t)
{
    int status = 0;

    (void)ptrace(PTRACE_INTERRUPT, t->launcher, NULL, NULL);
    if (waitpid(t->launcher, &status, __WALL) != t->launcher || !WIFSTOPPED(status) ||
        ptrace(PTRACE_DETACH, t->launcher, NULL, NULL) != 0)
        rig_die("let the launcher go");
}

#endif
