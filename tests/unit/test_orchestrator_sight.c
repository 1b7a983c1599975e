/* SPDX-License-Identifier: Apache-2.0
 *
 * What the ground keeps of reports and orders is what they say: the compact form against the whole
 * document, on random reports, in memory and through the store.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/ingest.h"
#include "orchestrator/view.h"
#include "tests/unit/documents.h"
#include "tests/unit/store_rig.h"

#define ROUNDS 400U
#define SATELLITES 60U

static uint64_t state_of_random;

static uint64_t random_below(uint64_t n)
{
    state_of_random = state_of_random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state_of_random >> 33) % n;
}

static bool coin(void)
{
    return random_below(2) == 1;
}

static void fill(void *p, size_t n)
{
    uint8_t *b = p;

    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)(1 + random_below(255));
}

static void random_payload(struct report_payload *p, uint32_t i)
{
    *p = (struct report_payload){ .state = (enum slot_state)random_below(SLOT_STATES),
                                  .is_running = coin(),
                                  .code = coin() ? (uint32_t)random_below(600) : 0,
                                  .restarts = (uint32_t)random_below(UINT32_MAX),
                                  .memory_kib = (uint32_t)random_below(UINT32_MAX),
                                  .cpu_ms = (uint32_t)random_below(UINT32_MAX) };
    (void)snprintf(p->tenant, sizeof p->tenant, "tenant-%u", i / 8);
    (void)snprintf(p->name, sizeof p->name, "payload-%02u", i);
    (void)snprintf(p->version, sizeof p->version, "%u.%u", i, (unsigned)random_below(100));
    if (coin())
        fill(&p->wanted, sizeof p->wanted);
    p->running = p->wanted;
    if (coin())
        fill(&p->running, sizeof p->running);
}

static void random_event(struct report_event *e, uint64_t seq)
{
    *e = (struct report_event){ .seq = seq,
                                .code = random_below(3) == 0 ? (uint32_t)RC_DRIFT : RC_SHORT,
                                .count = 1 };
    (void)snprintf(e->what, sizeof e->what, "event %u", (unsigned)random_below(1000));
}

/* A report that a satellite may have sent, with up to n of what there may be many of. */
static void random_report(struct report *r, const char *satellite, uint64_t seq, uint32_t n)
{
    *r = (struct report){ .epoch = 1,
                          .seq = seq,
                          .time_ms = seq,
                          .root_version = 1 + random_below(1000),
                          .generation = random_below(1000),
                          .staged = coin() ? random_below(1000) : 0,
                          .n_payloads = (uint32_t)random_below(n + 1),
                          .n_events = (uint32_t)random_below(4),
                          .n_objects = (uint32_t)random_below(n + 1),
                          .lost = (uint32_t)random_below(LOST_ALL + 1),
                          .passes_document = (uint32_t)random_below(100),
                          .keeps_witness = coin() };
    (void)snprintf(r->satellite, sizeof r->satellite, "%s", satellite);
    r->passes_order = r->passes_document + (uint32_t)random_below(100);
    for (uint32_t i = 0; i < r->n_payloads; i++)
        random_payload(&r->payload[i], i);
    for (uint32_t i = 0; i < r->n_events; i++)
        random_event(&r->event[i], 10 * seq + i);
    for (uint32_t i = 0; i < r->n_objects; i++)
        fill(&r->object[i], sizeof r->object[i]);
    if (coin()) {
        r->agent.trial = coin();
        if (coin())
            fill(&r->agent.running, sizeof r->agent.running);
        (void)snprintf(r->agent.version, sizeof r->agent.version, "1.2.3");
    }
    if (coin()) {
        r->scrub.rounds = 1;
        r->scrub.files = r->scrub.damaged = 100;
        r->scrub.n_wanted = (uint32_t)random_below(REPORT_WANTED_MAX + 1);
        for (uint32_t i = 0; i < r->scrub.n_wanted; i++)
            fill(&r->scrub.wanted[i], sizeof r->scrub.wanted[i]);
    }
    if (coin()) {
        r->walls =
            (struct report_walls){ .standing = 0xf0, .missing = random_below(16), .cgroup = 2 };
        r->walls.waived = r->walls.missing & random_below(16);
        for (uint32_t i = 0; i < r->n_payloads; i++)
            if (r->payload[i].is_running && !digest_is_none(&r->payload[i].running))
                fill(r->payload[i].receipt, sizeof r->payload[i].receipt);
    }
    if (r->keeps_witness && coin()) {
        r->witness.seq = 1 + random_below(1000);
        fill(&r->witness.head, sizeof r->witness.head);
    }
}

