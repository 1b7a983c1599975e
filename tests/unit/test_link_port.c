/* SPDX-License-Identifier: Apache-2.0
 *
 * link/port: what may be said between berthd and berth-link, and that nothing else passes.
 */
#include "tests/unit/link_fixture.h"

#include <sys/socket.h>

#define HEAD offsetof(struct port_message, object)

static int sock[2] = { -1, -1 };

static int open_pair(void **state)
{
    (void)state;
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock);
}

static int close_pair(void **state)
{
    (void)state;
    close_fd(&sock[0]);
    close_fd(&sock[1]);
    return 0;
}

/* How many descriptors this process has: nothing that is refused may leak one. */
static unsigned open_fds(void)
{
    unsigned n = 0;

    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0 ? 1 : 0;
    return n;
}

static struct port_message object(void)
{
    struct port_message m = { .type = PORT_OBJECT };

    m.object = (struct port_object){ .kind = OBJECT_ORDER, .size = 9, .digest = { 1, 2 } };
    return m;
}

static void passes_messages(void **state)
{
    struct port_message in = object(), out = { 0 };
    struct err err;
    int fd = -1;

    (void)state;
    assert_rc(port_recv(sock[1], PORT_FROM_LINK, &out, &fd, &err), RC_TIMEOUT);
    assert_rc(port_send(sock[0], &in, STDIN_FILENO, &err), RC_OK);
    assert_rc(port_recv(sock[1], PORT_FROM_LINK, &out, &fd, &err), RC_OK);
    assert_true(fd > 2);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close_fd(&fd);
    assert_int_equal(out.type, PORT_OBJECT);
    assert_memory_equal(&out.object, &in.object, sizeof in.object);

    static struct port_message big;

    big = (struct port_message){ .type = PORT_REPORT };
    big.report.n = REPORT_MAX;
    memset(big.report.bytes, 0x5a, REPORT_MAX);
    assert_rc(port_send(sock[1], &big, -1, &err), RC_OK);
    assert_rc(port_recv(sock[0], PORT_FROM_AGENT, &out, &fd, &err), RC_OK);
    assert_int_equal(fd, -1);
    assert_memory_equal(&out.report, &big.report, sizeof big.report);

    in = (struct port_message){ .type = PORT_CONTACT };
    assert_rc(port_send(sock[0], &in, -1, &err), RC_OK);
    close_fd(&sock[0]);
    assert_rc(port_recv(sock[1], PORT_FROM_LINK, &out, &fd, &err), RC_OK);
    assert_int_equal(out.type, PORT_CONTACT);
    assert_rc(port_recv(sock[1], PORT_FROM_LINK, &out, &fd, &err), RC_SHORT);
    assert_rc(port_send(sock[1], &big, -1, &err), RC_SHORT);
}

static void full_socket_does_not_block(void **state)
{
    static struct port_message m = { .type = PORT_REPORT, .report = { .n = 1 } };
    struct err err;
    enum rc rc = RC_OK;

    (void)state;
    for (int i = 0; i < 1000 && rc == RC_OK; i++)
        rc = port_send(sock[0], &m, -1, &err);
    assert_rc(rc, RC_TIMEOUT);
}

