/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known to have been done to verifiers of updates, done to ours.  One scene: a root at its
 * fourth version, two operators of whom both must sign, two tenants, an order in force.  Each row
 * names the attack, says how it is made, and which code must answer; after each the trust must hold
 * what it held before, and the good documents of both tenants must still be good.
 *
 * The numbers are those of the list of attacks in issue 3; 100 and above were added here.  Not here
 * because they are not made of documents: the age of an order in reports (17, agent), the security
 * floor of what is installed (15, agent), what becomes of a revoked version that runs (26, agent).
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/crypto.h"
#include "manifest/trust.h"
#include "tests/unit/documents.h"
#include "update/package.h"
#include "update/verify.h"

#define OPERATORS K_OPERATOR_A, K_OPERATOR_B
#define OLD K_ROOT_A, K_ROOT_B
#define NEXT K_NEXT_A, K_NEXT_B
#define GENERATION 12

/* ---- the scene ---- */

/* Every scene has keys of these suites; in the mixed one, operator A is of suite 1 and B of 2, and
 * so on (documents.h). */
enum scene {
    S1 = 1,
    S2 = 2,
    MIX = 4,
};

static enum scene scene = S1;

static struct trust *trust;
static struct digest in_force;
static struct signed_doc evil, other;
static struct signed_doc good_acme, good_zenith, good_order;
static struct envelope parts;
static struct root root;
static struct grant grant;
static struct manifest manifest;
static struct order order;
static struct revocation revocation;
static uint8_t scratch[DOCUMENT_MAX + 1];

static void grant_for(const char *tenant, enum doc_key key)
{
    grant = doc_grant();
    (void)snprintf(grant.tenant, sizeof grant.tenant, "%s", tenant);
    grant.keys = doc_key_set(1, 1, key);
}

static void the_root(void)
{
    root = doc_root();
    root.version = 4;
    root.operator_keys = doc_key_set(2, 2, K_OPERATOR_A);
}

static void the_next_root(void)
{
    root = doc_next_root();
    root.version = 5;
    root.operator_keys = doc_key_set(2, 2, K_OPERATOR_A);
}

static void a_trust(struct trust **ret)
{
    the_root();
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD);
    assert_rc(trust_new(evil.bytes, ret, NULL), RC_OK);
    grant_for("acme", K_ACME);
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, OPERATORS);
    assert_rc(trust_add_grant(*ret, evil.bytes, NOW_MS, NULL), RC_OK);
    grant_for("zenith", K_ZENITH);
    grant.prefix[0] = '\0';
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, OPERATORS);
    assert_rc(trust_add_grant(*ret, evil.bytes, NOW_MS, NULL), RC_OK);
}

static int scene_begins(void **state)
{
    (void)state;
    doc_keys_suite = scene == S1 ? SUITE_ED25519_MLDSA65 : scene == S2 ? SUITE_MLDSA87 : DOC_MIXED;
    a_trust(&trust);
    manifest = doc_manifest();
    doc_signed(&good_acme, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
    memcpy(manifest.tenant, "zenith", 7);
    doc_signed(&good_zenith, DOC_MANIFEST, manifest_encode, &manifest, K_ZENITH);
    order = doc_order();
    doc_signed(&good_order, DOC_ORDER, order_encode, &order, OPERATORS);
    assert_rc(sha256_of(good_order.payload, in_force.b, NULL), RC_OK);
    return 0;
}

static int scene_ends(void **state)
{
    (void)state;
    trust_free(&trust);
    doc_keys_free();
    return 0;
}

/* ---- the doors ---- */

enum door {
    FIRST_ROOT,
    NEXT_ROOT,
    GRANT,
    MANIFEST,
    ORDER,
    REVOCATION,
};

static enum rc offer_manifest(const struct trust *to, struct bytes bytes, uint64_t now_ms)
{
    struct verified_manifest *m = NULL;
    struct err err;

    enum rc rc = trust_verify_manifest(to, bytes, now_ms, &m, &err);
    assert_int_equal(m != NULL, rc == RC_OK);
    if (m)
        verified_manifest_free(&m);
    return rc;
}

static enum rc offer_order(struct trust *to, struct bytes bytes, uint64_t now_ms)
{
    struct order_position position = { "aurora-1", GENERATION, &in_force };
    struct verified_order *o = NULL;
    struct err err;

    enum rc rc = trust_verify_order(to, bytes, &position, now_ms, &o, &err);
    assert_int_equal(o != NULL, rc == RC_OK);
    if (o)
        verified_order_free(&o);
    return rc;
}

static enum rc offer_first_root(struct bytes bytes)
{
    struct trust *t = NULL;
    struct err err;

    enum rc rc = trust_new(bytes, &t, &err);
    assert_int_equal(t != NULL, rc == RC_OK);
    trust_free(&t);
    return rc;
}

static enum rc offer_revocation(struct trust *to, struct bytes bytes)
{
    bool taken = false;
    struct err err;

    enum rc rc = trust_add_revocation(to, bytes, &taken, &err);
    assert_true(rc == RC_OK || !taken);
    return rc;
}

static enum rc offer(struct trust *to, enum door door, struct bytes bytes, uint64_t now_ms)
{
    struct err err;

    switch (door) {
    case FIRST_ROOT:
        return offer_first_root(bytes);
    case NEXT_ROOT:
        return trust_next_root(to, bytes, NULL, &err);
    case GRANT:
        return trust_add_grant(to, bytes, now_ms, &err);
    case MANIFEST:
        return offer_manifest(to, bytes, now_ms);
    case ORDER:
        return offer_order(to, bytes, now_ms);
    case REVOCATION:
        return offer_revocation(to, bytes);
    }
    return RC_INTERNAL;
}

/* ---- what must not change ---- */

struct held {
    uint64_t root_version, floor_ms, anchor_ms, revocation, epoch[2];
    size_t n_grants, n_revoked;
    uint8_t root[DIGEST_SIZE];
    uint8_t grant[2][DIGEST_SIZE];
};

static struct held held_now(void)
{
    static const char *const tenants[] = { "acme", "zenith" };
    struct held h = {
        .root_version = trust_root(trust)->version,
        .floor_ms = trust_time_floor(trust),
        .anchor_ms = trust_time_anchor(trust),
        .revocation = trust_revoked(trust)->number,
        .n_revoked = trust_revoked(trust)->n,
    };
    const struct grant *all[TENANTS_MAX];

    h.n_grants = trust_grants(trust, all, TENANTS_MAX);
    assert_rc(sha256_of(trust_root_envelope(trust), h.root, NULL), RC_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_non_null(trust_grant(trust, tenants[i]));
        h.epoch[i] = trust_grant(trust, tenants[i])->epoch;
        assert_rc(sha256_of(trust_grant_envelope(trust, tenants[i]), h.grant[i], NULL), RC_OK);
    }
    return h;
}

static bool is_held(const struct held *before)
{
    struct held now = held_now();

    return before->root_version == now.root_version && before->floor_ms == now.floor_ms &&
           before->anchor_ms == now.anchor_ms && before->revocation == now.revocation &&
           before->n_revoked == now.n_revoked && before->n_grants == now.n_grants &&
           memcmp(before->epoch, now.epoch, sizeof now.epoch) == 0 &&
           memcmp(before->root, now.root, sizeof now.root) == 0 &&
           memcmp(before->grant, now.grant, sizeof now.grant) == 0;
}

static bool all_still_good(void)
{
    return offer_manifest(trust, good_acme.bytes, NOW_MS) == RC_OK &&
           offer_manifest(trust, good_zenith.bytes, NOW_MS) == RC_OK &&
           offer_order(trust, good_order.bytes, NOW_MS) == RC_OK;
}

/* ---- tools of a thief ---- */

#define sign_evil(type, ...)                                                                       \
    do {                                                                                           \
        const enum doc_key who_[] = { __VA_ARGS__ };                                               \
        doc_sign(&evil, type, &doc_mission, who_, sizeof who_ / sizeof who_[0]);                   \
    } while (0)

static void next_order(void)
{
    order = doc_order();
    order.generation = GENERATION + 1;
}

static void sign_order(void)
{
    doc_signed(&evil, DOC_ORDER, order_encode, &order, OPERATORS);
}

static void sign_grant(void)
{
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, OPERATORS);
}

static void next_grant(void)
{
    grant_for("acme", K_ACME);
    grant.epoch = 4;
}

static void sign_manifest(void)
{
    doc_signed(&evil, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
}

static void sign_root(void)
{
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD, NEXT);
}

/* Put bytes in place of others in a payload; it has to be signed again. */
static void put_at(size_t at, size_t cut, const char *hex)
{
    uint8_t put[64];
    size_t n = strlen(hex) / 2;

    assert_true(bytes_unhex(hex, put, n) && at + cut <= evil.payload.n);
    memmove(evil.payload_buf + at + n, evil.payload_buf + at + cut, evil.payload.n - at - cut);
    memcpy(evil.payload_buf + at, put, n);
    evil.payload = (struct bytes){ evil.payload_buf, evil.payload.n - cut + n };
}

/* Take a signed envelope apart, and put it together again: into other, since parts look into evil.
 */
static void apart(void)
{
    assert_rc(envelope_open(evil.bytes, &parts, NULL), RC_OK);
}

static void together(void)
{
    assert_rc(envelope_encode(&parts, other.buf, sizeof other.buf, &other.bytes, NULL), RC_OK);
    memcpy(evil.buf, other.bytes.p, other.bytes.n);
    evil.bytes = (struct bytes){ evil.buf, other.bytes.n };
}

static void order_apart(void)
{
    next_order();
    sign_order();
    apart();
}

static uint32_t halves_of(enum doc_key key)
{
    return suite_find(sign_key_public(doc_key(key))->suite)->n;
}

/* The entry of operator A that is ML-DSA. */
static uint32_t long_half(void)
{
    return halves_of(K_OPERATOR_A) - 1;
}

static size_t long_bytes(void)
{
    return scene == S2 ? MLDSA87_SIGNATURE_SIZE : MLDSA65_SIGNATURE_SIZE;
}

/* A signature of a signature table as bytes that may be changed. */
static uint8_t *changeable(uint32_t i)
{
    memcpy(scratch, parts.signature[i].signature.p, parts.signature[i].signature.n);
    parts.signature[i].signature.p = scratch;
    return scratch;
}

static void from_hex(const char *hex)
{
    size_t n = strlen(hex) / 2;

    assert_true(bytes_unhex(hex, evil.buf, n));
    evil.bytes = (struct bytes){ evil.buf, n };
}

/* ---- 2: signatures that are none ---- */

static void no_signatures(void)
{
    order_apart();
    struct bytes payload = parts.payload;

    from_hex("8441a0a0");
    size_t n = evil.bytes.n;
    evil.buf[n++] = 0x58;
    evil.buf[n++] = (uint8_t)payload.n;
    memmove(evil.buf + n, evil.payload.p, payload.n);
    n += payload.n;
    evil.buf[n++] = 0x80;
    evil.bytes.n = n;
}

