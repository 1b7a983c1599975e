/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include "base/crypto.h"
#include "manifest/trust.h"
#include "tests/unit/documents.h"

/* Too big for a stack frame, and all tests run one after the other. */
static struct signed_doc one, two;

static noinline struct trust *trust_at_start(void)
{
    struct root root = doc_root();
    struct trust *trust = NULL;
    struct err err;

    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_C);
    assert_rc(trust_new(one.bytes, &trust, &err), RC_OK);
    return trust;
}

static noinline struct trust *trust_with_grant(void)
{
    struct trust *trust = trust_at_start();
    struct grant grant = doc_grant();

    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_B);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_OK);
    return trust;
}

static void test_true_path(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_with_grant();
    scoped(verified_manifest_free) struct verified_manifest *vm = NULL;
    scoped(verified_order_free) struct verified_order *vo = NULL;
    struct manifest manifest = doc_manifest();
    struct order order = doc_order();
    struct order_position position = { .satellite = "aurora-1" };
    uint8_t digest[DIGEST_SIZE];

    doc_signed(&one, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
    assert_rc(trust_verify_manifest(trust, one.bytes, NOW_MS, &vm, NULL), RC_OK);
    assert_string_equal(verified_manifest_get(vm)->name, "cam-north");
    assert_rc(sha256_of(one.payload, digest, NULL), RC_OK);
    assert_memory_equal(verified_manifest_digest(vm)->b, digest, sizeof digest);

    order.issued_ms = ISSUED_MS + DAY_MS / 2;
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    assert_rc(trust_verify_order(trust, one.bytes, &position, NOW_MS, &vo, NULL), RC_OK);
    assert_int_equal(verified_order_get(vo)->generation, 12);
    assert_rc(sha256_of(one.payload, digest, NULL), RC_OK);
    assert_memory_equal(verified_order_digest(vo)->b, digest, sizeof digest);
    assert_int_equal(trust_time_floor(trust), ISSUED_MS + DAY_MS / 2);
}

/* ---- roots ---- */

static void test_no_root_no_trust(void **state)
{
    (void)state;
    struct trust *trust = NULL;
    struct verified_manifest *vm = NULL;
    struct verified_order *vo = NULL;
    struct order_position position = { .satellite = "aurora-1" };

    assert_rc(trust_new((struct bytes){ 0 }, &trust, NULL), RC_TRUST_MISSING);
    assert_null(trust);
    assert_rc(trust_add_grant(NULL, one.bytes, NOW_MS, NULL), RC_TRUST_MISSING);
    assert_rc(trust_next_root(NULL, one.bytes, NULL, NULL), RC_TRUST_MISSING);
    assert_rc(trust_verify_manifest(NULL, one.bytes, NOW_MS, &vm, NULL), RC_TRUST_MISSING);
    assert_rc(trust_verify_order(NULL, one.bytes, &position, NOW_MS, &vo, NULL), RC_TRUST_MISSING);
    assert_null(vm);
    assert_null(vo);
    assert_null(trust_root(NULL));
    assert_null(trust_grant(NULL, "acme"));
}

static void test_first_root_must_hold_together(void **state)
{
    (void)state;
    struct root root = doc_root();
    struct order order = doc_order();
    struct trust *trust = NULL;

    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A);
    assert_rc(trust_new(one.bytes, &trust, NULL), RC_THRESHOLD);
    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A, K_STRANGER);
    assert_rc(trust_new(one.bytes, &trust, NULL), RC_THRESHOLD);
    doc_signed(&one, DOC_GRANT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_new(one.bytes, &trust, NULL), RC_SIG_BAD);
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_new(one.bytes, &trust, NULL), RC_DOC_TYPE);
    assert_rc(trust_new(one.payload, &trust, NULL), RC_CBOR_TYPE);
    assert_null(trust);
}

static void r_none(struct root *r)
{
    (void)r;
}

static void r_skip(struct root *r)
{
    r->version = 3;
}

static void r_same(struct root *r)
{
    r->version = 1;
}

static void r_operator(struct root *r)
{
    r->operator_keys.n = 1;
}

static void r_operator_threshold(struct root *r)
{
    r->operator_keys.threshold = 2;
}

static void r_operator_since(struct root *r)
{
    r_operator(r);
    r->operator_since_ms = r->issued_ms;
}

static void r_since(struct root *r)
{
    r->operator_since_ms = r->issued_ms;
}

static void r_since_before(struct root *r)
{
    r_operator(r);
    r->operator_since_ms = r->issued_ms - 1;
}

static void r_far(struct root *r)
{
    r->issued_ms += TRUST_AHEAD_MAX_MS + 2 * DAY_MS;
    r->expires_ms = 0;
}

static void r_expired(struct root *r)
{
    r->expires_ms = r->issued_ms + 1;
}

static noinline void r_mission(struct root *r)
{
    r->mission = other_mission;
}

