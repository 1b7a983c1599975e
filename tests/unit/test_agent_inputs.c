/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/inputs.h"

#define WAIT_MS 300000
#define NOW 1800000000ULL

/* ---- lines ---------------------------------------------------------------------------------- */

static void lines(void **state)
{
    static const struct {
        const char *text;
        struct input want;
    } rows[] = {
        { "mode safe", { .kind = INPUT_MODE, .safe = true } },
        { "mode nominal\n", { .kind = INPUT_MODE } },
        { "aos kiruna-1", { .kind = INPUT_AOS, .name = "kiruna-1" } },
        { "los", { .kind = INPUT_LOS } },
        { "event south-pole", { .kind = INPUT_EVENT, .name = "south-pole" } },
        { "eclipse in", { .kind = INPUT_ECLIPSE_IN } },
        { "eclipse out", { .kind = INPUT_ECLIPSE_OUT } },
        { "pass none", { .kind = INPUT_NO_PASSES } },
        { "pass 1 86401 a", { .kind = INPUT_PASS, .name = "a", .start_s = 1, .end_s = 86401 } },
        { "time 0 0", { .kind = INPUT_TIME } },
        { "time 253402300799 86400000",
          { .kind = INPUT_TIME, .start_s = INPUT_UNIX_MAX, .uncertain_ms = 86400000 } },
        { "time 7 unknown",
          { .kind = INPUT_TIME, .start_s = 7, .uncertain_ms = INPUT_UNCERTAIN_UNKNOWN } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct input got;
        struct err err = { 0 };

        memset(&got, 0, sizeof got);
        assert_rc(input_parse(bytes_of(rows[i].text), &got, &err), RC_OK);
        assert_int_equal(got.kind, rows[i].want.kind);
        assert_int_equal(got.safe, rows[i].want.safe);
        assert_string_equal(got.name, rows[i].want.name);
        assert_int_equal(got.start_s, rows[i].want.start_s);
        assert_int_equal(got.end_s, rows[i].want.end_s);
        assert_int_equal(got.uncertain_ms, rows[i].want.uncertain_ms);
    }
}

static void refused_lines(void **state)
{
    static const char *const rows[] = {
        "",
        "\n",
        " ",
        "mode",
        "mode safe nominal",
        "mode  safe",
        " mode safe",
        "mode safe ",
        "mode SAFE",
        "MODE safe",
        "mode\tsafe",
        "mode safe\nlos",
        "mode safe\n\n",
        "los los",
        "aos",
        "aos -kiruna",
        "aos Kiruna",
        "aos ../etc",
        "aos abcdefghijklmnopqrstuvwxyz-0123456",
        "event \x80",
        "eclipse",
        "eclipse maybe",
        "pass",
        "pass all",
        "pass 1 2",
        "pass 2 1 a",
        "pass 1 1 a",
        "pass 1 86402 a",
        "pass 01 2 a",
        "pass +1 2 a",
        "pass -1 2 a",
        "pass 1 2e3 a",
        "pass 1 2 a b",
        "pass 18446744073709551617 18446744073709551620 a",
        "pass 253402300800 253402300801 a",
        "time",
        "time 5",
        "time 5 86400001",
        "time 5 good",
        "time 1.5 10",
        "restart now",
    };
    const struct input before = { .kind = INPUT_AOS, .name = "before" };
    char line[400];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct input got = before;
        struct err err = { 0 };

        assert_rc(input_parse(bytes_of(rows[i]), &got, &err), RC_INPUT_LINE);
        assert_memory_equal(&got, &before, sizeof got);
        assert_true(err.what[0] != '\0');
    }
    for (size_t n = 1; n < sizeof line; n++) { /* of every length, and a NUL in the middle */
        struct input got = before;

        memset(line, 'a', sizeof line);
        memcpy(line, "event ", 6);
        assert_int_equal(input_parse((struct bytes){ (const uint8_t *)line, n }, &got, NULL) ==
                             RC_OK,
                         n > 6 && n <= 6 + NAME_MAX_LEN);
        line[n / 2] = '\0';
        assert_rc(input_parse((struct bytes){ (const uint8_t *)line, n }, &got, NULL),
                  RC_INPUT_LINE);
    }
}

/* ---- what stands ---------------------------------------------------------------------------- */

static enum rc tell(struct inputs_table *t, uint64_t now, const char *fmt, ...) printf_like(3, 4);
static enum rc tell(struct inputs_table *t, uint64_t now, const char *fmt, ...)
{
    char line[INPUT_LINE_MAX];
    struct input in = { .kind = INPUT_NONE };
    struct err err = { 0 };
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    assert_rc(input_parse(bytes_of(line), &in, &err), RC_OK);
    return inputs_take(t, &in, now, now * 10, &err);
}

