/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "base/crypto.h"
#include "base/fs.h"
#include "update/unpack.h"

#define TAR_MAX 65536U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The directory that everything happens in; removed when the process ends. */
static char place[64];

static void place_remove(void)
{
    struct err err;

    (void)!fs_remove_tree(AT_FDCWD, place, &err);
}

static int staging_dir(void)
{
    static int fd = -1;
    scoped(close_fd) int dir = -1;
    struct err err;

    if (fd >= 0)
        return fd;
    (void)snprintf(place, sizeof place, "%s/berth-fuzz-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(place) || fs_open_dir(AT_FDCWD, place, 0700, &dir, &err) != RC_OK ||
        fs_open_dir(dir, "staging", 0700, &fd, &err) != RC_OK)
        abort();
    (void)atexit(place_remove);
    return fd;
}

static bool remove_one(void *arg, const char *name)
{
    const int *dirfd = arg;
    struct err err;

    if (unlinkat(*dirfd, name, 0) != 0 && fs_remove_tree(*dirfd, name, &err) != RC_OK)
        abort();
    return true;
}

static bool refuse_one(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    abort();
}

/* Byte 0: even, the rest is a tar and is compressed here; odd, it is content as it is.  Byte 1: the
 * number of files declared.  Bytes 2 and 3: the bytes declared.  A refusal leaves nothing behind.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t packed[ZSTD_COMPRESSBOUND(TAR_MAX)];
    int staging = staging_dir();
    scoped(close_fd) int fd = -1;
    struct err err;

    if (size < 5 || size > TAR_MAX)
        return 0;

    struct bytes content = { .p = data + 4, .n = size - 4 };
    struct unpack_spec spec = { .files = data[1],
                                .unpacked_bytes = (uint64_t)data[2] << 8 | data[3],
                                .entry = "/a" };

    if (data[0] % 2 == 0)
        content =
            (struct bytes){ .p = packed,
                            .n = ZSTD_compress(packed, sizeof packed, data + 4, size - 4, 1) };
    spec.content_bytes = content.n;
    if (sha256_of(content, spec.content.b, &err) != RC_OK ||
        fs_sealed("fuzz", content, &fd, &err) != RC_OK)
        abort();
    if (unpack_content(fd, &spec, staging, -1, &err) != RC_OK)
        (void)!fs_list(staging, ".", 1, refuse_one, NULL, NULL, &err);
    else
        (void)!fs_list(staging, ".", 1000, remove_one, &staging, NULL, &err);
    return 0;
}
