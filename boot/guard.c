/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "boot/tally.h"

#define LINK_DIR "link"
#define AGAIN_MS 1000U

bool guard_unproven(const struct boot_record *record, const struct boot_id *who)
{
    return boot_id_same(&record->candidate, who) ||
           (boot_id_same(&record->current, who) && record->starts > 0);
}

/* On a file system that has become read-only nobody can be seen to be well. */
static bool is_read_only(int dir)
{
    return faccessat(dir, ".", W_OK, 0) != 0 && errno == EROFS;
}

static bool any_name(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return true;
}

/* Without the keys of the link nobody is well, and it is no agent's fault; to kill it would only
 * end what runs.  It looks after them itself, and starts anew. */
static bool is_deaf(int state)
{
    scoped(close_fd) int dir = -1;
    struct err ignored;
    enum rc rc = fs_open(state, LINK_DIR, O_RDONLY | O_DIRECTORY, 0, &dir, &ignored);

    if (rc == RC_OK)
        rc = fs_list(dir, ".", SIZE_MAX, any_name, NULL, NULL, &ignored);
    return rc != RC_OK && rc != RC_NOT_FOUND;
}

/* It has said of this very start that it does not count: it is alive, and lacks the keys of the
 * link only.  They may be there by now, and it waits before it starts anew. */
static bool took_back(const struct guard *g, const struct boot_record *record)
{
    return !g->trial && boot_id_same(&record->current, &g->who) && record->starts < g->starts;
}

enum proof { PROVEN, UNPROVEN, NOT_KNOWN };

/* A damaged record proves nobody; then the programs of the launch start. */
static enum proof proof_of(const struct guard *g)
{
    struct boot_record record = { 0 };
    struct err err = { 0 };

    if (!g->trial && (is_read_only(g->state) || is_deaf(g->state)))
        return PROVEN;
    if (boot_load(g->state, &record, &err) == RC_OK)
        return guard_unproven(&record, &g->who) && !took_back(g, &record) ? UNPROVEN : PROVEN;
    return boot_passes(&err) ? NOT_KNOWN : UNPROVEN;
}

/* Whether what is watched has ended by then. */
static bool ends_until(int pidfd, uint64_t until_ms)
{
    struct pollfd end = { .fd = pidfd, .events = POLLIN };

    for (uint64_t now = clock_mono_ms(); now < until_ms; now = clock_mono_ms()) {
        uint64_t left = until_ms - now;

        if (poll(&end, 1, left < INT_MAX ? (int)left : INT_MAX) > 0)
            return true;
    }
    return false;
}

/* At the end of its time it is killed, whatever it says of itself: the next start decides.  It does
 * not matter who else watches it. */
_Noreturn static void watch(const struct guard *g, int pidfd)
{
    enum proof proof = NOT_KNOWN;

    if (ends_until(pidfd, clock_mono_ms() + 1000ULL * g->after_s))
        _exit(0);
    if (g->tallied) {
        tally_forget(g->state);
        _exit(0);
    }
    while ((proof = proof_of(g)) == NOT_KNOWN)
        if (ends_until(pidfd, clock_mono_ms() + AGAIN_MS))
            _exit(0);
    if (proof == UNPROVEN) {
        log_event(LOG_LEVEL_ERROR, "the agent has not proven itself in time: killed");
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
    }
    _exit(0);
}

/* Not a child of what is watched, which knows nothing of it. */
enum rc guard_start(const struct guard *g, struct err *err)
{
    scoped(close_fd) int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int status = 0;

    if (pidfd < 0)
        return err_sys(err, RC_IO, "pidfd_open");
    pid_t pid = fork();
    if (pid == 0) {
        pid_t second = fork();

        if (second == 0) {
            (void)setsid();
            watch(g, pidfd);
        }
        _exit(second < 0 ? 1 : 0);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        return err_sys(err, RC_IO, "guard");
    return RC_OK;
}
