/* SPDX-License-Identifier: Apache-2.0
 *
 * Reports between a downlink and the store: the ground is killed at every call that changes a
 * file, between receiving and committing and between committing and letting go of the files too,
 * and the next one goes on.  The reports of a round are in the store together or not at all, and
 * none is gone from its downlink that is not there.
 */
#include "tests/unit/test.h"

#include "tests/unit/fault_rig.h" /* before what names a directory dir */

#include "link/outbox.h"
#include "link/transfer.h"
#include "tests/unit/ground_rig.h"

#define SATS 2U
#define EACH 2U /* reports of each satellite in a round */
#define REPORTS (SATS * EACH)
#define UNIX_MS RIG_UNIX_MS
#define KILLS_MIN 12U

static struct sat {
    char id[16];
    int down;
    int keys;
    struct link_state state;
    uint64_t seq;
} sats[SATS];

/* One event in each, which no other report tells. */
static void report(struct sat *s)
{
    static uint8_t buf[REPORT_MAX], wire[TRANSFER_MESSAGE_MAX];
    scoped(free_ptr) struct report *r = calloc(1, sizeof *r);
    struct transfer_message msg = { .type = TRANSFER_INLINE, .whole = { .kind = OBJECT_REPORT } };
    struct bytes message;

    assert_non_null(r);
    print_to(r->satellite, sizeof r->satellite, "%s", s->id);
    r->epoch = 1;
    r->seq = ++s->seq;
    r->time_ms = UNIX_MS + s->seq;
    r->root_version = 1;
    r->n_events = 1;
    r->event[0] = (struct report_event){ .seq = s->seq, .code = RC_BPSEC_AUTH, .count = 1 };
    print_to(r->event[0].what, sizeof r->event[0].what, "bundle");
    assert_rc(report_encode(r, buf, sizeof buf, &msg.whole.data, &err), RC_OK);
    assert_rc(transfer_encode(&msg, wire, sizeof wire, &message, &err), RC_OK);
    assert_rc(outbox_put(&s->state, "", s->down, message, &err), RC_OK);
    assert_rc(dircl_sync(s->down, &err), RC_OK);
}

static void report_all(void)
{
    for (size_t i = 0; i < SATS; i++)
        for (size_t k = 0; k < EACH; k++)
            report(&sats[i]);
}

/* Reports of the last round that lie in the downlinks. */
static size_t waiting(void)
{
    size_t all = 0;

    for (size_t i = 0; i < SATS; i++) {
        size_t n = 0;

        assert_rc(outbox_count(sats[i].down, &n, NULL, &err), RC_OK);
        all += n;
    }
    return all;
}

/* Events of the last round that the store has. */
static size_t stored(void)
{
    scoped(home_close) struct home home = rig_home();
    size_t n = 0;

    for (size_t i = 0; i < SATS; i++) {
        for (uint64_t k = 0; k < EACH; k++) {
            uint64_t count = 0;

            assert_rc(store_event_count(home.store, sats[i].id, sats[i].seq - k, &count, &err),
                      RC_OK);
            assert_true(count <= 1);
            n += count;
        }
    }
    return n;
}

/* One life of the ground. */
static int ground(void *arg)
{
    char home[80];
    const struct ground_options options = { .home = home, .up_budget = 1 << 20, .up_files = 100 };
    struct ground *g = NULL;
    struct err why = { 0 };

    (void)arg;
    print_to(home, sizeof home, "%s/ground/home", dir);
    if (ground_open(&options, &g, &why) != RC_OK)
        return 1;
    fault_arm();
    enum rc rc = ground_receive(g, 1000, UNIX_MS, &why);
    fault_disarm();
    const bool all = rc == RC_OK && !ground_counts(g)->more;

    ground_close(&g);
    return all ? 0 : 2;
}

