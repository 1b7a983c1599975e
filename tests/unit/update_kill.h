/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/update_kill: run a function in a child and kill it at its n-th system call that
 * changes files.  Nothing in the code under test knows: the calls are seen from outside (ptrace),
 * so no place can be forgotten.
 */
#ifndef BERTH_TESTS_UNIT_UPDATE_KILL_H
#define BERTH_TESTS_UNIT_UPDATE_KILL_H

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILL_TRACE_MAX 4096U

/* The file-changing calls of one run, in order. */
struct kill_trace {
    size_t n;
    long call[KILL_TRACE_MAX];
};

static bool changes_files(long call)
{
    static const long calls[] = {
        SYS_write,
        SYS_mkdirat,
        SYS_unlinkat,
        SYS_renameat2,
        SYS_fsync,
        SYS_fdatasync,
        SYS_syncfs,
        SYS_fchmod,
        SYS_symlinkat,
        SYS_openat2,
        SYS_fchmodat,
        SYS_ftruncate,
#if defined(__x86_64__)
        SYS_renameat,
        SYS_mkdir,
        SYS_unlink,
        SYS_rename,
        SYS_rmdir,
#endif
    };

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (calls[i] == call)
            return true;
    }
    return false;
}

/* The call that the stopped child is about to make, or -1 at any other stop. */
static long call_entered(pid_t pid)
{
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof info, &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY)
        return -1;
    return (long)info.entry.nr;
}

static pid_t start_traced(int (*fn)(void *arg), void *arg)
{
    pid_t pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0 || raise(SIGSTOP) != 0)
            _exit(99);
        _exit(fn(arg));
    }
    if (pid < 0 || waitpid(pid, NULL, 0) != pid ||
        ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)))
        abort();
    return pid;
}

/* Run fn and kill it as it enters call number n (from 1) of those that change files.  True: it was
 * killed there.  False: it ended before, *ret_exit is its exit code.  trace may be NULL. */
static bool kill_at(size_t n, int (*fn)(void *arg), void *arg, struct kill_trace *trace,
                    int *ret_exit)
{
    pid_t pid = start_traced(fn, arg);
    size_t seen = 0;
    int status = 0;

    for (;;) {
        if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) != 0 || waitpid(pid, &status, 0) != pid)
            abort();
        if (WIFEXITED(status)) {
            *ret_exit = WEXITSTATUS(status);
            return false;
        }
        if (WIFSIGNALED(status))
            abort();

        long call = call_entered(pid);

        if (call < 0 || !changes_files(call))
            continue;
        if (trace && trace->n < KILL_TRACE_MAX)
            trace->call[trace->n++] = call;
        if (++seen == n) {
            (void)kill(pid, SIGKILL);
            while (waitpid(pid, &status, 0) == pid && !WIFSIGNALED(status) && !WIFEXITED(status))
                ;
            return true;
        }
    }
}

#endif
