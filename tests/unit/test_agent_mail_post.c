/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/mail and a berth-post that the test plays: words that find the socket full are said again,
 * and when berth-post ends, the next one is told all that it has to know.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/mail.h"
#include "base/clock.h"
#include "base/fs.h"

static char path[32];
static int dir = -1;
static int post[1 + MAIL_SPARES]; /* the test's ends: of the first, and of the spares */
static int life[2] = { -1, -1 };  /* a payload's: readable when the other end is closed */
static struct agent a;

static void pair(int *ours, int *theirs)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    *ours = fds[0];
    *theirs = fds[1];
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
    a.config.node = 7;
    a.config.ground = 1;
    a.link_sock = -1;
    pair(&a.mail.sock, &post[0]);
    for (uint32_t i = 0; i < MAIL_SPARES; i++)
        pair(&a.mail.spare[i], &post[1 + i]);
    a.mail.n_spares = MAIL_SPARES;
    assert_int_equal(pipe2(life, O_CLOEXEC), 0);
    assert_true(sd_event_new(&a.loop) >= 0);
    assert_rc(mail_open(&a, &err), RC_OK);
    return 0;
}

static int teardown(void **state)
{
    struct err err = { 0 };

    (void)state;
    for (uint64_t instance = 1; instance < 4; instance++)
        mail_not_started(&a, instance);
    sd_event_source_disable_unref(a.mail.on_post);
    sd_event_unref(a.loop);
    close_fd(&a.mail.sock);
    for (uint32_t i = 0; i < a.mail.n_spares; i++)
        close_fd(&a.mail.spare[i]);
    for (uint32_t i = 0; i <= MAIL_SPARES; i++)
        close_fd(&post[i]);
    close_fd(&life[0]);
    close_fd(&life[1]);
    close_fd(&dir);
    return fs_remove_tree(AT_FDCWD, path, &err) != RC_OK;
}

static void starting(uint64_t instance, const char *payload)
{
    static struct manifest m;

    memset(&m, 0, sizeof m);
    (void)snprintf(m.tenant, sizeof m.tenant, "acme");
    (void)snprintf(m.name, sizeof m.name, "%s", payload);
    m.limits.inbox_bytes = m.limits.outbox_bytes = m.limits.outbox_bytes_day = 65536;
    mail_starting(&a, instance, &m);
}

static void start(uint64_t instance, const char *payload)
{
    starting(instance, payload);
    mail_launched(&a, instance, dir, life[0]);
}

/* The next word that berthd has said to this one; 0: none. */
static uint32_t said(int sock, struct post_message *ret)
{
    int fds[POST_FDS_MAX] = { -1, -1 };
    struct err err;

    *ret = (struct post_message){ 0 };
    enum rc rc = post_recv(sock, true, ret, fds, &err);

    assert_true(rc == RC_OK || rc == RC_TIMEOUT || rc == RC_SHORT);
    close_fd(&fds[0]);
    close_fd(&fds[1]);
    return ret->type;
}

static void say(int sock, const struct post_message *m, const int *fds)
{
    struct err err;

    assert_rc(post_send(sock, m, fds, &err), RC_OK);
    assert_true(sd_event_run(a.loop, 0) > 0);
}

/* A message for a payload, as it lies on disk. */
static void lay(const char *payload, const char *name, uint64_t number)
{
    struct mail_file f = { .way = MAIL_CAME, .number = number };
    struct mail head = { .direction = MAIL_UP, .node = 7, .number = number, .size = 4 };
    uint8_t buf[MAIL_HEAD_MAX];
    struct bytes bytes = { 0 };
    scoped(close_fd) int mem = -1;
    struct err err;

    (void)snprintf(head.tenant, sizeof head.tenant, "acme");
    (void)snprintf(head.payload, sizeof head.payload, "%s", payload);
    (void)snprintf(head.name, sizeof head.name, "%s", name);
    memcpy(f.tenant, head.tenant, sizeof f.tenant);
    memcpy(f.payload, head.payload, sizeof f.payload);
    assert_rc(mail_head_encode(&head, buf, &bytes, &err), RC_OK);
    assert_rc(fs_sealed("test", bytes_of("word"), &mem, &err), RC_OK);
    assert_rc(mail_store_put(dir, &f, bytes, mem, 0, 4, NULL, &err), RC_OK);
    a.mail.item[a.mail.n++] = (struct mail_item){ .f = f };
}