static noinline void r_keys(struct root *r)
{
    r->root_keys = doc_key_set(2, 2, K_ACME);
}

static noinline void r_threshold(struct root *r)
{
    r->root_keys.threshold = 1;
}

#define OLD K_ROOT_A, K_ROOT_B
#define NEXT K_NEXT_A, K_NEXT_B

static const struct {
    const char *why;
    void (*change)(struct root *r);
    enum doc_key who[5];
    size_t n;
    enum rc rc;
    bool recovered;
} root_rows[] = {
    { "a rotation", r_none, { OLD, NEXT }, 4, RC_OK, false },
    { "expired already, as a link of a chain", r_expired, { OLD, NEXT }, 4, RC_OK, false },
    { "signed by strangers too", r_none, { OLD, NEXT, K_STRANGER }, 5, RC_OK, false },
    { "old keys lost: the committed keys alone", r_none, { NEXT }, 2, RC_OK, true },
    { "old keys lost but for one", r_none, { K_ROOT_A, NEXT }, 3, RC_OK, true },
    { "old keys stolen: they alone", r_none, { OLD }, 2, RC_KEY_UNKNOWN, false },
    { "all old keys stolen", r_none, { OLD, K_ROOT_C }, 3, RC_KEY_UNKNOWN, false },
    { "old keys stolen, to the thief's",
      r_keys,
      { OLD, K_ACME, K_ACME_2 },
      4,
      RC_ROOT_COMMITMENT,
      false },
    { "the thief's keys alone", r_keys, { K_ACME, K_ACME_2 }, 2, RC_ROOT_COMMITMENT, false },
    { "old keys and one of the next stolen", r_none, { OLD, K_NEXT_A }, 3, RC_THRESHOLD, false },
    { "one of the next stolen, alone", r_none, { K_NEXT_A }, 1, RC_THRESHOLD, false },
    { "one of the next, for a threshold of one",
      r_threshold,
      { OLD, K_NEXT_A },
      3,
      RC_ROOT_COMMITMENT,
      false },
    { "promised keys, lower threshold", r_threshold, { OLD, NEXT }, 4, RC_ROOT_COMMITMENT, false },
    { "strangers for the promised keys",
      r_none,
      { OLD, K_STRANGER, K_ZENITH },
      4,
      RC_KEY_UNKNOWN,
      false },
    { "the operator for the root",
      r_none,
      { K_OPERATOR_A, K_OPERATOR_B },
      2,
      RC_KEY_UNKNOWN,
      false },
    { "one is missing before it", r_skip, { OLD, NEXT }, 4, RC_ROOT_GAP, false },
    { "one is missing before it, alone", r_skip, { NEXT }, 2, RC_ROOT_GAP, false },
    { "the same version, other content", r_same, { OLD }, 2, RC_EQUIVOCATION, false },
    { "the same, said by the next keys only", r_same, { NEXT }, 2, RC_KEY_UNKNOWN, false },
    { "the same, said by too few", r_same, { K_ROOT_B, NEXT }, 3, RC_THRESHOLD, false },
    { "issued in ten years: the root's word", r_far, { OLD, NEXT }, 4, RC_OK, false },
    { "another mission", r_mission, { OLD, NEXT }, 4, RC_MISSION, false },
    { "other operator keys, counters kept", r_operator, { OLD, NEXT }, 4, RC_VALUE, false },
    { "other operator threshold, counters kept",
      r_operator_threshold,
      { OLD, NEXT },
      4,
      RC_VALUE,
      false },
    { "other operator keys, since another time",
      r_since_before,
      { OLD, NEXT },
      4,
      RC_VALUE,
      false },
    { "other operator keys, counters begin anew",
      r_operator_since,
      { OLD, NEXT },
      4,
      RC_OK,
      false },
    { "the same in a recovery", r_operator_since, { NEXT }, 2, RC_OK, true },
    { "the same operator keys, counters begin anew", r_since, { OLD, NEXT }, 4, RC_OK, false },
};

static void test_succession(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof root_rows / sizeof root_rows[0]; i++) {
        scoped(trust_free) struct trust *trust = trust_at_start();
        struct root root = doc_next_root();
        struct root_change change = { .taken = true };
        struct err err;

        root_rows[i].change(&root);
        doc_must(root_encode(&root, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
                 &err);
        doc_sign(&one, DOC_ROOT, &doc_mission, root_rows[i].who, root_rows[i].n);
        enum rc rc = trust_next_root(trust, one.bytes, &change, &err);
        if (rc != root_rows[i].rc || (rc == RC_OK && change.recovered != root_rows[i].recovered))
            fail_msg("%s: got %s, recovered %d", root_rows[i].why, rc_name(rc), change.recovered);
        assert_int_equal(trust_root(trust)->version, rc == RC_OK ? 2 : 1);
        assert_int_equal(trust_time_floor(trust), rc == RC_OK ? root.issued_ms : ISSUED_MS);
        if (rc != RC_OK)
            continue;
        assert_true(change.taken);
        assert_int_equal(change.operator_reset, root.operator_since_ms != 0);
        /* The same again changes nothing, whoever signed it this time. */
        assert_rc(trust_next_root(trust, one.bytes, &change, NULL), RC_OK);
        assert_false(change.taken || change.recovered || change.operator_reset);
    }
}

