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

#include "manifest/doc.h"
#include "manifest/envelope.h"
#include "manifest/revocation.h"
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

static inline struct sign_key *doc_key(enum doc_key which)
{
    uint8_t seeds[SIGN_SEEDS_SIZE];
    struct err err;

    if (!doc_keys[which]) {
        memset(seeds, 0x40 + (int)which, sizeof seeds);
        doc_must(sign_key_from_seeds(seeds, &doc_keys[which], &err), &err);
    }
    return doc_keys[which];
}

static inline void doc_keys_free(void)
{
    for (size_t i = 0; i < DOC_KEYS; i++)
        sign_key_free(&doc_keys[i]);
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

    doc_must(key_set_digest(&next, &root.next_keys, &err), &err);
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
    return o;
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
    return r;
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
