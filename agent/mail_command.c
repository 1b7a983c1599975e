/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/mail_command: commands of the ground's, from the disk to the bus of their payload, and what
 * became of them, back to the disk.
 */
#include <stdio.h>

#include "agent/agent.h"
#include "agent/mail_inside.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"

static struct mail_item *find_command(struct agent *a, uint64_t instance, uint64_t id)
{
    for (uint32_t i = 0; instance != 0 && id != 0 && i < a->mail.n; i++) {
        struct mail_item *item = &a->mail.item[i];

        if (item->f.command && item->instance == instance && item->id == id)
            return item;
    }
    return NULL;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

/* Write an answer to the command whose head this is; one that is not durable is none. */
static enum rc write_answer(const struct agent *a, const struct mail *command,
                            const struct mail_answer *answer, struct mail_file *ret,
                            struct err *err)
{
    struct mail head = *command;
    struct mail_file f = { .way = MAIL_SENT };
    uint8_t head_buf[MAIL_HEAD_MAX], buf[MAIL_ANSWER_MAX];
    struct bytes head_bytes = { 0 }, content = { 0 };
    struct mail_state s;
    scoped(close_fd) int mem = -1;
    bool kept = false;
    struct err ignored;
    enum rc rc = mail_load_state(a, command->tenant, command->payload, &s, err);

    if (rc == RC_OK)
        rc = mail_answer_encode(answer, buf, &content, err);
    if (rc == RC_OK)
        rc = fs_sealed("answer", content, &mem, err);
    if (rc != RC_OK)
        return rc;
    head.direction = MAIL_ANSWER;
    head.node = a->config.node;
    head.time_ms = mail_today_ms(a);
    head.expires_ms = head.time_ms + MAIL_LIFE_MS;
    head.size = (uint32_t)content.n;
    f.number = head.number = ++s.number;
    memcpy(f.tenant, command->tenant, sizeof f.tenant);
    memcpy(f.payload, command->payload, sizeof f.payload);
    rc = mail_head_encode(&head, head_buf, &head_bytes, err);
    if (rc == RC_OK)
        rc = mail_put_noted(a, &f, head_bytes, mem, content.n, NULL, &s, &kept, err);
    if (rc != RC_OK && kept)
        (void)!mail_store_remove(a->data_dir, &f, &ignored);
    *ret = f;
    return rc;
}

/* It is on disk; what the ground need not be told any more goes. */
static void add_answer(struct agent *a, const struct mail_file *f, const struct digest *command)
{
    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_item *old = &a->mail.item[i];

        if (old->f.way == MAIL_SENT && !old->under_way && digest_same(&old->answers, command)) {
            mail_drop_item(a, old);
            break; /* that it was read: there is one of these */
        }
    }
    mail_add_item(a, f);
    struct mail_item *item = mail_find_item(a, MAIL_SENT, f->digest.b);

    if (item)
        item->answers = *command;
}

/* The last answer to a command, in its place. */
static enum rc close_command(struct agent *a, struct mail_item *item, struct mail_answer *answer,
                             struct err *err)
{
    const struct mail_file command = item->f;
    struct mail_file f;
    struct mail head;
    enum rc rc = mail_read_head(a, &command, NULL, &head, err);

    if (rc != RC_OK) { /* the disk has lost it: who it was for is known, and what it was not */
        head = (struct mail){ .name = "lost" };
        memcpy(head.tenant, command.tenant, sizeof head.tenant);
        memcpy(head.payload, command.payload, sizeof head.payload);
    }
    memcpy(answer->command, command.digest.b, DIGEST_SIZE);
    rc = write_answer(a, &head, answer, &f, err);
    if (rc != RC_OK)
        return rc;
    /* Durably gone, or it would be given once more when its answer has left: else both stay, and
     * the next answer takes the place of this one. */
    rc = mail_store_remove(a->data_dir, &command, err);
    if (rc == RC_OK)
        mail_drop_item(a, item);
    add_answer(a, &f, &command.digest);
    return rc;
}

