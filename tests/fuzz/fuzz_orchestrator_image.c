/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"
#include "orchestrator/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a layer makes of the tree: every path once, none that leaves it. */
static void try_layer(int fd, uint64_t size)
{
    scoped(merge_free) struct merge *tree = NULL;
    scoped(free_ptr) struct pack_item *items = NULL;
    scoped(close_fd) int spool_fd = memfd_create("spool", MFD_CLOEXEC);
    struct spool spool = { .fd = spool_fd };
    struct layer layer = { .fd = fd, .n = size };
    struct err err;
    size_t n = 0;

    if (spool_fd < 0 || merge_new(false, &tree, &err) != RC_OK)
        abort();
    for (unsigned i = 0; i < 2; i++) /* upon itself, too */
        (void)!layer_read(&layer, tree, &spool, &err);
    (void)merge_program(tree, "/bin/app");
    if (merge_items(tree, &items, &n, &err) != RC_OK)
        return;
    for (size_t i = 0; i < n; i++) {
        if (items[i].path[0] == '/' || strncmp(items[i].path, "../", 3) == 0 ||
            strstr(items[i].path, "/../") ||
            (i > 0 && strcmp(items[i - 1].path, items[i].path) >= 0) ||
            items[i].at + items[i].size > spool.bytes)
            abort();
    }
}

/* The input is an image's file, and one of its layers. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    scoped(image_file_close) struct image_file *file = NULL;
    scoped(free_ptr) struct image *image = calloc(1, sizeof *image);
    scoped(close_fd) int fd = -1;
    const struct image_want want = { .arch = "x86_64", .tag = "" };
    char path[64];
    struct err err;

    if (!image || fs_sealed("fuzz", (struct bytes){ .p = data, .n = size }, &fd, &err) != RC_OK)
        abort();
    try_layer(fd, size);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (image_file_open(path, &file, &err) == RC_OK &&
        image_read(file, &want, image, &err) == RC_OK && image->n_layers > MERGE_LAYERS_MAX)
        abort();
    return 0;
}
