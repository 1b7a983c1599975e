/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/post.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"

#define BOXES_MAX (PAYLOADS_MAX + 8U)
#define MESSAGES_PER_TURN 32U
#define COPY_BYTES (64U * 1024U)
#define DRAFT ".draft" /* of a file that is being delivered; a payload's own of that name goes */

/* The mail of one payload that runs, or has just ended. */
struct box {
    uint64_t instance; /* 0 = free */
    int in, out;       /* its directories; -1 = none */
    int pidfd;
    DIR *names;       /* of out, where the look is */
    bool offered;     /* a file is with berthd */
    bool copied;      /* ... and its bytes are in memory */
    bool fresh;       /* the look began at the beginning and found nothing so far */
    uint64_t wait_ms; /* nothing is offered before */
    uint64_t end_ms;  /* the payload has ended: the view goes then at the latest; 0 = it runs */
    uint32_t junk;    /* in this look */
    bool junk_told;
    uint64_t junk_ms;
    enum rc junk_rc;
    char junk_name[80];
    struct post_message
        owed;  /* what came of a PUT, while berthd could not be told; type 0 = none */
    bool gone; /* let go of, and berthd could not be told */
};

struct post {
    int sock;
    uint32_t copies; /* messages in memory */
    uint32_t first;  /* whose turn it is */
    uint8_t buf[COPY_BYTES];
    struct box box[BOXES_MAX];
};

enum rc post_new(int sock, struct post **ret, struct err *err)
{
    struct post *p = calloc(1, sizeof *p);

    if (p == NULL)
        return err_set(err, RC_NO_MEMORY, "post");
    p->sock = sock;
    for (size_t i = 0; i < BOXES_MAX; i++)
        p->box[i] = (struct box){ .in = -1, .out = -1, .pidfd = -1 };
    *ret = p;
    return RC_OK;
}

/* Let go of everything but the name. */
static void let_go(struct post *p, struct box *b)
{
    const uint64_t instance = b->instance;

    if (b->copied)
        p->copies--;
    if (b->names != NULL)
        (void)closedir(b->names);
    close_fd(&b->in);
    close_fd(&b->out);
    close_fd(&b->pidfd);
    *b = (struct box){ .instance = instance, .in = -1, .out = -1, .pidfd = -1, .gone = true };
}

static void box_close(struct post *p, struct box *b)
{
    let_go(p, b);
    b->instance = 0;
    b->gone = false;
}

void post_free(struct post **post)
{
    struct post *p = *post;

    if (p == NULL)
        return;
    for (size_t i = 0; i < BOXES_MAX; i++)
        box_close(p, &p->box[i]);
    free(p);
    *post = NULL;
}

static struct box *find(struct post *p, uint64_t instance)
{
    for (size_t i = 0; i < BOXES_MAX; i++) {
        if (p->box[i].instance == instance)
            return &p->box[i];
    }
    return NULL;
}

static int open_beneath(int dirfd, const char *name, uint64_t flags, uint64_t mode)
{
    const struct open_how how = { .flags = flags | O_CLOEXEC | O_NOFOLLOW,
                                  .mode = mode,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                             RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };

    return (int)syscall(SYS_openat2, dirfd, name, &how, sizeof how);
}

static struct post_message answer(const struct box *b, enum post_type type, const char *name)
{
    struct post_message m = { .type = type, .instance = b->instance };

    (void)snprintf(m.name, sizeof m.name, "%s", name);
    return m;
}

/* What cannot be told now is told again: by what caused it, or by pay.  The end of berthd is seen
 * by reading. */
static bool tell(const struct post *p, const struct post_message *m, const int *fds)
{
    struct err err;

    return post_send(p->sock, m, fds, &err) == RC_OK;
}

/* ---- out --------------------------------------------------------------------------------------
 */

static struct post_mark mark_of(const struct stat *st)
{
    return (struct post_mark){ .ino = st->st_ino,
                               .ctime_s = st->st_ctim.tv_sec,
                               .ctime_ns = (uint32_t)st->st_ctim.tv_nsec };
}

static void junk(struct box *b, enum rc why, const char *name)
{
    if (b->junk++ > 0)
        return;
    b->junk_rc = why;
    for (size_t i = 0; i < sizeof b->junk_name - 1; i++) { /* for people: printable, and short */
        const char c = name[i];

        b->junk_name[i] = (char)(c > 0x20 && c < 0x7f ? c : '?');
        if (c == '\0') {
            memset(b->junk_name + i, 0, sizeof b->junk_name - i);
            break;
        }
    }
    b->junk_name[sizeof b->junk_name - 1] = '\0';
}

