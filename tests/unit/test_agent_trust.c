/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known to have been done to the trust of an updater, done to the agent: each attack by
 * itself, on a satellite with two tenants whose versions have committed.  After every row the trust
 * state, what may run, and the other tenant must be as they were, now and after a restart; then
 * also with all of trust/ gone.  The numbers are those of the list of attacks in issue 3.
 *
 * And the power goes before each durable step of taking each type of document.  Everything is in
 * this process: fsync, renameat and unlinkat below stand before those of libc.
 */
#include "tests/unit/test.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#include "agent/documents.h"
#include "agent/recorded.h"
#include "agent/revoke.h"
#include "agent/supervise.h"
#include "base/clock.h"
#include "base/statefile.h"
#include "manifest/config.h"
#include "tests/unit/fault_rig.h"
#include "tests/unit/update_signed.h"

#define CUT_EXIT 77

/* ---- the power cut ------------------------------------------------------------------------------
 */

static uint32_t cut_at; /* 0 = never; before the cut_at-th durable call */
static uint32_t durable;

static void maybe_cut(void)
{
    if (cut_at > 0 && ++durable == cut_at)
        _exit(CUT_EXIT);
}

int fsync(int fd)
{
    maybe_cut();
    return (int)syscall(SYS_fsync, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    maybe_cut();
    return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

int unlinkat(int fd, const char *path, int flags)
{
    maybe_cut();
    return (int)syscall(SYS_unlinkat, fd, path, flags);
}

/* ---- the clock -------------------------------------------------------------------------------
 */

static uint64_t set_clock_ms; /* 0 = the machine's */

int clock_gettime(clockid_t id, struct timespec *ts)
{
    long rc = syscall(SYS_clock_gettime, id, ts);

    if (id == CLOCK_REALTIME && set_clock_ms > 0)
        *ts = (struct timespec){ .tv_sec = (time_t)(set_clock_ms / 1000) };
    return (int)rc;
}

/* ---- the scene
 * -----------------------------------------------------------------------------------
 */

#define GENERATION 5
#define SINCE_MS (ISSUED_MS + 2 * DAY_MS)

static struct scratch dir;
static struct agent *a;
static struct digest acme[4], zenith[4]; /* manifests of release 1 to 3 */
static struct signed_doc evil;

static void load_agent(void)
{
    struct err err = { 0 };

    a = calloc(1, sizeof *a);
    assert_non_null(a);
    a->link_sock = a->launch_sock = a->unpack_program = -1;
    a->frozen_passes = 3;
    a->state_dir = dup(dir.fd);
    assert_rc(fs_open_dir(dir.fd, TRUST_DIR, 0700, &a->trust_dir, &err), RC_OK);
    assert_rc(fs_open_dir(dir.fd, "data", 0700, &a->data_dir, &err), RC_OK);
    assert_rc(fs_open_dir(dir.fd, "log", 0700, &a->log_dir, &err), RC_OK);
    doc_must(agent_load(a, &err), &err);
    if (a->ordered)
        agent_apply_order(a);
    revoke_apply(a);
}

static void leave_agent(void)
{
    trust_free(&a->trust);
    slots_done(&a->slots);
    objects_done(&a->objects);
    close_fd(&a->state_dir);
    close_fd(&a->trust_dir);
    close_fd(&a->data_dir);
    close_fd(&a->log_dir);
    free(a);
    a = NULL;
}

static void restart(void)
{
    leave_agent();
    load_agent();
}

static noinline void put_grant(int trust, const char *tenant, enum doc_key key)
{
    struct grant grant = doc_grant();
    char file[64];
    struct err err = { 0 };

    grant.expires_ms = 0;
    (void)snprintf(grant.tenant, sizeof grant.tenant, "%s", tenant);
    grant.keys = doc_key_set(1, 1, key);
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    (void)snprintf(file, sizeof file, TRUST_GRANT_PREFIX "%s" TRUST_GRANT_SUFFIX, tenant);
    doc_must(fs_write_file(trust, file, evil.bytes, 0600, &err), &err);
}

static noinline void make_root(void)
{
    static struct root root;

    root = doc_root();
    root.expires_ms = 0;
    doc_signed(&evil, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
}

static noinline void provision(void)
{
    struct agent_config config = { .satellite = "aurora-1", .node = 101, .ground = 1 };
    scoped(close_fd) int trust = make_dir(dir.fd, TRUST_DIR);
    uint8_t buf[CONFIG_MAX];
    struct bytes out = { 0 };
    struct err err = { 0 };

    config.mission = doc_mission;
    doc_must(config_encode(&config, buf, sizeof buf, &out, &err), &err);
    doc_must(fs_write_file(dir.fd, CONFIG_FILE, out, 0644, &err), &err);
    make_root();
    doc_must(fs_write_file(trust, TRUST_ROOT_FILE, evil.bytes, 0600, &err), &err);
    put_grant(trust, "acme", K_ACME);
    put_grant(trust, "zenith", K_ZENITH);
}

/* A version in its slot; nothing is in the slot but its envelope, nobody starts it here. */
static noinline struct digest install_of(const char *tenant, const char *team, enum doc_key signer,
                                         uint64_t release)
{
    struct tar t = { 0 };
    struct verified_payload *payload = NULL;
    struct stage stage;
    struct err err = { 0 };

    tar_dir(&t, "bin/");
    tar_file(&t, "bin/app", 0755, tenant);
    tar_end(&t);

    struct content c = compress_window((struct bytes){ .p = t.p, .n = t.n }, 0);
    struct unpack_spec spec = spec_of(content_view(&c), &t, "/bin/app");
    struct manifest m = signed_manifest(&spec);
    (void)snprintf(m.tenant, sizeof m.tenant, "%s", tenant);
    (void)snprintf(m.team, sizeof m.team, "%s", team);
    m.release = m.floor = release;
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), signer);

    doc_must(payload_verify(a->trust, fd, NOW_MS, &payload, &err), &err);
    struct digest digest = *payload_digest(payload);
    doc_must(slot_stage(&a->slots, payload, &stage, &err), &err);
    doc_must(slot_commit(&a->slots, &stage, &err), &err);
    payload_free(&payload);
    tar_done(&t);
    free(c.p);
    return digest;
}

static struct digest install(const char *tenant, enum doc_key signer, uint64_t release)
{
    return install_of(tenant, "", signer, release);
}

static noinline void make_order(uint64_t generation, uint32_t release, uint64_t issued_ms,
                                enum doc_key who)
{
    struct order order = { .satellite = "aurora-1", .generation = generation, .n_lines = 2 };

    order.issued_ms = issued_ms;
    order.line[0] = (struct order_line){ "acme", "cam-north", .manifest = acme[release] };
    order.line[1] = (struct order_line){ "zenith", "cam-north", .manifest = zenith[release] };
    doc_signed(&evil, DOC_ORDER, order_encode, &order, who);
}

static noinline void make_grant(uint64_t epoch, enum doc_key key, uint64_t issued_ms)
{
    struct grant grant = doc_grant();

    grant.epoch = epoch;
    grant.issued_ms = issued_ms;
    grant.expires_ms = 0;
    grant.keys = doc_key_set(1, 1, key);
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
}

/* Root v: odd ones with the keys of the first, even ones with the next; `since` 0 = the operator's
 * keys stay. */
static noinline void make_next_root(uint64_t v, uint64_t since)
{
    static struct root root;
    static struct key_set odd, even;
    struct err err = { 0 };

    root = doc_root();
    odd = doc_key_set(2, 3, K_ROOT_A);
    even = doc_key_set(2, 2, K_NEXT_A);
    root.version = v;
    root.issued_ms = since ? since : ISSUED_MS + DAY_MS;
    root.expires_ms = 0;
    root.root_keys = v % 2 ? odd : even;
    if (since)
        root.operator_keys = doc_key_set(1, 1, K_OPERATOR_B);
    root.operator_since_ms = since;
    doc_must(root_commit(&root, v % 2 ? &even : &odd, &err), &err);
    doc_signed(&evil, DOC_ROOT, root_encode, &root, K_NEXT_A, K_NEXT_B, K_ROOT_B, K_ROOT_C);
}

static noinline void make_revocation(uint64_t number, struct revoked entry)
{
    struct revocation r = { .number = number, .issued_ms = ISSUED_MS, .n = 1 };

    r.entry[0] = entry;
    doc_signed(&evil, DOC_REVOCATION, revocation_encode, &r, K_ROOT_A, K_ROOT_B);
}

static struct revoked signer(enum doc_key which, enum revoke_policy policy)
{
    struct revoked e = { .kind = REVOKED_KEY, .policy = policy };

    memcpy(e.key, sign_key_public(doc_key(which))->id, KEY_ID_SIZE);
    return e;
}

static enum rc take(enum object_kind kind)
{
    struct err err = { 0 };

    return documents_take(a, kind, evil.bytes, &err);
}

static struct unit *unit_of(const char *tenant)
{
    struct unit *u = reconcile_find(&a->table, tenant, "cam-north");

    assert_non_null(u);
    return u;
}

static void commit(const char *tenant)
{
    struct unit_record *r = &unit_of(tenant)->kept;

    r->state = SLOT_COMMITTED;
    r->good = r->wanted;
    r->floor = 2;
}

static int scene_begins(void **state)
{
    (void)state;
    dir = scratch_new();
    provision();
    load_agent();
    acme[1] = install("acme", K_ACME, 1);
    acme[2] = install("acme", K_ACME, 2);
    zenith[1] = install("zenith", K_ZENITH, 1);
    zenith[2] = install("zenith", K_ZENITH, 2);
    make_order(GENERATION, 2, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    commit("acme");
    commit("zenith");
    make_revocation(3, signer(K_STRANGER, REVOKE_STOP));
    assert_rc(take(OBJECT_REVOCATION), RC_OK);
    restart();
    return 0;
}

static int scene_ends(void **state)
{
    (void)state;
    leave_agent();
    scratch_done(&dir);
    return 0;
}

/* Whether the version that committed last may start now. */
static enum rc admitted(const char *tenant)
{
    struct unit *u = unit_of(tenant);
    struct admission admission = { 0 };

    return supervise_admit(a, &u->kept, &u->kept.good, &admission);
}

static void stands_as_before(void)
{
    static const char *const tenants[] = { "acme", "zenith" };
    const struct digest *good[] = { &acme[2], &zenith[2] };

    assert_int_equal(a->state.generation, GENERATION);
    for (size_t i = 0; i < 2; i++) {
        const struct unit *u = unit_of(tenants[i]);

        assert_int_equal(u->kept.state, SLOT_COMMITTED);
        assert_memory_equal(&u->kept.good, good[i], sizeof *good[i]);
        assert_int_equal(u->kept.floor, 2);
        assert_int_equal(u->kept.n_failed, 0);
        assert_rc(admitted(tenants[i]), RC_OK);
    }
}

static void trust_as_before(void)
{
    assert_int_equal(a->lost, 0);
    assert_non_null(a->trust);
    assert_int_equal(trust_root(a->trust)->version, 1);
    assert_int_equal(trust_grant(a->trust, "acme")->epoch, 3);
    assert_int_equal(trust_grant(a->trust, "zenith")->epoch, 3);
    assert_int_equal(trust_revoked(a->trust)->number, 3);
    assert_int_equal(trust_revoked(a->trust)->n, 1);
}

static void lose_trust(void)
{
    static const char *const files[] = { "root.cose",         "root.a",         "root.b",
                                         "grant-acme.cose",   "grant-acme.a",   "grant-acme.b",
                                         "grant-zenith.cose", "grant-zenith.a", "grant-zenith.b",
                                         "revoked.a",         "revoked.b" };
    struct err err = { 0 };

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        doc_must(fs_unlink(a->trust_dir, files[i], &err), &err);
}

static bool told(enum rc code)
{
    for (uint32_t i = 0; i < a->events.n; i++)
        if (a->events.ring[(a->events.first + i) % REPORT_EVENTS_MAX].code == (uint32_t)code)
            return true;
    return false;
}

/* ---- the rows -----------------------------------------------------------------------------------
 */

static void older_order(void)
{
    make_order(GENERATION - 1, 1, ISSUED_MS, K_OPERATOR_A);
}

static void rival_order(void)
{
    make_order(GENERATION, 1, ISSUED_MS, K_OPERATOR_A);
}

static void older_grant(void)
{
    make_grant(2, K_STRANGER, ISSUED_MS);
}

static void rival_grant(void)
{
    make_grant(3, K_STRANGER, ISSUED_MS);
}

static void older_revocation(void)
{
    make_revocation(2, signer(K_ACME, REVOKE_STOP));
}

static void rival_revocation(void)
{
    make_revocation(3, signer(K_ACME, REVOKE_STOP));
}

static void order_of_the_future(void)
{
    make_order(GENERATION + 1, 1, clock_unix_ms() + 2 * TRUST_AHEAD_MAX_MS, K_OPERATOR_A);
}

static void grant_of_the_future(void)
{
    make_grant(4, K_STRANGER, clock_unix_ms() + 2 * TRUST_AHEAD_MAX_MS);
}

static void root_skips(void)
{
    make_next_root(3, 0);
}

static void order_by_a_tenant(void)
{
    make_order(GENERATION + 1, 1, ISSUED_MS, K_ACME);
}

static void grant_by_a_revoked_key(void)
{
    struct grant grant = doc_grant();

    grant.epoch = 9;
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_STRANGER);
}

static const struct row {
    const char *why;
    void (*make)(void);
    enum object_kind kind;
    enum rc rc;
} rows[] = {
    { "15 an older order", older_order, OBJECT_ORDER, RC_ORDER_OLD },
    { "15 another order of the same number", rival_order, OBJECT_ORDER, RC_EQUIVOCATION },
    { "15 an older grant", older_grant, OBJECT_GRANT, RC_GRANT_OLD },
    { "15 another grant of the same epoch", rival_grant, OBJECT_GRANT, RC_EQUIVOCATION },
    { "15 an older revocation", older_revocation, OBJECT_REVOCATION, RC_VERSION_OLD },
    { "15 another revocation of the same number", rival_revocation, OBJECT_REVOCATION,
      RC_EQUIVOCATION },
    { "16 an order that would carry time away", order_of_the_future, OBJECT_ORDER, RC_TIME_JUMP },
    { "16 a grant that would carry time away", grant_of_the_future, OBJECT_GRANT, RC_TIME_JUMP },
    { "20 a root without the one before it", root_skips, OBJECT_ROOT, RC_ROOT_GAP },
    { "22 an order signed by a tenant", order_by_a_tenant, OBJECT_ORDER, RC_KEY_UNKNOWN },
    { "26 a grant by a key that was revoked", grant_by_a_revoked_key, OBJECT_GRANT,
      RC_KEY_UNKNOWN },
};

static void refusals_change_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t files = entries_in(dir.fd, TRUST_DIR);

        rows[i].make();
        enum rc rc = take(rows[i].kind);
        if (rc != rows[i].rc)
            fail_msg("%s: %s, not %s", rows[i].why, rc_name(rc), rc_name(rows[i].rc));
        trust_as_before();
        stands_as_before();
        assert_int_equal(entries_in(dir.fd, TRUST_DIR), files);
        restart();
        trust_as_before();
        stands_as_before();
    }
    /* and with nothing left of the trust: the same runs, and none of it is any more welcome */
    lose_trust();
    restart();
    assert_null(a->trust);
    assert_int_equal(a->lost, LOST_ROOT);
    stands_as_before();
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        rows[i].make();
        if (rows[i].kind != OBJECT_ROOT)
            assert_int_not_equal(take(rows[i].kind), RC_OK);
        stands_as_before();
    }
}

