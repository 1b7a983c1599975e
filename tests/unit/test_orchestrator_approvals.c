/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing is let go before everybody whom a policy names has signed for it, whatever the rows of
 * the store say; who may sign, and what an approval's bytes may be.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "orchestrator/advance.h"
#include "orchestrator/approvals.h"
#include "tests/unit/documents.h"
#include "tests/unit/stored_order.h"

#define NOW (ISSUED_MS + 10 * DAY_MS)
#define TWO (APPROVAL_BIT(APPROVAL_OPERATOR) | APPROVAL_BIT(APPROVAL_SAFETY))

static char dir[64];
static struct store *store;
static struct err err;

static int set_up(void **state)
{
    struct store_satellite sat = {
        .id = "sat-1", .node = 101, .up = "up", .down = "down", .link_keys = "k"
    };
    scoped(free_ptr) struct root *root = malloc(sizeof *root);
    static struct signed_doc doc;
    char path[128];

    (void)state;
    assert_non_null(root);
    (void)snprintf(dir, sizeof dir, "/tmp/berth-approvals-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/store.sqlite", dir);
    assert_rc(store_open(path, true, &store, &err), RC_OK);
    assert_rc(store_put_satellite(store, &sat, &err), RC_OK);
    *root = doc_root();
    root->safety_keys = doc_key_set(1, 1, K_SAFETY_A);
    doc_signed(&doc, DOC_ROOT, root_encode, root, K_ROOT_A, K_ROOT_B);
    assert_rc(store_put_document(store, DOC_ROOT, "root", 1, doc.bytes, ISSUED_MS, &err), RC_OK);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_act_as("");
    store_close(&store);
    return fs_remove_tree(AT_FDCWD, dir, &err) == RC_OK ? 0 : -1;
}

/* A rollout of one satellite with its order, under a plan of its own. */
static uint64_t add_rollout(uint32_t approve, uint64_t generation)
{
    struct store_rollout row = { .tenant = "acme",
                                 .name = "beacon",
                                 .to = "2",
                                 .state = ROLLOUT_AWAITING,
                                 .fail_max = 1,
                                 .approve = approve,
                                 .created_ms = NOW };
    struct store_wave wave = {
        .index = 1, .satellite = "sat-1", .state = WAVE_WAITING, .generation = generation
    };
    struct order order = {
        .satellite = "sat-1", .generation = generation, .issued_ms = 1, .n_lines = 1
    };

    memset(&row.plan, (int)generation, sizeof row.plan);
    assert_rc(store_add_rollout(store, &row, &wave.rollout, &err), RC_OK);
    assert_rc(store_add_wave(store, &wave, &err), RC_OK);
    (void)snprintf(order.line[0].tenant, NAME_CAP, "acme");
    (void)snprintf(order.line[0].name, NAME_CAP, "beacon");
    memset(&order.line[0].manifest, 7, sizeof order.line[0].manifest);
    stored_order(store, &order,
                 (struct store_order){ .state = ORDER_HELD, .rollout = wave.rollout });
    return wave.rollout;
}

static struct store_rollout row_of(uint64_t id)
{
    struct store_rollout row;

    assert_rc(store_rollout(store, id, &row, &err), RC_OK);
    return row;
}

static void ignore(void *arg, const struct advance_event *event)
{
    (void)arg;
    (void)event;
}

static void step(void)
{
    const struct advance_log log = { .fn = ignore };
    scoped(view_free) struct view *view = NULL;

    assert_rc(view_load(store, &view, &err), RC_OK);
    assert_rc(advance_all(store, view, NOW, &log, &err), RC_OK);
}

static enum order_state order_state(uint64_t generation)
{
    struct store_order_filter filter = { .satellite = "sat-1" };
    scoped(free_ptr) struct store_order *rows = NULL;
    size_t n = 0;

    assert_rc(store_orders(store, &filter, &rows, &n, &err), RC_OK);
    for (size_t i = 0; i < n; i++)
        if (rows[i].generation == generation)
            return rows[i].state;
    return 0;
}

