/* SPDX-License-Identifier: Apache-2.0
 *
 * Briefs: how small they are, what the root of a report covers, when a satellite says no more, and
 * what the ground makes of them, over links that lose, double and overtake.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/report.h"
#include "base/fs.h"
#include "link/dircl.h"
#include "link/outbox.h"
#include "orchestrator/brief.h"
#include "orchestrator/ingest.h"
#include "tests/unit/documents.h"
#include "tests/unit/link_fixture.h"

static struct err err;
static uint8_t buf[REPORT_MAX];

static struct brief good_brief(void)
{
    struct brief b = { .satellite = "aurora-1", .epoch = 7, .seq = 900, .time_ms = NOW_MS };

    memset(&b.root, 0x44, sizeof b.root);
    return b;
}

/* ---- the document ---- */

static void a_brief_is_small(void **state)
{
    struct brief b = good_brief(), back;
    struct bytes out;

    (void)state;
    assert_rc(brief_encode(&b, buf, sizeof buf, &out, &err), RC_OK);
    print_message("a brief: %zu bytes\n", out.n);
    assert_true(out.n <= 52);
    assert_rc(brief_decode(out, &back, &err), RC_OK);
    assert_memory_equal(&back, &b, sizeof b);
    for (size_t n = 0; n < out.n; n++)
        assert_int_not_equal(brief_decode((struct bytes){ out.p, n }, &back, &err), RC_OK);
    memset(b.satellite, 'z', NAME_MAX_LEN);
    b.epoch = b.seq = b.time_ms = INT64_MAX;
    assert_rc(brief_encode(&b, buf, sizeof buf, &out, &err), RC_OK);
    assert_true(out.n <= BRIEF_MAX);
    b.seq = 1ULL << 63;
    assert_rc(brief_encode(&b, buf, sizeof buf, &out, &err), RC_VALUE);
    b = good_brief();
    b.satellite[0] = '-';
    assert_rc(brief_encode(&b, buf, sizeof buf, &out, &err), RC_NAME);
}

/* ---- the root ---- */

static void r_number(struct report *r)
{
    r->epoch++;
    r->seq += 5;
    r->time_ms += 1000;
}
static void r_use(struct report *r)
{
    r->payload[0].memory_kib++;
    r->payload[0].cpu_ms += 40;
}
static void r_traffic(struct report *r)
{
    r->traffic = (struct report_traffic){ 3, { 10, 5, 4, 9 }, { 30, 10, 20, 19 }, 0, 0, 0 };
}
static void r_passes(struct report *r)
{
    r->passes_order = 4;
}
static void r_heard(struct report *r)
{
    r->traffic = (struct report_traffic){ 3, { 10, 5, 4, 9 }, { 30, 10, 20, 19 }, 2, 77, 60 };
}
static void r_state(struct report *r)
{
    r->payload[0].state = SLOT_COMMITTED;
    r->payload[0].code = 0;
}
static void r_running(struct report *r)
{
    memset(&r->payload[0].running, 0x71, sizeof r->payload[0].running);
}
static void r_restarts(struct report *r)
{
    r->payload[0].restarts++;
}
static void r_event(struct report *r)
{
    r->event[1].count++;
}
static void r_generation(struct report *r)
{
    r->generation++;
}
static void r_root(struct report *r)
{
    r->root_version++;
}
static void r_object(struct report *r)
{
    r->n_objects = 0;
}
static void r_witness(struct report *r)
{
    r->keeps_witness = true;
}
static void r_other(struct report *r)
{
    r->satellite[0] = 'b';
}

static void the_root_covers_what_was_told(void **state)
{
    static const struct {
        void (*edit)(struct report *r);
        bool same;
    } rows[] = {
        { r_number, true },   { r_use, true },         { r_traffic, true },  { r_passes, true },
        { r_heard, false },   { r_state, false },      { r_running, false }, { r_restarts, false },
        { r_event, false },   { r_generation, false }, { r_root, false },    { r_object, false },
        { r_witness, false }, { r_other, false },
    };
    static struct report r;
    struct report_root before, after;

    (void)state;
    doc_report(&r);
    assert_rc(report_root(&r, &before, &err), RC_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        doc_report(&r);
        rows[i].edit(&r);
        assert_rc(report_root(&r, &after, &err), RC_OK);
        if ((memcmp(&before, &after, sizeof before) == 0) != rows[i].same)
            fail_msg("row %zu", i);
    }
}

