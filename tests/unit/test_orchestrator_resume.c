/* SPDX-License-Identifier: Apache-2.0
 *
 * A restart of the ground in the middle of an object: only what the satellite lacks goes up.  The
 * ground and the satellite's end of the link run in this process, over sealed bundles; time is
 * moved by hand.
 */
#include "tests/unit/test.h"

#define BERTH_RUN_IN_MEMORY
#include "tests/unit/ground_rig.h"

#define OBJECT_BYTES 300000U
#define CHUNKS 10U /* of 32 KiB */
#define LOST 4U
#define UNIX_MS RIG_UNIX_MS

static const struct ground_options options = { .up_budget = UINT64_C(1) << 30, .up_files = 1000 };

/* Bundle files that wait in the uplink; of the last ones so many are lost on the way. */
static uint32_t on_the_way(const struct rig_sat *s, uint32_t lost)
{
    const struct dircl_scan *scan = rig_uplink(s);

    assert_true(scan->n >= lost);
    for (size_t i = scan->n - lost; i < scan->n; i++)
        assert_int_equal(unlinkat(s->up, scan->name[i], 0), 0);
    return (uint32_t)scan->n;
}

static int set_up(void **state)
{
    (void)rig_begin(state);
    rig_provision("sat-1", 101);
    rig_queue("sat-1", OBJECT_BYTES);
    return 0;
}

/* Chunks that came before are not sent again, and the object is whole with those that did not. */
static void a_restart_goes_on(void **state)
{
    struct ground *g = rig_ground(&options);
    struct rig_sat s;

    (void)state;
    rig_sat_start(&s, "sat-1", clock_mono_ms());
    assert_rc(ground_tick(g, 1000, UNIX_MS, &err), RC_OK);
    assert_int_equal(on_the_way(&s, LOST), 1 + CHUNKS);
    rig_sat_takes(&s, clock_mono_ms());
    assert_int_equal(s.transfers.n_transfers, 1);
    rig_sat_reports(&s);
    /* The report is kept; what it says is missing was sent only just now, and may still come. */
    assert_rc(ground_tick(g, 1500, UNIX_MS + 500, &err), RC_OK);
    assert_int_equal(on_the_way(&s, 0), 0);
    ground_close(&g);

    for (int again = 0; again < 2; again++) {
        g = rig_ground(&options);
        assert_rc(ground_tick(g, 2000, UNIX_MS + 1000, &err), RC_OK);
        assert_int_equal(on_the_way(&s, again == 0 ? 1 + LOST : 0), 1 + LOST);
        /* Nor does anything go for the second time, before somebody has been silent for long. */
        assert_rc(ground_tick(g, 9000, UNIX_MS + 8000, &err), RC_OK);
        assert_int_equal(on_the_way(&s, 0), again == 0 ? 0 : 1 + LOST);
        ground_close(&g);
    }
    assert_int_equal(s.objects, 0);
    rig_sat_takes(&s, clock_mono_ms());
    assert_int_equal(s.objects, 1);
    rig_sat_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_restart_goes_on, set_up, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