static void assert_same_payload(const struct report_payload *a, const struct report_payload *b)
{
    assert_string_equal(a->tenant, b->tenant);
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->version, b->version);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->code, b->code);
    assert_int_equal(a->is_running, b->is_running);
    assert_int_equal(a->restarts, b->restarts);
    assert_int_equal(a->memory_kib, b->memory_kib);
    assert_int_equal(a->cpu_ms, b->cpu_ms);
    assert_memory_equal(&a->wanted, &b->wanted, sizeof a->wanted);
    assert_memory_equal(&a->running, &b->running, sizeof a->running);
    assert_memory_equal(a->receipt, b->receipt, sizeof a->receipt);
}

static const char *newest_drift(const struct report *r)
{
    const char *ret = NULL;

    for (uint32_t i = 0; i < r->n_events; i++)
        ret = r->event[i].code == (uint32_t)RC_DRIFT ? r->event[i].what : ret;
    return ret;
}

static void assert_says(const struct sight *s, const struct report *r)
{
    const char *drift = newest_drift(r);

    assert_non_null(s);
    assert_int_equal(s->epoch, r->epoch);
    assert_int_equal(s->seq, r->seq);
    assert_int_equal(s->root_version, r->root_version);
    assert_int_equal(s->generation, r->generation);
    assert_int_equal(s->staged, r->staged);
    assert_int_equal(s->lost, r->lost);
    assert_int_equal(s->passes_order, r->passes_order);
    assert_int_equal(s->passes_document, r->passes_document);
    assert_int_equal(s->keeps_witness, r->keeps_witness);
    assert_int_equal(s->trial, r->agent.trial);
    assert_string_equal(s->agent_version, r->agent.version);
    assert_memory_equal(&s->agent_running, &r->agent.running, DIGEST_SIZE);
    assert_int_equal(s->witness.seq, r->witness.seq);
    assert_memory_equal(&s->witness.head, &r->witness.head, sizeof s->witness.head);
    assert_int_equal(s->walls.standing, r->walls.standing);
    assert_int_equal(s->walls.missing, r->walls.missing);
    assert_int_equal(s->walls.waived, r->walls.waived);
    assert_int_equal(s->walls.landlock, r->walls.landlock);
    assert_int_equal(s->walls.cgroup, r->walls.cgroup);
    assert_int_equal(s->n_payloads, r->n_payloads);
    for (uint32_t i = 0; i < r->n_payloads; i++)
        assert_same_payload(&s->payload[i], &r->payload[i]);
    assert_int_equal(s->n_objects, r->n_objects);
    for (uint32_t i = 0; i < r->n_objects; i++)
        assert_memory_equal(&s->object[i], &r->object[i], DIGEST_SIZE);
    assert_int_equal(s->n_damaged, r->scrub.n_wanted);
    for (uint32_t i = 0; i < r->scrub.n_wanted; i++)
        assert_memory_equal(&s->damaged[i], &r->scrub.wanted[i], DIGEST_SIZE);
    assert_int_equal(s->drift != NULL, drift != NULL);
    if (drift)
        assert_string_equal(s->drift, drift);
}

static struct report made, decoded;
static uint8_t wire[REPORT_MAX], blob[SIGHT_MAX], again[SIGHT_MAX];
static struct err err;

static void check_round(uint32_t round)
{
    scoped(arena_done) struct arena arena = { 0 };
    struct sight *kept = NULL, *back = NULL;
    struct bytes bytes, small, same;

    random_report(&made, "sat-1", round + 1, round % 8 == 0 ? 40 : 6);
    assert_rc(report_encode(&made, wire, sizeof wire, &bytes, &err), RC_OK);
    assert_rc(report_decode(bytes, &decoded, &err), RC_OK);
    const struct sight view = sight_of(&decoded);

    assert_says(&view, &made);
    assert_rc(sight_keep(&arena, &decoded, &kept, &err), RC_OK);
    assert_says(kept, &made);
    assert_rc(sight_encode(kept, blob, sizeof blob, &small, &err), RC_OK);
    assert_rc(sight_decode(small, &arena, &back, &err), RC_OK);
    assert_says(back, &made);
    assert_rc(sight_encode(back, again, sizeof again, &same, &err), RC_OK);
    assert_int_equal(same.n, small.n);
    assert_memory_equal(same.p, small.p, small.n);
}