bool mail_command_end(struct agent *a, struct mail_item *item, enum mail_outcome outcome,
                      enum rc code)
{
    struct mail_answer answer = { .outcome = outcome,
                                  .code = outcome == MAIL_REFUSED ? (uint32_t)code : 0 };
    const uint64_t instance = item->instance, id = item->id;
    struct err err = { 0 };
    enum rc rc = close_command(a, item, &answer, &err);

    if (rc == RC_OK)
        bus_withdraw(a, instance, id);
    else
        log_err(LOG_LEVEL_WARN, &err, "answer");
    return rc == RC_OK;
}

void mail_command_refuse(struct agent *a, const struct mail *head, const struct digest *object,
                         enum rc code)
{
    const bool late = code == RC_MAIL_EXPIRED;
    struct mail_answer answer = { .outcome = late ? MAIL_LATE : MAIL_REFUSED,
                                  .code = late ? 0 : (uint32_t)code };
    struct mail_file f = { .way = MAIL_SENT };
    struct err err = { 0 };

    memcpy(answer.command, object->b, DIGEST_SIZE);
    memcpy(f.tenant, head->tenant, sizeof f.tenant);
    memcpy(f.payload, head->payload, sizeof f.payload);
    if (!mail_has_room(a, &f))
        return;
    if (write_answer(a, head, &answer, &f, &err) == RC_OK)
        add_answer(a, &f, object);
    else
        log_err(LOG_LEVEL_WARN, &err, "answer");
}

/* ---- to the payload and back ------------------------------------------------------------------
 */

static bool is_late(const struct agent *a, uint64_t expires_ms)
{
    return expires_ms != 0 && expires_ms <= mail_today_ms(a);
}

bool mail_command_read(struct agent *a, uint64_t instance, uint64_t id)
{
    struct mail_item *item = find_command(a, instance, id);
    struct mail_answer answer = { .outcome = MAIL_READ };
    struct mail_file f = { .way = MAIL_SENT };
    struct mail head;
    struct err err = { 0 };

    if (!item)
        return true;
    if (is_late(a, item->expires_ms)) {
        (void)mail_command_end(a, item, MAIL_LATE, RC_OK);
        return false;
    }
    if (item->read)
        return true;
    item->read = true;
    const struct digest command = item->f.digest;

    memcpy(answer.command, command.b, DIGEST_SIZE);
    memcpy(f.tenant, item->f.tenant, sizeof f.tenant);
    memcpy(f.payload, item->f.payload, sizeof f.payload);
    if (!mail_has_room(a, &f))
        return true;
    enum rc rc = mail_read_head(a, &item->f, NULL, &head, &err);
    if (rc == RC_OK)
        rc = write_answer(a, &head, &answer, &f, &err);
    if (rc == RC_OK)
        add_answer(a, &f, &command);
    else
        log_err(LOG_LEVEL_WARN, &err, "answer");
    return true;
}

enum rc mail_command_done(struct agent *a, uint64_t instance, uint64_t id, struct bytes result,
                          struct err *err)
{
    struct mail_item *item = find_command(a, instance, id);
    struct mail_answer answer = { .outcome = MAIL_DONE };
    struct bus_result said;
    enum rc rc = bus_result_read(result, &said, err);

    if (rc != RC_OK)
        return rc;
    if (!item)
        return err_set(err, RC_NOT_FOUND, "%llu", (unsigned long long)id);
    if (item->sealed && said.text[0] != '\0')
        return err_set(err, RC_MAIL_SEALED, "words of an answer");
    answer.code = said.code;
    memcpy(answer.text, said.text, sizeof answer.text);
    return close_command(a, item, &answer, err);
}

/* Into the queue of its bus. */
static enum rc give(struct agent *a, const struct mail_box *b, struct mail_item *item,
                    struct err *err)
{
    uint8_t buf[MAIL_COMMAND_MAX];
    scoped(close_fd) int fd = -1;
    struct mail head;
    uint64_t id = 0;
    enum rc rc = mail_read_head(a, &item->f, &fd, &head, err);

