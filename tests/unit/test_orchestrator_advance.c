/* SPDX-License-Identifier: Apache-2.0
 *
 * What rollouts and reports do to the store: which orders go, what replaces what, what an abort
 * cancels, and that a refused report changes nothing.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "link/port.h"
#include "manifest/envelope.h"
#include "orchestrator/advance.h"
#include "orchestrator/contact.h"
#include "orchestrator/ingest.h"
#include "orchestrator/witness.h"
#include "tests/unit/store_rig.h"
#include "tests/unit/stored_order.h"

#define NOW 100000000ULL

static char dir[64];
static struct store *store;
static struct err err;
static FILE *log_file;

static void keep_log(void *arg, const struct advance_event *event)
{
    (void)arg;
    if (log_file)
        (void)fprintf(log_file, "%s %s %u;", event->what, event->detail, (unsigned)event->number);
}

static void add_satellite(const char *id, uint64_t node)
{
    struct store_satellite row = { .node = node, .up = "up", .down = "down", .link_keys = "k" };

    (void)snprintf(row.id, sizeof row.id, "%s", id);
    assert_rc(store_put_satellite(store, &row, &err), RC_OK);
}

static int set_up(void **state)
{
    char path[128];

    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/berth-advance-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    add_satellite("sat-1", 101);
    add_satellite("sat-2", 102);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(&store);
    return fs_remove_tree(AT_FDCWD, dir, &err) == RC_OK ? 0 : -1;
}

/* An order for acme/beacon and acme/camera. */
static void add_order(const char *sat, uint64_t generation, uint8_t digest)
{
    struct order order = { .generation = generation, .issued_ms = 1, .n_lines = 2 };

    (void)snprintf(order.satellite, sizeof order.satellite, "%s", sat);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(order.line[i].tenant, NAME_CAP, "acme");
        (void)snprintf(order.line[i].name, NAME_CAP, "%s", i ? "camera" : "beacon");
        memset(order.line[i].manifest.b, digest + i, DIGEST_SIZE);
    }
    stored_order(store, &order, (struct store_order){ .state = ORDER_HELD, .rollout = 1 });
}

static uint64_t soak_ms; /* of the rollouts that are added */

/* A rollout of one payload: sat-1 in wave 1, sat-2 in wave 2, or both in one. */
static uint64_t add_rollout(const char *name, uint64_t generation, bool canary)
{
    struct store_rollout row = {
        .state = ROLLOUT_RUNNING, .fail_max = 1, .created_ms = NOW, .soak_ms = soak_ms
    };
    uint64_t id = 0;

    (void)snprintf(row.tenant, sizeof row.tenant, "acme");
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    (void)snprintf(row.to, sizeof row.to, "2");
    assert_rc(store_add_rollout(store, &row, &id, &err), RC_OK);
    for (uint32_t i = 0; i < 2; i++) {
        struct store_wave wave = { .rollout = id,
                                   .index = canary ? i + 1 : 1,
                                   .state = WAVE_WAITING,
                                   .generation = generation };

        (void)snprintf(wave.satellite, sizeof wave.satellite, "sat-%u", i + 1);
        assert_rc(store_add_wave(store, &wave, &err), RC_OK);
    }
    return id;
}

static bool agent_on_trial;         /* what the reports say of it */
static struct witness told_witness; /* and of the ground's log; 0 = nothing */

static enum rc report(const char *sat, const char *says, uint64_t seq, uint64_t generation,
                      uint8_t digest, enum slot_state slot)
{
    static uint8_t buf[REPORT_MAX];
    scoped(free_ptr) struct report *r = calloc(2, sizeof *r);
    struct bytes bytes;

    assert_non_null(r);
    (void)snprintf(r->satellite, sizeof r->satellite, "%s", says);
    r->epoch = 1;
    r->seq = seq;
    r->time_ms = NOW;
    r->root_version = 1;
    r->generation = generation;
    r->n_payloads = 2;
    if (agent_on_trial) {
        (void)snprintf(r->agent.version, sizeof r->agent.version, "2");
        r->agent.running.b[0] = 9;
        r->agent.trial = true;
    }
    r->keeps_witness = told_witness.seq > 0;
    r->witness = told_witness;
    r->n_events = 1;
    r->event[0] = (struct report_event){ .seq = 1, .code = RC_REPLAY, .count = 2, .what = "b" };
    for (int i = 0; i < 2; i++) {
        struct report_payload *p = &r->payload[i];

        (void)snprintf(p->tenant, NAME_CAP, "acme");
        (void)snprintf(p->name, NAME_CAP, "%s", i ? "camera" : "beacon");
        (void)snprintf(p->version, VERSION_CAP, "2");
        memset(p->wanted.b, digest + i, DIGEST_SIZE);
        p->running = p->wanted;
        p->is_running = true;
        p->state = i ? SLOT_COMMITTED : slot;
        p->code = !i && slot == SLOT_FAILED ? RC_OOM : 0;
    }
    assert_rc(report_encode(r, buf, sizeof buf, &bytes, &err), RC_OK);
    return ingest_report(store, sat, bytes, NOW, r + 1, &err);
}

static void step(void)
{
    const struct advance_log log = { .fn = keep_log };
    scoped(view_free) struct view *view = NULL;

    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(advance_all(store, view, NOW, &log, &err), RC_OK);
}

static enum order_state order_state(const char *sat, uint64_t generation)
{
    struct store_order_filter filter = { .satellite = sat };
    scoped(free_ptr) struct store_order *rows = NULL;
    enum order_state found = 0;
    size_t n = 0;

