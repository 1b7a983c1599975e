/* SPDX-License-Identifier: Apache-2.0
 *
 * What the flatsat makes of a console, and how it deals its cuts.
 */
#include "tests/flatsat/phase.h"
#include "tests/unit/test.h"

#define LINE(text) "[   12.345678] berthd[138]: " text

static void update_goes_through_all_phases(void **state)
{
    static const struct {
        const char *line;
        enum phase phase;
    } rows[] = {
        { "[    9.0] systemd[1]: Starting berthd.service", PHASE_BOOT },
        { LINE("launched payload=acme/beacon instance=1 pid=9"), PHASE_BOOT },
        { LINE("ready satellite=aurora-1 epoch=2 generation=1"), PHASE_IDLE },
        { LINE("start payload=acme/beacon instance=1"), PHASE_IDLE },
        { LINE("launched payload=acme/beacon instance=1 pid=9"), PHASE_IDLE },
        { NULL, PHASE_RECEIVE },
        { LINE("in force order 2 lines=1"), PHASE_RECEIVE },
        { "[   11.0] other[9]: install payload=acme/beacon", PHASE_RECEIVE },
        { LINE("install payload=acme/beacon version=2.0.0"), PHASE_INSTALL },
        { LINE("installed payload=acme/beacon"), PHASE_ACTIVATE },
        { LINE("stopping payload=acme/beacon"), PHASE_ACTIVATE },
        { LINE("launched payload=acme/beacon instance=2 pid=12"), PHASE_TRIAL },
        { LINE("committed payload=acme/beacon"), PHASE_COMMIT },
        { LINE("removed payload=acme/beacon"), PHASE_COMMIT },
        { NULL, PHASE_RECEIVE },
        { LINE("install payload=acme/beacon version=3.0.0"), PHASE_INSTALL },
        { LINE("installed payload=acme/beacon"), PHASE_ACTIVATE },
        { LINE("launched payload=acme/beacon instance=3 pid=15"), PHASE_TRIAL },
        { LINE("event seq=7 code=HEALTH_TIMEOUT what=acme/beacon"), PHASE_ROLLBACK },
        { LINE("launched payload=acme/beacon instance=4 pid=16"), PHASE_IDLE },
        { NULL, PHASE_RECEIVE },
        { LINE("root 2"), PHASE_TRUST },
        { LINE("revocation number=3 entries=1"), PHASE_TRUST },
    };
    struct phases p = { .now = PHASE_IDLE };
    uint64_t now = 1000;

    (void)state;
    phases_boot(&p, now);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        now += 100;
        if (rows[i].line)
            phases_line(&p, rows[i].line, now);
        else
            phases_sent(&p, now);
        assert_int_equal(p.now, rows[i].phase);
    }
    assert_int_equal(p.usual_ms[PHASE_BOOT], 300);
    assert_int_equal(p.usual_ms[PHASE_ACTIVATE], 175); /* 200, then 100 */
    assert_true(p.ready);
    phases_boot(&p, now);
    assert_false(p.ready);
    assert_int_equal(p.usual_ms[PHASE_BOOT], 300);
}

/* Two decks hold every kind of cut twice; one seed gives one order. */
static void cuts_come_evenly(void **state)
{
    uint32_t phases[PHASES] = { 0 }, errands[ERRANDS] = { 0 };
    uint32_t clean = 0;
    struct rng rng = rng_make(5, 1), again = rng_make(5, 1);
    struct deck deck = { 0 }, deck_again = { 0 };

    (void)state;
    for (uint32_t i = 0; i < 100 * DECK; i++) {
        const struct cut cut = cut_draw(&deck, &rng);
        const struct cut same = cut_draw(&deck_again, &again);

        assert_true(cut.phase == same.phase && cut.permille == same.permille &&
                    cut.clean == same.clean && cut.again == same.again);
        assert_true(cut.permille < 1200);
        assert_false(cut.clean && cut.again);
        phases[cut.phase]++;
        errands[cut.errand]++;
        clean += cut.clean ? 1 : 0;
    }
    for (size_t i = 0; i < PHASES; i++)
        assert_true(i == PHASE_BOOT || i == PHASE_IDLE ? phases[i] == 0 : phases[i] >= 100);
    assert_int_equal(errands[ERRAND_UPDATE], 1100);
    assert_int_equal(errands[ERRAND_BAD], 300);
    assert_int_equal(errands[ERRAND_REVOKE], 200);
    assert_int_equal(errands[ERRAND_ROTATE], 200);
    assert_in_range(clean, 200, 340); /* 15 % of 1800 */
}

static void moments_follow_what_was_learned(void **state)
{
    const struct cut cut = { .phase = PHASE_TRIAL, .permille = 500 };
    struct phases p = { .now = PHASE_IDLE };

    (void)state;
    assert_int_equal(cut_delay_ms(&cut, &p), 500);
    p.usual_ms[PHASE_TRIAL] = 1800;
    assert_int_equal(cut_delay_ms(&cut, &p), 900);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(update_goes_through_all_phases),
        cmocka_unit_test(cuts_come_evenly),
        cmocka_unit_test(moments_follow_what_was_learned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
