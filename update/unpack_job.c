/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's side of update/unpack: start berth-unpack, collect its verdict.  Knows nothing of
 * archives.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "update/check.h"

#define CHILD_FDS 7U
#define ABOVE_CHILD_FDS 16 /* no descriptor that the child is given lies here */

/* "any", or what this machine calls itself. */
static enum rc check_arch(const struct manifest *m, struct err *err)
{
    struct utsname u;

    if (uname(&u) != 0)
        return err_sys(err, RC_IO, "uname");
    if (strcmp(m->arch, "any") != 0 && strcmp(m->arch, u.machine) != 0)
        return err_set(err, RC_ARCH, "%s on %s", m->arch, u.machine);
    return RC_OK;
}

/* What both kinds of package have in common.  Every byte is set, padding too: the struct crosses a
 * pipe. */
static void fill_spec(const struct manifest *m, struct unpack_spec *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->unpacked_bytes = m->unpacked_bytes;
    ret->index = m->index;
    ret->index384 = m->index384;
    ret->files = m->files;
    memcpy(ret->entry, m->args[0], sizeof ret->entry);
}

/* In the child: put the descriptors where berth-unpack finds them, die with the parent, exec.  Only
 * async-signal-safe calls. */
static _Noreturn void become(int program_fd, const int from[CHILD_FDS], pid_t parent)
{
    static char name[] = "berth-unpack";
    static char *const argv[] = { name, NULL };
    static char *const envp[] = { NULL };
    int high[CHILD_FDS];
    int program = fcntl(program_fd, F_DUPFD_CLOEXEC, ABOVE_CHILD_FDS);

    for (unsigned i = 0; i < CHILD_FDS; i++)
        high[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, ABOVE_CHILD_FDS);
    for (unsigned i = 0; i < CHILD_FDS; i++) {
        int to = (int)(UNPACK_FD_CONTENT + i);

        if (from[i] < 0)
            (void)close(to); /* whatever it was here, the child was not given it */
        else if (dup2(high[i], to) < 0)
            _exit(126);
    }
    if (close_range(UNPACK_FD_CONTENT + CHILD_FDS, ~0U, CLOSE_RANGE_CLOEXEC) != 0 ||
        prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(126);

    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)fexecve(program, argv, envp);
    _exit(127);
}

enum rc unpack_start_job(const struct unpack_spec *spec, int program_fd, const int fds[UNPACK_FDS],
                         struct unpack_job *ret, struct err *err)
{
    scoped(close_fd) int spec_read = -1;
    scoped(close_fd) int result_read = -1;
    scoped(close_fd) int result_write = -1;
    int pipes[2];

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return err_sys(err, RC_UNPACK_FAILED, "pipe");
    spec_read = pipes[0];
    enum rc rc = fs_write_all(pipes[1],
                              (struct bytes){ .p = (const uint8_t *)spec, .n = sizeof *spec }, err);
    close_fd(&pipes[1]);
    if (rc != RC_OK)
        return rc;
    if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0)
        return err_sys(err, RC_UNPACK_FAILED, "pipe");
    result_read = pipes[0];
    result_write = pipes[1];

    const int from[CHILD_FDS] = { fds[0], fds[1], spec_read, result_write, fds[2], fds[3], fds[4] };
    pid_t parent = getpid();
    pid_t pid = fork();

    if (pid == 0)
        become(program_fd, from, parent);
    if (pid < 0)
        return err_sys(err, RC_UNPACK_FAILED, "fork");

    int pidfd = pidfd_open(pid, 0);

    if (pidfd < 0) {
        rc = err_sys(err, RC_UNPACK_FAILED, "pidfd");
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        return rc;
    }
    *ret = (struct unpack_job){ .pid = pid, .pidfd = pidfd, .result_fd = take_fd(&result_read) };
    return RC_OK;
}

