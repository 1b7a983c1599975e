/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"

#define SLOT_DEPTH 4U /* levels of a slot's root below all slots */
#define LOOP_TRIES 16
#define LOCK_WAIT_MS 5000U
#define MIB (1024ULL * 1024U)
#define MAIL_IN "in"
#define MAIL_OUT "out"

struct node {
    const char *name;
    unsigned int minor; /* of major 1, the memory devices */
};

static const struct node nodes[] = {
    { "null", 3 }, { "zero", 5 }, { "full", 7 }, { "random", 8 }, { "urandom", 9 },
};

static_assert(sizeof nodes / sizeof nodes[0] == MOUNTS_NODES, "each has a place");

struct symlink {
    const char *name;
    const char *target;
};

static const struct symlink dev_links[] = {
    { "fd", "/proc/self/fd" },
    { "stdin", "/proc/self/fd/0" },
    { "stdout", "/proc/self/fd/1" },
    { "stderr", "/proc/self/fd/2" },
};

const char *mounts_decimal(uint64_t value, char out[21])
{
    char *at = out + 20;

    *at = '\0';
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    return at;
}

int mounts_new_fs(const char *type, const struct mounts_option *options, unsigned int attributes)
{
    scoped(close_fd) int fs = fsopen(type, FSOPEN_CLOEXEC);

    if (fs < 0)
        return -1;
    for (; options->key != NULL; options++) {
        unsigned int cmd = options->value == NULL ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;

        if (fsconfig(fs, cmd, options->key, options->value, 0) != 0)
            return -1;
    }
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return -1;
    return fsmount(fs, FSMOUNT_CLOEXEC, attributes);
}

