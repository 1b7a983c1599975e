/* SPDX-License-Identifier: Apache-2.0
 *
 * base/few: the environment that Berth's programs give one another: only what the log and the
 * sanitizers look at.
 */
#ifndef BERTH_BASE_FEW_H
#define BERTH_BASE_FEW_H

#define FEW_MAX 4U

/* The variables of this process's environment that go on, borrowed from it; ends in NULL. */
void few_variables(char *ret[FEW_MAX + 1]);

#endif
