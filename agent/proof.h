/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/proof: whether berth-unpack, as it lies beside this berthd, can do its work here.
 *
 * Nothing is installed without it, the next agent least of all.  So an agent on trial has it read a
 * file before it commits itself: one whose unpacker cannot be started, does not find its libraries
 * or dies under the walls that it is given would hear the ground, be committed, and be the last.
 */
#ifndef BERTH_AGENT_PROOF_H
#define BERTH_AGENT_PROOF_H

#include "update/unpack.h"

/* Times that it is tried, a second apart or more: want of memory passes. */
#define PROOF_TRIES_MAX 10U

/* Zeroed: nothing has been tried. */
struct proof {
    bool busy;
    bool good;
    uint32_t tries; /* that have come to nothing, in a row */
    uint64_t until_ms;
    struct unpack_job job;
};

/* Go on with it, by the monotonic clock; called every second until it is good.  RC_OK: the program
 * has read a file and said so.  RC_BUSY: not known yet.  RC_UNPACK_FAILED, with the reason: it was
 * tried PROOF_TRIES_MAX times, for nothing. */
must_check enum rc proof_step(struct proof *proof, int program_fd, uint64_t now_ms,
                              struct err *err);

/* Kill what runs. */
void proof_stop(struct proof *proof);

#endif
