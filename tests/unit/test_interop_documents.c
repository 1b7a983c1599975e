/* SPDX-License-Identifier: Apache-2.0
 *
 * One document of each type, signed by our signer, handed as bytes to tests/interop: CBOR,
 * COSE_Sign, both signature schemes and the CDDL by programs that share nothing with ours.
 */
#include "tests/unit/test.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "link/logs.h"
#include "manifest/revocation.h"
#include "tests/unit/documents.h"

static struct signed_doc one;
static char directory[] = "/tmp/berth-interop-XXXXXX";
static const char *const names[] = { "root.cose",          "grant.cose",      "manifest.cose",
                                     "order.cose",         "revocation.cose", "report.cbor",
                                     "token.cose",         "delegation.cose", "withdrawal.cose",
                                     "team-manifest.cose", "rekey-kem.cose",  "rekey-master.cose",
                                     "log.cbor",           "log-request.cbor" };

static void put(const char *name, struct bytes content)
{
    scoped(close_fd) int fd = open(directory, O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_rc(fs_write_file(fd, name, content, 0644, NULL), RC_OK);
}

/* What came later and is left out where there is nothing of it. */
static noinline void add_wants(struct manifest *m)
{
    m->limits.memory_high_bytes = 8U << 20;
    m->limits.cpu_weight = 50;
    m->limits.run_s_orbit = 600;
    m->calls = CALLS_NET;
    m->network = NETWORK_HOST;
    memcpy(m->interface, "can0", 5);
    m->n_devices = 1;
    memcpy(m->device[0], "camera", 7);
    m->inner_root = true;
    m->kind = KIND_SCHEDULED;
    m->schedule = (struct schedule){ .every_s = 5400, .at_los = true };
    m->restart = (struct restart){ RESTART_ON_FAILURE, 500, 30000, 5, 3600 };
    m->n_after = 1;
    memcpy(m->after[0], "db", 3);
    m->modes = MODES_ALL;
}

static noinline void put_trust(void)
{
    struct root root = doc_root();
    struct grant grant = doc_grant();

    root.operator_keys.threshold = 2;
    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_C);
    put("root.cose", one.bytes);
    grant.keys = doc_key_set(2, 2, K_ACME);
    struct manifest manifest = doc_manifest();
    add_wants(&manifest);
    grant.total.shm_bytes = 1U << 20;
    grant.may = allowance_of(&manifest);
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_B, K_OPERATOR_A);
    put("grant.cose", one.bytes);
}

static noinline void put_payloads(void)
{
    struct manifest manifest = doc_manifest();
    struct order order = doc_order();
    struct key_set tenants = doc_key_set(2, 2, K_ACME);

    manifest.content384 = doc_digest384(&tenants, 0x78);
    memset(&manifest.index, 0x79, sizeof manifest.index);
    manifest.index384 = doc_digest384(&tenants, 0x7a);
    add_wants(&manifest);
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &manifest, K_ACME, K_ACME_2);
    put("manifest.cose", one.bytes);
    assert_rc(sha256_of(one.payload, order.line[0].manifest.b, NULL), RC_OK);
    if (!digest384_is_none(&order.line[0].manifest384))
        assert_rc(sha384_of(one.payload, order.line[0].manifest384.b, NULL), RC_OK);
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A, K_OPERATOR_B);
    put("order.cose", one.bytes);
}

static noinline void put_delegations(void)
{
    struct delegation delegation = doc_delegation(), withdrawal = doc_withdrawal();
    struct manifest manifest = doc_manifest();

    doc_signed(&one, DOC_DELEGATION, delegation_encode, &delegation, K_ACME, K_ACME_2);
    put("delegation.cose", one.bytes);
    doc_signed(&one, DOC_DELEGATION, delegation_encode, &withdrawal, K_ACME, K_ACME_2);
    put("withdrawal.cose", one.bytes);
    memcpy(manifest.team, "flight", sizeof "flight");
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &manifest, K_FLIGHT);
    put("team-manifest.cose", one.bytes);
}

