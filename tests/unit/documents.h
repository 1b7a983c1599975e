/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/documents: throwaway keys, one good document of each type, and signing in one line,
 * for tests and for the generator of fuzz seeds.  Keys grow from fixed seeds, so they are the same
 * in every run.
 */
#ifndef BERTH_TESTS_UNIT_DOCUMENTS_H
#define BERTH_TESTS_UNIT_DOCUMENTS_H

#include <stdio.h>
#include <stdlib.h>

#include "manifest/delegation.h"
#include "manifest/doc.h"
#include "manifest/envelope.h"
#include "manifest/rekey.h"
#include "manifest/revocation.h"
#include "manifest/token.h"
#include "update/sign.h"

/* Documents are big: inlined into one frame they pass the limit on frames. */
#define noinline __attribute__((noinline, unused))

#define DAY_MS (24ULL * 3600 * 1000)
#define ISSUED_MS 1700000000000ULL
#define NOW_MS (ISSUED_MS + DAY_MS)

/* Who signs what in the tests. */
enum doc_key {
    K_ROOT_A,
    K_ROOT_B,
    K_ROOT_C,
    K_NEXT_A,
    K_NEXT_B,
    K_OPERATOR_A,
    K_OPERATOR_B,
    K_ACME,
    K_ACME_2,
    K_ZENITH,
    K_STRANGER,
    K_SAFETY_A,
    K_SAFETY_B,
    K_FLIGHT, /* a team of acme */
    K_FLIGHT_2,
    K_CAM, /* a team of that */
    DOC_KEYS
};

static struct sign_key *doc_keys[DOC_KEYS];

static const struct mission doc_mission = { "berth-test-fleet" };
static const struct mission other_mission = { "other-test-fleet" };

/* A fixture that cannot be made is a broken test. */
static inline void doc_must(enum rc rc, const struct err *err)
{
    char text[256];

    if (rc == RC_OK)
        return;
    (void)fprintf(stderr, "fixture: %s\n", err_text(err, text, sizeof text));
    abort();
}

/* The suite of the keys that grow from now on; doc_keys_free first.  DOC_MIXED: those that come
 * second in their role are of suite 2, the others of suite 1. */
#define DOC_MIXED ((enum suite)0)
static enum suite doc_keys_suite = SUITE_ED25519_MLDSA65;

static inline enum suite doc_suite(enum doc_key which)
{
    bool second =
        which == K_ROOT_B || which == K_NEXT_B || which == K_OPERATOR_B || which == K_ACME_2;

    if (doc_keys_suite != DOC_MIXED)
        return doc_keys_suite;
    return second ? SUITE_MLDSA87 : SUITE_ED25519_MLDSA65;
}

static inline struct sign_key *doc_key(enum doc_key which)
{
    uint8_t seeds[SIGN_SEEDS_SIZE];
    struct err err;

    if (!doc_keys[which]) {
        memset(seeds, 0x40 + (int)which, sizeof seeds);
        doc_must(sign_key_from_seeds(doc_suite(which), seeds, &doc_keys[which], &err), &err);
    }
    return doc_keys[which];
}

static inline void doc_keys_free(void)
{
    for (size_t i = 0; i < DOC_KEYS; i++)
        sign_key_free(&doc_keys[i]);
}

/* A half that a test changes. */
static inline uint8_t *doc_half(struct public_key *key, uint32_t h)
{
    return key->halves + (public_half(key, h).p - key->halves);
}

/* Digests of this byte, as keys of this set ask for them. */
static inline struct digest384 doc_digest384(const struct key_set *keys, int byte)
{
    struct digest384 d = { 0 };

    if (key_set_wants_384(keys))
        memset(&d, byte, sizeof d);
    return d;
}

/* m of the n keys from first on. */
static noinline struct key_set doc_key_set(uint32_t threshold, uint32_t n, enum doc_key first)
{
    struct key_set set = { .threshold = threshold, .n = n };

    for (uint32_t i = 0; i < n; i++)
        set.key[i] = *sign_key_public(doc_key((enum doc_key)(first + i)));
    return set;
}

