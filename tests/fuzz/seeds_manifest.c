/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the seeds of the fuzz_manifest_* and audit corpora with the project's own encoders.  Run
 * by hand when a format changes; the seeds are committed:
 *
 *     make programs
 *     gcc -std=gnu17 -D_GNU_SOURCE -I. -isystem build/deps/include tests/fuzz/seeds_manifest.c \
 *         build/release/lib{orchestrator,update,manifest,base}.a -Lbuild/deps/lib -lsodium -lcrypto
 * -larchive \ -Wl,--gc-sections,-rpath,$PWD/build/lib/berth -o build/seeds build/seeds
 */
#include <fcntl.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "manifest/approval.h"
#include "manifest/brief.h"
#include "orchestrator/audit_file.h"
#include "tests/unit/documents.h"

static void put(const char *corpus, const char *name, struct bytes content)
{
    char path[128];
    struct err err;
    scoped(close_fd) int fd = -1;

    (void)snprintf(path, sizeof path, "tests/fuzz/corpus/%s", corpus);
    doc_must(fs_make_dirs(AT_FDCWD, path, 0755, &err), &err);
    doc_must(fs_open_dir(AT_FDCWD, path, 0755, &fd, &err), &err);
    doc_must(fs_write_file(fd, name, content, 0644, &err), &err);
}

static struct signed_doc one;
static struct report report;
static struct revoked_set set;

static noinline void put_delegations(void)
{
    struct delegation delegation = doc_delegation(), withdrawal = doc_withdrawal();
    struct manifest manifest = doc_manifest();

    doc_signed(&one, DOC_DELEGATION, delegation_encode, &delegation, K_ACME);
    put("fuzz_manifest_delegation", "good", one.payload);
    put("fuzz_manifest_envelope", "delegation", one.bytes);
    memcpy(withdrawal.team, "a/b/c/d", sizeof "a/b/c/d");
    doc_signed(&one, DOC_DELEGATION, delegation_encode, &withdrawal, K_ACME);
    put("fuzz_manifest_delegation", "withdrawn", one.payload);
    memcpy(manifest.team, "flight/cam", sizeof "flight/cam");
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &manifest, K_CAM);
    put("fuzz_manifest_manifest", "team", one.payload);
}

