/* SPDX-License-Identifier: Apache-2.0
 *
 * Desired beside observed: when a satellite counts as synced, and what a rollout sees of it.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/verdict.h"

#define SILENT_MS 60000U

static struct order want;
static struct report seen;

static void name_line(struct order_line *line, const char *tenant, const char *name, uint8_t digest)
{
    (void)snprintf(line->tenant, sizeof line->tenant, "%s", tenant);
    (void)snprintf(line->name, sizeof line->name, "%s", name);
    memset(line->manifest.b, digest, sizeof line->manifest.b);
}

/* Two payloads, both as ordered. */
static int set_up(void **state)
{
    (void)state;
    want = (struct order){ .generation = 4, .n_lines = 2 };
    name_line(&want.line[0], "acme", "beacon", 1);
    name_line(&want.line[1], "zeta", "weather", 2);
    seen = (struct report){ .generation = 4, .n_payloads = 2 };
    for (int i = 0; i < 2; i++) {
        struct report_payload *p = &seen.payload[i];

        (void)snprintf(p->tenant, sizeof p->tenant, "%s", want.line[i].tenant);
        (void)snprintf(p->name, sizeof p->name, "%s", want.line[i].name);
        p->state = SLOT_COMMITTED;
        p->is_running = true;
        p->wanted = p->running = want.line[i].manifest;
    }
    return 0;
}

/* As the ground keeps them. */
static enum verdict verdict_at(const struct order *order, uint64_t age_ms)
{
    const struct want wanted = want_of(order);
    const struct sight sight = sight_of(&seen);

    return verdict_of(order ? &wanted : NULL, &sight, age_ms, SILENT_MS);
}

static enum verdict verdict(void)
{
    return verdict_at(&want, 0);
}

static const struct verdict_change beacon[] = { { .tenant = "acme", .name = "beacon" } };

static struct rollout_seen beacon_seen(void)
{
    const struct want wanted = want_of(&want);
    const struct sight sight = sight_of(&seen);

    return verdict_outcome(&wanted, beacon, 1, &sight);
}

static enum outcome outcome(void)
{
    return beacon_seen().outcome;
}

static void synced_means_everything(void **state)
{
    const struct want wanted = want_of(&want);

    (void)state;
    assert_int_equal(verdict(), VERDICT_SYNCED);
    assert_int_equal(outcome(), OUTCOME_HEALTHY);
    assert_int_equal(verdict_of(NULL, NULL, 0, SILENT_MS), VERDICT_UNKNOWN);
    assert_int_equal(verdict_of(&wanted, NULL, 0, SILENT_MS), VERDICT_UNKNOWN);
    assert_int_equal(verdict_at(&want, SILENT_MS), VERDICT_SYNCED);
    assert_int_equal(verdict_at(&want, SILENT_MS + 1), VERDICT_SILENT);
}

/* One that has done its work, or waits for its time, is where it should be; one that does not run
 * for any other reason is not, and neither is one that has not proven itself. */
static void resting_is_synced(void **state)
{
    static const struct {
        enum rc code;
        bool synced;
    } rows[] = { { RC_DONE, true },         { RC_RESTS, true }, { RC_OUT_OF_MODE, true },
                 { RC_RUN_TIME, true },     { RC_OK, false },   { RC_AFTER, false },
                 { RC_AFTER_CYCLE, false }, { RC_OOM, false } };
    struct report_payload *p = &seen.payload[0];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        p->is_running = false;
        p->running = (struct digest){ 0 };
        p->code = (uint32_t)rows[i].code;
        assert_int_equal(verdict() == VERDICT_SYNCED, rows[i].synced);
        assert_int_equal(outcome() == OUTCOME_HEALTHY, rows[i].synced);
    }
    p->code = RC_DONE;
    p->state = SLOT_INSTALLED;
    assert_int_equal(verdict(), VERDICT_PENDING);
    p->state = SLOT_COMMITTED;
    p->wanted.b[0] ^= 1;
    assert_int_equal(verdict(), VERDICT_PENDING);
}

static void nothing_ordered(void **state)
{
    (void)state;
    assert_int_equal(verdict_at(NULL, 0), VERDICT_PENDING);
    seen.generation = 0;
    assert_int_equal(verdict_at(NULL, 0), VERDICT_PENDING); /* strangers run */
    seen.n_payloads = 0;
    assert_int_equal(verdict_at(NULL, 0), VERDICT_SYNCED);
}