/* 15: an order may name an older release, and the floor says no; what runs is not even stopped. */
static void the_floor_holds(void **state)
{
    const struct reconcile_ask ask = { .admit = supervise_admit, .arg = a };

    (void)state;
    make_order(GENERATION + 1, 1, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    unit_of("acme")->run = (struct run){ .phase = RUN_READY, .manifest = acme[2] };
    unit_of("zenith")->run = (struct run){ .phase = RUN_READY, .manifest = zenith[2] };
    reconcile_step(&a->table, clock_mono_ms(), &ask);
    for (uint32_t i = 0; i < a->table.n_actions; i++)
        assert_int_equal(a->table.action[i].type, ACTION_NOTE);
    assert_int_equal(unit_of("acme")->kept.state, SLOT_REFUSED);
    assert_int_equal(unit_of("acme")->kept.code, RC_FLOOR);
    assert_memory_equal(&unit_of("acme")->kept.good, &acme[2], sizeof acme[2]);
    assert_int_equal(unit_of("acme")->run.phase, RUN_READY);
}

/* 16: a thief has driven the counters to their end; the next root sets them back. */
static void counters_come_back_with_a_root(void **state)
{
    (void)state;
    make_order(INT64_MAX, 2, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    make_grant(INT64_MAX, K_STRANGER, ISSUED_MS);
    assert_rc(take(OBJECT_GRANT), RC_OK);
    make_next_root(2, SINCE_MS);
    assert_rc(take(OBJECT_ROOT), RC_OK);
    assert_int_equal(a->state.generation, 0);
    assert_int_equal(a->state.trust.n_grants, 0);
    restart();
    assert_int_equal(a->lost, 0); /* void is not lost */
    make_order(1, 2, SINCE_MS, K_OPERATOR_B);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    assert_int_equal(a->state.generation, 1);
}

/* 17: the same order for ever.  Nothing happens but that it is said. */
static void freeze_is_visible(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 5; i++) {
        uint64_t before = a->events.seq;

        agent_contact(a);
        assert_int_equal(a->events.seq, before + (i == 2));
        make_order(GENERATION, 2, ISSUED_MS, K_OPERATOR_A);
        assert_rc(take(OBJECT_ORDER), RC_OK); /* the same again is no news */
        agent_save(a);
        restart();
        assert_int_equal(a->state.passes_order, i + 1);
        assert_int_equal(told(RC_FROZEN), i >= 2); /* and by every start from then on */
    }
    trust_as_before();
    stands_as_before();
    make_grant(4, K_ACME, ISSUED_MS);
    assert_rc(take(OBJECT_GRANT), RC_OK);
    assert_int_equal(a->state.passes_document, 0);
    assert_int_equal(a->state.passes_order, 5);
    make_order(GENERATION + 1, 2, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    assert_int_equal(a->state.passes_order, 0);
}

/* 26: what a revoked key had signed does not become good again by a restart, by a slot that is
 * still there, or by making everybody forget.  The other tenant does not notice. */
static void revoked_stays_revoked(void **state)
{
    (void)state;
    make_revocation(4, signer(K_ACME, REVOKE_STOP));
    assert_rc(take(OBJECT_REVOCATION), RC_OK);
    for (uint32_t i = 0; i < 3; i++) {
        struct unit_record as_before = { .tenant = "acme", .name = "cam-north" };
        struct admission admission = { 0 };

        as_before.good = as_before.wanted = acme[2];
        as_before.vouched = unit_of("acme")->kept.vouched;
        assert_int_not_equal(supervise_admit(a, &as_before, &acme[2], &admission), RC_OK);
        assert_rc(admitted("zenith"), RC_OK);
        if (i == 1)
            lose_trust();
        restart();
    }
    assert_int_equal(a->lost, LOST_ROOT);
}

/* ---- 19: the clock ------------------------------------------------------------------------------
 */

#define EXPIRES_MS (ISSUED_MS + 30 * DAY_MS)
#define GOOD_MS (ISSUED_MS + 10 * DAY_MS)
#define STEPS_MAX 6

/* What happens to a satellite whose tenant's grant ends at EXPIRES_MS. */
static const struct time_row {
    const char *why;
    struct {
        uint64_t clock_ms; /* as the machine has it from now on; 0 ends the row */
        uint64_t pass_ms;  /* by the clock that nobody can set */
        bool power;        /* goes and comes back */
        bool trust_gone;   /* and somebody has been at trust/ */
        bool expired;      /* then */
    } step[STEPS_MAX];
} time_rows[] = {
    { "no clock at all", { { 1000 }, { 1000, .power = true }, { 1000, DAY_MS } } },
    { "no clock, and time goes by",
      { { 1, 29 * DAY_MS },
        { 1, 2 * DAY_MS, .expired = true },
        { 1, .power = true, .expired = true } } },
    { "a good clock, and time goes by",
      { { GOOD_MS },
        { EXPIRES_MS - 1000 },
        { EXPIRES_MS + 1000, .expired = true },
        { EXPIRES_MS + 1000, .power = true, .expired = true } } },
    { "back to 1970 after the end",
      { { EXPIRES_MS + 1000, .expired = true },
        { 1, .expired = true },
        { 1, .power = true, .expired = true },
        { GOOD_MS, .power = true, .expired = true } } },
    { "2^53, and back", { { 1ULL << 53 }, { GOOD_MS }, { 1ULL << 53, .power = true }, { 1 } } },
    { "2^62, over starts",
      { { 1ULL << 62, .power = true }, { 1ULL << 62, DAY_MS }, { GOOD_MS, .power = true } } },
    { "to and fro before the end",
      { { GOOD_MS }, { 1 }, { GOOD_MS + DAY_MS, .power = true }, { 1ULL << 53 }, { GOOD_MS } } },
    { "in safe mode, after the end and back",
      { { GOOD_MS, .power = true, .trust_gone = true },
        { 1ULL << 53 },
        { EXPIRES_MS + 1000, .expired = true },
        { 1, .expired = true },
        { 1, .power = true, .expired = true } } },
    { "in safe mode without a clock",
      { { 1, 5 * DAY_MS, .power = true, .trust_gone = true },
        { 1, 20 * DAY_MS, .power = true },
        { 1, 20 * DAY_MS, .expired = true },
        { 1, .power = true, .expired = true } } },
};

static noinline void make_grant_until(uint64_t epoch, uint64_t expires_ms)
{
    struct grant grant = doc_grant();

    grant.epoch = epoch;
    grant.expires_ms = expires_ms;
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
}

/* As the tick of the loop does. */
static void tick(uint64_t pass_ms)
{
    agent_pass_time(a, a->ticked_ms + pass_ms);
    if (a->unsaved)
        agent_save(a);
}

static void one_time_row(const struct time_row *row)
{
    uint64_t floor_ms = 0;

    set_clock_ms = GOOD_MS - DAY_MS;
    scene_begins(NULL);
    make_grant_until(4, EXPIRES_MS);
    assert_rc(take(OBJECT_GRANT), RC_OK);
    for (size_t i = 0; i < STEPS_MAX && row->step[i].clock_ms > 0; i++) {
        set_clock_ms = row->step[i].clock_ms;
        if (row->step[i].trust_gone)
            lose_trust();
        if (row->step[i].power)
            restart();
        tick(row->step[i].pass_ms);
        enum rc rc = admitted("acme");
        if (rc != (row->step[i].expired ? RC_EXPIRED : RC_OK))
            fail_msg("%s, step %zu: %s", row->why, i + 1, rc_name(rc));
        assert_rc(admitted("zenith"), RC_OK);
        assert_true(a->state.time_floor >= floor_ms || a->trust);
        if (a->trust)
            assert_true(trust_time_floor(a->trust) >= floor_ms);
        floor_ms = a->trust ? trust_time_floor(a->trust) : a->state.time_floor;
    }
    /* never a brick: the lost root, the next grant, the next order are taken whatever the clock */
    if (!a->trust) {
        make_root();
        assert_rc(take(OBJECT_ROOT), RC_OK);
    }
    make_grant_until(5, 0);
    assert_rc(take(OBJECT_GRANT), RC_OK);
    make_order(GENERATION + 1, 2, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    assert_rc(admitted("acme"), RC_OK);
    scene_ends(NULL);
    set_clock_ms = 0;
}

static void clocks_neither_brick_nor_revive(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof time_rows / sizeof time_rows[0]; i++)
        one_time_row(&time_rows[i]);
}

/* Any reading of the clock, one after the other, on one trust: the end of time is no reading. */
static void extreme_readings(void **state)
{
    static const uint64_t readings[] = { 0,         1,       UINT64_MAX,     1ULL << 53,
                                         INT64_MAX, GOOD_MS, UINT64_MAX - 1, 1ULL << 63,
                                         0 };

    (void)state;
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++) {
        uint64_t floor_ms = trust_time_floor(a->trust);
        enum trust_clock clock = trust_observe(a->trust, readings[i]);

        assert_int_equal(clock, readings[i] > NOW_MS * 2  ? TRUST_CLOCK_AHEAD
                                : readings[i] < ISSUED_MS ? TRUST_CLOCK_BEHIND
                                                          : TRUST_CLOCK_GOOD);
        assert_int_equal(trust_time_floor(a->trust), floor_ms);
        assert_rc(trust_still_valid(a->trust, "acme", "", readings[i]), RC_OK);
    }
    trust_restore_time(a->trust, UINT64_MAX, UINT64_MAX); /* as no state can say */
    assert_int_equal(trust_time_floor(a->trust), INT64_MAX);
    trust_pass(a->trust, UINT64_MAX);
    assert_int_equal(trust_time_floor(a->trust), INT64_MAX);
    assert_int_equal(trust_time_anchor(a->trust), INT64_MAX);
}

/* ---- teams --------------------------------------------------------------------------------------
 */

#define TEAM_FILE "team-acme+flight"
#define SUBTEAM_FILE "team-acme+flight+cam"

static noinline void make_team(const char *team, uint64_t epoch, uint64_t expires_ms,
                               enum doc_key keys)
{
    struct delegation d = doc_delegation();

    memset(d.team, 0, sizeof d.team);
    memcpy(d.team, team, strlen(team));
    d.epoch = epoch;
    d.expires_ms = expires_ms;
    d.keys = doc_key_set(1, 1, keys);
    doc_signed(&evil, DOC_DELEGATION, delegation_encode, &d, strchr(team, '/') ? K_FLIGHT : K_ACME);
}

static noinline void make_end(uint64_t epoch, enum revoke_policy policy)
{
    struct delegation d = doc_withdrawal();

    d.epoch = epoch;
    d.withdrawn = policy;
    doc_signed(&evil, DOC_DELEGATION, delegation_encode, &d, K_ACME);
}

static void flight_as_held(void)
{
    make_team("flight", 5, 0, K_FLIGHT);
}

/* acme runs a version of a team of a team. */
static int teams_begin(void **state)
{
    scene_begins(state);
    flight_as_held();
    assert_rc(take(OBJECT_DELEGATION), RC_OK);
    make_team("flight/cam", 7, 0, K_CAM);
    assert_rc(take(OBJECT_DELEGATION), RC_OK);
    acme[3] = install_of("acme", "flight/cam", K_CAM, 3);
    zenith[3] = zenith[2];
    make_order(GENERATION + 1, 3, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    commit("acme");
    commit("zenith");
    agent_record_versions(a);
    agent_save(a);
    restart();
    assert_int_equal(a->lost, 0);
    assert_rc(admitted("acme"), RC_OK);
    return 0;
}

static void on_copies(const char *file, bool (*deed)(const char *copy))
{
    static const char *const suffixes[] = { ".a", ".b", TRUST_TEAM_SUFFIX };

    for (size_t i = 0; i < 3; i++) {
        char copy[64];

        (void)snprintf(copy, sizeof copy, "%s%s", file, suffixes[i]);
        if (!deed(copy))
            return;
    }
}

static bool unlink_copy(const char *copy)
{
    struct err err = { 0 };

    assert_rc(fs_unlink(a->trust_dir, copy, &err), RC_OK);
    return true;
}

static bool damage_copy(const char *copy)
{
    struct err err = { 0 };

    assert_rc(fs_write_file(a->trust_dir, copy, bytes_of("flipped"), 0600, &err), RC_OK);
    return true;
}

static bool damage_one(const char *copy)
{
    (void)damage_copy(copy);
    return false;
}

/* Only the team that lost something is in safe mode, it goes on, and nothing older is let in. */
static void lost_team_stands(uint32_t lost)
{
    for (uint32_t i = 0; i < 2; i++) {
        restart();
        assert_int_equal(a->lost, lost);
        assert_true(told(RC_SAFE_MODE));
        assert_rc(admitted("acme"), RC_OK);
        assert_rc(admitted("zenith"), RC_OK);
    }
}

static void lost_teams_are_not_forgotten(void **state)
{
    bool (*const deeds[])(const char *) = { unlink_copy, damage_copy };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        on_copies(TEAM_FILE, deeds[i]);
        lost_team_stands(LOST_TEAM);
        make_team("flight", 4, 0, K_STRANGER);
        assert_rc(take(OBJECT_DELEGATION), RC_DELEGATION_OLD);
        make_team("flight", 5, 0, K_STRANGER);
        assert_rc(take(OBJECT_DELEGATION), RC_EQUIVOCATION);
        make_end(4, REVOKE_STOP);
        assert_rc(take(OBJECT_DELEGATION), RC_DELEGATION_OLD);
        make_team("flight/cam", 8, 0, K_CAM); /* its parent is to come first */
        assert_rc(take(OBJECT_DELEGATION), RC_DELEGATION_MISSING);
        lost_team_stands(LOST_TEAM);
        flight_as_held();
        assert_rc(take(OBJECT_DELEGATION), RC_OK);
        assert_int_equal(a->lost, 0);
        assert_rc(admitted("acme"), RC_OK);
        restart();
        assert_int_equal(a->lost, 0);
        assert_rc(admitted("acme"), RC_OK);
    }
    on_copies(SUBTEAM_FILE, unlink_copy);
    lost_team_stands(LOST_TEAM);
    make_team("flight/cam", 6, 0, K_STRANGER);
    assert_rc(take(OBJECT_DELEGATION), RC_DELEGATION_OLD);
    make_team("flight/cam", 8, 0, K_CAM); /* a newer one will do */
    assert_rc(take(OBJECT_DELEGATION), RC_OK);
    assert_int_equal(a->lost, 0);
}

/* One copy is enough, and made two again. */
static void one_copy_of_a_team_is_enough(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        on_copies(TEAM_FILE, damage_one);
        restart();
        assert_true(told(RC_STATE_DAMAGED));
        assert_int_equal(a->lost, 0);
        assert_rc(admitted("acme"), RC_OK);
        unlink_copy(TEAM_FILE ".b");
        restart();
        assert_int_equal(a->lost, 0);
        assert_true(told(RC_STATE_DAMAGED));
    }
}

