/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/measure: how much memory an agent's own processes take, as the kernel counts it.
 */
#ifndef BERTH_SIM_MEASURE_H
#define BERTH_SIM_MEASURE_H

#include <sys/types.h>

#include "base/err.h"

#define MEASURE_MAX 64U

struct measured {
    char name[32]; /* of the program */
    pid_t pid;
    uint64_t rss_kib; /* resident, shared pages counted in full */
    uint64_t pss_kib; /* resident, shared pages divided by their users */
};

/* Measure a process and everything below it.  At most MEASURE_MAX rows. */
must_check enum rc measure_tree(pid_t top, struct measured *ret, size_t *ret_n, struct err *err);

#endif
