/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/cli_names: names out of the store, for completion: what there is of a kind and
 * begins as typed, one per line, at most CLI_NAMES_MAX.  Silent where there is no home, and about
 * what has another form than a name: a shell is what reads this.
 */
#ifndef BERTH_ORCHESTRATOR_CLI_NAMES_H
#define BERTH_ORCHESTRATOR_CLI_NAMES_H

#include "orchestrator/cli.h"

#define CLI_NAMES_MAX 2000U

void cli_names_print(enum cli_names kind, const char *home, const char *typed, FILE *out);

#endif