/* Somebody kept an older file, whole and well signed, and puts it back. */
static void older_team_file_is_a_lost_one(void **state)
{
    static const char *const copies[] = { TEAM_FILE ".a", TEAM_FILE ".b" };
    scoped(free_ptr) uint8_t *old = malloc(DOCUMENT_MAX);
    struct err err = { 0 };
    size_t n = 0;

    (void)state;
    assert_rc(fs_read_file(a->trust_dir, copies[0], old, DOCUMENT_MAX, &n, &err), RC_OK);
    make_team("flight", 6, 0, K_FLIGHT);
    assert_rc(take(OBJECT_DELEGATION), RC_OK);
    for (size_t i = 0; i < 2; i++)
        assert_rc(fs_write_file(a->trust_dir, copies[i], (struct bytes){ old, n }, 0600, &err),
                  RC_OK);
    lost_team_stands(LOST_TEAM);
    assert_true(told(RC_DELEGATION_OLD));
    flight_as_held();
    assert_rc(take(OBJECT_DELEGATION), RC_DELEGATION_OLD);
    make_team("flight", 6, 0, K_FLIGHT);
    assert_rc(take(OBJECT_DELEGATION), RC_OK);
    assert_int_equal(a->lost, 0);
}

/* With the root gone too, the record alone knows the limits of every level. */
static void sums_of_teams_without_a_root(void **state)
{
    struct admission admission = { 0 };

    (void)state;
    on_copies(TEAM_FILE, unlink_copy);
    on_copies(SUBTEAM_FILE, unlink_copy);
    lose_trust();
    lost_team_stands(LOST_ROOT);
    assert_true(reconcile_adopt(&a->table, "acme", "cam-south", 77));
    struct unit *other = reconcile_find(&a->table, "acme", "cam-south");
    assert_non_null(other);
    other->kept.wanted = acme[1];
    other->run = (struct run){ .phase = RUN_READY };
    struct unit_record *r = &unit_of("acme")->kept;
    other->run.limits.memory_bytes = 20U << 20;                    /* 16 MiB of 32 are asked for */
    assert_rc(supervise_admit(a, r, &r->good, &admission), RC_OK); /* not the team's */
    (void)snprintf(other->run.team, sizeof other->run.team, "flight");
    assert_rc(supervise_admit(a, r, &r->good, &admission), RC_DELEGATION_EXCEEDED);
    other->run.limits.memory_bytes = 60U << 20;
    memset(other->run.team, 0, sizeof other->run.team);
    assert_rc(supervise_admit(a, r, &r->good, &admission), RC_GRANT_EXCEEDED);
    reconcile_find(&a->table, "acme", "cam-south")->run.phase = RUN_NONE;
    make_root();
    assert_rc(take(OBJECT_ROOT), RC_OK);
    assert_int_equal(a->lost, LOST_GRANT | LOST_TEAM);
    assert_rc(admitted("acme"), RC_OK);
}

