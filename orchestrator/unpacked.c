/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/unpacked.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "manifest/envelope.h"
#include "orchestrator/draft.h"
#include "update/index.h"
#include "update/package.h"
#include "update/unpack.h"

#define UNPACK_TIMEOUT_MS (10 * 60 * 1000)

void unpacked_done(struct unpacked *u)
{
    free(u->manifest);
    free(u->envelope);
    free(u->index);
    close_fd(&u->root);
    close_fd(&u->index_fd);
    *u = (struct unpacked)UNPACKED_NONE;
}

/* ---- what the file says -----------------------------------------------------------------------
 */

static enum rc read_signed(int fd, struct unpacked *u, uint64_t *ret_at, struct err *err)
{
    scoped(package_done) struct package package = { 0 };
    struct envelope envelope;
    enum rc rc = package_open(fd, &package, err);

    if (rc == RC_OK)
        rc = envelope_open(package_envelope(&package), &envelope, err);
    if (rc == RC_OK)
        rc = manifest_decode(envelope.payload, u->manifest, err);
    if (rc == RC_OK)
        rc = sha256_of(envelope.payload, u->digest.b, err);
    if (rc == RC_OK && package.content_bytes != u->manifest->content_bytes)
        rc = err_set(err, RC_PACKAGE_SIZE, "content");
    if (rc == RC_OK)
        rc = package_check_content(fd, package.content_at, u->manifest, err);
    if (rc != RC_OK)
        return rc;
    *ret_at = package.content_at;
    u->full_bytes = package.content_at + package.content_bytes;
    u->envelope = package.envelope;
    u->envelope_bytes = package.envelope_bytes;
    package.envelope = NULL; /* handed on */
    return RC_OK;
}

static enum rc read_draft(int fd, struct unpacked *u, uint64_t *ret_at, struct err *err)
{
    scoped(draft_done) struct draft draft = { 0 };
    enum rc rc = draft_open(fd, &draft, u->manifest, err);

    if (rc == RC_OK)
        rc = sha256_of((struct bytes){ draft.manifest_cbor, draft.manifest_bytes }, u->digest.b,
                       err);
    if (rc != RC_OK)
        return rc;
    *ret_at = draft.content_at;
    u->full_bytes = draft.content_at + draft.content_bytes;
    return RC_OK;
}

static enum rc read_file(int fd, struct unpacked *u, uint64_t *ret_at, struct err *err)
{
    uint8_t magic[PACKAGE_MAGIC_SIZE];
    enum rc rc = fs_pread_exact(fd, magic, sizeof magic, 0, err);

    if (rc == RC_SHORT)
        return err_set(err, RC_PACKAGE_FORMAT, "not a package");
    if (rc != RC_OK)
        return rc;
    u->manifest = calloc(1, sizeof *u->manifest);
    if (!u->manifest)
        return err_set(err, RC_NO_MEMORY, "manifest");
    return memcmp(magic, DRAFT_MAGIC, sizeof magic) == 0 ? read_draft(fd, u, ret_at, err)
                                                         : read_signed(fd, u, ret_at, err);
}

enum rc unpacked_read(int fd, struct unpacked *ret, struct err *err)
{
    scoped(unpacked_done) struct unpacked u = UNPACKED_NONE;
    uint64_t at = 0;
    enum rc rc = read_file(fd, &u, &at, err);

    if (rc == RC_OK) {
        *ret = u;
        u = (struct unpacked)UNPACKED_NONE;
    }
    return rc;
}

/* ---- its files --------------------------------------------------------------------------------
 */

/* Every byte is set, padding too: the struct crosses a pipe. */
static void fill_spec(const struct unpacked *u, uint64_t content_at, struct unpack_spec *ret)
{
    const struct manifest *m = u->manifest;

    memset(ret, 0, sizeof *ret);
    ret->content_at = content_at;
    ret->content_bytes = m->content_bytes;
    ret->unpacked_bytes = m->unpacked_bytes;
    ret->content = m->content;
    ret->content384 = m->content384;
    ret->index = m->index;
    ret->index384 = m->index384;
    ret->files = m->files;
    memcpy(ret->entry, m->args[0], sizeof ret->entry);
}

static enum rc wait_for(struct unpack_job *job, struct err *err)
{
    struct pollfd ready = { .fd = job->pidfd, .events = POLLIN };
    int n;

    do
        n = poll(&ready, 1, UNPACK_TIMEOUT_MS);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return unpack_result(job, err);
    unpack_cancel(job);
    return err_set(err, RC_TIMEOUT, "berth-unpack");
}

static enum rc unpack(int fd, int program, const struct unpacked *u, uint64_t content_at,
                      struct err *err)
{
    struct unpack_spec spec;
    struct unpack_job job = { 0 };
    int fds[UNPACK_FDS];

    for (size_t i = 0; i < UNPACK_FDS; i++)
        fds[i] = -1;
    fds[0] = fd;
    fds[1] = u->root;
    fds[2] = u->index_fd;
    fill_spec(u, content_at, &spec);

    enum rc rc = unpack_start_job(&spec, program, fds, &job, err);

    return rc == RC_OK ? wait_for(&job, err) : rc;
}

/* The index that berth-unpack wrote, which is to be the manifest's. */
static enum rc take_index(struct unpacked *u, struct err *err)
{
    struct digest found;
    struct stat st;

    if (fstat(u->index_fd, &st) != 0)
        return err_sys(err, RC_IO, "index");
    if (st.st_size <= 0 || st.st_size > (off_t)INDEX_MAX)
        return err_set(err, RC_INDEX_FORMAT, "of %lld bytes", (long long)st.st_size);
    if (fcntl(u->index_fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) != 0)
        return err_sys(err, RC_IO, "index");
    u->index_bytes = (size_t)st.st_size;
    u->index = malloc(u->index_bytes);
    if (!u->index)
        return err_set(err, RC_NO_MEMORY, "index");

    enum rc rc = fs_pread_exact(u->index_fd, u->index, u->index_bytes, 0, err);

    if (rc == RC_OK)
        rc = sha256_of((struct bytes){ u->index, u->index_bytes }, found.b, err);
    if (rc == RC_OK && !digest_is_none(&u->manifest->index) &&
        !digest_same(&found, &u->manifest->index))
        rc = err_set(err, RC_INDEX_MISMATCH, "%s/%s %s", u->manifest->tenant, u->manifest->name,
                     u->manifest->version);
    return rc;
}

enum rc unpacked_open(int fd, const struct unpacked_place *place, const char *name,
                      struct unpacked *ret, struct err *err)
{
    scoped(unpacked_done) struct unpacked u = UNPACKED_NONE;
    uint64_t at = 0;
    enum rc rc = read_file(fd, &u, &at, err);

    if (rc == RC_OK)
        rc = fs_open_dir(place->dirfd, name, 0700, &u.root, err);
    if (rc != RC_OK)
        return rc;
    u.index_fd = memfd_create("index", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (u.index_fd < 0)
        return err_sys(err, RC_IO, "memfd");
    rc = unpack(fd, place->program, &u, at, err);
    if (rc == RC_OK)
        rc = take_index(&u, err);
    if (rc == RC_OK) {
        *ret = u;
        u = (struct unpacked)UNPACKED_NONE;
    }
    return rc;
}