int mounts_new_tmpfs(void)
{
    const struct mounts_option options[] = { { "size", "4096" }, { NULL, NULL } };

    return mounts_new_fs("tmpfs", options,
                         MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

int mounts_new_proc(bool own_only)
{
    const struct mounts_option options[] = { { "subset", "pid" },
                                             { "hidepid", "invisible" },
                                             { NULL, NULL } };

    return mounts_new_fs("proc", own_only ? options : options + 2,
                         MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

int mounts_new_memory(uint64_t bytes, uint64_t inodes, uint32_t id, bool programs)
{
    char size[21];
    char files[21];
    char owner[21];
    const struct mounts_option options[] = { { "size", mounts_decimal(bytes, size) },
                                             { "nr_inodes", mounts_decimal(inodes, files) },
                                             { "mode", "0700" },
                                             { "uid", mounts_decimal(id, owner) },
                                             { "gid", mounts_decimal(id, owner) },
                                             { NULL, NULL } };
    const unsigned int attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

    return mounts_new_fs("tmpfs", options, programs ? attributes : attributes | MOUNT_ATTR_NOEXEC);
}

int mounts_resize_memory(int fd, uint64_t bytes)
{
    char size[21];
    scoped(close_fd) int fs = fspick(fd, "", FSPICK_EMPTY_PATH | FSPICK_CLOEXEC);

    if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "size", mounts_decimal(bytes, size), 0) != 0)
        return -1;
    return fsconfig(fs, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0);
}

int mounts_set_attributes(int mount_fd, uint64_t set, int userns_fd)
{
    struct mount_attr attr = { .attr_set = set,
                               .propagation = MS_PRIVATE,
                               .userns_fd = (unsigned int)(userns_fd < 0 ? 0 : userns_fd) };

    return mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attr, sizeof attr);
}

/* ---- launcher ------------------------------------------------------------------------------- */

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* TENANT/PAYLOAD/DIGEST/root: go up until there, and no further.  How many levels that is, 0 when
 * it is elsewhere; -1 with errno when it cannot be told. */
static int lies_in(int slots_dirfd, int slot_dirfd)
{
    struct stat slots;
    struct stat st;
    scoped(close_fd) int at = openat(slot_dirfd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fstat(slots_dirfd, &slots) != 0)
        return -1;
    for (unsigned int level = 0; level < SLOT_DEPTH; level++) {
        if (at < 0 || fstat(at, &st) != 0)
            return -1;
        if (same_file(&st, &slots))
            return (int)level + 1;
        int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

        close_fd(&at);
        at = up;
    }
    return 0;
}

/* The same slot by way of our own descriptor: who asks may have a mount namespace of its own, and
 * of its mounts the kernel makes none here (EINVAL).  The name, that of the slot's last levels, is
 * the kernel's and only a hint: below the slots must be the very same directory. */
static enum rc find_here(int slots_dirfd, int slot_dirfd, int levels, int *ret, struct err *err)
{
    char proc[32], path[PATH_MAX];
    struct stat asked, found;
    scoped(close_fd) int fd = -1;

    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", slot_dirfd);
    const ssize_t n = readlink(proc, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    const char *from = path + strlen(path);
    for (int i = 0; i < levels; i++)
        while (from > path && *--from != '/')
            continue;
    if (*from != '/')
        return err_set(err, RC_LAUNCH_STEP, "slot without a name");
    enum rc rc = fs_open(slots_dirfd, from + 1, O_RDONLY | O_DIRECTORY, 0, &fd, err);
    if (rc != RC_OK)
        return rc;
    if (fstat(slot_dirfd, &asked) != 0 || fstat(fd, &found) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "slot");
    if (!same_file(&asked, &found))
        return err_set(err, RC_LAUNCH_STEP, "another slot lies there");
    *ret = take_fd(&fd);
    return RC_OK;
}

static int clone_tree(int dirfd)
{
    return open_tree(dirfd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

enum rc mounts_open_root(int slots_dirfd, int slot_dirfd, struct mounts *m, struct err *err)
{
    struct stat st;

    if (fstat(slot_dirfd, &st) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "slot");
    if (!S_ISDIR(st.st_mode))
        return err_set(err, RC_LAUNCH_REQUEST, "slot is not a directory");
    const int levels = lies_in(slots_dirfd, slot_dirfd);
    if (levels < 0)
        return err_sys(err, RC_LAUNCH_STEP, "where the slot lies");
    if (levels == 0)
        return err_set(err, RC_LAUNCH_REQUEST, "directory is not a slot");

    scoped(close_fd) int here = -1;
    scoped(close_fd) int fd = clone_tree(slot_dirfd);
    if (fd < 0 && errno == EINVAL) {
        enum rc rc = find_here(slots_dirfd, slot_dirfd, levels, &here, err);

        if (rc != RC_OK)
            return rc;
        fd = clone_tree(here);
    }
    if (fd < 0 || mounts_set_attributes(
                      fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "slot mount");
    m->root = take_fd(&fd);
    return RC_OK;
}

enum rc mounts_put_tender(int *tender_fd, struct mounts *m, struct err *err)
{
    if (mounts_set_attributes(m->root, MOUNT_ATTR_NOEXEC, -1) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "slot of a vm");
    m->slot = take_fd(&m->root);
    m->root = take_fd(tender_fd);
    return RC_OK;
}

enum rc mounts_fill_dev(int fd, struct err *err)
{
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        if (mknodat(fd, nodes[i].name, S_IFCHR | 0666, makedev(1, nodes[i].minor)) != 0)
            return err_sys(err, RC_LAUNCH_STEP, "dev/%s", nodes[i].name);
    }
    for (size_t i = 0; i < sizeof dev_links / sizeof dev_links[0]; i++) {
        if (symlinkat(dev_links[i].target, fd, dev_links[i].name) != 0)
            return err_sys(err, RC_LAUNCH_STEP, "dev/%s", dev_links[i].name);
    }
    return RC_OK;
}

/* What is granted beyond the five. */
static enum rc fill_dev(int fd, const struct mounts_node *granted, uint32_t n,
                        const struct mounts *m, struct err *err)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct mounts_node *node = &granted[i];

        if (mknodat(fd, node->name, S_IFCHR | node->mode, makedev(node->major, node->minor)) != 0)
            return err_sys(err, RC_LAUNCH_STEP, "dev/%s", node->name);
    }
    for (uint32_t i = 0; i < m->n_listed; i++) {
        if (mkdirat(fd, m->listed_name[i], 0755) != 0)
            return err_sys(err, RC_LAUNCH_STEP, "dev/%s", m->listed_name[i]);
    }
    return RC_OK;
}

/* An empty file system for /dev with the usual links. */
static enum rc new_dev(bool shm, int *ret, struct err *err)
{
    const struct mounts_option options[] = {
        { "mode", "0755" }, { "size", "4096" }, { "nr_inodes", "32" }, { NULL, NULL }
    };
    scoped(close_fd) int fd =
        mounts_new_fs("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);

    if (fd < 0)
        return err_sys(err, RC_LAUNCH_STEP, "dev mount");
    for (size_t i = 0; i < sizeof dev_links / sizeof dev_links[0]; i++) {
        if (symlinkat(dev_links[i].target, fd, dev_links[i].name) != 0)
            return err_sys(err, RC_LAUNCH_STEP, "dev/%s", dev_links[i].name);
    }
    if (shm && mkdirat(fd, &PLAN_SHM_PATH[sizeof PLAN_DEV_DIR - 1], 0755) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "dev/shm");
    *ret = take_fd(&fd);
    return RC_OK;
}

enum rc mounts_open_dev(const struct mounts_node *granted, uint32_t n, struct mounts *m,
                        struct err *err)
{
    scoped(close_fd) int fd = -1;
    enum rc rc = new_dev(m->shm, &fd, err);

    if (rc != RC_OK)
        return rc;
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        if (mknodat(fd, nodes[i].name, S_IFCHR | 0666, makedev(1, nodes[i].minor)) != 0)
            return err_sys(err, RC_LAUNCH_STEP, "dev/%s", nodes[i].name);
    }
    rc = fill_dev(fd, granted, n, m, err);
    if (rc != RC_OK)
        return rc;
    if (mounts_set_attributes(fd, MOUNT_ATTR_RDONLY, -1) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "dev read-only");
    m->dev = take_fd(&fd);
    return RC_OK;
}

const char *mounts_node_name(uint32_t i)
{
    return i < MOUNTS_NODES ? nodes[i].name : "?";
}

/* One of the host's nodes, detached. */
static int clone_node(const char *name)
{
    char path[32];

    (void)snprintf(path, sizeof path, "/dev/%s", name);
    scoped(close_fd) int fd =
        open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    if (!S_ISCHR(st.st_mode) || major(st.st_rdev) != 1) {
        errno = ENODEV;
        return -1;
    }
    return mounts_set_attributes(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
                                 -1) != 0
               ? -1
               : take_fd(&fd);
}

enum rc mounts_open_dev_bound(struct mounts *m, struct err *err)
{
    scoped(close_fd) int dev = -1;
    enum rc rc = new_dev(m->shm, &dev, err);

    for (uint32_t i = 0; rc == RC_OK && i < MOUNTS_NODES; i++) {
        scoped(close_fd) int point =
            openat(dev, nodes[i].name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        m->node[i] = point < 0 ? -1 : clone_node(nodes[i].name);
        if (m->node[i] < 0)
            return err_sys(err, RC_LAUNCH_STEP, "dev/%s", nodes[i].name);
        m->n_nodes = i + 1;
    }
    if (rc == RC_OK && mounts_set_attributes(dev, MOUNT_ATTR_RDONLY, -1) != 0)
        return err_sys(err, RC_LAUNCH_STEP, "dev read-only");
    if (rc == RC_OK)
        m->dev = take_fd(&dev);
    return rc;
}

/* Another mount of what is mounted there. */
static int clone_mount(int fd)
{
    scoped(close_fd) int clone =
        open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (clone < 0 || mounts_set_attributes(
                         clone, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, -1) != 0)
        return -1;
    return take_fd(&clone);
}

enum rc mounts_open_dirs(int data, int mail, const struct plan *plan, struct mounts *m,
                         struct err *err)
{
    const struct {
        int *ret;
        int from;
        bool wanted;
    } rows[] = { { &m->data, data, plan->has_data != 0 },
                 { &m->inbox, mail, plan->limits.inbox_bytes != 0 },
                 { &m->outbox, mail, plan->limits.outbox_bytes != 0 } };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].wanted)
            continue;
        *rows[i].ret = clone_mount(rows[i].from);
        if (*rows[i].ret < 0)
            return err_sys(err, RC_LAUNCH_STEP, "directories of data and mail");
    }
    return RC_OK;
}