static void no_table(void)
{
    no_signatures();
    evil.buf[0] = 0x83;
    evil.bytes.n--;
}

static void null_table(void)
{
    no_signatures();
    evil.buf[evil.bytes.n - 1] = 0xf6;
}

static void empty_signature(void)
{
    order_apart();
    parts.signature[0].signature.n = 0;
    together();
}

static void short_ed25519(void)
{
    order_apart();
    parts.signature[0].signature.n--;
    together();
}

static void short_mldsa(void)
{
    order_apart();
    parts.signature[long_half()].signature.n--;
    together();
}

static void zero_ed25519(void)
{
    order_apart();
    memset(changeable(0), 0, ED25519_SIGNATURE_SIZE);
    together();
}

static void zero_mldsa(void)
{
    order_apart();
    memset(changeable(long_half()), 0, long_bytes());
    together();
}

static void payload_alone(void)
{
    next_order();
    sign_order();
    evil.bytes = evil.payload;
}

static void truncated(void)
{
    next_order();
    sign_order();
    evil.bytes.n--;
}

/* ---- 3 ---- */

static void nothing_at_all(void)
{
    evil.bytes = (struct bytes){ 0 };
}

static void zeros(void)
{
    memset(evil.buf, 0, 512);
    evil.bytes = (struct bytes){ evil.buf, 512 };
}

/* ---- 4: one counts as two ---- */

static void one_of_two(void)
{
    next_order();
    doc_signed(&evil, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
}

static void one_twice(void)
{
    one_of_two();
    apart();
    for (uint32_t i = 0; i < halves_of(K_OPERATOR_A); i++)
        parts.signature[parts.n++] = parts.signature[i];
    together();
}

static void second_time_as(enum doc_key key)
{
    one_twice();
    apart();
    for (uint32_t i = parts.n / 2; i < parts.n; i++)
        parts.signature[i].key_id =
            (struct bytes){ sign_key_public(doc_key(key))->id, KEY_ID_SIZE };
    together();
}

static void one_under_the_others_id(void)
{
    second_time_as(K_OPERATOR_B);
}

static void one_under_an_unknown_id(void)
{
    second_time_as(K_STRANGER);
}

static void one_and_a_stranger(void)
{
    next_order();
    doc_signed(&evil, DOC_ORDER, order_encode, &order, K_OPERATOR_A, K_STRANGER);
}

/* Where the key set of a grant for "acme" with a small epoch lies. */
#define GRANT_THRESHOLD_AT 35U
#define GRANT_KEY_AT 37U
#define KEY_ED25519_AT 4U
#define KEY_MLDSA_AT 39U

/* Of a key's record: heads and halves. */
static size_t key_bytes(enum doc_key key)
{
    return halves_of(key) == 1 ? 5U + MLDSA87_PUBLIC_SIZE : KEY_MLDSA_AT + MLDSA65_PUBLIC_SIZE;
}

static void grant_of_two(void)
{
    next_grant();
    grant.keys = doc_key_set(2, 2, K_ACME);
    sign_grant();
    assert_int_equal(evil.payload_buf[GRANT_THRESHOLD_AT], 2);
    assert_int_equal(evil.payload_buf[GRANT_KEY_AT], 0x81 + halves_of(K_ACME));
    assert_int_equal(evil.payload_buf[GRANT_KEY_AT + key_bytes(K_ACME)],
                     0x81 + halves_of(K_ACME_2));
}

static void copy_in_second_key(size_t at, size_t n)
{
    uint8_t *first = evil.payload_buf + GRANT_KEY_AT;

    memcpy(first + key_bytes(K_ACME) + at, first + at, n);
    sign_evil(DOC_GRANT, OPERATORS);
}

static void key_listed_twice(void)
{
    grant_of_two();
    copy_in_second_key(0, key_bytes(K_ACME));
}

static void ed25519_listed_twice(void)
{
    grant_of_two();
    copy_in_second_key(KEY_ED25519_AT, 32);
}

static void mldsa_listed_twice(void)
{
    grant_of_two();
    copy_in_second_key(KEY_MLDSA_AT, MLDSA65_PUBLIC_SIZE);
}

/* ---- 5: thresholds ---- */

static void grant_threshold(uint8_t threshold)
{
    grant_of_two();
    evil.payload_buf[GRANT_THRESHOLD_AT] = threshold;
    sign_evil(DOC_GRANT, OPERATORS);
}

static void grant_threshold_0(void)
{
    grant_threshold(0);
}

static void grant_threshold_3(void)
{
    grant_threshold(3);
}

static void grant_without_keys(void)
{
    size_t keys = key_bytes(K_ACME) + key_bytes(K_ACME_2);

    grant_of_two();
    put_at(GRANT_THRESHOLD_AT, 2, "0080");
    memmove(evil.payload_buf + GRANT_KEY_AT, evil.payload_buf + GRANT_KEY_AT + keys,
            evil.payload.n - GRANT_KEY_AT - keys);
    evil.payload.n -= keys;
    sign_evil(DOC_GRANT, OPERATORS);
}

#define ROOT_THRESHOLD_AT 47U

static void root_threshold(uint8_t threshold, enum doc_key a, enum doc_key b)
{
    assert_int_equal(evil.payload_buf[ROOT_THRESHOLD_AT], 2);
    evil.payload_buf[ROOT_THRESHOLD_AT] = threshold;
    sign_evil(DOC_ROOT, OLD, a, b);
}

static void root_threshold_0(void)
{
    the_next_root();
    sign_root();
    root_threshold(0, NEXT);
}

static void root_threshold_9(void)
{
    the_next_root();
    sign_root();
    root_threshold(9, NEXT);
}

static void first_root_threshold_0(void)
{
    the_root();
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD);
    root_threshold(0, K_ROOT_C, K_STRANGER);
}

/* ---- 6: halves ---- */

static void without_half(uint32_t half)
{
    order_apart();
    parts.n--;
    for (uint32_t i = half; i < parts.n; i++)
        parts.signature[i] = parts.signature[i + 1];
    together();
}

static void without_ed25519(void)
{
    without_half(0);
}

static void without_mldsa(void)
{
    without_half(1);
}

static void all_mldsa_stripped(void)
{
    order_apart();
    parts.signature[1] = parts.signature[2];
    parts.n = 2;
    together();
}

static void half_of_the_one_in_force(uint32_t half)
{
    struct envelope old;

    order_apart();
    assert_rc(envelope_open(good_order.bytes, &old, NULL), RC_OK);
    parts.signature[half] = old.signature[half];
    together();
}

static void ed25519_of_another(void)
{
    half_of_the_one_in_force(0);
}

static void mldsa_of_another(void)
{
    half_of_the_one_in_force(long_half());
}

static void halves_of_two_keys(void)
{
    order_apart();
    struct bytes id = parts.signature[1].key_id;

    parts.signature[1].key_id = parts.signature[3].key_id;
    parts.signature[3].key_id = id;
    together();
}

static void halves_exchanged(void)
{
    order_apart();
    struct bytes s = parts.signature[0].signature;

    parts.signature[0].signature = parts.signature[1].signature;
    parts.signature[1].signature = s;
    together();
}

/* ---- 7: algorithms ---- */

static void claims(int64_t algorithm)
{
    static uint8_t header[16];

    order_apart();
    assert_rc(envelope_entry_header(algorithm, header, sizeof header,
                                    &parts.signature[0].protected_header, NULL),
              RC_OK);
    together();
}

static void claims_eddsa(void)
{
    claims(-8);
}

static void claims_hmac(void)
{
    claims(5);
}

static void claims_mldsa_twice(void)
{
    claims(COSE_ALG_MLDSA65);
}

static void claims_none(void)
{
    claims(0);
}

static void claims_suite_2(void)
{
    static uint8_t header[32];

    order_apart();
    assert_rc(envelope_body_header(2, header, sizeof header, &parts.protected_header, NULL), RC_OK);
    together();
}

/* ---- 6, 7: from one suite to the other; in the mixed scene the entries are A's two and B's ----
 */

static void relabel(uint32_t i, int64_t algorithm)
{
    static uint8_t header[16];

    assert_rc(envelope_entry_header(algorithm, header, sizeof header,
                                    &parts.signature[i].protected_header, NULL),
              RC_OK);
    parts.signature[i].algorithm = algorithm;
}

/* Put entry `from` in the place of entry `to`, under the id that was there. */
static void entry_for(uint32_t from, uint32_t to)
{
    order_apart();
    struct bytes id = parts.signature[to].key_id;

    parts.signature[to] = parts.signature[from];
    parts.signature[to].key_id = id;
}

static void mldsa65_for_mldsa87(void)
{
    entry_for(1, 2);
    together();
}

static void mldsa65_called_mldsa87(void)
{
    entry_for(1, 2);
    relabel(2, COSE_ALG_MLDSA87);
    together();
}

static void mldsa87_for_mldsa65(void)
{
    entry_for(2, 1);
    together();
}

static void mldsa87_called_mldsa65(void)
{
    entry_for(2, 1);
    relabel(1, COSE_ALG_MLDSA65);
    together();
}

static void mldsa87_for_the_whole_of_suite_1(void)
{
    entry_for(2, 0);
    parts.signature[1] = parts.signature[2];
    parts.n = 2;
    together();
}

static void ed25519_beside_mldsa87(void)
{
    order_apart();
    parts.signature[3] = parts.signature[0];
    parts.signature[3].key_id = parts.signature[2].key_id;
    parts.n = 4;
    together();
}

static void claims_mldsa65_in_suite_2(void)
{
    claims(COSE_ALG_MLDSA65);
}

static void claims_ed25519_in_suite_2(void)
{
    claims(COSE_ALG_ED25519);
}

static void signatures_of_two_keys(void)
{
    order_apart();
    struct bytes id = parts.signature[0].key_id;

    parts.signature[0].key_id = parts.signature[1].key_id;
    parts.signature[1].key_id = id;
    together();
}

/* ---- 108: what rests on SHA-256 alone, where a key of the role is of suite 2 ---- */

static void weak_order(void)
{
    next_order();
    order.line[1].manifest384 = (struct digest384){ 0 };
    sign_order();
}

static void zero_companion(void)
{
    next_order();
    sign_order();
    uint8_t *p =
        memmem(evil.payload_buf, evil.payload.n, order.line[1].manifest384.b, DIGEST384_SIZE);

    assert_non_null(p);
    memset(p, 0, DIGEST384_SIZE);
    sign_evil(DOC_ORDER, OPERATORS);
}

static void weak_manifest(void)
{
    manifest = doc_manifest();
    manifest.content384 = (struct digest384){ 0 };
    sign_manifest();
}

static void weak_index(void)
{
    manifest = doc_manifest();
    memset(&manifest.index, 0x79, sizeof manifest.index);
    sign_manifest();
}