static enum rc give_by(uint64_t id, enum approval_role role, const char *who,
                       const struct sign_key *key, bool *ret_new)
{
    const struct approvals_person person = { .role = role, .who = who, .key = key };
    struct store_rollout row = row_of(id);

    return approvals_give(store, &(struct approvals_about){ .row = &row }, &person, "seen", NOW,
                          ret_new, &err);
}

static enum rc give(uint64_t id, enum approval_role role, enum doc_key key)
{
    bool is_new = false;

    return give_by(id, role, "mara", doc_key(key), &is_new);
}

/* Whether the rollout still waits and its order with it, after another round. */
static bool waits(uint64_t id, uint64_t generation)
{
    step();
    return row_of(id).state == ROLLOUT_AWAITING && order_state(generation) == ORDER_HELD;
}

static void both_roles_start_it(void **state)
{
    uint64_t id = add_rollout(TWO, 1);
    bool is_new = true;

    (void)state;
    assert_true(waits(id, 1));
    assert_rc(give(id, APPROVAL_OPERATOR, K_OPERATOR_A), RC_OK);
    assert_true(waits(id, 1));
    assert_rc(give_by(id, APPROVAL_OPERATOR, "mara", doc_key(K_OPERATOR_A), &is_new), RC_OK);
    assert_false(is_new); /* twice is as once */
    assert_rc(give(id, APPROVAL_OPERATOR, K_OPERATOR_B), RC_APPROVAL_ROLE);
    assert_rc(give(id, APPROVAL_APPROVER, K_OPERATOR_B), RC_APPROVAL_ROLE);
    assert_true(waits(id, 1));
    assert_rc(give(id, APPROVAL_SAFETY, K_SAFETY_A), RC_OK);
    step();
    assert_int_equal(row_of(id).state, ROLLOUT_RUNNING);
    assert_int_equal(order_state(1), ORDER_RELEASED);
}

static void only_keys_of_the_role_count(void **state)
{
    uint64_t id = add_rollout(TWO, 1);

    (void)state;
    assert_rc(give(id, APPROVAL_SAFETY, K_OPERATOR_A), RC_APPROVAL_VOID);
    assert_rc(give(id, APPROVAL_OPERATOR, K_SAFETY_A), RC_APPROVAL_VOID);
    assert_rc(give(id, APPROVAL_OPERATOR, K_STRANGER), RC_APPROVAL_VOID);
    assert_rc(give(id, APPROVAL_OPERATOR, K_ROOT_A), RC_APPROVAL_VOID);
    assert_true(waits(id, 1));
    assert_rc(give(add_rollout(0, 2), APPROVAL_OPERATOR, K_OPERATOR_A), RC_APPROVAL_ROLE);
}

static enum rc put(uint64_t id, enum approval_role role, struct bytes envelope)
{
    const struct store_approval of = { .rollout = id, .satellite = "", .role = role };

    return store_put_approval(store, &of, envelope, &err);
}

static enum rc get(uint64_t id, enum approval_role role, uint8_t **ret, size_t *ret_n)
{
    const struct store_approval of = { .rollout = id, .satellite = "", .role = role };

    return store_approval(store, &of, ret, ret_n, &err);
}

/* What somebody who can write the store can put there, and not sign. */
static void rows_alone_let_nothing_go(void **state)
{
    uint64_t id = add_rollout(TWO, 1), other = add_rollout(TWO, 2);
    struct store_rollout row = row_of(id);
    scoped(free_ptr) uint8_t *one = NULL, *two = NULL;
    size_t n_one = 0, n_two = 0;

    (void)state;
    /* no statement at all, and a state that says it runs, with its wave open */
    assert_rc(put(id, APPROVAL_OPERATOR, bytes_of("x")), RC_OK);
    row.state = ROLLOUT_RUNNING;
    assert_rc(store_update_rollout(store, &row, &err), RC_OK);
    assert_rc(store_set_wave_state(store, id, 1, WAVE_ACTIVE, 0, &err), RC_OK);
    assert_true(waits(id, 1));

    /* what was signed for another rollout, or in another role */
    assert_rc(give(other, APPROVAL_OPERATOR, K_OPERATOR_A), RC_OK);
    assert_rc(give(other, APPROVAL_SAFETY, K_SAFETY_A), RC_OK);
    assert_rc(get(other, APPROVAL_OPERATOR, &one, &n_one), RC_OK);
    assert_rc(get(other, APPROVAL_SAFETY, &two, &n_two), RC_OK);
    assert_rc(put(id, APPROVAL_OPERATOR, (struct bytes){ one, n_one }), RC_OK);
    assert_rc(put(id, APPROVAL_SAFETY, (struct bytes){ two, n_two }), RC_OK);
    assert_rc(put(other, APPROVAL_SAFETY, (struct bytes){ one, n_one }), RC_OK);
    assert_true(waits(id, 1));
    assert_true(waits(other, 2));
    one[n_one - 1] ^= 1; /* a bit of the signature */
    assert_rc(put(other, APPROVAL_OPERATOR, (struct bytes){ one, n_one }), RC_OK);
    assert_rc(put(other, APPROVAL_SAFETY, (struct bytes){ two, n_two }), RC_OK);
    assert_true(waits(other, 2));
    one[n_one - 1] ^= 1;
    assert_rc(put(other, APPROVAL_OPERATOR, (struct bytes){ one, n_one }), RC_OK);
    step();
    assert_int_equal(order_state(2), ORDER_RELEASED);
}