/* Each of these alone is enough not to be synced. */
static void any_difference_is_pending(void **state)
{
    (void)state;
    seen.generation = 3;
    assert_int_equal(verdict(), VERDICT_PENDING);
    assert_int_equal(outcome(), OUTCOME_WAITING);
    seen.generation = 5;
    assert_int_equal(verdict(), VERDICT_PENDING);
    assert_int_equal(outcome(), OUTCOME_WAITING);
    (void)set_up(NULL);
    seen.payload[0].is_running = false;
    assert_int_equal(verdict(), VERDICT_PENDING);
    assert_int_equal(outcome(), OUTCOME_WAITING);
    (void)set_up(NULL);
    seen.payload[0].running.b[31] ^= 1;
    assert_int_equal(verdict(), VERDICT_PENDING);
    assert_int_equal(outcome(), OUTCOME_WAITING);
    (void)set_up(NULL);
    seen.payload[0].wanted.b[0] ^= 1;
    assert_int_equal(verdict(), VERDICT_PENDING);
    assert_int_equal(outcome(), OUTCOME_WAITING);
    (void)set_up(NULL);
    seen.n_payloads = 1;
    assert_int_equal(verdict(), VERDICT_PENDING);
    (void)set_up(NULL);
    (void)snprintf(seen.payload[1].name, sizeof seen.payload[1].name, "stranger");
    assert_int_equal(verdict(), VERDICT_PENDING);
}

static void zero_digest_proves_nothing(void **state)
{
    (void)state;
    memset(want.line[0].manifest.b, 0, DIGEST_SIZE);
    memset(seen.payload[0].wanted.b, 0, DIGEST_SIZE);
    memset(seen.payload[0].running.b, 0, DIGEST_SIZE);
    assert_int_equal(verdict(), VERDICT_PENDING);
    assert_int_equal(outcome(), OUTCOME_WAITING);
}

static void only_committed_is_healthy(void **state)
{
    static const struct {
        enum slot_state state;
        enum outcome want;
    } rows[SLOT_STATES] = {
        { SLOT_ABSENT, OUTCOME_WAITING },    { SLOT_RECEIVING, OUTCOME_WAITING },
        { SLOT_STAGED, OUTCOME_WAITING },    { SLOT_VERIFIED, OUTCOME_WAITING },
        { SLOT_INSTALLED, OUTCOME_WAITING }, { SLOT_TRIAL, OUTCOME_WAITING },
        { SLOT_COMMITTED, OUTCOME_HEALTHY }, { SLOT_REFUSED, OUTCOME_FAILED },
        { SLOT_FAILED, OUTCOME_FAILED },     { SLOT_ROLLED_BACK, OUTCOME_FAILED },
    };

    (void)state;
    for (size_t i = 0; i < SLOT_STATES; i++) {
        seen.payload[0].state = rows[i].state;
        assert_int_equal(outcome(), rows[i].want);
        assert_int_equal(verdict(),
                         rows[i].state == SLOT_COMMITTED ? VERDICT_SYNCED : VERDICT_PENDING);
    }
}

/* The full package follows by itself: nothing has failed yet. */
static void a_delta_that_did_not_work_is_no_failure(void **state)
{
    (void)state;
    seen.payload[0].state = SLOT_RECEIVING;
    seen.payload[0].code = RC_DELTA_BASE;
    assert_int_equal(outcome(), OUTCOME_WAITING);
    assert_int_equal(verdict(), VERDICT_PENDING);
}

static void failure_names_payload_and_code(void **state)
{
    (void)state;
    seen.payload[0].state = SLOT_ROLLED_BACK;
    seen.payload[0].code = RC_HEALTH_TIMEOUT;
    struct rollout_seen got = beacon_seen();

    assert_int_equal(got.outcome, OUTCOME_FAILED);
    assert_int_equal(got.code, RC_HEALTH_TIMEOUT);
    assert_string_equal(got.what, "acme/beacon");
}