static noinline struct root doc_root(void)
{
    struct key_set next = doc_key_set(2, 2, K_NEXT_A);
    struct err err;
    struct root root = {
        .version = 1,
        .mission = doc_mission,
        .issued_ms = ISSUED_MS,
        .expires_ms = ISSUED_MS + 1000 * DAY_MS,
        .root_keys = doc_key_set(2, 3, K_ROOT_A),
        .operator_keys = doc_key_set(1, 2, K_OPERATOR_A),
    };

    doc_must(root_commit(&root, &next, &err), &err);
    return root;
}

/* The root that doc_root() promises. */
static noinline struct root doc_next_root(void)
{
    struct root root = doc_root();

    root.version = 2;
    root.issued_ms = ISSUED_MS + 2 * DAY_MS;
    root.root_keys = doc_key_set(2, 2, K_NEXT_A);
    memset(&root.next_keys, 0x55, sizeof root.next_keys);
    root.next_keys384 = doc_digest384(&root.root_keys, 0x55);
    return root;
}

static noinline struct grant doc_grant(void)
{
    return (struct grant){
        .tenant = "acme",
        .epoch = 3,
        .issued_ms = ISSUED_MS,
        .expires_ms = ISSUED_MS + 100 * DAY_MS,
        .keys = doc_key_set(1, 1, K_ACME),
        .prefix = "cam",
        .total = { .memory_bytes = 64U << 20,
                   .data_bytes = 32U << 20,
                   .tmp_bytes = 16U << 20,
                   .cpu_permille = 500,
                   .pids = 32,
                   .open_files = 128 },
        .store_bytes = 100U << 20,
        .payloads_max = 4,
    };
}

/* Half of what the grant allows, for names that begin with "cam-north". */
static noinline struct delegation doc_delegation(void)
{
    return (struct delegation){
        .tenant = "acme",
        .team = "flight",
        .epoch = 2,
        .issued_ms = ISSUED_MS,
        .expires_ms = ISSUED_MS + 50 * DAY_MS,
        .keys = doc_key_set(1, 2, K_FLIGHT),
        .prefix = "cam-north",
        .total = { .memory_bytes = 32U << 20,
                   .data_bytes = 16U << 20,
                   .tmp_bytes = 8U << 20,
                   .cpu_permille = 250,
                   .pids = 16,
                   .open_files = 64 },
        .store_bytes = 50U << 20,
        .payloads_max = 2,
    };
}

static noinline struct delegation doc_withdrawal(void)
{
    return (struct delegation){
        .tenant = "acme",
        .team = "flight",
        .epoch = 3,
        .issued_ms = ISSUED_MS + DAY_MS,
        .withdrawn = REVOKE_STOP,
    };
}

static noinline struct manifest doc_manifest(void)
{
    struct manifest m = {
        .tenant = "acme",
        .name = "cam-north",
        .version = "1.2.0",
        .release = 7,
        .floor = 5,
        .content_bytes = 123456,
        .unpacked_bytes = 1234567,
        .files = 12,
        .arch = "x86_64",
        .n_args = 2,
        .n_env = 1,
        .args = { "/bin/cam", "--fast" },
        .env = { "MODE=night" },
        .limits = { .memory_bytes = 16U << 20,
                    .data_bytes = 8U << 20,
                    .tmp_bytes = 4U << 20,
                    .cpu_permille = 250,
                    .pids = 8,
                    .open_files = 64 },
        .health = { .type = HEALTH_NOTIFY, .ready_ms = 2000, .soak_ms = 500, .watchdog_ms = 1000 },
    };

    memset(&m.content, 0x77, sizeof m.content);
    struct key_set keys = doc_key_set(1, 1, K_ACME);
    m.content384 = doc_digest384(&keys, 0x78);
    return m;
}

static noinline struct order doc_order(void)
{
    struct order o = {
        .satellite = "aurora-1",
        .generation = 12,
        .issued_ms = ISSUED_MS,
        .expires_ms = ISSUED_MS + 10 * DAY_MS,
        .n_lines = 2,
        .line = { { .tenant = "acme", .name = "cam-north" }, { .tenant = "zenith", .name = "db" } },
    };

    memset(&o.line[0].manifest, 0x11, sizeof o.line[0].manifest);
    memset(&o.line[1].manifest, 0x22, sizeof o.line[1].manifest);
    struct key_set keys = doc_key_set(1, 2, K_OPERATOR_A);
    o.line[0].manifest384 = doc_digest384(&keys, 0x12);
    o.line[1].manifest384 = doc_digest384(&keys, 0x23);
    return o;
}