static void loop_path(int number, char out[32])
{
    (void)snprintf(out, 32, "/dev/loop%d", number);
}

/* Take a free loop device for the image; another program may be faster, hence the tries. */
static int attach_loop(int image_fd, struct mounts_loop *ret)
{
    scoped(close_fd) int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    struct loop_config config = { .fd = (uint32_t)image_fd, .info.lo_flags = LO_FLAGS_AUTOCLEAR };

    for (int i = 0; control >= 0 && i < LOOP_TRIES; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        char path[32];

        if (number < 0)
            return -1;
        loop_path(number, path);
        scoped(close_fd) int fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0)
            return -1;
        if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
            *ret = (struct mounts_loop){ .fd = take_fd(&fd), .number = number };
            return 0;
        }
        if (errno != EBUSY)
            return -1;
    }
    return -1;
}

/* A fresh image belongs to root; its top directory becomes the payload's.  So it does when a
 * version of the payload is another user inside than the one before. */
static int adopt_data(int fd, uint32_t uid)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -1;
    if (st.st_uid == 0 && fchmodat(fd, ".", 0700, 0) != 0)
        return -1;
    return st.st_uid == uid ? 0 : fchownat(fd, ".", uid, uid, 0);
}

/* The lock lives as long as the loop device holds the file: two mounts would destroy it.  After a
 * SIGKILL of the launcher the kernel needs a moment to take the old mount down. */
