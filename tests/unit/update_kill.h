/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/unit/update_kill: the short form of tests/unit/fault_rig for a test that only kills.
 */
#ifndef BERTH_TESTS_UNIT_UPDATE_KILL_H
#define BERTH_TESTS_UNIT_UPDATE_KILL_H

#include "tests/unit/fault_rig.h"

/* What the child runs, armed from its first instruction. */
struct kill_job {
    int (*fn)(void *arg);
    void *arg;
};

static int kill_run(void *arg)
{
    const struct kill_job *job = arg;

    fault_arm();
    return job->fn(job->arg);
}

/* Run fn and kill it as it enters call number n (from 1) of those that change files, pwrite aside:
 * a database makes hundreds.  What it starts is not looked at, and confines itself as it does
 * elsewhere.  True: it was killed there.  False: it ended before, *ret_exit is its exit code.
 * ret_seen may be NULL. */
static bool kill_at(size_t n, int (*fn)(void *arg), void *arg, struct fault_seen *ret_seen,
                    int *ret_exit)
{
    struct fault_trace *t = calloc(1, sizeof *t);
    struct kill_job job = { fn, arg };
    int go = -1;

    if (!t)
        abort();
    t->fault = (struct fault){ .kind = FAULT_KILL_BEFORE, .no_places = true, .n = n };
    pid_t pid = fault_fork(kill_run, &job, &go, NULL);
    fault_seize(t, pid, false);
    if (write(go, "x", 1) != 1)
        abort();
    while (!t->ended && fault_pump(t, 0))
        ;
    (void)close(go);
    bool killed = t->seen.killed;
    if (ret_seen)
        *ret_seen = t->seen;
    if (!killed)
        *ret_exit = t->seen.exit_code;
    free(t);
    return killed;
}

#endif
