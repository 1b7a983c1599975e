/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/evict.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"

#define HOLDERS_MAX 32U
#define GONE_MS 5000

struct holders {
    uint32_t n;
    int pidfd[HOLDERS_MAX];
};

static void holders_done(struct holders *h)
{
    for (uint32_t i = 0; i < h->n; i++)
        close_fd(&h->pidfd[i]);
}

static bool is_number(const char *text)
{
    return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* Whether the lock on this file, which a process has open, is its own to let go of: what shares a
 * descriptor shares its lock, and the kernel says so of each.  A directory is open to many who have
 * no part in it. */
static bool has_lock(int fds, const char *fd)
{
    char path[64], text[1024];
    size_t n = 0;

    (void)snprintf(path, sizeof path, "../fdinfo/%.20s", fd);
    scoped(close_fd) int info = openat(fds, path, O_RDONLY | O_CLOEXEC);
    for (ssize_t got = 1; info >= 0 && got > 0 && n < sizeof text - 1; n += (size_t)got) {
        got = read(info, text + n, sizeof text - 1 - n);
        if (got < 0)
            return false;
    }
    text[n] = '\0';
    return strstr(text, "FLOCK") != NULL;
}

/* Whether a process has the file open, and locked. */
static bool holds(int proc, const char *pid, const struct stat *lock)
{
    char path[64];
    bool found = false;

    (void)snprintf(path, sizeof path, "%.20s/fd", pid);
    int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        close_fd(&fd);
        return false;
    }
    for (struct dirent *e = readdir(dir); e && !found; e = readdir(dir)) {
        struct stat st;

        found = is_number(e->d_name) && fstatat(dirfd(dir), e->d_name, &st, 0) == 0 &&
                st.st_dev == lock->st_dev && st.st_ino == lock->st_ino &&
                has_lock(dirfd(dir), e->d_name);
    }
    (void)closedir(dir);
    return found;
}

/* Fourth field of PID/stat, behind the name in brackets, which may hold anything, and one letter.
 */
static long parent_of(int proc, const char *pid)
{
    char path[64], text[512];

    (void)snprintf(path, sizeof path, "%.20s/stat", pid);
    scoped(close_fd) int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *after = strrchr(text, ')');
    return after && strlen(after) > 4 ? strtol(after + 4, NULL, 10) : 0;
}

static bool is_berthd(int proc, long pid)
{
    static const char name[] = "/berthd", gone[] = " (deleted)"; /* its slot was exchanged */
    char path[64], program[4096];

    (void)snprintf(path, sizeof path, "%ld/exe", pid);
    ssize_t n = readlinkat(proc, path, program, sizeof program - 1);
    if (n >= (ssize_t)sizeof gone - 1 &&
        memcmp(program + n - (sizeof gone - 1), gone, sizeof gone - 1) == 0)
        n -= (ssize_t)sizeof gone - 1;
    if (n < (ssize_t)sizeof name - 1)
        return false;
    program[n] = '\0';
    return strcmp(program + n - (sizeof name - 1), name) == 0;
}

/* Held by descriptor before it is looked at, so that the number cannot become another's. */
static enum rc look_at(int proc, const char *pid, const struct stat *lock, struct holders *h,
                       struct err *err)
{
    scoped(close_fd) int pidfd = -1;
    long number = strtol(pid, NULL, 10);

    if (number == getpid())
        return RC_OK;
    pidfd = (int)syscall(SYS_pidfd_open, (pid_t)number, 0);
    if (pidfd < 0 || !holds(proc, pid, lock))
        return RC_OK;
    if (is_berthd(proc, number) || is_berthd(proc, parent_of(proc, pid)))
        return err_set(err, RC_BUSY, "an agent runs: process %ld", number);
    if (h->n == HOLDERS_MAX) /* the rest next time, once it is known that no agent is among them */
        return RC_OK;
    h->pidfd[h->n++] = take_fd(&pidfd);
    return RC_OK;
}

static enum rc find(const struct stat *lock, struct holders *h, struct err *err)
{
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = proc < 0 ? NULL : fdopendir(proc);
    enum rc rc = RC_OK;

    if (!dir) {
        close_fd(&proc);
        return err_sys(err, RC_IO, "/proc");
    }
    for (struct dirent *e = readdir(dir); e && rc == RC_OK; e = readdir(dir))
        if (is_number(e->d_name))
            rc = look_at(proc, e->d_name, lock, h, err);
    (void)closedir(dir);
    return rc;
}

/* What boot_lock locks: the file, or what has its name and cannot be moved away, or else the
 * directory. */
static enum rc find_lock(int state_dirfd, struct stat *ret, struct err *err)
{
    scoped(close_fd) int fd = -1;
    struct err why = { 0 };
    enum rc rc = fs_open(state_dirfd, "lock", O_RDONLY | O_NONBLOCK, 0, &fd, &why);

    if (rc != RC_OK)
        rc = fs_open(state_dirfd, ".", O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (rc == RC_OK && fstat(fd, ret) != 0)
        rc = err_sys(err, RC_IO, "lock");
    return rc;
}

enum rc boot_evict(int state_dirfd, uint32_t *ret, struct err *err)
{
    scoped(holders_done) struct holders h = { 0 };
    struct stat lock;
    enum rc rc = find_lock(state_dirfd, &lock, err);

    if (rc == RC_OK)
        rc = find(&lock, &h, err);
    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < h.n; i++)
        (void)syscall(SYS_pidfd_send_signal, h.pidfd[i], SIGKILL, NULL, 0);
    for (uint32_t i = 0; i < h.n; i++) {
        struct pollfd end = { .fd = h.pidfd[i], .events = POLLIN };

        (void)poll(&end, 1, GONE_MS);
    }
    if (h.n > 0)
        log_event(LOG_LEVEL_WARN, "killed what an agent before this one left: n=%u", h.n);
    *ret = h.n;
    return RC_OK;
}
