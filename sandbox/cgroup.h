/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/cgroup: limits, accounting and tracking of one instance, on cgroup v2, on v1, and on
 * hosts that have v1 controllers beside an empty v2 tree.
 *
 * A host has one or more hierarchies; in each that is needed the launcher owns one directory, NAME,
 * with a directory for each tenant, which holds what its payloads may have together, and there one
 * for each instance.  On v1 the controllers are memory, pids and cpu
 * (and devices, cpuacct if needed); the v2 tree, if there is one, is used to start processes
 * inside, to count cpu time and to kill.  A limit that cannot be set is an error: nothing runs
 * without it (sandbox/cgroup_limits), and without a filter for devices (sandbox/cgroup_device),
 * unless its controller is not there at all and the caller goes on without.
 *
 * Nothing here follows what a payload says: payloads do not see any cgroup file system.
 */
#ifndef BERTH_SANDBOX_CGROUP_H
#define BERTH_SANDBOX_CGROUP_H

#include <sys/types.h>

#include "sandbox/wire.h"

/* Which hierarchy.  On pure v2 only UNIFIED is there and carries the controllers. */
enum cgroup_kind {
    CGROUP_UNIFIED,
    CGROUP_MEMORY,
    CGROUP_PIDS,
    CGROUP_CPU,
    CGROUP_CPUACCT,
    CGROUP_DEVICES,
    CGROUP_FREEZER, /* only where there is no v2 tree */
    CGROUP_BLKIO,   /* only for who asks for it */
    CGROUP_KINDS
};

/* What a tree can do, found out when it is opened. */
enum cgroup_has {
    CGROUP_HAS_MEMORY = 1,
    CGROUP_HAS_PIDS = 2,
    CGROUP_HAS_CPU = 4,
    CGROUP_HAS_DEVICES = 8,
    CGROUP_HAS_IO = 16,
    CGROUP_HAS_CLONE = 32, /* processes can be made inside */
    CGROUP_HAS_KILL = 64,  /* ended as a unit */
    CGROUP_HAS_FREEZE = 128,
};

/* The launcher's own directory in each hierarchy. */
struct cgroup_tree {
    uint32_t version; /* of the controllers: 1 or 2 */
    uint32_t has;     /* enum cgroup_has */
    char name[NAME_CAP];
    int parent[CGROUP_KINDS]; /* directory that holds NAME, -1 = hierarchy not used */
    int base[CGROUP_KINDS];   /* NAME itself, -1 = hierarchy not used */
};

#define CGROUP_TENANT_CAP (NAME_CAP + 2U)
#define CGROUP_DISKS_MAX 3U
#define CGROUP_DEVICES_MAX 16U

/* One instance's directories. */
struct cgroup {
    char tenant[CGROUP_TENANT_CAP];    /* below base: "t-" and the tenant */
    char name[CGROUP_TENANT_CAP + 24]; /* below base */
    int dir[CGROUP_KINDS];
};

#define CGROUP_INIT                                                                                \
    ((struct cgroup){ .dir = { [CGROUP_UNIFIED] = -1, -1, -1, -1, -1, -1, -1, -1 } })

/* A block device. */
struct cgroup_disk {
    unsigned int major, minor;
};

enum { CGROUP_READ = 2, CGROUP_WRITE = 4 }; /* numbers of the kernel */

/* A character device, and what may be done with it. */
struct cgroup_device {
    unsigned int major, minor;
    unsigned int access; /* CGROUP_READ | CGROUP_WRITE */
};

/* All that is set for an instance. */
struct cgroup_limits {
    const char *tenant;
    struct plan_limits limits;
    struct plan_share share; /* of the tenant: in force for all of its instances from now on */
    uint32_t n_disks;        /* that the rates are for */
    struct cgroup_disk disk[CGROUP_DISKS_MAX];
    uint32_t n_devices; /* beyond the five of every sandbox */
    struct cgroup_device device[CGROUP_DEVICES_MAX];
};

