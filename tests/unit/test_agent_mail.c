/* SPDX-License-Identifier: Apache-2.0
 *
 * Mail, all the way: the real berthd with all of its companions, a payload that answers what it is
 * sent, and the ground.  Power is cut in the middle.  Needs root.
 */
#include "tests/unit/test.h"

#include "tests/unit/agent_sky.h"

#include "link/mail.h"

#define MAILS_MAX 8U

static struct got {
    uint32_t n;
    struct mail mail[MAILS_MAX];
    uint8_t content[MAILS_MAX][1024];
    uint64_t size[MAILS_MAX];
} got;

static void give_mail(struct sky *s)
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

static int open_mail(void **state)
{
    memset(&got, 0, sizeof got);
    (void)sky_open(state);
    give_mail(sky);
    return 0;
}

/* Send a message of n bytes, all of them `fill`. */
static void send_mail(const char *payload, const char *name, size_t n, int fill, uint64_t number)
{
    struct mail m = { .direction = MAIL_UP,
                      .node = NODE,
                      .tenant = "acme",
                      .number = number,
                      .time_ms = clock_unix_ms(),
                      .size = (uint32_t)n };
    uint8_t *buf = malloc(MAIL_HEAD_MAX + n);
    struct bytes head = { 0 };
    struct err err = { 0 };

    (void)snprintf(m.payload, sizeof m.payload, "%s", payload);
    (void)snprintf(m.name, sizeof m.name, "%s", name);
    must(mail_head_encode(&m, buf, &head, &err), &err);
    memset(buf + head.n, fill, n);
    scoped(close_fd) int fd = memfd_of((struct bytes){ buf, head.n + n });
    send_object(OBJECT_MAIL, fd, NULL);
    free(buf);
}

/* What has come down whole. */
static void collect(void)
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
        assert_int_equal(m.direction, MAIL_DOWN);
        assert_int_equal(m.node, NODE);
        assert_string_equal(m.tenant, "acme");
        assert_true(got.n < MAILS_MAX);
        got.mail[got.n] = m;
        must(fs_pread_exact(fd, got.content[got.n], m.size < 1024 ? m.size : 1024, m.head, &err),
             &err);
        got.size[got.n++] = m.size;
        must(link_ground_mail_done(sky->link, object.digest, &err), &err);
    }
}

static void await_mail(uint32_t n)
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

static bool log_says(const char *text)
{
    static uint8_t buf[65536];
    size_t n = 0;
    struct err err = { 0 };

    if (fs_read_file(sky->state, "log/acme.cam-north.log", buf, sizeof buf - 1, &n, &err) != RC_OK)
        return false;
    buf[n] = '\0';
    return strstr((const char *)buf, text) != NULL;
}

static size_t files_below(const char *path)
{
    uint64_t files = 0;
    struct err err = { 0 };

    return fs_tree_usage(sky->state, path, NULL, &files, &err) == RC_OK ? (size_t)files : 0;
}

static void await_empty(const char *path)
{
    uint64_t until = clock_mono_ms() + WAIT_MS;

    while (files_below(path) > 0) {
        assert_true(clock_mono_ms() < until);
        exchange();
        collect();
    }
}

static void messages_go_both_ways(void **state)
{
    const struct version v = {
        .version = "1.0.0", .release = 10, .signer = K_ACME, .probe = "agent_mail", .mail = true
    };

    (void)state;
    start_berthd();
    const struct digest manifest = send_version(&v);

    send_order(1, &manifest);
    await_standing(SLOT_COMMITTED, &manifest);
    send_mail("cam-north", "ping", 700, 'p', 1);
    await_mail(1);
    assert_string_equal(got.mail[0].name, "ping.back");
    assert_string_equal(got.mail[0].payload, "cam-north");
    assert_int_equal(got.size[0], 700);
    assert_int_equal(got.content[0][699], 'p');
    await_event(RC_MAIL_JUNK); /* what else lies there is told, and stays */

    /* One in chunks; the agent dies while it is on its way, and what was taken is not lost. */
    send_mail("cam-north", "large", 200000, 'l', 2);
    uint64_t until = clock_mono_ms() + WAIT_MS;
    while (files_below("data/acme/cam-north/sent") == 0 && got.n < 2) {
        assert_true(clock_mono_ms() < until);
        exchange();
        collect();
    }
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    await_mail(2);
    assert_string_equal(got.mail[1].name, "large.back");
    assert_int_equal(got.size[1], 200000);
    assert_true(got.mail[1].number > got.mail[0].number);
    await_empty("data/acme/cam-north/sent"); /* the ground has it, and that is known on board */

    /* The day's bytes are used up, and stay so: 300,000 are granted. */
    send_mail("cam-north", "more", 150000, 'm', 3);
    await_event(RC_MAIL_BUDGET);
    assert_int_equal(got.n, 2);
    end_berthd(SIGKILL, SIGKILL);
    start_berthd();
    send_mail("cam-north", "little", 10, 's', 4);
    await_mail(3);
    assert_string_equal(got.mail[2].name, "little.back");

    /* What is for nobody here is refused. */
    send_mail("cam-south", "ping", 10, 'x', 5);
    await_event(RC_MAIL_ADDRESS);
    until = clock_mono_ms() + WAIT_MS;
    while (!log_says("large.back.receipt delivered")) {
        assert_true(clock_mono_ms() < until);
        exchange();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_go_both_ways, open_mail, sky_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
