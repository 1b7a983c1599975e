/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/api_child.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/checking.h"

#define ROOM_FIRST 65536U
#define COLUMNS "BERTH_COLUMNS="

/* What is read of the child: its stdout and stderr. */
struct heard {
    int fd; /* -1 when it has ended */
    char *text;
    size_t n, room;
};

struct child {
    pid_t pid;
    int ends; /* pidfd */
    struct heard heard[2];
};

/* The child's part, in a copy of a process with threads: system calls only, and never returns. */
static void become(int program, char *const *argv, char *const *envp, const int fd[3], pid_t parent)
{
    sigset_t none;

    (void)sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && dup2(fd[0], 0) == 0 &&
        dup2(fd[1], 1) == 1 && dup2(fd[2], 2) == 2 && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
        (void)fexecve(program, argv, envp);
    _exit(127);
}

/* One more piece.  false: no memory, or more than there may be. */
static bool hear(struct heard *h, enum rc *rc)
{
    if (h->n + 1 >= h->room) {
        const size_t room = h->room == 0 ? ROOM_FIRST : h->room * 2;
        char *grown = room <= 2 * API_CHILD_OUT_MAX ? realloc(h->text, room) : NULL;

        if (!grown) {
            *rc = room <= 2 * API_CHILD_OUT_MAX ? RC_NO_MEMORY : RC_TOO_LARGE;
            return false;
        }
        h->text = grown;
        h->room = room;
    }
    const ssize_t got = read(h->fd, h->text + h->n, h->room - h->n - 1);

    if (got < 0)
        return errno == EINTR || errno == EAGAIN;
    h->n += (size_t)got;
    h->text[h->n] = '\0';
    if (got == 0) {
        (void)close(h->fd);
        h->fd = -1;
    }
    return true;
}

/* Hear it out, and wait for its end, until the time is up. */
static enum rc attend(struct child *c, uint64_t most_ms)
{
    const uint64_t until_ms = clock_mono_ms() + most_ms;
    bool ended = false;
    enum rc rc = RC_OK;

    while (rc == RC_OK && (!ended || c->heard[0].fd >= 0 || c->heard[1].fd >= 0)) {
        struct pollfd p[3] = { { .fd = c->heard[0].fd, .events = POLLIN },
                               { .fd = c->heard[1].fd, .events = POLLIN },
                               { .fd = ended ? -1 : c->ends, .events = POLLIN } };
        const uint64_t now_ms = clock_mono_ms();

        if (now_ms >= until_ms)
            return RC_TIMEOUT;
        if (poll(p, 3, (int)(until_ms - now_ms)) < 0 && errno != EINTR)
            return RC_INTERNAL;
        for (size_t i = 0; rc == RC_OK && i < 2; i++)
            if (p[i].revents != 0 && !hear(&c->heard[i], &rc) && rc == RC_OK)
                rc = RC_INTERNAL;
        ended = ended || p[2].revents != 0;
    }
    return rc;
}

/* The environment with how wide a terminal is, in *ret, to be freed with free(). */
static bool environment(const char *columns, char ***ret)
{
    size_t n = 0, k = 0;

    while (environ[n])
        n++;
    char **all = calloc(n + 2, sizeof *all);

    for (size_t i = 0; all && i < n; i++)
        if (strncmp(environ[i], COLUMNS, strlen(COLUMNS)) != 0)
            all[k++] = environ[i];
    if (all)
        all[k] = (char *)(uintptr_t)columns;
    *ret = all;
    return all != NULL;
}

static bool begin(struct child *c, int program, char *const *argv, char *const *envp)
{
    scoped(close_fd) int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int out[2] = { -1, -1 }, err[2] = { -1, -1 };
    const pid_t parent = getpid();

    if (nothing >= 0 && pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0)
        c->pid = fork();
    if (c->pid == 0)
        become(program, argv, envp, (const int[3]){ nothing, out[1], err[1] }, parent);
    for (size_t i = 0; i < 2; i++) {
        const int write_end = i == 0 ? out[1] : err[1];

        c->heard[i].fd = i == 0 ? out[0] : err[0];
        if (write_end >= 0)
            (void)close(write_end);
    }
    c->ends = c->pid > 0 ? pidfd_open(c->pid, 0) : -1;
    return c->ends >= 0;
}

/* No process and no descriptor of it stays; its exit status, or -1. */
static int finish(struct child *c, bool in_time)
{
    int status = -1;

    if (c->pid > 0 && !in_time)
        (void)kill(c->pid, SIGKILL);
    while (c->pid > 0 && waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    for (size_t i = 0; i < 2; i++)
        if (c->heard[i].fd >= 0)
            (void)close(c->heard[i].fd);
    if (c->ends >= 0)
        (void)close(c->ends);
    return c->pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum rc api_child_run(const char *home, const char *const *word, size_t n, unsigned columns,
                      uint64_t most_ms, struct api_ran *ret, struct err *err)
{
    const char *argv[API_CHILD_WORDS_MAX + 4U] = { "berth", "--home", home };
    scoped(close_fd) int program = -1;
    scoped(free_ptr) char **envp = NULL;
    struct child c = { .pid = -1, .ends = -1, .heard = { { .fd = -1 }, { .fd = -1 } } };
    char width[sizeof COLUMNS + 12];
    enum rc rc = RC_INTERNAL;

    assert(n <= API_CHILD_WORDS_MAX);
    *ret = (struct api_ran){ .code = -1 };
    for (size_t i = 0; i < n; i++)
        argv[3 + i] = word[i];
    (void)snprintf(width, sizeof width, COLUMNS "%u", columns);
    if (!environment(width, &envp))
        return err_set(err, RC_NO_MEMORY, "environment");
    rc = checking_sibling("berth", &program, err);
    if (rc != RC_OK)
        return rc;
    const bool begun = begin(&c, program, (char *const *)(uintptr_t)argv, envp);

    rc = begun ? attend(&c, most_ms) : RC_INTERNAL;
    ret->code = finish(&c, rc == RC_OK);
    ret->out = c.heard[0].text;
    ret->n_out = c.heard[0].n;
    ret->err = c.heard[1].text;
    ret->n_err = c.heard[1].n;
    if (rc == RC_OK && ret->code < 0)
        rc = RC_INTERNAL;
    return rc == RC_OK ? RC_OK
           : rc == RC_TIMEOUT
               ? err_set(err, rc, "%s: not done after %llu s", n > 0 ? word[0] : "berth",
                         (unsigned long long)(most_ms / 1000))
               : err_set(err, rc, "%s: a process of its own", n > 0 ? word[0] : "berth");
}