/* A signature in the name of an old key that does not hold is no recovery, it is a fault. */
static void test_broken_old_signature_is_refused(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_at_start();
    struct root root = doc_next_root();
    struct envelope envelope;

    doc_signed(&one, DOC_ROOT, root_encode, &root, NEXT, OLD);
    assert_rc(envelope_open(one.bytes, &envelope, NULL), RC_OK);
    for (uint32_t i = 0; i < envelope.n; i++) {
        size_t at = (size_t)(envelope.signature[i].signature.p - one.buf);

        one.buf[at] ^= 1U;
        assert_rc(trust_next_root(trust, one.bytes, NULL, NULL), RC_SIG_BAD);
        one.buf[at] ^= 1U;
    }
    envelope.n -= 1; /* the last old key's second half is stripped */
    assert_rc(envelope_encode(&envelope, two.buf, sizeof two.buf, &two.bytes, NULL), RC_OK);
    assert_rc(trust_next_root(trust, two.bytes, NULL, NULL), RC_SIG_MISSING_HALF);
    assert_rc(trust_next_root(trust, one.payload, NULL, NULL), RC_CBOR_TYPE);
    assert_int_equal(trust_root(trust)->version, 1);
    assert_rc(trust_next_root(trust, one.bytes, NULL, NULL), RC_OK);
}

/* Signatures are not part of a root: one from which somebody took the old keys' is the same root,
 * and told as a recovery; the whole one that comes behind it changes nothing. */
static void test_stripped_rotation_is_the_same_root(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_at_start();
    struct root root = doc_next_root();
    struct root_change change;

    doc_signed(&one, DOC_ROOT, root_encode, &root, NEXT);
    doc_signed(&two, DOC_ROOT, root_encode, &root, OLD, NEXT);
    assert_rc(trust_next_root(trust, one.bytes, &change, NULL), RC_OK);
    assert_true(change.recovered);
    assert_rc(trust_next_root(trust, two.bytes, &change, NULL), RC_OK);
    assert_false(change.taken);
}

/* Two roots for one place: who comes first stays, the other is told as a lie. */
static void test_rival_recoveries(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_at_start();
    struct root root = doc_next_root();

    doc_signed(&one, DOC_ROOT, root_encode, &root, OLD, NEXT);
    root.issued_ms++;
    doc_signed(&two, DOC_ROOT, root_encode, &root, NEXT);
    assert_rc(trust_next_root(trust, one.bytes, NULL, NULL), RC_OK);
    assert_rc(trust_next_root(trust, two.bytes, NULL, NULL), RC_EQUIVOCATION);
    assert_true(bytes_equal(trust_root_envelope(trust), one.bytes));
}

static void test_old_root_does_not_come_back(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *kept = NULL;
    static struct root root, first; /* two are more than a frame should hold */

    root = doc_next_root();
    first = doc_root();

    root.root_keys = doc_key_set(2, 3, K_ROOT_A);

    /* A root that promises its own keys again, so that its signers could also sign the old one. */
    assert_rc(root_commit(&first, &first.root_keys, NULL), RC_OK);
    doc_signed(&two, DOC_ROOT, root_encode, &first, OLD);
    assert_rc(trust_new(two.bytes, &kept, NULL), RC_OK);
    doc_signed(&one, DOC_ROOT, root_encode, &root, OLD);
    assert_rc(trust_next_root(kept, one.bytes, NULL, NULL), RC_OK);
    assert_rc(trust_next_root(kept, two.bytes, NULL, NULL), RC_VERSION_OLD);
    assert_true(bytes_equal(trust_root_envelope(kept), one.bytes));
}

#define CHAIN 50U

/* Root v is of key A if v is odd, else of B; every third one is a recovery, every tenth changes the
 * operator's keys.  All have expired. */
static noinline void chain_root(struct signed_doc *ret, uint64_t v)
{
    enum doc_key mine = v % 2 ? K_ROOT_A : K_ROOT_B, other = v % 2 ? K_ROOT_B : K_ROOT_A;
    struct key_set next = doc_key_set(1, 1, other);
    struct root root = doc_root();

    root.version = v;
    root.root_keys = doc_key_set(1, 1, mine);
    root.operator_keys = doc_key_set(1, 1, v / 10 % 2 ? K_OPERATOR_A : K_OPERATOR_B);
    root.issued_ms = ISSUED_MS + v;
    root.expires_ms = root.issued_ms + 1;
    root.operator_since_ms = v < 10 ? 0 : ISSUED_MS + v / 10 * 10;
    assert_rc(root_commit(&root, &next, NULL), RC_OK);
    if (v % 3 == 0)
        doc_signed(ret, DOC_ROOT, root_encode, &root, mine);
    else
        doc_signed(ret, DOC_ROOT, root_encode, &root, mine, other);
}

