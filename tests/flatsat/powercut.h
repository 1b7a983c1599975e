/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/flatsat/powercut: a loop of updates, bad versions, revocations and new trust roots for one
 * satellite, whose power is cut in the middle of them, over and over.
 *
 * After each cut the disk is looked at as it was left, and the satellite as it came up:
 * - the file system and the agent's state are whole, no counter went back;
 * - what the satellite had told the ground is so;
 * - the version that committed is the old one or the new one, each file of it;
 * - the agent is up after one start, staging/ is empty, and the errand comes to its right end.
 */
#ifndef BERTH_TESTS_FLATSAT_POWERCUT_H
#define BERTH_TESTS_FLATSAT_POWERCUT_H

#include "base/bytes.h"
#include "base/err.h"

struct powercut_options {
    const char *images; /* what tools/flatsat made; the run's own directory is made in it */
    uint64_t cuts, seed;
    const char *row; /* file that one line of JSON is appended to; may be NULL */
    bool keep;       /* the directory, also when all is well */
    bool verbose;    /* what the agent says */
};

/* The whole run; says on stdout how it goes.  0 = nothing lost, 1 = something was, or the run
 * broke: then the directory stays. */
int powercut_run(const struct powercut_options *options);

#endif
