/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/delta_make.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/confine.h"
#include "base/fs.h"
#include "delta/apply.h"
#include "update/delta_plan.h"
#include "update/package.h"

#define MEMORY_MAX (8ULL * 1024U * 1024U * 1024U) /* suffixes of MAKE_OLD_MAX bytes, and more */
#define ABOVE_CHILD_FDS 16                        /* no descriptor of the child lies here */

/* Where the child has what it may use. */
enum child_fd {
    CHILD_OUT = 3, /* the delta */
    CHILD_TELL,    /* takes struct told */
    CHILD_OLD_ROOT,
    CHILD_OLD_INDEX,
    CHILD_NEW_ROOT,
    CHILD_NEW_INDEX,
    CHILD_FD_END,
};

/* What the child says: how far it is, at last how it ended.  Plain data: it crosses a pipe. */
struct told {
    uint32_t last; /* 1: the verdict, else progress */
    uint32_t rc;
    int32_t sys;
    uint32_t zero;
    uint64_t done, total; /* progress; of the verdict: bytes of the delta, memory */
    char what[96];
};
static_assert(sizeof(struct told) <= 512, "a pipe takes one at once (PIPE_BUF)");

bool delta_make_can(const struct unpacked *old, const struct unpacked *new)
{
    return !digest_is_none(&old->manifest->index) && !digest_is_none(&new->manifest->index) &&
           strcmp(old->manifest->tenant, new->manifest->tenant) == 0 &&
           strcmp(old->manifest->name, new->manifest->name) == 0;
}

/* ---- in the child -----------------------------------------------------------------------------
 */

/* One side of the delta as make_delta asks for its files. */
struct side {
    const struct delta_side *plan;
    int root;
    int index;
};

static enum rc open_file(void *arg, uint32_t i, int *ret_fd, struct err *err)
{
    const struct side *side = arg;
    char path[PACKAGE_PATH_MAX + 1];
    uint64_t size = 0;

    if (side->plan->file[i] == DELTA_PLAN_INDEX) {
        int fd = fcntl(side->index, F_DUPFD_CLOEXEC, 0);

        if (fd < 0)
            return err_sys(err, RC_IO, "index");
        *ret_fd = fd;
        return RC_OK;
    }
    if (!bytes_to_text(side->plan->tree.files[side->plan->file[i]].path, path, sizeof path))
        return err_set(err, RC_INDEX_FORMAT, "path");
    return fs_open_plain(side->root, path, UNPACKED_MAX, ret_fd, &size, err);
}

static struct image_source source_of(struct side *side)
{
    return (struct image_source){
        .arg = side, .n = side->plan->n, .sizes = side->plan->sizes, .open = open_file
    };
}

static void say(const struct told *told)
{
    struct err ignored;

    /* If nobody listens any more, the parent has gone, and this process goes with it. */
    (void)!fs_write_all(CHILD_TELL, (struct bytes){ (const uint8_t *)told, sizeof *told },
                        &ignored);
}

static void tell(void *arg, uint64_t done, uint64_t total)
{
    const struct told told = { .done = done, .total = total };

    (void)arg;
    say(&told);
}

static enum rc confine(struct err *err)
{
    static const struct confine_dir dirs[] = { { .fd = CHILD_OLD_ROOT }, { .fd = CHILD_NEW_ROOT } };
    static const struct confine rules = {
        .name = "berth-delta",
        .threads = true,
        .dirs = dirs,
        .n_dirs = sizeof dirs / sizeof dirs[0],
        .file_size_max = PACKAGE_FILE_MAX,
        .memory_max = MEMORY_MAX,
    };

    return confine_self(&rules, err);
}

static enum rc make(const struct unpacked *old, const struct unpacked *new, struct made *ret,
                    struct err *err)
{
    scoped(delta_plan_done) struct delta_plan plan = { .home = NULL };
    struct side from = { .plan = &plan.old, .root = CHILD_OLD_ROOT, .index = CHILD_OLD_INDEX };
    struct side to = { .plan = &plan.new, .root = CHILD_NEW_ROOT, .index = CHILD_NEW_INDEX };
    struct make_spec spec = { .memory_max = APPLY_MEMORY_MAX, .progress = { .tell = tell } };
    enum rc rc = delta_plan_old(&plan, (struct bytes){ old->index, old->index_bytes }, err);

