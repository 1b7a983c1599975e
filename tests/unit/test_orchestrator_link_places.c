/* SPDX-License-Identifier: Apache-2.0
 *
 * More satellites than links may be open: who gets a place, and a ground with two links for seven
 * satellites.  They answer in this process over sealed bundles; time is moved by hand.
 */
#include "tests/unit/test.h"

#define BERTH_RUN_IN_MEMORY
#include "tests/unit/ground_rig.h"

#include "orchestrator/link_places.h"

/* ---- who gets a place ---- */

#define LIST 10U

static struct link_place list[LIST];
static struct link_places turn;

static void all_want(uint64_t now_ms)
{
    for (size_t i = 0; i < LIST; i++) {
        list[i].wants = true;
        list[i].used_ms = now_ms;
    }
}

static void begin_list(void)
{
    memset(list, 0, sizeof list);
    turn = (struct link_places){ 0 };
}

static size_t count_open(void)
{
    size_t n = 0;

    for (size_t i = 0; i < LIST; i++)
        n += list[i].open;
    return n;
}

static void who_wants_nothing_has_none(void **state)
{
    (void)state;
    begin_list();
    link_places_share(&turn, list, LIST, 4, 1000);
    assert_int_equal(count_open(), 0);
    list[7].wants = true;
    link_places_share(&turn, list, LIST, 4, 1000);
    assert_true(list[7].open);
    /* ... and keeps it until another one needs it. */
    list[7].wants = false;
    link_places_share(&turn, list, LIST, 4, 900000);
    assert_int_equal(count_open(), 1);
}

static void the_one_not_used_for_longest_gives(void **state)
{
    (void)state;
    begin_list();
    for (size_t i = 0; i < 4; i++)
        list[i] = (struct link_place){ .open = true, .used_ms = 100 - i };
    list[1].wants = true;
    list[8].wants = list[9].wants = true;
    link_places_share(&turn, list, LIST, 4, 1000);
    assert_true(list[0].open && list[1].open && list[8].open && list[9].open);
    assert_int_equal(count_open(), 4);
}

/* All of them all the time: nobody is pushed out early, and everybody has the same time. */
static void turns_go_round(void **state)
{
    uint32_t had[LIST] = { 0 };

    (void)state;
    begin_list();
    for (uint64_t now = 0; now < 10U * LINK_HOLD_MS; now += 500) {
        all_want(now);
        link_places_share(&turn, list, LIST, 2, now);
        assert_int_equal(count_open(), 2);
        for (size_t i = 0; i < LIST; i++)
            had[i] += list[i].open;
    }
    for (size_t i = 0; i < LIST; i++)
        assert_int_equal(had[i], 2U * LINK_HOLD_MS / 500);
}

static void urgent_ones_go_first_and_leave_a_quarter(void **state)
{
    uint32_t had[LIST] = { 0 };

    (void)state;
    begin_list();
    all_want(0);
    link_places_share(&turn, list, LIST, 4, 0);
    assert_true(list[0].open && list[1].open && list[2].open && list[3].open);
    list[9].urgent = true; /* at once, of those that have it longest the first */
    link_places_share(&turn, list, LIST, 4, 1);
    assert_true(list[9].open && !list[0].open && count_open() == 4);
    for (size_t i = 0; i < 5; i++)
        list[i].urgent = true;
    for (uint64_t now = 2; now < 20U * LINK_HOLD_MS; now += 1000) {
        size_t others = 0;

        link_places_share(&turn, list, LIST, 4, now);
        for (size_t i = 0; i < LIST; i++) {
            had[i] += list[i].open;
            others += list[i].open && !list[i].urgent;
        }
        assert_int_equal(count_open(), 4);
        assert_true(others >= 1 || now < LINK_HOLD_MS);
    }
    for (size_t i = 0; i < LIST; i++)
        assert_true(had[i] >= LINK_HOLD_MS / 1000);
}

/* ---- a ground with fewer links than satellites ---- */

#define SATS 7U
#define LINKS 2U
#define OBJECT_BYTES 300000U
#define CHUNKS 10U /* of 32 KiB */
#define UNIX_MS RIG_UNIX_MS
#define TICK_MS 500U
#define ROUNDS_MAX 400U
#define REPORTS 9U

static struct sat {
    struct rig_sat end;
    uint32_t bundles; /* that came up */
    uint32_t chunks;  /* of them, in one case */
    uint64_t first;   /* number of the first one there */
    char last[DIRCL_NAME_CAP];
} sats[SATS];

static struct ground *ground;
static uint64_t mono_ms = 1000;

/* Of a bundle file, within the epoch of its key. */
static uint64_t number_of(const char *name)
{
    assert_non_null(strchr(name, '-'));
    return strtoull(strchr(name, '-') + 1, NULL, 16);
}

/* Files in the uplink: each number is beyond all before, in whichever life of the link. */
static void look_up(struct sat *s)
{
    const struct dircl_scan *scan = rig_uplink(&s->end);

    for (size_t i = 0; i < scan->n; i++) {
        assert_true(strcmp(scan->name[i], s->last) > 0);
        memcpy(s->last, scan->name[i], DIRCL_NAME_CAP);
    }
    s->bundles += (uint32_t)scan->n;
}

