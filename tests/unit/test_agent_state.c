/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/state.h"
#include "base/fs.h"
#include "base/statefile.h"

static struct digest digest(uint8_t n)
{
    struct digest d = { { n } };

    return d;
}

static void set_team(struct team_record *t, const char *tenant, const char *team, uint64_t epoch)
{
    memcpy(t->mark.tenant, tenant, strlen(tenant));
    memcpy(t->mark.team, team, strlen(team));
    t->mark.epoch = epoch;
    t->mark.payload = digest((uint8_t)(50 + epoch));
    t->mark.issued_ms = 1790000000000;
    t->mark.since_ms = 1780000000000;
}

/* Three payloads, one in each interesting state. */
static struct state *sample(void)
{
    struct state *s = calloc(1, sizeof *s);

    assert_non_null(s);
    s->epoch = 7;
    s->event_seq = 1234;
    s->generation = 3;
    s->order = digest(9);
    s->order_issued_ms = 1790000000000;
    s->time_floor = 1800000000000;
    s->time_anchor = 1790000000000;
    s->passes_order = 12;
    s->passes_document = 3;
    s->trust = (struct trust_record){ .root_version = 4, .root = digest(40), .n_grants = 2 };
    s->trust.operator_since_ms = 1780000000000;
    s->trust.revoked = (struct revoked_set){ .root_version = 4, .number = 2, .n = 1 };
    s->trust.revoked.issued_ms = 1790000000000;
    s->trust.revoked.newest = digest(41);
    s->trust.revoked.entry[0] =
        (struct revoked){ .kind = REVOKED_MANIFEST, .policy = REVOKE_STOP, .manifest = digest(1) };
    s->trust.grant[0] = (struct grant_record){ .tenant = "acme", .epoch = 7 };
    s->trust.grant[0].payload = digest(42);
    s->trust.grant[0].total = (struct resources){ 1U << 20, 2, 3, 4, 5, 6 };
    s->trust.grant[0].payloads_max = 8;
    s->trust.grant[1] = (struct grant_record){ .tenant = "zeta", .epoch = 1, .expires_ms = 1 };
    s->trust.grant[1].payload = digest(43);
    s->trust.n_teams = 3;
    set_team(&s->trust.team[0], "acme", "flight", 5);
    s->trust.team[0].has_terms = true;
    s->trust.team[0].mark.lapsed = true;
    s->trust.team[0].withdrawn = REVOKE_KEEP;
    s->trust.team[0].expires_ms = 1791000000000;
    s->trust.team[0].total = (struct resources){ 6, 5, 4, 3, 2, 1 };
    s->trust.team[0].payloads_max = 2;
    set_team(&s->trust.team[1], "acme", "flight/cam", 1);
    s->trust.team[1].withdrawn = REVOKE_STOP;
    set_team(&s->trust.team[2], "zeta", "flight", 1);
    s->trust.team[2].has_terms = true;
    s->n_units = 3;
    s->unit[0] = (struct unit_record){ .tenant = "acme", .name = "cam", .index = 5 };
    s->unit[0].state = SLOT_ROLLED_BACK;
    s->unit[0].code = RC_HEALTH_TIMEOUT;
    s->unit[0].wanted = digest(3);
    s->unit[0].good = digest(2);
    s->unit[0].vouched = digest(22);
    s->unit[0].previous = digest(1);
    s->unit[0].floor = 2;
    s->unit[0].n_failed = 1;
    s->unit[0].failed[0] = (struct unit_failed){ digest(3), RC_HEALTH_TIMEOUT };
    s->unit[1] = (struct unit_record){ .tenant = "acme", .name = "log", .index = 0 };
    s->unit[2] = (struct unit_record){ .tenant = "zeta", .name = "cam", .index = 1 };
    s->unit[2].state = SLOT_TRIAL;
    s->unit[2].wanted = digest(4);
    s->unit[2].trials = 2;
    s->unit[2].snapshot = digest(4);
    return s;
}

static void round_trip(void **state)
{
    scoped(free_ptr) struct state *s = sample();
    scoped(free_ptr) struct state *back = calloc(1, sizeof *back);
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_rc(state_encode(s, buf, STATE_MAX, &out, &err), RC_OK);
    assert_rc(state_decode(out, back, &err), RC_OK);
    assert_memory_equal(s, back, sizeof *s);
}