static void stands(void **state)
{
    struct inputs_table t = { 0 };

    (void)state;
    assert_rc(tell(&t, NOW, "mode safe"), RC_OK);
    assert_rc(tell(&t, NOW, "eclipse in"), RC_OK);
    assert_rc(tell(&t, NOW, "aos kiruna"), RC_OK);
    assert_rc(tell(&t, NOW, "time 1800000005 250"), RC_OK);
    assert_true(t.safe && t.eclipse);
    assert_string_equal(t.station, "kiruna");
    assert_int_equal(t.time_ms, 1800000005000ULL);
    assert_int_equal(t.time_mono_ms, NOW * 10);
    assert_int_equal(t.uncertain_ms, 250);
    assert_rc(tell(&t, NOW, "mode nominal"), RC_OK);
    assert_rc(tell(&t, NOW, "eclipse out"), RC_OK);
    assert_rc(tell(&t, NOW, "los"), RC_OK);
    assert_false(t.safe || t.eclipse);
    assert_string_equal(t.station, "");
}

/* Sorted, bounded, one prediction for one pass; what is over makes room. */
static void passes(void **state)
{
    struct inputs_table t = { 0 };
    struct input_pass next[4];

    (void)state;
    assert_rc(tell(&t, NOW, "pass %llu %llu b", NOW + 500, NOW + 900), RC_OK);
    assert_rc(tell(&t, NOW, "pass %llu %llu a", NOW + 100, NOW + 600), RC_OK);
    assert_rc(tell(&t, NOW, "pass %llu %llu a", NOW + 150, NOW + 650), RC_OK); /* better known */
    assert_rc(tell(&t, NOW, "pass %llu %llu a", NOW - 9, NOW), RC_INPUT_LINE); /* over */
    assert_int_equal(t.n_passes, 2);
    assert_int_equal(inputs_passes(&t, NOW, next, 4), 2);
    assert_string_equal(next[0].station, "a");
    assert_int_equal(next[0].start_s, NOW + 150);
    assert_int_equal(inputs_passes(&t, NOW + 650, next, 4), 1);
    assert_string_equal(next[0].station, "b");
    assert_int_equal(inputs_passes(&t, NOW, next, 1), 1);

    for (uint32_t i = 2; i < INPUT_PASSES_MAX; i++)
        assert_rc(tell(&t, NOW, "pass %llu %llu s%u", NOW + 1000 - i, NOW + 2000, i), RC_OK);
    assert_rc(tell(&t, NOW, "pass %llu %llu z", NOW + 1, NOW + 2), RC_NO_ROOM);
    assert_int_equal(t.n_passes, INPUT_PASSES_MAX);
    for (uint32_t i = 1; i < t.n_passes; i++)
        assert_true(t.pass[i - 1].start_s <= t.pass[i].start_s);
    assert_rc(tell(&t, NOW + 700, "pass %llu %llu z", NOW + 701, NOW + 702), RC_OK);
    assert_int_equal(t.n_passes, INPUT_PASSES_MAX);
    assert_rc(tell(&t, NOW, "pass none"), RC_OK);
    assert_int_equal(inputs_passes(&t, 0, next, 4), 0);
}

/* ---- the socket ----------------------------------------------------------------------------- */

static char dir[64];
static char path[80];
static int sock = -1;

static int open_place(void **state)
{
    struct err err = { 0 };

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-inputs-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chmod(dir, 0755), 0);
    (void)snprintf(path, sizeof path, "%s/inputs", dir);
    assert_rc(inputs_open(path, 4711, 4711, &sock, &err), RC_OK);
    return 0;
}

static int close_place(void **state)
{
    (void)state;
    close_fd(&sock);
    (void)unlink(path);
    return rmdir(dir);
}

/* berth-tell as a user; its exit code when it has been answered. */
static pid_t berth_tell(uid_t uid, const char *const words[2])
{
    const char *build = getenv("BERTH_BUILD");
    char program[256];
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    (void)snprintf(program, sizeof program, "%s/berth-tell", build ? build : "build/release");
    int null = open("/dev/null", O_WRONLY);
    int fd = open(program, O_PATH); /* where it lies is not for everybody to enter */
    static char name[] = "berth-tell", option[] = "--inputs";
    char word[2][32];

    for (size_t i = 0; i < 2; i++)
        (void)snprintf(word[i], sizeof word[i], "%s", words[i]);
    char *const argv[] = { name, option, path, word[0], word[1], NULL };
    (void)dup2(null, 1);
    (void)dup2(null, 2);
    if (setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0)
        (void)fexecve(fd, argv, environ);
    _exit(127);
}