    if (rc == RC_OK)
        rc = delta_plan_new(&plan, (struct bytes){ new->index, new->index_bytes }, err);
    if (rc != RC_OK)
        return rc;
    spec.old = source_of(&from);
    spec.new = source_of(&to);
    spec.home = plan.home;
    memcpy(spec.base, old->manifest->index.b, DIGEST_SIZE);
    memcpy(spec.result, new->manifest->index.b, DIGEST_SIZE);
    return make_delta(&spec, ret, err);
}

static enum rc work(const struct unpacked *old, const struct unpacked *new, struct told *ret,
                    struct err *err)
{
    scoped(made_done) struct made made = { .p = NULL };
    enum rc rc = confine(err);

    if (rc == RC_OK)
        rc = make(old, new, &made, err);
    if (rc == RC_OK)
        rc = fs_write_all(CHILD_OUT, (struct bytes){ made.p, made.n }, err);
    ret->done = made.n;
    ret->total = made.memory;
    return rc;
}

/* Keep what the child needs, at its places, and nothing else of what this program has open. */
static bool move_fds(const int from[CHILD_FD_END - CHILD_OUT])
{
    int high[CHILD_FD_END - CHILD_OUT];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    for (int i = 0; i < CHILD_FD_END - CHILD_OUT; i++) {
        high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, ABOVE_CHILD_FDS);
        if (high[i] < 0)
            return false;
    }
    for (int i = 0; i < CHILD_FD_END - CHILD_OUT; i++)
        if (dup2(high[i], CHILD_OUT + i) < 0)
            return false;
    /* Nor the terminal of who called: what is written or pushed into it would be read by a shell.
     */
    return null >= 0 && dup2(null, 0) >= 0 && dup2(null, 1) >= 0 && dup2(null, 2) >= 0 &&
           close_range(CHILD_FD_END, ~0U, 0) == 0 && setsid() >= 0;
}

static _Noreturn void become(const struct unpacked *old, const struct unpacked *new, const int *fds,
                             pid_t parent)
{
    struct err err = { .rc = RC_OK };
    struct told told = { .last = 1 };

    if (!move_fds(fds) || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(126);

    enum rc rc = work(old, new, &told, &err);

    told.rc = (uint32_t)rc;
    if (rc != RC_OK) {
        told.sys = err.sys;
        memcpy(told.what, err.what,
               sizeof told.what < sizeof err.what ? sizeof told.what : sizeof err.what);
    }
    say(&told);
    _exit(0);
}

/* ---- in the parent ----------------------------------------------------------------------------
 */

/* The next message: RC_SHORT when there will be none. */
static enum rc hear(int fd, uint64_t until_ms, struct told *ret, struct err *err)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };
    uint64_t now_ms = clock_mono_ms();
    ssize_t n;
    int r;

    if (now_ms >= until_ms) /* whatever it has to say */
        return err_set(err, RC_TIMEOUT, "making a delta");
    do
        r = poll(&ready, 1, (int)(until_ms - now_ms));
    while (r < 0 && errno == EINTR);
    if (r == 0)
        return err_set(err, RC_TIMEOUT, "making a delta");
    do
        n = read(fd, ret, sizeof *ret);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *ret ? RC_OK : err_set(err, RC_SHORT, "no verdict");
}

/* The child's verdict, if it is one that this program knows. */
static enum rc judge(const struct told *told, struct err *err)
{
    enum rc rc = rc_from_number(told->rc);

    if ((uint32_t)rc != told->rc)
        return err_set(err, RC_UNPACK_FAILED, "verdict %u", told->rc);
    if (rc != RC_OK) {
        (void)!err_set(err, rc, "%.*s", (int)sizeof told->what - 1, told->what);
        err->sys = told->sys;
    }
    return rc;
}