static void chain_make(struct bytes *ret)
{
    for (uint64_t v = 1; v <= CHAIN; v++) {
        chain_root(&one, v);
        uint8_t *copy = malloc(one.bytes.n);
        assert_non_null(copy);
        memcpy(copy, one.bytes.p, one.bytes.n);
        ret[v - 1] = (struct bytes){ copy, one.bytes.n };
    }
}

static void chain_free(const struct bytes *chain)
{
    union {
        const uint8_t *from;
        void *to;
    } p;

    for (size_t i = 0; i < CHAIN; i++) {
        p.from = chain[i].p;
        free(p.to);
    }
}

/* In one pass, long after all of them have expired. */
static void test_a_long_chain(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = NULL;
    struct bytes chain[CHAIN];
    struct root_change change;

    chain_make(chain);
    assert_rc(trust_new(chain[0], &trust, NULL), RC_OK);
    for (size_t i = 1; i < CHAIN; i++) {
        if (i + 1 < CHAIN)
            assert_rc(trust_next_root(trust, chain[i + 1], NULL, NULL), RC_ROOT_GAP);
        assert_rc(trust_next_root(trust, chain[i], &change, NULL), RC_OK);
        assert_int_equal(change.recovered, (i + 1) % 3 == 0);
        assert_int_equal(change.operator_reset, (i + 1) % 10 == 0);
    }
    assert_int_equal(trust_root(trust)->version, CHAIN);
    chain_free(chain);
}

/* After every single step all that is left is the envelope that was kept; from it, the whole chain
 * is offered again from its first root on. */
static void test_a_chain_cut_anywhere(void **state)
{
    (void)state;
    struct bytes chain[CHAIN];

    chain_make(chain);
    for (size_t cut = 0; cut < CHAIN; cut++) {
        scoped(trust_free) struct trust *trust = NULL;

        assert_rc(trust_new(chain[cut], &trust, NULL), RC_OK);
        for (size_t i = 0; i < CHAIN; i++)
            assert_rc(trust_next_root(trust, chain[i], NULL, NULL),
                      i < cut ? RC_VERSION_OLD : RC_OK);
        assert_int_equal(trust_root(trust)->version, CHAIN);
        assert_true(bytes_equal(trust_root_envelope(trust), chain[CHAIN - 1]));
    }
    chain_free(chain);
}

/* ---- grants ---- */

static void test_grants_only_go_up(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_with_grant();
    struct grant grant = doc_grant();

    /* The same content with another signature is the same grant. */
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_OK);
    grant.payloads_max++;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_EQUIVOCATION);
    grant.epoch = 2;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_GRANT_OLD);
    assert_int_equal(trust_grant(trust, "acme")->epoch, 3);
    grant.epoch = 4;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_OK);
    assert_int_equal(trust_grant(trust, "acme")->epoch, 4);
    assert_true(bytes_equal(trust_grant_envelope(trust, "acme"), one.bytes));
    assert_int_equal(trust_grant_envelope(trust, "zenith").n, 0);
}

static void test_grants_come_from_the_operator(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_at_start();
    struct grant grant = doc_grant();
    const enum doc_key op = K_OPERATOR_A;

    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_ACME); /* a tenant raises its own quota */
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_KEY_UNKNOWN);
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_ROOT_A, K_ROOT_B);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_KEY_UNKNOWN);
    doc_signed(&one, DOC_ORDER, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_SIG_BAD);
    doc_sign(&one, DOC_GRANT, &other_mission, &op, 1);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_SIG_BAD);
    /* Signed rightly, but not a grant: believed, and still refused. */
    one.payload = bytes_of("\x80");
    doc_sign(&one, DOC_GRANT, &doc_mission, &op, 1);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_CBOR_TYPE);
    assert_int_equal(trust_grants(trust, NULL, 0), 0);
    assert_null(trust_grant(trust, "acme"));
}

static void test_tenants_are_bounded(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_at_start();
    struct grant grant = doc_grant();
    const struct grant *all[TENANTS_MAX + 1];

    for (unsigned i = 0; i <= TENANTS_MAX; i++) {
        (void)snprintf(grant.tenant, sizeof grant.tenant, "tenant-%u", i);
        doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
        assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL),
                  i < TENANTS_MAX ? RC_OK : RC_NO_ROOM);
    }
    assert_int_equal(trust_grants(trust, all, TENANTS_MAX + 1), TENANTS_MAX);
    assert_string_equal(all[TENANTS_MAX - 1]->tenant, "tenant-15");
    assert_int_equal(trust_grants(trust, all, 2), 2);
}

