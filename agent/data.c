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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/name.h"
#include "sandbox/plan.h"

#define MKFS_TIMEOUT_MS 20000
#define JOURNAL_MIN_BYTES                                                                          \
    (16ULL * 1024 * 1024) /* below this a journal would take too large a part */
#define INDEX_TEXT_MAX 16U
#define OWN_INODES 11U /* of the file system itself, with lost+found */
#define IMAGE_ARGS_MAX 8U
#define RESERVED_MAX 50U /* percent: mke2fs takes no more */
#define MAIL_BYTES_PER_FILE 4096U
#define MAIL_FILES_MIN 256U

/* A kind of image. */
struct image {
    const char *name;
    const char *draft; /* its name until it is whole */
    uint64_t bytes;
    bool replace;               /* a new one may take the place of an old one */
    char *args[IMAGE_ARGS_MAX]; /* of mke2fs, besides what all have; ends with NULL */
};

#define DRAFT_DATA "data.img.new"
#define DRAFT_MAIL "mail.img.new"

static void dir_of(const char *tenant, const char *name, char out[2 * NAME_CAP])
{
    (void)snprintf(out, (size_t)2 * NAME_CAP, "%s/%s", tenant, name);
}

/* Take the space now.  Where the file system cannot reserve, the file is sparse: better than none.
 */
static enum rc reserve(int fd, const struct image *image, struct err *err)
{
    const off_t bytes = (off_t)(image->bytes / 4096 * 4096);

    if (fallocate(fd, 0, 0, bytes) == 0)
        return RC_OK;
    if (errno == EOPNOTSUPP && ftruncate(fd, bytes) == 0)
        return RC_OK;
    return err_sys(err, RC_IO, "%s", image->name);
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
static enum rc make_fs(int dir, const struct image *image, struct err *err)
{
    static char arg0[] = "mke2fs", quiet[] = "-q", force[] = "-F", type[] = "-t", ext4[] = "ext4",
                extra[] = "-E", owner[] = "root_owner=0:0,nodiscard";
    char *argv[8 + IMAGE_ARGS_MAX + 1] = { arg0, quiet, force, type, ext4, extra, owner };
    size_t n = 7;
    char file[32];

    (void)snprintf(file, sizeof file, "%s", image->draft);
    for (size_t i = 0; image->args[i] != NULL; i++)
        argv[n++] = image->args[i];
    argv[n] = file;
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
static enum rc make_image(int dir, const struct image *image, struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = fs_unlink(dir, image->draft, err);

    if (rc == RC_OK)
        rc = fs_open(dir, image->draft, O_RDWR | O_CREAT | O_EXCL, 0600, &fd, err);
    if (rc == RC_OK)
        rc = reserve(fd, image, err);
    if (rc == RC_OK)
        rc = make_fs(dir, image, err);
    if (rc == RC_OK)
        rc = fs_sync(fd, image->name, err);
    if (rc == RC_OK)
        rc = fs_rename(dir, image->draft, dir, image->name, !image->replace, err);
    if (rc != RC_OK)
        (void)unlinkat(dir, image->draft, 0);
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
    if (errno != ENOENT)
        return err_sys(err, RC_IO, "data.img");
    (void)snprintf(text, sizeof text, "%u\n", id->index);
    return fs_write_file(dir, "index", bytes_of(text), 0600, err);
}

/* The payload's directory, which is its own. */
static enum rc open_own(int data_dir, const struct data_id *id, int *ret_dir, struct err *err)
{
    scoped(close_fd) int dir = -1;
    char path[2 * NAME_CAP];

    dir_of(id->tenant, id->name, path);
    enum rc rc = fs_make_dirs(data_dir, path, 0700, err);
    if (rc == RC_OK)
        rc = fs_open(data_dir, path, O_RDONLY | O_DIRECTORY, 0, &dir, err);
    if (rc == RC_OK)
        rc = claim(dir, data_dir, id, err);
    if (rc == RC_OK)
        *ret_dir = take_fd(&dir);
    return rc;
}

/* Only what is surely not there is made; an error is not that. */
static enum rc open_image(int dir, const struct image *image, int *ret_fd, struct err *err)
{
    struct stat st = { 0 };
    enum rc rc;

    const bool missing = fstatat(dir, image->name, &st, AT_SYMLINK_NOFOLLOW) != 0;
    if (missing && errno != ENOENT)
        return err_sys(err, RC_IO, "%s", image->name);
    if (missing || (image->replace && S_ISREG(st.st_mode) && (uint64_t)st.st_size != image->bytes))
        rc = make_image(dir, image, err);
    else
        /* An attempt may have failed when only this was left to do; without it a power cut takes
         * the image away, with all that the payload has written since. */
        rc = fs_sync(dir, image->name, err);
    return rc == RC_OK ? fs_open(dir, image->name, O_RDWR | O_NOFOLLOW, 0, ret_fd, err) : rc;
}

enum rc data_open(int data_dir, const struct data_id *id, uint64_t bytes, int *ret_fd,
                  struct err *err)
{
    static char reserved[] = "-m", none[] = "0", features[] = "-O", journal[] = "^resize_inode",
                no_journal[] = "^resize_inode,^has_journal", inodes[] = "-N";
    char count[16];
    const struct image image = {
        .name = "data.img",
        .draft = DRAFT_DATA,
        .bytes = bytes,
        .args = { reserved, none, features, bytes < JOURNAL_MIN_BYTES ? no_journal : journal,
                  id->files != 0 ? inodes : NULL, id->files != 0 ? count : NULL }
    };
    scoped(close_fd) int dir = -1;
    (void)snprintf(count, sizeof count, "%u", id->files + OWN_INODES);
    enum rc rc = open_own(data_dir, id, &dir, err);

    if (rc != RC_OK)
        return rc;
    return open_image(dir, &image, ret_fd, err);
}

/* Small blocks, since mail is; always with a journal, since it comes and goes. */
enum rc data_open_mail(int data_dir, const struct data_id *id, uint64_t inbox_bytes,
                       uint64_t outbox_bytes, int *ret_fd, struct err *err)
{
    static char blocks[] = "-b1024", journal[] = "-Jsize=1", features[] = "-O^resize_inode";
    const uint64_t bytes = inbox_bytes + outbox_bytes;
    const uint64_t percent = inbox_bytes * 100 / bytes;
    const uint64_t files = bytes / MAIL_BYTES_PER_FILE;
    char reserved[16], inodes[32];
    const struct image image = { .name = "mail.img",
                                 .draft = DRAFT_MAIL,
                                 .bytes = plan_mail_image(inbox_bytes, outbox_bytes),
                                 .replace = true,
                                 .args = { blocks, journal, features, reserved, inodes } };
    scoped(close_fd) int dir = -1;
    enum rc rc = open_own(data_dir, id, &dir, err);

    if (rc != RC_OK)
        return rc;
    (void)snprintf(reserved, sizeof reserved, "-m%u",
                   percent > RESERVED_MAX ? RESERVED_MAX : (unsigned)percent);
    (void)snprintf(inodes, sizeof inodes, "-N%llu",
                   (unsigned long long)(files < MAIL_FILES_MIN ? MAIL_FILES_MIN : files));
    return open_image(dir, &image, ret_fd, err);
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
        rc = fs_unlink(dir, DRAFT_DATA, &why);
    if (rc == RC_OK)
        rc = fs_unlink(dir, DRAFT_MAIL, &why);
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
