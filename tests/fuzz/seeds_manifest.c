/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes the seeds of the fuzz_manifest_* corpora with the project's own encoders.  Run by hand
 * when a format changes; the seeds are committed:
 *
 *     make programs
 *     gcc -std=gnu17 -D_GNU_SOURCE -I. -isystem build/deps/include tests/fuzz/seeds_manifest.c \
 *         build/release/lib{update,manifest,base}.a -Lbuild/deps/lib -lsodium -lcrypto -larchive \
 *         -Wl,--gc-sections,-rpath,$PWD/build/lib/berth -o build/seeds
 *     build/seeds
 */
#include <fcntl.h>

#include "base/fs.h"
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

int main(void)
{
    struct root root = doc_root();
    struct grant grant = doc_grant();
    struct manifest manifest = doc_manifest();
    struct order order = doc_order();
    struct revocation revocation = doc_revocation();
    struct err err;

    root.root_keys = doc_key_set(1, 1, K_ROOT_A);
    root.operator_keys = doc_key_set(1, 1, K_OPERATOR_A);
    doc_signed(&one, DOC_ROOT, root_encode, &root, K_ROOT_A);
    put("fuzz_manifest_root", "good", one.payload);
    put("fuzz_manifest_envelope", "root", one.bytes);
    doc_signed(&one, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    put("fuzz_manifest_grant", "good", one.payload);
    doc_signed(&one, DOC_MANIFEST, manifest_encode, &manifest, K_ACME);
    put("fuzz_manifest_manifest", "good", one.payload);
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A);
    put("fuzz_manifest_order", "good", one.payload);
    put("fuzz_manifest_envelope", "order", one.bytes);
    order.n_lines = 0;
    doc_signed(&one, DOC_ORDER, order_encode, &order, K_OPERATOR_A, K_OPERATOR_B);
    put("fuzz_manifest_order", "empty", one.payload);
    put("fuzz_manifest_envelope", "two-signers", one.bytes);
    doc_report(&report);
    doc_must(report_encode(&report, one.payload_buf, sizeof one.payload_buf, &one.payload, &err),
             &err);
    put("fuzz_manifest_report", "good", one.payload);
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
    doc_keys_free();
    return 0;
}