/* What came later takes no room while it says nothing, and comes back when it does. */
static void life_is_kept(void **state)
{
    scoped(free_ptr) struct state *s = sample();
    scoped(free_ptr) struct state *back = calloc(1, sizeof *back);
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_rc(state_encode(s, buf, STATE_MAX, &out, &err), RC_OK);
    size_t before = out.n;
    assert_int_equal(buf[0], 0xab); /* eleven keys, as ever */
    s->safe = true;
    s->unit[1].spent = 3;
    s->unit[2].done = digest(4);
    s->unit[2].spent = RESTART_BUDGET_MAX;
    s->trust.grant[0].total.shm_bytes = 7;
    assert_rc(state_encode(s, buf, STATE_MAX, &out, &err), RC_OK);
    assert_true(out.n > before);
    assert_rc(state_decode(out, back, &err), RC_OK);
    assert_memory_equal(s, back, sizeof *s);
    for (size_t n = 0; n < out.n; n++)
        assert_true(state_decode((struct bytes){ out.p, n }, back, &err) != RC_OK);
    assert_int_equal(buf[out.n - 1], 0xf5);
    buf[out.n - 1] = 0xf4; /* "not safe" is not written */
    assert_rc(state_decode(out, back, &err), RC_VALUE);
    buf[out.n - 1] = 0xf5;
    buf[0] = 0xab; /* one key fewer than there are */
    assert_true(state_decode(out, back, &err) != RC_OK);
    s->unit[1].spent = RESTART_BUDGET_MAX + 1;
    assert_rc(state_encode(s, buf, STATE_MAX, &out, &err), RC_VALUE);
}

static void largest_fits(void **state)
{
    scoped(free_ptr) struct state *s = calloc(1, sizeof *s);
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    *s = (struct state){ .epoch = UINT64_MAX, .event_seq = UINT64_MAX, .n_units = UNITS_MAX };
    for (uint32_t i = 0; i < UNITS_MAX; i++) {
        struct unit_record *u = &s->unit[i];

        (void)snprintf(u->tenant, sizeof u->tenant, "%032u", 1U);
        (void)snprintf(u->name, sizeof u->name, "%032u", i);
        u->index = UNIT_INDEX_MAX - 1 - i;
        u->floor = UINT64_MAX;
        u->trials = UINT32_MAX;
        u->done = digest(1);
        u->spent = RESTART_BUDGET_MAX;
        u->n_failed = UNIT_FAILED_MAX;
        for (uint32_t k = 0; k < UNIT_FAILED_MAX; k++)
            u->failed[k] = (struct unit_failed){ digest((uint8_t)(k + 1)), RC_FAILED_BEFORE };
    }
    s->trust.root_version = 1;
    s->trust.root = digest(1);
    s->trust.n_teams = TEAMS_HELD_MAX;
    for (uint32_t i = 0; i < TEAMS_HELD_MAX; i++) {
        struct team_record *t = &s->trust.team[i];

        (void)snprintf(t->mark.tenant, sizeof t->mark.tenant, "%032u", i / TEAMS_MAX);
        (void)snprintf(t->mark.team, sizeof t->mark.team, "%032u/%032u/%032u/%032u", i, 1U, 2U, 3U);
        t->mark.epoch = UINT64_MAX;
        t->mark.payload = digest(1);
        t->mark.issued_ms = t->mark.since_ms = t->expires_ms = INT64_MAX;
        t->has_terms = true;
        t->total = (struct resources){ UINT64_MAX, UINT64_MAX, UINT64_MAX,
                                       UINT32_MAX, UINT32_MAX, UINT32_MAX };
        t->payloads_max = UINT32_MAX;
    }
    assert_rc(state_encode(s, buf, STATE_MAX, &out, &err), RC_OK);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    scoped(free_ptr) struct state *s = sample();
    struct err err = { 0 };

    s->unit[1].index = 5;
    assert_rc(state_check(s, &err), RC_VALUE); /* two payloads, one id range */
    s->unit[1].index = 0;
    s->unit[1].state = SLOT_COMMITTED;
    assert_rc(state_check(s, &err), RC_VALUE); /* a state, but nothing is wanted */
    s->unit[1].wanted = digest(8);
    assert_rc(state_check(s, &err), RC_VALUE); /* committed, but not the good one */
    s->unit[1].good = digest(8);
    assert_rc(state_check(s, &err), RC_OK);
    memcpy(s->unit[1].name, "cam", 4);
    assert_rc(state_check(s, &err), RC_CBOR_ORDER); /* one payload twice */
    memcpy(s->unit[1].name, "../", 4);
    assert_rc(state_check(s, &err), RC_NAME);
    memcpy(s->unit[1].name, "log", 4);
    s->unit[0].code = 99999;
    assert_rc(state_check(s, &err), RC_VALUE);
    s->unit[0].code = 0;
    s->generation = 0;
    assert_rc(state_check(s, &err), RC_VALUE); /* an order's digest without an order */
    s->order = digest(0);
    assert_rc(state_check(s, &err), RC_VALUE); /* and its time */
    s->order_issued_ms = 0;
    assert_rc(state_check(s, &err), RC_OK);
}

