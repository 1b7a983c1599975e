/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/snapshot: the data of a payload as it was before a trial: data/TENANT/PAYLOAD/data.snap.
 *
 * Whether data.img or data.snap is the payload's data is said by its record (agent/state): as long
 * as that names a version, data.snap is, and what the version's trial does to data.img does not
 * count.  A data.snap without such a record is left of a cut and means nothing; a record without
 * data.snap means that the cut came just after it had become data.img again.  So every step is one
 * rename or one save, and every cut lies before it or behind it:
 *
 *   trial     data.snap.new is written, synced, renamed data.snap | record + TRIAL saved | start
 *   rollback  ROLLED_BACK (...) saved | data.snap renamed data.img | record cleared | start
 *   commit    COMMITTED saved, record cleared | data.snap removed
 *
 * An empty data.snap stands for no data at all.  The content of the images is the payload's and is
 * never looked at.
 */
#ifndef BERTH_AGENT_SNAPSHOT_H
#define BERTH_AGENT_SNAPSHOT_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

/* What a snapshot of the data would take, in bytes; 0 if there is no data. */
uint64_t snapshot_need(int data_dir, const char *tenant, const char *name);

/* What the snapshot takes now, in bytes; 0 if there is none. */
uint64_t snapshot_bytes(int data_dir, const char *tenant, const char *name);

/* Whether there is one. */
bool snapshot_exists(int data_dir, const char *tenant, const char *name);

/* Copy the data durably, and wait until nobody has it mounted before.  Shares blocks where the file
 * system can (FICLONE), else copies what is not a hole and reserves the rest, as data.img itself
 * does.  Takes as long as it takes: not for the agent's loop.  RC_NO_SPACE, RC_IO; then there is
 * the snapshot from before, or none. */
must_check enum rc snapshot_take(int data_dir, const char *tenant, const char *name,
                                 struct err *err);

/* The snapshot becomes the data.  RC_OK if there is none: it has. */
must_check enum rc snapshot_restore(int data_dir, const char *tenant, const char *name,
                                    struct err *err);

/* Remove the snapshot, and what is left of one that was cut off; only that if `half` is set. */
must_check enum rc snapshot_drop(int data_dir, const char *tenant, const char *name, bool half,
                                 struct err *err);

#endif