/* A token with somebody who vouches for it; the caller frees the key. */
static struct sign_key *add_token(const char *name, enum api_role role, enum doc_key with)
{
    struct api_token token = { .who.role = role,
                               .made_ms = NOW - DAY_MS,
                               .expires_ms = NOW + DAY_MS };
    const uint8_t bits[API_SECRET_SIZE] = { (uint8_t)name[0], 2, 3 };
    struct sign_key *key = NULL;
    char secret[API_SECRET_CAP];

    (void)snprintf(token.who.name, sizeof token.who.name, "%s", name);
    assert_rc(
        api_token_make(store, &token.who, bits, token.made_ms, token.expires_ms, secret, &err),
        RC_OK);
    assert_rc(approvals_vouch(store, &token, secret, doc_key(with), NOW - DAY_MS, &err), RC_OK);
    assert_rc(approvals_token_key(secret, sign_key_public(doc_key(with))->suite, &key, &err),
              RC_OK);
    return key;
}

static void tokens_approve_while_they_stand(void **state)
{
    scoped(sign_key_free) struct sign_key *anna = add_token("anna", API_OPERATOR, K_OPERATOR_A);
    scoped(sign_key_free) struct sign_key *ben = add_token("ben", API_SAFETY, K_SAFETY_A);
    uint64_t id = add_rollout(TWO, 1);
    bool is_new = false;

    (void)state;
    /* another's name, another's role, a name alone */
    assert_rc(give_by(id, APPROVAL_OPERATOR, "api/ben", anna, &is_new), RC_APPROVAL_VOID);
    assert_rc(give_by(id, APPROVAL_SAFETY, "api/anna", anna, &is_new), RC_APPROVAL_VOID);
    assert_rc(give_by(id, APPROVAL_OPERATOR, "anna", anna, &is_new), RC_APPROVAL_VOID);
    assert_rc(give_by(id, APPROVAL_SAFETY, "api/ben", anna, &is_new), RC_APPROVAL_VOID);
    assert_rc(give_by(id, APPROVAL_OPERATOR, "api/anna", anna, &is_new), RC_OK);
    /* at the keyboard, anna is still anna */
    assert_rc(give_by(id, APPROVAL_SAFETY, "anna", doc_key(K_SAFETY_A), &is_new),
              RC_APPROVAL_PERSON);
    assert_rc(give_by(id, APPROVAL_SAFETY, "api/ben", ben, &is_new), RC_OK);

    assert_rc(api_token_revoke(store, "ben", NOW, &err), RC_OK);
    assert_true(waits(id, 1));
    /* the next token of that name is somebody else's */
    struct api_who who = { .name = "ben", .role = API_SAFETY };
    const uint8_t bits[API_SECRET_SIZE] = { 9 };
    char secret[API_SECRET_CAP];

    assert_rc(api_token_make(store, &who, bits, NOW, NOW + DAY_MS, secret, &err), RC_OK);
    assert_true(waits(id, 1));
    assert_rc(give(id, APPROVAL_SAFETY, K_SAFETY_A), RC_OK);
    step();
    assert_int_equal(order_state(1), ORDER_RELEASED);
}