    assert_rc(store_orders(store, &filter, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        if (rows[i].generation == generation)
            found = rows[i].state;
    return found;
}

static enum rollout_state rollout_state(uint64_t id)
{
    struct store_rollout row;

    assert_rc(store_rollout(store, id, &row, &err), RC_OK);
    return row.state;
}

/* They are released together; one that is broken in the store keeps none of the others,
 * not those behind it either. */
static void a_broken_order_stands_alone(void **state)
{
    const struct advance_log log = { .fn = keep_log };
    scoped(view_free) struct view *view = NULL;
    char path[128], told[256] = "";

    (void)state;
    (void)add_rollout("beacon", 1, false);
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_true(store_rig_sql(path, "UPDATE sat_order SET envelope = zeroblob(4000000) "
                                    "WHERE satellite = 'sat-1'"));
    log_file = fmemopen(told, sizeof told, "w");
    assert_non_null(log_file);
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_true(advance_all(store, view, NOW, &log, &err) != RC_OK);
    assert_int_equal(fclose(log_file), 0);
    log_file = NULL;
    assert_string_equal(told, "wave-open  1;order-released sat-2 1;");
    assert_int_equal(order_state("sat-2", 1), ORDER_RELEASED);
    assert_int_equal(order_state("sat-1", 1), ORDER_HELD);
}

static void waves_open_one_by_one(void **state)
{
    char told[256] = "";
    uint64_t id = add_rollout("beacon", 1, true);

    (void)state;
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    log_file = fmemopen(told, sizeof told, "w");
    assert_non_null(log_file);
    step();
    assert_int_equal(fclose(log_file), 0);
    log_file = NULL;
    assert_string_equal(told, "wave-open  1;order-released sat-1 1;");
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_COMMITTED), RC_OK);
    assert_int_equal(order_state("sat-1", 1), ORDER_ACKED);
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_RELEASED);
    assert_rc(report("sat-2", "sat-2", 1, 1, 1, SLOT_COMMITTED), RC_OK);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_COMPLETED);
}

/* What is held may have been withdrawn in the part of the log that only a satellite has seen. */
static void a_store_that_was_rolled_back_releases_nothing(void **state)
{
    struct store_audit_by by = { .lost = { 50, 50 } };

    (void)state;
    (void)add_rollout("beacon", 1, true);
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    step();
    assert_int_equal(order_state("sat-1", 1), ORDER_RELEASED);
    told_witness.seq = 50;
    memset(&told_witness.head, 5, sizeof told_witness.head);
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_COMMITTED), RC_OK);
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
    store_audit_by(store, &by);
    assert_rc(store_audit(store, "op", "accept-loss", NOW, &err, "x"), RC_OK);
    store_audit_by(store, NULL);
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_RELEASED);
    told_witness = (struct witness){ 0 };
}

/* sat-1 has seen the log as it is; sat-2 tells another, and only its own order waits. */
static void a_satellite_that_lies_holds_itself_up(void **state)
{
    bool lost = false;

    (void)state;
    (void)add_rollout("beacon", 1, true);
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    assert_rc(store_audit(store, "op", "apply", NOW, &err, "x"), RC_OK);
    assert_rc(store_audit_head(store, &told_witness.seq, &told_witness.head, &err), RC_OK);
    assert_rc(report("sat-1", "sat-1", 1, 0, 0, SLOT_COMMITTED), RC_OK);
    memset(&told_witness.head, 5, sizeof told_witness.head);
    assert_rc(report("sat-2", "sat-2", 1, 0, 0, SLOT_COMMITTED), RC_OK);
    step();
    assert_int_equal(order_state("sat-1", 1), ORDER_RELEASED);
    assert_rc(store_audit_hash(store, told_witness.seq, &told_witness.head, &lost, &err), RC_OK);
    assert_rc(report("sat-1", "sat-1", 2, 1, 1, SLOT_COMMITTED), RC_OK);
    step();
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
    assert_rc(witness_ignore(store, "sat-2", &err), RC_OK);
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_RELEASED);
    told_witness = (struct witness){ 0 };
}

static void failure_holds_the_rest(void **state)
{
    uint64_t id = add_rollout("beacon", 1, true);
    struct store_rollout row;

    (void)state;
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    step();
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_FAILED), RC_OK);
    step();
    assert_rc(store_rollout(store, id, &row, &err), RC_OK);
    assert_int_equal(row.state, ROLLOUT_PAUSED);
    assert_string_equal(row.reason, "sat-1: acme/beacon OOM");
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
}

/* An order that two rollouts share goes when both have opened its wave, not before. */
static void shared_order_waits_for_both(void **state)
{
    uint64_t beacon = add_rollout("beacon", 1, true);
    uint64_t camera = add_rollout("camera", 1, false);
    struct store *open = NULL;

    (void)state;
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    step();
    assert_int_equal(order_state("sat-1", 1), ORDER_RELEASED);
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD); /* beacon's wave 2 is not open */
    assert_int_equal(rollout_state(camera), ROLLOUT_RUNNING);

    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(advance_enter(store, beacon, ROLLOUT_EV_ABORT, "no", NOW, &err), RC_OK);
    assert_rc(store_commit(&open, &err), RC_OK);
    assert_int_equal(order_state("sat-1", 1), ORDER_RELEASED);
    assert_int_equal(order_state("sat-2", 1), ORDER_CANCELLED);
    assert_int_equal(rollout_state(beacon), ROLLOUT_ABORTED);
    assert_int_equal(rollout_state(camera), ROLLOUT_ABORTED); /* it could never end */
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_CANCELLED);
}