/* What one key signs, and what vouches for it. */
static noinline void put_approvals(void)
{
    struct approval approval = {
        .rollout = 3, .role = APPROVAL_SAFETY, .at_ms = NOW_MS, .who = "api/safety"
    };
    struct approver approver = { .name = "safety",
                                 .role = APPROVAL_SAFETY,
                                 .key = *sign_key_public(doc_key(K_SAFETY_A)),
                                 .issued_ms = ISSUED_MS,
                                 .expires_ms = NOW_MS };
    struct err err;

    memset(&approval.plan, 0x5e, sizeof approval.plan);
    doc_must(
        approval_encode(&approval, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
        &err);
    put("fuzz_manifest_approval", "good", one.payload);
    memcpy(approval.why, "seen two orbits", sizeof "seen two orbits");
    doc_must(
        approval_encode(&approval, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
        &err);
    put("fuzz_manifest_approval", "why", one.payload);
    doc_must(
        approver_encode(&approver, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
        &err);
    put("fuzz_manifest_approval", "approver", one.payload);
}

static noinline void put_rekeys(void)
{
    static struct rekey rekey;

    rekey = doc_rekey(REKEY_KEM);
    doc_signed(&one, DOC_REKEY, rekey_encode, &rekey, K_OPERATOR_A);
    put("fuzz_manifest_rekey", "kem", one.payload);
    put("fuzz_manifest_envelope", "rekey", one.bytes);
    rekey = doc_rekey(REKEY_MASTER);
    doc_signed(&one, DOC_REKEY, rekey_encode, &rekey, K_OPERATOR_A);
    put("fuzz_manifest_rekey", "master", one.payload);
    rekey = (struct rekey){ .satellite = "aurora-1", .number = 8, .issued_ms = ISSUED_MS, .n = 1 };
    rekey.entry[0].what = REKEY_NEW_KEM;
    doc_signed(&one, DOC_REKEY, rekey_encode, &rekey, K_OPERATOR_A);
    put("fuzz_manifest_rekey", "nobody", one.payload);
}

static noinline void put_agent_grant(void)
{
    struct grant grant = doc_grant();

    grant.agent = true;
    memcpy(grant.tenant, AGENT_TENANT, sizeof AGENT_TENANT);
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    put("fuzz_manifest_grant", "agent", one.payload);
}

/* With all that came later. */
static noinline void put_wants(void)
{
    struct manifest m = doc_manifest();
    struct grant grant = doc_grant();
    struct delegation delegation = doc_delegation();

    m.limits.memory_high_bytes = 8U << 20;
    m.limits.cpu_weight = 50;
    m.limits.shm_bytes = 1U << 20;
    m.limits.outbox_bytes = 1U << 20;
    m.limits.outbox_bytes_day = 2U << 20;
    m.limits.logs_bytes_day = 64U << 10;
    m.limits.logs_bytes_pass = 16U << 10;
    m.limits.run_s_orbit = 600;
    m.calls = CALLS_ALL;
    m.network = NETWORK_HOST;
    memcpy(m.interface, "can0", 5);
    m.net_bps = 1000;
    m.n_devices = 1;
    memcpy(m.device[0], "camera", 7);
    m.inner_root = true;
    m.isolation = ISOLATION_VM;
    m.image = IMAGE_SOLO5;
    m.n_peers = 1;
    memcpy(m.peer[0], "db", 3);
    m.kind = KIND_SCHEDULED;
    m.schedule = (struct schedule){ .every_s = 5400, .at_los = true, .event = "node" };
    m.restart = (struct restart){ RESTART_ON_FAILURE, 500, 30000, 5, 3600 };
    m.n_after = 1;
    memcpy(m.after[0], "db", 3);
    m.modes = MODES_ALL;
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    put("fuzz_manifest_manifest", "wants", one.payload);
    grant.total = m.limits;
    grant.may = delegation.may = allowance_of(&m);
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    put("fuzz_manifest_grant", "may", one.payload);
    doc_signed(&one, DOC_DELEGATION, delegation_encode, &delegation, K_ACME);
    put("fuzz_manifest_delegation", "may", one.payload);
    m = doc_manifest();
    m.kind = KIND_ONESHOT;
    m.modes = MODE_SAFE;
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &m, K_ACME);
    put("fuzz_manifest_manifest", "oneshot", one.payload);
}

/* A file of two entries, the first of them signed. */
static noinline void put_audit(const struct root *root)
{
    static struct signed_doc root_doc, records[2];
    struct audit_entry e = {
        .seq = 1, .at_ms = NOW_MS, .root_version = 1, .who = "mara", .action = "fleet-init"
    };
    struct audit_file_root file_root;
    struct audit_file_head head = { .mission = doc_mission, .seq = 2, .n_roots = 1 };
    static uint8_t file[1U << 16];
    uint8_t *bytes = NULL;
    size_t n = 0;
    struct err err;

    doc_signed(&root_doc, DOC_ROOT, root_encode, root, K_ROOT_A);
    doc_signed(&records[0], DOC_AUDIT, audit_entry_encode, &e, K_OPERATOR_A);
    put("fuzz_manifest_audit", "first", records[0].payload);
    e = (struct audit_entry){ .seq = 2,
                              .at_ms = NOW_MS,
                              .root_version = 1,
                              .who = "mara",
                              .action = "apply",
                              .what = "plan 5e",
                              .why = "new camera",
                              .n_approvals = 1 };
    memset(&e.plan, 0x5e, sizeof e.plan);
    memcpy(e.approval[0], sign_key_public(doc_key(K_OPERATOR_A))->id, KEY_ID_SIZE);
    doc_must(sha256_of(records[0].bytes, e.previous.b, &err), &err);
    doc_signed(&records[1], DOC_AUDIT, audit_entry_encode, &e, K_OPERATOR_A);
    put("fuzz_manifest_audit", "full", records[1].payload);
    doc_must(sha256_of(records[1].payload, head.head.b, &err), &err);
    file_root.envelope = root_doc.bytes;
    head.root = &file_root;
    doc_must(audit_file_head_encode(&head, &bytes, &n, &err), &err);
    memcpy(file, bytes, n);
    memcpy(file + n, records[0].bytes.p, records[0].bytes.n);
    n += records[0].bytes.n;
    memcpy(file + n, records[1].payload.p, records[1].payload.n);
    n += records[1].payload.n;
    put("fuzz_orchestrator_audit_file", "two", (struct bytes){ file, n });
    e.lost = (struct audit_lost){ 2, 8 };
    e.seq = 9;
    doc_signed(&records[1], DOC_AUDIT, audit_entry_encode, &e, K_OPERATOR_A);
    put("fuzz_manifest_audit", "lost", records[1].payload);
    free(bytes);
}

int main(void)
{
    struct root root = doc_root();
    struct grant grant = doc_grant();
    struct manifest manifest = doc_manifest();
    struct order order = doc_order();
    struct revocation revocation = doc_revocation();
    struct token token = doc_token();
    struct brief brief = { .satellite = "aurora-1", .epoch = 2, .seq = 900, .time_ms = NOW_MS };
    struct err err;

    root.root_keys = doc_key_set(1, 1, K_ROOT_A);
    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_A);
    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A);
    put("fuzz_manifest_root", "good", one.payload);
    put("fuzz_manifest_envelope", "root", one.bytes);
    put_audit(&root);
    root.safety_keys = doc_key_set(1, 1, K_SAFETY_A);
    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A);
    put("fuzz_manifest_root", "safety", one.payload);
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    put("fuzz_manifest_grant", "good", one.payload);
    grant.needs_safety = true;
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    put("fuzz_manifest_grant", "safety", one.payload);
    put_agent_grant();
    put_wants();
    doc_signed(&one, DOC_TOKEN, token_encode, &token, K_OPERATOR_A, K_SAFETY_A);
    put("fuzz_manifest_token", "good", one.payload);
    put("fuzz_manifest_envelope", "token", one.bytes);
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
    put("fuzz_manifest_manifest", "good", one.payload);
    memset(&manifest.index, 0x79, sizeof manifest.index);
    memset(&manifest.index384, 0x7a, sizeof manifest.index384);
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
    put("fuzz_manifest_manifest", "index", one.payload);
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    put("fuzz_manifest_order", "good", one.payload);
    put("fuzz_manifest_envelope", "order", one.bytes);
    order.staged = true;
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    put("fuzz_manifest_order", "staged", one.payload);
    order.witness.seq = 300;
    memset(&order.witness.head, 0x57, sizeof order.witness.head);
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    put("fuzz_manifest_order", "witness", one.payload);
    order.witness = (struct witness){ 0 };
    order.staged = false;
    order.n_lines = 0;
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A, K_OPERATOR_B);
    put("fuzz_manifest_order", "empty", one.payload);
    put("fuzz_manifest_envelope", "two-signers", one.bytes);
    doc_report(&report);
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "good", one.payload);
    report.staged = 13;
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "staged", one.payload);
    doc_report_keys(&report.keys);
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "keys", one.payload);
    doc_report_agent(&report.agent);
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "agent", one.payload);
    report.scrub = (struct report_scrub){ 2, 60, 300, 70000, 5, 4, 1, 1, { { { 9 } } } };
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "scrub", one.payload);
    report.traffic = (struct report_traffic){ 3, { 10, 5, 4, 9 }, { 30, 10, 20, 19 }, 2, 77, 60 };
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "traffic", one.payload);
    report.n_usage = 1;
    report.usage[0] = (struct report_usage){ "acme", 65536, { { 1, 2 }, { 3, 4 }, { 5, 6 } } };
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "usage", one.payload);
    brief.root.b[3] = 0x33;
    doc_must(brief_encode(&brief, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_brief", "good", one.payload);
    report.keeps_witness = true;
    report.witness.seq = 300;
    memset(&report.witness.head, 0x57, sizeof report.witness.head);
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "witness", one.payload);
    doc_report_walls(&report);
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "walls", one.payload);
    report.n_spool = 1;
    report.spool[0] = (struct report_spool){ "acme", 2, 300, { 1, 0, 0, 4 } };
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "spool", one.payload);
    put_rekeys();
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &revocation, K_ROOT_A, K_ROOT_B);
    put("fuzz_manifest_revocation", "good", one.payload);
    put("fuzz_manifest_envelope", "revocation", one.bytes);
    set.root_version = set.number = 1;
    set.issued_ms = ISSUED_MS;
    set.newest = revocation.entry[2].manifest;
    doc_must(revoked_set_add(&set, &revocation, &err), &err);
    doc_must(revoked_set_encode(&set, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_revocation", "set", one.payload);
    revocation.n = 0;
    doc_signed(&one, DOC_REVOCATION, revocation_encode, &revocation, K_ROOT_A);
    put("fuzz_manifest_revocation", "empty", one.payload);
    put_delegations();
    put_approvals();
    doc_keys_free();
    return 0;
}
