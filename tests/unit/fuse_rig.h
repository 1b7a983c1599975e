/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/fuse_rig: a file system in memory that lacks what hosts' file systems lack: names of
 * any form, letters that differ in case only, renames, syncs of a directory, a clock.  A process of
 * its own serves it to the kernel (FUSE), so that programs under test meet it as they would meet
 * the host's.  Needs root, /dev/fuse, and a mount namespace that the caller has made.
 */
#ifndef BERTH_TESTS_UNIT_FUSE_RIG_H
#define BERTH_TESTS_UNIT_FUSE_RIG_H

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What it lacks. */
enum {
    LACKS_CASE = 1,        /* one name in any case */
    LACKS_LONG_NAMES = 2,  /* eight letters, a dot and three; kept in capitals */
    LACKS_RENAME = 4,      /* EPERM */
    LACKS_REPLACE = 8,     /* a rename to a name that is there is EEXIST */
    LACKS_DIR_SYNC = 16,   /* EINVAL */
    LACKS_OPEN_RENAME = 32 /* a file that is open cannot be renamed: EBUSY */
};
/* Never there: links, symbolic links, modes, owners, and a clock. */

#define FUSE_NODES 512U
#define FUSE_FILE_MAX 8192U
#define FUSE_BUF (256U * 1024U)
#define FUSE_1980 315532800

struct fuse_node {
    bool used;
    bool dir;
    unsigned open;
    uint64_t parent;
    char name[256];
    size_t size;
    uint8_t data[FUSE_FILE_MAX];
};

struct fuse_rig {
    pid_t pid;
    unsigned lacks;
};

/* ---- the server -------------------------------------------------------------------------------
 */

struct fuse_server {
    int fd;
    unsigned lacks;
    struct fuse_node node[FUSE_NODES]; /* [1] is the root; a node's number is never used again */
    uint64_t n;
    uint8_t in[FUSE_BUF];
    uint8_t out[FUSE_BUF];
};

static bool fuse_same(const struct fuse_server *s, const char *a, const char *b)
{
    return (s->lacks & LACKS_CASE) != 0 ? strcasecmp(a, b) == 0 : strcmp(a, b) == 0;
}

static uint64_t fuse_find(const struct fuse_server *s, uint64_t parent, const char *name)
{
    for (uint64_t i = 2; i < s->n; i++)
        if (s->node[i].used && s->node[i].parent == parent && fuse_same(s, s->node[i].name, name))
            return i;
    return 0;
}

/* 0 or an errno; the name as it is kept. */
static int fuse_name(const struct fuse_server *s, const char *name, char out[256])
{
    const char *dot = strchr(name, '.');
    size_t base = dot ? (size_t)(dot - name) : strlen(name);

    if (strlen(name) > 255)
        return ENAMETOOLONG;
    (void)snprintf(out, 256, "%s", name);
    if ((s->lacks & LACKS_LONG_NAMES) == 0)
        return 0;
    if (base == 0 || base > 8 || (dot && (strlen(dot) > 4 || strchr(dot + 1, '.'))))
        return EINVAL;
    for (char *c = out; *c != '\0'; c++)
        *c = (char)toupper((unsigned char)*c);
    return 0;
}

static void fuse_attr_of(const struct fuse_server *s, uint64_t id, struct fuse_attr *ret)
{
    const struct fuse_node *n = &s->node[id];

    *ret = (struct fuse_attr){ .ino = id,
                               .size = n->size,
                               .blocks = (n->size + 511) / 512,
                               .atime = FUSE_1980,
                               .mtime = FUSE_1980,
                               .ctime = FUSE_1980,
                               .mode = n->dir ? S_IFDIR | 0777U : S_IFREG | 0777U,
                               .nlink = 1,
                               .blksize = 512 };
}

static size_t fuse_entry_of(const struct fuse_server *s, uint64_t id, void *out)
{
    struct fuse_entry_out e = { .nodeid = id };

    fuse_attr_of(s, id, &e.attr);
    memcpy(out, &e, sizeof e);
    return sizeof e;
}

/* A new node of this name; 0 or an errno. */
static int fuse_make(struct fuse_server *s, uint64_t parent, const char *name, bool dir,
                     uint64_t *ret)
{
    char kept[256];
    int e = fuse_name(s, name, kept);

    if (e != 0)
        return e;
    if (fuse_find(s, parent, kept))
        return EEXIST;
    if (s->n == FUSE_NODES)
        return ENOSPC;
    *ret = s->n++;
    s->node[*ret] = (struct fuse_node){ .used = true, .dir = dir, .parent = parent };
    memcpy(s->node[*ret].name, kept, sizeof kept);
    return 0;
}