static void weak_revocation(void)
{
    revocation = doc_revocation();
    revocation.entry[2].manifest384 = (struct digest384){ 0 };
    doc_signed(&evil, DOC_REVOCATION, revocation_encode, &revocation, OLD);
}

/* The companion is the last field: head and 48 bytes behind its key. */
static void weak_root(void)
{
    the_next_root();
    sign_root();
    assert_int_equal(evil.payload_buf[0], 0xaa);
    evil.payload_buf[0] = 0xa9;
    evil.payload.n -= 3 + DIGEST384_SIZE;
    sign_evil(DOC_ROOT, OLD, NEXT);
}

static void weak_first_root(void)
{
    the_root();
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD);
    evil.payload_buf[0] = 0xa9;
    evil.payload.n -= 3 + DIGEST384_SIZE;
    sign_evil(DOC_ROOT, OLD);
}

/* ---- 8: one document as another ---- */

static void root_signature_on_manifest(void)
{
    manifest = doc_manifest();
    doc_signed(&evil, DOC_MANIFEST, manifest_encode, &manifest, OLD);
}

static void manifest_signed_as_report(void)
{
    manifest = doc_manifest();
    doc_signed(&evil, DOC_REPORT, manifest_encode, &manifest, K_ACME);
}

static void grant_signed_as_order(void)
{
    next_grant();
    doc_signed(&evil, DOC_ORDER, grant_encode, &grant, OPERATORS);
}

static void order_signed_as_grant(void)
{
    next_order();
    doc_signed(&evil, DOC_GRANT, order_encode, &order, OPERATORS);
}

static void grant_as_order(void)
{
    next_grant();
    sign_grant();
}

static void grant_inside_order(void)
{
    next_grant();
    sign_grant();
    sign_evil(DOC_ORDER, OPERATORS);
}

static void manifest_as_grant(void)
{
    manifest = doc_manifest();
    sign_manifest();
}

static void acmes_as_zeniths(void)
{
    manifest = doc_manifest();
    memcpy(manifest.tenant, "zenith", 7);
    sign_manifest();
}

static void other_mission_order(void)
{
    static const enum doc_key who[] = { OPERATORS };

    next_order();
    sign_order();
    doc_sign(&evil, DOC_ORDER, &other_mission, who, 2);
}

/* ---- 9: malformed signatures and keys ---- */

static void s_plus_l(void)
{
    static const uint8_t l[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                   0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
    unsigned carry = 0;

    order_apart();
    uint8_t *s = changeable(0) + 32;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)s[i] + l[i];
        s[i] = (uint8_t)carry;
        carry >>= 8;
    }
    together();
}

static void small_order_r(void)
{
    order_apart();
    uint8_t *s = changeable(0);

    memset(s, 0, ED25519_SIGNATURE_SIZE);
    s[0] = 1; /* R is the neutral element, S zero: good for a key of small order, of any message */
    together();
}

static void byte_after_ed25519(void)
{
    order_apart();
    changeable(0)[ED25519_SIGNATURE_SIZE] = 0;
    parts.signature[0].signature.n++;
    together();
}

static void byte_after_mldsa(void)
{
    order_apart();
    changeable(long_half())[long_bytes()] = 0;
    parts.signature[long_half()].signature.n++;
    together();
}

/* The hint is the last 55 + 6 bytes of ML-DSA-65 and the last 75 + 8 of ML-DSA-87: positions,
 * strictly rising in each of the 6 (8) polynomials, zeros, and as many running totals (FIPS 204,
 * algorithm 21). */
#define HINT_ONES (scene == S2 ? 75U : 55U)
#define HINT_PARTS (scene == S2 ? 8U : 6U)
#define HINT_TOTALS_AT (long_bytes() - HINT_PARTS)
#define HINT_AT (HINT_TOTALS_AT - HINT_ONES)

/* ML-DSA signs with fresh randomness, so how many positions a hint has differs from one signature
 * to the next: sign until the first polynomial has two to exchange and there is room for a zero. */
static uint8_t *hint_apart(void)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        order_apart();
        uint8_t *s = changeable(long_half());

        if (s[HINT_TOTALS_AT] >= 2 && s[HINT_TOTALS_AT + HINT_PARTS - 1] < HINT_ONES)
            return s;
    }
    fail_msg("1000 signatures without the hint that the attack needs");
    return NULL;
}

static void hint_total_too_high(void)
{
    order_apart();
    changeable(long_half())[HINT_TOTALS_AT + HINT_PARTS - 1] = (uint8_t)(HINT_ONES + 1);
    together();
}

static void hint_totals_fall(void)
{
    uint8_t *s = hint_apart();

    s[HINT_TOTALS_AT + 1] = 0;
    together();
}

static void hint_positions_fall(void)
{
    uint8_t *s = hint_apart();
    uint8_t first = s[HINT_AT];

    s[HINT_AT] = s[HINT_AT + 1];
    s[HINT_AT + 1] = first;
    together();
}

static void hint_position_twice(void)
{
    uint8_t *s = hint_apart();

    s[HINT_AT + 1] = s[HINT_AT];
    together();
}

static void hint_padding(void)
{
    uint8_t *s = hint_apart();

    s[HINT_AT + HINT_ONES - 1] = 1;
    together();
}

/* ---- 10, 11, 12: lengths, what is not signed, counts ---- */

/* An envelope of which the payload claims a length, in the eight-byte form. */
static void payload_claims(const char *length)
{
    char hex[64];

    (void)snprintf(hex, sizeof hex, "8441a0a05b%s00000000", length);
    from_hex(hex);
}

static void payload_2g_less(void)
{
    from_hex("8441a0a05a7fffffff00000000");
}

static void payload_2g(void)
{
    from_hex("8441a0a05a8000000000000000");
}

static void payload_4g_less(void)
{
    from_hex("8441a0a05affffffff00000000");
}

static void payload_4g(void)
{
    payload_claims("0000000100000000");
}

static void payload_4g_more(void)
{
    payload_claims("0000000100000001");
}

static void payload_2_63(void)
{
    payload_claims("8000000000000000");
}

static void payload_2_64_less(void)
{
    payload_claims("ffffffffffffffff");
}

static void unprotected_body(void)
{
    from_hex("8441a0a10343616263410180");
}

static void unprotected_date(void)
{
    from_hex("8441a0a04101818343a10132a20450000000000000000000000000000000000619ffff4101");
}

static void unprotected_algorithm(void)
{
    from_hex("8441a0a04101818343a10132a20132045000000000000000000000000000000000"
             "4101");
}

static void table_of_2_28(void)
{
    from_hex("8441a0a041019a10000000");
}

static void table_of_17(void)
{
    from_hex("8441a0a0410191");
}

static void map_of_2_28(void)
{
    from_hex("8441a0ba10000000");
}

static void array_of_2_28(void)
{
    from_hex("9a10000000");
}

/* ---- 13: CBOR that is not deterministic, signed by both operators ---- */

/* a6 00 82 04 01 01 68 <aurora-1> 02 0d 03 1b <8> 04 1b <8> 05 80 */
#define AT_NAME 6U
#define AT_GENERATION_KEY 15U
#define AT_GENERATION 16U
#define AT_ISSUED_KEY 17U
#define AT_LINES_KEY 37U
#define AT_LINES 38U

static void signed_splice(size_t at, size_t cut, const char *hex)
{
    next_order();
    order.n_lines = 0;
    sign_order();
    assert_int_equal(evil.payload.n, AT_LINES + 1);
    put_at(at, cut, hex);
    sign_evil(DOC_ORDER, OPERATORS);
}

/* clang-format off */
static const struct {
    const char *what;
    size_t at, cut;
    const char *hex;
    enum rc want;
} splices[] = {
    { "left alone is the control", 0, 1, "a6", RC_OK },
    { "key twice", AT_ISSUED_KEY, 1, "02", RC_CBOR_DUPLICATE },
    { "keys not rising", AT_ISSUED_KEY, 1, "01", RC_CBOR_ORDER },
    { "number not in its shortest form", AT_GENERATION, 1, "180d", RC_CBOR_NOT_MINIMAL },
    { "number in eight bytes", AT_GENERATION, 1, "1b000000000000000d", RC_CBOR_NOT_MINIMAL },
    { "length not in its shortest form", AT_NAME, 1, "7808", RC_CBOR_NOT_MINIMAL },
    { "key not in its shortest form", AT_GENERATION_KEY, 1, "1802", RC_CBOR_NOT_MINIMAL },
    { "list of indefinite length", AT_LINES, 1, "9fff", RC_CBOR_INDEFINITE },
    { "map of indefinite length", 0, 1, "bf", RC_CBOR_INDEFINITE },
    { "text of indefinite length", AT_NAME, 1, "7f68", RC_CBOR_INDEFINITE },
    { "a byte behind the end", AT_LINES, 1, "8000", RC_TRAILING },
    { "a second document behind the end", AT_LINES, 1, "80a0", RC_TRAILING },
    { "number as half float", AT_GENERATION, 1, "f94a80", RC_CBOR_TYPE },
    { "number as double", AT_GENERATION, 1, "fb402a000000000000", RC_CBOR_TYPE },
    { "number with a tag", AT_GENERATION, 1, "c10d", RC_CBOR_TAG },
    { "bignum", AT_GENERATION, 1, "c2410d", RC_CBOR_TAG },
    { "null", AT_GENERATION, 1, "f6", RC_CBOR_TYPE },
    { "undefined", AT_GENERATION, 1, "f7", RC_CBOR_TYPE },
    { "true", AT_GENERATION, 1, "f5", RC_CBOR_TYPE },
    { "negative", AT_GENERATION, 1, "2c", RC_CBOR_TYPE },
    { "text for a number", AT_GENERATION, 1, "623133", RC_CBOR_TYPE },
    { "reserved head", AT_GENERATION, 1, "1c", RC_CBOR_RESERVED },
    { "break", AT_GENERATION, 1, "ff", RC_CBOR_INDEFINITE },
    { "simple value in two bytes", AT_GENERATION, 1, "f80d", RC_CBOR_TYPE },
    { "text that is not UTF-8", AT_NAME, 9, "68ff75726f72612d31", RC_CBOR_UTF8 },
    { "text with an overlong '/'", AT_NAME, 9, "68c0af726f72612d31", RC_CBOR_UTF8 },
    { "text with a surrogate", AT_NAME, 9, "68eda0806f72612d31", RC_CBOR_UTF8 },
    { "name with NUL", AT_NAME, 9, "686175726f72612d00", RC_VALUE },
    { "name with '..'", AT_NAME, 9, "682e2e2f2e2e2f2e2e", RC_NAME },
    { "bytes for a name", AT_NAME, 1, "48", RC_CBOR_TYPE },
    { "2^28 lines announced", AT_LINES, 1, "9a10000000", RC_CBOR_COUNT },
    { "65 lines announced", AT_LINES, 1, "9841", RC_CBOR_COUNT },
    { "nine levels deep", AT_LINES, 1, "818181818181818181", RC_CBOR_COUNT },
    { "generation 0", AT_GENERATION, 1, "00", RC_VALUE },
    { "generation 2^63", AT_GENERATION, 1, "1b8000000000000000", RC_VALUE },
    { "generation 2^64 - 1", AT_GENERATION, 1, "1bffffffffffffffff", RC_VALUE },
    { "one key more announced", 0, 1, "a7", RC_SHORT },
    { "one key less announced", 0, 1, "a5", RC_CBOR_MISSING },
    { "format 2", 4, 1, "02", RC_DOC_VERSION },
    { "type of a report", 3, 1, "05", RC_DOC_TYPE },
    { "a field missing", AT_LINES_KEY, 2, "0680", RC_CBOR_MISSING },
};
/* clang-format on */

