/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/mail with a payload whose manifest says `sealed`, between a berth-post and a berth-link
 * that the test plays: what goes out and comes in is a sealed bundle between the payload and its
 * own ground, or it is refused with a code that both can read.  Quotas are as ever.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/mail.h"
#include "base/fs.h"
#include "link/seal.h"

#define NODE 7U
#define GROUND 1U
#define DAY_BYTES 4096U

static char path[32];
static int dir = -1;
static int post = -1, link_end = -1; /* the test's ends */
static struct agent a;

static void pair(int *ours, int *theirs)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    *ours = fds[0];
    *theirs = fds[1];
}

static void start(uint64_t instance, const char *payload, bool sealed)
{
    static struct manifest m;

    memset(&m, 0, sizeof m);
    (void)snprintf(m.tenant, sizeof m.tenant, "acme");
    (void)snprintf(m.name, sizeof m.name, "%s", payload);
    m.limits.inbox_bytes = m.limits.outbox_bytes = 65536;
    m.limits.outbox_bytes_day = DAY_BYTES;
    m.sealed = sealed;
    mail_starting(&a, instance, &m);
    mail_launched(&a, instance, dir, dir); /* the directory stands for its view, and its end */
    struct post_message opened = { 0 };
    int fds[POST_FDS_MAX] = { -1, -1 };
    struct err err;

    assert_rc(post_recv(post, true, &opened, fds, &err), RC_OK);
    assert_int_equal(opened.type, POST_OPEN);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
}

static int setup(void **state)
{
    struct err err = { 0 };

    (void)state;
    memcpy(path, "/tmp/berth-mail-XXXXXX", sizeof "/tmp/berth-mail-XXXXXX");
    assert_non_null(mkdtemp(path));
    dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(&a, 0, sizeof a);
    a.data_dir = dir;
    a.config.node = NODE;
    a.config.ground = GROUND;
    pair(&a.mail.sock, &post);
    pair(&a.link_sock, &link_end);
    assert_true(sd_event_new(&a.loop) >= 0);
    assert_rc(mail_open(&a, &err), RC_OK);
    start(1, "cam", true);
    return 0;
}

static int teardown(void **state)
{
    struct err err = { 0 };

    (void)state;
    sd_event_source_disable_unref(a.mail.on_post);
    sd_event_unref(a.loop);
    close_fd(&a.mail.sock);
    close_fd(&a.link_sock);
    close_fd(&post);
    close_fd(&link_end);
    close_fd(&dir);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

/* ---- bundles ----------------------------------------------------------------------------------
 */

/* One way of being no mail, or some. */
struct content {
    const char *why;
    const char *src, *dst; /* payloads; "" = the ground */
    uint32_t src_node, dst_node;
    bool open;  /* not sealed at all */
    enum rc rc; /* going down */
};

static size_t make(const struct content *c, size_t size, uint8_t *buf, size_t cap)
{
    static const uint8_t plain[8192] = { 'x' };
    const struct link_keys keys = { .mac = { 1 }, .aead = { 2 } };
    struct link_message m = {
        .sequence = 1, .lifetime_ms = 1000, .key = 1, .counter = 1, .payload = { plain, size }
    };
    size_t n = 0;
    struct err err;

    if (c->open) {
        memcpy(buf, plain, size);
        return size;
    }
    assert_rc(mail_eid(c->src_node, "acme", c->src, &m.src, &err), RC_OK);
    assert_rc(mail_eid(c->dst_node, "acme", c->dst, &m.dst, &err), RC_OK);
    assert_rc(link_seal(&m, &keys, buf, cap, &n, &err), RC_OK);
    return n;
}

/* ---- out --------------------------------------------------------------------------------------
 */

/* A file is found in the outbox; what is said of it. */
static uint32_t offer(const char *name, struct bytes content)
{
    static uint64_t ino;
    struct post_message m = {
        .type = POST_FOUND, .instance = 1, .size = (uint32_t)content.n, .mark = { .ino = ++ino }
    };
    scoped(close_fd) int mem = -1;
    struct err err = { 0 };

    (void)snprintf(m.name, sizeof m.name, "%s", name);
    assert_rc(fs_sealed("test", content, &mem, &err), RC_OK);
    const int fds[POST_FDS_MAX] = { mem, -1 };
    assert_rc(post_send(post, &m, fds, &err), RC_OK);
    assert_true(sd_event_run(a.loop, 0) > 0);
    for (;;) {
        struct post_message said = { 0 };
        int got[POST_FDS_MAX] = { -1, -1 };

        assert_rc(post_recv(post, true, &said, got, &err), RC_OK);
        close_fd(&got[0]);
        if (said.type == POST_TAKEN || said.type == POST_LATER)
            return said.type;
    }
}

/* The receipt of a name, or "". */
static const char *receipt_of(const char *name)
{
    static char text[64];

    memset(text, 0, sizeof text);
    for (uint32_t i = 0; i < a.mail.n; i++) {
        const struct mail_file *f = &a.mail.item[i].f;
        uint8_t buf[MAIL_HEAD_MAX];
        scoped(close_fd) int fd = -1;
        struct mail head;
        struct err err;

        if (!f->receipt)
            continue;
        assert_rc(mail_store_open(dir, f, &fd, &err), RC_OK);
        assert_true(f->size <= sizeof buf);
        assert_rc(fs_pread_exact(fd, buf, (size_t)f->size, 0, &err), RC_OK);
        assert_rc(mail_head_decode((struct bytes){ buf, (size_t)f->size }, f->size, &head, &err),
                  RC_OK);
        if (strcmp(head.name, name) == 0)
            memcpy(text, buf + head.head, head.size - 1); /* without its end of line */
    }
    return text;
}

static uint32_t messages(enum mail_way way)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < a.mail.n; i++)
        n += a.mail.item[i].f.way == way && !a.mail.item[i].f.receipt;
    return n;
}

