/* SPDX-License-Identifier: Apache-2.0
 *
 * Revocations: what is refused, how entries are put together, and that nothing is ever taken back.
 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "manifest/trust.h"
#include "tests/unit/documents.h"

static uint8_t buf[DOCUMENT_MAX];
static struct signed_doc one;
static struct revoked_set set;

static void r_number(struct revocation *r)
{
    r->number = 0;
}

static void r_number_max(struct revocation *r)
{
    r->number = UINT64_MAX;
}

static void r_issued(struct revocation *r)
{
    r->issued_ms = 0;
}

static void r_kind(struct revocation *r)
{
    r->entry[2].kind = (enum revoked_kind)4;
}

static void r_policy_none(struct revocation *r)
{
    r->entry[0].policy = REVOKE_NONE;
}

static void r_policy_high(struct revocation *r)
{
    r->entry[0].policy = (enum revoke_policy)4;
}

static void r_tenant(struct revocation *r)
{
    r->entry[1].tenant[0] = '/';
}

static void r_epoch(struct revocation *r)
{
    r->entry[1].epoch = 0;
}

static void r_digest(struct revocation *r)
{
    memset(&r->entry[2].manifest, 0, sizeof r->entry[2].manifest);
}

static void r_unsorted(struct revocation *r)
{
    r->entry[3] = r->entry[0];
    r->n = 4;
}

static void r_twice(struct revocation *r)
{
    r->entry[3] = r->entry[2];
    r->entry[3].policy = REVOKE_KEEP;
    r->n = 4;
}

static void r_many(struct revocation *r)
{
    r->n = REVOCATION_ENTRIES_MAX + 1;
}

static const struct {
    const char *why;
    void (*edit)(struct revocation *r);
    enum rc rc;
} checks[] = {
    { "number 0", r_number, RC_VALUE },
    { "number above 2^63", r_number_max, RC_VALUE },
    { "no time", r_issued, RC_VALUE },
    { "unknown kind", r_kind, RC_VALUE },
    { "no policy", r_policy_none, RC_VALUE },
    { "unknown policy", r_policy_high, RC_VALUE },
    { "tenant that is no name", r_tenant, RC_NAME },
    { "epoch 0", r_epoch, RC_VALUE },
    { "digest of zeros", r_digest, RC_DIGEST_MISSING },
    { "unsorted", r_unsorted, RC_CBOR_ORDER },
    { "the same twice", r_twice, RC_CBOR_ORDER },
    { "too many", r_many, RC_VALUE },
};

static void nonsense_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        struct revocation r = doc_revocation();
        struct bytes view = { 0 };

        checks[i].edit(&r);
        if (revocation_encode(&r, buf, sizeof buf, &view, NULL) != checks[i].rc)
            fail_msg("%s", checks[i].why);
        assert_null(view.p);
    }
}

static void names_go_both_ways(void **state)
{
    (void)state;
    for (enum revoke_policy p = REVOKE_KEEP; p <= REVOKE_STOP; p++) {
        enum revoke_policy got = REVOKE_NONE;

        assert_true(revoke_policy_find(revoke_policy_name(p), &got));
        assert_int_equal(got, p);
    }
    enum revoke_policy none = REVOKE_NONE;
    assert_false(revoke_policy_find("none", &none));
    assert_false(revoke_policy_find("", &none));
}

static struct digest digest_of(uint8_t fill)
{
    struct digest d;

    memset(&d, fill, sizeof d);
    return d;
}

static void set_newest(void)
{
    set.root_version = INT64_MAX;
    set.number = INT64_MAX;
    set.issued_ms = INT64_MAX;
    set.newest = digest_of(1);
}

/* Whatever comes later, an entry stays, and its policy and epoch only rise. */
static void the_set_only_grows(void **state)
{
    struct revocation r = doc_revocation();
    struct digest m = digest_of(0x99);

    (void)state;
    set = (struct revoked_set){ 0 };
    assert_rc(revoked_set_add(&set, &r, NULL), RC_OK);
    assert_int_equal(revoked_key(&set, r.entry[0].key), REVOKE_STOP);
    assert_int_equal(revoked_manifest(&set, &m, NULL), REVOKE_ROLLBACK);
    assert_int_equal(revoked_grant(&set, "zenith", 9), REVOKE_KEEP);
    assert_int_equal(revoked_grant(&set, "zenith", 10), REVOKE_NONE);
    assert_int_equal(revoked_grant(&set, "zenit", 1), REVOKE_NONE);

    r.number = 6;
    r.entry[0].policy = REVOKE_KEEP;
    r.entry[1].policy = REVOKE_STOP;
    r.entry[1].epoch = 2;
    r.n = 2;
    assert_rc(revoked_set_add(&set, &r, NULL), RC_OK);
    assert_int_equal(set.n, 3);
    assert_int_equal(revoked_key(&set, r.entry[0].key), REVOKE_STOP);
    assert_int_equal(revoked_grant(&set, "zenith", 9), REVOKE_STOP);
    assert_int_equal(revoked_manifest(&set, &m, NULL), REVOKE_ROLLBACK);
}