static enum rc lock_image(int image_fd, struct err *err)
{
    uint64_t until = clock_mono_ms() + LOCK_WAIT_MS;

    while (flock(image_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return err_sys(err, RC_DATA_IMAGE, "lock data image");
        if (clock_mono_ms() >= until)
            return err_set(err, RC_BUSY, "data image is in use");
        (void)poll(NULL, 0, 5);
    }
    return RC_OK;
}

/* The image of a descriptor under a loop device of its own, locked. */
static enum rc take_image(int image_fd, uint64_t bytes, struct mounts_loop *loop, char path[32],
                          struct err *err)
{
    struct stat st;

    if (fstat(image_fd, &st) != 0)
        return err_sys(err, RC_DATA_IMAGE, "image");
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 ||
        (uint64_t)st.st_size > (bytes + MIB - 1) / MIB * MIB)
        return err_set(err, RC_DATA_IMAGE, "not a file of at most %llu bytes",
                       (unsigned long long)bytes);
    enum rc rc = lock_image(image_fd, err);
    if (rc != RC_OK)
        return rc;
    if (attach_loop(image_fd, loop) != 0)
        return err_sys(err, RC_DATA_IMAGE, "loop device");
    loop_path(loop->number, path);
    return RC_OK;
}

enum rc mounts_open_data(int image_fd, const struct plan *plan, struct mounts *m,
                         struct mounts_loop *loop, struct err *err)
{
    char path[32];
    enum rc rc = take_image(image_fd, plan->limits.data_bytes, loop, path, err);

    if (rc != RC_OK)
        return rc;
    const struct mounts_option options[] = { { "source", path },
                                             { "errors", "remount-ro" },
                                             { NULL, NULL } };
    scoped(close_fd) int fd =
        mounts_new_fs("ext4", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);

    if (fd < 0)
        return err_sys(err, RC_DATA_IMAGE, "mount data image");
    if (adopt_data(fd, plan_uid(plan)) != 0)
        return err_sys(err, RC_DATA_IMAGE, "owner of /data");
    m->data = take_fd(&fd);
    return RC_OK;
}

/* One of the two directories of a mail image, which is the payload's. */
static int adopt_part(int image, const char *name, uint32_t uid)
{
    const struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                                  .resolve =
                                      RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV };
    struct stat st;

    if (mkdirat(image, name, 0700) != 0 && errno != EEXIST)
        return -1;
    scoped(close_fd) int fd = (int)syscall(SYS_openat2, image, name, &how, sizeof how);
    if (fd < 0 || fstat(fd, &st) != 0)
        return -1;
    if ((st.st_mode & 0777) != 0700 && fchmod(fd, 0700) != 0)
        return -1;
    return st.st_uid == uid && st.st_gid == uid ? 0 : fchown(fd, uid, uid);
}

