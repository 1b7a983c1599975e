/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/mounts: the payload's file tree.  Everything is mounted by descriptor: the launcher makes
 * detached mounts of what needs privilege (slot, device nodes, data image), the child makes the
 * rest (procfs, memory file systems) inside its own namespaces and puts all of it together.  No
 * path from a request is looked up outside the slot, and none inside it through a link or another
 * mount.
 */
#ifndef BERTH_SANDBOX_MOUNTS_H
#define BERTH_SANDBOX_MOUNTS_H

#include "sandbox/plan.h"

#define MOUNTS_NODES 5U /* in every /dev */

/* Detached mounts, before and while the child takes them. */
struct mounts {
    int root; /* the slot, read-only; or the tree of the tender of a virtual machine */
    int slot; /* then this is the slot; else -1 */
    int dev;
    int data;          /* -1 = none */
    int inbox, outbox; /* two mounts of the whole mail image; -1 = none */
    uint32_t n_listed; /* directories that appear in /dev */
    int listed[PLAN_DEVICES_MAX];
    const char *listed_name[PLAN_DEVICES_MAX]; /* the plan's */
    bool shm;                                  /* /dev has a directory for /dev/shm */
    bool whole_proc; /* procfs cannot be cut to own processes, and the integrator does without */
    bool no_proc;    /* it cannot be mounted at all: an ordinary user's /proc stays empty */
    uint32_t n_nodes;
    int node[MOUNTS_NODES]; /* the host's own nodes, where an ordinary user can make none */
};

/* The loop device under a mounted data image. */
struct mounts_loop {
    int fd; /* -1 = none */
    int number;
};

#define MOUNTS_INIT                                                                                \
    ((struct mounts){ .root = -1, .slot = -1, .dev = -1, .data = -1, .inbox = -1, .outbox = -1 })
#define MOUNTS_LOOP_INIT ((struct mounts_loop){ .fd = -1, .number = -1 })

/* Detached mounts of an empty tmpfs, and of procfs (cut to own processes if so wanted).
 * Descriptor, or -1 with errno.  Allocate nothing. */
must_check int mounts_new_tmpfs(void);
must_check int mounts_new_proc(bool own_only);

/* One option of a new file system; a list ends with a NULL key.  A NULL value makes it a flag. */
struct mounts_option {
    const char *key;
    const char *value;
};

/* A detached mount of a new file system with MOUNT_ATTR_ attributes.  Descriptor, or -1 with errno.
 * Allocates nothing. */
must_check int mounts_new_fs(const char *type, const struct mounts_option *options,
                             unsigned int attributes);

/* Add MOUNT_ATTR_ attributes to one mount, and make it private; userns_fd is for
 * MOUNT_ATTR_IDMAP, else -1.  0, or -1 with errno. */
must_check int mounts_set_attributes(int mount_fd, uint64_t set, int userns_fd);

/* Decimal digits without stdio, for options: returns where they begin in out. */
const char *mounts_decimal(uint64_t value, char out[21]);

/* Launcher: the five device nodes and the usual links, in the directory of a fresh tmpfs. */
must_check enum rc mounts_fill_dev(int fd, struct err *err);

/* Launcher: a read-only, nosuid, nodev clone of the slot directory, which must lie in slots_dirfd:
 * whoever asks may hold a descriptor of any directory.  RC_LAUNCH_REQUEST. */
must_check enum rc mounts_open_root(int slots_dirfd, int slot_dirfd, struct mounts *m,
                                    struct err *err);

/* Launcher: the slot that is open becomes a directory of a tender's tree, and nothing in it can be
 * executed any more.  Takes the descriptor of that tree, a detached mount.  RC_LAUNCH_STEP. */
must_check enum rc mounts_put_tender(int *tender_fd, struct mounts *m, struct err *err);

/* A detached file system in memory, of so many bytes and files, that belongs to one id of this user
 * namespace; nothing in it can be executed, unless it is for programs.  Descriptor, or -1 with
 * errno. */
must_check int mounts_new_memory(uint64_t bytes, uint64_t inodes, uint32_t id, bool programs);

/* Give one that is mounted another size.  -1 with errno: EINVAL, it holds more than that. */
must_check int mounts_resize_memory(int fd, uint64_t bytes);

/* Another node in /dev. */
struct mounts_node {
    const char *name;
    unsigned int major, minor;
    uint32_t mode; /* permissions, for everybody */
};

/* Launcher: a read-only tmpfs with the five device nodes, those that are granted, and an empty
 * directory for each of m->listed. */
must_check enum rc mounts_open_dev(const struct mounts_node *granted, uint32_t n, struct mounts *m,
                                   struct err *err);

/* Launcher of an ordinary user: the same with the host's own five nodes, each mounted over an empty
 * file by the child. */
must_check enum rc mounts_open_dev_bound(struct mounts *m, struct err *err);

/* Launcher of an ordinary user: what stands in for the images.  data and mail are attached mounts
 * of the caller's (mail with the directories "in" and "out"), or -1; they are cloned, and stay the
 * caller's with what is in them. */
must_check enum rc mounts_open_dirs(int data, int mail, const struct plan *plan, struct mounts *m,
                                    struct err *err);

/* The name of one of the five in /dev. */
const char *mounts_node_name(uint32_t i);

/* Launcher: mount the ext4 image that the descriptor holds, whose size may be at most the plan's
 * data_bytes and the rest of a MiB.  RC_BUSY when the image is in use already, RC_DATA_IMAGE when
 * it cannot be mounted. */
must_check enum rc mounts_open_data(int image_fd, const struct plan *plan, struct mounts *m,
                                    struct mounts_loop *loop, struct err *err);

/* How the mail image is mounted. */
struct mounts_mail {
    const struct plan *plan;
    int userns; /* in which the payload's id is that of the user who carries mail (sandbox/idmap) */
    uint32_t uid; /* that user: the room of the inbox is kept for it */
};

/* Launcher: mount the mail image that the descriptor holds, once for each of its two directories
 * (made if they are missing) and once more as the view of who carries mail, whose descriptor is
 * *ret_view.  The image's room and its inodes are fixed when it is made.  RC_BUSY, RC_DATA_IMAGE.
 */
must_check enum rc mounts_open_mail(int image_fd, const struct mounts_mail *mail, struct mounts *m,
                                    struct mounts_loop *loop, int *ret_view, struct err *err);

/* Launcher: shift the ids of the data and mail mounts into the range of a user namespace. */
must_check enum rc mounts_shift_data(const struct mounts *m, int userns_fd, struct err *err);

/* Launcher: close its copies of the mounts. */
void mounts_close(struct mounts *m);

/* Launcher: wait until nobody has the image mounted and detach the device, so that the image may be
 * used again.  False if it still was at until_ms of clock_mono_ms: then the kernel detaches it when
 * the last mount goes.  Safe on MOUNTS_LOOP_INIT and twice. */
bool mounts_release(struct mounts_loop *loop, uint64_t until_ms);

/* Child: make the mount namespace private and put the slot over "/". */
must_check int mounts_attach_root(const struct mounts *m);

/* Child: carry out the plan's operations below the new root. */
must_check int mounts_attach_tree(const struct mounts *m, const struct plan *plan);

/* Child: make it the root, and lose the old one.  The three child functions allocate nothing and
 * return 0, or -1 with errno. */
must_check int mounts_pivot(const struct mounts *m);

#endif
