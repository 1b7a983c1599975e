/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/spawn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/few.h"

#define HIGH_FD 32 /* above every descriptor that a child is given */

/* The copies lie high, so that none is overwritten while they are put in place. */
static enum rc lift(const int *fds, size_t n, int *ret, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        ret[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, HIGH_FD);
        if (ret[i] < 0)
            return err_sys(err, RC_IO, "descriptor");
    }
    return RC_OK;
}

/* own_dir becomes the working directory first: its number may be one that the child is given. */
static int fill_actions(posix_spawn_file_actions_t *actions, int own_dir, const int *high, size_t n)
{
    int bad = posix_spawn_file_actions_addfchdir_np(actions, own_dir);

    bad |= posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0);
    for (size_t i = 0; i < n; i++)
        bad |= posix_spawn_file_actions_adddup2(actions, high[i], SPAWN_FIRST_FD + (int)i);
    return bad | posix_spawn_file_actions_addclosefrom_np(actions, SPAWN_FIRST_FD + (int)n);
}

static int run(int own_dir, char *const argv[], const int *high, size_t n, pid_t *ret_pid)
{
    char *env[FEW_MAX + 1];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t empty;

    few_variables(env);
    (void)sigemptyset(&empty);
    if (posix_spawn_file_actions_init(&actions) != 0 || posix_spawnattr_init(&attr) != 0)
        return ENOMEM;
    int bad = fill_actions(&actions, own_dir, high, n);
    bad |= posix_spawnattr_setsigmask(&attr, &empty);
    bad |= posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    if (bad == 0)
        bad = posix_spawn(ret_pid, argv[0], &actions, &attr, argv, env);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)posix_spawnattr_destroy(&attr);
    return bad;
}

enum rc spawn_program(int own_dir, char *const argv[], const int *fds, size_t n_fds, pid_t *ret_pid,
                      struct err *err)
{
    int high[SPAWN_FDS_MAX] = { -1, -1, -1, -1, -1, -1 };

    assert(n_fds <= SPAWN_FDS_MAX);
    enum rc rc = lift(fds, n_fds, high, err);
    if (rc == RC_OK) {
        errno = run(own_dir, argv, high, n_fds, ret_pid);
        if (errno != 0)
            rc = err_sys(err, RC_IO, "start %s", argv[0]);
    }
    for (size_t i = 0; i < n_fds; i++)
        close_fd(&high[i]);
    return rc;
}