enum rc mounts_open_mail(int image_fd, const struct mounts_mail *mail, struct mounts *m,
                         struct mounts_loop *loop, int *ret_view, struct err *err)
{
    const unsigned int attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    char path[32];
    char uid[21];
    const struct plan_limits *limits = &mail->plan->limits;
    const uint32_t owner = plan_uid(mail->plan);
    enum rc rc = take_image(image_fd, plan_mail_image(limits->inbox_bytes, limits->outbox_bytes),
                            loop, path, err);

    if (rc != RC_OK)
        return rc;
    /* The same image once more is the same file system, and another mount. */
    const struct mounts_option options[] = { { "source", path },
                                             { "errors", "remount-ro" },
                                             { "resuid", mounts_decimal(mail->uid, uid) },
                                             { NULL, NULL } };
    scoped(close_fd) int view = mounts_new_fs("ext4", options, attributes);

    if (view < 0)
        return err_sys(err, RC_DATA_IMAGE, "mount mail image");
    if (adopt_part(view, MAIL_IN, owner) != 0 || adopt_part(view, MAIL_OUT, owner) != 0)
        return err_sys(err, RC_DATA_IMAGE, "directories of the mail image");
    if (mounts_set_attributes(view, MOUNT_ATTR_IDMAP, mail->userns) != 0)
        return err_sys(err, RC_DATA_IMAGE, "shift ids");
    if (limits->inbox_bytes != 0)
        m->inbox = mounts_new_fs("ext4", options, attributes);
    if (limits->outbox_bytes != 0)
        m->outbox = mounts_new_fs("ext4", options, attributes);
    if ((limits->inbox_bytes != 0 && m->inbox < 0) || (limits->outbox_bytes != 0 && m->outbox < 0))
        return err_sys(err, RC_DATA_IMAGE, "mount mail image");
    *ret_view = take_fd(&view);
    return RC_OK;
}

enum rc mounts_shift_data(const struct mounts *m, int userns_fd, struct err *err)
{
    const int fds[] = { m->data, m->inbox, m->outbox };

    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
        if (fds[i] >= 0 && mounts_set_attributes(fds[i], MOUNT_ATTR_IDMAP, userns_fd) != 0)
            return err_sys(err, RC_DATA_IMAGE, "shift ids");
    }
    return RC_OK;
}

void mounts_close(struct mounts *m)
{
    for (uint32_t i = 0; i < m->n_listed; i++)
        close_fd(&m->listed[i]);
    m->n_listed = 0;
    for (uint32_t i = 0; i < m->n_nodes; i++)
        close_fd(&m->node[i]);
    m->n_nodes = 0;
    close_fd(&m->root);
    close_fd(&m->slot);
    close_fd(&m->dev);
    close_fd(&m->data);
    close_fd(&m->inbox);
    close_fd(&m->outbox);
}

/* Descriptors that a payload has passed to itself over a socket, and never taken, outlive it until
 * some such socket is closed on this host: here is one. */
static void collect_passed(void)
{
    scoped(close_fd) int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)sock;
}

bool mounts_release(struct mounts_loop *loop, uint64_t until_ms)
{
    if (loop->fd < 0)
        return true;

    bool free_now = false;
    char path[32];

    loop_path(loop->number, path);
    /* Exclusive opening fails as long as the file system is mounted somewhere. */
    for (;;) {
        scoped(close_fd) int alone = open(path, O_RDONLY | O_EXCL | O_CLOEXEC);

        free_now = alone >= 0;
        if (free_now || clock_mono_ms() >= until_ms)
            break;
        collect_passed();
        (void)poll(NULL, 0, 1);
    }
    (void)ioctl(loop->fd, LOOP_CLR_FD);
    close_fd(&loop->fd);
    loop->number = -1;
    return free_now;
}

/* ---- child ---------------------------------------------------------------------------------- */