    if (rc == RC_OK && (head.direction != MAIL_COMMAND || head.size > sizeof buf))
        rc = err_set(err, RC_MAIL_FORMAT, "command");
    if (rc == RC_OK && is_late(a, head.expires_ms))
        rc = err_set(err, RC_MAIL_EXPIRED, "command");
    /* Here too: it may have waited for a version that wants it sealed. */
    if (rc == RC_OK && b->sealed)
        rc = mail_check_sealed(a, b, MAIL_UP, fd, head.head, head.size, err);
    if (rc == RC_OK)
        rc = fs_pread_exact(fd, buf, head.size, head.head, err);
    if (rc == RC_OK)
        rc = bus_command(a, b->instance, head.name, (struct bytes){ buf, head.size }, &id, err);
    if (rc == RC_OK) {
        item->instance = b->instance;
        item->sealed = b->sealed;
        item->expires_ms = head.expires_ms;
        item->id = id;
    }
    return rc;
}

/* Oldest first, and none in front of one that could not be given now. */
void mail_commands_due(struct agent *a, uint64_t now_ms)
{
    const struct mail_box *waits[UNITS_MAX] = { NULL };
    uint32_t n_waits = 0;

    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_item *item = &a->mail.item[i];
        const struct mail_box *b = item->f.command ? mail_box_of(a, &item->f) : NULL;
        struct err err = { 0 };
        bool behind = false;

        if (!b || b->inbox_bytes == 0 || item->instance == b->instance ||
            !bus_serves(a, b->instance))
            continue;
        for (uint32_t k = 0; k < n_waits; k++)
            behind |= waits[k] == b;
        if (behind)
            continue;
        enum rc rc = now_ms < item->not_before_ms ? RC_TIMEOUT : give(a, b, item, &err);
        if (rc == RC_OK)
            continue;
        if (rc == RC_MAIL_EXPIRED && mail_command_end(a, item, MAIL_LATE, RC_OK)) {
            i = UINT32_MAX;
            continue;
        }
        if (rc != RC_TIMEOUT && rc != RC_MAIL_EXPIRED && rc != RC_BUS_QUEUE && rc != RC_NO_MEMORY &&
            !mail_not_now(a, item, rc, now_ms) && mail_command_end(a, item, MAIL_REFUSED, rc)) {
            i = UINT32_MAX; /* from the first one again: others have moved */
            continue;
        }
        if (n_waits < UNITS_MAX)
            waits[n_waits++] = b;
    }
}

/* ---- at the start -----------------------------------------------------------------------------
 */

/* Which command a message of ours answers; false: none, or none that can be read. */
static bool read_answer(const struct agent *a, const struct mail_file *f, struct mail_answer *ret)
{
    uint8_t buf[MAIL_ANSWER_MAX];
    scoped(close_fd) int fd = -1;
    struct mail head;
    struct err ignored;

    return f->way == MAIL_SENT && f->size <= MAIL_HEAD_MAX + MAIL_ANSWER_MAX &&
           mail_read_head(a, f, &fd, &head, &ignored) == RC_OK && head.direction == MAIL_ANSWER &&
           head.size <= sizeof buf &&
           fs_pread_exact(fd, buf, head.size, head.head, &ignored) == RC_OK &&
           mail_answer_decode((struct bytes){ buf, head.size }, ret, &ignored) == RC_OK;
}

void mail_commands_settle(struct agent *a)
{
    for (uint32_t i = 0; i < a->mail.n; i++) {
        struct mail_answer answer;

        if (!read_answer(a, &a->mail.item[i].f, &answer))
            continue;
        memcpy(a->mail.item[i].answers.b, answer.command, DIGEST_SIZE);
        struct mail_item *command = mail_find_item(a, MAIL_CAME, answer.command);
        if (!command)
            continue;
        command->read = true;
        if (answer.outcome == MAIL_READ)
            continue;
        i -= command < &a->mail.item[i];
        mail_drop_item(a, command);
    }
}
