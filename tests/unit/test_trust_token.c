/* SPDX-License-Identifier: Apache-2.0
 *
 * Staged orders, tokens and the safety role, attacked.  One scene: two operators of whom both must
 * sign, a safety role of whom one must, two tenants of whom acme asks for it; order 12 is in force
 * and order 13 waits.  After each attack order 13 must still wait and its good token be good.
 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "manifest/trust.h"
#include "tests/unit/documents.h"

#define OPERATORS K_OPERATOR_A, K_OPERATOR_B
#define EVERYBODY OPERATORS, K_SAFETY_A
#define OLD K_ROOT_A, K_ROOT_B
#define NEXT K_NEXT_A, K_NEXT_B

static struct trust *trust;
static struct digest in_force, waiting;
static struct signed_doc evil, staged, good;
static struct root root;
static struct grant grant;
static struct order order;
static struct token token;

static void take_grant(struct trust *to, const char *tenant, enum doc_key key, bool needs_safety)
{
    grant = doc_grant();
    (void)snprintf(grant.tenant, sizeof grant.tenant, "%s", tenant);
    grant.keys = doc_key_set(1, 1, key);
    grant.prefix[0] = '\0';
    grant.needs_safety = needs_safety;
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, OPERATORS);
    assert_rc(trust_add_grant(to, evil.bytes, NOW_MS, NULL), RC_OK);
}

static void the_root(bool safety)
{
    root = doc_root();
    root.operator_keys = doc_key_set(2, 2, K_OPERATOR_A);
    if (safety)
        root.safety_keys = doc_key_set(1, 2, K_SAFETY_A);
}

static struct trust *a_trust(bool safety)
{
    struct trust *t = NULL;

    the_root(safety);
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD);
    assert_rc(trust_new(evil.bytes, &t, NULL), RC_OK);
    take_grant(t, "acme", K_ACME, true);
    take_grant(t, "zenith", K_ZENITH, false);
    return t;
}

static void staged_order(void)
{
    order = doc_order();
    order.generation = 13;
    order.staged = true;
}

static void good_token(void)
{
    token = doc_token();
    token.generation = 13;
    token.order = waiting;
}

static int scene_begins(void **state)
{
    (void)state;
    trust = a_trust(true);
    order = doc_order();
    doc_signed(&evil, DOC_ORDER, order_encode, &order, EVERYBODY);
    assert_rc(sha256_of(evil.payload, in_force.b, NULL), RC_OK);
    staged_order();
    doc_signed(&staged, DOC_ORDER, order_encode, &order, OPERATORS);
    assert_rc(sha256_of(staged.payload, waiting.b, NULL), RC_OK);
    good_token();
    doc_signed(&good, DOC_TOKEN, token_encode, &token, EVERYBODY);
    return 0;
}

static int scene_ends(void **state)
{
    (void)state;
    trust_free(&trust);
    doc_keys_free();
    return 0;
}

static struct order_position here(void)
{
    return (struct order_position){ .satellite = "aurora-1",
                                    .generation = 12,
                                    .digest = &in_force,
                                    .issued_ms = ISSUED_MS,
                                    .staged = 13,
                                    .staged_digest = &waiting };
}

/* ---- the doors ---- */

/* An order that takes effect, or waits, or is refused. */
static enum rc offer_order(struct trust *to, struct bytes bytes, bool *ret_waits)
{
    scoped(verified_order_free) struct verified_order *o = NULL;
    const struct order_position position = here();
    enum rc rc = trust_verify_order(to, bytes, &position, NOW_MS, &o, NULL);

    assert_int_equal(o != NULL, rc == RC_OK);
    if (o && ret_waits)
        *ret_waits = verified_order_waits(o);
    return rc;
}

/* What the agent does: the token, the order that waits once more, and both together. */
static enum rc offer_token(struct trust *to, struct bytes bytes, uint64_t now_ms)
{
    scoped(verified_token_free) struct verified_token *t = NULL;
    scoped(verified_order_free) struct verified_order *o = NULL;
    struct order_position position = here();
    enum rc rc = trust_verify_token(to, bytes, &position, now_ms, &t, NULL);

