/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/command.h"

#include <stdio.h>

#include "base/fs.h"

#define ANSWER_DIR "mail/.answers"
#define PATH_CAP (sizeof ANSWER_DIR + NAME_CAP + 2U * DIGEST_SIZE + 2U)

static void answer_path(const char *satellite, const uint8_t object[DIGEST_SIZE], char *out)
{
    char hex[2 * DIGEST_SIZE + 1];

    (void)snprintf(out, PATH_CAP, ANSWER_DIR "/%s/%s", satellite,
                   bytes_hex((struct bytes){ object, DIGEST_SIZE }, hex));
}

enum rc command_answer(const struct home *home, const char *satellite, const struct digest *object,
                       struct mail_answer *ret, struct err *err)
{
    uint8_t buf[MAIL_ANSWER_MAX];
    char path[PATH_CAP];
    size_t n = 0;

    answer_path(satellite, object->b, path);
    enum rc rc = fs_read_file(home->dirfd, path, buf, sizeof buf, &n, err);

    return rc == RC_OK ? mail_answer_decode((struct bytes){ buf, n }, ret, err) : rc;
}

/* Whether the command of an answer is one that went to this payload of this satellite. */
static enum rc check_asked(const struct home *home, const struct mail *head,
                           const struct digest *command, struct err *err)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    struct mail sent;
    enum rc rc = home_open_object(home, command, &fd, &size, err);

    if (rc == RC_OK)
        rc = mail_head_read(fd, size, &sent, err);
    if (rc == RC_OK && sent.direction == MAIL_COMMAND && sent.node == head->node &&
        strcmp(sent.tenant, head->tenant) == 0 && strcmp(sent.payload, head->payload) == 0)
        return RC_OK;
    return rc == RC_OK || rc == RC_NOT_FOUND || rc_class(rc) == RC_CLASS_MALFORMED
               ? err_set(err, RC_MAIL_ADDRESS, "no command to %s/%s", head->tenant, head->payload)
               : rc;
}

enum rc command_keep(const struct home *home, const char *satellite, const struct mail *head,
                     int fd, struct err *err)
{
    uint8_t buf[MAIL_ANSWER_MAX];
    const struct bytes content = { buf, head->size };
    struct mail_answer answer, old;
    struct digest command;
    char path[PATH_CAP];
    struct err ignored;

    if (head->size > sizeof buf)
        return err_set(err, RC_MAIL_FORMAT, "answer");
    enum rc rc = fs_pread_exact(fd, buf, head->size, head->head, err);
    if (rc == RC_OK)
        rc = mail_answer_decode(content, &answer, err);
    if (rc != RC_OK)
        return rc;
    memcpy(command.b, answer.command, DIGEST_SIZE);
    rc = check_asked(home, head, &command, err);
    if (rc != RC_OK || (command_answer(home, satellite, &command, &old, &ignored) == RC_OK &&
                        old.outcome != MAIL_READ))
        return rc;
    (void)snprintf(path, sizeof path, ANSWER_DIR "/%s", satellite);
    rc = fs_make_dirs(home->dirfd, path, 0700, err);
    answer_path(satellite, answer.command, path);
    return rc == RC_OK ? fs_write_file(home->dirfd, path, content, 0600, err) : rc;
}
