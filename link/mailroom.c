/* SPDX-License-Identifier: Apache-2.0 */
#include "link/mailroom.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "link/mail.h"
#include "link/outbox.h"
#include "link/sender.h"
#include "link/transfer.h"

#define WAITING_MAX 16U /* bundle files in the downlink: a report never lies behind more */

/* One object and the descriptor that its bytes come from. */
struct letter {
    bool used;
    uint8_t digest[DIGEST_SIZE];
    int fd;
};

struct mailroom {
    struct sender *sender;
    struct letter letter[PORT_MAILS_MAX];
    uint8_t buf[TRANSFER_MESSAGE_MAX];
};

enum rc mailroom_new(struct mailroom **ret, struct err *err)
{
    scoped(mailroom_free) struct mailroom *room = calloc(1, sizeof *room);
    const struct sender_options options = { 0 };

    if (room == NULL)
        return err_set(err, RC_NO_MEMORY, "mail");
    enum rc rc = sender_new(&options, &room->sender, err);
    if (rc != RC_OK)
        return rc;
    *ret = room;
    room = NULL;
    return RC_OK;
}

static void forget(struct mailroom *room, struct letter *letter)
{
    (void)sender_remove(room->sender, letter->digest);
    close_fd(&letter->fd);
    letter->used = false;
}

void mailroom_free(struct mailroom **room)
{
    struct mailroom *r = *room;

    if (r == NULL)
        return;
    for (size_t i = 0; i < PORT_MAILS_MAX; i++) {
        if (r->letter[i].used)
            forget(r, &r->letter[i]);
    }
    sender_free(&r->sender);
    free(r);
    *room = NULL;
}

static struct letter *find(struct mailroom *room, const uint8_t digest[DIGEST_SIZE])
{
    for (size_t i = 0; i < PORT_MAILS_MAX; i++) {
        if (room->letter[i].used && memcmp(room->letter[i].digest, digest, DIGEST_SIZE) == 0)
            return &room->letter[i];
    }
    return NULL;
}

static enum rc read_letter(void *arg, uint64_t offset, uint8_t *buf, size_t n, struct err *err)
{
    const struct letter *letter = arg;

    return fs_pread_exact(letter->fd, buf, n, offset, err);
}

static struct letter *free_letter(struct mailroom *room)
{
    for (size_t i = 0; i < PORT_MAILS_MAX; i++) {
        if (!room->letter[i].used)
            return &room->letter[i];
    }
    return NULL;
}

enum rc mailroom_add(struct mailroom *room, const struct port_mail *mail, int fd, struct err *err)
{
    scoped(close_fd) int own = fd;
    struct sender_object object = { .kind = OBJECT_MAIL,
                                    .size = mail->size,
                                    .serial = mail->serial };
    struct letter *letter = free_letter(room);
    struct mail head;
    struct stat st;

    if (find(room, mail->digest) != NULL)
        return err_set(err, RC_EXISTS, "message on its way");
    if (letter == NULL)
        return err_set(err, RC_SPOOL_FULL, "messages on their way");
    if (fstat(own, &st) != 0 || !S_ISREG(st.st_mode))
        return err_set(err, RC_NOT_REGULAR, "message");
    if (mail_head_read(own, mail->size, &head, err) == RC_OK)
        memcpy(object.owner, head.tenant, sizeof object.owner); /* else it is nobody's */
    memcpy(object.digest, mail->digest, DIGEST_SIZE);
    memcpy(letter->digest, mail->digest, DIGEST_SIZE);
    letter->fd = own;
    enum rc rc = sender_add(room->sender, &object,
                            (struct sender_source){ .read = read_letter, .arg = letter }, err);
    if (rc != RC_OK)
        return rc;
    letter->used = true;
    (void)take_fd(&own); /* the letter's now */
    return RC_OK;
}

void mailroom_drop(struct mailroom *room, const uint8_t digest[DIGEST_SIZE])
{
    struct letter *letter = find(room, digest);

    if (letter != NULL)
        forget(room, letter);
}

void mailroom_status(struct mailroom *room, const struct port_transfers *status, uint64_t now_ms)
{
    sender_report(room->sender, status, now_ms);
}

bool mailroom_sent(struct mailroom *room, uint8_t ret[DIGEST_SIZE])
{
    struct sender_progress at;

    for (size_t i = 0; sender_at(room->sender, i, &at); i++) {
        if (!at.complete)
            continue;
        memcpy(ret, at.digest, DIGEST_SIZE);
        mailroom_drop(room, at.digest);
        return true;
    }
    return false;
}

bool mailroom_busy(const struct mailroom *room)
{
    struct sender_progress at;

    return sender_at(room->sender, 0, &at);
}

enum rc mailroom_send(struct mailroom *room, struct link_state *state, int down_dir,
                      uint64_t now_ms, uint32_t *ret_sent, struct err *err)
{
    size_t waiting = 0, own = 0;
    enum rc rc = RC_OK;

    *ret_sent = 0;
    if (!mailroom_busy(room))
        return RC_OK;
    rc = outbox_count(down_dir, &waiting, &own, err);
    if (rc == RC_OK && own > 0) /* reports come and go all the time, and say nothing of mail */
        sender_hold(room->sender, now_ms);
    while (rc == RC_OK && waiting + *ret_sent < WAITING_MAX) {
        uint64_t budget = UINT64_MAX;
        struct bytes message = { 0 };

        rc = sender_next(room->sender, now_ms, &budget, room->buf, sizeof room->buf, &message, err);
        if (rc == RC_OK)
            rc = outbox_put_mail(state, down_dir, message, err);
        *ret_sent += rc == RC_OK ? 1 : 0;
    }
    return rc == RC_NOT_FOUND ? RC_OK : rc;
}