    assert_int_equal(t != NULL, rc == RC_OK);
    if (rc != RC_OK)
        return rc;
    position.staged = 0;
    rc = trust_verify_order(to, staged.bytes, &position, now_ms, &o, NULL);
    if (rc != RC_OK)
        return rc;
    assert_true(verified_order_waits(o));
    rc = trust_activate(to, o, t, NULL);
    assert_int_equal(verified_order_waits(o), rc != RC_OK);
    return rc;
}

/* ---- attacks ---- */

enum door { ORDER, TOKEN };

static void sign_token(void)
{
    doc_signed(&evil, DOC_TOKEN, token_encode, &token, EVERYBODY);
}

/* An attack that is one changed field, rightly signed; and one that is who signs. */
#define FIELD(name, change)                                                                        \
    static void name(void)                                                                         \
    {                                                                                              \
        good_token();                                                                              \
        change;                                                                                    \
        sign_token();                                                                              \
    }
#define SIGNERS(name, ...)                                                                         \
    static void name(void)                                                                         \
    {                                                                                              \
        good_token();                                                                              \
        doc_signed(&evil, DOC_TOKEN, token_encode, &token, __VA_ARGS__);                           \
    }

/* clang-format off */
FIELD(other_satellite, memcpy(token.satellite, "aurora-2", 9))
FIELD(other_order, token.order.b[7] ^= 1)
FIELD(other_generation, token.generation = 12)
FIELD(in_forces_number, token.generation = 12; token.order.b[7] ^= 1)
FIELD(old_generation, token.generation = 5)
FIELD(next_generation, token.generation = 14)
FIELD(next_generation_same_order, token.generation = INT64_MAX)
FIELD(expired, token.expires_ms = NOW_MS - 1)
FIELD(from_far_ahead, token.issued_ms = ISSUED_MS + TRUST_AHEAD_MAX_MS + 1; token.expires_ms = token.issued_ms + 1)
SIGNERS(by_a_tenant, K_ACME)
SIGNERS(by_root, K_ROOT_A, K_ROOT_B, K_ROOT_C)
SIGNERS(by_safety, K_SAFETY_A, K_SAFETY_B)
SIGNERS(by_operators, OPERATORS)
SIGNERS(by_one_operator, K_OPERATOR_A, K_SAFETY_A)
SIGNERS(by_a_stranger_for_safety, OPERATORS, K_STRANGER)
/* clang-format on */

static void signed_as_order(void)
{
    const enum doc_key who[] = { EVERYBODY };

    good_token();
    sign_token();
    doc_sign(&evil, DOC_ORDER, &doc_mission, who, 3);
}

static void for_another_mission(void)
{
    const enum doc_key who[] = { EVERYBODY };

    good_token();
    sign_token();
    doc_sign(&evil, DOC_TOKEN, &other_mission, who, 3);
}

/* Take apart, leave out, put together. */
static void keep_entries(uint32_t first, uint32_t n)
{
    static struct envelope parts;
    static uint8_t buf[DOCUMENT_MAX];

    good_token();
    sign_token();
    assert_rc(envelope_open(evil.bytes, &parts, NULL), RC_OK);
    memmove(&parts.signature[0], &parts.signature[first], n * sizeof parts.signature[0]);
    parts.n = n;
    assert_rc(envelope_encode(&parts, buf, sizeof buf, &evil.bytes, NULL), RC_OK);
}

static void safety_stripped(void)
{
    keep_entries(0, 4);
}

static void safety_half_stripped(void)
{
    keep_entries(0, 5);
}

static void operator_stripped(void)
{
    keep_entries(2, 4);
}

static void safety_signature_bad(void)
{
    good_token();
    sign_token();
    evil.buf[evil.bytes.n - 1] ^= 1;
}

static void the_order_itself(void)
{
    evil.bytes = staged.bytes;
}

static void a_token(void)
{
    evil.bytes = good.bytes;
}

static void unsafe_order(void)
{
    staged_order();
    order.generation = 14;
    order.staged = false;
    doc_signed(&evil, DOC_ORDER, order_encode, &order, OPERATORS);
}

static void safety_for_operators(void)
{
    staged_order();
    order.generation = 14;
    doc_signed(&evil, DOC_ORDER, order_encode, &order, K_SAFETY_A, K_SAFETY_B);
}