/* A full set takes all of a document or nothing of it. */
static void a_full_set_stays_as_it_is(void **state)
{
    struct revocation r = { .issued_ms = ISSUED_MS };
    static struct revoked_set before;
    struct bytes view = { 0 };

    (void)state;
    set = (struct revoked_set){ 0 };
    for (uint32_t i = 0; i < REVOKED_MAX; i++) {
        r.number++;
        r.n = 1;
        r.entry[0] = (struct revoked){ .kind = REVOKED_GRANT, .policy = REVOKE_STOP };
        (void)snprintf(r.entry[0].tenant, NAME_CAP, "tenant-with-a-rather-long-nam-%u", i % 10);
        (void)snprintf(r.entry[0].tenant, 4, "%03u", i);
        r.entry[0].tenant[3] = '-';
        r.entry[0].epoch = INT64_MAX;
        assert_rc(revoked_set_add(&set, &r, NULL), RC_OK);
    }
    assert_int_equal(set.n, REVOKED_MAX);
    set_newest();
    assert_rc(revoked_set_encode(&set, buf, REVOKED_FILE_MAX, &view, NULL), RC_OK);
    assert_rc(revoked_set_decode(view, &before, NULL), RC_OK);
    assert_memory_equal(&before, &set, sizeof set);

    r = doc_revocation();
    r.number = 1000;
    assert_rc(revoked_set_add(&set, &r, NULL), RC_NO_ROOM);
    assert_memory_equal(&before, &set, sizeof set);
}

static void a_damaged_set_is_none(void **state)
{
    const struct revocation r = doc_revocation();
    static struct revoked_set got;
    struct bytes view = { 0 };

    (void)state;
    set = (struct revoked_set){ 0 };
    assert_rc(revoked_set_add(&set, &r, NULL), RC_OK);
    set_newest();
    assert_rc(revoked_set_encode(&set, buf, sizeof buf, &view, NULL), RC_OK);
    for (size_t n = 0; n < view.n; n++)
        assert_int_not_equal(revoked_set_decode((struct bytes){ view.p, n }, &got, NULL), RC_OK);
    buf[view.n] = 0;
    assert_rc(revoked_set_decode((struct bytes){ view.p, view.n + 1 }, &got, NULL), RC_TRAILING);
    set.newest = (struct digest){ 0 };
    assert_rc(revoked_set_encode(&set, buf, sizeof buf, &view, NULL), RC_VALUE);
}

/* The largest document with two root signatures: 8 KB leave a bundle 400 bytes for itself. */
static void fits_one_bundle(void **state)
{
    struct revocation r = { .number = INT64_MAX, .issued_ms = INT64_MAX };

    (void)state;
    r.n = REVOCATION_ENTRIES_MAX;
    for (uint32_t i = 0; i < r.n; i++) {
        r.entry[i] = (struct revoked){ .kind = REVOKED_GRANT, .policy = REVOKE_STOP };
        memset(r.entry[i].tenant, 'a' + (char)i, NAME_MAX_LEN);
        r.entry[i].epoch = INT64_MAX;
    }
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &r, K_ROOT_A, K_ROOT_B);
    print_message("largest revocation, two signers: %zu bytes\n", one.bytes.n);
    assert_true(one.bytes.n <= REVOCATION_BYTES_MAX);
    r = doc_revocation();
    r.n = 1;
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &r, K_ROOT_A, K_ROOT_B);
    print_message("revocation of one key, two signers: %zu bytes\n", one.bytes.n);
    assert_true(one.bytes.n < 7168);
}

/* ---- what trust makes of them ---- */

static struct trust *trust_until(uint64_t root_expires_ms)
{
    struct root root = doc_root();
    const struct grant grant = doc_grant();
    struct trust *trust = NULL;