static void queue_one(const struct sat *s)
{
    rig_queue(s->end.id, OBJECT_BYTES);
}

static uint64_t up_files = 1000;

static void open_ground(void)
{
    const struct ground_options options = { .links = LINKS,
                                            .up_budget = UINT64_C(1) << 30,
                                            .up_files = up_files };

    ground = rig_ground(&options);
}

static int set_up(void **state)
{
    (void)rig_begin(state);
    for (unsigned i = 0; i < SATS; i++) {
        char id[16];

        print_to(id, sizeof id, "sat-%u", i);
        rig_provision(id, 101U + i);
        rig_sat_start(&sats[i].end, id, mono_ms);
        queue_one(&sats[i]);
    }
    open_ground();
    return 0;
}

static int tear_down(void **state)
{
    ground_close(&ground);
    for (unsigned i = 0; i < SATS; i++)
        rig_sat_stop(&sats[i].end);
    return end(state);
}

static void tick(void)
{
    mono_ms += TICK_MS;
    assert_rc(ground_tick(ground, mono_ms, UNIX_MS + mono_ms, &err), RC_OK);
}

static void look_up_all(void)
{
    for (size_t i = 0; i < SATS; i++)
        look_up(&sats[i]);
}

/* Descriptors that are open in this process. */
static size_t descriptors(void)
{
    size_t n = 0;

    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void take_all(void)
{
    for (size_t k = 0; k < SATS; k++)
        rig_sat_takes(&sats[k].end, mono_ms);
}

static void relabel(const struct sat *s, const char *labels)
{
    scoped(home_close) struct home home = rig_home();
    struct store_satellite row;

    assert_rc(store_satellite(home.store, s->end.id, &row, &err), RC_OK);
    print_to(row.labels, sizeof row.labels, "%s", labels);
    assert_rc(store_put_satellite(home.store, &row, &err), RC_OK);
}

static uint64_t reports_kept(const struct sat *s)
{
    scoped(home_close) struct home home = rig_home();
    uint64_t sum = 0;

    for (uint64_t i = 1; i <= s->end.seq; i++) {
        uint64_t count = 0;

        assert_rc(store_event_count(home.store, s->end.id, i, &count, &err), RC_OK);
        sum += count;
    }
    return sum;
}

/* What waits for the carrier does not go again, however long it waits and whoever reports. */
static void nothing_goes_twice_while_it_waits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        if (i % 50 == 40)
            rig_sat_reports(&sats[3].end);
        tick();
    }
    look_up_all();
    for (size_t i = 0; i < SATS; i++)
        assert_int_equal(sats[i].bundles, 1 + CHUNKS);
    assert_int_equal(reports_kept(&sats[3]), sats[3].end.seq);
    /* Nor is somebody late for it who has his link opened by what is no bundle. */
    assert_rc(fs_write_file(sats[2].end.down, "other", bytes_of("x"), 0644, &err), RC_OK);
}

/* The carrier takes all and nobody answers: what went goes again as a question only, and less and
 * less often. */
static void silence_costs_little(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 600; i++) { /* five minutes */
        take_all();
        tick();
        look_up_all();
    }
    for (size_t i = 0; i < SATS; i++) {
        assert_int_equal(sats[i].end.objects, 1);
        assert_in_range(sats[i].bundles, 2 + CHUNKS, 2 + CHUNKS + 8);
    }
}

/* A satellite that was silent for so long that nothing goes to it for minutes sends a message: it
 * hears at once what came of it, and nothing else. */
static void what_is_owed_does_not_wait(void **state)
{
    (void)state;
    sats[0].bundles = 0;
    rig_sat_mails(&sats[0].end);
    for (unsigned i = 0; i < 10; i++) {
        take_all();
        tick();
        look_up_all();
    }
    assert_int_equal(sats[0].bundles, 1);
    assert_true(ground_counts(ground)->refused > 0);
}

/* Links that were opened and closed again in rounds that did not get to sending: what went whole is
 * still asked for before it goes again. */
static void what_went_is_known_behind_rounds_that_fail(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 100; i++) { /* longer than anybody is put off */
        mono_ms += LINK_HOLD_MS;
        assert_rc(ground_receive(ground, mono_ms, UNIX_MS + mono_ms, &err), RC_OK);
    }
    for (size_t k = 0; k < SATS; k++)
        sats[k].bundles = 0;
    for (unsigned i = 0; i < 40; i++) {
        take_all();
        tick();
        look_up_all();
    }
    for (size_t k = 0; k < SATS; k++)
        assert_in_range(sats[k].bundles, 1, 3);
}