/* What puts doc_order() into force, were it staged; the digest is the caller's to fill in. */
static noinline struct token doc_token(void)
{
    struct token t = {
        .satellite = "aurora-1",
        .generation = 12,
        .issued_ms = ISSUED_MS,
        .expires_ms = ISSUED_MS + 5 * DAY_MS,
    };

    memset(&t.order, 0x12, sizeof t.order);
    struct key_set keys = doc_key_set(1, 2, K_OPERATOR_A);
    t.order384 = doc_digest384(&keys, 0x13);
    return t;
}

/* One entry of each kind. */
static noinline struct revocation doc_revocation(void)
{
    struct revocation r = {
        .number = 5,
        .issued_ms = ISSUED_MS,
        .n = 3,
        .entry = { { .kind = REVOKED_KEY, .policy = REVOKE_STOP },
                   { .kind = REVOKED_GRANT, .policy = REVOKE_KEEP, .tenant = "zenith", .epoch = 9 },
                   { .kind = REVOKED_MANIFEST, .policy = REVOKE_ROLLBACK } },
    };

    memcpy(r.entry[0].key, sign_key_public(doc_key(K_STRANGER))->id, KEY_ID_SIZE);
    memset(&r.entry[2].manifest, 0x99, sizeof r.entry[2].manifest);
    struct key_set keys = doc_key_set(2, 3, K_ROOT_A);
    r.entry[2].manifest384 = doc_digest384(&keys, 0x9a);
    return r;
}

/* The keys that doc_rekey() is for, and what it brings. */
static const uint8_t doc_kem_seed[KEM_SEED_SIZE] = "satellite's key pair grows here";
static const uint8_t doc_master[REKEY_SECRET_SIZE] = "master wrapping key of aurora-1";

static noinline void doc_rekey_secret(uint32_t entry, uint8_t ret[REKEY_SECRET_SIZE])
{
    memset(ret, 0xa0 + (int)entry, REKEY_SECRET_SIZE);
}

/* Wrap the secrets of a rekey, whose other fields are final, for its recipient. */
static noinline void doc_rekey_wrap(struct rekey *r)
{
    static const uint8_t random[KEM_RANDOM_SIZE] = "as random as this";
    uint8_t public_half[KEM_PUBLIC_SIZE];
    uint8_t shared[KEM_SHARED_SIZE];
    uint8_t secret[REKEY_SECRET_SIZE];
    struct err err;

    memcpy(shared, doc_master, sizeof shared);
    if (r->recipient == REKEY_MASTER)
        doc_must(rekey_master_id(doc_master, r->key_id, &err), &err);
    if (r->recipient == REKEY_KEM) {
        doc_must(kem_public(doc_kem_seed, public_half, &err), &err);
        doc_must(kem_id(public_half, r->key_id, &err), &err);
        doc_must(kem_seal_from(public_half, random, r->sealed, shared, &err), &err);
    }
    for (uint32_t i = 0; i < r->n; i++) {
        doc_rekey_secret(i, secret);
        if (r->entry[i].what != REKEY_NEW_KEM)
            doc_must(rekey_wrap(r, i, &doc_mission, shared, secret, &err), &err);
    }
}

/* One entry of each kind. */
static noinline struct rekey doc_rekey(enum rekey_recipient recipient)
{
    struct rekey r = {
        .satellite = "aurora-1",
        .number = 7,
        .issued_ms = ISSUED_MS,
        .recipient = recipient,
        .n = 4,
        .entry = { { .what = REKEY_LINK, .peer = 1, .epoch = 2 },
                   { .what = REKEY_TENANT_LINK, .peer = 1, .tenant = "acme", .epoch = 1 },
                   { .what = REKEY_NEW_MASTER, .epoch = 3 },
                   { .what = REKEY_NEW_KEM } },
    };

    doc_rekey_wrap(&r);
    return r;
}

