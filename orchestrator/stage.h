/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/stage: put together the tree of a package in a directory of its own: the tenant's
 * root directory, copied files, and the shared libraries that they need.
 *
 * Sources are on the tenant's own machine and follow links there; inside the stage everything goes
 * through one descriptor.  What a package may not contain is left for update/pack to refuse.
 */
#ifndef BERTH_ORCHESTRATOR_STAGE_H
#define BERTH_ORCHESTRATOR_STAGE_H

#include "orchestrator/payload.h"

#define STAGE_LIBS_MAX 128U

/* Fill the empty directory stage_dirfd.  base is the directory of payload.yaml.  RC_NOT_FOUND names
 * a file or library that is missing, RC_ARCH a library for another machine only. */
must_check enum rc stage_fill(const char *base, const struct payload_spec *spec, int stage_dirfd,
                              struct err *err);

#endif