static void put_pass(const char *sat, uint64_t aos_ms, uint32_t pass_state)
{
    struct store_pass row = {
        .station = "kiruna", .aos_ms = aos_ms, .los_ms = aos_ms + 10, .state = pass_state
    };

    (void)snprintf(row.satellite, sizeof row.satellite, "%s", sat);
    assert_rc(store_put_pass(store, &row, &err), RC_OK);
}

static uint64_t add_silent_rollout(bool skip)
{
    uint64_t id = add_rollout("beacon", 1, false), again = 0;
    scoped(free_ptr) struct store_wave *waves = NULL;
    struct store_rollout row;
    size_t n = 0;

    assert_rc(store_rollout(store, id, &row, &err), RC_OK);
    row.silent_passes = 1;
    row.silent_skip = skip;
    assert_rc(store_waves(store, id, &waves, &n, &err), RC_OK);
    row.state = ROLLOUT_ABORTED; /* the one without such a policy */
    assert_rc(store_update_rollout(store, &row, &err), RC_OK);
    row.state = ROLLOUT_RUNNING;
    assert_rc(store_add_rollout(store, &row, &again, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        waves[i].rollout = again;
        waves[i].generation = 2;
        assert_rc(store_add_wave(store, &waves[i], &err), RC_OK);
    }
    add_order("sat-1", 2, 1);
    add_order("sat-2", 2, 1);
    return again;
}

/* sat-2 was to be spoken to three times since its report, and twice nothing was heard; the pass in
 * which the report came and the one under way do not count. */
static void miss_passes(void)
{
    put_pass("sat-1", NOW - 500, CONTACT_FAILED);
    assert_rc(report("sat-1", "sat-1", 1, 2, 1, SLOT_COMMITTED), RC_OK);
    assert_rc(report("sat-2", "sat-2", 1, 0, 0, SLOT_COMMITTED), RC_OK);
    put_pass("sat-2", NOW - 5, CONTACT_FAILED);
    put_pass("sat-2", NOW + 100, CONTACT_FAILED);
    put_pass("sat-2", NOW + 200, CONTACT_EXECUTING);
}

static void missed_passes_pause(void **state)
{
    uint64_t id = add_silent_rollout(false);
    struct store_rollout row;

    (void)state;
    step();
    miss_passes();
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_RUNNING); /* one may be missed */
    put_pass("sat-2", NOW + 200, CONTACT_FAILED);
    step();
    assert_rc(store_rollout(store, id, &row, &err), RC_OK);
    assert_int_equal(row.state, ROLLOUT_PAUSED);
    assert_string_equal(row.reason, "sat-2 is silent: 2 passes missed");
}

static void who_missed_passes_is_gone_without(void **state)
{
    scoped(view_free) struct view *view = NULL;
    uint64_t id = add_silent_rollout(true);

    (void)state;
    step();
    miss_passes();
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_RUNNING);
    put_pass("sat-2", NOW + 200, CONTACT_FAILED);
    put_pass("sat-2", NOW + 300, CONTACT_FAILED);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_COMPLETED);
    assert_int_equal(order_state("sat-2", 2), ORDER_RELEASED); /* for when it comes back */

    /* What status says of them, however long ago that was. */
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_int_equal(view_verdict(view_find(view, "sat-1"), NOW + 3600000, 1), VERDICT_SYNCED);
    assert_int_equal(view_verdict(view_find(view, "sat-2"), NOW, 1000000), VERDICT_SILENT);
}

/* The passes of a month before it was launched are nobody's silence. */
static void silence_begins_with_the_rollout(void **state)
{
    uint64_t id = add_silent_rollout(false);

    (void)state;
    for (uint64_t i = 1; i <= 20; i++)
        put_pass("sat-2", NOW - 1000 * i, CONTACT_FAILED);
    assert_rc(report("sat-1", "sat-1", 1, 2, 1, SLOT_COMMITTED), RC_OK);
    step();
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_RUNNING);
    put_pass("sat-2", NOW + 100, CONTACT_FAILED);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_RUNNING);
    put_pass("sat-2", NOW + 200, CONTACT_FAILED);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_PAUSED);
}

static enum rc asked(enum rc (*verb)(struct store *, uint64_t, const char *, uint64_t,
                                     struct err *),
                     uint64_t id, const char *satellite, uint64_t now_ms)
{
    struct store *open = NULL;

    assert_rc(store_begin(store, &open, &err), RC_OK);
    enum rc rc = verb(store, id, satellite, now_ms, &err);

    if (rc == RC_OK)
        assert_rc(store_commit(&open, &err), RC_OK);
    store_rollback(&open);
    return rc;
}

static void resume(uint64_t id)
{
    struct store *open = NULL;

    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(advance_enter(store, id, ROLLOUT_EV_RESUME, NULL, NOW, &err), RC_OK);
    assert_rc(store_commit(&open, &err), RC_OK);
}