static void below_the_waiting(void)
{
    staged_order();
    order.generation = 11;
    order.staged = false;
    doc_signed(&evil, DOC_ORDER, order_encode, &order, EVERYBODY);
}

static void rival_of_the_waiting(void)
{
    staged_order();
    order.staged = false; /* the same number, without the need of a token */
    doc_signed(&evil, DOC_ORDER, order_encode, &order, EVERYBODY);
}

static const struct {
    const char *what;
    void (*make)(void);
    enum door door;
    enum rc want;
} attacks[] = {
    { "for another satellite", other_satellite, TOKEN, RC_TOKEN_TARGET },
    { "for another order of that number", other_order, TOKEN, RC_TOKEN_TARGET },
    { "the order that waits, as number 12", other_generation, TOKEN, RC_TOKEN_TARGET },
    { "a rival of the order in force", in_forces_number, TOKEN, RC_TOKEN_TARGET },
    { "an old order's, again", old_generation, TOKEN, RC_TOKEN_TARGET },
    { "an order that has not come", next_generation, TOKEN, RC_TOKEN_EARLY },
    { "the highest number there is", next_generation_same_order, TOKEN, RC_TOKEN_EARLY },
    { "expired", expired, TOKEN, RC_EXPIRED },
    { "issued far ahead", from_far_ahead, TOKEN, RC_TIME_JUMP },
    { "signed by a tenant", by_a_tenant, TOKEN, RC_KEY_UNKNOWN },
    { "signed by root", by_root, TOKEN, RC_KEY_UNKNOWN },
    { "signed by safety alone", by_safety, TOKEN, RC_KEY_UNKNOWN },
    { "signed by the operators alone", by_operators, TOKEN, RC_SAFETY_MISSING },
    { "signed by one operator of two", by_one_operator, TOKEN, RC_THRESHOLD },
    { "co-signed by a stranger", by_a_stranger_for_safety, TOKEN, RC_SAFETY_MISSING },
    { "safety role stripped", safety_stripped, TOKEN, RC_SAFETY_MISSING },
    { "half of the safety key stripped", safety_half_stripped, TOKEN, RC_SIG_MISSING_HALF },
    { "an operator stripped", operator_stripped, TOKEN, RC_THRESHOLD },
    { "bad safety signature", safety_signature_bad, TOKEN, RC_SIG_BAD },
    { "signed as an order", signed_as_order, TOKEN, RC_SIG_BAD },
    { "for another mission", for_another_mission, TOKEN, RC_SIG_BAD },
    { "order offered as its own token", the_order_itself, TOKEN, RC_SIG_BAD },
    { "token offered as an order", a_token, ORDER, RC_SIG_BAD },
    { "direct order without the safety role", unsafe_order, ORDER, RC_SAFETY_MISSING },
    { "order of the safety role", safety_for_operators, ORDER, RC_KEY_UNKNOWN },
    { "direct order below the one in force", below_the_waiting, ORDER, RC_ORDER_OLD },
    { "direct order of the waiting one's number", rival_of_the_waiting, ORDER, RC_EQUIVOCATION },
};

static void test_attacks(void **state)
{
    (void)state;
    unsigned wrong = 0;

    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
        uint64_t floor = trust_time_floor(trust);

        attacks[i].make();
        enum rc rc = attacks[i].door == TOKEN ? offer_token(trust, evil.bytes, NOW_MS)
                                              : offer_order(trust, evil.bytes, NULL);

        if (rc != attacks[i].want)
            print_error("%s: got %s, want %s\n", attacks[i].what, rc_name(rc),
                        rc_name(attacks[i].want));
        wrong += rc != attacks[i].want;
        wrong += trust_time_floor(trust) != floor;
        wrong += offer_token(trust, good.bytes, NOW_MS) != RC_OK;
    }
    assert_int_equal(wrong, 0);
}