static void a_sight_says_what_the_report_says(void **state)
{
    (void)state;
    state_of_random = 7;
    for (uint32_t round = 0; round < ROUNDS; round++)
        check_round(round);
}

/* Cut off anywhere it is refused; changed anywhere it is refused or says something else. */
static void what_is_damaged_is_refused(void **state)
{
    struct bytes whole;

    (void)state;
    state_of_random = 11;
    random_report(&made, "sat-1", 1, 6);
    made.n_payloads = 2;
    random_payload(&made.payload[0], 0);
    random_payload(&made.payload[1], 1);
    const struct sight view = sight_of(&made);

    assert_rc(sight_encode(&view, blob, sizeof blob, &whole, &err), RC_OK);
    assert_rc(sight_encode(&view, again, whole.n - 1, &(struct bytes){ 0 }, &err), RC_NO_ROOM);
    for (size_t n = 0; n < whole.n; n++) {
        scoped(arena_done) struct arena arena = { 0 };
        struct sight *ret = NULL;

        assert_true(sight_decode((struct bytes){ blob, n }, &arena, &ret, &err) != RC_OK);
        assert_null(ret);
    }
    for (size_t i = 0; i < whole.n; i++) {
        scoped(arena_done) struct arena arena = { 0 };
        struct sight *ret = NULL;
        struct bytes same = { 0 };

        memcpy(again, blob, whole.n);
        again[i] ^= (uint8_t)(1U << random_below(8));
        if (sight_decode((struct bytes){ again, whole.n }, &arena, &ret, &err) != RC_OK) {
            assert_null(ret);
            continue;
        }
        assert_rc(sight_encode(ret, wire, sizeof wire, &same, &err), RC_OK);
        assert_false(bytes_equal(same, whole));
    }
}

/* ---- through the store ---- */

static char dir[64], path[96];
static struct store *store;

static int open_store(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-sight-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    return 0;
}

static int close_store(void **state)
{
    scoped(close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)state;
    store_close(&store);
    return fs_remove_tree(tmp, dir + strlen("/tmp/"), &err) == RC_OK ? 0 : 1;
}

static void name_of(uint32_t i, char ret[NAME_CAP])
{
    (void)snprintf(ret, NAME_CAP, "sat-%03u", i);
}