/* A tree without any hierarchy: nothing is limited in it, and nothing counted. */
void cgroup_tree_none(struct cgroup_tree *ret);

/* Find the hierarchies, create NAME in each, take its lock (waiting at most wait_ms for an earlier
 * launcher that is still going down: RC_BUSY), and end and remove what one left behind; what does
 * not end within 8 s, all of it together, is left to the next one.  A controller that is missing is
 * no error: ret->has tells, and it is for the caller to refuse (sandbox/walls).  RC_CGROUP. */
must_check enum rc cgroup_tree_open(const char *name, uint32_t wait_ms, struct cgroup_tree *ret,
                                    struct err *err);

/* The same in the groups that this process is in, of those that its user may change: what systemd
 * or a container has delegated to an ordinary user.  RC_CGROUP: there is none. */
must_check enum rc cgroup_tree_open_own(const char *name, struct cgroup_tree *ret, struct err *err);

/* Find the hierarchies only: ret->parent is filled, nothing is made or locked.  For who makes
 * groups of its own.  RC_CGROUP. */
must_check enum rc cgroup_tree_find(struct cgroup_tree *ret, struct err *err);

/* Close all descriptors, and leave everything as it is: a scope cleaner. */
void cgroup_tree_forget(struct cgroup_tree *tree);

/* End and remove everything below NAME, then NAME; closes all descriptors.  What has not ended at
 * until_ms of clock_mono_ms stays; if that is over, each is killed and tried once. */
void cgroup_tree_close(struct cgroup_tree *tree, uint64_t until_ms);

/* The same of a tree of cgroup_tree_open_own, which leaves the groups as they were. */
void cgroup_tree_close_own(struct cgroup_tree *tree, uint64_t until_ms);

/* Try what the tree can do, in a directory of its own that is gone afterwards: part of
 * cgroup_tree_open. */
uint32_t cgroup_try(const struct cgroup_tree *tree);

/* Create one instance's directories, set every limit that has a controller, and the filter for
 * devices. */
must_check enum rc cgroup_make(const struct cgroup_tree *tree, uint64_t instance,
                               const struct cgroup_limits *limits, struct cgroup *ret,
                               struct err *err);

/* The directory to give to clone3 with CLONE_INTO_CGROUP, or -1 when there is no v2 tree. */
int cgroup_clone_fd(const struct cgroup *cgroup);

/* Move a process, blocked before its first step, into the directories it was not cloned into. */
must_check enum rc cgroup_attach(const struct cgroup *cgroup, pid_t pid, bool cloned_into,
                                 struct err *err);

/* v1 cannot kill as a unit by itself: an eventfd that becomes readable when the memory limit was
 * hit.  -1 on v2, where the kernel does it. */
must_check enum rc cgroup_oom_watch(const struct cgroup_tree *tree, const struct cgroup *cgroup,
                                    int *ret_fd, struct err *err);

/* Let nothing in it run, or let it run again; as it is already: RC_OK.  RC_TIMEOUT: not all of it
 * stands still yet (a process waits for a device); what was asked for stays so, and asking again
 * tells whether it does by now.  RC_CGROUP: this host cannot. */
must_check enum rc cgroup_freeze(const struct cgroup *cgroup, bool frozen, struct err *err);

/* SIGKILL to everything in it, frozen or not, and no quota of its own any more to die in. */
void cgroup_kill(const struct cgroup *cgroup);

/* Read what is used; what cannot be read stays 0. */
void cgroup_usage(const struct cgroup_tree *tree, const struct cgroup *cgroup,
                  struct wire_usage *ret);

/* Remove the directories, killing what is still inside, and close.  One deadline for all of them,
 * in clock_mono_ms; if it is over, each is tried once.  Safe on CGROUP_INIT and twice.  Returns
 * false if one could not be removed. */
bool cgroup_remove(const struct cgroup_tree *tree, struct cgroup *cgroup, uint64_t until_ms);

#endif
