/* SPDX-License-Identifier: Apache-2.0 */
#include "update/signer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fs.h"

struct signer_copy {
    struct signer signer;
    char *program;
    char *name;
};

/* One run of the program. */
struct run {
    pid_t pid;
    int pidfd;
    int out; /* what it prints */
    uint64_t deadline_ms;
};

/* Whatever happened, nothing that was started here is left behind. */
static void run_done(struct run *run)
{
    if (run->pid > 0) {
        (void)kill(run->pid, SIGKILL);
        (void)waitpid(run->pid, NULL, 0);
    }
    close_fd(&run->pidfd);
    close_fd(&run->out);
}

/* In the child: only async-signal-safe calls.  All other descriptors are close-on-exec. */
static void become(const struct signer *signer, const char *verb, const char *half, int in, int out)
{
    const char *argv[] = { signer->program, verb, half, signer->name, NULL };

    if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(127);
    (void)execv(signer->program, (char *const *)(uintptr_t)argv);
    _exit(127);
}

static enum rc run_begin(const struct signer *signer, const char *verb, const char *half,
                         struct bytes input, struct run *ret, struct err *err)
{
    scoped(close_fd) int in = -1, to = -1;
    struct run run = { .pidfd = -1, .out = -1 };
    int pipe_fd[2];

    enum rc rc = fs_sealed("to-sign", input, &in, err);
    if (rc != RC_OK)
        return rc;
    if (lseek(in, 0, SEEK_SET) != 0 || pipe2(pipe_fd, O_CLOEXEC) != 0)
        return err_sys(err, RC_IO, "pipe");
    run.out = pipe_fd[0];
    to = pipe_fd[1];
    run.deadline_ms = clock_mono_ms() + signer->timeout_ms;
    run.pid = fork();
    if (run.pid == 0)
        become(signer, verb, half, in, to);
    if (run.pid > 0)
        run.pidfd = (int)syscall(SYS_pidfd_open, run.pid, 0);
    if (run.pid < 0 || run.pidfd < 0) {
        rc = err_sys(err, RC_IO, "%s", signer->program);
        run_done(&run);
        return rc;
    }
    *ret = run;
    return RC_OK;
}

static enum rc wait_for(const struct run *run, int fd, struct err *err)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        uint64_t now = clock_mono_ms();
        int n = now < run->deadline_ms ? poll(&p, 1, (int)(run->deadline_ms - now)) : 0;

        if (n > 0)
            return RC_OK;
        if (n == 0)
            return err_set(err, RC_TIMEOUT, "signer");
        if (errno != EINTR)
            return err_sys(err, RC_IO, "signer");
    }
}

/* Exactly n bytes and the end: one more is read to see that there is none. */
static enum rc read_answer(const struct run *run, uint8_t *ret, size_t n, size_t *ret_n,
                           struct err *err)
{
    size_t have = 0;
    uint8_t extra;

    for (;;) {
        enum rc rc = wait_for(run, run->out, err);
        if (rc != RC_OK)
            return rc;

        ssize_t got = read(run->out, have < n ? ret + have : &extra, have < n ? n - have : 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, RC_IO, "signer");
        if (got == 0)
            break;
        if (have == n)
            return err_set(err, RC_SIGNER, "it printed more than %zu bytes", n);
        have += (size_t)got;
    }
    *ret_n = have;
    return RC_OK;
}

static enum rc run_end(struct run *run, const char *program, struct err *err)
{
    int status = 0;
    enum rc rc = wait_for(run, run->pidfd, err);