static void add_order(const char *id, uint64_t generation, enum order_state order_state)
{
    static struct signed_doc doc;
    struct order order = doc_order();
    struct store_order row = { .generation = generation, .state = order_state, .created_ms = 1 };

    (void)snprintf(order.satellite, sizeof order.satellite, "%s", id);
    (void)snprintf(row.satellite, sizeof row.satellite, "%s", id);
    order.generation = generation;
    order.n_lines = 1 + (uint32_t)random_below(order.n_lines);
    for (uint32_t i = 0; i < order.n_lines; i++) /* often as another satellite's */
        if (coin())
            fill(&order.line[i].manifest, sizeof order.line[i].manifest);
    doc_signed(&doc, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    fill(&row.object, sizeof row.object);
    assert_rc(store_add_order(store, &row, doc.bytes, &err), RC_OK);
}

/* Any history that a satellite may have, none included. */
static void add_random(uint32_t i)
{
    static const enum order_state states[] = { ORDER_SUPERSEDED, ORDER_ACKED, ORDER_RELEASED,
                                               ORDER_CANCELLED, ORDER_HELD };
    struct store_satellite sat = {
        .node = 101 + i, .up = "/u", .down = "/d", .link_keys = "/k", .labels = "lot=1"
    };
    uint64_t generation = 0;

    name_of(i, sat.id);
    assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    for (uint64_t n = random_below(5); n > 0; n--) {
        generation += 1 + random_below(3);
        add_order(sat.id, generation, states[random_below(5)]);
    }
    for (uint64_t n = random_below(3); n > 0; n--) {
        struct bytes bytes;

        random_report(&made, sat.id, 10 - n, 6);
        assert_rc(report_encode(&made, wire, sizeof wire, &bytes, &err), RC_OK);
        assert_rc(ingest_report(store, sat.id, bytes, 1000 + i, &decoded, &err), RC_OK);
    }
}

/* A satellite of a view, by what the store has of it one by one and in whole. */
static void assert_is(const struct view_satellite *sat)
{
    const struct store_order_filter filter = { .satellite = sat->row.id };
    scoped(free_ptr) struct store_order *rows = NULL;
    scoped(free_ptr) struct order *order = calloc(1, sizeof *order);
    scoped(free_ptr) struct report *report = NULL;
    scoped(free_ptr) uint8_t *held = NULL;
    struct store_observed seen;
    uint64_t newest = 0, released = 0;
    size_t n = 0;

    assert_non_null(order);
    assert_rc(store_orders(store, &filter, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        newest = rows[i].generation;
        if (rows[i].state == ORDER_RELEASED || rows[i].state == ORDER_ACKED)
            released = rows[i].generation;
    }
    assert_int_equal(sat->held, n > 0 && rows[n - 1].state == ORDER_HELD);
    assert_int_equal(sat->order.generation, released);
    if (released != 0) {
        assert_rc(view_load_order(store, sat->row.id, released, order, &err), RC_OK);
        assert_int_equal(sat->order.n_lines, order->n_lines);
        assert_memory_equal(sat->order.line, order->line, order->n_lines * sizeof *order->line);
    }
    enum rc rc = store_report(store, sat->row.id, &seen, &held, &n, &err);

    assert_int_equal(sat->seen != NULL, rc == RC_OK);
    assert_rc(view_report(store, sat, &report, &err), RC_OK);
    assert_int_equal(report != NULL, rc == RC_OK);
    if (report) {
        assert_says(sat->seen, report);
        assert_int_equal(sat->received_ms, seen.received_ms);
        newest = report->generation > newest ? report->generation : newest;
    }
    assert_int_equal(sat->newest, newest);
}

static void assert_view_is_the_store(void)
{
    scoped(view_free) struct view *view = NULL, *none = NULL;
    uint32_t orders = 0, reports = 0;

    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_int_equal(view->n, SATELLITES);
    for (uint32_t i = 0; i < SATELLITES; i++) {
        scoped(view_free) struct view *one = NULL;
        char id[NAME_CAP];

        name_of(i, id);
        assert_ptr_equal(view_find(view, id), &view->satellite[i]);
        assert_is(&view->satellite[i]);
        orders += view->satellite[i].order.generation != 0;
        reports += view->satellite[i].seen != NULL;
        assert_rc(view_load_one(store, id, &one, &err), RC_OK);
        assert_int_equal(one->n, 1);
        assert_string_equal(one->satellite[0].row.id, id);
        assert_is(&one->satellite[0]);
    }
    assert_true(orders > 0 && orders < SATELLITES && reports > 0 && reports < SATELLITES);
    assert_null(view_find(view, "sat-"));
    assert_null(view_find(view, "sat-999"));
    assert_rc(view_load_one(store, "sat-999", &none, &err), RC_OK);
    assert_int_equal(none->n, 0);
}

static void a_view_is_what_the_store_has(void **state)
{
    (void)state;
    state_of_random = 23;
    for (uint32_t i = 0; i < SATELLITES; i++)
        add_random(i);
    assert_view_is_the_store();
    /* as a store from before has it, that knows of documents only */
    assert_true(store_rig_sql(path, "UPDATE observed SET sight = NULL"));
    assert_view_is_the_store();
    assert_true(store_rig_sql(path, "DELETE FROM order_body"));
    assert_view_is_the_store();
    /* and with some of each */
    add_order("sat-000", 100, ORDER_RELEASED);
    random_report(&made, "sat-001", 20, 6);
    struct bytes bytes;

    assert_rc(report_encode(&made, wire, sizeof wire, &bytes, &err), RC_OK);
    assert_rc(ingest_report(store, "sat-001", bytes, 5000, &decoded, &err), RC_OK);
    assert_view_is_the_store();
}

/* Signed again, the same generation may say other things. */
static void an_order_signed_again_is_read_anew(void **state)
{
    static struct signed_doc doc;
    struct store_satellite sat = {
        .id = "sat-1", .node = 5, .up = "u", .down = "d", .link_keys = "k"
    };
    struct store_order row = { .satellite = "sat-1", .generation = 9, .state = ORDER_RELEASED };
    struct order order = doc_order();
    scoped(view_free) struct view *view = NULL;

    (void)state;
    assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    add_order("sat-1", 9, ORDER_HELD);
    (void)snprintf(order.satellite, sizeof order.satellite, "sat-1");
    order.generation = 9;
    memset(&order.line[0].manifest, 0x5a, DIGEST_SIZE);
    doc_signed(&doc, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    assert_rc(store_resign_order(store, &row, doc.bytes, &err), RC_OK);
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_int_equal(view->satellite[0].order.n_lines, order.n_lines);
    assert_memory_equal(view->satellite[0].order.line, order.line,
                        order.n_lines * sizeof *order.line);
}

static void an_arena_gives_what_it_is_asked_for(void **state)
{
    scoped(arena_done) struct arena arena = { 0 };
    const size_t sizes[] = { 1, 7, 16, 4096, 300000, 3, 1U << 20, 64 };
    uint8_t *got[sizeof sizes / sizeof sizes[0]];

    (void)state;
    assert_null(arena_copy(&arena, "x", 0));
    assert_null(arena_get(&arena, SIZE_MAX - 8));
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        got[i] = arena_get(&arena, sizes[i]);
        assert_non_null(got[i]);
        assert_int_equal((uintptr_t)got[i] % 16, 0);
        memset(got[i], (int)i + 1, sizes[i]);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t k = 0; k < sizes[i]; k++)
            assert_int_equal(got[i][k], i + 1);
}

/* As few copies as there are lists that differ, and each as it was given. */
static void lines_that_are_the_same_are_kept_once(void **state)
{
    static struct order order[ROUNDS];
    static struct want want[ROUNDS];
    struct want_book *book = calloc(1, sizeof *book);
    scoped(arena_done) struct arena arena = { 0 };

    (void)state;
    assert_non_null(book);
    for (uint32_t k = 0; k < ROUNDS; k++) {
        const uint64_t n = random_below(4), list = random_below(5);

        order[k] = (struct order){ .generation = k, .n_lines = (uint32_t)n };
        for (uint32_t i = 0; i < n; i++) {
            (void)snprintf(order[k].line[i].tenant, NAME_CAP, "tenant-%u", list > 2 ? 1U : 0U);
            (void)snprintf(order[k].line[i].name, NAME_CAP, "payload-%u", i);
            memset(order[k].line[i].manifest.b, 7 + (int)(list % 3), DIGEST_SIZE);
            order[k].line[i].manifest384.b[3] = list == 1;
        }
        assert_rc(want_keep_once(book, &arena, &order[k], &want[k], &err), RC_OK);
    }
    for (uint32_t k = 0; k < ROUNDS; k++) {
        assert_int_equal(want[k].generation, k);
        assert_int_equal(want[k].n_lines, order[k].n_lines);
        for (uint32_t i = 0; i < want[k].n_lines; i++)
            assert_memory_equal(&want[k].line[i], &order[k].line[i], sizeof order[k].line[i]);
        for (uint32_t i = 0; i < k; i++) {
            const bool same = want_same_lines(&want[i], &want[k]);
            const bool alike =
                want[i].n_lines == want[k].n_lines &&
                (want[i].n_lines == 0 ||
                 memcmp(want[i].line, want[k].line, want[i].n_lines * sizeof *want[i].line) == 0);

            assert_true(same || !alike);
            assert_true(!same || want_mark(&want[i]) == want_mark(&want[k]));
            assert_true(alike || want[i].line != want[k].line);
        }
    }
    for (uint32_t k = 1; k < ROUNDS; k++) { /* and the next of its kind shares it */
        order[k].generation = 0;
        assert_rc(want_keep_once(book, &arena, &order[k], &want[0], &err), RC_OK);
        assert_rc(want_keep_once(book, &arena, &order[k], &want[1], &err), RC_OK);
        assert_ptr_equal(want[0].line, want[1].line);
    }
    free(book);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sight_says_what_the_report_says),
        cmocka_unit_test(what_is_damaged_is_refused),
        cmocka_unit_test_setup_teardown(a_view_is_what_the_store_has, open_store, close_store),
        cmocka_unit_test_setup_teardown(an_order_signed_again_is_read_anew, open_store,
                                        close_store),
        cmocka_unit_test(lines_that_are_the_same_are_kept_once),
        cmocka_unit_test(an_arena_gives_what_it_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
