/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/data.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/name.h"

#define MKFS_TIMEOUT_MS 20000
#define JOURNAL_MIN_BYTES                                                                          \
    (16ULL * 1024 * 1024) /* below this a journal would take too large a part */
#define INDEX_TEXT_MAX 16U
#define DRAFT_IMAGE "data.img.new"

static void dir_of(const char *tenant, const char *name, char out[2 * NAME_CAP])
{
    (void)snprintf(out, (size_t)2 * NAME_CAP, "%s/%s", tenant, name);
}

/* Take the space now.  Where the file system cannot reserve, the file is sparse: better than none.
 */
static enum rc reserve(int fd, uint64_t bytes, struct err *err)
{
    if (fallocate(fd, 0, 0, (off_t)bytes) == 0)
        return RC_OK;
    if (errno == EOPNOTSUPP && ftruncate(fd, (off_t)bytes) == 0)
        return RC_OK;
    return err_sys(err, RC_IO, "data.img");
}

/* Wait for a child of ours, and no longer than it may take. */
static enum rc reap(pid_t pid, int said, struct err *err)
{
    char text[48] = "";
    scoped(close_fd) int pidfd = pidfd_open(pid, 0);
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    bool ended = pidfd >= 0 && poll(&p, 1, MKFS_TIMEOUT_MS) == 1;
    int status = -1;

    if (!ended)
        (void)kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return RC_OK;
    if (pread(said, text, sizeof text - 1, 0) < 0)
        text[0] = '\0';
    return err_set(err, RC_DATA_IMAGE, "mke2fs ended with status %d: %s", status, text);
}

/* mke2fs on a name in dir: fixed arguments, empty environment. */
static enum rc make_fs(int dir, uint64_t bytes, struct err *err)
{
    static char journal[] = "^resize_inode", no_journal[] = "^resize_inode,^has_journal";
    static char arg0[] = "mke2fs", quiet[] = "-q", force[] = "-F", type[] = "-t", ext4[] = "ext4",
                reserved[] = "-m", none[] = "0", extra[] = "-E",
                owner[] = "root_owner=0:0,nodiscard", features[] = "-O", file[] = DRAFT_IMAGE;
    char *const argv[] = { arg0,
                           quiet,
                           force,
                           type,
                           ext4,
                           reserved,
                           none,
                           extra,
                           owner,
                           features,
                           bytes < JOURNAL_MIN_BYTES ? no_journal : journal,
                           file,
                           NULL };
    char *const envp[] = { NULL };
    scoped(close_fd) int said = memfd_create("mke2fs", MFD_CLOEXEC);
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t empty;
    pid_t pid = -1;

    if (said < 0)
        return err_sys(err, RC_NO_MEMORY, "mke2fs");

    (void)sigemptyset(&empty);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return err_set(err, RC_NO_MEMORY, "mke2fs");
    if (posix_spawnattr_init(&attr) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return err_set(err, RC_NO_MEMORY, "mke2fs");
    }
    int bad = posix_spawn_file_actions_addfchdir_np(&actions, dir);
    bad |= posix_spawn_file_actions_adddup2(&actions, said, STDOUT_FILENO);
    bad |= posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
    bad |= posix_spawnattr_setsigmask(&attr, &empty);
    bad |= posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    if (bad == 0)
        bad = posix_spawn(&pid, DATA_MKFS, &actions, &attr, argv, envp);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    if (bad != 0) {
        errno = bad;
        return err_sys(err, RC_DATA_IMAGE, DATA_MKFS);
    }
    return reap(pid, said, err);
}

/* A new image appears under its name only when it is whole. */
static enum rc make_image(int dir, uint64_t bytes, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_unlink(dir, DRAFT_IMAGE, err);

    if (rc == RC_OK)
        rc = fs_open(dir, DRAFT_IMAGE, O_RDWR | O_CREAT | O_EXCL, 0600, &fd, err);
    if (rc == RC_OK)
        rc = reserve(fd, bytes / 4096 * 4096, err);
    if (rc == RC_OK)
        rc = make_fs(dir, bytes, err);
    if (rc == RC_OK)
        rc = fs_sync(fd, "data.img", err);
    if (rc == RC_OK)
        rc = fs_rename(dir, DRAFT_IMAGE, dir, "data.img", true, err);
    if (rc != RC_OK)
        (void)unlinkat(dir, DRAFT_IMAGE, 0);
    return rc;
}

bool data_index(int data_dir, const char *tenant, const char *name, uint32_t *ret_index)
{
    char path[2 * NAME_CAP + 16];
    uint8_t text[INDEX_TEXT_MAX + 1] = { 0 };
    struct err err = { 0 };
    char *end = NULL;
    size_t n = 0;

    if (!name_valid(tenant) || !name_valid(name))
        return false;
    (void)snprintf(path, sizeof path, "%s/%s/index", tenant, name);
    if (fs_read_file(data_dir, path, text, INDEX_TEXT_MAX, &n, &err) != RC_OK || n == 0 ||
        text[0] < '0' || text[0] > '9')
        return false;
    unsigned long value = strtoul((const char *)text, &end, 10);
    if (*end != '\n' || value > UINT32_MAX)
        return false;
    *ret_index = (uint32_t)value;
    return true;
}

