/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/telemetry.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"

#define TELEMETRY_DIR "mail/.telemetry"
#define PATH_CAP (sizeof TELEMETRY_DIR + 3U * (NAME_CAP + 1U))
#define FILE_CAP 34U /* INSTANCE-FIRST, 16 digits each */
#define LIST_MAX (2U * TELEMETRY_KEPT_MAX)

static void dir_path(const char *tenant, const char *satellite, const char *payload, char *out)
{
    (void)snprintf(out, PATH_CAP, TELEMETRY_DIR "/%s/%s/%s", tenant, satellite, payload);
}

/* ---- names ------------------------------------------------------------------------------------
 */

struct names {
    size_t n;
    char (*name)[FILE_CAP]; /* LIST_MAX of them */
};

static bool add_name(void *arg, const char *name)
{
    struct names *names = arg;

    if (strlen(name) == FILE_CAP - 1 && strspn(name, "0123456789abcdef") == 16 && name[16] == '-' &&
        strspn(name + 17, "0123456789abcdef") == 16)
        memcpy(names->name[names->n++], name, FILE_CAP);
    return names->n < LIST_MAX;
}

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, FILE_CAP);
}

/* All batches, the oldest first. */
static enum rc list_names(int dir, struct names *ret, struct err *err)
{
    ret->n = 0;
    ret->name = calloc(LIST_MAX, sizeof *ret->name);
    if (!ret->name)
        return err_set(err, RC_NO_MEMORY, "telemetry");
    enum rc rc = fs_list(dir, ".", LIST_MAX, add_name, ret, NULL, err);

    qsort(ret->name, ret->n, sizeof *ret->name, by_name);
    return rc;
}

/* ---- what came --------------------------------------------------------------------------------
 */

static void drop_oldest(int dir)
{
    struct names names;
    struct err ignored;
    enum rc rc = list_names(dir, &names, &ignored);

    for (size_t i = 0; rc == RC_OK && names.n - i > TELEMETRY_KEPT_MAX; i++)
        rc = fs_unlink(dir, names.name[i], &ignored);
    free(names.name);
}

enum rc telemetry_keep(const struct home *home, const char *satellite, const struct mail *head,
                       int fd, struct err *err)
{
    scoped(free_ptr) struct telemetry_batch *batch = calloc(1, sizeof *batch);
    scoped(free_ptr) uint8_t *buf = malloc(TELEMETRY_BYTES_MAX);
    scoped(close_fd) int dir = -1;
    const struct bytes content = { buf, head->size };
    char path[PATH_CAP], name[FILE_CAP];

    if (!batch || !buf)
        return err_set(err, RC_NO_MEMORY, "telemetry");
    if (head->size > TELEMETRY_BYTES_MAX)
        return err_set(err, RC_MAIL_FORMAT, "telemetry");
    enum rc rc = fs_pread_exact(fd, buf, head->size, head->head, err);
    if (rc == RC_OK)
        rc = telemetry_decode(content, batch, err);
    if (rc != RC_OK)
        return rc;
    dir_path(head->tenant, satellite, head->payload, path);
    (void)snprintf(name, sizeof name, "%016" PRIx64 "-%016" PRIx64, batch->instance, batch->first);
    rc = fs_make_dirs(home->dirfd, path, 0700, err);
    if (rc == RC_OK)
        rc = fs_open(home->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc != RC_OK || faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return rc;
    rc = fs_write_file(dir, name, content, 0600, err);
    if (rc == RC_OK)
        drop_oldest(dir);
    return rc;
}

/* ---- what is there ----------------------------------------------------------------------------
 */

enum rc telemetry_list(const struct home *home, const char *tenant, const char *satellite,
                       const char *payload,
                       bool (*fn)(void *arg, const struct telemetry_batch *batch), void *arg,
                       struct err *err)
{
    scoped(free_ptr) struct telemetry_batch *batch = calloc(1, sizeof *batch);
    scoped(free_ptr) uint8_t *buf = malloc(TELEMETRY_BYTES_MAX);
    scoped(close_fd) int dir = -1;
    struct names names = { .n = 0 };
    char path[PATH_CAP];
    bool more = true;

    if (!batch || !buf)
        return err_set(err, RC_NO_MEMORY, "telemetry");
    dir_path(tenant, satellite, payload, path);
    enum rc rc = fs_open(home->dirfd, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc != RC_OK)
        return rc;
    rc = list_names(dir, &names, err);
    for (size_t i = 0; rc == RC_OK && more && i < names.n; i++) {
        struct err ignored;
        size_t n = 0;

        if (fs_read_file(dir, names.name[i], buf, TELEMETRY_BYTES_MAX, &n, &ignored) == RC_OK &&
            telemetry_decode((struct bytes){ buf, n }, batch, &ignored) == RC_OK)
            more = fn(arg, batch);
    }
    free(names.name);
    return rc == RC_OK && names.n == 0 ? err_set(err, RC_NOT_FOUND, "telemetry") : rc;
}
