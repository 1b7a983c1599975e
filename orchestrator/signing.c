/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/signing.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/draft.h"
#include "orchestrator/home.h"
#include "orchestrator/keys.h"
#include "orchestrator/path.h"
#include "update/pack.h"
#include "update/package.h"

static enum rc mission_of_root(const char *path, struct mission *ret, struct err *err)
{
    scoped(free_ptr) uint8_t *envelope = NULL;
    scoped(trust_free) struct trust *trust = NULL;
    size_t n = 0;
    enum rc rc = path_read(path, DOCUMENT_MAX, &envelope, &n, err);

    if (rc == RC_OK)
        rc = trust_new((struct bytes){ .p = envelope, .n = n }, &trust, err);
    if (rc == RC_OK)
        *ret = trust_root(trust)->mission;
    return rc;
}

static enum rc find_mission(struct cli *cli, struct mission *ret, struct err *err)
{
    const char *hex = cli_value(cli, "mission"), *root = cli_value(cli, "root");
    scoped(home_close) struct home home = HOME_NONE;
    scoped(trust_free) struct trust *trust = NULL;
    enum rc rc;

    if (hex)
        return bytes_unhex(hex, ret->b, sizeof ret->b)
                   ? RC_OK
                   : err_set(err, RC_USAGE, "--mission wants 32 hex digits");
    if (root)
        return mission_of_root(root, ret, err);
    rc = home_open(cli->home, false, &home, err);
    if (rc == RC_OK)
        rc = home_trust(&home, clock_unix_ms(), &trust, err);
    if (rc == RC_NOT_FOUND)
        return err_set(err, RC_USAGE, "for which mission? give --mission or --root");
    if (rc == RC_OK)
        *ret = trust_root(trust)->mission;
    return rc;
}

/* A file that appears under its name only when it is whole. */
struct output {
    int dirfd;
    int fd;
    char name[PATH_NAME_CAP];
    char draft[PATH_NAME_CAP + 8];
};

static void output_done(struct output *o)
{
    struct err ignored;

    if (o->fd >= 0)
        (void)!fs_unlink(o->dirfd, o->draft, &ignored);
    close_fd(&o->fd);
    close_fd(&o->dirfd);
}

static enum rc output_begin(struct output *o, const char *path, struct err *err)
{
    enum rc rc = path_open_parent(path, &o->dirfd, o->name, err);

    if (rc != RC_OK)
        return rc;
    (void)snprintf(o->draft, sizeof o->draft, ".%s.new", o->name);
    rc = fs_unlink(o->dirfd, o->draft, err);
    return rc == RC_OK ? fs_open(o->dirfd, o->draft, O_WRONLY | O_CREAT | O_EXCL, 0644, &o->fd, err)
                       : rc;
}

static enum rc output_end(struct output *o, struct err *err)
{
    enum rc rc = fs_sync(o->fd, o->name, err);

    if (rc == RC_OK)
        rc = fs_rename(o->dirfd, o->draft, o->dirfd, o->name, false, err);
    if (rc == RC_OK)
        close_fd(&o->fd);
    return rc;
}

enum rc signing_draft(struct cli *cli, const char *draft_path, const char *out, struct err *err)
{
    scoped(output_done) struct output output = { .dirfd = -1, .fd = -1 };
    scoped(free_ptr) struct manifest *manifest = calloc(1, sizeof *manifest);
    scoped(keyring_done) struct keyring ring = { 0 };
    scoped(draft_done) struct draft draft = { 0 };
    scoped(free_ptr) uint8_t *envelope = NULL;
    scoped(close_fd) int fd = -1;
    struct mission mission;
    struct bytes payload;
    uint64_t size = 0;
    size_t n = 0;
    enum rc rc = manifest ? path_open_file(draft_path, DRAFT_FILE_MAX, &fd, &size, err)
                          : err_set(err, RC_NO_MEMORY, "manifest");

    if (rc == RC_OK)
        rc = draft_open(fd, &draft, manifest, err);
    if (rc == RC_OK)
        rc = find_mission(cli, &mission, err);
    if (rc == RC_OK)
        rc = keyring_load(cli, "key", NULL, &ring, err);
    payload = (struct bytes){ .p = draft.manifest_cbor, .n = draft.manifest_bytes };
    if (rc == RC_OK)
        rc = keyring_sign(&ring, DOC_MANIFEST, &mission, payload, &envelope, &n, err);
    if (rc == RC_OK)
        rc = output_begin(&output, out, err);
    if (rc == RC_OK)
        rc = pack_assemble((struct bytes){ .p = envelope, .n = n }, fd, draft.content_at,
                           draft.content_bytes, output.fd, err);
    return rc == RC_OK ? output_end(&output, err) : rc;
}

enum rc signing_attach(struct cli *cli, const char *package_path, const char *out, struct err *err)
{
    scoped(output_done) struct output output = { .dirfd = -1, .fd = -1 };
    scoped(package_done) struct package package = { 0 };
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(keyring_done) struct keyring ring = { 0 };
    const struct sign_key *keys[SIGNERS_MAX];
    scoped(close_fd) int fd = -1;
    struct bytes envelope = { 0 };
    struct mission mission;
    uint64_t size = 0;
    enum rc rc = buf ? path_open_file(package_path, PACKAGE_FILE_MAX, &fd, &size, err)
                     : err_set(err, RC_NO_MEMORY, "envelope");

    if (rc == RC_OK)
        rc = package_open(fd, &package, err);
    if (rc == RC_OK)
        rc = find_mission(cli, &mission, err);
    if (rc == RC_OK)
        rc = keyring_load(cli, "key", NULL, &ring, err);
    for (size_t i = 0; i < ring.n; i++)
        keys[i] = ring.key[i];
    if (rc == RC_OK)
        rc = sign_attach(DOC_MANIFEST, &mission, package_envelope(&package), keys, ring.n, buf,
                         DOCUMENT_MAX, &envelope, err);
    if (rc == RC_OK)
        rc = output_begin(&output, out, err);
    if (rc == RC_OK)
        rc = pack_attach(fd, envelope, output.fd, err);
    return rc == RC_OK ? output_end(&output, err) : rc;
}