/* Fill the way from berthd to berth-post, with words about nobody. */
static uint32_t fill(void)
{
    const struct post_message m = { .type = POST_LATER, .instance = 99, .wait_ms = 1 };
    uint32_t n = 0;
    struct err err;

    while (post_send(a.mail.sock, &m, NULL, &err) == RC_OK)
        n++;
    assert_true(n > 10);
    return n;
}

static void empty(uint32_t n)
{
    struct post_message m;

    for (; n > 0; n--)
        assert_int_equal(said(post[0], &m), POST_LATER);
}

static struct post_message found(uint64_t instance, uint64_t ino, int *ret_mem)
{
    struct post_message m = { .type = POST_FOUND,
                              .instance = instance,
                              .size = 4,
                              .mark = { .ino = ino },
                              .name = "letter" };
    struct err err;

    assert_rc(fs_sealed("test", bytes_of("word"), ret_mem, &err), RC_OK);
    return m;
}

/* What waits is not handed over before berth-post knows of the payload: it would answer nothing. */
static void nothing_goes_before_the_payload_runs(void **state)
{
    struct post_message m;

    (void)state;
    lay("cam", "order", 1);
    starting(1, "cam");
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(said(post[0], &m), 0);
    mail_launched(&a, 1, dir, life[0]);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(said(post[0], &m), POST_OPEN);
    assert_int_equal(said(post[0], &m), POST_PUT);
    assert_string_equal(m.name, "order");
    assert_int_equal(said(post[0], &m), 0);
}

static void an_answer_that_found_no_room_comes_later(void **state)
{
    scoped(close_fd) int mem = -1;
    const struct post_message letter = found(1, 5, &mem);
    const int fds[POST_FDS_MAX] = { mem, -1 };
    struct post_message m;

    (void)state;
    start(1, "cam");
    assert_int_equal(said(post[0], &m), POST_OPEN);
    uint32_t n = fill();
    say(post[0], &letter, fds);
    assert_int_equal(a.mail.n, 2); /* it is kept, and its receipt */
    empty(n);
    assert_int_equal(said(post[0], &m), 0);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(said(post[0], &m), POST_TAKEN);
    assert_int_equal(m.mark.ino, 5);
    assert_string_equal(m.name, "letter");
    while (said(post[0], &m) != 0)
        assert_int_equal(m.type, POST_PUT); /* the receipt */
}

static void a_payload_that_nobody_was_told_of_is_told_later(void **state)
{
    struct post_message m;
    uint32_t n = 0;

    (void)state;
    n = fill();
    start(1, "cam");
    empty(n);
    assert_int_equal(said(post[0], &m), 0);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(said(post[0], &m), POST_OPEN);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(said(post[0], &m), 0); /* once */
}

/* The one that carries ends in the middle of everything.  The next one is told of all payloads that
 * run, and gets what was under way. */
static void the_next_one_takes_over(void **state)
{
    struct post_message m;
    const uint64_t began = clock_mono_ms();

    (void)state;
    start(1, "cam");
    start(2, "dog");
    lay("cam", "order", 1);
    mail_tick(&a, began);
    assert_int_equal(said(post[0], &m), POST_OPEN);
    assert_int_equal(said(post[0], &m), POST_OPEN);
    assert_int_equal(said(post[0], &m), POST_PUT);
    close_fd(&post[0]);
    assert_true(sd_event_run(a.loop, 0) > 0);
    assert_int_equal(a.mail.sock, -1);
    start(3, "eel"); /* meanwhile */
    mail_tick(&a, began + 500);
    assert_int_equal(a.mail.sock, -1); /* not at once */
    mail_tick(&a, clock_mono_ms() + 1000);
    assert_true(a.mail.sock >= 0);
    uint64_t told = 0;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(said(post[MAIL_SPARES], &m), POST_OPEN);
        told |= UINT64_C(1) << m.instance;
    }
    assert_int_equal(told, 0xe);
    assert_int_equal(said(post[MAIL_SPARES], &m), POST_PUT);
    assert_string_equal(m.name, "order");

    const struct post_message done = { .type = POST_DELIVERED, .instance = 1, .name = "order" };

    say(post[MAIL_SPARES], &done, NULL);
    assert_int_equal(a.mail.n, 0);
}

