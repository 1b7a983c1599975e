/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/signing.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fs.h"
#include "orchestrator/home.h"
#include "orchestrator/path.h"
#include "orchestrator/remote_orders.h"
#include "update/pack.h"

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

enum rc signing_mission(struct cli *cli, struct mission *ret, struct err *err)
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
    if (cli->context)
        return remote_mission(cli->context, ret, err);
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
        rc = signing_mission(cli, &mission, err);
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
        rc = signing_mission(cli, &mission, err);
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

/* ---- across an air gap ---- */

void subject_done(struct subject *subject)
{
    close_fd(&subject->fd);
    free_ptr(&subject->file);
    draft_done(&subject->draft);
    package_done(&subject->package);
}

static enum rc open_draft(struct cli *cli, struct subject *s, struct err *err)
{
    scoped(free_ptr) struct manifest *manifest = calloc(1, sizeof *manifest);
    enum rc rc = manifest ? draft_open(s->fd, &s->draft, manifest, err)
                          : err_set(err, RC_NO_MEMORY, "manifest");

    s->kind = SUBJECT_DRAFT;
    s->request.type = DOC_MANIFEST;
    s->request.payload = (struct bytes){ s->draft.manifest_cbor, s->draft.manifest_bytes };
    return rc == RC_OK ? signing_mission(cli, &s->request.mission, err) : rc;
}

/* A root says its mission itself; for the rest it is in the signatures only. */
static enum rc open_envelope(struct cli *cli, struct subject *s, struct err *err)
{
    scoped(free_ptr) struct root *root = calloc(1, sizeof *root);
    struct envelope envelope;
    enum rc rc =
        root ? envelope_open(s->envelope, &envelope, err) : err_set(err, RC_NO_MEMORY, "envelope");

    if (rc != RC_OK)
        return rc;
    s->request.payload = envelope.payload;
    rc = doc_peek_type(envelope.payload, &s->request.type, err);
    if (rc == RC_OK && s->request.type == DOC_ROOT) {
        rc = root_decode(envelope.payload, root, err);
        s->request.mission = root->mission;
    } else if (rc == RC_OK) {
        rc = signing_mission(cli, &s->request.mission, err);
    }
    return rc == RC_OK ? request_check(&s->request, err) : rc;
}

static enum rc open_package(struct cli *cli, struct subject *s, struct err *err)
{
    enum rc rc = package_open(s->fd, &s->package, err);

    s->kind = SUBJECT_PACKAGE;
    s->envelope = package_envelope(&s->package);
    return rc == RC_OK ? open_envelope(cli, s, err) : rc;
}

static enum rc open_small(struct cli *cli, const char *path, struct subject *s, struct err *err)
{
    size_t n = 0;
    enum rc rc = path_read(path, REQUEST_FILE_MAX, &s->file, &n, err);
    struct bytes in = { .p = s->file, .n = n };

    if (rc != RC_OK)
        return rc;
    if (request_is(in)) {
        s->kind = SUBJECT_REQUEST;
        return request_decode(in, &s->request, err);
    }
    s->kind = SUBJECT_ENVELOPE;
    s->envelope = in;
    return open_envelope(cli, s, err);
}

enum rc subject_open(struct cli *cli, const char *path, struct subject *ret, struct err *err)
{
    scoped(subject_done) struct subject s = SUBJECT_NONE;
    uint8_t magic[PACKAGE_MAGIC_SIZE] = { 0 };
    uint64_t size = 0;
    enum rc rc = path_open_file(path, PACKAGE_FILE_MAX, &s.fd, &size, err);

    if (rc == RC_OK)
        rc = fs_pread_exact(s.fd, magic, size < sizeof magic ? (size_t)size : sizeof magic, 0, err);
    if (rc != RC_OK)
        return rc;
    if (memcmp(magic, PACKAGE_MAGIC, sizeof magic) == 0)
        rc = open_package(cli, &s, err);
    else if (memcmp(magic, DRAFT_MAGIC, sizeof magic) == 0)
        rc = open_draft(cli, &s, err);
    else if (size <= REQUEST_FILE_MAX)
        rc = open_small(cli, path, &s, err);
    else
        rc = err_set(err, RC_PACKAGE_FORMAT, "%s: nothing that can be signed", path);
    if (rc != RC_OK)
        return rc;
    *ret = s;
    s = (struct subject)SUBJECT_NONE;
    return RC_OK;
}

enum rc subject_write(const struct subject *subject, struct bytes envelope, const char *out,
                      struct err *err)
{
    scoped(output_done) struct output output = { .dirfd = -1, .fd = -1 };
    enum rc rc;

    if (subject->kind == SUBJECT_REQUEST || subject->kind == SUBJECT_ENVELOPE)
        return path_write(out, envelope, 0644, err);
    rc = output_begin(&output, out, err);
    if (rc == RC_OK)
        rc = subject->kind == SUBJECT_PACKAGE
                 ? pack_attach(subject->fd, envelope, output.fd, err)
                 : pack_assemble(envelope, subject->fd, subject->draft.content_at,
                                 subject->draft.content_bytes, output.fd, err);
    return rc == RC_OK ? output_end(&output, err) : rc;
}
