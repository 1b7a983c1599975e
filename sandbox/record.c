/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/record.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "sandbox/record_child.h"

#define SAMPLE_MS 50U
#define SETUP_MS 30000U
#define PIDS_MAX 1024U

/* A process of the payload, by its number on this machine. */
struct seen {
    pid_t pid;
    bool thread; /* of another one: its own numbers say nothing more */
    uint64_t cpu_us;
};

struct watch {
    struct record *record;
    pid_t child;
    int sync, notify, listener;
    uint64_t end_ms;
    bool failed;
    struct record_message failure;
    uint32_t n_seen;
    struct seen seen[PIDS_MAX];
};

static void watch_done(struct watch *w)
{
    close_fd(&w->sync);
    close_fd(&w->notify);
    close_fd(&w->listener);
    if (w->child > 0) {
        (void)kill(w->child, SIGKILL);
        (void)waitpid(w->child, NULL, 0);
    }
}

/* ---- what it takes -------------------------------------------------------------------------- */

static uint64_t field(const char *text, const char *name)
{
    const char *at = strstr(text, name);

    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

static bool read_proc(pid_t pid, const char *file, char *buf, size_t size)
{
    char path[48];

    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

    buf[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static uint32_t count_files(pid_t pid)
{
    char path[48];
    uint32_t n = 0;

    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    if (dir != NULL)
        (void)closedir(dir);
    return n;
}

/* The name, which may hold anything, ends with the last ')'; user and system time are the 12th and
 * 13th words behind it. */
static uint64_t cpu_of(const char *stat)
{
    const char *at = strrchr(stat, ')');
    const uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
    uint64_t ticks = 0;

    for (int word = 1; at != NULL && word <= 13; word++) {
        at = strchr(at + 1, ' ');
        if (at != NULL && word >= 12)
            ticks += strtoull(at + 1, NULL, 10);
    }
    return ticks * 1000000U / (hz > 0 ? hz : 100);
}

static void sample(struct watch *w)
{
    struct record *r = w->record;
    uint64_t memory = 0;
    uint64_t cpu = 0;
    uint32_t pids = 0;

    for (uint32_t i = 0; i < w->n_seen; i++) {
        struct seen *s = &w->seen[i];
        char text[4096];

        if (!s->thread && read_proc(s->pid, "status", text, sizeof text)) {
            s->thread = field(text, "\nTgid:\t") != (uint64_t)s->pid;
            uint32_t files = s->thread ? 0 : count_files(s->pid);

            if (!s->thread) {
                memory += field(text, "\nVmHWM:\t") * 1024U;
                pids += (uint32_t)field(text, "\nThreads:\t");
            }
            if (files > r->open_files)
                r->open_files = files;
            if (!s->thread && read_proc(s->pid, "stat", text, sizeof text))
                s->cpu_us = cpu_of(text);
        }
        cpu += s->cpu_us;
    }
    r->memory_bytes = memory > r->memory_bytes ? memory : r->memory_bytes;
    r->pids = pids > r->pids ? pids : r->pids;
    r->cpu_us = cpu > r->cpu_us ? cpu : r->cpu_us;
}

static void see(struct watch *w, pid_t pid)
{
    for (uint32_t i = w->n_seen; i > 0; i--) {
        if (w->seen[i - 1].pid == pid)
            return;
    }
    if (w->n_seen < PIDS_MAX)
        w->seen[w->n_seen++] = (struct seen){ .pid = pid };
}

/* ---- calls ---------------------------------------------------------------------------------- */

/* What the call needs, and what it gets: 0 = it goes on, else an errno. */
static int judge(struct record *r, uint32_t nr, const uint64_t args[6])
{
    static const uint32_t masks[] = { 0, PROFILE_NET, PROFILE_DEVICE, PROFILE_LEGACY };
    enum seccomp_verdict verdict = SECCOMP_KILL;
    enum call call = CALLS_N;
    bool known = call_find(CALLS_NATIVE, nr, &call);

    if (known)
        r->counts[call]++;
    else
        r->unknown++;
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        verdict = seccomp_verdict(SECCOMP_PAYLOAD, masks[i], CALLS_NATIVE, nr, args);
        if (verdict == SECCOMP_ALLOW) {
            r->profile |= masks[i];
            return 0;
        }
    }
    if (known && verdict != SECCOMP_ENOSYS_QUIET)
        r->refused[call]++;
    return verdict == SECCOMP_EPERM || verdict == SECCOMP_KILL ? EPERM : ENOSYS;
}

static void on_call(struct watch *w)
{
    struct seccomp_notif request;
    struct seccomp_notif_resp response = { 0 };
    uint64_t args[6];

    memset(&request, 0, sizeof request); /* the kernel wants it so */
    if (ioctl(w->listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0)
        return; /* it died meanwhile */
    see(w, (pid_t)request.pid);
    if (request.data.nr == SYS_exit_group)
        sample(w); /* the last moment to see what it had */
    memcpy(args, request.data.args, sizeof args);
    int error = judge(w->record, (uint32_t)request.data.nr, args);

    response.id = request.id;
    response.error = -error;
    if (error == 0)
        response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    (void)ioctl(w->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* ---- messages ------------------------------------------------------------------------------- */

/* False: the child has gone. */
static bool on_message(struct watch *w)
{
    struct record_message m;
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = &m, .iov_len = sizeof m };
    struct msghdr hdr = { .msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = control.buf,
                          .msg_controllen = sizeof control.buf };

    if (recvmsg(w->sync, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != sizeof m)
        return false;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);
    if (m.kind == RECORD_LISTENER && c != NULL && w->listener < 0) {
        memcpy(&w->listener, CMSG_DATA(c), sizeof w->listener);
        w->record->has_proc = m.has_proc != 0;
    } else if (m.kind == RECORD_STATUS) {
        w->record->ended = true;
        w->record->status = m.value;
    } else if (m.kind == RECORD_FAILED && !w->failed) {
        w->failed = true;
        w->failure = m;
        w->failure.step[sizeof m.step - 1] = '\0';
    }
    return true;
}

static void on_notify(struct watch *w)
{
    char text[512];
    ssize_t n = recv(w->notify, text, sizeof text - 1, MSG_DONTWAIT);

    if (n <= 0)
        return;
    text[n] = '\0';
    if (strncmp(text, "READY=1", 7) == 0 || strstr(text, "\nREADY=1") != NULL)
        w->record->said_ready = true;
}

/* Until the child is gone or the time is up. */
static void watch_all(struct watch *w)
{
    uint64_t next_sample = 0;

    for (;;) {
        struct pollfd p[] = { { .fd = w->listener, .events = POLLIN },
                              { .fd = w->sync, .events = POLLIN },
                              { .fd = w->notify, .events = POLLIN } };
        uint64_t now = clock_mono_ms();

        if (now >= w->end_ms)
            return;
        if (now >= next_sample) {
            sample(w);
            next_sample = now + SAMPLE_MS;
        }
        if (poll(p, 3, (int)SAMPLE_MS) <= 0)
            continue;
        if ((p[0].revents & POLLIN) != 0)
            on_call(w);
        else if (p[0].revents != 0)
            close_fd(&w->listener); /* nobody is left who could be held */
        if ((p[2].revents & POLLIN) != 0)
            on_notify(w);
        if (p[1].revents != 0 && !on_message(w))
            return;
    }
}

/* ---- the whole ------------------------------------------------------------------------------ */

static enum rc check_unprivileged(struct err *err)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { 0 };

    if (getuid() == 0 || geteuid() == 0 || getuid() != geteuid())
        return err_set(err, RC_CONFINE, "root");
    if (syscall(SYS_capget, &head, caps) != 0)
        return err_sys(err, RC_CONFINE, "capabilities");
    if ((caps[0].permitted | caps[1].permitted) != 0)
        return err_set(err, RC_CONFINE, "capabilities");
    return RC_OK;
}

static enum rc start_child(const struct record_job *job, struct watch *w, struct err *err)
{
    int pair[2];

    w->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->notify < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "sockets");
    w->sync = pair[0];
    w->child = fork();
    if (w->child == 0)
        record_child(job, pair[1], w->notify);
    (void)close(pair[1]);
    return w->child < 0 ? err_sys(err, RC_LAUNCH_STEP, "fork") : RC_OK;
}

static enum rc failure(const struct watch *w, const struct record_job *job, struct err *err)
{
    errno = w->failure.error;
    if (strcmp(w->failure.step, "exec") == 0)
        return err_sys(err, RC_LAUNCH_EXEC, "%s", job->argv[0]);
    if (strcmp(w->failure.step, "user namespace") == 0)
        return err_sys(err, RC_CONFINE, "user namespaces");
    return err_sys(err, RC_LAUNCH_STEP, "%s", w->failure.step);
}

enum rc record_run(const struct record_job *job, struct record *ret, struct err *err)
{
    scoped(watch_done) struct watch w = {
        .record = ret, .sync = -1, .notify = -1, .listener = -1, .child = -1
    };
    struct rusage usage = { 0 };
    enum rc rc = check_unprivileged(err);

    memset(ret, 0, sizeof *ret);
    if (rc == RC_OK)
        rc = start_child(job, &w, err);
    if (rc != RC_OK)
        return rc;
    uint64_t began = clock_mono_ms();

    w.end_ms = began + (uint64_t)job->seconds * 1000U;
    watch_all(&w);
    ret->wall_us = (clock_mono_ms() - began) * 1000U;
    (void)kill(w.child, SIGKILL); /* and with it all of it: process 1 dies with its parent */
    if (wait4(w.child, NULL, 0, &usage) == w.child)
        w.child = -1;
    uint64_t waited = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000U +
                      (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    ret->cpu_us = waited > ret->cpu_us ? waited : ret->cpu_us;
    return w.failed ? failure(&w, job, err) : RC_OK;
}
