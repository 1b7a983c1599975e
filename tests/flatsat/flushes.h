/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/flatsat/flushes: the disk at every point at which it may have been left, without a boot for
 * each.  The kernel of one guest logs every write of some errands (dm-log-writes), in an order in
 * which nothing comes before a flush that it was not to come before.  From that log the disk is
 * made again as it was at each flush; and as it may have been a little later, when the disk had
 * kept some of the writes after that flush and not others.  All must be as right as after a power
 * cut.
 */
#ifndef BERTH_TESTS_FLATSAT_FLUSHES_H
#define BERTH_TESTS_FLATSAT_FLUSHES_H

#include "base/bytes.h"
#include "base/err.h"

struct flushes_options {
    const char *images;
    uint64_t points; /* looked at, at the most: spread evenly over all flushes */
    uint64_t seed;
    const char *row; /* file that one line of JSON is appended to; may be NULL */
    bool keep, verbose;
};

/* As powercut_run. */
int flushes_run(const struct flushes_options *options);

#endif
