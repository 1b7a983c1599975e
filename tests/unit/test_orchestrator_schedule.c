/* SPDX-License-Identifier: Apache-2.0
 *
 * Schedules: rules that must hold for any sky, on random ones; and small skies that anybody can
 * schedule by hand.
 */
#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/schedule.h"

#define MINUTE 60000LL
#define START 1796040000000LL /* 2026-11-30T12:00Z */
#define STATIONS 4U
#define SATELLITES 12U
#define TENANTS 3U
#define JOBS 60U
#define CONTACTS 300U
#define SKIES 150U

static uint64_t seed;

static uint64_t below(uint64_t n) /* splitmix64 */
{
    uint64_t z = seed += 0x9e3779b97f4a7c15;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % n;
}

struct world {
    struct contact_station station[STATIONS];
    struct schedule_tenant tenant[TENANTS];
    struct schedule_job job[JOBS];
    struct contacts contacts;
    struct schedule_input in;
};

static void add(struct contacts *list, struct contact c)
{
    struct err err = { 0 };

    assert_rc(contacts_add(list, &c, &err), RC_OK);
}

static void make_world(struct world *w, uint64_t number)
{
    seed = number;
    *w = (struct world){ 0 };
    for (uint32_t i = 0; i < STATIONS; i++)
        w->station[i] = (struct contact_station){ .antennas = 1 + (uint32_t)below(3),
                                                  .turn_ms = (uint32_t)below(6 * MINUTE) };
    for (uint32_t i = 0; i < TENANTS; i++)
        w->tenant[i] =
            (struct schedule_tenant){ .weight = 1 + (uint32_t)below(5),
                                      .daily_bytes = below(3) == 0 ? 1 + below(900000) : 0 };
    for (uint32_t i = 0; i < JOBS; i++)
        w->job[i] = (struct schedule_job){
            .satellite = (uint32_t)below(SATELLITES),
            .tenant = below(8) == 0 ? SCHEDULE_OPERATOR : (uint32_t)below(TENANTS),
            .class = (enum schedule_class)below(SCHEDULE_CLASSES),
            .wave = (uint32_t)below(3),
            .bytes = below(400000),
            .deadline_ms = below(4) == 0 ? START + (int64_t)below(600) * MINUTE : INT64_MAX
        };
    for (uint32_t i = 0; i < CONTACTS; i++) {
        int64_t aos = START - 60 * MINUTE + (int64_t)below(1000 * 60) * 1000;

        add(&w->contacts, (struct contact){ .station = (uint32_t)below(STATIONS),
                                            .satellite = (uint32_t)below(SATELLITES),
                                            .aos_ms = aos,
                                            .los_ms = aos + 1 + (int64_t)below(50 * MINUTE),
                                            .room = 200000,
                                            .capacity = below(200000) });
    }
    contacts_sort(&w->contacts);
    w->in = (struct schedule_input){ .now_ms = START,
                                     .station = w->station,
                                     .n_stations = STATIONS,
                                     .n_satellites = SATELLITES,
                                     .tenant = w->tenant,
                                     .n_tenants = TENANTS,
                                     .job = w->job,
                                     .n_jobs = JOBS };
}

static bool is_held(const struct contact *c)
{
    return c->state != CONTACT_PREDICTED;
}

/* Two contacts may both be held: another antenna or enough time in between, and no satellite at two
 * stations at once. */
static bool compatible(const struct world *w, const struct contact *a, const struct contact *b)
{
    bool goes_on = a->satellite == b->satellite && a->los_ms == b->aos_ms;
    int64_t gap = b->aos_ms - a->los_ms;

    if (a->satellite == b->satellite && gap < 0)
        return false;
    if (a->station != b->station || a->antenna != b->antenna || goes_on)
        return true;
    return gap >= w->station[a->station].turn_ms;
}

