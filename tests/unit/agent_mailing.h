/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/agent_mailing: mail through the real berthd (tests/unit/agent_sky): a grant that
 * allows it, sending, and what has come down.  Include "tests/unit/test.h" first.
 */
#ifndef BERTH_TESTS_UNIT_AGENT_MAILING_H
#define BERTH_TESTS_UNIT_AGENT_MAILING_H

#include "tests/unit/agent_sky.h"

#include "link/mail.h"

#define MAILS_MAX 8U
#define CONTENT_CAP 4096U

static struct got {
    uint32_t n;
    struct mail mail[MAILS_MAX];
    uint8_t content[MAILS_MAX][CONTENT_CAP];
    uint64_t size[MAILS_MAX];
} got;

static maybe_unused void give_mail(struct sky *s)
{
    scoped(close_fd) int trust = openat(s->state, TRUST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct grant grant = doc_grant();
    struct err err = { 0 };

    grant.expires_ms = 0;
    grant.total.inbox_bytes = grant.total.outbox_bytes = 1U << 20;
    grant.total.outbox_bytes_day = 300000;
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    must(fs_write_file(trust, "grant-acme.cose", signed_doc_.bytes, 0600, &err), &err);
}

static maybe_unused int open_mail(void **state)
{
    memset(&got, 0, sizeof got);
    (void)sky_open(state);
    give_mail(sky);
    return 0;
}

/* Send a message, or a command. */
static maybe_unused void send_as(enum mail_direction direction, const char *payload,
                                 const char *name, struct bytes content, uint64_t number)
{
    struct mail m = { .direction = direction,
                      .node = NODE,
                      .tenant = "acme",
                      .number = number,
                      .time_ms = clock_unix_ms(),
                      .size = (uint32_t)content.n };
    uint8_t *buf = malloc(MAIL_HEAD_MAX + content.n);
    struct bytes head = { 0 };
    struct err err = { 0 };

    (void)snprintf(m.payload, sizeof m.payload, "%s", payload);
    (void)snprintf(m.name, sizeof m.name, "%s", name);
    must(mail_head_encode(&m, buf, &head, &err), &err);
    memcpy(buf + head.n, content.p, content.n);
    scoped(close_fd) int fd = memfd_of((struct bytes){ buf, head.n + content.n });
    send_object(OBJECT_MAIL, fd, NULL);
    free(buf);
}

static maybe_unused void send_content(const char *payload, const char *name, struct bytes content,
                                      uint64_t number)
{
    send_as(MAIL_UP, payload, name, content, number);
}

/* What has come down whole. */
static maybe_unused void collect(void)
{
    struct port_object object;
    struct err err = { 0 };

    while (link_ground_mail(sky->link, 0, &object)) {
        scoped(close_fd) int fd = -1;
        uint8_t head[MAIL_HEAD_MAX];
        const size_t n = object.size < sizeof head ? (size_t)object.size : sizeof head;
        struct mail m;

        must(link_ground_mail_open(sky->link, object.digest, &fd, &err), &err);
        must(fs_pread_exact(fd, head, n, 0, &err), &err);
        must(mail_head_decode((struct bytes){ head, n }, object.size, &m, &err), &err);
        assert_true(m.direction != MAIL_UP && m.direction != MAIL_COMMAND);
        assert_int_equal(m.node, NODE);
        assert_string_equal(m.tenant, "acme");
        assert_true(got.n < MAILS_MAX);
        got.mail[got.n] = m;
        must(fs_pread_exact(fd, got.content[got.n], m.size < CONTENT_CAP ? m.size : CONTENT_CAP,
                            m.head, &err),
             &err);
        got.size[got.n++] = m.size;
        must(link_ground_mail_done(sky->link, object.digest, &err), &err);
    }
}

static maybe_unused void await_mail(uint32_t n)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    while (got.n < n) {
        if (clock_mono_ms() > until) {
            explain("mail");
            fail_msg("%u messages came, not %u", got.n, n);
        }
        exchange();
        collect();
        assert_int_equal(waitpid(sky->berthd, NULL, WNOHANG), 0);
    }
}

static maybe_unused bool log_says(const char *text)
{
    static uint8_t buf[65536];
    size_t n = 0;
    struct err err = { 0 };

    if (fs_read_file(sky->state, "log/acme.cam-north.log", buf, sizeof buf - 1, &n, &err) != RC_OK)
        return false;
    buf[n] = '\0';
    return strstr((const char *)buf, text) != NULL;
}

static maybe_unused size_t files_below(const char *path)
{
    uint64_t files = 0;
    struct err err = { 0 };

    return fs_tree_usage(sky->state, path, NULL, &files, &err) == RC_OK ? (size_t)files : 0;
}

static maybe_unused void await_empty(const char *path)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    while (files_below(path) > 0) {
        assert_true(clock_mono_ms() < until);
        exchange();
        collect();
    }
}

#endif
