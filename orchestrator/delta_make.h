/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/delta_make: a delta package from two unpacked ones.
 *
 * Both trees are tenants' and hostile, and making is long and takes much memory.  So a child does
 * it that has given up everything but reading these two trees (base/confine) and ends with this
 * process; what it says and what it wrote is checked here.  A delta needs no signature: it makes
 * exactly the files that the manifest's index names, or is refused on board (docs/threat-model.md).
 */
#ifndef BERTH_ORCHESTRATOR_DELTA_MAKE_H
#define BERTH_ORCHESTRATOR_DELTA_MAKE_H

#include "deltamake/make.h"
#include "orchestrator/unpacked.h"

#define DELTA_MAKE_TIMEOUT_MS (15 * 60 * 1000)

/* What came out. */
struct delta_made {
    uint64_t size;   /* of the delta package: head, envelope and delta, in bytes */
    uint64_t memory; /* that applying takes beside the old files, in bytes */
};

/* Whether a delta from one to the other can be asked for at all: the satellite holds the base
 * against the index that its manifest names, and the result against the new one's. */
bool delta_make_can(const struct unpacked *old, const struct unpacked *new);

/* Write the delta package to out_fd, an empty file.  For an unsigned new package the envelope is
 * left out, and the file is none that could be sent: it is for its size.  The same two packages
 * give the same bytes.  RC_TOO_LARGE, RC_DELTA_LIMIT: no delta, send the full package; RC_TIMEOUT;
 * RC_UNPACK_FAILED if the child died; the codes of make_delta. */
must_check enum rc delta_make(const struct unpacked *old, const struct unpacked *new, int out_fd,
                              const struct make_progress *progress, struct delta_made *ret,
                              struct err *err);

#endif