static noinline void put_revocation(void)
{
    struct revocation r = {
        .number = 3,
        .issued_ms = ISSUED_MS,
        .n = 3,
        .entry = { { .kind = REVOKED_KEY, .policy = REVOKE_STOP },
                   { .kind = REVOKED_GRANT, .policy = REVOKE_KEEP, .tenant = "zenith", .epoch = 4 },
                   { .kind = REVOKED_MANIFEST, .policy = REVOKE_ROLLBACK } },
    };

    memcpy(r.entry[0].key, sign_key_public(doc_key(K_ZENITH))->id, KEY_ID_SIZE);
    memset(&r.entry[2].manifest, 0x22, sizeof r.entry[2].manifest);
    struct key_set roots = doc_key_set(2, 3, K_ROOT_A);
    r.entry[2].manifest384 = doc_digest384(&roots, 0x23);
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &r, K_ROOT_B, K_ROOT_A);
    put("revocation.cose", one.bytes);
}

static noinline void put_token(void)
{
    struct token token = doc_token();

    doc_signed(&one, DOC_TOKEN, token_encode, &token, K_OPERATOR_B, K_OPERATOR_A);
    put("token.cose", one.bytes);
}

/* One for each recipient; verify_documents.py opens both. */
static noinline void put_rekeys(void)
{
    struct rekey kem = doc_rekey(REKEY_KEM), master = doc_rekey(REKEY_MASTER);

    doc_signed(&one, DOC_REKEY, rekey_encode, &kem, K_OPERATOR_A, K_OPERATOR_B);
    put("rekey-kem.cose", one.bytes);
    doc_signed(&one, DOC_REKEY, rekey_encode, &master, K_OPERATOR_A, K_OPERATOR_B);
    put("rekey-master.cose", one.bytes);
}

static noinline void put_report(void)
{
    static struct report report;
    struct err err;

    doc_report(&report);
    doc_must(report_encode(&report, one.buf, sizeof one.buf, &one.bytes, &err), &err);
    put("report.cbor", one.bytes);
}

/* Too short to be packed: the other side sees its lines. */
static noinline void put_logs(void)
{
    static struct logs_writer w;
    static uint8_t buf[LOGS_BYTES_MAX];
    const struct logs_record line = { .number = 3,
                                      .offset = 70,
                                      .time_ms = UINT64_C(1764500000000),
                                      .stream = LOGS_ERR,
                                      .text = bytes_of("\x1b[2J") };
    const struct logs_record gap = { .stream = LOGS_GAP, .why = LOGS_RING, .lines = 2, .bytes = 9 };
    const struct logs_request request = { .instance = 7, .number = 3, .bytes = 65536 };
    struct bytes out = { 0 };
    struct err err;

    logs_begin(&w, 7, LOGS_PLAIN_MAX);
    assert_true(logs_add(&w, &line) && logs_add(&w, &gap));
    doc_must(logs_end(&w, buf, &out, &err), &err);
    put("log.cbor", out);
    doc_must(logs_request_encode(&request, buf, &out, &err), &err);
    put("log-request.cbor", out);
}

static void test_others_agree(void **state)
{
    (void)state;
    char python[] = "/usr/bin/python3", quiet[] = "-B",
         script[] = "tests/interop/verify_documents.py";
    char *const argv[] = { python, quiet, script, directory, NULL };
    pid_t pid = -1;
    int status = -1;

    put_trust();
    put_payloads();
    put_revocation();
    put_token();
    put_delegations();
    put_rekeys();
    put_report();
    put_logs();
    assert_int_equal(posix_spawn(&pid, python, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Keys of another suite grow from the same seeds. */
static void test_others_agree_in_suite_2(void **state)
{
    doc_keys_free();
    doc_keys_suite = SUITE_MLDSA87;
    test_others_agree(state);
}

static void test_others_agree_in_mixed_suites(void **state)
{
    doc_keys_free();
    doc_keys_suite = DOC_MIXED;
    test_others_agree(state);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(directory) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    scoped(close_fd) int fd = open(directory, O_DIRECTORY | O_CLOEXEC);

    for (size_t i = 0; fd >= 0 && i < sizeof names / sizeof names[0]; i++)
        (void)unlinkat(fd, names[i], 0);
    (void)rmdir(directory);
    doc_keys_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_others_agree),
        cmocka_unit_test(test_others_agree_in_suite_2),
        cmocka_unit_test(test_others_agree_in_mixed_suites),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