/* Everything goes out once, everything comes in, and what has come is done with. */
static void all_are_served(void **state)
{
    const size_t before = descriptors();
    size_t most = 0;

    (void)state;
    for (size_t i = 0; i < SATS; i++) {
        queue_one(&sats[i]);
        sats[i].bundles = 0;
    }
    for (unsigned i = 0; i < ROUNDS_MAX && (rig_left_in_queue() > 0 || sats[0].end.seq < REPORTS);
         i++) {
        for (size_t k = 0; k < SATS; k++) {
            rig_sat_takes(&sats[k].end, mono_ms);
            if (sats[k].end.transfers.n_complete > 1 && sats[k].end.seq < REPORTS)
                rig_sat_reports(&sats[k].end);
        }
        tick();
        look_up_all();
        most = descriptors() > most ? descriptors() : most;
    }
    assert_int_equal(rig_left_in_queue(), 0);
    for (unsigned i = 0; i < 2 * SATS; i++) {
        for (size_t k = 0; k < SATS; k++)
            if (sats[k].end.seq < REPORTS)
                rig_sat_reports(&sats[k].end);
        tick();
    }
    for (size_t i = 0; i < SATS; i++) {
        assert_int_equal(sats[i].end.objects, 2);
        assert_in_range(sats[i].bundles, 1 + CHUNKS, 2 * (1 + CHUNKS));
        assert_int_equal(sats[i].end.seq, REPORTS);
        assert_int_equal(reports_kept(&sats[i]), REPORTS);
    }
    assert_true(most <= before + LINKS * 12);
}

/* The uplink has room for a few files only and the carrier comes seldom, so that an object takes
 * many turns; every fourth file is lost.  No chunk goes for the second time before a report asks
 * for it; besides there are a few questions in a quarter of an hour, and what a report asks for
 * comes. */
static void an_object_goes_on_where_it_was(void **state)
{
    uint32_t lost = 0;

    (void)state;
    ground_close(&ground);
    up_files = 3;
    for (size_t k = 0; k < SATS; k++) {
        sats[k].bundles = 0;
        sats[k].end.objects = 0;
        queue_one(&sats[k]);
    }
    open_ground();
    for (unsigned i = 0; i < 2000; i++) {
        tick();
        if (i % 40 != 39)
            continue;
        for (size_t k = 0; k < SATS; k++) {
            struct sat *s = &sats[k];
            const struct dircl_scan *scan = rig_uplink(&s->end);

            assert_true(scan->n <= up_files);
            for (size_t f = 0; f < scan->n; f++) {
                struct stat st;

                assert_int_equal(fstatat(s->end.up, scan->name[f], &st, 0), 0);
                s->chunks += st.st_size > 8000;
            }
            look_up(s);
            if (scan->n > 0 && s->bundles == scan->n)
                s->first = number_of(scan->name[0]);
            if (scan->n == up_files && s->bundles < 1 + CHUNKS) {
                assert_int_equal(unlinkat(s->end.up, scan->name[1], 0), 0);
                lost++;
            }
            rig_sat_takes(&s->end, mono_ms);
            if (i > 1200)
                rig_sat_reports(&s->end);
        }
    }
    assert_int_equal(lost, SATS * 3);
    for (size_t k = 0; k < SATS; k++) {
        assert_int_equal(sats[k].end.objects, 1);
        assert_int_equal(sats[k].chunks, CHUNKS - 1 + lost / SATS); /* the last one is small */
        assert_in_range(sats[k].bundles, sats[k].chunks + 2, sats[k].chunks + 20);
        /* No number was left out, in whichever life of the link. */
        assert_int_equal(number_of(sats[k].last) - sats[k].first + 1, sats[k].bundles);
    }
    assert_int_equal(rig_left_in_queue(), 0);
    ground_close(&ground);
    up_files = 1000;
    open_ground();
}

/* Where nothing comes down, silence makes nobody less diligent. */
static void one_way_links_go_on(void **state)
{
    const unsigned minutes = 8, steps = 4;

    (void)state;
    ground_close(&ground);
    for (size_t i = 0; i < SATS; i++) {
        relabel(&sats[i], "link-way=one");
        queue_one(&sats[i]);
        sats[i].bundles = 0;
    }
    open_ground();
    for (unsigned i = 0; i < minutes * 60000 / (steps * TICK_MS); i++) {
        take_all();
        mono_ms += (steps - 1) * TICK_MS;
        tick();
        look_up_all();
    }
    for (size_t i = 0; i < SATS; i++)
        assert_true(sats[i].bundles >= minutes * (1 + CHUNKS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_wants_nothing_has_none),
        cmocka_unit_test(the_one_not_used_for_longest_gives),
        cmocka_unit_test(turns_go_round),
        cmocka_unit_test(urgent_ones_go_first_and_leave_a_quarter),
        cmocka_unit_test(nothing_goes_twice_while_it_waits),
        cmocka_unit_test(silence_costs_little),
        cmocka_unit_test(what_is_owed_does_not_wait),
        cmocka_unit_test(what_went_is_known_behind_rounds_that_fail),
        cmocka_unit_test(all_are_served),
        cmocka_unit_test(an_object_goes_on_where_it_was),
        cmocka_unit_test(one_way_links_go_on),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