/* What has ended stays ended when it gets lost, and what is lost ends as it would have. */
static void lost_teams_end(void **state)
{
    (void)state;
    on_copies(TEAM_FILE, unlink_copy);
    lost_team_stands(LOST_TEAM);
    make_end(6, REVOKE_STOP);
    assert_rc(take(OBJECT_DELEGATION), RC_OK);
    assert_int_equal(a->lost, 0);
    assert_int_not_equal(admitted("acme"), RC_OK);
    on_copies(TEAM_FILE, unlink_copy); /* the withdrawal, then */
    restart();
    assert_int_equal(a->lost, LOST_TEAM);
    assert_int_not_equal(admitted("acme"), RC_OK);
    flight_as_held();
    assert_rc(take(OBJECT_DELEGATION), RC_DELEGATION_OLD);
    make_end(6, REVOKE_STOP);
    assert_rc(take(OBJECT_DELEGATION), RC_OK);
    assert_int_equal(a->lost, 0);
    assert_rc(admitted("zenith"), RC_OK);
}

static void key_behind_a_lost_team_is_revoked(void **state)
{
    (void)state;
    on_copies(TEAM_FILE, unlink_copy);
    lost_team_stands(LOST_TEAM);
    make_revocation(4, signer(K_ACME, REVOKE_STOP)); /* it signed what is lost */
    assert_rc(take(OBJECT_REVOCATION), RC_OK);
    assert_int_not_equal(admitted("acme"), RC_OK);
    restart();
    assert_int_not_equal(admitted("acme"), RC_OK);
    assert_rc(admitted("zenith"), RC_OK);
}

