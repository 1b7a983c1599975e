/* SPDX-License-Identifier: Apache-2.0
 *
 * agent/room: whether there is room, by what a tenant may have and by what the disk has, and making
 * some.
 *
 * One account for each tenant, and for each team: installed versions, what is being unpacked (from
 * the first moment as if it were done), packages kept for repairs, snapshots.  All of it together
 * stays within store_bytes of the grant or delegation, and what has files within room_files_max.
 * Packages that wait are in nobody's account: until one has been read whole, anybody who has the
 * link can put anything behind a tenant's envelope.  What they have is the rest of the object store
 * (agent/stored).  /data has its own quota (data_bytes), in which every image counts that is on the
 * disk, whether its payload runs or not.
 *
 * A full disk stops new work only, some way before there is nothing left: state files are small
 * and go on being written (agent/reserve is for when somebody else has filled the disk).  What may
 * be removed for whom says agent/space.
 */
#ifndef BERTH_AGENT_ROOM_H
#define BERTH_AGENT_ROOM_H

#include "agent/agent.h"

#define ROOM_HEADROOM_BYTES (4ULL * 1024U * 1024U) /* of the disk, for state files and logs */
#define ROOM_HEADROOM_FILES 64U
#define ROOM_FILES_MIN 1024U  /* files that a tenant may have, and ... */
#define ROOM_FILE_BYTES 8192U /* ... one more for so many bytes of its store */

/* What one tenant, or one of its teams and theirs, takes.  Bytes on disk. */
struct room_account {
    uint64_t slots, staging, kept, snapshots;
    uint64_t slot_files, staging_files; /* directories, too */
    uint64_t kept_files;
};

/* Files and directories that somebody with so large a store may have. */
uint64_t room_files_max(uint64_t store_bytes);

/* What installing a version takes. */
struct room_need room_of_version(const struct manifest *m);

/* The account. */
must_check enum rc room_account(struct agent *a, const struct authority *who,
                                struct room_account *ret, struct err *err);

/* A version that is to be unpacked. */
struct room_ask {
    const struct manifest *m; /* verified */
    bool repair; /* of a slot that is there: two trees for a while, whatever the quota */
    int dirfd;   /* on the disk */
    struct room_need need;
};

/* Whether there is room for it, or could be made; removes nothing but what nobody will need again.
 * RC_OK: *ret_there says that nothing else would have to go.  RC_STORE_QUOTA; RC_NO_SPACE. */
must_check enum rc room_look(struct agent *a, const struct room_ask *ask, bool *ret_there,
                             struct err *err);

/* Make it, as room_for_version or room_on_disk does.  Not for a package of which only the envelope
 * has been read: anybody can put anything behind that. */
must_check enum rc room_make(struct agent *a, const struct room_ask *ask, struct err *err);

/* Whether so much more fits into what the signers of a verified manifest may store, and on the disk
 * that dirfd lies on; makes room in both ways, among what counts for those signers and as
 * room_on_disk does.  Nothing goes unless that is enough for both.  RC_STORE_QUOTA; RC_NO_SPACE. */
must_check enum rc room_for_version(struct agent *a, int dirfd, const struct manifest *m,
                                    const struct room_need *need, struct err *err);

/* Whether so much more fits on the disk that dirfd lies on, beside what has been promised to jobs
 * under way; makes room first among what is the tenant's ("" = nobody's), then among what is kept
 * or came ahead of its order for anybody, and nothing goes unless all of it is enough. RC_NO_SPACE.
 */
must_check enum rc room_on_disk(struct agent *a, int dirfd, const char *tenant,
                                const struct room_need *need, struct err *err);

/* Whether the disk has room for a package that says it is this tenant's, to wait in the store.
 * Nobody has read it yet: what it makes room among is garbage and packages kept for that tenant's
 * versions that do not run.  RC_STORE_QUOTA if it alone is more than the tenant may have;
 * RC_NO_SPACE. */
must_check enum rc room_to_wait(struct agent *a, const char *tenant, uint64_t size,
                                struct err *err);

/* Whether the first data image of a payload may be made.  RC_STORE_QUOTA; RC_NO_SPACE. */
must_check enum rc room_for_data(struct agent *a, const struct unit_record *unit,
                                 const struct manifest *m, struct err *err);

/* Whether all for whom it counts have room for the package that a slot keeps, which is there. */
must_check enum rc room_for_kept(struct agent *a, const struct slot_id *id, const char *team,
                                 struct err *err);

/* Remove what nobody will need again: failed versions, and those no newer than the good one. */
void room_collect(struct agent *a);

/* Whether a team's keys, or those of one of its teams, signed what is in a slot; "" = any of the
 * tenant's.  It was verified when it was installed. */
bool room_is_of_team(struct agent *a, const struct slot_id *id, const char *team);

#endif