static void payload_spec(const struct verified_payload *payload, struct unpack_spec *ret)
{
    const struct manifest *m = payload_manifest(payload);

    fill_spec(m, ret);
    ret->content_at = payload_content_at(payload);
    ret->content_bytes = m->content_bytes;
    ret->content = m->content;
    ret->content384 = m->content384;
    ret->unread = !payload_content_read(payload);
}

static void delta_spec(const struct verified_delta *delta, const struct unpack_from *from,
                       struct unpack_spec *ret)
{
    fill_spec(delta_manifest(delta), ret);
    ret->delta = 1;
    ret->content_at = delta_at(delta);
    ret->content_bytes = delta_bytes(delta);
    ret->base = from->manifest->index;
    ret->base_bytes = from->manifest->unpacked_bytes;
    ret->base_files = from->manifest->files;
}

enum rc unpack_start(const struct verified_payload *payload, int program_fd, int staging_dirfd,
                     int index_fd, struct unpack_job *ret, struct err *err)
{
    const int fds[UNPACK_FDS] = { payload_fd(payload), staging_dirfd, index_fd, -1, -1 };
    struct unpack_spec spec;
    enum rc rc = check_arch(payload_manifest(payload), err);

    if (rc != RC_OK)
        return rc;
    payload_spec(payload, &spec);
    return unpack_start_job(&spec, program_fd, fds, ret, err);
}

enum rc check_start_payload(const struct verified_payload *payload, int program_fd,
                            struct unpack_job *ret, struct err *err)
{
    const int fds[UNPACK_FDS] = { payload_fd(payload), -1, -1, -1, -1 };
    struct unpack_spec spec;
    enum rc rc = check_arch(payload_manifest(payload), err);

    if (rc != RC_OK)
        return rc;
    payload_spec(payload, &spec);
    spec.check = UNPACK_CHECK_CONTENT;
    return unpack_start_job(&spec, program_fd, fds, ret, err);
}

enum rc unpack_start_delta(const struct verified_delta *delta, const struct unpack_from *from,
                           const struct unpack_to *to, struct unpack_job *ret, struct err *err)
{
    const int fds[UNPACK_FDS] = { delta_fd(delta), to->staging, to->index, from->root,
                                  from->index };
    struct unpack_spec spec;
    enum rc rc = check_arch(delta_manifest(delta), err);

    if (rc != RC_OK)
        return rc;
    delta_spec(delta, from, &spec);
    return unpack_start_job(&spec, to->program, fds, ret, err);
}

enum rc check_start_delta(const struct verified_delta *delta, const struct unpack_from *from,
                          int program_fd, struct unpack_job *ret, struct err *err)
{
    const int fds[UNPACK_FDS] = { delta_fd(delta), -1, -1, from->root, from->index };
    struct unpack_spec spec;
    enum rc rc = check_arch(delta_manifest(delta), err);

    if (rc != RC_OK)
        return rc;
    delta_spec(delta, from, &spec);
    spec.check = UNPACK_CHECK_CONTENT;
    return unpack_start_job(&spec, program_fd, fds, ret, err);
}

enum rc check_start(const struct manifest *m, int program_fd, const int check_fds[2], bool idle,
                    struct unpack_job *ret, struct err *err)
{
    const int fds[UNPACK_FDS] = { check_fds[0], check_fds[1], -1, -1, -1 };
    struct unpack_spec spec;

    memset(&spec, 0, sizeof spec);
    spec.check = UNPACK_CHECK_TREE;
    spec.idle = idle;
    spec.index = m->index;
    spec.index384 = m->index384;
    return unpack_start_job(&spec, program_fd, fds, ret, err);
}

enum rc check_start_object(const struct check_object *what, int program_fd, bool idle,
                           struct unpack_job *ret, struct err *err)
{
    const int fds[UNPACK_FDS] = { what->fd, what->fd, -1, -1, -1 };
    struct unpack_spec spec;

