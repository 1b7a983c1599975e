/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the child: never returns. */
static void become(char *const argv[], int cwd_fd, int out_fd, int err_fd, pid_t parent)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent ||
        fchdir(cwd_fd) < 0 || dup2(null, 0) < 0 || dup2(out_fd, 1) < 0 || dup2(err_fd, 2) < 0)
        _exit(126);
    (void)execv(argv[0], argv);
    _exit(127);
}

enum rc proc_start(char *const argv[], int cwd_fd, int log_fd, pid_t *ret, struct err *err)
{
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid < 0)
        return err_sys(err, RC_IO, "fork");
    if (pid == 0)
        become(argv, cwd_fd, log_fd, log_fd, parent);
    *ret = pid;
    return RC_OK;
}

/* Everything that comes out of the pipe, until its other end is closed. */
static enum rc read_all(int fd, size_t max, char **ret, struct err *err)
{
    scoped(free_ptr) char *buf = malloc(max + 1);
    size_t n = 0;

    if (!buf)
        return err_set(err, RC_NO_MEMORY, "output");
    for (;;) {
        ssize_t got = read(fd, buf + n, max + 1 - n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, RC_IO, "read output");
        if (got == 0)
            break;
        n += (size_t)got;
        if (n > max)
            return err_set(err, RC_TOO_LARGE, "output");
    }
    buf[n] = 0;
    *ret = buf;
    buf = NULL;
    return RC_OK;
}

enum rc proc_run(char *const argv[], int cwd_fd, int log_fd, size_t max, int *ret_exit,
                 char **ret_out, struct err *err)
{
    scoped(close_fd) int in = -1;
    scoped(close_fd) int out = -1;
    int ends[2];
    int status = 0;
    pid_t parent = getpid();

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(err, RC_IO, "pipe");
    in = ends[0];
    out = ends[1];

    pid_t pid = fork();

    if (pid < 0)
        return err_sys(err, RC_IO, "fork");
    if (pid == 0)
        become(argv, cwd_fd, out, log_fd, parent);
    close_fd(&out);

    char *text = NULL;
    enum rc rc = read_all(in, max, &text, err);

    close_fd(&in); /* a child that writes on gets SIGPIPE */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (rc != RC_OK)
        return rc;
    *ret_exit = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    *ret_out = text;
    return RC_OK;
}

bool proc_running(pid_t pid, int *ret_status)
{
    int status = 0;
    pid_t got = waitpid(pid, &status, WNOHANG);

    if (got == 0)
        return true;
    *ret_status = got == pid ? status : 0;
    return false;
}

void proc_stop(pid_t pid, int sig, uint64_t timeout_ms)
{
    scoped(close_fd) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = { .fd = fd, .events = POLLIN };

    if (fd < 0)
        return;
    (void)kill(pid, sig);
    if (poll(&p, 1, (int)timeout_ms) == 0)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}