/* ---- 14 ---- */

static void unknown_key(void)
{
    signed_splice(AT_LINES, 1, "801700");
    evil.payload_buf[0] = 0xa7;
    sign_evil(DOC_ORDER, OPERATORS);
}

static void header_with(const char *hex)
{
    static uint8_t header[32];
    size_t n = strlen(hex) / 2;

    order_apart();
    assert_true(bytes_unhex(hex, header, n));
    parts.protected_header = (struct bytes){ header, n };
    together();
}

static void unknown_critical(void)
{
    header_with("a30282183f3a00010000183ff53a0001000001");
}

static void unknown_optional(void)
{
    header_with("a302813a00010000183ff53a0001000001");
}

static void not_critical(void)
{
    header_with("a13a0001000001");
}

static void envelope_over_cap(void)
{
    next_order();
    sign_order();
    memcpy(scratch, evil.bytes.p, evil.bytes.n);
    evil.bytes = (struct bytes){ scratch, DOCUMENT_MAX + 1 };
}

/* ---- 15 to 19: fresh enough ---- */

static void rollback_order(void)
{
    order = doc_order();
    order.generation = GENERATION - 1;
    sign_order();
}

static void equivocal_order(void)
{
    order = doc_order();
    order.line[0].manifest.b[0] ^= 1;
    sign_order();
}

static void order_again(void)
{
    order = doc_order();
    sign_order();
}

static void rollback_grant(void)
{
    next_grant();
    grant.epoch = 2;
    sign_grant();
}

static void equivocal_grant(void)
{
    next_grant();
    grant.epoch = 3;
    grant.payloads_max++;
    sign_grant();
}

static void grant_again(void)
{
    grant_for("acme", K_ACME);
    sign_grant();
}

static void root_again(void)
{
    the_root();
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD, NEXT);
}

static void rollback_root(void)
{
    the_next_root();
    root.version = 3;
    sign_root();
}

static void equivocal_root(void)
{
    the_next_root();
    root.version = 4;
    sign_root();
}

static void set_from_two_orders(void)
{
    next_order();
    order.line[1].manifest = in_force;
    sign_order();
    apart();
    struct envelope old;

    assert_rc(envelope_open(good_order.bytes, &old, NULL), RC_OK);
    memcpy(parts.signature, old.signature, sizeof parts.signature);
    together();
}

static void line_without_digest(void)
{
    next_order();
    sign_order();
    uint8_t *p = memmem(evil.payload_buf, evil.payload.n, order.line[1].manifest.b, DIGEST_SIZE);

    assert_non_null(p);
    memset(p, 0, DIGEST_SIZE);
    sign_evil(DOC_ORDER, OPERATORS);
}

static void pair_twice(void)
{
    next_order();
    order.n_lines = 1;
    sign_order();
    size_t line = evil.payload.n - AT_LINES - 1;

    memcpy(evil.payload_buf + evil.payload.n, evil.payload_buf + AT_LINES + 1, line);
    evil.payload.n += line;
    evil.payload_buf[AT_LINES] = 0x82;
    sign_evil(DOC_ORDER, OPERATORS);
}

static void expired_order(void)
{
    next_order();
    order.expires_ms = order.issued_ms + 1;
    sign_order();
}

static void expired_grant(void)
{
    next_grant();
    grant.expires_ms = grant.issued_ms + 1;
    sign_grant();
}

static void order_of_the_far_future(void)
{
    next_order();
    order.issued_ms = NOW_MS + TRUST_AHEAD_MAX_MS + 1;
    order.expires_ms = 0;
    sign_order();
}

static void grant_of_the_far_future(void)
{
    next_grant();
    grant.issued_ms = NOW_MS + TRUST_AHEAD_MAX_MS + 1;
    grant.expires_ms = 0;
    sign_grant();
}

static void expires_before_issued(void)
{
    next_order();
    sign_order();
    memcpy(evil.payload_buf + 29, evil.payload_buf + 19, 8);
    sign_evil(DOC_ORDER, OPERATORS);
}

static void good_manifest(void)
{
    evil.bytes = good_acme.bytes;
}

/* ---- 20: roots ---- */

static void root_skips(void)
{
    the_next_root();
    root.version = 6;
    sign_root();
}

static void root_by_old(void)
{
    the_next_root();
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD);
}

static void root_by_new(void)
{
    the_next_root();
    doc_signed(&evil, DOC_ROOT, root_encode, &root, NEXT);
}

static void root_by_one_old(void)
{
    the_next_root();
    doc_signed(&evil, DOC_ROOT, root_encode, &root, K_ROOT_A, NEXT);
}

static void root_by_one_new(void)
{
    the_next_root();
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD, K_NEXT_A);
}

static void root_to_the_thiefs_keys(void)
{
    the_next_root();
    root.root_keys = doc_key_set(1, 1, K_STRANGER);
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD, K_STRANGER);
}

static void root_with_a_thiefs_key_more(void)
{
    the_next_root();
    root.root_keys.key[root.root_keys.n++] = *sign_key_public(doc_key(K_STRANGER));
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD, K_NEXT_A, K_STRANGER);
}

static void root_with_lower_threshold(void)
{
    the_next_root();
    root.root_keys.threshold = 1;
    sign_root();
}

static void root_of_another_mission(void)
{
    the_next_root();
    root.mission = other_mission;
    sign_root();
}

static void root_without_promise(void)
{
    the_next_root();
    sign_root();
    uint8_t *p = memmem(evil.payload_buf, evil.payload.n, root.next_keys.b, DIGEST_SIZE);

    assert_non_null(p);
    memset(p, 0, DIGEST_SIZE);
    sign_evil(DOC_ROOT, OLD, NEXT);
}

static void root_by_operators(void)
{
    the_next_root();
    doc_signed(&evil, DOC_ROOT, root_encode, &root, OPERATORS, NEXT);
}

/* ---- 21 to 24: whose, and for whom ---- */

static void named(const char *tenant, const char *name)
{
    manifest = doc_manifest();
    (void)snprintf(manifest.tenant, sizeof manifest.tenant, "%s", tenant);
    (void)snprintf(manifest.name, sizeof manifest.name, "%s", name);
    sign_manifest();
}

static void tenant_longer(void)
{
    named("acmeb", "cam");
}

static void tenant_with_part(void)
{
    named("acme-b", "cam");
}

static void tenant_shorter(void)
{
    named("acm", "cam");
}

static void tenant_agent(void)
{
    named(AGENT_TENANT, AGENT_NAME);
}

static void tenant_zenith(void)
{
    named("zenith", "db");
}

static void prefix_within_a_word(void)
{
    named("acme", "camera");
}

static void prefix_not_at_start(void)
{
    named("acme", "my-cam");
}

static void wildcard_prefix(void)
{
    next_grant();
    sign_grant();
    /* "cam" is the only text of three letters. */
    uint8_t *p = memmem(evil.payload_buf, evil.payload.n,
                        "\x63"
                        "cam",
                        4);

    assert_non_null(p);
    memcpy(p + 1, "*am", 3);
    sign_evil(DOC_GRANT, OPERATORS);
}

static void name_with_slash(void)
{
    manifest = doc_manifest();
    sign_manifest();
    uint8_t *p = memmem(evil.payload_buf, evil.payload.n, "cam-north", 9);

    assert_non_null(p);
    p[3] = '/';
    sign_evil(DOC_MANIFEST, K_ACME);
}

static void own_grant(void)
{
    next_grant();
    grant.total.memory_bytes <<= 4;
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_ACME);
}

static void own_order(void)
{
    next_order();
    doc_signed(&evil, DOC_ORDER, order_encode, &order, K_ACME);
}

static void own_quota(void)
{
    manifest = doc_manifest();
    manifest.limits.memory_bytes = grant.total.memory_bytes + 1 + (64U << 20);
    sign_manifest();
}

static void one_operators_grant(void)
{
    next_grant();
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
}

static void countersignature_moved(void)
{
    order_apart();
    struct envelope old;

    assert_rc(envelope_open(good_order.bytes, &old, NULL), RC_OK);
    old.payload = parts.payload;
    parts = old;
    together();
}

static void other_satellite(void)
{
    next_order();
    memcpy(order.satellite, "aurora-2", 9);
    sign_order();
}

static void other_machine(void)
{
    manifest = doc_manifest();
    sign_manifest();
    uint8_t *p = memmem(evil.payload_buf, evil.payload.n, "x86_64", 6);

    assert_non_null(p);
    memcpy(p, "vax_11", 6);
    sign_evil(DOC_MANIFEST, K_ACME);
}

static void manifest_of_format_2(void)
{
    manifest = doc_manifest();
    sign_manifest();
    evil.payload_buf[4] = 2;
    sign_evil(DOC_MANIFEST, K_ACME);
}

static void content_without_digest(void)
{
    manifest = doc_manifest();
    sign_manifest();
    uint8_t *p = memmem(evil.payload_buf, evil.payload.n, manifest.content.b, DIGEST_SIZE);

    assert_non_null(p);
    memset(p, 0, DIGEST_SIZE);
    sign_evil(DOC_MANIFEST, K_ACME);
}

/* ---- 26: what revokes ---- */

static void a_revocation(void)
{
    revocation = (struct revocation){
        .number = 1,
        .issued_ms = ISSUED_MS + 1,
        .n = 1,
        .entry = { { .kind = REVOKED_KEY, .policy = REVOKE_STOP } },
    };
    memcpy(revocation.entry[0].key, sign_key_public(doc_key(K_ACME))->id, KEY_ID_SIZE);
    doc_signed(&evil, DOC_REVOCATION, revocation_encode, &revocation, OLD);
}

static void revocation_by_operators(void)
{
    a_revocation();
    sign_evil(DOC_REVOCATION, OPERATORS);
}

static void revocation_by_a_tenant(void)
{
    a_revocation();
    sign_evil(DOC_REVOCATION, K_ZENITH);
}

static void revocation_by_one(void)
{
    a_revocation();
    sign_evil(DOC_REVOCATION, K_ROOT_A);
}

static void revocation_signed_as_root(void)
{
    a_revocation();
    sign_evil(DOC_ROOT, OLD);
}

