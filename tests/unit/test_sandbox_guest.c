/* SPDX-License-Identifier: Apache-2.0
 *
 * The relay of a virtual machine's ports, by itself: the test is the tender on one side, and the
 * notify socket and the bus on the other.  Guests that lie, flood, or hang up.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "sandbox/guest.h"

#define WAIT_MS 300000
#define MANY (256U * 1024U)

static char dir[] = "/tmp/berth-guest-XXXXXX";
static char notify_path[64], bus_path[64];
static int notify = -1, bus = -1;
static int port[GUEST_PORTS]; /* as the tender has them */
static pid_t relay;

static int listen_at(const char *path, int type)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

    memcpy(at.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 4), 0);
    return fd;
}

static int begin(void **state)
{
    struct guest_ports ports;

    (void)state;
    notify = listen_at(notify_path, SOCK_DGRAM);
    bus = listen_at(bus_path, SOCK_STREAM);
    assert_int_equal(guest_ports_make(&ports), 0);
    relay = fork();
    if (relay == 0) {
        for (int i = 0; i < GUEST_PORTS; i++) {
            if (dup2(ports.ours[i], i) < 0)
                _exit(99);
        }
        for (int i = 0; i < GUEST_PORTS; i++) {
            (void)close(ports.ours[i]);
            (void)close(ports.tenders[i]);
        }
        (void)close(notify);
        (void)close(bus);
        guest_relay(notify_path, bus_path);
    }
    assert_true(relay > 0);
    for (int i = 0; i < GUEST_PORTS; i++) {
        port[i] = ports.tenders[i];
        assert_int_equal(close(ports.ours[i]), 0);
    }
    return 0;
}