static void assert_last_entry(const char *action, const char *detail)
{
    scoped(free_ptr) struct store_audit *last = NULL;
    size_t n = 0;

    assert_rc(store_audit_list(store, 1, &last, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_string_equal(last[0].entry.action, action);
    assert_string_equal(last[0].entry.what, detail);
}

static void goes_on_without_who_failed(void **state)
{
    uint64_t id = add_rollout("beacon", 1, true);

    (void)state;
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    assert_rc(asked(advance_excuse, id, "sat-1", NOW), RC_ROLLOUT_STATE); /* nothing is open */
    step();
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_FAILED), RC_OK);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_PAUSED);
    assert_rc(asked(advance_excuse, id, "sat-2", NOW), RC_ROLLOUT_STATE); /* its wave is closed */
    assert_rc(asked(advance_excuse, id, "sat-3", NOW), RC_NOT_FOUND);
    assert_rc(asked(advance_excuse, 77, "sat-1", NOW), RC_NOT_FOUND);
    assert_rc(asked(advance_excuse, id, "sat-1", NOW), RC_OK);
    assert_last_entry("rollout-force", "rollout 1 without sat-1: OOM");
    assert_rc(asked(advance_excuse, id, "sat-1", NOW), RC_OK); /* twice is as once */
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_PAUSED); /* it resumes nothing */
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
    resume(id);
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_RELEASED);
    assert_rc(report("sat-2", "sat-2", 1, 1, 1, SLOT_COMMITTED), RC_OK);
    assert_rc(asked(advance_excuse, id, "sat-2", NOW), RC_ROLLOUT_STATE); /* healthy */
    assert_rc(asked(advance_again, id, "sat-1", NOW), RC_OK);             /* and taken back */
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_RUNNING);
    assert_rc(asked(advance_excuse, id, "sat-1", NOW), RC_OK);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_COMPLETED);
    assert_rc(asked(advance_excuse, id, "sat-2", NOW), RC_ROLLOUT_STATE);
    assert_rc(asked(advance_again, id, NULL, NOW), RC_ROLLOUT_STATE);
}

static void a_failure_counts_again_once_it_is_told_again(void **state)
{
    uint64_t id = add_rollout("beacon", 1, true);

    (void)state;
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    step();
    assert_rc(asked(advance_again, id, NULL, NOW), RC_ROLLOUT_STATE); /* nothing is wrong */
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_FAILED), RC_OK);
    step();
    resume(id);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_PAUSED); /* it still says so */
    assert_rc(asked(advance_again, id, NULL, NOW), RC_OK);
    assert_last_entry("rollout-retry", "rollout 1: sat-1, OOM");
    resume(id);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_RUNNING);
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
    assert_rc(report("sat-1", "sat-1", 2, 1, 1, SLOT_FAILED), RC_OK);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_PAUSED);
    assert_rc(asked(advance_again, id, "sat-1", NOW), RC_OK);
    resume(id);
    assert_rc(report("sat-1", "sat-1", 3, 1, 1, SLOT_COMMITTED), RC_OK);
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_RELEASED);
    assert_rc(asked(advance_again, id, "sat-1", NOW), RC_ROLLOUT_STATE); /* healthy */
}

static void missed_passes_count_again_from_then_on(void **state)
{
    uint64_t id = add_silent_rollout(false);
    struct store_outgoing *rows = NULL;
    size_t n = 0;

    (void)state;
    step();
    miss_passes();
    put_pass("sat-2", NOW + 200, CONTACT_FAILED);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_PAUSED);

    /* its order is on no way any more, whatever the reason */
    assert_rc(store_outgoing(store, "sat-2", OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++) {
        rows[i].state = OUTGOING_CANCELLED;
        assert_rc(store_update_outgoing(store, &rows[i], &err), RC_OK);
    }
    assert_true(n > 0);
    free(rows);
    assert_rc(asked(advance_again, id, NULL, NOW + 250), RC_OK);
    assert_last_entry("rollout-retry", "rollout 2: sat-2, silent");
    assert_rc(store_outgoing(store, "sat-2", OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(rows[0].kind, OBJECT_ORDER);
    free(rows);
    resume(id);
    put_pass("sat-2", NOW + 300, CONTACT_FAILED);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_RUNNING);
    put_pass("sat-2", NOW + 400, CONTACT_FAILED);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_PAUSED);
}

static void a_deadline_pauses_once(void **state)
{
    uint64_t id = add_rollout("beacon", 1, true);
    struct store_rollout row;
    struct store *open = NULL;

    (void)state;
    add_order("sat-1", 1, 1);
    assert_rc(store_rollout(store, id, &row, &err), RC_OK);
    row.deadline_ms = NOW;
    assert_rc(store_update_rollout(store, &row, &err), RC_OK);
    step();
    assert_rc(store_rollout(store, id, &row, &err), RC_OK);
    assert_int_equal(row.state, ROLLOUT_PAUSED);
    assert_string_equal(row.reason, "its deadline has passed");
    assert_int_equal(order_state("sat-1", 1), ORDER_HELD);
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(advance_enter(store, id, ROLLOUT_EV_RESUME, NULL, NOW, &err), RC_OK);
    assert_rc(store_commit(&open, &err), RC_OK);
    step();
    assert_int_equal(order_state("sat-1", 1), ORDER_RELEASED);
}

static void newer_order_replaces_what_was_sent(void **state)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;

    (void)state;
    (void)add_rollout("beacon", 1, false);
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    step();
    (void)add_rollout("beacon", 2, false);
    add_order("sat-1", 2, 3);
    add_order("sat-2", 2, 3);
    step();
    assert_int_equal(order_state("sat-1", 1), ORDER_SUPERSEDED);
    assert_int_equal(order_state("sat-1", 2), ORDER_RELEASED);
    assert_rc(store_outgoing(store, "sat-1", OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 1); /* the older one is withdrawn from the link */
    assert_int_equal(rows[0].kind, OBJECT_ORDER);
}