/* The tenant's teams begin anew while one is lost: it is void, and not lost any more. */
static void void_team_is_not_lost(void **state)
{
    struct grant grant = doc_grant();

    (void)state;
    on_copies(TEAM_FILE, unlink_copy);
    lost_team_stands(LOST_TEAM);
    grant.epoch = 4;
    grant.expires_ms = 0;
    grant.issued_ms = grant.teams_since_ms = ISSUED_MS + DAY_MS;
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(take(OBJECT_GRANT), RC_OK);
    assert_int_equal(a->lost, 0);
    assert_int_not_equal(admitted("acme"), RC_OK);
    assert_rc(admitted("zenith"), RC_OK);
    assert_int_equal(a->state.trust.n_teams, 0);
    restart();
    assert_int_equal(a->lost, 0);
}

/* Seen to expire while it is lost, or while all is: it stays so, sent again or not. */
static void lost_team_expires(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        set_clock_ms = GOOD_MS;
        teams_begin(NULL);
        make_team("flight", 6, EXPIRES_MS, K_FLIGHT);
        assert_rc(take(OBJECT_DELEGATION), RC_OK);
        on_copies(TEAM_FILE, unlink_copy);
        if (i == 1)
            lose_trust();
        lost_team_stands(i == 1 ? LOST_ROOT : LOST_TEAM);
        set_clock_ms = EXPIRES_MS + 1000;
        tick(0);
        assert_rc(admitted("acme"), RC_EXPIRED);
        set_clock_ms = GOOD_MS;
        restart();
        tick(0);
        assert_int_not_equal(admitted("acme"), RC_OK);
        assert_rc(admitted("zenith"), RC_OK);
        if (i == 0) {
            make_team("flight", 6, EXPIRES_MS, K_FLIGHT);
            assert_rc(take(OBJECT_DELEGATION), RC_OK);
            assert_int_equal(a->lost, 0);
            assert_rc(admitted("acme"), RC_EXPIRED);
        }
        scene_ends(NULL);
    }
    set_clock_ms = 0;
}

/* ---- 20: the power cut --------------------------------------------------------------------------
 */

static void new_root(void)
{
    make_next_root(2, 0);
}

static void new_operator(void)
{
    make_next_root(2, SINCE_MS);
}

static void new_grant(void)
{
    make_grant(4, K_ACME, ISSUED_MS);
}

static void new_order(void)
{
    make_order(GENERATION + 1, 2, ISSUED_MS, K_OPERATOR_A);
}

static void new_revocation(void)
{
    make_revocation(4, signer(K_STRANGER, REVOKE_KEEP));
}

static bool root_is_new(void)
{
    return trust_root(a->trust)->version == 2;
}

static bool grant_is_new(void)
{
    return trust_grant(a->trust, "acme")->epoch == 4;
}

static bool order_is_new(void)
{
    return a->state.generation == GENERATION + 1;
}

static bool revocation_is_new(void)
{
    return trust_revoked(a->trust)->number == 4;
}

static bool root_is_back(void)
{
    return a->lost == 0;
}

static void new_team(void)
{
    make_team("flight", 5, 0, K_FLIGHT);
}

static void team_ends(void)
{
    make_end(6, REVOKE_STOP);
}

static bool has_team(uint64_t epoch)
{
    bool found = false;

    for (size_t i = 0; i < trust_teams(a->trust); i++)
        found |= strcmp(trust_team(a->trust, i).team, "flight") == 0 &&
                 trust_team(a->trust, i).epoch == epoch;
    return found;
}

static bool team_is_new(void)
{
    return has_team(5);
}

static bool team_has_ended(void)
{
    return has_team(6);
}

static noinline void make_staged(void)
{
    struct order order = {
        .satellite = "aurora-1", .generation = GENERATION + 1, .n_lines = 1, .staged = true
    };

    order.issued_ms = ISSUED_MS;
    order.line[0] = (struct order_line){ "acme", "cam-north", .manifest = acme[2] };
    doc_signed(&evil, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
}

static noinline void make_token(void)
{
    struct token token = { .satellite = "aurora-1",
                           .generation = GENERATION + 1,
                           .issued_ms = ISSUED_MS,
                           .expires_ms = INT64_MAX };

    make_staged();
    assert_rc(sha256_of(evil.payload, token.order.b, NULL), RC_OK);
    doc_signed(&evil, DOC_TOKEN, token_encode, &token, K_OPERATOR_A);
}

static bool staged_is_new(void)
{
    return a->staged.generation == GENERATION + 1;
}

static bool token_is_new(void)
{
    return a->ordered && a->order.generation == GENERATION + 1 && a->staged.generation == 0;
}

static const struct cut {
    const char *why;
    void (*make)(void);
    enum object_kind kind;
    bool (*is_new)(void);
    bool lost;  /* in safe mode before */
    bool voids; /* what the operator signed before is void after it */
} cuts[] = {
    { "root", new_root, OBJECT_ROOT, root_is_new, false, false },
    { "root with new operator", new_operator, OBJECT_ROOT, root_is_new, false, true },
    { "grant", new_grant, OBJECT_GRANT, grant_is_new, false, false },
    { "order", new_order, OBJECT_ORDER, order_is_new, false, false },
    { "revocation", new_revocation, OBJECT_REVOCATION, revocation_is_new, false, false },
    { "delegation", new_team, OBJECT_DELEGATION, team_is_new, false, false },
    { "withdrawal", team_ends, OBJECT_DELEGATION, team_has_ended, false, false },
    { "staged order", make_staged, OBJECT_ORDER, staged_is_new, false, false },
    { "token", make_token, OBJECT_TOKEN, token_is_new, false, false },
    { "the lost root", make_root, OBJECT_ROOT, root_is_back, true, false },
};

/* Take the document in a process of its own that ends before its n-th durable step.  False: it
 * came to the end. */
static bool cut_off(const struct cut *c, uint32_t n)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        cut_at = n;
        _exit(take(c->kind) == RC_OK ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CUT_EXIT);
    return WEXITSTATUS(status) == CUT_EXIT;
}

static void scene_of(const struct cut *c)
{
    scene_begins(NULL);
    if (c->lost) {
        lose_trust();
        restart();
        assert_int_equal(a->lost, LOST_ROOT);
    }
    if (c->kind == OBJECT_TOKEN) {
        make_staged();
        assert_rc(take(OBJECT_ORDER), RC_OK);
    }
    c->make();
}

/* One cut, and what is found after it: old or new, nothing damaged, nothing lost, and what ran may
 * run.  The document sent again ends the matter. */
static bool cut_once(const struct cut *c, uint32_t n, bool *ret_new)
{
    scene_of(c);
    bool more = cut_off(c, n);
    c->make();
    restart();
    assert_false(told(RC_STATE_DAMAGED) && !c->lost);
    assert_false(a->damaged);
    if (!c->lost)
        assert_int_equal(a->lost, 0);
    bool is_new = c->is_new();
    assert_false(!is_new && *ret_new); /* once done it is done */
    if (!(c->voids && is_new)) {
        assert_rc(admitted("acme"), RC_OK);
        assert_rc(admitted("zenith"), RC_OK);
    }
    assert_rc(take(c->kind), RC_OK);
    assert_true(c->is_new() || c->lost);
    restart();
    assert_true(c->is_new() || c->lost);
    *ret_new = is_new;
    scene_ends(NULL);
    return more;
}

