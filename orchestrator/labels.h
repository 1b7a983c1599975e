/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/labels: "k=v,k=v" of a satellite, sorted by key.
 */
#ifndef BERTH_ORCHESTRATOR_LABELS_H
#define BERTH_ORCHESTRATOR_LABELS_H

#include "orchestrator/cli.h"

/* Join the values of a list option, each "k=v" or several with commas between.  Keys are names
 * (name_valid) and appear once; values are versions in form (version_valid).  RC_USAGE. */
must_check enum rc labels_join(const struct cli *cli, const char *option, char *out, size_t cap,
                               struct err *err);

#endif