static void revocation_with_policy_0(void)
{
    a_revocation();
    /* [ 1, 3, key-id ] */
    uint8_t *p = memmem(evil.payload_buf, evil.payload.n, "\x83\x01\x03\x50", 4);

    assert_non_null(p);
    p[2] = 0;
    sign_evil(DOC_REVOCATION, OLD);
}

static void revocation_bad_at_its_end(void)
{
    a_revocation();
    evil.buf[evil.bytes.n - 1] ^= 1;
}

/* ---- 25: right in everything but the last thing that is checked ---- */

static void root_whose_new_half_is_bad(void)
{
    the_next_root();
    sign_root();
    apart();
    changeable(parts.n - 1)[100] ^= 1; /* the last signature of the last new key */
    together();
}

static void grant_bad_at_its_end(void)
{
    next_grant();
    sign_grant();
    evil.payload_buf[evil.payload.n - 1] = 0; /* payloads_max */
    sign_evil(DOC_GRANT, OPERATORS);
}

static void order_bad_at_its_end(void)
{
    next_order();
    sign_order();
    evil.bytes.p = memcpy(scratch, evil.bytes.p, evil.bytes.n);
    scratch[evil.bytes.n - 1] ^= 1;
}

/* ---- 100 and above: added ---- */

static void tagged(void)
{
    next_order();
    sign_order();
    memmove(evil.buf + 2, evil.buf, evil.bytes.n);
    memcpy(evil.buf, "\xd8\x62", 2); /* COSE_Sign, as RFC 9052 tags it */
    evil.bytes.n += 2;
}

static void detached(void)
{
    from_hex("8441a0a0f681");
}

static void two_envelopes(void)
{
    next_order();
    sign_order();
    memcpy(evil.buf + evil.bytes.n, good_order.buf, good_order.bytes.n);
    evil.bytes.n += good_order.bytes.n;
}

static void bad_copy_of_a_good_entry(void)
{
    order_apart();
    parts.signature[parts.n] = parts.signature[0];
    changeable(parts.n)[0] ^= 1;
    parts.n++;
    together();
}

static void strangers_fill_the_table(void)
{
    next_order();
    doc_signed(&evil, DOC_ORDER, order_encode, &order, K_ACME, K_ACME_2, K_ZENITH, K_STRANGER,
               K_ROOT_A, K_ROOT_B, K_ROOT_C);
}

static void floor_above_release(void)
{
    manifest = doc_manifest();
    sign_manifest();
    static const uint8_t pair[] = { 0x04, 7, 0x05, 5 };
    uint8_t *p = memmem(evil.payload_buf, evil.payload.n, pair, sizeof pair);

    assert_non_null(p);
    p[3] = 8;
    sign_evil(DOC_MANIFEST, K_ACME);
}

static void manifest_of_the_highest_release(void)
{
    manifest = doc_manifest();
    manifest.release = INT64_MAX;
    sign_manifest();
}

static void grant_without_mission_keys(void)
{
    grant_for("zenith", K_ZENITH);
    grant.epoch = 4;
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_ROOT_A, K_ROOT_B, K_ROOT_C);
}

/* ---- the table ---- */

#define FIRST_MS (ISSUED_MS + 100 * DAY_MS)

