/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/bench_manifest: how many bytes each signed document takes, what verifying one costs
 * beside the bare calls to libsodium and libcrypto for the same signatures in the same run, and how
 * much memory the verifier takes beyond the libraries.  Times are CPU time; ours and theirs are
 * taken in turns, and each is the best of several rounds.
 */
#include <fcntl.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "manifest/revocation.h"
#include "manifest/trust.h"
#include "tests/bench/bench.h"
#include "tests/unit/documents.h"

#define CALLS 400U
#define ROUNDS 9U
#define CHAIN 50U

/* ---- the heap of our own code: these are hidden, so the shared libraries keep using libc's ----
 */

extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void __libc_free(void *p);

static size_t heap_now, heap_peak;

static void *heap_took(void *p)
{
    heap_now += p ? malloc_usable_size(p) : 0;
    if (heap_now > heap_peak)
        heap_peak = heap_now;
    return p;
}

void *malloc(size_t n)
{
    return heap_took(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
    return heap_took(__libc_calloc(n, size));
}

void free(void *p)
{
    heap_now -= p ? malloc_usable_size(p) : 0;
    __libc_free(p);
}

/* ---- figures ---- */

static FILE *out;

static void figure(const char *name, double value, const char *unit, double peer, const char *aim)
{
    (void)fprintf(out, "{\"figure\":\"%s\",\"value\":%.3f,\"unit\":\"%s\"", name, value, unit);
    if (peer > 0)
        (void)fprintf(out, ",\"peer\":\"libsodium + libcrypto\",\"peer_value\":%.3f,\"ratio\":%.3f",
                      peer, value / peer);
    else
        (void)fputs(",\"peer\":null,\"peer_value\":null,\"ratio\":null", out);
    (void)fprintf(out, ",\"aim\":\"%s\"}\n", aim);
    (void)printf("  %-44s %9.1f %-5s", name, value, unit);
    if (peer > 0)
        (void)printf("  bare calls: %.1f, ratio %.3f", peer, value / peer);
    (void)printf("%s%s%s\n", *aim ? "  (aim " : "", aim, *aim ? ")" : "");
}

/* ---- documents ---- */

static struct signed_doc root_1, grant_1, manifest_1, order_1, revocation_1, token_1;
static struct signed_doc chain[CHAIN + 1];
static struct trust *trust;

static noinline void make_trust(void)
{
    struct root root = doc_root();
    struct grant grant = doc_grant();

    doc_signed(&root_1, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    doc_signed(&grant_1, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    must(trust_new(root_1.bytes, &trust, NULL) == RC_OK, "root");
    must(trust_add_grant(trust, grant_1.bytes, NOW_MS, NULL) == RC_OK, "grant");
}

static noinline void make_payloads(void)
{
    struct manifest manifest = doc_manifest();
    struct order order = doc_order();

    doc_signed(&manifest_1, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
    order.n_lines = 8;
    for (uint32_t i = 0; i < order.n_lines; i++) {
        (void)snprintf(order.line[i].tenant, NAME_CAP, "tenant-%u", i);
        (void)snprintf(order.line[i].name, NAME_CAP, "payload");
        memset(&order.line[i].manifest, 0x11, DIGEST_SIZE);
        order.line[i].manifest384 = order.line[0].manifest384;
    }
    doc_signed(&order_1, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
}

static noinline void make_token(void)
{
    struct token token = doc_token();

    doc_signed(&token_1, DOC_TOKEN, token_encode, &token, K_OPERATOR_A);
}

static noinline void make_revocation(void)
{
    static struct revocation r = { .number = 1, .issued_ms = ISSUED_MS };
    struct key_set roots = doc_key_set(2, 3, K_ROOT_A);

    r.n = REVOCATION_ENTRIES_MAX;
    for (uint32_t i = 0; i < r.n; i++) {
        r.entry[i].kind = REVOKED_MANIFEST;
        r.entry[i].policy = REVOKE_STOP;
        memset(&r.entry[i].manifest, 1 + (int)i, DIGEST_SIZE);
        r.entry[i].manifest384 = doc_digest384(&roots, 1 + (int)i);
    }
    doc_signed(&revocation_1, DOC_REVOCATION, revocation_encode, &r, K_ROOT_A, K_ROOT_B);
}

static noinline void make_chain_link(uint64_t v)
{
    struct root root = doc_root();
    struct key_set next = doc_key_set(2, 2, v % 2 ? K_NEXT_A : K_ROOT_A);

    root.version = v;
    root.root_keys = doc_key_set(2, 2, v % 2 ? K_ROOT_A : K_NEXT_A);
    must(root_commit(&root, &next, NULL) == RC_OK, "key set");
    doc_signed(&chain[v - 1], DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B, K_NEXT_A, K_NEXT_B);
}

/* A figure of one suite. */
static void figure_of(enum suite suite, const char *what, double value, const char *unit,
                      const char *aim)
{
    char name[96];

    (void)snprintf(name, sizeof name, "%s, suite %d", what, (int)suite);
    figure(name, value, unit, 0, aim);
}

static void figure_in(enum suite suite, const char *what, size_t bytes, const char *aim)
{
    figure_of(suite, what, (double)bytes, "bytes", aim);
}

static noinline void sizes(enum suite suite)
{
    bool first = suite == SUITE_ED25519_MLDSA65;

    figure_in(suite, "root, 3 + 2 keys, 2 signers", root_1.bytes.n, "");
    figure_in(suite, "grant, 1 key, 1 signer", grant_1.bytes.n, "");
    figure_in(suite, "manifest, 1 signer", manifest_1.bytes.n, "");
    figure_in(suite, "order of 8 payloads, 1 signer", order_1.bytes.n, "");
    figure_in(suite, "token, 1 signer", token_1.bytes.n, "");
    figure_in(suite, "token, content", token_1.payload.n, "<= 200");
    figure_in(suite, "revocation of 16 manifests, 2 signers", revocation_1.bytes.n,
              first ? "<= 8192" : "");
    figure_in(suite, "root rotation, 2 + 2 keys, 4 signers", chain[1].bytes.n, "");
    figure_in(suite, "manifest, author's and operator's signatures",
              manifest_1.bytes.n + order_1.bytes.n - order_1.payload.n, first ? "<= 7500" : "");
}

static noinline void report_size(void)
{
    static struct report report;
    static uint8_t buf[REPORT_MAX];
    struct bytes bytes;

    doc_report(&report);
    must(report_encode(&report, buf, sizeof buf, &bytes, NULL) == RC_OK, "report");
    figure("report, 1 payload, no envelope", (double)bytes.n, "bytes", 0, "");
}

/* ---- verifying ---- */

static void our_manifest(void)
{
    struct verified_manifest *m = NULL;

    must(trust_verify_manifest(trust, manifest_1.bytes, NOW_MS, &m, NULL) == RC_OK, "manifest");
    verified_manifest_free(&m);
}

static void our_order(void)
{
    const struct order_position position = { .satellite = "aurora-1" };
    struct verified_order *o = NULL;

    must(trust_verify_order(trust, order_1.bytes, &position, NOW_MS, &o, NULL) == RC_OK, "order");
    verified_order_free(&o);
}

/* What the bare calls are given: the signed bytes and the signatures, ready made. */
static struct bare {
    const struct public_key *key;
    uint8_t message[2][8192];
    struct bytes to_sign[2];
    struct bytes signature[2];
} bare;

static void bare_from(const struct signed_doc *doc, enum doc_type type, enum doc_key key)
{
    struct envelope e;

    bare.key = sign_key_public(doc_key(key));
    must(envelope_open(doc->bytes, &e, NULL) == RC_OK && e.n == suite_find(bare.key->suite)->n,
         "envelope");
    for (size_t i = 0; i < e.n; i++) {
        bare.signature[i] = e.signature[i].signature;
        must(envelope_to_sign(type, &doc_mission, &e, e.signature[i].protected_header,
                              bare.message[i], sizeof bare.message[i], &bare.to_sign[i],
                              NULL) == RC_OK,
             "bytes to sign");
    }
}

static void bare_mldsa(const char *name, uint32_t h)
{
    struct bytes public = public_half(bare.key, h);
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, name, NULL, public.p, public.n);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    must(key && ctx && EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) == 1 &&
             EVP_DigestVerify(ctx, bare.signature[h].p, bare.signature[h].n, bare.to_sign[h].p,
                              bare.to_sign[h].n) == 1,
         name);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

static void bare_calls(void)
{
    if (bare.key->suite == SUITE_MLDSA87) {
        bare_mldsa("ML-DSA-87", 0);
        return;
    }
    must(crypto_sign_verify_detached(bare.signature[0].p, bare.to_sign[0].p, bare.to_sign[0].n,
                                     public_half(bare.key, 0).p) == 0,
         "Ed25519");
    bare_mldsa("ML-DSA-65", 1);
}

static double time_of(void (*call)(void))
{
    double start = bench_s(CLOCK_PROCESS_CPUTIME_ID);

    for (unsigned i = 0; i < CALLS; i++)
        call();
    return (bench_s(CLOCK_PROCESS_CPUTIME_ID) - start) * 1e6 / CALLS;
}

static void beside_bare(const char *name, void (*ours)(void))
{
    double best = 1e9, best_bare = 1e9;

    for (unsigned i = 0; i < ROUNDS; i++) {
        double t = time_of(ours), b = time_of(bare_calls);

        best = t < best ? t : best;
        best_bare = b < best_bare ? b : best_bare;
    }
    figure(name, best, "us", best_bare, "ratio <= 1.15");
}

static void walk_chain(void)
{
    struct trust *t = NULL;

    must(trust_new(chain[0].bytes, &t, NULL) == RC_OK, "first root");
    for (size_t i = 1; i <= CHAIN; i++)
        must(trust_next_root(t, chain[i].bytes, NULL, NULL) == RC_OK, "next root");
    trust_free(&t);
}

static double peak_of(void (*call)(void))
{
    size_t before = heap_now;

    heap_peak = heap_now;
    call();
    return (double)(heap_peak - before) / 1024;
}

static void time_figure(enum suite suite, const char *what, void (*ours)(void))
{
    char name[96];

    (void)snprintf(name, sizeof name, "%s, suite %d", what, (int)suite);
    beside_bare(name, ours);
}

static noinline void in_suite(enum suite suite)
{
    doc_keys_suite = suite;
    make_trust();
    make_payloads();
    make_token();
    make_revocation();
    for (uint64_t v = 1; v <= CHAIN + 1; v++)
        make_chain_link(v);
    sizes(suite);
    bare_from(&manifest_1, DOC_MANIFEST, K_ACME);
    time_figure(suite, "verify one manifest", our_manifest);
    bare_from(&order_1, DOC_ORDER, K_OPERATOR_A);
    time_figure(suite, "verify one order of 8 payloads", our_order);

    double start = bench_s(CLOCK_PROCESS_CPUTIME_ID);
    walk_chain();
    double ms = (bench_s(CLOCK_PROCESS_CPUTIME_ID) - start) * 1e3;
    figure_of(suite, "chain of 50 rotations, 4 signers each", ms, "ms", "");
    figure_of(suite, "peak heap of our code: manifest", peak_of(our_manifest), "KiB", "<= 256");
    figure_of(suite, "peak heap of our code: order", peak_of(our_order), "KiB", "<= 256");
    figure_of(suite, "peak heap of our code: chain of roots", peak_of(walk_chain), "KiB", "<= 256");
    trust_free(&trust);
    doc_keys_free();
}

int main(int argc, char **argv)
{
    out = fopen(argc > 1 ? argv[1] : "/dev/null", "we");
    if (!out || sodium_init() < 0) {
        perror(argc > 1 ? argv[1] : "/dev/null");
        return 1;
    }
    (void)puts("manifest");
    report_size();
    for (size_t i = 0; suite_at(i); i++)
        in_suite(suite_at(i)->suite);
    return fclose(out) == 0 ? 0 : 1;
}