static void a_brief_comes_after_three_reports(void **state)
{
    struct report_told told = { 0 };
    const struct report_root a = { { 1 } }, b = { { 2 } }, zero = { { 0 } };

    (void)state;
    assert_false(report_brief_enough(&told, &zero, true)); /* nothing was told yet */
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < REPORT_FULL_TIMES; i++)
            assert_false(report_brief_enough(&told, &a, true));
        assert_true(report_brief_enough(&told, &a, true));
        assert_false(report_brief_enough(&told, &b, true));
        assert_false(report_brief_enough(&told, &a, false)); /* somebody waits for it */
        told = (struct report_told){ 0 };
    }
    for (unsigned i = 0; i < REPORT_FULL_TIMES; i++)
        assert_false(report_brief_enough(&told, &a, true));
    for (unsigned i = 0; i < REPORT_BRIEF_TIMES; i++)
        assert_true(report_brief_enough(&told, &a, true));
    assert_false(report_brief_enough(&told, &a, true)); /* and then all of it, once */
    assert_true(report_brief_enough(&told, &a, true));
}

/* ---- over a bad link ---- */

#define SENT_MAX 1536U

/* Everything that the satellite ever sent, with what was true then. */
static struct {
    bool full;
    struct brief brief; /* of a report: its number and root */
    uint32_t truth;
} sent[SENT_MAX];
static unsigned n_sent;

/* What the ground shows. */
static struct {
    bool has;
    uint64_t epoch, seq;
    struct report_root root;
    uint32_t shows;
} ground;

static uint64_t random_state;

static unsigned roll(unsigned n)
{
    random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(random_state >> 33) % n;
}

/* What a satellite in this state, having heard so much, reports. */
static struct report_root root_of(uint32_t truth, uint32_t heard)
{
    static struct report r;
    struct report_root root;

    doc_report(&r);
    r.payload[0].restarts = truth;
    r.traffic.contacts = 1;
    r.traffic.key_epoch = 1;
    r.traffic.highest = r.traffic.accepted = heard;
    assert_rc(report_root(&r, &root, &err), RC_OK);
    return root;
}

/* The satellite's number of this message, one row over restarts. */
static bool later(uint64_t epoch, uint64_t seq)
{
    return !ground.has || epoch > ground.epoch || (epoch == ground.epoch && seq > ground.seq);
}

/* Whether the ground asks. */
static bool arrive(unsigned i)
{
    const struct brief *b = &sent[i].brief;

    if (sent[i].full) {
        if (!later(b->epoch, b->seq))
            return false;
        ground.has = true;
        ground.root = b->root;
        ground.shows = sent[i].truth;
    } else {
        enum brief_says says =
            brief_judge(b, ground.epoch, ground.seq, ground.has ? &ground.root : NULL);

        if (says != BRIEF_SAME)
            return says == BRIEF_DIFFERS;
    }
    assert_true(later(b->epoch, b->seq) || sent[i].full);
    ground.epoch = b->epoch;
    ground.seq = b->seq;
    /* Never anything but what was true when the satellite said this. */
    assert_int_equal(ground.shows, sent[i].truth);
    return false;
}

struct satellite {
    struct report_told told;
    uint64_t epoch, seq;
    uint32_t truth, heard;
};

static void say(struct satellite *s)
{
    struct brief b = { .epoch = s->epoch, .seq = ++s->seq, .root = root_of(s->truth, s->heard) };

    assert_true(n_sent < SENT_MAX);
    sent[n_sent].full = !report_brief_enough(&s->told, &b.root, true);
    sent[n_sent].brief = b;
    sent[n_sent].truth = s->truth;
    n_sent++;
}

static void live(struct satellite *s, bool calm)
{
    if (!calm && roll(8) == 0)
        s->truth = roll(3); /* comes back to what it was, too */
    if (!calm && roll(40) == 0) {
        s->epoch++;
        s->seq = 0;
        s->told = (struct report_told){ 0 };
    }
    say(s);
}

