/* SPDX-License-Identifier: Apache-2.0
 *
 * update/verity: fs-verity for the files of a slot, where the file system has it (ext4, btrfs and
 * f2fs that were made with it).  The kernel then keeps a hash tree beside each file, refuses every
 * later write, and gives EIO instead of bytes that have changed on the medium.  It is one more
 * layer: what a slot must hold is said by its index, which is checked whether this is there or not.
 */
#ifndef BERTH_UPDATE_VERITY_H
#define BERTH_UPDATE_VERITY_H

#include "base/bytes.h"
#include "base/err.h"

enum verity_state {
    VERITY_UNTRIED = 0, /* no file so far */
    VERITY_ON,          /* on for every file so far */
    VERITY_ABSENT,      /* the file system or the kernel does not have it: nothing more is tried */
};

/* One job's.  Plain data. */
struct verity {
    int (*enable)(int fd); /* 0, or an errno; verity_ioctl but in tests */
    enum verity_state state;
};

/* Switch it on for a file that is open for reading, with SHA-256 in blocks of 4 KiB. */
int verity_ioctl(int fd);

/* Switch it on for the file `name` in dirfd, which nobody has open for writing any more.  RC_OK
 * also where there is no such thing, which *v then says: EOPNOTSUPP, ENOTTY, ENOSYS, ENOPKG (no
 * SHA-256 in the kernel) and EINVAL (blocks of that size are not possible here).  A file that has
 * it already is RC_OK.  RC_NO_SPACE, RC_IO. */
must_check enum rc verity_seal(struct verity *v, int dirfd, const char *name, struct err *err);

#endif