static void check_antennas(const struct world *w)
{
    for (size_t i = 0; i < w->contacts.n; i++) {
        const struct contact *a = &w->contacts.at[i];

        assert_true(a->antenna < w->station[a->station].antennas);
        for (size_t k = i + 1; k < w->contacts.n && is_held(a); k++)
            if (is_held(&w->contacts.at[k]) && !compatible(w, a, &w->contacts.at[k]))
                fail_msg("contacts %zu and %zu", i, k);
    }
}

/* No contact that is free could be had: backfill leaves nothing. */
static void check_nothing_left(const struct world *w)
{
    for (size_t i = 0; i < w->contacts.n; i++) {
        struct contact c = w->contacts.at[i];
        bool possible = false;

        if (is_held(&c) || c.aos_ms < START + SCHEDULE_FROZEN_MS)
            continue;
        for (c.antenna = 0; c.antenna < w->station[c.station].antennas && !possible; c.antenna++) {
            possible = true;
            for (size_t k = 0; k < w->contacts.n && possible; k++) {
                const struct contact *o = &w->contacts.at[k];
                bool before = o->aos_ms < c.aos_ms;

                if (is_held(o))
                    possible = before ? compatible(w, o, &c) : compatible(w, &c, o);
            }
        }
        if (possible)
            fail_msg("contact %zu is free and fits", i);
    }
}

static void no_antenna_is_taken_twice(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < SKIES; n++) {
        struct world w;
        struct err err = { 0 };

        make_world(&w, n);
        assert_rc(schedule_antennas(&w.in, &w.contacts, &err), RC_OK);
        check_antennas(&w);
        check_nothing_left(&w);
        for (size_t i = 0; i < w.contacts.n; i++) /* the near future is left alone */
            if (w.contacts.at[i].aos_ms < START + SCHEDULE_FROZEN_MS)
                assert_int_equal(w.contacts.at[i].state, CONTACT_PREDICTED);
        contacts_free(&w.contacts);
    }
}

/* Schedule, let time pass, change what there is to send, schedule again: what was frozen then is as
 * it was, and still nothing is taken twice. */
static void what_is_frozen_stays(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < SKIES; n++) {
        struct world w;
        struct contact *before;
        struct err err = { 0 };
        uint32_t frozen = 0;

        make_world(&w, 1000 + n);
        assert_rc(schedule_antennas(&w.in, &w.contacts, &err), RC_OK);
        w.in.now_ms += 200 * MINUTE;
        for (uint32_t i = 0; i < JOBS; i++)
            w.job[i].bytes = below(400000);
        for (size_t i = 0; i < w.contacts.n; i++)
            contact_clock(&w.contacts.at[i], w.in.now_ms, 0);
        before = malloc(w.contacts.n * sizeof *before);
        assert_non_null(before);
        memcpy(before, w.contacts.at, w.contacts.n * sizeof *before);
        assert_rc(schedule_antennas(&w.in, &w.contacts, &err), RC_OK);
        for (size_t i = 0; i < w.contacts.n; i++)
            if (before[i].aos_ms < w.in.now_ms + SCHEDULE_FROZEN_MS) {
                assert_memory_equal(&before[i], &w.contacts.at[i], sizeof before[i]);
                frozen += before[i].state == CONTACT_RESERVED;
            }
        check_antennas(&w);
        if (n == 0)
            assert_true(frozen > 0);
        free(before);
        contacts_free(&w.contacts);
    }
}

