/* SPDX-License-Identifier: Apache-2.0
 *
 * sim/try_input: what is tried, as a satellite would have it installed: the directory of a
 * payload.yaml is packed first, a package is taken as it is, and berth-unpack takes either apart.
 *
 * Both are somebody's files and hostile; nothing of them is executed here, and what an installation
 * would refuse is refused with the same code.  No signature is looked at.
 */
#ifndef BERTH_SIM_TRY_INPUT_H
#define BERTH_SIM_TRY_INPUT_H

#include "orchestrator/unpacked.h"

struct try_input {
    struct unpacked unpacked; /* with the manifest */
    struct grant *grant;      /* given, or just what is asked for */
    int program;              /* berth-unpack */
};

#define TRY_INPUT_NONE                                                                             \
    {                                                                                              \
        .unpacked = UNPACKED_NONE, .program = -1                                                   \
    }

/* Open what lies at path below dirfd as the new directory `name`; `stage` of dirfd is used and
 * removed.  grant is the path of a grant's envelope, or NULL. */
must_check enum rc try_input_open(const char *path, const char *grant, int dirfd, const char *name,
                                  struct try_input *ret, struct err *err);
void try_input_done(struct try_input *in); /* scope cleaner */

#endif
