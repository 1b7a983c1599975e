/* SPDX-License-Identifier: Apache-2.0
 *
 * A berth-link that hangs: when it counts as one, with time as a number; and a real one that is
 * stopped, with which berthd ends as with one that has ended by itself.  Needs root.
 */
#include "tests/unit/test.h"

#include <signal.h>
#include <sys/syscall.h>

#include "agent/pulse.h"
#include "boot/evict.h"
#include "tests/unit/agent_sky.h"

#define LIMIT_S 120U
#define EVERY_MS (LIMIT_S * 1000U / PULSE_QUESTIONS)

/* ---- with time as a number --------------------------------------------------------------------
 */

/* One question in each period, however often it is looked, until it is dead.  How many. */
static uint32_t asks_until_dead(struct pulse *p, uint64_t *now_ms)
{
    uint32_t n = 0;

    for (;; *now_ms += 1000U) {
        enum pulse_says says = pulse_turn(p, *now_ms);

        if (says == PULSE_DEAD)
            return n;
        n += says == PULSE_ASK;
        assert_in_range(n, 0, PULSE_QUESTIONS * PULSE_PATIENCE);
    }
}

static void gives_a_new_one_time(void **state)
{
    struct pulse p;
    uint64_t now = 5000;

    (void)state;
    pulse_init(&p, LIMIT_S);
    assert_int_equal(asks_until_dead(&p, &now), PULSE_QUESTIONS * PULSE_PATIENCE);
    assert_in_range(now, 5000U + PULSE_PATIENCE * LIMIT_S * 1000U,
                    7000U + PULSE_PATIENCE * LIMIT_S * 1000U);
}

static void sees_that_it_has_stopped(void **state)
{
    struct pulse p;
    uint64_t now = 0;

    (void)state;
    pulse_init(&p, LIMIT_S);
    for (uint32_t i = 0; i < 1000; i++, now += EVERY_MS) {
        assert_int_equal(pulse_turn(&p, now), PULSE_ASK);
        assert_int_equal(pulse_turn(&p, now), PULSE_REST);
        pulse_heard(&p, p.asked);
    }
    const uint64_t last = now;
    assert_int_equal(asks_until_dead(&p, &now), PULSE_QUESTIONS);
    assert_int_equal(now - last, LIMIT_S * 1000U);
}

/* One answer of three is enough, and an old one is one, too. */
static void lets_one_be_slow(void **state)
{
    struct pulse p;
    uint64_t now = 0;

    (void)state;
    pulse_init(&p, LIMIT_S);
    for (uint32_t i = 0; i < 300; i++, now += EVERY_MS) {
        assert_int_equal(pulse_turn(&p, now), PULSE_ASK);
        if (i % 3 == 2)
            pulse_heard(&p, p.asked - 2);
    }
}

static void believes_no_number_that_was_not_asked(void **state)
{
    struct pulse p;
    uint64_t now = 0;
    uint32_t n = 0;

    (void)state;
    pulse_init(&p, LIMIT_S);
    assert_int_equal(pulse_turn(&p, now), PULSE_ASK);
    pulse_heard(&p, p.asked);
    for (now = EVERY_MS; pulse_turn(&p, now) != PULSE_DEAD; now += EVERY_MS) {
        pulse_heard(&p, p.asked + 1);
        pulse_heard(&p, UINT64_MAX);
        pulse_heard(&p, 1); /* once more */
        assert_in_range(++n, 0, PULSE_QUESTIONS);
    }
    assert_int_equal(n, PULSE_QUESTIONS);
}

/* An answer to what was asked before the long work does not end the patience, one behind it does.
 */
static void waits_for_long_work(void **state)
{
    struct pulse p;
    uint64_t now = 0;

    (void)state;
    pulse_init(&p, LIMIT_S);
    assert_int_equal(pulse_turn(&p, now), PULSE_ASK);
    pulse_be_patient(&p);
    pulse_heard(&p, p.asked);
    for (uint32_t i = 0; i < 3 * PULSE_QUESTIONS; i++) {
        now += EVERY_MS;
        assert_int_equal(pulse_turn(&p, now), PULSE_ASK);
    }
    pulse_heard(&p, p.asked);
    now += EVERY_MS;
    assert_int_equal(asks_until_dead(&p, &now), PULSE_QUESTIONS);
}

/* berthd itself did not run for an hour: that is one question, not all of them. */
static void blames_nobody_for_its_own_absence(void **state)
{
    struct pulse p;
    uint64_t now = 0;

    (void)state;
    pulse_init(&p, LIMIT_S);
    assert_int_equal(pulse_turn(&p, now), PULSE_ASK);
    pulse_heard(&p, p.asked);
    for (uint32_t i = 0; i < 100; i++) {
        now += 3600000U;
        assert_int_equal(pulse_turn(&p, now), PULSE_ASK);
        assert_int_equal(pulse_turn(&p, now), PULSE_REST);
        pulse_heard(&p, p.asked);
    }
}

/* ---- a real one -------------------------------------------------------------------------------
 */

static pid_t find_link(void)
{
    char path[64], text[4096] = "", comm[32];
    char *rest = text;

    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", sky->berthd, sky->berthd);
    scoped(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0 && read(fd, text, sizeof text - 1) >= 0);
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        (void)snprintf(path, sizeof path, "/proc/%.20s/comm", word);
        scoped(close_fd) int name = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = name < 0 ? -1 : read(name, comm, sizeof comm - 1);

        if (n > 0 && strncmp(comm, "berth-link\n", 11) == 0)
            return (pid_t)strtol(word, NULL, 10);
    }
    fail_msg("berthd has no berth-link");
    return 0;
}

/* It is gone, whoever reaps it. */
static void await_end(int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static void ends_with_one_that_hangs(void **state)
{
    static const struct version version = {
        .version = "1.0", .how = "wait", .release = 1, .signer = K_ACME
    };
    struct err err = { 0 };
    uint32_t evicted = 0;
    int status = 0;

    (void)state;
    sky->link_seconds = "20";
    start_berthd();
    struct digest digest = send_version(&version);
    send_order(1, &digest);
    await_standing(SLOT_COMMITTED, &digest);
    const pid_t link = find_link();
    scoped(close_fd) int pidfd = (int)syscall(SYS_pidfd_open, link, 0U);
    assert_true(pidfd >= 0);
    assert_int_equal(kill(link, SIGSTOP), 0);
    assert_int_equal(waitpid(sky->berthd, &status, 0), sky->berthd);
    sky->berthd = 0;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);

    /* It is another user's by now, and berthd could not end it: whoever starts berthd again does,
     * before, and finds all as it was. */
    must(boot_evict(sky->state, &evicted, &err), &err);
    assert_true(evicted >= 1); /* others of the agent may not have come to their end yet */
    await_end(pidfd);
    start_berthd();
    await_standing(SLOT_COMMITTED, &digest);
    end_berthd(SIGTERM, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_a_new_one_time),
        cmocka_unit_test(sees_that_it_has_stopped),
        cmocka_unit_test(lets_one_be_slow),
        cmocka_unit_test(believes_no_number_that_was_not_asked),
        cmocka_unit_test(waits_for_long_work),
        cmocka_unit_test(blames_nobody_for_its_own_absence),
        cmocka_unit_test_setup_teardown(ends_with_one_that_hangs, sky_open, sky_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