static void test_new_operator_keys_drop_old_grants(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_with_grant(); /* signed by operator B */
    struct grant grant = doc_grant();
    struct root root = doc_next_root();

    memcpy(grant.tenant, "zenith", 7);
    grant.epoch = INT64_MAX; /* pushed as high as it goes by a stolen key */
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_OK);
    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_B);
    root.operator_since_ms = root.issued_ms;
    doc_signed(&one, DOC_ROOT, root_encode, &root, OLD, NEXT);
    assert_rc(trust_next_root(trust, one.bytes, NULL, NULL), RC_OK);
    assert_null(trust_grant(trust, "acme")); /* by a key that stays, but from before */
    assert_null(trust_grant(trust, "zenith"));
    grant.epoch = 1;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_B);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_ISSUED_BEFORE);
    grant.issued_ms = root.issued_ms;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_B);
    assert_rc(trust_add_grant(trust, one.bytes, NOW_MS, NULL), RC_OK);
}

static noinline enum rc order_code(struct trust *trust, const struct order *order, enum doc_key who,
                                   const struct order_position *position)
{
    scoped(verified_order_free) struct verified_order *vo = NULL;

    doc_signed(&one, DOC_ORDER, order_encode, order, who);
    return trust_verify_order(trust, one.bytes, position, NOW_MS, &vo, NULL);
}

/* Operator A was stolen and drove the generation to its end: with A the number is forgotten.  What
 * B signed before, truly and lower, does not come back through that. */
static void test_new_operator_keys_reset_orders(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_at_start();
    struct root root = doc_next_root();
    struct order order = doc_order();
    struct digest digest = { { 1 } };
    struct order_position position = {
        .satellite = "aurora-1", .generation = INT64_MAX, .digest = &digest, .issued_ms = ISSUED_MS
    };

    assert_rc(order_code(trust, &order, K_OPERATOR_B, &position), RC_ORDER_OLD);
    assert_true(trust_position_counts(trust, &position));
    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_B);
    root.operator_since_ms = root.issued_ms;
    doc_signed(&one, DOC_ROOT, root_encode, &root, NEXT);
    assert_rc(trust_next_root(trust, one.bytes, NULL, NULL), RC_OK);
    assert_false(trust_position_counts(trust, &position));

    assert_rc(order_code(trust, &order, K_OPERATOR_B, &position), RC_ISSUED_BEFORE);
    order.issued_ms = root.issued_ms;
    assert_rc(order_code(trust, &order, K_OPERATOR_A, &position), RC_KEY_UNKNOWN);
    assert_rc(order_code(trust, &order, K_OPERATOR_B, &position), RC_OK);

    /* And from there it only goes up again. */
    position.generation = order.generation;
    position.issued_ms = order.issued_ms;
    assert_rc(order_code(trust, &order, K_OPERATOR_B, &position), RC_EQUIVOCATION);
    order.generation--;
    assert_rc(order_code(trust, &order, K_OPERATOR_B, &position), RC_ORDER_OLD);
}

/* ---- manifests ---- */

static void m_none(struct manifest *m)
{
    (void)m;
}

static void m_tenant(struct manifest *m)
{
    memcpy(m->tenant, "zenith", 7);
}

static void m_prefix(struct manifest *m)
{
    memcpy(m->name, "camera", 7);
}

static void m_whole_prefix(struct manifest *m)
{
    memcpy(m->name, "cam", 4);
}

static void m_memory(struct manifest *m)
{
    m->limits.memory_bytes = (64U << 20) + 1;
}

static void m_data(struct manifest *m)
{
    m->limits.data_bytes = (32U << 20) + 1;
}

static void m_tmp(struct manifest *m)
{
    m->limits.memory_bytes = 64U << 20;
    m->limits.tmp_bytes = (16U << 20) + 1;
}

static void m_cpu(struct manifest *m)
{
    m->limits.cpu_permille = 501;
}

static void m_pids(struct manifest *m)
{
    m->limits.pids = 33;
}

static void m_files(struct manifest *m)
{
    m->limits.open_files = 129;
}

static void m_store(struct manifest *m)
{
    m->unpacked_bytes = (100U << 20) - m->content_bytes + 1;
}