/* clang-format off */
static const struct attack {
    unsigned number;
    const char *what;
    const char *how;
    void (*make)(void);
    enum door door;
    enum rc want;
    uint64_t now_ms; /* 0: NOW_MS */
    unsigned scenes; /* where there is such a thing; 0: in all */
} attacks[] = {
    { 2, "no signature", "empty table", no_signatures, ORDER, RC_CBOR_COUNT },
    { 2, "no signature", "table left out", no_table, ORDER, RC_CBOR_COUNT },
    { 2, "no signature", "null for the table", null_table, ORDER, RC_CBOR_TYPE },
    { 2, "no signature", "payload without envelope", payload_alone, ORDER, RC_CBOR_TYPE },
    { 2, "no signature", "empty string", empty_signature, ORDER, RC_VALUE },
    { 2, "truncated signature", "63 of 64 bytes", short_ed25519, ORDER, RC_SIG_BAD, .scenes = S1 | MIX },
    { 2, "truncated signature", "all but a byte of ML-DSA", short_mldsa, ORDER, RC_SIG_BAD },
    { 2, "truncated signature", "envelope without its last byte", truncated, ORDER, RC_SHORT },
    { 2, "signature of zeros", "Ed25519", zero_ed25519, ORDER, RC_SIG_BAD, .scenes = S1 | MIX },
    { 2, "signature of zeros", "ML-DSA", zero_mldsa, ORDER, RC_SIG_BAD },
    { 3, "no trust", "empty root", nothing_at_all, FIRST_ROOT, RC_TRUST_MISSING },
    { 3, "no trust", "root of zeros", zeros, FIRST_ROOT, RC_CBOR_TYPE },
    { 4, "one counts as two", "one of two operators", one_of_two, ORDER, RC_THRESHOLD },
    { 4, "one counts as two", "its entries twice", one_twice, ORDER, RC_KEY_DUPLICATE },
    { 4, "one counts as two", "its entries under the other's id", one_under_the_others_id, ORDER, RC_SIG_BAD, .scenes = S1 | S2 },
    { 4, "one counts as two", "its entries under the other's id", one_under_the_others_id, ORDER, RC_ALGORITHM, .scenes = MIX },
    { 4, "one counts as two", "its entries under an unknown id", one_under_an_unknown_id, ORDER, RC_THRESHOLD },
    { 4, "one counts as two", "a stranger beside it", one_and_a_stranger, ORDER, RC_THRESHOLD },
    { 4, "one key under two ids", "record twice", key_listed_twice, GRANT, RC_KEY_DUPLICATE, .scenes = S1 | S2 },
    { 4, "one key under two ids", "same Ed25519 half", ed25519_listed_twice, GRANT, RC_KEY_DUPLICATE, .scenes = S1 },
    { 4, "one key under two ids", "same ML-DSA half", mldsa_listed_twice, GRANT, RC_KEY_DUPLICATE, .scenes = S1 },
    { 5, "threshold", "0 in a grant", grant_threshold_0, GRANT, RC_THRESHOLD_INVALID },
    { 5, "threshold", "3 of 2 in a grant", grant_threshold_3, GRANT, RC_THRESHOLD_INVALID },
    { 5, "threshold", "0 of no keys in a grant", grant_without_keys, GRANT, RC_CBOR_COUNT },
    { 5, "threshold", "0 in a root", root_threshold_0, NEXT_ROOT, RC_THRESHOLD_INVALID },
    { 5, "threshold", "9 of 2 in a root", root_threshold_9, NEXT_ROOT, RC_THRESHOLD_INVALID },
    { 5, "threshold", "0 in the first root", first_root_threshold_0, FIRST_ROOT, RC_THRESHOLD_INVALID },
    { 6, "half stripped", "Ed25519 of one", without_ed25519, ORDER, RC_SIG_MISSING_HALF, .scenes = S1 | MIX },
    { 6, "half stripped", "ML-DSA of one", without_mldsa, ORDER, RC_SIG_MISSING_HALF, .scenes = S1 | MIX },
    { 6, "half stripped", "ML-DSA of all", all_mldsa_stripped, ORDER, RC_SIG_MISSING_HALF, .scenes = S1 },
    { 6, "half moved", "Ed25519 of the order in force", ed25519_of_another, ORDER, RC_SIG_BAD, .scenes = S1 | MIX },
    { 6, "half moved", "ML-DSA of the order in force", mldsa_of_another, ORDER, RC_SIG_BAD },
    { 6, "half moved", "between two keys", halves_of_two_keys, ORDER, RC_SIG_BAD, .scenes = S1 },
    { 6, "half moved", "Ed25519 for ML-DSA", halves_exchanged, ORDER, RC_SIG_BAD, .scenes = S1 | MIX },
    { 7, "algorithm confusion", "EdDSA of the old number", claims_eddsa, ORDER, RC_ALGORITHM },
    { 7, "algorithm confusion", "HMAC keyed with the public key", claims_hmac, ORDER, RC_ALGORITHM },
    { 7, "algorithm confusion", "ML-DSA on both entries", claims_mldsa_twice, ORDER, RC_SIG_BAD, .scenes = S1 | MIX },
    { 7, "algorithm confusion", "none", claims_none, ORDER, RC_ALGORITHM },
    { 7, "algorithm confusion", "another suite in the header", claims_suite_2, ORDER, RC_SUITE_UNKNOWN },
    { 7, "algorithm confusion", "ML-DSA-65 in suite 2", claims_mldsa65_in_suite_2, ORDER, RC_ALGORITHM, .scenes = S2 },
    { 7, "algorithm confusion", "Ed25519 in suite 2", claims_ed25519_in_suite_2, ORDER, RC_ALGORITHM, .scenes = S2 },
    { 107, "between suites", "ML-DSA-65 half for a key of suite 2", mldsa65_for_mldsa87, ORDER, RC_ALGORITHM, .scenes = MIX },
    { 107, "between suites", "the same, called ML-DSA-87", mldsa65_called_mldsa87, ORDER, RC_SIG_BAD, .scenes = MIX },
    { 107, "between suites", "ML-DSA-87 for a half of suite 1", mldsa87_for_mldsa65, ORDER, RC_ALGORITHM, .scenes = MIX },
    { 107, "between suites", "the same, called ML-DSA-65", mldsa87_called_mldsa65, ORDER, RC_SIG_BAD, .scenes = MIX },
    { 107, "between suites", "ML-DSA-87 for a key of suite 1", mldsa87_for_the_whole_of_suite_1, ORDER, RC_ALGORITHM, .scenes = MIX },
    { 107, "between suites", "Ed25519 beside ML-DSA-87", ed25519_beside_mldsa87, ORDER, RC_ALGORITHM, .scenes = MIX },
    { 107, "signature moved", "between two keys of suite 2", signatures_of_two_keys, ORDER, RC_SIG_BAD, .scenes = S2 },
    { 108, "SHA-256 alone", "order line", weak_order, ORDER, RC_DIGEST_WEAK, .scenes = S2 | MIX },
    { 108, "SHA-256 alone", "order line, companion of zeros", zero_companion, ORDER, RC_VALUE, .scenes = S2 | MIX },
    { 108, "SHA-256 alone", "content of a manifest", weak_manifest, MANIFEST, RC_DIGEST_WEAK, .scenes = S2 },
    { 108, "SHA-256 alone", "index of a manifest", weak_index, MANIFEST, RC_DIGEST_WEAK, .scenes = S2 },
    { 108, "SHA-256 alone", "revoked manifest", weak_revocation, REVOCATION, RC_DIGEST_WEAK, .scenes = S2 | MIX },
    { 108, "SHA-256 alone", "promise of the next keys", weak_root, NEXT_ROOT, RC_DIGEST_WEAK, .scenes = S2 | MIX },
    { 108, "SHA-256 alone", "promise of the first root", weak_first_root, FIRST_ROOT, RC_DIGEST_WEAK, .scenes = S2 | MIX },
    { 8, "cross-protocol", "root keys on a manifest", root_signature_on_manifest, MANIFEST, RC_KEY_UNKNOWN },
    { 8, "cross-protocol", "manifest signed as report", manifest_signed_as_report, MANIFEST, RC_SIG_BAD },
    { 8, "cross-protocol", "grant signed as order", grant_signed_as_order, GRANT, RC_SIG_BAD },
    { 8, "cross-protocol", "order signed as grant", order_signed_as_grant, ORDER, RC_SIG_BAD },
    { 8, "cross-protocol", "grant offered as order", grant_as_order, ORDER, RC_SIG_BAD },
    { 8, "cross-protocol", "grant in an order's envelope", grant_inside_order, ORDER, RC_DOC_TYPE },
    { 8, "cross-protocol", "manifest offered as grant", manifest_as_grant, GRANT, RC_KEY_UNKNOWN },
    { 8, "cross-protocol", "acme's as zenith's", acmes_as_zeniths, MANIFEST, RC_KEY_UNKNOWN },
    { 8, "cross-protocol", "another mission's", other_mission_order, ORDER, RC_SIG_BAD },
    { 9, "malleable signature", "S + L", s_plus_l, ORDER, RC_SIG_BAD, .scenes = S1 | MIX },
    { 9, "malleable signature", "R of small order, S zero", small_order_r, ORDER, RC_SIG_BAD, .scenes = S1 | MIX },
    { 9, "malleable signature", "byte after Ed25519", byte_after_ed25519, ORDER, RC_SIG_BAD, .scenes = S1 | MIX },
    { 9, "malleable signature", "byte after ML-DSA", byte_after_mldsa, ORDER, RC_SIG_BAD, .scenes = S1 | MIX },
    { 9, "malleable signature", "byte after ML-DSA-87", byte_after_mldsa, ORDER, RC_TOO_LARGE, .scenes = S2 },
    { 9, "malformed hint", "56 positions", hint_total_too_high, ORDER, RC_SIG_BAD },
    { 9, "malformed hint", "totals fall", hint_totals_fall, ORDER, RC_SIG_BAD },
    { 9, "malformed hint", "positions fall", hint_positions_fall, ORDER, RC_SIG_BAD },
    { 9, "malformed hint", "position twice", hint_position_twice, ORDER, RC_SIG_BAD },
    { 9, "malformed hint", "padding not zero", hint_padding, ORDER, RC_SIG_BAD },
    { 10, "length wraps", "2^31 - 1", payload_2g_less, ORDER, RC_TOO_LARGE },
    { 10, "length wraps", "2^31", payload_2g, ORDER, RC_TOO_LARGE },
    { 10, "length wraps", "2^32 - 1", payload_4g_less, ORDER, RC_TOO_LARGE },
    { 10, "length wraps", "2^32", payload_4g, ORDER, RC_TOO_LARGE },
    { 10, "length wraps", "2^32 + 1", payload_4g_more, ORDER, RC_TOO_LARGE },
    { 10, "length wraps", "2^63", payload_2_63, ORDER, RC_TOO_LARGE },
    { 10, "length wraps", "2^64 - 1", payload_2_64_less, ORDER, RC_TOO_LARGE },
    { 11, "unsigned attributes", "in the body", unprotected_body, ORDER, RC_CBOR_COUNT },
    { 11, "unsigned attributes", "a date in an entry", unprotected_date, ORDER, RC_CBOR_COUNT },
    { 11, "unsigned attributes", "an algorithm in an entry", unprotected_algorithm, ORDER, RC_CBOR_COUNT },
    { 12, "count bomb", "2^28 signatures", table_of_2_28, ORDER, RC_CBOR_COUNT },
    { 12, "count bomb", "17 signatures", table_of_17, ORDER, RC_CBOR_COUNT },
    { 12, "count bomb", "2^28 attributes", map_of_2_28, ORDER, RC_CBOR_COUNT },
    { 12, "count bomb", "2^28 parts", array_of_2_28, ORDER, RC_CBOR_COUNT },
    { 14, "unknown field", "in the payload", unknown_key, ORDER, RC_CBOR_UNKNOWN_KEY },
    { 14, "unknown field", "critical, in the header", unknown_critical, ORDER, RC_SUITE_UNKNOWN },
    { 14, "unknown field", "optional, in the header", unknown_optional, ORDER, RC_SUITE_UNKNOWN },
    { 14, "unknown field", "suite not critical", not_critical, ORDER, RC_SUITE_UNKNOWN },
    { 14, "too large", "a byte above the limit", envelope_over_cap, ORDER, RC_TOO_LARGE },
    { 15, "rollback", "order of generation 11", rollback_order, ORDER, RC_ORDER_OLD },
    { 15, "rollback", "grant of epoch 2", rollback_grant, GRANT, RC_GRANT_OLD },
    { 15, "rollback", "root of version 3", rollback_root, NEXT_ROOT, RC_VERSION_OLD },
    { 15, "equivocation", "order", equivocal_order, ORDER, RC_EQUIVOCATION },
    { 15, "equivocation", "grant", equivocal_grant, GRANT, RC_EQUIVOCATION },
    { 15, "equivocation", "root", equivocal_root, NEXT_ROOT, RC_EQUIVOCATION },
    { 15, "the same again is no attack", "order", order_again, ORDER, RC_OK },
    { 15, "the same again is no attack", "grant", grant_again, GRANT, RC_OK },
    { 15, "the same again is no attack", "root, other signers", root_again, NEXT_ROOT, RC_OK },
    { 16, "fast-forward", "the highest release", manifest_of_the_highest_release, MANIFEST, RC_OK },
    { 17, "freeze", "the same order, at the end of time", order_again, ORDER, RC_OK, UINT64_MAX },
    { 18, "mix and match", "lines of two orders", set_from_two_orders, ORDER, RC_SIG_BAD },
    { 18, "mix and match", "line without digest", line_without_digest, ORDER, RC_DIGEST_MISSING },
    { 18, "mix and match", "one payload twice", pair_twice, ORDER, RC_VALUE },
    { 19, "expired", "order", expired_order, ORDER, RC_EXPIRED },
    { 19, "expired", "order, clock at 1970", expired_order, ORDER, RC_OK, 1 },
    { 19, "expired", "grant", expired_grant, GRANT, RC_EXPIRED },
    { 19, "expired", "grant of a manifest", good_manifest, MANIFEST, RC_EXPIRED, FIRST_MS },
    { 19, "clock at its end is not believed", "manifest", good_manifest, MANIFEST, RC_OK, UINT64_MAX },
    { 19, "clock at its bound", "grant of a manifest", good_manifest, MANIFEST, RC_EXPIRED, ISSUED_MS + TRUST_AHEAD_MAX_MS },
    { 19, "clock at 1970", "manifest", good_manifest, MANIFEST, RC_OK, 1 },
    { 19, "time pushed", "order", order_of_the_far_future, ORDER, RC_TIME_JUMP },
    { 19, "time pushed", "grant", grant_of_the_far_future, GRANT, RC_TIME_JUMP },
    { 19, "time pushed", "order, clock at 1970", order_of_the_far_future, ORDER, RC_TIME_JUMP, 1 },
    { 19, "expires before it is issued", "order", expires_before_issued, ORDER, RC_VALUE },
    { 20, "root chain", "N + 2 without N + 1", root_skips, NEXT_ROOT, RC_ROOT_GAP },
    { 20, "root chain", "old keys only", root_by_old, NEXT_ROOT, RC_KEY_UNKNOWN },
    { 20, "root chain", "one new key of two", root_by_one_new, NEXT_ROOT, RC_THRESHOLD },
    { 20, "root stolen", "rotation to the thief's keys", root_to_the_thiefs_keys, NEXT_ROOT, RC_ROOT_COMMITMENT },
    { 20, "root stolen", "one key more", root_with_a_thiefs_key_more, NEXT_ROOT, RC_ROOT_COMMITMENT },
    { 20, "root stolen", "lower threshold", root_with_lower_threshold, NEXT_ROOT, RC_ROOT_COMMITMENT },
    { 20, "root stolen", "no promise for the next", root_without_promise, NEXT_ROOT, RC_DIGEST_MISSING },
    { 20, "root chain", "another mission", root_of_another_mission, NEXT_ROOT, RC_MISSION },
    { 21, "name boundary", "tenant acmeb", tenant_longer, MANIFEST, RC_GRANT_MISSING },
    { 21, "name boundary", "tenant acme-b", tenant_with_part, MANIFEST, RC_GRANT_MISSING },
    { 21, "name boundary", "tenant acm", tenant_shorter, MANIFEST, RC_GRANT_MISSING },
    { 21, "name boundary", "prefix cam, name camera", prefix_within_a_word, MANIFEST, RC_NAME_NOT_GRANTED },
    { 21, "name boundary", "prefix cam, name my-cam", prefix_not_at_start, MANIFEST, RC_NAME_NOT_GRANTED },
    { 21, "name boundary", "prefix with a wildcard", wildcard_prefix, GRANT, RC_NAME },
    { 21, "name boundary", "name with '/'", name_with_slash, MANIFEST, RC_NAME },
    { 22, "tenant oversteps", "signs for zenith", tenant_zenith, MANIFEST, RC_KEY_UNKNOWN },
    { 22, "tenant oversteps", "signs the agent", tenant_agent, MANIFEST, RC_GRANT_MISSING },
    { 22, "tenant oversteps", "signs its own grant", own_grant, GRANT, RC_KEY_UNKNOWN },
    { 22, "tenant oversteps", "signs an order", own_order, ORDER, RC_KEY_UNKNOWN },
    { 22, "tenant oversteps", "asks for more than its quota", own_quota, MANIFEST, RC_GRANT_EXCEEDED },
    { 22, "operator oversteps", "one of two signs a grant", one_operators_grant, GRANT, RC_THRESHOLD },
    { 22, "root oversteps", "signs a grant", grant_without_mission_keys, GRANT, RC_KEY_UNKNOWN },
    { 23, "countersignature moved", "signatures of X on Y", countersignature_moved, ORDER, RC_SIG_BAD },
    { 24, "for another", "satellite", other_satellite, ORDER, RC_ORDER_TARGET },
    { 24, "for another", "machine", other_machine, MANIFEST, RC_ARCH },
    { 24, "for another", "format", manifest_of_format_2, MANIFEST, RC_DOC_VERSION },
    { 25, "half-checked", "root whose last signature is bad", root_whose_new_half_is_bad, NEXT_ROOT, RC_SIG_BAD },
    { 25, "half-checked", "grant whose last field is bad", grant_bad_at_its_end, GRANT, RC_VALUE },
    { 25, "half-checked", "order whose last bit is bad", order_bad_at_its_end, ORDER, RC_SIG_BAD },
    { 26, "revocation forged", "by the operators", revocation_by_operators, REVOCATION, RC_KEY_UNKNOWN },
    { 26, "revocation forged", "by a tenant", revocation_by_a_tenant, REVOCATION, RC_KEY_UNKNOWN },
    { 26, "revocation forged", "by one of two", revocation_by_one, REVOCATION, RC_THRESHOLD },
    { 26, "revocation forged", "signed as a root", revocation_signed_as_root, REVOCATION, RC_SIG_BAD },
    { 26, "revocation forged", "offered as a root", a_revocation, NEXT_ROOT, RC_DOC_TYPE },
    { 26, "revocation forged", "policy 0", revocation_with_policy_0, REVOCATION, RC_VALUE },
    { 26, "revocation forged", "last bit of the last signature", revocation_bad_at_its_end, REVOCATION, RC_SIG_BAD },
    { 100, "tag in front", "COSE_Sign, 98", tagged, ORDER, RC_CBOR_TAG },
    { 101, "payload detached", "null", detached, ORDER, RC_CBOR_TYPE },
    { 102, "two envelopes in one", "a good one behind", two_envelopes, ORDER, RC_TRAILING },
    { 103, "bad copy of a good entry", "behind the good ones", bad_copy_of_a_good_entry, ORDER, RC_KEY_DUPLICATE },
    { 104, "strangers fill the table", "seven known to others", strangers_fill_the_table, ORDER, RC_KEY_UNKNOWN },
    { 105, "floor above its own release", "bricks the payload", floor_above_release, MANIFEST, RC_VALUE },
    { 106, "expected digest of zeros", "content", content_without_digest, MANIFEST, RC_DIGEST_MISSING },
};
/* clang-format on */