static enum rc follow(pid_t pid, int fd, const struct make_progress *progress, struct told *ret,
                      struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + DELTA_MAKE_TIMEOUT_MS;
    int status = 0;
    enum rc rc;

    do {
        rc = hear(fd, until_ms, ret, err);
        if (rc == RC_OK && !ret->last && progress && progress->tell)
            progress->tell(progress->arg, ret->done < ret->total ? ret->done : ret->total,
                           ret->total);
    } while (rc == RC_OK && !ret->last);
    if (rc != RC_OK)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (rc == RC_SHORT)
        return err_set(err, RC_UNPACK_FAILED, "the delta's maker died of signal %d",
                       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return rc == RC_OK ? judge(ret, err) : rc;
}

static enum rc run_child(const struct unpacked *old, const struct unpacked *new, int out_fd,
                         const struct make_progress *progress, struct told *ret, struct err *err)
{
    scoped(close_fd) int hears = -1;
    scoped(close_fd) int says = -1;
    pid_t parent = getpid(), pid;
    int pipes[2];

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return err_sys(err, RC_IO, "pipe");
    hears = pipes[0];
    says = pipes[1];

    const int fds[CHILD_FD_END - CHILD_OUT] = { out_fd,        says,      old->root,
                                                old->index_fd, new->root, new->index_fd };

    pid = fork();
    if (pid == 0)
        become(old, new, fds, parent);
    if (pid < 0)
        return err_sys(err, RC_IO, "fork");
    close_fd(&says);
    return follow(pid, hears, progress, ret, err);
}

/* Copy what the child wrote to a file that it never had: from here on nobody else changes it, also
 * if the child was taken over and left its descriptor to somebody. */
static enum rc take_draft(int draft, int out_fd, struct err *err)
{
    uint8_t buf[8192];
    struct stat st;
    enum rc rc = RC_OK;

    if (fcntl(draft, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) != 0 ||
        fstat(draft, &st) != 0)
        return err_sys(err, RC_UNPACK_FAILED, "the delta's maker holds on to it");
    for (uint64_t at = 0, size = (uint64_t)st.st_size; at < size && rc == RC_OK;) {
        size_t n = size - at < sizeof buf ? (size_t)(size - at) : sizeof buf;

        rc = fs_pread_exact(draft, buf, n, at, err);
        if (rc == RC_OK)
            rc = fs_write_all(out_fd, (struct bytes){ buf, n }, err);
        at += n;
    }
    return rc;
}

/* What lies in the file now is what the satellite will be told: the child may have been taken over.
 */
static enum rc check_result(const struct unpacked *old, const struct unpacked *new, int fd,
                            uint64_t at, struct delta_made *ret, struct err *err)
{
    struct format_head head;
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_sys(err, RC_IO, "delta");
    if ((uint64_t)st.st_size <= at)
        return err_set(err, RC_DELTA_FORMAT, "empty");

    const struct apply_spec spec = { .at = at, .size = (uint64_t)st.st_size - at };
    enum rc rc = apply_head(fd, &spec, &head, err);

    if (rc == RC_OK && (memcmp(head.base, old->manifest->index.b, DIGEST_SIZE) != 0 ||
                        memcmp(head.result, new->manifest->index.b, DIGEST_SIZE) != 0))
        rc = err_set(err, RC_DELTA_BASE, "made for others");
    if (rc == RC_OK && head.memory > APPLY_MEMORY_MAX)
        rc = err_set(err, RC_DELTA_LIMIT, "memory");
    if (rc == RC_OK)
        *ret = (struct delta_made){ .size = (uint64_t)st.st_size, .memory = head.memory };
    return rc;
}

enum rc delta_make(const struct unpacked *old, const struct unpacked *new, int out_fd,
                   const struct make_progress *progress, struct delta_made *ret, struct err *err)
{
    scoped(close_fd) int draft = -1;
    uint8_t head[PACKAGE_HEAD_SIZE];
    struct told told = { 0 };
    uint64_t at = 0;
    enum rc rc = delta_make_can(old, new)
                     ? RC_OK
                     : err_set(err, RC_DELTA_BASE, "other payloads, or no index");

    if (rc == RC_OK && new->envelope) {
        package_head(PACKAGE_DELTA, new->envelope_bytes, head);
        rc = fs_write_all(out_fd, (struct bytes){ head, sizeof head }, err);
        if (rc == RC_OK)
            rc = fs_write_all(out_fd, (struct bytes){ new->envelope, new->envelope_bytes }, err);
        at = sizeof head + new->envelope_bytes;
    }
    if (rc == RC_OK && (draft = memfd_create("delta", MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0)
        rc = err_sys(err, RC_IO, "draft");
    if (rc == RC_OK)
        rc = run_child(old, new, draft, progress, &told, err);
    if (rc == RC_OK)
        rc = take_draft(draft, out_fd, err);
    return rc == RC_OK ? check_result(old, new, out_fd, at, ret, err) : rc;
}