static int fuse_rename(struct fuse_server *s, uint64_t from_dir, uint64_t to_dir, const char *from,
                       const char *to)
{
    uint64_t id = fuse_find(s, from_dir, from);
    uint64_t there = fuse_find(s, to_dir, to);
    char kept[256];
    int e = fuse_name(s, to, kept);

    if ((s->lacks & LACKS_RENAME) != 0)
        return EPERM;
    if (id == 0)
        return ENOENT;
    if (e != 0)
        return e;
    if ((s->lacks & LACKS_OPEN_RENAME) != 0 && s->node[id].open > 0)
        return EBUSY;
    if (there != 0 && there != id) {
        if ((s->lacks & LACKS_REPLACE) != 0)
            return EEXIST;
        s->node[there].used = false;
    }
    s->node[id].parent = to_dir;
    memcpy(s->node[id].name, kept, sizeof kept);
    return 0;
}

static size_t fuse_list(const struct fuse_server *s, uint64_t dir, uint64_t at, size_t cap,
                        uint8_t *out)
{
    size_t n = 0;

    for (uint64_t i = at < 2 ? 2 : at; i < s->n; i++) {
        const struct fuse_node *node = &s->node[i];
        size_t name = strlen(node->name);
        struct fuse_dirent d = {
            .ino = i, .off = i + 1, .namelen = (uint32_t)name, .type = node->dir ? DT_DIR : DT_REG
        };
        size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name);

        if (!node->used || node->parent != dir)
            continue;
        if (n + size > cap)
            break;
        memset(out + n, 0, size);
        memcpy(out + n, &d, FUSE_NAME_OFFSET);
        memcpy(out + n + FUSE_NAME_OFFSET, node->name, name);
        n += size;
    }
    return n;
}

static int fuse_remove(struct fuse_server *s, uint64_t parent, const char *name, bool dir)
{
    uint64_t id = fuse_find(s, parent, name);

    if (id == 0)
        return ENOENT;
    if (s->node[id].dir != dir)
        return dir ? ENOTDIR : EISDIR;
    for (uint64_t i = 2; dir && i < s->n; i++)
        if (s->node[i].used && s->node[i].parent == id)
            return ENOTEMPTY;
    s->node[id].used = false;
    return 0;
}

static int fuse_set_size(struct fuse_node *n, const struct fuse_setattr_in *in)
{
    if ((in->valid & (FATTR_MODE | FATTR_UID | FATTR_GID)) != 0)
        return EPERM;
    if ((in->valid & FATTR_SIZE) != 0) {
        if (in->size > FUSE_FILE_MAX)
            return EFBIG;
        if (in->size > n->size)
            memset(n->data + n->size, 0, in->size - n->size);
        n->size = in->size;
    }
    return 0;
}

static size_t fuse_read(const struct fuse_node *n, const struct fuse_read_in *in, uint8_t *out)
{
    size_t size = in->offset >= n->size ? 0 : n->size - in->offset;

    size = size < in->size ? size : in->size;
    memcpy(out, n->data + in->offset, size);
    return size;
}

static int fuse_write(struct fuse_node *n, const struct fuse_write_in *in, const uint8_t *data)
{
    if (in->offset + in->size > FUSE_FILE_MAX)
        return ENOSPC;
    if (in->offset > n->size)
        memset(n->data + n->size, 0, in->offset - n->size);
    memcpy(n->data + in->offset, data, in->size);
    if (in->offset + in->size > n->size)
        n->size = in->offset + in->size;
    return 0;
}

/* Answer to what is about names.  0 or an errno; *ret_n bytes in out. */
static int fuse_answer_name(struct fuse_server *s, const struct fuse_in_header *h, void *arg,
                            uint8_t *out, size_t *ret_n)
{
    uint64_t id = 0;
    int e = 0;

    switch (h->opcode) {
    case FUSE_LOOKUP:
        id = fuse_find(s, h->nodeid, arg);
        e = id == 0 ? ENOENT : 0;
        break;
    case FUSE_MKDIR:
        e = fuse_make(s, h->nodeid, (char *)arg + sizeof(struct fuse_mkdir_in), true, &id);
        break;
    case FUSE_CREATE:
        e = fuse_make(s, h->nodeid, (char *)arg + sizeof(struct fuse_create_in), false, &id);
        break;
    case FUSE_UNLINK:
        return fuse_remove(s, h->nodeid, arg, false);
    case FUSE_RMDIR:
        return fuse_remove(s, h->nodeid, arg, true);
    case FUSE_RENAME: {
        const struct fuse_rename_in *in = arg;
        const char *from = (const char *)(in + 1);

        return fuse_rename(s, h->nodeid, in->newdir, from, from + strlen(from) + 1);
    }
    default:
        return ENOSYS;
    }
    if (e != 0)
        return e;
    *ret_n = fuse_entry_of(s, id, out);
    if (h->opcode == FUSE_CREATE) {
        s->node[id].open++;
        memset(out + *ret_n, 0, sizeof(struct fuse_open_out));
        *ret_n += sizeof(struct fuse_open_out);
    }
    return 0;
}