static unsigned judge(const struct attack *a, const struct held *before)
{
    a->make();
    enum rc rc = offer(trust, a->door, evil.bytes, a->now_ms != 0 ? a->now_ms : NOW_MS);
    bool held = is_held(before);
    bool good = all_still_good();

    if (rc != a->want)
        print_error("%u %s (%s): got %s, want %s\n", a->number, a->what, a->how, rc_name(rc),
                    rc_name(a->want));
    if (!held || !good)
        print_error("%u %s (%s): changed what is held\n", a->number, a->what, a->how);
    return rc != a->want || !held || !good;
}

static void test_attacks(void **state)
{
    (void)state;
    struct held before = held_now();
    unsigned wrong = 0;

    for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++)
        if (attacks[i].scenes == 0 || attacks[i].scenes & scene)
            wrong += judge(&attacks[i], &before);
    assert_int_equal(wrong, 0);
}

/* 13: each fault alone, in an order that both operators signed. */
static void test_cbor_faults(void **state)
{
    (void)state;
    struct held before = held_now();
    unsigned wrong = 0;

    for (size_t i = 0; i < sizeof splices / sizeof splices[0]; i++) {
        signed_splice(splices[i].at, splices[i].cut, splices[i].hex);
        enum rc rc = offer_order(trust, evil.bytes, NOW_MS);
        if (rc != splices[i].want)
            print_error("13 %s: got %s, want %s\n", splices[i].what, rc_name(rc),
                        rc_name(splices[i].want));
        wrong += rc != splices[i].want || !is_held(&before);
    }
    assert_int_equal(wrong, 0);
    assert_true(all_still_good());
}

/* ---- 1: bits ---- */

struct flips {
    const char *what;
    enum door door;
    void (*make)(void);
    size_t step; /* of the bits of payload and ML-DSA signatures, one in this many */
};

static void a_next_grant(void)
{
    next_grant();
    sign_grant();
}

static void a_next_order(void)
{
    next_order();
    sign_order();
}

static void a_next_root(void)
{
    the_next_root();
    sign_root();
}

/* In suite 2 a signature is one entry: another id in it takes the whole of it away, and without one
 * of the old keys it still is a recovery.  So there the new keys sign alone. */
static void a_next_root_to_flip(void)
{
    the_next_root();
    if (scene == S1)
        sign_root();
    else
        doc_signed(&evil, DOC_ROOT, root_encode, &root, NEXT);
}

static void a_manifest(void)
{
    manifest = doc_manifest();
    sign_manifest();
}

static bool inside(const uint8_t *at, struct bytes b)
{
    return at >= b.p && at < b.p + b.n;
}

/* Payloads and the long signatures; the rest is header, table and Ed25519. */
static bool is_bulk(const uint8_t *at)
{
    if (inside(at, parts.payload))
        return true;
    for (uint32_t i = 0; i < parts.n; i++)
        if (parts.signature[i].algorithm != COSE_ALG_ED25519 &&
            inside(at, parts.signature[i].signature))
            return true;
    return false;
}

static void flip_bits_of(const struct flips *f, const struct held *before)
{
    size_t flipped = 0;

    f->make();
    apart();
    for (size_t bit = 0; bit < evil.bytes.n * 8; bit++) {
        uint8_t *at = evil.buf + bit / 8;

        if (bit % f->step != 0 && is_bulk(at))
            continue;
        *at ^= (uint8_t)(1U << bit % 8);
        enum rc rc = offer(trust, f->door, evil.bytes, NOW_MS);
        *at ^= (uint8_t)(1U << bit % 8);
        if (rc == RC_OK || !is_held(before))
            fail_msg("1 %s: bit %zu of byte %zu does not matter", f->what, bit % 8, bit / 8);
        flipped++;
    }
    print_message("1 %s: %zu of %zu bits flipped, each refused\n", f->what, flipped,
                  evil.bytes.n * 8);
}

static void test_every_bit(void **state)
{
    (void)state;
    static const struct flips rows[] = {
        { "manifest", MANIFEST, a_manifest, 1 },
        { "order", ORDER, a_next_order, 61 },
        { "grant", GRANT, a_next_grant, 61 },
        { "root", NEXT_ROOT, a_next_root_to_flip, 251 },
        { "revocation", REVOCATION, a_revocation, 61 },
    };
    struct held before = held_now();

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        flip_bits_of(&rows[i], &before);
    assert_true(all_still_good());
}

/* ---- 3 ---- */

static void test_no_trust_no_check_is_refusal(void **state)
{
    (void)state;
    a_next_order();
    assert_rc(offer(NULL, ORDER, evil.bytes, NOW_MS), RC_TRUST_MISSING);
    assert_rc(offer(NULL, MANIFEST, good_acme.bytes, NOW_MS), RC_TRUST_MISSING);
    a_next_grant();
    assert_rc(offer(NULL, GRANT, evil.bytes, NOW_MS), RC_TRUST_MISSING);
    a_next_root();
    assert_rc(offer(NULL, NEXT_ROOT, evil.bytes, NOW_MS), RC_TRUST_MISSING);
    a_revocation();
    assert_rc(offer(NULL, REVOCATION, evil.bytes, NOW_MS), RC_TRUST_MISSING);
}

/* ---- 9: a key of small order that got into a grant, and the signature that fits any message ----
 */

static void test_small_order_key(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *own = NULL;
    uint8_t forged[ED25519_SIGNATURE_SIZE] = { 1 };
    struct public_key *key = &grant.keys.key[0];

    a_trust(&own);
    next_grant();
    memset(doc_half(key, 0), 0, ED25519_PUBLIC_SIZE);
    doc_half(key, 0)[0] = 1; /* the neutral element */
    assert_rc(public_key_id(key, key->id, NULL), RC_OK);
    sign_grant();
    assert_rc(trust_add_grant(own, evil.bytes, NOW_MS, NULL), RC_OK);
    manifest = doc_manifest();
    sign_manifest();
    apart();
    parts.signature[0].key_id = parts.signature[1].key_id = (struct bytes){ key->id, KEY_ID_SIZE };
    parts.signature[0].signature = (struct bytes){ forged, sizeof forged };
    together();
    assert_rc(offer_manifest(own, evil.bytes, NOW_MS), RC_SIG_BAD);
}

/* ---- 10: inputs that are really that long ---- */

static void test_long_inputs(void **state)
{
    (void)state;
    static const uint64_t sizes[] = { (1ULL << 31) - 1, 1ULL << 31,       (1ULL << 31) + 1,
                                      (1ULL << 32) - 1, (1ULL << 32) + 1, 1ULL << 32 };
    struct held before = held_now();

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i] + good_order.bytes.n; /* a 32-bit length would be the right one */
        uint8_t *p = mmap(NULL, n, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        assert_ptr_not_equal(p, MAP_FAILED);
        memcpy(p, good_order.bytes.p, good_order.bytes.n);
        for (unsigned door = FIRST_ROOT; door <= REVOCATION; door++)
            assert_rc(offer(trust, (enum door)door, (struct bytes){ p, n }, NOW_MS), RC_TOO_LARGE);
        assert_int_equal(munmap(p, n), 0);
    }
    assert_true(is_held(&before));
}

/* A package whose content is 2^32 bytes longer than the manifest says, in a sealed sparse file. */
static void package_with_content(uint64_t content, int *ret)
{
    uint8_t head[PACKAGE_HEAD_SIZE];
    scoped(close_fd) int fd = memfd_create("package", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    assert_true(fd >= 0);
    package_head(PACKAGE_FULL, good_acme.bytes.n, head);
    assert_int_equal(pwrite(fd, head, sizeof head, 0), sizeof head);
    assert_int_equal(pwrite(fd, good_acme.bytes.p, good_acme.bytes.n, sizeof head),
                     good_acme.bytes.n);
    assert_int_equal(ftruncate(fd, (off_t)(sizeof head + good_acme.bytes.n + content)), 0);
    assert_int_equal(
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    *ret = take_fd(&fd);
}

static void test_long_packages(void **state)
{
    (void)state;
    static const struct {
        uint64_t content;
        enum rc want;
    } rows[] = {
        { 123456, RC_DIGEST_MISMATCH }, /* the size is right, the bytes are not */
        { 123455, RC_PACKAGE_SIZE },
        { 123457, RC_PACKAGE_SIZE },
        { (1ULL << 31) - 1, RC_TOO_LARGE },
        { (1ULL << 31) + 123456, RC_TOO_LARGE },
        { (1ULL << 32) - 1, RC_TOO_LARGE },
        { (1ULL << 32) + 123456, RC_TOO_LARGE },
        { (1ULL << 40) + 123456, RC_TOO_LARGE },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        scoped(close_fd) int fd = -1;
        struct verified_payload *payload = NULL;

        package_with_content(rows[i].content, &fd);
        assert_rc(payload_verify(trust, fd, NOW_MS, &payload, NULL), rows[i].want);
        assert_null(payload);
    }
}

/* ---- 12: nothing is allocated by announced counts ---- */

static void test_bombs_take_no_memory(void **state)
{
    (void)state;
    static const char *const bombs[] = {
        "9a10000000",
        "bb1000000000000000",
        "8441a0a041019a10000000",
        "8441a0a05b0fffffffffffffff",
        "8441a0a0bb1000000000000000",
    };
    struct envelope e;

    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        from_hex(bombs[i]);
        struct mallinfo2 before = mallinfo2();
        assert_int_not_equal(envelope_open(evil.bytes, &e, NULL), RC_OK);
        struct mallinfo2 after = mallinfo2();
        assert_int_equal(after.arena, before.arena);
        assert_int_equal(after.hblkhd, before.hblkhd);
    }
}

/* ---- 16: what a stolen operator key pushed to the end is forgotten with the key ---- */

static void test_fast_forward_recovery(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *own = NULL;

    a_trust(&own);
    next_grant();
    grant.epoch = INT64_MAX;
    sign_grant();
    assert_rc(trust_add_grant(own, evil.bytes, NOW_MS, NULL), RC_OK);
    a_next_grant();
    assert_rc(trust_add_grant(own, evil.bytes, NOW_MS, NULL), RC_GRANT_OLD);

    the_next_root();
    root.operator_keys = doc_key_set(2, 2, K_ACME_2);
    root.operator_since_ms = root.issued_ms;
    sign_root();
    assert_rc(trust_next_root(own, evil.bytes, NULL, NULL), RC_OK);
    assert_null(trust_grant(own, "acme"));
    a_next_grant();
    assert_rc(trust_add_grant(own, evil.bytes, NOW_MS, NULL), RC_KEY_UNKNOWN);
    grant_for("acme", K_ACME);
    grant.epoch = 1;
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_ACME_2, K_ZENITH);
    assert_rc(trust_add_grant(own, evil.bytes, NOW_MS, NULL), RC_ISSUED_BEFORE);
    grant.issued_ms = root.issued_ms;
    doc_signed(&evil, DOC_GRANT, grant_encode, &grant, K_ACME_2, K_ZENITH);
    assert_rc(trust_add_grant(own, evil.bytes, NOW_MS, NULL), RC_OK);
    assert_rc(offer_manifest(own, good_acme.bytes, NOW_MS), RC_OK);
}

