/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/update_signed: packages that a tenant has really signed, and a trust that believes it.
 */
#ifndef BERTH_TESTS_UNIT_UPDATE_SIGNED_H
#define BERTH_TESTS_UNIT_UPDATE_SIGNED_H

#include "tests/unit/documents.h"
#include "tests/unit/update_fixture.h"
#include "update/pack.h"
#include "update/package.h"
#include "update/verify.h"

static struct signed_doc signed_doc_; /* too big for a frame */

/* A trust that holds acme's grant. */
static noinline struct trust *signed_trust(void)
{
    struct trust *trust = NULL;
    struct root root = doc_root();
    struct grant grant = doc_grant();
    struct err err;

    grant.store_bytes = 1U << 30;
    doc_signed(&signed_doc_, DOC_ROOT, root_encode, &root, K_ROOT_A, K_ROOT_B);
    doc_must(trust_new(signed_doc_.bytes, &trust, &err), &err);
    doc_signed(&signed_doc_, DOC_GRANT, grant_encode, &grant, K_OPERATOR_A);
    doc_must(trust_add_grant(trust, signed_doc_.bytes, NOW_MS, &err), &err);
    return trust;
}

/* acme's manifest for this content. */
static noinline struct manifest signed_manifest(const struct unpack_spec *spec)
{
    struct manifest m = doc_manifest();

    m.content = spec->content;
    m.content_bytes = spec->content_bytes;
    m.unpacked_bytes = spec->unpacked_bytes;
    m.files = spec->files;
    m.index = spec->index;
    (void)snprintf(m.arch, sizeof m.arch, "any");
    (void)snprintf(m.args[0], sizeof m.args[0], "%s", spec->entry);
    return m;
}

/* The whole package in a sealed memfd. */
static noinline int signed_package(const struct manifest *m, struct bytes content,
                                   enum doc_key signer)
{
    scoped(close_fd) int in = memfd_of(content);
    int out = memfd_create("package", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct err err;

    doc_signed(&signed_doc_, DOC_MANIFEST, manifest_encode, m, signer);
    doc_must(pack_assemble(signed_doc_.bytes, in, 0, content.n, out, &err), &err);
    if (fcntl(out, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK) != 0)
        abort();
    return out;
}

/* A small honest package, text in its one file, and the payload it verifies to. */
static noinline struct verified_payload *signed_payload(const struct trust *trust, const char *text)
{
    struct tar t = { 0 };
    struct verified_payload *payload = NULL;
    struct err err;

    tar_dir(&t, "bin/");
    tar_file(&t, "bin/app", 0755, text);
    tar_end(&t);

    struct content c = compress_window((struct bytes){ .p = t.p, .n = t.n }, 0);
    struct unpack_spec spec = spec_of(content_view(&c), &t, "/bin/app");
    struct manifest m = signed_manifest(&spec);
    scoped(close_fd) int fd = signed_package(&m, content_view(&c), K_ACME);

    doc_must(payload_verify(trust, fd, NOW_MS, &payload, &err), &err);
    tar_done(&t);
    free(c.p);
    return payload;
}

/* A program of this build, beside the directories of the tests. */
static maybe_unused int open_program(const char *name)
{
    char path[4096] = "";
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);

    for (int i = 0; n > 0 && i < 3; i++) {
        char *slash = strrchr(path, '/');

        if (!slash)
            abort();
        *slash = 0;
    }
    (void)snprintf(path + strlen(path), 64, "/%s", name);
    return open(path, O_PATH | O_CLOEXEC);
}

#endif