/* The tender goes; the status that the relay ends with. */
static int hang_up(void)
{
    int status = -1;

    for (int i = 0; i < GUEST_PORTS; i++)
        close_fd(&port[i]);
    assert_int_equal(waitpid(relay, &status, 0), relay);
    relay = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

static int end(void **state)
{
    (void)state;
    if (relay > 0)
        (void)hang_up();
    close_fd(&notify);
    close_fd(&bus);
    return unlink(notify_path) | unlink(bus_path);
}

static void say(const char *text)
{
    assert_int_equal(write(port[0], text, strlen(text)), strlen(text));
}

static void assert_readable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static void assert_heard(const char *text)
{
    char got[2048] = "";

    assert_readable(notify);
    assert_true(recv(notify, got, sizeof got - 1, 0) > 0);
    assert_string_equal(got, text);
}

static void lines_are_datagrams(void **state)
{
    static char longest[GUEST_LINE_MAX + 2];
    static char too_long[3 * GUEST_LINE_MAX];

    (void)state;
    say("READY=1\nSTATUS=two");
    say(" words\n\n\nMAINPID=1\n"); /* refused by who reads it, not here */
    assert_heard("READY=1");
    assert_heard("STATUS=two words");
    assert_heard("MAINPID=1");
    memset(longest, 'a', GUEST_LINE_MAX);
    longest[GUEST_LINE_MAX] = '\n';
    memset(too_long, 'b', sizeof too_long - 2);
    too_long[sizeof too_long - 2] = '\n';
    say(too_long);
    say(longest);
    longest[GUEST_LINE_MAX] = '\0';
    assert_heard(longest);
    say("WATCHDOG=1\n");
    assert_heard("WATCHDOG=1");
}

static void only_a_word_is_a_good_end(void **state)
{
    static const struct {
        const char *said;
        int status;
    } rows[] = {
        { "", 255 },
        { "READY=1\nSTOPPING=1\n", 255 },
        { "EXIT_STATUS=0\n", 0 },
        { "READY=1\nEXIT_STATUS=7\n", 7 },
        { "EXIT_STATUS=0\nEXIT_STATUS=9\n", 9 }, /* the last word */
        { "EXIT_STATUS=255\n", 255 },
        { "EXIT_STATUS=256\n", 255 },
        { "EXIT_STATUS=99999999999999999999\n", 255 },
        { "EXIT_STATUS=\n", 255 },
        { "EXIT_STATUS=-0\n", 255 },
        { "EXIT_STATUS=0x0\n", 255 },
        { " EXIT_STATUS=0\n", 255 },
        { "EXIT_STATUS=0", 255 }, /* no line */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (i > 0)
            assert_int_equal(begin(state), 0);
        say(rows[i].said);
        int status = hang_up();
        if (status != rows[i].status)
            fail_msg("'%s': %d, want %d", rows[i].said, status, rows[i].status);
        if (i + 1 < sizeof rows / sizeof rows[0])
            assert_int_equal(end(state), 0);
    }
}

/* A notify socket that nobody reads holds the guest up, loses nothing, and not its bus. */
static void a_reader_that_is_slow_loses_nothing(void **state)
{
    char text[32];
    const unsigned int lines = 2000;
    char hello[8] = "";
    unsigned int sent = 0;
    unsigned int heard = 0;

    (void)state;
    assert_int_equal(fcntl(port[0], F_SETFL, O_NONBLOCK), 0);
    while (sent < lines) {
        int n = snprintf(text, sizeof text, "STATUS=%06u\n", sent);

        if (write(port[0], text, (size_t)n) != n)
            break; /* held up, and no part of a line goes: it is far shorter than what fits */
        sent++;
    }
    assert_int_equal(write(port[1], "hello", 5), 5);
    scoped(close_fd) int call = accept4(bus, NULL, NULL, SOCK_CLOEXEC);
    assert_readable(call);
    assert_int_equal(read(call, hello, sizeof hello), 5);
    for (; heard < sent; heard++) {
        (void)snprintf(text, sizeof text, "STATUS=%06u", heard);
        assert_heard(text);
    }
}

/* More than any buffer holds, both ways at once, and every byte of it. */
static void the_bus_gets_every_byte(void **state)
{
    static uint8_t in[MANY];
    size_t sent = 0, echoed = 0, back = 0;

    (void)state;
    assert_int_equal(fcntl(port[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(write(port[1], "\0", 1), 1);
    sent = 1;
    scoped(close_fd) int call = accept4(bus, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(call >= 0);
    while (back < MANY) {
        struct pollfd p[2] = {
            { .fd = port[1], .events = (short)(POLLIN | (sent < MANY ? POLLOUT : 0)) },
            { .fd = call, .events = (short)(POLLIN | (echoed > 0 ? POLLOUT : 0)) }
        };
        static uint8_t kept[MANY];
        uint8_t byte;

        assert_true(poll(p, 2, WAIT_MS) > 0);
        while (sent < MANY) {
            byte = (uint8_t)(sent * 7 / 3);
            if (write(port[1], &byte, 1) != 1)
                break;
            sent++;
        }
        ssize_t n = read(call, kept + echoed, MANY - echoed);
        if (n > 0)
            echoed += (size_t)n;
        static size_t returned;
        n = echoed > returned ? write(call, kept + returned, echoed - returned) : 0;
        if (n > 0)
            returned += (size_t)n;
        n = read(port[1], in + back, MANY - back);
        if (n > 0)
            back += (size_t)n;
    }
    for (size_t i = 1; i < MANY; i++)
        assert_int_equal(in[i], (uint8_t)(i * 7 / 3));
}

/* The bus hangs up: the next word is a new call.  A bus that is not there is called again. */
static void the_bus_may_hang_up(void **state)
{
    char got[16] = "";

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(write(port[1], "ask", 3), 3);
        scoped(close_fd) int call = accept4(bus, NULL, NULL, SOCK_CLOEXEC);
        assert_readable(call);
        assert_int_equal(read(call, got, sizeof got), 3);
        assert_int_equal(write(call, "answer", 6), 6);
        close_fd(&call);
        assert_readable(port[1]);
        assert_int_equal(read(port[1], got, sizeof got), 6);
    }
    close_fd(&bus);
    assert_int_equal(unlink(bus_path), 0);
    assert_int_equal(write(port[1], "later", 5), 5);
    say("STATUS=waits\n");
    assert_heard("STATUS=waits");
    bus = listen_at(bus_path, SOCK_STREAM);
    scoped(close_fd) int call = accept4(bus, NULL, NULL, SOCK_CLOEXEC);
    assert_readable(call);
    assert_int_equal(read(call, got, sizeof got), 5);
    assert_memory_equal(got, "later", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_datagrams, begin, end),
        cmocka_unit_test_setup_teardown(only_a_word_is_a_good_end, begin, end),
        cmocka_unit_test_setup_teardown(a_reader_that_is_slow_loses_nothing, begin, end),
        cmocka_unit_test_setup_teardown(the_bus_gets_every_byte, begin, end),
        cmocka_unit_test_setup_teardown(the_bus_may_hang_up, begin, end),
    };

    if (mkdtemp(dir) == NULL)
        return 1;
    (void)snprintf(notify_path, sizeof notify_path, "%s/notify", dir);
    (void)snprintf(bus_path, sizeof bus_path, "%s/bus", dir);
    (void)signal(SIGPIPE, SIG_IGN);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);

    return rmdir(dir) == 0 ? rc : 1;
}
