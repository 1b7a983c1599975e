/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/scale_fleet: what the satellites of bench_scale have and say: by number, a name, a
 * report of four payloads and the order of it, each as large as a real one.
 */
#ifndef BERTH_TESTS_BENCH_SCALE_FLEET_H
#define BERTH_TESTS_BENCH_SCALE_FLEET_H

#include <stdio.h>
#include <string.h>

#include "base/crypto.h"
#include "manifest/doc.h"
#include "manifest/envelope.h"
#include "tests/bench/bench.h"

#define PAYLOADS 4U
#define NOW_MS UINT64_C(1796040000000)
#define GENERATION 7U

static void name_of(uint32_t i, char ret[NAME_CAP])
{
    (void)snprintf(ret, NAME_CAP, "sat-%07u", i);
}

static void digest_of(uint32_t payload, uint32_t version, struct digest *ret)
{
    memset(ret->b, (int)(payload * 16 + version + 1), sizeof ret->b);
}

static struct bytes report_of(uint32_t i, uint64_t seq, uint8_t buf[REPORT_MAX])
{
    static struct report r;
    struct bytes ret;
    struct err err = { 0 };

    r = (struct report){ .epoch = 1,
                         .seq = seq,
                         .time_ms = NOW_MS,
                         .root_version = 1,
                         .generation = GENERATION,
                         .n_payloads = PAYLOADS,
                         .agent = { .version = "0.9.0" },
                         .walls = { .standing = 0xffff, .landlock = 3, .cgroup = 2 } };
    name_of(i, r.satellite);
    for (uint32_t k = 0; k < PAYLOADS; k++) {
        struct report_payload *p = &r.payload[k];

        (void)snprintf(p->tenant, sizeof p->tenant, "tenant-%u", k);
        (void)snprintf(p->name, sizeof p->name, "payload");
        (void)snprintf(p->version, sizeof p->version, "1.2.%u", k);
        p->state = SLOT_COMMITTED;
        p->is_running = true;
        digest_of(k, 0, &p->wanted);
        p->running = p->wanted;
        p->memory_kib = 4096 + i % 4096;
        p->cpu_ms = (uint32_t)(seq * 1000);
    }
    must_rc(report_encode(&r, buf, REPORT_MAX, &ret, &err), &err);
    return ret;
}

/* Nothing that a database can make smaller. */
static void fill(uint32_t i, uint8_t *p, size_t n)
{
    uint64_t x = i * UINT64_C(0x9e3779b97f4a7c15) + 1;

    for (size_t k = 0; k < n; k++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[k] = (uint8_t)(x >> 32);
    }
}

/* An order in its envelope of two hybrid halves, as large as a signed one. */
static struct bytes order_of(uint32_t i, uint8_t *buf, size_t cap)
{
    static struct order order;
    static uint8_t payload[4096], header[2][64], body[64], signature[MLDSA65_SIGNATURE_SIZE],
        id[KEY_ID_SIZE];
    struct envelope parts = { .n = 2 };
    struct bytes ret;
    struct err err = { 0 };

    order = (struct order){ .generation = GENERATION, .issued_ms = NOW_MS, .n_lines = PAYLOADS };
    name_of(i, order.satellite);
    for (uint32_t k = 0; k < PAYLOADS; k++) {
        (void)snprintf(order.line[k].tenant, NAME_CAP, "tenant-%u", k);
        (void)snprintf(order.line[k].name, NAME_CAP, "payload");
        digest_of(k, 0, &order.line[k].manifest);
    }
    fill(i, signature, sizeof signature);
    must_rc(order_encode(&order, payload, sizeof payload, &parts.payload, &err), &err);
    must_rc(
        envelope_body_header(ENVELOPE_PROFILE, body, sizeof body, &parts.protected_header, &err),
        &err);
    for (size_t k = 0; k < 2; k++) {
        struct envelope_signature *s = &parts.signature[k];

        s->algorithm = k ? COSE_ALG_MLDSA65 : COSE_ALG_ED25519;
        must_rc(envelope_entry_header(s->algorithm, header[k], sizeof header[k],
                                      &s->protected_header, &err),
                &err);
        s->key_id = (struct bytes){ id, sizeof id };
        s->signature =
            (struct bytes){ signature, k ? MLDSA65_SIGNATURE_SIZE : ED25519_SIGNATURE_SIZE };
    }
    must_rc(envelope_encode(&parts, buf, cap, &ret, &err), &err);
    return ret;
}

#endif
