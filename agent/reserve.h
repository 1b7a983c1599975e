/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/reserve: a little of the disk, held back for the agent's own state: reserve/0 ... in the
 * state directory.
 *
 * New work stops well before the disk is full (agent/room), but others write to it as well: logs of
 * the system, or another program.  When a state file cannot be written for want of room, the
 * reserve is given up, which frees bytes and inodes, and the file is written again: that a version
 * has committed, failed or been rolled back must be known after the next power cut.  When there is
 * room again the reserve is made anew.
 */
#ifndef BERTH_AGENT_RESERVE_H
#define BERTH_AGENT_RESERVE_H

#include <stdbool.h>

#include "base/err.h"

#define RESERVE_DIR "reserve"
#define RESERVE_FILES 8U /* inodes, and ... */
#define RESERVE_FILE_BYTES (64U * 1024U)

/* Make what is missing, if the disk has several times that to spare.  True: it is whole. */
bool reserve_fill(int state_dir);

/* Give it up.  True: something was freed, it is worth another try. */
bool reserve_release(int state_dir);

#endif