static const struct content rows[] = {
    /* clang-format off */
    { "its own, to its ground", "cam", "", NODE, GROUND, false, RC_OK },
    { "not sealed", "cam", "", NODE, GROUND, true, RC_MAIL_SEALED },
    { "another payload's", "dog", "", NODE, GROUND, false, RC_MAIL_ADDRESS },
    { "another satellite's", "cam", "", NODE + 1, GROUND, false, RC_MAIL_ADDRESS },
    { "to another ground", "cam", "", NODE, GROUND + 1, false, RC_MAIL_ADDRESS },
    { "to another payload", "cam", "dog", NODE, NODE, false, RC_MAIL_ADDRESS },
    { "the ground's to it", "", "cam", GROUND, NODE, false, RC_MAIL_ADDRESS },
    /* clang-format on */
};
#define ROWS (sizeof rows / sizeof rows[0])

static void only_sealed_mail_goes_out(void **state)
{
    uint8_t buf[1024];
    uint32_t taken = 0;

    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const size_t n = make(&rows[i], 100, buf, sizeof buf);
        char name[16], want[64];

        (void)snprintf(name, sizeof name, "letter%zu", i);
        (void)snprintf(want, sizeof want, rows[i].rc == RC_OK ? "taken" : "refused %s",
                       rc_name(rows[i].rc));
        if (offer(name, (struct bytes){ buf, n }) != POST_TAKEN ||
            strcmp(receipt_of(name), want) != 0)
            fail_msg("%s: %s", rows[i].why, receipt_of(name));
        taken += rows[i].rc == RC_OK;
        assert_int_equal(messages(MAIL_SENT), taken);
    }
    assert_int_equal(offer("empty", (struct bytes){ 0 }), POST_TAKEN);
    assert_string_equal(receipt_of("empty"), "refused MAIL_SEALED");
    assert_int_equal(messages(MAIL_SENT), 1);
}

/* Cut anywhere, or with a byte behind it, it is no bundle. */
static void a_part_of_a_bundle_is_none(void **state)
{
    uint8_t buf[1024] = { 0 };
    const size_t n = make(&rows[0], 20, buf, sizeof buf);

    (void)state;
    for (size_t cut = 0; cut <= n + 1; cut += cut + 7 < n ? 7 : 1) {
        if (cut == n)
            continue;
        assert_int_equal(offer("part", (struct bytes){ buf, cut }), POST_TAKEN);
        assert_string_equal(receipt_of("part"), "refused MAIL_SEALED");
    }
    assert_int_equal(messages(MAIL_SENT), 0);
}