static void who_may_vouch(void **state)
{
    struct api_token token = { .who = { .name = "anna", .role = API_SAFETY },
                               .made_ms = NOW,
                               .expires_ms = NOW + 1 };

    (void)state;
    assert_rc(approvals_vouch(store, &token, "s", doc_key(K_OPERATOR_A), NOW, &err),
              RC_KEY_UNKNOWN);
    token.who.role = API_APPROVER;
    assert_rc(approvals_vouch(store, &token, "s", doc_key(K_SAFETY_A), NOW, &err), RC_KEY_UNKNOWN);
    assert_rc(approvals_vouch(store, &token, "s", doc_key(K_STRANGER), NOW, &err), RC_KEY_UNKNOWN);
    assert_rc(approvals_vouch(store, &token, "s", doc_key(K_OPERATOR_A), NOW, &err), RC_OK);
    token.who.role = API_VIEWER;
    assert_rc(approvals_vouch(store, &token, "s", doc_key(K_OPERATOR_A), NOW, &err),
              RC_APPROVAL_ROLE);
}

/* An approval that stops counting stops the rollout, between waves and before any of them. */
static void pause_and_resume_skip_nobody(void **state)
{
    uint64_t id = add_rollout(TWO, 1);
    struct store *open = NULL;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_rc(store_begin(store, &open, &err), RC_OK);
        assert_rc(
            advance_enter(store, id, i ? ROLLOUT_EV_RESUME : ROLLOUT_EV_PAUSE, NULL, NOW, &err),
            RC_OK);
        assert_rc(store_commit(&open, &err), RC_OK);
    }
    assert_int_equal(row_of(id).state, ROLLOUT_RUNNING);
    assert_true(waits(id, 1));
}

static enum rc force(uint64_t id, enum approval_role role, enum doc_key key)
{
    const struct approvals_person person = { .role = role, .who = "mara", .key = doc_key(key) };
    struct store_rollout row = row_of(id);
    struct store *open = NULL;
    bool is_new = false;

    assert_rc(store_begin(store, &open, &err), RC_OK);
    enum rc rc = advance_excuse(store, id, "sat-1", NOW, &err);

    if (rc == RC_OK)
        rc = approvals_give(store, &(struct approvals_about){ .row = &row, .satellite = "sat-1" },
                            &person, "tumbles", NOW, &is_new, &err);
    if (rc == RC_OK)
        rc = store_commit(&open, &err);
    store_rollback(&open);
    return rc;
}

/* Whether the rollout still holds for its one satellite after another round. */
static bool holds(uint64_t id)
{
    step();
    return row_of(id).state == ROLLOUT_RUNNING;
}

/* As many people as approved must say that it goes on without a satellite, and nobody's row does.
 */