static void cut_at_every_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        bool is_new = false;
        uint32_t n = 1;

        while (cut_once(&cuts[i], n, &is_new))
            n++;
        assert_true(is_new || cuts[i].lost);
        assert_true(n > 3);
        print_message("  %s: %u durable steps\n", cuts[i].why, n - 1);
    }
}

/* ---- a disk that fails --------------------------------------------------------------------------
 */

/* Exit codes of a child that meets a failing call. */
enum { FAIL_OK, FAIL_CODE, FAIL_CLAIM, FAIL_AGAIN };

/* Take it, and once more if that failed: an agent that goes on as it is. */
static int take_twice(void *arg)
{
    const struct cut *c = arg;

    fault_arm();
    enum rc rc = take(c->kind);
    fault_disarm();
    if (rc == RC_OK)
        return c->is_new() || c->lost ? FAIL_OK : FAIL_CLAIM;
    if (rc_class(rc) != RC_CLASS_RETRY)
        return FAIL_CODE;
    return take(c->kind) == RC_OK && (c->is_new() || c->lost) ? FAIL_OK : FAIL_AGAIN;
}

/* The n-th call fails: it is told as something to try again, the next try does it, and a start
 * finds it done.  False: there are fewer calls. */
static bool fail_once(const struct cut *c, const struct fault *fault)
{
    scene_of(c);
    struct fault_seen seen = fault_run(take_twice, (void *)(uintptr_t)c, fault, NULL);
    if (seen.exit_code != FAIL_OK)
        fail_msg("%s: %s from call %zu (%s %s): %d", c->why, strerror(fault->sys), fault->n,
                 fault_call_name(seen.at.nr), seen.at.path, seen.exit_code);
    restart();
    assert_false(a->damaged);
    assert_int_equal(a->lost & LOST_ROOT, 0);
    assert_true(c->is_new() || c->lost);
    scene_ends(NULL);
    return seen.fired > 0;
}

/* Every call with BERTH_FAULTS=all, else every seventh, another one of the seven in each row. */
static void fail_at_every_step(void **state)
{
    static const struct fault faults[] = {
        { .kind = FAULT_FAIL, .sys = EIO },
        { .kind = FAULT_FAIL, .sys = ENOSPC, .lasting = true, .calls = CALLS_ALLOCATE },
        { .kind = FAULT_FAIL, .sys = EROFS, .lasting = true },
    };
    const char *all = getenv("BERTH_FAULTS");
    size_t stride = all && strcmp(all, "all") == 0 ? 1 : 7;

    (void)state;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        size_t injected = 0;

        for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++) {
            struct fault fault = faults[k];

            for (fault.n = 1 + i % stride; fail_once(&cuts[i], &fault); fault.n += stride)
                injected++;
        }
        assert_true(injected > 3);
        print_message("  %s: %zu injections\n", cuts[i].why, injected);
    }
}

/* ---- what several parts do together -------------------------------------------------------------
 */

static void spoil(int dirfd, const char *file)
{
    struct err err = { 0 };

    doc_must(fs_write_file(dirfd, file, bytes_of("spoilt"), 0600, &err), &err);
}

/* The state knows which order is in force: its file may be spoilt, and orders go on. */
static void a_spoilt_order_is_given_again(void **state)
{
    (void)state;
    spoil(dir.fd, ORDER_FILE ".a");
    restart();
    assert_true(a->ordered); /* there were two copies */
    spoil(dir.fd, ORDER_FILE ".a");
    spoil(dir.fd, ORDER_FILE ".b");
    make_order(GENERATION + 1, 2, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    spoil(dir.fd, ORDER_FILE ".a");
    spoil(dir.fd, ORDER_FILE ".b");
    restart();
    assert_false(a->ordered);
    assert_rc(admitted("acme"), RC_OK);
    make_order(GENERATION, 2, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_ORDER), RC_ORDER_OLD);
    make_order(GENERATION + 1, 2, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    restart();
    assert_true(a->ordered);
}

/* An order that a token put into force, and that got lost: both are given again. */
static void a_spoilt_staged_order_is_given_again(void **state)
{
    (void)state;
    make_staged();
    assert_rc(take(OBJECT_ORDER), RC_OK);
    make_token();
    assert_rc(take(OBJECT_TOKEN), RC_OK);
    assert_int_equal(a->state.generation, GENERATION + 1);
    spoil(dir.fd, ORDER_FILE ".a");
    spoil(dir.fd, ORDER_FILE ".b");
    restart();
    assert_false(a->ordered);
    assert_int_equal(a->state.generation, GENERATION + 1);
    make_staged();
    assert_rc(take(OBJECT_ORDER), RC_OK);
    assert_false(a->ordered);
    restart();
    make_token();
    assert_rc(take(OBJECT_TOKEN), RC_OK);
    assert_true(a->ordered);
    assert_int_equal(a->staged.generation, 0);
    restart();
    assert_true(a->ordered);
}

static noinline void make_rekey(uint64_t number, uint64_t issued_ms, enum doc_key who)
{
    static struct rekey r;

    r = (struct rekey){ .satellite = "aurora-1", .number = number, .issued_ms = issued_ms, .n = 1 };
    r.entry[0].what = REKEY_NEW_KEM;
    doc_signed(&evil, DOC_REKEY, rekey_encode, &r, who);
}

/* The new operator counts from one, and the thief was there before. */
static void a_void_rekey_does_not_stand_for_a_good_one(void **state)
{
    (void)state;
    a->rekey.links_known = true;
    make_rekey(1, ISSUED_MS, K_OPERATOR_A);
    assert_rc(take(OBJECT_REKEY), RC_OK);
    assert_int_equal(a->rekey.box.issued_ms, ISSUED_MS);
    make_next_root(2, SINCE_MS);
    assert_rc(take(OBJECT_ROOT), RC_OK);
    make_rekey(1, SINCE_MS, K_OPERATOR_B);
    assert_rc(take(OBJECT_REKEY), RC_OK);
    assert_int_equal(a->rekey.box.issued_ms, SINCE_MS);
}

static bool is_there(const char *file)
{
    return faccessat(a->trust_dir, file, F_OK, 0) == 0;
}

/* One copy after the other: a key that is lost is a rekey that cannot be opened. */
static void a_copy_of_the_rekey_keys_is_made_again(void **state)
{
    const struct rekey_keys keys = a->rekey.box.keys;

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        spoil(dir.fd, i == 1 ? REKEY_FILE ".b" : REKEY_FILE ".a");
        restart();
        assert_true(told(RC_STATE_DAMAGED));
        assert_memory_equal(&a->rekey.box.keys, &keys, sizeof keys);
        restart();
        assert_false(told(RC_STATE_DAMAGED));
    }
    spoil(dir.fd, REKEY_FILE ".a");
    spoil(dir.fd, REKEY_FILE ".b");
    restart();
    assert_true(told(RC_STATE_DAMAGED));
    assert_memory_not_equal(&a->rekey.box.keys, &keys, sizeof keys);
}

/* Grants that the operator's new keys made void leave nothing behind, whatever dropped them first:
 * so many files of a thief's tenants would hide those of the real ones. */
static void void_grants_are_gone(void **state)
{
    (void)state;
    make_revocation(4, signer(K_OPERATOR_A, REVOKE_STOP));
    assert_rc(take(OBJECT_REVOCATION), RC_OK);
    assert_true(is_there("grant-acme.a"));
    make_next_root(2, SINCE_MS);
    assert_rc(take(OBJECT_ROOT), RC_OK);
    assert_false(is_there("grant-acme.a") || is_there("grant-acme.b"));
    assert_false(is_there("grant-acme.cose") || is_there("grant-zenith.cose"));
    put_grant(a->trust_dir, "acme", K_ACME); /* or the power went in between */
    restart();
    assert_false(is_there("grant-acme.cose"));
    assert_null(trust_grant(a->trust, "acme"));
    assert_int_equal(a->lost, 0);
}

static noinline void make_safety_root(uint64_t v, enum doc_key safety)
{
    static struct root root;
    static struct key_set odd, even;
    struct err err = { 0 };

    root = doc_root();
    odd = doc_key_set(2, 3, K_ROOT_A);
    even = doc_key_set(2, 2, K_NEXT_A);
    root.version = v;
    root.issued_ms = ISSUED_MS + DAY_MS;
    root.expires_ms = 0;
    root.root_keys = v % 2 ? odd : even;
    root.safety_keys = doc_key_set(1, 1, safety);
    doc_must(root_commit(&root, v % 2 ? &even : &odd, &err), &err);
    doc_signed(&evil, DOC_ROOT, root_encode, &root, K_NEXT_A, K_NEXT_B, K_ROOT_B, K_ROOT_C);
}

