/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/draft.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "update/package.h"

static const uint8_t magic[8] = { 'B', 'E', 'R', 'T', 'H', 'U', 'N', '1' }; /* DRAFT_MAGIC */

enum rc draft_write_head(int fd, struct bytes manifest_cbor, struct err *err)
{
    uint8_t head[DRAFT_HEAD_SIZE];
    enum rc rc;

    memcpy(head, magic, sizeof magic);
    bytes_put_be(head + 8, 4, (uint32_t)manifest_cbor.n);
    rc = fs_write_all(fd, (struct bytes){ .p = head, .n = sizeof head }, err);
    return rc == RC_OK ? fs_write_all(fd, manifest_cbor, err) : rc;
}

static enum rc check_content(int fd, const struct draft *draft, const struct manifest *manifest,
                             struct err *err)
{
    if (draft->content_bytes != manifest->content_bytes)
        return err_set(err, RC_PACKAGE_SIZE, "content");
    return package_check_content(fd, draft->content_at, manifest, err);
}

static enum rc open_head(int fd, struct draft *draft, struct err *err)
{
    uint8_t head[DRAFT_HEAD_SIZE];
    struct stat st;
    enum rc rc;

    if (fstat(fd, &st) != 0)
        return err_sys(err, RC_IO, "draft");
    rc = fs_pread_exact(fd, head, sizeof head, 0, err);
    if (rc == RC_SHORT || (rc == RC_OK && memcmp(head, magic, sizeof magic) != 0))
        return err_set(err, RC_PACKAGE_FORMAT, "not a file that `berth build` wrote");
    if (rc != RC_OK)
        return rc;
    draft->manifest_bytes = (uint32_t)bytes_get_be(head + 8, 4);
    if (draft->manifest_bytes == 0 || draft->manifest_bytes > DOCUMENT_MAX)
        return err_set(err, RC_PACKAGE_FORMAT, "manifest size");
    draft->content_at = DRAFT_HEAD_SIZE + draft->manifest_bytes;
    if ((uint64_t)st.st_size <= draft->content_at || (uint64_t)st.st_size > DRAFT_FILE_MAX)
        return err_set(err, RC_PACKAGE_SIZE, "unsigned package");
    draft->content_bytes = (uint64_t)st.st_size - draft->content_at;
    draft->manifest_cbor = malloc(draft->manifest_bytes);
    if (!draft->manifest_cbor)
        return err_set(err, RC_NO_MEMORY, "draft");
    return fs_pread_exact(fd, draft->manifest_cbor, draft->manifest_bytes, DRAFT_HEAD_SIZE, err);
}

enum rc draft_open(int fd, struct draft *ret, struct manifest *ret_manifest, struct err *err)
{
    scoped(draft_done) struct draft draft = { 0 };
    scoped(free_ptr) struct manifest *manifest = calloc(1, sizeof *manifest);
    enum rc rc = manifest ? open_head(fd, &draft, err) : err_set(err, RC_NO_MEMORY, "draft");

    if (rc == RC_OK)
        rc = manifest_decode((struct bytes){ .p = draft.manifest_cbor, .n = draft.manifest_bytes },
                             manifest, err);
    if (rc == RC_OK)
        rc = check_content(fd, &draft, manifest, err);
    if (rc == RC_OK) {
        *ret = draft;
        *ret_manifest = *manifest;
        draft = (struct draft){ 0 };
    }
    return rc;
}

void draft_done(struct draft *draft)
{
    free(draft->manifest_cbor);
    draft->manifest_cbor = NULL;
}