/* Values that are refused; each row changes one thing in a message that is right. */
static void refuses_values(void **state)
{
    static const struct {
        const char *why;
        uint32_t type;
        size_t at; /* of a 32-bit word in the message */
        uint32_t value;
    } rows[] = {
#define AT(field) offsetof(struct port_message, field)
        { "object kind 0", PORT_OBJECT, AT(object.kind), 0 },
        { "unknown object kind", PORT_OBJECT, AT(object.kind), OBJECT_KIND_MAX + 1 },
        { "object reserved", PORT_OBJECT, AT(object.reserved), 1 },
        { "object size 0", PORT_OBJECT, AT(object.size), 0 },
        { "object too large", PORT_OBJECT, AT(object.size) + 4, 1 },
        { "event rc 0", PORT_EVENT, AT(event.rc), 0 },
        { "event rc unknown", PORT_EVENT, AT(event.rc), 29 },
        { "event count 0", PORT_EVENT, AT(event.count), 0 },
        { "event text", PORT_EVENT, AT(event.what), 0x1b },
        { "event text without end", PORT_EVENT, AT(event.what) + 60, 0x41414141 },
        { "transfers", PORT_TRANSFERS, AT(transfers.n_transfers), PORT_TRANSFERS_MAX + 1 },
        { "complete", PORT_TRANSFERS, AT(transfers.n_complete), PORT_COMPLETE_MAX + 1 },
        { "chunks", PORT_TRANSFERS, AT(transfers.transfer[0].chunks), CHUNKS_MAX + 1 },
        { "no chunks but ranges", PORT_TRANSFERS, AT(transfers.transfer[0].chunks), 0 },
        { "ranges", PORT_TRANSFERS, AT(transfers.transfer[0].n_missing), PORT_RANGES_MAX + 1 },
        { "more", PORT_TRANSFERS, AT(transfers.transfer[0].more), 2 },
        { "empty range", PORT_TRANSFERS, AT(transfers.transfer[0].missing[0].count), 0 },
        { "touching", PORT_TRANSFERS, AT(transfers.transfer[0].missing[0].count), 4 },
        { "falling", PORT_TRANSFERS, AT(transfers.transfer[0].missing[1].first), 0 },
        { "beyond", PORT_TRANSFERS, AT(transfers.transfer[0].missing[1].count), 100 },
        { "wraps", PORT_TRANSFERS, AT(transfers.transfer[0].missing[1].count), UINT32_MAX },
        { "useful beyond all", PORT_TRANSFERS, AT(transfers.traffic.all.useful), 1 },
        { "repeated beyond all", PORT_TRANSFERS, AT(transfers.traffic.contact.repeated), 1 },
        { "bytes in", PORT_TRANSFERS, AT(transfers.traffic.all.in) + 4, 0x80000000 },
        { "bytes out", PORT_TRANSFERS, AT(transfers.traffic.all.out) + 4, 0x80000000 },
        { "key epoch", PORT_TRANSFERS, AT(transfers.traffic.key_epoch) + 4, 1 },
        { "highest counter", PORT_TRANSFERS, AT(transfers.traffic.highest) + 4, 0x80000000 },
        { "empty report", PORT_REPORT, AT(report.n), 0 },
        { "long report", PORT_REPORT, AT(report.n), REPORT_MAX + 1 },
        { "empty brief", PORT_BRIEF, AT(report.n), 0 },
        { "long brief", PORT_BRIEF, AT(report.n), REPORT_MAX + 1 },
        { "reserved", PORT_CONTACT, AT(reserved), 1 },
        { "type 0", PORT_CONTACT, AT(type), 0 },
        { "type 11", PORT_CONTACT, AT(type), 11 },
        { "key of node 0", PORT_KEY, AT(key.id.peer), 0 },
        { "key epoch 0", PORT_KEY, AT(key.id.epoch), 0 },
        { "key's tenant", PORT_KEY, AT(key.id.tenant), 0x2e2e2f2e },
        { "key's tenant without end", PORT_KEY, AT(key.id.tenant) + 32, 0x61616161 },
        { "key's tenant with more behind it", PORT_KEY, AT(key.id.tenant) + 8, 0x61616161 },
        { "held by node 0", PORT_KEY_HELD, AT(held.id.peer), 0 },
        { "held epoch 0", PORT_KEY_HELD, AT(held.id.epoch), 0 },
        { "held with an unknown code", PORT_KEY_HELD, AT(held.rc), 29 },
        { "held's tenant", PORT_KEY_HELD, AT(held.id.tenant), 0x0a0a0a0a },
        { "too many keys", PORT_KEYS, AT(keys.n), PORT_KEYS_MAX + 1 },
        { "keys with epoch 0", PORT_KEYS, AT(keys.id[0].epoch), 0 },
        { "keys with more than there are", PORT_KEYS, AT(keys.n), 2 },
        { "ping 0", PORT_PING, AT(pulse.number), 0 },
        { "pong 0", PORT_PONG, AT(pulse.number), 0 },
        { "type huge", PORT_CONTACT, AT(type), UINT32_MAX },
#undef AT
    };
    static const size_t sizes[] = {
        [PORT_OBJECT] = sizeof(struct port_object),
        [PORT_EVENT] = sizeof(struct port_event),
        [PORT_TRANSFERS] = sizeof(struct port_transfers),
        [PORT_CONTACT] = 0,
        [PORT_HEARD] = 0,
        [PORT_OBJECT_DONE] = sizeof(struct port_done),
        [PORT_REPORT] = sizeof(struct port_report),
        [PORT_BRIEF] = sizeof(struct port_report),
        [PORT_KEY] = sizeof(struct port_key),
        [PORT_KEY_HELD] = sizeof(struct port_key_held),
        [PORT_KEYS] = sizeof(struct port_keys),
        [PORT_PING] = sizeof(struct port_pulse),
        [PORT_PONG] = sizeof(struct port_pulse),
    };
    static struct port_message m, out;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool is_report = rows[i].type == PORT_REPORT || rows[i].type == PORT_BRIEF;
        bool from_agent = is_report || rows[i].type == PORT_KEY || rows[i].type == PORT_PING;
        enum port_side from = from_agent ? PORT_FROM_AGENT : PORT_FROM_LINK;
        enum port_side other = from == PORT_FROM_LINK ? PORT_FROM_AGENT : PORT_FROM_LINK;
        size_t fds = rows[i].type == PORT_OBJECT ? 1 : 0;
        struct bytes raw = { (const uint8_t *)&m, HEAD + sizes[rows[i].type] };
        struct err err;

        m = (struct port_message){ .type = rows[i].type };
        if (rows[i].type == PORT_OBJECT)
            m = object();
        if (rows[i].type == PORT_EVENT)
            m.event = (struct port_event){ .rc = RC_BPSEC_AUTH, .count = 1, .what = "bundle" };
        if (is_report)
            m.report.n = 1;
        if (rows[i].type == PORT_KEY)
            m.key = (struct port_key){ .id = { 1, 2, "acme" }, .secret = { 9 } };
        if (rows[i].type == PORT_PING || rows[i].type == PORT_PONG)
            m.pulse.number = 1;
        if (rows[i].type == PORT_KEY_HELD)
            m.held = (struct port_key_held){ .id = { 1, 2, "" } };
        if (rows[i].type == PORT_KEYS)
            m.keys = (struct port_keys){ .n = 1, .id = { { 1, 2, "" } } };
        if (rows[i].type == PORT_TRANSFERS) {
            m.transfers.n_transfers = 1;
            m.transfers.transfer[0] = (struct transfer_status){ .chunks = 10,
                                                                .n_missing = 2,
                                                                .missing = { { 0, 3 }, { 4, 6 } } };
        }
        assert_rc(port_check(raw, from, fds, &out, &err), RC_OK);
        assert_rc(port_check(raw, other, fds, &out, &err), RC_PROTOCOL);
        assert_rc(port_check(raw, from, fds + 1, &out, &err), RC_PROTOCOL);
        assert_rc(port_check((struct bytes){ raw.p, raw.n - 1 }, from, fds, &out, &err),
                  RC_PROTOCOL);
        if (raw.n < sizeof m)
            assert_rc(port_check((struct bytes){ raw.p, raw.n + 1 }, from, fds, &out, &err),
                      RC_PROTOCOL);

        out.type = 77;
        memcpy((uint8_t *)&m + rows[i].at, &rows[i].value, 4);
        if (rows[i].at == offsetof(struct port_message, event.what) + 60)
            memset(m.event.what, 'A', sizeof m.event.what);
        if (rows[i].at == offsetof(struct port_message, key.id.tenant) + 32)
            memset(m.key.id.tenant, 'a', sizeof m.key.id.tenant);
        if (port_check(raw, from, fds, &out, &err) != RC_PROTOCOL)
            fail_msg("%s passed", rows[i].why);
        assert_int_equal(out.type, 77);
    }
}

