/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/checking.h"

#define PROGRAM "berth-http"
#define WORDS_MAX 20U
#define URL_CAP 2048U
#define WHY_MAX 200U

void fetched_done(struct fetched *fetched)
{
    free(fetched->owned);
    *fetched = (struct fetched){ 0 };
}

enum rc fetched_parse(struct bytes in, struct fetched *ret, struct err *err)
{
    unsigned status = 0;

    for (size_t i = 0; i < 3 && i < in.n; i++)
        status = in.p[i] >= '0' && in.p[i] <= '9'
                     ? status * 10U + (unsigned)(in.p[i] - (uint8_t)0x30)
                     : 1000U;
    if (in.n < 4 || in.p[3] != '\n' || status < 200 || status > 599)
        return err_set(err, RC_API_SERVER, "no status");
    ret->status = status;
    ret->body = (struct bytes){ .p = in.p + 4, .n = in.n - 4 };
    return RC_OK;
}

/* The child's part: never returns. */
static void become(int program, char *const *argv, const int fd[3])
{
    char *const environment[] = { NULL };

    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(fd[0], 0) == 0 && dup2(fd[1], 1) == 1 &&
        dup2(fd[2], 2) == 2)
        (void)fexecve(program, argv, environment);
    _exit(127);
}

static enum rc run(int program, char *const *argv, const int fd[3], int *ret_status,
                   struct err *err)
{
    const pid_t child = fork();

    if (child == 0)
        become(program, argv, fd);
    if (child < 0)
        return err_sys(err, RC_IO, "fork");
    while (waitpid(child, ret_status, 0) < 0)
        if (errno != EINTR)
            return err_sys(err, RC_IO, "waitpid");
    return RC_OK;
}

/* What it said about why there is no answer. */
static enum rc explain(int fd, int status, struct err *err)
{
    char why[WHY_MAX + 1] = "";
    ssize_t n = pread(fd, why, WHY_MAX, 0);

    why[n > 0 ? n : 0] = '\0';
    why[strcspn(why, "\n")] = '\0';
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;

    return err_set(err,
                   code == 6   ? RC_TIMEOUT
                   : code == 5 ? RC_API_AUTH
                               : RC_API_SERVER,
                   "%s", why[0] != '\0' ? why : PROGRAM " failed");
}

static enum rc take(int fd, struct fetched *ret, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || st.st_size < 0 || (uint64_t)st.st_size > FETCH_ANSWER_MAX + 4)
        return err_set(err, RC_API_LIMIT, "answer");
    const size_t n = (size_t)st.st_size;

    ret->owned = malloc(n + 1);
    if (!ret->owned)
        return err_set(err, RC_NO_MEMORY, "answer");
    enum rc rc = fs_pread_exact(fd, ret->owned, n, 0, err);

    return rc == RC_OK ? fetched_parse((struct bytes){ ret->owned, n }, ret, err) : rc;
}

/* Word by word; the program's own name and the words before the options are there already. */
static void add_option(const char **argv, size_t *n, const char *name, const char *value)
{
    if (!value || value[0] == '\0')
        return;
    argv[(*n)++] = name;
    argv[(*n)++] = value;
}

enum rc fetch_run(const struct context *context, const struct fetch *fetch, struct fetched *ret,
                  struct err *err)
{
    scoped(close_fd) int program = -1;
    scoped(close_fd) int in = -1;
    scoped(close_fd) int out = memfd_create("answer", MFD_CLOEXEC);
    scoped(close_fd) int why = memfd_create("why", MFD_CLOEXEC);
    scoped(fetched_done) struct fetched got = { 0 };
    const char *argv[WORDS_MAX] = { PROGRAM, fetch->method };
    char url[URL_CAP];
    size_t n = 2;
    int status = 0;

    if (out < 0 || why < 0)
        return err_sys(err, RC_IO, "memory");
    if (snprintf(url, sizeof url, "%s%s", context->server, fetch->path) >= (int)sizeof url)
        return err_set(err, RC_API_REQUEST, "longer than %u", URL_CAP);
    argv[n++] = url;
    add_option(argv, &n, "--token-file", context->token_file);
    add_option(argv, &n, "--ca", context->ca);
    add_option(argv, &n, "--cert", context->cert);
    add_option(argv, &n, "--key", context->key);
    add_option(argv, &n, "--accept", fetch->accept);
    add_option(argv, &n, "--idempotency-key", fetch->idempotency);
    enum rc rc = checking_sibling(PROGRAM, &program, err);

    if (rc == RC_OK)
        rc = fs_sealed("request", fetch->body, &in, err);
    if (rc == RC_OK)
        rc = run(program, (char *const *)(uintptr_t)argv, (const int[3]){ in, out, why }, &status,
                 err);
    if (rc == RC_OK && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        rc = explain(why, status, err);
    if (rc == RC_OK)
        rc = take(out, &got, err);
    if (rc == RC_OK) {
        *ret = got;
        got = (struct fetched){ 0 };
    }
    return rc;
}
