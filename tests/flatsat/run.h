/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/flatsat/run: one satellite in the flatsat with its ground, and what it is to be at any
 * time: the parts of which tests of whole satellites are made.
 */
#ifndef BERTH_TESTS_FLATSAT_RUN_H
#define BERTH_TESTS_FLATSAT_RUN_H

#include <limits.h>

#include "tests/flatsat/disk.h"
#include "tests/flatsat/ground.h"
#include "tests/flatsat/guest.h"
#include "tests/flatsat/phase.h"

#define RUN_STATE "state.img"  /* the disk, in the run's directory */
#define RUN_COMMAND_MS 300000U /* for one command in the guest, on a busy machine */

struct run {
    const char *images; /* what tools/flatsat made; the run's own directory is made in it */
    uint64_t seed;
    bool verbose;    /* print what the agent says */
    const char *log; /* of all writes to the disk, see guest.h; NULL = none */
    uint64_t began_ms;
    int work_fd, log_fd, console_fd;
    char work[PATH_MAX], disk_file[PATH_MAX];
    char top[PATH_MAX], build[PATH_MAX];
    struct phases phases;
    struct ground ground;
    struct guest guest;
    struct disk_view disk; /* as seen last */
    struct seen seen;      /* by the ground, last */
    uint64_t ready_ms;     /* when the agent was, since the power came */
    /* versions: ordered last, committed last, committed before that; 0 = none */
    uint32_t next, runs, before;
    enum errand errand;
    uint32_t boots, revoked, done[ERRANDS];
};

/* With images, seed and verbose set and the rest zero: a directory for the run, a founded ground
 * that runs, and the disk of a satellite before its first start.  run_close ends all of it,
 * whatever the outcome; without `keep` the directory goes, too. */
must_check enum rc run_prepare(struct run *r, struct err *err);
void run_close(struct run *r, bool keep);

/* Print a line with the time in front. */
void run_say(const struct run *r, const char *fmt, ...) printf_like(2, 3);

/* Start the guest (words: more of the kernel's command line), and wait until the agent is ready:
 * RC_SCENARIO if it never is. */
must_check enum rc run_power_on(struct run *r, struct err *err);
must_check enum rc run_power_on_with(struct run *r, const char *words, struct err *err);
must_check enum rc run_wait_ready(struct run *r, struct err *err);

/* Order something, and wait until it has come to its right end, by a report that is newer than the
 * boot.  RC_SCENARIO when it never does, or when something else is seen on the way. */
must_check enum rc run_begin(struct run *r, enum errand errand, struct err *err);
must_check enum rc run_wait_end(struct run *r, struct err *err);

/* It has: what runs now is what is to run. */
void run_settle(struct run *r);

/* Power on and the first version, undisturbed: then there is something to lose. */
must_check enum rc run_first_version(struct run *r, struct err *err);

/* Wait until the version that is to run does, whatever happened to it. */
must_check enum rc run_wait_well(struct run *r, struct err *err);

/* Ask the satellite itself: nothing in staging/, one start of the agent, no unit failed. */
must_check enum rc run_check_inside(struct run *r, struct err *err);

/* With the power off: the disk against the look before, what may have committed, and what was told.
 */
must_check enum rc run_look_at_disk(struct run *r, struct err *err);

#endif
