/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/flatsat/agents: the agent of a flatsat replaces itself, under systemd: good builds and
 * broken ones, and the power goes while one is on trial.
 */
#ifndef BERTH_TESTS_FLATSAT_AGENTS_H
#define BERTH_TESTS_FLATSAT_AGENTS_H

#include "base/bytes.h"
#include "base/err.h"

struct agents_options {
    const char *images; /* what tools/flatsat filled */
    bool keep;          /* disk and logs also when all is well */
};

/* Run it; prints one line per course.  The exit status: 0 when every course ended as it should. */
int agents_run(const struct agents_options *options);

#endif