    root.expires_ms = root_expires_ms;
    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_new(one.bytes, &trust, NULL), RC_OK);
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_OK);
    return trust;
}

static struct trust *fresh_trust(void)
{
    return trust_until(ISSUED_MS + 1000 * DAY_MS);
}

static struct revocation revoking(uint64_t number, struct revoked entry)
{
    return (
        struct revocation){ .number = number, .issued_ms = ISSUED_MS, .n = 1, .entry = { entry } };
}

static struct revoked a_key(enum doc_key which, enum revoke_policy policy)
{
    struct revoked e = { .kind = REVOKED_KEY, .policy = policy };

    memcpy(e.key, sign_key_public(doc_key(which))->id, KEY_ID_SIZE);
    return e;
}

static struct revoked a_grant(uint64_t epoch, enum revoke_policy policy)
{
    return (struct revoked){
        .kind = REVOKED_GRANT, .policy = policy, .tenant = "acme", .epoch = epoch
    };
}

static struct revoked a_manifest(enum revoke_policy policy)
{
    const struct manifest m = doc_manifest();
    struct revoked e = { .kind = REVOKED_MANIFEST, .policy = policy };

    doc_signed(&one, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    assert_rc(sha256_of(one.payload, e.manifest.b, NULL), RC_OK);
    return e;
}

static enum rc revoke(struct trust *trust, const struct revocation *r, bool *ret_taken)
{
    doc_signed(&one, DOC_REVOCATION, revocation_encode, r, K_ROOT_A, K_ROOT_B);
    return trust_add_revocation(trust, one.bytes, ret_taken, NULL);
}

static void must_revoke(struct trust *trust, struct revocation r)
{
    bool taken = false;

    assert_rc(revoke(trust, &r, &taken), RC_OK);
    assert_true(taken);
}

static enum rc verify(const struct trust *trust, bool running)
{
    const struct manifest m = doc_manifest();
    scoped(verified_manifest_free) struct verified_manifest *got = NULL;

    doc_signed(&one, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    return running ? trust_verify_running(trust, one.bytes, NOW_MS, &got, NULL)
                   : trust_verify_manifest(trust, one.bytes, NOW_MS, &got, NULL);
}

static noinline void check_effect(struct revoked entry, enum rc as_new, enum rc as_running,
                                  enum revoke_policy judged)
{
    struct trust *trust = fresh_trust();
    const struct manifest m = doc_manifest();

