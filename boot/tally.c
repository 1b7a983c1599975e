/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/tally.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/log.h"
#include "base/statefile.h"

static_assert(BOOT_RECORD_MAX <= UINT8_MAX, "the length of a record is one byte");

#define TALLY_PARENT "/run"
#define TALLY_DIR "berth-boot"
#define TALLY_NAME_CAP 48U
#define ANEW ".anew"

/* A state directory is known by its place, not by a path that may have several spellings. */
static bool name_of(int state_dirfd, char out[TALLY_NAME_CAP])
{
    struct stat st;

    if (fstat(state_dirfd, &st) != 0)
        return false;
    (void)snprintf(out, TALLY_NAME_CAP, "%llx-%llx", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    return true;
}

static enum rc open_dir(int *ret_fd, struct err *err)
{
    scoped(close_fd) int run = open(TALLY_PARENT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return run < 0 ? err_sys(err, RC_IO, TALLY_PARENT)
                   : fs_open_dir(run, TALLY_DIR, 0700, ret_fd, err);
}

/* Two records, the second behind the first, whose length is in the first byte. */
static bool decode(struct bytes in, struct boot_record *ret_disk, struct boot_record *ret_next)
{
    struct err err = { 0 };

    if (in.n < 1 || in.n < 1U + in.p[0])
        return false;
    const struct bytes disk = { .p = in.p + 1, .n = in.p[0] };
    const struct bytes next = { .p = disk.p + disk.n, .n = in.n - 1 - disk.n };

    return boot_decode(disk, ret_disk, &err) == RC_OK && boot_decode(next, ret_next, &err) == RC_OK;
}

struct boot_record tally_load(int state_dirfd, const struct boot_record *disk)
{
    struct boot_record base = { 0 }, next = *disk;
    uint8_t buf[1 + 2 * BOOT_RECORD_MAX];
    scoped(close_fd) int dir = -1;
    char name[TALLY_NAME_CAP];
    struct err err = { 0 };
    size_t n = 0;

    if (!name_of(state_dirfd, name) || open_dir(&dir, &err) != RC_OK ||
        statefile_load(dir, name, buf, sizeof buf, &n, NULL, &err) != RC_OK ||
        !decode((struct bytes){ .p = buf, .n = n }, &base, &next) ||
        memcmp(&base, disk, sizeof base) != 0)
        next = *disk;
    boot_end_trial(&next);
    return next;
}

void tally_save(int state_dirfd, const struct boot_record *disk, const struct boot_record *next)
{
    uint8_t buf[1 + 2 * BOOT_RECORD_MAX];
    struct bytes first = { 0 }, second = { 0 };
    scoped(close_fd) int dir = -1;
    char name[TALLY_NAME_CAP];
    struct err err = { 0 };
    enum rc rc = boot_encode(disk, buf + 1, BOOT_RECORD_MAX, &first, &err);

    if (rc == RC_OK)
        rc = boot_encode(next, buf + 1 + first.n, BOOT_RECORD_MAX, &second, &err);
    if (rc == RC_OK)
        rc = open_dir(&dir, &err);
    if (rc == RC_OK && name_of(state_dirfd, name)) {
        buf[0] = (uint8_t)first.n;
        rc = statefile_renew(dir, name, (struct bytes){ .p = buf, .n = 1 + first.n + second.n },
                             &err);
    }
    if (rc != RC_OK)
        log_err(LOG_LEVEL_ERROR, &err, "this start is not counted");
}

void tally_forget(int state_dirfd)
{
    scoped(close_fd) int dir = -1;
    char name[TALLY_NAME_CAP], file[TALLY_NAME_CAP + 2];
    struct err err = { 0 };

    if (!name_of(state_dirfd, name) || open_dir(&dir, &err) != RC_OK)
        return;
    for (int copy = 'a'; copy <= 'b'; copy++) {
        (void)snprintf(file, sizeof file, "%s.%c", name, copy);
        (void)unlinkat(dir, file, 0); /* there is none, nearly always */
    }
}

/* Written at once as it is: then there is room for it, too. */
enum rc tally_anew_open(int state_dirfd, int *ret_fd, uint32_t *ret_n, struct err *err)
{
    scoped(close_fd) int dir = -1, fd = -1;
    char name[TALLY_NAME_CAP], file[TALLY_NAME_CAP + sizeof ANEW];
    uint8_t n = 0;

    if (!name_of(state_dirfd, name))
        return err_sys(err, RC_IO, TALLY_DIR);
    (void)snprintf(file, sizeof file, "%s" ANEW, name);
    enum rc rc = open_dir(&dir, err);
    if (rc == RC_OK)
        rc = fs_open(dir, file, O_RDWR | O_CREAT, 0600, &fd, err);
    if (rc != RC_OK)
        return rc;
    if (pread(fd, &n, 1, 0) < 0)
        return err_sys(err, RC_IO, "%s", file);
    rc = tally_anew_save(fd, n, err);
    if (rc == RC_OK) {
        *ret_fd = take_fd(&fd);
        *ret_n = n;
    }
    return rc;
}

enum rc tally_anew_save(int fd, uint32_t n, struct err *err)
{
    const uint8_t byte = (uint8_t)(n < TALLY_ANEW_MAX ? n : TALLY_ANEW_MAX);

    return pwrite(fd, &byte, 1, 0) == 1 ? RC_OK : err_sys(err, RC_IO, "count");
}

void tally_anew_forget(int state_dirfd)
{
    scoped(close_fd) int dir = -1;
    char name[TALLY_NAME_CAP], file[TALLY_NAME_CAP + sizeof ANEW];
    struct err err = { 0 };

    if (!name_of(state_dirfd, name) || open_dir(&dir, &err) != RC_OK)
        return;
    (void)snprintf(file, sizeof file, "%s" ANEW, name);
    (void)unlinkat(dir, file, 0); /* there is none, nearly always */
}