static void one_history(uint64_t seed)
{
    struct satellite s = { .epoch = 1 };

    random_state = seed;
    n_sent = 0;
    memset(&ground, 0, sizeof ground);
    for (unsigned step = 0; step < 300; step++) {
        live(&s, false);
        for (unsigned k = roll(3); k > 0; k--) { /* lost, doubled, late, out of order */
            unsigned back = roll(10);
            bool asks = arrive(n_sent - 1 - (back < n_sent ? back : n_sent - 1));

            if (asks && roll(2) == 0) /* what asks may get lost as well */
                s.heard++;
        }
    }
    for (unsigned step = 0; step < 8; step++) { /* a link that works for a while */
        live(&s, true);
        s.heard += arrive(n_sent - 1);
    }
    assert_int_equal(ground.shows, s.truth);
    assert_int_equal(ground.epoch, s.epoch);
    assert_int_equal(ground.seq, s.seq);
}

static void the_ground_converges_and_shows_nothing_else(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++)
        one_history(seed);
}

/* ---- over batches, through the real outbox ---- */

#define BEAT_S 30U     /* between two reports */
#define TRIMMED_TO 4U  /* as link/endpoint does */
#define CARRIED_MAX 8U /* beside mail there is never more in the downlink */

struct carried {
    struct link_tmp keys, down;
    struct link_state link;
    unsigned at[SENT_MAX]; /* counter to place in sent */
};

static void carried_open(struct carried *c)
{
    struct keys keys;

    *c = (struct carried){ .keys = link_tmp_new(), .down = link_tmp_new() };
    assert_rc(keys_make(1, 42, &keys, &err), RC_OK);
    assert_rc(link_state_make(c->keys.fd, LINK_SIDE_SATELLITE, &keys, &err), RC_OK);
    assert_rc(link_state_open(c->keys.fd, LINK_SIDE_SATELLITE, &c->link, &err), RC_OK);
}

static void carried_close(struct carried *c)
{
    link_state_done(&c->link);
    link_tmp_free(&c->keys);
    link_tmp_free(&c->down);
}

/* One beat: what the satellite says now lies in the downlink, and old files make room. */
static void beat(struct carried *c, struct satellite *s)
{
    say(s);
    const uint64_t counter = c->link.ring->key[0].counter.next;
    const struct bytes place = bytes_of("sealed");

    assert_true(counter < SENT_MAX);
    c->at[counter] = n_sent - 1;
    assert_rc(sent[n_sent - 1].full ? outbox_put(&c->link, "", c->down.fd, place, &err)
                                    : outbox_put_brief(&c->link, c->down.fd, place, &err),
              RC_OK);
    assert_rc(outbox_trim(&c->link, c->down.fd, TRIMMED_TO, &err), RC_OK);
}

/* The carrier takes all that is there to the ground, in order, and what asks goes up at once. */
static void pass(struct carried *c, struct satellite *s)
{
    static struct dircl_scan scan;
    bool asks = false;

    assert_rc(dircl_scan(c->down.fd, UINT64_C(1) << 40, &scan, &err), RC_OK);
    assert_true(scan.n > 0 && scan.n <= CARRIED_MAX);
    for (size_t i = 0; i < scan.n; i++) {
        asks |= arrive(c->at[strtoull(scan.name[i] + 9, NULL, 16)]);
        assert_int_equal(unlinkat(c->down.fd, scan.name[i], 0), 0);
    }
    s->heard += asks;
}

/* A state that changes somewhere between two passes is shown at the very next one. */
static void batches(unsigned minutes)
{
    const unsigned beats = minutes * 60U / BEAT_S;
    struct satellite s = { .epoch = 1 };
    struct carried c;

    n_sent = 0;
    memset(&ground, 0, sizeof ground);
    carried_open(&c);
    for (unsigned k = 0; k < 3; k++) {
        const unsigned lasts = k == 0 ? 5 : beats, change = k == 0 ? beats : roll(beats);

        for (unsigned i = 0; i < lasts; i++) {
            s.truth += i == change;
            beat(&c, &s);
        }
        pass(&c, &s);
        if (!ground.has || ground.shows != s.truth || ground.seq != s.seq)
            fail_msg("%u minutes, pass %u: shows %u of %u", minutes, k, ground.shows, s.truth);
    }
    carried_close(&c);
}

static void batches_bring_every_change(void **state)
{
    static const unsigned rows[] = { 1, 2, 5, 7, 10, 15, 30, 60, 90, 140, 180 };

    (void)state;
    random_state = 5;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        batches(rows[i]);
}

/* ---- the store ---- */

static char dir[64], path[96];
static struct store *store;