/* A safety key that the root has taken back says nothing any more, before a restart as after it. */
static void the_safety_role_is_that_of_now(void **state)
{
    struct order order = { .satellite = "aurora-1", .generation = GENERATION + 1, .n_lines = 1 };

    (void)state;
    make_safety_root(2, K_SAFETY_A);
    assert_rc(take(OBJECT_ROOT), RC_OK);
    order.issued_ms = ISSUED_MS;
    order.line[0] = (struct order_line){ "acme", "cam-north", .manifest = acme[2] };
    doc_signed(&evil, DOC_ORDER, order_encode, &order, K_OPERATOR_A, K_SAFETY_A);
    assert_rc(take(OBJECT_ORDER), RC_OK);
    assert_true(a->cosigned);
    restart();
    assert_true(a->cosigned);
    make_safety_root(3, K_SAFETY_B);
    assert_rc(take(OBJECT_ROOT), RC_OK);
    assert_false(a->cosigned);
    assert_true(a->ordered);
    restart();
    assert_false(a->cosigned);
    assert_true(a->ordered);
}

static void runs(const char *tenant)
{
    struct unit *u = unit_of(tenant);

    u->run = (struct run){ .phase = RUN_READY, .instance = 7, .manifest = u->kept.good };
}

/* Between the operator's new keys and their first grants nobody holds the tenant's keys, and what
 * runs goes on; but not what the root role has taken back by its signer. */
static void revoked_while_the_grants_are_on_their_way(void **state)
{
    const struct revocation r = {
        .number = 1, .issued_ms = SINCE_MS, .n = 1, .entry = { signer(K_ACME, REVOKE_STOP) }
    };

    (void)state;
    make_next_root(2, SINCE_MS);
    assert_rc(take(OBJECT_ROOT), RC_OK);
    runs("acme");
    runs("zenith");
    doc_signed(&evil, DOC_REVOCATION, revocation_encode, &r, K_NEXT_A, K_NEXT_B);
    assert_rc(take(OBJECT_REVOCATION), RC_OK);
    assert_int_equal(unit_of("acme")->run.phase, RUN_STOPPING);
    assert_int_equal(unit_of("zenith")->run.phase, RUN_READY);
}

/* ---- a state that cannot be read, or not be understood ------------------------------------------
 */

static const char *const state_files[] = { "agent.a", "agent.b", "trust/revoked.a",
                                           "trust/revoked.b" };
#define STATE_FILES (sizeof state_files / sizeof state_files[0])

struct file_bytes {
    uint8_t *p;
    size_t n;
};

static void read_files(struct file_bytes ret[STATE_FILES])
{
    struct err err = { 0 };

    for (size_t i = 0; i < STATE_FILES; i++)
        doc_must(fs_read_alloc(dir.fd, state_files[i], 1U << 20, &ret[i].p, &ret[i].n, &err), &err);
}

static void write_files(struct file_bytes files[STATE_FILES])
{
    struct err err = { 0 };

    for (size_t i = 0; i < STATE_FILES; i++) {
        const struct bytes content = { files[i].p, files[i].n };

        doc_must(fs_write_file(dir.fd, state_files[i], content, 0600, &err), &err);
        free(files[i].p);
    }
}

static bool has_file(const char *path)
{
    return faccessat(dir.fd, path, F_OK, 0) == 0;
}

/* As it is when another agent is chosen, which then writes in a form of its own. */
static void keep_state(void)
{
    struct err err = { 0 };

    doc_must(state_keep(dir.fd, &a->state, &err), &err);
}

#define FOREIGN "another format"

static void leave_foreign_state(void)
{
    struct err err = { 0 };

    doc_must(statefile_renew(dir.fd, STATE_FILE, bytes_of(FOREIGN), &err), &err);
}

static bool is_foreign(const char *name)
{
    uint8_t buf[64];
    size_t n = 0;
    struct err err = { 0 };

    return statefile_load(dir.fd, name, buf, sizeof buf, &n, NULL, &err) == RC_OK &&
           n == strlen(FOREIGN) && memcmp(buf, FOREIGN, n) == 0;
}

/* What was revoked behind the keeping is in one file only.  Without it the agent knows as little as
 * if nothing had been kept, and writes nothing; with it what was kept is used, and what was revoked
 * stays so. */
static void kept_state_needs_all_that_was_revoked(void **state)
{
    (void)state;
    keep_state();
    make_revocation(4, signer(K_ACME, REVOKE_STOP));
    assert_rc(take(OBJECT_REVOCATION), RC_OK);
    const uint64_t epoch = a->state.epoch;
    leave_foreign_state();
    for (size_t i = 2; i < STATE_FILES; i++)
        assert_int_equal(renameat(dir.fd, state_files[i], dir.fd, i == 2 ? "2" : "3"), 0);
    for (unsigned i = 0; i < 2; i++) {
        restart();
        assert_true(a->damaged);
        assert_null(a->trust);
        assert_false(has_file("left.a"));
        assert_true(is_foreign(STATE_FILE));
    }
    for (size_t i = 2; i < STATE_FILES; i++)
        assert_int_equal(renameat(dir.fd, i == 2 ? "2" : "3", dir.fd, state_files[i]), 0);
    for (unsigned i = 0; i < 2; i++) {
        restart();
        assert_false(a->damaged);
        assert_false(a->old_record);
        assert_true(a->state.epoch > epoch + 1);
        assert_int_equal(trust_revoked(a->trust)->number, 4);
        assert_int_not_equal(admitted("acme"), RC_OK);
        assert_rc(admitted("zenith"), RC_OK);
        assert_true(is_foreign("left"));
    }
}

/* The record is an older one, and its file is lost: nobody knows what must not run. */
static void an_older_record_stands_for_nothing(void **state)
{
    struct file_bytes files[STATE_FILES];
    struct err err = { 0 };

    (void)state;
    read_files(files);
    a->old_record = true;
    assert_rc(agent_load_trust(a, &err), RC_OK);
    assert_false(a->old_record); /* it has been brought up by the file */
    a->old_record = true;
    assert_int_equal(unlinkat(dir.fd, state_files[2], 0), 0);
    assert_int_equal(unlinkat(dir.fd, state_files[3], 0), 0);
    assert_rc(agent_load_trust(a, &err), RC_STATE_DAMAGED);
    write_files(files);
    assert_rc(agent_load_trust(a, &err), RC_OK);
}

static void flip_in(const char *path)
{
    scoped(close_fd) int fd = openat(dir.fd, path, O_RDWR | O_CLOEXEC);
    uint8_t byte = 0;

    assert_int_equal(pread(fd, &byte, 1, 30), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, 30), 1);
}

static void leave_rubbish(void)
{
    for (size_t f = 0; f < 2; f++)
        put_file(dir.fd, state_files[f], FOREIGN, 0600);
}

/* An agent on trial has left what is no state file at all: what was kept is used as well. */
static void rubbish_is_another_format(void **state)
{
    (void)state;
    keep_state();
    leave_rubbish();
    restart();
    assert_false(a->damaged);
    assert_true(has_file("left.a"));
    stands_as_before();
    restart();
    assert_false(a->damaged);
    stands_as_before();
}

/* The first start after that, and its first save, in a child whose power goes before its n-th
 * durable step.  False: it came to the end. */
static bool saving_cut_off(uint32_t n)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        leave_agent();
        cut_at = n;
        load_agent();
        agent_save(a);
        _exit(a->save_failed ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == CUT_EXIT);
    return WEXITSTATUS(status) == CUT_EXIT;
}

static void expect_rubbish(const char *path)
{
    scoped(free_ptr) uint8_t *file = NULL;
    struct err err = { 0 };
    size_t n = 0;

    assert_rc(fs_read_alloc(dir.fd, path, 4096, &file, &n, &err), RC_OK);
    assert_int_equal(n, strlen(FOREIGN));
    assert_memory_equal(file, FOREIGN, n);
}

/* Wherever the power goes while it is copied aside and written over: the state is found, or what
 * was kept, and what was left is not lost. */
