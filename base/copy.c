/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fs.h"

#define COPY_BLOCK (256U * 1024U)

/* Whether fd has nothing left after `size` bytes. */
static enum rc at_end(int fd, uint64_t size, struct err *err)
{
    uint8_t extra;
    ssize_t got = pread(fd, &extra, 1, (off_t)size);

    if (got < 0)
        return err_sys(err, RC_IO, "read");
    return got == 0 ? RC_OK : err_at(err, RC_TRAILING, size, "file");
}

enum rc fs_copy_digest(int in, int out, uint64_t size, uint8_t ret_sha256[32], struct err *err)
{
    scoped(sha256_free) struct sha256 *ctx = NULL;
    scoped(free_ptr) uint8_t *block = malloc(COPY_BLOCK);
    enum rc rc = block ? sha256_new(&ctx, err) : err_set(err, RC_NO_MEMORY, "copy");

    for (uint64_t at = 0; rc == RC_OK && at < size;) {
        size_t n = size - at < COPY_BLOCK ? (size_t)(size - at) : COPY_BLOCK;
        struct bytes part = { .p = block, .n = n };

        rc = fs_pread_exact(in, block, n, at, err);
        if (rc == RC_OK)
            rc = sha256_add(ctx, part, err);
        if (rc == RC_OK)
            rc = fs_write_all(out, part, err);
        at += n;
    }
    if (rc == RC_OK)
        rc = at_end(in, size, err);
    if (rc == RC_OK)
        rc = sha256_end(ctx, ret_sha256, err);
    return rc;
}
