/* SPDX-License-Identifier: Apache-2.0
 *
 * Which object of a version is queued for a satellite, over a real store and real reports: what a
 * refused delta, another base and an abort change, and that nothing is queued twice.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "link/port.h"
#include "orchestrator/deliver.h"
#include "orchestrator/ingest.h"

#define NOW 1000000ULL
#define SAT "sat-1"

static char dir[64];
static struct store *store;
static struct err err;
static uint64_t seq;
static uint64_t clock_ms = NOW; /* of deliver_settle */

static struct digest digest_of(uint8_t fill)
{
    struct digest d;

    memset(d.b, fill, sizeof d.b);
    return d;
}

/* acme/cam 1 to 4: manifest n, object 0xf0 + n, 1000 bytes. */
static struct store_package package_of(uint8_t n)
{
    struct store_package p = { .tenant = "acme",
                               .name = "cam",
                               .release = n,
                               .manifest = digest_of(n),
                               .object = digest_of((uint8_t)(0xf0 + n)),
                               .size = 1000 };

    (void)snprintf(p.version, sizeof p.version, "%u", n);
    (void)snprintf(p.path, sizeof p.path, "objects/f%u", n);
    return p;
}

/* Object 0xFT of the delta from F to T. */
static uint8_t delta_object(uint8_t from, uint8_t to)
{
    return (uint8_t)(from * 16 + to);
}

static void add_delta(uint8_t from, uint8_t to, enum delta_state state)
{
    struct store_delta row = { .base = digest_of(from),
                               .manifest = digest_of(to),
                               .state = state,
                               .object = digest_of(delta_object(from, to)),
                               .size = 100,
                               .memory = 1,
                               .made_ms = 1,
                               .used_ms = 1 };

    assert_rc(store_put_delta(store, &row, &err), RC_OK);
}

static int set_up(void **state)
{
    char path[128];

    (void)state;
    seq = 0;
    clock_ms = NOW;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-deliver-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    for (uint64_t i = 1; i <= 2; i++) {
        struct store_satellite row = {
            .node = 100 + i, .up = "up", .down = "down", .link_keys = "k"
        };

        (void)snprintf(row.id, sizeof row.id, "sat-%u", (unsigned)i);
        assert_rc(store_put_satellite(store, &row, &err), RC_OK);
    }
    for (uint8_t i = 1; i <= 4; i++) {
        struct store_package p = package_of(i);

        assert_rc(store_put_package(store, &p, &err), RC_OK);
    }
    add_delta(1, 2, DELTA_READY);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(&store);
    return fs_remove_tree(AT_FDCWD, dir, &err) == RC_OK ? 0 : -1;
}

/* What a satellite says of acme/cam. */
struct saying {
    const char *sat; /* NULL = sat-1 */
    uint8_t running, wanted;
    enum slot_state state;
    enum rc code;
    enum rc event; /* RC_OK = it tells of none */
    uint64_t event_seq;
    uint32_t event_count;
    const char *what;
    uint8_t needs; /* the package of this version, to repair it */
};

static void say(struct saying s)
{
    static uint8_t buf[REPORT_MAX];
    scoped(free_ptr) struct report *r = calloc(2, sizeof *r);
    const char *sat = s.sat ? s.sat : SAT;
    struct report_payload *p;
    struct bytes bytes;

    assert_non_null(r);
    p = &r->payload[0];
    (void)snprintf(r->satellite, sizeof r->satellite, "%s", sat);
    r->epoch = 1;
    r->seq = ++seq;
    r->time_ms = NOW;
    r->root_version = 1;
    r->n_payloads = 1;
    (void)snprintf(p->tenant, NAME_CAP, "acme");
    (void)snprintf(p->name, NAME_CAP, "cam");
    p->state = s.state;
    p->code = (uint32_t)s.code;
    p->is_running = s.running != 0;
    p->running = digest_of(s.running);
    p->wanted = digest_of(s.wanted);
    if (s.running)
        (void)snprintf(p->version, VERSION_CAP, "%u", s.running);
    if (s.event != RC_OK) {
        r->n_events = 1;
        r->event[0] = (struct report_event){ .seq = s.event_seq,
                                             .code = (uint32_t)s.event,
                                             .count = s.event_count };
        (void)snprintf(r->event[0].what, sizeof r->event[0].what, "%s", s.what);
    }
    if (s.needs) {
        r->scrub.n_wanted = 1;
        r->scrub.wanted[0] = digest_of(s.needs);
    }
    assert_rc(report_encode(r, buf, sizeof buf, &bytes, &err), RC_OK);
    assert_rc(ingest_report(store, sat, bytes, clock_ms, r + 1, &err), RC_OK);
}