    assert_rc(verify(trust, false), RC_OK);
    must_revoke(trust, revoking(1, entry));
    assert_rc(verify(trust, false), as_new);
    assert_rc(verify(trust, true), as_running);
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    assert_int_equal(trust_judge_manifest(trust, one.bytes), judged);
    trust_free(&trust);
}

static void what_entries_do(void **state)
{
    (void)state;
    check_effect(a_manifest(REVOKE_KEEP), RC_MANIFEST_REVOKED, RC_OK, REVOKE_KEEP);
    check_effect(a_manifest(REVOKE_STOP), RC_MANIFEST_REVOKED, RC_MANIFEST_REVOKED, REVOKE_STOP);
    check_effect(a_key(K_ACME, REVOKE_KEEP), RC_KEY_REVOKED, RC_OK, REVOKE_KEEP);
    check_effect(a_key(K_ACME, REVOKE_ROLLBACK), RC_KEY_REVOKED, RC_KEY_REVOKED, REVOKE_ROLLBACK);
    check_effect(a_grant(3, REVOKE_KEEP), RC_GRANT_REVOKED, RC_OK, REVOKE_NONE);
    check_effect(a_grant(3, REVOKE_STOP), RC_GRANT_REVOKED, RC_GRANT_REVOKED, REVOKE_NONE);
    check_effect(a_grant(2, REVOKE_STOP), RC_OK, RC_OK, REVOKE_NONE);
    check_effect(a_key(K_OPERATOR_A, REVOKE_KEEP), RC_KEY_REVOKED, RC_OK, REVOKE_NONE);
    check_effect(a_key(K_OPERATOR_A, REVOKE_STOP), RC_GRANT_MISSING, RC_GRANT_MISSING, REVOKE_NONE);
    check_effect(a_key(K_OPERATOR_B, REVOKE_STOP), RC_OK, RC_OK, REVOKE_NONE);
    check_effect(a_key(K_STRANGER, REVOKE_STOP), RC_OK, RC_OK, REVOKE_NONE);
}

static noinline enum rc add_grant_signed(struct trust *trust, uint64_t epoch, enum doc_key who)
{
    struct grant grant = doc_grant();

    grant.epoch = epoch;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, who);
    return trust_add_grant(trust, one.bytes, NOW_MS, NULL);
}

static noinline enum rc next_order(struct trust *trust, bool held, enum doc_key who)
{
    const struct order order = doc_order();
    struct digest digest;
    scoped(verified_order_free) struct verified_order *got = NULL;
    struct order_position position = { .satellite = "aurora-1" };

    doc_signed(&one, DOC_ORDER, order_encode, &order, who);
    assert_rc(sha256_of(one.payload, digest.b, NULL), RC_OK);
    if (held) {
        position.generation = order.generation;
        position.digest = &digest;
    }
    return trust_verify_order(trust, one.bytes, &position, NOW_MS, &got, NULL);
}

/* A revoked operator key signs nothing more; what is in force by it goes on if the policy is so. */
static void operator_keys(void **state)
{
    struct trust *trust = fresh_trust();

    (void)state;
    must_revoke(trust, revoking(1, a_key(K_OPERATOR_A, REVOKE_KEEP)));
    assert_rc(next_order(trust, false, K_OPERATOR_A), RC_KEY_REVOKED);
    assert_rc(next_order(trust, true, K_OPERATOR_A), RC_OK);
    assert_rc(add_grant_signed(trust, 4, K_OPERATOR_A), RC_KEY_REVOKED);
    must_revoke(trust, revoking(2, a_key(K_OPERATOR_A, REVOKE_STOP)));
    assert_rc(next_order(trust, true, K_OPERATOR_A), RC_KEY_REVOKED);
    assert_null(trust_grant(trust, "acme"));
    assert_rc(next_order(trust, false, K_OPERATOR_B), RC_OK);
    assert_rc(add_grant_signed(trust, 1, K_OPERATOR_B), RC_OK);
    assert_rc(verify(trust, false), RC_OK);
    must_revoke(trust, revoking(3, a_grant(6, REVOKE_STOP)));
    assert_rc(add_grant_signed(trust, 6, K_OPERATOR_B), RC_GRANT_REVOKED);
    assert_rc(add_grant_signed(trust, 7, K_OPERATOR_B), RC_OK);
    assert_rc(verify(trust, false), RC_OK);
    trust_free(&trust);
}

/* Older ones sent again, forged ones, and those of keys that were revoked themselves. */
static void numbers_and_signers(void **state)
{
    struct trust *trust = fresh_trust();
    struct revocation five = revoking(5, a_key(K_STRANGER, REVOKE_STOP));
    struct revocation other = revoking(5, a_key(K_ACME, REVOKE_STOP));
    struct revocation four = revoking(4, a_key(K_ACME, REVOKE_STOP));
    bool taken = true;

    (void)state;
    must_revoke(trust, five);
    assert_rc(revoke(trust, &five, &taken), RC_OK);
    assert_false(taken);
    assert_rc(revoke(trust, &other, &taken), RC_EQUIVOCATION);
    assert_rc(revoke(trust, &four, &taken), RC_VERSION_OLD);
    four.number = 6;
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &four, K_ROOT_A);
    assert_rc(trust_add_revocation(trust, one.bytes, &taken, NULL), RC_THRESHOLD);
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &four, K_OPERATOR_A, K_OPERATOR_B);
    assert_rc(trust_add_revocation(trust, one.bytes, &taken, NULL), RC_KEY_UNKNOWN);
    doc_signed(&one, DOC_GRANT, revocation_encode, &four, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_add_revocation(trust, one.bytes, &taken, NULL), RC_SIG_BAD);
    assert_rc(trust_add_revocation(NULL, one.bytes, &taken, NULL), RC_TRUST_MISSING);
    assert_int_equal(trust_revoked(trust)->n, 1);
    assert_rc(verify(trust, false), RC_OK);

    must_revoke(trust, revoking(6, a_key(K_ROOT_A, REVOKE_KEEP)));
    four.number = 7;
    assert_rc(revoke(trust, &four, &taken), RC_KEY_REVOKED);
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &four, K_ROOT_B, K_ROOT_C);
    assert_rc(trust_add_revocation(trust, one.bytes, &taken, NULL), RC_OK);
    assert_rc(verify(trust, false), RC_KEY_REVOKED);
    trust_free(&trust);
}

/* ---- time ---- */

#define AHEAD TRUST_AHEAD_MAX_MS

