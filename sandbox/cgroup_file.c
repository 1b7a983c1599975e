/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"

int cgroup_get(int dir, const char *file, char *out, size_t cap)
{
    scoped(close_fd) int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, out, cap - 1);

    out[n < 0 ? 0 : n] = '\0';
    return n < 0 ? -1 : 0;
}

uint64_t cgroup_get_number(int dir, const char *file)
{
    char text[64];

    cgroup_get(dir, file, text, sizeof text);
    return strtoull(text, NULL, 10);
}

uint64_t cgroup_get_keyed(int dir, const char *file, const char *key)
{
    char text[4096];
    size_t n = strlen(key);

    cgroup_get(dir, file, text, sizeof text);
    for (const char *at = text; at != NULL && *at != '\0';) {
        if (strncmp(at, key, n) == 0 && at[n] == ' ')
            return strtoull(at + n + 1, NULL, 10);
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return 0;
}
