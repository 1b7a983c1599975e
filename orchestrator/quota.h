/* SPDX-License-Identifier: Apache-2.0
 *
 * orchestrator/quota: the limits of a grant or a delegation, from a file that a person wrote.
 */
#ifndef BERTH_ORCHESTRATOR_QUOTA_H
#define BERTH_ORCHESTRATOR_QUOTA_H

#include "manifest/doc.h"

struct quota {
    char prefix[NAME_CAP];
    struct resources total;
    uint64_t store_bytes;
    uint32_t payloads_max;
    uint64_t lifetime_ms; /* 0 = for ever */
    struct allowance may;
};

/* Read a quota file (docs/guide/operator.md).  RC_YAML and those of reading a file. */
must_check enum rc quota_read(const char *path, struct quota *ret, struct err *err);

#endif