static void same_input_same_output(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < SKIES; n++) {
        struct world a, b;
        struct schedule_fill x = { 0 }, y = { 0 };
        struct err err = { 0 };

        make_world(&a, 2000 + n);
        make_world(&b, 2000 + n);
        assert_rc(schedule_antennas(&a.in, &a.contacts, &err), RC_OK);
        assert_rc(schedule_antennas(&b.in, &b.contacts, &err), RC_OK);
        assert_memory_equal(a.contacts.at, b.contacts.at, a.contacts.n * sizeof a.contacts.at[0]);
        /* once more changes nothing either */
        assert_rc(schedule_antennas(&b.in, &b.contacts, &err), RC_OK);
        assert_memory_equal(a.contacts.at, b.contacts.at, a.contacts.n * sizeof a.contacts.at[0]);
        assert_rc(schedule_fill(&a.in, &a.contacts, NULL, &x, &err), RC_OK);
        assert_rc(schedule_fill(&b.in, &b.contacts, NULL, &y, &err), RC_OK);
        assert_int_equal(x.n, y.n);
        for (size_t i = 0; i < x.n; i++)
            assert_true(x.booking[i].contact == y.booking[i].contact &&
                        x.booking[i].job == y.booking[i].job &&
                        x.booking[i].bytes == y.booking[i].bytes);
        schedule_fill_free(&x);
        schedule_fill_free(&y);
        contacts_free(&a.contacts);
        contacts_free(&b.contacts);
    }
}

/* ---- what rides ----------------------------------------------------------------------------- */

static uint64_t room_at_start(const struct contact *c)
{
    if (c->aos_ms >= START)
        return c->capacity;
    return c->capacity * (uint64_t)(c->los_ms - START) / (uint64_t)(c->los_ms - c->aos_ms);
}

/* Capacity, satellites, quotas and bytes of jobs hold for every booking. */
static void check_fill(const struct world *w, const struct schedule_fill *fill)
{
    uint64_t sent[JOBS] = { 0 };
    uint64_t day[TENANTS][3] = { { 0 } };
    uint64_t *used = calloc(w->contacts.n, sizeof *used);

    assert_non_null(used);
    for (size_t i = 0; i < fill->n; i++) {
        const struct schedule_booking *b = &fill->booking[i];
        const struct contact *c = &w->contacts.at[b->contact];
        const struct schedule_job *j = &w->job[b->job];

        assert_true(b->bytes > 0 && c->satellite == j->satellite && c->los_ms > START);
        assert_true(c->state == CONTACT_RESERVED || c->state == CONTACT_EXECUTING);
        used[b->contact] += b->bytes;
        sent[b->job] += b->bytes;
        if (j->tenant != SCHEDULE_OPERATOR)
            day[j->tenant][c->aos_ms / SCHEDULE_DAY_MS - START / SCHEDULE_DAY_MS] += b->bytes;
    }
    for (size_t i = 0; i < w->contacts.n; i++)
        assert_true(used[i] == 0 || used[i] <= room_at_start(&w->contacts.at[i]));
    for (uint32_t i = 0; i < JOBS; i++) {
        assert_true(sent[i] + fill->left[i] == w->job[i].bytes);
        assert_true((fill->last[i] == SCHEDULE_NEVER) ==
                    (fill->left[i] > 0 || w->job[i].bytes == 0));
    }
    for (uint32_t i = 0; i < TENANTS; i++)
        for (uint32_t d = 0; d < 3 && w->tenant[i].daily_bytes > 0; d++)
            assert_true(day[i][d] <= w->tenant[i].daily_bytes);
    free(used);
}

/* A contact has room left only when its satellite has nothing more to get, or quotas hold it. */
static void check_used_up(const struct world *w, const struct schedule_fill *fill)
{
    for (uint32_t i = 0; i < JOBS; i++) {
        if (fill->left[i] == 0 || fill->quota[i])
            continue;
        for (uint32_t k = 0; k < w->contacts.n; k++) {
            const struct contact *c = &w->contacts.at[k];
            uint64_t used = 0;
            bool held = false;

            if (c->satellite != w->job[i].satellite || c->state != CONTACT_RESERVED)
                continue;
            for (size_t b = 0; b < fill->n; b++)
                used += fill->booking[b].contact == k ? fill->booking[b].bytes : 0;
            for (uint32_t j = 0; j < JOBS; j++) /* a shorter job of its flow may be what waits */
                held = held || (fill->quota[j] && w->job[j].tenant == w->job[i].tenant);
            if (used < c->capacity && !held)
                fail_msg("job %u waits, contact %u has room", i, k);
        }
    }
}