static void pause_and_resume(void **state)
{
    uint64_t id = add_rollout("beacon", 1, false);
    struct store *open = NULL;

    (void)state;
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(advance_enter(store, id, ROLLOUT_EV_PAUSE, "lunch", NOW, &err), RC_OK);
    assert_rc(advance_enter(store, id, ROLLOUT_EV_PAUSE, "again", NOW, &err), RC_ROLLOUT_STATE);
    assert_rc(store_commit(&open, &err), RC_OK);
    step();
    assert_int_equal(order_state("sat-1", 1), ORDER_HELD);
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(advance_enter(store, id, ROLLOUT_EV_RESUME, NULL, NOW, &err), RC_OK);
    assert_rc(store_commit(&open, &err), RC_OK);
    step();
    assert_int_equal(order_state("sat-1", 1), ORDER_RELEASED);
    assert_rc(advance_enter(store, 77, ROLLOUT_EV_PAUSE, NULL, NOW, &err), RC_NOT_FOUND);
}

static enum rc promote(uint64_t id, uint32_t wave)
{
    scoped(store_rollback) struct store *open = NULL;

    assert_rc(store_begin(store, &open, &err), RC_OK);
    enum rc rc = advance_promote(store, id, wave, NOW, &err);

    if (rc == RC_OK)
        assert_rc(store_commit(&open, &err), RC_OK);
    return rc;
}

/* A soak of an hour ends at once, once the reports say that all is well and not before. */
static void promote_ends_the_soak(void **state)
{
    soak_ms = 3600000;
    uint64_t id = add_rollout("beacon", 1, true);

    (void)state;
    soak_ms = 0;
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    assert_rc(promote(id, 0), RC_ROLLOUT_STATE); /* nothing is open */
    step();
    assert_rc(promote(id, 1), RC_ROLLOUT_STATE); /* silent */
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_TRIAL), RC_OK);
    assert_rc(promote(id, 1), RC_ROLLOUT_STATE); /* on trial */
    assert_rc(report("sat-1", "sat-1", 2, 1, 1, SLOT_COMMITTED), RC_OK);
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD); /* soaks */
    assert_rc(promote(id, 2), RC_ROLLOUT_STATE);           /* that wave is not open */
    assert_rc(promote(id, 1), RC_OK);
    assert_rc(promote(id, 1), RC_ROLLOUT_STATE); /* the other operator */
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
    step();
    assert_int_equal(order_state("sat-2", 1), ORDER_RELEASED);
    assert_rc(promote(id, 1), RC_ROLLOUT_STATE); /* late, and not for wave 2 */
    assert_rc(report("sat-2", "sat-2", 1, 1, 1, SLOT_COMMITTED), RC_OK);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_RUNNING);
    assert_rc(promote(id, 2), RC_OK);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_COMPLETED);
    assert_rc(promote(id, 0), RC_ROLLOUT_STATE);
    assert_rc(promote(77, 0), RC_NOT_FOUND);
}

/* What goes wrong between the word and the next round opens nothing. */
static void promoted_and_then_failed(void **state)
{
    uint64_t id = add_rollout("beacon", 1, true);

    (void)state;
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    step();
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_COMMITTED), RC_OK);
    assert_rc(promote(id, 1), RC_OK);
    assert_rc(report("sat-1", "sat-1", 2, 1, 1, SLOT_FAILED), RC_OK);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_PAUSED);
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
}

/* Old, repeated, another satellite's, damaged: nothing is kept of any of them. */
static void add_token(const char *sat, uint64_t generation, uint64_t expires_ms)
{
    struct store_token row = { .generation = generation, .size = 9, .expires_ms = expires_ms };

    (void)snprintf(row.satellite, sizeof row.satellite, "%s", sat);
    memset(row.object.b, 0xee, DIGEST_SIZE);
    assert_rc(store_put_token(store, &row, &err), RC_OK);
}

/* How many objects of a kind are on their way to a satellite. */
static size_t queued(const char *sat, uint32_t kind)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0, hits = 0;

    assert_rc(store_outgoing(store, sat, OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        hits += rows[i].kind == kind;
    return hits;
}

/* Of a staged order the token goes, wave by wave; an expired one pauses, and says what helps. */
static void tokens_are_what_waves_release(void **state)
{
    uint64_t id = add_rollout("beacon", 1, true);
    struct store_rollout row;
    struct store *open = NULL;

    (void)state;
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    add_token("sat-1", 1, NOW);
    add_token("sat-2", 1, NOW + 100000);
    step();
    assert_int_equal(rollout_state(id), ROLLOUT_PAUSED);
    assert_int_equal(order_state("sat-1", 1), ORDER_HELD);
    assert_int_equal(queued("sat-1", OBJECT_TOKEN), 0);
    assert_rc(store_rollout(store, id, &row, &err), RC_OK);
    assert_non_null(strstr(row.reason, "berth rollout retoken 1"));

    add_token("sat-1", 1, NOW + 100000);
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(advance_enter(store, id, ROLLOUT_EV_RESUME, NULL, NOW, &err), RC_OK);
    assert_rc(store_commit(&open, &err), RC_OK);
    step();
    assert_int_equal(order_state("sat-1", 1), ORDER_RELEASED);
    assert_int_equal(queued("sat-1", OBJECT_TOKEN), 1);
    assert_int_equal(queued("sat-1", OBJECT_ORDER), 0); /* went at apply */
    assert_int_equal(order_state("sat-2", 1), ORDER_HELD);
    assert_int_equal(queued("sat-2", OBJECT_TOKEN), 0);
}

static void refused_reports_change_nothing(void **state)
{
    struct store_observed row;
    scoped(free_ptr) uint8_t *kept = NULL;
    struct report ignored;
    size_t n = 0;

    (void)state;
    assert_rc(report("sat-1", "sat-1", 5, 0, 1, SLOT_TRIAL), RC_OK);
    assert_rc(report("sat-1", "sat-1", 5, 0, 1, SLOT_COMMITTED), RC_REPORT_OLD);
    assert_rc(report("sat-1", "sat-1", 4, 0, 1, SLOT_COMMITTED), RC_REPORT_OLD);
    assert_rc(report("sat-1", "sat-2", 6, 0, 1, SLOT_COMMITTED), RC_NO_SATELLITE);
    assert_int_not_equal(ingest_report(store, "sat-1", bytes_of("no report"), NOW, &ignored, &err),
                         RC_OK);
    assert_rc(store_report(store, "sat-1", &row, &kept, &n, &err), RC_OK);
    assert_int_equal(row.seq, 5);
    free_ptr(&kept);
    assert_rc(store_report(store, "sat-2", &row, &kept, &n, &err), RC_NOT_FOUND);
}

/* A package in the store that sat-1, by its first report, wants and lacks. */
static struct store_package ordered_package(void)
{
    struct store_package package = { .release = 1, .size = 10, .path = "objects/x" };

    (void)snprintf(package.tenant, NAME_CAP, "acme");
    (void)snprintf(package.name, NAME_CAP, "beacon");
    (void)snprintf(package.version, VERSION_CAP, "2");
    memset(package.manifest.b, 1, DIGEST_SIZE);
    memset(package.object.b, 9, DIGEST_SIZE);
    assert_rc(store_put_package(store, &package, &err), RC_OK);
    (void)add_rollout("beacon", 1, false);
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    step();
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_ABSENT), RC_OK);
    return package;
}