static void both_roles_force(void **state)
{
    const struct store_wave row = { .rollout = 1, .index = 1, .satellite = "sat-1", .excused = 1 };
    scoped(free_ptr) uint8_t *one = NULL, *two = NULL;
    uint64_t id = add_rollout(TWO, 1);
    struct store *open = NULL;
    size_t n_one = 0, n_two = 0;

    (void)state;
    assert_int_equal(id, 1);
    assert_rc(give(id, APPROVAL_OPERATOR, K_OPERATOR_A), RC_OK);
    assert_rc(force(id, APPROVAL_OPERATOR, K_OPERATOR_A), RC_ROLLOUT_STATE); /* nothing is open */
    assert_rc(give(id, APPROVAL_SAFETY, K_SAFETY_A), RC_OK);
    assert_true(holds(id));
    assert_int_equal(order_state(1), ORDER_RELEASED);

    /* a row, and the approvals of the rollout in the place of those of the satellite */
    assert_rc(store_judge_wave(store, &row, &err), RC_OK);
    assert_true(holds(id));
    assert_rc(get(id, APPROVAL_OPERATOR, &one, &n_one), RC_OK);
    assert_rc(get(id, APPROVAL_SAFETY, &two, &n_two), RC_OK);
    assert_rc(store_put_approval(store, &(struct store_approval){ id, "sat-1", APPROVAL_OPERATOR },
                                 (struct bytes){ one, n_one }, &err),
              RC_OK);
    assert_rc(store_put_approval(store, &(struct store_approval){ id, "sat-1", APPROVAL_SAFETY },
                                 (struct bytes){ two, n_two }, &err),
              RC_OK);
    assert_true(holds(id));

    assert_rc(force(id, APPROVAL_APPROVER, K_OPERATOR_A), RC_APPROVAL_ROLE);
    assert_rc(force(id, APPROVAL_OPERATOR, K_STRANGER), RC_APPROVAL_VOID);
    assert_rc(force(id, APPROVAL_OPERATOR, K_OPERATOR_A), RC_OK);
    assert_true(holds(id));
    assert_rc(force(id, APPROVAL_OPERATOR, K_OPERATOR_B), RC_APPROVAL_ROLE);

    /* a retry forgets what was said so far */
    assert_rc(store_begin(store, &open, &err), RC_OK);
    assert_rc(advance_again(store, id, "sat-1", NOW, &err), RC_OK);
    assert_rc(store_commit(&open, &err), RC_OK);
    assert_rc(force(id, APPROVAL_SAFETY, K_SAFETY_A), RC_OK);
    assert_true(holds(id));
    assert_rc(force(id, APPROVAL_OPERATOR, K_OPERATOR_B), RC_OK);
    step();
    assert_int_equal(row_of(id).state, ROLLOUT_COMPLETED);
}

static void approvals_are_read_strictly(void **state)
{
    struct approval a = { .rollout = 3, .role = APPROVAL_SAFETY, .at_ms = 5, .who = "api/anna" }, b;
    uint8_t buf[APPROVAL_MAX], cut[APPROVAL_MAX];
    struct bytes bytes;

    (void)state;
    assert_rc(approval_encode(&a, buf, sizeof buf, &bytes, &err), RC_DIGEST_MISSING);
    memset(&a.plan, 1, sizeof a.plan);
    memset(a.why, 'w', AUDIT_WHY_MAX);
    assert_rc(approval_encode(&a, buf, sizeof buf, &bytes, &err), RC_OK);
    assert_rc(approval_decode(bytes, &b, &err), RC_OK);
    assert_memory_equal(&a, &b, sizeof a);
    for (size_t n = 0; n < bytes.n; n++) {
        memcpy(cut, bytes.p, bytes.n);
        if (approval_decode((struct bytes){ cut, n }, &b, &err) == RC_OK)
            fail_msg("%zu bytes are enough", n);
    }
    a.who[0] = '\n';
    assert_rc(approval_encode(&a, buf, sizeof buf, &bytes, &err), RC_VALUE);
    a.who[0] = 'a';
    a.role = APPROVAL_ROLES;
    assert_rc(approval_encode(&a, buf, sizeof buf, &bytes, &err), RC_VALUE);
    a.role = APPROVAL_OPERATOR;
    a.rollout = 0;
    assert_rc(approval_encode(&a, buf, sizeof buf, &bytes, &err), RC_VALUE);

    struct approver c = { .name = "anna",
                          .role = APPROVAL_APPROVER,
                          .issued_ms = 5,
                          .expires_ms = 5,
                          .key = *sign_key_public(doc_key(K_STRANGER)) },
                    d;
    uint8_t big[APPROVER_MAX];

    assert_rc(approver_encode(&c, big, sizeof big, &bytes, &err), RC_VALUE);
    c.expires_ms = 6;
    assert_rc(approver_encode(&c, big, sizeof big, &bytes, &err), RC_OK);
    assert_rc(approver_decode(bytes, &d, &err), RC_OK);
    assert_memory_equal(c.key.id, d.key.id, KEY_ID_SIZE);
    assert_string_equal(d.name, "anna");
}

#define ROW(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(both_roles_start_it),
        ROW(only_keys_of_the_role_count),
        ROW(rows_alone_let_nothing_go),
        ROW(tokens_approve_while_they_stand),
        ROW(who_may_vouch),
        ROW(pause_and_resume_skip_nobody),
        ROW(both_roles_force),
        cmocka_unit_test(approvals_are_read_strictly),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    doc_keys_free();
    return failed;
}
