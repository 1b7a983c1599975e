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
    ret->index = (struct digest){ 0 };
    ret->index384 = (struct digest384){ 0 };
    rc = sha256_of(content, ret->content.b, err);
    if (rc == RC_OK && !digest384_is_none(&ret->content384))
        rc = sha384_of(content, ret->content384.b, err);
    return rc;
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

/* The newest root of the ground, decoded. */
static enum rc newest_root(const char *home_path, struct root *ret, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) uint8_t *bytes = NULL;
    struct envelope envelope;
    size_t n = 0;
    enum rc rc = home_open(home_path, false, &home, err);

    if (rc == RC_OK)
        rc = store_document(home.store, DOC_ROOT, "root", &bytes, &n, err);
    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ .p = bytes, .n = n }, &envelope, err);
    return rc == RC_OK ? root_decode(envelope.payload, ret, err) : rc;
}

enum rc forge_root(const struct forge *f, const char *home, struct bytes passphrase,
                   struct err *err)
{
    scoped(free_ptr) struct root *root = calloc(1, sizeof *root);
    scoped(free_ptr) uint8_t *buf = malloc(2 * (size_t)DOCUMENT_MAX);
    scoped(sign_key_free) struct sign_key *key = NULL;
    scoped(close_fd) int fd = -1;
    struct bytes payload = { 0 }, envelope = { 0 };
    enum rc rc = root && buf ? newest_root(home, root, err) : err_set(err, RC_NO_MEMORY, "forge");

    if (rc == RC_OK)
        rc = load_key(f, passphrase, &key, err);
    if (rc != RC_OK)
        return rc;
    root->version++;
    root->issued_ms++;
    root->root_keys = (struct key_set){ .threshold = 1, .n = 1, .key = { *sign_key_public(key) } };
    rc = root_encode(root, buf, DOCUMENT_MAX, &payload, err);
    if (rc == RC_OK)
        rc = sign_document(DOC_ROOT, &root->mission, payload,
                           (const struct sign_key *const[]){ key }, 1, buf + DOCUMENT_MAX,
                           DOCUMENT_MAX, &envelope, err);
    if (rc == RC_OK)
        rc = open_path(f->work_fd, f->out, O_WRONLY | O_CREAT | O_TRUNC, &fd, err);
    return rc == RC_OK ? fs_write_all(fd, envelope, err) : rc;
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

/* A copy of the delta whose last byte is another, as an object of the home. */
static enum rc damage_delta(const struct home *home, const struct store_delta *delta, int out_fd,
                            struct store_outgoing *ret, struct err *err)
{
    scoped(free_ptr) uint8_t *bytes = malloc(delta->size);
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;

    if (!bytes)
        return err_set(err, RC_NO_MEMORY, "delta");

    enum rc rc = home_open_object(home, &delta->object, &fd, &size, err);

    if (rc == RC_OK)
        rc = fs_pread_exact(fd, bytes, delta->size, 0, err);
    if (rc != RC_OK)
        return rc;
    bytes[delta->size - 1] ^= 0x5a;
    rc = home_add_bytes(home, (struct bytes){ bytes, delta->size }, &ret->object, ret->path, err);
    return rc == RC_OK ? fs_write_all(out_fd, (struct bytes){ bytes, delta->size }, err) : rc;
}

/* The forged one takes the place of the honest one, everywhere.  *ret counts. */
static enum rc swap_delta(const struct home *home, struct store_delta *delta,
                          const struct store_outgoing *forged, size_t *ret, struct err *err)
{
    scoped(store_rollback) struct store *open = NULL;
    scoped(free_ptr) struct store_outgoing *rows = NULL;
    size_t n = 0;
    enum rc rc = store_begin(home->store, &open, err);

    if (rc == RC_OK)
        rc = store_outgoing(home->store, NULL, OUTGOING_QUEUED, &rows, &n, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        struct store_outgoing other = rows[i];

        if (!digest_same(&rows[i].object, &delta->object))
            continue;
        other.object = forged->object;
        memcpy(other.path, forged->path, sizeof other.path);
        rows[i].state = OUTGOING_CANCELLED;
        rc = store_update_outgoing(home->store, &rows[i], err);
        if (rc == RC_OK)
            rc = store_queue(home->store, &other, true, err);
        ++*ret;
    }
    delta->object = forged->object;
    if (rc == RC_OK)
        rc = store_put_delta(home->store, delta, err);
    return rc == RC_OK ? store_commit(&open, err) : rc;
}

enum rc forge_delta(int work_fd, const char *home_path, const char *out, struct err *err)
{
    scoped(home_close) struct home home = HOME_NONE;
    scoped(free_ptr) struct store_delta *deltas = NULL;
    scoped(close_fd) int fd = -1;
    size_t n = 0, swapped = 0;
    enum rc rc = home_open(home_path, false, &home, err);

    if (rc == RC_OK)
        rc = store_deltas(home.store, &deltas, &n, err);
    if (rc == RC_OK)
        rc = open_path(work_fd, out, O_WRONLY | O_CREAT | O_TRUNC, &fd, err);
    for (size_t i = 0; rc == RC_OK && i < n; i++) {
        struct store_outgoing forged = { 0 };
        bool queued = false;

        rc = store_is_queued(home.store, &deltas[i].object, &queued, err);
        if (rc != RC_OK || !queued || deltas[i].state != DELTA_READY)
            continue;
        rc = damage_delta(&home, &deltas[i], fd, &forged, err);
        if (rc == RC_OK)
            rc = swap_delta(&home, &deltas[i], &forged, &swapped, err);
    }
    return rc == RC_OK && swapped == 0 ? err_set(err, RC_SCENARIO, "no delta is queued") : rc;
}
