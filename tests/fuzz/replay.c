/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/fuzz/replay: runs a fuzz target over its committed corpus under a plain compiler, as an
 * ordinary test.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (1U << 20)

static bool replay_one(void *arg, const char *name)
{
    const int *dirfd = arg;
    uint8_t *data = NULL;
    size_t n = 0;
    struct err err;

    if (fs_read_alloc(*dirfd, name, INPUT_MAX, &data, &n, &err) != RC_OK)
        abort();
    LLVMFuzzerTestOneInput(data, n);
    free(data);
    return true;
}

/* replay_NAME finds tests/fuzz/corpus/fuzz_NAME below the current directory. */
int main(int argc, char **argv)
{
    char path[256];
    const char *base = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = base ? strstr(base, "replay_") : NULL;
    scoped(close_fd) int dirfd = -1;
    struct err err;
    char text[256];

    if (!name)
        return 2;
    (void)snprintf(path, sizeof path, "tests/fuzz/corpus/fuzz_%s", name + strlen("replay_"));
    if (fs_open(AT_FDCWD, path, O_DIRECTORY | O_RDONLY, 0, &dirfd, &err) != RC_OK ||
        fs_list(dirfd, ".", 100000, replay_one, &dirfd, NULL, &err) != RC_OK) {
        (void)fprintf(stderr, "%s\n", err_text(&err, text, sizeof text));
        return 1;
    }
    return 0;
}
