/* SPDX-License-Identifier: Apache-2.0
 *
 * sandbox/stem: a copy of the launcher, made while nothing else is to do, out of which process 1 of
 * one sandbox grows.
 *
 * To copy a process's memory is the dearest part of a start (measured: 1 to 2.5 ms of 9).  A stem
 * has its copy already.  It has no descriptor but its socket, waits there for one order, joins the
 * sandbox's control groups and network, and clones process 1, which takes the memory over; then it
 * is ended.  What it joins by itself costs no grace period of the kernel's, as moving another
 * process does (cgroup_threadgroup_rwsem).
 *
 * Orders come from the launcher, whose copy it is: they are believed.  It has the launcher's rights
 * and ends with it.
 */
#ifndef BERTH_SANDBOX_STEM_H
#define BERTH_SANDBOX_STEM_H

#include <sys/types.h>

#include "sandbox/cgroup.h"
#include "sandbox/child.h"

#define STEMS_READY 4U
#define STEMS_LOW 1U /* with no more, they are made up to that number */

struct stem {
    pid_t pid; /* 0 = there is none */
    int pidfd;
    int sock;
    pid_t *born; /* shared with it until process 1 runs: its number, or 0 */
};

#define STEM_INIT ((struct stem){ .pidfd = -1, .sock = -1 })

/* Those that wait for an order. */
struct stems {
    uint32_t n;
    struct stem ready[STEMS_READY];
    bool filling;
    bool urgent; /* there was none, and they are not as many as they should be yet */
    bool tired;  /* making one failed: no more until one is taken */
};

/* What one is to do.  Descriptors are the launcher's, -1 = none. */
struct stem_order {
    uint64_t namespaces;     /* CLONE_NEW..., of process 1 */
    int network;             /* to be entered, instead of a new one */
    int clone_into;          /* group of the v2 tree */
    int group[CGROUP_KINDS]; /* to be joined, without that one */
    struct plan plan;
    struct child child; /* child.plan: of the launcher, and the same as the one above */
};

/* Whether the next start would have to wait for one, so that they are to be made at once. */
bool stems_urgent(const struct stems *all);

/* Make one more ready, if they are few.  Whether there is more to make.  own_time: in a time
 * namespace of its own.
 */
bool stems_prepare(struct stems *all, bool own_time);

/* Let go of those that wait, which end by themselves; for a launcher that is about to end, too. */
void stems_close(struct stems *all);

/* End those that wait, and make others when they are needed.  all may be NULL. */
void stems_drop(struct stems *all);

/* One that waits (all may be NULL: none does), or a new one, has its order, in *ret; also when this
 * fails it may be there, and is the caller's to end.  RC_LAUNCH_STEP, with EPIPE when it died
 * before it had its order; RC_IO. */
must_check enum rc stem_give(struct stems *all, bool own_time, struct stem_order *order,
                             struct stem *ret, struct err *err);

/* It does nothing more.  0, or -1 with errno. */
must_check int stem_stop(const struct stem *stem);

/* It is gone, and *ret_born is what it made of its order: a child of the launcher's, or 0.  0, or
 * -1 with errno: then the stem is still there, as it is when it cannot end before until_ms (of
 * clock_mono_ms; ETIMEDOUT): one that hangs in the kernel, or is frozen. */
must_check int stem_end(struct stem *stem, uint64_t until_ms, pid_t *ret_born);

/* Wait for it no longer, whether it is gone or not: it has been told to end, and does when it can.
 */
void stem_leave(struct stem *stem);

/* The names of the steps of a stem, in messages of child.sync. */
const char *stem_step_name(uint32_t step);

#endif