static enum rc claim(int dir, int data_dir, const struct data_id *id, struct err *err)
{
    char text[INDEX_TEXT_MAX];
    uint32_t index = 0;

    if (data_index(data_dir, id->tenant, id->name, &index))
        return index == id->index ? RC_OK
                                  : err_set(err, RC_DATA_IMAGE, "owned by id range %u", index);
    if (faccessat(dir, "data.img", F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return err_set(err, RC_DATA_IMAGE, "owner is not known");
    (void)snprintf(text, sizeof text, "%u\n", id->index);
    return fs_write_file(dir, "index", bytes_of(text), 0600, err);
}

enum rc data_open(int data_dir, const struct data_id *id, uint64_t bytes, int *ret_fd,
                  struct err *err)
{
    scoped(close_fd) int dir = -1;
    char path[2 * NAME_CAP];

    dir_of(id->tenant, id->name, path);
    enum rc rc = fs_make_dirs(data_dir, path, 0700, err);
    if (rc == RC_OK)
        rc = fs_open(data_dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc == RC_OK)
        rc = claim(dir, data_dir, id, err);
    if (rc != RC_OK)
        return rc;
    if (faccessat(dir, "data.img", F_OK, AT_SYMLINK_NOFOLLOW) != 0)
        rc = make_image(dir, bytes, err);
    else
        /* An attempt may have failed when only this was left to do; without it a power cut takes
         * the image away, with all that the payload has written since. */
        rc = fs_sync(dir, path, err);
    if (rc == RC_OK)
        rc = fs_open(dir, "data.img", O_RDWR | O_NOFOLLOW, 0, ret_fd, err);
    return rc;
}

/* ---- all of them ------------------------------------------------------------------------------
 */

struct listing {
    int data_dir;
    const char *tenant;
    bool (*visit)(void *arg, const char *name); /* of each payload, with the listing as arg */
    bool (*fn)(void *arg, const struct data_id *id);
    void *arg;
    bool go_on;
    bool failed; /* at least one of the tenants or payloads; *err tells which and why */
    struct err *err;
};

/* One that cannot be read does not keep the others from their turn. */
static void note(struct listing *l, const struct err *why)
{
    if (!l->failed)
        *l->err = *why;
    l->failed = true;
}

static bool on_payload(void *arg, const char *name)
{
    struct listing *l = arg;
    struct data_id id = { .tenant = l->tenant, .name = name };

    if (data_index(l->data_dir, l->tenant, name, &id.index))
        l->go_on = l->fn(l->arg, &id);
    return l->go_on;
}

static bool on_tenant(void *arg, const char *tenant)
{
    struct listing *l = arg;
    struct err why = { 0 };

    if (!name_valid(tenant))
        return true;
    l->tenant = tenant;
    if (fs_list(l->data_dir, tenant, SIZE_MAX, l->visit, l, NULL, &why) != RC_OK)
        note(l, &why);
    return l->go_on;
}

/* All that can be seen; the first thing that could not be, if there is one. */
static enum rc walk(struct listing *l, struct err *err)
{
    enum rc rc = fs_list(l->data_dir, ".", SIZE_MAX, on_tenant, l, NULL, err);

    if (rc != RC_OK || !l->failed)
        return rc;
    *err = *l->err;
    return l->err->rc;
}

enum rc data_list(int data_dir, bool (*fn)(void *arg, const struct data_id *id), void *arg,
                  struct err *err)
{
    struct err first = { 0 };
    struct listing l = { .data_dir = data_dir,
                         .visit = on_payload,
                         .fn = fn,
                         .arg = arg,
                         .go_on = true,
                         .err = &first };

    return walk(&l, err);
}

static bool sweep_payload(void *arg, const char *name)
{
    struct listing *l = arg;
    scoped(close_fd) int dir = -1;
    char path[2 * NAME_CAP];
    struct err why = { 0 };

    if (!name_valid(name))
        return true;
    dir_of(l->tenant, name, path);
    enum rc rc = fs_open(l->data_dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, &why);
    if (rc == RC_OK)
        rc = fs_unlink(dir, DRAFT_IMAGE, &why);
    if (rc == RC_OK)
        rc = fs_sweep(dir, ".", &why);
    if (rc != RC_OK)
        note(l, &why);
    return true;
}

enum rc data_sweep(int data_dir, struct err *err)
{
    struct err first = { 0 };
    struct listing l = {
        .data_dir = data_dir, .visit = sweep_payload, .go_on = true, .err = &first
    };

    return walk(&l, err);
}