/* Every bit of the payload, sampled ones of the rest. */
static void test_every_bit(void **state)
{
    (void)state;
    static uint8_t buf[DOCUMENT_MAX];

    memcpy(buf, good.bytes.p, good.bytes.n);
    for (size_t bit = 0; bit < good.bytes.n * 8; bit += bit < 1200 ? 1 : 211) {
        buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_not_equal(offer_token(trust, (struct bytes){ buf, good.bytes.n }, NOW_MS),
                             RC_OK);
        buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
}

/* ---- what must go well ---- */

static void test_a_newer_order_replaces_the_one_that_waits(void **state)
{
    (void)state;
    bool waits = false;

    staged_order();
    order.generation = 14;
    doc_signed(&evil, DOC_ORDER, order_encode, &order, OPERATORS);
    assert_rc(offer_order(trust, evil.bytes, &waits), RC_OK);
    assert_true(waits);
    order.staged = false;
    doc_signed(&evil, DOC_ORDER, order_encode, &order, EVERYBODY);
    assert_rc(offer_order(trust, evil.bytes, &waits), RC_OK);
    assert_false(waits);
    assert_rc(offer_order(trust, staged.bytes, &waits), RC_OK); /* the one that waits, again */
    assert_true(waits);
}

/* Only for tenants that ask for it. */
static void test_safety_only_where_asked(void **state)
{
    (void)state;
    bool waits = true;

    order = doc_order();
    order.generation = 14;
    order.line[0] = order.line[1];
    order.n_lines = 1;
    assert_null(trust_needs_safety(trust, &order));
    doc_signed(&evil, DOC_ORDER, order_encode, &order, OPERATORS);
    assert_rc(offer_order(trust, evil.bytes, &waits), RC_OK);
    assert_false(waits);
    order = doc_order();
    assert_string_equal(trust_needs_safety(trust, &order), "acme");
}

/* A grant that asks for a role that is not there lets nothing run. */
static void test_no_safety_role(void **state)
{
    (void)state;
    struct trust *t = a_trust(false);

    unsafe_order();
    assert_rc(offer_order(t, evil.bytes, NULL), RC_SAFETY_MISSING);
    assert_rc(offer_token(t, good.bytes, NOW_MS), RC_SAFETY_MISSING);
    trust_free(&t);
}

/* What is in force was in time when it came, and is verified at every start. */
static void test_held_token_outlives_its_time(void **state)
{
    (void)state;
    scoped(verified_token_free) struct verified_token *t = NULL;
    scoped(verified_order_free) struct verified_order *o = NULL;
    struct order_position position = {
        .satellite = "aurora-1", .generation = 13, .digest = &waiting, .issued_ms = ISSUED_MS
    };
    const uint64_t late = ISSUED_MS + 50 * DAY_MS;

    assert_rc(offer_token(trust, good.bytes, late), RC_EXPIRED);
    assert_rc(trust_verify_order(trust, staged.bytes, &position, late, &o, NULL), RC_OK);
    assert_true(verified_order_waits(o));
    assert_rc(trust_verify_token(trust, good.bytes, &position, late, &t, NULL), RC_OK);
    assert_rc(trust_activate(trust, o, t, NULL), RC_OK);
    assert_true(verified_order_cosigned(o));
}

static enum rc offer_again(struct bytes bytes, bool held)
{
    scoped(verified_order_free) struct verified_order *o = NULL;
    const struct order_position position = { .satellite = "aurora-1",
                                             .generation = held ? 12 : 0,
                                             .digest = held ? &in_force : NULL,
                                             .issued_ms = ISSUED_MS };
    enum rc rc = trust_verify_order(trust, bytes, &position, NOW_MS, &o, NULL);

    assert_true(rc != RC_OK || verified_order_cosigned(o));
    return rc;
}

/* What came into force before a key joined that asks for SHA-384 stays so; nothing new does. */
static void test_a_safety_key_of_suite_2_joins(void **state)
{
    (void)scene_ends(state);
    doc_keys_suite = DOC_MIXED;
    root = doc_root();
    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_A);
    root.safety_keys = doc_key_set(1, 1, K_ACME);
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD);
    assert_rc(trust_new(evil.bytes, &trust, NULL), RC_OK);
    order = doc_order();
    for (uint32_t i = 0; i < order.n_lines; i++)
        order.line[i].manifest384 = (struct digest384){ 0 };
    doc_signed(&good, DOC_ORDER, order_encode, &order, K_OPERATOR_A, K_ACME);
    assert_rc(sha256_of(good.payload, in_force.b, NULL), RC_OK);
    assert_rc(offer_again(good.bytes, false), RC_OK);
    root = doc_next_root();
    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_A);
    root.safety_keys = doc_key_set(1, 2, K_ACME);
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD, NEXT);
    assert_rc(trust_next_root(trust, evil.bytes, NULL, NULL), RC_OK);
    assert_rc(offer_again(good.bytes, true), RC_OK);
    assert_rc(offer_again(good.bytes, false), RC_DIGEST_WEAK);
}