static void lost_package_is_sent_again(void **state)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    uint64_t later = NOW + INGEST_LOST_MS;
    uint32_t again = 0;
    size_t n = 0;

    (void)state;
    const struct store_package package = ordered_package();

    scoped(view_free) struct view *view = NULL;

    assert_rc(view_load(store, &view, &err), RC_OK);
    const struct view_satellite *sat = view_find(view, "sat-1");

    assert_rc(ingest_repair(store, view, sat, NOW, &again, &err), RC_OK);
    assert_int_equal(again, 1); /* was never queued at all */
    assert_rc(ingest_repair(store, view, sat, NOW, &again, &err), RC_OK);
    assert_int_equal(again, 0); /* on its way */
    assert_rc(ingest_complete(store, "sat-1", package.object.b, NOW, &err), RC_OK);
    assert_rc(ingest_repair(store, view, sat, later - 1, &again, &err), RC_OK);
    assert_int_equal(again, 0); /* only just delivered: the report is older */
    assert_rc(ingest_repair(store, view, sat, later, &again, &err), RC_OK);
    assert_int_equal(again, 1);
    assert_rc(store_outgoing(store, "sat-1", OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    assert_int_equal(rows[n - 1].kind, OBJECT_PACKAGE);
}

/* It was delivered whole, and an hour later the satellite still waits for it. */
static void vanished_package_is_sent_again(void **state)
{
    static const struct {
        uint64_t delivered_before_ms; /* the report came so long after that */
        enum slot_state says;
        uint32_t want;
    } rows[] = {
        { 0, SLOT_RECEIVING, 0 },
        { INGEST_PACKAGE_LOST_MS - 1, SLOT_RECEIVING, 0 },
        { INGEST_PACKAGE_LOST_MS, SLOT_INSTALLED, 0 },
        { INGEST_PACKAGE_LOST_MS, SLOT_COMMITTED, 0 },
        { INGEST_PACKAGE_LOST_MS, SLOT_RECEIVING, 1 },
    };
    struct store_outgoing row = { .state = OUTGOING_COMPLETE };
    scoped(view_free) struct view *view = NULL;
    uint32_t again = 0;

    (void)state;
    const struct store_package package = ordered_package();
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(ingest_repair(store, view, view_find(view, "sat-1"), NOW, &again, &err), RC_OK);
    assert_int_equal(again, 1); /* queued */
    row.object = package.object;
    (void)snprintf(row.satellite, sizeof row.satellite, "sat-1");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        row.sent_ms = NOW - rows[i].delivered_before_ms;
        assert_rc(store_update_outgoing(store, &row, &err), RC_OK);
        assert_rc(report("sat-1", "sat-1", 2 + i, 1, 1, rows[i].says), RC_OK);
        view_free(&view);
        assert_rc(view_load(store, &view, &err), RC_OK);
        /* a day later: who says nothing asks for nothing */
        assert_rc(
            ingest_repair(store, view, view_find(view, "sat-1"), NOW + 86400000U, &again, &err),
            RC_OK);
        assert_int_equal(again, rows[i].want);
    }
    assert_rc(ingest_repair(store, view, view_find(view, "sat-1"), NOW + 86400000U, &again, &err),
              RC_OK);
    assert_int_equal(again, 0); /* on its way */
}

