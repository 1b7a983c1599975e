/* SPDX-License-Identifier: Apache-2.0
 *
 * Mail, all the way: the real berthd with all of its companions, a payload that answers what it is
 * sent, and the ground.  Power is cut in the middle.  Needs root.
 */
#include "tests/unit/test.h"

#include "tests/unit/agent_mailing.h"

/* Send a message of n bytes, all of them `fill`. */
static void send_mail(const char *payload, const char *name, size_t n, int fill, uint64_t number)
{
    uint8_t *buf = malloc(n);

    memset(buf, fill, n);
    send_content(payload, name, (struct bytes){ buf, n }, number);
    free(buf);
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