/* Send raw bytes with so many descriptors. */
static void send_raw(const void *p, size_t n, unsigned n_fds)
{
    union {
        char buf[CMSG_SPACE(8 * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = n };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds > 0) {
        hdr.msg_control = control.buf;
        hdr.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memset(CMSG_DATA(c), 0, n_fds * sizeof(int)); /* stdin, so many times */
    }
    assert_int_equal(sendmsg(sock[0], &hdr, 0), n);
}

static void leaks_no_descriptor(void **state)
{
    static uint8_t long_one[sizeof(struct port_message) + 64];
    static struct port_message out;
    struct port_message m = object();
    const size_t right = HEAD + sizeof(struct port_object);
    static const struct {
        size_t more;
        unsigned fds;
    } rows[] = { { 0, 0 }, { 0, 2 }, { 0, 4 }, { 0, 8 }, { 1, 1 }, { 8, 8 } };
    unsigned before = open_fds();
    struct err err;
    int fd = -1;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        send_raw(&m, right + rows[i].more, rows[i].fds);
        assert_rc(port_recv(sock[1], PORT_FROM_LINK, &out, &fd, &err), RC_PROTOCOL);
        assert_int_equal(open_fds(), before);
        assert_int_equal(fd, -1);
    }
    memcpy(long_one, &m, sizeof m);
    send_raw(long_one, sizeof long_one, 1);
    assert_rc(port_recv(sock[1], PORT_FROM_LINK, &out, &fd, &err), RC_PROTOCOL);
    assert_int_equal(open_fds(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(passes_messages, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(full_socket_does_not_block, open_pair, close_pair),
        cmocka_unit_test(refuses_values),
        cmocka_unit_test_setup_teardown(leaks_no_descriptor, open_pair, close_pair),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
