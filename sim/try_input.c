/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/try_input.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fs.h"
#include "manifest/envelope.h"
#include "orchestrator/checking.h"
#include "orchestrator/draft.h"
#include "orchestrator/image_build.h"
#include "orchestrator/path.h"
#include "orchestrator/payload.h"
#include "orchestrator/stage.h"
#include "update/pack.h"
#include "update/package.h"
#include "update/verify.h"

#define STAGE "stage"
#define LEVEL 1U /* it is unpacked at once */

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum rc read_spec(const char *base, struct payload_spec *spec, struct err *err)
{
    scoped(yaml_close) struct yaml *doc = NULL;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", base, PAYLOAD_FILE);

    if (n < 0 || (size_t)n >= sizeof path)
        return err_set(err, RC_TOO_LARGE, "%s", base);
    enum rc rc = yaml_load(AT_FDCWD, path, &doc, err);
    return rc == RC_OK ? payload_read(doc, spec, err) : rc;
}

static enum rc pack_files(const char *base, const struct payload_spec *spec, int dirfd, int content,
                          struct packed *packed, struct err *err)
{
    scoped(close_fd) int stage = -1;
    struct err ignored;
    enum rc rc = fs_open_dir(dirfd, STAGE, 0755, &stage, err);

    if (rc == RC_OK)
        rc = stage_fill(base, spec, stage, err);
    if (rc == RC_OK)
        rc = pack_tree(stage, spec->manifest.args[0], LEVEL, content, packed, err);
    (void)!fs_remove_tree(dirfd, STAGE, &ignored);
    return rc;
}

/* An unsigned package in memory, as `berth build` would write it. */
static enum rc write_draft(const struct manifest *m, int content, int *ret_fd, struct err *err)
{
    scoped(free_ptr) uint8_t *buf = malloc(DOCUMENT_MAX);
    scoped(close_fd) int out = memfd_create("draft", MFD_CLOEXEC);
    struct bytes cbor = { 0 };
    uint8_t sha[DIGEST_SIZE];
    enum rc rc = buf && out >= 0 ? manifest_encode(m, buf, DOCUMENT_MAX, &cbor, err)
                                 : err_set(err, RC_NO_MEMORY, "draft");

    if (rc == RC_OK)
        rc = draft_write_head(out, cbor, err);
    if (rc == RC_OK)
        rc = fs_copy_digest(content, out, m->content_bytes, sha, err);
    if (rc == RC_OK)
        *ret_fd = take_fd(&out);
    return rc;
}

static enum rc from_directory(const char *base, int dirfd, int *ret_fd, struct err *err)
{
    scoped(free_ptr) struct payload_spec *spec = calloc(1, sizeof *spec);
    scoped(free_ptr) struct image_notes *notes = calloc(1, sizeof *notes);
    scoped(close_fd) int content = memfd_create("content", MFD_CLOEXEC);
    struct packed packed = { 0 };

    if (!spec || !notes || content < 0)
        return err_set(err, RC_NO_MEMORY, "payload");
    enum rc rc = read_spec(base, spec, err);
    if (rc == RC_OK && spec->image.file[0] != '\0')
        rc = image_build(base, spec, LEVEL, content, &packed, notes, err);
    else if (rc == RC_OK)
        rc = pack_files(base, spec, dirfd, content, &packed, err);
    if (rc != RC_OK)
        return rc;
    pack_fill(&packed, &spec->manifest);
    rc = manifest_check(&spec->manifest, err);
    return rc == RC_OK ? write_draft(&spec->manifest, content, ret_fd, err) : rc;
}

static enum rc from_package(const char *path, int *ret_fd, struct err *err)
{
    scoped(close_fd) int fd = -1;
    uint64_t size = 0;
    enum rc rc = path_open_file(path, PACKAGE_FILE_MAX, &fd, &size, err);

    return rc == RC_OK ? payload_seal(fd, ret_fd, err) : rc;
}

static enum rc check_arch(const struct manifest *m, struct err *err)
{
    struct utsname u;

    if (uname(&u) != 0)
        return err_sys(err, RC_IO, "uname");
    if (strcmp(m->arch, "any") != 0 && strcmp(m->arch, u.machine) != 0)
        return err_set(err, RC_ARCH, "%s on %s", m->arch, u.machine);
    return RC_OK;
}

static enum rc read_grant(const char *path, const struct manifest *m, struct grant *ret,
                          struct err *err)
{
    scoped(free_ptr) uint8_t *buf = NULL;
    struct envelope envelope;
    size_t n = 0;

    if (path == NULL) {
        grant_as_asked(m, ret);
        return RC_OK;
    }
    enum rc rc = path_read(path, DOCUMENT_MAX, &buf, &n, err);
    if (rc == RC_OK)
        rc = envelope_open((struct bytes){ buf, n }, &envelope, err);
    if (rc == RC_OK)
        rc = grant_decode(envelope.payload, ret, err);
    return rc == RC_OK ? grant_allows(ret, m, err) : rc;
}

static enum rc open_all(const char *path, const char *grant, const struct unpacked_place *where,
                        const char *name, struct try_input *in, struct err *err)
{
    scoped(close_fd) int fd = -1;
    struct unpacked_place place = *where;
    enum rc rc = checking_sibling("berth-unpack", &in->program, err);

    in->grant = calloc(1, sizeof *in->grant);
    if (rc == RC_OK && !in->grant)
        rc = err_set(err, RC_NO_MEMORY, "grant");
    if (rc == RC_OK)
        rc = is_directory(path) ? from_directory(path, place.dirfd, &fd, err)
                                : from_package(path, &fd, err);
    if (rc != RC_OK)
        return rc;
    place.program = in->program;
    rc = unpacked_open(fd, &place, name, &in->unpacked, err);
    if (rc == RC_OK)
        rc = check_arch(in->unpacked.manifest, err);
    return rc == RC_OK ? read_grant(grant, in->unpacked.manifest, in->grant, err) : rc;
}

enum rc try_input_open(const char *path, const char *grant, int dirfd, const char *name,
                       struct try_input *ret, struct err *err)
{
    const struct unpacked_place place = { .dirfd = dirfd, .program = -1 };
    struct try_input in = TRY_INPUT_NONE;
    enum rc rc = open_all(path, grant, &place, name, &in, err);

    if (rc == RC_OK)
        *ret = in;
    else
        try_input_done(&in);
    return rc;
}

void try_input_done(struct try_input *in)
{
    unpacked_done(&in->unpacked);
    free(in->grant);
    in->grant = NULL;
    close_fd(&in->program);
}
