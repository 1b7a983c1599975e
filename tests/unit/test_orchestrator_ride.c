/* SPDX-License-Identifier: Apache-2.0
 *
 * As which object a version goes up: every reason there is, and what each outcome names.
 */
#include "tests/unit/test.h"

#include <string.h>

#include "orchestrator/ride.h"

enum { NONE = 0, OLD = 1, NEW = 2, FULL_OBJECT = 3, DELTA_OBJECT = 4 };

static struct digest digest_of(uint8_t fill)
{
    struct digest d;

    memset(d.b, fill, sizeof d.b);
    return d;
}

/* One situation.  A field that is 0 is a thing that is not there. */
struct row {
    const char *why;
    bool seen;
    uint8_t running, wanted;
    enum slot_state state;
    bool base; /* the store has the package of what runs */
    enum delta_state delta;
    uint64_t delta_size;
    uint32_t refused;
    bool making;
    bool failed;
    enum ride_kind kind;
    enum ride_why because;
};

#define RUNS_OLD .seen = true, .running = OLD, .wanted = OLD, .state = SLOT_COMMITTED

static const struct row rows[] = {
    { "never heard of", .because = RIDE_NO_REPORT, .kind = RIDE_FULL },
    { "nothing runs", .seen = true, .wanted = NEW, .state = SLOT_ABSENT, .base = true,
      .delta = DELTA_READY, .delta_size = 1, .because = RIDE_NO_BASE, .kind = RIDE_FULL },
    { "what runs is on trial", .seen = true, .running = OLD, .wanted = OLD, .state = SLOT_TRIAL,
      .base = true, .delta = DELTA_READY, .delta_size = 1, .because = RIDE_NO_BASE,
      .kind = RIDE_FULL },
    { "runs what nobody here knows", RUNS_OLD, .because = RIDE_NO_PACKAGE, .kind = RIDE_FULL },
    { "smaller", RUNS_OLD, .base = true, .delta = DELTA_READY, .delta_size = 100,
      .because = RIDE_SMALLEST, .kind = RIDE_DELTA },
    { "smaller, while the other is wanted already", .seen = true, .running = OLD, .wanted = NEW,
      .state = SLOT_ABSENT, .base = true, .delta = DELTA_READY, .delta_size = 100,
      .because = RIDE_SMALLEST, .kind = RIDE_DELTA },
    { "smaller, after a rollback", .seen = true, .running = OLD, .wanted = 9,
      .state = SLOT_ROLLED_BACK, .base = true, .delta = DELTA_READY, .delta_size = 100,
      .because = RIDE_SMALLEST, .kind = RIDE_DELTA },
    { "just small enough", RUNS_OLD, .base = true, .delta = DELTA_READY, .delta_size = 1500,
      .because = RIDE_SMALLEST, .kind = RIDE_DELTA },
    { "a byte too large", RUNS_OLD, .base = true, .delta = DELTA_READY, .delta_size = 1501,
      .because = RIDE_NO_GAIN, .kind = RIDE_FULL },
    { "larger", RUNS_OLD, .base = true, .delta = DELTA_READY, .delta_size = UINT64_MAX,
      .because = RIDE_NO_GAIN, .kind = RIDE_FULL },
    { "known to save nothing", RUNS_OLD, .base = true, .delta = DELTA_NO_GAIN,
      .because = RIDE_NO_GAIN, .kind = RIDE_FULL },
    { "refused there", RUNS_OLD, .base = true, .delta = DELTA_READY, .delta_size = 100,
      .refused = RC_DELTA_BASE, .because = RIDE_REFUSED, .kind = RIDE_FULL },
    { "refused there, and one is being made", RUNS_OLD, .base = true, .refused = RC_DELTA_BASE,
      .making = true, .because = RIDE_REFUSED, .kind = RIDE_FULL },
    { "refused there, and it has lost what it ran", .seen = true, .wanted = NEW,
      .state = SLOT_REFUSED, .refused = RC_SLOT_DAMAGED, .because = RIDE_REFUSED,
      .kind = RIDE_FULL },
    { "never made", RUNS_OLD, .base = true, .because = RIDE_NOT_MADE, .kind = RIDE_FULL },
    { "made, and gone since", RUNS_OLD, .base = true, .delta = DELTA_DROPPED, .delta_size = 100,
      .because = RIDE_NOT_MADE, .kind = RIDE_FULL },
    { "could not be made", RUNS_OLD, .base = true, .failed = true, .because = RIDE_UNMAKABLE,
      .kind = RIDE_FULL },
    { "gone since, and could not be made again", RUNS_OLD, .base = true, .delta = DELTA_DROPPED,
      .failed = true, .because = RIDE_UNMAKABLE, .kind = RIDE_FULL },
    { "could not be made, and is tried again", RUNS_OLD, .base = true, .failed = true,
      .making = true, .because = RIDE_MAKING, .kind = RIDE_WAIT },
    { "there, whatever failed before", RUNS_OLD, .base = true, .delta = DELTA_READY,
      .delta_size = 100, .failed = true, .because = RIDE_SMALLEST, .kind = RIDE_DELTA },
    { "being made", RUNS_OLD, .base = true, .making = true, .because = RIDE_MAKING,
      .kind = RIDE_WAIT },
    { "being made again", RUNS_OLD, .base = true, .delta = DELTA_DROPPED, .making = true,
      .because = RIDE_MAKING, .kind = RIDE_WAIT },
};