static void nonsense_about_teams_is_refused(void **state)
{
    (void)state;
    scoped(free_ptr) struct state *s = sample();
    struct team_record *t = s->trust.team;
    struct err err = { 0 };

    assert_rc(state_check(s, &err), RC_OK);
    t[1].has_terms = true; /* terms, of a team that was stopped */
    assert_rc(state_check(s, &err), RC_VALUE);
    t[1].has_terms = false;
    t[1].withdrawn = REVOKE_NONE; /* neither terms nor an end */
    assert_rc(state_check(s, &err), RC_VALUE);
    t[1].withdrawn = REVOKE_KEEP;
    assert_rc(state_check(s, &err), RC_OK);
    t[1].total.pids = 1; /* limits without terms */
    assert_rc(state_check(s, &err), RC_VALUE);
    t[1].total.pids = 0;
    t[1].mark.lapsed = true;
    assert_rc(state_check(s, &err), RC_VALUE);
    t[1].mark.lapsed = false;
    t[1].mark.payload = digest(0);
    assert_rc(state_check(s, &err), RC_VALUE);
    t[1].mark.payload = digest(1);
    t[1].mark.epoch = 0;
    assert_rc(state_check(s, &err), RC_VALUE);
    t[1].mark.epoch = 1;
    memcpy(t[1].mark.team, "flight/../a", 12);
    assert_rc(state_check(s, &err), RC_NAME);
    memcpy(t[1].mark.team, "flight", 7); /* one team twice */
    assert_rc(state_check(s, &err), RC_CBOR_ORDER);
    memcpy(t[1].mark.team, "flight/cam", 11);
    t[2].expires_ms = (uint64_t)INT64_MAX + 1;
    assert_rc(state_check(s, &err), RC_VALUE);
    t[2].expires_ms = 0;
    assert_rc(state_check(s, &err), RC_OK);
    s->trust.n_teams = TEAMS_HELD_MAX + 1;
    assert_rc(state_check(s, &err), RC_VALUE);
}

/* A changed byte either gives another sensible state or a refusal that leaves ret alone. */
static void damage_is_refused(void **state)
{
    scoped(free_ptr) struct state *s = sample();
    scoped(free_ptr) struct state *back = calloc(1, sizeof *back);
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct bytes out = { 0 };
    struct err err = { 0 };

    (void)state;
    assert_rc(state_encode(s, buf, STATE_MAX, &out, &err), RC_OK);
    for (size_t i = 0; i < out.n; i++) {
        back->epoch = 4711;
        assert_int_not_equal(state_decode((struct bytes){ buf, i }, back, &err), RC_OK);
        assert_int_equal(back->epoch, 4711);
        buf[i] ^= 0x40;
        if (state_decode(out, back, &err) == RC_OK)
            assert_rc(state_check(back, &err), RC_OK);
        else
            assert_int_equal(back->epoch, 4711);
        buf[i] ^= 0x40;
    }
}

static void file_keeps_the_newest_whole_copy(void **state)
{
    char path[] = "/tmp/berth-state-XXXXXX";
    struct err err = { 0 };
    bool repair = true;

    (void)state;
    assert_non_null(mkdtemp(path));
    scoped(close_fd) int dir = open(path, O_DIRECTORY | O_CLOEXEC);
    scoped(free_ptr) struct state *s = sample();
    scoped(free_ptr) struct state *back = calloc(1, sizeof *back);

    assert_rc(state_load(dir, back, NULL, &err), RC_NOT_FOUND);
    assert_rc(state_save(dir, s, false, &err), RC_OK);
    s->epoch = 8;
    assert_rc(state_save(dir, s, false, &err), RC_OK);
    assert_rc(state_load(dir, back, &repair, &err), RC_OK);
    assert_int_equal(back->epoch, 8);
    assert_false(repair);

    assert_rc(fs_write_file(dir, "agent.a", bytes_of("garbage"), 0600, &err), RC_OK);
    assert_rc(state_load(dir, back, &repair, &err), RC_OK);
    assert_true(repair);
    assert_rc(fs_write_file(dir, "agent.b", bytes_of("garbage"), 0600, &err), RC_OK);
    assert_rc(state_load(dir, back, &repair, &err), RC_DOC_VERSION); /* somebody wrote that */
    assert_rc(fs_write_file(dir, "agent.b", bytes_of("BERTHST1 and no more"), 0600, &err), RC_OK);
    assert_rc(state_load(dir, back, &repair, &err), RC_STATE_DAMAGED);

    /* Whole, and of another agent: copied aside as it is, and kept where it was. */
    assert_rc(statefile_renew(dir, "agent", bytes_of("of another agent"), &err), RC_OK);
    assert_rc(state_load(dir, back, &repair, &err), RC_DOC_VERSION);
    assert_rc(state_load_left(dir, back, &err), RC_NOT_FOUND);
    assert_rc(state_copy_aside(dir, &err), RC_OK);
    assert_rc(state_load(dir, back, &repair, &err), RC_DOC_VERSION);
    assert_rc(state_load_left(dir, back, &err), RC_DOC_VERSION);
    assert_int_equal(back->epoch, 8);
    (void)unlinkat(dir, "left.a", 0);
    (void)unlinkat(dir, "left.b", 0);
    (void)unlinkat(dir, "agent.a", 0);
    (void)unlinkat(dir, "agent.b", 0);
    (void)rmdir(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(largest_fits),
        cmocka_unit_test(life_is_kept),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(nonsense_about_teams_is_refused),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(file_keeps_the_newest_whole_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