static noinline enum rc order_issued(struct trust *trust, uint64_t issued_ms, uint64_t generation)
{
    struct order order = doc_order();
    const struct order_position position = { .satellite = "aurora-1" };
    scoped(verified_order_free) struct verified_order *got = NULL;

    order.generation = generation;
    order.issued_ms = issued_ms;
    order.expires_ms = 0;
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    return trust_verify_order(trust, one.bytes, &position, 0, &got, NULL);
}

/* No chain of orders walks time beyond the bound; the root's word or passing time moves it. */
static void the_floor_is_bounded(void **state)
{
    struct trust *trust = trust_until(0);
    struct revocation empty = { .number = 1, .issued_ms = ISSUED_MS + 3 * AHEAD };

    (void)state;
    assert_rc(order_issued(trust, ISSUED_MS + AHEAD, 13), RC_OK);
    assert_int_equal(trust_time_floor(trust), ISSUED_MS + AHEAD);
    assert_rc(order_issued(trust, ISSUED_MS + AHEAD + 1, 14), RC_TIME_JUMP);
    trust_pass(trust, 1);
    assert_rc(order_issued(trust, ISSUED_MS + AHEAD + 1, 14), RC_OK);
    must_revoke(trust, empty);
    assert_int_equal(trust_time_anchor(trust), ISSUED_MS + 3 * AHEAD);
    assert_rc(order_issued(trust, ISSUED_MS + 4 * AHEAD, 15), RC_OK);
    trust_pass(trust, UINT64_MAX);
    trust_pass(trust, UINT64_MAX);
    assert_int_equal(trust_time_floor(trust), INT64_MAX);
    trust_free(&trust);
}

static const struct {
    const char *why;
    uint64_t clock;
    enum trust_clock seen;
    enum rc then; /* verifying afterwards with a clock at 1970: the grant lives 100 days */
} clocks[] = {
    { "1970", 0, TRUST_CLOCK_BEHIND, RC_OK },
    { "right", NOW_MS, TRUST_CLOCK_GOOD, RC_OK },
    { "a little behind", ISSUED_MS - DAY_MS, TRUST_CLOCK_GOOD, RC_OK },
    { "the last good moment", ISSUED_MS + 100 * DAY_MS - 1, TRUST_CLOCK_GOOD, RC_OK },
    { "expired, then back at 1970", ISSUED_MS + 100 * DAY_MS, TRUST_CLOCK_GOOD, RC_EXPIRED },
    { "as far as is believed", ISSUED_MS + AHEAD, TRUST_CLOCK_GOOD, RC_EXPIRED },
    { "one too many", ISSUED_MS + AHEAD + 1, TRUST_CLOCK_AHEAD, RC_OK },
    { "the end of time", UINT64_MAX, TRUST_CLOCK_AHEAD, RC_OK },
};

static void clocks_neither_revive_nor_brick(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof clocks / sizeof clocks[0]; i++) {
        struct trust *trust = fresh_trust();
        const struct manifest m = doc_manifest();
        struct verified_manifest *got = NULL;

        if (trust_observe(trust, clocks[i].clock) != clocks[i].seen)
            fail_msg("%s", clocks[i].why);
        doc_signed(&one, DOC_MANIFEST, manifest_encode, &m, K_ACME);
        if (trust_verify_manifest(trust, one.bytes, 0, &got, NULL) != clocks[i].then)
            fail_msg("%s: then", clocks[i].why);
        verified_manifest_free(&got);
        /* Whatever the clock, a new grant and a new order find their way. */
        struct grant grant = doc_grant();
        grant.epoch = 9;
        grant.expires_ms = 0;
        doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
        if (clocks[i].clock != ISSUED_MS + AHEAD) /* then the root has expired as well */
            assert_rc(trust_add_grant(trust, one.bytes, clocks[i].clock, NULL), RC_OK);
        trust_free(&trust);
    }
}

static int drop_keys(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(the_set_only_grows),
        cmocka_unit_test(a_full_set_stays_as_it_is),
        cmocka_unit_test(a_damaged_set_is_none),
        cmocka_unit_test(fits_one_bundle),
        cmocka_unit_test(what_entries_do),
        cmocka_unit_test(operator_keys),
        cmocka_unit_test(numbers_and_signers),
        cmocka_unit_test(the_floor_is_bounded),
        cmocka_unit_test(clocks_neither_revive_nor_brick),
    };

    return cmocka_run_group_tests(tests, NULL, drop_keys);
}