/* An agent on trial, after one that failed. */
static inline void doc_report_agent(struct report_agent *agent)
{
    *agent = (struct report_agent){ .version = "0.1.0", .trial = true, .code = 245 };
    memset(&agent->running, 0x54, sizeof agent->running);
    memset(&agent->failed, 0x55, sizeof agent->failed);
}

static noinline void doc_report_keys(struct report_keys *ret)
{
    *ret = (struct report_keys){
        .rekey = 7,
        .master_epoch = 2,
        .has_kem = true,
        .has_kem_public = true,
        .n_links = 2,
        .link = { { .peer = 1, .epoch = 2 }, { .peer = 1, .tenant = "acme", .epoch = 1 } },
    };
    memset(ret->master_id, 0x88, sizeof ret->master_id);
    memset(ret->kem_id, 0x77, sizeof ret->kem_id);
    memset(ret->kem_public, 0x99, sizeof ret->kem_public);
}

static noinline void doc_report(struct report *ret)
{
    *ret = (struct report){
        .satellite = "aurora-1",
        .epoch = 2,
        .seq = 9,
        .time_ms = NOW_MS,
        .root_version = 1,
        .generation = 12,
        .n_payloads = 1,
        .n_events = 2,
        .n_transfers = 1,
        .n_objects = 1,
        .payload = { { .tenant = "acme",
                       .name = "cam-north",
                       .state = SLOT_ROLLED_BACK,
                       .code = RC_HEALTH_TIMEOUT,
                       .is_running = true,
                       .version = "1.1.0",
                       .restarts = 1,
                       .memory_kib = 900,
                       .cpu_ms = 70 } },
        .event = { { .seq = 4, .code = RC_SIG_BAD, .count = 1, .what = "package" },
                   { .seq = 5, .code = RC_ORDER_OLD, .count = 3, .what = "order 11" } },
        .transfer = { { .chunks = 10,
                        .n_missing = 2,
                        .missing = { { .first = 0, .count = 2 }, { .first = 4, .count = 1 } } } },
    };
    memset(&ret->payload[0].wanted, 0x33, sizeof ret->payload[0].wanted);
    memset(&ret->transfer[0].object, 0x44, sizeof ret->transfer[0].object);
    memset(&ret->object[0], 0x66, sizeof ret->object[0]);
}

/* All stand but one that is waived and one that is optional; with the receipt of the one payload.
 */
static inline void doc_report_walls(struct report *r)
{
    r->walls = (struct report_walls){
        .standing = 0xffffff6f, .missing = 0x90, .waived = 0x10, .landlock = 7, .cgroup = 1
    };
    memset(r->payload[0].receipt, 0xaa, sizeof r->payload[0].receipt);
}

/* A document that is signed, in its own memory. */
struct signed_doc {
    uint8_t payload_buf[DOCUMENT_MAX];
    uint8_t buf[DOCUMENT_MAX];
    struct bytes payload;
    struct bytes bytes;
};

/* Sign ret->payload with the n keys given. */
static inline void doc_sign(struct signed_doc *ret, enum doc_type type,
                            const struct mission *mission, const enum doc_key *who, size_t n)
{
    const struct sign_key *keys[DOC_KEYS];
    struct err err;

    for (size_t i = 0; i < n; i++)
        keys[i] = doc_key(who[i]);
    doc_must(sign_document(type, mission, ret->payload, keys, n, ret->buf, sizeof ret->buf,
                           &ret->bytes, &err),
             &err);
}

/* doc_signed(&out, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B) */
#define doc_signed(ret, type, encode, doc, ...)                                                    \
    do {                                                                                           \
        const enum doc_key who_[] = { __VA_ARGS__ };                                               \
        struct err err_;                                                                           \
        doc_must(                                                                                  \
            encode(doc, (ret)->payload_buf, sizeof(ret)->payload_buf, &(ret)->payload, &err_),     \
            &err_);                                                                                \
        doc_sign(ret, type, &doc_mission, who_, sizeof who_ / sizeof who_[0]);                     \
    } while (0)

#endif