    if (rc != RC_OK)
        return rc;
    if (waitpid(run->pid, &status, 0) != run->pid)
        return err_sys(err, RC_IO, "signer");
    run->pid = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return RC_OK;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return err_set(err, RC_SIGNER, "%s cannot be started", program);
    return err_set(err, RC_SIGNER, "%s %s %d", program,
                   WIFEXITED(status) ? "ended with" : "was killed by signal",
                   WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
}

/* The answer goes to ret only when the program also ended well. */
static enum rc ask(const struct signer *signer, const char *verb, const char *half,
                   struct bytes input, uint8_t *ret, size_t n, struct err *err)
{
    scoped(run_done) struct run run = { .pidfd = -1, .out = -1 };
    scoped(free_ptr) uint8_t *answer = calloc(1, n);
    size_t have = 0;

    if (!answer)
        return err_set(err, RC_NO_MEMORY, "signer");
    enum rc rc = run_begin(signer, verb, half, input, &run, err);

    if (rc == RC_OK)
        rc = read_answer(&run, answer, n, &have, err);
    if (rc == RC_OK)
        rc = run_end(&run, signer->program, err);
    if (rc == RC_OK && have != n)
        rc = err_set(err, RC_SIGNER, "it printed %zu of %zu bytes", have, n);
    if (rc == RC_OK)
        memcpy(ret, answer, n);
    return rc;
}

/* ---- what update/sign calls ---- */

static enum rc sign_half(void *arg, const char *half, struct bytes message, uint8_t *ret, size_t n,
                         struct err *err)
{
    const struct signer_copy *copy = arg;

    return ask(&copy->signer, "sign", half, message, ret, n, err);
}

static void copy_free(void *arg)
{
    struct signer_copy *copy = arg;

    free(copy->program);
    free(copy->name);
    free(copy);
}

static enum rc ask_halves(const struct signer *signer, const struct public_key *rest,
                          struct public_key *key, struct err *err)
{
    const struct suite_row *row = suite_find(key->suite);
    const struct bytes none = { 0 };
    uint8_t *to = key->halves;
    enum rc rc = RC_OK;

    for (uint32_t h = 0; rc == RC_OK && h < row->n; h++) {
        const struct suite_half *half = &row->half[h];

        if (rest && half->algorithm != COSE_ALG_ED25519)
            memcpy(to, public_half(rest, h).p, half->public_size);
        else
            rc = ask(signer, "public", half->name, none, to, half->public_size, err);
        to += half->public_size;
    }
    return rc;
}

enum rc signer_public(const struct signer *signer, enum suite suite, const struct public_key *rest,
                      struct public_key *ret, struct err *err)
{
    scoped(free_ptr) struct public_key *key = calloc(1, sizeof *key);

    if (!key)
        return err_set(err, RC_NO_MEMORY, "key");
    if (!suite_find(suite))
        return err_set(err, RC_SUITE_UNKNOWN, "key");
    if (rest && (suite != SUITE_ED25519_MLDSA65 || rest->suite != suite))
        return err_set(err, RC_KEY_FILE, "only a hybrid key can have its halves in two places");
    key->suite = suite;

    enum rc rc = ask_halves(signer, rest, key, err);
    if (rc == RC_OK)
        rc = public_key_id(key, key->id, err);
    if (rc == RC_OK)
        *ret = *key;
    return rc;
}

enum rc signer_key(const struct signer *signer, const struct public_key *public,
                   struct sign_key **rest, struct sign_key **ret, struct err *err)
{
    struct signer_copy *copy = calloc(1, sizeof *copy);
    struct sign_elsewhere elsewhere = {
        .sign = sign_half, .done = copy_free, .arg = copy, .rest = rest ? *rest : NULL
    };
    enum rc rc;

    if (!copy)
        return err_set(err, RC_NO_MEMORY, "signer");
    copy->program = strdup(signer->program);
    copy->name = strdup(signer->name);
    copy->signer = (struct signer){ copy->program, copy->name, signer->timeout_ms };
    rc = copy->program && copy->name ? sign_key_elsewhere(public, &elsewhere, ret, err)
                                     : err_set(err, RC_NO_MEMORY, "signer");
    if (rc != RC_OK)
        copy_free(copy);
    else if (rest)
        *rest = NULL;
    return rc;
}