/* An operator role that begins anew makes both void; a revoked key counts no more. */
static void test_void_and_revoked(void **state)
{
    (void)state;
    struct trust *t = a_trust(true);
    struct revocation r = { .number = 1, .issued_ms = NOW_MS, .n = 1 };
    bool taken = false;

    r.entry[0] = (struct revoked){ .kind = REVOKED_KEY, .policy = REVOKE_KEEP };
    memcpy(r.entry[0].key, sign_key_public(doc_key(K_SAFETY_A))->id, KEY_ID_SIZE);
    doc_signed(&evil, DOC_REVOCATION, revocation_encode, &r, OLD);
    assert_rc(trust_add_revocation(t, evil.bytes, &taken, NULL), RC_OK);
    assert_rc(offer_token(t, good.bytes, NOW_MS), RC_SAFETY_MISSING);
    good_token();
    doc_signed(&evil, DOC_TOKEN, token_encode, &token, OPERATORS, K_SAFETY_B);
    assert_rc(offer_token(t, evil.bytes, NOW_MS), RC_OK);

    root = doc_next_root();
    root.operator_keys = doc_key_set(2, 2, K_OPERATOR_A);
    root.safety_keys = doc_key_set(1, 2, K_SAFETY_A);
    root.operator_since_ms = root.issued_ms;
    struct signed_doc *next = calloc(1, sizeof *next);
    assert_non_null(next);
    doc_signed(next, DOC_ROOT, root_encode, &root, OLD, NEXT);
    assert_rc(trust_next_root(t, next->bytes, NULL, NULL), RC_OK);
    free(next);
    assert_rc(offer_token(t, evil.bytes, NOW_MS), RC_ISSUED_BEFORE);
    assert_rc(offer_order(t, staged.bytes, NULL), RC_ISSUED_BEFORE);
    trust_free(&t);
}

/* What a stolen safety key let take effect gives way with it. */
static void test_judged_by_the_token_too(void **state)
{
    (void)state;
    struct trust *t = a_trust(true);
    struct revocation r = { .number = 1, .issued_ms = NOW_MS, .n = 1 };
    bool taken = false;

    assert_int_equal(trust_judge_order(t, staged.bytes, good.bytes), REVOKE_NONE);
    r.entry[0] = (struct revoked){ .kind = REVOKED_KEY, .policy = REVOKE_STOP };
    memcpy(r.entry[0].key, sign_key_public(doc_key(K_SAFETY_A))->id, KEY_ID_SIZE);
    doc_signed(&evil, DOC_REVOCATION, revocation_encode, &r, OLD);
    assert_rc(trust_add_revocation(t, evil.bytes, &taken, NULL), RC_OK);
    assert_int_equal(trust_judge_order(t, staged.bytes, good.bytes), REVOKE_STOP);
    assert_int_equal(trust_judge_order(t, staged.bytes, (struct bytes){ 0 }), REVOKE_NONE);
    trust_free(&t);
}

static void test_nothing_without_trust(void **state)
{
    (void)state;
    struct verified_token *t = NULL;
    const struct order_position position = here();

    assert_rc(trust_verify_token(NULL, good.bytes, &position, NOW_MS, &t, NULL), RC_TRUST_MISSING);
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attacks),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_a_newer_order_replaces_the_one_that_waits),
        cmocka_unit_test(test_safety_only_where_asked),
        cmocka_unit_test(test_no_safety_role),
        cmocka_unit_test(test_void_and_revoked),
        cmocka_unit_test(test_judged_by_the_token_too),
        cmocka_unit_test(test_held_token_outlives_its_time),
        cmocka_unit_test(test_nothing_without_trust),
        cmocka_unit_test(test_a_safety_key_of_suite_2_joins), /* the scene is over */
    };

    return cmocka_run_group_tests(tests, scene_begins, scene_ends);
}