/* The same for all else. */
static int fuse_answer(struct fuse_server *s, const struct fuse_in_header *h, void *arg,
                       uint8_t *out, size_t *ret_n)
{
    struct fuse_node *n = &s->node[h->nodeid < FUSE_NODES ? h->nodeid : 0];
    int e;

    switch (h->opcode) {
    case FUSE_INIT: {
        const struct fuse_init_in *in = arg;
        struct fuse_init_out o = { .major = FUSE_KERNEL_VERSION,
                                   .minor = FUSE_KERNEL_MINOR_VERSION,
                                   .max_readahead = in->max_readahead,
                                   .max_background = 16,
                                   .congestion_threshold = 12,
                                   .max_write = 65536,
                                   .time_gran = 1000000000 };

        memcpy(out, &o, *ret_n = sizeof o);
        return 0;
    }
    case FUSE_SETATTR:
        e = fuse_set_size(n, arg);
        if (e != 0)
            return e;
        /* fall through */
        __attribute__((fallthrough));
    case FUSE_GETATTR: {
        struct fuse_attr_out o = { 0 };

        fuse_attr_of(s, h->nodeid, &o.attr);
        memcpy(out, &o, *ret_n = sizeof o);
        return 0;
    }
    case FUSE_OPEN:
        n->open++;
        /* fall through */
        __attribute__((fallthrough));
    case FUSE_OPENDIR:
        memset(out, 0, *ret_n = sizeof(struct fuse_open_out));
        return 0;
    case FUSE_FLUSH: /* close, of which the caller waits for the end; of RELEASE it does not */
        n->open -= n->open > 0 ? 1 : 0;
        return 0;
    case FUSE_READ:
        *ret_n = fuse_read(n, arg, out);
        return 0;
    case FUSE_READDIR: {
        const struct fuse_read_in *in = arg;

        *ret_n = fuse_list(s, h->nodeid, in->offset, in->size, out);
        return 0;
    }
    case FUSE_WRITE: {
        const struct fuse_write_in *in = arg;
        struct fuse_write_out o = { .size = in->size };

        memcpy(out, &o, *ret_n = sizeof o);
        return fuse_write(n, in, (const uint8_t *)(in + 1));
    }
    case FUSE_STATFS: {
        struct fuse_statfs_out o = { .st = { .bsize = 512, .namelen = 255, .frsize = 512 } };

        memcpy(out, &o, *ret_n = sizeof o);
        return 0;
    }
    case FUSE_FSYNCDIR:
        return (s->lacks & LACKS_DIR_SYNC) != 0 ? EINVAL : 0;
    case FUSE_FSYNC:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        return 0;
    case FUSE_LINK:
    case FUSE_SYMLINK:
        return EPERM;
    default:
        return fuse_answer_name(s, h, arg, out, ret_n);
    }
}

static void fuse_serve(struct fuse_server *s)
{
    for (;;) {
        ssize_t got = read(s->fd, s->in, sizeof s->in);
        struct fuse_in_header *h = (struct fuse_in_header *)s->in;
        struct fuse_out_header o = { .len = sizeof o };
        size_t n = 0;
        int e;

        if (got < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
            continue;
        if (got < (ssize_t)sizeof *h)
            _exit(0); /* unmounted */
        if (h->opcode == FUSE_FORGET || h->opcode == FUSE_BATCH_FORGET ||
            h->opcode == FUSE_INTERRUPT)
            continue;
        e = fuse_answer(s, h, h + 1, s->out + sizeof o, &n);
        o.unique = h->unique;
        o.error = -e;
        o.len += e == 0 ? (uint32_t)n : 0;
        memcpy(s->out, &o, sizeof o);
        if (write(s->fd, s->out, o.len) < 0 && errno != ENOENT)
            _exit(1);
    }
}

/* ---- its mount --------------------------------------------------------------------------------
 */

/* Mount it on a directory.  False: this machine has no FUSE. */
static bool fuse_rig_mount(struct fuse_rig *ret, const char *where, unsigned lacks)
{
    char options[128];
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return false;
    (void)snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other",
                   fd);
    if (mount("berth-test", where, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
        close(fd);
        return false;
    }
    *ret = (struct fuse_rig){ .pid = fork(), .lacks = lacks };
    if (ret->pid == 0) {
        struct fuse_server *s = calloc(1, sizeof *s);

        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!s)
            _exit(1);
        s->fd = fd;
        s->lacks = lacks;
        s->n = 2;
        s->node[1] = (struct fuse_node){ .used = true, .dir = true };
        fuse_serve(s);
    }
    close(fd);
    return ret->pid > 0;
}

static void fuse_rig_unmount(struct fuse_rig *ret, const char *where)
{
    (void)umount2(where, MNT_DETACH);
    (void)kill(ret->pid, SIGKILL);
    (void)waitpid(ret->pid, NULL, 0);
}

#endif
