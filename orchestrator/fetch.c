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
#include "orchestrator/sse.h"

#define PROGRAM "berth-http"
#define WORDS_MAX 24U
#define STATUS_SIZE 4U                /* 200 and a line end */
#define ERROR_MAX ((size_t)64 * 1024) /* of an answer in the place of a stream */
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

/* The words of its command line; url is what argv points to. */
static enum rc words(const struct context *context, const struct fetch *fetch,
                     const char *last_event, const char *argv[WORDS_MAX], char url[URL_CAP],
                     struct err *err)
{
    const char *const options[][2] = {
        { "--token-file", context->token_file },
        { "--ca", context->ca },
        { "--cert", context->cert },
        { "--key", context->key },
        { "--accept", fetch->accept },
        { "--idempotency-key", fetch->idempotency },
        { "--last-event-id", last_event },
    };
    size_t n = 0;

    argv[n++] = PROGRAM;
    argv[n++] = fetch->method;
    argv[n++] = url;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (!options[i][1] || options[i][1][0] == '\0')
            continue;
        argv[n++] = options[i][0];
        argv[n++] = options[i][1];
    }
    argv[n] = NULL;
    if (snprintf(url, URL_CAP, "%s%s", context->server, fetch->path) >= (int)URL_CAP)
        return err_set(err, RC_API_REQUEST, "longer than %u", URL_CAP);
    return RC_OK;
}

static enum rc start(int program, const char **argv, const int fd[3], pid_t *ret, struct err *err)
{
    const pid_t child = fork();

    if (child == 0)
        become(program, (char *const *)(uintptr_t)argv, fd);
    if (child < 0)
        return err_sys(err, RC_IO, "fork");
    *ret = child;
    return RC_OK;
}

static enum rc wait_for(pid_t child, int *ret_status, struct err *err)
{
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

enum rc fetch_run(const struct context *context, const struct fetch *fetch, struct fetched *ret,
                  struct err *err)
{
    scoped(close_fd) int program = -1;
    scoped(close_fd) int in = -1;
    scoped(close_fd) int out = memfd_create("answer", MFD_CLOEXEC);
    scoped(close_fd) int why = memfd_create("why", MFD_CLOEXEC);
    scoped(fetched_done) struct fetched got = { 0 };
    const char *argv[WORDS_MAX];
    char url[URL_CAP];
    pid_t child = 0;
    int status = 0;

    if (out < 0 || why < 0)
        return err_sys(err, RC_IO, "memory");
    enum rc rc = words(context, fetch, NULL, argv, url, err);

    if (rc == RC_OK)
        rc = checking_sibling(PROGRAM, &program, err);
    if (rc == RC_OK)
        rc = fs_sealed("request", fetch->body, &in, err);
    if (rc == RC_OK)
        rc = start(program, argv, (const int[3]){ in, out, why }, &child, err);
    if (rc == RC_OK)
        rc = wait_for(child, &status, err);
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

/* ---- streams ----------------------------------------------------------------------------------
 */

struct reading {
    struct sse sse;
    enum rc (*fn)(void *arg, const struct sse_message *m, struct err *err);
    void *arg;
    bool opened;
    uint8_t *head; /* status line, and what follows if it is no stream */
    size_t n;
};

static enum rc keep_head(struct reading *r, struct bytes in, struct err *err)
{
    if (in.n > STATUS_SIZE + ERROR_MAX - r->n)
        return err_set(err, RC_API_LIMIT, "answer");
    memcpy(r->head + r->n, in.p, in.n);
    r->n += in.n;
    return RC_OK;
}

/* A piece as it came: the status first. */
static enum rc take_piece(struct reading *r, struct bytes in, struct err *err)
{
    const size_t missing = r->n < STATUS_SIZE ? STATUS_SIZE - r->n : 0;
    const struct bytes first = { .p = in.p, .n = in.n < missing ? in.n : missing };
    const struct bytes rest = { .p = in.p + first.n, .n = in.n - first.n };
    enum rc rc = keep_head(r, first, err);

    if (rc != RC_OK || r->n < STATUS_SIZE)
        return rc;
    r->opened = r->opened || memcmp(r->head, "200\n", STATUS_SIZE) == 0;
    return r->opened ? sse_feed(&r->sse, rest, r->fn, r->arg, err) : keep_head(r, rest, err);
}

static enum rc read_all(struct reading *r, int fd, struct err *err)
{
    uint8_t buf[16384];
    enum rc rc = RC_OK;

    while (rc == RC_OK) {
        const ssize_t n = read(fd, buf, sizeof buf);

        if (n == 0)
            break;
        if (n > 0)
            rc = take_piece(r, (struct bytes){ .p = buf, .n = (size_t)n }, err);
        else if (errno != EINTR)
            rc = err_sys(err, RC_IO, "read");
    }
    return rc;
}

/* Until it ends by itself or is ended: it may have nothing to say for long. */
static enum rc read_child(struct reading *r, pid_t child, int fd, int why, struct err *err)
{
    struct err ignored;
    int status = 0;
    enum rc rc = read_all(r, fd, err);

    if (rc != RC_OK) {
        (void)kill(child, SIGKILL);
        (void)!wait_for(child, &status, &ignored);
        return rc;
    }
    rc = wait_for(child, &status, err);
    if (rc == RC_OK && (!WIFEXITED(status) || WEXITSTATUS(status) != 0))
        rc = explain(why, status, err);
    return rc;
}

enum rc fetch_stream(const struct context *context, const struct fetch *fetch,
                     const char *last_event,
                     enum rc (*fn)(void *arg, const struct sse_message *m, struct err *err),
                     void *arg, bool *ret_opened, struct fetched *ret, struct err *err)
{
    const struct fetch asked = { .method = "GET",
                                 .path = fetch->path,
                                 .accept = "text/event-stream" };
    scoped(close_fd) int program = -1, in = -1, from = -1, to = -1;
    scoped(close_fd) int why = memfd_create("why", MFD_CLOEXEC);
    struct reading r = { .fn = fn, .arg = arg, .head = malloc(STATUS_SIZE + ERROR_MAX) };
    const char *argv[WORDS_MAX];
    char url[URL_CAP];
    int ends[2] = { -1, -1 };
    pid_t child = 0;
    enum rc rc = r.head ? words(context, &asked, last_event, argv, url, err)
                        : err_set(err, RC_NO_MEMORY, "answer");

    *ret_opened = false;
    if (rc == RC_OK && (why < 0 || pipe2(ends, O_CLOEXEC) != 0))
        rc = err_sys(err, RC_IO, "pipe");
    from = ends[0];
    to = ends[1];
    if (rc == RC_OK)
        rc = checking_sibling(PROGRAM, &program, err);
    if (rc == RC_OK)
        rc = fs_sealed("request", (struct bytes){ 0 }, &in, err);
    if (rc == RC_OK)
        rc = start(program, argv, (const int[3]){ in, to, why }, &child, err);
    if (rc == RC_OK) {
        close_fd(&to); /* the child has the only one: its end is the end */
        rc = read_child(&r, child, from, why, err);
    }
    *ret_opened = r.opened;
    ret->owned = r.head;
    if (rc == RC_OK && !r.opened)
        rc = fetched_parse((struct bytes){ r.head, r.n }, ret, err);
    sse_done(&r.sse);
    return rc;
}