/* One that answers is left alone; one that has stopped to is given up within the time, and the next
 * one takes over. */
static void one_that_hangs_is_given_up(void **state)
{
    struct post_message m;
    const uint64_t began = clock_mono_ms();
    uint64_t now = began;
    uint64_t answered = began;

    (void)state;
    a.mail.pulse_s = PULSE_S_MIN;
    pulse_init(&a.mail.pulse, a.mail.pulse_s);
    start(1, "cam");
    mail_tick(&a, now);
    assert_int_equal(said(post[0], &m), POST_OPEN);
    for (uint32_t pongs = 0; pongs < 100; now += 1000) {
        mail_tick(&a, now);
        while (said(post[0], &m) == POST_PING) {
            const struct post_message pong = { .type = POST_PONG, .instance = m.instance };

            assert_rc(post_send(post[0], &pong, NULL, &(struct err){ 0 }), RC_OK);
            assert_true(sd_event_run(a.loop, 0) > 0);
            answered = now;
            pongs++;
        }
        assert_true(a.mail.sock >= 0);
    }
    for (; a.mail.sock >= 0; now += 1000) {
        assert_true(now <= answered + (PULSE_S_MIN + 2) * UINT64_C(1000));
        mail_tick(&a, now);
    }
    assert_true(now >= answered + PULSE_S_MIN * UINT64_C(1000));
    assert_int_equal(a.mail.n_spares, MAIL_SPARES);
    mail_tick(&a, clock_mono_ms() + 1000);
    assert_int_equal(a.mail.n_spares, MAIL_SPARES - 1);
    assert_int_equal(said(post[MAIL_SPARES], &m), POST_PING);
    assert_int_equal(said(post[MAIL_SPARES], &m), POST_OPEN);
    assert_int_equal(m.instance, 1);
}

/* What one took that ended before it removed the file is found again by the next, and not sent
 * twice. */
static void a_file_is_taken_once_all_the_same(void **state)
{
    scoped(close_fd) int mem = -1;
    const struct post_message letter = found(1, 5, &mem);
    const int fds[POST_FDS_MAX] = { mem, -1 };
    struct post_message m;

    (void)state;
    start(1, "cam");
    say(post[0], &letter, fds);
    const uint32_t n = a.mail.n;

    close_fd(&post[0]);
    assert_true(sd_event_run(a.loop, 0) > 0);
    mail_tick(&a, clock_mono_ms() + 1000);
    assert_int_equal(said(post[MAIL_SPARES], &m), POST_OPEN);
    say(post[MAIL_SPARES], &letter, fds);
    do
        assert_int_not_equal(said(post[MAIL_SPARES], &m), 0);
    while (m.type != POST_TAKEN);
    assert_int_equal(a.mail.n, n);
}

/* Nor if others are found before it; and as often as that. */
static void a_file_is_taken_once_in_any_order(void **state)
{
    scoped(close_fd) int mem = -1;
    struct post_message letter = found(1, 1, &mem), m;
    const int fds[POST_FDS_MAX] = { mem, -1 };

    (void)state;
    start(1, "cam");
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t ino = 1; ino <= MAIL_TAKEN_MAX; ino++) {
            letter.mark.ino = round == 2 ? MAIL_TAKEN_MAX + 1 - ino : ino;
            say(post[0], &letter, fds);
            while (said(post[0], &m) != POST_TAKEN)
                assert_int_not_equal(m.type, 0);
        }
        uint32_t sent = 0;
        for (uint32_t i = 0; i < a.mail.n; i++)
            sent += a.mail.item[i].f.way == MAIL_SENT;
        assert_int_equal(sent, MAIL_TAKEN_MAX);
    }
}

