/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/flatsat/disk: the state disk, made before launch and looked at after every cut.  The disk
 * itself is left for the guest's kernel to recover; what is looked at is a copy.
 */
#ifndef BERTH_TESTS_FLATSAT_DISK_H
#define BERTH_TESTS_FLATSAT_DISK_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"

/* What must never go back, and what runs. */
struct disk_view {
    uint64_t epoch, event_seq, generation, root_version, time_floor;
    uint64_t floor;             /* of the payload */
    uint32_t revoked;           /* entries */
    bool damaged;               /* one copy of the state is not whole */
    char good[VERSION_CAP];     /* committed last, and whole on the disk; "" = none yet */
    char previous[VERSION_CAP]; /* the one before, if it is there; "" = none */
    char slot[160];             /* where `good` lies, below /var/lib/berth; "" = none */
};

/* Make an ext4 of `mib` MiB, with fs-verity, that holds lib/ and spool/ of work_fd's "disk". */
must_check enum rc disk_make(int work_fd, int log_fd, const char *file, uint32_t mib,
                             struct err *err);

/* Look at a copy of the disk: the journal is replayed, the file system must be without a fault
 * (RC_SCENARIO), the agent's state must decode, and the version that committed last must be whole,
 * each file of it. */
must_check enum rc disk_look(int work_fd, int log_fd, const char *file, struct disk_view *ret,
                             struct err *err);

/* Copy a disk, leaving holes where there is nothing. */
must_check enum rc disk_copy(int work_fd, int log_fd, const char *from, const char *to,
                             struct err *err);

/* Flip one bit of the first block of a file on the disk, as flash does: where the file's data lies,
 * past everything that a kernel would notice on the way.  path is below /var/lib/berth. */
must_check enum rc disk_flip(int work_fd, int log_fd, const char *file, const char *path,
                             struct err *err);

/* Whether nothing went back from one look to the next; RC_SCENARIO names what did. */
must_check enum rc disk_compare(const struct disk_view *before, const struct disk_view *after,
                                struct err *err);

#endif