    memset(&spec, 0, sizeof spec);
    spec.check = UNPACK_CHECK_OBJECT;
    spec.idle = idle;
    spec.content_bytes = what->size;
    spec.content = what->digest;
    return unpack_start_job(&spec, program_fd, fds, ret, err);
}

static void job_done(struct unpack_job *job)
{
    close_fd(&job->pidfd);
    close_fd(&job->result_fd);
    job->pid = 0;
}

/* What the child said, if it said exactly one verdict that this program knows. */
static enum rc read_verdict(struct unpack_job *job, struct err *err)
{
    struct unpack_verdict verdict;
    ssize_t n = read(job->result_fd, &verdict, sizeof verdict);

    if (n != (ssize_t)sizeof verdict)
        return err_set(err, RC_UNPACK_FAILED, "no verdict");
    if (verdict.verity == VERITY_ON || verdict.verity == VERITY_ABSENT)
        job->verity = (enum verity_state)verdict.verity;

    enum rc rc = rc_from_number(verdict.rc);

    if (rc == RC_OK && verdict.rc == RC_OK)
        return RC_OK;
    /* It has ended: that it is busy would be taken for "not yet". */
    if ((uint32_t)rc != verdict.rc || rc == RC_BUSY)
        return err_set(err, RC_UNPACK_FAILED, "verdict %u", verdict.rc);
    rc = err_at(err, rc, verdict.at, "%.*s", (int)sizeof verdict.what - 1, verdict.what);
    if (err)
        err->sys = verdict.sys;
    return rc;
}

bool unpack_ended(const struct unpack_job *job)
{
    siginfo_t info = { 0 };
    int r;

    do
        r = waitid(P_PIDFD, (id_t)job->pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
    while (r != 0 && errno == EINTR);
    return r != 0 || info.si_pid != 0;
}

enum rc unpack_result(struct unpack_job *job, struct err *err)
{
    siginfo_t info = { 0 };
    int r;

    do
        r = waitid(P_PIDFD, (id_t)job->pidfd, &info, WEXITED | WNOHANG);
    while (r != 0 && errno == EINTR);
    if (r == 0 && info.si_pid == 0)
        return err_set(err, RC_BUSY, "berth-unpack");

    enum rc rc;

    if (r != 0)
        rc = err_sys(err, RC_UNPACK_FAILED, "wait");
    else if (info.si_code != CLD_EXITED)
        rc = err_set(err, RC_UNPACK_FAILED, "killed by signal %d", info.si_status);
    else
        rc = read_verdict(job, err);
    if (rc == RC_OK && info.si_status != 0)
        rc = err_set(err, RC_UNPACK_FAILED, "exit code %d", info.si_status);
    job_done(job);
    return rc;
}

void unpack_kill(const struct unpack_job *job)
{
    if (job->pid > 0) /* 0 would be all of our own group */
        (void)kill(job->pid, SIGKILL);
}

void unpack_cancel(struct unpack_job *job)
{
    siginfo_t info;

    if (job->pid <= 0)
        return;
    (void)pidfd_send_signal(job->pidfd, SIGKILL, NULL, 0);
    while (waitid(P_PIDFD, (id_t)job->pidfd, &info, WEXITED) != 0 && errno == EINTR)
        ;
    job_done(job);
}

enum rc unpack_run(const struct verified_payload *payload, int program_fd, int staging_dirfd,
                   uint32_t timeout_ms, struct err *err)
{
    struct unpack_job job;
    enum rc rc = unpack_start(payload, program_fd, staging_dirfd, -1, &job, err);

    if (rc != RC_OK)
        return rc;

    struct pollfd ready = { .fd = job.pidfd, .events = POLLIN };
    int n;

    do
        n = poll(&ready, 1, (int)timeout_ms);
    while (n < 0 && errno == EINTR);
    if (n <= 0) {
        unpack_cancel(&job);
        return err_set(err, RC_TIMEOUT, "berth-unpack");
    }
    return unpack_result(&job, err);
}