enum rc post_judge(const struct stat *st)
{
    if (!S_ISREG(st->st_mode) || st->st_nlink != 1 || st->st_uid != geteuid())
        return RC_MAIL_JUNK;
    if ((uint64_t)st->st_size > MAIL_CONTENT_MAX)
        return RC_TOO_LARGE;
    /* A hole costs nothing here, and would down there. */
    return (uint64_t)st->st_blocks * 512U < (uint64_t)st->st_size ? RC_MAIL_JUNK : RC_OK;
}

/* Copy a file that may change meanwhile into memory that cannot.  RC_BUSY: it does change. */
static enum rc copy(struct post *p, int fd, const struct stat *st, int *ret_mem)
{
    scoped(close_fd) int mem = memfd_create("mail", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    uint64_t at = 0;
    struct stat now;

    if (mem < 0)
        return RC_NO_MEMORY;
    while (at < (uint64_t)st->st_size) {
        const size_t want =
            (uint64_t)st->st_size - at < COPY_BYTES ? (size_t)st->st_size - at : COPY_BYTES;
        ssize_t n = pread(fd, p->buf, want, (off_t)at);

        if (n <= 0)
            return n < 0 ? RC_IO : RC_BUSY;
        if (write(mem, p->buf, (size_t)n) != n)
            return RC_NO_MEMORY;
        at += (uint64_t)n;
    }
    if (fstat(fd, &now) != 0 || now.st_size != st->st_size ||
        now.st_mtim.tv_sec != st->st_mtim.tv_sec || now.st_mtim.tv_nsec != st->st_mtim.tv_nsec)
        return RC_BUSY;
    if (fcntl(mem, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
        return RC_NO_MEMORY;
    *ret_mem = take_fd(&mem);
    return RC_OK;
}

/* Offer one file to berthd.  RC_OK: it is under way; RC_BUSY: another time. */
static enum rc offer(struct post *p, struct box *b, const char *name)
{
    struct post_message m = answer(b, POST_FOUND, name);
    scoped(close_fd) int mem = -1;
    struct stat st;

    if (!mail_name_ok(name))
        return RC_NAME;
    /* What is no plain file is not even opened. */
    if (fstatat(b->out, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return RC_BUSY;
    enum rc rc = post_judge(&st);
    if (rc != RC_OK)
        return rc;
    scoped(close_fd) int fd = open_beneath(b->out, name, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0 || fstat(fd, &st) != 0)
        return errno == ENOENT ? RC_BUSY : RC_MAIL_JUNK;
    rc = post_judge(&st);
    if (rc == RC_OK)
        rc = copy(p, fd, &st, &mem);
    if (rc != RC_OK)
        return rc;
    m.size = (uint32_t)st.st_size;
    m.mark = mark_of(&st);
    if (!tell(p, &m, &mem))
        return RC_BUSY;
    b->offered = b->copied = true;
    p->copies++;
    return RC_OK;
}

/* A look has come to its end. */
static void tell_junk(const struct post *p, struct box *b, uint64_t now_ms)
{
    struct post_message m = answer(b, POST_JUNK, b->junk_name);

    m.rc = (uint32_t)b->junk_rc;
    m.count = b->junk;
    if (b->junk > 0 && (!b->junk_told || now_ms - b->junk_ms >= POST_AGAIN_MS) &&
        tell(p, &m, NULL)) {
        b->junk_told = true;
        b->junk_ms = now_ms;
    }
    b->junk = 0;
    memset(b->junk_name, 0, sizeof b->junk_name);
}

/* Begin the next look at the outbox. */
static bool begin_look(struct box *b)
{
    if (b->names == NULL) {
        int fd = open_beneath(b->out, ".", O_RDONLY | O_DIRECTORY, 0);

        b->names = fd < 0 ? NULL : fdopendir(fd);
        if (b->names == NULL) {
            close_fd(&fd);
            return false;
        }
    } else {
        rewinddir(b->names);
    }
    b->fresh = true;
    return true;
}

/* Go on looking: until something is offered, or enough has been looked at for one turn.  True: the
 * look has come to its end. */
static bool look(struct post *p, struct box *b, uint64_t now_ms)
{
    for (uint32_t i = 0; i < POST_SCAN_MAX; i++) {
        errno = 0;
        const struct dirent *e = readdir(b->names);

        if (e == NULL) {
            tell_junk(p, b, now_ms);
            return true;
        }
        if (e->d_name[0] == '.')
            continue;
        enum rc rc = offer(p, b, e->d_name);
        if (rc == RC_OK) {
            b->fresh = false;
            return false;
        }
        if (rc != RC_BUSY)
            junk(b, rc, e->d_name);
    }
    return false;
}

static void turn_of(struct post *p, struct box *b, uint64_t now_ms)
{
    if (b->out < 0 || b->offered || now_ms < b->wait_ms || p->copies >= POST_COPIES_MAX)
        return;
    if (b->names == NULL && !begin_look(b)) {
        b->wait_ms = now_ms + POST_EVERY_MS;
        return;
    }
    if (!look(p, b, now_ms))
        return;
    const bool empty = b->fresh;

    (void)begin_look(b);
    if (!empty)
        return;
    b->wait_ms = now_ms + POST_EVERY_MS;
    if (b->end_ms != 0)
        b->end_ms = now_ms; /* that was all */
}

/* ---- from berthd ------------------------------------------------------------------------------
 */

static void take_open(struct post *p, const struct post_message *m, int fds[POST_FDS_MAX])
{
    scoped(close_fd) int view = take_fd(&fds[0]);
    struct box *b = find(p, 0);
    const struct post_message closed = { .type = POST_CLOSED, .instance = m->instance };

    if (find(p, m->instance) != NULL) { /* berthd says it again */
        close_fd(&fds[1]);
        return;
    }
    if (b == NULL) {
        close_fd(&fds[1]);
        (void)tell(p, &closed, NULL);
        return;
    }
    b->instance = m->instance;
    b->pidfd = take_fd(&fds[1]);
    b->in = open_beneath(view, POST_IN, O_RDONLY | O_DIRECTORY, 0);
    b->out = open_beneath(view, POST_OUT, O_RDONLY | O_DIRECTORY, 0);
}

/* Remove the file that was offered, if the name still is that file. */
static enum rc remove_file(const struct box *b, const struct post_message *m)
{
    struct stat st;

    if (b->out < 0)
        return RC_NOT_FOUND;
    if (fstatat(b->out, m->name, &st, AT_SYMLINK_NOFOLLOW) != 0) /* perhaps by us: for good, then */
        return fsync(b->out) == 0 ? RC_NOT_FOUND : RC_MAIL_DAMAGED;
    const struct post_mark mark = mark_of(&st);

    if (memcmp(&mark, &m->mark, sizeof mark) != 0)
        return RC_NOT_FOUND;
    if (unlinkat(b->out, m->name, 0) != 0)
        return RC_MAIL_DAMAGED;
    return fsync(b->out) == 0 ? RC_OK : RC_MAIL_DAMAGED;
}

static void answered(struct post *p, struct box *b)
{
    if (b->copied)
        p->copies--;
    b->offered = b->copied = false;
}

static void take_taken(struct post *p, struct box *b, const struct post_message *m, uint64_t now_ms)
{
    struct post_message done = answer(b, POST_REMOVED, m->name);

    done.rc = (uint32_t)remove_file(b, m);
    done.mark = m->mark;
    answered(p, b);
    if (done.rc == RC_MAIL_DAMAGED) /* or it would be found again and again */
        b->wait_ms = now_ms + POST_AGAIN_MS;
    (void)tell(p, &done, NULL);
}

/* Write all of a message, durably. */
static enum rc write_draft(struct post *p, int fd, const struct post_message *m, int from,
                           struct err *err)
{
    enum rc rc = RC_OK;

    for (uint32_t at = 0; rc == RC_OK && at < m->size;) {
        const size_t n = m->size - at < COPY_BYTES ? m->size - at : COPY_BYTES;

        rc = fs_pread_exact(from, p->buf, n, m->offset + at, err);
        if (rc == RC_OK)
            rc = fs_write_all(fd, (struct bytes){ p->buf, n }, err);
        at += (uint32_t)n;
    }
    return rc == RC_OK ? fs_sync(fd, "message", err) : rc;
}

/* Write a file of the inbox under a name of our own, and give it its own when it is whole. */
static enum rc deliver(struct post *p, const struct box *b, const struct post_message *m, int from)
{
    struct err err = { 0 };

    if (b->in < 0)
        return RC_NOT_FOUND;
    if (unlinkat(b->in, DRAFT, 0) != 0 && errno == EISDIR)
        (void)unlinkat(b->in, DRAFT, AT_REMOVEDIR);
    scoped(close_fd) int fd = open_beneath(b->in, DRAFT, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return err_sys(&err, RC_IO, "inbox");
    enum rc rc = write_draft(p, fd, m, from, &err);
    if (rc != RC_OK)
        return rc;
    if (renameat2(b->in, DRAFT, b->in, m->name, m->replace ? 0 : RENAME_NOREPLACE) != 0)
        return errno == EEXIST || errno == EISDIR || errno == ENOTEMPTY
                   ? RC_EXISTS
                   : err_sys(&err, RC_IO, "inbox");
    rc = fs_sync(b->in, "inbox", &err);
    /* It comes again then, and should not stand in its own way. */
    if (rc != RC_OK && !m->replace)
        (void)unlinkat(b->in, m->name, 0);
    return rc;
}

static void take_put(struct post *p, struct box *b, const struct post_message *m, int from)
{
    struct post_message done = answer(b, POST_DELIVERED, m->name);

    done.rc = (uint32_t)deliver(p, b, m, from);
    if (done.rc != RC_OK && b->in >= 0)
        (void)unlinkat(b->in, DRAFT, 0);
    if (!tell(p, &done, NULL))
        b->owed = done; /* berthd hands over nothing else before it has heard */
}

static void take(struct post *p, const struct post_message *m, int fds[POST_FDS_MAX],
                 uint64_t now_ms)
{
    const struct post_message pong = { .type = POST_PONG, .instance = m->instance };

    if (m->type == POST_PING) {
        (void)tell(p, &pong, NULL); /* one that finds no room is one of several */
        return;
    }
    struct box *b = m->type == POST_OPEN ? NULL : find(p, m->instance);

    if (m->type == POST_OPEN) {
        take_open(p, m, fds);
        return;
    }
    if (b == NULL)
        return; /* it is gone, and berthd has been told */
    if (m->type == POST_TAKEN) {
        take_taken(p, b, m, now_ms);
    } else if (m->type == POST_LATER) {
        answered(p, b);
        b->wait_ms = now_ms + m->wait_ms;
        if (b->end_ms != 0)
            b->end_ms = now_ms;
    } else {
        take_put(p, b, m, fds[0]);
    }
}

static enum rc hear(struct post *p, uint64_t now_ms, struct err *err)
{
    for (uint32_t i = 0; i < MESSAGES_PER_TURN; i++) {
        struct post_message m = { 0 };
        int fds[POST_FDS_MAX] = { -1, -1 };
        enum rc rc = post_recv(p->sock, true, &m, fds, err);

        if (rc == RC_TIMEOUT)
            return RC_OK;
        if (rc != RC_OK)
            return rc;
        take(p, &m, fds, now_ms);
        close_fd(&fds[0]);
        close_fd(&fds[1]);
    }
    return RC_OK;
}

/* ---- turns ------------------------------------------------------------------------------------
 */

static bool has_ended(int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

/* A payload that has ended: what it left is still taken, for a while. */
static void watch(struct post *p, struct box *b, uint64_t now_ms)
{
    const struct post_message closed = { .type = POST_CLOSED, .instance = b->instance };

    if (b->end_ms == 0 && has_ended(b->pidfd)) {
        b->end_ms = now_ms + POST_LAST_MS;
        b->wait_ms = 0;
        if (b->names != NULL && !b->offered)
            (void)begin_look(b); /* what came behind the place of the look */
    }
    if (b->end_ms == 0 || (b->offered && now_ms < b->end_ms) || now_ms < b->end_ms)
        return;
    if (tell(p, &closed, NULL))
        box_close(p, b);
    else
        let_go(p, b);
}

/* Say what found no room before.  True: nothing is left to say. */
static bool pay(const struct post *p, struct box *b)
{
    const struct post_message closed = { .type = POST_CLOSED, .instance = b->instance };

    if (b->owed.type != 0 && tell(p, &b->owed, NULL))
        b->owed.type = 0;
    if (b->gone && tell(p, &closed, NULL)) {
        b->gone = false;
        b->instance = 0;
    }
    return b->owed.type == 0 && !b->gone;
}

enum rc post_turn(struct post *p, uint64_t now_ms, uint64_t *ret_wait_ms, struct err *err)
{
    enum rc rc = hear(p, now_ms, err);
    bool more = false;

    if (rc != RC_OK)
        return rc;
    for (uint32_t i = 0; i < BOXES_MAX; i++) {
        struct box *b = &p->box[(p->first + i) % BOXES_MAX];

        if (b->instance == 0 || !pay(p, b))
            continue;
        watch(p, b, now_ms);
        if (b->instance != 0)
            turn_of(p, b, now_ms);
        if (b->instance != 0 && b->end_ms != 0)
            watch(p, b, now_ms);
        more |= b->instance != 0 && !b->offered && b->out >= 0 && now_ms >= b->wait_ms &&
                p->copies < POST_COPIES_MAX;
    }
    p->first = (p->first + 1) % BOXES_MAX;
    *ret_wait_ms = more ? 0 : POST_EVERY_MS;
    return RC_OK;
}

enum rc post_wait(struct post *p, uint64_t wait_ms, struct err *err)
{
    struct pollfd fds[1 + BOXES_MAX];
    nfds_t n = 0;

    fds[n++] = (struct pollfd){ .fd = p->sock, .events = POLLIN };
    for (size_t i = 0; i < BOXES_MAX; i++) {
        if (p->box[i].instance != 0 && p->box[i].end_ms == 0)
            fds[n++] = (struct pollfd){ .fd = p->box[i].pidfd, .events = POLLIN };
    }
    if (poll(fds, n, (int)wait_ms) < 0 && errno != EINTR)
        return err_sys(err, RC_IO, "poll");
    return RC_OK;
}
