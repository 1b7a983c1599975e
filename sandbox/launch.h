/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/launch: the launcher's side of starting one payload, as a list of named steps, and of
 * cleaning up after it.  A start either ends with the program exec'd or leaves nothing behind: no
 * process, no cgroup, no mount, no loop device.
 */
#ifndef BERTH_SANDBOX_LAUNCH_H
#define BERTH_SANDBOX_LAUNCH_H

#include "sandbox/cgroup.h"
#include "sandbox/counts.h"
#include "sandbox/devices.h"
#include "sandbox/filters.h"
#include "sandbox/mounts.h"
#include "sandbox/network.h"
#include "sandbox/receipt.h"
#include "sandbox/seccomp.h"
#include "sandbox/stem.h"
#include "sandbox/walls.h"

/* A launcher that an ordinary user runs (sandbox/ordinary), in a user namespace of its own: it has
 * one id to give, and mounts no image. */
struct launch_ordinary {
    uint32_t uid, gid; /* on the host */
    int data;          /* attached mount that is /data, -1 = none */
    int mail;          /* and the one with "in" and "out" */
    bool no_proc;      /* this machine lets no ordinary user mount /proc */
};

/* What is made once, at start. */
struct launcher {
    struct cgroup_tree tree;
    struct devices_list listed; /* what may be given by name */
    struct networks *networks;  /* of tenants, the caller's */
    struct stems *stems;        /* the caller's; NULL: none is made before it is needed */
    int slots;                  /* directory that every slot lies in; the caller's */
    struct filters filters;
    struct walls walls;
    uint32_t own_filters; /* of system calls, on the launcher itself: every payload has them, too */
    int mail_userns[2];   /* of payloads by inner_root (sandbox/idmap); -1 = nobody carries mail */
    uint32_t mail_uid;    /* who does */
    struct counts counts;
    const struct launch_ordinary *ordinary; /* NULL on board */
};

/* One payload that runs, or ran and is not yet cleaned up.  id 0 = the place is free. */
struct instance {
    uint64_t id;
    pid_t pid;         /* of process 1 of the sandbox, on the host */
    int pidfd;         /* of the same; readable when everything in the sandbox is gone */
    uint32_t vm;       /* enum plan_vm */
    pid_t payload;     /* the payload's own process, on the host */
    int payload_pidfd; /* of the same */
    int status;        /* read end: the payload's wait status */
    int oom;           /* eventfd, or -1 */
    bool oom_hit;
    uint64_t kill_at_ms; /* CLOCK_BOOTTIME, 0 = no stop is under way */
    struct cgroup cgroup;
    struct mounts_loop loop;
    struct mounts_loop mail_loop;
    struct network_use network;
    struct receipt_ids ids;      /* as mapped */
    struct cgroup_limits asked;  /* what is in force; without the tenant's name */
    struct wire_receipt receipt; /* of its start */
    bool drifted;                /* it was killed for differing from it */
    uint32_t unread;             /* audits in a row that could not be read */
};

#define INSTANCE_INIT                                                                              \
    ((struct instance){ .pidfd = -1,                                                               \
                        .payload_pidfd = -1,                                                       \
                        .status = -1,                                                              \
                        .oom = -1,                                                                 \
                        .cgroup = CGROUP_INIT,                                                     \
                        .loop = MOUNTS_LOOP_INIT,                                                  \
                        .mail_loop = MOUNTS_LOOP_INIT,                                             \
                        .network = NETWORK_USE_INIT })

/* What goes to berthd with LAUNCHED; descriptors owned by the receiver. */
struct launch_result {
    pid_t payload;
    struct wire_receipt receipt;
    struct wire_fds fds; /* in the order of WIRE_FD_PIDFD, _NOTIFY, _OUTPUT, _BUS, _MAIL */
};

/* Try the walls and compile the filters: cgroups are opened, and their walls tried, by the caller.
 */
void launch_init(struct launcher *launcher, const struct wall_policy *policy);

/* What to tell berthd of the walls. */
struct wire_walls_seen launch_walls(const struct launcher *launcher);

/* Start one payload; walls_check is the caller's.  Descriptors in fds stay the caller's.  A filter
 * that is not what was compiled is mended, and the start made once more.  On
 * failure err says why and ret_step (static text) where; ret and result are untouched. */
must_check enum rc launch_start(struct launcher *launcher, const struct wire_launch *request,
                                const struct wire_fds *fds, struct instance *ret,
                                struct launch_result *result, const char **ret_step,
                                struct err *err);

/* Give a running payload other limits, all of them or (RC_CGROUP) none.  RC_PLAN_LIMIT: they are no
 * limits, or differ where only a new start can make a difference. */
must_check enum rc launch_relimit(const struct launcher *launcher, struct instance *instance,
                                  const struct plan_limits *limits, const struct plan_share *share,
                                  struct err *err);

/* Compare a payload with the receipt of its start; one that differs, or cannot be looked at, is
 * killed.  RC_DRIFT, with what differs; RC_LAUNCH_STEP. */
must_check enum rc launch_audit(const struct launcher *launcher, struct instance *instance,
                                struct err *err);

/* SIGTERM to the payload through its reaper; if it is frozen it runs again. */
void launch_terminate(const struct instance *instance);

/* SIGKILL to everything. */
void launch_kill(const struct instance *instance);

/* After the pidfd became readable: reap, read usage, remove cgroup and loop device, and say how it
 * ended.  Whatever of it is not gone at until_ms of clock_mono_ms is left to the kernel and to the
 * next launcher.  The instance is free afterwards. */
struct wire_exited launch_finish(const struct launcher *launcher, struct instance *instance,
                                 uint64_t until_ms);

#endif