static const struct {
    const char *why;
    void (*change)(struct manifest *m);
    enum doc_key who;
    enum doc_type type;
    uint64_t now_ms;
    enum rc rc;
} manifest_rows[] = {
    { "good", m_none, K_ACME, DOC_MANIFEST, NOW_MS, RC_OK },
    { "named like the prefix", m_whole_prefix, K_ACME, DOC_MANIFEST, NOW_MS, RC_OK },
    { "another tenant's key", m_none, K_ZENITH, DOC_MANIFEST, NOW_MS, RC_KEY_UNKNOWN },
    { "the operator's key", m_none, K_OPERATOR_A, DOC_MANIFEST, NOW_MS, RC_KEY_UNKNOWN },
    { "another tenant's name", m_tenant, K_ACME, DOC_MANIFEST, NOW_MS, RC_GRANT_MISSING },
    { "signed as a report", m_none, K_ACME, DOC_REPORT, NOW_MS, RC_SIG_BAD },
    { "name that only begins like the prefix", m_prefix, K_ACME, DOC_MANIFEST, NOW_MS,
      RC_NAME_NOT_GRANTED },
    { "memory", m_memory, K_ACME, DOC_MANIFEST, NOW_MS, RC_GRANT_EXCEEDED },
    { "data", m_data, K_ACME, DOC_MANIFEST, NOW_MS, RC_GRANT_EXCEEDED },
    { "tmp", m_tmp, K_ACME, DOC_MANIFEST, NOW_MS, RC_GRANT_EXCEEDED },
    { "cpu", m_cpu, K_ACME, DOC_MANIFEST, NOW_MS, RC_GRANT_EXCEEDED },
    { "pids", m_pids, K_ACME, DOC_MANIFEST, NOW_MS, RC_GRANT_EXCEEDED },
    { "files", m_files, K_ACME, DOC_MANIFEST, NOW_MS, RC_GRANT_EXCEEDED },
    { "store", m_store, K_ACME, DOC_MANIFEST, NOW_MS, RC_GRANT_EXCEEDED },
    { "clock at 1970", m_none, K_ACME, DOC_MANIFEST, 0, RC_OK },
    { "the moment before the grant expires", m_none, K_ACME, DOC_MANIFEST,
      ISSUED_MS + 100 * DAY_MS - 1, RC_OK },
    { "grant expired", m_none, K_ACME, DOC_MANIFEST, ISSUED_MS + 100 * DAY_MS, RC_EXPIRED },
    { "clock at its end: not believed", m_none, K_ACME, DOC_MANIFEST, UINT64_MAX, RC_OK },
};

static void test_manifests(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_with_grant();

    for (size_t i = 0; i < sizeof manifest_rows / sizeof manifest_rows[0]; i++) {
        scoped(verified_manifest_free) struct verified_manifest *vm = NULL;
        struct manifest m = doc_manifest();
        struct err err;

        manifest_rows[i].change(&m);
        doc_must(manifest_encode(&m, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
                 &err);
        doc_sign(&one, manifest_rows[i].type, &doc_mission, &manifest_rows[i].who, 1);
        enum rc rc = trust_verify_manifest(trust, one.bytes, manifest_rows[i].now_ms, &vm, &err);
        if (rc != manifest_rows[i].rc)
            fail_msg("%s: got %s", manifest_rows[i].why, rc_name(rc));
        assert_true((vm != NULL) == (rc == RC_OK));
    }
}

/* The agent's own programs: only by the keys of a grant that says so. */
static const struct {
    const char *why;
    const char *name;
    bool grant_says, passed;
} agent_rows[] = {
    { "the agent", "agent", true, true },
    { "by a grant that does not say so", "agent", false, false },
    { "another payload of the same tenant", "agent-tools", false, true },
};

static void test_agent_needs_a_grant_for_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof agent_rows / sizeof agent_rows[0]; i++) {
        scoped(trust_free) struct trust *trust = trust_with_grant();
        scoped(verified_manifest_free) struct verified_manifest *vm = NULL;
        struct grant grant = doc_grant();
        struct manifest m = doc_manifest();
        struct err err;

        memcpy(grant.tenant, AGENT_TENANT, sizeof AGENT_TENANT);
        grant.prefix[0] = '\0';
        grant.agent = agent_rows[i].grant_says;
        doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
        doc_must(trust_add_grant(trust, one.bytes, NOW_MS, &err), &err);
        memcpy(m.tenant, AGENT_TENANT, sizeof AGENT_TENANT);
        (void)snprintf(m.name, sizeof m.name, "%s", agent_rows[i].name);
        doc_signed(&one, DOC_MANIFEST, manifest_encode, &m, K_ACME);
        enum rc rc = trust_verify_manifest(trust, one.bytes, NOW_MS, &vm, &err);
        if (rc != (agent_rows[i].passed ? RC_OK : RC_GRANT_EXCEEDED))
            fail_msg("%s: got %s", agent_rows[i].why, rc_name(rc));
        assert_int_equal(grant_allows(&grant, &m, &err), rc);
    }

    /* and by no team */
    struct grant grant = doc_grant();
    struct manifest m = doc_manifest();
    struct err err;

    memcpy(grant.tenant, AGENT_TENANT, sizeof AGENT_TENANT);
    memcpy(m.tenant, AGENT_TENANT, sizeof AGENT_TENANT);
    memcpy(m.name, AGENT_NAME, sizeof AGENT_NAME);
    memcpy(m.team, "flight", sizeof "flight");
    grant.prefix[0] = '\0';
    grant.agent = true;
    assert_rc(grant_allows(&grant, &m, &err), RC_GRANT_EXCEEDED);
}

