/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "base/fs.h"
#include "update/package.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Opening never reads outside the file, and what it gives lies inside it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(package_done) struct package package = { 0 };
    scoped(close_fd) int fd = -1;
    struct err err;

    if (fs_sealed("fuzz", (struct bytes){ .p = data, .n = size }, &fd, &err) != RC_OK)
        abort();
    if (package_open(fd, &package, &err) == RC_OK &&
        (package.content_at + package.content_bytes != size || package.content_bytes == 0 ||
         memcmp(package.envelope, data + PACKAGE_HEAD_SIZE, package.envelope_bytes) != 0))
        abort();
    return 0;
}