static int open_store(void **state)
{
    const struct store_satellite sat = {
        .id = "aurora-1", .node = 101, .up = "/u", .down = "/d", .link_keys = "/k"
    };
    struct store_order order = { .satellite = "aurora-1",
                                 .generation = 12,
                                 .state = ORDER_RELEASED,
                                 .created_ms = 1,
                                 .changed_ms = 1 };
    struct store_outgoing row = { .satellite = "aurora-1",
                                  .kind = 3,
                                  .class = CLASS_ORDER,
                                  .size = 3,
                                  .path = "objects/x",
                                  .queued_ms = 1 };

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-brief-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    order.object.b[0] = row.object.b[0] = 9;
    order.payload.b[0] = 8;
    assert_rc(store_add_order(store, &order, bytes_of("abc"), &err), RC_OK);
    assert_rc(store_queue(store, &row, false, &err), RC_OK);
    assert_rc(ingest_complete(store, "aurora-1", row.object.b, NOW_MS, &err), RC_OK);
    return 0;
}

static int close_store(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    store_close(&store);
    return fs_remove_tree(tmp, dir + strlen("/tmp/"), &err) == RC_OK ? 0 : 1;
}

static struct report report, back;

static struct store_observed observed(void)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct store_observed row;
    size_t n = 0;

    assert_rc(store_report(store, "aurora-1", &row, &bytes, &n, &err), RC_OK);
    return row;
}