static void test_other_documents_are_no_manifest(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_with_grant();
    struct verified_manifest *vm = NULL;
    struct order order = doc_order();
    const enum doc_key acme = K_ACME;

    doc_signed(&one, DOC_MANIFEST, order_encode, &order, K_ACME);
    assert_rc(trust_verify_manifest(trust, one.bytes, NOW_MS, &vm, NULL), RC_DOC_TYPE);
    one.payload = bytes_of("hello");
    doc_sign(&one, DOC_MANIFEST, &doc_mission, &acme, 1);
    assert_rc(trust_verify_manifest(trust, one.bytes, NOW_MS, &vm, NULL), RC_CBOR_TYPE);
    assert_rc(trust_verify_manifest(trust, (struct bytes){ 0 }, NOW_MS, &vm, NULL), RC_SHORT);
    assert_null(vm);
}

/* A clock that is put back does not revive a grant once a later document has been seen. */
static void test_floor_holds_time_up(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_with_grant();
    scoped(verified_manifest_free) struct verified_manifest *vm = NULL;
    struct manifest m = doc_manifest();

    doc_signed(&one, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    assert_rc(trust_verify_manifest(trust, one.bytes, 0, &vm, NULL), RC_OK);
    verified_manifest_free(&vm);
    trust_raise_floor(trust, ISSUED_MS + 100 * DAY_MS);
    trust_raise_floor(trust, 5);
    assert_int_equal(trust_time_floor(trust), ISSUED_MS + 100 * DAY_MS);
    assert_rc(trust_verify_manifest(trust, one.bytes, 0, &vm, NULL), RC_EXPIRED);
    assert_null(vm);
}

/* ---- orders ---- */

static void o_none(struct order *o)
{
    (void)o;
}

static void o_generation_11(struct order *o)
{
    o->generation = 11;
}

static void o_generation_13(struct order *o)
{
    o->generation = 13;
}

static void o_content(struct order *o)
{
    o->line[0].manifest.b[5] ^= 1;
}

static void o_target(struct order *o)
{
    memcpy(o->satellite, "aurora-2", 9);
}

static void o_far(struct order *o)
{
    o->generation = 13;
    o->issued_ms = NOW_MS + TRUST_AHEAD_MAX_MS + 1;
    o->expires_ms = 0;
}

static const struct {
    const char *why;
    void (*change)(struct order *o);
    enum doc_key who;
    enum doc_type type;
    uint64_t now_ms;
    enum rc rc;
} order_rows[] = {
    { "the one in force", o_none, K_OPERATOR_A, DOC_ORDER, NOW_MS, RC_OK },
    { "in force, expired since", o_none, K_OPERATOR_A, DOC_ORDER, UINT64_MAX, RC_OK },
    { "the next", o_generation_13, K_OPERATOR_B, DOC_ORDER, NOW_MS, RC_OK },
    { "the next, clock at 1970", o_generation_13, K_OPERATOR_B, DOC_ORDER, 0, RC_OK },
    { "the next, expired", o_generation_13, K_OPERATOR_A, DOC_ORDER, ISSUED_MS + 10 * DAY_MS,
      RC_EXPIRED },
    { "replayed", o_generation_11, K_OPERATOR_A, DOC_ORDER, NOW_MS, RC_ORDER_OLD },
    { "same generation, other content", o_content, K_OPERATOR_A, DOC_ORDER, NOW_MS,
      RC_EQUIVOCATION },
    { "another satellite's", o_target, K_OPERATOR_A, DOC_ORDER, NOW_MS, RC_ORDER_TARGET },
    { "issued in six years", o_far, K_OPERATOR_A, DOC_ORDER, NOW_MS, RC_TIME_JUMP },
    { "signed by a tenant", o_generation_13, K_ACME, DOC_ORDER, NOW_MS, RC_KEY_UNKNOWN },
    { "signed by a root key", o_generation_13, K_ROOT_A, DOC_ORDER, NOW_MS, RC_KEY_UNKNOWN },
    { "signed as a grant", o_generation_13, K_OPERATOR_A, DOC_GRANT, NOW_MS, RC_SIG_BAD },
};

static void test_orders(void **state)
{
    (void)state;
    struct order held = doc_order();
    struct digest digest;
    struct order_position position = { "aurora-1", 12, &digest };

    doc_signed(&two, DOC_ORDER, order_encode, &held, K_OPERATOR_A);
    assert_rc(sha256_of(two.payload, digest.b, NULL), RC_OK);
    for (size_t i = 0; i < sizeof order_rows / sizeof order_rows[0]; i++) {
        scoped(trust_free) struct trust *trust = trust_at_start();
        scoped(verified_order_free) struct verified_order *vo = NULL;
        struct order o = doc_order();
        struct err err;

        order_rows[i].change(&o);
        doc_must(order_encode(&o, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
                 &err);
        doc_sign(&one, order_rows[i].type, &doc_mission, &order_rows[i].who, 1);
        enum rc rc =
            trust_verify_order(trust, one.bytes, &position, order_rows[i].now_ms, &vo, &err);
        if (rc != order_rows[i].rc)
            fail_msg("%s: got %s", order_rows[i].why, rc_name(rc));
        assert_true((vo != NULL) == (rc == RC_OK));
        assert_int_equal(trust_time_floor(trust), ISSUED_MS);
    }
}

static void test_position_without_digest(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_at_start();
    struct verified_order *vo = NULL;
    struct order o = doc_order();
    struct order_position position = { .satellite = "aurora-1", .generation = 12 };

    doc_signed(&one, DOC_ORDER, order_encode, &o, K_OPERATOR_A);
    assert_rc(trust_verify_order(trust, one.bytes, &position, NOW_MS, &vo, NULL),
              RC_DIGEST_MISSING);
    assert_null(vo);
}

/* ---- expiry and restarts ---- */

static void test_expired_grants_keep_their_epoch(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_at_start();
    scoped(verified_manifest_free) struct verified_manifest *vm = NULL;
    struct grant grant = doc_grant();
    struct manifest m = doc_manifest();
    uint64_t late = ISSUED_MS + 200 * DAY_MS;

    /* At start, from the state directory, long after it ended: it counts, but allows nothing. */
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, late, NULL), RC_OK);
    doc_signed(&two, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    assert_rc(trust_verify_manifest(trust, two.bytes, late, &vm, NULL), RC_EXPIRED);
    grant.epoch = 2;
    grant.expires_ms = 0;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, late, NULL), RC_GRANT_OLD);
    grant.epoch = 4;
    grant.expires_ms = late;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, late, NULL), RC_EXPIRED);
    grant.expires_ms = 0;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, late, NULL), RC_OK);
    assert_rc(trust_verify_manifest(trust, two.bytes, late, &vm, NULL), RC_OK);
}