static void quotas_are_as_ever(void **state)
{
    static uint8_t buf[DAY_BYTES + 1024];
    size_t n = make(&rows[0], DAY_BYTES, buf, sizeof buf);

    (void)state;
    assert_int_equal(offer("large", (struct bytes){ buf, n }), POST_LATER);
    assert_int_equal(messages(MAIL_SENT), 0);
    n = make(&rows[0], 2000, buf, sizeof buf);
    assert_int_equal(offer("first", (struct bytes){ buf, n }), POST_TAKEN);
    assert_int_equal(offer("second", (struct bytes){ buf, n }), POST_LATER);
    assert_int_equal(messages(MAIL_SENT), 1);
}

/* ---- in ---------------------------------------------------------------------------------------
 */

static void lay(const char *payload, uint64_t number, struct bytes content)
{
    struct mail_file f = { .way = MAIL_CAME, .number = number };
    struct mail head = {
        .direction = MAIL_UP, .node = NODE, .number = number, .size = (uint32_t)content.n
    };
    uint8_t buf[MAIL_HEAD_MAX];
    struct bytes bytes = { 0 };
    scoped(close_fd) int mem = -1;
    struct err err = { 0 };

    (void)snprintf(f.tenant, sizeof f.tenant, "acme");
    (void)snprintf(f.payload, sizeof f.payload, "%s", payload);
    memcpy(head.tenant, f.tenant, sizeof head.tenant);
    memcpy(head.payload, f.payload, sizeof head.payload);
    (void)snprintf(head.name, sizeof head.name, "in%llu", (unsigned long long)number);
    assert_rc(mail_head_encode(&head, buf, &bytes, &err), RC_OK);
    assert_rc(fs_sealed("test", content, &mem, &err), RC_OK);
    assert_rc(mail_store_put(dir, &f, bytes, mem, 0, content.n, NULL, &err), RC_OK);
    a.mail.item[a.mail.n++] = (struct mail_item){ .f = f };
}

/* Whether berth-post is asked to put a file. */
static bool is_put(void)
{
    struct post_message m = { 0 };
    int fds[POST_FDS_MAX] = { -1, -1 };
    struct err err = { 0 };
    const enum rc rc = post_recv(post, true, &m, fds, &err);

    close_fd(&fds[0]);
    assert_true(rc == RC_TIMEOUT || (rc == RC_OK && m.type == POST_PUT));
    return rc == RC_OK;
}

/* What waited on board for a payload that did not run is looked at when it does. */
static void only_sealed_mail_comes_in(void **state)
{
    static const struct content up[] = {
        { "its ground's", "", "cam", GROUND, NODE, false, RC_OK },
        { "not sealed", "", "cam", GROUND, NODE, true, RC_MAIL_SEALED },
        { "for another payload", "", "dog", GROUND, NODE, false, RC_MAIL_ADDRESS },
        { "from another payload", "dog", "cam", NODE, NODE, false, RC_MAIL_ADDRESS },
        { "its own, sent back", "cam", "", NODE, GROUND, false, RC_MAIL_ADDRESS },
    };
    uint8_t buf[1024];
    struct report_event told;

    (void)state;
    for (size_t i = 0; i < sizeof up / sizeof up[0]; i++) {
        lay("cam", i + 1, (struct bytes){ buf, make(&up[i], 100, buf, sizeof buf) });
        mail_tick(&a, 1000);
        if (is_put() != (up[i].rc == RC_OK))
            fail_msg("%s", up[i].why);
        if (up[i].rc == RC_OK) {
            const struct post_message done = { .type = POST_DELIVERED,
                                               .instance = 1,
                                               .name = "in1" };
            struct err err = { 0 };

            assert_rc(post_send(post, &done, NULL, &err), RC_OK);
            assert_true(sd_event_run(a.loop, 0) > 0);
        } else {
            assert_true(events_copy(&a.events, &told, 1) == 1);
            assert_int_equal(told.code, up[i].rc);
            assert_string_equal(told.what, "mail acme/cam");
        }
        assert_int_equal(messages(MAIL_CAME), 0);
    }
    start(2, "dog", false); /* of which nobody wants it */
    lay("dog", 9, bytes_of("in the clear"));
    mail_tick(&a, 1000);
    assert_true(is_put());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_sealed_mail_goes_out, setup, teardown),
        cmocka_unit_test_setup_teardown(a_part_of_a_bundle_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(quotas_are_as_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(only_sealed_mail_comes_in, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