static void rides_hold_the_rules(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < SKIES; n++) {
        struct world w;
        struct schedule_fill fill = { 0 };
        struct err err = { 0 };

        make_world(&w, 3000 + n);
        assert_rc(schedule_antennas(&w.in, &w.contacts, &err), RC_OK);
        for (size_t i = 0; i < w.contacts.n; i++) /* some are under way */
            if (w.contacts.at[i].aos_ms < START && w.contacts.at[i].los_ms > START && below(2) == 0)
                w.contacts.at[i].state = CONTACT_EXECUTING;
        assert_rc(schedule_fill(&w.in, &w.contacts, NULL, &fill, &err), RC_OK);
        check_fill(&w, &fill);
        check_used_up(&w, &fill);
        schedule_fill_free(&fill);
        contacts_free(&w.contacts);
    }
}

/* Two tenants that always have something to send get bytes by their weights: what each got, divided
 * by its weight, is within a chunk of the other's at the end of every contact (the bound of deficit
 * round robin for flows without indivisible packets). */
static void shares_are_by_weight(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < SKIES; n++) {
        struct world w;
        struct schedule_fill fill = { 0 };
        struct err err = { 0 };
        uint64_t sent[TENANTS] = { 0 };

        make_world(&w, 4000 + n);
        for (uint32_t i = 0; i < TENANTS; i++) {
            w.tenant[i].daily_bytes = 0;
            for (uint32_t k = 0; k < 2; k++) /* the first is sent, the second never is */
                w.job[2 * i + k] =
                    (struct schedule_job){ .satellite = 3,
                                           .tenant = i,
                                           .class = SCHEDULE_ROLLOUT,
                                           .bytes = k == 0 ? 1 + below(50000) : 1U << 30,
                                           .deadline_ms = INT64_MAX };
        }
        w.in.n_jobs = 2 * TENANTS;
        assert_rc(schedule_antennas(&w.in, &w.contacts, &err), RC_OK);
        assert_rc(schedule_fill(&w.in, &w.contacts, NULL, &fill, &err), RC_OK);
        for (size_t i = 0; i < fill.n; i++) {
            sent[w.job[fill.booking[i].job].tenant] += fill.booking[i].bytes;
            if (i + 1 < fill.n && fill.booking[i + 1].contact == fill.booking[i].contact)
                continue;
            for (uint32_t a = 0; a < TENANTS; a++)
                for (uint32_t b = 0; b < TENANTS; b++)
                    if ((double)sent[a] / w.tenant[a].weight -
                            (double)sent[b] / w.tenant[b].weight >
                        SCHEDULE_CHUNK)
                        fail_msg("tenants %u and %u", a, b);
        }
        assert_true(fill.n > 0);
        schedule_fill_free(&fill);
        contacts_free(&w.contacts);
    }
}

/* ---- by hand -------------------------------------------------------------------------------- */

/* A station with one antenna; passes of satellites at minutes, ten minutes long, `bytes` each. */
static void pass(struct contacts *list, uint32_t satellite, int64_t minute, uint64_t bytes)
{
    add(list, (struct contact){ .satellite = satellite,
                                .aos_ms = START + minute * MINUTE,
                                .los_ms = START + (minute + 10) * MINUTE,
                                .room = bytes,
                                .capacity = bytes });
}

static const struct contact_station one = { .antennas = 1, .turn_ms = 3 * MINUTE };

/* Satellites 0 and 1 overlap in every pass; each needs two passes.  By job: 0 gets both of its, 1
 * has none left and gets the fifth by backfill; spreading would have finished neither. */