static void runs(uint8_t version)
{
    say((struct saying){ .running = version, .wanted = version, .state = SLOT_COMMITTED });
}

/* Queue a version for a satellite as apply does. */
static struct delivered queue(uint8_t version, bool again, uint64_t guard_ms)
{
    scoped(view_free) struct view *view = NULL;
    const struct store_package package = package_of(version);
    struct delivered done = { .queued = true };

    assert_rc(view_load(store, &view, &err), RC_OK);

    const struct deliver d = { .store = store,
                               .view = view,
                               .sat = view_find(view, SAT),
                               .now_ms = NOW,
                               .again = again,
                               .guard_ms = guard_ms };

    assert_rc(deliver_queue(&d, &package, &done, &err), RC_OK);
    return done;
}

static void add_text(char *out, size_t cap, const char *text)
{
    size_t at = strlen(out), n = strlen(text);

    assert_true(at + n < cap);
    memcpy(out + at, text, n + 1);
}

static char told[256];

static void tell(void *arg, const char *what, const char *satellite, const struct ride *ride)
{
    char one[96];

    (void)arg;
    (void)snprintf(one, sizeof one, "%.40s %.32s %d;", what, satellite, (int)ride->kind);
    add_text(told, sizeof told, one);
}

static bool settle_making(uint8_t from, uint8_t to)
{
    const struct deliver_log log = { .fn = tell };
    scoped(view_free) struct view *view = NULL;
    bool waits = false;

    told[0] = '\0';
    assert_rc(view_load(store, &view, &err), RC_OK);
    view->making.is = from != 0;
    view->making.base = digest_of(from);
    view->making.manifest = digest_of(to);
    assert_rc(deliver_settle(store, view, clock_ms, &log, &waits, &err), RC_OK);
    return waits;
}

static void settle(void)
{
    assert_false(settle_making(0, 0));
}