static void test_expired_root_lets_nothing_new_in(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *trust = trust_with_grant();
    struct verified_order *vo = NULL;
    struct grant grant = doc_grant();
    struct order order = doc_order();
    struct root root = doc_next_root();
    struct order_position position = { .satellite = "aurora-1" };
    uint64_t late = ISSUED_MS + 1000 * DAY_MS;

    grant.epoch = 4;
    grant.expires_ms = 0;
    order.expires_ms = 0;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    assert_rc(trust_add_grant(trust, one.bytes, late, NULL), RC_EXPIRED);
    doc_signed(&two, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    assert_rc(trust_verify_order(trust, two.bytes, &position, late, &vo, NULL), RC_EXPIRED);
    assert_null(vo);
    /* The next root opens the door again: nothing is bricked. */
    root.expires_ms = 0;
    doc_signed(&one, DOC_ROOT, root_encode, &root, OLD, NEXT);
    assert_rc(trust_next_root(trust, one.bytes, NULL, NULL), RC_OK);
    assert_rc(trust_verify_order(trust, two.bytes, &position, late, &vo, NULL), RC_OK);
    verified_order_free(&vo);
}

static int teardown(void **state)
{
    (void)state;
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_true_path),
        cmocka_unit_test(test_no_root_no_trust),
        cmocka_unit_test(test_first_root_must_hold_together),
        cmocka_unit_test(test_succession),
        cmocka_unit_test(test_old_root_does_not_come_back),
        cmocka_unit_test(test_broken_old_signature_is_refused),
        cmocka_unit_test(test_stripped_rotation_is_the_same_root),
        cmocka_unit_test(test_rival_recoveries),
        cmocka_unit_test(test_a_long_chain),
        cmocka_unit_test(test_a_chain_cut_anywhere),
        cmocka_unit_test(test_grants_only_go_up),
        cmocka_unit_test(test_grants_come_from_the_operator),
        cmocka_unit_test(test_tenants_are_bounded),
        cmocka_unit_test(test_new_operator_keys_drop_old_grants),
        cmocka_unit_test(test_new_operator_keys_reset_orders),
        cmocka_unit_test(test_manifests),
        cmocka_unit_test(test_agent_needs_a_grant_for_it),
        cmocka_unit_test(test_other_documents_are_no_manifest),
        cmocka_unit_test(test_floor_holds_time_up),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_position_without_digest),
        cmocka_unit_test(test_expired_grants_keep_their_epoch),
        cmocka_unit_test(test_expired_root_lets_nothing_new_in),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
