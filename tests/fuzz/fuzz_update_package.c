/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "base/fs.h"
#include "update/package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was opened lies inside the file. */
static void check(const struct package *package, const uint8_t *data, size_t size)
{
    if (package->content_at + package->content_bytes != size || package->content_bytes == 0 ||
        memcmp(package->envelope, data + PACKAGE_HEAD_SIZE, package->envelope_bytes) != 0)
        abort();
}

/* Opening never reads outside the file, and a file is of one kind at most. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(package_done) struct package full = { 0 };
    scoped(package_done) struct package delta = { 0 };
    scoped(close_fd) int fd = -1;
    enum package_kind kind = PACKAGE_FULL;
    struct err err;

    if (fs_sealed("fuzz", (struct bytes){ .p = data, .n = size }, &fd, &err) != RC_OK)
        abort();

    bool has_kind = package_kind(fd, &kind, &err) == RC_OK;

    if (package_open(fd, &full, &err) == RC_OK) {
        check(&full, data, size);
        if (!has_kind || kind != PACKAGE_FULL)
            abort();
    }
    if (package_open_delta(fd, &delta, &err) == RC_OK) {
        check(&delta, data, size);
        if (!has_kind || kind != PACKAGE_DELTA)
            abort();
    }
    return 0;
}
