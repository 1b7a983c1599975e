/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/abuse.h"
#include "agent/notify.h"

static void words(void **state)
{
    static const struct {
        const char *text;
        bool ready, watchdog, stopping;
        const char *status;
    } rows[] = {
        { "READY=1", true, false, false, "" },
        { "READY=1\n", true, false, false, "" },
        { "STATUS=warming up\nREADY=1\nWATCHDOG=1", true, true, false, "warming up" },
        { "STOPPING=1", false, false, true, "" },
        { "READY=0", false, false, false, "" },
        { "READY=1 ", false, false, false, "" },
        { " READY=1", false, false, false, "" },
        { "ready=1", false, false, false, "" },
        { "READY=", false, false, false, "" },
        { "XREADY=1", false, false, false, "" },
        { "RELOADING=1\nMONOTONIC_USEC=1", false, false, false, "" },
        { "\n\n\n", false, false, false, "" },
        { "", false, false, false, "" },
        { "STATUS=\033[2J\x80", false, false, false, "?[2J?" },
        { "STATUS=one\nSTATUS=two", false, false, false, "two" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct notify n;

        notify_parse(bytes_of(rows[i].text), &n);
        assert_int_equal(n.ready, rows[i].ready);
        assert_int_equal(n.watchdog, rows[i].watchdog);
        assert_int_equal(n.stopping, rows[i].stopping);
        assert_string_equal(n.status, rows[i].status);
    }
}

/* Who is supervised, and how, is not for the payload to say. */
static void refused_words(void **state)
{
    static const struct {
        const char *text;
        uint32_t refused;
        bool ready, reloading;
    } rows[] = {
        { "MAINPID=1", 1, false, false },
        { "MAINPID=1\nMAINPID=2\nREADY=1", 2, true, false },
        { "MAINPIDFDID=7\nMAINPIDFD=1", 2, false, false },
        { "FDSTORE=1\nFDSTOREREMOVE=1\nFDNAME=x", 2, false, false },
        { "WATCHDOG_USEC=1\nEXTEND_TIMEOUT_USEC=99999999\nBUSNAME=x", 3, false, false },
        { "RELOADING=1\nMONOTONIC_USEC=5", 0, false, true },
        { "RELOADING=0", 0, false, false },
        { "STATUS=MAINPID=1", 0, false, false },
        { "XMAINPID=1\nERRNO=2\nUNKNOWN=1", 0, false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct notify n;

        notify_parse(bytes_of(rows[i].text), &n);
        assert_int_equal(n.refused, rows[i].refused);
        assert_int_equal(n.ready, rows[i].ready);
        assert_int_equal(n.reloading, rows[i].reloading);
    }
}

/* The first at once, the rest of an hour as one, the last of all at the end. */
static void abuse_is_told_rarely(void **state)
{
    struct abuse abuse = { 0 };

    (void)state;
    assert_int_equal(abuse_due(&abuse, 5, false), 0);
    abuse_add(&abuse, 1);
    assert_int_equal(abuse_due(&abuse, 5, false), 1);
    for (uint32_t i = 0; i < 100000; i++) {
        abuse_add(&abuse, 1);
        assert_int_equal(abuse_due(&abuse, 6, false), 0);
    }
    assert_int_equal(abuse_due(&abuse, 5 + ABUSE_TELL_MS, false), 100000);
    abuse_add(&abuse, UINT32_MAX);
    abuse_add(&abuse, UINT32_MAX);
    assert_int_equal(abuse_due(&abuse, 6 + ABUSE_TELL_MS, false), 0);
    assert_int_equal(abuse_due(&abuse, 6 + ABUSE_TELL_MS, true), UINT32_MAX);
    assert_int_equal(abuse_due(&abuse, 6 + ABUSE_TELL_MS, true), 0);
}

/* A NUL is a byte like others, and a long status is cut. */
static void odd_bytes(void **state)
{
    static const char with_nul[] = "READY=1\0\nWATCHDOG=1";
    char text[300] = "STATUS=";
    struct notify n;

    (void)state;
    notify_parse((struct bytes){ (const uint8_t *)with_nul, sizeof with_nul - 1 }, &n);
    assert_false(n.ready);
    assert_true(n.watchdog);
    memset(text + 7, 's', sizeof text - 8);
    notify_parse(bytes_of(text), &n);
    assert_int_equal(strlen(n.status), NOTIFY_STATUS_CAP - 1);
}

static size_t open_files(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    assert_non_null(d);
    while (readdir(d))
        n++;
    (void)closedir(d);
    return n;
}

static void send_with_fds(int sock, const char *text, size_t n_text, size_t n_fds)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(253 * sizeof(int))];
    } control = { 0 };
    struct iovec iov = { .iov_base = (void *)(uintptr_t)text, .iov_len = n_text };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (n_fds > 0) {
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        for (size_t i = 0; i < n_fds; i++)
            memcpy(CMSG_DATA(c) + i * sizeof(int), &sock, sizeof sock);
    }
    assert_int_equal(sendmsg(sock, &msg, 0), (ssize_t)n_text);
}

static void passed_descriptors_are_closed(void **state)
{
    struct notify n = { 0 };
    struct err err = { 0 };
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    size_t before = open_files();
    for (size_t fds = 0; fds <= 253; fds += 11) {
        send_with_fds(pair[0], "READY=1", 7, fds);
        assert_rc(notify_receive(pair[1], &n, &err), RC_OK);
        assert_true(n.ready);
        assert_int_equal(n.refused, fds);
        assert_int_equal(open_files(), before);
    }
    assert_rc(notify_receive(pair[1], &n, &err), RC_TIMEOUT);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void oversized_says_nothing(void **state)
{
    char text[NOTIFY_MAX + 1];
    struct notify n = { 0 };
    struct err err = { 0 };
    int pair[2];

    (void)state;
    memset(text, '\n', sizeof text);
    memcpy(text, "READY=1\n", 8);
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair), 0);
    send_with_fds(pair[0], text, NOTIFY_MAX, 0);
    assert_rc(notify_receive(pair[1], &n, &err), RC_OK);
    assert_true(n.ready);
    send_with_fds(pair[0], text, sizeof text, 2);
    assert_rc(notify_receive(pair[1], &n, &err), RC_OK);
    assert_false(n.ready);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(refused_words),
        cmocka_unit_test(abuse_is_told_rarely),
        cmocka_unit_test(odd_bytes),
        cmocka_unit_test(passed_descriptors_are_closed),
        cmocka_unit_test(oversized_says_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