static int set_up(void **state)
{
    (void)rig_begin(state);
    for (unsigned i = 0; i < SATS; i++) {
        struct sat *s = &sats[i];

        print_to(s->id, sizeof s->id, "sat-%u", i);
        rig_provision(s->id, 101 + i);
        s->down = rig_dir(s->id, "down");
        s->keys = rig_dir(s->id, "state/link");
        assert_rc(link_state_open(s->keys, LINK_SIDE_SATELLITE, &s->state, &err), RC_OK);
    }
    return 0;
}

static int tear_down(void **state)
{
    for (unsigned i = 0; i < SATS; i++) {
        link_state_done(&sats[i].state);
        close_fd(&sats[i].keys);
        close_fd(&sats[i].down);
    }
    return end(state);
}

/* The next life takes in what is left, and nothing for the second time. */
static void goes_on(size_t n)
{
    const struct fault none = { .kind = FAULT_NONE };
    const struct fault_seen seen = fault_run(ground, NULL, &none, NULL);

    if (seen.exit_code != 0 || stored() != REPORTS || waiting() != 0)
        fail_msg("behind a kill before call %zu: exit %d, %zu of %u stored, %zu files left", n,
                 seen.exit_code, stored(), REPORTS, waiting());
}

static void killed_at_every_call(void **state)
{
    size_t kills = 0, received = 0, committed = 0;

    (void)state;
    for (size_t n = 1;; n++) {
        const struct fault fault = { .kind = FAULT_KILL_BEFORE, .n = n, .under = dir };

        report_all();
        const struct fault_seen seen = fault_run(ground, NULL, &fault, NULL);

        if (seen.fired == 0) {
            assert_int_equal(seen.exit_code, 0);
            assert_int_equal(stored(), REPORTS);
            assert_int_equal(waiting(), 0);
            break;
        }
        assert_true(seen.killed);
        kills++;
        const size_t there = stored(), left = waiting();

        if ((there != 0 && there != REPORTS) || (there == 0 && left != REPORTS))
            fail_msg("killed before call %zu (%s %s): %zu of %u stored, %zu files left", n,
                     fault_call_name(seen.at.nr), seen.at.path, there, REPORTS, left);
        received += there == 0;
        committed += there == REPORTS && left == REPORTS;
        goes_on(n);
    }
    print_message("%zu kills: %zu before the commit, %zu behind it with all files there\n", kills,
                  received, committed);
    assert_true(received > 0 || getenv("BERTH_STORE")); /* a server's files are not this test's */
    assert_true(committed > 0);
    assert_true(kills >= KILLS_MIN);
}

/* A round that failed, in a life that goes on: the same objects come again, once links that could
 * not be opened are tried anew. */
static int fails_once(void *arg)
{
    char home[80];
    const struct ground_options options = { .home = home, .up_budget = 1 << 20, .up_files = 100 };
    struct ground *g = NULL;
    struct err why = { 0 };

    (void)arg;
    print_to(home, sizeof home, "%s/ground/home", dir);
    if (ground_open(&options, &g, &why) != RC_OK)
        return 1;
    fault_arm();
    (void)!ground_receive(g, 1000, UNIX_MS, &why);
    fault_disarm();
    const enum rc second = ground_receive(g, 10000, UNIX_MS + 9000, &why);

    ground_close(&g);
    return second == RC_OK ? 0 : 2;
}

static void failed_at_every_call(void **state)
{
    size_t failures = 0;

    (void)state;
    for (size_t n = 1;; n++) {
        const struct fault fault = { .kind = FAULT_FAIL, .sys = EIO, .n = n, .under = dir };

        report_all();
        const struct fault_seen seen = fault_run(fails_once, NULL, &fault, NULL);

        if (seen.exit_code != 0 || stored() != REPORTS)
            fail_msg("behind EIO at call %zu (%s %s): exit %d, %zu of %u stored, %zu files left", n,
                     fault_call_name(seen.at.nr), seen.at.path, seen.exit_code, stored(), REPORTS,
                     waiting());
        if (seen.fired == 0)
            break;
        failures++;
    }
    assert_true(failures >= KILLS_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_every_call),
        cmocka_unit_test(failed_at_every_call),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
