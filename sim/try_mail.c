/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/mail.h"
#include "agent/post.h"
#include "base/fs.h"
#include "sim/try.h"

#define DRAFT ".draft" /* as berth-post calls it */
#define DAY_MS (24U * 3600U * 1000U)
#define NAMES_MAX 1024U /* looked at in an outbox at once */

bool try_mail_was(char (*names)[MAIL_NAME_CAP], uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n && i < TRY_MAIL_MAX; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* The last ones are remembered. */
static void note(char (*names)[MAIL_NAME_CAP], uint32_t *n, const char *name)
{
    (void)snprintf(names[*n % TRY_MAIL_MAX], MAIL_NAME_CAP, "%.*s", (int)MAIL_NAME_MAX, name);
    (*n)++;
}

static void store_name(uint32_t number, char out[16])
{
    (void)snprintf(out, 16, "%u", number);
}

static struct try_mail *find_place(struct try *t)
{
    for (uint32_t i = 0; i < TRY_MAIL_MAX; i++) {
        if (t->mail[i].number == 0)
            return &t->mail[i];
    }
    return NULL;
}

static void forget(struct try *t, struct try_mail *m)
{
    char name[16];

    store_name(m->number, name);
    (void)unlinkat(t->store, name, 0);
    m->number = 0;
}

/* Keep a message.  fd: its content, or -1 and text is it. */
static enum rc keep(struct try *t, const struct try_mail *like, int fd, struct bytes text,
                    struct err *err)
{
    struct try_mail *m = find_place(t);
    uint8_t sha[DIGEST_SIZE];
    char name[16];

    if (m == NULL)
        return err_set(err, RC_MAIL_FULL, "%s", like->name);
    store_name(++t->next_mail, name);
    scoped(close_fd) int out =
        openat(t->store, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (out < 0)
        return err_sys(err, RC_IO, "message");
    enum rc rc =
        fd >= 0 ? fs_copy_digest(fd, out, like->size, sha, err) : fs_write_all(out, text, err);
    if (rc != RC_OK) {
        (void)unlinkat(t->store, name, 0);
        return rc;
    }
    *m = *like;
    m->number = t->next_mail;
    return RC_OK;
}

enum rc try_mail_send(struct try *t, const char *name, struct bytes text, struct err *err)
{
    struct try_mail m = { .direction = MAIL_UP, .size = (uint32_t)text.n };

    (void)snprintf(m.name, sizeof m.name, "%.*s", (int)MAIL_NAME_MAX, name);
    return keep(t, &m, -1, text, err);
}

/* Whether a message may go, or come: sealed, where the manifest says so.  Only its form: for which
 * satellite it would have to be sealed is not known here. */
static enum rc check_sealed(const struct try *t, int fd, uint32_t size, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(size + 1U);

    if (!t->input.unpacked.manifest->sealed)
        return RC_OK;
    if (buf == NULL)
        return err_set(err, RC_NO_MEMORY, "message");
    enum rc rc = fs_pread_exact(fd, buf, size, 0, err);
    return rc == RC_OK ? mail_sealed_form((struct bytes){ buf, size }, err) : rc;
}

static void receipt(struct try *t, const char *name, const char *word)
{
    struct try_mail m = { .direction = MAIL_UP, .on_board = true, .receipt = true };
    char line[64];
    struct err err;

    if (t->plan.limits.inbox_bytes == 0)
        return;
    int n = snprintf(line, sizeof line, "%s\n", word);
    (void)snprintf(m.name, sizeof m.name, "%.*s%s", (int)MAIL_NAME_MAX, name, MAIL_RECEIPT);
    m.size = (uint32_t)n;
    for (uint32_t i = 0; i < TRY_MAIL_MAX; i++) {
        if (t->mail[i].number != 0 && t->mail[i].receipt && strcmp(t->mail[i].name, m.name) == 0)
            forget(t, &t->mail[i]);
    }
    /* One for which there is no room is dropped, as on board. */
    (void)!keep(t, &m, -1, (struct bytes){ (const uint8_t *)line, (size_t)n }, &err);
}

/* ---- out of the outbox ----------------------------------------------------------------------- */

/* Whether the bytes of the day that is played allow it. */
static bool day_allows(struct try *t, uint32_t size)
{
    const struct resources *r = &t->input.unpacked.manifest->limits;
    const uint64_t all = r->outbox_bytes_day != 0 ? r->outbox_bytes_day : r->outbox_bytes;

    if (t->day != t->show.played_ms / DAY_MS) {
        t->day = t->show.played_ms / DAY_MS;
        t->day_bytes = 0;
        t->day_told = false;
    }
    if (t->day_bytes + size + MAIL_COST <= all) {
        t->day_bytes += size + MAIL_COST;
        return true;
    }
    if (!t->day_told)
        try_event(t, "mail", "%s: the outbox waits for the next day", rc_name(RC_MAIL_BUDGET));
    t->day_told = true;
    return false;
}

/* It will never go: out of the outbox, and the payload can read why. */
static void refuse(struct try *t, int out, const char *name, enum rc rc)
{
    char word[48];

    (void)unlinkat(out, name, 0);
    note(t->taken, &t->n_taken, name);
    (void)snprintf(word, sizeof word, "refused %s", rc_name(rc));
    receipt(t, name, word);
    try_event(t, "mail", "%s: %s, the manifest wants it sealed", rc_name(rc), name);
}

static enum rc take(struct try *t, int out, const char *name, struct err *err)
{
    struct try_mail m = { .direction = MAIL_DOWN };
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    struct stat st;
    enum rc rc = fs_open_plain(out, name, MAIL_CONTENT_MAX, &fd, &size, err);

    if (rc == RC_OK && fstat(fd, &st) != 0)
        rc = err_sys(err, RC_IO, "outbox");
    if (rc == RC_OK)
        rc = post_judge(&st);
    if (rc == RC_OK && check_sealed(t, fd, (uint32_t)size, err) == RC_MAIL_SEALED) {
        refuse(t, out, name, RC_MAIL_SEALED);
        return RC_OK;
    }
    if (rc != RC_OK || !day_allows(t, (uint32_t)size))
        return rc;
    m.size = (uint32_t)size;
    (void)snprintf(m.name, sizeof m.name, "%.*s", (int)MAIL_NAME_MAX, name);
    rc = keep(t, &m, fd, (struct bytes){ NULL, 0 }, err);
    if (rc != RC_OK)
        return rc;
    (void)unlinkat(out, name, 0);
    note(t->taken, &t->n_taken, name);
    receipt(t, name, "taken");
    try_event(t, "mail", "%s: taken from the outbox, %u bytes", name, m.size);
    return RC_OK;
}

struct names {
    uint32_t n;
    char name[TRY_MAIL_MAX][MAIL_NAME_CAP];
};

static bool gather(void *arg, const char *name)
{
    struct names *all = arg;

    if (mail_name_ok(name))
        (void)snprintf(all->name[all->n++], MAIL_NAME_CAP, "%s", name);
    return all->n < TRY_MAIL_MAX;
}

static enum rc take_all(struct try *t, struct err *err)
{
    scoped(close_fd) int out =
        openat(t->self.mail, "out", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct names all = { .n = 0 };
    struct err why;

    if (out < 0)
        return err_sys(err, RC_IO, "outbox");
    enum rc rc = fs_list(out, ".", NAMES_MAX, gather, &all, NULL, err);
    for (uint32_t i = 0; rc == RC_OK && i < all.n; i++) {
        enum rc got = take(t, out, all.name[i], &why);

        if ((got != RC_MAIL_JUNK && got != RC_NOT_REGULAR && got != RC_TOO_LARGE) ||
            try_mail_was(t->junk, t->n_junk, all.name[i]))
            continue;
        note(t->junk, &t->n_junk, all.name[i]);
        try_event(t, "mail", "%s: %s, it stays in the outbox", rc_name(RC_MAIL_JUNK), all.name[i]);
    }
    return rc;
}

/* ---- into the inbox -------------------------------------------------------------------------- */

/* RC_BUSY: there is one of that name, or no room, now.  RC_MAIL_SEALED: never. */
static enum rc deliver(struct try *t, int in, const struct try_mail *m, struct err *err)
{
    uint8_t sha[DIGEST_SIZE];
    char stored[16];

    store_name(m->number, stored);
    scoped(close_fd) int from = openat(t->store, stored, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from >= 0 && !m->receipt && check_sealed(t, from, m->size, err) == RC_MAIL_SEALED)
        return RC_MAIL_SEALED;
    (void)unlinkat(in, DRAFT, 0);
    scoped(close_fd) int to =
        openat(in, DRAFT, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (from < 0 || to < 0 || fs_copy_digest(from, to, m->size, sha, err) != RC_OK) {
        (void)unlinkat(in, DRAFT, 0);
        return RC_BUSY;
    }
    if (renameat2(in, DRAFT, in, m->name, m->receipt ? 0U : RENAME_NOREPLACE) != 0) {
        (void)unlinkat(in, DRAFT, 0);
        return RC_BUSY;
    }
    return RC_OK;
}

static enum rc deliver_all(struct try *t, struct err *err)
{
    scoped(close_fd) int in =
        openat(t->self.mail, "in", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (in < 0)
        return err_sys(err, RC_IO, "inbox");
    for (uint32_t i = 0; i < TRY_MAIL_MAX; i++) {
        struct try_mail *m = &t->mail[i];

        if (m->number == 0 || m->direction != MAIL_UP || !m->on_board)
            continue;
        const enum rc rc = deliver(t, in, m, err);
        if (rc == RC_MAIL_SEALED) {
            try_event(t, "mail", "%s: %s, the manifest wants it sealed", rc_name(rc), m->name);
            forget(t, m);
        }
        if (rc != RC_OK)
            continue;
        note(t->came, &t->n_came, m->name);
        try_event(t, "mail", "%s: put into the inbox, %u bytes", m->name, m->size);
        forget(t, m);
    }
    return RC_OK;
}

/* ---- passes ---------------------------------------------------------------------------------- */

static enum rc save(const struct try *t, const struct try_mail *m, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    char stored[16];
    size_t n = 0;

    if (t->outbox_dirfd < 0)
        return RC_OK;
    store_name(m->number, stored);
    enum rc rc = fs_read_alloc(t->store, stored, MAIL_CONTENT_MAX, &buf, &n, err);
    return rc == RC_OK
               ? fs_write_file(t->outbox_dirfd, m->name, (struct bytes){ buf, n }, 0644, err)
               : rc;
}

static enum rc exchange(struct try *t, struct err *err)
{
    for (uint32_t i = 0; i < TRY_MAIL_MAX; i++) {
        struct try_mail *m = &t->mail[i];

        if (m->number == 0 || (m->direction == MAIL_UP && m->on_board))
            continue;
        if (m->direction == MAIL_UP) {
            m->on_board = true;
            try_event(t, "mail", "%s: up", m->name);
            continue;
        }
        enum rc rc = save(t, m, err);
        if (rc != RC_OK)
            return rc;
        char name[MAIL_NAME_CAP];

        (void)snprintf(name, sizeof name, "%.*s", (int)MAIL_NAME_MAX, m->name);
        try_event(t, "mail", "%s: down, %u bytes", name, m->size);
        note(t->down, &t->n_down, name);
        forget(t, m);
        receipt(t, name, "delivered");
    }
    return RC_OK;
}

enum rc try_mail_turn(struct try *t, struct err *err)
{
    enum rc rc = RC_OK;

    if (t->self.mail < 0)
        return RC_OK;
    if (t->running && t->plan.limits.outbox_bytes != 0)
        rc = take_all(t, err);
    if (rc == RC_OK && t->pass)
        rc = exchange(t, err);
    if (rc == RC_OK && t->running && t->plan.limits.inbox_bytes != 0)
        rc = deliver_all(t, err);
    return rc;
}