int mounts_attach_root(const struct mounts *m)
{
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return -1;
    return move_mount(m->root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
}

/* The mount point inside the slot: a real directory of the slot itself, or of our own /dev. */
static int open_point(const struct mounts *m, const char *path)
{
    struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
                                       RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV };

    const size_t dev = sizeof PLAN_DEV_DIR - 1;
    bool in_dev = strncmp(path, PLAN_DEV_DIR, dev) == 0;

    return (int)syscall(SYS_openat2, in_dev ? m->dev : m->root, path + (in_dev ? dev : 1), &how,
                        sizeof how);
}

static int attach(const struct mounts *m, int fd, const char *path)
{
    scoped(close_fd) int point = fd < 0 ? -1 : open_point(m, path);

    if (point < 0)
        return -1;
    return move_mount(fd, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int attach_proc(const struct mounts *m, const struct plan_op *op)
{
    if (m->no_proc)
        return 0;
    scoped(close_fd) int fd = mounts_new_proc(!m->whole_proc);

    return attach(m, fd, op->path);
}

/* One directory of an image, where the image itself stands for a moment: only what is attached can
 * be cloned (before Linux 6.15). */
static int attach_part(const struct mounts *m, int fd, const char *path, const char *part)
{
    scoped(close_fd) int point = fd < 0 ? -1 : open_point(m, path);

    if (point < 0 ||
        move_mount(fd, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
        return -1;
    scoped(close_fd) int clone =
        open_tree(fd, part, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
    if (clone < 0 || fchdir(m->root) != 0 || umount2(path + 1, MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
        return -1;
    return move_mount(clone, "", point, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static int attach_tmpfs(const struct mounts *m, const struct plan_op *op, uint32_t uid)
{
    scoped(close_fd) int fd = mounts_new_memory(op->bytes, op->inodes, uid, false);

    return attach(m, fd, op->path);
}

/* The directories lie in a mount that is ours alone, and are no links. */
static int attach_dev(const struct mounts *m, const struct plan_op *op)
{
    if (attach(m, m->dev, op->path) != 0)
        return -1;
    for (uint32_t i = 0; i < m->n_nodes; i++) {
        scoped(close_fd) int point = openat(m->dev, nodes[i].name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

        if (point < 0 || move_mount(m->node[i], "", point, "",
                                    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
            return -1;
    }
    for (uint32_t i = 0; i < m->n_listed; i++) {
        scoped(close_fd) int point =
            openat(m->dev, m->listed_name[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        if (point < 0 || move_mount(m->listed[i], "", point, "",
                                    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
            return -1;
    }
    return 0;
}

static int attach_op(const struct mounts *m, const struct plan_op *op, uint32_t uid)
{
    switch ((enum plan_op_type)op->type) {
    case PLAN_OP_ROOT:
        return 0; /* done by mounts_attach_root */
    case PLAN_OP_PROC:
        return attach_proc(m, op);
    case PLAN_OP_DEV:
        return attach_dev(m, op);
    case PLAN_OP_TMPFS:
        return attach_tmpfs(m, op, uid);
    case PLAN_OP_DATA:
        return attach(m, m->data, op->path);
    case PLAN_OP_SLOT:
        return attach(m, m->slot, op->path);
    case PLAN_OP_INBOX:
        return attach_part(m, m->inbox, op->path, MAIL_IN);
    case PLAN_OP_OUTBOX:
        return attach_part(m, m->outbox, op->path, MAIL_OUT);
    case PLAN_OP_NONE:
    case PLAN_OP_TYPES:
        break;
    }
    errno = EINVAL;
    return -1;
}

int mounts_attach_tree(const struct mounts *m, const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        if (attach_op(m, &plan->ops[i], plan_uid(plan)) != 0)
            return -1;
    }
    return 0;
}

int mounts_pivot(const struct mounts *m)
{
    char cwd[8];

    if (fchdir(m->root) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
        umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
        return -1;
    long n = syscall(SYS_getcwd, cwd, sizeof cwd);
    if (n == 2 && cwd[0] == '/')
        return 0;
    if (n >= 0)
        errno = EXDEV;
    return -1;
}