/* ---- 19: one document moves time by less than its bound, and the clock never back ---- */

static void test_time_only_rises(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *own = NULL;

    a_trust(&own);
    next_order();
    order.issued_ms = ISSUED_MS + 50 * DAY_MS;
    order.expires_ms = 0;
    sign_order();
    assert_rc(offer_order(own, evil.bytes, 1), RC_OK);
    assert_int_equal(trust_time_floor(own), ISSUED_MS + 50 * DAY_MS);
    expired_order(); /* it had been revived by a clock at 1970 before */
    assert_rc(offer_order(own, evil.bytes, 1), RC_EXPIRED);
    assert_int_equal(trust_time_floor(own), ISSUED_MS + 50 * DAY_MS);
    trust_raise_floor(own, 1);
    assert_int_equal(trust_time_floor(own), ISSUED_MS + 50 * DAY_MS);
}

/* What the operators may not do at once, they may not do in steps: only the root role moves on. */
static void test_time_moves_by_the_roots_word(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *own = NULL;

    a_trust(&own);
    next_order();
    order.issued_ms = ISSUED_MS + TRUST_AHEAD_MAX_MS;
    order.expires_ms = 0;
    sign_order();
    assert_rc(offer_order(own, evil.bytes, NOW_MS), RC_OK);
    order.generation++;
    order.issued_ms += DAY_MS;
    sign_order();
    assert_rc(offer_order(own, evil.bytes, UINT64_MAX), RC_TIME_JUMP);
    assert_int_equal(trust_time_anchor(own), ISSUED_MS);
    the_next_root();
    root.issued_ms = ISSUED_MS + TRUST_AHEAD_MAX_MS + DAY_MS;
    root.expires_ms = 0;
    sign_root();
    assert_rc(offer(own, NEXT_ROOT, evil.bytes, NOW_MS), RC_OK);
    sign_order();
    assert_rc(offer_order(own, evil.bytes, NOW_MS), RC_OK);
}

/* ---- 20: lost keys are no attack: the committed ones alone take over, and that is told ---- */

static void test_recovery(void **state)
{
    static void (*const ways[])(void) = { root_by_new, root_by_one_old, root_by_operators };

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        scoped(trust_free) struct trust *own = NULL;
        struct root_change change = { 0 };

        a_trust(&own);
        ways[i]();
        assert_rc(trust_next_root(own, evil.bytes, &change, NULL), RC_OK);
        assert_true(change.taken && change.recovered);
        assert_int_equal(trust_root(own)->version, 5);
    }
}

/* ---- 20: fifty rotations, offline, at a clock that has expired them all ---- */

static void test_fifty_rotations(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *own = NULL;

    for (uint64_t v = 1; v <= 51; v++) {
        enum doc_key now = v % 2 ? K_ROOT_A : K_NEXT_A;
        enum doc_key then = v % 2 ? K_NEXT_A : K_ROOT_A;
        struct key_set next = doc_key_set(2, 2, then);
        struct err err;

        root = doc_root();
        root.version = v;
        root.issued_ms = ISSUED_MS + v * DAY_MS;
        root.expires_ms = root.issued_ms + DAY_MS;
        root.root_keys = doc_key_set(2, 2, now);
        doc_must(root_commit(&root, &next, &err), &err);
        doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD, NEXT);
        assert_rc(own ? trust_next_root(own, evil.bytes, NULL, NULL)
                      : trust_new(evil.bytes, &own, NULL),
                  RC_OK);
    }
    assert_int_equal(trust_root(own)->version, 51);
}

/* ---- 26: a key that its grant lists no more ---- */

static void test_replaced_tenant_key(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *own = NULL;

    a_trust(&own);
    assert_rc(offer_manifest(own, good_acme.bytes, NOW_MS), RC_OK);
    next_grant();
    grant.keys = doc_key_set(1, 1, K_ACME_2);
    sign_grant();
    assert_rc(trust_add_grant(own, evil.bytes, NOW_MS, NULL), RC_OK);
    assert_rc(offer_manifest(own, good_acme.bytes, NOW_MS), RC_KEY_UNKNOWN);
    assert_rc(offer_manifest(own, good_zenith.bytes, NOW_MS), RC_OK);
    grant_again();
    assert_rc(trust_add_grant(own, evil.bytes, NOW_MS, NULL), RC_GRANT_OLD);
    assert_rc(offer_manifest(own, good_acme.bytes, NOW_MS), RC_KEY_UNKNOWN);
}

/* ---- 26: a revoked key's package is not good again, by nothing ---- */

static void test_revoked_key_stays_revoked(void **state)
{
    (void)state;
    scoped(trust_free) struct trust *own = NULL;

    a_trust(&own);
    a_revocation();
    assert_rc(offer(own, REVOCATION, evil.bytes, NOW_MS), RC_OK);
    assert_int_not_equal(offer_manifest(own, good_acme.bytes, NOW_MS), RC_OK);
    assert_int_equal(trust_judge_manifest(own, good_acme.bytes), REVOKE_STOP);
    assert_rc(offer_manifest(own, good_zenith.bytes, NOW_MS), RC_OK);
    /* A later one that is milder, and the operators' word, change nothing. */
    revocation.number = 2;
    revocation.entry[0].policy = REVOKE_KEEP;
    doc_signed(&evil, DOC_REVOCATION, revocation_encode, &revocation, OLD);
    assert_rc(offer(own, REVOCATION, evil.bytes, NOW_MS), RC_OK);
    assert_int_equal(trust_judge_manifest(own, good_acme.bytes), REVOKE_STOP);
    a_next_grant();
    (void)offer(own, GRANT, evil.bytes, NOW_MS);
    assert_int_not_equal(offer_manifest(own, good_acme.bytes, NOW_MS), RC_OK);
    a_revocation();
    assert_rc(offer(own, REVOCATION, evil.bytes, NOW_MS), RC_VERSION_OLD);
}

/* ---- 108: a companion that is there is checked, whoever asked for it ---- */

static void test_both_digests_of_the_promise_count(void **state)
{
    (void)state;
    for (unsigned spoil = 0; spoil < 3; spoil++) {
        scoped(trust_free) struct trust *own = NULL;
        struct key_set next = doc_key_set(2, 2, K_NEXT_A);

        the_root();
        assert_rc(key_set_digest(&next, &root.next_keys, &root.next_keys384, NULL), RC_OK);
        root.next_keys.b[0] ^= spoil == 1;
        root.next_keys384.b[0] ^= spoil == 2;
        doc_signed(&evil, DOC_ROOT, root_encode, &root, OLD);
        assert_rc(trust_new(evil.bytes, &own, NULL), RC_OK);
        a_next_root();
        assert_rc(trust_next_root(own, evil.bytes, NULL, NULL),
                  spoil == 0 ? RC_OK : RC_ROOT_COMMITMENT);
    }
}

static void test_both_digests_of_a_line_count(void **state)
{
    (void)state;
    struct verified_manifest *m = NULL;
    struct order_line line = { .tenant = "acme", .name = "cam-north" };

    assert_rc(trust_verify_manifest(trust, good_acme.bytes, NOW_MS, &m, NULL), RC_OK);
    line.manifest = *verified_manifest_digest(m);
    assert_true(order_line_names(&line, m));
    line.manifest384 = *verified_manifest_digest384(m);
    assert_true(order_line_names(&line, m));
    line.manifest384.b[47] ^= 1;
    assert_false(order_line_names(&line, m));
    line.manifest384.b[47] ^= 1;
    line.manifest.b[0] ^= 1;
    assert_false(order_line_names(&line, m));
    verified_manifest_free(&m);
}

static int run_scene(enum scene next, const char *name)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attacks),
        cmocka_unit_test(test_cbor_faults),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_no_trust_no_check_is_refusal),
        cmocka_unit_test(test_fast_forward_recovery),
        cmocka_unit_test(test_time_only_rises),
        cmocka_unit_test(test_time_moves_by_the_roots_word),
        cmocka_unit_test(test_recovery),
        cmocka_unit_test(test_fifty_rotations),
        cmocka_unit_test(test_replaced_tenant_key),
        cmocka_unit_test(test_revoked_key_stays_revoked),
        cmocka_unit_test(test_both_digests_of_the_promise_count),
        cmocka_unit_test(test_both_digests_of_a_line_count),
    };

    scene = next;
    return cmocka_run_group_tests_name(name, tests, scene_begins, scene_ends);
}

int main(void)
{
    const struct CMUnitTest once[] = {
        cmocka_unit_test(test_small_order_key),
        cmocka_unit_test(test_long_inputs),
        cmocka_unit_test(test_long_packages),
        cmocka_unit_test(test_bombs_take_no_memory),
    };
    int failed = cmocka_run_group_tests_name("whatever the suite", once, scene_begins, scene_ends);

    failed += run_scene(S1, "suite 1");
    failed += run_scene(S2, "suite 2");
    failed += run_scene(MIX, "suites 1 and 2 in every role");
    return failed;
}