static size_t queued(void)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;

    assert_rc(store_outgoing(store, "aurora-1", OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    return n;
}

static enum brief_says take(struct brief b, uint64_t now_ms)
{
    enum brief_says says = BRIEF_OLD;
    struct bytes out;

    assert_rc(brief_encode(&b, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(brief_ingest(store, "aurora-1", out, now_ms, &says, &back, &err), RC_OK);
    return says;
}

static struct brief full_report(void)
{
    struct brief b = { .satellite = "aurora-1", .time_ms = NOW_MS + 5 };
    struct bytes out;

    doc_report(&report);
    assert_rc(report_encode(&report, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(ingest_report(store, "aurora-1", out, NOW_MS, &back, &err), RC_OK);
    assert_rc(report_root(&report, &b.root, &err), RC_OK);
    b.epoch = report.epoch;
    b.seq = report.seq + 1;
    return b;
}

static void the_same_state_is_fresh_again(void **state)
{
    struct brief b = full_report();

    (void)state;
    assert_int_equal(take(b, NOW_MS + 1000), BRIEF_SAME);
    assert_int_equal(observed().seq, b.seq);
    assert_true(observed().received_ms == NOW_MS + 1000);
    assert_int_equal(back.seq, b.seq);
    assert_int_equal(back.n_payloads, report.n_payloads);
    assert_int_equal(take(b, NOW_MS + 2000), BRIEF_OLD); /* a replay */
    b.seq--;
    assert_int_equal(take(b, NOW_MS + 2000), BRIEF_OLD);
    b.epoch--;
    b.seq = 5000;
    assert_int_equal(take(b, NOW_MS + 2000), BRIEF_OLD);
    assert_true(observed().received_ms == NOW_MS + 1000);
    assert_int_equal(queued(), 0);
}

/* The report that the store holds. */
static struct report held(void)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    static struct report r;
    struct store_observed row;
    size_t n = 0;

    assert_rc(store_report(store, "aurora-1", &row, &bytes, &n, &err), RC_OK);
    assert_rc(report_decode((struct bytes){ bytes, n }, &r, &err), RC_OK);
    return r;
}

/* Arrival and the satellite's own time are of one message: together they tell its clock. */
static void a_brief_brings_its_own_time(void **state)
{
    struct brief b = full_report();
    const uint64_t later = 5400000;
    struct report_root root;

    (void)state;
    b.time_ms = held().time_ms + later;
    assert_int_equal(take(b, NOW_MS + later), BRIEF_SAME);
    assert_true(observed().received_ms == NOW_MS + later);
    assert_true(held().time_ms == b.time_ms);
    assert_int_equal(held().seq, b.seq);
    struct report r = held();

    assert_rc(report_root(&r, &root, &err), RC_OK);
    assert_memory_equal(&root, &b.root, sizeof root);
}

static size_t heard(struct store_heard *ret_last)
{
    scoped(free_ptr) struct store_heard *rows = NULL;
    size_t n = 0;

    assert_rc(store_heard(store, "aurora-1", &rows, &n, &err), RC_OK);
    if (n > 0)
        *ret_last = rows[n - 1];
    return n;
}

/* A pass in which only briefs came, or the report of a contact that was told before, was one. */
static void every_pass_is_heard(void **state)
{
    struct brief b = full_report();
    const uint64_t pass = 5400000;
    struct store_heard last = { 0 };
    const size_t before = heard(&last);
    struct bytes out;

    (void)state;
    assert_int_equal(before, 1);
    for (unsigned i = 0; i < 4; i++) { /* thirty seconds apart: one pass */
        assert_int_equal(take(b, NOW_MS + pass + i * 30000U), BRIEF_SAME);
        b.seq++;
    }
    assert_int_equal(heard(&last), 2);
    assert_true(last.received_ms == NOW_MS + pass);
    assert_int_equal(last.contact, 0);
    assert_int_equal(last.arrived, 0);
    b.root.b[0] ^= 1;
    assert_int_equal(take(b, NOW_MS + 2 * pass), BRIEF_DIFFERS);
    assert_int_equal(heard(&last), 3);
    assert_int_equal(take((struct brief){ .satellite = "aurora-1" }, NOW_MS + 3 * pass), BRIEF_OLD);
    assert_int_equal(heard(&last), 3);
    report.seq = b.seq + 1;
    assert_rc(report_encode(&report, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(ingest_report(store, "aurora-1", out, NOW_MS + 3 * pass, &back, &err), RC_OK);
    assert_int_equal(heard(&last), 4);
    assert_true(last.received_ms == NOW_MS + 3 * pass);
    assert_int_equal(last.contact, 0);
}

/* It does not become fresh, and nothing else is shown: the satellite is asked, not too often. */
static void another_state_is_asked_for(void **state)
{
    struct brief b = full_report();

    (void)state;
    b.root.b[0] ^= 1;
    assert_int_equal(take(b, NOW_MS + 1000), BRIEF_DIFFERS);
    assert_int_equal(queued(), 0); /* the order only just arrived */
    assert_int_equal(take(b, NOW_MS + BRIEF_ASK_MS), BRIEF_DIFFERS);
    assert_int_equal(queued(), 1);
    b.seq++;
    assert_int_equal(take(b, NOW_MS + 2 * BRIEF_ASK_MS), BRIEF_DIFFERS);
    assert_int_equal(queued(), 1);
    assert_int_equal(observed().seq, report.seq);
    assert_true(observed().received_ms == NOW_MS);
}

static void a_brief_alone_shows_nothing(void **state)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct store_observed row;
    size_t n = 0;

    (void)state;
    assert_int_equal(take(good_brief(), NOW_MS + BRIEF_ASK_MS), BRIEF_DIFFERS);
    assert_rc(store_report(store, "aurora-1", &row, &bytes, &n, &err), RC_NOT_FOUND);
    assert_int_equal(queued(), 1);
}

static void another_satellites_brief_is_refused(void **state)
{
    struct brief b = full_report();
    enum brief_says says = BRIEF_OLD;
    struct bytes out;

    (void)state;
    memcpy(b.satellite, "aurora-2", 9);
    assert_rc(brief_encode(&b, buf, sizeof buf, &out, &err), RC_OK);
    assert_rc(brief_ingest(store, "aurora-1", out, NOW_MS, &says, &back, &err), RC_NO_SATELLITE);
    assert_rc(brief_ingest(store, "aurora-1", bytes_of("no brief"), NOW_MS, &says, &back, &err),
              err.rc);
    assert_int_not_equal(err.rc, RC_OK);
    assert_int_equal(observed().seq, report.seq);
}

int main(void)
{
#define STORE(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_brief_is_small),
        cmocka_unit_test(the_root_covers_what_was_told),
        cmocka_unit_test(a_brief_comes_after_three_reports),
        cmocka_unit_test(the_ground_converges_and_shows_nothing_else),
        cmocka_unit_test(batches_bring_every_change),
        STORE(the_same_state_is_fresh_again),
        STORE(a_brief_brings_its_own_time),
        STORE(every_pass_is_heard),
        STORE(another_state_is_asked_for),
        STORE(a_brief_alone_shows_nothing),
        STORE(another_satellites_brief_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