/* The objects in a state, as hex of their first bytes: "12 f2". */
static const char *queue_text(const char *sat, enum outgoing_state state)
{
    static char text[128];
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;

    text[0] = '\0';
    assert_rc(store_outgoing(store, sat, state, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        char one[8];

        (void)snprintf(one, sizeof one, "%s%02x", i ? " " : "", rows[i].object.b[0]);
        add_text(text, sizeof text, one);
    }
    return text;
}

#define assert_queue(text) assert_string_equal(queue_text(SAT, OUTGOING_QUEUED), text)

static void arrived_at(uint8_t object, uint64_t at_ms)
{
    const struct digest d = digest_of(object);

    assert_rc(ingest_complete(store, SAT, d.b, at_ms, &err), RC_OK);
}

static void arrived(uint8_t object)
{
    arrived_at(object, NOW);
}

static size_t audits(const char *action)
{
    scoped(free_ptr) struct store_audit *rows = NULL;
    size_t n = 0, found = 0;

    assert_rc(store_audit_list(store, 100, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        found += strcmp(rows[i].entry.action, action) == 0;
    return found;
}

/* ---- queueing ---- */

static void without_a_report_the_full_package_goes(void **state)
{
    struct delivered done = queue(2, false, 0);

    (void)state;
    assert_true(done.queued);
    assert_int_equal(done.ride.why, RIDE_NO_REPORT);
    assert_queue("f2");
}

static void a_known_base_gets_the_delta(void **state)
{
    struct store_delta row;

    (void)state;
    runs(1);
    assert_int_equal(queue(2, false, 0).ride.kind, RIDE_DELTA);
    assert_queue("12");
    assert_rc(store_delta(store, &(struct digest){ 0 }, &(struct digest){ 0 }, &row, &err),
              RC_NOT_FOUND);

    struct digest base = digest_of(1), to = digest_of(2);

    assert_rc(store_delta(store, &base, &to, &row, &err), RC_OK);
    assert_int_equal(row.used_ms, NOW); /* so that it is not the next to give way */
    assert_false(queue(2, false, 0).queued);
    assert_false(queue(2, true, 0).queued);
    assert_queue("12");
}

static void one_object_of_a_version_is_enough(void **state)
{
    (void)state;
    assert_true(queue(2, false, 0).queued); /* the full package, before the first report */
    runs(1);
    assert_false(queue(2, false, 0).queued);
    assert_queue("f2");
}

static void a_delta_that_has_gone_is_not_queued(void **state)
{
    scoped(view_free) struct view *view = NULL;
    const struct store_package package = package_of(2);
    struct delivered done;

    (void)state;
    runs(1);
    assert_rc(view_load(store, &view, &err), RC_OK);
    add_delta(1, 2, DELTA_DROPPED); /* behind the view's back */

    const struct deliver d = {
        .store = store, .view = view, .sat = view_find(view, SAT), .now_ms = NOW
    };

    assert_rc(deliver_queue(&d, &package, &done, &err), RC_OK);
    assert_int_equal(done.ride.kind, RIDE_FULL);
    assert_queue("f2");
}

static void what_was_just_delivered_is_not_sent_again(void **state)
{
    (void)state;
    runs(1);
    (void)queue(2, false, 0);
    arrived(delta_object(1, 2));
    assert_false(queue(2, true, INGEST_LOST_MS).queued);
    assert_queue("");
    assert_true(queue(2, true, 0).queued);
    assert_queue("12");
}

static void another_payloads_version_is_no_base(void **state)
{
    struct store_package other = package_of(9);

    (void)state;
    (void)snprintf(other.name, sizeof other.name, "radar");
    assert_rc(store_put_package(store, &other, &err), RC_OK);
    add_delta(9, 2, DELTA_READY); /* nobody makes one, but a report may name any digest */
    runs(9);
    assert_int_equal(queue(2, false, 0).ride.why, RIDE_NO_PACKAGE);
    assert_queue("f2");
}

/* ---- deltas that did not work ---- */

/* Each way of saying it, before or after the order names the version. */
static void refused_deltas_give_way_to_the_full_package(void **state)
{
    static const struct {
        const char *why;
        struct saying saying;
        bool arrived;
    } rows[] = {
        { "the wanted version's code",
          { .running = 1, .wanted = 2, .state = SLOT_RECEIVING, .code = RC_DELTA_BASE },
          true },
        { "its base is damaged",
          { .running = 1, .wanted = 2, .state = SLOT_RECEIVING, .code = RC_SLOT_DAMAGED },
          true },
        { "before the report that it arrived",
          { .running = 1, .wanted = 2, .state = SLOT_RECEIVING, .code = RC_DELTA_STREAM },
          false },
        { "an event, ahead of the order",
          { .running = 1,
            .wanted = 1,
            .state = SLOT_COMMITTED,
            .event = RC_DELTA_RANGE,
            .event_seq = 7,
            .event_count = 1,
            .what = "acme/cam" },
          true },
        { "an event with more behind the name",
          { .running = 1,
            .wanted = 1,
            .state = SLOT_COMMITTED,
            .event = RC_DELTA_MEMORY,
            .event_seq = 8,
            .event_count = 3,
            .what = "acme/cam 2" },
          true },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (i > 0)
            (void)set_up(state);
        runs(1);
        (void)queue(2, false, 0);
        if (rows[i].arrived)
            arrived(delta_object(1, 2));
        say(rows[i].saying);
        assert_int_equal(audits("delta-refused"), 1);
        settle();
        assert_string_equal(told, "delta-refused sat-1 1;");
        if (strcmp(queue_text(SAT, OUTGOING_QUEUED), "f2") != 0)
            fail_msg("%s: %s", rows[i].why, queue_text(SAT, OUTGOING_QUEUED));
        assert_string_equal(queue_text(SAT, OUTGOING_CANCELLED), "12");
        /* once: not for the next report that says so, and not for the next round */
        say(rows[i].saying);
        settle();
        assert_string_equal(told, "");
        assert_int_equal(audits("delta-refused"), 1);
        /* and from then on */
        arrived(0xf2);
        assert_int_equal(queue(2, true, 0).ride.why, RIDE_REFUSED);
        assert_queue("f2");
        if (i + 1 < sizeof rows / sizeof rows[0])
            (void)tear_down(state);
    }
}

static void other_refusals_change_nothing(void **state)
{
    static const struct saying rows[] = {
        { .running = 1, .wanted = 2, .state = SLOT_REFUSED, .code = RC_SIG_BAD },
        { .running = 1, .wanted = 3, .state = SLOT_RECEIVING, .code = RC_DELTA_BASE },
        { .running = 1, .wanted = 2, .state = SLOT_ABSENT },
        { .running = 1, .wanted = 2, .state = SLOT_RECEIVING },
        { .running = 1, .wanted = 2, .state = SLOT_REFUSED, .code = RC_SLOT_DAMAGED },
        { .running = 2, .wanted = 2, .state = SLOT_TRIAL },
        { .running = 2,
          .wanted = 2,
          .state = SLOT_COMMITTED,
          .event = RC_DELTA_BASE,
          .event_seq = 1,
          .event_count = 1,
          .what = "acme/cam" },
        { .running = 1,
          .wanted = 1,
          .state = SLOT_COMMITTED,
          .event = RC_DELTA_BASE,
          .event_seq = 2,
          .event_count = 1,
          .what = "acme/camera" },
        { .running = 1,
          .wanted = 1,
          .state = SLOT_COMMITTED,
          .event = RC_REPLAY,
          .event_seq = 3,
          .event_count = 1,
          .what = "acme/cam" },
        { .sat = "sat-2",
          .running = 1,
          .wanted = 2,
          .state = SLOT_RECEIVING,
          .code = RC_DELTA_BASE },
    };

    (void)state;
    runs(1);
    (void)queue(2, false, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        say(rows[i]);
        settle();
        assert_string_equal(told, "");
        assert_queue("12");
    }
    assert_int_equal(audits("delta-refused"), 0);
}

/* An old event that a report still lists says nothing of a delta that was sent since. */
static void events_count_once(void **state)
{
    struct saying old = { .running = 1,
                          .wanted = 1,
                          .state = SLOT_COMMITTED,
                          .event = RC_DELTA_BASE,
                          .event_seq = 5,
                          .event_count = 1,
                          .what = "acme/cam" };

    (void)state;
    say(old); /* nothing was sent yet */
    (void)queue(2, false, 0);
    say(old);
    settle();
    assert_queue("12");
    old.event_count = 2; /* the same again */
    say(old);
    settle();
    assert_queue("f2");
}

/* Deltas that worked long ago are not meant. */
static void events_are_about_the_newest_delta(void **state)
{
    (void)state;
    add_delta(2, 3, DELTA_READY);
    add_delta(3, 4, DELTA_READY);
    for (uint8_t v = 1; v < 4; v++) {
        runs(v);
        (void)queue((uint8_t)(v + 1), false, 0);
        arrived_at(delta_object(v, (uint8_t)(v + 1)), NOW + v);
    }
    say((struct saying){ .running = 3,
                         .wanted = 3,
                         .state = SLOT_COMMITTED,
                         .event = RC_DELTA_STREAM,
                         .event_seq = 1,
                         .event_count = 1,
                         .what = "acme/cam" });
    assert_int_equal(audits("delta-refused"), 1);
    settle();
    assert_string_equal(told, "delta-refused sat-1 1;");
    assert_queue("f4");
}

/* The event was lost with its report; the order names the version, and nothing comes of it. */
static void a_delta_that_comes_to_nothing_gives_way(void **state)
{
    (void)state;
    runs(1);
    (void)queue(2, false, 0);
    say((struct saying){ .running = 1, .wanted = 2, .state = SLOT_RECEIVING });
    clock_ms = NOW + 10 * DELIVER_LOST_MS;
    settle();
    assert_queue("12"); /* it is on its way for long, and has not arrived */
    arrived(delta_object(1, 2));
    clock_ms = NOW + DELIVER_LOST_MS - 1;
    settle();
    assert_string_equal(told, "");
    clock_ms = NOW + DELIVER_LOST_MS;
    settle();
    assert_string_equal(told, ""); /* who says nothing says nothing of it */
    say((struct saying){ .running = 1, .wanted = 2, .state = SLOT_INSTALLED });
    settle();
    assert_string_equal(told, "");
    say((struct saying){ .running = 1, .wanted = 1, .state = SLOT_COMMITTED });
    settle();
    assert_string_equal(told, ""); /* it is not ordered yet */
    say((struct saying){ .running = 1, .wanted = 2, .state = SLOT_RECEIVING });
    settle();
    assert_string_equal(told, "delta-given-up sat-1 1;");
    assert_int_equal(audits("delta-refused"), 1);
    settle();
    assert_string_equal(told, "delta-refused sat-1 1;");
    assert_queue("f2");
}

/* ---- another base ---- */

static void another_base_is_another_choice(void **state)
{
    (void)state;
    add_delta(1, 3, DELTA_READY);
    runs(2);
    add_delta(2, 3, DELTA_READY);
    (void)queue(3, false, 0);
    assert_queue("23");
    runs(2);
    settle();
    assert_queue("23");
    runs(1); /* rolled back */
    settle();
    assert_string_equal(told, "delta-base-changed sat-1 2;");
    assert_queue("13");
    assert_int_equal(audits("delta-base-changed"), 1);
    settle();
    assert_string_equal(told, "");
}

/* It may say one thing now and another then, as often as it likes. */
static void a_base_that_changes_again_gets_no_further_delta(void **state)
{
    (void)state;
    add_delta(1, 3, DELTA_READY);
    add_delta(2, 3, DELTA_READY);
    runs(2);
    (void)queue(3, false, 0);
    for (unsigned i = 0; i < 20; i++) {
        runs(i % 2 ? 2 : 1);
        settle();
    }
    assert_queue("f3");
    assert_int_equal(audits("delta-base-changed"), 1);
    assert_int_equal(audits("delta-refused"), 1);
}

/* A version that was withdrawn took its delta out of the queue: no base has changed by that. */
static void a_delta_that_was_withdrawn_did_not_give_way(void **state)
{
    const struct digest three = digest_of(3);

    (void)state;
    add_delta(1, 3, DELTA_READY);
    add_delta(2, 3, DELTA_READY);
    runs(1);
    (void)queue(3, false, 0);
    assert_queue("13");
    assert_rc(deliver_withdraw(store, SAT, &three, &err), RC_OK);
    assert_queue("");
    runs(2);
    (void)queue(3, false, 0);
    assert_queue("23");
    runs(1);
    settle();
    assert_string_equal(told, "delta-base-changed sat-1 2;");
    assert_queue("13");
    assert_int_equal(audits("delta-refused"), 0);
}

static void without_a_delta_for_the_other_base_the_full_package_goes(void **state)
{
    (void)state;
    add_delta(2, 3, DELTA_READY);
    runs(2);
    (void)queue(3, false, 0);
    runs(1);
    settle();
    assert_string_equal(told, "delta-base-changed sat-1 1;");
    assert_queue("f3");
}

static void a_delta_in_the_making_is_waited_for(void **state)
{
    (void)state;
    add_delta(2, 3, DELTA_READY);
    runs(2);
    (void)queue(3, false, 0);
    runs(1);
    assert_true(settle_making(1, 3));
    assert_queue("23");                /* nothing is lost: it does no harm there */
    assert_false(settle_making(2, 1)); /* another one's making is none of ours */
    assert_queue("f3");
}

static void a_moment_without_it_running_says_nothing(void **state)
{
    (void)state;
    runs(1);
    (void)queue(2, false, 0);
    say((struct saying){ .wanted = 2, .state = SLOT_ABSENT });
    settle();
    assert_queue("12");
    say((struct saying){ .running = 2, .wanted = 2, .state = SLOT_TRIAL });
    settle();
    assert_queue("12");
}

/* Two versions may have the same files: then one delta package fits both. */
static void one_object_may_have_two_bases(void **state)
{
    struct store_delta same;
    struct digest base = digest_of(1), to = digest_of(2);

    (void)state;
    assert_rc(store_delta(store, &base, &to, &same, &err), RC_OK);
    same.base = digest_of(3);
    assert_rc(store_put_delta(store, &same, &err), RC_OK);
    runs(1);
    (void)queue(2, false, 0);
    runs(3);
    settle();
    assert_string_equal(told, "");
    assert_queue("12");
}

/* ---- withdrawing ---- */

static void withdrawing_takes_every_object_of_a_version(void **state)
{
    const struct digest two = digest_of(2), three = digest_of(3), nothing = { 0 };

    (void)state;
    add_delta(1, 3, DELTA_READY);
    runs(1);
    (void)queue(2, false, 0);
    (void)queue(3, false, 0);
    assert_queue("12 13");
    assert_rc(deliver_withdraw(store, SAT, &nothing, &err), RC_OK);
    assert_queue("12 13");
    assert_rc(deliver_withdraw(store, SAT, &two, &err), RC_OK);
    assert_queue("13");
    assert_rc(deliver_withdraw(store, "sat-2", &three, &err), RC_OK);
    assert_queue("13");
    assert_rc(deliver_withdraw(store, SAT, &three, &err), RC_OK);
    assert_queue("");
}

/* ---- repairs ---- */

static uint32_t repair(uint64_t now_ms)
{
    scoped(view_free) struct view *view = NULL;
    uint32_t again = 0;

    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(ingest_repair(store, view, view_find(view, SAT), now_ms, &again, &err), RC_OK);
    return again;
}

/* A satellite that needs a package to repair a slot gets the full one, once it was sent that
 * before; another tenant's, or one that nobody knows, it cannot ask for. */
static void what_a_repair_needs_is_sent_again(void **state)
{
    struct saying s = { .running = 2, .wanted = 2, .state = SLOT_COMMITTED, .needs = 2 };

    (void)state;
    say(s);
    assert_int_equal(repair(NOW), 0); /* never sent, and no order names it */
    (void)queue(2, false, 0);
    assert_queue("f2");
    assert_int_equal(repair(NOW), 0); /* it is on its way */
    arrived(0xf2);
    assert_int_equal(repair(NOW + INGEST_LOST_MS - 1), 0); /* let it work */
    assert_int_equal(repair(NOW + INGEST_LOST_MS), 1);
    assert_queue("f2");
    s.needs = 9;
    say(s);
    assert_int_equal(repair(NOW), 0);
    arrived(0xf2);
    runs(2); /* and it is whole */
    assert_int_equal(repair(NOW + 2 * INGEST_LOST_MS), 0);
    assert_queue("");
}

int main(void)
{
#define ROW(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ROW(without_a_report_the_full_package_goes),
        ROW(a_known_base_gets_the_delta),
        ROW(one_object_of_a_version_is_enough),
        ROW(a_delta_that_has_gone_is_not_queued),
        ROW(what_was_just_delivered_is_not_sent_again),
        ROW(another_payloads_version_is_no_base),
        ROW(refused_deltas_give_way_to_the_full_package),
        ROW(other_refusals_change_nothing),
        ROW(events_count_once),
        ROW(events_are_about_the_newest_delta),
        ROW(a_delta_that_comes_to_nothing_gives_way),
        ROW(another_base_is_another_choice),
        ROW(a_base_that_changes_again_gets_no_further_delta),
        ROW(a_delta_that_was_withdrawn_did_not_give_way),
        ROW(without_a_delta_for_the_other_base_the_full_package_goes),
        ROW(a_delta_in_the_making_is_waited_for),
        ROW(a_moment_without_it_running_says_nothing),
        ROW(one_object_may_have_two_bases),
        ROW(withdrawing_takes_every_object_of_a_version),
        ROW(what_a_repair_needs_is_sent_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