static void check_row(const struct row *row)
{
    const struct store_package package = { .manifest = digest_of(NEW),
                                           .object = digest_of(FULL_OBJECT),
                                           .size = 1600 };
    const struct store_package base = { .manifest = digest_of(OLD) };
    const struct report_payload seen = { .state = row->state,
                                         .is_running = row->running != NONE,
                                         .running = digest_of(row->running),
                                         .wanted = digest_of(row->wanted) };
    const struct store_delta delta = { .base = digest_of(OLD),
                                       .manifest = digest_of(NEW),
                                       .state = row->delta,
                                       .object = digest_of(DELTA_OBJECT),
                                       .size = row->delta_size };
    const struct ride_input in = { .package = &package,
                                   .seen = row->seen ? &seen : NULL,
                                   .base = row->base ? &base : NULL,
                                   .delta = row->delta ? &delta : NULL,
                                   .refused = row->refused,
                                   .making = row->making,
                                   .failed = row->failed };
    static const uint8_t objects[] = {
        [RIDE_FULL] = FULL_OBJECT, [RIDE_DELTA] = DELTA_OBJECT, [RIDE_WAIT] = NONE
    };
    struct ride got = ride_choose(&in);
    struct digest object = digest_of(objects[row->kind]);
    bool names_base = row->because == RIDE_SMALLEST || row->because == RIDE_NOT_MADE ||
                      row->because == RIDE_MAKING || row->because == RIDE_UNMAKABLE;
    struct digest want_base = digest_of(names_base ? OLD : NONE);

    if (got.kind != row->kind || got.why != row->because)
        fail_msg("%s: kind %d because '%s'", row->why, (int)got.kind, ride_why_text(got.why));
    assert_memory_equal(&got.object, &object, sizeof object);
    assert_memory_equal(&got.base, &want_base, sizeof want_base);
    assert_int_equal(got.refused, row->because == RIDE_REFUSED ? row->refused : 0);
    if (row->kind == RIDE_FULL)
        assert_int_equal(got.size, 1600);
    if (row->kind == RIDE_DELTA)
        assert_int_equal(got.size, row->delta_size);
}

static void every_situation_has_its_ride(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_row(&rows[i]);
}

/* Each reason is reached by a row above, and has its words. */
static void every_reason_is_met(void **state)
{
    bool met[RIDE_WHYS] = { false };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        met[rows[i].because] = true;
    for (int why = RIDE_SMALLEST; why < RIDE_WHYS; why++) {
        assert_true(met[why]);
        assert_string_not_equal(ride_why_text((enum ride_why)why), "?");
    }
    assert_string_equal(ride_why_text(RIDE_WHYS), "?");
    assert_string_equal(ride_why_text((enum ride_why)0), "?");
}

/* Events of these codes are about a delta; others are about something else. */
static void some_codes_are_of_deltas(void **state)
{
    static const enum rc deltas[] = {
        RC_DELTA_FORMAT, RC_DELTA_BASE,     RC_DELTA_LIMIT,  RC_DELTA_MEMORY,
        RC_DELTA_BOMB,   RC_DELTA_RANGE,    RC_DELTA_STREAM, RC_DELTA_WORK,
        RC_DELTA_COUNT,  RC_DELTA_TRAILING, RC_SLOT_DAMAGED, RC_INDEX_MISMATCH,
    };
    static const enum rc others[] = { RC_OK, RC_SIG_BAD, RC_FLOOR, RC_HEALTH_TIMEOUT, RC_REPLAY };

    (void)state;
    for (size_t i = 0; i < sizeof deltas / sizeof deltas[0]; i++)
        assert_true(ride_is_deltas((uint32_t)deltas[i]));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(ride_is_deltas((uint32_t)others[i]));
    assert_false(ride_is_deltas(UINT32_MAX));
}

/* Only what still waits for its package, with a reason. */
static void waiting_with_a_code_is_a_failed_delta(void **state)
{
    (void)state;
    assert_false(ride_failed(NULL));
    for (int slot = SLOT_ABSENT; slot < SLOT_STATES; slot++) {
        struct report_payload seen = { .state = (enum slot_state)slot, .code = RC_INDEX_MISMATCH };

        assert_int_equal(ride_failed(&seen), slot == SLOT_RECEIVING);
        seen.code = 0;
        assert_false(ride_failed(&seen));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_situation_has_its_ride),
        cmocka_unit_test(every_reason_is_met),
        cmocka_unit_test(some_codes_are_of_deltas),
        cmocka_unit_test(waiting_with_a_code_is_a_failed_delta),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