/* A clock that was ahead has used up a day that is far off: this one is another. */
static void a_day_far_off_is_not_today(void **state)
{
    scoped(close_fd) int mem = -1;
    const struct post_message letter = found(1, 5, &mem);
    const int fds[POST_FDS_MAX] = { mem, -1 };
    struct mail_state s = { .day = clock_unix_ms() / MAIL_DAY_MS + 400, .day_bytes = 65536 };
    struct err err;

    (void)state;
    assert_rc(mail_state_save(dir, "acme", "cam", &s, &err), RC_OK);
    start(1, "cam");
    say(post[0], &letter, fds);
    assert_int_equal(a.mail.n, 2);
    assert_int_equal(a.mail.item[0].f.way, MAIL_SENT);
    assert_rc(mail_state_load(dir, "acme", "cam", 0, &s, &err), RC_OK);
    assert_true(s.day <= clock_unix_ms() / MAIL_DAY_MS && s.day_bytes < 65536);
}

/* All of them end.  Each is called later than the one before; what waits, waits, and no view is
 * kept of a payload that could not be started again then. */
static void there_is_an_end_of_spares(void **state)
{
    static const uint64_t pause_ms[] = { 1000, 10000, 60000 };
    struct post_message m;

    (void)state;
    start(1, "cam");
    lay("cam", "order", 1);
    for (uint32_t i = 0; i < MAIL_SPARES; i++) {
        const uint64_t now = clock_mono_ms();

        close_fd(&post[i == 0 ? 0 : MAIL_SPARES + 1 - i]);
        assert_true(sd_event_run(a.loop, 0) > 0);
        mail_tick(&a, now + pause_ms[i] - 500);
        assert_int_equal(a.mail.sock, -1);
        mail_tick(&a, clock_mono_ms() + pause_ms[i]);
        assert_int_equal(said(post[MAIL_SPARES - i], &m), POST_OPEN);
        assert_int_equal(said(post[MAIL_SPARES - i], &m), POST_PUT);
    }
    close_fd(&post[1]);
    assert_true(sd_event_run(a.loop, 0) > 0);
    mail_tick(&a, clock_mono_ms() + 1000000);
    assert_int_equal(a.mail.sock, -1);
    assert_int_equal(a.mail.box[0].instance, 0);
    assert_int_equal(a.mail.n, 1);
    start(1, "cam"); /* runs without mail */
    assert_int_equal(a.mail.box[0].instance, 0);
}

/* One that has ended leaves nothing behind; one that runs is left alone. */
static void who_has_ended_is_reaped(void **state)
{
    int hold[2];
    siginfo_t info = { 0 };
    char byte = 0;

    (void)state;
    assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
    for (uint32_t i = 0; i < 2; i++) {
        a.mail.pid[i] = fork();
        if (a.mail.pid[i] == 0) {
            close_fd(&hold[1]);
            if (i == 1)
                (void)!read(hold[0], &byte, 1); /* until the test lets go */
            _exit(0);
        }
        assert_true(a.mail.pid[i] > 0);
    }
    const pid_t ended = a.mail.pid[0], runs = a.mail.pid[1];

    assert_int_equal(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT), 0);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOHANG), -1);
    assert_int_equal(a.mail.pid[0], 0);
    assert_int_equal(a.mail.pid[1], runs);
    close_fd(&hold[0]);
    close_fd(&hold[1]);
    assert_int_equal(waitid(P_PID, (id_t)runs, &info, WEXITED | WNOWAIT), 0);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(a.mail.pid[1], 0);
    assert_int_equal(waitid(P_PID, (id_t)runs, &info, WEXITED | WNOHANG), -1);
}

/* A payload that ends while nobody carries is let go of at once. */
static void who_ends_meanwhile_is_let_go(void **state)
{
    (void)state;
    start(1, "cam");
    close_fd(&post[0]);
    assert_true(sd_event_run(a.loop, 0) > 0);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(a.mail.box[0].instance, 1);
    close_fd(&life[1]);
    mail_tick(&a, clock_mono_ms());
    assert_int_equal(a.mail.box[0].instance, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_goes_before_the_payload_runs, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_that_found_no_room_comes_later, setup, teardown),
        cmocka_unit_test_setup_teardown(a_payload_that_nobody_was_told_of_is_told_later, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_next_one_takes_over, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_hangs_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_taken_once_all_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_taken_once_in_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_day_far_off_is_not_today, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_an_end_of_spares, setup, teardown),
        cmocka_unit_test_setup_teardown(who_has_ended_is_reaped, setup, teardown),
        cmocka_unit_test_setup_teardown(who_ends_meanwhile_is_let_go, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