static int exit_of(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static enum rc hear(struct input *ret, struct input_sender *from, struct err *err)
{
    struct pollfd p = { .fd = sock, .events = POLLIN };

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    return inputs_receive(sock, 4711, ret, from, err);
}

static void root_and_one_user_tell(void **state)
{
    static const uid_t users[] = { 0, 4711 };
    static const char *const good[] = { "mode", "safe" };
    static const char *const bad[] = { "mode", "fast" };
    struct input in = { .kind = INPUT_NONE };
    struct input_sender from;
    struct err err = { 0 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        pid_t pid = berth_tell(users[i], good);
        assert_rc(hear(&in, &from, &err), RC_OK);
        assert_int_equal(in.kind, INPUT_MODE);
        assert_int_equal(from.uid, users[i]);
        inputs_answer(sock, &from, NULL);
        assert_int_equal(exit_of(pid), 0);

        pid = berth_tell(users[i], bad);
        assert_rc(hear(&in, &from, &err), RC_INPUT_LINE);
        inputs_answer(sock, &from, &err);
        assert_int_equal(exit_of(pid), 1);
    }
    assert_int_equal(exit_of(berth_tell(4712, good)), 1); /* it cannot even fill the queue */
    assert_rc(inputs_receive(sock, 4711, &in, &from, &err), RC_TIMEOUT);
}

/* Where somebody else bound the socket, anybody may reach it: the kernel says who it is. */
static void strangers_are_refused(void **state)
{
    static const char *const words[] = { "mode", "safe" };
    struct input in = { .kind = INPUT_NONE };
    struct input_sender from;
    struct err err = { 0 };

    (void)state;
    assert_int_equal(chmod(path, 0666), 0);
    pid_t pid = berth_tell(4712, words);
    assert_rc(hear(&in, &from, &err), RC_INPUT_SENDER);
    assert_int_equal(from.uid, 4712);
    assert_int_equal(in.kind, INPUT_NONE);
    inputs_answer(sock, &from, &err);
    assert_int_equal(exit_of(pid), 1);
}

static size_t open_files(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 512; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* Too long, empty, with descriptors, from nobody: one answer each, nothing left open. */
static void odd_datagrams(void **state)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(8 * sizeof(int))];
    } control = { 0 };
    char text[4096];
    struct iovec iov = { .iov_base = text, .iov_len = sizeof text };
    struct msghdr msg = { .msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &iov };
    struct input in = { .kind = INPUT_NONE };
    struct input_sender from;
    struct err err = { 0 };

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "mode safe\n", 10);
    memcpy(to.sun_path, path, strlen(path));
    scoped(close_fd) int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t before = open_files();
    msg.msg_iovlen = 1;
    assert_int_equal(sendmsg(s, &msg, 0), sizeof text);
    assert_rc(hear(&in, &from, &err), RC_INPUT_LINE);
    iov.iov_len = 0;
    assert_int_equal(sendmsg(s, &msg, 0), 0);
    assert_rc(hear(&in, &from, &err), RC_INPUT_LINE);
    assert_int_equal(from.address.n, 0);
    inputs_answer(sock, &from, &err); /* nobody is there, and nobody is told */

    iov.iov_len = 10;
    msg.msg_control = &control;
    msg.msg_controllen = sizeof control;
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(8 * sizeof(int));
    for (size_t i = 0; i < 8; i++)
        memcpy(CMSG_DATA(c) + i * sizeof(int), &s, sizeof s);
    assert_int_equal(sendmsg(s, &msg, 0), 10);
    assert_rc(hear(&in, &from, &err), RC_OK);
    assert_int_equal(open_files(), before);
}

/* The socket of an agent that was killed makes way; somebody's file does not. */
static void takes_its_place(void **state)
{
    int again = -1;
    struct err err = { 0 };

    (void)state;
    assert_rc(inputs_open(path, 0, 0, &again, &err), RC_OK);
    close_fd(&again);
    assert_int_equal(unlink(path), 0);
    scoped(close_fd) int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    assert_rc(inputs_open(path, 0, 0, &again, &err), RC_EXISTS);
    assert_int_equal(again, -1);
    assert_int_equal(access(path, F_OK), 0);
    assert_rc(inputs_open(NULL, 0, 0, &again, &err), RC_OK); /* nobody tells anything */
    assert_int_equal(again, -1);
}

/* As under a socket unit: descriptor 3, and the environment says so. */
static void takes_a_socket_that_it_is_given(void **state)
{
    (void)state;
    for (int good = 0; good < 2; good++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            char own[16];
            int got = -1;
            int given = good ? sock : STDERR_FILENO;

            (void)snprintf(own, sizeof own, "%d", getpid());
            (void)setenv("LISTEN_PID", own, 1);
            (void)setenv("LISTEN_FDS", "1", 1);
            (void)dup2(given, 3);
            enum rc rc = inputs_open("/nowhere/at/all", 0, 0, &got, NULL);
            _exit(good ? !(rc == RC_OK && got == 3) : !(rc == RC_VALUE && got == -1));
        }
        assert_int_equal(exit_of(pid), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(refused_lines),
        cmocka_unit_test(stands),
        cmocka_unit_test(passes),
        cmocka_unit_test_setup_teardown(root_and_one_user_tell, open_place, close_place),
        cmocka_unit_test_setup_teardown(strangers_are_refused, open_place, close_place),
        cmocka_unit_test_setup_teardown(odd_datagrams, open_place, close_place),
        cmocka_unit_test_setup_teardown(takes_its_place, open_place, close_place),
        cmocka_unit_test_setup_teardown(takes_a_socket_that_it_is_given, open_place, close_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
