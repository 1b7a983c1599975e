/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/deltas_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "orchestrator/checking.h"

/* The child's part: never returns. */
static void become(int program, char *const *argv, int nothing, pid_t parent)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && dup2(nothing, 0) == 0 &&
        dup2(nothing, 1) == 1 && dup2(nothing, 2) == 2)
        (void)fexecve(program, argv, environ);
    _exit(127);
}

static void wait_at_most(pid_t child, uint64_t most_ms)
{
    scoped(close_fd) int ends = pidfd_open(child, 0);
    const uint64_t until_ms = clock_mono_ms() + most_ms;
    int ready = 0;

    while (ends >= 0 && ready == 0 && clock_mono_ms() < until_ms) {
        struct pollfd p = { .fd = ends, .events = POLLIN };

        ready = poll(&p, 1, (int)(until_ms - clock_mono_ms()));
        if (ready < 0 && errno == EINTR)
            ready = 0;
    }
    if (ready <= 0) {
        log_event(LOG_LEVEL_WARN, "deltas are not made in time: full packages go");
        (void)kill(child, SIGKILL);
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        continue;
}

void deltas_ahead(const char *home, const char *fleet, uint64_t most_ms)
{
    const char *const words[] = { "berth",  "--home", home,  "plan", "--deltas",
                                  "--json", "--",     fleet, NULL };
    scoped(close_fd) int program = -1, nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct err err = { 0 };

    if (nothing < 0 || checking_sibling("berth", &program, &err) != RC_OK) {
        log_err(LOG_LEVEL_WARN, &err, "no deltas are made");
        return;
    }
    const pid_t parent = getpid(), child = fork();

    if (child == 0)
        become(program, (char *const *)(uintptr_t)words, nothing, parent);
    if (child > 0)
        wait_at_most(child, most_ms);
}