/* The agent's state was damaged and removed: what is in force is nothing, although it once was. */
static void lost_order_is_sent_again(void **state)
{
    struct store_outgoing *sent = NULL;
    scoped(view_free) struct view *view = NULL;
    uint32_t again = 0;
    size_t n = 0;

    (void)state;
    (void)add_rollout("beacon", 1, false);
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    step();
    assert_rc(store_outgoing(store, "sat-1", OUTGOING_QUEUED, &sent, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_rc(ingest_complete(store, "sat-1", sent[0].object.b, NOW, &err), RC_OK);
    free(sent);
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_COMMITTED), RC_OK);
    assert_int_equal(order_state("sat-1", 1), ORDER_ACKED);
    assert_rc(report("sat-1", "sat-1", 2, 0, 1, SLOT_ABSENT), RC_OK);
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(
        ingest_repair(store, view, view_find(view, "sat-1"), NOW + INGEST_LOST_MS, &again, &err),
        RC_OK);
    assert_int_equal(again, 1);
}

/* A new agent on trial hears something, again and again until it is committed, and nothing but what
 * it has already. */
static void agent_on_trial_is_spoken_to(void **state)
{
    struct store_outgoing *sent = NULL;
    uint32_t again = 0;
    size_t n = 0;

    (void)state;
    (void)add_rollout("beacon", 1, false);
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    step();
    assert_rc(store_outgoing(store, "sat-1", OUTGOING_QUEUED, &sent, &n, &err), RC_OK);
    const struct store_outgoing order = sent[0];
    free(sent);
    assert_rc(ingest_complete(store, "sat-1", order.object.b, NOW, &err), RC_OK);
    uint64_t last = NOW;
    for (uint64_t seq = 1; seq <= 4; seq++) {
        scoped(view_free) struct view *view = NULL;
        const uint64_t late = last + INGEST_GREETING_MS;

        agent_on_trial = seq == 2 || seq == 3;
        assert_rc(report("sat-1", "sat-1", seq, 1, 1, SLOT_COMMITTED), RC_OK);
        assert_rc(view_load(store, &view, &err), RC_OK);
        const struct view_satellite *sat = view_find(view, "sat-1");

        if (agent_on_trial) { /* as often as that and no more */
            assert_rc(ingest_repair(store, view, sat, late - 1, &again, &err), RC_OK);
            assert_int_equal(again, 0);
        }
        assert_rc(ingest_repair(store, view, sat, late, &again, &err), RC_OK);
        assert_int_equal(again, agent_on_trial);
        assert_rc(store_outgoing(store, "sat-1", OUTGOING_QUEUED, &sent, &n, &err), RC_OK);
        assert_int_equal(n, agent_on_trial);
        if (n == 1)
            assert_memory_equal(&sent[0].object, &order.object, sizeof order.object);
        free(sent);
        if (n == 1)
            assert_rc(ingest_complete(store, "sat-1", order.object.b, late, &err), RC_OK);
        last = n == 1 ? late : last;
    }
    agent_on_trial = false;
}

/* A token that got lost goes up again, unless it is of no use any more. */
static void lost_token_is_sent_again(void **state)
{
    scoped(view_free) struct view *view = NULL;
    const uint64_t later = NOW + INGEST_LOST_MS;
    struct store_token token;
    uint32_t again = 0;

    (void)state;
    (void)add_rollout("beacon", 1, false);
    add_order("sat-1", 1, 1);
    add_order("sat-2", 1, 1);
    add_token("sat-1", 1, later + 1);
    assert_rc(report("sat-1", "sat-1", 1, 0, 1, SLOT_ABSENT), RC_OK);
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(ingest_repair(store, view, view_find(view, "sat-1"), NOW, &again, &err), RC_OK);
    assert_int_equal(again, 0); /* held: nothing was lost */
    step();
    view_free(&view);
    assert_rc(view_load(store, &view, &err), RC_OK);
    const struct view_satellite *sat = view_find(view, "sat-1");

    assert_rc(store_token(store, "sat-1", 1, &token, &err), RC_OK);
    assert_int_equal(queued("sat-1", OBJECT_TOKEN), 1);
    assert_rc(ingest_repair(store, view, sat, NOW, &again, &err), RC_OK);
    assert_int_equal(again, 0); /* on its way */
    assert_rc(ingest_complete(store, "sat-1", token.object.b, NOW, &err), RC_OK);
    assert_rc(ingest_repair(store, view, sat, later - 1, &again, &err), RC_OK);
    assert_int_equal(again, 0); /* only just delivered */
    assert_rc(ingest_repair(store, view, sat, later, &again, &err), RC_OK);
    assert_int_equal(again, 1);
    assert_int_equal(queued("sat-1", OBJECT_TOKEN), 1);
    assert_rc(ingest_complete(store, "sat-1", token.object.b, NOW, &err), RC_OK);
    assert_rc(ingest_repair(store, view, sat, later + 1, &again, &err), RC_OK);
    assert_int_equal(again, 0); /* expired: refused for certain */
}

/* An order took effect, and its arrival was never shown: it must not go up before the next one when
 * the ground starts again, or to a satellite that begins anew. */
static void older_orders_end_with_the_next_one(void **state)
{
    scoped(free_ptr) struct store_outgoing *sent = NULL;
    size_t n = 0;

    (void)state;
    (void)add_rollout("beacon", 1, false);
    add_order("sat-1", 1, 1);
    step();
    assert_rc(report("sat-1", "sat-1", 1, 1, 1, SLOT_COMMITTED), RC_OK);
    assert_int_equal(order_state("sat-1", 1), ORDER_ACKED);
    (void)add_rollout("beacon", 2, false);
    add_order("sat-1", 2, 2);
    step();
    assert_int_equal(order_state("sat-1", 2), ORDER_RELEASED);
    assert_int_equal(order_state("sat-1", 1), ORDER_ACKED);
    assert_rc(store_outgoing(store, "sat-1", OUTGOING_QUEUED, &sent, &n, &err), RC_OK);
    assert_int_equal(n, 1);
    assert_int_equal(sent[0].kind, OBJECT_ORDER);
}

