/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/bus_start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST_FD 3
#define ABOVE_CHILD_FDS 16 /* no descriptor that the child is given lies here */

/* In the child: only async-signal-safe calls.  What a sanitizer is told stays in the environment.
 */
static _Noreturn void become(int program_fd, const int from[2], pid_t parent)
{
    static char name[] = "berth-bus";
    static char *const argv[] = { name, NULL };
    static char *const envp[] = { NULL };
    int program = fcntl(program_fd, F_DUPFD_CLOEXEC, ABOVE_CHILD_FDS);
    int high[2];
    sigset_t none;

    for (int i = 0; i < 2; i++)
        high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, ABOVE_CHILD_FDS);
    for (int i = 0; i < 2; i++)
        if (dup2(high[i], FIRST_FD + i) < 0)
            _exit(126);
    if (close_range(FIRST_FD + 2, ~0U, CLOSE_RANGE_CLOEXEC) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(126);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)fexecve(program, argv, envp);
    _exit(127);
}

enum rc bus_start(int program_fd, int listen_fd, struct bus_process *ret, struct err *err)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, RC_IO, "socketpair");
    scoped(close_fd) int ours = pair[0];
    scoped(close_fd) int theirs = pair[1];
    const int fds[2] = { listen_fd, theirs };
    pid_t parent = getpid();

    if (fcntl(ours, F_SETFL, O_NONBLOCK) != 0)
        return err_sys(err, RC_IO, "socketpair");
    pid_t pid = fork();
    if (pid == 0)
        become(program_fd, fds, parent);
    if (pid < 0)
        return err_sys(err, RC_IO, "fork");

    *ret = (struct bus_process){ .pid = pid, .pidfd = pidfd_open(pid, 0), .sock = -1 };
    if (ret->pidfd < 0) {
        enum rc rc = err_sys(err, RC_IO, "pidfd");

        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return rc;
    }
    ret->sock = take_fd(&ours);
    return RC_OK;
}

/* Whoever closes its socket may still live; one that is on its way out is not changed by this. */
bool bus_end(struct bus_process *process)
{
    siginfo_t info = { 0 };
    int r;

    if (process->pid <= 0)
        return false;
    (void)pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);
    do
        r = waitid(P_PIDFD, (id_t)process->pidfd, &info, WEXITED);
    while (r != 0 && errno == EINTR);
    close_fd(&process->pidfd);
    close_fd(&process->sock);
    process->pid = 0;
    return r == 0 && info.si_code == CLD_EXITED && info.si_status == 0;
}