static void by_job_then_backfill(void **state)
{
    const struct schedule_job job[] = {
        { .satellite = 0, .bytes = 200, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
        { .satellite = 1, .bytes = 201, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
    };
    static const struct schedule_tenant tenant = { .weight = 1 };
    scoped(contacts_free) struct contacts c = { 0 };
    const struct schedule_input in = { .now_ms = START,
                                       .station = &one,
                                       .n_stations = 1,
                                       .n_satellites = 2,
                                       .tenant = &tenant,
                                       .n_tenants = 1,
                                       .job = job,
                                       .n_jobs = 2 };
    scoped(schedule_fill_free) struct schedule_fill fill = { 0 };
    struct err err = { 0 };

    (void)state;
    pass(&c, 0, 20, 100);
    pass(&c, 1, 25, 100);
    pass(&c, 0, 120, 100);
    pass(&c, 1, 125, 100);
    pass(&c, 1, 132, 100); /* 2 minutes after the one of satellite 0: no time to turn */
    pass(&c, 1, 220, 100);
    contacts_sort(&c);
    assert_rc(schedule_antennas(&in, &c, &err), RC_OK);
    assert_int_equal(c.at[0].state, CONTACT_RESERVED);
    assert_int_equal(c.at[1].state, CONTACT_PREDICTED);
    assert_int_equal(c.at[2].state, CONTACT_RESERVED);
    assert_int_equal(c.at[3].state, CONTACT_PREDICTED);
    assert_int_equal(c.at[4].state, CONTACT_PREDICTED);
    assert_int_equal(c.at[5].state, CONTACT_RESERVED);
    assert_rc(schedule_fill(&in, &c, NULL, &fill, &err), RC_OK);
    assert_int_equal(fill.last[0], 2);
    assert_int_equal(fill.last[1], SCHEDULE_NEVER);
    assert_int_equal(fill.left[1], 101);
}

/* A job that cannot end before its deadline keeps nobody else from ending. */
static void a_lost_job_steps_back(void **state)
{
    const struct schedule_job job[] = {
        { .satellite = 0,
          .bytes = 150,
          .class = SCHEDULE_CANARY,
          .deadline_ms = START + 60 * MINUTE },
        { .satellite = 1, .bytes = 100, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
    };
    static const struct schedule_tenant tenant = { .weight = 1 };
    scoped(contacts_free) struct contacts c = { 0 };
    const struct schedule_input in = { .now_ms = START,
                                       .station = &one,
                                       .n_stations = 1,
                                       .n_satellites = 2,
                                       .tenant = &tenant,
                                       .n_tenants = 1,
                                       .job = job,
                                       .n_jobs = 2 };
    struct err err = { 0 };

    (void)state;
    pass(&c, 0, 20, 100);
    pass(&c, 1, 25, 100);
    contacts_sort(&c);
    assert_rc(schedule_antennas(&in, &c, &err), RC_OK);
    assert_int_equal(c.at[0].state, CONTACT_PREDICTED);
    assert_int_equal(c.at[1].state, CONTACT_RESERVED);
}

/* Trust before packages, however short those are; then the earlier wave, then the shortest. */
static void classes_waves_and_remainders(void **state)
{
    const struct schedule_job job[] = {
        { .bytes = 10, .class = SCHEDULE_ROLLOUT, .wave = 1, .deadline_ms = INT64_MAX },
        { .bytes = 60, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
        { .bytes = 30, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
        { .bytes = 80,
          .class = SCHEDULE_TRUST,
          .tenant = SCHEDULE_OPERATOR,
          .deadline_ms = INT64_MAX },
    };
    static const struct schedule_tenant tenant = { .weight = 1 };
    scoped(contacts_free) struct contacts c = { 0 };
    const struct schedule_input in = { .now_ms = START,
                                       .station = &one,
                                       .n_stations = 1,
                                       .n_satellites = 1,
                                       .tenant = &tenant,
                                       .n_tenants = 1,
                                       .job = job,
                                       .n_jobs = 4 };
    scoped(schedule_fill_free) struct schedule_fill fill = { 0 };
    struct err err = { 0 };

    (void)state;
    pass(&c, 0, 20, 100);
    pass(&c, 0, 120, 75);
    contacts_sort(&c);
    assert_rc(schedule_antennas(&in, &c, &err), RC_OK);
    assert_rc(schedule_fill(&in, &c, NULL, &fill, &err), RC_OK);
    /* 80 of trust and 20 of the shortest; then its other 10, 60, and 5 of the second wave */
    static const struct schedule_booking want[] = {
        { 0, 2, 20 }, { 0, 3, 80 }, { 1, 0, 5 }, { 1, 1, 60 }, { 1, 2, 10 }
    };
    assert_int_equal(fill.n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(fill.booking[i].contact, want[i].contact);
        assert_int_equal(fill.booking[i].job, want[i].job);
        assert_int_equal(fill.booking[i].bytes, want[i].bytes);
    }
    assert_int_equal(fill.left[0], 5);
    assert_int_equal(fill.last[0], SCHEDULE_NEVER);
    assert_int_equal(fill.last[1], 1);
}

/* A quota of 50 a day, a pass before midnight and two after. */
static void quotas_are_by_day(void **state)
{
    const struct schedule_job job[] = {
        { .bytes = 140, .class = SCHEDULE_ROLLOUT, .deadline_ms = INT64_MAX },
        { .bytes = 20,
          .class = SCHEDULE_TRUST,
          .tenant = SCHEDULE_OPERATOR,
          .deadline_ms = INT64_MAX },
    };
    static const struct schedule_tenant tenant = { .weight = 1, .daily_bytes = 50 };
    scoped(contacts_free) struct contacts c = { 0 };
    const struct schedule_input in = { .now_ms = START,
                                       .station = &one,
                                       .n_stations = 1,
                                       .n_satellites = 1,
                                       .tenant = &tenant,
                                       .n_tenants = 1,
                                       .job = job,
                                       .n_jobs = 2 };
    scoped(schedule_fill_free) struct schedule_fill fill = { 0 };
    struct err err = { 0 };

    (void)state;
    pass(&c, 0, 60, 100);
    pass(&c, 0, 13 * 60, 30);
    pass(&c, 0, 15 * 60, 100);
    contacts_sort(&c);
    assert_rc(schedule_antennas(&in, &c, &err), RC_OK);
    assert_rc(schedule_fill(&in, &c, NULL, &fill, &err), RC_OK);
    assert_int_equal(fill.left[0], 40);
    assert_true(fill.quota[0] && !fill.quota[1]);
    assert_int_equal(fill.last[1], 0);
}

static void refuses_what_is_outside(void **state)
{
    struct world w;
    struct schedule_fill fill = { 0 };
    struct err err = { 0 };

    (void)state;
    make_world(&w, 1);
    w.contacts.at[5].satellite = SATELLITES;
    assert_rc(schedule_antennas(&w.in, &w.contacts, &err), RC_VALUE);
    assert_rc(schedule_fill(&w.in, &w.contacts, NULL, &fill, &err), RC_VALUE);
    w.contacts.at[5].satellite = 0;
    w.job[3].tenant = TENANTS;
    assert_rc(schedule_antennas(&w.in, &w.contacts, &err), RC_VALUE);
    w.job[3].tenant = 0;
    w.station[0].antennas = 0;
    assert_rc(schedule_antennas(&w.in, &w.contacts, &err), RC_VALUE);
    w.station[0].antennas = 1;
    w.contacts.at[4].aos_ms = w.contacts.at[5].aos_ms + 1;
    w.contacts.at[4].los_ms = w.contacts.at[4].aos_ms + 1;
    assert_rc(schedule_antennas(&w.in, &w.contacts, &err), RC_VALUE);
    contacts_free(&w.contacts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_antenna_is_taken_twice), cmocka_unit_test(what_is_frozen_stays),
        cmocka_unit_test(same_input_same_output),    cmocka_unit_test(rides_hold_the_rules),
        cmocka_unit_test(shares_are_by_weight),      cmocka_unit_test(by_job_then_backfill),
        cmocka_unit_test(a_lost_job_steps_back),     cmocka_unit_test(classes_waves_and_remainders),
        cmocka_unit_test(quotas_are_by_day),         cmocka_unit_test(refuses_what_is_outside),
    };

    return cmocka_run_group_tests_name("orchestrator/schedule", tests, NULL, NULL);
}
