/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/forge.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "manifest/envelope.h"
#include "orchestrator/home.h"
#include "update/keyfile.h"
#include "update/pack.h"
#include "update/package.h"
#include "update/sign.h"

/* Scenario paths are this program's own arguments, so they may be absolute. */
static enum rc open_path(int work_fd, const char *path, int flags, int *ret, struct err *err)
{
    int fd = openat(work_fd, path, flags | O_CLOEXEC, 0644);

    if (fd < 0)
        return err_sys(err, RC_IO, "%s", path);
    *ret = fd;
    return RC_OK;
}

static enum rc read_mission(const struct forge *f, struct mission *ret, struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = NULL;
    scoped(free_ptr) struct root *root = calloc(1, sizeof *root);
    struct envelope envelope;
    size_t n;
    enum rc rc = root ? fs_read_alloc(f->work_fd, f->root, DOCUMENT_MAX, &bytes, &n, err)
                      : err_set(err, RC_NO_MEMORY, "root");

    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ .p = bytes, .n = n }, &envelope, err);
    if (rc == RC_OK)
        rc = root_decode(envelope.payload, root, err);
    if (rc == RC_OK)
        *ret = root->mission;
    return rc;
}

/* The manifest of an honest package, as if it described the hostile content. */
static enum rc read_manifest(const struct forge *f, struct bytes content, struct manifest *ret,
                             struct err *err)
{
    scoped(package_done) struct package package = { 0 };
    scoped(close_fd) int fd = -1;
    struct envelope envelope;
    enum rc rc = open_path(f->work_fd, f->like, O_RDONLY, &fd, err);

    if (rc == RC_OK)
        rc = package_open(fd, &package, err);
    if (rc == RC_OK)
        rc = envelope_open(package_envelope(&package), &envelope, err);
    if (rc == RC_OK)
        rc = manifest_decode(envelope.payload, ret, err);
    if (rc != RC_OK)
        return rc;
    ret->release++;
    ret->content_bytes = content.n;
    return sha256_of(content, ret->content.b, err);
}

static enum rc write_package(const struct forge *f, struct bytes envelope, struct bytes content,
                             struct err *err)
{
    scoped(close_fd) int from = -1;
    scoped(close_fd) int to = -1;
    enum rc rc = fs_sealed("content", content, &from, err);

    if (rc == RC_OK)
        rc = open_path(f->work_fd, f->out, O_WRONLY | O_CREAT | O_TRUNC, &to, err);
    if (rc == RC_OK)
        rc = pack_assemble(envelope, from, 0, content.n, to, err);
    return rc;
}

static enum rc load_key(const struct forge *f, struct bytes passphrase, struct sign_key **ret,
                        struct err *err)
{
    enum key_role role;

    return keyfile_load(f->work_fd, f->key, passphrase, &role, ret, err);
}

enum rc forge_package(const struct forge *f, struct bytes passphrase, struct err *err)
{
    scoped(free_ptr) struct manifest *manifest = calloc(1, sizeof *manifest);
    scoped(free_ptr) uint8_t *buf = malloc(2 * (size_t)DOCUMENT_MAX);
    scoped(free_ptr) uint8_t *data = NULL;
    scoped(sign_key_free) struct sign_key *key = NULL;
    struct mission mission;
    struct bytes content = { 0 };
    struct bytes payload;
    struct bytes envelope;
    enum rc rc = manifest && buf ? RC_OK : err_set(err, RC_NO_MEMORY, "forge");

    if (rc == RC_OK)
        rc = fs_read_alloc(AT_FDCWD, f->content, 1U << 20, &data, &content.n, err);
    content.p = data;
    if (rc == RC_OK)
        rc = read_mission(f, &mission, err);
    if (rc == RC_OK)
        rc = read_manifest(f, content, manifest, err);
    if (rc == RC_OK)
        rc = load_key(f, passphrase, &key, err);
    if (rc == RC_OK)
        rc = manifest_encode(manifest, buf, DOCUMENT_MAX, &payload, err);
    if (rc == RC_OK)
        rc = sign_document(DOC_MANIFEST, &mission, payload, (const struct sign_key *const[]){ key },
                           1, buf + DOCUMENT_MAX, DOCUMENT_MAX, &envelope, err);
    if (rc == RC_OK)
        rc = write_package(f, envelope, content, err);
    return rc;
}

static void free_orders(struct store_order **orders)
{
    free(*orders);
}

enum rc forge_old_order(int work_fd, const char *home_path, const char *satellite, const char *out,
                        struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_orders) struct store_order *orders = NULL;
    scoped(free_ptr) uint8_t *bytes = NULL;
    scoped(close_fd) int fd = -1;
    const struct store_order_filter filter = { .satellite = satellite };
    size_t n = 0;
    size_t n_bytes = 0;
    enum rc rc = home_open(home_path, false, &home, err);

    if (rc == RC_OK)
        rc = store_orders(home.store, &filter, &orders, &n, err);
    if (rc == RC_OK && n < 2)
        rc = err_set(err, RC_SCENARIO, "%s has no older order yet", satellite);
    if (rc == RC_OK)
        rc = store_order_envelope(home.store, satellite, orders[0].generation, &bytes, &n_bytes,
                                  err);
    if (rc == RC_OK)
        rc = open_path(work_fd, out, O_WRONLY | O_CREAT | O_TRUNC, &fd, err);
    if (rc == RC_OK)
        rc = fs_write_all(fd, (struct bytes){ .p = bytes, .n = n_bytes }, err);
    return rc;
}