/* A report about an older order says nothing about this one, however bad it is. */
static void old_failure_does_not_count(void **state)
{
    (void)state;
    seen.payload[0].state = SLOT_FAILED;
    seen.generation = 3;
    assert_int_equal(outcome(), OUTCOME_WAITING);
    seen.generation = 4;
    seen.payload[0].wanted.b[0] ^= 1;
    assert_int_equal(outcome(), OUTCOME_WAITING);
}

static void neighbours_do_not_count(void **state)
{
    (void)state;
    seen.payload[1].state = SLOT_FAILED;
    assert_int_equal(outcome(), OUTCOME_HEALTHY);
    assert_int_equal(verdict(), VERDICT_PENDING);
}

static void removal_is_healthy_once_it_stopped(void **state)
{
    (void)state;
    want.line[0] = want.line[1];
    want.n_lines = 1;
    assert_int_equal(outcome(), OUTCOME_WAITING);
    seen.payload[0].is_running = false;
    assert_int_equal(outcome(), OUTCOME_HEALTHY);
    assert_int_equal(verdict(), VERDICT_SYNCED);
    const struct want wanted = want_of(&want);
    assert_int_equal(verdict_outcome(&wanted, beacon, 1, NULL).outcome, OUTCOME_WAITING);
}

/* Where passes are known, time does not count. */
static enum verdict by_passes(uint64_t missed, uint64_t most)
{
    const struct want wanted = want_of(&want);
    const struct sight sight = sight_of(&seen);

    return verdict_by_passes(&wanted, &sight, missed, most);
}

static void silence_is_counted_in_missed_passes(void **state)
{
    const struct want wanted = want_of(&want);

    (void)state;
    assert_int_equal(verdict_by_passes(&wanted, NULL, 9, 4), VERDICT_UNKNOWN);
    assert_int_equal(by_passes(0, 0), VERDICT_SYNCED);
    assert_int_equal(by_passes(4, 4), VERDICT_SYNCED);
    assert_int_equal(by_passes(5, 4), VERDICT_SILENT);
    assert_int_equal(by_passes(UINT64_MAX, 4), VERDICT_SILENT);
    seen.generation = 3;
    assert_int_equal(by_passes(4, 4), VERDICT_PENDING);
    assert_int_equal(by_passes(5, 4), VERDICT_SILENT);
}

static bool is_named(void *arg, const struct report_payload *p)
{
    return memcmp(arg, p->running.b, DIGEST_SIZE) == 0;
}

static void what_no_order_named_is_drift(void **state)
{
    struct sight sight = sight_of(&seen);
    struct digest one;
    uint32_t at = 9;

    (void)state;
    memset(one.b, 1, sizeof one.b);
    assert_null(verdict_drift(NULL, 0, is_named, one.b, &at));
    assert_ptr_equal(verdict_drift(&sight, 0, is_named, one.b, &at), &seen.payload[1]);
    assert_int_equal(at, 1);
    assert_null(verdict_drift(&sight, 2, is_named, one.b, &at));
    seen.payload[1].running = (struct digest){ .b = { 0 } }; /* none */
    assert_null(verdict_drift(&sight, 0, is_named, one.b, &at));
    memset(seen.payload[0].running.b, 7, DIGEST_SIZE);
    assert_ptr_equal(verdict_drift(&sight, 0, is_named, one.b, &at), &seen.payload[0]);
    seen.payload[0].is_running = false; /* it does not run */
    assert_null(verdict_drift(&sight, 0, is_named, one.b, &at));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(synced_means_everything, set_up),
        cmocka_unit_test_setup(resting_is_synced, set_up),
        cmocka_unit_test_setup(nothing_ordered, set_up),
        cmocka_unit_test_setup(any_difference_is_pending, set_up),
        cmocka_unit_test_setup(zero_digest_proves_nothing, set_up),
        cmocka_unit_test_setup(only_committed_is_healthy, set_up),
        cmocka_unit_test_setup(a_delta_that_did_not_work_is_no_failure, set_up),
        cmocka_unit_test_setup(failure_names_payload_and_code, set_up),
        cmocka_unit_test_setup(old_failure_does_not_count, set_up),
        cmocka_unit_test_setup(neighbours_do_not_count, set_up),
        cmocka_unit_test_setup(removal_is_healthy_once_it_stopped, set_up),
        cmocka_unit_test_setup(silence_is_counted_in_missed_passes, set_up),
        cmocka_unit_test_setup(what_no_order_named_is_drift, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