static void no_cut_beside_rubbish_loses_the_state(void **state)
{
    bool cut = true;

    (void)state;
    for (uint32_t n = 1; cut; n++) {
        assert_int_equal(scene_begins(NULL), 0);
        const uint64_t epoch = a->state.epoch;
        keep_state();
        leave_rubbish();
        cut = saving_cut_off(n);
        for (unsigned i = 0; i < 2; i++) {
            restart();
            assert_false(a->damaged);
            assert_true(a->state.epoch > epoch);
            stands_as_before();
            agent_save(a);
            assert_false(a->save_failed);
            assert_false(a->foreign);
            expect_rubbish("left.a");
            expect_rubbish("left.b");
        }
        assert_true(cut || n > 8); /* two copies aside and two of the state, each in two steps */
        assert_int_equal(scene_ends(NULL), 0);
    }
}

static int save_without_room(void *arg)
{
    (void)arg;
    leave_agent();
    fault_arm();
    load_agent();
    agent_save(a);
    bool failed = a->save_failed && a->uncopied;
    fault_disarm();
    expect_rubbish("agent.a");
    expect_rubbish("agent.b");
    agent_save(a);
    return failed && !a->save_failed && !a->uncopied ? 0 : 1;
}

/* While there is no room for a copy of it, it is not written over. */
static void rubbish_waits_for_its_copy(void **state)
{
    const struct fault fault = {
        .kind = FAULT_FAIL, .sys = ENOSPC, .name = "left.a", .lasting = true, .n = 1
    };

    (void)state;
    keep_state();
    leave_rubbish();
    const struct fault_seen seen = fault_run(save_without_room, NULL, &fault, NULL);
    assert_int_equal(seen.exit_code, 0);
    assert_true(seen.fired > 0);
    restart();
    assert_false(a->damaged);
    stands_as_before();
    expect_rubbish("left.a");
    expect_rubbish("left.b");
}

static void erase(const char *path)
{
    uint8_t ones[512];
    struct err err = { 0 };

    memset(ones, 0xFF, sizeof ones);
    assert_rc(fs_write_file(dir.fd, path, (struct bytes){ ones, sizeof ones }, 0600, &err), RC_OK);
}

/* Both copies damaged, erased, or gone: that is no other format. */
static void damage_is_no_other_format(void **state)
{
    enum { FLIPPED, ERASED, GONE };

    (void)state;
    keep_state();
    for (unsigned i = FLIPPED; i <= GONE; i++) {
        for (size_t f = 0; f < 2; f++) {
            if (i == FLIPPED)
                flip_in(state_files[f]);
            else if (i == ERASED)
                erase(state_files[f]);
            else
                assert_int_equal(unlinkat(dir.fd, state_files[f], 0), 0);
        }
        restart();
        assert_true(a->damaged);
        assert_false(has_file("left.a"));
        assert_int_equal(has_file("agent.a"), i != GONE);
    }
}

static int start_without_memory(void *arg)
{
    struct err err = { 0 };
    enum rc want = *(const enum rc *)arg;

    a = calloc(1, sizeof *a);
    a->link_sock = a->launch_sock = a->unpack_program = a->log_dir = -1;
    a->state_dir = dup(dir.fd);
    a->trust_dir = openat(dir.fd, TRUST_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    a->data_dir = openat(dir.fd, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fault_arm();
    enum rc rc = agent_load(a, &err);
    fault_disarm();
    return rc == want && !a->damaged && (rc == RC_OK || boot_passes(&err)) ? 0 : 1;
}

/* What could not be read just now is tried again, and then the start fails; it touches nothing, and
 * what was kept stays where it is. */
static void want_of_memory_is_no_damage(void **state)
{
    struct file_bytes before[STATE_FILES], after[STATE_FILES];
    struct fault fault = {
        .kind = FAULT_FAIL, .sys = ENOMEM, .calls = CALLS_READ, .name = "agent.a", .n = 1
    };

    (void)state;
    keep_state();
    leave_agent();
    read_files(before);
    for (unsigned i = 0; i < 2; i++) {
        enum rc want = i == 0 ? RC_IO : RC_OK;

        fault.lasting = i == 0;
        const struct fault_seen seen = fault_run(start_without_memory, &want, &fault, NULL);
        assert_int_equal(seen.exit_code, 0);
        assert_true(seen.fired > (i == 0 ? 1 : 0));
        assert_false(has_file("left.a"));
        if (i > 0)
            break;
        read_files(after);
        for (size_t f = 0; f < STATE_FILES; f++) {
            assert_int_equal(after[f].n, before[f].n);
            assert_memory_equal(after[f].p, before[f].p, before[f].n);
            free(after[f].p);
            free(before[f].p);
        }
    }
    load_agent();
    stands_as_before();
}

/* What was left is understood, by an agent that is chosen later: it is older than the state, but
 * floors, time and what was revoked do not fall behind it. */
static void what_was_left_is_looked_at_again(void **state)
{
    scoped(free_ptr) struct state *left = calloc(1, sizeof *left);
    scoped(free_ptr) uint8_t *buf = malloc(STATE_MAX);
    struct file_bytes files[STATE_FILES];
    struct bytes content = { 0 };
    struct err err = { 0 };

    (void)state;
    read_files(files);
    make_revocation(4, signer(K_ACME, REVOKE_STOP));
    assert_rc(take(OBJECT_REVOCATION), RC_OK);
    doc_must(state_load(dir.fd, left, NULL, &err), &err);
    for (uint32_t i = 0; i < left->n_units; i++)
        left->unit[i].floor = strcmp(left->unit[i].tenant, "zenith") == 0 ? 7 : 1;
    left->time_floor += DAY_MS;
    doc_must(state_encode(left, buf, STATE_MAX, &content, &err), &err);
    doc_must(statefile_renew(dir.fd, STATE_LEFT_FILE, content, &err), &err);
    write_files(files);
    for (unsigned i = 0; i < 2; i++) {
        restart();
        assert_int_equal(unit_of("zenith")->kept.floor, 7);
        assert_int_equal(unit_of("acme")->kept.floor, 2);
        assert_true(a->state.time_floor >= left->time_floor);
        assert_int_equal(trust_revoked(a->trust)->number, 4);
        assert_int_not_equal(admitted("acme"), RC_OK);
        assert_int_equal(a->state.generation, GENERATION);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_state_needs_all_that_was_revoked, scene_begins,
                                        scene_ends),
        cmocka_unit_test_setup_teardown(an_older_record_stands_for_nothing, scene_begins,
                                        scene_ends),
        cmocka_unit_test_setup_teardown(damage_is_no_other_format, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(rubbish_is_another_format, scene_begins, scene_ends),
        cmocka_unit_test(no_cut_beside_rubbish_loses_the_state),
        cmocka_unit_test_setup_teardown(rubbish_waits_for_its_copy, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(want_of_memory_is_no_damage, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(what_was_left_is_looked_at_again, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(refusals_change_nothing, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(the_floor_holds, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(counters_come_back_with_a_root, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(freeze_is_visible, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(revoked_stays_revoked, scene_begins, scene_ends),
        cmocka_unit_test(clocks_neither_brick_nor_revive),
        cmocka_unit_test_setup_teardown(extreme_readings, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(lost_teams_are_not_forgotten, teams_begin, scene_ends),
        cmocka_unit_test_setup_teardown(one_copy_of_a_team_is_enough, teams_begin, scene_ends),
        cmocka_unit_test_setup_teardown(older_team_file_is_a_lost_one, teams_begin, scene_ends),
        cmocka_unit_test_setup_teardown(sums_of_teams_without_a_root, teams_begin, scene_ends),
        cmocka_unit_test_setup_teardown(lost_teams_end, teams_begin, scene_ends),
        cmocka_unit_test_setup_teardown(key_behind_a_lost_team_is_revoked, teams_begin, scene_ends),
        cmocka_unit_test_setup_teardown(void_team_is_not_lost, teams_begin, scene_ends),
        cmocka_unit_test(lost_team_expires),
        cmocka_unit_test(cut_at_every_step),
        cmocka_unit_test(fail_at_every_step),
        cmocka_unit_test_setup_teardown(a_spoilt_order_is_given_again, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(a_spoilt_staged_order_is_given_again, scene_begins,
                                        scene_ends),
        cmocka_unit_test_setup_teardown(a_void_rekey_does_not_stand_for_a_good_one, scene_begins,
                                        scene_ends),
        cmocka_unit_test_setup_teardown(a_copy_of_the_rekey_keys_is_made_again, scene_begins,
                                        scene_ends),
        cmocka_unit_test_setup_teardown(void_grants_are_gone, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(the_safety_role_is_that_of_now, scene_begins, scene_ends),
        cmocka_unit_test_setup_teardown(revoked_while_the_grants_are_on_their_way, scene_begins,
                                        scene_ends),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    doc_keys_free();
    return failed;
}