/* Safe mode on board: the very root it names, and the newest grants, go up by themselves. */
static void lost_trust_is_sent_again(void **state)
{
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    scoped(view_free) struct view *view = NULL;
    uint32_t again = 0;
    size_t n = 0;

    (void)state;
    assert_rc(report("sat-1", "sat-1", 1, 0, 1, SLOT_COMMITTED), RC_OK);
    assert_rc(view_load(store, &view, &err), RC_OK);
    for (uint64_t v = 1; v <= 3; v++) {
        const uint8_t byte = (uint8_t)v;

        assert_rc(
            store_put_document(store, DOC_ROOT, "root", v, (struct bytes){ &byte, 1 }, NOW, &err),
            RC_OK);
    }
    assert_rc(store_put_document(store, DOC_GRANT, "acme", 4, bytes_of("grant"), NOW, &err), RC_OK);
    view->root_version = 3;

    const struct view_satellite *sat = view_find(view, "sat-1");

    sat->seen->root_version = 2;
    assert_rc(ingest_repair(store, view, sat, NOW, &again, &err), RC_OK);
    assert_int_equal(again, 1); /* root 3 */
    sat->seen->lost = LOST_ROOT;
    assert_rc(ingest_repair(store, view, sat, NOW, &again, &err), RC_OK);
    assert_int_equal(again, 1); /* root 2; 3 is on its way */
    sat->seen->lost = LOST_GRANT;
    assert_rc(ingest_repair(store, view, sat, NOW, &again, &err), RC_OK);
    assert_int_equal(again, 1);
    assert_rc(store_outgoing(store, "sat-1", OUTGOING_QUEUED, &rows, &n, &err), RC_OK);
    assert_int_equal(n, 3);
    sat->seen->lost = LOST_ROOT;
    sat->seen->root_version = 77; /* whatever it may say, the ground goes on */
    assert_rc(ingest_repair(store, view, sat, NOW, &again, &err), RC_OK);
    assert_int_equal(again, 0);
}

/* A satellite that says that it is at the last generation there is would leave none for orders, and
 * no plan with it in could be made. */
static void generation_beyond_belief_is_not_followed(void **state)
{
    scoped(view_free) struct view *view = NULL;

    (void)state;
    (void)add_rollout("beacon", 1, false);
    add_order("sat-1", 1, 1);
    assert_rc(report("sat-1", "sat-1", 1, INT64_MAX, 1, SLOT_COMMITTED), RC_OK);
    assert_rc(report("sat-2", "sat-2", 1, 40, 1, SLOT_COMMITTED), RC_OK);
    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_int_equal(view_find(view, "sat-1")->newest, 1);
    assert_int_equal(view_find(view, "sat-2")->newest, 40); /* the store is an older copy */
}

static void events_are_bounded(void **state)
{
    static uint8_t buf[REPORT_MAX];
    scoped(free_ptr) struct report *r = calloc(2, sizeof *r);
    scoped(free_ptr) struct store_event *rows = NULL;
    struct bytes bytes;
    size_t n = 0;

    (void)state;
    assert_non_null(r);
    (void)snprintf(r->satellite, sizeof r->satellite, "sat-1");
    r->epoch = 1;
    for (r->seq = 1; r->seq <= INGEST_EVENTS_MAX / REPORT_EVENTS_MAX + 2; r->seq++) {
        r->n_events = REPORT_EVENTS_MAX;
        for (uint32_t i = 0; i < r->n_events; i++)
            r->event[i] = (struct report_event){ .seq = r->seq * 100 + i, .code = RC_REPLAY };
        assert_rc(report_encode(r, buf, sizeof buf, &bytes, &err), RC_OK);
        assert_rc(ingest_report(store, "sat-1", bytes, NOW + r->seq, r + 1, &err), RC_OK);
    }
    assert_rc(store_events(store, "sat-1", 1U << 20, &rows, &n, &err), RC_OK);
    assert_int_equal(n, INGEST_EVENTS_MAX);
    assert_int_equal(rows[n - 1].seq, (r->seq - 1) * 100 + REPORT_EVENTS_MAX - 1);
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(waves_open_one_by_one),
        ROW(a_broken_order_stands_alone),
        ROW(a_store_that_was_rolled_back_releases_nothing),
        ROW(a_satellite_that_lies_holds_itself_up),
        ROW(failure_holds_the_rest),
        ROW(shared_order_waits_for_both),
        ROW(missed_passes_pause),
        ROW(who_missed_passes_is_gone_without),
        ROW(silence_begins_with_the_rollout),
        ROW(goes_on_without_who_failed),
        ROW(a_failure_counts_again_once_it_is_told_again),
        ROW(missed_passes_count_again_from_then_on),
        ROW(a_deadline_pauses_once),
        ROW(newer_order_replaces_what_was_sent),
        ROW(pause_and_resume),
        ROW(promote_ends_the_soak),
        ROW(promoted_and_then_failed),
        ROW(tokens_are_what_waves_release),
        ROW(refused_reports_change_nothing),
        ROW(lost_package_is_sent_again),
        ROW(vanished_package_is_sent_again),
        ROW(lost_order_is_sent_again),
        ROW(agent_on_trial_is_spoken_to),
        ROW(lost_token_is_sent_again),
        ROW(older_orders_end_with_the_next_one),
        ROW(lost_trust_is_sent_again),
        ROW(generation_beyond_belief_is_not_followed),
        ROW(events_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
