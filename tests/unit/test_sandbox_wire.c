/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/wire.h"

struct pair {
    int a;
    int b;
};

static int setup(void **state)
{
    static struct pair pair;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
        return -1;
    pair = (struct pair){ .a = fds[0], .b = fds[1] };
    *state = &pair;
    return 0;
}

static int teardown(void **state)
{
    struct pair *pair = *state;

    close_fd(&pair->a);
    close_fd(&pair->b);
    return 0;
}

static size_t open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    assert_int_equal(closedir(dir), 0);
    return n;
}

/* Send bytes as they are, with n descriptors of /dev/null. */
static void send_raw(int sock, const void *bytes, size_t size, size_t n)
{
    union {
        struct cmsghdr align;
        char buf[CMSG_SPACE(sizeof(int) * 16)];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
    struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
    int fds[16];

    for (size_t i = 0; i < n; i++)
        assert_true((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    if (n > 0) {
        hdr.msg_control = control.buf;
        hdr.msg_controllen = CMSG_SPACE(sizeof(int) * n);
        struct cmsghdr *c = CMSG_FIRSTHDR(&hdr);

        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n);
    }
    assert_int_equal(sendmsg(sock, &hdr, MSG_NOSIGNAL), size);
    for (size_t i = 0; i < n; i++)
        close_fd(&fds[i]);
}

/* A launcher that is busy, and an agent that has just started with everything to do. */
static void has_room_for_everything_at_once(void **state)
{
    const struct pair *pair = *state;
    struct err err = { 0 };
    const struct wire_stop stop = { .head = wire_head(WIRE_STOP, 1) };
    static struct wire_launch launch;
    int fd = STDERR_FILENO;

    launch.head = wire_head(WIRE_LAUNCH, 1);
    assert_rc(wire_make_room(pair->a, &err), RC_OK);
    for (uint32_t i = 0; i < PAYLOADS_MAX; i++)
        assert_rc(wire_send(pair->a, &launch.head, &fd, 1, &err), RC_OK);
    for (uint32_t i = 0; i < 4 * PAYLOADS_MAX; i++)
        assert_rc(wire_send(pair->a, &stop.head, NULL, 0, &err), RC_OK);
}

static void carries_a_plan_and_descriptors(void **state)
{
    const struct pair *pair = *state;
    struct wire_launch m = { .head = wire_head(WIRE_LAUNCH, 7), .plan = { .has_data = 1 } };
    int fds[2] = { open("/dev/null", O_RDONLY | O_CLOEXEC),
                   open("/dev/zero", O_RDONLY | O_CLOEXEC) };
    union wire_message got;
    struct wire_fds got_fds = WIRE_FDS_INIT;

    memcpy(m.plan.name, "cam", 4);
    assert_rc(wire_send(pair->a, &m.head, fds, 2, NULL), RC_OK);
    assert_rc(wire_recv(pair->b, &got, &got_fds, NULL), RC_OK);
    assert_int_equal(got.head.instance, 7);
    assert_string_equal(got.launch.plan.name, "cam");
    assert_int_equal(got_fds.n, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_not_equal(fcntl(got_fds.fd[i], F_GETFD) & FD_CLOEXEC, 0);
        close_fd(&fds[i]);
    }
    uint8_t byte = 1;
    assert_int_equal(read(got_fds.fd[WIRE_FD_ROOT + 1], &byte, 1), 1); /* the order is kept: zero */
    assert_int_equal(byte, 0);
    wire_fds_close(&got_fds);
    assert_int_equal(got_fds.fd[0], -1);
}

/* A message as only a broken or hostile peer sends it. */
struct forgery {
    const char *why;
    uint32_t type;
    uint32_t claimed; /* size in the head, 0 = as sent */
    uint32_t sent;    /* bytes, 0 = the right size */
    uint64_t instance;
    uint32_t has_data; /* of a plan; also the reserved word of STOP */
    size_t fds;
};

static const struct forgery forgeries[] = {
    { "unknown type", 99, 0, 16, 1, 0, 0 },
    { "type zero", 0, 0, 16, 1, 0, 0 },
    { "one byte", WIRE_STAT, 0, 1, 1, 0, 0 },
    { "head cut", WIRE_STAT, 16, 15, 1, 0, 0 },
    { "plan cut", WIRE_LAUNCH, 0, sizeof(struct wire_launch) - 8, 1, 0, 1 },
    { "size in head differs", WIRE_STAT, 17, 16, 1, 0, 0 },
    { "too long for its type", WIRE_STAT, 0, 24, 1, 0, 0 },
    { "longer than any", WIRE_LAUNCH, 0, sizeof(union wire_message) + 8, 1, 0, 1 },
    { "instance zero", WIRE_STAT, 0, 0, 0, 0, 0 },
    { "launch without root", WIRE_LAUNCH, 0, 0, 1, 0, 0 },
    { "launch with data, no image", WIRE_LAUNCH, 0, 0, 1, 1, 1 },
    { "launch without data, image", WIRE_LAUNCH, 0, 0, 1, 0, 2 },
    { "launch with data of another kind", WIRE_LAUNCH, 0, 0, 1, 2, 2 },
    { "launch with data, image of mail", WIRE_LAUNCH, 0, 0, 1, 1, 3 },
    { "launch with four descriptors", WIRE_LAUNCH, 0, 0, 1, 1, 4 },
    { "launch with sixteen descriptors", WIRE_LAUNCH, 0, 0, 1, 1, 16 },
    { "stop with a descriptor", WIRE_STOP, 0, 0, 1, 0, 1 },
    { "stat with a descriptor", WIRE_STAT, 0, 0, 1, 0, 1 },
    { "freeze with a descriptor", WIRE_FREEZE, 0, 0, 1, 0, 1 },
    { "thaw of nobody", WIRE_THAW, 0, 0, 0, 0, 0 },
    { "limits with a descriptor", WIRE_LIMITS, 0, 0, 1, 0, 1 },
    { "limits of a share only", WIRE_LIMITS, 0, sizeof(struct wire_limits) - 8, 1, 0, 0 },
    { "limited with a descriptor", WIRE_LIMITED, 0, 0, 1, 0, 1 },
    { "frozen, too short", WIRE_FROZEN, 0, sizeof(struct wire_head), 1, 0, 0 },
    { "frozen with a descriptor", WIRE_FROZEN, 0, 0, 1, 0, 1 },
    { "launched without descriptors", WIRE_LAUNCHED, 0, 0, 1, 0, 0 },
    { "exited with a descriptor", WIRE_EXITED, 0, 0, 1, 0, 1 },
};

static uint32_t right_size(uint32_t type)
{
    return wire_head((enum wire_type)type, 1).size;
}

static void refuses_forgeries_and_keeps_no_descriptor(void **state)
{
    const struct pair *pair = *state;
    static uint8_t bytes[2 * sizeof(union wire_message)];

    for (size_t i = 0; i < sizeof forgeries / sizeof forgeries[0]; i++) {
        const struct forgery *row = &forgeries[i];
        union wire_message m = { 0 };
        union wire_message got;
        union wire_message before;
        struct wire_fds fds = WIRE_FDS_INIT;
        size_t sent = row->sent != 0 ? row->sent : right_size(row->type);
        size_t open_before = open_descriptors();

        m.head = (struct wire_head){ .type = row->type,
                                     .size = row->claimed != 0 ? row->claimed : (uint32_t)sent,
                                     .instance = row->instance };
        if (row->type == WIRE_LAUNCH)
            m.launch.plan.has_data = row->has_data;
        memcpy(bytes, &m, sizeof m);
        memset(&got, 0x5a, sizeof got);
        before = got;
        send_raw(pair->a, bytes, sent, row->fds);
        enum rc rc = wire_recv(pair->b, &got, &fds, NULL);
        if (rc != RC_PROTOCOL)
            fail_msg("%s: got %s", row->why, rc_name(rc));
        assert_memory_equal(&got, &before, sizeof got);
        if (fds.n != 0 || open_descriptors() != open_before)
            fail_msg("%s: descriptor left", row->why);
    }
}

static void refuses_text_without_end(void **state)
{
    const struct pair *pair = *state;
    struct wire_launch_failed m = { .head = wire_head(WIRE_LAUNCH_FAILED, 1) };
    union wire_message got;
    struct wire_fds fds;

    memset(m.step, 'x', sizeof m.step);
    send_raw(pair->a, &m, sizeof m, 0);
    assert_rc(wire_recv(pair->b, &got, &fds, NULL), RC_PROTOCOL);
}

static void refuses_walls_that_contradict_themselves(void **state)
{
    const struct pair *pair = *state;
    const struct wire_walls good = { .head = wire_head(WIRE_WALLS, 0),
                                     .seen = { .standing = 1, .missing = 6, .waived = 2 } };
    struct wire_walls bad[] = { good, good, good, good };
    union wire_message got;
    struct wire_fds fds;

    send_raw(pair->a, &good, sizeof good, 0);
    assert_rc(wire_recv(pair->b, &got, &fds, NULL), RC_OK);
    send_raw(pair->a, &good, sizeof good, 1);
    assert_rc(wire_recv(pair->b, &got, &fds, NULL), RC_OK);
    assert_int_equal(fds.n, 1);
    wire_fds_close(&fds);
    send_raw(pair->a, &good, sizeof good, 2);
    assert_rc(wire_recv(pair->b, &got, &fds, NULL), RC_PROTOCOL);
    bad[0].head.instance = 1;
    bad[1].seen.standing = 3;
    bad[2].seen.waived = 1;
    memset(bad[3].refused_what, 'x', sizeof bad[3].refused_what);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        send_raw(pair->a, &bad[i], sizeof bad[i], 0);
        assert_rc(wire_recv(pair->b, &got, &fds, NULL), RC_PROTOCOL);
    }
}

static void tells_nothing_there_from_the_end(void **state)
{
    struct pair *pair = *state;
    struct wire_stat m = { .head = wire_head(WIRE_STAT, 1) };
    union wire_message got;
    struct wire_fds fds;

    assert_rc(wire_recv(pair->b, &got, &fds, NULL), RC_TIMEOUT);
    assert_rc(wire_send(pair->a, &m.head, NULL, 0, NULL), RC_OK);
    assert_rc(wire_recv(pair->b, &got, &fds, NULL), RC_OK);
    close_fd(&pair->a);
    assert_rc(wire_recv(pair->b, &got, &fds, NULL), RC_SHORT);
    assert_rc(wire_send(pair->b, &m.head, NULL, 0, NULL), RC_IO); /* and no SIGPIPE */
}

static void says_when_the_socket_is_full(void **state)
{
    const struct pair *pair = *state;
    struct wire_exited m = { .head = wire_head(WIRE_EXITED, 1) };
    enum rc rc = RC_OK;

    for (size_t i = 0; i < 100000 && rc == RC_OK; i++)
        rc = wire_send(pair->a, &m.head, NULL, 0, NULL);
    assert_rc(rc, RC_NO_ROOM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(has_room_for_everything_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(carries_a_plan_and_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_forgeries_and_keeps_no_descriptor, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_text_without_end, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_walls_that_contradict_themselves, setup, teardown),
        cmocka_unit_test_setup_teardown(tells_nothing_there_from_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(says_when_the_socket_is_full, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
